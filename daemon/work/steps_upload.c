/* The upload: the rows of a shard become a file at the provider. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/http.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/provider.h"
#include "daemon/work/redo.h"
#include "daemon/work/task.h"
#include "daemon/work/wire.h"

/* A file whose size differs there is sent again so often; a server may also count in another way. */
#define UPLOAD_TRIES 3

struct upload {
	struct wire *wire;
	struct http_source source;
};

static void free_upload(void *work)
{
	struct upload *upload = work;

	wire_free(upload->wire);
	free(upload);
}

static int64_t read_wire(void *context, char *bytes, size_t size)
{
	return wire_read(context, bytes, size);
}

static int seek_wire(void *context, int64_t offset)
{
	return wire_seek(context, offset);
}

/* The provider counts other bytes than were sent. Returns whether the task ended with that. */
static bool judge_size(struct task *task, int64_t bytes)
{
	auto_free char *words = NULL;

	if (bytes < 0 || bytes == task->shard.bytes)
		return false;
	words = xasprintf("the provider has %" PRId64 " bytes of the %" PRId64 " that were sent", bytes,
			  task->shard.bytes);
	if (task->shard.tries + 1 < UPLOAD_TRIES) {
		task_finish(task, TASK_TRY_AGAIN, words);
		return true;
	}
	/* Nothing is lost by going on: what it does not answer is missed when the answers are collected. */
	task_tell(task, "shard.note", "warning", words);
	return false;
}

static void on_uploaded(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct upload *upload = task->work;
	const struct error *problem = wire_error(upload->wire);
	struct api_file file = { 0 };
	auto_free char *words = NULL;

	task->request = NULL;
	if (problem->code) {
		task_fail(task, problem->code, problem->text);
		return;
	}
	if (answer->verdict == API_TOO_LARGE && !task_is_cancelled(task)) {
		redo_halves(task, answer->words, answer->code);
		return;
	}
	if (answer->verdict != API_OK) {
		task_finish_answer(task, answer);
		return;
	}
	(void)api_parse_file(answer->body, answer->size, &file, NULL);
	if (judge_size(task, file.bytes)) {
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

void step_upload(struct task *task)
{
	auto_free char *name = xasprintf("batchd-%s.jsonl", task->shard.marker);
	struct upload *upload;
	struct error err = { 0 };
	int r;

	if (task->job.state != JOB_RUNNING) {
		task_go(task, SHARD_CANCELLED, "cancelled before it was sent");
		return;
	}
	upload = xcalloc(1, sizeof(*upload));
	task->work = upload;
	task->work_free = free_upload;
	r = wire_open(task_vault(task), &task->job, &task->shard, &upload->wire, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	upload->source = (struct http_source){ .read = read_wire,
					       .seek = seek_wire,
					       .context = upload->wire,
					       .size = task->shard.bytes };
	task->request = api_upload(task->provider->api, name, &upload->source, on_uploaded, task);
}
