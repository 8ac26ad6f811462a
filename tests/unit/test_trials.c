/*
 * A slice of the trials: every fault alone, some pairs, and seeds that never change. All of it, and
 * as many seeds as wanted, runs in `make trials`.
 */
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/crash/trials_campaign.h"
#include "tests/crash/trials_live.h"
#include "tests/crash/trials_rows.h"
#include "tests/crash/trials_schedule.h"
#include "tests/unit/check.h"

#define JOBS 2
/* A sanitizer makes everything so much slower that a part must do. */
#define THINNING (CHECK_IS_SANITIZED ? 10 : 1)

static void run(struct campaign campaign)
{
	struct campaign_result result;

	campaign.jobs = JOBS;
	campaign.most_told = 5;
	campaign.out = stderr;
	campaign_run(&campaign, &result);
	CU_ASSERT_EQUAL(result.schedules, campaign.count);
	CU_ASSERT_EQUAL(result.violations, 0);
}

static void every_single_fault_is_survived(void)
{
	run((struct campaign){ .kind = CAMPAIGN_SINGLES,
			       .count = (int64_t)(schedule_single_count() / THINNING),
			       .step = THINNING });
}

static void pairs_of_faults_are_survived(void)
{
	const int64_t count = 300 / THINNING;

	run((struct campaign){ .kind = CAMPAIGN_PAIRS,
			       .from = 11,
			       .count = count,
			       .step = (int64_t)schedule_pair_count() / count });
}

static void drawn_schedules_are_survived(void)
{
	run((struct campaign){ .kind = CAMPAIGN_SEEDS, .from = 1, .count = 400 / THINNING, .step = 1 });
}

static void a_schedule_is_written_down_and_read_again(void)
{
	for (uint64_t seed = 1; seed < 200; seed++) {
		struct schedule drawn, read;
		auto_free char *text = NULL;
		struct error err = { 0 };

		schedule_draw(&drawn, seed);
		text = schedule_text(&drawn);
		CHECK_ROW(text, schedule_parse(text, &read, &err) == 0);
		CHECK_ROW(text, memcmp(&drawn.shape, &read.shape, sizeof(read.shape)) == 0);
		CHECK_ROW(text, drawn.count == read.count && drawn.seed == read.seed);
		for (size_t i = 0; i < read.count; i++)
			CHECK_ROW(text, drawn.events[i].row == read.events[i].row &&
						drawn.events[i].nth == read.events[i].nth);
	}
}

static void what_is_no_schedule_is_refused(void)
{
	static const char *const texts[] = { "seed", "colour=7", "seed=1 | the moon falls @1", "seed=1 | cancel" };

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct schedule schedule;
		struct error err = { 0 };

		CHECK_ROW(texts[i], schedule_parse(texts[i], &schedule, &err) != 0 && *err.text);
	}
}

/* Found by seeds that few will draw again. */
static void schedules_that_once_failed_hold(void)
{
	static const char *const texts[] = {
		/* The clock was set back under a file that nobody needs: it was looked after every second, for as many years. */
		"seed=3667 run_ms=72000000 | the clock goes 10 years back: delete @5 | the clock goes 10 years back: retrieve @1",
		"seed=5437 run_ms=72000000 | files: 504 @3 | the clock goes a day back: retrieve @1",
		/* A pause of the provider, and the look for a missing file, that would have lasted as long. */
		"seed=990200 | the clock goes 10 years back: at a turn @20 | retrieve: 429, quota @2",
		"seed=2684 retries=1 | content of failures: longer than it is @3 | the clock goes 10 years back: delete @1",
		/* A model's queue that would have stayed full as long. */
		"seed=11867 retries=1 | death when it arrived: cancel @4 | token limit at create @1 | the clock goes 10 years back: at a turn @53",
		/* Two uploads with one id: both shards were sent with the file of one. */
		"seed=68000 | upload: id is a number @1 | upload: id is a number @2",
		/* A wrapper around a wrapper was never read. */
		"seed=808000 | wrapped in job @1 | wrapped in job @2",
		/* A batch under another name, with one sign of ours alone, was never found: its shard was polled for ever. */
		"seed=824324 | our file, another marker @1 | create: id of nobody @2",
		"seed=824324 | our marker, another file @1 | create: id of nobody @2",
		/* One that is nowhere to be found was polled for ever too. */
		"seed=149675 | create: id of nobody @1 | a list never seen, absent @1",
		"seed=149675 | create: id is a number @1 | a list never seen, absent @1",
		/* Packed twice, and once by its header. */
		"seed=849000 | packed, and short @1 | packed, and short @2",
		/* The error file of a batch that expired was named late, and was not asked for again: its failures were sent anew. */
		"seed=876897 | half of it expires @1 | error file named late @2",
	};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct trial_verdict verdict;
		struct schedule schedule;
		struct error err = { 0 };

		CHECK_ROW(texts[i], schedule_parse(texts[i], &schedule, &err) == 0);
		campaign_try(&schedule, &verdict);
		CHECK_ROW(texts[i], !verdict.is_violated);
	}
}

/* What is told of it is hashed, line by line. */
static void the_same_seed_is_the_same_trial(void)
{
	for (uint64_t seed = 500; seed < 500 + 60 / THINNING; seed++) {
		struct trial_verdict first, second;
		struct schedule schedule;

		schedule_draw(&schedule, seed);
		campaign_try(&schedule, &first);
		campaign_try(&schedule, &second);
		CU_ASSERT_NOT_EQUAL(first.trace, 0);
		CU_ASSERT_EQUAL(first.trace, second.trace);
		CU_ASSERT_EQUAL(first.turns, second.turns);
		CU_ASSERT_EQUAL(first.elapsed_ms, second.elapsed_ms);
	}
}

static void every_row_has_its_own_name(void)
{
	for (size_t i = 0; i < trial_row_count(); i++) {
		auto_trial_row row;

		trial_row_make(i, 1, &row);
		CHECK_ROW(row.name, trial_row_find(row.name) == i);
	}
}

CHECK_MAIN("trials", CHECK(every_row_has_its_own_name), CHECK(a_schedule_is_written_down_and_read_again),
	   CHECK(what_is_no_schedule_is_refused), CHECK(the_same_seed_is_the_same_trial),
	   CHECK(schedules_that_once_failed_hold),
	   CHECK(every_single_fault_is_survived), CHECK(pairs_of_faults_are_survived),
	   CHECK(drawn_schedules_are_survived))
