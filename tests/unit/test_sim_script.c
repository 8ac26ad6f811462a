#include <string.h>

#include "tests/sim/actions.h"
#include "tests/unit/sim_world.h"

static const struct sim_config quick = {
	.validate_ms = 1000,
	.run_ms = 10000,
	.finalize_ms = 2000,
	.cancel_ms = 3000,
};

static void add(struct world *world, const char *script)
{
	struct error err = {0};

	CHECK_ROW(script, sim_add_script(world->sim, script, strlen(script), &err) == 0);
}

static void says_what_is_wrong_with_a_script(void)
{
	/* clang-format off */
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
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		struct error err = {0};

		CHECK_ROW(cases[i].script, sim_add_script(world->sim, cases[i].script,
							  strlen(cases[i].script), &err) < 0);
		CHECK_ROW(err.text, !strcmp(err.text, cases[i].message));
		CHECK_ROW(cases[i].script,
			  world_send(world, "POST", "/sim/script", cases[i].script, NULL) == 400);
		CHECK_ROW(cases[i].script,
			  !strcmp(world_text(world, "error.message"), cases[i].message));
		(void)world_call(world, "GET", "/sim/script");
		CHECK_ROW(cases[i].script, json_object_array_length(world->json) == 0);
		world_free(world);
	}
}

static void every_action_has_defaults_that_are_json(void)
{
	const struct action *const tables[] = {actions_calls, actions_objects, actions_results};
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
	/* clang-format off */
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
	/* clang-format on */

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
	char calls[3][65] = {"", "", ""};

	for (size_t i = 0; i < 3; i++) {
		struct world *world = world_new(&quick);

		add(world, i < 2 ? "{\"action\":\"status\",\"probability\":0.5,\"seed\":7}"
				 : "{\"action\":\"status\",\"probability\":0.5,\"seed\":8}");
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

	CU_ASSERT_EQUAL(world_send(world, "POST", "/sim/script",
				   "{\"action\":\"status\",\"nth\":2,\"comment\":\"x\"}", NULL),
			200);
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
	/* clang-format off */
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
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);

		add(world, cases[i].rule);
		CHECK_ROW(cases[i].rule,
			  world_call(world, "GET", "/v1/batches") == cases[i].status);
		CHECK_ROW(cases[i].rule, strstr(world_body(world), cases[i].body) != NULL);
		CHECK_ROW(cases[i].rule,
			  !strcmp(world_header_of(world, cases[i].header), cases[i].value));
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
		{"drop_before", 0, 0},   {"status", 500, 0},      {"drop_after", 0, 1},
		{"lost_answer", 502, 1}, {"cut_headers", 200, 1}, {"garbage", 200, 1},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		auto_free char *rule =
			xasprintf("{\"call\":\"create\",\"action\":\"%s\"}", cases[i].action);

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
	/* clang-format off */
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
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		const struct sim_answer *answer = &world->answer;

		CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", "{\"a\":1234}"), 200);
		add(world, cases[i].rule);
		CHECK_ROW(cases[i].rule,
			  world_call(world, "GET", "/v1/files/%s/content", world->file) == 200);
		CHECK_ROW(cases[i].rule,
			  answer->transport == (cases[i].length ? SIM_STREAM : SIM_WHOLE));
		CHECK_ROW(cases[i].rule,
			  answer->delay_ms == cases[i].delay && answer->length == cases[i].length);
		CHECK_ROW(cases[i].rule,
			  answer->cut_at == cases[i].cut && answer->stall_at == cases[i].stall);
		CHECK_ROW(cases[i].rule,
			  answer->stall_ms == cases[i].stall_ms && answer->piece == cases[i].piece);
		CHECK_ROW(cases[i].rule, answer->body->size == 10);
		world_free(world);
	}
}

