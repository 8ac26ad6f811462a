#include "tests/crash/trials_schedule.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/crash/faults.h"
#include "tests/crash/trials_rows.h"

#define HOUR_MS (60 * 60 * INT64_C(1000))
#define MEMBER(name) { #name, offsetof(struct schedule_shape, name) }

static const struct {
	const char *name;
	size_t at;
} members[] = {
	MEMBER(requests),   MEMBER(models),	  MEMBER(max_requests), MEMBER(padding),
	MEMBER(fails_once), MEMBER(fails_always), MEMBER(strangers),	MEMBER(run_ms),
	MEMBER(is_list_new), MEMBER(is_trusted),  MEMBER(retries),	MEMBER(accepts),
};

static const struct schedule_shape plain = {
	.requests = 6,
	.models = 1,
	.max_requests = 4,
	.run_ms = 4000,
};

/* How many occasions of a row's kind are tried, one at a time. */
static const int64_t occasions[MOMENT_COUNT] = {
	[MOMENT_RULE] = 2,    [MOMENT_LEAVING] = 2,  [MOMENT_ARRIVAL] = 3, [MOMENT_ANSWER] = 3,
	[MOMENT_TURN] = 60, [MOMENT_CALLBACK] = 120, [MOMENT_REBIRTH] = 0,
};

/* Occasions that a drawn event waits for. */
static const int64_t spans[MOMENT_COUNT] = {
	[MOMENT_RULE] = 4,    [MOMENT_LEAVING] = 4,  [MOMENT_ARRIVAL] = 5, [MOMENT_ANSWER] = 5,
	[MOMENT_TURN] = 120, [MOMENT_CALLBACK] = 250, [MOMENT_REBIRTH] = 40,
};

static int64_t *member_of(struct schedule_shape *shape, size_t i)
{
	return (int64_t *)(void *)((char *)shape + members[i].at);
}

/* splitmix64 */
static uint64_t draw(uint64_t *dice)
{
	uint64_t bits = *dice += 0x9e3779b97f4a7c15u;

	bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
	bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
	return bits ^ bits >> 31;
}

/* One of count numbers. */
static int64_t pick(uint64_t *dice, const int64_t *numbers, size_t count)
{
	return numbers[draw(dice) % count];
}

static bool is_drawn(uint64_t *dice, unsigned percent)
{
	return draw(dice) % 100 < percent;
}

static void draw_shape(struct schedule_shape *shape, uint64_t *dice)
{
	static const int64_t sizes[] = { 1, 3, 3, 6, 6, 40 };
	static const int64_t most[] = { 2, 4, 7, 16, 50000 };

	shape->requests = pick(dice, sizes, ARRAY_SIZE(sizes));
	shape->models = is_drawn(dice, 30) ? 2 : 1;
	shape->max_requests = pick(dice, most, ARRAY_SIZE(most));
	/* More than a store keeps of an input. */
	if (shape->requests == 40 && shape->max_requests < 7)
		shape->max_requests = 16;
	shape->padding = is_drawn(dice, 20) ? 70000 / shape->requests : 0;
	shape->fails_once = is_drawn(dice, 30) ? 3 : 0;
	shape->fails_always = is_drawn(dice, 30) ? 5 : 0;
	shape->strangers = is_drawn(dice, 20) ? 2 : 0;
	shape->run_ms = is_drawn(dice, 3) ? 20 * HOUR_MS : 4000;
	shape->is_list_new = is_drawn(dice, 20);
	shape->is_trusted = is_drawn(dice, 10);
	shape->retries = is_drawn(dice, 30);
	shape->accepts = is_drawn(dice, 30);
}

enum sort { SORT_FAULT, SORT_DEATH, SORT_JUMP, SORT_OTHER, SORT_COUNT };

static enum sort sort_of(size_t row)
{
	auto_trial_row made;

