/*
 * The results of a job in the order of its input: gathers the outcomes of all its collected shards,
 * then produces the answer lines of the rows that are asked for, one after the other. The same object
 * writes a finished job's result files and serves what is there before the end.
 */
#ifndef BATCHD_WORK_MERGE_H
#define BATCHD_WORK_MERGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/job.h"

struct error;
struct merge;
struct vault;

enum merge_selection {
	MERGE_OK = 1,	  /* successes */
	MERGE_ERRORS = 2, /* everything else that ended */
	MERGE_ALL = 3,
};

/* A collected shard. */
struct merge_shard {
	int64_t number;
	const char *why; /* the provider's words when it was refused; may be NULL; copied */
};

/*
 * Begins. shards are those with a shard-N.done, in the order of their numbers: a later outcome of a row replaces an
 * earlier one. is_cancelled: rows without an outcome are cancelled; is_partial: they are left out; else they are missing.
 */
int merge_new(struct vault *vault, const struct job *job, const struct merge_shard *shards, size_t shard_count,
	      enum merge_selection selection, bool is_cancelled, bool is_partial, struct merge **ret_merge,
	      struct error *err);
/*
 * Fills bytes with up to size bytes of whole and cut lines, as they come. Returns how many; 0: nothing yet, call again (it works in
 * slices); MERGE_END: that was all; other negative numbers: an errno. size must be at least 4096.
 * Each line is the provider's own answer line as it came, in one line; for a row without one, a line in the documented form
 * of a request that was not executed: {"id":null,"custom_id":"...","response":null,"error":{"code":"batch_cancelled","message":"..."}}
 * with code batch_cancelled, batch_expired, missing, or refused (with the provider's words about the batch).
 */
#define MERGE_END (-1000)
int64_t merge_read(struct merge *merge, char *bytes, size_t size, struct error *err);
/* How the rows ended, counted afresh from the outcomes; complete once merge_read said MERGE_END. */
const struct job_counts *merge_counts(const struct merge *merge);
void merge_free(struct merge *merge);

#endif
