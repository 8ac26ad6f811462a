#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/dialects.h"
#include "tests/sim/reply.h"
#include "tests/sim/state.h"

enum {
	LIST_DEFAULT = 20,
	LIST_MAX = 100,
	MAX_METADATA = 16,
	MAX_KEY = 64,
	MAX_VALUE = 512,
};

/* clang-format off */
/* A status, and the member that says since when; the order is that of the document. */
static const struct {
	const char *name;
	const char *stamp;
} statuses[STATUS_COUNT] = {
	[STATUS_VALIDATING]  = { "validating",  NULL },
	[STATUS_IN_PROGRESS] = { "in_progress", "in_progress_at" },
	[STATUS_FINALIZING]  = { "finalizing",  "finalizing_at" },
	[STATUS_COMPLETED]   = { "completed",   "completed_at" },
	[STATUS_FAILED]      = { "failed",      "failed_at" },
	[STATUS_EXPIRED]     = { "expired",     "expired_at" },
	[STATUS_CANCELLING]  = { "cancelling",  "cancelling_at" },
	[STATUS_CANCELLED]   = { "cancelled",   "cancelled_at" },
};

static const char *const parameters[] = {
	"input_file_id", "endpoint", "completion_window", "metadata", "output_expires_after", NULL,
};
/* clang-format on */

static void add_number(struct json_object *object, const char *name, int64_t number)
{
	json_object_object_add(object, name, json_object_new_int64(number));
}

static struct json_object *counts_object(const struct batch *batch, int64_t now_ms)
{
	struct json_object *counts = json_object_new_object();
	bool is_ended = batch->status >= STATUS_FAILED;
	size_t done = is_ended ? batch->done : course_done(batch, now_ms);

	if (batch->status == STATUS_CANCELLING)
		done = course_done(batch, batch->since_ms[STATUS_CANCELLING]);
	add_number(counts, "total", (int64_t)batch->count);
	add_number(counts, "completed", (int64_t)(done - batch->failed));
	add_number(counts, "failed", (int64_t)batch->failed);
	return counts;
}

static struct json_object *usage_object(const struct batch *batch)
{
	struct json_object *usage = json_object_new_object();
	struct json_object *input = json_object_new_object(), *output = json_object_new_object();

	add_number(usage, "input_tokens", batch->usage.input_tokens);
	add_number(input, "cached_tokens", 0);
	json_object_object_add(usage, "input_tokens_details", input);
	add_number(usage, "output_tokens", batch->usage.output_tokens);
	add_number(output, "reasoning_tokens", 0);
	json_object_object_add(usage, "output_tokens_details", output);
	add_number(usage, "total_tokens", batch->usage.input_tokens + batch->usage.output_tokens);
	return usage;
}

static void add_times(struct json_object *object, const struct batch *batch)
{
	add_number(object, "created_at", batch->created_ms / 1000);
	add_number(object, "expires_at", (batch->created_ms + batch->plan.expire_ms) / 1000);
	for (size_t i = 0; i < STATUS_COUNT; i++) {
		int64_t since = batch->since_ms[i];

		if (statuses[i].stamp)
			json_object_object_add(object, statuses[i].stamp,
					       since ? json_object_new_int64(since / 1000) : NULL);
	}
}

static struct json_object *batch_object(const struct batch *batch, int64_t now_ms)
{
	struct json_object *object = json_object_new_object();
	bool is_ended = batch->status >= STATUS_FAILED;

	json_object_object_add(object, "id", reply_string(batch->id));
	json_object_object_add(object, "object", reply_string("batch"));
	json_object_object_add(object, "endpoint", reply_string(batch->endpoint));
	json_object_object_add(object, "model",
			       batch->status == STATUS_VALIDATING ? NULL
								  : reply_string(batch->model));
	json_object_object_add(object, "errors", is_ended ? json_object_get(batch->errors) : NULL);
	json_object_object_add(object, "input_file_id", reply_string(batch->input_file_id));
	json_object_object_add(object, "completion_window", reply_string("24h"));
	json_object_object_add(object, "status", reply_string(statuses[batch->status].name));
	json_object_object_add(object, "output_file_id", reply_string(batch->output_file_id));
	json_object_object_add(object, "error_file_id", reply_string(batch->error_file_id));
	add_times(object, batch);
	json_object_object_add(object, "request_counts", counts_object(batch, now_ms));
	json_object_object_add(object, "usage",
			       is_ended && batch->done ? usage_object(batch) : NULL);
	json_object_object_add(object, "metadata", json_object_get(batch->metadata));
	return object;
}

