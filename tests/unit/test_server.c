#include "daemon/io/server.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/loop.h"
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

static void on_tick(void *context)
{
	struct loop_timer **timer = context;

	loop_timer_set(*timer, 1);
}

static void on_failed(struct exchange *exchange, int commit)
{
	world->failed++;
	exchange_reply(exchange, commit == -ENOSPC ? 507 : 503, "text/plain", "unknown", 7);
}

static void release_owned(void *owner)
{
	++*(unsigned *)owner;
}

static int64_t produce(char *bytes, size_t size, void *context)
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

static int64_t produce_endlessly(char *bytes, size_t size, void *context)
{
	(void)context;
	memset(bytes, 'x', size);
	return (int64_t)size;
}

static void reply_file(struct exchange *exchange)
{
	auto_free char *path = xasprintf("%s/file", world->folder);
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	CU_ASSERT_FATAL(fd >= 0);
	exchange_reply_file(exchange, 206, "text/plain", fd, 3,
			    exchange_query(exchange, "lost") ? 100 : 4);
}

static void reply_note(struct exchange *exchange)
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

static bool is_at(const struct exchange *exchange, const char *prefix)
{
	return strncmp(exchange_path(exchange), prefix, strlen(prefix)) == 0;
}

static void read_peer(struct exchange *exchange)
{
	gid_t gid;
	pid_t pid;

	world->has_peer = exchange_peer(exchange, &world->uid, &gid, &pid);
	world->is_in_group = exchange_peer_in_group(exchange, getgid());
	world->is_in_other_group = exchange_peer_in_group(exchange, 54321);
	world->is_in_unheard_group = exchange_peer_in_group(exchange, 54322);
}

static void on_headers(struct exchange *exchange, void *context)
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

static void on_part(struct exchange *exchange, const struct server_part *part, void *context)
{
	(void)exchange;
	(void)context;
	if (part->offset == 0)
		buffer_add_format(&world->parts, "|%s(%s):", part->name,
				  part->file_name ? part->file_name : "-");
	buffer_add(&world->parts, part->data, part->size);
}

static void on_body(struct exchange *exchange, const char *data, size_t size, void *context)
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

static void on_complete(struct exchange *exchange, void *context)
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

static void on_close(struct exchange *exchange, bool is_delivered, void *context)
{
	(void)context;
	world->closed++;
	world->delivered += is_delivered;
	if (world->exchange == exchange)
		world->exchange = NULL;
}

static void start_server(const struct server_limits *limits)
{
	const struct server_callbacks callbacks = {on_headers,  on_part,  on_body,
						   on_complete, on_close, NULL};
	int fds[2];

	CU_ASSERT_FATAL(server_listen_unix(world->socket_path, 0600, &fds[0], NULL) == 0);
	CU_ASSERT_FATAL(server_listen_loopback(0, &fds[1], &world->port, NULL) == 0);
	CU_ASSERT_FATAL(server_new(world->loop, fds, 2, &callbacks, limits, &world->server, NULL) ==
			0);
}

static void begin_with(const struct server_limits *limits)
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

static void begin(void)
{
	begin_with(&(struct server_limits){0});
}

static void close_client(struct client *client)
{
	if (client->fd >= 0)
		(void)close(client->fd);
	client->fd = -1;
	buffer_release(&client->in);
	buffer_release(&client->out);
}

static void end(void)
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

static struct client *add_client(int fd)
{
	struct client *client = &world->clients[world->client_count++];

	*client = (struct client){.fd = fd};
	CU_ASSERT_FATAL(fcntl(fd, F_SETFL, O_NONBLOCK) == 0);
	return client;
}

