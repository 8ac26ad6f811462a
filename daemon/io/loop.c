#include "daemon/io/loop.h"

#include <assert.h>
#include <errno.h>
#include <event2/event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/random.h>
#include <sys/time.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"

#define RANDOM_BATCH 32

struct signal_watch {
	struct event *event;
	void (*on_signal)(int signal_number, void *context);
	void *context;
	struct signal_watch *next;
};

struct loop {
	struct event_base *base;
	struct signal_watch *signals;
	uint64_t random[RANDOM_BATCH];
	size_t random_left;
	bool is_in_turn;
	bool is_stopping;
};

struct loop_timer {
	struct event *event;
	void (*on_due)(void *context);
	void *context;
};

struct loop_watch {
	struct event *event;
	void (*on_ready)(unsigned events, void *context);
	void *context;
	unsigned events;
};

/* clang-format off */
static const struct {
	unsigned ours;
	short theirs;
} event_names[] = {
	{ LOOP_READ,  EV_READ },
	{ LOOP_WRITE, EV_WRITE },
};

static const enum log_level log_levels[] = {
	[EVENT_LOG_DEBUG] = LOG_LEVEL_DEBUG,
	[EVENT_LOG_MSG]   = LOG_LEVEL_INFO,
	[EVENT_LOG_WARN]  = LOG_LEVEL_WARNING,
	[EVENT_LOG_ERR]   = LOG_LEVEL_ERROR,
};
/* clang-format on */

static void on_library_log(int severity, const char *text)
{
	bool is_known = severity >= 0 && (size_t)severity < ARRAY_SIZE(log_levels);

	log_line(is_known ? log_levels[severity] : LOG_LEVEL_WARNING, "the event loop says",
		 log_text("WHY", text));
}

static void on_library_fatal(int code)
{
	log_error("the event loop cannot go on", log_number("CODE", code));
	abort();
}

static void require(bool is_done, const char *what)
{
	if (is_done)
		return;
	log_error("the event loop cannot go on", log_text("CALL", what),
		  log_text("WHY", error_name(errno)));
	abort();
}

static short to_library(unsigned events)
{
	short result = EV_PERSIST;

	for (size_t i = 0; i < ARRAY_SIZE(event_names); i++)
		if (events & event_names[i].ours)
			result = (short)(result | event_names[i].theirs);
	return result;
}

static unsigned from_library(short events)
{
	unsigned result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(event_names); i++)
		if (events & event_names[i].theirs)
			result |= event_names[i].ours;
	return result;
}

/*
 * The three functions below touch nothing after the callback, and the library takes a deleted
 * event out of the turn under way: so a callback may free its own timer or watch, and others.
 */
static void on_timer_event(evutil_socket_t fd, short events, void *context)
{
	const struct loop_timer *timer = context;

	(void)fd;
	(void)events;
	timer->on_due(timer->context);
}

static void on_watch_event(evutil_socket_t fd, short events, void *context)
{
	const struct loop_watch *watch = context;

	(void)fd;
	watch->on_ready(from_library(events), watch->context);
}

static void on_signal_event(evutil_socket_t signal_number, short events, void *context)
{
	const struct signal_watch *watch = context;

	(void)events;
	watch->on_signal((int)signal_number, watch->context);
}

static void fill_random(struct loop *loop)
{
	ssize_t size;

	do
		size = getrandom(loop->random, sizeof(loop->random), 0);
	while (size < 0 && errno == EINTR);
	require(size == (ssize_t)sizeof(loop->random), "getrandom");
	loop->random_left = RANDOM_BATCH;
}

static int64_t clock_us(clockid_t clock)
{
	struct timespec now;

	require(clock_gettime(clock, &now) == 0, "clock_gettime");
	return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* Returns false when nothing is left that could ever happen. */
static bool run_turn(struct loop *loop, int flags)
{
	int result;

	assert(!loop->is_in_turn);
	loop->is_in_turn = true;
	result = event_base_loop(loop->base, flags);
	loop->is_in_turn = false;
	require(result >= 0, "event_base_loop");
	return result == 0;
}

struct loop *loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));
	struct event_config *config;

	event_set_log_callback(on_library_log);
	event_set_fatal_callback(on_library_fatal);
	config = event_config_new();
	require(config, "event_config_new");
	/* A delay counts from now, not from the start of a turn that may have been long, and it is
	   never cut short by the grain of the coarse clock. */
	require(event_config_set_flag(config, EVENT_BASE_FLAG_NO_CACHE_TIME) == 0 &&
			event_config_set_flag(config, EVENT_BASE_FLAG_PRECISE_TIMER) == 0,
		"event_config_set_flag");
	loop->base = event_base_new_with_config(config);
	event_config_free(config);
	require(loop->base, "event_base_new");
	return loop;
}

