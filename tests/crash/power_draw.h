/*
 * Which fate each pending op meets when the power goes: drawn from a seed, so that a number names a state for
 * ever.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_DRAW_H
#define BATCHD_TESTS_CRASH_POWER_DRAW_H

#include <stddef.h>
#include <stdint.h>

#include "tests/crash/power_picture.h"

/*
 * The fates of count ops in state number of a point of that seed: 0 all lost; 1 all done; from 2 on by dice
 * one of them lost, one of them alone done, one torn, those up to one done, or any subset, thin or thick. The
 * newest ones are chosen most often.
 */
void draw_fates(uint64_t seed, int64_t number, size_t count, enum fate *ret_fates);

/* The next throw of dice that are kept in *dice. */
uint64_t draw_next(uint64_t *dice);
/* Dice from two numbers. */
uint64_t draw_seed(uint64_t a, uint64_t b);

#endif
