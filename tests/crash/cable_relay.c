#include "tests/crash/cable_relay.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/loop.h"
#include "tests/crash/faults_tables.h"

#define CONNECTIONS 64
#define PIECE       65536
/* So little is taken in advance that an upload is still under way when it is tampered with. */
#define RECEIVE_ROOM 8192

struct host {
	int fd;
	struct loop_watch *watch;
	bool is_other;
	char url[64];
};

/* One connection of a client, and what was asked on it. */
struct pass {
	struct host *host;
	int fd, upstream;
	struct loop_watch *watch, *upstream_watch;
	struct buffer in;
	size_t head, wanted; /* bytes of the request: its headers, all of it; 0: not known yet */
	unsigned call;
	const struct tamper *tamper;
	struct buffer up; /* what goes upstream */
	size_t up_sent;
	struct buffer answer, out;
	size_t sent;
	enum relay_then then;
	bool is_deaf; /* it was answered early: what still comes is dropped */
};

static struct relay {
	struct loop *loop;
	uint16_t port;
	char *key; /* "Authorization: Bearer ..." */
	const struct tamper *tamper;
	unsigned calls;
	struct host hosts[2];
	struct pass passes[CONNECTIONS];
	struct relay_counts counts;
} relay;

/* clang-format off */
static const struct { const char *start, *part; unsigned call; } calls[] = {
	{ "POST /v1/files ",    NULL,       ON_UPLOAD },
	{ "POST /v1/batches ",  NULL,       ON_CREATE },
	{ "POST /v1/batches/",  "/cancel ", ON_CANCEL },
	{ "GET /v1/batches/",   NULL,       ON_RETRIEVE },
	{ "GET /v1/batches?",   NULL,       ON_LIST },
	{ "GET /v1/files/",     "/content", ON_CONTENT },
	{ "GET /v1/files?",     NULL,       ON_FILES },
	{ "DELETE /v1/files/",  NULL,       ON_DELETE },
};
/* clang-format on */

static void close_upstream(struct pass *pass)
{
	if (pass->upstream < 0)
		return;
	loop_watch_free(pass->upstream_watch);
	(void)close(pass->upstream);
	pass->upstream = -1;
}

