#include <errno.h>
#include <sys/resource.h>

#include "daemon/work/cut.h"
#include "daemon/work/intake.h"
#include "tests/unit/job_scene.h"

#define MANY     200000
#define NO_LIMIT INT64_MAX

DEFINE_CLEANUP(struct cut *, cut_free)

/* Rows of these groups, of 100 bytes and one input unless said otherwise. */
static void keep_rows(struct scene *scene, const struct record_row *rows, size_t count)
{
	auto_rows_writer writer;

	rows_writer_init(&writer, scene->vault, RECORD_ROWS);
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL_FATAL(rows_write(&writer, &rows[i], NULL), 0);
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&writer, SCENE_JOB, ROWS_NAME, NULL), 0);
}

/* All groups have the same limits. */
static int begin_cut(struct scene *scene, int64_t first, bool has_skipped, const struct load_limits *limits,
		     struct cut **ret_cut, struct error *err)
{
	static struct load_limits all[INTAKE_MAX_GROUPS];

	for (size_t i = 0; i < INTAKE_MAX_GROUPS; i++)
		all[i] = *limits;
	return cut_new(scene->vault, SCENE_JOB, first, has_skipped, all, INTAKE_MAX_GROUPS, ret_cut, err);
}

/* How many slices it took; negative: an error. */
static int64_t cut_all(struct scene *scene, const struct load_limits *limits, struct cut **ret_cut)
{
	int64_t slices = 1;
	int r = begin_cut(scene, 1, false, limits, ret_cut, NULL);

	while (!r && (r = cut_slice(*ret_cut, NULL)) > 0) {
		slices++;
		r = 0;
	}
	return r ? r : slices;
}

/* The members of a shard as text: "0 2 3". */
static char *members_text(struct scene *scene, int64_t number)
{
	auto_free char *name = rows_members_name(number);
	auto_rows reader = {0};
	auto_buffer text = {0};
	struct record_member member;

	if (rows_open(&reader, scene->vault, SCENE_JOB, name, RECORD_MEMBERS, NULL))
		return xstrdup("none");
	for (int64_t i = 0; i < reader.count; i++) {
		CU_ASSERT_EQUAL_FATAL(rows_read(&reader, i, &member, NULL), 0);
		buffer_add_format(&text, i ? " %u" : "%u", member.row);
	}
	return xstrdup(buffer_text(&text));
}

/* One digit a row: its group. All rows have 100 bytes, 10 inputs and 34 tokens. */
/* clang-format off */
static const struct {
	const char *groups;
	struct load_limits limits;
	const char *shards; /* group:members, by number */
} limited[] = {
	{ "0",       { NO_LIMIT, NO_LIMIT, NO_LIMIT, 0, 3, 0, 0 },   "0:0" },
	{ "00000",   { NO_LIMIT, NO_LIMIT, NO_LIMIT, 0, 3, 0, 0 },   "0:0 1 2 3 4" },
	{ "00000",   { 5, NO_LIMIT, NO_LIMIT, 0, 3, 0, 0 },          "0:0 1 2 3 4" },
	{ "00000",   { 4, NO_LIMIT, NO_LIMIT, 0, 3, 0, 0 },          "0:0 1 2 3|0:4" },
	{ "00000",   { 1, NO_LIMIT, NO_LIMIT, 0, 3, 0, 0 },          "0:0|0:1|0:2|0:3|0:4" },
	{ "00000",   { NO_LIMIT, 300, NO_LIMIT, 0, 3, 0, 0 },        "0:0 1 2|0:3 4" },
	{ "00000",   { NO_LIMIT, 299, NO_LIMIT, 0, 3, 0, 0 },        "0:0 1|0:2 3|0:4" },
	{ "000",     { NO_LIMIT, 100, NO_LIMIT, 0, 3, 0, 0 },        "0:0|0:1|0:2" },
	{ "00000",   { NO_LIMIT, NO_LIMIT, 20, 0, 3, 0, 0 },         "0:0 1|0:2 3|0:4" },
	{ "00000",   { NO_LIMIT, NO_LIMIT, 29, 0, 3, 0, 0 },         "0:0 1|0:2 3|0:4" },
	{ "000",     { NO_LIMIT, NO_LIMIT, 10, 0, 3, 0, 0 },         "0:0|0:1|0:2" },
	{ "00000",   { NO_LIMIT, NO_LIMIT, NO_LIMIT, 102, 3, 0, 0 }, "0:0 1 2|0:3 4" },
	{ "00000",   { NO_LIMIT, NO_LIMIT, NO_LIMIT, 101, 3, 0, 0 }, "0:0 1|0:2 3|0:4" },
	{ "0000000", { 4, 300, 30, 69, 3, 0, 0 },                    "0:0 1|0:2 3|0:4 5|0:6" },
	{ "0120210", { NO_LIMIT, NO_LIMIT, NO_LIMIT, 0, 3, 0, 0 },   "0:0 3 6|1:1 5|2:2 4" },
	{ "0120210", { 2, NO_LIMIT, NO_LIMIT, 0, 3, 0, 0 },          "0:0 3|1:1 5|2:2 4|0:6" },
	{ "2210000", { 2, NO_LIMIT, NO_LIMIT, 0, 3, 0, 0 },          "2:0 1|1:2|0:3 4|0:5 6" },
};
/* clang-format on */

