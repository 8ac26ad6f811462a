#include "daemon/io/store.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include <sqlite3.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "tests/unit/store_scene.h"

/* A job whose every member has a value of its own. */
static struct job whole_job(void)
{
	return (struct job){
		.state = JOB_RUNNING,
		.uid = 1000,
		.input_file = 2,
		.output_file = 3,
		.error_file = 4,
		.endpoint = TEXT("/v1/x"),
		.window = TEXT("24h"),
		.metadata = TEXT("{\"a\":\"b\"}"),
		.file_name = TEXT("in.jsonl"),
		.provider = TEXT("openai"),
		.errors = TEXT("[]"),
		.errors_total = 5,
		.output_expires_s = 6,
		.counts = {.total = 7,
			   .ok = 8,
			   .failed = 9,
			   .cancelled = 10,
			   .expired = 11,
			   .missing = 12},
		.created_at = 13,
		.in_progress_at = 14,
		.finalizing_at = 15,
		.completed_at = 16,
		.failed_at = 17,
		.expired_at = 18,
		.cancelling_at = 19,
		.cancelled_at = 20,
		.due_at = 21,
		.tries = 22,
		.why = TEXT("waits"),
	};
}

static struct shard whole_shard(int64_t job, int64_t number, const char *marker)
{
	return (struct shard){
		.job = job,
		.number = number,
		.state = SHARD_CREATED,
		.model = TEXT("m"),
		.url = TEXT("u"),
		.requests = 3,
		.bytes = 4,
		.attempt = 5,
		.marker = TEXT(marker),
		.provider_file = TEXT("file-1"),
		.intended_at = 6,
		.absent_at = 7,
		.batch_id = TEXT("batch_x"),
		.remote_status = TEXT("in_progress"),
		.remote_completed = 8,
		.remote_failed = 9,
		.remote_output = TEXT("o"),
		.remote_error = TEXT("e"),
		.is_cancel_sent = true,
		.uploaded_at = 10,
		.batch_created_at = 11,
		.ended_at = 12,
		.due_at = 13,
		.tries = 14,
		.polls = 15,
		.why = TEXT("w"),
	};
}

static bool is_same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Texts one by one; the numbers between them as they lie. */
static bool is_same_job(struct job a, struct job b)
{
	char *const texts[][2] = {{a.endpoint, b.endpoint},
				  {a.window, b.window},
				  {a.metadata, b.metadata},
				  {a.file_name, b.file_name},
				  {a.provider, b.provider},
				  {a.errors, b.errors},
				  {a.why, b.why}};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (!is_same_text(texts[i][0], texts[i][1]))
			return false;
	return a.id == b.id && a.state == b.state && a.uid == b.uid &&
	       a.input_file == b.input_file && a.output_file == b.output_file &&
	       a.error_file == b.error_file && a.errors_total == b.errors_total &&
	       a.output_expires_s == b.output_expires_s &&
	       memcmp(&a.counts, &b.counts, sizeof(a.counts)) == 0 &&
	       a.created_at == b.created_at && a.in_progress_at == b.in_progress_at &&
	       a.finalizing_at == b.finalizing_at && a.completed_at == b.completed_at &&
	       a.failed_at == b.failed_at && a.expired_at == b.expired_at &&
	       a.cancelling_at == b.cancelling_at && a.cancelled_at == b.cancelled_at &&
	       a.due_at == b.due_at && a.tries == b.tries;
}

static bool is_same_shard(struct shard a, struct shard b)
{
	char *const texts[][2] = {{a.model, b.model},
				  {a.url, b.url},
				  {a.marker, b.marker},
				  {a.provider_file, b.provider_file},
				  {a.batch_id, b.batch_id},
				  {a.remote_status, b.remote_status},
				  {a.remote_output, b.remote_output},
				  {a.remote_error, b.remote_error},
				  {a.why, b.why}};

	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		if (!is_same_text(texts[i][0], texts[i][1]))
			return false;
	return a.id == b.id && a.job == b.job && a.number == b.number && a.state == b.state &&
	       a.requests == b.requests && a.bytes == b.bytes && a.attempt == b.attempt &&
	       a.intended_at == b.intended_at && a.absent_at == b.absent_at &&
	       a.remote_completed == b.remote_completed && a.remote_failed == b.remote_failed &&
	       a.is_cancel_sent == b.is_cancel_sent && a.uploaded_at == b.uploaded_at &&
	       a.batch_created_at == b.batch_created_at && a.ended_at == b.ended_at &&
	       a.due_at == b.due_at && a.tries == b.tries && a.polls == b.polls;
}

