/*
 * A server for the tests of http: it listens on loopback or on a Unix socket, in the loop of the
 * test, and answers the requests it gets, one after the other, from a script: what bytes, when,
 * and what happens to the connection then. The last line of a script is repeated.
 */
#ifndef BATCHD_TESTS_UNIT_HTTP_PEER_H
#define BATCHD_TESTS_UNIT_HTTP_PEER_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/io/loop.h"

#define PEER_CONNECTIONS 16

/* How much of a request must be there before it is answered. */
enum peer_when { PEER_WHOLE, PEER_HEADERS, PEER_BYTES };
enum peer_then { PEER_KEEP, PEER_CLOSE, PEER_RESET, PEER_SILENT /* keeps open, reads no more */ };

struct peer_line {
	const char *answer; /* NULL: not a byte */
	enum peer_then then;
	enum peer_when when;
	size_t size; /* of answer; 0: it is a string */
};

struct peer;

struct peer_connection {
	struct peer *peer;
	int fd;
	struct loop_watch *watch;
	struct buffer in;
	const char *out;
	size_t out_left;
	bool is_answered; /* what follows is dropped */
	enum peer_then then;
};

struct peer {
	struct loop *loop;
	int fd;
	char url[128];
	char path[64]; /* of the Unix socket */
	struct loop_watch *watch;
	const struct peer_line *script;
	size_t script_size;
	size_t connected, requests, posts;
	struct buffer last; /* the last request, whole */
	struct peer_connection connections[PEER_CONNECTIONS];
};

static inline void peer_hang_up(struct peer_connection *connection, bool is_reset)
{
	struct linger linger = {.l_onoff = 1, .l_linger = 0};

	if (connection->fd < 0)
		return;
	loop_watch_free(connection->watch);
	if (is_reset)
		(void)setsockopt(connection->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(connection->fd);
	buffer_release(&connection->in);
	connection->fd = -1;
}

static inline void peer_write(struct peer_connection *connection)
{
	ssize_t size = 0;

	if (connection->out_left)
		size = send(connection->fd, connection->out, connection->out_left, MSG_NOSIGNAL);
	if (size < 0 && errno != EAGAIN) {
		peer_hang_up(connection, false);
		return;
	}
	if (size > 0) {
		connection->out += size;
		connection->out_left -= (size_t)size;
	}
	if (connection->out_left) {
		loop_watch_set(connection->watch, LOOP_WRITE);
		return;
	}
	loop_watch_set(connection->watch, connection->then == PEER_SILENT ? 0 : LOOP_READ);
	if (connection->then == PEER_CLOSE || connection->then == PEER_RESET)
		peer_hang_up(connection, connection->then == PEER_RESET);
}

static inline void peer_answer(struct peer_connection *connection, enum peer_when seen)
{
	struct peer *peer = connection->peer;
	size_t i = peer->requests < peer->script_size ? peer->requests : peer->script_size - 1;
	const struct peer_line *line = &peer->script[i];

	/* The later it is in the list of seen, the less of the request there is. */
	if (seen > line->when)
		return;
	peer->requests++;
	peer->posts += strncmp(buffer_text(&connection->in), "POST ", 5) == 0;
	buffer_clear(&peer->last);
	buffer_add(&peer->last, connection->in.data, connection->in.size);
	buffer_clear(&connection->in);
	connection->is_answered = seen != PEER_WHOLE;
	connection->out = line->answer;
	connection->out_left = !line->answer ? 0 : line->size ? line->size : strlen(line->answer);
	connection->then = line->then;
	peer_write(connection);
}

static inline void peer_on_ready(unsigned events, void *context)
{
	struct peer_connection *connection = context;
	const char *head_end, *length;
	static char bytes[65536];
	size_t wanted;
	ssize_t size;

	if (events & LOOP_WRITE) {
		peer_write(connection);
		return;
	}
	size = recv(connection->fd, bytes, sizeof(bytes), MSG_DONTWAIT);
	if (size <= 0) {
		if (size == 0 || errno != EAGAIN)
			peer_hang_up(connection, false);
		return;
	}
	if (connection->is_answered)
		return;
	buffer_add(&connection->in, bytes, (size_t)size);
	head_end = strstr(buffer_text(&connection->in), "\r\n\r\n");
	if (!head_end) {
		peer_answer(connection, PEER_BYTES);
		return;
	}
	length = strcasestr(connection->in.data, "\r\nContent-Length:");
	wanted = (size_t)(head_end + 4 - connection->in.data);
	if (length && length < head_end)
		wanted += strtoul(length + strlen("\r\nContent-Length:"), NULL, 10);
	peer_answer(connection, connection->in.size >= wanted ? PEER_WHOLE : PEER_HEADERS);
}

static inline void peer_on_connect(unsigned events, void *context)
{
	struct peer *peer = context;
	int fd = accept4(peer->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

	(void)events;
	if (fd < 0)
		return;
	for (size_t i = 0; i < PEER_CONNECTIONS; i++) {
		struct peer_connection *connection = &peer->connections[i];

		if (connection->fd >= 0)
			continue;
		*connection = (struct peer_connection){.peer = peer, .fd = fd};
		connection->watch =
			loop_watch_new(peer->loop, fd, LOOP_READ, peer_on_ready, connection);
		peer->connected++;
		return;
	}
	(void)close(fd);
}

static inline void peer_listen(struct peer *peer, struct loop *loop, const struct peer_line *script,
			       size_t script_size)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_un here = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(address);
	char path[sizeof(peer->path)];

	memcpy(path, peer->path, sizeof(path));
	*peer = (struct peer){.loop = loop, .script = script, .script_size = script_size};
	memcpy(peer->path, path, sizeof(path));
	memcpy(here.sun_path, path, sizeof(path));
	peer->fd = socket(*path ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (bind(peer->fd, *path ? (struct sockaddr *)&here : (struct sockaddr *)&address,
		 *path ? sizeof(here) : sizeof(address)) < 0 ||
	    listen(peer->fd, PEER_CONNECTIONS) < 0)
		abort();
	if (!*path && getsockname(peer->fd, (struct sockaddr *)&address, &size) < 0)
		abort();
	(void)snprintf(peer->url, sizeof(peer->url), "http://127.0.0.1:%d/v1/batches",
		       *path ? 1 : ntohs(address.sin_port));
	for (size_t i = 0; i < PEER_CONNECTIONS; i++)
		peer->connections[i].fd = -1;
	peer->watch = loop_watch_new(loop, peer->fd, LOOP_READ, peer_on_connect, peer);
}

static inline void peer_close(struct peer *peer)
{
	for (size_t i = 0; i < PEER_CONNECTIONS; i++)
		peer_hang_up(&peer->connections[i], false);
	loop_watch_free(peer->watch);
	(void)close(peer->fd);
	buffer_release(&peer->last);
	if (*peer->path)
		(void)unlink(peer->path);
}

#endif
