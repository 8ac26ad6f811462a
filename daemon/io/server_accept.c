#include "daemon/io/server_private.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/loop.h"

/* Between two looks while there is no descriptor, or no memory, for a connection. */
#define SHORTAGE_MS    50
#define ACCEPTS_A_TURN 64

static void look(struct listener *listener)
{
	bool may_accept = !listener->is_short && listener->open < listener->limit;

	loop_watch_set(listener->accepts, may_accept ? LOOP_READ : 0);
}

static void on_shortage_over(void *context)
{
	struct listener *listener = context;

	listener->is_short = false;
	look(listener);
}

/*
 * The next in the queue stays there, and the socket readable: looked at without a pause, it would take up all of our
 * time for as long as the shortage lasts. Those that are connected go on meanwhile.
 */
static void rest(struct listener *listener, int code)
{
	if (!listener->was_short)
		log_warning("no connection can be accepted; it is tried again", log_text("WHY", error_name(code)));
	listener->was_short = true;
	listener->is_short = true;
	loop_timer_set(listener->shortage, SHORTAGE_MS);
}

/* False: no other one is to be accepted now. */
static bool accept_next(struct listener *listener)
{
	struct sockaddr_storage address;
	socklen_t size = sizeof(address);
	int fd = accept4(listener->fd, (struct sockaddr *)&address, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);

	if (fd < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
		return false;
	if (fd < 0 && (errno == EINTR || errno == ECONNABORTED || errno == EPROTO))
		return true;
	if (fd < 0) {
		rest(listener, errno);
		return false;
	}
	/* What it cannot take it closes, and the peer sees that. */
	listener->was_short = MHD_add_connection(listener->daemon, fd, (const struct sockaddr *)&address, size) != MHD_YES;
	return true;
}

static void on_ready(unsigned events, void *context)
{
	struct listener *listener = context;

	(void)events;
	for (unsigned i = 0; i < ACCEPTS_A_TURN && listener->open < listener->limit; i++)
		if (!accept_next(listener))
			break;
	look(listener);
	listener_run(listener);
}

void accept_start(struct listener *listener)
{
	listener->shortage = loop_timer_new(listener->server->loop, on_shortage_over, listener);
	listener->accepts = loop_watch_new(listener->server->loop, listener->fd, LOOP_READ, on_ready, listener);
}

void accept_stop(struct listener *listener)
{
	loop_watch_free(listener->accepts);
	loop_timer_free(listener->shortage);
	listener->accepts = NULL;
	listener->shortage = NULL;
}

void accept_opened(struct listener *listener)
{
	listener->open++;
}

void accept_closed(struct listener *listener)
{
	listener->open--;
	if (listener->accepts)
		look(listener);
}
