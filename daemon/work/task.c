#include "daemon/work/task.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/note.h"
#include "daemon/io/store.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api.h"
#include "daemon/work/budget.h"
#include "daemon/work/gate.h"
#include "daemon/work/order.h"
#include "daemon/work/place.h"
#include "daemon/work/provider.h"

#define EXIT_IO 74
/* After so many a step's failures are no news. */
#define MANY_TRIES 16

static void task_unlink(struct task *task)
{
	struct task **link = &task->pipeline->tasks;

	while (*link != task)
		link = &(*link)->next;
	*link = task->next;
	task->pipeline->active--;
	gate_leave(task);
}

static void task_drop_work(struct task *task)
{
	api_abort(task->request);
	task->request = NULL;
	if (task->work)
		task->work_free(task->work);
	task->work = NULL;
}

void task_free(struct task *task)
{
	task_unlink(task);
	task_drop_work(task);
	job_release(&task->job);
	shard_release(&task->shard);
	free(task->refusal_code);
	free(task);
}

static void on_task_committed(int result, void *context)
{
	struct task *task = context;
	struct pipeline *pipeline = task->pipeline;

	task_free(task);
	/* Nothing happened, says the disk; so it is still due, but not at once. */
	if (result)
		pipeline_wake(pipeline, TASK_SPOILED_WAIT_MS);
	else
		pipeline->callbacks.on_idle(pipeline->callbacks.context);
}

/* The last thing of every task: what it wrote is committed, then it is gone. */
static void task_end(struct task *task)
{
	assert(!task->is_ending);
	task->is_ending = true;
	task->slice = NULL;
	task_drop_work(task);
	store_after_commit(task->pipeline->store, on_task_committed, task);
}

/* A job whose last shard has ended is due for its merge. */
static void settle_job(struct task *task)
{
	struct pipeline *pipeline = task->pipeline;
	int64_t open = 1;
	auto_job job = { 0 };

	if (!shard_is_ended(task->shard.state) ||
	    store_shard_count(pipeline->store, task->job.id, NULL, &open) || open > 0 ||
	    store_job_get(pipeline->store, task->job.id, &job) || job_is_ended(job.state))
		return;
	job.due_at = loop_now_ms(pipeline->loop);
	job.finalizing_at = job.due_at;
	store_job_save(pipeline->store, &job);
}

/* The job as the store has it now; false when the step's result does not count any more, because its state moved on. */
static bool refresh_job(struct task *task)
{
	enum job_state state = task->job.state;
	struct job job;

	if (store_job_get(task->pipeline->store, task->job.id, &job))
		return false;
	task->is_cancel_news = job.state == JOB_CANCELLING && state != JOB_CANCELLING;
	job_release(&task->job);
	task->job = job;
	return task->shard.id || job.state == state;
}

static void finish_done(struct task *task, const char *words)
{
	if (task->shard.id) {
		pipeline_shard_state(task->pipeline, &task->job, &task->shard,
				     (enum shard_state)task->step->next, words);
		settle_job(task);
	} else {
		pipeline_job_state(task->pipeline, &task->job, (enum job_state)task->step->next, words);
	}
}

/* Puts the next look at now + wait_ms, in the shard or the job, with what it waits for. */
static void postpone(struct task *task, int64_t wait_ms, const char *words)
{
	int64_t at;

	/* What waits for a person does so no more, once the job shall end. */
	if (task->is_cancel_news)
		wait_ms = 0;
	at = wait_ms < 0 ? 0 : task_now(task) + wait_ms;
	if (task->shard.id) {
		free(task->shard.why);
		task->shard.why = xstrdup(words);
		task->shard.due_at = at;
		if (place_is_unsent(&task->shard))
			place_give_back(&task->job, &task->shard, at, task_now(task));
		order_place(task->pipeline, &task->job, &task->shard);
		store_shard_save(task->pipeline->store, &task->shard);
	} else {
		free(task->job.why);
		task->job.why = xstrdup(words);
		task->job.due_at = at;
		store_job_save(task->pipeline->store, &task->job);
	}
}

