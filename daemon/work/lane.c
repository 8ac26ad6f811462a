#include "daemon/work/lane.h"

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api.h"
#include "daemon/work/orphans.h"
#include "daemon/work/provider.h"
#include "daemon/work/strays.h"
#include "daemon/work/task.h"

/* What fails is tried again after a minute, then ever more rarely, for ten days or so. */
#define FIRST_WAIT_MS (60 * 1000)
#define LONGEST_WAIT_MS (24 * 60 * 60 * 1000)
#define MAX_TRIES 20

static void on_settled(int result, void *context)
{
	struct lane *lane = context;

	lane->is_settling = false;
	/* It will be done again; where there is no room for the outcome, not at once. */
	if (result)
		lane_rest(lane, -1);
	else if (!lane->is_failing)
		lane->failures = 0;
	lane->is_failing = false;
	strays_kick(lane->strays);
}

/* A line in the log, and, where its job is still there, in the owner's history. */
static void tell_deleted(struct lane *lane, const struct store_stray *stray)
{
	static const char *const whats[] = {
		[STRAY_UNUSED] = "which nobody needs",
		[STRAY_INPUT] = "its input, which nobody needs any more",
		[STRAY_RESULT] = "a result file of it, whose answers are here",
	};
	struct store *store = lane->store;
	auto_free char *name = stray->kind == STRAY_RESULT ? NULL : xasprintf(" (%s)", stray->name);
	auto_free char *words = xasprintf("%s%s, %s, was deleted at the provider", stray->file_id, name ? name : "",
					  whats[stray->kind]);
	auto_shard shard = { 0 };
	auto_job job = { 0 };

	log_info("a file that nobody needs was deleted", log_text("PROVIDER", stray->provider),
		 log_text("FILE", stray->file_id));
	if (!store_shard_get(store, stray->shard, &shard) && !store_job_get(store, shard.job, &job))
		pipeline_tell(lane->pipeline, &job, &shard, "shard.note", "info", words);
}

static void on_refused(struct lane *lane, const struct api_answer *answer)
{
	/* Told once: what else is due is forgotten without a call. */
	lane->is_unable = answer->status == 405 || answer->status == 501;
	if (lane->is_unable)
		lane_forget(lane, &lane->target, "the provider deletes no files");
	else
		lane_try_again(lane, &lane->target, answer->retry_after_ms, "the provider refused to delete it");
}

static void on_deleted(const struct api_answer *answer, void *context)
{
	struct lane *lane = context;

	lane->request = NULL;
	lane_pause(lane, LANE_GAP_MS);
	switch (answer->verdict) {
	case API_OK:
		tell_deleted(lane, &lane->target);
		store_stray_remove(lane->store, lane->target.id);
		break;
	case API_GONE:
		store_stray_remove(lane->store, lane->target.id);
		break;
	case API_REFUSED:
	case API_TOO_LARGE:
		on_refused(lane, answer);
		break;
	case API_AGAIN:
	case API_FULL:
	case API_DOUBT:
	case API_PAUSE:
		lane_try_again(lane, &lane->target, answer->retry_after_ms, "the provider could not be asked to delete it");
		lane_rest(lane, answer->retry_after_ms);
		break;
	}
	lane_settle(lane);
}

bool lane_is_busy(const struct lane *lane)
{
	return lane->request || lane->is_settling;
}

void lane_drop(struct lane *lane)
{
	api_abort(take(lane->request));
	lane_listing_free(take(lane->listing));
	orphans_free(take(lane->orphans));
	store_stray_release(&lane->target);
}

void lane_settle(struct lane *lane)
{
	lane_drop(lane);
	lane->is_settling = true;
	store_after_commit(lane->store, on_settled, lane);
}

void lane_pause(struct lane *lane, int64_t wait_ms)
{
	lane->rests_until_us = loop_monotonic_us(lane->loop) + wait_ms * 1000;
}

void lane_rest(struct lane *lane, int64_t retry_after_ms)
{
	const struct config_provider *config = lane->provider->config;
	int64_t wait_ms = backoff_retry_ms(config->retry_first, config->retry_longest, (uint32_t)++lane->failures,
					   loop_random(lane->loop));

	lane->is_failing = true;
	lane_pause(lane, wait_ms > retry_after_ms ? wait_ms : retry_after_ms);
}

void lane_try_again(struct lane *lane, struct store_stray *stray, int64_t retry_after_ms, const char *why)
{
	int64_t wait_ms;

	if (++stray->tries >= MAX_TRIES) {
		lane_forget(lane, stray, why);
		return;
	}
	wait_ms = backoff_retry_ms(FIRST_WAIT_MS, LONGEST_WAIT_MS, (uint32_t)stray->tries,
				   loop_random(lane->loop));
	if (wait_ms < retry_after_ms)
		wait_ms = retry_after_ms;
	stray->due_at = loop_now_ms(lane->loop) + wait_ms;
	store_stray_save(lane->store, stray);
}

void lane_forget(struct lane *lane, const struct store_stray *stray, const char *why)
{
	log_warning("a file that nobody needs may be left at the provider, it is not looked after any more",
		    log_text("PROVIDER", lane->provider->config->name),
		    log_text("FILE", stray->file_id ? stray->file_id : stray->name), log_text("WHY", why));
	store_stray_remove(lane->store, stray->id);
}

bool lane_delete(struct lane *lane, struct store_stray *stray)
{
	int used = stray->kind == STRAY_UNUSED ? store_stray_is_used(lane->store, stray->file_id) :
						 store_stray_is_needed(lane->store, stray->file_id);

	if (used < 0) {
		store_stray_release(stray);
		return false;
	}
	lane->target = *stray;
	*stray = (struct store_stray){ 0 };
	if (used) {
		store_stray_remove(lane->store, lane->target.id);
		lane_settle(lane);
		return true;
	}
	lane->request = api_delete(lane->provider->api, lane->target.file_id, on_deleted, lane);
	return true;
}
