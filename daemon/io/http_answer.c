#include "daemon/io/http_answer.h"

#include <assert.h>
#include <ctype.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

/* Long enough for a signed URL. A longer value is dropped: half a URL would be a lie. */
#define MAX_VALUE_BYTES 8192

/* clang-format off */
static const struct {
	const char *name;
	size_t place;
} kept_headers[HTTP_ANSWER_KEPT] = {
	{ "content-type",     offsetof(struct http_response, content_type) },
	{ "location",         offsetof(struct http_response, location) },
	{ "retry-after",      offsetof(struct http_response, retry_after) },
	{ "retry-after-ms",   offsetof(struct http_response, retry_after_ms) },
	{ "x-request-id",     offsetof(struct http_response, request_id) },
	{ "x-ratelimit-limit-requests",     offsetof(struct http_response, limit_requests) },
	{ "x-ratelimit-remaining-requests", offsetof(struct http_response, remaining_requests) },
	{ "x-ratelimit-reset-requests",     offsetof(struct http_response, reset_requests) },
	{ "x-ratelimit-limit-tokens",       offsetof(struct http_response, limit_tokens) },
	{ "x-ratelimit-remaining-tokens",   offsetof(struct http_response, remaining_tokens) },
	{ "x-ratelimit-reset-tokens",       offsetof(struct http_response, reset_tokens) },
	{ "accept-ranges",    offsetof(struct http_response, accept_ranges) },
	{ "content-range",    offsetof(struct http_response, content_range) },
	{ "content-encoding", offsetof(struct http_response, content_encoding) },
	{ "etag",             offsetof(struct http_response, etag) },
	{ "x-incomplete",     offsetof(struct http_response, incomplete) },
};
/* clang-format on */

static void keep(struct http_answer *answer, size_t i, char *value)
{
	const char **place = (const char **)((char *)&answer->response + kept_headers[i].place);

	free(answer->kept[i]);
	answer->kept[i] = value;
	*place = value;
}

/* The three digits of "HTTP/1.1 200 OK"; 0 when they are not there. */
static int parse_status(const char *line, size_t size)
{
	const char *digits = memchr(line, ' ', size);
	int status = 0;

	if (!digits || line + size - digits < 4)
		return 0;
	for (int i = 1; i <= 3; i++) {
		if (!isdigit((unsigned char)digits[i]))
			return 0;
		status = status * 10 + (digits[i] - '0');
	}
	return status;
}

/* An informational status is no answer: who looks at a cut one must not take 100 for it. */
static void begin_block(struct http_answer *answer, const char *line, size_t size)
{
	int status = parse_status(line, size);

	for (size_t i = 0; i < ARRAY_SIZE(kept_headers); i++)
		keep(answer, i, NULL);
	answer->response.status = status >= 200 ? status : 0;
	answer->is_in_headers = true;
	answer->is_past_headers = false;
}

static void add_field(struct http_answer *answer, const char *line, size_t size)
{
	const char *colon = memchr(line, ':', size);
	const char *value, *end = line + size;
	size_t name_size;

	if (!colon)
		return;
	name_size = (size_t)(colon - line);
	for (value = colon + 1; value < end && isspace((unsigned char)*value); value++)
		;
	while (end > value && isspace((unsigned char)end[-1]))
		end--;
	for (size_t i = 0; i < ARRAY_SIZE(kept_headers); i++) {
		size_t value_size = (size_t)(end - value);

		if (strlen(kept_headers[i].name) == name_size &&
		    strncasecmp(kept_headers[i].name, line, name_size) == 0)
			keep(answer, i,
			     value_size > MAX_VALUE_BYTES ? NULL : xmemdup0(value, value_size));
	}
}

void http_answer_init(struct http_answer *answer, size_t max_body)
{
	*answer = (struct http_answer){.max_body = max_body};
	answer->response.body = "";
	answer->response.content_length = -1;
}

void http_answer_release(struct http_answer *answer)
{
	for (size_t i = 0; i < ARRAY_SIZE(answer->kept); i++)
		free(answer->kept[i]);
	buffer_release(&answer->body);
}

void http_answer_add_header(struct http_answer *answer, const char *line, size_t size)
{
	if (answer->has_body)
		return;
	if (!answer->is_in_headers) {
		if (size >= 5 && memcmp(line, "HTTP/", 5) == 0)
			begin_block(answer, line, size);
	} else if (size && (*line == '\r' || *line == '\n')) {
		answer->is_in_headers = false;
		answer->is_past_headers = true;
	} else {
		add_field(answer, line, size);
	}
}

bool http_answer_add_body(struct http_answer *answer, const char *bytes, size_t size)
{
	assert(answer->body.size <= answer->max_body);
	if (size > answer->max_body - answer->body.size) {
		answer->is_too_long = true;
		return false;
	}
	buffer_add(&answer->body, bytes, size);
	return true;
}

bool http_answer_has_headers(const struct http_answer *answer)
{
	return answer->response.status >= 200 && answer->is_past_headers;
}

void http_answer_finish(struct http_answer *answer)
{
	answer->response.body = buffer_text(&answer->body);
	answer->response.body_size = answer->body.size;
}
