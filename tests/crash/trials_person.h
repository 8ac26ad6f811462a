/*
 * The person who is asked what no daemon can know, and answers after a while, truly: from what the
 * provider has in its memory.
 */
#ifndef BATCHD_TESTS_CRASH_TRIALS_PERSON_H
#define BATCHD_TESTS_CRASH_TRIALS_PERSON_H

#include <stdbool.h>
#include <stdint.h>

struct world;

struct person {
	bool accepts;	   /* goes on without answers that cannot be had; else they are sent again */
	bool has_given_up; /* a doubt was ended by a cancel */
	int64_t next_look; /* by the time that passed in the world */
	int64_t answers;
};

/* Between two turns. Looks now and then whether a shard waits for a person, and answers. */
void person_look(struct person *person, struct world *world);

#endif
