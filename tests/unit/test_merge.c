#include "daemon/work/merge.h"

#include <errno.h>

#include "daemon/model/scan.h"
#include "tests/unit/merge_scene.h"

static const char *const abcd[] = {"a", "b", "c", "d", NULL};
static struct outcomes_shard two_shards[] = {{.number = 1}, {.number = 2}};
static const struct wish all_of_one = {{one_shard, 1}, {MERGE_ALL, MERGE_LINES, OUTCOMES_MISSING}};
static const struct wish all_of_two = {{two_shards, 2}, {MERGE_ALL, MERGE_LINES, OUTCOMES_MISSING}};

static void gives_the_lines_as_they_came_in_the_order_of_the_input(void)
{
	struct wish wish = all_of_one;
	struct job_counts counts;

	begin(abcd);
	scene_members(&scene, 1, 0, 4, 1);
	scene_download(&scene, 1, "out", OK("d") "\r\n" OK("b") "\n\n  " OK("\\u0061"));
	scene_download(&scene, 1, "err", BAD("c") "\n");
	(void)collect(1, COLLECT_COMPLETED, false);
	CU_ASSERT(gives(&wish, "  " OK("\\u0061") "\n" OK("b") "\n" BAD("c") "\n" OK("d") "\n"));
	wish.plan.selection = MERGE_OK;
	CU_ASSERT(gives(&wish, "  " OK("\\u0061") "\n" OK("b") "\n" OK("d") "\n"));
	wish.plan.selection = MERGE_ERRORS;
	CU_ASSERT(gives(&wish, BAD("c") "\n"));
	/* Counts are of all rows, whatever was asked for. */
	counts = counted(&wish);
	CU_ASSERT_EQUAL(counts.total, 4);
	CU_ASSERT_EQUAL(counts.ok, 3);
	CU_ASSERT_EQUAL(counts.failed, 1);
	end();
}

static void makes_a_line_for_every_row_without_one(void)
{
	char words[] = "No \"x\"\\y\n\t\x01 g\xc3\xbc \xff\xed\xa0\x80.";
	char code[] = "too_\"much\"";
	struct outcomes_shard shards[] = {{.number = 1},
					  {.number = 2, .why = words, .was_sent = true}};
	static const char *const ids[] = {"a\\\"\\u00e9", "b", "c", NULL};
	struct wish wish = {{shards, 2}, {MERGE_ALL, MERGE_LINES, OUTCOMES_MISSING}};
	struct job_counts counts;

	begin(ids);
	scene_members(&scene, 1, 0, 1, 1);
	scene_members(&scene, 2, 1, 2, 1);
	(void)collect(1, COLLECT_COMPLETED, false);
	(void)collect(2, COLLECT_REFUSED, false);
	CU_ASSERT(gives(&wish,
			MISSING("a\\\"\\u00e9") REFUSED(
				"b", " It says: No \\\"x\\\"\\\\y\\u000a\\u0009\\u0001 g\xc3\xbc "
				     "\\ufffd\\ufffd\\ufffd\\ufffd.") MISSING("c")));
	counts = counted(&wish);
	CU_ASSERT_EQUAL(counts.failed, 3);
	CU_ASSERT_EQUAL(counts.missing, 2);
	/* What was never sent was refused by us, in a sentence of its own. */
	shards[1].code = code;
	shards[1].was_sent = false;
	(void)strcpy(words, "It has 9 inputs.");
	CU_ASSERT(gives(&wish, MISSING("a\\\"\\u00e9")
				       MADE("b", "too_\\\"much\\\"", "It has 9 inputs.") MISSING("c")));
	shards[1].why = NULL;
	CU_ASSERT(gives(&wish, MISSING("a\\\"\\u00e9")
				       MADE("b", "too_\\\"much\\\"",
					    "The provider refused the batch of this request.")
					       MISSING("c")));
	wish.plan.rest = OUTCOMES_CANCELLED;
	wish.shards.count = 0;
	CU_ASSERT(gives(&wish, CANCELLED("a\\\"\\u00e9") CANCELLED("b") CANCELLED("c")));
	counts = counted(&wish);
	CU_ASSERT_EQUAL(counts.cancelled, 3);
	wish.plan.rest = OUTCOMES_OPEN;
	CU_ASSERT(gives(&wish, ""));
	end();
}

/* Whatever a provider says, what is made of it is one line of strict JSON that means what it said.
 */
