#include "daemon/work/combined.h"

#include <errno.h>

#include "tests/unit/merge_scene.h"

/* clang-format off */
#define ROW(id, status, http, answer, error, attempts, shard)                                      \
	"{\"custom_id\":\"" id "\",\"status\":\"" status "\",\"http_status\":" http              \
	",\"answer\":" answer ",\"error\":" error ",\"attempts\":" attempts ",\"shard\":" shard "}\n"
#define SUCCESS(id, http, answer) ROW(id, "ok", http, answer, "null", "1", "1")
#define WHY(code, message) "{\"code\":" code ",\"message\":" message "}"

static const char every_end[] =
	SUCCESS("a", "201", "{\"x\": [1, \"\\u00e9\"]}")
	SUCCESS("b", "200", "null")
	ROW("c", "failed", "400", "null", WHY("\"bad\"", "\"say \\\"x\\\" \\ud83d\""), "1", "1")
	ROW("d", "failed", "null", "null", WHY("\"403\"", "null"), "1", "1")
	ROW("e", "expired", "null", "null", WHY("\"batch_expired\"",
	    "\"This request could not be executed before the completion window expired.\""), "2", "2")
	ROW("f", "lost", "null", "null", WHY("\"lost\"",
	    "\"The answer to this request was made, or may have been, and cannot be had.\""), "1", "2")
	ROW("g", "refused", "null", "null", WHY("\"refused\"",
	    "\"The provider refused the batch of this request. It says: no\""), "0", "2")
	ROW("h", "missing", "null", "null", WHY("\"missing\"",
	    "\"The batch ended without an answer to this request.\""), "3", "2")
	ROW("i", "missing", "null", "null", WHY("\"missing\"",
	    "\"The batch ended without an answer to this request.\""), "0", "null");
/* clang-format on */

/* Nine rows: four in shard 1, with answers, four in shard 2, without, and one that went to none. */
static void begin_every_end(void)
{
	static const char *const ids[] = {"a", "b", "c", "d", "e", "f", "g", "h", "i", NULL};
	static const struct record_outcome others[] = {
		{.kind = OUTCOME_EXPIRED, .shard = 2, .attempts = 2},
		{.kind = OUTCOME_LOST, .shard = 2, .attempts = 1},
		{.kind = OUTCOME_REFUSED, .shard = 2},
		{.kind = OUTCOME_AGAIN, .shard = 2, .attempts = 3},
	};

	begin(ids);
	scene_members(&scene, 1, 0, 4, 1);
	scene_download(&scene, 1, "out",
		       "{\"custom_id\":\"b\",\"response\":{\"status_code\":200}}\n"
		       "{\"response\":{\"body\": {\"x\": [1, \"\\u00e9\"]} ,\"status_code\":201},"
		       "\"custom_id\":\"\\u0061\"}\n");
	scene_download(&scene, 1, "err",
		       "{\"custom_id\":\"c\",\"response\":{\"status_code\":400,\"body\":{\"error\":"
		       "{\"code\":\"bad\",\"message\":\"say \\\"x\\\" \\ud83d\"}}}}\n"
		       "{\"custom_id\":\"d\",\"error\":{\"code\":403}}\n");
	(void)collect(1, COLLECT_COMPLETED, false);
	keep_outcomes(2, 4, others, ARRAY_SIZE(others));
}

static void tells_every_end_in_one_form(void)
{
	char words[] = "no";
	struct outcomes_shard shards[] = {{.number = 1},
					  {.number = 2, .why = words, .was_sent = true}};
	struct wish wish = {{shards, 2}, {MERGE_ALL, MERGE_COMBINED, OUTCOMES_MISSING}};
	struct job_counts counts;

	begin_every_end();
	CU_ASSERT(gives(&wish, every_end));
	counts = counted(&wish);
	CU_ASSERT_EQUAL(counts.total, 9);
	CU_ASSERT_EQUAL(counts.ok, 2);
	CU_ASSERT_EQUAL(counts.failed, 6);
	CU_ASSERT_EQUAL(counts.lost, 1);
	CU_ASSERT_EQUAL(counts.missing, 2);
	CU_ASSERT_EQUAL(counts.expired, 1);
	CU_ASSERT_EQUAL(counts.invalid, 0);
	CU_ASSERT_EQUAL(counts.resent + counts.twice, 0);
	end();
}

