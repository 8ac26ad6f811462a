/*
 * A second opinion on what JSON is: the grammar of RFC 8259, rule by rule, a function for each, in
 * the plainest code that can be had. It judges between the scanner under test and json-c where the
 * two differ, so it shares not a line with either. It can be told to bear what json-c bears: each
 * such leniency is a bit, so that every difference has a name.
 */
#ifndef BATCHD_TESTS_FUZZ_GRAMMAR_H
#define BATCHD_TESTS_FUZZ_GRAMMAR_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/model/scan.h"

enum grammar_leniency {
	GRAMMAR_STRICT = 0,
	GRAMMAR_BEARS_SURROGATES = 1 << 0, /* halves of pairs in \u escapes */
	GRAMMAR_BEARS_CONTROLS = 1 << 1,   /* U+0001 to U+001F in strings, as they are */
	GRAMMAR_BEARS_WRONG_UTF8 =
		1 << 2, /* the right number of bytes for any character, real or not */
	GRAMMAR_BEARS_LEADING_ZEROS = 1 << 3,  /* 01 */
	GRAMMAR_BEARS_MISSING_DIGITS = 1 << 4, /* 1. and -.5: one side of the point may be empty */
	GRAMMAR_BEARS_NO_NUMBERS = 1 << 5,     /* NaN, Infinity, -Infinity */
	GRAMMAR_BEARS_SINGLE_QUOTES = 1 << 6,  /* around a member's name */
	GRAMMAR_BEARS_ALL = (1 << 7) - 1,
};

/* A value that was read. The span is as the scanner's: of a string, what stands between the quotes.
 */
struct grammar_value {
	enum scan_kind kind;
	struct scan_span span;
};

struct grammar {
	const unsigned char *bytes;
	size_t size;
	size_t at;
	unsigned borne; /* what it bears, of enum grammar_leniency */
	unsigned depth;
	unsigned deepest; /* RFC 8259, 9: "An implementation may set limits on the maximum depth of
			     nesting." */
	struct grammar_value *values; /* each behind those that it holds */
	size_t count;
	size_t capacity;
};

/* Whether the bytes are one JSON text. To be released in any case. */
bool grammar_read(struct grammar *grammar, const char *bytes, size_t size, unsigned borne,
		  unsigned deepest);
void grammar_release(struct grammar *grammar);

#endif
