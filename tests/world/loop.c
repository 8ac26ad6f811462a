#include "tests/world/loop.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"

/* 29 September 2026. */
#define FIRST_MS 1790705881000
/* What one look at the clock that never jumps takes: so long local work does not pass in one turn. */
#define LOOK_US 1000

struct loop {
	int64_t wall_ms; /* added to monotonic_ms */
	int64_t monotonic_ms;
	int64_t looked_us;
	uint64_t dice;
	uint64_t serial; /* of timers set so far */
	struct loop_timer *timers;
	bool is_stopping;
	bool is_halted;
	int64_t callbacks;
	int64_t strike_at; /* callbacks; 0: never */
	void (*on_struck)(void *context);
	void *strike_context;
};

struct loop_timer {
	struct loop *loop;
	struct loop_timer *next;
	void (*on_due)(void *context);
	void *context;
	bool is_set;
	int64_t due_ms;
	uint64_t serial; /* timers that are due at once run in the order of their setting */
};

/* The timer to run first; NULL when none is set. */
static struct loop_timer *first_timer(const struct loop *loop)
{
	struct loop_timer *first = NULL;

	for (struct loop_timer *timer = loop->timers; timer; timer = timer->next)
		if (timer->is_set &&
		    (!first || timer->due_ms < first->due_ms ||
		     (timer->due_ms == first->due_ms && timer->serial < first->serial)))
			first = timer;
	return first;
}

/* Runs what is due; what is set meanwhile waits for the next turn. false: nothing is left that could ever happen. */
static bool run_turn(struct loop *loop, bool may_wait)
{
	uint64_t serial = loop->serial;
	struct loop_timer *timer = first_timer(loop);

	if (!timer)
		return false;
	if (may_wait && timer->due_ms > loop->monotonic_ms)
		loop->monotonic_ms = timer->due_ms;
	while (timer && timer->due_ms <= loop->monotonic_ms && timer->serial <= serial && !loop->is_halted) {
		timer->is_set = false;
		timer->on_due(timer->context);
		if (++loop->callbacks == loop->strike_at)
			loop->on_struck(loop->strike_context);
		timer = first_timer(loop);
	}
	return true;
}

struct loop *loop_new(void)
{
	struct loop *loop = xcalloc(1, sizeof(*loop));

	loop->wall_ms = FIRST_MS;
	return loop;
}

void loop_free(struct loop *loop)
{
	assert(!loop || !loop->timers);
	free(loop);
}

void loop_run(struct loop *loop, void (*on_turn_end)(void *context), void *context)
{
	bool is_alive = true;

	while (is_alive && !loop->is_stopping) {
		is_alive = run_turn(loop, true);
		if (on_turn_end)
			on_turn_end(context);
	}
	loop->is_stopping = false;
}

void loop_run_once(struct loop *loop, int may_wait)
{
	(void)run_turn(loop, may_wait);
}

void loop_stop(struct loop *loop)
{
	loop->is_stopping = true;
}

int64_t loop_now_ms(struct loop *loop)
{
	return loop->wall_ms + loop->monotonic_ms;
}

int64_t loop_monotonic_us(struct loop *loop)
{
	loop->looked_us += LOOK_US;
	return loop->monotonic_ms * 1000 + loop->looked_us;
}

/* splitmix64 */
uint64_t loop_random(struct loop *loop)
{
	uint64_t bits = loop->dice += 0x9e3779b97f4a7c15u;

	bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
	bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
	return bits ^ bits >> 31;
}

struct loop_timer *loop_timer_new(struct loop *loop, void (*on_due)(void *context), void *context)
{
	struct loop_timer *timer = xcalloc(1, sizeof(*timer));

	timer->loop = loop;
	timer->on_due = on_due;
	timer->context = context;
	timer->next = loop->timers;
	loop->timers = timer;
	return timer;
}

void loop_timer_set(struct loop_timer *timer, int64_t delay_ms)
{
	timer->is_set = true;
	timer->due_ms = timer->loop->monotonic_ms + (delay_ms > 0 ? delay_ms : 0);
	timer->serial = ++timer->loop->serial;
}

void loop_timer_clear(struct loop_timer *timer)
{
	timer->is_set = false;
}

void loop_timer_free(struct loop_timer *timer)
{
	struct loop_timer **link;

	if (!timer)
		return;
	for (link = &timer->loop->timers; *link != timer; link = &(*link)->next)
		;
	*link = timer->next;
	free(timer);
}

struct loop_watch *loop_watch_new(struct loop *loop, int fd, unsigned events,
				  void (*on_ready)(unsigned events, void *context), void *context)
{
	(void)loop, (void)fd, (void)events, (void)on_ready, (void)context;
	abort();
}

void loop_watch_set(struct loop_watch *watch, unsigned events)
{
	(void)watch, (void)events;
	abort();
}

void loop_watch_free(struct loop_watch *watch)
{
	if (watch)
		abort();
}

void loop_on_signal(struct loop *loop, int signal_number,
		    void (*on_signal)(int signal_number, void *context), void *context)
{
	(void)loop, (void)signal_number, (void)on_signal, (void)context;
	abort();
}

void loop_seed(struct loop *loop, uint64_t seed)
{
	loop->dice = seed;
}

void loop_jump(struct loop *loop, int64_t ms)
{
	loop->wall_ms += ms;
}

void loop_lose_power(struct loop *loop)
{
	loop->timers = NULL;
}

int64_t loop_elapsed_ms(const struct loop *loop)
{
	return loop->monotonic_ms;
}

int64_t loop_true_ms(struct loop *loop)
{
	return FIRST_MS + loop->monotonic_ms;
}

void loop_halt(struct loop *loop)
{
	loop->is_halted = true;
}

void loop_strike_after(struct loop *loop, int64_t callbacks, void (*on_struck)(void *context), void *context)
{
	loop->strike_at = loop->callbacks + callbacks;
	loop->on_struck = on_struck;
	loop->strike_context = context;
}

int64_t loop_callback_count(const struct loop *loop)
{
	return loop->callbacks;
}

bool loop_is_halted(const struct loop *loop)
{
	return loop->is_halted;
}

void loop_go_on(struct loop *loop)
{
	loop->is_halted = false;
}

size_t loop_timer_count(const struct loop *loop)
{
	size_t count = 0;

	for (const struct loop_timer *timer = loop->timers; timer; timer = timer->next)
		count++;
	return count;
}
