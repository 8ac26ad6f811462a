/*
 * Whether a step may begin: whether its provider may be called for what the step does first, and whether there is room for one more of
 * its kind. For the pipeline, and who calls it.
 */
#ifndef BATCHD_WORK_GATE_H
#define BATCHD_WORK_GATE_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/model/job.h"
#include "daemon/work/api.h"

struct job;
struct pipeline;
struct provider;
struct shard;
struct task;

/* Whether the step that is due calls its provider at all: local work does not, nor does the end of what never got there. */
bool gate_needs_provider(const struct job *job, const struct shard *shard);
/* What that step asks of its provider first. A poll may have to look for the batch's twins instead, in the list. */
enum api_call gate_first_call(const struct job *job, const struct shard *shard);
/* Whether there is room for it; if not, it stays due, and is looked at again when another one has ended. */
bool gate_has_room(const struct task *task);

/* The same, as far as it can be told without a look at the shard: false where it has none for certain. provider NULL: none, or not known. */
bool gate_may_have_room(const struct pipeline *pipeline, enum shard_state state, const struct provider *provider);

/*
 * Whether it must wait for its provider, which is none of its own failures: then *ret_why says for what, until the provider is asked the
 * next time, and the task's wait_ms for how long.
 */
bool gate_must_wait(struct task *task, const char **ret_why);
/* The wait after a try that failed: own_ms, its own, or the provider's where that has one. */
int64_t gate_retry_wait(struct task *task, int64_t own_ms);

/* It begins, and ends: what it takes of its provider's places. To be called in pairs, whatever comes between. */
void gate_enter(struct task *task);
void gate_leave(struct task *task);

#endif
