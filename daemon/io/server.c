#include "daemon/io/server.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/loop.h"
#include "daemon/io/server_private.h"

/* How long one readiness may keep the loop before others have their say. */
#define RUN_US 1000
/* Connections past a user's limit that are answered; the ones after them are closed unheard. */
#define EXCESS_CONNECTIONS 16

static const struct server_limits default_limits = {
	.max_connections = 1000,
	.idle_timeout_s = 120,
	.memory_per_connection = 64 << 10,
	.probe_interval_ms = 10000,
};

/* --- what the library tells --- */

static void on_library_log(void *context, const char *format, va_list arguments)
	__attribute__((format(printf, 2, 0)));

static void on_library_log(void *context, const char *format, va_list arguments)
{
	auto_free char *text = xvasprintf(format, arguments);

	(void)context;
	text[strcspn(text, "\n")] = '\0';
	log_debug("the HTTP library says", log_text("WHY", text));
}

static void on_library_panic(void *context, const char *file, unsigned line, const char *reason)
{
	(void)context;
	(void)file;
	log_error("the HTTP library cannot go on", log_text("WHY", reason),
		  log_number("LINE", line));
	abort();
}

static struct connection *connection_of(struct MHD_Connection *handle)
{
	return MHD_get_connection_info(handle, MHD_CONNECTION_INFO_SOCKET_CONTEXT)->socket_context;
}

static unsigned count_connections(const struct server *server, uid_t uid)
{
	const struct connection *other;
	unsigned count = 0;

	for (other = LIST_FIRST(&server->connections); other; other = LIST_NEXT(other, link))
		count += other->peer.is_known && other->peer.uid == uid;
	return count;
}

static struct connection *open_connection(struct listener *listener, struct MHD_Connection *handle)
{
	struct server *server = listener->server;
	struct connection *connection = xcalloc(1, sizeof(*connection));
	unsigned limit = server->limits.max_connections_per_user;

	connection->server = server;
	connection->listener = listener;
	connection->fd =
		MHD_get_connection_info(handle, MHD_CONNECTION_INFO_CONNECTION_FD)->connect_fd;
	peer_read(connection->fd, &connection->peer);
	if (limit && connection->peer.is_known) {
		unsigned others = count_connections(server, connection->peer.uid);

		connection->is_over_limit = others >= limit;
		/* Those who are told so are few, or a user could fill the house with them. */
		if (others >= limit + EXCESS_CONNECTIONS)
			(void)shutdown(connection->fd, SHUT_RDWR);
	}
	LIST_INSERT_HEAD(&server->connections, connection, link);
	accept_opened(listener);
	return connection;
}

static void close_connection(struct connection *connection)
{
	struct server *server = connection->server;
	char byte;

	/* Unread input makes the kernel reset the connection, and the answer can be lost. */
	if (!server->is_stopping && (connection->is_lingering ||
				     recv(connection->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) > 0))
		linger_start(&server->lingerers, connection->fd);
	LIST_REMOVE(connection, link);
	accept_closed(connection->listener);
	free(connection);
}

static void on_connection(void *context, struct MHD_Connection *handle, void **socket_context,
			  enum MHD_ConnectionNotificationCode code)
{
	struct listener *listener = context;

	switch (code) {
	case MHD_CONNECTION_NOTIFY_STARTED:
		*socket_context = open_connection(listener, handle);
		break;
	case MHD_CONNECTION_NOTIFY_CLOSED:
		close_connection(*socket_context);
		*socket_context = NULL;
		break;
	}
}

static void *on_target(void *context, const char *target, struct MHD_Connection *handle)
{
	(void)context;
	return exchange_new(connection_of(handle), handle, target);
}

static enum MHD_Result on_request(void *context, struct MHD_Connection *handle, const char *url,
				  const char *method, const char *version, const char *data,
				  size_t *size, void **request_context)
{
	(void)context;
	(void)handle;
	(void)url;
	(void)version;
	return exchange_advance(*request_context, method, data, size) ? MHD_YES : MHD_NO;
}

static void on_request_end(void *context, struct MHD_Connection *handle, void **request_context,
			   enum MHD_RequestTerminationCode code)
{
	(void)context;
	(void)handle;
	if (*request_context)
		exchange_end(*request_context, code == MHD_REQUEST_TERMINATED_COMPLETED_OK);
	*request_context = NULL;
}

/* --- the library on our loop --- */

/* Milliseconds until the library wants to run whatever happens; -1: never. */
static int64_t next_run_ms(struct listener *listener)
{
	unsigned long long timeout;

	if (MHD_get_timeout(listener->daemon, &timeout) != MHD_YES)
		return -1;
	return timeout > INT32_MAX ? INT32_MAX : (int64_t)timeout;
}