/* The server may ask for a longer wait than ours, not for a shorter one. */
static int64_t retry_wait(struct task *task, int64_t tries)
{
	const struct config_provider *config = task->provider ? task->provider->config : NULL;
	int64_t wait_ms = backoff_retry_ms(config ? config->retry_first : 5000,
					   config ? config->retry_longest : 900000, (uint32_t)tries,
					   loop_random(task->pipeline->loop));

	return gate_retry_wait(task, wait_ms > task->retry_after_ms ? wait_ms : task->retry_after_ms);
}

/*
 * What goes on for days must not fill the history: the same words are told ever more rarely, and in the end, where a wait for the
 * provider comes between two tries, even others.
 */
static bool is_retry_news(const char *why, int64_t tries, const char *words)
{
	bool is_other = !why || !words || strcmp(why, words) != 0;

	return (is_other && tries < MANY_TRIES) || (tries & (tries - 1)) == 0;
}

/* Counts a failure, and tells of it where that is news. */
static void note_failure(struct task *task, const char *words)
{
	bool is_shard = task->shard.id != 0;
	int64_t *tries = is_shard ? &task->shard.tries : &task->job.tries;

	++*tries;
	if (is_retry_news(is_shard ? task->shard.why : task->job.why, *tries, words))
		pipeline_tell(task->pipeline, &task->job, is_shard ? &task->shard : NULL,
			      is_shard ? "shard.retry" : "job.retry", "warning", words);
}

static void finish_try_again(struct task *task, const char *words)
{
	note_failure(task, words);
	postpone(task, retry_wait(task, task->shard.id ? task->shard.tries : task->job.tries), words);
}

static void finish_hopeless(struct task *task, const char *words)
{
	if (task->shard.id) {
		free(task->shard.refusal);
		task->shard.refusal = xstrdup(words);
		free(task->shard.refusal_code);
		task->shard.refusal_code = take(task->refusal_code);
		pipeline_shard_state(task->pipeline, &task->job, &task->shard, SHARD_ENDED, words);
	} else {
		pipeline_job_state(task->pipeline, &task->job, JOB_FAILED, words);
	}
}

/* A step that was run and got somewhere is no deadly one. One that fails, and fails, may be: between two deaths. */
static void forget_deaths(const struct task *task, enum task_outcome outcome)
{
	if (task->pipeline->has_deaths && task->is_begun && outcome == TASK_NOT_YET)
		store_death_forget(task->pipeline->store, task->job.id, task->shard.number);
}

void task_finish(struct task *task, enum task_outcome outcome, const char *words)
{
	forget_deaths(task, outcome);
	if (refresh_job(task))
		switch (outcome) {
		case TASK_DONE:
			finish_done(task, words);
			break;
		case TASK_NOT_YET:
			postpone(task, task->wait_ms, words);
			break;
		case TASK_TRY_AGAIN:
			finish_try_again(task, words);
			break;
		case TASK_HOPELESS:
			finish_hopeless(task, words);
			break;
		}
	task_end(task);
}

void task_go(struct task *task, enum shard_state state, const char *words)
{
	if (refresh_job(task)) {
		pipeline_shard_state(task->pipeline, &task->job, &task->shard, state, words);
		settle_job(task);
	}
	task_end(task);
}

void task_leave_be(struct task *task)
{
	task_end(task);
}

void task_wait_turn(struct task *task, const char *words)
{
	if (refresh_job(task)) {
		note_failure(task, words);
		postpone(task, 0, words);
	}
	task_end(task);
}

void task_fail(struct task *task, int code, const char *words)
{
	struct pipeline *pipeline = task->pipeline;
	bool is_known;

	if (code == -EIO)
		pipeline->callbacks.on_fatal(EXIT_IO, pipeline->callbacks.context);
	if (code != -EUCLEAN && code != -ENOENT) {
		task_finish(task, TASK_TRY_AGAIN, words);
		return;
	}
	/* The step, as it is run in a job that was cancelled, may do without what is damaged. */
	is_known = refresh_job(task);
	if (is_known && task->job.state == JOB_CANCELLING && !task->is_cancel_news) {
		task_give_up(task, words);
		return;
	}
	/* Damage does not heal by waiting: a person must look. */
	log_error("a job's files are damaged, it is held", log_number("JOB", task->job.id),
		  log_number("SHARD", task->shard.number), log_text("STEP", task->step->name));
	if (is_known) {
		pipeline_tell(pipeline, &task->job, task->shard.id ? &task->shard : NULL, "job.note", "error", words);
		postpone(task, -1, words);
	}
	task_end(task);
}

