/*
 * How a job that shall end comes to its end where a step of it cannot be run: because its files are damaged, or because
 * the step ends the daemon. For each state, the way on that needs nothing of what is damaged.
 */
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/store.h"
#include "daemon/work/api.h"
#include "daemon/work/deaths.h"
#include "daemon/work/provider.h"
#include "daemon/work/task.h"

#define CODE "given_up"

static char *one_error(const char *words)
{
	struct json_object *list, *entry;
	char *text;

	alloc_watch();
	list = json_object_new_array();
	entry = json_object_new_object();
	json_object_object_add(entry, "code", json_object_new_string(CODE));
	json_object_object_add(entry, "message", json_object_new_string(words));
	json_object_object_add(entry, "param", NULL);
	json_object_object_add(entry, "line", NULL);
	json_object_array_add(list, entry);
	text = xstrdup(json_object_to_json_string_ext(list, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	alloc_check();
	json_object_put(list);
	return text;
}

/* Every request is accounted for: what was found when answers were collected, and the rest, which nobody wants. */
static void note_given_up(struct job *job, void *context)
{
	struct job_counts *counts = &job->counts;

	counts->cancelled = counts->total - counts->ok - counts->failed - counts->expired;
	/* Lines that were wrong have their errors there already; errors_total counts such lines alone. */
	if (!job->errors)
		job->errors = one_error(context);
}

/* The rows get answers that say why they have none. */
static void refuse(struct task *task, const char *words)
{
	task->refusal_code = xstrdup(CODE);
	task_finish(task, TASK_HOPELESS, words);
}

void task_give_up(struct task *task, const char *words)
{
	auto_free char *own = xstrdup(words);

	log_error("a step cannot be run, and its job was cancelled: it ends without", log_number("JOB", task->job.id),
		  log_number("SHARD", task->shard.number), log_text("STEP", task->step->name));
	task_tell(task, "job.note", "error", own);
	if (!task->shard.id) {
		(void)task_update_job(task, note_given_up, own);
		task_finish(task, TASK_HOPELESS, own);
		return;
	}
	switch (task->shard.state) {
	case SHARD_CUT:
	case SHARD_UPLOADED:
		/* A batch that may exist is not forgotten: it goes the way of all that is in doubt. */
		task_go(task, task->shard.intended_at ? SHARD_UNCERTAIN : SHARD_CANCELLED, own);
		break;
	case SHARD_CREATED:
		refuse(task, own);
		break;
	case SHARD_ENDED:
		/* What is not here is missed, and is no damage. */
		task->shard.missed_at = task_now(task);
		task_finish(task, TASK_DONE, own);
		break;
	case SHARD_FETCHED:
		task_go(task, SHARD_CANCELLED, own);
		break;
	case SHARD_UNCERTAIN:
		task->shard.word = SHARD_WORD_NONE;
		task->step->run(task);
		break;
	case SHARD_COLLECTED:
	case SHARD_DROPPED:
	case SHARD_CANCELLED:
		break;
	}
}

static char *deadly_words(const struct task *task, int64_t count)
{
	return xasprintf("the step %s ended batchd %" PRId64 " times, and its job was cancelled: it is not run again",
			 task->step->name, count);
}

static void on_last_cancel(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	auto_free char *words = NULL;
	int64_t count;

	task->request = NULL;
	if (answer->verdict != API_OK && answer->verdict != API_REFUSED && answer->verdict != API_GONE) {
		task_finish_answer(task, answer);
		return;
	}
	(void)deaths_forbid(task, &count);
	words = deadly_words(task, count);
	task->shard.is_cancel_sent = true;
	task_give_up(task, words);
}

bool task_skip_deadly(struct task *task)
{
	auto_free char *words = NULL;
	int64_t count;

	if (task->job.state != JOB_CANCELLING || !deaths_forbid(task, &count))
		return false;
	words = deadly_words(task, count);
	/* Its batch costs money: the provider is told, once. If that call is the deadly one, the count says so. */
	if (task->shard.state == SHARD_CREATED && !task->shard.is_cancel_sent && count == DEATHS_MOST)
		task->request = api_cancel(task->provider->api, task->shard.batch_id, on_last_cancel, task);
	else
		task_give_up(task, words);
	return true;
}
