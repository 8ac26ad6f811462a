/* The steps at the provider but for the fetch: upload, create, poll (and cancel). */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/http.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/provider.h"
#include "daemon/work/rows.h"
#include "daemon/work/task.h"
#include "daemon/work/wire.h"

#define PROBE_EVERY_MS (60 * 1000)
/* A queue that is full at the provider is tried again from here on, doubling up to the second. */
#define FULL_FIRST_MS (60 * 1000)
#define FULL_LONGEST_MS (60 * 60 * 1000)
/* "Cannot find file": the same file so often, then a new upload, then no more. */
#define SAME_FILE_TRIES 3
#define NEW_FILE_TRIES 6
/* A create that is refused for its file is followed by so many new uploads. */
#define NEW_UPLOADS 2
/* A batch that is gone while its cancel is wanted was asked for so often, before it is given up. */
#define GONE_TRIES 5
/* A file whose size differs there is sent again so often; a server may also count in another way. */
#define UPLOAD_TRIES 3

/* --- upload --- */

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

/* Passes the rows of a shard that did no work to a new one; the file goes along unless it is to be sent anew. */
static void redo(struct task *task, enum shard_state born, int64_t wait_ms, const char *words)
{
	auto_free char *from = rows_members_name(task->shard.number);
	int64_t number = task_next_number(task);
	auto_free char *to = rows_members_name(number);
	const struct shard next = {
		.number = number,
		.state = born,
		.model = task->shard.model,
		.url = task->shard.url,
		.requests = task->shard.requests,
		.bytes = task->shard.bytes,
		.attempt = task->shard.attempt,
		.provider_file = born == SHARD_UPLOADED ? task->shard.provider_file : NULL,
		.uploaded_at = born == SHARD_UPLOADED ? task->shard.uploaded_at : 0,
		.redone = task->shard.redone + 1,
	};
	struct error err = { 0 };
	int r = rows_copy(task_vault(task), task->job.id, from, to, &err);

	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task_add_shard(task, &next, wait_ms);
	task_go(task, SHARD_DROPPED, words);
}

/* --- create --- */

/* A word that nobody knows is told when it is new; whatever it means, it is no end. */
static void tell_unknown(struct task *task, const struct api_batch *batch)
{
	const char *before = task->shard.remote_status;

	if (batch->status == API_STATUS_UNKNOWN && (!before || strcmp(before, batch->status_text) != 0))
		task_tell(task, "shard.note", "warning",
			  "the provider gives a status that is not known; polling goes on");
}

