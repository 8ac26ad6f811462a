#include "daemon/work/rows.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/work/lines.h"

/*
 * Whoever reads one record after the other gets many at a time. Whoever jumps, as the rows of one
 * shard do among those of many, would read most of them for nothing.
 */
#define WINDOW           ((size_t)64 << 10)
#define WINDOW_OF_A_JUMP ((size_t)4 << 10)
#define PENDING          ((size_t)64 << 10)

static int flush(struct rows_writer *writer, struct error *err)
{
	int r = vault_write(writer->writer, writer->pending.data, writer->pending.size, err);

	buffer_clear(&writer->pending);
	return r;
}

static int check_file(struct rows_reader *reader, struct vault *vault, struct error *err)
{
	uint8_t header[RECORD_HEADER_SIZE];
	int64_t size = (int64_t)record_size(reader->kind);
	int64_t got;
	int r = vault_open_record(vault, reader->job, reader->name, &reader->bytes, err);

	if (r)
		return r;
	got = vault_read(&reader->bytes, 0, header, sizeof(header));
	if (got < 0)
		return error_set(err, (int)got, "cannot read %s of job %" PRId64 ": %s",
				 reader->name, reader->job, error_name((int)got));
	if ((size_t)got < sizeof(header) || record_header_check(reader->kind, header) ||
	    (reader->bytes.size - RECORD_HEADER_SIZE) % size)
		return error_set(err, -EUCLEAN, "%s of job %" PRId64 " is damaged", reader->name,
				 reader->job);
	reader->count = (reader->bytes.size - RECORD_HEADER_SIZE) / size;
	return 0;
}

static int load_window(struct rows_reader *reader, int64_t index, struct error *err)
{
	size_t size = record_size(reader->kind);
	bool is_next = index == reader->window_first + reader->window_count;
	int64_t count = (int64_t)((is_next ? WINDOW : WINDOW_OF_A_JUMP) / size);
	int64_t got;

	if (!reader->window)
		reader->window = xmalloc(WINDOW);
	if (count > reader->count - index)
		count = reader->count - index;
	reader->window_count = 0;
	got = vault_read(&reader->bytes, RECORD_HEADER_SIZE + index * (int64_t)size, reader->window,
			 (size_t)count * size);
	if (got >= 0 && got < count * (int64_t)size)
		got = -EUCLEAN;
	if (got < 0)
		return error_set(err, (int)got,
				 "cannot read %s of job %" PRId64 " at record %" PRId64 ": %s",
				 reader->name, reader->job, index, error_name((int)got));
	reader->window_first = index;
	reader->window_count = count;
	return 0;
}

char *rows_members_name(int64_t shard_number)
{
	return xasprintf("shard-%" PRId64 ".rows", shard_number);
}

char *rows_done_name(int64_t shard_number)
{
	return xasprintf("shard-%" PRId64 ".done", shard_number);
}

char *rows_download_name(int64_t shard_number, const char *suffix)
{
	return xasprintf("shard-%" PRId64 ".%s", shard_number, suffix);
}

void rows_writer_init(struct rows_writer *writer, struct vault *vault, enum record_kind kind)
{
	uint8_t header[RECORD_HEADER_SIZE];

	*writer = (struct rows_writer){
		.kind = kind,
		.writer = vault_writer_new(vault, VAULT_RECORD_LIMIT),
	};
	record_header(kind, header);
	buffer_add(&writer->pending, header, sizeof(header));
}

int rows_write(struct rows_writer *writer, const void *record, struct error *err)
{
	size_t size = record_size(writer->kind);
	int r = 0;

	if (writer->pending.size + size > PENDING)
		r = flush(writer, err);
	if (r)
		return r;
	buffer_add(&writer->pending, record, size);
	record_seal(writer->kind, writer->pending.data + writer->pending.size - size);
	writer->count++;
	return 0;
}

int rows_writer_keep(struct rows_writer *writer, int64_t job, const char *name, struct error *err)
{
	int r = flush(writer, err);

	if (!r)
		r = vault_keep_record(take(writer->writer), job, name, err);
	rows_writer_release(writer);
	return r;
}

