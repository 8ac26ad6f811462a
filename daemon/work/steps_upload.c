/* The upload: the rows of a shard become a file at the provider. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/http.h"
#include "daemon/io/store.h"
#include "daemon/model/dialect.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/move.h"
#include "daemon/work/order.h"
#include "daemon/work/provider.h"
#include "daemon/work/redo.h"
#include "daemon/work/remote.h"
#include "daemon/work/strays.h"
#include "daemon/work/task.h"
#include "daemon/work/wire.h"

/* A file whose size differs there is sent again so often; a server may also count in another way. */
#define UPLOAD_TRIES 3

struct upload {
	struct wire *wire;
	struct http_source source;
	bool is_first; /* no upload of the shard before it left anything in doubt */
};

static void free_upload(void *work)
{
	struct upload *upload = work;

	wire_free(upload->wire);
	free(upload);
}

static int64_t read_wire(void *context, char *bytes, size_t size)
{
	const struct task *task = context;
	const struct upload *upload = task->work;
	int64_t got;

	task_enter(task);
	got = wire_read(upload->wire, bytes, size);
	task_leave(task);
	return got;
}

static int seek_wire(void *context, int64_t offset)
{
	const struct task *task = context;
	const struct upload *upload = task->work;
	int r;

	task_enter(task);
	r = wire_seek(upload->wire, offset);
	task_leave(task);
	return r;
}

/* The provider counts other bytes than were sent. Returns whether the task ended with that. */
static bool judge_size(struct task *task, const struct api_file *file)
{
	int64_t bytes = file->bytes;
	auto_free char *words = NULL;

	if (bytes < 0 || bytes == task->shard.bytes)
		return false;
	words = xasprintf("the provider has %" PRId64 " bytes of the %" PRId64 " that were sent", bytes,
			  task->shard.bytes);
	if (task->shard.tries + 1 < UPLOAD_TRIES) {
		strays_note_file(task, file->id);
		task_finish(task, TASK_TRY_AGAIN, words);
		return true;
	}
	/* Nothing is lost by going on: what it does not answer is missed when the answers are collected. */
	task_tell(task, "shard.note", "warning", words);
	return false;
}

/*
 * The file that came of it is another shard's already: sent under that id, the rows of one of the two would be answered twice. It waits
 * until the other has ended, for where equal bytes are one file the id may be right. Returns whether the task ended with that.
 */
static bool judge_id(struct task *task, const struct api_file *file)
{
	int64_t owner = 0;
	int r = store_shard_file_owner(task_store(task), task->shard.provider, file->id, task->shard.id, &owner);

	if (r == -ENOENT)
		return false;
	task_finish(task, TASK_TRY_AGAIN,
		    "the provider gave the upload the id of a file that another shard in flight has");
	return true;
}

/* Whether it is certain that no file came of an upload without an answer of use. */
static bool left_nothing(const struct http_response *head)
{
	if (head->transport != HTTP_ANSWERED)
		return head->transport == HTTP_NOT_SENT;
	return head->status >= 400 && head->status < 500 && head->status != 408 && head->status != 409 &&
	       head->status != 499;
}

static void on_uploaded(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct upload *upload = task->work;
	const struct error *problem = wire_error(upload->wire);
	struct api_file file = { 0 };
	struct error err = { 0 };
	auto_free char *words = NULL;

	task->request = NULL;
	if (upload->is_first && ((answer->verdict == API_OK && !problem->code) || left_nothing(answer->head)))
		strays_drop_upload(task);
	if (problem->code) {
		task_fail(task, problem->code, problem->text);
		return;
	}
	if (answer->verdict == API_TOO_LARGE && !task_is_cancelled(task)) {
		redo_halves(task, answer->words, answer->code);
		return;
	}
	if (answer->verdict == API_FULL && !task_is_cancelled(task)) {
		remote_finish_full(task, answer->words, answer->code, answer->retry_after_ms);
		return;
	}
	if (answer->verdict == API_REFUSED && move_refused(task, answer->code, answer->words))
		return;
	if (answer->verdict != API_OK) {
		task_finish_answer(task, answer);
		return;
	}
	if (api_parse_file(answer->body, answer->size, &file, &err)) {
		task_finish(task, TASK_TRY_AGAIN, err.text);
		return;
	}
	if (judge_id(task, &file) || judge_size(task, &file)) {
		api_file_release(&file);
		return;
	}
	free(task->shard.provider_file);
	task->shard.provider_file = take(file.id);
	task->shard.uploaded_at = task_now(task);
	words = xasprintf("%" PRId64 " requests, %" PRId64 " bytes, as %s", task->shard.requests,
			  task->shard.bytes, task->shard.provider_file);
	api_file_release(&file);
	task_finish(task, TASK_DONE, words);
}

