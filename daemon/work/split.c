#include "daemon/work/split.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/work/rows.h"

/* Member files that are read while a new one is written. */
struct split {
	struct vault *vault;
	int64_t job;
	struct rows_reader rows;
	struct rows_reader members;
};

static void split_release(struct split *split)
{
	rows_release(&split->rows);
	rows_release(&split->members);
}
#define auto_split __attribute__((cleanup(split_release))) struct split

static int open_members(struct rows_reader *reader, struct vault *vault, int64_t job, int64_t shard,
			struct error *err)
{
	auto_free char *name = rows_members_name(shard);

	return rows_open(reader, vault, job, name, RECORD_MEMBERS, err);
}

static int keep_members(struct rows_writer *writer, int64_t job, int64_t shard, struct error *err)
{
	auto_free char *name = rows_members_name(shard);

	return rows_writer_keep(writer, job, name, err);
}

/* Keeps the members from begin to end as those of a shard of their own. */
static int keep_part(struct split *split, int64_t begin, int64_t end, int64_t shard,
		     const struct load_limits *limits, struct load *ret_load, struct error *err)
{
	auto_rows_writer writer;
	struct load load = { 0 };
	int r = 0;

	rows_writer_init(&writer, split->vault, RECORD_MEMBERS);
	for (int64_t i = begin; !r && i < end; i++) {
		struct record_member member;
		struct record_row row;
		struct load more;

		r = rows_read_member(&split->members, i, &split->rows, &member, &row, err);
		if (r)
			break;
		more = load_of_request(limits, row.wire_length, row.inputs);
		load_add(&load, &more);
		r = rows_write(&writer, &member, err);
	}
	if (!r)
		r = keep_members(&writer, split->job, shard, err);
	if (!r)
		*ret_load = load;
	return r;
}

int split_halve(struct vault *vault, int64_t job, int64_t shard, int64_t first,
		const struct load_limits *limits, struct load ret_loads[2], struct error *err)
{
	auto_split split = { .vault = vault, .job = job };
	struct load loads[2];
	int64_t half;
	int r = open_members(&split.members, vault, job, shard, err);

	if (!r)
		r = rows_open(&split.rows, vault, job, ROWS_NAME, RECORD_ROWS, err);
	if (r)
		return r;
	half = split.members.count / 2;
	if (!half)
		return error_set(err, -EINVAL, "%s of job %" PRId64 " has one row, which cannot be halved",
				 split.members.name, job);
	r = keep_part(&split, 0, half, first, limits, &loads[0], err);
	if (!r)
		r = keep_part(&split, half, split.members.count, first + 1, limits, &loads[1], err);
	if (r)
		return r;
	ret_loads[0] = loads[0];
	ret_loads[1] = loads[1];
	return 0;
}

/* --- as many as the limits ask for --- */

/* A walk over all rows of a shard, which deals some of them. */
struct dealing {
	struct split split;
	const struct load_limits *limits, *rest_limits;
	struct rows_writer writer; /* of the part that is filled */
	bool is_open;
	struct load load; /* of that */
	int64_t number;	  /* of the next part that is kept */
	struct split_parts parts;
};

static void dealing_release(struct dealing *dealing)
{
	split_release(&dealing->split);
	rows_writer_release(&dealing->writer);
	split_parts_release(&dealing->parts);
}
#define auto_dealing __attribute__((cleanup(dealing_release))) struct dealing

static void open_part(struct dealing *dealing)
{
	rows_writer_init(&dealing->writer, dealing->split.vault, RECORD_MEMBERS);
	dealing->is_open = true;
	dealing->load = (struct load){ 0 };
}

static int close_part(struct dealing *dealing, struct error *err)
{
	int r = keep_members(&dealing->writer, dealing->split.job, dealing->number, err);

	dealing->is_open = false;
	dealing->number++;
	return r;
}

static int close_fitting(struct dealing *dealing, struct error *err)
{
	struct split_parts *parts = &dealing->parts;

	parts->loads = xreallocarray(parts->loads, parts->count + 1, sizeof(*parts->loads));
	parts->loads[parts->count++] = dealing->load;
	return close_part(dealing, err);
}

static int deal(struct dealing *dealing, const struct record_member *member, const struct load *load,
		struct error *err)
{
	int r = 0;

	if (dealing->is_open && !load_has_room(dealing->limits, &dealing->load, load))
		r = close_fitting(dealing, err);
	if (r)
		return r;
	if (!dealing->is_open)
		open_part(dealing);
	load_add(&dealing->load, load);
	return rows_write(&dealing->writer, member, err);
}

/* A row that a batch can hold; the others are counted. */
static int deal_fitting(struct dealing *dealing, const struct record_member *member, const struct record_row *row,
			struct error *err)
{
	struct load load = load_of_request(dealing->limits, row->wire_length, row->inputs);

