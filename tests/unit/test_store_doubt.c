/* What the store keeps of doubts: who is uncertain, a person's word, whose a batch is, and what a restored copy must not repeat. */
#include <errno.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/io/store_sql.h"
#include "tests/unit/store_scene.h"

/* A shard of a job; its marker is of both numbers. */
static int64_t add_shard(int64_t job, int64_t number, enum shard_state state, struct shard more)
{
	auto_free char *marker = xasprintf("m%d-%d", (int)job, (int)number);

	more.job = job;
	more.number = number;
	more.state = state;
	more.model = TEXT("m");
	more.url = TEXT("u");
	more.marker = marker;
	more.attempt = 1;
	if (state == SHARD_UPLOADED && !more.provider_file)
		more.provider_file = TEXT("f");
	if (state == SHARD_CREATED && !more.batch_id)
		more.batch_id = marker;
	return store_shard_add(store, &more);
}

static void add_jobs(int count)
{
	struct job job = plain_job(1, JOB_RUNNING, 0);

	while (count--)
		(void)store_job_add(store, &job);
}

static void note_number(const struct shard *shard, void *context)
{
	buffer_add_format(context, "%d ", (int)shard->number);
}

static void lists_the_uncertain_shards_of_a_job(void)
{
	auto_buffer all = {0}, two = {0}, none = {0};

	begin();
	add_jobs(2);
	for (int i = 0; i < SHARD_STATE_COUNT; i++)
		(void)add_shard(1, i + 1, (enum shard_state)i, (struct shard){0});
	(void)add_shard(1, 12, SHARD_UNCERTAIN, (struct shard){0});
	(void)add_shard(1, 11, SHARD_UNCERTAIN, (struct shard){0});
	(void)add_shard(2, 1, SHARD_CREATED, (struct shard){0});
	CU_ASSERT_EQUAL(store_shard_uncertain(store, 1, 100, note_number, &all), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&all), "7 11 12 ");
	CU_ASSERT_EQUAL(store_shard_uncertain(store, 1, 2, note_number, &two), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&two), "7 11 ");
	CU_ASSERT_EQUAL(store_shard_uncertain(store, 2, 100, note_number, &none), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&none), "");
	end();
}

static void takes_a_word_about_uncertain_shards_alone(void)
{
	begin();
	add_jobs(1);
	for (int i = 0; i < SHARD_STATE_COUNT; i++) {
		const char *row = shard_state_name((enum shard_state)i);
		bool is_uncertain = i == SHARD_UNCERTAIN;
		int64_t id = add_shard(1, i + 1, (enum shard_state)i,
				       (struct shard){.batch_id = TEXT("mine"), .tries = 3, .due_at = 5});
		auto_shard named = {0}, none = {0};

		store_shard_settle(store, id, SHARD_WORD_BATCH, "batch", 9);
		CU_ASSERT_EQUAL_FATAL(store_shard_get(store, id, &named), 0);
		CHECK_ROW(row, named.word == (is_uncertain ? SHARD_WORD_BATCH : SHARD_WORD_NONE));
		CHECK_ROW(row, strcmp(named.batch_id, is_uncertain ? "batch" : "mine") == 0);
		CHECK_ROW(row, named.due_at == (is_uncertain ? 9 : 5) && named.tries == (is_uncertain ? 0 : 3));
		store_shard_settle(store, id, SHARD_WORD_NO_BATCH, NULL, 10);
		CU_ASSERT_EQUAL_FATAL(store_shard_get(store, id, &none), 0);
		CHECK_ROW(row, is_uncertain == (none.word == SHARD_WORD_NO_BATCH && !none.batch_id && none.due_at == 10));
	}
	end();
}

