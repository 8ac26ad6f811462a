#include "daemon/model/content.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

#define LINE(body)                                                                                 \
	"{\"id\":\"batch_req_1\",\"custom_id\":\"a\",\"response\":{\"status_code\":200,"           \
	"\"request_id\":\"r\",\"body\":" body "},\"error\":null}"
#define CHAT(message)                                                                              \
	LINE("{\"id\":\"chatcmpl-1\",\"object\":\"chat.completion\",\"created\":1711471533,"       \
	     "\"model\":\"m\",\"choices\":[{\"index\":0,\"message\":" message                      \
	     ",\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{\"prompt_tokens\":22}}")
#define EMBEDDINGS(data)                                                                           \
	LINE("{\"object\":\"list\",\"data\":[" data "],\"model\":\"m\",\"usage\":{\"total_tokens\":2}}")
#define REPLY(output)                                                                              \
	LINE("{\"id\":\"resp_1\",\"object\":\"response\",\"status\":\"completed\",\"error\":null,"   \
	     "\"output\":[" output "],\"text\":{\"format\":{\"type\":\"text\"}}}")
#define MESSAGE(parts)                                                                             \
	"{\"type\":\"message\",\"id\":\"msg_1\",\"status\":\"completed\",\"role\":\"assistant\","  \
	"\"content\":[" parts "]}"
#define TEXT(text) "{\"type\":\"output_text\",\"annotations\":[],\"text\":\"" text "\"}"
#define REASONING                                                                                  \
	"{\"id\":\"rs_1\",\"type\":\"reasoning\",\"summary\":[],\"content\":"                      \
	"[{\"type\":\"reasoning_text\",\"text\":\"hm\"}]}"
#define TOOL_CALL                                                                                  \
	"{\"role\":\"assistant\",\"content\":null,\"tool_calls\":[{\"id\":\"c\",\"type\":"         \
	"\"function\",\"function\":{\"name\":\"f\",\"arguments\":\"{}\"}}]}"
#define MODERATION                                                                                 \
	"{\"id\":\"modr-1\",\"model\":\"m\",\"results\":[{\"flagged\": false}]}"

