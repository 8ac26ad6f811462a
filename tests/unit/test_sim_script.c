#include <string.h>

#include "tests/sim/actions.h"
#include "tests/unit/sim_world.h"

static const struct sim_config quick = {
	.validate_ms = 1000, .run_ms = 10000, .finalize_ms = 2000, .cancel_ms = 3000,
};

static void add(struct world *world, const char *script)
{
	struct error err = { 0 };

	CHECK_ROW(script, sim_add_script(world->sim, script, strlen(script), &err) == 0);
}

/* A world with one finished batch of five rows, the script on top. */
static struct world *finished(const char *script)
{
	struct world *world = world_new(&quick);

	add(world, script);
	world_submit(world, 5);
	(void)world_after(world, 13000);
	return world;
}

static void says_what_is_wrong_with_a_script(void)
{
	static const struct {
		const char *script, *message;
	} cases[] = {
		{ "{", "not JSON: it is cut off" },
		{ "{\"action\"=1}", "not JSON: object property name separator ':' expected" },
		{ "[7]", "rule 1: it is not an object" },
		{ "{\"call\":\"list\"}", "rule 1: \"action\" is missing" },
		{ "[{\"action\":\"drop_before\"},{\"action\":\"x\"}]", "rule 2: there is no action \"x\"" },
		{ "{\"rules\":[{\"action\":\"delay\",\"call\":\"lists\"}]}", "rule 1: there is no call \"lists\"" },
		{ "{\"action\":\"delay\",\"call\":[\"list\",\"x\"]}", "rule 1: there is no call \"x\"" },
		{ "{\"action\":\"delay\",\"nht\":2}", "rule 1: the action \"delay\" has no \"nht\"" },
		{ "{\"action\":\"delay\",\"status\":2}", "rule 1: the action \"delay\" has no \"status\"" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		struct error err = { 0 };

		CHECK_ROW(cases[i].script, sim_add_script(world->sim, cases[i].script, strlen(cases[i].script), &err) < 0);
		CHECK_ROW(err.text, !strcmp(err.text, cases[i].message));
		CHECK_ROW(cases[i].script, world_send(world, "POST", "/sim/script", cases[i].script, NULL) == 400);
		CHECK_ROW(cases[i].script, !strcmp(world_text(world, "error.message"), cases[i].message));
		(void)world_call(world, "GET", "/sim/script");
		CHECK_ROW(cases[i].script, json_object_array_length(world->json) == 0);
		world_free(world);
	}
}

static void every_action_has_defaults_that_are_json(void)
{
	const struct action *const tables[] = { actions_calls, actions_objects, actions_results };
	size_t count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(tables); i++)
		for (const struct action *action = tables[i]; action->name; action++) {
			struct json_object *defaults =
				action->defaults ? json_tokener_parse(action->defaults) : NULL;

			CHECK_ROW(action->name, !action->defaults || defaults);
			CHECK_ROW(action->name, action_find(action->name) == action);
			json_object_put(defaults);
			count++;
		}
	CU_ASSERT_TRUE(count > 80);
}

/* Which of ten equal calls a rule answers with 500. */
static void fires_exactly_when_it_says(void)
{
	static const struct {
		const char *when, *calls;
	} cases[] = {
		{ "", "xxxxxxxxxx" }, { ",\"nth\":3", "..x......." },
		{ ",\"from\":8", ".......xxx" }, { ",\"count\":2", "xx........" },
		{ ",\"from\":3,\"count\":2", "..xx......" }, { ",\"every\":4", "...x...x.." },
		{ ",\"probability\":0", ".........." }, { ",\"call\":\"create\"", ".........." },
		{ ",\"call\":[\"create\",\"list\"]", "xxxxxxxxxx" }, { ",\"call\":\"any\"", "xxxxxxxxxx" },
		{ ",\"paged\":1", ".........." }, { ",\"batch\":\"*\"", ".........." },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		auto_free char *rule = xasprintf("{\"action\":\"status\"%s}", cases[i].when);
		char calls[11] = "";

		add(world, rule);
		for (size_t k = 0; k < 10; k++)
			calls[k] = world_call(world, "GET", "/v1/batches") == 500 ? 'x' : '.';
		CHECK_ROW(cases[i].when, !strcmp(calls, cases[i].calls));
		world_free(world);
	}
}