/* Or a wrong word would hide another shard's batch from it, which would then make a second one. */
static void a_claim_is_no_ownership(void)
{
	int64_t owner = 0;

	begin();
	add_jobs(1);
	(void)add_shard(1, 1, SHARD_UNCERTAIN, (struct shard){.batch_id = TEXT("x")});
	CU_ASSERT_EQUAL(store_shard_owner(store, "p", "x", &owner), -ENOENT);
	(void)add_shard(1, 2, SHARD_CREATED, (struct shard){.batch_id = TEXT("x")});
	CU_ASSERT_EQUAL(store_shard_owner(store, "p", "x", &owner), 0);
	CU_ASSERT_EQUAL(owner, 2);
	end();
}

/* The file of another shard that is still to be answered; what a dropped one left is its heir's. */
static void knows_whose_an_uploaded_file_is(void)
{
	int64_t owner = 0;

	begin();
	add_jobs(1);
	(void)add_shard(1, 1, SHARD_DROPPED, (struct shard){.provider_file = TEXT("f")});
	(void)add_shard(1, 2, SHARD_UPLOADED, (struct shard){.provider_file = TEXT("f")});
	CU_ASSERT_EQUAL(store_shard_file_owner(store, "p", "f", 2, &owner), -ENOENT);
	CU_ASSERT_EQUAL(store_shard_file_owner(store, "q", "f", 3, &owner), -ENOENT);
	CU_ASSERT_EQUAL(store_shard_file_owner(store, "p", "f", 3, &owner), 0);
	CU_ASSERT_EQUAL(owner, 2);
	end();
}

static void knows_who_passed_rows_on_while_a_batch_may_yet_appear(void)
{
	/* clang-format off */
	static const struct { enum shard_state state; int64_t intended_at, absent_at; const char *batch; } shards[] = {
		{ SHARD_DROPPED,   5, 0,  NULL }, /* by a person's word */
		{ SHARD_DROPPED,   0, 0,  NULL },
		{ SHARD_DROPPED,   0, -7, NULL }, /* found absent, created again, and refused */
		{ SHARD_DROPPED,   5, 0,  "b"  },
		{ SHARD_CANCELLED, 5, 0,  NULL },
		{ SHARD_UPLOADED,  5, 0,  NULL },
		{ SHARD_DROPPED,   0, 7,  NULL },
	};
	/* clang-format on */
	auto_buffer kin = {0}, newest = {0}, others = {0};

	begin();
	add_jobs(2);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++)
		(void)add_shard(1, (int64_t)i + 1, shards[i].state,
				(struct shard){.intended_at = shards[i].intended_at,
					       .absent_at = shards[i].absent_at,
					       .batch_id = TEXT(shards[i].batch)});
	CU_ASSERT_EQUAL(store_shard_kin(store, 1, 9, note_number, &kin), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&kin), "3 1 ");
	CU_ASSERT_EQUAL(store_shard_kin(store, 1, 1, note_number, &newest), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&newest), "3 ");
	CU_ASSERT_EQUAL(store_shard_kin(store, 2, 9, note_number, &others), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&others), "");
	end();
}

/* Rows of others must not go with it: it may have a batch of its own. */
static void a_shard_in_doubt_does_not_wait_for_others(void)
{
	static const struct shard like = {.job = 1, .model = TEXT("m"), .url = TEXT("u"), .provider = TEXT("p"), .attempt = 1};
	auto_shard found = {0};

	begin();
	add_jobs(1);
	(void)add_shard(1, 1, SHARD_CUT, (struct shard){.due_at = 101, .intended_at = 5});
	CU_ASSERT_EQUAL(store_shard_waiting(store, &like, 1, 100, &found), -ENOENT);
	(void)add_shard(1, 2, SHARD_CUT, (struct shard){.due_at = 101});
	CU_ASSERT_EQUAL(store_shard_waiting(store, &like, 1, 100, &found), 0);
	CU_ASSERT_EQUAL(found.number, 2);
	end();
}

