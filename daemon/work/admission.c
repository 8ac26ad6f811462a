#include "daemon/work/admission.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/model/fairness.h"
#include "daemon/work/budget.h"
#include "daemon/work/limits.h"
#include "daemon/work/provider.h"
#include "daemon/work/room.h"

/* Lines looked at in a run: so many of the highest priorities, and so many of the others in turn. */
#define TOP_LINES 96
#define OTHER_LINES 32
#define MOST_LINES (TOP_LINES + OTHER_LINES)
/* What could not be read is looked at again after so long. */
#define UNREAD_REST_MS 1000
/* What the clock alone changes is looked at so often. */
#define LONGEST_REST_MS 60000
/* So long after a run that let somebody go. */
#define SPOILED_MS 1000
/* Shards that are let go to be taken apart, in a run. */
#define MOST_SPLITS 2
/* Jobs whose budget is used up that are gone past, in a run. */
#define MOST_PASSES 64
/* Damaged shards that are taken out of a line, in a look at it. */
#define MOST_DAMAGED 8
/* Lines and users that are remembered; one that is not is only taken for one that was never served. */
#define MEMORIES 4096

struct memory {
	uint64_t name; /* its hash, of a line or of a user */
	int64_t served_at;
	int64_t passed_at; /* since when others go past its first shard */
	int64_t passed;	   /* which one that is */
};

/* What is kept of a provider from run to run. */
struct desk {
	struct store_line cursor; /* the last of the others that was looked at; model NULL: begin anew */
	int laps;		  /* of the cursor, since anything changed */
	bool is_shut;
};

struct admission {
	struct store *store;
	struct providers *providers;
	struct desk *desks;
	size_t desk_count;
	int64_t version; /* of the queue, as the last run left it */
	int64_t ran_at, due_at;
	struct memory memories[MEMORIES];
};

/* A line, and its first shard that is to go. */
struct candidate {
	struct store_line line;
	struct shard shard;
	struct memory *memory;
};

struct model {
	const char *name; /* of a candidate's line */
	struct limits limits;
	struct room_sums used;
};

/* One look at one provider. */
struct run {
	struct admission *admission;
	struct desk *desk;
	struct provider *provider;
	int64_t now;
	struct room_sums used;
	struct candidate candidates[MOST_LINES];
	struct fairness_head heads[MOST_LINES]; /* of the candidates */
	size_t count;
	struct model models[MOST_LINES];
	struct fairness_model rooms[MOST_LINES]; /* of the models */
	size_t model_count;
	struct fairness_user users[MOST_LINES];
	size_t user_count;
	struct fairness_room room;
	int splits, passes;
	bool has_more; /* lines that were not looked at */
};

static const char *name_of(const struct run *run)
{
	return run->provider->config->name;
}

/* --- what is remembered of lines --- */

static struct memory *recall(struct run *run, const char *name)
{
	uint64_t hash = hash_keyed(0, name, strlen(name));
	struct memory *memory = &run->admission->memories[hash % MEMORIES];

	if (memory->name != hash)
		*memory = (struct memory){ .name = hash };
	return memory;
}

static struct memory *recall_line(struct run *run, const struct store_line *line)
{
	auto_free char *name = xasprintf("%s %" PRId64 " %" PRId64 " %s", name_of(run), line->uid, line->priority, line->model);

	return recall(run, name);
}

static struct memory *recall_user(struct run *run, int64_t uid)
{
	auto_free char *name = xasprintf("%s %" PRId64, name_of(run), uid);

	return recall(run, name);
}

/* --- the lines --- */

static size_t model_of(struct run *run, const char *name)
{
	size_t i = 0;

	while (i < run->model_count && strcmp(run->models[i].name, name) != 0)
		i++;
	if (i == run->model_count) {
		run->models[i] = (struct model){ .name = name };
		limits_load(run->admission->store, run->provider->config, name, run->now, &run->models[i].limits);
		run->model_count++;
	}
	return i;
}

static size_t user_of(struct run *run, int64_t uid)
{
	size_t i = 0;

	while (i < run->user_count && run->users[i].uid != uid)
		i++;
	if (i == run->user_count)
		run->users[run->user_count++] = (struct fairness_user){
			.uid = uid,
			.served_at = recall_user(run, uid)->served_at,
			.places = room_places_of_user(run->provider->config),
		};
	return i;
}

/* Moves on to the next line; false: there is none. The line before stays its owner's. */
static bool add_line(struct run *run, const struct store_line *after)
{
	struct candidate *candidate = &run->candidates[run->count];

	if (store_queue_next(run->admission->store, name_of(run), after, &candidate->line))
		return false;
	run->heads[run->count] = (struct fairness_head){
		.model = model_of(run, candidate->line.model),
		.user = user_of(run, candidate->line.uid),
		.priority = candidate->line.priority,
		.is_out = true,
	};
	candidate->memory = recall_line(run, &candidate->line);
	run->count++;
	return true;
}

