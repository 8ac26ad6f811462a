/* When a job is sent: its time, another job, a hold, a deadline; each at every moment of a job's way. */
#include <errno.h>

#include "daemon/work/order.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/unit/world_scene.h"

#define MOST_TURNS 400

static struct world *world;
static char *input;

static void begin(void)
{
	world = world_new(&slow, 1);
	know_list(world);
	input = world_requests(STORY_REQUESTS, "");
}

static void end(void)
{
	world_free(world);
	free(take(input));
}

static bool is_over(int64_t job)
{
	auto_job now = world_job(world, job);

	return job_is_ended(now.state);
}

static enum job_state state_of(int64_t job)
{
	auto_job now = world_job(world, job);

	return now.state;
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

static void commit_word(int r, int wanted)
{
	CU_ASSERT_EQUAL(r, wanted);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
}

static void hold(int64_t job, int wanted)
{
	commit_word(order_hold(world->pipeline, job, WORLD_UID), wanted);
}

static void release(int64_t job, int wanted)
{
	commit_word(order_release(world->pipeline, job, WORLD_UID), wanted);
}

static int64_t calls_that_send(void)
{
	struct world_ledger ledger = world_ledger(world);

	return ledger.uploads + ledger.creates;
}

/* --- time, and another job --- */

static void begins_when_its_time_has_come(void)
{
	struct job wish = { .uid = WORLD_UID };
	auto_shard shard = { 0 };
	int64_t job;

	begin();
	wish.begin_at = world_now(world) + 3 * HOUR_MS;
	job = world_submit_as(world, &wish, input);
	pass(MINUTE_MS);
	/* Wrong lines are told at once, whenever it begins. */
	CU_ASSERT_EQUAL(state_of(job), JOB_VALID);
	pass(2 * HOUR_MS + 50 * MINUTE_MS);
	CU_ASSERT_EQUAL(state_of(job), JOB_VALID);
	CU_ASSERT_EQUAL(calls_that_send(), 0);
	world_kill(world);
	world_start(world);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	shard = world_shard(world, job, 1);
	CU_ASSERT(shard.uploaded_at >= wish.begin_at && shard.uploaded_at < wish.begin_at + MINUTE_MS);
	check_judged("begin", world, job, input);
	end();
}

static void keeps_to_its_time_when_the_clock_is_set(void)
{
	static const int64_t jumps[] = { -5 * HOUR_MS, 2 * HOUR_MS, 4 * HOUR_MS };

	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		struct job wish = { .uid = WORLD_UID };
		auto_shard shard = { 0 };
		int64_t job;

		begin();
		wish.begin_at = world_now(world) + 3 * HOUR_MS;
		job = world_submit_as(world, &wish, input);
		pass(MINUTE_MS);
		world->is_set_back = jumps[i] < 0;
		loop_jump(world->loop, jumps[i]);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		shard = world_shard(world, job, 1);
		CU_ASSERT(shard.uploaded_at >= wish.begin_at);
		CU_ASSERT(jumps[i] > 3 * HOUR_MS || shard.uploaded_at < wish.begin_at + 2 * MINUTE_MS);
		end();
	}
}

static void begins_as_soon_as_the_other_job_has_ended(void)
{
	for (int is_cancelled = 0; is_cancelled < 2; is_cancelled++) {
		struct job wish = { .uid = WORLD_UID };
		auto_shard shard = { 0 };
		auto_job first = { 0 };
		int64_t job;

		begin();
		wish.after_job = world_submit_as(world, &(struct job){ .uid = WORLD_UID, .begin_at = world_now(world) + 5 * HOUR_MS },
						 input);
		job = world_submit_as(world, &wish, input);
		pass(2 * HOUR_MS + 7 * MINUTE_MS);
		CU_ASSERT_EQUAL(state_of(job), JOB_VALID);
		if (is_cancelled)
			(void)world_cancel(world, wish.after_job);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		first = world_job(world, wish.after_job);
		CU_ASSERT_EQUAL(first.state, is_cancelled ? JOB_CANCELLED : JOB_COMPLETED);
		shard = world_shard(world, job, 1);
		CU_ASSERT(shard.uploaded_at >= first.completed_at + first.cancelled_at);
		CU_ASSERT(shard.uploaded_at < first.completed_at + first.cancelled_at + MINUTE_MS / 4);
		end();
	}
}

static void does_not_wait_for_a_job_that_has_ended(void)
{
	struct job wish = { .uid = WORLD_UID };
	auto_job now = { 0 };
	int64_t job;

	begin();
	wish.after_job = world_submit(world, input);
	(void)world_finish(world, wish.after_job);
	job = world_submit_as(world, &wish, input);
	wish.begin_at = world_now(world);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	now = world_job(world, job);
	CU_ASSERT(now.completed_at < wish.begin_at + 2 * MINUTE_MS);
	end();
}

