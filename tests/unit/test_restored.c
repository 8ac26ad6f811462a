/*
 * A copy of the store that somebody starts on while the original had gone on: whatever was created since is found and taken, whenever
 * the copy was made, and nothing is sent twice.
 */
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <sys/stat.h>

#include "daemon/io/store_sql.h"
#include "daemon/work/scheduler.h"
#include "tests/unit/world_scene.h"

#define MAX_MOMENTS 400

static void run_sql(sqlite3 *db, const char *sql)
{
	CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

/* Copies the state as it stands, in a way of the test's own. What is so small lives in the store alone. */
static void copy_state(struct world *world, const char *folder)
{
	auto_free char *path = xasprintf("%s/batchd.db", folder);
	auto_free char *stamp = xasprintf("INSERT OR REPLACE INTO meta (name, value) VALUES ('copied_at', %lld)",
					  (long long)world_now(world));
	sqlite3_backup *backup;
	sqlite3 *db;

	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(mkdir(folder, 0700), 0);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	backup = sqlite3_backup_init(db, "main", world->store->db, "main");
	CU_ASSERT_PTR_NOT_NULL_FATAL(backup);
	CU_ASSERT_EQUAL(sqlite3_backup_step(backup, -1), SQLITE_DONE);
	(void)sqlite3_backup_finish(backup);
	run_sql(db, stamp);
	(void)sqlite3_close(db);
}

/* The original is gone; its state is the copy's from now on. */
static void restore(struct world *world, const char *folder)
{
	world_kill(world);
	CU_ASSERT_EQUAL_FATAL(nftw(world->folder, remove_one, 8, FTW_DEPTH | FTW_PHYS), 0);
	CU_ASSERT_EQUAL_FATAL(rename(folder, world->folder), 0);
	world_start(world);
}

struct case_of_loss {
	const char *name, *script;
	int64_t batches, cancels; /* at the end; -1: any */
	enum job_state end;
};

/* The job has ended, or so many turns have passed. */
static void go_on(struct world *world, int64_t job, int turns)
{
	if (turns < 0) {
		(void)world_finish(world, job);
		return;
	}
	while (turns-- > 0)
		world_turn(world);
}

static bool is_over(struct world *world, int64_t job)
{
	auto_job now = world_job(world, job);

	return job_is_ended(now.state) && !now.due_at;
}

/* The copy is made after so many turns, and the original goes on for so many more. false: it had ended before. */
static bool lose(const struct case_of_loss *what, int moment, int turns)
{
	auto_free char *row = xasprintf("%s, copied after %d turns, restored %d later", what->name, moment, turns);
	struct world *world = world_new(&slow, 1);
	auto_free char *folder = xasprintf("%s-copy", world->folder);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	struct world_ledger ledger;
	int64_t job;
	bool is_early;

	know_list(world);
	if (what->script)
		world_script(world, what->script);
	job = world_submit(world, input);
	go_on(world, job, moment);
	is_early = !is_over(world, job);
	copy_state(world, folder);
	go_on(world, job, turns);
	restore(world, folder);
	CHECK_ROW(row, world_finish(world, job) == what->end);
	ledger = world_ledger(world);
	CHECK_ROW(row, ledger.batches == what->batches);
	CHECK_ROW(row, ledger.most_answers <= 1);
	CHECK_ROW(row, ledger.live == 0);
	check_judged(row, world, job, input);
	if (is_early)
		check_event(row, world, job, "job.note", "restored from a copy");
	world_free(world);
	return is_early;
}

static void nothing_is_sent_twice_whenever_the_copy_was_made(void)
{
	/* clang-format off */
	static const struct case_of_loss cases[] = {
		{ "ordinary", NULL, 1, 0, JOB_COMPLETED },
		{ "answer lost", "{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}", 1, 0, JOB_COMPLETED },
		{ "no has_more", "{\"action\":\"no_has_more\"}", 1, 0, JOB_COMPLETED },
		/* The first batch fails for want of room; both make another one of the same file. */
		{ "queue full", "{\"call\":\"create\",\"nth\":1,\"action\":\"token_limit\"}", 2, 0, JOB_COMPLETED },
	};
	/* clang-format on */
	static const int turns[] = { 0, 7, 40, -1 };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t k = 0; k < ARRAY_SIZE(turns); k++) {
			int moment = 0;

			/* Each moment where the original goes on to the end, and a third of them where it does not. */
			while (moment < MAX_MOMENTS && lose(&cases[i], moment, turns[k]))
				moment += turns[k] < 0 ? 1 : 3;
			CHECK_ROW(cases[i].name, moment > 10 && moment < MAX_MOMENTS);
		}
}

