#include "daemon/work/uniqueness.h"

#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/io/vault.h"
#include "daemon/model/request.h"
#include "daemon/work/row_id.h"
#include "daemon/work/sorter.h"

#define LEAST_LINE        64         /* bytes; the four members of a request need more */
#define SLICE             (32 << 10) /* entries */
#define COST_OF_COMPARING 64 /* in the same measure: to read an id from the input takes a while */

/*
 * The first entry of each hash is the leader, and the others of that hash are compared with it:
 * those that are equal repeat it, the rest go through another round among themselves. So each
 * round settles one id of every hash, and needs memory for two ids.
 */
struct uniqueness {
	struct vault *vault;
	const struct vault_reader *input;
	uniqueness_on_repeat *on_repeat;
	void *context;
	struct sorter *round;
	struct sorter *rest; /* NULL while there is none */
	struct sorter_entry leader;
	char leader_id[REQUEST_MAX_CUSTOM_ID];
	size_t leader_size;
	bool has_leader;
	bool is_leader_read;
	bool is_prepared;
};

static int read_id(struct uniqueness *uniqueness, const struct sorter_entry *entry, char *out,
		   size_t *ret_size, struct error *err)
{
	struct row_id id;
	int r = row_id_read(uniqueness->input, (int64_t)entry->id_at, entry->id_size, &id, err);

	if (!r)
		*ret_size = row_id_decode(&id, out);
	return r;
}

static int keep_for_next_round(struct uniqueness *uniqueness, const struct sorter_entry *entry,
			       struct error *err)
{
	if (!uniqueness->rest)
		uniqueness->rest =
			sorter_new(uniqueness->vault, sorter_count(uniqueness->round), SLICE);
	return sorter_add(uniqueness->rest, entry, err);
}

/* Judges an entry that has the hash of the leader. */
static int compare(struct uniqueness *uniqueness, const struct sorter_entry *entry,
		   struct error *err)
{
	char id[REQUEST_MAX_CUSTOM_ID];
	size_t size = 0;
	int r = 0;

	if (!uniqueness->is_leader_read)
		r = read_id(uniqueness, &uniqueness->leader, uniqueness->leader_id,
			    &uniqueness->leader_size, err);
	if (r)
		return r;
	uniqueness->is_leader_read = true;
	r = read_id(uniqueness, entry, id, &size, err);
	if (r)
		return r;
	if (size != uniqueness->leader_size || memcmp(id, uniqueness->leader_id, size) != 0)
		return keep_for_next_round(uniqueness, entry, err);
	return uniqueness->on_repeat(
		&(struct uniqueness_repeat){.id = id,
					    .size = size,
					    .line = entry->line,
					    .first_line = uniqueness->leader.line},
		uniqueness->context, err);
}

static int end_round(struct uniqueness *uniqueness)
{
	if (!uniqueness->rest)
		return 0;
	sorter_free(uniqueness->round);
	uniqueness->round = uniqueness->rest;
	uniqueness->rest = NULL;
	uniqueness->has_leader = false;
	uniqueness->is_prepared = false;
	return 1;
}

struct uniqueness *uniqueness_new(struct vault *vault, const struct vault_reader *input,
				  uniqueness_on_repeat *on_repeat, void *context)
{
	struct uniqueness *uniqueness = xcalloc(1, sizeof(*uniqueness));

	uniqueness->vault = vault;
	uniqueness->input = input;
	uniqueness->on_repeat = on_repeat;
	uniqueness->context = context;
	uniqueness->round = sorter_new(vault, input->size / LEAST_LINE + 1, SLICE);
	return uniqueness;
}

void uniqueness_free(struct uniqueness *uniqueness)
{
	if (!uniqueness)
		return;
	sorter_free(uniqueness->round);
	sorter_free(uniqueness->rest);
	free(uniqueness);
}

int uniqueness_add(struct uniqueness *uniqueness, const struct sorter_entry *entry,
		   struct error *err)
{
	return sorter_add(uniqueness->round, entry, err);
}

int uniqueness_slice(struct uniqueness *uniqueness, struct error *err)
{
	int r = 0;

	if (!uniqueness->is_prepared)
		r = sorter_prepare(uniqueness->round, err);
	if (r)
		return r;
	uniqueness->is_prepared = true;
	for (int left = SLICE; left > 0;) {
		struct sorter_entry entry;

		r = sorter_next(uniqueness->round, &entry, err);
		if (r <= 0)
			return r ? r : end_round(uniqueness);
		if (uniqueness->has_leader && uniqueness->leader.hash == entry.hash) {
			r = compare(uniqueness, &entry, err);
			left -= COST_OF_COMPARING;
		} else {
			uniqueness->leader = entry;
			uniqueness->has_leader = true;
			uniqueness->is_leader_read = false;
			left--;
		}
		if (r < 0)
			return r;
	}
	return 1;
}

void uniqueness_words(struct buffer *buffer, const char *id, size_t size, uint32_t first_line)
{
	buffer_add_text(buffer, "The custom_id '");
	buffer_add(buffer, id, size);
	buffer_add_format(buffer,
			  "' for this request is a duplicate of another request. The custom_id "
			  "parameter must be unique for each request in a batch. (first at line "
			  "%" PRIu32 ")",
			  first_line);
}
