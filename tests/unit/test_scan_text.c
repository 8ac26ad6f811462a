#include "daemon/model/scan.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

/* A text that may hold NUL, with its size. */
#define TEXT(literal) (literal), sizeof(literal) - 1

/* Reads a copy of exactly this size, so that a sanitizer sees any byte read beyond it. */
static int scan_whole(const char *bytes, size_t size, struct scan *ret_scan)
{
	char *copy = xmalloc(size);
	struct scan scan;
	int result;

	if (size)
		memcpy(copy, bytes, size);
	scan_init(&scan, copy, size);
	result = scan_value(&scan, NULL, NULL) ? -EBADMSG : scan_end(&scan);
	if (ret_scan)
		*ret_scan = scan;
	free(copy);
	return result;
}

/* One character of RFC 3629 by its own words, beside the table that is tested. */
static bool is_character(const unsigned char *bytes, size_t size)
{
	static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
	size_t want = bytes[0] < 0x80       ? 1
		      : bytes[0] >> 5 == 6  ? 2
		      : bytes[0] >> 4 == 14 ? 3
		      : bytes[0] >> 3 == 30 ? 4
					    : 0;
	uint32_t point;

	if (want != size)
		return false;
	point = want == 1 ? bytes[0] : bytes[0] & 0xffu >> (want + 1);
	for (size_t i = 1; i < want; i++) {
		if (bytes[i] >> 6 != 2)
			return false;
		point = point << 6 | (bytes[i] & 0x3f);
	}
	return point >= least[want] && point <= 0x10ffff && (point < 0xd800 || point > 0xdfff) &&
	       point >= 0x20 && point != '"' && point != '\\';
}

static bool is_accepted_in_string(const unsigned char *bytes, size_t size)
{
	char text[8];

	text[0] = text[size + 1] = '"';
	memcpy(text + 1, bytes, size);
	return scan_whole(text, size + 2, NULL) == 0;
}

