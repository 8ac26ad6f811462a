#include "daemon/work/order.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/model/price.h"
#include "daemon/work/budget.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"
#include "daemon/work/task.h"

/* Jobs that a turn ends for their deadline. */
#define DEADLINES_A_TURN 128
/* Who waits for another job is woken when that ends; should that be missed, so much later. */
#define LOOK_AFTER_MS (60 * 60 * 1000)

/* The job, if a person may still change when it is sent. */
static int get_open(struct pipeline *pipeline, int64_t id, struct job *ret_job)
{
	struct job job;
	int r = store_job_get(pipeline->store, id, &job);

	if (r)
		return r;
	if (job_is_ended(job.state))
		r = -EALREADY;
	else if (job.state == JOB_CANCELLING)
		r = -EBUSY;
	if (r)
		job_release(&job);
	else
		*ret_job = job;
	return r;
}

static void tell(struct pipeline *pipeline, const struct job *job, const char *type, int64_t uid, const char *words)
{
	auto_free char *all = xasprintf("%s, by uid %" PRId64, words, uid);

	pipeline_tell(pipeline, job, NULL, type, "info", all);
}

/* --- hold and release --- */

static bool is_under_way(const struct pipeline *pipeline, int64_t shard)
{
	for (const struct task *task = pipeline->tasks; task; task = task->next)
		if (task->shard.id == shard)
			return true;
	return false;
}

/* A shard of which nothing can have been created. */
static bool is_unsent(const struct shard *shard)
{
	return (shard->state == SHARD_CUT || shard->state == SHARD_UPLOADED) && !shard->intended_at;
}

void order_place(struct pipeline *pipeline, const struct job *job, struct shard *shard)
{
	if (is_unsent(shard) && job->is_on_hold && job->state == JOB_RUNNING) {
		shard->queue = SHARD_PARKED;
		shard->admitted_at = 0;
		shard->reserved_tokens = 0;
	}
	if (shard_is_ended(shard->state) || (is_unsent(shard) && !shard->admitted_at))
		budget_settle(pipeline->store, providers_config(pipeline->providers), job, shard,
			      loop_now_ms(pipeline->loop));
}

/* Those that were let go and wait for their step. Whose step is under way is parked when that ends. */
static void park_placed(struct pipeline *pipeline, const struct job *job)
{
	int64_t number = 0;

	for (;;) {
		auto_shard shard = { 0 };

		if (store_queue_placed(pipeline->store, job->id, number, &shard))
			return;
		number = shard.number;
		if (is_under_way(pipeline, shard.id))
			continue;
		order_place(pipeline, job, &shard);
		store_shard_save(pipeline->store, &shard);
	}
}

int order_hold(struct pipeline *pipeline, int64_t id, int64_t uid)
{
	auto_job job = { 0 };
	int r = get_open(pipeline, id, &job);

	if (r || job.is_on_hold)
		return r;
	job.is_on_hold = true;
	/* It would only find out that it has to wait. */
	if (job.state == JOB_VALID && job.due_at) {
		job.due_at = 0;
		free(take(job.why));
	}
	store_job_save(pipeline->store, &job);
	store_queue_park(pipeline->store, id);
	if (job.state == JOB_RUNNING)
		park_placed(pipeline, &job);
	tell(pipeline, &job, "job.hold", uid, "put on hold");
	return 0;
}

int order_release(struct pipeline *pipeline, int64_t id, int64_t uid)
{
	auto_job job = { 0 };
	int r = get_open(pipeline, id, &job);

	if (r || !job.is_on_hold)
		return r;
	job.is_on_hold = false;
	/* One with a reason waits for another word, about what is held. */
	if (job.state == JOB_VALID && !job.due_at && !job.why)
		job.due_at = loop_now_ms(pipeline->loop);
	store_job_save(pipeline->store, &job);
	store_queue_release(pipeline->store, id);
	tell(pipeline, &job, "job.release", uid, "released");
	return 0;
}

/* --- other changes --- */

static void tell_tokens(struct buffer *words, int64_t tokens)
{
	if (tokens)
		buffer_add_format(words, "%sbudget %" PRId64 " tokens", words->size ? ", " : "", tokens);
	else
		buffer_add_format(words, "%sno budget of tokens", words->size ? ", " : "");
}

