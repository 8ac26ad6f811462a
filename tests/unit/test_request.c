#include "daemon/model/request.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

#define BODY "{\"model\":\"m\",\"messages\":[]}"
#define URL  "/v1/chat/completions"
#define LINE(id, method, url, body)                                                                \
	"{\"custom_id\":" id ",\"method\":" method ",\"url\":" url ",\"body\":" body "}"
#define BODIED(body) LINE("\"a\"", "\"POST\"", "\"" URL "\"", body)
#define NOT_JSON     "This line is not parseable as valid JSON."

/* Parses a copy of exactly this size. */
static int parse(const char *line, size_t size, struct request *ret_request,
		 struct request_flaw *ret_flaw)
{
	auto_free char *copy = xmalloc(size);

	memcpy(copy, line, size);
	return request_parse(copy, size, ret_request, ret_flaw);
}

static bool span_is(const char *line, struct scan_span span, const char *text)
{
	return span.size == strlen(text) && memcmp(line + span.at, text, span.size) == 0;
}

static void finds_the_fields(void)
{
	static const char *const lines[] = {
		LINE("\"a-1\"", "\"POST\"", "\"" URL "\"", BODY),
		LINE("\"a-1\"", "\"POST\"", "\"" URL "\"", BODY) "\r",
		" \t" LINE("\"a-1\"", "\"POST\"", "\"" URL "\"", BODY) "  ",
		"{\"body\" : " BODY " , \"url\": \"" URL "\", \"method\": \"POST\", \"custom_id\": "
		"\"a-1\"}",
		"{\"priority\":[{\"body\":1}],\"custom\\u005fid\":\"a-1\",\"method\":"
		"\"P\\u004fST\","
		"\"url\":\"" URL "\",\"body\":" BODY ",\"x\":null,\"x\":null}",
	};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		struct request request;
		struct request_flaw flaw;

		CHECK_ROW(lines[i], parse(lines[i], strlen(lines[i]), &request, &flaw) == 0);
		CHECK_ROW(lines[i], span_is(lines[i], request.custom_id, "a-1"));
		CHECK_ROW(lines[i], span_is(lines[i], request.url, URL));
		CHECK_ROW(lines[i], span_is(lines[i], request.model, "m"));
		CHECK_ROW(lines[i], span_is(lines[i], request.body, BODY));
		CHECK_ROW(lines[i], request.inputs == 0);
	}
}

