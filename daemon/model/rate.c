#include "daemon/model/rate.h"

#include <string.h>

static int64_t *slot_of(struct rate *rate, int64_t slot)
{
	return &rate->counts[slot % RATE_SLOTS];
}

static int64_t total_of(const struct rate *rate)
{
	int64_t total = 0;

	for (int i = 0; i < RATE_SLOTS; i++)
		total += rate->counts[i];
	return total;
}

/* Forgets what has left the window. Of a clock that was set back nothing is known but the sum. */
static void move_to(struct rate *rate, int64_t now)
{
	int64_t slot = now / rate->slot_ms;

	if (slot < rate->newest) {
		int64_t total = total_of(rate);

		memset(rate->counts, 0, sizeof(rate->counts));
		*slot_of(rate, slot) = total;
	} else if (slot - rate->newest >= RATE_SLOTS) {
		memset(rate->counts, 0, sizeof(rate->counts));
	} else {
		for (int64_t left = rate->newest + 1; left <= slot; left++)
			*slot_of(rate, left) = 0;
	}
	rate->newest = slot;
}

void rate_init(struct rate *rate, int64_t window_ms)
{
	*rate = (struct rate){ .slot_ms = window_ms / (RATE_SLOTS - 1) };
}

void rate_add(struct rate *rate, int64_t at, int64_t count, int64_t now)
{
	int64_t slot = (at < now ? at : now) / rate->slot_ms;

	move_to(rate, now);
	if (slot > rate->newest - RATE_SLOTS && slot >= 0)
		*slot_of(rate, slot) += count;
}

int64_t rate_count(struct rate *rate, int64_t now)
{
	move_to(rate, now);
	return total_of(rate);
}

int64_t rate_free_at(struct rate *rate, int64_t limit, int64_t now)
{
	int64_t left = rate_count(rate, now);
	int64_t slot = rate->newest - RATE_SLOTS;

	if (!limit || left < limit)
		return 0;
	while (left >= limit && slot < rate->newest)
		left -= *slot_of(rate, ++slot);
	return (slot + RATE_SLOTS) * rate->slot_ms;
}
