/* A person's word about what is held: it may try again. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/work/task.h"

/* A job whose own step is held says why, and is not due. */
static bool free_held_job(struct pipeline *pipeline, struct job *job)
{
	if (job->due_at || !job->why || job_is_ended(job->state))
		return false;
	free(take(job->why));
	job->due_at = loop_now_ms(pipeline->loop);
	store_job_save(pipeline->store, job);
	return true;
}

int pipeline_speak(struct pipeline *pipeline, int64_t job_id, enum shard_word word)
{
	auto_job job = { 0 };
	int64_t count = 0, asked = 0;
	int r = store_job_get(pipeline->store, job_id, &job);

	if (!r)
		r = store_shard_held(pipeline->store, job_id, &count, &asked);
	if (r)
		return r;
	if (free_held_job(pipeline, &job))
		count++;
	if (!count)
		return -ENOENT;
	store_shard_speak(pipeline->store, job_id, word, loop_now_ms(pipeline->loop));
	store_death_forget(pipeline->store, job_id, -1);
	if (asked)
		pipeline_tell(pipeline, &job, NULL, "job.note", "info",
			      word == SHARD_WORD_RESEND ?
				      "its owner wants the requests without an answer sent again, and paid for again" :
				      "its owner goes on without the answers that cannot be had");
	if (count > asked)
		pipeline_tell(pipeline, &job, NULL, "job.note", "info", "its owner lets what was held try again");
	return (int)count;
}
