#include "daemon/work/scheduler.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/work/admission.h"
#include "daemon/work/gate.h"
#include "daemon/work/mover.h"
#include "daemon/work/order.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"
#include "daemon/work/sweep.h"

/* Steps under way at once; the rest waits on disk. */
#define MAX_ACTIVE 32
/* Due rows looked at beyond those under way: those that may not begin yet must not hide those that may. */
#define LOOK_AHEAD 1024
/* Each provider's transfers are looked at by themselves so often, if they must be. */
#define HIDDEN_EVERY_MS 1000
/* The longest sleep: after a jump of the clock nothing is later than this. */
#define MAX_SLEEP_MS 60000
/* What cannot be read now may be read then. */
#define UNREAD_SLEEP_MS 1000
/* A wall clock that moved so far from the other one was set. */
#define CLOCK_STEP_MS 30000
/* No step waits longer: Retry-After is heeded up to a day. */
#define LONGEST_WAIT_MS (48 * 60 * 60 * INT64_C(1000))

struct noted {
	struct store_due due;
	const struct provider *provider; /* NULL: none, or not known */
};

struct scheduler {
	struct loop *loop;
	struct store *store;
	struct providers *providers;
	struct pipeline *pipeline;
	struct admission *admission;
	struct sweeps *sweeps;
	struct mover *mover;
	struct loop_timer *timer;
	int64_t failed_commits; /* that are known */
	bool is_crowded;	/* more transfers are due than were looked at */
	int64_t hidden_at;	/* when each provider's transfers were looked at by themselves */
	bool is_stepped;	/* the clock was set by step, and what that changes is not on disk yet */
	int64_t step;
	int64_t offset; /* of the wall clock from the one that never jumps, in milliseconds */
	struct noted due[MAX_ACTIVE + LOOK_AHEAD];
	size_t count;
};

static void note_due(const struct store_due *due, void *context)
{
	struct scheduler *scheduler = context;

	scheduler->due[scheduler->count++] = (struct noted){
		.due = { .job = due->job, .shard = due->shard, .due_at = due->due_at, .state = due->state },
		.provider = due->provider ? providers_find(scheduler->providers, due->provider) : NULL,
	};
}

/* Whether a commit has failed since this was asked last. */
static bool has_failed(struct scheduler *scheduler)
{
	int64_t before = scheduler->failed_commits;

	scheduler->failed_commits = store_failed_commits(scheduler->store);
	return scheduler->failed_commits != before;
}

static void sleep_until_next(struct scheduler *scheduler, int64_t now, bool is_read, int64_t most_ms, int64_t admission_at,
			     bool is_stored)
{
	int64_t next = 0;

	if (!is_read || store_next_due(scheduler->store, now, &next))
		next = now + UNREAD_SLEEP_MS;
	else if (!next || next - now > MAX_SLEEP_MS)
		next = now + MAX_SLEEP_MS;
	if (next - now > most_ms)
		next = now + most_ms;
	/* What ran may have brought somebody into the queue, or out of the way; unless the disk took it not, and would not again. */
	if (admission_is_behind(scheduler->admission) || admission_at < now)
		next = is_stored ? now : now + UNREAD_SLEEP_MS;
	else if (admission_at < next)
		next = admission_at;
	loop_timer_set(scheduler->timer, next - now);
}

/* A turn that was not stored is made up for by the next: else a deadline would be taken for one that has passed. */
static void on_step_stored(int result, void *context)
{
	struct scheduler *scheduler = context;

	if (result)
		return;
	scheduler->is_stepped = false;
	scheduler->step = 0;
}

/* Whether the clock was set while nobody ran cannot be told: then the step is 0. */
static void apply_step(struct scheduler *scheduler, int64_t now)
{
	store_after_commit(scheduler->store, on_step_stored, scheduler);
	store_clock_stepped(scheduler->store, now, scheduler->step < 0 ? now : now + LONGEST_WAIT_MS);
	/* A deadline is a time that passes, and no time of the day; and an end is not undone. */
	store_deadline_shift(scheduler->store, scheduler->step);
}

/*
 * A wall clock that was set makes times on disk lie: what was due soon may be due next year, and a wait that had to pass may seem to have
 * passed. The clock that never jumps tells.
 */
static void check_clock(struct scheduler *scheduler, int64_t now)
{
	int64_t offset = now - loop_monotonic_us(scheduler->loop) / 1000;
	int64_t step = offset - scheduler->offset;

	scheduler->offset = offset;
	if (step <= -CLOCK_STEP_MS || step >= CLOCK_STEP_MS) {
		log_warning("the clock was set; waits are counted anew", log_number("IN_MS", step));
		scheduler->step += step;
		scheduler->is_stepped = true;
	}
	if (scheduler->is_stepped)
		apply_step(scheduler, now);
}

