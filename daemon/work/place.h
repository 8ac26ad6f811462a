/*
 * A shard's place at its provider: what is to be sent waits in the queue until it is let go (work/admission), and has its place from then
 * on until it ends there, or until it must wait for something else: then others may go meanwhile.
 */
#ifndef BATCHD_WORK_PLACE_H
#define BATCHD_WORK_PLACE_H

#include <stdbool.h>
#include <stdint.h>

struct job;
struct shard;

/* Whether it is on its way to be sent, and nothing of it can be a batch yet. */
bool place_is_unsent(const struct shard *shard);
/* Whether it is to be sent, and nobody has let it go yet. What may be at the provider already counts there, and is not held up. */
bool place_is_missing(const struct job *job, const struct shard *shard);

/*
 * Gives back the place of a shard that was not sent, if it has one, and makes it wait: for its turn, or until due_at for what comes
 * before that (0: for a person). Nothing is written.
 */
void place_give_back(const struct job *job, struct shard *shard, int64_t due_at, int64_t now);

#endif
