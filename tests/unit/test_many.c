/* Several providers: where requests go, when those that were not answered move on to the next, and that none is at two at once. */
#include "tests/sim/state.h"
#include "daemon/work/provider.h"
#include "tests/unit/world_scene.h"
#include "tests/world/judge_world.h"
#include "tests/world/ledger.h"

#define PROVIDERS 3
#define MAX_DEATHS 1000
#define A_WEEK (7 * 24 * HOUR_MS)

#define UNAUTHORIZED(call) "{\"call\":\"" call "\",\"action\":\"status\",\"status\":401,\"code\":\"invalid_api_key\",\"message\":\"No.\""
#define REFUSED(call, status, code)                                                                \
	"{\"call\":\"" call "\",\"action\":\"status\",\"status\":" status ",\"code\":\"" code      \
	"\",\"message\":\"Not here.\"}"
#define ILL_ROWS "{\"action\":\"row_http_error\",\"status\":503,\"code\":\"server_error\",\"message\":\"Later.\"}"

/* What one of the providers does, and what must be found there at the end. */
struct place {
	const char *script; /* NULL: nothing unusual */
	int64_t batches, uploads; /* -1: any number */
	int64_t max_requests, max_bytes; /* 0: as usual */
};

struct tale {
	const char *name;
	const char *list;
	int64_t move_after;
	struct place places[PROVIDERS]; /* sim, azure, third */
	enum job_state end;
	int64_t ok;
	int64_t least_ms, most_ms; /* that it takes; 0: any */
	const char *event, *words;
};

