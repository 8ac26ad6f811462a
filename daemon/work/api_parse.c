#include "daemon/work/api_parse.h"

#include <ctype.h>
#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/utf8.h"

#define MAX_DEPTH 64
#define MAX_ID 4096   /* the longest seen in the field are 1.5 kB */
#define MAX_WORDS 400 /* of a provider's message */
#define MAX_CODE 64

static inline void cleanup_json(struct json_object **object)
{
	json_object_put(*object);
}
#define auto_json __attribute__((cleanup(cleanup_json))) struct json_object

/* clang-format off */
static const struct {
	const char *word;
	enum api_status status;
} statuses[] = {
	{ "validating",        API_STATUS_VALIDATING  },
	{ "pending",           API_STATUS_VALIDATING  },
	{ "queued",            API_STATUS_VALIDATING  },
	{ "in_queue",          API_STATUS_VALIDATING  },
	{ "scheduling",        API_STATUS_VALIDATING  },
	{ "pre_schedule",      API_STATUS_VALIDATING  },
	{ "in_progress",       API_STATUS_IN_PROGRESS },
	{ "progress",          API_STATUS_IN_PROGRESS },
	{ "running",           API_STATUS_IN_PROGRESS },
	{ "finalizing",        API_STATUS_FINALIZING  },
	{ "completed",         API_STATUS_COMPLETED   },
	{ "success",           API_STATUS_COMPLETED   },
	{ "succeeded",         API_STATUS_COMPLETED   },
	{ "ended",             API_STATUS_COMPLETED   },
	{ "failed",            API_STATUS_FAILED      },
	{ "expired",           API_STATUS_EXPIRED     },
	{ "timeout_exceeded",  API_STATUS_EXPIRED     },
	{ "cancelling",        API_STATUS_CANCELLING  },
	{ "canceling",         API_STATUS_CANCELLING  },
	{ "cancelled",         API_STATUS_CANCELLED   },
	{ "canceled",          API_STATUS_CANCELLED   },
};

/* Members that servers wrap an object in. */
static const char *const wrappers[] = { "job", "data" };
/* clang-format on */

static struct json_object *member(struct json_object *object, const char *name)
{
	struct json_object *value = NULL;

	if (json_object_is_type(object, json_type_object))
		(void)json_object_object_get_ex(object, name, &value);
	return value;
}

static struct json_object *parse(const char *json, size_t size)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	struct json_object *object = NULL;

	if (!tokener)
		abort();
	if (size <= INT32_MAX)
		object = json_tokener_parse_ex(tokener, json, (int)size);
	if (object && json_tokener_get_error(tokener) != json_tokener_success) {
		json_object_put(object);
		object = NULL;
	}
	json_tokener_free(tokener);
	return object;
}

/* A member's text; NULL where it is absent, null, "", too long, no UTF-8 or of another type. Numbers count where a server writes codes as such. */
static char *text_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);
	const char *text;

	if (!json_object_is_type(value, json_type_string) && !json_object_is_type(value, json_type_int))
		return NULL;
	text = json_object_get_string(value);
	if (!text || !*text || strlen(text) > MAX_ID || !utf8_is_valid(text))
		return NULL;
	return xstrdup(text);
}

static int64_t integer_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);
	int64_t number;

	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return -1;
	number = json_object_get_int64(value);
	return number >= 0 ? number : -1;
}

/* A code is a word; it goes to the journal, where nobody's sentences may stand (G8). */
static char *code_of(struct json_object *object, const char *name)
{
	auto_free char *text = text_of(object, name);
	size_t size = text ? strlen(text) : 0;

	if (!size || size > MAX_CODE)
		return NULL;
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("_-.:/", text[i]))
			return NULL;
	return take(text);
}

static int64_t time_of_number(double number)
{
	if (!(number > 0 && number < 1e14))
		return 0;
	return (int64_t)(number < 1e11 ? number * 1000 : number);
}

/*
 * ISO 8601 with a zone. Without one the time is not known: taken for another zone's, a young batch would look
 * hours old, and a search that ends at what is old would miss it.
 */
