#include "tests/world/ledger.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/line.h"
#include "tests/sim/state.h"

#define MARKER "batchd"

/* Calls visit for each line of a file that the provider made, until it says true; that is returned. */
static bool visit_lines(const struct sim *sim, const char *file_id,
			bool (*visit)(const char *line, size_t size, void *context), void *context)
{
	size_t number = file_id ? table_find(&sim->file_ids, file_id, strlen(file_id)) : TABLE_NONE;
	const struct blob *blob = number == TABLE_NONE ? NULL : sim->files[number]->blob;

	for (size_t at = 0; blob && at < blob->size;) {
		const char *line = blob->data + at, *newline = memchr(line, '\n', blob->size - at);
		size_t size = newline ? (size_t)(newline - line) : blob->size - at;

		if (visit(line, size, context))
			return true;
		at += size + 1;
	}
	return false;
}

size_t ledger_batch_count(const struct sim *sim)
{
	return sim->batch_ids.count;
}

struct ledger_batch ledger_batch(const struct sim *sim, size_t number)
{
	const struct batch *batch = sim->batches[number];
	const char *marker = json_object_get_string(json_object_object_get(batch->metadata, MARKER));

	return (struct ledger_batch){
		.id = batch->id,
		.marker = marker ? marker : "",
		.input_file = batch->input_file_id ? batch->input_file_id : "",
		.is_ended = batch->status >= STATUS_FAILED,
		.is_idle = batch->status >= STATUS_FAILED && !batch->done,
		.is_cancelled = batch->since_ms[STATUS_CANCELLING] > 0,
	};
}

const char *ledger_find(const struct sim *sim, const char *marker, const char *input_file)
{
	for (size_t i = sim->batch_ids.count; i-- > 0;) {
		struct ledger_batch batch = ledger_batch(sim, i);

		if (strcmp(batch.marker, marker) == 0 && strcmp(batch.input_file, input_file) == 0)
			return batch.id;
	}
	return NULL;
}

struct wanted {
	const char *line;
	size_t size;
};

static bool is_wanted(const char *line, size_t size, void *context)
{
	const struct wanted *wanted = context;

	return size == wanted->size && memcmp(line, wanted->line, size) == 0;
}

bool ledger_has_line(const struct sim *sim, const char *line, size_t size)
{
	struct wanted wanted = { line, size };

	for (size_t i = 0; i < sim->batch_ids.count; i++)
		if (visit_lines(sim, sim->batches[i]->output_file_id, is_wanted, &wanted) ||
		    visit_lines(sim, sim->batches[i]->error_file_id, is_wanted, &wanted))
			return true;
	return false;
}

/* Of each request, by its number in the ledger. */
struct failure {
	int64_t count;
	size_t batch; /* where it was counted last, plus 1: of several lines in a batch one counts */
};

struct failures {
	const struct sim *sim;
	struct failure *list;
	size_t batch;
};

/* Whether a line says that its request was run and failed. */
static bool is_failure(struct json_object *line)
{
	struct json_object *response = json_object_object_get(line, "response");
	struct json_object *error = json_object_object_get(line, "error");
	const char *code = json_object_is_type(error, json_type_object) ?
				   json_object_get_string(json_object_object_get(error, "code")) :
				   NULL;

	if (error)
		return !code || (strcmp(code, "batch_expired") != 0 && strcmp(code, "batch_cancelled") != 0);
	return !response || !json_object_object_get(response, "body") ||
	       json_object_get_int(json_object_object_get(response, "status_code")) != 200;
}

static bool note_failure(const char *text, size_t size, void *context)
{
	struct failures *failures = context;
	auto_free char *copy = xmemdup0(text, size);
	struct json_object *line = json_tokener_parse(copy);
	const char *id = json_object_is_type(line, json_type_object) ?
				 json_object_get_string(json_object_object_get(line, "custom_id")) :
				 NULL;
	size_t number = id ? table_find(&failures->sim->requests, id, strlen(id)) : TABLE_NONE;

	if (number != TABLE_NONE && failures->list[number].batch != failures->batch && is_failure(line)) {
		failures->list[number].count++;
		failures->list[number].batch = failures->batch;
	}
	json_object_put(line);
	return false;
}

