#include "daemon/work/place.h"

#include "daemon/model/job.h"

/* A shard of a job that shall end goes on by itself, to that end. */
static bool goes_on(const struct job *job)
{
	return job->state == JOB_VALID || job->state == JOB_RUNNING;
}

bool place_is_unsent(const struct shard *shard)
{
	return (shard->state == SHARD_CUT || shard->state == SHARD_UPLOADED) && !shard->intended_at;
}

bool place_is_missing(const struct job *job, const struct shard *shard)
{
	return shard->id && place_is_unsent(shard) && !shard->admitted_at && goes_on(job);
}

void place_give_back(const struct job *job, struct shard *shard, int64_t due_at, int64_t now)
{
	shard->admitted_at = 0;
	shard->reserved_tokens = 0;
	shard->due_at = due_at;
	shard->queue = SHARD_FREE;
	if (!goes_on(job) || !due_at || due_at > now)
		return;
	shard->queue = job->is_on_hold ? SHARD_PARKED : SHARD_WAITING;
}
