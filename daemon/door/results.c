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
#include "daemon/work/deaths.h"
#include "daemon/work/merge.h"
#include "daemon/work/outcomes.h"

/* A merge gives up its turn after so many slices without a byte. */
#define SLICES_A_CALL 4
#define MAX_STREAMS 32
#define MAX_STREAMS_OF_USER 4

/* What is asked for. */
struct wish {
	enum merge_selection selection;
	enum merge_form form;
};

static const struct {
	const char *name;
	enum merge_selection selection;
} selections[] = {
	{ "ok", MERGE_OK },
	{ "errors", MERGE_ERRORS },
};

struct results {
	struct door *door;
	struct results *next; /* in the door's list */
	uid_t uid;
	struct merge *merge;
	struct loop_timer *again; /* the merge works on in the next turn */
	struct exchange *exchange;
	struct outcomes_shards shards;
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
	outcomes_shards_release(&results->shards);
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

/* Whether writing them ended batchd again and again: then nobody may have it try once more by asking. */
static bool is_deadly(struct visit *visit, const struct job *job)
{
	int64_t count = store_death_count(visit->door->parts.store, job->id, 0, "merge");

	if (count < DEATHS_MOST)
		return false;
	visit_error(visit, 500, NULL, NULL,
		    "The results of job %" PRId64 " cannot be read: writing them ended batchd %" PRId64 " times.", job->id,
		    count);
	return true;
}

static void answer_nothing(struct visit *visit)
{
	visit->is_answered = true;
	exchange_reply(visit->exchange, 200, PROTOCOL_JSONL, "", 0);
}

/* Whether a job's rows are not known yet, or never will be: its lines were wrong, or it was cancelled first. */
static bool may_lack_rows(struct door *door, const struct job *job)
{
	int64_t shards = 0;

	if (job->state != JOB_ACCEPTED && job->state != JOB_FAILED && job->state != JOB_CANCELLED &&
	    job->state != JOB_EXPIRED)
		return false;
	return !store_shard_count(door->parts.store, job->id, &shards, NULL) && !shards;
}

/* Whether it is known of an ended job, without looking, that none of its rows is asked for. */
static bool is_nothing(const struct job *job, enum merge_selection selection)
{
	return (selection == MERGE_OK && !job->counts.ok) ||
	       (selection == MERGE_ERRORS && job->counts.ok == job->counts.total);
}

/* Of requests without a line of the provider's the input alone tells the custom_id. */
static bool is_input_missed(struct visit *visit, const struct job *job)
{
	auto_store_file input = { 0 };

	if (job->counts.ok == job->counts.total ||
	    store_file_get(visit->door->parts.store, job->input_file, &input) || !input.is_empty)
		return false;
	visit_error(visit, 410, NULL, NULL,
		    "The input of job %" PRId64 " has expired, and is gone; its results are in its two files alone.", job->id);
	return true;
}

static void stream_results(struct visit *visit, const struct job *job, const struct wish *wish)
{
	const struct merge_plan plan = {
		.selection = wish->selection,
		.form = wish->form,
		.rest = outcomes_rest_of(job->state),
	};
	struct door *door = visit->door;
	struct results *results;
	struct error err = { 0 };
	int r;

	if (is_input_missed(visit, job) || is_deadly(visit, job) || !may_stream(visit))
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
	r = outcomes_shards_load(&results->shards, door->parts.store, job->id);
	if (!r)
		r = merge_new(door->parts.vault, job, &results->shards, &plan, &results->merge, &err);
	if (r == -ENOENT && may_lack_rows(door, job)) {
		answer_nothing(visit);
		return;
	}
	if (r) {
		visit_error(visit, 500, NULL, NULL, "The results cannot be read.");
		return;
	}
	/* As its result files were written, or could not be. */
	if (job->state == JOB_CANCELLED || job->state == JOB_EXPIRED || job->state == JOB_FAILED)
		merge_salvage(results->merge);
	visit->is_answered = true;
	exchange_reply_stream(visit->exchange, 200, PROTOCOL_JSONL, -1, produce_results, results);
}

/* Whole and final successes, or errors, lie in a file. */
static void answer_file(struct visit *visit, int64_t file)
{
	auto_free char *id = xasprintf(PROTOCOL_FILE_PREFIX "%" PRId64, file);
	auto_store_file found = { 0 };

	if (visit_find_file(visit, id, &found))
		visit_error(visit, 410, NULL, NULL, "The result file %s was deleted or has expired.", id);
	else
		visit_file_bytes(visit, file, PROTOCOL_JSONL);
}

/* Reads what is asked for; false when it is answered with an error. */
static bool read_wish(struct visit *visit, struct wish *ret_wish)
{
	const char *only = exchange_query(visit->exchange, "only");
	const char *form = exchange_query(visit->exchange, "form");
	struct wish wish = { only ? 0 : MERGE_ALL, only ? MERGE_LINES : MERGE_COMBINED };

	for (size_t i = 0; only && i < ARRAY_SIZE(selections); i++)
		if (strcmp(only, selections[i].name) == 0)
			wish.selection = selections[i].selection;
	if (!wish.selection) {
		visit_error(visit, 400, "invalid_value", "only", "Invalid 'only': it must be 'ok' or 'errors'.");
		return false;
	}
	if (form && strcmp(form, "lines") != 0 && strcmp(form, "combined") != 0) {
		visit_error(visit, 400, "invalid_value", "form", "Invalid 'form': it must be 'lines' or 'combined'.");
		return false;
	}
	if (form)
		wish.form = strcmp(form, "lines") == 0 ? MERGE_LINES : MERGE_COMBINED;
	*ret_wish = wish;
	return true;
}

void batches_results(struct visit *visit)
{
	auto_job job = { 0 };
	struct wish wish;
	int64_t file = 0;

	if (visit_job(visit, &job) || !read_wish(visit, &wish))
		return;
	if (!job_is_ended(job.state) && !visit_query_flag(visit, "partial")) {
		visit_error(visit, 409, PROTOCOL_CODE_NOT_FINISHED, NULL, "Job %" PRId64 " is not finished: %s.", job.id,
			    job_state_name(job.state));
		return;
	}
	if (job_is_ended(job.state) && wish.form == MERGE_LINES && wish.selection != MERGE_ALL)
		file = wish.selection == MERGE_OK ? job.output_file : job.error_file;
	if (file)
		answer_file(visit, file);
	else if (job_is_ended(job.state) && is_nothing(&job, wish.selection))
		answer_nothing(visit);
	else
		stream_results(visit, &job, &wish);
}
