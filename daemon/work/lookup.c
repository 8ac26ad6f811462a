/*
 * A create in doubt is settled by looking. The provider's list is read newest first, back to ten minutes before the intent or to
 * its end:
 *
 *	the marker and our file			it is ours: adopted (of several the oldest; the others are cancelled and told)
 *	our file, metadata not echoed, no other shard owns it, not older than the intent	the same
 *	only one of the two, and it may have done work		uncertain
 *	nothing, in a complete listing		seen twice, `settle` apart, by a list that has shown a batch before, and has never failed
 *						to show a live one of ours (or that trust_list vouches for): it was not created
 *	nothing, and the listing may not be complete, or is not trusted		uncertain
 *
 * A list that leaves out a live batch of ours which is older than `settle` proves nothing any more; one that leaves out a younger one
 * lags, and is read again. After a create that followed such a proof the list is read once more, for a twin that appears later.
 *
 * Uncertain waits for a person. Nothing is ever guessed, because a wrong guess is paid twice.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/provider.h"
#include "daemon/work/task.h"

/* Clocks differ, and a create may have left a little before its intent was stamped there. */
#define MARGIN_MS (10 * 60 * 1000)
/* A list longer than this is not read to its end, so it proves no absence. */
#define MAX_PAGES 1000
#define MAX_MATCHES 8
/* Servers that tell neither has_more nor honour `after` show the newest ones; fewer than a page of the usual size are all there are. */
#define SMALL_PAGE 20
#define MAX_LIVE 100000

struct lookup {
	bool is_watch; /* the batch is known: only its twins are looked for */
	int64_t began_at;
	int64_t horizon; /* created before this: cannot be ours */
	int pages;
	char *after; /* last id of the page before */
	size_t on_page;
	int64_t created_before; /* when the batch above it on the page was created */
	bool is_unordered;	/* a batch stood below an older one: what comes later may be young */
	bool is_past_horizon;
	bool is_half_match;
	char *matches[MAX_MATCHES]; /* ids, newest first */
	size_t match_count;
	size_t twins_left; /* matches[0 .. twins_left - 1] are still to be cancelled */
	uint64_t *seen; /* hashes of all ids that were listed */
	size_t seen_count;
	size_t seen_room;
	int64_t hidden; /* live batches of ours that the list did not show, */
	int64_t lagging; /* and those among them that are young */
};

static void free_lookup(void *work)
{
	struct lookup *lookup = work;

	for (size_t i = 0; i < lookup->match_count; i++)
		free(lookup->matches[i]);
	free(lookup->after);
	free(lookup->seen);
	free(lookup);
}

static uint64_t id_hash(const char *id)
{
	return hash_keyed(0, id, strlen(id));
}

static void note_seen(struct lookup *lookup, const char *id)
{
	if (lookup->seen_count == lookup->seen_room) {
		lookup->seen_room = lookup->seen_room ? lookup->seen_room * 2 : 128;
		lookup->seen = xreallocarray(lookup->seen, lookup->seen_room, sizeof(*lookup->seen));
	}
	lookup->seen[lookup->seen_count++] = id_hash(id);
}

static int compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

/* A batch may stand on two pages, if another was created in between. */
static bool is_known_match(const struct lookup *lookup, const char *id)
{
	for (size_t i = 0; i < lookup->match_count; i++)
		if (strcmp(lookup->matches[i], id) == 0)
			return true;
	return false;
}

static bool is_owned(struct task *task, const char *batch_id)
{
	int64_t owner = 0;

	return store_shard_owner(task_store(task), task->job.provider, batch_id, &owner) == 0 &&
	       owner != task->shard.id;
}

enum match { MATCH_NO, MATCH_HALF, MATCH_FULL };

static enum match match_batch(struct task *task, const struct api_batch *batch, int64_t horizon)
{
	bool is_marker = batch->marker && strcmp(batch->marker, task->shard.marker) == 0;
	bool is_file = batch->input_file_id && task->shard.provider_file &&
		       strcmp(batch->input_file_id, task->shard.provider_file) == 0;

	if (!is_marker && !is_file)
		return MATCH_NO;
	/* A shard before this one used the same file, and its batch failed: that one is known. */
	if (is_owned(task, batch->id))
		return MATCH_NO;
	if (is_marker && is_file)
		return MATCH_FULL;
	if (is_file && !batch->has_metadata && !(batch->created_at && batch->created_at < horizon))
		return MATCH_FULL;
	/* Whosever it is, it does no harm. */
	if (batch->status == API_STATUS_FAILED || batch->status == API_STATUS_CANCELLED)
		return MATCH_NO;
	return MATCH_HALF;
}

static void note_age(struct lookup *lookup, int64_t created_at)
{
	if (!created_at)
		return;
	if (lookup->created_before && created_at > lookup->created_before)
		lookup->is_unordered = true;
	lookup->created_before = created_at;
	if (created_at < lookup->horizon)
		lookup->is_past_horizon = true;
}

