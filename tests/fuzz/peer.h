/*
 * json-c as the scanner's peer: what it says of the same bytes, told to be as strict as it can be,
 * and where it is known to differ, with the rule that decides.
 */
#ifndef BATCHD_TESTS_FUZZ_PEER_H
#define BATCHD_TESTS_FUZZ_PEER_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>

#include "tests/fuzz/grammar.h"

/* A class of texts that json-c takes although they are not JSON. */
struct peer_difference {
	enum grammar_leniency leniency;
	const char *text; /* one of the class, which the others are not needed for */
	const char *rule; /* why it is refused */
};

/* Every class there is, and behind the last a row without a text. No fuzzer has found another. */
extern const struct peer_difference peer_differences[];

/* How much deeper json-c is let than the scanner, so that it is never the depth that it refuses. */
#define PEER_DEPTH (SCAN_MAX_DEPTH + 16)

/* Whether json-c takes all of the bytes as one text. The object, which may be NULL for null, is the
 * caller's to put. */
bool peer_read(const char *bytes, size_t size, struct json_object **ret_object);

/*
 * Whether json-c can be held to what it decodes. An escaped U+0000 ends a member's name for it. A
 * pair that means U+1D800 to U+1DBFF, or the same of another plane, is for it a half that goes with
 * the next one; only where there are halves alone does that show, in texts that the scanner bears
 * when told to.
 */
bool peer_decodes(const char *bytes, size_t size, bool has_halves);

/*
 * Whether the scanner finds in a text what json-c found: kinds, strings decoded, numbers, elements,
 * members. scan stands before the value. Of members of one name json-c keeps the last.
 */
bool peer_agrees(struct scan *scan, struct json_object *object);

#endif
