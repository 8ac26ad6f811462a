#include "daemon/work/move.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/model/load.h"
#include "daemon/work/api_words.h"
#include "daemon/work/budget.h"
#include "daemon/work/place.h"
#include "daemon/work/provider.h"
#include "daemon/work/route.h"
#include "daemon/work/split.h"
#include "daemon/work/strays.h"
#include "daemon/work/task.h"

/* What a move is made with. */
struct move {
	struct task *task;
	struct provider *next;
	struct load_limits limits; /* of next */
	const char *words;	   /* why */
	const char *refusal;	   /* what rows that stay behind are refused with; NULL: they wait where they are */
	const char *refusal_code;
	struct split_parts parts;
	int64_t first; /* number of the first part */
};

static void move_release(struct move *move)
{
	split_parts_release(&move->parts);
}
#define auto_move __attribute__((cleanup(move_release))) struct move

bool move_is_free(const struct task *task)
{
	const struct shard *shard = &task->shard;

	/* A batch that was looked for and not found (absent_at) may yet appear there, and do the work. */
	return task->job.state == JOB_RUNNING && (shard->state == SHARD_CUT || shard->state == SHARD_UPLOADED) &&
	       !shard->intended_at && !shard->absent_at && shard->queue != SHARD_PARKED && shard->due_at;
}

/* --- the shard itself goes --- */

/* Whether nothing of it is at its provider, so that its marker and name are new to the next, and all of it is within the limits of the next. */
static bool can_go_itself(const struct move *move)
{
	const struct task *task = move->task;
	const struct shard *shard = &task->shard;
	const struct load none = { 0 };
	const struct load load = { shard->requests, shard->bytes, shard->inputs, shard->tokens };

	return shard->state == SHARD_CUT && task->provider &&
	       task->provider->config->bytes_per_token == move->limits.bytes_per_token &&
	       load_has_room(&move->limits, &none, &load) && store_stray_is_named(task_store(task), shard->id) == 0;
}

static void go_itself(const struct move *move)
{
	struct task *task = move->task;
	struct shard *shard = &task->shard;
	auto_free char *words = xasprintf("moved on to %s: %s: %s", move->next->config->name, shard->provider, move->words);
	int64_t now = task_now(task);
	auto_job job = { 0 };

	/* As it was taken there, at the prices there; and as the job stands now, for a hold may have come meanwhile. */
	budget_settle(task_store(task), providers_config(task->pipeline->providers), &task->job, shard, now);
	free(shard->provider);
	shard->provider = xstrdup(move->next->config->name);
	free(take(shard->why));
	shard->attempt = 1;
	shard->tries = shard->redone = shard->waits = 0;
	place_give_back(store_job_get(task_store(task), task->job.id, &job) ? &task->job : &job, shard, now, now);
	store_shard_save(task_store(task), shard);
	task_tell(task, "shard.note", "info", words);
	task_leave_be(task);
}

/* --- its rows go --- */

static void add_part(const struct move *move, size_t index)
{
	const struct shard *shard = &move->task->shard;
	const struct load *load = &move->parts.loads[index];

	task_add_shard(move->task,
		       &(struct shard){ .number = move->first + (int64_t)index,
					.state = SHARD_CUT,
					.model = shard->model,
					.url = shard->url,
					.provider = move->next->config->name,
					.requests = load->requests,
					.bytes = load->bytes,
					.inputs = load->inputs,
					.tokens = load->tokens,
					.attempt = 1 },
		       0);
}

/* What the next provider takes in no batch: it waits on, or is refused as all would have been. */
static void add_rest(const struct move *move)
{
	const struct shard *shard = &move->task->shard;
	const struct load *load = &move->parts.rest;

	if (!load->requests)
		return;
	task_add_shard(move->task,
		       &(struct shard){ .number = move->first + (int64_t)move->parts.count,
					.state = move->refusal ? SHARD_FETCHED : SHARD_CUT,
					.model = shard->model,
					.url = shard->url,
					.requests = load->requests,
					.bytes = load->bytes,
					.inputs = load->inputs,
					.tokens = load->tokens,
					.attempt = shard->attempt,
					.redone = shard->redone,
					.waits = shard->waits,
					.refusal = (char *)(uintptr_t)move->refusal,
					.refusal_code = (char *)(uintptr_t)move->refusal_code },
		       0);
}

static char *heirs_words(const struct move *move)
{
	int64_t last = move->first + (int64_t)move->parts.count - 1;

	return last == move->first ? xasprintf("shard %" PRId64, last) :
				     xasprintf("shards %" PRId64 " to %" PRId64, move->first, last);
}

static void go_in_parts(const struct move *move)
{
	struct task *task = move->task;
	auto_free char *heirs = heirs_words(move);
	auto_free char *left = move->parts.rest.requests ?
				       xasprintf(", but for %" PRId64 " requests that are too large for it",
						 move->parts.rest.requests) :
				       xstrdup("");
	auto_free char *words = xasprintf("moved on to %s as %s%s: %s: %s", move->next->config->name, heirs, left,
					  task->shard.provider, move->words);

	for (size_t i = 0; i < move->parts.count; i++)
		add_part(move, i);
	add_rest(move);
	strays_note_file(task, task->shard.provider_file);
	task_tell(task, "shard.note", "info", words);
	task_go(task, SHARD_DROPPED, "its requests moved on");
}

/* Whether that ended the task: else the next provider takes none of the rows. */
static bool go(struct move *move)
{
	struct task *task = move->task;
	struct load_limits own;
	struct error err = { 0 };
	int r;

	provider_limits(move->next, task->shard.model, &move->limits);
	provider_limits(task->provider, task->shard.model, &own);
	if (can_go_itself(move)) {
		go_itself(move);
		return true;
	}
	r = task_next_number(task, &move->first, &err);
	if (!r)
		r = split_fit(task_vault(task), task->job.id, task->shard.number, move->first, &move->limits, &own, &move->parts,
		      &err);
	if (r)
		task_fail(task, r, err.text);
	else if (move->parts.count)
		go_in_parts(move);
	return r || move->parts.count;
}

static const char *reason_of(const struct task *task)
{
	struct provider_wait wait;

	if (!task->provider)
		return "it is not in the configuration any more";
	return provider_may_call(task->provider, API_UPLOAD, task_now(task), &wait) ? "it cannot be used" : wait.why;
}

void move_on(struct task *task)
{
	struct providers *providers = task->pipeline->providers;
	const struct shard *shard = &task->shard;
	auto_free char *from = xstrdup(shard->provider);
	struct provider *next;

	while ((next = route_next_able(providers, &task->job, shard->model, from, task_now(task)))) {
		auto_move move = {
			.task = task,
			.next = next,
			.words = reason_of(task),
		};

		if (go(&move))
			return;
		free(from);
		from = xstrdup(next->config->name);
	}
	task_leave_be(task);
}

bool move_refused(struct task *task, const char *code, const char *words)
{
	struct providers *providers = task->pipeline->providers;
	const struct shard *shard = &task->shard;
	auto_free char *from = xstrdup(shard->provider);
	struct provider *next;

	/* An earlier create that was found absent was of the same model and url: it was refused in the same way. */
	if (!api_says_elsewhere(code, words) || (shard->state < SHARD_CREATED && shard->intended_at) ||
	    task_is_cancelled(task))
		return false;
	while ((next = route_next(providers, &task->job, shard->model, from))) {
		auto_move move = {
			.task = task, .next = next, .words = words, .refusal = words, .refusal_code = code
		};

		if (go(&move))
			return true;
		free(from);
		from = xstrdup(next->config->name);
	}
	return false;
}
