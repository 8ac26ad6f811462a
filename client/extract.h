/*
 * The texts of answers, out of the lines of successes that batchd gives: the text of each, and a
 * newline. An answer without a body has an empty text, so that there are as many as answers.
 */
#ifndef BATCHD_CLIENT_EXTRACT_H
#define BATCHD_CLIENT_EXTRACT_H

#include <stddef.h>

#include "daemon/base/cleanup.h"

struct error;
struct extract;
struct sink;

#define EXTRACT_MAX_LINE ((size_t)80 << 20) /* bytes; batchd keeps no answer as long */

/* sink must outlive it. */
struct extract *extract_new(struct sink *sink);

/* A new try begins: its first byte is the first of all. */
void extract_restart(struct extract *extract);

/*
 * The next bytes. Errors of sink_write, -EBADMSG for a line that is no answer, -EMSGSIZE for one
 * that is too long.
 */
int extract_write(struct extract *extract, const char *bytes, size_t size);

/* What extract_write failed with, in words; 0 when it has not, or the sink has. */
int extract_problem(const struct extract *extract, struct error *err);

/* The bytes are whole. -EBADMSG when the last line is not. */
int extract_finish(struct extract *extract, struct error *err);

/* NULL is fine. */
void extract_free(struct extract *extract);
DEFINE_CLEANUP(struct extract *, extract_free)

#endif
