/* The batch object: what the document has, and ours behind it. */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/tree.h"
#include "daemon/door/visit.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/price.h"
#include "daemon/protocol.h"
#include "daemon/work/eta.h"
#include "daemon/work/rows.h"
#include "daemon/work/why.h"

static struct json_object *text_or_object(const char *json)
{
	return json ? tree_read(json, strlen(json), 0, NULL) : NULL;
}

/* The refused lines: all that were kept, or the first few where the object is one of many. */
static struct json_object *errors_object(struct door *door, const struct job *job, bool is_whole)
{
	auto_vault_reader reader = VAULT_READER_NONE;
	struct json_object *errors;
	auto_free char *text = NULL;

	if (!job->errors)
		return NULL;
	if (is_whole && vault_open_record(door->parts.vault, job->id, ROWS_ERRORS_NAME, &reader, NULL) == 0) {
		text = xcalloc(1, (size_t)reader.size + 1);
		if (vault_read(&reader, 0, text, (size_t)reader.size) != reader.size)
			free(take(text));
	}
	errors = json_object_new_object();
	json_object_object_add(errors, "object", json_object_new_string("list"));
	json_object_object_add(errors, "data", text_or_object(text ? text : job->errors));
	return errors;
}

/* What was collected here, and until then what the provider says of batches under way. */
static struct json_object *counts_object(struct door *door, const struct job *job)
{
	struct json_object *counts = json_object_new_object();
	int64_t completed = 0, failed = 0;

	if (!job_is_ended(job->state))
		(void)store_shard_progress(door->parts.store, job->id, &completed, &failed);
	json_object_object_add(counts, "total", json_object_new_int64(job->counts.total));
	json_object_object_add(counts, "completed", json_object_new_int64(job->counts.ok + completed));
	json_object_object_add(counts, "failed", json_object_new_int64(job->counts.failed + failed));
	return counts;
}

struct number {
	const char *name;
	int64_t value;
};

static void add_numbers(struct json_object *object, const struct number *numbers, size_t count)
{
	for (size_t i = 0; i < count; i++)
		json_object_object_add(object, numbers[i].name, json_object_new_int64(numbers[i].value));
}

static struct json_object *our_counts_object(const struct job_counts *counts)
{
	struct json_object *object = json_object_new_object();
	/* clang-format off */
	const struct number numbers[] = {
		{ "total",     counts->total },
		{ "ok",        counts->ok },
		{ "failed",    counts->failed },
		{ "cancelled", counts->cancelled },
		{ "expired",   counts->expired },
		{ "missing",   counts->missing },
		{ "lost",      counts->lost },
		{ "invalid",   counts->invalid },
		{ "resent",    counts->resent },
		{ "twice",     counts->twice },
	};
	/* clang-format on */

	add_numbers(object, numbers, ARRAY_SIZE(numbers));
	return object;
}

static struct json_object *tally_object(const struct shard_tally *tally)
{
	struct json_object *object = json_object_new_object();
	/* clang-format off */
	const struct number numbers[] = {
		{ "ok",            tally->ok },
		{ "failed",        tally->failed },
		{ "cancelled",     tally->cancelled },
		{ "expired",       tally->expired },
		{ "missing",       tally->missing },
		{ "lost",          tally->lost },
		{ "again",         tally->again },
		{ "resent",        tally->resent },
		{ "twice",         tally->twice },
		{ "unknown",       tally->unknown },
		{ "unreadable",    tally->unreadable },
		{ "input_tokens",  tally->input_tokens },
		{ "output_tokens", tally->output_tokens },
	};
	/* clang-format on */

	add_numbers(object, numbers, ARRAY_SIZE(numbers));
	return object;
}

/* What an array of one job's objects is made with. */
struct making {
	const struct door_parts *parts;
	int64_t now;
	const struct config *config;
	const struct job *job;
	struct json_object *array;
};

/* NULL: it is not known. */
static struct json_object *eta_object(int64_t seconds)
{
	return seconds < 0 ? NULL : json_object_new_int64(seconds);
}

