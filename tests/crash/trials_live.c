#include "tests/crash/trials_live.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/store.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/crash/faults.h"
#include "tests/crash/trials_jobs.h"
#include "tests/crash/trials_log.h"
#include "tests/crash/trials_person.h"
#include "tests/crash/trials_rows.h"
#include "tests/crash/trials_schedule.h"
#include "tests/sim/blob.h"
#include "tests/world/judge_world.h"
#include "tests/world/ledger.h"
#include "tests/world/loop.h"
#include "tests/world/world.h"

#define DAY_MS (24 * 60 * 60 * INT64_C(1000))
/* Jobs that have not ended by then never will. */
#define MOST_MS (60 * DAY_MS)
#define MOST_TURNS 60000
/*
 * A late request comes after the list was found without it twice (a time-out, a wait and `settle`
 * after it left), and before the batch that was made then has ended.
 */
#define LATE_MS (668 * INT64_C(1000))
#define MOST_JOBS 3

struct trial {
	const struct schedule *schedule;
	struct world *world;
	struct trial_row rows[SCHEDULE_MOST_EVENTS];
	bool has_struck[SCHEDULE_MOST_EVENTS];
	unsigned story, costs;
	struct trial_job jobs[MOST_JOBS];
	size_t job_count;
	int64_t occasions[MOMENT_COUNT][TRIAL_CALLS + 1];
	int64_t rebirth; /* callbacks before the first start after a death; -1: nobody died yet */
	bool dies_after, wants_cancel, is_cancelled;
	int64_t creates_left; /* that were under way when the first job was cancelled */
	int64_t late_at; /* 0: nothing is late */
	size_t batches;	 /* that were seen to be made */
	int64_t lies;	 /* lists that left out a batch */
	bool was_late;
	struct judge_look look;
	struct person person;
	struct error err; /* the first promise that was broken */
	struct trial_verdict *verdict;
};

static void violate(struct trial *trial, const char *what)
{
	if (!trial->err.code)
		(void)error_set(&trial->err, -EINVAL, "%s", what);
}

/* The owner wants the end of the first job: in the middle of a turn, or between two. It counts when it is on disk. */
static void cancel_first(struct trial *trial)
{
	trial->creates_left = (int64_t)http_count(trial->world->http);
	(void)pipeline_cancel(trial->world->pipeline, trial->jobs[0].id);
	scheduler_kick(trial->world->scheduler);
}

/* --- what strikes --- */

static enum http_fate act(struct trial *trial, const struct trial_row *row)
{
	enum http_fate fate = HTTP_FATE_ARRIVES;

	switch (row->act) {
	case ACT_RULE:
		break;
	case ACT_DIE:
		loop_halt(trial->world->loop);
		break;
	case ACT_DIE_AFTER:
		trial->dies_after = true;
		break;
	case ACT_JUMP:
		loop_jump(trial->world->loop, row->jump_ms);
		trial->world->is_set_back |= row->jump_ms < 0;
		break;
	case ACT_CANCEL:
		cancel_first(trial);
		break;
	case ACT_REFUSE:
		fate = HTTP_FATE_REFUSED;
		break;
	case ACT_LOSE:
		fate = HTTP_FATE_LOST;
		break;
	case ACT_DELAY:
		fate = HTTP_FATE_LATE;
		trial->was_late = true;
		trial->late_at = loop_elapsed_ms(trial->world->loop) + LATE_MS;
		break;
	}
	return fate;
}

/* One more occasion of a kind: what waited for it strikes. */
static enum http_fate pass(struct trial *trial, enum trial_moment moment, enum trial_call call)
{
	int64_t nth = ++trial->occasions[moment][call];
	enum http_fate fate = HTTP_FATE_ARRIVES;

	for (size_t i = 0; i < trial->schedule->count; i++) {
		const struct trial_row *row = &trial->rows[i];
		enum http_fate own;

		if (row->moment != moment || row->call != call || trial->schedule->events[i].nth != nth)
			continue;
		trial->has_struck[i] = true;
		own = act(trial, row);
		if (own != HTTP_FATE_ARRIVES)
			fate = own;
	}
	return fate;
}

static enum http_fate on_leaving(const char *method, const char *path, void *context)
{
	struct trial *trial = context;

	return pass(trial, MOMENT_LEAVING, trial_call_of(method, path));
}