/* --- hold --- */

static void note_waiting(const struct shard *shard, void *context)
{
	bool is_unsent = (shard->state == SHARD_CUT || shard->state == SHARD_UPLOADED) && !shard->intended_at;

	*(int *)context += is_unsent && (shard->queue != SHARD_PARKED || shard->admitted_at || shard->budgeted_at);
}

enum moment {
	BETWEEN_TURNS,
	BEFORE_A_DEATH,
	WITHIN_A_TURN, /* before what was written in it is on disk */
	MOMENTS,
};

/* Nothing more of it is sent, for hours; then it goes on. false: it was through before. */
static bool hold_once(const char *script, int64_t turn, enum moment moment)
{
	const char *row = script ? script : "no quirk";
	int64_t job, sent, left;
	bool is_there;
	int astray = 0;
	auto_job now = { 0 };

	begin();
	job = world_submit(world, input);
	if (script)
		world_script(world, script);
	while (world->turns < turn && !is_over(job))
		world_turn(world);
	if (moment == WITHIN_A_TURN && !is_over(job))
		loop_run_once(world->loop, 1);
	is_there = !is_over(job);
	if (is_there) {
		left = calls_that_send() + (int64_t)http_count(world->http);
		hold(job, 0);
		hold(job, 0);
		if (moment == BEFORE_A_DEATH) {
			world_kill(world);
			world_start(world);
		}
		/* What had left goes on, and so does the look for it. */
		pass(HOUR_MS);
		sent = calls_that_send();
		CHECK_ROW(row, sent <= left);
		pass(4 * HOUR_MS);
		CHECK_ROW(row, calls_that_send() == sent);
		(void)store_shard_list(world->store, job, 0, 100, note_waiting, &astray);
		CHECK_ROW(row, astray == 0);
		if (!is_over(job))
			release(job, 0);
	}
	CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
	check_judged(row, world, job, input);
	now = world_job(world, job);
	CHECK_ROW(row, now.counts.ok == STORY_REQUESTS && now.counts.twice == 0);
	CHECK_ROW(row, world_ledger(world).most_answers == 1);
	end();
	return is_there;
}

