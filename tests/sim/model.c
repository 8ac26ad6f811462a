#include "tests/sim/model.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/sim/blob.h"
#include "tests/sim/dialects.h"
#include "tests/sim/reply.h"
#include "tests/sim/state.h"

enum { MAX_ID = 4096, SHORTEST_ID = 16 };

#define DAY_MS 86400000

/* clang-format off */
/* A path begins with one text and, where it holds an id, ends with another. */
static const struct route {
	const char *method, *before, *after;
	enum call call;
	void (*run)(struct context *context);
} routes[] = {
	{ "POST",   "/v1/files",    NULL,       CALL_UPLOAD,   files_upload },
	{ "GET",    "/v1/files",    NULL,       CALL_FILES,    files_list },
	{ "GET",    "/v1/files/",   "",         CALL_FILE,     files_retrieve },
	{ "GET",    "/v1/files/",   "/content", CALL_CONTENT,  files_content },
	{ "DELETE", "/v1/files/",   "",         CALL_DELETE,   files_delete },
	{ "POST",   "/v1/batches",  NULL,       CALL_CREATE,   batches_create },
	{ "GET",    "/v1/batches",  NULL,       CALL_LIST,     batches_list },
	{ "GET",    "/v1/batches/", "",         CALL_RETRIEVE, batches_retrieve },
	{ "POST",   "/v1/batches/", "/cancel",  CALL_CANCEL,   batches_cancel },
};
/* clang-format on */

/* The id between the two halves of a route's path; false: another path. */
static bool match_path(const struct route *route, const char *path, char *id)
{
	size_t before = strlen(route->before), after, size;

	id[0] = '\0';
	if (!route->after)
		return !strcmp(path, route->before);
	if (strncmp(path, route->before, before))
		return false;
	path += before;
	size = strlen(path);
	after = strlen(route->after);
	if (size <= after || size - after >= MAX_ID || strcmp(path + size - after, route->after))
		return false;
	memcpy(id, path, size - after);
	id[size - after] = '\0';
	return !strchr(id, '/');
}

static const struct route *find_route(const struct sim_request *request, char *id)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++)
		if (!strcmp(routes[i].method, request->method) &&
		    match_path(&routes[i], request->path, id))
			return &routes[i];
	return NULL;
}

static bool is_authorized(struct context *context)
{
	const struct sim_config *config = &context->sim->config;
	const struct sim_dialect *dialect = context->sim->dialect;
	const char *sent = context->request->header(dialect->auth_header, context->request->context);
	size_t prefix = strlen(dialect->auth_prefix);

	if (!config->key)
		return true;
	if (sent && !strncmp(sent, dialect->auth_prefix, prefix) && !strcmp(sent + prefix, config->key))
		return true;
	context->sim->unauthorized++;
	if (sent)
		reply_error(context->answer, 401, NULL, "invalid_api_key",
			    "Incorrect API key provided.");
	else
		reply_error(context->answer, 401, NULL, NULL,
			    "You didn't provide an API key. You need to provide your API key in an "
			    "Authorization header using Bearer auth.");
	return false;
}

static void set_subject(struct context *context, enum call call)
{
	const struct sim_request *request = context->request;
	struct sim *sim = context->sim;
	struct subject *subject = &context->subject;
	struct file *file;
	size_t number;

	*subject = (struct subject){
		.call = call,
		.age_ms = -1,
		.ended_ms = -1,
		.size = -1,
		.now_ms = sim->now_ms,
		.range = request->header("Range", request->context),
		.if_range = request->header("If-Range", request->context),
		.is_paged = request->query("after", request->context) != NULL,
	};
	if (request->form) {
		subject->file_name = request->form->file_name;
		subject->size = (int64_t)request->form->file.size;
	}
	if (!context->id)
		return;
	number = table_find(&sim->batch_ids, context->id, strlen(context->id));
	file = files_find(sim, context->id);
	if (file) {
		subject->file = file->id;
		subject->file_name = file->name;
		subject->age_ms = sim->now_ms - file->created_ms;
	} else if (number != TABLE_NONE) {
		subject->batch = sim->batches[number]->id;
		subject->file = sim->batches[number]->input_file_id;
		subject->file_name = sim->batches[number]->input_name;
		subject->age_ms = sim->now_ms - sim->batches[number]->created_ms;
	}
}