static void keeps_every_member_of_a_job_over_a_restart(void)
{
	struct job job = whole_job();
	auto_job got = {0};
	auto_job saved = {0};

	begin();
	job.id = store_job_add(store, &job);
	CU_ASSERT_EQUAL(job.id, 1);
	commit();
	reopen();
	CU_ASSERT_EQUAL(store_job_get(store, 1, &got), 0);
	CU_ASSERT(is_same_job(got, job));
	CU_ASSERT_EQUAL(store_job_get(store, 2, &got), -ENOENT);
	job = (struct job){.id = 1,
			   .endpoint = TEXT(""),
			   .window = TEXT("w"),
			   .provider = TEXT("p"),
			   .state = JOB_EXPIRED,
			   .counts = {.total = INT64_MAX}};
	store_job_save(store, &job);
	CU_ASSERT_EQUAL(store_job_get(store, 1, &saved), 0);
	CU_ASSERT(is_same_job(saved, job));
	end();
}

static void keeps_every_member_of_a_shard_over_a_restart(void)
{
	struct job job = plain_job(1, JOB_RUNNING, 0);
	struct shard shard;
	auto_shard got = {0};
	auto_shard saved = {0};

	begin();
	shard = whole_shard(store_job_add(store, &job), 1, "m1");
	shard.id = store_shard_add(store, &shard);
	commit();
	reopen();
	CU_ASSERT_EQUAL(store_shard_get(store, shard.id, &got), 0);
	CU_ASSERT(is_same_shard(got, shard));
	CU_ASSERT_EQUAL(store_shard_get(store, 99, &got), -ENOENT);
	shard = (struct shard){.id = shard.id,
			       .job = 1,
			       .number = 1,
			       .state = SHARD_DROPPED,
			       .model = TEXT("m"),
			       .url = TEXT("u"),
			       .marker = TEXT("m1")};
	store_shard_save(store, &shard);
	CU_ASSERT_EQUAL(store_shard_get(store, shard.id, &saved), 0);
	CU_ASSERT(is_same_shard(saved, shard));
	end();
}

static void keeps_the_first_key_of_ids(void)
{
	begin();
	CU_ASSERT_EQUAL(store_id_key(store), 77);
	reopen();
	CU_ASSERT_EQUAL(store_id_key(store), 77);
	end();
}

static void never_uses_a_number_again(void)
{
	struct job job = plain_job(1, JOB_ACCEPTED, 0);
	sqlite3 *db = NULL;

	begin();
	(void)store_job_add(store, &job);
	CU_ASSERT_EQUAL(store_job_add(store, &job), 2);
	commit();
	CU_ASSERT_EQUAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, "DELETE FROM job WHERE id = 2", NULL, NULL, NULL),
			SQLITE_OK);
	(void)sqlite3_close(db);
	CU_ASSERT_EQUAL(store_job_add(store, &job), 3);
	end();
}

static void note_job(const struct job *job, void *context)
{
	buffer_add_format(context, "%" PRId64 " ", job->id);
}

