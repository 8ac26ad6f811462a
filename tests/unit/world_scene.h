/* Stories that a job may live through in a world, as rows of a table: what the provider does, and what must come of it. */
#ifndef BATCHD_TESTS_UNIT_WORLD_SCENE_H
#define BATCHD_TESTS_UNIT_WORLD_SCENE_H

#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/unit/check.h"
#include "tests/world/judge.h"
#include "tests/world/loop.h"
#include "tests/world/world.h"

#define MINUTE_MS (60 * 1000)
#define HOUR_MS (60 * MINUTE_MS)
#define STORY_REQUESTS 6

/* A provider whose batches take half a minute. */
static const struct sim_config slow = {
	.validate_ms = 2000,
	.run_ms = 20000,
	.finalize_ms = 2000,
	.cancel_ms = 5000,
};

struct story {
	const char *name;
	const char *script; /* rules; NULL: none */
	const char *more;   /* in the body of every request */
	enum job_state end;
	int64_t ok;
	int64_t batches, uploads; /* at the provider; -1: any number */
	const char *event, *words; /* one that the history must have; NULL: none */
};

/* The provider's list has shown batches before, so that one that shows none proves an absence. */
static inline void know_list(struct world *world)
{
	store_list_note_seen(world->store, world->provider.name, world_now(world));
}

static inline void check_judged(const char *row, struct world *world, int64_t job, const char *input)
{
	struct error err = { 0 };

	if (judge_job(world, job, input, &err))
		(void)fprintf(stderr, "# %s\n", err.text);
	CHECK_ROW(row, !err.code);
}

static inline void check_event(const char *row, struct world *world, int64_t job, const char *type,
			       const char *words)
{
	auto_free char *event = world_event(world, job, type, words);

	CHECK_ROW(row, event != NULL);
}

static inline void check_story(const struct story *story, struct world *world, int64_t job, const char *input)
{
	auto_job end = { 0 };
	struct world_ledger ledger = world_ledger(world);

	end = world_job(world, job);
	check_judged(story->name, world, job, input);
	CHECK_ROW(story->name, end.state == story->end);
	CHECK_ROW(story->name, end.counts.ok == story->ok);
	CHECK_ROW(story->name, story->batches < 0 || ledger.batches == story->batches);
	CHECK_ROW(story->name, story->uploads < 0 || ledger.uploads == story->uploads);
	CHECK_ROW(story->name, ledger.live == 0);
	if (story->event)
		check_event(story->name, world, job, story->event, story->words);
}

static inline void tell_story(const struct story *story)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, story->more ? story->more : "");
	int64_t job;

	know_list(world);
	job = world_submit(world, input);
	if (story->script)
		world_script(world, story->script);
	(void)world_finish(world, job);
	check_story(story, world, job, input);
	world_free(world);
}

#endif
