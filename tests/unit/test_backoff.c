#include "daemon/model/backoff.h"

#include <stddef.h>

#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)
#define NOW_MS (INT64_C(784111777) * 1000) /* Sun, 06 Nov 1994 08:49:37 GMT */

static const uint64_t dice[] = {0, 1, 500, 501, 999, 123456789, UINT64_MAX / 2, UINT64_MAX};

static const struct {
	int64_t first, longest;
	uint32_t polls;
	int64_t base;
} polls[] = {
	{5000, 60000, 0, 5000},
	{5000, 60000, 1, 7500},
	{5000, 60000, 2, 11250},
	{5000, 60000, 3, 16875},
	{5000, 60000, 7, 60000},
	{5000, 60000, UINT32_MAX, 60000},
	{5000, 5000, 3, 5000},
	{9000, 5000, 0, 5000},
	{1, 1000, 1, 2},
	{1, 1000, 2, 3},
	{0, 1000, 0, 1},
	{-5, 1000, 0, 1},
	{1, 1, 9, 1},
	{1, INT64_MAX / 2, UINT32_MAX, INT64_MAX / 2},
};

static const struct {
	int64_t first, longest;
	uint32_t tries;
	int64_t whole;
} tries[] = {
	{1000, 60000, 1, 1000},
	{1000, 60000, 2, 2000},
	{1000, 60000, 3, 4000},
	{1000, 60000, 7, 60000},
	{1000, 60000, UINT32_MAX, 60000},
	{1000, 60000, 0, 1000},
	{1000, 500, 1, 500},
	{1, 1, 5, 1},
	{0, 10, 1, 1},
	{1, INT64_MAX / 2, UINT32_MAX, INT64_MAX / 2},
};

static const struct {
	const char *after, *after_ms;
	int64_t wait;
} asked[] = {
	{NULL, NULL, -1},
	{"", NULL, -1},
	{"soon", NULL, -1},
	{"-1", NULL, -1},
	{"1e3", NULL, -1},
	{"inf", NULL, -1},
	{"nan", NULL, -1},
	{"0x10", NULL, -1},
	{"1,5", NULL, -1},
	{".", NULL, -1},
	{"1.2.3", NULL, -1},
	{"1 2", NULL, -1},
	{"+1", NULL, -1},
	{"5s", NULL, -1},
	{"0", NULL, 0},
	{"1", NULL, 1000},
	{"120", NULL, 120000},
	{"0.5", NULL, 500},
	{"1.2345", NULL, 1234},
	{".25", NULL, 250},
	{"3.", NULL, 3000},
	{" 7\t", NULL, 7000},
	{"007", NULL, 7000},
	{"86400", NULL, DAY_MS},
	{"86401", NULL, DAY_MS},
	{"99999999999999999999999999999999999", NULL, DAY_MS},
	{"9223372036854775807", NULL, DAY_MS},
	{NULL, "250", 250},
	{"9", "250", 250},
	{"9", "0.5", 1},
	{"9", "1500.000", 1500},
	{"9", "", 9000},
	{"9", "soon", 9000},
	{"soon", "soon", -1},
	{"9", "-1", 9000},
	{NULL, "99999999999", DAY_MS},
	{"Sun, 06 Nov 1994 08:49:37 GMT", NULL, 0},
	{"Sun, 06 Nov 1994 08:49:47 GMT", NULL, 10000},
	{"Sunday, 06-Nov-94 08:49:47 GMT", NULL, 10000},
	{"Sun Nov  6 08:49:47 1994", NULL, 10000},
	{"Sun Nov 06 08:49:47 1994", NULL, 10000},
	{" Sun, 06 Nov 1994 08:49:47 GMT ", NULL, 10000},
	{"Mon, 07 Nov 1994 08:49:37 GMT", NULL, DAY_MS},
	{"Tue, 08 Nov 1994 08:49:37 GMT", NULL, DAY_MS},
	{"Wed, 31 Dec 9999 23:59:59 GMT", NULL, DAY_MS},
	{"Sun, 06 Nov 1994 08:49:36 GMT", NULL, 0},
	{"Thu, 01 Jan 1970 00:00:00 GMT", NULL, 0},
	{"Tuesday, 06-Nov-45 08:49:37 GMT", NULL, 0},
	{"Sunday, 06-Nov-44 08:49:37 GMT", NULL, DAY_MS},
	{"Sunday, 06-Nov-00 08:49:37 GMT", NULL, DAY_MS},
	{"Sun, 06 Nov 1994 08:49:60 GMT", NULL, 22000},
	{"Sun, 06 Nov 1994 23:59:60 GMT", NULL, 54622000},
	{"Sun, 31 Feb 1994 08:49:37 GMT", NULL, -1},
	{"Sun, 00 Nov 1994 08:49:37 GMT", NULL, -1},
	{"Sun, 06 Nov 1994 24:00:00 GMT", NULL, -1},
	{"Sun, 06 Nov 1994 08:60:00 GMT", NULL, -1},
	{"Sun, 06 Nov 1994 08:49:61 GMT", NULL, -1},
	{"Sun, 6 Nov 1994 08:49:37 GMT", NULL, -1},
	{"Sun, 06 Nov 1994 08:49:37", NULL, -1},
	{"Sun, 06 Nov 1994 08:49:37 CET", NULL, -1},
	{"Sun, 06 Nov 1994 08:49:37 GMT+1", NULL, -1},
	{"Xxx, 06 Nov 1994 08:49:37 GMT", NULL, -1},
	{"Sun, 06 Xxx 1994 08:49:37 GMT", NULL, -1},
	{"Sun, 06", NULL, -1},
	{"Sun", NULL, -1},
};

