/* What providers write, in all the ways in which they were seen to write it. */
#include "daemon/work/api_parse.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/unit/check.h"

static bool is_text(const char *got, const char *wanted)
{
	return wanted ? got && strcmp(got, wanted) == 0 : !got;
}

static struct api_batch parse(const char *json)
{
	struct api_batch batch = { 0 };

	CHECK_ROW(json, api_parse_batch(json, strlen(json), &batch, NULL) == 0);
	return batch;
}

static void the_documented_batch_is_read(void)
{
	struct api_batch batch =
		parse("{\"id\":\"batch_1\",\"object\":\"batch\",\"endpoint\":\"/v1/embeddings\",\"errors\":null,"
		      "\"input_file_id\":\"file-1\",\"status\":\"completed\",\"output_file_id\":\"file-2\","
		      "\"error_file_id\":\"file-3\",\"created_at\":1711471533,\"request_counts\":{\"total\":100,"
		      "\"completed\":95,\"failed\":5},\"metadata\":{\"batchd\":\"m\",\"else\":\"x\"}}");

	CU_ASSERT_TRUE(is_text(batch.id, "batch_1"));
	CU_ASSERT_TRUE(is_text(batch.status_text, "completed"));
	CU_ASSERT_EQUAL(batch.status, API_STATUS_COMPLETED);
	CU_ASSERT_TRUE(is_text(batch.input_file_id, "file-1"));
	CU_ASSERT_TRUE(is_text(batch.output_file_id, "file-2"));
	CU_ASSERT_TRUE(is_text(batch.error_file_id, "file-3"));
	CU_ASSERT_EQUAL(batch.completed, 95);
	CU_ASSERT_EQUAL(batch.failed, 5);
	CU_ASSERT_EQUAL(batch.created_at, 1711471533000);
	CU_ASSERT_TRUE(is_text(batch.marker, "m"));
	CU_ASSERT_TRUE(batch.has_metadata);
	CU_ASSERT_EQUAL(batch.error_count, 0);
	api_batch_release(&batch);
}

static void every_word_for_a_status_is_known(void)
{
	/* clang-format off */
	static const struct { const char *word; enum api_status status; bool is_end; } cases[] = {
		{ "validating", API_STATUS_VALIDATING, false }, { "Validating", API_STATUS_VALIDATING, false },
		{ "pending", API_STATUS_VALIDATING, false }, { "queued", API_STATUS_VALIDATING, false },
		{ "QUEUED", API_STATUS_VALIDATING, false }, { "in_queue", API_STATUS_VALIDATING, false },
		{ "scheduling", API_STATUS_VALIDATING, false }, { "pre_schedule", API_STATUS_VALIDATING, false },
		{ "in_progress", API_STATUS_IN_PROGRESS, false }, { "IN_PROGRESS", API_STATUS_IN_PROGRESS, false },
		{ "progress", API_STATUS_IN_PROGRESS, false }, { "running", API_STATUS_IN_PROGRESS, false },
		{ "finalizing", API_STATUS_FINALIZING, false },
		{ "cancelling", API_STATUS_CANCELLING, false }, { "canceling", API_STATUS_CANCELLING, false },
		{ "completed", API_STATUS_COMPLETED, true }, { "success", API_STATUS_COMPLETED, true },
		{ "succeeded", API_STATUS_COMPLETED, true }, { "ended", API_STATUS_COMPLETED, true },
		{ "failed", API_STATUS_FAILED, true }, { "FAILED", API_STATUS_FAILED, true },
		{ "expired", API_STATUS_EXPIRED, true }, { "timeout_exceeded", API_STATUS_EXPIRED, true },
		{ "cancelled", API_STATUS_CANCELLED, true }, { "canceled", API_STATUS_CANCELLED, true },
		{ "InProgress", API_STATUS_IN_PROGRESS, false }, { "in-progress", API_STATUS_IN_PROGRESS, false },
		{ "PROGRESS", API_STATUS_IN_PROGRESS, false }, { "TIMEOUT_EXCEEDED", API_STATUS_EXPIRED, true },
		{ "CANCELING", API_STATUS_CANCELLING, false }, { "Cancelled", API_STATUS_CANCELLED, true },
		{ "cancellation_requested", API_STATUS_CANCELLING, false }, { "SUCCESS", API_STATUS_COMPLETED, true },
		{ "in_progres", API_STATUS_UNKNOWN, false }, { "_", API_STATUS_UNKNOWN, false },
		{ "meditating", API_STATUS_UNKNOWN, false }, { "complete", API_STATUS_UNKNOWN, false },
		{ "", API_STATUS_UNKNOWN, false }, { NULL, API_STATUS_UNKNOWN, false },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		CHECK_ROW(cases[i].word ? cases[i].word : "NULL", api_status_of(cases[i].word) == cases[i].status);
		CHECK_ROW(cases[i].word ? cases[i].word : "NULL",
			  api_status_is_terminal(cases[i].status) == cases[i].is_end);
	}
}

