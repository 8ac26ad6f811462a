#include "daemon/work/redo.h"

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/model/load.h"
#include "daemon/work/provider.h"
#include "daemon/work/rows.h"
#include "daemon/work/split.h"
#include "daemon/work/strays.h"
#include "daemon/work/task.h"

/* A new shard for rows of this one. */
static struct shard heir(const struct task *task, int64_t number)
{
	return (struct shard){
		.number = number,
		.model = task->shard.model,
		.url = task->shard.url,
		.attempt = task->shard.attempt,
		/* A batch that was found absent, and appears later, does the work of whoever has the rows then. */
		.absent_at = task->shard.absent_at < 0 ? -task_now(task) : 0,
	};
}

/*
 * In a restored copy the original may have done the same with a batch that both knew, or that it created by the intent that the copy
 * found; and its new one is of the same file: it is looked for first.
 */
static int64_t inherited_intent(struct task *task)
{
	int64_t restored_from = store_restored_from(task_store(task));
	int64_t created_at = task->shard.batch_created_at;
	int64_t intended_at = task->shard.intended_at;

	return (created_at && created_at <= restored_from) || (intended_at && intended_at <= restored_from) ?
		       restored_from :
		       0;
}

/* All of the rows go to next, whose number, state and counts of patience are known. */
static void pass_on(struct task *task, struct shard next, int64_t wait_ms, const char *words)
{
	const struct shard *shard = &task->shard;
	auto_free char *from = rows_members_name(shard->number);
	auto_free char *to = rows_members_name(next.number);
	struct error err = { 0 };
	int r = rows_copy(task_vault(task), task->job.id, from, to, &err);

	/* One whose batch was found, and never uploaded here, may know of no file. */
	if (next.state == SHARD_UPLOADED && !shard->provider_file)
		next.state = SHARD_CUT;
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	next.requests = shard->requests;
	next.bytes = shard->bytes;
	next.inputs = shard->inputs;
	next.tokens = shard->tokens;
	if (next.state == SHARD_UPLOADED) {
		next.provider_file = shard->provider_file;
		next.uploaded_at = shard->uploaded_at;
		next.intended_at = inherited_intent(task);
	} else {
		strays_note_file(task, shard->provider_file);
	}
	task_add_shard(task, &next, wait_ms);
	task_go(task, SHARD_DROPPED, words);
}

/* The one that gets all of its rows. False: the task has failed. */
static bool make_heir(struct task *task, struct shard *ret_heir)
{
	struct error err = { 0 };
	int64_t number = 0;
	int r = task_next_number(task, &number, &err);

	if (r)
		task_fail(task, r, err.text);
	else
		*ret_heir = heir(task, number);
	return r == 0;
}

void redo_same(struct task *task, enum shard_state born, int64_t wait_ms, const char *words)
{
	struct shard next;

	if (!make_heir(task, &next))
		return;
	next.state = born;
	next.redone = task->shard.redone + 1;
	next.waits = task->shard.waits;
	pass_on(task, next, wait_ms, words);
}

void redo_waiting(struct task *task, const char *words)
{
	struct shard next;

	if (!make_heir(task, &next))
		return;
	next.state = SHARD_UPLOADED;
	next.redone = task->shard.redone;
	next.waits = task->shard.waits + 1;
	pass_on(task, next, 0, words);
}

void redo_settled(struct task *task, const char *words)
{
	struct shard next;

	if (!make_heir(task, &next))
		return;
	next.state = SHARD_UPLOADED;
	next.redone = task->shard.redone;
	next.waits = task->shard.waits;
	next.absent_at = -task_now(task);
	pass_on(task, next, 0, words);
}

void redo_halves(struct task *task, const char *words, const char *code)
{
	int64_t number = 0;
	struct load_limits limits;
	struct load loads[2];
	struct error err = { 0 };
	int r;

	if (task->shard.requests < 2) {
		task->refusal_code = xstrdup(code);
		task_finish(task, TASK_HOPELESS, words);
		return;
	}
	provider_limits(task->provider, task->shard.model, &limits);
	r = task_next_number(task, &number, &err);
	if (!r)
		r = split_halve(task_vault(task), task->job.id, task->shard.number, number, &limits, loads, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	for (int i = 0; i < 2; i++) {
		struct shard next = heir(task, number + i);

		next.state = SHARD_CUT;
		next.requests = loads[i].requests;
		next.bytes = loads[i].bytes;
		next.inputs = loads[i].inputs;
		next.tokens = loads[i].tokens;
		/*
		 * It ends by itself, for a half is smaller; so it takes nothing from the patience
		 * with failures of other kinds.
		 */
		next.redone = task->shard.redone;
		next.waits = task->shard.waits;
		task_add_shard(task, &next, 0);
	}
	strays_note_file(task, task->shard.provider_file);
	task_go(task, SHARD_DROPPED, words);
}
