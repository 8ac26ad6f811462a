/* Any bytes: the scanner reads nothing beyond them, and what it takes json-c takes too. */
#include <assert.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/model/scan.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool json_c_accepts(const char *text, size_t size)
{
	struct json_tokener *tokener = json_tokener_new_ex(SCAN_MAX_DEPTH + 1);
	struct json_object *object;
	bool is_accepted;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, text, (int)size);
	if (json_tokener_get_error(tokener) == json_tokener_continue)
		object = json_tokener_parse_ex(tokener, "", 1);
	is_accepted = json_tokener_get_error(tokener) == json_tokener_success;
	json_object_put(object);
	json_tokener_free(tokener);
	return is_accepted;
}

static void check_string(const char *bytes, struct scan_span span)
{
	auto_free char *decoded = xmalloc(span.size);
	size_t size = scan_decode(bytes, span, decoded);
	auto_free char *text = xmemdup0(decoded, size);

	assert(size <= span.size);
	assert(scan_text_equal(bytes, span, bytes, span));
	assert(scan_text_is(bytes, span, text) == (strlen(text) == size));
}

/* Pulls the bytes apart value by value, as callers do, two levels deep. */
static int pull(struct scan *scan)
{
	struct scan_span name, span;
	enum scan_kind kind;
	int is_there;

	if (scan_peek(scan, &kind))
		return -1;
	if (kind != SCAN_OBJECT) {
		if (scan_value(scan, &kind, &span))
			return -1;
		assert(span.at + span.size <= scan->size);
		if (kind == SCAN_STRING)
			check_string(scan->bytes, span);
		return scan_end(scan);
	}
	if (scan_enter_object(scan))
		return -1;
	while ((is_there = scan_next_member(scan, &name)) > 0) {
		check_string(scan->bytes, name);
		if (scan_value(scan, &kind, &span))
			return -1;
		assert(span.at >= name.at + name.size + 2 && span.at + span.size <= scan->at);
	}
	return is_there ? is_there : scan_end(scan);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const char *bytes = (const char *)data;
	struct scan scan, pulled, tolerant;
	int result;

	scan_init(&scan, bytes, size);
	result = scan_value(&scan, NULL, NULL) ? -1 : scan_end(&scan);
	assert((result == 0) == (scan.problem == NULL) && scan.at <= size);
	assert(result || json_c_accepts(bytes, size));
	scan_init(&pulled, bytes, size);
	assert((pull(&pulled) == 0) == (result == 0));
	assert(pulled.at == scan.at && pulled.problem == scan.problem);
	scan_init(&tolerant, bytes, size);
	tolerant.is_surrogate_tolerant = true;
	assert(pull(&tolerant) == 0 || result);
	return 0;
}
