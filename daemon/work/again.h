/*
 * The rows of a job that tries the failed requests of another one again: those of the other job's
 * row index that ended without a success. Both have one input, so nothing is copied but records.
 */
#ifndef BATCHD_WORK_AGAIN_H
#define BATCHD_WORK_AGAIN_H

#include <stdint.h>

struct again;
struct error;
struct job;
struct store;
struct vault;

/* A (model, url) of the old job as the new one has it; number as in the old one. */
struct again_group {
	int64_t requests;
	int64_t bytes;
};

/*
 * Begins. old has ended and has a row index (-ENOENT: its lines were wrong, or it was cancelled
 * before they were read, so it has none). What was skipped as invalid is not tried again, for it is
 * no request.
 */
int again_new(struct vault *vault, struct store *store, const struct job *old, struct again **ret_again,
	      struct error *err);
/* 1: there is more; 0: done; or -errno (-EUCLEAN: a record is damaged), then for good. */
int again_slice(struct again *again, struct error *err);
/*
 * After the end: how many requests there are, and the groups, by number, up to the last that has
 * any; without one the list may be NULL.
 */
int64_t again_count(const struct again *again);
const struct again_group *again_groups(const struct again *again, int64_t *ret_count);
/* After the end, once: keeps the row index of the new job. */
int again_keep(struct again *again, int64_t job, struct error *err);
/* NULL is fine. */
void again_free(struct again *again);

#endif
