/*
 * A file to be sent or checked, or standard input. What cannot be read twice (a pipe, a terminal's
 * end) is first copied to an unnamed temporary file in $TMPDIR or /var/tmp: its size is then known
 * before the first byte is sent, a slow producer cannot run into a time-out, and a send can be
 * repeated.
 */
#ifndef BATCHD_CLIENT_INPUT_H
#define BATCHD_CLIENT_INPUT_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/cleanup.h"

struct error;

struct input {
	int fd; /* a regular file */
	int64_t start;
	int64_t size;
	const char *name;      /* as people know it: the path, or "stdin"; borrowed */
	const char *file_name; /* the last part of the path; NULL for standard input; borrowed */
};

/*
 * Opens path, "-" for standard input, from where it stands. spools: copy what cannot be read twice;
 * without it such a file is opened as it is, with size -1. Returns 0 or -errno; -EISDIR for a
 * folder, -ENOTTY when standard input is a terminal.
 */
int input_open(const char *path, bool spools, struct input *ret_input, struct error *err);

/* An unnamed temporary file where copies go; -errno when there is no room for one. */
int input_spool_open(struct error *err);

void input_close(struct input *input);

#define auto_input __attribute__((cleanup(input_close))) struct input

#endif
