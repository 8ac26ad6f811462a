/* What the store keeps of what became of requests: tallies, digests, held shards; and how an older store gets there. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sqlite3.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/io/store_sql.h"
#include "tests/unit/store_scene.h"

#define BTCD 0x62746364

static struct shard plain_shard(int64_t number, enum shard_state state, int64_t due_at)
{
	static char markers[32][8];

	(void)snprintf(markers[number], sizeof(markers[number]), "m%d", (int)number);
	return (struct shard){.job = 1,
			      .number = number,
			      .state = state,
			      .model = TEXT("m"),
			      .url = TEXT("u"),
			      .attempt = 1,
			      .marker = markers[number],
			      .due_at = due_at};
}

static void add_job(void)
{
	struct job job = plain_job(1, JOB_RUNNING, 0);

	CU_ASSERT_EQUAL_FATAL(store_job_add(store, &job), 1);
}

/* Numbers of their own in every member of a block of them. */
static void number_all(int64_t *members, size_t size, int64_t first)
{
	for (size_t i = 0; i < size / sizeof(int64_t); i++)
		members[i] = first + (int64_t)i;
}

static void keeps_what_was_chosen_and_found(void)
{
	struct job job = plain_job(1, JOB_RUNNING, 0);
	struct shard shard = plain_shard(1, SHARD_FETCHED, 0);
	auto_job got = {0};
	auto_shard found = {0};

	begin();
	number_all((int64_t *)(void *)&job.counts, sizeof(job.counts), 100);
	job.labels = TEXT("{\"a\":\"b\"}");
	job.model = TEXT("m");
	job.skips_invalid = job.has_line_ids = true;
	job.max_attempts = 5;
	job.retry_of = 6;
	job.id = store_job_add(store, &job);
	number_all((int64_t *)(void *)&shard.tally, sizeof(shard.tally), 200);
	shard.refusal = TEXT("words");
	shard.refusal_code = TEXT("code");
	shard.inputs = 7;
	shard.tokens = 8;
	shard.word = SHARD_WORD_ACCEPT;
	shard.redone = 9;
	shard.id = store_shard_add(store, &shard);
	commit();
	reopen();
	CU_ASSERT_EQUAL_FATAL(store_job_get(store, 1, &got), 0);
	CU_ASSERT_EQUAL(memcmp(&got.counts, &job.counts, sizeof(job.counts)), 0);
	CU_ASSERT_STRING_EQUAL(got.labels, job.labels);
	CU_ASSERT_STRING_EQUAL(got.model, "m");
	CU_ASSERT(got.skips_invalid && !got.is_wrapped && got.has_line_ids);
	CU_ASSERT(got.max_attempts == 5 && got.retry_of == 6);
	CU_ASSERT_EQUAL_FATAL(store_shard_get(store, shard.id, &found), 0);
	CU_ASSERT_EQUAL(memcmp(&found.tally, &shard.tally, sizeof(shard.tally)), 0);
	CU_ASSERT_STRING_EQUAL(found.refusal, "words");
	CU_ASSERT_STRING_EQUAL(found.refusal_code, "code");
	CU_ASSERT(found.inputs == 7 && found.tokens == 8 && found.word == SHARD_WORD_ACCEPT && found.redone == 9);
	end();
}

static void note_usage(const struct store_usage *usage, void *context)
{
	buffer_add_format(context, "%s@%s:%d:%d:%d ", usage->model, usage->provider, (int)usage->requests, (int)usage->input_tokens,
			  (int)usage->output_tokens);
}

