#include <string.h>

#include "tests/sim/line.h"
#include "tests/unit/sim_world.h"

#define CHAT     "\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":"
#define GOOD(id) "{\"custom_id\":\"" id "\"," CHAT "{\"model\":\"m\",\"messages\":[]}}\n"

static const struct sim_config slow = {
	.validate_ms = 1000,
	.run_ms = 10000,
	.finalize_ms = 2000,
	.cancel_ms = 3000,
};

/* --- lines --- */

static void reads_json_as_strictly_as_the_document(void)
{
	/* clang-format off */
	static const struct {
		const char *text;
		bool is_good;
	} cases[] = {
		{ "{}", true }, { " {\"a\":[1,-0.5e+3,true,null,{}]}\r", true },
		{ "\"\\ud83d\\ude00\\n\"", true }, { "0", true }, { "[[],[[]]]", true },
		{ "{\"a\":\"012345678901234\\u00e9\xc3\xa9\"}", true },
		{ "", false }, { "{", false }, { "{}x", false }, { "{\"a\":}", false },
		{ "{\"a\":1,}", false }, { "{a:1}", false }, { "[1,]", false }, { "01", false },
		{ "1.", false }, { "-", false }, { "1e", false }, { "nul", false }, { "NaN", false },
		{ "\"\\x\"", false }, { "\"\\u12g4\"", false }, { "\"a\nb\"", false },
		{ "\"0123456789\x01\"", false }, { "\"\xc3\"", false }, { "\"\xc0\x80\"", false },
		{ "\"\xed\xa0\x80\"", false }, { "\"\xf4\x90\x80\x80\"", false },
		{ "\xef\xbb\xbf{}", false }, { "'a'", false }, { "\"a", false }, { "{\"a\" 1}", false },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct line line;

		CHECK_ROW(cases[i].text, line_parse(cases[i].text, strlen(cases[i].text), &line) ==
						 cases[i].is_good);
	}
}

static void survives_a_line_of_brackets(void)
{
	auto_free char *text = xcalloc(100001, 1);
	struct line line;

	memset(text, '[', 100000);
	CU_ASSERT_FALSE(line_parse(text, 100000, &line));
}

static void decodes_names_and_ids(void)
{
	static const char text[] =
		"{\"custom\\u005fid\":\"a\\u0000\\ud83d\\ude00\\ud800\\/\",\"body\":"
		"{\"model\":\"x\",\"stream\":true},\"body\":{\"model\":\"y\","
		"\"input\":[[1],\"b\",\"c\"]}}";
	static const char wanted[] = "a\0\xf0\x9f\x98\x80\xed\xa0\x80/";
	auto_buffer quoted = {0};
	auto_free char *id = NULL;
	struct line line;

	CU_ASSERT_TRUE_FATAL(line_parse(text, sizeof(text) - 1, &line));
	id = xcalloc(line.custom_id.size, 1);
	CU_ASSERT_EQUAL(line_decode(&line.custom_id, id), sizeof(wanted) - 1);
	CU_ASSERT_EQUAL(memcmp(id, wanted, sizeof(wanted) - 1), 0);
	line_quote_value(&quoted, &line.custom_id);
	CU_ASSERT_STRING_EQUAL(buffer_text(&quoted), "\"a\\u0000\xf0\x9f\x98\x80\\ud800/\"");
	CU_ASSERT_TRUE(line_is(&line.model, "y"));
	CU_ASSERT_EQUAL(line.stream.kind, LINE_ABSENT);
	CU_ASSERT_EQUAL(line.input_count, 3);
}

/* --- files --- */

static void shows_a_file_with_every_documented_member(void)
{
	struct world *world = world_new(&slow);
	static const char text[] = GOOD("a");

	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", text), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "object"), "file");
	CU_ASSERT_EQUAL(strncmp(world->file, "file-", 5), 0);
	CU_ASSERT_EQUAL(world_number(world, "bytes"), sizeof(text) - 1);
	CU_ASSERT_EQUAL(world_number(world, "created_at"), WORLD_START_MS / 1000);
	CU_ASSERT_EQUAL(world_number(world, "expires_at"), WORLD_START_MS / 1000 + 2592000);
	CU_ASSERT_STRING_EQUAL(world_text(world, "filename"), "x.jsonl");
	CU_ASSERT_STRING_EQUAL(world_text(world, "purpose"), "batch");
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "processed");
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files/%s/content", world->file), 200);
	CU_ASSERT_STRING_EQUAL(world_body(world), text);
	CU_ASSERT_EQUAL(world_call(world, "DELETE", "/v1/files/%s", world->file), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "deleted"), "true");
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files/%s", world->file), 404);
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files/%s/content", world->file), 404);
	world_free(world);
}

