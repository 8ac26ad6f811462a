#include "daemon/work/failed.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/vault.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/api_words.h"
#include "daemon/work/form.h"
#include "daemon/work/move.h"
#include "daemon/work/provider.h"
#include "daemon/work/redo.h"
#include "daemon/work/remote.h"
#include "daemon/work/rows.h"
#include "daemon/work/task.h"

/* "Cannot find file": the same file so often, then a new upload, then no more. */
#define SAME_FILE_TRIES 3
#define NEW_FILE_TRIES 6
/* Errors of a slice: each may need its row's id out of the input. */
#define SLICE 256

/* The walk through the provider's errors, which makes an answer for each line that they name. */
struct blame {
	char *text; /* of the errors */
	struct api_errors errors;
	char *words, *code; /* of the whole, if no line is named */
	struct form form;
	struct vault_reader input;
	struct rows_reader rows, members;
	struct vault_writer *writer;
	uint8_t *is_told; /* a bit for each line: of several errors the first counts */
	int64_t told;
};

static void free_blame(void *work)
{
	struct blame *blame = work;

	free(blame->text);
	free(blame->words);
	free(blame->code);
	form_release(&blame->form);
	vault_reader_release(&blame->input);
	rows_release(&blame->rows);
	rows_release(&blame->members);
	vault_writer_free(blame->writer);
	free(blame->is_told);
	free(blame);
}

