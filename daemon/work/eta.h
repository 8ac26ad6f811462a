/*
 * How long batches of a provider take, learned from those that ended (model/turnaround) and kept in the store; from it, when to look at
 * one, and when a shard or a job will be done. Nothing is said where nothing is known: a number that is made up is worse than none.
 */
#ifndef BATCHD_WORK_ETA_H
#define BATCHD_WORK_ETA_H

#include <stdint.h>

struct config_provider;
struct job;
struct shard;
struct store;

/* A shard's batch has completed at now. */
void eta_learn(struct store *store, const struct shard *shard, int64_t now);
/* When to look at it next, by what was learned; -1: nothing was. */
int64_t eta_wait_ms(struct store *store, const struct config_provider *config, const struct shard *shard, int64_t now);
/*
 * In how many seconds its batch will have ended; -1: not known, because it has none yet, because too few like it have ended, or
 * because it has taken longer than any of them.
 */
int64_t eta_of_shard(struct store *store, const struct shard *shard, int64_t now);
/* The same for the last of a job's shards; -1 too while any of its requests waits to be sent. What may have to be tried again is not in it. */
int64_t eta_of_job(struct store *store, const struct job *job, int64_t now);

#endif
