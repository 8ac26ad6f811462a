/* What the store keeps of files that nobody needs, and when it says that nobody does. */
#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "tests/unit/store_scene.h"

static void add_shard(int64_t number, enum shard_state state, const char *file)
{
	char marker[16];
	struct shard shard = { .job = 1,
			       .number = number,
			       .state = state,
			       .model = TEXT("m"),
			       .url = TEXT("u"),
			       .marker = marker,
			       .provider_file = TEXT(file) };

	(void)snprintf(marker, sizeof(marker), "m%d", (int)number);
	CU_ASSERT_EQUAL_FATAL(store_shard_add(store, &shard), number);
}

static void begin_with_job(void)
{
	struct job job = plain_job(1, JOB_RUNNING, 0);

	begin();
	CU_ASSERT_EQUAL_FATAL(store_job_add(store, &job), 1);
}

static int64_t add_stray(const char *provider, int64_t shard, const char *file_id, int64_t due_at)
{
	const struct store_stray stray = { .provider = TEXT(provider),
					   .shard = shard,
					   .name = TEXT("n"),
					   .file_id = TEXT(file_id),
					   .bytes = 5,
					   .sent_at = 6,
					   .due_at = due_at,
					   .tries = 7 };

	return store_stray_add(store, &stray);
}

static void note_stray(const struct store_stray *stray, void *context)
{
	buffer_add_format(context, "%d%s ", (int)stray->id, stray->is_early ? "!" : "");
}

static bool is_due(const char *provider, bool is_named, int64_t now, size_t limit, const char *wanted)
{
	auto_buffer text = { 0 };

	return !store_stray_due(store, provider, is_named, now, limit, note_stray, &text) &&
	       strcmp(buffer_text(&text), wanted) == 0;
}

static void compare_whole(const struct store_stray *stray, void *context)
{
	CU_ASSERT_STRING_EQUAL(stray->provider, "p");
	CU_ASSERT_STRING_EQUAL(stray->name, "n");
	CU_ASSERT_STRING_EQUAL(stray->file_id, "f");
	CU_ASSERT(stray->id == 1 && stray->shard == 9 && stray->bytes == 5 && stray->sent_at == 6);
	CU_ASSERT(stray->due_at == *(int64_t *)context && !stray->is_early);
}

static void keeps_all_of_a_stray(void)
{
	struct store_stray changed = { .id = 1, .due_at = 200, .tries = 8, .name = TEXT("not saved") };
	int64_t at = 100;

	begin();
	CU_ASSERT_EQUAL(add_stray("p", 9, "f", 100), 1);
	commit();
	reopen();
	CU_ASSERT_EQUAL(store_stray_due(store, "p", false, 100, 9, compare_whole, &at), 0);
	store_stray_save(store, &changed);
	commit();
	reopen();
	at = 200;
	CU_ASSERT_TRUE(is_due("p", false, 199, 9, ""));
	CU_ASSERT_EQUAL(store_stray_due(store, "p", false, 200, 9, compare_whole, &at), 0);
	store_stray_remove(store, 1);
	CU_ASSERT_TRUE(is_due("p", false, 1000, 9, ""));
	/* Numbers never return. */
	CU_ASSERT_EQUAL(add_stray("p", 9, "f", 100), 2);
	end();
}

static void gives_what_is_due_of_one_provider_and_one_kind(void)
{
	int64_t next = 7;

	begin_with_job();
	add_shard(1, SHARD_COLLECTED, NULL);
	add_shard(2, SHARD_CUT, NULL);
	(void)add_stray("p", 1, "f", 30);
	(void)add_stray("p", 1, "g", 10);
	(void)add_stray("q", 1, "h", 20);
	(void)add_stray("p", 1, NULL, 15);
	(void)add_stray("p", 2, NULL, 25);
	CU_ASSERT_TRUE(is_due("p", false, 30, 9, "2 1 "));
	CU_ASSERT_TRUE(is_due("p", false, 30, 1, "2 "));
	CU_ASSERT_TRUE(is_due("p", false, 29, 9, "2 "));
	CU_ASSERT_TRUE(is_due("p", true, 30, 9, "4 5! "));
	CU_ASSERT_TRUE(is_due("q", false, 30, 9, "3 "));
	CU_ASSERT_TRUE(is_due("r", false, 30, 9, ""));
	CU_ASSERT(store_stray_next_due(store, 15, &next) == 0 && next == 20);
	CU_ASSERT(store_stray_next_due(store, 30, &next) == 0 && next == 0);
	end();
}

