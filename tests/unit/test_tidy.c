/*
 * The files of shards that have ended, whatever the provider does and whenever we die: deleted as far as the section says so, and
 * never before what allows it is on disk. At each DELETE the database is asked by a connection of its own, which sees what was
 * committed alone.
 */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "daemon/io/store_sql.h"
#include "daemon/work/scheduler.h"
#include "daemon/work/strays.h"
#include "tests/sim/blob.h"
#include "tests/sim/state.h"
#include "tests/unit/world_scene.h"

#define DAY_MS (24 * INT64_C(3600000))

/* --- what the disk says --- */

static void run_sql(sqlite3 *db, const char *sql)
{
	CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static int64_t ask(sqlite3 *db, const char *sql, const char *text)
{
	sqlite3_stmt *statement = NULL;
	int64_t number = -1;

	CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
	if (text)
		(void)sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
	if (sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return number;
}

struct guard {
	struct world *world;
	int64_t deletes;
	int64_t early; /* of files that a shard may need yet, as the disk has it */
};

/* The input of a shard that goes on, a result of one whose answers are not here. */
static void on_arrived(const char *method, const char *path, const struct sim_answer *answer, void *context)
{
	static const char needed[] =
		"SELECT count(*) FROM shard WHERE (provider_file = ?1 AND (state NOT IN (5, 7, 8) OR (state = 8 AND intended_at > 0)))"
		" OR ((remote_output = ?1 OR remote_error = ?1) AND state <> 5)";
	struct guard *guard = context;
	auto_free char *file = NULL;
	sqlite3 *db = NULL;

	(void)answer;
	if (strcmp(method, "DELETE") != 0)
		return;
	file = xasprintf("%s/batchd.db", guard->world->folder);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open_v2(file, &db, SQLITE_OPEN_READONLY, NULL), SQLITE_OK);
	guard->deletes++;
	guard->early += ask(db, needed, path + strlen("/v1/files/")) != 0;
	(void)sqlite3_close(db);
}

static struct world *make_world(struct guard *guard, enum config_delete delete)
{
	struct world *world = world_new(&slow, 1);

	*guard = (struct guard){ .world = world };
	world->network.post = (struct http_post){ .on_arrived = on_arrived, .context = guard };
	world->provider.delete = delete;
	know_list(world);
	return world;
}

/* What the provider has. */
struct survey {
	int64_t inputs, results;
};

static struct survey survey(const struct world *world)
{
	struct survey found = { 0 };

	for (size_t i = 0; i < world->sim->file_ids.count; i++) {
		const struct file *file = world->sim->files[i];

		if (file->blob)
			*(strcmp(file->purpose, "batch") ? &found.results : &found.inputs) += 1;
	}
	return found;
}

static int64_t strays_left(struct world *world)
{
	return ask(world->store->db, "SELECT count(*) FROM stray", NULL);
}

static bool is_over(struct world *world, void *context)
{
	int64_t job = *(int64_t *)context;
	auto_job end = world_job(world, job);

	return job_is_ended(end.state) && !end.due_at && !strays_left(world);
}

static void finish(const char *row, struct world *world, int64_t job)
{
	CHECK_ROW(row, world_run(world, 60 * DAY_MS, is_over, &job));
}

static void check_left(const char *row, const struct world *world, int64_t inputs, int64_t results)
{
	struct survey found = survey(world);

	CHECK_ROW(row, found.inputs == inputs && found.results == results);
	if (found.inputs != inputs || found.results != results)
		(void)fprintf(stderr, "# %s: %" PRId64 " inputs and %" PRId64 " results are left\n", row, found.inputs,
			      found.results);
}

static void run_for(struct world *world, int64_t ms)
{
	int64_t until = loop_elapsed_ms(world->loop) + ms;

	while (loop_elapsed_ms(world->loop) < until)
		world_turn(world);
}

/* --- one job --- */

struct tale {
	const char *name, *script;
	enum config_delete delete;
	int64_t max_requests;
	int64_t inputs, results; /* that are left */
	int64_t deletes;	 /* asked for; -1: any number */
};

static void tell(const struct tale *tale)
{
	struct guard guard;
	struct world *world = make_world(&guard, tale->delete);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	world->provider.max_requests = tale->max_requests;
	world_script(world, tale->script);
	job = world_submit(world, input);
	CHECK_ROW(tale->name, world_finish(world, job) == JOB_COMPLETED);
	/* What is judged by the provider's result files is judged while they are there. */
	check_judged(tale->name, world, job, input);
	finish(tale->name, world, job);
	check_left(tale->name, world, tale->inputs, tale->results);
	CHECK_ROW(tale->name, guard.early == 0);
	CHECK_ROW(tale->name, tale->deletes < 0 || guard.deletes == tale->deletes);
	world_free(world);
}

#define TELL_ALL(tales)                                                                            \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(tales); i_++)                                  \
			tell(&(tales)[i_]);                                                        \
	} while (0)

