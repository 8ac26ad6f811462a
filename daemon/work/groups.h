/*
 * The (model, url) pairs of a job, numbered in the order in which they first appear. However a
 * line escapes them, they are compared by what they mean.
 */
#ifndef BATCHD_WORK_GROUPS_H
#define BATCHD_WORK_GROUPS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/work/intake.h"

struct groups {
	struct intake_group *list;
	struct group_key *keys; /* beside list */
	size_t count;
	size_t capacity;
	uint16_t *slots;  /* of a hash table: number plus one, 0 where there is none */
	uint64_t *beyond; /* hashes of pairs beyond the most, in a table; NULL while there is none */
	size_t beyond_count;
};

#define GROUPS_MAX_BEYOND 65536 /* pairs beyond INTAKE_MAX_GROUPS that are told apart, and no more */

/*
 * The number of a pair, decoded: the url, a NUL, and the model, which holds none. A new number if
 * it was not seen before; -ENOSPC: it would be one more than INTAKE_MAX_GROUPS, and is only
 * counted.
 */
int groups_find(struct groups *groups, uint64_t key, const char *pair, size_t url_size,
		size_t model_size);
/* How many pairs were seen; *ret_is_least: there were more than could be counted. */
size_t groups_total(const struct groups *groups, bool *ret_is_least);
void groups_release(struct groups *groups);

#endif
