/* What several of the steps at the provider do alike. Inside of the pipeline. */
#ifndef BATCHD_WORK_REMOTE_H
#define BATCHD_WORK_REMOTE_H

#include <stdint.h>

struct api_batch;
struct task;

/* Tells of a status that nobody knows, when it is new: whatever it means, it is no end. */
void remote_tell_unknown(struct task *task, const struct api_batch *batch);

/*
 * How long a queue that is full at the provider is left alone, when that was found so many times in
 * a row: a minute at first, an hour at most.
 */
int64_t remote_full_wait(struct task *task, int64_t times);

#endif
