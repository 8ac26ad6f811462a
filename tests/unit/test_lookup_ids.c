/* Whose a batch is: answers, lists and ids that do not say the same, and twins. There are never two live batches. */
#include <ctype.h>

#include "tests/unit/world_scene.h"

#define LOST "{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}"
#define NEVER "{\"call\":\"create\",\"action\":\"drop_before\",\"count\":1}"

/* A job that will be in doubt; its number. */
static struct world *begin(const char *script, int64_t *ret_job)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");

	know_list(world);
	if (script)
		world_script(world, script);
	*ret_job = world_submit(world, input);
	return world;
}

static bool is_in_state(struct world *world, int64_t job, enum shard_state state)
{
	auto_shard shard = world_shard(world, job, 1);

	return shard.id && shard.state == state;
}

/* Every status that may come of a create that was done, and of one that was not: one batch, whichever it was. */
static void no_doubtful_status_makes_a_second_batch(void)
{
	static const int statuses[] = { 300, 302, 303, 304, 399, 408, 409, 499, 500, 501, 502, 503, 504, 520, 599 };

	for (size_t i = 0; i < ARRAY_SIZE(statuses); i++)
		for (int is_done = 0; is_done < 2; is_done++) {
			auto_free char *row = xasprintf("%d, %s", statuses[i], is_done ? "done" : "not done");
			auto_free char *script =
				xasprintf(is_done ? "{\"call\":\"create\",\"action\":\"body\",\"status\":%d,"
						    "\"text\":\"what\",\"count\":1}" :
						    "{\"call\":\"create\",\"action\":\"status\",\"status\":%d,\"count\":1}",
					  statuses[i]);
			const struct story story = { row, script, NULL, JOB_COMPLETED, 6, 1, 1, "shard.doubt", "" };

			tell_story(&story);
		}
}

/* A cache, or a proxy that mixes up its answers. */
static void an_answer_that_shows_another_batch_is_no_answer(void)
{
	static const struct story stories[] = {
		{ "another marker",
		  "{\"call\":\"create\",\"action\":\"set\",\"members\":{\"metadata\":{\"batchd\":\"other\"}},\"count\":1}",
		  NULL, JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
		{ "metadata of another kind",
		  "{\"call\":\"create\",\"action\":\"set\",\"members\":{\"metadata\":{\"else\":\"x\"}},\"count\":1}", NULL,
		  JOB_COMPLETED, 6, 1, 1, "shard.created", "" },
	};
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t first, second;
	auto_shard shard = { 0 }, other = { 0 };
	auto_free char *script = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(stories); i++)
		tell_story(&stories[i]);
	first = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, first), JOB_COMPLETED);
	shard = world_shard(world, first, 1);
	script = xasprintf("{\"call\":\"create\",\"action\":\"body\",\"status\":200,\"text\":\"{\\\"id\\\":\\\"%s\\\"}\","
			   "\"count\":1}",
			   shard.batch_id);
	world_script(world, script);
	second = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, second), JOB_COMPLETED);
	other = world_shard(world, second, 1);
	CU_ASSERT_STRING_NOT_EQUAL(shard.batch_id, other.batch_id);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 2);
	check_event("an old answer", world, second, "shard.doubt", "another batch");
	world_free(world);
}

/* clang-format off */
/* How the list shows the batch, where %s is its marker, in capitals or cut. */
static const struct { const char *name; bool is_upper; int digits; const char *more; enum shard_state end; } echoes[] = {
	{ "as it was",           false, 24, "",  SHARD_COLLECTED },
	{ "in capitals",         true,  24, "",  SHARD_COLLECTED },
	{ "cut",                 false, 12, "",  SHARD_COLLECTED },
	{ "cut to eight",        true,  8,  "",  SHARD_COLLECTED },
	{ "cut to seven",        false, 7,  "",  SHARD_UNCERTAIN },
	{ "of nothing",          false, 0,  "",  SHARD_UNCERTAIN },
	{ "with more behind it", false, 24, "0", SHARD_UNCERTAIN },
};
/* clang-format on */

