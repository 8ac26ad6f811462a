/*
 * A job's record files (model/record) over the vault: written one record after the other, read by
 * number through a small window, every record checked as it is read; and the test of the lines that
 * they are about.
 */
#ifndef BATCHD_WORK_ROWS_H
#define BATCHD_WORK_ROWS_H

#include <stdint.h>

#include "daemon/base/buffer.h"
#include "daemon/io/vault.h"
#include "daemon/model/record.h"

struct error;

/* Names of a job's records. The caller frees the last three: shard-N.rows, shard-N.done, shard-N.out (or .err, .batch). */
#define ROWS_NAME "rows"
#define ROWS_ERRORS_NAME "errors" /* the refused lines, a JSON array */
char *rows_members_name(int64_t shard_number);
char *rows_done_name(int64_t shard_number);
char *rows_download_name(int64_t shard_number, const char *suffix);

struct rows_writer {
	enum record_kind kind;
	struct vault_writer *writer;
	struct buffer pending; /* records that did not go to writer yet */
	int64_t count;
};

/* Begins a record file. rows_writer_keep, or rows_writer_release for what is not kept. */
void rows_writer_init(struct rows_writer *writer, struct vault *vault, enum record_kind kind);
/* Seals a copy of record (its check is ignored) and appends it. */
int rows_write(struct rows_writer *writer, const void *record, struct error *err);
/* Keeps it as the job's record called name. */
int rows_writer_keep(struct rows_writer *writer, int64_t job, const char *name, struct error *err);
/* Drops what was not kept; a zeroed struct is fine. */
void rows_writer_release(struct rows_writer *writer);
#define auto_rows_writer __attribute__((cleanup(rows_writer_release))) struct rows_writer

/* Keeps a copy of a job's record file (of at most one shard's size) under another name. */
int rows_copy(struct vault *vault, int64_t job, const char *from, const char *to, struct error *err);

struct rows_reader {
	enum record_kind kind;
	int64_t job;
	char *name;
	struct vault_reader bytes;
	int64_t count;
	int64_t window_first; /* number of the first record in the window */
	int64_t window_count;
	uint8_t *window;
};

/* Opens a job's record file. -EUCLEAN when it is damaged, -ENOENT when it is not there. */
int rows_open(struct rows_reader *reader, struct vault *vault, int64_t job, const char *name,
	      enum record_kind kind, struct error *err);
/* Copies record number index (from 0) to ret_record. -ERANGE beyond the end, -EUCLEAN when its check fails. */
int rows_read(struct rows_reader *reader, int64_t index, void *ret_record, struct error *err);
/* Copies a shard's member number index and its row of the job; a row that the job has not is damage too. */
int rows_read_member(struct rows_reader *members, int64_t index, struct rows_reader *rows,
		     struct record_member *ret_member, struct record_row *ret_row, struct error *err);
/*
 * Whether the line of a row, which is that of this number, still is what it was when its record was made; reads it
 * through. -EUCLEAN: it is not, or it is not there.
 */
int rows_test_line(const struct vault_reader *input, const struct record_row *row, int64_t number, struct error *err);
/* The sentence about a line that is not what it was; -EUCLEAN. */
int rows_damaged_line(const struct record_row *row, int64_t number, struct error *err);
/* Clears it; a zeroed struct is fine. */
void rows_release(struct rows_reader *reader);
#define auto_rows __attribute__((cleanup(rows_release))) struct rows_reader

#endif
