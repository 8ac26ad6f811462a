#include "daemon/work/sweep.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"
#include "daemon/work/sweep_private.h"

/* So many batches are worth a list; and once they were, so many still are. */
#define SWEEP_FROM 10
#define SWEEP_UNTIL 5
#define PAGE_SIZE 100
/* Between two pages: ten a second, and never more than that on average. */
#define PAGE_GAP_MS 100
/* How long a list that does not help is left alone: one that is refused, and any other at most; and at first. */
#define REST_MS (60 * 60 * 1000)
#define SHORT_REST_MS (5 * 60 * 1000)
/* Where much stands behind what is read, how far to read is found out anew so often; else once in an hour. */
#define EXPLORE_MS (10 * 60 * 1000)
/* Calls in a row that fail before the list is left alone. */
#define MOST_FAILURES 3
/* A batch so young may not stand in a list yet, however sound that is. */
#define YOUNG_MS 60000
/* Rows that are written in one turn. */
#define MOST_WRITES 500

size_t sweep_plan(const struct sweep_page *pages, size_t count, int64_t wanted)
{
	int64_t best = wanted, found = 0;
	size_t plan = 0;

	for (size_t i = 0; i < count; i++) {
		int64_t left, cost;

		found += pages[i].ours;
		left = found < wanted ? wanted - found : 0;
		cost = (int64_t)i + 1 + left;
		if (cost < best) {
			best = cost;
			plan = i + 1;
		}
	}
	return plan;
}

static const struct config_provider *config_of(const struct sweep *sweep)
{
	return sweep->provider->config;
}

/* --- why there are none --- */

/* Sweeps end for now: what they would have shown goes its own way. */
static void turn_off(struct sweep *sweep)
{
	sweep_drop(sweep);
	sweep->is_on = false;
	sweep->is_returned = false;
	sweep->return_before = INT64_MAX;
	sweep->planned = 0;
	sweep->shown_before = INT64_MIN;
}

/* No sweep for so long, unless there will be many more batches to be shown. */
static void leave_alone(struct sweep *sweep, int64_t ms)
{
	sweep->rests_until_us = loop_monotonic_us(sweep->sweeps->loop) + ms * 1000;
	sweep->rests_from = sweep->wanted;
	turn_off(sweep);
}

/* Longer each time, and not shorter than the server asked for: a list may be late, or lack what is young, and be sound later. */
static void rest(struct sweep *sweep, int64_t least_ms, const char *why)
{
	int64_t ms = sweep->rests_ms ? 2 * sweep->rests_ms : SHORT_REST_MS;

	sweep->rests_ms = ms < REST_MS ? ms : REST_MS;
	if (!sweep->is_told)
		log_notice("a provider's list does not help; its batches are asked for one by one",
			   log_text("PROVIDER", config_of(sweep)->name), log_text("WHY", why));
	sweep->is_told = true;
	leave_alone(sweep, sweep->rests_ms > least_ms ? sweep->rests_ms : least_ms);
}

/* A page could not be had this time: once more after a wait, or not for long. */
static void fail(struct sweep *sweep, int64_t asked_ms, const char *why)
{
	const struct config_provider *config = config_of(sweep);
	int64_t wait_ms = backoff_retry_ms(config->retry_first, config->retry_longest,
					   (uint32_t)++sweep->failures, loop_random(sweep->sweeps->loop));

	if (wait_ms < asked_ms)
		wait_ms = asked_ms;
	/* What the list would show is put off meanwhile: not for longer than each of them alone would wait. */
	if (sweep->failures < MOST_FAILURES && wait_ms <= config->poll_longest) {
		sweep->next_page_us = loop_monotonic_us(sweep->sweeps->loop) + 1000 * wait_ms;
		return;
	}
	rest(sweep, asked_ms, why);
}

/* --- what a sweep means when it has ended --- */

struct absence {
	const struct sweep *sweep;
	int64_t count;
};

static void count_unseen(int64_t shard, void *context)
{
	struct absence *absence = context;

	absence->count += !sweep_has_seen(absence->sweep, shard);
}

/* How many of those made before before are still under way, and were not shown. */
static int64_t count_absent(const struct sweep *sweep, int64_t before)
{
	struct absence absence = { .sweep = sweep };

	(void)store_polls_before(sweep->sweeps->store, config_of(sweep)->name, before, count_unseen, &absence);
	return absence.count;
}

