#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/line.h"
#include "tests/sim/reply.h"
#include "tests/sim/state.h"

enum { MAX_ERRORS = 1000, DEFAULT_MAX_REQUESTS = 50000, DEFAULT_MAX_INPUTS = 50000 };

/* What stands in an input file, while it is read. */
struct reading {
	struct sim *sim;
	struct batch *batch;
	struct table ids; /* of this file */
	struct line_value model;
	size_t capacity;
	int64_t inputs;
	int64_t number; /* of the line */
};

/* What is wrong with a line; code NULL: nothing. */
struct verdict {
	const char *code;
	const char *param;
	char *message;
};

/* clang-format off */
/* What a body must have, by endpoint, and how its refusal of "stream" begins. */
static const struct demand {
	const char *endpoint, *member, *title;
	size_t offset;
} demands[] = {
	{ "/v1/chat/completions", "messages", "Chat Completions", offsetof(struct line, messages) },
	{ "/v4/chat/completions", "messages", "Chat Completions", offsetof(struct line, messages) },
	{ "/chat/completions",    "messages", "Chat Completions", offsetof(struct line, messages) },
	{ "/v1/responses",        "input",    "Responses",        offsetof(struct line, input) },
	{ "/v1/embeddings",       "input",    "Embeddings",       offsetof(struct line, input) },
	{ "/v1/moderations",      "input",    "Moderations",      offsetof(struct line, input) },
	{ "/v1/completions",      "prompt",   "Completions",      offsetof(struct line, prompt) },
};

/* What a line must have. */
static const struct need {
	const char *name, *type;
	enum line_kind kind;
	size_t offset;
} needs[] = {
	{ "custom_id", "a string",  LINE_STRING, offsetof(struct line, custom_id) },
	{ "method",    "a string",  LINE_STRING, offsetof(struct line, method) },
	{ "url",       "a string",  LINE_STRING, offsetof(struct line, url) },
	{ "body",      "an object", LINE_OBJECT, offsetof(struct line, body) },
};
/* clang-format on */

static const struct line_value *value_at(const struct line *line, size_t offset)
{
	return (const struct line_value *)((const char *)line + offset);
}

static struct verdict refuse(const char *code, const char *param, char *message)
{
	return (struct verdict){.code = code, .param = param, .message = message};
}

static struct verdict check_members(const struct line *line)
{
	for (size_t i = 0; i < ARRAY_SIZE(needs); i++) {
		const struct line_value *value = value_at(line, needs[i].offset);

		if (value->kind == LINE_ABSENT)
			return refuse(
				"missing_required_parameter", needs[i].name,
				xasprintf("Missing required parameter: '%s'.", needs[i].name));
		if (value->kind != needs[i].kind)
			return refuse("invalid_type", needs[i].name,
				      xasprintf("Invalid type for '%s': expected %s.",
						needs[i].name, needs[i].type));
	}
	return (struct verdict){0};
}

static struct verdict check_body(const struct reading *reading, const struct line *line)
{
	const struct demand *demand = NULL;

	for (size_t i = 0; i < ARRAY_SIZE(demands); i++)
		if (!strcmp(demands[i].endpoint, reading->batch->endpoint))
			demand = &demands[i];
	if (line->model.kind != LINE_STRING || !line->model.size)
		return refuse("invalid_request", "body.model",
			      xstrdup("Model parameter is required."));
	if (demand && value_at(line, demand->offset)->kind == LINE_ABSENT)
		return refuse("missing_required_parameter",
			      demand->offset == offsetof(struct line, messages) ? "body.messages"
			      : demand->offset == offsetof(struct line, input)  ? "body.input"
										: "body.prompt",
			      xasprintf("Missing required parameter: '%s'.", demand->member));
	if (line->stream.kind == LINE_TRUE)
		return refuse("streaming_unsupported", "body.stream",
			      xasprintf("%s: Streaming is not supported in the Batch API.",
					demand ? demand->title : "Images"));
	return (struct verdict){0};
}

static struct verdict check_model(struct reading *reading, const struct line *line)
{
	auto_free char *model = line_text(&line->model);

