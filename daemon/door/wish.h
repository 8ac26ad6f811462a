/*
 * What a job's owner asks for: the parameters that createBatch and the one-call submit share,
 * checked, and the fingerprint by which a repeated submission is known. Inside of daemon/door only.
 */
#ifndef BATCHD_DOOR_WISH_H
#define BATCHD_DOOR_WISH_H

#include <stdbool.h>
#include <stdint.h>

struct job;
struct json_object;
struct visit;

/* Strings are owned; NULL where nothing was asked for. */
struct job_wish {
	char *endpoint, *window, *metadata, *file_name, *provider, *labels, *model;
	char *providers; /* as model/names has them; the first is provider */
	int64_t output_expires_s;
	int64_t max_attempts; /* 0: as configured */
	bool skips_invalid;
	bool is_wrapped;
	bool has_line_ids;
};
void job_wish_release(struct job_wish *wish);

/* Each of these replies the error and returns -EINVAL when what it checks is not allowed. */

/* The Idempotency-Key, if there is one. */
int wish_key(struct visit *visit);
int wish_endpoint(struct visit *visit, const char *endpoint, struct job_wish *wish);
int wish_window(struct visit *visit, const char *window, struct job_wish *wish);
/* An object of strings within the documented limits; NULL: none. */
int wish_metadata(struct visit *visit, struct json_object *metadata, struct job_wish *wish);
/* The parameters of the query that are ours, on both calls: the providers, and how lines are read. */
int wish_choices(struct visit *visit, struct job_wish *wish);

/* A fingerprint of everything that makes two submissions the same one. */
void wish_digest(const struct job_wish *wish, int64_t file, const uint8_t fingerprint[16], uint8_t ret_digest[32]);
/* A job of it, which borrows the strings; its owner and input are still to be named. */
void wish_job(const struct job_wish *wish, struct job *ret_job);

#endif
