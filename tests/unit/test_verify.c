#include "daemon/work/verify.h"

#include <errno.h>

#include "tests/unit/state_scene.h"

static struct state state;

static bool has_line(const struct state_findings *findings, const char *part)
{
	return findings->text.data && strstr(buffer_text((struct buffer *)(uintptr_t)&findings->text), part);
}

static void check_clean(const char *row, const char *folder)
{
	auto_findings findings;

	state_look(folder, &findings);
	if (findings.text.size)
		(void)fprintf(stderr, "# %s", buffer_text(&findings.text));
	CHECK_ROW(row, findings.result == 0);
	CHECK_ROW(row, findings.sums.damages == 0);
	CHECK_ROW(row, findings.sums.notes == 0);
}

static void finds_nothing_in_what_is_whole(void)
{
	auto_findings findings;

	state_begin(&state);
	check_clean("whole", state.world->folder);
	state_look(state.world->folder, &findings);
	CU_ASSERT_EQUAL(findings.sums.jobs, STATE_JOBS);
	/* Two successes' files, one of failures, and the inputs. */
	CU_ASSERT(findings.sums.files >= STATE_JOBS + 2);
	CU_ASSERT(findings.sums.bytes > 0);
	state_end(&state);
}

/* The jobs that are done have files 1 and 2 as inputs; the large one's successes are file 3, the small one's failures 4. */
static void finds_every_damage_of_a_file(void)
{
	/* clang-format off */
	static const struct {
		const char *name;
		enum state_deed deed;
		off_t at;
		const char *told;
	} rows[] = {
		{ "files/1",             STATE_REMOVE, 0,    "damage job=0 shard=0 files/1: it is missing" },
		{ "files/1",             STATE_REMOVE, 0,    "damage job=1 shard=0 files/1: its input is damaged" },
		{ "files/1",             STATE_CUT,    999,  "files/1: it has 999 bytes, and should have" },
		{ "files/1",             STATE_CUT,    0,    "files/1: it has 0 bytes, and should have" },
		{ "files/1",             STATE_GROW,   0,    "files/1: it has" },
		{ "jobs/1/rows",         STATE_REMOVE, 0,    "damage job=1 shard=0 jobs/1/rows: it is missing" },
		{ "jobs/1/rows",         STATE_FLIP,   3,    "damage job=1 shard=0 jobs/1/rows: rows of job 1 is damaged" },
		{ "jobs/1/rows",         STATE_FLIP,   5000, "jobs/1/rows: rows of job 1 is damaged at record" },
		{ "jobs/1/rows",         STATE_CUT,    5000, "damage job=1 shard=0 jobs/1/rows: rows of job 1 is damaged" },
		{ "jobs/1/rows",         STATE_CUT,    32 + 56 * 7, "jobs/1/rows: it has 7 rows, and the job 1200" },
		{ "jobs/1/rows",         STATE_GROW,   0,    "damage job=1 shard=0 jobs/1/rows: rows of job 1 is damaged" },
		{ "jobs/1/shard-1.done", STATE_REMOVE, 0,    "damage job=1 shard=1 jobs/1/shard-1.done: it is missing" },
		{ "jobs/1/shard-1.done", STATE_FLIP,   77,   "jobs/1/shard-1.done: shard-1.done of job 1 is damaged at record" },
		{ "jobs/1/shard-1.done", STATE_CUT,    32 + 40 * 9, "jobs/1/shard-1.done: it has 9 outcomes for 1200 members" },
		{ "jobs/1/shard-1.out",  STATE_REMOVE, 0,    "damage job=1 shard=1" },
		{ "jobs/1/shard-1.out",  STATE_FLIP,   700,  "damage job=1 shard=1 jobs/1/shard-1.done" },
		{ "jobs/1/shard-1.out",  STATE_CUT,    700,  "damage job=1 shard=1 jobs/1/shard-1.done" },
		{ "jobs/4/rows",         STATE_REMOVE, 0,    "damage job=4 shard=0 jobs/4/rows: it is missing" },
		{ "batchd.db",           STATE_CUT,    0,    "damage" },
		{ "batchd.db",           STATE_CUT,    5000, "damage" },
		{ "batchd.db",           STATE_REMOVE, 0,    "damage" },
		{ "batchd.db",           STATE_FLIP,   5,    "damage" },
	};
	/* clang-format on */

	state_begin(&state);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *row = xasprintf("%s %d %d", rows[i].name, (int)rows[i].deed, (int)rows[i].at);
		auto_findings findings;

		state_copy(&state);
		state_spoil(state.place, rows[i].name, rows[i].deed, rows[i].at);
		state_look(state.place, &findings);
		CHECK_ROW(row, findings.result != 0);
		CHECK_ROW(row, findings.sums.damages > 0);
		CHECK_ROW(row, has_line(&findings, rows[i].told));
		if (!has_line(&findings, rows[i].told))
			(void)fprintf(stderr, "# %s", buffer_text(&findings.text));
		state_drop(&state);
	}
	state_end(&state);
}

