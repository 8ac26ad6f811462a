#include "daemon/work/flaws.h"

#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/protocol.h"

struct flaw {
	int64_t line;
	const char *code;
	const char *param;
	char *message;
	size_t size;
};

/* Where a flaw of this line belongs: behind those of its line and before it. */
static size_t place_of(const struct flaws *flaws, int64_t line)
{
	size_t low = 0;
	size_t high = flaws->kept_count;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (flaws->kept[middle].line <= line)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void make_room(struct flaws *flaws)
{
	if (flaws->kept_count == PROTOCOL_MAX_ERRORS)
		free(flaws->kept[--flaws->kept_count].message);
	if (flaws->kept_count < flaws->capacity)
		return;
	flaws->capacity = flaws->capacity ? flaws->capacity * 2 : 8;
	flaws->kept = xreallocarray(flaws->kept, flaws->capacity, sizeof(*flaws->kept));
}

static json_object *flaw_object(const struct flaw *flaw)
{
	json_object *object = json_object_new_object();

	json_object_object_add(object, "code", json_object_new_string(flaw->code));
	json_object_object_add(object, "message",
			       json_object_new_string_len(flaw->message, (int)flaw->size));
	json_object_object_add(object, "param",
			       flaw->param ? json_object_new_string(flaw->param) : NULL);
	json_object_object_add(object, "line",
			       flaw->line ? json_object_new_int64(flaw->line) : NULL);
	return object;
}

bool flaws_wants(const struct flaws *flaws, int64_t line)
{
	return flaws->kept_count < PROTOCOL_MAX_ERRORS ||
	       line < flaws->kept[flaws->kept_count - 1].line;
}

void flaws_add(struct flaws *flaws, int64_t line, const char *code, const char *param,
	       const char *message, size_t size)
{
	size_t place;

	flaws->count++;
	if (!flaws_wants(flaws, line))
		return;
	make_room(flaws);
	place = place_of(flaws, line);
	memmove(&flaws->kept[place + 1], &flaws->kept[place],
		(flaws->kept_count - place) * sizeof(*flaws->kept));
	flaws->kept[place] = (struct flaw){
		.line = line,
		.code = code,
		.param = param,
		.message = xmemdup0(message, size),
		.size = size,
	};
	flaws->kept_count++;
}

char *flaws_json(const struct flaws *flaws)
{
	json_object *array;
	char *text;

	alloc_watch();
	array = json_object_new_array();
	for (size_t i = 0; i < flaws->kept_count; i++)
		json_object_array_add(array, flaw_object(&flaws->kept[i]));
	text = xstrdup(json_object_to_json_string_ext(
		array, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	alloc_check();
	json_object_put(array);
	return text;
}

void flaws_release(struct flaws *flaws)
{
	for (size_t i = 0; i < flaws->kept_count; i++)
		free(flaws->kept[i].message);
	free(flaws->kept);
	*flaws = (struct flaws){0};
}
