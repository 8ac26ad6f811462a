/*
 * When a job is sent: not before its time, nor before another job has ended, nor while it is on hold; and not beyond its deadline. All of
 * it are facts in the job's row, looked at again whenever something of the job is about to begin: no wait is kept but as a due time.
 *
 * On hold nothing more of a job is sent. What waits in the queue is parked; what was let go and cannot have been created gives its place
 * back, at once or as soon as the step that it is in has ended; a new shard is born parked. What may be at the provider goes on, and is
 * collected. To be on hold is no state: none goes back when it is released.
 *
 * A deadline ends a job as a cancel does: what was paid for is kept, requests without an answer end as expired. Whichever of the two comes
 * first, the other changes nothing any more: a job whose deadline passed ends EXPIRED, though it is cancelled then, and one that was
 * cancelled ends CANCELLED. A job whose shards have all ended is beyond its deadline: its results are being written.
 */
#ifndef BATCHD_WORK_ORDER_H
#define BATCHD_WORK_ORDER_H

#include <stdbool.h>
#include <stdint.h>

struct job;
struct pipeline;
struct shard;
struct task;

/* --- words of people; uid is whose word it is. Durable with this turn's commit --- */

/* 0, also when it is so already; -EALREADY: the job has ended; -EBUSY: it is being cancelled; -ENOENT, or another errno. */
int order_hold(struct pipeline *pipeline, int64_t job, int64_t uid);
int order_release(struct pipeline *pipeline, int64_t job, int64_t uid);

/* What is to be changed in a job; -1: nothing. */
struct order_change {
	int64_t priority;
	int64_t budget_tokens; /* 0: no bound */
	int64_t budget_cost;
};
/* The same errors. Its waiting shards stand where the new priority says. */
int order_change(struct pipeline *pipeline, int64_t job, const struct order_change *change, int64_t uid);

/* --- the clock --- */

/* Ends jobs whose deadline has passed. Returns whether there may be more of them. */
bool order_run_deadlines(struct pipeline *pipeline, int64_t now);

/* --- inside of the pipeline --- */

/* Whether a job that is valid shall not be cut yet: then the task has ended, and its step is due when that may change. */
bool order_waits(struct task *task);
/* Whether the job of a shard that would be sent is on hold: then the task has ended, and the shard is parked. */
bool order_parks(struct task *task);
/* Whether the job is on hold, as the store knows it now. */
bool order_is_on_hold(const struct task *task);
/* Before a shard is saved, as it is after a step: settles its budget if it ended or has no place any more, parks it if its job is on hold. */
void order_place(struct pipeline *pipeline, const struct job *job, struct shard *shard);

#endif