/* clang-format off */
static const struct {
	const char *row;
	const char *line;
	const char *text;
} forms[] = {
	{ "chat",                  CHAT("{\"role\":\"assistant\",\"content\":\"Hello.\"}"), "Hello." },
	{ "chat, escapes",         CHAT("{\"content\":\"a\\n\\\"b\\\" \\u00e9\\ud83d\\ude00\\t/\\/\"}"),
	                           "a\n\"b\" \xc3\xa9\xf0\x9f\x98\x80\t//" },
	{ "half a pair",           CHAT("{\"content\":\"cut \\ud83d\"}"), "cut \xef\xbf\xbd" },
	{ "chat, empty",           CHAT("{\"content\":\"\",\"refusal\":null}"), "" },
	{ "chat, parts",           CHAT("{\"content\":[{\"type\":\"text\",\"text\":\"one \"},"
	                                "{\"type\":\"image_url\"},7,{\"type\":\"text\",\"text\":\"two\"}]}"), "one two" },
	{ "chat, refusal",         CHAT("{\"role\":\"assistant\",\"content\":null,\"refusal\":\"I can't.\"}"), "I can't." },
	{ "chat, both",            CHAT("{\"content\":\"yes\",\"refusal\":\"no\"}"), "yes" },
	{ "chat, empty beside one", CHAT("{\"content\":\"\",\"refusal\":\"no\"}"), "no" },
	{ "chat, members twice",   CHAT("{\"content\":\"first\",\"content\":\"last\"}"), "last" },
	{ "chat, several choices", LINE("{\"choices\":[{\"message\":{\"content\":\"1\"}},{\"message\":{\"content\":\"2\"}}]}"), "1" },
	{ "chat, no choice",       LINE("{\"choices\":[]}"), "{\"choices\":[]}" },
	{ "completion",            LINE("{\"object\":\"text_completion\",\"choices\":[{\"text\":\"\\n\\nDone\",\"index\":0}]}"), "\n\nDone" },
	{ "responses",             REPLY(MESSAGE(TEXT("Hi"))), "Hi" },
	{ "responses, reasoning",  REPLY(REASONING "," MESSAGE(TEXT("a") "," TEXT("b")) "," REASONING "," MESSAGE(TEXT("\\u0063"))), "abc" },
	{ "responses, refusal",    REPLY(MESSAGE("{\"type\":\"refusal\",\"refusal\":\"No.\"}")), "No." },
	{ "responses, empty text", REPLY(MESSAGE(TEXT(""))), "" },
	{ "responses, text first", LINE("{\"text\":\"x\",\"output\":[" MESSAGE(TEXT("y")) "]}"), "y" },
	{ "one embedding",         EMBEDDINGS("{\"object\":\"embedding\",\"index\":0,\"embedding\":[0.1, -2e-3]}"), "[0.1, -2e-3]" },
	{ "base64",                EMBEDDINGS("{\"embedding\":\"AAAA\",\"index\":0}"), "\"AAAA\"" },
	{ "many embeddings",       EMBEDDINGS("{\"index\":2,\"embedding\":[3]},{\"index\":0,\"embedding\":[1]},{\"index\":1,\"embedding\":[2]}"), "[[1],[2],[3]]" },
	{ "without an index",      EMBEDDINGS("{\"embedding\":[1]},{\"embedding\":[2]}"), "[[1],[2]]" },
	{ "one index for all",     EMBEDDINGS("{\"index\":0,\"embedding\":\"a\"},{\"index\":0,\"embedding\":\"b\"}"), "[\"a\",\"b\"]" },
	{ "moderation",            LINE(MODERATION), MODERATION },
	{ "moderation, spaced",    LINE("  " MODERATION " "), MODERATION },
	{ "images",                LINE("{\"created\":1,\"data\":[{\"url\":\"u\"}]}"), "{\"created\":1,\"data\":[{\"url\":\"u\"}]}" },
	{ "body is text",          LINE("\"all \\\"well\\\"\""), "all \"well\"" },
	{ "body is empty text",    LINE("\"\""), "" },
	{ "body is JSON as text",  LINE("\"{\\\"choices\\\":[{\\\"message\\\":{\\\"content\\\":\\\"in \\\\u0061\\\"}}]}\""), "in a" },
	{ "body is text of a number", LINE("\"12\""), "12" },
	{ "body is text with blanks", LINE("\" [1] \""), " [1] " },
	{ "body is text like JSON", LINE("\"{\\\"choices\\\":\""), "{\"choices\":" },
	{ "body is an array",      LINE("[1, 2]"), "[1, 2]" },
	{ "body is true",          LINE("true"), "true" },
	{ "names with escapes",    LINE("{\"cho\\u0069ces\":[{\"text\":\"x\"}]}"), "x" },
	{ "other kinds",           LINE("{\"choices\":{},\"output\":7,\"data\":null}"), "{\"choices\":{},\"output\":7,\"data\":null}" },
	{ "kinds within",          LINE("{\"choices\":[[]],\"output\":[7,{\"content\":[null]}],\"data\":[[]]}"),
	                           "{\"choices\":[[]],\"output\":[7,{\"content\":[null]}],\"data\":[[]]}" },
	{ "bodies twice",          "{\"response\":{\"body\":1,\"body\":\"x\"}}", "x" },
};

static const struct {
	const char *row;
	const char *line;
	int expected;
} failures[] = {
	{ "no response",      "{\"custom_id\":\"a\"}", -ENOENT },
	{ "response is null", "{\"custom_id\":\"a\",\"response\":null,\"error\":{}}", -ENOENT },
	{ "no body",          "{\"response\":{\"status_code\":200}}", -ENOENT },
	{ "body is null",     LINE("null"), -ENOENT },
	{ "body beside it",   "{\"response\":{},\"body\":1}", -ENOENT },
	{ "the last counts",  "{\"response\":{\"body\":1},\"response\":null}", -ENOENT },
	{ "nothing",          "", -EBADMSG },
	{ "an array",         "[]", -EBADMSG },
	{ "cut",              "{\"response\":{\"body\":{\"choices\":[", -EBADMSG },
	{ "cut behind",       "{\"response\":{\"body\":{}}", -EBADMSG },
	{ "more behind",      "{\"response\":{\"body\":{}}}{}", -EBADMSG },
	{ "no UTF-8",         LINE("\"\xff\""), -EBADMSG },
};
/* clang-format on */

static void takes_the_text_out_of_every_form(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		auto_buffer text = {0};

		buffer_add_text(&text, ">");
		CHECK_ROW(forms[i].row,
			  content_add(&text, forms[i].line, strlen(forms[i].line)) == 0);
		CHECK_ROW(forms[i].row, strcmp(buffer_text(&text) + 1, forms[i].text) == 0);
		if (strcmp(buffer_text(&text) + 1, forms[i].text) != 0)
			(void)fprintf(stderr, "# %s\n", buffer_text(&text));
	}
}

