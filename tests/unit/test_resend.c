/* Answers that cannot be had: which requests go again, which wait for a person, which end; and what is told of those that failed. */
#include "daemon/work/collect.h"

#include "daemon/work/digest.h"
#include "tests/unit/job_scene.h"

#define OK "\"response\":{\"status_code\":200,\"body\":{}}}\n"

static struct scene scene;

/* clang-format off */
static const struct {
	const char *name;
	int64_t rows, answered; /* the first ones, ok */
	enum collect_end end;
	int64_t completed; /* as the provider counts */
	int64_t attempt;
	enum shard_word word;
	int64_t resend_lost;
	bool is_job_cancelled;
	bool is_held;
	int64_t resent, missing, lost, again[2], cancelled;
} cases[] = {
	{ "all are there",          10, 10, COLLECT_COMPLETED, 10, 1, SHARD_WORD_NONE,   100, false, false, 0, 0, 0, { 0, 0 }, 0 },
	{ "one of a few",           10,  9, COLLECT_COMPLETED, 10, 1, SHARD_WORD_NONE,   100, false, false, 1, 0, 0, { 0, 1 }, 0 },
	{ "the only one",            1,  0, COLLECT_COMPLETED,  1, 1, SHARD_WORD_NONE,   100, false, false, 1, 0, 0, { 0, 1 }, 0 },
	{ "two of a few",           10,  8, COLLECT_COMPLETED, 10, 1, SHARD_WORD_NONE,   100, false, true,  0, 0, 0, { 0, 0 }, 0 },
	{ "at the bound",          300, 297, COLLECT_COMPLETED, 0, 1, SHARD_WORD_NONE,   100, false, false, 3, 0, 0, { 0, 3 }, 0 },
	{ "above the bound",       300, 296, COLLECT_COMPLETED, 0, 1, SHARD_WORD_NONE,   100, false, true,  0, 0, 0, { 0, 0 }, 0 },
	{ "lost, at the bound",    300, 297, COLLECT_LOST,      0, 1, SHARD_WORD_NONE,   100, false, false, 3, 0, 0, { 0, 3 }, 0 },
	{ "lost, above the bound", 300, 296, COLLECT_LOST,      0, 1, SHARD_WORD_NONE,   100, false, true,  0, 0, 0, { 0, 0 }, 0 },
	{ "all may go",             10,  0, COLLECT_LOST,       0, 1, SHARD_WORD_NONE, 10000, false, false, 10, 0, 0, { 0, 10 }, 0 },
	{ "none may go",            10,  9, COLLECT_COMPLETED,  0, 1, SHARD_WORD_NONE,     0, false, true,  0, 0, 0, { 0, 0 }, 0 },
	{ "the last attempt",       10,  9, COLLECT_COMPLETED,  0, 3, SHARD_WORD_NONE,   100, false, false, 0, 1, 0, { 0, 0 }, 0 },
	{ "the last, and many",     10,  2, COLLECT_COMPLETED,  0, 3, SHARD_WORD_NONE,   100, false, false, 0, 8, 0, { 0, 0 }, 0 },
	{ "the last, and lost",     10,  2, COLLECT_LOST,       0, 4, SHARD_WORD_NONE,   100, false, false, 0, 0, 8, { 0, 0 }, 0 },
	{ "resent by word",         10,  2, COLLECT_COMPLETED,  0, 1, SHARD_WORD_RESEND, 100, false, false, 8, 0, 0, { 0, 8 }, 0 },
	{ "the last, by word",      10,  2, COLLECT_LOST,       0, 3, SHARD_WORD_RESEND,   0, false, false, 8, 0, 0, { 0, 8 }, 0 },
	{ "accepted",               10,  2, COLLECT_COMPLETED,  0, 1, SHARD_WORD_ACCEPT, 100, false, false, 0, 8, 0, { 0, 0 }, 0 },
	{ "accepted, lost",         10,  2, COLLECT_LOST,       0, 1, SHARD_WORD_ACCEPT, 100, false, false, 0, 0, 8, { 0, 0 }, 0 },
	{ "cancelled, missing",     10,  2, COLLECT_COMPLETED,  0, 1, SHARD_WORD_NONE,   100, true,  false, 0, 8, 0, { 0, 0 }, 0 },
	{ "cancelled, lost",        10,  2, COLLECT_LOST,       0, 1, SHARD_WORD_RESEND, 100, true,  false, 0, 0, 8, { 0, 0 }, 0 },
	{ "expired",                10,  5, COLLECT_EXPIRED,    5, 3, SHARD_WORD_NONE,   100, false, false, 0, 0, 0, { 5, 0 }, 0 },
	{ "expired, uncounted",     10,  5, COLLECT_EXPIRED,    0, 3, SHARD_WORD_NONE,   100, false, false, 0, 0, 0, { 5, 0 }, 0 },
	{ "expired, one withheld",  10,  5, COLLECT_EXPIRED,    6, 3, SHARD_WORD_NONE,   100, false, false, 1, 0, 0, { 5, 0 }, 0 },
	{ "expired, more withheld", 10,  5, COLLECT_EXPIRED,    7, 3, SHARD_WORD_NONE,   100, false, true,  0, 0, 0, { 0, 0 }, 0 },
	{ "the same, resent",       10,  5, COLLECT_EXPIRED,    7, 3, SHARD_WORD_RESEND, 100, false, false, 2, 0, 0, { 5, 0 }, 0 },
	{ "the same, accepted",     10,  5, COLLECT_EXPIRED,    7, 1, SHARD_WORD_ACCEPT, 100, false, false, 0, 5, 0, { 0, 0 }, 0 },
	{ "the same, cancelled",    10,  5, COLLECT_CANCELLED,  7, 1, SHARD_WORD_NONE,   100, true,  false, 0, 0, 0, { 0, 0 }, 5 },
	{ "it counts too many",     10,  5, COLLECT_EXPIRED,   10, 1, SHARD_WORD_NONE,   100, false, true,  0, 0, 0, { 0, 0 }, 0 },
	{ "all ran, one withheld",  10,  9, COLLECT_EXPIRED,   10, 1, SHARD_WORD_NONE,   100, false, false, 1, 0, 0, { 0, 1 }, 0 },
	{ "all ran, cancelled",     10,  9, COLLECT_CANCELLED, 10, 1, SHARD_WORD_NONE,   100, true,  false, 0, 1, 0, { 0, 0 }, 0 },
	{ "cancelled by others",    10,  5, COLLECT_CANCELLED,  5, 1, SHARD_WORD_NONE,   100, false, false, 0, 0, 0, { 5, 0 }, 0 },
	{ "refused",                10,  0, COLLECT_REFUSED,   10, 1, SHARD_WORD_NONE,   100, false, false, 0, 0, 0, { 0, 0 }, 0 },
	{ "a failed validation",    10,  0, COLLECT_INVALID,   10, 1, SHARD_WORD_NONE,   100, false, false, 0, 0, 0, { 10, 0 }, 0 },
};
/* clang-format on */