#define NEVER CONFIG_DELETE_NEVER
#define STRAYS CONFIG_DELETE_STRAYS
#define INPUTS CONFIG_DELETE_INPUTS
#define ALL CONFIG_DELETE_ALL
#define LOST "{\"call\":\"upload\",\"action\":\"drop_after\",\"count\":1}"
#define FAILING "{\"action\":\"row_http_error\",\"custom_id\":\"r-3\"}"

static void each_policy_deletes_what_it_says(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "never",                 "[]",            NEVER,  100, 1, 1, 0 },
		{ "strays",                "[]",            STRAYS, 100, 1, 1, 0 },
		{ "inputs",                "[]",            INPUTS, 100, 0, 1, 1 },
		{ "all",                   "[]",            ALL,    100, 0, 0, 2 },
		{ "never, many",           "[]",            NEVER,  2,   3, 3, 0 },
		{ "inputs, many",          "[]",            INPUTS, 2,   0, 3, 3 },
		{ "all, many",             "[]",            ALL,    2,   0, 0, 6 },
		{ "never, a lost upload",  LOST,            NEVER,  100, 2, 1, 0 },
		{ "strays, a lost upload", LOST,            STRAYS, 100, 1, 1, 1 },
		{ "inputs, a lost upload", LOST,            INPUTS, 100, 0, 1, 2 },
		{ "all, with failures",    FAILING,         ALL,    100, 0, 0, 3 },
		{ "all, a second attempt", "{\"action\":\"row_status\",\"status\":500,\"row\":2,\"count\":1}", ALL, 100, 0, 0, 4 },
		{ "all, half expires",     "{\"action\":\"expire\",\"percent\":50,\"count\":1}", ALL, 100, 0, 0, -1 },
		{ "inputs, refused",       "{\"action\":\"fail_validation\",\"message\":\"m\"}", INPUTS, 100, 0, 0, -1 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

/* The batch of the first fails for want of room, or of its file; its rows go again under the same file. */
static void a_file_that_is_passed_on_lives_as_long_as_its_heir(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "queue full",       "{\"action\":\"token_limit\",\"count\":2}",           INPUTS, 100, 0, 1, 1 },
		{ "full at create",   "{\"call\":\"create\",\"action\":\"token_limit_400\",\"count\":2}", INPUTS, 100, 0, 1, 1 },
		{ "file not found",   "{\"action\":\"file_not_found\",\"count\":2}",        INPUTS, 100, 0, 1, 1 },
		{ "not found, thrice", "{\"action\":\"file_not_found\",\"count\":3}",       INPUTS, 100, 0, 1, 2 },
		{ "too large",        "{\"call\":\"create\",\"action\":\"too_large\",\"count\":1}", INPUTS, 100, 0, 2, 3 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

#define DELETE(rest) "{\"call\":\"delete\",\"action\":" rest "}"

static void every_answer_to_a_delete_has_its_end(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "in use",            DELETE("\"status\",\"status\":409,\"count\":3"),    INPUTS, 100, 0, 1, 4 },
		{ "in use, as 400",    DELETE("\"status\",\"status\":400,\"count\":3"),    INPUTS, 100, 0, 1, 4 },
		{ "in use for ever",   DELETE("\"status\",\"status\":409"),                INPUTS, 100, 1, 1, 20 },
		{ "down",              DELETE("\"status\",\"status\":503,\"count\":3"),    ALL,    100, 0, 0, 5 },
		{ "down for ever",     DELETE("\"status\",\"status\":500"),                INPUTS, 100, 1, 1, 20 },
		{ "not allowed",       DELETE("\"status\",\"status\":403"),                INPUTS, 100, 1, 1, 20 },
		/* The first answer tells it of all. */
		{ "no such call",      DELETE("\"status\",\"status\":405"),                ALL,    2,   3, 3, 1 },
		{ "not implemented",   DELETE("\"status\",\"status\":501"),                ALL,    2,   3, 3, 1 },
		{ "slow down",         DELETE("\"rate_limit\",\"retry_after\":\"3600\",\"count\":1"), INPUTS, 100, 0, 1, 2 },
		{ "gone already",      DELETE("\"not_found\""),                            ALL,    2,   3, 3, 6 },
		{ "gone for good",     DELETE("\"gone\""),                                 INPUTS, 2,   3, 3, 3 },
		{ "answer lost",       DELETE("\"drop_after\",\"count\":1"),               INPUTS, 100, 0, 1, 2 },
		{ "never arrived",     DELETE("\"drop_before\",\"count\":1"),              INPUTS, 100, 0, 1, -1 },
		{ "garbage",           DELETE("\"garbage\",\"count\":1"),                  INPUTS, 100, 0, 1, 1 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

/* What came back is not whole: people may want to look at what is there. */
static void results_that_are_not_whole_are_left(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "a row missing",     "{\"action\":\"row_missing\",\"row\":2,\"count\":1}",    ALL, 2, 0, 1, -1 },
		{ "a line not JSON",   "{\"action\":\"row_not_json\",\"row\":2,\"count\":1}",   ALL, 2, 0, 1, -1 },
		{ "a row nobody sent", "{\"action\":\"row_unknown_id\",\"row\":2,\"count\":1}", ALL, 2, 0, 1, -1 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

/* --- when --- */

static void results_are_left_for_a_while(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, ALL);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	world->provider.delete_results_after = 3 * DAY_MS;
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	run_for(world, 3 * DAY_MS - HOUR_MS);
	check_left("kept", world, 0, 1);
	/* By a clock that was set back, the whole of it passes again: what is early cannot be undone. */
	loop_jump(world->loop, -2 * DAY_MS);
	world->is_set_back = true;
	run_for(world, 2 * HOUR_MS);
	check_left("set back", world, 0, 1);
	run_for(world, 3 * DAY_MS);
	check_left("its time is over", world, 0, 0);
	check_event("told", world, job, "shard.note", "a result file of it");
	check_event("told", world, job, "shard.note", "its input, which nobody needs any more, was deleted");
	CU_ASSERT_EQUAL(guard.early, 0);
	world_free(world);
}

static void no_time_at_all_is_allowed(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, ALL);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	world->provider.delete_results_after = 0;
	world->provider.max_requests = 2;
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	run_for(world, MINUTE_MS);
	check_left("at once", world, 0, 0);
	check_judged("at once", world, job, input);
	CU_ASSERT_EQUAL(guard.early, 0);
	world_free(world);
}

/* What was noted under one policy is deleted only while the policy still wants it. */
static void a_later_word_counts(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, ALL);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job = world_submit(world, input);

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	run_for(world, HOUR_MS);
	check_left("inputs are gone", world, 0, 1);
	world->provider.delete = NEVER;
	finish("never", world, job);
	check_left("results stay", world, 0, 1);
	CU_ASSERT_EQUAL(guard.deletes, 1);
	world_free(world);
}

/* --- what is in doubt --- */

/* The owner gave up a shard of which nobody could tell whether it has a batch. */
static void the_input_of_what_was_never_settled_is_left(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, ALL);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_shard shard = { 0 };
	int64_t job;

	world->provider.sweep_files = HOUR_MS;
	world_script(world, "[{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1},"
			    "{\"call\":\"list\",\"action\":\"set\",\"members\":{\"metadata\":{\"batchd\":\"other\"}}}]");
	job = world_submit(world, input);
	run_for(world, HOUR_MS);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	shard = world_shard(world, job, 1);
	CU_ASSERT_EQUAL(shard.state, SHARD_CANCELLED);
	run_for(world, 2 * DAY_MS);
	CU_ASSERT_EQUAL(survey(world).inputs, 1);
	CU_ASSERT_EQUAL(guard.deletes, 0);
	CU_ASSERT_TRUE(sim_calls(world->sim, "files") > 10);
	world_free(world);
}

