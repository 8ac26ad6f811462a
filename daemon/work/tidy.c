#include "daemon/work/tidy.h"

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/provider.h"
#include "daemon/work/strays.h"
#include "daemon/work/task.h"

static bool has_batch_ended(const struct shard *shard)
{
	return !shard->batch_id || api_status_is_terminal(api_status_of(shard->remote_status));
}

bool tidy_is_input_free(const struct shard *shard)
{
	switch (shard->state) {
	case SHARD_COLLECTED:
		return has_batch_ended(shard);
	case SHARD_DROPPED:
		return true;
	case SHARD_CANCELLED:
		return !shard->intended_at && !shard->batch_id;
	case SHARD_CUT:
	case SHARD_UPLOADED:
	case SHARD_CREATED:
	case SHARD_ENDED:
	case SHARD_FETCHED:
	case SHARD_UNCERTAIN:
		break;
	}
	return false;
}

/*
 * Whether the result files may go: each answer was there, and could be read. What is not whole is left for people to look at, and
 * so is what was made before the copy that this store was restored from: the original may have to fetch it yet.
 */
static bool is_result_free(struct pipeline *pipeline, const struct shard *shard)
{
	const struct shard_tally *tally = &shard->tally;

	return shard->state == SHARD_COLLECTED && shard->batch_id && has_batch_ended(shard) && !shard->refusal &&
	       !tally->missing && !tally->lost && !tally->resent && !tally->unknown && !tally->unreadable &&
	       shard->intended_at > store_restored_from(pipeline->store);
}

static void note(struct pipeline *pipeline, const struct shard *shard, enum store_stray_kind kind, const char *file_id,
		 int64_t wait_ms)
{
	int64_t now = loop_now_ms(pipeline->loop);
	auto_free char *name = strays_file_name(shard->marker);
	const struct store_stray stray = {
		.provider = shard->provider,
		.shard = shard->id,
		.name = name,
		.file_id = (char *)(uintptr_t)file_id,
		.bytes = shard->bytes,
		.sent_at = now,
		.due_at = now + wait_ms,
		.kind = kind,
	};

	if (file_id)
		(void)store_stray_add(pipeline->store, &stray);
}

void tidy_note_end(struct pipeline *pipeline, const struct shard *shard)
{
	const struct provider *provider = providers_find(pipeline->providers, shard->provider);

	/* The file of one that was dropped is its heir's, or was noted when it was passed on. */
	if (!provider || !shard->uploaded_at || !shard_is_ended(shard->state) || shard->state == SHARD_DROPPED)
		return;
	if (strays_may_delete(provider, STRAY_INPUT) && tidy_is_input_free(shard))
		note(pipeline, shard, STRAY_INPUT, shard->provider_file, 0);
	if (strays_may_delete(provider, STRAY_RESULT) && is_result_free(pipeline, shard)) {
		note(pipeline, shard, STRAY_RESULT, shard->remote_output, provider->config->delete_results_after);
		note(pipeline, shard, STRAY_RESULT, shard->remote_error, provider->config->delete_results_after);
	}
}
