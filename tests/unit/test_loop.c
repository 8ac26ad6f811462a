#include "daemon/io/loop.h"

#include <signal.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

/* What the callbacks of a test share. */
struct scene {
	struct loop *loop;
	struct loop_timer *timers[4];
	struct loop_watch *watches[2];
	int pair[2];
	int64_t delays[4];
	int order[8];
	size_t count;
	int turns;
	int signals;
	unsigned events;
	bool is_read;
};

static struct scene scene;

static void begin(void)
{
	scene = (struct scene){.loop = loop_new(), .pair = {-1, -1}};
	CU_ASSERT_EQUAL_FATAL(socketpair(AF_UNIX, SOCK_STREAM, 0, scene.pair), 0);
}

static void end(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(scene.timers); i++)
		loop_timer_free(scene.timers[i]);
	for (size_t i = 0; i < ARRAY_SIZE(scene.watches); i++)
		loop_watch_free(scene.watches[i]);
	loop_free(scene.loop);
	(void)close(scene.pair[0]);
	(void)close(scene.pair[1]);
}

static void count_turn(void *context)
{
	(void)context;
	scene.turns++;
}

static void note_timer(void *context)
{
	scene.order[scene.count++] = (int)(intptr_t)context;
}

static void note_and_stop(void *context)
{
	note_timer(context);
	loop_stop(scene.loop);
}

static void runs_timers_in_the_order_of_their_delays(void)
{
	const int64_t delays[] = {30, 1, 0, 15};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
		scene.timers[i] = loop_timer_new(scene.loop, i ? note_timer : note_and_stop,
						 (void *)(intptr_t)i);
		loop_timer_set(scene.timers[i], delays[i]);
	}
	loop_run(scene.loop, NULL, NULL);
	CU_ASSERT_EQUAL(scene.count, 4);
	CU_ASSERT_EQUAL(scene.order[0], 2);
	CU_ASSERT_EQUAL(scene.order[1], 1);
	CU_ASSERT_EQUAL(scene.order[2], 3);
	CU_ASSERT_EQUAL(scene.order[3], 0);
	end();
}

static void never_fires_before_its_time(void)
{
	const int64_t delays[] = {1, 3, 7, 20};

	begin();
	scene.timers[0] = loop_timer_new(scene.loop, note_and_stop, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(delays); i++) {
		int64_t start = loop_monotonic_us(scene.loop);

		/* A delay counts from now, however long the turn has been. */
		while (loop_monotonic_us(scene.loop) < start + 2000)
			;
		start = loop_monotonic_us(scene.loop);
		loop_timer_set(scene.timers[0], delays[i]);
		loop_run(scene.loop, NULL, NULL);
		CU_ASSERT(loop_monotonic_us(scene.loop) - start >= delays[i] * 1000);
	}
	end();
}

static void setting_a_timer_again_moves_it(void)
{
	begin();
	scene.timers[0] = loop_timer_new(scene.loop, note_timer, (void *)1);
	scene.timers[1] = loop_timer_new(scene.loop, note_and_stop, (void *)2);
	loop_timer_set(scene.timers[0], 0);
	loop_timer_set(scene.timers[0], INT64_MAX);
	loop_timer_set(scene.timers[1], INT64_MAX);
	loop_timer_set(scene.timers[1], 5);
	loop_run(scene.loop, NULL, NULL);
	CU_ASSERT_EQUAL(scene.count, 1);
	CU_ASSERT_EQUAL(scene.order[0], 2);
	end();
}

static void a_cleared_timer_does_not_fire(void)
{
	begin();
	scene.timers[0] = loop_timer_new(scene.loop, note_timer, (void *)1);
	scene.timers[1] = loop_timer_new(scene.loop, note_and_stop, (void *)2);
	loop_timer_set(scene.timers[0], -5);
	loop_timer_set(scene.timers[1], 1);
	loop_timer_clear(scene.timers[0]);
	loop_timer_clear(scene.timers[0]);
	loop_run(scene.loop, NULL, NULL);
	CU_ASSERT_EQUAL(scene.count, 1);
	end();
}

