/*
 * Rows that are to be tried again wait a little for others of the same model, url, provider and attempt, so
 * that many shards with a few failures each do not become many small batches. Inside of the
 * pipeline.
 */
#ifndef BATCHD_WORK_POOL_H
#define BATCHD_WORK_POOL_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/model/job.h"
#include "daemon/model/load.h"

struct error;
struct task;

/* Rows that go again; a zeroed struct and pool_release for those that do not. */
struct pool {
	struct shard fresh;    /* borrows its texts from the task's shard */
	struct shard waiting;  /* id 0: none to join, or it is full */
	bool is_joined;	       /* fresh has the rows of both; else waiting, if there is one, goes alone */
	struct load_limits limits;
};

/*
 * Looks for a shard that waits and has room for the rows of fresh, which names its provider, and whose member file is kept already as fresh->number, and joins
 * their rows in that file. The store still knows of nothing: on an error there is nothing to undo. The number must be free.
 */
int pool_join(struct pool *pool, struct task *task, const struct shard *fresh, struct error *err);
/*
 * Adds the shard, and drops the one that it was joined with. wait_ms: from now, before which its rows may not go. Beyond that it
 * waits for others, up to poll_longest, while shards are under way whose rows may join it, unless it is full.
 */
void pool_add(struct pool *pool, struct task *task, int64_t wait_ms);
void pool_release(struct pool *pool);

#endif
