/*
 * A small world for tests of the model under tests/sim: a clock that stands still until it is
 * told, calls in one line, and the answer as JSON.
 */
#ifndef BATCHD_TESTS_UNIT_SIM_WORLD_H
#define BATCHD_TESTS_UNIT_SIM_WORLD_H

#include <json-c/json.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/sim/blob.h"
#include "tests/sim/model.h"
#include "tests/unit/check.h"

#define WORLD_START_MS 1790705881000

struct world {
	struct sim *sim;
	int64_t now_ms;
	struct sim_answer answer;
	struct json_object *json;
	char target[8192];
	const char *authorization, *api_key, *range, *if_range;
	char file[4200], batch[4200];
};

static inline int64_t world_now(void *context)
{
	return ((struct world *)context)->now_ms;
}

static inline struct world *world_new(const struct sim_config *config)
{
	struct world *world = xcalloc(1, sizeof(*world));

	world->now_ms = WORLD_START_MS;
	world->sim = sim_new(config, world_now, world);
	return world;
}

static inline void world_free(struct world *world)
{
	sim_answer_release(&world->answer);
	json_object_put(world->json);
	sim_free(world->sim);
	free(world);
}

/* A parameter of the target, which is not percent-encoded here. */
static inline const char *world_query(const char *name, void *context)
{
	static char values[4][8192]; /* as many as a call may hold at once */
	static unsigned turn;
	char *value = values[turn++ % 4];
	const char *at = strchr(((struct world *)context)->target, '?');
	size_t size = strlen(name);

	for (; at; at = strchr(at + 1, '&')) {
		if (strncmp(at + 1, name, size) || at[1 + size] != '=')
			continue;
		(void)snprintf(value, sizeof(values[0]), "%s", at + 2 + size);
		value[strcspn(value, "&")] = '\0';
		return value;
	}
	return NULL;
}

static inline const char *world_header(const char *name, void *context)
{
	const struct world *world = context;

	if (!strcmp(name, "Authorization"))
		return world->authorization;
	if (!strcmp(name, "api-key"))
		return world->api_key;
	if (!strcmp(name, "If-Range"))
		return world->if_range;
	return strcmp(name, "Range") ? NULL : world->range;
}

/* One call; returns the status, 0 where the connection was dropped. */
static inline int world_send(struct world *world, const char *method, const char *target,
			     const char *body, struct sim_form *form)
{
	char path[8192];
	struct sim_request request = {
		.method = method,
		.path = path,
		.query = world_query,
		.header = world_header,
		.context = world,
		.body = body,
		.size = body ? strlen(body) : 0,
		.form = form,
	};

	(void)snprintf(world->target, sizeof(world->target), "%s", target);
	(void)snprintf(path, sizeof(path), "%s", target);
	path[strcspn(path, "?")] = '\0';
	sim_answer_release(&world->answer);
	json_object_put(world->json);
	sim_call(world->sim, &request, &world->answer);
	world->json = world->answer.body ? json_tokener_parse(world->answer.body->data) : NULL;
	return world->answer.transport == SIM_DROP ? 0 : world->answer.status;
}

static inline int world_call(struct world *world, const char *method, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
static inline int world_call(struct world *world, const char *method, const char *format, ...)
{
	auto_free char *target = NULL;
	va_list arguments;

	va_start(arguments, format);
	target = xvasprintf(format, arguments);
	va_end(arguments);
	return world_send(world, method, target, NULL, NULL);
}

/* The member at "a.b.0.c" of the last answer; NULL where it is null or absent. */
static inline struct json_object *world_get(const struct world *world, const char *path)
{
	struct json_object *at = world->json;
	auto_free char *copy = xstrdup(path);
	char *rest = copy, *name;

	while (at && (name = strsep(&rest, ".")))
		at = json_object_is_type(at, json_type_array)
			     ? json_object_array_get_idx(at, (size_t)atoi(name))
		     : json_object_is_type(at, json_type_object) ? json_object_object_get(at, name)
								 : NULL;
	return at;
}

static inline const char *world_text(const struct world *world, const char *path)
{
	const char *text = json_object_get_string(world_get(world, path));

	return text ? text : "null";
}

static inline int64_t world_number(const struct world *world, const char *path)
{
	return json_object_get_int64(world_get(world, path));
}

static inline const char *world_body(const struct world *world)
{
	return world->answer.body ? world->answer.body->data : "";
}

static inline const char *world_header_of(const struct world *world, const char *name)
{
	for (size_t i = 0; i < world->answer.header_count; i++)
		if (!strcmp(world->answer.headers[i].name, name))
			return world->answer.headers[i].value;
	return "";
}

/* Uploads a file for batches, and keeps its id in world->file. */
static inline int world_upload(struct world *world, const char *name, const char *text)
{
	struct sim_form form = {0};
	size_t half = strlen(text) / 2;
	int status;

	sim_form_add(&form, "purpose", NULL, "ba", 2, 0);
	sim_form_add(&form, "purpose", NULL, "tch", 3, 2);
	sim_form_add(&form, "file", name, text, half, 0);
	sim_form_add(&form, "file", name, text + half, strlen(text) - half, half);
	status = world_send(world, "POST", "/v1/files", NULL, &form);
	sim_form_release(&form);
	if (status == 200)
		(void)snprintf(world->file, sizeof(world->file), "%s", world_text(world, "id"));
	return status;
}

/* Makes a batch of world->file, and keeps its id in world->batch. */
static inline int world_create(struct world *world, const char *endpoint, const char *more)
{
	auto_free char *body = xasprintf("{\"input_file_id\":\"%s\",\"endpoint\":\"%s\","
					 "\"completion_window\":\"24h\"%s}",
					 world->file, endpoint, more);
	int status = world_send(world, "POST", "/v1/batches", body, NULL);

	if (status == 200)
		(void)snprintf(world->batch, sizeof(world->batch), "%s", world_text(world, "id"));
	return status;
}

/* count chat requests, "r-1" and so on. The caller frees. */
static inline char *world_lines(size_t count)
{
	struct buffer text = {0};

	for (size_t i = 1; i <= count; i++)
		buffer_add_format(&text,
				  "{\"custom_id\":\"r-%zu\",\"method\":\"POST\",\"url\":"
				  "\"/v1/chat/completions\",\"body\":{\"model\":\"m\",\"messages\":"
				  "[{\"role\":\"user\",\"content\":\"number %zu\"}]}}\n",
				  i, i);
	(void)buffer_text(&text);
	return text.data;
}

/* Uploads count requests and makes a batch of them. */
static inline void world_submit(struct world *world, size_t count)
{
	auto_free char *text = world_lines(count);

	CU_ASSERT_EQUAL(world_upload(world, "in.jsonl", text), 200);
	CU_ASSERT_EQUAL(world_create(world, "/v1/chat/completions", ""), 200);
}

/* Asks for the batch after so many milliseconds. */
static inline const char *world_after(struct world *world, int64_t ms)
{
	world->now_ms += ms;
	(void)world_call(world, "GET", "/v1/batches/%s", world->batch);
	return world_text(world, "status");
}

/* The bytes of a file of the batch that was asked for last; "" where there is none. */
static inline const char *world_result(struct world *world, const char *member)
{
	auto_free char *id = xstrdup(world_text(world, member));

	if (!strcmp(id, "null"))
		return "";
	(void)world_call(world, "GET", "/v1/files/%s/content", id);
	return world_body(world);
}

static inline size_t world_count(const char *text, const char *part)
{
	size_t count = 0;

	while ((text = strstr(text, part))) {
		count++;
		text += strlen(part);
	}
	return count;
}

#endif