void task_finish_answer(struct task *task, const struct api_answer *answer)
{
	task->retry_after_ms = answer->retry_after_ms;
	switch (answer->verdict) {
	case API_OK:
		task_finish(task, TASK_DONE, NULL);
		break;
	case API_REFUSED:
	case API_TOO_LARGE:
		task->refusal_code = xstrdup(answer->code);
		task_finish(task, TASK_HOPELESS, answer->words);
		break;
	case API_AGAIN:
	case API_FULL:
	case API_DOUBT:
	case API_GONE:
	case API_PAUSE:
		task_finish(task, TASK_TRY_AGAIN, answer->words);
		break;
	}
}

void task_tell(struct task *task, const char *type, const char *level, const char *words)
{
	pipeline_tell(task->pipeline, &task->job, task->shard.id ? &task->shard : NULL, type, level, words);
}

struct loop *task_loop(const struct task *task)
{
	return task->pipeline->loop;
}

struct store *task_store(const struct task *task)
{
	return task->pipeline->store;
}

struct vault *task_vault(const struct task *task)
{
	return task->pipeline->vault;
}

int64_t task_now(const struct task *task)
{
	return loop_now_ms(task->pipeline->loop);
}

void task_enter(const struct task *task)
{
	note_enter(task->pipeline->note, task->job.id, task->shard.number, task->step->name);
}

void task_leave(const struct task *task)
{
	note_leave(task->pipeline->note);
}

void task_work(struct task *task, int (*slice)(struct task *task, struct error *err),
	       void (*on_sliced)(struct task *task))
{
	task->slice = slice;
	task->on_sliced = on_sliced;
	loop_timer_set(task->pipeline->worker, 0);
}

/* What is to be sent waits for its turn. What may be at the provider already counts there, and is not held up. */
static void place(struct task *task, struct shard *shard)
{
	int64_t now = task_now(task);
	auto_job job = { 0 };

	if ((shard->state != SHARD_CUT && shard->state != SHARD_UPLOADED) ||
	    store_job_get(task_store(task), task->job.id, &job))
		return;
	if (!place_is_unsent(shard)) {
		shard->admitted_at = now;
		shard->reserved_tokens = shard->tokens;
		budget_reserve(task_store(task), providers_config(task->pipeline->providers), &job, shard, now);
	} else {
		place_give_back(&job, shard, shard->due_at, now);
	}
}

void task_add_shard(struct task *task, const struct shard *shard, int64_t due_in_ms)
{
	auto_free char *marker = shard->marker ? xstrdup(shard->marker) : task_marker(task->pipeline->loop);
	struct shard copy = *shard;

	copy.job = task->job.id;
	copy.marker = marker;
	if (!copy.provider)
		copy.provider = task->shard.id ? task->shard.provider : task->job.provider;
	copy.due_at = shard_is_ended(shard->state) ? 0 : task_now(task) + due_in_ms;
	place(task, &copy);
	(void)store_shard_add(task->pipeline->store, &copy);
}

int task_next_number(struct task *task, int64_t *ret_number, struct error *err)
{
	int64_t count = 0;
	/* Shards are numbered without gaps and never removed one by one. */
	int r = store_shard_count(task->pipeline->store, task->job.id, &count, NULL);

	if (r)
		return error_set(err, r, "the job's shards cannot be counted");
	*ret_number = count + 1;
	return 0;
}

bool task_is_cancelled(struct task *task)
{
	auto_job job = { 0 };

	return store_job_get(task->pipeline->store, task->job.id, &job) == 0 && job.state != JOB_RUNNING;
}

bool task_counts(struct task *task)
{
	auto_job job = { 0 };

	return store_job_get(task->pipeline->store, task->job.id, &job) == 0 && job.state == task->job.state;
}

bool task_update_job(struct task *task, void (*update)(struct job *job, void *context), void *context)
{
	struct job job;

	if (store_job_get(task_store(task), task->job.id, &job))
		return false;
	if (job.state != task->job.state && !task->shard.id) {
		job_release(&job);
		return false;
	}
	update(&job, context);
	store_job_save(task_store(task), &job);
	job_release(&job);
	return true;
}

char *task_marker(struct loop *loop)
{
	return xasprintf("%016" PRIx64 "%08" PRIx32, loop_random(loop), (uint32_t)loop_random(loop));
}