static void add_shard(const struct shard *shard, void *context)
{
	static const char *const queues[] = { [SHARD_WAITING] = "waiting", [SHARD_PARKED] = "parked" };
	const struct making *making = context;
	int64_t until = 0;
	auto_free char *why = why_shard(making->parts->store, making->parts->providers, making->job, shard, making->now, &until);
	struct json_object *object = json_object_new_object();
	/* clang-format off */
	const struct number numbers[] = {
		{ "requests", shard->requests },
		{ "bytes",    shard->bytes },
		{ "inputs",   shard->inputs },
		{ "tokens",   shard->tokens },
		{ "reserved_tokens", shard->reserved_tokens },
		{ "attempt",  shard->attempt },
	};
	/* clang-format on */

	json_object_object_add(object, "shard", json_object_new_int64(shard->number));
	json_object_object_add(object, "state", json_object_new_string(shard_state_name(shard->state)));
	json_object_object_add(object, "model", json_text(shard->model));
	json_object_object_add(object, "url", json_text(shard->url));
	json_object_object_add(object, "provider", json_text(shard->provider));
	add_numbers(object, numbers, ARRAY_SIZE(numbers));
	json_object_object_add(object, "marker", json_text(shard->marker));
	json_object_object_add(object, "intended_at", json_seconds(shard->intended_at));
	json_object_object_add(object, "batch_id", json_text(shard->batch_id));
	json_object_object_add(object, "provider_file_id", json_text(shard->provider_file));
	json_object_object_add(object, "remote_status", json_text(shard->remote_status));
	json_object_object_add(object, "completed", json_object_new_int64(shard->remote_completed));
	json_object_object_add(object, "failed", json_object_new_int64(shard->remote_failed));
	json_object_object_add(object, "refusal", json_text(shard->refusal));
	json_object_object_add(object, "refusal_code", json_text(shard->refusal_code));
	json_object_object_add(object, "tally", tally_object(&shard->tally));
	json_object_object_add(object, "due_at", json_seconds(shard->due_at));
	json_object_object_add(object, "queue", json_text(queues[shard->queue]));
	json_object_object_add(object, "eta", eta_object(eta_of_shard(making->parts->store, shard, making->now)));
	json_object_object_add(object, "changed_at", json_seconds(shard->changed_at));
	json_object_object_add(object, "why", json_text(why));
	json_object_object_add(object, "until", json_seconds(until));
	json_object_array_add(making->array, object);
}

/* NULL where the price of tokens that were used is not known. */
static struct json_object *cost_object(const struct making *making, const struct store_usage *usage)
{
	const struct config_provider *provider = config_provider_find(making->config, usage->provider);
	const struct config_model *model = config_model_find(making->config, usage->model);
	auto_free char *cost = NULL;

	if (!provider || !model || (usage->input_tokens && !model->input_price) ||
	    (usage->output_tokens && !model->output_price))
		return NULL;
	cost = price_show_cost(price_cost(usage->input_tokens, model->input_price, usage->output_tokens,
					  model->output_price, provider->batch_discount));
	return json_object_new_string(cost);
}

static void add_usage(const struct store_usage *usage, void *context)
{
	const struct making *making = context;
	struct json_object *object = json_object_new_object();
	const struct number numbers[] = { { "requests", usage->requests },
					  { "input_tokens", usage->input_tokens },
					  { "output_tokens", usage->output_tokens },
					  { "estimated_tokens", usage->estimated_tokens } };

	json_object_object_add(object, "model", json_text(usage->model));
	json_object_object_add(object, "provider", json_text(usage->provider));
	add_numbers(object, numbers, ARRAY_SIZE(numbers));
	json_object_object_add(object, "cost", cost_object(making, usage));
	json_object_array_add(making->array, object);
}

static void add_digest(const struct store_digest *digest, void *context)
{
	const struct making *making = context;
	struct json_object *object = json_object_new_object();
	struct json_object *lines = json_object_new_array();

	for (size_t i = 0; i < digest->row_count; i++)
		json_object_array_add(lines, json_object_new_int64(digest->rows[i] + 1));
	json_object_object_add(object, "code", json_text(*digest->code ? digest->code : NULL));
	json_object_object_add(object, "message", json_text(digest->sample));
	json_object_object_add(object, "count", json_object_new_int64(digest->count));
	json_object_object_add(object, "lines", lines);
	json_object_array_add(making->array, object);
}

/* The uid alone: a name would be looked up, and a directory that hangs would stop the loop. */
static struct json_object *owner_object(int64_t uid)
{
	struct json_object *owner = json_object_new_object();

	json_object_object_add(owner, "uid", json_object_new_int64(uid));
	return owner;
}