static void knows_every_character_of_up_to_three_bytes(void)
{
	unsigned wrong = 0;

	for (unsigned i = 0; i < 0x10000; i++) {
		unsigned char two[] = {(unsigned char)(i >> 8), (unsigned char)i};
		unsigned char three[] = {(unsigned char)(0xe0 | (i >> 12)),
					 (unsigned char)(i >> 4 & 0xff),
					 (unsigned char)(0x80 ^ (i & 0xf) * 0x11)};

		wrong += is_accepted_in_string(two, 1) != is_character(two, 1);
		if (two[0] >= 0x80)
			wrong += is_accepted_in_string(two, 2) != is_character(two, 2);
		if (three[1] >= 0x80)
			wrong += is_accepted_in_string(three, 3) != is_character(three, 3);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static void knows_every_beginning_of_four_bytes(void)
{
	static const unsigned char ends[] = {0x7f, 0x80, 0x8f, 0x90, 0xbf, 0xc0, 0xff};
	unsigned wrong = 0;

	for (unsigned i = 0; i < 0x1000 * ARRAY_SIZE(ends); i++) {
		unsigned char four[] = {(unsigned char)(0xf0 | (i >> 8 & 0xf)), (unsigned char)i,
					ends[i >> 12], 0xbf};

		if (four[1] < 0x80)
			continue;
		wrong += is_accepted_in_string(four, 4) != is_character(four, 4);
		four[3] = 0xc0;
		wrong += is_accepted_in_string(four, 4);
	}
	CU_ASSERT_EQUAL(wrong, 0);
}

static const struct {
	const char *bytes;
	bool is_good;
} characters[] = {
	{"\x7f", true},
	{"\xc2\x80", true},
	{"\xdf\xbf", true},
	{"\xe0\xa0\x80", true},
	{"\xed\x9f\xbf", true},
	{"\xee\x80\x80", true},
	{"\xef\xbf\xbf", true},
	{"\xf0\x90\x80\x80", true},
	{"\xf4\x8f\xbf\xbf", true},
	{"\xf3\xbf\xbf\xbf", true},
	{"\xe4\xbd\xa0", true},
	{"\xd0\xb6", true},
	{"\x80", false},
	{"\xbf", false},
	{"\xc0\x80", false},
	{"\xc1\xbf", false},
	{"\xe0\x80\x80", false},
	{"\xe0\x9f\xbf", false},
	{"\xed\xa0\x80", false},
	{"\xed\xbf\xbf", false},
	{"\xf0\x80\x80\x80", false},
	{"\xf0\x8f\xbf\xbf", false},
	{"\xf4\x90\x80\x80", false},
	{"\xf5\x80\x80\x80", false},
	{"\xf7\xbf\xbf\xbf", false},
	{"\xf8\x88\x80\x80\x80", false},
	{"\xfc\x84\x80\x80\x80\x80", false},
	{"\xfe", false},
	{"\xff", false},
	{"\xc3", false},
	{"\xe4\xbd", false},
	{"\xe4", false},
	{"\xf0\x9f\x98", false},
	{"\xf0\x9f", false},
	{"\xf0", false},
	{"\xed\xa0\xbd\xed\xb8\x80", false},
	{"\xc3\xc3\xa9", false},
	{"\xc3\xa9\xa9", false},
	{"\xc3"
	 "a",
	 false},
	{"\xc3\\u00e9", false},
	{"\xc3\\n\xa9", false},
};

static void checks_characters_at_every_place_of_a_block(void)
{
	char text[256];

	for (size_t row = 0; row < ARRAY_SIZE(characters); row++)
		for (size_t i = 0; i < 140 * 3; i++) {
			size_t before = i / 3;
			size_t after = i % 3 * 70;
			size_t size = strlen(characters[row].bytes);
			struct scan scan;
			int result;

			memset(text, 'x', sizeof(text));
			text[0] = '"';
			memcpy(text + 1 + before, characters[row].bytes, size);
			text[1 + before + size + after % 111] = '"';
			result = scan_whole(text, before + size + after % 111 + 2, &scan);
			if ((result == 0) != characters[row].is_good) {
				CHECK_ROW("place in block", false);
				return;
			}
			if (result && (scan.at < before + 1 || scan.at > before + size))
				CHECK_ROW("place named", false);
		}
}

static void stops_at_every_place_of_a_block(void)
{
	static const char *const ends[] = {"\"",           "\\\"\"",    "\\\\\"",
					   "\\\\\\\"\"",   "\\u0041\"", "\\ud83d\\ude00\"",
					   "\\\\\\\\\\n\""};
	char text[256];

	for (size_t i = 0; i < 200 * ARRAY_SIZE(ends); i++) {
		const char *end = ends[i % ARRAY_SIZE(ends)];
		size_t before = i / ARRAY_SIZE(ends);
		size_t size = before + 1 + strlen(end);
		struct scan_span span;
		struct scan scan;

		memset(text, 'x', sizeof(text));
		text[0] = '"';
		memcpy(text + 1 + before, end, strlen(end));
		CU_ASSERT_EQUAL(scan_whole(text, size, NULL), 0);
		scan_init(&scan, text, sizeof(text));
		CU_ASSERT_EQUAL(scan_value(&scan, NULL, &span), 0);
		CU_ASSERT(span.at == 1 && span.size == size - 2 && scan.at == size);
		for (size_t cut = 0; cut < size; cut++)
			if (scan_whole(text, cut, NULL) == 0)
				CHECK_ROW("cut string", false);
	}
}

static void counts_backslashes_in_runs(void)
{
	char text[300];

	for (size_t before = 0; before < 70; before++)
		for (size_t run = 0; run < 140; run++) {
			size_t size = before + run + 2;
			bool is_ended = run % 2 == 0;

			memset(text, 'x', sizeof(text));
			text[0] = '"';
			memset(text + 1 + before, '\\', run);
			text[size - 1] = '"';
			if ((scan_whole(text, size, NULL) == 0) != is_ended)
				CHECK_ROW("run of backslashes", false);
			text[size] = '"';
			if ((scan_whole(text, size + 1, NULL) == 0) == is_ended)
				CHECK_ROW("run of backslashes and a quote", false);
		}
}

static const struct {
	const char *escaped;
	const char *decoded;
	size_t size;
} strings[] = {
	{"", TEXT("")},
	{"abc", TEXT("abc")},
	{"\\n", TEXT("\n")},
	{"\\\"\\\\\\/\\b\\f\\n\\r\\t", TEXT("\"\\/\b\f\n\r\t")},
	{"\\u0041", TEXT("A")},
	{"\\u0000", TEXT("\0")},
	{"a\\u0000b", TEXT("a\0b")},
	{"\\u00e9", TEXT("\xc3\xa9")},
	{"\\u00E9", TEXT("\xc3\xa9")},
	{"\\u07ff\\u0800", TEXT("\xdf\xbf\xe0\xa0\x80")},
	{"\\uffff", TEXT("\xef\xbf\xbf")},
	{"\\ud800\\udc00", TEXT("\xf0\x90\x80\x80")},
	{"\\uDBFF\\uDFFF", TEXT("\xf4\x8f\xbf\xbf")},
	{"x\\ud83d\\ude00y", TEXT("x\xf0\x9f\x98\x80y")},
	{"\\\\n", TEXT("\\n")},
	{"\\\\u0041", TEXT("\\u0041")},
	{"\\ud83d", TEXT("\xef\xbf\xbd")},
	{"\\ude00x", TEXT("\xef\xbf\xbdx")},
	{"\\ud83d\\u0041", TEXT("\xef\xbf\xbd"
				"A")},
	{"\\ud83d\\ud83d\\ude00", TEXT("\xef\xbf\xbd\xf0\x9f\x98\x80")},
};

static void decodes_and_compares_strings(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(strings); i++) {
		struct scan_span span = {0, strlen(strings[i].escaped)};
		auto_free char *out = xmalloc(span.size);
		bool has_nul = memchr(strings[i].decoded, 0, strings[i].size) != NULL;

		CHECK_ROW(strings[i].escaped,
			  scan_decode(strings[i].escaped, span, out) == strings[i].size);
		CHECK_ROW(strings[i].escaped,
			  memcmp(out, strings[i].decoded, strings[i].size) == 0);
		CHECK_ROW(strings[i].escaped,
			  scan_text_is(strings[i].escaped, span, strings[i].decoded) == !has_nul);
		CHECK_ROW(strings[i].escaped, !scan_text_is(strings[i].escaped, span, "abcd"));
		for (size_t j = 0; j < ARRAY_SIZE(strings); j++) {
			struct scan_span other = {0, strlen(strings[j].escaped)};
			bool is_same = strings[i].size == strings[j].size &&
				       memcmp(strings[i].decoded, strings[j].decoded,
					      strings[i].size) == 0;

			CHECK_ROW(strings[i].escaped,
				  scan_text_equal(strings[i].escaped, span, strings[j].escaped,
						  other) == is_same);
		}
	}
}

static void bears_half_surrogates_when_told_to(void)
{
	static const char text[] = "\"\\ud83d\\udc00\\ud83d x\\ude00\"";
	struct scan scan;

	scan_init(&scan, text, sizeof(text) - 1);
	CU_ASSERT_EQUAL(scan_value(&scan, NULL, NULL), -EBADMSG);
	scan_init(&scan, text, sizeof(text) - 1);
	scan.is_surrogate_tolerant = true;
	CU_ASSERT_EQUAL(scan_value(&scan, NULL, NULL), 0);
	scan_init(&scan, "\"\\ud83\"", 7);
	scan.is_surrogate_tolerant = true;
	CU_ASSERT_EQUAL(scan_value(&scan, NULL, NULL), -EBADMSG);
}

/*
 * Two-byte characters, then the first two bytes of one of three, other text up to the end of the
 * block, and the third byte first in the next block.
 */
static void completes_no_character_beyond_other_text(void)
{
	for (size_t i = 0; i < 40 * 10; i++) {
		size_t first = 1 + i / 10;
		size_t cut = first + i % 10 * 2;
		char text[130];

		memset(text, 'x', sizeof(text));
		text[0] = text[sizeof(text) - 1] = '"';
		for (size_t at = first; at < cut; at += 2)
			memcpy(text + at, "\xc3\xa9", 2);
		memcpy(text + cut, "\xe4\xbd", 2);
		text[65] = '\xa0';
		CU_ASSERT_EQUAL(scan_whole(text, sizeof(text), NULL), -EBADMSG);
	}
}

CHECK_MAIN("scan_text", CHECK(knows_every_character_of_up_to_three_bytes),
	   CHECK(knows_every_beginning_of_four_bytes),
	   CHECK(checks_characters_at_every_place_of_a_block),
	   CHECK(stops_at_every_place_of_a_block), CHECK(counts_backslashes_in_runs),
	   CHECK(completes_no_character_beyond_other_text), CHECK(decodes_and_compares_strings),
	   CHECK(bears_half_surrogates_when_told_to))