static char *made_ids(int64_t rows, int64_t answered)
{
	auto_buffer input = {0}, out = {0};

	for (int64_t i = 0; i < rows; i++) {
		buffer_add_format(&input,
				  "{\"custom_id\":\"id-%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
				  "\"body\":{\"model\":\"m\"}}\n",
				  (int)i);
		if (i < answered)
			buffer_add_format(&out, "{\"custom_id\":\"id-%d\"," OK, (int)i);
	}
	scene_input(&scene, buffer_text(&input));
	scene_members(&scene, 1, 0, rows, 1);
	return xstrdup(buffer_text(&out));
}

static struct collect *run(const struct shard *shard, const struct collect_plan *plan)
{
	struct collect *collect = NULL;
	struct error err = {0};

	CU_ASSERT_EQUAL_FATAL(collect_new(scene.vault, &scene.job, shard, plan, &collect, &err), 0);
	while (collect_slice(collect, &err) > 0)
		;
	CU_ASSERT_EQUAL_FATAL(err.code, 0);
	return collect;
}

static bool is_as_told(const struct collect_result *result, size_t i)
{
	return result->rows == cases[i].rows && result->is_held == cases[i].is_held &&
	       result->resent == cases[i].resent && result->missing == cases[i].missing &&
	       result->lost == cases[i].lost && result->again[0].requests == cases[i].again[0] &&
	       result->again[1].requests == cases[i].again[1] && result->cancelled == cases[i].cancelled;
}

