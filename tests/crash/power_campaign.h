/*
 * Scenes played with a loss of power at every effect, in many states of the disk each.
 *
 * A run is a scene, a seed, and perhaps the death of the process at an effect, with the power still there:
 * what it had written and not flushed is seen by the next process all the same. Points are the calls that
 * change the disk or flush it, and the arrivals of calls at the provider. A state is counted once in a run,
 * however many draws lead to it.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_CAMPAIGN_H
#define BATCHD_TESTS_CRASH_POWER_CAMPAIGN_H

#include <stdint.h>

/* 0, or NULL, or -1 where said: not asked for. */
struct campaign {
	int processes;	     /* at once */
	int64_t first_seed;  /* and on */
	int64_t seeds;
	int64_t states;	     /* of each point, at most */
	int64_t every;	     /* so manieth point is tried; 1: all */
	int64_t deaths;	     /* of the process, tried for each scene and seed; 0: none */
	int64_t seconds;     /* nothing is tried after so many; 0: no limit */
	int64_t most_states; /* nor after so many; 0: no limit */
	const char *scene;   /* this one alone */
	int64_t only_death;  /* the run of this death alone; -1: all */
	int64_t only_point;  /* this point alone; 0: all */
	int64_t only_state;  /* this state of it alone; -1: all */
};

struct campaign_report {
	int64_t runs, points, states, again, violations;
};

/*
 * Plays it; violations are printed as they are found, each with what repeats it. 0, or -errno: it could not be
 * played.
 */
int campaign_run(const struct campaign *campaign, struct campaign_report *ret_report);

#endif
