#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/model/fairness.h"
#include "tests/unit/check.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)
#define ALL INT64_MAX
#define NOW (1000 * HOUR)

/* A head: of model and user 0, 1, ...; ages in minutes. */
struct row_head {
	size_t model, user;
	int64_t priority, waited, tokens, job;
};

static const struct fairness_room wide = { ALL, ALL, ALL };

static struct fairness_head head_of(const struct row_head *row, int64_t number)
{
	return (struct fairness_head){
		.model = row->model,
		.user = row->user,
		.priority = row->priority,
		.requests = 1,
		.tokens = row->tokens,
		.job = row->job,
		.number = number,
		.since = NOW - row->waited * MINUTE,
	};
}

/* clang-format off */
static const struct {
	const char *name;
	struct row_head heads[4];
	int64_t in_flight[3]; /* of the users */
	int64_t room[2];      /* tokens left of the models */
	int next;	      /* -1: none */
} orders[] = {
	{ "nobody waits",		  { { 0 } }, { 0 }, { ALL, ALL }, -1 },
	{ "the higher priority",	  { { 0, 0, 50, 0, 1, 1 }, { 0, 1, 51, 0, 1, 2 } }, { 0, 9 }, { ALL, ALL }, 1 },
	{ "a point for ten minutes",	  { { 0, 0, 51, 0, 1, 1 }, { 0, 1, 50, 20, 1, 2 } }, { 0, 0 }, { ALL, ALL }, 1 },
	{ "not for nine",		  { { 0, 0, 50, 0, 1, 1 }, { 0, 1, 50, 9, 1, 2 } }, { 0, 0 }, { ALL, ALL }, 0 },
	{ "the lowest gets there",	  { { 0, 0, 100, 0, 1, 1 }, { 0, 1, 0, 1010, 1, 2 } }, { 0, 0 }, { ALL, ALL }, 1 },
	{ "among equals waiting is no merit", { { 0, 0, 50, 600, 1, 1 }, { 0, 1, 50, 0, 1, 2 } }, { 1, 0 }, { ALL, ALL }, 1 },
	{ "those who wait lift their equals", { { 0, 0, 50, 600, 1, 1 }, { 0, 1, 50, 0, 1, 2 }, { 0, 2, 60, 0, 1, 3 } },
	  { 1, 0, 0 }, { ALL, ALL }, 1 },
	{ "not those who could not go",	  { { 0, 0, 50, 600, 2, 1 }, { 0, 1, 50, 0, 1, 2 }, { 0, 2, 60, 0, 1, 3 } },
	  { 0, 0, 0 }, { 1, 1 }, 2 },
	{ "a clock that was set back",	  { { 0, 0, 50, 0, 1, 2 }, { 0, 1, 50, -5000, 1, 1 } }, { 0, 0 }, { ALL, ALL }, 1 },
	{ "the fewest in flight",	  { { 0, 0, 50, 5, 1, 1 }, { 0, 1, 50, 0, 1, 2 } }, { 4, 3 }, { ALL, ALL }, 1 },
	{ "who was served least lately",  { { 0, 0, 50, 0, 1, 7 }, { 0, 2, 50, 0, 1, 8 } }, { 3, 3, 3 }, { ALL, ALL }, 1 },
	{ "the oldest job",		  { { 0, 0, 50, 0, 1, 8 }, { 0, 1, 50, 0, 1, 7 } }, { 3, 3 }, { ALL, ALL }, 1 },
	{ "the first shard of a job",	  { { 0, 0, 50, 0, 1, 7 }, { 1, 0, 50, 0, 1, 7 } }, { 3, 3 }, { ALL, ALL }, 0 },
	{ "the first that fits",	  { { 0, 0, 50, 0, 11, 1 }, { 0, 1, 50, 0, 10, 2 } }, { 0, 0 }, { 10, 10 }, 1 },
	{ "one of another model",	  { { 0, 0, 90, 0, 11, 1 }, { 1, 1, 50, 0, 11, 2 } }, { 0, 0 }, { 10, 11 }, 1 },
	{ "none fits",			  { { 0, 0, 90, 0, 11, 1 }, { 1, 1, 50, 0, 11, 2 } }, { 0, 0 }, { 10, 10 }, -1 },
	{ "a limit that was exceeded",	  { { 0, 0, 90, 0, 1, 1 }, { 1, 1, 50, 0, 0, 2 } }, { 0, 0 }, { -5, -5 }, -1 },
};
/* clang-format on */