static void set_subject(struct subject *subject, const struct sim *sim, const struct batch *batch)
{
	bool is_ended = batch->status >= STATUS_FAILED;

	subject->batch = batch->id;
	subject->file = batch->input_file_id;
	subject->file_name = batch->input_name;
	subject->age_ms = sim->now_ms - batch->created_ms;
	subject->ended_ms = is_ended ? sim->now_ms - batch->since_ms[batch->status] : -1;
}

static struct json_object *show(struct context *context, const struct batch *batch)
{
	struct subject subject = context->subject;

	set_subject(&subject, context->sim, batch);
	return sim_dress(context->sim, &subject, batch_object(batch, context->sim->now_ms));
}

/* --- create --- */

static bool is_known(const struct sim_dialect *dialect, const char *name)
{
	if (!strcmp(name, "completion_window"))
		return dialect->windows;
	if (!strcmp(name, "output_expires_after"))
		return dialect->has_output_expiry;
	return sim_dialect_pick(parameters, name) || (dialect->extra && !strcmp(dialect->extra, name));
}

static bool check_known(struct context *context, struct json_object *body)
{
	json_object_object_foreach(body, name, value)
	{
		(void)value;
		if (is_known(context->sim->dialect, name))
			continue;
		reply_error(context->answer, 400, name, "unknown_parameter",
			    "Unknown parameter: '%s'.", name);
		return false;
	}
	return true;
}

static bool check_required(struct context *context, struct json_object *body)
{
	enum { REQUIRED = 2 };
	size_t count = REQUIRED + context->sim->dialect->needs_window;

	for (size_t i = 0; i < count; i++) {
		struct json_object *value = json_object_object_get(body, parameters[i]);

		if (json_object_is_type(value, json_type_string))
			continue;
		if (value)
			reply_error(context->answer, 400, parameters[i], "invalid_type",
				    "Invalid type for '%s': expected a string, but got %s instead.",
				    parameters[i], json_type_to_name(json_object_get_type(value)));
		else
			reply_error(context->answer, 400, parameters[i],
				    "missing_required_parameter",
				    "Missing required parameter: '%s'.", parameters[i]);
		return false;
	}
	return true;
}

/* A member of the parameter that the dialect has beyond the official ones. */
static bool check_needed(struct context *context, struct json_object *body)
{
	const char *needed = context->sim->dialect->needed;
	auto_free char *path = xstrdup(needed);
	char *rest = path;

	for (char *name = needed ? strsep(&rest, ".") : NULL; name && body; name = strsep(&rest, "."))
		body = json_object_is_type(body, json_type_object) ? json_object_object_get(body, name) : NULL;
	if (body)
		return true;
	reply_error(context->answer, 400, needed, NULL, "%s is required.", needed);
	return false;
}

static bool check_enums(struct context *context, struct json_object *body)
{
	const char *endpoint = json_object_get_string(json_object_object_get(body, "endpoint"));
	const char *window =
		json_object_get_string(json_object_object_get(body, "completion_window"));

	if (!sim_dialect_pick(context->sim->dialect->endpoints, endpoint)) {
		reply_error(context->answer, 400, "endpoint", "invalid_value",
			    "Invalid value: '%s'. Supported values are: '/v1/chat/completions', "
			    "'/v1/completions', '/v1/embeddings', '/v1/responses', and "
			    "'/v1/moderations'.",
			    endpoint);
		return false;
	}
	if (window && !sim_dialect_pick(context->sim->dialect->windows, window)) {
		reply_error(context->answer, 400, "completion_window", "invalid_value",
			    "Invalid value: '%s'. Value must be '24h'.", window);
		return false;
	}
	return true;
}

