#include "daemon/work/groups.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/hash.h"
#include "daemon/model/request.h"

#define SLOTS 2048 /* a power of two, far enough above INTAKE_MAX_GROUPS that probing stays short  \
		    */

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

int groups_find(struct groups *groups, uint64_t key, const char *line,
		const struct request *request)
{
	char pair[REQUEST_MAX_URL + 1 + REQUEST_MAX_MODEL];
	size_t url_size = scan_decode(line, request->url, pair);
	size_t model_size = scan_decode(line, request->model, pair + url_size + 1);
	struct group_key wanted = {.size = url_size + 1 + model_size};
	size_t slot;
	int number;

	pair[url_size] = '\0';
	if (memchr(pair + url_size + 1, '\0', model_size))
		return -EINVAL;
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
	return number;
}

void groups_release(struct groups *groups)
{
	for (size_t i = 0; i < groups->count; i++)
		free(groups->list[i].url);
	free(groups->list);
	free(groups->keys);
	free(groups->slots);
	*groups = (struct groups){0};
}
