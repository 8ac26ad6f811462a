#include "daemon/work/admission.h"

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/work/budget.h"
#include "daemon/work/provider.h"

/* So many more than can be uploaded at once are let go ahead, so that no transfer waits for the next turn. */
#define AHEAD 32

static void count_unsent(const struct store_flight *flight, void *context)
{
	*(int64_t *)context += flight->unsent;
}

static void admit(struct store *store, const struct config *config, struct job *job, struct shard *shard, int64_t now)
{
	shard->queue = SHARD_FREE;
	shard->admitted_at = now;
	shard->reserved_tokens = shard->tokens;
	shard->due_at = now;
	budget_reserve(store, config, job, shard, now);
	store_shard_save(store, shard);
}

/* Lets go the first of a line, up to so many; returns how many. Of a job whose budget is used up the others are passed over. */
static int64_t admit_line(struct store *store, const struct config *config, const char *provider,
			  const struct store_line *line, int64_t most, int64_t now)
{
	int64_t count = 0, passed = 0, until = 0;

	while (count < most) {
		auto_shard shard = { 0 };
		auto_job job = { 0 };

		if (store_queue_head(store, provider, line, passed, INT64_MAX, now, &shard))
			break;
		if (store_job_get(store, shard.job, &job) || !budget_has_room(store, config, &job, &shard, now, NULL, &until)) {
			/* A day that is used up is its owner's, whose line this is. */
			if (until)
				break;
			passed = shard.job;
			continue;
		}
		admit(store, config, &job, &shard, now);
		count++;
	}
	return count;
}

static void run_provider(struct store *store, const struct config *config, const struct provider *provider, int64_t now)
{
	const char *name = provider->config->name;
	struct store_line line = { 0 };
	int64_t unsent = 0;
	bool is_first = true;

	(void)store_flight(store, name, count_unsent, &unsent);
	while (unsent < AHEAD) {
		struct store_line next;

		if (store_queue_next(store, name, is_first ? NULL : &line, &next))
			break;
		is_first = false;
		free(line.model);
		line = next;
		unsent += admit_line(store, config, name, &line, AHEAD - unsent, now);
	}
	free(line.model);
}

void admission_run(struct store *store, struct providers *providers, int64_t now)
{
	struct provider *provider;

	for (size_t i = 0; (provider = providers_at(providers, i)); i++)
		run_provider(store, providers_config(providers), provider, now);
}
