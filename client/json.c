#include "client/json.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"

#define MAX_DEPTH  32
#define MAX_MEMBER 64

DEFINE_CLEANUP(struct json_tokener *, json_tokener_free)

struct json_object *json_read(const char *bytes, size_t size)
{
	auto_with(json_tokener_free) struct json_tokener *tokener = json_tokener_new_ex(MAX_DEPTH);
	auto_json *object = NULL;

	if (!tokener || size > JSON_MAX_ANSWER)
		return NULL;
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_ALLOW_TRAILING_CHARS);
	/* Without memory json-c leaves members out, and says nothing. */
	alloc_watch();
	object = json_tokener_parse_ex(tokener, bytes, (int)size);
	alloc_check();
	if (json_tokener_get_error(tokener) != json_tokener_success ||
	    !json_object_is_type(object, json_type_object))
		return NULL;
	for (size_t i = json_tokener_get_parse_end(tokener); i < size; i++)
		if (!memchr(" \t\r\n", bytes[i], 4))
			return NULL;
	return take(object);
}

struct json_object *json_at(struct json_object *object, const char *path)
{
	while (object && *path) {
		size_t size = strcspn(path, ".");
		char member[MAX_MEMBER];

		if (size >= sizeof(member) || !json_object_is_type(object, json_type_object))
			return NULL;
		memcpy(member, path, size);
		member[size] = '\0';
		if (!json_object_object_get_ex(object, member, &object))
			return NULL;
		path += size + (path[size] == '.');
	}
	return object;
}

const char *json_text(struct json_object *object, const char *path, const char *absent)
{
	struct json_object *value = json_at(object, path);

	return json_object_is_type(value, json_type_string) ? json_object_get_string(value)
							    : absent;
}

int64_t json_number(struct json_object *object, const char *path, int64_t absent)
{
	struct json_object *value = json_at(object, path);

	if (json_object_is_type(value, json_type_int) ||
	    json_object_is_type(value, json_type_double))
		return json_object_get_int64(value);
	return absent;
}

bool json_is_true(struct json_object *object, const char *path)
{
	struct json_object *value = json_at(object, path);

	return json_object_is_type(value, json_type_boolean) && json_object_get_boolean(value);
}
