/*
 * The fetch: the output file, then the error file, and whether together they have all the answers
 * that should be there.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/fetch.h"
#include "daemon/work/provider.h"
#include "daemon/work/rows.h"
#include "daemon/work/task.h"

/* Both files of a shard, one after the other. */
struct fetching {
	struct fetch *fetch; /* of the one under way, or NULL */
	bool is_error_file;
	bool is_lost; /* a file is gone: there is nothing to count */
	bool is_tail_broken;
	bool is_incomplete; /* the server says that it still writes to a file */
	int64_t answers, ran, unreadable;
	int64_t resumes;
};

static void free_fetching(void *work)
{
	struct fetching *fetching = work;

	fetch_free(fetching->fetch);
	free(fetching);
}

/* Whether what is not there is still looked for. */
static bool is_probing(struct task *task)
{
	/* What began in the future began before the clock was set back: it would last for years. */
	if (!task->shard.missed_at || task->shard.missed_at > task_now(task))
		task->shard.missed_at = task_now(task);
	return task_now(task) < task->shard.missed_at + task->provider->config->probe_lost;
}

static bool is_completed(const struct shard *shard)
{
	return api_status_of(shard->remote_status) == API_STATUS_COMPLETED;
}

/*
 * A batch that completed answers every request; of any other, the provider's counts tell. What
 * succeeded there must be among what ran: a line that says that a request expired answers none that
 * did.
 */
static bool has_expected(const struct task *task, int64_t *ret_expected)
{
	const struct fetching *fetching = task->work;
	const struct shard *shard = &task->shard;
	int64_t promised = shard->remote_completed + shard->remote_failed;
	bool is_all_promised = is_completed(shard) || promised > shard->requests;

	*ret_expected = is_all_promised ? shard->requests : promised;
	return fetching->answers >= *ret_expected && fetching->ran >= shard->remote_completed;
}

/* What is wrong with the files, taken together; NULL: nothing that looking again could mend. */
static char *lack_of(const struct task *task)
{
	const struct fetching *fetching = task->work;
	auto_buffer words = { 0 };
	int64_t expected;
	bool is_enough = has_expected(task, &expected);

	/* With an answer for every request, a line of junk beside them is no loss. */
	if (is_enough && (fetching->answers >= task->shard.requests ||
			  (!fetching->unreadable && !fetching->is_incomplete)))
		return NULL;
	buffer_add_format(&words, "the result files have %" PRId64 " lines", fetching->answers + fetching->unreadable);
	if (fetching->unreadable)
		buffer_add_format(&words, ", of which %" PRId64 " cannot be read", fetching->unreadable);
	if (fetching->is_tail_broken)
		buffer_add_text(&words, ", and end in the middle of a line");
	if (fetching->is_incomplete)
		buffer_add_text(&words, ", and are not complete by the provider's word");
	buffer_add_format(&words, "; %" PRId64 " answers should be there", expected);
	return xstrdup(buffer_text(&words));
}

static void finish_fetch(struct task *task)
{
	const struct fetching *fetching = task->work;
	auto_free char *lack = fetching->is_lost ? NULL : lack_of(task);
	auto_free char *words = NULL;

	if (lack && is_probing(task)) {
		task_finish(task, TASK_TRY_AGAIN, lack);
		return;
	}
	if (lack)
		task_tell(task, "shard.note", "warning", lack);
	if (fetching->resumes)
		words = xasprintf("resumed %" PRId64 " times", fetching->resumes);
	task_finish(task, TASK_DONE, words);
}

static void fetch_next(struct task *task);

/* A file is here, or is given up. */
static void end_file(struct task *task)
{
	struct fetching *fetching = task->work;

	fetch_free(take(fetching->fetch));
	if (fetching->is_error_file) {
		finish_fetch(task);
		return;
	}
	fetching->is_error_file = true;
	fetch_next(task);
}

static void on_missing(struct task *task, const char *words)
{
	struct fetching *fetching = task->work;

	if (is_probing(task)) {
		task_finish(task, TASK_TRY_AGAIN, words);
		return;
	}
	task_tell(task, "shard.note", "error", "a result file cannot be had from the provider; its answers are lost");
	fetching->is_lost = true;
	end_file(task);
}

static void on_whole(struct task *task, const struct fetch_result *result)
{
	struct fetching *fetching = task->work;
	auto_free char *name = rows_download_name(task->shard.number, fetching->is_error_file ? "err" : "out");
	struct error err = { 0 };
	int r;

	fetching->answers += result->answers;
	fetching->ran += result->ran;
	fetching->unreadable += result->unreadable;
	fetching->is_tail_broken |= result->is_tail_broken;
	fetching->is_incomplete |= result->is_incomplete;
	fetching->resumes += result->resumes;
	/* Kept whatever it lacks: a later look may find less, or nothing. */
	r = fetch_keep(fetching->fetch, task->job.id, name, &err);
	if (r)
		task_fail(task, r, err.text);
	else
		end_file(task);
}

static void on_fetched(const struct fetch_result *result, void *context)
{
	struct task *task = context;

	switch (result->end) {
	case FETCH_WHOLE:
		on_whole(task, result);
		break;
	case FETCH_CUT:
		if (result->is_damaged)
			on_missing(task, result->words);
		else
			task_finish(task, TASK_TRY_AGAIN, result->words);
		break;
	case FETCH_ANSWERED:
		if (result->answer->verdict == API_GONE || result->answer->verdict == API_REFUSED)
			on_missing(task, result->answer->words);
		else
			task_finish_answer(task, result->answer);
		break;
	case FETCH_FAILED:
		task_fail(task, result->problem->code, result->problem->text);
		break;
	}
}

static void fetch_next(struct task *task)
{
	struct fetching *fetching = task->work;
	const char *file = fetching->is_error_file ? task->shard.remote_error : task->shard.remote_output;

	if (!file) {
		end_file(task);
		return;
	}
	fetching->fetch = fetch_new(task->provider->api, task_vault(task), file, on_fetched, task);
}

/* A file that is named now, and was not when the batch was seen to have ended. */
static void learn_file(char **file, char **named)
{
	if (!*file)
		*file = take(*named);
}

static void on_looked(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct api_batch batch = { 0 };

	task->request = NULL;
	/* Whatever it says, the files that are known are worth another look. */
	if (answer->verdict == API_OK && !api_parse_batch(answer->body, answer->size, &batch, NULL)) {
		learn_file(&task->shard.remote_output, &batch.output_file_id);
		learn_file(&task->shard.remote_error, &batch.error_file_id);
		api_batch_release(&batch);
	}
	fetch_next(task);
}

void step_fetch(struct task *task)
{
	const struct shard *shard = &task->shard;
	bool is_one_unnamed = !shard->remote_output || !shard->remote_error;

	/* Nothing to fetch; what stands in place of a file was made here, and stays. */
	if (!shard->remote_output && !shard->remote_error) {
		task_finish(task, TASK_DONE, NULL);
		return;
	}
	task->work = xcalloc(1, sizeof(struct fetching));
	task->work_free = free_fetching;
	if (!task->shard.ended_at)
		task->shard.ended_at = task_now(task);
	/* What was missing may stand in a file that is named late. */
	if (shard->tries && is_one_unnamed)
		task->request = api_retrieve(task->provider->api, shard->batch_id, on_looked, task);
	else
		fetch_next(task);
}
