/* What a job, and a user on a day, may use up: taken before it is sent, settled once, whatever happens in between. */
#include "daemon/io/config.h"
#include "daemon/work/budget.h"
#include "daemon/work/order.h"
#include "daemon/work/pipeline.h"
#include "tests/unit/world_scene.h"

#define DAY_MS (24 * HOUR_MS)
#define MOST_TURNS 400

static struct world *world;
static char *input;
static struct config_model prices = { .input_price = 2000000, .output_price = 10000000 };

static void begin(void)
{
	prices.name = (char *)(uintptr_t) "m";
	world = world_new(&slow, 1);
	know_list(world);
	input = world_requests(STORY_REQUESTS, "");
	world->config.models = &prices;
	world->config.model_count = 1;
}

static void end(void)
{
	world_free(world);
	free(take(input));
}

static bool never(struct world *any, void *context)
{
	(void)any, (void)context;
	return false;
}

static void pass(int64_t ms)
{
	(void)world_run(world, ms, never, NULL);
}

struct sums {
	int64_t input, output, tokens, open;
};

static void add_shard(const struct shard *shard, void *context)
{
	struct sums *sums = context;

	sums->input += shard->tally.input_tokens;
	sums->output += shard->tally.output_tokens;
	sums->tokens += shard->tokens;
	sums->open += shard->budgeted_at > 0;
}

static struct sums sums_of(int64_t job)
{
	struct sums sums = { 0 };

	(void)store_shard_list(world->store, job, 0, 1000, add_shard, &sums);
	return sums;
}

/* What the job spent is what its answers used, and so is what its owner did, on the day of the start. */
static void check_settled(const char *row, int64_t job, int64_t day)
{
	struct sums sums = sums_of(job);
	int64_t tokens = 0, cost = 0, wanted = (sums.input * 2 + sums.output * 10) / 2;
	auto_job now = world_job(world, job);

	(void)store_spending_get(world->store, WORLD_UID, day, &tokens, &cost);
	CHECK_ROW(row, sums.open == 0);
	CHECK_ROW(row, now.spent_tokens == sums.input + sums.output);
	CHECK_ROW(row, now.spent_cost >= wanted - 2 && now.spent_cost <= wanted + 2);
	CHECK_ROW(row, tokens == now.spent_tokens && cost == now.spent_cost);
}

/* clang-format off */
static const char *const stories[] = {
	NULL,
	"{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}",
	"{\"call\":\"create\",\"action\":\"drop_before\",\"count\":1}",
	"{\"action\":\"token_limit\",\"count\":2}",
	"{\"action\":\"file_not_found\",\"count\":2}",
	"{\"action\":\"expire\",\"percent\":50,\"count\":1}",
	"{\"call\":\"upload\",\"action\":\"status\",\"status\":413,\"count\":1}",
	"{\"call\":\"create\",\"action\":\"status\",\"status\":503,\"count\":2}",
};
/* clang-format on */

static bool die_once(const char *script, int64_t turn)
{
	const char *row = script ? script : "no quirk";
	int64_t job, day;
	auto_job now = { 0 };
	bool is_there;

	begin();
	day = world_now(world) / DAY_MS;
	job = world_submit(world, input);
	if (script)
		world_script(world, script);
	for (now = world_job(world, job); world->turns < turn && !job_is_ended(now.state); now = world_job(world, job)) {
		job_release(&now);
		world_turn(world);
	}
	is_there = !job_is_ended(now.state);
	if (is_there && turn % 2) {
		world_lose_turn(world);
	} else if (is_there) {
		world_kill(world);
		world_start(world);
	}
	CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
	check_settled(row, job, day);
	end();
	return is_there;
}

static void what_was_used_is_counted_once_whatever_happens(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		int64_t turn = 0;

		while (turn < MOST_TURNS && die_once(stories[i], turn))
			turn++;
		CHECK_ROW(stories[i] ? stories[i] : "no quirk", turn > 15 && turn < MOST_TURNS);
	}
}

