/* The API that speaks the dialects refuses what their providers refuse: else a test against it would prove nothing. */
#include "tests/sim/dialects.h"

#include "daemon/model/dialect.h"
#include "tests/unit/sim_world.h"

enum key { NO_KEY, BEARER_KEY, API_KEY, BARE_KEY };

/* clang-format off */
static const struct {
	const char *dialect, *method, *target;
	enum key key;
	int status;
} calls[] = {
	{ "openai",      "GET", "/v1/batches?limit=100",                       BEARER_KEY, 200 },
	{ "openai",      "GET", "/v1/batches",                                 API_KEY,    401 },
	{ "openai",      "GET", "/v1/batches",                                 BARE_KEY,   401 },
	{ "openai",      "GET", "/v1/batches",                                 NO_KEY,     401 },
	{ "openai",      "GET", "/v1/batches?api-version=2024-10-21",          BEARER_KEY, 404 },
	{ "azure",       "GET", "/openai/v1/batches",                          API_KEY,    200 },
	{ "azure",       "GET", "/openai/v1/batches",                          BEARER_KEY, 401 },
	{ "azure",       "GET", "/v1/batches",                                 API_KEY,    404 },
	{ "azure-dated", "GET", "/openai/batches?api-version=2024-10-21",      API_KEY,    200 },
	{ "azure-dated", "GET", "/openai/batches?limit=100&api-version=2024-10-21", API_KEY, 200 },
	{ "azure-dated", "GET", "/openai/batches",                             API_KEY,    404 },
	{ "azure-dated", "GET", "/openai/batches?api-version=2020-01-01",      API_KEY,    404 },
	{ "groq",        "GET", "/openai/v1/batches",                          BEARER_KEY, 200 },
	{ "groq",        "GET", "/openai/v1/batches?limit=100",                BEARER_KEY, 400 },
	{ "groq",        "GET", "/openai/v1/files?purpose=batch",              BEARER_KEY, 400 },
	{ "zhipu",       "GET", "/api/paas/v4/batches?limit=100",              BEARER_KEY, 200 },
	{ "zhipu",       "GET", "/v4/batches",                                 BEARER_KEY, 404 },
};

#define IN(endpoint) "{\"input_file_id\":\"f\",\"endpoint\":\"" endpoint "\""
#define DAY ",\"completion_window\":\"24h\""

static const struct {
	const char *dialect, *body;
	int status;
} creates[] = {
	{ "openai",      IN("/v1/embeddings") DAY "}", 200 },
	{ "openai",      IN("/v1/embeddings") "}", 400 },
	{ "openai",      IN("/v1/embeddings") DAY ",\"aibrix\":{}}", 400 },
	{ "openai",      IN("/v1/embeddings") DAY ",\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":3600}}", 200 },
	{ "openai",      IN("/v4/chat/completions") DAY "}", 400 },
	{ "azure",       IN("/v1/chat/completions") DAY "}", 200 },
	{ "azure",       IN("/v1/embeddings") DAY "}", 400 },
	{ "azure",       IN("/v1/responses") DAY ",\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":3600}}", 400 },
	{ "azure",       IN("/v1/responses") DAY ",\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":1209600}}", 200 },
	{ "azure-dated", IN("/chat/completions") DAY "}", 200 },
	{ "azure-dated", IN("/v1/chat/completions") DAY "}", 400 },
	{ "groq",        IN("/v1/chat/completions") ",\"completion_window\":\"7d\"}", 200 },
	{ "groq",        IN("/v1/chat/completions") ",\"completion_window\":\"12h\"}", 400 },
	{ "groq",        IN("/v1/embeddings") DAY "}", 400 },
	{ "groq",        IN("/v1/chat/completions") DAY ",\"output_expires_after\":{\"anchor\":\"created_at\",\"seconds\":3600}}", 400 },
	{ "kimi",        IN("/v1/chat/completions") ",\"completion_window\":\"12h\"}", 200 },
	{ "zhipu",       IN("/v4/chat/completions") ",\"auto_delete_input_file\":false}", 200 },
	{ "zhipu",       IN("/v4/chat/completions") "}", 400 },
	{ "zhipu",       IN("/v4/chat/completions") DAY ",\"auto_delete_input_file\":false}", 400 },
	{ "zhipu",       IN("/v1/chat/completions") ",\"auto_delete_input_file\":false}", 400 },
	{ "novita",      IN("/v1/chat/completions") "}", 200 },
	{ "aibrix",      IN("/v1/chat/completions") DAY ",\"aibrix\":{\"model_template\":{\"name\":\"t\"}}}", 200 },
	{ "aibrix",      IN("/v1/chat/completions") DAY ",\"aibrix\":{\"model_template\":{}}}", 400 },
	{ "aibrix",      IN("/v1/chat/completions") DAY "}", 400 },
};

static const struct {
	const char *dialect, *purpose, *anchor, *seconds, *value;
	int status;
} uploads[] = {
	{ "openai",     "batch",     NULL, NULL, NULL, 200 },
	{ "openai",     "batch-api", NULL, NULL, NULL, 400 },
	{ "openai",     "batch",     "expires_after[anchor]", "expires_after[seconds]", "3600", 200 },
	{ "openai",     "batch",     "expires_after.anchor", "expires_after.seconds", "3600", 400 },
	{ "groq",       "vision",    NULL, NULL, NULL, 400 },
	{ "azure",      "batch",     "expires_after.anchor", "expires_after.seconds", "1209600", 200 },
	{ "azure",      "batch",     "expires_after.anchor", "expires_after.seconds", "3600", 400 },
	{ "azure",      "batch",     "expires_after[anchor]", "expires_after[seconds]", "1209600", 400 },
	{ "perplexity", "batch",     NULL, NULL, NULL, 200 },
	{ "perplexity", "batch",     "expires_after[anchor]", "expires_after[seconds]", "3600", 400 },
};
/* clang-format on */

