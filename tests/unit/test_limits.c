/* What a provider taught: its limits by its refusals, what our bytes are in tokens; and what becomes of whoever it refused. */
#include <inttypes.h>

#include "daemon/io/store.h"
#include "daemon/model/load.h"
#include "daemon/work/limits.h"
#include "daemon/work/provider.h"
#include "daemon/work/room.h"
#include "tests/unit/world_scene.h"

#define SEEN "Enqueued token limit reached for m in organization org-x. Limit: 1,000 enqueued tokens."

/* --- the rules, without a provider --- */

static int64_t learned(struct world *world, const char *model, const char *name)
{
	struct store_learned found = { .value = 0 };

	if (store_learned_get(world->store, "sim", model, name, &found))
		return 0;
	free(found.words);
	return found.value;
}

static void add_job(struct world *world)
{
	const struct job job = {
		.provider = (char *)(uintptr_t) "sim",
		.endpoint = (char *)(uintptr_t) "/v1/chat/completions",
		.window = (char *)(uintptr_t) "24h",
	};

	CU_ASSERT_EQUAL(store_job_add(world->store, &job), 1);
}

/* A shard of model m, on disk; let go if it has a time for that. */
static struct shard keep_shard(struct world *world, int64_t number, int64_t tokens, int64_t requests, int64_t admitted_at)
{
	auto_free char *marker = xasprintf("%024" PRIx64, number);
	struct shard shard = {
		.job = 1,
		.number = number,
		.state = admitted_at ? SHARD_UPLOADED : SHARD_CUT,
		.provider_file = (char *)(uintptr_t) "file",
		.model = (char *)(uintptr_t) "m",
		.url = (char *)(uintptr_t) "/v1/chat/completions",
		.marker = marker,
		.provider = (char *)(uintptr_t) "sim",
		.requests = requests,
		.tokens = tokens,
		.bytes = tokens * 4,
		.reserved_tokens = tokens,
		.admitted_at = admitted_at,
		.due_at = 1,
	};

	shard.id = store_shard_add(world->store, &shard);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	shard.marker = NULL;
	return shard;
}

/* clang-format off */
static const struct {
	const char *name;
	int64_t configured; /* limit of the model; 0: none */
	int64_t others;	    /* tokens in flight of another shard; 0: there is none */
	int64_t tokens, requests; /* of the one that is refused */
	const char *words;
	int64_t retry_after_ms;
	enum limits_advice advice;
	int64_t limit, until, times, batches; /* learned; until: from now on */
} refusals[] = {
	{ "nothing is known",	     0, 0,   500, 5, "no", -1, LIMITS_WAIT, 0, 300000, 1, 0 },
	{ "others are there",	     0, 600, 500, 5, "no", -1, LIMITS_WAIT, 0, 0, 0, 1 },
	{ "the limit is told",	     0, 600, 500, 5, SEEN, -1, LIMITS_WAIT, 1000, 0, 0, 0 },
	{ "told, and yet by count",  0, 400, 500, 5, SEEN, -1, LIMITS_WAIT, 1000, 0, 0, 1 },
	{ "more than it",	     0, 600, 1001, 5, SEEN, -1, LIMITS_HALVE, 1000, 0, 0, 0 },
	{ "more than it, alone",     0, 0,   1001, 5, SEEN, -1, LIMITS_HALVE, 1000, 0, 0, 0 },
	{ "one that is more",	     0, 0,   1001, 1, SEEN, -1, LIMITS_HOPELESS, 1000, 0, 0, 0 },
	{ "one that is more waits",  0, 600, 1001, 1, SEEN, -1, LIMITS_WAIT, 1000, 0, 0, 0 },
	{ "alone within it",	     0, 0,   500, 1, SEEN, -1, LIMITS_WAIT, 1000, 300000, 1, 0 },
	{ "it says when",	     0, 0,   500, 1, "no", 7200000, LIMITS_WAIT, 0, 7200000, 1, 0 },
	{ "it says sooner",	     0, 0,   500, 1, "no", 1000, LIMITS_WAIT, 0, 300000, 1, 0 },
	{ "it says when, to others", 0, 600, 500, 1, "no", 60000, LIMITS_WAIT, 0, 60000, 0, 1 },
	{ "configured",		     2000, 600, 500, 5, SEEN, -1, LIMITS_WAIT, 0, 0, 0, 1 },
	{ "configured, too large",   400, 0, 500, 5, SEEN, -1, LIMITS_HALVE, 0, 0, 0, 0 },
};
/* clang-format on */

