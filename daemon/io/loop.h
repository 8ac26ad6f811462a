/*
 * The event loop: timers, descriptors, signals, and the only clock and the only dice of the
 * program. It names no type of the library beneath, so that a test can link a loop of its own
 * whose clock jumps (design: all of a week's polling runs in milliseconds, from one seed).
 *
 * A turn is one wait and all the callbacks it made ready. After each turn on_turn_end runs once:
 * there the store commits, and what had to wait for the commit leaves.
 */
#ifndef BATCHD_IO_LOOP_H
#define BATCHD_IO_LOOP_H

#include <stdint.h>

struct loop;
struct loop_timer;
struct loop_watch;

enum loop_events { LOOP_READ = 1, LOOP_WRITE = 2 };

/* Never NULL: without an event loop there is no program, so failure aborts with a sentence. */
struct loop *loop_new(void);
/* Timers and watches must have been freed before. NULL is fine. */
void loop_free(struct loop *loop);

/* Runs turns until loop_stop, or until nothing is left that could ever happen. on_turn_end may be NULL. */
void loop_run(struct loop *loop, void (*on_turn_end)(void *context), void *context);
/* Runs one turn; waits for an event unless may_wait is 0. For tests and for stopping in order; never
   from a callback. */
void loop_run_once(struct loop *loop, int may_wait);
/* loop_run returns at the end of this turn (after on_turn_end). */
void loop_stop(struct loop *loop);

/* Wall clock, Unix milliseconds: for what is on disk and for people. May jump. */
int64_t loop_now_ms(struct loop *loop);
/* A clock that never jumps, in microseconds: for measuring how long something took. */
int64_t loop_monotonic_us(struct loop *loop);
/* 64 random bits: ids, nonces, jitter. From getrandom(2); from a seed in tests. */
uint64_t loop_random(struct loop *loop);

/* A timer that is not set. Timers and watches may be freed in any callback, their own too. */
struct loop_timer *loop_timer_new(struct loop *loop, void (*on_due)(void *context), void *context);
/* Fires once, delay_ms from now (0: in the next turn); setting again moves it. */
void loop_timer_set(struct loop_timer *timer, int64_t delay_ms);
void loop_timer_clear(struct loop_timer *timer);
void loop_timer_free(struct loop_timer *timer);

/* Calls on_ready with the events that are there, while any of events is. The descriptor stays the caller's. */
struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned events,
				  void (*on_ready)(unsigned events, void *context), void *context);
/* Changes what is waited for; 0 pauses. */
void loop_watch_set(struct loop_watch *watch, unsigned events);
void loop_watch_free(struct loop_watch *watch);

/* Calls on_signal in the loop (not in a signal handler) each time signal_number arrives. */
void loop_on_signal(struct loop *loop, int signal_number,
		    void (*on_signal)(int signal_number, void *context), void *context);

#endif
