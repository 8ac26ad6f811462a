#include "tests/fuzz/peer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

/* clang-format off */
const struct peer_difference peer_differences[] = {
	{ GRAMMAR_BEARS_SURROGATES, "\"\\ud83d\"",
	  "RFC 8259, 8.2 calls what follows unpredictable; RFC 7493 (I-JSON), 2.1 forbids them" },
	{ GRAMMAR_BEARS_CONTROLS, "\"a\tb\"",
	  "RFC 8259, 7: unescaped is %x20-21 / %x23-5B / %x5D-10FFFF" },
	{ GRAMMAR_BEARS_WRONG_UTF8, "\"\xed\xa0\x80\"",
	  "RFC 8259, 8.1: texts are UTF-8; RFC 3629, 4 has no overlong form, no surrogate, nothing past U+10FFFF" },
	{ GRAMMAR_BEARS_LEADING_ZEROS, "[-01]",
	  "RFC 8259, 6: int is zero / ( digit1-9 *DIGIT ); leading zeros are not allowed" },
	{ GRAMMAR_BEARS_MISSING_DIGITS, "[1.]",
	  "RFC 8259, 6: frac is decimal-point 1*DIGIT, and int is never empty" },
	{ GRAMMAR_BEARS_NO_NUMBERS, "[NaN]",
	  "RFC 8259, 6: Infinity and NaN are not permitted" },
	{ GRAMMAR_BEARS_SINGLE_QUOTES, "{'a':1}",
	  "RFC 8259, 7: quotation-mark is %x22" },
	{ 0 },
};
/* clang-format on */

/* Whether a character of four bytes has the lower 16 bits of a surrogate: json-c 0.16 looks at those
 * alone where it was a pair, and takes it for a half. */
static bool is_misread_pair(const char *bytes)
{
	return ((unsigned char)bytes[0] & 0xf8) == 0xf0 &&
	       ((unsigned char)bytes[1] & 0x0f) == 0x0d && ((unsigned char)bytes[2] & 0x20);
}

/*
 * Whether a string, decoded, is what json-c made of it. A pair that means U+1D800 to U+1DFFF, or
 * the same of another plane, json-c makes U+FFFD, as if it were a half; RFC 8259, 7 says that such
 * a pair is that character.
 */
static bool is_string_of(const char *bytes, struct scan_span span, const char *text, size_t size)
{
	auto_free char *decoded = xmalloc(span.size);
	size_t decoded_size = scan_decode(bytes, span, decoded);
	size_t at = 0, text_at = 0;

	while (at < decoded_size && text_at < size) {
		if (decoded[at] == text[text_at]) {
			at++;
			text_at++;
		} else if (decoded_size - at >= 4 && is_misread_pair(decoded + at) &&
			   size - text_at >= 3 && memcmp(text + text_at, "\xef\xbf\xbd", 3) == 0) {
			at += 4;
			text_at += 3;
		} else {
			return false;
		}
	}
	return at == decoded_size && text_at == size;
}

/* An integer that fits is the same one; of any other number the nearest double is. */
static bool is_number_of(const char *bytes, struct scan_span span, struct json_object *object)
{
	auto_free char *text = xmemdup0(bytes + span.at, span.size);
	int64_t number;

	if (scan_integer(bytes, span, &number) == 0)
		return json_object_is_type(object, json_type_int) &&
		       json_object_get_int64(object) == number;
	if (json_object_is_type(object, json_type_double)) {
		double theirs = json_object_get_double(object);
		double ours = strtod(text, NULL);

		return memcmp(&ours, &theirs, sizeof(ours)) == 0;
	}
	/* json-c holds an integer beyond int64 as the nearest that it has. */
	return json_object_is_type(object, json_type_int) && !strpbrk(text, ".eE");
}

static bool agree_on_elements(struct scan *scan, struct json_object *object)
{
	size_t count = 0;
	int is_there;

	if (!json_object_is_type(object, json_type_array) || scan_enter_array(scan))
		return false;
	while ((is_there = scan_next_element(scan)) > 0) {
		if (count == json_object_array_length(object) ||
		    !peer_agrees(scan, json_object_array_get_idx(object, count++)))
			return false;
	}
	return !is_there && count == json_object_array_length(object);
}

