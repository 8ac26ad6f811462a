#include "daemon/door/wish.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/base/utf8.h"
#include "daemon/door/visit.h"
#include "daemon/io/config.h"
#include "daemon/io/server.h"
#include "daemon/model/names.h"
#include "daemon/model/request.h"
#include "daemon/protocol.h"
#include "daemon/work/provider.h"

#define LABEL_LETTERS "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._/-"
#define DIGITS "0123456789"
#define WORD(number) WORD_OF(number)
#define WORD_OF(number) #number

void job_wish_release(struct job_wish *wish)
{
	free(wish->endpoint);
	free(wish->window);
	free(wish->metadata);
	free(wish->file_name);
	free(wish->provider);
	free(wish->providers);
	free(wish->labels);
	free(wish->model);
}

/* --- what the document has --- */

int wish_key(struct visit *visit)
{
	const char *key = exchange_header(visit->exchange, PROTOCOL_IDEMPOTENCY_HEADER);

	if (!key || (*key && strlen(key) <= PROTOCOL_MAX_KEY))
		return 0;
	visit_error(visit, 400, "invalid_value", NULL, "An Idempotency-Key has 1 to %d bytes.", PROTOCOL_MAX_KEY);
	return -EINVAL;
}

int wish_endpoint(struct visit *visit, const char *endpoint, struct job_wish *wish)
{
	if (!request_url_is_known(endpoint, strlen(endpoint))) {
		visit_error(visit, 400, "invalid_value", "endpoint",
			    "Invalid value: '%.100s'. Supported values are the endpoints of the Batch API, such as '%s'.",
			    endpoint, request_url(0));
		return -EINVAL;
	}
	wish->endpoint = xstrdup(endpoint);
	return 0;
}

int wish_window(struct visit *visit, const char *window, struct job_wish *wish)
{
	if (strcmp(window, PROTOCOL_WINDOW) != 0) {
		visit_error(visit, 400, "invalid_value", "completion_window",
			    "Invalid value: '%.100s'. Supported values are: '" PROTOCOL_WINDOW "'.", window);
		return -EINVAL;
	}
	wish->window = xstrdup(window);
	return 0;
}

/* Limits count characters, not bytes. */
static size_t characters(const char *text, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

int wish_metadata(struct visit *visit, struct json_object *metadata, struct job_wish *wish)
{
	if (!metadata)
		return 0;
	if (!json_object_is_type(metadata, json_type_object)) {
		visit_error(visit, 400, "invalid_type", "metadata", "Invalid type for 'metadata': expected an object.");
		return -EINVAL;
	}
	if (json_object_object_length(metadata) > PROTOCOL_MAX_METADATA) {
		visit_error(visit, 400, "object_above_max_properties", "metadata",
			    "Invalid 'metadata': at most %d pairs.", PROTOCOL_MAX_METADATA);
		return -EINVAL;
	}
	json_object_object_foreach(metadata, name, value) {
		auto_free char *param = xasprintf("metadata.%s", name);

		if (!json_object_is_type(value, json_type_string)) {
			visit_error(visit, 400, "invalid_type", param, "Invalid type for '%.200s': expected a string.",
				    param);
			return -EINVAL;
		}
		if (characters(name, strlen(name)) > PROTOCOL_MAX_METADATA_KEY ||
		    characters(json_object_get_string(value), (size_t)json_object_get_string_len(value)) >
			    PROTOCOL_MAX_METADATA_VALUE) {
			visit_error(visit, 400, "string_above_max_length", "metadata",
				    "Invalid 'metadata': keys have at most %d characters, values %d.",
				    PROTOCOL_MAX_METADATA_KEY, PROTOCOL_MAX_METADATA_VALUE);
			return -EINVAL;
		}
	}
	alloc_watch();
	wish->metadata = xstrdup(json_object_to_json_string_ext(metadata, JSON_C_TO_STRING_PLAIN));
	alloc_check();
	return 0;
}

/* --- what is ours: each reader says what is wrong with its text, or NULL --- */

static const char *read_invalid(const char *text, struct job_wish *wish)
{
	wish->skips_invalid = strcmp(text, "skip") == 0;
	return wish->skips_invalid || strcmp(text, "fail") == 0 ? NULL : "it must be 'fail' or 'skip'";
}

static const char *read_wrap(const char *text, struct job_wish *wish)
{
	wish->is_wrapped = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
	return wish->is_wrapped || strcmp(text, "0") == 0 || strcmp(text, "false") == 0 ? NULL : "it must be 0 or 1";
}

static bool has_control(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)text[i] < ' ' || text[i] == 0x7f)
			return true;
	return false;
}

