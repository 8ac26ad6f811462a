/* The breaker and the rates, by tables of what happens to them. */
#include "daemon/model/breaker.h"

#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/model/rate.h"
#include "tests/unit/check.h"

#define NOW_MS INT64_C(1700000000000)

static const struct breaker_limits limits = { .most = 3, .first_ms = 1000, .longest_ms = 8000 };

/*
 * events: f a failure of nothing that is known, a and b of two things, s a success, w a wait until somebody may ask, ! nobody may ask, ? somebody
 * may. news: what each of f, a, b and s brought: O opened, C closed, - none.
 */
/* clang-format off */
static const struct {
	const char *events, *news;
} courses[] = {
	{ "?f?f?",           "--" },
	{ "fff!",            "--O" },
	{ "ffsff?",          "-----" },
	{ "fffs?",           "--OC" },
	{ "fff!w?s?",        "--OC" },
	{ "fff!w?f!w?f!w?s", "--O--C" },
	{ "ffff!w?",         "--O-" },           /* the fourth was asked before */
	{ "fffw?s?ff?f!",    "--OC--O" },
	{ "aaaaaaa?",        "-------" },        /* one thing alone is wrong */
	{ "aab?b?",          "----" },
	{ "aabba!",          "----O" },
	{ "aff!",            "--O" },
	{ "fffw?a!w?a!",     "--O--" },          /* a probe that fails, whatever it was about */
	{ "fffs?aa?a?",      "--OC---" },
};
/* clang-format on */

static void opens_and_closes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(courses); i++) {
		struct breaker breaker = { 0 };
		int64_t now = NOW_MS;
		char news[32] = "";
		size_t count = 0;

		for (const char *event = courses[i].events; *event; event++, now++)
			switch (*event) {
			case '!':
			case '?':
				CHECK_ROW(courses[i].events, breaker_may_ask(&breaker, &limits, now) == (*event == '?'));
				break;
			case 'w':
				now = breaker.until;
				break;
			case 's':
				news[count++] = "-OC"[breaker_succeed(&breaker)];
				break;
			default:
				news[count++] = "-OC"[breaker_fail(&breaker, &limits, *event == 'f' ? 0 : (uint64_t)*event, now,
								    UINT64_MAX / 3)];
			}
		CHECK_ROW(courses[i].events, strcmp(news, courses[i].news) == 0);
	}
}

static void waits_longer_each_time_up_to_the_longest(void)
{
	static const int64_t longest[] = { 1000, 2000, 4000, 8000, 8000, 8000 };
	struct breaker breaker = { 0 };
	int64_t now = NOW_MS;

	for (size_t i = 0; i < ARRAY_SIZE(longest); i++) {
		while (breaker_may_ask(&breaker, &limits, now))
			(void)breaker_fail(&breaker, &limits, 0, now, i * 12345);
		CU_ASSERT(breaker.until - now >= longest[i] / 2 && breaker.until - now <= longest[i]);
		now = breaker.until;
	}
	CU_ASSERT_EQUAL(breaker.since, NOW_MS);
	for (int i = 0; i < 1000; i++) {
		(void)breaker_fail(&breaker, &limits, 0, now, 1);
		now = breaker.until;
	}
	CU_ASSERT(breaker.openings < 100);
}

