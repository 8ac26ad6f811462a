#include "client/submission.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <json-c/json.h>

#include "client/connection.h"
#include "client/exits.h"
#include "client/input.h"
#include "client/options.h"
#include "client/output.h"
#include "client/repeat.h"
#include "client/source.h"
#include "client/survey.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/model/price.h"
#include "daemon/model/request.h"
#include "daemon/protocol.h"

#define DEFAULT_ENDPOINT "/v1/chat/completions"
#define LATE_S 60 /* a begin that has just passed is now */

static bool is_word(const char *text, const char *word)
{
	return text && strcmp(text, word) == 0;
}

/* The known endpoint that the first line asks for; NULL where it cannot be told. */
static const char *guess_endpoint(const struct options *options, struct source *source)
{
	struct source_line line;
	struct request_flaw flaw;
	struct request request;
	int result;

	if (source_next(source, &line, NULL) <= 0 || line.is_too_long)
		return NULL;
	result = is_word(options->id_from, "line")
			 ? request_parse_numbered(line.bytes, line.size, &request, &flaw)
			 : request_parse(line.bytes, line.size, &request, &flaw);
	for (size_t i = 0; result == 0 && request_url(i); i++)
		if (scan_text_is(line.bytes, request.url, request_url(i)))
			return request_url(i);
	return NULL;
}

/* "K=V" pairs as members. */
static void add_pairs(struct json_object *object, const char *const *pairs, size_t count)
{
	for (size_t i = 0; i < count; i++) {
		size_t size = strcspn(pairs[i], "=");
		auto_free char *key = xmemdup0(pairs[i], size);

		json_object_object_add(object, key, json_object_new_string(pairs[i] + size + 1));
	}
}

static void add_object(char **path, const char *name, struct json_object *object)
{
	if (json_object_object_length(object))
		connection_query(path, name,
				 json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN));
}

/* The door takes UTF-8 up to a length, but a file may be called anything. NULL: it has no name. */
static char *make_file_name(const char *name)
{
	auto_buffer plain = {0};
	size_t size;

	if (!name)
		return NULL;
	output_escape(&plain, name, strlen(name), true);
	size = plain.size < PROTOCOL_MAX_FILE_NAME ? plain.size : PROTOCOL_MAX_FILE_NAME;
	while (size < plain.size && ((unsigned char)plain.data[size] & 0xc0) == 0x80)
		size--;
	return xmemdup0(buffer_text(&plain), size);
}

static int check_name(const struct options *options)
{
	auto_free char *name = options->name ? xasprintf("name=%s", options->name) : NULL;
	struct error err;
	size_t size;

	if (name && words_metadata(name, &size, &err) < 0)
		return output_fail(EXIT_USAGE, NULL, 0, "--name: %s", err.text);
	if (name && options->metadata_count == PROTOCOL_MAX_METADATA)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "more than %d pairs of metadata, with --name",
				   PROTOCOL_MAX_METADATA);
	return 0;
}

int submission_check_lines(const struct options *options)
{
	if (options->endpoint &&
	    !request_url_is_known(options->endpoint, strlen(options->endpoint)))
		return output_fail(EXIT_USAGE, NULL, 0, "%s is not an endpoint of the Batch API",
				   options->endpoint);
	if (options->model && !options->wraps)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "--model is for --wrap: other lines name their own");
	if (options->model && words_model(options->model) < 0)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "a --model has 1 to %d bytes of UTF-8, without quotes, "
				   "backslashes and control characters",
				   REQUEST_MAX_MODEL);
	if (options->id_from && !is_word(options->id_from, "line") &&
	    !is_word(options->id_from, "custom_id"))
		return output_fail(EXIT_USAGE, NULL, 0, "--id-from is line or custom_id, not %s",
				   options->id_from);
	if (options->wraps && is_word(options->id_from, "custom_id"))
		return output_fail(EXIT_USAGE, NULL, 0,
				   "with --wrap lines have no custom_id to take");
	return 0;
}

/* A number of digits alone, up to most. */
static bool is_number(const char *text, int64_t most)
{
	int64_t number = 0;

	return strcmp(text, "0") == 0 || (words_count(text, &number) == 0 && number <= most);
}

int submission_check_bounds(const struct options *options)
{
	int64_t cost;

	if (options->priority && !is_number(options->priority, PROTOCOL_MAX_PRIORITY))
		return output_fail(EXIT_USAGE, NULL, 0, "a --priority is 0 to %d, not %s", PROTOCOL_MAX_PRIORITY,
				   options->priority);
	if (options->max_tokens && !is_number(options->max_tokens, PROTOCOL_MAX_TOKENS))
		return output_fail(EXIT_USAGE, NULL, 0, "--max-tokens is a whole number, not %s", options->max_tokens);
	if (options->max_cost && price_parse(options->max_cost, &cost) < 0)
		return output_fail(EXIT_USAGE, NULL, 0, "--max-cost is an amount such as 2.50, not %s", options->max_cost);
	return 0;
}

