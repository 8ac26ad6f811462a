/*
 * The loop of the world in a process: daemon/io/loop.h with a clock that stands still while there
 * is something to do and then jumps to the next timer, and with dice from a seed. There are
 * no descriptors and no signals in this world. It also keeps the door for a test to look through.
 */
#ifndef BATCHD_TESTS_WORLD_LOOP_H
#define BATCHD_TESTS_WORLD_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/io/loop.h"

/* Throws the dice anew. */
void loop_seed(struct loop *loop, uint64_t seed);
/* Moves the clock, also backwards; timers keep the delay that they have left. */
void loop_jump(struct loop *loop, int64_t ms);
/* Forgets all timers, without a word to those who set them: the power is gone. */
void loop_lose_power(struct loop *loop);
/* Since it was made, whatever the clock was set to. */
int64_t loop_elapsed_ms(const struct loop *loop);
/* The wall clock of somebody else, whose clock nobody ever set. */
int64_t loop_true_ms(struct loop *loop);
/*
 * Ends the turn behind the callback that runs: whoever turned it is dead, and nothing more of it happens until loop_go_on.
 */
void loop_halt(struct loop *loop);
/* Runs on_struck once, behind the callback of that number from now on, in the middle of its turn. Another call takes its place. */
void loop_strike_after(struct loop *loop, int64_t callbacks, void (*on_struck)(void *context), void *context);
/* Callbacks that ran so far. */
int64_t loop_callback_count(const struct loop *loop);
bool loop_is_halted(const struct loop *loop);
void loop_go_on(struct loop *loop);
/* How many timers there are; the dead leave none behind. */
size_t loop_timer_count(const struct loop *loop);

#endif