static void learns_from_a_refusal(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(refusals); i++) {
		struct world *world = world_new(NULL, 1);
		struct config_provider_model model = { .pattern = (char *)(uintptr_t) "*", .max_enqueued_tokens = refusals[i].configured };
		const int64_t now = world_now(world);
		struct shard shard;
		int64_t until;

		world->provider.models = &model;
		world->provider.model_count = refusals[i].configured ? 1 : 0;
		add_job(world);
		shard = keep_shard(world, 1, refusals[i].tokens, refusals[i].requests, now);
		if (refusals[i].others)
			(void)keep_shard(world, 2, refusals[i].others, 1, now);
		CHECK_ROW(refusals[i].name,
			  limits_note_refusal(world->store, &world->provider, &shard, refusals[i].words,
					      refusals[i].retry_after_ms, now) == refusals[i].advice);
		until = learned(world, "m", "full_until");
		CHECK_ROW(refusals[i].name, learned(world, "m", "max_enqueued_tokens") == refusals[i].limit);
		CHECK_ROW(refusals[i].name, (until ? until - now : 0) == refusals[i].until);
		CHECK_ROW(refusals[i].name, learned(world, "m", "full_times") == refusals[i].times);
		CHECK_ROW(refusals[i].name, learned(world, "m", "full_batches") == refusals[i].batches);
		/* Whoever was accepted before says nothing of it; whoever was since does. */
		limits_note_accepted(world->store, "sim", "m", now - 1);
		CHECK_ROW(refusals[i].name, learned(world, "m", "full_batches") == refusals[i].batches);
		limits_note_accepted(world->store, "sim", "m", now);
		CHECK_ROW(refusals[i].name, !learned(world, "m", "full_batches") && !learned(world, "m", "full_until"));
		CHECK_ROW(refusals[i].name, !learned(world, "m", "full_times"));
		CHECK_ROW(refusals[i].name, learned(world, "m", "max_enqueued_tokens") == refusals[i].limit);
		world_free(world);
	}
}

static void waits_ever_longer_where_nothing_of_ours_is_there(void)
{
	/* clang-format off */
	static const struct { int64_t wait_m; enum limits_advice advice; } rows[] = {
		{ 5, LIMITS_WAIT }, { 10, LIMITS_WAIT }, { 20, LIMITS_HALVE }, { 40, LIMITS_HALVE }, { 80, LIMITS_HALVE },
		{ 160, LIMITS_HALVE }, { 240, LIMITS_HALVE }, { 240, LIMITS_HALVE },
	};
	/* clang-format on */
	struct world *world = world_new(NULL, 1);
	struct shard shard;

	add_job(world);
	shard = keep_shard(world, 1, 500, 5, world_now(world));
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CU_ASSERT_EQUAL(limits_note_refusal(world->store, &world->provider, &shard, "no", -1, 1000), rows[i].advice);
		CU_ASSERT_EQUAL(learned(world, "m", "full_until"), 1000 + rows[i].wait_m * MINUTE_MS);
	}
	shard.requests = 1;
	CU_ASSERT_EQUAL(limits_note_refusal(world->store, &world->provider, &shard, "no", -1, 1000), LIMITS_WAIT);
	world_free(world);
}

