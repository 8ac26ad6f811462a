/* createBatch, listBatches, retrieveBatch, cancelBatch. */
#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/door/accept.h"
#include "daemon/door/visit.h"
#include "daemon/door/wish.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/protocol.h"
#include "daemon/work/pipeline.h"

/* --- createBatch --- */

void batches_create_begin(struct visit *visit)
{
	if (visit_may_store(visit) && !wish_key(visit))
		(void)accept_may_begin(visit, 0);
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
	if (wish_metadata(visit, metadata, wish) || wish_choices(visit, wish))
		return -EINVAL;
	return read_expiry(visit, body, wish);
}

void batches_create(struct visit *visit)
{
	auto_json *body = json_parse(buffer_text(&visit->body), visit->body.size);
	__attribute__((cleanup(job_wish_release))) struct job_wish wish = { 0 };
	static const uint8_t no_body[16];
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
		accept_wish(visit, &wish, file, NULL, no_body);
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