static void throws_the_same_dice_from_the_same_seed(void)
{
	char calls[3][65] = { "", "", "" };

	for (size_t i = 0; i < 3; i++) {
		struct world *world = world_new(&quick);

		add(world, i < 2 ? "{\"action\":\"status\",\"probability\":0.5,\"seed\":7}" :
				   "{\"action\":\"status\",\"probability\":0.5,\"seed\":8}");
		for (size_t k = 0; k < 64; k++)
			calls[i][k] = world_call(world, "GET", "/v1/batches") == 500 ? 'x' : '.';
		world_free(world);
	}
	CU_ASSERT_STRING_EQUAL(calls[0], calls[1]);
	CU_ASSERT_STRING_NOT_EQUAL(calls[0], calls[2]);
	CU_ASSERT_TRUE(world_count(calls[0], "x") > 16 && world_count(calls[0], "x") < 48);
}

static void tells_how_often_a_rule_fired(void)
{
	struct world *world = world_new(&quick);

	CU_ASSERT_EQUAL(world_send(world, "POST", "/sim/script", "{\"action\":\"status\",\"nth\":2,\"comment\":\"x\"}", NULL), 200);
	for (int i = 0; i < 3; i++)
		(void)world_call(world, "GET", "/v1/batches");
	(void)world_call(world, "GET", "/sim/script");
	CU_ASSERT_EQUAL(world_number(world, "0.seen"), 3);
	CU_ASSERT_EQUAL(world_number(world, "0.fired"), 1);
	CU_ASSERT_EQUAL(world_call(world, "POST", "/sim/script?reset=1"), 200);
	(void)world_call(world, "GET", "/sim/script");
	CU_ASSERT_STRING_EQUAL(world_body(world), "[]");
	world_free(world);
}

static void says_errors_in_every_form(void)
{
	static const struct {
		const char *rule;
		int status;
		const char *body, *header, *value;
	} cases[] = {
		{ "{\"action\":\"status\",\"status\":503,\"retry_after\":\"1.5\"}", 503,
		  "{\"error\":{\"message\":\"The server said so.\",\"type\":\"server_error\",\"param\":null,\"code\":null}}", "retry-after", "1.5" },
		{ "{\"action\":\"status\",\"status\":429,\"body\":\"int_code\",\"message\":\"m\"}", 429,
		  "{\"error\":{\"code\":429,\"type\":\"BadRequestError\",\"message\":\"m\"}}", "", "" },
		{ "{\"action\":\"status\",\"body\":\"html\",\"message\":\"oops\"}", 500, "<html>", "", "" },
		{ "{\"action\":\"status\",\"body\":\"text\",\"message\":\"oops\"}", 500, "oops", "", "" },
		{ "{\"action\":\"status\",\"body\":\"detail\",\"message\":\"oops\"}", 500, "{\"detail\":\"oops\"}", "", "" },
		{ "{\"action\":\"status\",\"body\":\"error_string\",\"message\":\"oops\"}", 500, "{\"error\":\"oops\"}", "", "" },
		{ "{\"action\":\"status\",\"body\":\"failure\"}", 500, "{\"status\":\"failure\"}", "", "" },
		{ "{\"action\":\"status\",\"body\":\"json_string\",\"message\":\"oops\"}", 500, "\"oops\"", "", "" },
		{ "{\"action\":\"status\",\"body\":\"empty\",\"retry_after_ms\":250}", 500, "", "retry-after-ms", "250" },
		{ "{\"action\":\"rate_limit\",\"retry_after_date\":60}", 429, "rate_limit_exceeded", "retry-after", "Tue, 29 Sep 2026 18:19:01 GMT" },
		{ "{\"action\":\"quota\"}", 429, "insufficient_quota", "", "" },
		{ "{\"action\":\"token_limit_400\"}", 400, "\"token_limit_exceeded\"", "", "" },
		{ "{\"action\":\"redirect\"}", 307, "<html>", "location", "http://127.0.0.1:9/v1" },
		{ "{\"action\":\"gone\"}", 410, "expired", "", "" },
		{ "{\"action\":\"not_found\"}", 404, "No such object.", "", "" },
		{ "{\"action\":\"too_large\"}", 413, "<html>", "", "" },
		{ "{\"action\":\"cancel_refused\",\"status\":400}", 400, "Cannot cancel", "", "" },
		{ "{\"action\":\"lost_answer\"}", 502, "<html>", "", "" },
		{ "{\"action\":\"status\",\"headers\":{\"x-should-retry\":\"false\"}}", 500, "error", "x-should-retry", "false" },
		{ "{\"action\":\"body\",\"text\":\"{}\",\"content_type\":\"a/b\"}", 200, "{}", "", "" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);

		add(world, cases[i].rule);
		CHECK_ROW(cases[i].rule, world_call(world, "GET", "/v1/batches") == cases[i].status);
		CHECK_ROW(cases[i].rule, strstr(world_body(world), cases[i].body) != NULL);
		CHECK_ROW(cases[i].rule, !strcmp(world_header_of(world, cases[i].header), cases[i].value));
		world_free(world);
	}
}

