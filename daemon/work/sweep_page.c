/* What a sweep does with a page of the list. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"
#include "daemon/work/remote.h"
#include "daemon/work/sweep_private.h"

/* Steps under way at once that are begun from here. */
#define MAX_ACTIVE 32
/* Twice what fits on all pages that are read, if they are of the size that is asked for. */
#define MAX_SEEN 200000
#define FALLBACK_MS (10 * 60 * 1000)

int64_t sweep_fallback_ms(const struct sweep *sweep)
{
	int64_t wait_ms = 4 * (sweep->provider->config->poll_longest + sweep->lasted_ms);

	return wait_ms > FALLBACK_MS ? wait_ms : FALLBACK_MS;
}

/* Where a number stands in the set, or has its place. The set is never full. */
static int64_t *place_of(const struct sweep *sweep, int64_t shard)
{
	size_t at = (size_t)((uint64_t)shard * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (sweep->seen_room - 1);

	while (sweep->seen[at] && sweep->seen[at] != shard)
		at = (at + 1) & (sweep->seen_room - 1);
	return &sweep->seen[at];
}

bool sweep_has_seen(const struct sweep *sweep, int64_t shard)
{
	return sweep->seen_count && *place_of(sweep, shard) == shard;
}

static void widen_seen(struct sweep *sweep)
{
	auto_free int64_t *old = sweep->seen;
	size_t room = sweep->seen_room;

	sweep->seen_room = room ? 2 * room : 256;
	sweep->seen = xcalloc(sweep->seen_room, sizeof(*sweep->seen));
	for (size_t i = 0; i < room; i++)
		if (old[i])
			*place_of(sweep, old[i]) = old[i];
}

/* False where it was shown before: a batch may stand on two pages, and a page may come twice. */
static bool note_seen(struct sweep *sweep, const struct shard *shard)
{
	struct sweep_page *page = &sweep->read[sweep->read_count];

	if (sweep_has_seen(sweep, shard->id) || sweep->seen_count == MAX_SEEN)
		return false;
	if (2 * sweep->seen_count >= sweep->seen_room)
		widen_seen(sweep);
	*place_of(sweep, shard->id) = shard->id;
	sweep->seen_count++;
	page->ours++;
	if (shard->batch_created_at < page->oldest)
		page->oldest = shard->batch_created_at;
	return true;
}

static void keep_told(struct sweep *sweep, const struct shard *shard, const struct api_batch *batch)
{
	if (sweep->told_count == sweep->told_room) {
		sweep->told_room = sweep->told_room ? sweep->told_room * 2 : 32;
		sweep->told = xreallocarray(sweep->told, sweep->told_room, sizeof(*sweep->told));
	}
	sweep->told[sweep->told_count++] = (struct sweep_told){
		.job = shard->job,
		.shard = shard->id,
		.text = xmemdup0(batch->text, batch->text_size),
		.size = batch->text_size,
	};
}

/* Whether what stands there needs more than a note: the step of the poll knows what. */
static bool is_for_step(const struct sweep *sweep, const struct shard *shard, const struct api_batch *batch, int64_t now)
{
	const struct config_provider *config = sweep->provider->config;

	if (api_status_is_terminal(batch->status))
		return true;
	if (batch->status == API_STATUS_UNKNOWN && strcmp(shard->remote_status ? shard->remote_status : "",
							  batch->status_text) != 0)
		return true;
	return remote_is_stuck(config, shard, now) &&
	       (!remote_is_stuck_told(shard) || (remote_resends_stuck(config) && !shard->is_cancel_sent));
}

/* Whether it is, or will be, due for something that no list can tell. */
static bool is_wanted_otherwise(const struct sweep *sweep, const struct shard *shard)
{
	auto_job job = { 0 };

	if (shard->tries || shard->absent_at < -1)
		return true;
	/* A cancel that waits for its provider may be due later. */
	if (shard->is_cancel_sent)
		return false;
	return store_job_get(sweep->sweeps->store, shard->job, &job) || job.state != JOB_RUNNING;
}

/* Writes what moved; of what did not, that it was seen, when half of the time has passed in which it is to be seen again. */
static void note(struct sweep *sweep, struct shard *shard, const struct api_batch *batch, int64_t now)
{
	int64_t fallback = sweep_fallback_ms(sweep);
	bool is_changed = remote_note_progress(shard, batch, now);

	sweep->changes += is_changed;
	if (is_changed)
		remote_note_accepted(sweep->sweeps->store, shard, batch);
	if (!is_changed && shard->due_at > now + fallback / 2)
		return;
	if (!is_wanted_otherwise(sweep, shard))
		shard->due_at = now + fallback;
	if (is_changed || !shard->why) {
		free(shard->why);
		shard->why = remote_wait_words(batch);
	}
	store_polls_note(sweep->sweeps->store, shard);
}

static void visit_ours(struct sweep *sweep, struct shard *shard, const struct api_batch *batch)
{
	const struct store_due due = { .job = shard->job, .shard = shard->id };
	int64_t now = loop_now_ms(sweep->sweeps->loop);

	if (!note_seen(sweep, shard))
		return;
	/* Of one that is held nothing is done; one that ended waits for its files, and is asked for by itself. */
	if (!shard->due_at || shard->ended_at || pipeline_is_running(sweep->sweeps->pipeline, &due))
		return;
	if (is_for_step(sweep, shard, batch, now)) {
		sweep->changes++;
		keep_told(sweep, shard, batch);
	} else {
		note(sweep, shard, batch, now);
	}
}

static void visit_batch(const struct api_batch *batch, void *context)
{
	struct sweep *sweep = context;
	struct store *store = sweep->sweeps->store;
	auto_shard shard = { 0 };
	int64_t id;

	pages_note(&sweep->pages, batch->created_at);
	if (!sweep->first_id)
		sweep->first_id = xstrdup(batch->id);
	sweep->objects++;
	if (!sweep->is_met && sweep->top_id && strcmp(batch->id, sweep->top_id) == 0) {
		sweep->is_met = true;
		sweep->above = sweep->objects - 1;
	}
	if (store_shard_owner(store, sweep->provider->config->name, batch->id, &id) ||
	    store_shard_get(store, id, &shard) || shard.state != SHARD_CREATED)
		return;
	visit_ours(sweep, &shard, batch);
}

int sweep_read_page(struct sweep *sweep, const struct api_answer *answer, int *ret_more, struct error *err)
{
	struct sweep_page *page = &sweep->read[sweep->read_count];
	char *last_id = NULL;
	int has_more = -1;
	int r;

	*page = (struct sweep_page){ .oldest = INT64_MAX };
	pages_begin(&sweep->pages);
	r = api_parse_list(answer->body, answer->size, visit_batch, sweep, &has_more, &last_id, err);
	if (r)
		return r;
	sweep->read_count++;
	sweep->dry = page->ours ? 0 : sweep->dry + 1;
	*ret_more = pages_end(&sweep->pages, has_more, last_id);
	if (sweep->seen_count == MAX_SEEN || sweep->read_count == SWEEP_MAX_PAGES)
		*ret_more = *ret_more > 0 ? -1 : *ret_more;
	return 0;
}

bool sweep_hand_on(struct sweep *sweep)
{
	struct pipeline *pipeline = sweep->sweeps->pipeline;

	while (sweep->told_at < sweep->told_count && pipeline_active(pipeline) < MAX_ACTIVE) {
		struct sweep_told *told = &sweep->told[sweep->told_at++];
		const struct store_due due = { .job = told->job, .shard = told->shard };

		(void)pipeline_run_told(pipeline, &due, told->text, told->size);
		free(take(told->text));
	}
	if (sweep->told_at < sweep->told_count)
		return false;
	sweep->told_at = sweep->told_count = 0;
	return true;
}

void sweep_drop(struct sweep *sweep)
{
	api_abort(sweep->request);
	sweep->request = NULL;
	for (size_t i = sweep->told_at; i < sweep->told_count; i++)
		free(sweep->told[i].text);
	free(take(sweep->told));
	sweep->told_at = sweep->told_count = sweep->told_room = 0;
	free(take(sweep->read));
	free(take(sweep->seen));
	sweep->seen_count = sweep->seen_room = sweep->read_count = 0;
	free(take(sweep->first_id));
	pages_release(&sweep->pages);
	sweep->is_reading = false;
}
