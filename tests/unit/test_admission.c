/* Who is sent next, in a world: whose turn it is, what the limits leave, and what it costs to find out. */
#include <errno.h>
#include <inttypes.h>

#include "daemon/io/store_sql.h"
#include "daemon/io/vault.h"
#include "daemon/model/fairness.h"
#include "daemon/work/admission.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/sim/blob.h"
#include "tests/unit/world_scene.h"

#define OTHER_UID 1001
#define ALL_TOKENS INT64_MAX
#define HOURS_OF(count) ((count) * (int64_t)HOUR_MS)

/* --- the door of the provider, watched --- */

struct watch {
	int64_t creates;
	char *ids[4096]; /* the batches, in the order of their creation */
};

static void on_arrived(const char *method, const char *path, const struct sim_answer *answer, void *context)
{
	struct watch *watch = context;
	const char *id;

	if (strcmp(method, "POST") != 0 || strcmp(path, "/v1/batches") != 0 || answer->status != 200 || watch->creates == 4096)
		return;
	id = strstr(answer->body->data, "\"id\":\"");
	if (id)
		watch->ids[watch->creates++] = xmemdup0(id + 6, strcspn(id + 6, "\""));
}

static struct watch *watch_world(struct world *world)
{
	struct watch *watch = xcalloc(1, sizeof(*watch));

	world->network.post = (struct http_post){ .on_arrived = on_arrived, .context = watch };
	return watch;
}

static void watch_free(struct watch *watch)
{
	for (int64_t i = 0; i < watch->creates; i++)
		free(watch->ids[i]);
	free(watch);
}

/* The how-manieth batch it is, from 1; 0: it is none. */
static int64_t place_of(const struct watch *watch, const char *batch_id)
{
	for (int64_t i = 0; batch_id && i < watch->creates; i++)
		if (strcmp(watch->ids[i], batch_id) == 0)
			return i + 1;
	return 0;
}

static bool has_creates(struct world *world, void *context)
{
	const int64_t *wanted = context;
	const struct watch *watch = world->network.post.context;

	return watch->creates >= *wanted;
}

static int64_t submit(struct world *world, int64_t uid, int64_t priority, const char *input)
{
	struct vault_writer *writer = vault_writer_new(world->vault, VAULT_FILE_LIMIT);
	const struct store_file file = {
		.uid = uid,
		.purpose = (char *)(uintptr_t) "batch",
		.bytes = (int64_t)strlen(input),
		.created_at = world_now(world),
	};
	struct job job = {
		.uid = uid,
		.priority = priority,
		.input_file = store_file_add(world->store, &file),
		.endpoint = (char *)(uintptr_t) "/v1/chat/completions",
		.window = (char *)(uintptr_t) "24h",
		.provider = world->provider.name,
	};

	CU_ASSERT_EQUAL_FATAL(vault_write(writer, input, strlen(input), NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, job.input_file, NULL), 0);
	CU_ASSERT_FATAL(pipeline_accept(world->pipeline, &job) != 0);
	CU_ASSERT_EQUAL_FATAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
	return job.id;
}

static bool is_created(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.batch_id != NULL;
}

static void tell_finding(const struct store_finding *finding, void *context)
{
	(void)fprintf(stderr, "# job %" PRId64 " shard %" PRId64 ": %s\n", finding->job, finding->shard, finding->words);
	++*(int *)context;
}

static int count_findings(struct world *world)
{
	int count = 0;

	(void)store_check_rows(world->store, tell_finding, &count);
	return count;
}

/* --- whose turn it is --- */

