/*
 * HTTP in: a request, an answer, and who is asking. It knows nothing of what requests mean; the
 * front door and the test API are both built on it. No type of the library beneath shows.
 *
 * The life of an exchange (one request and its answer):
 *	on_headers   once. The callee may reply at once (then no body is delivered; up to 16 MiB of
 *		     it are read and dropped so that the client sees the answer, then the connection closes).
 *	on_part      for multipart/form-data, if exchange_expect_form was called in on_headers: pieces of a field
 *	on_body      for any other body: pieces, in order, as they come; nothing is collected here
 *	on_complete  once, when the last byte is there, unless a reply was given before
 *	on_close     once, whatever happened; the last callback. Free your state here.
 * A reply is given with exchange_reply*, in any of these callbacks or later. It is held until
 * server_release, so that nothing is told before it is on disk.
 *
 * What the server refuses by itself, in the documented shape of errors where it can: a target that
 * is no path or not UTF-8, an unknown transfer encoding, a user's connection too many (none of
 * these gets as far as on_headers), and a form that is not well-formed (on_complete does not come
 * then, and a reply given after is dropped).
 */
#ifndef BATCHD_IO_SERVER_H
#define BATCHD_IO_SERVER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct error;
struct exchange;
struct loop;
struct server;

/* One piece of a form field. The first piece of a field has offset 0; size may be 0. */
struct server_part {
	const char *name;
	const char *file_name; /* NULL where none was sent */
	const char *data;
	size_t size;
	uint64_t offset;
};

struct server_callbacks {
	void (*on_headers)(struct exchange *exchange, void *context);
	void (*on_part)(struct exchange *exchange, const struct server_part *part, void *context);
	void (*on_body)(struct exchange *exchange, const char *data, size_t size, void *context);
	void (*on_complete)(struct exchange *exchange, void *context);
	/* is_delivered: the whole reply was handed to the kernel. */
	void (*on_close)(struct exchange *exchange, bool is_delivered, void *context);
	void *context;
};

struct server_limits {
	unsigned max_connections;	   /* 0: 1000 */
	unsigned max_connections_per_user; /* by uid, Unix sockets only; 0: no limit of its own */
	unsigned idle_timeout_s;	   /* a connection on which nothing moves; 0: 120 */
	size_t memory_per_connection;	   /* 0: 64 KiB; larger makes big bodies faster */
	unsigned probe_interval_ms;	   /* how often exchanges that wait are looked after; 0: 10000 */
};

/*
 * Serves on listening sockets. on each of count descriptors (Unix or TCP, already bound and
 * listening; the server closes them at its end, or in server_quiesce). callbacks and limits are
 * copied. A SIGPIPE that nobody handles is ignored from here on. max_connections is shared out
 * evenly over the descriptors. Returns 0 or -errno; then the descriptors are still the caller's.
 */
int server_new(struct loop *loop, const int *fds, size_t count, const struct server_callbacks *callbacks,
	       const struct server_limits *limits, struct server **ret_server, struct error *err);
/* Answers nothing more, closes every connection (on_close runs for each exchange), frees. NULL is fine. */
void server_free(struct server *server);
/* Closes the listening sockets' ears; exchanges under way go on. */
void server_quiesce(struct server *server);
/* Exchanges under way. */
size_t server_count(const struct server *server);

/*
 * Lets the replies go that were given since the last call. commit is 0, or the negative errno
 * of a commit that failed: then each held reply is replaced by on_failed (which replies anew, through
 * exchange_reply), those to GET too: they may tell of what was rolled back. Call it at the end of every turn.
 */
void server_release(struct server *server, int commit,
		    void (*on_failed)(struct exchange *exchange, int commit));

/* Makes a Unix socket (SOCK_STREAM, close on exec, mode; an old socket in its place that nobody listens on is
   removed; a live one is -EADDRINUSE) or a TCP one on 127.0.0.1 (port 0: any) and listens. */
int server_listen_unix(const char *path, mode_t mode, int *ret_fd, struct error *err);
int server_listen_loopback(uint16_t port, int *ret_fd, uint16_t *ret_port, struct error *err);

/* --- an exchange --- */

const char *exchange_method(const struct exchange *exchange);
/* The path as the client wrote it, percent-decoded; begins with '/'. Not normalised: "..", "//" stay what they are. */
const char *exchange_path(const struct exchange *exchange);
/* A query parameter, decoded; NULL if absent, "" if without a value. Lives as long as the exchange. */
const char *exchange_query(const struct exchange *exchange, const char *name);
/* A header, NULL if absent. */
const char *exchange_header(const struct exchange *exchange, const char *name);
/* Content-Length, or -1 (chunked or none). */
int64_t exchange_content_length(const struct exchange *exchange);
/* Who is asking, from the kernel, at connect time (SO_PEERCRED). false on TCP. */
bool exchange_peer(const struct exchange *exchange, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid);
/* Whether the peer was in group gid when it connected (SO_PEERGROUPS and its primary group). */
bool exchange_peer_in_group(const struct exchange *exchange, gid_t gid);

/* The callee's own state for this exchange. */
void exchange_set_state(struct exchange *exchange, void *state);
void *exchange_state(const struct exchange *exchange);

/* In on_headers only: parse the body as multipart/form-data and deliver on_part. -EINVAL when it is not one. */
int exchange_expect_form(struct exchange *exchange);
/* Stops reading this body until exchange_go_on: the disk is slower than the client. */
void exchange_pause(struct exchange *exchange);
void exchange_go_on(struct exchange *exchange);

/* Adds a header to the reply; before exchange_reply*. Copied. */
void exchange_add_header(struct exchange *exchange, const char *name, const char *value);
/* Replies with bytes (copied). A second reply replaces one that is still held. */
void exchange_reply(struct exchange *exchange, int status, const char *content_type, const void *body, size_t size);
/* Replies with bytes that stay the caller's until release(owner) is called, once, when they are not needed any more. */
void exchange_reply_owned(struct exchange *exchange, int status, const char *content_type, const void *body,
			  size_t size, void (*release)(void *owner), void *owner);
/* Replies with length bytes of a file from offset, by sendfile where it can; takes the descriptor. */
void exchange_reply_file(struct exchange *exchange, int status, const char *content_type, int fd, int64_t offset,
			 int64_t length);
/*
 * Replies with bytes that are produced when the client is ready for them. produce fills up to size bytes
 * and returns how many; 0: nothing now, wait for exchange_wake; SERVER_STREAM_END: that was all;
 * SERVER_STREAM_BROKEN: close the connection so that the client sees a cut answer. An end before
 * length is a cut, too. length: total if known, else -1 (chunked).
 * Of a peer that is gone the server learns by itself within probe_interval_ms on a Unix socket. On
 * TCP it takes a write: so a stream of content type application/x-ndjson without a length that waits at
 * the start of a line says a blank line each probe_interval_ms.
 */
#define SERVER_STREAM_END (-1)
#define SERVER_STREAM_BROKEN (-2)
void exchange_reply_stream(struct exchange *exchange, int status, const char *content_type, int64_t length,
			   int64_t (*produce)(char *bytes, size_t size, void *context), void *context);
/* produce has more to say. */
void exchange_wake(struct exchange *exchange);
/* Closes the connection without an answer (for the test API's misbehaviour). */
void exchange_drop(struct exchange *exchange);

#endif