/* It becomes a string of JSON as it stands, so it may hold nothing that would have to be escaped. */
static const char *read_model(const char *text, struct job_wish *wish)
{
	size_t size = strlen(text);

	if (!size || size > REQUEST_MAX_MODEL || has_control(text, size) || strpbrk(text, "\"\\") ||
	    !utf8_is_valid(text))
		return "a model's name has 1 to " WORD(REQUEST_MAX_MODEL) " bytes of UTF-8, without quotes, "
		       "backslashes and control characters";
	wish->model = xstrdup(text);
	return NULL;
}

static const char *read_ids(const char *text, struct job_wish *wish)
{
	wish->has_line_ids = strcmp(text, "line") == 0;
	return wish->has_line_ids ? NULL : "it must be 'line'";
}

static const char *read_attempts(const char *text, struct job_wish *wish)
{
	size_t digits = strspn(text, DIGITS);
	int64_t number = digits && digits <= 3 && !text[digits] ? strtol(text, NULL, 10) : 0;

	wish->max_attempts = number;
	return number >= 1 && number <= PROTOCOL_MAX_ATTEMPTS ? NULL :
								"it must be a whole number from 1 to " WORD(
									PROTOCOL_MAX_ATTEMPTS);
}

static const char *check_label(const char *name, struct json_object *value)
{
	size_t size = strlen(name);
	const char *text = json_object_get_string(value);

	if (!size || size > PROTOCOL_MAX_LABEL || strspn(name, LABEL_LETTERS) != size)
		return "a label's name has 1 to " WORD(
			PROTOCOL_MAX_LABEL) " letters, digits, '.', '_', '/' and '-'";
	if (!json_object_is_type(value, json_type_string))
		return "a label's value is a string";
	size = (size_t)json_object_get_string_len(value);
	if (characters(text, size) > PROTOCOL_MAX_LABEL || has_control(text, size))
		return "a label's value has at most " WORD(
			PROTOCOL_MAX_LABEL) " characters, and no control characters";
	return NULL;
}