static struct client *connect_unix(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", world->socket_path);
	CU_ASSERT_FATAL(connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
	return add_client(fd);
}

static struct client *connect_tcp(void)
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

static void serve_client(struct client *client)
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

static void turn(void)
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

static void turn_times(unsigned times)
{
	while (times--)
		turn();
}

static void say(struct client *client, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

static void say(struct client *client, const char *format, ...)
{
	va_list arguments;
	auto_free char *text = NULL;

	va_start(arguments, format);
	text = xvasprintf(format, arguments);
	va_end(arguments);
	buffer_add_text(&client->out, text);
	serve_client(client);
}

static void say_bytes(struct client *client, char byte, size_t size)
{
	auto_free char *bytes = xmalloc(size);

	memset(bytes, byte, size);
	buffer_add(&client->out, bytes, size);
	serve_client(client);
}

static bool heard(struct client *client, const char *text)
{
	return strstr(buffer_text(&client->in), text) != NULL;
}

static bool heard_end(struct client *client, const char *text)
{
	const char *all = buffer_text(&client->in);
	size_t size = strlen(text);

	return client->in.size >= size && strcmp(all + client->in.size - size, text) == 0;
}

/* --- claims --- */

static void answers_get_and_keeps_the_connection(void)
{
	struct client *clients[2];

	begin();
	clients[0] = connect_unix();
	clients[1] = connect_tcp();
	for (int i = 0; i < 4; i++) {
		struct client *client = clients[i % 2];

		buffer_clear(&client->in);
		say(client, "GET /note/%%C3%%A4/../x?name=a%%20b+c&flag&name=2 HTTP/1.1\r\n"
			    "Host: x\r\nX-Mark: yes\r\n\r\n");
		turn_until(heard_end(client, "GET /note/\xC3\xA4/../x name=a b c flag= absent=- "
					     "mark=yes"));
		CU_ASSERT(heard(client, "HTTP/1.1 200 OK\r\n"));
		CU_ASSERT(heard(client, "X-One: 1\r\n"));
		CU_ASSERT(heard(client, "Date: "));
	}
	CU_ASSERT_EQUAL(world->headers, 4);
	CU_ASSERT_EQUAL(world->completed, 0);
	turn_until(world->delivered == 4);
	end();
}

static void collects_a_body_in_pieces(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	turn_until(world->body.size == 3);
	CU_ASSERT_EQUAL(world->completed, 0);
	CU_ASSERT_EQUAL(exchange_content_length(world->exchange), 9);
	say(client, "defghi");
	turn_until(heard_end(client, "\r\n\r\nabcdefghi"));
	turn_until(world->delivered == 1);
	CU_ASSERT_EQUAL(server_count(world->server), 0);
	end();
}

static void collects_a_chunked_body(void)
{
	struct client *client;

	begin();
	client = connect_tcp();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "3\r\nabc\r\n1\r\nd\r\n");
	turn_until(world->body.size == 4);
	CU_ASSERT_EQUAL(exchange_content_length(world->exchange), -1);
	say(client, "2\r\nef\r\n0\r\n\r\n");
	turn_until(heard_end(client, "abcdef"));
	end();
}

static void answers_expect_100_continue(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n"
		    "Expect: 100-continue\r\n\r\n");
	turn_until(heard(client, "HTTP/1.1 100 Continue\r\n\r\n"));
	say(client, "abc");
	turn_until(heard_end(client, "abc"));
	end();
}

static void tells_of_a_body_that_stops_half_way(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	turn_until(world->body.size == 3);
	CU_ASSERT_EQUAL(server_count(world->server), 1);
	close_client(client);
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	CU_ASSERT_EQUAL(world->completed, 0);
	end();
}

static void shows_an_early_reply_to_a_client_that_still_sends(void)
{
	/* clang-format off */
	static const struct { const char *name, *headers; size_t size; bool is_tcp; } rows[] = {
		{ "small", "Content-Length: 1000\r\n", 1000, false },
		{ "5 MiB", "Content-Length: 5242880\r\n", 5242880, false },
		{ "5 MiB by TCP", "Content-Length: 5242880\r\n", 5242880, true },
		{ "expected", "Content-Length: 5242880\r\nExpect: 100-continue\r\n", 5242880, true },
		{ "1 GiB promised", "Content-Length: 1073741824\r\n", 5242880, false },
		{ "nothing sent", "Content-Length: 1073741824\r\n", 0, false },
		{ "chunked", "Transfer-Encoding: chunked\r\n", 0, true },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = rows[i].is_tcp ? connect_tcp() : connect_unix();
		/* Who sends all before reading is the one who loses the answer when the server
		   closes too early. */
		client->is_deaf = rows[i].size > 0;
		say(client, "POST /early HTTP/1.1\r\nHost: x\r\n%s\r\n", rows[i].headers);
		say_bytes(client, 'x', rows[i].size);
		turn_until(client->sent == client->out.size);
		client->is_deaf = false;
		turn_until(heard_end(client, "\r\n\r\nfull"));
		CHECK_ROW(rows[i].name, heard(client, "HTTP/1.1 507 "));
		turn_until(world->closed == 1);
		CHECK_ROW(rows[i].name, world->delivered == 1);
		end();
	}
}