static void knows_whether_a_shard_lives(void)
{
	/* A shard that is gone with its job has ended too. */
	static const char *const wanted[] = { "1! ", "1! ", "1! ", "1! ", "1! ", "1 ", "1! ", "1 ", "1 ", "1 " };

	for (int state = 0; state <= SHARD_STATE_COUNT; state++) {
		begin_with_job();
		if (state < SHARD_STATE_COUNT)
			add_shard(1, (enum shard_state)state, NULL);
		(void)add_stray("p", 1, NULL, 1);
		CHECK_ROW(wanted[state], is_due("p", true, 1, 9, wanted[state]));
		end();
	}
}

static void an_upload_is_noted_once_a_shard(void)
{
	begin();
	CU_ASSERT_EQUAL(store_stray_is_named(store, 1), 0);
	(void)add_stray("p", 1, "f", 1);
	CU_ASSERT_EQUAL(store_stray_is_named(store, 1), 0);
	(void)add_stray("p", 1, NULL, 1);
	(void)add_stray("p", 2, NULL, 1);
	CU_ASSERT_EQUAL(store_stray_is_named(store, 1), 1);
	store_stray_forget(store, 1);
	CU_ASSERT_EQUAL(store_stray_is_named(store, 1), 0);
	CU_ASSERT_EQUAL(store_stray_is_named(store, 2), 1);
	CU_ASSERT_TRUE(is_due("p", false, 1, 9, "1 "));
	end();
}

static void a_file_is_used_by_any_shard_that_was_not_dropped(void)
{
	for (int state = 0; state < SHARD_STATE_COUNT; state++) {
		begin_with_job();
		add_shard(1, (enum shard_state)state, "f");
		CHECK_ROW(shard_state_name((enum shard_state)state),
			  store_stray_is_used(store, "f") == (state != SHARD_DROPPED));
		CHECK_ROW(shard_state_name((enum shard_state)state), store_stray_is_used(store, "F") == 0);
		end();
	}
	begin_with_job();
	add_shard(1, SHARD_DROPPED, "f");
	add_shard(2, SHARD_DROPPED, "f");
	add_shard(3, SHARD_CUT, NULL);
	CU_ASSERT_EQUAL(store_stray_is_used(store, "f"), 0);
	add_shard(4, SHARD_UPLOADED, "f");
	CU_ASSERT_EQUAL(store_stray_is_used(store, "f"), 1);
	end();
}

static void a_clock_that_was_set_brings_strays_back(void)
{
	int64_t next = 0;

	begin();
	(void)add_stray("p", 1, "f", 500);
	(void)add_stray("p", 1, "g", 5000);
	store_clock_stepped(store, 100, 1000);
	CU_ASSERT(store_stray_next_due(store, 99, &next) == 0 && next == 100);
	CU_ASSERT(store_stray_next_due(store, 100, &next) == 0 && next == 500);
	CU_ASSERT(store_stray_next_due(store, 500, &next) == 0 && next == 0);
	end();
}

CHECK_MAIN("store_strays", CHECK(keeps_all_of_a_stray), CHECK(gives_what_is_due_of_one_provider_and_one_kind),
	   CHECK(knows_whether_a_shard_lives), CHECK(an_upload_is_noted_once_a_shard),
	   CHECK(a_file_is_used_by_any_shard_that_was_not_dropped), CHECK(a_clock_that_was_set_brings_strays_back))
