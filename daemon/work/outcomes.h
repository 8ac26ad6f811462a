/*
 * How every row of a job ended, in the order of the rows: gathered from the shard-N.done of its
 * collected shards into scratch space, a slice at a time, then read in runs. A later shard's
 * outcome of a row replaces an earlier one.
 *
 * Damage is an error, unless it is salvaged: of a job whose owner wants its end, what can be had is had.
 */
#ifndef BATCHD_WORK_OUTCOMES_H
#define BATCHD_WORK_OUTCOMES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/error.h"
#include "daemon/model/job.h"
#include "daemon/model/record.h"

struct outcomes;
struct store;
struct vault;

/* A collected shard. */
struct outcomes_shard {
	int64_t number;
	char *why;	 /* the words of its refusal; NULL: none */
	char *code;	 /* and their code; NULL: none */
	bool was_sent;	 /* something of it was sent, so the refusal is the provider's; else it is ours */
	bool is_invalid; /* no requests, but the lines that were wrong and were skipped: it has no model */
};

struct outcomes_shards {
	struct outcomes_shard *list; /* by number */
	size_t count;
};

/* The collected shards of a job. 0 or a negative errno. */
int outcomes_shards_load(struct outcomes_shards *shards, struct store *store, int64_t job);
void outcomes_shards_release(struct outcomes_shards *shards);
#define auto_outcomes_shards __attribute__((cleanup(outcomes_shards_release))) struct outcomes_shards
/* The one with this number; NULL when it is not there. */
const struct outcomes_shard *outcomes_shards_find(const struct outcomes_shards *shards, int64_t number);
/*
 * Whether an outcome is that of a line that was wrong and was skipped, so that it never was a
 * request. Such outcomes are OUTCOME_FAILED with a made line and without an attempt, in the first
 * shard of a job that skips.
 */
bool outcomes_is_invalid(const struct outcomes_shards *shards, const struct record_outcome *outcome);

/* What rows without a final outcome are taken for. */
enum outcomes_rest {
	OUTCOMES_MISSING,   /* the job ended: no answer is known */
	OUTCOMES_CANCELLED, /* the job was cancelled: they never ran */
	OUTCOMES_EXPIRED,   /* the job's deadline passed: the same */
	OUTCOMES_OPEN,	    /* the job goes on: OUTCOME_NONE */
};
/* What they are for in a job that is in this state. */
enum outcomes_rest outcomes_rest_of(enum job_state state);

/* shards must outlive it. row_count: rows of the job. */
int outcomes_new(struct vault *vault, int64_t job, int64_t row_count, const struct outcomes_shards *shards,
		 enum outcomes_rest rest, struct outcomes **ret_outcomes, struct error *err);

/* Damage that was passed over. */
struct damage {
	int64_t count;	    /* of records, lines and files */
	struct error first; /* while count > 0: what the first was */
};
/*
 * Before the first slice: from here on a damaged outcome counts as OUTCOME_LOST, and a damaged member file as if its shard
 * had none; each is noted in damage, which must outlive it.
 */
void outcomes_salvage(struct outcomes *outcomes, struct damage *damage);
/* Whether code says that what is on disk is damaged or gone: waiting would not help. */
bool damage_is(int code);
/* Notes one. */
void damage_note(struct damage *damage, const struct error *err);

/* 1: there is more to gather; 0: it can be read; or -errno (-EUCLEAN: a record is damaged). */
int outcomes_slice(struct outcomes *outcomes, struct error *err);
/* After that: those of count rows from first on; count is at most OUTCOMES_RUN. */
#define OUTCOMES_RUN 512
int outcomes_read(struct outcomes *outcomes, int64_t first, size_t count, struct record_outcome *ret_outcomes,
		  struct error *err);
/* Takes the outcome of a row, which was read, for OUTCOME_LOST: in *outcome and from here on. */
int outcomes_lose(struct outcomes *outcomes, int64_t row, struct record_outcome *outcome, struct error *err);
/* NULL is fine. */
void outcomes_free(struct outcomes *outcomes);

#endif
