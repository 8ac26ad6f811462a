#include "daemon/work/limits.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/model/load.h"
#include "daemon/model/quota.h"
#include "daemon/work/provider.h"

#define MAX_TOKENS "max_enqueued_tokens"
#define RATIO "bytes_per_token"
#define FULL_UNTIL "full_until"
#define FULL_TIMES "full_times"
#define FULL_BATCHES "full_batches"

/* Counters at providers lag, some for most of a day: so the wait without work of ours there doubles from this to that. */
#define ALONE_FIRST_MS (5 * 60 * 1000)
#define ALONE_LONGEST_MS LIMITS_FULL_LONGEST_MS
/* So often it is the provider that lags; then a part of the shard may do better. */
#define ALONE_TIMES 3

/* What a token can be: less is another count than ours, more is pictures, whose tokens are not made of bytes. */
#define LEAST_RATIO 1000
#define MOST_RATIO 20000
/* The sums forget so much of themselves with each shard, so that the ratio follows. */
#define KEPT_TENTHS 9
/* Sums stay below this. */
#define MOST_SUM INT64_C(1000000000000000)
/* Shards differ: of each estimate this part is added to it. */
#define SAFETY_PART 16

static int64_t smallest(int64_t a, int64_t b)
{
	return a && (!b || a < b) ? a : b;
}

/* A value that was learned, and when; 0: none. */
static int64_t recall_at(struct store *store, const char *provider, const char *model, const char *name, int64_t *ret_at)
{
	struct store_learned learned;

	if (store_learned_get(store, provider, model, name, &learned))
		return 0;
	free(learned.words);
	*ret_at = learned.at;
	return learned.value > 0 ? learned.value : 0;
}

static int64_t recall(struct store *store, const char *provider, const char *model, const char *name)
{
	int64_t at;

	return recall_at(store, provider, model, name, &at);
}

static void keep(struct store *store, const char *provider, const char *model, const char *name, int64_t value,
		 const char *words, int64_t now)
{
	const struct store_learned learned = {
		.model = (char *)(uintptr_t)model,
		.name = (char *)(uintptr_t)name,
		.value = value,
		.words = (char *)(uintptr_t)words,
		.at = now,
	};

	store_learned_set(store, provider, &learned);
}

void limits_load(struct store *store, const struct config_provider *config, const char *model, int64_t now,
		 struct limits *ret_limits)
{
	int64_t until_at = 0;
	const struct config_provider_model *own = config_provider_model_find(config, model);

	*ret_limits = (struct limits){
		.max_batches = own ? own->max_batches : 0,
		.max_tokens = own ? own->max_enqueued_tokens : 0,
		.max_requests = own ? own->max_enqueued_requests : 0,
		.ratio = own ? own->bytes_per_token * 1000 : 0,
		.full_until = recall_at(store, config->name, model, FULL_UNTIL, &until_at),
	};
	ret_limits->full_batches = recall_at(store, config->name, model, FULL_BATCHES, &ret_limits->full_at);
	if (until_at > now)
		ret_limits->full_until = 0;
	if (ret_limits->full_at > now)
		ret_limits->full_batches = 0;
	if (!ret_limits->max_tokens) {
		ret_limits->max_tokens = recall(store, config->name, model, MAX_TOKENS);
		ret_limits->is_learned = ret_limits->max_tokens > 0;
	}
	if (!ret_limits->ratio)
		ret_limits->ratio = recall(store, config->name, model, RATIO);
	ret_limits->most_tokens = smallest(ret_limits->max_tokens, config->max_enqueued_tokens);
	ret_limits->most_requests = smallest(ret_limits->max_requests, config->max_enqueued_requests);
}

int64_t limits_tokens(const struct limits *limits, const struct shard *shard)
{
	int64_t tokens;

	/* A shard has at most the bytes of a file, far from what overflows here. */
	if (!limits->ratio || __builtin_mul_overflow(shard->bytes, 1000, &tokens))
		return shard->tokens;
	tokens = tokens / limits->ratio + 1;
	return tokens + tokens / SAFETY_PART;
}

bool limits_is_large(const struct limits *limits, const struct shard *shard)
{
	int64_t part = shard->state == SHARD_CUT ? LIMITS_PARTS : 1;

	if (shard->requests < 2)
		return false;
	return (limits->most_tokens && limits_tokens(limits, shard) > limits->most_tokens / part) ||
	       (limits->most_requests && shard->requests > limits->most_requests / part);
}

void limits_of_batch(struct store *store, const struct provider *provider, const char *model,
		     struct load_limits *ret_limits)
{
	struct limits limits;
	int64_t ratio, bytes;

	provider_limits(provider, model, ret_limits);
	if (!provider)
		return;
	/* Whether it is full now does not matter. */
	limits_load(store, provider->config, model, 0, &limits);
	ratio = limits.ratio ? limits.ratio : ret_limits->bytes_per_token * 1000;
	if (limits.most_tokens && !__builtin_mul_overflow(limits.most_tokens / LIMITS_PARTS, ratio, &bytes))
		ret_limits->ideal_bytes = bytes / 1000 > 0 ? bytes / 1000 : 1;
}

struct others {
	const char *model;
	int64_t batches, tokens;
};

static void add_flight(const struct store_flight *flight, void *context)
{
	struct others *others = context;

	if (strcmp(flight->model, others->model) != 0)
		return;
	others->batches += flight->batches;
	others->tokens += flight->tokens;
}

