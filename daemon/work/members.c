#include "daemon/work/members.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/model/job.h"
#include "daemon/model/request.h"
#include "daemon/model/scan.h"
#include "daemon/work/row_id.h"

#define MEMBERS_A_SLICE 16384

/* As long as an id can be written: every byte of the longest one as \u00XX. */
#define MAX_WRITTEN_ID (6 * REQUEST_MAX_CUSTOM_ID)

static void enter(struct members *members, size_t number)
{
	size_t slot = members->list[number].id_hash & members->slot_mask;

	while (members->slots[slot])
		slot = (slot + 1) & members->slot_mask;
	members->slots[slot] = (uint32_t)number + 1;
}

static int load_one(struct members *members, struct error *err)
{
	struct member *member = &members->list[members->loaded];
	struct record_member record;
	struct record_row row;
	int r = rows_read_member(&members->members, (int64_t)members->loaded, &members->rows, &record, &row, err);

	if (r)
		return r;
	if ((!members->form.has_line_ids && row.id_length > REQUEST_MAX_CUSTOM_ID) ||
	    (members->loaded && record.row <= member[-1].row))
		return error_set(err, -EUCLEAN, "the rows of shard %" PRId64 " are damaged at number %zu",
				 members->shard, members->loaded);
	*member = (struct member){
		.id_hash = row.id_hash,
		.offset = row.offset,
		.id_at = row.id_at,
		.id_length = row.id_length,
		.row = record.row,
		.wire_length = row.wire_length,
		.inputs = row.inputs,
	};
	enter(members, members->loaded++);
	return 0;
}

/* Whether a member has this id, decoded: equal hashes prove nothing. */
static int compare(struct members *members, const struct member *member, const char *id, size_t size,
		   bool *ret_is_equal, struct error *err)
{
	const struct record_row row = {
		.offset = member->offset,
		.id_hash = member->id_hash,
		.id_at = member->id_at,
		.id_length = member->id_length,
	};
	char decoded[REQUEST_MAX_CUSTOM_ID];
	struct row_id own;
	size_t own_size;
	int r = form_row_id(&members->form, &members->input, &row, &own, err);

	if (r)
		return r;
	own_size = row_id_decode(&own, decoded);
	if (form_id_hash(&members->form, members->id_key, decoded, own_size) != member->id_hash)
		return error_set(err, -EUCLEAN, "the input is damaged: row %" PRIu32 " has another custom_id",
				 member->row);
	*ret_is_equal = own_size == size && memcmp(decoded, id, size) == 0;
	return 0;
}

/*
 * Decodes an answer's custom_id. False when it can be nobody's: answers may hold half of a
 * surrogate pair, which decodes like the U+FFFD of another id; input lines may not.
 */
static bool decode_id(const char *line, struct scan_span span, char *ret_id, size_t *ret_size)
{
	struct scan scan;

	if (span.size > MAX_WRITTEN_ID)
		return false;
	scan_init(&scan, line + span.at - 1, span.size + 2);
	if (scan_value(&scan, NULL, NULL))
		return false;
	*ret_size = scan_decode(line, span, ret_id);
	return true;
}

static int open_all(struct members *members, struct vault *vault, int64_t input_file, struct error *err)
{
	auto_free char *name = rows_members_name(members->shard);
	int r = vault_open_file(vault, input_file, &members->input, err);

	if (!r)
		r = rows_open(&members->rows, vault, members->job, ROWS_NAME, RECORD_ROWS, err);
	if (!r)
		r = rows_open(&members->members, vault, members->job, name, RECORD_MEMBERS, err);
	if (r)
		return r;
	/* Rows are numbered in 32 bits, and no shard has more of them than its job. */
	if (members->members.count > members->rows.count || members->rows.count > UINT32_MAX)
		return error_set(err, -EUCLEAN, "job %" PRId64 ": %s has more rows than the job", members->job, name);
	return 0;
}

int members_open(struct members *members, struct vault *vault, const struct job *job, int64_t shard, uint64_t id_key,
		 struct error *err)
{
	size_t slots = 2;
	int r;

	*members = (struct members){ .job = job->id, .shard = shard, .id_key = id_key, .input = VAULT_READER_NONE };
	form_init(&members->form, job);
	r = open_all(members, vault, job->input_file, err);
	if (r)
		return r;
	members->count = (size_t)members->members.count;
	while (slots < 2 * members->count)
		slots *= 2;
	members->list = xcalloc(members->count, sizeof(*members->list));
	members->slots = xcalloc(slots, sizeof(*members->slots));
	members->slot_mask = slots - 1;
	return 0;
}

int members_load(struct members *members, struct error *err)
{
	for (size_t i = 0; i < MEMBERS_A_SLICE && members->loaded < members->count; i++) {
		int r = load_one(members, err);

		if (r)
			return r;
	}
	if (members->loaded < members->count)
		return 1;
	rows_release(&members->rows);
	rows_release(&members->members);
	return 0;
}

int members_find(struct members *members, const char *line, struct scan_span span, struct member **ret_member,
		 struct error *err)
{
	char id[MAX_WRITTEN_ID];
	uint64_t hash;
	size_t size;

	*ret_member = NULL;
	if (!decode_id(line, span, id, &size))
		return 0;
	hash = form_id_hash(&members->form, members->id_key, id, size);
	for (size_t slot = hash & members->slot_mask; members->slots[slot]; slot = (slot + 1) & members->slot_mask) {
		struct member *member = &members->list[members->slots[slot] - 1];
		bool is_equal = false;
		int r = member->id_hash == hash ? compare(members, member, id, size, &is_equal, err) : 0;

		if (r)
			return r;
		if (is_equal) {
			*ret_member = member;
			return 0;
		}
	}
	return 0;
}

void members_release(struct members *members)
{
	form_release(&members->form);
	rows_release(&members->members);
	rows_release(&members->rows);
	vault_reader_release(&members->input);
	free(members->slots);
	free(members->list);
	*members = (struct members){ .input = VAULT_READER_NONE };
}
