/*
 * The client of the benches of the way in: sends a file as the body of one POST over a Unix socket
 * and waits for the answer, as fast as a client can. Usage: bench_post [-v] SOCKET PATH FILE.
 * Prints the seconds from the connect to the end of the answer, and with -v those until the batch
 * of that answer is not "validating" any more. A status that is not 200 is an error.
 */
#include <fcntl.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tests/bench/bench_client.h"

#define PIECE	 (256 << 10)
#define PAUSE_NS 1000000

static void send_file(int fd, const char *name, int64_t size)
{
	static char piece[PIECE];
	int file = open(name, O_RDONLY | O_CLOEXEC);

	while (size) {
		ssize_t got = read(file, piece, sizeof(piece));

		if (got <= 0)
			bench_fail(name);
		bench_send(fd, piece, (size_t)got);
		size -= got;
	}
	(void)close(file);
}

static const char *receive(int fd)
{
	const char *text;

	if (bench_receive(fd, &text) == 200)
		return text;
	(void)fprintf(stderr, "bench_post: the answer is no 200: %.300s\n", text);
	exit(EXIT_FAILURE);
}

static void post(int fd, const char *path, const char *file)
{
	struct stat status;
	char head[1024];
	int size;

	if (stat(file, &status) < 0)
		bench_fail(file);
	size = snprintf(head, sizeof(head),
			"POST %s HTTP/1.1\r\nHost: batchd\r\nContent-Type: application/jsonl\r\n"
			"Content-Length: %lld\r\n\r\n",
			path, (long long)status.st_size);
	if (size < 0 || (size_t)size >= sizeof(head))
		exit(2);
	bench_send(fd, head, (size_t)size);
	send_file(fd, file, status.st_size);
}

/* Asks for the batch of an answer until it is validated. */
static void wait_until_valid(int fd, const char *text)
{
	const struct timespec pause = { .tv_nsec = PAUSE_NS };
	const char *id = strstr(text, "\"batch_");
	char request[256];
	int size;

	if (!id) {
		(void)fputs("bench_post: the answer names no batch\n", stderr);
		exit(EXIT_FAILURE);
	}
	size = snprintf(request, sizeof(request), "GET /v1/batches/%.*s HTTP/1.1\r\nHost: batchd\r\n\r\n",
			(int)strcspn(id + 1, "\""), id + 1);
	while (strstr(text, "\"validating\"")) {
		(void)nanosleep(&pause, NULL);
		bench_send(fd, request, (size_t)size);
		text = receive(fd);
	}
	if (strstr(text, "\"status\":\"failed\"")) {
		(void)fputs("bench_post: the batch failed\n", stderr);
		exit(EXIT_FAILURE);
	}
}

int main(int argc, char **argv)
{
	bool waits = false;
	const char *text;
	double begin;
	int fd, option;

	while ((option = getopt(argc, argv, "v")) != -1) {
		if (option != 'v')
			return 2;
		waits = true;
	}
	if (optind + 3 != argc) {
		(void)fputs("usage: bench_post [-v] SOCKET PATH FILE\n", stderr);
		return 2;
	}
	begin = bench_now();
	fd = bench_connect(argv[optind]);
	post(fd, argv[optind + 1], argv[optind + 2]);
	text = receive(fd);
	(void)printf("%.4f", bench_now() - begin);
	if (waits) {
		wait_until_valid(fd, text);
		(void)printf(" %.4f", bench_now() - begin);
	}
	(void)printf("\n");
	return EXIT_SUCCESS;
}