	if (!strncmp(model, "nonexistent", 11))
		return refuse("model_not_found", "body.model",
			      xasprintf("The provided model '%s' is not supported by the Batch "
					"API.",
					model));
	if (!reading->batch->model)
		reading->batch->model = take(model);
	else if (strcmp(reading->batch->model, model))
		return refuse("mismatched_model", "body.model",
			      xasprintf("The model '%s' for this request does not match the rest "
					"of the batch. Each batch must contain requests for a "
					"single model.",
					model));
	return (struct verdict){0};
}

static struct verdict check_id(struct reading *reading, const struct line *line)
{
	auto_free char *id = line_text(&line->custom_id);
	bool is_new;

	(void)table_add(&reading->ids, id, line_decode(&line->custom_id, id), &is_new);
	if (is_new)
		return (struct verdict){0};
	return refuse("duplicate_custom_id", "custom_id",
		      xasprintf("The custom_id '%s' for this request is a duplicate of another "
				"request. The custom_id parameter must be unique for each request "
				"in a batch.",
				id));
}

static struct verdict check_line(struct reading *reading, const struct line *line)
{
	struct verdict verdict = check_members(line);

	if (verdict.code)
		return verdict;
	if (!line_is(&line->method, "POST"))
		return refuse("invalid_value", "method",
			      xstrdup("Invalid value for 'method': value must be 'POST'."));
	if (!line_is(&line->url, reading->batch->endpoint))
		return refuse("invalid_url", "url",
			      xstrdup("The URL provided for this request does "
				      "not match the batch endpoint."));
	verdict = check_body(reading, line);
	if (!verdict.code)
		verdict = check_id(reading, line);
	if (!verdict.code)
		verdict = check_model(reading, line);
	return verdict;
}

/* Ids get their numbers in the ledger here; they are counted only if the batch starts. */
static void add_row(struct reading *reading, const struct line *line, const char *text, size_t size)
{
	struct batch *batch = reading->batch;
	struct sim *sim = reading->sim;
	size_t number = reading->ids.count - 1, key_size;
	const char *key = table_key(&reading->ids, number, &key_size);
	bool is_new;

	if (batch->count == reading->capacity) {
		reading->capacity = reading->capacity ? 2 * reading->capacity : 16;
		batch->rows = xreallocarray(batch->rows, reading->capacity, sizeof(*batch->rows));
	}
	number = table_add(&sim->requests, key, key_size, &is_new);
	if (sim->requests.capacity != sim->request_capacity) {
		sim->request_capacity = sim->requests.capacity;
		sim->request_counts = xreallocarray(sim->request_counts, sim->request_capacity,
						    sizeof(*sim->request_counts));
	}
	if (is_new)
		sim->request_counts[number] = (struct request_count){0};
	batch->rows[batch->count++] = (struct row){
		.offset = (size_t)(text - batch->input->data),
		.size = (uint32_t)size,
		.request = (uint32_t)number,
	};
	batch->tokens += answers_tokens(line);
	reading->inputs += (int64_t)line->input_count;
}

static void read_line(struct reading *reading, const char *text, size_t size)
{
	struct verdict verdict;
	struct line line;

	reading->number++;
	if (!line_parse(text, size, &line) || line.kind != LINE_OBJECT) {
		validate_add_error(reading->batch, "invalid_json_line",
				   "This line is not parseable as valid JSON.", NULL,
				   reading->number);
		return;
	}
	verdict = check_line(reading, &line);
	if (!verdict.code) {
		add_row(reading, &line, text, size);
		return;
	}
	validate_add_error(reading->batch, verdict.code, verdict.message, verdict.param,
			   reading->number);
	free(verdict.message);
}

static void read_lines(struct reading *reading)
{
	const struct blob *input = reading->batch->input;
	const char *at = input->data, *end = at + input->size;

	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));
		const char *stop = newline ? newline : end;

		read_line(reading, at, (size_t)(stop - at));
		at = newline ? newline + 1 : end;
	}
}

/* 2000000 as "2,000,000". */
static char *with_commas(int64_t number)
{
	auto_free char *plain = xasprintf("%lld", (long long)number);
	size_t size = strlen(plain);
	struct buffer text = {0};

	for (size_t i = 0; i < size; i++) {
		if (i && (size - i) % 3 == 0)
			buffer_add_text(&text, ",");
		buffer_add(&text, &plain[i], 1);
	}
	(void)buffer_text(&text);
	return text.data;
}

