#include "tests/crash/ordeal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/un.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

#define PIECE 65536

static int dial(const char *path, int patience_ms)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const struct timeval limit = { .tv_sec = patience_ms / 1000, .tv_usec = patience_ms % 1000 * 1000 };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	if (fd < 0)
		return -1;
	(void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
	(void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit));
	if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0)
		return fd;
	(void)close(fd);
	return -1;
}

static bool send_all(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t sent = send(fd, bytes, size, MSG_NOSIGNAL);

		if (sent < 0)
			return false;
		bytes += sent;
		size -= (size_t)sent;
	}
	return true;
}

/* The bytes of a body in chunks, in its own place. True: the last chunk was there. */
static bool join_chunks(struct buffer *body)
{
	size_t from = 0, to = 0;

	for (;;) {
		const char *line = buffer_text(body) + from;
		char *end;
		size_t size = strtoull(line, &end, 16), start = from + (size_t)(end - line) + 2;

		if (end == line || start + size > body->size || !size) {
			body->size = to;
			return end != line && !size;
		}
		memmove(body->data + to, body->data + start, size);
		to += size;
		from = start + size + 2;
		if (from > body->size)
			from = body->size;
	}
}

/* Takes the head off. */
static void read_head(struct answer *answer)
{
	const char *head = buffer_text(&answer->text);
	const char *end = strstr(head, "\r\n\r\n");
	const char *length = strcasestr(head, "\r\nContent-Length:");
	size_t size, wanted;

	if (!end || sscanf(head, "HTTP/1.1 %d", &answer->status) != 1) {
		answer->status = 0;
		return;
	}
	size = (size_t)(end + 4 - head);
	wanted = length && length < end ? strtoull(length + 17, NULL, 10) : SIZE_MAX;
	buffer_drop(&answer->text, size);
	answer->is_whole = wanted == SIZE_MAX ? join_chunks(&answer->text) : answer->text.size == wanted;
}

int ask_begin(struct ordeal *ordeal, const char *socket_path, const char *method, const char *path,
	      const char *headers, const char *body, size_t size)
{
	bool is_chunked = headers && strstr(headers, ASK_CHUNKED);
	auto_free char *length = xasprintf("Content-Length: %zu\r\n", size);
	auto_free char *head = xasprintf("%s %s HTTP/1.1\r\nHost: batchd\r\nConnection: close\r\n%s%s\r\n", method, path,
					 is_chunked ? "" : length, headers ? headers : "");
	int fd = dial(socket_path, ordeal->patience_ms);

	/* A refusal may come before all is sent, so what was sent in vain does not end it. */
	if (fd >= 0 && send_all(fd, head, strlen(head)))
		(void)send_all(fd, body, size);
	return fd;
}

void ask_end(struct ordeal *ordeal, int fd, struct answer *ret_answer)
{
	auto_free char *piece = xmalloc(PIECE);
	int64_t until = now_ms() + ordeal->patience_ms;
	ssize_t size = -1;

	*ret_answer = (struct answer){ 0 };
	if (fd < 0)
		return;
	while (now_ms() < until && (size = recv(fd, piece, PIECE, 0)) > 0)
		buffer_add(&ret_answer->text, piece, (size_t)size);
	read_head(ret_answer);
	(void)close(fd);
}

void ask(struct ordeal *ordeal, const char *socket_path, const char *method, const char *path, const char *headers,
	 const char *body, size_t size, struct answer *ret_answer)
{
	ask_end(ordeal, ask_begin(ordeal, socket_path, method, path, headers, body, size), ret_answer);
}

void answer_release(struct answer *answer)
{
	buffer_release(&answer->text);
}

static char *sim_call(struct ordeal *ordeal, const char *method, const char *path, const char *body)
{
	int patience_ms = ordeal->patience_ms;
	auto_answer answer = { 0 };

	ordeal->patience_ms = 30000;
	ask(ordeal, ordeal->sim, method, path, NULL, body, strlen(body), &answer);
	ordeal->patience_ms = patience_ms;
	if (answer.status != 200)
		complain(ordeal, "the API's control door, %s: %d %.200s", path, answer.status, buffer_text(&answer.text));
	return xstrdup(buffer_text(&answer.text));
}

void sim_tell(struct ordeal *ordeal, const char *path, const char *body)
{
	free(sim_call(ordeal, "POST", path, body));
}

char *sim_text(struct ordeal *ordeal, const char *path)
{
	return sim_call(ordeal, "GET", path, "");
}
