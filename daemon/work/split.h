/*
 * Member files of shards, taken apart and put together. A new shard's file is written before the
 * turn that makes the shard is committed; until then nobody knows it.
 */
#ifndef BATCHD_WORK_SPLIT_H
#define BATCHD_WORK_SPLIT_H

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

/* Keeps the rows of two shards (which share none) as those of shard number into, which may be one of the two. -EUCLEAN when they share one. */
int split_join(struct vault *vault, int64_t job, int64_t a, int64_t b, int64_t into, struct error *err);

#endif
