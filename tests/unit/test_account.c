/* Every request is accounted for, whatever part of its job failed on the way; and nothing is paid twice that is not counted. */
#include <errno.h>

#include "daemon/io/vault.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/unit/world_scene.h"

#define MAX_DEATHS 500
#define DAY_MS     (24 * HOUR_MS)

static struct shard_tally sum;
static int64_t collected, dropped, open_shards;

static void add_tally(const struct shard *shard, void *context)
{
	(void)context;
	collected += shard->state == SHARD_COLLECTED;
	dropped += shard->state == SHARD_DROPPED;
	open_shards += !shard_is_ended(shard->state);
	if (shard->state != SHARD_COLLECTED)
		return;
	CU_ASSERT_EQUAL(shard->tally.ok + shard->tally.failed + shard->tally.cancelled + shard->tally.expired +
				shard->tally.again,
			shard->requests);
	sum.ok += shard->tally.ok;
	sum.failed += shard->tally.failed;
	sum.missing += shard->tally.missing;
	sum.lost += shard->tally.lost;
	sum.resent += shard->tally.resent;
	sum.twice += shard->tally.twice;
}

/* Sums over the shards of a job, of which each must add up by itself. */
static void add_up(struct world *world, int64_t job)
{
	sum = (struct shard_tally){ 0 };
	collected = dropped = open_shards = 0;
	CU_ASSERT_EQUAL(store_shard_list(world->store, job, 0, INT32_MAX, add_tally, NULL), 0);
}

/* What must be so of a job that ended, whatever happened to it. */
static void check_account(const char *row, struct world *world, int64_t job, const char *input)
{
	auto_job end = world_job(world, job);
	struct world_ledger ledger = world_ledger(world);
	const struct job_counts *counts = &end.counts;

	check_judged(row, world, job, input);
	add_up(world, job);
	CHECK_ROW(row, job_is_ended(end.state));
	CHECK_ROW(row, counts->ok + counts->failed + counts->cancelled + counts->expired == counts->total);
	CHECK_ROW(row, sum.ok == counts->ok);
	CHECK_ROW(row, sum.failed == counts->failed);
	CHECK_ROW(row, sum.missing == counts->missing && sum.lost == counts->lost);
	CHECK_ROW(row, sum.resent == counts->resent && sum.twice == counts->twice);
	CHECK_ROW(row, open_shards == 0 && ledger.live == 0);
	/*
	 * No request succeeded, and was paid for, more often than its result shows, but for those that were counted. Which ones a cancelled
	 * batch answered and does not deliver cannot be told.
	 */
	CHECK_ROW(row, ledger.successes <= counts->ok + counts->resent + counts->missing + counts->lost + counts->cancelled);
}

static bool is_over(struct world *world, int64_t job)
{
	auto_job now = world_job(world, job);

	return job_is_ended(now.state);
}

/* --- answers that cannot be had --- */

static bool is_held(struct world *world, void *context)
{
	int64_t count = 0;

	return store_shard_held(world->store, *(int64_t *)context, &count, NULL) == 0 && count > 0;
}

static int speak(struct world *world, int64_t job, enum shard_word word)
{
	int r = pipeline_speak(world->pipeline, job, word);

	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
	return r;
}

