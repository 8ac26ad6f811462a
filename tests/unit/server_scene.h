/*
 * What the tests of the server share: a server on a Unix socket and on loopback TCP, an owner of
 * its exchanges, and clients that say what they are told to, byte for byte.
 */
#ifndef BATCHD_TESTS_UNIT_SERVER_SCENE_H
#define BATCHD_TESTS_UNIT_SERVER_SCENE_H

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "tests/unit/check.h"

#define PATIENCE_US (20 * 1000000)
#define CLIENTS     512

struct client {
	int fd;
	struct buffer in;
	struct buffer out; /* written as the socket takes it */
	size_t sent;
	bool is_closed;
	bool is_deaf; /* does not read */
};

/* The owner of the exchanges: it does what the path says, and remembers what it was told. */
struct world {
	char folder[32];
	char socket_path[64];
	uint16_t port;
	struct loop *loop;
	struct loop_timer *tick;
	struct server *server;
	struct client clients[CLIENTS];
	size_t client_count;
	bool is_releasing;
	int commit;
	/* what was told */
	unsigned headers, completed, closed, delivered, failed, released;
	unsigned bodies_out_of_place;
	struct buffer body;
	struct buffer parts; /* name(file):bytes| */
	struct exchange *exchange;
	uid_t uid;
	bool has_peer, is_in_group, is_in_other_group, is_in_unheard_group;
	char note[512];
	/* what the stream says */
	const char *line;
	int64_t ending;
};

static struct world *world;

static inline void on_tick(void *context)
{
	struct loop_timer **timer = context;

	loop_timer_set(*timer, 1);
}

static inline void on_failed(struct exchange *exchange, int commit)
{
	world->failed++;
	exchange_reply(exchange, commit == -ENOSPC ? 507 : 503, "text/plain", "unknown", 7);
}

static inline void release_owned(void *owner)
{
	++*(unsigned *)owner;
}

static inline int64_t produce(char *bytes, size_t size, void *context)
{
	size_t length;

	(void)context;
	if (!world->line)
		return world->ending;
	length = strlen(world->line);
	CU_ASSERT_FATAL(length <= size);
	memcpy(bytes, world->line, length);
	world->line = NULL;
	return (int64_t)length;
}

static inline int64_t produce_endlessly(char *bytes, size_t size, void *context)
{
	(void)context;
	memset(bytes, 'x', size);
	return (int64_t)size;
}