static void leaves_out_what_did_not_end_and_what_is_not_asked_for(void)
{
	struct outcomes_shard shards[] = {{.number = 1}, {.number = 2}};
	struct wish wish = {{shards, 2}, {MERGE_OK, MERGE_COMBINED, OUTCOMES_OPEN}};
	size_t successes = strlen(SUCCESS("a", "201", "{\"x\": [1, \"\\u00e9\"]}")
					  SUCCESS("b", "200", "null"));
	auto_free char *expected = xmemdup0(every_end, successes);
	auto_buffer text = {0};
	struct job_counts counts;

	begin_every_end();
	CU_ASSERT(gives(&wish, expected));
	wish.plan.selection = MERGE_ERRORS;
	wish.shards.count = 1;
	CU_ASSERT_EQUAL(merge(&wish, 4096, &text, &counts), 0);
	CU_ASSERT_EQUAL(strncmp(buffer_text(&text), every_end + successes, text.size), 0);
	CU_ASSERT_PTR_NULL(strstr(buffer_text(&text), "missing"));
	wish.shards.count = 0;
	CU_ASSERT(gives(&wish, ""));
	end();
}

static void writes_an_id_in_one_spelling_whatever_the_answers_have(void)
{
	static const char *const ids[] = {"\\u0061", "b", "c\\n", "d\\\\", "\\u0065f", NULL};
	static const char expected[] =
		SUCCESS("\\u0061", "200", "{}") SUCCESS("b", "200", "{}") SUCCESS("c\\n", "200", "{}")
			SUCCESS("d\\\\", "200", "{}") SUCCESS("\\u0065f", "200", "{}");
	const struct wish wish = {{one_shard, 1},
				  {MERGE_ALL, MERGE_COMBINED, OUTCOMES_CANCELLED}};

	begin(ids);
	scene_members(&scene, 1, 0, 5, 1);
	scene_download(&scene, 1, "out",
		       OK("a") "\n" OK("\\u0062") "\n" OK("c\\u000a") "\n" OK("d\\\\") "\n" OK(
			       "e\\u0066") "\n");
	(void)collect(1, COLLECT_COMPLETED, false);
	CU_ASSERT(gives(&wish, expected));
	end();
}

/* Ids that are made of the lines' numbers stand in no input. */
static void writes_the_ids_that_were_made(void)
{
	static const char *const ids[] = {"x", "y", NULL};
	static const char expected[] =
		SUCCESS("line-1", "200", "{}")
			ROW("line-2", "missing", "null", "null",
			    WHY("\"missing\"",
				"\"The batch ended without an answer to this request.\""),
			    "1", "1");
	struct wish wish = {{one_shard, 1}, {MERGE_ALL, MERGE_COMBINED, OUTCOMES_MISSING}};
	struct record_outcome outcomes[] = {
		{.kind = OUTCOME_OK, .shard = 1, .source = 'o', .attempts = 1, .status = 200},
		{.kind = OUTCOME_MISSING, .shard = 1, .attempts = 1},
	};
	size_t size = 0;
	auto_free char *bytes = NULL;

	begin(ids);
	scene.job.has_line_ids = true;
	bytes = scene_record(&scene, ROWS_NAME, &size);
	for (uint64_t line = 1; line <= 2; line++) {
		struct record_row *row = (struct record_row *)(void *)(bytes + RECORD_HEADER_SIZE) +
					 line - 1;

		row->id_hash = line;
		record_seal(RECORD_ROWS, row);
	}
	scene_keep(&scene, ROWS_NAME, bytes, size);
	outcomes[0].length = sizeof(OK("line-1")) - 1;
	scene_download(&scene, 1, "out", OK("line-1") "\n");
	keep_outcomes(1, 0, outcomes, ARRAY_SIZE(outcomes));
	CU_ASSERT(gives(&wish, expected));
	wish.plan.form = MERGE_LINES;
	CU_ASSERT(gives(&wish, OK("line-1") "\n" MISSING("line-2")));
	end();
}
/* clang-format off */
#define WRONG_MEMBERS(code, message, param) WHY("\"" code "\"", "\"" message "\",\"param\":" param)
#define WRONG(id, code, message, param, line)                                                      \
	"{\"id\":null,\"custom_id\":" id ",\"response\":null,\"error\":"                            \
	WRONG_MEMBERS(code, message, param) ",\"line\":" line "}"