/* Rules may act instead of the call, and on what comes of it. */
static void run(struct context *context, const struct route *route)
{
	struct script *script = context->sim->script;
	const struct rule *rule;

	set_subject(context, route->call);
	rule = script_next(script, STAGE_BEFORE, &context->subject, NULL);
	if (rule)
		rule_action(rule)->run.call(rule, &context->subject, context->answer);
	else
		route->run(context);
	rule = NULL;
	while (context->answer->body &&
	       (rule = script_next(script, STAGE_AFTER, &context->subject, rule)))
		rule_action(rule)->run.call(rule, &context->subject, context->answer);
}

static void add_request_id(struct sim *sim, struct sim_answer *answer)
{
	auto_free char *id = xasprintf("req_sim_%" PRIu64, ++sim->serial);

	reply_header(answer, "x-request-id", id);
}

/* Where a version belongs into the query, none and another one are not found; elsewhere any is. */
static bool has_version(const struct context *context)
{
	const struct sim_request *request = context->request;
	const char *wanted = context->sim->dialect->version;
	const char *given = request->query("api-version", request->context);

	return wanted ? given && !strcmp(wanted, given) : !given;
}

/* A list that is said to take no parameters takes none. */
static bool is_list_refused(struct context *context, enum call call)
{
	static const char *const names[] = {"limit", "after", "order", "purpose"};
	const struct sim_request *request = context->request;

	if ((call != CALL_LIST && call != CALL_FILES) || !context->sim->dialect->has_plain_list)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (!request->query(names[i], request->context))
			continue;
		reply_error(context->answer, 400, names[i], "unknown_parameter", "Unknown parameter: '%s'.", names[i]);
		return true;
	}
	return false;
}

static void dispatch(struct context *context)
{
	char path[MAX_ID + 64], id[MAX_ID];
	struct sim_request request = *context->request;
	const struct route *route;

	if (!strncmp(request.path, "/sim/", 5) && control_call(context))
		return;
	request.path = sim_dialect_path(context->sim->dialect, context->request->path, path, sizeof(path));
	route = request.path ? find_route(&request, id) : NULL;
	if (route)
		context->sim->calls[route->call]++;
	if (!is_authorized(context))
		return;
	if (!route || !has_version(context)) {
		reply_error(context->answer, 404, NULL, "unknown_url",
			    "Unknown request URL: %s %s. Please check the URL for typos.",
			    context->request->method, context->request->path);
		return;
	}
	if (is_list_refused(context, route->call))
		return;
	context->id = route->after ? id : NULL;
	run(context, route);
	context->id = NULL;
}

void sim_call(struct sim *sim, const struct sim_request *request, struct sim_answer *ret_answer)
{
	struct context context = {.sim = sim, .request = request, .answer = ret_answer};

	*ret_answer = (struct sim_answer){.cut_at = SIZE_MAX, .stall_at = SIZE_MAX};
	sim->now_ms = sim->clock(sim->context) + sim->ahead_ms;
	course_step(sim);
	dispatch(&context);
	add_request_id(sim, ret_answer);
}

/* splitmix64, as in the script's dice. */
uint64_t sim_random(struct sim *sim)
{
	uint64_t bits = sim->dice += 0x9e3779b97f4a7c15u;

	bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
	bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
	return bits ^ bits >> 31;
}

char *sim_make_id(struct sim *sim, enum call call, const char *prefix, size_t size,
		  const char *alphabet)
{
	const struct subject subject = {.call = call, .age_ms = -1, .ended_ms = -1, .size = -1};
	const struct rule *rule = script_next(sim->script, STAGE_ID, &subject, NULL);
	size_t prefix_size = sim->dialect->has_bare_ids ? 0 : strlen(prefix);
	char *id;

	if (rule) {
		size = (size_t)rule_number(rule, "size", 0) % MAX_ID + SHORTEST_ID;
		alphabet = "abcXYZ019_-";
	}
	id = xcalloc(prefix_size + size + 1, 1);
	memcpy(id, prefix, prefix_size);
	for (size_t i = 0; i < size; i++)
		id[prefix_size + i] = alphabet[sim_random(sim) % strlen(alphabet)];
	return id;
}

struct json_object *sim_dress(struct sim *sim, const struct subject *subject,
			      struct json_object *object)
{
	const struct rule *rule = NULL;

	while ((rule = script_next(sim->script, STAGE_OBJECT, subject, rule)))
		object = rule_action(rule)->run.object(rule, object);
	return object;
}

