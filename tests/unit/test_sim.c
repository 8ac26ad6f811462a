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

/* --- the way of a batch --- */

static void goes_through_the_documented_states(void)
{
	struct world *world = world_new(&slow);
	int64_t created = WORLD_START_MS / 1000;

	world_submit(world, 10);
	CU_ASSERT_STRING_EQUAL(world_after(world, 1000), "in_progress");
	CU_ASSERT_EQUAL(world_number(world, "request_counts.total"), 10);
	CU_ASSERT_EQUAL(world_number(world, "request_counts.completed"), 0);
	CU_ASSERT_STRING_EQUAL(world_after(world, 5000), "in_progress");
	CU_ASSERT_EQUAL(world_number(world, "request_counts.completed"), 5);
	CU_ASSERT_PTR_NULL(world_get(world, "output_file_id"));
	CU_ASSERT_STRING_EQUAL(world_after(world, 5000), "finalizing");
	CU_ASSERT_STRING_EQUAL(world_after(world, 1999), "finalizing");
	CU_ASSERT_STRING_EQUAL(world_after(world, 1), "completed");
	CU_ASSERT_EQUAL(world_number(world, "in_progress_at"), created + 1);
	CU_ASSERT_EQUAL(world_number(world, "finalizing_at"), created + 11);
	CU_ASSERT_EQUAL(world_number(world, "completed_at"), created + 13);
	CU_ASSERT_EQUAL(world_number(world, "request_counts.completed"), 10);
	CU_ASSERT_PTR_NOT_NULL(world_get(world, "output_file_id"));
	CU_ASSERT_PTR_NULL(world_get(world, "error_file_id"));
	CU_ASSERT_PTR_NULL(world_get(world, "errors"));
	CU_ASSERT_TRUE(world_number(world, "usage.total_tokens") > 0);
	world_free(world);
}

/* A jump over all states leaves the same marks as a walk. */
static void a_clock_that_jumps_changes_nothing(void)
{
	struct world *world = world_new(&slow);

	world_submit(world, 2);
	CU_ASSERT_EQUAL(world_call(world, "POST", "/sim/advance?ms=3600000"), 200);
	CU_ASSERT_STRING_EQUAL(world_after(world, 0), "completed");
	CU_ASSERT_EQUAL(world_number(world, "completed_at"), WORLD_START_MS / 1000 + 13);
	world_free(world);
}

static const char *line_of(const char *text, size_t number)
{
	while (number-- && text)
		text = strchr(text, '\n') ? strchr(text, '\n') + 1 : NULL;
	return text;
}

static void every_answer_can_be_recomputed(void)
{
	struct world *world = world_new(&slow);
	const struct answer_rules rules = {0};
	auto_free char *input = world_lines(50);
	const char *result;

	world_submit(world, 50);
	(void)world_after(world, 13000);
	result = world_result(world, "output_file_id");
	CU_ASSERT_EQUAL(world_count(result, "\n"), 50);
	for (size_t i = 0; i < 50; i++) {
		const char *text = line_of(input, i);
		struct answer_usage usage = {0};
		auto_buffer wanted = {0};
		struct line line;

		CU_ASSERT_TRUE_FATAL(line_parse(text, strcspn(text, "\n"), &line));
		CU_ASSERT_EQUAL(answers_add(&rules, &line, 1, &wanted, &usage), 200);
		CU_ASSERT_PTR_NOT_NULL(strstr(result, buffer_text(&wanted)));
	}
	world_free(world);
}

/* Were the hash to change, everybody's expectations would change with it. */
static void the_answer_to_a_request_is_for_ever(void)
{
	static const char text[] = GOOD("a");
	const struct answer_rules rules = {0};
	struct answer_usage usage = {0};
	auto_buffer out = {0};
	struct line line;

	CU_ASSERT_TRUE_FATAL(line_parse(text, sizeof(text) - 2, &line));
	CU_ASSERT_EQUAL(answers_add(&rules, &line, 1, &out, &usage), 200);
	CU_ASSERT_PTR_NOT_NULL(strstr(buffer_text(&out), "Antwort 0b0fb11099401c29 \xe2\x9c\x93"));
}

static void never_answers_in_the_order_of_the_input(void)
{
	for (uint64_t seed = 0; seed < 50; seed++) {
		struct sim_config config = slow;
		struct world *world;
		const char *text;

		config.seed = seed;
		world = world_new(&config);
		world_submit(world, 2);
		(void)world_after(world, 13000);
		text = world_result(world, "output_file_id");
		CU_ASSERT_EQUAL(world_count(text, "\n"), 2);
		CU_ASSERT_TRUE(strstr(text, "\"r-2\"") < strstr(text, "\"r-1\""));
		world_free(world);
	}
}

