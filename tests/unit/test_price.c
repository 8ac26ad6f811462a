#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/model/price.h"
#include "tests/unit/check.h"

static void reads_prices_as_people_write_them(void)
{
	/* clang-format off */
	static const struct { const char *text; int status; int64_t price; } rows[] = {
		{ "0", 0, 0 },				{ "2", 0, 2000000 },		{ "2.5", 0, 2500000 },
		{ "0.15", 0, 150000 },			{ "0.000001", 0, 1 },		{ "10.123456", 0, 10123456 },
		{ "007", 0, 7000000 },			{ "1000000", 0, 1000000000000 },
		{ "1000000.000001", -ERANGE, -1 },	{ "1000001", -ERANGE, -1 },
		{ "99999999999999999999999", -ERANGE, -1 },
		{ "", -EINVAL, -1 },	{ ".", -EINVAL, -1 },	{ ".5", -EINVAL, -1 },	{ "5.", -EINVAL, -1 },
		{ "-1", -EINVAL, -1 },	{ "+1", -EINVAL, -1 },	{ " 1", -EINVAL, -1 },	{ "1 ", -EINVAL, -1 },
		{ "1e3", -EINVAL, -1 },	{ "1,5", -EINVAL, -1 },	{ "0x1", -EINVAL, -1 },	{ "1.2.3", -EINVAL, -1 },
		{ "1.1234567", -EINVAL, -1 },		{ "$1", -EINVAL, -1 },		{ "nan", -EINVAL, -1 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t price = -1;

		CHECK_ROW(rows[i].text, price_parse(rows[i].text, &price) == rows[i].status);
		CHECK_ROW(rows[i].text, price == rows[i].price);
	}
}

static void knows_which_models_a_name_with_stars_means(void)
{
	/* clang-format off */
	static const struct { const char *pattern, *name; bool fits; } rows[] = {
		{ "gpt-4o", "gpt-4o", true },		{ "gpt-4o", "gpt-4o-mini", false },	{ "gpt-4o", "xgpt-4o", false },
		{ "gpt-4o*", "gpt-4o-mini", true },	{ "gpt-4o*", "gpt-4o", true },		{ "*", "", true },
		{ "*", "anything", true },		{ "**", "x", true },			{ "", "", true },
		{ "", "x", false },			{ "a*b*c", "a12b34c", true },		{ "a*b*c", "abcbc", true },
		{ "a*b*c", "abcb", false },		{ "*mini", "mini-mini", true },		{ "*mini", "mini-maxi", false },
		{ "a?c", "abc", false },		{ "[a]", "a", false },			{ "[a]", "[a]", true },
		{ "*a*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_ROW(rows[i].pattern, price_name_fits(rows[i].pattern, rows[i].name) == rows[i].fits);
}

static void computes_what_tokens_cost(void)
{
	/* clang-format off */
	static const struct { const char *name; int64_t input, input_price, output, output_price, discount, cost; } rows[] = {
		{ "nothing",			0, 2500000, 0, 10000000, 5000, 0 },
		{ "a million in, no discount",	1000000, 2500000, 0, 10000000, 0, 2500000 },
		{ "half price",			1000000, 2500000, 1000000, 10000000, 5000, 6250000 },
		{ "all of it off",		1000000, 2500000, 1000000, 10000000, 10000, 0 },
		{ "0.01 % off",			1000000, 10000000, 0, 0, 1, 9999000 },
		{ "one token of 2.50: 2.5",	1, 2500000, 0, 0, 0, 3 },
		{ "one token of 2.49: 2.49",	1, 2490000, 0, 0, 0, 2 },
		{ "below half a millionth",	1, 499999, 0, 0, 0, 0 },
		{ "halves of both add up",	1, 500000, 1, 500000, 0, 1 },
		{ "no price",			INT64_MAX, 0, INT64_MAX, 0, 0, 0 },
		{ "negative tokens",		-5, 2500000, 1000000, 1000000, 0, 1000000 },
		{ "a price of one millionth",	INT64_MAX, 1, 0, 0, 0, 9223372036855 },
		{ "just what fits",		INT64_MAX, 1000000, 0, 0, 0, INT64_MAX },
		{ "more than fits",		INT64_MAX, 1000001, 0, 0, 0, INT64_MAX },
		{ "most of everything",		INT64_MAX, PRICE_MAX, INT64_MAX, PRICE_MAX, 0, INT64_MAX },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_ROW(rows[i].name, price_cost(rows[i].input, rows[i].input_price, rows[i].output,
						   rows[i].output_price, rows[i].discount) == rows[i].cost);
}

static void adds_without_passing_the_end(void)
{
	CU_ASSERT(price_add(1, 2) == 3);
	CU_ASSERT(price_add(INT64_MAX, 1) == INT64_MAX);
	CU_ASSERT(price_add(INT64_MAX, INT64_MAX) == INT64_MAX);
}

static void shows_prices_exactly_and_costs_rounded(void)
{
	/* clang-format off */
	static const struct { int64_t amount; const char *price, *cost; } rows[] = {
		{ 0, "0", "0.0000" },			{ 1, "0.000001", "0.0000" },
		{ 49, "0.000049", "0.0000" },		{ 50, "0.00005", "0.0001" },
		{ 149, "0.000149", "0.0001" },		{ 150, "0.00015", "0.0002" },
		{ 1234500, "1.2345", "1.2345" },	{ 1234549, "1.234549", "1.2345" },
		{ 1234550, "1.23455", "1.2346" },	{ 2500000, "2.5", "2.5000" },
		{ 10000000, "10", "10.0000" },		{ 999999, "0.999999", "1.0000" },
		{ 100, "0.0001", "0.0001" },		{ 1000000000000, "1000000", "1000000.0000" },
		{ INT64_MAX, "9223372036854.775807", "9223372036854.7758" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *price = price_show(rows[i].amount);
		auto_free char *cost = price_show_cost(rows[i].amount);

		CHECK_ROW(price, strcmp(price, rows[i].price) == 0);
		CHECK_ROW(cost, strcmp(cost, rows[i].cost) == 0);
	}
}

static void reads_back_what_it_shows(void)
{
	for (int64_t price = 0; price <= PRICE_MAX; price = price * 3 + 7) {
		auto_free char *text = price_show(price);
		int64_t again = -1;

		CHECK_ROW(text, price_parse(text, &again) == 0 && again == price);
	}
}

CHECK_MAIN("price", CHECK(reads_prices_as_people_write_them),
	   CHECK(knows_which_models_a_name_with_stars_means), CHECK(computes_what_tokens_cost),
	   CHECK(adds_without_passing_the_end), CHECK(shows_prices_exactly_and_costs_rounded),
	   CHECK(reads_back_what_it_shows))
