/*
 * A name server that hangs: for tests in a network of their own, which it brings up. It listens on 127.0.0.1, port 53, prints "ready",
 * and "asked" for every question, of which it answers none. After SIGUSR1 it answers, also those that it was asked
 * before: every name is 127.0.0.1. After SIGUSR2 it hangs again.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define MOST_BYTES   512
#define MOST_PENDING 64
#define HEADER_BYTES 12
#define TYPE_A       1

struct question {
	struct sockaddr_in from;
	unsigned char bytes[MOST_BYTES];
	size_t size;
};

static volatile sig_atomic_t is_answering;

static void on_signal(int number)
{
	is_answering = number == SIGUSR1;
}

static int die(const char *what)
{
	(void)fprintf(stderr, "name_server: %s: %s\n", what, strerror(errno));
	return 1;
}

static int bring_up_loopback(int fd)
{
	struct ifreq request = { .ifr_name = "lo" };

	if (ioctl(fd, SIOCGIFFLAGS, &request) < 0)
		return -1;
	request.ifr_flags = (short)(request.ifr_flags | IFF_UP | IFF_RUNNING);
	return ioctl(fd, SIOCSIFFLAGS, &request);
}

/* The end of the first question (RFC 1035, 4.1.2), behind its type and class; 0: it is none. */
static size_t question_end(const struct question *question)
{
	size_t at = HEADER_BYTES;

	while (at < question->size && question->bytes[at])
		at += question->bytes[at] + 1u;
	at += 5;
	return at <= question->size ? at : 0;
}

static void answer(int fd, const struct question *question)
{
	/* A pointer to the name, type A, class IN, a minute, four bytes. */
	static const unsigned char record[] = { 0xc0, HEADER_BYTES, 0, TYPE_A, 0, 1, 0, 0, 0, 60, 0, 4, 127, 0, 0, 1 };
	unsigned char reply[MOST_BYTES + sizeof(record)];
	size_t size = question_end(question);
	bool is_address = size && question->bytes[size - 3] == TYPE_A;

	if (!size)
		return;
	memcpy(reply, question->bytes, size);
	memcpy(reply + 2, "\x81\x80\0\1\0\0\0\0\0\0", 10);
	reply[7] = is_address;
	if (is_address) {
		memcpy(reply + size, record, sizeof(record));
		size += sizeof(record);
	}
	(void)sendto(fd, reply, size, 0, (const struct sockaddr *)&question->from, sizeof(question->from));
}

static void serve(int fd)
{
	static struct question pending[MOST_PENDING];
	size_t count = 0;

	for (;;) {
		struct question *question = &pending[count];
		socklen_t size = sizeof(question->from);
		ssize_t got = recvfrom(fd, question->bytes, MOST_BYTES, 0, (struct sockaddr *)&question->from, &size);

		if (got > HEADER_BYTES) {
			question->size = (size_t)got;
			(void)puts("asked");
			(void)fflush(stdout);
			count += count + 1 < MOST_PENDING;
		}
		while (is_answering && count)
			answer(fd, &pending[--count]);
	}
}

int main(void)
{
	const struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons(53),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	const struct sigaction action = { .sa_handler = on_signal };
	int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);

	if (fd < 0 || bring_up_loopback(fd) < 0)
		return die("no loopback");
	if (bind(fd, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return die("port 53");
	(void)sigaction(SIGUSR1, &action, NULL);
	(void)sigaction(SIGUSR2, &action, NULL);
	(void)puts("ready");
	(void)fflush(stdout);
	serve(fd);
	return 0;
}
