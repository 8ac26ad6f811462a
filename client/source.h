/*
 * The lines of an input, packed or not: what batchd will see of it, without sending it. Memory is
 * that of the longest line that a request may have, however far a packed input expands.
 */
#ifndef BATCHD_CLIENT_SOURCE_H
#define BATCHD_CLIENT_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/cleanup.h"

struct error;
struct input;
struct source;

/* A line ends with a newline or with the input; one carriage return before it belongs to the end.
 */
struct source_line {
	const char *bytes; /* until the next call; not terminated */
	size_t size;
	int64_t number;   /* from 1 */
	bool is_too_long; /* above REQUEST_MAX_LINE; then bytes and size mean nothing */
};

/* From the start of the input, or, where it can be read once alone, from where it stands. input
 * must outlive it. */
struct source *source_new(const struct input *input);
/* NULL is fine. */
void source_free(struct source *source);
DEFINE_CLEANUP(struct source *, source_free)

/*
 * 1: the next line; 0: there is none; -errno: the input cannot be read; -EBADMSG: it is packed, and
 * damaged or cut; -EINTR: a signal that was caught. An input of no bytes has no line.
 */
int source_next(struct source *source, struct source_line *ret_line, struct error *err);

/* The Content-Encoding that the first bytes tell, NULL for plain text. Of what cannot be read it is
 * NULL. */
const char *source_packing(struct source *source);

/* Plain bytes so far; after the end, all of them. */
int64_t source_bytes(const struct source *source);

#endif
