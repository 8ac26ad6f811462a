/* createBatch, listBatches, retrieveBatch, cancelBatch. */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/door/visit.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/protocol.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/rows.h"


static inline void cleanup_json(struct json_object **object)
{
	json_object_put(*object);
}
#define auto_json __attribute__((cleanup(cleanup_json))) struct json_object

/* --- the object --- */

static struct json_object *text_or_object(const char *json)
{
	return json ? json_tokener_parse(json) : NULL;
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

static struct json_object *our_counts_object(const struct job_counts *counts)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "total", json_object_new_int64(counts->total));
	json_object_object_add(object, "ok", json_object_new_int64(counts->ok));
	json_object_object_add(object, "failed", json_object_new_int64(counts->failed));
	json_object_object_add(object, "cancelled", json_object_new_int64(counts->cancelled));
	json_object_object_add(object, "expired", json_object_new_int64(counts->expired));
	json_object_object_add(object, "missing", json_object_new_int64(counts->missing));
	return object;
}

static void add_shard(const struct shard *shard, void *context)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "shard", json_object_new_int64(shard->number));
	json_object_object_add(object, "state", json_object_new_string(shard_state_name(shard->state)));
	json_object_object_add(object, "model", json_text(shard->model));
	json_object_object_add(object, "url", json_text(shard->url));
	json_object_object_add(object, "requests", json_object_new_int64(shard->requests));
	json_object_object_add(object, "bytes", json_object_new_int64(shard->bytes));
	json_object_object_add(object, "attempt", json_object_new_int64(shard->attempt));
	json_object_object_add(object, "batch_id", json_text(shard->batch_id));
	json_object_object_add(object, "provider_file_id", json_text(shard->provider_file));
	json_object_object_add(object, "remote_status", json_text(shard->remote_status));
	json_object_object_add(object, "completed", json_object_new_int64(shard->remote_completed));
	json_object_object_add(object, "failed", json_object_new_int64(shard->remote_failed));
	json_object_object_add(object, "due_at", json_seconds(shard->due_at));
	json_object_object_add(object, "why", json_text(shard->why));
	json_object_array_add(context, object);
}

/* The uid alone: a name would be looked up, and a directory that hangs would stop the loop. */
static struct json_object *owner_object(int64_t uid)
{
	struct json_object *owner = json_object_new_object();

	json_object_object_add(owner, "uid", json_object_new_int64(uid));
	return owner;
}

/* Why a job waits: its own reason, or that of the first shard that has one. */
static struct json_object *why_object(struct door *door, const struct job *job)
{
	auto_free char *why = NULL;
	auto_free char *text = NULL;
	int64_t number = 0;

	if (job->why || job_is_ended(job->state))
		return json_text(job->why);
	why = store_shard_reason(door->parts.store, job->id, &number);
	if (why)
		text = xasprintf("shard %" PRId64 ": %s", number, why);
	return json_text(text);
}

static struct json_object *ours_object(struct door *door, const struct job *job, bool with_shards)
{
	struct json_object *ours = json_object_new_object();
	struct store *store = door->parts.store;
	auto_store_file input = { 0 };
	struct json_object *shards;
	int64_t count = 0;