/* What was done, and what was told, are two things. */
static void a_create_is_done_or_not_whatever_is_told(void)
{
	static const struct {
		const char *action;
		int status, batches;
	} cases[] = {
		{ "drop_before", 0, 0 }, { "status", 500, 0 }, { "drop_after", 0, 1 },
		{ "lost_answer", 502, 1 }, { "cut_headers", 200, 1 }, { "garbage", 200, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		auto_free char *rule = xasprintf("{\"call\":\"create\",\"action\":\"%s\"}", cases[i].action);

		add(world, rule);
		(void)strcpy(world->file, "x");
		CHECK_ROW(rule, world_create(world, "/v1/responses", "") == cases[i].status);
		(void)world_call(world, "GET", "/sim/ledger");
		CHECK_ROW(rule, world_number(world, "batches_created") == cases[i].batches);
		CHECK_ROW(rule, world_number(world, "calls.create") == 1);
		world_free(world);
	}
}

static void tells_the_transport_what_to_do(void)
{
	static const struct {
		const char *rule;
		int64_t delay, length;
		size_t cut, stall;
		int64_t stall_ms;
		size_t piece;
	} cases[] = { /* the file is of 10 bytes */
		{ "{\"action\":\"delay\",\"ms\":70}", 70, 0, SIZE_MAX, SIZE_MAX, 0, 0 },
		{ "{\"action\":\"cut_headers\"}", 0, 10, 0, SIZE_MAX, 0, 0 },
		{ "{\"action\":\"cut_body\",\"cut_at\":4}", 0, 10, 4, SIZE_MAX, 0, 0 },
		{ "{\"action\":\"cut_body\",\"cut_percent\":50,\"chunked\":1}", 0, -1, 5, SIZE_MAX, 0, 0 },
		{ "{\"action\":\"stall\",\"stall_at\":3,\"stall_ms\":9}", 0, 10, SIZE_MAX, 3, 9, 0 },
		{ "{\"action\":\"wrong_length\"}", 0, 20, SIZE_MAX, SIZE_MAX, 0, 0 },
		{ "{\"action\":\"wrong_length\",\"length_off\":-3}", 0, 7, SIZE_MAX, SIZE_MAX, 0, 0 },
		{ "{\"action\":\"no_length\"}", 0, -1, SIZE_MAX, SIZE_MAX, 0, 0 },
		{ "{\"action\":\"pieces\",\"piece\":1}", 0, 10, SIZE_MAX, SIZE_MAX, 0, 1 },
		{ "[{\"action\":\"delay\",\"ms\":5},{\"action\":\"pieces\"},{\"action\":\"cut_body\",\"cut_at\":4}]", 5, 10, 4, SIZE_MAX, 0, 7 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		const struct sim_answer *answer = &world->answer;

		CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", "{\"a\":1234}"), 200);
		add(world, cases[i].rule);
		CHECK_ROW(cases[i].rule, world_call(world, "GET", "/v1/files/%s/content", world->file) == 200);
		CHECK_ROW(cases[i].rule, answer->transport == (cases[i].length ? SIM_STREAM : SIM_WHOLE));
		CHECK_ROW(cases[i].rule, answer->delay_ms == cases[i].delay && answer->length == cases[i].length);
		CHECK_ROW(cases[i].rule, answer->cut_at == cases[i].cut && answer->stall_at == cases[i].stall);
		CHECK_ROW(cases[i].rule, answer->stall_ms == cases[i].stall_ms && answer->piece == cases[i].piece);
		CHECK_ROW(cases[i].rule, answer->body->size == 10);
		world_free(world);
	}
}

static void sends_bytes_in_other_clothes(void)
{
	static const struct {
		const char *rule, *body;
	} cases[] = {
		{ "{\"action\":\"crlf\"}", "{}\r\n{}\r\n" },
		{ "{\"action\":\"no_last_newline\"}", "{}\n{}" },
		{ "{\"action\":\"bom\"}", "\xef\xbb\xbf{}\n{}\n" },
		{ "{\"action\":\"blank_lines\"}", "\n{}\n{}\n\n\n" },
		{ "{\"action\":\"frame\",\"after\":\"x\"}", "{}\n{}\nx" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);

		CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", "{}\n{}\n"), 200);
		add(world, cases[i].rule);
		(void)world_call(world, "GET", "/v1/files/%s/content", world->file);
		CHECK_ROW(cases[i].rule, !strcmp(world_body(world), cases[i].body));
		CHECK_ROW(cases[i].rule, world->answer.body->size == strlen(cases[i].body));
		world_free(world);
	}
}

/* The bytes of RFC 1952 by hand: head, one stored block, crc32, size. */
static void gzip_is_gzip(void)
{
	static const unsigned char wanted[] = {
		0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255, 1, 2, 0, 0xfd, 0xff, '{', '}',
		0x43, 0xbf, 0xa6, 0xa3, 2, 0, 0, 0,
	};
	struct world *world = world_new(&quick);

	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", "{}"), 200);
	add(world, "{\"call\":\"content\",\"action\":\"gzip\"}");
	(void)world_call(world, "GET", "/v1/files/%s/content", world->file);
	CU_ASSERT_EQUAL_FATAL(world->answer.body->size, sizeof(wanted));
	CU_ASSERT_EQUAL(memcmp(world->answer.body->data, wanted, sizeof(wanted)), 0);
	CU_ASSERT_STRING_EQUAL(world_header_of(world, "content-encoding"), "gzip");
	world_free(world);
}

static void ranges_are_honoured_only_where_a_rule_says_so(void)
{
	static const struct {
		const char *action, *range;
		int status;
		const char *body, *content_range, *accept;
	} cases[] = {
		{ "delay", "bytes=4-", 200, "{\"a\":1}", "", "" },
		{ "ranges", NULL, 200, "{\"a\":1}", "", "bytes" },
		{ "ranges", "bytes=4-", 206, ":1}", "bytes 4-6/7", "bytes" },
		{ "ranges", "bytes=7-", 416, "{\"error\"", "bytes */7", "bytes" },
		{ "ranges_ignored", "bytes=4-", 200, "{\"a\":1}", "", "bytes" },
		{ "ranges_wrong", "bytes=4-", 206, ":1}", "bytes 5-6/7", "bytes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		auto_free char *rule = xasprintf("{\"call\":\"content\",\"action\":\"%s\"}", cases[i].action);

		CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", "{\"a\":1}"), 200);
		add(world, rule);
		world->range = cases[i].range;
		CHECK_ROW(rule, world_call(world, "GET", "/v1/files/%s/content", world->file) == cases[i].status);
		CHECK_ROW(rule, !strncmp(world_body(world), cases[i].body, strlen(cases[i].body)));
		CHECK_ROW(rule, !strcmp(world_header_of(world, "content-range"), cases[i].content_range));
		CHECK_ROW(rule, !strcmp(world_header_of(world, "accept-ranges"), cases[i].accept));
		world_free(world);
	}
}

static void shows_batches_as_others_do(void)
{
	static const struct {
		const char *rule, *path, *value;
	} cases[] = { /* of a finished batch */
		{ "{\"action\":\"set\",\"members\":{\"status\":\"odd\"}}", "status", "odd" },
		{ "{\"action\":\"remove\",\"names\":[\"status\",\"id\"]}", "id", "null" },
		{ "{\"action\":\"extra_members\"}", "x_future.deep.0", "1" },
		{ "{\"action\":\"no_metadata\"}", "metadata", "null" },
		{ "{\"action\":\"output_null\"}", "output_file_id", "null" },
		{ "{\"action\":\"files_null\"}", "output_file_id", "null" },
		{ "{\"action\":\"errors_file_null\"}", "error_file_id", "null" },
		{ "{\"action\":\"empty_ids\"}", "error_file_id", "" },
		{ "{\"action\":\"errors_null\"}", "errors", "null" },
		{ "{\"action\":\"errors_data_null\"}", "errors.object", "list" },
		{ "{\"action\":\"errors_array\"}", "errors", "[ ]" },
		{ "{\"action\":\"errors_strings\"}", "errors", "[ ]" },
		{ "{\"action\":\"errors_string\"}", "errors", "something went wrong" },
		{ "{\"action\":\"no_counts\"}", "request_counts", "null" },
		{ "{\"action\":\"null_counts\"}", "request_counts.total", "null" },
		{ "{\"action\":\"zero_counts\"}", "request_counts.total", "0" },
		{ "{\"action\":\"no_created_at\"}", "created_at", "null" },
		{ "{\"action\":\"no_endpoint\"}", "endpoint", "null" },
		{ "{\"action\":\"no_status\"}", "status", "null" },
		{ "{\"action\":\"times_iso\"}", "created_at", "2026-09-29T18:18:01.000Z" },
		{ "{\"action\":\"times_ms\"}", "created_at", "1790705881000" },
		{ "{\"action\":\"times_float\"}", "created_at", "1790705881.25" },
		{ "{\"action\":\"times_text\"}", "completed_at", "1790705894" },
		{ "{\"action\":\"status_upper\"}", "status", "COMPLETED" },
		{ "{\"action\":\"status_names\",\"map\":{\"completed\":\"success\"}}", "status", "success" },
		{ "{\"action\":\"one_l\"}", "status", "completed" },
		{ "{\"action\":\"foreign_names\"}", "status", "ended" },
		{ "{\"action\":\"unknown_status\"}", "status", "completed" },
		{ "{\"action\":\"wrap\",\"members\":{\"code\":20000}}", "data.status", "completed" },
		{ "{\"action\":\"wrap_job\"}", "job.status", "completed" },
		{ "[{\"action\":\"times_ms\"},{\"action\":\"wrap\"}]", "data.created_at", "1790705881000" },
		{ "{\"action\":\"output_null\",\"ended_ms\":0}", "status", "completed" },
		{ "{\"action\":\"no_status\",\"file\":\"in.*\"}", "status", "null" },
		{ "{\"action\":\"no_status\",\"file\":\"out.*\"}", "status", "completed" },
		{ "{\"action\":\"no_status\",\"batch\":\"batch_*\"}", "status", "null" },
		{ "{\"action\":\"no_status\",\"call\":\"list\"}", "status", "completed" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);

		world_submit(world, 5);
		add(world, cases[i].rule);
		(void)world_after(world, 13000);
		CHECK_ROW(cases[i].rule, !strcmp(world_text(world, cases[i].path), cases[i].value));
		world_free(world);
	}
}

static void leaves_out_what_is_null(void)
{
	struct world *world = finished("{\"call\":\"retrieve\",\"action\":\"omit_nulls\"}");

	CU_ASSERT_FALSE(json_object_object_get_ex(world->json, "errors", NULL));
	CU_ASSERT_TRUE(json_object_object_get_ex(world->json, "output_file_id", NULL));
	world_free(world);
}

static void errors_take_other_shapes(void)
{
	static const struct {
		const char *action, *path, *value;
	} cases[] = {
		{ "errors_array", "errors.0.code", "c" }, { "errors_strings", "errors.0", "m" },
		{ "one_l", "errors.data.0.line", "4" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *rules = xasprintf("[{\"action\":\"fail_validation\",\"code\":\"c\",\"message\":\"m\",\"line\":4},"
						  "{\"call\":\"retrieve\",\"action\":\"%s\"}]", cases[i].action);
		struct world *world = finished(rules);

		CHECK_ROW(rules, !strcmp(world_text(world, "status"), "failed"));
		CHECK_ROW(rules, !strcmp(world_text(world, cases[i].path), cases[i].value));
		world_free(world);
	}
}

/* The id of the output comes late, and then it is there. */
static void a_quirk_can_pass_with_time(void)
{
	struct world *world = finished("{\"call\":\"retrieve\",\"action\":\"output_null\",\"ended_ms\":5000}");

	CU_ASSERT_PTR_NULL(world_get(world, "output_file_id"));
	(void)world_after(world, 4999);
	CU_ASSERT_PTR_NULL(world_get(world, "output_file_id"));
	(void)world_after(world, 1);
	CU_ASSERT_PTR_NOT_NULL(world_get(world, "output_file_id"));
	world_free(world);
}

static void files_behave_as_elsewhere(void)
{
	struct world *world = world_new(&quick);

	add(world, "[{\"call\":\"file\",\"action\":\"not_found\",\"younger_ms\":500},"
		   "{\"call\":\"file\",\"action\":\"file_validating\",\"younger_ms\":1000},"
		   "{\"call\":\"upload\",\"action\":\"bytes_differ\",\"off\":-1},"
		   "{\"call\":\"upload\",\"action\":\"too_large\",\"larger_than\":10}]");
	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", "{\"a\":12345}"), 413);
	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", "{\"a\":1234}"), 200);
	CU_ASSERT_EQUAL(world_number(world, "bytes"), 9);
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files/%s", world->file), 404);
	world->now_ms += 500;
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/files/%s", world->file), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "validating");
	CU_ASSERT_EQUAL(world_number(world, "bytes"), 10);
	world->now_ms += 500;
	(void)world_call(world, "GET", "/v1/files/%s", world->file);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "processed");
	world_free(world);
}