static void refuses_uploads_as_documented(void)
{
	/* clang-format off */
	static const struct {
		const char *label, *fields[4], *file_name, *text;
		int status;
		const char *param, *code;
	} cases[] = {
		{ "no file", { "purpose", "batch" }, NULL, NULL, 400, "file", "missing_required_parameter" },
		{ "no purpose", { NULL }, "a.jsonl", "{}", 400, "purpose", "missing_required_parameter" },
		{ "bad purpose", { "purpose", "batch-api" }, "a.jsonl", "{}", 400, "purpose", "invalid_value" },
		{ "name", { "purpose", "batch" }, "a.json", "{}", 400, "null", "null" },
		{ "empty", { "purpose", "batch" }, "a.jsonl", "", 400, "null", "null" },
		{ "first line", { "purpose", "batch" }, "a.jsonl", "{x\n{}\n", 400, "null", "null" },
		{ "too long", { "purpose", "batch" }, "a.jsonl", "{\"a\":12345}", 413, "file", "null" },
		{ "other field", { "purpose", "batch", "x", "y" }, "a.jsonl", "{}", 400, "x", "unknown_parameter" },
		{ "anchor", { "purpose", "batch", "expires_after[seconds]", "3600" }, "a.jsonl", "{}", 400, "expires_after.anchor", "invalid_value" },
		{ "later line", { "purpose", "batch" }, "a.jsonl", "{}\n{x", 200, NULL, NULL },
		{ "other purpose", { "purpose", "evals" }, "a", "what", 200, NULL, NULL },
	};
	/* clang-format on */
	struct sim_config config = slow;

	config.max_bytes = 10;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&config);
		struct sim_form form = {0};

		for (size_t k = 0; k < 4 && cases[i].fields[k]; k += 2)
			sim_form_add(&form, cases[i].fields[k], NULL, cases[i].fields[k + 1],
				     strlen(cases[i].fields[k + 1]), 0);
		if (cases[i].text)
			sim_form_add(&form, "file", cases[i].file_name, cases[i].text,
				     strlen(cases[i].text), 0);
		CHECK_ROW(cases[i].label,
			  world_send(world, "POST", "/v1/files", NULL, &form) == cases[i].status);
		if (cases[i].status != 200) {
			CHECK_ROW(cases[i].label,
				  !strcmp(world_text(world, "error.param"), cases[i].param));
			CHECK_ROW(cases[i].label,
				  !strcmp(world_text(world, "error.code"), cases[i].code));
			CHECK_ROW(cases[i].label,
				  json_object_object_length(world_get(world, "error")) == 4);
		}
		sim_form_release(&form);
		world_free(world);
	}
}

static void files_expire_when_they_say(void)
{
	struct world *world = world_new(&slow);
	struct sim_form form = {0};

	sim_form_add(&form, "purpose", NULL, "batch", 5, 0);
	sim_form_add(&form, "expires_after[anchor]", NULL, "created_at", 10, 0);
	sim_form_add(&form, "expires_after[seconds]", NULL, "3600", 4, 0);
	sim_form_add(&form, "file", "a.jsonl", "{}", 2, 0);
	CU_ASSERT_EQUAL(world_send(world, "POST", "/v1/files", NULL, &form), 200);
	sim_form_release(&form);
	(void)snprintf(world->file, sizeof(world->file), "%s", world_text(world, "id"));
	CU_ASSERT_EQUAL(world_number(world, "expires_at"), WORLD_START_MS / 1000 + 3600);
	world->now_ms += 3599999;
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files/%s", world->file), 200);
	world->now_ms += 1;
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files/%s", world->file), 404);
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files"), 200);
	CU_ASSERT_PTR_NULL(world_get(world, "data.0"));
	world_free(world);
}

