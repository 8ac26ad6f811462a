#include "daemon/work/api_words.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/utf8.h"

#define MAX_WORDS 400
#define MAX_CODE 64
#define MAX_DECODED ((size_t)64 << 10) /* a text that is longer is shown as it is written */

/* clang-format off */
static const char *const too_large_codes[] = {
	"batch_too_large", "content_too_large", "file_size_exceeded", "file_size_limit_exceeded", "file_too_large",
	"input_file_too_large", "max_file_size_exceeded", "payload_too_large", "request_entity_too_large",
	"request_too_large", "too_large", "too_many_lines", "too_many_tasks",
};

static const char *const elsewhere_codes[] = {
	"DeploymentNotFound", "invalid_url", "model_not_found", "model_not_supported", "url_not_found",
};

struct word_pair {
	const char *part;
	const char *other;
};

static const struct word_pair elsewhere_words[] = {
	{ "model", "does not exist" },
	{ "model", "not found" },
	{ "model", "is not supported by" },
	{ "url",   "is not supported by" },
};

/*
 * Both parts must stand in the message. "max_tokens is too large" is no word about the file, nor
 * are requests a minute.
 */
static const struct word_pair too_large_words[] = {
	{ "file is too large",             "" },
	{ "file too large",                "" },
	{ "batch is too large",            "" },
	{ "batch too large",               "" },
	{ "content too large",             "" },
	{ "entity too large",              "" },
	{ "payload too large",             "" },
	{ "file size",                     "exceed" },
	{ "maximum file size",             "" },
	{ "too many lines in",             "" },
	{ "too many requests in",          "" },
	{ "too many tokens in",            "" },
	{ "number of embedding inputs in", "exceed" },
	{ "number of lines in",            "exceed" },
	{ "number of requests in",         "exceed" },
	{ "number of tokens in",           "exceed" },
};
/* clang-format on */

char *api_words(const char *text, size_t size)
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

char *api_code(const char *text)
{
	size_t size = text ? strlen(text) : 0;

	if (!size || size > MAX_CODE)
		return NULL;
	for (size_t i = 0; i < size; i++)
		if (!isalnum((unsigned char)text[i]) && !strchr("_-.:/", text[i]))
			return NULL;
	return xstrdup(text);
}

bool api_says_full(const char *code, const char *message)
{
	return (code && strcmp(code, "token_limit_exceeded") == 0) ||
	       (message && strcasestr(message, "enqueued token"));
}

static bool has_code(const char *const *codes, size_t count, const char *code)
{
	for (size_t i = 0; code && i < count; i++)
		if (strcmp(code, codes[i]) == 0)
			return true;
	return false;
}

static bool has_words(const struct word_pair *pairs, size_t count, const char *message)
{
	for (size_t i = 0; message && i < count; i++)
		if (strcasestr(message, pairs[i].part) && strcasestr(message, pairs[i].other))
			return true;
	return false;
}

bool api_says_too_large(const char *code, const char *message)
{
	return has_code(too_large_codes, ARRAY_SIZE(too_large_codes), code) ||
	       has_words(too_large_words, ARRAY_SIZE(too_large_words), message);
}

bool api_says_elsewhere(const char *code, const char *message)
{
	return has_code(elsewhere_codes, ARRAY_SIZE(elsewhere_codes), code) ||
	       has_words(elsewhere_words, ARRAY_SIZE(elsewhere_words), message);
}

static void scan_leniently(struct scan *scan, const char *json, size_t size)
{
	scan_init(scan, json, size);
	scan->is_surrogate_tolerant = true;
}

char *api_mend(const char *json, size_t size)
{
	struct scan scan;
	char *copy;

	scan_leniently(&scan, json, size);
	if (scan_value(&scan, NULL, NULL) == 0)
		return NULL;
	copy = xmemdup0(json, size);
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)copy[i] >= 0x80)
			copy[i] = '?';
	return copy;
}

/* --- the errors of a batch --- */

/* A text or a number, decoded; NULL for what is neither, or empty. */
static char *text_in(const char *bytes, enum scan_kind kind, struct scan_span span)
{
	auto_free char *text = NULL;
	size_t size = span.size;

	if ((kind != SCAN_STRING && kind != SCAN_NUMBER) || !size)
		return NULL;
	if (size > MAX_DECODED)
		return xmemdup0(bytes + span.at, MAX_DECODED);
	text = xmalloc(size);
	if (kind == SCAN_STRING)
		size = scan_decode(bytes, span, text);
	else
		memcpy(text, bytes + span.at, size);
	return size ? xmemdup0(text, size) : NULL;
}

