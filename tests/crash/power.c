/*
 * batchd-power: the power goes, everywhere. Each state of the disk that a file system may legally show then is
 * started from, and must keep what was promised. Closes with "N disk states from M points, V violations".
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "tests/crash/power_campaign.h"
#include "tests/crash/power_scenes.h"

enum { OPTION_HELP = 256, OPTION_LIST };

static void print_help(FILE *out)
{
	(void)fputs("usage: batchd-power [options]\n"
		    "\n"
		    "  --jobs N     processes at once (2)\n"
		    "  --seed N     the first seed (1)\n"
		    "  --seeds N    how many seeds, each of them with every scene (1)\n"
		    "  --states N   of the disk at each point, at most (8)\n"
		    "  --every N    every so manieth point (1)\n"
		    "  --deaths N   runs of a scene and seed in which the process dies first (4)\n"
		    "  --total N    end after so many states\n"
		    "  --seconds N  end after so many seconds\n"
		    "  --scene NAME this scene alone\n"
		    "  --death N    with the death of the process at this effect; 0: without one\n"
		    "  --point N    the power goes at this point alone\n"
		    "  --state N    in this state alone\n"
		    "  --list       the scenes\n",
		    out);
}

static void print_scenes(void)
{
	const struct scene *scene;

	for (size_t i = 0; (scene = scene_at(i)); i++)
		(void)puts(scene->name);
}

/* -1: go on; else an exit status. */
static int read_options(int argc, char **argv, struct campaign *campaign, int64_t *jobs)
{
	const struct {
		const char *name;
		int64_t *number;
	} numbers[] = {
		{ "jobs", jobs },
		{ "seed", &campaign->first_seed },
		{ "seeds", &campaign->seeds },
		{ "states", &campaign->states },
		{ "every", &campaign->every },
		{ "deaths", &campaign->deaths },
		{ "total", &campaign->most_states },
		{ "seconds", &campaign->seconds },
		{ "death", &campaign->only_death },
		{ "point", &campaign->only_point },
		{ "state", &campaign->only_state },
	};
	enum { NUMBERS = sizeof(numbers) / sizeof(*numbers) };
	struct option options[NUMBERS + 4] = {
		[NUMBERS] = { "scene", required_argument, NULL, 's' },
		[NUMBERS + 1] = { "help", no_argument, NULL, OPTION_HELP },
		[NUMBERS + 2] = { "list", no_argument, NULL, OPTION_LIST },
	};
	int option;

	for (int i = 0; i < NUMBERS; i++)
		options[i] = (struct option){ numbers[i].name, required_argument, NULL, i };
	while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
		if (option >= 0 && option < NUMBERS)
			*numbers[option].number = strtoll(optarg, NULL, 10);
		else if (option == 's')
			campaign->scene = optarg;
		else if (option == OPTION_LIST)
			print_scenes();
		else
			print_help(option == OPTION_HELP ? stdout : stderr);
		if (option == OPTION_HELP || option == OPTION_LIST || option == '?')
			return option == '?' ? EXIT_FAILURE : EXIT_SUCCESS;
	}
	return optind < argc ? EXIT_FAILURE : -1;
}

int main(int argc, char **argv)
{
	struct campaign campaign = {
		.first_seed = 1,
		.seeds = 1,
		.states = 8,
		.every = 1,
		.deaths = 4,
		.only_death = -1,
		.only_state = -1,
	};
	struct campaign_report report;
	int64_t jobs = 2;
	time_t began = time(NULL);
	int status = read_options(argc, argv, &campaign, &jobs);

	if (status >= 0)
		return status;
	if (campaign.every < 1)
		campaign.every = 1;
	campaign.processes = jobs < 1 ? 1 : jobs > 64 ? 64 : (int)jobs;
	if (campaign_run(&campaign, &report)) {
		(void)fprintf(stderr, "batchd-power: it could not be played to the end\n");
		return EXIT_FAILURE;
	}
	(void)printf("# %" PRId64 " runs, %" PRId64 " states in which the power went twice, %lld s\n", report.runs,
		     report.again, (long long)(time(NULL) - began));
	(void)printf("%" PRId64 " disk states from %" PRId64 " points, %" PRId64 " violations\n", report.states,
		     report.points, report.violations);
	return report.violations || !report.states ? EXIT_FAILURE : EXIT_SUCCESS;
}
