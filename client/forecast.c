#include "client/forecast.h"

#include <string.h>

#include "client/exits.h"
#include "client/input.h"
#include "client/json.h"
#include "client/options.h"
#include "client/submission.h"
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

/* The provider of that name, the first for NULL; borrowed. NULL when there is none. */
static struct json_object *find_provider(struct json_object *daemon, const char *name)
{
	struct json_object *providers = json_at(daemon, "providers");
	size_t count = json_object_is_type(providers, json_type_array)
			       ? json_object_array_length(providers)
			       : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *provider = json_object_array_get_idx(providers, i);

		if (!name || strcmp(json_text(provider, "name", ""), name) == 0)
			return provider;
	}
	return NULL;
}

/* The limits of a provider, each that it tells. */
static void read_limits(struct json_object *provider, struct load_limits *limits)
{
	limits->max_requests = json_number(provider, "limits.max_requests", limits->max_requests);
	limits->max_bytes = json_number(provider, "limits.max_bytes", limits->max_bytes);
	limits->max_inputs = json_number(provider, "limits.max_inputs", limits->max_inputs);
	limits->max_tokens = json_number(provider, "limits.max_tokens", limits->max_tokens);
	limits->bytes_per_token =
		json_number(provider, "limits.bytes_per_token", limits->bytes_per_token);
	if (limits->bytes_per_token < 1)
		limits->bytes_per_token = 1;
}

static void judge(struct forecast *forecast)
{
	struct json_object *daemon = forecast->daemon;

	forecast->refusal = survey_refusal(&forecast->survey);
	if (daemon && !forecast->provider)
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
	forecast->provider = find_provider(forecast->daemon, forecast->options->provider);
	submission_rules(forecast->options, &survey->rules);
	read_limits(forecast->provider, &survey->rules.limits);
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
	survey_release(&forecast->survey);
}

int forecast_status(const struct forecast *forecast)
{
	if (forecast->refusal)
		return EXIT_INPUT;
	return forecast->delay ? EXIT_LATER : EXIT_DONE;
}
