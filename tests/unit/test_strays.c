/*
 * Files that nobody needs, whatever the provider does: in the end it has exactly those that shards name, and nobody else's file is
 * gone. What is there is read from the provider's memory.
 */
#include <errno.h>
#include <inttypes.h>
#include <sqlite3.h>
#include <stdlib.h>

#include "daemon/io/store_sql.h"
#include "daemon/work/provider.h"
#include "daemon/work/strays.h"
#include "tests/sim/blob.h"
#include "tests/sim/state.h"
#include "tests/unit/world_scene.h"

#define DAY_MS (24 * INT64_C(3600000))
#define MAX_OWN 4096

/* --- who has which files --- */

struct names {
	char *all[MAX_OWN];
	size_t count;
	struct world *world;
};

static void add_shard(const struct shard *shard, void *context)
{
	struct names *names = context;

	if (shard->provider_file && shard->state != SHARD_DROPPED && names->count < MAX_OWN)
		names->all[names->count++] = xstrdup(shard->provider_file);
}

static void add_job(const struct job *job, void *context)
{
	struct names *names = context;

	(void)store_shard_list(names->world->store, job->id, 0, MAX_OWN, add_shard, names);
}

/* What the provider has, held against what shards name. */
struct survey {
	int64_t orphans; /* input files that no shard names, */
	int64_t missing; /* and the other way round */
	int64_t foreign; /* that are not called as ours are */
};

static bool is_named(const struct names *names, const char *id)
{
	for (size_t i = 0; i < names->count; i++)
		if (!strcmp(names->all[i], id))
			return true;
	return false;
}

static struct survey survey(struct world *world)
{
	struct names *names = xcalloc(1, sizeof(*names));
	struct survey found = { 0 };

	names->world = world;
	(void)store_job_list(world->store, -1, ~0u, 0, MAX_OWN, add_job, names);
	for (size_t i = 0; i < world->sim->file_ids.count; i++) {
		const struct file *file = world->sim->files[i];
		bool is_ours = !strncmp(file->name, "batchd-", 7), is_input = !strcmp(file->purpose, "batch");

		if (!is_input)
			continue;
		found.foreign += file->blob && !is_ours;
		found.orphans += file->blob && is_ours && !is_named(names, file->id);
		found.missing += !file->blob && is_named(names, file->id);
	}
	for (size_t i = 0; i < names->count; i++)
		free(names->all[i]);
	free(names);
	return found;
}

static void count_one(const struct store_stray *stray, void *context)
{
	(void)stray;
	++*(int64_t *)context;
}

/* Not more than limit of each kind are counted. */
static int64_t strays_left(struct world *world, size_t limit)
{
	int64_t count = 0;

	for (int is_named = 0; is_named < 2; is_named++)
		(void)store_stray_due(world->store, "sim", is_named, INT64_MAX, limit, count_one, &count);
	return count;
}

static bool is_over(struct world *world, void *context)
{
	int64_t job = *(int64_t *)context;
	auto_job end = world_job(world, job);

	return job_is_ended(end.state) && !end.due_at && !strays_left(world, 1);
}

/* Until nothing is left to be done; for as long as the most patient needs. */
static void finish(const char *row, struct world *world, int64_t job)
{
	CHECK_ROW(row, world_run(world, 60 * DAY_MS, is_over, &job));
}

static void check_survey(const char *row, struct world *world, int64_t orphans)
{
	struct survey found = survey(world);

	CHECK_ROW(row, found.orphans == orphans);
	CHECK_ROW(row, found.missing == 0);
	if (found.orphans != orphans)
		(void)fprintf(stderr, "# %" PRId64 " orphans are left\n", found.orphans);
}

/* --- one job --- */

/* -1: any number. */
struct tale {
	const char *name, *script;
	int64_t uploads;
	int64_t deleted; /* at the provider */
	int64_t orphans; /* left behind */
	int64_t lists;	 /* of files, asked for */
	int64_t deletes; /* asked for */
};

static bool is_so(int64_t wanted, int64_t found)
{
	return wanted < 0 || wanted == found;
}

