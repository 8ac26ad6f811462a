#include "daemon/model/load.h"

#include <inttypes.h>
#include <stddef.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

/* clang-format off */
static const struct {
	const char *code;
	const char *noun;
	const char *key; /* of the provider's section */
	size_t limit;
} excesses[LOAD_EXCESS_COUNT] = {
	[LOAD_TOO_MANY_BYTES]  = { "request_too_large", "bytes",                  "max_bytes",  offsetof(struct load_limits, max_bytes) },
	[LOAD_TOO_MANY_INPUTS] = { "too_many_inputs",   "embedding inputs",       "max_inputs", offsetof(struct load_limits, max_inputs) },
	[LOAD_TOO_MANY_TOKENS] = { "too_many_tokens",   "tokens (by estimation)", "max_tokens", offsetof(struct load_limits, max_tokens) },
};
/* clang-format on */

struct load load_of_request(const struct load_limits *limits, int64_t wire_bytes, int64_t inputs)
{
	return (struct load){
		.requests = 1,
		.bytes = wire_bytes + limits->growth,
		.inputs = inputs,
		.tokens = (wire_bytes + limits->bytes_per_token - 1) / limits->bytes_per_token,
	};
}

static bool is_within(int64_t limit, int64_t have, int64_t more)
{
	return more <= limit - have;
}

bool load_has_room(const struct load_limits *limits, const struct load *load, const struct load *more)
{
	return is_within(limits->max_requests, load->requests, more->requests) &&
	       is_within(limits->max_bytes, load->bytes, more->bytes) &&
	       is_within(limits->max_inputs, load->inputs, more->inputs) &&
	       (!limits->ideal_bytes || is_within(limits->ideal_bytes, load->bytes, more->bytes)) &&
	       (!limits->max_tokens || is_within(limits->max_tokens, load->tokens, more->tokens));
}

void load_add(struct load *load, const struct load *more)
{
	load->requests += more->requests;
	load->bytes += more->bytes;
	load->inputs += more->inputs;
	load->tokens += more->tokens;
}

enum load_excess load_excess_of(const struct load_limits *limits, const struct load *request)
{
	if (request->bytes > limits->max_bytes)
		return LOAD_TOO_MANY_BYTES;
	if (request->inputs > limits->max_inputs)
		return LOAD_TOO_MANY_INPUTS;
	if (limits->max_tokens && request->tokens > limits->max_tokens)
		return LOAD_TOO_MANY_TOKENS;
	return LOAD_FITS;
}

const char *load_excess_code(enum load_excess excess)
{
	return excesses[excess].code;
}

char *load_excess_words(enum load_excess excess, const struct load_limits *limits)
{
	int64_t limit = *(const int64_t *)(const void *)((const char *)limits + excesses[excess].limit);

	return xasprintf("By itself this request has more %s than a batch may have (%s, %" PRId64 ").",
			 excesses[excess].noun, excesses[excess].key, limit);
}
