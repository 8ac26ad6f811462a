#include "daemon/work/cut.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/work/intake.h"
#include "daemon/work/rows.h"
#include "daemon/work/skipped.h"

#define BLOCK       ((size_t)1024) /* rows of a shard that are held in memory, and moved at once */
#define BLOCK_BYTES (BLOCK * sizeof(uint32_t))

#define KINDS           ((size_t)INTAKE_MAX_GROUPS * LOAD_EXCESS_COUNT)
#define SLICE           16384 /* rows read; what a slice does else is counted in the same measure */
#define COST_OF_CLOSING 256   /* of the store's work for a shard, beside that for its rows */

/*
 * The shard of a group, and of a limit that its rows are beyond, that is being filled. Thousands of
 * them may be open at once: so none has a file of its own; their full blocks share one scratch
 * space, where each remembers its own.
 */
struct open_shard {
	bool is_open;
	size_t index; /* among the shards */
	uint32_t *rows;
	size_t row_count;
	size_t row_capacity;
	uint32_t *blocks;
	size_t block_count;
	size_t block_capacity;
};

struct cut {
	struct vault *vault;
	int64_t job;
	int64_t first_number;
	struct load_limits *limits; /* of each group */
	size_t group_count;
	struct rows_reader rows;
	struct rows_reader skipped; /* rows that are not dealt */
	int64_t next_skipped;
	struct record_member skip; /* the next one, while has_skip */
	bool has_skip;
	int64_t next_row;
	size_t next_kind; /* to be closed, after the last row */
	int64_t left;     /* of this slice */
	struct vault_scratch *scratch;
	uint32_t blocks; /* in scratch */
	struct cut_shard *shards;
	size_t shard_count;
	size_t shard_capacity;
	struct open_shard open[KINDS];
};

static int move_block(struct cut *cut, struct open_shard *open, struct error *err)
{
	int r = 0;

	/* Only full blocks come here, so there is room for all. */
	if (!cut->scratch)
		r = vault_scratch_new(cut->vault, cut->rows.count * (int64_t)sizeof(uint32_t),
				      &cut->scratch, err);
	if (!r)
		r = vault_scratch_write(cut->scratch, cut->blocks * (int64_t)BLOCK_BYTES,
					open->rows, BLOCK_BYTES, err);
	if (r)
		return r;
	if (open->block_count == open->block_capacity) {
		open->block_capacity = open->block_capacity ? open->block_capacity * 2 : 8;
		open->blocks =
			xreallocarray(open->blocks, open->block_capacity, sizeof(*open->blocks));
	}
	open->blocks[open->block_count++] = cut->blocks++;
	open->row_count = 0;
	return 0;
}

static int write_members(struct rows_writer *writer, const uint32_t *rows, size_t count,
			 struct error *err)
{
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = rows_write(writer, &(struct record_member){.row = rows[i]}, err);
	return r;
}

/* Writes and keeps the members of an open shard. */
static int close_shard(struct cut *cut, struct open_shard *open, struct error *err)
{
	const struct cut_shard *shard = &cut->shards[open->index];
	auto_free char *name = rows_members_name(shard->number);
	auto_rows_writer writer;
	uint32_t block[BLOCK];
	int r = 0;

	rows_writer_init(&writer, cut->vault, RECORD_MEMBERS);
	for (size_t i = 0; !r && i < open->block_count; i++) {
		r = vault_scratch_read(cut->scratch, open->blocks[i] * (int64_t)BLOCK_BYTES, block,
				       BLOCK_BYTES, err);
		if (!r)
			r = write_members(&writer, block, BLOCK, err);
	}
	if (!r)
		r = write_members(&writer, open->rows, open->row_count, err);
	if (!r)
		r = rows_writer_keep(&writer, cut->job, name, err);
	if (r)
		return r;
	cut->left -= shard->load.requests + COST_OF_CLOSING;
	open->is_open = false;
	open->row_count = open->block_count = 0;
	return 0;
}

static void open_shard(struct cut *cut, struct open_shard *open, uint16_t group,
		       enum load_excess excess)
{
	if (cut->shard_count == cut->shard_capacity) {
		cut->shard_capacity = cut->shard_capacity ? cut->shard_capacity * 2 : 4;
		cut->shards = xreallocarray(cut->shards, cut->shard_capacity, sizeof(*cut->shards));
	}
	open->is_open = true;
	open->index = cut->shard_count++;
	cut->shards[open->index] = (struct cut_shard){
		.number = cut->first_number + (int64_t)open->index,
		.group = group,
		.excess = excess,
	};
}

/*
 * Most of those that are open have few rows, and there may be thousands: so each has room for what
 * it holds.
 */
