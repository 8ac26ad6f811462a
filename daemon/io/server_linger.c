#include "daemon/io/server_private.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/io/loop.h"

#define LINGER_LIMIT  64
#define LINGER_MS     5000
#define PIECE_SIZE    (64 << 10)
#define PIECES_A_TURN 16

struct lingerer {
	struct lingerers *lingerers;
	int fd;
	uint64_t drained;
	struct loop_watch *watch;
	struct loop_timer *timer;
	LIST_ENTRY(lingerer) link;
};

static void stop(struct lingerer *lingerer)
{
	LIST_REMOVE(lingerer, link);
	lingerer->lingerers->count--;
	loop_watch_free(lingerer->watch);
	loop_timer_free(lingerer->timer);
	(void)close(lingerer->fd);
	free(lingerer);
}

static void on_due(void *context)
{
	stop(context);
}

static void on_ready(unsigned events, void *context)
{
	static char sink[PIECE_SIZE];
	struct lingerer *lingerer = context;

	(void)events;
	for (unsigned piece = 0; piece < PIECES_A_TURN; piece++) {
		ssize_t size = recv(lingerer->fd, sink, sizeof(sink), MSG_DONTWAIT);

		if (size < 0 && (errno == EAGAIN || errno == EINTR))
			return;
		if (size > 0)
			lingerer->drained += (uint64_t)size;
		if (size <= 0 || lingerer->drained > SERVER_DROP_LIMIT) {
			stop(lingerer);
			return;
		}
	}
}

void linger_start(struct lingerers *lingerers, int fd)
{
	struct lingerer *lingerer;
	int copy;

	if (lingerers->count >= LINGER_LIMIT)
		return;
	copy = fcntl(fd, F_DUPFD_CLOEXEC, 0);
	if (copy < 0)
		return;
	/* Nothing more is said: a peer that waits for an answer, which a failure took away, must not wait for us. */
	(void)shutdown(copy, SHUT_WR);
	lingerer = xcalloc(1, sizeof(*lingerer));
	lingerer->lingerers = lingerers;
	lingerer->fd = copy;
	lingerer->watch = loop_watch_new(lingerers->loop, copy, LOOP_READ, on_ready, lingerer);
	lingerer->timer = loop_timer_new(lingerers->loop, on_due, lingerer);
	loop_timer_set(lingerer->timer, LINGER_MS);
	LIST_INSERT_HEAD(&lingerers->list, lingerer, link);
	lingerers->count++;
}

void linger_stop_all(struct lingerers *lingerers)
{
	while (!LIST_EMPTY(&lingerers->list))
		stop(LIST_FIRST(&lingerers->list));
}