/* clang-format off */
static const struct {
	const char *sql, *told;
} contradictions[] = {
	{ "UPDATE job SET state = 9 WHERE id = 1", "job=1 shard=0 batchd.db: its state is 9, which does not exist" },
	{ "UPDATE job SET due_at = 5 WHERE id = 1", "job=1 shard=0 batchd.db: it has ended, and is due" },
	{ "UPDATE job SET ok = ok - 1 WHERE id = 1", "job=1 shard=0 batchd.db: of its 1200 requests 1199 have an outcome" },
	{ "UPDATE job SET ok = ok - 1, failed = failed + 1 WHERE id = 1", "job=1 shard=0 batchd.db: it counts 1199 successes, and its shards 1200" },
	{ "UPDATE job SET failed = -1 WHERE id = 4", "job=4 shard=0 batchd.db: a count of its requests is below 0" },
	{ "UPDATE job SET missing = 3 WHERE id = 1", "job=1 shard=0 batchd.db: more of its failures have a reason" },
	{ "UPDATE job SET completed_at = 0 WHERE id = 1", "job=1 shard=0 batchd.db: it has ended, and the time of that is not known" },
	{ "UPDATE job SET output_file = 0 WHERE id = 1", "job=1 shard=0 batchd.db: it has 1200 successes and no file of them" },
	{ "UPDATE job SET error_file = 0 WHERE id = 2", "job=2 shard=0 batchd.db: it has 5 requests without success and no file of them" },
	{ "UPDATE job SET output_file = input_file WHERE id = 1", "job=1 shard=0 batchd.db: one file is said to be its input and its result" },
	{ "DELETE FROM event WHERE job = 1 AND is_last", "job=1 shard=0 batchd.db: it has ended, and its history has no end" },
	{ "DELETE FROM file WHERE id = 1", "job=1 shard=0 batchd.db: its input, file 1, is not known" },
	{ "UPDATE shard SET state = 3 WHERE job = 1", "job=1 shard=0 batchd.db: it has ended, and not all of its shards have" },
	{ "DELETE FROM shard WHERE job = 4", "job=4 shard=0 batchd.db: it was cut, and has no shards" },
	{ "UPDATE shard SET number = 2 WHERE job = 4", "job=4 shard=0 batchd.db: its shards are numbered 2 to 2, and are 1" },
	{ "UPDATE shard SET requests = 1199 WHERE job = 4", "job=4 shard=0 batchd.db: its shards have 1199 of its 1200 requests" },
	{ "UPDATE shard SET requests = 1199 WHERE job = 4", "job=4 shard=1 jobs/4/shard-1.rows: it has 1200 members, and the shard 1199" },
	{ "UPDATE shard SET state = 11 WHERE job = 4", "job=4 shard=1 batchd.db: its state is 11, which does not exist" },
	{ "UPDATE shard SET provider_file = NULL WHERE job = 4", "job=4 shard=1 batchd.db: it was uploaded" },
	{ "UPDATE shard SET batch_id = NULL WHERE job = 4", "job=4 shard=1 batchd.db: its batch was created, and is not known" },
	{ "UPDATE shard SET due_at = 7 WHERE job = 1", "job=1 shard=1 batchd.db: it has ended, and is due" },
	{ "UPDATE shard SET due_at = 0 WHERE job = 4", "job=4 shard=1 batchd.db: it waits for nothing, and is never due" },
	{ "UPDATE shard SET requests = 0 WHERE job = 4", "job=4 shard=1 batchd.db: it has 0 requests" },
	{ "UPDATE shard SET bytes = -1 WHERE job = 4", "job=4 shard=1 batchd.db: a count of its requests is below 0" },
	{ "UPDATE shard SET ok = ok - 1 WHERE job = 1", "job=1 shard=1 batchd.db: of its 1200 requests 1199 have an outcome" },
	{ "UPDATE shard SET ok = ok - 1, failed = 1 WHERE job = 1", "job=1 shard=1 jobs/1/shard-1.done: its outcomes are not those" },
	{ "UPDATE shard SET ok = 4 WHERE job = 4", "job=4 shard=1 batchd.db: it has outcomes before it was collected" },
	{ "UPDATE shard SET marker = 'x' WHERE job = 4", "job=4 shard=1 batchd.db: its marker has no 24 digits" },
	{ "UPDATE shard SET batch_id = (SELECT batch_id FROM shard WHERE job = 4) WHERE job = 5", "batchd.db: its batch is that of shard 1 of job 4 as well" },
	{ "UPDATE shard SET state = 0 WHERE job = 4; UPDATE job SET state = 1, due_at = 1 WHERE id = 4", "job=4 shard=1 batchd.db: it is not collected, and its job was not cut yet" },
	{ "UPDATE job SET state = 0, due_at = 0 WHERE id = 3", "job=3 shard=0 batchd.db: it has not ended, waits for no shard, and is never due" },
	{ "UPDATE event SET shard = 9 WHERE job = 4 AND shard = 1", "job=4 shard=9 batchd.db: its history names a shard" },
	{ "INSERT INTO record (job, name, bytes) VALUES (77, 'rows', x'00')", "job=77 shard=0 batchd.db: a record of it, rows, is there, and it is not" },
	{ "INSERT INTO idempotency (uid, name, digest, job, created_at) VALUES (1, 'k', x'00', 78, 1)", "job=78 shard=0 batchd.db: an idempotency key" },
	{ "UPDATE flight SET tokens = tokens + 1", "batchd.db: what is counted as under way at sim for user 1000 and m is not what its shards add up to" },
	{ "DELETE FROM flight", "batchd.db: what is counted as under way at sim for user 1000 and m is not what its shards add up to" },
	{ "INSERT INTO flight VALUES ('x', 'y', 1, 1, 0, 1, 1)", "batchd.db: what is counted as under way at x for user 1 and y is not what" },
	{ "UPDATE shard SET queue = 1 WHERE job = 4", "job=4 shard=1 batchd.db: it waits for its turn, and is not to be sent" },
	{ "UPDATE file SET bytes = -1 WHERE id = 2", "batchd.db: file 2 has -1 bytes" },
	{ "UPDATE file SET bytes = 1 WHERE id = 2", "files/2: it has" },
	{ "DELETE FROM file_bytes WHERE file = 2", "files/2: it is missing" },
	{ "UPDATE file_bytes SET bytes = x'41' WHERE file = 2", "files/2: it has 1 bytes" },
	{ "DELETE FROM record WHERE job = 2 AND name = 'rows'", "job=2 shard=0 jobs/2/rows: it is missing" },
	{ "UPDATE record SET bytes = zeroblob(72) WHERE job = 2 AND name = 'shard-1.rows'", "job=2 shard=1 jobs/2/shard-1.rows: shard-1.rows of job 2 is damaged" },
	{ "DELETE FROM record WHERE job = 2 AND name = 'shard-1.done'", "job=2 shard=1 jobs/2/shard-1.done: it is missing" },
	{ "DELETE FROM record WHERE job = 3 AND name = 'errors'", "job=3 shard=0 jobs/3/errors: it is missing" },
	{ "UPDATE meta SET value = value + 1 WHERE name = 'id_key'", "job=1 shard=0 jobs/1/rows: row 1 has another custom_id than its line" },
	{ "DELETE FROM meta WHERE name = 'id_key'", "it has no key of its ids" },
	{ "PRAGMA foreign_keys = OFF; DELETE FROM job WHERE id = 3", "belongs to a row of job that is not there" },
	{ "PRAGMA writable_schema = ON; UPDATE sqlite_schema SET sql = replace(sql, 'tries', 'tribs') WHERE name = 'job'", "job=0 shard=0 batchd.db: its table job is not what it should be" },
	{ "DROP INDEX job_due", "job=0 shard=0 batchd.db: its index job_due is not what it should be" },
	{ "PRAGMA application_id = 1", "it is not a store of batchd" },
	{ "PRAGMA user_version = 99", "it is of version 99" },
	/* A shard whose rows another one has too, and one whose rows are nobody's. */
	{ "UPDATE job SET total = 10 WHERE id = 5; INSERT INTO record SELECT job, 'shard-2.rows', bytes FROM record WHERE job = 5 AND name = 'shard-1.rows';"
	  "CREATE TEMP TABLE s AS SELECT * FROM shard WHERE job = 5; UPDATE s SET id = 99, number = 2, marker = '000000000000000000000000', batch_id = 'other';"
	  "INSERT INTO shard SELECT * FROM s", "job=5 shard=2 -: row 1 is with another shard too" },
	{ "UPDATE shard SET state = 7, due_at = 0 WHERE job = 5", "job=5 shard=0 -: 5 of its rows are with no shard and have no outcome; the first is row 1" },
};
/* clang-format on */

