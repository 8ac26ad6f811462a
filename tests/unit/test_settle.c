/* What only a person can tell: the word about a batch that may exist, followed, refused, repeated, changed, and cancelled. */
#include <json-c/json.h>

#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/sim/blob.h"
#include "tests/unit/world_scene.h"

#define LOST "{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}"
#define NEVER "{\"call\":\"create\",\"action\":\"drop_before\",\"count\":1}"
#define EMPTY "{\"action\":\"list_empty\"}"

static const struct sim_config half_a_day = { .run_ms = 12 * HOUR_MS };

static bool is_in_state(struct world *world, int64_t job, int64_t number, enum shard_state state)
{
	auto_shard shard = world_shard(world, job, number);

	return shard.id && shard.state == state;
}

static void await(struct world *world, int64_t job, int64_t number, enum shard_state state)
{
	for (int i = 0; i < 100000 && !is_in_state(world, job, number, state); i++)
		world_turn(world);
	CU_ASSERT_TRUE(is_in_state(world, job, number, state));
}

static void commit(struct world *world)
{
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
}

/* The word of a job's shard, on disk when it returns; batch NULL: there is none. */
static void say(struct world *world, int64_t job, int64_t number, const char *batch)
{
	auto_job now = world_job(world, job);
	auto_shard shard = world_shard(world, job, number);

	pipeline_resolve(world->pipeline, &now, &shard, batch ? SHARD_WORD_BATCH : SHARD_WORD_NO_BATCH, batch);
	commit(world);
}

static const char *no_parameter(const char *name, void *context)
{
	(void)name, (void)context;
	return NULL;
}

/* The id of the provider's first batch; the caller frees. */
static char *first_batch(struct world *world)
{
	const struct sim_request request = {
		.method = "GET", .path = "/sim/ledger", .query = no_parameter, .header = no_parameter
	};
	struct sim_answer answer;
	struct json_object *ledger;
	char *id = NULL;

	sim_call(world->sim, &request, &answer);
	ledger = json_tokener_parse(answer.body->data);
	json_object_object_foreach(json_object_object_get(ledger, "batches"), key, batch) {
		(void)batch;
		if (!id)
			id = xstrdup(key);
	}
	json_object_put(ledger);
	sim_answer_release(&answer);
	return id;
}

