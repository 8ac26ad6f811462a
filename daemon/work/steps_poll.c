/* The poll, until a batch has ended there, and the cancel, which is asked for where a poll would be. */
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/vault.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/eta.h"
#include "daemon/work/failed.h"
#include "daemon/work/provider.h"
#include "daemon/work/remote.h"
#include "daemon/work/rows.h"
#include "daemon/work/task.h"

#define PROBE_EVERY_MS (60 * 1000)
/* A batch that is gone while its cancel is wanted was asked for so often, before it is given up. */
#define GONE_TRIES 5
/* Whether one that is gone for long is in the list is looked at once in so many tries. */
#define SECOND_LOOKS 16
/* A cancel that fails so often may be one of a batch that has ended, which only a poll tells. */
#define CANCEL_TRIES 3

/* Keeps the provider's object as it came, for people. */
static int keep_object(struct task *task, const struct api_answer *answer, struct error *err)
{
	auto_free char *name = rows_download_name(task->shard.number, "batch");
	struct vault_writer *writer = vault_writer_new(task_vault(task), VAULT_RECORD_LIMIT);
	int r = vault_write(writer, answer->body, answer->size, err);

	if (r) {
		vault_writer_free(writer);
		return r;
	}
	return vault_keep_record(writer, task->job.id, name, err);
}

/* Whether a batch that ended speaks of answers but names no file for them yet. */
static bool is_file_awaited(const struct api_batch *batch)
{
	if (batch->status != API_STATUS_COMPLETED)
		return batch->status != API_STATUS_FAILED && batch->completed > 0 && !batch->output_file_id;
	if (!batch->output_file_id && !batch->error_file_id)
		return true;
	return (batch->completed > 0 && !batch->output_file_id) || (batch->failed > 0 && !batch->error_file_id);
}