/* What the copy had is sent once more at most by a person's word. */
static void what_the_list_cannot_tell_waits_for_a_person(void)
{
	/* clang-format off */
	static const struct { const char *name, *script; enum shard_state copied; } cases[] = {
		{ "cut, no metadata given back", "{\"action\":\"no_metadata\"}", SHARD_CUT },
		{ "cut, list empty",             "{\"action\":\"list_empty\"}", SHARD_CUT },
		{ "uploaded, list empty",        "{\"action\":\"list_empty\"}", SHARD_UPLOADED },
		{ "uploaded, list refused",      "{\"call\":\"list\",\"action\":\"status\",\"status\":400}", SHARD_UPLOADED },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *folder = xasprintf("%s-copy", world->folder);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		auto_shard shard = { 0 };
		int64_t job;

		world_script(world, cases[i].script);
		job = world_submit(world, input);
		while (!shard.id || shard.state != cases[i].copied) {
			world_turn(world);
			shard_release(&shard);
			shard = world_shard(world, job, 1);
		}
		copy_state(world, folder);
		CHECK_ROW(cases[i].name, world_finish(world, job) == JOB_COMPLETED);
		restore(world, folder);
		(void)world_finish(world, job);
		shard_release(&shard);
		shard = world_shard(world, job, 1);
		CHECK_ROW(cases[i].name, shard.state == SHARD_UNCERTAIN);
		CHECK_ROW(cases[i].name, world_ledger(world).batches == 1);
		CHECK_ROW(cases[i].name, world_cancel(world, job) == 0 && world_finish(world, job) == JOB_CANCELLED);
		world_free(world);
	}
}

/* Nothing was created by the original, so all of it is sent, once. */
static void what_the_original_did_not_send_is_sent(void)
{
	int64_t job;
	struct world *world = world_new(&slow, 1);
	auto_free char *folder = xasprintf("%s-copy", world->folder);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_shard shard = { 0 };

	know_list(world);
	job = world_submit(world, input);
	while (!shard.id) {
		world_turn(world);
		shard = world_shard(world, job, 1);
	}
	copy_state(world, folder);
	restore(world, folder);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_EQUAL(world_ledger(world).batches, 1);
	check_event("not sent", world, job, "shard.note", "looked for twice");
	check_judged("not sent", world, job, input);
	world_free(world);
}

static void a_cancelled_copy_finds_and_cancels_what_the_original_created(void)
{
	static const enum shard_state states[] = { SHARD_CUT, SHARD_UPLOADED };
	static const struct sim_config long_runs = { .run_ms = 12 * HOUR_MS };

	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		const char *row = shard_state_name(states[i]);
		struct world *world = world_new(&long_runs, 1);
		auto_free char *folder = xasprintf("%s-copy", world->folder);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		auto_shard shard = { 0 };
		int64_t job = world_submit(world, input);

		know_list(world);
		while (!shard.id || shard.state != states[i]) {
			world_turn(world);
			shard_release(&shard);
			shard = world_shard(world, job, 1);
		}
		copy_state(world, folder);
		while (!world_ledger(world).batches)
			world_turn(world);
		restore(world, folder);
		CHECK_ROW(row, world_cancel(world, job) == 0);
		CHECK_ROW(row, world_finish(world, job) == JOB_CANCELLED);
		CHECK_ROW(row, world_ledger(world).batches == 1 && world_ledger(world).live == 0);
		check_judged(row, world, job, input);
		world_free(world);
	}
}

