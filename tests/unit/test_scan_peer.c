/*
 * The scanner beside json-c: each class of texts that json-c takes although they are no JSON has a
 * row with the rule that decides, and in documents that are changed at random there is no other
 * difference.
 */
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/model/scan.h"
#include "tests/fuzz/grammar.h"
#include "tests/fuzz/peer.h"
#include "tests/unit/check.h"

#define ROUNDS 20000

static const char document[] =
	"{\"custom_id\": \"a\\u00e9\\ud83d\\ude00\", \"n\": [-1.5e+10, 0, 12345678901234567890], "
	"\"\": "
	"{\"t\": true, \"f\": false, \"z\": null, \"s\": \"\xd0\xb6\xe4\xbd\xa0\xf0\x9f\x98\x80 "
	"\\\"\\\\\\/\\b\\f\\n\\r\\t a long text that goes beyond one block of bytes, and some "
	"more\"}, "
	"\"e\": [[], {}, [[]], \"\"]}";

static bool scanner_takes(const char *text, size_t size)
{
	struct scan scan;

	scan_init(&scan, text, size);
	return scan_value(&scan, NULL, NULL) == 0 && scan_end(&scan) == 0;
}

static bool grammar_takes(const char *text, size_t size, unsigned borne)
{
	struct grammar grammar;
	bool is_taken = grammar_read(&grammar, text, size, borne, PEER_DEPTH);

	grammar_release(&grammar);
	return is_taken;
}

static bool peer_takes(const char *text, size_t size)
{
	struct json_object *object;
	bool is_taken = peer_read(text, size, &object);

	json_object_put(object);
	return is_taken;
}

static void every_difference_has_its_rule(void)
{
	unsigned seen = 0;

	for (const struct peer_difference *row = peer_differences; row->text; row++) {
		size_t size = strlen(row->text);

		CHECK_ROW(row->text, strstr(row->rule, "RFC "));
		CHECK_ROW(row->text, peer_takes(row->text, size));
		CHECK_ROW(row->text, !scanner_takes(row->text, size));
		CHECK_ROW(row->text, !grammar_takes(row->text, size,
						    GRAMMAR_BEARS_ALL & ~(unsigned)row->leniency));
		CHECK_ROW(row->text, grammar_takes(row->text, size, (unsigned)row->leniency));
		seen |= (unsigned)row->leniency;
	}
	CU_ASSERT_EQUAL(seen, GRAMMAR_BEARS_ALL);
}

static void json_c_refuses_what_is_not_on_its_list(void)
{
	static const char *const refused[] = {
		"[1,]",  "{\"a\":1,}", "[+1]",       "[.5]",           "[0x10]",
		"[1e]",  "[TRUE]",     "['a']",      "[nan]",          "[infinity]",
		"{a:1}", "[1]//",      "/**/[1]",    "[\"\\x41\"]",    "[\"\\v\"]",
		"[1]]",  "[\"\xff\"]", "[\"\x80\"]", "\xef\xbb\xbf[]", "[undefined]",
		"[-]",   "[1.e]",      "[--1]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		CHECK_ROW(refused[i], !peer_takes(refused[i], strlen(refused[i])));
		CHECK_ROW(refused[i], !scanner_takes(refused[i], strlen(refused[i])));
	}
	CU_ASSERT(!peer_takes("[1]\0[2]", 7) && !scanner_takes("[1]\0[2]", 7));
}

static void both_find_the_same(void)
{
	static const char *const texts[] = {
		document,
		"{\"a\":1,\"b\":{\"a\":2},\"a\":[3,{\"a\":4}]}",
		"[1e400,-1e400,1e-400,-0,-0.0,0.1,1E2,123456789012345678901234567890]",
		"[\"\\ud836\\udc00\",\"\\u0000\",\"\"]",
		" null ",
	};
	struct json_object *other;

	CU_ASSERT_FATAL(peer_read("[\"\\ud83d\\ude00\",2]", 18, &other));
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		struct json_object *object;
		struct scan scan;

		CU_ASSERT_FATAL(peer_read(texts[i], strlen(texts[i]), &object));
		scan_init(&scan, texts[i], strlen(texts[i]));
		CHECK_ROW(texts[i], peer_agrees(&scan, object));
		scan_init(&scan, texts[i], strlen(texts[i]));
		CHECK_ROW(texts[i], !peer_agrees(&scan, other));
		json_object_put(object);
	}
	json_object_put(other);
}

static uint64_t random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* Changes text, which has room for one byte more, at one place. */
static size_t mutate(char *text, size_t size, uint64_t *state)
{
	static const char spices[] =
		"\"\\{}[],:u0123-+.eE \t\n/tfn\x01\x1f\x7f\x80\xc3\xe4\xed\xf0\xff";
	size_t at = random_next(state) % size;
	char spice = spices[random_next(state) % (sizeof(spices) - 1)];

	switch (random_next(state) % 4) {
	case 0:
		text[at] = spice;
		return size;
	case 1:
		memmove(text + at, text + at + 1, size - at - 1);
		return size - 1;
	case 2:
		memmove(text + at + 1, text + at, size - at);
		text[at] = spice;
		return size + 1;
	}
	text[at] ^= (char)(1 << random_next(state) % 8);
	return size;
}

static void no_changed_document_tells_them_apart_otherwise(void)
{
	uint64_t state = 20240229;
	unsigned good = 0, lax = 0, refused = 0;

	for (unsigned round = 0; round < ROUNDS; round++) {
		char text[sizeof(document) + 8];
		size_t size = sizeof(document) - 1;
		bool is_ours, is_theirs;

		memcpy(text, document, size);
		for (uint64_t left = random_next(&state) % 3 + 1; left; left--)
			size = mutate(text, size, &state);
		is_ours = scanner_takes(text, size);
		is_theirs = peer_takes(text, size);
		good += is_ours;
		lax += is_theirs && !is_ours;
		refused += !is_theirs;
		if (is_ours != grammar_takes(text, size, GRAMMAR_STRICT) ||
		    (is_ours && !is_theirs) ||
		    (is_theirs && !grammar_takes(text, size, GRAMMAR_BEARS_ALL)))
			CU_FAIL("a difference without a name");
	}
	/* All three must be there in number, or nothing was compared. */
	CU_ASSERT(good > 2000 && lax > 200 && refused > 10000);
}

CHECK_MAIN("scan_peer", CHECK(every_difference_has_its_rule),
	   CHECK(json_c_refuses_what_is_not_on_its_list), CHECK(both_find_the_same),
	   CHECK(no_changed_document_tells_them_apart_otherwise))
