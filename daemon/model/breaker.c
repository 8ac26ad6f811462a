#include "daemon/model/breaker.h"

#include "daemon/model/backoff.h"

#define MOST_OPENINGS 64 /* that make a difference */

static void open_for(struct breaker *breaker, const struct breaker_limits *limits, int64_t now, uint64_t random)
{
	if (!breaker->openings)
		breaker->since = now;
	if (breaker->openings < MOST_OPENINGS)
		breaker->openings++;
	breaker->until = now + backoff_retry_ms(limits->first_ms, limits->longest_ms, (uint32_t)breaker->openings,
						random);
}

bool breaker_is_open(const struct breaker *breaker)
{
	return breaker->openings > 0;
}

bool breaker_may_ask(struct breaker *breaker, const struct breaker_limits *limits, int64_t now)
{
	if (breaker->until > now + limits->longest_ms)
		breaker->until = now + limits->longest_ms;
	return !breaker_is_open(breaker) || breaker->until <= now;
}

enum breaker_news breaker_fail(struct breaker *breaker, const struct breaker_limits *limits, uint64_t culprit,
			       int64_t now, uint64_t random)
{
	bool is_same = culprit && culprit == breaker->culprit;

	if (!breaker_may_ask(breaker, limits, now))
		return BREAKER_NO_NEWS;
	breaker->culprit = culprit;
	if (breaker_is_open(breaker)) {
		breaker->failures++;
		open_for(breaker, limits, now, random);
		return BREAKER_NO_NEWS;
	}
	if (!is_same)
		breaker->failures++;
	if (!limits->most || breaker->failures < limits->most)
		return BREAKER_NO_NEWS;
	open_for(breaker, limits, now, random);
	return BREAKER_OPENED;
}

enum breaker_news breaker_succeed(struct breaker *breaker)
{
	bool was_open = breaker_is_open(breaker);

	*breaker = (struct breaker){ 0 };
	return was_open ? BREAKER_CLOSED : BREAKER_NO_NEWS;
}
