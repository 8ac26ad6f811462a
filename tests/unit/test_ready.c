/* A file that the provider has to take in first: its batch is made when it has, and not before; and nobody waits for ever. */
#include "daemon/model/dialect.h"
#include "daemon/work/pipeline.h"
#include "tests/unit/world_scene.h"

#define FILE_RULE(rest) "{\"call\":\"file\"," rest "}"

/* clang-format off */
static const struct {
	struct story story;
	int64_t least_ms, most_ms; /* from the job's begin to its batch */
} waits[] = {
	{ { "ready at once", NULL, NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL }, 0, 1000 },
	{ { "pending for a minute", FILE_RULE("\"action\":\"set\",\"members\":{\"status\":\"pending\"},\"younger_ms\":60000"), NULL,
	    JOB_COMPLETED, 6, 1, 1, NULL, NULL }, 60000, 130000 },
	{ { "uploaded is not processed", FILE_RULE("\"action\":\"set\",\"members\":{\"status\":\"uploaded\"},\"younger_ms\":20000"), NULL,
	    JOB_COMPLETED, 6, 1, 1, NULL, NULL }, 20000, 60000 },
	{ { "without a status", FILE_RULE("\"action\":\"remove\",\"names\":[\"status\"]"), NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL }, 0, 1000 },
	{ { "in capitals", FILE_RULE("\"action\":\"status_upper\""), NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL }, 0, 1000 },
	{ { "pending for ever", FILE_RULE("\"action\":\"set\",\"members\":{\"status\":\"pending\"}"), NULL,
	    JOB_COMPLETED, 6, 1, 1, "shard.note", "pending; the batch is created all the same" }, 30 * MINUTE_MS, 33 * MINUTE_MS },
	{ { "not there for a while", FILE_RULE("\"action\":\"not_found\",\"count\":3"), NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL }, 10000, 60000 },
	{ { "never shown", FILE_RULE("\"action\":\"not_found\""), NULL,
	    JOB_COMPLETED, 6, 1, 1, "shard.note", "does not show the file yet; the batch" }, 30 * MINUTE_MS, 33 * MINUTE_MS },
	{ { "no such call", FILE_RULE("\"action\":\"status\",\"status\":405"), NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL }, 0, 1000 },
	{ { "500, then well", FILE_RULE("\"action\":\"status\",\"status\":500,\"count\":3"), NULL,
	    JOB_COMPLETED, 6, 1, 1, "shard.retry", "500" }, 5000, 120000 },
	{ { "no answer", FILE_RULE("\"action\":\"drop_after\",\"count\":2"), NULL, JOB_COMPLETED, 6, 1, 1, "shard.retry", "" }, 1000, 120000 },
	{ { "broken once", FILE_RULE("\"action\":\"set\",\"members\":{\"status\":\"error\"},\"count\":1"), NULL,
	    JOB_COMPLETED, 6, 1, 2, "shard.dropped", "could not take the file in" }, 1000, 60000 },
	{ { "broken for ever", FILE_RULE("\"action\":\"set\",\"members\":{\"status\":\"error\"}"), NULL,
	    JOB_COMPLETED, 0, 0, 3, "shard.ended", "could not take the file in" }, 0, INT64_MAX },
};
/* clang-format on */

static struct world *begin(void)
{
	struct world *world = world_new(&slow, 1);

	world->provider.terms = *dialect_find(DIALECT_DEFAULT);
	world->provider.terms.waits_for_file = true;
	know_list(world);
	return world;
}

static void a_batch_is_made_when_its_file_is_ready(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		const struct story *story = &waits[i].story;
		struct world *world = begin();
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t began = world_now(world), waited;
		int64_t job = world_submit(world, input);
		auto_shard shard = { 0 };

		if (story->script)
			world_script(world, story->script);
		(void)world_finish(world, job);
		check_story(story, world, job, input);
		shard = world_shard(world, job, 1);
		for (int64_t k = 2; !shard.batch_created_at && k < 4; k++) {
			shard_release(&shard);
			shard = world_shard(world, job, k);
		}
		waited = shard.batch_created_at ? shard.batch_created_at - began : INT64_MAX;
		CHECK_ROW(story->name, waited >= waits[i].least_ms && waited <= waits[i].most_ms);
		CHECK_ROW(story->name, sim_calls(world->sim, "file") > 0 && sim_calls(world->sim, "file") < 100);
		world_free(world);
	}
}

static void where_no_dialect_wants_it_nobody_asks(void)
{
	struct world *world = begin();
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	world->provider.terms.waits_for_file = false;
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(sim_calls(world->sim, "file"), 0);
	world_free(world);
}

