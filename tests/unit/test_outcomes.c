#include "daemon/work/outcomes.h"

#include <errno.h>
#include <inttypes.h>

#include "tests/unit/job_scene.h"

#define WORDS(literal) ((char *)(uintptr_t)(literal))

static struct scene scene;

/* Keeps a shard's rows, every step-th from first on, and one outcome for each. */
static void add_shard(int64_t number, int64_t first, int64_t end, int64_t step,
		      const struct record_outcome *outcome)
{
	auto_free char *name = rows_done_name(number);
	struct rows_writer rows;

	scene_members(&scene, number, first, end, step);
	rows_writer_init(&rows, scene.vault, RECORD_OUTCOMES);
	for (int64_t row = first; row < end; row += step) {
		struct record_outcome own = *outcome;

		own.shard = (uint32_t)number;
		own.offset = own.length ? (uint64_t)row : 0;
		CU_ASSERT_EQUAL_FATAL(rows_write(&rows, &own, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&rows, SCENE_JOB, name, NULL), 0);
	rows_writer_release(&rows);
}

static const struct record_outcome ok = {.kind = OUTCOME_OK, .source = 'o', .length = 9, .attempts = 1};
static const struct record_outcome again = {.kind = OUTCOME_AGAIN, .attempts = 2};
static const struct record_outcome lost = {.kind = OUTCOME_LOST, .attempts = 3};

/* Gathers to the end. 0 or -errno; slices counts. */
static int gather(struct outcomes *outcomes, int *slices)
{
	int r;

	for (*slices = 1; (r = outcomes_slice(outcomes, NULL)) > 0; ++*slices)
		;
	return r;
}

static void gives_the_last_outcome_of_every_row(void)
{
	enum { ROWS = 20000 };
	struct outcomes_shard list[] = {{.number = 1}, {.number = 2}, {.number = 7}};
	struct outcomes_shards shards = {list, 3};
	struct record_outcome run[OUTCOMES_RUN];
	struct outcomes *outcomes;
	int slices;

	scene_begin(&scene);
	add_shard(1, 0, ROWS, 2, &again);
	add_shard(2, 1, ROWS, 4, &ok);
	add_shard(7, 0, ROWS, 6, &lost);
	CU_ASSERT_EQUAL_FATAL(outcomes_new(scene.vault, SCENE_JOB, ROWS, &shards, OUTCOMES_MISSING,
					   &outcomes, NULL),
			      0);
	CU_ASSERT_EQUAL(gather(outcomes, &slices), 0);
	CU_ASSERT(slices > 5);
	CU_ASSERT_EQUAL(outcomes_slice(outcomes, NULL), 0);
	for (int64_t first = 0; first < ROWS; first += 400) {
		CU_ASSERT_EQUAL_FATAL(outcomes_read(outcomes, first, 400, run, NULL), 0);
		for (int64_t i = 0; i < 400; i++) {
			int64_t row = first + i;
			int kind = row % 6 == 0 ? OUTCOME_LOST : row % 4 == 1 ? OUTCOME_OK : OUTCOME_MISSING;

			if (run[i].kind != kind ||
			    (kind == OUTCOME_OK && run[i].offset != (uint64_t)row))
				CU_FAIL_FATAL("an outcome of another row");
			/* What is known of a row that never ended is kept. */
			if (row % 2 == 0 && row % 6)
				CU_ASSERT(run[i].shard == 1 && run[i].attempts == 2);
		}
	}
	outcomes_free(outcomes);
	scene_end(&scene);
}

static void takes_what_did_not_end_for_what_the_job_says(void)
{
	static const struct {
		enum job_state state;
		enum outcomes_rest rest;
		enum outcome_kind kind;
	} rows[] = {
		{JOB_ACCEPTED, OUTCOMES_OPEN, OUTCOME_NONE},
		{JOB_VALID, OUTCOMES_OPEN, OUTCOME_NONE},
		{JOB_RUNNING, OUTCOMES_OPEN, OUTCOME_NONE},
		{JOB_CANCELLING, OUTCOMES_OPEN, OUTCOME_NONE},
		{JOB_COMPLETED, OUTCOMES_MISSING, OUTCOME_MISSING},
		{JOB_FAILED, OUTCOMES_MISSING, OUTCOME_MISSING},
		{JOB_EXPIRED, OUTCOMES_EXPIRED, OUTCOME_EXPIRED},
		{JOB_CANCELLED, OUTCOMES_CANCELLED, OUTCOME_CANCELLED},
	};
	struct outcomes_shard list[] = {{.number = 1}};
	struct outcomes_shards shards = {list, 1};
	struct record_outcome run[2];

	scene_begin(&scene);
	add_shard(1, 0, 1, 1, &again);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct outcomes *outcomes;
		int slices;

		CU_ASSERT_EQUAL(outcomes_rest_of(rows[i].state), rows[i].rest);
		CU_ASSERT_EQUAL_FATAL(outcomes_new(scene.vault, SCENE_JOB, 2, &shards, rows[i].rest,
						   &outcomes, NULL),
				      0);
		CU_ASSERT_EQUAL(gather(outcomes, &slices), 0);
		CU_ASSERT_EQUAL(outcomes_read(outcomes, 0, 2, run, NULL), 0);
		CU_ASSERT_EQUAL(run[0].kind, rows[i].kind);
		CU_ASSERT_EQUAL(run[1].kind, rows[i].kind);
		outcomes_free(outcomes);
	}
	scene_end(&scene);
}

