#include "daemon/work/pipeline.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/note.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api.h"
#include "daemon/work/deaths.h"
#include "daemon/work/gate.h"
#include "daemon/work/limits.h"
#include "daemon/work/move.h"
#include "daemon/work/order.h"
#include "daemon/work/place.h"
#include "daemon/work/provider.h"
#include "daemon/work/redo.h"
#include "daemon/work/task.h"
#include "daemon/work/tidy.h"

/* Local work of one turn: long enough to be worth it, short enough that a client does not notice. */
#define TURN_BUDGET_US 1000

/* clang-format off */
static const struct step job_steps[JOB_STATE_COUNT] = {
	[JOB_ACCEPTED]   = { "validate", step_validate, JOB_VALID,     false },
	[JOB_VALID]      = { "cut",      step_cut,      JOB_RUNNING,   false },
	[JOB_RUNNING]    = { "merge",    step_merge,    JOB_COMPLETED, false },
	[JOB_CANCELLING] = { "merge",    step_merge,    JOB_CANCELLED, false },
};

/* Of a job that is being cancelled because of its deadline. */
static const struct step expiry = { "merge", step_merge, JOB_EXPIRED, false };

static const struct step shard_steps[SHARD_STATE_COUNT] = {
	[SHARD_CUT]       = { "upload",  step_upload,  SHARD_UPLOADED,  true  },
	[SHARD_UPLOADED]  = { "create",  step_create,  SHARD_CREATED,   false },
	[SHARD_CREATED]   = { "poll",    step_poll,    SHARD_ENDED,     false },
	[SHARD_ENDED]     = { "fetch",   step_fetch,   SHARD_FETCHED,   true  },
	[SHARD_FETCHED]   = { "collect", step_collect, SHARD_COLLECTED, false },
	[SHARD_UNCERTAIN] = { "settle",  step_settle,  SHARD_CREATED,   false },
};

/* The event of each arrival: its type, which is also the log's message. */
static const char *const job_events[JOB_STATE_COUNT] = {
	[JOB_ACCEPTED]   = "job.accepted",
	[JOB_VALID]      = "job.valid",
	[JOB_RUNNING]    = "job.cut",
	[JOB_CANCELLING] = "job.cancelling",
	[JOB_COMPLETED]  = "job.completed",
	[JOB_FAILED]     = "job.failed",
	[JOB_CANCELLED]  = "job.cancelled",
	[JOB_EXPIRED]    = "job.expired",
};

static const char *const shard_events[SHARD_STATE_COUNT] = {
	[SHARD_CUT]       = "shard.cut",
	[SHARD_UPLOADED]  = "shard.uploaded",
	[SHARD_CREATED]   = "shard.created",
	[SHARD_ENDED]     = "shard.ended",
	[SHARD_FETCHED]   = "shard.fetched",
	[SHARD_COLLECTED] = "shard.collected",
	[SHARD_UNCERTAIN] = "shard.uncertain",
	[SHARD_DROPPED]   = "shard.dropped",
	[SHARD_CANCELLED] = "shard.cancelled",
};
/* clang-format on */

/* News of an event: one line in the log, and word to whoever follows the job, after the commit. */
struct news {
	struct pipeline *pipeline;
	int64_t job, shard;
	const char *type; /* a constant */
	enum log_level level;
	char *batch, *provider;
	int64_t count;
	int64_t seq;
};

static void news_free(struct news *news)
{
	free(news->batch);
	free(news->provider);
	free(news);
}

static void announce(int result, void *context)
{
	struct news *news = context;

	if (result == 0) {
		log_line(news->level, news->type, log_number("JOB", news->job),
			 log_number("SHARD", news->shard), log_text("PROVIDER", news->provider),
			 log_text("BATCH", news->batch), log_number("REQUESTS", news->count));
		news->pipeline->callbacks.on_event(news->job, news->seq, news->pipeline->callbacks.context);
	}
	news_free(news);
}

static enum log_level level_of(const char *level)
{
	enum log_level parsed = LOG_LEVEL_INFO;

