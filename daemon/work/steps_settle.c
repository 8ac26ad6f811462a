/* What waits for a person's word: the word, when it came, and the cancel of the job, which is one too. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/utf8.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/provider.h"
#include "daemon/work/redo.h"
#include "daemon/work/remote.h"
#include "daemon/work/task.h"

static bool is_same(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

/* Ends what was never settled, for its owner does not want it any more. */
static void give_up(struct task *task)
{
	const char *file = task->shard.provider_file;
	auto_free char *words = xasprintf("whether a batch exists at the provider was never settled; it would be one of "
					  "the file %s with the marker %s, and might have to be cancelled there",
					  file ? file : "of these requests", task->shard.marker);

	free(take(task->shard.batch_id));
	task_tell(task, "shard.note", "error", words);
	task_go(task, SHARD_CANCELLED, "cancelled in uncertainty, by its owner");
}

/* The word cannot be followed: it counts no more, and another one is waited for. */
static void forget_word(struct task *task, const char *why)
{
	auto_free char *words = NULL;

	if (task_is_cancelled(task)) {
		give_up(task);
		return;
	}
	words = xasprintf("%s; say it again: batchctl resolve %" PRId64 " --shard %" PRId64 " --batch ID, or --none", why,
			  task->job.id, task->shard.number);
	task->shard.word = SHARD_WORD_NONE;
	task->shard.tries = 0;
	free(take(task->shard.batch_id));
	task_tell(task, "shard.note", "error", words);
	task->wait_ms = -1;
	task_finish(task, TASK_NOT_YET, words);
}

/* A word that came while an older one was followed is the one that counts. Returns whether the task ended with that. */
static bool takes_new_word(struct task *task)
{
	auto_shard now = { 0 };

	if (store_shard_get(task_store(task), task->shard.id, &now) ||
	    (now.word == task->shard.word && is_same(now.batch_id, task->shard.batch_id)))
		return false;
	task->shard.word = now.word;
	free(task->shard.batch_id);
	task->shard.batch_id = take(now.batch_id);
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
	return true;
}

static bool is_anothers(struct task *task, const char *batch_id)
{
	int64_t owner = 0;

	return store_shard_owner(task_store(task), task->shard.provider, batch_id, &owner) == 0 &&
	       owner != task->shard.id;
}

/* What speaks against a batch that a person named; NULL: nothing. */
static const char *find_objection(struct task *task, const struct api_batch *batch)
{
	const struct shard *shard = &task->shard;
	bool is_marked = batch->marker && strcasecmp(batch->marker, shard->marker) == 0;
	bool is_file_known = shard->provider_file && batch->input_file_id;

	if (is_anothers(task, shard->batch_id) || is_anothers(task, batch->id))
		return "belongs to another shard";
	if (is_marked)
		return NULL;
	if (is_file_known && strcmp(batch->input_file_id, shard->provider_file) != 0)
		return "is of another input file";
	if (!is_file_known && batch->marker)
		return "has another marker";
	return NULL;
}

/* The time is the provider's, as far as it can be true: a twin is told apart by its age. */
static void take_batch(struct task *task, const struct api_batch *batch)
{
	struct shard *shard = &task->shard;
	int64_t now = task_now(task);
	auto_free char *words = xasprintf("%s is its batch, by a person's word", shard->batch_id);

	remote_tell_unknown(task, batch);
	free(shard->remote_status);
	shard->remote_status = xstrdup(batch->status_text);
	shard->batch_created_at = batch->created_at && batch->created_at < now ? batch->created_at : now;
	if (!shard->provider_file)
		shard->provider_file = xstrdup(batch->input_file_id);
	shard->word = SHARD_WORD_NONE;
	shard->absent_at = -now;
	task_tell(task, "shard.adopted", "info", words);
	task_finish(task, TASK_DONE, shard->batch_id);
}

/* The id that a person gave, for people: it may be long. */
static char *told_id(const struct task *task)
{
	char *text = xasprintf("%.200s", task->shard.batch_id);

	utf8_trim(text);
	return text;
}

static void on_named(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct api_batch batch = { 0 };
	struct error err = { 0 };
	const char *objection;
	auto_free char *words = NULL;
	auto_free char *id = NULL;

	task->request = NULL;
	if (takes_new_word(task))
		return;
	id = told_id(task);
	if (answer->verdict == API_GONE || answer->verdict == API_REFUSED) {
		words = xasprintf("the provider has no batch %s (HTTP %d)", id, answer->status);
		forget_word(task, words);
		return;
	}
	if (answer->verdict != API_OK) {
		task_finish_answer(task, answer);
		return;
	}
	if (api_parse_batch(answer->body, answer->size, &batch, &err)) {
		task_finish(task, TASK_TRY_AGAIN, err.text);
		return;
	}
	objection = find_objection(task, &batch);
	if (objection) {
		words = xasprintf("batch %s %s", id, objection);
		forget_word(task, words);
	} else {
		take_batch(task, &batch);
	}
	api_batch_release(&batch);
}

static void settle_without_batch(struct task *task)
{
	if (task->job.state == JOB_RUNNING)
		redo_settled(task, "the provider has no batch of it, by a person's word");
	else
		task_go(task, SHARD_CANCELLED, "cancelled; the provider has no batch of it, by a person's word");
}

void step_settle(struct task *task)
{
	switch ((enum shard_word)task->shard.word) {
	case SHARD_WORD_BATCH:
		task->request = api_retrieve(task->provider->api, task->shard.batch_id, on_named, task);
		break;
	case SHARD_WORD_NO_BATCH:
		settle_without_batch(task);
		break;
	case SHARD_WORD_NONE:
	case SHARD_WORD_RESEND:
	case SHARD_WORD_ACCEPT:
	case SHARD_WORD_ASKED:
		give_up(task);
		break;
	}
}

void pipeline_resolve(struct pipeline *pipeline, const struct job *job, const struct shard *shard, enum shard_word word,
		      const char *batch_id)
{
	auto_free char *words = NULL;

	if (shard->word == word && is_same(shard->batch_id, batch_id))
		return;
	words = word == SHARD_WORD_BATCH ? xasprintf("a person says that %s is its batch", batch_id) :
					   xstrdup("a person says that the provider has no batch of it");
	store_shard_settle(pipeline->store, shard->id, word, batch_id, loop_now_ms(pipeline->loop));
	pipeline_tell(pipeline, job, shard, "shard.note", "info", words);
}