static void never_opens_where_it_is_switched_off(void)
{
	const struct breaker_limits off = { .most = 0, .first_ms = 1000, .longest_ms = 8000 };
	struct breaker breaker = { 0 };

	for (int i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(breaker_fail(&breaker, &off, 0, NOW_MS, 0), BREAKER_NO_NEWS);
	CU_ASSERT(breaker_may_ask(&breaker, &off, NOW_MS));
}

static void a_clock_that_is_set_back_makes_no_wait_longer(void)
{
	struct breaker breaker = { 0 };
	int64_t earlier = NOW_MS - INT64_C(365) * 24 * 3600 * 1000;

	for (int i = 0; i < 3; i++)
		(void)breaker_fail(&breaker, &limits, 0, NOW_MS, 0);
	CU_ASSERT(!breaker_may_ask(&breaker, &limits, earlier));
	CU_ASSERT(breaker_may_ask(&breaker, &limits, earlier + limits.longest_ms));
}

/* --- rates --- */

#define MOST 5000

/* Does as much as it may, at once or after a wait; then looks at every span of the length of the window. */
static void check_course(int64_t window_ms, int64_t limit, uint64_t seed, bool is_idle_often)
{
	static int64_t done[MOST];
	struct rate rate;
	int64_t now = NOW_MS, oldest = 0;

	rate_init(&rate, window_ms);
	for (int64_t i = 0; i < MOST; i++) {
		int64_t free_at = rate_free_at(&rate, limit, now);

		if (free_at) {
			CU_ASSERT_FATAL(free_at > now);
			/* A moment before, it is not. */
			CU_ASSERT(rate_free_at(&rate, limit, free_at - 1) == free_at);
			now = free_at;
			CU_ASSERT_EQUAL(rate_free_at(&rate, limit, now), 0);
		}
		rate_add(&rate, now, 1, now);
		done[i] = now;
		for (; done[oldest] <= now - window_ms; oldest++)
			;
		CU_ASSERT_FATAL(i - oldest + 1 <= limit);
		/* It is forgotten one slot later at most. */
		CU_ASSERT(rate_count(&rate, now) >= i - oldest + 1);
		seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
		if (is_idle_often && seed >> 62 == 0)
			now += (int64_t)(seed >> 33) % window_ms;
	}
}

static void no_window_has_more_than_the_limit(void)
{
	static const int64_t most[] = { 1, 2, 7, 60, 100, 1000 };

	for (size_t i = 0; i < ARRAY_SIZE(most); i++)
		for (uint64_t seed = 1; seed < 4; seed++) {
			check_course(RATE_MINUTE_MS, most[i], seed, seed > 1);
			check_course(RATE_HOUR_MS, most[i], seed, seed > 1);
		}
}

static void all_of_the_limit_can_be_used(void)
{
	struct rate rate;
	int64_t now = NOW_MS, done = 0;

	rate_init(&rate, RATE_MINUTE_MS);
	while (now < NOW_MS + 100 * RATE_MINUTE_MS) {
		int64_t free_at = rate_free_at(&rate, 60, now);

		if (free_at) {
			now = free_at;
			continue;
		}
		rate_add(&rate, now, 1, now);
		done++;
	}
	CU_ASSERT(done >= 60 * 98);
}

static void the_past_is_taken_over(void)
{
	struct rate rate;

	rate_init(&rate, RATE_HOUR_MS);
	rate_add(&rate, NOW_MS - RATE_HOUR_MS / 2, 10, NOW_MS);
	rate_add(&rate, NOW_MS - 3 * RATE_HOUR_MS, 100, NOW_MS);
	rate_add(&rate, NOW_MS + RATE_HOUR_MS, 5, NOW_MS);
	CU_ASSERT_EQUAL(rate_count(&rate, NOW_MS), 15);
	CU_ASSERT_EQUAL(rate_free_at(&rate, 0, NOW_MS), 0);
	CU_ASSERT_EQUAL(rate_free_at(&rate, 16, NOW_MS), 0);
	CU_ASSERT(rate_free_at(&rate, 15, NOW_MS) >= NOW_MS + RATE_HOUR_MS / 2);
	CU_ASSERT(rate_free_at(&rate, 15, NOW_MS) <= NOW_MS + RATE_HOUR_MS / 2 + 2 * RATE_MINUTE_MS);
	CU_ASSERT(rate_free_at(&rate, 5, NOW_MS) > NOW_MS + RATE_HOUR_MS);
	CU_ASSERT_EQUAL(rate_count(&rate, NOW_MS + 2 * RATE_HOUR_MS), 0);
}

static void a_rate_outlives_a_clock_that_is_set(void)
{
	struct rate rate;
	int64_t earlier = NOW_MS - INT64_C(365) * 24 * 3600 * 1000;

	rate_init(&rate, RATE_HOUR_MS);
	for (int i = 0; i < 10; i++)
		rate_add(&rate, NOW_MS + i * RATE_MINUTE_MS, 1, NOW_MS + i * RATE_MINUTE_MS);
	CU_ASSERT_EQUAL(rate_count(&rate, earlier), 10);
	CU_ASSERT(rate_free_at(&rate, 10, earlier) > earlier);
	CU_ASSERT(rate_free_at(&rate, 10, earlier) <= earlier + RATE_HOUR_MS + RATE_MINUTE_MS);
	CU_ASSERT_EQUAL(rate_count(&rate, NOW_MS), 0);
}

CHECK_MAIN("breaker", CHECK(opens_and_closes), CHECK(waits_longer_each_time_up_to_the_longest),
	   CHECK(never_opens_where_it_is_switched_off), CHECK(a_clock_that_is_set_back_makes_no_wait_longer),
	   CHECK(no_window_has_more_than_the_limit), CHECK(all_of_the_limit_can_be_used),
	   CHECK(the_past_is_taken_over), CHECK(a_rate_outlives_a_clock_that_is_set))
