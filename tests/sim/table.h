/*
 * A set of byte strings, numbered 0, 1, 2, ... in the order in which they came. Whoever needs
 * values keeps an array of his own beside it, by these numbers. Nothing is ever taken out, and a
 * million keys cost a handful of allocations.
 */
#ifndef BATCHD_TESTS_SIM_TABLE_H
#define BATCHD_TESTS_SIM_TABLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buffer.h"

#define TABLE_NONE SIZE_MAX

struct table_entry {
	uint64_t hash;
	size_t offset;
	size_t size;
};

struct table {
	struct table_entry *entries;
	size_t count;
	size_t capacity;
	uint32_t *slots; /* entry number + 1; 0: free */
	size_t slot_count;
	struct buffer keys;
};

/* The number of the key, which is added if it is new. */
size_t table_add(struct table *table, const void *key, size_t size, bool *ret_is_new);

/* The number of the key, or TABLE_NONE. */
size_t table_find(const struct table *table, const void *key, size_t size);

/* The key of a number; valid until the next table_add. */
const char *table_key(const struct table *table, size_t number, size_t *ret_size);

/* Frees the memory; the table is empty and usable again. */
void table_release(struct table *table);

#define auto_table __attribute__((cleanup(table_release))) struct table

#endif
