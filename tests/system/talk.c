/*
 * What system tests need of sockets and no common tool has.
 *
 *	talk send SOCKET		sends its standard input, and prints all that comes until the peer closes
 *	talk leave SOCKET		sends its standard input, and is gone without an answer
 *	talk hang SOCKET		connects, prints "connected" and says nothing until the peer closes
 *	talk notify SOCKET WORD		listens for datagrams, prints "listening", then each of them, until one
 *					has the line WORD
 */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define PIECE 65536

static int die(const char *what)
{
	(void)fprintf(stderr, "talk: %s: %s\n", what, strerror(errno));
	return 1;
}

static struct sockaddr_un address_of(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
	return address;
}

static int dial(const char *path)
{
	const struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	if (fd >= 0 && connect(fd, (const struct sockaddr *)&address, sizeof(address)) < 0) {
		(void)close(fd);
		return -1;
	}
	return fd;
}

/* Copies all of one descriptor to another. False when the reader is gone. */
static bool copy(int from, int to)
{
	static char bytes[PIECE];
	ssize_t count;

	while ((count = read(from, bytes, sizeof(bytes))) > 0)
		for (ssize_t done = 0, sent; done < count; done += sent) {
			sent = write(to, bytes + done, (size_t)(count - done));
			if (sent < 0)
				return false;
		}
	return true;
}

static int exchange(const char *path, bool sends, bool listens)
{
	int fd = dial(path);

	if (fd < 0)
		return die(path);
	/* A peer that refuses early closes its ear; what it says is wanted all the same. */
	if (sends)
		(void)copy(STDIN_FILENO, fd);
	else if (puts("connected") < 0 || fflush(stdout))
		return die("stdout");
	if (listens)
		(void)copy(fd, STDOUT_FILENO);
	(void)close(fd);
	return 0;
}

static bool has_line(const char *text, const char *line)
{
	size_t size = strlen(line);

	for (const char *at = text; (at = strstr(at, line)); at += size)
		if ((at == text || at[-1] == '\n') && (!at[size] || at[size] == '\n'))
			return true;
	return false;
}

static int listen_for(const char *path, const char *word)
{
	const struct sockaddr_un address = address_of(path);
	int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	static char text[PIECE];
	ssize_t count;

	if (fd < 0 || bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return die(path);
	(void)puts("listening");
	(void)fflush(stdout);
	do {
		count = recv(fd, text, sizeof(text) - 1, 0);
		if (count < 0)
			return die(path);
		text[count] = '\0';
		(void)puts(text);
		(void)fflush(stdout);
	} while (!has_line(text, word));
	return 0;
}

int main(int argc, char **argv)
{
	(void)signal(SIGPIPE, SIG_IGN);
	if (argc == 4 && strcmp(argv[1], "notify") == 0)
		return listen_for(argv[2], argv[3]);
	if (argc == 3 && strcmp(argv[1], "send") == 0)
		return exchange(argv[2], true, true);
	if (argc == 3 && strcmp(argv[1], "leave") == 0)
		return exchange(argv[2], true, false);
	if (argc == 3 && strcmp(argv[1], "hang") == 0)
		return exchange(argv[2], false, true);
	(void)fprintf(stderr, "usage: talk send|leave|hang SOCKET | talk notify SOCKET WORD\n");
	return 2;
}
