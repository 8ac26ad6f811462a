#include "daemon/door/accept.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/door/visit.h"
#include "daemon/door/wish.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/protocol.h"
#include "daemon/work/pipeline.h"

/* Clients that repeat a create without a key, because its answer was lost, do so within minutes. */
#define REMEMBER_MS (10 * 60 * 1000)
#define MAX_REMEMBERED 1024

/* A create whose answer the client did not get, for a while: an equal one of the same user is the same. */
struct remembered {
	struct remembered *next;
	int64_t uid, owner, job, created_at, at;
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
	return job.uid == memory->owner && job.created_at == memory->created_at ? job.id : 0;
}

/* What a visit must know to be remembered, should its answer be lost. */
static void remember(struct visit *visit)
{
	struct remembered *memory = visit->own;

	visit->own = NULL;
	memory->next = visit->door->remembered;
	visit->door->remembered = memory;
}

void accept_forget(struct door *door)
{
	while (door->remembered) {
		struct remembered *memory = door->remembered;

		door->remembered = memory->next;
		free(memory);
	}
}

void accept_answer(struct visit *visit, int64_t id)
{
	auto_job job = { 0 };

	if (store_job_get(visit->door->parts.store, id, &job))
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	else
		visit_json(visit, 200, batch_object(visit->door, &job, true));
}

bool accept_was_made(struct visit *visit, const uint8_t digest[32])
{
	const char *key = exchange_header(visit->exchange, PROTOCOL_IDEMPOTENCY_HEADER);
	struct store *store = visit->door->parts.store;
	uint8_t known[HASH_SHA256_SIZE];
	int64_t job = 0;
	int r;

	if (!key) {
		job = recall(visit->door, visit->uid, digest);
		if (job)
			accept_answer(visit, job);
		return job != 0;
	}
	r = store_key_get(store, visit->uid, key, known, &job);
	if (r == -ENOENT)
		return false;
	if (r)
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	else if (memcmp(known, digest, sizeof(known)) == 0)
		accept_answer(visit, job);
	else
		visit_error(visit, 409, PROTOCOL_CODE_CONFLICT, NULL,
			    "This Idempotency-Key was used for another request (job %" PRId64 ").", job);
	return true;
}

bool accept_has_room(struct visit *visit, int64_t bytes)
{
	const struct door_parts *parts = &visit->door->parts;
	const struct config_limits *limits = config_limits_of(parts->config, visit->uid);
	struct store_outstanding open = { 0 };

	if (visit->uid == 0)
		return true;
	if (store_outstanding(parts->store, visit->uid, &open))
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	else if (limits->max_jobs && open.jobs >= limits->max_jobs)
		visit_error(visit, 429, PROTOCOL_CODE_TOO_MANY, NULL,
			    "max_jobs: %" PRId64 " of %" PRId64 " jobs are open.", open.jobs, limits->max_jobs);
	else if (limits->max_requests && open.requests >= limits->max_requests)
		visit_error(visit, 429, PROTOCOL_CODE_TOO_MANY, NULL,
			    "max_requests: %" PRId64 " of %" PRId64 " requests are in jobs that are open.", open.requests,
			    limits->max_requests);
	else if (limits->max_bytes && bytes > limits->max_bytes)
		visit_error(visit, 413, PROTOCOL_CODE_TOO_LARGE, NULL,
			    "max_bytes: the inputs of all your open jobs may have %" PRId64 " bytes, and this one has %" PRId64 ".",
			    limits->max_bytes, bytes);
	else if (limits->max_bytes && (open.bytes > limits->max_bytes - bytes || open.bytes >= limits->max_bytes))
		visit_error(visit, 429, PROTOCOL_CODE_TOO_MANY, NULL,
			    "max_bytes: %" PRId64 " of %" PRId64 " bytes are inputs of jobs that are open.", open.bytes,
			    limits->max_bytes);
	return !visit->is_answered;
}

static bool may_be_repeat(struct visit *visit)
{
	const char *key = exchange_header(visit->exchange, PROTOCOL_IDEMPOTENCY_HEADER);
	uint8_t digest[HASH_SHA256_SIZE];
	int64_t job;

	if (key)
		return store_key_get(visit->door->parts.store, visit->uid, key, digest, &job) != -ENOENT;
	for (const struct remembered *memory = visit->door->remembered; memory; memory = memory->next)
		if (memory->uid == visit->uid)
			return true;
	return false;
}

bool accept_may_begin(struct visit *visit, int64_t bytes)
{
	return may_be_repeat(visit) || accept_has_room(visit, bytes);
}

bool accept_note_key(struct visit *visit, const uint8_t digest[32], int64_t job)
{
	const struct door_parts *parts = &visit->door->parts;
	const char *key = exchange_header(visit->exchange, PROTOCOL_IDEMPOTENCY_HEADER);

	if (key)
		store_key_add(parts->store, visit->uid, key, digest, job, loop_now_ms(parts->loop));
	return key != NULL;
}

void accept_job(struct visit *visit, struct job *job, const uint8_t digest[32])
{
	const struct door_parts *parts = &visit->door->parts;
	struct remembered *memory = xcalloc(1, sizeof(*memory));
	int64_t id = pipeline_accept(parts->pipeline, job);

	*memory = (struct remembered){ .uid = visit->uid,
				       .owner = job->uid,
				       .job = id,
				       .created_at = job->created_at,
				       .at = job->created_at };
	memcpy(memory->digest, digest, sizeof(memory->digest));
	visit->own = memory;
	visit->own_free = free;
	if (!accept_note_key(visit, digest, id))
		visit->on_undelivered = remember;
	accept_answer(visit, id);
	parts->on_change(parts->context);
}

/* Finds a file that may be a job's input; else the error is replied. */
static bool find_input(struct visit *visit, int64_t number, struct store_file *ret_file)
{
	auto_free char *id = xasprintf(PROTOCOL_FILE_PREFIX "%" PRId64, number);
	int r = visit_find_file(visit, id, ret_file);

	if (r && r != -ENOENT)
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	else if (r || strcmp(ret_file->purpose, "batch") != 0)
		visit_error(visit, 400, "invalid_request", "input_file_id",
			    "Cannot find file %s, or you do not have access to it.", id);
	return !visit->is_answered;
}

/* Frees the writer. */
static bool keep_input(struct visit *visit, struct store_file *file, struct vault_writer *writer)
{
	if (accept_has_room(visit, vault_writer_size(writer)))
		return visit_keep_file(visit, file, writer);
	vault_writer_free(writer);
	return false;
}

void accept_wish(struct visit *visit, const struct job_wish *wish, int64_t file,
		 struct vault_writer *writer, const uint8_t fingerprint[16])
{
	struct store_file received = { .purpose = (char *)"batch", .name = wish->file_name };
	auto_store_file found = { 0 };
	const struct store_file *input = writer ? &received : &found;
	uint8_t digest[HASH_SHA256_SIZE];
	struct job job;

	wish_digest(wish, file, fingerprint, digest);
	if (accept_was_made(visit, digest)) {
		vault_writer_free(writer);
		return;
	}
	if (writer ? !keep_input(visit, &received, writer) : !find_input(visit, file, &found))
		return;
	if (!writer && !accept_has_room(visit, found.bytes))
		return;
	wish_job(wish, loop_now_ms(visit->door->parts.loop), &job);
	job.uid = visit->uid;
	job.input_file = input->id;
	job.file_name = input->name;
	accept_job(visit, &job, digest);
}
