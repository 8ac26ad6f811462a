/*
 * One trial: a world lives through a schedule to the end of all its jobs, with a person at hand who
 * answers what the daemon asks a person, and is judged.
 */
#ifndef BATCHD_TESTS_CRASH_TRIALS_LIVE_H
#define BATCHD_TESTS_CRASH_TRIALS_LIVE_H

#include <stdbool.h>
#include <stdint.h>

struct schedule;

struct trial_verdict {
	bool is_violated;
	bool has_idle;	    /* some event never struck */
	int64_t elapsed_ms; /* of the world's time, whatever its clock was set to */
	int64_t turns;
	int64_t deaths;
	uint64_t trace;	    /* a hash of all that was told: the same schedule has the same */
	char what[600];	    /* one sentence: what does not hold */
};

/* In this process. A broken promise that is an assertion of the daemon's ends the process. */
void trial_live(const struct schedule *schedule, struct trial_verdict *ret_verdict);

#endif
