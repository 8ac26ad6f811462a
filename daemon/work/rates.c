#include "daemon/work/rates.h"

#include <stddef.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/http.h"
#include "daemon/model/quota.h"

#define DAY_MS (INT64_C(24) * 60 * 60 * 1000)

/* clang-format off */
static const struct {
	const char *name;
	size_t rate; /* in struct rates; the others in struct http_response */
	size_t limit, remaining, reset;
} kinds[] = {
	{ "requests", offsetof(struct rates, requests), offsetof(struct http_response, limit_requests),
	  offsetof(struct http_response, remaining_requests), offsetof(struct http_response, reset_requests) },
	{ "tokens",   offsetof(struct rates, tokens),   offsetof(struct http_response, limit_tokens),
	  offsetof(struct http_response, remaining_tokens),   offsetof(struct http_response, reset_tokens) },
};
/* clang-format on */

static const char *header_at(const struct http_response *response, size_t place)
{
	return *(const char *const *)(const void *)((const char *)response + place);
}

static void note_count(int64_t *count, const char *header)
{
	int64_t value;

	if (header && quota_parse_count(header, &value) == 0)
		*count = value;
}

void rates_init(struct rates *rates)
{
	static const struct told_rate none = { .limit = -1, .remaining = -1 };

	rates->requests = none;
	rates->tokens = none;
}

void rates_note(struct rates *rates, const struct http_response *response, int64_t now)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		struct told_rate *rate = (struct told_rate *)(void *)((char *)rates + kinds[i].rate);
		const char *reset = header_at(response, kinds[i].reset);
		int64_t wait_ms;

		note_count(&rate->limit, header_at(response, kinds[i].limit));
		note_count(&rate->remaining, header_at(response, kinds[i].remaining));
		if (reset && quota_parse_duration(reset, &wait_ms) == 0)
			rate->reset_at = now + wait_ms;
	}
}

int64_t rates_spent_until(const struct rates *rates, int64_t now, const struct told_rate **ret_rate, const char **ret_name)
{
	int64_t until = 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct told_rate *rate = (const struct told_rate *)(const void *)((const char *)rates + kinds[i].rate);

		/* Nothing is said of more than a day: then the clock was set back. */
		if (rate->remaining != 0 || rate->reset_at <= now || rate->reset_at > now + DAY_MS ||
		    rate->reset_at <= until)
			continue;
		until = rate->reset_at;
		*ret_rate = rate;
		*ret_name = kinds[i].name;
	}
	return until;
}