/* The limits of metadata count characters. */
static size_t characters(const char *text)
{
	size_t count = 0;

	for (; *text; text++)
		count += ((unsigned char)*text & 0xc0) != 0x80;
	return count;
}

static bool check_pair(struct context *context, const char *name, struct json_object *value)
{
	auto_free char *param = xasprintf("metadata.%s", name);

	if (!json_object_is_type(value, json_type_string))
		reply_error(context->answer, 400, param, "invalid_type",
			    "Invalid type for '%s': expected a string, but got %s instead.", param,
			    json_type_to_name(json_object_get_type(value)));
	else if (characters(name) > MAX_KEY)
		reply_error(context->answer, 400, "metadata", "property_name_above_max_length",
			    "Invalid 'metadata': a key is longer than %d characters.", MAX_KEY);
	else if (characters(json_object_get_string(value)) > MAX_VALUE)
		reply_error(context->answer, 400, param, "string_above_max_length",
			    "Invalid '%s': string too long. Expected a string with maximum length "
			    "%d, but got a string with length %zu instead.",
			    param, MAX_VALUE, characters(json_object_get_string(value)));
	else
		return true;
	return false;
}

static bool check_metadata(struct context *context, struct json_object *metadata)
{
	if (!metadata)
		return true;
	if (!json_object_is_type(metadata, json_type_object)) {
		reply_error(context->answer, 400, "metadata", "invalid_type",
			    "Invalid type for 'metadata': expected an object.");
		return false;
	}
	if (json_object_object_length(metadata) > MAX_METADATA) {
		reply_error(context->answer, 400, "metadata", "object_above_max_properties",
			    "Invalid 'metadata': too many properties. Expected an object with at "
			    "most %d properties, but got an object with %d properties instead.",
			    MAX_METADATA, json_object_object_length(metadata));
		return false;
	}
	json_object_object_foreach(metadata, name, value)
	{
		if (!check_pair(context, name, value))
			return false;
	}
	return true;
}

/* A file that is not taken in yet is no input; one that is not there is found to be none by the batch. */
static bool check_file(struct context *context, struct json_object *body)
{
	const char *id = json_object_get_string(json_object_object_get(body, "input_file_id"));
	const struct file *file = files_find(context->sim, id);

	if (!file || files_are_ready(context->sim, file))
		return true;
	reply_error(context->answer, 400, "input_file_id", "invalid_request", "The file is still being processed.");
	return false;
}

static bool check_lifetime(struct context *context, struct json_object *expiry,
			   int64_t *ret_seconds)
{
	const char *anchor = json_object_get_string(json_object_object_get(expiry, "anchor"));
	struct json_object *number = json_object_object_get(expiry, "seconds");
	const struct sim_dialect *dialect = context->sim->dialect;

	*ret_seconds = json_object_get_int64(number);
	if (!expiry)
		return true;
	if (!anchor || strcmp(anchor, "created_at"))
		reply_error(context->answer, 400, "output_expires_after.anchor", "invalid_value",
			    "Invalid value: '%s'. Value must be 'created_at'.",
			    anchor ? anchor : "");
	else if (!json_object_is_type(number, json_type_int) || *ret_seconds < dialect->shortest_s)
		reply_error(context->answer, 400, "output_expires_after.seconds",
			    "integer_below_min_value",
			    "Invalid 'output_expires_after.seconds': integer below minimum value. "
			    "Expected a value >= %" PRId64 ", but got %" PRId64 " instead.",
			    dialect->shortest_s, *ret_seconds);
	else if (*ret_seconds > dialect->longest_s)
		reply_error(context->answer, 400, "output_expires_after.seconds",
			    "integer_above_max_value",
			    "Invalid 'output_expires_after.seconds': integer above maximum value. "
			    "Expected a value <= %" PRId64 ", but got %" PRId64 " instead.",
			    dialect->longest_s, *ret_seconds);
	else
		return true;
	return false;
}

static struct batch *add_batch(struct sim *sim)
{
	struct batch *batch = xcalloc(1, sizeof(*batch));
	size_t number;
	bool is_new;