static void set_again(void *context)
{
	(void)context;
	scene.count++;
	if (scene.count < 100)
		loop_timer_set(scene.timers[0], 0);
}

static void read_and_stop(unsigned events, void *context)
{
	char byte;

	(void)context;
	scene.events = events;
	scene.is_read = read(scene.pair[0], &byte, 1) == 1;
	loop_stop(scene.loop);
}

static void a_slice_that_sets_itself_again_lets_io_in_between(void)
{
	begin();
	scene.timers[0] = loop_timer_new(scene.loop, set_again, NULL);
	scene.watches[0] =
		loop_watch_new(scene.loop, scene.pair[0], LOOP_READ, read_and_stop, NULL);
	loop_timer_set(scene.timers[0], 0);
	loop_run_once(scene.loop, 0);
	CU_ASSERT_EQUAL(scene.count, 1);
	CU_ASSERT_EQUAL(write(scene.pair[1], "x", 1), 1);
	loop_run(scene.loop, count_turn, NULL);
	CU_ASSERT(scene.is_read);
	CU_ASSERT_EQUAL(scene.events, LOOP_READ);
	CU_ASSERT_EQUAL(scene.turns, 1);
	CU_ASSERT_EQUAL(scene.count, 2);
	end();
}

static void one_fire_each_turn(void)
{
	begin();
	scene.timers[0] = loop_timer_new(scene.loop, set_again, NULL);
	loop_timer_set(scene.timers[0], 0);
	for (size_t i = 1; i <= 10; i++) {
		loop_run_once(scene.loop, 1);
		CU_ASSERT_EQUAL(scene.count, i);
	}
	end();
}

static void free_all_timers(void *context)
{
	(void)context;
	scene.count++;
	for (size_t i = 0; i < ARRAY_SIZE(scene.timers); i++) {
		loop_timer_free(scene.timers[i]);
		scene.timers[i] = NULL;
	}
}

static void a_callback_frees_its_own_timer_and_others_that_are_due(void)
{
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(scene.timers); i++) {
		scene.timers[i] = loop_timer_new(scene.loop, free_all_timers, NULL);
		loop_timer_set(scene.timers[i], 0);
	}
	loop_run_once(scene.loop, 1);
	CU_ASSERT_EQUAL(scene.count, 1);
	end();
}

static void free_all_watches(unsigned events, void *context)
{
	(void)events;
	(void)context;
	scene.count++;
	for (size_t i = 0; i < ARRAY_SIZE(scene.watches); i++) {
		loop_watch_free(scene.watches[i]);
		scene.watches[i] = NULL;
	}
}

static void a_callback_frees_its_own_watch_and_others_that_are_ready(void)
{
	begin();
	for (size_t i = 0; i < ARRAY_SIZE(scene.watches); i++)
		scene.watches[i] = loop_watch_new(scene.loop, scene.pair[i], LOOP_WRITE,
						  free_all_watches, NULL);
	loop_run_once(scene.loop, 1);
	loop_run_once(scene.loop, 0);
	CU_ASSERT_EQUAL(scene.count, 1);
	end();
}

static void note_events(unsigned events, void *context)
{
	(void)context;
	scene.events = events;
	scene.count++;
}

static void tells_what_is_there_of_what_was_asked(void)
{
	const struct {
		const char *name;
		unsigned asked, told;
	} cases[] = {
		{"nothing", 0, 0},
		{"read", LOOP_READ, LOOP_READ},
		{"write", LOOP_WRITE, LOOP_WRITE},
		{"both", LOOP_READ | LOOP_WRITE, LOOP_READ | LOOP_WRITE},
		{"paused", 0, 0},
	};

	begin();
	CU_ASSERT_EQUAL(write(scene.pair[1], "x", 1), 1);
	scene.watches[0] = loop_watch_new(scene.loop, scene.pair[0], 0, note_events, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		scene.events = 0;
		loop_watch_set(scene.watches[0], cases[i].asked);
		loop_run_once(scene.loop, 0);
		CHECK_ROW(cases[i].name, scene.events == cases[i].told);
	}
	end();
}

