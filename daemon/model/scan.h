/*
 * A strict JSON scanner over bytes (RFC 8259, UTF-8 by RFC 3629): it checks everything it passes
 * and builds nothing, no tree and no allocation. It reads what grows with the input: request
 * lines and answer lines. It is pulled: the caller enters an object, asks for member after
 * member, and either takes a value's span or enters it.
 *
 * Strict means: no byte order mark, no lone surrogate in \u escapes, no raw control character in a string, no
 * NUL, no leading zero, no trailing comma, no second value; nesting deeper than SCAN_MAX_DEPTH is refused.
 */
#ifndef BATCHD_MODEL_SCAN_H
#define BATCHD_MODEL_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SCAN_MAX_DEPTH 1024

enum scan_kind { SCAN_OBJECT, SCAN_ARRAY, SCAN_STRING, SCAN_NUMBER, SCAN_TRUE, SCAN_FALSE, SCAN_NULL };

/* A place in the bytes. Of a string: what stands between the quotes, still escaped. */
struct scan_span {
	size_t at;
	size_t size;
};

struct scan {
	const char *bytes;
	size_t size;
	size_t at;	     /* next byte; where the problem is, after an error */
	const char *problem; /* NULL, or what is wrong, as part of a sentence: "a control character in a string" */
	unsigned depth;	     /* how many containers were entered and not left */
	bool is_first;	     /* no member or element of the current container was seen yet */
	/*
	 * Set by the caller after scan_init: \u escapes may be half of a surrogate pair. A model that is cut off in
	 * an emoji makes them, and such an answer is paid for all the same. Decoded they are U+FFFD.
	 */
	bool is_surrogate_tolerant;
};

/* Starts at the first byte. bytes need not be terminated and must outlive the scan. */
void scan_init(struct scan *scan, const char *bytes, size_t size);

/*
 * The kind of the next value, by its first byte, without passing it. Returns 0, or -EBADMSG
 * (scan->problem says why) when no value begins here. So do all functions below, and all of them
 * go on doing so once there was a problem.
 */
int scan_peek(struct scan *scan, enum scan_kind *ret_kind);

/* Passes and checks one whole value of any kind. ret_kind and ret_span may be NULL. */
int scan_value(struct scan *scan, enum scan_kind *ret_kind, struct scan_span *ret_span);

/* Passes "{" (or "["); -EBADMSG when the next value is not an object (array). */
int scan_enter_object(struct scan *scan);
int scan_enter_array(struct scan *scan);

/* 1: the name of the next member, its value comes next; 0: the object ended; or an error. */
int scan_next_member(struct scan *scan, struct scan_span *ret_name);
/* 1: an element comes next; 0: the array ended; or an error. */
int scan_next_element(struct scan *scan);

/* Checks that only white space is left. */
int scan_end(struct scan *scan);

/* Whether the string in span, decoded, is exactly text (escapes compare equal to what they mean). */
bool scan_text_is(const char *bytes, struct scan_span span, const char *text);

/* Whether two strings of possibly different escaping mean the same. */
bool scan_text_equal(const char *a_bytes, struct scan_span a, const char *b_bytes, struct scan_span b);

/*
 * Decodes a checked string into out, which has room for span.size bytes (decoding never grows).
 * Returns the length; not terminated; may hold NUL for \u0000.
 */
size_t scan_decode(const char *bytes, struct scan_span span, char *out);

/* The number in span as an int64; -ERANGE when it is no integer or does not fit ("12.0" and "1e3" are refused). */
int scan_integer(const char *bytes, struct scan_span span, int64_t *ret_number);

#endif
