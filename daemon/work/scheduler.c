#include "daemon/work/scheduler.h"

#include <stdint.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/work/pipeline.h"

/* Steps under way at once; the rest waits on disk. */
#define MAX_ACTIVE 256
/* Due rows looked at beyond those under way: those that may not begin yet must not hide those that may. */
#define LOOK_AHEAD 1024
/* The longest sleep: after a jump of the clock nothing is later than this. */
#define MAX_SLEEP_MS 60000

struct scheduler {
	struct loop *loop;
	struct store *store;
	struct pipeline *pipeline;
	struct loop_timer *timer;
	struct store_due due[MAX_ACTIVE + LOOK_AHEAD];
	size_t count;
};

static void note_due(const struct store_due *due, void *context)
{
	struct scheduler *scheduler = context;

	scheduler->due[scheduler->count++] = *due;
}

static void sleep_until_next(struct scheduler *scheduler, int64_t now)
{
	int64_t next = 0;

	/* A store that cannot be read is asked again: without a timer nothing would ever be due. */
	if (store_next_due(scheduler->store, now, &next) || !next || next - now > MAX_SLEEP_MS)
		next = now + MAX_SLEEP_MS;
	loop_timer_set(scheduler->timer, next - now);
}

static void on_time(void *context)
{
	struct scheduler *scheduler = context;
	int64_t now = loop_now_ms(scheduler->loop);
	size_t limit = pipeline_active(scheduler->pipeline) + LOOK_AHEAD;

	scheduler->count = 0;
	if (limit > MAX_ACTIVE + LOOK_AHEAD)
		limit = MAX_ACTIVE + LOOK_AHEAD;
	(void)store_due(scheduler->store, now, limit, note_due, scheduler);
	for (size_t i = 0; i < scheduler->count; i++) {
		if (pipeline_active(scheduler->pipeline) >= MAX_ACTIVE)
			break;
		(void)pipeline_run(scheduler->pipeline, &scheduler->due[i]);
	}
	sleep_until_next(scheduler, now);
}

struct scheduler *scheduler_new(struct loop *loop, struct store *store, struct pipeline *pipeline)
{
	struct scheduler *scheduler = xcalloc(1, sizeof(*scheduler));

	scheduler->loop = loop;
	scheduler->store = store;
	scheduler->pipeline = pipeline;
	scheduler->timer = loop_timer_new(loop, on_time, scheduler);
	scheduler_kick(scheduler);
	return scheduler;
}

void scheduler_free(struct scheduler *scheduler)
{
	if (!scheduler)
		return;
	loop_timer_free(scheduler->timer);
	free(scheduler);
}

void scheduler_kick(struct scheduler *scheduler)
{
	loop_timer_set(scheduler->timer, 0);
}