static void sums_up_what_each_model_used_at_each_provider(void)
{
	static const struct { const char *model, *provider; enum shard_state state; int64_t ok, input, output; } shards[] = {
		{"b", "p", SHARD_COLLECTED, 1, 10, 20}, {"a", "p", SHARD_COLLECTED, 2, 30, 40},
		{"b", "p", SHARD_COLLECTED, 4, 1, 2},   {"a", "p", SHARD_DROPPED, 8, 5, 5},
		{"c", "p", SHARD_COLLECTED, 0, 0, 0},   {"d", "p", SHARD_COLLECTED, 0, 0, 9},
		{"a", "q", SHARD_COLLECTED, 16, 3, 4},
	};
	auto_buffer text = {0};

	begin();
	add_job();
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		struct shard shard = plain_shard((int64_t)i + 1, shards[i].state, 0);

		shard.model = TEXT(shards[i].model);
		shard.provider = TEXT(shards[i].provider);
		shard.tally = (struct shard_tally){.ok = shards[i].ok,
						   .input_tokens = shards[i].input,
						   .output_tokens = shards[i].output};
		(void)store_shard_add(store, &shard);
	}
	CU_ASSERT_EQUAL(store_shard_usage(store, 1, note_usage, &text), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&text), "a@p:2:30:40 a@q:16:3:4 b@p:5:11:22 d@p:0:0:9 ");
	end();
}

/* clang-format off */
static const struct {
	const char *name;
	enum shard_state state;
	const char *model, *url;
	int64_t attempt, redone, due_at, tries;
	bool is_waiting; /* for others of m, u, attempt 1, redone up to 1, after 100 */
	bool is_busy;
} waits[] = {
	{ "waits",            SHARD_CUT,       "m", "u", 1, 1, 101, 0, true,  false },
	{ "due",              SHARD_CUT,       "m", "u", 1, 1, 100, 0, false, true  },
	{ "another model",    SHARD_CUT,       "n", "u", 1, 1, 101, 0, false, false },
	{ "another url",      SHARD_CUT,       "m", "v", 1, 1, 101, 0, false, false },
	{ "another attempt",  SHARD_CUT,       "m", "u", 2, 1, 101, 0, false, false },
	{ "redone often",     SHARD_CUT,       "m", "u", 1, 2, 101, 0, false, false },
	{ "its upload failed", SHARD_CUT,      "m", "u", 1, 0, 101, 1, false, false },
	{ "uploaded",         SHARD_UPLOADED,  "m", "u", 1, 0, 101, 0, false, true  },
	{ "created",          SHARD_CREATED,   "m", "u", 1, 0, 101, 0, false, true  },
	{ "of another model", SHARD_CREATED,   "n", "u", 1, 0, 101, 0, false, false },
	{ "of another url",   SHARD_CREATED,   "m", "v", 1, 0, 101, 0, false, false },
	{ "of a later attempt", SHARD_CREATED, "m", "u", 2, 0, 101, 0, false, false },
	{ "of an earlier one", SHARD_CREATED,  "m", "u", 0, 0, 101, 0, false, true  },
	{ "fetched",          SHARD_FETCHED,   "m", "u", 1, 0, 101, 0, false, true  },
	{ "held",             SHARD_FETCHED,   "m", "u", 1, 0, 0,   0, false, false },
	{ "uncertain",        SHARD_UNCERTAIN, "m", "u", 1, 0, 0,   0, false, false },
	{ "dropped",          SHARD_DROPPED,   "m", "u", 1, 0, 0,   0, false, false },
	{ "collected",        SHARD_COLLECTED, "m", "u", 1, 0, 0,   0, false, false },
};
/* clang-format on */