static void lists_files_in_both_orders(void)
{
	struct world *world = world_new(&slow);
	char first[64], last[64];

	CU_ASSERT_EQUAL(world_upload(world, "1.jsonl", "{}"), 200);
	(void)snprintf(first, sizeof(first), "%.60s", world->file);
	CU_ASSERT_EQUAL(world_upload(world, "2.jsonl", "{}"), 200);
	CU_ASSERT_EQUAL(world_upload(world, "3.jsonl", "{}"), 200);
	(void)snprintf(last, sizeof(last), "%.60s", world->file);
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files?purpose=batch&limit=2"), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "data.0.id"), last);
	CU_ASSERT_STRING_EQUAL(world_text(world, "has_more"), "true");
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files?order=asc&after=%s", first), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "data.1.id"), last);
	CU_ASSERT_STRING_EQUAL(world_text(world, "has_more"), "false");
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files?purpose=evals"), 200);
	CU_ASSERT_PTR_NULL(world_get(world, "data.0"));
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files?order=newest"), 400);
	CU_ASSERT_STRING_EQUAL(world_text(world, "error.param"), "order");
	world_free(world);
}

/* --- create --- */

static void shows_a_batch_with_every_documented_member(void)
{
	static const char *const members[] = {
		"id",
		"object",
		"endpoint",
		"model",
		"errors",
		"input_file_id",
		"completion_window",
		"status",
		"output_file_id",
		"error_file_id",
		"created_at",
		"in_progress_at",
		"expires_at",
		"finalizing_at",
		"completed_at",
		"failed_at",
		"expired_at",
		"cancelling_at",
		"cancelled_at",
		"request_counts",
		"usage",
		"metadata",
	};
	struct world *world = world_new(&slow);

	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", GOOD("a")), 200);
	CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ",\"metadata\":{\"k\":\"v\"}"),
			200);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		CHECK_ROW(members[i], json_object_object_get_ex(world->json, members[i], NULL));
	CU_ASSERT_EQUAL(json_object_object_length(world->json), ARRAY_SIZE(members));
	CU_ASSERT_STRING_EQUAL(world_text(world, "object"), "batch");
	CU_ASSERT_EQUAL(strlen(world->batch), 6 + 32);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "validating");
	CU_ASSERT_STRING_EQUAL(world_text(world, "input_file_id"), world->file);
	CU_ASSERT_STRING_EQUAL(world_text(world, "metadata.k"), "v");
	CU_ASSERT_EQUAL(world_number(world, "expires_at") - world_number(world, "created_at"),
			86400);
	CU_ASSERT_EQUAL(world_number(world, "request_counts.total"), 0);
	world_free(world);
}