/* The batch that a watch knows already is no twin of itself. */
static bool is_own(const struct task *task, const struct api_batch *batch)
{
	const struct lookup *lookup = task->work;

	return lookup->is_watch && task->shard.batch_id && strcmp(batch->id, task->shard.batch_id) == 0;
}

static void visit_batch(const struct api_batch *batch, void *context)
{
	struct task *task = context;
	struct lookup *lookup = task->work;

	lookup->on_page++;
	note_seen(lookup, batch->id);
	note_age(lookup, batch->created_at);
	if (is_own(task, batch))
		return;
	switch (match_batch(task, batch, lookup->horizon)) {
	case MATCH_NO:
		break;
	case MATCH_HALF:
		lookup->is_half_match = true;
		break;
	case MATCH_FULL:
		if (lookup->match_count < MAX_MATCHES && !is_known_match(lookup, batch->id))
			lookup->matches[lookup->match_count++] = xstrdup(batch->id);
		break;
	}
}

/* --- the verdict --- */

static void adopt(struct task *task)
{
	struct lookup *lookup = task->work;
	auto_free char *words = NULL;

	free(task->shard.batch_id);
	task->shard.batch_id = xstrdup(lookup->matches[lookup->match_count - 1]);
	task->shard.batch_created_at = task_now(task);
	words = xasprintf("%s was found at the provider", task->shard.batch_id);
	task_tell(task, "shard.adopted", "info", words);
	task_finish(task, TASK_DONE, task->shard.batch_id);
}

/* Whatever the watch saw, it was the last one; the batch itself is polled on. */
static void end_watch(struct task *task)
{
	task->shard.absent_at = 0;
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
}

static void cancel_twins(struct task *task);

static void on_twin_cancelled(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct lookup *lookup = task->work;
	auto_free char *words = NULL;

	task->request = NULL;
	if (answer->verdict == API_AGAIN || answer->verdict == API_FULL || answer->verdict == API_PAUSE) {
		/* Everything is looked at anew, so no twin is forgotten. */
		task_finish_answer(task, answer);
		return;
	}
	lookup->twins_left--;
	words = xasprintf("a twin, %s, was found and %s", lookup->matches[lookup->twins_left],
			  answer->verdict == API_OK ? "cancelled" : "had ended: its answers were paid for twice");
	task_tell(task, "shard.note", "error", words);
	cancel_twins(task);
}

static void cancel_twins(struct task *task)
{
	struct lookup *lookup = task->work;

	if (!lookup->twins_left) {
		if (lookup->is_watch)
			end_watch(task);
		else
			adopt(task);
		return;
	}
	task->request = api_cancel(task->provider->api, lookup->matches[lookup->twins_left - 1],
				   on_twin_cancelled, task);
}

static void visit_live(const struct shard *shard, void *context)
{
	struct task *task = context;
	struct lookup *lookup = task->work;
	uint64_t hash = id_hash(shard->batch_id);

	if (shard->batch_created_at >= lookup->began_at ||
	    (lookup->seen_count &&
	     bsearch(&hash, lookup->seen, lookup->seen_count, sizeof(hash), compare_hashes)))
		return;
	if (shard->batch_created_at < lookup->began_at - task->provider->config->settle)
		lookup->hidden++;
	else
		lookup->lagging++;
}

static bool is_read_to_horizon(const struct lookup *lookup)
{
	return lookup->is_past_horizon && !lookup->is_unordered;
}

/* Whether a complete listing may prove an absence: a list that once hid a live batch of ours proves nothing any more. */
static bool list_is_trusted(struct task *task)
{
	struct lookup *lookup = task->work;
	/* What is close to the horizon may stand on the page that was not read, by the provider's clock. */
	int64_t since = is_read_to_horizon(lookup) ? lookup->horizon + MARGIN_MS / 2 : 0;

	if (lookup->seen_count)
		qsort(lookup->seen, lookup->seen_count, sizeof(*lookup->seen), compare_hashes);
	(void)store_shard_live(task_store(task), task->job.provider, since, MAX_LIVE, visit_live, task);
	if (lookup->hidden) {
		store_list_note_failure(task_store(task), task->job.provider, task_now(task));
		task_tell(task, "shard.note", "warning",
			  "the provider's list does not show batches that are there; it is not trusted any more");
	}
	return task->provider->config->trust_list || !store_list_failed(task_store(task), task->job.provider);
}

/* A list that has never shown any batch at all may be one that never does. */
static bool list_shows_batches(struct task *task)
{
	return task->provider->config->trust_list ||
	       store_list_was_seen(task_store(task), task->job.provider);
}