static void finds_the_shard_that_waits_for_others(void)
{
	static const struct shard like = {.job = 1, .model = TEXT("m"), .url = TEXT("u"), .provider = TEXT("p"), .attempt = 1};
	static const struct shard others[] = {
		{.job = 2, .model = TEXT("m"), .url = TEXT("u"), .provider = TEXT("p"), .attempt = 1},
		{.job = 1, .model = TEXT("m"), .url = TEXT("u"), .provider = TEXT("q"), .attempt = 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(waits); i++) {
		struct shard shard = plain_shard(1, waits[i].state, waits[i].due_at);
		auto_shard found = {0};
		int64_t busy = -1;
		int r;

		begin();
		add_job();
		shard.model = TEXT(waits[i].model);
		shard.url = TEXT(waits[i].url);
		shard.attempt = waits[i].attempt;
		shard.redone = waits[i].redone;
		shard.tries = waits[i].tries;
		(void)store_shard_add(store, &shard);
		r = store_shard_waiting(store, &like, 1, 100, &found);
		CHECK_ROW(waits[i].name, r == (waits[i].is_waiting ? 0 : -ENOENT));
		CHECK_ROW(waits[i].name, found.number == waits[i].is_waiting);
		for (size_t k = 0; k < ARRAY_SIZE(others); k++)
			CHECK_ROW(waits[i].name, store_shard_waiting(store, &others[k], 1, 100, &found) == -ENOENT);
		CHECK_ROW(waits[i].name, store_shard_busy(store, &like, 100, &busy) == 0);
		CHECK_ROW(waits[i].name, busy == waits[i].is_busy);
		CHECK_ROW(waits[i].name, store_shard_busy(store, &others[1], 100, &busy) == 0 && busy == 0);
		end();
	}
}

static void gives_the_owners_word_to_held_shards_alone(void)
{
	static const struct {
		enum shard_state state;
		int64_t due_at;
		enum shard_word word;
		bool is_held;
		enum shard_word heard;
	} shards[] = {
		{SHARD_FETCHED, 0, SHARD_WORD_ASKED, true, SHARD_WORD_RESEND},
		{SHARD_FETCHED, 50, SHARD_WORD_ASKED, false, SHARD_WORD_ASKED},
		{SHARD_CREATED, 70, SHARD_WORD_NONE, false, SHARD_WORD_NONE},
		{SHARD_FETCHED, 0, SHARD_WORD_NONE, true, SHARD_WORD_NONE},
		{SHARD_FETCHED, 0, SHARD_WORD_ASKED, true, SHARD_WORD_RESEND},
		{SHARD_CUT, 0, SHARD_WORD_NONE, true, SHARD_WORD_NONE},
		{SHARD_UNCERTAIN, 0, SHARD_WORD_NONE, false, SHARD_WORD_NONE},
		{SHARD_UNCERTAIN, 0, SHARD_WORD_BATCH, true, SHARD_WORD_BATCH},
		{SHARD_COLLECTED, 0, SHARD_WORD_NONE, false, SHARD_WORD_NONE},
	};
	int64_t held = -1, asked = -1;

	begin();
	add_job();
	CU_ASSERT_EQUAL(store_shard_held(store, 1, &held, &asked), 0);
	CU_ASSERT_EQUAL(held, 0);
	CU_ASSERT_EQUAL(asked, 0);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		struct shard shard = plain_shard((int64_t)i + 1, shards[i].state, shards[i].due_at);

		shard.word = shards[i].word;
		(void)store_shard_add(store, &shard);
	}
	CU_ASSERT_EQUAL(store_shard_held(store, 1, &held, &asked), 0);
	CU_ASSERT_EQUAL(held, 5);
	CU_ASSERT_EQUAL(asked, 2);
	store_shard_speak(store, 1, SHARD_WORD_RESEND, 99);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		auto_shard shard = {0};

		CU_ASSERT_EQUAL_FATAL(store_shard_get(store, (int64_t)i + 1, &shard), 0);
		CU_ASSERT_EQUAL(shard.word, shards[i].heard);
		CU_ASSERT_EQUAL(shard.due_at, shards[i].is_held ? 99 : shards[i].due_at);
	}
	CU_ASSERT_EQUAL(store_shard_held(store, 1, &held, NULL), 0);
	CU_ASSERT_EQUAL(held, 0);
	end();
}

/* A cancel is a word too, and wakes whatever waits for one. */
static void wakes_held_shards_for_a_cancel(void)
{
	static const struct { enum shard_state state; int64_t due_at, then; } shards[] = {
		{SHARD_FETCHED, 0, 60}, {SHARD_UNCERTAIN, 0, 60}, {SHARD_CREATED, 70, 60},
		{SHARD_CREATED, 50, 50}, {SHARD_COLLECTED, 0, 0}, {SHARD_DROPPED, 0, 0},
	};

	begin();
	add_job();
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		struct shard shard = plain_shard((int64_t)i + 1, shards[i].state, shards[i].due_at);

		(void)store_shard_add(store, &shard);
	}
	store_shard_poke(store, 1, 60);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		auto_shard shard = {0};

		CU_ASSERT_EQUAL_FATAL(store_shard_get(store, (int64_t)i + 1, &shard), 0);
		CU_ASSERT_EQUAL(shard.due_at, shards[i].then);
	}
	end();
}

