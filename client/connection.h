/*
 * Calls to batchd over its Unix socket. One call at a time; each runs until its answer is whole, or
 * until it is known why it will not be. Nothing is repeated here: who repeats knows what it costs.
 */
#ifndef BATCHD_CLIENT_CONNECTION_H
#define BATCHD_CLIENT_CONNECTION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client/json.h"
#include "daemon/base/cleanup.h"

struct connection;
struct error;
struct input;

struct connection_call {
	const char *method;       /* "GET" or "POST" */
	const char *path;         /* with its query; connection_query builds one */
	const char *content_type; /* of the body; NULL: none */
	const char *encoding;	  /* Content-Encoding that the body has; NULL: none */
	const char *key;          /* Idempotency-Key; NULL: none */
	const struct input *body; /* NULL: empty */

	/* Bytes of a 2xx answer as they come; other than 0 ends the call with -ECANCELED. NULL:
	   they are collected and parsed. */
	int (*on_data)(const char *bytes, size_t size, void *context);
	/* About ten times a second, outside every other callback; another connection may be used.
	 */
	void (*on_tick)(int64_t sent_bytes, void *context);
	void *context;

	int64_t deadline_ms; /* connection_now_ms() at which the call ends with -ETIME; 0: none */
};

struct connection_reply {
	int status; /* 0: no answer began */
	struct json_object
		*object; /* of the answer, where it was one; connection_reply_release puts it */
	int64_t retry_after_s; /* -1: not given */
	bool is_framed;        /* its end can be told from a cut: a length, or chunks */
};

/* socket_path is copied. */
struct connection *connection_new(const char *socket_path);
/* Another one to the same socket, for use while the first is busy. */
struct connection *connection_clone(const struct connection *connection);
void connection_free(struct connection *connection);
DEFINE_CLEANUP(struct connection *, connection_free)

/*
 * 0 when an answer of any status is whole. Else a negative errno and a sentence for people:
 * -ENOENT, -EACCES, -ECONNREFUSED or another: the socket; -ECONNRESET: cut in the middle;
 * -ETIMEDOUT: nothing moved for too long; -ETIME: the deadline; -EINTR: a signal; -EIO: the body
 * could not be read; -EMSGSIZE: an answer above JSON_MAX_ANSWER; -ECANCELED: on_data. ret_reply is
 * filled in any case.
 */
int connection_perform(struct connection *connection, const struct connection_call *call,
		       struct connection_reply *ret_reply, struct error *err);

void connection_reply_release(struct connection_reply *reply);
#define auto_reply __attribute__((cleanup(connection_reply_release))) struct connection_reply

/* Appends "?name=value" or "&name=value" to a path, escaped; a NULL value adds nothing. */
void connection_query(char **path, const char *name, const char *value);

/* Monotonic. */
int64_t connection_now_ms(void);

/* The version of libcurl. */
const char *connection_library(void);

#endif
