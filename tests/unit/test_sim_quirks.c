#include <string.h>

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

/* A world with one finished batch of five rows, the script on top. */
static struct world *finished(const char *script)
{
	struct world *world = world_new(&quick);

	add(world, script);
	world_submit(world, 5);
	(void)world_after(world, 13000);
	return world;
}

static void shows_batches_as_others_do(void)
{
	/* clang-format off */
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
	/* clang-format on */

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
		{"errors_array", "errors.0.code", "c"},
		{"errors_strings", "errors.0", "m"},
		{"one_l", "errors.data.0.line", "4"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *rules = xasprintf("[{\"action\":\"fail_validation\",\"code\":\"c\","
						  "\"message\":\"m\",\"line\":4},"
						  "{\"call\":\"retrieve\",\"action\":\"%s\"}]",
						  cases[i].action);
		struct world *world = finished(rules);

		CHECK_ROW(rules, !strcmp(world_text(world, "status"), "failed"));
		CHECK_ROW(rules, !strcmp(world_text(world, cases[i].path), cases[i].value));
		world_free(world);
	}
}

/* The id of the output comes late, and then it is there. */
static void a_quirk_can_pass_with_time(void)
{
	struct world *world =
		finished("{\"call\":\"retrieve\",\"action\":\"output_null\",\"ended_ms\":5000}");

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

/* What is asked of a list of files, and the id that stands first: of three files FIRST is the oldest. */
static void lists_of_files_lie_as_elsewhere(void)
{
	/* clang-format off */
	static const struct {
		const char *rule, *query, *first;
	} cases[] = {
		{ "{\"action\":\"no_metadata\"}",                        "order=desc", "LAST" },
		{ "{\"call\":\"files\",\"action\":\"order_ignored\"}",     "order=desc", "FIRST" },
		{ "{\"call\":\"files\",\"action\":\"purpose_ignored\"}",   "purpose=evals", "LAST" },
		{ "{\"call\":\"files\",\"action\":\"after_ignored\"}",     "order=asc&after=LAST", "FIRST" },
		{ "{\"call\":\"files\",\"action\":\"list_empty\"}",        "order=asc", "null" },
		{ "{\"call\":\"files\",\"action\":\"list_stale\",\"ms\":1}", "order=asc", "null" },
		{ "{\"call\":\"list\",\"action\":\"list_empty\"}",         "order=asc", "FIRST" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&quick);
		char first[64];
		const char *wanted = cases[i].first;

		(void)world_upload(world, "x.jsonl", "{}");
		(void)snprintf(first, sizeof(first), "%.60s", world->file);
		(void)world_upload(world, "x.jsonl", "{}");
		(void)world_upload(world, "x.jsonl", "{}");
		add(world, cases[i].rule);
		(void)world_call(world, "GET", "/v1/files?%s", cases[i].query);
		if (!strcmp(wanted, "FIRST"))
			wanted = first;
		else if (!strcmp(wanted, "LAST"))
			wanted = world->file;
		CHECK_ROW(cases[i].rule, !strcmp(world_text(world, "data.0.id"), wanted));
		world_free(world);
	}
}

static void lists_lie_as_elsewhere(void)
{
	/* clang-format off */
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
	/* clang-format on */

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
		wanted = !strcmp(wanted, "BATCH")    ? ids[1]
			 : !strcmp(wanted, "NEWEST") ? ids[2]
						     : wanted;
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
	/* clang-format off */
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
	/* clang-format on */

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
	/* clang-format off */
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
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_free char *rule = xasprintf("{\"action\":\"%s\",\"custom_id\":\"r-3\"%s}",
						 cases[i].action, cases[i].more);
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
	struct world *world =
		finished("[{\"action\":\"row_missing\",\"row\":2,\"batch\":\"batch_*\"},"
			 "{\"action\":\"row_missing\",\"row\":4,\"file\":\"other*\"}]");
	const char *text = world_result(world, "output_file_id");

	CU_ASSERT_EQUAL(world_count(text, "\n"), 4);
	CU_ASSERT_PTR_NULL(strstr(text, "\"r-2\""));
	world_free(world);
}

/* clang-format off */
CHECK_MAIN("sim_quirks",
	CHECK(shows_batches_as_others_do),
	CHECK(leaves_out_what_is_null),
	CHECK(errors_take_other_shapes),
	CHECK(a_quirk_can_pass_with_time),
	CHECK(files_behave_as_elsewhere),
	CHECK(lists_of_files_lie_as_elsewhere),
	CHECK(lists_lie_as_elsewhere),
	CHECK(ids_may_be_long),
	CHECK(batches_end_as_the_script_says),
	CHECK(a_cancel_can_be_overtaken),
	CHECK(lines_come_back_in_every_state),
	CHECK(rules_for_lines_know_row_and_batch))
/* clang-format on */
