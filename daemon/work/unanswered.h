/*
 * The line of a request that has no answer, in the documented form of one that was not executed:
 *	{"id":null,"custom_id":"...","response":null,"error":{"code":"batch_cancelled","message":"..."}}
 */
#ifndef BATCHD_WORK_UNANSWERED_H
#define BATCHD_WORK_UNANSWERED_H

#include "daemon/model/record.h"

struct buffer;
struct row_id;

#define UNANSWERED_MAX_WHY 1000 /* bytes of the provider's words that are told */

/*
 * Appends the line, with its newline, for a kind that ends a request without an answer; any other
 * kind counts as missing. why: the provider's words, any bytes, may be NULL; told of a refused
 * batch alone.
 */
void unanswered_line(struct buffer *buffer, const struct row_id *id, enum outcome_kind kind,
		     const char *why);

#endif