/* Some write the line's number as a text. */
static int64_t line_in(const char *bytes, enum scan_kind kind, struct scan_span span)
{
	int64_t line = 0;

	if ((kind != SCAN_NUMBER && kind != SCAN_STRING) || scan_integer(bytes, span, &line) || line < 0)
		return 0;
	return line;
}

static void set_text(char **text, char *value)
{
	free(*text);
	*text = value;
}

static char *sentence_of(char *text)
{
	char *words = text ? api_words(text, strlen(text)) : NULL;

	free(text);
	if (words && !*words)
		free(take(words));
	return words;
}

static char *code_of(char *text)
{
	char *code = api_code(text);

	free(text);
	return code;
}

static char *param_of(char *text)
{
	if (text && strlen(text) <= API_MAX_ID)
		return text;
	free(text);
	return NULL;
}

static int read_members(struct scan *scan, struct api_flaw *flaw)
{
	struct scan_span name;
	int r = scan_enter_object(scan);

	while (r == 0 && (r = scan_next_member(scan, &name)) > 0) {
		struct scan_span span;
		enum scan_kind kind;

		r = scan_value(scan, &kind, &span);
		if (r)
			break;
		if (scan_text_is(scan->bytes, name, "line"))
			flaw->line = line_in(scan->bytes, kind, span);
		else if (scan_text_is(scan->bytes, name, "code"))
			set_text(&flaw->code, code_of(text_in(scan->bytes, kind, span)));
		else if (scan_text_is(scan->bytes, name, "param"))
			set_text(&flaw->param, param_of(text_in(scan->bytes, kind, span)));
		else if (scan_text_is(scan->bytes, name, "message") && kind == SCAN_STRING)
			set_text(&flaw->message, sentence_of(text_in(scan->bytes, kind, span)));
	}
	return r;
}

/* An entry is an object, or a text; anything else is one without words. */
static int read_flaw(struct scan *scan, struct api_flaw *flaw)
{
	struct scan_span span;
	enum scan_kind kind;

	if (scan_peek(scan, &kind))
		return -1;
	if (kind == SCAN_OBJECT)
		return read_members(scan, flaw);
	if (scan_value(scan, NULL, &span))
		return -1;
	if (kind == SCAN_STRING)
		flaw->message = sentence_of(text_in(scan->bytes, kind, span));
	return 0;
}

/*
 * The text of the member "data" of an object, unless it is null. Its own text where there is none.
 */
static void find_list(const char **value, size_t *size)
{
	struct scan scan;
	struct scan_span name;

	scan_leniently(&scan, *value, *size);
	if (scan_enter_object(&scan))
		return;
	while (scan_next_member(&scan, &name) > 0) {
		bool is_data = scan_text_is(scan.bytes, name, "data");
		enum scan_kind kind;
		size_t start;

		if (scan_peek(&scan, &kind))
			return;
		start = scan.at;
		if (scan_value(&scan, NULL, NULL))
			return;
		if (!is_data || kind == SCAN_NULL)
			continue;
		*value += start;
		*size = scan.at - start;
		return;
	}
}

void api_errors_init(struct api_errors *errors, const char *value, size_t size)
{
	enum scan_kind kind = SCAN_NULL;

	find_list(&value, &size);
	*errors = (struct api_errors){ 0 };
	scan_leniently(&errors->scan, value, size);
	errors->is_ended = scan_peek(&errors->scan, &kind) || kind == SCAN_NULL;
	errors->is_list = kind == SCAN_ARRAY;
	if (errors->is_list)
		errors->is_ended = scan_enter_array(&errors->scan) != 0;
}

int api_errors_next(struct api_errors *errors, struct api_flaw *ret_flaw)
{
	struct api_flaw flaw = { 0 };

	if (errors->is_ended)
		return 0;
	if (errors->is_list && scan_next_element(&errors->scan) <= 0) {
		errors->is_ended = true;
		return 0;
	}
	errors->is_ended = !errors->is_list;
	if (ret_flaw ? read_flaw(&errors->scan, &flaw) : scan_value(&errors->scan, NULL, NULL)) {
		errors->is_ended = true;
		api_flaw_release(&flaw);
		return 0;
	}
	/*
	 * An object, or a text, that says nothing is no reason; an entry of a list is one whatever
	 * it says.
	 */
	if (!errors->is_list && ret_flaw && !flaw.code && !flaw.message) {
		api_flaw_release(&flaw);
		return 0;
	}
	if (ret_flaw)
		*ret_flaw = flaw;
	return 1;
}

void api_flaw_release(struct api_flaw *flaw)
{
	free(flaw->code);
	free(flaw->message);
	free(flaw->param);
	*flaw = (struct api_flaw){ 0 };
}
