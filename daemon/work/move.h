/*
 * Rows that move on: from the provider that their shard is to be sent to, and that cannot take it, to the next of its list (work/route).
 * Those of a shard that may be at the provider never do: their answers may have been paid for. So a row is at one provider at a time.
 *
 * Where it can, the shard itself goes. Where something of it is at the provider, or the next one's limits are smaller, it is DROPPED,
 * and its rows go in new shards within those limits; rows that the next provider takes in no batch stay behind in one of their own.
 * Attempts are counted anew there. Each move is told in the history. Inside of the pipeline.
 */
#ifndef BATCHD_WORK_MOVE_H
#define BATCHD_WORK_MOVE_H

#include <stdbool.h>

struct task;

/* Whether the task's shard was not sent, beyond doubt, and nobody holds it, so that it may go. */
bool move_is_free(const struct task *task);

/* Ends the task of a shard that may go, and whose provider is to be left: it goes, or all stays as it is. */
void move_on(struct task *task);

/*
 * Whether the task ended because its rows, which the provider refused for good, went to the next one: the reason (its code, or NULL, and
 * its words) is one of the provider and not of the requests, its batch did no work or was not made, and there is another provider.
 */
bool move_refused(struct task *task, const char *code, const char *words);

#endif