void listener_run(struct listener *listener)
{
	struct server *server = listener->server;
	int64_t started = loop_monotonic_us(server->loop);
	int64_t now, wait_ms;
	bool has_more;

	/* A reply is only prepared in the run that queues it, and sent in the next. */
	do {
		server->queued = 0;
		server->runnable = 0;
		(void)MHD_run(listener->daemon);
		wait_ms = next_run_ms(listener);
		now = loop_monotonic_us(server->loop);
		has_more = server->queued || (wait_ms == 0 && !server->runnable);
	} while (has_more && now - started < RUN_US);

	if (wait_ms < 0)
		return;
	if (wait_ms == 0) {
		listener_kick(listener);
		return;
	}
	/* Time-outs move with every byte. A timer that fires too early costs less than that. */
	if (listener->timer_due_us && listener->timer_due_us <= now + wait_ms * 1000)
		return;
	listener->timer_due_us = now + wait_ms * 1000;
	loop_timer_set(listener->timer, wait_ms);
}

void listener_kick(struct listener *listener)
{
	if (listener->timer_due_us == LISTENER_DUE_NOW)
		return;
	listener->timer_due_us = LISTENER_DUE_NOW;
	loop_timer_set(listener->timer, 0);
}

static void on_epoll_ready(unsigned events, void *context)
{
	(void)events;
	listener_run(context);
}

static void on_timer_due(void *context)
{
	struct listener *listener = context;

	listener->timer_due_us = 0;
	listener_run(listener);
}

/* --- looking after those that wait --- */

static void look_after(struct exchange *exchange, short events)
{
	if (events & (POLLHUP | POLLERR | POLLNVAL)) {
		exchange_drop(exchange);
		return;
	}
	if (!exchange->is_queued || !exchange->has_heartbeat)
		return;
	exchange->is_heartbeat_due = true;
	exchange_resume(exchange);
}

/* The library does not look at a suspended connection, so a peer that is gone is found here. */
static void on_probe_due(void *context)
{
	struct server *server = context;
	auto_free struct pollfd *polls = NULL;
	struct exchange *exchange, *next;
	size_t count = server->suspended_count, at = 0;

	server->is_probe_set = false;
	if (!count)
		return;
	polls = xcalloc(count, sizeof(*polls));
	exchange = TAILQ_FIRST(&server->suspended);
	for (; exchange; exchange = TAILQ_NEXT(exchange, suspended_link))
		polls[at++].fd = exchange->connection->fd;
	(void)poll(polls, count, 0);

	at = 0;
	for (exchange = TAILQ_FIRST(&server->suspended); exchange; exchange = next) {
		next = TAILQ_NEXT(exchange, suspended_link);
		look_after(exchange, polls[at++].revents);
	}
	server->is_probe_set = true;
	loop_timer_set(server->probe, server->limits.probe_interval_ms);
}

/* What was to be told did not happen, so whatever on_failed does, the old reply is gone. */
static void replace_reply(struct exchange *exchange, int commit,
			  void (*on_failed)(struct exchange *exchange, int commit))
{
	static const char body[] = "{\"error\":{\"message\":\"outcome unknown\",\"type\":"
				   "\"server_error\",\"param\":null,\"code\":null}}\n";

	exchange_discard_reply(exchange);
	on_failed(exchange, commit);
	if (!exchange->reply)
		exchange_reply(exchange, 503, "application/json", body, strlen(body));
}

void server_release(struct server *server, int commit,
		    void (*on_failed)(struct exchange *exchange, int commit))
{
	struct exchange *exchange;

	server->turn++;
	while ((exchange = TAILQ_FIRST(&server->held))) {
		if (commit < 0)
			replace_reply(exchange, commit, on_failed);
		if (!exchange->is_held)
			continue;
		TAILQ_REMOVE(&server->held, exchange, held_link);
		exchange->is_held = false;
		exchange->is_released = true;
		exchange_resume(exchange);
	}
}

/* --- beginning and end --- */

static int start_library(struct listener *listener, struct error *err)
{
	struct server *server = listener->server;
	const struct server_limits *limits = &server->limits;

	listener->daemon = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME |
			MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_request, listener, MHD_OPTION_EXTERNAL_LOGGER, on_library_log,
		NULL, MHD_OPTION_NOTIFY_CONNECTION, on_connection, listener,
		MHD_OPTION_NOTIFY_COMPLETED, on_request_end, listener,
		MHD_OPTION_URI_LOG_CALLBACK, on_target, listener, MHD_OPTION_CONNECTION_LIMIT,
		listener->limit, MHD_OPTION_CONNECTION_TIMEOUT, limits->idle_timeout_s,
		MHD_OPTION_CONNECTION_MEMORY_LIMIT, limits->memory_per_connection,
		/* sendfile has no MSG_NOSIGNAL: only with this does the library use it. */
		MHD_OPTION_SIGPIPE_HANDLED_BY_APP, 1, MHD_OPTION_END);
	if (!listener->daemon)
		return error_set(err, errno ? -errno : -EINVAL,
				 "cannot serve HTTP on descriptor %d: %s", listener->fd,
				 errno ? error_name(errno) : "the library refuses it");
	return 0;
}

