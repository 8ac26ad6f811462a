/*
 * The lines of an input file, through a window that fits a processor's cache. Only a line that is
 * longer than the window makes it grow, and only once it is known that the line is not too long.
 */
#ifndef BATCHD_WORK_INPUT_H
#define BATCHD_WORK_INPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/io/vault.h"

#define INPUT_STEP ((size_t)256 << 10) /* bytes that are read in one call at most */

struct error;

/* A line ends with a newline or with the file; one carriage return before it belongs to the end. */
struct input_line {
	const char *bytes; /* until the next call; not terminated */
	size_t size;
	int64_t offset;   /* in the file */
	int64_t number;   /* from 1 */
	bool is_too_long; /* then bytes and size mean nothing */
};

struct input {
	struct vault_reader reader;
	size_t longest;
	char *window;
	size_t capacity;
	int64_t offset;  /* of the window, in the file */
	size_t start;    /* of the line that comes next */
	size_t searched; /* no newline stands between start and here */
	size_t filled;
	int64_t sought; /* 0, or how far the end of a long line was looked for, in the window's
			   place */
	int64_t lines;  /* that were returned */
};

enum input_news { INPUT_END, INPUT_LINE, INPUT_MORE };

/* Opens a file of the vault; longest: bytes of a line without its end. */
int input_open(struct input *input, struct vault *vault, int64_t file, size_t longest,
	       struct error *err);
/* The next line, or the end, or INPUT_MORE: bytes were read, call again; or -errno. */
int input_next(struct input *input, struct input_line *ret_line, struct error *err);
void input_release(struct input *input);

#endif