static void hang_up(struct pass *pass, bool is_reset)
{
	const struct linger linger = { .l_onoff = 1, .l_linger = 0 };

	if (pass->fd < 0)
		return;
	close_upstream(pass);
	loop_watch_free(pass->watch);
	if (is_reset)
		(void)setsockopt(pass->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
	(void)close(pass->fd);
	pass->fd = -1;
	buffer_release(&pass->in);
	buffer_release(&pass->up);
	buffer_release(&pass->answer);
	buffer_release(&pass->out);
}

/* The next request of the same connection. */
static void begin_anew(struct pass *pass)
{
	buffer_clear(&pass->in);
	buffer_clear(&pass->up);
	buffer_clear(&pass->answer);
	buffer_clear(&pass->out);
	pass->head = pass->wanted = pass->up_sent = pass->sent = 0;
	pass->tamper = NULL;
	pass->then = RELAY_KEEP;
	loop_watch_set(pass->watch, LOOP_READ);
}

static void write_out(struct pass *pass)
{
	while (pass->sent < pass->out.size) {
		ssize_t size = send(pass->fd, pass->out.data + pass->sent, pass->out.size - pass->sent, MSG_NOSIGNAL);

		if (size < 0 && errno == EAGAIN) {
			loop_watch_set(pass->watch, LOOP_WRITE);
			return;
		}
		if (size <= 0) {
			hang_up(pass, false);
			return;
		}
		pass->sent += (size_t)size;
	}
	if (pass->then != RELAY_KEEP)
		hang_up(pass, pass->then == RELAY_RESET);
	else if (pass->is_deaf)
		loop_watch_set(pass->watch, LOOP_READ);
	else
		begin_anew(pass);
}

/* "/batches/X" of "GET /v1/batches/X HTTP/1.1". The caller frees. */
static char *path_of(struct pass *pass)
{
	const char *path = strstr(buffer_text(&pass->in), "/v1");

	return path ? xmemdup0(path + 3, strcspn(path + 3, " \r\n")) : xstrdup("");
}

/* The answer to the client: the model's own bytes, unless somebody tampers with it. */
static void give(struct pass *pass, struct relay_answer *answer)
{
	auto_free char *path = path_of(pass);

	answer->path = path;
	if (pass->tamper) {
		relay.counts.tampered++;
		pass->then = pass->tamper->then;
		if (pass->tamper->shape)
			pass->tamper->shape(answer, &pass->out);
	} else {
		buffer_add_format(&pass->out, "HTTP/1.1 %d OK\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
				  answer->status, answer->content_type, answer->size);
		buffer_add(&pass->out, answer->body, answer->size);
	}
	/* Without a word the client would wait for one. */
	if (!pass->out.size && pass->then == RELAY_KEEP)
		pass->then = RELAY_CLOSE;
	write_out(pass);
}

static void give_answer(struct pass *pass)
{
	const char *text = buffer_text(&pass->answer), *body = strstr(text, "\r\n\r\n");
	const char *type = strcasestr(text, "\r\ncontent-type: ");
	auto_free char *type_text = NULL;
	struct relay_answer answer = { 0 };

	close_upstream(pass);
	if (!body || sscanf(text, "HTTP/1.1 %d", &answer.status) != 1) {
		hang_up(pass, true);
		return;
	}
	body += 4;
	type_text = type && type < body ? xmemdup0(type + 16, strcspn(type + 16, "\r\n")) : xstrdup("text/plain");
	answer.content_type = type_text;
	answer.body = body;
	answer.size = pass->answer.size - (size_t)(body - text);
	give(pass, &answer);
}

static void on_upstream(unsigned events, void *context)
{
	struct pass *pass = context;
	static char piece[PIECE];
	ssize_t size;

	if (events & LOOP_WRITE && pass->up_sent < pass->up.size) {
		size = send(pass->upstream, pass->up.data + pass->up_sent, pass->up.size - pass->up_sent, MSG_NOSIGNAL);
		if (size > 0)
			pass->up_sent += (size_t)size;
		loop_watch_set(pass->upstream_watch, LOOP_READ | (pass->up_sent < pass->up.size ? LOOP_WRITE : 0u));
	}
	if (!(events & LOOP_READ))
		return;
	size = recv(pass->upstream, piece, sizeof(piece), MSG_DONTWAIT);
	if (size > 0)
		buffer_add(&pass->answer, piece, (size_t)size);
	else if (size == 0 || errno != EAGAIN)
		give_answer(pass);
}

/* The request, on a connection that ends with its answer. */
static void pass_on(struct pass *pass)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
		.sin_port = htons(relay.port),
	};
	const char *line_end = strstr(buffer_text(&pass->in), "\r\n");

	buffer_add(&pass->up, pass->in.data, (size_t)(line_end + 2 - pass->in.data));
	buffer_add_text(&pass->up, "Connection: close\r\n");
	if (pass->host->is_other)
		buffer_add_format(&pass->up, "%s\r\n", relay.key);
	buffer_add(&pass->up, line_end + 2, pass->wanted - (size_t)(line_end + 2 - pass->in.data));
	loop_watch_set(pass->watch, 0);
	pass->upstream = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (pass->upstream < 0 || (connect(pass->upstream, (const struct sockaddr *)&address, sizeof(address)) < 0 &&
				   errno != EINPROGRESS))
		abort();
	pass->upstream_watch = loop_watch_new(relay.loop, pass->upstream, LOOP_WRITE, on_upstream, pass);
}

static void count(const struct pass *pass, const char *head)
{
	struct relay_counts *counts = &relay.counts;
	bool has_key = strcasestr(head, "\r\nAuthorization:") != NULL;

	if (pass->host->is_other) {
		counts->elsewhere++;
		counts->keys_elsewhere += has_key;
		counts->posts_elsewhere += strncmp(head, "GET ", 4) != 0;
		return;
	}
	counts->keyless += !has_key;
	counts->uploads += pass->call == ON_UPLOAD;
	counts->creates += pass->call == ON_CREATE;
	counts->cancels += pass->call == ON_CANCEL;
	counts->deletes += pass->call == ON_DELETE;
}

static void read_head(struct pass *pass)
{
	char *end = strstr(buffer_text(&pass->in), "\r\n\r\n");
	const char *length;

	if (!end)
		return;
	pass->head = (size_t)(end + 4 - pass->in.data);
	/* The body may hold anything. */
	*end = '\0';
	length = strcasestr(pass->in.data, "\r\nContent-Length:");
	pass->wanted = pass->head + (length ? strtoul(length + strlen("\r\nContent-Length:"), NULL, 10) : 0);
	pass->call = relay_call_of(pass->in.data);
	count(pass, pass->in.data);
	*end = '\r';
	if (!pass->host->is_other && pass->call & relay.calls) {
		pass->tamper = relay.tamper;
		relay.calls = 0;
	}
}