static void the_input_of_what_was_never_sent_is_deleted(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, INPUTS);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	world_script(world, "{\"call\":\"create\",\"action\":\"token_limit_400\"}");
	job = world_submit(world, input);
	/* Later it is sent in halves. */
	run_for(world, HOUR_MS / 8);
	CU_ASSERT_EQUAL(survey(world).inputs, 1);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	finish("cancelled", world, job);
	check_left("cancelled", world, 0, 0);
	CU_ASSERT_EQUAL(guard.early, 0);
	world_free(world);
}

/* Equal bytes are one file for some providers: another shard may have come to need it since it was noted. Asked right before. */
static void what_another_shard_needs_is_not_deleted(void)
{
	/* clang-format off */
	static const struct { enum shard_state state; int64_t intended_at; enum store_stray_kind kind; int64_t deletes; } cases[] = {
		{ SHARD_CUT,       0, STRAY_INPUT,  0 }, { SHARD_UPLOADED,  0, STRAY_INPUT,  0 },
		{ SHARD_UPLOADED,  1, STRAY_INPUT,  0 }, { SHARD_CREATED,   1, STRAY_INPUT,  0 },
		{ SHARD_ENDED,     1, STRAY_INPUT,  0 }, { SHARD_FETCHED,   1, STRAY_INPUT,  0 },
		{ SHARD_UNCERTAIN, 1, STRAY_INPUT,  0 }, { SHARD_CANCELLED, 1, STRAY_INPUT,  0 },
		{ SHARD_CANCELLED, 0, STRAY_INPUT,  1 }, { SHARD_COLLECTED, 1, STRAY_INPUT,  1 },
		{ SHARD_DROPPED,   1, STRAY_INPUT,  1 }, { SHARD_COLLECTED, 1, STRAY_RESULT, 1 },
		{ SHARD_ENDED,     1, STRAY_RESULT, 0 }, { SHARD_FETCHED,   1, STRAY_RESULT, 0 },
		{ SHARD_DROPPED,   1, STRAY_RESULT, 1 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guard guard;
		struct world *world = make_world(&guard, NEVER);
		auto_free char *input = world_requests(1, "");
		auto_free char *row = xasprintf("%s, intended at %d, kind %d", shard_state_name(cases[i].state),
						(int)cases[i].intended_at, (int)cases[i].kind);
		struct store_stray stray = { .provider = world->provider.name, .shard = 4711, .due_at = 1, .kind = cases[i].kind,
					     .name = (char *)(uintptr_t) "n" };
		int64_t job = world_submit(world, input);
		auto_shard shard = { 0 };

		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		shard = world_shard(world, job, 1);
		shard.state = cases[i].state;
		shard.intended_at = cases[i].intended_at;
		store_shard_save(world->store, &shard);
		stray.file_id = stray.kind == STRAY_INPUT ? shard.provider_file : shard.remote_output;
		(void)store_stray_add(world->store, &stray);
		world->provider.delete = ALL;
		strays_kick(world->strays);
		run_for(world, HOUR_MS);
		CHECK_ROW(row, strays_left(world) == 0 && guard.deletes == cases[i].deletes);
		world_free(world);
	}
}

/* --- death --- */

static bool has_ended(struct world *world, int64_t job)
{
	auto_job now = world_job(world, job);

	return job_is_ended(now.state);
}

/* Dies in turn number at; false: it was over before. */
static bool die_at(const char *script, enum config_delete delete, int64_t at)
{
	struct guard guard;
	struct world *world = make_world(&guard, delete);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job, turn = 0;
	bool is_judged = false;
	char row[64];

	(void)snprintf(row, sizeof(row), "death in turn %" PRId64, at);
	world->provider.max_requests = 3;
	world->provider.delete_results_after = HOUR_MS;
	world_script(world, script);
	job = world_submit(world, input);
	while (turn < at && !is_over(world, &job)) {
		world_turn(world);
		if (!is_judged && has_ended(world, job)) {
			check_judged(row, world, job, input);
			is_judged = true;
		}
		turn++;
	}
	if (turn == at)
		world_lose_turn(world);
	(void)world_finish(world, job);
	if (!is_judged)
		check_judged(row, world, job, input);
	finish(row, world, job);
	check_left(row, world, 0, delete == ALL ? 0 : 2);
	CHECK_ROW(row, guard.early == 0);
	world_free(world);
	return turn == at;
}

static void a_death_in_any_turn_forgets_nothing_and_deletes_nothing_early(void)
{
	static const struct { const char *script; enum config_delete delete; } cases[] = {
		{ "[]", INPUTS },
		{ FAILING, ALL },
		{ "{\"call\":\"create\",\"action\":\"token_limit_400\",\"count\":2}", ALL },
		{ "{\"action\":\"token_limit\",\"count\":1}", ALL },
		{ DELETE("\"drop_after\",\"count\":2"), ALL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t at = 0;

		/* Each of one case, and a part of the others. */
		while (die_at(cases[i].script, cases[i].delete, at))
			at += i ? 3 : 1;
		CHECK_ROW(cases[i].script, at > 20);
	}
}

/* A turn that ends with a full disk: what it would have allowed is not done either, though all that is due is looked at in each. */
static void a_full_disk_deletes_nothing_early(void)
{
	for (int at = 0; at < 160; at++) {
		struct guard guard;
		struct world *world = make_world(&guard, ALL);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job;
		char row[64];

		(void)snprintf(row, sizeof(row), "no room in turn %d", at);
		world->provider.delete_results_after = 0;
		job = world_submit(world, input);
		for (int turn = 0; turn < at + 8; turn++) {
			/* The real loop has room for many callbacks in a turn. */
			loop_run_once(world->loop, 1);
			strays_kick(world->strays);
			loop_run_once(world->loop, 1);
			if (turn >= at && turn < at + 4)
				world->store->failure = -ENOSPC;
			(void)store_commit(world->store, NULL);
		}
		finish(row, world, job);
		check_left(row, world, 0, 0);
		CHECK_ROW(row, guard.early == 0);
		world_free(world);
	}
}

/* --- orphans --- */

static void add_file(struct world *world, const char *name)
{
	(void)files_add(world->sim, "batch", name, blob_copy("{}", 2), world_now(world), 0);
}

/* Ended under another policy, or refused for too long: found in the list, by a later one. */
static void inputs_that_were_missed_are_found(void)
{
	/* clang-format off */
	static const struct { const char *name, *script; int64_t inputs, lists; } cases[] = {
		{ "a list",           "[]", 0, 2 },
		{ "no has_more",      "{\"call\":\"files\",\"action\":\"no_has_more\"}", 0, 3 },
		{ "a bare array",     "{\"call\":\"files\",\"action\":\"bare_array\"}", 0, 3 },
		{ "another order",    "{\"call\":\"files\",\"action\":\"order_ignored\"}", 0, 2 },
		{ "all purposes",     "{\"call\":\"files\",\"action\":\"purpose_ignored\"}", 0, 2 },
		{ "no times",         "{\"call\":\"files\",\"action\":\"no_created_at\"}", 0, 2 },
		{ "down once",        "{\"call\":\"files\",\"action\":\"status\",\"status\":503,\"count\":1}", 0, 3 },
		{ "down for long",    "{\"call\":\"files\",\"action\":\"status\",\"status\":503,\"count\":7}", 0, 9 },
		{ "garbage",          "{\"call\":\"files\",\"action\":\"garbage\",\"count\":1}", 0, 3 },
		{ "no list",          "{\"call\":\"files\",\"action\":\"status\",\"status\":405}", 3, 3 },
		{ "no names",         "{\"call\":\"files\",\"action\":\"remove\",\"names\":[\"filename\"]}", 3, 6 },
		{ "another purpose",  "{\"call\":\"files\",\"action\":\"set\",\"members\":{\"purpose\":\"evals\"}}", 3, 6 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct guard guard;
		struct world *world = make_world(&guard, STRAYS);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job;

		world->provider.max_requests = 2;
		job = world_submit(world, input);
		CHECK_ROW(cases[i].name, world_finish(world, job) == JOB_COMPLETED);
		for (int k = 0; k < 150; k++)
			add_file(world, "theirs.jsonl");
		world->provider.delete = INPUTS;
		world->provider.sweep_files = DAY_MS;
		world_script(world, cases[i].script);
		run_for(world, 2 * DAY_MS + 12 * HOUR_MS);
		check_left(cases[i].name, world, cases[i].inputs + 150, 3);
		CHECK_ROW(cases[i].name, guard.early == 0 && guard.deletes == 3 - cases[i].inputs);
		CHECK_ROW(cases[i].name, sim_calls(world->sim, "files") >= cases[i].lists &&
						 sim_calls(world->sim, "files") <= cases[i].lists + 6);
		world_free(world);
	}
}

static void a_delete_that_failed_for_too_long_is_tried_again(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, INPUTS);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	world->provider.sweep_files = 7 * DAY_MS;
	world_script(world, DELETE("\"status\",\"status\":409,\"count\":22"));
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	run_for(world, 40 * DAY_MS);
	check_left("in use for long", world, 0, 1);
	CU_ASSERT_EQUAL(guard.deletes, 23);
	world_free(world);
}

/* Another batchd may use the same account: its markers are not in this store. */
static void names_of_another_store_are_never_touched(void)
{
	static const char *const forms[] = { "batchd-%.23s.jsonl", "batchd-%s.jsonl.1", "BATCHD-%s.jsonl", "batchd-%s",
					     "x-batchd-%s.jsonl", "%s.jsonl", "batchd-%s0.jsonl", "batchd-0%s.jsonl" };
	struct guard guard;
	struct world *world = make_world(&guard, INPUTS);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_shard shard = { 0 };
	int64_t job, files;

	world->provider.sweep_files = HOUR_MS;
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	shard = world_shard(world, job, 1);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		char name[100];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(name, sizeof(name), forms[i], shard.marker);
#pragma GCC diagnostic pop
		add_file(world, name);
	}
	add_file(world, "batchd-0123456789abcdef01234567.jsonl");
	files = ARRAY_SIZE(forms) + 1;
	run_for(world, 2 * DAY_MS);
	check_left("theirs", world, files, 1);
	CU_ASSERT_TRUE(sim_calls(world->sim, "files") >= 40);
	CU_ASSERT_EQUAL(guard.deletes, 1);
	world_free(world);
}

/* Those that wait, run, or were passed on. A second section is the same account, so its list shows them too. */
static void inputs_of_shards_that_live_are_left(void)
{
	static const struct sim_config long_runs = { .run_ms = 20 * HOUR_MS };
	static const char *const scripts[] = {
		"[]",
		"{\"call\":\"create\",\"action\":\"token_limit_400\",\"count\":2}",
		"{\"action\":\"token_limit\",\"count\":2}",
		"{\"action\":\"file_not_found\",\"count\":2}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct guard guard;
		struct world *world = world_new(&long_runs, 1);
		struct config_provider providers[2];
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job;

		guard = (struct guard){ .world = world };
		world->network.post = (struct http_post){ .on_arrived = on_arrived, .context = &guard };
		world_kill(world);
		world->provider.delete = STRAYS;
		providers[0] = world->provider;
		providers[1] = world->provider;
		providers[1].name = (char *)(uintptr_t)"other";
		providers[1].delete = ALL;
		providers[1].sweep_files = HOUR_MS;
		world->config.providers = providers;
		world->config.provider_count = 2;
		world_start(world);
		know_list(world);
		world_script(world, scripts[i]);
		job = world_submit(world, input);
		CHECK_ROW(scripts[i], world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(scripts[i], sim_calls(world->sim, "files") > 10 && guard.deletes == 0);
		/* Then it is the account that is tidied, by whichever section says so. */
		run_for(world, 2 * HOUR_MS);
		CHECK_ROW(scripts[i], survey(world).inputs == 0 && guard.early == 0);
		check_judged(scripts[i], world, job, input);
		world_free(world);
	}
}

/* Its name is ours, and its shard has ended; but not its batch, as far as anybody saw. */
static void the_input_of_a_batch_that_may_run_is_left(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, STRAYS);
	auto_free char *input = world_requests(1, "");
	int64_t job = world_submit(world, input);
	auto_shard shard = { 0 };

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	shard = world_shard(world, job, 1);
	free(shard.remote_status);
	shard.remote_status = xstrdup("in_progress");
	store_shard_save(world->store, &shard);
	world->provider.delete = INPUTS;
	world->provider.sweep_files = HOUR_MS;
	run_for(world, 5 * HOUR_MS);
	CU_ASSERT_TRUE(sim_calls(world->sim, "files") >= 4);
	check_left("it may run", world, 1, 1);
	free(shard.remote_status);
	shard.remote_status = xstrdup("completed");
	store_shard_save(world->store, &shard);
	run_for(world, 2 * HOUR_MS);
	check_left("it has ended", world, 0, 1);
	world_free(world);
}

/* A start is no reason to read it again. */
static void the_list_is_read_as_rarely_as_the_section_says(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, INPUTS);

	world->provider.sweep_files = DAY_MS;
	for (int i = 0; i < 40; i++) {
		run_for(world, HOUR_MS);
		world_kill(world);
		world_start(world);
	}
	CU_ASSERT_EQUAL(sim_calls(world->sim, "files"), 2);
	loop_jump(world->loop, -3650 * DAY_MS);
	run_for(world, 3 * DAY_MS);
	CU_ASSERT_TRUE(sim_calls(world->sim, "files") >= 4 && sim_calls(world->sim, "files") <= 6);
	world_free(world);
}