static void the_usage_corrects_the_estimates(void)
{
	/* clang-format off */
	static const struct {
		const char *name;
		int64_t bytes, ok, requests, tokens;
		int64_t ratio; /* after it, in thousandths */
	} rows[] = {
		{ "no answer",		   4000, 0, 10, 0, 0 },
		{ "no usage",		   4000, 10, 10, 0, 0 },
		{ "four bytes",		   4000, 10, 10, 1000, 4000 },
		{ "half were answered",	   8000, 5, 10, 1000, 4000 },
		{ "it follows",		   40000, 10, 10, 20000, 2157 },
		{ "nonsense is passed",	   INT64_MAX, 10, 10, 5, 2157 },
		{ "more ok than requests", 4000, 11, 10, 1, 2157 },
		{ "below 0",		   4000, 10, 10, -5, 2157 },
		{ "pictures",		   400000000, 10, 10, 100, 20000 },
	};
	/* clang-format on */
	struct world *world = world_new(NULL, 1);
	const struct shard large = { .bytes = 34000, .tokens = 8500, .requests = 2 };
	struct limits limits;

	limits_load(world->store, &world->provider, "m", world_now(world), &limits);
	CU_ASSERT_EQUAL(limits_tokens(&limits, &large), 8500);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct shard shard = {
			.provider = (char *)(uintptr_t) "sim",
			.model = (char *)(uintptr_t) "m",
			.bytes = rows[i].bytes,
			.requests = rows[i].requests,
			.tally = { .ok = rows[i].ok, .input_tokens = rows[i].tokens },
		};

		limits_note_usage(world->store, &shard, 1);
		CHECK_ROW(rows[i].name, learned(world, "m", "bytes_per_token") == rows[i].ratio);
	}
	limits_load(world->store, &world->provider, "m", world_now(world), &limits);
	/* 34000 / 20, one more, and a sixteenth to be safe. */
	CU_ASSERT_EQUAL(limits_tokens(&limits, &large), 1701 + 106);
	limits_load(world->store, &world->provider, "n", world_now(world), &limits);
	CU_ASSERT_EQUAL(limits_tokens(&limits, &large), 8500);
	world_free(world);
}

static void what_was_learned_and_cannot_be_is_nothing(void)
{
	static const char *const words[] = { NULL, "", "x", "5 bytes", "-5 bytes, 3 tokens", "5 bytes, 0 tokens",
					     "99999999999999999999999 bytes, 1 tokens" };
	struct world *world = world_new(NULL, 1);
	const struct shard shard = {
		.provider = (char *)(uintptr_t) "sim", .model = (char *)(uintptr_t) "m", .bytes = 4000, .requests = 10,
		.tally = { .ok = 10, .input_tokens = 1000 },
	};
	struct limits limits;

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		const struct store_learned ratio = {
			.model = shard.model, .name = (char *)(uintptr_t) "bytes_per_token", .value = -7,
			.words = (char *)(uintptr_t)words[i],
		};

		store_learned_set(world->store, "sim", &ratio);
		limits_load(world->store, &world->provider, "m", world_now(world), &limits);
		CHECK_ROW(words[i] ? words[i] : "none", limits.ratio == 0);
		limits_note_usage(world->store, &shard, 1);
		CHECK_ROW(words[i] ? words[i] : "none", learned(world, "m", "bytes_per_token") == 4000);
	}
	world_free(world);
}

static void batches_are_made_so_that_several_find_room(void)
{
	static char pattern[] = "m";
	struct config_provider_model model = { .pattern = pattern, .max_enqueued_tokens = 1000, .bytes_per_token = 2, .max_requests = 7 };
	struct world *world = world_new(NULL, 1);
	const struct provider *provider = providers_find(world->providers, "sim");
	struct load_limits load;

	limits_of_batch(world->store, provider, "m", &load);
	CU_ASSERT_EQUAL(load.ideal_bytes, 0);
	world->provider.models = &model;
	world->provider.model_count = 1;
	limits_of_batch(world->store, provider, "m", &load);
	CU_ASSERT_TRUE(load.ideal_bytes == 500 && load.max_requests == 7 && load.bytes_per_token == 2);
	limits_of_batch(world->store, provider, "n", &load);
	CU_ASSERT_TRUE(load.ideal_bytes == 0 && load.max_requests == 50000 && load.bytes_per_token == 4);
	world->provider.max_enqueued_tokens = 100;
	limits_of_batch(world->store, provider, "m", &load);
	CU_ASSERT_EQUAL(load.ideal_bytes, 50);
	limits_of_batch(world->store, NULL, "m", &load);
	CU_ASSERT_EQUAL(load.max_requests, LOAD_MAX_REQUESTS);
	world_free(world);
}