static void on_absent(struct task *task)
{
	const struct lookup *lookup = task->work;
	int64_t settle = task->provider->config->settle;
	int64_t now = task_now(task);

	if (!list_is_trusted(task)) {
		task_go(task, SHARD_UNCERTAIN,
			"the batch is not in the provider's list, and that list is not trusted");
		return;
	}
	if (!list_shows_batches(task)) {
		task_go(task, SHARD_UNCERTAIN,
			"the batch is not in the provider's list, and that list has never shown any batch yet");
		return;
	}
	if (lookup->lagging && !task->provider->config->trust_list) {
		task->wait_ms = settle;
		task_finish(task, TASK_NOT_YET, "the provider's list lags; it is read again after a while");
		return;
	}
	if (task->shard.absent_at <= 0) {
		task->shard.absent_at = now;
		task->wait_ms = settle;
		task_finish(task, TASK_NOT_YET, "not in the provider's list; looked for once more after a while");
		return;
	}
	if (now - task->shard.absent_at < settle) {
		task->wait_ms = task->shard.absent_at + settle - now;
		task_finish(task, TASK_NOT_YET, "not in the provider's list; looked for once more after a while");
		return;
	}
	/* Certain now: it was not created. The sign stays, so that a twin is watched for all the same. */
	task->shard.intended_at = 0;
	task->shard.absent_at = -now;
	if (task_is_cancelled(task)) {
		task_go(task, SHARD_CANCELLED, "cancelled; the provider has no batch of it");
		return;
	}
	task_tell(task, "shard.note", "info", "the provider has no batch of it, looked for twice; it is created now");
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
}

static void decide(struct task *task, bool is_complete)
{
	struct lookup *lookup = task->work;

	if (lookup->seen_count && !store_list_was_seen(task_store(task), task->job.provider))
		store_list_note_seen(task_store(task), task->job.provider, task_now(task));
	if (lookup->is_watch) {
		lookup->twins_left = lookup->match_count;
		cancel_twins(task);
	} else if (lookup->match_count) {
		lookup->twins_left = lookup->match_count - 1;
		cancel_twins(task);
	} else if (lookup->is_half_match) {
		task_go(task, SHARD_UNCERTAIN,
			"a batch at the provider has our file or our marker, but not both");
	} else if (!is_complete) {
		task_go(task, SHARD_UNCERTAIN,
			"the provider's list cannot be read to its end, so it does not tell whether a batch is there");
	} else {
		on_absent(task);
	}
}

/* --- the pages --- */

static void on_page(const struct api_answer *answer, void *context);

/* What the page says about going on: 1 another one, 0 the listing is complete, -1 it ends without being so. */
static int next_page(struct lookup *lookup, int has_more, char *last_id)
{
	bool is_repeated = last_id && lookup->after && strcmp(last_id, lookup->after) == 0;

	free(lookup->after);
	lookup->after = last_id;
	if (is_read_to_horizon(lookup) || has_more == 0)
		return 0;
	/* A page that shows nothing, yet promises more, leaves nowhere to go on from. */
	if (!last_id)
		return has_more > 0 ? -1 : 0;
	if (is_repeated)
		return has_more < 0 && lookup->on_page < SMALL_PAGE ? 0 : -1;
	return ++lookup->pages < MAX_PAGES ? 1 : -1;
}

static void on_page(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct lookup *lookup = task->work;
	char *last_id = NULL;
	struct error err = { 0 };
	int has_more, more;

	task->request = NULL;
	if (answer->verdict == API_REFUSED || answer->verdict == API_GONE) {
		/* Some servers refuse `after`: then the first page was all that can be had. */
		decide(task, false);
		return;
	}
	if (answer->verdict != API_OK) {
		task_finish_answer(task, answer);
		return;
	}
	lookup->on_page = 0;
	lookup->created_before = 0;
	if (api_parse_list(answer->body, answer->size, visit_batch, task, &has_more, &last_id, &err)) {
		task_finish(task, TASK_TRY_AGAIN, err.text);
		return;
	}
	more = next_page(lookup, has_more, last_id);
	if (more > 0)
		task->request = api_list(task->provider->api, lookup->after, on_page, task);
	else
		decide(task, more == 0);
}

static void read_list(struct task *task, bool is_watch, int64_t horizon)
{
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));

	lookup->is_watch = is_watch;
	lookup->began_at = task_now(task);
	lookup->horizon = horizon;
	task->work = lookup;
	task->work_free = free_lookup;
	task->request = api_list(task->provider->api, NULL, on_page, task);
}

void lookup_start(struct task *task)
{
	read_list(task, false, task->shard.intended_at - MARGIN_MS);
}

bool lookup_is_due(const struct task *task)
{
	return task->shard.absent_at < 0;
}

void lookup_watch(struct task *task)
{
	/* No batch of a file is older than the file. */
	read_list(task, true, task->shard.uploaded_at - MARGIN_MS);
}