static void add_row(struct open_shard *open, uint32_t row)
{
	if (open->row_count == open->row_capacity) {
		open->row_capacity = open->row_capacity ? open->row_capacity * 2 : 16;
		open->rows = xreallocarray(open->rows, open->row_capacity, sizeof(*open->rows));
	}
	open->rows[open->row_count++] = row;
}

/* Those of shards that are not sent are bounded in their rows alone. */
static bool has_room(const struct load_limits *limits, enum load_excess excess, const struct load *load,
		     const struct load *more)
{
	return excess ? more->requests <= limits->max_requests - load->requests : load_has_room(limits, load, more);
}

static int deal(struct cut *cut, const struct record_row *row, struct error *err)
{
	const struct load_limits *limits;
	struct open_shard *open;
	enum load_excess excess;
	struct load load;
	int r = 0;

	if (row->group >= INTAKE_MAX_GROUPS || row->group >= cut->group_count || !row->wire_length)
		return error_set(err, -EUCLEAN,
				 "%s of job %" PRId64 " is damaged at record %" PRId64, ROWS_NAME,
				 cut->job, cut->next_row);
	limits = &cut->limits[row->group];
	load = load_of_request(limits, row->wire_length, row->inputs);
	excess = load_excess_of(limits, &load);
	open = &cut->open[row->group * LOAD_EXCESS_COUNT + excess];
	if (open->is_open && !has_room(limits, excess, &cut->shards[open->index].load, &load))
		r = close_shard(cut, open, err);
	else if (open->row_count == BLOCK)
		r = move_block(cut, open, err);
	if (r)
		return r;
	if (!open->is_open)
		open_shard(cut, open, row->group, excess);
	add_row(open, (uint32_t)cut->next_row);
	load_add(&cut->shards[open->index].load, &load);
	return 0;
}

static int next_skip(struct cut *cut, struct error *err)
{
	cut->has_skip = cut->next_skipped < cut->skipped.count;
	return cut->has_skip ? rows_read(&cut->skipped, cut->next_skipped++, &cut->skip, err) : 0;
}

static int take_row(struct cut *cut, struct error *err)
{
	struct record_row row;
	int r;

	if (cut->has_skip && cut->skip.row == cut->next_row)
		return next_skip(cut, err);
	r = rows_read(&cut->rows, cut->next_row, &row, err);
	return r ? r : deal(cut, &row, err);
}

static int open_skipped(struct cut *cut, struct error *err)
{
	auto_free char *name = rows_members_name(SKIPPED_SHARD);
	int r = rows_open(&cut->skipped, cut->vault, cut->job, name, RECORD_MEMBERS, err);

	return r ? r : next_skip(cut, err);
}

int cut_new(struct vault *vault, int64_t job, int64_t first_number, bool has_skipped,
	    const struct load_limits *limits, size_t group_count, struct cut **ret_cut, struct error *err)
{
	struct cut *cut = xcalloc(1, sizeof(*cut));
	int r = rows_open(&cut->rows, vault, job, ROWS_NAME, RECORD_ROWS, err);

	cut->vault = vault;
	cut->job = job;
	cut->first_number = first_number;
	cut->limits = xcalloc(group_count + 1, sizeof(*cut->limits));
	cut->group_count = group_count;
	if (group_count)
		memcpy(cut->limits, limits, group_count * sizeof(*limits));
	if (!r && has_skipped)
		r = open_skipped(cut, err);
	if (r) {
		cut_free(cut);
		return r;
	}
	*ret_cut = cut;
	return 0;
}

int cut_slice(struct cut *cut, struct error *err)
{
	cut->left = SLICE;
	for (; cut->left > 0 && cut->next_row < cut->rows.count; cut->left--) {
		int r = take_row(cut, err);

		if (r)
			return r;
		cut->next_row++;
	}
	for (; cut->left > 0 && cut->next_kind < KINDS; cut->next_kind++) {
		struct open_shard *open = &cut->open[cut->next_kind];
		int r = open->is_open ? close_shard(cut, open, err) : 0;

		if (r)
			return r;
	}
	return cut->next_kind < KINDS;
}

const struct cut_shard *cut_shards(const struct cut *cut, size_t *ret_count)
{
	*ret_count = cut->shard_count;
	return cut->shards;
}

void cut_free(struct cut *cut)
{
	if (!cut)
		return;
	rows_release(&cut->rows);
	rows_release(&cut->skipped);
	vault_scratch_free(cut->scratch);
	for (size_t i = 0; i < KINDS; i++) {
		free(cut->open[i].rows);
		free(cut->open[i].blocks);
	}
	free(cut->shards);
	free(cut->limits);
	free(cut);
}