static void shows_a_reply_given_in_mid_body(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /mid HTTP/1.1\r\nHost: x\r\nContent-Length: 5242880\r\n\r\n");
	say_bytes(client, 'x', 5242880);
	turn_until(heard_end(client, "enough"));
	CU_ASSERT(heard(client, "HTTP/1.1 422 "));
	CU_ASSERT(world->body.size < 1 << 20);
	CU_ASSERT_EQUAL(world->completed, 0);
	end();
}

static void closes_when_too_much_comes_after_a_reply(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /mid HTTP/1.1\r\nHost: x\r\nContent-Length: 1073741824\r\n\r\n");
	say_bytes(client, 'x', 17 << 20);
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	turn_until(client->is_closed);
	end();
}

static void holds_a_reply_until_the_release(void)
{
	static const char *const requests[] = {
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nfull",
		"GET /early HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n123456789",
		"POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 999999\r\n\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct client *client;

		begin();
		world->is_releasing = false;
		client = connect_unix();
		say(client, "%s", requests[i]);
		turn_until(world->headers == 1);
		turn_times(100);
		CHECK_ROW(requests[i], client->in.size == 0);
		server_release(world->server, 0, on_failed);
		turn_until(heard_end(client, "full"));
		end();
	}
}

static void answers_a_client_that_has_shut_its_sending_half(void)
{
	/* clang-format off */
	static const struct { const char *request, *answer; bool is_late; } rows[] = {
		{ "GET /note HTTP/1.1\r\nHost: x\r\n\r\n", "mark=-", false },
		{ "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "abc", false },
		{ "POST /early HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "full", false },
		{ "GET /later HTTP/1.1\r\nHost: x\r\n\r\n", "late", true },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin_with(&(struct server_limits){.probe_interval_ms = 1});
		client = connect_unix();
		say(client, "%s", rows[i].request);
		CU_ASSERT(shutdown(client->fd, SHUT_WR) == 0);
		turn_until(world->headers == 1);
		turn_times(rows[i].is_late ? 100 : 0);
		if (rows[i].is_late) {
			CU_ASSERT_PTR_NOT_NULL_FATAL(world->exchange);
			exchange_reply(world->exchange, 200, "text/plain", "late", 4);
		}
		turn_until(heard_end(client, rows[i].answer));
		end();
	}
}

static void a_failed_commit_replaces_all_but_gets(void)
{
	/* clang-format off */
	static const struct { const char *method, *status; int commit; } rows[] = {
		{ "GET",    "HTTP/1.1 200 ", -ENOSPC },
		{ "POST",   "HTTP/1.1 507 ", -ENOSPC },
		{ "DELETE", "HTTP/1.1 503 ", -EIO },
		{ "POST",   "HTTP/1.1 200 ", 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		world->commit = rows[i].commit;
		client = connect_unix();
		say(client, "%s /note HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].method);
		turn_until(world->delivered == 1);
		turn();
		CHECK_ROW(rows[i].method, heard(client, rows[i].status));
		CHECK_ROW(rows[i].method, heard(client, "unknown") == (world->failed == 1));
		CHECK_ROW(rows[i].method, world->failed == !heard(client, "HTTP/1.1 200 "));
		end();
	}
}

static void a_second_reply_replaces_the_first(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /twice HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "second"));
	CU_ASSERT(heard(client, "HTTP/1.1 200 "));
	CU_ASSERT(!heard(client, "first"));
	end();
}

static void releases_owned_bytes_once(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /owned HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "theirs"));
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->released, 1);

	/* Given, and never sent. */
	world->is_releasing = false;
	say(client, "GET /owned HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->completed == 2);
	close_client(client);
	server_free(world->server);
	CU_ASSERT_EQUAL(world->released, 2);
	world->server = NULL;
	end();
}