#define INVALID(id, code, message, param, line)                                                    \
	"{\"custom_id\":" id ",\"status\":\"invalid\",\"http_status\":null,\"answer\":null,"        \
	"\"error\":" WRONG_MEMBERS(code, message, param) ",\"attempts\":0,\"shard\":1,\"line\":" line "}\n"
#define NO_JSON "null", "invalid_json_line", "No.", "null", "1"
#define NO_URL  "\"\\u0063\"", "invalid_url", "", "\"url\"", "3"
#define APPLY(macro, ...) macro(__VA_ARGS__)
static const char first_wrong[] = APPLY(WRONG, NO_JSON);
static const char last_wrong[] = APPLY(WRONG, NO_URL);
/* clang-format on */

/* Three lines of which the first and the last were wrong; the second is in shard 2. */
static void begin_skipped(void)
{
	static const char *const ids[] = {"a", "b", "c", NULL};
	struct record_outcome wrong[] = {
		{.kind = OUTCOME_FAILED, .shard = 1, .source = 'e', .length = sizeof(first_wrong) - 1},
		{.kind = OUTCOME_FAILED, .shard = 1, .source = 'e', .length = sizeof(last_wrong) - 1},
	};
	auto_free char *lines = xasprintf("%s\n%s\n", first_wrong, last_wrong);

	begin(ids);
	wrong[1].offset = sizeof(first_wrong);
	keep_outcomes(1, 0, wrong, ARRAY_SIZE(wrong));
	scene_members(&scene, 1, 0, 3, 2);
	scene_download(&scene, 1, "err", lines);
	scene_members(&scene, 2, 1, 2, 1);
	scene_download(&scene, 2, "err", BAD("b") "\n");
	(void)collect(2, COLLECT_COMPLETED, false);
}

static void gives_skipped_lines_in_their_place_and_counts_them(void)
{
	struct outcomes_shard shards[] = {{.number = 1, .is_invalid = true}, {.number = 2}};
	struct wish wish = {{shards, 2}, {MERGE_ERRORS, MERGE_LINES, OUTCOMES_OPEN}};
	auto_free char *expected = NULL;
	struct job_counts counts;

	begin_skipped();
	expected = xasprintf("%s\n%s%s\n", first_wrong, BAD("b") "\n", last_wrong);
	CU_ASSERT(gives(&wish, expected));
	counts = counted(&wish);
	CU_ASSERT_EQUAL(counts.failed, 3);
	CU_ASSERT_EQUAL(counts.invalid, 2);
	/* Before anything was answered they are there already. */
	wish.shards.count = 1;
	wish.plan.form = MERGE_COMBINED;
	CU_ASSERT(gives(&wish, APPLY(INVALID, NO_JSON) APPLY(INVALID, NO_URL)));
	/* The same outcomes of a shard of requests are failures. */
	shards[0].is_invalid = false;
	wish.plan.form = MERGE_LINES;
	CU_ASSERT_EQUAL(counted(&wish).invalid, 0);
	end();
}

/* A download whose bytes are not those that were collected. */
static void refuses_a_line_that_is_no_answer(void)
{
	static const char *const ids[] = {"a", "b", NULL};
	const struct wish wish = {{one_shard, 1}, {MERGE_ALL, MERGE_COMBINED, OUTCOMES_MISSING}};
	auto_buffer text = {0};
	struct job_counts counts;

	begin(ids);
	scene_members(&scene, 1, 0, 2, 1);
	scene_download(&scene, 1, "out", OK("a") "\n");
	scene_download(&scene, 1, "err", BAD("b") "\n");
	(void)collect(1, COLLECT_COMPLETED, false);
	CU_ASSERT_EQUAL(merge(&wish, 4096, &text, &counts), 0);
	for (size_t at = 0; at + 1 < sizeof(OK("a")); at++) {
		int r;

		scene_damage(&scene, "shard-1.out", at);
		r = merge(&wish, 4096, &text, &counts);
		/* Noticed, or another character of a text. */
		CU_ASSERT(r == -EUCLEAN || r == 0);
		scene_damage(&scene, "shard-1.out", at);
	}
	scene_download(&scene, 1, "err", "{\"x\":\"" BAD("b") "\"}\n");
	CU_ASSERT_EQUAL(merge(&wish, 4096, &text, &counts), -EUCLEAN);
	end();
}