static const struct {
	const char *line;
	const char *code;
	const char *param;
	const char *message;
} flaws[] = {
	{"", "invalid_json_line", NULL, NOT_JSON " It is blank."},
	{" \t\r", "invalid_json_line", NULL, NOT_JSON " It is blank."},
	{"{", "invalid_json_line", NULL, NOT_JSON " There is an unexpected end at column 2."},
	{"{}{}", "invalid_json_line", NULL,
	 NOT_JSON " There is something behind the value at column 3."},
	{"[]", "invalid_json_line", NULL,
	 NOT_JSON " There is no object where one is due at column 1."},
	{"\"a\"", "invalid_json_line", NULL,
	 NOT_JSON " There is no object where one is due at column 1."},
	{"\xef\xbb\xbf{}", "invalid_json_line", NULL,
	 NOT_JSON " There is a byte order mark at column 1."},
	{LINE("\"\xff\"", "\"GET\"", "\"x\"", "1"), "invalid_json_line", NULL,
	 NOT_JSON " There is a byte that is not UTF-8 at column 15."},
	{LINE("7", "\"GET\"", "\"x\"", "{\"a\":[1,]}"), "invalid_json_line", NULL,
	 NOT_JSON " There is no value where one is due at column 56."},
	{"{\"body\":{\"model\":\"\\ud83d\"}}", "invalid_json_line", NULL,
	 NOT_JSON " There is an escape that is half of a surrogate pair at column 19."},
	{"{}", "missing_required_parameter", "custom_id",
	 "Missing required parameter: 'custom_id'."},
	{"{\"custom_id\":\"a\"}", "missing_required_parameter", "method",
	 "Missing required parameter: 'method'."},
	{"{\"custom_id\":\"a\",\"method\":\"POST\"}", "missing_required_parameter", "url",
	 "Missing required parameter: 'url'."},
	{"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"" URL "\"}",
	 "missing_required_parameter", "body", "Missing required parameter: 'body'."},
	{BODIED("{}"), "missing_required_parameter", "body.model",
	 "Missing required parameter: 'model'."},
	{LINE("7", "\"POST\"", "\"" URL "\"", BODY), "invalid_type", "custom_id",
	 "Invalid type for 'custom_id': expected a string, but got a number instead."},
	{LINE("null", "\"POST\"", "\"" URL "\"", BODY), "invalid_type", "custom_id",
	 "Invalid type for 'custom_id': expected a string, but got null instead."},
	{LINE("\"a\"", "true", "\"" URL "\"", BODY), "invalid_type", "method",
	 "Invalid type for 'method': expected a string, but got a boolean instead."},
	{LINE("\"a\"", "\"POST\"", "[]", BODY), "invalid_type", "url",
	 "Invalid type for 'url': expected a string, but got an array instead."},
	{BODIED("\"{}\""), "invalid_type", "body",
	 "Invalid type for 'body': expected an object, but got a string instead."},
	{BODIED("{\"model\":{}}"), "invalid_type", "body.model",
	 "Invalid type for 'model': expected a string, but got an object instead."},
	{BODIED("{\"model\":\"m\",\"stream\":\"true\"}"), "invalid_type", "body.stream",
	 "Invalid type for 'stream': expected a boolean, but got a string instead."},
	{LINE("\"\"", "\"POST\"", "\"" URL "\"", BODY), "invalid_value", "custom_id",
	 "Invalid 'custom_id': it must not be empty."},
	{BODIED("{\"model\":\"\"}"), "invalid_value", "body.model",
	 "Invalid 'model': it must not be empty."},
	{"{\"custom_id\":\"b\","
	 "\"custom_id\":\"a\"}",
	 "duplicate_parameter", "custom_id", "The parameter 'custom_id' is given more than once."},
	{"{\"custom_id\":\"b\",\"method\":\"POST\",\"u\\u0072l\":\"x\",\"url\":\"y\"}",
	 "duplicate_parameter", "url", "The parameter 'url' is given more than once."},
	{BODIED(BODY ",\"body\":{}"), "duplicate_parameter", "body",
	 "The parameter 'body' is given more than once."},
	{BODIED("{\"model\":\"a\",\"model\":\"a\"}"), "duplicate_parameter", "body.model",
	 "The parameter 'model' is given more than once."},
	{BODIED("{\"model\":\"a\",\"stream\":false,\"stream\":true}"), "duplicate_parameter",
	 "body.stream", "The parameter 'stream' is given more than once."},
	{LINE("\"a\"", "\"GET\"", "\"" URL "\"", BODY), "invalid_method", "method",
	 "The method 'GET' is not supported by the Batch API, only POST is."},
	{LINE("\"a\"", "\"post\"", "\"" URL "\"", BODY), "invalid_method", "method",
	 "The method 'post' is not supported by the Batch API, only POST is."},
	{LINE("\"a\"", "\"\xd0\xb6\x7f\\n\"", "\"" URL "\"", BODY), "invalid_method", "method",
	 "The method '???\\n' is not supported by the Batch API, only POST is."},
	{LINE("\"a\"", "\"POST\"", "\"/v1/chat/completion\"", BODY), "url_not_found", "url",
	 "The provided url '/v1/chat/completion' is not supported by the Batch API."},
	{LINE("\"a\"", "\"POST\"",
	      "\"https://api.openai.com/v1/chat/completions/and/more/and/more/and/more\"", BODY),
	 "url_not_found", "url",
	 "The provided url 'https://api.openai.com/v1/chat/completions/and/more/and/more/and...' "
	 "is not supported by the Batch API."},
	{BODIED("{\"model\":\"m\",\"stream\":true}"), "streaming_unsupported", "body.stream",
	 "Chat Completions: Streaming is not supported in the Batch API."},
	{LINE("\"a\"", "\"POST\"", "\"/v1/responses\"", "{\"str\\u0065am\":true,\"model\":\"m\"}"),
	 "streaming_unsupported", "body.stream",
	 "Responses: Streaming is not supported in the Batch API."},
};