static void what_did_no_work_is_given_back(void)
{
	for (int64_t turn = 0; turn < 60; turn++) {
		struct sums sums;
		auto_job now = { 0 };
		int64_t job;

		begin();
		job = world_submit(world, input);
		while (world->turns < turn)
			world_turn(world);
		if (world_cancel(world, job) == 0)
			CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
		now = world_job(world, job);
		sums = sums_of(job);
		CU_ASSERT_EQUAL(sums.open, 0);
		CU_ASSERT_EQUAL(now.spent_tokens, sums.input + sums.output);
		end();
	}
}

/* The sum of what is taken and of what was used is on disk at any time. */
static void what_is_in_flight_is_taken(void)
{
	auto_job now = { 0 };
	auto_shard shard = { 0 };
	int64_t job;

	begin();
	job = world_submit(world, input);
	pass(10000);
	now = world_job(world, job);
	shard = world_shard(world, job, 1);
	CU_ASSERT_EQUAL(shard.state, SHARD_CREATED);
	CU_ASSERT(shard.budgeted_at > 0);
	CU_ASSERT_EQUAL(now.spent_tokens, 2 * shard.tokens);
	CU_ASSERT_EQUAL(shard.budgeted_tokens, 2 * shard.tokens);
	CU_ASSERT_EQUAL(now.spent_cost, (shard.tokens * 2 + shard.tokens * 10) / 2);
	end();
}

static char *why_of(int64_t job, int64_t *ret_until)
{
	auto_job now = world_job(world, job);
	auto_shard shard = { 0 };
	char *why = NULL;

	if (!store_queue_first(world->store, job, &shard))
		(void)budget_has_room(world->store, &world->config, &now, &shard, world_now(world), &why, ret_until);
	return why;
}

static int64_t batches(void)
{
	return world_ledger(world).batches;
}

static void a_budget_of_a_job_is_kept_until_a_person_raises_it(void)
{
	for (int is_money = 0; is_money < 2; is_money++) {
		struct job wish = { .uid = WORLD_UID };
		struct order_change change = { .priority = -1, .budget_tokens = -1, .budget_cost = -1 };
		auto_job now = { 0 };
		auto_free char *why = NULL;
		int64_t job, until = -1;

		begin();
		world->provider.max_requests = 1;
		world->config.currency = (char *)(uintptr_t) "USD";
		wish.budget_tokens = is_money ? 0 : 90;
		wish.budget_cost = is_money ? 300 : 0;
		job = world_submit_as(world, &wish, input);
		pass(9 * HOUR_MS);
		now = world_job(world, job);
		CU_ASSERT_EQUAL(now.state, JOB_RUNNING);
		CU_ASSERT(batches() > 0 && batches() < STORY_REQUESTS);
		CU_ASSERT(is_money ? now.spent_cost <= 300 : now.spent_tokens <= 90);
		why = why_of(job, &until);
		CU_ASSERT_PTR_NOT_NULL_FATAL(why);
		CU_ASSERT(strncmp(why, "budget of the job: ", 19) == 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(why, is_money ? " of 0.0003 USD used or reserved, " : " of 90 tokens used or reserved, "));
		CU_ASSERT_EQUAL(until, 0);
		*(is_money ? &change.budget_cost : &change.budget_tokens) = 0;
		CU_ASSERT_EQUAL(order_change(world->pipeline, job, &change, WORLD_UID), 0);
		CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		check_judged("raised", world, job, input);
		end();
	}
}

static void a_budget_of_money_needs_a_price(void)
{
	struct job wish = { .uid = WORLD_UID, .budget_cost = 1000000 };
	auto_free char *why = NULL;
	int64_t job;

	begin();
	world->config.model_count = 0;
	job = world_submit_as(world, &wish, input);
	pass(HOUR_MS);
	CU_ASSERT_EQUAL(world_ledger(world).uploads, 0);
	why = why_of(job, NULL);
	CU_ASSERT_PTR_NOT_NULL_FATAL(why);
	CU_ASSERT_STRING_EQUAL(why, "budget of the job: no price of m is known");
	end();
}

