#include <errno.h>
#include <inttypes.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/store_sql.h"
#include "tests/unit/store_scene.h"

#define BTCD 0x62746364

static void add_job(int64_t uid, int64_t priority, const char *provider)
{
	const struct job job = {
		.uid = uid, .priority = priority, .state = JOB_RUNNING, .endpoint = TEXT("/v1/x"), .window = TEXT("24h"),
		.provider = TEXT(provider),
	};

	CU_ASSERT_TRUE(store_job_add(store, &job) > 0);
}

static struct shard plain(int64_t job, int64_t number, const char *model)
{
	return (struct shard){
		.job = job, .number = number, .model = TEXT(model), .url = TEXT("/v1/x"), .requests = 3, .bytes = 100, .tokens = 25,
		.due_at = 1, .queue = SHARD_WAITING,
	};
}

static int64_t add(struct shard shard)
{
	auto_free char *marker = xasprintf("%020" PRIx64 "%04" PRIx64, shard.job, shard.number);

	shard.marker = marker;
	return store_shard_add(store, &shard);
}

static char *lines_text(const char *provider)
{
	struct store_line line = {0}, next;
	auto_buffer text = {0};

	while (!store_queue_next(store, provider, line.model ? &line : NULL, &next)) {
		buffer_add_format(&text, "%s/%" PRId64 "/%" PRId64 " ", next.model, next.priority, next.uid);
		free(line.model);
		line = next;
	}
	free(line.model);
	return xstrdup(buffer_text(&text));
}

static void walks_the_lines_from_the_highest_priority(void)
{
	auto_free char *lines = NULL, *others = NULL, *none = NULL;

	begin();
	add_job(7, 50, "p");
	add_job(7, 90, "p");
	add_job(8, 50, "p");
	add_job(7, 0, "p");
	add_job(7, 50, "q");
	for (int64_t job = 1; job <= 5; job++)
		for (int64_t number = 1; number <= 4; number++)
			(void)add(plain(job, number, number % 2 ? "m" : "n"));
	lines = lines_text("p");
	CU_ASSERT_STRING_EQUAL(lines, "n/90/7 m/90/7 n/50/8 m/50/8 n/50/7 m/50/7 n/0/7 m/0/7 ");
	others = lines_text("q");
	CU_ASSERT_STRING_EQUAL(others, "n/50/7 m/50/7 ");
	none = lines_text("r");
	CU_ASSERT_STRING_EQUAL(none, "");
	end();
}

static void finds_the_shards_of_a_line(void)
{
	const struct store_line line = {.model = TEXT("m"), .priority = 50, .uid = 7};
	const struct store_line other = {.model = TEXT("m"), .priority = 51, .uid = 7};
	const struct store_size small = {.most_bytes = 60, .most_requests = 2}, tiny = {.most_bytes = 1, .most_requests = 1};
	int64_t ahead = -1;

	begin();
	add_job(7, 50, "p");
	add_job(7, 50, "p");
	for (int64_t job = 2; job >= 1; job--)
		for (int64_t number = 1; number <= 3; number++) {
			struct shard shard = plain(job, number, "m");

			shard.queue = number == 1 && job == 1 ? SHARD_FREE : SHARD_WAITING;
			shard.bytes = 100 - 20 * number;
			shard.requests = 4 - number;
			(void)add(shard);
		}
	{
		auto_shard head = {0}, after = {0}, last = {0}, nobody = {0};

		CU_ASSERT_EQUAL(store_queue_head(store, "p", &line, 5, &head), 0);
		CU_ASSERT(head.job == 1 && head.number == 2);
		CU_ASSERT_EQUAL(store_queue_small(store, "p", &line, 1, 2, &small, &after), 0);
		CU_ASSERT(after.job == 1 && after.number == 3);
		CU_ASSERT_EQUAL(store_queue_small(store, "p", &line, 1, 2, &tiny, &nobody), -ENOENT);
		CU_ASSERT_EQUAL(store_queue_last(store, "p", &line, 1, &last), 0);
		CU_ASSERT(last.job == 1 && last.number == 3);
		CU_ASSERT_EQUAL(store_queue_head(store, "p", &other, 5, &nobody), -ENOENT);
		CU_ASSERT_EQUAL(store_queue_head(store, "q", &line, 5, &nobody), -ENOENT);
		CU_ASSERT_EQUAL(store_queue_ahead(store, head.id, 100, &ahead), 0);
		CU_ASSERT_EQUAL(ahead, 0);
	}
	{
		auto_shard end_of_line = {0};

		CU_ASSERT_EQUAL(store_queue_last(store, "p", &line, 2, &end_of_line), 0);
		CU_ASSERT_EQUAL(store_queue_ahead(store, end_of_line.id, 100, &ahead), 0);
		CU_ASSERT_EQUAL(ahead, 4);
		CU_ASSERT_EQUAL(store_queue_ahead(store, end_of_line.id, 3, &ahead), 0);
		CU_ASSERT_EQUAL(ahead, 3);
	}
	end();
}