static bool is_on_hold(const struct job *job)
{
	return job->is_on_hold && job->state != JOB_CANCELLING && !job_is_ended(job->state);
}

/* Of the shard that says it best: one under way, else the first that waits for its turn. */
static char *why_of_shards(struct door *door, const struct job *job, int64_t *ret_until)
{
	int (*const choices[])(struct store *, int64_t, struct shard *) = { store_shard_foremost, store_queue_first };

	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		auto_shard shard = { 0 };
		auto_free char *why = NULL;

		if (choices[i](door->parts.store, job->id, &shard))
			continue;
		why = why_shard(door->parts.store, door->parts.providers, job, &shard, loop_now_ms(door->parts.loop), ret_until);
		if (why)
			return xasprintf("shard %" PRId64 ": %s", shard.number, why);
	}
	return NULL;
}

/* Why a job waits: a person's word, its own reason, or that of the first shard that has one; and until when, 0: that is not known. */
static char *why_of(struct door *door, const struct job *job, int64_t *ret_until)
{
	if (is_on_hold(job))
		return xstrdup("on hold");
	/* Another job's end has no time; that it is looked for again is nobody's business. */
	if (job->why)
		*ret_until = job->state != JOB_VALID ? job->due_at : job->begin_at > loop_now_ms(door->parts.loop) ? job->begin_at : 0;
	if (job->why || job_is_ended(job->state))
		return xstrdup(job->why);
	return why_of_shards(door, job, ret_until);
}

static void add_why(struct json_object *ours, struct door *door, const struct job *job)
{
	int64_t until = 0;
	auto_free char *why = why_of(door, job, &until);

	json_object_object_add(ours, "why", json_text(why));
	json_object_object_add(ours, "until", json_seconds(until));
}

/* NULL where there is no bound. */
static struct json_object *amount_object(int64_t cost)
{
	auto_free char *text = price_show(cost);

	return cost ? json_object_new_string(text) : NULL;
}

static struct json_object *budget_object(const struct job *job)
{
	struct json_object *budget = json_object_new_object();
	auto_free char *cost = price_show_cost(job->spent_cost);

	json_object_object_add(budget, "max_tokens", job->budget_tokens ? json_object_new_int64(job->budget_tokens) : NULL);
	json_object_object_add(budget, "max_cost", amount_object(job->budget_cost));
	json_object_object_add(budget, "tokens", json_object_new_int64(job->spent_tokens));
	json_object_object_add(budget, "cost", json_object_new_string(cost));
	return budget;
}

static void add_order(struct json_object *ours, const struct job *job)
{
	json_object_object_add(ours, "priority", json_object_new_int64(job->priority));
	json_object_object_add(ours, "begin_at", json_seconds(job->begin_at));
	json_object_object_add(ours, "after", job->after_job ? json_object_new_int64(job->after_job) : NULL);
	json_object_object_add(ours, "is_on_hold", json_object_new_boolean(is_on_hold(job)));
	json_object_object_add(ours, "budget", budget_object(job));
}

/* What was chosen when it was submitted. */
static void add_choices(struct json_object *ours, const struct job *job, const struct config_provider *provider)
{
	int64_t attempts = job->max_attempts ? job->max_attempts : provider ? provider->max_attempts : 0;

	json_object_object_add(ours, "labels", text_or_object(job->labels));
	json_object_object_add(ours, "retry_of", job->retry_of ? json_object_new_int64(job->retry_of) : NULL);
	json_object_object_add(ours, "max_attempts", attempts ? json_object_new_int64(attempts) : NULL);
	json_object_object_add(ours, "on_invalid", json_text(job->skips_invalid ? "skip" : "fail"));
	json_object_object_add(ours, "wrap", json_object_new_boolean(job->is_wrapped));
	json_object_object_add(ours, "ids", json_text(job->has_line_ids ? "line" : NULL));
	json_object_object_add(ours, "model", json_text(job->model));
}

