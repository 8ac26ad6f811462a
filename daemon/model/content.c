#include "daemon/model/content.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"

/* A value that was checked: its bytes, of a string those between the quotes. */
struct value {
	enum scan_kind kind;
	const char *bytes;
	size_t size;
};

struct embedding {
	int64_t index;
	struct value value;
};

static void begin(struct scan *scan, const char *bytes, size_t size)
{
	scan_init(scan, bytes, size);
	scan->is_surrogate_tolerant = true;
}

/* Passes the next value of a scan. */
static int take_value(struct scan *scan, struct value *ret_value)
{
	struct scan_span span;

	if (scan_value(scan, &ret_value->kind, &span))
		return -EBADMSG;
	ret_value->bytes = scan->bytes + span.at;
	ret_value->size = span.size;
	return 0;
}

/* The member of an object; of several with this name the last. False when it is none, or has none. */
static bool find_member(const struct value *object, const char *name, struct value *ret_value)
{
	struct scan scan;
	struct scan_span found;
	bool is_found = false;

	if (object->kind != SCAN_OBJECT)
		return false;
	begin(&scan, object->bytes, object->size);
	if (scan_enter_object(&scan))
		return false;
	while (scan_next_member(&scan, &found) > 0) {
		bool is_wanted = scan_text_is(object->bytes, found, name);
		struct value value;

		if (take_value(&scan, &value))
			return false;
		if (is_wanted)
			*ret_value = value;
		is_found |= is_wanted;
	}
	return is_found;
}

static bool find_kind(const struct value *object, const char *name, enum scan_kind kind,
		      struct value *ret_value)
{
	struct value value;

	if (!find_member(object, name, &value) || value.kind != kind)
		return false;
	*ret_value = value;
	return true;
}

/* Begins to pass the elements of an array. */
static void begin_array(struct scan *scan, const struct value *array)
{
	begin(scan, array->bytes, array->size);
	(void)scan_enter_array(scan);
}

static bool next_element(struct scan *scan, struct value *ret_value)
{
	return scan_next_element(scan) > 0 && take_value(scan, ret_value) == 0;
}

static void add_decoded(struct buffer *buffer, const struct value *string)
{
	size_t before = buffer->size;

	if (!string->size)
		return;
	/* Decoding never grows, so it is done in the place of what was read. */
	buffer_add(buffer, string->bytes, string->size);
	buffer->size = before + scan_decode(string->bytes, (struct scan_span){0, string->size},
					    buffer->data + before);
}

static void add_json(struct buffer *buffer, const struct value *value)
{
	size_t quote = value->kind == SCAN_STRING;

	buffer_add(buffer, value->bytes - quote, value->size + 2 * quote);
}

/* Adds the text of a part, if it is of this type (NULL: of any). Whether it was. */
static bool add_part(struct buffer *buffer, const struct value *part, const char *type,
		     const char *name)
{
	struct value found;

	if (type && (!find_kind(part, "type", SCAN_STRING, &found) ||
		     !scan_text_is(found.bytes, (struct scan_span){0, found.size}, type)))
		return false;
	if (!find_kind(part, name, SCAN_STRING, &found))
		return false;
	add_decoded(buffer, &found);
	return true;
}

static bool add_message(struct buffer *buffer, const struct value *message)
{
	size_t before = buffer->size;
	struct value content, refusal, part;
	bool is_there = false;
	struct scan scan;

	if (find_kind(message, "content", SCAN_STRING, &content)) {
		add_decoded(buffer, &content);
		is_there = true;
	} else if (find_kind(message, "content", SCAN_ARRAY, &content)) {
		begin_array(&scan, &content);
		while (next_element(&scan, &part))
			is_there |= add_part(buffer, &part, NULL, "text");
	}
	if (buffer->size == before && find_kind(message, "refusal", SCAN_STRING, &refusal)) {
		add_decoded(buffer, &refusal);
		is_there = true;
	}
	return is_there;
}

static bool add_choice(struct buffer *buffer, const struct value *choices)
{
	struct value choice, message;
	struct scan scan;

	begin_array(&scan, choices);
	if (!next_element(&scan, &choice))
		return false;
	if (find_kind(&choice, "message", SCAN_OBJECT, &message))
		return add_message(buffer, &message);
	return add_part(buffer, &choice, NULL, "text");
}

static bool add_output(struct buffer *buffer, const struct value *output)
{
	struct value item, content, part;
	struct scan items, parts;
	bool is_there = false;

	begin_array(&items, output);
	while (next_element(&items, &item)) {
		if (!find_kind(&item, "content", SCAN_ARRAY, &content))
			continue;
		begin_array(&parts, &content);
		while (next_element(&parts, &part))
			is_there |= add_part(buffer, &part, "output_text", "text") ||
				    add_part(buffer, &part, "refusal", "refusal");
	}
	return is_there;
}

/* By index; those that share one in the order that they came in. */
static int compare_embeddings(const void *a, const void *b)
{
	const struct embedding *left = a;
	const struct embedding *right = b;

	if (left->index != right->index)
		return left->index < right->index ? -1 : 1;
	return (left->value.bytes > right->value.bytes) - (left->value.bytes < right->value.bytes);
}