/* clang-format off */
static const struct tale tales[] = {
	{ "all is well", "sim,azure", 0, { { NULL, 1, 1, 0, 0 } }, JOB_COMPLETED, 6, 0, 10 * MINUTE_MS,
	  "shard.collected", "6 ok" },
	{ "refused at the upload", "sim,azure", 0, { { UNAUTHORIZED("upload") "}", 0, 0, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 5 * MINUTE_MS, "shard.note", "moved on to azure: sim: refused: HTTP 401 invalid_api_key" },
	{ "refused at the create", "sim,azure", 0, { { UNAUTHORIZED("create") "}", 0, 1, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 5 * MINUTE_MS, "shard.note", "moved on to azure as shard 2: sim: refused" },
	{ "patience first", "sim,azure", 10 * MINUTE_MS, { { UNAUTHORIZED("upload") "}", 0, 0, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 10 * MINUTE_MS, 16 * MINUTE_MS, "shard.note", "moved on to azure" },
	{ "patience helps", "sim,azure", 10 * MINUTE_MS, { { UNAUTHORIZED("upload") ",\"count\":1}", 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 5 * MINUTE_MS, 20 * MINUTE_MS, "shard.retry", "HTTP 401" },
	{ "nowhere else to go", "sim", 0, { { UNAUTHORIZED("upload") ",\"count\":3}", 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 15 * MINUTE_MS, 0, "shard.retry", "HTTP 401" },
	{ "smaller batches there", "sim,azure", 0, { { UNAUTHORIZED("upload") "}", 0, 0, 0, 0 }, { NULL, 3, 3, 2, 0 } },
	  JOB_COMPLETED, 6, 0, 5 * MINUTE_MS, "shard.note", "moved on to azure as shards 2 to 4: sim" },
	{ "none fits there", "sim,azure", 0,
	  { { UNAUTHORIZED("upload") ",\"count\":2}", 1, 1, 0, 0 }, { NULL, 0, 0, 0, 20 } },
	  JOB_COMPLETED, 6, 10 * MINUTE_MS, 0, NULL, NULL },
	{ "none fits there, but at the third", "sim,azure,third", 0,
	  { { UNAUTHORIZED("upload") "}", 0, 0, 0, 0 }, { NULL, 0, 0, 0, 20 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 5 * MINUTE_MS, "shard.note", "moved on to third: sim" },
	{ "on and on", "sim,azure,third", 0,
	  { { UNAUTHORIZED("upload") "}", 0, 0, 0, 0 }, { UNAUTHORIZED("create") "}", 0, 1, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 5 * MINUTE_MS, "shard.note", "moved on to third as shard 2: azure" },
	{ "the end of the list", "sim,azure", 0,
	  { { UNAUTHORIZED("upload") "}", 0, 0, 0, 0 }, { UNAUTHORIZED("upload") ",\"count\":2}", 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 5 * MINUTE_MS, 0, "shard.note", "moved on to azure" },
	{ "out of attempts", "sim,azure", 0, { { ILL_ROWS, 3, 3, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 0, "shard.note", "6 requests moved on to azure: sim has no more to try for them" },
	{ "out of attempts, smaller batches", "sim,azure", 0, { { ILL_ROWS, 3, 3, 0, 0 }, { NULL, 2, 2, 4, 0 } },
	  JOB_COMPLETED, 6, 0, 0, "shard.note", "6 requests moved on to azure" },
	{ "attempts are counted anew", "sim,azure", 0,
	  { { "[{\"action\":\"row_http_error\",\"status\":503,\"code\":\"x\",\"message\":\"x\",\"count\":12}," UNAUTHORIZED("upload") ",\"from\":3}]", 2, 2, 0, 0 },
	    { ILL_ROWS, 3, 3, 0, 0 } },
	  JOB_COMPLETED, 0, 0, 0, "shard.note", "moved on to azure" },
	{ "out of attempts everywhere", "sim,azure", 0, { { ILL_ROWS, 3, 3, 0, 0 }, { ILL_ROWS, 3, 3, 0, 0 } },
	  JOB_COMPLETED, 0, 0, 0, "shard.collected", "0 ok, 6 failed" },
	{ "out of attempts, none fits", "sim,azure", 0, { { ILL_ROWS, 3, 3, 0, 0 }, { NULL, 0, 0, 0, 20 } },
	  JOB_COMPLETED, 0, 0, 0, "shard.collected", "0 ok, 6 failed" },
	{ "it has no such model", "sim,azure", HOUR_MS, { { "{\"action\":\"model_not_found\"}", 1, 1, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 10 * MINUTE_MS, "shard.note", "moved on to azure as shard 2: sim: failed: model_not_found" },
	{ "it has no such url", "sim,azure", HOUR_MS, { { "{\"action\":\"url_not_found\"}", 1, 1, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 10 * MINUTE_MS, "shard.note", "moved on to azure" },
	{ "nobody has such a model", "sim,azure", HOUR_MS,
	  { { "{\"action\":\"model_not_found\"}", 1, 1, 0, 0 }, { REFUSED("create", "404", "model_not_found"), 0, -1, 0, 0 } },
	  JOB_COMPLETED, 0, 0, 0, "shard.ended", "model_not_found" },
	{ "a model refused at the create", "sim,azure", HOUR_MS,
	  { { REFUSED("create", "404", "model_not_found"), 0, 1, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 10 * MINUTE_MS, "shard.note", "moved on to azure as shard 2: sim: HTTP 404 model_not_found" },
	{ "a url refused at the create", "sim,azure", HOUR_MS,
	  { { REFUSED("create", "400", "url_not_found"), 0, 1, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 10 * MINUTE_MS, "shard.note", "moved on to azure" },
	{ "a model refused at the upload", "sim,azure", HOUR_MS,
	  { { REFUSED("upload", "400", "model_not_found"), 0, 0, 0, 0 }, { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 10 * MINUTE_MS, "shard.note", "moved on to azure" },
	{ "a refusal that is about the request", "sim,azure", HOUR_MS,
	  { { REFUSED("create", "400", "invalid_value"), 0, 1, 0, 0 }, { NULL, 0, 0, 0, 0 } },
	  JOB_COMPLETED, 0, 0, 0, "shard.ended", "invalid_value" },
	{ "a validation that is about a line", "sim,azure", HOUR_MS,
	  { { "{\"action\":\"fail_validation\",\"code\":\"invalid_value\",\"message\":\"Bad.\",\"line\":1,\"count\":1}", 2, 2, 0, 0 } },
	  JOB_COMPLETED, 5, 0, 0, "shard.collected", "1 failed" },
	{ "rows of a model that it has not", "sim,azure", HOUR_MS,
	  { { "{\"action\":\"row_http_error\",\"status\":404,\"code\":\"model_not_found\",\"message\":\"No.\",\"custom_id\":\"r-[12]\"}", 1, 1, 0, 0 },
	    { NULL, 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 0, "shard.note", "2 requests moved on to azure" },
	{ "rows that are wrong", "sim,azure", HOUR_MS,
	  { { "{\"action\":\"row_http_error\",\"status\":404,\"code\":\"no_such_file\",\"message\":\"No.\",\"custom_id\":\"r-[12]\"}", 1, 1, 0, 0 } },
	  JOB_COMPLETED, 4, 0, 0, "shard.collected", "2 failed" },
	{ "in doubt it stays", "sim,azure", 0,
	  { { "[{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}," UNAUTHORIZED("list") ",\"count\":3}]", 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 15 * MINUTE_MS, 0, "shard.doubt", "" },
	{ "what was created stays", "sim,azure", 0, { { UNAUTHORIZED("retrieve") ",\"count\":3}", 1, 1, 0, 0 } },
	  JOB_COMPLETED, 6, 15 * MINUTE_MS, 0, "shard.retry", "HTTP 401" },
};
/* clang-format on */

static struct config_route routes[2];

static bool has_moved(struct world *world, int64_t job, const char *words)
{
	auto_free char *event = world_event(world, job, "shard.note", "moved on to ");

	return event && strstr(event, words);
}

static struct world *make_world_of(const struct sim_config *sim, int64_t move_after, uint64_t seed)
{
	struct world *world = world_new(sim, seed);

	(void)world_add_provider(world, "azure", sim);
	(void)world_add_provider(world, "third", sim);
	for (size_t i = 0; i < PROVIDERS; i++) {
		world->sections[i].move_after = move_after;
		store_list_note_seen(world->store, world->sections[i].name, world_now(world));
	}
	return world;
}

static struct world *make_world(int64_t move_after, uint64_t seed)
{
	return make_world_of(&slow, move_after, seed);
}

static bool is_over(struct world *world, int64_t job)
{
	auto_job now = world_job(world, job);

	return job_is_ended(now.state) && !now.due_at;
}

/* Lives to the end; at no moment may a request be in two batches that live. */
static int64_t live_on(struct world *world, int64_t job)
{
	int64_t most = 0;
	int64_t end = world_now(world) + A_WEEK;

	while (!is_over(world, job) && world_now(world) < end) {
		int64_t live;

		world_turn(world);
		live = ledger_most_live(world->sims, PROVIDERS);
		most = live > most ? live : most;
	}
	return most;
}

static bool is_never(struct world *world, void *context)
{
	(void)world, (void)context;
	return false;
}

static void check_places(const struct tale *tale, struct world *world)
{
	for (size_t i = 0; i < PROVIDERS; i++) {
		struct world_ledger ledger = world_ledger_of(world, i);

		CHECK_ROW(tale->name, tale->places[i].batches < 0 || ledger.batches == tale->places[i].batches);
		CHECK_ROW(tale->name, tale->places[i].uploads < 0 || ledger.uploads == tale->places[i].uploads);
		CHECK_ROW(tale->name, ledger.live == 0);
	}
}

static void check_world(const char *row, struct world *world)
{
	static const struct judge_terms terms = { 0 };
	struct error err = { 0 };

	if (judge_world(world, &terms, &err))
		(void)fprintf(stderr, "# %s: %s\n", row, err.text);
	CHECK_ROW(row, !err.code);
}

static void check_tale(const struct tale *tale, struct world *world, int64_t job, const char *input)
{
	auto_job end = world_job(world, job);

	check_judged(tale->name, world, job, input);
	check_world(tale->name, world);
	CHECK_ROW(tale->name, end.state == tale->end);
	CHECK_ROW(tale->name, end.counts.ok == tale->ok);
	if (tale->event)
		check_event(tale->name, world, job, tale->event, tale->words);
}

static int64_t begin_tale(const struct tale *tale, struct world *world, const char *input)
{
	for (size_t i = 0; i < PROVIDERS; i++) {
		const struct place *place = &tale->places[i];

		if (place->script)
			world_script_of(world, i, place->script);
		if (place->max_requests)
			world->sections[i].max_requests = place->max_requests;
		if (place->max_bytes)
			world->sections[i].max_bytes = place->max_bytes;
	}
	return world_submit_to(world, tale->list, input);
}

static void rows_go_where_they_can_be_answered(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(tales); i++) {
		const struct tale *tale = &tales[i];
		struct world *world = make_world(tale->move_after, i + 1);
		auto_free char *input = world_requests(STORY_REQUESTS, "");
		int64_t began_at = world_now(world);
		int64_t job = begin_tale(tale, world, input);
		int64_t took;

		CHECK_ROW(tale->name, live_on(world, job) <= 1);
		took = world_now(world) - began_at;
		CHECK_ROW(tale->name, took >= tale->least_ms && (!tale->most_ms || took <= tale->most_ms));
		check_tale(tale, world, job, input);
		check_places(tale, world);
		world_free(world);
	}
}

/* clang-format off */
static const struct tale mortal[] = {
	{ "an upload is refused", "sim,azure", 0, { { UNAUTHORIZED("upload") ",\"count\":3}", 0, 0, 0, 0 }, { NULL, 0, 0, 2, 0 } },
	  JOB_COMPLETED, 6, 0, 0, NULL, NULL },
	{ "a create is refused", "sim,azure", 0, { { UNAUTHORIZED("create") ",\"count\":3}", 0, 0, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 0, NULL, NULL },
	{ "out of attempts", "sim,azure", 0, { { ILL_ROWS, 0, 0, 0, 0 }, { NULL, 0, 0, 4, 0 } }, JOB_COMPLETED, 6, 0, 0, NULL, NULL },
	{ "no such model", "sim,azure", 0, { { "{\"action\":\"model_not_found\"}", 0, 0, 0, 0 } }, JOB_COMPLETED, 6, 0, 0, NULL, NULL },
	{ "a model is refused", "sim,azure", 0, { { REFUSED("create", "404", "model_not_found"), 0, 0, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 0, NULL, NULL },
	{ "a create is lost", "sim,azure", 0,
	  { { "[{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}," UNAUTHORIZED("list") ",\"count\":3}]", 0, 0, 0, 0 } },
	  JOB_COMPLETED, 6, 0, 0, NULL, NULL },
};
/* clang-format on */

/* Lives until turn death, dies there or within it, and lives on to the end. false: the job was through before. */
static bool die_once(const struct tale *tale, int64_t death, bool is_commit_lost)
{
	static const struct sim_config quick = { 0 };
	struct world *world = make_world_of(&quick, tale->move_after, 1);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t end, job;
	bool is_alive;

	world->provider.max_attempts = 1;
	job = begin_tale(tale, world, input);
	end = world->turns + death;
	while (world->turns < end && !is_over(world, job))
		world_turn(world);
	is_alive = !is_over(world, job);
	if (is_alive && is_commit_lost) {
		world_lose_turn(world);
	} else if (is_alive) {
		world_kill(world);
		world_start(world);
	}
	CHECK_ROW(tale->name, live_on(world, job) <= 1);
	check_tale(tale, world, job, input);
	world_free(world);
	return is_alive;
}

static void a_death_in_the_middle_of_a_move_changes_nothing(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(mortal); i++)
		for (int way = 0; way < 2; way++) {
			int64_t death = 0;

			while (death < MAX_DEATHS && die_once(&mortal[i], death, way))
				death += CHECK_IS_SANITIZED ? 9 : 1;
			CHECK_ROW(mortal[i].name, death > 10 && death < MAX_DEATHS);
		}
}

static void add_flight(const struct store_flight *flight, void *context)
{
	*(int64_t *)context += flight->batches + flight->unsent + flight->requests + flight->tokens;
}

/* They move as they are, but for those of which a file may have come to be there. */
static void a_queue_moves_with_its_shards(void)
{
	struct world *world = make_world(0, 7);
	auto_free char *input = world_requests(100, "");
	int64_t job, kept = 0, dropped = 0, flying = 0;

	for (size_t i = 0; i < PROVIDERS; i++)
		world->sections[i].max_requests = 1;
	world_script(world, "[{\"call\":\"upload\",\"action\":\"drop_after\",\"count\":2}," UNAUTHORIZED("upload") "}]");
	job = world_submit_to(world, "sim,third", input);
	CU_ASSERT_EQUAL(live_on(world, job), 1);
	check_judged("a queue", world, job, input);
	check_world("a queue", world);
	for (int64_t number = 1; number <= 200; number++) {
		auto_shard shard = world_shard(world, job, number);

		if (!shard.id)
			break;
		kept += number <= 100 && shard.state == SHARD_COLLECTED;
		dropped += shard.state == SHARD_DROPPED;
		CU_ASSERT_STRING_EQUAL(shard.provider, shard.state == SHARD_DROPPED ? "sim" : "third");
	}
	CU_ASSERT(kept == 98 && dropped == 2);
	for (size_t i = 0; i < PROVIDERS; i++)
		(void)store_flight(world->store, world->sections[i].name, add_flight, &flying);
	CU_ASSERT_EQUAL(flying, 0);
	CU_ASSERT_EQUAL(world_ledger_of(world, 2).batches, 100);
	CU_ASSERT_EQUAL(world_ledger_of(world, 2).most_batches, 1);
	CU_ASSERT_EQUAL(world_ledger_of(world, 0).batches, 0);
	world_free(world);
}

/* Four that are small, and one. */
static char *one_large_request(void)
{
	auto_free char *small = world_requests(4, "");
	auto_free char *pad = xcalloc(1, 3001);

	memset(pad, 'x', 3000);
	return xasprintf("%s{\"custom_id\":\"big\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"m\","
			 "\"messages\":[{\"role\":\"user\",\"content\":\"%s\"}]}}\n",
			 small, pad);
}

/* Rows that the next provider takes in no batch wait where they are, and the rest does not wait for them. */
static void what_is_too_large_for_the_next_stays(void)
{
	struct world *world = make_world(0, 8);
	auto_free char *input = one_large_request();
	int64_t job;

	world->sections[1].max_bytes = 1000;
	world_script(world, UNAUTHORIZED("upload") ",\"count\":5}");
	job = world_submit_to(world, "sim,azure", input);
	CU_ASSERT_EQUAL(live_on(world, job), 1);
	check_judged("large", world, job, input);
	check_world("large", world);
	check_event("large", world, job, "shard.note",
		    "moved on to azure as shard 2, but for 1 requests that are too large for it: sim");
	CU_ASSERT_EQUAL(world_ledger_of(world, 0).batches, 1);
	CU_ASSERT_EQUAL(world_ledger_of(world, 0).requests, 1);
	CU_ASSERT_EQUAL(world_ledger_of(world, 1).batches, 1);
	CU_ASSERT_EQUAL(world_ledger_of(world, 1).requests, 4);
	world_free(world);
}

/* A refusal that the next provider would not share: what does not fit there is refused as it would have been. */
static void what_is_refused_and_too_large_for_the_next_fails(void)
{
	struct world *world = make_world(0, 9);
	auto_free char *input = one_large_request();
	auto_free char *errors = NULL;
	auto_job end = { 0 };
	int64_t job;

	world->sections[1].max_bytes = 1000;
	world_script(world, REFUSED("create", "404", "model_not_found"));
	job = world_submit_to(world, "sim,azure", input);
	CU_ASSERT_EQUAL(live_on(world, job), 1);
	check_judged("refused", world, job, input);
	check_world("refused", world);
	end = world_job(world, job);
	CU_ASSERT(end.state == JOB_COMPLETED && end.counts.ok == 4 && end.counts.failed == 1);
	errors = world_file(world, end.error_file);
	CU_ASSERT_PTR_NOT_NULL(strstr(errors, "\"code\":\"model_not_found\""));
	world_free(world);
}

/* The file that was uploaded before the move is nobody's. */
static void what_was_left_behind_is_cleared_away(void)
{
	struct world *world = make_world(0, 10);
	auto_free char *input = world_requests(4, "");
	int64_t job;

	world_script(world, UNAUTHORIZED("create") "}");
	job = world_submit_to(world, "sim,azure", input);
	CU_ASSERT_EQUAL(live_on(world, job), 1);
	/* While it refuses us nothing is asked for that nobody waits for. */
	(void)provider_resume(providers_at(world->providers, 0), 0);
	(void)world_run(world, 2 * HOUR_MS, is_never, NULL);
	CU_ASSERT(world->sims[0]->files_created == 1 && world->sims[0]->files_deleted == 1);
	CU_ASSERT_EQUAL(world->sims[1]->files_deleted, 0);
	world_free(world);
}

static char *two_models(void)
{
	auto_free char *first = world_requests(3, "");

	return xasprintf("%s{\"custom_id\":\"n-1\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{\"model\":\"n-2\","
			 "\"messages\":[]}}\n{\"custom_id\":\"n-2\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\",\"body\":{"
			 "\"model\":\"n-2\",\"messages\":[]}}\n",
			 first);
}

static void route(struct world *world, const char *first, const char *first_list, const char *second, const char *second_list)
{
	routes[0] = (struct config_route){ (char *)(uintptr_t)first, (char *)(uintptr_t)first_list, 1 };
	routes[1] = (struct config_route){ (char *)(uintptr_t)second, (char *)(uintptr_t)second_list, 2 };
	world->config.routes = routes;
	world->config.route_count = second ? 2 : 1;
}

static void each_model_goes_its_route(void)
{
	/* clang-format off */
	static const struct {
		const char *name, *list; /* of the job */
		const char *first, *first_list, *second, *second_list;
		int64_t requests[PROVIDERS];
		int64_t max_requests; /* of azure */
		int64_t batches[PROVIDERS];
	} rows[] = {
		{ "no route",          NULL,    "other", "azure", NULL, NULL,        { 5, 0, 0 }, 0, { 2, 0, 0 } },
		{ "one",               NULL,    "n-*", "azure", NULL, NULL,          { 3, 2, 0 }, 0, { 1, 1, 0 } },
		{ "two",               NULL,    "m", "third", "n-*", "azure",        { 0, 2, 3 }, 0, { 0, 1, 1 } },
		{ "the first that fits", NULL,  "*", "third", "n-*", "azure",        { 0, 0, 5 }, 0, { 0, 0, 2 } },
		{ "the limits of each", NULL,   "n-*", "azure", NULL, NULL,          { 3, 2, 0 }, 1, { 1, 2, 0 } },
		{ "the job names one", "third", "m", "azure", "n-*", "azure",        { 0, 0, 5 }, 0, { 0, 0, 2 } },
		{ "the job names two", "azure,sim", "m", "third", NULL, NULL,        { 0, 5, 0 }, 0, { 0, 2, 0 } },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world *world = make_world(0, i + 1);
		auto_free char *input = two_models();
		int64_t job;

		route(world, rows[i].first, rows[i].first_list, rows[i].second, rows[i].second_list);
		if (rows[i].max_requests)
			world->sections[1].max_requests = rows[i].max_requests;
		job = world_submit_to(world, rows[i].list, input);
		CHECK_ROW(rows[i].name, live_on(world, job) == 1);
		check_judged(rows[i].name, world, job, input);
		check_world(rows[i].name, world);
		for (size_t k = 0; k < PROVIDERS; k++) {
			CHECK_ROW(rows[i].name, world_ledger_of(world, k).requests == rows[i].requests[k]);
			CHECK_ROW(rows[i].name, world_ledger_of(world, k).batches == rows[i].batches[k]);
		}
		world_free(world);
	}
}

static void a_route_is_a_list_to_move_along(void)
{
	struct world *world = make_world(0, 3);
	auto_free char *input = world_requests(4, "");
	int64_t job;

	route(world, "m", "azure,third", NULL, NULL);
	world_script_of(world, 1, UNAUTHORIZED("upload") "}");
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(live_on(world, job), 1);
	check_judged("a route", world, job, input);
	CU_ASSERT_EQUAL(world_ledger_of(world, 2).requests, 4);
	CU_ASSERT_EQUAL(world_ledger_of(world, 0).requests, 0);
	/* While azure is paused, what is new begins at once where it can be sent. */
	job = world_submit(world, input);
	CU_ASSERT_EQUAL(live_on(world, job), 1);
	CU_ASSERT_FALSE(has_moved(world, job, ""));
	CU_ASSERT_EQUAL(world_ledger_of(world, 2).batches, 2);
	world_free(world);
}

static void a_retry_keeps_the_list(void)
{
	struct world *world = make_world(0, 4);
	auto_free char *input = world_requests(4, "");
	int64_t job, again;
	auto_job end = { 0 };

	world->provider.max_attempts = world->sections[1].max_attempts = 1;
	world_script_of(world, 0, ILL_ROWS);
	world_script_of(world, 1, "{\"action\":\"row_http_error\",\"status\":503,\"code\":\"x\",\"message\":\"x\",\"count\":4}");
	job = world_submit_to(world, "sim,azure", input);
	(void)live_on(world, job);
	end = world_job(world, job);
	CU_ASSERT(end.counts.ok == 0 && end.counts.failed == 4);
	again = world_retry(world, job);
	(void)live_on(world, again);
	job_release(&end);
	end = world_job(world, again);
	CU_ASSERT_EQUAL(end.counts.ok, 4);
	CU_ASSERT_STRING_EQUAL(end.providers, "sim,azure");
	world_free(world);
}

/* The next life has no section of the first provider. */
static void lose_first(struct world *world)
{
	world_kill(world);
	world->config.providers = &world->sections[1];
	world->config.provider_count = PROVIDERS - 1;
	world_start(world);
}

static void a_provider_that_is_gone_is_left(void)
{
	static const char *const lists[] = { "sim,azure", "sim" };

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++) {
		struct world *world = make_world(HOUR_MS, 5);
		auto_free char *input = world_requests(4, "");
		int64_t job;
		bool has_next = i == 0;

		world_script(world, UNAUTHORIZED("upload") "}");
		job = world_submit_to(world, lists[i], input);
		(void)world_run(world, MINUTE_MS, is_never, NULL);
		lose_first(world);
		(void)world_run(world, 2 * HOUR_MS, is_never, NULL);
		CHECK_ROW(lists[i], has_moved(world, job, "azure as shard 2: sim: it is not in the configuration any more") == has_next);
		CHECK_ROW(lists[i], world_ledger_of(world, 1).requests == (has_next ? 4 : 0));
		world->config.providers = &world->sections[0];
		world->config.provider_count = PROVIDERS;
		world_free(world);
	}
}

/* clang-format off */
CHECK_MAIN("many",
	   CHECK(rows_go_where_they_can_be_answered),
	   CHECK(a_queue_moves_with_its_shards),
	   CHECK(what_is_too_large_for_the_next_stays),
	   CHECK(what_is_refused_and_too_large_for_the_next_fails),
	   CHECK(what_was_left_behind_is_cleared_away),
	   CHECK(each_model_goes_its_route),
	   CHECK(a_route_is_a_list_to_move_along),
	   CHECK(a_retry_keeps_the_list),
	   CHECK(a_provider_that_is_gone_is_left),
	   CHECK(a_death_in_the_middle_of_a_move_changes_nothing))
/* clang-format on */