static void begins_a_shard_where_the_last_one_is_full(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(limited); i++) {
		auto_with(cut_free) struct cut *cut = NULL;
		size_t count = strlen(limited[i].groups);
		struct record_row *list = xcalloc(count, sizeof(*list));
		const struct cut_shard *shards;
		auto_buffer text = {0};
		struct scene scene;

		scene_begin(&scene);
		for (size_t k = 0; k < count; k++)
			list[k] = (struct record_row){
				.wire_length = 100,
				.inputs = 10,
				.group = (uint16_t)(limited[i].groups[k] - '0'),
			};
		keep_rows(&scene, list, count);
		CHECK_ROW(limited[i].shards, cut_all(&scene, &limited[i].limits, &cut) > 0);
		shards = cut_shards(cut, &count);
		for (size_t k = 0; k < count; k++) {
			auto_free char *members = members_text(&scene, (int64_t)k + 1);

			buffer_add_format(&text, k ? "|%u:%s" : "%u:%s", shards[k].group, members);
			CHECK_ROW(limited[i].shards, shards[k].number == (int64_t)k + 1);
			CHECK_ROW(limited[i].shards, shards[k].excess == LOAD_FITS);
			CHECK_ROW(limited[i].shards, shards[k].load.bytes == 100 * shards[k].load.requests);
			CHECK_ROW(limited[i].shards, shards[k].load.inputs == 10 * shards[k].load.requests);
			CHECK_ROW(limited[i].shards, shards[k].load.tokens == 34 * shards[k].load.requests);
		}
		CU_ASSERT_STRING_EQUAL(buffer_text(&text), limited[i].shards);
		free(list);
		scene_end(&scene);
	}
}

static struct record_row *many_rows(void)
{
	struct record_row *rows = xcalloc(MANY, sizeof(*rows));

	for (size_t i = 0; i < MANY; i++)
		rows[i] = (struct record_row){
			.wire_length = 500 + (uint32_t)(i * 7919 % 1000),
			.inputs = (uint32_t)(i % 3),
			.group = (uint16_t)(i % 10 ? (i * 31337 % INTAKE_MAX_GROUPS) : 0),
		};
	return rows;
}