/* Reads an array of objects with embeddings. False when it is none. */
static bool read_embeddings(const struct value *data, struct embedding **ret_list,
			    size_t *ret_count)
{
	auto_free struct embedding *list = NULL;
	size_t count = 0, room = 0;
	struct value element;
	struct scan scan;

	begin_array(&scan, data);
	while (next_element(&scan, &element)) {
		struct value index;

		if (count == CONTENT_MAX_EMBEDDINGS)
			return false;
		if (count == room)
			list = xreallocarray(list, room = room ? 2 * room : 8, sizeof(*list));
		list[count].index = (int64_t)count;
		if (!find_member(&element, "embedding", &list[count].value))
			return false;
		if (find_kind(&element, "index", SCAN_NUMBER, &index))
			(void)scan_integer(index.bytes, (struct scan_span){0, index.size},
					   &list[count].index);
		count++;
	}
	*ret_list = take(list);
	*ret_count = count;
	return count > 0;
}

static bool add_embeddings(struct buffer *buffer, const struct value *data)
{
	auto_free struct embedding *list = NULL;
	size_t count = 0;

	if (!read_embeddings(data, &list, &count))
		return false;
	if (count == 1) {
		add_json(buffer, &list[0].value);
		return true;
	}
	qsort(list, count, sizeof(*list), compare_embeddings);
	for (size_t i = 0; i < count; i++) {
		buffer_add_text(buffer, i ? "," : "[");
		add_json(buffer, &list[i].value);
	}
	buffer_add_text(buffer, "]");
	return true;
}

/* What a body is told by, and how its text is taken from that member. */
/* clang-format off */
static const struct {
	const char *member;
	bool (*add)(struct buffer *buffer, const struct value *array);
} forms[] = {
	{ "choices", add_choice },
	{ "output",  add_output },
	{ "data",    add_embeddings },
};
/* clang-format on */

static void add_body(struct buffer *buffer, const struct value *body)
{
	struct value array;

	for (size_t i = 0; i < ARRAY_SIZE(forms); i++)
		if (find_kind(body, forms[i].member, SCAN_ARRAY, &array) &&
		    forms[i].add(buffer, &array))
			return;
	add_json(buffer, body);
}

/* A body that is a string: JSON in JSON, or text. */
static void add_string_body(struct buffer *buffer, const struct value *string)
{
	auto_buffer text = {0};
	struct value body;
	struct scan scan;

	add_decoded(&text, string);
	begin(&scan, text.data, text.size);
	if (take_value(&scan, &body) || scan_end(&scan) || body.kind != SCAN_OBJECT)
		buffer_add(buffer, text.data, text.size);
	else
		add_body(buffer, &body);
}

/* Passes a value of a line; its span has a string's quotes in it, and null is nothing. */
static int take_part(struct scan *scan, struct scan_span *ret_span)
{
	enum scan_kind kind;

	if (scan_value(scan, &kind, ret_span))
		return -EBADMSG;
	if (kind == SCAN_STRING)
		*ret_span = (struct scan_span){ret_span->at - 1, ret_span->size + 2};
	if (kind == SCAN_NULL)
		*ret_span = (struct scan_span){0};
	return 0;
}

static int find_body(struct scan *scan, struct scan_span *ret_body)
{
	struct scan_span name;
	enum scan_kind kind;
	int is_there;

	*ret_body = (struct scan_span){0};
	if (scan_peek(scan, &kind))
		return -EBADMSG;
	if (kind != SCAN_OBJECT)
		return scan_value(scan, NULL, NULL);
	if (scan_enter_object(scan))
		return -EBADMSG;
	while ((is_there = scan_next_member(scan, &name)) > 0) {
		bool is_body = scan_text_is(scan->bytes, name, "body");

		if (is_body ? take_part(scan, ret_body) : scan_value(scan, NULL, NULL))
			return -EBADMSG;
	}
	return is_there;
}

static int find_custom_id(struct scan *scan, struct scan_span *ret_id)
{
	enum scan_kind kind;

	if (scan_value(scan, &kind, ret_id))
		return -EBADMSG;
	if (kind != SCAN_STRING)
		*ret_id = (struct scan_span){0};
	return 0;
}

int content_find(const char *line, size_t size, struct content_parts *ret_parts)
{
	struct content_parts parts = {0};
	struct scan_span name;
	struct scan scan;
	int is_there;

	begin(&scan, line, size);
	if (scan_enter_object(&scan))
		return -EBADMSG;
	while ((is_there = scan_next_member(&scan, &name)) > 0) {
		int r;

		if (scan_text_is(line, name, "response"))
			r = find_body(&scan, &parts.body);
		else if (scan_text_is(line, name, "custom_id"))
			r = find_custom_id(&scan, &parts.custom_id);
		else if (scan_text_is(line, name, "error"))
			r = take_part(&scan, &parts.error);
		else
			r = scan_value(&scan, NULL, NULL);
		if (r)
			return -EBADMSG;
	}
	if (is_there || scan_end(&scan))
		return -EBADMSG;
	*ret_parts = parts;
	return 0;
}

int content_add(struct buffer *buffer, const char *line, size_t size)
{
	struct content_parts parts;
	struct value body;
	struct scan scan;

	if (content_find(line, size, &parts))
		return -EBADMSG;
	if (!parts.body.size)
		return -ENOENT;
	begin(&scan, line + parts.body.at, parts.body.size);
	if (take_value(&scan, &body))
		return -EBADMSG;
	if (body.kind == SCAN_STRING)
		add_string_body(buffer, &body);
	else
		add_body(buffer, &body);
	return 0;
}
