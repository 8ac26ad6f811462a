#include "daemon/model/load.h"

#include <string.h>

#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

static const struct load_limits limits = {
	.max_requests = 10,
	.max_bytes = 1000,
	.max_inputs = 20,
	.max_tokens = 100,
	.bytes_per_token = 4,
};

static void estimates_tokens_of_each_request_rounded_up(void)
{
	static const struct {
		int64_t bytes, bytes_per_token, tokens;
	} rows[] = {{0, 4, 0}, {1, 4, 1}, {4, 4, 1}, {5, 4, 2}, {400, 4, 100}, {401, 4, 101}, {7, 1, 7}};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct load_limits own = {.bytes_per_token = rows[i].bytes_per_token};
		struct load load = load_of_request(&own, rows[i].bytes, 3);

		CU_ASSERT_EQUAL(load.requests, 1);
		CU_ASSERT_EQUAL(load.bytes, rows[i].bytes);
		CU_ASSERT_EQUAL(load.inputs, 3);
		CU_ASSERT_EQUAL(load.tokens, rows[i].tokens);
	}
}

static void adds_all_four(void)
{
	struct load load = {1, 20, 3, 5};

	load_add(&load, &(struct load){10, 200, 30, 50});
	CU_ASSERT(load.requests == 11 && load.bytes == 220 && load.inputs == 33 && load.tokens == 55);
}

/* clang-format off */
static const struct {
	const char *name;
	struct load load, more;
	bool has_room;
} rooms[] = {
	{ "nothing yet",            { 0, 0, 0, 0 },       { 1, 100, 1, 25 }, true },
	{ "filled to the brim",     { 9, 900, 19, 75 },   { 1, 100, 1, 25 }, true },
	{ "one request too many",   { 10, 900, 19, 75 },  { 1, 100, 1, 25 }, false },
	{ "one byte too many",      { 9, 901, 19, 75 },   { 1, 100, 1, 25 }, false },
	{ "one input too many",     { 9, 900, 20, 75 },   { 1, 100, 1, 25 }, false },
	{ "one token too many",     { 9, 900, 19, 76 },   { 1, 100, 1, 25 }, false },
	{ "beyond them by itself",  { 0, 0, 0, 0 },       { 1, 1001, 0, 1 }, false },
	{ "no overflow",            { 9, 900, 19, 75 },   { INT64_MAX, INT64_MAX, INT64_MAX, INT64_MAX }, false },
};

static const struct {
	struct load load;
	enum load_excess excess;
	const char *code;
	const char *words;
} excesses[] = {
	{ { 1, 1000, 20, 100 }, LOAD_FITS,            NULL, NULL },
	{ { 1, 1001, 0, 1 },    LOAD_TOO_MANY_BYTES,  "request_too_large",
	  "By itself this request has more bytes than a batch may have (max_bytes, 1000)." },
	{ { 1, 1001, 21, 101 }, LOAD_TOO_MANY_BYTES,  "request_too_large",
	  "By itself this request has more bytes than a batch may have (max_bytes, 1000)." },
	{ { 1, 10, 21, 101 },   LOAD_TOO_MANY_INPUTS, "too_many_inputs",
	  "By itself this request has more embedding inputs than a batch may have (max_inputs, 20)." },
	{ { 1, 10, 20, 101 },   LOAD_TOO_MANY_TOKENS, "too_many_tokens",
	  "By itself this request has more tokens (by estimation) than a batch may have (max_tokens, 100)." },
};
/* clang-format on */

static void holds_every_limit_at_once(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++)
		CHECK_ROW(rooms[i].name,
			  load_has_room(&limits, &rooms[i].load, &rooms[i].more) == rooms[i].has_room);
}

static void a_limit_of_no_tokens_is_none(void)
{
	const struct load_limits own = { 10, 1000, 20, 0, 4, 0, 0 };
	const struct load much = {1, 10, 0, INT64_MAX};

	CU_ASSERT_TRUE(load_has_room(&own, &much, &(struct load){1, 10, 0, 1}));
	CU_ASSERT_EQUAL(load_excess_of(&own, &much), LOAD_FITS);
}

/* A url that is another one on the wire counts as what it is there; tokens are estimated from what was given. */
static void counts_the_bytes_of_another_url(void)
{
	struct load_limits own = { 10, 100, 20, 0, 4, 0, 7 };

	CU_ASSERT_EQUAL(load_of_request(&own, 93, 0).bytes, 100);
	CU_ASSERT_EQUAL(load_of_request(&own, 93, 0).tokens, 24);
	own.growth = -3;
	CU_ASSERT_EQUAL(load_of_request(&own, 93, 0).bytes, 90);
}

static void names_the_first_limit_that_a_request_is_beyond(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(excesses); i++) {
		enum load_excess excess = load_excess_of(&limits, &excesses[i].load);
		auto_free char *words = NULL;

		CU_ASSERT_EQUAL_FATAL(excess, excesses[i].excess);
		if (!excesses[i].code) {
			CU_ASSERT_PTR_NULL(load_excess_code(excess));
			continue;
		}
		words = load_excess_words(excess, &limits);
		CU_ASSERT_STRING_EQUAL(load_excess_code(excess), excesses[i].code);
		CU_ASSERT_STRING_EQUAL(words, excesses[i].words);
	}
}

CHECK_MAIN("load", CHECK(estimates_tokens_of_each_request_rounded_up), CHECK(adds_all_four),
	   CHECK(holds_every_limit_at_once), CHECK(a_limit_of_no_tokens_is_none),
	   CHECK(counts_the_bytes_of_another_url),
	   CHECK(names_the_first_limit_that_a_request_is_beyond))