static void sends_bytes_in_other_clothes(void)
{
	static const struct {
		const char *rule, *body;
	} cases[] = {
		{"{\"action\":\"crlf\"}", "{}\r\n{}\r\n"},
		{"{\"action\":\"no_last_newline\"}", "{}\n{}"},
		{"{\"action\":\"bom\"}", "\xef\xbb\xbf{}\n{}\n"},
		{"{\"action\":\"blank_lines\"}", "\n{}\n{}\n\n\n"},
		{"{\"action\":\"frame\",\"after\":\"x\"}", "{}\n{}\nx"},
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
		0x1f, 0x8b, 8,   0,   0,    0,    0,    0,    0, 255, 1, 2, 0,
		0xfd, 0xff, '{', '}', 0x43, 0xbf, 0xa6, 0xa3, 2, 0,   0, 0,
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

/* The ETag of {"a":1}. */
#define CRC "\"561bacaf\""

static void ranges_are_honoured_only_where_a_rule_says_so(void)
{
	static const struct {
		const char *action, *range;
		int status;
		const char *body, *content_range, *accept, *etag, *if_range;
	} cases[] = {
		{"delay", "bytes=4-", 200, "{\"a\":1}", "", "", "", NULL},
		{"ranges", NULL, 200, "{\"a\":1}", "", "bytes", CRC, NULL},
		{"ranges", "bytes=4-", 206, ":1}", "bytes 4-6/7", "bytes", CRC, NULL},
		{"ranges", "bytes=4-", 206, ":1}", "bytes 4-6/7", "bytes", CRC, CRC},
		{"ranges", "bytes=4-", 200, "{\"a\":1}", "", "bytes", CRC, "\"x\""},
		{"ranges", "bytes=7-", 416, "{\"error\"", "bytes */7", "bytes", CRC, NULL},
		{"ranges_ignored", "bytes=4-", 200, "{\"a\":1}", "", "bytes", CRC, NULL},
		{"ranges_wrong", "bytes=4-", 206, ":1}", "bytes 5-6/7", "bytes", CRC, NULL},
		{"ranges_grown", "bytes=4-", 206, ":1}", "bytes 4-6/8", "bytes", CRC, NULL},
		{"ranges_changed", "bytes=4-", 206, ":1}", "bytes 4-6/7", "bytes", "\"new\"", CRC},
		{"ranges_no_etag", NULL, 200, "{\"a\":1}", "", "bytes", "", NULL},
		{"ranges_weak", NULL, 200, "{\"a\":1}", "", "bytes", "W/" CRC, NULL},
		{"ranges_silent", "bytes=4-", 206, ":1}", "bytes 4-6/7", "", CRC, NULL},
		{"shorten", NULL, 200, "", "", "", "", NULL},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		auto_free char *rule =
			xasprintf("{\"call\":\"content\",\"action\":\"%s\"}", cases[i].action);

		CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", "{\"a\":1}"), 200);
		add(world, rule);
		world->range = cases[i].range;
		world->if_range = cases[i].if_range;
		CHECK_ROW(rule, world_call(world, "GET", "/v1/files/%s/content", world->file) ==
					cases[i].status);
		CHECK_ROW(rule, !strncmp(world_body(world), cases[i].body, strlen(cases[i].body)));
		CHECK_ROW(rule,
			  !strcmp(world_header_of(world, "content-range"), cases[i].content_range));
		CHECK_ROW(rule, !strcmp(world_header_of(world, "accept-ranges"), cases[i].accept));
		CHECK_ROW(rule, !strcmp(world_header_of(world, "etag"), cases[i].etag));
		world_free(world);
	}
}

/* clang-format off */
CHECK_MAIN("sim_script",
	CHECK(says_what_is_wrong_with_a_script),
	CHECK(every_action_has_defaults_that_are_json),
	CHECK(fires_exactly_when_it_says),
	CHECK(throws_the_same_dice_from_the_same_seed),
	CHECK(tells_how_often_a_rule_fired),
	CHECK(says_errors_in_every_form),
	CHECK(a_create_is_done_or_not_whatever_is_told),
	CHECK(tells_the_transport_what_to_do),
	CHECK(sends_bytes_in_other_clothes),
	CHECK(gzip_is_gzip),
	CHECK(ranges_are_honoured_only_where_a_rule_says_so))
/* clang-format on */
