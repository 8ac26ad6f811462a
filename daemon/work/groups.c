#include "daemon/work/groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/hash.h"

#define SLOTS                                                                                      \
	2048 /* a power of two, far enough above INTAKE_MAX_GROUPS that probing stays short        \
	      */

#define BEYOND_SLOTS (2 * (size_t)GROUPS_MAX_BEYOND) /* a power of two */

_Static_assert(SLOTS >= 2 * INTAKE_MAX_GROUPS, "half of the slots stay free");

/* A group's url, NUL and model stand in one piece of memory, which its url owns. */
struct group_key {
	uint64_t hash;
	size_t size; /* of that piece, without the last NUL */
};

static int add(struct groups *groups, const char *pair, const struct group_key *key)
{
	size_t number = groups->count;
	char *copy;

	if (number == INTAKE_MAX_GROUPS)
		return -ENOSPC;
	if (number == groups->capacity) {
		groups->capacity = groups->capacity ? groups->capacity * 2 : 4;
		groups->list = xreallocarray(groups->list, groups->capacity, sizeof(*groups->list));
		groups->keys = xreallocarray(groups->keys, groups->capacity, sizeof(*groups->keys));
	}
	copy = xmemdup0(pair, key->size);
	groups->list[number] = (struct intake_group){.url = copy, .model = copy + strlen(copy) + 1};
	groups->keys[number] = *key;
	groups->count++;
	return (int)number;
}

/* Two pairs of one hash count as one: it is for people, and will not happen. */
static void count_beyond(struct groups *groups, uint64_t hash)
{
	size_t slot = hash % BEYOND_SLOTS;

	hash |= !hash;
	if (!groups->beyond)
		groups->beyond = xcalloc(BEYOND_SLOTS, sizeof(*groups->beyond));
	while (groups->beyond[slot] && groups->beyond[slot] != hash)
		slot = (slot + 1) % BEYOND_SLOTS;
	if (groups->beyond[slot] || groups->beyond_count == GROUPS_MAX_BEYOND)
		return;
	groups->beyond[slot] = hash;
	groups->beyond_count++;
}

int groups_find(struct groups *groups, uint64_t key, const char *pair, size_t url_size,
		size_t model_size)
{
	struct group_key wanted = {.size = url_size + 1 + model_size};
	size_t slot;
	int number;

	if (!groups->slots)
		groups->slots = xcalloc(SLOTS, sizeof(*groups->slots));
	wanted.hash = hash_keyed(key, pair, wanted.size);
	for (slot = wanted.hash % SLOTS; groups->slots[slot]; slot = (slot + 1) % SLOTS) {
		number = groups->slots[slot] - 1;
		if (groups->keys[number].hash == wanted.hash &&
		    groups->keys[number].size == wanted.size &&
		    memcmp(groups->list[number].url, pair, wanted.size) == 0)
			return number;
	}
	number = add(groups, pair, &wanted);
	if (number >= 0)
		groups->slots[slot] = (uint16_t)(number + 1);
	else
		count_beyond(groups, wanted.hash);
	return number;
}

size_t groups_total(const struct groups *groups, bool *ret_is_least)
{
	*ret_is_least = groups->beyond_count == GROUPS_MAX_BEYOND;
	return groups->count + groups->beyond_count;
}

void groups_release(struct groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->list[i].url);
	free(groups->list);
	free(groups->keys);
	free(groups->slots);
	free(groups->beyond);
	*groups = (struct groups){0};
}