static void sends_again_what_is_lost_within_the_bound_or_by_word(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct shard shard = {.number = 1,
					    .attempt = cases[i].attempt,
					    .word = cases[i].word,
					    .remote_completed = cases[i].completed};
		const struct collect_plan plan = {.id_key = SCENE_KEY,
						  .end = cases[i].end,
						  .is_job_cancelled = cases[i].is_job_cancelled,
						  .max_attempts = 3,
						  .resend_lost = cases[i].resend_lost,
						  .limits = {.bytes_per_token = 4}};
		const struct collect_result *result;
		auto_free char *out = NULL;
		struct collect *collect;
		int64_t sum;

		scene_begin(&scene);
		out = made_ids(cases[i].rows, cases[i].answered);
		scene_download(&scene, 1, "out", out);
		collect = run(&shard, &plan);
		result = collect_result(collect);
		sum = result->ok + result->failed + result->cancelled + result->expired + result->missing +
		      result->lost + result->again[0].requests + result->again[1].requests;
		CHECK_ROW(cases[i].name, is_as_told(result, i));
		CHECK_ROW(cases[i].name, sum == (cases[i].is_held ? 0 : cases[i].rows));
		if (!cases[i].is_held)
			CHECK_ROW(cases[i].name, collect_keep(collect, 2, NULL) == 0);
		collect_free(collect);
		scene_end(&scene);
	}
}

/* --- rows that go to the next provider --- */

/* clang-format off */
static const struct {
	const char *name;
	const char *line; /* behind the custom_id */
	enum collect_end end;
	int64_t attempt;
	bool has_next, is_job_cancelled;
	int64_t max_bytes; /* of the next */
	bool is_moved;
} moves[] = {
	{ "attempts are left",   "\"response\":{\"status_code\":500,\"body\":{}}}", COLLECT_COMPLETED, 2, true,  false, 1000, false },
	{ "none is left",        "\"response\":{\"status_code\":500,\"body\":{}}}", COLLECT_COMPLETED, 3, true,  false, 1000, true  },
	{ "no next one",         "\"response\":{\"status_code\":500,\"body\":{}}}", COLLECT_COMPLETED, 3, false, false, 1000, false },
	{ "a cancelled job",     "\"response\":{\"status_code\":500,\"body\":{}}}", COLLECT_COMPLETED, 3, true,  true,  1000, false },
	{ "too large for it",    "\"response\":{\"status_code\":500,\"body\":{}}}", COLLECT_COMPLETED, 3, true,  false, 10,   false },
	{ "a validation",        "\"response\":{\"status_code\":500,\"body\":{}}}", COLLECT_INVALID,   3, true,  false, 1000, false },
	{ "a success",           "\"response\":{\"status_code\":200,\"body\":{}}}", COLLECT_COMPLETED, 3, true,  false, 1000, false },
	{ "expired",             "\"error\":{\"code\":\"batch_expired\"}}",         COLLECT_EXPIRED,   3, true,  false, 1000, false },
	{ "a wrong request",     "\"response\":{\"status_code\":400,\"body\":{\"error\":{\"code\":\"invalid_value\",\"message\":\"The model does not exist\"}}}}", COLLECT_COMPLETED, 1, true, false, 1000, false },
	{ "no such model",       "\"response\":{\"status_code\":404,\"body\":{\"error\":{\"code\":\"model_not_found\",\"message\":\"x\"}}}}", COLLECT_COMPLETED, 1, true, false, 1000, true },
	{ "the same, by words",  "\"response\":{\"status_code\":404,\"body\":{\"error\":{\"code\":404,\"message\":\"The model `m` does not exist.\"}}}}", COLLECT_COMPLETED, 1, true, false, 1000, true },
	{ "the same, alone",     "\"response\":{\"status_code\":404,\"body\":{\"error\":{\"code\":\"model_not_found\",\"message\":\"x\"}}}}", COLLECT_COMPLETED, 1, false, false, 1000, false },
	{ "another 404",         "\"response\":{\"status_code\":404,\"body\":{\"error\":{\"code\":\"not_found\",\"message\":\"no such file\"}}}}", COLLECT_COMPLETED, 1, true, false, 1000, false },
	{ "no such url",         "\"response\":null,\"error\":{\"code\":\"url_not_found\",\"message\":\"x\"}}", COLLECT_INVALID, 1, true, false, 1000, true },
	{ "no answer",           NULL, COLLECT_COMPLETED, 3, true, false, 1000, false },
};
/* clang-format on */

