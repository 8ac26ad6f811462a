/*
 * Jobs as the door shows them, and what went wrong when it did not show one: a failure is told
 * once, by the command that gives up, not where it happened.
 */
#ifndef BATCHD_CLIENT_JOB_H
#define BATCHD_CLIENT_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/connection.h"
#include "client/output.h"
#include "daemon/base/error.h"

struct failure {
	int status;    /* exit status */
	char code[64]; /* the daemon's, or empty */
	char text[512];
	bool is_passing; /* a lost connection, a full disk, "outcome unknown": another try may do
			    better */
	bool is_unsent;  /* no connection came about: nothing can have reached batchd */
	int64_t retry_after_s; /* what batchd asked for; 0 or less: it did not */
};

/*
 * What connection_perform returned, as a verdict. Returns 0 when there is an answer of status 2xx,
 * else the exit status, with *ret_failure filled in.
 */
int failure_read(int result, const struct error *err, const struct connection_reply *reply,
		 struct failure *ret_failure);

/* Tells it (job 0: none), returns its status. Of a signal it says nothing but the status. */
int failure_tell(const struct failure *failure, int64_t job);

/* GET of a path into an object, which the caller puts. 0 or the exit status. */
int service_get(struct connection *connection, const char *path, int64_t deadline_ms,
		struct json_object **ret_object, struct failure *ret_failure);

/* POST with an empty body; the same. */
int service_post(struct connection *connection, const char *path, struct json_object **ret_object,
		 struct failure *ret_failure);

/* The batch object of a job; the same. */
int job_get(struct connection *connection, int64_t job, int64_t deadline_ms,
	    struct json_object **ret_batch, struct failure *ret_failure);

/* POST with an empty body to "/v1/batches/batch_57" and suffix; the answered object. key: idempotency
 * key, NULL: none. */
int job_post(struct connection *connection, int64_t job, const char *suffix, const char *key,
	     struct json_object **ret_batch, struct failure *ret_failure);

/* "/v1/batches/batch_57" and suffix; the caller frees. */
char *job_path(int64_t job, const char *suffix);

/* Its number, 0 when the object is no batch. */
int64_t job_number(struct json_object *batch);

const char *job_status(struct json_object *batch);
/* "~1h10m" until it has ended, of a job or a shard (member "batchd.eta" or "eta"); "-" where nobody knows. out has WORDS_FIGURE bytes. */
const char *job_eta(struct json_object *object, const char *member, char *out);

/* Whether its status is a last one. */
bool job_is_over(struct json_object *batch);

/* The exit status that tells how it is, or how it ended. */
int job_outcome(struct json_object *batch);

/* The shards of a batch object, borrowed. */
struct json_object *job_shards(struct json_object *batch, size_t *ret_count);
/* Whether a shard waits for a person's word: about answers that cannot be had, a batch that may
 * exist, damage, or a step that ends the daemon; and how many of a batch object do. */
bool job_is_held(struct json_object *shard);
size_t job_held(struct json_object *batch);

/* Requests: all, with an answer (of any kind), failed. */
int64_t job_total(struct json_object *batch);
int64_t job_done(struct json_object *batch);
int64_t job_failed(struct json_object *batch);

enum output_colour job_colour(struct json_object *batch);

/* Parses an operand; tells and returns EXIT_USAGE when it is not a job id. */
int job_read_id(const char *word, int64_t *ret_job);

#endif
