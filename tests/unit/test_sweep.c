/* Many batches looked at with one call: that this is done, what it costs, and that no list, however wrong, keeps a job from its end. */
#include <inttypes.h>
#include <string.h>

#include "daemon/work/eta.h"
#include "daemon/work/sweep.h"
#include "tests/unit/world_scene.h"

#define MANY 60
/* Those that are made before ten are under way are looked at once. */
#define FIRST 10

static const struct sim_config minutes = {
	.validate_ms = 2000,
	.run_ms = 5 * MINUTE_MS,
	.finalize_ms = 2000,
	.cancel_ms = 5000,
};

static const char *no_parameter(const char *name, void *context)
{
	(void)name, (void)context;
	return NULL;
}

static const char *count_parameter(const char *name, void *context)
{
	return strcmp(name, "count") == 0 ? context : NULL;
}

static void add_foreign(struct world *world, const char *count)
{
	const struct sim_request request = {
		.method = "POST",
		.path = "/sim/foreign",
		.query = count_parameter,
		.header = no_parameter,
		.context = (char *)(uintptr_t)count,
	};
	struct sim_answer answer;

	sim_call(world->sim, &request, &answer);
	CU_ASSERT_EQUAL(answer.status, 200);
	sim_answer_release(&answer);
}

/* A world in which every request is a batch of its own. */
static struct world *new_world(const struct sim_config *sim, uint64_t seed)
{
	struct world *world = world_new(sim, seed);

	world->provider.max_requests = 1;
	return world;
}

struct tally {
	const char *type;
	int64_t count;
};

static void tally_event(const struct store_event *event, void *context)
{
	struct tally *tally = context;

	tally->count += strcmp(event->type, tally->type) == 0;
}

static int64_t count_events(struct world *world, int64_t job, const char *type)
{
	struct tally tally = { .type = type };

	(void)store_event_list(world->store, job, 0, 100000, tally_event, &tally);
	return tally.count;
}

static int64_t looks(struct world *world)
{
	return sim_calls(world->sim, "list") + sim_calls(world->sim, "retrieve");
}

static bool are_created(struct world *world, void *context)
{
	int64_t count = 0;

	(void)store_polls_count(world->store, world->provider.name, &count);
	return count >= *(int64_t *)context;
}

static bool is_later(struct world *world, void *context)
{
	return world_now(world) >= *(int64_t *)context;
}

static void live_for(struct world *world, int64_t ms)
{
	int64_t until = world_now(world) + ms;

	CU_ASSERT(world_run(world, 2 * ms, is_later, &until));
}

static void submit_and_create(struct world *world, const char *input, int64_t count, int64_t *ret_job)
{
	*ret_job = world_submit(world, input);
	CU_ASSERT(world_run(world, MINUTE_MS, are_created, &count));
}

static void one_list_stands_for_many_retrieves(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(MANY, "");
	int64_t job = world_submit(world, input);

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	check_judged("many", world, job, input);
	CU_ASSERT(sim_calls(world->sim, "retrieve") <= FIRST);
	CU_ASSERT(sim_calls(world->sim, "list") > 3);
	CU_ASSERT(sim_calls(world->sim, "list") < 40);
	world_free(world);
}

static void few_are_retrieved_one_by_one(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(9, "");
	int64_t job = world_submit(world, input);

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(sim_calls(world->sim, "list"), 0);
	world_free(world);
}

