#include "daemon/model/scan.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

/* A text that may hold NUL, with its size. */
#define TEXT(literal) (literal), sizeof(literal) - 1

struct text {
	const char *bytes;
	size_t size;
};

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

static const struct text good_texts[] = {
	{TEXT("{}")},
	{TEXT("[]")},
	{TEXT("\"\"")},
	{TEXT("0")},
	{TEXT("true")},
	{TEXT("false")},
	{TEXT("null")},
	{TEXT(" \t\r\n{ \t\r\n} \t\r\n")},
	{TEXT("[ ]")},
	{TEXT("[1]")},
	{TEXT("[1,2]")},
	{TEXT("[ 1 , 2 ]")},
	{TEXT("{\"a\":1}")},
	{TEXT("{ \"a\" : 1 , \"b\" : [ ] }")},
	{TEXT("{\"\":0}")},
	{TEXT("{\"a\":1,\"a\":2}")},
	{TEXT("[[[[]]],{}]")},
	{TEXT("{\"a\":{\"b\":{\"c\":[{}]}}}")},
	{TEXT("[{},{}]")},
	{TEXT("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")},
	{TEXT("\"\\u0000\"")},
	{TEXT("\"\\uABCD\\uabcd\"")},
	{TEXT("\"\\ud83d\\ude00\"")},
	{TEXT("\"\\uD800\\uDC00\\uDBFF\\uDFFF\"")},
	{TEXT("\"\\\\u12\"")},
	{TEXT("\"\x7f\"")},
	{TEXT("\"\\\\\\\\\"")},
	{TEXT("\"\\\\\\\"\"")},
	{TEXT("\"\xe2\x80\xa8\"")},
	{TEXT("[\"a\",\"\\\\\",\"b\"]")},
	{TEXT("[true,false,null]")},
	{TEXT("\"\xef\xbb\xbf\"")},
	{TEXT("\"/\"")},
	{TEXT("{\"\\u0061\":\"\xc3\xa9\"}")},
	{TEXT("\"\xef\xbf\xbf\"")},
};