/* --- a restored copy --- */

static char *copy_store(struct world *world)
{
	char *path = xasprintf("%s-copy.db", world->folder);
	auto_free char *stamp = xasprintf("INSERT INTO meta (name, value) VALUES ('copied_at', %" PRId64 ")",
					  world_now(world));
	auto_free char *copy = xasprintf("VACUUM INTO '%s'", path);
	sqlite3 *db;

	run_sql(world->store->db, copy);
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	run_sql(db, stamp);
	(void)sqlite3_close(db);
	return path;
}

static void restore(struct world *world, const char *path)
{
	auto_free char *swap = xasprintf("rm -f %s/batchd.db* && mv %s %s/batchd.db", world->folder, path, world->folder);

	world_kill(world);
	CU_ASSERT_EQUAL_FATAL(system(swap), 0);
	world_start(world);
}

/* The original goes on for so many turns after the copy was made, and deletes what it may; the copy ends the job all the same. */
static bool restore_at(enum config_delete delete, int moment, int turns)
{
	struct guard guard;
	struct world *world = make_world(&guard, delete);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_free char *path = NULL;
	auto_job copied = { 0 };
	int64_t job = world_submit(world, input);
	char row[64];

	(void)snprintf(row, sizeof(row), "copied in turn %d, restored %d later", moment, turns);
	world->provider.sweep_files = HOUR_MS;
	for (int i = 0; i < moment; i++)
		world_turn(world);
	copied = world_job(world, job);
	path = copy_store(world);
	for (int i = 0; i < turns; i++)
		world_turn(world);
	restore(world, path);
	CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
	run_for(world, 3 * DAY_MS);
	check_judged(row, world, job, input);
	CHECK_ROW(row, world_ledger(world).batches == 1 && world_ledger(world).most_answers == 1);
	CHECK_ROW(row, survey(world).inputs == 0);
	world_free(world);
	return !job_is_ended(copied.state);
}

