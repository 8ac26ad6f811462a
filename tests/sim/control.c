#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/sim/blob.h"
#include "tests/sim/line.h"
#include "tests/sim/reply.h"
#include "tests/sim/state.h"

static void add_number(struct json_object *object, const char *name, int64_t number)
{
	json_object_object_add(object, name, json_object_new_int64(number));
}

static struct json_object *calls_object(const struct sim *sim)
{
	struct json_object *calls = json_object_new_object();

	for (unsigned i = 0; i < CALL_COUNT; i++)
		add_number(calls, script_call_name(i), sim->calls[i]);
	return calls;
}

static struct json_object *batch_entry(const struct batch *batch)
{
	struct json_object *entry = json_object_new_object();

	json_object_object_add(entry, "input_file_id", reply_string(batch->input_file_id));
	json_object_object_add(entry, "metadata", json_object_get(batch->metadata));
	json_object_object_add(entry, "status", reply_string(batches_status_name(batch->status)));
	json_object_object_add(entry, "model", reply_string(batch->model));
	add_number(entry, "created_at_ms", batch->created_ms);
	add_number(entry, "requests", (int64_t)batch->count);
	add_number(entry, "requests_answered", (int64_t)batch->done);
	return entry;
}

static void show_ledger(struct context *context)
{
	const struct sim *sim = context->sim;
	struct json_object *ledger = json_object_new_object(), *batches = json_object_new_object();

	add_number(ledger, "files_created", sim->files_created);
	add_number(ledger, "files_deleted", sim->files_deleted);
	add_number(ledger, "batches_created", (int64_t)sim->batch_ids.count);
	add_number(ledger, "requests_answered", sim->requests_answered);
	add_number(ledger, "requests_succeeded", sim->requests_succeeded);
	add_number(ledger, "unauthorized", sim->unauthorized);
	json_object_object_add(ledger, "calls", calls_object(sim));
	for (size_t i = 0; i < sim->batch_ids.count; i++)
		json_object_object_add(batches, sim->batches[i]->id, batch_entry(sim->batches[i]));
	json_object_object_add(ledger, "batches", batches);
	reply_json(context->answer, 200, ledger);
}

static void show_requests(struct context *context)
{
	const struct sim *sim = context->sim;
	auto_buffer text = {0};

	for (size_t i = 0; i < sim->requests.count; i++) {
		size_t size;
		const char *id = table_key(&sim->requests, i, &size);

		buffer_add_text(&text, "{\"custom_id\":");
		line_quote(&text, id, size);
		buffer_add_format(&text, ",\"batches\":%u,\"answered\":%u}\n",
				  sim->request_counts[i].batches, sim->request_counts[i].answered);
	}
	reply_blob(context->answer, 200, "application/x-ndjson", blob_take(&text));
}

static void reply_done(struct context *context)
{
	reply_text(context->answer, 200, "application/json", "{\"ok\":true}");
}

static void add_script(struct context *context)
{
	const struct sim_request *request = context->request;
	const char *reset = request->query("reset", request->context);
	struct error err = {0};

	if (reset && strcmp(reset, "0"))
		sim_clear_script(context->sim);
	if (request->size && script_add(context->sim->script, request->body, request->size, &err)) {
		reply_error(context->answer, 400, NULL, NULL, "%s", err.text);
		return;
	}
	reply_done(context);
}

static void show_script(struct context *context)
{
	reply_json(context->answer, 200, script_report(context->sim->script));
}

static void advance(struct context *context)
{
	int64_t ms;

	if (!sim_query_number(context, "ms", 0, 0, INT64_MAX / 4, &ms))
		return;
	context->sim->ahead_ms += ms;
	context->sim->now_ms += ms;
	course_step(context->sim);
	reply_done(context);
}

static void add_foreign(struct context *context)
{
	enum { MOST = 1000000 };
	int64_t count;

	if (!sim_query_number(context, "count", 1, 1, MOST, &count))
		return;
	batches_add_foreign(context->sim, count);
	reply_done(context);
}

static void reset(struct context *context)
{
	struct sim *sim = context->sim;

	files_free(sim);
	batches_free(sim);
	table_release(&sim->requests);
	free(take(sim->request_counts));
	sim->request_capacity = 0;
	sim->requests_answered = sim->requests_succeeded = sim->files_created = sim->files_deleted = sim->unauthorized = 0;
	memset(sim->calls, 0, sizeof(sim->calls));
	sim_clear_script(sim);
	reply_done(context);
}

/* clang-format off */
static const struct {
	const char *method, *path;
	void (*run)(struct context *context);
} paths[] = {
	{ "GET",  "/sim/ledger",          show_ledger },
	{ "GET",  "/sim/ledger/requests", show_requests },
	{ "GET",  "/sim/script",          show_script },
	{ "POST", "/sim/script",          add_script },
	{ "POST", "/sim/advance",         advance },
	{ "POST", "/sim/foreign",         add_foreign },
	{ "POST", "/sim/reset",           reset },
};
/* clang-format on */

bool control_call(struct context *context)
{
	for (size_t i = 0; i < ARRAY_SIZE(paths); i++) {
		if (strcmp(paths[i].method, context->request->method) ||
		    strcmp(paths[i].path, context->request->path))
			continue;
		paths[i].run(context);
		return true;
	}
	return false;
}