/* clang-format off */
static const struct losing {
	const char *name;
	const char *script;
	size_t requests;
	bool is_held;
	int64_t resent; /* in the end, unless a person had to speak */
	int64_t ok;
} losing[] = {
	{ "one row is missing", "{\"action\":\"row_missing\",\"custom_id\":\"r-2\",\"count\":1}", 6, false, 1, 6 },
	{ "one row is always missing", "{\"action\":\"row_missing\",\"custom_id\":\"r-2\"}", 6, false, 2, 5 },
	{ "one row cannot be read", "{\"action\":\"row_half\",\"custom_id\":\"r-2\",\"count\":1}", 6, false, 1, 6 },
	{ "one row has another id", "{\"action\":\"row_unknown_id\",\"custom_id\":\"r-2\",\"count\":1}", 6, false, 1, 6 },
	{ "two of a few", "{\"action\":\"row_missing\",\"custom_id\":\"r-[25]\",\"count\":2}", 6, true, 0, 0 },
	{ "one of a hundred", "{\"action\":\"row_missing\",\"custom_id\":\"r-?00\",\"count\":3}", 300, false, 3, 300 },
	{ "more than one of a hundred", "{\"action\":\"row_missing\",\"custom_id\":\"r-?0\",\"count\":4}", 300, true, 0, 0 },
	{ "a file is gone", "{\"call\":\"content\",\"action\":\"gone\"}", 6, true, 0, 0 },
	{ "a file is not found", "{\"call\":\"content\",\"action\":\"not_found\"}", 6, true, 0, 0 },
	{ "a file is always short, and packed", "[{\"call\":\"content\",\"action\":\"gzip\"},{\"call\":\"content\",\"action\":\"shorten\"}]",
	  6, true, 0, 0 },
	{ "the file of the only request is gone", "{\"call\":\"content\",\"action\":\"gone\"}", 1, false, 2, 0 },
	{ "the file of failures is gone", "[{\"action\":\"row_http_error\",\"custom_id\":\"r-3\",\"count\":1},"
	  "{\"call\":\"content\",\"action\":\"gone\",\"file\":\"*_error.jsonl\"}]", 6, false, 1, 6 },
	{ "half expires, and one answer of it is missing", "[{\"action\":\"expire\",\"percent\":50,\"count\":1},"
	  "{\"action\":\"row_missing\",\"nth\":1}]", 6, false, 1, 6 },
	{ "half expires, and more answers are missing", "[{\"action\":\"expire\",\"percent\":50,\"count\":1},"
	  "{\"action\":\"row_missing\",\"count\":2}]", 6, true, 0, 0 },
	{ "a file of what expired still grows", "[{\"action\":\"expire\",\"percent\":50,\"count\":1},{\"action\":\"no_counts\"},"
	  "{\"call\":\"content\",\"action\":\"incomplete\",\"count\":1},"
	  "{\"call\":\"content\",\"action\":\"body\",\"status\":200,\"text\":\"\",\"count\":1}]", 6, false, 0, 6 },
	{ "the batch is not known for hours", "[{\"call\":\"retrieve\",\"action\":\"gone\",\"count\":30},"
	  "{\"call\":\"list\",\"action\":\"list_empty\"}]", 6, false, 0, 6 },
	{ "the batch is forgotten", "[{\"call\":\"retrieve\",\"action\":\"gone\"},{\"call\":\"list\",\"action\":\"list_empty\"}]",
	  6, true, 0, 0 },
};
/* clang-format on */

static struct world *lose(const struct losing *how, char **ret_input, int64_t *ret_job)
{
	struct world *world = world_new(&slow, 1);

	*ret_input = world_requests(how->requests, "");
	know_list(world);
	*ret_job = world_submit(world, *ret_input);
	world_script(world, how->script);
	return world;
}

static void sends_lost_answers_again_within_the_bound(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(losing); i++) {
		auto_free char *input = NULL;
		int64_t job;
		struct world *world = lose(&losing[i], &input, &job);
		auto_job end = { 0 };

		if (!losing[i].is_held) {
			CHECK_ROW(losing[i].name, world_finish(world, job) == JOB_COMPLETED);
			check_account(losing[i].name, world, job, input);
			end = world_job(world, job);
			CHECK_ROW(losing[i].name, end.counts.ok == losing[i].ok);
			CHECK_ROW(losing[i].name, end.counts.resent == losing[i].resent);
			CHECK_ROW(losing[i].name, speak(world, job, SHARD_WORD_RESEND) == -ENOENT);
		}
		world_free(world);
	}
}

/* It waits, whatever time goes by and however often we start, and says what for and what may be said. */
static void check_waiting(const char *row, struct world *world, int64_t job)
{
	auto_shard shard = { 0 };
	auto_job now = { 0 };
	int64_t until, lists, shards = 0;

	CHECK_ROW(row, world_run(world, 30 * HOUR_MS, is_held, &job));
	world_kill(world);
	world_start(world);
	lists = world_ledger(world).batches;
	until = world_now(world) + DAY_MS;
	while (world_now(world) < until)
		world_turn(world);
	CHECK_ROW(row, world_ledger(world).batches == lists);
	shard = world_shard(world, job, 1);
	now = world_job(world, job);
	CHECK_ROW(row, shard.state == SHARD_FETCHED && now.state == JOB_RUNNING);
	CHECK_ROW(row, shard.why && strstr(shard.why, "`batchctl retry 1`"));
	CHECK_ROW(row, shard.why && strstr(shard.why, "`batchctl retry 1 --accept-lost`"));
	check_event(row, world, job, "shard.note", shard.why ? shard.why : "");
	(void)store_shard_count(world->store, job, &shards, NULL);
	CHECK_ROW(row, shards == 1);
	CHECK_ROW(row, now.counts.ok + now.counts.failed + now.counts.resent == 0);
}