static size_t limit_of(const struct scheduler *scheduler)
{
	return pipeline_active(scheduler->pipeline) + LOOK_AHEAD;
}

static void run_noted(struct scheduler *scheduler)
{
	for (size_t i = 0; i < scheduler->count && pipeline_active(scheduler->pipeline) < MAX_ACTIVE; i++) {
		const struct noted *noted = &scheduler->due[i];

		/* Of thousands that wait for the same few places each would be read in vain, whenever one of them ends. */
		if (gate_may_have_room(scheduler->pipeline, noted->due.state, noted->provider))
			(void)pipeline_run(scheduler->pipeline, &noted->due);
	}
}

/* False: what is due could not be read, or not all of it. */
static bool run_due(struct scheduler *scheduler, int64_t now)
{
	int r;

	scheduler->count = 0;
	r = store_due(scheduler->store, now, limit_of(scheduler), note_due, scheduler);
	run_noted(scheduler);
	return r == 0;
}

/* The same of those to or from one provider, or (NULL) any. *ret_is_all: no more are due than were looked at. */
static bool run_transfers(struct scheduler *scheduler, const char *provider, int64_t now, bool *ret_is_all)
{
	size_t limit = limit_of(scheduler);
	int r;

	scheduler->count = 0;
	r = store_due_transfers(scheduler->store, provider, now, limit, note_due, scheduler);
	*ret_is_all = scheduler->count < limit;
	run_noted(scheduler);
	return r == 0;
}

/*
 * One slow provider may have so many due that nobody else's was among those that were looked at. Whoever has few is found behind all of
 * them, so that is not done at every turn.
 */
static bool run_all_transfers(struct scheduler *scheduler, int64_t now)
{
	const struct provider *provider;
	bool is_all, is_read = run_transfers(scheduler, NULL, now, &is_all), ignored;

	scheduler->is_crowded = !is_all;
	if (is_all || (now >= scheduler->hidden_at && now < scheduler->hidden_at + HIDDEN_EVERY_MS))
		return is_read;
	scheduler->hidden_at = now;
	for (size_t i = 0; is_read && (provider = providers_at(scheduler->providers, i)); i++)
		if (provider->transfers < provider->config->max_transfers &&
		    pipeline_active(scheduler->pipeline) < MAX_ACTIVE)
			is_read = run_transfers(scheduler, provider->config->name, now, &ignored);
	return is_read;
}

static void on_time(void *context)
{
	struct scheduler *scheduler = context;
	int64_t now = loop_now_ms(scheduler->loop);
	int64_t moves_in, admission_at;
	bool is_stored = !has_failed(scheduler);
	int64_t failed_reads = store_failed_reads(scheduler->store);
	bool is_read;
	bool has_more;

	check_clock(scheduler, now);
	has_more = order_run_deadlines(scheduler->pipeline, now);
	moves_in = mover_run(scheduler->mover, now);
	admission_at = admission_run(scheduler->admission, now);
	sweeps_run(scheduler->sweeps, now);
	is_read = run_due(scheduler, now);
	is_read &= run_all_transfers(scheduler, now);
	is_read &= store_failed_reads(scheduler->store) == failed_reads;
	if (scheduler->is_crowded && moves_in > HIDDEN_EVERY_MS)
		moves_in = HIDDEN_EVERY_MS;
	sleep_until_next(scheduler, now, is_read, moves_in, admission_at, is_stored);
	if (has_more && is_stored)
		scheduler_kick(scheduler);
}

static void on_wake(void *context)
{
	scheduler_kick(context);
}

struct scheduler *scheduler_new(struct loop *loop, struct store *store, struct providers *providers,
				struct pipeline *pipeline)
{
	struct scheduler *scheduler = xcalloc(1, sizeof(*scheduler));

	scheduler->loop = loop;
	scheduler->store = store;
	scheduler->admission = admission_new(store, providers);
	scheduler->providers = providers;
	scheduler->pipeline = pipeline;
	scheduler->mover = mover_new(store, providers, pipeline);
	scheduler->timer = loop_timer_new(loop, on_time, scheduler);
	scheduler->sweeps = sweeps_new(loop, store, providers, pipeline, on_wake, scheduler);
	scheduler->offset = loop_now_ms(loop) - loop_monotonic_us(loop) / 1000;
	scheduler->is_stepped = true;
	apply_step(scheduler, loop_now_ms(loop));
	scheduler_kick(scheduler);
	return scheduler;
}

void scheduler_free(struct scheduler *scheduler)
{
	if (!scheduler)
		return;
	sweeps_free(scheduler->sweeps);
	loop_timer_free(scheduler->timer);
	mover_free(scheduler->mover);
	admission_free(scheduler->admission);
	free(scheduler);
}

void scheduler_kick(struct scheduler *scheduler)
{
	loop_timer_set(scheduler->timer, 0);
}
