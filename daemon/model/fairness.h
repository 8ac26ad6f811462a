/*
 * Who is sent next, of the heads of the lines that wait at one provider. No clock, no store: whoever asks tells all that counts.
 *
 * In this order: the highest priority; then the user with the fewest requests in flight (a fair share of the work, not of the jobs), and of
 * such the one who was not served for longest; then the oldest job; then its first shard. So that nothing starves, a priority gains one point for every FAIRNESS_AGEING_MS for which a line of it
 * could go and did not: with all its lines, for among equals waiting is no merit. The long line of somebody who is served all the time must
 * not be older than the short one of a newcomer; nor must large batches, which are served rarely, be older than small ones.
 *
 * The first in this order that fits goes: one for which there is no room now does not hold up those behind it, who may be of another model, or
 * smaller. But each that goes takes from the room that the first is waiting for. So one that others went past for FAIRNESS_PATIENCE_MS has
 * what it lacks kept for it: nobody who would use the same limit goes before it any more.
 */
#ifndef BATCHD_MODEL_FAIRNESS_H
#define BATCHD_MODEL_FAIRNESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One point of priority: from the lowest to the highest it takes some seventeen hours, less than a batch has. */
#define FAIRNESS_AGEING_MS (10 * 60 * 1000)
#define FAIRNESS_PATIENCE_MS (10 * 60 * 1000)

/* What a limit leaves; INT64_MAX where there is none, below 0 where it is exceeded. */
struct fairness_room {
	int64_t batches;
	int64_t tokens;
	int64_t requests;
};

/* What all lines of a model share. */
struct fairness_model {
	struct fairness_room room;
	bool is_idle; /* nothing of it is in flight: then one fits whatever its size, or it never would */
};

struct fairness_user {
	int64_t uid;
	int64_t requests; /* in flight */
	int64_t served_at; /* when something of theirs went last; 0: never, for all that is known */
	int64_t places;	  /* that it may still take of those where shards are on their way to be sent */
};

struct fairness_head {
	size_t model; /* which of the models */
	size_t user;  /* which of the users */
	int64_t priority;
	int64_t requests;
	int64_t tokens;
	int64_t job;
	int64_t number;
	int64_t since;	   /* when it began to wait, or its line was served last, whichever is later */
	int64_t passed_at; /* when the first one went past it for which there was room; 0: nobody yet. Set by fairness_next */
	bool is_out;	   /* not to be chosen, for a reason of its own */
};

struct fairness {
	int64_t now;
	struct fairness_head *heads;
	size_t head_count;
	const struct fairness_model *models;
	size_t model_count;
	const struct fairness_user *users;
	struct fairness_room room; /* of the provider, in all */
};

/* What a head cannot have now. */
enum fairness_lack {
	FAIRNESS_FITS,
	FAIRNESS_MODEL_BATCHES,
	FAIRNESS_MODEL_TOKENS,
	FAIRNESS_MODEL_REQUESTS,
	FAIRNESS_BATCHES, /* this and the ones below: of the whole provider */
	FAIRNESS_TOKENS,
	FAIRNESS_REQUESTS,
};

/* The first limit that has no room for so many requests and tokens of a model. is_idle: nothing at all is in flight at the provider. */
enum fairness_lack fairness_lack_of(const struct fairness_model *model, const struct fairness_room *room, bool is_idle,
				    int64_t requests, int64_t tokens);

/*
 * The head that goes now: its index. -ENOENT: none. Notes in those it went past when that was first. is_idle as above.
 */
int fairness_next(struct fairness *fairness, bool is_idle, size_t *ret_index);

#endif
