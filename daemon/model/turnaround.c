#include "daemon/model/turnaround.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"

#define SHORTEST_MS 1000
/* Of a batch that ended just now; each that ends later takes a part of it away. */
#define WEIGHT 1024
#define FORGET 32
#define HEAVIEST (WEIGHT * FORGET)
/* An end so early that only so many of a thousand were earlier is none to wait for. */
#define EARLIEST_PERMILLE 20
/* Looks within the time in which the middle half of the batches ends. */
#define LOOKS 4

/* The least age of a bucket; that of the one behind the last is the end of the last. */
static int64_t bucket_begin(size_t bucket)
{
	static const int64_t quarters[] = { 1000, 1189, 1414, 1682 };

	return bucket ? (SHORTEST_MS * quarters[bucket % 4] / 1000) << bucket / 4 : 0;
}

static size_t bucket_of(int64_t took_ms)
{
	size_t bucket = 0;

	while (bucket + 1 < TURNAROUND_BUCKETS && took_ms >= bucket_begin(bucket + 1))
		bucket++;
	return bucket;
}

void turnaround_add(struct turnaround *turnaround, int64_t took_ms)
{
	if (took_ms < 0)
		return;
	for (size_t i = 0; i < TURNAROUND_BUCKETS; i++)
		turnaround->weights[i] = turnaround->weights[i] * (FORGET - 1) / FORGET;
	turnaround->weights[bucket_of(took_ms)] += WEIGHT;
	if (turnaround->samples < INT64_MAX)
		turnaround->samples++;
}

char *turnaround_show(const struct turnaround *turnaround)
{
	struct buffer text = { 0 };

	for (size_t i = 0; i < TURNAROUND_BUCKETS; i++)
		if (turnaround->weights[i])
			buffer_add_format(&text, "%s%zu:%" PRIu32, text.size ? " " : "", i, turnaround->weights[i]);
	(void)buffer_text(&text);
	return text.data;
}

/* One "BUCKET:WEIGHT", and what ends it. */
static bool parse_entry(const char **at, struct turnaround *turnaround)
{
	char *end;
	unsigned long bucket = strtoul(*at, &end, 10), weight;

	if (end == *at || *end != ':' || bucket >= TURNAROUND_BUCKETS)
		return false;
	*at = end + 1;
	weight = strtoul(*at, &end, 10);
	if (end == *at || weight > HEAVIEST || (*end && *end != ' '))
		return false;
	turnaround->weights[bucket] = (uint32_t)weight;
	*at = end + (*end == ' ');
	return true;
}

int turnaround_parse(const char *text, int64_t samples, struct turnaround *ret_turnaround)
{
	struct turnaround turnaround = { .samples = samples };

	if (samples < 0)
		return -EINVAL;
	while (*text)
		if (!parse_entry(&text, &turnaround))
			return -EINVAL;
	*ret_turnaround = turnaround;
	return 0;
}

/* What there is of a bucket beyond an age. */
static int64_t begin_beyond(size_t bucket, int64_t age_ms)
{
	int64_t begin = bucket_begin(bucket);

	return begin > age_ms ? begin : age_ms;
}

int64_t turnaround_quantile(const struct turnaround *turnaround, int64_t age_ms, unsigned permille)
{
	size_t first = bucket_of(age_ms < 0 ? 0 : age_ms), bucket = first;
	int64_t all = 0, wanted, before = 0;

	for (size_t i = first; i < TURNAROUND_BUCKETS; i++)
		all += turnaround->weights[i];
	if (turnaround->samples < TURNAROUND_LEAST || !all || age_ms >= bucket_begin(TURNAROUND_BUCKETS))
		return -1;
	wanted = all * permille / 1000;
	while (before + turnaround->weights[bucket] < wanted || !turnaround->weights[bucket])
		before += turnaround->weights[bucket++];
	/* Within a bucket they lie evenly. */
	return begin_beyond(bucket, age_ms) + (bucket_begin(bucket + 1) - begin_beyond(bucket, age_ms)) *
						      (wanted - before) / turnaround->weights[bucket];
}

int64_t turnaround_wait_ms(const struct turnaround *turnaround, int64_t age_ms, int64_t first_ms,
			   int64_t longest_ms)
{
	int64_t earliest = turnaround_quantile(turnaround, 0, EARLIEST_PERMILLE), wait;

	if (age_ms < earliest)
		wait = earliest - age_ms;
	else
		wait = (turnaround_quantile(turnaround, age_ms, 750) - turnaround_quantile(turnaround, age_ms, 250)) /
		       LOOKS;
	if (turnaround_quantile(turnaround, age_ms, 500) < 0)
		return -1;
	if (wait > longest_ms)
		wait = longest_ms;
	return wait < first_ms ? first_ms : wait;
}

unsigned turnaround_class(int64_t requests)
{
	unsigned digits = 1;

	for (; requests >= 10; requests /= 10)
		digits++;
	return digits;
}

char *turnaround_name(unsigned size_class)
{
	return xasprintf("turnaround.%u", size_class);
}