static void holds_what_is_too_much_until_a_person_speaks(void)
{
	static const enum shard_word words[] = { SHARD_WORD_RESEND, SHARD_WORD_ACCEPT, SHARD_WORD_NONE };

	for (size_t i = 0; i < 3 * ARRAY_SIZE(losing); i++) {
		const struct losing *how = &losing[i / 3];
		enum shard_word word = words[i % 3];
		auto_free char *input = NULL;
		int64_t job;
		struct world *world;
		auto_job end = { 0 };

		if (!how->is_held)
			continue;
		world = lose(how, &input, &job);
		check_waiting(how->name, world, job);
		/* What was gone is there again for what is sent anew. */
		if (word == SHARD_WORD_NONE)
			CHECK_ROW(how->name, world_cancel(world, job) == 0);
		else
			CHECK_ROW(how->name, speak(world, job, word) == 1);
		CHECK_ROW(how->name, speak(world, job, word) == -ENOENT);
		/* A file that is always gone is gone the next time too. */
		while (!world_run(world, DAY_MS, is_held, &job) && !is_over(world, job))
			;
		if (is_held(world, &job))
			CHECK_ROW(how->name, speak(world, job, SHARD_WORD_ACCEPT) == 1);
		CHECK_ROW(how->name, world_finish(world, job) == (word ? JOB_COMPLETED : JOB_CANCELLED));
		check_account(how->name, world, job, input);
		end = world_job(world, job);
		CHECK_ROW(how->name, (end.counts.resent > 0) == (word == SHARD_WORD_RESEND));
		CHECK_ROW(how->name, word == SHARD_WORD_RESEND || end.counts.missing + end.counts.lost > 0);
		world_free(world);
	}
}

/* --- rows that go again, together --- */

/* Bodies of two models by turns, bare or as requests; every fourth of a model has the note. */
static char *two_models(size_t count, const char *note, bool is_wrapped)
{
	static const char *const models[] = { "m", "n" };
	auto_buffer input = { 0 };

	for (size_t i = 0; i < count; i++) {
		if (!is_wrapped)
			buffer_add_format(&input,
					  "{\"custom_id\":\"r-%zu\",\"method\":\"POST\",\"url\":"
					  "\"/v1/chat/completions\",\"body\":",
					  i);
		buffer_add_format(&input,
				  "{\"model\":\"%s\",\"messages\":[{\"role\":\"user\",\"content\":\"x%s\"}]}%s\n",
				  models[i % 2], i / 2 % 4 == 2 ? note : "", is_wrapped ? "" : "}");
	}
	return xstrdup(buffer_text(&input));
}

static int64_t submit(struct world *world, const char *input, bool is_wrapped)
{
	struct vault_writer *writer = vault_writer_new(world->vault, VAULT_FILE_LIMIT);
	const struct store_file file = { .uid = WORLD_UID, .purpose = (char *)(uintptr_t) "batch" };
	struct job job = {
		.uid = WORLD_UID,
		.input_file = store_file_add(world->store, &file),
		.endpoint = (char *)(uintptr_t) "/v1/chat/completions",
		.window = (char *)(uintptr_t) "24h",
		.provider = world->provider.name,
		.is_wrapped = is_wrapped,
		.has_line_ids = is_wrapped,
	};

	CU_ASSERT_EQUAL_FATAL(vault_write(writer, input, strlen(input), NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, job.input_file, NULL), 0);
	CU_ASSERT_FATAL(pipeline_accept(world->pipeline, &job) != 0);
	CU_ASSERT_EQUAL_FATAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
	return job.id;
}

