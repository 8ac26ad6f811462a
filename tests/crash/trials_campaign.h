/*
 * Many trials: over a range of numbers, in several processes, so that one that takes its process
 * down is one more broken promise and not the end. Each that fails is cut down to the shortest that
 * still does.
 */
#ifndef BATCHD_TESTS_CRASH_TRIALS_CAMPAIGN_H
#define BATCHD_TESTS_CRASH_TRIALS_CAMPAIGN_H

#include <stdint.h>
#include <stdio.h>

struct schedule;
struct trial_verdict;

enum campaign_kind {
	CAMPAIGN_SEEDS,	  /* number: the seed that all is drawn from */
	CAMPAIGN_SINGLES, /* number: of schedule_single */
	CAMPAIGN_PAIRS,	  /* number: of schedule_pair */
};

struct campaign {
	enum campaign_kind kind;
	int64_t from, count;
	int64_t step;  /* every so many-th number */
	unsigned jobs; /* processes */
	int64_t most_told; /* failures that are cut down and told */
	FILE *out;	   /* where they are told: at once as they are, at the end cut down */
};

struct campaign_result {
	int64_t schedules;
	int64_t violations;
	int64_t idle;	    /* in which something did not strike */
	int64_t elapsed_ms; /* virtual */
	int64_t deaths;
	int64_t turns;
};

void campaign_run(const struct campaign *campaign, struct campaign_result *ret_result);

/* The schedule of a number. */
void campaign_schedule(enum campaign_kind kind, int64_t number, struct schedule *ret_schedule);
/* One trial in a process of its own. */
void campaign_try(const struct schedule *schedule, struct trial_verdict *ret_verdict);
/* Drops what the schedule fails without, event by event and member by member. */
void campaign_shrink(struct schedule *schedule, struct trial_verdict *verdict);

#endif