/* clang-format off */
static const struct {
	const char *name;
	int jobs; /* of the other user */
	int64_t max_batches, max_transfers, latency_ms;
	int64_t run_ms;
	size_t requests; /* of each of the many */
	int64_t after;	 /* creates of the many, before the one comes */
	int64_t within;	 /* creates from then on, its own among them */
} crowds[] = {
	{ "no limit", 1000,			0,  4,	20,   20000,	1, 50,	3 },
	{ "no limit, far away", 150,		0,  4,	2000, 20000,	1, 50,	3 },
	{ "no limit, one transfer", 150,	0,  1,	20,   20000,	1, 50,	3 },
	{ "no limit, three transfers", 150,	0,  3,	20,   20000,	1, 50,	3 },
	{ "twenty batches", 1000,		20, 4,	20,   20000,	1, 100,	3 },
	{ "twenty large batches", 150,	20, 4,	20,   20000,	30, 100, 3 },
	{ "one batch", 150,			1,  4,	20,   20000,	1, 20,	3 },
	{ "batches that take hours", 150,	20, 4,	20,   7200000,	1, 90,	3 },
	{ "eight transfers", 150,		0,  8,	20,   20000,	1, 50,	5 },
};
/* clang-format on */

static void a_small_job_goes_within_the_next_creates(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(crowds); i++) {
		struct sim_config config = slow;
		auto_free char *many = world_requests(crowds[i].requests, "");
		auto_free char *one = world_requests(1, "");
		auto_shard shard = { 0 };
		struct world *world;
		struct watch *watch;
		int64_t before, job;

		config.run_ms = crowds[i].run_ms;
		world = world_new(&config, 1);
		watch = watch_world(world);
		world->provider.max_batches = crowds[i].max_batches;
		world->provider.max_transfers = crowds[i].max_transfers;
		world->network.latency_ms = crowds[i].latency_ms;
		for (int k = 0; k < crowds[i].jobs; k++)
			(void)world_submit(world, many);
		CHECK_ROW(crowds[i].name, world_run(world, HOURS_OF(100), has_creates, (void *)(uintptr_t)&crowds[i].after));
		before = watch->creates;
		job = world_submit_for(world, OTHER_UID, one);
		CHECK_ROW(crowds[i].name, world_run(world, HOURS_OF(100), is_created, &job));
		shard = world_shard(world, job, 1);
		CHECK_ROW(crowds[i].name, place_of(watch, shard.batch_id) > before);
		CHECK_ROW(crowds[i].name, place_of(watch, shard.batch_id) <= before + crowds[i].within);
		CHECK_ROW(crowds[i].name, count_findings(world) == 0);
		world_free(world);
		watch_free(watch);
	}
}

static void a_higher_priority_goes_first_and_a_lower_one_last(void)
{
	struct world *world = world_new(&slow, 1);
	struct watch *watch = watch_world(world);
	auto_free char *one = world_requests(1, "");
	int64_t creates = 5, jobs[30], high, low, last = 0, highest;

	world->provider.max_batches = 2;
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		jobs[i] = submit(world, WORLD_UID, 50, one);
	low = submit(world, WORLD_UID, 10, one);
	(void)world_run(world, HOURS_OF(1), has_creates, &creates);
	high = submit(world, WORLD_UID, 90, one);
	highest = watch->creates;
	CU_ASSERT_EQUAL(world_finish(world, low), JOB_COMPLETED);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		auto_shard shard = world_shard(world, jobs[i], 1);

		/* Among equals of one user: the older job. */
		CU_ASSERT_TRUE(place_of(watch, shard.batch_id) > last);
		last = place_of(watch, shard.batch_id);
	}
	{
		auto_shard first = world_shard(world, high, 1), end = world_shard(world, low, 1);

		CU_ASSERT_TRUE(place_of(watch, first.batch_id) <= highest + 3);
		CU_ASSERT_TRUE(place_of(watch, end.batch_id) > last);
	}
	world_free(world);
	watch_free(watch);
}

/* --- limits --- */

struct peak {
	int64_t batches, requests, tokens;
};

static void add_flight(const struct store_flight *flight, void *context)
{
	struct peak *peak = context;

	peak->batches += flight->batches;
	peak->requests += flight->requests;
	peak->tokens += flight->tokens;
}