static void on_terminal(struct task *task, const struct api_answer *answer, const struct api_batch *batch)
{
	struct shard *shard = &task->shard;
	struct error err = { 0 };
	int r;

	if (lookup_is_due(task, true)) {
		lookup_watch(task, true);
		return;
	}
	/* A clock that was set back since would make the wait for the files last for years. */
	if (!shard->ended_at || shard->ended_at > task_now(task))
		shard->ended_at = task_now(task);
	if (is_file_awaited(batch) && task_now(task) < shard->ended_at + task->provider->config->probe_lost) {
		task->wait_ms = PROBE_EVERY_MS < task->provider->config->poll_longest ?
					PROBE_EVERY_MS :
					task->provider->config->poll_longest;
		task_finish(task, TASK_NOT_YET, "ended, but the provider does not name the result files yet");
		return;
	}
	r = keep_object(task, answer, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	free(shard->remote_output);
	free(shard->remote_error);
	shard->remote_output = xstrdup(batch->output_file_id);
	shard->remote_error = xstrdup(batch->error_file_id);
	if (batch->status == API_STATUS_COMPLETED)
		eta_learn(task_store(task), shard, task_now(task));
	if (batch->status == API_STATUS_FAILED && !batch->output_file_id && !batch->error_file_id)
		failed_settle(task, answer, batch);
	else
		task_finish(task, TASK_DONE, batch->status_text);
}

/* Whether it need not be looked for any more: nobody wants its answers, and it has been gone for long. */
static bool is_gone_for_good(const struct task *task, const struct api_answer *answer)
{
	return answer->verdict == API_GONE && task->job.state == JOB_CANCELLING &&
	       task->shard.tries + 1 >= GONE_TRIES &&
	       task_now(task) >= task->job.cancelling_at + TASK_PROBE_MS;
}

/*
 * Whether a batch that is gone shall be looked for under another name: not at once, for it happens for a moment, and ever more rarely; then
 * before it is given up.
 */
static bool is_name_doubted(const struct task *task, const struct api_answer *answer)
{
	int64_t tries = task->shard.tries;

	return answer->verdict == API_GONE && tries &&
	       (!(tries & (tries + 1)) ||
		(tries % SECOND_LOOKS == 0 &&
		 remote_is_forgotten(task->provider->config, &task->shard, true, task_now(task))));
}

/* As was learned of such batches; else from the first wait on, the more rarely the longer nothing moves. */
static int64_t poll_wait(const struct task *task)
{
	const struct config_provider *config = task->provider->config;
	int64_t wait_ms = eta_wait_ms(task_store(task), config, &task->shard, task_now(task));
	uint64_t random = loop_random(task_loop(task));

	if (wait_ms >= 0)
		return backoff_poll_ms(wait_ms, wait_ms, 0, random);
	return backoff_poll_ms(config->poll_first, config->poll_longest, (uint32_t)task->shard.polls, random);
}

static void on_stuck(struct task *task, const struct api_batch *batch)
{
	const struct config_provider *config = task->provider->config;
	auto_free char *words = remote_stuck_words(config, batch);

	if (!remote_is_stuck_told(&task->shard))
		task_tell(task, "shard.stuck", "warning", words);
	/* Where it is to be cancelled, that is the next step, at once. */
	task->wait_ms = remote_resends_stuck(config) && !task->shard.is_cancel_sent ? 0 : poll_wait(task);
	task_finish(task, TASK_NOT_YET, words);
}

static void on_live(struct task *task, const struct api_batch *batch)
{
	auto_free char *words = NULL;

	if (remote_is_stuck(task->provider->config, &task->shard, task_now(task))) {
		on_stuck(task, batch);
		return;
	}
	words = remote_wait_words(batch);
	task->wait_ms = poll_wait(task);
	task_finish(task, TASK_NOT_YET, words);
}

static void on_retrieved(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct shard *shard = &task->shard;
	struct api_batch batch = { 0 };
	struct error err = { 0 };

	task->request = NULL;
	if (answer->verdict == API_GONE)
		remote_note_gone(shard, task_now(task));
	if (!is_gone_for_good(task, answer) && is_name_doubted(task, answer)) {
		lookup_name(task);
		return;
	}
	if (answer->verdict == API_REFUSED || answer->verdict == API_GONE) {
		/* Answers that were paid for may be there: without a cancel it is never given up. */
		task->refusal_code = xstrdup(answer->code);
		task_finish(task, is_gone_for_good(task, answer) ? TASK_HOPELESS : TASK_TRY_AGAIN, answer->words);
		return;
	}
	if (answer->verdict != API_OK) {
		task_finish_answer(task, answer);
		return;
	}
	if (api_parse_batch(answer->body, answer->size, &batch, &err)) {
		task_finish(task, TASK_TRY_AGAIN, err.text);
		return;
	}
	shard->missed_at = 0;
	remote_tell_unknown(task, &batch);
	if (remote_note_progress(shard, &batch, task_now(task)))
		remote_note_accepted(task_store(task), shard, &batch);
	/* They count on for a list in which its twins cannot be looked for. */
	if (!api_status_is_terminal(batch.status) || !lookup_is_due(task, true))
		shard->tries = 0;
	if (api_status_is_terminal(batch.status))
		on_terminal(task, answer, &batch);
	else
		on_live(task, &batch);
	api_batch_release(&batch);
}

static void on_cancelled(const struct api_answer *answer, void *context)
{
	struct task *task = context;

	task->request = NULL;
	if (answer->verdict == API_OK || answer->verdict == API_REFUSED || answer->verdict == API_GONE) {
		/* Refused means that it has ended just now: polling tells how. */
		task->shard.is_cancel_sent = true;
		task->shard.polls = 0;
		task->wait_ms = task->provider->config->poll_first;
		task_tell(task, "shard.note", "info",
			  answer->verdict == API_OK ? "the provider was asked to cancel" :
						      "the provider says that it cannot be cancelled any more");
		task_finish(task, TASK_NOT_YET, "waits for the provider to cancel it");
		return;
	}
	task_finish_answer(task, answer);
}

/* Whether it is stuck, and to be sent again once it has ended. That was told, or the cancel was tried, before. */
static bool is_stuck_out(const struct task *task)
{
	const struct config_provider *config = task->provider->config;

	return remote_resends_stuck(config) && remote_is_stuck(config, &task->shard, task_now(task)) &&
	       (remote_is_stuck_told(&task->shard) || task->shard.tries);
}

static bool is_cancel_next(const struct task *task)
{
	const struct shard *shard = &task->shard;

	if (task->job.state != JOB_CANCELLING && !is_stuck_out(task))
		return false;
	return !shard->is_cancel_sent && (shard->tries < CANCEL_TRIES || shard->tries % 2 == 0);
}

/* What the list says is as good as what a retrieve would. */
static void on_told(struct task *task)
{
	const struct api_answer answer = {
		.verdict = API_OK,
		.status = 200,
		.retry_after_ms = -1,
		.body = take(task->told),
		.size = task->told_size,
	};

	on_retrieved(&answer, task);
}

void step_poll(struct task *task)
{
	struct api *api = task->provider->api;

	/* A clock that was set back since would tell a twin, or its time, by what is to come. */
	if (task->shard.batch_created_at > task_now(task))
		task->shard.batch_created_at = task_now(task);
	if (task->told)
		on_told(task);
	else if (is_cancel_next(task))
		task->request = api_cancel(api, task->shard.batch_id, on_cancelled, task);
	else if (lookup_is_due(task, false))
		lookup_watch(task, false);
	else
		task->request = api_retrieve(api, task->shard.batch_id, on_retrieved, task);
}
