/*
 * A create in doubt is settled by looking: the provider's list is read newest first, back to ten minutes before the intent or to its
 * end. Here it is read, and each batch is compared; lookup_verdict.c decides.
 */
#include "daemon/work/lookup.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/model/dialect.h"
#include "daemon/work/api.h"
#include "daemon/work/provider.h"
#include "daemon/work/task.h"

/* Where a marker was cut short in transit, so many digits of it still mean something, beside the file. */
#define SHORT_MARKER 8
#define MAX_KIN 256
/* Twice what fits on all pages that are read, if they are of the size that is asked for. */
#define MAX_SEEN 200000

static void release_matches(struct lookup_matches *matches)
{
	for (size_t i = 0; i < matches->count; i++) {
		free(matches->all[i].id);
		free(matches->all[i].file);
	}
	matches->count = 0;
}

static void free_lookup(void *work)
{
	struct lookup *lookup = work;

	release_matches(&lookup->ours);
	release_matches(&lookup->aliases);
	release_matches(&lookup->twins);
	for (size_t i = 0; i < lookup->kin_count; i++) {
		free(lookup->kin[i].marker);
		free(lookup->kin[i].file);
	}
	free(lookup->kin);
	pages_release(&lookup->pages);
	free(lookup->seen);
	free(lookup);
}

static void note_seen(struct lookup *lookup, const char *id)
{
	if (lookup->seen_count == MAX_SEEN)
		return;
	if (lookup->seen_count == lookup->seen_room) {
		lookup->seen_room = lookup->seen_room ? lookup->seen_room * 2 : 128;
		lookup->seen = xreallocarray(lookup->seen, lookup->seen_room, sizeof(*lookup->seen));
	}
	lookup->seen[lookup->seen_count++] = lookup_hash(id);
}

/* A batch may stand on two pages, if another was created in between. */
static bool is_known(const struct lookup_matches *matches, const char *id)
{
	for (size_t i = 0; i < matches->count; i++)
		if (strcmp(matches->all[i].id, id) == 0)
			return true;
	return false;
}

void lookup_add(struct lookup_matches *matches, struct lookup_match *match)
{
	if (matches->count < LOOKUP_MAX_MATCHES && !is_known(matches, match->id)) {
		matches->all[matches->count++] = *match;
	} else {
		free(match->id);
		free(match->file);
	}
	*match = (struct lookup_match){ 0 };
}

uint64_t lookup_hash(const char *id)
{
	return hash_keyed(0, id, strlen(id));
}

static bool is_owned(struct task *task, const char *batch_id)
{
	int64_t owner = 0;

	return store_shard_owner(task_store(task), task->shard.provider, batch_id, &owner) == 0 &&
	       owner != task->shard.id;
}

/* --- what a batch has to do with the shard --- */

enum echo {
	ECHO_BARE,   /* no metadata at all: the server does not give them back */
	ECHO_LACKS,  /* metadata without a marker, or none, and too old to be ours */
	ECHO_OURS,
	ECHO_SHORT,  /* the beginning of ours */
	ECHO_KIN,
	ECHO_OTHER,
};

enum source {
	SOURCE_UNTOLD,
	SOURCE_OURS,
	SOURCE_KIN,
	SOURCE_OTHER,
	SOURCE_UNKNOWN, /* the shard knows of no file: its upload was not noted before the store was copied */
};

enum match { MATCH_NO, MATCH_HALF, MATCH_ALIAS, MATCH_FULL, MATCH_TWIN };

/*
 * The marker is proof by itself unless the file contradicts it. The file is, where markers are not given back. Of shards that gave their
 * rows to this one a batch of the same file does the same work as ours would; one of another file is a twin, and is never adopted.
 */
