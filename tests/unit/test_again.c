#include "daemon/work/again.h"

#include <errno.h>
#include <inttypes.h>

#include "daemon/work/intake.h"
#include "tests/unit/job_scene.h"

#define WORDS(literal) ((char *)(uintptr_t)(literal))
#define NEW_JOB 2

static struct scene scene;

static void keep_rows(int64_t count, uint16_t groups)
{
	struct rows_writer rows;

	rows_writer_init(&rows, scene.vault, RECORD_ROWS);
	for (int64_t i = 0; i < count; i++) {
		struct record_row row = {
			.offset = (uint64_t)i * 100,
			.id_hash = (uint64_t)i,
			.length = 99,
			.wire_length = 100 + (uint32_t)(i % 7),
			.inputs = (uint32_t)i % 3,
			.group = (uint16_t)(i % groups),
		};

		CU_ASSERT_EQUAL_FATAL(rows_write(&rows, &row, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&rows, SCENE_JOB, ROWS_NAME, NULL), 0);
	rows_writer_release(&rows);
}

static void begin_scene(void)
{
	const struct job job = {.endpoint = WORDS("e"), .window = WORDS("24h"), .provider = WORDS("p")};

	scene_begin(&scene);
	CU_ASSERT_EQUAL_FATAL(store_job_add(scene.store, &job), SCENE_JOB);
}

static void add_shard(int64_t number, const char *model, int64_t first, int64_t end,
		      const struct record_outcome *kinds, size_t kind_count)
{
	auto_free char *name = rows_done_name(number);
	auto_free char *marker = xasprintf("%" PRId64, number);
	const struct shard shard = {
		.job = SCENE_JOB,
		.number = number,
		.state = SHARD_COLLECTED,
		.model = WORDS(model),
		.url = WORDS("/u"),
		.marker = marker,
	};
	struct rows_writer rows;

	scene_members(&scene, number, first, end, 1);
	rows_writer_init(&rows, scene.vault, RECORD_OUTCOMES);
	for (int64_t row = first; row < end; row++) {
		struct record_outcome outcome = kinds[(size_t)row % kind_count];

		outcome.shard = (uint32_t)number;
		CU_ASSERT_EQUAL_FATAL(rows_write(&rows, &outcome, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&rows, SCENE_JOB, name, NULL), 0);
	rows_writer_release(&rows);
	(void)store_shard_add(scene.store, &shard);
	CU_ASSERT_EQUAL_FATAL(store_commit(scene.store, NULL), 0);
}

#define OK     {.kind = OUTCOME_OK, .source = 'o', .length = 1, .attempts = 1}
#define FAILED {.kind = OUTCOME_FAILED, .source = 'e', .length = 1, .attempts = 1}
static const struct record_outcome all_ok[] = {OK};
static const struct record_outcome wrong[] = {{.kind = OUTCOME_FAILED, .source = 'e', .length = 1}};
static const struct record_outcome mixed[] = {
	OK,
	FAILED,
	{.kind = OUTCOME_AGAIN, .attempts = 1},
	{.kind = OUTCOME_EXPIRED},
	{.kind = OUTCOME_CANCELLED},
	OK,
	{.kind = OUTCOME_MISSING},
	{.kind = OUTCOME_LOST},
	{.kind = OUTCOME_REFUSED},
	OK,
};

/* Runs to the end, and counts the slices. */
static int run(struct again *again, int *ret_slices)
{
	int r;

	for (*ret_slices = 1; (r = again_slice(again, NULL)) > 0; ++*ret_slices)
		;
	return r;
}

static struct again *begin(enum job_state state)
{
	struct again *again = NULL;

	scene.job.state = state;
	CU_ASSERT_EQUAL_FATAL(again_new(scene.vault, scene.store, &scene.job, &again, NULL), 0);
	return again;
}

static void chooses_every_request_without_a_success(void)
{
	enum { ROWS = 30000, GROUPS = 4 };
	struct again_group expected[GROUPS] = {0};
	const struct again_group *groups;
	int64_t group_count, next = 0;
	struct rows_reader rows = {0};
	struct again *again;
	int slices;

	begin_scene();
	keep_rows(ROWS, GROUPS);
	add_shard(1, "m", 0, 20000, mixed, ARRAY_SIZE(mixed));
	/* Those of the last ten thousand went to no shard. */
	again = begin(JOB_CANCELLED);
	CU_ASSERT_EQUAL_FATAL(run(again, &slices), 0);
	CU_ASSERT(slices > 5);
	CU_ASSERT_EQUAL(again_count(again), 24000);
	groups = again_groups(again, &group_count);
	CU_ASSERT_EQUAL_FATAL(group_count, GROUPS);
	CU_ASSERT_EQUAL_FATAL(again_keep(again, NEW_JOB, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(
		rows_open(&rows, scene.vault, NEW_JOB, ROWS_NAME, RECORD_ROWS, NULL), 0);
	CU_ASSERT_EQUAL(rows.count, 24000);
	for (int64_t i = 0; i < ROWS; i++) {
		struct record_row row;

		if (i < 20000 && mixed[i % 10].kind == OUTCOME_OK)
			continue;
		CU_ASSERT_EQUAL_FATAL(rows_read(&rows, next++, &row, NULL), 0);
		if (row.offset != (uint64_t)i * 100 || row.id_hash != (uint64_t)i ||
		    row.inputs != (uint32_t)i % 3)
			CU_FAIL_FATAL("another row");
		expected[i % GROUPS].requests++;
		expected[i % GROUPS].bytes += 100 + i % 7;
	}
	for (int i = 0; i < GROUPS; i++)
		CU_ASSERT(groups[i].requests == expected[i].requests &&
			  groups[i].bytes == expected[i].bytes);
	rows_release(&rows);
	again_free(again);
	scene_end(&scene);
}

static void chooses_again_from_a_job_that_was_tried_again(void)
{
	static const struct record_outcome half[] = {OK, FAILED};
	struct rows_reader rows = {0};
	struct record_row row;
	struct again *again;
	int slices;

	/* Its row index is of some of the input's lines, and its groups are not all there. */
	begin_scene();
	keep_rows(8, 4);
	add_shard(1, "m", 0, 8, half, 2);
	again = begin(JOB_COMPLETED);
	CU_ASSERT_EQUAL_FATAL(run(again, &slices), 0);
	CU_ASSERT_EQUAL_FATAL(again_keep(again, NEW_JOB, NULL), 0);
	again_free(again);
	scene.job.id = NEW_JOB;
	again = begin(JOB_CANCELLED);
	CU_ASSERT_EQUAL_FATAL(run(again, &slices), 0);
	CU_ASSERT_EQUAL(again_count(again), 4);
	CU_ASSERT_EQUAL_FATAL(again_keep(again, 3, NULL), 0);
	again_free(again);
	CU_ASSERT_EQUAL_FATAL(rows_open(&rows, scene.vault, 3, ROWS_NAME, RECORD_ROWS, NULL), 0);
	for (int64_t i = 0; i < 4; i++) {
		CU_ASSERT_EQUAL(rows_read(&rows, i, &row, NULL), 0);
		CU_ASSERT_EQUAL(row.offset, 100 + (uint64_t)i * 200);
	}
	rows_release(&rows);
	scene_end(&scene);
}

static void leaves_out_what_was_never_a_request(void)
{
	const struct again_group *groups;
	struct again *again;
	int64_t count;
	int slices;

	begin_scene();
	keep_rows(30, 3);
	add_shard(1, "", 0, 10, wrong, 1);
	add_shard(2, "m", 10, 20, mixed, ARRAY_SIZE(mixed));
	add_shard(3, "m", 20, 30, all_ok, 1);
	again = begin(JOB_COMPLETED);
	CU_ASSERT_EQUAL_FATAL(run(again, &slices), 0);
	CU_ASSERT_EQUAL(again_count(again), 7);
	groups = again_groups(again, &count);
	CU_ASSERT_EQUAL_FATAL(count, 3);
	CU_ASSERT_EQUAL(groups[0].requests + groups[1].requests + groups[2].requests, 7);
	again_free(again);
	scene_end(&scene);
}

static void finds_nothing_where_all_succeeded(void)
{
	struct again *again;
	int64_t count;
	int slices;

	begin_scene();
	keep_rows(1000, 3);
	add_shard(1, "m", 0, 1000, all_ok, 1);
	again = begin(JOB_COMPLETED);
	CU_ASSERT_EQUAL_FATAL(run(again, &slices), 0);
	CU_ASSERT_EQUAL(again_count(again), 0);
	(void)again_groups(again, &count);
	CU_ASSERT_EQUAL(count, 0);
	again_free(again);
	scene_end(&scene);
}

static void refuses_a_job_without_rows_and_one_with_damaged_ones(void)
{
	struct error err = {0};
	struct again *again = NULL;
	int slices;

	begin_scene();
	scene.job.state = JOB_FAILED;
	CU_ASSERT_EQUAL(again_new(scene.vault, scene.store, &scene.job, &again, &err), -ENOENT);
	CU_ASSERT_PTR_NULL(again);
	keep_rows(10, 1);
	add_shard(1, "m", 0, 10, mixed, ARRAY_SIZE(mixed));
	/* The second row, which failed; its bytes are in the file's first records. */
	scene_damage(&scene, ROWS_NAME, RECORD_HEADER_SIZE + record_size(RECORD_ROWS) + 3);
	again = begin(JOB_COMPLETED);
	CU_ASSERT_EQUAL(run(again, &slices), -EUCLEAN);
	CU_ASSERT_EQUAL(again_slice(again, &err), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "job 1"));
	again_free(again);
	/* A group beyond those that a job may have. */
	keep_rows(INTAKE_MAX_GROUPS + 2, INTAKE_MAX_GROUPS + 2);
	again = begin(JOB_COMPLETED);
	CU_ASSERT_EQUAL(run(again, &slices), -EUCLEAN);
	again_free(again);
	again_free(NULL);
	scene_end(&scene);
}

/* clang-format off */
CHECK_MAIN("again",
	   CHECK(chooses_every_request_without_a_success),
	   CHECK(chooses_again_from_a_job_that_was_tried_again),
	   CHECK(leaves_out_what_was_never_a_request),
	   CHECK(finds_nothing_where_all_succeeded),
	   CHECK(refuses_a_job_without_rows_and_one_with_damaged_ones))
/* clang-format on */