static void chooses_by_priority_then_share_then_age(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(orders); i++) {
		struct fairness_model models[2] = { { wide, false }, { wide, false } };
		struct fairness_user users[3] = { { 0 } };
		struct fairness_head heads[4];
		struct fairness fairness = { .now = NOW, .heads = heads, .models = models, .model_count = 2, .users = users, .room = wide };
		size_t next = 99;
		int r;

		for (size_t k = 0; k < 2; k++)
			models[k].room.tokens = orders[i].room[k];
		for (size_t k = 0; k < 3; k++)
			users[k] = (struct fairness_user){
				.requests = orders[i].in_flight[k], .served_at = 100 - (int64_t)k / 2, .places = 1 };
		for (size_t k = 0; k < 4 && orders[i].heads[k].job; k++)
			heads[fairness.head_count++] = head_of(&orders[i].heads[k], (int64_t)k + 1);
		r = fairness_next(&fairness, false, &next);
		CHECK_ROW(orders[i].name, r == (orders[i].next < 0 ? -ENOENT : 0));
		CHECK_ROW(orders[i].name, next == (orders[i].next < 0 ? 99 : (size_t)orders[i].next));
	}
}

static void each_limit_is_one(void)
{
	/* clang-format off */
	static const struct {
		const char *name;
		struct fairness_room model, all;
		bool is_model_idle, is_idle;
		enum fairness_lack lack;
	} rows[] = {
		{ "all that is needed",	   { 1, 7, 3 }, { 1, 7, 3 }, false, false, FAIRNESS_FITS },
		{ "batches",		   { 0, 7, 3 }, { 0, 0, 0 }, false, false, FAIRNESS_MODEL_BATCHES },
		{ "batches, when idle",	   { 0, 7, 3 }, { 1, 7, 3 }, true, true, FAIRNESS_MODEL_BATCHES },
		{ "tokens",		   { 1, 6, 2 }, { 1, 7, 3 }, false, false, FAIRNESS_MODEL_TOKENS },
		{ "requests",		   { 1, 7, 2 }, { 1, 7, 3 }, false, false, FAIRNESS_MODEL_REQUESTS },
		{ "alone it fits",	   { 1, 6, 2 }, { 1, 6, 2 }, true, true, FAIRNESS_FITS },
		{ "alone of its model",	   { 1, 6, 2 }, { 1, 6, 3 }, true, false, FAIRNESS_TOKENS },
		{ "batches in all",	   { 1, 7, 3 }, { 0, 7, 3 }, false, false, FAIRNESS_BATCHES },
		{ "tokens in all",	   { 1, 7, 3 }, { 1, 6, 2 }, false, false, FAIRNESS_TOKENS },
		{ "requests in all",	   { 1, 7, 3 }, { 1, 7, 2 }, false, false, FAIRNESS_REQUESTS },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct fairness_model model = { rows[i].model, rows[i].is_model_idle };

		CHECK_ROW(rows[i].name, fairness_lack_of(&model, &rows[i].all, rows[i].is_idle, 3, 7) == rows[i].lack);
	}
}

static void a_user_without_a_place_holds_up_nobody(void)
{
	struct fairness_model model = { wide, false };
	struct fairness_user users[2] = { { .uid = 1, .places = 0 }, { .uid = 2, .requests = 50, .places = 1 } };
	struct fairness_head heads[2] = { { .priority = 100, .job = 1, .since = NOW }, { .user = 1, .job = 2, .since = NOW } };
	struct fairness fairness = { NOW, heads, 2, &model, 1, users, wide };
	size_t next = 9;

	CU_ASSERT_EQUAL(fairness_next(&fairness, false, &next), 0);
	CU_ASSERT_EQUAL(next, 1);
	CU_ASSERT_EQUAL(heads[0].passed_at, 0);
	heads[1].is_out = true;
	CU_ASSERT_EQUAL(fairness_next(&fairness, false, &next), -ENOENT);
}