static void lists_lie_as_elsewhere(void)
{
	static const struct {
		const char *rule, *path, *value;
	} cases[] = { /* page two of three batches, one to a page; and its older neighbour is BATCH */
		{ "{\"action\":\"list_empty\"}", "data.0.id", "null" },
		{ "{\"action\":\"list_stale\",\"ms\":1}", "data.0.id", "null" },
		{ "{\"action\":\"list_stale\",\"ms\":0}", "data.0.id", "BATCH" },
		{ "{\"action\":\"after_ignored\"}", "data.0.id", "NEWEST" },
		{ "{\"action\":\"after_ignored\"}", "has_more", "true" },
		{ "{\"action\":\"pages_overlap\"}", "data.0.id", "NEWEST" },
		{ "{\"action\":\"no_has_more\"}", "has_more", "null" },
		{ "{\"action\":\"no_first_last\"}", "last_id", "null" },
		{ "{\"action\":\"bare_array\"}", "0.id", "BATCH" },
		{ "{\"action\":\"after_refused\",\"paged\":1}", "error.param", "after" },
		{ "{\"action\":\"no_metadata\"}", "has_more", "true" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		char ids[3][64];
		const char *wanted = cases[i].value;

		(void)strcpy(world->file, "x");
		for (size_t k = 0; k < 3; k++) {
			(void)world_create(world, "/v1/responses", "");
			(void)snprintf(ids[k], sizeof(ids[k]), "%.60s", world->batch);
		}
		add(world, cases[i].rule);
		(void)world_call(world, "GET", "/v1/batches?limit=1&after=%s", ids[2]);
		wanted = !strcmp(wanted, "BATCH") ? ids[1] : !strcmp(wanted, "NEWEST") ? ids[2] : wanted;
		CHECK_ROW(cases[i].rule, !strcmp(world_text(world, cases[i].path), wanted));
		world_free(world);
	}
}

static void ids_may_be_long(void)
{
	struct world *world = finished("{\"action\":\"long_ids\",\"size\":1500}");

	CU_ASSERT_TRUE(strlen(world->batch) > 1500 && strlen(world->file) > 1500);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "completed");
	CU_ASSERT_EQUAL(world_count(world_result(world, "output_file_id"), "\n"), 5);
	world_free(world);
}