static void streams_when_it_is_woken(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	world->line = "{\"a\":1}\n";
	say(client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "8\r\n{\"a\":1}\n\r\n"));
	turn_times(20);
	world->line = "{\"b\":2}\n";
	turn_times(20);
	CU_ASSERT(!heard(client, "b"));
	exchange_wake(world->exchange);
	turn_until(heard_end(client, "8\r\n{\"b\":2}\n\r\n"));
	world->ending = SERVER_STREAM_END;
	exchange_wake(world->exchange);
	turn_until(heard_end(client, "0\r\n\r\n"));
	turn_until(world->delivered == 1);
	CU_ASSERT(!client->is_closed);
	end();
}

static void a_waiting_stream_says_blank_lines(void)
{
	struct client *client;

	begin_with(&(struct server_limits){.probe_interval_ms = 1});
	client = connect_tcp();
	say(client, "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "1\r\n\n\r\n1\r\n\n\r\n"));
	/* Never inside a line. */
	world->line = "{\"a\":";
	exchange_wake(world->exchange);
	turn_until(heard_end(client, "5\r\n{\"a\":\r\n"));
	turn_times(50);
	CU_ASSERT(heard_end(client, "5\r\n{\"a\":\r\n"));
	world->line = "1}\n";
	exchange_wake(world->exchange);
	turn_until(heard_end(client, "3\r\n1}\n\r\n1\r\n\n\r\n"));
	close_client(client);
	turn_until(world->closed == 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	end();
}

static void notices_a_peer_that_is_gone_while_it_waits(void)
{
	static const char *const requests[] = {
		"GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /length HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /paused HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nab",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct client *client;

		begin_with(&(struct server_limits){.probe_interval_ms = 1});
		client = connect_unix();
		say(client, "%s", requests[i]);
		turn_until(world->headers == 1);
		turn_times(50);
		CHECK_ROW(requests[i], world->closed == 0);
		close_client(client);
		turn_until(world->closed == 1);
		CHECK_ROW(requests[i], world->delivered == 0);
		end();
	}
}

static void sends_a_stream_of_known_length(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	world->line = "abcde";
	world->ending = SERVER_STREAM_END;
	say(client, "GET /length HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "\r\n\r\nabcde"));
	CU_ASSERT(heard(client, "Content-Length: 5\r\n"));
	turn_until(world->delivered == 1);
	end();
}

static void shows_a_broken_stream_as_cut(void)
{
	/* clang-format off */
	static const struct { const char *path; int64_t ending; } rows[] = {
		{ "/stream", SERVER_STREAM_BROKEN },
		{ "/length", SERVER_STREAM_BROKEN },
		{ "/length", SERVER_STREAM_END },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		world->line = "abc";
		world->ending = rows[i].ending;
		say(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", rows[i].path);
		turn_until(client->is_closed);
		CHECK_ROW(rows[i].path, heard(client, "abc"));
		CHECK_ROW(rows[i].path, !heard(client, "0\r\n\r\n"));
		turn_until(world->closed == 1);
		CHECK_ROW(rows[i].path, world->delivered == 0);
		end();
	}
}

static void sends_a_range_of_a_file(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /file HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "\r\n\r\n3456"));
	CU_ASSERT(heard(client, "HTTP/1.1 206 "));
	CU_ASSERT(heard(client, "Content-Length: 4\r\n"));
	buffer_clear(&client->in);
	say(client, "HEAD /file HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(client, "\r\n\r\n"));
	CU_ASSERT(heard(client, "Content-Length: 4\r\n"));
	buffer_clear(&client->in);
	say(client, "GET /file?lost HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard(client, "HTTP/1.1 500 "));
	end();
}

#define FORM_SIZE 150000
#define BOUNDARY  "----b0und4ry"

static void make_form(struct buffer *form, struct buffer *expected)
{
	static const char lines[] = "{\"custom_id\":\"a\"}\r\n--\r\n----b0und\r\n";

	buffer_add_text(form,
			"--" BOUNDARY "\r\nContent-Disposition: form-data; name=\"purpose\""
			"\r\n\r\nbatch\r\n--" BOUNDARY
			"\r\nContent-Disposition: form-data; name=\"empty\"\r\n\r\n\r\n--" BOUNDARY
			"\r\nContent-Disposition: form-data; name=\"file\"; filename=\"in.jsonl\""
			"\r\nContent-Type: application/octet-stream\r\n\r\n");
	buffer_add_text(expected, "|purpose(-):batch|empty(-):|file(in.jsonl):");
	for (size_t size = 0; size < FORM_SIZE; size += strlen(lines)) {
		buffer_add_text(form, lines);
		buffer_add_text(expected, lines);
	}
	buffer_add_text(form, "\r\n--" BOUNDARY "--\r\n");
}

static void send_form(const struct buffer *form, size_t cut, const struct buffer *expected)
{
	struct client *client = connect_unix();

	buffer_clear(&world->parts);
	say(client,
	    "POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\n"
	    "Content-Type: multipart/form-data; boundary=" BOUNDARY "\r\n\r\n",
	    form->size);
	buffer_add(&client->out, form->data, cut);
	turn_until(client->sent == client->out.size);
	turn_times(2);
	buffer_add(&client->out, form->data + cut, form->size - cut);
	turn_until(heard_end(client, "formed"));
	CU_ASSERT(world->parts.size == expected->size &&
		  memcmp(world->parts.data, expected->data, expected->size) == 0);
	close_client(client);
	world->client_count--;
}

static void reads_a_form_wherever_it_is_cut(void)
{
	auto_buffer form = {0};
	auto_buffer expected = {0};
	size_t tail;

	make_form(&form, &expected);
	tail = form.size - 80;
	begin();
	for (size_t cut = 1; cut < 300; cut++)
		send_form(&form, cut, &expected);
	for (size_t cut = tail; cut < form.size; cut++)
		send_form(&form, cut, &expected);
	end();
}

static void refuses_a_form_that_is_not_well_formed(void)
{
	/* clang-format off */
	static const struct { const char *name, *body; } rows[] = {
		{ "cut", "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx" },
		{ "no last boundary",
		  "--b1\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b1\r\n" },
		{ "junk after a boundary", "--b1junk\r\n\r\nx\r\n--b1--\r\n" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client,
		    "POST /form HTTP/1.1\r\nHost: x\r\nContent-Length: %zu\r\nContent-Type: "
		    "multipart/form-data; boundary=b1\r\n\r\n%s",
		    strlen(rows[i].body), rows[i].body);
		turn_until(heard_end(client, "\"param\":null,\"code\":null}}\n"));
		CHECK_ROW(rows[i].name, heard(client, "HTTP/1.1 400 "));
		CHECK_ROW(rows[i].name, world->completed == 0);
		end();
	}
	begin();
	say(connect_unix(), "POST /noform HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n");
	turn_until(world->headers == 1);
	end();
}

static void refuses_targets_that_are_no_paths(void)
{
	static const char *const targets[] = {
		"/a%00b",     "/%ff",  "/%c0%af",  "/%ed%a0%80", "/%f4%90%80%80",
		"/a%2",       "/a%zz", "/a?b=%00", "/a?b=%fe",   "/a\x01",
		"http://x/a", "*",     "/a b",     "/\xC3\x28",  "/a?%e4=1",
	};

	for (size_t i = 0; i < ARRAY_SIZE(targets); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", targets[i]);
		turn_until(heard_end(client, "\"type\":\"invalid_request_error\",\"param\":null,"
					     "\"code\":null}}\n"));
		CHECK_ROW(targets[i], heard(client, "HTTP/1.1 400 "));
		CHECK_ROW(targets[i], world->headers == 0);
		end();
	}
}

#define POST    "POST /echo HTTP/1.1\r\nHost: x\r\n"
#define CHUNKED "Transfer-Encoding: chunked\r\n\r\n"

static void survives_bad_heads(void)
{
	/* clang-format off */
	static const struct { const char *name, *head, *status; } rows[] = {
		{ "no target", "GET\r\n\r\n", NULL },
		{ "no version", "GET /note\r\n\r\n", NULL },
		{ "noise", "\x16\x03\x01\x02\r\n\r\n", NULL },
		{ "no colon", "GET /note HTTP/1.1\r\nHost\r\n\r\n", "HTTP/1.1 400 " },
		{ "length is no number", POST "Content-Length: abc\r\n\r\n", "HTTP/1.1 400 " },
		{ "length is negative", POST "Content-Length: -1\r\n\r\n", "HTTP/1.1 400 " },
		{ "length is huge", POST "Content-Length: 99999999999999999999\r\n\r\n", "HTTP/1.1 413 " },
		{ "coding is unknown", POST "Transfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 " },
		{ "chunk is no number", POST CHUNKED "xyz\r\n", "HTTP/1.1 400 " },
		{ "chunk is huge", POST CHUNKED "ffffffffffffffffff\r\n", "HTTP/1.1 413 " },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client, "%s", rows[i].head);
		turn_until(client->is_closed);
		if (rows[i].status)
			CHECK_ROW(rows[i].name, heard(client, rows[i].status));
		CHECK_ROW(rows[i].name, world->completed == 0);
		end();
	}
}

static void answers_a_bomb_of_headers_with_431(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	client->is_deaf = true;
	say(client, "GET /note HTTP/1.1\r\nHost: x\r\n");
	for (int i = 0; i < 40000; i++)
		buffer_add_format(&client->out, "X-Header-%d: aaaaaaaaaaaaaaaaaaaaaaaa\r\n", i);
	turn_until(client->sent == client->out.size);
	client->is_deaf = false;
	turn_until(client->is_closed);
	CU_ASSERT(heard(client, "HTTP/1.1 431 "));
	CU_ASSERT_EQUAL(world->headers, 0);
	end();
}

static void answers_pipelined_requests_in_order(void)
{
	const char *first, *second, *third;
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /note?name=1 HTTP/1.1\r\nHost: x\r\n\r\n"
		    "GET /note?name=2 HTTP/1.1\r\nHost: x\r\n\r\n"
		    "GET /note?name=3 HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->delivered == 3);
	turn();
	first = strstr(buffer_text(&client->in), "name=1");
	second = strstr(buffer_text(&client->in), "name=2");
	third = strstr(buffer_text(&client->in), "name=3");
	CU_ASSERT(first && second && third && first < second && second < third);
	end();
}

static void serves_200_connections_at_once(void)
{
	size_t answered = 0;

	begin();
	for (int i = 0; i < 200; i++)
		say(i % 2 ? connect_tcp() : connect_unix(),
		    "POST /later HTTP/1.1\r\nHost: x\r\n"
		    "Content-Length: 2\r\n\r\n%02d",
		    i % 100);
	turn_until(world->completed == 200);
	CU_ASSERT_EQUAL(server_count(world->server), 200);
	for (int i = 0; i < 200; i++)
		say(i % 2 ? connect_tcp() : connect_unix(),
		    "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->delivered == 200);
	turn_times(3);
	for (size_t i = 200; i < world->client_count; i++)
		answered += heard_end(&world->clients[i], "mark=-");
	CU_ASSERT_EQUAL(answered, 200);
	end();
}

static void limits_the_connections_of_a_user(void)
{
	struct client *clients[3];

	begin_with(&(struct server_limits){.max_connections_per_user = 2});
	for (int i = 0; i < 3; i++) {
		clients[i] = connect_unix();
		say(clients[i], "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	turn_until(heard_end(clients[0], "mark=-"));
	turn_until(heard_end(clients[1], "mark=-"));
	turn_until(clients[2]->is_closed);
	CU_ASSERT(heard(clients[2], "HTTP/1.1 429 "));
	CU_ASSERT(heard(clients[2], "too many connections of one user"));
	CU_ASSERT_EQUAL(world->headers, 2);
	close_client(clients[0]);
	turn_times(5);
	clients[2] = connect_unix();
	say(clients[2], "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(heard_end(clients[2], "mark=-"));
	end();
}

static void knows_who_asks(void)
{
	const gid_t other = 54321;
	gid_t groups[256];
	int count = getgroups((int)ARRAY_SIZE(groups), groups);
	bool may_join;

	begin();
	say(connect_unix(), "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->headers == 1);
	CU_ASSERT(world->has_peer);
	CU_ASSERT_EQUAL(world->uid, getuid());
	CU_ASSERT(world->is_in_group);
	CU_ASSERT(!world->is_in_other_group);
	say(connect_tcp(), "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->headers == 2);
	CU_ASSERT(!world->has_peer);
	CU_ASSERT(!world->is_in_group);

	/* Only the superuser may join a group; what counts is the moment of connect. */
	CU_ASSERT_FATAL(count >= 0);
	may_join = setgroups(1, &other) == 0;
	say(connect_unix(), "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	if (may_join)
		CU_ASSERT(setgroups((size_t)count, groups) == 0);
	turn_until(world->headers == 3);
	CU_ASSERT_EQUAL(world->is_in_other_group, may_join);
	CU_ASSERT(!world->is_in_unheard_group);
	end();
}

static void pauses_and_goes_on(void)
{
	/* clang-format off */
	static const struct { const char *path, *headers, *pieces[3]; } rows[] = {
		{ "/slow",   "Content-Length: 6",          { "ab", "cd", "ef" } },
		{ "/slow",   "Content-Length: 6",          { "abcdef", "", "" } },
		{ "/slow",   "Transfer-Encoding: chunked",
		  { "2\r\nab\r\n2\r\ncd\r\n", "2\r\nef\r\n", "0\r\n\r\n" } },
		{ "/slow",   "Transfer-Encoding: chunked",
		  { "2\r\nab\r\n2\r\ncd\r\n2\r\nef\r\n0\r\n\r\n", "", "" } },
		{ "/paused", "Content-Length: 6",          { "abc", "def", "" } },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client, "POST %s HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", rows[i].path,
		    rows[i].headers);
		for (int piece = 0; piece < 3; piece++) {
			say(client, "%s", rows[i].pieces[piece]);
			turn_times(30);
		}
		/* One piece at most came before the owner said go on. */
		CHECK_ROW(rows[i].path,
			  world->body.size <= (strcmp(rows[i].pieces[0], "abcdef") ? 2 : 6));
		CHECK_ROW(rows[i].path, world->completed == 0);
		for (int go = 0; go < 4; go++) {
			if (world->exchange)
				exchange_go_on(world->exchange);
			turn_times(10);
		}
		turn_until(heard_end(client, "\r\n\r\nabcdef"));
		end();
	}
}

static void replies_while_it_is_paused(void)
{
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 6\r\n\r\nab");
	turn_until(world->body.size == 2);
	turn_times(5);
	exchange_reply(world->exchange, 507, "text/plain", "full", 4);
	turn_times(5);
	CU_ASSERT_EQUAL(client->in.size, 0);
	say(client, "cdef");
	turn_until(heard_end(client, "full"));
	CU_ASSERT_EQUAL(world->body.size, 2);
	end();
}

static void a_slow_reader_keeps_nobody_waiting(void)
{
	struct client *slow;

	begin();
	slow = connect_unix();
	slow->is_deaf = true;
	say(slow, "GET /endless HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_times(5);
	for (int i = 0; i < 20; i++) {
		struct client *client = connect_unix();

		say(client, "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
		turn_until(heard_end(client, "mark=-"));
	}
	CU_ASSERT_EQUAL(world->closed, 20);
	end();
}

static void drops_a_connection_without_an_answer(void)
{
	static const char *const requests[] = {
		"GET /dropped HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /later HTTP/1.1\r\nHost: x\r\n\r\n",
		"GET /stream HTTP/1.1\r\nHost: x\r\n\r\n",
		"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
		"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc",
	};

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		struct client *client;

		begin();
		client = connect_unix();
		say(client, "%s", requests[i]);
		turn_until(world->headers == 1);
		turn_times(20);
		if (world->exchange)
			exchange_drop(world->exchange);
		turn_until(client->is_closed);
		turn_until(world->closed == 1);
		CHECK_ROW(requests[i], world->delivered == 0);
		end();
	}
}

static void closes_idle_connections(void)
{
	struct client *client;

	begin_with(&(struct server_limits){.idle_timeout_s = 1});
	client = connect_unix();
	say(client, "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc");
	turn_until(world->headers == 1);
	turn_until(client->is_closed);
	CU_ASSERT_EQUAL(world->closed, 1);
	CU_ASSERT_EQUAL(world->delivered, 0);
	end();
}

static void goes_on_with_what_is_under_way_when_quiesced(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	auto_close int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct client *client;

	begin();
	client = connect_unix();
	say(client, "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->headers == 1);
	server_quiesce(world->server);
	server_quiesce(world->server);
	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", world->socket_path);
	CU_ASSERT(connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0);
	CU_ASSERT_EQUAL(errno, ECONNREFUSED);
	exchange_reply(world->exchange, 200, "text/plain", "late", 4);
	turn_until(heard_end(client, "late"));
	end();
}

static void ends_cleanly_with_all_kinds_of_waiting(void)
{
	begin();
	for (int i = 0; i < 4; i++) {
		say(connect_unix(), "GET /later HTTP/1.1\r\nHost: x\r\n\r\n");
		say(connect_tcp(), "GET /stream HTTP/1.1\r\nHost: x\r\n\r\n");
		say(connect_unix(),
		    "POST /paused HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n");
		say(connect_unix(),
		    "POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab");
		say(connect_unix(),
		    "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nab");
		say(connect_unix(), "GET /note HTTP/1.1\r\nHo");
		turn_until(server_count(world->server) == 5 * ((size_t)i + 1));
		turn_times(3);
	}
	world->is_releasing = false;
	say(connect_unix(), "GET /note HTTP/1.1\r\nHost: x\r\n\r\n");
	turn_until(world->headers == 21);
	/* end() counts that each was closed once; the sanitizer does the rest. */
	end();
}

static void takes_over_a_dead_socket_and_no_live_one(void)
{
	struct error error = {0};
	struct stat status;
	int fd = -1;

	begin();
	CU_ASSERT_EQUAL(server_listen_unix(world->socket_path, 0600, &fd, &error), -EADDRINUSE);
	CU_ASSERT(strstr(error.text, world->socket_path) != NULL);
	server_free(world->server);
	world->server = NULL;
	CU_ASSERT_EQUAL(server_listen_unix(world->socket_path, 0660, &fd, &error), 0);
	CU_ASSERT(stat(world->socket_path, &status) == 0 && (status.st_mode & 0777) == 0660);
	(void)close(fd);
	CU_ASSERT_EQUAL(server_listen_unix(world->folder, 0660, &fd, &error), -EEXIST);
	CU_ASSERT_EQUAL(server_listen_unix("", 0660, &fd, &error), -ENAMETOOLONG);
	CU_ASSERT_EQUAL(server_listen_unix("/nowhere/at/all", 0660, &fd, &error), -ENOENT);
	end();
}

CHECK_MAIN("server", CHECK(answers_get_and_keeps_the_connection), CHECK(collects_a_body_in_pieces),
	   CHECK(collects_a_chunked_body), CHECK(answers_expect_100_continue),
	   CHECK(tells_of_a_body_that_stops_half_way),
	   CHECK(shows_an_early_reply_to_a_client_that_still_sends),
	   CHECK(shows_a_reply_given_in_mid_body), CHECK(closes_when_too_much_comes_after_a_reply),
	   CHECK(holds_a_reply_until_the_release),
	   CHECK(answers_a_client_that_has_shut_its_sending_half),
	   CHECK(a_failed_commit_replaces_all_but_gets), CHECK(a_second_reply_replaces_the_first),
	   CHECK(releases_owned_bytes_once), CHECK(streams_when_it_is_woken),
	   CHECK(a_waiting_stream_says_blank_lines),
	   CHECK(notices_a_peer_that_is_gone_while_it_waits), CHECK(sends_a_stream_of_known_length),
	   CHECK(shows_a_broken_stream_as_cut), CHECK(sends_a_range_of_a_file),
	   CHECK(reads_a_form_wherever_it_is_cut), CHECK(refuses_a_form_that_is_not_well_formed),
	   CHECK(refuses_targets_that_are_no_paths), CHECK(survives_bad_heads),
	   CHECK(answers_a_bomb_of_headers_with_431), CHECK(answers_pipelined_requests_in_order),
	   CHECK(serves_200_connections_at_once), CHECK(limits_the_connections_of_a_user),
	   CHECK(knows_who_asks), CHECK(pauses_and_goes_on), CHECK(replies_while_it_is_paused),
	   CHECK(a_slow_reader_keeps_nobody_waiting), CHECK(drops_a_connection_without_an_answer),
	   CHECK(closes_idle_connections), CHECK(goes_on_with_what_is_under_way_when_quiesced),
	   CHECK(ends_cleanly_with_all_kinds_of_waiting),
	   CHECK(takes_over_a_dead_socket_and_no_live_one))
