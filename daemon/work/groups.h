/*
 * The (model, url) pairs of a job, numbered in the order in which they first appear. However a
 * line escapes them, they are compared by what they mean.
 */
#ifndef BATCHD_WORK_GROUPS_H
#define BATCHD_WORK_GROUPS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/work/intake.h"

struct request;

struct groups {
	struct intake_group *list;
	struct group_key *keys; /* beside list */
	size_t count;
	size_t capacity;
	uint16_t *slots; /* of a hash table: number plus one, 0 where there is none */
};

/*
 * The number of the pair of this request, a new one if it was not seen before. -EINVAL: the model
 * holds a NUL character; -ENOSPC: it would be one more than INTAKE_MAX_GROUPS.
 */
int groups_find(struct groups *groups, uint64_t key, const char *line,
		const struct request *request);
void groups_release(struct groups *groups);

#endif