/* clang-format off */
static const struct {
	const char *name, *script;
	int64_t most; /* looks, where retrieves alone would be about 600 */
	bool is_of_cursors; /* shows where there are several pages */
} wrong[] = {
	{ "nothing wrong",       "{\"call\":\"any\",\"action\":\"extra_members\"}", 40, true },
	{ "always empty",        "{\"call\":\"list\",\"action\":\"list_empty\"}", 800, false },
	{ "cursor ignored",      "{\"call\":\"list\",\"action\":\"after_ignored\"}", 60, true },
	{ "no has_more",         "{\"call\":\"list\",\"action\":\"no_has_more\"}", 60, true },
	{ "no first and last",   "{\"call\":\"list\",\"action\":\"no_first_last\"}", 40, false },
	{ "a bare array",        "{\"call\":\"list\",\"action\":\"bare_array\"}", 60, true },
	{ "a minute behind",     "{\"call\":\"list\",\"action\":\"list_stale\",\"ms\":60000}", 400, false },
	{ "an hour behind",      "{\"call\":\"list\",\"action\":\"list_stale\",\"ms\":3600000}", 800, true },
	{ "pages overlap",       "{\"call\":\"list\",\"action\":\"pages_overlap\"}", 60, true },
	{ "after is refused",    "{\"call\":\"list\",\"action\":\"status\",\"status\":400,\"paged\":true}", 60, true },
	{ "lists are refused",   "{\"call\":\"list\",\"action\":\"status\",\"status\":400}", 800, false },
	{ "lists are not there", "{\"call\":\"list\",\"action\":\"status\",\"status\":404}", 800, false },
	{ "lists fail",          "{\"call\":\"list\",\"action\":\"status\",\"status\":500}", 800, false },
	{ "one list fails",      "{\"call\":\"list\",\"nth\":2,\"action\":\"status\",\"status\":503}", 60, true },
	{ "lists are garbage",   "{\"call\":\"list\",\"action\":\"garbage\"}", 800, false },
	{ "lists are cut",       "{\"call\":\"list\",\"action\":\"cut_body\",\"cut_percent\":50}", 800, false },
	{ "lists are not answered", "{\"call\":\"list\",\"action\":\"drop_after\"}", 800, false },
	{ "no times",            "{\"call\":\"list\",\"action\":\"no_created_at\"}", 60, false },
	{ "no metadata",         "{\"call\":\"list\",\"action\":\"no_metadata\"}", 40, false },
	{ "status in capitals",  "{\"call\":\"list\",\"action\":\"status_upper\"}", 40, false },
	{ "an unknown status",   "{\"call\":\"list\",\"action\":\"unknown_status\",\"younger_ms\":60000}", 40, false },
	{ "files come late",     "{\"call\":\"list\",\"action\":\"files_null\",\"ended_ms\":90000}", 400, false },
};
/* clang-format on */

static void no_list_keeps_a_job_from_its_end(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct world *world = new_world(&minutes, i + 1);
		auto_free char *input = world_requests(MANY, "");
		int64_t job = world_submit(world, input);

		world_script(world, wrong[i].script);
		CHECK_ROW(wrong[i].name, world_finish(world, job) == JOB_COMPLETED);
		check_judged(wrong[i].name, world, job, input);
		CHECK_ROW(wrong[i].name, world_ledger(world).batches == MANY);
		CHECK_ROW(wrong[i].name, looks(world) <= wrong[i].most);
		if (looks(world) > wrong[i].most)
			(void)fprintf(stderr, "# %" PRId64 " looks\n", looks(world));
		CHECK_ROW(wrong[i].name, sim_calls(world->sim, "list") > 0);
		world_free(world);
	}
}

/* The same with a list of several pages. */
static void no_long_list_does_either(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct world *world;
		auto_free char *input = world_requests(250, "");
		int64_t job;

		if (!wrong[i].is_of_cursors)
			continue;
		world = new_world(&minutes, i + 1);
		job = world_submit(world, input);
		world_script(world, wrong[i].script);
		CHECK_ROW(wrong[i].name, world_finish(world, job) == JOB_COMPLETED);
		check_judged(wrong[i].name, world, job, input);
		CHECK_ROW(wrong[i].name, world_ledger(world).batches == 250);
		CHECK_ROW(wrong[i].name, looks(world) <= 12 * 250);
		world_free(world);
	}
}

