/*
 * What providers say of their limits: in the sentence of a refusal, and in the headers of answers. Read strictly, for a limit that was
 * misread would hold up everything: what is not plain is nothing.
 */
#ifndef BATCHD_MODEL_QUOTA_H
#define BATCHD_MODEL_QUOTA_H

#include <stdbool.h>
#include <stdint.h>

/*
 * The limit of enqueued tokens that a refusal names: "... Limit: 2,000,000 enqueued tokens. ...", "... the configured limit of 30K for ...".
 * -ENOENT when it names none.
 */
int quota_parse_limit(const char *words, int64_t *ret_tokens);

/*
 * A time as the headers x-ratelimit-reset-* have it, in milliseconds, rounded up: "1s", "6m30s", "17ms", "1h2m3.5s"; a bare number is of
 * seconds. More than 24 hours is 24 hours. -EINVAL.
 */
int quota_parse_duration(const char *text, int64_t *ret_ms);
/* A plain number of a header. -EINVAL. */
int quota_parse_count(const char *text, int64_t *ret_count);

/* "850", "30 K", "1.9 M", "2 M", "1.2 G": rounded down, or up, to one place. The caller frees. */
char *quota_show(int64_t count, bool is_rounded_up);

#endif