static void lists_jobs_by_page_owner_and_state(void)
{
	/* clang-format off */
	static const struct {
		const char *name;
		int64_t uid; unsigned states; int64_t before; size_t limit;
		const char *ids;
	} lists[] = {
		{ "all",            -1, ~0u, 0, 100, "6 5 4 3 2 1 " },
		{ "first page",     -1, ~0u, 0, 2,   "6 5 " },
		{ "next page",      -1, ~0u, 5, 2,   "4 3 " },
		{ "last page",      -1, ~0u, 2, 2,   "1 " },
		{ "beyond",         -1, ~0u, 1, 2,   "" },
		{ "one owner",       1, ~0u, 0, 100, "5 3 1 " },
		{ "owner's page",    1, ~0u, 5, 1,   "3 " },
		{ "one state",      -1, 1u << JOB_RUNNING, 0, 100, "4 3 " },
		{ "two states",     -1, 1u << JOB_RUNNING | 1u << JOB_EXPIRED, 0, 100, "6 5 4 3 " },
		{ "owner and state", 0, 1u << JOB_RUNNING, 0, 100, "4 " },
		{ "no state",       -1, 0, 0, 100, "" },
	};
	/* clang-format on */
	static const enum job_state states[] = {JOB_ACCEPTED, JOB_ACCEPTED, JOB_RUNNING,
						JOB_RUNNING,  JOB_EXPIRED,  JOB_EXPIRED};
	int64_t counts[JOB_STATE_COUNT];

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(states); i++) {
		struct job job = plain_job((int64_t)(i + 1) % 2, states[i], 0);

		(void)store_job_add(store, &job);
	}
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		auto_buffer ids = {0};

		CU_ASSERT_EQUAL(store_job_list(store, lists[i].uid, lists[i].states,
					       lists[i].before, lists[i].limit, note_job, &ids),
				0);
		CHECK_ROW(lists[i].name, strcmp(buffer_text(&ids), lists[i].ids) == 0);
	}
	CU_ASSERT_EQUAL(store_job_counts(store, -1, counts), 0);
	CU_ASSERT(counts[JOB_ACCEPTED] == 2 && counts[JOB_RUNNING] == 2 && counts[JOB_FAILED] == 0);
	CU_ASSERT_EQUAL(store_job_counts(store, 1, counts), 0);
	CU_ASSERT(counts[JOB_ACCEPTED] == 1 && counts[JOB_EXPIRED] == 1);
	end();
}

static void note_group(const struct store_group *group, void *context)
{
	buffer_add_format(context, "%" PRId64 ":%s:%s:%" PRId64 ":%" PRId64 " ", group->number,
			  group->model, group->url, group->requests, group->bytes);
}

static void keeps_groups(void)
{
	struct job job = plain_job(1, JOB_VALID, 0);
	auto_buffer groups = {0};

	begin();
	(void)store_job_add(store, &job);
	(void)store_job_add(store, &job);
	store_group_add(store, 1, &(struct store_group){1, "m2", "u2", 3, 4});
	store_group_add(store, 1, &(struct store_group){0, "m1", "u1", 1, 2});
	store_group_add(store, 2, &(struct store_group){0, "x", "y", 1, 2});
	CU_ASSERT_EQUAL(store_group_list(store, 1, note_group, &groups), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&groups), "0:m1:u1:1:2 1:m2:u2:3:4 ");
	end();
}

static void note_shard(const struct shard *shard, void *context)
{
	buffer_add_format(context, "%" PRId64 " ", shard->number);
}

/* Job 1 has shards in every state, numbered as the states plus 1; job 2 has one, of another
 * provider. */
static void add_shards(void)
{
	struct job job = plain_job(1, JOB_RUNNING, 0);

	(void)store_job_add(store, &job);
	job.provider = TEXT("q");
	(void)store_job_add(store, &job);
	for (int64_t i = 0; i < SHARD_STATE_COUNT; i++) {
		auto_free char *marker = xasprintf("m%d", (int)i);
		auto_free char *batch = xasprintf("batch_%d", (int)i);
		struct shard shard = whole_shard(1, i + 1, marker);

		shard.state = (enum shard_state)i;
		shard.batch_id = batch;
		shard.batch_created_at = 100 * i;
		(void)store_shard_add(store, &shard);
	}
	(void)store_shard_add(store, &(struct shard){.job = 2,
						     .number = 1,
						     .state = SHARD_CREATED,
						     .model = TEXT("m"),
						     .url = TEXT("u"),
						     .marker = TEXT("other"),
						     .batch_id = TEXT("batch_2"),
						     .batch_created_at = 1000});
}