/* Whether a line comes before another one in the order of the store. */
static bool is_before(const struct store_line *line, const struct store_line *other)
{
	if (line->priority != other->priority)
		return line->priority > other->priority;
	if (line->uid != other->uid)
		return line->uid > other->uid;
	return strcmp(line->model, other->model) > 0;
}

static void set_cursor(struct desk *desk, const struct store_line *line)
{
	free(desk->cursor.model);
	desk->cursor = (struct store_line){ 0 };
	if (!line)
		return;
	desk->cursor = *line;
	desk->cursor.model = xstrdup(line->model);
}

/* The lines of the highest priorities always; the others by turns. */
static void gather_lines(struct run *run)
{
	struct desk *desk = run->desk;
	const struct store_line *after = NULL;

	while (run->count < TOP_LINES && add_line(run, after))
		after = &run->candidates[run->count - 1].line;
	if (run->count < TOP_LINES) {
		set_cursor(desk, NULL);
		return;
	}
	if (desk->cursor.model && is_before(after, &desk->cursor))
		after = &desk->cursor;
	run->has_more = true;
	for (int i = 0; i < OTHER_LINES; i++) {
		if (!add_line(run, after)) {
			set_cursor(desk, NULL);
			desk->laps++;
			return;
		}
		after = &run->candidates[run->count - 1].line;
	}
	set_cursor(desk, after);
}

/* --- what is in flight --- */

static void add_to_all(const struct store_flight *flight, void *context)
{
	struct run *run = context;

	room_add(&run->used, flight);
}

static void add_to_each(const struct store_flight *flight, void *context)
{
	struct run *run = context;

	for (size_t i = 0; i < run->model_count; i++)
		if (strcmp(run->models[i].name, flight->model) == 0)
			room_add(&run->models[i].used, flight);
	for (size_t i = 0; i < run->user_count; i++) {
		struct fairness_user *user = &run->users[i];

		if (user->uid != flight->uid)
			continue;
		user->requests += flight->requests;
		user->places -= flight->unsent;
	}
}

static void weigh_model(struct run *run, size_t i)
{
	run->rooms[i] = room_of_model(&run->models[i].limits, &run->models[i].used, run->now);
	run->room = room_of_provider(run->provider->config, &run->used);
}

static void wake_at(struct run *run, int64_t at)
{
	if (at > run->now && at < run->admission->due_at)
		run->admission->due_at = at;
}

/* --- the heads --- */

