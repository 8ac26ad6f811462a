/* What a shard that does not move says of it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/http.h"
#include "daemon/model/job.h"
#include "daemon/work/provider.h"
#include "daemon/work/why.h"
#include "tests/unit/check.h"
#include "tests/world/world.h"

static const struct sim_config plain = { 0 };

enum trouble { NONE, PAUSED, POLLS_LIMITED, UPLOADS_LIMITED, GONE };

static void cause(struct world *world, struct provider *provider, enum trouble trouble)
{
	const struct http_response head = { .transport = HTTP_ANSWERED, .status = 429 };
	const struct api_answer answer = { .status = 429, .verdict = API_AGAIN, .retry_after_ms = 60000, .head = &head };
	const struct api_report report = {
		.call = trouble == POLLS_LIMITED ? API_RETRIEVE : API_UPLOAD,
		.answer = &answer,
	};

	if (trouble == PAUSED)
		provider_pause(provider, 0, "key rotation");
	if (trouble == POLLS_LIMITED || trouble == UPLOADS_LIMITED)
		(void)health_told(&provider->health, &report, world_now(world), 0);
}

static void the_wait_and_its_end_are_told(void)
{
	static char live[] = "the provider: in_progress", failed[] = "HTTP 503", person[] = "two batches may be there";
	/* clang-format off */
	static const struct {
		const char *name;
		struct shard shard; /* due_at: from now on */
		enum trouble trouble;
		const char *why;
		int64_t until; /* from now on; -1: not known */
	} rows[] = {
		{ "polled",                 { .state = SHARD_CREATED, .due_at = 5000, .why = live }, NONE, live, -1 },
		{ "a poll that failed",     { .state = SHARD_CREATED, .due_at = 5000, .tries = 2, .why = failed }, NONE, failed, 5000 },
		{ "nothing was said yet",   { .state = SHARD_CREATED, .due_at = 5000 }, NONE, NULL, -1 },
		{ "polls limited",          { .state = SHARD_CREATED, .due_at = 5000, .why = live }, POLLS_LIMITED, "429 from sim", 60000 },
		{ "uploads limited",        { .state = SHARD_CREATED, .due_at = 5000, .why = live }, UPLOADS_LIMITED, live, -1 },
		{ "its upload limited",     { .state = SHARD_CUT, .admitted_at = 1, .due_at = 5000 }, UPLOADS_LIMITED, "429 from sim", 60000 },
		{ "paused, polled",         { .state = SHARD_CREATED, .due_at = 5000, .why = live }, PAUSED, "paused by", -1 },
		{ "paused, after failures", { .state = SHARD_CREATED, .due_at = 5000, .tries = 2, .why = failed }, PAUSED, "paused by", -1 },
		{ "a person is waited for", { .state = SHARD_UNCERTAIN, .why = person }, PAUSED, person, -1 },
		{ "local work",             { .state = SHARD_FETCHED, .due_at = 5000, .why = failed }, PAUSED, failed, 5000 },
		{ "nowhere to ask",         { .state = SHARD_CREATED, .due_at = 5000, .why = live }, GONE, "its provider is not in the configuration", -1 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world *world = world_new(&plain, 1);
		struct provider *provider = providers_at(world->providers, 0);
		const struct job job = { .id = 1, .state = JOB_RUNNING };
		int64_t now = world_now(world), until = -1;
		struct shard shard = rows[i].shard;
		auto_free char *name = xstrdup(rows[i].trouble == GONE ? "nobody" : provider->config->name);
		auto_free char *why = NULL;

		shard.id = shard.job = 1;
		shard.provider = name;
		shard.due_at += shard.due_at ? now : 0;
		cause(world, provider, rows[i].trouble);
		why = why_shard(world->store, world->providers, &job, &shard, now, &until);
		CHECK_ROW(rows[i].name, rows[i].why ? why && strncmp(why, rows[i].why, strlen(rows[i].why)) == 0 : !why);
		CHECK_ROW(rows[i].name, until == (rows[i].until < 0 ? 0 : now + rows[i].until));
		if (why && rows[i].why && strncmp(why, rows[i].why, strlen(rows[i].why)) != 0)
			(void)fprintf(stderr, "# %s\n", why);
		world_free(world);
	}
}

CHECK_MAIN("why", CHECK(the_wait_and_its_end_are_told))
