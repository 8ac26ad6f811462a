#include "daemon/model/dialect.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"

#define DAY_S           INT64_C(86400)
#define USUAL_WINDOW    "24h"
#define OFFICIAL_PREFIX "/v1"

/* clang-format off */
#define CHAT      "/v1/chat/completions"
#define EMBEDDING "/v1/embeddings"

/* Groups of columns that many rows have in common. */
#define BEARER .auth_header = "Authorization", .auth_prefix = "Bearer", \
	.purpose = "batch", .upload_type = "application/octet-stream"
#define HOLDS(requests, megabytes, inputs) .max_requests = (requests), \
	.max_bytes = INT64_C(1000000) * (megabytes), .max_inputs = (inputs)
#define INPUT_LIVES(shortest_s)  .upload_expiry_min_s = (shortest_s), .upload_expiry_max_s = 30 * DAY_S
#define OUTPUT_LIVES(shortest_s) .output_expiry_min_s = (shortest_s), .output_expiry_max_s = 30 * DAY_S
#define POLLED_EVERY(seconds)    .poll_floor_ms = 1000 * (seconds)

/* The status of a file is asked for first, and that of a batch once a minute; neither lives for less than 14 days. */
#define AZURE .auth_header = "api-key", .purpose = "batch", .upload_type = "application/json", \
	.endpoints = CHAT " /v1/responses", .windows = "24h", .waits_for_file = true, \
	.upload_expiry = DIALECT_EXPIRY_DOTTED, INPUT_LIVES(14 * DAY_S), OUTPUT_LIVES(14 * DAY_S), \
	HOLDS(100000, 200, 50000), POLLED_EVERY(60)

static const struct dialect dialects[] = {
	/* The OpenAPI document (createFile, createBatch) and the guide "Batch API". */
	{ .name = DIALECT_DEFAULT, BEARER, .windows = "24h", INPUT_LIVES(3600), OUTPUT_LIVES(3600), HOLDS(50000, 200, 50000),
	  .batches_per_hour = 2000, .uploads_per_minute = 1000, POLLED_EVERY(5) },
	/* Microsoft Learn, "Getting started with Azure OpenAI batch deployments". A model is the name of a deployment. */
	{ .name = "azure", AZURE },
	/* The same before "v1": the version in the query, urls without one. This version is the last that is no preview. */
	{ .name = "azure-dated", AZURE, .query = "api-version=2024-10-21", .url_prefix = "" },
	/* console.groq.com/docs/batch; and groq-python, whose batches.list() takes no parameters. */
	{ .name = "groq", BEARER, .endpoints = CHAT, .windows = "24h..7d", INPUT_LIVES(3600), HOLDS(50000, 100, 50000),
	  .list = DIALECT_LIST_ONE_PAGE, POLLED_EVERY(5) },
	/* Alibaba Cloud Model Studio, "OpenAI compatible - Batch". */
	{ .name = "dashscope", BEARER, .endpoints = CHAT " " EMBEDDING " /v1/chat/ds-test", .windows = "24h..14d",
	  INPUT_LIVES(3600), HOLDS(50000, 500, 50000), .max_batches = 1000, .lists_per_minute = 100, POLLED_EVERY(60) },
	/* platform.kimi.ai/docs, "Batch API". */
	{ .name = "kimi", BEARER, .endpoints = CHAT, .windows = "12h..7d", INPUT_LIVES(3600), HOLDS(50000, 100, 50000),
	  POLLED_EVERY(10) },
	/* docs.bigmodel.cn, "Batch API": its window is deprecated, and unless told otherwise it deletes the input. */
	{ .name = "zhipu", BEARER, .url_prefix = "/v4", .endpoints = CHAT " " EMBEDDING, .windows = "omit",
	  .create_extra = "{\"auto_delete_input_file\":false}", INPUT_LIVES(3600), HOLDS(50000, 100, 10000), POLLED_EVERY(5) },
	/* docs.siliconflow.cn, "Batch"; it states no limits. */
	{ .name = "siliconflow", BEARER, .endpoints = CHAT, .windows = "24h..14d", INPUT_LIVES(3600), HOLDS(50000, 200, 50000),
	  POLLED_EVERY(5) },
	/* novita.ai/docs, "Batch API"; its pages differ in whether the window is 24 or 48 hours. */
	{ .name = "novita", BEARER, .windows = "24h 48h", INPUT_LIVES(3600), HOLDS(50000, 200, 50000), POLLED_EVERY(5) },
	/* deepinfra.com/docs, "Batch". */
	{ .name = "deepinfra", BEARER, .endpoints = CHAT " /v1/completions " EMBEDDING, .windows = "24h", INPUT_LIVES(3600),
	  OUTPUT_LIVES(3600), HOLDS(50000, 200, 50000), .max_batches = 100, POLLED_EVERY(5) },
	/* github.com/doublewordai/control-layer, config.yaml: endpoints and windows are set by whoever runs it. */
	{ .name = "doubleword", BEARER, .windows = "24h 1h background", INPUT_LIVES(3600), HOLDS(50000, 100, 50000),
	  POLLED_EVERY(5) },
	/* docs.perplexity.ai, "Batch": an upload with expires_after is refused. */
	{ .name = "perplexity", BEARER, .windows = "24h", .upload_expiry = DIALECT_EXPIRY_NONE, HOLDS(50000, 200, 50000),
	  POLLED_EVERY(5) },
	/* inference-docs.cerebras.ai, "Batch" (a private preview). */
	{ .name = "cerebras", BEARER, .endpoints = CHAT, .windows = "24h", INPUT_LIVES(3600), HOLDS(50000, 200, 50000),
	  POLLED_EVERY(5) },
	/* docs.tokenfactory.nebius.com, "Batch inference": the official form. */
	{ .name = "nebius", BEARER, .windows = "24h", INPUT_LIVES(3600), HOLDS(50000, 200, 50000), POLLED_EVERY(5) },
	/* github.com/llm-d, batch-gateway, internal/shared/openai: a window is any duration that Go can read. */
	{ .name = "llm-d", BEARER, .endpoints = CHAT " /v1/responses /v1/completions " EMBEDDING " /v1/moderations",
	  .windows = "any", INPUT_LIVES(3600), HOLDS(50000, 200, 50000), POLLED_EVERY(5) },
	/*
	 * github.com/vllm-project/aibrix, docs/source/features/batch-api.rst. A create needs {"aibrix":{"model_template":{"name":...}}},
	 * which only the configuration knows.
	 */
	{ .name = "aibrix", BEARER, .windows = "24h 1h 4h best_effort", .needs_extra = true, INPUT_LIVES(3600), HOLDS(50000, 200, 50000),
	  POLLED_EVERY(5) },
	/* github.com/ogx-ai/ogx (once llama-stack): the official form. */
	{ .name = "ogx", BEARER, .windows = "24h", INPUT_LIVES(3600), HOLDS(50000, 200, 50000), POLLED_EVERY(5) },
	/* docs.litellm.ai, "Batches API": what the provider behind it takes. */
	{ .name = "litellm", BEARER, .windows = "24h", INPUT_LIVES(3600), OUTPUT_LIVES(3600), HOLDS(50000, 200, 50000),
	  POLLED_EVERY(5) },
};
/* clang-format on */