/* What is worth its reading where the object is the only one. */
static void add_details(struct json_object *ours, struct door *door, const struct job *job)
{
	struct store *store = door->parts.store;
	struct making making = {
		.parts = &door->parts,
		.now = loop_now_ms(door->parts.loop),
		.config = door->parts.config,
		.job = job,
	};

	making.array = json_object_new_array();
	(void)store_shard_usage(store, job->id, add_usage, &making);
	json_object_object_add(ours, "usage", making.array);
	making.array = json_object_new_array();
	(void)store_digest_list(store, job->id, PROTOCOL_MAX_DIGEST, add_digest, &making);
	json_object_object_add(ours, "digest", making.array);
	making.array = json_object_new_array();
	(void)store_shard_list(store, job->id, 0, PROTOCOL_MAX_SHARDS, add_shard, &making);
	json_object_object_add(ours, "shards", making.array);
}

static struct json_object *ours_object(struct door *door, const struct job *job, bool with_shards)
{
	const struct config_provider *provider = config_provider_find(door->parts.config, job->provider);
	struct json_object *ours = json_object_new_object();
	struct store *store = door->parts.store;
	auto_store_file input = { 0 };
	int64_t count = 0;

	(void)store_file_get(store, job->input_file, &input);
	(void)store_shard_count(store, job->id, &count, NULL);
	json_object_object_add(ours, "job", json_object_new_int64(job->id));
	json_object_object_add(ours, "state", json_object_new_string(job_state_name(job->state)));
	json_object_object_add(ours, "owner", owner_object(job->uid));
	json_object_object_add(ours, "provider", json_text(job->provider));
	json_object_object_add(ours, "providers", json_names(job->providers));
	json_object_object_add(ours, "file_name", json_text(job->file_name));
	json_object_object_add(ours, "input_bytes", json_object_new_int64(input.bytes));
	add_choices(ours, job, provider);
	json_object_object_add(ours, "counts", our_counts_object(&job->counts));
	add_order(ours, job);
	add_why(ours, door, job);
	json_object_object_add(ours, "eta", eta_object(eta_of_job(store, job, loop_now_ms(door->parts.loop))));
	json_object_object_add(ours, "is_held",
			       json_object_new_boolean(job->why && !job->due_at && !job_is_ended(job->state)));
	json_object_object_add(ours, "errors_total", json_object_new_int64(job->errors_total));
	json_object_object_add(ours, "events", json_object_new_int64(store_event_last(store, job->id)));
	json_object_object_add(ours, "currency", json_text(door->parts.config->currency));
	json_object_object_add(ours, "shards_total", json_object_new_int64(count));
	if (with_shards)
		add_details(ours, door, job);
	return ours;
}

struct json_object *batch_object(struct door *door, const struct job *job, bool with_shards)
{
	struct json_object *batch = json_object_new_object();

	json_object_object_add(batch, "id", json_id(PROTOCOL_BATCH_PREFIX, job->id));
	json_object_object_add(batch, "object", json_object_new_string("batch"));
	json_object_object_add(batch, "endpoint", json_text(job->endpoint));
	json_object_object_add(batch, "errors", errors_object(door, job, with_shards));
	json_object_object_add(batch, "input_file_id", json_id(PROTOCOL_FILE_PREFIX, job->input_file));
	json_object_object_add(batch, "completion_window", json_text(job->window));
	json_object_object_add(batch, "status", json_object_new_string(job_status(job)));
	json_object_object_add(batch, "output_file_id", json_id(PROTOCOL_FILE_PREFIX, job->output_file));
	json_object_object_add(batch, "error_file_id", json_id(PROTOCOL_FILE_PREFIX, job->error_file));
	json_object_object_add(batch, "created_at", json_seconds(job->created_at));
	json_object_object_add(batch, "in_progress_at", json_seconds(job->in_progress_at));
	/* Its own deadline: what expires at the provider is tried again. */
	json_object_object_add(batch, "expires_at", json_seconds(job->deadline_at));
	json_object_object_add(batch, "finalizing_at", json_seconds(job->finalizing_at));
	json_object_object_add(batch, "completed_at", json_seconds(job->completed_at));
	json_object_object_add(batch, "failed_at", json_seconds(job->failed_at));
	json_object_object_add(batch, "expired_at", json_seconds(job->expired_at));
	json_object_object_add(batch, "cancelling_at", json_seconds(job->cancelling_at));
	json_object_object_add(batch, "cancelled_at", json_seconds(job->cancelled_at));
	json_object_object_add(batch, "request_counts", counts_object(door, job));
	json_object_object_add(batch, "metadata", text_or_object(job->metadata));
	json_object_object_add(batch, "batchd", ours_object(door, job, with_shards));
	return batch;
}
