#include "client/forecast.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/input.h"
#include "client/json.h"
#include "client/options.h"
#include "client/output.h"
#include "client/prices.h"
#include "client/table.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/model/price.h"

/* clang-format off */
static const struct table_column columns[] = {
	{ "MODEL", false }, { "URL", false }, { "REQUESTS", true }, { "SIZE", true }, { "SHARDS", true },
	{ "TOKENS", true }, { "COST", true },
	/* Only where there are several. */
	{ "PROVIDER", false },
};
/* clang-format on */

/* Of the input alone, in millionths; -1: no price is known. */
static int64_t cost_of(const struct forecast *forecast, const struct survey_group *group)
{
	return prices_of_input(forecast->daemon, forecast_provider(forecast, group->model),
			       group->model, group->all.tokens);
}

/* All groups together; -1 where the price of one is not known. */
static int64_t total_cost(const struct forecast *forecast)
{
	const struct survey *survey = &forecast->survey;
	int64_t total = 0;

	for (size_t i = 0; i < survey->group_count; i++) {
		int64_t cost = cost_of(forecast, &survey->groups[i]);

		if (cost < 0)
			return -1;
		total = price_add(total, cost);
	}
	return total;
}

static const char *provider_name(const struct forecast *forecast, const struct survey_group *group)
{
	return json_text(forecast_provider(forecast, group->model), "name", "-");
}

/* provider NULL: it has no column. */
static void add_row(struct table *table, const char *model, const char *url, const char *provider,
		    const struct load *load, int64_t batches, int64_t cost)
{
	auto_free char *money = cost < 0 ? xstrdup("-") : price_show_cost(cost);
	char size[WORDS_FIGURE];

	table_add(table, OUTPUT_PLAIN, "%s", model);
	table_add(table, OUTPUT_PLAIN, "%s", url);
	table_add(table, OUTPUT_PLAIN, "%" PRId64, load->requests);
	table_add(table, OUTPUT_PLAIN, "%s", words_size(load->bytes, size));
	table_add(table, OUTPUT_PLAIN, "%" PRId64, batches);
	table_add(table, OUTPUT_PLAIN, "%" PRId64, load->tokens);
	table_add(table, OUTPUT_PLAIN, "%s", money);
	if (provider)
		table_add(table, OUTPUT_PLAIN, "%s", provider);
}

static bool has_several(const struct forecast *forecast)
{
	const struct survey *survey = &forecast->survey;

	for (size_t i = 1; i < survey->group_count; i++)
		if (strcmp(provider_name(forecast, &survey->groups[i]),
			   provider_name(forecast, &survey->groups[0])) != 0)
			return true;
	return false;
}

static void show_table(const struct forecast *forecast)
{
	const struct survey *survey = &forecast->survey;
	bool is_wide = has_several(forecast);
	struct table *table;
	struct load total;
	int64_t batches;

	if (!survey->group_count)
		return;
	table = table_new(columns, ARRAY_SIZE(columns) - !is_wide, stdout, 0);
	for (size_t i = 0; i < survey->group_count; i++) {
		const struct survey_group *group = &survey->groups[i];

		add_row(table, group->model, group->url,
			is_wide ? provider_name(forecast, group) : NULL, &group->all,
			group->batches, cost_of(forecast, group));
	}
	total = survey_total(survey, &batches);
	if (survey->group_count > 1)
		add_row(table, "total", "", is_wide ? "" : NULL, &total, batches, total_cost(forecast));
	(void)putchar('\n');
	table_finish(table);
	(void)putchar('\n');
}

static void show_head(const struct forecast *forecast)
{
	const struct survey *survey = &forecast->survey;
	const struct load_limits *limits = &survey->rules.limits;
	char size[WORDS_FIGURE], lines[WORDS_FIGURE];
	auto_buffer text = {0};

	output_field("file", "%s, %s, %s%s%s", forecast->input->name,
		     words_number(survey->lines, "line", lines), words_size(survey->bytes, size),
		     survey->packing ? ", packed with " : "",
		     survey->packing ? survey->packing : "");
	output_field("provider", "%s",
		     forecast->provider            ? json_text(forecast->provider, "name", "-")
		     : forecast->options->provider ? forecast->options->provider
						   : "not known");
	buffer_add_format(&text, "%" PRId64 " requests, %s, %" PRId64 " embedding inputs",
			  limits->max_requests, words_size(limits->max_bytes, size),
			  limits->max_inputs);
	if (limits->max_tokens)
		buffer_add_format(&text, ", %" PRId64 " tokens", limits->max_tokens);
	output_field("limits", "of one batch: %s%s", buffer_text(&text),
		     forecast->provider ? "" : " (the official provider's)");
}

