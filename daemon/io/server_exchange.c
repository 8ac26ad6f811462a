#include "daemon/io/server_private.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/loop.h"

/* A body that is not wanted and not larger is read to its end, so that the connection lives on. */
#define SMALL_BODY (64 << 10)
/* Runs an exchange may spend runnable when no turn ever ends. */
#define RUNS_A_TURN 64

/* --- waiting --- */

void exchange_suspend(struct exchange *exchange)
{
	struct server *server = exchange->server;

	assert(!exchange->is_suspended);
	MHD_suspend_connection(exchange->handle);
	exchange->is_suspended = true;
	TAILQ_INSERT_TAIL(&server->suspended, exchange, suspended_link);
	server->suspended_count++;
	if (!server->is_probe_set) {
		server->is_probe_set = true;
		loop_timer_set(server->probe, server->limits.probe_interval_ms);
	}
}

void exchange_resume(struct exchange *exchange)
{
	if (!exchange->is_suspended)
		return;
	exchange->is_suspended = false;
	exchange->server->suspended_count--;
	TAILQ_REMOVE(&exchange->server->suspended, exchange, suspended_link);
	MHD_resume_connection(exchange->handle);
	listener_kick(exchange->connection->listener);
}

/*
 * The request is complete and the answer is not. Suspended here at once, the connection would be
 * read from when it is resumed, and a client that has shut down its sending half (nc -N) would be
 * taken for gone; after one more run the library waits for nothing, and a resume does not read.
 */
static void wait_at_end(struct exchange *exchange)
{
	struct server *server = exchange->server;

	if (!exchange->wait_runs)
		exchange->wait_turn = server->turn;
	if (!exchange->wait_runs ||
	    (exchange->wait_turn == server->turn && exchange->wait_runs < RUNS_A_TURN)) {
		exchange->wait_runs++;
		server->runnable++;
		return;
	}
	exchange->wait_runs = 0;
	exchange_suspend(exchange);
}

/* --- the phases --- */

static bool has_body(const struct exchange *exchange)
{
	return exchange->content_length > 0 || exchange_header(exchange, "Transfer-Encoding");
}

static int64_t read_content_length(const struct exchange *exchange)
{
	const char *text = exchange_header(exchange, "Content-Length");

	/* The library has refused what is not a number of 64 bits. */
	if (!text || exchange_header(exchange, "Transfer-Encoding"))
		return -1;
	return strtoll(text, NULL, 10);
}

/* Meets a request: refuses what no owner should see, tells the owner of the rest. */
static void meet(struct exchange *exchange)
{
	struct server *server = exchange->server;
	const char *encoding = exchange_header(exchange, "Transfer-Encoding");

	exchange->content_length = read_content_length(exchange);
	if (exchange->target_error)
		exchange_refuse(exchange, 400, exchange->target_error);
	else if (encoding && strcasecmp(encoding, "chunked") != 0)
		exchange_refuse(exchange, 501, "the only transfer encoding known here is chunked");
	else if (exchange->connection->is_over_limit)
		exchange_refuse(exchange, 429, "too many connections of one user");
	if (exchange->is_refused)
		return;
	exchange->is_told = true;
	server->exchange_count++;
	server->callbacks.on_headers(exchange, server->callbacks.context);
}

/* Whether a body that nobody wants is read to its end before the answer. */
static bool is_worth_reading(const struct exchange *exchange)
{
	const char *expect = exchange_header(exchange, "Expect");

	return exchange->content_length >= 0 && exchange->content_length <= SMALL_BODY &&
	       !(expect && strcasecmp(expect, "100-continue") == 0);
}

static bool advance_headers(struct exchange *exchange)
{
	if (!exchange->is_told && !exchange->is_refused)
		meet(exchange);
	if (exchange->is_dropped)
		return false;

	if (!has_body(exchange)) {
		exchange->phase = PHASE_END;
		return true;
	}
	if (exchange->reply && !is_worth_reading(exchange)) {
		if (!exchange->is_released) {
			exchange_suspend(exchange);
			return true;
		}
		/* Queued before the body, it is sent at once, and then the library closes. */
		exchange->connection->is_lingering = true;
		return exchange_queue_reply(exchange);
	}
	if (exchange->is_paused && !exchange->reply) {
		exchange_suspend(exchange);
		return true;
	}
	exchange->phase = PHASE_BODY;
	return true;
}

static void deliver(struct exchange *exchange, const char *data, size_t size)
{
	const struct server_callbacks *callbacks = &exchange->server->callbacks;

	if (!exchange->form) {
		callbacks->on_body(exchange, data, size, callbacks->context);
		return;
	}
	if (!form_add(exchange->form, data, size) && !exchange->reply && !exchange->is_dropped)
		exchange_refuse(exchange, 400, "the body is not well-formed multipart/form-data");
}

static void close_form(struct exchange *exchange)
{
	if (exchange->form && !form_close(take(exchange->form)) && !exchange->reply)
		exchange_refuse(exchange, 400, "the form ends before its last boundary");
}

static bool is_waiting_for_owner(const struct exchange *exchange)
{
	return exchange->is_paused && !exchange->reply;
}

