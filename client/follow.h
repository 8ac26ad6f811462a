/*
 * A job's events, one after the other, each once: over lost connections and restarts of the
 * daemon, from the last event on. And the wait for a job's end that is built on them.
 */
#ifndef BATCHD_CLIENT_FOLLOW_H
#define BATCHD_CLIENT_FOLLOW_H

#include <stdbool.h>
#include <stdint.h>

#include "client/job.h"

struct follow {
	struct connection *connection;
	int64_t job;
	int64_t after; /* number of the last event seen; moves on */
	bool is_live;  /* wait for events to come, until the job's last; else what there is now */
	int64_t patience_ms; /* how long batchd may be out of reach */
	int64_t deadline_ms; /* connection_now_ms(); 0: none */
	/* true: enough. */
	bool (*on_event)(struct json_object *event, void *context);
	void (*on_tick)(void *context); /* NULL: none */
	void *context;
};

/* 0 after the last event, or when on_event had enough; else the exit status and why (not yet told).
 */
int follow_run(struct follow *follow, struct failure *ret_failure);

/* The batch object, which the caller puts; waits for batchd where it is away. As follow_run. */
int follow_get(struct connection *connection, int64_t job, int64_t patience_ms, int64_t deadline_ms,
	       struct json_object **ret_batch, struct failure *ret_failure);

/* Tells why a wait ended before its job; returns the exit status. */
int follow_tell(const struct failure *failure, int64_t job);

/*
 * Waits until a job is over: a bar on a terminal, words where it does not go well. Returns 0 with
 * its batch object, which the caller puts; or the exit status, which was told.
 */
int follow_to_end(struct connection *connection, int64_t job, int64_t patience_ms,
		  int64_t deadline_ms, struct json_object **ret_batch);

#endif