static void gives_a_tool_call_as_it_came(void)
{
	static const char *const lines[] = {CHAT(TOOL_CALL),
					    REPLY("{\"type\":\"function_call\",\"name\":\"f\"}")};

	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		auto_buffer text = {0};

		CU_ASSERT_EQUAL(content_add(&text, lines[i], strlen(lines[i])), 0);
		CU_ASSERT_PTR_NOT_NULL(strstr(lines[i], buffer_text(&text)));
		CU_ASSERT_EQUAL(text.data[0], '{');
		CU_ASSERT_EQUAL(text.data[text.size - 1], '}');
	}
}

static void refuses_what_has_no_body_and_adds_nothing(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(failures); i++) {
		auto_buffer text = {0};

		CHECK_ROW(failures[i].row,
			  content_add(&text, failures[i].line, strlen(failures[i].line)) ==
				  failures[i].expected);
		CHECK_ROW(failures[i].row, text.size == 0);
	}
}

/* Every beginning of every line: never a byte beyond it is looked at (a sanitizer would tell). */
static void reads_no_byte_beyond_a_line(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		size_t size = strlen(forms[i].line);

		for (size_t cut = 0; cut < size; cut++) {
			auto_free char *line = malloc(cut + !cut);
			auto_buffer text = {0};

			memcpy(line, forms[i].line, cut);
			CHECK_ROW(forms[i].row, content_add(&text, line, cut) == -EBADMSG);
		}
	}
}

static void keeps_a_nul_that_is_in_a_text(void)
{
	static const char line[] = CHAT("{\"content\":\"a\\u0000b\"}");
	auto_buffer text = {0};

	CU_ASSERT_EQUAL(content_add(&text, line, sizeof(line) - 1), 0);
	CU_ASSERT_EQUAL(text.size, 3);
	CU_ASSERT_EQUAL(memcmp(text.data, "a\0b", 3), 0);
}

static void gives_the_whole_body_of_too_many_embeddings(void)
{
	auto_buffer line = {0};
	auto_buffer text = {0};

	buffer_add_text(&line, "{\"response\":{\"body\":{\"data\":[");
	for (int i = 0; i <= CONTENT_MAX_EMBEDDINGS; i++)
		buffer_add_text(&line, i ? ",{\"embedding\":1}" : "{\"embedding\":1}");
	buffer_add_text(&line, "]}}}");
	CU_ASSERT_EQUAL(content_add(&text, line.data, line.size), 0);
	CU_ASSERT_EQUAL(strncmp(buffer_text(&text), "{\"data\":[{\"embedding\":1}", 24), 0);
	CU_ASSERT_EQUAL(text.size, line.size - strlen("{\"response\":{\"body\":") - 2);
}

static void finds_the_parts_of_a_line(void)
{
	static const char line[] =
		"{\"custom_id\": \"\\u0061\", \"error\" : \"e\" ,\"response\":{\"body\": \"b\" }}";
	static const char nothing[] = "{\"custom_id\":7,\"error\":null,\"response\":\"x\"}";
	struct content_parts parts;

	CU_ASSERT_EQUAL(content_find(line, sizeof(line) - 1, &parts), 0);
	CU_ASSERT(strncmp(line + parts.custom_id.at, "\\u0061\"", parts.custom_id.size + 1) == 0);
	CU_ASSERT(parts.error.size == 3 && strncmp(line + parts.error.at, "\"e\"", 3) == 0);
	CU_ASSERT(parts.body.size == 3 && strncmp(line + parts.body.at, "\"b\"", 3) == 0);
	CU_ASSERT_EQUAL(content_find(nothing, sizeof(nothing) - 1, &parts), 0);
	CU_ASSERT(!parts.custom_id.size && !parts.error.size && !parts.body.size);
}

/* clang-format off */
CHECK_MAIN("content",
	   CHECK(takes_the_text_out_of_every_form),
	   CHECK(gives_a_tool_call_as_it_came),
	   CHECK(refuses_what_has_no_body_and_adds_nothing),
	   CHECK(reads_no_byte_beyond_a_line),
	   CHECK(keeps_a_nul_that_is_in_a_text),
	   CHECK(gives_the_whole_body_of_too_many_embeddings),
	   CHECK(finds_the_parts_of_a_line))
/* clang-format on */
