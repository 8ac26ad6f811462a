/*
 * What runs next, and when: an index on due_at in the store is the queue, and one timer waits for
 * its head. Nothing is kept here that would have to be kept true.
 */
#ifndef BATCHD_WORK_SCHEDULER_H
#define BATCHD_WORK_SCHEDULER_H

struct loop;
struct pipeline;
struct providers;
struct scheduler;
struct store;

struct scheduler *scheduler_new(struct loop *loop, struct store *store, struct providers *providers,
				struct pipeline *pipeline);
void scheduler_free(struct scheduler *scheduler);
/* Something may have become due: look in the next turn. Cheap, call it freely. */
void scheduler_kick(struct scheduler *scheduler);

#endif