static const struct {
	const char *body;
	uint32_t inputs;
} inputs[] = {
	{"{\"model\":\"m\"}", 0},
	{"{\"model\":\"m\",\"input\":null}", 0},
	{"{\"model\":\"m\",\"input\":\"text\"}", 1},
	{"{\"model\":\"m\",\"input\":[]}", 0},
	{"{\"input\":[\"a\"],\"model\":\"m\"}", 1},
	{"{\"model\":\"m\",\"input\":[\"a\", \"b\" ,\"c\"]}", 3},
	{"{\"model\":\"m\",\"input\":[1,2,3,4]}", 1},
	{"{\"model\":\"m\",\"input\":[[1,2],[3],[]]}", 3},
	{"{\"model\":\"m\",\"input\":[{\"role\":\"user\"},{\"input\":[1,2]}]}", 2},
	{"{\"model\":\"m\",\"x\":{\"input\":[\"a\",\"b\"]}}", 0},
	{"{\"model\":\"m\",\"stream\":false,\"in\\u0070ut\":[\"a\",\"b\"]}", 2},
	{"{\"model\":\"m\",\"stream\":null}", 0},
};

static void names_every_flaw_as_the_provider_does(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(flaws); i++) {
		struct request request = {.inputs = 77};
		struct request_flaw flaw;

		CHECK_ROW(flaws[i].line,
			  parse(flaws[i].line, strlen(flaws[i].line), &request, &flaw) == -EBADMSG);
		CHECK_ROW(flaws[i].line, strcmp(flaw.code, flaws[i].code) == 0);
		CHECK_ROW(flaws[i].line,
			  flaws[i].param ? flaw.param && strcmp(flaw.param, flaws[i].param) == 0
					 : !flaw.param);
		CHECK_ROW(flaw.message, strcmp(flaw.message, flaws[i].message) == 0);
		CHECK_ROW(flaws[i].line, request.inputs == 77);
	}
}

static void refuses_input_given_twice(void)
{
	static const char line[] = BODIED("{\"model\":\"m\",\"input\":[],\"input\":\"x\"}");
	struct request request;
	struct request_flaw flaw;

	CU_ASSERT_EQUAL(parse(line, sizeof(line) - 1, &request, &flaw), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(flaw.code, "duplicate_parameter");
	CU_ASSERT_STRING_EQUAL(flaw.param, "body.input");
}

static void counts_embedding_inputs(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		auto_free char *line = xasprintf("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":"
						 "\"/v1/embeddings\",\"body\":%s}",
						 inputs[i].body);
		struct request request;
		struct request_flaw flaw;

		CHECK_ROW(line, parse(line, strlen(line), &request, &flaw) == 0);
		CHECK_ROW(line, request.inputs == inputs[i].inputs);
		CHECK_ROW(line, span_is(line, request.body, inputs[i].body));
	}
}

static void holds_the_limits_of_length(void)
{
	static const struct {
		const char *param;
		size_t longest;
		const char *format;
	} cases[] = {
		{"custom_id", REQUEST_MAX_CUSTOM_ID,
		 LINE("\"%s\"", "\"POST\"", "\"" URL "\"", BODY)},
		{"body.model", REQUEST_MAX_MODEL, BODIED("{\"model\":\"%s\"}")},
		{"url", REQUEST_MAX_URL, LINE("\"a\"", "\"POST\"", "\"%s\"", BODY)},
	};
	char text[2048];

	for (size_t i = 0; i < ARRAY_SIZE(cases) * 2; i++) {
		const char *param = cases[i / 2].param;
		size_t size = cases[i / 2].longest + i % 2;
		auto_free char *line = NULL;
		struct request request;
		struct request_flaw flaw = {0};

		memset(text, 'x', size);
		text[size] = '\0';
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
		line = xasprintf(cases[i / 2].format, text);
#pragma GCC diagnostic pop
		if (parse(line, strlen(line), &request, &flaw) == 0)
			CHECK_ROW(param, i % 2 == 0);
		else
			CHECK_ROW(param, strcmp(flaw.code,
						i % 2 ? "invalid_value" : "url_not_found") == 0 &&
						 strcmp(flaw.param, param) == 0);
	}
}