static struct peak flight_of(struct world *world)
{
	struct peak peak = { 0 };

	CU_ASSERT_EQUAL(store_flight(world->store, world->provider.name, add_flight, &peak), 0);
	return peak;
}

struct bounded {
	int64_t job;
	struct peak most;
};

static bool is_over_or_note(struct world *world, void *context)
{
	struct bounded *bounded = context;
	struct peak now = flight_of(world);
	auto_job job = world_job(world, bounded->job);

	if (now.batches > bounded->most.batches)
		bounded->most.batches = now.batches;
	if (now.requests > bounded->most.requests)
		bounded->most.requests = now.requests;
	if (now.tokens > bounded->most.tokens)
		bounded->most.tokens = now.tokens;
	return job_is_ended(job.state) && !job.due_at;
}

/* A request of world_requests has some hundred and sixty bytes: about 40 tokens. */
static void every_limit_of_the_configuration_is_kept(void)
{
	static char every[] = "*", mine[] = "m";
	/* clang-format off */
	static const struct {
		const char *name;
		struct config_provider provider; /* its limits alone */
		struct config_provider_model model;
		struct peak most;
		struct peak least; /* that the peak must reach */
	} rows[] = {
		{ "batches", { .max_batches = 3 }, { 0 }, { 3, 30, ALL_TOKENS }, { 3, 30, 0 } },
		{ "requests", { .max_enqueued_requests = 45 }, { 0 }, { 99, 45, ALL_TOKENS }, { 4, 40, 0 } },
		{ "tokens", { .max_enqueued_tokens = 1500 }, { 0 }, { 99, 999, 1500 }, { 2, 10, 800 } },
		{ "batches of a model", { 0 }, { .pattern = every, .max_batches = 2 }, { 2, 20, ALL_TOKENS }, { 2, 20, 0 } },
		{ "requests of a model", { 0 }, { .pattern = mine, .max_enqueued_requests = 25 }, { 99, 25, ALL_TOKENS }, { 2, 20, 0 } },
		{ "tokens of a model", { 0 }, { .pattern = mine, .max_enqueued_tokens = 1500 }, { 99, 999, 1500 }, { 2, 10, 800 } },
		{ "requests less than a shard", { 0 }, { .pattern = every, .max_enqueued_requests = 4 }, { 99, 4, ALL_TOKENS }, { 1, 4, 0 } },
		{ "shards of few requests", { .max_batches = 4 }, { .pattern = every, .max_requests = 3 }, { 4, 12, ALL_TOKENS }, { 4, 12, 0 } },
		{ "shards of few bytes", { .max_batches = 4 }, { .pattern = every, .max_bytes = 700 }, { 4, 20, ALL_TOKENS }, { 4, 8, 0 } },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *input = world_requests(100, "");
		struct config_provider_model model = rows[i].model;
		struct bounded bounded = { 0 };

		world->provider.max_requests = 10;
		world->provider.max_batches = rows[i].provider.max_batches;
		world->provider.max_enqueued_requests = rows[i].provider.max_enqueued_requests;
		world->provider.max_enqueued_tokens = rows[i].provider.max_enqueued_tokens;
		world->provider.models = &model;
		world->provider.model_count = model.pattern ? 1 : 0;
		bounded.job = world_submit(world, input);
		CHECK_ROW(rows[i].name, world_run(world, HOURS_OF(10), is_over_or_note, &bounded));
		check_judged(rows[i].name, world, bounded.job, input);
		CHECK_ROW(rows[i].name, bounded.most.batches <= rows[i].most.batches && bounded.most.batches >= rows[i].least.batches);
		CHECK_ROW(rows[i].name, bounded.most.requests <= rows[i].most.requests && bounded.most.requests >= rows[i].least.requests);
		CHECK_ROW(rows[i].name, bounded.most.tokens <= rows[i].most.tokens && bounded.most.tokens >= rows[i].least.tokens);
		CHECK_ROW(rows[i].name, flight_of(world).batches == 0 && count_findings(world) == 0);
		world_free(world);
	}
}