static void a_job_waits_when_nothing_else_of_it_is_open(void)
{
	auto_shard first = {0}, none = {0};
	struct shard shard;

	begin();
	add_job(7, 50, "p");
	add_job(7, 50, "p");
	shard = plain(1, 1, "m");
	shard.state = SHARD_COLLECTED;
	shard.queue = SHARD_FREE;
	(void)add(shard);
	(void)add(plain(1, 2, "m"));
	(void)add(plain(1, 3, "m"));
	(void)add(plain(2, 1, "m"));
	shard = plain(2, 2, "m");
	shard.queue = SHARD_FREE;
	(void)add(shard);
	CU_ASSERT_EQUAL(store_queue_first(store, 1, &first), 0);
	CU_ASSERT_EQUAL(first.number, 2);
	CU_ASSERT_EQUAL(store_queue_first(store, 2, &none), -ENOENT);
	CU_ASSERT_EQUAL(store_queue_first(store, 3, &none), -ENOENT);
	end();
}

static void one_that_cannot_be_read_leaves_its_line(void)
{
	const struct store_line line = {.model = TEXT("m"), .priority = 50, .uid = 7};
	auto_shard head = {0};
	int64_t id;

	begin();
	add_job(7, 50, "p");
	id = add(plain(1, 1, "m"));
	(void)add(plain(1, 2, "m"));
	commit();
	CU_ASSERT_EQUAL(sqlite3_exec(store->db, "UPDATE shard SET requests = -1 WHERE number = 1", NULL, NULL, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(store_queue_head(store, "p", &line, 77, &head), -EUCLEAN);
	commit();
	CU_ASSERT_EQUAL(store_queue_head(store, "p", &line, 77, &head), 0);
	CU_ASSERT_EQUAL(head.number, 2);
	store_due_hold(store, &(struct store_due){.job = 1, .shard = id}, "damaged");
	commit();
	end();
}

static void note_flight(const struct store_flight *flight, void *context)
{
	buffer_add_format(context, "%s/%" PRId64 ":%" PRId64 ",%" PRId64 ",%" PRId64 ",%" PRId64 " ", flight->model, flight->uid,
			  flight->batches, flight->unsent, flight->requests, flight->tokens);
}

/* clang-format off */
static const struct {
	enum shard_state state;
	int64_t admitted_at, reserved, intended_at;
	const char *why;
	const char *flight; /* of it and of another one: 1 batch, 1 unsent, 3 requests, 5 tokens */
} moves[] = {
	{ SHARD_CUT,	   0, 0,  0, NULL,  "m/7:1,1,3,5 " },
	{ SHARD_CUT,	   9, 20, 0, NULL,  "m/7:2,2,6,25 " },
	{ SHARD_CUT,	   9, 20, 0, "old", "m/7:2,2,6,25 " },
	{ SHARD_UPLOADED,  9, 20, 0, NULL,  "m/7:2,2,6,25 " },
	{ SHARD_UPLOADED,  9, 21, 0, NULL,  "m/7:2,2,6,26 " },
	{ SHARD_UPLOADED,  9, 21, 8, NULL,  "m/7:2,2,6,26 " },
	{ SHARD_UPLOADED,  9, 21, 8, "in doubt", "m/7:2,1,6,26 " },
	{ SHARD_UPLOADED,  9, 21, 0, "not made", "m/7:2,2,6,26 " },
	{ SHARD_UPLOADED,  0, 0,  0, "waits", "m/7:1,1,3,5 " },
	{ SHARD_UPLOADED,  9, 7,  0, NULL,  "m/7:2,2,6,12 " },
	{ SHARD_CREATED,   9, 7,  8, NULL,  "m/7:2,1,6,12 " },
	{ SHARD_CREATED,   9, 7,  8, "in_progress", "m/7:2,1,6,12 " },
	{ SHARD_UNCERTAIN, 9, 7,  8, "asks", "m/7:2,1,6,12 " },
	{ SHARD_ENDED,	   9, 7,  8, NULL,  "m/7:1,1,3,5 " },
	{ SHARD_COLLECTED, 9, 7,  8, NULL,  "m/7:1,1,3,5 " },
};
/* clang-format on */

static void adds_up_what_is_under_way(void)
{
	struct shard shard;
	int64_t id;

	begin();
	add_job(7, 50, "p");
	shard = plain(1, 1, "m");
	shard.queue = SHARD_FREE;
	shard.admitted_at = 1;
	shard.reserved_tokens = 5;
	(void)add(shard);
	shard = plain(1, 2, "m");
	id = add(shard);
	for (size_t i = 0; i < ARRAY_SIZE(moves); i++) {
		auto_buffer text = {0};
		auto_shard now = {0};

		CU_ASSERT_EQUAL_FATAL(store_shard_get(store, id, &now), 0);
		now.state = moves[i].state;
		now.queue = SHARD_FREE;
		now.admitted_at = moves[i].admitted_at;
		now.reserved_tokens = moves[i].reserved;
		now.intended_at = moves[i].intended_at;
		free(now.why);
		now.why = xstrdup(moves[i].why);
		store_shard_save(store, &now);
		CU_ASSERT_EQUAL(store_flight(store, "p", note_flight, &text), 0);
		CHECK_ROW(moves[i].flight, strcmp(buffer_text(&text), moves[i].flight) == 0);
	}
	end();
}

static void forgets_what_is_not_under_way_any_more(void)
{
	auto_buffer text = {0};
	auto_shard shard = {0};
	struct shard fresh;
	int64_t id, rows = -1;

	begin();
	add_job(7, 50, "p");
	fresh = plain(1, 1, "m");
	fresh.queue = SHARD_FREE;
	fresh.admitted_at = 1;
	id = add(fresh);
	CU_ASSERT_EQUAL(store_sql_pragma(store, "SELECT count(*) FROM flight", &rows, NULL), 0);
	CU_ASSERT_EQUAL(rows, 1);
	CU_ASSERT_EQUAL_FATAL(store_shard_get(store, id, &shard), 0);
	shard.state = SHARD_DROPPED;
	store_shard_save(store, &shard);
	CU_ASSERT_EQUAL(store_sql_pragma(store, "SELECT count(*) FROM flight", &rows, NULL), 0);
	CU_ASSERT_EQUAL(rows, 0);
	CU_ASSERT_EQUAL(store_flight(store, "p", note_flight, &text), 0);
	CU_ASSERT_EQUAL(text.size, 0);
	end();
}

static void counts_what_could_let_anybody_go(void)
{
	const struct store_learned learned = {.model = TEXT("m"), .name = TEXT("n"), .value = 1};
	struct shard shard;
	auto_shard polled = {0};
	int64_t before, id;

	begin();
	add_job(7, 50, "p");
	before = store_queue_version(store);
	shard = plain(1, 1, "m");
	shard.queue = SHARD_FREE;
	shard.state = SHARD_CREATED;
	id = add(shard);
	CU_ASSERT_EQUAL(store_queue_version(store), before);
	CU_ASSERT_EQUAL_FATAL(store_shard_get(store, id, &polled), 0);
	polled.admitted_at = 1;
	store_shard_save(store, &polled);
	CU_ASSERT_TRUE(store_queue_version(store) > before);
	before = store_queue_version(store);
	for (int64_t i = 0; i < 10; i++) {
		polled.polls = i;
		polled.due_at = i;
		store_shard_save(store, &polled);
	}
	CU_ASSERT_EQUAL(store_queue_version(store), before);
	(void)add(plain(1, 2, "m"));
	CU_ASSERT_TRUE(store_queue_version(store) > before);
	before = store_queue_version(store);
	store_shard_poke(store, 1, 5);
	CU_ASSERT_TRUE(store_queue_version(store) > before);
	before = store_queue_version(store);
	store_learned_set(store, "p", &learned);
	CU_ASSERT_TRUE(store_queue_version(store) > before);
	before = store_queue_version(store);
	store_learned_remove(store, "p", "m", "n");
	CU_ASSERT_TRUE(store_queue_version(store) > before);
	polled.state = SHARD_ENDED;
	before = store_queue_version(store);
	store_shard_save(store, &polled);
	CU_ASSERT_TRUE(store_queue_version(store) > before);
	end();
}

static void note_learned(const struct store_learned *learned, void *context)
{
	buffer_add_format(context, "%s.%s=%" PRId64 "(%s)@%" PRId64 " ", learned->model, learned->name, learned->value,
			  learned->words ? learned->words : "-", learned->at);
}

static void keeps_what_was_learned(void)
{
	const struct store_learned rows[] = {
		{.model = TEXT("m"), .name = TEXT("b"), .value = 2, .words = TEXT("two"), .at = 20},
		{.model = TEXT(""), .name = TEXT("a"), .value = 1, .at = 10},
		{.model = TEXT("m"), .name = TEXT("a"), .value = 3, .at = 30},
		{.model = TEXT("m"), .name = TEXT("b"), .value = 4, .words = TEXT("four"), .at = 40},
	};
	struct store_learned found;
	auto_buffer text = {0};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		store_learned_set(store, "p", &rows[i]);
	store_learned_set(store, "q", &rows[0]);
	commit();
	reopen();
	CU_ASSERT_EQUAL(store_learned_list(store, "p", note_learned, &text), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&text), ".a=1(-)@10 m.a=3(-)@30 m.b=4(four)@40 ");
	CU_ASSERT_EQUAL(store_learned_get(store, "p", "m", "b", &found), 0);
	CU_ASSERT(found.value == 4 && found.at == 40);
	CU_ASSERT_STRING_EQUAL(found.words, "four");
	free(found.words);
	store_learned_remove(store, "p", "m", "b");
	CU_ASSERT_EQUAL(store_learned_get(store, "p", "m", "b", &found), -ENOENT);
	CU_ASSERT_EQUAL(store_learned_get(store, "q", "m", "b", &found), 0);
	free(found.words);
	end();
}

/* --- a store of version 3 --- */

/* A running job (1) and one that is being cancelled (2), of the provider p and of the users 7 and 8. */
#define OLD_JOBS                                                                                                       \
	"INSERT INTO job (id, state, uid, input_file, output_file, error_file, endpoint, window, provider, errors_total,"    \
	" output_expires_s, total, ok, failed, cancelled, expired, missing, created_at, in_progress_at, finalizing_at,"     \
	" completed_at, failed_at, expired_at, cancelling_at, cancelled_at, due_at, tries) VALUES "                         \
	"(1, 2, 7, 1, 0, 0, '/v1/x', '24h', 'p', 0, 0, 9, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0),"                     \
	"(2, 3, 8, 1, 0, 0, '/v1/x', '24h', 'p', 0, 0, 9, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0);"

static char *old_shard(int64_t job, int64_t number, enum shard_state state, int64_t intended_at, int64_t due_at)
{
	return xasprintf("INSERT INTO shard (job, number, state, model, url, requests, bytes, attempt, marker, intended_at,"
			 " absent_at, remote_completed, remote_failed, is_cancel_sent, uploaded_at, batch_created_at, ended_at,"
			 " due_at, tries, polls, redone, tokens) VALUES (%" PRId64 ", %" PRId64 ", %d, 'm', 'u', 2, 100, 1,"
			 " '%020" PRId64 "%04" PRId64 "', %" PRId64 ", 0, 0, 0, 0, 0, 0, 0, %" PRId64 ", 0, 0, 0, 30);",
			 job, number, (int)state, job, number, intended_at, due_at);
}

static void brings_a_store_of_version_3_up_to_date(void)
{
	/* clang-format off */
	static const struct {
		int64_t job;
		enum shard_state state;
		int64_t intended_at, due_at;
		enum shard_queue queue;
		bool is_admitted;
	} rows[] = {
		{ 1, SHARD_CUT,       0, 5, SHARD_WAITING, false }, { 1, SHARD_CUT,       0, 0, SHARD_FREE, false },
		{ 1, SHARD_CUT,       3, 5, SHARD_FREE,	   true },  { 1, SHARD_UPLOADED,  0, 5, SHARD_WAITING, false },
		{ 1, SHARD_UPLOADED,  3, 5, SHARD_FREE,	   true },  { 1, SHARD_CREATED,   3, 5, SHARD_FREE, true },
		{ 1, SHARD_UNCERTAIN, 3, 0, SHARD_FREE,	   true },  { 1, SHARD_COLLECTED, 3, 0, SHARD_FREE, false },
		{ 2, SHARD_CUT,       0, 5, SHARD_FREE,	   false }, { 2, SHARD_CREATED,   3, 5, SHARD_FREE, true },
	};
	/* clang-format on */
	auto_free char *stamp = xasprintf("PRAGMA user_version = 3; PRAGMA application_id = %d", BTCD);
	auto_buffer text = {0};
	int64_t wrong = -1;
	sqlite3 *db = NULL;

	make_folder();
	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	for (size_t i = 0; i < 3; i++)
		CU_ASSERT_EQUAL(sqlite3_exec(db, store_sql_migration(i), NULL, NULL, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, "INSERT INTO meta VALUES ('id_key', 42);" OLD_JOBS, NULL, NULL, NULL), SQLITE_OK);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *row = old_shard(rows[i].job, (int64_t)i + 1, rows[i].state, rows[i].intended_at, rows[i].due_at);

		CHECK_ROW(sqlite3_errmsg(db), sqlite3_exec(db, row, NULL, NULL, NULL) == SQLITE_OK);
	}
	CU_ASSERT_EQUAL(sqlite3_exec(db, stamp, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);

	CU_ASSERT_EQUAL_FATAL(store_open(path, 77, &store, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_shard shard = {0};
		auto_free char *row = xasprintf("%zu", i + 1);

		CU_ASSERT_EQUAL_FATAL(store_shard_get(store, (int64_t)i + 1, &shard), 0);
		CHECK_ROW(row, shard.queue == rows[i].queue && (shard.admitted_at > 0) == rows[i].is_admitted);
		CHECK_ROW(row, strcmp(shard.provider, "p") == 0);
	}
	CU_ASSERT_EQUAL(store_flight(store, "p", note_flight, &text), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&text), "m/7:4,2,8,120 m/8:1,0,2,30 ");
	CU_ASSERT_EQUAL(store_sql_pragma(store, "SELECT count(*) FROM shard WHERE uid <> (SELECT uid FROM job WHERE job.id = shard.job) "
						"OR priority <> 50", &wrong, NULL), 0);
	CU_ASSERT_EQUAL(wrong, 0);
	end();
}

/* clang-format off */
CHECK_MAIN("store_queue",
	   CHECK(walks_the_lines_from_the_highest_priority),
	   CHECK(finds_the_shards_of_a_line),
	   CHECK(a_job_waits_when_nothing_else_of_it_is_open),
	   CHECK(one_that_cannot_be_read_leaves_its_line),
	   CHECK(adds_up_what_is_under_way),
	   CHECK(forgets_what_is_not_under_way_any_more),
	   CHECK(counts_what_could_let_anybody_go),
	   CHECK(keeps_what_was_learned),
	   CHECK(brings_a_store_of_version_3_up_to_date))
/* clang-format on */