	(void)log_level_parse(level, &parsed);
	return parsed;
}

void pipeline_tell(struct pipeline *pipeline, const struct job *job, const struct shard *shard,
		   const char *type, const char *level, const char *words)
{
	struct news *news = xcalloc(1, sizeof(*news));
	struct store_event event = {
		.job = job->id,
		.shard = shard ? shard->number : 0,
		.at = loop_now_ms(pipeline->loop),
		.type = type,
		.level = level,
		.message = words ? words : "",
		.is_last = job_is_ended(job->state),
	};

	*news = (struct news){
		.pipeline = pipeline,
		.job = job->id,
		.shard = event.shard,
		.type = type,
		.level = level_of(level),
		.batch = shard ? xstrdup(shard->batch_id) : NULL,
		.provider = xstrdup(shard && shard->provider ? shard->provider : job->provider),
		.count = shard ? shard->requests : job->counts.total,
		.seq = store_event_add(pipeline->store, &event),
	};
	store_after_commit(pipeline->store, announce, news);
}

void pipeline_job_state(struct pipeline *pipeline, struct job *job, enum job_state state,
			const char *words)
{
	int64_t now = loop_now_ms(pipeline->loop);
	/* clang-format off */
	int64_t *const stamps[JOB_STATE_COUNT] = {
		[JOB_VALID]      = &job->in_progress_at,
		[JOB_CANCELLING] = &job->cancelling_at,
		[JOB_COMPLETED]  = &job->completed_at,
		[JOB_FAILED]     = &job->failed_at,
		[JOB_CANCELLED]  = &job->cancelled_at,
		[JOB_EXPIRED]    = &job->expired_at,
	};
	/* clang-format on */

	assert(job_may_go(job->state, state));
	job->state = state;
	if (stamps[state])
		*stamps[state] = now;
	job->tries = 0;
	job->due_at = job_is_ended(state) || state == JOB_RUNNING ? 0 : now;
	free(take(job->why));
	/* What a cancel asks for is still the same step; what failed may have failed of that. */
	if (pipeline->has_deaths && state != JOB_CANCELLING && state != JOB_FAILED)
		store_death_forget(pipeline->store, job->id, 0);
	store_job_save(pipeline->store, job);
	if (job_is_ended(state))
		store_job_wake_after(pipeline->store, job->id, now);
	pipeline_tell(pipeline, job, NULL, job_events[state], state == JOB_FAILED ? "warning" : "info", words);
}

void pipeline_shard_state(struct pipeline *pipeline, const struct job *job, struct shard *shard,
			  enum shard_state state, const char *words)
{
	assert(shard_may_go(shard->state, state));
	shard->state = state;
	shard->queue = SHARD_FREE;
	/* One that turned out to have a batch without being let go, or after it was given up, has its place all the same. */
	if (state == SHARD_CREATED && !shard->admitted_at)
		shard->admitted_at = loop_now_ms(pipeline->loop);
	if (state == SHARD_CREATED && !shard->reserved_tokens)
		shard->reserved_tokens = shard->tokens;
	shard->tries = 0;
	shard->polls = 0;
	shard->due_at = loop_now_ms(pipeline->loop);
	/* What waits for a person does not, once the job's owner has said that it shall end. */
	if (shard_is_ended(state) || (state == SHARD_UNCERTAIN && job->state != JOB_CANCELLING))
		shard->due_at = 0;
	/* It may wait for a person longer than any provider holds its tokens: it keeps its place, and nothing more. */
	if (state == SHARD_UNCERTAIN)
		shard->reserved_tokens = 0;
	free(shard->why);
	shard->why = state == SHARD_UNCERTAIN ? xstrdup(words) : NULL;
	if (pipeline->has_deaths)
		store_death_forget(pipeline->store, job->id, shard->number);
	order_place(pipeline, job, shard);
	store_shard_save(pipeline->store, shard);
	tidy_note_end(pipeline, shard);
	pipeline_tell(pipeline, job, shard, shard_events[state], state == SHARD_UNCERTAIN ? "error" : "info", words);
}