static void a_marker_is_known_in_capitals_and_when_it_is_cut(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(echoes); i++) {
		int64_t job;
		struct world *world = begin(LOST, &job);
		auto_shard shard = { 0 };
		auto_free char *script = NULL;

		while (!world_ledger(world).batches)
			world_turn(world);
		shard = world_shard(world, job, 1);
		for (char *digit = shard.marker; echoes[i].is_upper && *digit; digit++)
			*digit = (char)toupper(*digit);
		script = xasprintf("{\"call\":\"list\",\"action\":\"set\",\"members\":{\"metadata\":{\"batchd\":\"%.*s%s\"}}}",
				   echoes[i].digits, shard.marker, echoes[i].more);
		world_script(world, script);
		(void)world_finish(world, job);
		CHECK_ROW(echoes[i].name, is_in_state(world, job, echoes[i].end));
		CHECK_ROW(echoes[i].name, world_ledger(world).creates == 1);
		world_free(world);
	}
}

static void a_marker_alone_is_proof_unless_the_file_contradicts(void)
{
	int64_t job;
	struct world *world = begin("[" LOST ",{\"call\":\"list\",\"action\":\"remove\",\"names\":[\"input_file_id\"]}]", &job);

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 1);
	check_event("no file told", world, job, "shard.adopted", "found at the provider");
	world_free(world);
}

/* The answer to the create told an id that nobody knows; the list tells the right one. */
#define WRONG_ID "{\"call\":\"create\",\"action\":\"set\",\"members\":{\"id\":\"batch_wrong\"},\"count\":1}"

static void an_id_that_the_provider_does_not_know_is_looked_up(void)
{
	static const char *const scripts[] = {
		WRONG_ID,
		"[" WRONG_ID ",{\"action\":\"no_metadata\"}]",
		"[" WRONG_ID ",{\"call\":\"list\",\"action\":\"status\",\"status\":503,\"count\":2}]",
		/* One of the two signs is enough here: it is the only batch that has it. */
		"[" WRONG_ID ",{\"call\":\"list\",\"action\":\"set\",\"members\":{\"metadata\":{\"batchd\":\"other\"}}}]",
		"[" WRONG_ID ",{\"call\":\"list\",\"action\":\"set\",\"members\":{\"input_file_id\":\"file-other\"}}]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
			int64_t job;
			struct world *world = begin(scripts[i], &job);

			while (!is_in_state(world, job, SHARD_CREATED))
				world_turn(world);
			if (is_cancelled)
				CU_ASSERT_EQUAL(world_cancel(world, job), 0);
			CHECK_ROW(scripts[i], world_finish(world, job) == (is_cancelled ? JOB_CANCELLED : JOB_COMPLETED));
			CHECK_ROW(scripts[i], world_ledger(world).batches == 1 && world_ledger(world).creates == 1);
			CHECK_ROW(scripts[i], world_ledger(world).live == 0);
			check_event(scripts[i], world, job, "shard.adopted", "batch_wrong");
			world_free(world);
		}
}

static void a_batch_that_only_the_list_knows_is_never_made_again(void)
{
	int64_t job, end;
	struct world *world = begin("{\"call\":\"retrieve\",\"action\":\"not_found\"}", &job);

	end = world_now(world) + 48 * HOUR_MS;
	while (world_now(world) < end)
		world_turn(world);
	CU_ASSERT_TRUE(is_in_state(world, job, SHARD_CREATED));
	CU_ASSERT_EQUAL(world_ledger(world).creates, 1);
	CU_ASSERT_TRUE(world_ledger(world).lists < 20);
	world_free(world);
}

/* clang-format off */
/* Of two the one that got further is kept, then the older; what did no work needs no cancel. */
static const struct { const char *newer, *older; bool is_newer; int64_t cancels; } pairs[] = {
	{ "in_progress", "in_progress", false, 1 },
	{ "in_progress", "completed",   false, 1 },
	{ "completed",   "in_progress", true,  1 },
	{ "in_progress", "failed",      true,  0 },
	{ "cancelled",   "validating",  false, 0 },
	{ "expired",     "cancelled",   true,  0 },
	{ "failed",      "failed",      false, 0 },
	{ "expired",     "in_progress", false, 1 },
};
/* clang-format on */

