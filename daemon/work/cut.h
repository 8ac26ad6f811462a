/*
 * Chooses which rows go together: goes once over a job's rows, or over those of one shard that must be
 * tried again, and deals them to shards of one model and url each, within a batch's limits of requests and bytes.
 * A row belongs to a shard through shard-N.rows alone.
 */
#ifndef BATCHD_WORK_CUT_H
#define BATCHD_WORK_CUT_H

#include <stddef.h>
#include <stdint.h>

struct cut;
struct error;
struct vault;

struct cut_limits {
	int64_t max_requests; /* of one batch */
	int64_t max_bytes;
	int64_t max_inputs; /* embedding inputs: 50,000 at the official provider */
};

/* A shard that was cut. */
struct cut_shard {
	int64_t number;
	uint16_t group;
	int64_t requests;
	int64_t bytes; /* on the wire */
	int64_t inputs;
};

/* Begins with all rows of job; shards are numbered from first_number. */
int cut_new(struct vault *vault, int64_t job, int64_t first_number, const struct cut_limits *limits,
	    struct cut **ret_cut, struct error *err);
/* Works on for some thousand rows. 1: there is more to do; 0: done, every shard-N.rows is kept; negative errno. */
int cut_slice(struct cut *cut, struct error *err);
/* After the end: the shards, by number. Lives as long as the cut. */
const struct cut_shard *cut_shards(const struct cut *cut, size_t *ret_count);
/* NULL is fine. */
void cut_free(struct cut *cut);

#endif
