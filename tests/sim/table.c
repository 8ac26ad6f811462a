#include "tests/sim/table.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/hash.h"

enum { HASH_KEY = 0x51, FIRST_SLOTS = 64 };

static bool is_key(const struct table *table, const struct table_entry *entry, uint64_t hash,
		   const void *key, size_t size)
{
	return entry->hash == hash && entry->size == size &&
	       (!size || !memcmp(table->keys.data + entry->offset, key, size));
}

/* The slot that holds the key, or the free one where it belongs. */
static size_t slot_of(const struct table *table, uint64_t hash, const void *key, size_t size)
{
	size_t mask = table->slot_count - 1;
	size_t slot = (size_t)hash & mask;

	while (table->slots[slot] &&
	       !is_key(table, &table->entries[table->slots[slot] - 1], hash, key, size))
		slot = (slot + 1) & mask;
	return slot;
}

static void grow(struct table *table)
{
	size_t slot_count = table->slot_count ? 2 * table->slot_count : FIRST_SLOTS;

	table->capacity = slot_count / 2;
	table->entries = xreallocarray(table->entries, table->capacity, sizeof(*table->entries));
	free(table->slots);
	table->slots = xcalloc(slot_count, sizeof(*table->slots));
	table->slot_count = slot_count;
	for (size_t i = 0; i < table->count; i++) {
		size_t slot = (size_t)table->entries[i].hash & (slot_count - 1);

		while (table->slots[slot])
			slot = (slot + 1) & (slot_count - 1);
		table->slots[slot] = (uint32_t)i + 1;
	}
}

size_t table_add(struct table *table, const void *key, size_t size, bool *ret_is_new)
{
	uint64_t hash = hash_keyed(HASH_KEY, key, size);
	size_t slot;

	if (table->count == table->capacity)
		grow(table);
	slot = slot_of(table, hash, key, size);
	*ret_is_new = !table->slots[slot];
	if (*ret_is_new) {
		table->entries[table->count++] = (struct table_entry){
			.hash = hash, .offset = table->keys.size, .size = size};
		buffer_add(&table->keys, key, size);
		table->slots[slot] = (uint32_t)table->count;
	}
	return table->slots[slot] - 1;
}

size_t table_find(const struct table *table, const void *key, size_t size)
{
	size_t slot;

	if (!table->count)
		return TABLE_NONE;
	slot = slot_of(table, hash_keyed(HASH_KEY, key, size), key, size);
	return table->slots[slot] ? table->slots[slot] - 1 : TABLE_NONE;
}

const char *table_key(const struct table *table, size_t number, size_t *ret_size)
{
	*ret_size = table->entries[number].size;
	return table->keys.data ? table->keys.data + table->entries[number].offset : "";
}

void table_release(struct table *table)
{
	free(table->entries);
	free(table->slots);
	buffer_release(&table->keys);
	*table = (struct table){0};
}