static struct json_object *text_or_null(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

/* The answer that a request gets which was never run, in the form of the provider's own. */
static void make_line(const struct row_id *id, const struct api_flaw *flaw, struct buffer *line)
{
	const char *message = flaw->message ? flaw->message : "The provider found this line to be wrong.";
	struct json_object *error;

	alloc_watch();
	error = json_object_new_object();
	json_object_object_add(error, "code", text_or_null(flaw->code));
	json_object_object_add(error, "message", json_object_new_string(message));
	json_object_object_add(error, "param", text_or_null(flaw->param));
	buffer_add_text(line, "{\"id\":null,\"custom_id\":");
	buffer_add(line, id->quoted, id->size);
	buffer_add_format(line, ",\"response\":null,\"error\":%s}\n",
			  json_object_to_json_string_ext(error, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	alloc_check();
	json_object_put(error);
}

static int blame_line(struct blame *blame, const struct api_flaw *flaw, struct error *err)
{
	int64_t index = flaw->line - 1;
	uint8_t bit = (uint8_t)(1u << index % 8);
	auto_buffer line = { 0 };
	struct record_member member;
	struct record_row row;
	struct row_id id;
	int r;

	if (blame->is_told[index / 8] & bit)
		return 0;
	r = rows_read_member(&blame->members, index, &blame->rows, &member, &row, err);
	if (!r)
		r = rows_test_line(&blame->input, &row, member.row, err);
	if (!r)
		r = form_row_id(&blame->form, &blame->input, &row, &id, err);
	if (r)
		return r;
	make_line(&id, flaw, &line);
	blame->is_told[index / 8] |= bit;
	blame->told++;
	return vault_write(blame->writer, line.data, line.size, err);
}

static int slice_blame(struct task *task, struct error *err)
{
	struct blame *blame = task->work;

	for (int i = 0; i < SLICE; i++) {
		struct api_flaw flaw;
		int r = 0;

		if (!api_errors_next(&blame->errors, &flaw))
			return 0;
		if (flaw.line >= 1 && flaw.line <= blame->members.count)
			r = blame_line(blame, &flaw, err);
		api_flaw_release(&flaw);
		if (r)
			return r;
	}
	return 1;
}

static void on_blamed(struct task *task)
{
	struct blame *blame = task->work;
	auto_free char *name = rows_download_name(task->shard.number, "err");
	auto_free char *words = NULL;
	struct error err = { 0 };
	int r;

	if (!blame->told) {
		words = take(blame->words);
		task->refusal_code = take(blame->code);
		task_finish(task, TASK_HOPELESS, words);
		return;
	}
	r = vault_keep_record(take(blame->writer), task->job.id, name, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	words = xasprintf("failed, for the provider finds %" PRId64 " of its %" PRId64 " lines wrong", blame->told,
			  task->shard.requests);
	task_finish(task, TASK_DONE, words);
}

static int open_rows(struct task *task, struct blame *blame, struct error *err)
{
	auto_free char *members = rows_members_name(task->shard.number);
	int r = vault_open_file(task_vault(task), task->job.input_file, &blame->input, err);

	if (!r)
		r = rows_open(&blame->rows, task_vault(task), task->job.id, ROWS_NAME, RECORD_ROWS, err);
	if (!r)
		r = rows_open(&blame->members, task_vault(task), task->job.id, members, RECORD_MEMBERS, err);
	return r;
}

/* The answer dies before the walk ends, so the errors are copied. */
static void blame_lines(struct task *task, const struct api_answer *answer, const struct api_batch *batch,
			const char *words)
{
	struct blame *blame = xcalloc(1, sizeof(*blame));
	struct error err = { 0 };
	char *mended;
	int r;

	task->work = blame;
	task->work_free = free_blame;
	blame->input = VAULT_READER_NONE;
	form_init(&blame->form, &task->job);
	blame->writer = vault_writer_new(task_vault(task), VAULT_RECORD_LIMIT);
	r = open_rows(task, blame, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	blame->is_told = xcalloc(1, (size_t)blame->members.count / 8 + 1);
	blame->words = xstrdup(words);
	blame->code = xstrdup(batch->error_code);
	blame->text = xmemdup0(answer->body + batch->errors.at, batch->errors.size);
	mended = api_mend(blame->text, batch->errors.size);
	if (mended) {
		free(blame->text);
		blame->text = mended;
	}
	api_errors_init(&blame->errors, blame->text, batch->errors.size);
	task_work(task, slice_blame, on_blamed);
}

static char *batch_words(const struct api_batch *batch)
{
	if (batch->error_message)
		return xasprintf("%s: %s%s%s", batch->status_text, batch->error_code ? batch->error_code : "",
				 batch->error_code ? ": " : "", batch->error_message);
	return xstrdup(batch->status_text);
}

static bool is_file_missing(const struct api_batch *batch)
{
	return (batch->error_param && strcmp(batch->error_param, "file_id") == 0) ||
	       (batch->error_message && strcasestr(batch->error_message, "cannot find file"));
}

/* Of one line it would be said in other words than of the file. */
static bool is_too_large(const struct api_batch *batch)
{
	return !batch->error_line && api_says_too_large(batch->error_code, batch->error_message);
}

static void refuse(struct task *task, const struct api_batch *batch, const char *words)
{
	task->refusal_code = xstrdup(batch->error_code);
	task_finish(task, TASK_HOPELESS, words);
}

void failed_settle(struct task *task, const struct api_answer *answer, const struct api_batch *batch)
{
	const struct config_provider *config = task->provider->config;
	auto_free char *words = batch_words(batch);
	int64_t redone = task->shard.redone + 1;
	int64_t wait_ms = backoff_retry_ms(config->retry_first, config->retry_longest, (uint32_t)redone,
					   loop_random(task_loop(task)));

	if (task_is_cancelled(task))
		refuse(task, batch, words);
	else if (move_refused(task, batch->error_code, words))
		return;
	else if (api_says_full(batch->error_code, batch->error_message))
		remote_finish_full(task, words, batch->error_code, -1);
	else if (is_file_missing(batch) && redone < NEW_FILE_TRIES)
		redo_same(task, redone % SAME_FILE_TRIES ? SHARD_UPLOADED : SHARD_CUT, wait_ms, words);
	else if (is_too_large(batch))
		redo_halves(task, words, batch->error_code);
	else if (!batch->error_count && task->shard.redone < config->max_attempts)
		/* A server that was restarted, for one. */
		redo_same(task, SHARD_UPLOADED, wait_ms, words);
	else if (batch->error_count)
		blame_lines(task, answer, batch, words);
	else
		refuse(task, batch, words);
}
