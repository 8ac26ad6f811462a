/* A tree of a JSON text, by json-c, which has less in it than was written never: without memory the process gives up. */
#ifndef BATCHD_BASE_TREE_H
#define BATCHD_BASE_TREE_H

#include <json-c/json.h>
#include <stddef.h>

/*
 * The object, array or text that text begins with; the caller puts it. NULL where there is no whole one. flags: JSON_TOKENER_*. *ret_end:
 * where the value ends; with ret_end NULL nothing but blanks may follow it. size is at most INT_MAX; nesting at most 64 deep.
 */
struct json_object *tree_read(const char *text, size_t size, int flags, size_t *ret_end);

#endif