	batch->id = sim_make_id(sim, CALL_CREATE, "batch_", 32, "0123456789abcdef");
	number = table_add(&sim->batch_ids, batch->id, strlen(batch->id), &is_new);
	if (!(number & (number - 1)))
		sim->batches =
			xreallocarray(sim->batches, number ? 2 * number : 1, sizeof(*sim->batches));
	sim->batches[number] = batch;
	return batch;
}

static void make_plan(struct context *context, struct batch *batch)
{
	const struct sim_config *config = &context->sim->config;
	struct subject subject = context->subject;
	const struct rule *rule = NULL;

	batch->plan = (struct plan){
		.validate_ms = config->validate_ms,
		.run_ms = config->run_ms,
		.finalize_ms = config->finalize_ms,
		.cancel_ms = config->cancel_ms,
		.expire_ms = config->expire_ms,
		.expire_percent = -1,
	};
	set_subject(&subject, context->sim, batch);
	while ((rule = script_next(context->sim->script, STAGE_BATCH, &subject, rule)))
		rule_action(rule)->run.batch(rule, &subject, &batch->plan);
}

static void start(struct context *context, struct json_object *body, int64_t lifetime_s)
{
	struct sim *sim = context->sim;
	struct batch *batch = add_batch(sim);
	const char *file_id = json_object_get_string(json_object_object_get(body, "input_file_id"));
	struct file *file = files_find(sim, file_id);

	batch->endpoint =
		sim_dialect_pick(sim->dialect->endpoints, json_object_get_string(json_object_object_get(body, "endpoint")));
	batch->input_file_id = xstrdup(file_id);
	batch->input_name = file ? xstrdup(file->name) : NULL;
	batch->input = file && !strcmp(file->purpose, sim->dialect->purpose ? sim->dialect->purpose : "batch") ? blob_ref(file->blob) : NULL;
	batch->metadata = json_object_get(json_object_object_get(body, "metadata"));
	batch->output_lifetime_s = lifetime_s;
	batch->created_ms = batch->since_ms[STATUS_VALIDATING] = sim->now_ms;
	make_plan(context, batch);
	course_touch(sim, batch);
	reply_json(context->answer, 200, show(context, batch));
}

static struct json_object *parse_body(const struct sim_request *request)
{
	struct json_tokener *tokener = json_tokener_new();
	struct json_object *body;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	body = json_tokener_parse_ex(tokener, request->body ? request->body : "",
				     (int)request->size);
	json_tokener_free(tokener);
	return body;
}

void batches_create(struct context *context)
{
	enum { MAX_BODY = 1 << 20 };
	struct json_object *body =
		context->request->size <= MAX_BODY ? parse_body(context->request) : NULL;
	int64_t lifetime_s;

	if (!json_object_is_type(body, json_type_object))
		reply_error(context->answer, 400, NULL, NULL,
			    "We could not parse the JSON body of your request.");
	else if (check_known(context, body) && check_required(context, body) && check_needed(context, body) &&
		 check_enums(context, body) && check_file(context, body) &&
		 check_metadata(context, json_object_object_get(body, "metadata")) &&
		 check_lifetime(context, json_object_object_get(body, "output_expires_after"),
				&lifetime_s))
		start(context, body, lifetime_s);
	json_object_put(body);
}

/* --- the other calls --- */

static struct batch *find_or_refuse(struct context *context)
{
	struct sim *sim = context->sim;
	size_t number = table_find(&sim->batch_ids, context->id, strlen(context->id));

	if (number != TABLE_NONE)
		return sim->batches[number];
	reply_error(context->answer, 404, NULL, NULL, "No batch found with id '%s'.", context->id);
	return NULL;
}

void batches_retrieve(struct context *context)
{
	struct batch *batch = find_or_refuse(context);

	if (batch)
		reply_json(context->answer, 200, show(context, batch));
}

