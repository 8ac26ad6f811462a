/* A job's results in the order of its input: whole ones from their files, others merged while they are read. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/door/visit.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/protocol.h"
#include "daemon/work/merge.h"

/* A merge gives up its turn after so many slices without a byte. */
#define SLICES_A_CALL 4
#define MAX_STREAMS 32
#define MAX_STREAMS_OF_USER 4

struct results {
	struct door *door;
	struct results *next; /* in the door's list */
	uid_t uid;
	struct merge *merge;
	struct loop_timer *again; /* the merge works on in the next turn */
	struct exchange *exchange;
	struct merge_shard *shards;
	size_t shard_count;
};

static void free_results(void *own)
{
	struct results *results = own;
	struct results **link = &results->door->results;

	while (*link != results)
		link = &(*link)->next;
	*link = results->next;
	loop_timer_free(results->again);
	merge_free(results->merge);
	for (size_t i = 0; i < results->shard_count; i++)
		free((char *)results->shards[i].why);
	free(results->shards);
	free(results);
}

static void on_again(void *context)
{
	struct results *results = context;

	exchange_wake(results->exchange);
}

static int64_t produce_results(char *bytes, size_t size, void *context)
{
	struct results *results = context;
	struct error err = { 0 };

	for (int slice = 0; slice < SLICES_A_CALL; slice++) {
		int64_t got = merge_read(results->merge, bytes, size, &err);

		if (got > 0)
			return got;
		if (got < 0)
			return got == MERGE_END ? SERVER_STREAM_END : SERVER_STREAM_BROKEN;
	}
	loop_timer_set(results->again, 0);
	return 0;
}

static void note_shard(const struct shard *shard, void *context)
{
	struct results *results = context;

	if (shard->state != SHARD_COLLECTED)
		return;
	results->shards = xreallocarray(results->shards, results->shard_count + 1, sizeof(*results->shards));
	results->shards[results->shard_count++] =
		(struct merge_shard){ .number = shard->number, .why = xstrdup(shard->refusal) };
}

/* Each stream holds open files and a scratch file of some bytes a request, so there are not too many. */
static bool may_stream(struct visit *visit)
{
	int all = 0, own = 0;

	for (const struct results *results = visit->door->results; results; results = results->next) {
		all++;
		own += results->uid == visit->uid;
	}
	if (all < MAX_STREAMS && own < MAX_STREAMS_OF_USER)
		return true;
	exchange_add_header(visit->exchange, "Retry-After", "5");
	visit_error(visit, 429, PROTOCOL_CODE_TOO_MANY, NULL, "Too many results are being read; at most %d at once.",
		    MAX_STREAMS_OF_USER);
	return false;
}

static void stream_results(struct visit *visit, const struct job *job, enum merge_selection selection)
{
	struct door *door = visit->door;
	struct results *results;
	struct error err = { 0 };
	int r;

	if (!may_stream(visit))
		return;
	results = xcalloc(1, sizeof(*results));
	results->door = door;
	results->uid = visit->uid;
	results->next = door->results;
	door->results = results;
	visit->own = results;
	visit->own_free = free_results;
	results->exchange = visit->exchange;
	results->again = loop_timer_new(door->parts.loop, on_again, results);
	r = store_shard_list(door->parts.store, job->id, 0, INT32_MAX, note_shard, results);
	if (!r)
		r = merge_new(door->parts.vault, job, results->shards, results->shard_count, selection,
			      job->state == JOB_CANCELLED, !job_is_ended(job->state), &results->merge, &err);
	if (r) {
		visit_error(visit, 500, NULL, NULL, "The results cannot be read.");
		return;
	}
	visit->is_answered = true;
	exchange_reply_stream(visit->exchange, 200, PROTOCOL_JSONL, -1, produce_results, results);
}

/* Whole and final successes, or errors, lie in a file. */
static void answer_file(struct visit *visit, int64_t file)
{
	auto_free char *id = xasprintf(PROTOCOL_FILE_PREFIX "%" PRId64, file);
	auto_store_file found = { 0 };

	if (file && visit_find_file(visit, id, &found))
		visit_error(visit, 404, NULL, NULL, "The result file %s was deleted or has expired.", id);
	else if (file)
		visit_file_bytes(visit, file, PROTOCOL_JSONL);
	if (file)
		return;
	visit->is_answered = true;
	exchange_reply(visit->exchange, 200, PROTOCOL_JSONL, "", 0);
}

void batches_results(struct visit *visit)
{
	const char *only = exchange_query(visit->exchange, "only");
	bool is_ok = only && strcmp(only, "ok") == 0;
	bool is_errors = only && strcmp(only, "errors") == 0;
	enum merge_selection selection = is_ok ? MERGE_OK : is_errors ? MERGE_ERRORS : MERGE_ALL;
	auto_job job = { 0 };

	if (visit_job(visit, &job))
		return;
	if (only && !is_ok && !is_errors) {
		visit_error(visit, 400, "invalid_value", "only", "Invalid 'only': it must be 'ok' or 'errors'.");
		return;
	}
	if (!job_is_ended(job.state) && !visit_query_flag(visit, "partial")) {
		visit_error(visit, 409, PROTOCOL_CODE_NOT_FINISHED, NULL, "Job %" PRId64 " is not finished: %s.", job.id,
			    job_state_name(job.state));
		return;
	}
	/* Before its rows are known, and where nothing was ever sent, there is nothing. */
	if (job.state == JOB_FAILED || job.state == JOB_ACCEPTED || !job.counts.total)
		answer_file(visit, 0);
	else if (job_is_ended(job.state) && only)
		answer_file(visit, is_ok ? job.output_file : job.error_file);
	else
		stream_results(visit, &job, selection);
}