static void batches_end_as_the_script_says(void)
{
	static const struct {
		const char *rule, *status, *path, *value;
	} cases[] = { /* 13 s after the create */
		{ "{\"action\":\"fail_validation\",\"code\":\"x\",\"message\":\"y\",\"line\":3,\"param\":\"p\"}", "failed", "errors.data.0.line", "3" },
		{ "{\"action\":\"token_limit\"}", "failed", "errors.data.0.code", "token_limit_exceeded" },
		{ "{\"action\":\"file_not_found\"}", "failed", "errors.data.0.param", "file_id" },
		{ "{\"action\":\"file_not_found\",\"younger_ms\":1}", "failed", "errors.data.0.code", "invalid_request" },
		{ "{\"action\":\"url_not_found\"}", "failed", "errors.data.0.code", "url_not_found" },
		{ "{\"action\":\"model_not_found\"}", "failed", "errors.data.0.code", "model_not_found" },
		{ "{\"action\":\"fail_running\"}", "failed", "in_progress_at", "1790705882" },
		{ "{\"action\":\"expire\",\"percent\":40}", "expired", "request_counts.completed", "2" },
		{ "{\"action\":\"expire\",\"percent\":0}", "expired", "output_file_id", "null" },
		{ "{\"action\":\"stuck\"}", "in_progress", "finalizing_at", "null" },
		{ "{\"action\":\"stuck\",\"status\":\"validating\"}", "validating", "in_progress_at", "null" },
		{ "{\"action\":\"stuck\",\"status\":\"finalizing\"}", "finalizing", "completed_at", "null" },
		{ "{\"action\":\"durations\",\"run_ms\":20000}", "in_progress", "finalizing_at", "null" },
		{ "{\"action\":\"durations\",\"expire_ms\":6000}", "expired", "request_counts.completed", "2" },
		{ "{\"action\":\"fail_validation\",\"nth\":2}", "completed", "errors", "null" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = finished(cases[i].rule);

		CHECK_ROW(cases[i].rule, !strcmp(world_text(world, "status"), cases[i].status));
		CHECK_ROW(cases[i].rule, !strcmp(world_text(world, cases[i].path), cases[i].value));
		world_free(world);
	}
}

static void a_cancel_can_be_overtaken(void)
{
	struct world *world = world_new(&quick);

	add(world, "{\"action\":\"cancel_completes\"}");
	world_submit(world, 5);
	(void)world_after(world, 2000);
	(void)world_call(world, "POST", "/v1/batches/%s/cancel", world->batch);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "cancelling");
	CU_ASSERT_STRING_EQUAL(world_after(world, 3000), "completed");
	CU_ASSERT_EQUAL(world_number(world, "request_counts.completed"), 5);
	world_free(world);
}

