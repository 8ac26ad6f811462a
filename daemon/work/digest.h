/*
 * The failures of a job by what they say, for people: messages that differ in numbers and ids
 * alone are one. Counted as shards are collected, bounded however many there are.
 */
#ifndef BATCHD_WORK_DIGEST_H
#define BATCHD_WORK_DIGEST_H

#include <stddef.h>
#include <stdint.h>

struct digest;
struct store;

/* Beyond so many distinct messages of one shard, or job, the rest counts as "other". */
#define DIGEST_MAX 100
#define DIGEST_MAX_MESSAGE 400 /* bytes that are kept of a message */
#define DIGEST_ROWS 5	       /* rows that are named */

struct digest *digest_new(void);
/* NULL is fine. */
void digest_free(struct digest *digest);

/* Counts one failure: code and message are UTF-8, decoded; either may be empty. row: from 0, ascending. */
void digest_add(struct digest *digest, const char *code, size_t code_size, const char *message,
		size_t message_size, int64_t row);
/*
 * The gist of a message, into gist (DIGEST_MAX_MESSAGE + 1 bytes): numbers, times ("6m0s"), UUIDs, ids behind a prefix ("req_abc123") and words
 * of hexadecimal digits that hold one become "#". A word in quotes is a name (a model, a parameter, a custom_id): in it only UUIDs and ids do.
 */
void digest_gist(const char *message, size_t size, char *gist);

/* Adds what was counted to the job's in the store, in this turn. */
void digest_keep(const struct digest *digest, struct store *store, int64_t job);

#endif