static enum fairness_lack lack_of(const struct run *run, const struct fairness_head *head)
{
	return fairness_lack_of(&run->rooms[head->model], &run->room, run->used.batches == 0, head->requests, head->tokens);
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

/* The bytes that so many tokens are, so that nobody larger is looked for. */
static int64_t bytes_of(const struct run *run, const struct limits *limits, int64_t tokens)
{
	int64_t ratio = limits->ratio ? limits->ratio : run->provider->config->bytes_per_token * 1000;
	int64_t bytes;

	return __builtin_mul_overflow(tokens, ratio, &bytes) ? INT64_MAX : bytes / 1000;
}

static void take_head(struct run *run, size_t i, struct shard *shard)
{
	struct candidate *candidate = &run->candidates[i];
	struct fairness_head *head = &run->heads[i];
	struct memory *memory = candidate->memory;

	shard_release(&candidate->shard);
	candidate->shard = *shard;
	if (memory->passed != shard->id) {
		memory->passed = shard->id;
		memory->passed_at = 0;
	}
	head->requests = shard->requests;
	head->tokens = limits_tokens(&run->models[head->model].limits, shard);
	head->job = shard->job;
	head->number = shard->number;
	head->since = shard->due_at > memory->served_at ? shard->due_at : memory->served_at;
	head->passed_at = memory->passed_at;
	head->is_out = false;
}

/* Lets a shard go to be taken apart: the one that was made last of its job, so that the first small ones come soon. */
static void split(struct run *run, const struct candidate *candidate, const struct limits *limits)
{
	struct store *store = run->admission->store;
	auto_shard last = { 0 };

	if (run->splits >= MOST_SPLITS || store_queue_last(store, name_of(run), &candidate->line, candidate->shard.job, &last))
		return;
	if (!limits_is_large(limits, &last)) {
		shard_release(&last);
		if (store_shard_get(store, candidate->shard.id, &last))
			return;
	}
	run->splits++;
	last.queue = SHARD_FREE;
	last.due_at = run->now;
	store_shard_save(store, &last);
}

/*
 * A head for which there is no room, and that can be smaller: a smaller one behind it may go meanwhile, if there is one, else it is taken
 * apart, if its parts would find room.
 */
static void handle_large(struct run *run, size_t i)
{
	struct candidate *candidate = &run->candidates[i];
	struct fairness_head *head = &run->heads[i];
	const struct limits *limits = &run->models[head->model].limits;
	const struct fairness_model *model = &run->rooms[head->model];
	int64_t tokens = smaller(smaller(model->room.tokens, run->room.tokens), limits->most_tokens ?: INT64_MAX);
	int64_t requests = smaller(smaller(model->room.requests, run->room.requests), limits->most_requests ?: INT64_MAX);
	const struct store_size size = { bytes_of(run, limits, tokens), requests };
	bool is_patient = !head->passed_at || run->now - head->passed_at < FAIRNESS_PATIENCE_MS;
	struct shard small;

	/* Halves are at least half of the largest part that is not taken apart. */
	if (tokens <= limits->most_tokens / (2 * LIMITS_PARTS) || requests <= limits->most_requests / (2 * LIMITS_PARTS) ||
	    model->room.batches < 1 || run->room.batches < 1)
		return;
	if (!is_patient || store_queue_small(run->admission->store, name_of(run), &candidate->line, head->job,
					     head->number, &size, &small)) {
		split(run, candidate, limits);
		head->is_out = true;
		return;
	}
	if (!candidate->memory->passed_at)
		candidate->memory->passed_at = run->now;
	head->requests = small.requests;
	head->tokens = limits_tokens(limits, &small);
	head->number = small.number;
	head->job = small.job;
	head->passed_at = 0;
	shard_release(&candidate->shard);
	candidate->shard = small;
}

static void load_head(struct run *run, size_t i)
{
	struct candidate *candidate = &run->candidates[i];
	struct fairness_head *head = &run->heads[i];
	const struct limits *limits = &run->models[head->model].limits;
	int r = -EUCLEAN;
	enum fairness_lack lack;
	struct shard shard;

	head->is_out = true;
	for (int k = 0; r == -EUCLEAN && k < MOST_DAMAGED; k++)
		r = store_queue_head(run->admission->store, name_of(run), &candidate->line, run->now, &shard);
	if (r)
		return;
	take_head(run, i, &shard);
	lack = lack_of(run, head);
	if (limits_is_large(limits, &candidate->shard) &&
	    ((lack != FAIRNESS_FITS && lack != FAIRNESS_MODEL_BATCHES && lack != FAIRNESS_BATCHES) ||
	     (limits->most_tokens && head->tokens > limits->most_tokens) ||
	     (limits->most_requests && head->requests > limits->most_requests)))
		handle_large(run, i);
}

/* --- letting go --- */

/* Whether its job, and its owner, may spend what it will cost; ret_job is the caller's in both cases. */
static bool has_budget(const struct run *run, const struct shard *shard, struct job *ret_job)
{
	struct store *store = run->admission->store;

	return store_job_get(store, shard->job, ret_job) == 0 &&
	       budget_has_room(store, providers_config(run->admission->providers), ret_job, shard, run->now, NULL, NULL);
}

/* A job whose budget is used up must not keep the others of its line: the first shard of the next one takes its place. */
static bool pass_over(struct run *run, size_t i)
{
	static const struct store_size any = { INT64_MAX, INT64_MAX };
	struct candidate *candidate = &run->candidates[i];
	struct shard next;

	if (run->passes++ >= MOST_PASSES ||
	    store_queue_small(run->admission->store, name_of(run), &candidate->line, candidate->shard.job, INT64_MAX,
			      &any, &next))
		return false;
	take_head(run, i, &next);
	return true;
}

static void admit(struct run *run, size_t i, struct job *job)
{
	struct candidate *candidate = &run->candidates[i];
	struct shard *shard = &candidate->shard;
	const struct fairness_head *head = &run->heads[i];
	const struct store_flight flight = { .batches = 1, .unsent = 1, .requests = head->requests, .tokens = head->tokens };

	shard->queue = SHARD_FREE;
	shard->admitted_at = run->now;
	shard->reserved_tokens = head->tokens;
	shard->due_at = run->now;
	budget_reserve(run->admission->store, providers_config(run->admission->providers), job, shard, run->now);
	store_shard_save(run->admission->store, shard);
	candidate->memory->served_at = run->now;
	recall_user(run, candidate->line.uid)->served_at = run->now;
	run->users[head->user].served_at = run->now;
	room_add(&run->used, &flight);
	room_add(&run->models[head->model].used, &flight);
	run->users[head->user].requests += head->requests;
	run->users[head->user].places--;
	weigh_model(run, head->model);
	/* If the commit fails nobody was let go, and nothing else would tell. */
	wake_at(run, run->now + SPOILED_MS);
}

static void let_go(struct run *run)
{
	struct fairness fairness = {
		.now = run->now,
		.heads = run->heads,
		.head_count = run->count,
		.models = run->rooms,
		.model_count = run->model_count,
		.users = run->users,
	};
	int64_t places = room_places(run->provider->config) - run->used.unsent;

	while (places > 0) {
		auto_job job = { 0 };
		size_t i;

		fairness.room = run->room;
		if (fairness_next(&fairness, run->used.batches == 0, &i))
			break;
		if (!has_budget(run, &run->candidates[i].shard, &job)) {
			run->heads[i].is_out = !pass_over(run, i);
			continue;
		}
		admit(run, i, &job);
		places--;
		load_head(run, i);
	}
}

/* Until the next run only the lines know how long others have gone past them. */
static void keep_patience(struct run *run)
{
	for (size_t i = 0; i < run->count; i++)
		if (run->heads[i].passed_at && run->candidates[i].memory->passed == run->candidates[i].shard.id)
			run->candidates[i].memory->passed_at = run->heads[i].passed_at;
}

static void run_release(struct run *run)
{
	for (size_t i = 0; i < run->count; i++) {
		free(run->candidates[i].line.model);
		shard_release(&run->candidates[i].shard);
	}
	free(run);
}

static void look(struct run *run)
{
	struct store *store = run->admission->store;

	(void)store_flight(store, name_of(run), add_to_all, run);
	run->room = room_of_provider(run->provider->config, &run->used);
	if (run->used.unsent >= room_places(run->provider->config) || run->room.batches < 1)
		return;
	gather_lines(run);
	if (!run->count)
		return;
	(void)store_flight(store, name_of(run), add_to_each, run);
	for (size_t i = 0; i < run->model_count; i++) {
		weigh_model(run, i);
		wake_at(run, run->models[i].limits.full_until);
	}
	for (size_t i = 0; i < run->count; i++)
		if (run->rooms[run->heads[i].model].room.batches > 0)
			load_head(run, i);
	let_go(run);
	keep_patience(run);
	/* The others come next, unless none of them could go since anything changed. */
	if (run->has_more && run->desk->laps < 2 && run->used.unsent < room_places(run->provider->config))
		run->admission->due_at = run->now;
}

static void run_provider(struct admission *admission, size_t index, struct provider *provider, int64_t now)
{
	struct desk *desk = &admission->desks[index];
	auto_free char *why = NULL;
	int64_t until = room_shut_until(provider, now, &why);
	struct store_line first;
	struct run *run;

	desk->is_shut = until != 0;
	if (until > now && until < admission->due_at)
		admission->due_at = until;
	if (until || store_queue_next(admission->store, provider->config->name, NULL, &first))
		return;
	free(first.model);
	run = xcalloc(1, sizeof(*run));
	run->admission = admission;
	run->desk = desk;
	run->provider = provider;
	run->now = now;
	look(run);
	run_release(run);
}

/* A person's word, or the time, may have opened a provider: that changes nothing on disk. */
static bool has_opened(const struct admission *admission, int64_t now)
{
	for (size_t i = 0; i < admission->desk_count; i++) {
		auto_free char *why = NULL;

		if (admission->desks[i].is_shut && !room_shut_until(providers_at(admission->providers, i), now, &why))
			return true;
	}
	return false;
}

struct admission *admission_new(struct store *store, struct providers *providers)
{
	struct admission *admission = xcalloc(1, sizeof(*admission));