static void finds_shards_by_what_is_asked(void)
{
	auto_buffer list = {0};
	auto_buffer live = {0};
	int64_t a = 0, b = 0;

	begin();
	add_shards();
	CU_ASSERT_EQUAL(store_shard_list(store, 1, 2, 3, note_shard, &list), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&list), "3 4 5 ");
	CU_ASSERT_EQUAL(store_shard_count(store, 1, &a, &b), 0);
	CU_ASSERT(a == 9 && b == 6);
	CU_ASSERT_EQUAL(store_shard_count(store, 1, NULL, &b), 0);
	CU_ASSERT_EQUAL(store_shard_count(store, 7, &a, &b), 0);
	CU_ASSERT(a == 0 && b == 0);
	CU_ASSERT_EQUAL(store_shard_progress(store, 1, &a, &b), 0);
	CU_ASSERT(a == 6 * 8 && b == 6 * 9);
	CU_ASSERT_EQUAL(store_shard_progress(store, 7, &a, &b), 0);
	CU_ASSERT(a == 0 && b == 0);
	/* The same id at two providers is two batches. */
	CU_ASSERT_EQUAL(store_shard_owner(store, "p", "batch_2", &a), 0);
	CU_ASSERT_EQUAL(a, 3);
	CU_ASSERT_EQUAL(store_shard_owner(store, "q", "batch_2", &a), 0);
	CU_ASSERT_EQUAL(a, 10);
	CU_ASSERT_EQUAL(store_shard_owner(store, "q", "batch_1", &a), -ENOENT);
	CU_ASSERT_EQUAL(store_shard_live(store, "p", 200, 9, note_shard, &live), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&live), "3 ");
	CU_ASSERT_EQUAL(store_shard_live(store, "p", 201, 9, note_shard, &live), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&live), "3 ");
	CU_ASSERT_EQUAL(store_shard_in_flight(store, "p", &a), 0);
	CU_ASSERT_EQUAL(a, 2);
	CU_ASSERT_EQUAL(store_shard_in_flight(store, "nobody", &a), 0);
	CU_ASSERT_EQUAL(a, 0);
	end();
}

static void note_due(const struct store_due *due, void *context)
{
	buffer_add_format(context, "%" PRId64 "/%" PRId64 "@%" PRId64 " ", due->job, due->shard,
			  due->due_at);
}

static void gives_what_is_due_earliest_first(void)
{
	static const int64_t job_dues[] = {50, 0, 20, 90};
	static const int64_t shard_dues[] = {30, 60, 0, 10};
	auto_buffer due = {0};
	auto_buffer two = {0};
	int64_t at = -1;

	begin();
	CU_ASSERT_EQUAL(store_next_due(store, 0, &at), 0);
	CU_ASSERT_EQUAL(at, 0);
	for (size_t i = 0; i < ARRAY_SIZE(job_dues); i++) {
		struct job job = plain_job(1, JOB_RUNNING, job_dues[i]);

		(void)store_job_add(store, &job);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shard_dues); i++) {
		auto_free char *marker = xasprintf("m%zu", i);
		struct shard shard = whole_shard(1, (int64_t)i + 1, marker);

		shard.due_at = shard_dues[i];
		(void)store_shard_add(store, &shard);
	}
	CU_ASSERT_EQUAL(store_due(store, 60, 100, note_due, &due), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&due), "1/4@10 3/0@20 1/1@30 1/0@50 1/2@60 ");
	CU_ASSERT_EQUAL(store_due(store, 60, 2, note_due, &two), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&two), "1/4@10 3/0@20 ");
	CU_ASSERT_EQUAL(store_next_due(store, 10, &at), 0);
	CU_ASSERT_EQUAL(at, 20);
	CU_ASSERT_EQUAL(store_next_due(store, 60, &at), 0);
	CU_ASSERT_EQUAL(at, 90);
	CU_ASSERT_EQUAL(store_next_due(store, 90, &at), 0);
	CU_ASSERT_EQUAL(at, 0);
	end();
}

static void note_file(const struct store_file *file, void *context)
{
	buffer_add_format(context, "%" PRId64 " ", file->id);
}

