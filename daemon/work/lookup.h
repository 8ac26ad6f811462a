/*
 * A reading of the provider's list, and what it is judged by. Inside of lookup.c, which reads and matches, and of lookup_verdict.c,
 * which decides.
 */
#ifndef BATCHD_WORK_LOOKUP_H
#define BATCHD_WORK_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/work/api_parse.h"
#include "daemon/work/pages.h"

struct api_answer;
struct task;

/* Clocks differ, and a create may have left a little before its intent was stamped there. */
#define LOOKUP_MARGIN_MS (10 * 60 * 1000)
#define LOOKUP_MAX_MATCHES 8

enum look {
	LOOK_DOUBT, /* whether there is a batch at all */
	LOOK_TWINS, /* the batch is known: others of the same rows */
	LOOK_NAME,  /* the batch is known by a name that the provider does not know */
};

/* A batch of the list that has to do with the shard. Strings are owned. */
struct lookup_match {
	char *id;
	char *file; /* its input_file_id; NULL: not told */
	enum api_status status;
	int64_t created_at; /* 0: not told */
};

/* Newest first. More than fit are found when the list is read again. */
struct lookup_matches {
	struct lookup_match all[LOOKUP_MAX_MATCHES];
	size_t count;
};

/* A shard that gave its rows to others, though a batch of it may yet appear. */
struct lookup_kin {
	char *marker;
	char *file;
};

struct lookup {
	enum look look;
	bool is_last; /* of LOOK_TWINS: the batch has ended, so nobody looks again */
	int64_t began_at;
	int64_t restored_from;
	struct lookup_kin *kin;
	size_t kin_count;

	struct pages pages; /* created before their horizon: cannot be ours */
	int64_t newest;	    /* when the youngest batch in it was created; 0: not told */

	struct lookup_matches ours;
	struct lookup_matches aliases; /* of LOOK_NAME: with our file or our marker, but not both */
	struct lookup_matches twins; /* to be cancelled, from the last one on */
	bool is_half_match;
	bool is_complete;   /* the listing was */
	bool is_own_listed; /* the batch that the shard has stands in the list */
	uint64_t *seen; /* hashes of all ids that were listed */
	size_t seen_count;
	size_t seen_room;
	int64_t hidden; /* live batches of ours that the list did not show, */
	int64_t lagging; /* and those among them that are young */
};

/* Takes over a match, if there is room; else drops it. */
void lookup_add(struct lookup_matches *matches, struct lookup_match *match);
uint64_t lookup_hash(const char *id);
/* Whether what is older than the horizon was reached, and nothing behind it can be younger. */
bool lookup_is_past_horizon(const struct lookup *lookup);

/* The list was read, to its end or not: ends the task. */
void lookup_decide(struct task *task, bool is_complete);
/* The list could not be read, or a twin not be cancelled. why: of an answer that is API_OK. */
void lookup_fail(struct task *task, const struct api_answer *answer, const char *why);

#endif