static inline void reply_file(struct exchange *exchange)
{
	auto_free char *path = xasprintf("%s/file", world->folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	exchange_reply_file(exchange, 206, "text/plain", fd, 3,
			    exchange_query(exchange, "lost") ? 100 : 4);
}

static inline void reply_note(struct exchange *exchange)
{
	const char *name = exchange_query(exchange, "name");
	const char *flag = exchange_query(exchange, "flag");
	const char *absent = exchange_query(exchange, "absent");
	const char *header = exchange_header(exchange, "x-mark");

	(void)snprintf(world->note, sizeof(world->note), "%s %s name=%s flag=%s absent=%s mark=%s",
		       exchange_method(exchange), exchange_path(exchange), name ? name : "-",
		       flag ? flag : "-", absent ? absent : "-", header ? header : "-");
	exchange_add_header(exchange, "X-One", "1");
	exchange_reply(exchange, 200, "text/plain", world->note, strlen(world->note));
}

static inline bool is_at(const struct exchange *exchange, const char *prefix)
{
	return strncmp(exchange_path(exchange), prefix, strlen(prefix)) == 0;
}

static inline void read_peer(struct exchange *exchange)
{
	gid_t gid;
	pid_t pid;

	world->has_peer = exchange_peer(exchange, &world->uid, &gid, &pid);
	world->is_in_group = exchange_peer_in_group(exchange, getgid());
	world->is_in_other_group = exchange_peer_in_group(exchange, 54321);
	world->is_in_unheard_group = exchange_peer_in_group(exchange, 54322);
}

static inline void on_headers(struct exchange *exchange, void *context)
{
	(void)context;
	world->headers++;
	world->exchange = exchange;
	exchange_set_state(exchange, world);
	read_peer(exchange);
	if (is_at(exchange, "/early"))
		exchange_reply(exchange, 507, "text/plain", "full", 4);
	if (is_at(exchange, "/note"))
		reply_note(exchange);
	if (is_at(exchange, "/form"))
		CU_ASSERT_EQUAL(exchange_expect_form(exchange), 0);
	if (is_at(exchange, "/noform"))
		CU_ASSERT_EQUAL(exchange_expect_form(exchange), -EINVAL);
	if (is_at(exchange, "/paused"))
		exchange_pause(exchange);
	if (is_at(exchange, "/dropped"))
		exchange_drop(exchange);
}

static inline void on_part(struct exchange *exchange, const struct server_part *part, void *context)
{
	(void)exchange;
	(void)context;
	if (part->offset == 0)
		buffer_add_format(&world->parts, "|%s(%s):", part->name,
				  part->file_name ? part->file_name : "-");
	buffer_add(&world->parts, part->data, part->size);
}

static inline void on_body(struct exchange *exchange, const char *data, size_t size, void *context)
{
	(void)context;
	world->bodies_out_of_place += is_at(exchange, "/early");
	CU_ASSERT_PTR_EQUAL(exchange_state(exchange), world);
	buffer_add(&world->body, data, size);
	if (is_at(exchange, "/mid"))
		exchange_reply(exchange, 422, "text/plain", "enough", 6);
	if (is_at(exchange, "/slow"))
		exchange_pause(exchange);
}

static inline void on_complete(struct exchange *exchange, void *context)
{
	(void)context;
	world->completed++;
	if (is_at(exchange, "/echo") || is_at(exchange, "/slow") || is_at(exchange, "/paused"))
		exchange_reply(exchange, 200, "text/plain", buffer_text(&world->body),
			       world->body.size);
	if (is_at(exchange, "/form"))
		exchange_reply(exchange, 200, "text/plain", "formed", 6);
	if (is_at(exchange, "/twice")) {
		exchange_reply(exchange, 500, "text/plain", "first", 5);
		exchange_reply(exchange, 200, "text/plain", "second", 6);
	}
	if (is_at(exchange, "/owned"))
		exchange_reply_owned(exchange, 200, "text/plain", "theirs", 6, release_owned,
				     &world->released);
	if (is_at(exchange, "/file"))
		reply_file(exchange);
	if (is_at(exchange, "/stream"))
		exchange_reply_stream(exchange, 200, "application/x-ndjson", -1, produce, NULL);
	if (is_at(exchange, "/length"))
		exchange_reply_stream(exchange, 200, "text/plain", 5, produce, NULL);
	if (is_at(exchange, "/endless"))
		exchange_reply_stream(exchange, 200, "text/plain", -1, produce_endlessly, NULL);
}

static inline void on_close(struct exchange *exchange, bool is_delivered, void *context)
{
	(void)context;
	world->closed++;
	world->delivered += is_delivered;
	if (world->exchange == exchange)
		world->exchange = NULL;
}

static inline void start_server(const struct server_limits *limits)
{
	const struct server_callbacks callbacks = {on_headers,  on_part,  on_body,
						   on_complete, on_close, NULL};
	int fds[2];

	CU_ASSERT_FATAL(server_listen_unix(world->socket_path, 0600, &fds[0], NULL) == 0);
	CU_ASSERT_FATAL(server_listen_loopback(0, &fds[1], &world->port, NULL) == 0);
	CU_ASSERT_FATAL(server_new(world->loop, fds, 2, &callbacks, limits, &world->server, NULL) ==
			0);
}

static inline void begin_with(const struct server_limits *limits)
{
	auto_free char *path = NULL;
	auto_fclose FILE *file = NULL;

	world = xcalloc(1, sizeof(*world));
	(void)snprintf(world->folder, sizeof(world->folder), "/tmp/test-server-XXXXXX");
	CU_ASSERT_FATAL(mkdtemp(world->folder) != NULL);
	(void)snprintf(world->socket_path, sizeof(world->socket_path), "%s/s", world->folder);
	path = xasprintf("%s/file", world->folder);
	file = fopen(path, "we");
	CU_ASSERT_FATAL(file && fputs("0123456789", file) >= 0);
	world->loop = loop_new();
	world->tick = loop_timer_new(world->loop, on_tick, &world->tick);
	on_tick(&world->tick);
	world->is_releasing = true;
	start_server(limits);
}

static inline void begin(void)
{
	begin_with(&(struct server_limits){0});
}

static inline void close_client(struct client *client)
{
	if (client->fd >= 0)
		(void)close(client->fd);
	client->fd = -1;
	buffer_release(&client->in);
	buffer_release(&client->out);
}

static inline void end(void)
{
	auto_free char *path = xasprintf("%s/file", world->folder);

	server_free(world->server);
	CU_ASSERT_EQUAL(world->closed, world->headers);
	CU_ASSERT_EQUAL(world->bodies_out_of_place, 0);
	for (size_t i = 0; i < world->client_count; i++)
		close_client(&world->clients[i]);
	loop_timer_free(world->tick);
	loop_free(world->loop);
	buffer_release(&world->body);
	buffer_release(&world->parts);
	(void)unlink(path);
	(void)unlink(world->socket_path);
	(void)rmdir(world->folder);
	free(world);
	world = NULL;
}

/* --- clients --- */

static inline struct client *add_client(int fd)
{
	struct client *client = &world->clients[world->client_count++];

	*client = (struct client){.fd = fd};
	CU_ASSERT_FATAL(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return client;
}

static inline struct client *connect_unix(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", world->socket_path);
	CU_ASSERT_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return add_client(fd);
}

static inline struct client *connect_tcp(void)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(world->port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	CU_ASSERT_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return add_client(fd);
}

static inline void serve_client(struct client *client)
{
	char bytes[4096];

	if (client->fd < 0)
		return;
	while (client->sent < client->out.size) {
		ssize_t size = send(client->fd, client->out.data + client->sent,
				    client->out.size - client->sent, MSG_NOSIGNAL);

		if (size < 0)
			break;
		client->sent += (size_t)size;
	}
	while (!client->is_closed && !client->is_deaf) {
		ssize_t size = recv(client->fd, bytes, sizeof(bytes), 0);

		if (size < 0 && errno == EAGAIN)
			break;
		if (size <= 0)
			client->is_closed = true;
		else
			buffer_add(&client->in, bytes, (size_t)size);
	}
}

static inline void turn(void)
{
	loop_run_once(world->loop, 1);
	if (world->is_releasing)
		server_release(world->server, world->commit, on_failed);
	for (size_t i = 0; i < world->client_count; i++)
		serve_client(&world->clients[i]);
}

#define turn_until(condition)                                                                      \
	do {                                                                                       \
		int64_t begun_ = loop_monotonic_us(world->loop);                                   \
		while (!(condition) && loop_monotonic_us(world->loop) - begun_ < PATIENCE_US)      \
			turn();                                                                    \
		CU_ASSERT(condition);                                                              \
	} while (0)

static inline void turn_times(unsigned times)
{
	while (times--)
		turn();
}

static inline void say(struct client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static inline void say(struct client *client, const char *format, ...)
{
	va_list arguments;
	auto_free char *text = NULL;

	va_start(arguments, format);
	text = xvasprintf(format, arguments);
	va_end(arguments);
	buffer_add_text(&client->out, text);
	serve_client(client);
}

static inline void say_bytes(struct client *client, char byte, size_t size)
{
	auto_free char *bytes = xmalloc(size);

	memset(bytes, byte, size);
	buffer_add(&client->out, bytes, size);
	serve_client(client);
}

static inline bool heard(struct client *client, const char *text)
{
	return strstr(buffer_text(&client->in), text) != NULL;
}

static inline bool heard_end(struct client *client, const char *text)
{
	const char *all = buffer_text(&client->in);
	size_t size = strlen(text);

	return client->in.size >= size && strcmp(all + client->in.size - size, text) == 0;
}

#endif