/* With the column, from 1, where the problem is said to be. */
static const struct {
	const char *bytes;
	size_t size;
	size_t column;
	const char *problem;
} bad_texts[] = {
	{TEXT(""), 1, "an unexpected end"},
	{TEXT("  "), 3, "an unexpected end"},
	{TEXT("\xef\xbb\xbf{}"), 1, "a byte order mark"},
	{TEXT(" \xef\xbb\xbf{}"), 2, "no value where one is due"},
	{TEXT("{} {}"), 4, "something behind the value"},
	{TEXT("1 2"), 3, "something behind the value"},
	{TEXT("{}\0"), 3, "something behind the value"},
	{TEXT("\0"), 1, "no value where one is due"},
	{TEXT("{}x"), 3, "something behind the value"},
	{TEXT("truex"), 5, "something behind the value"},
	{TEXT("tru"), 4, "an unexpected end"},
	{TEXT("trie"), 1, "a word that is not true, false or null"},
	{TEXT("True"), 1, "no value where one is due"},
	{TEXT("nULL"), 1, "a word that is not true, false or null"},
	{TEXT("NaN"), 1, "no value where one is due"},
	{TEXT("nan"), 1, "a word that is not true, false or null"},
	{TEXT("Infinity"), 1, "no value where one is due"},
	{TEXT("-Infinity"), 2, "a number without digits"},
	{TEXT("[1,]"), 4, "no value where one is due"},
	{TEXT("[,1]"), 2, "no value where one is due"},
	{TEXT("[1,,2]"), 4, "no value where one is due"},
	{TEXT("[1 2]"), 4, "no comma where one is due"},
	{TEXT("[1}"), 3, "no comma where one is due"},
	{TEXT("[}"), 2, "no value where one is due"},
	{TEXT("["), 2, "an unexpected end"},
	{TEXT("[1"), 3, "an unexpected end"},
	{TEXT("]"), 1, "no value where one is due"},
	{TEXT("{\"a\":1,}"), 8, "no name where one is due"},
	{TEXT("{,}"), 2, "no name where one is due"},
	{TEXT("{a:1}"), 2, "no name where one is due"},
	{TEXT("{'a':1}"), 2, "no name where one is due"},
	{TEXT("{1:1}"), 2, "no name where one is due"},
	{TEXT("{\"a\"}"), 5, "no colon after a name"},
	{TEXT("{\"a\" 1}"), 6, "no colon after a name"},
	{TEXT("{\"a\":}"), 6, "no value where one is due"},
	{TEXT("{\"a\"::1}"), 6, "no value where one is due"},
	{TEXT("{\"a\":1]"), 7, "no comma where one is due"},
	{TEXT("{\"a\":1 \"b\":2}"), 8, "no comma where one is due"},
	{TEXT("{]"), 2, "no name where one is due"},
	{TEXT("\""), 2, "an unexpected end"},
	{TEXT("\"\\"), 3, "an unexpected end"},
	{TEXT("\"\\\""), 4, "an unexpected end"},
	{TEXT("\"a\nb\""), 3, "a control character in a string"},
	{TEXT("\"\0\""), 2, "a control character in a string"},
	{TEXT("\"\x1f\""), 2, "a control character in a string"},
	{TEXT("\"a\tb\""), 3, "a control character in a string"},
	{TEXT("\"\\x41\""), 2, "an unknown escape in a string"},
	{TEXT("\"\\'\""), 2, "an unknown escape in a string"},
	{TEXT("\"\\\n\""), 2, "an unknown escape in a string"},
	{TEXT("\"\\\0\""), 2, "an unknown escape in a string"},
	{TEXT("\"\\U0041\""), 2, "an unknown escape in a string"},
	{TEXT("\"\\\xc3\xa9\""), 2, "an unknown escape in a string"},
	{TEXT("\"\\u12\""), 2, "an escape without four hexadecimal digits"},
	{TEXT("\"\\u12g4\""), 2, "an escape without four hexadecimal digits"},
	{TEXT("\"\\u+123\""), 2, "an escape without four hexadecimal digits"},
	{TEXT("\"\\u12"), 2, "an escape without four hexadecimal digits"},
	{TEXT("\"\\ud83d\""), 2, "an escape that is half of a surrogate pair"},
	{TEXT("\"\\ude00\""), 2, "an escape that is half of a surrogate pair"},
	{TEXT("\"\\ude00\\ud83d\""), 2, "an escape that is half of a surrogate pair"},
	{TEXT("\"\\ud83d\\ud83d\\ude00\""), 2, "an escape that is half of a surrogate pair"},
	{TEXT("\"\\ud83d\\ude00\\ude00\""), 14, "an escape that is half of a surrogate pair"},
	{TEXT("\"\\ud83d \\ude00\""), 2, "an escape that is half of a surrogate pair"},
	{TEXT("\"\\ud83d\\\\ude00\""), 2, "an escape that is half of a surrogate pair"},
	{TEXT("\"\\ud83d\\n\""), 2, "an escape that is half of a surrogate pair"},
	{TEXT("\"ab\xff\""), 4, "a byte that is not UTF-8"},
	{TEXT("// c\n1"), 1, "no value where one is due"},
	{TEXT("[1]/**/"), 4, "something behind the value"},
	{TEXT("1\v"), 2, "something behind the value"},
	{TEXT("1\f"), 2, "something behind the value"},
	{TEXT("\xc2\xa0"
	      "1"),
	 1, "no value where one is due"},
};

static const struct {
	const char *text;
	bool is_good;
} numbers[] = {
	{"0", true},
	{"-0", true},
	{"1", true},
	{"-1", true},
	{"10", true},
	{"123456789", true},
	{"0.0", true},
	{"0.5", true},
	{"-0.5", true},
	{"1.25", true},
	{"1e1", true},
	{"1E1", true},
	{"1e+1", true},
	{"1e-1", true},
	{"0e0", true},
	{"0E+00", true},
	{"1.5e300", true},
	{"1e999999", true},
	{"12345678", true},
	{"1234567890123456", true},
	{"1.00000000", true},
	{"1e00000000", true},
	{"-", false},
	{"+1", false},
	{"01", false},
	{"-01", false},
	{"00", false},
	{"1.", false},
	{".5", false},
	{"-.5", false},
	{"1.e1", false},
	{"1e", false},
	{"1e+", false},
	{"1e-", false},
	{"1e1.5", false},
	{"1.5.5", false},
	{"0x10", false},
	{"1_000", false},
	{"--1", false},
	{"1-", false},
	{"1a", false},
	{"1e1e1", false},
	{"1 .5", false},
	{"- 1", false},
	{"0123456789012345", false},
	{"123456789a", false},
};