static void failures_stand_in_the_error_file(void)
{
	static const char body[] =
		"{\"custom_id\":\"a\"," CHAT
		"{\"model\":\"m\",\"messages\":[\"sim:status=400\"]}}\n"
		"{\"custom_id\":\"b\"," CHAT
		"{\"model\":\"m\",\"messages\":[\"sim:error=request_timeout\"]}}\n"
		"{\"custom_id\":\"c\"," CHAT
		"{\"model\":\"m\",\"messages\":[\"sim:status=500 sim:times=1\"]}}\n";
	struct world *world = world_new(&slow);
	const char *text;

	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", body), 200);
	CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ""), 200);
	CU_ASSERT_STRING_EQUAL(world_after(world, 13000), "completed");
	CU_ASSERT_PTR_NULL(world_get(world, "output_file_id"));
	CU_ASSERT_EQUAL(world_number(world, "request_counts.failed"), 3);
	CU_ASSERT_EQUAL(world_number(world, "request_counts.completed"), 0);
	text = world_result(world, "error_file_id");
	CU_ASSERT_EQUAL(world_count(text, "\n"), 3);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"status_code\":400"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\"code\":\"context_length_exceeded\""));
	CU_ASSERT_PTR_NOT_NULL(
		strstr(text, "\"response\":null,\"error\":{\"code\":\"request_timeout\""));
	CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ""), 200);
	CU_ASSERT_STRING_EQUAL(world_after(world, 13000), "completed");
	CU_ASSERT_EQUAL(world_count(world_result(world, "output_file_id"), "\"c\""), 1);
	world_free(world);
}

static void a_share_of_requests_fails_the_same_way_every_time(void)
{
	struct sim_config config = slow;
	struct world *world;
	auto_free char *first = NULL;

	config.answers = (struct answer_rules){.fail_permille = 300, .fail_status = 429};
	world = world_new(&config);
	for (int i = 0; i < 2; i++) {
		size_t ok, failed;
		const char *text;

		world_submit(world, 200);
		CU_ASSERT_STRING_EQUAL(world_after(world, 13000), "completed");
		ok = (size_t)world_number(world, "request_counts.completed");
		failed = (size_t)world_number(world, "request_counts.failed");
		CU_ASSERT_TRUE(failed > 30 && failed < 90 && ok + failed == 200);
		text = world_result(world, "error_file_id");
		CU_ASSERT_EQUAL(world_count(text, "\"status_code\":429"), failed);
		if (first)
			CU_ASSERT_EQUAL(strlen(first), strlen(text));
		if (!first)
			first = xstrdup(text);
	}
	world_free(world);
}

static void cancelling_keeps_what_was_done(void)
{
	struct world *world = world_new(&slow);

	world_submit(world, 10);
	(void)world_after(world, 5000);
	CU_ASSERT_EQUAL(world_call(world, "POST", "/v1/batches/%s/cancel", world->batch), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "cancelling");
	CU_ASSERT_STRING_EQUAL(world_after(world, 2999), "cancelling");
	CU_ASSERT_STRING_EQUAL(world_after(world, 1), "cancelled");
	CU_ASSERT_EQUAL(world_number(world, "request_counts.total"), 10);
	CU_ASSERT_EQUAL(world_number(world, "request_counts.completed"), 4);
	CU_ASSERT_EQUAL(world_number(world, "request_counts.failed"), 0);
	CU_ASSERT_EQUAL(world_count(world_result(world, "output_file_id"), "\n"), 4);
	(void)world_after(world, 0);
	CU_ASSERT_EQUAL(world_count(world_result(world, "error_file_id"),
				    "\"error\":{\"code\":\"batch_cancelled\""),
			6);
	CU_ASSERT_EQUAL(world_call(world, "POST", "/v1/batches/%s/cancel", world->batch), 200);
	world_free(world);
}

static void a_cancel_may_come_too_early_or_too_late(void)
{
	struct world *world = world_new(&slow);

	world_submit(world, 2);
	CU_ASSERT_EQUAL(world_call(world, "POST", "/v1/batches/%s/cancel", world->batch), 200);
	CU_ASSERT_STRING_EQUAL(world_after(world, 3000), "cancelled");
	CU_ASSERT_PTR_NULL(world_get(world, "error_file_id"));
	world_submit(world, 2);
	CU_ASSERT_STRING_EQUAL(world_after(world, 11500), "finalizing");
	CU_ASSERT_EQUAL(world_call(world, "POST", "/v1/batches/%s/cancel", world->batch), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "cancelling");
	CU_ASSERT_STRING_EQUAL(world_after(world, 3000), "completed");
	CU_ASSERT_EQUAL(world_number(world, "request_counts.completed"), 2);
	CU_ASSERT_EQUAL(world_call(world, "POST", "/v1/batches/%s/cancel", world->batch), 409);
	CU_ASSERT_STRING_EQUAL(
		world_body(world),
		"{\"error\":{\"message\":\"Cannot cancel a batch with status 'completed'.\","
		"\"type\":\"invalid_request_error\",\"param\":null,\"code\":null}}");
	world_free(world);
}