static void a_watch_goes_on_until_it_is_paused(void)
{
	begin();
	scene.watches[0] = loop_watch_new(scene.loop, scene.pair[0], LOOP_WRITE, note_events, NULL);
	for (size_t i = 1; i <= 3; i++) {
		loop_run_once(scene.loop, 1);
		CU_ASSERT_EQUAL(scene.count, i);
	}
	end();
}

static void note_signal(int signal_number, void *context)
{
	CU_ASSERT_PTR_EQUAL(context, &scene);
	scene.signals += signal_number == SIGUSR1;
	if (signal_number == SIGUSR2)
		loop_stop(scene.loop);
}

static void hears_a_signal_each_time(void)
{
	begin();
	loop_on_signal(scene.loop, SIGUSR1, note_signal, &scene);
	loop_on_signal(scene.loop, SIGUSR2, note_signal, &scene);
	for (int i = 1; i <= 3; i++) {
		CU_ASSERT_EQUAL(raise(SIGUSR1), 0);
		loop_run_once(scene.loop, 1);
		CU_ASSERT_EQUAL(scene.signals, i);
	}
	CU_ASSERT_EQUAL(raise(SIGUSR2), 0);
	loop_run(scene.loop, count_turn, NULL);
	CU_ASSERT_EQUAL(scene.turns, 1);
	end();
}

static void a_turn_that_stops_still_has_its_end(void)
{
	begin();
	scene.timers[0] = loop_timer_new(scene.loop, note_and_stop, (void *)1);
	scene.timers[1] = loop_timer_new(scene.loop, note_timer, (void *)2);
	loop_timer_set(scene.timers[0], 0);
	loop_timer_set(scene.timers[1], 0);
	loop_run(scene.loop, count_turn, NULL);
	CU_ASSERT_EQUAL(scene.turns, 1);
	CU_ASSERT_EQUAL(scene.count, 2);
	loop_timer_set(scene.timers[0], 0);
	loop_run(scene.loop, count_turn, NULL);
	CU_ASSERT_EQUAL(scene.turns, 2);
	end();
}

static void returns_when_nothing_can_happen_any_more(void)
{
	begin();
	loop_run(scene.loop, NULL, NULL);
	loop_run_once(scene.loop, 1);
	loop_stop(scene.loop);
	loop_run(scene.loop, count_turn, NULL);
	CU_ASSERT_EQUAL(scene.turns, 0);
	end();
}

static void draws_numbers_that_differ(void)
{
	uint64_t drawn[100], together = 0;

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(drawn); i++) {
		drawn[i] = loop_random(scene.loop);
		together |= drawn[i];
		for (size_t j = 0; j < i; j++)
			CU_ASSERT_NOT_EQUAL(drawn[i], drawn[j]);
	}
	CU_ASSERT_EQUAL(together, UINT64_MAX);
	end();
}

static void knows_the_time(void)
{
	begin();
	/* 2020-01-01: the unit is milliseconds, the origin is the epoch. */
	CU_ASSERT(loop_now_ms(scene.loop) > 1577836800000);
	CU_ASSERT(loop_now_ms(scene.loop) < 1577836800000 * 10);
	end();
}

CHECK_MAIN("loop", CHECK(runs_timers_in_the_order_of_their_delays),
	   CHECK(never_fires_before_its_time), CHECK(setting_a_timer_again_moves_it),
	   CHECK(a_cleared_timer_does_not_fire),
	   CHECK(a_slice_that_sets_itself_again_lets_io_in_between), CHECK(one_fire_each_turn),
	   CHECK(a_callback_frees_its_own_timer_and_others_that_are_due),
	   CHECK(a_callback_frees_its_own_watch_and_others_that_are_ready),
	   CHECK(tells_what_is_there_of_what_was_asked), CHECK(a_watch_goes_on_until_it_is_paused),
	   CHECK(hears_a_signal_each_time), CHECK(a_turn_that_stops_still_has_its_end),
	   CHECK(returns_when_nothing_can_happen_any_more), CHECK(draws_numbers_that_differ),
	   CHECK(knows_the_time))
