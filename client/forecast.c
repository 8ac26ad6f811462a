#include "client/forecast.h"

#include <stdlib.h>

#include "client/exits.h"
#include "client/input.h"
#include "client/json.h"
#include "client/options.h"
#include "client/submission.h"
#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/model/names.h"
#include "daemon/model/price.h"
#include "daemon/model/record.h"

#define FLAWS_KEPT 10

static void keep_flaw(int64_t line, const char *code, const char *param, const char *message,
		      void *context)
{
	struct forecast *forecast = context;
	struct json_object *flaw;

	if (json_object_array_length(forecast->flaws) == FLAWS_KEPT)
		return;
	flaw = json_object_new_object();
	json_object_object_add(flaw, "line", line ? json_object_new_int64(line) : NULL);
	json_object_object_add(flaw, "code", json_object_new_string(code));
	json_object_object_add(flaw, "param", param ? json_object_new_string(param) : NULL);
	json_object_object_add(flaw, "message", json_object_new_string(message));
	(void)json_object_array_add(forecast->flaws, flaw);
}

static size_t count_of(struct json_object *array)
{
	return json_object_is_type(array, json_type_array) ? json_object_array_length(array) : 0;
}

/*
 * The number of the provider called by the first name of a list, 0 for NULL, and that provider,
 * borrowed: NULL when there is none.
 */
static size_t find_provider(struct json_object *daemon, const char *list,
			    struct json_object **ret_provider)
{
	struct json_object *providers = json_at(daemon, "providers");
	struct names first = {.rest = list};
	bool is_named = names_next(&first);
	size_t number = 0;

	while (number < count_of(providers) && is_named &&
	       !names_is(&first, json_text(json_object_array_get_idx(providers, number), "name", "")))
		number++;
	*ret_provider =
		number < count_of(providers) ? json_object_array_get_idx(providers, number) : NULL;
	return number;
}

/* The first provider of the first route that fits a model; NULL: there is none. */
static const char *route_of(struct json_object *daemon, const char *model)
{
	struct json_object *routes = json_at(daemon, "routes");

	for (size_t i = 0; i < count_of(routes); i++) {
		struct json_object *route = json_object_array_get_idx(routes, i);
		struct json_object *providers = json_at(route, "providers");

		if (price_name_fits(json_text(route, "model", ""), model) && count_of(providers))
			return json_object_get_string(json_object_array_get_idx(providers, 0));
	}
	return NULL;
}

/* As route_first in the daemon, as long as no provider has to be left. */
static size_t provider_of(const struct forecast *forecast, const char *model,
			  struct json_object **ret_provider)
{
	const char *list = forecast->options->provider;

	return find_provider(forecast->daemon, list ? list : route_of(forecast->daemon, model),
			     ret_provider);
}

struct json_object *forecast_provider(const struct forecast *forecast, const char *model)
{
	struct json_object *provider;

	(void)provider_of(forecast, model, &provider);
	return provider;
}

/* Every name of the option must be one: batchd looks, too. */
static bool are_known(const struct forecast *forecast)
{
	struct names names = {.rest = forecast->options->provider};

	while (names_next(&names)) {
		auto_free char *name = names_copy(&names);
		struct json_object *provider;

		(void)find_provider(forecast->daemon, name, &provider);
		if (!provider)
			return false;
	}
	return forecast->provider;
}

/* The limits of a provider, each that it tells. */
static void read_limits(struct json_object *provider, struct load_limits *limits)
{
	limits->max_requests = json_number(provider, "limits.max_requests", limits->max_requests);
	limits->max_bytes = json_number(provider, "limits.max_bytes", limits->max_bytes);
	limits->max_inputs = json_number(provider, "limits.max_inputs", limits->max_inputs);
	limits->max_tokens = json_number(provider, "limits.max_tokens", limits->max_tokens);
	limits->ideal_bytes = json_number(provider, "limits.ideal_bytes", limits->ideal_bytes);
	limits->bytes_per_token =
		json_number(provider, "limits.bytes_per_token", limits->bytes_per_token);
	if (limits->bytes_per_token < 1)
		limits->bytes_per_token = 1;
}

static const struct load_limits *limits_of(const char *model, void *context)
{
	const struct forecast *forecast = context;
	struct json_object *provider;
	size_t number = provider_of(forecast, model, &provider);

	return provider ? &forecast->limits[number] : &forecast->survey.rules.limits;
}

static void read_all_limits(struct forecast *forecast)
{
	struct json_object *providers = json_at(forecast->daemon, "providers");
	size_t count = count_of(providers);

	forecast->limits = xcalloc(count, sizeof(*forecast->limits));
	for (size_t i = 0; i < count; i++) {
		survey_official_limits(&forecast->limits[i]);
		read_limits(json_object_array_get_idx(providers, i), &forecast->limits[i]);
	}
}

static void judge(struct forecast *forecast)
{
	struct json_object *daemon = forecast->daemon;

	forecast->refusal = survey_refusal(&forecast->survey);
	if (daemon && !are_known(forecast))
		forecast->refusal = "there is no such provider";
	/* Results come on top, and nobody can tell their size. */
	forecast->disk_needed = forecast->survey.bytes +
				forecast->survey.lines * (int64_t)sizeof(struct record_row);
	forecast->disk_free = json_number(daemon, "disk_free_bytes", -1);
	if (json_at(daemon, "accepting") && !json_is_true(daemon, "accepting"))
		forecast->delay = json_text(daemon, "why", "batchd does not say why");
	else if (forecast->disk_free >= 0 && forecast->disk_free < forecast->disk_needed)
		forecast->delay = "the disk of batchd has not enough room";
}

int forecast_make(struct forecast *forecast, struct error *err)
{
	struct survey *survey = &forecast->survey;
	int r;

	forecast->flaws = json_object_new_array();
	(void)find_provider(forecast->daemon, forecast->options->provider, &forecast->provider);
	submission_rules(forecast->options, &survey->rules);
	read_limits(forecast->provider, &survey->rules.limits);
	read_all_limits(forecast);
	survey->rules.limits_of = limits_of;
	survey->on_flaw = keep_flaw;
	survey->context = forecast;
	r = survey_run(survey, forecast->input, err);
	if (!r)
		judge(forecast);
	return r;
}

void forecast_release(struct forecast *forecast)
{
	json_free(forecast->flaws);
	forecast->flaws = NULL;
	free(take(forecast->limits));
	survey_release(&forecast->survey);
}

int forecast_status(const struct forecast *forecast)
{
	if (forecast->refusal)
		return EXIT_INPUT;
	return forecast->delay ? EXIT_LATER : EXIT_DONE;
}
