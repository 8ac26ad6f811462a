/*
 * A circuit breaker: whether somebody who fails is to be asked again yet. It opens after so many failures in a row that cannot be about one
 * thing alone; while it is open nobody asks; then (half open) whoever asks is a probe, of which the caller lets one go at a time: its
 * success closes, its failure opens for longer. Pure: the clock and the dice are arguments. Times are milliseconds of the caller's clock.
 */
#ifndef BATCHD_MODEL_BREAKER_H
#define BATCHD_MODEL_BREAKER_H

#include <stdbool.h>
#include <stdint.h>

/* All zero: closed. */
struct breaker {
	int64_t failures; /* in a row */
	int64_t openings; /* in a row; 0: it is closed */
	int64_t since;	  /* when it opened, the first time of those */
	int64_t until;	  /* nobody asks before */
	uint64_t culprit; /* what the last failure was about; 0: nothing that is known */
};

struct breaker_limits {
	int64_t most;	    /* failures that open it; 0: nothing does */
	int64_t first_ms;   /* open for so long at first, doubling, */
	int64_t longest_ms; /* up to this (see backoff_retry_ms) */
};

enum breaker_news { BREAKER_NO_NEWS, BREAKER_OPENED, BREAKER_CLOSED };

bool breaker_is_open(const struct breaker *breaker);
/* Whether somebody may ask at now. A clock that was set back makes no wait longer than the longest. */
bool breaker_may_ask(struct breaker *breaker, const struct breaker_limits *limits, int64_t now);
/*
 * Nobody answered, or not well. culprit: a hash of the thing it was about, which may be what is wrong: the same one again, while closed,
 * counts no further; 0: it is of no thing. A failure while nobody may ask is of a question before that, and changes nothing.
 */
enum breaker_news breaker_fail(struct breaker *breaker, const struct breaker_limits *limits, uint64_t culprit,
			       int64_t now, uint64_t random);
/* Somebody was answered well, whenever he asked. */
enum breaker_news breaker_succeed(struct breaker *breaker);

#endif
