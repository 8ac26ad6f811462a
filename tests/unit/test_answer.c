#include "daemon/model/answer.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

#define RESPONSE(status, body)                                                                     \
	"\"response\":{\"status_code\":" status ",\"request_id\":\"r\",\"body\":" body "}"
#define LINE(rest)         "{\"id\":\"batch_req_1\",\"custom_id\":\"a\"," rest "}"
#define HTTP(status, body) LINE(RESPONSE(status, body) ",\"error\":null")
#define TOO_LONG                                                                                   \
	"{\"error\":{\"message\":\"too "                                                           \
	"long\",\"type\":\"invalid_request_error\",\"param\":\"messages\",\"code\":\"context_"     \
	"length_exceeded\"}}"

struct row {
	const char *line;
	enum answer_kind kind;
	int status;
	const char *code;
	const char *message;
	int64_t input_tokens;
	int64_t output_tokens;
};

static const struct row rows[] = {
	/* Successes, and what they cost. */
	{HTTP("200", "{\"id\":\"c\",\"usage\":{\"prompt_tokens\":5,\"completion_tokens\":7,\"total_"
		     "tokens\":12}}"),
	 ANSWER_OK, 200, "", "", 5, 7},
	{HTTP("200", "{\"usage\":{\"input_tokens\":1,\"input_tokens_details\":{\"input_tokens\":9},"
		     "\"output_tokens\":2},\"error\":null}"),
	 ANSWER_OK, 200, "", "", 1, 2},
	{HTTP("200", "{\"usage\":{\"prompt_tokens\":5}}"), ANSWER_OK, 200, "", "", 5, -1},
	{HTTP("200", "{\"usage\":{\"prompt_tokens\":-5,\"completion_tokens\":1.5}}"), ANSWER_OK,
	 200, "", "", -1, -1},
	{HTTP("200", "{\"usage\":null}"), ANSWER_OK, 200, "", "", -1, -1},
	{HTTP("200", "{\"usage\":[1]}"), ANSWER_OK, 200, "", "", -1, -1},
	{HTTP("201", "{}"), ANSWER_OK, 201, "", "", -1, -1},
	{HTTP("299", "null"), ANSWER_OK, 299, "", "", -1, -1},
	{LINE(RESPONSE("200", "{}")), ANSWER_OK, 200, "", "", -1, -1},
	{HTTP("200", "{}") "\r", ANSWER_OK, 200, "", "", -1, -1},
	{HTTP("200", "\"{\\\"choices\\\":[]}\""), ANSWER_OK, 200, "", "", -1, -1},
	{HTTP("200", "{\"message\":\"m\",\"code\":\"c\",\"detail\":\"d\"}"), ANSWER_OK, 200, "", "",
	 -1, -1},
	{HTTP("\"200\"", "{}"), ANSWER_OK, 200, "", "", -1, -1},
	{HTTP("200", "{\"content\":\"cut in an emoji \\ud83d\"}"), ANSWER_OK, 200, "", "", -1, -1},
	{LINE(RESPONSE("200", "{}") ",\"error\":\"\""), ANSWER_OK, 200, "", "", -1, -1},
	{LINE(RESPONSE("200", "{}") ",\"error\":{}"), ANSWER_OK, 200, "", "", -1, -1},
	{LINE(RESPONSE("200", "{}") ",\"error\":{\"code\":null,\"message\":\"\"}"), ANSWER_OK, 200,
	 "", "", -1, -1},
	{LINE(RESPONSE("200", "{}") ",\"error\":false"), ANSWER_OK, 200, "", "", -1, -1},
	{LINE(RESPONSE("200", "{}") ",\"error\":[]"), ANSWER_OK, 200, "", "", -1, -1},
	/* By status. */
	{HTTP("400", TOO_LONG), ANSWER_FAILED, 400, "context_length_exceeded", "too long", -1, -1},
	{HTTP("401", "{}"), ANSWER_FAILED, 401, "", "", -1, -1},
	{HTTP("404", "{}"), ANSWER_FAILED, 404, "", "", -1, -1},
	{HTTP("302", "{}"), ANSWER_FAILED, 302, "", "", -1, -1},
	{HTTP("199", "{}"), ANSWER_FAILED, 199, "", "", -1, -1},
	{HTTP("600", "{}"), ANSWER_FAILED, 600, "", "", -1, -1},
	{HTTP("407", "{}"), ANSWER_FAILED, 407, "", "", -1, -1},
	{HTTP("410", "{}"), ANSWER_FAILED, 410, "", "", -1, -1},
	{HTTP("424", "{}"), ANSWER_FAILED, 424, "", "", -1, -1},
	{HTTP("426", "{}"), ANSWER_FAILED, 426, "", "", -1, -1},
	{HTTP("408", "{}"), ANSWER_AGAIN, 408, "", "", -1, -1},
	{HTTP("409", "{}"), ANSWER_AGAIN, 409, "", "", -1, -1},
	{HTTP("425", "{}"), ANSWER_AGAIN, 425, "", "", -1, -1},
	{HTTP("429", TOO_LONG), ANSWER_AGAIN, 429, "context_length_exceeded", "too long", -1, -1},
	{HTTP("500", "\"An error occurred\""), ANSWER_AGAIN, 500, "", "An error occurred", -1, -1},
	{HTTP("503", "null"), ANSWER_AGAIN, 503, "", "", -1, -1},
	{HTTP("599", "{}"), ANSWER_AGAIN, 599, "", "", -1, -1},
	{HTTP("0", "{}"), ANSWER_AGAIN, 0, "", "", -1, -1},
	{HTTP("null", "{}"), ANSWER_AGAIN, 0, "", "", -1, -1},
	{HTTP("-1", "{}"), ANSWER_AGAIN, 0, "", "", -1, -1},
	{HTTP("99999999999999999999", "{}"), ANSWER_AGAIN, 0, "", "", -1, -1},
	{HTTP("422", "{\"detail\":\"bad field\"}"), ANSWER_FAILED, 422, "", "bad field", -1, -1},
	{HTTP("422", "{\"detail\":[{\"msg\":\"bad\"}]}"), ANSWER_FAILED, 422, "", "", -1, -1},
	{HTTP("400", "{\"code\":20012,\"message\":\"no model\",\"data\":null}"), ANSWER_FAILED, 400,
	 "20012", "no model", -1, -1},
	{HTTP("400", "{\"error\":\"plain words\"}"), ANSWER_FAILED, 400, "", "plain words", -1, -1},
	{HTTP("400", "{\"error\":{\"message\":\"m\",\"code\":400}}"), ANSWER_FAILED, 400, "400",
	 "m", -1, -1},
	{HTTP("400", "{\"error\":{\"message\":\"m\",\"code\":null}}"), ANSWER_FAILED, 400, "", "m",
	 -1, -1},
	{LINE(RESPONSE("400", TOO_LONG)), ANSWER_FAILED, 400, "context_length_exceeded", "too long",
	 -1, -1},
	/* By code. */
	{LINE("\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":\"late\"}"),
	 ANSWER_EXPIRED, 0, "batch_expired", "late", -1, -1},
	{LINE("\"response\":null,\"error\":{\"code\":\"batch_cancelled\",\"message\":\"x\"}"),
	 ANSWER_CANCELLED, 0, "batch_cancelled", "x", -1, -1},
	{LINE("\"error\":{\"message\":\"x\",\"code\":\"batch_canceled\"}"), ANSWER_CANCELLED, 0,
	 "batch_canceled", "x", -1, -1},
	{LINE("\"error\":{\"code\":\"batch\\u005fexpired\"}"), ANSWER_EXPIRED, 0,
	 "batch\\u005fexpired", "", -1, -1},
	{LINE("\"error\":{\"code\":\"request_timeout\",\"message\":\"x\"}"), ANSWER_AGAIN, 0,
	 "request_timeout", "x", -1, -1},
	{HTTP("200", "{\"error\":{\"code\":\"server_error\",\"message\":\"x\"}}"), ANSWER_AGAIN,
	 200, "server_error", "x", -1, -1},
	{"{\"custom_id\":\"a\",\"error\":{\"message\":\"no\",\"code\":\"invalid_model\"}}",
	 ANSWER_FAILED, 0, "invalid_model", "no", -1, -1},
	{LINE("\"error\":{\"message\":\"no\",\"code\":503}"), ANSWER_AGAIN, 0, "503", "no", -1, -1},
	{LINE("\"error\":{\"message\":\"no\",\"code\":\"429\"}"), ANSWER_AGAIN, 0, "429", "no", -1,
	 -1},
	{LINE("\"error\":{\"message\":\"no\",\"code\":400}"), ANSWER_FAILED, 0, "400", "no", -1,
	 -1},
	{LINE("\"error\":{\"message\":\"no\",\"code\":0}"), ANSWER_FAILED, 0, "0", "no", -1, -1},
	{LINE("\"error\":{\"message\":\"no\",\"code\":200}"), ANSWER_FAILED, 0, "200", "no", -1,
	 -1},
	{LINE("\"error\":\"words\""), ANSWER_FAILED, 0, "", "words", -1, -1},
	{LINE("\"error\":[\"words\"]"), ANSWER_FAILED, 0, "", "", -1, -1},
	{LINE("\"error\":{\"type\":\"odd\"}"), ANSWER_FAILED, 0, "", "", -1, -1},
	{LINE("\"error_code\":\"DataInspectionFailed\",\"error_message\":\"no\""), ANSWER_FAILED, 0,
	 "DataInspectionFailed", "no", -1, -1},
	{LINE(RESPONSE("200", "{}") ",\"error\":{\"code\":\"odd\",\"message\":\"m\"}"),
	 ANSWER_FAILED, 200, "odd", "m", -1, -1},
	{LINE(RESPONSE("500", "{}") ",\"error\":{\"code\":\"odd\",\"message\":\"m\"}"),
	 ANSWER_AGAIN, 500, "odd", "m", -1, -1},
	{LINE(RESPONSE("400", TOO_LONG) ",\"error\":{\"code\":\"top\",\"message\":\"m\"}"),
	 ANSWER_FAILED, 400, "top", "m", -1, -1},
	/* Nothing said. */
	{"{\"custom_id\":\"a\"}", ANSWER_AGAIN, 0, "", "", -1, -1},
	{LINE("\"response\":null,\"error\":null"), ANSWER_AGAIN, 0, "", "", -1, -1},
	{LINE("\"response\":\"text\""), ANSWER_AGAIN, 0, "", "", -1, -1},
	{LINE("\"response\":[{\"status_code\":200}]"), ANSWER_AGAIN, 0, "", "", -1, -1},
};

