#include "daemon/work/room.h"

#include <inttypes.h>

#include "daemon/base/alloc.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/work/api.h"
#include "daemon/work/provider.h"
#include "daemon/work/rates.h"

static int64_t left_of(int64_t limit, int64_t used)
{
	return limit ? limit - used : INT64_MAX;
}

static int64_t smaller(int64_t a, int64_t b)
{
	return a < b ? a : b;
}

void room_add(struct room_sums *sums, const struct store_flight *flight)
{
	sums->batches += flight->batches;
	sums->unsent += flight->unsent;
	sums->requests += flight->requests;
	sums->tokens += flight->tokens;
}

struct fairness_model room_of_model(const struct limits *limits, const struct room_sums *used, int64_t now)
{
	struct fairness_model model = {
		.room = {
			.batches = left_of(limits->max_batches, used->batches),
			.tokens = left_of(limits->max_tokens, used->tokens),
			.requests = left_of(limits->max_requests, used->requests),
		},
		.is_idle = used->batches == 0,
	};

	if (limits->full_batches)
		model.room.batches = smaller(model.room.batches, now - limits->full_at < LIMITS_FULL_LONGEST_MS ?
									 limits->full_batches - used->batches :
									 1 - used->unsent);
	/*
	 * It was refused with nothing else there: then one goes, and no other before it is known what becomes of that; after hours another,
	 * for that one may wait for a person.
	 */
	if (limits->full_until > now)
		model.room.batches = 0;
	else if (limits->full_until && now - limits->full_until < LIMITS_FULL_LONGEST_MS)
		model.room.batches = smaller(model.room.batches, 1 - used->batches);
	else if (limits->full_until)
		model.room.batches = smaller(model.room.batches, 1 - used->unsent);
	return model;
}

struct fairness_room room_of_provider(const struct config_provider *config, const struct room_sums *used)
{
	return (struct fairness_room){
		.batches = left_of(config->max_batches, used->batches),
		.tokens = left_of(config->max_enqueued_tokens, used->tokens),
		.requests = left_of(config->max_enqueued_requests, used->requests),
	};
}

int64_t room_places(const struct config_provider *config)
{
	return config->max_transfers + 1;
}

int64_t room_places_of_user(const struct config_provider *config)
{
	return (config->max_transfers + 1) / 2;
}

/* What it does not say by answers, it may say by the headers of those that it gave; the longer wait counts. */
int64_t room_shut_until(struct provider *provider, int64_t now, char **ret_why)
{
	const struct told_rate *rate = NULL;
	struct provider_wait wait = { 0 };
	const char *name = NULL;
	int64_t until = rates_spent_until(api_rates(provider->api), now, &rate, &name);

	if ((!provider_may_call(provider, API_UPLOAD, now, &wait) || !provider_may_call(provider, API_CREATE, now, &wait)) &&
	    wait.until >= until) {
		*ret_why = xstrdup(wait.why);
		return wait.until > now ? wait.until : now + 1;
	}
	if (until && rate->limit >= 0)
		*ret_why = xasprintf("rate of %s: 0 of %" PRId64 " left", name, rate->limit);
	else if (until)
		*ret_why = xasprintf("rate of %s: none left", name);
	return until;
}