/* One slice of one task; the last one ends it. */
static void turn_task(struct task *task)
{
	struct error err = { 0 };
	int r;

	task_enter(task);
	r = task->slice(task, &err);
	if (r > 0)
		return;
	task->slice = NULL;
	if (r == 0)
		task->on_sliced(task);
	else
		task_fail(task, r, err.text);
}

static struct task *next_with_slice(struct task *task)
{
	while (task && !task->slice)
		task = task->next;
	return task;
}

/* Puts the tasks from the first to last behind the others, so that the next turn begins with those. */
static void rotate(struct pipeline *pipeline, struct task *last)
{
	struct task *first = pipeline->tasks;
	struct task **link = &last->next;

	if (!last->next)
		return;
	pipeline->tasks = last->next;
	while (*link)
		link = &(*link)->next;
	*link = first;
	last->next = NULL;
}

/* Local work: every task that has some gets a slice in turn, until the turn's budget is used up. */
static void on_work(void *context)
{
	struct pipeline *pipeline = context;
	int64_t end = loop_monotonic_us(pipeline->loop) + TURN_BUDGET_US;
	struct task *task = next_with_slice(pipeline->tasks);

	/* A task that ends stays in the list until the commit, so the list holds still here. */
	while (task) {
		struct task *next = task->next;

		turn_task(task);
		if (loop_monotonic_us(pipeline->loop) >= end) {
			rotate(pipeline, task);
			break;
		}
		task = next_with_slice(next);
		if (!task)
			task = next_with_slice(pipeline->tasks);
	}
	note_leave(pipeline->note);
	if (next_with_slice(pipeline->tasks))
		loop_timer_set(pipeline->worker, 0);
}

void pipeline_wake(struct pipeline *pipeline, int64_t in_ms)
{
	loop_timer_set(pipeline->waker, in_ms);
}

static void on_wake(void *context)
{
	struct pipeline *pipeline = context;

	pipeline->callbacks.on_idle(pipeline->callbacks.context);
}

struct pipeline *pipeline_new(struct loop *loop, struct store *store, struct vault *vault,
			      struct providers *providers, const struct pipeline_callbacks *callbacks)
{
	struct pipeline *pipeline = xcalloc(1, sizeof(*pipeline));
	struct note_entry left;

	pipeline->loop = loop;
	pipeline->store = store;
	pipeline->vault = vault;
	pipeline->providers = providers;
	pipeline->callbacks = *callbacks;
	pipeline->worker = loop_timer_new(loop, on_work, pipeline);
	pipeline->waker = loop_timer_new(loop, on_wake, pipeline);
	pipeline->note = note_open(vault_folder(vault), &left);
	providers_set_note(providers, pipeline->note);
	providers_recall(providers, store);
	deaths_count(pipeline, &left);
	return pipeline;
}

void pipeline_free(struct pipeline *pipeline)
{
	if (!pipeline)
		return;
	while (pipeline->tasks)
		task_free(pipeline->tasks);
	loop_timer_free(pipeline->worker);
	loop_timer_free(pipeline->waker);
	providers_set_note(pipeline->providers, NULL);
	note_close(pipeline->note);
	free(pipeline);
}

size_t pipeline_active(const struct pipeline *pipeline)
{
	return pipeline->active;
}

void pipeline_enter_list(struct pipeline *pipeline)
{
	note_enter(pipeline->note, DEATHS_NO_JOB, 0, DEATHS_LIST);
}

void pipeline_leave_list(struct pipeline *pipeline)
{
	note_leave(pipeline->note);
}

bool pipeline_died_listing(const struct pipeline *pipeline)
{
	return pipeline->has_died_listing;
}

bool pipeline_is_stopping(const struct pipeline *pipeline)
{
	return pipeline->is_stopping;
}

bool pipeline_is_running(const struct pipeline *pipeline, const struct store_due *due)
{
	for (const struct task *task = pipeline->tasks; task; task = task->next)
		if (task->job.id == due->job && task->shard.id == due->shard)
			return true;
	return false;
}

