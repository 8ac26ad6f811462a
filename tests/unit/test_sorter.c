#include "daemon/work/sorter.h"
#include "tests/unit/job_scene.h"

static uint64_t random_next(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static int compare(const void *a, const void *b)
{
	const struct sorter_entry *left = a;
	const struct sorter_entry *right = b;

	if (left->hash != right->hash)
		return left->hash < right->hash ? -1 : 1;
	return left->line < right->line ? -1 : left->line > right->line;
}

static struct sorter_entry *some_entries(size_t count, uint64_t hashes)
{
	struct sorter_entry *entries = xcalloc(count, sizeof(*entries));
	uint64_t state = 88172645463325252;

	for (size_t i = 0; i < count; i++)
		entries[i] = (struct sorter_entry){
			.hash = random_next(&state) % hashes,
			.id_at = i * 100,
			.id_size = (uint32_t)(i % 900),
			.line = (uint32_t)i + 1,
		};
	return entries;
}

/* How many calls prepared it; 0 when something failed or came out wrong. */
static int64_t sort(struct scene *scene, size_t count, uint64_t hashes, size_t run)
{
	struct sorter_entry *entries = some_entries(count, hashes);
	struct sorter *sorter = sorter_new(scene->vault, (int64_t)count, run);
	struct sorter_entry entry;
	int64_t calls = 1;
	int r = 0;

	for (size_t i = 0; !r && i < count; i++)
		r = sorter_add(sorter, &entries[i], NULL);
	r |= sorter_count(sorter) != (int64_t)count;
	while (!r && (r = sorter_prepare(sorter, NULL)) > 0) {
		calls++;
		r = 0;
	}
	qsort(entries, count, sizeof(*entries), compare);
	for (size_t i = 0; !r && i < count; i++)
		r = sorter_next(sorter, &entry, NULL) != 1 ||
		    memcmp(&entry, &entries[i], sizeof(entry)) != 0;
	if (!r)
		r = sorter_next(sorter, &entry, NULL) || sorter_next(sorter, &entry, NULL);
	sorter_free(sorter);
	free(entries);
	return r ? 0 : calls;
}

static void gives_all_entries_in_order(void)
{
	/* clang-format off */
	static const struct { const char *name; size_t count; uint64_t hashes; size_t run; } rows[] = {
		{ "none",                           0,      1000,       64 },
		{ "one",                            1,      1000,       64 },
		{ "just what memory holds",         64,     1000,       64 },
		{ "one more",                       65,     1000,       64 },
		{ "as many runs as are merged",     512,    1000,       1 },
		{ "one run more",                   513,    1000,       1 },
		{ "two passes, an even split",      1024,   1000,       1 },
		{ "three passes",                   270000, UINT64_MAX, 1 },
		{ "three passes, equal hashes",     270000, 5,          1 },
		{ "two passes, runs cross buffers", 300000, UINT64_MAX, 300 },
		{ "one hash",                       300000, 1,          65536 },
		{ "the size it has",                300000, UINT64_MAX, 65536 },
	};
	/* clang-format on */
	struct scene scene;

	scene_begin(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_ROW(rows[i].name,
			  sort(&scene, rows[i].count, rows[i].hashes, rows[i].run) > 0);
	scene_end(&scene);
}

static void merges_no_more_than_a_run_in_one_call(void)
{
	struct scene scene;

	scene_begin(&scene);
	CU_ASSERT_EQUAL(sort(&scene, 100, 1000, 100), 1);
	CU_ASSERT(sort(&scene, 100000, 1000, 100) >= 1000);
	scene_end(&scene);
}

static void stops_at_any_time(void)
{
	struct sorter_entry *entries = some_entries(4000, 1000);
	struct scene scene;

	scene_begin(&scene);
	for (size_t calls = 0; calls < 300; calls += 7) {
		struct sorter *sorter = sorter_new(scene.vault, 4000, 4);

		for (size_t i = 0; i < 4000; i++)
			CU_ASSERT_EQUAL_FATAL(sorter_add(sorter, &entries[i], NULL), 0);
		for (size_t i = 0; i < calls; i++)
			CU_ASSERT_EQUAL_FATAL(sorter_prepare(sorter, NULL), 1);
		sorter_free(sorter);
	}
	sorter_free(NULL);
	free(entries);
	scene_end(&scene);
}

CHECK_MAIN("sorter", CHECK(gives_all_entries_in_order),
	   CHECK(merges_no_more_than_a_run_in_one_call), CHECK(stops_at_any_time))
