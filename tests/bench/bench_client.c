#include "tests/bench/bench_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define ANSWER_ROOM (64 << 10)

double bench_now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void bench_fail(const char *what)
{
	perror(what);
	exit(EXIT_FAILURE);
}

int bench_connect(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (strlen(path) >= sizeof(address.sun_path)) {
		errno = ENAMETOOLONG;
		bench_fail(path);
	}
	memcpy(address.sun_path, path, strlen(path) + 1);
	if (fd < 0 || connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		bench_fail(path);
	return fd;
}

void bench_send(int fd, const void *bytes, size_t size)
{
	const char *at = bytes;

	while (size) {
		ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);

		if (sent < 0)
			bench_fail("send");
		at += sent;
		size -= (size_t)sent;
	}
}

/* How many bytes the answer that begins in text has; 0: its head is not whole yet. */
static size_t answer_size(const char *text)
{
	static const char name[] = "Content-Length:";
	const char *end = strstr(text, "\r\n\r\n");
	const char *length = strcasestr(text, name);

	if (!end)
		return 0;
	if (!length || length > end) {
		(void)fputs("an answer without a length\n", stderr);
		exit(EXIT_FAILURE);
	}
	return (size_t)(end + 4 - text) + strtoul(length + strlen(name), NULL, 10);
}

int bench_receive(int fd, const char **ret_text)
{
	static char text[ANSWER_ROOM + 1];
	size_t filled = 0, wanted = 0;

	while (!wanted || filled < wanted) {
		ssize_t got = recv(fd, text + filled, ANSWER_ROOM - filled, 0);

		if (got <= 0)
			bench_fail("recv");
		filled += (size_t)got;
		text[filled] = '\0';
		wanted = answer_size(text);
		if (wanted > ANSWER_ROOM) {
			(void)fputs("an answer that is too long\n", stderr);
			exit(EXIT_FAILURE);
		}
	}
	*ret_text = text;
	return (int)strtol(text + strlen("HTTP/1.1 "), NULL, 10);
}
