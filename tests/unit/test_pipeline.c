/* A job's way through a world: what comes out when the daemon dies anywhere, and when the user wants no more of it. */
#include <errno.h>

#include "daemon/work/pipeline.h"
#include "tests/unit/world_scene.h"

#define MAX_DEATHS 500

static bool is_over(struct world *world, int64_t job)
{
	auto_job now = world_job(world, job);

	return job_is_ended(now.state);
}

static void every_request_is_answered_once(void)
{
	static const struct story story = { "the main job", NULL, NULL, JOB_COMPLETED, 50, 1, 1, NULL, NULL };
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(50, "");
	int64_t job = world_submit(world, input);

	(void)world_finish(world, job);
	check_story(&story, world, job, input);
	CU_ASSERT_EQUAL(world_ledger(world).most_answers, 1);
	world_free(world);
}

static void large_inputs_and_results_come_through(void)
{
	static const struct story story = { "3,000 requests", NULL, NULL, JOB_COMPLETED, 3000, 3, 3, NULL, NULL };
	struct world *world = world_new(&slow, 2);
	auto_free char *input = world_requests(3000, ",\"note\":\"sim:bytes=300\"");
	int64_t job;

	world->provider.max_requests = 1000;
	world->network.rewind_permille = 500;
	job = world_submit(world, input);
	(void)world_finish(world, job);
	check_story(&story, world, job, input);
	world_free(world);
}

/* clang-format off */
/* Each is lived through with a death at every turn. */
static const struct story mortal[] = {
	{ "no quirk", NULL, NULL, JOB_COMPLETED, 6, 1, -1, NULL, NULL },
	{ "the create's answer is lost", "{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, -1, NULL, NULL },
	{ "the create does not arrive", "{\"call\":\"create\",\"action\":\"drop_before\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, -1, NULL, NULL },
	{ "rows that are tried again", NULL, ",\"note\":\"sim:status=500 sim:times=1\"",
	  JOB_COMPLETED, 6, 2, -1, NULL, NULL },
	{ "half of it expires", "{\"action\":\"expire\",\"percent\":50,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 2, -1, NULL, NULL },
	{ "the queue is full", "{\"action\":\"token_limit\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 2, -1, NULL, NULL },
	{ "some rows fail for good", NULL, ",\"note\":\"sim:status=400\"",
	  JOB_COMPLETED, 0, 1, -1, NULL, NULL },
};
/* clang-format on */

/* Lives until turn death, dies there, and lives on to the end. false: the job was through before. */
static bool die_once(const struct story *story, int64_t death, bool is_commit_lost)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, story->more ? story->more : "");
	int64_t job;
	bool is_alive;

	know_list(world);
	job = world_submit(world, input);
	if (story->script)
		world_script(world, story->script);
	while (world->turns < death && !is_over(world, job))
		world_turn(world);
	is_alive = !is_over(world, job);
	if (is_alive && is_commit_lost) {
		world_lose_turn(world);
	} else if (is_alive) {
		world_kill(world);
		world_start(world);
	}
	(void)world_finish(world, job);
	check_story(story, world, job, input);
	world_free(world);
	return is_alive;
}

static void a_death_after_any_turn_changes_nothing(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(mortal); i++) {
		int64_t death = 0;

		while (death < MAX_DEATHS && die_once(&mortal[i], death, false))
			death++;
		CHECK_ROW(mortal[i].name, death > 20 && death < MAX_DEATHS);
	}
}

static void a_death_within_any_turn_changes_nothing(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(mortal); i++) {
		int64_t death = 0;

		while (death < MAX_DEATHS && die_once(&mortal[i], death, true))
			death++;
		CHECK_ROW(mortal[i].name, death > 20 && death < MAX_DEATHS);
	}
}

/* A daemon that lives for a few turns only still gets there; a wait that proves something must fit into one life. */
static void many_short_lives_are_one_long_one(void)
{
	for (int64_t span = 5; span < 14; span++) {
		struct world *world = world_new(&slow, (uint64_t)span);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job;
		struct story story = mortal[0];

		world->provider.settle = 1000;
		know_list(world);
		job = world_submit(world, input);
		for (int life = 0; life < 2000 && !is_over(world, job); life++) {
			/* Of two lengths, or all might end at the very same place. */
			for (int64_t i = 0; i < span + life % 2; i++)
				world_turn(world);
			world_kill(world);
			world_start(world);
		}
		check_story(&story, world, job, input);
		world_free(world);
	}
}

/* --- cancel --- */