	admission->store = store;
	admission->providers = providers;
	while (providers_at(providers, admission->desk_count))
		admission->desk_count++;
	admission->desks = xcalloc(admission->desk_count + 1, sizeof(*admission->desks));
	admission->version = -1;
	return admission;
}

void admission_free(struct admission *admission)
{
	if (!admission)
		return;
	for (size_t i = 0; i < admission->desk_count; i++)
		free(admission->desks[i].cursor.model);
	free(admission->desks);
	free(admission);
}

int64_t admission_run(struct admission *admission, int64_t now)
{
	bool is_changed = admission_is_behind(admission);
	int64_t failed_reads = store_failed_reads(admission->store);

	/* A clock that was set back would make it rest for as long. */
	if (!is_changed && now >= admission->ran_at && now < admission->due_at && !has_opened(admission, now))
		return admission->due_at;
	admission->ran_at = now;
	admission->due_at = now + LONGEST_REST_MS;
	for (size_t i = 0; i < admission->desk_count; i++) {
		if (is_changed)
			admission->desks[i].laps = 0;
		run_provider(admission, i, providers_at(admission->providers, i), now);
	}
	admission->version = store_queue_version(admission->store);
	if (store_failed_reads(admission->store) != failed_reads)
		admission->due_at = now + UNREAD_REST_MS;
	return admission->due_at;
}

bool admission_is_behind(const struct admission *admission)
{
	return admission->version != store_queue_version(admission->store);
}