static int start_listener(struct listener *listener, struct error *err)
{
	struct server *server = listener->server;
	int result, flags = fcntl(listener->fd, F_GETFL);

	/* It may be the service manager's: one that blocks would stop the loop when a peer is gone before it is accepted. */
	if (flags < 0 || fcntl(listener->fd, F_SETFL, flags | O_NONBLOCK) < 0)
		return error_set(err, -errno, "cannot listen on descriptor %d: %s", listener->fd,
				 error_name(errno));
	errno = 0;
	result = start_library(listener, err);
	if (result < 0)
		return result;
	listener->watch = loop_watch_new(
		server->loop,
		MHD_get_daemon_info(listener->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
		LOOP_READ, on_epoll_ready, listener);
	listener->timer = loop_timer_new(server->loop, on_timer_due, listener);
	accept_start(listener);
	return 0;
}

static void apply_defaults(struct server_limits *limits)
{
	if (!limits->max_connections)
		limits->max_connections = default_limits.max_connections;
	if (!limits->idle_timeout_s)
		limits->idle_timeout_s = default_limits.idle_timeout_s;
	if (!limits->memory_per_connection)
		limits->memory_per_connection = default_limits.memory_per_connection;
	if (!limits->probe_interval_ms)
		limits->probe_interval_ms = default_limits.probe_interval_ms;
}

static void ignore_broken_pipes(void)
{
	struct sigaction action;

	if (sigaction(SIGPIPE, NULL, &action) == 0 && action.sa_handler == SIG_DFL)
		(void)signal(SIGPIPE, SIG_IGN);
}

static void stop_listening(struct server *server, bool closes)
{
	for (size_t i = 0; i < server->listener_count; i++) {
		struct listener *listener = &server->listeners[i];

		if (listener->fd < 0)
			continue;
		accept_stop(listener);
		if (closes)
			(void)close(listener->fd);
		listener->fd = -1;
	}
}

int server_new(struct loop *loop, const int *fds, size_t count,
	       const struct server_callbacks *callbacks, const struct server_limits *limits,
	       struct server **ret_server, struct error *err)
{
	struct server *server = xcalloc(1, sizeof(*server));
	unsigned share;
	int result = 0;

	MHD_set_panic_func(on_library_panic, NULL);
	ignore_broken_pipes();
	server->loop = loop;
	server->callbacks = *callbacks;
	server->limits = *limits;
	apply_defaults(&server->limits);
	server->lingerers.loop = loop;
	LIST_INIT(&server->connections);
	LIST_INIT(&server->lingerers.list);
	TAILQ_INIT(&server->held);
	TAILQ_INIT(&server->suspended);
	server->probe = loop_timer_new(loop, on_probe_due, server);
	server->listeners = xcalloc(count, sizeof(*server->listeners));
	share = count ? (unsigned)((server->limits.max_connections + count - 1) / count) : 0;
	for (size_t i = 0; i < count && result == 0; i++) {
		server->listeners[i].server = server;
		server->listeners[i].fd = fds[i];
		server->listeners[i].limit = share;
		result = start_listener(&server->listeners[i], err);
		server->listener_count += result == 0;
	}
	if (result < 0) {
		stop_listening(server, false);
		server_free(server);
		return result;
	}
	*ret_server = server;
	return 0;
}

void server_quiesce(struct server *server)
{
	stop_listening(server, true);
}

void server_free(struct server *server)
{
	struct exchange *exchange;

	if (!server)
		return;
	server->is_stopping = true;
	stop_listening(server, true);
	/* The library aborts the process when it is stopped with a connection suspended. Nothing
	   of the resumed runs any more: it closes them. */
	while ((exchange = TAILQ_FIRST(&server->suspended)))
		exchange_resume(exchange);
	for (size_t i = 0; i < server->listener_count; i++) {
		loop_watch_free(server->listeners[i].watch);
		loop_timer_free(server->listeners[i].timer);
		MHD_stop_daemon(server->listeners[i].daemon);
	}
	assert(!server->exchange_count && LIST_EMPTY(&server->connections));
	linger_stop_all(&server->lingerers);
	loop_timer_free(server->probe);
	free(server->listeners);
	free(server);
}

size_t server_count(const struct server *server)
{
	return server->exchange_count;
}