static void whoever_was_passed_too_long_has_its_room_kept(void)
{
	struct fairness_model models[2] = { { { ALL, 10, ALL }, false }, { wide, false } };
	struct fairness_user users[3] = { { .places = 1 }, { .places = 1 }, { .places = 1 } };
	struct fairness_head heads[3] = { { 0 } };
	struct fairness fairness = { NOW, heads, 3, models, 2, users, wide };
	size_t next = 9;

	heads[0] = (struct fairness_head){ .priority = 50, .tokens = 11, .job = 1, .since = NOW };
	heads[1] = (struct fairness_head){ .user = 1, .priority = 50, .tokens = 1, .job = 2, .since = NOW };
	heads[2] = (struct fairness_head){ .user = 2, .priority = 50, .tokens = 1, .job = 3, .model = 1, .since = NOW };
	CU_ASSERT_EQUAL(fairness_next(&fairness, false, &next), 0);
	CU_ASSERT_EQUAL(next, 1);
	CU_ASSERT_EQUAL(heads[0].passed_at, NOW);
	CU_ASSERT_EQUAL(heads[1].passed_at, 0);
	fairness.now = NOW + FAIRNESS_PATIENCE_MS - 1;
	CU_ASSERT_EQUAL(fairness_next(&fairness, false, &next), 0);
	CU_ASSERT_EQUAL(next, 1);
	CU_ASSERT_EQUAL(heads[0].passed_at, NOW);
	/* Another model does not use what it lacks. */
	fairness.now = NOW + FAIRNESS_PATIENCE_MS;
	CU_ASSERT_EQUAL(fairness_next(&fairness, false, &next), 0);
	CU_ASSERT_EQUAL(next, 2);
	/* But a limit of all models is everybody's. */
	models[0].room.tokens = ALL;
	fairness.room.tokens = 10;
	CU_ASSERT_EQUAL(fairness_next(&fairness, false, &next), -ENOENT);
	fairness.room.tokens = 11;
	CU_ASSERT_EQUAL(fairness_next(&fairness, false, &next), 0);
	CU_ASSERT_EQUAL(next, 0);
}

/* --- a provider in fast motion: lines that never end, batches that take their time --- */

#define LINES 6
#define SLOTS 64

struct flow {
	size_t model, user;
	int64_t priority, requests, tokens;
	int64_t first; /* when the line begins to be */
	/* what came of it */
	int64_t served, longest_wait;
};

struct motion {
	int64_t tokens; /* that may be in flight */
	int64_t takes;	/* of a batch */
	struct flow *flows;
	size_t count;
	struct {
		int64_t ends;
		size_t flow;
	} batches[SLOTS];
};

static int64_t used_of(const struct motion *motion, int64_t now, const struct flow *of_user, bool is_tokens)
{
	int64_t sum = 0;

	for (size_t i = 0; i < SLOTS; i++) {
		const struct flow *flow = &motion->flows[motion->batches[i].flow];

		if (motion->batches[i].ends > now && (!of_user || flow->user == of_user->user))
			sum += is_tokens ? flow->tokens : flow->requests;
	}
	return sum;
}

/* Every minute, for so many hours; heads always wait. */
static void move(struct motion *motion, int64_t hours)
{
	struct fairness_head heads[LINES] = { { 0 } };
	int64_t jobs = 1, jitter = 1;

	for (size_t i = 0; i < motion->count; i++)
		heads[i] = (struct fairness_head){
			.user = motion->flows[i].user,
			.priority = motion->flows[i].priority,
			.requests = motion->flows[i].requests,
			.tokens = motion->flows[i].tokens,
			.job = jobs++,
			.number = 1,
			.since = motion->flows[i].first,
		};
	for (int64_t now = 0; now < hours * HOUR; now += MINUTE)
		for (;;) {
			struct fairness_user users[LINES] = { { 0 } };
			struct fairness_model model = { { ALL, motion->tokens - used_of(motion, now, NULL, true), ALL }, false };
			struct fairness fairness = { now, heads, motion->count, &model, 1, users, wide };
			struct flow *flow;
			size_t next, slot = 0;

			for (size_t i = 0; i < motion->count; i++) {
				users[motion->flows[i].user] = (struct fairness_user){
					.requests = used_of(motion, now, &motion->flows[i], false), .places = 1 };
				heads[i].is_out = now < motion->flows[i].first;
			}
			if (fairness_next(&fairness, false, &next))
				break;
			flow = &motion->flows[next];
			while (motion->batches[slot].ends > now)
				slot++;
			jitter = jitter * 1103515245 % 2147483647;
			motion->batches[slot].ends = now + motion->takes + jitter % 10 * MINUTE;
			motion->batches[slot].flow = next;
			flow->served++;
			if (now - heads[next].since > flow->longest_wait)
				flow->longest_wait = now - heads[next].since;
			heads[next].since = now;
			heads[next].passed_at = 0;
			heads[next].job = jobs++;
		}
	for (size_t i = 0; i < motion->count; i++)
		if (hours * HOUR - heads[i].since > motion->flows[i].longest_wait)
			motion->flows[i].longest_wait = hours * HOUR - heads[i].since;
}