/* clang-format off */
static const char *const cancelled[] = {
	NULL,
	"{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}",
	"{\"call\":\"create\",\"action\":\"drop_before\",\"count\":1}",
	"{\"call\":\"upload\",\"action\":\"delay\",\"ms\":30000}",
	"{\"call\":\"create\",\"action\":\"delay\",\"ms\":30000}",
	"{\"call\":\"create\",\"action\":\"status\",\"status\":500,\"count\":1}",
	"{\"action\":\"token_limit\",\"count\":2}",
	"{\"action\":\"file_not_found\",\"count\":2}",
	"{\"action\":\"expire\",\"percent\":50,\"count\":1}",
	"{\"action\":\"cancel_completes\"}",
	"{\"call\":\"cancel\",\"action\":\"cancel_refused\"}",
	"{\"call\":\"cancel\",\"action\":\"status\",\"status\":400}",
	"{\"call\":\"cancel\",\"action\":\"status\",\"status\":503,\"count\":3}",
	"{\"call\":\"content\",\"action\":\"not_found\",\"count\":2}",
};
/* clang-format on */

static void count_file(const struct store_file *file, void *context)
{
	(void)file;
	++*(int *)context;
}

/* Nothing is left that the job does not name: no shard of a job that was never cut, no result that was written in vain. */
static void check_tidy(const char *row, struct world *world, const struct job *end, bool was_cut)
{
	auto_shard shard = world_shard(world, end->id, 1);
	int files = 0;

	(void)store_file_list(world->store, -1, "batch_output", true, 0, world_now(world), 100, count_file, &files);
	CHECK_ROW(row, files == (end->output_file != 0) + (end->error_file != 0));
	CHECK_ROW(row, was_cut || !shard.id);
}

/* Cancels at that turn. false: the job was through before. */
static bool cancel_once(const char *script, int64_t turn, int before)
{
	const char *row = script ? script : "no quirk";
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job, creates;
	auto_job end = { 0 };
	struct world_ledger ledger;
	bool was_cut;
	int r;

	know_list(world);
	job = world_submit(world, input);
	if (script)
		world_script(world, script);
	while (world->turns < turn && !is_over(world, job))
		world_turn(world);
	/* In the middle of a turn, or between two. */
	if (before && !is_over(world, job))
		loop_run_once(world->loop, 1);
	creates = world_ledger(world).creates + (int64_t)http_count(world->http);
	end = world_job(world, job);
	was_cut = end.state > JOB_VALID;
	job_release(&end);
	r = world_cancel(world, job);
	CHECK_ROW(row, world_finish(world, job) == (r ? JOB_COMPLETED : JOB_CANCELLED));
	CHECK_ROW(row, r == 0 || r == -EALREADY);
	/* What was under way when it ended comes to its end too. */
	for (int i = 0; i < 5; i++)
		world_turn(world);
	end = world_job(world, job);
	ledger = world_ledger(world);
	check_judged(row, world, job, input);
	CHECK_ROW(row, r || ledger.creates <= creates);
	CHECK_ROW(row, ledger.live == 0);
	CHECK_ROW(row, end.counts.ok == ledger.answers);
	check_tidy(row, world, &end, was_cut);
	world_free(world);
	return r == 0;
}

static void a_cancel_at_any_time_ends_cancelled(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cancelled); i++)
		for (int before = 0; before < 2; before++) {
			int64_t turn = 0;

			while (turn < MAX_DEATHS && cancel_once(cancelled[i], turn, before))
				turn++;
			CHECK_ROW(cancelled[i] ? cancelled[i] : "no quirk", turn > 10 && turn < MAX_DEATHS);
		}
}

static void a_cancel_is_not_undone_by_a_death(void)
{
	for (int64_t turn = 0; turn < 60; turn++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job = world_submit(world, input);
		int r;

		while (world->turns < turn && !is_over(world, job))
			world_turn(world);
		r = world_cancel(world, job);
		world_kill(world);
		world_start(world);
		CU_ASSERT_EQUAL(world_finish(world, job), r ? JOB_COMPLETED : JOB_CANCELLED);
		check_judged("cancel, then death", world, job, input);
		world_free(world);
	}
}

/* Turns until the first shard is in that state. */
static void await_shard(struct world *world, int64_t job, enum shard_state state)
{
	for (int i = 0; i < 100000; i++) {
		auto_shard shard = world_shard(world, job, 1);

		if (shard.id && shard.state == state)
			return;
		world_turn(world);
	}
	CU_FAIL("the shard did not get there");
}

/* Nobody knows whether a batch is there, and its owner does not want to know. */
static void a_cancel_ends_uncertainty(void)
{
	for (int is_before = 0; is_before < 2; is_before++) {
		const char *row = is_before ? "cancelled in doubt" : "cancelled in uncertainty";
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job = world_submit(world, input);
		auto_shard shard = { 0 };

		world_script(world, "{\"call\":\"create\",\"action\":\"drop_before\",\"count\":1}");
		if (is_before)
			while (!world_ledger(world).creates)
				world_turn(world);
		else
			await_shard(world, job, SHARD_UNCERTAIN);
		CHECK_ROW(row, world_cancel(world, job) == 0);
		CHECK_ROW(row, world_finish(world, job) == JOB_CANCELLED);
		shard = world_shard(world, job, 1);
		check_event(row, world, job, "shard.note", shard.marker);
		check_event(row, world, job, "shard.note", shard.provider_file);
		check_judged(row, world, job, input);
		world_free(world);
	}
}

