/* Why a shard waits for its turn: computed when somebody asks, for of those that wait there may be very many. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/model/quota.h"
#include "daemon/work/admission.h"
#include "daemon/work/budget.h"
#include "daemon/work/provider.h"
#include "daemon/work/room.h"

/* All shards of a job may be asked about at once. */
#define MOST_AHEAD 100

struct view {
	const char *model;
	struct room_sums used, used_of_model;
};

static void add_flight(const struct store_flight *flight, void *context)
{
	struct view *view = context;

	room_add(&view->used, flight);
	if (strcmp(flight->model, view->model) == 0)
		room_add(&view->used_of_model, flight);
}

/* "enqueued tokens of gpt-4o-mini: 1.9 M of 2 M used"; what is used is rounded up, so that it never looks like room. */
static char *use_words(const char *what, const char *model, int64_t used, int64_t limit)
{
	auto_free char *used_text = quota_show(used, true);
	auto_free char *limit_text = quota_show(limit, false);

	return xasprintf("%s%s%s: %s of %s used", what, model ? " of " : "", model ? model : "", used_text, limit_text);
}

static char *batches_words(const char *model, int64_t used, int64_t limit)
{
	return xasprintf("batches in flight%s%s: %" PRId64 " of %" PRId64, model ? " of " : "", model ? model : "", used,
			 limit);
}

static char *full_words(const struct view *view, const struct limits *limits)
{
	if (limits->max_batches && view->used_of_model.batches >= limits->max_batches)
		return batches_words(view->model, view->used_of_model.batches, limits->max_batches);
	return xasprintf("the provider's queue of %s is full, one of our %" PRId64 " batches must end first", view->model,
			 view->used_of_model.batches);
}

static char *lack_words(enum fairness_lack lack, const struct view *view, const struct limits *limits,
			const struct config_provider *config)
{
	const struct room_sums *used = &view->used, *of_model = &view->used_of_model;

	switch (lack) {
	case FAIRNESS_MODEL_BATCHES:
		return full_words(view, limits);
	case FAIRNESS_MODEL_TOKENS:
		return use_words("enqueued tokens", view->model, of_model->tokens, limits->max_tokens);
	case FAIRNESS_MODEL_REQUESTS:
		return use_words("enqueued requests", view->model, of_model->requests, limits->max_requests);
	case FAIRNESS_BATCHES:
		return batches_words(NULL, used->batches, config->max_batches);
	case FAIRNESS_TOKENS:
		return use_words("enqueued tokens", NULL, used->tokens, config->max_enqueued_tokens);
	case FAIRNESS_REQUESTS:
		return use_words("enqueued requests", NULL, used->requests, config->max_enqueued_requests);
	case FAIRNESS_FITS:
		break;
	}
	return xstrdup("its turn");
}

static char *add_ahead(struct store *store, const struct shard *shard, char *why)
{
	int64_t ahead = 0;
	char *text;

	if (store_queue_ahead(store, shard->id, MOST_AHEAD, &ahead) || !ahead)
		return why;
	text = xasprintf("%s%s %" PRId64 "%s ahead", why, strchr(why, ':') ? "," : ":", ahead, ahead == MOST_AHEAD ? "+" : "");
	free(why);
	return text;
}

char *admission_why(struct store *store, struct providers *providers, const struct shard *shard, int64_t now,
		    int64_t *ret_until)
{
	struct provider *provider = providers_find(providers, shard->provider);
	struct view view = { .model = shard->model };
	struct fairness_room room;
	struct fairness_model model;
	struct limits limits;
	struct provider_wait wait = { 0 };
	auto_job job = { 0 };
	char *why = NULL;

	*ret_until = 0;
	if (shard->queue != SHARD_WAITING)
		return NULL;
	if (!provider)
		return xstrdup("its provider is not in the configuration any more");
	/* What only a person can mend goes before what passes. */
	if (!store_job_get(store, shard->job, &job) &&
	    !budget_has_room(store, providers_config(providers), &job, shard, now, &why, ret_until))
		return why;
	*ret_until = room_shut_until(provider, now, &why);
	if (*ret_until) {
		/* Nobody knows when a person's pause ends. */
		if (!provider_may_call(provider, API_UPLOAD, now, &wait) && wait.has_no_end)
			*ret_until = 0;
		return why;
	}
	limits_load(store, provider->config, shard->model, now, &limits);
	if (limits.full_until > now) {
		*ret_until = limits.full_until;
		return xasprintf("the provider's queue of %s is full, with nothing of ours in it", shard->model);
	}
	(void)store_flight(store, provider->config->name, add_flight, &view);
	model = room_of_model(&limits, &view.used_of_model, now);
	room = room_of_provider(provider->config, &view.used);
	why = lack_words(fairness_lack_of(&model, &room, view.used.batches == 0, shard->requests,
					  limits_tokens(&limits, shard)),
			 &view, &limits, provider->config);
	return add_ahead(store, shard, why);
}
