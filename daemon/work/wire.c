#include "daemon/work/wire.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/io/vault.h"
#include "daemon/model/job.h"
#include "daemon/work/form.h"
#include "daemon/work/rows.h"

/* Neighbouring rows come out of one read of so many bytes. */
#define WINDOW (256 * 1024)

struct wire {
	struct vault_reader input;
	struct rows_reader rows;
	struct rows_reader members;
	struct form form;
	int64_t envelope_growth; /* because of a url that is not the job's */
	struct record_row row;
	int64_t row_number;
	int64_t row_bytes; /* as it is sent */
	bool is_tested; /* the line of row is what it was */
	struct form_line line; /* of row; no piece: before the first row */
	size_t piece;	       /* of line, that is being given out; line.count: all were */
	uint32_t sent;	       /* bytes of that piece that were */
	int64_t next;	       /* member that comes after the current row */
	int64_t window_at;     /* offset in the input of what is in the window */
	int64_t window_size;
	char *window;
	struct error error;
};

DEFINE_CLEANUP(struct wire *, wire_free)

/* By how much a row's line grows because of a url that is not its own. */
static int64_t url_growth(const struct wire *wire)
{
	const struct form *form = &wire->form;

	if (!form->url)
		return 0;
	if (form->is_wrapped)
		return wire->envelope_growth;
	return wire->row.url_at ? (int64_t)strlen(form->url) - (wire->row.url_length + 2) : 0;
}

static int next_row(struct wire *wire)
{
	struct record_member member;
	int64_t size = 0;
	int r = rows_read_member(&wire->members, wire->next, &wire->rows, &member, &wire->row, &wire->error);

	if (r)
		return r;
	form_line(&wire->form, &wire->row, &wire->line);
	for (size_t i = 0; i < wire->line.count; i++)
		size += wire->line.pieces[i].size;
	/* What is sent would not have the length that was announced. */
	if (size - url_growth(wire) != wire->row.wire_length)
		return error_set(&wire->error, -EUCLEAN,
				 "row %u would be sent as %lld bytes, its record says %u", member.row,
				 (long long)size, wire->row.wire_length);
	wire->next++;
	wire->row_number = member.row;
	wire->row_bytes = size;
	wire->is_tested = false;
	wire->piece = 0;
	wire->sent = 0;
	return 0;
}

/* Bytes of the input from offset on, as many as the window gives, at least least, which fits. */
static int64_t window_bytes(struct wire *wire, int64_t offset, int64_t least, const char **ret_bytes)
{
	if (offset < wire->window_at || offset + least > wire->window_at + wire->window_size) {
		int64_t got = vault_read(&wire->input, offset, wire->window, WINDOW);

		wire->window_at = offset;
		wire->window_size = got > 0 ? got : 0;
		if (got < least)
			return error_set(&wire->error, got < 0 ? (int)got : -EUCLEAN,
					 "the input cannot be read at byte %lld: %s", (long long)offset,
					 got < 0 ? error_name((int)got) : "it is shorter than it was");
	}
	*ret_bytes = wire->window + (offset - wire->window_at);
	return wire->window_at + wire->window_size - offset;
}

/* Tests the line of the current row: in the window, which then has it for those who copy, if it fits in there. */
static int test_line(struct wire *wire)
{
	const struct record_row *row = &wire->row;
	const char *bytes;
	int64_t got = 0;
	int r = 0;

	if (row->length > WINDOW)
		r = rows_test_line(&wire->input, row, wire->row_number, &wire->error);
	else if (row->line_check)
		got = window_bytes(wire, (int64_t)row->offset, row->length, &bytes);
	if (got > 0 && !record_row_fits(row, hash_digest(bytes, row->length)))
		r = rows_damaged_line(row, wire->row_number, &wire->error);
	if (got < 0)
		r = (int)got;
	wire->is_tested = !r;
	return r;
}

