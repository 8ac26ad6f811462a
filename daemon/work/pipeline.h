/*
 * The job's way, step by step, and the one place where a state changes. A state on disk says
 * which step is due (one table: state -> step -> next); a step ends in one of four outcomes; the outcome, the new state, the
 * event and the next due time are one transaction. What is under way lives in memory and dies with the process; whose step it is
 * stands in a note meanwhile, so that a step that ends the process again and again is found, and held (work/deaths).
 */
#ifndef BATCHD_WORK_PIPELINE_H
#define BATCHD_WORK_PIPELINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/job.h"

struct config;
struct error;
struct loop;
struct pipeline;
struct providers;
struct store;
struct store_due;
struct vault;

struct pipeline_callbacks {
	/* A job has a new event, number seq, and it is on disk. */
	void (*on_event)(int64_t job, int64_t seq, void *context);
	/* A step ended or a due time changed: look for what to run. Never called from within pipeline_run. */
	void (*on_idle)(void *context);
	/* A disk failed under our feet (G6): end with this exit status and start again from what is on disk. */
	void (*on_fatal)(int status, void *context);
	void *context;
};

/* All but callbacks must outlive it. */
struct pipeline *pipeline_new(struct loop *loop, struct store *store, struct vault *vault,
			      struct providers *providers, const struct pipeline_callbacks *callbacks);
/* Drops what is under way; the disk knows what is due. NULL is fine. */
void pipeline_free(struct pipeline *pipeline);

/*
 * Runs the step that is due, unless it runs already. false: not now, because the provider is paused or
 * all its transfers are taken; try again when on_idle is called or the time comes.
 */
bool pipeline_run(struct pipeline *pipeline, const struct store_due *due);
/*
 * Runs the poll of a shard whose batch was seen in the provider's list: text, the object that stands there, is its answer. false: it is
 * not to be polled now, or something of it is under way.
 */
bool pipeline_run_told(struct pipeline *pipeline, const struct store_due *due, const char *text, size_t size);
/* Whether a step of it is under way: then nobody else may write it. */
bool pipeline_is_running(const struct pipeline *pipeline, const struct store_due *due);
/*
 * Around all that is done for a list that is read for everybody: a death in between is one of it. pipeline_died_listing: the process before
 * this one died so.
 */
void pipeline_enter_list(struct pipeline *pipeline);
void pipeline_leave_list(struct pipeline *pipeline);
bool pipeline_died_listing(const struct pipeline *pipeline);
/* Whether nothing new begins any more. */
bool pipeline_is_stopping(const struct pipeline *pipeline);
/*
 * Moves a shard that was not sent yet on to the next provider of its list, if it may go and there is one that can be sent to, unless a
 * step of it is under way: work/move.h.
 */
void pipeline_move(struct pipeline *pipeline, int64_t job, int64_t shard);
/* Steps under way. */
size_t pipeline_active(const struct pipeline *pipeline);

/*
 * Adds a job whose input is in the vault, with its first event; returns its number (0 when the turn is spoiled). The
 * first step is due at once. id, state and times of job are filled in here.
 */
int64_t pipeline_accept(struct pipeline *pipeline, struct job *job);
/*
 * Asks for a job's end: 0, also when it is being cancelled or is cancelled already; -EALREADY when it ended otherwise; -ENOENT. Durable
 * with this turn's commit; then no step of it creates anything.
 */
int pipeline_cancel(struct pipeline *pipeline, int64_t job);

/*
 * The word of the owner of a job that has not ended, about what is held: answers that cannot be had and are too many to be sent again
 * unasked are sent again (and paid again), or done without; what is damaged, or ended batchd again and again, is tried once more.
 * Returns how many shards waited for it (the job itself counts as one), or -ENOENT.
 */
int pipeline_speak(struct pipeline *pipeline, int64_t job, enum shard_word word);

/*
 * A person's word about an UNCERTAIN shard: SHARD_WORD_BATCH and the batch's id, or SHARD_WORD_NO_BATCH and NULL. The same word again
 * does nothing; a later one counts in place of one that was not followed yet.
 */
void pipeline_resolve(struct pipeline *pipeline, const struct job *job, const struct shard *shard, enum shard_word word,
		      const char *batch_id);

/* Starts nothing new and drops all but creates under way, which may finish. */
void pipeline_stop(struct pipeline *pipeline);

#endif
