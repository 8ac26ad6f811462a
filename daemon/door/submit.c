/*
 * How a job comes to be: the one-call submit, whose body is the input, and what it shares with
 * createBatch: the checks of the parameters, idempotency, acceptance.
 */
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/door/visit.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/request.h"
#include "daemon/protocol.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"

#define DEFAULT_ENDPOINT "/v1/chat/completions"
/* Clients that repeat a create without a key, because its answer was lost, do so within minutes. */
#define REMEMBER_MS (10 * 60 * 1000)
#define MAX_REMEMBERED 1024

void job_wish_release(struct job_wish *wish)
{
	free(wish->endpoint);
	free(wish->window);
	free(wish->metadata);
	free(wish->file_name);
	free(wish->provider);
}

/* --- the parameters --- */

int wish_endpoint(struct visit *visit, const char *endpoint, struct job_wish *wish)
{
	if (!request_url_is_known(endpoint, strlen(endpoint))) {
		visit_error(visit, 400, "invalid_value", "endpoint",
			    "Invalid value: '%.100s'. Supported values are the endpoints of the Batch API, such as '%s'.",
			    endpoint, DEFAULT_ENDPOINT);
		return -EINVAL;
	}
	wish->endpoint = xstrdup(endpoint);
	return 0;
}

int wish_window(struct visit *visit, const char *window, struct job_wish *wish)
{
	if (strcmp(window, PROTOCOL_WINDOW) != 0) {
		visit_error(visit, 400, "invalid_value", "completion_window",
			    "Invalid value: '%.100s'. Supported values are: '" PROTOCOL_WINDOW "'.", window);
		return -EINVAL;
	}
	wish->window = xstrdup(window);
	return 0;
}

int wish_provider(struct visit *visit, const char *name, struct job_wish *wish)
{
	const struct door_parts *parts = &visit->door->parts;
	const struct provider *provider = name ? providers_find(parts->providers, name) :
						 providers_at(parts->providers, 0);

	if (!provider) {
		visit_error(visit, 400, "invalid_value", "provider", "There is no provider '%.100s'.", name);
		return -EINVAL;
	}
	wish->provider = xstrdup(provider->config->name);
	wish->is_default_provider = !name;
	return 0;
}

