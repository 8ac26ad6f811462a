/*
 * What batchctl says: data on stdout, talk and errors on stderr. Texts of strangers (names,
 * messages of a provider) pass through output_escape before they meet a terminal.
 */
#ifndef BATCHD_CLIENT_OUTPUT_H
#define BATCHD_CLIENT_OUTPUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct buffer;
struct json_object;

enum output_colour { OUTPUT_PLAIN, OUTPUT_GOOD, OUTPUT_BAD, OUTPUT_BUSY };

/* Chooses the forms: JSON or text, quiet or not; colour and glyphs by the streams and the locale.
 */
void output_init(bool is_json, bool is_quiet);

bool output_is_json(void);
/* Whether stderr is a terminal that may be drawn on: no -q, no -j. */
bool output_may_draw(void);
/* Whether glyphs outside ASCII may be shown. */
bool output_is_utf8(void);

/* Talk: one line on stderr, "batchctl: " before it. Dropped under -q and -j. */
void output_say(const char *format, ...) __attribute__((format(printf, 1, 2)));

/*
 * An error: one line on stderr, or with -j one object. code NULL: that of the status; job 0: none.
 * Control characters are escaped. Returns status, so that a refusal is one statement.
 */
int output_fail(int status, const char *code, int64_t job, const char *format, ...)
	__attribute__((format(printf, 4, 5)));

/*
 * A flaw of an input, as "file:line: message", or with -j as an object; line 0: of the whole file.
 * job 0: none. To stdout where flaws are what was asked for, else to stderr.
 */
struct output_flaw {
	const char *file;
	int64_t line;
	const char *code;
	const char *param; /* NULL: none */
	const char *message;
	int64_t job;
};
void output_flaw(FILE *stream, const struct output_flaw *flaw);

/* One object on one line of stdout, with "v":1. */
void output_json(struct json_object *object);

/* "label: value" of one thing's description; the value is escaped. */
void output_field(const char *label, const char *format, ...) __attribute__((format(printf, 2, 3)));

/*
 * Appends text so that it cannot command a terminal: control characters (C0, DEL, C1), line and
 * paragraph separators and those that turn the writing direction become \n, \t, \xNN or \u{N}; so
 * do bytes that are no UTF-8, and without is_utf8 everything outside ASCII.
 */
void output_escape(struct buffer *buffer, const char *text, size_t size, bool is_utf8);

/* The columns that checked text fills on a terminal. */
size_t output_width(const char *text, size_t size);

/* Puts a character of text into bytes: how many bytes belong to it, and (optional) its columns. At
 * least 1. */
size_t output_character(const char *text, size_t size, int *ret_columns);

/* What begins and ends a colour on stdout; "" where there is none. */
const char *output_colour_on(enum output_colour colour);
const char *output_colour_off(enum output_colour colour);

/* Columns of the terminal that stream is; 0 when it is none. */
size_t output_columns(FILE *stream);

/* Draws a line that stays in place on stderr until the next, or until something is said. NULL
 * erases it. */
void output_bar(const char *text);

/* Flushes stdout. Returns status, or EXIT_OTHER when bytes were lost on the way. */
int output_finish(int status);

#endif