static void accepts_what_the_grammar_allows(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(good_texts); i++)
		CHECK_ROW(good_texts[i].bytes,
			  scan_whole(good_texts[i].bytes, good_texts[i].size, NULL) == 0);
}

static void refuses_what_it_does_not_and_says_where(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(bad_texts); i++) {
		struct scan scan;

		CHECK_ROW(bad_texts[i].bytes,
			  scan_whole(bad_texts[i].bytes, bad_texts[i].size, &scan) == -EBADMSG);
		CHECK_ROW(bad_texts[i].bytes,
			  scan.problem && strcmp(scan.problem, bad_texts[i].problem) == 0);
		CHECK_ROW(bad_texts[i].bytes, scan.at + 1 == bad_texts[i].column);
	}
}

static void knows_numbers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		const char *text = numbers[i].text;
		auto_free char *array = xasprintf("[%s,%s]", text, text);

		CHECK_ROW(text, (scan_whole(text, strlen(text), NULL) == 0) == numbers[i].is_good);
		CHECK_ROW(text,
			  (scan_whole(array, strlen(array), NULL) == 0) == numbers[i].is_good);
	}
}

static void passes_numbers_of_a_million_digits(void)
{
	size_t size = 1000 * 1000;
	auto_free char *text = xmalloc(size + 1);
	struct scan scan;

	memset(text, '7', size);
	CU_ASSERT_EQUAL(scan_whole(text, size, NULL), 0);
	text[1] = '.';
	CU_ASSERT_EQUAL(scan_whole(text, size, NULL), 0);
	text[size / 2] = 'e';
	CU_ASSERT_EQUAL(scan_whole(text, size, NULL), 0);
	text[size] = '.';
	CU_ASSERT_EQUAL(scan_whole(text, size + 1, &scan), -EBADMSG);
	CU_ASSERT_EQUAL(scan.at, size);
}

/* depth containers, arrays and objects by turns as seed says, closed again. */
static char *nest(size_t depth, unsigned seed, size_t *ret_size)
{
	char *text = xmalloc(depth * 6 + 1);
	size_t size = 0;

	for (size_t i = 0; i < depth; i++) {
		bool is_object = seed >> i % 32 & 1;

		memcpy(text + size, is_object ? "{\"\":" : "[", is_object ? 4 : 1);
		size += is_object ? 4 : 1;
	}
	if (size && text[size - 1] == ':')
		text[size++] = '1';
	for (size_t i = depth; i-- > 0;)
		text[size++] = seed >> i % 32 & 1 ? '}' : ']';
	*ret_size = size;
	return text;
}

static void nests_to_its_limit_and_no_further(void)
{
	static const struct {
		size_t depth;
		int result;
	} cases[] = {{1, 0},           {63, 0},           {64, 0},          {65, 0},
		     {1023, 0},        {1024, 0},         {1025, -EBADMSG}, {1026, -EBADMSG},
		     {4096, -EBADMSG}, {100000, -EBADMSG}};
	static const unsigned seeds[] = {0, 0xffffffffu, 0x5a5a1234u, 0xdeadbeefu};

	for (size_t i = 0; i < ARRAY_SIZE(cases) * ARRAY_SIZE(seeds); i++) {
		size_t depth = cases[i / ARRAY_SIZE(seeds)].depth;
		struct scan scan;
		size_t size;
		auto_free char *text = nest(depth, seeds[i % ARRAY_SIZE(seeds)], &size);

		CU_ASSERT_EQUAL(scan_whole(text, size, &scan), cases[i / ARRAY_SIZE(seeds)].result);
		/* It stops where it has seen enough: the rest costs nothing. */
		if (depth > SCAN_MAX_DEPTH) {
			CU_ASSERT_STRING_EQUAL(scan.problem, "nesting that is too deep");
			CU_ASSERT(scan.at <= SCAN_MAX_DEPTH * 4);
		}
		if (depth <= SCAN_MAX_DEPTH && size > 1) {
			text[size - 1] ^= '}' ^ ']';
			CU_ASSERT_EQUAL(scan_whole(text, size, NULL), -EBADMSG);
		}
	}
}

