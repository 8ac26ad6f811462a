/*
 * Whether a shard's uploaded file may be made a batch of: where its provider takes a file in bit by
 * bit, a create that comes too early is refused, or fails hours later. Inside of the pipeline.
 */
#ifndef BATCHD_WORK_READY_H
#define BATCHD_WORK_READY_H

struct task;

/*
 * Asks for the file's status, where the provider's dialect wants that, and calls on_ready, maybe
 * before it returns; or ends the task: to ask again in a while, or, for a file that could not be
 * taken in, to upload it anew, a few times. After half an hour nobody waits any longer.
 */
void ready_await(struct task *task, void (*on_ready)(struct task *task));

#endif
