/*
 * A downloaded file, line by line, through a window that grows with the longest line. A line
 * ends with a newline or with the file; carriage returns before it belong to the end, not to the
 * line. Blank lines are passed over, and so is a byte order mark at the file's start.
 */
#ifndef BATCHD_WORK_LINES_H
#define BATCHD_WORK_LINES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/io/vault.h"

struct error;

#define LINES_MAX ((size_t)64 << 20) /* bytes of a line; the rest of a longer one is passed over  \
				       */

struct line {
	const char *bytes; /* until the next call; not terminated */
	size_t size;
	int64_t offset;   /* in the file */
	bool is_too_long; /* then nothing else is set */
};

struct lines {
	struct vault_reader reader;
	char *window;
	size_t capacity;
	size_t used;
	size_t taken;    /* bytes of lines that were returned */
	size_t searched; /* no newline stands between taken and here */
	int64_t offset;  /* of the window, in the file */
	bool is_at_end;  /* the file has no more bytes than the window */
	bool is_passing; /* what comes belongs to a line that was too long */
};

/* Takes the reader over. */
void lines_init(struct lines *lines, struct vault_reader *reader);
/* Reads on: after it, lines_next until it says false. 1: there is more to read; 0: the end was
 * read; or -errno. */
int lines_fill(struct lines *lines, struct error *err);
/* The next line that is whole; false when there is none in the window. */
bool lines_next(struct lines *lines, struct line *ret_line);
void lines_release(struct lines *lines);

/*
 * hash_digest of size bytes at offset, read in pieces, for a line may be long. 0, or -errno (-EUCLEAN: they are not all
 * there).
 */
int lines_digest(const struct vault_reader *reader, int64_t offset, size_t size, uint64_t *ret_digest);

#endif