static void knows_the_shards_that_were_collected(void)
{
	const struct shard made[] = {
		{.number = 1, .state = SHARD_COLLECTED, .model = WORDS("")},
		{.number = 2, .state = SHARD_DROPPED, .model = WORDS("m")},
		{.number = 3, .state = SHARD_COLLECTED, .model = WORDS("m"), .ended_at = 5, .refusal = WORDS("no"),
		 .refusal_code = WORDS("c")},
		{.number = 4, .state = SHARD_FETCHED, .model = WORDS("m")},
		{.number = 5, .state = SHARD_COLLECTED, .model = WORDS("m"), .refusal = WORDS("too big")},
	};
	const struct record_outcome wrong = {.kind = OUTCOME_FAILED, .source = 'e', .shard = 1};
	const struct job job = {.endpoint = WORDS("e"), .window = WORDS("24h"), .provider = WORDS("p")};
	struct record_outcome failed = wrong;
	auto_outcomes_shards shards = {0};
	const struct outcomes_shard *shard;

	scene_begin(&scene);
	CU_ASSERT_PTR_NULL(outcomes_shards_find(&shards, 1));
	CU_ASSERT_EQUAL_FATAL(store_job_add(scene.store, &job), SCENE_JOB);
	for (size_t i = 0; i < ARRAY_SIZE(made); i++) {
		auto_free char *marker = xasprintf("%zu", i);
		struct shard row = made[i];

		row.job = SCENE_JOB;
		row.url = WORDS("");
		row.marker = marker;
		(void)store_shard_add(scene.store, &row);
	}
	CU_ASSERT_EQUAL(store_commit(scene.store, NULL), 0);
	CU_ASSERT_EQUAL(outcomes_shards_load(&shards, scene.store, SCENE_JOB), 0);
	CU_ASSERT_EQUAL_FATAL(shards.count, 3);
	CU_ASSERT_PTR_NULL(outcomes_shards_find(&shards, 2));
	CU_ASSERT_PTR_NULL(outcomes_shards_find(&shards, 4));
	shard = outcomes_shards_find(&shards, 3);
	CU_ASSERT_PTR_NOT_NULL_FATAL(shard);
	CU_ASSERT_STRING_EQUAL(shard->why, "no");
	CU_ASSERT_STRING_EQUAL(shard->code, "c");
	CU_ASSERT(shard->was_sent && !shard->is_invalid);
	CU_ASSERT(!outcomes_shards_find(&shards, 5)->was_sent);
	CU_ASSERT(outcomes_is_invalid(&shards, &wrong));
	failed.shard = 3;
	CU_ASSERT(!outcomes_is_invalid(&shards, &failed));
	failed = wrong;
	failed.attempts = 1;
	CU_ASSERT(!outcomes_is_invalid(&shards, &failed));
	failed = wrong;
	failed.shard = 99;
	CU_ASSERT(!outcomes_is_invalid(&shards, &failed));
	scene_end(&scene);
}

/* What no collect ever wrote, though its check is right. */
static void refuses_outcomes_that_cannot_be(void)
{
	static const struct record_outcome wrong[] = {
		{.kind = OUTCOME_NONE},
		{.kind = OUTCOME_LOST + 1},
		{.kind = OUTCOME_OK},
		{.kind = OUTCOME_OK, .source = 'o'},
		{.kind = OUTCOME_OK, .length = 5},
		{.kind = OUTCOME_FAILED, .source = 'x', .length = 5},
		{.kind = OUTCOME_OK, .source = 'o', .length = UINT32_MAX},
	};
	struct outcomes_shard list[] = {{.number = 1}};
	struct outcomes_shards shards = {list, 1};

	scene_begin(&scene);
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		struct error err = {0};
		struct outcomes *outcomes;

		add_shard(1, 0, 1, 1, &wrong[i]);
		CU_ASSERT_EQUAL_FATAL(outcomes_new(scene.vault, SCENE_JOB, 1, &shards,
						   OUTCOMES_OPEN, &outcomes, NULL),
				      0);
		CU_ASSERT_EQUAL(outcomes_slice(outcomes, &err), -EUCLEAN);
		CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "shard 1"));
		outcomes_free(outcomes);
	}
	/* A row that the job does not have. */
	add_shard(1, 5, 6, 1, &ok);
	{
		struct outcomes *outcomes;

		CU_ASSERT_EQUAL_FATAL(outcomes_new(scene.vault, SCENE_JOB, 5, &shards,
						   OUTCOMES_OPEN, &outcomes, NULL),
				      0);
		CU_ASSERT_EQUAL(outcomes_slice(outcomes, NULL), -EUCLEAN);
		outcomes_free(outcomes);
	}
	scene_end(&scene);
}

/* clang-format off */
CHECK_MAIN("outcomes",
	   CHECK(gives_the_last_outcome_of_every_row),
	   CHECK(takes_what_did_not_end_for_what_the_job_says),
	   CHECK(knows_the_shards_that_were_collected),
	   CHECK(refuses_outcomes_that_cannot_be))
/* clang-format on */