static void polls_slower_and_slower_up_to_the_longest(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(polls); i++)
		for (size_t j = 0; j < ARRAY_SIZE(dice); j++) {
			int64_t base = polls[i].base;
			int64_t wait = backoff_poll_ms(polls[i].first, polls[i].longest,
						       polls[i].polls, dice[j]);

			CU_ASSERT(wait >= 1 && wait <= polls[i].longest);
			CU_ASSERT(wait >= base - base / 10 && wait <= base + base / 10);
		}
}

static void polls_with_jitter_to_both_sides(void)
{
	int64_t least = INT64_MAX;
	int64_t most = 0;

	for (uint64_t random = 0; random < 5000; random++) {
		int64_t wait = backoff_poll_ms(5000, 60000, 0, random * 7919);

		least = wait < least ? wait : least;
		most = wait > most ? wait : most;
	}
	CU_ASSERT(least >= 4500 && least < 4550);
	CU_ASSERT(most <= 5500 && most > 5450);
}

static void tries_again_after_between_half_and_the_whole(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tries); i++)
		for (size_t j = 0; j < ARRAY_SIZE(dice); j++) {
			int64_t whole = tries[i].whole;
			int64_t wait = backoff_retry_ms(tries[i].first, tries[i].longest,
							tries[i].tries, dice[j]);

			CU_ASSERT(wait >= 1 && wait >= whole / 2 && wait <= whole);
		}
	CU_ASSERT_EQUAL(backoff_retry_ms(1000, 60000, 1, 0), 500);
	CU_ASSERT_EQUAL(backoff_retry_ms(1000, 60000, 1, 500), 1000);
}

static void waits_as_long_as_the_server_asks(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(asked); i++)
		CHECK_ROW(asked[i].after_ms ? asked[i].after_ms
			  : asked[i].after  ? asked[i].after
					    : "NULL",
			  backoff_retry_after_ms(asked[i].after, asked[i].after_ms, NOW_MS) ==
				  asked[i].wait);
}

static void counts_a_date_from_the_millisecond_it_is(void)
{
	CU_ASSERT_EQUAL(backoff_retry_after_ms("Sun, 06 Nov 1994 08:49:38 GMT", NULL, NOW_MS + 250),
			750);
	CU_ASSERT_EQUAL(backoff_retry_after_ms("Sun, 06 Nov 1994 08:49:37 GMT", NULL, NOW_MS + 250),
			0);
}

CHECK_MAIN("backoff", CHECK(polls_slower_and_slower_up_to_the_longest),
	   CHECK(polls_with_jitter_to_both_sides),
	   CHECK(tries_again_after_between_half_and_the_whole),
	   CHECK(waits_as_long_as_the_server_asks), CHECK(counts_a_date_from_the_millisecond_it_is))