	trial_row_make(row, 1, &made);
	if (made.act == ACT_RULE || made.act == ACT_REFUSE)
		return SORT_FAULT;
	if (made.act == ACT_DIE || made.act == ACT_DIE_AFTER)
		return SORT_DEATH;
	return made.act == ACT_JUMP ? SORT_JUMP : SORT_OTHER;
}

/* The rows of a sort, and how many there are. */
static const size_t *rows_of(enum sort sort, size_t *ret_count)
{
	static size_t *rows[SORT_COUNT], counts[SORT_COUNT];
	size_t count = rows[sort] ? 0 : trial_row_count();

	if (count)
		for (unsigned i = 0; i < SORT_COUNT; i++)
			rows[i] = xcalloc(count, sizeof(**rows));
	for (size_t i = 0; i < count; i++) {
		enum sort own = sort_of(i);

		rows[own][counts[own]++] = i;
	}
	*ret_count = counts[sort];
	return rows[sort];
}

static size_t draw_row(uint64_t *dice)
{
	/* Of a hundred events. */
	static const unsigned shares[SORT_COUNT] = { 50, 30, 8, 12 };
	unsigned percent = (unsigned)(draw(dice) % 100), sort = 0;
	const size_t *rows;
	size_t count;

	while (percent >= shares[sort])
		percent -= shares[sort++];
	rows = rows_of((enum sort)sort, &count);
	return rows[draw(dice) % count];
}

void schedule_add(struct schedule *schedule, size_t row, int64_t nth)
{
	if (schedule->count < SCHEDULE_MOST_EVENTS)
		schedule->events[schedule->count++] = (struct schedule_event){ row, nth };
}

void schedule_plain(struct schedule *schedule, uint64_t seed)
{
	*schedule = (struct schedule){ .seed = seed, .shape = plain };
}

void schedule_draw(struct schedule *schedule, uint64_t seed)
{
	uint64_t dice = seed * 0x2545f4914f6cdd1du + 1;
	size_t count;

	schedule_plain(schedule, seed);
	draw_shape(&schedule->shape, &dice);
	count = 1 + draw(&dice) % 6;
	for (size_t i = 0; i < count; i++) {
		size_t row = draw_row(&dice);
		auto_trial_row made;

		trial_row_make(row, 1, &made);
		schedule_add(schedule, row, 1 + (int64_t)(draw(&dice) % (uint64_t)spans[made.moment]));
	}
}

static int64_t occasions_of(size_t row)
{
	auto_trial_row made, second;

	trial_row_make(row, 1, &made);
	trial_row_make(row, 2, &second);
	/* What lasts has no second occasion. */
	if (made.rules && strcmp(made.rules, second.rules) == 0)
		return 1;
	return occasions[made.moment];
}

/*
 * How another shape brings more out of a row: what is about doubt is tried with one shard as well,
 * for the batch of another one tells much of a list; and deaths at any moment with an input that is
 * a file of its own. false: there is no other one.
 */
static bool vary(size_t row, struct schedule_shape *shape)
{
	auto_trial_row made;
	bool is_doubt, is_death;

	trial_row_make(row, 1, &made);
	is_doubt = made.story & (STORY_DOUBT | STORY_ABSENT);
	is_death = made.moment >= MOMENT_TURN && (made.act == ACT_DIE || made.act == ACT_DIE_AFTER);
	if (is_doubt)
		shape->max_requests = 50000;
	if (is_death)
		shape->padding = 12000;
	return is_doubt || is_death;
}

/* Where the singles of each row begin; the last is their number. */
static const size_t *single_starts(void)
{
	static size_t *starts;
	size_t count = trial_row_count();
	struct schedule_shape shape;

	if (!starts) {
		starts = xcalloc(count + 1, sizeof(*starts));
		for (size_t i = 0; i < count; i++)
			starts[i + 1] = starts[i] + (size_t)(occasions_of(i) * (vary(i, &shape) ? 2 : 1));
	}
	return starts;
}

size_t schedule_single_count(void)
{
	return single_starts()[trial_row_count()];
}

