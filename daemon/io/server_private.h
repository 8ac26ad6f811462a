/*
 * What the files server*.c share: the server, its listening sockets, connections and exchanges.
 * Nobody else includes this.
 *
 * An exchange goes through phases, and the library beneath calls us in each:
 *	HEADERS -> BODY -> END -> REPLY
 * It waits (for a reply, a release, exchange_go_on, exchange_wake) in two ways. In END it first
 * stays runnable until the turn ends, for most replies are released then, and an exchange that
 * was never suspended costs three system calls less. All other waiting is a suspension, and
 * every suspended exchange stands in the list of the server, which looks after it.
 */
#ifndef BATCHD_IO_SERVER_PRIVATE_H
#define BATCHD_IO_SERVER_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>

#include "daemon/base/buffer.h"
#include "daemon/io/server.h"

/* How much of a body is read and dropped so that its sender sees the answer. */
#define SERVER_DROP_LIMIT (16 << 20)

struct MHD_Connection;
struct MHD_Daemon;
struct MHD_Response;
struct listener;
struct loop_timer;
struct loop_watch;

enum exchange_phase { PHASE_HEADERS, PHASE_BODY, PHASE_END, PHASE_REPLY };

/* --- the request target (server_target.c) --- */

struct target_parameter {
	char *name;
	char *value;
};

struct target {
	char *path;
	struct target_parameter *parameters;
	size_t parameter_count;
};

/* Takes "/path?name=value&..." apart. NULL, or a sentence that says what is wrong with it. */
const char *target_parse(struct target *target, const char *text);
void target_release(struct target *target);
const char *target_parameter(const struct target *target, const char *name);

/* --- who is at the other end (server_socket.c) --- */

struct peer {
	bool is_known;
	uid_t uid;
	gid_t gid;
	pid_t pid;
};

void peer_read(int fd, struct peer *ret_peer);
bool peer_in_group(int fd, const struct peer *peer, gid_t gid);

/* --- sockets on their way out (server_linger.c) --- */

/*
 * Closing a socket while its peer still sends can take the answer away from under the peer.
 * So a copy of it is kept and drained for a while: until the peer closes, SERVER_DROP_LIMIT
 * bytes or some seconds have passed. At most a few at a time; the rest closes at once.
 */
struct lingerer;

struct lingerers {
	struct loop *loop;
	LIST_HEAD(, lingerer) list;
	size_t count;
};

void linger_start(struct lingerers *lingerers, int fd);
void linger_stop_all(struct lingerers *lingerers);

/* --- sockets on their way in (server_accept.c) --- */

/*
 * The library's own accept spins while there is no descriptor for a connection, and forgets its
 * listening socket until another connection closes; so it gets its connections from here.
 */
void accept_start(struct listener *listener);
void accept_stop(struct listener *listener);
/* A connection counts, or does not count any more, against listener->limit; beyond that they wait in the queue. */
void accept_opened(struct listener *listener);
void accept_closed(struct listener *listener);

/* --- multipart/form-data (server_form.c) --- */

struct form;

/* Tells the owner of the pieces. Returns false when the bytes are no form, or the form is over (a
 * reply was given). */
bool form_add(struct form *form, const char *data, size_t size);
/* Tells the last, and frees. Returns false when the last boundary did not come. */
bool form_close(struct form *form);
void form_free(struct form *form);

/* --- the server (server.c) --- */

struct listener {
	struct server *server;
	struct MHD_Daemon *daemon;
	int fd;
	struct loop_watch *watch;
	struct loop_timer *timer;
	int64_t timer_due_us; /* 0: not set; LISTENER_DUE_NOW: in the next turn */
	/* Of server_accept.c. */
	struct loop_watch *accepts; /* NULL: nobody is accepted any more */
	struct loop_timer *shortage;
	bool is_short, was_short;
	unsigned open, limit; /* connections */
};

#define LISTENER_DUE_NOW 1