static void finds_every_contradiction_of_rows(void)
{
	state_begin(&state);
	for (size_t i = 0; i < ARRAY_SIZE(contradictions); i++) {
		auto_findings findings;

		state_copy(&state);
		state_sql(state.place, contradictions[i].sql);
		state_look(state.place, &findings);
		CHECK_ROW(contradictions[i].sql, findings.result != 0);
		CHECK_ROW(contradictions[i].sql, has_line(&findings, contradictions[i].told));
		if (!has_line(&findings, contradictions[i].told))
			(void)fprintf(stderr, "# %s", buffer_text(&findings.text));
		state_drop(&state);
	}
	state_end(&state);
}

static void notes_what_nothing_names(void)
{
	auto_findings findings;

	state_begin(&state);
	state_copy(&state);
	state_run("cp %s/files/1 %s/files/999", state.place, state.place);
	state_run("mkdir %s/jobs/888 && touch %s/jobs/888/rows", state.place, state.place);
	state_run("touch %s/jobs/1/shard-9.rows%s", state.place, "");
	state_look(state.place, &findings);
	CU_ASSERT_EQUAL(findings.result, 0);
	CU_ASSERT_EQUAL(findings.sums.notes, 3);
	CU_ASSERT(has_line(&findings, "note job=0 shard=0 files/999: nothing names it; the next start removes it"));
	CU_ASSERT(has_line(&findings, "note job=0 shard=0 jobs/888: nothing names it; the next start removes it"));
	CU_ASSERT(has_line(&findings, "note job=1 shard=0 jobs/1/shard-9.rows: nothing names it"));
	state_drop(&state);
	state_end(&state);
}