/* Whole hours, from "24h" or "7d"; -1 for anything else. */
static int64_t hours_in(const char *text, size_t size)
{
	int64_t hours = 0;

	if (size < 2 || size > 6)
		return -1;
	for (size_t i = 0; i + 1 < size; i++) {
		if (text[i] < '0' || text[i] > '9')
			return -1;
		hours = hours * 10 + (text[i] - '0');
	}
	return text[size - 1] == 'h' ? hours : text[size - 1] == 'd' ? hours * 24 : -1;
}

/* The next word between blanks; false after the last. */
static bool next_word(const char **at, size_t *ret_size)
{
	*at += strspn(*at, " ");
	*ret_size = strcspn(*at, " ");
	return *ret_size > 0;
}

static bool word_is(const char *word, size_t size, const char *text)
{
	return strlen(text) == size && memcmp(word, text, size) == 0;
}

/* The two ends of a range; false: the word is none. */
static bool read_range(const char *word, size_t size, int64_t *ret_low, int64_t *ret_high)
{
	const char *dots = memmem(word, size, "..", 2);
	size_t left = dots ? (size_t)(dots - word) : 0;

	if (!dots)
		return false;
	*ret_low = hours_in(word, left);
	*ret_high = hours_in(dots + 2, size - left - 2);
	return true;
}

static bool window_fits(const char *word, size_t size, const char *wanted)
{
	int64_t low, high, hours = hours_in(wanted, strlen(wanted));

	if (!read_range(word, size, &low, &high))
		return word_is(word, size, wanted);
	return hours >= low && hours <= high;
}

static bool is_taken(const char *windows, const char *wanted)
{
	size_t size;

	for (const char *at = windows; next_word(&at, &size); at += size)
		if (window_fits(at, size, wanted))
			return true;
	return false;
}

const struct dialect *dialect_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
		if (strcmp(dialects[i].name, name) == 0)
			return &dialects[i];
	return NULL;
}

const struct dialect *dialect_at(size_t index)
{
	return index < ARRAY_SIZE(dialects) ? &dialects[index] : NULL;
}

char *dialect_names(void)
{
	struct buffer names = { 0 };

	for (size_t i = 0; i < ARRAY_SIZE(dialects); i++)
		buffer_add_format(&names, "%s%s", i ? ", " : "", dialects[i].name);
	(void)buffer_text(&names);
	return names.data;
}

char *dialect_window(const char *windows, const char *wanted)
{
	const char *first = windows;
	size_t size = 0;

	if (strcmp(windows, "omit") == 0)
		return NULL;
	if (strcmp(windows, "any") == 0 || is_taken(windows, wanted))
		return xstrdup(wanted);
	if (is_taken(windows, USUAL_WINDOW))
		return xstrdup(USUAL_WINDOW);
	(void)next_word(&first, &size);
	/* Of a range, its lower end. */
	for (size_t i = 0; i < size; i++)
		if (first[i] == '.')
			size = i;
	return xmemdup0(first, size);
}

bool dialect_windows_are_right(const char *windows)
{
	const char *at = windows;
	int64_t low, high;
	size_t size, count = 0;

	for (; next_word(&at, &size); at += size, count++) {
		if (read_range(at, size, &low, &high) ? low < 0 || high < low : size > 32)
			return false;
		if (count && (word_is(at, size, "any") || word_is(at, size, "omit")))
			return false;
	}
	return count > 0;
}

bool dialect_takes(const char *endpoints, const char *url)
{
	size_t size;

	if (!endpoints)
		return true;
	for (const char *at = endpoints; next_word(&at, &size); at += size)
		if (word_is(at, size, url))
			return true;
	return false;
}

char *dialect_url(const char *url_prefix, const char *url)
{
	size_t size = strlen(OFFICIAL_PREFIX);

	if (!url_prefix || strncmp(url, OFFICIAL_PREFIX "/", size + 1) != 0)
		return xstrdup(url);
	return xasprintf("%s%s", url_prefix, url + size);
}

int64_t dialect_url_growth(const char *url_prefix)
{
	return url_prefix ? (int64_t)strlen(url_prefix) - (int64_t)strlen(OFFICIAL_PREFIX) : 0;
}
