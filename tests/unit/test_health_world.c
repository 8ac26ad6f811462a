/* Jobs of a world whose provider is ill, limits its calls or refuses them, or was paused by a person: what waits, for how long, and what goes on. */
#include <string.h>

#include "daemon/io/store_sql.h"
#include "daemon/work/admission.h"
#include "daemon/work/provider.h"
#include "daemon/work/scheduler.h"
#include "tests/sim/script.h"
#include "tests/sim/state.h"
#include "tests/unit/world_scene.h"

#define SECOND_MS 1000
#define DAY_MS (24 * HOUR_MS)

/* Every call that leaves, in its order. */
struct calls {
	struct world *world;
	const char *method, *part; /* those that are looked at: of this method, with this part in their path */
	int64_t count;
	int64_t last_at;
	int64_t this_ms, most_a_ms; /* how many left in one millisecond */
	int64_t under_way, most_under_way;
};

static bool is_looked_at(const struct calls *calls, const char *method, const char *path)
{
	return strcmp(calls->method, method) == 0 && strstr(path, calls->part);
}

static enum http_fate note_leaving(const char *method, const char *path, void *context)
{
	struct calls *calls = context;
	int64_t now = world_now(calls->world);

	if (!is_looked_at(calls, method, path))
		return HTTP_FATE_ARRIVES;
	calls->this_ms = now == calls->last_at ? calls->this_ms + 1 : 1;
	calls->last_at = now;
	calls->count++;
	if (calls->this_ms > calls->most_a_ms)
		calls->most_a_ms = calls->this_ms;
	if (++calls->under_way > calls->most_under_way)
		calls->most_under_way = calls->under_way;
	return HTTP_FATE_ARRIVES;
}

static void note_answered(const char *method, const char *path, void *context)
{
	struct calls *calls = context;

	calls->under_way -= is_looked_at(calls, method, path);
}

static void look_at(struct calls *calls, struct world *world, const char *method, const char *part)
{
	*calls = (struct calls){ .world = world, .method = method, .part = part };
	world->network.post = (struct http_post){
		.on_leaving = note_leaving, .on_answered = note_answered, .context = calls
	};
}

static struct provider *provider_of(struct world *world)
{
	return providers_at(world->providers, 0);
}

static enum health_state state_of(struct world *world)
{
	struct provider_wait wait;
	int64_t since;

	return health_state(&provider_of(world)->health, world_now(world), &wait, &since);
}

static void run_for(struct world *world, int64_t ms)
{
	int64_t until = world_now(world) + ms;

	while (world_now(world) < until)
		world_turn(world);
}

static bool has_shard(struct world *world, int64_t job, enum shard_state state)
{
	auto_shard shard = world_shard(world, job, 1);

	return shard.id && shard.state == state;
}

static void await_shard(struct world *world, int64_t job, enum shard_state state)
{
	for (int i = 0; i < 100000 && !has_shard(world, job, state); i++)
		world_turn(world);
	CU_ASSERT(has_shard(world, job, state));
}

static void pause_it(struct world *world, const char *reason)
{
	provider_pause(provider_of(world), 0, reason);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
}

static bool resume_it(struct world *world)
{
	bool is_changed = provider_resume(provider_of(world), 0);

	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
	return is_changed;
}

static void finish_all(const char *row, struct world *world, const int64_t *jobs, size_t count, const char *input)
{
	for (size_t i = 0; i < count; i++) {
		CHECK_ROW(row, world_finish(world, jobs[i]) == JOB_COMPLETED);
		check_judged(row, world, jobs[i], input);
	}
	CHECK_ROW(row, world_ledger(world).live == 0);
}

/* --- ill --- */

/* clang-format off */
static const char *const storms[] = {
	"{\"call\":\"any\",\"action\":\"status\",\"status\":503}",
	"{\"call\":\"any\",\"action\":\"status\",\"status\":500,\"body\":\"html\"}",
	"{\"call\":\"any\",\"action\":\"lost_answer\"}",
	"{\"call\":\"any\",\"action\":\"drop_before\"}",
	"{\"call\":\"any\",\"action\":\"drop_after\"}",
	NULL, /* there is no network */
};
/* clang-format on */

