/*
 * Sorts what is known of custom_ids: by hash, and of one hash by line. What memory cannot hold is
 * written in sorted runs to scratch space, which are then merged: memory stays the same whatever
 * the number of entries. It is filled, then prepared slice by slice, then read.
 */
#ifndef BATCHD_WORK_SORTER_H
#define BATCHD_WORK_SORTER_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct sorter;
struct vault;

struct sorter_entry {
	uint64_t hash;    /* of the decoded custom_id */
	uint64_t id_at;   /* where it stands in the input, behind its quote */
	uint32_t id_size; /* as written */
	uint32_t line;
};

/*
 * most: there will never be more entries. run: so many are held in memory, and sorted or merged in
 * one call.
 */
struct sorter *sorter_new(struct vault *vault, int64_t most, size_t run);
/* NULL is fine. */
void sorter_free(struct sorter *sorter);

int sorter_add(struct sorter *sorter, const struct sorter_entry *entry, struct error *err);
/* How many were added. */
int64_t sorter_count(const struct sorter *sorter);

/* After the last entry. 1: there is more to prepare; 0: it can be read; or -errno. */
int sorter_prepare(struct sorter *sorter, struct error *err);
/* 1: the next entry; 0: that was all; or -errno. */
int sorter_next(struct sorter *sorter, struct sorter_entry *ret_entry, struct error *err);

#endif