const struct step *pipeline_step(const struct job *job, const struct shard *shard)
{
	if (!shard && job->state == JOB_CANCELLING && job->is_expiring)
		return &expiry;
	return shard ? &shard_steps[shard->state] : &job_steps[job->state];
}

/* Whether a shard has the names at the provider without which the step that is due has nothing to ask for. */
static bool has_names(const struct shard *shard)
{
	return (shard->state != SHARD_UPLOADED || shard->provider_file) &&
	       (shard->state != SHARD_CREATED || shard->batch_id);
}

/* Reads what is due and finds its step. false: it is not there, or nothing is due in its state. */
static bool task_load(struct task *task, const struct store_due *due)
{
	struct pipeline *pipeline = task->pipeline;
	int r = store_job_get(pipeline->store, due->job, &task->job);

	if (!r && due->shard)
		r = store_shard_get(pipeline->store, due->shard, &task->shard);
	if (!r && due->shard && !has_names(&task->shard))
		r = -EUCLEAN;
	if (r == -EUCLEAN)
		store_due_hold(pipeline->store, due, "what the store knows of it is damaged");
	else if (r && r != -ENOENT)
		pipeline_wake(pipeline, TASK_SPOILED_WAIT_MS);
	if (r)
		return false;
	task->step = pipeline_step(&task->job, due->shard ? &task->shard : NULL);
	task->provider = providers_find(pipeline->providers,
					due->shard ? task->shard.provider : task->job.provider);
	return task->step->run != NULL;
}

/* A shard that was never let go is here to be taken apart: it is more than may be enqueued. */
static void run(struct task *task)
{
	auto_free char *words = NULL;

	if (!place_is_missing(&task->job, &task->shard)) {
		task->step->run(task);
		return;
	}
	words = xasprintf("its halves go instead: it has most of what may be enqueued of %s at once", task->shard.model);
	redo_halves(task, words, NULL);
}

static void enlist(struct task *task)
{
	struct pipeline *pipeline = task->pipeline;
	struct task **link = &pipeline->tasks;

	while (*link)
		link = &(*link)->next;
	*link = task;
	pipeline->active++;
	task->retry_after_ms = -1;
}

static void begin(struct task *task)
{
	struct pipeline *pipeline = task->pipeline;
	const char *why;

	enlist(task);
	if (gate_needs_provider(&task->job, &task->shard) && !task->provider) {
		task_finish(task, TASK_TRY_AGAIN, "its provider is not in the configuration any more");
		return;
	}
	if (gate_must_wait(task, &why)) {
		task_finish(task, TASK_NOT_YET, why);
		return;
	}
	gate_enter(task);
	log_debug("step begins", log_number("JOB", task->job.id),
		  log_number("SHARD", task->shard.number), log_text("STEP", task->step->name));
	task_enter(task);
	task->is_begun = true;
	if (!task_skip_deadly(task))
		run(task);
	note_leave(pipeline->note);
}

static void task_abandon(struct task *task)
{
	job_release(&task->job);
	shard_release(&task->shard);
	free(task);
}

/* What is to be sent and has no place goes to the queue instead; not so what must be taken apart first. */
static bool is_queued(struct task *task)
{
	struct pipeline *pipeline = task->pipeline;
	struct limits limits;

	if (!place_is_missing(&task->job, &task->shard))
		return false;
	if (task->provider && !task->job.is_on_hold) {
		limits_load(pipeline->store, task->provider->config, task->shard.model, task_now(task), &limits);
		if (limits_is_large(&limits, &task->shard))
			return false;
	}
	place_give_back(&task->job, &task->shard, task->shard.due_at, loop_now_ms(pipeline->loop));
	order_place(pipeline, &task->job, &task->shard);
	store_shard_save(pipeline->store, &task->shard);
	return true;
}

