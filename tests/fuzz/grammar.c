#include "tests/fuzz/grammar.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

/* Well-formed UTF-8: table 3-7 of the Unicode Standard, which is the ABNF of RFC 3629, section 4.
 */
/* clang-format off */
static const struct {
	size_t size;
	struct { unsigned char first, last; } bytes[4];
} well_formed[] = {
	{ 1, { { 0x00, 0x7f } } },
	{ 2, { { 0xc2, 0xdf }, { 0x80, 0xbf } } },
	{ 3, { { 0xe0, 0xe0 }, { 0xa0, 0xbf }, { 0x80, 0xbf } } },
	{ 3, { { 0xe1, 0xec }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 3, { { 0xed, 0xed }, { 0x80, 0x9f }, { 0x80, 0xbf } } },
	{ 3, { { 0xee, 0xef }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf0, 0xf0 }, { 0x90, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf1, 0xf3 }, { 0x80, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf4, 0xf4 }, { 0x80, 0x8f }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	/* From here on what a reader takes that looks at the lead's upper bits alone. */
	{ 2, { { 0xc0, 0xdf }, { 0x80, 0xbf } } },
	{ 3, { { 0xe0, 0xef }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
	{ 4, { { 0xf0, 0xf7 }, { 0x80, 0xbf }, { 0x80, 0xbf }, { 0x80, 0xbf } } },
};
#define WELL_FORMED_STRICT 9
/* clang-format on */

static bool value(struct grammar *grammar);

static bool bears(const struct grammar *grammar, enum grammar_leniency leniency)
{
	return grammar->borne & (unsigned)leniency;
}

static bool is_next(const struct grammar *grammar, unsigned char first, unsigned char last)
{
	return grammar->at < grammar->size && grammar->bytes[grammar->at] >= first &&
	       grammar->bytes[grammar->at] <= last;
}

static bool pass(struct grammar *grammar, const char *literal)
{
	size_t size = strlen(literal);

	if (grammar->size - grammar->at < size ||
	    memcmp(grammar->bytes + grammar->at, literal, size) != 0)
		return false;
	grammar->at += size;
	return true;
}

/* ws = *( %x20 / %x09 / %x0A / %x0D ) */
static void ws(struct grammar *grammar)
{
	while (pass(grammar, " ") || pass(grammar, "\t") || pass(grammar, "\n") ||
	       pass(grammar, "\r"))
		;
}

/* structural = ws CHARACTER ws */
static bool structural(struct grammar *grammar, const char *character)
{
	size_t start = grammar->at;

	ws(grammar);
	if (!pass(grammar, character)) {
		grammar->at = start;
		return false;
	}
	ws(grammar);
	return true;
}

static bool character(struct grammar *grammar)
{
	size_t rows = bears(grammar, GRAMMAR_BEARS_WRONG_UTF8) ? ARRAY_SIZE(well_formed)
							       : WELL_FORMED_STRICT;

	for (size_t row = 0; row < rows; row++) {
		size_t start = grammar->at;
		size_t i = 0;

		while (i < well_formed[row].size &&
		       is_next(grammar, well_formed[row].bytes[i].first,
			       well_formed[row].bytes[i].last)) {
			grammar->at++;
			i++;
		}
		if (i == well_formed[row].size)
			return true;
		grammar->at = start;
	}
	return false;
}

/* unescaped = %x20-21 / %x23-5B / %x5D-10FFFF; the quote and the backslash were seen to be
 * elsewhere. */
static bool unescaped(struct grammar *grammar)
{
	if (is_next(grammar, 0x00, 0x00))
		return false;
	if (is_next(grammar, 0x01, 0x1f) && !bears(grammar, GRAMMAR_BEARS_CONTROLS))
		return false;
	return character(grammar);
}

/* %x75 4HEXDIG, its backslash included. */
static bool unit(struct grammar *grammar, unsigned *ret_unit)
{
	size_t start = grammar->at;
	unsigned number = 0;

	if (!pass(grammar, "\\u"))
		return false;
	for (size_t i = 0; i < 4; i++, grammar->at++) {
		static const char digits[] = "0123456789abcdef0123456789ABCDEF";
		const char *digit = grammar->at < grammar->size && grammar->bytes[grammar->at]
					    ? strchr(digits, grammar->bytes[grammar->at])
					    : NULL;

		if (!digit) {
			grammar->at = start;
			return false;
		}
		number = number * 16 + (unsigned)(digit - digits) % 16;
	}
	*ret_unit = number;
	return true;
}

static bool escaped(struct grammar *grammar)
{
	static const char *const escapes[] = {"\\\"", "\\\\", "\\/", "\\b",
					      "\\f",  "\\n",  "\\r", "\\t"};
	unsigned first, second;
	size_t behind;

	for (size_t i = 0; i < ARRAY_SIZE(escapes); i++)
		if (pass(grammar, escapes[i]))
			return true;
	if (!unit(grammar, &first))
		return false;
	if (first < 0xd800 || first > 0xdfff)
		return true;
	behind = grammar->at;
	if (first <= 0xdbff && unit(grammar, &second)) {
		if (second >= 0xdc00 && second <= 0xdfff)
			return true;
		grammar->at = behind;
	}
	return bears(grammar, GRAMMAR_BEARS_SURROGATES);
}

/* string = quotation-mark *char quotation-mark */
static bool string(struct grammar *grammar, const char *quote, struct scan_span *ret_span)
{
	size_t start = grammar->at + 1;

	if (!pass(grammar, quote))
		return false;
	while (!pass(grammar, quote))
		if (!(is_next(grammar, '\\', '\\') ? escaped(grammar) : unescaped(grammar)))
			return false;
	*ret_span = (struct scan_span){start, grammar->at - 1 - start};
	return true;
}

/* *DIGIT; how many there were. */
static size_t digits(struct grammar *grammar)
{
	size_t start = grammar->at;

	while (is_next(grammar, '0', '9'))
		grammar->at++;
	return grammar->at - start;
}

/* int = zero / ( digit1-9 *DIGIT ) */
static bool whole(struct grammar *grammar)
{
	bool is_zero = is_next(grammar, '0', '0');
	size_t count = digits(grammar);

	return count == 1 ||
	       (count > 1 && (!is_zero || bears(grammar, GRAMMAR_BEARS_LEADING_ZEROS)));
}

/* number = [ minus ] int [ frac ] [ exp ] */
static bool number(struct grammar *grammar)
{
	bool has_whole;

	(void)pass(grammar, "-");
	if (bears(grammar, GRAMMAR_BEARS_NO_NUMBERS) && pass(grammar, "Infinity"))
		return true;
	has_whole = is_next(grammar, '0', '9');
	if (has_whole
		    ? !whole(grammar)
		    : !bears(grammar, GRAMMAR_BEARS_MISSING_DIGITS) || !is_next(grammar, '.', '.'))
		return false;
	if (pass(grammar, ".") && !digits(grammar) &&
	    !(has_whole && bears(grammar, GRAMMAR_BEARS_MISSING_DIGITS)))
		return false;
	if (!pass(grammar, "e") && !pass(grammar, "E"))
		return true;
	if (!pass(grammar, "-"))
		(void)pass(grammar, "+");
	return digits(grammar) > 0;
}

/* member = string name-separator value */
static bool member(struct grammar *grammar)
{
	struct scan_span name;
	bool is_single =
		bears(grammar, GRAMMAR_BEARS_SINGLE_QUOTES) && is_next(grammar, '\'', '\'');

	return string(grammar, is_single ? "'" : "\"", &name) && structural(grammar, ":") &&
	       value(grammar);
}

/* begin [ item *( value-separator item ) ] end, which is both an object and an array. */
static bool container(struct grammar *grammar, bool (*item)(struct grammar *), const char *end)
{
	if (++grammar->depth > grammar->deepest)
		return false;
	grammar->at++;
	ws(grammar);
	if (!pass(grammar, end)) {
		do {
			if (!item(grammar))
				return false;
		} while (structural(grammar, ","));
		ws(grammar);
		if (!pass(grammar, end))
			return false;
	}
	grammar->depth--;
	return true;
}

static bool word(struct grammar *grammar, enum scan_kind *ret_kind)
{
	static const struct {
		const char *word;
		enum scan_kind kind;
		enum grammar_leniency leniency;
	} words[] = {
		{"true", SCAN_TRUE, GRAMMAR_STRICT},
		{"false", SCAN_FALSE, GRAMMAR_STRICT},
		{"null", SCAN_NULL, GRAMMAR_STRICT},
		{"NaN", SCAN_NUMBER, GRAMMAR_BEARS_NO_NUMBERS},
		{"Infinity", SCAN_NUMBER, GRAMMAR_BEARS_NO_NUMBERS},
	};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		if ((words[i].leniency && !bears(grammar, words[i].leniency)) ||
		    !pass(grammar, words[i].word))
			continue;
		*ret_kind = words[i].kind;
		return true;
	}
	return false;
}

static void note(struct grammar *grammar, enum scan_kind kind, struct scan_span span)
{
	if (grammar->count == grammar->capacity) {
		grammar->capacity = grammar->capacity ? grammar->capacity * 2 : 64;
		grammar->values =
			xreallocarray(grammar->values, grammar->capacity, sizeof(*grammar->values));
	}
	grammar->values[grammar->count++] = (struct grammar_value){kind, span};
}

/* value = false / null / true / object / array / number / string */
static bool value(struct grammar *grammar)
{
	size_t start = grammar->at;
	struct scan_span span = {0};
	enum scan_kind kind;
	bool is_there;

	if (is_next(grammar, '{', '{')) {
		kind = SCAN_OBJECT;
		is_there = container(grammar, member, "}");
	} else if (is_next(grammar, '[', '[')) {
		kind = SCAN_ARRAY;
		is_there = container(grammar, value, "]");
	} else if (is_next(grammar, '"', '"')) {
		kind = SCAN_STRING;
		is_there = string(grammar, "\"", &span);
	} else if (is_next(grammar, '-', '-') || is_next(grammar, '0', '9')) {
		kind = SCAN_NUMBER;
		is_there = number(grammar);
	} else {
		is_there = word(grammar, &kind);
	}
	if (!is_there)
		return false;
	if (kind != SCAN_STRING)
		span = (struct scan_span){start, grammar->at - start};
	note(grammar, kind, span);
	return true;
}

/* JSON-text = ws value ws */
bool grammar_read(struct grammar *grammar, const char *bytes, size_t size, unsigned borne,
		  unsigned deepest)
{
	*grammar = (struct grammar){
		.bytes = (const unsigned char *)bytes,
		.size = size,
		.borne = borne,
		.deepest = deepest,
	};
	ws(grammar);
	if (!value(grammar))
		return false;
	ws(grammar);
	return grammar->at == grammar->size;
}

void grammar_release(struct grammar *grammar)
{
	free(grammar->values);
	*grammar = (struct grammar){0};
}
