/* Files of the front door whose time is over: when their bytes go, what keeps them, and what a death or a clock may do. */
#include <inttypes.h>
#include <unistd.h>

#include "daemon/io/vault.h"
#include "daemon/work/expired.h"
#include "daemon/work/verify.h"
#include "tests/unit/world_scene.h"

#define DAY_MS (24 * INT64_C(3600000))
#define LARGE (VAULT_FILE_LIMIT + 1)

static int64_t add_bytes(struct world *world, const char *bytes, size_t size, int64_t expires_at)
{
	struct vault_writer *writer = vault_writer_new(world->vault, VAULT_FILE_LIMIT);
	struct store_file file = {
		.uid = WORLD_UID,
		.purpose = (char *)(uintptr_t)"batch",
		.bytes = (int64_t)size,
		.created_at = world_now(world),
		.expires_at = expires_at,
	};

	CU_ASSERT_EQUAL_FATAL(vault_write(writer, bytes, size, NULL), 0);
	file.digest = vault_writer_digest(writer);
	file.id = store_file_add(world->store, &file);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, file.id, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_commit(world->store, NULL), 0);
	return file.id;
}

static int64_t add_file(struct world *world, size_t size, int64_t expires_at)
{
	auto_free char *bytes = xcalloc(1, size);

	return add_bytes(world, bytes, size, expires_at);
}

static bool has_bytes(struct world *world, int64_t file)
{
	auto_vault_reader reader = VAULT_READER_NONE;
	auto_free char *path = xasprintf("%s/files/%" PRId64, world->folder, file);

	return vault_open_file(world->vault, file, &reader, NULL) == 0 || access(path, F_OK) == 0;
}

static bool has_row(struct world *world, int64_t file)
{
	auto_store_file found = { 0 };

	return store_file_get(world->store, file, &found) == 0;
}

/* Turns for so long, while files are freed. */
static void run_for(struct world *world, int64_t ms)
{
	struct expired *expired = expired_new(world->loop, world->store, world->vault);
	int64_t until = loop_elapsed_ms(world->loop) + ms;

	while (loop_elapsed_ms(world->loop) < until)
		world_turn(world);
	expired_free(expired);
}

static void bytes_go_when_their_time_is_over(void)
{
	static const size_t sizes[] = { 10, LARGE };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct world *world = world_new(NULL, 1);
		int64_t file = add_file(world, sizes[i], world_now(world) + HOUR_MS);
		int64_t kept = add_file(world, sizes[i], 0);

		run_for(world, HOUR_MS - MINUTE_MS);
		CU_ASSERT_TRUE(has_bytes(world, file));
		run_for(world, 12 * MINUTE_MS);
		CU_ASSERT_FALSE(has_bytes(world, file) || has_row(world, file));
		CU_ASSERT_TRUE(has_bytes(world, kept));
		world_free(world);
	}
}

static void many_go_a_few_at_a_time(void)
{
	struct world *world = world_new(NULL, 1);
	int64_t files[100], left = 0;

	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		files[i] = add_file(world, 10, world_now(world) + HOUR_MS);
	run_for(world, HOUR_MS + 150);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		left += has_row(world, files[i]);
	CU_ASSERT_TRUE(left > 50 && left < 100);
	run_for(world, 15 * MINUTE_MS);
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		CU_ASSERT_FALSE(has_row(world, files[i]));
	world_free(world);
}

static void count_finding(const struct verify_finding *finding, void *context)
{
	(void)fprintf(stderr, "# %s: %s\n", finding->place ? finding->place : "", finding->words);
	++*(int64_t *)context;
}

static int64_t count_findings(struct world *world)
{
	int64_t count = 0;
	const struct verify_callbacks callbacks = { .on_finding = count_finding, .context = &count };
	struct verify_sums sums;

	(void)verify_run(world->folder, world_now(world), &callbacks, &sums);
	return count;
}