/* clang-format off */
static const enum match matches[][5] = {
			/* untold      ours        kin         other       unknown */
	[ECHO_BARE]  = { MATCH_NO,   MATCH_FULL, MATCH_TWIN, MATCH_NO,   MATCH_HALF },
	[ECHO_LACKS] = { MATCH_NO,   MATCH_HALF, MATCH_HALF, MATCH_NO,   MATCH_NO   },
	[ECHO_OURS]  = { MATCH_FULL, MATCH_FULL, MATCH_HALF, MATCH_HALF, MATCH_FULL },
	[ECHO_SHORT] = { MATCH_HALF, MATCH_FULL, MATCH_HALF, MATCH_HALF, MATCH_HALF },
	[ECHO_KIN]   = { MATCH_TWIN, MATCH_FULL, MATCH_TWIN, MATCH_HALF, MATCH_TWIN },
	[ECHO_OTHER] = { MATCH_NO,   MATCH_HALF, MATCH_NO,   MATCH_NO,   MATCH_NO   },
};
/* clang-format on */

static const struct lookup_kin *find_kin(const struct lookup *lookup, const char *marker, const char *file)
{
	for (size_t i = 0; i < lookup->kin_count; i++)
		if ((marker && strcasecmp(lookup->kin[i].marker, marker) == 0) ||
		    (file && lookup->kin[i].file && strcmp(lookup->kin[i].file, file) == 0))
			return &lookup->kin[i];
	return NULL;
}

/* A marker is hexadecimal, so a server that changes its case, or cuts it, does not make another one of it. */
static enum echo read_echo(const struct task *task, const struct lookup *lookup, const struct api_batch *batch)
{
	const char *marker = batch->marker;
	bool is_old = batch->created_at && batch->created_at < lookup->pages.horizon;

	if (!marker)
		return batch->has_metadata || is_old ? ECHO_LACKS : ECHO_BARE;
	if (strcasecmp(marker, task->shard.marker) == 0)
		return ECHO_OURS;
	if (find_kin(lookup, marker, NULL))
		return ECHO_KIN;
	if (strlen(marker) >= SHORT_MARKER && strncasecmp(task->shard.marker, marker, strlen(marker)) == 0)
		return ECHO_SHORT;
	return ECHO_OTHER;
}

static enum source read_source(const struct task *task, const struct lookup *lookup, const struct api_batch *batch)
{
	if (!task->shard.provider_file)
		return SOURCE_UNKNOWN;
	if (!batch->input_file_id)
		return SOURCE_UNTOLD;
	if (strcmp(batch->input_file_id, task->shard.provider_file) == 0)
		return SOURCE_OURS;
	return find_kin(lookup, NULL, batch->input_file_id) ? SOURCE_KIN : SOURCE_OTHER;
}

static enum match match_batch(struct task *task, const struct lookup *lookup, const struct api_batch *batch)
{
	enum echo echo = read_echo(task, lookup, batch);
	enum source source = read_source(task, lookup, batch);
	enum match match = matches[echo][source];

	/* What the original made of a file that both have, its copy cannot know by the marker. */
	if (echo == ECHO_OTHER && source == SOURCE_OURS && task->shard.uploaded_at &&
	    task->shard.uploaded_at <= lookup->restored_from)
		match = MATCH_FULL;
	/* A shard before this one used the same file, and its batch failed: that one is known. */
	if (match == MATCH_NO || is_owned(task, batch->id))
		return MATCH_NO;
	/* There is a batch of ours, for certain: what has one sign of it may be it, whatever became of it. */
	if (match == MATCH_HALF && lookup->look == LOOK_NAME)
		return echo == ECHO_OURS || echo == ECHO_SHORT || source == SOURCE_OURS ? MATCH_ALIAS : MATCH_NO;
	/* Whosever it is, it does no harm. */
	if (match != MATCH_FULL &&
	    (batch->status == API_STATUS_FAILED || batch->status == API_STATUS_CANCELLED))
		return MATCH_NO;
	return match;
}

static void keep_match(struct lookup_matches *list, const struct api_batch *batch)
{
	struct lookup_match match = {
		.id = xstrdup(batch->id),
		.file = xstrdup(batch->input_file_id),
		.status = batch->status,
		.created_at = batch->created_at,
	};

	lookup_add(list, &match);
}