/* A batch was made: whether another one of the same rows may do work. */
static void check_twins(struct trial *trial)
{
	const struct sim *sim = trial->world->sim;
	struct ledger_batch fresh;

	if (ledger_batch_count(sim) == trial->batches)
		return;
	fresh = ledger_batch(sim, trial->batches++);
	if (trial->is_cancelled && !trial->was_late &&
	    judge_marker_job(trial->world, fresh.marker) == trial->jobs[0].id && trial->creates_left-- <= 0)
		violate(trial, "a cancelled job has a new batch");
	for (size_t i = 0; i + 1 < trial->batches && trial->lies < 2 && !trial->was_late; i++) {
		struct ledger_batch old = ledger_batch(sim, i);

		if (!old.is_idle &&
		    (strcmp(old.marker, fresh.marker) == 0 || strcmp(old.input_file, fresh.input_file) == 0))
			violate(trial, "a shard has two batches at once");
	}
}

/* A list that looks whole and does not show a batch, or nothing that it could be known by. */
static void check_list(struct trial *trial, const struct sim_answer *answer)
{
	const struct sim *sim = trial->world->sim;
	size_t count = ledger_batch_count(sim);

	if (answer->status != 200 || !answer->body || !strstr(answer->body->data, "["))
		return;
	for (size_t i = 0; i < count && count < 100; i++) {
		struct ledger_batch batch = ledger_batch(sim, i);
		const char *text = answer->body->data;

		if (strstr(text, batch.id) && (strstr(text, batch.marker) || strstr(text, batch.input_file)))
			continue;
		trial->lies++;
		return;
	}
}

static void on_arrived(const char *method, const char *path, const struct sim_answer *answer, void *context)
{
	struct trial *trial = context;
	enum trial_call call = trial_call_of(method, path);

	if (call == TRIAL_CREATE)
		check_twins(trial);
	else if (call == TRIAL_LIST)
		check_list(trial, answer);
	else if (call == TRIAL_DELETE && judge_is_file_needed(trial->world, path + strlen("/v1/files/")))
		violate(trial, "a file was deleted that a shard needs");
	(void)pass(trial, MOMENT_ARRIVAL, call);
}

static void on_answered(const char *method, const char *path, void *context)
{
	struct trial *trial = context;
	enum trial_call call = trial_call_of(method, path);

	/* A story's driver cancels as soon as there is a batch. */
	if (call == TRIAL_CREATE && (trial->story & STORY_CANCEL) && trial->batches)
		trial->wants_cancel = true;
	(void)pass(trial, MOMENT_ANSWER, call);
}

/* When a row strikes that counts callbacks; 0: it does not, or not yet. */
static int64_t strike_time(const struct trial *trial, size_t i)
{
	int64_t nth = trial->schedule->events[i].nth;

	if (trial->rows[i].moment == MOMENT_CALLBACK)
		return nth;
	return trial->rows[i].moment == MOMENT_REBIRTH && trial->rebirth >= 0 ? trial->rebirth + nth : 0;
}

static void on_struck(void *context);

/* Waits for the next callback behind which something strikes. */
static void arm(struct trial *trial)
{
	int64_t now = loop_callback_count(trial->world->loop), next = INT64_MAX;

	for (size_t i = 0; i < trial->schedule->count; i++) {
		int64_t at = strike_time(trial, i);

		if (at > now && at < next)
			next = at;
	}
	if (next != INT64_MAX)
		loop_strike_after(trial->world->loop, next - now, on_struck, trial);
}

static void on_struck(void *context)
{
	struct trial *trial = context;

	for (size_t i = 0; i < trial->schedule->count; i++)
		if (strike_time(trial, i) == loop_callback_count(trial->world->loop)) {
			trial->has_struck[i] = true;
			(void)act(trial, &trial->rows[i]);
		}
	arm(trial);
}

/* --- the life --- */

static void begin_job(struct trial *trial, int64_t uid, int64_t requests)
{
	struct trial_job *job = &trial->jobs[trial->job_count++];

	trial_job_init(job, &trial->schedule->shape, uid, requests);
	job->id = world_submit_for(trial->world, uid, job->input);
}

static void after_death(struct trial *trial)
{
	trial->verdict->deaths++;
	if (trial->rebirth < 0)
		trial->rebirth = loop_callback_count(trial->world->loop);
	arm(trial);
	if (!trial->err.code)
		(void)judge_look(trial->world, &trial->look, &trial->err);
}

static void note_cancel(struct trial *trial)
{
	auto_job job = world_job(trial->world, trial->jobs[0].id);

	trial->is_cancelled |= job.cancelling_at > 0;
}

