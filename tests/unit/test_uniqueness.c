#include <errno.h>

#include "daemon/work/sorter.h"
#include "daemon/work/uniqueness.h"
#include "tests/unit/job_scene.h"

#define MANY 200000 /* ids: more than memory sorts at once */

struct repeats {
	uint32_t *first_lines; /* by line; 0: it repeats nothing */
	int64_t count;
	char last[REQUEST_MAX_CUSTOM_ID + 1];
};

static int note_repeat(const struct uniqueness_repeat *repeat, void *context, struct error *err)
{
	struct repeats *repeats = context;

	(void)err;
	repeats->count++;
	memcpy(repeats->last, repeat->id, repeat->size);
	repeats->last[repeat->size] = '\0';
	CU_ASSERT_EQUAL(repeats->first_lines[repeat->line], 0);
	repeats->first_lines[repeat->line] = repeat->first_line;
	return 0;
}

/* How many slices it took; negative: an error. */
static int64_t compare_all(struct uniqueness *uniqueness)
{
	int64_t slices = 1;
	int r;

	while ((r = uniqueness_slice(uniqueness, NULL)) > 0)
		slices++;
	return r ? r : slices;
}

/* An input that is nothing but strings: id after id, in quotes. */
static struct vault_reader input_of(struct buffer *buffer)
{
	return (struct vault_reader){.data = buffer->data, .fd = -1, .size = (int64_t)buffer->size};
}

/* Gives each of count lines the id that id_of says and the hash that hash_of says, and compares
 * them. */
static int64_t judge(size_t count, uint32_t (*id_of)(uint32_t line),
		     uint64_t (*hash_of)(uint32_t id), struct repeats *repeats)
{
	struct scene scene;
	auto_buffer text = {0};
	struct vault_reader input;
	struct uniqueness *uniqueness;
	size_t *places = xcalloc(count + 2, sizeof(*places));
	int64_t slices;

	scene_begin(&scene);
	for (uint32_t line = 1; line <= count; line++) {
		places[line] = text.size;
		/* As long as a request is at least: more ids than an input has room for are no
		 * input's. */
		buffer_add_format(&text, "\"%064u\"", id_of(line));
	}
	places[count + 1] = text.size;
	input = input_of(&text);
	repeats->first_lines = xcalloc(count + 1, sizeof(*repeats->first_lines));
	uniqueness = uniqueness_new(scene.vault, &input, note_repeat, repeats);
	for (uint32_t line = 1; line <= count; line++) {
		struct sorter_entry entry = {
			.hash = hash_of(id_of(line)),
			.id_at = places[line] + 1,
			.id_size = (uint32_t)(places[line + 1] - places[line] - 2),
			.line = line,
		};

		CU_ASSERT_EQUAL_FATAL(uniqueness_add(uniqueness, &entry, NULL), 0);
	}
	slices = compare_all(uniqueness);
	uniqueness_free(uniqueness);
	free(places);
	scene_end(&scene);
	return slices;
}

static uint32_t id_own(uint32_t line)
{
	return line;
}

static uint32_t id_same(uint32_t line)
{
	(void)line;
	return 0;
}

static uint32_t id_of_seven(uint32_t line)
{
	return line % 7;
}

/* Line 3 and the last one, and lines 1000 to 1999. */
static uint32_t id_mixed(uint32_t line)
{
	if (line == MANY)
		return 3;
	return line >= 1000 && line < 2000 ? 1000 : line;
}

static uint64_t hash_good(uint32_t id)
{
	return (id + UINT64_C(1)) * UINT64_C(0x9e3779b97f4a7c15);
}

static uint64_t hash_same(uint32_t id)
{
	(void)id;
	return 42;
}

static uint64_t hash_of_few(uint32_t id)
{
	return id % 3;
}

static uint64_t hash_of_pairs(uint32_t id)
{
	return hash_good(id / 2);
}