static void lines_come_back_in_every_state(void)
{
	static const struct {
		const char *action, *more, *output, *error;
		size_t output_lines, error_lines;
	} cases[] = { /* of five rows; the rule is for r-3 */
		{ "row_missing", "", "\"r-4\"", "", 4, 0 },
		{ "row_twice", "", "\"custom_id\":\"r-3\"", "", 6, 0 },
		{ "row_unknown_id", "", "\"custom_id\":\"nobody-sent-this\"", "", 5, 0 },
		{ "row_id_number", "", "\"custom_id\":7", "", 5, 0 },
		{ "row_id_escaped", "", "{\"custom_id\":\"\\u0072\\u002d\\u0033\",", "", 5, 0 },
		{ "row_remove", ",\"names\":[\"id\"]", "{\"custom_id\":\"r-3\"", "", 5, 0 },
		{ "row_no_error", "", "\"custom_id\":\"r-3\"", "", 5, 0 },
		{ "row_no_response", "", "\"custom_id\":\"r-3\",\"error\":null}", "", 5, 0 },
		{ "row_not_json", "", "<!-- upstream error -->\n", "", 5, 0 },
		{ "row_blank", "", "\n\n", "", 5, 0 },
		{ "row_half", "", "", "", 5, 0 },
		{ "row_status", "", "\"r-3\",\"response\":{\"status_code\":0", "", 5, 0 },
		{ "row_status", ",\"status\":503", "\"status_code\":503", "", 5, 0 },
		{ "row_body_string", "", "\"body\":\"{", "", 5, 0 },
		{ "row_body_null", "", "\"body\":null", "", 5, 0 },
		{ "row_set", ",\"members\":{\"error\":\"text\"}", "\"error\":\"text\"", "", 5, 0 },
		{ "row_error", "", "r-1", "\"custom_id\":\"r-3\",\"response\":null,\"error\":{\"code\":\"request_timeout\"", 4, 1 },
		{ "row_error", ",\"in_output\":1", "\"code\":\"request_timeout\"", "", 5, 0 },
		{ "row_error_bare", "", "r-1", "{\"custom_id\":\"r-3\",\"error\":{", 4, 1 },
		{ "row_error_string", ",\"message\":\"bad\"", "r-1", "\"error\":\"bad\"", 4, 1 },
		{ "row_http_error", ",\"code\":\"c\"", "r-1", "\"status_code\":400", 4, 1 },
		{ "row_http_error", ",\"in_output\":1,\"status\":500", "\"status_code\":500", "", 5, 0 },
		{ "row_other_file", "", "r-1", "\"status_code\":200", 4, 1 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *rule = xasprintf("{\"action\":\"%s\",\"custom_id\":\"r-3\"%s}", cases[i].action, cases[i].more);
		struct world *world = finished(rule);
		const char *text = world_result(world, "output_file_id");

		CHECK_ROW(rule, strstr(text, cases[i].output) != NULL);
		CHECK_ROW(rule, world_count(text, "\n") == cases[i].output_lines);
		(void)world_after(world, 0);
		text = world_result(world, "error_file_id");
		CHECK_ROW(rule, strstr(text, cases[i].error) != NULL);
		CHECK_ROW(rule, world_count(text, "\n") == cases[i].error_lines);
		(void)world_call(world, "GET", "/sim/ledger");
		CHECK_ROW(rule, world_number(world, "requests_answered") == 5);
		world_free(world);
	}
}

static void rules_for_lines_know_row_and_batch(void)
{
	struct world *world = finished("[{\"action\":\"row_missing\",\"row\":2,\"batch\":\"batch_*\"},"
				       "{\"action\":\"row_missing\",\"row\":4,\"file\":\"other*\"}]");
	const char *text = world_result(world, "output_file_id");

	CU_ASSERT_EQUAL(world_count(text, "\n"), 4);
	CU_ASSERT_PTR_NULL(strstr(text, "\"r-2\""));
	world_free(world);
}

/* clang-format off */
CHECK_MAIN("sim_script",
	CHECK(says_what_is_wrong_with_a_script), CHECK(every_action_has_defaults_that_are_json),
	CHECK(fires_exactly_when_it_says), CHECK(throws_the_same_dice_from_the_same_seed),
	CHECK(tells_how_often_a_rule_fired), CHECK(says_errors_in_every_form),
	CHECK(a_create_is_done_or_not_whatever_is_told), CHECK(tells_the_transport_what_to_do),
	CHECK(sends_bytes_in_other_clothes), CHECK(gzip_is_gzip),
	CHECK(ranges_are_honoured_only_where_a_rule_says_so), CHECK(shows_batches_as_others_do),
	CHECK(leaves_out_what_is_null), CHECK(errors_take_other_shapes),
	CHECK(a_quirk_can_pass_with_time), CHECK(files_behave_as_elsewhere),
	CHECK(lists_lie_as_elsewhere), CHECK(ids_may_be_long),
	CHECK(batches_end_as_the_script_says), CHECK(a_cancel_can_be_overtaken),
	CHECK(lines_come_back_in_every_state), CHECK(rules_for_lines_know_row_and_batch))
/* clang-format on */
