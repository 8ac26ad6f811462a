/*
 * What is wrong with an input: all of it is counted, and the first PROTOCOL_MAX_ERRORS by line are
 * kept to be told.
 */
#ifndef BATCHD_WORK_FLAWS_H
#define BATCHD_WORK_FLAWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct flaw;

struct flaws {
	int64_t count; /* of all */
	struct flaw *kept;
	size_t kept_count;
	size_t capacity;
};

/* Whether a flaw of this line would be kept. Where it is not, flaws_add needs no message. */
bool flaws_wants(const struct flaws *flaws, int64_t line);
/*
 * Counts one, in any order of lines; line 0 is the file itself. code and param are constants, param
 * may be NULL; message is UTF-8 of size bytes and is copied.
 */
void flaws_add(struct flaws *flaws, int64_t line, const char *code, const char *param,
	       const char *message, size_t size);
/* The kept ones as an array of {"code","message","param","line"}, by line; the caller frees. */
char *flaws_json(const struct flaws *flaws);
void flaws_release(struct flaws *flaws);

#endif
