#include "daemon/work/pool.h"

#include <errno.h>
#include <inttypes.h>
#include <stddef.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/work/limits.h"
#include "daemon/work/provider.h"
#include "daemon/work/split.h"
#include "daemon/work/task.h"

/* Rows that got nowhere more often in a row go alone: neither their patience nor their wait is that of others. */
#define MOST_REDONE 1

static struct load load_of(const struct shard *shard)
{
	return (struct load){
		.requests = shard->requests,
		.bytes = shard->bytes,
		.inputs = shard->inputs,
		.tokens = shard->tokens,
	};
}

static bool is_under_way(const struct task *task, int64_t shard)
{
	for (const struct task *other = task->pipeline->tasks; other; other = other->next)
		if (other->shard.id == shard)
			return true;
	return false;
}

/* Finds the shard that others are waiting in. */
static int find_waiting(struct pool *pool, const struct task *task, struct error *err)
{
	int r;

	if (pool->fresh.redone > MOST_REDONE)
		return 0;
	r = store_shard_waiting(task_store(task), &pool->fresh, MOST_REDONE, task_now(task), &pool->waiting);
	if (r)
		return r == -ENOENT ? 0 : error_set(err, r, "the shards of the job cannot be read");
	if (is_under_way(task, pool->waiting.id))
		shard_release(&pool->waiting);
	return 0;
}

int pool_join(struct pool *pool, struct task *task, const struct shard *fresh, struct error *err)
{
	struct load more = load_of(fresh);
	struct load load;
	int r;

	pool->fresh = *fresh;
	pool->fresh.job = task->job.id;
	limits_of_batch(task_store(task), providers_find(task->pipeline->providers, fresh->provider), fresh->model,
			&pool->limits);
	r = find_waiting(pool, task, err);
	load = load_of(&pool->waiting);
	if (r || !pool->waiting.id || !load_has_room(&pool->limits, &load, &more))
		return r;
	r = split_join(task_vault(task), task->job.id, pool->waiting.number, fresh->number, fresh->number, err);
	if (r)
		return r;
	pool->is_joined = true;
	pool->fresh.requests += pool->waiting.requests;
	pool->fresh.bytes += pool->waiting.bytes;
	pool->fresh.inputs += pool->waiting.inputs;
	pool->fresh.tokens += pool->waiting.tokens;
	if (pool->fresh.redone < pool->waiting.redone)
		pool->fresh.redone = pool->waiting.redone;
	if (pool->fresh.waits < pool->waiting.waits)
		pool->fresh.waits = pool->waiting.waits;
	return 0;
}

/* Whether another row, of the size of these, would not go in. */
static bool is_full(const struct pool *pool)
{
	struct load load = load_of(&pool->fresh);
	const struct load row = {
		.requests = 1,
		.bytes = load.bytes / load.requests,
		.inputs = load.inputs / load.requests,
		.tokens = load.tokens / load.requests,
	};

	return !load_has_room(&pool->limits, &load, &row);
}

/* Whether other shards are under way whose rows may come to these: those that were not tried more often than the task's own. */
static bool has_others(const struct task *task)
{
	int64_t busy = 0;

	/* The task's own is one of them, until it ends with this turn. */
	return !store_shard_busy(task_store(task), &task->shard, task_now(task), &busy) && busy > 1;
}

static int64_t longest_wait(const struct task *task)
{
	return task->provider ? task->provider->config->poll_longest : 0;
}

static void drop_joined(struct pool *pool, struct task *task)
{
	auto_free char *words = xasprintf("its requests wait with others in shard %" PRId64, pool->fresh.number);

	pipeline_shard_state(task->pipeline, &task->job, &pool->waiting, SHARD_DROPPED, words);
}

void pool_add(struct pool *pool, struct task *task, int64_t wait_ms)
{
	int64_t now = task_now(task);
	int64_t due_in = wait_ms;

	if (!is_full(pool) && has_others(task) && due_in < longest_wait(task))
		due_in = longest_wait(task);
	if (pool->is_joined) {
		if (pool->waiting.due_at < now + due_in)
			due_in = pool->waiting.due_at - now;
		drop_joined(pool, task);
	} else if (pool->waiting.id) {
		/* Full: it waits for nobody any more. */
		pool->waiting.due_at = now;
		store_shard_save(task_store(task), &pool->waiting);
	}
	task_add_shard(task, &pool->fresh, task_is_cancelled(task) ? 0 : due_in);
}

void pool_release(struct pool *pool)
{
	shard_release(&pool->waiting);
	*pool = (struct pool){ 0 };
}