static void expiry_keeps_what_was_done(void)
{
	struct sim_config config = slow;
	struct world *world;

	config.expire_ms = 6000;
	world = world_new(&config);
	world_submit(world, 10);
	CU_ASSERT_EQUAL(world_number(world, "expires_at"), WORLD_START_MS / 1000 + 6);
	CU_ASSERT_STRING_EQUAL(world_after(world, 6000), "expired");
	CU_ASSERT_EQUAL(world_number(world, "request_counts.completed"), 5);
	CU_ASSERT_EQUAL(world_number(world, "request_counts.failed"), 0);
	CU_ASSERT_EQUAL(world_number(world, "expired_at"), WORLD_START_MS / 1000 + 6);
	CU_ASSERT_EQUAL(world_count(world_result(world, "output_file_id"), "\n"), 5);
	(void)world_after(world, 0);
	CU_ASSERT_EQUAL(world_count(world_result(world, "error_file_id"),
				    "\"response\":null,\"error\":{\"code\":\"batch_expired\","
				    "\"message\":\"This request could "
				    "not be executed before the completion window expired.\"}"),
			5);
	world_free(world);
}

static void results_expire_as_the_batch_asked(void)
{
	struct world *world = world_new(&slow);

	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", GOOD("a")), 200);
	CU_ASSERT_EQUAL(
		world_create(
			world, "/v1/chat/completions",
			",\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":3600}"),
		200);
	(void)world_after(world, 13000);
	CU_ASSERT_EQUAL(
		world_call(world, "GET", "/v1/files/%s", world_text(world, "output_file_id")), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "purpose"), "batch_output");
	CU_ASSERT_EQUAL(world_number(world, "expires_at"), WORLD_START_MS / 1000 + 13 + 3600);
	world_free(world);
}

static void answers_every_endpoint_in_its_own_form(void)
{
	static const struct {
		const char *endpoint, *member, *object;
	} cases[] = {
		{"/v1/embeddings", "\"input\":[\"a\",\"b\"]", "\"index\":1,\"embedding\":[0."},
		{"/v1/responses", "\"input\":\"a\"", "\"type\":\"output_text\""},
		{"/v1/moderations", "\"input\":\"a\"", "\"category_scores\""},
		{"/v1/completions", "\"prompt\":\"a\"", "\"object\":\"text_completion\""},
		{"/v1/images/generations", "\"prompt\":\"a\"", "\"data\":["},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&slow);
		auto_free char *text = xasprintf("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":"
						 "\"%s\",\"body\":{\"model\":\"m\",%s}}",
						 cases[i].endpoint, cases[i].member);
		const char *result;

		CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", text), 200);
		CU_ASSERT_EQUAL(world_create(world, cases[i].endpoint, ""), 200);
		CHECK_ROW(cases[i].endpoint, !strcmp(world_after(world, 13000), "completed"));
		result = world_result(world, "output_file_id");
		CHECK_ROW(cases[i].endpoint, strstr(result, cases[i].object) != NULL);
		CHECK_ROW(cases[i].endpoint, json_object_is_type(world->json, json_type_object));
		world_free(world);
	}
}

/* --- lists, ledger, keys --- */

static void lists_newest_first_page_by_page(void)
{
	struct world *world = world_new(&slow);
	auto_free char *text = world_lines(1);
	char ids[45][64], after[64] = "";
	size_t seen = 0;

	CU_ASSERT_EQUAL(world_upload(world, "x.jsonl", text), 200);
	for (size_t i = 0; i < 45; i++) {
		CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ""), 200);
		(void)snprintf(ids[i], sizeof(ids[i]), "%.60s", world->batch);
	}
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/batches"), 200);
	CU_ASSERT_EQUAL(json_object_array_length(world_get(world, "data")), 20);
	for (;;) {
		size_t count;

		CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/batches?limit=30%s%s",
					   *after ? "&after=" : "", after),
				200);
		count = json_object_array_length(world_get(world, "data"));
		for (size_t i = 0; i < count; i++) {
			auto_free char *path = xasprintf("data.%zu.id", i);

			CU_ASSERT_STRING_EQUAL(world_text(world, path), ids[44 - seen]);
			seen++;
		}
		(void)snprintf(after, sizeof(after), "%.60s", world_text(world, "last_id"));
		if (!json_object_get_boolean(world_get(world, "has_more")))
			break;
	}
	CU_ASSERT_EQUAL(seen, 45);
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/batches?limit=101"), 400);
	CU_ASSERT_STRING_EQUAL(world_text(world, "error.code"), "integer_above_max_value");
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/batches?after=batch_nope"), 404);
	world_free(world);
}