/* Six shards of four rows, three of each model; some rows of each go again. */
/* clang-format off */
static const struct pooled {
	const char *name;
	const char *script, *note;
	int64_t batches; /* six, and those of rows that go again */
	int64_t dropped; /* shards whose rows were joined with others */
} pooled[] = {
	{ "one row of each shard fails once", NULL, " sim:status=500 sim:times=1", 8, 4 },
	{ "and twice", NULL, " sim:status=500 sim:times=2", 10, 4 },
	{ "one of each times out", NULL, " sim:error=request_timeout sim:times=1", 8, 4 },
	{ "one of each is missing", "{\"action\":\"row_missing\",\"row\":2,\"count\":6}", "", 8, 4 },
	{ "half of each expires", "{\"action\":\"expire\",\"percent\":50,\"count\":6}", "", 10, 2 },
	{ "half expires, one fails", "{\"action\":\"expire\",\"percent\":50,\"count\":6}", " sim:status=500 sim:times=1", -1, -1 },
};
/* clang-format on */

static void fails_together_and_goes_again_together(void)
{
	for (size_t i = 0; i < 2 * ARRAY_SIZE(pooled); i++) {
		const struct pooled *how = &pooled[i / 2];
		bool is_wrapped = i % 2;
		struct world *world = world_new(&slow, 1);
		auto_free char *input = two_models(24, how->note, is_wrapped);
		auto_job end = { 0 };
		int64_t job, batches;

		know_list(world);
		world->provider.max_requests = 4;
		/* What is looked for comes to its end at other times. */
		world->provider.probe_lost = 0;
		job = submit(world, input, is_wrapped);
		if (how->script)
			world_script(world, how->script);
		CHECK_ROW(how->name, world_finish(world, job) == JOB_COMPLETED);
		end = world_job(world, job);
		batches = world_ledger(world).batches;
		CHECK_ROW(how->name, end.counts.ok == 24);
		if (!is_wrapped)
			check_account(how->name, world, job, input);
		add_up(world, job);
		CHECK_ROW(how->name, sum.ok == 24 && open_shards == 0);
		CHECK_ROW(how->name, how->batches < 0 ? batches < 18 : batches == how->batches);
		CHECK_ROW(how->name, how->dropped < 0 ? dropped > 0 : dropped == how->dropped);
		world_free(world);
	}
}

/* Nobody is waited for where nobody comes. */
static void the_last_shard_waits_for_nobody(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(4, ",\"note\":\"sim:status=500 sim:times=1\"");
	int64_t began, job;

	know_list(world);
	world->provider.poll_longest = HOUR_MS;
	job = world_submit(world, input);
	began = world_now(world);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	CU_ASSERT(world_now(world) - began < 10 * MINUTE_MS);
	check_account("alone", world, job, input);
	world_free(world);
}

/* Shards of four rows, of which all fail, or three: what has no room for one more row, or for those that come, waits for nobody. */
static void what_is_full_goes_at_once(void)
{
	for (size_t failing = 3; failing <= 4; failing++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *row = xasprintf("%zu of four", failing);
		auto_buffer lines = { 0 };
		const char *input;
		int64_t began, job;

		for (size_t i = 0; i < 16; i++)
			buffer_add_format(&lines,
					  "{\"custom_id\":\"r-%zu\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
					  "\"body\":{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}}\n",
					  i, i % 4 < failing ? "sim:status=500 sim:times=1" : "");
		input = buffer_text(&lines);

		know_list(world);
		world->provider.poll_longest = HOUR_MS;
		world->provider.max_requests = 4;
		job = world_submit(world, input);
		began = world_now(world);
		CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(row, world_now(world) - began < 10 * MINUTE_MS);
		check_account(row, world, job, input);
		CHECK_ROW(row, sum.ok == 16 && dropped == 0 && collected == 8);
		world_free(world);
	}
}

static bool has_three_batches(struct world *world, void *context)
{
	(void)context;
	return world_ledger(world).batches == 3;
}

/* A shard of which all rows fail, while another one takes hours: rows of that might yet come, but have no room. */
static void what_is_full_does_not_wait_for_the_slow(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(8, ",\"note\":\"sim:status=500 sim:times=1\"");
	int64_t began, job;

	know_list(world);
	world->provider.poll_longest = HOUR_MS;
	world->provider.max_requests = 4;
	world_script(world, "{\"action\":\"durations\",\"run_ms\":10800000,\"nth\":2}");
	job = world_submit(world, input);
	began = world_now(world);
	CU_ASSERT(world_run(world, DAY_MS, has_three_batches, NULL));
	CU_ASSERT(world_now(world) - began < 10 * MINUTE_MS);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	check_account("full beside slow", world, job, input);
	world_free(world);
}