static void counts_what_the_caller_entered_as_depth(void)
{
	size_t size;
	auto_free char *text = nest(SCAN_MAX_DEPTH + 1, 0, &size);
	struct scan scan;

	scan_init(&scan, text, size);
	CU_ASSERT_EQUAL(scan_enter_array(&scan), 0);
	CU_ASSERT_EQUAL(scan_next_element(&scan), 1);
	CU_ASSERT_EQUAL(scan_value(&scan, NULL, NULL), -EBADMSG);
	scan_init(&scan, text + 1, size - 2);
	CU_ASSERT_EQUAL(scan_enter_array(&scan), 0);
	CU_ASSERT_EQUAL(scan_next_element(&scan), 1);
	CU_ASSERT_EQUAL(scan_value(&scan, NULL, NULL), 0);
	CU_ASSERT_EQUAL(scan_next_element(&scan), 0);
	CU_ASSERT_EQUAL(scan_end(&scan), 0);
}

static void reads_alike_at_every_alignment(void)
{
	static const char text[] =
		"{\"k\\u0065y\":[\"plain \xe4\xbd\xa0\xe5\xa5\xbd \\\\ \\\" \\ud83d\\ude00 "
		"0123456789"
		"0123456789012345678901234567890123456789\",1234567890.5e-3,true,null,{}]}";
	auto_free char *room = xmalloc(sizeof(text) + 64);

	for (size_t shift = 0; shift < 64; shift++) {
		struct scan scan;

		memset(room, 0xff, shift);
		memcpy(room + shift, text, sizeof(text));
		scan_init(&scan, room + shift, sizeof(text) - 1);
		CU_ASSERT_EQUAL(scan_value(&scan, NULL, NULL), 0);
		CU_ASSERT_EQUAL(scan_end(&scan), 0);
	}
}

static const char document[] =
	"{\"custom_id\": \"a\\u00e9\\ud83d\\ude00\", \"n\": [-1.5e+10, 0, 12345678901234567890], "
	"\"\": "
	"{\"t\": true, \"f\": false, \"z\": null, \"s\": \"\xd0\xb6\xe4\xbd\xa0\xf0\x9f\x98\x80 "
	"\\\"\\\\\\/\\b\\f\\n\\r\\t a long text that goes beyond one block of bytes, and some "
	"more\"}, "
	"\"e\": [[], {}, [[]], \"\"]}";

static void refuses_every_truncation(void)
{
	size_t size = sizeof(document) - 1;

	CU_ASSERT_EQUAL(scan_whole(document, size, NULL), 0);
	for (size_t cut = 0; cut < size; cut++)
		if (scan_whole(document, cut, NULL) == 0)
			CHECK_ROW("truncation", false);
}