bool sim_query_number(struct context *context, const char *name, int64_t otherwise, int64_t low,
		      int64_t high, int64_t *ret_number)
{
	const char *text = context->request->query(name, context->request->context);
	bool is_low;
	char *end;

	*ret_number = otherwise;
	if (!text)
		return true;
	errno = 0;
	*ret_number = strtoll(text, &end, 10);
	if (end == text || *end || errno) {
		reply_error(context->answer, 400, name, "invalid_type",
			    "Invalid type for '%s': expected an integer.", name);
		return false;
	}
	if (*ret_number >= low && *ret_number <= high)
		return true;
	is_low = *ret_number < low;
	reply_error(context->answer, 400, name,
		    is_low ? "integer_below_min_value" : "integer_above_max_value",
		    "Invalid '%s': integer %s value. Expected a value %s %" PRId64
		    ", but got %" PRId64 " instead.",
		    name, is_low ? "below minimum" : "above maximum",
		    is_low ? ">=" : "<=", is_low ? low : high, *ret_number);
	return false;
}

struct list_view sim_list_view(struct context *context)
{
	struct list_view view = {.hide_younger_ms = INT64_MIN};
	const struct rule *rule = NULL;

	while ((rule = script_next(context->sim->script, STAGE_LIST, &context->subject, rule)))
		rule_action(rule)->run.list(rule, &view);
	return view;
}

/* The id of an element; null where a rule hid it. */
static struct json_object *id_at(struct json_object *data, size_t index)
{
	return json_object_get(
		json_object_object_get(json_object_array_get_idx(data, index), "id"));
}

struct json_object *sim_list_object(const struct list_view *view, struct json_object *data,
				    bool has_more)
{
	size_t count = json_object_array_length(data);
	struct json_object *list;

	if (view->is_bare)
		return data;
	list = json_object_new_object();
	json_object_object_add(list, "object", reply_string("list"));
	if (!view->has_no_ends) {
		json_object_object_add(list, "first_id", count ? id_at(data, 0) : NULL);
		json_object_object_add(list, "last_id", count ? id_at(data, count - 1) : NULL);
	}
	json_object_object_add(list, "data", data);
	if (!view->has_no_more)
		json_object_object_add(list, "has_more",
				       json_object_new_boolean(has_more || view->always_more));
	return list;
}

struct sim *sim_new(const struct sim_config *config, int64_t (*now_ms)(void *context),
		    void *context)
{
	const struct sim_dialect *dialect = sim_dialect_find(config->dialect);
	struct sim *sim;

	if (!dialect)
		return NULL;
	sim = xcalloc(1, sizeof(*sim));
	sim->dialect = dialect;
	sim->config = *config;
	sim->config.key = xstrdup(config->key);
	if (!sim->config.expire_ms)
		sim->config.expire_ms = DAY_MS;
	sim->clock = now_ms;
	sim->context = context;
	sim->dice = config->seed;
	sim->script = script_new(config->seed);
	sim_clear_script(sim);
	return sim;
}

void sim_clear_script(struct sim *sim)
{
	const char *script = sim->dialect->script;
	struct error err = {0};

	script_clear(sim->script);
	if (!script || !script_add(sim->script, script, strlen(script), &err))
		return;
	(void)fprintf(stderr, "batch-api-sim: dialect %s: %s\n", sim->dialect->name, err.text);
	abort();
}

bool sim_is_upload(const struct sim *sim, const char *method, const char *path)
{
	char buffer[MAX_ID];

	path = sim_dialect_path(sim->dialect, path, buffer, sizeof(buffer));
	return !strcmp(method, "POST") && path && !strcmp(path, "/v1/files");
}

void sim_free(struct sim *sim)
{
	if (!sim)
		return;
	files_free(sim);
	batches_free(sim);
	table_release(&sim->requests);
	free(sim->request_counts);
	script_free(sim->script);
	free((char *)sim->config.key);
	free(sim);
}

int sim_add_script(struct sim *sim, const char *json, size_t size, struct error *err)
{
	return script_add(sim->script, json, size, err);
}

int64_t sim_calls(const struct sim *sim, const char *kind)
{
	for (unsigned i = 0; i < CALL_COUNT; i++)
		if (!strcmp(script_call_name(i), kind))
			return sim->calls[i];
	return -1;
}