static void turn(struct trial *trial)
{
	struct world *world = trial->world;
	bool is_alive;

	(void)pass(trial, MOMENT_TURN, TRIAL_CALLS);
	if (trial->late_at && loop_elapsed_ms(world->loop) >= trial->late_at) {
		trial->late_at = 0;
		http_deliver_late(&world->network);
	}
	is_alive = world_turn_mortal(world);
	if (is_alive && trial->dies_after) {
		world_kill(world);
		world_start(world);
		is_alive = false;
	}
	trial->dies_after = false;
	if (!is_alive)
		after_death(trial);
	note_cancel(trial);
	if (trial->wants_cancel)
		cancel_first(trial);
	trial->wants_cancel = false;
	person_look(&trial->person, world);
}

static bool has_ended(struct trial *trial)
{
	for (size_t i = 0; i < trial->job_count; i++) {
		auto_job job = world_job(trial->world, trial->jobs[i].id);

		if (!job_is_ended(job.state))
			return false;
	}
	return true;
}

/* The owner asks once more for what has no success. */
static bool begin_rest(struct trial *trial)
{
	auto_job first = world_job(trial->world, trial->jobs[0].id);
	struct trial_job *rest = &trial->jobs[trial->job_count];

	if (!trial->schedule->shape.retries || !first.in_progress_at || first.counts.ok >= first.counts.total ||
	    trial->jobs[trial->job_count - 1].uid != WORLD_UID || trial->job_count == MOST_JOBS)
		return false;
	trial_job_rest(rest, trial->world, &trial->jobs[0]);
	rest->id = world_retry(trial->world, trial->jobs[0].id);
	trial->job_count++;
	return true;
}

static void live(struct trial *trial)
{
	bool has_rest = false;

	for (;;) {
		while (!trial->err.code && !has_ended(trial)) {
			if (loop_elapsed_ms(trial->world->loop) > MOST_MS || trial->world->turns > MOST_TURNS) {
				violate(trial, "a job does not end");
				return;
			}
			turn(trial);
		}
		if (trial->err.code || has_rest || !begin_rest(trial))
			return;
		has_rest = true;
	}
}

/* --- the judgement --- */

/* What a second job pays for again was not got by the first. */
static int64_t surplus_of(struct trial *trial)
{
	int64_t surplus = 0;

	for (size_t i = 0; i < trial->job_count; i++) {
		auto_job job = world_job(trial->world, trial->jobs[i].id);

		surplus += job.counts.resent;
		if (i == 0 && trial->job_count > 1 && trial->jobs[trial->job_count - 1].uid == WORLD_UID)
			surplus += job.counts.total - job.counts.ok;
	}
	return surplus;
}

static void judge(struct trial *trial)
{
	/* A list that lies, a cancel or a person may cost anything. */
	const unsigned costs = trial->is_cancelled || trial->lies || trial->person.answers ? ~0u : trial->costs;
	const struct trial_allowance allowance = {
		/* A provider that takes small files alone refuses a request that is none. */
		.may_fail = (costs & (COST_FAILED | COST_LOST | COST_ANSWERS | COST_PERSON)) ||
			    trial->schedule->shape.padding,
		.may_lose = costs & (COST_LOST | COST_ANSWERS | COST_PERSON),
		.may_pay_twice = costs & (COST_LOST | COST_ANSWERS | COST_PERSON),
	};
	const struct judge_terms terms = {
		.has_twins = trial->lies >= 2 || trial->was_late,
		.has_told_twins = trial->lies < 2 && trial->schedule->count == 1,
		.has_orphans = trial->is_cancelled || trial->person.has_given_up,
		.surplus = surplus_of(trial),
	};
	int r = judge_look(trial->world, &trial->look, &trial->err);

	if (!r)
		r = judge_world(trial->world, &terms, &trial->err);
	for (size_t i = 0; !r && i < trial->job_count; i++)
		r = trial_job_judge(&trial->jobs[i], trial->world, &allowance, &trial->err);
	if (!r && trials_log_secrets())
		violate(trial, trials_log_secrets());
}

/* --- the beginning and the end --- */

/* Of two faults at one call the answer may be a mixture: a refusal whose reason cannot be read. */
static bool is_mixture(const struct trial *trial, size_t second)
{
	enum trial_call call = trial->rows[second].call;

	for (size_t i = 0; i < second; i++)
		if (trial->rows[i].rules && trial->rows[second].rules && trial->rows[i].call == call &&
		    (call == TRIAL_CREATE || call == TRIAL_UPLOAD))
			return true;
	return false;
}

/* Of a shard of one request nothing smaller can be made. */
static bool is_too_small(const struct trial *trial, const struct trial_row *row, int64_t nth)
{
	return row->rules && strstr(row->rules, "too") &&
	       (trial->schedule->count > 1 || nth > 1 || trial->schedule->shape.requests == 1);
}