/* It begins when the first job is at a certain state, and a second one comes in the midst of it. */
static void live_through(const char *storm, enum shard_state state, uint64_t seed)
{
	const char *row = storm ? storm : "no network";
	struct world *world = world_new(&slow, seed);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t jobs[4], calls_before;

	know_list(world);
	/* Requests are named alike in each job, and counted together. */
	for (size_t i = 0; i < 3; i++)
		jobs[i] = world_submit(world, input);
	await_shard(world, jobs[0], state);
	if (storm)
		world_script(world, storm);
	world->network.refused = storm ? NULL : "";
	world->network.refused_count = -1;
	run_for(world, 2 * MINUTE_MS);
	CHECK_ROW(row, state_of(world) == HEALTH_ILL);
	jobs[3] = world_submit(world, input);
	calls_before = world->network.calls;
	run_for(world, 2 * HOUR_MS);
	CHECK_ROW(row, state_of(world) == HEALTH_ILL);
	/* Each probe is one call, and they are up to a quarter of an hour apart. */
	CHECK_ROW(row, world->network.calls - calls_before < 30);
	script_clear(world->sim->script);
	world->network.refused = NULL;
	calls_before = world_now(world);
	finish_all(row, world, jobs, ARRAY_SIZE(jobs), input);
	CHECK_ROW(row, state_of(world) == HEALTH_OK);
	CHECK_ROW(row, world_now(world) - calls_before < 3 * HOUR_MS);
	/* Four jobs, four batches, each request of each answered once. */
	CHECK_ROW(row, world_ledger(world).batches == 4);
	CHECK_ROW(row, world_ledger(world).most_answers == 4);
	world_free(world);
}

static void a_storm_opens_the_breaker_and_loses_nothing(void)
{
	static const enum shard_state states[] = { SHARD_CUT, SHARD_UPLOADED, SHARD_CREATED, SHARD_ENDED };

	for (size_t i = 0; i < ARRAY_SIZE(storms); i++)
		for (size_t k = 0; k < ARRAY_SIZE(states); k++)
			live_through(storms[i], states[k], i * 10 + k + 1);
}

/* One batch that its server cannot show is no illness: another job goes its way. */
static void one_broken_object_stops_nobody_else(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_free char *script = NULL;
	auto_shard shard = { 0 };
	int64_t broken = world_submit(world, input), other, began;

	await_shard(world, broken, SHARD_CREATED);
	shard = world_shard(world, broken, 1);
	script = xasprintf("{\"call\":\"retrieve\",\"batch\":\"%s\",\"action\":\"status\",\"status\":500}",
			   shard.batch_id);
	world_script(world, script);
	run_for(world, 3 * HOUR_MS);
	CU_ASSERT(has_shard(world, broken, SHARD_CREATED));
	CU_ASSERT_EQUAL(state_of(world), HEALTH_OK);
	other = world_submit(world, input);
	began = world_now(world);
	await_shard(world, other, SHARD_ENDED);
	CU_ASSERT(world_now(world) - began < 2 * MINUTE_MS);
	script_clear(world->sim->script);
	finish_all("broken", world, (int64_t[]){ broken, other }, 2, input);
	world_free(world);
}

/* --- limited --- */

static void a_limit_of_one_call_leaves_the_others_alone(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t first = world_submit(world, input), second, began;
	struct calls calls;
	auto_shard shard = { 0 };

	await_shard(world, first, SHARD_CREATED);
	world_script(world, "{\"call\":\"retrieve\",\"action\":\"rate_limit\",\"retry_after\":\"3600\",\"count\":1}");
	while (state_of(world) != HEALTH_LIMITED)
		world_turn(world);
	began = world_now(world);
	look_at(&calls, world, "GET", "/batches/");
	second = world_submit(world, input);
	await_shard(world, second, SHARD_CREATED);
	CU_ASSERT(world_now(world) - began < SECOND_MS);
	run_for(world, 50 * MINUTE_MS);
	CU_ASSERT_EQUAL(calls.count, 0);
	shard = world_shard(world, second, 1);
	CU_ASSERT_STRING_EQUAL(shard.why, "429 from sim");
	CU_ASSERT(shard.due_at >= began + HOUR_MS && shard.due_at < began + HOUR_MS + SECOND_MS);
	CU_ASSERT_EQUAL(shard.tries, 0);
	finish_all("429", world, (int64_t[]){ first, second }, 2, input);
	CU_ASSERT(world_now(world) - began < HOUR_MS + 2 * MINUTE_MS);
	world_free(world);
}

