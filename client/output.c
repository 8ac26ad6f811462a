#include "client/output.h"

#include <errno.h>
#include <langinfo.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "client/exits.h"
#include "client/json.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"

#define JSON_FORM     (JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE)
#define LABEL_COLUMNS 12

static struct {
	bool is_json;
	bool is_quiet;
	bool is_utf8;
	bool is_coloured;
	bool has_bar;
} form;

/* clang-format off */
static const struct {
	unsigned first;
	unsigned last;
} commanding[] = {
	{ 0x00, 0x1f }, { 0x7f, 0x9f }, { 0x061c, 0x061c }, { 0x200b, 0x200f }, { 0x2028, 0x202e },
	{ 0x2060, 0x206f }, { 0xfeff, 0xfeff }, { 0xfff9, 0xfffb }, { 0xe0000, 0xe007f },
};
/* clang-format on */

/* The character that begins at text (RFC 3629); returns its bytes, 0 when there is none. */
static size_t decode(const char *text, size_t size, unsigned *ret_character)
{
	static const unsigned least[] = {0, 0, 0x80, 0x800, 0x10000};
	unsigned first = (unsigned char)*text;
	size_t length = first < 0x80   ? 1
			: first < 0xc2 ? 0
			: first < 0xe0 ? 2
			: first < 0xf0 ? 3
				       : 4;
	unsigned character = length == 1 ? first : first & (0xffu >> (length + 1));

	if (!length || length > size || first > 0xf4)
		return 0;
	for (size_t i = 1; i < length; i++) {
		if (((unsigned char)text[i] & 0xc0) != 0x80)
			return 0;
		character = character << 6 | ((unsigned char)text[i] & 0x3f);
	}
	if (character < least[length] || character > 0x10ffff ||
	    (character >= 0xd800 && character <= 0xdfff))
		return 0;
	*ret_character = character;
	return length;
}

static bool is_commanding(unsigned character)
{
	for (size_t i = 0; i < ARRAY_SIZE(commanding); i++)
		if (character >= commanding[i].first && character <= commanding[i].last)
			return true;
	return false;
}

static bool is_set(const char *variable)
{
	const char *value = getenv(variable);

	return value && *value;
}

static void erase_bar(void)
{
	if (form.has_bar)
		(void)fputs("\r\033[K", stderr);
	form.has_bar = false;
}

static void write_json(FILE *stream, struct json_object *object)
{
	(void)fprintf(stream, "%s\n", json_object_to_json_string_ext(object, JSON_FORM));
}

static void write_line(FILE *stream, const char *prefix, const char *text)
{
	auto_buffer line = {0};

	output_escape(&line, text, strlen(text), form.is_utf8);
	(void)fprintf(stream, "%s%s\n", prefix, buffer_text(&line));
}

static struct json_object *error_object(const char *code, const char *message, int64_t job)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "v", json_object_new_int(1));
	json_object_object_add(object, "error", json_object_new_string(code));
	json_object_object_add(object, "message", json_object_new_string(message));
	if (job)
		json_object_object_add(object, "job", json_object_new_int64(job));
	return object;
}

void output_init(bool is_json, bool is_quiet)
{
	bool is_terminal = isatty(STDOUT_FILENO) == 1;
	const char *terminal = getenv("TERM");

	form.is_json = is_json;
	form.is_quiet = is_quiet;
	/* A pipe gets the characters as they are; only a terminal can take them for commands. */
	form.is_utf8 = strcmp(nl_langinfo(CODESET), "UTF-8") == 0 ||
		       (!is_terminal && isatty(STDERR_FILENO) != 1);
	form.is_coloured = is_terminal && !is_set("NO_COLOR") && terminal && *terminal &&
			   strcmp(terminal, "dumb") != 0;
}

bool output_is_json(void)
{
	return form.is_json;
}

bool output_may_draw(void)
{
	const char *terminal = getenv("TERM");

	return !form.is_quiet && !form.is_json && isatty(STDERR_FILENO) == 1 && terminal &&
	       strcmp(terminal, "dumb") != 0;
}

bool output_is_utf8(void)
{
	return form.is_utf8;
}

void output_say(const char *format, ...)
{
	auto_free char *text = NULL;
	va_list arguments;

	if (form.is_quiet || form.is_json)
		return;
	va_start(arguments, format);
	text = xvasprintf(format, arguments);
	va_end(arguments);
	erase_bar();
	write_line(stderr, "batchctl: ", text);
}

