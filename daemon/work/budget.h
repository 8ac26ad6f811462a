/*
 * Budgets: of a job (its tokens and its money), and of a user on a day (UTC). What a shard may use is taken from them before it is sent,
 * as estimated; what it did use takes that place once, when it ends. Both stand in the shard's row (budgeted_at), in the same
 * transaction, so that whatever happens in between it is counted once.
 *
 * The estimate: a shard's input tokens as the bytes tell, and as many of output; once answers of the same model and url have come in the
 * job, both in the proportion that these have. Money: by the prices of [model NAME], less the batch_discount of the shard's provider. A model
 * without a price costs nothing on a user's day; for a job with a budget of money it cannot be sent, for that could not be kept.
 *
 * What it did use: the tokens that the answers tell; of answers that do not tell, that cannot be had, or that may exist for all we
 * know, as estimated. So a budget may be exceeded by as much as the estimates of what is in flight were too low, and by no more.
 */
#ifndef BATCHD_WORK_BUDGET_H
#define BATCHD_WORK_BUDGET_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct job;
struct shard;
struct store;

/*
 * Whether a shard that waits may be sent at now, as far as the budgets go. If not: why, one phrase that the caller frees, and until
 * when (Unix milliseconds; 0: until a person raises it, or something in flight uses less than was thought). Both may be NULL.
 */
bool budget_has_room(struct store *store, const struct config *config, const struct job *job, const struct shard *shard,
		     int64_t now, char **ret_why, int64_t *ret_until);

/* Takes a shard's part, also beyond a budget, and notes it in shard, which the caller saves, and in the sums of job. */
void budget_reserve(struct store *store, const struct config *config, struct job *job, struct shard *shard, int64_t now);

/*
 * Of a shard as it ended just now, or that gives its place back (it has not ended): puts what it used in place of what it had taken. The
 * caller saves it in the same turn. A shard that had taken nothing, and used nothing, is left alone.
 */
void budget_settle(struct store *store, const struct config *config, const struct job *job, struct shard *shard, int64_t now);

#endif