static const struct {
	const char *line;
	int result;
	const char *problem;
} broken[] = {
	{"", -EBADMSG, "an unexpected end"},
	{"oops", -EBADMSG, "no value where one is due"},
	{"[]", -EBADMSG, "no object where one is due"},
	{"null", -EBADMSG, "no object where one is due"},
	{"{\"custom_id\":\"a\"} x", -EBADMSG, "something behind the value"},
	{"{\"custom_id\":\"a\",\"response\":{\"body\":{\"error\":{\"code\":}}}}", -EBADMSG,
	 "no value where one is due"},
	{"{\"custom_id\":\"\xff\"}", -EBADMSG, "a byte that is not UTF-8"},
	{"{}", -ENOENT, "no custom_id"},
	{"{\"custom_id\":5,\"response\":{\"status_code\":200}}", -ENOENT, "no custom_id"},
	{"{\"custom_id\":null}", -ENOENT, "no custom_id"},
};

static int parse(const char *line, struct answer *ret_answer, const char **ret_problem)
{
	size_t size = strlen(line);
	auto_free char *copy = xmalloc(size);

	memcpy(copy, line, size);
	return answer_parse(copy, size, ret_answer, ret_problem);
}

static bool span_is(const char *line, struct scan_span span, const char *text)
{
	return span.size == strlen(text) && memcmp(line + span.at, text, span.size) == 0;
}