/* SQLite takes a log that is gone, or damaged in its middle, for one that ended before. */
static void misses_what_was_committed_to_a_log(void)
{
	/* clang-format off */
	static const struct { const char *name; enum state_deed deed; off_t at; int result; const char *words; } rows[] = {
		{ NULL,            STATE_FLIP,   0,    0,        NULL },
		{ "batchd.db-wal",  STATE_REMOVE, 0,    -EUCLEAN, "is missing: of the " },
		{ "batchd.db-wal",  STATE_CUT,    0,    -EUCLEAN, "is missing: of the " },
		{ "batchd.db-wal",  STATE_CUT,    9999, -EUCLEAN, "is damaged: of the " },
		{ "batchd.db-wal",  STATE_FLIP,   3,    -EUCLEAN, "is damaged: of the " },
		{ "batchd.db-wal",  STATE_FLIP,   17,   -EUCLEAN, "is damaged: of the " },
		{ "batchd.db-wal",  STATE_FLIP,   40,   -EUCLEAN, "is damaged: of the " },
		{ "batchd.db-wal",  STATE_FLIP,   5000, -EUCLEAN, "is damaged: of the " },
		{ "batchd.db-wal",  STATE_GROW,   0,    0,        NULL },
		/* Without a mark nothing is known, which is not damage. */
		{ "batchd.db-mark", STATE_REMOVE, 0,    0,        NULL },
		{ "batchd.db-mark", STATE_FLIP,   9,    0,        NULL },
	};
	/* clang-format on */
	struct world *world = world_new(NULL, 3);
	auto_free char *input = world_requests(20, "");
	auto_free char *path = xasprintf("%s/batchd.db", world->folder);
	auto_free char *copy = xasprintf("%s-copy", world->folder);
	auto_free char *copied = xasprintf("%s/batchd.db", copy);

	/* From an empty folder on. */
	world_kill(world);
	CU_ASSERT_EQUAL(unlink(path), 0);
	world->makes_store = true;
	world_start(world);
	(void)world_finish(world, world_submit(world, input));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *row = xasprintf("%s %d %d", rows[i].name, (int)rows[i].deed, (int)rows[i].at);
		struct store *store = NULL;
		auto_findings findings;

		state_run("cp -a %s %s", world->folder, copy);
		if (rows[i].name)
			state_spoil(copy, rows[i].name, rows[i].deed, rows[i].at);
		state_look(copy, &findings);
		CHECK_ROW(row, (findings.result != 0) == (rows[i].result != 0));
		CHECK_ROW(row, !rows[i].words || has_line(&findings, rows[i].words));
		CHECK_ROW(row, store_open(copied, 1, &store, NULL) == rows[i].result);
		store_close(store);
		state_run("rm -rf %s%s", copy, "");
	}
	/* A clean end takes the mark back, and the log. */
	world_kill(world);
	CU_ASSERT_EQUAL(store_log_check(path, NULL), 0);
	world_start(world);
	world_free(world);
}

