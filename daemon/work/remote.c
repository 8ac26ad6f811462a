#include "daemon/work/remote.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/limits.h"
#include "daemon/work/place.h"
#include "daemon/work/provider.h"
#include "daemon/work/redo.h"
#include "daemon/work/task.h"

/* What a shard waits for says so, and by these words the next look knows that it was told. */
#define STUCK "stuck: "
#define FORGOTTEN_TRIES 16
/* Where no list proves that it is gone, for that may be of a wrong address, or another account's. */
#define UNPROVED_TIMES	7

void remote_tell_unknown(struct task *task, const struct api_batch *batch)
{
	const char *before = task->shard.remote_status;
	auto_free char *words = NULL;

	if (batch->status != API_STATUS_UNKNOWN || (before && strcmp(before, batch->status_text) == 0))
		return;
	words = xasprintf("the provider gives a status that is not known, \"%.100s\"; polling goes on", batch->status_text);
	task_tell(task, "shard.note", "warning", words);
}

/* Takes over a count of the provider's, as far as it can be true. Returns whether that is news. */
static bool note_count(int64_t *count, int64_t told, int64_t most, bool is_final)
{
	if (told > most)
		told = most;
	if (!is_final && told <= *count)
		return false;
	*count = told > 0 ? told : 0;
	return true;
}

bool remote_note_progress(struct shard *shard, const struct api_batch *batch, int64_t now)
{
	bool is_changed = !shard->remote_status || strcmp(shard->remote_status, batch->status_text) != 0;
	/* On their way counts may lag and fall; those of an ended batch, where it has any, are its last word. */
	bool is_final = api_status_is_terminal(batch->status) && batch->completed + batch->failed > 0;

	is_changed |= note_count(&shard->remote_completed, batch->completed, shard->requests, is_final);
	is_changed |= note_count(&shard->remote_failed, batch->failed, shard->requests, is_final);
	free(shard->remote_status);
	shard->remote_status = xstrdup(batch->status_text);
	shard->polls = is_changed ? 0 : shard->polls + 1;
	/* A time to come is of a clock that was set back since. */
	if (is_changed || !shard->changed_at || shard->changed_at > now)
		shard->changed_at = now;
	return is_changed;
}

char *remote_wait_words(const struct api_batch *batch)
{
	return xasprintf("the provider: %s", batch->status_text);
}

bool remote_is_stuck(const struct config_provider *config, const struct shard *shard, int64_t now)
{
	return config->stuck_after && shard->changed_at && now - shard->changed_at >= config->stuck_after;
}

void remote_note_gone(struct shard *shard, int64_t now)
{
	/* A time to come is of a clock that was set back since. */
	if (!shard->missed_at || shard->missed_at > now)
		shard->missed_at = now;
}

bool remote_is_forgotten(const struct config_provider *config, const struct shard *shard, bool is_proved, int64_t now)
{
	int64_t patience_ms = config->stuck_after * (is_proved ? 1 : UNPROVED_TIMES);

	return config->stuck_after && shard->missed_at && shard->tries >= FORGOTTEN_TRIES &&
	       now - shard->missed_at >= patience_ms;
}

bool remote_is_stuck_told(const struct shard *shard)
{
	return shard->why && strncmp(shard->why, STUCK, sizeof(STUCK) - 1) == 0;
}

char *remote_stuck_words(const struct config_provider *config, const struct api_batch *batch)
{
	auto_free char *duration = config_show_duration(config->stuck_after);

	return xasprintf(STUCK "the provider says %s, and nothing has moved for %s", batch->status_text, duration);
}

bool remote_resends_stuck(const struct config_provider *config)
{
	return config->stuck_action && strcmp(config->stuck_action, "resend") == 0;
}

void remote_note_accepted(struct store *store, const struct shard *shard, const struct api_batch *batch)
{
	switch (batch->status) {
	case API_STATUS_IN_PROGRESS:
	case API_STATUS_FINALIZING:
	case API_STATUS_COMPLETED:
		limits_note_accepted(store, shard->provider, shard->model, shard->batch_created_at);
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
