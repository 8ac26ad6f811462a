#include "daemon/model/names.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"

#define BLANKS " \t"

bool names_next(struct names *names)
{
	const char *from = names->rest;

	if (!from)
		return false;
	from += strspn(from, BLANKS);
	names->name = from;
	names->size = strcspn(from, ",");
	names->rest = from[names->size] ? from + names->size + 1 : NULL;
	while (names->size && strchr(BLANKS, from[names->size - 1]))
		names->size--;
	return true;
}

bool names_is(const struct names *names, const char *name)
{
	return strlen(name) == names->size && memcmp(names->name, name, names->size) == 0;
}

char *names_copy(const struct names *names)
{
	return xmemdup0(names->name, names->size);
}

bool names_have(const char *list, const char *name)
{
	struct names names = { .rest = list };

	while (names_next(&names))
		if (names_is(&names, name))
			return true;
	return false;
}

int names_read(const char *text, char **ret_list, struct error *err)
{
	struct names names = { .rest = text };
	auto_buffer list = { 0 };
	size_t count = 0;

	while (names_next(&names)) {
		auto_free char *name = names_copy(&names);

		if (!names.size)
			return error_set(err, -EINVAL, "a name between commas is empty");
		if (count && names_have(buffer_text(&list), name))
			return error_set(err, -EINVAL, "\"%.100s\" stands there twice", name);
		if (count++ == NAMES_MAX)
			return error_set(err, -EINVAL, "more than %d names", NAMES_MAX);
		buffer_add_format(&list, "%s%s", list.size ? "," : "", name);
	}
	*ret_list = xstrdup(buffer_text(&list));
	return 0;
}