static void tell_cost(struct buffer *words, int64_t cost)
{
	auto_free char *text = price_show(cost);

	if (cost)
		buffer_add_format(words, "%sbudget %s", words->size ? ", " : "", text);
	else
		buffer_add_format(words, "%sno budget of money", words->size ? ", " : "");
}

/* Returns what is different then; nothing: an empty text. */
static void apply(struct job *job, const struct order_change *change, struct buffer *words)
{
	if (change->priority >= 0 && change->priority != job->priority) {
		buffer_add_format(words, "priority %" PRId64 " in place of %" PRId64, change->priority, job->priority);
		job->priority = change->priority;
	}
	if (change->budget_tokens >= 0 && change->budget_tokens != job->budget_tokens) {
		tell_tokens(words, change->budget_tokens);
		job->budget_tokens = change->budget_tokens;
	}
	if (change->budget_cost >= 0 && change->budget_cost != job->budget_cost) {
		tell_cost(words, change->budget_cost);
		job->budget_cost = change->budget_cost;
	}
}

int order_change(struct pipeline *pipeline, int64_t id, const struct order_change *change, int64_t uid)
{
	auto_buffer words = { 0 };
	auto_job job = { 0 };
	int64_t priority;
	int r = get_open(pipeline, id, &job);

	if (r)
		return r;
	priority = job.priority;
	apply(&job, change, &words);
	if (!words.size)
		return 0;
	store_job_save(pipeline->store, &job);
	if (job.priority != priority)
		store_queue_prioritize(pipeline->store, id, job.priority);
	tell(pipeline, &job, "job.set", uid, buffer_text(&words));
	return 0;
}

/* --- deadlines --- */

static void expire(struct pipeline *pipeline, int64_t id)
{
	auto_job job = { 0 };

	if (store_job_get(pipeline->store, id, &job))
		return;
	switch (job.state) {
	case JOB_ACCEPTED:
	case JOB_VALID:
		job.counts.expired = job.counts.total - job.counts.failed;
		job.is_expiring = true;
		pipeline_job_state(pipeline, &job, JOB_EXPIRED, "its deadline passed before anything was sent");
		break;
	case JOB_RUNNING:
		job.is_expiring = true;
		pipeline_wind_up(pipeline, &job, "its deadline has passed");
		break;
	case JOB_CANCELLING:
	case JOB_COMPLETED:
	case JOB_FAILED:
	case JOB_CANCELLED:
	case JOB_EXPIRED:
		break;
	}
}

struct passed {
	int64_t jobs[DEADLINES_A_TURN];
	size_t count;
};

static void note_passed(int64_t job, void *context)
{
	struct passed *passed = context;

	passed->jobs[passed->count++] = job;
}

bool order_run_deadlines(struct pipeline *pipeline, int64_t now)
{
	struct passed passed = { .count = 0 };

	if (pipeline->is_stopping ||
	    store_deadline_due(pipeline->store, now, DEADLINES_A_TURN, note_passed, &passed))
		return false;
	for (size_t i = 0; i < passed.count; i++)
		expire(pipeline, passed.jobs[i]);
	return passed.count == DEADLINES_A_TURN;
}

/* --- what steps ask --- */

static bool is_ended(struct store *store, int64_t id)
{
	auto_job job = { 0 };
	int r = store_job_get(store, id, &job);

	return r ? r == -ENOENT : job_is_ended(job.state);
}

bool order_waits(struct task *task)
{
	const struct job *job = &task->job;
	auto_free char *words = NULL;

	if (job->is_on_hold) {
		task->wait_ms = -1;
	} else if (job->begin_at > task_now(task)) {
		task->wait_ms = job->begin_at - task_now(task);
		words = xstrdup("waits for its time to begin");
	} else if (job->after_job && !is_ended(task_store(task), job->after_job)) {
		task->wait_ms = LOOK_AFTER_MS;
		words = xasprintf("waits for job %" PRId64 " to end", job->after_job);
	} else {
		return false;
	}
	task_finish(task, TASK_NOT_YET, words);
	return true;
}

bool order_is_on_hold(const struct task *task)
{
	auto_job job = { 0 };

	return store_job_get(task_store(task), task->job.id, &job) == 0 && job.is_on_hold;
}

bool order_parks(struct task *task)
{
	if (!task->job.is_on_hold || task->job.state != JOB_RUNNING)
		return false;
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
	return true;
}
