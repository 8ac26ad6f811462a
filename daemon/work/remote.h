/* What several of the steps at the provider do alike. Inside of the pipeline. */
#ifndef BATCHD_WORK_REMOTE_H
#define BATCHD_WORK_REMOTE_H

#include <stdint.h>

struct api_batch;
struct task;

/* Tells of a status that nobody knows, when it is new: whatever it means, it is no end. */
void remote_tell_unknown(struct task *task, const struct api_batch *batch);

/* Whether the status says that the batch was taken up: then what was said of a full queue before it is over. */
void remote_note_accepted(struct task *task, const struct api_batch *batch);

/*
 * Ends the task of a shard that the provider's queue had no room for, by the answer to a call or by what became of its batch: its rows wait
 * for their turn, with the file that is uploaded, or in halves. No failure, and no attempt. retry_after_ms: what was asked for; -1: nothing.
 */
void remote_finish_full(struct task *task, const char *words, const char *code, int64_t retry_after_ms);

#endif