static void a_copy_needs_nothing_that_the_original_deleted(void)
{
	static const int turns[] = { 0, 25, 200 };

	for (size_t i = 0; i < ARRAY_SIZE(turns); i++) {
		int moment = 1;

		while (restore_at(turns[i] < 200 ? ALL : INPUTS, moment, turns[i]))
			moment += 3;
		CU_ASSERT_TRUE(moment > 20);
	}
}

/* The original lives, and has not fetched yet: the copy, which has, deletes no answers of its. */
static void a_copy_deletes_no_answers_that_the_original_made(void)
{
	struct guard guard;
	struct world *world = make_world(&guard, ALL);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_free char *path = NULL;
	auto_shard shard = { 0 };
	int64_t first, second;

	world->provider.delete_results_after = 0;
	first = world_submit(world, input);
	while (shard.state != SHARD_CREATED) {
		world_turn(world);
		shard_release(&shard);
		shard = world_shard(world, first, 1);
	}
	path = copy_store(world);
	restore(world, path);
	CU_ASSERT_EQUAL(world_finish(world, first), JOB_COMPLETED);
	run_for(world, 3 * DAY_MS);
	check_left("the original's", world, 0, 1);
	second = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, second), JOB_COMPLETED);
	run_for(world, 3 * DAY_MS);
	check_left("its own", world, 0, 1);
	world_free(world);
}