/* Compares every member of every shard with what the rows say; returns how many rows there were. */
static int64_t check_shards(struct scene *scene, struct cut *cut, const struct record_row *rows,
			    const struct load_limits *limits)
{
	size_t count;
	const struct cut_shard *shards = cut_shards(cut, &count);
	bool *is_dealt = xcalloc(MANY, sizeof(*is_dealt));
	int64_t total = 0;

	for (size_t i = 0; i < count; i++) {
		auto_free char *name = rows_members_name(shards[i].number);
		struct cut_shard sum = {.number = (int64_t)i + 1, .group = shards[i].group};
		int64_t last = -1;
		auto_rows reader = {0};

		CU_ASSERT_EQUAL_FATAL(
			rows_open(&reader, scene->vault, SCENE_JOB, name, RECORD_MEMBERS, NULL), 0);
		CU_ASSERT_EQUAL(reader.count, shards[i].load.requests);
		for (int64_t k = 0; k < reader.count; k++) {
			struct record_member member = {.row = MANY};
			struct load load;

			CU_ASSERT_EQUAL_FATAL(rows_read(&reader, k, &member, NULL), 0);
			CU_ASSERT_FATAL(member.row > last && member.row < MANY &&
					!is_dealt[member.row]);
			is_dealt[member.row] = true;
			last = member.row;
			load = load_of_request(limits, rows[member.row].wire_length, rows[member.row].inputs);
			load_add(&sum.load, &load);
			CU_ASSERT_EQUAL(rows[member.row].group, sum.group);
		}
		CU_ASSERT(sum.number == shards[i].number &&
			  memcmp(&sum.load, &shards[i].load, sizeof(sum.load)) == 0);
		CU_ASSERT(load_has_room(limits, &sum.load, &(struct load){0}));
		total += reader.count;
	}
	free(is_dealt);
	return total;
}

static void deals_a_thousand_groups_with_few_descriptors(void)
{
	/* Group 0 has shards of many blocks, the others of less than one; some are blobs. */
	static const struct load_limits limits[] = {
		{ NO_LIMIT, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 }, { 5000, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 },
		{ 1024, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 },     { 1023, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 },
		{ 250, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 },      { 50000, 5000000, NO_LIMIT, 0, 1, 0, 0 },
		{ 50000, NO_LIMIT, 4000, 0, 1, 0, 0 },        { 50000, 5000000, 4000, 1000000, 4, 0, 0 },
	};
	const struct rlimit few = {.rlim_cur = 64, .rlim_max = 64};
	struct record_row *rows = many_rows();

	CU_ASSERT_EQUAL_FATAL(setrlimit(RLIMIT_NOFILE, &few), 0);
	for (size_t i = 0; i < ARRAY_SIZE(limits); i++) {
		auto_with(cut_free) struct cut *cut = NULL;
		struct scene scene;

		scene_begin(&scene);
		keep_rows(&scene, rows, MANY);
		CU_ASSERT_FATAL(cut_all(&scene, &limits[i], &cut) > MANY / 20000);
		CU_ASSERT_EQUAL(check_shards(&scene, cut, rows, &limits[i]), MANY);
		scene_end(&scene);
	}
	free(rows);
}

static void deals_a_long_shard_in_many_blocks(void)
{
	const struct load_limits limits = { 50000, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 };
	auto_with(cut_free) struct cut *cut = NULL;
	struct record_row *rows = many_rows();
	struct scene scene;

	scene_begin(&scene);
	for (size_t i = 0; i < MANY; i++)
		rows[i].group = 7;
	keep_rows(&scene, rows, MANY);
	CU_ASSERT_FATAL(cut_all(&scene, &limits, &cut) > 0);
	CU_ASSERT_EQUAL(check_shards(&scene, cut, rows, &limits), MANY);
	free(rows);
	scene_end(&scene);
}

static void cuts_the_same_again(void)
{
	const struct load_limits first = { 2000, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 };
	const struct load_limits then = { 3000, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 };
	struct record_row *rows = many_rows();
	struct scene scene;

	scene_begin(&scene);
	keep_rows(&scene, rows, MANY);
	for (int i = 0; i < 3; i++) {
		auto_with(cut_free) struct cut *cut = NULL;

		/* What another cut left, in files or in the store, is replaced. */
		CU_ASSERT_FATAL(cut_all(&scene, i == 1 ? &then : &first, &cut) > 0);
		CU_ASSERT_EQUAL(check_shards(&scene, cut, rows, i == 1 ? &then : &first), MANY);
	}
	free(rows);
	scene_end(&scene);
}