static void refuses_a_line_beyond_all_limits_unread(void)
{
	struct request request;
	struct request_flaw flaw;

	CU_ASSERT_EQUAL(request_parse("", (size_t)REQUEST_MAX_LINE + 1, &request, &flaw), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(flaw.code, "invalid_value");
	CU_ASSERT_STRING_EQUAL(
		flaw.message,
		"The line has 16777217 bytes, and the longest allowed has 16777216.");
}

static void refuses_every_truncation(void)
{
	static const char line[] = LINE("\"a\\u00e9\"", "\"POST\"", "\"" URL "\"",
					"{\"model\":\"m\",\"input\":[\"a\",[1]],\"n\":1.5}");
	struct request request;
	struct request_flaw flaw;

	CU_ASSERT_EQUAL(parse(line, sizeof(line) - 1, &request, &flaw), 0);
	for (size_t size = 0; size + 1 < sizeof(line); size++) {
		CU_ASSERT_EQUAL(parse(line, size, &request, &flaw), -EBADMSG);
		CU_ASSERT_STRING_EQUAL(flaw.code, "invalid_json_line");
	}
}

static void knows_the_documented_endpoints(void)
{
	static const char *const urls[] = {
		"/v1/responses",   "/v1/chat/completions",   "/v1/embeddings",   "/v1/completions",
		"/v1/moderations", "/v1/images/generations", "/v1/images/edits", "/v1/videos"};
	static const char *const others[] = {"",
					     "/",
					     "/v1/chat",
					     "/v1/videos/",
					     "v1/videos",
					     "/V1/videos",
					     "/v1/chat/completionss"};
	static const char escaped[] = LINE("\"a\"", "\"POST\"", "\"\\/v1\\/vide\\u006fs\"", BODY);
	struct request request;
	struct request_flaw flaw;

	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		CHECK_ROW(urls[i], request_url_is_known(urls[i], strlen(urls[i])));
		CHECK_ROW(urls[i], strcmp(request_url(i), urls[i]) == 0);
	}
	CU_ASSERT_PTR_NULL(request_url(ARRAY_SIZE(urls)));
	CU_ASSERT_PTR_NULL(request_url(SIZE_MAX));
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		CHECK_ROW(others[i], !request_url_is_known(others[i], strlen(others[i])));
	CU_ASSERT_EQUAL(parse(escaped, sizeof(escaped) - 1, &request, &flaw), 0);
}

#define NUMBERED(id) "{" id "\"method\":\"POST\",\"url\":\"" URL "\",\"body\":" BODY "}"