/* Limits of metadata count characters, not bytes. */
static size_t characters(const char *text, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

int wish_metadata(struct visit *visit, struct json_object *metadata, struct job_wish *wish)
{
	if (!metadata)
		return 0;
	if (!json_object_is_type(metadata, json_type_object)) {
		visit_error(visit, 400, "invalid_type", "metadata", "Invalid type for 'metadata': expected an object.");
		return -EINVAL;
	}
	if (json_object_object_length(metadata) > PROTOCOL_MAX_METADATA) {
		visit_error(visit, 400, "object_above_max_properties", "metadata",
			    "Invalid 'metadata': at most %d pairs.", PROTOCOL_MAX_METADATA);
		return -EINVAL;
	}
	json_object_object_foreach(metadata, name, value) {
		auto_free char *param = xasprintf("metadata.%s", name);

		if (!json_object_is_type(value, json_type_string)) {
			visit_error(visit, 400, "invalid_type", param, "Invalid type for '%.200s': expected a string.",
				    param);
			return -EINVAL;
		}
		if (characters(name, strlen(name)) > PROTOCOL_MAX_METADATA_KEY ||
		    characters(json_object_get_string(value), (size_t)json_object_get_string_len(value)) >
			    PROTOCOL_MAX_METADATA_VALUE) {
			visit_error(visit, 400, "string_above_max_length", "metadata",
				    "Invalid 'metadata': keys have at most %d characters, values %d.",
				    PROTOCOL_MAX_METADATA_KEY, PROTOCOL_MAX_METADATA_VALUE);
			return -EINVAL;
		}
	}
	wish->metadata = xstrdup(json_object_to_json_string_ext(metadata, JSON_C_TO_STRING_PLAIN));
	return 0;
}

int wish_key(struct visit *visit)
{
	const char *key = exchange_header(visit->exchange, PROTOCOL_IDEMPOTENCY_HEADER);

	if (!key || (*key && strlen(key) <= PROTOCOL_MAX_KEY))
		return 0;
	visit_error(visit, 400, "invalid_value", NULL, "An Idempotency-Key has 1 to %d bytes.", PROTOCOL_MAX_KEY);
	return -EINVAL;
}

/* --- acceptance --- */

/* A create whose answer the client did not get, for a while: an equal one of the same user is the same. */
struct remembered {
	struct remembered *next;
	int64_t uid, job, created_at, at;
	uint8_t digest[HASH_SHA256_SIZE];
};

static void forget_old(struct door *door)
{
	int64_t oldest = loop_now_ms(door->parts.loop) - REMEMBER_MS;
	struct remembered **link = &door->remembered;

	for (size_t kept = 0; *link;) {
		struct remembered *memory = *link;

		if (memory->at >= oldest && ++kept < MAX_REMEMBERED) {
			link = &memory->next;
			continue;
		}
		*link = memory->next;
		free(memory);
	}
}

/* The job that an equal submission of this user made a moment ago; 0: none, or it was never committed. */
static int64_t recall(struct door *door, int64_t uid, const uint8_t *digest)
{
	const struct remembered *memory;
	auto_job job = { 0 };

	forget_old(door);
	for (memory = door->remembered; memory; memory = memory->next)
		if (memory->uid == uid && memcmp(memory->digest, digest, HASH_SHA256_SIZE) == 0)
			break;
	if (!memory || store_job_get(door->parts.store, memory->job, &job))
		return 0;
	/* A number whose commit failed is another job's by now. */
	return job.uid == uid && job.created_at == memory->created_at ? job.id : 0;
}

/* What a visit must know to be remembered, should its answer be lost. */
static void remember(struct visit *visit)
{
	struct remembered *memory = visit->own;

	visit->own = NULL;
	memory->next = visit->door->remembered;
	visit->door->remembered = memory;
}

void door_free(struct door *door)
{
	if (!door)
		return;
	while (door->remembered) {
		struct remembered *memory = door->remembered;

		door->remembered = memory->next;
		free(memory);
	}
	free(door);
}

/* A fingerprint of everything that makes two submissions the same one. */
static void wish_digest(const struct job_wish *wish, int64_t file, const uint8_t *input_digest,
			uint8_t *ret_digest)
{
	struct hash_sha256 *sha256 = hash_sha256_new();
	const char *const texts[] = { wish->endpoint, wish->window, wish->metadata, wish->file_name,
				      wish->is_default_provider ? NULL : wish->provider };
	const int64_t numbers[] = { wish->output_expires_s, file };

	/* The NUL between them keeps "ab" + "c" apart from "a" + "bc". */
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		hash_sha256_add(sha256, texts[i] ? texts[i] : "\1", texts[i] ? strlen(texts[i]) + 1 : 2);
	hash_sha256_add(sha256, numbers, sizeof(numbers));
	hash_sha256_add(sha256, input_digest, HASH_SHA256_SIZE);
	hash_sha256_finish(sha256, ret_digest);
	hash_sha256_free(sha256);
}

static void answer_job(struct visit *visit, int64_t id)
{
	auto_job job = { 0 };

	if (store_job_get(visit->door->parts.store, id, &job))
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	else
		visit_json(visit, 200, batch_object(visit->door, &job, true));
}

/* Whether this submission was made before, or that cannot be told; then it is answered. */
static bool was_made(struct visit *visit, const char *key, const uint8_t *digest)
{
	struct store *store = visit->door->parts.store;
	uint8_t known[HASH_SHA256_SIZE];
	int64_t job = 0;
	int r;

	if (!key) {
		job = recall(visit->door, visit->uid, digest);
		if (job)
			answer_job(visit, job);
		return job != 0;
	}
	r = store_key_get(store, visit->uid, key, known, &job);
	if (r == -ENOENT)
		return false;
	if (r)
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	else if (memcmp(known, digest, sizeof(known)) == 0)
		answer_job(visit, job);
	else
		visit_error(visit, 409, PROTOCOL_CODE_CONFLICT, NULL,
			    "This Idempotency-Key was used for another request (job %" PRId64 ").", job);
	return true;
}

/* Adds the job, and a memory of it for the case that its answer is lost. */
static int64_t add_job(struct visit *visit, const struct job_wish *wish, const struct store_file *input,
		       const uint8_t *digest)
{
	struct remembered *memory = xcalloc(1, sizeof(*memory));
	struct job job = {
		.uid = visit->uid,
		.input_file = input->id,
		.endpoint = wish->endpoint,
		.window = wish->window,
		.metadata = wish->metadata,
		.file_name = input->name,
		.provider = wish->provider,
		.output_expires_s = wish->output_expires_s,
	};

	memory->uid = visit->uid;
	memory->job = pipeline_accept(visit->door->parts.pipeline, &job);
	memory->created_at = job.created_at;
	memory->at = job.created_at;
	memcpy(memory->digest, digest, sizeof(memory->digest));
	visit->own = memory;
	visit->own_free = free;
	return memory->job;
}

/* Finds a file that may be a job's input; else the error is replied. */
static bool find_input(struct visit *visit, int64_t number, struct store_file *ret_file)
{
	auto_free char *id = xasprintf(PROTOCOL_FILE_PREFIX "%" PRId64, number);

	if (visit_find_file(visit, id, ret_file) || strcmp(ret_file->purpose, "batch") != 0)
		visit_error(visit, 400, "invalid_request", "input_file_id",
			    "Cannot find file %s, or you do not have access to it.", id);
	return !visit->is_answered;
}

void wish_accept(struct visit *visit, const struct job_wish *wish, int64_t file,
		 struct vault_writer *writer, const uint8_t input_digest[32])
{
	const struct door_parts *parts = &visit->door->parts;
	const char *key = exchange_header(visit->exchange, PROTOCOL_IDEMPOTENCY_HEADER);
	struct store_file received = { .purpose = (char *)"batch", .name = wish->file_name };
	auto_store_file input = { 0 };
	uint8_t digest[HASH_SHA256_SIZE];
	int64_t job;

	wish_digest(wish, file, input_digest, digest);
	if (was_made(visit, key, digest)) {
		vault_writer_free(writer);
		return;
	}
	if (writer ? !visit_keep_file(visit, &received, writer) : !find_input(visit, file, &input))
		return;
	job = add_job(visit, wish, writer ? &received : &input, digest);
	if (key)
		store_key_add(parts->store, visit->uid, key, digest, job, loop_now_ms(parts->loop));
	else
		visit->on_undelivered = remember;
	answer_job(visit, job);
	parts->on_change(parts->context);
}

/* --- the one-call submit --- */

struct submit {
	struct job_wish wish;
	struct vault_writer *writer;
	struct hash_sha256 *sha256; /* of the input, where somebody may ask whether it is the same */
};

static void free_submit(void *own)
{
	struct submit *submit = own;

	job_wish_release(&submit->wish);
	vault_writer_free(submit->writer);
	hash_sha256_free(submit->sha256);
	free(submit);
}

static int read_query(struct visit *visit, struct job_wish *wish)
{
	const struct exchange *exchange = visit->exchange;
	const char *endpoint = exchange_query(exchange, "endpoint");
	const char *window = exchange_query(exchange, "completion_window");
	const char *text = exchange_query(exchange, "metadata");
	const char *name = exchange_query(exchange, "filename");
	struct json_object *metadata = text ? json_parse(text, strlen(text)) : NULL;
	int r = 0;

	if (text && !json_object_is_type(metadata, json_type_object)) {
		visit_error(visit, 400, "invalid_type", "metadata", "Invalid 'metadata': it is no JSON object.");
		r = -EINVAL;
	} else if (name && !visit_name_is_right(name)) {
		visit_error(visit, 400, "invalid_value", "filename",
			    "Invalid 'filename': UTF-8 of at most %d bytes.",
			    PROTOCOL_MAX_FILE_NAME);
		r = -EINVAL;
	}
	if (!r)
		r = wish_endpoint(visit, endpoint ? endpoint : DEFAULT_ENDPOINT, wish);
	if (!r)
		r = wish_window(visit, window ? window : PROTOCOL_WINDOW, wish);
	if (!r)
		r = wish_metadata(visit, metadata, wish);
	if (!r)
		r = wish_provider(visit, exchange_query(exchange, "provider"), wish);
	wish->file_name = xstrdup(name);
	json_object_put(metadata);
	return r;
}

void submit_begin(struct visit *visit)
{
	const struct door_parts *parts = &visit->door->parts;
	struct submit *submit;

	if (!visit_may_store(visit) || wish_key(visit))
		return;
	submit = xcalloc(1, sizeof(*submit));
	visit->own = submit;
	visit->own_free = free_submit;
	if (read_query(visit, &submit->wish))
		return;
	submit->writer = vault_writer_new(parts->vault, VAULT_FILE_LIMIT);
	submit->sha256 = hash_sha256_new();
}

void submit_data(struct visit *visit, const char *data, size_t size)
{
	struct submit *submit = visit->own;

	visit_write(visit, &submit->writer, data, size);
	hash_sha256_add(submit->sha256, data, size);
}

void submit_answer(struct visit *visit)
{
	struct submit *submit = visit->own;
	uint8_t digest[HASH_SHA256_SIZE];

	hash_sha256_finish(submit->sha256, digest);
	/* The visit's own state is handed on in there, so what is still needed leaves it first. */
	visit->own = NULL;
	wish_accept(visit, &submit->wish, 0, take(submit->writer), digest);
	free_submit(submit);
}
