#include "daemon/work/strays.h"

#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/work/lane.h"
#include "daemon/work/orphans.h"
#include "daemon/work/provider.h"
#include "daemon/work/task.h"

/* The longest sleep: after a jump of the clock nothing is later than this. */
#define MAX_SLEEP_MS 60000
/* A shard that lives is asked after ever more rarely, between these. */
#define SHORTEST_WAIT_MS 1000
#define LONGEST_WAIT_MS (60 * 60 * 1000)

struct strays {
	struct loop *loop;
	struct store *store;
	struct lane *lanes; /* one a provider */
	size_t lane_count;
	struct loop_timer *timer;
	bool is_awaiting; /* the end of the turn */
	bool is_stopping;
};

struct due {
	struct store_stray list[LANE_MAX_NAMES];
	size_t count;
};

static void note_due(const struct store_stray *stray, void *context)
{
	struct due *due = context;
	struct store_stray *copy = &due->list[due->count++];

	*copy = *stray;
	copy->provider = xstrdup(stray->provider);
	copy->name = xstrdup(stray->name);
	copy->file_id = xstrdup(stray->file_id);
}

/* As long again as it took until now. */
static int64_t early_wait(const struct store_stray *stray, int64_t now)
{
	int64_t wait_ms = now - stray->sent_at;

	/* A time to come: the clock was set back, and tells nothing. */
	if (wait_ms < 0 || wait_ms > LONGEST_WAIT_MS)
		return LONGEST_WAIT_MS;
	return wait_ms > SHORTEST_WAIT_MS ? wait_ms : SHORTEST_WAIT_MS;
}

/* Those whose shard may yet use the file are put off; the others come first. Returns how many these are. */
static size_t put_off_early(struct lane *lane, struct due *due)
{
	int64_t now = loop_now_ms(lane->loop);
	size_t count = 0;

	for (size_t i = 0; i < due->count; i++) {
		struct store_stray stray = due->list[i];

		if (stray.is_early) {
			stray.due_at = now + early_wait(&stray, now);
			store_stray_save(lane->store, &stray);
		} else {
			due->list[i] = due->list[count];
			due->list[count++] = stray;
		}
	}
	return count;
}

/* Those that the configuration does not want deleted, or the provider cannot delete, are forgotten; the others come first. */
static size_t drop_forbidden(struct lane *lane, struct due *due, size_t count)
{
	size_t kept = 0;

	for (size_t i = 0; i < count; i++) {
		struct store_stray stray = due->list[i];

		if (!lane->is_unable && strays_may_delete(lane->provider, stray.kind)) {
			due->list[i] = due->list[kept];
			due->list[kept++] = stray;
		} else {
			store_stray_remove(lane->store, stray.id);
		}
	}
	return kept;
}

/* Begins what is due with or without an id. Returns whether there was any of it. */
static bool begin(struct lane *lane, bool is_named)
{
	struct due *due = xcalloc(1, sizeof(*due));
	int64_t now = loop_now_ms(lane->loop);
	size_t limit = is_named ? ARRAY_SIZE(due->list) : 1, count;
	bool is_begun;

	(void)store_stray_due(lane->store, lane->provider->config->name, is_named, now, limit, note_due, due);
	count = drop_forbidden(lane, due, put_off_early(lane, due));
	is_begun = due->count > 0;
	if (count && is_named)
		lane_list(lane, due->list, count);
	else if (count)
		is_begun = lane_delete(lane, &due->list[0]);
	else if (is_begun)
		/* All were early, or are forgotten; the next look is at others. */
		lane_settle(lane);
	for (size_t i = 0; i < due->count; i++)
		store_stray_release(&due->list[i]);
	free(due);
	return is_begun;
}

static void run_lane(struct lane *lane)
{
	struct loop *loop = lane->loop;
	int64_t now = loop_now_ms(loop);
	bool may_list = provider_is_free(lane->provider, API_FILES, now);

	if (lane_is_busy(lane) || loop_monotonic_us(loop) < lane->rests_until_us)
		return;
	/* What is deleted meanwhile would be missed as the place to go on from. */
	if (lane->orphans && !may_list)
		return;
	if (orphans_are_read(lane) || (provider_is_free(lane->provider, API_DELETE, now) && begin(lane, false)))
		return;
	if (may_list && !begin(lane, true))
		orphans_read(lane);
}

