/* The steps at a provider, and all that a provider may do in them: nothing is lost, nothing is paid twice, and it is told. */
#include <stdlib.h>

#include "daemon/work/provider.h"
#include "tests/unit/world_scene.h"

/* clang-format off */
static const struct story stories[] = {
	/* uploads */
	{ "upload: 500, then well", "{\"call\":\"upload\",\"action\":\"status\",\"status\":500,\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "500" },
	{ "upload: answer lost", "{\"call\":\"upload\",\"action\":\"drop_after\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 2, NULL, NULL },
	{ "upload: garbage", "{\"call\":\"upload\",\"action\":\"garbage\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 2, NULL, NULL },
	{ "upload: other bytes once", "{\"call\":\"upload\",\"action\":\"bytes_differ\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 2, "shard.retry", "bytes of the" },
	{ "upload: other bytes always", "{\"call\":\"upload\",\"action\":\"bytes_differ\"}", NULL,
	  JOB_COMPLETED, 6, 1, 3, "shard.note", "bytes of the" },
	/* too large: cut in half until it is not, or is one row */
	{ "upload: every row is too large", "{\"call\":\"upload\",\"action\":\"too_large\"}", NULL,
	  JOB_COMPLETED, 0, 0, 0, "shard.ended", "413" },
	{ "upload: six are too large", "{\"call\":\"upload\",\"action\":\"too_large\",\"larger_than\":600}", NULL,
	  JOB_COMPLETED, 6, 2, 2, "shard.dropped", "413" },
	{ "upload: two are too large", "{\"call\":\"upload\",\"action\":\"too_large\",\"larger_than\":200}", NULL,
	  JOB_COMPLETED, 6, 6, 6, "shard.dropped", "413" },
	{ "upload: too large by words", "{\"call\":\"upload\",\"action\":\"status\",\"status\":400,"
	  "\"message\":\"File is too large.\",\"larger_than\":600}", NULL, JOB_COMPLETED, 6, 2, 2, "shard.dropped", "too large" },
	{ "upload: refused for something else", "{\"call\":\"upload\",\"action\":\"status\",\"status\":400,\"message\":\"no\"}", NULL,
	  JOB_COMPLETED, 0, 0, 0, "shard.ended", "no" },
	{ "create: 413", "{\"call\":\"create\",\"action\":\"too_large\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 2, 3, "shard.dropped", "413" },
	{ "create: too many", "{\"call\":\"create\",\"action\":\"status\",\"status\":400,\"code\":\"too_many_tasks\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 2, 3, "shard.dropped", "too_many_tasks" },
	{ "failed as too large", "{\"action\":\"fail_validation\",\"code\":\"too_many_tasks\",\"message\":\"m\",\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 7, 7, "shard.dropped", "too_many_tasks" },
	{ "a line is too large", "{\"action\":\"fail_validation\",\"code\":\"too_large\",\"message\":\"m\",\"line\":2,\"count\":1}", NULL,
	  JOB_COMPLETED, 5, 2, 2, "shard.ended", "1 of its 6 lines" },
	{ "upload: stays validating", "{\"call\":\"upload\",\"action\":\"file_validating\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	/* the queue is full */
	{ "token limit: failed", "{\"action\":\"token_limit\",\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 3, 1, "shard.dropped", "token_limit_exceeded" },
	{ "token limit for long, then a wrong line", "[{\"action\":\"token_limit\",\"count\":11},"
	  "{\"action\":\"fail_validation\",\"message\":\"m\",\"line\":2,\"from\":12,\"count\":1}]", NULL,
	  JOB_COMPLETED, 5, -1, -1, NULL, NULL },
	{ "token limit for long, then no file", "[{\"action\":\"token_limit\",\"count\":6},"
	  "{\"action\":\"file_not_found\",\"from\":7,\"count\":1}]", NULL,
	  JOB_COMPLETED, 6, -1, -1, NULL, NULL },
	{ "token limit: 400", "{\"call\":\"create\",\"action\":\"token_limit_400\",\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "token_limit_exceeded" },
	{ "token limit: 400 thrice, then in halves", "{\"call\":\"create\",\"action\":\"token_limit_400\",\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 2, 3, "shard.dropped", "token_limit_exceeded" },
	{ "token limit: 429 of the upload", "{\"call\":\"upload\",\"action\":\"status\",\"status\":429,"
	  "\"code\":\"token_limit_exceeded\",\"count\":2}", NULL, JOB_COMPLETED, 6, 1, 1, "shard.retry", "token_limit_exceeded" },
	/* the file vanished before a batch was made of it */
	{ "create: 404 thrice", "{\"call\":\"create\",\"action\":\"status\",\"status\":404,\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 1, 2, "shard.dropped", "404" },
	{ "create: 404 for ever", "{\"call\":\"create\",\"action\":\"status\",\"status\":404}", NULL,
	  JOB_COMPLETED, 0, 0, 3, "shard.ended", "404" },
	/* batches that fail */
	{ "file not found once", "{\"action\":\"file_not_found\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 2, 1, "shard.dropped", "annot find file" },
	{ "file not found thrice", "{\"action\":\"file_not_found\",\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 4, 2, "shard.dropped", "annot find file" },
	{ "file never found", "{\"action\":\"file_not_found\"}", NULL,
	  JOB_COMPLETED, 0, 6, 2, "shard.ended", "annot find file" },
	{ "failed without reason", "[{\"action\":\"fail_validation\",\"count\":1},{\"action\":\"errors_null\"}]", NULL,
	  JOB_COMPLETED, 6, 2, 1, "shard.dropped", "failed" },
	{ "failed without a list", "[{\"action\":\"fail_validation\",\"count\":1},{\"action\":\"errors_data_null\"}]", NULL,
	  JOB_COMPLETED, 6, 2, 1, "shard.dropped", "failed" },
	{ "always failed without reason", "[{\"action\":\"fail_validation\"},{\"action\":\"errors_null\"}]", NULL,
	  JOB_COMPLETED, 0, 4, 1, "shard.ended", "failed" },
	{ "a line is wrong there", "{\"action\":\"fail_validation\",\"code\":\"model_not_found\",\"message\":\"no such model\"}",
	  NULL, JOB_COMPLETED, 0, 1, 1, "shard.ended", "no such model" },
	{ "two lines are wrong there", "{\"action\":\"fail_validation\",\"message\":\"m\",\"lines\":\"2,5\",\"count\":1}",
	  NULL, JOB_COMPLETED, 4, 2, 2, "shard.ended", "2 of its 6 lines" },
	{ "lines are named twice, and wrongly", "{\"action\":\"fail_validation\",\"message\":\"m\",\"lines\":\"6,0,7,6,-1,99\","
	  "\"count\":1}", NULL, JOB_COMPLETED, 5, 2, 2, "shard.ended", "1 of its 6 lines" },
	{ "each time the next line is wrong", "{\"action\":\"fail_validation\",\"message\":\"m\",\"line\":1}", NULL,
	  JOB_COMPLETED, 0, 6, 6, "shard.ended", "1 of its 1 lines" },
	{ "all lines are wrong", "{\"action\":\"fail_validation\",\"message\":\"m\",\"lines\":\"1,2,3,4,5,6\"}", NULL,
	  JOB_COMPLETED, 0, 1, 1, "shard.ended", "6 of its 6 lines" },
	{ "wrong lines that are not there", "{\"action\":\"fail_validation\",\"message\":\"these\",\"lines\":\"7,99\"}", NULL,
	  JOB_COMPLETED, 0, 1, 1, "shard.ended", "these" },
	{ "wrong lines in an array", "[{\"action\":\"fail_validation\",\"message\":\"m\",\"lines\":\"1,2\",\"count\":1},"
	  "{\"action\":\"errors_array\"}]", NULL, JOB_COMPLETED, 4, 2, 2, "shard.ended", "2 of its 6 lines" },
	{ "the reason is a string", "[{\"action\":\"fail_validation\",\"message\":\"bad\"},{\"action\":\"errors_strings\"}]",
	  NULL, JOB_COMPLETED, 0, 1, 1, "shard.ended", "bad" },
	/* rows */
	{ "rows fail twice", NULL, ",\"note\":\"sim:status=500 sim:times=2\"", JOB_COMPLETED, 6, 3, 3, NULL, NULL },
	{ "rows fail too often", NULL, ",\"note\":\"sim:status=500 sim:times=3\"", JOB_COMPLETED, 0, 3, 3, NULL, NULL },
	{ "rows fail for good", NULL, ",\"note\":\"sim:status=400\"", JOB_COMPLETED, 0, 1, 1, NULL, NULL },
	{ "half of it expires", "{\"action\":\"expire\",\"percent\":50,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 2, 2, NULL, NULL },
	{ "expiry costs no attempt", "{\"action\":\"expire\",\"percent\":20,\"count\":5}", NULL,
	  JOB_COMPLETED, 6, 6, 6, NULL, NULL },
	/* what is shown of a batch */
	{ "files are named late", "{\"call\":\"retrieve\",\"action\":\"files_null\",\"ended_ms\":600000}", NULL,
	  JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "output is named late", "{\"call\":\"retrieve\",\"action\":\"output_null\",\"ended_ms\":600000}", NULL,
	  JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "paid output of an expired batch is named late",
	  "[{\"action\":\"expire\",\"percent\":50,\"count\":1},"
	  "{\"call\":\"retrieve\",\"action\":\"output_null\",\"ended_ms\":600000}]", NULL,
	  JOB_COMPLETED, 6, 2, 2, NULL, NULL },
	{ "empty ids", "{\"action\":\"empty_ids\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "no counts", "{\"action\":\"no_counts\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "counts never grow", "{\"action\":\"zero_counts\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "capitals", "{\"action\":\"status_upper\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "foreign names", "{\"action\":\"foreign_names\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "wrapped", "{\"action\":\"wrap\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "wrapped as a job", "{\"action\":\"wrap_job\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "extra members", "{\"action\":\"extra_members\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "long ids", "{\"action\":\"long_ids\",\"size\":1500}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "retrieve: 404 for a while", "{\"call\":\"retrieve\",\"action\":\"not_found\",\"count\":4}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "404" },
	{ "retrieve: garbage", "{\"call\":\"retrieve\",\"action\":\"garbage\",\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	/* results */
	{ "output: 404 for a while", "{\"call\":\"content\",\"action\":\"not_found\",\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "404" },
	{ "output: gone for a while", "{\"call\":\"content\",\"action\":\"gone\",\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "410" },
	{ "output: too large for some proxy", "{\"call\":\"content\",\"action\":\"too_large\",\"count\":3}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "413" },
	/* All of the shard is lost, which is more than goes again unasked: a person is waited for. */
	{ "output: gone for good", "{\"call\":\"content\",\"action\":\"gone\"}", NULL,
	  JOB_RUNNING, 0, 1, 1, "shard.note", "lost" },
	{ "results of an expired batch: gone for good",
	  "[{\"action\":\"expire\",\"percent\":50,\"count\":1},{\"call\":\"content\",\"action\":\"gone\"}]", NULL,
	  JOB_RUNNING, 0, 1, 1, "shard.note", "lost" },
	{ "output: cut, and resumed", "[{\"call\":\"content\",\"action\":\"ranges\"},"
	  "{\"call\":\"content\",\"action\":\"cut_body\",\"cut_at\":300}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.fetched", "resumed" },
	{ "output: cut, and the rest is not the rest", "[{\"call\":\"content\",\"action\":\"ranges_wrong\"},"
	  "{\"call\":\"content\",\"action\":\"cut_body\",\"cut_at\":300,\"count\":3}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "another part" },
	{ "output: cut, and another file by then", "[{\"call\":\"content\",\"action\":\"ranges_changed\"},"
	  "{\"call\":\"content\",\"action\":\"cut_body\",\"cut_at\":300,\"count\":3}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "another part" },
	{ "output: cut, and the range is ignored", "[{\"call\":\"content\",\"action\":\"ranges_ignored\"},"
	  "{\"call\":\"content\",\"action\":\"cut_body\",\"cut_at\":300,\"count\":1}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.fetched", "resumed" },
	{ "output: cut, and nothing is promised", "[{\"call\":\"content\",\"action\":\"ranges_silent\"},"
	  "{\"call\":\"content\",\"action\":\"cut_body\",\"cut_at\":300,\"count\":2}]", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "does not say" },
	{ "output: packed, and short", "[{\"call\":\"content\",\"action\":\"gzip\"},"
	  "{\"call\":\"content\",\"action\":\"shorten\",\"count\":2}]", NULL, JOB_COMPLETED, 6, 1, 1, "shard.retry", "not whole" },
	{ "output: packed in an unknown way", "{\"call\":\"content\",\"action\":\"encoding\",\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "not known" },
	{ "output: short, unnoticed", "{\"call\":\"content\",\"action\":\"shorten\",\"by\":2,\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 1, 1, "shard.retry", "cannot be read" },
	{ "a file of a batch without counts is named late", "[{\"action\":\"row_http_error\",\"row\":2},{\"action\":\"no_counts\"},"
	  "{\"call\":\"retrieve\",\"action\":\"output_null\",\"ended_ms\":600000}]", NULL, JOB_COMPLETED, 5, 1, 1, "shard.retry", "1 lines" },
	{ "a paid answer of an expired batch is missing", "[{\"action\":\"expire\",\"percent\":50,\"count\":1},"
	  "{\"action\":\"row_missing\",\"count\":1}]", NULL, JOB_COMPLETED, 6, 3, 3, "shard.note", "should be there" },
	{ "a line cannot be read", "{\"action\":\"row_not_json\",\"row\":2,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 2, 2, "shard.note", "of which 1 cannot be read" },
	{ "output: cut", "{\"call\":\"content\",\"action\":\"cut_body\",\"cut_percent\":50,\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "output: stalls", "{\"call\":\"content\",\"action\":\"stall\",\"stall_at\":100,\"stall_ms\":90000,\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "output: gzip", "{\"call\":\"content\",\"action\":\"gzip\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "output: chunked", "{\"call\":\"content\",\"action\":\"no_length\"}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "output: no last newline", "{\"call\":\"content\",\"action\":\"no_last_newline\"}", NULL,
	  JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "output: 202, not ready", "{\"call\":\"content\",\"action\":\"status\",\"status\":202,\"count\":2}", NULL,
	  JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "output: elsewhere, and that address is old",
	  "{\"call\":\"content\",\"action\":\"redirect\",\"location\":\"http://files/v1/nothing\",\"count\":1}", NULL,
	  JOB_COMPLETED, 6, 1, 1, NULL, NULL },
	{ "output: ends in mid-line once, unnoticed", "{\"call\":\"content\",\"action\":\"body\",\"status\":200,"
	  "\"text\":\"{\\\"custom_id\\\":\",\"count\":1}", NULL, JOB_COMPLETED, 6, 1, 1, "shard.retry", "middle of a line" },
	{ "output: lines missing once, unnoticed", "{\"call\":\"content\",\"action\":\"body\",\"status\":200,"
	  "\"text\":\"{}\\n\",\"count\":1}", NULL, JOB_COMPLETED, 6, 1, 1, "shard.retry", "1 lines" },
	{ "a row is missing once", "{\"action\":\"row_missing\",\"row\":2}", NULL, JOB_COMPLETED, 6, 2, 2, "shard.note", "5 lines" },
	{ "a row is missing always", "{\"action\":\"row_missing\",\"custom_id\":\"r-3\"}", NULL, JOB_COMPLETED, 5, 3, 3, "shard.note", "5 lines" },
	{ "a row is missing, and nothing is counted", "[{\"action\":\"row_missing\",\"row\":2},{\"action\":\"no_counts\"}]", NULL,
	  JOB_COMPLETED, 6, 2, 2, "shard.note", "5 lines" },
	{ "a row stands twice", "{\"action\":\"row_twice\",\"row\":2}", NULL, JOB_COMPLETED, 6, 1, 1, NULL, NULL },
};
/* clang-format on */

static void whatever_the_provider_does(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++)
		tell_story(&stories[i]);
}

static void add_code(const struct shard *shard, void *context)
{
	if (shard->refusal)
		buffer_add_format(context, "%lld:%s ", (long long)shard->number, shard->refusal_code ? shard->refusal_code : "-");
}

/* With every refusal stands its code, wherever it was said. */
static void a_refusal_has_its_code(void)
{
	/* clang-format off */
	static const struct { const char *script, *codes; } cases[] = {
		{ "{\"call\":\"upload\",\"action\":\"status\",\"status\":400,\"code\":\"c\"}", "1:c " },
		{ "{\"call\":\"upload\",\"action\":\"status\",\"status\":413,\"code\":\"file_too_large\"}", "2:file_too_large 3:file_too_large " },
		{ "{\"call\":\"create\",\"action\":\"status\",\"status\":400,\"code\":\"d\"}", "1:d " },
		{ "{\"call\":\"create\",\"action\":\"status\",\"status\":404,\"code\":\"e\"}", "3:e " },
		{ "{\"action\":\"fail_validation\",\"code\":\"f\",\"message\":\"m\"}", "1:f " },
		{ "{\"action\":\"fail_validation\",\"code\":\"f\",\"message\":\"m\",\"line\":9}", "1:f " },
		{ "{\"action\":\"fail_validation\",\"code\":\"f\",\"message\":\"m\",\"lines\":\"1,2\"}", "" },
		{ "[{\"action\":\"fail_validation\"},{\"action\":\"errors_null\"}]", "4:- " },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(2, "");
		auto_buffer codes = { 0 };
		int64_t job = world_submit(world, input);

		world_script(world, cases[i].script);
		CHECK_ROW(cases[i].script, world_finish(world, job) == JOB_COMPLETED);
		(void)store_shard_list(world->store, job, 0, 100, add_code, &codes);
		CHECK_ROW(cases[i].script, strcmp(buffer_text(&codes), cases[i].codes) == 0);
		world_free(world);
	}
}

/* One huge request among small ones: it alone fails, and the others are sent in as few batches as the halving allows. */
static void only_the_row_that_is_too_large_is_refused(void)
{
	struct world *world = world_new(&slow, 1);
	auto_buffer input = { 0 };
	auto_free char *errors = NULL;
	auto_job end = { 0 };
	int64_t job;

	for (int i = 1; i <= 16; i++)
		buffer_add_format(&input,
				  "{\"custom_id\":\"r-%d\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":"
				  "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"%0*d\"}]}}\n",
				  i, i == 11 ? 20000 : 10, i);
	world_script(world, "{\"call\":\"upload\",\"action\":\"status\",\"status\":413,\"message\":\"Too big, says the proxy.\","
			    "\"larger_than\":10000}");
	job = world_submit(world, buffer_text(&input));
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	end = world_job(world, job);
	errors = world_file(world, end.error_file);
	CU_ASSERT_EQUAL(end.counts.ok, 15);
	CU_ASSERT_EQUAL(end.counts.failed, 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "\"r-11\""));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "Too big, says the proxy."));
	CU_ASSERT_EQUAL(world_ledger(world).batches, 4);
	CU_ASSERT_EQUAL(world_ledger(world).most_batches, 1);
	check_judged("16", world, job, buffer_text(&input));
	world_free(world);
}

/* A line that is wrong there fails with the words that name it, and the first of them. */
static void a_line_that_is_wrong_there_fails_with_its_own_words(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(3, "");
	auto_free char *errors = NULL;
	auto_job end = { 0 };
	int64_t job;

	world_script(world, "[{\"action\":\"fail_validation\",\"count\":1},{\"action\":\"set\",\"ended_ms\":999999999,\"call\":\"retrieve\",\"count\":1,"
			    "\"members\":{\"errors\":{\"data\":[{\"code\":\"c1\",\"message\":\"say \\\"x\\\" \\u00e9\",\"param\":\"body.x\",\"line\":\"2\"},"
			    "{\"code\":\"c2\",\"message\":\"again\",\"line\":2},{\"message\":null,\"line\":3}]}}}]");
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	end = world_job(world, job);
	errors = world_file(world, end.error_file);
	CU_ASSERT_EQUAL(end.counts.ok, 1);
	CU_ASSERT_EQUAL(end.counts.failed, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "{\"id\":null,\"custom_id\":\"r-2\",\"response\":null,\"error\":{\"code\":\"c1\","
					      "\"message\":\"say \\\"x\\\" \xc3\xa9\",\"param\":\"body.x\"}}\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "\"custom_id\":\"r-3\",\"response\":null,\"error\":{\"code\":null,\"message\":\"The provider"));
	CU_ASSERT_PTR_NULL(strstr(errors, "again"));
	CU_ASSERT_EQUAL(world_ledger(world).most_answers, 1);
	check_judged("3", world, job, input);
	world_free(world);
}

/* More errors than a slice takes. */
static void thousands_of_wrong_lines_fail_alone(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(3000, "");
	auto_buffer script = { 0 };
	auto_job end = { 0 };
	int64_t job;

	buffer_add_text(&script, "{\"action\":\"fail_validation\",\"message\":\"m\",\"count\":1,\"lines\":\"1");
	for (int i = 4; i <= 3000; i += 3)
		buffer_add_format(&script, ",%d", i);
	buffer_add_text(&script, "\"}");
	world_script(world, buffer_text(&script));
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	end = world_job(world, job);
	CU_ASSERT_EQUAL(end.counts.failed, 1000);
	CU_ASSERT_EQUAL(end.counts.ok, 2000);
	CU_ASSERT_EQUAL(world_ledger(world).most_answers, 1);
	check_judged("3000", world, job, input);
	world_free(world);
}

static bool is_collected(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.state == SHARD_COLLECTED || (shard.state == SHARD_FETCHED && !shard.due_at);
}

/* What should be there is looked for as long as the configuration says, ever more rarely, and no longer. */
static void what_is_missing_is_looked_for_as_long_as_is_said(void)
{
	static const char *const scripts[] = {
		"{\"action\":\"row_missing\",\"row\":2}",
		"{\"action\":\"row_half\",\"row\":2}",
		"{\"call\":\"content\",\"action\":\"gone\"}",
		"{\"call\":\"content\",\"action\":\"not_found\"}",
		"{\"call\":\"retrieve\",\"action\":\"files_null\"}",
	};
	static const int64_t probes[] = { 0, 10 * MINUTE_MS, HOUR_MS, 4 * HOUR_MS };

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		for (size_t k = 0; k < ARRAY_SIZE(probes); k++) {
			struct world *world = world_new(&slow, 1);
			auto_free char *input = world_requests(6, "");
			int64_t job, took;
			auto_shard shard = { 0 };

			world->provider.probe_lost = probes[k];
			world_script(world, scripts[i]);
			job = world_submit(world, input);
			CHECK_ROW(scripts[i], world_run(world, 24 * HOUR_MS, is_collected, &job));
			shard = world_shard(world, job, 1);
			took = world_now(world) - shard.ended_at;
			CHECK_ROW(scripts[i], took >= probes[k]);
			CHECK_ROW(scripts[i], took <= probes[k] + world->provider.retry_longest + MINUTE_MS);
			CHECK_ROW(scripts[i], sim_calls(world->sim, "content") <= 10 + 8 * probes[k] / HOUR_MS);
			world_free(world);
		}
}

/* A server that cuts every download, and cannot resume: it is told how far it came, and asked ever more rarely. */
static void a_download_that_is_always_cut_is_told_and_not_hammered(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(6, "");
	auto_shard shard = { 0 };
	int64_t job;

	world_script(world, "{\"call\":\"content\",\"action\":\"cut_body\",\"cut_at\":300}");
	job = world_submit(world, input);
	CU_ASSERT_FALSE(world_run(world, 24 * HOUR_MS, is_collected, &job));
	shard = world_shard(world, job, 1);
	CU_ASSERT_EQUAL(shard.state, SHARD_ENDED);
	CU_ASSERT_PTR_NOT_NULL_FATAL(shard.why);
	CU_ASSERT_PTR_NOT_NULL(strstr(shard.why, "cut after 300 bytes of "));
	CU_ASSERT_TRUE(sim_calls(world->sim, "content") < 220);
	world_free(world);
}

/* Whichever turn is lost: no row is lost with it, none is in two batches that ran, and none is answered twice. */
static void a_death_at_any_turn_does_no_harm(void)
{
	static const char *const scripts[] = {
		"{\"call\":\"upload\",\"action\":\"too_large\",\"larger_than\":600}",
		"{\"action\":\"fail_validation\",\"code\":\"too_many_tasks\",\"message\":\"m\",\"count\":1}",
		"{\"action\":\"fail_validation\",\"message\":\"m\",\"lines\":\"2,5\",\"count\":1}",
		"[{\"call\":\"content\",\"action\":\"ranges\"},{\"call\":\"content\",\"action\":\"cut_body\",\"cut_at\":300}]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++)
		for (int turns = 0; turns < 70; turns++) {
			struct world *world = world_new(&slow, 1);
			auto_free char *input = world_requests(6, "");
			auto_free char *row = xasprintf("%s, turn %d", scripts[i], turns);
			auto_job end = { 0 };
			int64_t job;

			know_list(world);
			world_script(world, scripts[i]);
			job = world_submit(world, input);
			for (int turn = 0; turn < turns; turn++)
				world_turn(world);
			world_lose_turn(world);
			CHECK_ROW(row, world_finish(world, job) == JOB_COMPLETED);
			end = world_job(world, job);
			CHECK_ROW(row, end.counts.ok == (i == 2 ? 4 : 6));
			CHECK_ROW(row, world_ledger(world).most_batches == 1 && world_ledger(world).most_answers == 1);
			check_judged(row, world, job, input);
			world_free(world);
		}
}

static bool is_uploaded(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.uploaded_at != 0;
}

static bool is_made(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.batch_created_at != 0;
}

/* From the refusal of the first upload to the second upload, which is at once done. */
static void a_longer_retry_after_is_kept_to_the_second(void)
{
	/* clang-format off */
	static const struct { const char *members; int64_t least, most; } cases[] = {
		{ "\"retry_after\":\"7\"",              7000,     7000 },
		{ "\"retry_after\":\"2.5\"",            2500,     5000 },
		{ "\"retry_after\":\"7200\"",           7200000,  7200000 },
		{ "\"retry_after_ms\":\"1500\"",        2500,     5000 },
		{ "\"retry_after\":\"60\",\"retry_after_ms\":\"200\"", 2500, 5000 },
		{ "\"retry_after_date\":30",            29000,    30000 },
		{ "\"retry_after\":\"0\"",              2500,     5000 },
		{ "\"retry_after\":\"soon\"",           2500,     5000 },
		{ "\"message\":\"slow down\"",          2500,     5000 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *script = xasprintf("{\"call\":\"upload\",\"nth\":1,\"action\":\"status\",\"status\":429,%s}",
						   cases[i].members);
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(1, "");
		int64_t job = world_submit(world, input), began = world_now(world), took;
		auto_shard shard = { 0 };

		world_script(world, script);
		(void)world_run(world, 24 * HOUR_MS, is_uploaded, &job);
		shard = world_shard(world, job, 1);
		took = shard.uploaded_at - began - 2 * world->network.latency_ms;
		CHECK_ROW(script, took >= cases[i].least && took <= cases[i].most);
		world_free(world);
	}
}

/* Account and configuration: the provider is paused, a person is told, and nothing is lost or counted. */
static void a_refused_account_pauses_the_provider(void)
{
	static const char *const calls[] = { "upload", "create", "retrieve", "content" };
	static const char *const refusals[] = {
		"\"action\":\"status\",\"status\":401,\"code\":\"invalid_api_key\"",
		"\"action\":\"status\",\"status\":402",
		"\"action\":\"status\",\"status\":403",
		"\"action\":\"quota\"",
		"\"action\":\"status\",\"status\":400,\"code\":\"billing_hard_limit_reached\"",
	};

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (size_t k = 0; k < ARRAY_SIZE(refusals); k++) {
			auto_free char *script = xasprintf("{\"call\":\"%s\",\"count\":3,%s}", calls[i], refusals[k]);
			struct story story = { script, script, NULL, JOB_COMPLETED, 6, 1, 1, "shard.retry", "" };
			struct world *world = world_new(&slow, 1);
			auto_free char *input = world_requests(STORY_REQUESTS, "");
			int64_t job = world_submit(world, input), began = world_now(world);
			auto_shard shard = { 0 };

			world_script(world, script);
			(void)world_finish(world, job);
			shard = world_shard(world, job, 1);
			check_story(&story, world, job, input);
			CHECK_ROW(script, shard.attempt == 1);
			CHECK_ROW(script, world_now(world) - began >= 7 * HEALTH_REFUSED_MS);
			world_free(world);
		}
}

static void a_full_queue_is_not_asked_at_once(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(1, "");
	int64_t job = world_submit(world, input), began = world_now(world);

	world_script(world, "{\"call\":\"create\",\"action\":\"token_limit_400\",\"count\":2}");
	(void)world_run(world, 24 * HOUR_MS, is_made, &job);
	CU_ASSERT_TRUE(world_now(world) - began >= (5 + 10) * HOUR_MS / 60);
	world_free(world);
}

static void count_unknown(const struct store_event *event, void *context)
{
	*(int *)context += strstr(event->message, "not known") != NULL;
}

static void an_unknown_status_is_told_once(void)
{
	struct sim_config config = slow;
	struct world *world;
	auto_free char *input = world_requests(1, "");
	int64_t job;
	int told = 0;

	config.run_ms = HOUR_MS;
	world = world_new(&config, 1);
	world_script(world, "{\"action\":\"unknown_status\",\"younger_ms\":3000000}");
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	(void)store_event_list(world->store, job, 0, 10000, count_unknown, &told);
	CU_ASSERT_EQUAL(told, 1);
	world_free(world);
}

/* What the provider said of a refusal stands with every row of it. */
static void the_words_of_a_refusal_stand_in_the_results(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(2, "");
	auto_free char *errors = NULL;
	auto_job end = { 0 };
	int64_t job;

	world_script(world, "{\"action\":\"fail_validation\",\"code\":\"x\",\"message\":\"these very words\"}");
	job = world_submit(world, input);
	(void)world_finish(world, job);
	end = world_job(world, job);
	errors = world_file(world, end.error_file);
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "these very words"));
	CU_ASSERT_EQUAL(end.counts.failed, 2);
	world_free(world);
}

/* Batches that end as soon as they are made, and did nothing: each next one waits longer. */
static void a_provider_that_does_nothing_is_not_asked_in_a_circle(void)
{
	static const struct sim_config quick_sim = { 0 };
	struct world *world = world_new(&quick_sim, 1);
	auto_free char *input = world_requests(2, "");
	int64_t end = world_now(world) + 2 * HOUR_MS;

	world_script(world, "{\"action\":\"expire\",\"percent\":0}");
	(void)world_submit(world, input);
	while (world_now(world) < end)
		world_turn(world);
	CU_ASSERT_TRUE(world_ledger(world).creates > 5 && world_ledger(world).creates < 40);
	world_free(world);
}

static void count_retries(const struct store_event *event, void *context)
{
	*(int *)context += strcmp(event->type, "shard.retry") == 0;
}

static void the_same_failure_is_told_ever_more_rarely(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(1, "");
	int64_t job = world_submit(world, input);
	int told = 0;

	/* 20 tries: the first, 2nd, 4th, 8th and 16th are told. */
	world_script(world, "{\"call\":\"upload\",\"action\":\"status\",\"status\":503,\"message\":\"x\",\"count\":20}");
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	(void)store_event_list(world->store, job, 0, 10000, count_retries, &told);
	CU_ASSERT_EQUAL(told, 5);
	world_free(world);
}

static void expiry_pays_nobody_twice(void)
{
	static const char *const scripts[] = {
		"{\"action\":\"expire\",\"percent\":50,\"count\":1}",
		"[{\"action\":\"expire\",\"percent\":50,\"count\":1},"
		"{\"call\":\"retrieve\",\"action\":\"output_null\",\"ended_ms\":600000}]",
		"[{\"action\":\"expire\",\"percent\":50,\"count\":1},{\"action\":\"no_counts\"},"
		"{\"call\":\"content\",\"action\":\"shorten\",\"by\":2,\"count\":1}]",
	};

	for (size_t i = 0; i < ARRAY_SIZE(scripts); i++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(20, "");
		int64_t job;
		auto_shard second = { 0 };

		world_script(world, scripts[i]);
		job = world_submit(world, input);
		(void)world_finish(world, job);
		second = world_shard(world, job, 2);
		CHECK_ROW(scripts[i], second.attempt == 1);
		CHECK_ROW(scripts[i], second.requests == 10);
		CHECK_ROW(scripts[i], world_ledger(world).most_answers == 1);
		check_judged(scripts[i], world, job, input);
		world_free(world);
	}
}

CHECK_MAIN("steps", CHECK(whatever_the_provider_does), CHECK(a_longer_retry_after_is_kept_to_the_second),
	   CHECK(a_refused_account_pauses_the_provider), CHECK(a_full_queue_is_not_asked_at_once),
	   CHECK(an_unknown_status_is_told_once), CHECK(the_words_of_a_refusal_stand_in_the_results),
	   CHECK(a_provider_that_does_nothing_is_not_asked_in_a_circle),
	   CHECK(the_same_failure_is_told_ever_more_rarely), CHECK(expiry_pays_nobody_twice),
	   CHECK(a_refusal_has_its_code), CHECK(only_the_row_that_is_too_large_is_refused),
	   CHECK(a_line_that_is_wrong_there_fails_with_its_own_words), CHECK(thousands_of_wrong_lines_fail_alone),
	   CHECK(what_is_missing_is_looked_for_as_long_as_is_said),
	   CHECK(a_download_that_is_always_cut_is_told_and_not_hammered), CHECK(a_death_at_any_turn_does_no_harm))