	if (load_excess_of(dealing->limits, &load) == LOAD_FITS)
		return deal(dealing, member, &load, err);
	dealing->parts.rest.requests++;
	return 0;
}

/* One of those others. */
static int deal_rest(struct dealing *dealing, const struct record_member *member, const struct record_row *row,
		     struct error *err)
{
	struct load load = load_of_request(dealing->limits, row->wire_length, row->inputs);

	if (load_excess_of(dealing->limits, &load) == LOAD_FITS)
		return 0;
	load = load_of_request(dealing->rest_limits, row->wire_length, row->inputs);
	load_add(&dealing->load, &load);
	return rows_write(&dealing->writer, member, err);
}

static int deal_all(struct dealing *dealing,
		    int (*deal_row)(struct dealing *dealing, const struct record_member *member,
				    const struct record_row *row, struct error *err),
		    struct error *err)
{
	struct split *split = &dealing->split;
	int r = 0;

	for (int64_t i = 0; !r && i < split->members.count; i++) {
		struct record_member member;
		struct record_row row;

		r = rows_read_member(&split->members, i, &split->rows, &member, &row, err);
		if (!r)
			r = deal_row(dealing, &member, &row, err);
	}
	return r;
}

static int keep_rest(struct dealing *dealing, struct error *err)
{
	int r;

	open_part(dealing);
	r = deal_all(dealing, deal_rest, err);
	if (!r)
		r = close_part(dealing, err);
	dealing->parts.rest = dealing->load;
	return r;
}

void split_parts_release(struct split_parts *parts)
{
	free(parts->loads);
	*parts = (struct split_parts){ 0 };
}

int split_fit(struct vault *vault, int64_t job, int64_t shard, int64_t first, const struct load_limits *limits,
	      const struct load_limits *rest_limits, struct split_parts *ret_parts, struct error *err)
{
	auto_dealing dealing = { .split = { .vault = vault, .job = job },
				 .limits = limits,
				 .rest_limits = rest_limits,
				 .number = first };
	int r = open_members(&dealing.split.members, vault, job, shard, err);

	if (!r)
		r = rows_open(&dealing.split.rows, vault, job, ROWS_NAME, RECORD_ROWS, err);
	if (!r)
		r = deal_all(&dealing, deal_fitting, err);
	if (!r && dealing.is_open)
		r = close_fitting(&dealing, err);
	if (!r && dealing.parts.rest.requests && dealing.parts.count)
		r = keep_rest(&dealing, err);
	if (r)
		return r;
	*ret_parts = dealing.parts;
	dealing.parts = (struct split_parts){ 0 };
	return 0;
}

/* --- two of them --- */

/* One of two files that are merged: its next member, while there is one. */
struct side {
	struct rows_reader reader;
	struct record_member member;
	int64_t next; /* behind member */
	bool is_there;
};

static void side_release(struct side *side)
{
	rows_release(&side->reader);
}
#define auto_side __attribute__((cleanup(side_release))) struct side

static int side_step(struct side *side, struct error *err)
{
	side->is_there = side->next < side->reader.count;
	return side->is_there ? rows_read(&side->reader, side->next++, &side->member, err) : 0;
}

static int side_open(struct side *side, struct vault *vault, int64_t job, int64_t shard, struct error *err)
{
	int r = open_members(&side->reader, vault, job, shard, err);

	return r ? r : side_step(side, err);
}

/* Writes both in ascending order. Whatever is not ascending then stood in both, or stood wrong in one. */
static int merge(struct side *a, struct side *b, struct rows_writer *writer, struct error *err)
{
	int64_t last = -1;
	int r = 0;

	while (!r && (a->is_there || b->is_there)) {
		bool is_a = a->is_there && (!b->is_there || a->member.row <= b->member.row);
		struct side *from = is_a ? a : b;

		if (from->member.row <= last)
			return error_set(err, -EUCLEAN,
					 "row %" PRIu32 " of job %" PRId64 " stands in %s and in %s, or out of order",
					 from->member.row, a->reader.job, a->reader.name, b->reader.name);
		last = from->member.row;
		r = rows_write(writer, &from->member, err);
		if (!r)
			r = side_step(from, err);
	}
	return r;
}

int split_join(struct vault *vault, int64_t job, int64_t a, int64_t b, int64_t into, struct error *err)
{
	auto_side one = { 0 };
	auto_side other = { 0 };
	auto_rows_writer writer = { 0 };
	int r = side_open(&one, vault, job, a, err);

	if (!r)
		r = side_open(&other, vault, job, b, err);
	if (r)
		return r;
	rows_writer_init(&writer, vault, RECORD_MEMBERS);
	r = merge(&one, &other, &writer, err);
	return r ? r : keep_members(&writer, job, into, err);
}