static void refuses_create_bodies_at_once(void)
{
#define BODY(more)                                                                                 \
	"{\"input_file_id\":\"f\",\"endpoint\":\"/v1/chat/"                                        \
	"completions\",\"completion_window\":\"24h\"" more "}"
	/* clang-format off */
	static const struct {
		const char *body, *param, *code;
	} cases[] = {
		{ "", "null", "null" },
		{ "[]", "null", "null" },
		{ "{\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}", "input_file_id", "missing_required_parameter" },
		{ "{\"input_file_id\":\"f\",\"endpoint\":\"/v1/nope\",\"completion_window\":\"24h\"}", "endpoint", "invalid_value" },
		{ "{\"input_file_id\":\"f\",\"endpoint\":\"/v1/responses\",\"completion_window\":\"1h\"}", "completion_window", "invalid_value" },
		{ "{\"input_file_id\":7,\"endpoint\":\"/v1/responses\",\"completion_window\":\"1h\"}", "input_file_id", "invalid_type" },
		{ BODY(",\"metadata\":{\"tags\":[\"a\"]}"), "metadata.tags", "invalid_type" },
		{ BODY(",\"metadata\":{\"0123456789012345678901234567890123456789012345678901234567890123x\":\"\"}"), "metadata", "property_name_above_max_length" },
		{ BODY(",\"metadata\":7"), "metadata", "invalid_type" },
		{ BODY(",\"x\":1"), "x", "unknown_parameter" },
		{ BODY(",\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":3599}"), "output_expires_after.seconds", "integer_below_min_value" },
		{ BODY(",\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":2592001}"), "output_expires_after.seconds", "integer_above_max_value" },
		{ BODY(",\"output_expires_after\":{\"anchor\":\"now\",\"seconds\":3600}"), "output_expires_after.anchor", "invalid_value" },
	};
	/* clang-format on */
	struct world *world = world_new(&slow);

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_ROW(cases[i].body,
			  world_send(world, "POST", "/v1/batches", cases[i].body, NULL) == 400);
		CHECK_ROW(cases[i].body, !strcmp(world_text(world, "error.param"), cases[i].param));
		CHECK_ROW(cases[i].body, !strcmp(world_text(world, "error.code"), cases[i].code));
	}
	(void)world_call(world, "GET", "/sim/ledger");
	CU_ASSERT_EQUAL(world_number(world, "batches_created"), 0);
	world_free(world);
}

static void counts_metadata_in_characters(void)
{
	static const struct {
		size_t pairs, length;
		const char *code;
	} cases[] = {
		{16, 512, "null"},
		{17, 1, "object_above_max_properties"},
		{1, 513, "string_above_max_length"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&slow);
		auto_buffer text = {0};

		CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", GOOD("a")), 200);
		buffer_add_text(&text, ",\"metadata\":{");
		for (size_t k = 0; k < cases[i].pairs; k++) {
			buffer_add_format(&text, "%s\"k%zu\":\"", k ? "," : "", k);
			for (size_t c = 0; c < cases[i].length; c++)
				buffer_add_text(&text, "\xc3\xa9");
			buffer_add_text(&text, "\"");
		}
		buffer_add_text(&text, "}");
		(void)world_create(world, "/v1/chat/completions", buffer_text(&text));
		CU_ASSERT_STRING_EQUAL(world_text(world, "error.code"), cases[i].code);
		world_free(world);
	}
}

/* --- validation --- */

static void tells_of_bad_lines_in_the_documented_words(void)
{
	/* clang-format off */
	static const struct {
		const char *line, *code, *message, *param;
	} cases[] = {
		{ "not json", "invalid_json_line", "This line is not parseable as valid JSON.", "null" },
		{ "", "invalid_json_line", "This line is not parseable as valid JSON.", "null" },
		{ "{" CHAT "{}}", "missing_required_parameter", "Missing required parameter: 'custom_id'.", "custom_id" },
		{ "{\"custom_id\":\"b\",\"url\":\"/v1/chat/completions\",\"body\":{}}", "missing_required_parameter", "Missing required parameter: 'method'.", "method" },
		{ "{\"custom_id\":\"b\",\"method\":\"POST\",\"body\":{}}", "missing_required_parameter", "Missing required parameter: 'url'.", "url" },
		{ "{\"custom_id\":\"b\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\"}", "missing_required_parameter", "Missing required parameter: 'body'.", "body" },
		{ "{\"custom_id\":\"b\"," CHAT "{\"model\":\"m\"}}", "missing_required_parameter", "Missing required parameter: 'messages'.", "body.messages" },
		{ "{\"custom_id\":\"b\"," CHAT "{\"messages\":[]}}", "invalid_request", "Model parameter is required.", "body.model" },
		{ "{\"custom_id\":\"a\"," CHAT "{\"model\":\"m\",\"messages\":[]}}", "duplicate_custom_id", "The custom_id 'a' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.", "custom_id" },
		{ "{\"custom_id\":\"\\u0061\"," CHAT "{\"model\":\"m\",\"messages\":[]}}", "duplicate_custom_id", "The custom_id 'a' for this request is a duplicate of another request. The custom_id parameter must be unique for each request in a batch.", "custom_id" },
		{ "{\"custom_id\":\"b\"," CHAT "{\"model\":\"xxx\",\"messages\":[]}}", "mismatched_model", "The model 'xxx' for this request does not match the rest of the batch. Each batch must contain requests for a single model.", "body.model" },
		{ "{\"custom_id\":\"b\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{\"model\":\"m\"}}", "invalid_url", "The URL provided for this request does not match the batch endpoint.", "url" },
		{ "{\"custom_id\":\"b\"," CHAT "{\"model\":\"nonexistent-model-xyz\",\"messages\":[]}}", "model_not_found", "The provided model 'nonexistent-model-xyz' is not supported by the Batch API.", "body.model" },
		{ "{\"custom_id\":\"b\"," CHAT "{\"model\":\"m\",\"messages\":[],\"stream\":true}}", "streaming_unsupported", "Chat Completions: Streaming is not supported in the Batch API.", "body.stream" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&slow);
		auto_free char *text = xasprintf(GOOD("a") "%s\n" GOOD("z"), cases[i].line);

		CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", text), 200);
		CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ""), 200);
		CHECK_ROW(cases[i].line, !strcmp(world_after(world, 999), "validating"));
		CHECK_ROW(cases[i].line, !strcmp(world_after(world, 1), "failed"));
		CHECK_ROW(cases[i].line,
			  !strcmp(world_text(world, "errors.data.0.code"), cases[i].code));
		CHECK_ROW(cases[i].line,
			  !strcmp(world_text(world, "errors.data.0.message"), cases[i].message));
		CHECK_ROW(cases[i].line,
			  !strcmp(world_text(world, "errors.data.0.param"), cases[i].param));
		CHECK_ROW(cases[i].line, world_number(world, "errors.data.0.line") == 2);
		CHECK_ROW(cases[i].line, !world_get(world, "errors.data.1"));
		CHECK_ROW(cases[i].line, world_number(world, "request_counts.total") == 0);
		CHECK_ROW(cases[i].line,
			  world_get(world, "failed_at") && !world_get(world, "in_progress_at"));
		world_free(world);
	}
}