static void numbers_that_the_original_may_have_given_are_left_out(void)
{
	for (int jobs = 0; jobs < 2; jobs++) {
		struct world *world = world_new(NULL, 1);
		auto_free char *folder = xasprintf("%s-copy", world->folder);
		auto_free char *input = world_requests(1, "");
		int64_t last = 0;
		auto_job job = { 0 };

		if (jobs)
			last = world_submit(world, input);
		copy_state(world, folder);
		restore(world, folder);
		CU_ASSERT_EQUAL(world_submit(world, input), last + 10001);
		job = world_job(world, last + 10001);
		CU_ASSERT_TRUE(job.input_file > 10000);
		/* It is a copy no more: a second start leaves out nothing. */
		world_kill(world);
		world_start(world);
		CU_ASSERT_EQUAL(world_submit(world, input), last + 10002);
		CU_ASSERT_TRUE(store_restored_from(world->store) > 0);
		world_free(world);
	}
}

/* clang-format off */
static const struct { enum shard_state state; int64_t intended_at, absent_at, then_intended, then_absent; } shards[] = {
	{ SHARD_CUT,       0,    0,    5000, 0  },
	{ SHARD_UPLOADED,  0,    -7,   5000, 0  },
	{ SHARD_UPLOADED,  4000, 4500, 4000, 0  },
	{ SHARD_UPLOADED,  6000, 0,    5000, 0  },
	{ SHARD_CREATED,   4000, -7,   4000, -7 },
	{ SHARD_ENDED,     4000, 0,    4000, 0  },
	{ SHARD_UNCERTAIN, 4000, 0,    4000, 0  },
	{ SHARD_DROPPED,   0,    0,    0,    0  },
	{ SHARD_COLLECTED, 4000, 0,    4000, 0  },
};
/* clang-format on */

static void add_shards(struct world *world)
{
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		auto_free char *marker = xasprintf("m%zu", i);
		const struct shard shard = { .job = 1,
					     .number = (int64_t)i + 1,
					     .state = shards[i].state,
					     .model = (char *)(uintptr_t) "m",
					     .url = (char *)(uintptr_t) "u",
					     .marker = marker,
					     .provider_file = marker,
					     .batch_id = shards[i].state == SHARD_CREATED ? marker : NULL,
					     .intended_at = shards[i].intended_at,
					     .absent_at = shards[i].absent_at };

		(void)store_shard_add(world->store, &shard);
	}
}

static void every_shard_without_a_batch_is_in_doubt(void)
{
	struct world *world = world_new(NULL, 1);
	auto_free char *input = world_requests(1, "");
	int64_t copied_at = -1;
	struct error err = { 0 };

	(void)world_submit(world, input);
	add_shards(world);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	CU_ASSERT_EQUAL(store_restore(world->store, 9000, &copied_at, &err), 0);
	CU_ASSERT_EQUAL(copied_at, 0);
	run_sql(world->store->db, "INSERT INTO meta (name, value) VALUES ('copied_at', 5000)");
	CU_ASSERT_EQUAL(store_restore(world->store, 9000, &copied_at, &err), 0);
	CU_ASSERT_EQUAL(copied_at, 5000);
	CU_ASSERT_EQUAL(store_restored_from(world->store), 5000);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		auto_free char *row = xasprintf("%s, %lld", shard_state_name(shards[i].state), (long long)shards[i].intended_at);
		auto_shard shard = world_shard(world, 1, (int64_t)i + 1);

		CHECK_ROW(row, shard.intended_at == shards[i].then_intended);
		CHECK_ROW(row, shard.absent_at == shards[i].then_absent);
	}
	CU_ASSERT_EQUAL(store_restore(world->store, 9000, &copied_at, &err), 0);
	CU_ASSERT_EQUAL(copied_at, 0);
	world_free(world);
}

CHECK_MAIN("restored", CHECK(nothing_is_sent_twice_whenever_the_copy_was_made),
	   CHECK(what_the_list_cannot_tell_waits_for_a_person), CHECK(what_the_original_did_not_send_is_sent),
	   CHECK(a_cancelled_copy_finds_and_cancels_what_the_original_created),
	   CHECK(numbers_that_the_original_may_have_given_are_left_out), CHECK(every_shard_without_a_batch_is_in_doubt))