static void takes_any_id_or_none_where_it_will_be_made(void)
{
	/* clang-format off */
	static const struct { const char *line, *id, *code; } lines[] = {
		{ NUMBERED(""),                        NULL,  NULL },
		{ " " NUMBERED(" "),                   NULL,  NULL },
		{ NUMBERED("\"custom_id\":\"\","),     "",    NULL },
		{ NUMBERED("\"custom_id\":\"a\\n\","), "a\n", NULL },
		{ NUMBERED("\"custom_id\":7,"),        NULL,  "invalid_type" },
		{ NUMBERED("\"custom_id\":null,"),     NULL,  "invalid_type" },
		{ NUMBERED("\"custom_id\":\"a\",\"custom_id\":\"a\","), NULL, "duplicate_parameter" },
		{ "{}",                                NULL,  "missing_required_parameter" },
		{ BODIED("{}"),                        NULL,  "missing_required_parameter" },
		{ BODIED("{\"model\":\"m\",\"stream\":true}"), NULL, "streaming_unsupported" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		const char *line = lines[i].line;
		struct request request = {.inside = 99};
		struct request_flaw flaw;
		int r = request_parse_numbered(line, strlen(line), &request, &flaw);

		CHECK_ROW(line, r == (lines[i].code ? -EBADMSG : 0));
		if (r) {
			CHECK_ROW(line, strcmp(flaw.code, lines[i].code) == 0 && request.inside == 99);
			continue;
		}
		CHECK_ROW(line, request.inside == strcspn(line, "{") + 1);
		CHECK_ROW(line, (request.custom_id.at == 0) == !lines[i].id);
		CHECK_ROW(line, !lines[i].id || scan_text_is(line, request.custom_id, lines[i].id));
		CHECK_ROW(line, span_is(line, request.model, "m"));
	}
}

static void no_limit_holds_for_an_id_that_will_be_replaced(void)
{
	auto_free char *id = xcalloc(1, REQUEST_MAX_CUSTOM_ID + 2);
	auto_free char *line = NULL;
	struct request request;
	struct request_flaw flaw;

	memset(id, 'x', REQUEST_MAX_CUSTOM_ID + 1);
	line = xasprintf(NUMBERED("\"custom_id\":\"%s\","), id);
	CU_ASSERT_EQUAL(request_parse(line, strlen(line), &request, &flaw), -EBADMSG);
	CU_ASSERT_EQUAL(request_parse_numbered(line, strlen(line), &request, &flaw), 0);
	CU_ASSERT_TRUE(span_is(line, request.custom_id, id));
}

static void checks_bare_bodies(void)
{
	/* clang-format off */
	static const struct { const char *line; bool has_model; const char *code, *message; } bodies[] = {
		{ BODY, false, NULL, NULL },
		{ BODY, true, NULL, NULL },
		{ " {\"messages\":[],\"model\":\"m\"}\r", true, NULL, NULL },
		{ "{\"messages\":[]}", true, NULL, NULL },
		{ "{\"custom_id\":7,\"url\":1,\"body\":{\"model\":3}}", true, NULL, NULL },
		{ "{\"messages\":[]}", false, "missing_required_parameter", "Missing required parameter: 'model'." },
		{ "{}", true, "invalid_value", "Invalid 'body': it must not be empty." },
		{ " { } ", false, "invalid_value", "Invalid 'body': it must not be empty." },
		{ "", true, "invalid_json_line", NOT_JSON " It is blank." },
		{ "[{}]", true, "invalid_json_line", NOT_JSON " There is no object where one is due at column 1." },
		{ "{\"a\":1}{}", true, "invalid_json_line", NOT_JSON " There is something behind the value at column 8." },
		{ "{\"a\":1", true, "invalid_json_line", NOT_JSON " There is an unexpected end at column 7." },
		{ "{\"model\":\"\"}", true, "invalid_value", "Invalid 'model': it must not be empty." },
		{ "{\"model\":null}", true, "invalid_type", "Invalid type for 'model': expected a string, but got null instead." },
		{ "{\"model\":\"m\",\"model\":\"m\"}", true, "duplicate_parameter", "The parameter 'model' is given more than once." },
		{ "{\"stream\":true}", true, "streaming_unsupported", "Chat Completions: Streaming is not supported in the Batch API." },
		{ "{\"stream\":1}", true, "invalid_type", "Invalid type for 'stream': expected a boolean, but got a number instead." },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(bodies); i++) {
		const char *line = bodies[i].line;
		size_t size = strlen(line);
		auto_free char *copy = xmalloc(size);
		struct request request = {.inputs = 77};
		struct request_flaw flaw;
		int r;

		memcpy(copy, line, size);
		r = request_parse_body(copy, size, URL, bodies[i].has_model, &request, &flaw);
		CHECK_ROW(line, r == (bodies[i].code ? -EBADMSG : 0));
		if (r) {
			CHECK_ROW(line, strcmp(flaw.code, bodies[i].code) == 0);
			CHECK_ROW(flaw.message, strcmp(flaw.message, bodies[i].message) == 0);
			CHECK_ROW(line, request.inputs == 77);
			continue;
		}
		CHECK_ROW(line, request.inside == strcspn(line, "{") + 1);
		CHECK_ROW(line, !request.custom_id.at && !request.url.at && !request.inputs);
		CHECK_ROW(line, !strstr(line, "\"model\":\"m\"") == !request.model.at);
		CHECK_ROW(line, !request.model.at || span_is(line, request.model, "m"));
	}
}

static void counts_the_inputs_of_bare_bodies(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		struct request request;
		struct request_flaw flaw;

		CHECK_ROW(inputs[i].body, request_parse_body(inputs[i].body, strlen(inputs[i].body), "/v1/embeddings",
							     false, &request, &flaw) == 0);
		CHECK_ROW(inputs[i].body, request.inputs == inputs[i].inputs);
	}
}