static void what_stands_far_below_is_retrieved(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *few = world_requests(20, "");
	auto_free char *many = world_requests(MANY, "");
	int64_t below, above, lists;

	submit_and_create(world, few, 20, &below);
	add_foreign(world, "5000");
	submit_and_create(world, many, 20 + MANY, &above);
	live_for(world, MINUTE_MS);
	lists = sim_calls(world->sim, "list");
	live_for(world, 2 * MINUTE_MS);
	CHECK_ROW("one page a sweep", sim_calls(world->sim, "list") - lists <= 2 * 60 / 5 + 1);
	CHECK_ROW("the others one by one", sim_calls(world->sim, "retrieve") >= 20);
	CU_ASSERT_EQUAL(world_finish(world, above), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world_finish(world, below), JOB_COMPLETED);
	CHECK_ROW("nothing above is", sim_calls(world->sim, "retrieve") <= 20 * 12);
	world_free(world);
}

static void a_list_of_others_alone_is_left_alone(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(20, "");
	int64_t job;

	submit_and_create(world, input, 20, &job);
	add_foreign(world, "10000");
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT(sim_calls(world->sim, "list") <= 3 * 20);
	CU_ASSERT(sim_calls(world->sim, "retrieve") <= 20 * 12);
	world_free(world);
}

static void others_that_come_above_do_not_hide_ours(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(MANY, "");
	int64_t job;

	submit_and_create(world, input, MANY, &job);
	live_for(world, MINUTE_MS);
	for (int i = 0; i < 4; i++) {
		add_foreign(world, "150");
		live_for(world, MINUTE_MS / 2);
	}
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT(sim_calls(world->sim, "retrieve") <= FIRST);
	world_free(world);
}

static void a_batch_that_the_list_leaves_out_is_retrieved(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(MANY, "");
	auto_free char *rule = NULL;
	auto_shard shard = { 0 };
	int64_t job;

	submit_and_create(world, input, MANY, &job);
	shard = world_shard(world, job, 7);
	/* Another id stands there in its place. */
	rule = xasprintf("{\"call\":\"list\",\"action\":\"set\",\"batch\":\"%s\",\"members\":{\"id\":\"batch_x\"}}",
			 shard.batch_id);
	world_script(world, rule);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT(sim_calls(world->sim, "retrieve") > 2);
	CU_ASSERT(sim_calls(world->sim, "retrieve") < 12);
	world_free(world);
}

