#include "daemon/door/enqueued.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/door/visit.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/protocol.h"
#include "daemon/work/admission.h"
#include "daemon/work/api.h"
#include "daemon/work/limits.h"
#include "daemon/work/provider.h"
#include "daemon/work/rates.h"

struct making {
	struct json_object *array;
	struct json_object *last; /* of the array */
	bool has_words;
};

static void add_to(struct json_object *object, const char *name, int64_t more)
{
	int64_t number = json_object_get_int64(json_object_object_get(object, name));

	json_object_object_add(object, name, json_object_new_int64(number + more));
}

/* The users of a model stand one after the other. */
static void add_flight(const struct store_flight *flight, void *context)
{
	struct making *making = context;
	const char *last = json_object_get_string(json_object_object_get(making->last, "model"));

	if (!last || strcmp(last, flight->model) != 0) {
		if (json_object_array_length(making->array) >= PROTOCOL_MAX_LEARNED)
			return;
		making->last = json_object_new_object();
		json_object_object_add(making->last, "model", json_text(flight->model));
		json_object_array_add(making->array, making->last);
	}
	add_to(making->last, "batches", flight->batches);
	add_to(making->last, "requests", flight->requests);
	add_to(making->last, "tokens", flight->tokens);
}

static struct json_object *number_or_null(int64_t number)
{
	return number > 0 ? json_object_new_int64(number) : NULL;
}

static struct json_object *in_flight_object(const struct door_parts *parts, const struct provider *provider)
{
	struct making making = { .array = json_object_new_array() };

	(void)store_flight(parts->store, provider->config->name, add_flight, &making);
	for (size_t i = 0; i < json_object_array_length(making.array); i++) {
		struct json_object *object = json_object_array_get_idx(making.array, i);
		const char *model = json_object_get_string(json_object_object_get(object, "model"));
		struct limits limits;

		limits_load(parts->store, provider->config, model, loop_now_ms(parts->loop), &limits);
		json_object_object_add(object, "max_batches", number_or_null(limits.max_batches));
		json_object_object_add(object, "max_requests", number_or_null(limits.max_requests));
		json_object_object_add(object, "max_tokens", number_or_null(limits.max_tokens));
		json_object_object_add(object, "is_learned", json_object_new_boolean(limits.is_learned));
	}
	return making.array;
}

static void add_learned(const struct store_learned *learned, void *context)
{
	const struct making *making = context;
	struct json_object *object;

	if (json_object_array_length(making->array) >= PROTOCOL_MAX_LEARNED)
		return;
	object = json_object_new_object();
	json_object_object_add(object, "model", json_text(*learned->model ? learned->model : NULL));
	json_object_object_add(object, "name", json_text(learned->name));
	json_object_object_add(object, "value", json_object_new_int64(learned->value));
	json_object_object_add(object, "words", making->has_words ? json_text(learned->words) : NULL);
	json_object_object_add(object, "at", json_seconds(learned->at));
	json_object_array_add(making->array, object);
}

static struct json_object *learned_object(const struct door_parts *parts, const struct provider *provider, bool has_words)
{
	struct making making = { .array = json_object_new_array(), .has_words = has_words };

	(void)store_learned_list(parts->store, provider->config->name, add_learned, &making);
	return making.array;
}

static struct json_object *rate_object(const struct told_rate *rate)
{
	struct json_object *object;

	if (rate->limit < 0 && rate->remaining < 0)
		return NULL;
	object = json_object_new_object();
	json_object_object_add(object, "limit", rate->limit < 0 ? NULL : json_object_new_int64(rate->limit));
	json_object_object_add(object, "remaining", rate->remaining < 0 ? NULL : json_object_new_int64(rate->remaining));
	json_object_object_add(object, "reset_at", json_seconds(rate->reset_at));
	return object;
}

/* Who waits for a place there: how many, and what for one of the first does. Of others' budgets nobody but operators learns. */
static void add_waiting(struct json_object *object, const struct visit *visit, const struct provider *provider)
{
	const struct door_parts *parts = &visit->door->parts;
	int64_t now = loop_now_ms(parts->loop), count = 0, until = 0;
	struct store_line line = { 0 };
	auto_shard head = { 0 };
	auto_free char *why = NULL;

	(void)store_queue_length(parts->store, provider->config->name, PROTOCOL_MAX_WAITING, &count);
	if (count && !store_queue_next(parts->store, provider->config->name, NULL, &line) &&
	    (visit->is_operator || line.uid == visit->uid) &&
	    !store_queue_head(parts->store, provider->config->name, &line, now, &head))
		why = admission_why(parts->store, parts->providers, &head, now, &until);
	free(line.model);
	json_object_object_add(object, "shards_waiting", json_object_new_int64(count));
	json_object_object_add(object, "waiting_why", json_text(why));
	json_object_object_add(object, "waiting_until", json_seconds(until));
}

void enqueued_add(struct json_object *object, const struct visit *visit, const struct provider *provider)
{
	const struct door_parts *parts = &visit->door->parts;
	const struct rates *rates = api_rates(provider->api);
	struct json_object *told = json_object_new_object();

	add_waiting(object, visit, provider);
	json_object_object_add(object, "in_flight", in_flight_object(parts, provider));
	json_object_object_add(object, "learned", learned_object(parts, provider, visit->is_operator));
	json_object_object_add(told, "requests", rate_object(&rates->requests));
	json_object_object_add(told, "tokens", rate_object(&rates->tokens));
	json_object_object_add(object, "rates", told);
}