/* Of each request of a provider, by its number in the ledger, its answers that were no failure. The caller frees. */
static int64_t *count_paid(const struct sim *sim)
{
	struct failures failures = { .sim = sim };
	int64_t *paid = xcalloc(sim->requests.count + 1, sizeof(*paid));

	failures.list = xcalloc(sim->requests.count + 1, sizeof(*failures.list));
	for (size_t i = 0; i < sim->batch_ids.count; i++) {
		failures.batch = i + 1;
		(void)visit_lines(sim, sim->batches[i]->output_file_id, note_failure, &failures);
		(void)visit_lines(sim, sim->batches[i]->error_file_id, note_failure, &failures);
	}
	for (size_t i = 0; i < sim->requests.count; i++) {
		int64_t count = (int64_t)sim->request_counts[i].answered - failures.list[i].count;

		paid[i] = count > 0 ? count : 0;
	}
	free(failures.list);
	return paid;
}

/* Adds up counts of requests over several providers, who number them each in their own way. */
struct tally {
	struct table ids;
	int64_t *counts;
	size_t capacity;
};

static void tally_add(struct tally *tally, const char *id, size_t size, int64_t count)
{
	bool is_new;
	size_t number = table_add(&tally->ids, id, size, &is_new);

	if (number >= tally->capacity) {
		size_t capacity = 2 * number + 64;

		tally->counts = xreallocarray(tally->counts, capacity, sizeof(*tally->counts));
		memset(tally->counts + tally->capacity, 0, (capacity - tally->capacity) * sizeof(*tally->counts));
		tally->capacity = capacity;
	}
	tally->counts[number] += count;
}

static void tally_release(struct tally *tally)
{
	table_release(&tally->ids);
	free(tally->counts);
}

int64_t ledger_surplus(struct sim *const *sims, size_t count)
{
	struct tally tally = { 0 };
	int64_t surplus = 0;

	for (size_t k = 0; k < count; k++) {
		auto_free int64_t *paid = count_paid(sims[k]);

		for (size_t i = 0; i < sims[k]->requests.count; i++) {
			size_t size;
			const char *id = table_key(&sims[k]->requests, i, &size);

			tally_add(&tally, id, size, paid[i]);
		}
	}
	for (size_t i = 0; i < tally.ids.count; i++)
		surplus += tally.counts[i] > 1 ? tally.counts[i] - 1 : 0;
	tally_release(&tally);
	return surplus;
}

static bool note_live(const char *text, size_t size, void *context)
{
	struct line line;
	auto_free char *id = line_parse(text, size, &line) ? line_text(&line.custom_id) : NULL;

	if (id)
		tally_add(context, id, strlen(id), 1);
	return false;
}

int64_t ledger_most_live(struct sim *const *sims, size_t count)
{
	struct tally tally = { 0 };
	int64_t most = 0;

	for (size_t k = 0; k < count; k++)
		for (size_t i = 0; i < sims[k]->batch_ids.count; i++)
			if (sims[k]->batches[i]->status < STATUS_FAILED)
				(void)visit_lines(sims[k], sims[k]->batches[i]->input_file_id, note_live, &tally);
	for (size_t i = 0; i < tally.ids.count; i++)
		if (most < tally.counts[i])
			most = tally.counts[i];
	tally_release(&tally);
	return most;
}

bool ledger_has_idle_rule(const struct sim *sim)
{
	struct json_object *rules = script_report(sim->script);
	bool is_idle = false;

	for (size_t i = 0; i < json_object_array_length(rules); i++)
		is_idle |= !json_object_get_int64(
			json_object_object_get(json_object_array_get_idx(rules, i), "fired"));
	json_object_put(rules);
	return is_idle;
}
