/*
 * A step under way, and what steps are made of. Inside of the pipeline: pipeline.c, steps_*.c and lookup.c only.
 *
 * A step's run function starts something and returns; sooner or later, from a callback or a slice, it ends the task with exactly one
 * task_finish (or task_go). Then the task belongs to the commit, and nobody may touch it.
 */
#ifndef BATCHD_WORK_TASK_H
#define BATCHD_WORK_TASK_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/base/error.h"
#include "daemon/model/job.h"
#include "daemon/work/pipeline.h"

struct api_answer;
struct api_request;
struct loop;
struct note;
struct provider;
struct task;

enum task_outcome {
	TASK_DONE,	/* the fact is there: on to the next state */
	TASK_NOT_YET,	/* nothing is wrong, it takes time: look again after wait_ms */
	TASK_TRY_AGAIN, /* it failed and may do better: after a growing wait, or retry_after_ms */
	TASK_HOPELESS,	/* it will never do better: the rows (or the job) fail with the words */
};

struct step {
	const char *name;
	void (*run)(struct task *task);
	int next; /* the state that DONE leads to: enum shard_state, or enum job_state */
	bool is_transfer; /* counts against the provider's max_transfers */
};

struct task {
	struct pipeline *pipeline;
	struct task *next; /* in the list of those under way */
	const struct step *step;
	struct job job; /* as it was when the step began; its counts and state may have moved on */
	struct shard shard; /* id 0: a step of the job itself. Only this task changes it while it runs */
	struct provider *provider;
	struct api_request *request; /* under way, or NULL */
	int (*slice)(struct task *task, struct error *err); /* local work: 1 more, 0 end, -errno */
	void (*on_sliced)(struct task *task); /* after the last slice */
	void *work; /* the step's own, freed by work_free */
	void (*work_free)(void *work);
	const char *told; /* while a poll begins: its batch, as the provider's list has it; NULL: it is to be asked for */
	size_t told_size;
	int64_t wait_ms; /* of TASK_NOT_YET */
	int64_t retry_after_ms; /* the server's wish, or -1 */
	char *refusal_code; /* of TASK_HOPELESS: the provider's error code, or ours; owned; NULL: none */
	bool is_cancel_news; /* the job was cancelled while the step ran: the next look is at once */
	bool is_begun; /* its step was run */
	bool is_transfer, is_upload, is_probe; /* what it takes of its provider's places: work/gate */
	bool is_ending; /* waits for the commit */
	bool is_intending; /* so does its intent to create, or to upload; it must not be freed meanwhile */
};

struct pipeline {
	struct loop *loop;
	struct store *store;
	struct vault *vault;
	struct providers *providers;
	struct pipeline_callbacks callbacks;
	struct task *tasks;
	size_t active;
	struct loop_timer *worker; /* turns the tasks that have slices to do */
	struct loop_timer *waker;  /* pipeline_wake */
	struct note *note;	   /* of what is being done, for whoever starts after a death */
	bool has_died_listing;
	bool has_deaths;	   /* steps that ended a daemon before this one are counted on disk */
	bool is_stopping;
};

/* After a commit that failed a step is tried anew so much later: there may be room again. */
#define TASK_SPOILED_WAIT_MS 1000

/* A batch that is gone while its cancel is wanted is looked for so long: it happens for a moment. */
#define TASK_PROBE_MS (60 * 60 * 1000)

/* The only two functions that change a state (or begin one): the stamp, the row, the event, the log line. */
void pipeline_job_state(struct pipeline *pipeline, struct job *job, enum job_state state, const char *words);
void pipeline_shard_state(struct pipeline *pipeline, const struct job *job, struct shard *shard,
			  enum shard_state state, const char *words);
/* A running job shall end: it is CANCELLING, what waits of it is due at once. job is saved. */
void pipeline_wind_up(struct pipeline *pipeline, struct job *job, const char *words);
/* Adds an event to a job's history and, after the commit, a line to the log. shard may be NULL. type is a constant. */
void pipeline_tell(struct pipeline *pipeline, const struct job *job, const struct shard *shard, const char *type,
		   const char *level, const char *words);

/* Looks for what is due after so long: for whoever writes, or gives up, where no turn is certain to follow. */
void pipeline_wake(struct pipeline *pipeline, int64_t in_ms);

