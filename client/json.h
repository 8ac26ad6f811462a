/*
 * The daemon's JSON, read leniently: what is absent, null or of another type is what the caller
 * names as absent.
 */
#ifndef BATCHD_CLIENT_JSON_H
#define BATCHD_CLIENT_JSON_H

#include <json-c/json.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/cleanup.h"

#define JSON_MAX_ANSWER (16 * 1024 * 1024) /* bytes of an answer that is parsed */

static inline void json_free(struct json_object *object)
{
	(void)json_object_put(object);
}

DEFINE_CLEANUP(struct json_object *, json_free)
#define auto_json auto_with(json_free) struct json_object

/* An object out of bytes, which hold nothing else. NULL when they do not. The caller puts it. */
struct json_object *json_read(const char *bytes, size_t size);

/* The value at a path of members, "batchd.counts.ok"; borrowed; NULL when absent or null. */
struct json_object *json_at(struct json_object *object, const char *path);

/* A string at a path; borrowed. */
const char *json_text(struct json_object *object, const char *path, const char *absent);

/* A number at a path; a fraction is cut. */
int64_t json_number(struct json_object *object, const char *path, int64_t absent);

/* Whether true stands at a path. */
bool json_is_true(struct json_object *object, const char *path);

#endif