static void makes_valid_json_of_any_words(void)
{
	static const char *const ids[] = {"a", NULL};
	uint32_t state = 1;

	begin(ids);
	scene_members(&scene, 1, 0, 1, 1);
	(void)collect(1, COLLECT_REFUSED, false);
	for (size_t round = 0; round < 500; round++) {
		char why[2048];
		struct outcomes_shard shard = {
			.number = 1, .why = why, .code = why, .was_sent = round % 2};
		struct wish wish = {{&shard, 1},
				    {MERGE_ERRORS, round % 3 ? MERGE_LINES : MERGE_COMBINED,
				     OUTCOMES_MISSING}};
		auto_buffer text = {0};
		struct job_counts counts;
		struct scan scan;
		size_t size = round < 256 ? 1 : round * 3;

		for (size_t i = 0; i < size; i++) {
			state = state * 1664525 + 1013904223;
			why[i] = (char)(round < 256 ? round
					: round % 2 ? state >> 24
						    : 0xc0 | state >> 28);
		}
		why[size] = '\0';
		CU_ASSERT_EQUAL(merge(&wish, 4096, &text, &counts), 0);
		CU_ASSERT_FATAL(text.size > 0 && text.data[text.size - 1] == '\n');
		CU_ASSERT_PTR_EQUAL(memchr(text.data, '\n', text.size), text.data + text.size - 1);
		scan_init(&scan, text.data, text.size - 1);
		CU_ASSERT_EQUAL(scan_value(&scan, NULL, NULL), 0);
		CU_ASSERT_EQUAL(scan_end(&scan), 0);
	}
	end();
}

static void lets_a_later_shard_have_the_last_word(void)
{
	struct outcomes_shard with_101[] = {{.number = 1}, {.number = 101}};
	struct wish partial = {{one_shard, 1}, {MERGE_ALL, MERGE_LINES, OUTCOMES_OPEN}};
	struct wish cancelled = {{one_shard, 1}, {MERGE_ALL, MERGE_LINES, OUTCOMES_CANCELLED}};
	struct wish with_later = {{with_101, 2}, {MERGE_ALL, MERGE_LINES, OUTCOMES_MISSING}};

	begin(abcd);
	scene_members(&scene, 1, 0, 4, 1);
	scene_download(&scene, 1, "out", OK("a") "\n" BUSY("b") "\n" BUSY("d") "\n" OK("c") "\n");
	CU_ASSERT_EQUAL(collect(1, COLLECT_COMPLETED, false).again[1].requests, 2);
	CU_ASSERT(gives(&partial, OK("a") "\n" OK("c") "\n"));
	CU_ASSERT(gives(&cancelled, OK("a") "\n" CANCELLED("b") OK("c") "\n" CANCELLED("d")));
	CU_ASSERT(gives(&all_of_one, OK("a") "\n" MISSING("b") OK("c") "\n" MISSING("d")));
	scene_download(&scene, 101, "out", BAD("d") "\n" OK("b") "\n");
	(void)collect(101, COLLECT_COMPLETED, false);
	CU_ASSERT(gives(&with_later, OK("a") "\n" OK("b") "\n" OK("c") "\n" BAD("d") "\n"));
	end();
}

static void tells_the_cancelled_and_the_expired_apart(void)
{
	struct record_outcome expired = {.kind = OUTCOME_EXPIRED, .shard = 2};
	struct rows_writer rows;
	struct job_counts counts;

	begin(abcd);
	scene_members(&scene, 1, 0, 3, 1);
	scene_members(&scene, 2, 3, 4, 1);
	scene_download(&scene, 1, "out", OK("b") "\n");
	(void)collect(1, COLLECT_CANCELLED, true);
	rows_writer_init(&rows, scene.vault, RECORD_OUTCOMES);
	CU_ASSERT_EQUAL(rows_write(&rows, &expired, NULL), 0);
	CU_ASSERT_EQUAL(rows_writer_keep(&rows, SCENE_JOB, "shard-2.done", NULL), 0);
	rows_writer_release(&rows);
	CU_ASSERT(gives(&all_of_two, CANCELLED("a") OK("b") "\n" CANCELLED("c") EXPIRED("d")));
	counts = counted(&all_of_two);
	CU_ASSERT_EQUAL(counts.ok, 1);
	CU_ASSERT_EQUAL(counts.cancelled, 2);
	CU_ASSERT_EQUAL(counts.expired, 1);
	CU_ASSERT_EQUAL(counts.ok + counts.failed + counts.cancelled + counts.expired,
			counts.total);
	end();
}

/*
 * A job of many rows whose shards take turns, answered in another order, with long lines, and
 * failures that a later shard mends: its outcomes are in a scratch file, its downloads more than
 * are kept open.
 */
enum { MANY = 40000, SHARDS = 50 };