static void numbers_shards_from_the_first(void)
{
	static const struct load_limits limits = { 2, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 };
	static const struct record_row rows[3] = {
		{.wire_length = 1}, {.wire_length = 1}, {.wire_length = 1}};
	auto_with(cut_free) struct cut *cut = NULL;
	auto_free char *one = NULL;
	auto_free char *ten = NULL;
	auto_free char *eleven = NULL;
	struct scene scene;
	size_t count;

	scene_begin(&scene);
	keep_rows(&scene, rows, 3);
	CU_ASSERT_EQUAL_FATAL(begin_cut(&scene, 10, false, &limits, &cut, NULL), 0);
	CU_ASSERT_EQUAL(cut_slice(cut, NULL), 0);
	CU_ASSERT_EQUAL(cut_shards(cut, &count)[1].number, 11);
	CU_ASSERT_EQUAL(count, 2);
	one = members_text(&scene, 1);
	ten = members_text(&scene, 10);
	eleven = members_text(&scene, 11);
	CU_ASSERT_STRING_EQUAL(one, "none");
	CU_ASSERT_STRING_EQUAL(ten, "0 1");
	CU_ASSERT_STRING_EQUAL(eleven, "2");
	scene_end(&scene);
}

static void refuses_rows_that_are_missing_or_damaged(void)
{
	static const struct load_limits limits = { 2, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 };
	static const struct record_row rows[2] = {{.wire_length = 1},
						  {.group = INTAKE_MAX_GROUPS, .wire_length = 1}};
	struct error err = {0};
	struct scene scene;

	for (int i = 0; i < 3; i++) {
		auto_with(cut_free) struct cut *cut = NULL;

		scene_begin(&scene);
		if (i > 0)
			keep_rows(&scene, rows, 2);
		if (i == 1)
			scene_damage(&scene, ROWS_NAME, RECORD_HEADER_SIZE + 60);
		CU_ASSERT_EQUAL(begin_cut(&scene, 1, false, &limits, &cut, &err),
				i ? 0 : -ENOENT);
		if (cut) {
			CU_ASSERT_EQUAL(cut_slice(cut, &err), -EUCLEAN);
			CU_ASSERT_STRING_EQUAL(err.text, "rows of job 1 is damaged at record 1");
		}
		scene_end(&scene);
	}
}

