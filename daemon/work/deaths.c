#include "daemon/work/deaths.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/loop.h"
#include "daemon/io/note.h"
#include "daemon/io/store.h"
#include "daemon/work/order.h"
#include "daemon/work/place.h"
#include "daemon/work/task.h"

/* What the note names, as it is on disk; a shard of id 0: the job itself. */
struct culprit {
	struct job job;
	struct shard shard;
};

static void culprit_release(struct culprit *culprit)
{
	job_release(&culprit->job);
	shard_release(&culprit->shard);
}

static void note_id(const struct shard *shard, void *context)
{
	*(int64_t *)context = shard->id;
}

/* False when it is not there any more, or not in the state of that step: then there is nothing to hold. */
static bool find_culprit(struct pipeline *pipeline, const struct note_entry *left, struct culprit *culprit)
{
	const struct step *step;
	int64_t id = 0;

	if (store_job_get(pipeline->store, left->job, &culprit->job))
		return false;
	if (left->shard && (store_shard_list(pipeline->store, left->job, left->shard - 1, 1, note_id, &id) || !id ||
			    store_shard_get(pipeline->store, id, &culprit->shard) ||
			    culprit->shard.number != left->shard))
		return false;
	step = pipeline_step(&culprit->job, left->shard ? &culprit->shard : NULL);
	return step->run && strcmp(step->name, left->step) == 0;
}

static char *place_of(const struct note_entry *left)
{
	return left->shard ? xasprintf(" while it worked on shard %" PRId64, left->shard) : xstrdup("");
}

static void hold(struct pipeline *pipeline, const struct note_entry *left, struct culprit *culprit, int64_t count)
{
	bool is_shard = culprit->shard.id != 0;
	char **why = is_shard ? &culprit->shard.why : &culprit->job.why;
	auto_free char *place = place_of(left);

	free(*why);
	*why = xasprintf("the step %s ended batchd %" PRId64 " times%s: it is held; `batchctl retry %" PRId64
			 "` lets it try again, `batchctl cancel %" PRId64 "` ends it",
			 left->step, count, place, left->job, left->job);
	log_error("a step ends batchd again and again, it is held", log_number("JOB", left->job),
		  log_number("SHARD", left->shard), log_text("STEP", left->step), log_number("COUNT", count));
	pipeline_tell(pipeline, &culprit->job, is_shard ? &culprit->shard : NULL, "job.note", "error", *why);
	if (is_shard) {
		culprit->shard.due_at = 0;
		/* Nobody waits behind what waits for a person. */
		if (place_is_unsent(&culprit->shard))
			place_give_back(&culprit->job, &culprit->shard, 0, loop_now_ms(pipeline->loop));
		order_place(pipeline, &culprit->job, &culprit->shard);
		store_shard_save(pipeline->store, &culprit->shard);
	} else {
		culprit->job.due_at = 0;
		store_job_save(pipeline->store, &culprit->job);
	}
}

static void tell(struct pipeline *pipeline, const struct note_entry *left, struct culprit *culprit, int64_t count)
{
	auto_free char *place = place_of(left);
	auto_free char *words = xasprintf("batchd ended in the middle of the step %s%s, %" PRId64
					  " times now without getting on; after %d it is held",
					  left->step, place, count, DEATHS_MOST);

	log_warning("batchd ended in the middle of a step, which is done again", log_number("JOB", left->job),
		    log_number("SHARD", left->shard), log_text("STEP", left->step), log_number("COUNT", count));
	pipeline_tell(pipeline, &culprit->job, culprit->shard.id ? &culprit->shard : NULL, "job.note", "warning", words);
}

static void count_one(struct pipeline *pipeline, const struct note_entry *left)
{
	__attribute__((cleanup(culprit_release))) struct culprit culprit = { 0 };
	int64_t count;

	if (!find_culprit(pipeline, left, &culprit))
		return;
	count = store_death_add(pipeline->store, left->job, left->shard, left->step);
	/* A job that shall end anyway is not held: it ends without that step. */
	if (count >= DEATHS_MOST && culprit.job.state != JOB_CANCELLING)
		hold(pipeline, left, &culprit, count);
	else
		tell(pipeline, left, &culprit, count);
}

void deaths_count(struct pipeline *pipeline, const struct note_entry *left)
{
	struct error err = { 0 };

	pipeline->has_died_listing = left->job == DEATHS_NO_JOB;
	if (pipeline->has_died_listing) {
		log_warning("batchd ended in the middle of a provider's list, which is left alone for a while");
	} else if (left->job) {
		count_one(pipeline, left);
		/* The note will be written over by the first step that runs. */
		if (store_commit(pipeline->store, &err))
			log_error("a death could not be counted", log_text("WHY", err.text));
	}
	note_leave(pipeline->note);
	pipeline->has_deaths = store_death_total(pipeline->store) > 0;
}

bool deaths_forbid(const struct task *task, int64_t *ret_count)
{
	const struct pipeline *pipeline = task->pipeline;
	int64_t count = 0;

	if (pipeline->has_deaths)
		count = store_death_count(pipeline->store, task->job.id, task->shard.number, task->step->name);
	if (ret_count)
		*ret_count = count;
	return count >= DEATHS_MOST;
}