static int64_t time_of_text(const char *text)
{
	struct tm parts = { 0 };
	const char *rest = strptime(text, "%Y-%m-%d", &parts);
	int hours = 0, minutes = 0;
	char *end;
	double number;

	if (!rest) {
		number = strtod(text, &end);
		return *text && !*end ? time_of_number(number) : 0;
	}
	if (*rest != 'T' && *rest != ' ')
		return 0;
	rest = strptime(rest + 1, "%H:%M:%S", &parts);
	if (!rest)
		return 0;
	if (*rest == '.')
		rest += 1 + strspn(rest + 1, "0123456789");
	if (*rest == '+' || *rest == '-') {
		if (sscanf(rest + 1, "%2d%*[:]%2d", &hours, &minutes) < 2 &&
		    sscanf(rest + 1, "%2d%2d", &hours, &minutes) < 1)
			return 0;
		if (*rest == '-') {
			hours = -hours;
			minutes = -minutes;
		}
	} else if (*rest != 'Z' && *rest != 'z') {
		return 0;
	}
	return ((int64_t)timegm(&parts) - hours * 3600 - minutes * 60) * 1000;
}

/* Seconds, milliseconds (13 digits), floats, any of these as text, or ISO 8601 text. */
static int64_t time_of(struct json_object *object, const char *name)
{
	struct json_object *value = member(object, name);

	if (json_object_is_type(value, json_type_string))
		return time_of_text(json_object_get_string(value));
	if (!json_object_is_type(value, json_type_int) && !json_object_is_type(value, json_type_double))
		return 0;
	return time_of_number(json_object_get_double(value));
}

/* Sentences go into JSON and the store, which hold UTF-8: of any other text only the ASCII is kept. */
static char *words(const char *text, size_t size)
{
	char *copy;

	while (size && isspace((unsigned char)*text)) {
		text++;
		size--;
	}
	if (size > MAX_WORDS) {
		size = MAX_WORDS;
		/* Not in mid-character. */
		while (size && ((unsigned char)text[size] & 0xc0) == 0x80)
			size--;
	}
	copy = xmemdup0(text, size);
	if (utf8_is_valid(copy))
		return copy;
	for (char *at = copy; *at; at++)
		if ((unsigned char)*at >= 0x80)
			*at = '?';
	return copy;
}

static char *words_of(struct json_object *value)
{
	const char *text = json_object_is_type(value, json_type_string) ? json_object_get_string(value) : "";

	return *text ? words(text, strlen(text)) : NULL;
}

/* errors: {"data": [...]}, an array of objects or of strings, one object, a string, null. */
static void read_errors(struct json_object *errors, struct api_batch *batch)
{
	struct json_object *list = member(errors, "data") ? member(errors, "data") : errors;
	struct json_object *first = list;

	if (json_object_is_type(list, json_type_array)) {
		batch->error_count = (int64_t)json_object_array_length(list);
		first = batch->error_count ? json_object_array_get_idx(list, 0) : NULL;
	}
	batch->error_code = code_of(first, "code");
	batch->error_param = text_of(first, "param");
	batch->error_message = words_of(json_object_is_type(first, json_type_object) ? member(first, "message") :
										       first);
	if (!batch->error_count && (batch->error_code || batch->error_message))
		batch->error_count = 1;
}

static void read_batch(struct json_object *object, struct api_batch *batch)
{
	struct json_object *counts = member(object, "request_counts");
	struct json_object *metadata = member(object, "metadata");

	*batch = (struct api_batch){
		.id = text_of(object, "id"),
		.status_text = text_of(object, "status"),
		.input_file_id = text_of(object, "input_file_id"),
		.output_file_id = text_of(object, "output_file_id"),
		.error_file_id = text_of(object, "error_file_id"),
		.completed = integer_of(counts, "completed"),
		.failed = integer_of(counts, "failed"),
		.created_at = time_of(object, "created_at"),
		.marker = text_of(metadata, API_MARKER_KEY),
		.has_metadata = json_object_is_type(metadata, json_type_object) &&
				json_object_object_length(metadata) > 0,
	};
	if (!batch->status_text)
		batch->status_text = xstrdup("-");
	batch->status = api_status_of(batch->status_text);
	read_errors(member(object, "errors"), batch);
}

/* The object that has the id: the answer itself, or what it is wrapped in. */
static struct json_object *unwrap(struct json_object *object)
{
	if (json_object_is_type(member(object, "id"), json_type_string))
		return object;
	for (size_t i = 0; i < ARRAY_SIZE(wrappers); i++) {
		struct json_object *inner = member(object, wrappers[i]);

		if (json_object_is_type(member(inner, "id"), json_type_string))
			return inner;
	}
	return object;
}