void schedule_single(struct schedule *schedule, size_t number)
{
	const size_t *starts = single_starts();
	struct schedule_shape shape;
	size_t row = 0, variants;

	while (starts[row + 1] <= number)
		row++;
	schedule_plain(schedule, number);
	shape = schedule->shape;
	number -= starts[row];
	variants = vary(row, &shape) ? 2 : 1;
	if (number % variants)
		schedule->shape = shape;
	schedule_add(schedule, row, 1 + (int64_t)(number / variants));
}

size_t schedule_pair_count(void)
{
	return trial_row_count() * trial_row_count();
}

/* When the second of a pair strikes: of two at the same call it is the later one. */
static int64_t second_occasion(size_t first, size_t second)
{
	auto_trial_row a, b;

	trial_row_make(first, 1, &a);
	trial_row_make(second, 1, &b);
	if (b.moment >= MOMENT_TURN)
		return b.moment == MOMENT_REBIRTH ? 3 : 30;
	return a.call == b.call || second < first ? 2 : 1;
}

void schedule_pair(struct schedule *schedule, size_t number)
{
	size_t first = number / trial_row_count(), second = number % trial_row_count();
	auto_trial_row row;

	trial_row_make(first, 1, &row);
	schedule_plain(schedule, number);
	schedule_add(schedule, first, row.moment < MOMENT_TURN ? 1 : row.moment == MOMENT_REBIRTH ? 2 : 20);
	schedule_add(schedule, second, second_occasion(first, second));
}

char *schedule_text(const struct schedule *schedule)
{
	struct schedule_shape shape = schedule->shape, usual = plain;
	struct buffer text = { 0 };

	buffer_add_format(&text, "seed=%" PRIu64, schedule->seed);
	for (size_t i = 0; i < ARRAY_SIZE(members); i++)
		if (*member_of(&shape, i) != *member_of(&usual, i))
			buffer_add_format(&text, " %s=%" PRId64, members[i].name, *member_of(&shape, i));
	for (size_t i = 0; i < schedule->count; i++) {
		auto_trial_row row;

		trial_row_make(schedule->events[i].row, 1, &row);
		buffer_add_format(&text, " | %s @%" PRId64, row.name, schedule->events[i].nth);
	}
	(void)buffer_text(&text);
	return text.data;
}

static int parse_member(struct schedule *schedule, char *word, struct error *err)
{
	char *value = strchr(word, '=');

	if (value)
		*value++ = '\0';
	if (value && strcmp(word, "seed") == 0) {
		schedule->seed = strtoull(value, NULL, 10);
		return 0;
	}
	for (size_t i = 0; value && i < ARRAY_SIZE(members); i++)
		if (strcmp(word, members[i].name) == 0) {
			*member_of(&schedule->shape, i) = strtoll(value, NULL, 10);
			return 0;
		}
	return error_set(err, -EINVAL, "no schedule has a \"%s\"", word);
}

static int parse_event(struct schedule *schedule, char *words, struct error *err)
{
	char *at = strrchr(words, '@');
	size_t row;

	if (!at || at == words)
		return error_set(err, -EINVAL, "\"%s\" says not when", words);
	*at++ = '\0';
	words[strlen(words) - 1] = '\0';
	row = trial_row_find(words);
	if (row == trial_row_count())
		return error_set(err, -EINVAL, "there is no \"%s\"", words);
	schedule_add(schedule, row, strtoll(at, NULL, 10));
	return 0;
}

int schedule_parse(const char *text, struct schedule *ret_schedule, struct error *err)
{
	auto_free char *copy = xstrdup(text);
	char *rest = copy, *head = strsep(&rest, "|"), *word;
	int r = 0;

	schedule_plain(ret_schedule, 0);
	while (!r && (word = strsep(&head, " ")))
		if (*word)
			r = parse_member(ret_schedule, word, err);
	while (!r && (word = strsep(&rest, "|")))
		r = parse_event(ret_schedule, word + strspn(word, " "), err);
	return r;
}