static void add_answer(struct buffer *buffer, int64_t row, int status)
{
	buffer_add_format(buffer,
			  "{\"custom_id\":\"row-%" PRId64
			  "\",\"response\":{\"status_code\":%d,\"body\":\"%*s\"}}\n",
			  row, status, row % 1000 == 7 ? 100000 : (int)(row % 90), "");
}

/* 0: OK, 1: failed, 2: tried again and OK, 3: no answer. */
static int fate_of(int64_t row)
{
	return row % 11 == 3 ? 1 : row % 17 == 5 ? 2 : row % 101 == 9 ? 3 : 0;
}

static void answer_many(struct buffer *expected)
{
	static const int statuses[] = {200, 400, 200};
	auto_buffer again = {0};

	for (int64_t shard = 1; shard <= SHARDS; shard++) {
		auto_buffer out = {0};
		auto_free char *name = rows_download_name(shard, "out");

		for (int64_t i = MANY - SHARDS + shard - 1; i >= 0; i -= SHARDS)
			if (fate_of(i) != 3)
				add_answer(&out, i, fate_of(i) == 2 ? 500 : statuses[fate_of(i)]);
		scene_members(&scene, shard, shard - 1, MANY, SHARDS);
		scene_keep(&scene, name, buffer_text(&out), out.size);
	}
	for (int64_t row = 0; row < MANY; row++) {
		if (fate_of(row) == 2)
			add_answer(&again, row, 200);
		if (fate_of(row) != 3)
			add_answer(expected, row, statuses[fate_of(row)]);
		else
			buffer_add_format(expected, MISSING("row-%" PRId64), row);
	}
	scene_keep(&scene, "shard-51.out", again.data, again.size);
}

static void collect_many(void)
{
	struct rows_writer rows;

	for (int64_t shard = 1; shard <= SHARDS; shard++)
		(void)collect(shard, COLLECT_COMPLETED, false);
	rows_writer_init(&rows, scene.vault, RECORD_MEMBERS);
	for (uint32_t row = 0; row < MANY; row++)
		if (fate_of(row) == 2)
			CU_ASSERT_EQUAL(
				rows_write(&rows, &(struct record_member){.row = row}, NULL), 0);
	CU_ASSERT_EQUAL(rows_writer_keep(&rows, SCENE_JOB, "shard-51.rows", NULL), 0);
	rows_writer_release(&rows);
	CU_ASSERT_EQUAL(collect(SHARDS + 1, COLLECT_COMPLETED, false).missing, 0);
}

static void gives_the_same_bytes_whatever_the_buffer(void)
{
	static const size_t sizes[] = {4096, 4097, 65536, 1 << 20};
	struct outcomes_shard shards[SHARDS + 1] = {0};
	struct wish wish = {{shards, SHARDS + 1}, {MERGE_ALL, MERGE_LINES, OUTCOMES_MISSING}};
	auto_buffer input = {0};
	auto_buffer expected = {0};
	struct job_counts counts;

	for (int64_t i = 0; i <= SHARDS; i++)
		shards[i].number = i + 1;
	for (int64_t i = 0; i < MANY; i++)
		buffer_add_format(&input,
				  "{\"custom_id\":\"row-%" PRId64
				  "\",\"method\":\"POST\",\"url\":\"/v1/responses\","
				  "\"body\":{\"model\":\"m\"}}\n",
				  i);
	scene_begin(&scene);
	scene_input(&scene, buffer_text(&input));
	answer_many(&expected);
	collect_many();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_buffer text = {0};

		CU_ASSERT_EQUAL(merge(&wish, sizes[i], &text, &counts), 0);
		CU_ASSERT_EQUAL_FATAL(text.size, expected.size);
		CU_ASSERT_EQUAL(memcmp(text.data, expected.data, expected.size), 0);
	}
	CU_ASSERT_EQUAL(counts.total, MANY);
	CU_ASSERT_EQUAL(counts.ok + counts.failed, MANY);
	CU_ASSERT(counts.missing > 0 && counts.missing < counts.failed);
	end();
}