static void the_ledger_knows_what_was_sent_twice(void)
{
	struct world *world = world_new(&slow);

	world_submit(world, 3);
	CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ""), 200);
	(void)world_after(world, 13000);
	CU_ASSERT_EQUAL(world_call(world, "GET", "/sim/ledger"), 200);
	CU_ASSERT_EQUAL(world_number(world, "files_created"), 1);
	CU_ASSERT_EQUAL(world_number(world, "batches_created"), 2);
	CU_ASSERT_EQUAL(world_number(world, "requests_answered"), 6);
	CU_ASSERT_EQUAL(world_number(world, "requests_succeeded"), 6);
	CU_ASSERT_EQUAL(world_number(world, "calls.create"), 2);
	CU_ASSERT_EQUAL(world_number(world, "calls.upload"), 1);
	CU_ASSERT_STRING_EQUAL(
		json_object_get_string(json_object_object_get(
			json_object_object_get(world_get(world, "batches"), world->batch),
			"status")),
		"completed");
	CU_ASSERT_EQUAL(world_call(world, "GET", "/sim/ledger/requests"), 200);
	CU_ASSERT_STRING_EQUAL(world_body(world),
			       "{\"custom_id\":\"r-1\",\"batches\":2,\"answered\":2}\n"
			       "{\"custom_id\":\"r-2\",\"batches\":2,\"answered\":2}\n"
			       "{\"custom_id\":\"r-3\",\"batches\":2,\"answered\":2}\n");
	CU_ASSERT_EQUAL(world_call(world, "POST", "/sim/reset"), 200);
	CU_ASSERT_EQUAL(world_call(world, "GET", "/sim/ledger"), 200);
	CU_ASSERT_EQUAL(world_number(world, "batches_created"), 0);
	world_submit(world, 1);
	CU_ASSERT_STRING_EQUAL(world_after(world, 13000), "completed");
	world_free(world);
}

static void asks_for_the_key(void)
{
	struct sim_config config = slow;
	struct world *world;

	config.key = "k";
	world = world_new(&config);
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/batches"), 401);
	world->authorization = "Bearer kk";
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/batches"), 401);
	CU_ASSERT_STRING_EQUAL(world_text(world, "error.code"), "invalid_api_key");
	world->authorization = "Bearer k";
	CU_ASSERT_EQUAL(world_call(world, "GET", "/v1/batches"), 200);
	world_free(world);
}

static void unknown_things_are_404(void)
{
	static const char *const targets[] = {
		"/v1/batches/batch_x",   "/v1/files/file-x", "/v1/files//content",
		"/v1/files/a/b/content", "/v1/nope",         "/",
		"/v1/batches/",          "/sim/nope",
	};
	struct world *world = world_new(&slow);

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++)
		CHECK_ROW(targets[i], world_call(world, "GET", "%s", targets[i]) == 404);
	CU_ASSERT_EQUAL(world_call(world, "POST", "/v1/batches/batch_x/cancel"), 404);
	CU_ASSERT_STRING_EQUAL(world_text(world, "error.message"),
			       "No batch found with id 'batch_x'.");
	CU_ASSERT_EQUAL(world_call(world, "PUT", "/v1/batches"), 404);
	world_free(world);
}

/* clang-format off */
CHECK_MAIN("sim",
	CHECK(goes_through_the_documented_states),
	CHECK(a_clock_that_jumps_changes_nothing),
	CHECK(every_answer_can_be_recomputed),
	CHECK(the_answer_to_a_request_is_for_ever),
	CHECK(never_answers_in_the_order_of_the_input),
	CHECK(failures_stand_in_the_error_file),
	CHECK(a_share_of_requests_fails_the_same_way_every_time),
	CHECK(cancelling_keeps_what_was_done),
	CHECK(a_cancel_may_come_too_early_or_too_late),
	CHECK(expiry_keeps_what_was_done),
	CHECK(results_expire_as_the_batch_asked),
	CHECK(answers_every_endpoint_in_its_own_form),
	CHECK(lists_newest_first_page_by_page),
	CHECK(the_ledger_knows_what_was_sent_twice),
	CHECK(asks_for_the_key),
	CHECK(unknown_things_are_404))
/* clang-format on */