static void a_full_queue_lets_one_go_for_each_that_ends(void)
{
	/* clang-format off */
	static const struct { const char *name; struct limits limits; int64_t batches, now, room, unsent; } rows[] = {
		{ "not full",			{ 0 }, 3, 1000, INT64_MAX, 0 },
		{ "none ended",			{ .full_batches = 3, .full_at = 1000 }, 3, 1000, 0, 0 },
		{ "one ended",			{ .full_batches = 3, .full_at = 1000 }, 2, 1000, 1, 0 },
		{ "none ends for long",		{ .full_batches = 3, .full_at = 1000 }, 3, 1000 + LIMITS_FULL_LONGEST_MS, 1, 0 },
		{ "and one is under way",	{ .full_batches = 3, .full_at = 1000 }, 4, 1000 + LIMITS_FULL_LONGEST_MS, 0, 1 },
		{ "which waits for a person",	{ .full_batches = 3, .full_at = 1000 }, 4, 1000 + LIMITS_FULL_LONGEST_MS, 1, 0 },
		{ "a limit is one anyhow",	{ .full_batches = 3, .full_at = 1000, .max_batches = 2 }, 2, 1000, 0, 0 },
		{ "refused alone",		{ .full_until = 2000 }, 0, 1000, 0, 0 },
		{ "then one goes",		{ .full_until = 2000 }, 0, 2000, 1, 0 },
		{ "and no other",		{ .full_until = 2000 }, 1, 2000, 0, 0 },
		{ "but for one in doubt",	{ .full_until = 2000 }, 1, 2000 + LIMITS_FULL_LONGEST_MS, 1, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		const struct room_sums used = { .batches = rows[i].batches, .unsent = rows[i].unsent };

		CHECK_ROW(rows[i].name, room_of_model(&rows[i].limits, &used, rows[i].now).room.batches == rows[i].room);
	}
}

/* --- the pipe: more waits than may be enqueued --- */

struct pipe_view {
	int64_t limit; /* the provider's */
	int64_t batches, unsent, tokens; /* in flight */
	int64_t refused;  /* batches, since the limit is known */
	int64_t told_at;  /* when it was learned; 0: not yet */
	int64_t slack_ms; /* until all refusals of what was there before are told */
	int64_t idle;	  /* times at which the clock moved on though there was room for whoever was first */
	int64_t used_ms;  /* tokens times milliseconds, while anybody waited */
	int64_t waited_ms;
};

static void add_flight(const struct store_flight *flight, void *context)
{
	struct pipe_view *view = context;

	view->batches += flight->batches;
	view->unsent += flight->unsent;
	view->tokens += flight->tokens;
}

/* Whether somebody waits, and whether there is room for the first of the line. */
static bool has_waiting(struct world *world, const struct pipe_view *view, bool *ret_has_room)
{
	struct store_line line;
	struct limits limits;
	auto_shard shard = { 0 };
	int r;

	*ret_has_room = false;
	if (store_queue_next(world->store, "sim", NULL, &line))
		return false;
	r = store_queue_head(world->store, "sim", &line, world_now(world), &shard);
	free(line.model);
	limits_load(world->store, &world->provider, "m", world_now(world), &limits);
	*ret_has_room = !r && limits.max_tokens && !limits.full_until && !limits.full_batches &&
			view->unsent < room_places_of_user(&world->provider) &&
			(limits_tokens(&limits, &shard) <= limits.max_tokens - view->tokens || !view->batches);
	return true;
}

/* One turn, with a look at what was so before the clock moved on. */
static void turn(struct world *world, struct pipe_view *view)
{
	int64_t before = world_now(world), passed;
	bool has_room, is_waiting;

	view->batches = view->unsent = view->tokens = 0;
	CU_ASSERT_EQUAL(store_flight(world->store, "sim", add_flight, view), 0);
	is_waiting = has_waiting(world, view, &has_room);
	if (!view->told_at && learned(world, "m", "max_enqueued_tokens") == view->limit)
		view->told_at = before;
	world_turn(world);
	passed = world_now(world) - before;
	if (!view->told_at || !is_waiting || !passed)
		return;
	view->idle += has_room;
	view->used_ms += view->tokens * passed;
	view->waited_ms += passed;
}

static void count_refusal(const struct store_event *event, void *context)
{
	struct pipe_view *view = context;

	if (event->at > view->told_at + view->slack_ms && strstr(event->message, "token_limit_exceeded"))
		view->refused++;
}

static int64_t failed_batches(struct world *world)
{
	struct world_ledger ledger = world_ledger(world);

	return ledger.batches;
}

/* clang-format off */
static const struct {
	const char *name;
	int64_t limit;
	int jobs;
	size_t requests[3]; /* of the jobs, by turns; each of some 530 tokens */
	int64_t most_requests; /* of a batch */
	bool is_known;	    /* it was taught before */
	int64_t least_percent; /* of the limit that is used */
} pipes[] = {
	{ "one job of all",   100000, 1,  { 4000, 4000, 4000 }, 50000, false, 70 },
	{ "known, one job",   100000, 1,  { 4000, 4000, 4000 }, 50000, true,  70 },
	{ "many jobs",	      100000, 40, { 100, 100, 100 },	50000, true,  70 },
	{ "jobs of all kinds", 100000, 60, { 1, 150, 20 },	50000, true,  70 },
	{ "small batches",    100000, 4,  { 1000, 1000, 1000 }, 10,    true,  85 },
};
/* clang-format on */

static bool is_all_over(struct world *world)
{
	int64_t counts[JOB_STATE_COUNT];

	CU_ASSERT_EQUAL(store_job_counts(world->store, -1, counts), 0);
	return !counts[JOB_ACCEPTED] && !counts[JOB_VALID] && !counts[JOB_RUNNING];
}

static void the_pipe_is_full_and_nothing_is_refused(void)
{
	char note[2100] = ",\"note\":\"";
	size_t begin = strlen(note);

	memset(note + begin, 'x', 2000);
	memcpy(note + begin + 2000, "\"", 2);
	for (size_t i = 0; i < ARRAY_SIZE(pipes); i++) {
		struct sim_config config = { .validate_ms = 5000, .run_ms = 10 * MINUTE_MS, .finalize_ms = 5000 };
		struct pipe_view view = { .limit = pipes[i].limit, .slack_ms = pipes[i].is_known ? 0 : 2 * MINUTE_MS };
		struct world *world;
		int64_t batches = 0;

		config.enqueued_token_limit = pipes[i].limit;
		world = world_new(&config, 1);
		world->provider.max_requests = pipes[i].most_requests;
		if (pipes[i].is_known) {
			struct store_learned limit = { .model = (char *)(uintptr_t) "m", .value = pipes[i].limit,
						       .name = (char *)(uintptr_t) "max_enqueued_tokens" };

			store_learned_set(world->store, "sim", &limit);
		}
		for (int k = 0; k < pipes[i].jobs; k++) {
			auto_free char *input = world_requests(pipes[i].requests[k % 3], note);

			(void)world_submit(world, input);
		}
		for (int64_t k = 0; k < 500000 && !is_all_over(world); k++)
			turn(world, &view);
		CHECK_ROW(pipes[i].name, is_all_over(world));
		batches = failed_batches(world);
		for (int64_t job = 1; job <= pipes[i].jobs; job++) {
			auto_job end = world_job(world, job);

			CHECK_ROW(pipes[i].name, end.counts.ok == end.counts.total);
			(void)store_event_list(world->store, job, 0, 100000, count_refusal, &view);
		}
		CHECK_ROW(pipes[i].name, view.refused == 0);
		CHECK_ROW(pipes[i].name, view.idle == 0);
		CU_ASSERT_FATAL(view.waited_ms > 0);
		CHECK_ROW(pipes[i].name, view.used_ms / view.waited_ms >= pipes[i].limit * pipes[i].least_percent / 100);
		(void)printf("# %s: %" PRId64 " batches, %" PRId64 " %% of the limit used\n", pipes[i].name, batches,
			     view.used_ms / view.waited_ms * 100 / pipes[i].limit);
		world_free(world);
	}
}

CHECK_MAIN("limits", CHECK(learns_from_a_refusal), CHECK(a_full_queue_lets_one_go_for_each_that_ends),
	   CHECK(waits_ever_longer_where_nothing_of_ours_is_there),
	   CHECK(the_usage_corrects_the_estimates), CHECK(what_was_learned_and_cannot_be_is_nothing),
	   CHECK(batches_are_made_so_that_several_find_room), CHECK(the_pipe_is_full_and_nothing_is_refused))
