#include "client/json.h"

#include <string.h>

#include "daemon/base/tree.h"

#define MAX_MEMBER 64

struct json_object *json_read(const char *bytes, size_t size)
{
	auto_json *object = size <= JSON_MAX_ANSWER ? tree_read(bytes, size, JSON_TOKENER_STRICT, NULL) : NULL;

	return json_object_is_type(object, json_type_object) ? take(object) : NULL;
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