/* The batch is there: what it says of itself, in the shard. */
static void note_batch(struct task *task, const struct api_batch *batch)
{
	struct shard *shard = &task->shard;

	tell_unknown(task, batch);
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

static void on_file_refused(struct task *task, const struct api_answer *answer)
{
	const struct config_provider *config = task->provider->config;

	task->retry_after_ms = answer->retry_after_ms;
	if (task->shard.tries + 1 < SAME_FILE_TRIES)
		task_finish(task, TASK_TRY_AGAIN, answer->words);
	else if (task_is_cancelled(task))
		task_go(task, SHARD_CANCELLED, "cancelled before a batch was created");
	else if (task->shard.redone < NEW_UPLOADS)
		redo(task, SHARD_CUT,
		     backoff_retry_ms(config->retry_first, config->retry_longest,
				      (uint32_t)task->shard.redone + 1, loop_random(task_loop(task))),
		     answer->words);
	else
		task_finish(task, TASK_HOPELESS, answer->words);
}

static void on_queue_full(struct task *task, const struct api_answer *answer)
{
	int64_t wait_ms = backoff_retry_ms(FULL_FIRST_MS, FULL_LONGEST_MS, (uint32_t)task->shard.tries + 1,
					   loop_random(task_loop(task)));

	task->shard.intended_at = 0;
	task->retry_after_ms = wait_ms > answer->retry_after_ms ? wait_ms : answer->retry_after_ms;
	task_finish(task, TASK_TRY_AGAIN, answer->words);
}

static void on_created(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct api_batch batch = { 0 };

	task->request = NULL;
	switch (answer->verdict) {
	case API_OK:
		(void)api_parse_batch(answer->body, answer->size, &batch, NULL);
		note_batch(task, &batch);
		api_batch_release(&batch);
		task_finish(task, TASK_DONE, task->shard.batch_id);
		break;
	case API_DOUBT:
		/* The intent stays: the next try looks before it does anything. */
		task_tell(task, "shard.doubt", "warning", answer->words);
		task->wait_ms = task->provider->config->retry_first;
		if (answer->retry_after_ms > task->wait_ms)
			task->wait_ms = answer->retry_after_ms;
		task_finish(task, TASK_NOT_YET, "whether the batch was created is not known; it will be looked up");
		break;
	case API_FULL:
		on_queue_full(task, answer);
		break;
	case API_AGAIN:
	case API_REFUSED:
	case API_GONE:
	case API_PAUSE:
		/* A clear word: nothing was made. */
		task->shard.intended_at = 0;
		if (answer->verdict != API_PAUSE && is_file_refused(task, answer))
			on_file_refused(task, answer);
		else
			task_finish_answer(task, answer);
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

/* The intent is on disk: now the call may leave, unless a cancel or a stop came in between. */
static void on_intended(int result, void *context)
{
	struct task *task = context;

	task->is_intending = false;
	if (result) {
		pipeline_wake(task->pipeline, TASK_SPOILED_WAIT_MS);
		task_free(task);
		return;
	}
	if (task->pipeline->is_stopping || task_is_cancelled(task)) {
		/* This turn is over, and what is written now needs another one. */
		pipeline_wake(task->pipeline, 0);
		forget_intent(task);
		return;
	}
	task->request = api_create(task->provider->api, task->shard.provider_file, task->shard.url,
				   task->job.window, task->shard.marker, on_created, task);
}

void step_create(struct task *task)
{
	if (task->shard.intended_at) {
		lookup_start(task);
		return;
	}
	if (task->job.state != JOB_RUNNING) {
		task_go(task, SHARD_CANCELLED, "cancelled before a batch was created");
		return;
	}
	task->shard.intended_at = task_now(task);
	if (task->shard.absent_at > 0)
		task->shard.absent_at = 0;
	store_shard_save(task_store(task), &task->shard);
	task->is_intending = true;
	store_after_commit(task_store(task), on_intended, task);
}

/* Ends what waited for a person's word, for a cancel of the job is one. */
void step_give_up(struct task *task)
{
	auto_free char *words = xasprintf("whether a batch exists at the provider was never settled; it would be one of "
					  "the file %s with the marker %s, and might have to be cancelled there",
					  task->shard.provider_file, task->shard.marker);

	task_tell(task, "shard.note", "error", words);
	task_go(task, SHARD_CANCELLED, "cancelled in uncertainty, by its owner");
}

/* --- poll, and cancel --- */

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

static bool is_queue_full(const struct api_batch *batch)
{
	return (batch->error_code && strcmp(batch->error_code, "token_limit_exceeded") == 0) ||
	       (batch->error_message && strcasestr(batch->error_message, "enqueued token"));
}

/* A batch that failed: nothing was run and nothing is billed. Whether trying again can help depends on why. */
static void on_failed(struct task *task, const struct api_batch *batch)
{
	const struct config_provider *config = task->provider->config;
	auto_free char *words = batch_words(batch);
	uint64_t random = loop_random(task_loop(task));
	uint32_t redone = (uint32_t)task->shard.redone + 1;
	int64_t wait_ms = backoff_retry_ms(config->retry_first, config->retry_longest, redone, random);

	if (task_is_cancelled(task)) {
		task_finish(task, TASK_HOPELESS, words);
	} else if (is_queue_full(batch)) {
		redo(task, SHARD_UPLOADED, backoff_retry_ms(FULL_FIRST_MS, FULL_LONGEST_MS, redone, random), words);
	} else if (is_file_missing(batch) && redone < NEW_FILE_TRIES) {
		redo(task, redone % SAME_FILE_TRIES ? SHARD_UPLOADED : SHARD_CUT, wait_ms, words);
	} else if (!batch->error_count && task->shard.redone < config->max_attempts) {
		/* No reason given: a server that was restarted, for one. */
		redo(task, SHARD_UPLOADED, wait_ms, words);
	} else {
		task_finish(task, TASK_HOPELESS, words);
	}
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
	auto_free char *words = batch_words(batch);
	struct error err = { 0 };
	int r;

	if (lookup_is_due(task)) {
		lookup_watch(task);
		return;
	}
	if (!shard->ended_at)
		shard->ended_at = task_now(task);
	if (is_file_awaited(batch) && task_now(task) < shard->ended_at + TASK_PROBE_MS) {
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
	if (batch->status == API_STATUS_FAILED && !batch->output_file_id && !batch->error_file_id)
		on_failed(task, batch);
	else
		task_finish(task, TASK_DONE, words);
}

/* Takes over a count of the provider's, as far as it can be true. Returns whether that is news. */
static bool note_count(int64_t *count, int64_t told, int64_t most, bool is_final)
{
	if (told > most)
		told = most;
	if (!is_final && told <= *count)
		return false;
	*count = told > 0 ? told : 0;
	return true;
}

/* What moved since the last look; true if anything did. */
static bool note_progress(struct shard *shard, const struct api_batch *batch)
{
	bool is_changed = !shard->remote_status || strcmp(shard->remote_status, batch->status_text) != 0;
	/* On their way counts may lag and fall; those of an ended batch, where it has any, are its last word. */
	bool is_final = api_status_is_terminal(batch->status) && batch->completed + batch->failed > 0;

	is_changed |= note_count(&shard->remote_completed, batch->completed, shard->requests, is_final);
	is_changed |= note_count(&shard->remote_failed, batch->failed, shard->requests, is_final);
	free(shard->remote_status);
	shard->remote_status = xstrdup(batch->status_text);
	return is_changed;
}

/* Whether it need not be looked for any more: nobody wants its answers, and it has been gone for long. */
static bool is_gone_for_good(const struct task *task, const struct api_answer *answer)
{
	return answer->verdict == API_GONE && task->job.state == JOB_CANCELLING &&
	       task->shard.tries + 1 >= GONE_TRIES &&
	       task_now(task) >= task->job.cancelling_at + TASK_PROBE_MS;
}

static void on_retrieved(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct shard *shard = &task->shard;
	const struct config_provider *config = task->provider->config;
	struct api_batch batch = { 0 };
	auto_free char *words = NULL;

	task->request = NULL;
	if (answer->verdict == API_REFUSED || answer->verdict == API_GONE) {
		/* Answers that were paid for may be there: without a cancel it is never given up. */
		task_finish(task, is_gone_for_good(task, answer) ? TASK_HOPELESS : TASK_TRY_AGAIN, answer->words);
		return;
	}
	if (answer->verdict != API_OK) {
		task_finish_answer(task, answer);
		return;
	}
	(void)api_parse_batch(answer->body, answer->size, &batch, NULL);
	tell_unknown(task, &batch);
	shard->polls = note_progress(shard, &batch) ? 0 : shard->polls + 1;
	shard->tries = 0;
	if (api_status_is_terminal(batch.status)) {
		on_terminal(task, answer, &batch);
	} else {
		task->wait_ms = backoff_poll_ms(config->poll_first, config->poll_longest, (uint32_t)shard->polls,
						loop_random(task_loop(task)));
		words = xasprintf("the provider: %s", batch.status_text);
		task_finish(task, TASK_NOT_YET, words);
	}
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

void step_poll(struct task *task)
{
	struct api *api = task->provider->api;

	if (task->job.state == JOB_CANCELLING && !task->shard.is_cancel_sent)
		task->request = api_cancel(api, task->shard.batch_id, on_cancelled, task);
	else if (lookup_is_due(task) &&
		 task_now(task) >= task->shard.batch_created_at + task->provider->config->settle)
		lookup_watch(task);
	else
		task->request = api_retrieve(api, task->shard.batch_id, on_retrieved, task);
}