/* Whether so much of the request is here that the tampering begins, instead of passing it on. */
static bool is_time(const struct pass *pass)
{
	static const unsigned eighths[] = { [RELAY_HEAD] = 0, [RELAY_HALF] = 4, [RELAY_READ] = 8 };

	return pass->tamper && pass->tamper->when != RELAY_ANSWERED &&
	       pass->in.size >= pass->head + (pass->wanted - pass->head) * eighths[pass->tamper->when] / 8;
}

static void on_client(unsigned events, void *context)
{
	struct relay_answer nothing = { .content_type = "application/json", .body = "" };
	struct pass *pass = context;
	static char piece[PIECE];
	ssize_t size;

	if (events & LOOP_WRITE) {
		write_out(pass);
		return;
	}
	size = recv(pass->fd, piece, sizeof(piece), MSG_DONTWAIT);
	if (size <= 0) {
		if (size == 0 || errno != EAGAIN)
			hang_up(pass, false);
		return;
	}
	if (pass->is_deaf)
		return;
	buffer_add(&pass->in, piece, (size_t)size);
	if (!pass->head)
		read_head(pass);
	if (!pass->head)
		return;
	pass->is_deaf = is_time(pass) && pass->in.size < pass->wanted;
	if (is_time(pass))
		give(pass, &nothing);
	else if (pass->in.size >= pass->wanted)
		pass_on(pass);
}

static void on_connect(unsigned events, void *context)
{
	struct host *host = context;
	int fd = accept4(host->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC), yes = 1;

	(void)events;
	if (fd < 0)
		return;
	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof(yes));
	for (size_t i = 0; i < CONNECTIONS; i++) {
		struct pass *pass = &relay.passes[i];

		if (pass->fd >= 0)
			continue;
		*pass = (struct pass){ .host = host, .fd = fd, .upstream = -1 };
		pass->watch = loop_watch_new(relay.loop, fd, LOOP_READ, on_client, pass);
		return;
	}
	(void)close(fd);
}

static void host_listen(struct host *host, const char *name, bool is_other)
{
	struct sockaddr_in address = { .sin_family = AF_INET, .sin_addr.s_addr = inet_addr(name) };
	socklen_t size = sizeof(address);
	int room = RECEIVE_ROOM;

	host->is_other = is_other;
	host->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	(void)setsockopt(host->fd, SOL_SOCKET, SO_RCVBUF, &room, sizeof(room));
	if (bind(host->fd, (struct sockaddr *)&address, size) < 0 || listen(host->fd, CONNECTIONS) < 0 ||
	    getsockname(host->fd, (struct sockaddr *)&address, &size) < 0)
		abort();
	(void)snprintf(host->url, sizeof(host->url), "http://%s:%d/v1", name, ntohs(address.sin_port));
	host->watch = loop_watch_new(relay.loop, host->fd, LOOP_READ, on_connect, host);
}

void relay_start(struct loop *loop, uint16_t port, const char *key, const struct tamper *tamper, unsigned which)
{
	relay = (struct relay){ .loop = loop, .port = port, .tamper = tamper, .calls = which };
	relay.key = xasprintf("Authorization: Bearer %s", key);
	for (size_t i = 0; i < CONNECTIONS; i++)
		relay.passes[i].fd = -1;
	host_listen(&relay.hosts[0], "127.0.0.1", false);
	host_listen(&relay.hosts[1], "127.0.0.2", true);
}

void relay_stop(void)
{
	for (size_t i = 0; i < CONNECTIONS; i++)
		hang_up(&relay.passes[i], false);
	for (size_t i = 0; i < ARRAY_SIZE(relay.hosts); i++) {
		loop_watch_free(relay.hosts[i].watch);
		(void)close(relay.hosts[i].fd);
	}
	free(relay.key);
}

const char *relay_url(void)
{
	return relay.hosts[0].url;
}

const char *relay_other_url(void)
{
	return relay.hosts[1].url;
}

struct relay_counts relay_counts(void)
{
	return relay.counts;
}

unsigned relay_call_of(const char *head)
{
	size_t line = strcspn(head, "\r\n");

	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		if (strncmp(head, calls[i].start, strlen(calls[i].start)) == 0 &&
		    (!calls[i].part || memmem(head, line, calls[i].part, strlen(calls[i].part))))
			return calls[i].call;
	return 0;
}