static void tells_each_repeat_and_where_the_id_was_first(void)
{
	/* clang-format off */
	static const struct {
		const char *name;
		size_t count;
		uint32_t (*id_of)(uint32_t);
		uint64_t (*hash_of)(uint32_t);
	} rows[] = {
		{ "no ids",                     0,     id_own,      hash_good },
		{ "one id",                     1,     id_own,      hash_good },
		{ "all different",              MANY,  id_own,      hash_good },
		{ "all the same",               MANY,  id_same,     hash_good },
		{ "some the same",              MANY,  id_mixed,    hash_good },
		{ "seven ids",                  MANY,  id_of_seven, hash_good },
		{ "all hashes equal",           500,   id_own,      hash_same },
		{ "all equal in hash and id",   500,   id_same,     hash_same },
		{ "seven ids of one hash",      MANY,  id_of_seven, hash_same },
		{ "seven ids of three hashes",  3000,  id_of_seven, hash_of_few },
		{ "three hashes",               500,   id_own,      hash_of_few },
		{ "two ids to each hash",       MANY,  id_own,      hash_of_pairs },
		{ "two to a hash, some equal",  MANY,  id_mixed,    hash_of_pairs },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct repeats repeats = {0};
		uint32_t *firsts = xcalloc(MANY + 1, sizeof(*firsts));
		int64_t wrong = 0;
		int64_t expected = 0;

		CHECK_ROW(rows[i].name,
			  judge(rows[i].count, rows[i].id_of, rows[i].hash_of, &repeats) > 0);
		for (uint32_t line = 1; line <= rows[i].count; line++) {
			uint32_t id = rows[i].id_of(line);

			wrong += repeats.first_lines[line] != firsts[id];
			expected += firsts[id] != 0;
			if (!firsts[id])
				firsts[id] = line;
		}
		CHECK_ROW(rows[i].name, wrong == 0);
		CHECK_ROW(rows[i].name, repeats.count == expected);
		free(repeats.first_lines);
		free(firsts);
	}
}

static void compares_what_ids_mean(void)
{
	static const char text[] =
		"\"a\\u0062\\n\" \"ab\\u000a\" \"ab\\\\n\" \"ab\" \"\\u0061b\\n\"";
	static const struct {
		uint64_t at;
		uint32_t size;
	} ids[] = {
		{1, 9}, {13, 8}, {24, 5}, {32, 2}, {37, 9},
	};
	struct vault_reader input = {
		.data = (char *)(uintptr_t)text, .fd = -1, .size = sizeof(text) - 1};
	uint32_t firsts[ARRAY_SIZE(ids) + 1] = {0};
	struct repeats repeats = {.first_lines = firsts};
	struct uniqueness *uniqueness;
	struct scene scene;

	scene_begin(&scene);
	uniqueness = uniqueness_new(scene.vault, &input, note_repeat, &repeats);
	for (uint32_t i = 0; i < ARRAY_SIZE(ids); i++) {
		struct sorter_entry entry = {1, ids[i].at, ids[i].size, i + 1};

		CU_ASSERT_EQUAL_FATAL(uniqueness_add(uniqueness, &entry, NULL), 0);
	}
	CU_ASSERT(compare_all(uniqueness) > 0);
	CU_ASSERT_EQUAL(repeats.count, 2);
	CU_ASSERT_EQUAL(firsts[2], 1);
	CU_ASSERT_EQUAL(firsts[5], 1);
	CU_ASSERT_STRING_EQUAL(repeats.last, "ab\n");
	uniqueness_free(uniqueness);
	scene_end(&scene);
}

static void works_in_slices(void)
{
	struct repeats repeats = {0};

	/* A comparison counts as 64 entries, and a slice has 32,768. */
	CU_ASSERT(judge(MANY, id_same, hash_good, &repeats) >= MANY / 512);
	free(repeats.first_lines);
}

static void fails_when_the_input_is_no_longer_what_it_was(void)
{
	static const char text[] = "\"a\"  \"a  ";
	struct vault_reader input = {
		.data = (char *)(uintptr_t)text, .fd = -1, .size = sizeof(text) - 1};
	struct repeats repeats = {0};
	struct uniqueness *uniqueness;
	struct scene scene;

	scene_begin(&scene);
	uniqueness = uniqueness_new(scene.vault, &input, note_repeat, &repeats);
	CU_ASSERT_EQUAL(uniqueness_add(uniqueness, &(struct sorter_entry){1, 1, 1, 1}, NULL), 0);
	CU_ASSERT_EQUAL(uniqueness_add(uniqueness, &(struct sorter_entry){1, 6, 1, 2}, NULL), 0);
	CU_ASSERT_EQUAL(compare_all(uniqueness), -EUCLEAN);
	uniqueness_free(uniqueness);
	scene_end(&scene);
}

CHECK_MAIN("uniqueness", CHECK(tells_each_repeat_and_where_the_id_was_first),
	   CHECK(compares_what_ids_mean), CHECK(works_in_slices),
	   CHECK(fails_when_the_input_is_no_longer_what_it_was))
