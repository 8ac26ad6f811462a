/*
 * Which records belong to a job, by what the store knows of it: those that it cannot do without, and
 * those that may be there.
 */
#ifndef BATCHD_WORK_NEEDS_H
#define BATCHD_WORK_NEEDS_H

#include <stdbool.h>
#include <stdint.h>

struct job;
struct shard;
struct store;

/* Whether a job needs its row index. */
bool needs_rows(const struct job *job, int64_t shard_count);
/* Whether what is known of a shard says that it must have this download ('o' or 'e'): it was fetched, and was not missed. */
bool needs_download(const struct shard *shard, char source);
/* Calls visit with the name of each record that the job cannot do without. 0, or a negative errno of the store. */
int needs_visit(struct store *store, const struct job *job, void (*visit)(const char *name, void *context),
		void *context);
/* Whether a file of this name may belong to a job of so many shards. */
bool needs_knows(const char *name, int64_t shard_count);

#endif