/* --- at any turn: a death, a lost commit, a cancel --- */

enum accident { DEATH, LOST_TURN, CANCEL, ACCIDENTS };

static struct world *begin_pooled(const struct pooled *how, char **ret_input, int64_t *ret_job)
{
	struct world *world = world_new(&slow, 1);

	*ret_input = two_models(24, how->note, false);
	know_list(world);
	world->provider.max_requests = 4;
	world->provider.probe_lost = 0;
	*ret_job = submit(world, *ret_input, false);
	if (how->script)
		world_script(world, how->script);
	return world;
}

/* false: the job was through before that turn. */
static bool meet(const struct pooled *how, enum accident accident, int64_t turn)
{
	auto_free char *input = NULL;
	int64_t job;
	struct world *world = begin_pooled(how, &input, &job);
	auto_job end = { 0 };
	bool is_alive;

	while (world->turns < turn && !is_over(world, job))
		world_turn(world);
	is_alive = !is_over(world, job);
	if (is_alive && accident == LOST_TURN) {
		world_lose_turn(world);
	} else if (is_alive && accident == DEATH) {
		world_kill(world);
		world_start(world);
	} else if (is_alive) {
		CHECK_ROW(how->name, world_cancel(world, job) == 0);
	}
	(void)world_finish(world, job);
	check_account(how->name, world, job, input);
	end = world_job(world, job);
	CHECK_ROW(how->name, end.state == (is_alive && accident == CANCEL ? JOB_CANCELLED : JOB_COMPLETED));
	CHECK_ROW(how->name, end.state == JOB_CANCELLED || end.counts.ok == 24);
	world_free(world);
	return is_alive;
}

static void no_accident_loses_a_request_that_waits_for_others(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(pooled); i++)
		for (int accident = 0; accident < ACCIDENTS; accident++) {
			/* Not at every turn, for time's sake, but at other ones in every story. */
			int64_t turn = (int64_t)(ACCIDENTS * i) + accident;

			while (turn < MAX_DEATHS && meet(&pooled[i], (enum accident)accident, turn))
				turn += 11;
			CHECK_ROW(pooled[i].name, turn > 60 && turn < MAX_DEATHS);
		}
}

/* The word is on disk with the commit of the turn it was spoken in, or it was not spoken. */
static void a_death_after_the_word_changes_nothing(void)
{
	for (int64_t turns = 0; turns < 25; turns++) {
		auto_free char *input = NULL;
		int64_t job;
		struct world *world = lose(&losing[4], &input, &job);
		auto_job end = { 0 };

		CU_ASSERT(world_run(world, 3 * HOUR_MS, is_held, &job));
		CU_ASSERT_EQUAL(speak(world, job, SHARD_WORD_RESEND), 1);
		for (int64_t i = 0; i < turns; i++)
			world_turn(world);
		world_lose_turn(world);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
		check_account("a word, then death", world, job, input);
		end = world_job(world, job);
		CU_ASSERT(end.counts.ok == 6 && end.counts.resent == 2);
		world_free(world);
	}
}

/* A cancel may come before it is held, while its answers are read, or after. */
static void a_cancel_at_any_time_ends_what_is_held(void)
{
	for (int64_t turn = 0; turn < 200; turn++) {
		auto_free char *input = NULL;
		int64_t job;
		struct world *world = lose(&losing[4], &input, &job);

		while (world->turns < turn && !is_held(world, &job))
			world_turn(world);
		turn = is_held(world, &job) ? 200 : turn;
		/* In the middle of a turn, whose commit comes with it. */
		loop_run_once(world->loop, 1);
		CU_ASSERT_EQUAL(world_cancel(world, job), 0);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
		check_account("held, cancelled", world, job, input);
		world_free(world);
	}
}

/* --- lines that the provider finds wrong --- */

struct failures {
	int64_t count, rows;
	bool is_given_up;
};

static void add_failures(const struct store_digest *digest, void *context)
{
	struct failures *failures = context;

	failures->count++;
	failures->rows += digest->count;
	failures->is_given_up |= !strcmp(digest->code, "validation_failed");
}