static void show_estimate(const struct forecast *forecast)
{
	int64_t bytes = forecast->survey.rules.limits.bytes_per_token;
	char number[WORDS_FIGURE];

	if (!forecast->survey.group_count)
		return;
	output_field("tokens", "estimated, one for every %s as sent",
		     words_number(bytes, "byte", number));
	if (total_cost(forecast) >= 0)
		output_field("cost",
			     "of these tokens, in %s, less the discount of %s; of the answers it "
			     "cannot be told",
			     json_text(forecast->daemon, "currency", "the currency of the prices"),
			     json_text(forecast->provider, "batch_discount", "0%"));
	else
		output_field("cost", "cannot be told: no price is known for %s",
			     forecast->survey.group_count == 1 ? "the model"
							       : "some of the models");
	output_field("duration", "cannot be told: the provider decides it");
}

static void show_flaws(const struct forecast *forecast)
{
	size_t count = json_object_array_length(forecast->flaws);
	int64_t more = forecast->survey.flaws - (int64_t)count;
	char number[WORDS_FIGURE];

	for (size_t i = 0; i < count; i++) {
		struct json_object *flaw = json_object_array_get_idx(forecast->flaws, i);
		int64_t line = json_number(flaw, "line", 0);

		if (line)
			output_field("wrong", "line %" PRId64 ": %s", line,
				     json_text(flaw, "message", "-"));
		else
			output_field("wrong", "%s", json_text(flaw, "message", "-"));
	}
	if (more)
		output_field("wrong", "and %s; batchctl validate lists them all",
			     words_number(more, "more line", number));
}

static void show_excesses(const struct forecast *forecast)
{
	const struct survey *survey = &forecast->survey;
	int64_t count = survey->excesses < SURVEY_FIRST ? survey->excesses : SURVEY_FIRST;
	char number[WORDS_FIGURE];

	for (int64_t i = 0; i < count; i++) {
		auto_free char *words =
			load_excess_words(survey->first_excesses[i].excess,
					  survey->first_excesses[i].limits);

		output_field("too large", "line %" PRId64 ": %s", survey->first_excesses[i].line,
			     words);
	}
	if (survey->excesses)
		output_field("too large", "%s would fail without being sent",
			     words_number(survey->excesses, "request", number));
}

static void show_verdict(const struct forecast *forecast)
{
	bool may_skip = forecast->refusal && !forecast->survey.rules.skips_invalid &&
			!forecast->survey.beyond && forecast->survey.requests;
	char number[WORDS_FIGURE];

	if (forecast->refusal)
		output_field("outcome", "it would be refused: %s%s", forecast->refusal,
			     may_skip && (forecast->provider || !forecast->daemon)
				     ? " (--on-invalid skip goes on without them)"
				     : "");
	else if (forecast->delay)
		output_field("outcome", "it would not be accepted now: %s", forecast->delay);
	else if (forecast->survey.flaws)
		output_field("outcome", "it would be accepted, without %s",
			     words_number(forecast->survey.flaws, "wrong line", number));
	else
		output_field("outcome", "it would be accepted");
}

static bool sends_to(const struct forecast *forecast, struct json_object *provider)
{
	for (size_t i = 0; i < forecast->survey.group_count; i++)
		if (forecast_provider(forecast, forecast->survey.groups[i].model) == provider)
			return true;
	return false;
}

static void show_pauses(const struct forecast *forecast)
{
	struct json_object *providers = json_at(forecast->daemon, "providers");
	size_t count = json_object_is_type(providers, json_type_array) ? json_object_array_length(providers) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *provider = json_object_array_get_idx(providers, i);

		if (json_is_true(provider, "is_paused") && sends_to(forecast, provider))
			output_field("paused", "%s: %s", json_text(provider, "name", "-"),
				     json_text(provider, "why", "batchd does not say why"));
	}
}

static void show_text(const struct forecast *forecast)
{
	char needed[WORDS_FIGURE], size[WORDS_FIGURE];

	show_head(forecast);
	show_table(forecast);
	show_estimate(forecast);
	show_flaws(forecast);
	show_excesses(forecast);
	show_pauses(forecast);
	if (forecast->disk_free >= 0 && forecast->disk_free < forecast->disk_needed)
		output_field("disk", "it takes %s before there is any result; %s are free",
			     words_size(forecast->disk_needed, needed),
			     words_size(forecast->disk_free, size));
	show_verdict(forecast);
	output_field("sent", "nothing");
}

static struct json_object *cost_object(int64_t cost)
{
	auto_free char *text = cost < 0 ? NULL : price_show_cost(cost);

	return text ? json_object_new_string(text) : NULL;
}

static struct json_object *text_object(const char *text)
{
	return text ? json_object_new_string(text) : NULL;
}