static void lists_files_that_are_there(void)
{
	/* clang-format off */
	static const struct store_file files[] = {
		{ .uid = 1, .purpose = TEXT("batch"), .name = TEXT("a"), .bytes = 5, .created_at = 6 },
		{ .uid = 2, .purpose = TEXT("batch") },
		{ .uid = 1, .purpose = TEXT("batch_output"), .expires_at = 100 },
		{ .uid = 1, .purpose = TEXT("batch") },
		{ .uid = 1, .purpose = TEXT("batch") },
	};
	static const struct {
		const char *name;
		int64_t uid; const char *purpose; bool is_ascending; int64_t after, now; size_t limit;
		const char *ids;
	} lists[] = {
		{ "up",         -1, NULL,    true,  0, 50,  9, "1 2 3 5 " },
		{ "down",       -1, NULL,    false, 0, 50,  9, "5 3 2 1 " },
		{ "expired",    -1, NULL,    true,  0, 100, 9, "1 2 5 " },
		{ "owner",       1, NULL,    true,  0, 50,  9, "1 3 5 " },
		{ "purpose",    -1, "batch", true,  0, 50,  9, "1 2 5 " },
		{ "page up",    -1, NULL,    true,  1, 50,  2, "2 3 " },
		{ "page down",  -1, NULL,    false, 3, 50,  1, "2 " },
	};
	/* clang-format on */
	auto_store_file got = {0};
	auto_store_file hidden = {0};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(files); i++)
		CU_ASSERT_EQUAL(store_file_add(store, &files[i]), (int64_t)i + 1);
	store_file_delete(store, 4);
	commit();
	reopen();
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		auto_buffer ids = {0};

		CU_ASSERT_EQUAL(store_file_list(store, lists[i].uid, lists[i].purpose,
						lists[i].is_ascending, lists[i].after, lists[i].now,
						lists[i].limit, note_file, &ids),
				0);
		CHECK_ROW(lists[i].name, strcmp(buffer_text(&ids), lists[i].ids) == 0);
	}
	CU_ASSERT_EQUAL(store_file_get(store, 1, &got), 0);
	CU_ASSERT(got.id == 1 && got.uid == 1 && got.bytes == 5 && got.created_at == 6 &&
		  !got.is_deleted);
	CU_ASSERT(is_same_text(got.purpose, "batch") && is_same_text(got.name, "a"));
	CU_ASSERT_EQUAL(store_file_get(store, 4, &hidden), 0);
	CU_ASSERT(hidden.is_deleted && !hidden.name);
	CU_ASSERT_EQUAL(store_file_get(store, 9, &hidden), -ENOENT);
	end();
}

static void keeps_small_bytes(void)
{
	char *got = NULL;
	size_t size = 0;

	begin();
	store_record_put(store, 1, "rows", "a\0b", 3);
	store_record_put(store, 1, "empty", "", 0);
	store_record_put(store, 2, "rows", "other", 5);
	store_record_put(store, 1, "rows", "c\0de", 4);
	CU_ASSERT_EQUAL(store_file_add(store, &(struct store_file){.purpose = TEXT("batch")}), 1);
	store_file_put(store, 1, "f\0", 2);
	commit();
	reopen();
	CU_ASSERT(is_record(1, "rows", "c\0de", 4));
	CU_ASSERT(is_record(1, "empty", "", 0));
	CU_ASSERT_EQUAL(store_file_bytes(store, 1, &got, &size), 0);
	CU_ASSERT(size == 2 && memcmp(got, "f\0", 3) == 0);
	free(got);
	CU_ASSERT_EQUAL(store_file_bytes(store, 2, &got, &size), -ENOENT);
	store_record_remove(store, 1, "rows");
	CU_ASSERT_EQUAL(store_record_bytes(store, 1, "rows", &got, &size), -ENOENT);
	CU_ASSERT(is_record(1, "empty", "", 0));
	store_record_clear(store, 1);
	CU_ASSERT_EQUAL(store_record_bytes(store, 1, "empty", &got, &size), -ENOENT);
	CU_ASSERT(is_record(2, "rows", "other", 5));
	end();
}

static void note_event(const struct store_event *event, void *context)
{
	buffer_add_format(context, "%" PRId64 ":%" PRId64 ":%" PRId64 ":%s:%s:%s%s ", event->seq,
			  event->shard, event->at, event->type, event->level, event->message,
			  event->is_last ? "!" : "");
}

