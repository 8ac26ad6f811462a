/*
 * The loop of the world in a process: daemon/io/loop.h with a clock that stands still while there
 * is something to do and then jumps to the next timer, and with dice from a seed. There are
 * no descriptors and no signals in this world. It also keeps the door for a test to look through.
 */
#ifndef BATCHD_TESTS_WORLD_LOOP_H
#define BATCHD_TESTS_WORLD_LOOP_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/io/loop.h"

/* Throws the dice anew. */
void loop_seed(struct loop *loop, uint64_t seed);
/* Moves the clock, also backwards; timers keep the delay that they have left. */
void loop_jump(struct loop *loop, int64_t ms);
/* How many timers there are; the dead leave none behind. */
size_t loop_timer_count(const struct loop *loop);

#endif