void batches_cancel(struct context *context)
{
	struct batch *batch = find_or_refuse(context);
	struct sim *sim = context->sim;

	if (!batch)
		return;
	if (batch->status >= STATUS_FAILED && batch->status != STATUS_CANCELLED) {
		reply_error(context->answer, sim->dialect->cancel_refusal, NULL, NULL,
			    "Cannot cancel a batch with status '%s'.",
			    batches_status_name(batch->status));
		return;
	}
	if (batch->status < STATUS_CANCELLING) {
		batch->was_finalizing =
			batch->status == STATUS_FINALIZING ||
			(batch->plan.completes_on_cancel && batch->status == STATUS_IN_PROGRESS);
		batch->status = STATUS_CANCELLING;
		batch->since_ms[STATUS_CANCELLING] = sim->now_ms;
		course_touch(sim, batch);
	}
	reply_json(context->answer, 200, show(context, batch));
}

/* Where a page begins: behind the batch that "after" names. */
static bool find_start(struct context *context, const struct list_view *view, int64_t *ret_number)
{
	const char *after = context->request->query("after", context->request->context);
	size_t number;

	*ret_number = (int64_t)context->sim->batch_ids.count - 1;
	if (!after || view->ignores_after)
		return true;
	number = table_find(&context->sim->batch_ids, after, strlen(after));
	if (number == TABLE_NONE) {
		reply_error(context->answer, 404, "after", NULL, "No batch found with id '%s'.",
			    after);
		return false;
	}
	*ret_number = (int64_t)number - (view->overlaps ? 0 : 1);
	return true;
}

void batches_list(struct context *context)
{
	struct sim *sim = context->sim;
	struct list_view view = sim_list_view(context);
	struct json_object *data;
	int64_t limit, at;
	bool has_more = false;

	if (!sim_query_number(context, "limit", LIST_DEFAULT, 1, LIST_MAX, &limit) ||
	    !find_start(context, &view, &at))
		return;
	data = json_object_new_array();
	for (; at >= 0 && !view.is_empty; at--) {
		if (sim->now_ms - sim->batches[at]->created_ms < view.hide_younger_ms)
			continue;
		has_more = (int64_t)json_object_array_length(data) == limit;
		if (has_more)
			break;
		json_object_array_add(data, show(context, sim->batches[at]));
	}
	reply_json(context->answer, 200, sim_list_object(&view, data, has_more));
}

void batches_add_foreign(struct sim *sim, int64_t count)
{
	while (count-- > 0) {
		struct batch *batch = add_batch(sim);

		batch->endpoint = sim->dialect->endpoints[0];
		batch->input_file_id = sim_make_id(sim, CALL_UPLOAD, "file-", 22, "abcdefghijkmnpqrstuvwxyz");
		batch->output_file_id = sim_make_id(sim, CALL_UPLOAD, "file-", 22, "abcdefghijkmnpqrstuvwxyz");
		batch->metadata = json_object_new_object();
		json_object_object_add(batch->metadata, "owner", reply_string("somebody else"));
		batch->model = xstrdup("somebody-elses");
		batch->count = batch->done = 1;
		batch->plan.expire_ms = sim->config.expire_ms;
		batch->status = STATUS_COMPLETED;
		batch->created_ms = sim->now_ms;
		for (size_t i = 0; i < STATUS_FAILED; i++)
			batch->since_ms[i] = i == STATUS_CANCELLING ? 0 : sim->now_ms;
		batch->since_ms[STATUS_COMPLETED] = sim->now_ms;
	}
}

const char *batches_status_name(enum status status)
{
	return statuses[status].name;
}

void batches_free(struct sim *sim)
{
	for (size_t i = 0; i < sim->batch_ids.count; i++) {
		struct batch *batch = sim->batches[i];

		free(batch->id);
		free(batch->input_file_id);
		free(batch->input_name);
		blob_unref(batch->input);
		json_object_put(batch->metadata);
		plan_release(&batch->plan);
		json_object_put(batch->errors);
		free(batch->model);
		free(batch->rows);
		free(batch->order);
		free(batch->output_file_id);
		free(batch->error_file_id);
		free(batch);
	}
	free(take(sim->batches));
	table_release(&sim->batch_ids);
}
