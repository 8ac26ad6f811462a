/*
 * One loss of power: from a picture of the disk a world is started, in a process of its own, lives to the end,
 * and is judged.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_TRIAL_H
#define BATCHD_TESTS_CRASH_POWER_TRIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct picture;
struct stage;

struct trial {
	struct stage *stage;	   /* as it was when the power went; it may be in the middle of anything */
	const struct picture *picture;
	const char *room;	   /* an empty folder, and empty again afterwards */
	bool is_loud;		   /* what it says goes where our own words go, and is no sentence */
	bool is_lost_again;	   /* the power goes once more while it recovers, */
	uint64_t seed;		   /* at a place and in a way that these dice say */
};

/* Whether it holds to its word; if not, ret_sentence says how, or what was its last word. */
bool trial_run(const struct trial *trial, char *ret_sentence, size_t size);

#endif
