/*
 * What is told of a request that has no answer, and its line in the documented form of one that was
 * not executed:
 *	{"id":null,"custom_id":"...","response":null,"error":{"code":"batch_cancelled","message":"..."}}
 * The codes are batch_expired, batch_cancelled, missing, lost, and of a refused batch that of its
 * refusal, or refused.
 */
#ifndef BATCHD_WORK_UNANSWERED_H
#define BATCHD_WORK_UNANSWERED_H

#include "daemon/model/record.h"

struct buffer;
struct outcomes_shard;
struct row_id;

#define UNANSWERED_MAX_WHY 1000 /* bytes of a refusal's words that are told, and of its code */

/*
 * Appends {"code":"...","message":"..."} for a kind that ends a request without an answer; any
 * other kind counts as missing. shard: the one that it was in, whose refusal is told of a refused
 * one, any bytes as valid JSON; NULL: none.
 */
void unanswered_error(struct buffer *buffer, enum outcome_kind kind, const struct outcomes_shard *shard);

/* Appends the line, with its newline. */
void unanswered_line(struct buffer *buffer, const struct row_id *id, enum outcome_kind kind,
		     const struct outcomes_shard *shard);

#endif