static void add_load(struct json_object *object, const struct load *load, int64_t batches,
		     int64_t cost)
{
	json_object_object_add(object, "requests", json_object_new_int64(load->requests));
	json_object_object_add(object, "bytes", json_object_new_int64(load->bytes));
	json_object_object_add(object, "inputs", json_object_new_int64(load->inputs));
	json_object_object_add(object, "shards", json_object_new_int64(batches));
	json_object_object_add(object, "tokens", json_object_new_int64(load->tokens));
	json_object_object_add(object, "cost", cost_object(cost));
}

static struct json_object *limits_object(const struct load_limits *limits)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "max_requests", json_object_new_int64(limits->max_requests));
	json_object_object_add(object, "max_bytes", json_object_new_int64(limits->max_bytes));
	json_object_object_add(object, "max_inputs", json_object_new_int64(limits->max_inputs));
	json_object_object_add(object, "max_tokens", json_object_new_int64(limits->max_tokens));
	json_object_object_add(object, "bytes_per_token",
			       json_object_new_int64(limits->bytes_per_token));
	return object;
}

static struct json_object *groups_object(const struct forecast *forecast)
{
	struct json_object *array = json_object_new_array();

	for (size_t i = 0; i < forecast->survey.group_count; i++) {
		const struct survey_group *group = &forecast->survey.groups[i];
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "model", json_object_new_string(group->model));
		json_object_object_add(object, "url", json_object_new_string(group->url));
		json_object_object_add(
			object, "provider",
			text_object(json_text(forecast_provider(forecast, group->model), "name", NULL)));
		add_load(object, &group->all, group->batches, cost_of(forecast, group));
		(void)json_object_array_add(array, object);
	}
	return array;
}

static struct json_object *excesses_object(const struct survey *survey)
{
	struct json_object *array = json_object_new_array();

	for (int64_t i = 0; i < survey->excesses && i < SURVEY_FIRST; i++) {
		enum load_excess excess = survey->first_excesses[i].excess;
		auto_free char *words = load_excess_words(excess, survey->first_excesses[i].limits);
		struct json_object *object = json_object_new_object();

		json_object_object_add(object, "line",
				       json_object_new_int64(survey->first_excesses[i].line));
		json_object_object_add(object, "code",
				       json_object_new_string(load_excess_code(excess)));
		json_object_object_add(object, "message", json_object_new_string(words));
		(void)json_object_array_add(array, object);
	}
	return array;
}

/* A count, and the first of what it counts, which it takes. */
static struct json_object *count_object(int64_t count, struct json_object *first)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "count", json_object_new_int64(count));
	json_object_object_add(object, "first", first);
	return object;
}

static void add_service(struct json_object *object, const struct forecast *forecast)
{
	bool is_paused = json_is_true(forecast->provider, "is_paused");

	json_object_object_add(object, "provider",
			       text_object(json_text(forecast->provider, "name", NULL)));
	json_object_object_add(
		object, "provider_paused",
		text_object(is_paused ? json_text(forecast->provider, "why", "-") : NULL));
	json_object_object_add(object, "limits", limits_object(&forecast->survey.rules.limits));
	json_object_object_add(
		object, "limits_of",
		json_object_new_string(forecast->provider ? "provider" : "official"));
	json_object_object_add(object, "currency",
			       text_object(json_text(forecast->daemon, "currency", NULL)));
	json_object_object_add(object, "disk_needed_bytes",
			       json_object_new_int64(forecast->disk_needed));
	json_object_object_add(
		object, "disk_free_bytes",
		forecast->disk_free < 0 ? NULL : json_object_new_int64(forecast->disk_free));
	json_object_object_add(object, "outcome",
			       json_object_new_string(forecast->refusal ? "refused"
						      : forecast->delay ? "later"
									: "accepted"));
	json_object_object_add(
		object, "why",
		text_object(forecast->refusal ? forecast->refusal : forecast->delay));
}

static void show_json(const struct forecast *forecast)
{
	const struct survey *survey = &forecast->survey;
	auto_json *object = json_object_new_object();
	struct json_object *total = json_object_new_object();
	struct load load;
	int64_t batches;

	load = survey_total(survey, &batches);
	add_load(total, &load, batches, total_cost(forecast));
	json_object_object_add(object, "file", json_object_new_string(forecast->input->name));
	json_object_object_add(object, "packing", text_object(survey->packing));
	json_object_object_add(object, "lines", json_object_new_int64(survey->lines));
	json_object_object_add(object, "bytes", json_object_new_int64(survey->bytes));
	json_object_object_add(object, "groups", groups_object(forecast));
	json_object_object_add(object, "total", total);
	json_object_object_add(object, "invalid",
			       count_object(survey->flaws, json_object_get(forecast->flaws)));
	json_object_object_add(object, "too_large",
			       count_object(survey->excesses, excesses_object(survey)));
	add_service(object, forecast);
	output_json(object);
}

void forecast_show(const struct forecast *forecast)
{
	if (output_is_json())
		show_json(forecast);
	else
		show_text(forecast);
}