static void make_rows(struct trial *trial)
{
	for (size_t i = 0; i < trial->schedule->count; i++) {
		struct trial_row *row = &trial->rows[i];
		int64_t nth = trial->schedule->events[i].nth;

		trial_row_make(trial->schedule->events[i].row, nth, row);
		trial->story |= row->story;
		trial->costs |= row->costs;
		if (is_mixture(trial, i) || is_too_small(trial, row, nth))
			trial->costs |= COST_FAILED;
		/* What hides the reason of a failure may be looked at before, or show it in another form, if something else is odd too. */
		if (row->rules && strstr(row->rules, "errors_") && trial->schedule->count > 1)
			trial->costs |= COST_FAILED;
		/* A clock that is set on ends a wait for answers that are late. */
		if (row->jump_ms > 0 && trial->schedule->count > 1)
			trial->costs |= COST_ANSWERS | COST_LOST;
		/* Lines are counted as they come: one that stands twice hides one that cannot be read. */
		if (row->rules && strstr(row->rules, "row_twice") && trial->schedule->count > 1)
			trial->costs |= COST_ANSWERS;
	}
}

static void add_script(struct trial *trial)
{
	auto_free char *story = fault_script(trial->story, "");

	world_script(trial->world, story);
	/* A part is cut out of what the others made of the whole, or its ETag would be another file's. */
	for (int is_last = 0; is_last < 2; is_last++)
		for (size_t i = 0; i < trial->schedule->count; i++) {
			const char *rules = trial->rows[i].rules;
			auto_free char *array = rules ? xasprintf("[%s]", rules) : NULL;

			if (rules && !strstr(rules, "ranges") == !is_last)
				world_script(trial->world, array);
		}
}

static void begin(struct trial *trial)
{
	const struct schedule_shape *shape = &trial->schedule->shape;
	const struct sim_config sim = {
		.key = "sk-" TRIAL_SECRET "-key",
		.validate_ms = 1000,
		.run_ms = shape->run_ms,
		.finalize_ms = 500,
		.cancel_ms = 5000,
	};
	struct world *world = world_new(&sim, trial->schedule->seed);

	trial->world = world;
	log_set_level(LOG_LEVEL_DEBUG);
	world->provider.max_requests = shape->max_requests;
	world->provider.trust_list = shape->is_trusted;
	/* Results are judged by the provider's own files, which must stay. */
	world->provider.delete = trial->schedule->seed % 2 ? CONFIG_DELETE_INPUTS : CONFIG_DELETE_STRAYS;
	if (shape->run_ms > DAY_MS / 24)
		world->provider.poll_longest = DAY_MS / 48;
	if (!shape->is_list_new && !(trial->story & STORY_NEW_LIST))
		store_list_note_seen(world->store, world->provider.name, world_now(world));
	add_script(trial);
	world->network.post = (struct http_post){ .on_leaving = on_leaving,
						  .on_arrived = on_arrived,
						  .on_answered = on_answered,
						  .context = trial };
	trial->rebirth = -1;
	trial->person.accepts = shape->accepts;
	begin_job(trial, WORLD_UID, shape->requests);
	if (shape->strangers)
		begin_job(trial, TRIAL_STRANGER, shape->strangers);
	arm(trial);
}

static void conclude(struct trial *trial)
{
	struct trial_verdict *verdict = trial->verdict;

	verdict->is_violated = trial->err.code != 0;
	verdict->elapsed_ms = loop_elapsed_ms(trial->world->loop);
	verdict->turns = trial->world->turns;
	verdict->trace = trials_log_hash();
	(void)snprintf(verdict->what, sizeof(verdict->what), "%s", trial->err.text);
	for (size_t i = 0; i < trial->schedule->count; i++)
		verdict->has_idle |= trial->rows[i].moment != MOMENT_RULE && !trial->has_struck[i];
	verdict->has_idle |= ledger_has_idle_rule(trial->world->sim);
}

void trial_live(const struct schedule *schedule, struct trial_verdict *ret_verdict)
{
	struct trial *trial = xcalloc(1, sizeof(*trial));

	*ret_verdict = (struct trial_verdict){ 0 };
	trial->schedule = schedule;
	trial->verdict = ret_verdict;
	judge_hurry();
	trials_log_open();
	make_rows(trial);
	begin(trial);
	live(trial);
	if (!trial->err.code)
		judge(trial);
	conclude(trial);
	world_free(trial->world);
	trials_log_close();
	for (size_t i = 0; i < schedule->count; i++)
		trial_row_release(&trial->rows[i]);
	for (size_t i = 0; i < trial->job_count; i++)
		trial_job_release(&trial->jobs[i]);
	free(trial);
}