void loop_free(struct loop *loop)
{
	if (!loop)
		return;
	assert(!loop->is_in_turn);
	while (loop->signals) {
		struct signal_watch *watch = loop->signals;

		loop->signals = watch->next;
		event_free(watch->event);
		free(watch);
	}
	event_base_free(loop->base);
	free(loop);
}

void loop_run(struct loop *loop, void (*on_turn_end)(void *context), void *context)
{
	bool is_alive = true;

	while (is_alive && !loop->is_stopping) {
		is_alive = run_turn(loop, EVLOOP_ONCE);
		if (on_turn_end)
			on_turn_end(context);
	}
	loop->is_stopping = false;
}

void loop_run_once(struct loop *loop, int may_wait)
{
	/* NONBLOCK alone would go on for as long as anything is ready. */
	(void)run_turn(loop, may_wait ? EVLOOP_ONCE : EVLOOP_ONCE | EVLOOP_NONBLOCK);
}

void loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}

int64_t loop_now_ms(struct loop *loop)
{
	(void)loop;
	return clock_us(CLOCK_REALTIME) / 1000;
}

int64_t loop_monotonic_us(struct loop *loop)
{
	(void)loop;
	/* It goes on while the machine sleeps: else that would look like a wall clock that was set. */
	return clock_us(CLOCK_BOOTTIME);
}

uint64_t loop_random(struct loop *loop)
{
	if (!loop->random_left)
		fill_random(loop);
	return loop->random[--loop->random_left];
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*on_due)(void *context), void *context)
{
	struct loop_timer *timer = xcalloc(1, sizeof(*timer));

	timer->on_due = on_due;
	timer->context = context;
	timer->event = evtimer_new(loop->base, on_timer_event, timer);
	require(timer->event, "evtimer_new");
	return timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
	struct timeval delay = {0};

	if (delay_ms > 0) {
		delay.tv_sec = delay_ms / 1000;
		delay.tv_usec = delay_ms % 1000 * 1000;
	}
	/* The library looks for due timers once a turn, before it runs any callback: so even one
	   that sets itself again with 0 lets the descriptors have their say in between. */
	require(evtimer_add(timer->event, &delay) == 0, "evtimer_add");
}

void loop_timer_clear(struct loop_timer *timer)
{
	require(evtimer_del(timer->event) == 0, "evtimer_del");
}

void loop_timer_free(struct loop_timer *timer)
{
	if (!timer)
		return;
	event_free(timer->event);
	free(timer);
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned events,
				  void (*on_ready)(unsigned events, void *context), void *context)
{
	struct loop_watch *watch = xcalloc(1, sizeof(*watch));

	watch->on_ready = on_ready;
	watch->context = context;
	watch->event = event_new(loop->base, fd, to_library(events), on_watch_event, watch);
	require(watch->event, "event_new");
	loop_watch_set(watch, events);
	return watch;
}

void loop_watch_set(struct loop_watch *watch, unsigned events)
{
	struct event *event = watch->event;

	if (events == watch->events)
		return;
	require(event_del(event) == 0, "event_del");
	require(event_assign(event, event_get_base(event), event_get_fd(event), to_library(events),
			     on_watch_event, watch) == 0,
		"event_assign");
	if (events)
		require(event_add(event, NULL) == 0, "event_add");
	watch->events = events;
}

void loop_watch_free(struct loop_watch *watch)
{
	if (!watch)
		return;
	event_free(watch->event);
	free(watch);
}

void loop_on_signal(struct loop *loop, int signal_number,
		    void (*on_signal)(int signal_number, void *context), void *context)
{
	struct signal_watch *watch = xcalloc(1, sizeof(*watch));

	watch->on_signal = on_signal;
	watch->context = context;
	watch->next = loop->signals;
	loop->signals = watch;
	watch->event = evsignal_new(loop->base, signal_number, on_signal_event, watch);
	require(watch->event && evsignal_add(watch->event, NULL) == 0, "evsignal_add");
}