static int check_order(const struct options *options)
{
	int64_t number, now = time(NULL);

	if (options->begin && words_moment(options->begin, now, &number) < 0)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "--begin: %s is no time such as 22:00, \"2026-12-01 08:00\" or +2h",
				   options->begin);
	/* With a key it may be the repeat of one that was in time. */
	if (options->begin && !options->key && number < now - LATE_S)
		return output_fail(EXIT_USAGE, NULL, 0, "--begin: %s has passed", options->begin);
	if (options->after && words_job(options->after, &number) < 0)
		return output_fail(EXIT_USAGE, NULL, 0, "--after: %s is not a job id", options->after);
	return submission_check_bounds(options);
}

int submission_check(const struct options *options)
{
	int status = repeat_check_key(options->key, "FILE", options->operand_count);

	if (!status)
		status = check_name(options);
	if (!status)
		status = submission_check_lines(options);
	if (!status)
		status = check_order(options);
	if (status)
		return status;
	if (options->on_invalid && !is_word(options->on_invalid, "fail") &&
	    !is_word(options->on_invalid, "skip"))
		return output_fail(EXIT_USAGE, NULL, 0, "--on-invalid is fail or skip, not %s",
				   options->on_invalid);
	if (options->max_attempts > PROTOCOL_MAX_ATTEMPTS)
		return output_fail(EXIT_USAGE, NULL, 0, "--max-attempts is 1 to %d",
				   PROTOCOL_MAX_ATTEMPTS);
	if (options->waits && options->skips_validation)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "--wait and --no-wait contradict each other");
	return 0;
}

void submission_rules(const struct options *options, struct survey_rules *ret_rules)
{
	*ret_rules = (struct survey_rules){
		.is_wrapped = options->wraps,
		.has_line_ids = options->wraps || is_word(options->id_from, "line"),
		.skips_invalid = is_word(options->on_invalid, "skip"),
		.endpoint = options->endpoint ? options->endpoint : DEFAULT_ENDPOINT,
		.model = options->model,
	};
	survey_official_limits(&ret_rules->limits);
}

struct submission_look submission_look(const struct options *options, const struct input *input)
{
	auto_with(source_free) struct source *source = source_new(input);
	struct submission_look look = {
		.endpoint = options->endpoint,
		.packing = source_packing(source),
	};

	if (!look.endpoint && !options->wraps)
		look.endpoint = guess_endpoint(options, source);
	if (!look.endpoint)
		look.endpoint = DEFAULT_ENDPOINT;
	return look;
}

static void add_number(char **path, const char *name, int64_t number, const char *unit)
{
	auto_free char *text = xasprintf("%" PRId64 "%s", number, unit);

	connection_query(path, name, text);
}

static void add_order(char **path, const struct options *options)
{
	int64_t number = 0;

	connection_query(path, "priority", options->priority);
	if (options->begin && words_moment(options->begin, time(NULL), &number) == 0)
		add_number(path, "begin", number, "");
	if (options->after && words_job(options->after, &number) == 0)
		add_number(path, "after", number, "");
	if (options->deadline_ms >= 0)
		add_number(path, "deadline", options->deadline_ms, "ms");
	connection_query(path, "hold", options->holds ? "1" : NULL);
	connection_query(path, "max_tokens", options->max_tokens);
	connection_query(path, "max_cost", options->max_cost);
}

char *submission_path(const struct options *options, const struct input *input,
		      const char *endpoint)
{
	auto_json *metadata = json_object_new_object();
	auto_json *labels = json_object_new_object();
	auto_free char *file_name = make_file_name(input->file_name);
	char attempts[WORDS_FIGURE];
	char *path = xstrdup(PROTOCOL_BATCHES);

	if (options->name)
		json_object_object_add(metadata, "name", json_object_new_string(options->name));
	add_pairs(metadata, options->metadata, options->metadata_count);
	add_pairs(labels, options->labels, options->label_count);
	(void)snprintf(attempts, sizeof(attempts), "%" PRId64, options->max_attempts);
	connection_query(&path, "endpoint", endpoint);
	connection_query(&path, "completion_window", PROTOCOL_WINDOW);
	connection_query(&path, "filename", file_name);
	connection_query(&path, "provider", options->provider);
	connection_query(&path, "on_invalid", options->on_invalid);
	connection_query(&path, "wrap", options->wraps ? "1" : NULL);
	connection_query(&path, "model", options->model);
	connection_query(&path, "ids", is_word(options->id_from, "line") ? "line" : NULL);
	connection_query(&path, "max_attempts", options->max_attempts ? attempts : NULL);
	add_order(&path, options);
	add_object(&path, "metadata", metadata);
	add_object(&path, "labels", labels);
	return path;
}
