#include "client/interrupt.h"

#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"

static volatile sig_atomic_t caught;
static int event_fd = -1;

static void note(int number)
{
	const uint64_t one = 1;

	caught = number;
	/* The flag is what counts; the write only wakes a poll. */
	if (write(event_fd, &one, sizeof(one)) < 0)
		return;
}

void interrupt_catch(void)
{
	static const int numbers[] = {SIGINT, SIGTERM, SIGHUP};
	/* Without SA_RESTART, so that a blocked write to a pipe ends as well. */
	struct sigaction action = {.sa_handler = note};

	if (event_fd >= 0)
		return;
	event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		struct sigaction old;

		/* nohup and background shells have them ignored, and mean it. */
		if (sigaction(numbers[i], NULL, &old) == 0 && old.sa_handler != SIG_IGN)
			(void)sigaction(numbers[i], &action, NULL);
	}
}

bool interrupt_came(void)
{
	return caught != 0;
}

int interrupt_status(void)
{
	return 128 + (int)caught;
}

int interrupt_fd(void)
{
	return event_fd;
}

bool interrupt_sleep(int64_t ms)
{
	struct pollfd poll_fd = {.fd = event_fd, .events = POLLIN};

	if (ms > 0 && !caught)
		(void)poll(&poll_fd, 1, ms > 3600000 ? 3600000 : (int)ms);
	return interrupt_came();
}