static void a_list_that_hides_a_live_batch_proves_no_absence(void)
{
	static const struct sim_config hours = { .run_ms = HOUR_MS };
	static const struct {
		const char *name, *script;
		bool is_trusted;
	} lists[] = {
		{ "all are shown", "{\"call\":\"list\",\"action\":\"extra_members\"}", true },
		{ "none is shown", "{\"call\":\"list\",\"action\":\"list_empty\"}", false },
		{ "the young are not", "{\"call\":\"list\",\"action\":\"list_stale\",\"ms\":300000}", true },
		{ "the old are not, for the cursor is ignored", "{\"call\":\"list\",\"action\":\"after_ignored\"}", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct world *world = new_world(&hours, 1);
		auto_free char *input = world_requests(150, "");
		int64_t job;

		world->provider.settle = 10 * MINUTE_MS;
		submit_and_create(world, input, 150, &job);
		live_for(world, 15 * MINUTE_MS);
		world_script(world, lists[i].script);
		/* Who starts anew looks anew. */
		world_kill(world);
		world_start(world);
		live_for(world, 2 * MINUTE_MS);
		CHECK_ROW(lists[i].name, store_list_failed(world->store, "sim") == !lists[i].is_trusted);
		CHECK_ROW(lists[i].name, store_list_was_seen(world->store, "sim"));
		world_free(world);
	}
}

static void a_restart_at_any_turn_changes_nothing(void)
{
	for (int64_t span = 10; span < 60; span += 7) {
		struct world *world = new_world(&slow, (uint64_t)span);
		auto_free char *input = world_requests(30, "");
		int64_t job = world_submit(world, input);

		for (int life = 0; life < 200; life++) {
			auto_job now = world_job(world, job);

			if (job_is_ended(now.state))
				break;
			for (int64_t i = 0; i < span + life % 2; i++)
				world_turn(world);
			world_kill(world);
			world_start(world);
		}
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		check_judged("short lives", world, job, input);
		CU_ASSERT_EQUAL(world_ledger(world).most_batches, 1);
		world_free(world);
	}
}

static void a_cancel_does_not_wait_for_a_sweep(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(MANY, "");
	int64_t job, began;

	submit_and_create(world, input, MANY, &job);
	live_for(world, 2 * MINUTE_MS);
	began = world_now(world);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	CU_ASSERT(world_now(world) - began < 2 * MINUTE_MS);
	CU_ASSERT_EQUAL(world_ledger(world).cancels, MANY);
	world_free(world);
}

/* Those whose cancel has to wait for the provider are seen by sweeps meanwhile, which must not put it off. */
static void nor_does_a_cancel_that_was_limited(void)
{
	static const struct sim_config days = { .run_ms = 20 * HOUR_MS, .cancel_ms = 5000 };
	struct world *world = new_world(&days, 1);
	auto_free char *input = world_requests(MANY, "");
	int64_t job, began;

	submit_and_create(world, input, MANY, &job);
	live_for(world, 2 * MINUTE_MS);
	world_script(world, "{\"call\":\"cancel\",\"action\":\"status\",\"status\":429,\"retry_after\":\"120\",\"count\":3}");
	began = world_now(world);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	CU_ASSERT(world_now(world) - began < HOUR_MS);
	CU_ASSERT_EQUAL(world_ledger(world).live, 0);
	world_free(world);
}

/* What sweeps have put off far is not forgotten when so few are left that none is worth it. */
static void the_last_few_are_found_in_time(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(20, "");
	auto_job end = { 0 };
	int64_t job;

	/* Two take some minutes longer. */
	world_script(world, "{\"action\":\"durations\",\"run_ms\":450000,\"every\":7}");
	submit_and_create(world, input, 20, &job);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	end = world_job(world, job);
	CU_ASSERT(world_now(world) < end.created_at + 450000 + 75000);
	world_free(world);
}

/* --- how long it will take, and what takes too long --- */

static int64_t eta(struct world *world, int64_t job)
{
	auto_job now = world_job(world, job);

	return eta_of_job(world->store, &now, world_now(world));
}

static void a_job_says_how_long_it_will_take_once_that_is_known(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(20, "");
	auto_shard shard = { 0 };
	int64_t job;

	submit_and_create(world, input, 20, &job);
	CHECK_ROW("nothing has ended yet", eta(world, job) == -1);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CHECK_ROW("it has ended", eta(world, job) == -1);
	job = world_submit(world, input);
	CHECK_ROW("nothing is sent yet", eta(world, job) == -1);
	live_for(world, MINUTE_MS);
	CHECK_ROW("four minutes and some are left", eta(world, job) > 200 && eta(world, job) < 360);
	shard = world_shard(world, job, 1);
	CU_ASSERT(eta_of_shard(world->store, &shard, world_now(world)) > 200);
	CHECK_ROW("longer than any did", eta_of_shard(world->store, &shard, world_now(world) + HOUR_MS) == -1);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	world_free(world);
}

/* Of one batch at a time, as no list tells of it. */
static void a_batch_is_not_asked_for_before_it_can_have_ended(void)
{
	struct world *world = new_world(&minutes, 1);
	auto_free char *input = world_requests(6, "");
	auto_free char *one = world_requests(1, "");
	int64_t before, job;

	world->provider.poll_longest = 20 * MINUTE_MS;
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	before = sim_calls(world->sim, "retrieve");
	job = world_submit(world, one);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT(sim_calls(world->sim, "retrieve") - before <= 6);
	world_free(world);
}

static const struct {
	const char *name, *action, *status;
	size_t requests;
	int64_t batches, cancels;
} stuck[] = {
	{ "one, told", "tell", "in_progress", 1, 1, 0 },
	{ "many, told", "tell", "in_progress", 30, 30, 0 },
	{ "one, its answers are kept", "resend", "in_progress", 1, 1, 1 },
	{ "one, sent again", "resend", "validating", 1, 2, 1 },
	{ "many, sent again", "resend", "validating", 30, 31, 1 },
};

static void a_stuck_batch_is_told_and_sent_again_where_that_is_wanted(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(stuck); i++) {
		struct world *world = new_world(&minutes, i + 1);
		auto_free char *input = world_requests(stuck[i].requests, "");
		auto_free char *rule = NULL;
		int64_t job;

		world->provider.stuck_after = 2 * HOUR_MS;
		world->provider.stuck_action = (char *)(uintptr_t)stuck[i].action;
		rule = xasprintf("{\"action\":\"stuck\",\"status\":\"%s\",\"count\":1}", stuck[i].status);
		world_script(world, rule);
		job = world_submit(world, input);
		live_for(world, 110 * MINUTE_MS);
		CHECK_ROW(stuck[i].name, world_event(world, job, "shard.stuck", "") == NULL);
		live_for(world, 20 * MINUTE_MS);
		check_event(stuck[i].name, world, job, "shard.stuck", "nothing has moved for 2h");
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		check_judged(stuck[i].name, world, job, input);
		CHECK_ROW(stuck[i].name, world_ledger(world).cancels == stuck[i].cancels);
		CHECK_ROW(stuck[i].name, world_ledger(world).batches == stuck[i].batches);
		CHECK_ROW(stuck[i].name, count_events(world, job, "shard.stuck") == 1);
		world_free(world);
	}
}