/* It must not leave any more, and nothing of it did. */
static void put_off(struct task *task)
{
	const struct upload *upload = task->work;

	/* This turn is over, and what is written now needs another one. */
	pipeline_wake(task->pipeline, 0);
	if (upload->is_first)
		strays_drop_upload(task);
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
}

/* That a file may come to be there is on disk: now the call may leave, unless a hold or a stop came in between. */
static void on_noted(int result, void *context)
{
	struct task *task = context;
	struct upload *upload = task->work;
	auto_free char *name = strays_file_name(task->shard.marker);

	task->is_intending = false;
	if (result)
		pipeline_wake(task->pipeline, TASK_SPOILED_WAIT_MS);
	if (result || task->pipeline->is_stopping) {
		task_free(task);
		return;
	}
	if (order_is_on_hold(task)) {
		put_off(task);
		return;
	}
	task_enter(task);
	task->request = api_upload(task->provider->api, name, &upload->source, on_uploaded, task);
	task_leave(task);
}

/* What the provider would find out after all of it was sent: then the rows fail now. Returns whether the task ended with that. */
static bool judge_endpoint(struct task *task)
{
	const struct dialect *terms = api_terms(task->provider->api);
	auto_free char *words = NULL;

	if (dialect_takes(terms->endpoints, task->shard.url))
		return false;
	words = xasprintf("dialect %s has no batches for %s (endpoints in the provider's section overrules that)",
			  terms->name, task->shard.url);
	task->refusal_code = xstrdup("endpoint_not_supported");
	task_finish(task, TASK_HOPELESS, words);
	return true;
}

/* Opens the wire and measures it: the shard was cut for what the config said then. */
static int open_wire(struct task *task, struct upload *upload, struct error *err)
{
	const char *url_prefix = api_terms(task->provider->api)->url_prefix;
	auto_free char *url = url_prefix ? dialect_url(url_prefix, task->shard.url) : NULL;
	bool is_other = url && strcmp(url, task->shard.url) != 0;
	int r = wire_open(task_vault(task), &task->job, &task->shard, is_other ? url : NULL, &upload->wire, err);

	if (r)
		return r;
	r = wire_measure(upload->wire, &task->shard.bytes);
	return r ? error_set(err, r, "%s", wire_error(upload->wire)->text) : 0;
}

void step_upload(struct task *task)
{
	struct upload *upload;
	struct error err = { 0 };
	int r;

	/* In a restored copy: the original may have uploaded it, and created its batch. */
	if (task->shard.intended_at) {
		lookup_start(task);
		return;
	}
	if (task->job.state != JOB_RUNNING) {
		task_go(task, SHARD_CANCELLED, "cancelled before it was sent");
		return;
	}
	if (judge_endpoint(task) || order_parks(task))
		return;
	upload = xcalloc(1, sizeof(*upload));
	task->work = upload;
	task->work_free = free_upload;
	r = open_wire(task, upload, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	upload->source = (struct http_source){ .read = read_wire,
					       .seek = seek_wire,
					       .context = task,
					       .size = task->shard.bytes };
	upload->is_first = strays_note_upload(task);
	task->is_intending = true;
	store_after_commit(task_store(task), on_noted, task);
}
