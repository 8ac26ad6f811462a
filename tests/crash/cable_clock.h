/*
 * A clock that jumps, under the real libraries: clock_gettime and epoll_wait of this program stand before those of the C library. Where
 * nothing is ready, nobody waits: time moves on to where the wait would have ended. All that has a part in it lives in this one
 * process, so all see the same time; the bytes go through real sockets.
 */
#ifndef BATCHD_TESTS_CRASH_CABLE_CLOCK_H
#define BATCHD_TESTS_CRASH_CABLE_CLOCK_H

#include <stdint.h>

/*
 * Tells for how many milliseconds bytes may still be on their way through the kernel: so long it is really waited before time moves.
 * NULL: one millisecond.
 */
extern int (*cable_clock_patience)(void);

/* How far ahead of the machine's clock we are. */
int64_t cable_clock_ahead_ms(void);

#endif