/* What is in flight of the shard's model beside itself. */
static struct others find_others(struct store *store, const struct shard *shard)
{
	struct others others = { .model = shard->model };

	(void)store_flight(store, shard->provider, add_flight, &others);
	if (shard->admitted_at) {
		others.batches--;
		others.tokens -= shard->reserved_tokens;
	}
	return others;
}

/* The limit that the words name, where nobody configured one. */
static void learn_limit(struct store *store, const struct config_provider *config, const char *model, const char *words,
			int64_t now)
{
	const struct config_provider_model *own = config_provider_model_find(config, model);
	int64_t limit = 0;

	if ((own && own->max_enqueued_tokens) || quota_parse_limit(words, &limit))
		return;
	if (recall(store, config->name, model, MAX_TOKENS) == limit)
		return;
	keep(store, config->name, model, MAX_TOKENS, limit, words, now);
	log_notice("a provider's limit of enqueued tokens was learned", log_text("PROVIDER", config->name),
		   log_number("COUNT", limit));
}

static enum limits_advice note_alone(struct store *store, const char *provider, const struct shard *shard,
				     const char *words, int64_t retry_after_ms, int64_t now)
{
	int64_t times = recall(store, provider, shard->model, FULL_TIMES) + 1;
	int64_t wait_ms = ALONE_FIRST_MS;

	for (int64_t i = 1; i < times && wait_ms < ALONE_LONGEST_MS; i++)
		wait_ms *= 2;
	if (wait_ms > ALONE_LONGEST_MS)
		wait_ms = ALONE_LONGEST_MS;
	if (wait_ms < retry_after_ms)
		wait_ms = retry_after_ms;
	keep(store, provider, shard->model, FULL_TIMES, times, NULL, now);
	keep(store, provider, shard->model, FULL_UNTIL, now + wait_ms, words, now);
	store_learned_remove(store, provider, shard->model, FULL_BATCHES);
	return times >= ALONE_TIMES && shard->requests > 1 ? LIMITS_HALVE : LIMITS_WAIT;
}

enum limits_advice limits_note_refusal(struct store *store, const struct config_provider *config, const struct shard *shard,
				       const char *words, int64_t retry_after_ms, int64_t now)
{
	struct others others = find_others(store, shard);
	struct limits limits;
	int64_t tokens;

	learn_limit(store, config, shard->model, words, now);
	limits_load(store, config, shard->model, now, &limits);
	tokens = limits_tokens(&limits, shard);
	if (limits.max_tokens && tokens > limits.max_tokens && shard->requests > 1)
		return LIMITS_HALVE;
	if (others.batches > 0) {
		/* Where our own count says the same, it also says when there is room again. */
		if (!limits.max_tokens || others.tokens + tokens <= limits.max_tokens)
			keep(store, config->name, shard->model, FULL_BATCHES, others.batches, words, now);
		if (retry_after_ms > 0)
			keep(store, config->name, shard->model, FULL_UNTIL, now + retry_after_ms, words, now);
		return LIMITS_WAIT;
	}
	if (limits.max_tokens && tokens > limits.max_tokens)
		return LIMITS_HOPELESS;
	return note_alone(store, config->name, shard, words, retry_after_ms, now);
}

void limits_note_accepted(struct store *store, const char *provider, const char *model, int64_t created_at)
{
	static const char *const names[] = { FULL_UNTIL, FULL_TIMES, FULL_BATCHES };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct store_learned learned;

		if (store_learned_get(store, provider, model, names[i], &learned))
			continue;
		free(learned.words);
		if (learned.at <= created_at)
			store_learned_remove(store, provider, model, names[i]);
	}
}

/* The sums of bytes and tokens that a ratio was made of; as good as none where they cannot be read. */
static void recall_sums(struct store *store, const struct shard *shard, int64_t *ret_bytes, int64_t *ret_tokens)
{
	struct store_learned learned;
	int64_t bytes = 0, tokens = 0;

	if (store_learned_get(store, shard->provider, shard->model, RATIO, &learned))
		return;
	if (learned.words && sscanf(learned.words, "%" SCNd64 " bytes, %" SCNd64 " tokens", &bytes, &tokens) == 2 &&
	    bytes > 0 && bytes < MOST_SUM && tokens > 0 && tokens < MOST_SUM) {
		*ret_bytes = bytes;
		*ret_tokens = tokens;
	}
	free(learned.words);
}

void limits_note_usage(struct store *store, const struct shard *shard, int64_t now)
{
	const struct shard_tally *tally = &shard->tally;
	auto_free char *words = NULL;
	int64_t bytes = 0, tokens = 0, own, ratio;

	/* Of requests without an answer nobody says what they would have used. */
	if (tally->ok <= 0 || shard->requests < tally->ok || __builtin_mul_overflow(shard->bytes, tally->ok, &own) ||
	    tally->input_tokens <= 0 || tally->input_tokens >= MOST_SUM || own / shard->requests >= MOST_SUM)
		return;
	recall_sums(store, shard, &bytes, &tokens);
	bytes = bytes / 10 * KEPT_TENTHS + own / shard->requests;
	tokens = tokens / 10 * KEPT_TENTHS + tally->input_tokens;
	ratio = bytes * 1000 / tokens;
	if (ratio < LEAST_RATIO)
		ratio = LEAST_RATIO;
	if (ratio > MOST_RATIO)
		ratio = MOST_RATIO;
	words = xasprintf("%" PRId64 " bytes, %" PRId64 " tokens", bytes, tokens);
	keep(store, shard->provider, shard->model, RATIO, ratio, words, now);
}