static void the_small_do_not_starve_the_large(void)
{
	struct flow flows[] = {
		{ 0, 0, 50, 1, 1, 0, 0, 0 }, { 0, 1, 50, 1, 1, 0, 0, 0 }, { 0, 2, 50, 1, 9, 2 * HOUR, 0, 0 },
	};
	struct motion motion = { .tokens = 10, .takes = 30 * MINUTE, .flows = flows, .count = 3 };

	move(&motion, 200);
	CU_ASSERT_TRUE(flows[2].served > 50);
	CU_ASSERT_TRUE(flows[2].longest_wait <= FAIRNESS_PATIENCE_MS + 4 * HOUR);
	CU_ASSERT_TRUE(flows[0].served > 200);
}

static void the_lowest_priority_does_not_starve(void)
{
	struct flow flows[] = { { 0, 0, 100, 1, 1, 0, 0, 0 }, { 0, 1, 100, 1, 1, 0, 0, 0 }, { 0, 2, 0, 1, 1, 0, 0, 0 } };
	struct motion motion = { .tokens = 4, .takes = 30 * MINUTE, .flows = flows, .count = 3 };

	move(&motion, 200);
	CU_ASSERT_TRUE(flows[2].longest_wait <= 100 * FAIRNESS_AGEING_MS + 2 * HOUR);
	CU_ASSERT_TRUE(flows[2].served >= 10);
	/* And it gets no more than that. */
	CU_ASSERT_TRUE(flows[2].served <= 13);
}

static void users_share_by_requests_and_not_by_jobs(void)
{
	struct flow flows[] = { { 0, 0, 50, 10, 1, 0, 0, 0 }, { 0, 1, 50, 1, 1, 0, 0, 0 } };
	struct motion motion = { .tokens = 22, .takes = 60 * MINUTE, .flows = flows, .count = 2 };

	move(&motion, 200);
	/* Eleven places: ten with one request, one or two with ten. */
	CU_ASSERT_TRUE(flows[1].served > 6 * flows[0].served);
	CU_ASSERT_TRUE(flows[0].served > 200);
}

static void a_newcomer_goes_next_however_old_the_queue_is(void)
{
	struct flow flows[] = { { 0, 0, 50, 1, 1, 0, 0, 0 }, { 0, 1, 50, 1, 1, 100 * HOUR, 0, 0 } };
	struct motion motion = { .tokens = 4, .takes = 60 * MINUTE, .flows = flows, .count = 2 };

	move(&motion, 100);
	CU_ASSERT_EQUAL(flows[1].served, 0);
	memset(motion.batches, 0, sizeof(motion.batches));
	flows[0].served = flows[1].longest_wait = 0;
	flows[1].first = 3 * HOUR;
	move(&motion, 6);
	CU_ASSERT_TRUE(flows[1].served > 0 && flows[1].longest_wait <= 70 * MINUTE);
}

static void the_sums_of_many_heads_are_no_matter(void)
{
	auto_free struct fairness_head *heads = xcalloc(1000, sizeof(*heads));
	struct fairness_model model = { wide, false };
	struct fairness_user user = { .places = 1 };
	struct fairness fairness = { NOW, heads, 1000, &model, 1, &user, wide };
	size_t next = 0;

	for (size_t i = 0; i < 1000; i++)
		heads[i] = (struct fairness_head){ .tokens = INT64_MAX, .requests = INT64_MAX, .job = 1000 - (int64_t)i, .since = NOW };
	CU_ASSERT_EQUAL(fairness_next(&fairness, false, &next), 0);
	CU_ASSERT_EQUAL(next, 999);
}

CHECK_MAIN("fairness", CHECK(chooses_by_priority_then_share_then_age), CHECK(each_limit_is_one),
	   CHECK(a_user_without_a_place_holds_up_nobody), CHECK(whoever_was_passed_too_long_has_its_room_kept),
	   CHECK(the_small_do_not_starve_the_large), CHECK(the_lowest_priority_does_not_starve),
	   CHECK(users_share_by_requests_and_not_by_jobs), CHECK(a_newcomer_goes_next_however_old_the_queue_is),
	   CHECK(the_sums_of_many_heads_are_no_matter))