static void sleep_until_next(struct strays *strays)
{
	int64_t now = loop_now_ms(strays->loop), now_us = loop_monotonic_us(strays->loop);
	int64_t next = 0, wait_ms = MAX_SLEEP_MS;

	if (store_stray_next_due(strays->store, now, &next) == 0 && next && next - now < wait_ms)
		wait_ms = next - now;
	for (size_t i = 0; i < strays->lane_count; i++) {
		int64_t rest_ms = (strays->lanes[i].rests_until_us - now_us + 999) / 1000;

		if (rest_ms > 0 && rest_ms < wait_ms)
			wait_ms = rest_ms;
	}
	loop_timer_set(strays->timer, wait_ms);
}

/* What this turn wrote is on disk, or undone: only then may anything be deleted because of it. */
static void on_turned(int result, void *context)
{
	struct strays *strays = context;

	(void)result;
	strays->is_awaiting = false;
	if (strays->is_stopping)
		return;
	for (size_t i = 0; i < strays->lane_count; i++)
		run_lane(&strays->lanes[i]);
	sleep_until_next(strays);
	/* What was written now needs another turn. */
	if (store_is_dirty(strays->store))
		strays_kick(strays);
}

static void on_time(void *context)
{
	struct strays *strays = context;

	if (!strays->is_awaiting)
		store_after_commit(strays->store, on_turned, strays);
	strays->is_awaiting = true;
}

struct strays *strays_new(struct loop *loop, struct store *store, struct pipeline *pipeline,
			  struct providers *providers)
{
	struct strays *strays = xcalloc(1, sizeof(*strays));

	strays->loop = loop;
	strays->store = store;
	while (providers_at(providers, strays->lane_count))
		strays->lane_count++;
	strays->lanes = xcalloc(strays->lane_count, sizeof(*strays->lanes));
	for (size_t i = 0; i < strays->lane_count; i++) {
		strays->lanes[i] = (struct lane){
			.strays = strays,
			.loop = loop,
			.store = store,
			.pipeline = pipeline,
			.provider = providers_at(providers, i),
		};
		orphans_init(&strays->lanes[i]);
	}
	strays->timer = loop_timer_new(loop, on_time, strays);
	strays_kick(strays);
	return strays;
}

void strays_free(struct strays *strays)
{
	if (!strays)
		return;
	for (size_t i = 0; i < strays->lane_count; i++)
		lane_drop(&strays->lanes[i]);
	loop_timer_free(strays->timer);
	free(strays->lanes);
	free(strays);
}

void strays_kick(struct strays *strays)
{
	if (!strays->is_stopping)
		loop_timer_set(strays->timer, 0);
}

void strays_stop(struct strays *strays)
{
	strays->is_stopping = true;
	loop_timer_clear(strays->timer);
	for (size_t i = 0; i < strays->lane_count; i++)
		lane_drop(&strays->lanes[i]);
}

bool strays_may_delete(const struct provider *provider, enum store_stray_kind kind)
{
	return (int)provider->config->delete > (int)kind;
}

char *strays_file_name(const char *marker)
{
	return xasprintf("batchd-%s.jsonl", marker);
}

static void note(struct task *task, const char *file_id, int64_t sent_at)
{
	auto_free char *name = strays_file_name(task->shard.marker);
	const struct store_stray stray = {
		.provider = task->shard.provider,
		.shard = task->shard.id,
		.name = name,
		.file_id = (char *)(uintptr_t)file_id,
		.bytes = task->shard.bytes,
		.sent_at = sent_at,
		.due_at = task_now(task) + (task->provider ? task->provider->config->settle : LANE_MARGIN_MS),
	};

	(void)store_stray_add(task_store(task), &stray);
}

bool strays_note_upload(struct task *task)
{
	/* In a store that was restored from a copy, it may have been uploaded by what came after the copy, which was looked for. */
	int64_t copied_at = task->shard.absent_at ? store_restored_from(task_store(task)) : 0;
	int is_named = store_stray_is_named(task_store(task), task->shard.id);

	if (is_named > 0)
		return false;
	note(task, NULL, copied_at ? copied_at : task_now(task));
	return !is_named && !copied_at;
}

void strays_drop_upload(struct task *task)
{
	store_stray_forget(task_store(task), task->shard.id);
}

void strays_note_file(struct task *task, const char *file_id)
{
	if (file_id)
		note(task, file_id, task_now(task));
}