/* A job that goes on needs its input, one that has ended its name alone. */
static void an_input_stays_until_its_job_has_ended(void)
{
	static const struct sim_config long_runs = { .run_ms = 20 * HOUR_MS };
	static const size_t counts[] = { 6, 2000 };

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		struct world *world = world_new(&long_runs, 1);
		auto_free char *input = world_requests(counts[i], "");
		int64_t number = world_submit(world, input);
		auto_job job = world_job(world, number);
		auto_job end = { 0 };

		/* As one that was uploaded to live for an hour. */
		store_file_remove(world->store, job.input_file);
		job.input_file = add_bytes(world, input, strlen(input), world_now(world) + HOUR_MS);
		store_job_save(world->store, &job);
		CU_ASSERT_EQUAL_FATAL(store_commit(world->store, NULL), 0);
		run_for(world, 5 * HOUR_MS);
		CU_ASSERT_TRUE(has_bytes(world, job.input_file));
		CU_ASSERT_EQUAL(world_finish(world, number), JOB_COMPLETED);
		run_for(world, 20 * MINUTE_MS);
		CU_ASSERT_FALSE(has_bytes(world, job.input_file));
		CU_ASSERT_TRUE(has_row(world, job.input_file));
		end = world_job(world, number);
		CU_ASSERT_EQUAL(end.counts.ok, (int64_t)counts[i]);
		CU_ASSERT_TRUE(has_bytes(world, end.output_file));
		CU_ASSERT_EQUAL(count_findings(world), 0);
		/* Freed once, and never looked at again. */
		CU_ASSERT_FALSE(store_is_dirty(world->store));
		run_for(world, 20 * MINUTE_MS);
		world_kill(world);
		world_start(world);
		CU_ASSERT_EQUAL(count_findings(world), 0);
		world_free(world);
	}
}

/* What a death leaves behind between the commit and the end of the bytes, the next start removes. */
static void a_death_leaves_no_bytes_behind(void)
{
	for (int at = 0; at < 40; at++) {
		struct world *world = world_new(NULL, 1);
		int64_t file = add_file(world, LARGE, world_now(world) + MINUTE_MS);
		struct expired *expired = expired_new(world->loop, world->store, world->vault);
		char row[32];

		(void)snprintf(row, sizeof(row), "turn %d", at);
		for (int turn = 0; turn < at; turn++)
			world_turn(world);
		expired_free(expired);
		world_lose_turn(world);
		CU_ASSERT_EQUAL(vault_sweep(world->vault, NULL), 0);
		CHECK_ROW(row, has_row(world, file) == has_bytes(world, file));
		run_for(world, 20 * MINUTE_MS);
		CHECK_ROW(row, !has_bytes(world, file));
		world_free(world);
	}
}

static void bytes_that_nobody_knows_as_such_are_swept(void)
{
	struct world *world = world_new(NULL, 1);
	int64_t file = add_file(world, LARGE, 0);

	/* Committed, and then it died. */
	store_file_empty(world->store, file);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	CU_ASSERT_TRUE(has_bytes(world, file));
	CU_ASSERT_EQUAL(vault_sweep(world->vault, NULL), 0);
	CU_ASSERT_FALSE(has_bytes(world, file));
	CU_ASSERT_TRUE(has_row(world, file));
	world_free(world);
}

/* A clock that is wrong for a while frees nothing. */
static void a_clock_that_jumps_frees_nothing(void)
{
	struct world *world = world_new(NULL, 1);
	int64_t file = add_file(world, 10, world_now(world) + 30 * DAY_MS);
	struct expired *expired = expired_new(world->loop, world->store, world->vault);

	world->is_set_back = true;
	for (int i = 0; i < 5; i++) {
		int64_t until = loop_elapsed_ms(world->loop) + 30 * MINUTE_MS;

		while (loop_elapsed_ms(world->loop) < until)
			world_turn(world);
		loop_jump(world->loop, 365 * DAY_MS);
		until = loop_elapsed_ms(world->loop) + 5 * MINUTE_MS;
		while (loop_elapsed_ms(world->loop) < until)
			world_turn(world);
		loop_jump(world->loop, -365 * DAY_MS);
	}
	CU_ASSERT_TRUE(has_bytes(world, file));
	expired_free(expired);
	/* Nor does one that is wrong when we start. */
	loop_jump(world->loop, 365 * DAY_MS);
	run_for(world, 9 * MINUTE_MS);
	CU_ASSERT_TRUE(has_bytes(world, file));
	run_for(world, 12 * MINUTE_MS);
	CU_ASSERT_FALSE(has_bytes(world, file));
	world_free(world);
}

CHECK_MAIN("expired", CHECK(bytes_go_when_their_time_is_over), CHECK(many_go_a_few_at_a_time),
	   CHECK(an_input_stays_until_its_job_has_ended), CHECK(a_death_leaves_no_bytes_behind),
	   CHECK(bytes_that_nobody_knows_as_such_are_swept), CHECK(a_clock_that_jumps_frees_nothing))
