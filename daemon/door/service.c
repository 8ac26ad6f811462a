/* The service itself: what it is, how it is, whether it accepts. */
#include <json-c/json.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/door/enqueued.h"
#include "daemon/door/visit.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/model/load.h"
#include "daemon/model/price.h"
#include "daemon/work/limits.h"
#include "daemon/work/provider.h"

static struct json_object *jobs_object(const struct visit *visit)
{
	struct json_object *jobs = json_object_new_object();
	int64_t counts[JOB_STATE_COUNT] = { 0 };

	(void)store_job_counts(visit->door->parts.store, visit_owner(visit), counts);
	for (unsigned i = 0; i < JOB_STATE_COUNT; i++)
		json_object_object_add(jobs, job_state_name((enum job_state)i), json_object_new_int64(counts[i]));
	return jobs;
}

static struct json_object *limits_object(const struct door_parts *parts, const struct provider *provider)
{
	struct json_object *object = json_object_new_object();
	struct load_limits limits;

	limits_of_batch(parts->store, provider, "", &limits);
	json_object_object_add(object, "max_requests", json_object_new_int64(limits.max_requests));
	json_object_object_add(object, "max_bytes", json_object_new_int64(limits.max_bytes));
	json_object_object_add(object, "max_inputs", json_object_new_int64(limits.max_inputs));
	json_object_object_add(object, "max_tokens", json_object_new_int64(limits.max_tokens));
	json_object_object_add(object, "bytes_per_token", json_object_new_int64(limits.bytes_per_token));
	json_object_object_add(object, "ideal_bytes", json_object_new_int64(limits.ideal_bytes));
	return object;
}

/* "50%", "12.5%", out of parts of 10,000. */
static struct json_object *percent_object(int64_t parts)
{
	auto_free char *number = price_show(parts * (PRICE_UNIT / 100));
	auto_free char *text = xasprintf("%s%%", number);

	return json_object_new_string(text);
}

static struct json_object *price_object(int64_t price)
{
	auto_free char *text = price_show(price);

	return json_object_new_string(text);
}

static struct json_object *models_object(const struct config *config)
{
	struct json_object *models = json_object_new_array();

	for (size_t i = 0; i < config->model_count; i++) {
		const struct config_model *model = &config->models[i];
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "name", json_text(model->name));
		json_object_object_add(object, "input_price", price_object(model->input_price));
		json_object_object_add(object, "output_price", price_object(model->output_price));
		json_object_array_add(models, object);
	}
	return models;
}

static struct json_object *routes_object(const struct config *config)
{
	struct json_object *routes = json_object_new_array();

	for (size_t i = 0; i < config->route_count; i++) {
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "model", json_text(config->routes[i].pattern));
		json_object_object_add(object, "providers", json_names(config->routes[i].providers));
		json_object_array_add(routes, object);
	}
	return routes;
}

/* What it takes at once, and how fast; 0: no limit is known. */
static struct json_object *allowance_object(const struct config_provider *config)
{
	struct json_object *object = json_object_new_object();
	/* clang-format off */
	const struct { const char *name; int64_t value; } numbers[] = {
		{ "max_batches",           config->max_batches },
		{ "max_enqueued_tokens",   config->max_enqueued_tokens },
		{ "max_enqueued_requests", config->max_enqueued_requests },
		{ "uploads_per_minute",    config->uploads_per_minute },
		{ "batches_per_hour",      config->batches_per_hour },
		{ "lists_per_minute",      config->lists_per_minute },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++)
		json_object_object_add(object, numbers[i].name, json_object_new_int64(numbers[i].value));
	return object;
}

static struct json_object *provider_object(const struct visit *visit, struct provider *provider)
{
	const struct door_parts *parts = &visit->door->parts;
	struct json_object *object = json_object_new_object();
	int64_t in_flight = 0;

	(void)store_shard_in_flight(parts->store, provider->config->name, &in_flight);
	json_object_object_add(object, "name", json_text(provider->config->name));
	json_object_object_add(object, "base_url", json_text(provider->config->base_url));
	json_object_object_add(object, "dialect", json_text(provider->config->terms.name));
	provider_add_health(object, provider, loop_now_ms(parts->loop));
	json_object_object_add(object, "shards_in_flight", json_object_new_int64(in_flight));
	json_object_object_add(object, "limits", limits_object(parts, provider));
	json_object_object_add(object, "allowance", allowance_object(provider->config));
	enqueued_add(object, visit, provider);
	json_object_object_add(object, "batch_discount", percent_object(provider->config->batch_discount));
	return object;
}

void service_daemon(struct visit *visit)
{
	const struct door_parts *parts = &visit->door->parts;
	struct json_object *object = json_object_new_object();
	struct json_object *providers = json_object_new_array();
	struct json_object *you = json_object_new_object();
	int status;
	const char *why = door_refusal(visit->door, &status);
	struct provider *provider;

	for (size_t i = 0; (provider = providers_at(parts->providers, i)); i++)
		json_object_array_add(providers, provider_object(visit, provider));
	json_object_object_add(you, "uid", json_object_new_int64(visit->uid));
	json_object_object_add(you, "is_operator", json_object_new_boolean(visit->is_operator));
	json_object_object_add(object, "object", json_object_new_string("batchd.daemon"));
	json_object_object_add(object, "version", json_object_new_string(PACKAGE_VERSION));
	json_object_object_add(object, "pid", json_object_new_int64(getpid()));
	json_object_object_add(object, "started_at", json_seconds(visit->door->started_at));
	json_object_object_add(object, "accepting", json_object_new_boolean(!why));
	json_object_object_add(object, "why", json_text(why));
	json_object_object_add(object, "state_folder", json_text(spool_folder(parts->spool)));
	json_object_object_add(object, "jobs", jobs_object(visit));
	json_object_object_add(object, "providers", providers);
	json_object_object_add(object, "routes", routes_object(parts->config));
	json_object_object_add(object, "currency", json_text(parts->config->currency));
	json_object_object_add(object, "models", models_object(parts->config));
	json_object_object_add(object, "disk_free_bytes", json_object_new_int64(spool_free_bytes(parts->spool)));
	json_object_object_add(object, "you", you);
	visit_json(visit, 200, object);
}

void service_health(struct visit *visit)
{
	int status;
	const char *why = door_refusal(visit->door, &status);

	if (why) {
		visit_error(visit, 503, NULL, NULL, "%s", why);
		return;
	}
	visit->is_answered = true;
	exchange_reply(visit->exchange, 200, "text/plain", "ok\n", 3);
}