static void a_plan_reads_what_pays(void)
{
	/* clang-format off */
	static const struct {
		const char *name;
		int32_t ours[6];
		size_t count;
		int64_t wanted;
		size_t plan;
	} plans[] = {
		{ "nothing is wanted",      { 5 }, 1, 0, 0 },
		{ "one page has all",       { 50 }, 1, 50, 1 },
		{ "none of ours",           { 0, 0, 0 }, 3, 50, 0 },
		{ "one a page is no gain",  { 1, 1, 1 }, 3, 3, 0 },
		{ "two a page are",         { 2, 2, 2 }, 3, 6, 3 },
		{ "a gap that pays",        { 10, 0, 0, 10 }, 4, 20, 4 },
		{ "a gap that does not",    { 10, 0, 0, 2 }, 4, 12, 1 },
		{ "some stand nowhere",     { 10, 10 }, 2, 100, 2 },
		{ "more than was wanted",   { 10, 10 }, 2, 10, 1 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(plans); i++) {
		struct sweep_page pages[6] = { 0 };

		for (size_t k = 0; k < plans[i].count; k++)
			pages[k].ours = plans[i].ours[k];
		CHECK_ROW(plans[i].name, sweep_plan(pages, plans[i].count, plans[i].wanted) == plans[i].plan);
	}
}

CHECK_MAIN("sweep", CHECK(one_list_stands_for_many_retrieves), CHECK(few_are_retrieved_one_by_one),
	   CHECK(no_list_keeps_a_job_from_its_end), CHECK(no_long_list_does_either),
	   CHECK(what_stands_far_below_is_retrieved), CHECK(a_list_of_others_alone_is_left_alone),
	   CHECK(others_that_come_above_do_not_hide_ours), CHECK(a_batch_that_the_list_leaves_out_is_retrieved),
	   CHECK(a_list_that_hides_a_live_batch_proves_no_absence), CHECK(a_restart_at_any_turn_changes_nothing),
	   CHECK(a_cancel_does_not_wait_for_a_sweep), CHECK(nor_does_a_cancel_that_was_limited), CHECK(the_last_few_are_found_in_time),
	   CHECK(a_job_says_how_long_it_will_take_once_that_is_known),
	   CHECK(a_batch_is_not_asked_for_before_it_can_have_ended),
	   CHECK(a_stuck_batch_is_told_and_sent_again_where_that_is_wanted), CHECK(a_plan_reads_what_pays))