static void add_request(struct buffer *buffer, int row)
{
	buffer_add_format(buffer,
			  "{\"custom_id\":\"r%d\",\"method\":\"POST\",\"url\":\"/v1/responses\","
			  "\"body\":{\"model\":\"m\"}}\n",
			  row);
}

enum { ROWS = 300 };

static void add_long_answer(struct buffer *buffer, int row)
{
	buffer_add_format(buffer,
			  "{\"custom_id\":\"r%d\",\"response\":{\"status_code\":200,\"body\":\"%*s\"}}\n", row,
			  row % 100 == 7 ? 300000 : row % 7 * 1000, "");
}

/* Long answers, which are read twice, among short ones. */
static void gives_the_same_bytes_whatever_the_buffer(void)
{
	static const size_t sizes[] = {4096, 5000, 1 << 20};
	const struct wish wish = {{one_shard, 1}, {MERGE_ALL, MERGE_COMBINED, OUTCOMES_MISSING}};
	auto_buffer input = {0};
	auto_buffer answers = {0};
	auto_buffer expected = {0};
	struct job_counts counts;

	for (int row = 0; row < ROWS; row++) {
		add_request(&input, row);
		add_long_answer(&answers, ROWS - 1 - row);
		buffer_add_format(&expected, ROW("r%d", "ok", "200", "\"%*s\"", "null", "1", "1"), row,
				  row % 100 == 7 ? 300000 : row % 7 * 1000, "");
	}
	scene_begin(&scene);
	scene_input(&scene, buffer_text(&input));
	scene_members(&scene, 1, 0, ROWS, 1);
	scene_download(&scene, 1, "out", buffer_text(&answers));
	(void)collect(1, COLLECT_COMPLETED, false);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_buffer text = {0};

		CU_ASSERT_EQUAL(merge(&wish, sizes[i], &text, &counts), 0);
		CU_ASSERT_EQUAL_FATAL(text.size, expected.size);
		CU_ASSERT_EQUAL(memcmp(text.data, expected.data, expected.size), 0);
	}
	end();
}

/* Long answers of which little is told: the door must be served in between. */
static void reads_a_bounded_number_of_bytes_in_a_call(void)
{
	enum { FEW = 20, LONG = 500000, ROOM = 1 << 20 };
	struct outcomes_shards shards = {one_shard, 1};
	const struct merge_plan plan = {MERGE_ALL, MERGE_COMBINED, OUTCOMES_MISSING};
	auto_buffer input = {0};
	auto_buffer answers = {0};
	auto_free char *bytes = xmalloc(ROOM);
	struct merge *merge = NULL;
	int64_t got = 0;
	int calls = 0;

	for (int row = 0; row < FEW; row++) {
		add_request(&input, row);
		buffer_add_format(&answers,
				  "{\"custom_id\":\"r%d\",\"response\":{\"status_code\":400,\"body\":"
				  "{\"error\":{\"code\":\"c\"},\"x\":\"%*s\"}}}\n",
				  row, LONG, "");
	}
	scene_begin(&scene);
	scene_input(&scene, buffer_text(&input));
	scene_members(&scene, 1, 0, FEW, 1);
	scene_download(&scene, 1, "err", buffer_text(&answers));
	(void)collect(1, COLLECT_COMPLETED, false);
	CU_ASSERT_EQUAL_FATAL(
		merge_new(scene.vault, &scene.job, &shards, &plan, &merge, NULL), 0);
	while ((got = merge_read(merge, bytes, ROOM, NULL)) >= 0)
		calls++;
	CU_ASSERT_EQUAL(got, MERGE_END);
	CU_ASSERT(calls > FEW / 4);
	CU_ASSERT_EQUAL(merge_counts(merge)->failed, FEW);
	merge_free(merge);
	end();
}

/* clang-format off */
CHECK_MAIN("combined",
	   CHECK(tells_every_end_in_one_form),
	   CHECK(leaves_out_what_did_not_end_and_what_is_not_asked_for),
	   CHECK(writes_an_id_in_one_spelling_whatever_the_answers_have),
	   CHECK(writes_the_ids_that_were_made),
	   CHECK(gives_skipped_lines_in_their_place_and_counts_them),
	   CHECK(refuses_a_line_that_is_no_answer),
	   CHECK(gives_the_same_bytes_whatever_the_buffer),
	   CHECK(reads_a_bounded_number_of_bytes_in_a_call))
/* clang-format on */
