/* Member files halved and joined: every row is in exactly one of the new ones, in order, and what each weighs is told. */
#include "daemon/work/split.h"

#include <errno.h>

#include "tests/unit/job_scene.h"

static const struct load_limits limits = { .max_requests = 100, .max_bytes = 1000, .max_inputs = 100, .bytes_per_token = 4 };

/* Rows whose wire lengths are 10, 11, ... and whose inputs are 1, 2, ... */
static void make_rows(struct scene *scene, int64_t count)
{
	struct rows_writer rows;

	rows_writer_init(&rows, scene->vault, RECORD_ROWS);
	for (int64_t i = 0; i < count; i++) {
		const struct record_row row = { .wire_length = (uint32_t)(10 + i), .inputs = (uint32_t)(1 + i) };

		CU_ASSERT_EQUAL_FATAL(rows_write(&rows, &row, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&rows, SCENE_JOB, ROWS_NAME, NULL), 0);
}

static void make_members(struct scene *scene, int64_t shard, const char *text)
{
	auto_free char *name = rows_members_name(shard);
	struct rows_writer rows;

	rows_writer_init(&rows, scene->vault, RECORD_MEMBERS);
	for (; *text; text++)
		CU_ASSERT_EQUAL_FATAL(rows_write(&rows, &(struct record_member){ .row = (uint32_t)(*text - 'a') }, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&rows, SCENE_JOB, name, NULL), 0);
}

/* The rows of a shard as letters; "?" when there are none. The caller frees. */
static char *members(struct scene *scene, int64_t shard)
{
	auto_free char *name = rows_members_name(shard);
	struct rows_reader rows;
	struct buffer text = { 0 };

	if (rows_open(&rows, scene->vault, SCENE_JOB, name, RECORD_MEMBERS, NULL))
		return xstrdup("?");
	for (int64_t i = 0; i < rows.count; i++) {
		struct record_member member;
		char letter;

		CU_ASSERT_EQUAL_FATAL(rows_read(&rows, i, &member, NULL), 0);
		letter = (char)('a' + member.row);
		buffer_add(&text, &letter, 1);
	}
	rows_release(&rows);
	(void)buffer_text(&text);
	return text.data;
}

static int64_t sum(const char *text, int64_t first)
{
	int64_t total = 0;

	for (; *text; text++)
		total += first + *text - 'a';
	return total;
}

static void check_load(const char *row, const struct load *load, const char *text)
{
	int64_t tokens = 0;

	for (const char *at = text; *at; at++)
		tokens += (10 + *at - 'a' + 3) / 4;
	CHECK_ROW(row, load->requests == (int64_t)strlen(text));
	CHECK_ROW(row, load->bytes == sum(text, 10));
	CHECK_ROW(row, load->inputs == sum(text, 1));
	CHECK_ROW(row, load->tokens == tokens);
}

static void halves_have_every_row_once_and_in_order(void)
{
	/* clang-format off */
	static const struct { const char *whole, *first, *second; } cases[] = {
		{ "ab",        "a",    "b"     },
		{ "abc",       "a",    "bc"    },
		{ "bdfhjlnpr", "bdfh", "jlnpr" },
		{ "abcdefgh",  "abcd", "efgh"  },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene scene;
		struct load loads[2] = { { 0 } };
		auto_free char *first = NULL;
		auto_free char *second = NULL;
		auto_free char *whole = NULL;

		scene_begin(&scene);
		make_rows(&scene, 26);
		make_members(&scene, 3, cases[i].whole);
		CHECK_ROW(cases[i].whole, split_halve(scene.vault, SCENE_JOB, 3, 7, &limits, loads, NULL) == 0);
		first = members(&scene, 7);
		second = members(&scene, 8);
		whole = members(&scene, 3);
		CHECK_ROW(cases[i].whole, strcmp(first, cases[i].first) == 0);
		CHECK_ROW(cases[i].whole, strcmp(second, cases[i].second) == 0);
		CHECK_ROW(cases[i].whole, strcmp(whole, cases[i].whole) == 0);
		check_load(cases[i].whole, &loads[0], cases[i].first);
		check_load(cases[i].whole, &loads[1], cases[i].second);
		scene_end(&scene);
	}
}

static void what_cannot_be_halved_is_refused(void)
{
	/* clang-format off */
	static const struct { const char *name, *members; int64_t rows; int wanted; const char *words; } cases[] = {
		{ "one row",                "c",  26, -EINVAL,  "one row" },
		{ "no row",                 "",   26, -EINVAL,  "one row" },
		{ "a row that is not there", "ab", 1,  -EUCLEAN, "row 1" },
		{ "no members",             NULL, 26, -ENOENT,  "" },
		{ "no rows",                "ab", 0,  -ENOENT,  "" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene scene;
		struct load loads[2] = { { .requests = -7 } };
		struct error err = { 0 };

		scene_begin(&scene);
		if (cases[i].rows)
			make_rows(&scene, cases[i].rows);
		if (cases[i].members)
			make_members(&scene, 3, cases[i].members);
		CHECK_ROW(cases[i].name,
			  split_halve(scene.vault, SCENE_JOB, 3, 4, &limits, loads, &err) == cases[i].wanted);
		CHECK_ROW(cases[i].name, strstr(err.text, cases[i].words) && loads[0].requests == -7);
		scene_end(&scene);
	}
}

static void joined_rows_are_in_order(void)
{
	/* clang-format off */
	static const struct { const char *a, *b; int64_t into; int wanted; const char *joined; } cases[] = {
		{ "ace", "bdf", 9, 0,        "abcdef" },
		{ "abc", "def", 9, 0,        "abcdef" },
		{ "def", "abc", 9, 0,        "abcdef" },
		{ "az",  "m",   9, 0,        "amz"    },
		{ "",    "b",   9, 0,        "b"      },
		{ "ac",  "b",   1, 0,        "abc"    },
		{ "ac",  "b",   2, 0,        "abc"    },
		{ "ab",  "bc",  9, -EUCLEAN, "?"      },
		{ "ab",  "ab",  9, -EUCLEAN, "?"      },
		{ "ba",  "c",   9, -EUCLEAN, "?"      },
		{ "aa",  "c",   9, -EUCLEAN, "?"      },
		{ "aa",  "c",   2, -EUCLEAN, "c"      },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *row = xasprintf("%s + %s", cases[i].a, cases[i].b);
		auto_free char *joined = NULL;
		struct error err = { 0 };
		struct scene scene;

		scene_begin(&scene);
		make_members(&scene, 1, cases[i].a);
		make_members(&scene, 2, cases[i].b);
		CHECK_ROW(row, split_join(scene.vault, SCENE_JOB, 1, 2, cases[i].into, &err) == cases[i].wanted);
		CHECK_ROW(row, !cases[i].wanted == !*err.text);
		joined = members(&scene, cases[i].into);
		CHECK_ROW(row, strcmp(joined, cases[i].joined) == 0);
		scene_end(&scene);
	}
}

/* Beyond what the store holds in itself, so that the file that is read is the one that is replaced. */
static void a_large_file_is_joined_into_itself(void)
{
	struct scene scene;
	struct rows_reader rows;

	scene_begin(&scene);
	scene_members(&scene, 1, 0, 20000, 2);
	scene_members(&scene, 2, 1, 20000, 2);
	CU_ASSERT_EQUAL(split_join(scene.vault, SCENE_JOB, 1, 2, 1, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(rows_open(&rows, scene.vault, SCENE_JOB, "shard-1.rows", RECORD_MEMBERS, NULL), 0);
	CU_ASSERT_EQUAL(rows.count, 20000);
	for (int64_t i = 0; i < rows.count; i++) {
		struct record_member member = { 0 };

		CU_ASSERT_EQUAL(rows_read(&rows, i, &member, NULL), 0);
		CU_ASSERT_EQUAL(member.row, i);
	}
	rows_release(&rows);
	scene_end(&scene);
}

static void rows_are_dealt_to_as_many_shards_as_limits_ask_for(void)
{
	/* clang-format off */
	static const struct {
		const char *name, *whole;
		struct load_limits limits;
		const char *parts[4], *rest;
	} cases[] = {
		{ "all in one",   "abcdef", { 100, 1000, 100, 0, 4, 0, 0 }, { "abcdef" },           "" },
		{ "by requests",  "abcdef", { 4, 1000, 100, 0, 4, 0, 0 },   { "abcd", "ef" },       "" },
		{ "by bytes",     "abcdef", { 4, 33, 100, 0, 4, 0, 0 },     { "abc", "de", "f" },   "" },
		{ "by inputs",    "abcdef", { 4, 1000, 7, 0, 4, 0, 0 },     { "abc", "d", "e", "f" }, "" },
		{ "by tokens",    "abcdef", { 4, 1000, 100, 8, 4, 0, 0 },   { "ab", "cd", "ef" },   "" },
		{ "some too large", "abcdef", { 2, 13, 100, 0, 4, 0, 0 },   { "a", "b", "c", "d" }, "ef" },
		{ "one too large in between", "bza", { 2, 30, 100, 0, 4, 0, 0 }, { "ba" },          "z" },
		{ "all too large", "abcdef", { 4, 9, 100, 0, 4, 0, 0 },     { NULL },               "abcdef" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		for (int64_t first = 3; first < 9; first += 5) {
			auto_split_parts parts = { 0 };
			struct scene scene;
			size_t count = 0;

			scene_begin(&scene);
			make_rows(&scene, 26);
			make_members(&scene, 3, cases[i].whole);
			CHECK_ROW(cases[i].name, split_fit(scene.vault, SCENE_JOB, 3, first, &cases[i].limits, &limits, &parts,
							   NULL) == 0);
			for (; count < 4 && cases[i].parts[count]; count++) {
				auto_free char *part = members(&scene, first + (int64_t)count);

				CHECK_ROW(cases[i].name, strcmp(part, cases[i].parts[count]) == 0);
				if (count < parts.count)
					check_load(cases[i].name, &parts.loads[count], part);
			}
			CHECK_ROW(cases[i].name, parts.count == count);
			CHECK_ROW(cases[i].name, parts.rest.requests == (int64_t)strlen(cases[i].rest));
			if (count && *cases[i].rest) {
				auto_free char *rest = members(&scene, first + (int64_t)count);

				CHECK_ROW(cases[i].name, strcmp(rest, cases[i].rest) == 0);
				check_load(cases[i].name, &parts.rest, rest);
			}
			scene_end(&scene);
		}
	}
}

static void damage_is_told(void)
{
	struct split_parts parts = { .count = 7 };
	struct scene scene;
	struct load loads[2];
	struct error err = { 0 };

	scene_begin(&scene);
	make_rows(&scene, 26);
	make_members(&scene, 1, "abcd");
	make_members(&scene, 2, "ef");
	scene_damage(&scene, "shard-1.rows", RECORD_HEADER_SIZE + 2 * record_size(RECORD_MEMBERS));
	CU_ASSERT_EQUAL(split_halve(scene.vault, SCENE_JOB, 1, 3, &limits, loads, &err), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "shard-1.rows"));
	CU_ASSERT_EQUAL(split_join(scene.vault, SCENE_JOB, 2, 1, 3, &err), -EUCLEAN);
	CU_ASSERT_EQUAL(split_fit(scene.vault, SCENE_JOB, 1, 3, &limits, &limits, &parts, &err), -EUCLEAN);
	CU_ASSERT(parts.count == 7);
	CU_ASSERT_EQUAL(split_fit(scene.vault, SCENE_JOB, 5, 6, &limits, &limits, &parts, &err), -ENOENT);
	scene_end(&scene);
}

CHECK_MAIN("split", CHECK(halves_have_every_row_once_and_in_order), CHECK(what_cannot_be_halved_is_refused),
	   CHECK(joined_rows_are_in_order), CHECK(a_large_file_is_joined_into_itself),
	   CHECK(rows_are_dealt_to_as_many_shards_as_limits_ask_for), CHECK(damage_is_told))
