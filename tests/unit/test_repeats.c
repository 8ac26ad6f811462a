/* The finder of repeated ids itself is part of this program, so that its hash can be made a bad
 * one. */
#include "daemon/base/hash.h"

/* How many values the hash has; 0: as many as it has. */
static uint64_t hash_values = 0;

static uint64_t chosen_hash(uint64_t key, const void *bytes, size_t size)
{
	uint64_t hash = hash_keyed(key, bytes, size);

	return hash_values ? hash % hash_values : hash;
}

#define hash_keyed chosen_hash
#include "client/repeats.c"

#include "tests/unit/check.h"

#define MANY 3000

struct told {
	int64_t first_lines[MANY + 1]; /* by line; 0: it repeats nothing */
	int64_t count;
	int64_t last; /* line */
};

static void note(const char *id, size_t size, int64_t line, int64_t first_line, void *context)
{
	struct told *told = context;

	CU_ASSERT(line > told->last && line <= MANY && first_line < line);
	CU_ASSERT(size == 67 && memchr(id, 0, size));
	told->last = line;
	told->count++;
	told->first_lines[line] = first_line;
}

/* Ids of one length that differ in one byte at most, and have a NUL in them. */
static size_t make_id(char *id, unsigned number)
{
	memset(id, 'x', 67);
	id[3] = '\0';
	id[4 + number % 60] = (char)('a' + number / 60);
	return 67;
}

/* Ids of numbers below `different`, over and over, in so many values of the hash. */
static void judge(unsigned different, uint64_t values, size_t sort_at_once)
{
	auto_with(repeats_free) struct repeats *repeats = repeats_new(sort_at_once);
	auto_free struct told *told = xcalloc(1, sizeof(*told));
	int64_t wrong = 0;
	char id[67];

	hash_values = values;
	for (int64_t line = 1; line <= MANY; line++)
		CU_ASSERT_EQUAL(repeats_add(repeats, id, make_id(id, (unsigned)line % different),
					    line, NULL),
				0);
	CU_ASSERT_EQUAL(repeats_finish(repeats, note, told, NULL), 0);
	for (int64_t line = 1; line <= MANY; line++) {
		int64_t first = line % different ? line % different : different;

		wrong += told->first_lines[line] != (first == line ? 0 : first);
	}
	CU_ASSERT_EQUAL(wrong, 0);
	CU_ASSERT_EQUAL(told->count, MANY - different);
}

static void tells_each_repeat_and_where_the_id_was_first(void)
{
	judge(1, 0, 0);
	judge(60, 0, 100);
	judge(1380, 0, 7);
}

static void never_takes_equal_hashes_for_equal_ids(void)
{
	judge(60, 1, 100);
	judge(1380, 1, 0);
	judge(1380, 3, 250);
	judge(1380, 600, 100);
}

CHECK_MAIN("repeats", CHECK(tells_each_repeat_and_where_the_id_was_first),
	   CHECK(never_takes_equal_hashes_for_equal_ids))
