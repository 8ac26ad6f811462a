#include "tests/crash/power_draw.h"

/* How one state is drawn: all is first, but for one op, and, in some, all behind it. */
struct manner {
	enum fate before, it, behind;
};

/* clang-format off */
static const struct manner manners[] = {
	{ FATE_DONE, FATE_LOST,   FATE_DONE },
	{ FATE_DONE, FATE_TORN,   FATE_DONE },
	{ FATE_DONE, FATE_ZEROES, FATE_DONE },
	{ FATE_LOST, FATE_DONE,   FATE_LOST },
	{ FATE_LOST, FATE_TORN,   FATE_LOST },
	{ FATE_DONE, FATE_LOST,   FATE_LOST },
	{ FATE_DONE, FATE_TORN,   FATE_LOST },
	{ FATE_DONE, FATE_ZEROES, FATE_LOST },
	{ FATE_LOST, FATE_DONE,   FATE_DONE },
};

/* Of a hundred ops, how many are lost, and how many of those only partly. */
static const struct { unsigned lost, partly; } weights[] = {
	{ 10, 30 }, { 50, 0 }, { 50, 40 }, { 90, 10 }, { 30, 90 },
};
/* clang-format on */

#define MANNERS (sizeof(manners) / sizeof(*manners))
#define WEIGHTS (sizeof(weights) / sizeof(*weights))

/* splitmix64 */
uint64_t draw_next(uint64_t *dice)
{
	uint64_t bits = *dice += 0x9e3779b97f4a7c15u;

	bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
	bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
	return bits ^ bits >> 31;
}

uint64_t draw_seed(uint64_t a, uint64_t b)
{
	uint64_t dice = a * 0x2545f4914f6cdd1du + b;

	return draw_next(&dice);
}

/* A place in a list, near its end more often than not. */
static size_t draw_place(uint64_t *dice, size_t count)
{
	size_t span = (size_t)1 << draw_next(dice) % 8;

	return count - 1 - (size_t)(draw_next(dice) % (span < count ? span : count));
}

static enum fate draw_fate(uint64_t *dice, size_t weight)
{
	if (draw_next(dice) % 100 >= weights[weight].lost)
		return FATE_DONE;
	if (draw_next(dice) % 100 >= weights[weight].partly)
		return FATE_LOST;
	return draw_next(dice) % 4 ? FATE_TORN : FATE_ZEROES;
}

static void draw_subset(uint64_t *dice, size_t count, enum fate *fates)
{
	size_t weight = (size_t)(draw_next(dice) % WEIGHTS);
	/* What is older may have been written back meanwhile. */
	size_t first = draw_next(dice) % 2 ? 0 : draw_place(dice, count);

	for (size_t i = 0; i < count; i++)
		fates[i] = i < first ? FATE_DONE : draw_fate(dice, weight);
}

void draw_fates(uint64_t seed, int64_t number, size_t count, enum fate *ret_fates)
{
	uint64_t dice = draw_seed(seed, (uint64_t)number);
	size_t manner = (size_t)(draw_next(&dice) % (2 * MANNERS));
	size_t place;

	for (size_t i = 0; i < count && number < 2; i++)
		ret_fates[i] = number == 0 ? FATE_LOST : FATE_DONE;
	if (number < 2 || !count)
		return;
	if (manner >= MANNERS) {
		draw_subset(&dice, count, ret_fates);
		return;
	}
	place = draw_place(&dice, count);
	for (size_t i = 0; i < count; i++)
		ret_fates[i] = i < place ? manners[manner].before : manners[manner].behind;
	ret_fates[place] = manners[manner].it;
}