static void note_digest(const struct store_digest *digest, void *context)
{
	buffer_add_format(context, "%s|%s|%s|%d", digest->code, digest->gist, digest->sample, (int)digest->count);
	for (size_t i = 0; i < digest->row_count; i++)
		buffer_add_format(context, " %d", (int)digest->rows[i]);
	buffer_add_text(context, "\n");
}

static void add_digest(const char *code, const char *gist, const char *sample, int64_t count, int64_t row)
{
	store_digest_add(store, 1,
			 &(struct store_digest){.code = code,
						.gist = gist,
						.sample = sample,
						.count = count,
						.rows = {row, row + 1, row + 2, row + 3, row + 4},
						.row_count = count > 5 ? 5 : (size_t)count},
			 3);
}

static void adds_up_failures_by_what_they_say(void)
{
	auto_buffer text = {0}, first = {0};

	begin();
	add_job();
	add_digest("a", "m #", "m 1", 2, 50);
	add_digest("a", "m #", "m 2", 9, 10);
	add_digest("b", "m #", "m 3", 1, 1);
	commit();
	reopen();
	add_digest("", "only words", "only words", 20, 3);
	/* Two more than it may have: what it has goes on counting, the rest is one. */
	add_digest("c", "x", "x", 1, 8);
	add_digest("d", "y", "y", 2, 6);
	add_digest("b", "m #", "m 4", 100, 60);
	CU_ASSERT_EQUAL(store_digest_list(store, 1, 10, note_digest, &text), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&text), "b|m #|m 3|101 1 60 61 62 63 64\n"
						   "|only words|only words|20 3 4 5 6 7\n"
						   "a|m #|m 1|11 10 11 12 13 14 50 51\n"
						   "|||3 6 7 8\n");
	CU_ASSERT_EQUAL(store_digest_list(store, 1, 1, note_digest, &first), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&first), "b|m #|m 3|101 1 60 61 62 63 64\n");
	buffer_clear(&text);
	CU_ASSERT_EQUAL(store_digest_list(store, 2, 10, note_digest, &text), 0);
	CU_ASSERT_EQUAL(text.size, 0);
	end();
}

/* --- a store of version 1 --- */

#define OLD_JOB                                                                                                        \
	"INSERT INTO job VALUES (5, 2, 1000, 3, 0, 0, '/v1/x', '24h', '{\"a\":\"b\"}', 'in', 'p', NULL, 0, 0,"         \
	" 10, 4, 1, 2, 3, 1, 11, 12, 0, 0, 0, 0, 0, 0, 13, 0, 'waits');"
#define OLD_SHARD                                                                                                      \
	"INSERT INTO shard VALUES (9, 5, 1, 4, 'm', 'u', 10, 100, 2, 'mark', 'file-1', 1, 2, 'batch_1', 'completed',"  \
	" 7, 3, 'o', 'e', 0, 21, 22, 23, 24, 0, 0, 1, NULL, 'why');"

static void make_old_store(const char *rows)
{
	auto_free char *stamp = xasprintf("PRAGMA user_version = 1; PRAGMA application_id = %d", BTCD);
	const char *const steps[] = {"PRAGMA journal_mode = WAL", store_sql_migration(0), rows, stamp};
	sqlite3 *db = NULL;

	make_folder();
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++)
		CHECK_ROW(sqlite3_errmsg(db), sqlite3_exec(db, steps[i], NULL, NULL, NULL) == SQLITE_OK);
	(void)sqlite3_close(db);
}

