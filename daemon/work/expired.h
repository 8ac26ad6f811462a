/*
 * Files of the front door whose time is over: hidden at once (the front door sees to that), and, when no job that goes on has one as its
 * input, its bytes are freed, a few at a time. A file that an ended job names as its input stays as a name.
 *
 * What is freed does not come back, and a wall clock may be wrong: nothing is freed until it has gone evenly for a while.
 */
#ifndef BATCHD_WORK_EXPIRED_H
#define BATCHD_WORK_EXPIRED_H

struct expired;
struct loop;
struct store;
struct vault;

/* All of them must outlive it. */
struct expired *expired_new(struct loop *loop, struct store *store, struct vault *vault);
/* NULL is fine. */
void expired_free(struct expired *expired);

#endif