static void a_cancel_of_what_is_gone_there_ends(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job = world_submit(world, input), began;

	await_shard(world, job, SHARD_CREATED);
	world_script(world, "[{\"call\":\"retrieve\",\"action\":\"not_found\"},"
			    "{\"call\":\"cancel\",\"action\":\"not_found\"}]");
	began = world_now(world);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	CU_ASSERT_TRUE(world_now(world) - began >= HOUR_MS && world_now(world) - began < 2 * HOUR_MS);
	check_judged("gone", world, job, input);
	world_free(world);
}

/* Paused, or not in the configuration any more. */
static void a_cancel_of_what_was_not_sent_needs_no_provider(void)
{
	static const char *const calls[] = { "upload", "create" };

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (int is_removed = 0; is_removed < 2; is_removed++) {
			struct world *world = world_new(&slow, 1);
			auto_free char *input = world_requests(STORY_REQUESTS, "");
			auto_free char *script = xasprintf("{\"call\":\"%s\",\"action\":\"status\",\"status\":401}", calls[i]);
			int64_t job = world_submit(world, input), began;

			world_script(world, script);
			began = world_now(world) + MINUTE_MS;
			while (world_now(world) < began)
				world_turn(world);
			if (is_removed) {
				world_kill(world);
				world->config.provider_count = 0;
				world_start(world);
			}
			began = world_now(world);
			CHECK_ROW(calls[i], world_cancel(world, job) == 0);
			CHECK_ROW(calls[i], world_finish(world, job) == JOB_CANCELLED);
			CHECK_ROW(calls[i], world_now(world) - began < 1000);
			world_free(world);
		}
}

/* Stops in the middle of that turn, as a signal does, and starts again. false: the job was through before. */
static bool stop_once(int64_t turn)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job = world_submit(world, input);
	bool is_alive;

	while (world->turns < turn && !is_over(world, job))
		world_turn(world);
	is_alive = !is_over(world, job);
	loop_run_once(world->loop, 1);
	pipeline_stop(world->pipeline);
	for (int i = 0; i < 20 && (i == 0 || pipeline_active(world->pipeline)); i++)
		world_turn(world);
	CU_ASSERT_EQUAL(pipeline_active(world->pipeline), 0);
	world_kill(world);
	world_start(world);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	check_judged("stopped", world, job, input);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 1);
	/* A clean stop leaves nothing in doubt. */
	CU_ASSERT_EQUAL(world_ledger(world).lists, 0);
	world_free(world);
	return is_alive;
}

static void a_clean_stop_leaves_no_doubt(void)
{
	int64_t turn = 0;

	while (turn < MAX_DEATHS && stop_once(turn))
		turn++;
	CU_ASSERT_TRUE(turn > 20 && turn < MAX_DEATHS);
}

static void a_second_cancel_is_no_news(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job = world_submit(world, input), done = world_submit(world, input);

	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_cancel(world, 99), -ENOENT);
	CU_ASSERT_EQUAL(world_finish(world, done), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world_cancel(world, done), -EALREADY);
	world_free(world);
}

static void a_wrong_input_costs_nothing(void)
{
	struct world *world = world_new(&slow, 1);
	int64_t job = world_submit(world, "{\"custom_id\":\"a\"}\nno JSON\n");
	auto_job end = { 0 };

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_FAILED);
	end = world_job(world, job);
	CU_ASSERT_TRUE(end.errors_total >= 2);
	CU_ASSERT_EQUAL(world->network.calls, 0);
	world_free(world);
}

CHECK_MAIN("pipeline", CHECK(every_request_is_answered_once), CHECK(large_inputs_and_results_come_through),
	   CHECK(a_death_after_any_turn_changes_nothing), CHECK(a_death_within_any_turn_changes_nothing),
	   CHECK(many_short_lives_are_one_long_one), CHECK(a_cancel_at_any_time_ends_cancelled),
	   CHECK(a_cancel_is_not_undone_by_a_death), CHECK(a_cancel_ends_uncertainty),
	   CHECK(a_cancel_of_what_is_gone_there_ends), CHECK(a_cancel_of_what_was_not_sent_needs_no_provider),
	   CHECK(a_clean_stop_leaves_no_doubt),
	   CHECK(a_second_cancel_is_no_news),
	   CHECK(a_wrong_input_costs_nothing))