static void counts_an_absence_anew_after_a_clock_step(void)
{
	static const struct { enum shard_state state; int64_t before, then; } shards[] = {
		{SHARD_CUT, 5, 9}, {SHARD_UPLOADED, 5, 9}, {SHARD_UPLOADED, -5, -5}, {SHARD_CREATED, 5, 5},
	};

	begin();
	add_jobs(1);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++)
		(void)add_shard(1, (int64_t)i + 1, shards[i].state, (struct shard){.absent_at = shards[i].before});
	store_clock_stepped(store, 9, 100);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		auto_shard shard = {0};

		CU_ASSERT_EQUAL_FATAL(store_shard_get(store, (int64_t)i + 1, &shard), 0);
		CU_ASSERT_EQUAL(shard.absent_at, shards[i].then);
	}
	end();
}

static void note_event(const struct store_event *event, void *context)
{
	buffer_add_format(context, "%s %s %s\n", event->type, event->level, event->message);
}

static void set_copied(const char *sql)
{
	CU_ASSERT_EQUAL_FATAL(sqlite3_exec(store->db, sql, NULL, NULL, NULL), SQLITE_OK);
}

static void tells_open_jobs_that_they_were_restored(void)
{
	int64_t copied_at = 0;

	begin();
	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		struct job job = plain_job(1, (enum job_state)i, 0);

		(void)store_job_add(store, &job);
	}
	commit();
	set_copied("INSERT INTO meta (name, value) VALUES ('copied_at', 1790705881000)");
	CU_ASSERT_EQUAL(store_restore(store, 1790705999000, &copied_at, NULL), 0);
	CU_ASSERT_EQUAL(copied_at, 1790705881000);
	reopen();
	for (int i = 0; i < JOB_STATE_COUNT; i++) {
		auto_buffer events = {0};

		(void)store_event_list(store, i + 1, 0, 9, note_event, &events);
		CHECK_ROW(job_state_name((enum job_state)i),
			  job_is_ended((enum job_state)i) ?
				  !events.size :
				  strcmp(buffer_text(&events), "job.note warning restored from a copy of 2026-09-29T18:18:01Z; "
							       "what was sent since is looked for before anything is sent\n") == 0);
	}
	CU_ASSERT_EQUAL(store_restored_from(store), 1790705881000);
	end();
}

/* All of it or nothing: what was not committed is done at the next start. */
static void a_restoring_that_fails_is_repeated(void)
{
	int64_t copied_at = -1;
	struct error err = {0};

	begin();
	add_jobs(1);
	(void)add_shard(1, 1, SHARD_UPLOADED, (struct shard){0});
	commit();
	set_copied("INSERT INTO meta (name, value) VALUES ('copied_at', 5000);"
		   "CREATE TRIGGER stop BEFORE INSERT ON event BEGIN SELECT RAISE(ABORT, 'no'); END");
	CU_ASSERT_NOT_EQUAL(store_restore(store, 9000, &copied_at, &err), 0);
	CU_ASSERT_EQUAL(store_restored_from(store), 0);
	set_copied("DROP TRIGGER stop");
	reopen();
	CU_ASSERT_EQUAL(store_restore(store, 9000, &copied_at, NULL), 0);
	CU_ASSERT_EQUAL(copied_at, 5000);
	CU_ASSERT_EQUAL(store_job_add(store, &(struct job){.endpoint = TEXT("e"), .window = TEXT("w"), .provider = TEXT("p")}),
			10002);
	end();
}

CHECK_MAIN("store_doubt", CHECK(lists_the_uncertain_shards_of_a_job), CHECK(takes_a_word_about_uncertain_shards_alone),
	   CHECK(a_claim_is_no_ownership), CHECK(knows_whose_an_uploaded_file_is),
	   CHECK(knows_who_passed_rows_on_while_a_batch_may_yet_appear),
	   CHECK(a_shard_in_doubt_does_not_wait_for_others), CHECK(counts_an_absence_anew_after_a_clock_step),
	   CHECK(tells_open_jobs_that_they_were_restored), CHECK(a_restoring_that_fails_is_repeated))