/* --- refused --- */

/* What a shard that waits in the queue says. */
static char *why_of(struct world *world, const struct shard *shard)
{
	int64_t until = 0;

	return admission_why(world->store, world->providers, shard, world_now(world), &until);
}

static void a_refused_account_is_tried_with_one_call_and_resumed_at_once(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_free char *why = NULL;
	int64_t jobs[4], before, began;
	auto_shard shard = { 0 };

	for (size_t i = 0; i < 3; i++)
		jobs[i] = world_submit(world, input);
	for (size_t i = 0; i < 3; i++)
		await_shard(world, jobs[i], SHARD_CREATED);
	world_script(world, "{\"call\":\"any\",\"action\":\"status\",\"status\":401,\"code\":\"invalid_api_key\"}");
	while (state_of(world) != HEALTH_REFUSED)
		world_turn(world);
	run_for(world, SECOND_MS);
	before = world->network.calls;
	jobs[3] = world_submit(world, input);
	run_for(world, 4 * MINUTE_MS);
	CU_ASSERT_EQUAL(world->network.calls, before);
	shard = world_shard(world, jobs[3], 1);
	why = why_of(world, &shard);
	CU_ASSERT(why && strcmp(why, "refused: HTTP 401 invalid_api_key") == 0);
	CU_ASSERT_EQUAL(shard.tries, 0);
	/* After 5, 10, 20, 40, 60, 60, 60 minutes, one call each. */
	run_for(world, 4 * HOUR_MS + MINUTE_MS - 4 * MINUTE_MS);
	CU_ASSERT(world->network.calls - before >= 5 && world->network.calls - before <= 6);
	script_clear(world->sim->script);
	began = world_now(world);
	CU_ASSERT(resume_it(world));
	CU_ASSERT(!resume_it(world));
	finish_all("401", world, jobs, ARRAY_SIZE(jobs), input);
	CU_ASSERT(world_now(world) - began < MINUTE_MS);
	world_free(world);
}

static void a_clock_that_is_set_back_does_not_prolong_it(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job = world_submit(world, input), began;

	world_script(world, "{\"call\":\"create\",\"action\":\"status\",\"status\":401,\"count\":1}");
	while (state_of(world) != HEALTH_REFUSED)
		world_turn(world);
	loop_jump(world->loop, -30LL * DAY_MS);
	began = world_now(world);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT(world_now(world) - began <= HEALTH_REFUSED_LONGEST_MS + 5 * MINUTE_MS);
	world_free(world);
}

/* --- paused by a person --- */

static const enum shard_state pauses[] = { SHARD_CUT, SHARD_UPLOADED, SHARD_CREATED, SHARD_ENDED };

static void a_persons_pause_survives_everything(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(pauses); i++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job = world_submit(world, input), calls, began;
		auto_shard shard = { 0 };
		auto_free char *why = NULL;

		await_shard(world, job, pauses[i]);
		pause_it(world, "key rotation");
		/* What has left already is answered. */
		run_for(world, 2 * SECOND_MS);
		calls = world->network.calls;
		for (int life = 0; life < 5; life++) {
			run_for(world, 10 * HOUR_MS);
			world_kill(world);
			world_start(world);
		}
		run_for(world, HOUR_MS + MINUTE_MS);
		CHECK_ROW(shard_state_name(pauses[i]), world->network.calls == calls);
		CHECK_ROW(shard_state_name(pauses[i]), state_of(world) == HEALTH_PAUSED);
		shard = world_shard(world, job, 1);
		why = shard.queue == SHARD_WAITING ? why_of(world, &shard) : xstrdup(shard.why);
		CHECK_ROW(shard_state_name(pauses[i]), why && strcmp(why, "paused by root: key rotation") == 0);
		CHECK_ROW(shard_state_name(pauses[i]), shard.tries == 0);
		began = world_now(world);
		CHECK_ROW(shard_state_name(pauses[i]), resume_it(world));
		finish_all(shard_state_name(pauses[i]), world, &job, 1, input);
		CHECK_ROW(shard_state_name(pauses[i]), world_now(world) - began < MINUTE_MS);
		CHECK_ROW(shard_state_name(pauses[i]), world_ledger(world).batches == 1);
		world_kill(world);
		world_start(world);
		CHECK_ROW(shard_state_name(pauses[i]), state_of(world) == HEALTH_OK);
		world_free(world);
	}
}