static bool advance_body(struct exchange *exchange, const char *data, size_t *size)
{
	size_t piece = *size;

	/* The library goes on with the next chunk of its buffer even after a suspension. */
	if (exchange->is_suspended)
		return true;
	if (exchange->is_dropped)
		return false;
	if (is_waiting_for_owner(exchange)) {
		exchange_suspend(exchange);
		return true;
	}
	*size = 0;
	exchange->body_received += piece;
	if (exchange->reply) {
		exchange->body_dropped += piece;
		return exchange->body_dropped <= SERVER_DROP_LIMIT;
	}
	deliver(exchange, data, piece);
	if (exchange->is_dropped)
		return false;
	/* After the last byte there is nothing to keep from reading: the end waits by itself. */
	if (is_waiting_for_owner(exchange) &&
	    (int64_t)exchange->body_received != exchange->content_length)
		exchange_suspend(exchange);
	return true;
}

static bool advance_end(struct exchange *exchange)
{
	const struct server_callbacks *callbacks = &exchange->server->callbacks;

	if (exchange->is_dropped)
		return false;
	if (!exchange->is_completed && !is_waiting_for_owner(exchange)) {
		exchange->is_completed = true;
		close_form(exchange);
		if (!exchange->reply)
			callbacks->on_complete(exchange, callbacks->context);
		if (exchange->is_dropped)
			return false;
	}
	if (exchange->reply && exchange->is_released)
		return exchange_queue_reply(exchange);
	wait_at_end(exchange);
	return true;
}

bool exchange_advance(struct exchange *exchange, const char *method, const char *data, size_t *size)
{
	exchange->method = method;
	if (exchange->phase == PHASE_HEADERS)
		return advance_headers(exchange);
	if (*size)
		return advance_body(exchange, data, size);
	exchange->phase = PHASE_END;
	return advance_end(exchange);
}

struct exchange *exchange_new(struct connection *connection, struct MHD_Connection *handle,
			      const char *target)
{
	struct exchange *exchange = xcalloc(1, sizeof(*exchange));

	exchange->server = connection->server;
	exchange->connection = connection;
	exchange->handle = handle;
	exchange->method = "";
	exchange->content_length = -1;
	exchange->target_error = target_parse(&exchange->target, target);
	return exchange;
}

bool exchange_is_left(const struct exchange *exchange)
{
	char byte;

	/* Who leaves bytes unread resets the connection: that is an error, not an end. */
	return recv(exchange->connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/*
 * The library calls a reply complete only in the run after that which sent it. A client that has
 * what it wants and closes in between looks to the library like one that left early.
 */
static bool was_read(const struct exchange *exchange)
{
	return exchange->is_peer_there && exchange_is_left(exchange);
}

void exchange_end(struct exchange *exchange, bool is_complete)
{
	struct server *server = exchange->server;
	bool is_delivered = exchange->is_queued && !exchange->is_broken && !exchange->is_dropped &&
			    (is_complete || (!server->is_stopping && was_read(exchange)));

	if (exchange->is_dropped)
		exchange->connection->is_lingering = false;
	/* What on_close does to other exchanges may not reach this one any more. */
	exchange_discard_reply(exchange);
	exchange->is_refused = true;
	assert(!exchange->is_suspended);
	if (exchange->is_told) {
		server->exchange_count--;
		server->callbacks.on_close(exchange, is_delivered, server->callbacks.context);
	}
	form_free(exchange->form);
	target_release(&exchange->target);
	buffer_release(&exchange->reply_headers);
	free(exchange);
}

/* --- what the owner asks and says --- */

const char *exchange_method(const struct exchange *exchange)
{
	return exchange->method;
}

bool exchange_is_safe(const struct exchange *exchange)
{
	return strcmp(exchange->method, "GET") == 0 || strcmp(exchange->method, "HEAD") == 0;
}

const char *exchange_path(const struct exchange *exchange)
{
	return exchange->target.path;
}

const char *exchange_query(const struct exchange *exchange, const char *name)
{
	return target_parameter(&exchange->target, name);
}

const char *exchange_header(const struct exchange *exchange, const char *name)
{
	return MHD_lookup_connection_value(exchange->handle, MHD_HEADER_KIND, name);
}

int64_t exchange_content_length(const struct exchange *exchange)
{
	return exchange->content_length;
}

bool exchange_peer(const struct exchange *exchange, uid_t *ret_uid, gid_t *ret_gid, pid_t *ret_pid)
{
	const struct peer *peer = &exchange->connection->peer;

	if (!peer->is_known)
		return false;
	*ret_uid = peer->uid;
	*ret_gid = peer->gid;
	*ret_pid = peer->pid;
	return true;
}

bool exchange_peer_in_group(const struct exchange *exchange, gid_t gid)
{
	return peer_in_group(exchange->connection->fd, &exchange->connection->peer, gid);
}

void exchange_set_state(struct exchange *exchange, void *state)
{
	exchange->state = state;
}

void *exchange_state(const struct exchange *exchange)
{
	return exchange->state;
}

void exchange_pause(struct exchange *exchange)
{
	exchange->is_paused = true;
}

void exchange_go_on(struct exchange *exchange)
{
	if (!exchange->is_paused)
		return;
	exchange->is_paused = false;
	/* An exchange with a reply waits for its release, not for this. */
	if (!exchange->reply)
		exchange_resume(exchange);
}

void exchange_drop(struct exchange *exchange)
{
	if (exchange->is_dropped)
		return;
	exchange->is_dropped = true;
	(void)shutdown(exchange->connection->fd, SHUT_RDWR);
	exchange_resume(exchange);
}