/* Some of the current piece. */
static int64_t read_piece(struct wire *wire, char *bytes, size_t size)
{
	const struct form_piece *piece = &wire->line.pieces[wire->piece];
	const char *from = piece->text;
	int64_t left = piece->size - wire->sent;
	int64_t count = left;

	if (from)
		from += wire->sent;
	else
		count = window_bytes(wire, (int64_t)wire->row.offset + piece->at + wire->sent, 1, &from);
	if (count < 0)
		return count;
	if (count > left)
		count = left;
	if ((size_t)count > size)
		count = (int64_t)size;
	memcpy(bytes, from, (size_t)count);
	wire->sent += (uint32_t)count;
	if (wire->sent == piece->size) {
		wire->piece++;
		wire->sent = 0;
	}
	return count;
}

/* Passes over bytes of the current row. */
static void skip_bytes(struct wire *wire, uint32_t count)
{
	while (count >= wire->line.pieces[wire->piece].size)
		count -= wire->line.pieces[wire->piece++].size;
	wire->sent = count;
}

static void set_url(struct wire *wire, const char *url)
{
	int64_t before = wire->form.is_wrapped ? (int64_t)strlen(wire->form.envelope) : 0;

	form_set_url(&wire->form, url);
	if (wire->form.is_wrapped)
		wire->envelope_growth = (int64_t)strlen(wire->form.envelope) - before;
}

int wire_open(struct vault *vault, const struct job *job, const struct shard *shard, const char *url,
	      struct wire **ret_wire, struct error *err)
{
	auto_with(wire_free) struct wire *wire = xcalloc(1, sizeof(*wire));
	auto_free char *members = rows_members_name(shard->number);
	int r;

	wire->input.fd = -1;
	wire->window = xmalloc(WINDOW);
	r = vault_open_file(vault, job->input_file, &wire->input, err);
	if (!r)
		r = rows_open(&wire->rows, vault, job->id, ROWS_NAME, RECORD_ROWS, err);
	if (!r)
		r = rows_open(&wire->members, vault, job->id, members, RECORD_MEMBERS, err);
	if (!r && wire->members.count != shard->requests)
		r = error_set(err, -EUCLEAN, "%s has %lld rows, the store says %lld", members,
			      (long long)wire->members.count, (long long)shard->requests);
	if (r)
		return r;
	form_init(&wire->form, job);
	if (url)
		set_url(wire, url);
	*ret_wire = take(wire);
	return 0;
}

int64_t wire_read(struct wire *wire, char *bytes, size_t size)
{
	size_t filled = 0;

	while (filled < size) {
		int64_t got;

		if (wire->piece == wire->line.count) {
			if (wire->next == wire->members.count)
				break;
			got = next_row(wire);
			if (got)
				return got;
		}
		got = wire->is_tested ? 0 : test_line(wire);
		if (got)
			return got;
		got = read_piece(wire, bytes + filled, size - filled);
		if (got < 0)
			return got;
		filled += (size_t)got;
	}
	return (int64_t)filled;
}

int wire_seek(struct wire *wire, int64_t offset)
{
	wire->next = 0;
	wire->line.count = wire->piece = 0;
	wire->sent = 0;
	while (offset > 0) {
		int r = next_row(wire);

		if (r)
			return r;
		if (offset < wire->row_bytes) {
			skip_bytes(wire, (uint32_t)offset);
			return 0;
		}
		offset -= wire->row_bytes;
		wire->piece = wire->line.count;
	}
	return 0;
}

int wire_measure(struct wire *wire, int64_t *ret_bytes)
{
	int64_t bytes = 0;
	int r = wire_seek(wire, 0);

	while (!r && wire->next < wire->members.count) {
		r = next_row(wire);
		bytes += wire->row_bytes;
	}
	if (r || (r = wire_seek(wire, 0)))
		return r;
	*ret_bytes = bytes;
	return 0;
}

const struct error *wire_error(const struct wire *wire)
{
	return &wire->error;
}

void wire_free(struct wire *wire)
{
	if (!wire)
		return;
	vault_reader_release(&wire->input);
	rows_release(&wire->rows);
	rows_release(&wire->members);
	form_release(&wire->form);
	free(wire->window);
	free(wire);
}
