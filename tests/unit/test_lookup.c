/* A create in doubt, and every way in which a provider's list may fail to tell: there are never two live batches. */
#include "daemon/base/buffer.h"
#include "daemon/work/pipeline.h"
#include "tests/unit/world_scene.h"

#define LOST "{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}"
#define NEVER "{\"call\":\"create\",\"action\":\"drop_before\",\"count\":1}"

/* clang-format off */
/* All of them end with the results, and with one batch that was ever made. */
static const struct story found[] = {
	{ "answer lost", LOST, NULL, JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "502 after it was made", "{\"call\":\"create\",\"action\":\"lost_answer\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "answer cut", "{\"call\":\"create\",\"action\":\"cut_body\",\"cut_at\":40,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "headers alone", "{\"call\":\"create\",\"action\":\"cut_headers\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "garbage", "{\"call\":\"create\",\"action\":\"garbage\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "an object without id", "{\"call\":\"create\",\"action\":\"body\",\"text\":\"{}\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "too late", "{\"call\":\"create\",\"action\":\"delay\",\"ms\":61000,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "the list is down for a while", "[" LOST ",{\"call\":\"list\",\"action\":\"status\",\"status\":503,\"count\":3}]",
	  NULL, JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "the list is cut once", "[" LOST ",{\"call\":\"list\",\"action\":\"cut_body\",\"cut_at\":50,\"count\":1}]",
	  NULL, JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "the list is garbage once", "[" LOST ",{\"call\":\"list\",\"action\":\"garbage\",\"count\":1}]",
	  NULL, JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "metadata not echoed", "[" LOST ",{\"action\":\"no_metadata\"}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "no created_at", "[" LOST ",{\"action\":\"no_created_at\"}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "no metadata, no created_at", "[" LOST ",{\"action\":\"no_metadata\"},{\"action\":\"no_created_at\"}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "times as ISO text", "[" LOST ",{\"action\":\"times_iso\"}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "no has_more", "[" LOST ",{\"action\":\"no_has_more\"}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "a bare array", "[" LOST ",{\"action\":\"bare_array\"}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "after ignored", "[" LOST ",{\"action\":\"after_ignored\"}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "after refused", "[" LOST ",{\"action\":\"after_refused\",\"call\":\"list\",\"paged\":true}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "stale for a minute", "[" LOST ",{\"action\":\"list_stale\",\"ms\":60000}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
	{ "long ids", "[" LOST ",{\"action\":\"long_ids\",\"size\":1500}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.adopted", "" },
};

/* The create did nothing, or was told so: it is made again, and nothing is in doubt for ever. */
static const struct story created_again[] = {
	{ "it never arrived", NEVER, NULL, JOB_COMPLETED, 6, 1, 1, "shard.note", "looked for twice" },
	{ "500", "{\"call\":\"create\",\"action\":\"status\",\"status\":500,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.note", "looked for twice" },
	{ "408", "{\"call\":\"create\",\"action\":\"status\",\"status\":408,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.note", "looked for twice" },
	{ "409", "{\"call\":\"create\",\"action\":\"status\",\"status\":409,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.note", "looked for twice" },
	{ "bare array, it never arrived", "[" NEVER ",{\"action\":\"bare_array\"}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.note", "looked for twice" },
	{ "twice in a row", "{\"call\":\"create\",\"action\":\"drop_before\",\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.note", "looked for twice" },
	{ "429", "{\"call\":\"create\",\"action\":\"rate_limit\",\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "429" },
	{ "404", "{\"call\":\"create\",\"action\":\"status\",\"status\":404,\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "404" },
};
/* clang-format on */

static void a_batch_that_was_made_is_found(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(found); i++)
		tell_story(&found[i]);
}

static void a_create_that_did_nothing_is_made_again(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(created_again); i++)
		tell_story(&created_again[i]);
}

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

static void absence_is_seen_twice_a_settle_apart(void)
{
	int64_t job, lists = 0, seen[3] = { 0 };
	struct world *world = begin(NEVER, &job);

	while (world_ledger(world).batches == 0 && lists < 3) {
		world_turn(world);
		if (world_ledger(world).lists > lists)
			seen[lists++] = world_now(world);
	}
	CU_ASSERT_EQUAL(lists, 2);
	CU_ASSERT_TRUE(seen[1] - seen[0] >= world->provider.settle);
	CU_ASSERT_TRUE(world_now(world) >= seen[1]);
	world_free(world);
}

static void what_was_not_sent_is_no_doubt(void)
{
	int64_t job;
	struct world *world = begin(NULL, &job);

	world->network.refused = "POST /v1/batches";
	world->network.refused_count = 4;
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world->network.refused_count, 0);
	CU_ASSERT_EQUAL(world_ledger(world).lists, 0);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 1);
	world_free(world);
}

/* clang-format off */
/* The list cannot tell: a person must look, and nothing is created meanwhile. */
static const struct { const char *script, *words; } uncertain[] = {
	{ "[" LOST ",{\"call\":\"list\",\"action\":\"set\",\"members\":{\"input_file_id\":\"file-other\"}}]", "not both" },
	{ "[" LOST ",{\"call\":\"list\",\"action\":\"set\",\"members\":{\"metadata\":{\"batchd\":\"other\"}}}]", "not both" },
	{ "[" LOST ",{\"call\":\"list\",\"action\":\"set\",\"members\":{\"metadata\":{\"else\":\"x\"}}}]", "not both" },
	{ "[" LOST ",{\"action\":\"no_metadata\"},{\"call\":\"list\",\"action\":\"set\",\"members\":{\"created_at\":1000000}}]", "not both" },
	{ "[" LOST ",{\"call\":\"list\",\"action\":\"not_found\"}]", "to its end" },
	{ "[" LOST ",{\"call\":\"list\",\"action\":\"status\",\"status\":400}]", "to its end" },
	{ "[" LOST ",{\"call\":\"list\",\"action\":\"body\",\"status\":200,"
	  "\"text\":\"{\\\"data\\\":[],\\\"has_more\\\":true}\"}]", "to its end" },
};
/* clang-format on */

static void what_cannot_be_told_waits_for_a_person(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(uncertain); i++) {
		int64_t job;
		struct world *world = begin(uncertain[i].script, &job);

		(void)world_finish(world, job);
		CHECK_ROW(uncertain[i].script, is_in_state(world, job, SHARD_UNCERTAIN));
		CHECK_ROW(uncertain[i].script, world_ledger(world).batches == 1);
		CHECK_ROW(uncertain[i].script, world_ledger(world).creates == 1);
		check_event(uncertain[i].script, world, job, "shard.uncertain", uncertain[i].words);
		world_free(world);
	}
}

/* Many batches of somebody else stand in the list. */
static void make_foreign_batches(struct world *world, int count)
{
	auto_free char *input = world_requests(1, "");

	for (int i = 0; i < count; i++) {
		int64_t job = world_submit(world, input);

		(void)world_finish(world, job);
	}
}

/* It may be one that never shows anything; what an earlier look or this one shows tells otherwise. */
static void a_list_that_never_showed_a_batch_proves_nothing(void)
{
	for (int foreign = 0; foreign < 2; foreign++) {
		const char *row = foreign ? "with a foreign batch" : "with nothing";
		struct world *world = world_new(NULL, 1);
		auto_free char *input = world_requests(1, "");
		int64_t job;

		make_foreign_batches(world, foreign);
		world_script(world, NEVER);
		job = world_submit(world, input);
		(void)world_finish(world, job);
		CHECK_ROW(row, is_in_state(world, job, foreign ? SHARD_COLLECTED : SHARD_UNCERTAIN));
		CHECK_ROW(row, world_ledger(world).creates == (foreign ? 3 : 1));
		CHECK_ROW(row, store_list_was_seen(world->store, "sim") == (foreign == 1));
		if (!foreign)
			check_event(row, world, job, "shard.uncertain", "never shown");
		world_free(world);
	}
}

static void the_list_is_read_page_by_page(void)
{
	/* clang-format off */
	static const struct { const char *script; enum shard_state end; int64_t live; } cases[] = {
		{ NULL,                                               SHARD_COLLECTED, 1 },
		{ "{\"action\":\"no_has_more\"}",                     SHARD_COLLECTED, 1 },
		{ "{\"action\":\"pages_overlap\"}",                   SHARD_COLLECTED, 1 },
		{ "{\"action\":\"no_first_last\"}",                   SHARD_COLLECTED, 1 },
		{ "{\"action\":\"after_ignored\"}",                   SHARD_UNCERTAIN, 0 },
		{ "{\"call\":\"list\",\"action\":\"after_refused\",\"paged\":true}", SHARD_UNCERTAIN, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *row = cases[i].script ? cases[i].script : "as documented";
		struct world *world = world_new(NULL, 1);
		auto_free char *input = world_requests(1, "");
		int64_t job;

		world->provider.poll_first = 1;
		world->provider.retry_first = 1;
		make_foreign_batches(world, 130);
		world_script(world, NEVER);
		if (cases[i].script)
			world_script(world, cases[i].script);
		job = world_submit(world, input);
		(void)world_finish(world, job);
		CHECK_ROW(row, is_in_state(world, job, cases[i].end));
		CHECK_ROW(row, world_ledger(world).batches == 130 + cases[i].live);
		world_free(world);
	}
}

/* What stands first in it is old, but the list goes on. */
static void a_list_in_another_order_is_read_to_its_end(void)
{
	int64_t job;
	struct world *world = begin(LOST, &job);
	auto_free char *page = NULL;
	auto_shard shard = { 0 };

	while (!is_in_state(world, job, SHARD_UPLOADED) || !world_ledger(world).batches)
		world_turn(world);
	shard = world_shard(world, job, 1);
	page = xasprintf("[{\"call\":\"list\",\"action\":\"body\",\"text\":\"{\\\"data\\\":"
			 "[{\\\"id\\\":\\\"old\\\",\\\"created_at\\\":1500000000},"
			 "{\\\"id\\\":\\\"newer\\\",\\\"created_at\\\":1600000000}],\\\"has_more\\\":true}\"},"
			 "{\"call\":\"list\",\"action\":\"body\",\"paged\":true,\"status\":200,\"text\":\"{\\\"data\\\":"
			 "[{\\\"id\\\":\\\"young\\\",\\\"created_at\\\":1790705890,"
			 "\\\"input_file_id\\\":\\\"%s\\\",\\\"status\\\":\\\"in_progress\\\"}],"
			 "\\\"has_more\\\":false}\"}]",
			 shard.provider_file);
	world_script(world, page);
	while (is_in_state(world, job, SHARD_UPLOADED) && world_ledger(world).creates == 1)
		world_turn(world);
	check_event("oldest first", world, job, "shard.adopted", "young");
	CU_ASSERT_EQUAL(world_ledger(world).batches, 1);
	world_free(world);
}

/* Its clock is behind ours by years, so all of the list looks too old to be ours. */
static void a_list_that_is_all_too_old_is_read_to_its_end(void)
{
	int64_t job;
	struct world *world = begin(LOST, &job);
	auto_free char *page = NULL;
	auto_shard shard = { 0 };

	while (!world_ledger(world).batches)
		world_turn(world);
	shard = world_shard(world, job, 1);
	page = xasprintf("[{\"call\":\"list\",\"action\":\"body\",\"text\":\"{\\\"data\\\":"
			 "[{\\\"id\\\":\\\"old\\\",\\\"created_at\\\":1600000000},"
			 "{\\\"id\\\":\\\"older\\\",\\\"created_at\\\":1500000000}],\\\"has_more\\\":true}\"},"
			 "{\"call\":\"list\",\"action\":\"body\",\"paged\":true,\"status\":200,\"text\":\"{\\\"data\\\":"
			 "[{\\\"id\\\":\\\"ours\\\",\\\"created_at\\\":1400000000,"
			 "\\\"metadata\\\":{\\\"batchd\\\":\\\"%s\\\"},\\\"status\\\":\\\"in_progress\\\"}],"
			 "\\\"has_more\\\":false}\"}]",
			 shard.marker);
	world_script(world, page);
	while (is_in_state(world, job, SHARD_UPLOADED) && world_ledger(world).creates == 1)
		world_turn(world);
	check_event("all too old", world, job, "shard.adopted", "ours");
	CU_ASSERT_EQUAL(world_ledger(world).creates, 1);
	world_free(world);
}

/* The clock was ahead by a month, and was set back while a look was under way, which saved what it had. */
static void a_time_to_come_counts_as_now(void)
{
	/* clang-format off */
	static const struct { const char *script; bool is_absent; } cases[] = {
		{ NEVER, true },
		{ NEVER, false },
		{ "[" LOST ",{\"action\":\"no_metadata\"}]", false },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		auto_shard shard = { 0 };
		int64_t job;
		struct world *world = begin(cases[i].script, &job);

		while (!(cases[i].is_absent ? shard.absent_at : shard.intended_at) || pipeline_active(world->pipeline)) {
			world_turn(world);
			shard_release(&shard);
			shard = world_shard(world, job, 1);
		}
		*(cases[i].is_absent ? &shard.absent_at : &shard.intended_at) += 30 * 24 * (int64_t)HOUR_MS;
		store_shard_save(world->store, &shard);
		CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
		CHECK_ROW(cases[i].script, world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(cases[i].script, world_ledger(world).batches == 1);
		check_judged(cases[i].script, world, job, input);
		world_free(world);
	}
}

/* The list never works again: whether there is a batch is not known, and the cancel ends the job all the same, and tells. */
static void a_cancel_in_doubt_ends_though_the_list_is_broken(void)
{
	static const char *const scripts[] = {
		"[" LOST ",{\"call\":\"list\",\"action\":\"garbage\"}]",
		"[" LOST ",{\"call\":\"list\",\"action\":\"status\",\"status\":503}]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		int64_t job;
		struct world *world = begin(scripts[i], &job);

		while (!world_ledger(world).lists)
			world_turn(world);
		CU_ASSERT_EQUAL(world_cancel(world, job), 0);
		CHECK_ROW(scripts[i], world_finish(world, job) == JOB_CANCELLED);
		check_event(scripts[i], world, job, "shard.uncertain", "could not be read for long");
		check_event(scripts[i], world, job, "shard.note", "might have to be cancelled there");
		world_free(world);
	}
}

/* What is not remembered of it could not tell whether it hides something. */
static void a_list_without_measure_proves_nothing(void)
{
	int64_t job;
	struct world *world = begin(NEVER, &job);
	struct buffer script = { 0 };

	buffer_add_format(&script, "{\"call\":\"list\",\"action\":\"body\",\"text\":\"{\\\"has_more\\\":false,\\\"data\\\":[");
	for (int i = 0; i < 200001; i++)
		buffer_add_format(&script, "%s{\\\"id\\\":\\\"b%d\\\"}", i ? "," : "", i);
	buffer_add_format(&script, "]}\"}");
	world_script(world, buffer_text(&script));
	buffer_release(&script);
	(void)world_finish(world, job);
	CU_ASSERT_TRUE(is_in_state(world, job, SHARD_UNCERTAIN));
	check_event("without measure", world, job, "shard.uncertain", "to its end");
	world_free(world);
}

/* A batch of ours lives for a day; then another job's create is in doubt. */
static struct world *beside_a_live_batch(const char *script, int64_t between_ms, int64_t *ret_job)
{
	static const struct sim_config long_runs = { .run_ms = 20 * HOUR_MS };
	struct world *world = world_new(&long_runs, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t first, until;

	know_list(world);
	first = world_submit(world, input);
	while (!is_in_state(world, first, SHARD_CREATED))
		world_turn(world);
	until = world_now(world) + between_ms;
	while (world_now(world) < until)
		world_turn(world);
	world_script(world, script);
	*ret_job = world_submit(world, input);
	return world;
}

static void a_list_that_hides_a_live_batch_proves_nothing(void)
{
	static const int64_t ages[] = { 0, 5 * MINUTE_MS, 11 * MINUTE_MS, 3 * HOUR_MS };

	for (size_t i = 0; i < ARRAY_SIZE(ages); i++)
		for (int lost = 0; lost < 2; lost++) {
			const char *script = lost ? "[" LOST ",{\"action\":\"list_empty\"}]" :
						    "[" NEVER ",{\"action\":\"list_empty\"}]";
			int64_t job, end;
			struct world *world = beside_a_live_batch(script, ages[i], &job);

			end = world_now(world) + 2 * HOUR_MS;
			while (world_now(world) < end && !is_in_state(world, job, SHARD_UNCERTAIN))
				world_turn(world);
			CHECK_ROW(script, is_in_state(world, job, SHARD_UNCERTAIN));
			CHECK_ROW(script, world_ledger(world).live == 1 + lost);
			check_event(script, world, job, "shard.uncertain", "not trusted");
			world_free(world);
		}
}

static void a_list_that_lags_is_read_again(void)
{
	int64_t job;
	struct world *world = beside_a_live_batch("[" NEVER ",{\"action\":\"list_stale\",\"ms\":60000}]", 0, &job);

	while (world_ledger(world).batches < 2 && world_ledger(world).lists < 10)
		world_turn(world);
	CU_ASSERT_EQUAL(world_ledger(world).lists, 3);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 2);
	CU_ASSERT_FALSE(store_list_failed(world->store, "sim"));
	world_free(world);
}

/* A cancel looks at once; but the list is young still, and what it does not show yet must not be left running. */
static void a_cancel_in_doubt_waits_for_the_second_look(void)
{
	int64_t job;
	struct world *world = begin("[" LOST ",{\"action\":\"list_stale\",\"ms\":60000}]", &job);
	auto_shard shard = { 0 };

	while (!shard.absent_at) {
		world_turn(world);
		shard_release(&shard);
		shard = world_shard(world, job, 1);
	}
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	CU_ASSERT_EQUAL(world_ledger(world).live, 0);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 1);
	check_event("cancelled in doubt", world, job, "shard.adopted", "");
	world_free(world);
}

static void trust_list_overrules(void)
{
	int64_t job;
	struct world *world = beside_a_live_batch("[" NEVER ",{\"action\":\"list_empty\"}]", HOUR_MS, &job);

	world->provider.trust_list = true;
	while (world_ledger(world).batches < 2 && world_ledger(world).lists < 10)
		world_turn(world);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 2);
	world_free(world);
}

/* The list is stale for longer than settle: what was thought absent appears, and one of the two is cancelled. */
static void a_twin_that_appears_later_is_cancelled_and_told(void)
{
	static const int64_t run_ms[] = { 1000, 20000, HOUR_MS, 20 * HOUR_MS };

	for (size_t i = 0; i < ARRAY_SIZE(run_ms); i++) {
		auto_free char *row = xasprintf("%lld ms", (long long)run_ms[i]);
		struct sim_config config = { .run_ms = run_ms[i] };
		struct world *world = world_new(&config, 1);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job;

		know_list(world);
		job = world_submit(world, input);
		world_script(world, "[" LOST ",{\"action\":\"list_stale\",\"ms\":610000,\"count\":2}]");
		CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(row, world_ledger(world).batches == 2);
		CHECK_ROW(row, world_ledger(world).live == 0);
		CHECK_ROW(row, run_ms[i] < HOUR_MS || world_ledger(world).cancels == 1);
		check_event(row, world, job, "shard.note", "twin");
		check_judged(row, world, job, input);
		world_free(world);
	}
}

/* Two batches with our marker and our file: somebody's proxy sent the create twice. */
static void of_two_batches_one_is_cancelled(void)
{
	int64_t job;
	struct world *world = begin(LOST, &job);
	auto_shard shard = { 0 };
	auto_free char *page = NULL;

	while (!world_ledger(world).batches)
		world_turn(world);
	shard = world_shard(world, job, 1);
	page = xasprintf("{\"call\":\"list\",\"action\":\"body\",\"nth\":1,\"text\":\"[{\\\"id\\\":\\\"newer\\\","
			 "\\\"input_file_id\\\":\\\"%s\\\",\\\"metadata\\\":{\\\"batchd\\\":\\\"%s\\\"}},"
			 "{\\\"id\\\":\\\"older\\\",\\\"input_file_id\\\":\\\"%s\\\",\\\"metadata\\\":"
			 "{\\\"batchd\\\":\\\"%s\\\"}}]\"}",
			 shard.provider_file, shard.marker, shard.provider_file, shard.marker);
	world_script(world, page);
	/* The page does not tell whether it is the last, so one more is asked for. */
	world_script(world, "{\"call\":\"list\",\"action\":\"body\",\"nth\":2,\"status\":200,\"text\":\"[]\"}");
	while (is_in_state(world, job, SHARD_UPLOADED) && world_ledger(world).lists < 10)
		world_turn(world);
	check_event("two", world, job, "shard.note", "newer");
	check_event("two", world, job, "shard.adopted", "older");
	CU_ASSERT_EQUAL(world_ledger(world).cancels, 1);
	world_free(world);
}

CHECK_MAIN("lookup", CHECK(a_batch_that_was_made_is_found), CHECK(a_create_that_did_nothing_is_made_again),
	   CHECK(absence_is_seen_twice_a_settle_apart), CHECK(what_was_not_sent_is_no_doubt),
	   CHECK(what_cannot_be_told_waits_for_a_person), CHECK(a_list_that_never_showed_a_batch_proves_nothing),
	   CHECK(the_list_is_read_page_by_page),
	   CHECK(a_list_in_another_order_is_read_to_its_end),
	   CHECK(a_list_that_is_all_too_old_is_read_to_its_end), CHECK(a_time_to_come_counts_as_now),
	   CHECK(a_cancel_in_doubt_ends_though_the_list_is_broken), CHECK(a_list_without_measure_proves_nothing),
	   CHECK(a_list_that_hides_a_live_batch_proves_nothing),
	   CHECK(a_list_that_lags_is_read_again), CHECK(a_cancel_in_doubt_waits_for_the_second_look),
	   CHECK(trust_list_overrules),
	   CHECK(a_twin_that_appears_later_is_cancelled_and_told), CHECK(of_two_batches_one_is_cancelled))