/* What a list that was read to its end does not show of ours, though it had the time to, tells that it proves no absence (see lookup). */
static void judge_list(struct sweep *sweep, int64_t absent)
{
	struct store *store = sweep->sweeps->store;
	const struct config_provider *config = config_of(sweep);
	int64_t now = loop_now_ms(sweep->sweeps->loop);
	int64_t settle = config->settle > YOUNG_MS ? config->settle : YOUNG_MS;
	int64_t hidden;

	if (sweep->objects && !store_list_was_seen(store, config->name))
		store_list_note_seen(store, config->name, now);
	if (!sweep->is_complete || !absent || store_list_failed(store, config->name))
		return;
	hidden = count_absent(sweep, sweep->began_at - settle);
	if (!hidden)
		return;
	store_list_note_failure(store, config->name, now);
	log_warning("the provider's list does not show batches that are there; it is not trusted any more",
		    log_text("PROVIDER", config->name), log_number("COUNT", hidden));
}

/* When the next one is due: the sooner the more moves, within the waits of a poll, and never for more calls than polls would be. */
static void plan_next(struct sweep *sweep)
{
	const struct config_provider *config = config_of(sweep);
	int64_t pages = (int64_t)sweep->read_count;
	int64_t wait_ms = backoff_poll_ms(config->poll_first, config->poll_longest, sweep->quiet,
					  loop_random(sweep->sweeps->loop));
	int64_t least_ms = pages * config->poll_longest / (sweep->wanted > 0 ? sweep->wanted : 1);
	int64_t now_us = loop_monotonic_us(sweep->sweeps->loop);

	if (least_ms < pages * PAGE_GAP_MS)
		least_ms = pages * PAGE_GAP_MS;
	if (least_ms < config->poll_first)
		least_ms = config->poll_first;
	sweep->lasted_ms = (now_us - sweep->began_us) / 1000;
	sweep->earliest_us = sweep->began_us + least_ms * 1000;
	sweep->next_us = now_us + wait_ms * 1000;
	if (sweep->next_us < sweep->earliest_us)
		sweep->next_us = sweep->earliest_us;
}

/* How far the next one reads, and what of that which was shown it will not show any more. */
static void plan_depth(struct sweep *sweep, size_t plan)
{
	int64_t now_us = loop_monotonic_us(sweep->sweeps->loop);
	int64_t left = sweep->wanted - (int64_t)sweep->seen_count;

	if (!sweep->planned)
		sweep->explores_us = now_us + REST_MS * INT64_C(1000);
	else if (left > SWEEP_FROM && left > (int64_t)plan && sweep->explores_us > now_us + EXPLORE_MS * INT64_C(1000))
		sweep->explores_us = now_us + EXPLORE_MS * INT64_C(1000);
	sweep->planned = plan;
	if (plan == sweep->read_count)
		return;
	sweep->is_returned = false;
	sweep->return_before = INT64_MAX;
	for (size_t i = 0; i < plan; i++)
		if (sweep->read[i].oldest < sweep->return_before)
			sweep->return_before = sweep->read[i].oldest;
}

static void end(struct sweep *sweep)
{
	int64_t shown = (int64_t)sweep->seen_count;
	int64_t absent = shown < sweep->wanted ? count_absent(sweep, sweep->began_at) : 0;
	size_t plan;

	judge_list(sweep, absent);
	/* What ended otherwise meanwhile was not wanted any more. */
	sweep->wanted = shown + absent;
	plan = sweep_plan(sweep->read, sweep->read_count, sweep->wanted);
	if (!plan && 2 * count_absent(sweep, sweep->began_at - YOUNG_MS) < absent) {
		/* They may yet come into the list. */
		leave_alone(sweep, YOUNG_MS);
		return;
	}
	if (!plan && sweep->wanted) {
		rest(sweep, 0, "it shows too few of the batches that are under way");
		return;
	}
	sweep->is_told = false;
	sweep->rests_ms = 0;
	sweep->quiet = sweep->changes ? 0 : sweep->quiet + 1;
	sweep->is_on = true;
	sweep->is_returned = true;
	sweep->shown_before = sweep->began_at - 2 * config_of(sweep)->poll_first;
	plan_next(sweep);
	plan_depth(sweep, plan);
	free(sweep->top_id);
	sweep->top_id = take(sweep->first_id);
	log_debug("batches were swept", log_text("PROVIDER", config_of(sweep)->name), log_number("COUNT", shown));
	sweep_drop(sweep);
}

/* --- pages --- */

