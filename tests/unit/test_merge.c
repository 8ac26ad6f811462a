#include "daemon/work/merge.h"

#include <errno.h>
#include <inttypes.h>

#include "daemon/model/scan.h"
#include "daemon/work/collect.h"
#include "tests/unit/job_scene.h"

#define OK(id)   "{\"custom_id\":\"" id "\",\"response\":{\"status_code\":200,\"body\":{}}}"
#define BAD(id)  "{\"custom_id\":\"" id "\",\"response\":{\"status_code\":400,\"body\":{}}}"
#define BUSY(id) "{\"custom_id\":\"" id "\",\"response\":{\"status_code\":429,\"body\":{}}}"
#define MADE(id, code, message)                                                                    \
	"{\"id\":null,\"custom_id\":\"" id "\",\"response\":null,\"error\":{\"code\":\"" code      \
	"\",\"message\":\"" message "\"}}\n"
#define CANCELLED(id)                                                                              \
	MADE(id, "batch_cancelled",                                                                \
	     "This request was not executed because its batch was cancelled.")
#define MISSING(id) MADE(id, "missing", "The batch ended without an answer to this request.")
#define EXPIRED(id)                                                                                \
	MADE(id, "batch_expired",                                                                  \
	     "This request could not be executed before the completion window expired.")
#define REFUSED(id, why) MADE(id, "refused", "The provider refused the batch of this request." why)

static struct scene scene;
static const char *const abcd[] = {"a", "b", "c", "d", NULL};
static const struct merge_shard one_shard[] = {{1, NULL}};
static const struct merge_shard two_shards[] = {{1, NULL}, {2, NULL}};

/* How a job ended, and what is asked for. */
struct wish {
	const struct merge_shard *shards;
	size_t shard_count;
	enum merge_selection selection;
	bool is_cancelled;
	bool is_partial;
};
static const struct wish all_of_one = {one_shard, 1, MERGE_ALL, false, false};
static const struct wish all_of_two = {two_shards, 2, MERGE_ALL, false, false};

static void begin(const char *const *ids)
{
	scene_begin(&scene);
	scene_ids(&scene, ids);
}

static void end(void)
{
	scene_end(&scene);
}

/* Rows to try again get a number far from the others. */
static struct collect_result collect(int64_t number, enum collect_end how, bool is_cancelled)
{
	struct shard shard = {.number = number, .attempt = number};
	struct collect_plan plan = {SCENE_KEY, how, is_cancelled, 9};
	struct collect_result result;
	struct collect *collect;
	int r;

	CU_ASSERT_EQUAL_FATAL(collect_new(scene.vault, &scene.job, &shard, &plan, &collect, NULL),
			      0);
	while ((r = collect_slice(collect, NULL)) > 0)
		;
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_EQUAL_FATAL(collect_keep(collect, number + 100, NULL), 0);
	result = *collect_result(collect);
	collect_free(collect);
	return result;
}

/* Reads to the end with buffers of this size, or to an error, which is returned. */
static int merge(const struct wish *wish, size_t size, struct buffer *text,
		 struct job_counts *ret_counts)
{
	auto_free char *bytes = xmalloc(size);
	struct error err = {0};
	struct merge *merge;
	int64_t got =
		merge_new(scene.vault, &scene.job, wish->shards, wish->shard_count, wish->selection,
			  wish->is_cancelled, wish->is_partial, &merge, &err);

	buffer_clear(text);
	if (got)
		return (int)got;
	while ((got = merge_read(merge, bytes, size, &err)) >= 0)
		buffer_add(text, bytes, (size_t)got);
	CU_ASSERT_EQUAL(merge_read(merge, bytes, size, NULL), got);
	CU_ASSERT((got == MERGE_END) == (err.text[0] == '\0'));
	*ret_counts = *merge_counts(merge);
	merge_free(merge);
	return got == MERGE_END ? 0 : (int)got;
}

static bool gives(const struct wish *wish, const char *expected)
{
	auto_buffer text = {0};
	struct job_counts counts;
	int r = merge(wish, 4096, &text, &counts);

	if (!r && strcmp(buffer_text(&text), expected) == 0)
		return true;
	(void)fprintf(stderr, "# %d: %s", r, buffer_text(&text));
	return false;
}

static struct job_counts counted(const struct wish *wish)
{
	auto_buffer text = {0};
	struct job_counts counts = {0};

	CU_ASSERT_EQUAL_FATAL(merge(wish, 4096, &text, &counts), 0);
	return counts;
}

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
	wish.selection = MERGE_OK;
	CU_ASSERT(gives(&wish, "  " OK("\\u0061") "\n" OK("b") "\n" OK("d") "\n"));
	wish.selection = MERGE_ERRORS;
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
	static const struct merge_shard shards[] = {
		{1, NULL}, {2, "No \"x\"\\y\n\t\x01 g\xc3\xbc \xff\xed\xa0\x80."}};
	static const char *const ids[] = {"a\\\"\\u00e9", "b", "c", NULL};
	struct wish wish = {shards, 2, MERGE_ALL, false, false};
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
	wish.is_cancelled = true;
	wish.shard_count = 0;
	CU_ASSERT(gives(&wish, CANCELLED("a\\\"\\u00e9") CANCELLED("b") CANCELLED("c")));
	counts = counted(&wish);
	CU_ASSERT_EQUAL(counts.cancelled, 3);
	wish.is_cancelled = false;
	wish.is_partial = true;
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
		struct merge_shard shard = {1, why};
		struct wish wish = {&shard, 1, MERGE_ERRORS, false, false};
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
	struct wish partial = {one_shard, 1, MERGE_ALL, false, true};
	struct wish cancelled = {one_shard, 1, MERGE_ALL, true, false};
	struct wish with_later = {(const struct merge_shard[]){{1, NULL}, {101, NULL}}, 2,
				  MERGE_ALL, false, false};

	begin(abcd);
	scene_members(&scene, 1, 0, 4, 1);
	scene_download(&scene, 1, "out", OK("a") "\n" BUSY("b") "\n" BUSY("d") "\n" OK("c") "\n");
	CU_ASSERT_EQUAL(collect(1, COLLECT_COMPLETED, false).again[1], 2);
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
			  "\",\"response\":{\"status_code\":%d},\"x\":\"%*s\"}\n",
			  row, status, row % 1000 == 7 ? 20000 : (int)(row % 90), "");
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
	struct merge_shard shards[SHARDS + 1] = {0};
	struct wish wish = {shards, SHARDS + 1, MERGE_ALL, false, false};
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
		merge(&(struct wish){NULL, 0, MERGE_ALL, true, false}, 4096, &text, &counts),
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
