#include "daemon/model/job.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char *const job_names[JOB_STATE_COUNT] = {
	[JOB_ACCEPTED]   = "accepted",
	[JOB_VALID]      = "valid",
	[JOB_RUNNING]    = "running",
	[JOB_CANCELLING] = "cancelling",
	[JOB_COMPLETED]  = "completed",
	[JOB_FAILED]     = "failed",
	[JOB_CANCELLED]  = "cancelled",
	[JOB_EXPIRED]    = "expired",
};

static const char *const shard_names[SHARD_STATE_COUNT] = {
	[SHARD_CUT]       = "cut",
	[SHARD_UPLOADED]  = "uploaded",
	[SHARD_CREATED]   = "created",
	[SHARD_ENDED]     = "ended",
	[SHARD_FETCHED]   = "fetched",
	[SHARD_COLLECTED] = "collected",
	[SHARD_UNCERTAIN] = "uncertain",
	[SHARD_DROPPED]   = "dropped",
	[SHARD_CANCELLED] = "cancelled",
};

#define TO(state) (1u << (state))

static const unsigned job_arrows[JOB_STATE_COUNT] = {
	[JOB_ACCEPTED]   = TO(JOB_VALID) | TO(JOB_FAILED) | TO(JOB_CANCELLED) | TO(JOB_EXPIRED),
	[JOB_VALID]      = TO(JOB_RUNNING) | TO(JOB_CANCELLED) | TO(JOB_EXPIRED),
	[JOB_RUNNING]    = TO(JOB_COMPLETED) | TO(JOB_CANCELLING) | TO(JOB_FAILED),
	[JOB_CANCELLING] = TO(JOB_CANCELLED) | TO(JOB_FAILED) | TO(JOB_EXPIRED),
	[JOB_COMPLETED]  = 0,
	[JOB_FAILED]     = 0,
	[JOB_CANCELLED]  = 0,
	[JOB_EXPIRED]    = 0,
};

static const unsigned shard_arrows[SHARD_STATE_COUNT] = {
	[SHARD_CUT]       = TO(SHARD_UPLOADED) | TO(SHARD_CREATED) | TO(SHARD_ENDED) | TO(SHARD_UNCERTAIN) |
			    TO(SHARD_DROPPED) | TO(SHARD_CANCELLED),
	[SHARD_UPLOADED]  = TO(SHARD_CREATED) | TO(SHARD_ENDED) | TO(SHARD_UNCERTAIN) | TO(SHARD_CANCELLED) |
			    TO(SHARD_DROPPED),
	[SHARD_CREATED]   = TO(SHARD_ENDED) | TO(SHARD_DROPPED),
	[SHARD_ENDED]     = TO(SHARD_FETCHED),
	[SHARD_FETCHED]   = TO(SHARD_COLLECTED) | TO(SHARD_CANCELLED),
	[SHARD_COLLECTED] = 0,
	[SHARD_UNCERTAIN] = TO(SHARD_CREATED) | TO(SHARD_DROPPED) | TO(SHARD_CANCELLED),
	[SHARD_DROPPED]   = 0,
	[SHARD_CANCELLED] = 0,
};
/* clang-format on */

const char *job_state_name(enum job_state state)
{
	return job_names[state];
}

const char *shard_state_name(enum shard_state state)
{
	return shard_names[state];
}

int job_state_parse(const char *name, enum job_state *ret_state)
{
	for (unsigned state = 0; state < JOB_STATE_COUNT; state++)
		if (strcmp(job_names[state], name) == 0) {
			*ret_state = (enum job_state)state;
			return 0;
		}
	return -EINVAL;
}

const char *job_status(const struct job *job)
{
	switch (job->state) {
	case JOB_ACCEPTED:
		return "validating";
	case JOB_VALID:
	case JOB_RUNNING:
		return job->finalizing_at ? "finalizing" : "in_progress";
	case JOB_CANCELLING:
	case JOB_COMPLETED:
	case JOB_FAILED:
	case JOB_CANCELLED:
	case JOB_EXPIRED:
		return job_names[job->state];
	}
	return "in_progress";
}

bool job_is_ended(enum job_state state)
{
	return job_arrows[state] == 0;
}

bool shard_is_ended(enum shard_state state)
{
	return shard_arrows[state] == 0;
}

bool job_may_go(enum job_state from, enum job_state to)
{
	return job_arrows[from] & TO(to);
}

bool shard_may_go(enum shard_state from, enum shard_state to)
{
	return shard_arrows[from] & TO(to);
}

void job_release(struct job *job)
{
	free(job->endpoint);
	free(job->window);
	free(job->metadata);
	free(job->file_name);
	free(job->provider);
	free(job->errors);
	free(job->why);
	free(job->labels);
	free(job->model);
	free(job->providers);
	*job = (struct job){ 0 };
}

void shard_release(struct shard *shard)
{
	free(shard->model);
	free(shard->url);
	free(shard->marker);
	free(shard->provider_file);
	free(shard->batch_id);
	free(shard->remote_status);
	free(shard->remote_output);
	free(shard->remote_error);
	free(shard->refusal);
	free(shard->refusal_code);
	free(shard->why);
	free(shard->provider);
	*shard = (struct shard){ 0 };
}