static void visit_batch(const struct api_batch *batch, void *context)
{
	struct task *task = context;
	struct lookup *lookup = task->work;

	note_seen(lookup, batch->id);
	pages_note(&lookup->pages, batch->created_at);
	if (batch->created_at > lookup->newest)
		lookup->newest = batch->created_at;
	/* The batch that is known already is no twin of itself. */
	if (lookup->look != LOOK_DOUBT && task->shard.batch_id && strcmp(batch->id, task->shard.batch_id) == 0) {
		lookup->is_own_listed = true;
		return;
	}
	switch (match_batch(task, lookup, batch)) {
	case MATCH_NO:
		break;
	case MATCH_HALF:
		lookup->is_half_match = true;
		break;
	case MATCH_ALIAS:
		keep_match(&lookup->aliases, batch);
		break;
	case MATCH_FULL:
		keep_match(&lookup->ours, batch);
		break;
	case MATCH_TWIN:
		keep_match(&lookup->twins, batch);
		break;
	}
}

/* --- the pages --- */

bool lookup_is_past_horizon(const struct lookup *lookup)
{
	return lookup->pages.is_past_horizon && !lookup->pages.is_unordered;
}

/*
 * Whether even the youngest batch is older than the horizon: then our clock may be ahead of the provider's by more than the margin, and
 * what is ours may stand further down.
 */
static bool is_horizon_doubted(const struct lookup *lookup)
{
	return lookup->newest && lookup->newest < lookup->pages.horizon;
}

static void on_page(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct lookup *lookup = task->work;
	char *last_id = NULL;
	struct error err = { 0 };
	int has_more = -1, more;

	task->request = NULL;
	if (answer->verdict == API_REFUSED || answer->verdict == API_GONE) {
		/* Some servers refuse `after`: then the first page was all that can be had. */
		lookup_decide(task, false);
		return;
	}
	if (answer->verdict != API_OK) {
		lookup_fail(task, answer, NULL);
		return;
	}
	pages_begin(&lookup->pages);
	if (api_parse_list(answer->body, answer->size, visit_batch, task, &has_more, &last_id, &err)) {
		lookup_fail(task, answer, err.text);
		return;
	}
	more = pages_end(&lookup->pages, has_more, last_id);
	if (lookup->seen_count == MAX_SEEN)
		more = -1;
	if (more > 0 || (more == 0 && is_horizon_doubted(lookup) && pages_go_on(&lookup->pages)))
		task->request = api_list(task->provider->api, lookup->pages.after, on_page, task);
	else
		lookup_decide(task, more == 0);
}

static void note_kin(const struct shard *shard, void *context)
{
	struct lookup *lookup = context;

	lookup->kin[lookup->kin_count++] =
		(struct lookup_kin){ .marker = xstrdup(shard->marker), .file = xstrdup(shard->provider_file) };
}

/* A clock that was set back since tells of no horizon: then the list is read to its end. */
static void read_list(struct task *task, enum look look, bool is_last, int64_t since)
{
	struct lookup *lookup = xcalloc(1, sizeof(*lookup));

	lookup->look = look;
	lookup->is_last = is_last;
	lookup->began_at = task_now(task);
	lookup->pages.horizon = since > lookup->began_at ? 0 : since - LOOKUP_MARGIN_MS;
	lookup->pages.is_one = api_terms(task->provider->api)->list == DIALECT_LIST_ONE_PAGE;
	lookup->restored_from = store_restored_from(task_store(task));
	lookup->kin = xreallocarray(NULL, MAX_KIN, sizeof(*lookup->kin));
	(void)store_shard_kin(task_store(task), task->job.id, MAX_KIN, note_kin, lookup);
	task->work = lookup;
	task->work_free = free_lookup;
	task->request = api_list(task->provider->api, NULL, on_page, task);
}

void lookup_start(struct task *task)
{
	read_list(task, LOOK_DOUBT, false, task->shard.intended_at);
}

/* No batch of a job is older than the job. */
void lookup_watch(struct task *task, bool is_last)
{
	read_list(task, LOOK_TWINS, is_last, task->job.created_at);
}

void lookup_name(struct task *task)
{
	read_list(task, LOOK_NAME, false, task->job.created_at);
}
