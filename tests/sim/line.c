#include "tests/sim/line.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"

enum { MAX_DEPTH = 200 };

struct cursor {
	const char *at;
	const char *end;
};

/* Where the values of an object's members go, and those of a member that is an object. */
struct members {
	struct member {
		const char *name;
		struct line_value *value;
		const struct members *below;
	} * list;
	size_t count;
};

static bool parse_value(struct cursor *cursor, unsigned depth, const struct members *wanted,
			struct line_value *ret_value);

static void skip_space(struct cursor *cursor)
{
	while (cursor->at < cursor->end && strchr(" \t\r\n", *cursor->at) && *cursor->at)
		cursor->at++;
}

static bool eat(struct cursor *cursor, char wanted)
{
	skip_space(cursor);
	if (cursor->at == cursor->end || *cursor->at != wanted)
		return false;
	cursor->at++;
	return true;
}

static int hex_value(const char *digits)
{
	int value = 0;

	for (int i = 0; i < 4; i++) {
		int c = (unsigned char)digits[i];

		if (!isxdigit(c))
			return -1;
		value = 16 * value + (isdigit(c) ? c - '0' : tolower(c) - 'a' + 10);
	}
	return value;
}

/* The length of the UTF-8 sequence at text, 0 if it is none (RFC 3629). */
static size_t sequence_size(const unsigned char *text, size_t size)
{
	static const struct {
		unsigned char first, last, low, high, size;
	} forms[] = {
		{0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
		{0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3},
		{0xee, 0xef, 0x80, 0xbf, 3}, {0xf0, 0xf0, 0x90, 0xbf, 4},
		{0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		if (text[0] < forms[i].first || text[0] > forms[i].last)
			continue;
		if (size < forms[i].size || text[1] < forms[i].low || text[1] > forms[i].high)
			return 0;
		for (size_t k = 2; k < forms[i].size; k++)
			if (text[k] < 0x80 || text[k] > 0xbf)
				return 0;
		return forms[i].size;
	}
	return 0;
}

static bool skip_escape(struct cursor *cursor)
{
	if (cursor->end - cursor->at < 2)
		return false;
	if (cursor->at[1] == 'u') {
		if (cursor->end - cursor->at < 6 || hex_value(cursor->at + 2) < 0)
			return false;
		cursor->at += 6;
		return true;
	}
	if (!cursor->at[1] || !strchr("\"\\/bfnrt", cursor->at[1]))
		return false;
	cursor->at += 2;
	return true;
}

/* Eight plain bytes at once: none of them a quote, a backslash, a control or a byte above 0x7f. */
static bool is_plain_word(const char *at)
{
	const uint64_t ones = 0x0101010101010101u, tops = 0x8080808080808080u;
	uint64_t word, quotes, slashes;

	memcpy(&word, at, sizeof(word));
	quotes = word ^ (ones * '"');
	slashes = word ^ (ones * '\\');
	return !((word | (word - ones * 0x20) | (quotes - ones) | (slashes - ones)) & tops);
}

/* The cursor stands behind the opening quote and is left behind the closing one. */
static bool parse_string(struct cursor *cursor, struct line_value *ret_value)
{
	const char *start = cursor->at;

	for (;;) {
		unsigned char c;
		size_t size;

		while (cursor->end - cursor->at >= 8 && is_plain_word(cursor->at))
			cursor->at += 8;
		if (cursor->at == cursor->end)
			return false;
		c = (unsigned char)*cursor->at;
		if (c == '"')
			break;
		if (c == '\\') {
			if (!skip_escape(cursor))
				return false;
			continue;
		}
		if (c < 0x20)
			return false;
		size = c < 0x80 ? 1
				: sequence_size((const unsigned char *)cursor->at,
						(size_t)(cursor->end - cursor->at));
		if (!size)
			return false;
		cursor->at += size;
	}
	*ret_value = (struct line_value){
		.kind = LINE_STRING, .data = start, .size = (size_t)(cursor->at - start)};
	cursor->at++;
	return true;
}

static size_t skip_digits(struct cursor *cursor)
{
	const char *start = cursor->at;

	while (cursor->at < cursor->end && isdigit((unsigned char)*cursor->at))
		cursor->at++;
	return (size_t)(cursor->at - start);
}

static bool parse_number(struct cursor *cursor)
{
	if (*cursor->at == '-')
		cursor->at++;
	if (cursor->at < cursor->end && *cursor->at == '0')
		cursor->at++;
	else if (!skip_digits(cursor))
		return false;
	if (cursor->at < cursor->end && *cursor->at == '.') {
		cursor->at++;
		if (!skip_digits(cursor))
			return false;
	}
	if (cursor->at < cursor->end && (*cursor->at == 'e' || *cursor->at == 'E')) {
		cursor->at++;
		if (cursor->at < cursor->end && (*cursor->at == '+' || *cursor->at == '-'))
			cursor->at++;
		if (!skip_digits(cursor))
			return false;
	}
	return true;
}

static bool parse_word(struct cursor *cursor, enum line_kind *ret_kind)
{
	static const struct {
		const char *text;
		enum line_kind kind;
	} words[] = {{"null", LINE_NULL}, {"true", LINE_TRUE}, {"false", LINE_FALSE}};

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t size = strlen(words[i].text);

		if ((size_t)(cursor->end - cursor->at) < size ||
		    memcmp(cursor->at, words[i].text, size))
			continue;
		cursor->at += size;
		*ret_kind = words[i].kind;
		return true;
	}
	return false;
}

/* Numbers count once: an array of them is one text given as tokens. */
static bool parse_array(struct cursor *cursor, unsigned depth, size_t *ret_count)
{
	struct line_value value;

	*ret_count = 0;
	if (eat(cursor, ']'))
		return true;
	do {
		if (!parse_value(cursor, depth + 1, NULL, &value))
			return false;
		if (value.kind != LINE_NUMBER || !*ret_count)
			++*ret_count;
	} while (eat(cursor, ','));
	return eat(cursor, ']');
}

static const struct member *find_member(const struct members *wanted, const struct line_value *key)
{
	for (size_t i = 0; wanted && i < wanted->count; i++)
		if (line_is(key, wanted->list[i].name))
			return &wanted->list[i];
	return NULL;
}

static bool parse_object(struct cursor *cursor, unsigned depth, const struct members *wanted)
{
	if (eat(cursor, '}'))
		return true;
	do {
		const struct member *member;
		const struct members *below;
		struct line_value key, value;

		if (!eat(cursor, '"') || !parse_string(cursor, &key) || !eat(cursor, ':'))
			return false;
		member = find_member(wanted, &key);
		below = member ? member->below : NULL;
		for (size_t i = 0; below && i < below->count; i++)
			*below->list[i].value = (struct line_value){0};
		if (!parse_value(cursor, depth + 1, below, &value))
			return false;
		if (member)
			*member->value = value;
	} while (eat(cursor, ','));
	return eat(cursor, '}');
}

static bool parse_value(struct cursor *cursor, unsigned depth, const struct members *wanted,
			struct line_value *ret_value)
{
	struct line_value value = {0};
	bool is_good;

	skip_space(cursor);
	if (cursor->at == cursor->end || depth > MAX_DEPTH)
		return false;
	value.data = cursor->at;
	switch (*cursor->at) {
	case '"':
		cursor->at++;
		return parse_string(cursor, ret_value);
	case '{':
		cursor->at++;
		value.kind = LINE_OBJECT;
		is_good = parse_object(cursor, depth, wanted);
		break;
	case '[':
		cursor->at++;
		value.kind = LINE_ARRAY;
		is_good = parse_array(cursor, depth, &value.count);
		break;
	default:
		value.kind = LINE_NUMBER;
		if (*cursor->at == '-' || isdigit((unsigned char)*cursor->at))
			is_good = parse_number(cursor);
		else
			is_good = parse_word(cursor, &value.kind);
	}
	value.size = (size_t)(cursor->at - value.data);
	*ret_value = value;
	return is_good;
}

bool line_parse(const char *text, size_t size, struct line *ret_line)
{
	struct line line = {0};
	struct member inner[] = {
		{"model", &line.model, NULL},       {"stream", &line.stream, NULL},
		{"messages", &line.messages, NULL}, {"input", &line.input, NULL},
		{"prompt", &line.prompt, NULL},
	};
	const struct members body = {inner, ARRAY_SIZE(inner)};
	struct member outer[] = {
		{"custom_id", &line.custom_id, NULL},
		{"method", &line.method, NULL},
		{"url", &line.url, NULL},
		{"body", &line.body, &body},
	};
	const struct members members = {outer, ARRAY_SIZE(outer)};
	struct cursor cursor = {text, text + size};
	struct line_value whole;

	if (!parse_value(&cursor, 0, &members, &whole))
		return false;
	skip_space(&cursor);
	if (cursor.at != cursor.end)
		return false;
	line.kind = whole.kind;
	line.input_count =
		line.input.kind == LINE_ARRAY ? line.input.count : line.input.kind != LINE_ABSENT;
	*ret_line = line;
	return true;
}

static char *put_utf8(char *out, uint32_t point)
{
	if (point < 0x80) {
		*out++ = (char)point;
		return out;
	}
	if (point < 0x800) {
		*out++ = (char)(0xc0 | point >> 6);
	} else if (point < 0x10000) {
		*out++ = (char)(0xe0 | point >> 12);
		*out++ = (char)(0x80 | (point >> 6 & 0x3f));
	} else {
		*out++ = (char)(0xf0 | point >> 18);
		*out++ = (char)(0x80 | (point >> 12 & 0x3f));
		*out++ = (char)(0x80 | (point >> 6 & 0x3f));
	}
	*out++ = (char)(0x80 | (point & 0x3f));
	return out;
}

/* One \uXXXX, or two that are a surrogate pair. */
static const char *decode_unicode(const char *at, const char *end, char **out)
{
	uint32_t point = (uint32_t)hex_value(at + 2);
	int low;

	at += 6;
	if (point >= 0xd800 && point < 0xdc00 && end - at >= 6 && at[0] == '\\' && at[1] == 'u') {
		low = hex_value(at + 2);
		if (low >= 0xdc00 && low < 0xe000) {
			point = 0x10000 + ((point - 0xd800) << 10) + ((uint32_t)low - 0xdc00);
			at += 6;
		}
	}
	*out = put_utf8(*out, point);
	return at;
}

size_t line_decode(const struct line_value *value, char *bytes)
{
	static const char names[] = "\"\\/bfnrt", values[] = "\"\\/\b\f\n\r\t";
	const char *at = value->data, *end = at + value->size;
	char *out = bytes;

	while (at < end) {
		if (*at != '\\') {
			*out++ = *at++;
		} else if (at[1] == 'u') {
			at = decode_unicode(at, end, &out);
		} else {
			*out++ = values[strchr(names, at[1]) - names];
			at += 2;
		}
	}
	return (size_t)(out - bytes);
}

char *line_text(const struct line_value *value)
{
	char *text = xcalloc(value->size + 1, 1);

	(void)line_decode(value, text);
	return text;
}

bool line_is(const struct line_value *value, const char *text)
{
	auto_free char *decoded = NULL;
	size_t size = strlen(text);

	if (value->kind != LINE_STRING)
		return false;
	if (!memchr(value->data, '\\', value->size))
		return value->size == size && !memcmp(value->data, text, size);
	decoded = xcalloc(value->size + 1, 1);
	return line_decode(value, decoded) == size && !memcmp(decoded, text, size);
}

void line_quote(struct buffer *buffer, const char *bytes, size_t size)
{
	buffer_add(buffer, "\"", 1);
	for (size_t i = 0; i < size; i++) {
		unsigned char c = (unsigned char)bytes[i];

		if (c == '"' || c == '\\') {
			buffer_add_format(buffer, "\\%c", c);
		} else if (c < 0x20) {
			buffer_add_format(buffer, "\\u%04x", c);
		} else if (c == 0xed && i + 2 < size && (unsigned char)bytes[i + 1] >= 0xa0) {
			/* A lone surrogate has no UTF-8 and can only be escaped. */
			buffer_add_format(buffer, "\\u%04x",
					  0xd000u | ((unsigned)bytes[i + 1] & 0x3f) << 6 |
						  ((unsigned)bytes[i + 2] & 0x3f));
			i += 2;
		} else {
			buffer_add(buffer, &bytes[i], 1);
		}
	}
	buffer_add(buffer, "\"", 1);
}

void line_quote_value(struct buffer *buffer, const struct line_value *value)
{
	auto_free char *decoded = NULL;

	if (memchr(value->data, '\\', value->size)) {
		decoded = xcalloc(value->size + 1, 1);
		line_quote(buffer, decoded, line_decode(value, decoded));
		return;
	}
	buffer_add(buffer, "\"", 1);
	buffer_add(buffer, value->data, value->size);
	buffer_add(buffer, "\"", 1);
}
