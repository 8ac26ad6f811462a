/*
 * Chooses which rows go together: goes once over a job's rows and deals them to shards of one model
 * and url each, within all of a batch's limits at once. A row that is beyond one of them by itself
 * can be in no batch: such rows have shards of their own, one kind for each model, url and limit,
 * which are never sent. A row belongs to a shard through shard-N.rows alone.
 */
#ifndef BATCHD_WORK_CUT_H
#define BATCHD_WORK_CUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/load.h"

struct cut;
struct error;
struct vault;

/* A shard that was cut. */
struct cut_shard {
	int64_t number;
	uint16_t group;
	enum load_excess excess; /* of each of its rows; LOAD_FITS: it can be sent */
	struct load load;
};

/*
 * Begins with all rows of job; shards are numbered from first_number. has_skipped: the rows of
 * shard SKIPPED_SHARD are not dealt, for they are lines that are wrong (work/skipped). limits: those of each group, by its number;
 * a row of another group is damage.
 */
int cut_new(struct vault *vault, int64_t job, int64_t first_number, bool has_skipped,
	    const struct load_limits *limits, size_t group_count, struct cut **ret_cut, struct error *err);
/*
 * Works on for some thousand rows. 1: there is more to do; 0: done, every shard-N.rows is kept;
 * negative errno.
 */
int cut_slice(struct cut *cut, struct error *err);
/* After the end: the shards, by number. Lives as long as the cut. */
const struct cut_shard *cut_shards(const struct cut *cut, size_t *ret_count);
/* NULL is fine. */
void cut_free(struct cut *cut);

#endif