/* Every bit of every record: noticed, or of no consequence; never another line. */
static void never_gives_a_wrong_line_from_damaged_records(void)
{
	static const char *const names[] = {"rows", "shard-1.rows", "shard-1.done"};
	static const char expected[] = OK("a") "\n" BAD("b") "\n" OK("c") "\n" MISSING("d");

	begin(abcd);
	scene_members(&scene, 1, 0, 4, 1);
	scene_download(&scene, 1, "out", OK("c") "\n" OK("a") "\n");
	scene_download(&scene, 1, "err", BAD("b") "\n");
	(void)collect(1, COLLECT_COMPLETED, false);
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t size = 0, noticed = 0;

		free(scene_record(&scene, names[i], &size));
		for (size_t at = 0; at < size; at++) {
			auto_buffer text = {0};
			struct job_counts counts;
			int r;

			scene_damage(&scene, names[i], at);
			r = merge(&all_of_one, 4096, &text, &counts);
			noticed += r == -EUCLEAN;
			CHECK_ROW(names[i], r == -EUCLEAN || (r == 0 && strcmp(buffer_text(&text),
									       expected) == 0));
			scene_damage(&scene, names[i], at);
		}
		/* The check of a row that is not read is the only thing not looked at. */
		CHECK_ROW(names[i],
			  noticed >= (i == 0 ? RECORD_HEADER_SIZE : size - 4 * sizeof(uint32_t)));
	}
	CU_ASSERT(gives(&all_of_one, expected));
	end();
}

static void refuses_records_that_belong_elsewhere(void)
{
	auto_buffer text = {0};
	struct job_counts counts;
	auto_free char *bytes = NULL;
	size_t size = 0;

	begin(abcd);
	scene_members(&scene, 1, 0, 2, 1);
	scene_members(&scene, 2, 2, 4, 1);
	scene_download(&scene, 1, "out", OK("a") "\n" OK("b") "\n");
	scene_download(&scene, 2, "out", OK("c") "\n" OK("d") "\n");
	(void)collect(1, COLLECT_COMPLETED, false);
	CU_ASSERT_EQUAL(merge(&all_of_two, 4096, &text, &counts), -ENOENT);
	/* The outcomes of one shard in the place of another's. */
	bytes = scene_record(&scene, "shard-1.done", &size);
	scene_keep(&scene, "shard-2.done", bytes, size);
	CU_ASSERT_EQUAL(merge(&all_of_two, 4096, &text, &counts), -EUCLEAN);
	(void)collect(2, COLLECT_COMPLETED, false);
	CU_ASSERT_EQUAL(merge(&all_of_two, 4096, &text, &counts), 0);
	/* One record too few. */
	scene_keep(&scene, "shard-1.done", bytes, size - record_size(RECORD_OUTCOMES));
	CU_ASSERT_EQUAL(merge(&all_of_two, 4096, &text, &counts), -EUCLEAN);
	scene_keep(&scene, "shard-1.done", bytes, size);
	/* Downloads: cut off, another, gone. */
	scene_download(&scene, 2, "out", OK("c") "\n");
	CU_ASSERT_EQUAL(merge(&all_of_two, 4096, &text, &counts), -EUCLEAN);
	scene_download(&scene, 2, "out", OK("long c") "\n" OK("long d") "\n");
	CU_ASSERT_EQUAL(merge(&all_of_two, 4096, &text, &counts), -EUCLEAN);
	store_record_remove(scene.store, SCENE_JOB, "shard-2.out");
	CU_ASSERT_EQUAL(merge(&all_of_two, 4096, &text, &counts), -EUCLEAN);
	end();
}

static void refuses_an_input_that_changed(void)
{
	static const char written[] = "{\"custom_id\":\"a\n\"}\n";
	auto_buffer text = {0};
	struct job_counts counts;
	struct vault_writer *writer;

	begin(abcd);
	writer = vault_writer_new(scene.vault, VAULT_FILE_LIMIT);
	scene.job.input_file = store_file_add(
		scene.store, &(struct store_file){.purpose = (char *)(uintptr_t) "batch"});
	CU_ASSERT_EQUAL(vault_write(writer, written, strlen(written), NULL), 0);
	CU_ASSERT_EQUAL(vault_keep_file(writer, scene.job.input_file, NULL), 0);
	CU_ASSERT_EQUAL(
		merge(&(struct wish){.plan = {MERGE_ALL, MERGE_LINES, OUTCOMES_CANCELLED}}, 4096,
		      &text, &counts),
		-EUCLEAN);
	end();
}

/* clang-format off */
CHECK_MAIN("merge",
	   CHECK(gives_the_lines_as_they_came_in_the_order_of_the_input),
	   CHECK(makes_a_line_for_every_row_without_one),
	   CHECK(makes_valid_json_of_any_words),
	   CHECK(lets_a_later_shard_have_the_last_word),
	   CHECK(tells_the_cancelled_and_the_expired_apart),
	   CHECK(gives_the_same_bytes_whatever_the_buffer),
	   CHECK(never_gives_a_wrong_line_from_damaged_records),
	   CHECK(refuses_records_that_belong_elsewhere),
	   CHECK(refuses_an_input_that_changed))
/* clang-format on */