static void takes_a_document_apart(void)
{
	static const char text[] = " {\"a\" : [1, \"x\\n\", {}], \"b\":null,\"c\":{\"d\":true}} ";
	struct scan_span name, span;
	enum scan_kind kind;
	struct scan scan;

	scan_init(&scan, text, sizeof(text) - 1);
	CU_ASSERT_EQUAL(scan_enter_array(&scan), -EBADMSG);
	scan_init(&scan, text, sizeof(text) - 1);
	CU_ASSERT_EQUAL(scan_enter_object(&scan), 0);
	CU_ASSERT_EQUAL(scan_next_member(&scan, &name), 1);
	CU_ASSERT(scan_text_is(text, name, "a"));
	CU_ASSERT(scan_peek(&scan, &kind) == 0 && kind == SCAN_ARRAY);
	CU_ASSERT_EQUAL(scan_enter_array(&scan), 0);
	CU_ASSERT_EQUAL(scan_next_element(&scan), 1);
	CU_ASSERT(scan_value(&scan, &kind, &span) == 0 && kind == SCAN_NUMBER && span.size == 1);
	CU_ASSERT_EQUAL(scan_next_element(&scan), 1);
	CU_ASSERT(scan_value(&scan, &kind, &span) == 0 && kind == SCAN_STRING && span.size == 3);
	CU_ASSERT_EQUAL(scan_next_element(&scan), 1);
	CU_ASSERT(scan_value(&scan, &kind, &span) == 0 && kind == SCAN_OBJECT && span.size == 2);
	CU_ASSERT_EQUAL(scan_next_element(&scan), 0);
	CU_ASSERT_EQUAL(scan_next_member(&scan, &name), 1);
	CU_ASSERT(scan_value(&scan, &kind, &span) == 0 && kind == SCAN_NULL && span.size == 4);
	CU_ASSERT_EQUAL(scan_next_member(&scan, &name), 1);
	CU_ASSERT(scan_value(&scan, &kind, &span) == 0 && span.size == 10);
	CU_ASSERT_NSTRING_EQUAL(text + span.at, "{\"d\":true}", 10);
	CU_ASSERT_EQUAL(scan_next_member(&scan, &name), 0);
	CU_ASSERT_EQUAL(scan_end(&scan), 0);
}

static void keeps_its_first_problem(void)
{
	enum scan_kind kind;
	struct scan_span name;
	struct scan scan;

	scan_init(&scan, "{\"a\":?,\"b\":1}", 13);
	CU_ASSERT_EQUAL(scan_enter_object(&scan), 0);
	CU_ASSERT_EQUAL(scan_next_member(&scan, &name), 1);
	CU_ASSERT_EQUAL(scan_value(&scan, NULL, NULL), -EBADMSG);
	CU_ASSERT_EQUAL(scan_next_member(&scan, &name), -EBADMSG);
	CU_ASSERT_EQUAL(scan_next_element(&scan), -EBADMSG);
	CU_ASSERT_EQUAL(scan_peek(&scan, &kind), -EBADMSG);
	CU_ASSERT_EQUAL(scan_enter_object(&scan), -EBADMSG);
	CU_ASSERT_EQUAL(scan_end(&scan), -EBADMSG);
	CU_ASSERT(scan.at == 5 && strcmp(scan.problem, "no value where one is due") == 0);
}

static const struct {
	const char *text;
	int result;
	int64_t number;
} integers[] = {
	{"0", 0, 0},
	{"-0", 0, 0},
	{"7", 0, 7},
	{"-12", 0, -12},
	{"9223372036854775807", 0, INT64_MAX},
	{"-9223372036854775808", 0, INT64_MIN},
	{"9223372036854775808", -ERANGE, 0},
	{"-9223372036854775809", -ERANGE, 0},
	{"92233720368547758070", -ERANGE, 0},
	{"12.0", -ERANGE, 0},
	{"1e3", -ERANGE, 0},
	{"", -ERANGE, 0},
	{"-", -ERANGE, 0},
	{"99999999999999999999999999", -ERANGE, 0},
};

static void reads_integers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(integers); i++) {
		struct scan_span span = {0, strlen(integers[i].text)};
		int64_t number = 42;

		CHECK_ROW(integers[i].text,
			  scan_integer(integers[i].text, span, &number) == integers[i].result);
		CHECK_ROW(integers[i].text,
			  number == (integers[i].result ? 42 : integers[i].number));
	}
}

CHECK_MAIN("scan", CHECK(accepts_what_the_grammar_allows),
	   CHECK(refuses_what_it_does_not_and_says_where), CHECK(knows_numbers),
	   CHECK(passes_numbers_of_a_million_digits), CHECK(nests_to_its_limit_and_no_further),
	   CHECK(counts_what_the_caller_entered_as_depth), CHECK(reads_alike_at_every_alignment),
	   CHECK(refuses_every_truncation), CHECK(takes_a_document_apart),
	   CHECK(keeps_its_first_problem), CHECK(reads_integers))
