/* The create: the file becomes a batch, once. What cannot be told is looked up (lookup.c), or settled by a person. */
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/move.h"
#include "daemon/work/order.h"
#include "daemon/work/provider.h"
#include "daemon/work/ready.h"
#include "daemon/work/redo.h"
#include "daemon/work/remote.h"
#include "daemon/work/task.h"

/* "Cannot find file": the same file so often, then a new upload. */
#define SAME_FILE_TRIES 3
/* A create that is refused for its file is followed by so many new uploads. */
#define NEW_UPLOADS 2

/* The batch is there: what it says of itself, in the shard. */
static void note_batch(struct task *task, const struct api_batch *batch)
{
	struct shard *shard = &task->shard;

	remote_tell_unknown(task, batch);
	free(shard->batch_id);
	shard->batch_id = xstrdup(batch->id);
	free(shard->remote_status);
	shard->remote_status = xstrdup(batch->status_text);
	shard->batch_created_at = task_now(task);
}

/* Whether a create was refused because its file is not there: not yet, or not any more. */
static bool is_file_refused(const struct task *task, const struct api_answer *answer)
{
	return answer->status == 404 ||
	       (answer->status == 400 && (strstr(answer->words, task->shard.provider_file) ||
					  strcasestr(answer->words, "cannot find file")));
}

static void refuse(struct task *task, const struct api_answer *answer)
{
	task->refusal_code = xstrdup(answer->code);
	task_finish(task, TASK_HOPELESS, answer->words);
}

static void on_file_refused(struct task *task, const struct api_answer *answer)
{
	const struct config_provider *config = task->provider->config;

	task->retry_after_ms = answer->retry_after_ms;
	if (task->shard.tries + 1 < SAME_FILE_TRIES)
		task_finish(task, TASK_TRY_AGAIN, answer->words);
	else if (task_is_cancelled(task))
		task_go(task, SHARD_CANCELLED, "cancelled before a batch was created");
	else if (task->shard.redone < NEW_UPLOADS)
		redo_same(task, SHARD_CUT,
			  backoff_retry_ms(config->retry_first, config->retry_longest,
					   (uint32_t)task->shard.redone + 1, loop_random(task_loop(task))),
			  answer->words);
	else
		refuse(task, answer);
}

static void on_queue_full(struct task *task, const struct api_answer *answer)
{
	task->shard.intended_at = 0;
	if (task_is_cancelled(task))
		task_go(task, SHARD_CANCELLED, "cancelled before a batch was created");
	else
		remote_finish_full(task, answer->words, answer->code, answer->retry_after_ms);
}

/* A clear word: nothing was made. */
static void on_not_created(struct task *task, const struct api_answer *answer)
{
	task->shard.intended_at = 0;
	if (answer->verdict == API_TOO_LARGE && task_is_cancelled(task))
		task_go(task, SHARD_CANCELLED, "cancelled before a batch was created");
	else if (answer->verdict == API_TOO_LARGE)
		redo_halves(task, answer->words, answer->code);
	else if (answer->verdict != API_PAUSE && move_refused(task, answer->code, answer->words))
		return;
	else if (answer->verdict != API_PAUSE && is_file_refused(task, answer))
		on_file_refused(task, answer);
	else
		task_finish_answer(task, answer);
}

/* The intent stays: the next try looks before it does anything. */
static void on_doubt(struct task *task, const struct api_answer *answer, const char *words)
{
	task_tell(task, "shard.doubt", "warning", words);
	task->wait_ms = task->provider->config->retry_first;
	if (answer->retry_after_ms > task->wait_ms)
		task->wait_ms = answer->retry_after_ms;
	task_finish(task, TASK_NOT_YET, "whether the batch was created is not known; it will be looked up");
}

/* Something between us and the provider may answer with what it kept of another create. */
static bool is_anothers(struct task *task, const struct api_batch *batch)
{
	int64_t owner = 0;

	return (batch->marker && strcasecmp(batch->marker, task->shard.marker) != 0) ||
	       (store_shard_owner(task_store(task), task->shard.provider, batch->id, &owner) == 0 &&
		owner != task->shard.id);
}

static void on_batch(struct task *task, const struct api_answer *answer)
{
	struct api_batch batch = { 0 };
	struct error err = { 0 };

	if (api_parse_batch(answer->body, answer->size, &batch, &err)) {
		on_doubt(task, answer, err.text);
		return;
	}
	if (is_anothers(task, &batch)) {
		on_doubt(task, answer, "the answer shows another batch than the one that was asked for");
	} else {
		note_batch(task, &batch);
		task_finish(task, TASK_DONE, task->shard.batch_id);
	}
	api_batch_release(&batch);
}

static void on_created(const struct api_answer *answer, void *context)
{
	struct task *task = context;

	task->request = NULL;
	switch (answer->verdict) {
	case API_OK:
		on_batch(task, answer);
		break;
	case API_DOUBT:
		on_doubt(task, answer, answer->words);
		break;
	case API_FULL:
		on_queue_full(task, answer);
		break;
	case API_AGAIN:
	case API_REFUSED:
	case API_TOO_LARGE:
	case API_GONE:
	case API_PAUSE:
		on_not_created(task, answer);
		break;
	}
}

/* The intent is on disk and the call must not leave any more: nothing was made, for certain. */
static void forget_intent(struct task *task)
{
	task->shard.intended_at = 0;
	if (task_is_cancelled(task)) {
		task_go(task, SHARD_CANCELLED, "cancelled before a batch was created");
		return;
	}
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
}

/* The intent is on disk: now the call may leave, unless a cancel, a hold or a stop came in between. */
static void on_intended(int result, void *context)
{
	struct task *task = context;

	task->is_intending = false;
	if (result) {
		pipeline_wake(task->pipeline, TASK_SPOILED_WAIT_MS);
		task_free(task);
		return;
	}
	if (task->pipeline->is_stopping || task_is_cancelled(task) || order_is_on_hold(task)) {
		/* This turn is over, and what is written now needs another one. */
		pipeline_wake(task->pipeline, 0);
		forget_intent(task);
		return;
	}
	task_enter(task);
	task->request = api_create(task->provider->api, task->shard.provider_file, task->shard.url,
				   task->job.window, task->shard.marker, on_created, task);
	task_leave(task);
}

static void intend(struct task *task)
{
	task->shard.intended_at = task_now(task);
	if (task->shard.absent_at > 0)
		task->shard.absent_at = 0;
	store_shard_save(task_store(task), &task->shard);
	task->is_intending = true;
	store_after_commit(task_store(task), on_intended, task);
}

void step_create(struct task *task)
{
	if (task->shard.intended_at)
		lookup_start(task);
	else if (task->job.state != JOB_RUNNING)
		task_go(task, SHARD_CANCELLED, "cancelled before a batch was created");
	else if (!order_parks(task))
		ready_await(task, intend);
}
