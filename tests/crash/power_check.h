/*
 * Whether a stage holds to its word after a loss of power (power_stage.h). Each returns 0, or -EINVAL with a
 * sentence that names what does not hold.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_CHECK_H
#define BATCHD_TESTS_CRASH_POWER_CHECK_H

#include <stdint.h>

struct error;
struct stage;

/*
 * Just after a start, before anything runs: all that was told is there, nothing went back, nothing is there
 * that nobody asked for. newest is the number of the last event that was told. Jobs that were not accepted yet
 * and are there belong to the stage from now on. What was fetched is deleted at the provider, as it may be.
 */
int check_start(struct stage *stage, int64_t newest, struct error *err);

/* When all jobs have ended: each as it must, with its answers, and nothing was sent twice. */
int check_end(struct stage *stage, struct error *err);

#endif
