/*
 * How long to wait before looking, or trying, again. Pure: the clock and the dice are arguments.
 */
#ifndef BATCHD_MODEL_BACKOFF_H
#define BATCHD_MODEL_BACKOFF_H

#include <stdint.h>

/*
 * Between two polls of one batch: first_ms, growing by half each time up to longest_ms, with
 * +-10 % of jitter from random (64 random bits), never above longest_ms, never below 1.
 * polls: how many went before without a change.
 */
int64_t backoff_poll_ms(int64_t first_ms, int64_t longest_ms, uint32_t polls, uint64_t random);

/*
 * Between two tries of one step: first_ms doubling up to longest_ms, and of that a random part
 * between a half and the whole, so that many who failed together do not return together.
 * tries: how many failed before this wait, at least 1.
 */
int64_t backoff_retry_ms(int64_t first_ms, int64_t longest_ms, uint32_t tries, uint64_t random);

/*
 * What the server asked for, in milliseconds, or -1 when it did not ask (or asked nonsense).
 * retry_after_ms (header of that name, float) goes first, then retry_after as seconds (float allowed), then as
 * any of the three HTTP dates (RFC 9110, 5.6.7) against now_ms. The order is that of the official clients. A
 * time in the past is 0; more than 24 hours is 24 hours. Either header may be NULL.
 */
int64_t backoff_retry_after_ms(const char *retry_after, const char *retry_after_ms, int64_t now_ms);

#endif