int api_parse_batch(const char *json, size_t size, struct api_batch *ret_batch, struct error *err)
{
	auto_json *object = parse(json, size);
	struct api_batch batch;

	if (!json_object_is_type(object, json_type_object))
		return error_set(err, -EBADMSG, "the provider's answer is no JSON object");
	read_batch(unwrap(object), &batch);
	if (!batch.id) {
		api_batch_release(&batch);
		return error_set(err, -EBADMSG, "the provider's answer is no batch: it has no id");
	}
	*ret_batch = batch;
	return 0;
}

int api_parse_file(const char *json, size_t size, struct api_file *ret_file, struct error *err)
{
	auto_json *object = parse(json, size);
	struct json_object *file;
	char *id;

	if (!json_object_is_type(object, json_type_object))
		return error_set(err, -EBADMSG, "the provider's answer is no JSON object");
	file = unwrap(object);
	id = text_of(file, "id");
	if (!id)
		return error_set(err, -EBADMSG, "the provider's answer is no file: it has no id");
	*ret_file = (struct api_file){
		.id = id,
		.bytes = integer_of(file, "bytes"),
		.status = text_of(file, "status"),
	};
	return 0;
}

int api_parse_list(const char *json, size_t size,
		   void (*visit)(const struct api_batch *batch, void *context), void *context,
		   int *ret_has_more, char **ret_last_id, struct error *err)
{
	auto_json *object = parse(json, size);
	struct json_object *list = json_object_is_type(object, json_type_array) ? object :
										  member(object, "data");
	struct json_object *more = member(object, "has_more");
	char *last_id = NULL;

	if (!json_object_is_type(list, json_type_array))
		return error_set(err, -EBADMSG, "the provider's answer is no list");
	for (size_t i = 0; i < json_object_array_length(list); i++) {
		struct api_batch batch;

		read_batch(json_object_array_get_idx(list, i), &batch);
		if (batch.id) {
			visit(&batch, context);
			free(last_id);
			last_id = xstrdup(batch.id);
		}
		api_batch_release(&batch);
	}
	*ret_has_more = json_object_is_type(more, json_type_boolean) ? json_object_get_boolean(more) : -1;
	*ret_last_id = last_id;
	return 0;
}

void api_parse_error(const char *body, size_t size, struct api_error *ret_error)
{
	auto_json *object = parse(body, size);
	struct json_object *inner = member(object, "error");
	struct json_object *source = json_object_is_type(inner, json_type_object) ? inner : object;
	static const char *const places[] = { "message", "detail", "error" };
	const char *text = NULL;

	*ret_error = (struct api_error){ .code = code_of(source, "code") };
	for (size_t i = 0; !text && i < ARRAY_SIZE(places); i++)
		if (json_object_is_type(member(source, places[i]), json_type_string))
			text = json_object_get_string(member(source, places[i]));
	if (json_object_is_type(object, json_type_string))
		text = json_object_get_string(object);
	/* Without a code, the type is the next best word. */
	if (!ret_error->code)
		ret_error->code = code_of(source, "type");
	ret_error->message = text ? words(text, strlen(text)) : words(body, size);
}

enum api_status api_status_of(const char *word)
{
	for (size_t i = 0; word && i < ARRAY_SIZE(statuses); i++)
		if (strcasecmp(statuses[i].word, word) == 0)
			return statuses[i].status;
	return API_STATUS_UNKNOWN;
}

bool api_status_is_terminal(enum api_status status)
{
	return status >= API_STATUS_COMPLETED;
}

void api_batch_release(struct api_batch *batch)
{
	free(batch->id);
	free(batch->status_text);
	free(batch->input_file_id);
	free(batch->output_file_id);
	free(batch->error_file_id);
	free(batch->marker);
	free(batch->error_code);
	free(batch->error_param);
	free(batch->error_message);
	*batch = (struct api_batch){ 0 };
}

void api_file_release(struct api_file *file)
{
	free(file->id);
	free(file->status);
	*file = (struct api_file){ 0 };
}

void api_error_release(struct api_error *error)
{
	free(error->code);
	free(error->message);
	*error = (struct api_error){ 0 };
}
