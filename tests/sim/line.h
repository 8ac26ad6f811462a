/*
 * One line of an input file, read strictly and in one pass: whether it is JSON at all (RFC 8259,
 * UTF-8 included), and where its members lie. Independent of the daemon's own scanner on purpose:
 * the two must agree without sharing a mistake.
 */
#ifndef BATCHD_TESTS_SIM_LINE_H
#define BATCHD_TESTS_SIM_LINE_H

#include <stdbool.h>
#include <stddef.h>

struct buffer;

enum line_kind {
	LINE_ABSENT,
	LINE_NULL,
	LINE_FALSE,
	LINE_TRUE,
	LINE_NUMBER,
	LINE_STRING,
	LINE_ARRAY,
	LINE_OBJECT,
};

/* The bytes of a value; of a string those between the quotes, still escaped. */
struct line_value {
	enum line_kind kind;
	const char *data;
	size_t size;
	size_t count; /* of an array: its elements, where leading numbers count once */
};

/* What a line says; the values point into its text. Of members that stand twice the last counts. */
struct line {
	enum line_kind kind;
	struct line_value custom_id, method, url, body;
	struct line_value model, stream, messages, input, prompt; /* members of body */
	size_t input_count; /* how many embeddings body.input asks for */
};

/* false: the text is not one JSON value. A value that is no object has no members. */
bool line_parse(const char *text, size_t size, struct line *ret_line);

/* Whether a string value, decoded, is this text. */
bool line_is(const struct line_value *value, const char *text);

/*
 * Decodes a string value into bytes, which has room for value->size; returns how many it needed.
 * A lone surrogate becomes the three bytes UTF-8 would have for it.
 */
size_t line_decode(const struct line_value *value, char *bytes);

/* The decoded string, terminated; the caller frees. */
char *line_text(const struct line_value *value);

/* Appends decoded bytes as a JSON string, quotes included. */
void line_quote(struct buffer *buffer, const char *bytes, size_t size);

/* Appends a string value anew, as another encoder would write it. */
void line_quote_value(struct buffer *buffer, const struct line_value *value);

#endif
