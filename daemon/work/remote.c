#include "daemon/work/remote.h"

#include <string.h>

#include "daemon/io/loop.h"
#include "daemon/model/backoff.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/task.h"

#define FULL_FIRST_MS (60 * 1000)
#define FULL_LONGEST_MS (60 * 60 * 1000)

void remote_tell_unknown(struct task *task, const struct api_batch *batch)
{
	const char *before = task->shard.remote_status;

	if (batch->status == API_STATUS_UNKNOWN && (!before || strcmp(before, batch->status_text) != 0))
		task_tell(task, "shard.note", "warning",
			  "the provider gives a status that is not known; polling goes on");
}

int64_t remote_full_wait(struct task *task, int64_t times)
{
	return backoff_retry_ms(FULL_FIRST_MS, FULL_LONGEST_MS, (uint32_t)times, loop_random(task_loop(task)));
}