static const char *read_labels(const char *text, struct job_wish *wish)
{
	auto_json *labels = json_parse(text, strlen(text));

	if (!json_object_is_type(labels, json_type_object))
		return "it is no JSON object";
	if (json_object_object_length(labels) > PROTOCOL_MAX_LABELS)
		return "there may be at most " WORD(PROTOCOL_MAX_LABELS) " labels";
	json_object_object_foreach(labels, name, value) {
		const char *wrong = check_label(name, value);

		if (wrong)
			return wrong;
	}
	alloc_watch();
	if (json_object_object_length(labels))
		wish->labels = xstrdup(json_object_to_json_string_ext(
			labels, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	alloc_check();
	return NULL;
}

/* clang-format off */
static const struct {
	const char *name;
	const char *(*read)(const char *text, struct job_wish *wish);
} choices[] = {
	{ "on_invalid",   read_invalid },
	{ "wrap",         read_wrap },
	{ "model",        read_model },
	{ "ids",          read_ids },
	{ "max_attempts", read_attempts },
	{ "labels",       read_labels },
};
/* clang-format on */

/* Each of them must be there, for a name that is misspelt would be found when it is needed most. */
static int check_providers(struct visit *visit, const struct job_wish *wish)
{
	struct names names = { .rest = wish->providers };

	while (names_next(&names)) {
		auto_free char *name = names_copy(&names);

		if (providers_find(visit->door->parts.providers, name))
			continue;
		visit_error(visit, 400, "invalid_value", "provider", "There is no provider '%.100s'.", name);
		return -EINVAL;
	}
	return 0;
}

/* Where none is asked for, a job has the default, and the routes of its models: another one makes no other submission. */
static int read_providers(struct visit *visit, const char *text, struct job_wish *wish)
{
	struct names names = { 0 };
	struct error err = { 0 };

	if (!text) {
		wish->provider = xstrdup(providers_at(visit->door->parts.providers, 0)->config->name);
		return 0;
	}
	if (names_read(text, &wish->providers, &err)) {
		visit_error(visit, 400, "invalid_value", "provider", "Invalid 'provider': %s.", err.text);
		return -EINVAL;
	}
	names.rest = wish->providers;
	(void)names_next(&names);
	wish->provider = names_copy(&names);
	return check_providers(visit, wish);
}

int wish_choices(struct visit *visit, struct job_wish *wish)
{
	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		const char *text = exchange_query(visit->exchange, choices[i].name);
		const char *wrong = text ? choices[i].read(text, wish) : NULL;

		if (!wrong)
			continue;
		visit_error(visit, 400, "invalid_value", choices[i].name, "Invalid '%s': %s.", choices[i].name, wrong);
		return -EINVAL;
	}
	if (wish->model && !wish->is_wrapped) {
		visit_error(visit, 400, "invalid_value", "model",
			    "Invalid 'model': it is for wrapped lines (wrap=1); others name their own.");
		return -EINVAL;
	}
	/* A bare body has no place for an id. */
	wish->has_line_ids |= wish->is_wrapped;
	if (wish_order(visit, wish))
		return -EINVAL;
	return read_providers(visit, exchange_query(visit->exchange, "provider"), wish);
}

/* --- all of it --- */

/* Nothing where nothing was asked for, so that a submission is known again that was made before there was an order. */
static void add_order(struct hash_sha256 *sha256, const struct wish_order *order)
{
	const int64_t numbers[] = { order->priority - JOB_PRIORITY, order->begin_at, order->after_job, order->deadline_ms,
				    order->is_on_hold, order->budget_tokens, order->budget_cost };
	static const int64_t nothing[ARRAY_SIZE(numbers)];

	if (memcmp(numbers, nothing, sizeof(numbers)) != 0)
		hash_sha256_add(sha256, numbers, sizeof(numbers));
}

void wish_digest(const struct job_wish *wish, int64_t file, const uint8_t fingerprint[16], uint8_t ret_digest[32])
{
	struct hash_sha256 *sha256 = hash_sha256_new();
	const char *const texts[] = { wish->endpoint, wish->window, wish->metadata, wish->file_name,
				      wish->providers, wish->labels, wish->model };
	const int64_t numbers[] = { wish->output_expires_s, file, wish->max_attempts, wish->skips_invalid,
				    wish->is_wrapped, wish->has_line_ids };

	/* The NUL between them keeps "ab" + "c" apart from "a" + "bc". */
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		hash_sha256_add(sha256, texts[i] ? texts[i] : "\1", texts[i] ? strlen(texts[i]) + 1 : 2);
	hash_sha256_add(sha256, numbers, sizeof(numbers));
	add_order(sha256, &wish->order);
	hash_sha256_add(sha256, fingerprint, HASH_BODY_SIZE);
	hash_sha256_finish(sha256, ret_digest);
	hash_sha256_free(sha256);
}

void wish_job(const struct job_wish *wish, int64_t now, struct job *ret_job)
{
	const struct wish_order *order = &wish->order;

	*ret_job = (struct job){
		.endpoint = wish->endpoint,
		.window = wish->window,
		.metadata = wish->metadata,
		.file_name = wish->file_name,
		.provider = wish->provider,
		.providers = wish->providers,
		.labels = wish->labels,
		.model = wish->model,
		.output_expires_s = wish->output_expires_s,
		.max_attempts = wish->max_attempts,
		.skips_invalid = wish->skips_invalid,
		.is_wrapped = wish->is_wrapped,
		.has_line_ids = wish->has_line_ids,
		.priority = order->priority,
		.begin_at = order->begin_at,
		.after_job = order->after_job,
		.deadline_at = order->deadline_ms ? now + order->deadline_ms : 0,
		.is_on_hold = order->is_on_hold,
		.budget_tokens = order->budget_tokens,
		.budget_cost = order->budget_cost,
	};
}