bool pipeline_run(struct pipeline *pipeline, const struct store_due *due)
{
	struct task *task;

	if (pipeline->is_stopping || pipeline_is_running(pipeline, due))
		return !pipeline->is_stopping;
	task = xcalloc(1, sizeof(*task));
	task->pipeline = pipeline;
	if (!task_load(task, due) || is_queued(task)) {
		task_abandon(task);
		return true;
	}
	if (!gate_has_room(task)) {
		task_abandon(task);
		return false;
	}
	begin(task);
	return true;
}

bool pipeline_run_told(struct pipeline *pipeline, const struct store_due *due, const char *text, size_t size)
{
	struct task *task;

	if (pipeline->is_stopping || pipeline_is_running(pipeline, due))
		return false;
	task = xcalloc(1, sizeof(*task));
	task->pipeline = pipeline;
	if (!task_load(task, due) || task->shard.state != SHARD_CREATED || !task->provider) {
		task_abandon(task);
		return false;
	}
	task->told = text;
	task->told_size = size;
	begin(task);
	return true;
}

void pipeline_move(struct pipeline *pipeline, int64_t job, int64_t shard)
{
	const struct store_due due = { .job = job, .shard = shard };
	struct task *task;

	if (pipeline->is_stopping || pipeline_is_running(pipeline, &due))
		return;
	task = xcalloc(1, sizeof(*task));
	task->pipeline = pipeline;
	if (!task_load(task, &due) || !move_is_free(task)) {
		task_abandon(task);
		return;
	}
	enlist(task);
	task_enter(task);
	move_on(task);
	note_leave(pipeline->note);
}

int64_t pipeline_accept(struct pipeline *pipeline, struct job *job)
{
	job->state = JOB_ACCEPTED;
	job->created_at = loop_now_ms(pipeline->loop);
	job->due_at = job->created_at;
	job->id = store_job_add(pipeline->store, job);
	if (job->id)
		pipeline_tell(pipeline, job, NULL, job_events[JOB_ACCEPTED], "info", NULL);
	return job->id;
}

void pipeline_wind_up(struct pipeline *pipeline, struct job *job, const char *words)
{
	pipeline_job_state(pipeline, job, JOB_CANCELLING, words);
	/* Its merge is due when the last shard has ended, which may be so already. */
	job->due_at = job->finalizing_at;
	store_job_save(pipeline->store, job);
	/* Those in uncertainty end too: the owner has decided. A shard whose step is under way learns of it when that ends. */
	store_shard_poke(pipeline->store, job->id, loop_now_ms(pipeline->loop));
}

int pipeline_cancel(struct pipeline *pipeline, int64_t job_id)
{
	auto_job job = { 0 };
	int r = store_job_get(pipeline->store, job_id, &job);

	if (r)
		return r;
	switch (job.state) {
	case JOB_CANCELLING:
	case JOB_CANCELLED:
		return 0;
	case JOB_COMPLETED:
	case JOB_FAILED:
	case JOB_EXPIRED:
		return -EALREADY;
	case JOB_ACCEPTED:
	case JOB_VALID:
		/* Nothing was sent: no row has more to lose than its turn. */
		job.counts.cancelled = job.counts.total - job.counts.failed;
		job.cancelling_at = loop_now_ms(pipeline->loop);
		pipeline_job_state(pipeline, &job, JOB_CANCELLED, "cancelled before anything was sent");
		return 0;
	case JOB_RUNNING:
		break;
	}
	pipeline_wind_up(pipeline, &job, NULL);
	return 0;
}

/* Whether its create may be at the provider; it is worth waiting for the answer, or it would be in doubt. */
static bool is_creating(const struct task *task)
{
	return task->shard.state == SHARD_UPLOADED && task->shard.intended_at && !task->work && task->request &&
	       api_is_sent(task->request);
}

void pipeline_stop(struct pipeline *pipeline)
{
	struct task *task = pipeline->tasks;

	pipeline->is_stopping = true;
	while (task) {
		struct task *next = task->next;

		if (!task->is_ending && !task->is_intending && !is_creating(task))
			task_free(task);
		task = next;
	}
}
