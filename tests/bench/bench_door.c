/*
 * How quick the front door is: asks for one thing at a steady pace on one connection, and tells
 * how long the answers took. Usage: bench_door [-r REQUESTS_A_SECOND] [-t SECONDS] SOCKET PATH.
 * Ends after SECONDS, or at SIGTERM. Prints one line: requests, and the median, the 99th
 * percentile and the worst in ms.
 *
 * An answer's time counts from when its request was due, so that a door that is shut for a while
 * is not asked, and found slow, once only.
 */
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "tests/bench/bench_client.h"

#define MAX_REQUESTS 1000000

static volatile sig_atomic_t is_over;

static void on_signal(int signal_number)
{
	(void)signal_number;
	is_over = 1;
}

static int compare(const void *a, const void *b)
{
	const float *one = a, *other = b;

	return (*one > *other) - (*one < *other);
}

/* Until due, or a signal. */
static void wait_until(double due)
{
	struct timespec time = { .tv_sec = (time_t)due };

	time.tv_nsec = (long)((due - (double)time.tv_sec) * 1e9);
	(void)clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL);
}

static size_t ask(const char *socket, const char *path, double rate, double seconds, float *ret_times)
{
	double begin = bench_now();
	int fd = bench_connect(socket);
	char request[1024];
	int size = snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: batchd\r\n\r\n", path);
	const char *text;
	size_t count = 0;

	if (size < 0 || (size_t)size >= sizeof(request))
		exit(2);
	while (!is_over && count < MAX_REQUESTS) {
		double due = begin + (double)count / rate;

		if (seconds > 0 && due - begin > seconds)
			break;
		wait_until(due);
		if (is_over)
			break;
		bench_send(fd, request, (size_t)size);
		if (bench_receive(fd, &text) != 200) {
			(void)fprintf(stderr, "bench_door: the answer to %s is no 200\n", path);
			exit(EXIT_FAILURE);
		}
		ret_times[count++] = (float)(bench_now() - due);
	}
	return count;
}

int main(int argc, char **argv)
{
	static float times[MAX_REQUESTS];
	struct sigaction action = { .sa_handler = on_signal, .sa_flags = SA_RESTART };
	double rate = 50, seconds = 0;
	size_t count;
	int option;

	while ((option = getopt(argc, argv, "r:t:")) != -1) {
		if (option == 'r')
			rate = strtod(optarg, NULL);
		else if (option == 't')
			seconds = strtod(optarg, NULL);
		else
			return 2;
	}
	if (optind + 2 != argc || rate <= 0) {
		(void)fprintf(stderr, "usage: bench_door [-r RATE] [-t SECONDS] SOCKET PATH\n");
		return 2;
	}
	(void)sigaction(SIGTERM, &action, NULL);
	count = ask(argv[optind], argv[optind + 1], rate, seconds, times);
	if (!count)
		return EXIT_FAILURE;
	qsort(times, count, sizeof(*times), compare);
	(void)printf("%zu %.2f %.2f %.2f\n", count, (double)times[count / 2] * 1e3, (double)times[count * 99 / 100] * 1e3,
		     (double)times[count - 1] * 1e3);
	return EXIT_SUCCESS;
}
