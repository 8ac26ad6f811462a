#include "tests/crash/cable_clock.h"

#include <errno.h>
#include <signal.h>
#include <stddef.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

/* Of a wait without an end: somebody else's descriptor may yet be ready. */
#define ENDLESS_MS 100

int (*cable_clock_patience)(void);
static int64_t ahead_ms;

int64_t cable_clock_ahead_ms(void)
{
	return ahead_ms;
}

int clock_gettime(clockid_t clock, struct timespec *now)
{
	int r = (int)syscall(SYS_clock_gettime, clock, now);

	if (r == 0 && clock != CLOCK_PROCESS_CPUTIME_ID && clock != CLOCK_THREAD_CPUTIME_ID) {
		now->tv_sec += ahead_ms / 1000;
		now->tv_nsec += ahead_ms % 1000 * 1000000;
		now->tv_sec += now->tv_nsec / 1000000000;
		now->tv_nsec %= 1000000000;
	}
	return r;
}

/* A timer of the kernel would not follow our clock; without it the event library gives its waits to epoll_wait. */
int timerfd_create(int clock, int flags)
{
	(void)clock;
	(void)flags;
	errno = ENOSYS;
	return -1;
}

static int look(int fd, struct epoll_event *events, int room, int timeout_ms)
{
	return (int)syscall(SYS_epoll_pwait, fd, events, room, timeout_ms, NULL, (size_t)(NSIG / 8));
}

int epoll_wait(int fd, struct epoll_event *events, int room, int timeout_ms)
{
	int patience_ms = cable_clock_patience ? cable_clock_patience() : 1;
	int count = look(fd, events, room, 0);

	if (count || timeout_ms == 0)
		return count;
	if (timeout_ms < 0)
		return look(fd, events, room, ENDLESS_MS);
	count = look(fd, events, room, patience_ms < timeout_ms ? patience_ms : timeout_ms);
	if (count == 0 && timeout_ms > patience_ms)
		ahead_ms += timeout_ms - patience_ms;
	return count;
}