static void sends_what_a_validation_did_not_name_again(void)
{
	/* One wrong line a batch: of 20 requests 10 go one by one, and the eleventh with all that are left is the last. */
	static const struct { const char *script; int64_t ok, failed; bool is_given_up; } cases[] = {
		{ "{\"action\":\"fail_validation\",\"lines\":\"2,5\",\"message\":\"no good\",\"count\":1}", 18, 2, false },
		{ "{\"action\":\"fail_validation\",\"line\":1,\"message\":\"no good\",\"count\":9}", 11, 9, false },
		{ "{\"action\":\"fail_validation\",\"line\":1,\"message\":\"no good\"}", 0, 20, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(20, "");
		struct failures failures = { 0 };
		auto_job end = { 0 };
		int64_t job;

		know_list(world);
		world_script(world, cases[i].script);
		job = world_submit(world, input);
		CHECK_ROW(cases[i].script, world_finish(world, job) == JOB_COMPLETED);
		check_account(cases[i].script, world, job, input);
		end = world_job(world, job);
		CHECK_ROW(cases[i].script, end.counts.ok == cases[i].ok && end.counts.failed == cases[i].failed);
		CU_ASSERT_EQUAL(store_digest_list(world->store, job, 100, add_failures, &failures), 0);
		CHECK_ROW(cases[i].script, failures.rows == cases[i].failed);
		CHECK_ROW(cases[i].script, failures.is_given_up == cases[i].is_given_up);
		CHECK_ROW(cases[i].script, failures.count == 1 + cases[i].is_given_up);
		world_free(world);
	}
}

/* --- all of it at once --- */

#define MIXED                                                                                                          \
	"[{\"action\":\"expire\",\"percent\":50,\"probability\":0.3,\"seed\":%d},"                                           \
	"{\"action\":\"row_missing\",\"probability\":0.002,\"seed\":%d},"                                                    \
	"{\"action\":\"row_twice\",\"probability\":0.02,\"seed\":%d},"                                                       \
	"{\"action\":\"row_half\",\"probability\":0.0005,\"seed\":%d}]"

static void mixed(int seed)
{
	struct sim_config config = slow;
	struct world *world;
	auto_free char *some = world_requests(2970, ""), *bad = world_requests(3000, ",\"note\":\"sim:status=400\"");
	auto_free char *input = NULL, *row = xasprintf("seed %d", seed), *script = xasprintf(MIXED, seed, seed + 100, seed + 200, seed + 300);
	auto_job end = { 0 };
	int64_t job;

	config.answers.fail_permille = 20;
	config.answers.fail_times = 1;
	world = world_new(&config, (uint64_t)seed);
	input = xasprintf("%s%s", some, strstr(bad, "{\"custom_id\":\"r-2971\""));
	know_list(world);
	world->provider.max_requests = 250;
	world->provider.resend_lost = 500;
	world_script(world, script);
	job = world_submit(world, input);
	CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
	check_account(row, world, job, input);
	end = world_job(world, job);
	CHECK_ROW(row, end.counts.ok + end.counts.missing == 2970 && end.counts.failed - end.counts.missing == 30);
	CHECK_ROW(row, end.counts.missing <= 1);
	CHECK_ROW(row, end.counts.twice > 10 && end.counts.resent > 0);
	world_free(world);
}

static void accounts_for_every_request_of_a_job_with_all_troubles(void)
{
	for (int seed = 1; seed <= 12; seed++)
		mixed(seed);
}

/* clang-format off */
CHECK_MAIN("account",
	   CHECK(sends_lost_answers_again_within_the_bound),
	   CHECK(holds_what_is_too_much_until_a_person_speaks),
	   CHECK(fails_together_and_goes_again_together),
	   CHECK(the_last_shard_waits_for_nobody),
	   CHECK(what_is_full_goes_at_once),
	   CHECK(what_is_full_does_not_wait_for_the_slow),
	   CHECK(no_accident_loses_a_request_that_waits_for_others),
	   CHECK(a_cancel_at_any_time_ends_what_is_held),
	   CHECK(a_death_after_the_word_changes_nothing),
	   CHECK(sends_what_a_validation_did_not_name_again),
	   CHECK(accounts_for_every_request_of_a_job_with_all_troubles))
/* clang-format on */
