/*
 * Any bytes, read by three: the scanner, json-c, and a grammar that decides where those two differ.
 * The scanner takes exactly what the grammar takes, finds the same values at the same places
 * whether it passes or enters them, and decodes what json-c decodes. json-c takes all that is JSON,
 * and beyond it what its list of differences has.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/fuzz/grammar.h"
#include "tests/fuzz/peer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LONGEST_TREE 65536 /* bytes; looking for repeated names takes the square of them */

static void check_string(const char *bytes, struct scan_span span)
{
	auto_free char *decoded = xmalloc(span.size);
	size_t size = scan_decode(bytes, span, decoded);
	auto_free char *text = xmemdup0(decoded, size);

	assert(bytes[span.at - 1] == '"' && bytes[span.at + span.size] == '"');
	assert(size <= span.size);
	assert(scan_text_equal(bytes, span, bytes, span));
	assert(scan_text_is(bytes, span, text) == (strlen(text) == size));
}

/*
 * Enters whatever can be entered; of values is each that it found, behind those that it holds, the
 * next that the grammar found. NULL: nothing is known of them. It calls itself as deep as the
 * scanner lets it.
 */
static int pull(struct scan *scan, const struct grammar_value **values)
{
	struct scan_span name, span;
	struct scan passed = *scan;
	enum scan_kind kind;

	if (scan_peek(scan, &kind))
		return -1;
	if (kind == SCAN_OBJECT) {
		(void)scan_enter_object(scan);
		while (scan_next_member(scan, &name) > 0) {
			check_string(scan->bytes, name);
			if (pull(scan, values))
				return -1;
		}
	} else if (kind == SCAN_ARRAY) {
		(void)scan_enter_array(scan);
		while (scan_next_element(scan) > 0)
			if (pull(scan, values))
				return -1;
	} else if (scan_value(scan, NULL, &span) == 0 && kind == SCAN_STRING) {
		check_string(scan->bytes, span);
	}
	if (scan->problem)
		return -1;
	if (!*values)
		return 0;
	/* Passed as a whole it ends at the same place. */
	assert((*values)->kind == kind);
	if (kind != SCAN_OBJECT && kind != SCAN_ARRAY)
		assert(scan_value(&passed, NULL, &span) == 0 && passed.at == scan->at &&
		       span.at == (*values)->span.at && span.size == (*values)->span.size);
	else
		assert((*values)->span.at + (*values)->span.size == scan->at);
	++*values;
	return 0;
}

/* Returns whether the scanner takes the bytes. */
static bool check_scanner(const char *bytes, size_t size, bool is_tolerant)
{
	unsigned borne = is_tolerant ? GRAMMAR_BEARS_SURROGATES : GRAMMAR_STRICT;
	const struct grammar_value *values = NULL;
	struct scan scan, pulled;
	struct scan_span span;
	struct grammar grammar;
	enum scan_kind kind;
	bool is_json = grammar_read(&grammar, bytes, size, borne, SCAN_MAX_DEPTH);
	bool is_taken;

	scan_init(&scan, bytes, size);
	scan.is_surrogate_tolerant = is_tolerant;
	is_taken = scan_value(&scan, &kind, &span) == 0 && scan_end(&scan) == 0;
	assert(is_taken == is_json);
	assert(is_taken == (scan.problem == NULL) && scan.at <= size);
	if (is_taken) {
		values = grammar.values;
		assert(kind == values[grammar.count - 1].kind);
		assert(span.at == values[grammar.count - 1].span.at &&
		       span.size == values[grammar.count - 1].span.size);
	}
	scan_init(&pulled, bytes, size);
	pulled.is_surrogate_tolerant = is_tolerant;
	assert((pull(&pulled, &values) == 0 && scan_end(&pulled) == 0) == is_taken);
	assert(pulled.at == scan.at && pulled.problem == scan.problem);
	assert(!is_taken || values == grammar.values + grammar.count);
	grammar_release(&grammar);
	return is_taken;
}

static void check_peer(const char *bytes, size_t size, bool is_taken, bool is_tolerated)
{
	struct json_object *object;
	struct grammar grammar;
	struct scan scan;
	bool is_theirs = peer_read(bytes, size, &object);

	assert(is_theirs || !is_taken);
	if (is_theirs && !is_taken) {
		assert(grammar_read(&grammar, bytes, size, GRAMMAR_BEARS_ALL, PEER_DEPTH));
		grammar_release(&grammar);
	}
	if (is_theirs && is_tolerated && size <= LONGEST_TREE &&
	    peer_decodes(bytes, size, !is_taken)) {
		scan_init(&scan, bytes, size);
		scan.is_surrogate_tolerant = true;
		assert(peer_agrees(&scan, object));
	}
	json_object_put(object);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	bool is_taken = check_scanner(bytes, size, false);
	bool is_tolerated = check_scanner(bytes, size, true);

	assert(is_tolerated || !is_taken);
	check_peer(bytes, size, is_taken, is_tolerated);
	return 0;
}
