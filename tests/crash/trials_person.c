#include "tests/crash/trials_person.h"

#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/world/ledger.h"
#include "tests/world/loop.h"
#include "tests/world/world.h"

#define LOOK_EVERY_MS (10 * 60 * 1000)
#define MOST_WAITING 64

/* Shards that wait for a person, of one job. */
struct waiting {
	int64_t ids[MOST_WAITING];
	size_t count;
};

static void note_waiting(const struct shard *shard, void *context)
{
	struct waiting *waiting = context;

	if (shard->due_at == 0 && (shard->state == SHARD_UNCERTAIN || shard->state == SHARD_FETCHED) &&
	    waiting->count < MOST_WAITING)
		waiting->ids[waiting->count++] = shard->id;
}

static void resolve(struct world *world, const struct job *job, const struct shard *shard)
{
	const char *batch = ledger_find(world->sim, shard->marker, shard->provider_file ? shard->provider_file : "");

	pipeline_resolve(world->pipeline, job, shard, batch ? SHARD_WORD_BATCH : SHARD_WORD_NO_BATCH, batch);
}

static void answer(struct person *person, struct world *world, const struct job *job, const struct waiting *waiting)
{
	bool is_held = false;

	for (size_t i = 0; i < waiting->count; i++) {
		auto_shard shard = { 0 };

		if (store_shard_get(world->store, waiting->ids[i], &shard))
			continue;
		person->answers++;
		if (shard.state == SHARD_UNCERTAIN)
			resolve(world, job, &shard);
		else
			is_held = true;
	}
	if (is_held)
		(void)pipeline_speak(world->pipeline, job->id,
				     person->accepts ? SHARD_WORD_ACCEPT : SHARD_WORD_RESEND);
	if (waiting->count)
		scheduler_kick(world->scheduler);
}

static void look_at(const struct job *job, void *context)
{
	struct waiting *all = context;

	if (!job_is_ended(job->state) && all->count < MOST_WAITING)
		all->ids[all->count++] = job->id;
}

void person_look(struct person *person, struct world *world)
{
	int64_t now = loop_elapsed_ms(world->loop);
	struct waiting open = { 0 };

	if (now < person->next_look)
		return;
	person->next_look = now + LOOK_EVERY_MS;
	(void)store_job_list(world->store, -1, ~0u, 0, MOST_WAITING, look_at, &open);
	for (size_t i = 0; i < open.count; i++) {
		struct waiting waiting = { 0 };
		auto_job job = world_job(world, open.ids[i]);

		(void)store_shard_list(world->store, job.id, 0, 10000, note_waiting, &waiting);
		answer(person, world, &job, &waiting);
	}
}