static void says_that_there_is_nothing_to_look_at(void)
{
	auto_findings findings;

	state_look("/nonexistent/state", &findings);
	CU_ASSERT_EQUAL(findings.result, -ENOENT);
	CU_ASSERT(has_line(&findings, "cannot open /nonexistent/state: No such file"));
}

/* One line each: what providers do to jobs, so that they go every way that the picture of states has. */
static const char *const courses[] = {
	"[]",
	"[{\"call\":\"create\",\"action\":\"expire\",\"percent\":40,\"count\":2}]",
	"[{\"call\":\"create\",\"action\":\"fail_validation\",\"code\":\"x\",\"message\":\"y\",\"line\":3,\"count\":1}]",
	"[{\"call\":\"create\",\"action\":\"token_limit\",\"count\":2}]",
	"[{\"call\":\"upload\",\"action\":\"status\",\"status\":413,\"count\":1}]",
	"[{\"call\":\"content\",\"action\":\"row_missing\",\"count\":1}]",
	"[{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}]",
	"[{\"call\":\"create\",\"action\":\"stuck\",\"status\":\"in_progress\"}]",
};

/* The rules hold whenever a turn is committed: beside a daemon nothing is told that is not so. */
static void finds_nothing_at_any_turn_of_any_course(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(courses); i++) {
		struct world *world = world_new(&slow, i + 1);
		auto_free char *more = world_requests(40, ",\"user\":\"sim:status=500 sim:times=1\"");
		auto_free char *wrong = xstrdup("no json\n");
		int64_t jobs[2];

		know_list(world);
		if (strcmp(courses[i], "[]") != 0)
			world_script(world, courses[i]);
		jobs[0] = world_submit(world, more);
		jobs[1] = world_submit(world, wrong);
		for (int turn = 0; turn < 150; turn++) {
			auto_job job = world_job(world, jobs[0]);

			if (job_is_ended(job.state) && !job.due_at)
				break;
			world_turn(world);
			if (turn == 60 && i + 1 == ARRAY_SIZE(courses))
				(void)world_cancel(world, jobs[0]);
			check_clean(courses[i], world->folder);
		}
		(void)world_finish(world, jobs[0]);
		(void)world_finish(world, jobs[1]);
		check_clean(courses[i], world->folder);
		world_free(world);
	}
}

CHECK_MAIN("verify", CHECK(finds_nothing_in_what_is_whole), CHECK(finds_every_damage_of_a_file),
	   CHECK(finds_every_contradiction_of_rows), CHECK(notes_what_nothing_names),
	   CHECK(misses_what_was_committed_to_a_log), CHECK(says_that_there_is_nothing_to_look_at), CHECK(finds_nothing_at_any_turn_of_any_course))