int output_fail(int status, const char *code, int64_t job, const char *format, ...)
{
	auto_free char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = xvasprintf(format, arguments);
	va_end(arguments);
	erase_bar();
	if (form.is_json) {
		auto_json *object = error_object(code ? code : exits_code(status), text, job);

		write_json(stderr, object);
	} else if (job) {
		auto_free char *whole = xasprintf("job %lld: %s", (long long)job, text);

		write_line(stderr, "batchctl: ", whole);
	} else {
		write_line(stderr, "batchctl: ", text);
	}
	return status;
}

void output_flaw(FILE *stream, const struct output_flaw *flaw)
{
	erase_bar();
	if (form.is_json) {
		auto_json *object = error_object(flaw->code, flaw->message, flaw->job);

		json_object_object_add(object, "param",
				       flaw->param ? json_object_new_string(flaw->param) : NULL);
		json_object_object_add(object, "file", json_object_new_string(flaw->file));
		json_object_object_add(object, "line",
				       flaw->line ? json_object_new_int64(flaw->line) : NULL);
		write_json(stream, object);
	} else {
		auto_free char *text = flaw->line ? xasprintf("%s:%lld: %s", flaw->file,
							      (long long)flaw->line, flaw->message)
						  : xasprintf("%s: %s", flaw->file, flaw->message);

		write_line(stream, "", text);
	}
}

void output_json(struct json_object *object)
{
	json_object_object_add(object, "v", json_object_new_int(1));
	write_json(stdout, object);
}

void output_field(const char *label, const char *format, ...)
{
	auto_free char *text = NULL;
	auto_buffer value = {0};
	va_list arguments;

	va_start(arguments, format);
	text = xvasprintf(format, arguments);
	va_end(arguments);
	output_escape(&value, text, strlen(text), form.is_utf8);
	(void)printf("%*s: %s\n", LABEL_COLUMNS, label, buffer_text(&value));
}

void output_escape(struct buffer *buffer, const char *text, size_t size, bool is_utf8)
{
	size_t length;

	for (size_t at = 0; at < size; at += length) {
		unsigned character = 0;

		length = decode(text + at, size - at, &character);
		if (!length) {
			buffer_add_format(buffer, "\\x%02x", (unsigned char)text[at]);
			length = 1;
		} else if (character == '\n' || character == '\t') {
			buffer_add_text(buffer, character == '\n' ? "\\n" : "\\t");
		} else if (character < 0x20 || character == 0x7f) {
			buffer_add_format(buffer, "\\x%02x", character);
		} else if (is_commanding(character) || (character > 0x7f && !is_utf8)) {
			buffer_add_format(buffer, "\\u{%x}", character);
		} else {
			buffer_add(buffer, text + at, length);
		}
	}
}

size_t output_character(const char *text, size_t size, int *ret_columns)
{
	unsigned character = 0;
	size_t length = decode(text, size, &character);
	int columns = length && character > 0x7f ? wcwidth((wchar_t)character) : 1;

	if (ret_columns)
		*ret_columns = columns < 0 ? 1 : columns;
	return length ? length : 1;
}

size_t output_width(const char *text, size_t size)
{
	size_t width = 0;

	for (size_t at = 0; at < size;) {
		int columns;

		at += output_character(text + at, size - at, &columns);
		width += (size_t)columns;
	}
	return width;
}

const char *output_colour_on(enum output_colour colour)
{
	static const char *const begins[] = {
		[OUTPUT_PLAIN] = "",
		[OUTPUT_GOOD] = "\033[32m",
		[OUTPUT_BAD] = "\033[31m",
		[OUTPUT_BUSY] = "\033[33m",
	};

	return form.is_coloured ? begins[colour] : "";
}

const char *output_colour_off(enum output_colour colour)
{
	return form.is_coloured && colour != OUTPUT_PLAIN ? "\033[0m" : "";
}

size_t output_columns(FILE *stream)
{
	struct winsize size = {0};

	if (isatty(fileno(stream)) != 1)
		return 0;
	if (ioctl(fileno(stream), TIOCGWINSZ, &size) < 0 || !size.ws_col)
		return 80;
	return size.ws_col;
}

void output_bar(const char *text)
{
	if (!text) {
		erase_bar();
		return;
	}
	(void)fprintf(stderr, "\r%s\033[K", text);
	(void)fflush(stderr);
	form.has_bar = true;
}

int output_finish(int status)
{
	erase_bar();
	if (fflush(stdout) == 0 && !ferror(stdout))
		return status;
	/* A reader that has seen enough is no error worth a word. */
	if (errno == EPIPE)
		return EXIT_OTHER;
	return output_fail(EXIT_OTHER, NULL, 0, "cannot write to standard output: %s",
			   error_name(errno));
}