static void refuses_bare_bodies_for_another_url(void)
{
	struct request request;
	struct request_flaw flaw;

	CU_ASSERT_EQUAL(request_parse_body(BODY, sizeof(BODY) - 1, "/v2/x", true, &request, &flaw), -EBADMSG);
	CU_ASSERT_STRING_EQUAL(flaw.message, "The provided url '/v2/x' is not supported by the Batch API.");
	CU_ASSERT_EQUAL(request_parse_body("", (size_t)REQUEST_MAX_LINE + 1, URL, true, &request, &flaw), -EBADMSG);
}

static void finds_the_id_of_a_line_that_is_wrong(void)
{
	/* clang-format off */
	static const struct { const char *line, *id; } lines[] = {
		{ "{\"custom_id\":\"a\"}", "a" },
		{ "{\"custom_id\":\"a\",", "a" },
		{ "{\"custom_id\":\"a\"", "a" },
		{ "{\"custom_id\":\"a\" \"x\"", "a" },
		{ "{\"x\":[1,2],\"custom_id\":\"\\u0061\",\"method\":\"GET\"}", "\\u0061" },
		{ "{\"custom_id\":\"a\",\"body\":{\"custom_id\":\"b\",}}", "a" },
		{ "{\"custom_id\":\"a\",\"custom_id\":\"b\"}", NULL },
		{ "{\"custom_id\":\"a\",\"custom_id\":", NULL },
		{ "{\"custom_id\":\"a", NULL },
		{ "{\"custom_id\":", NULL },
		{ "{\"custom_id\":7}", NULL },
		{ "{\"custom_id\":\"\"}", NULL },
		{ "{\"x\":,\"custom_id\":\"a\"}", NULL },
		{ "[\"custom_id\",\"a\"]", NULL },
		{ "{\"body\":{\"custom_id\":\"a\"}}", NULL },
		{ "", NULL },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		size_t size = strlen(lines[i].line);
		auto_free char *copy = xmalloc(size);
		struct scan_span id = {0};

		memcpy(copy, lines[i].line, size);
		CHECK_ROW(lines[i].line, request_find_id(copy, size, &id) == (lines[i].id ? 0 : -ENOENT));
		CHECK_ROW(lines[i].line, !lines[i].id || span_is(lines[i].line, id, lines[i].id));
	}
}

static void finds_a_bare_body_between_its_braces(void)
{
	static const char line[] = " \t{ \"model\" : \"m\" } \r";
	struct request request;
	struct request_flaw flaw;

	CU_ASSERT_EQUAL_FATAL(request_parse_body(line, sizeof(line) - 1, URL, false, &request, &flaw), 0);
	CU_ASSERT(span_is(line, request.body, "{ \"model\" : \"m\" }"));
	CU_ASSERT_EQUAL(request.inside, 3);
}

CHECK_MAIN("request", CHECK(takes_any_id_or_none_where_it_will_be_made),
	   CHECK(no_limit_holds_for_an_id_that_will_be_replaced), CHECK(checks_bare_bodies),
	   CHECK(counts_the_inputs_of_bare_bodies), CHECK(refuses_bare_bodies_for_another_url),
	   CHECK(finds_the_id_of_a_line_that_is_wrong), CHECK(finds_the_fields), CHECK(names_every_flaw_as_the_provider_does),
	   CHECK(refuses_input_given_twice), CHECK(counts_embedding_inputs),
	   CHECK(holds_the_limits_of_length), CHECK(refuses_a_line_beyond_all_limits_unread),
	   CHECK(refuses_every_truncation), CHECK(knows_the_documented_endpoints),
	   CHECK(finds_a_bare_body_between_its_braces))