static void hands_on_what_the_next_provider_may_answer(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(moves); i++) {
		const struct shard shard = {.number = 1, .attempt = moves[i].attempt};
		const struct collect_plan plan = {
			.id_key = SCENE_KEY,
			.end = moves[i].end,
			.is_job_cancelled = moves[i].is_job_cancelled,
			.max_attempts = 3,
			.resend_lost = 100,
			.limits = {.bytes_per_token = 4},
			.has_next = moves[i].has_next,
			.next_limits = {.max_requests = 9, .max_bytes = moves[i].max_bytes, .max_inputs = 9, .bytes_per_token = 1}};
		const struct collect_result *result;
		auto_free char *text = NULL;
		auto_free char *done = NULL;
		struct collect *collect;

		scene_begin(&scene);
		done = made_ids(1, 0);
		text = xasprintf("{\"custom_id\":\"id-0\",%s\n", moves[i].line ? moves[i].line : "");
		if (moves[i].line)
			scene_download(&scene, 1, moves[i].end == COLLECT_INVALID ? "err" : "out", text);
		collect = run(&shard, &plan);
		result = collect_result(collect);
		CHECK_ROW(moves[i].name, result->again[2].requests == moves[i].is_moved);
		CHECK_ROW(moves[i].name, result->again[2].tokens == result->again[2].bytes);
		CHECK_ROW(moves[i].name, result->ok + result->failed + result->cancelled + result->expired + result->missing +
							 result->lost + result->again[0].requests +
							 result->again[1].requests + result->again[2].requests ==
						 1);
		CHECK_ROW(moves[i].name, collect_keep(collect, 2, NULL) == 0);
		collect_free(collect);
		scene_end(&scene);
	}
}

/* --- ids made of the lines' numbers --- */

static void scene_lines(int64_t rows)
{
	auto_buffer input = {0};
	struct vault_writer *writer = vault_writer_new(scene.vault, VAULT_FILE_LIMIT);
	struct rows_writer index;

	scene.job.is_wrapped = true;
	scene.job.has_line_ids = true;
	scene.job.endpoint = (char *)(uintptr_t) "/v1/chat/completions";
	rows_writer_init(&index, scene.vault, RECORD_ROWS);
	for (int64_t i = 0; i < rows; i++) {
		/* Every second line was blank. */
		struct record_row row = {.offset = input.size,
					 .length = 13,
					 .wire_length = 60,
					 .id_hash = (uint64_t)(2 * i + 1)};

		buffer_add_text(&input, "{\"model\":\"m\"}\n\n");
		CU_ASSERT_EQUAL(rows_write(&index, &row, NULL), 0);
	}
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&index, SCENE_JOB, ROWS_NAME, NULL), 0);
	rows_writer_release(&index);
	scene.job.input_file =
		store_file_add(scene.store, &(struct store_file){.purpose = (char *)(uintptr_t) "batch"});
	CU_ASSERT_EQUAL_FATAL(vault_write(writer, input.data, input.size, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, scene.job.input_file, NULL), 0);
	scene_members(&scene, 1, 0, rows, 1);
}

static void finds_rows_by_the_number_of_their_line(void)
{
	static const char out[] = "{\"custom_id\":\"line-5\"," OK "{\"custom_id\":\"line-\\u0031\"," OK
				  "{\"custom_id\":\"line-2\"," OK "{\"custom_id\":\"line-03\"," OK
				  "{\"custom_id\":\"line-0\"," OK "{\"custom_id\":\"5\"," OK
				  "{\"custom_id\":\"line-18446744073709551617\"," OK;
	const struct shard shard = {.number = 1, .attempt = 1, .word = SHARD_WORD_ACCEPT};
	const struct collect_plan plan = {.id_key = SCENE_KEY, .max_attempts = 3, .limits = {.bytes_per_token = 4}};
	struct collect *collect;

	scene_begin(&scene);
	scene_lines(3);
	scene_download(&scene, 1, "out", out);
	collect = run(&shard, &plan);
	CU_ASSERT_EQUAL(collect_result(collect)->ok, 2);
	CU_ASSERT_EQUAL(collect_result(collect)->missing, 1);
	CU_ASSERT_EQUAL(collect_result(collect)->unknown, 5);
	collect_free(collect);
	scene_end(&scene);
}

/* --- what is told of failures --- */


static void note_digest(const struct store_digest *digest, void *context)
{
	struct buffer *text = context;

	buffer_add_format(text, "%d %s|%s|", (int)digest->count, digest->code, digest->sample);
	for (size_t i = 0; i < digest->row_count; i++)
		buffer_add_format(text, " %d", (int)digest->rows[i]);
	buffer_add_text(text, "\n");
}

/* Everything that the store has of the job's failures, most frequent first. */
static char *told(struct collect *collect)
{
	auto_buffer text = {0};
	struct job job = {.endpoint = (char *)(uintptr_t) "e",
			  .window = (char *)(uintptr_t) "w",
			  .provider = (char *)(uintptr_t) "p"};

	CU_ASSERT_EQUAL_FATAL(store_job_add(scene.store, &job), SCENE_JOB);
	digest_keep(collect_digest(collect), scene.store, SCENE_JOB);
	CU_ASSERT_EQUAL(store_digest_list(scene.store, SCENE_JOB, 100, note_digest, &text), 0);
	return xstrdup(buffer_text(&text));
}