static void tell(const struct tale *tale)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	know_list(world);
	world_script(world, tale->script);
	job = world_submit(world, input);
	CHECK_ROW(tale->name, world_finish(world, job) == JOB_COMPLETED);
	check_judged(tale->name, world, job, input);
	finish(tale->name, world, job);
	check_judged(tale->name, world, job, input);
	check_survey(tale->name, world, tale->orphans);
	CHECK_ROW(tale->name, is_so(tale->uploads, world->sim->files_created));
	CHECK_ROW(tale->name, is_so(tale->deleted, world->sim->files_deleted));
	CHECK_ROW(tale->name, is_so(tale->lists, sim_calls(world->sim, "files")));
	CHECK_ROW(tale->name, is_so(tale->deletes, sim_calls(world->sim, "delete")));
	world_free(world);
}

#define TELL_ALL(tales)                                                                            \
	do {                                                                                       \
		for (size_t i_ = 0; i_ < ARRAY_SIZE(tales); i_++)                                  \
			tell(&(tales)[i_]);                                                        \
	} while (0)

static void a_file_of_a_lost_upload_is_deleted(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "answer lost", "{\"call\":\"upload\",\"action\":\"drop_after\",\"count\":1}", 2, 1, 0, 1, 1 },
		{ "502, three times", "{\"call\":\"upload\",\"action\":\"lost_answer\",\"count\":3}", 4, 3, 0, 1, 3 },
		{ "answer cut", "{\"call\":\"upload\",\"action\":\"cut_body\",\"cut_at\":10,\"count\":1}", 2, 1, 0, 1, 1 },
		{ "headers alone", "{\"call\":\"upload\",\"action\":\"cut_headers\",\"count\":1}", 2, 1, 0, 1, 1 },
		{ "garbage", "{\"call\":\"upload\",\"action\":\"garbage\",\"count\":2}", 3, 2, 0, 1, 2 },
		{ "no id in it", "{\"call\":\"upload\",\"action\":\"body\",\"text\":\"{}\",\"count\":1}", 2, 1, 0, 1, 1 },
		{ "too late", "{\"call\":\"upload\",\"action\":\"delay\",\"ms\":61000,\"count\":1}", 2, 1, 0, 1, 1 },
		{ "in many ways", "[{\"call\":\"upload\",\"action\":\"drop_after\",\"nth\":1},{\"call\":\"upload\",\"action\":\"drop_before\",\"nth\":2},"
		  "{\"call\":\"upload\",\"action\":\"rate_limit\",\"nth\":3},{\"call\":\"upload\",\"action\":\"garbage\",\"nth\":2}]", -1, -1, 0, 1, -1 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

static void a_file_that_is_not_used_is_deleted_by_its_id(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "size differs once", "{\"call\":\"upload\",\"action\":\"bytes_differ\",\"off\":-1,\"count\":1}", 2, 1, 0, 0, 1 },
		{ "size differs always", "{\"call\":\"upload\",\"action\":\"bytes_differ\",\"off\":3}", 3, 2, 0, 0, 2 },
		{ "create cannot find it", "{\"call\":\"create\",\"action\":\"not_found\",\"count\":3}", 2, 1, 0, 0, 1 },
		{ "create finds it too large", "{\"call\":\"create\",\"action\":\"too_large\",\"count\":1}", 3, 1, 0, 0, 1 },
		{ "the batch cannot find it", "{\"action\":\"file_not_found\",\"count\":3}", 2, 1, 0, 0, 1 },
		{ "the batch cannot find it, twice", "{\"action\":\"file_not_found\",\"count\":2}", 1, 0, 0, 0, 0 },
		{ "lost, then not found", "[{\"call\":\"upload\",\"action\":\"drop_after\",\"count\":1},"
		  "{\"call\":\"create\",\"action\":\"not_found\",\"count\":3}]", 3, 2, 0, 1, -1 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

static void what_made_nothing_leaves_nothing_to_do(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "all is well", "[]", 1, 0, 0, 0, 0 },
		{ "429", "{\"call\":\"upload\",\"action\":\"rate_limit\",\"count\":5}", 1, 0, 0, 0, 0 },
		{ "401", "{\"call\":\"upload\",\"action\":\"status\",\"status\":401,\"count\":1}", 1, 0, 0, 0, 0 },
		{ "413", "{\"call\":\"upload\",\"action\":\"too_large\",\"count\":1}", 2, 0, 0, 0, 0 },
		/* These may be of a file that was made: it is looked for once. */
		{ "never arrived", "{\"call\":\"upload\",\"action\":\"drop_before\",\"count\":2}", 1, 0, 0, 1, 0 },
		{ "500", "{\"call\":\"upload\",\"action\":\"status\",\"status\":500,\"count\":2}", 1, 0, 0, 1, 0 },
		{ "408", "{\"call\":\"upload\",\"action\":\"status\",\"status\":408,\"count\":1}", 1, 0, 0, 1, 0 },
		{ "409", "{\"call\":\"upload\",\"action\":\"status\",\"status\":409,\"count\":1}", 1, 0, 0, 1, 0 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

static void what_was_not_sent_leaves_nothing_to_do(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	know_list(world);
	world->network.refused = "POST /v1/files";
	world->network.refused_count = 3;
	job = world_submit(world, input);
	finish("refused", world, job);
	CU_ASSERT_EQUAL(world->network.refused_count, 0);
	CU_ASSERT_EQUAL(sim_calls(world->sim, "files"), 0);
	world_free(world);
}

#define LOST "{\"call\":\"upload\",\"action\":\"drop_after\",\"count\":1}"
#define LOST_AND(rule) "[" LOST "," rule "]"
#define FILES(rest) LOST_AND("{\"call\":\"files\",\"action\":" rest "}")
#define DELETE(rest) LOST_AND("{\"call\":\"delete\",\"action\":" rest "}")

static void every_kind_of_list_is_read(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "no has_more",     FILES("\"no_has_more\""),               2, 1, 0, 2, 1 },
		{ "a bare array",    FILES("\"bare_array\""),                2, 1, 0, 2, 1 },
		{ "no last_id",      FILES("\"no_first_last\""),             2, 1, 0, 1, 1 },
		{ "overlaps",        FILES("\"pages_overlap\""),             2, 1, 0, 1, 1 },
		{ "another order",   FILES("\"order_ignored\""),             2, 1, 0, 1, 1 },
		{ "all purposes",    FILES("\"purpose_ignored\""),           2, 1, 0, 1, 1 },
		{ "after ignored",   FILES("\"after_ignored\""),             2, 1, 0, 2, 1 },
		{ "after refused",   LOST_AND("{\"call\":\"files\",\"action\":\"no_has_more\"},"
					      "{\"call\":\"files\",\"action\":\"after_refused\",\"paged\":true}"), 2, 1, 0, 2, 1 },
		{ "times as text",   FILES("\"times_iso\""),                 2, 1, 0, 1, 1 },
		{ "times as millis", FILES("\"times_ms\""),                  2, 1, 0, 1, 1 },
		{ "no times",        FILES("\"no_created_at\""),             2, 1, 0, 1, 1 },
		{ "no bytes",        FILES("\"remove\",\"names\":[\"bytes\"]"),   2, 1, 0, 1, 1 },
		{ "no purpose",      FILES("\"remove\",\"names\":[\"purpose\"]"), 2, 1, 0, 1, 1 },
		{ "fewer bytes",     FILES("\"bytes_differ\",\"off\":-7"),   2, 1, 0, 1, 1 },
		{ "long ids",        LOST_AND("{\"call\":\"upload\",\"action\":\"long_ids\",\"size\":1500}"), 2, 1, 0, 1, 1 },
		{ "stale",           FILES("\"list_stale\",\"ms\":60000"),   2, 1, 0, 1, 1 },
		{ "stale for long",  FILES("\"list_stale\",\"ms\":3600000"), 2, 1, 0, -1, 1 },
		{ "empty at first",  FILES("\"list_empty\",\"count\":4"),    2, 1, 0, 5, 1 },
		{ "down for a while", FILES("\"status\",\"status\":503,\"count\":3"), 2, 1, 0, 4, 1 },
		{ "cut once",        FILES("\"cut_body\",\"cut_at\":50,\"count\":1"), 2, 1, 0, 2, 1 },
		{ "garbage once",    FILES("\"garbage\",\"count\":1"),       2, 1, 0, 2, 1 },
		{ "no key for it",   FILES("\"status\",\"status\":403,\"count\":3"), 2, 1, 0, 4, 1 },
		{ "slow down",       FILES("\"rate_limit\",\"retry_after\":\"7200\",\"count\":2"), 2, 1, 0, 3, 1 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

static void a_list_that_does_not_tell_is_not_asked_for_ever(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "404",             FILES("\"not_found\""),                  2, 0, 1, 1, 0 },
		{ "405",             FILES("\"status\",\"status\":405"),     2, 0, 1, 1, 0 },
		{ "501",             FILES("\"status\",\"status\":501"),     2, 0, 1, 1, 0 },
		{ "400",             FILES("\"status\",\"status\":400"),     2, 0, 1, 1, 0 },
		{ "always empty",    FILES("\"list_empty\""),                2, 0, 1, 20, 0 },
		{ "no names",        FILES("\"remove\",\"names\":[\"filename\"]"), 2, 0, 1, 20, 0 },
		{ "other names",     FILES("\"set\",\"members\":{\"filename\":\"x\"}"), 2, 0, 1, 20, 0 },
		{ "more, but where", FILES("\"body\",\"text\":\"{\\\"data\\\":[],\\\"has_more\\\":true}\""), 2, 0, 1, 20, 0 },
		{ "no list",         FILES("\"body\",\"text\":\"{}\""),      2, 0, 1, 20, 0 },
		{ "always down",     FILES("\"status\",\"status\":503"),     2, 0, 1, 20, 0 },
		{ "never allowed",   FILES("\"status\",\"status\":403"),     2, 0, 1, 20, 0 },
		/* Its own file is shown as somebody else's might be, so the other is not ours for certain. */
		{ "more bytes",      FILES("\"bytes_differ\",\"off\":7"),    2, 0, 1, 1, 0 },
		{ "another purpose", FILES("\"set\",\"members\":{\"purpose\":\"evals\"}"), 2, 0, 1, 1, 0 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

static void every_answer_to_a_delete_has_its_end(void)
{
	/* clang-format off */
	static const struct tale tales[] = {
		{ "in use",           DELETE("\"status\",\"status\":409,\"count\":3"), 2, 1, 0, 1, 4 },
		{ "in use, as 400",   DELETE("\"status\",\"status\":400,\"count\":3"), 2, 1, 0, 1, 4 },
		{ "in use for ever",  DELETE("\"status\",\"status\":409"), 2, 0, 1, 1, 20 },
		{ "down",             DELETE("\"status\",\"status\":500,\"count\":3"), 2, 1, 0, 1, 4 },
		{ "down for ever",    DELETE("\"status\",\"status\":500"), 2, 0, 1, 1, 20 },
		{ "not allowed",      DELETE("\"status\",\"status\":403"), 2, 0, 1, 1, 20 },
		{ "no such call",     DELETE("\"status\",\"status\":405"), 2, 0, 1, 1, 1 },
		{ "not implemented",  DELETE("\"status\",\"status\":501"), 2, 0, 1, 1, 1 },
		{ "slow down",        DELETE("\"rate_limit\",\"retry_after\":\"3600\",\"count\":1"), 2, 1, 0, 1, 2 },
		{ "gone already",     DELETE("\"not_found\""), 2, 0, 1, 1, 1 },
		{ "gone for good",    DELETE("\"gone\""), 2, 0, 1, 1, 1 },
		{ "answer lost",      DELETE("\"drop_after\",\"count\":1"), 2, 1, 0, 1, 2 },
		{ "never arrived",    DELETE("\"drop_before\",\"count\":1"), 2, 1, 0, 1, 2 },
		{ "garbage",          DELETE("\"garbage\",\"count\":1"), 2, 1, 0, 1, 1 },
	};
	/* clang-format on */

	TELL_ALL(tales);
}

/* --- when, and what is told --- */

static struct world *begin(const char *script, int64_t *ret_job)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");

	know_list(world);
	world_script(world, script);
	*ret_job = world_submit(world, input);
	return world;
}

static void the_owner_is_told_and_the_provider_is_not_paused(void)
{
	int64_t job, pauses = 0;
	struct world *world = begin(LOST_AND("{\"call\":[\"files\",\"delete\"],\"action\":\"status\",\"status\":403,\"count\":2}"),
				    &job);

	while (!is_over(world, &job)) {
		world_turn(world);
		pauses += provider_is_paused(providers_at(world->providers, 0), world_now(world));
	}
	CU_ASSERT_EQUAL(pauses, 0);
	check_survey("403", world, 0);
	check_event("403", world, job, "shard.note", "which nobody needs, was deleted at the provider");
	world_free(world);
}

static int64_t calls(struct world *world)
{
	return sim_calls(world->sim, "files") + sim_calls(world->sim, "delete");
}

/* While the batch runs for a day its file is asked after, and nothing is listed. */
static void a_shard_that_lives_is_waited_for(void)
{
	static const struct sim_config long_runs = { .run_ms = 20 * HOUR_MS };
	struct world *world = world_new(&long_runs, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job, ended_at;

	know_list(world);
	world_script(world, LOST);
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	ended_at = world_now(world);
	CU_ASSERT_EQUAL(sim_calls(world->sim, "files"), 0);
	CU_ASSERT_EQUAL(strays_left(world, 10), 1);
	finish("long", world, job);
	CU_ASSERT_TRUE(world_now(world) - ended_at < 2 * HOUR_MS);
	check_survey("long", world, 0);
	world_free(world);
}

/* What was sent may yet be on its way, or not in the list. */
static void a_file_is_looked_for_when_things_have_settled(void)
{
	int64_t job, begun_at;
	struct world *world = begin(LOST, &job);

	begun_at = world_now(world);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_TRUE(world_now(world) - begun_at < world->provider.settle / 2);
	while (!calls(world))
		world_turn(world);
	CU_ASSERT_TRUE(world_now(world) - begun_at >= world->provider.settle);
	CU_ASSERT_TRUE(world_now(world) - begun_at < 2 * world->provider.settle);
	world_free(world);
}

static void a_file_of_a_cancelled_job_is_deleted(void)
{
	int64_t job;
	struct world *world = begin(LOST, &job);

	while (world->sim->files_created == 0 || http_count(world->http))
		world_turn(world);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	finish("cancelled", world, job);
	CU_ASSERT_EQUAL(world->sim->files_created, 1);
	CU_ASSERT_EQUAL(world->sim->files_deleted, 1);
	world_free(world);
}

static bool is_due(struct world *world, void *context)
{
	int64_t count = 0;

	(void)context;
	(void)store_stray_due(world->store, "sim", true, world_now(world), 10, count_one, &count);
	return count > 0;
}

static void run_for(struct world *world, int64_t ms)
{
	int64_t until = world_now(world) + ms;

	while (world_now(world) < until)
		world_turn(world);
}

static void a_paused_provider_is_left_alone(void)
{
	int64_t job;
	struct world *world = begin(LOST, &job);

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	provider_pause(providers_at(world->providers, 0), 0, NULL);
	run_for(world, 2 * HOUR_MS);
	CU_ASSERT_EQUAL(calls(world), 0);
	(void)provider_resume(providers_at(world->providers, 0), 0);
	finish("paused", world, job);
	check_survey("paused", world, 0);
	CU_ASSERT_EQUAL(calls(world), 2);
	world_free(world);
}

static void a_wish_to_wait_is_heeded(void)
{
	static const struct { const char *call, *script; } cases[] = {
		{ "files", FILES("\"rate_limit\",\"retry_after\":\"7200\",\"nth\":1") },
		{ "delete", DELETE("\"rate_limit\",\"retry_after\":\"7200\",\"nth\":1") },
		{ "delete", DELETE("\"status\",\"status\":409,\"retry_after\":\"7200\",\"nth\":1") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t job, at[2];
		struct world *world = begin(cases[i].script, &job);

		for (int64_t k = 0; k < 2; k++) {
			while (sim_calls(world->sim, cases[i].call) <= k)
				world_turn(world);
			at[k] = world_now(world);
		}
		CHECK_ROW(cases[i].script, at[1] - at[0] >= 2 * HOUR_MS);
		CHECK_ROW(cases[i].script, at[1] - at[0] < 3 * HOUR_MS);
		world_free(world);
	}
}

static void a_stop_begins_nothing_more(void)
{
	int64_t job;

	/* Before the list, while it is read, and while the file is deleted. */
	for (int64_t at = 0; at < 3; at++) {
		struct world *world = begin(LOST, &job);

		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		CU_ASSERT_TRUE(world_run(world, HOUR_MS, is_due, NULL));
		while (calls(world) < at)
			world_turn(world);
		strays_stop(world->strays);
		strays_kick(world->strays);
		run_for(world, DAY_MS);
		CU_ASSERT_EQUAL(calls(world), at);
		world_kill(world);
		world_start(world);
		finish("stop", world, job);
		check_survey("stop", world, 0);
		world_free(world);
	}
}

/* --- what is others' --- */

static void add_files(struct world *world, const char *name, size_t count, int64_t age_ms)
{
	for (size_t i = 0; i < count; i++)
		(void)files_add(world->sim, "batch", name, blob_copy("{}", 2), world_now(world) - age_ms, 0);
}

static void files_of_others_are_read_past_and_left(void)
{
	/* clang-format off */
	static const struct { const char *script; int64_t orphans; } cases[] = {
		{ LOST, 0 },
		{ FILES("\"no_has_more\""), 0 }, { FILES("\"pages_overlap\""), 0 }, { FILES("\"bare_array\""), 0 },
		{ FILES("\"order_ignored\""), 0 }, { FILES("\"no_created_at\""), 0 },
		{ FILES("\"after_ignored\""), 1 }, { LOST_AND("{\"call\":\"files\",\"action\":\"after_refused\",\"paged\":true}"), 1 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t job;

		know_list(world);
		add_files(world, "theirs.jsonl", 150, 2 * DAY_MS);
		world_script(world, cases[i].script);
		job = world_submit(world, input);
		CHECK_ROW(cases[i].script, world_finish(world, job) == JOB_COMPLETED);
		add_files(world, "theirs.jsonl", 250, 0);
		finish(cases[i].script, world, job);
		check_survey(cases[i].script, world, cases[i].orphans);
		CHECK_ROW(cases[i].script, survey(world).foreign == 400);
		CHECK_ROW(cases[i].script, world->sim->files_deleted == 1 - cases[i].orphans);
		world_free(world);
	}
}

static void what_is_older_is_not_read(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job;

	know_list(world);
	add_files(world, "theirs.jsonl", 1000, DAY_MS);
	world_script(world, LOST);
	job = world_submit(world, input);
	finish("older", world, job);
	check_survey("older", world, 0);
	CU_ASSERT_EQUAL(sim_calls(world->sim, "files"), 1);
	world_free(world);
}

static void names_like_ours_are_not_ours(void)
{
	static const char *const forms[] = { "batchd-%.23s.jsonl", "batchd-%s.jsonl.1", "BATCHD-%s.jsonl", "batchd-%s",
					     "x-batchd-%s.jsonl",  "%s.jsonl",	       "batchd-.jsonl%s" };
	int64_t job, before;
	struct world *world = begin(LOST, &job);
	auto_shard shard = { 0 };

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	shard = world_shard(world, job, 1);
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		char name[100];

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		(void)snprintf(name, sizeof(name), forms[i], shard.marker);
#pragma GCC diagnostic pop
		add_files(world, name, 1, 0);
	}
	before = (int64_t)world->sim->file_ids.count;
	finish("like ours", world, job);
	CU_ASSERT_EQUAL(world->sim->files_deleted, 1);
	CU_ASSERT_EQUAL((int64_t)world->sim->file_ids.count, before);
	world_free(world);
}

/* A provider that knows bytes again gives one id to all who send them. */
static void a_file_that_a_shard_names_is_never_deleted(void)
{
	for (int state = 0; state < SHARD_STATE_COUNT; state++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(1, "");
		struct store_stray stray = { .provider = world->provider.name, .name = (char *)(uintptr_t) "n", .due_at = 1 };
		int64_t job = world_submit(world, input);
		auto_shard shard = { 0 };

		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		shard = world_shard(world, job, 1);
		shard.state = (enum shard_state)state;
		store_shard_save(world->store, &shard);
		stray.file_id = shard.provider_file;
		stray.shard = 4711;
		(void)store_stray_add(world->store, &stray);
		strays_kick(world->strays);
		run_for(world, HOUR_MS);
		CHECK_ROW(shard_state_name(shard.state), strays_left(world, 10) == 0);
		CHECK_ROW(shard_state_name(shard.state), sim_calls(world->sim, "delete") == (state == SHARD_DROPPED));
		world_free(world);
	}
}

/* --- many --- */

static void many_lost_uploads_are_bounded_work(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(1000, "");
	int64_t job, begun_at, deletes;
	bool is_hasty = false;

	know_list(world);
	world->provider.max_requests = 1;
	world_script(world, "{\"call\":\"upload\",\"action\":\"drop_after\",\"every\":2}");
	job = world_submit(world, input);
	while (!sim_calls(world->sim, "delete"))
		world_turn(world);
	begun_at = world_now(world);
	/* One after the other, and not in haste: a second apart, by the other clock of this world. */
	while (!is_over(world, &job)) {
		world_turn(world);
		deletes = sim_calls(world->sim, "delete");
		is_hasty = is_hasty || (deletes - 1) * 900 > world_now(world) - begun_at;
	}
	CU_ASSERT_FALSE(is_hasty);
	CU_ASSERT_TRUE(world->sim->files_created > 1900);
	check_survey("many", world, 0);
	CU_ASSERT_EQUAL(world->sim->files_deleted, world->sim->files_created - 1000);
	CU_ASSERT_EQUAL(sim_calls(world->sim, "delete"), world->sim->files_deleted);
	/* 2,000 files are 20 pages, and 512 names fit in one look. */
	CU_ASSERT_TRUE(sim_calls(world->sim, "files") <= 100);
	(void)fprintf(stderr, "# %d lost uploads: %d pages, %d deletes\n", (int)world->sim->files_deleted,
		      (int)sim_calls(world->sim, "files"), (int)sim_calls(world->sim, "delete"));
	world_free(world);
}

static void many_lost_uploads_of_one_shard_are_one_search(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(1, "");
	int64_t job, most = 0;

	know_list(world);
	world->provider.retry_longest = 5000;
	world_script(world, "{\"call\":\"upload\",\"action\":\"drop_after\",\"count\":1200}");
	job = world_submit(world, input);
	while (!is_over(world, &job)) {
		auto_job now = world_job(world, job);
		int64_t left = strays_left(world, 10);

		if (!job_is_ended(now.state) && left > most)
			most = left;
		world_turn(world);
	}
	CU_ASSERT_EQUAL(most, 1);
	CU_ASSERT_EQUAL(world->sim->files_created, 1201);
	CU_ASSERT_EQUAL(world->sim->files_deleted, 1200);
	check_survey("one shard", world, 0);
	world_free(world);
}

/* --- death --- */

/* Dies in turn number at, counted from the beginning; false: it was over before. */
static bool die_at(const char *script, int64_t at, int64_t most_deletes)
{
	int64_t job, turn = 0;
	struct world *world = begin(script, &job);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	char row[64];

	(void)snprintf(row, sizeof(row), "death in turn %" PRId64, at);
	while (turn < at && !is_over(world, &job)) {
		world_turn(world);
		turn++;
	}
	if (turn == at)
		world_lose_turn(world);
	finish(row, world, job);
	check_judged(row, world, job, input);
	check_survey(row, world, 0);
	CHECK_ROW(row, world->sim->files_deleted == world->sim->files_created - 1);
	CHECK_ROW(row, sim_calls(world->sim, "delete") <= most_deletes);
	world_free(world);
	return turn == at;
}

static void a_death_in_any_turn_is_harmless(void)
{
	/* A death may lose an upload more, and a delete may be done again. */
	static const struct { const char *script; int64_t most_deletes; } cases[] = {
		{ "[]", 2 },
		{ LOST, 4 },
		{ "{\"call\":\"upload\",\"action\":\"lost_answer\",\"count\":3}", 6 },
		{ "{\"call\":\"upload\",\"action\":\"bytes_differ\",\"off\":-1,\"count\":1}", 4 },
		{ "{\"call\":\"create\",\"action\":\"not_found\",\"count\":3}", 4 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t at = 0;

		while (die_at(cases[i].script, at, cases[i].most_deletes))
			at++;
		CHECK_ROW(cases[i].script, at > 10);
	}
}

/* One turn; the disk may be full at its end. */
static void turn(struct world *world, bool is_spoiled)
{
	if (!is_spoiled) {
		world_turn(world);
		return;
	}
	loop_run_once(world->loop, 1);
	world->store->failure = -ENOSPC;
	(void)store_commit(world->store, NULL);
}

static void no_upload_leaves_that_is_not_noted_on_disk(void)
{
	for (int at = 0; at < 30; at++) {
		int64_t job, uploads = 0;
		struct world *world = begin("{\"call\":\"upload\",\"action\":\"drop_after\",\"count\":2}", &job);
		char row[64];

		(void)snprintf(row, sizeof(row), "no room in turn %d", at);
		for (int i = 0; i < 200 && uploads < 3; i++) {
			bool is_noted = strays_left(world, 1) > 0;

			turn(world, i == at);
			CHECK_ROW(row, is_noted || world->sim->files_created == uploads);
			uploads = world->sim->files_created;
		}
		CHECK_ROW(row, uploads == 3);
		finish(row, world, job);
		check_survey(row, world, 0);
		world_free(world);
	}
}

/* What was done cannot be kept, so it is done again; but not over and over. */
static void a_full_disk_makes_no_haste(void)
{
	int64_t job, until;
	struct world *world = begin(LOST, &job);

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT_TRUE(world_run(world, HOUR_MS, is_due, NULL));
	until = world_now(world) + 2 * HOUR_MS;
	while (world_now(world) < until)
		turn(world, true);
	CU_ASSERT_TRUE(calls(world) > 2 && calls(world) < 30);
	until += 2 * HOUR_MS;
	while (!sim_calls(world->sim, "delete"))
		turn(world, false);
	while (world_now(world) < until)
		turn(world, true);
	CU_ASSERT_TRUE(calls(world) < 60);
	CU_ASSERT_TRUE(sim_calls(world->sim, "delete") > 2);
	finish("full", world, job);
	check_survey("full", world, 0);
	world_free(world);
}

/* --- a restored copy --- */

static void run_sql(sqlite3 *db, const char *sql)
{
	CU_ASSERT_EQUAL_FATAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
}

/* The store as it stands now, as a copy has it. The caller frees its path. */
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

static void do_nothing(void *context)
{
	(void)context;
}

/* Whoever restores it takes a day. */
static void restore(struct world *world, const char *path)
{
	struct loop_timer *timer;
	auto_free char *swap = xasprintf("rm -f %s/batchd.db* && mv %s %s/batchd.db", world->folder, path, world->folder);

	world_kill(world);
	timer = loop_timer_new(world->loop, do_nothing, NULL);
	loop_timer_set(timer, DAY_MS);
	loop_run_once(world->loop, 1);
	loop_timer_free(timer);
	CU_ASSERT_EQUAL_FATAL(system(swap), 0);
	world_start(world);
}

/* The original went on after the copy was made before the upload: for some turns, until its batch was there, or to the end. */
static void what_the_original_uploaded_is_found_or_deleted(void)
{
	for (int turns = 0; turns < 40; turns++) {
		int64_t job, batches;
		struct world *world = begin("[]", &job);
		auto_free char *path = NULL;
		char row[64];
		auto_shard shard = { 0 };

		while (!(shard = world_shard(world, job, 1)).id)
			world_turn(world);
		(void)snprintf(row, sizeof(row), "restored %d turns later", turns);
		path = copy_store(world);
		for (int i = 0; i < turns; i++)
			world_turn(world);
		restore(world, path);
		add_files(world, "theirs.jsonl", 150, DAY_MS / 2);
		finish(row, world, job);
		batches = world_ledger(world).batches;
		CHECK_ROW(row, batches == 1);
		check_survey(row, world, 0);
		CHECK_ROW(row, world->sim->files_created - world->sim->files_deleted == 1);
		world_free(world);
	}
}

CHECK_MAIN("strays", CHECK(a_file_of_a_lost_upload_is_deleted), CHECK(a_file_that_is_not_used_is_deleted_by_its_id),
	   CHECK(what_made_nothing_leaves_nothing_to_do), CHECK(what_was_not_sent_leaves_nothing_to_do),
	   CHECK(every_kind_of_list_is_read), CHECK(a_list_that_does_not_tell_is_not_asked_for_ever),
	   CHECK(every_answer_to_a_delete_has_its_end), CHECK(the_owner_is_told_and_the_provider_is_not_paused),
	   CHECK(a_shard_that_lives_is_waited_for), CHECK(a_file_of_a_cancelled_job_is_deleted),
	   CHECK(a_file_is_looked_for_when_things_have_settled),
	   CHECK(a_paused_provider_is_left_alone), CHECK(a_wish_to_wait_is_heeded), CHECK(a_full_disk_makes_no_haste),
	   CHECK(a_stop_begins_nothing_more),
	   CHECK(files_of_others_are_read_past_and_left), CHECK(what_is_older_is_not_read),
	   CHECK(names_like_ours_are_not_ours), CHECK(a_file_that_a_shard_names_is_never_deleted),
	   CHECK(many_lost_uploads_are_bounded_work), CHECK(many_lost_uploads_of_one_shard_are_one_search),
	   CHECK(a_death_in_any_turn_is_harmless), CHECK(no_upload_leaves_that_is_not_noted_on_disk),
	   CHECK(what_the_original_uploaded_is_found_or_deleted))