static void tells_what_became_of_a_request(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct row *row = &rows[i];
		struct answer answer;

		CHECK_ROW(row->line, parse(row->line, &answer, NULL) == 0);
		CHECK_ROW(row->line, span_is(row->line, answer.custom_id, "a"));
		CHECK_ROW(row->line, answer.kind == row->kind);
		CHECK_ROW(row->line, answer.status == row->status);
		CHECK_ROW(row->line, span_is(row->line, answer.error_code, row->code));
		CHECK_ROW(row->line, span_is(row->line, answer.error_message, row->message));
		CHECK_ROW(row->line, answer.input_tokens == row->input_tokens);
		CHECK_ROW(row->line, answer.output_tokens == row->output_tokens);
	}
}

static void refuses_what_is_no_answer(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(broken); i++) {
		struct answer answer = {.status = 77};
		const char *problem = NULL;

		CHECK_ROW(broken[i].line,
			  parse(broken[i].line, &answer, &problem) == broken[i].result);
		CHECK_ROW(broken[i].line, problem && strcmp(problem, broken[i].problem) == 0);
		CHECK_ROW(broken[i].line, answer.status == 77);
		CHECK_ROW(broken[i].line, parse(broken[i].line, &answer, NULL) == broken[i].result);
	}
}

static void names_the_kinds(void)
{
	CU_ASSERT_STRING_EQUAL(answer_kind_name(ANSWER_OK), "ok");
	CU_ASSERT_STRING_EQUAL(answer_kind_name(ANSWER_FAILED), "failed");
	CU_ASSERT_STRING_EQUAL(answer_kind_name(ANSWER_AGAIN), "again");
	CU_ASSERT_STRING_EQUAL(answer_kind_name(ANSWER_EXPIRED), "expired");
	CU_ASSERT_STRING_EQUAL(answer_kind_name(ANSWER_CANCELLED), "cancelled");
}

CHECK_MAIN("answer", CHECK(tells_what_became_of_a_request), CHECK(refuses_what_is_no_answer),
	   CHECK(names_the_kinds))
