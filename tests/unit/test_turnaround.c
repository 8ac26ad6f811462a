/* How long batches take: what is learned of it, and that nothing is said of what is not known. */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/model/turnaround.h"
#include "tests/unit/check.h"

#define MINUTE INT64_C(60000)
#define HOUR (60 * MINUTE)

static void feed(struct turnaround *turnaround, int64_t took_ms, int times)
{
	while (times-- > 0)
		turnaround_add(turnaround, took_ms);
}

static bool is_about(int64_t value, int64_t wanted)
{
	return value > wanted * 80 / 100 && value < wanted * 125 / 100;
}

static void nothing_is_said_of_what_is_not_known(void)
{
	struct turnaround turnaround = { 0 };

	feed(&turnaround, HOUR, TURNAROUND_LEAST - 1);
	CU_ASSERT_EQUAL(turnaround_quantile(&turnaround, 0, 500), -1);
	CU_ASSERT_EQUAL(turnaround_wait_ms(&turnaround, 0, 5000, MINUTE), -1);
	feed(&turnaround, HOUR, 1);
	CU_ASSERT(is_about(turnaround_quantile(&turnaround, 0, 500), HOUR));
	CU_ASSERT_EQUAL(turnaround_quantile(&turnaround, 2 * HOUR, 500), -1);
	CU_ASSERT_EQUAL(turnaround_wait_ms(&turnaround, 2 * HOUR, 5000, MINUTE), -1);
	CU_ASSERT_EQUAL(turnaround_quantile(&turnaround, INT64_MAX, 500), -1);
}

static void a_clock_that_was_set_teaches_nothing(void)
{
	struct turnaround turnaround = { 0 };

	feed(&turnaround, -1, 10);
	CU_ASSERT_EQUAL(turnaround.samples, 0);
	feed(&turnaround, INT64_MAX, 10);
	CU_ASSERT(turnaround_quantile(&turnaround, 0, 500) > 0);
	CU_ASSERT(turnaround_quantile(&turnaround, -5, 500) > 0);
}

static void quantiles_are_those_of_what_was_fed(void)
{
	struct turnaround turnaround = { 0 };

	for (int i = 0; i < 200; i++) {
		turnaround_add(&turnaround, 10 * MINUTE);
		turnaround_add(&turnaround, HOUR);
	}
	CU_ASSERT(is_about(turnaround_quantile(&turnaround, 0, 250), 10 * MINUTE));
	CU_ASSERT(is_about(turnaround_quantile(&turnaround, 0, 900), HOUR));
	/* Whoever is older than the first ones is one of the others. */
	CU_ASSERT(is_about(turnaround_quantile(&turnaround, 20 * MINUTE, 100), HOUR));
	for (unsigned permille = 0; permille < 1000; permille++)
		CU_ASSERT(turnaround_quantile(&turnaround, 0, permille) <=
			  turnaround_quantile(&turnaround, 0, permille + 1));
}

static void what_is_left_is_never_less_than_nothing(void)
{
	struct turnaround turnaround = { 0 };

	feed(&turnaround, HOUR, 50);
	for (int64_t age = 0; age < 2 * HOUR; age += MINUTE / 2) {
		int64_t end = turnaround_quantile(&turnaround, age, 500);

		CU_ASSERT(end == -1 || end >= age);
	}
}

static void what_was_long_ago_is_forgotten(void)
{
	struct turnaround turnaround = { 0 };

	feed(&turnaround, 10 * HOUR, 50);
	feed(&turnaround, MINUTE, 40);
	CU_ASSERT(is_about(turnaround_quantile(&turnaround, 0, 500), MINUTE));
	feed(&turnaround, MINUTE, 1000);
	CU_ASSERT_EQUAL(turnaround_quantile(&turnaround, HOUR, 500), -1);
}

static void it_is_looked_at_when_it_may_have_ended(void)
{
	struct turnaround turnaround = { 0 };

	for (int64_t i = 0; i < 100; i++)
		turnaround_add(&turnaround, 4 * MINUTE + i % 10 * 12000);
	CU_ASSERT_EQUAL(turnaround_wait_ms(&turnaround, 0, 5000, MINUTE), MINUTE);
	/* Not before the earliest, and not later than that either. */
	CU_ASSERT(turnaround_wait_ms(&turnaround, 3 * MINUTE + 30000, 5000, MINUTE) >= 5000);
	CU_ASSERT(turnaround_wait_ms(&turnaround, 3 * MINUTE + 30000, 5000, 10 * MINUTE) < MINUTE);
	CU_ASSERT(turnaround_wait_ms(&turnaround, 0, 5000, 10 * MINUTE) > 3 * MINUTE);
	/* Densely where they end. */
	CU_ASSERT(turnaround_wait_ms(&turnaround, 5 * MINUTE, 5000, MINUTE) < 30000);
	CU_ASSERT(turnaround_wait_ms(&turnaround, 5 * MINUTE, 45000, MINUTE) == 45000);
}

static void it_comes_back_from_its_text(void)
{
	struct turnaround turnaround = { 0 }, copy;
	auto_free char *text = NULL;

	for (int64_t took = 1; took < INT64_MAX / 3; took *= 3)
		turnaround_add(&turnaround, took);
	text = turnaround_show(&turnaround);
	CU_ASSERT_EQUAL(turnaround_parse(text, turnaround.samples, &copy), 0);
	CU_ASSERT(memcmp(&turnaround, &copy, sizeof(copy)) == 0);
	CU_ASSERT(strlen(text) < 1000);
}

static void other_text_is_refused(void)
{
	static const char *const texts[] = { "x", "1", "1:", ":1", "1:x", "88:1", "1:1,2:2", "-1:4", "1:99999", "1:-1",
					     "1:1 x", "999999999999999999999:1" };
	struct turnaround turnaround;

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		CHECK_ROW(texts[i], turnaround_parse(texts[i], 9, &turnaround) == -EINVAL);
	CU_ASSERT_EQUAL(turnaround_parse("", -1, &turnaround), -EINVAL);
	CU_ASSERT_EQUAL(turnaround_parse("", 0, &turnaround), 0);
	/* Samples without weights are of nothing. */
	CU_ASSERT_EQUAL(turnaround_parse("", 100, &turnaround), 0);
	CU_ASSERT_EQUAL(turnaround_quantile(&turnaround, 0, 500), -1);
}

static void sizes_are_told_apart_by_their_digits(void)
{
	auto_free char *name = turnaround_name(turnaround_class(50000));

	CU_ASSERT_EQUAL(turnaround_class(0), 1);
	CU_ASSERT_EQUAL(turnaround_class(9), 1);
	CU_ASSERT_EQUAL(turnaround_class(10), 2);
	CU_ASSERT_STRING_EQUAL(name, "turnaround.5");
}

CHECK_MAIN("turnaround", CHECK(nothing_is_said_of_what_is_not_known),
	   CHECK(a_clock_that_was_set_teaches_nothing),
	   CHECK(quantiles_are_those_of_what_was_fed),
	   CHECK(what_is_left_is_never_less_than_nothing),
	   CHECK(what_was_long_ago_is_forgotten),
	   CHECK(it_is_looked_at_when_it_may_have_ended),
	   CHECK(it_comes_back_from_its_text),
	   CHECK(other_text_is_refused),
	   CHECK(sizes_are_told_apart_by_their_digits))