/*
 * Whether the rest is cheaper one by one. Of a list that was read before it is known how far it pays, but for what stands above it since;
 * else one goes on while those that are left could cost more than the pages that showed none of them.
 */
static bool is_enough(const struct sweep *sweep)
{
	int64_t left = sweep->wanted - (int64_t)sweep->seen_count;
	size_t above = (sweep->above + PAGE_SIZE - 1) / PAGE_SIZE;

	if (left <= 0 || sweep->dry >= left || (int64_t)sweep->read_count >= sweep->wanted)
		return true;
	return sweep->planned && sweep->is_met && sweep->read_count >= sweep->planned + above;
}

static void on_page(const struct api_answer *answer, void *context)
{
	struct sweep *sweep = context;
	struct error err = { 0 };
	int more = 0;

	sweep->request = NULL;
	sweep->next_page_us = sweep->began_us + (int64_t)(sweep->read_count + 1) * PAGE_GAP_MS * 1000;
	sweep->sweeps->on_wake(sweep->sweeps->context);
	if (answer->verdict == API_REFUSED || answer->verdict == API_GONE) {
		/* Some servers refuse `after`: then what was read is all that can be had. */
		if (sweep->read_count)
			end(sweep);
		else
			rest(sweep, REST_MS, "it is refused");
		return;
	}
	if (answer->verdict != API_OK) {
		fail(sweep, answer->retry_after_ms, "it cannot be read");
		return;
	}
	if (sweep_read_page(sweep, answer, &more, &err)) {
		fail(sweep, -1, err.text);
		return;
	}
	sweep->failures = 0;
	sweep->is_complete = more == 0;
	sweep->is_last = more <= 0 || is_enough(sweep);
}

static void begin(struct sweep *sweep, int64_t now)
{
	sweep_drop(sweep);
	if (store_polls_count(sweep->sweeps->store, config_of(sweep)->name, &sweep->wanted))
		return;
	sweep->began_at = now;
	sweep->began_us = loop_monotonic_us(sweep->sweeps->loop);
	sweep->next_page_us = sweep->began_us;
	sweep->is_reading = true;
	sweep->is_last = sweep->is_complete = sweep->is_met = false;
	sweep->read = xcalloc(SWEEP_MAX_PAGES, sizeof(*sweep->read));
	sweep->objects = sweep->above = 0;
	sweep->dry = sweep->changes = 0;
	if (sweep->began_us >= sweep->explores_us)
		sweep->planned = 0;
}

/* --- turns --- */

/* Batches that are under way at the provider, about. */
static void add_flight(const struct store_flight *flight, void *context)
{
	*(int64_t *)context += flight->batches - flight->unsent;
}

static bool may_sweep(struct sweep *sweep)
{
	int64_t count = 0;

	(void)store_flight(sweep->sweeps->store, config_of(sweep)->name, add_flight, &count);
	if (count < (sweep->is_on ? SWEEP_UNTIL : SWEEP_FROM))
		return false;
	/* Many more than there were may stand elsewhere in the list. */
	return loop_monotonic_us(sweep->sweeps->loop) >= sweep->rests_until_us ||
	       count >= 2 * sweep->rests_from + SWEEP_FROM;
}

/* What is due and will be shown, or can be for the first time, waits for that; returns whether anything does. */
static bool put_off(struct sweep *sweep, int64_t now)
{
	const struct config_provider *config = config_of(sweep);

	return store_polls_put_off(sweep->sweeps->store, config->name, now, sweep->shown_before,
				   now + config->poll_longest) > 0;
}

/* What sweeps have put off and will not show is due within the longest wait of a poll. */
static void give_back(struct sweep *sweep, int64_t now)
{
	const struct config_provider *config = config_of(sweep);

	if (!sweep->is_returned)
		sweep->is_returned = store_polls_pull(sweep->sweeps->store, config->name, now, config->poll_longest,
						      sweep->return_before, MOST_WRITES) < MOST_WRITES;
}

static void ask(struct sweep *sweep)
{
	struct pipeline *pipeline = sweep->sweeps->pipeline;

	pipeline_enter_list(pipeline);
	sweep->request = api_list(sweep->provider->api, sweep->pages.after, on_page, sweep);
	pipeline_leave_list(pipeline);
}

/* Goes on with the one under way; what its last page told is handed on before another is asked for. */
static void go_on(struct sweep *sweep, int64_t now)
{
	(void)put_off(sweep, now);
	if (sweep->request || !sweep_hand_on(sweep))
		return;
	if (sweep->is_last)
		end(sweep);
	else if (loop_monotonic_us(sweep->sweeps->loop) >= sweep->next_page_us &&
		 provider_is_free(sweep->provider, API_LIST, now))
		ask(sweep);
}