static void keeps_events_keys_and_what_was_learned(void)
{
	struct job job = plain_job(1, JOB_RUNNING, 0);
	uint8_t digest[32] = "0123456789abcdef0123456789abcde";
	uint8_t got[32] = {0};
	auto_buffer events = {0};
	int64_t found = 0;

	begin();
	(void)store_job_add(store, &job);
	(void)store_job_add(store, &job);
	CU_ASSERT_EQUAL(store_event_last(store, 1), 0);
	(void)store_event_add(store, &(struct store_event){0, 1, 0, 5, "t", "info", "one", false});
	(void)store_event_add(store,
			      &(struct store_event){0, 2, 0, 6, "t", "info", "other", false});
	CU_ASSERT_EQUAL(store_event_add(store, &(struct store_event){0, 1, 7, 8, "u", "error",
								     "two", true}),
			3);
	store_key_add(store, 1, "key", digest, 2, 9);
	CU_ASSERT(!store_list_failed(store, "p"));
	store_list_note_failure(store, "p", 3);
	store_list_note_failure(store, "p", 4);
	commit();
	reopen();
	CU_ASSERT_EQUAL(store_event_last(store, 1), 3);
	CU_ASSERT_EQUAL(store_event_list(store, 1, 0, 9, note_event, &events), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&events), "1:0:5:t:info:one 3:7:8:u:error:two! ");
	buffer_clear(&events);
	CU_ASSERT_EQUAL(store_event_list(store, 1, 1, 1, note_event, &events), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&events), "3:7:8:u:error:two! ");
	CU_ASSERT_EQUAL(store_key_get(store, 1, "key", got, &found), 0);
	CU_ASSERT(found == 2 && memcmp(got, digest, 32) == 0);
	CU_ASSERT_EQUAL(store_key_get(store, 2, "key", got, &found), -ENOENT);
	CU_ASSERT_EQUAL(store_key_get(store, 1, "Key", got, &found), -ENOENT);
	CU_ASSERT(store_list_failed(store, "p"));
	CU_ASSERT(!store_list_failed(store, "q"));
	end();
}

static void write_after(int result, void *context)
{
	struct job job = plain_job(1, JOB_ACCEPTED, 0);

	note_result(result, context);
	(void)store_job_add(store, &job);
	store_after_commit(store, note_result, NULL);
}

static void tells_those_who_wait_after_the_commit(void)
{
	auto_job job = {0};

	told_count = 0;
	begin();
	CU_ASSERT(!store_is_dirty(store));
	store_after_commit(store, write_after, NULL);
	CU_ASSERT_EQUAL(told_count, 0);
	commit();
	CU_ASSERT(told_count == 1 && told[0] == 0);
	/* What it wrote belongs to the next turn. */
	CU_ASSERT(store_is_dirty(store));
	commit();
	CU_ASSERT_EQUAL(told_count, 2);
	CU_ASSERT(!store_is_dirty(store));
	commit();
	CU_ASSERT_EQUAL(told_count, 2);
	CU_ASSERT_EQUAL(store_job_get(store, 1, &job), 0);
	end();
}

static void forgets_what_was_not_committed(void)
{
	struct job job = plain_job(1, JOB_ACCEPTED, 0);

	told_count = 0;
	begin();
	(void)store_job_add(store, &job);
	store_after_commit(store, note_result, NULL);
	reopen();
	CU_ASSERT_EQUAL(told_count, 0);
	CU_ASSERT_EQUAL(store_job_get(store, 1, &job), -ENOENT);
	end();
}

/* clang-format off */
CHECK_MAIN("store",
	   CHECK(keeps_every_member_of_a_job_over_a_restart),
	   CHECK(keeps_every_member_of_a_shard_over_a_restart),
	   CHECK(keeps_the_first_key_of_ids),
	   CHECK(never_uses_a_number_again),
	   CHECK(lists_jobs_by_page_owner_and_state),
	   CHECK(keeps_groups),
	   CHECK(finds_shards_by_what_is_asked),
	   CHECK(gives_what_is_due_earliest_first),
	   CHECK(lists_files_that_are_there),
	   CHECK(keeps_small_bytes),
	   CHECK(keeps_events_keys_and_what_was_learned),
	   CHECK(tells_those_who_wait_after_the_commit),
	   CHECK(forgets_what_was_not_committed))

/* clang-format on */