static void a_cancel_ends_the_wait(void)
{
	struct world *world = begin();
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job = world_submit(world, input), began;

	world_script(world, FILE_RULE("\"action\":\"set\",\"members\":{\"status\":\"pending\"}"));
	while (sim_calls(world->sim, "file") < 4)
		world_turn(world);
	began = world_now(world);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	CU_ASSERT_TRUE(world_now(world) - began < 5000);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 0);
	check_judged("cancelled", world, job, input);
	world_free(world);
}

/* The wait is no fact: whoever starts after a death asks again, and makes one batch. */
static void a_death_in_the_wait_does_no_harm(void)
{
	for (int64_t deadly = 1; deadly < 60; deadly++) {
		struct world *world = begin();
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		auto_free char *row = xasprintf("turn %d", (int)deadly);
		int64_t job = world_submit(world, input), end = world->turns + deadly;

		world_script(world, FILE_RULE("\"action\":\"set\",\"members\":{\"status\":\"pending\"},\"younger_ms\":60000"));
		while (world->turns < end)
			world_turn(world);
		world_lose_turn(world);
		CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(row, world_ledger(world).batches == 1);
		check_judged(row, world, job, input);
		world_free(world);
	}
}

/* Azure in small: capitals, ISO times, counts of nulls, ids of "", files that have to be taken in, a version in the query. */
static void other_dialects_end_like_the_official_one(void)
{
	/* clang-format off */
	static const struct { const char *name, *base_url; } cases[] = {
		{ "azure", "http://sim/openai/v1" }, { "azure-dated", "http://sim/openai" }, { "groq", "http://sim/openai/v1" },
		{ "zhipu", "http://sim/api/paas/v4" }, { "siliconflow", "http://sim/v1" }, { "novita", "http://sim/openai/v1" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct sim_config config = slow;
		auto_free char *input = world_requests(STORY_REQUESTS, ",\"note\":\"sim:status=500 sim:times=1\"");
		struct world *world;
		int64_t job;

		config.dialect = cases[i].name;
		world = world_new(&config, 1);
		world->provider.terms = *dialect_find(cases[i].name);
		world->provider.base_url = (char *)(uintptr_t)cases[i].base_url;
		job = world_submit(world, input);
		CHECK_ROW(cases[i].name, world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(cases[i].name, world_ledger(world).batches == 2 && world_ledger(world).uploads == 2);
		CHECK_ROW(cases[i].name, world_ledger(world).successes == STORY_REQUESTS);
		check_judged(cases[i].name, world, job, input);
		world_free(world);
	}
}

/* The answer to a create is lost: it is looked for in a list that takes no parameters, and found. */
static void a_lost_create_is_found_in_a_list_of_one_page(void)
{
	struct sim_config config = slow;
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	struct world *world;
	int64_t job;

	config.dialect = "groq";
	world = world_new(&config, 1);
	world->provider.terms = *dialect_find("groq");
	world->provider.base_url = (char *)(uintptr_t) "http://sim/openai/v1";
	job = world_submit(world, input);
	world_script(world, "{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}");
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 1);
	CU_ASSERT_EQUAL(world_ledger(world).lists, 1);
	check_judged("groq", world, job, input);
	world_free(world);
}

/* The config changed between the cut and the upload: other urls, another length, and yet it is sent right. */
static void a_shard_that_was_cut_for_another_dialect_is_sent_as_it_must_be(void)
{
	struct sim_config config = slow;
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_shard shard = { 0 };
	struct world *world;
	int64_t job;

	config.dialect = "azure-dated";
	world = world_new(&config, 1);
	world->provider.base_url = (char *)(uintptr_t) "http://sim/openai";
	world->network.refused = "POST";
	world->network.refused_count = 2;
	job = world_submit(world, input);
	while (world->network.refused_count)
		world_turn(world);
	shard = world_shard(world, job, 1);
	CU_ASSERT_EQUAL(shard.state, SHARD_CUT);
	world->provider.terms = *dialect_find("azure-dated");
	world_kill(world);
	world_start(world);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world_ledger(world).successes, STORY_REQUESTS);
	shard_release(&shard);
	shard = world_shard(world, job, 1);
	CU_ASSERT_EQUAL(shard.bytes, (int64_t)strlen(input) - 3 * STORY_REQUESTS);
	check_judged("azure-dated", world, job, input);
	world_free(world);
}

CHECK_MAIN("ready", CHECK(a_batch_is_made_when_its_file_is_ready), CHECK(where_no_dialect_wants_it_nobody_asks),
	   CHECK(a_cancel_ends_the_wait), CHECK(a_death_in_the_wait_does_no_harm),
	   CHECK(other_dialects_end_like_the_official_one), CHECK(a_lost_create_is_found_in_a_list_of_one_page),
	   CHECK(a_shard_that_was_cut_for_another_dialect_is_sent_as_it_must_be))