static struct world *begin(const char *dialect, enum key key)
{
	struct world *world = world_new(&(struct sim_config){ .dialect = dialect, .key = "K" });

	world->authorization = key == BEARER_KEY ? "Bearer K" : key == BARE_KEY ? "K" : NULL;
	world->api_key = key == API_KEY ? "K" : NULL;
	return world;
}

/* With the key as the dialect wants it. */
static struct world *begin_right(const char *dialect)
{
	return begin(dialect, strncmp(dialect, "azure", 5) == 0 ? API_KEY : BEARER_KEY);
}

static char *target_of(const char *dialect, const char *path)
{
	const struct sim_dialect *own = sim_dialect_find(dialect);

	return xasprintf("%s%s%s%s", own->base, path, own->version ? "?api-version=" : "", own->version ? own->version : "");
}

static void the_key_the_path_and_the_query_are_those_of_the_dialect(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++) {
		struct world *world = begin(calls[i].dialect, calls[i].key);

		CHECK_ROW(calls[i].target, world_call(world, calls[i].method, "%s", calls[i].target) == calls[i].status);
		world_free(world);
	}
}

static void a_create_has_what_the_dialect_takes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(creates); i++) {
		struct world *world = begin_right(creates[i].dialect);
		auto_free char *target = target_of(creates[i].dialect, "/batches");

		CHECK_ROW(creates[i].body, world_send(world, "POST", target, creates[i].body, NULL) == creates[i].status);
		world_free(world);
	}
}

static int upload(struct world *world, const char *dialect, size_t i)
{
	auto_free char *target = target_of(dialect, "/files");
	struct sim_form form = { 0 };
	int status;

	sim_form_add(&form, "purpose", NULL, uploads[i].purpose, strlen(uploads[i].purpose), 0);
	if (uploads[i].anchor) {
		sim_form_add(&form, uploads[i].anchor, NULL, "created_at", 10, 0);
		sim_form_add(&form, uploads[i].seconds, NULL, uploads[i].value, strlen(uploads[i].value), 0);
	}
	sim_form_add(&form, "file", "n.jsonl", "{}\n", 3, 0);
	status = world_send(world, "POST", target, NULL, &form);
	sim_form_release(&form);
	return status;
}

static void an_upload_has_what_the_dialect_takes(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(uploads); i++) {
		struct world *world = begin_right(uploads[i].dialect);

		CHECK_ROW(uploads[i].dialect, upload(world, uploads[i].dialect, i) == uploads[i].status);
		world_free(world);
	}
}

static void a_file_that_is_not_taken_in_is_no_input(void)
{
	struct world *world = begin_right("azure");
	auto_free char *body = NULL;

	CU_ASSERT_EQUAL(upload(world, "azure", 0), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "pending");
	body = xasprintf("{\"input_file_id\":\"%s\",\"endpoint\":\"/v1/chat/completions\",\"completion_window\":\"24h\"}",
			 world_text(world, "id"));
	CU_ASSERT_EQUAL(world_send(world, "POST", "/openai/v1/batches", body, NULL), 400);
	world->now_ms += 1000;
	CU_ASSERT_EQUAL(world_send(world, "POST", "/openai/v1/batches", body, NULL), 200);
	world_free(world);
}

/* The two tables know of each other's names alone. */
static void every_dialect_has_its_opponent(void)
{
	const struct dialect *row;

	for (size_t i = 0; (row = dialect_at(i)); i++)
		CHECK_ROW(row->name, sim_dialect_find(row->name) != NULL);
	CU_ASSERT_PTR_NULL(sim_dialect_find("none"));
	CU_ASSERT_PTR_NULL(sim_new(&(struct sim_config){ .dialect = "none" }, world_now, NULL));
}

static void a_reset_leaves_the_dialect_as_it_is(void)
{
	static const char body[] = IN("/v1/chat/completions") "}";
	struct world *world = begin_right("novita");

	CU_ASSERT_EQUAL(world_call(world, "POST", "/sim/reset"), 200);
	CU_ASSERT_EQUAL(world_send(world, "POST", "/openai/v1/batches", body, NULL), 200);
	CU_ASSERT_STRING_EQUAL(world_text(world, "status"), "VALIDATING");
	CU_ASSERT_STRING_EQUAL(world_text(world, "total"), "0");
	CU_ASSERT_STRING_EQUAL(world_text(world, "request_counts"), "null");
	world_free(world);
}

CHECK_MAIN("sim_dialects", CHECK(the_key_the_path_and_the_query_are_those_of_the_dialect),
	   CHECK(a_create_has_what_the_dialect_takes), CHECK(an_upload_has_what_the_dialect_takes),
	   CHECK(a_file_that_is_not_taken_in_is_no_input), CHECK(every_dialect_has_its_opponent),
	   CHECK(a_reset_leaves_the_dialect_as_it_is))