/* The step that is due in the state of a job, or of its shard (or NULL); without run: none. */
const struct step *pipeline_step(const struct job *job, const struct shard *shard);

/* Around all that is done for a task: a death in between is one of its step. */
void task_enter(const struct task *task);
void task_leave(const struct task *task);

/* Drops a task without an end: the disk knows that its step is due. */
void task_free(struct task *task);

/* What the task works with. */
struct loop *task_loop(const struct task *task);
struct store *task_store(const struct task *task);
struct vault *task_vault(const struct task *task);
int64_t task_now(const struct task *task);

/* Runs slice, a bit at a time, until it ends; then on_sliced. An error ends the task by itself. */
void task_work(struct task *task, int (*slice)(struct task *task, struct error *err),
	       void (*on_sliced)(struct task *task));

/* Ends the task. words: one sentence, for TRY_AGAIN, NOT_YET (may be NULL) and HOPELESS: what it waits for, or why. */
void task_finish(struct task *task, enum task_outcome outcome, const char *words);
/* Ends a task of a shard with another state than the step's next, and an event that says why. */
void task_go(struct task *task, enum shard_state state, const char *words);
/* Ends a task that came to nothing: but for what it wrote itself, all stays as it is. */
void task_leave_be(struct task *task);
/* Ends a task of a shard that the provider had no room for, in these words: it waits for its turn again, as admission sees it. */
void task_wait_turn(struct task *task, const char *words);
/* Ends a task whose local work failed: out of room waits, EIO ends the daemon, damage holds the job, or ends it if it was cancelled. */
void task_fail(struct task *task, int code, const char *words);
/*
 * Ends a task whose step cannot be run, of a job that shall end: the shard goes on, or ends, without what the step was to find, a job
 * fails. words: why, one sentence.
 */
void task_give_up(struct task *task, const char *words);
/* Whether the step is one that ends the daemon, of a job that shall end: then the task ends, now or later, without it. */
bool task_skip_deadly(struct task *task);
/* Ends a task for an answer that is not API_OK, as its verdict says. */
void task_finish_answer(struct task *task, const struct api_answer *answer);

/* Adds an event to the history of the task's job, and a line to the log. words go to the history alone. */
void task_tell(struct task *task, const char *type, const char *level, const char *words);

/*
 * A new shard, whose rows are kept as its member file already. born: CUT, UPLOADED, FETCHED or, never due, COLLECTED.
 * marker NULL: one is drawn. due_in_ms: from now.
 */
void task_add_shard(struct task *task, const struct shard *shard, int64_t due_in_ms);
/* The next free shard number of the task's job. -errno with a sentence: it cannot be told, and no file may be named by a guess. */
int task_next_number(struct task *task, int64_t *ret_number, struct error *err);

/* Whether the job goes on no more, as the store knows it now: the user asked for its end, or it has ended. */
bool task_is_cancelled(struct task *task);
/* Whether the result of a step of the job itself still counts: its state is the one that the step began in. */
bool task_counts(struct task *task);

/*
 * Saves what a step learned of the job in the job as it is now, for a cancel may have come in between. False when the job is
 * gone, or, for a step of the job itself, when its state is not what it was.
 */
bool task_update_job(struct task *task, void (*update)(struct job *job, void *context), void *context);

/* A marker: 24 hexadecimal digits, 96 random bits. The caller frees. */
char *task_marker(struct loop *loop);

/* The steps. */
void step_validate(struct task *task);
void step_cut(struct task *task);
void step_merge(struct task *task);
void step_upload(struct task *task);
void step_create(struct task *task);
void step_poll(struct task *task);
void step_fetch(struct task *task);
void step_collect(struct task *task);
void step_settle(struct task *task);

/* Settles a create in doubt: looks for the batch, and ends the task. Never creates. */
void lookup_start(struct task *task);
/*
 * Whether it is time to look for a twin of the shard's batch, which may yet appear: it was created after another create was found absent,
 * or after a person's word. Twice: when it had time to appear, and when the batch has ended.
 */
bool lookup_is_due(const struct task *task, bool is_ended);
/* Looks for it, cancels and tells it, and ends the task with NOT_YET and nothing to wait for. is_last: nobody looks again. */
void lookup_watch(struct task *task, bool is_last);
/* The provider does not know the shard's batch: looks for it under another name, takes that, and ends the task. */
void lookup_name(struct task *task);

#endif
