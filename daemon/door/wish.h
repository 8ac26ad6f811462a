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

/* About its order among others; 0: nothing was asked for. */
struct wish_order {
	int64_t priority;
	int64_t begin_at; /* Unix milliseconds */
	int64_t after_job;
	int64_t deadline_ms; /* from now */
	bool is_on_hold;
	int64_t budget_tokens;
	int64_t budget_cost; /* millionths */
};

/* Strings are owned; NULL where nothing was asked for. */
struct job_wish {
	char *endpoint, *window, *metadata, *file_name, *provider, *labels, *model;
	char *providers; /* as model/names has them; the first is provider */
	int64_t output_expires_s;
	int64_t max_attempts; /* 0: as configured */
	bool skips_invalid;
	bool is_wrapped;
	bool has_line_ids;
	struct wish_order order;
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
/* Those of them that are about its order: wish_order.c. */
int wish_order(struct visit *visit, struct job_wish *wish);
/* What is to be changed in a job that is there: priority and budgets, -1 where nothing is said; one of them must be. */
int wish_change(struct visit *visit, struct wish_order *order);

/* A fingerprint of everything that makes two submissions the same one. */
void wish_digest(const struct job_wish *wish, int64_t file, const uint8_t fingerprint[16], uint8_t ret_digest[32]);
/* A job of it as of now (Unix milliseconds), which borrows the strings; its owner and input are still to be named. */
void wish_job(const struct job_wish *wish, int64_t now, struct job *ret_job);

#endif