static void of_several_batches_the_best_is_kept(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(pairs); i++) {
		auto_free char *row = xasprintf("%s before %s", pairs[i].newer, pairs[i].older);
		int64_t job;
		struct world *world = begin(LOST, &job);
		auto_shard shard = { 0 };
		auto_free char *page = NULL;

		while (!world_ledger(world).batches)
			world_turn(world);
		shard = world_shard(world, job, 1);
		page = xasprintf("{\"call\":\"list\",\"action\":\"body\",\"text\":\"{\\\"has_more\\\":false,\\\"data\\\":["
				 "{\\\"id\\\":\\\"newer\\\",\\\"status\\\":\\\"%s\\\","
				 "\\\"input_file_id\\\":\\\"%s\\\",\\\"metadata\\\":{\\\"batchd\\\":\\\"%s\\\"}},"
				 "{\\\"id\\\":\\\"older\\\",\\\"status\\\":\\\"%s\\\","
				 "\\\"input_file_id\\\":\\\"%s\\\",\\\"metadata\\\":{\\\"batchd\\\":\\\"%s\\\"}}]}\"}",
				 pairs[i].newer, shard.provider_file, shard.marker, pairs[i].older, shard.provider_file,
				 shard.marker);
		world_script(world, page);
		while (is_in_state(world, job, SHARD_UPLOADED) && world_ledger(world).lists < 10)
			world_turn(world);
		check_event(row, world, job, "shard.adopted", pairs[i].is_newer ? "newer" : "older");
		CHECK_ROW(row, world_ledger(world).cancels == pairs[i].cancels);
		world_free(world);
	}
}

/* The first create never arrived, the second did; the list has its batch by another name than the answer told. */
static void a_batch_is_no_twin_of_itself_under_another_name(void)
{
	struct sim_config config = { .run_ms = 2 * HOUR_MS };
	struct world *world = world_new(&config, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	know_list(world);
	world_script(world, NEVER);
	job = world_submit(world, input);
	while (!is_in_state(world, job, SHARD_CREATED))
		world_turn(world);
	world_script(world, "{\"call\":\"list\",\"action\":\"set\",\"members\":{\"id\":\"batch_alias\"}}");
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world_ledger(world).cancels, 0);
	check_event("alias", world, job, "shard.note", "taken for the same");
	check_judged("alias", world, job, input);
	world_free(world);
}

/* It appears when nobody looks any more but once: when the batch that was made in its place has ended. */
static void a_twin_is_looked_for_again_at_the_end(void)
{
	struct sim_config config = { .run_ms = 2 * HOUR_MS };
	struct world *world = world_new(&config, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	know_list(world);
	job = world_submit(world, input);
	world_script(world, "[" LOST ",{\"action\":\"list_empty\",\"count\":3},{\"action\":\"durations\",\"run_ms\":72000000,\"nth\":1}]");
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 2);
	CU_ASSERT_EQUAL(world_ledger(world).cancels, 1);
	CU_ASSERT_EQUAL(world_ledger(world).lists, 4);
	check_event("late", world, job, "shard.note", "twin");
	check_judged("late", world, job, input);
	world_free(world);
}

static void a_list_that_is_down_keeps_no_batch_from_its_end(void)
{
	static const struct sim_config config = { .run_ms = HOUR_MS };
	struct world *world = world_new(&config, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job, began = world_now(world);

	know_list(world);
	world_script(world, "[" NEVER ",{\"call\":\"list\",\"from\":3,\"action\":\"status\",\"status\":503}]");
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_TRUE(world_now(world) - began < 4 * HOUR_MS);
	check_event("down", world, job, "shard.note", "could not be told");
	world_free(world);
}

CHECK_MAIN("lookup_ids", CHECK(no_doubtful_status_makes_a_second_batch), CHECK(an_answer_that_shows_another_batch_is_no_answer),
	   CHECK(a_marker_is_known_in_capitals_and_when_it_is_cut),
	   CHECK(a_marker_alone_is_proof_unless_the_file_contradicts),
	   CHECK(an_id_that_the_provider_does_not_know_is_looked_up),
	   CHECK(a_batch_that_only_the_list_knows_is_never_made_again), CHECK(of_several_batches_the_best_is_kept),
	   CHECK(a_batch_is_no_twin_of_itself_under_another_name), CHECK(a_twin_is_looked_for_again_at_the_end),
	   CHECK(a_list_that_is_down_keeps_no_batch_from_its_end))