static void nothing_more_of_a_job_on_hold_is_sent(void)
{
	/* clang-format off */
	static const char *const scripts[] = {
		NULL,
		"{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}",
		"{\"call\":\"create\",\"action\":\"drop_before\",\"count\":1}",
		"{\"call\":\"create\",\"action\":\"status\",\"status\":503,\"count\":2}",
		"{\"call\":\"upload\",\"action\":\"delay\",\"ms\":30000}",
		"{\"call\":\"create\",\"action\":\"delay\",\"ms\":30000}",
		"{\"action\":\"token_limit\",\"count\":1}",
		"{\"action\":\"expire\",\"percent\":50,\"count\":1}",
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		for (enum moment moment = BETWEEN_TURNS; moment < MOMENTS; moment++) {
			int64_t turn = 0;

			while (turn < MOST_TURNS && hold_once(scripts[i], turn, moment))
				turn++;
			CHECK_ROW(scripts[i] ? scripts[i] : "no quirk", turn > 15 && turn < MOST_TURNS);
		}
}

static void a_job_submitted_on_hold_is_checked_and_waits(void)
{
	struct job wish = { .uid = WORLD_UID, .is_on_hold = true };
	auto_free char *event = NULL;
	int64_t job;

	begin();
	job = world_submit_as(world, &wish, input);
	pass(72 * HOUR_MS);
	CU_ASSERT_EQUAL(state_of(job), JOB_VALID);
	CU_ASSERT_EQUAL(pipeline_speak(world->pipeline, job, SHARD_WORD_RESEND), -ENOENT);
	world_kill(world);
	world_start(world);
	pass(HOUR_MS);
	CU_ASSERT_EQUAL(calls_that_send(), 0);
	release(job, 0);
	release(job, 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	event = world_event(world, job, "job.release", "released, by uid 1000");
	CU_ASSERT_PTR_NOT_NULL(event);
	check_judged("submitted on hold", world, job, input);
	hold(job, -EALREADY);
	release(job, -EALREADY);
	hold(99, -ENOENT);
	end();
}

static void a_hold_does_not_stop_a_cancel(void)
{
	for (int64_t turn = 0; turn < 30; turn++) {
		int64_t job;

		begin();
		job = world_submit(world, input);
		while (world->turns < turn)
			world_turn(world);
		hold(job, 0);
		world_turn(world);
		CU_ASSERT_EQUAL(world_cancel(world, job), 0);
		if (!is_over(job))
			hold(job, -EBUSY);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
		check_judged("cancelled on hold", world, job, input);
		end();
	}
}

/* --- priority --- */

static void a_new_priority_is_that_of_what_waits(void)
{
	struct order_change change = { .priority = 70, .budget_tokens = -1, .budget_cost = -1 };
	struct store_line line = { 0 };
	auto_free char *event = NULL;
	int64_t job;

	begin();
	job = world_submit_as(world, &(struct job){ .uid = WORLD_UID, .priority = 50, .budget_tokens = 1 }, input);
	pass(MINUTE_MS);
	commit_word(order_change(world->pipeline, job, &change, 0), 0);
	CU_ASSERT_EQUAL_FATAL(store_queue_next(world->store, "sim", NULL, &line), 0);
	CU_ASSERT_EQUAL(line.priority, 70);
	free(line.model);
	event = world_event(world, job, "job.set", "priority 70 in place of 50, by uid 0");
	CU_ASSERT_PTR_NOT_NULL(event);
	end();
}

/* --- deadlines --- */

static void check_expired(const char *row, int64_t job, bool was_cut)
{
	auto_job now = world_job(world, job);
	auto_free char *errors = world_file(world, now.error_file);
	int64_t lines = 0;

	CHECK_ROW(row, now.expired_at >= now.deadline_at);
	CHECK_ROW(row, now.counts.ok + now.counts.expired == now.counts.total && now.counts.cancelled == 0);
	for (const char *at = errors; (at = strstr(at, "\"code\":\"batch_expired\"")); at++)
		lines++;
	CHECK_ROW(row, !was_cut || lines == now.counts.expired);
	CHECK_ROW(row, world_ledger(world).live == 0);
}

/* The deadline comes so long after the submission. */
static enum job_state pass_deadline(const char *script, int64_t after_ms, bool has_death)
{
	struct job wish = { .uid = WORLD_UID };
	const char *row = script ? script : "no quirk";
	enum job_state state;
	auto_shard shard = { 0 };
	int64_t job;

	begin();
	if (script)
		world_script(world, script);
	wish.deadline_at = world_now(world) + after_ms;
	job = world_submit_as(world, &wish, input);
	if (has_death) {
		pass(after_ms - 1);
		world_kill(world);
		world_start(world);
	}
	state = world_finish(world, job);
	CHECK_ROW(row, state == JOB_EXPIRED || state == JOB_COMPLETED);
	check_judged(row, world, job, input);
	shard = world_shard(world, job, 1);
	if (state == JOB_EXPIRED)
		check_expired(row, job, shard.id != 0);
	end();
	return state;
}

static void a_deadline_ends_a_job_wherever_it_is(void)
{
	/* clang-format off */
	static const char *const scripts[] = {
		NULL,
		"{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}",
		"{\"call\":\"create\",\"action\":\"delay\",\"ms\":30000}",
		"{\"action\":\"expire\",\"percent\":50,\"count\":1}",
		"{\"action\":\"cancel_completes\"}",
		"{\"action\":\"token_limit\"}",
		"{\"call\":\"content\",\"action\":\"not_found\",\"count\":2}",
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		int expired = 0, completed = 0;

		for (int64_t after = 1; after < 60000; after += after < 500 ? 20 : 900) {
			enum job_state state = pass_deadline(scripts[i], after, after % 7 == 0);

			expired += state == JOB_EXPIRED;
			completed += state == JOB_COMPLETED;
		}
		CHECK_ROW(scripts[i] ? scripts[i] : "no quirk", expired > 20);
		CHECK_ROW(scripts[i] ? scripts[i] : "no quirk", i || completed > 0);
	}
}

static void what_was_paid_for_before_the_deadline_is_kept(void)
{
	struct job wish = { .uid = WORLD_UID };
	auto_job now = { 0 };
	int64_t job;

	begin();
	world->provider.max_requests = 3;
	/* The second batch of the two takes an hour. */
	world_script(world, "{\"call\":\"create\",\"nth\":2,\"action\":\"durations\",\"run_ms\":3600000}");
	wish.deadline_at = world_now(world) + 10 * MINUTE_MS;
	job = world_submit_as(world, &wish, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_EXPIRED);
	now = world_job(world, job);
	CU_ASSERT_EQUAL(now.counts.ok, 3);
	CU_ASSERT_EQUAL(now.counts.expired, 3);
	CU_ASSERT(now.expired_at < wish.deadline_at + MINUTE_MS);
	CU_ASSERT_EQUAL(world_ledger(world).cancels, 1);
	check_judged("half of it", world, job, input);
	check_expired("half of it", job, true);
	end();
}

static void whoever_comes_first_says_how_it_ends(void)
{
	for (int is_deadline_first = 0; is_deadline_first < 2; is_deadline_first++) {
		struct job wish = { .uid = WORLD_UID };
		int64_t job;

		begin();
		world_script(world, "{\"call\":\"cancel\",\"action\":\"status\",\"status\":503,\"count\":4}");
		wish.deadline_at = world_now(world) + 10000;
		job = world_submit_as(world, &wish, input);
		while (state_of(job) != (is_deadline_first ? JOB_CANCELLING : JOB_RUNNING) && !is_over(job))
			world_turn(world);
		CU_ASSERT_EQUAL(state_of(job), is_deadline_first ? JOB_CANCELLING : JOB_RUNNING);
		CU_ASSERT_EQUAL(world_cancel(world, job), 0);
		CU_ASSERT_EQUAL(world_finish(world, job), is_deadline_first ? JOB_EXPIRED : JOB_CANCELLED);
		check_judged("both", world, job, input);
		end();
	}
}

static void a_job_that_ended_before_is_not_touched(void)
{
	struct job wish = { .uid = WORLD_UID };
	auto_job now = { 0 };
	int64_t job, seq;

	begin();
	wish.deadline_at = world_now(world) + HOUR_MS;
	job = world_submit_as(world, &wish, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	seq = store_event_newest(world->store);
	pass(3 * HOUR_MS);
	now = world_job(world, job);
	CU_ASSERT_EQUAL(now.state, JOB_COMPLETED);
	CU_ASSERT_EQUAL(store_event_newest(world->store), seq);
	end();
}

static void a_deadline_passes_on_hold_and_before_the_begin_too(void)
{
	for (int is_on_hold = 0; is_on_hold < 2; is_on_hold++) {
		struct job wish = { .uid = WORLD_UID, .is_on_hold = is_on_hold };
		auto_job now = { 0 };
		int64_t job;

		begin();
		wish.begin_at = is_on_hold ? 0 : world_now(world) + 9 * HOUR_MS;
		wish.deadline_at = world_now(world) + HOUR_MS;
		job = world_submit_as(world, &wish, input);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_EXPIRED);
		now = world_job(world, job);
		CU_ASSERT_EQUAL(now.counts.expired, STORY_REQUESTS);
		CU_ASSERT(now.expired_at < wish.deadline_at + MINUTE_MS);
		CU_ASSERT_EQUAL(calls_that_send(), 0);
		end();
	}
}

static void a_deadline_is_a_time_that_passes(void)
{
	static const int64_t jumps[] = { 24 * HOUR_MS, -24 * HOUR_MS };

	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		struct job wish = { .uid = WORLD_UID, .is_on_hold = true };
		int64_t job, began, passed;

		begin();
		began = loop_elapsed_ms(world->loop);
		wish.deadline_at = world_now(world) + 6 * HOUR_MS;
		job = world_submit_as(world, &wish, input);
		pass(HOUR_MS);
		world->is_set_back = jumps[i] < 0;
		loop_jump(world->loop, jumps[i]);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_EXPIRED);
		passed = loop_elapsed_ms(world->loop) - began;
		/* The two clocks are read one after the other. */
		CU_ASSERT(passed >= 6 * HOUR_MS - 100 && passed < 6 * HOUR_MS + 5 * MINUTE_MS);
		end();
	}
}