static int64_t enqueued_tokens(const struct sim *sim, const char *model)
{
	int64_t tokens = 0;

	for (size_t i = 0; i < sim->batch_ids.count; i++) {
		const struct batch *other = sim->batches[i];

		if (other->status != STATUS_VALIDATING && other->status < STATUS_FAILED &&
		    other->model && !strcmp(other->model, model))
			tokens += other->tokens;
	}
	return tokens;
}

static void check_limits(const struct reading *reading)
{
	struct batch *batch = reading->batch;
	const struct sim_config *config = &reading->sim->config;
	int64_t max_requests = config->max_requests ? config->max_requests : DEFAULT_MAX_REQUESTS;
	int64_t max_inputs = config->max_inputs ? config->max_inputs : DEFAULT_MAX_INPUTS;
	auto_free char *limit = with_commas(config->enqueued_token_limit);
	auto_free char *message = NULL;

	if (batch->errors)
		return;
	if (!batch->count) {
		validate_add_error(batch, "empty_file", "The input file contains no requests.",
				   NULL, 0);
	} else if (reading->number > max_requests) {
		message = xasprintf("The number of requests in the input file exceeds the limit of "
				    "%lld.",
				    (long long)max_requests);
		validate_add_error(batch, "too_many_tasks", message, NULL, 0);
	} else if (!strcmp(batch->endpoint, "/v1/embeddings") && reading->inputs > max_inputs) {
		message = xasprintf("The number of embedding inputs in the input file exceeds the "
				    "limit of %lld.",
				    (long long)max_inputs);
		validate_add_error(batch, "too_many_tasks", message, NULL, 0);
	} else if (config->enqueued_token_limit &&
		   enqueued_tokens(reading->sim, batch->model) + batch->tokens >
			   config->enqueued_token_limit) {
		message = xasprintf("Enqueued token limit reached for %s in organization org-sim. "
				    "Limit: %s enqueued tokens. Please try again once some "
				    "in_progress batches have been completed.",
				    batch->model, limit);
		validate_add_error(batch, "token_limit_exceeded", message, NULL, 0);
	}
}

void validate_add_error(struct batch *batch, const char *code, const char *message,
			const char *param, int64_t line)
{
	struct json_object *data, *error;

	if (!batch->errors) {
		batch->errors = json_object_new_object();
		json_object_object_add(batch->errors, "object", reply_string("list"));
		json_object_object_add(batch->errors, "data", json_object_new_array());
	}
	data = json_object_object_get(batch->errors, "data");
	if (json_object_array_length(data) >= MAX_ERRORS)
		return;
	error = json_object_new_object();
	json_object_object_add(error, "code", reply_string(code));
	json_object_object_add(error, "message", reply_string(message));
	json_object_object_add(error, "param", reply_string(param));
	json_object_object_add(error, "line", line ? json_object_new_int64(line) : NULL);
	json_object_array_add(data, error);
}

/* The errors that a rule asked for. */
static void add_planned(struct batch *batch)
{
	const struct plan *plan = &batch->plan;
	const char *at = plan->lines;

	if (!at)
		validate_add_error(batch, plan->code, plan->message, plan->param, plan->line);
	while (at && *at) {
		char *end;

		validate_add_error(batch, plan->code, plan->message, plan->param, strtoll(at, &end, 10));
		at = *end == ',' ? end + 1 : "";
	}
}

void validate_input(struct sim *sim, struct batch *batch)
{
	struct reading reading = {.sim = sim, .batch = batch};
	auto_free char *message = NULL;

	if (batch->plan.code && !batch->plan.fails_running) {
		add_planned(batch);
		return;
	}
	if (!batch->input) {
		message = xasprintf("Cannot find file %s, or organization org-sim does not have "
				    "access to it.",
				    batch->input_file_id);
		validate_add_error(batch, "invalid_request", message, "file_id", 0);
		return;
	}
	read_lines(&reading);
	check_limits(&reading);
	table_release(&reading.ids);
}