static void a_day_of_a_user_ends_at_midnight(void)
{
	struct config_user user = { .uid = WORLD_UID };
	int64_t job, other, until = 0, tomorrow;
	auto_free char *why = NULL;
	auto_job now = { 0 };

	begin();
	world->provider.max_requests = 1;
	user.limits.max_tokens_per_day = 90;
	world->config.users = &user;
	world->config.user_count = 1;
	tomorrow = (world_now(world) / DAY_MS + 1) * DAY_MS;
	job = world_submit(world, input);
	other = world_submit_for(world, WORLD_UID + 1, input);
	/* Another user is not held up by it. */
	CU_ASSERT_EQUAL(world_finish(world, other), JOB_COMPLETED);
	pass(HOUR_MS);
	now = world_job(world, job);
	CU_ASSERT(now.spent_tokens > 0 && now.spent_tokens <= 90);
	why = why_of(job, &until);
	CU_ASSERT_PTR_NOT_NULL_FATAL(why);
	CU_ASSERT(strncmp(why, "tokens a day of uid 1000: ", 26) == 0);
	CU_ASSERT_EQUAL(until, tomorrow);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	job_release(&now);
	now = world_job(world, job);
	CU_ASSERT(now.completed_at >= tomorrow && now.spent_tokens > 90);
	check_judged("over midnight", world, job, input);
	end();
}

static void what_no_day_has_waits_for_a_person(void)
{
	struct config_user user = { .uid = WORLD_UID };
	int64_t job, until = -1;
	auto_free char *why = NULL;

	begin();
	user.limits.max_cost_per_day = 1;
	world->config.users = &user;
	world->config.user_count = 1;
	job = world_submit(world, input);
	pass(3 * DAY_MS);
	CU_ASSERT_EQUAL(world_ledger(world).uploads, 0);
	why = why_of(job, &until);
	CU_ASSERT_PTR_NOT_NULL_FATAL(why);
	CU_ASSERT_PTR_NOT_NULL(strstr(why, "more needed, which no day has"));
	CU_ASSERT_EQUAL(until, 0);
	end();
}

static void the_answers_teach_what_the_rest_will_use(void)
{
	struct sums sums;
	auto_shard last = { 0 };
	auto_job now = { 0 };
	struct shard next;
	int64_t job, thought;

	begin();
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	sums = sums_of(job);
	now = world_job(world, job);
	last = world_shard(world, job, 1);
	next = last;
	next.state = SHARD_CUT;
	next.budgeted_at = 0;
	budget_reserve(world->store, &world->config, &now, &next, world_now(world));
	thought = next.budgeted_tokens;
	CU_ASSERT(thought >= sums.input + sums.output - 2 && thought <= sums.input + sums.output);
	CU_ASSERT(thought != 2 * last.tokens);
	end();
}

/* Words of a provider that nobody can believe must not break the store. */
static void sums_do_not_outgrow_their_numbers(void)
{
	auto_job now = { 0 };
	auto_shard shard = { 0 };
	int64_t job;

	begin();
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	now = world_job(world, job);
	shard = world_shard(world, job, 1);
	shard.tally.input_tokens = shard.tally.output_tokens = INT64_MAX;
	for (int i = 0; i < 30; i++)
		budget_settle(world->store, &world->config, &now, &shard, world_now(world));
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	job_release(&now);
	now = world_job(world, job);
	CU_ASSERT(now.spent_tokens > INT64_MAX / 4 && now.spent_cost > INT64_MAX / 4);
	end();
}

/* clang-format off */
CHECK_MAIN("budget", CHECK(what_was_used_is_counted_once_whatever_happens), CHECK(what_did_no_work_is_given_back),
	   CHECK(what_is_in_flight_is_taken), CHECK(a_budget_of_a_job_is_kept_until_a_person_raises_it),
	   CHECK(a_budget_of_money_needs_a_price), CHECK(a_day_of_a_user_ends_at_midnight),
	   CHECK(what_no_day_has_waits_for_a_person), CHECK(the_answers_teach_what_the_rest_will_use),
	   CHECK(sums_do_not_outgrow_their_numbers))
/* clang-format on */
