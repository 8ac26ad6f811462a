/* What a provider says is wrong, in all the ways in which it was seen to say it, and however much of it. */
#include "daemon/work/api_words.h"

#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/work/api_parse.h"
#include "tests/unit/check.h"

/* Each entry as "line code message param;", "-" where there is none. The caller frees. */
static char *walk(const char *json)
{
	struct api_errors errors;
	struct api_flaw flaw;
	struct buffer text = { 0 };

	api_errors_init(&errors, json, strlen(json));
	while (api_errors_next(&errors, &flaw)) {
		buffer_add_format(&text, "%lld %s %s %s;", (long long)flaw.line, flaw.code ? flaw.code : "-",
				  flaw.message ? flaw.message : "-", flaw.param ? flaw.param : "-");
		api_flaw_release(&flaw);
	}
	(void)buffer_text(&text);
	return text.data;
}

static size_t count(const char *json)
{
	struct api_errors errors;
	size_t entries = 0;

	api_errors_init(&errors, json, strlen(json));
	while (api_errors_next(&errors, NULL))
		entries++;
	return entries;
}

static void every_entry_of_the_errors_is_read(void)
{
	/* clang-format off */
	static const struct { const char *json, *entries; } cases[] = {
		{ "null", "" }, { "[]", "" }, { "{}", "" }, { "{\"data\":null}", "" }, { "{\"data\":[]}", "" }, { "\"\"", "" },
		{ "17", "" }, { "true", "" }, { "", "" }, { "{\"object\":\"list\",\"data\":{}}", "" },
		{ "{\"object\":\"list\",\"data\":[{\"code\":\"c\",\"line\":3,\"message\":\"m\",\"param\":\"p\"},{\"line\":7,\"message\":\"n\"}]}",
		  "3 c m p;7 - n -;" },
		{ "[{\"code\":\"c\",\"message\":\"m\"},{},null,17,\"text\"]", "0 c m -;0 - - -;0 - - -;0 - - -;0 - text -;" },
		{ "{\"code\":\"c\",\"message\":\"m\",\"line\":2}", "2 c m -;" },
		{ "\"m\"", "0 - m -;" },
		{ "{\"data\":\"m\"}", "0 - m -;" },
		/* lines */
		{ "[{\"line\":\"3\"}]", "3 - - -;" }, { "[{\"line\":null}]", "0 - - -;" }, { "[{\"line\":0}]", "0 - - -;" },
		{ "[{\"line\":-1}]", "0 - - -;" }, { "[{\"line\":2.5}]", "0 - - -;" }, { "[{\"line\":\"x\"}]", "0 - - -;" },
		{ "[{\"line\":[3]}]", "0 - - -;" }, { "[{\"line\":99999999999999999999}]", "0 - - -;" },
		{ "[{\"line\":2,\"line\":4}]", "4 - - -;" },
		/* codes and sentences */
		{ "[{\"code\":400,\"message\":\"\\u00e9\\n\\\"x\\\"\"}]", "0 400 \xc3\xa9\n\"x\" -;" },
		{ "[{\"code\":\"the prompt was: hello\",\"message\":\"m\"}]", "0 - m -;" },
		{ "[{\"code\":null,\"message\":\"   \",\"param\":\"\"}]", "0 - - -;" },
		{ "[{\"message\":{\"a\":1},\"code\":[\"c\"]}]", "0 - - -;" },
		{ "[{\"message\":\"\\ud800 x\"}]", "0 - \xef\xbf\xbd x -;" },
		/* what cannot be read ends it */
		{ "[{\"line\":1},{\"line\":2", "1 - - -;" }, { "[{\"line\":1},", "1 - - -;" }, { "[\"a\" \"b\"]", "0 - a -;" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *entries = walk(cases[i].json);

		CHECK_ROW(cases[i].json, strcmp(entries, cases[i].entries) == 0);
	}
	CU_ASSERT_EQUAL(count("{\"data\":[{\"line\":1},null,\"x\"]}"), 3);
	CU_ASSERT_EQUAL(count("[]"), 0);
}

static void what_was_cut_in_mid_character_is_mended(void)
{
	CU_ASSERT_PTR_NULL(api_mend("{\"a\":\"\xc3\xa9\"}", 10));
	CU_ASSERT_PTR_NULL(api_mend("{} behind it", 12));
	for (int i = 0; i < 2; i++) {
		const char *json = i ? "{\"id\":\"b\",\"status\":\"failed\",\"errors\":[{\"message\":\"x\xc3\"}]}" :
				       "[{\"id\":\"b\",\"errors\":[\"\xff\xfe\"]}]";
		auto_free char *mended = api_mend(json, strlen(json));

		CU_ASSERT_PTR_NOT_NULL_FATAL(mended);
		CU_ASSERT_EQUAL(strlen(mended), strlen(json));
		CU_ASSERT_PTR_NULL(strpbrk(mended, "\xc3\xff\xfe"));
	}
}

static long peak_kib(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

static void add_errors(struct buffer *json, int entries)
{
	buffer_add_text(json, "\"errors\":{\"object\":\"list\",\"data\":[");
	for (int i = 1; i <= entries; i++)
		buffer_add_format(json,
				  "%s{\"code\":\"model_not_found\",\"message\":\"The provided model 'nonexistent-model-%d' is not "
				  "supported by the Batch API. Choose another one, and mind the spelling.\",\"param\":"
				  "\"body.model\",\"line\":%d}",
				  i > 1 ? "," : "", i, i);
	buffer_add_text(json, "]}");
}

/* As long as an answer may be. A tree of it would take ten times as much. */
static void an_error_for_every_line_takes_no_memory(void)
{
	auto_buffer json = { 0 };
	struct api_batch batch = { 0 };
	struct api_errors errors;
	struct api_flaw flaw;
	int64_t lines = 0;
	long before;

	buffer_add_text(&json, "{\"id\":\"b\",\"status\":\"failed\",");
	add_errors(&json, 70000);
	buffer_add_text(&json, "}");
	CU_ASSERT_TRUE(json.size > (12 << 20) && json.size < (16 << 20));
	before = peak_kib();
	CU_ASSERT_EQUAL_FATAL(api_parse_batch(json.data, json.size, &batch, NULL), 0);
	CU_ASSERT_EQUAL(batch.status, API_STATUS_FAILED);
	CU_ASSERT_EQUAL(batch.error_count, 70000);
	CU_ASSERT_EQUAL(batch.error_line, 1);
	api_errors_init(&errors, json.data + batch.errors.at, batch.errors.size);
	while (api_errors_next(&errors, &flaw)) {
		lines += flaw.line == lines + 1 && strcmp(flaw.code, "model_not_found") == 0;
		api_flaw_release(&flaw);
	}
	CU_ASSERT_EQUAL(lines, 70000);
	CU_ASSERT_TRUE(CHECK_IS_SANITIZED || peak_kib() - before < 1024);
	api_batch_release(&batch);
}

static void add_status(const struct api_batch *batch, void *context)
{
	struct buffer *text = context;

	buffer_add_format(text, "%s %s %lld,", batch->id, batch->status_text, (long long)batch->error_count);
}

static void a_page_of_failed_batches_takes_no_memory(void)
{
	auto_buffer json = { 0 };
	auto_buffer seen = { 0 };
	auto_buffer wanted = { 0 };
	auto_free char *last = NULL;
	int has_more = 7;
	long before;

	buffer_add_text(&json, "{\"has_more\":false,\"data\":[");
	for (int i = 0; i < 100; i++) {
		buffer_add_format(&json, "%s{\"id\":\"b-%d\",\"status\":\"FAILED\",", i ? "," : "", i);
		add_errors(&json, 700);
		buffer_add_text(&json, "}");
		buffer_add_format(&wanted, "b-%d FAILED 700,", i);
	}
	buffer_add_text(&json, "]}");
	before = peak_kib();
	CU_ASSERT_EQUAL(api_parse_list(json.data, json.size, add_status, &seen, &has_more, &last, NULL), 0);
	CU_ASSERT_STRING_EQUAL(buffer_text(&seen), buffer_text(&wanted));
	CU_ASSERT_EQUAL(has_more, 0);
	CU_ASSERT_STRING_EQUAL(last, "b-99");
	CU_ASSERT_TRUE(CHECK_IS_SANITIZED || peak_kib() - before < 1024);
}

/* Members of interest that are absurd are not, and neither do they cost what they say. */
static void a_batch_of_junk_takes_no_memory(void)
{
	auto_buffer json = { 0 };
	struct api_batch batch = { 0 };
	long before;

	buffer_add_text(&json, "{\"metadata\":[");
	while (json.size < (4 << 20))
		buffer_add_text(&json, "[],[],[],[],[],[],[],[],");
	buffer_add_text(&json, "[]],\"junk\":[");
	while (json.size < (12 << 20))
		buffer_add_text(&json, "{},{},{},{},{},{},{},{},");
	buffer_add_text(&json, "{}],\"id\":\"b\",\"status\":\"completed\"}");
	before = peak_kib();
	CU_ASSERT_EQUAL_FATAL(api_parse_batch(json.data, json.size, &batch, NULL), 0);
	CU_ASSERT_EQUAL(batch.status, API_STATUS_COMPLETED);
	CU_ASSERT_FALSE(batch.has_metadata);
	CU_ASSERT_TRUE(CHECK_IS_SANITIZED || peak_kib() - before < 1024);
	api_batch_release(&batch);
}

static void it_is_known_what_another_provider_may_have(void)
{
	/* clang-format off */
	static const struct { const char *code, *message; bool is_elsewhere; } rows[] = {
		{ "model_not_found", NULL, true },
		{ "url_not_found", "x", true },
		{ "DeploymentNotFound", NULL, true },
		{ NULL, "The model `m` does not exist or you do not have access to it.", true },
		{ "x", "The provided Model 'm' is not supported by the Batch API.", true },
		{ "x", "The provided url '/v1/x' is not supported by the Batch API.", true },
		{ NULL, NULL, false },
		{ "invalid_value", "Unsupported value: 'temperature' does not support 0 with this model.", false },
		{ "model_not_found_x", "x", false },
		{ "invalid_api_key", "Incorrect API key provided.", false },
		{ "token_limit_exceeded", "Enqueued token limit reached for gpt-4o.", false },
		{ "not_found", "No such file.", false },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		CHECK_ROW(rows[i].message ? rows[i].message : "a code alone",
			  api_says_elsewhere(rows[i].code, rows[i].message) == rows[i].is_elsewhere);
}

CHECK_MAIN("api_words", CHECK(it_is_known_what_another_provider_may_have), CHECK(every_entry_of_the_errors_is_read), CHECK(what_was_cut_in_mid_character_is_mended),
	   CHECK(an_error_for_every_line_takes_no_memory), CHECK(a_page_of_failed_batches_takes_no_memory),
	   CHECK(a_batch_of_junk_takes_no_memory))