	(void)store_file_get(store, job->input_file, &input);
	(void)store_shard_count(store, job->id, &count, NULL);
	json_object_object_add(ours, "job", json_object_new_int64(job->id));
	json_object_object_add(ours, "state", json_object_new_string(job_state_name(job->state)));
	json_object_object_add(ours, "owner", owner_object(job->uid));
	json_object_object_add(ours, "provider", json_text(job->provider));
	json_object_object_add(ours, "file_name", json_text(job->file_name));
	json_object_object_add(ours, "input_bytes", json_object_new_int64(input.bytes));
	json_object_object_add(ours, "counts", our_counts_object(&job->counts));
	json_object_object_add(ours, "why", why_object(door, job));
	json_object_object_add(ours, "errors_total", json_object_new_int64(job->errors_total));
	json_object_object_add(ours, "events", json_object_new_int64(store_event_last(store, job->id)));
	json_object_object_add(ours, "shards_total", json_object_new_int64(count));
	if (!with_shards)
		return ours;
	shards = json_object_new_array();
	(void)store_shard_list(store, job->id, 0, PROTOCOL_MAX_SHARDS, add_shard, shards);
	json_object_object_add(ours, "shards", shards);
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
	/* No job ends here because time passed: what expires at the provider is tried again. */
	json_object_object_add(batch, "expires_at", NULL);
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

/* --- createBatch --- */

void batches_create_begin(struct visit *visit)
{
	if (visit_may_store(visit))
		(void)wish_key(visit);
}

/* As the provider does: a slip of the pen in an optional member would otherwise do nothing, silently. */
static int check_members(struct visit *visit, struct json_object *body)
{
	static const char *const known[] = { "input_file_id", "endpoint", "completion_window", "metadata",
					     "output_expires_after" };

	json_object_object_foreach(body, name, value) {
		size_t i = 0;

		(void)value;
		while (i < ARRAY_SIZE(known) && strcmp(known[i], name) != 0)
			i++;
		if (i < ARRAY_SIZE(known))
			continue;
		visit_error(visit, 400, "unknown_parameter", name, "Unknown parameter: '%.100s'.", name);
		return -EINVAL;
	}
	return 0;
}

/* A required text of the body; replies the error when it is not there. */
static const char *required_text(struct visit *visit, struct json_object *body, const char *name)
{
	struct json_object *value = NULL;

	if (!json_object_object_get_ex(body, name, &value) || !value) {
		visit_error(visit, 400, "missing_required_parameter", name, "Missing required parameter: '%s'.",
			    name);
		return NULL;
	}
	if (!json_object_is_type(value, json_type_string)) {
		visit_error(visit, 400, "invalid_type", name, "Invalid type for '%s': expected a string.", name);
		return NULL;
	}
	if (strlen(json_object_get_string(value)) != (size_t)json_object_get_string_len(value)) {
		visit_error(visit, 400, "invalid_value", name, "Invalid '%s': it must not contain a NUL character.",
			    name);
		return NULL;
	}
	return json_object_get_string(value);
}

static int read_expiry(struct visit *visit, struct json_object *body, struct job_wish *wish)
{
	struct json_object *expiry = NULL, *anchor = NULL, *seconds = NULL;

	if (!json_object_object_get_ex(body, "output_expires_after", &expiry) || !expiry)
		return 0;
	if (json_object_is_type(expiry, json_type_object)) {
		(void)json_object_object_get_ex(expiry, "anchor", &anchor);
		(void)json_object_object_get_ex(expiry, "seconds", &seconds);
	}
	wish->output_expires_s = json_object_is_type(seconds, json_type_int) ? json_object_get_int64(seconds) : 0;
	if (json_object_is_type(anchor, json_type_string) &&
	    strcmp(json_object_get_string(anchor), "created_at") == 0 && wish->output_expires_s >= 3600 &&
	    wish->output_expires_s <= 2592000)
		return 0;
	visit_error(visit, 400, "invalid_value", "output_expires_after",
		    "Invalid 'output_expires_after': anchor must be 'created_at', seconds from 3600 to 2592000.");
	return -EINVAL;
}

static int read_wish(struct visit *visit, struct json_object *body, struct job_wish *wish)
{
	struct json_object *metadata = NULL;
	const char *endpoint = required_text(visit, body, "endpoint");
	const char *window = endpoint ? required_text(visit, body, "completion_window") : NULL;

	if (!window || wish_endpoint(visit, endpoint, wish) || wish_window(visit, window, wish))
		return -EINVAL;
	(void)json_object_object_get_ex(body, "metadata", &metadata);
	if (wish_metadata(visit, metadata, wish) || wish_provider(visit, NULL, wish))
		return -EINVAL;
	return read_expiry(visit, body, wish);
}

void batches_create(struct visit *visit)
{
	auto_json *body = json_parse(buffer_text(&visit->body), visit->body.size);
	__attribute__((cleanup(job_wish_release))) struct job_wish wish = { 0 };
	static const uint8_t no_digest[32];
	const char *file_id;
	int64_t file;

	if (!json_object_is_type(body, json_type_object)) {
		visit_error(visit, 400, NULL, NULL, "The body is not a JSON object.");
		return;
	}
	file_id = check_members(visit, body) ? NULL : required_text(visit, body, "input_file_id");
	if (!file_id || read_wish(visit, body, &wish))
		return;
	file = visit_number(file_id, PROTOCOL_FILE_PREFIX);
	if (file)
		wish_accept(visit, &wish, file, NULL, no_digest);
	else
		visit_error(visit, 400, "invalid_request", "input_file_id",
			    "Cannot find file %.100s, or you do not have access to it.", file_id);
}

/* --- list, retrieve, cancel --- */

struct listing {
	struct visit *visit;
	struct json_object *data;
	int64_t limit;
	int64_t count;
	int64_t first, last;
};

static void list_job(const struct job *job, void *context)
{
	struct listing *listing = context;

	/* One more than asked for tells whether there are more. */
	if (listing->count++ >= listing->limit)
		return;
	if (!listing->first)
		listing->first = job->id;
	listing->last = job->id;
	json_object_array_add(listing->data, batch_object(listing->visit->door, job, false));
}

/* What ?state= takes besides our own names of states. The store does not tell those that merge apart. */
/* clang-format off */
static const struct {
	const char *word;
	unsigned states;
} state_words[] = {
	{ "validating",  1u << JOB_ACCEPTED },
	{ "in_progress", 1u << JOB_VALID | 1u << JOB_RUNNING },
	{ "finalizing",  1u << JOB_RUNNING },
};
/* clang-format on */

/* The states that a word means; 0 when it means none. */
static unsigned read_state(const char *word)
{
	enum job_state state;
	unsigned ended = 0;

	if (job_state_parse(word, &state) == 0)
		return 1u << state;
	for (size_t i = 0; i < ARRAY_SIZE(state_words); i++)
		if (strcmp(word, state_words[i].word) == 0)
			return state_words[i].states;
	for (unsigned i = 0; i < JOB_STATE_COUNT; i++)
		ended |= job_is_ended((enum job_state)i) ? 1u << i : 0;
	if (strcmp(word, "ended") == 0)
		return ended;
	return strcmp(word, "open") == 0 ? ~ended : 0;
}

/* The states of ?state=, a list of words; 0 when one is unknown. */
static unsigned read_states(const char *text)
{
	auto_free char *copy = xstrdup(text);
	unsigned states = 0;
	char *rest = copy;
	const char *word;

	while ((word = strsep(&rest, ","))) {
		unsigned more = read_state(word);

		if (!more)
			return 0;
		states |= more;
	}
	return states;
}

void batches_list(struct visit *visit)
{
	const char *after = exchange_query(visit->exchange, "after");
	const char *states = exchange_query(visit->exchange, "state");
	unsigned mask = states ? read_states(states) : ~0u;
	struct listing listing = { .visit = visit };
	int64_t before = after ? visit_number(after, PROTOCOL_BATCH_PREFIX) : 0;

	if (visit_query_number(visit, "limit", 1, PROTOCOL_LIST_MAX, PROTOCOL_LIST_DEFAULT, &listing.limit))
		return;
	if ((after && !before) || !mask) {
		visit_error(visit, 400, "invalid_value", mask ? "after" : "state", "Invalid '%s': '%.100s'.",
			    mask ? "after" : "state", mask ? after : states);
		return;
	}
	listing.data = json_object_new_array();
	if (store_job_list(visit->door->parts.store, visit_owner(visit), mask, before, (size_t)listing.limit + 1,
			   list_job, &listing)) {
		json_object_put(listing.data);
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
		return;
	}
	visit_page(visit, listing.data, PROTOCOL_BATCH_PREFIX, listing.first, listing.last,
		   listing.count > listing.limit);
}

void batches_get(struct visit *visit)
{
	auto_job job = { 0 };

	if (visit_job(visit, &job) == 0)
		visit_json(visit, 200, batch_object(visit->door, &job, true));
}

void batches_cancel(struct visit *visit)
{
	struct door *door = visit->door;
	auto_job job = { 0 };
	int r;

	if (visit_job(visit, &job))
		return;
	r = pipeline_cancel(door->parts.pipeline, job.id);
	if (r == -EALREADY) {
		visit_error(visit, 409, NULL, NULL, "Cannot cancel a batch with status '%s'.", job_status(&job));
		return;
	}
	if (r) {
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
		return;
	}
	job_release(&job);
	if (visit_job(visit, &job) == 0)
		visit_json(visit, 200, batch_object(door, &job, true));
	door->parts.on_change(door->parts.context);
}