static void check_told(const char *row, const struct shard *shard, const struct collect_plan *plan, const char *wanted)
{
	struct collect *collect = run(shard, plan);
	auto_free char *text = told(collect);

	CHECK_ROW(row, strcmp(text, wanted) == 0);
	if (strcmp(text, wanted) != 0)
		(void)fprintf(stderr, "%s", text);
	collect_free(collect);
	scene_end(&scene);
}

#define HTTP(id, status, body)                                                                     \
	"{\"custom_id\":\"id-" id "\",\"response\":{\"status_code\":" status ",\"body\":" body "},\"error\":null}\n"

static void tells_final_failures_by_what_they_say(void)
{
	static const char err[] =
		HTTP("0", "400", "{\"error\":{\"code\":\"too_long\",\"message\":\"You asked for 10 of 8\"}}")
		HTTP("3", "400", "{\"error\":{\"code\":\"too_long\",\"message\":\"You asked for 99 of 8\"}}")
		HTTP("1", "404", "{\"error\":{\"code\":null,\"message\":\"no \\\"m\\\\u0065\\\"\"}}")
		HTTP("2", "422", "{}")
		HTTP("5", "429", "{\"error\":{\"code\":\"slow\",\"message\":\"it goes again\"}}")
		"{\"custom_id\":\"id-6\",\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":\"late\"}}\n";
	const struct shard shard = {.number = 1, .attempt = 1, .word = SHARD_WORD_ACCEPT};
	const struct collect_plan plan = {.id_key = SCENE_KEY, .max_attempts = 3, .limits = {.bytes_per_token = 4}};

	scene_begin(&scene);
	free(made_ids(7, 0));
	scene_download(&scene, 1, "err", err);
	check_told("answered", &shard, &plan,
		   "2 too_long|You asked for 10 of 8| 0 3\n"
		   "1 http_404|no \"m\\u0065\"| 1\n"
		   "1 http_422|| 2\n"
		   "1 missing|The batch ended without an answer to this request.| 4\n");
}

static void tells_of_rows_without_an_answer_why(void)
{
	struct shard shard = {.number = 1, .attempt = 3, .ended_at = 5, .word = SHARD_WORD_ACCEPT};
	struct collect_plan plan = {.id_key = SCENE_KEY, .max_attempts = 3, .limits = {.bytes_per_token = 4}};

	scene_begin(&scene);
	free(made_ids(2, 0));
	plan.end = COLLECT_LOST;
	check_told("lost", &shard, &plan,
		   "2 lost|The answer to this request was made, or may have been, and cannot be had.| 0 1\n");
	shard.refusal = (char *)(uintptr_t) "too \"odd\"";
	shard.refusal_code = (char *)(uintptr_t) "odd";
	scene_begin(&scene);
	free(made_ids(2, 0));
	plan.end = COLLECT_REFUSED;
	check_told("refused", &shard, &plan,
		   "2 odd|The provider refused the batch of this request. It says: too \"odd\"| 0 1\n");
	shard.redone = COLLECT_MOST_ROUNDS;
	scene_begin(&scene);
	free(made_ids(1, 0));
	plan.end = COLLECT_INVALID;
	check_told("given up", &shard, &plan,
		   "1 validation_failed|" COLLECT_GIVEN_UP_WORDS "| 0\n");
}

static void counts_long_lines_by_their_status(void)
{
	const struct shard shard = {.number = 1, .attempt = 1};
	const struct collect_plan plan = {.id_key = SCENE_KEY, .max_attempts = 3, .limits = {.bytes_per_token = 4}};
	auto_free char *err = NULL;

	scene_begin(&scene);
	free(made_ids(1, 0));
	err = xasprintf(HTTP("0", "400", "{\"error\":{\"code\":\"c\",\"message\":\"m\"},\"x\":\"%070000d\"}"), 1);
	scene_download(&scene, 1, "err", err);
	check_told("long", &shard, &plan, "1 http_400|| 0\n");
}

/* clang-format off */
CHECK_MAIN("resend",
	   CHECK(sends_again_what_is_lost_within_the_bound_or_by_word), CHECK(hands_on_what_the_next_provider_may_answer),
	   CHECK(finds_rows_by_the_number_of_their_line),
	   CHECK(tells_final_failures_by_what_they_say),
	   CHECK(tells_of_rows_without_an_answer_why),
	   CHECK(counts_long_lines_by_their_status))
/* clang-format on */
