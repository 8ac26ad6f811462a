/* Why a shard of a job does not move, and until when: computed when somebody asks, of what it and its provider say now. */
#ifndef BATCHD_WORK_WHY_H
#define BATCHD_WORK_WHY_H

#include <stdint.h>

struct job;
struct providers;
struct shard;
struct store;

/*
 * One phrase, or NULL where it waits for nothing that is known; the caller frees. *ret_until: Unix milliseconds, 0 where that is not
 * known: the time at which a batch is looked at again is not the end of its wait. providers tells of calls that may not be made now.
 */
char *why_shard(struct store *store, struct providers *providers, const struct job *job, const struct shard *shard,
		int64_t now, int64_t *ret_until);

#endif
