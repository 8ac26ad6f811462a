#include "daemon/model/scan.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <string.h>

#include "daemon/model/scan_text.h"

/* clang-format off */
static const uint8_t kinds_by_byte[256] = { /* plus one; 0: no value begins so */
	['{'] = SCAN_OBJECT + 1, ['['] = SCAN_ARRAY + 1, ['"'] = SCAN_STRING + 1,
	['-'] = SCAN_NUMBER + 1, ['0' ... '9'] = SCAN_NUMBER + 1,
	['t'] = SCAN_TRUE + 1,   ['f'] = SCAN_FALSE + 1, ['n'] = SCAN_NULL + 1,
};
/* clang-format on */

static inline bool next_is(const struct scan *scan, char byte)
{
	return scan->at < scan->size && scan->bytes[scan->at] == byte;
}

/* Refuses the next byte, or its absence. */
static inline int refuse_or_end(struct scan *scan, const char *problem)
{
	return scan_refuse(scan, scan->at, scan->at < scan->size ? problem : SCAN_UNEXPECTED_END);
}

/* How many of the next eight bytes are digits, before the first that is none. */
static inline size_t leading_digits(const char *bytes)
{
	static const uint64_t each = UINT64_C(0x0101010101010101);
	uint64_t word, others;

	memcpy(&word, bytes, sizeof(word));
	word = le64toh(word) ^ each * '0';
	others = (((word & each * 0x7f) + each * (0x80 - 10)) | word) & each * 0x80;
	return others ? (size_t)__builtin_ctzll(others) / 8 : 8;
}

/* Passes digits, of which there must be one; eight at a time, for how many is hard to foresee. */
static inline int pass_digits(struct scan *scan)
{
	size_t start = scan->at;
	size_t at = start;
	size_t passed = 8;

	while (passed == 8 && scan->size - at >= 8)
		at += passed = leading_digits(scan->bytes + at);
	while (at < scan->size && scan->bytes[at] >= '0' && scan->bytes[at] <= '9')
		at++;
	scan->at = at;
	return at > start ? 0 : refuse_or_end(scan, "a number without digits");
}

static int pass_number(struct scan *scan)
{
	size_t start;

	if (next_is(scan, '-'))
		scan->at++;
	start = scan->at;
	if (pass_digits(scan))
		return -EBADMSG;
	if (scan->bytes[start] == '0' && scan->at > start + 1)
		return scan_refuse(scan, start, "a number with a leading zero");
	if (next_is(scan, '.')) {
		scan->at++;
		if (pass_digits(scan))
			return -EBADMSG;
	}
	if (next_is(scan, 'e') || next_is(scan, 'E')) {
		scan->at++;
		if (next_is(scan, '+') || next_is(scan, '-'))
			scan->at++;
		if (pass_digits(scan))
			return -EBADMSG;
	}
	return 0;
}

static int pass_word(struct scan *scan, const char *word)
{
	size_t size = strlen(word);
	size_t left = scan->size - scan->at;

	if (memcmp(scan->bytes + scan->at, word, left < size ? left : size) != 0)
		return scan_refuse(scan, scan->at, "a word that is not true, false or null");
	if (left < size)
		return scan_refuse(scan, scan->size, SCAN_UNEXPECTED_END);
	scan->at += size;
	return 0;
}

static inline void pass_space(struct scan *scan)
{
	size_t at = scan->at;

	while (at < scan->size && (scan->bytes[at] == ' ' || scan->bytes[at] == '\t' ||
				   scan->bytes[at] == '\n' || scan->bytes[at] == '\r'))
		at++;
	scan->at = at;
}

/* Says why no value begins here. */
static __attribute__((cold, noinline)) const char *lack_of_value(const struct scan *scan)
{
	if (scan->at == scan->size)
		return SCAN_UNEXPECTED_END;
	if (scan->at == 0 && scan->size >= 3 && memcmp(scan->bytes, "\xef\xbb\xbf", 3) == 0)
		return "a byte order mark";
	return "no value where one is due";
}

static inline int peek(struct scan *scan, enum scan_kind *ret_kind)
{
	uint8_t kind;

	if (scan->problem)
		return -EBADMSG;
	pass_space(scan);
	kind = scan->at < scan->size ? kinds_by_byte[(unsigned char)scan->bytes[scan->at]] : 0;
	if (!kind)
		return scan_refuse(scan, scan->at, lack_of_value(scan));
	*ret_kind = (enum scan_kind)(kind - 1);
	return 0;
}

/* Passes the bracket that opens a container. */
static inline int enter(struct scan *scan)
{
	if (scan->depth >= SCAN_MAX_DEPTH)
		return scan_refuse(scan, scan->at, "nesting that is too deep");
	scan->depth++;
	scan->at++;
	scan->is_first = true;
	return 0;
}

static inline int enter_expected(struct scan *scan, enum scan_kind expected, const char *problem)
{
	enum scan_kind kind;

	if (peek(scan, &kind))
		return -EBADMSG;
	return kind == expected ? enter(scan) : scan_refuse(scan, scan->at, problem);
}

