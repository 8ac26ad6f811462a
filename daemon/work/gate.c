#include "daemon/work/gate.h"

#include <stddef.h>

#include "daemon/io/config.h"
#include "daemon/work/place.h"
#include "daemon/work/provider.h"
#include "daemon/work/task.h"

/* Shards whose answers are being collected: each has its rows in memory, and many at once are not faster. */
#define MAX_COLLECTS 4

enum api_call gate_first_call(const struct job *job, const struct shard *shard)
{
	switch (shard->state) {
	case SHARD_CUT:
		return shard->intended_at ? API_LIST : API_UPLOAD;
	case SHARD_UPLOADED:
		return shard->intended_at ? API_LIST : API_CREATE;
	case SHARD_CREATED:
		return job->state == JOB_CANCELLING && !shard->is_cancel_sent ? API_CANCEL : API_RETRIEVE;
	case SHARD_ENDED:
		return API_CONTENT;
	case SHARD_UNCERTAIN:
	case SHARD_FETCHED:
	case SHARD_COLLECTED:
	case SHARD_DROPPED:
	case SHARD_CANCELLED:
		break;
	}
	return API_RETRIEVE;
}

static enum api_call first_call(const struct task *task)
{
	enum api_call call = gate_first_call(&task->job, &task->shard);

	return call == API_RETRIEVE && task->shard.state == SHARD_CREATED && lookup_is_due(task, false) ? API_LIST : call;
}

static bool is_upload(const struct task *task)
{
	return task->shard.id && task->step->next == SHARD_UPLOADED;
}

static bool is_collect(const struct task *task)
{
	return task->shard.id && task->shard.state == SHARD_FETCHED;
}

static size_t count_collects(const struct task *task)
{
	size_t count = 0;

	for (; task; task = task->next)
		count += is_collect(task);
	return count;
}

/* How long it waits in the line of its provider. */
static int64_t line_up(struct task *task, bool is_failed)
{
	int64_t now = task_now(task);
	int64_t at = provider_line_up(task->provider, first_call(task), is_failed, now);

	return at > now ? at - now : 0;
}

bool gate_needs_provider(const struct job *job, const struct shard *shard)
{
	if (!shard->id || shard->state == SHARD_FETCHED || place_is_missing(job, shard))
		return false;
	if (shard->state == SHARD_UNCERTAIN)
		return shard->word == SHARD_WORD_BATCH;
	if (shard->state == SHARD_ENDED)
		return shard->remote_output || shard->remote_error;
	return job->state == JOB_RUNNING || shard->intended_at ||
	       !(shard->state == SHARD_CUT || shard->state == SHARD_UPLOADED);
}

/* A poll whose answer stood in the list asks nobody. */
static bool calls_provider(const struct task *task)
{
	return gate_needs_provider(&task->job, &task->shard) && !task->told;
}

bool gate_may_have_room(const struct pipeline *pipeline, enum shard_state state, const struct provider *provider)
{
	if (state == SHARD_FETCHED)
		return count_collects(pipeline->tasks) < MAX_COLLECTS;
	return state != SHARD_ENDED || !provider || provider->transfers < provider->config->max_transfers;
}

/* Answers that are paid for must never wait behind what is yet to be sent. */
bool gate_has_room(const struct task *task)
{
	const struct provider *provider = task->provider;
	int64_t most;

	if (is_collect(task) && count_collects(task->pipeline->tasks) >= MAX_COLLECTS)
		return false;
	if (!provider || !task->step->is_transfer || !gate_needs_provider(&task->job, &task->shard))
		return true;
	most = provider->config->max_transfers;
	return provider->transfers < most && !(is_upload(task) && provider->uploads >= (most > 1 ? most / 2 : 1));
}

bool gate_must_wait(struct task *task, const char **ret_why)
{
	struct provider_wait wait;

	if (!calls_provider(task) || provider_may_call(task->provider, first_call(task), task_now(task), &wait))
		return false;
	task->wait_ms = line_up(task, false);
	*ret_why = wait.why;
	return true;
}

int64_t gate_retry_wait(struct task *task, int64_t own_ms)
{
	int64_t now = task_now(task), wait_ms;

	if (!task->provider || !gate_needs_provider(&task->job, &task->shard) ||
	    provider_may_call(task->provider, first_call(task), now, NULL))
		return own_ms;
	wait_ms = line_up(task, true);
	/* Of one that fails by itself alone, while others do not, each next try is later. */
	return provider_is_ill(task->provider, now) && own_ms > wait_ms ? own_ms : wait_ms;
}

void gate_enter(struct task *task)
{
	struct provider *provider = task->provider;

	if (!provider)
		return;
	task->is_transfer = task->step->is_transfer;
	task->is_upload = is_upload(task);
	provider->transfers += task->is_transfer;
	provider->uploads += task->is_upload;
	if (calls_provider(task))
		task->is_probe = provider_enter(provider, first_call(task), task_now(task));
}

void gate_leave(struct task *task)
{
	struct provider *provider = task->provider;

	if (!provider)
		return;
	provider->transfers -= task->is_transfer;
	provider->uploads -= task->is_upload;
	provider_leave(provider, task->is_probe);
	task->is_transfer = task->is_upload = task->is_probe = false;
}