static void tells_when_it_cannot_write(void)
{
	const struct load_limits limits = { 5000, NO_LIMIT, NO_LIMIT, 0, 1, 0, 0 };
	auto_with(cut_free) struct cut *cut = NULL;
	struct record_row *rows = many_rows();
	auto_free char *path = NULL;
	struct error err = {0};
	struct scene scene;
	int r = 1;

	scene_begin(&scene);
	path = xasprintf("%s/tmp", scene.folder);
	keep_rows(&scene, rows, MANY);
	CU_ASSERT_EQUAL_FATAL(begin_cut(&scene, 1, false, &limits, &cut, &err), 0);
	CU_ASSERT_EQUAL_FATAL(rmdir(path), 0);
	while (r > 0)
		r = cut_slice(cut, &err);
	CU_ASSERT_EQUAL(r, -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/tmp"));
	free(rows);
	scene_end(&scene);
}

/* The kinds of a row: f fits, b has too many bytes, i too many inputs, t too many tokens, w is wrong and skipped. */
static struct record_row row_of_kind(char kind, uint16_t group)
{
	return (struct record_row){
		.wire_length = kind == 'b' ? 1001 : kind == 't' ? 701 : kind == 'w' ? 0 : 100,
		.inputs = kind == 'i' ? 21 : 1,
		.group = group,
	};
}

static void rows_beyond_a_limit_have_shards_of_their_own(void)
{
	static const struct load_limits limits = { 3, 1000, 20, 700, 1, 0, 0 };
	/* clang-format off */
	static const struct { const char *kinds, *groups, *shards; } cases[] = {
		{ "b",         "0",         "0b:0" },
		{ "bbbb",      "0000",      "0b:0 1 2|0b:3" },
		{ "fbf",       "000",       "0f:0 2|0b:1" },
		{ "fbitfbit",  "00000000",  "0f:0 4|0b:1 5|0i:2 6|0t:3 7" },
		{ "fbfbi",     "01010",     "0f:0 2|1b:1 3|0i:4" },
		{ "wfw",       "000",       "0f:1" },
		{ "wwfwwb",    "000000",    "0f:2|0b:5" },
		{ "fwb",       "000",       "0f:0|0b:2" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_with(cut_free) struct cut *cut = NULL;
		size_t count = strlen(cases[i].kinds);
		bool has_skipped = strchr(cases[i].kinds, 'w');
		struct record_row rows[10];
		const struct cut_shard *shards;
		auto_rows_writer skipped;
		auto_buffer text = {0};
		struct scene scene;

		scene_begin(&scene);
		rows_writer_init(&skipped, scene.vault, RECORD_MEMBERS);
		for (uint32_t k = 0; k < count; k++) {
			rows[k] = row_of_kind(cases[i].kinds[k], (uint16_t)(cases[i].groups[k] - '0'));
			if (cases[i].kinds[k] == 'w')
				(void)rows_write(&skipped, &(struct record_member){.row = k}, NULL);
		}
		keep_rows(&scene, rows, count);
		CU_ASSERT_EQUAL(rows_writer_keep(&skipped, SCENE_JOB, "shard-1.rows", NULL), 0);
		CU_ASSERT_EQUAL_FATAL(begin_cut(&scene, 2, has_skipped, &limits, &cut, NULL), 0);
		CHECK_ROW(cases[i].kinds, cut_slice(cut, NULL) == 0);
		shards = cut_shards(cut, &count);
		for (size_t k = 0; k < count; k++) {
			auto_free char *members = members_text(&scene, (int64_t)k + 2);

			buffer_add_format(&text, k ? "|%u%c:%s" : "%u%c:%s", shards[k].group,
					  "fbit"[shards[k].excess], members);
		}
		CU_ASSERT_STRING_EQUAL(buffer_text(&text), cases[i].shards);
		scene_end(&scene);
	}
}

static void a_wrong_row_that_no_shard_has_is_damage(void)
{
	static const struct load_limits limits = { 3, 1000, 20, 700, 1, 0, 0 };
	static const struct record_row rows[] = {{.wire_length = 1}, {.wire_length = 0}};
	auto_with(cut_free) struct cut *cut = NULL;
	struct scene scene;

	scene_begin(&scene);
	keep_rows(&scene, rows, 2);
	CU_ASSERT_EQUAL(begin_cut(&scene, 2, true, &limits, &cut, NULL), -ENOENT);
	CU_ASSERT_EQUAL_FATAL(begin_cut(&scene, 1, false, &limits, &cut, NULL), 0);
	CU_ASSERT_EQUAL(cut_slice(cut, NULL), -EUCLEAN);
	scene_end(&scene);
}

CHECK_MAIN("cut", CHECK(rows_beyond_a_limit_have_shards_of_their_own), CHECK(a_wrong_row_that_no_shard_has_is_damage),
 CHECK(begins_a_shard_where_the_last_one_is_full),
	   CHECK(deals_a_thousand_groups_with_few_descriptors),
	   CHECK(deals_a_long_shard_in_many_blocks), CHECK(cuts_the_same_again),
	   CHECK(numbers_shards_from_the_first), CHECK(refuses_rows_that_are_missing_or_damaged),
	   CHECK(tells_when_it_cannot_write))
