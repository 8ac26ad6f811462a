#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/model/quota.h"
#include "tests/unit/check.h"

static void reads_the_limit_that_a_refusal_names(void)
{
	/* clang-format off */
	static const struct { const char *words; int64_t limit; } rows[] = {
		{ "Enqueued token limit reached for gpt-4o-mini in organization org-x. Limit: 2,000,000 enqueued tokens. Please try "
		  "again once some in_progress batches have been completed.", 2000000 },
		{ "The number of enqueued tokens has surpassed the configured limit of 30K for the deployment 'gpt-4.1-batch'. "
		  "Please either increase the limit or try again once the current jobs have finished.", 30000 },
		{ "limit: 2M", 2000000 },		{ "LIMIT = 2.5M tokens", 2500000 },	{ "limit is 90000", 90000 },
		{ "limit of 1 million enqueued tokens", 1000000 },	{ "limit (1_500_000)", 1500000 },
		{ "the limit was 2.000.000 tokens", 2000000 },	{ "limit 12.5 K", 12500 },	{ "Limit: 40M.", 40000000 },
		{ "limit: 1B", 1000000000 },		{ "no limit here, limit 7", 7 },	{ "limit of 2,000,000, or so", 2000000 },
		{ "limit exceeded: max 5000", 5000 },	{ "limit 100 enqueued tokens", 100 },
		{ "", 0 },				{ "limit", 0 },				{ "no number", 0 },
		{ "Enqueued token limit reached for gpt-4o", 0 },	{ "limit of 100 requests", 0 },
		{ "limit: 500 batches in flight", 0 },	{ "limit: 80%", 0 },			{ "limit: 0", 0 },
		{ "limit: -5", 0 },			{ "limit: 4o", 0 },			{ "limit: 5Mx", 0 },
		{ "limit: 99999999999999999999", 0 },	{ "limit: 999999999999B", 0 },		{ "limit: 0.0001", 0 },
		{ "limit limit limit", 0 },		{ "limit of of of", 0 },		{ "2M limit", 0 },
		{ "limit: 2,00", 0 },			{ "limit: 1,2345", 0 },			{ "limit: ,", 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t limit = 0;
		int r = quota_parse_limit(rows[i].words, &limit);

		CHECK_ROW(rows[i].words, r == (rows[i].limit ? 0 : -ENOENT));
		CHECK_ROW(rows[i].words, limit == rows[i].limit);
	}
}

static void reads_the_times_of_headers(void)
{
	/* clang-format off */
	static const struct { const char *text; int64_t ms; } rows[] = {
		{ "1s", 1000 },		{ "6m30s", 390000 },	{ "17ms", 17 },		{ "6m0s", 360000 },	{ "1h2m3.5s", 3723500 },
		{ "12", 12000 },	{ "0.5", 500 },		{ "0s", 0 },		{ "1.5ms", 2 },		{ "3us", 1 },
		{ "100ns", 0 },		{ " 2s ", 2000 },	{ "1d", 86400000 },	{ "25h", 86400000 },	{ "9999999999h", 86400000 },
		{ "23h59m60s", 86400000 }, { "\xc2\xb5s", -1 },	{ "5\xc2\xb5s", 1 },	{ "", -1 },		{ "s", -1 },
		{ "-1s", -1 },		{ "1x", -1 },		{ "1s1", -1 },		{ "1 s", -1 },		{ "1.s", 1000 },
		{ ".s", -1 },		{ "99999999999s", -1 },	{ "1e3s", -1 },		{ "2026-01-01T00:00:00Z", -1 },
		{ "1.99999999999999999999999999s", 2000 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ms = -1;
		int r = quota_parse_duration(rows[i].text, &ms);

		CHECK_ROW(rows[i].text, r == (rows[i].ms < 0 ? -EINVAL : 0));
		CHECK_ROW(rows[i].text, ms == rows[i].ms);
	}
}

static void reads_the_counts_of_headers(void)
{
	/* clang-format off */
	static const struct { const char *text; int64_t count; } rows[] = {
		{ "0", 0 }, { "60000", 60000 }, { " 7 ", 7 }, { "", -1 }, { "-1", -1 }, { "1.5", -1 }, { "9999999999999999", -1 }, { "5x", -1 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t count = -1;

		CHECK_ROW(rows[i].text, quota_parse_count(rows[i].text, &count) == (rows[i].count < 0 ? -EINVAL : 0));
		CHECK_ROW(rows[i].text, count == rows[i].count);
	}
}

static void shows_counts_shortly(void)
{
	/* clang-format off */
	static const struct { int64_t count; bool is_up; const char *text; } rows[] = {
		{ 0, true, "0" },		{ 999, true, "999" },		{ 1000, false, "1 K" },		{ 1001, true, "1.1 K" },
		{ 1001, false, "1 K" },		{ 1900000, true, "1.9 M" },	{ 1900001, true, "2 M" },	{ 1999999, false, "1.9 M" },
		{ 2000000, true, "2 M" },	{ 15000000000, false, "15 G" },	{ 999999, false, "999.9 K" },
		{ INT64_MAX, false, "9223372 T" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = quota_show(rows[i].count, rows[i].is_up);

		CHECK_ROW(rows[i].text, strncmp(text, rows[i].text, strlen(rows[i].text)) == 0);
	}
}

CHECK_MAIN("quota", CHECK(reads_the_limit_that_a_refusal_names), CHECK(reads_the_times_of_headers),
	   CHECK(reads_the_counts_of_headers), CHECK(shows_counts_shortly))
