/*
 * What must hold of a job in a world, whatever happened to it: its counts add up, no state went back, its history has
 * no gap, and every request has one answer, in the order of the input, whose bytes are those that the provider's
 * model gives for it.
 */
#ifndef BATCHD_TESTS_WORLD_JUDGE_H
#define BATCHD_TESTS_WORLD_JUDGE_H

#include <stdint.h>

struct error;
struct world;

/* 0, or -EINVAL with a sentence that names what does not hold. input: as it was submitted. The job may be under way. */
int judge_job(struct world *world, int64_t job, const char *input, struct error *err);

#endif
