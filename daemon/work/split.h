/*
 * Member files of shards, taken apart and put together. A new shard's file is written before the
 * turn that makes the shard is committed; until then nobody knows it.
 */
#ifndef BATCHD_WORK_SPLIT_H
#define BATCHD_WORK_SPLIT_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/model/load.h"

struct error;
struct vault;

/*
 * Keeps the first half of a shard's rows as shard number first, the rest as number first + 1, and tells what each holds. -EINVAL: it has
 * one row only.
 */
int split_halve(struct vault *vault, int64_t job, int64_t shard, int64_t first, const struct load_limits *limits,
		struct load ret_loads[2], struct error *err);

/* What split_fit made of a shard's rows. */
struct split_parts {
	struct load *loads; /* of those within the limits, by number */
	size_t count;
	struct load rest; /* of those that no batch can hold; requests 0: there are none */
};
void split_parts_release(struct split_parts *parts);
#define auto_split_parts __attribute__((cleanup(split_parts_release))) struct split_parts

/*
 * Keeps a shard's rows, in their order, as those of as many shards as the limits ask for, number first and on; first may be its own
 * number. Rows that are beyond a limit by themselves are kept as one shard more, behind the others; its load is reckoned by rest_limits.
 * Where all rows are, nothing is kept.
 */
int split_fit(struct vault *vault, int64_t job, int64_t shard, int64_t first, const struct load_limits *limits,
	      const struct load_limits *rest_limits, struct split_parts *ret_parts, struct error *err);

/* Keeps the rows of two shards (which share none) as those of shard number into, which may be one of the two. -EUCLEAN when they share one. */
int split_join(struct vault *vault, int64_t job, int64_t a, int64_t b, int64_t into, struct error *err);

#endif