void rows_writer_release(struct rows_writer *writer)
{
	vault_writer_free(writer->writer);
	buffer_release(&writer->pending);
	*writer = (struct rows_writer){0};
}

int rows_copy(struct vault *vault, int64_t job, const char *from, const char *to, struct error *err)
{
	auto_vault_reader reader = VAULT_READER_NONE;
	auto_free char *bytes = xmalloc(WINDOW);
	struct vault_writer *writer;
	int64_t got = 0;
	int r = vault_open_record(vault, job, from, &reader, err);

	if (r)
		return r;
	writer = vault_writer_new(vault, VAULT_RECORD_LIMIT);
	for (int64_t at = 0; !r && at < reader.size; at += got) {
		got = vault_read(&reader, at, bytes, WINDOW);
		if (got > 0)
			r = vault_write(writer, bytes, (size_t)got, err);
		else
			r = error_set(err, got ? (int)got : -EUCLEAN,
				      "cannot read %s of job %" PRId64, from, job);
	}
	if (!r)
		return vault_keep_record(writer, job, to, err);
	vault_writer_free(writer);
	return r;
}

int rows_open(struct rows_reader *reader, struct vault *vault, int64_t job, const char *name,
	      enum record_kind kind, struct error *err)
{
	int r;

	*reader = (struct rows_reader){
		.kind = kind,
		.job = job,
		.name = xstrdup(name),
		.bytes = VAULT_READER_NONE,
	};
	r = check_file(reader, vault, err);
	if (r)
		rows_release(reader);
	return r;
}

int rows_read(struct rows_reader *reader, int64_t index, void *ret_record, struct error *err)
{
	size_t size = record_size(reader->kind);
	const uint8_t *record;
	int r = 0;

	if (index < 0 || index >= reader->count)
		return error_set(err, -ERANGE, "%s of job %" PRId64 " has no record %" PRId64,
				 reader->name, reader->job, index);
	if (index < reader->window_first || index >= reader->window_first + reader->window_count)
		r = load_window(reader, index, err);
	if (r)
		return r;
	record = reader->window + (size_t)(index - reader->window_first) * size;
	if (record_verify(reader->kind, record))
		return error_set(err, -EUCLEAN,
				 "%s of job %" PRId64 " is damaged at record %" PRId64,
				 reader->name, reader->job, index);
	memcpy(ret_record, record, size);
	return 0;
}

int rows_read_member(struct rows_reader *members, int64_t index, struct rows_reader *rows,
		     struct record_member *ret_member, struct record_row *ret_row, struct error *err)
{
	int r = rows_read(members, index, ret_member, err);

	if (!r)
		r = rows_read(rows, ret_member->row, ret_row, err);
	/* A member of which there is no row is damage, not a mistake in asking. */
	if (r == -ERANGE && index < members->count)
		return error_set(err, -EUCLEAN, "%s of job %" PRId64 " names row %" PRIu32 ", which the job has not",
				 members->name, members->job, ret_member->row);
	return r;
}

int rows_damaged_line(const struct record_row *row, int64_t number, struct error *err)
{
	return error_set(err, -EUCLEAN,
			 "the input is damaged: request %" PRId64 ", at byte %" PRIu64
			 ", is not what it was when it was validated",
			 number + 1, row->offset);
}

int rows_test_line(const struct vault_reader *input, const struct record_row *row, int64_t number, struct error *err)
{
	uint64_t digest = 0;
	int r = row->line_check ? lines_digest(input, (int64_t)row->offset, row->length, &digest) : 0;

	if (r && r != -EUCLEAN)
		return error_set(err, r, "cannot read the input at byte %" PRIu64 ": %s", row->offset, error_name(r));
	return r || !record_row_fits(row, digest) ? rows_damaged_line(row, number, err) : 0;
}

void rows_release(struct rows_reader *reader)
{
	/* Kind 0 is that of no file: then the descriptor is 0 because nobody set it. */
	if (reader->kind)
		vault_reader_release(&reader->bytes);
	free(reader->window);
	free(reader->name);
	*reader = (struct rows_reader){.bytes = VAULT_READER_NONE};
}
