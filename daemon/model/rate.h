/*
 * How much was done in a window of time that slides: of a minute, an hour. It is counted in slots of a sixtieth of the window and forgotten
 * when its whole slot has left the window, so that in no span of the window's length more than a limit is done that rate_free_at was
 * asked about. Pure; the memory is the same whatever the count.
 */
#ifndef BATCHD_MODEL_RATE_H
#define BATCHD_MODEL_RATE_H

#include <stdint.h>

#define RATE_MINUTE_MS (60 * 1000)
#define RATE_HOUR_MS (60 * RATE_MINUTE_MS)
#define RATE_SLOTS 61 /* those of a window, and the one that has begun */

struct rate {
	int64_t slot_ms;
	int64_t newest; /* slot: time / slot_ms */
	int64_t counts[RATE_SLOTS]; /* of slot s at s % RATE_SLOTS */
};

/* window_ms: at least 60. */
void rate_init(struct rate *rate, int64_t window_ms);
/* count more were done at at, which is now or before; what is too old is nothing. A time to come is now. */
void rate_add(struct rate *rate, int64_t at, int64_t count, int64_t now);
/* How many were done in the window that ends now. A clock that was set back makes all of them as young as now. */
int64_t rate_count(struct rate *rate, int64_t now);
/* When one more keeps to the limit: 0 at once; else the time from which on it does. limit 0: there is none. */
int64_t rate_free_at(struct rate *rate, int64_t limit, int64_t now);

#endif