static void brings_an_older_store_up_to_date(void)
{
	auto_job job = {0};
	auto_shard shard = {0};
	auto_buffer text = {0};
	int64_t held = -1;

	make_old_store("INSERT INTO meta VALUES ('id_key', 42);" OLD_JOB OLD_SHARD);
	CU_ASSERT_EQUAL_FATAL(store_open(path, 77, &store, NULL), 0);
	CU_ASSERT(!store_is_new(store));
	CU_ASSERT_EQUAL(store_id_key(store), 42);
	CU_ASSERT_EQUAL_FATAL(store_job_get(store, 5, &job), 0);
	CU_ASSERT(job.state == JOB_RUNNING && job.uid == 1000 && job.due_at == 13 && job.tries == 0);
	CU_ASSERT_STRING_EQUAL(job.why, "waits");
	CU_ASSERT(job.counts.total == 10 && job.counts.ok == 4 && job.counts.expired == 3 && job.counts.missing == 1);
	CU_ASSERT(job.counts.lost + job.counts.invalid + job.counts.resent + job.counts.twice == 0);
	CU_ASSERT(!job.labels && !job.model && !job.skips_invalid && !job.is_wrapped && !job.has_line_ids);
	CU_ASSERT(job.max_attempts == 0 && job.retry_of == 0);
	CU_ASSERT_EQUAL_FATAL(store_shard_get(store, 9, &shard), 0);
	CU_ASSERT(shard.state == SHARD_FETCHED && shard.attempt == 2 && shard.remote_completed == 7 && shard.redone == 1);
	CU_ASSERT_STRING_EQUAL(shard.why, "why");
	CU_ASSERT(!shard.refusal && !shard.refusal_code && !shard.inputs && !shard.tokens && !shard.word);
	CU_ASSERT(!shard.tally.ok && !shard.tally.again && !shard.tally.output_tokens);
	/* And it can do all that a new one can. */
	shard.tally.ok = 3;
	shard.word = SHARD_WORD_RESEND;
	shard.due_at = 0;
	store_shard_save(store, &shard);
	store_digest_add(store, 5, &(struct store_digest){.code = "c", .gist = "g", .sample = "s", .count = 1}, 10);
	commit();
	reopen();
	CU_ASSERT_EQUAL(store_shard_held(store, 5, &held, NULL), 0);
	CU_ASSERT_EQUAL(held, 1);
	CU_ASSERT_EQUAL(store_digest_list(store, 5, 10, note_digest, &text), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&text), "c|g|s|1\n");
	end();
}

/* A death in the middle of it leaves the old one, whole. */
static void leaves_an_older_store_alone_that_it_cannot_change(void)
{
	struct error err = {0};

	make_old_store("CREATE TABLE digest (x INTEGER); " OLD_JOB);
	CU_ASSERT_NOT_EQUAL(store_open(path, 77, &store, &err), 0);
	CU_ASSERT(strstr(err.text, "digest") != NULL);
	{
		sqlite3 *db = NULL;

		CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
		CU_ASSERT_EQUAL(sqlite3_exec(db, "DROP TABLE digest", NULL, NULL, NULL), SQLITE_OK);
		(void)sqlite3_close(db);
	}
	CU_ASSERT_EQUAL_FATAL(store_open(path, 77, &store, NULL), 0);
	{
		auto_job job = {0};

		CU_ASSERT_EQUAL(store_job_get(store, 5, &job), 0);
	}
	end();
}

/* clang-format off */
CHECK_MAIN("store_account",
	   CHECK(keeps_what_was_chosen_and_found),
	   CHECK(sums_up_what_each_model_used_at_each_provider),
	   CHECK(finds_the_shard_that_waits_for_others),
	   CHECK(gives_the_owners_word_to_held_shards_alone),
	   CHECK(wakes_held_shards_for_a_cancel),
	   CHECK(adds_up_failures_by_what_they_say),
	   CHECK(brings_an_older_store_up_to_date),
	   CHECK(leaves_an_older_store_alone_that_it_cannot_change))
/* clang-format on */