static void run(struct sweep *sweep, int64_t now)
{
	int64_t now_us = loop_monotonic_us(sweep->sweeps->loop);
	bool is_any_due, may_begin;

	/* What is put off meanwhile could not be asked for either. */
	if (!sweep->is_reading && !provider_is_free(sweep->provider, API_LIST, now))
		return;
	if (!sweep->is_reading && !may_sweep(sweep)) {
		if (sweep->is_on)
			turn_off(sweep);
		give_back(sweep, now);
		return;
	}
	if (!sweep->is_reading) {
		is_any_due = put_off(sweep, now);
		if (is_any_due && sweep->next_us > sweep->earliest_us)
			sweep->next_us = sweep->earliest_us;
		may_begin = sweep->is_on ? now_us >= sweep->next_us :
					   now_us >= sweep->earliest_us && (is_any_due || !sweep->is_returned);
		if (!may_begin) {
			give_back(sweep, now);
			return;
		}
		begin(sweep, now);
	}
	go_on(sweep, now);
}

/* When there is something to do though nothing happens; 0: never. */
static int64_t wakes_us(const struct sweep *sweep, int64_t now_us)
{
	/* The scheduler looks again every now and then, and so it is seen when that is over. */
	if (!provider_is_free(sweep->provider, API_LIST, loop_now_ms(sweep->sweeps->loop)))
		return 0;
	if (sweep->is_reading)
		return sweep->request || sweep->told_at < sweep->told_count ? 0 : sweep->next_page_us;
	if (!sweep->is_returned)
		return now_us;
	return sweep->is_on ? sweep->next_us : 0;
}

static void sleep_until_next(struct sweeps *sweeps)
{
	int64_t now_us = loop_monotonic_us(sweeps->loop), next_us = 0;

	for (size_t i = 0; i < sweeps->count; i++) {
		int64_t at_us = wakes_us(&sweeps->list[i], now_us);

		if (at_us && (!next_us || at_us < next_us))
			next_us = at_us;
	}
	if (next_us)
		loop_timer_set(sweeps->timer, next_us > now_us ? (next_us - now_us + 999) / 1000 : 0);
	else
		loop_timer_clear(sweeps->timer);
}

static void on_time(void *context)
{
	struct sweeps *sweeps = context;

	sweeps->on_wake(sweeps->context);
}

struct sweeps *sweeps_new(struct loop *loop, struct store *store, struct providers *providers,
			  struct pipeline *pipeline, void (*on_wake)(void *context), void *context)
{
	struct sweeps *sweeps = xcalloc(1, sizeof(*sweeps));
	int64_t rests_until_us;

	*sweeps = (struct sweeps){
		.loop = loop,
		.store = store,
		.pipeline = pipeline,
		.on_wake = on_wake,
		.context = context,
	};
	while (providers_at(providers, sweeps->count))
		sweeps->count++;
	rests_until_us = pipeline_died_listing(pipeline) ? loop_monotonic_us(loop) + SHORT_REST_MS * 1000 : 0;
	sweeps->list = xcalloc(sweeps->count, sizeof(*sweeps->list));
	for (size_t i = 0; i < sweeps->count; i++)
		sweeps->list[i] = (struct sweep){
			.sweeps = sweeps,
			.provider = providers_at(providers, i),
			.rests_until_us = rests_until_us,
			.rests_from = rests_until_us ? INT32_MAX : 0,
			.shown_before = INT64_MIN,
			.return_before = INT64_MAX,
		};
	sweeps->timer = loop_timer_new(loop, on_time, sweeps);
	return sweeps;
}

void sweeps_free(struct sweeps *sweeps)
{
	if (!sweeps)
		return;
	for (size_t i = 0; i < sweeps->count; i++) {
		sweep_drop(&sweeps->list[i]);
		free(sweeps->list[i].top_id);
	}
	loop_timer_free(sweeps->timer);
	free(sweeps->list);
	free(sweeps);
}

void sweeps_run(struct sweeps *sweeps, int64_t now)
{
	if (pipeline_is_stopping(sweeps->pipeline)) {
		for (size_t i = 0; i < sweeps->count; i++)
			sweep_drop(&sweeps->list[i]);
		return;
	}
	for (size_t i = 0; i < sweeps->count; i++)
		run(&sweeps->list[i], now);
	sleep_until_next(sweeps);
}