/* --- why it waits --- */

static void tells_why_a_shard_waits(void)
{
	static char every[] = "*";
	/* clang-format off */
	static const struct {
		const char *name;
		int64_t max_batches, max_requests;
		struct config_provider_model model;
		const char *why; /* of the last job's shard */
	} rows[] = {
		{ "batches", 3, 0, { 0 }, "batches in flight: 3 of 3, 6 ahead" },
		{ "batches of a model", 0, 0, { .pattern = every, .max_batches = 3 }, "batches in flight of m: 3 of 3, 6 ahead" },
		{ "requests", 0, 3, { 0 }, "enqueued requests: 3 of 3 used, 6 ahead" },
		{ "requests of a model", 0, 0, { .pattern = every, .max_enqueued_requests = 3 }, "enqueued requests of m: 3 of 3 used, 6 ahead" },
		{ "tokens of a model", 0, 0, { .pattern = every, .max_enqueued_tokens = 110 }, "enqueued tokens of m: 102 of 110 used, 6 ahead" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct sim_config config = slow;
		auto_free char *one = world_requests(1, "");
		auto_free char *why = NULL;
		struct config_provider_model model = rows[i].model;
		struct world *world;
		auto_shard shard = { 0 };
		int64_t job = 0, until = -1;

		config.run_ms = HOUR_MS;
		world = world_new(&config, 1);
		world->provider.max_batches = rows[i].max_batches;
		world->provider.max_enqueued_requests = rows[i].max_requests;
		world->provider.models = &model;
		world->provider.model_count = model.pattern ? 1 : 0;
		for (int k = 0; k < 10; k++)
			job = world_submit(world, one);
		while (world_now(world) < loop_true_ms(world->loop) || flight_of(world).batches < 3)
			world_turn(world);
		for (int k = 0; k < 20; k++)
			world_turn(world);
		shard = world_shard(world, job, 1);
		why = admission_why(world->store, world->providers, &shard, world_now(world), &until);
		if (!why || strcmp(why, rows[i].why) != 0)
			(void)fprintf(stderr, "# %s\n", why ? why : "none");
		CHECK_ROW(rows[i].name, why && strcmp(why, rows[i].why) == 0);
		CHECK_ROW(rows[i].name, until == 0);
		world_free(world);
	}
}

static bool is_put_off(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.tries > 0;
}

static bool is_waiting(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.queue == SHARD_WAITING;
}

static void tells_why_nothing_goes_to_a_provider(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *one = world_requests(1, "");
	auto_free char *paused = NULL, *turn = NULL, *free_one = NULL, *gone = NULL;
	auto_shard shard = { 0 };
	int64_t until = -1, job;

	world_script(world, "{\"call\":\"upload\",\"action\":\"status\",\"status\":401,\"code\":\"invalid_api_key\",\"count\":1}");
	job = world_submit(world, one);
	(void)world_run(world, MINUTE_MS, is_put_off, &job);
	job = world_submit(world, one);
	CU_ASSERT_TRUE(world_run(world, MINUTE_MS, is_waiting, &job));
	shard = world_shard(world, job, 1);
	paused = admission_why(world->store, world->providers, &shard, world_now(world), &until);
	CU_ASSERT_TRUE(paused && strstr(paused, "HTTP 401") != NULL);
	CU_ASSERT_TRUE(until > world_now(world));
	turn = admission_why(world->store, world->providers, &shard, until + 1, &until);
	CU_ASSERT_TRUE(turn && strcmp(turn, "its turn") == 0);
	shard.queue = SHARD_FREE;
	free_one = admission_why(world->store, world->providers, &shard, world_now(world), &until);
	CU_ASSERT_PTR_NULL(free_one);
	shard.queue = SHARD_WAITING;
	free(shard.provider);
	shard.provider = xstrdup("nobody");
	gone = admission_why(world->store, world->providers, &shard, world_now(world), &until);
	CU_ASSERT_TRUE(gone && strstr(gone, "not in the configuration") != NULL);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	world_free(world);
}

static void a_spent_rate_waits_for_its_reset(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *one = world_requests(1, "");
	auto_free char *why = NULL;
	auto_shard shard = { 0 };
	int64_t first = world_submit(world, one), began = world_now(world), until = 0, job;

	world_script(world, "{\"call\":\"upload\",\"action\":\"status\",\"status\":429,\"code\":\"rate_limit_exceeded\",\"count\":1,"
			    "\"headers\":{\"x-ratelimit-limit-requests\":\"500\",\"x-ratelimit-remaining-requests\":\"0\","
			    "\"x-ratelimit-reset-requests\":\"6m30s\"}}");
	(void)world_run(world, MINUTE_MS, is_put_off, &first);
	job = world_submit(world, one);
	CU_ASSERT_TRUE(world_run(world, MINUTE_MS, is_waiting, &job));
	shard = world_shard(world, job, 1);
	why = admission_why(world->store, world->providers, &shard, world_now(world), &until);
	CU_ASSERT_TRUE(why && strcmp(why, "rate of requests: 0 of 500 left") == 0);
	CU_ASSERT_TRUE(until >= began + 390000 && until <= began + 392000);
	CU_ASSERT_TRUE(world_run(world, HOUR_MS, is_created, &job));
	CU_ASSERT_TRUE(world_now(world) - began >= 390000 && world_now(world) - began < 400000);
	CU_ASSERT_EQUAL(world_finish(world, first), JOB_COMPLETED);
	world_free(world);
}

/* --- what has no place is in nobody's way --- */

static void whoever_must_wait_gives_its_place_back(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *one = world_requests(1, "");
	auto_free char *large = world_requests(20, "");
	int64_t stuck[3], job;

	world_script(world, "{\"call\":\"upload\",\"action\":\"status\",\"status\":503,\"larger_than\":1500}");
	for (size_t i = 0; i < ARRAY_SIZE(stuck); i++)
		stuck[i] = world_submit(world, large);
	for (int i = 0; i < 20; i++) {
		job = world_submit(world, one);
		CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	}
	for (size_t i = 0; i < ARRAY_SIZE(stuck); i++) {
		auto_shard shard = world_shard(world, stuck[i], 1);

		CU_ASSERT_TRUE(shard.tries > 0);
		(void)world_cancel(world, stuck[i]);
		CU_ASSERT_EQUAL(world_finish(world, stuck[i]), JOB_CANCELLED);
	}
	CU_ASSERT_EQUAL(flight_of(world).batches, 0);
	CU_ASSERT_EQUAL(count_findings(world), 0);
	world_free(world);
}

static bool is_in_doubt(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.intended_at && shard.why;
}

static void a_create_in_doubt_is_in_nobodys_way(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *one = world_requests(1, "");
	int64_t doubted[4], job, began;

	know_list(world);
	world_script(world, "{\"call\":\"create\",\"action\":\"drop_before\",\"count\":4}");
	for (size_t i = 0; i < ARRAY_SIZE(doubted); i++)
		doubted[i] = world_submit(world, one);
	for (size_t i = 0; i < ARRAY_SIZE(doubted); i++)
		CU_ASSERT_TRUE(world_run(world, 5 * MINUTE_MS, is_in_doubt, &doubted[i]));
	began = world_now(world);
	job = world_submit_for(world, OTHER_UID, one);
	CU_ASSERT_TRUE(world_run(world, HOUR_MS, is_created, &job));
	job = world_submit(world, one);
	CU_ASSERT_TRUE(world_run(world, HOUR_MS, is_created, &job));
	CU_ASSERT_TRUE(world_now(world) - began < world->provider.settle);
	for (size_t i = 0; i < ARRAY_SIZE(doubted); i++)
		CU_ASSERT_EQUAL(world_finish(world, doubted[i]), JOB_COMPLETED);
	world_free(world);
}

/* --- what it costs --- */

static int64_t steps_of(struct world *world)
{
	int64_t steps = 0;

	for (size_t i = 0; i < SQL_COUNT; i++)
		steps += sqlite3_stmt_status(world->store->statements[i], SQLITE_STMTSTATUS_VM_STEP, 1);
	return steps;
}

/* So many jobs of so many users that wait, none of which can go or all of which may. */
static void fill_queue(struct world *world, int64_t count, int64_t users)
{
	for (int64_t i = 0; i < count; i++) {
		auto_free char *marker = xasprintf("%024" PRIx64, i);
		struct job job = {
			.uid = i % users,
			.state = JOB_RUNNING,
			.endpoint = (char *)(uintptr_t) "/v1/chat/completions",
			.window = (char *)(uintptr_t) "24h",
			.provider = world->provider.name,
		};
		struct shard shard = {
			.number = 1,
			.model = (char *)(uintptr_t)(i % 2 ? "m" : "n"),
			.url = job.endpoint,
			.marker = marker,
			.provider = world->provider.name,
			.queue = SHARD_WAITING,
			.requests = 1,
			.bytes = 100,
			.tokens = 25,
			.due_at = 1,
		};

		shard.job = store_job_add(world->store, &job);
		(void)store_shard_add(world->store, &shard);
	}
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
}

/* The steps of a run with so many in the queue, and of one that follows without a change. */
static void measure(int64_t count, int64_t users, int64_t *ret_steps, int64_t *ret_idle)
{
	struct world *world = world_new(NULL, 1);
	struct admission *admission = admission_new(world->store, world->providers);

	fill_queue(world, count, users);
	(void)steps_of(world);
	(void)admission_run(admission, world_now(world));
	*ret_steps = steps_of(world);
	(void)admission_run(admission, world_now(world) + 1);
	*ret_idle = steps_of(world);
	CU_ASSERT_TRUE(flight_of(world).batches > 0 && flight_of(world).batches <= 5);
	admission_free(admission);
	world_free(world);
}

static void a_long_queue_costs_no_more_than_a_short_one(void)
{
	static const int64_t users[] = { 1, 10, 1000 };

	for (size_t i = 0; i < ARRAY_SIZE(users); i++) {
		int64_t few, idle, many;

		measure(2000, users[i], &few, &idle);
		CU_ASSERT_EQUAL(idle, 0);
		measure(100000, users[i], &many, &idle);
		CU_ASSERT_EQUAL(idle, 0);
		CU_ASSERT_TRUE(many <= few + few / 10);
		CU_ASSERT_TRUE(many < 100000);
	}
}

/* With more lines than are looked at in a run, each gets its turn. */
static void many_lines_are_all_served(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *one = world_requests(1, "");
	int64_t jobs[400];

	world->provider.max_batches = 30;
	for (int64_t i = 0; i < 400; i++)
		jobs[i] = world_submit_for(world, 2000 + i, one);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		CU_ASSERT_EQUAL(world_finish(world, jobs[i]), JOB_COMPLETED);
	world_free(world);
}

CHECK_MAIN("admission", CHECK(a_small_job_goes_within_the_next_creates), CHECK(a_higher_priority_goes_first_and_a_lower_one_last),
	   CHECK(every_limit_of_the_configuration_is_kept), CHECK(tells_why_a_shard_waits),
	   CHECK(tells_why_nothing_goes_to_a_provider), CHECK(a_spent_rate_waits_for_its_reset),
	   CHECK(whoever_must_wait_gives_its_place_back),
	   CHECK(a_create_in_doubt_is_in_nobodys_way), CHECK(a_long_queue_costs_no_more_than_a_short_one),
	   CHECK(many_lines_are_all_served))
