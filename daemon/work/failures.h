/*
 * Why the rows of a shard failed for good, in the words of their answers, or in ours where they have none: counted in a digest.
 */
#ifndef BATCHD_WORK_FAILURES_H
#define BATCHD_WORK_FAILURES_H

#include <stdint.h>

struct digest;
struct error;
struct failures;
struct member;
struct shard;
struct vault;

/* Longer answer lines count under their HTTP status alone. */
#define FAILURES_MAX_LINE (64 * 1024)

/* Opens the shard's downloads, as far as they are there. vault must outlive it; shard is copied. */
int failures_new(struct vault *vault, int64_t job, const struct shard *shard, struct failures **ret_failures,
		 struct error *err);
/* Counts a row that failed, by its kind, source and answer. Returns how many bytes were read for it, or -errno. */
int64_t failures_add(struct failures *failures, const struct member *member, struct error *err);
/* The words and the code of refused rows from here on, instead of the shard's. */
void failures_refusal(struct failures *failures, const char *code, const char *words);
const struct digest *failures_digest(const struct failures *failures);
/* NULL is fine. */
void failures_free(struct failures *failures);

#endif
