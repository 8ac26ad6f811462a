/*
 * An error that people will read: a negative errno for the caller to act on, and a sentence
 * that names the thing and the place. Functions that can fail for a reason worth telling take
 * a struct error * as their last parameter; NULL means that nobody wants to know.
 */
#ifndef BATCHD_BASE_ERROR_H
#define BATCHD_BASE_ERROR_H

#include <stdarg.h>

struct error {
	int code;	/* negative errno; 0: no error was set */
	char text[512]; /* one sentence, lower case, no full stop; cut when longer, never in mid-character */
};

/*
 * Fills *err (unless it is NULL) and returns code, so that a refusal is one statement:
 *	return error_set(err, -EINVAL, "line %zu: not an object", line);
 */
int error_set(struct error *err, int code, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Puts "format: " in front of the sentence that *err holds; the code stays. Returns the code. */
int error_prefix(struct error *err, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The sentence for a negative or positive errno, by strerrordesc_np; a constant string. */
const char *error_name(int code);

#endif