CHECK_MAIN("tidy", CHECK(each_policy_deletes_what_it_says), CHECK(a_file_that_is_passed_on_lives_as_long_as_its_heir),
	   CHECK(every_answer_to_a_delete_has_its_end), CHECK(results_that_are_not_whole_are_left),
	   CHECK(results_are_left_for_a_while), CHECK(no_time_at_all_is_allowed), CHECK(a_later_word_counts),
	   CHECK(the_input_of_what_was_never_settled_is_left), CHECK(the_input_of_what_was_never_sent_is_deleted),
	   CHECK(what_another_shard_needs_is_not_deleted),
	   CHECK(a_death_in_any_turn_forgets_nothing_and_deletes_nothing_early), CHECK(a_full_disk_deletes_nothing_early),
	   CHECK(inputs_that_were_missed_are_found), CHECK(a_delete_that_failed_for_too_long_is_tried_again),
	   CHECK(names_of_another_store_are_never_touched), CHECK(inputs_of_shards_that_live_are_left),
	   CHECK(the_input_of_a_batch_that_may_run_is_left),
	   CHECK(the_list_is_read_as_rarely_as_the_section_says), CHECK(a_copy_needs_nothing_that_the_original_deleted),
	   CHECK(a_copy_deletes_no_answers_that_the_original_made))
