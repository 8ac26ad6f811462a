#include "daemon/base/tree.h"

#include <stdbool.h>
#include <string.h>

#include "daemon/base/alloc.h"

#define MAX_DEPTH 64

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/*
 * Without memory json-c 0.16 leaves members out or cuts texts, and says nothing but errno, which it clears when it makes a number of
 * digits. So it is given the text in pieces that end behind a number's last digit: the number is made at the beginning of the next
 * piece, after the look at what became of this one.
 */
static size_t piece(const char *text, size_t size)
{
	bool is_in_text = false;
	size_t at = 0;

	for (; at < size && (is_in_text || !is_digit(text[at])); at++) {
		if (is_in_text && text[at] == '\\' && at + 1 < size)
			at++;
		else if (text[at] == '"')
			is_in_text = !is_in_text;
	}
	while (at < size && (is_digit(text[at]) || memchr("+-.eE", text[at], 5)))
		at++;
	return at;
}

static bool is_blank(const char *text, size_t size)
{
	for (size_t i = 0; i < size; i++)
		if (!memchr(" \t\r\n", text[i], 4))
			return false;
	return true;
}

struct json_object *tree_read(const char *text, size_t size, int flags, size_t *ret_end)
{
	struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	enum json_tokener_error error = json_tokener_continue;
	struct json_object *object = NULL;
	size_t at = 0;

	if (!tokener)
		alloc_give_up();
	json_tokener_set_flags(tokener, flags);
	while (at < size && error == json_tokener_continue) {
		alloc_watch();
		object = json_tokener_parse_ex(tokener, text + at, (int)piece(text + at, size - at));
		alloc_check();
		at += json_tokener_get_parse_end(tokener);
		error = json_tokener_get_error(tokener);
	}
	json_tokener_free(tokener);
	if (ret_end)
		*ret_end = at;
	if (error == json_tokener_success && (ret_end || is_blank(text + at, size - at)))
		return object;
	json_object_put(object);
	return NULL;
}