static void a_pause_that_is_not_on_disk_is_none(void)
{
	struct world *world = world_new(&slow, 1);

	provider_pause(provider_of(world), 0, NULL);
	CU_ASSERT_EQUAL(state_of(world), HEALTH_PAUSED);
	world->store->failure = -ENOSPC;
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), -ENOSPC);
	CU_ASSERT_EQUAL(state_of(world), HEALTH_OK);
	pause_it(world, "first");
	(void)provider_resume(provider_of(world), 0);
	CU_ASSERT_EQUAL(state_of(world), HEALTH_OK);
	world->store->failure = -ENOSPC;
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), -ENOSPC);
	CU_ASSERT_EQUAL(state_of(world), HEALTH_PAUSED);
	world_free(world);
}

/* A job that ends without having been sent needs nobody's leave; one that was sent waits. */
static void a_cancel_of_what_was_not_sent_goes_through_a_pause(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job, began;

	pause_it(world, NULL);
	job = world_submit(world, input);
	await_shard(world, job, SHARD_CUT);
	began = world_now(world);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	CU_ASSERT(world_now(world) - began < SECOND_MS);
	world_free(world);
}

/* A create in doubt is looked up when the pause is over, and not sent twice. */
static void a_doubt_outlives_a_pause(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job = world_submit(world, input);

	know_list(world);
	world_script(world, "{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}");
	while (!world_ledger(world).creates)
		world_turn(world);
	pause_it(world, NULL);
	run_for(world, DAY_MS);
	CU_ASSERT_EQUAL(world_ledger(world).lists, 0);
	(void)resume_it(world);
	finish_all("doubt", world, &job, 1, input);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 1);
	world_free(world);
}

/* --- a thousand that wait --- */

#define MANY_JOBS 10
#define MANY 1000

static struct world *begin_many(int64_t *ret_jobs, char **ret_input)
{
	static const struct sim_config long_runs = { .run_ms = 2 * HOUR_MS };
	struct world *world = world_new(&long_runs, 1);

	/* A list that is of no use: each is asked for by itself. */
	world_script(world, "{\"call\":\"list\",\"action\":\"status\",\"status\":400}");
	world->provider.max_requests = 1;
	world->provider.poll_first = world->provider.poll_longest = 15 * MINUTE_MS;
	*ret_input = world_requests(MANY / MANY_JOBS, "");
	for (size_t i = 0; i < MANY_JOBS; i++)
		ret_jobs[i] = world_submit(world, *ret_input);
	while (world_ledger(world).batches < MANY)
		run_for(world, SECOND_MS);
	run_for(world, 5 * MINUTE_MS);
	return world;
}

static void end_many(const char *row, struct world *world, const int64_t *jobs, const char *input)
{
	finish_all(row, world, jobs, MANY_JOBS, input);
	CHECK_ROW(row, world_ledger(world).batches == MANY && world_ledger(world).most_answers == MANY_JOBS);
	world_free(world);
}

