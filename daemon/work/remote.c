#include "daemon/work/remote.h"

#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/limits.h"
#include "daemon/work/place.h"
#include "daemon/work/provider.h"
#include "daemon/work/redo.h"
#include "daemon/work/task.h"

void remote_tell_unknown(struct task *task, const struct api_batch *batch)
{
	const char *before = task->shard.remote_status;

	if (batch->status == API_STATUS_UNKNOWN && (!before || strcmp(before, batch->status_text) != 0))
		task_tell(task, "shard.note", "warning",
			  "the provider gives a status that is not known; polling goes on");
}

void remote_note_accepted(struct task *task, const struct api_batch *batch)
{
	switch (batch->status) {
	case API_STATUS_IN_PROGRESS:
	case API_STATUS_FINALIZING:
	case API_STATUS_COMPLETED:
		limits_note_accepted(task_store(task), task->shard.provider, task->shard.model, task->shard.batch_created_at);
		break;
	case API_STATUS_UNKNOWN:
	case API_STATUS_VALIDATING:
	case API_STATUS_CANCELLING:
	case API_STATUS_FAILED:
	case API_STATUS_EXPIRED:
	case API_STATUS_CANCELLED:
		break;
	}
}

void remote_finish_full(struct task *task, const char *words, const char *code, int64_t retry_after_ms)
{
	switch (limits_note_refusal(task_store(task), task->provider->config, &task->shard, words, retry_after_ms,
				    task_now(task))) {
	case LIMITS_HALVE:
		redo_halves(task, words, code);
		break;
	case LIMITS_HOPELESS:
		task->refusal_code = xstrdup(code);
		task_finish(task, TASK_HOPELESS, words);
		break;
	case LIMITS_WAIT:
		if (place_is_unsent(&task->shard))
			task_wait_turn(task, words);
		else
			redo_waiting(task, words);
		break;
	}
}
