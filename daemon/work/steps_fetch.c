/* The fetch: the output file, then the error file, checked for being whole as far as that can be told. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/vault.h"
#include "daemon/model/answer.h"
#include "daemon/work/api.h"
#include "daemon/work/provider.h"
#include "daemon/work/rows.h"
#include "daemon/work/task.h"

/* A last line that is longer is not checked. */
#define MAX_TAIL (1024 * 1024)

struct fetch {
	struct vault_writer *writer;
	bool is_error_file;
	bool is_lost;	    /* a file is gone: there is nothing to count */
	bool is_tail_long;
	struct buffer tail; /* of the file under way: the line that has not ended yet */
	int64_t lines;	    /* of both files, without empty ones */
	struct error problem;
};

static void free_fetch(void *work)
{
	struct fetch *fetch = work;

	vault_writer_free(fetch->writer);
	buffer_release(&fetch->tail);
	free(fetch);
}

static bool is_blank(const struct buffer *line)
{
	for (size_t i = 0; i < line->size; i++)
		if (!strchr(" \t\r", line->data[i]))
			return false;
	return true;
}

static void end_line(struct fetch *fetch)
{
	fetch->lines += fetch->is_tail_long || !is_blank(&fetch->tail);
	fetch->is_tail_long = false;
	buffer_clear(&fetch->tail);
}

static void note_lines(struct fetch *fetch, const char *bytes, size_t size)
{
	while (size) {
		const char *newline = memchr(bytes, '\n', size);
		size_t part = newline ? (size_t)(newline - bytes) : size;

		fetch->is_tail_long |= fetch->tail.size + part > MAX_TAIL;
		if (!fetch->is_tail_long)
			buffer_add(&fetch->tail, bytes, part);
		if (!newline)
			break;
		end_line(fetch);
		bytes += part + 1;
		size -= part + 1;
	}
}

/* Whether the file ends in the middle of a line, as one that was cut does; some servers just leave out the last newline. */
static bool is_tail_broken(const struct fetch *fetch)
{
	struct answer answer;

	return !fetch->is_tail_long && !is_blank(&fetch->tail) &&
	       answer_parse(fetch->tail.data, fetch->tail.size, &answer, NULL) == -EBADMSG;
}

static int on_content(const char *bytes, size_t size, void *context)
{
	struct task *task = context;
	struct fetch *fetch = task->work;

	note_lines(fetch, bytes, size);
	return vault_write(fetch->writer, bytes, size, &fetch->problem);
}

static int keep_download(struct task *task, struct error *err)
{
	struct fetch *fetch = task->work;
	auto_free char *name = rows_download_name(task->shard.number, fetch->is_error_file ? "err" : "out");

	return vault_keep_record(take(fetch->writer), task->job.id, name, err);
}

/* Something is missing in a file. Returns whether the task ended with that, because it may yet come. */
static bool probe(struct task *task, const char *words)
{
	if (task_now(task) < task->shard.ended_at + TASK_PROBE_MS) {
		task_finish(task, TASK_TRY_AGAIN, words);
		return true;
	}
	task_tell(task, "shard.note", "warning", words);
	return false;
}

static void finish_fetch(struct task *task)
{
	const struct fetch *fetch = task->work;
	const struct shard *shard = &task->shard;
	int64_t promised = shard->remote_completed + shard->remote_failed;
	auto_free char *words = NULL;

	if (promised > shard->requests)
		promised = shard->requests;
	words = xasprintf("the result files have %" PRId64 " lines, but the provider counts %" PRId64
			  " requests as done",
			  fetch->lines, promised);
	if (fetch->is_lost || fetch->lines >= promised || !probe(task, words))
		task_finish(task, TASK_DONE, NULL);
}

static void fetch_next(struct task *task);

/* A file is here, or is given up. */
static void end_file(struct task *task)
{
	struct fetch *fetch = task->work;

	end_line(fetch);
	fetch->is_error_file = !fetch->is_error_file;
	if (fetch->is_error_file)
		fetch_next(task);
	else
		finish_fetch(task);
}

static void on_missing(struct task *task, const char *words)
{
	struct fetch *fetch = task->work;

	if (task_now(task) < task->shard.ended_at + TASK_PROBE_MS) {
		task_finish(task, TASK_TRY_AGAIN, words);
		return;
	}
	task_tell(task, "shard.note", "error", "a result file is gone at the provider; its answers are lost");
	fetch->is_lost = true;
	vault_writer_free(take(fetch->writer));
	end_file(task);
}

static void on_fetched(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct fetch *fetch = task->work;
	struct error err = { 0 };
	int r;

	task->request = NULL;
	if (fetch->problem.code) {
		task_fail(task, fetch->problem.code, fetch->problem.text);
		return;
	}
	if (answer->verdict == API_GONE || answer->verdict == API_REFUSED) {
		on_missing(task, answer->words);
		return;
	}
	if (answer->verdict != API_OK) {
		task_finish_answer(task, answer);
		return;
	}
	if (is_tail_broken(fetch) && probe(task, "a result file ends in the middle of a line"))
		return;
	r = keep_download(task, &err);
	if (r)
		task_fail(task, r, err.text);
	else
		end_file(task);
}

static void fetch_next(struct task *task)
{
	struct fetch *fetch = task->work;
	const char *file = fetch->is_error_file ? task->shard.remote_error : task->shard.remote_output;

	if (!file && !fetch->is_error_file) {
		fetch->is_error_file = true;
		file = task->shard.remote_error;
	}
	if (!file) {
		finish_fetch(task);
		return;
	}
	fetch->writer = vault_writer_new(task_vault(task), VAULT_RECORD_LIMIT);
	task->request = api_content(task->provider->api, file, on_content, on_fetched, task);
}

void step_fetch(struct task *task)
{
	task->work = xcalloc(1, sizeof(struct fetch));
	task->work_free = free_fetch;
	if (!task->shard.ended_at)
		task->shard.ended_at = task_now(task);
	fetch_next(task);
}