static void tells_of_every_bad_line(void)
{
	struct world *world = world_new(&slow);

	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl",
				     "{}\n" GOOD("a") "x\n" GOOD("a") "{\"custom_id\":1}"),
			200);
	CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ""), 200);
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "failed");
	CU_ASSERT_EQUAL(json_object_array_length(world_get(world, "errors.data")), 4);
	CU_ASSERT_EQUAL(world_number(world, "errors.data.3.line"), 5);
	(void)world_call(world, "GET", "/sim/ledger");
	CU_ASSERT_EQUAL(world_number(world, "requests_answered"), 0);
	world_free(world);
}

static void fails_later_where_the_file_is_not_there(void)
{
	struct world *world = world_new(&slow);
	const char *message =
		"Cannot find file file-nope, or organization org-sim does not have access to it.";

	(void)strcpy(world->file, "file-nope");
	CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ""), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "validating");
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "failed");
	CU_ASSERT_STRING_EQUAL(world_text(world, "errors.data.0.code"), "invalid_request");
	CU_ASSERT_STRING_EQUAL(world_text(world, "errors.data.0.param"), "file_id");
	CU_ASSERT_STRING_EQUAL(world_text(world, "errors.data.0.message"), message);
	CU_ASSERT_PTR_NULL(world_get(world, "errors.data.0.line"));
	world_free(world);
}

static void keeps_the_limits_of_rows_and_embeddings(void)
{
	static const char embeddings[] =
		"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/embeddings\","
		"\"body\":{\"model\":\"m\",\"input\":[\"1\",\"2\",\"3\",\"4\"]}}";
	struct sim_config config = slow;
	struct world *world;

	config.max_requests = 3;
	config.max_inputs = 3;
	world = world_new(&config);
	world_submit(world, 3);
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "in_progress");
	world_submit(world, 4);
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "failed");
	CU_ASSERT_STRING_EQUAL(world_text(world, "errors.data.0.code"), "too_many_tasks");
	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", embeddings), 200);
	CU_ASSERT_EQUAL(world_create(world, "/v1/embeddings", ""), 200);
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "failed");
	world_free(world);
}

static void counts_enqueued_tokens_until_a_batch_ends(void)
{
	struct sim_config config = slow;
	struct world *world;
	const char *message =
		"Enqueued token limit reached for m in organization org-sim. Limit: 1,500 enqueued "
		"tokens. Please try again once some in_progress batches have been completed.";

	config.enqueued_token_limit = 1500;
	world = world_new(&config);
	world_submit(world, 60);
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "in_progress");
	world_submit(world, 60);
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "failed");
	CU_ASSERT_STRING_EQUAL(world_text(world, "errors.data.0.code"), "token_limit_exceeded");
	CU_ASSERT_STRING_EQUAL(world_text(world, "errors.data.0.message"), message);
	world->now_ms += 20000;
	world_submit(world, 60);
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "in_progress");
	world_free(world);
}

/* clang-format off */
CHECK_MAIN("sim_input",
	CHECK(reads_json_as_strictly_as_the_document),
	CHECK(survives_a_line_of_brackets),
	CHECK(decodes_names_and_ids),
	CHECK(shows_a_file_with_every_documented_member),
	CHECK(refuses_uploads_as_documented),
	CHECK(files_expire_when_they_say),
	CHECK(lists_files_in_both_orders),
	CHECK(shows_a_batch_with_every_documented_member),
	CHECK(refuses_create_bodies_at_once),
	CHECK(counts_metadata_in_characters),
	CHECK(tells_of_bad_lines_in_the_documented_words),
	CHECK(tells_of_every_bad_line),
	CHECK(fails_later_where_the_file_is_not_there),
	CHECK(keeps_the_limits_of_rows_and_embeddings),
	CHECK(counts_enqueued_tokens_until_a_batch_ends))
/* clang-format on */