/* 0 when the container ends here, 1 when something comes next; the comma before it is passed. */
static inline int pass_comma_or_end(struct scan *scan, char end)
{
	if (scan->problem)
		return -EBADMSG;
	assert(scan->depth > 0);
	pass_space(scan);
	if (next_is(scan, end)) {
		scan->at++;
		scan->depth--;
		scan->is_first = false;
		return 0;
	}
	if (!scan->is_first) {
		if (!next_is(scan, ','))
			return refuse_or_end(scan, "no comma where one is due");
		scan->at++;
		pass_space(scan);
	}
	scan->is_first = false;
	return 1;
}

static inline int next_member(struct scan *scan, struct scan_span *ret_name)
{
	int is_there = pass_comma_or_end(scan, '}');

	if (is_there <= 0)
		return is_there;
	if (!next_is(scan, '"'))
		return refuse_or_end(scan, "no name where one is due");
	if (scan_text_pass(scan, ret_name))
		return -EBADMSG;
	pass_space(scan);
	if (!next_is(scan, ':'))
		return refuse_or_end(scan, "no colon after a name");
	scan->at++;
	return 1;
}

/* Passes a value that holds no other; enters one that does. */
static inline int pass_or_enter(struct scan *scan, enum scan_kind kind)
{
	struct scan_span span;

	switch (kind) {
	case SCAN_OBJECT:
	case SCAN_ARRAY:
		return enter(scan);
	case SCAN_STRING:
		return scan_text_pass(scan, &span);
	case SCAN_NUMBER:
		return pass_number(scan);
	case SCAN_TRUE:
		return pass_word(scan, "true");
	case SCAN_FALSE:
		return pass_word(scan, "false");
	case SCAN_NULL:
		return pass_word(scan, "null");
	}
	return scan_refuse(scan, scan->at, lack_of_value(scan));
}

/*
 * Passes the rest of what was entered since the scan was floor levels deep. A bit for each level
 * keeps what it is.
 */
static int pass_nested(struct scan *scan, enum scan_kind kind, unsigned floor)
{
	uint64_t is_object[SCAN_MAX_DEPTH / 64] = {0};
	struct scan_span name;

	for (;;) {
		unsigned level = scan->depth - 1;
		int is_there;

		if (kind == SCAN_OBJECT)
			is_object[level / 64] |= UINT64_C(1) << level % 64;
		else if (kind == SCAN_ARRAY)
			is_object[level / 64] &= ~(UINT64_C(1) << level % 64);
		do {
			level = scan->depth - 1;
			is_there = is_object[level / 64] >> level % 64 & 1
					   ? next_member(scan, &name)
					   : pass_comma_or_end(scan, ']');
			if (is_there < 0)
				return is_there;
		} while (!is_there && scan->depth > floor);
		if (!is_there)
			return 0;
		if (peek(scan, &kind) || pass_or_enter(scan, kind))
			return -EBADMSG;
	}
}

void scan_note(struct scan *scan, size_t at, const char *problem)
{
	scan->at = at;
	scan->problem = problem;
}

void scan_init(struct scan *scan, const char *bytes, size_t size)
{
	*scan = (struct scan){.bytes = bytes, .size = size};
}

int scan_peek(struct scan *scan, enum scan_kind *ret_kind)
{
	return peek(scan, ret_kind);
}

int scan_value(struct scan *scan, enum scan_kind *ret_kind, struct scan_span *ret_span)
{
	unsigned floor = scan->depth;
	enum scan_kind kind;
	size_t start;

	if (peek(scan, &kind))
		return -EBADMSG;
	start = scan->at;
	if (pass_or_enter(scan, kind))
		return -EBADMSG;
	if (scan->depth > floor && pass_nested(scan, kind, floor))
		return -EBADMSG;
	if (ret_kind)
		*ret_kind = kind;
	if (ret_span)
		*ret_span = kind == SCAN_STRING
				    ? (struct scan_span){start + 1, scan->at - start - 2}
				    : (struct scan_span){start, scan->at - start};
	return 0;
}

int scan_enter_object(struct scan *scan)
{
	return enter_expected(scan, SCAN_OBJECT, "no object where one is due");
}

int scan_enter_array(struct scan *scan)
{
	return enter_expected(scan, SCAN_ARRAY, "no array where one is due");
}

int scan_next_member(struct scan *scan, struct scan_span *ret_name)
{
	return next_member(scan, ret_name);
}

int scan_next_element(struct scan *scan)
{
	return pass_comma_or_end(scan, ']');
}

int scan_end(struct scan *scan)
{
	if (scan->problem)
		return -EBADMSG;
	pass_space(scan);
	return scan->at == scan->size ? 0
				      : scan_refuse(scan, scan->at, "something behind the value");
}

int scan_integer(const char *bytes, struct scan_span span, int64_t *ret_number)
{
	size_t at = span.at;
	size_t end = span.at + span.size;
	bool is_negative = span.size && bytes[at] == '-';
	int64_t number = 0;

	at += is_negative;
	if (at == end)
		return -ERANGE;
	for (; at < end; at++) {
		int digit = bytes[at] - '0';

		if (digit < 0 || digit > 9 || __builtin_mul_overflow(number, 10, &number) ||
		    __builtin_sub_overflow(number, digit, &number))
			return -ERANGE;
	}
	/* It was counted downwards, where there is room for one more. */
	if (!is_negative && __builtin_sub_overflow(0, number, &number))
		return -ERANGE;
	*ret_number = number;
	return 0;
}
