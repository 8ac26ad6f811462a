/*
 * batchd-trials: worlds in which everything goes wrong. The real store, spool, pipeline and
 * scheduler live through drawn faults of the provider, deaths and set clocks, in virtual time, and
 * are judged. What fails is told with its number and the shortest schedule.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/crash/trials_campaign.h"
#include "tests/crash/trials_live.h"
#include "tests/crash/trials_log.h"
#include "tests/crash/trials_schedule.h"

#define YEAR_MS (365.25 * 24 * 60 * 60 * 1000)
/* A sanitizer reserves far more than it uses. */
#ifdef __SANITIZE_ADDRESS__
#define MOST_MEMORY INT64_MAX
#else
#define MOST_MEMORY (INT64_C(4) << 30)
#endif
#define MOST_TOLD 100

struct options {
	struct campaign campaign;
	const char *schedule;
	bool is_one; /* --seed */
	int64_t part, parts;
};

static void print_help(FILE *out)
{
	(void)fputs("usage: batchd-trials [--from A] [--count B] [--jobs N]\n"
		    "       batchd-trials --singles [--jobs N]\n"
		    "       batchd-trials --pairs [--part I/N] [--jobs N]\n"
		    "       batchd-trials --seed N [--log]\n"
		    "       batchd-trials --schedule TEXT [--log]\n"
		    "\n"
		    "Schedules drawn from the seeds A to A + B - 1 (by default 1 to 1000); or each fault\n"
		    "alone; or every ordered pair of faults; or one seed; or a schedule as it was told,\n"
		    "with all that is logged in it. So many failures are told (--most M, 100) and cut\n"
		    "down to the shortest schedule that still fails.\n"
		    "Exit status 1: a promise was broken.\n",
		    out);
}

static int try_one(const struct schedule *given)
{
	struct schedule schedule = *given;
	struct trial_verdict verdict;
	auto_free char *text = schedule_text(&schedule);

	campaign_try(&schedule, &verdict);
	trials_log_is_shown = false;
	(void)printf("%s\n%s: %" PRId64 " turns, %" PRId64 " deaths, %.1f virtual hours, trace %016" PRIx64 "%s\n", text,
		     verdict.is_violated ? verdict.what : "holds", verdict.turns, verdict.deaths,
		     (double)verdict.elapsed_ms / 3600000, verdict.trace,
		     verdict.has_idle ? "; something did not strike" : "");
	if (verdict.is_violated) {
		auto_free char *shortest = NULL;

		campaign_shrink(&schedule, &verdict);
		shortest = schedule_text(&schedule);
		(void)printf("shortest: %s\n\t%s\n", verdict.what, shortest);
	}
	return verdict.is_violated ? EXIT_FAILURE : EXIT_SUCCESS;
}

static int try_given(const struct options *options)
{
	struct schedule schedule;
	struct error err = { 0 };

	if (!options->schedule)
		schedule_draw(&schedule, (uint64_t)options->campaign.from);
	else if (schedule_parse(options->schedule, &schedule, &err)) {
		(void)fprintf(stderr, "batchd-trials: %s\n", err.text);
		return 2;
	}
	return try_one(&schedule);
}

static int try_many(const struct options *options)
{
	struct campaign campaign = options->campaign;
	struct campaign_result result;
	int64_t all = campaign.count;

	if (campaign.kind == CAMPAIGN_SINGLES)
		all = (int64_t)schedule_single_count();
	else if (campaign.kind == CAMPAIGN_PAIRS)
		all = (int64_t)schedule_pair_count();
	campaign.out = stdout;
	campaign.step = options->parts;
	campaign.from += options->part - 1;
	campaign.count = (all - options->part) / options->parts + 1;
	campaign_run(&campaign, &result);
	(void)printf("# %" PRId64 " deaths, %" PRId64 " turns; in %" PRId64 " something did not strike\n",
		     result.deaths, result.turns, result.idle);
	(void)printf("%" PRId64 " schedules, %.1f virtual years, %" PRId64 " violations\n", result.schedules,
		     (double)result.elapsed_ms / YEAR_MS, result.violations);
	return result.violations || !result.schedules ? EXIT_FAILURE : EXIT_SUCCESS;
}

/* false: no such options. */
static bool read_options(int argc, char **argv, struct options *options)
{
	/* clang-format off */
	static const struct option names[] = {
		{ "from",     required_argument, NULL, 'f' },
		{ "count",    required_argument, NULL, 'c' },
		{ "jobs",     required_argument, NULL, 'j' },
		{ "seed",     required_argument, NULL, 's' },
		{ "singles",  no_argument,       NULL, 'S' },
		{ "pairs",    no_argument,       NULL, 'P' },
		{ "part",     required_argument, NULL, 'p' },
		{ "schedule", required_argument, NULL, 'x' },
		{ "log",      no_argument,       NULL, 'l' },
		{ "most",     required_argument, NULL, 'm' },
		{ "help",     no_argument,       NULL, 'h' },
		{ NULL,       0,                 NULL, 0   },
	};
	/* clang-format on */
	int option;

	while ((option = getopt_long(argc, argv, "", names, NULL)) != -1)
		if (option == 'f' || option == 's')
			options->campaign.from = strtoll(optarg, NULL, 10), options->is_one |= option == 's';
		else if (option == 'c')
			options->campaign.count = strtoll(optarg, NULL, 10);
		else if (option == 'j')
			options->campaign.jobs = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'S' || option == 'P')
			options->campaign.kind = option == 'S' ? CAMPAIGN_SINGLES : CAMPAIGN_PAIRS,
			options->campaign.from = 0;
		else if (option == 'p' && sscanf(optarg, "%" SCNd64 "/%" SCNd64, &options->part, &options->parts) == 2)
			continue;
		else if (option == 'm')
			options->campaign.most_told = strtoll(optarg, NULL, 10);
		else if (option == 'l')
			trials_log_is_shown = true;
		else if (option == 'x')
			options->schedule = optarg;
		else
			return false;
	return optind == argc && options->part >= 1 && options->part <= options->parts && options->campaign.jobs &&
	       options->campaign.count > 0;
}

int main(int argc, char **argv)
{
	const struct rlimit memory = { (rlim_t)MOST_MEMORY, (rlim_t)MOST_MEMORY };
	struct options options = {
		.campaign = { .from = 1, .count = 1000, .jobs = 1, .most_told = MOST_TOLD },
		.part = 1,
		.parts = 1,
	};

	if (!read_options(argc, argv, &options)) {
		print_help(stderr);
		return 2;
	}
	(void)setrlimit(RLIMIT_AS, &memory);
	return options.is_one || options.schedule ? try_given(&options) : try_many(&options);
}