/* Whether the rest of an object, which scan is a copy of, has another member of this name. */
static bool comes_again(struct scan scan, struct scan_span name)
{
	struct scan_span other;

	while (scan_next_member(&scan, &other) > 0) {
		if (scan_text_equal(scan.bytes, name, scan.bytes, other))
			return true;
		if (scan_value(&scan, NULL, NULL))
			return false;
	}
	return false;
}

static bool agree_on_member(struct scan *scan, struct scan_span name, struct json_object *object)
{
	auto_free char *decoded = xmalloc(name.size + 1);
	size_t size = scan_decode(scan->bytes, name, decoded);
	struct json_object *member = NULL;
	struct scan rest = *scan;

	decoded[size] = '\0';
	if (scan_value(&rest, NULL, NULL))
		return false;
	if (comes_again(rest, name)) {
		*scan = rest;
		return true;
	}
	return json_object_object_get_ex(object, decoded, &member) && peer_agrees(scan, member);
}

static bool agree_on_members(struct scan *scan, struct json_object *object)
{
	struct scan_span name;
	int is_there;

	if (!json_object_is_type(object, json_type_object) || scan_enter_object(scan))
		return false;
	while ((is_there = scan_next_member(scan, &name)) > 0)
		if (!agree_on_member(scan, name, object))
			return false;
	return !is_there;
}

/* Whether an escape, its backslash and all, is the first half of such a pair. */
static bool is_misread_half(const char *escape)
{
	return escape[0] == '\\' && escape[1] == 'u' && (escape[2] | 0x20) == 'd' &&
	       strchr("89abAB", escape[3]) && strchr("37bfBF", escape[4]) && escape[5] == '6';
}

bool peer_read(const char *bytes, size_t size, struct json_object **ret_object)
{
	struct json_tokener *tokener = json_tokener_new_ex(PEER_DEPTH);
	struct json_object *object;
	size_t end;
	bool is_accepted;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	object = json_tokener_parse_ex(tokener, bytes, (int)size);
	end = json_tokener_get_parse_end(tokener);
	/* A bare number may go on, so json-c waits for more until a NUL. */
	if (json_tokener_get_error(tokener) == json_tokener_continue) {
		object = json_tokener_parse_ex(tokener, "", 1);
		end = size;
	}
	/* A NUL of the text's own ends it for json-c, whatever comes behind. */
	is_accepted = json_tokener_get_error(tokener) == json_tokener_success && end == size;
	json_tokener_free(tokener);
	if (!is_accepted) {
		json_object_put(object);
		object = NULL;
	}
	*ret_object = object;
	return is_accepted;
}

bool peer_decodes(const char *bytes, size_t size, bool has_halves)
{
	if (memmem(bytes, size, "\\u0000", 6))
		return false;
	for (size_t at = 0; has_halves && at + 6 <= size; at++)
		if (is_misread_half(bytes + at))
			return false;
	return true;
}

bool peer_agrees(struct scan *scan, struct json_object *object)
{
	struct scan_span span;
	enum scan_kind kind;

	if (scan_peek(scan, &kind))
		return false;
	if (kind == SCAN_OBJECT)
		return agree_on_members(scan, object);
	if (kind == SCAN_ARRAY)
		return agree_on_elements(scan, object);
	if (scan_value(scan, NULL, &span))
		return false;
	switch (kind) {
	case SCAN_STRING:
		return json_object_is_type(object, json_type_string) &&
		       is_string_of(scan->bytes, span, json_object_get_string(object),
				    (size_t)json_object_get_string_len(object));
	case SCAN_NUMBER:
		return is_number_of(scan->bytes, span, object);
	case SCAN_TRUE:
	case SCAN_FALSE:
		return json_object_is_type(object, json_type_boolean) &&
		       json_object_get_boolean(object) == (kind == SCAN_TRUE);
	case SCAN_NULL:
	case SCAN_OBJECT:
	case SCAN_ARRAY:
		break;
	}
	return kind == SCAN_NULL && !object;
}