static void a_thousand_do_not_wake_in_one_turn(void)
{
	auto_free char *input = NULL;
	int64_t jobs[MANY_JOBS];
	struct world *world = begin_many(jobs, &input);
	struct calls calls;

	pause_it(world, NULL);
	run_for(world, HOUR_MS / 2);
	look_at(&calls, world, "GET", "/batches/");
	(void)resume_it(world);
	run_for(world, 30 * SECOND_MS);
	CU_ASSERT(calls.count >= MANY && calls.count < 3 * MANY);
	CU_ASSERT(calls.most_a_ms <= 4);
	CU_ASSERT(calls.most_under_way <= 10);
	end_many("paused", world, jobs, input);
}

/* The probe goes first, alone; the rest comes when it has been answered, one after the other. */
static void a_thousand_let_the_probe_go_first(void)
{
	auto_free char *input = NULL;
	int64_t jobs[MANY_JOBS];
	struct world *world = begin_many(jobs, &input);
	struct calls calls;

	world->network.refused = "";
	world->network.refused_count = -1;
	run_for(world, 40 * MINUTE_MS);
	CU_ASSERT_EQUAL(state_of(world), HEALTH_ILL);
	world->network.refused = NULL;
	world->network.latency_ms = 500;
	look_at(&calls, world, "GET", "/batches/");
	while (state_of(world) == HEALTH_ILL)
		world_turn(world);
	CU_ASSERT_EQUAL(calls.count, 1);
	run_for(world, MINUTE_MS);
	CU_ASSERT(calls.count >= MANY);
	CU_ASSERT(calls.most_a_ms <= 4);
	end_many("ill", world, jobs, input);
}

/* --- rates and transfers --- */

static void no_hour_has_more_batches_than_are_allowed(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(10, "");
	int64_t job, before;

	world->provider.max_requests = 1;
	world->provider.batches_per_hour = 4;
	job = world_submit(world, input);
	run_for(world, 50 * MINUTE_MS);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 4);
	CU_ASSERT_EQUAL(state_of(world), HEALTH_LIMITED);
	/* A start does not begin to count anew, not even for those who come only then. */
	world_kill(world);
	world_start(world);
	(void)world_submit(world, "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
				  "\"body\":{\"model\":\"m\",\"messages\":[]}}\n");
	run_for(world, 5 * MINUTE_MS);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 4);
	run_for(world, 10 * MINUTE_MS);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 8);
	before = world_now(world);
	finish_all("rate", world, &job, 1, input);
	CU_ASSERT(world_now(world) - before < HOUR_MS + 5 * MINUTE_MS);
	world_free(world);
}

static void uploads_leave_room_for_answers(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_free char *many = world_requests(40, "");
	int64_t first = world_submit(world, input), second, began;
	struct calls calls;

	await_shard(world, first, SHARD_CREATED);
	world_script(world, "{\"call\":\"upload\",\"action\":\"delay\",\"ms\":50000}");
	world->provider.max_requests = 1;
	look_at(&calls, world, "POST", "/files");
	began = world_now(world);
	second = world_submit(world, many);
	CU_ASSERT_EQUAL(world_finish(world, first), JOB_COMPLETED);
	CU_ASSERT(world_now(world) - began < MINUTE_MS);
	CU_ASSERT_EQUAL(calls.most_under_way, 2);
	script_clear(world->sim->script);
	CU_ASSERT_EQUAL(world_finish(world, second), JOB_COMPLETED);
	world_free(world);
}

CHECK_MAIN("health_world", CHECK(a_storm_opens_the_breaker_and_loses_nothing), CHECK(one_broken_object_stops_nobody_else),
	   CHECK(a_limit_of_one_call_leaves_the_others_alone),
	   CHECK(a_refused_account_is_tried_with_one_call_and_resumed_at_once),
	   CHECK(a_clock_that_is_set_back_does_not_prolong_it), CHECK(a_persons_pause_survives_everything),
	   CHECK(a_pause_that_is_not_on_disk_is_none), CHECK(a_cancel_of_what_was_not_sent_goes_through_a_pause),
	   CHECK(a_doubt_outlives_a_pause), CHECK(a_thousand_do_not_wake_in_one_turn),
	   CHECK(a_thousand_let_the_probe_go_first), CHECK(no_hour_has_more_batches_than_are_allowed),
	   CHECK(uploads_leave_room_for_answers))