/* A job whose one shard is uncertain. */
static struct world *begin(const struct sim_config *config, const char *script, int64_t *ret_job)
{
	struct world *world = world_new(config, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");

	world_script(world, script);
	*ret_job = world_submit(world, input);
	await(world, *ret_job, 1, SHARD_UNCERTAIN);
	return world;
}

static void end_well(const char *row, struct world *world, int64_t job, int64_t batches)
{
	auto_free char *input = world_requests(STORY_REQUESTS, "");

	CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
	CHECK_ROW(row, world_ledger(world).batches == batches);
	CHECK_ROW(row, world_ledger(world).live == 0);
	check_judged(row, world, job, input);
	world_free(world);
}

static void uncertainty_names_the_way_out(void)
{
	int64_t job;
	struct world *world = begin(&slow, "[" LOST "," EMPTY "]", &job);
	auto_shard shard = world_shard(world, job, 1);

	CU_ASSERT_EQUAL(shard.due_at, 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(shard.why, "batchctl resolve 1 --shard 1 --batch ID, or --none"));
	CU_ASSERT_PTR_NOT_NULL(strstr(shard.why, shard.marker));
	world_free(world);
}

/* An uncertain shard holds none of the tokens that a provider lets us have; a batch does. */
static void check_takes_room(const char *row, struct world *world, int64_t job)
{
	auto_shard shard = world_shard(world, job, 1);

	CHECK_ROW(row, shard.tokens > 0 && shard.reserved_tokens == shard.tokens && shard.admitted_at > 0);
}

static void a_batch_that_a_person_names_is_taken(void)
{
	/* clang-format off */
	static const char *const scripts[] = {
		"[" LOST "," EMPTY "]",
		"[" LOST "," EMPTY ",{\"action\":\"no_metadata\"}]",
		"[" LOST "," EMPTY ",{\"action\":\"no_created_at\"}]",
		"[" LOST "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"status\",\"status\":503,\"count\":3}]",
		"[" LOST "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"drop_after\",\"count\":2}]",
		/* It bears our marker, whatever name its file has. */
		"[" LOST "," EMPTY ",{\"action\":\"set\",\"members\":{\"input_file_id\":\"file-other\"}}]",
		"[" LOST "," EMPTY ",{\"action\":\"remove\",\"names\":[\"input_file_id\",\"metadata\"]}]",
		"[" LOST ",{\"call\":\"list\",\"action\":\"set\",\"members\":{\"metadata\":{\"batchd\":\"other\"}}}]",
		"[" LOST "," EMPTY ",{\"action\":\"long_ids\",\"size\":1500}]",
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		int64_t job;
		struct world *world = begin(&slow, scripts[i], &job);
		auto_free char *batch = first_batch(world);

		say(world, job, 1, batch);
		say(world, job, 1, batch);
		check_event(scripts[i], world, job, "shard.note", "a person says");
		await(world, job, 1, SHARD_CREATED);
		check_event(scripts[i], world, job, "shard.adopted", batch);
		check_takes_room(scripts[i], world, job);
		end_well(scripts[i], world, job, 1);
	}
}

static void a_batch_that_cannot_be_it_is_refused_and_told(void)
{
	/* clang-format off */
	static const struct { const char *script, *batch, *words; } cases[] = {
		{ "[" LOST "," EMPTY "]", "batch_nobodys", "has no batch batch_nobodys" },
		{ "[" LOST "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"gone\",\"count\":1}]", NULL, "has no batch" },
		{ "[" LOST "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"status\",\"status\":400,\"count\":1}]", NULL, "has no batch" },
		{ "[" LOST "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"no_metadata\",\"count\":1},"
		  "{\"call\":\"retrieve\",\"action\":\"set\",\"members\":{\"input_file_id\":\"file-other\"},\"count\":1}]", NULL, "another input file" },
		{ "[" LOST "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"set\",\"members\":{\"metadata\":{\"batchd\":\"other\"}},\"count\":1},"
		  "{\"call\":\"retrieve\",\"action\":\"remove\",\"names\":[\"input_file_id\"],\"count\":1}]", NULL, "another marker" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t job;
		struct world *world = begin(&slow, cases[i].script, &job);
		auto_free char *batch = first_batch(world);
		auto_shard shard = { 0 };

		say(world, job, 1, cases[i].batch ? cases[i].batch : batch);
		for (int turn = 0; turn < 100 && shard.due_at + shard.word + !shard.id; turn++) {
			world_turn(world);
			shard_release(&shard);
			shard = world_shard(world, job, 1);
		}
		CHECK_ROW(cases[i].words, shard.state == SHARD_UNCERTAIN && !shard.due_at && !shard.word && !shard.batch_id);
		CHECK_ROW(cases[i].words, shard.why && strstr(shard.why, cases[i].words) && strstr(shard.why, "batchctl resolve"));
		check_event(cases[i].words, world, job, "shard.note", cases[i].words);
		say(world, job, 1, batch);
		end_well(cases[i].words, world, job, 1);
	}
}

/* Of two jobs in doubt the first is said to have the batch of the second. */
static void a_batch_belongs_to_one_shard(void)
{
	for (int is_owned = 0; is_owned < 2; is_owned++) {
		const char *row = is_owned ? "owned" : "claimed first";
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		auto_free char *batch = NULL;
		int64_t first, second;
		auto_shard shard = { 0 };

		world_script(world, NEVER);
		first = world_submit(world, input);
		await(world, first, 1, SHARD_UNCERTAIN);
		know_list(world);
		if (is_owned)
			/* Nothing that it shows tells whose it is. */
			world_script(world, "{\"call\":\"retrieve\",\"action\":\"remove\",\"names\":[\"input_file_id\",\"metadata\"]}");
		else
			world_script(world, LOST);
		second = world_submit(world, input);
		while (!world_ledger(world).batches || (is_owned && !is_in_state(world, second, 1, SHARD_CREATED)))
			world_turn(world);
		batch = first_batch(world);
		say(world, first, 1, batch);
		CHECK_ROW(row, world_finish(world, second) == JOB_COMPLETED);
		CHECK_ROW(row, world_ledger(world).batches == 1);
		shard = world_shard(world, first, 1);
		CHECK_ROW(row, shard.state == SHARD_UNCERTAIN && !shard.word);
		CHECK_ROW(row, strstr(shard.why, is_owned ? "another shard" : "another input file") != NULL ||
				       strstr(shard.why, "another shard") != NULL);
		say(world, first, 1, NULL);
		end_well(row, world, first, 2);
	}
}

static void without_a_batch_the_requests_are_sent_in_a_new_one(void)
{
	int64_t job;
	struct world *world = begin(&slow, "[" NEVER "," EMPTY "]", &job);
	auto_shard old = { 0 }, heir = { 0 };

	say(world, job, 1, NULL);
	say(world, job, 1, NULL);
	await(world, job, 1, SHARD_DROPPED);
	await(world, job, 2, SHARD_CREATED);
	old = world_shard(world, job, 1);
	heir = world_shard(world, job, 2);
	CU_ASSERT_PTR_NULL(old.batch_id);
	CU_ASSERT_EQUAL(old.word, SHARD_WORD_NO_BATCH);
	CU_ASSERT_STRING_EQUAL(old.provider_file, heir.provider_file);
	CU_ASSERT_STRING_NOT_EQUAL(old.marker, heir.marker);
	CU_ASSERT_EQUAL(heir.redone, 0);
	CU_ASSERT_EQUAL(heir.attempt, old.attempt);
	CU_ASSERT_EQUAL(world_ledger(world).uploads, 1);
	end_well("none", world, job, 1);
}

/* The person was wrong: the batch is there, and the list comes to show it. */
static void a_batch_that_appears_after_all_is_cancelled_and_told(void)
{
	/* clang-format off */
	static const struct { const char *name, *script; int64_t lists; } cases[] = {
		/* Lists: the one in doubt, then the two that look for a twin. */
		{ "at the first look",  "[" LOST ",{\"action\":\"list_empty\",\"count\":1}]", 3 },
		{ "at the second look", "[" LOST ",{\"action\":\"list_empty\",\"count\":2},"
		  "{\"action\":\"durations\",\"run_ms\":86000000,\"nth\":1}]", 3 },
		{ "without metadata",   "[" LOST ",{\"action\":\"list_empty\",\"count\":1},{\"action\":\"no_metadata\"}]", 3 },
		{ "without a time",     "[" LOST ",{\"action\":\"list_empty\",\"count\":1},{\"action\":\"no_created_at\"}]", 3 },
		{ "and the file is gone", "[" LOST ",{\"action\":\"list_empty\",\"count\":1},"
		  "{\"call\":\"create\",\"from\":2,\"count\":3,\"action\":\"status\",\"status\":404}]", 3 },
		{ "and the file is gone, without metadata", "[" LOST ",{\"action\":\"list_empty\",\"count\":1},{\"action\":\"no_metadata\"},"
		  "{\"call\":\"create\",\"from\":2,\"count\":3,\"action\":\"status\",\"status\":404}]", 3 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t job;
		struct world *world = begin(&half_a_day, cases[i].script, &job);
		auto_free char *twin = first_batch(world);
		auto_free char *input = world_requests(STORY_REQUESTS, "");

		say(world, job, 1, NULL);
		CHECK_ROW(cases[i].name, world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(cases[i].name, world_ledger(world).batches == 2);
		CHECK_ROW(cases[i].name, world_ledger(world).cancels == 1);
		CHECK_ROW(cases[i].name, world_ledger(world).lists == cases[i].lists);
		check_event(cases[i].name, world, job, "shard.note", twin);
		check_event(cases[i].name, world, job, "shard.note", "cancelled");
		check_judged(cases[i].name, world, job, input);
		world_free(world);
	}
}

/* Neither a list that cannot be read nor a twin that cannot be cancelled keeps the batch from being polled; both are told. */
static void a_watch_that_fails_is_told_and_ends(void)
{
	/* clang-format off */
	static const struct { const char *script, *words; } cases[] = {
		{ "{\"call\":\"list\",\"from\":2,\"action\":\"garbage\"}", "could not be told" },
		{ "{\"call\":\"list\",\"from\":2,\"action\":\"status\",\"status\":503}", "could not be told" },
		{ "{\"call\":\"cancel\",\"action\":\"status\",\"status\":503}", "could not be cancelled" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *script = xasprintf("[" LOST ",{\"action\":\"list_empty\",\"count\":1},%s]", cases[i].script);
		int64_t job;
		struct world *world = begin(&half_a_day, script, &job);
		auto_free char *twin = first_batch(world);

		say(world, job, 1, NULL);
		CHECK_ROW(cases[i].words, world_finish(world, job) == JOB_COMPLETED);
		check_event(cases[i].words, world, job, "shard.note", cases[i].words);
		if (strstr(cases[i].words, "cancelled"))
			check_event(cases[i].words, world, job, "shard.note", twin);
		world_free(world);
	}
}

/* By a clock that was a month ahead, and was set back since, the time to look for a twin would never come. */
static void a_batch_of_a_time_to_come_is_watched_all_the_same(void)
{
	int64_t job, end;
	struct world *world = begin(&half_a_day, "[" LOST ",{\"action\":\"list_empty\",\"count\":1}]", &job);
	auto_shard shard = { 0 };

	say(world, job, 1, NULL);
	await(world, job, 2, SHARD_CREATED);
	while (pipeline_active(world->pipeline))
		world_turn(world);
	shard = world_shard(world, job, 2);
	shard.batch_created_at += 30 * 24 * (int64_t)HOUR_MS;
	store_shard_save(world->store, &shard);
	commit(world);
	end = world_now(world) + HOUR_MS;
	while (world_now(world) < end)
		world_turn(world);
	CU_ASSERT_EQUAL(world_ledger(world).cancels, 1);
	CU_ASSERT_EQUAL(world_ledger(world).live, 1);
	world_free(world);
}

/* A server that has no better answer to the cancel of what has ended. */
static void a_cancel_that_fails_for_ever_ends_with_the_batch(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	world_script(world, "{\"call\":\"cancel\",\"action\":\"status\",\"status\":500}");
	job = world_submit(world, input);
	await(world, job, 1, SHARD_CREATED);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	check_judged("cancel", world, job, input);
	world_free(world);
}

/* The heir's create is lost as well: of the old batch and the new one that are there, one is adopted and the other cancelled. */
static void a_doubt_after_a_word_finds_the_old_batch_too(void)
{
	static const char *const second[] = { "drop_before", "drop_after" };

	for (size_t i = 0; i < ARRAY_SIZE(second); i++) {
		auto_free char *script =
			xasprintf("[" LOST ",{\"action\":\"list_empty\",\"count\":1},"
				  "{\"call\":\"create\",\"nth\":2,\"action\":\"%s\"}]",
				  second[i]);
		int64_t job;
		struct world *world = begin(&half_a_day, script, &job);

		say(world, job, 1, NULL);
		CHECK_ROW(second[i], world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(second[i], world_ledger(world).batches == 1 + (int64_t)i);
		CHECK_ROW(second[i], world_ledger(world).cancels == (int64_t)i);
		CHECK_ROW(second[i], world_ledger(world).most_answers == 1);
		world_free(world);
	}
}

static void a_later_word_counts(void)
{
	int64_t job;
	struct world *world = begin(&slow, "[" NEVER "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"delay\",\"ms\":30000,\"count\":1}]", &job);

	say(world, job, 1, "batch_nobodys");
	world_turn(world);
	world_turn(world);
	say(world, job, 1, NULL);
	await(world, job, 1, SHARD_DROPPED);
	end_well("none after all", world, job, 1);

	world = begin(&slow, "[" LOST "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"status\",\"status\":503,\"count\":5}]", &job);
	say(world, job, 1, "batch_nobodys");
	for (int i = 0; i < 20; i++)
		world_turn(world);
	{
		auto_free char *batch = first_batch(world);

		say(world, job, 1, batch);
	}
	end_well("another one", world, job, 1);
}

static void a_cancel_is_a_word_too(void)
{
	/* clang-format off */
	static const struct { const char *name, *script, *batch; bool is_there; } cases[] = {
		{ "after the right batch", "[" LOST "," EMPTY "]", "", true },
		{ "after a wrong batch",   "[" NEVER "," EMPTY "]", "batch_nobodys", false },
		{ "after none",            "[" NEVER "," EMPTY "]", NULL, false },
		{ "the provider is down",  "[" LOST "," EMPTY ",{\"call\":\"retrieve\",\"action\":\"status\",\"status\":503,\"count\":3}]", "", true },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (int turns = 0; turns < 4; turns++) {
			int64_t job;
			struct world *world = begin(&half_a_day, cases[i].script, &job);
			auto_free char *batch = first_batch(world);

			say(world, job, 1, cases[i].batch && !*cases[i].batch ? batch : cases[i].batch);
			for (int turn = 0; turn < turns; turn++)
				world_turn(world);
			CHECK_ROW(cases[i].name, world_cancel(world, job) == 0);
			CHECK_ROW(cases[i].name, world_finish(world, job) == JOB_CANCELLED);
			CHECK_ROW(cases[i].name, world_ledger(world).live == 0);
			CHECK_ROW(cases[i].name, world_ledger(world).cancels >= cases[i].is_there);
			world_free(world);
		}
}

/* It dies after each turn, and within each, from the word on. What a death leaves in doubt, the list can tell by then. */
static void a_death_changes_nothing(void)
{
	for (int is_none = 0; is_none < 2; is_none++)
		for (int death = 0; death < 40; death++) {
			auto_free char *row = xasprintf("%s, death %d", is_none ? "none" : "batch", death);
			int64_t job;
			struct world *world = begin(&slow,
						    is_none ? "[" NEVER ",{\"action\":\"list_empty\",\"count\":1}]" :
							      "[" LOST ",{\"action\":\"list_empty\",\"count\":1}]",
						    &job);
			auto_free char *batch = first_batch(world);

			know_list(world);
			say(world, job, 1, is_none ? NULL : batch);
			for (int turn = 0; turn < death / 2; turn++)
				world_turn(world);
			if (death % 2)
				world_lose_turn(world);
			world_kill(world);
			world_start(world);
			end_well(row, world, job, 1);
		}
}

CHECK_MAIN("settle", CHECK(uncertainty_names_the_way_out), CHECK(a_batch_that_a_person_names_is_taken),
	   CHECK(a_batch_that_cannot_be_it_is_refused_and_told), CHECK(a_batch_belongs_to_one_shard),
	   CHECK(without_a_batch_the_requests_are_sent_in_a_new_one),
	   CHECK(a_batch_that_appears_after_all_is_cancelled_and_told),
	   CHECK(a_watch_that_fails_is_told_and_ends), CHECK(a_batch_of_a_time_to_come_is_watched_all_the_same),
	   CHECK(a_cancel_that_fails_for_ever_ends_with_the_batch),
	   CHECK(a_doubt_after_a_word_finds_the_old_batch_too), CHECK(a_later_word_counts),
	   CHECK(a_cancel_is_a_word_too), CHECK(a_death_changes_nothing))