/* Lets the library run in the next turn: it does not see by itself that something was resumed. */
void listener_kick(struct listener *listener);
/* Lets it run now. */
void listener_run(struct listener *listener);

struct connection {
	struct server *server;
	struct listener *listener;
	int fd; /* the library's */
	struct peer peer;
	bool is_over_limit;
	bool is_lingering;
	LIST_ENTRY(connection) link;
};

TAILQ_HEAD(exchange_list, exchange);

struct server {
	struct loop *loop;
	struct server_callbacks callbacks;
	struct server_limits limits;
	struct listener *listeners;
	size_t listener_count;
	LIST_HEAD(, connection) connections;
	/* Those with a reply that is given and not released. */
	struct exchange_list held;
	/* Those the library does nothing with until exchange_resume. */
	struct exchange_list suspended;
	size_t suspended_count;
	size_t exchange_count;
	uint64_t turn;     /* counts server_release */
	unsigned queued;   /* replies handed to the library in this run */
	unsigned runnable; /* exchanges that wait for the end of the turn, in this run */
	struct loop_timer *probe;
	bool is_probe_set;
	bool is_stopping;
	struct lingerers lingerers;
};

/* --- an exchange (server_exchange.c, server_reply.c) --- */

struct exchange {
	struct server *server;
	struct connection *connection;
	struct MHD_Connection *handle;
	enum exchange_phase phase;
	const char *method; /* the library's, as long as the exchange */
	struct target target;
	const char *target_error;
	int64_t content_length; /* -1: unknown */
	uint64_t body_received;
	uint64_t body_dropped;
	struct form *form; /* NULL: the body is no form, or it is over */
	void *state;

	bool is_told;      /* on_headers ran, so on_close must */
	bool is_completed; /* the end of the body was seen and told */
	bool is_paused;
	bool is_suspended;
	bool is_dropped; /* the connection is to be closed without another byte */
	bool is_refused; /* answered by the server itself; the owner's replies come too late */
	bool is_broken;  /* a stream ended before its end */
	uint64_t wait_turn;
	unsigned wait_runs;
	TAILQ_ENTRY(exchange) suspended_link;

	struct buffer reply_headers; /* name NUL value NUL ..., for the next reply */
	struct MHD_Response *reply;  /* given, and not yet queued */
	unsigned reply_status;
	bool is_held;
	bool is_released;
	bool is_queued;
	bool is_short;	     /* the reply fits into the socket at once */
	bool is_peer_there;  /* it was, when the reply was queued */
	TAILQ_ENTRY(exchange) held_link;

	int64_t (*produce)(char *bytes, size_t size, void *context);
	void *produce_context;
	int64_t stream_length;
	bool has_heartbeat; /* a blank line says nothing, and notices the dead */
	bool is_heartbeat_due;
	bool is_at_line_start;
	bool is_woken;
};

/* The library's callbacks for a request: a target was read, something came, all is over. */
struct exchange *exchange_new(struct connection *connection, struct MHD_Connection *handle,
			      const char *target);
/* Takes *size bytes of a body (0: there are none in this call) and sets *size to what it left.
   Returns false when the connection is to be closed. */
bool exchange_advance(struct exchange *exchange, const char *method, const char *data,
		      size_t *size);
void exchange_end(struct exchange *exchange, bool is_complete);
/* Whether the peer has closed its end, and has left nothing of ours unread. */
bool exchange_is_left(const struct exchange *exchange);

/* The library may do this only inside its own callbacks. */
void exchange_suspend(struct exchange *exchange);
/* Any time; does nothing unless the exchange is suspended. */
void exchange_resume(struct exchange *exchange);
bool exchange_is_safe(const struct exchange *exchange);
/* Answers in the documented shape of errors, in the server's own name, without a release. */
void exchange_refuse(struct exchange *exchange, int status, const char *message);
void exchange_discard_reply(struct exchange *exchange);
/* Hands the reply to the library. false when it does not take it. */
bool exchange_queue_reply(struct exchange *exchange);

#endif
