/*
 * The rows of a shard that did no work, and may do better, pass to new shards; it is DROPPED then,
 * so that no state goes back and no marker is used twice. Inside of the pipeline.
 */
#ifndef BATCHD_WORK_REDO_H
#define BATCHD_WORK_REDO_H

#include <stdint.h>

#include "daemon/model/job.h"

struct task;

/*
 * Ends the task: all of the rows go to one shard, born UPLOADED with the same file, or CUT, to be
 * sent anew, after wait_ms. words: why.
 */
void redo_same(struct task *task, enum shard_state born, int64_t wait_ms, const char *words);
/* The same for a batch that the provider's queue had no room for: no failure, so it waits for its turn for as long as it takes. */
void redo_waiting(struct task *task, const char *words);

/*
 * The same for a shard that never had a batch, by a person's word: at once, with the same file where it has one. Should a batch of it
 * appear for all that, it is a twin of the new shard's.
 */
void redo_settled(struct task *task, const char *words);

/*
 * Ends the task of a shard that is too large for the provider: each half of the rows goes to a
 * shard of its own, at once. One row alone is refused, with these words and this code (or NULL).
 */
void redo_halves(struct task *task, const char *words, const char *code);

#endif