static void many_deadlines_at_once_are_all_kept(void)
{
	struct job wish = { .uid = WORLD_UID, .is_on_hold = true };
	int64_t counts[JOB_STATE_COUNT] = { 0 };

	begin();
	wish.deadline_at = world_now(world) + HOUR_MS;
	for (int i = 0; i < 300; i++)
		(void)world_submit_as(world, &wish, input);
	pass(HOUR_MS + MINUTE_MS);
	CU_ASSERT_EQUAL(store_job_counts(world->store, -1, counts), 0);
	CU_ASSERT_EQUAL(counts[JOB_EXPIRED], 300);
	end();
}

/* clang-format off */
CHECK_MAIN("order", CHECK(begins_when_its_time_has_come), CHECK(keeps_to_its_time_when_the_clock_is_set),
	   CHECK(begins_as_soon_as_the_other_job_has_ended), CHECK(does_not_wait_for_a_job_that_has_ended),
	   CHECK(nothing_more_of_a_job_on_hold_is_sent), CHECK(a_job_submitted_on_hold_is_checked_and_waits),
	   CHECK(a_hold_does_not_stop_a_cancel), CHECK(a_new_priority_is_that_of_what_waits),
	   CHECK(a_deadline_ends_a_job_wherever_it_is), CHECK(what_was_paid_for_before_the_deadline_is_kept),
	   CHECK(whoever_comes_first_says_how_it_ends), CHECK(a_job_that_ended_before_is_not_touched),
	   CHECK(a_deadline_passes_on_hold_and_before_the_begin_too), CHECK(a_deadline_is_a_time_that_passes),
	   CHECK(many_deadlines_at_once_are_all_kept))
/* clang-format on */