static void a_batch_without_a_status_is_not_at_its_end(void)
{
	struct api_batch batch = parse("{\"id\":\"b\"}");

	CU_ASSERT_TRUE(is_text(batch.status_text, "-"));
	CU_ASSERT_EQUAL(batch.status, API_STATUS_UNKNOWN);
	CU_ASSERT_EQUAL(batch.completed, -1);
	CU_ASSERT_EQUAL(batch.failed, -1);
	CU_ASSERT_EQUAL(batch.created_at, 0);
	CU_ASSERT_FALSE(batch.has_metadata);
	api_batch_release(&batch);
}

static void times_are_read_in_every_form(void)
{
	/* clang-format off */
	static const struct { const char *json; int64_t wanted; } cases[] = {
		{ "1790705881",                        1790705881000 },
		{ "1790705881123",                     1790705881123 },
		{ "1790705881.25",                     1790705881250 },
		{ "\"1790705881\"",                    1790705881000 },
		{ "\"2026-09-29T18:18:01Z\"",          1790705881000 },
		{ "\"2026-09-29T18:18:01.000Z\"",      1790705881000 },
		{ "\"2026-09-29T18:18:01.123456Z\"",   1790705881000 },
		{ "\"2026-09-29 18:18:01Z\"",          1790705881000 },
		{ "\"2026-09-29T18:18:01+00:00\"",     1790705881000 },
		{ "\"2026-09-29T20:18:01+02:00\"",     1790705881000 },
		{ "\"2026-09-29T11:18:01-07:00\"",     1790705881000 },
		{ "\"2026-09-29T23:48:01.5+0530\"",    1790705881000 },
		{ "\"2026-09-29T20:18:01+02\"",        1790705881000 },
		/* Whose hours these are, nobody says. */
		{ "\"2026-09-29T18:18:01\"",           0 },
		{ "\"2026-09-29\"",                    0 },
		{ "\"1900-02-28T12:00:00Z\"",          0 },
		{ "\"yesterday\"",                     0 },
		{ "\"\"",                              0 },
		{ "null",                              0 },
		{ "0",                                 0 },
		{ "-5",                                0 },
		{ "1e300",                             0 },
		{ "true",                              0 },
		{ "{}",                                0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *json = xasprintf("{\"id\":\"b\",\"created_at\":%s}", cases[i].json);
		struct api_batch batch = parse(json);

		CHECK_ROW(json, batch.created_at == cases[i].wanted);
		api_batch_release(&batch);
	}
}

static void errors_are_read_in_every_form(void)
{
	/* clang-format off */
	static const struct { const char *json; int64_t count; const char *code, *param, *message; } cases[] = {
		{ "null",                                   0, NULL, NULL, NULL },
		{ "{\"object\":\"list\",\"data\":null}",    0, NULL, NULL, NULL },
		{ "{\"data\":[]}",                          0, NULL, NULL, NULL },
		{ "[]",                                     0, NULL, NULL, NULL },
		{ "\"\"",                                   0, NULL, NULL, NULL },
		{ "{\"data\":[{\"code\":\"c\",\"message\":\"m\",\"param\":\"p\",\"line\":3},{}]}", 2, "c", "p", "m" },
		{ "[{\"code\":\"c\",\"message\":\"m\"}]",   1, "c", NULL, "m" },
		{ "[{\"code\":400,\"message\":\"m\"}]",     1, "400", NULL, "m" },
		{ "[\"m\",\"n\"]",                          2, NULL, NULL, "m" },
		{ "\"m\"",                                  1, NULL, NULL, "m" },
		{ "{\"data\":\"m\"}",                       1, NULL, NULL, "m" },
		{ "{\"code\":\"c\",\"message\":\"m\"}",     1, "c", NULL, "m" },
		{ "[{\"message\":\"m\",\"count\":3}]",      1, NULL, NULL, "m" },
		{ "[null]",                                 1, NULL, NULL, NULL },
		{ "17",                                     0, NULL, NULL, NULL },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *json = xasprintf("{\"id\":\"b\",\"errors\":%s}", cases[i].json);
		struct api_batch batch = parse(json);

		CHECK_ROW(json, batch.error_count == cases[i].count);
		CHECK_ROW(json, is_text(batch.error_code, cases[i].code));
		CHECK_ROW(json, is_text(batch.error_param, cases[i].param));
		CHECK_ROW(json, is_text(batch.error_message, cases[i].message));
		api_batch_release(&batch);
	}
}

static void a_long_message_is_cut_and_not_lost(void)
{
	auto_buffer json = { 0 };
	struct api_batch batch;

	buffer_add_text(&json, "{\"id\":\"b\",\"errors\":[{\"message\":\"x");
	for (int i = 0; i < 5000; i++)
		buffer_add_text(&json, "\xc3\xa9");
	buffer_add_text(&json, "\"}]}");
	batch = parse(buffer_text(&json));
	CU_ASSERT_PTR_NOT_NULL_FATAL(batch.error_message);
	CU_ASSERT_EQUAL(strlen(batch.error_message), 399);
	api_batch_release(&batch);
}

static void ids_and_counts_are_read_in_every_form(void)
{
	/* clang-format off */
	static const struct { const char *json, *id, *output; int64_t completed; } cases[] = {
		{ "{\"id\":\"b\",\"output_file_id\":\"\"}",                        "b", NULL, -1 },
		{ "{\"id\":\"b\",\"output_file_id\":null,\"request_counts\":null}", "b", NULL, -1 },
		{ "{\"id\":\"b\",\"request_counts\":{\"completed\":null}}",        "b", NULL, -1 },
		{ "{\"id\":\"b\",\"request_counts\":{\"completed\":\"3\"}}",       "b", NULL, -1 },
		{ "{\"id\":\"b\",\"request_counts\":{\"completed\":3.0}}",         "b", NULL, 3 },
		{ "{\"id\":\"b\",\"request_counts\":{\"completed\":-3}}",          "b", NULL, -1 },
		{ "{\"id\":\"b\",\"x\":{\"deep\":[[[1]]]},\"output_file_id\":\"f\"}", "b", "f", -1 },
		{ "{\"job\":{\"id\":\"b\",\"output_file_id\":\"f\"}}",             "b", "f", -1 },
		{ "{\"code\":20000,\"data\":{\"id\":\"b\"},\"status\":true}",      "b", NULL, -1 },
		{ "{\"id\":\"b\",\"total\":4,\"completed\":3,\"failed\":1}",         "b", NULL, 3 },
		{ "{\"id\":\"b\",\"completed\":3,\"request_counts\":{\"completed\":2}}", "b", NULL, 2 },
		{ "{\"id\":\"b\",\"completed\":3,\"request_counts\":{\"completed\":null}}", "b", NULL, 3 },
		{ "{\"id\":\"b\",\"completed\":true}",                           "b", NULL, -1 },
		{ " \n{\"id\":\"8f14e45f-ceea-467f\"}\n",                           "8f14e45f-ceea-467f", NULL, -1 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_batch batch = parse(cases[i].json);

		CHECK_ROW(cases[i].json, is_text(batch.id, cases[i].id));
		CHECK_ROW(cases[i].json, is_text(batch.output_file_id, cases[i].output));
		CHECK_ROW(cases[i].json, batch.completed == cases[i].completed);
		api_batch_release(&batch);
	}
}

static void a_time_of_creation_may_have_another_name(void)
{
	struct api_batch batch = parse("{\"id\":\"b\",\"createdAt\":1790705881}");
	struct api_file file = { 0 };
	static const char json[] = "{\"code\":20000,\"data\":{\"id\":\"f\",\"createdAt\":\"2026-09-29T18:18:01Z\"}}";

	CU_ASSERT_EQUAL(batch.created_at, 1790705881000);
	api_batch_release(&batch);
	CU_ASSERT_EQUAL_FATAL(api_parse_file(json, strlen(json), &file, NULL), 0);
	CU_ASSERT_EQUAL(file.created_at, 1790705881000);
	api_file_release(&file);
}

/* An id of 4 KiB is one; a longer one is none, and what has no id is no batch. */
static void an_id_may_be_long(void)
{
	static const struct { size_t size; bool is_id; } cases[] = { { 1500, true }, { 4096, true }, { 4097, false } };

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *id = xcalloc(1, cases[i].size + 1);
		auto_free char *json = NULL;
		struct api_batch batch = { 0 };

		memset(id, 'x', cases[i].size);
		json = xasprintf("{\"id\":\"%s\"}", id);
		CU_ASSERT_EQUAL(api_parse_batch(json, strlen(json), &batch, NULL), cases[i].is_id ? 0 : -EBADMSG);
		CU_ASSERT_TRUE(is_text(batch.id, cases[i].is_id ? id : NULL));
		api_batch_release(&batch);
	}
}

static void every_word_for_the_state_of_a_file_is_known(void)
{
	/* clang-format off */
	static const struct { const char *word; enum api_file_state state; } cases[] = {
		{ NULL, API_FILE_READY }, { "processed", API_FILE_READY }, { "Processed", API_FILE_READY },
		{ "succeeded", API_FILE_READY }, { "active", API_FILE_READY },
		{ "uploaded", API_FILE_UNDER_WAY }, { "pending", API_FILE_UNDER_WAY }, { "running", API_FILE_UNDER_WAY },
		{ "validating", API_FILE_UNDER_WAY }, { "meditating", API_FILE_UNDER_WAY }, { "", API_FILE_UNDER_WAY },
		{ "error", API_FILE_BROKEN }, { "Error", API_FILE_BROKEN }, { "deleted", API_FILE_BROKEN },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		CHECK_ROW(cases[i].word ? cases[i].word : "NULL", api_file_state_of(cases[i].word) == cases[i].state);
}

static void metadata_counts_only_where_it_is_echoed(void)
{
	/* clang-format off */
	static const struct { const char *json, *marker; bool has_metadata; } cases[] = {
		{ "null", NULL, false }, { "{}", NULL, false }, { "[]", NULL, false }, { "\"m\"", NULL, false },
		{ "{\"batchd\":\"m\"}", "m", true }, { "{\"batchd\":\"\"}", NULL, true }, { "{\"x\":\"y\"}", NULL, true },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *json = xasprintf("{\"id\":\"b\",\"metadata\":%s}", cases[i].json);
		struct api_batch batch = parse(json);

		CHECK_ROW(json, is_text(batch.marker, cases[i].marker));
		CHECK_ROW(json, batch.has_metadata == cases[i].has_metadata);
		api_batch_release(&batch);
	}
}

static void what_is_no_batch_is_refused(void)
{
	static const char *const cases[] = {
		"", "null", "[]", "\"batch\"", "{", "{}", "{\"id\":\"\"}", "{\"id\":null}", "{\"id\":\"b\"", "<html>",
		"{\"id\":{\"a\":1}}", "{\"id\":17}", "{\"data\":{\"id\":\"\"}}", "\xff\xfe", "17",
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_batch batch = { .completed = 17 };
		struct api_file file = { .bytes = 17 };
		struct error err = { 0 };

		CHECK_ROW(cases[i], api_parse_batch(cases[i], strlen(cases[i]), &batch, &err) == -EBADMSG);
		CHECK_ROW(cases[i], *err.text && batch.completed == 17 && !batch.id);
		CHECK_ROW(cases[i], api_parse_file(cases[i], strlen(cases[i]), &file, &err) == -EBADMSG);
		CHECK_ROW(cases[i], file.bytes == 17 && !file.id);
	}
}

/* Cut anywhere, an answer is no answer. */
static void a_part_of_a_batch_is_refused(void)
{
	static const char whole[] = "{\"id\":\"b\",\"errors\":[{\"message\":\"\\u00e9\"}],\"created_at\":1.5e9}";

	for (size_t size = 0; size < sizeof(whole) - 1; size++) {
		auto_free char *part = xmemdup0(whole, size);
		struct api_batch batch = { 0 };

		CU_ASSERT_EQUAL(api_parse_batch(part, size, &batch, NULL), -EBADMSG);
	}
}

static void files_are_read_in_every_form(void)
{
	/* clang-format off */
	static const struct { const char *json, *id; int64_t bytes; } cases[] = {
		{ "{\"id\":\"f\",\"object\":\"file\",\"bytes\":12,\"status\":\"processed\"}", "f", 12 },
		{ "{\"id\":\"f\",\"bytes\":null}", "f", -1 }, { "{\"id\":\"f\"}", "f", -1 }, { "{\"id\":\"f\",\"bytes\":\"12\"}", "f", -1 },
		{ "{\"code\":20000,\"message\":\"Ok\",\"status\":true,\"data\":{\"id\":\"f\",\"bytes\":9}}", "f", 9 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_file file = { 0 };

		CHECK_ROW(cases[i].json, api_parse_file(cases[i].json, strlen(cases[i].json), &file, NULL) == 0);
		CHECK_ROW(cases[i].json, is_text(file.id, cases[i].id) && file.bytes == cases[i].bytes);
		api_file_release(&file);
	}
}

static void note_id(const struct api_batch *batch, void *context)
{
	buffer_add_text(context, batch->id);
}

static void lists_are_read_in_every_form(void)
{
	/* clang-format off */
	static const struct { const char *json, *ids; int has_more; const char *last; } cases[] = {
		{ "{\"object\":\"list\",\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}],\"has_more\":true,\"last_id\":\"z\"}", "ab", 1, "b" },
		{ "{\"data\":[{\"id\":\"a\"}],\"has_more\":false}", "a", 0, "a" },
		{ "{\"data\":[{\"id\":\"a\"}]}",                    "a", -1, "a" },
		{ "{\"data\":[{\"id\":\"a\"}],\"has_more\":null}",  "a", -1, "a" },
		{ "[{\"id\":\"a\"},{\"id\":\"b\"}]",                "ab", -1, "b" },
		{ "[{\"id\":\"a\"},{\"no\":1},null,17,[]]",         "a", -1, "a" },
		{ "[]",                                             "", -1, NULL },
		{ "{\"data\":[],\"has_more\":true}",                "", 1, NULL },
		{ "{\"code\":20000,\"data\":{\"object\":\"list\",\"data\":[{\"id\":\"a\"}],\"has_more\":false}}", "a", 0, "a" },
		{ "{\"has_more\":true,\"data\":{\"data\":[{\"id\":\"a\"},{\"id\":\"b\"}]}}", "ab", 1, "b" },
	};
	static const char *const refused[] = { "", "{}", "{\"data\":null}", "{\"data\":{}}", "\"x\"", "<html>", "[{\"id\":\"a\"}" };
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_buffer ids = { 0 };
		auto_free char *last = NULL;
		int has_more = 7;

		CHECK_ROW(cases[i].json, api_parse_list(cases[i].json, strlen(cases[i].json), note_id, &ids, &has_more,
							&last, NULL) == 0);
		CHECK_ROW(cases[i].json, strcmp(buffer_text(&ids), cases[i].ids) == 0);
		CHECK_ROW(cases[i].json, has_more == cases[i].has_more && is_text(last, cases[i].last));
	}
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		auto_buffer ids = { 0 };
		char *last = NULL;
		int has_more = 7;

		CHECK_ROW(refused[i], api_parse_list(refused[i], strlen(refused[i]), note_id, &ids, &has_more, &last,
						     NULL) == -EBADMSG);
		CHECK_ROW(refused[i], !ids.size && !last && has_more == 7);
	}
}

static void note_file(const struct api_file *file, void *context)
{
	buffer_add_format(context, "%s,%s,%s,%d,%d ", file->id, file->name ? file->name : "-",
			  file->purpose ? file->purpose : "-", (int)file->bytes, (int)(file->created_at / 1000));
}

static void lists_of_files_are_read_in_every_form(void)
{
	/* clang-format off */
	static const struct { const char *json, *files; int has_more; const char *last; } cases[] = {
		{ "{\"object\":\"list\",\"data\":[{\"id\":\"a\",\"object\":\"file\",\"bytes\":7,\"created_at\":1500000000,"
		  "\"filename\":\"n.jsonl\",\"purpose\":\"batch\"},{\"id\":\"b\"}],\"has_more\":true}",
		  "a,n.jsonl,batch,7,1500000000 b,-,-,-1,0 ", 1, "b" },
		{ "[{\"id\":\"a\",\"created_at\":1500000000123},{\"id\":\"\"},{\"filename\":\"x\"}]", "a,-,-,-1,1500000000 ", -1, "a" },
		{ "{\"data\":[{\"id\":\"a\",\"bytes\":null,\"filename\":17,\"purpose\":null}],\"has_more\":false}", "a,17,-,-1,0 ", 0, "a" },
		{ "{\"data\":[],\"has_more\":false}",            "", 0, NULL },
		{ "{\"data\":[[],7,\"x\",{\"id\":\"a\",\"more\":{\"id\":\"z\",\"filename\":\"y\"}}]}", "a,-,-,-1,0 ", -1, "a" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_buffer files = { 0 };
		auto_free char *last = NULL;
		int has_more = 7;

		CHECK_ROW(cases[i].json, api_parse_files(cases[i].json, strlen(cases[i].json), note_file, &files,
							 &has_more, &last, NULL) == 0);
		CHECK_ROW(cases[i].json, strcmp(buffer_text(&files), cases[i].files) == 0);
		CHECK_ROW(cases[i].json, has_more == cases[i].has_more && is_text(last, cases[i].last));
	}
}

static void refusals_are_read_in_every_form(void)
{
	/* clang-format off */
	static const struct { const char *body, *code, *message; } cases[] = {
		{ "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":\"c\"}}", "c", "m" },
		{ "{\"error\":{\"message\":\"m\",\"type\":\"t\",\"param\":null,\"code\":null}}",  "t", "m" },
		{ "{\"error\":{\"code\":400,\"type\":\"BadRequestError\",\"message\":\"m\"}}",    "400", "m" },
		{ "{\"error\":\"m\"}",                                "" /* none */, "m" },
		{ "{\"error\":\"m\",\"code\":\"c\"}",                 "c", "m" },
		{ "{\"detail\":\"m\"}",                               "", "m" },
		{ "{\"detail\":[{\"loc\":[\"body\"],\"msg\":\"m\",\"type\":\"missing\"}]}", "", "m" },
		{ "{\"detail\":[]}",                                  "", "{\"detail\":[]}" },
		{ "{\"detail\":[7]}",                                 "", "{\"detail\":[7]}" },
		{ "{\"code\":500,\"msg\":\"m\",\"success\":false}",     "500", "m" },
		{ "{\"error\":{\"code\":\"1210\",\"message\":\"m\"}}",    "1210", "m" },
		{ "{\"error_code\":\"c\",\"error_message\":\"m\"}",   "c", "m" },
		{ "{\"error\":[{\"message\":\"m\"}]}",              "", "m" },
		{ "{\"message\":\"m\",\"code\":20012,\"data\":null}", "20012", "m" },
		{ "{\"status\":\"failure\"}",                         "", "{\"status\":\"failure\"}" },
		{ "\"Unauthorized\"",                                 "", "Unauthorized" },
		{ "Not Found",                                        "", "Not Found" },
		{ "  <html>502</html>",                               "", "<html>502</html>" },
		{ "",                                                 "", "" },
		/* What stands in the place of a code and is none must not come to the journal. */
		{ "{\"error\":{\"message\":\"m\",\"code\":\"the prompt was: hello\"}}", "", "m" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct api_error error;

		api_parse_error(cases[i].body, strlen(cases[i].body), &error);
		CHECK_ROW(cases[i].body, is_text(error.code, *cases[i].code ? cases[i].code : NULL));
		CHECK_ROW(cases[i].body, is_text(error.message, cases[i].message));
		api_error_release(&error);
	}
}

static void a_refusal_of_any_size_is_cut(void)
{
	auto_free char *body = xcalloc(1, 100001);
	struct api_error error;

	memset(body, 'x', 100000);
	api_parse_error(body, 100000, &error);
	CU_ASSERT_EQUAL(strlen(error.message), 400);
	api_error_release(&error);
}

CHECK_MAIN("api_parse", CHECK(the_documented_batch_is_read), CHECK(every_word_for_a_status_is_known),
	   CHECK(a_batch_without_a_status_is_not_at_its_end), CHECK(times_are_read_in_every_form),
	   CHECK(errors_are_read_in_every_form), CHECK(a_long_message_is_cut_and_not_lost),
	   CHECK(ids_and_counts_are_read_in_every_form), CHECK(a_time_of_creation_may_have_another_name), CHECK(an_id_may_be_long),
	   CHECK(every_word_for_the_state_of_a_file_is_known), CHECK(metadata_counts_only_where_it_is_echoed),
	   CHECK(what_is_no_batch_is_refused), CHECK(a_part_of_a_batch_is_refused),
	   CHECK(files_are_read_in_every_form), CHECK(lists_are_read_in_every_form),
	   CHECK(lists_of_files_are_read_in_every_form),
	   CHECK(refusals_are_read_in_every_form), CHECK(a_refusal_of_any_size_is_cut))
