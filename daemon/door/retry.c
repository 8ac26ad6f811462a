/*
 * Another try: of an ended job a new one, with its requests that have no success; of a running one
 * the word that it waits for, about answers that cannot be had.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/door/accept.h"
#include "daemon/door/visit.h"
#include "daemon/door/wish.h"
#include "daemon/io/config.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/model/names.h"
#include "daemon/protocol.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"

static int read_word(struct visit *visit, enum shard_word *ret_word)
{
	const char *text = exchange_query(visit->exchange, "lost");

	if (!text || strcmp(text, "resend") == 0) {
		*ret_word = SHARD_WORD_RESEND;
		return 0;
	}
	if (strcmp(text, "accept") == 0) {
		*ret_word = SHARD_WORD_ACCEPT;
		return 0;
	}
	visit_error(visit, 400, "invalid_value", "lost", "Invalid 'lost': it must be 'resend' or 'accept'.");
	return -EINVAL;
}

/* By what was asked alone, not by what became of it: the job may end between a retry and its repetition. */
static void retry_digest(int64_t job, enum shard_word word, uint8_t *ret_digest)
{
	static const char name[] = "retry";
	const int64_t numbers[] = { job, word };
	struct hash_sha256 *sha256 = hash_sha256_new();

	hash_sha256_add(sha256, name, sizeof(name));
	hash_sha256_add(sha256, numbers, sizeof(numbers));
	hash_sha256_finish(sha256, ret_digest);
	hash_sha256_free(sha256);
}

static void refuse(struct visit *visit, const struct job *job, const char *why)
{
	visit_error(visit, 409, PROTOCOL_CODE_NOTHING_TO_RETRY, NULL, "Job %" PRId64 " has nothing to retry: %s.",
		    job->id, why);
}

static void speak(struct visit *visit, const struct job *job, enum shard_word word, const uint8_t *digest)
{
	const struct door_parts *parts = &visit->door->parts;
	int r = pipeline_speak(parts->pipeline, job->id, word);

	if (r == -ENOENT) {
		refuse(visit, job, "it has not ended, and it holds nothing back");
		return;
	}
	if (r < 0) {
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
		return;
	}
	(void)accept_note_key(visit, digest, job->id);
	accept_answer(visit, job->id);
	parts->on_change(parts->context);
}

/* Why there is nothing to try again; NULL when there is. */
static const char *find_nothing(const struct job *job, enum shard_word word)
{
	if (word == SHARD_WORD_ACCEPT)
		return "it has ended, so it waits for no answers";
	if (!job->in_progress_at && job->state == JOB_FAILED)
		return "its input is wrong, and nothing of it was sent; mend the lines and submit it";
	if (!job->in_progress_at)
		return "it ended before its input was read; submit that again";
	if (job->counts.ok + job->counts.invalid >= job->counts.total)
		return "none of its requests is without a success";
	return NULL;
}

/* Whether its requests are gone: its input's time was over, and nothing needed it. */
static bool is_input_gone(struct visit *visit, const struct job *job)
{
	auto_store_file input = { 0 };

	return !store_file_get(visit->door->parts.store, job->input_file, &input) && input.is_empty;
}

/* Whether one of those that it named is still there; the routes of one that named none may have changed. */
static bool has_provider(struct providers *providers, const struct job *old)
{
	struct names names = { .rest = old->providers ? old->providers : old->provider };

	while (names_next(&names)) {
		auto_free char *name = names_copy(&names);

		if (providers_find(providers, name))
			return true;
	}
	return !old->providers && providers_config(providers)->route_count;
}

/* The strings are still the old job's. */
static void begin_again(struct visit *visit, const struct job *old, const uint8_t *digest)
{
	struct job job = {
		.uid = old->uid,
		.input_file = old->input_file,
		.endpoint = old->endpoint,
		.window = old->window,
		.metadata = old->metadata,
		.file_name = old->file_name,
		.provider = old->provider,
		.providers = old->providers,
		.output_expires_s = old->output_expires_s,
		.labels = old->labels,
		.model = old->model,
		.skips_invalid = old->skips_invalid,
		.is_wrapped = old->is_wrapped,
		.has_line_ids = old->has_line_ids,
		.max_attempts = old->max_attempts,
		.priority = visit->is_operator || old->priority < JOB_PRIORITY ? old->priority : JOB_PRIORITY,
		.budget_tokens = old->budget_tokens,
		.budget_cost = old->budget_cost,
		.retry_of = old->id,
	};

	if (!has_provider(visit->door->parts.providers, old))
		visit_error(visit, 409, NULL, NULL,
			    "The provider of job %" PRId64 ", '%.100s', is not in the configuration any more.", old->id,
			    old->providers ? old->providers : old->provider);
	else if (visit_may_store(visit) && accept_has_room(visit, 0))
		accept_job(visit, &job, digest);
}

void batches_retry(struct visit *visit)
{
	uint8_t digest[HASH_SHA256_SIZE];
	enum shard_word word;
	auto_job job = { 0 };
	const char *why;

	if (wish_key(visit) || visit_job(visit, &job) || read_word(visit, &word))
		return;
	retry_digest(job.id, word, digest);
	if (accept_was_made(visit, digest))
		return;
	if (!job_is_ended(job.state)) {
		speak(visit, &job, word, digest);
		return;
	}
	why = find_nothing(&job, word);
	if (!why && is_input_gone(visit, &job))
		why = "its input has expired, and is gone; submit its requests again";
	if (why)
		refuse(visit, &job, why);
	else
		begin_again(visit, &job, digest);
}
