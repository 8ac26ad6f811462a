/*
 * A schedule: what a trial consists of. It is drawn whole from one number, or made of given rows;
 * it can be written down in one line and read again, so that what failed once can be shown, cut
 * down and tried again.
 */
#ifndef BATCHD_TESTS_CRASH_TRIALS_SCHEDULE_H
#define BATCHD_TESTS_CRASH_TRIALS_SCHEDULE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;

#define SCHEDULE_MOST_EVENTS 12

struct schedule_event {
	size_t row;
	int64_t nth;
};

/* What the jobs are like, and their provider. Numbers alone, so that all of it can be written down. */
struct schedule_shape {
	int64_t requests;
	int64_t models;
	int64_t max_requests; /* of a shard */
	int64_t padding;      /* bytes in each request besides */
	int64_t fails_once;   /* every so many-th request fails with 500 the first time; 0: none */
	int64_t fails_always; /* ... with 400 whenever it is asked; 0: none */
	int64_t strangers;    /* requests of another user's job beside it; 0: there is none */
	int64_t run_ms;	      /* of a batch */
	int64_t is_list_new;  /* the provider's list has never shown a batch */
	int64_t is_trusted;   /* trust_list */
	int64_t retries;      /* what has no success goes again as a job of its own, when the first has ended */
	int64_t accepts;      /* the owner goes on without answers that cannot be had */
};

struct schedule {
	uint64_t seed; /* of the world's dice */
	struct schedule_shape shape;
	struct schedule_event events[SCHEDULE_MOST_EVENTS];
	size_t count;
};

/* Everything from one number. */
void schedule_draw(struct schedule *schedule, uint64_t seed);
/* Six requests in two shards, and these rows; the number is that of the world's dice. */
void schedule_plain(struct schedule *schedule, uint64_t seed);
void schedule_add(struct schedule *schedule, size_t row, int64_t nth);

/* How many singles there are, each row at its first few occasions; and the one of that number. */
size_t schedule_single_count(void);
void schedule_single(struct schedule *schedule, size_t number);
/* How many ordered pairs there are, and the one of that number. */
size_t schedule_pair_count(void);
void schedule_pair(struct schedule *schedule, size_t number);

/* One line: "seed=7 requests=6 ... | create: 503, done @1 | death in a turn @12". The caller frees. */
char *schedule_text(const struct schedule *schedule);
/* Reads such a line; members that are not there are those of a plain one. 0 or -EINVAL. */
int schedule_parse(const char *text, struct schedule *ret_schedule, struct error *err);

#endif
