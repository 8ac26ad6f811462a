#include "tests/sim/actions.h"

#include <ctype.h>
#include <json-c/json.h>
#include <string.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/reply.h"

static struct json_object *do_set(const struct rule *rule, struct json_object *object)
{
	struct json_object *members = rule_get(rule, "members");

	if (!json_object_is_type(members, json_type_object))
		return object;
	json_object_object_foreach(members, name, value)
		json_object_object_add(object, name, json_object_get(value));
	return object;
}

static struct json_object *do_remove(const struct rule *rule, struct json_object *object)
{
	struct json_object *names = rule_get(rule, "names");
	size_t count =
		json_object_is_type(names, json_type_array) ? json_object_array_length(names) : 0;

	for (size_t i = 0; i < count; i++)
		json_object_object_del(object,
				       json_object_get_string(json_object_array_get_idx(names, i)));
	return object;
}

/* Members that are null are not there at all. */
static struct json_object *do_omit_nulls(const struct rule *rule, struct json_object *object)
{
	struct json_object *rest = json_object_new_object();

	(void)rule;
	json_object_object_foreach(object, name, value) if (value)
		json_object_object_add(rest, name, json_object_get(value));
	json_object_put(object);
	return rest;
}

static struct json_object *do_empty_ids(const struct rule *rule, struct json_object *object)
{
	static const char *const names[] = {"output_file_id", "error_file_id"};

	(void)rule;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (!json_object_object_get(object, names[i]))
			json_object_object_add(object, names[i], json_object_new_string(""));
	return object;
}

static struct json_object *errors_of(struct json_object *object)
{
	struct json_object *errors = json_object_object_get(object, "errors");

	return errors ? json_object_object_get(errors, "data") : NULL;
}

static struct json_object *do_errors_array(const struct rule *rule, struct json_object *object)
{
	struct json_object *data = errors_of(object);

	(void)rule;
	json_object_object_add(object, "errors",
			       data ? json_object_get(data) : json_object_new_array());
	return object;
}

static struct json_object *do_errors_strings(const struct rule *rule, struct json_object *object)
{
	struct json_object *data = errors_of(object), *strings = json_object_new_array();
	size_t count = data ? json_object_array_length(data) : 0;

	(void)rule;
	for (size_t i = 0; i < count; i++) {
		struct json_object *one = json_object_array_get_idx(data, i);

		json_object_array_add(strings,
				      json_object_get(json_object_object_get(one, "message")));
	}
	json_object_object_add(object, "errors", strings);
	return object;
}

static struct json_object *time_iso(int64_t seconds)
{
	time_t when = (time_t)seconds;
	struct tm date;
	char text[64];

	(void)strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S.000Z", gmtime_r(&when, &date));
	return json_object_new_string(text);
}

static struct json_object *time_ms(int64_t seconds)
{
	return json_object_new_int64(seconds * 1000);
}

static struct json_object *time_float(int64_t seconds)
{
	return json_object_new_double((double)seconds + 0.25);
}

static struct json_object *time_text(int64_t seconds)
{
	auto_free char *text = xasprintf("%lld", (long long)seconds);

	return json_object_new_string(text);
}

/* clang-format off */
static const struct time_form {
	const char *name;
	struct json_object *(*make)(int64_t seconds);
} time_forms[] = {
	{ "iso", time_iso }, { "ms", time_ms }, { "float", time_float }, { "text", time_text },
};
/* clang-format on */

static struct json_object *do_times(const struct rule *rule, struct json_object *object)
{
	struct json_object *changed = json_object_new_object();
	const char *form = rule_text(rule, "form", "iso");
	size_t i = 0;

	while (i < ARRAY_SIZE(time_forms) - 1 && strcmp(time_forms[i].name, form))
		i++;
	json_object_object_foreach(object, name, value)
	{
		size_t size = strlen(name);
		bool is_time = size > 3 && !strcmp(name + size - 3, "_at") && value;

		json_object_object_add(changed, name,
				       is_time ? time_forms[i].make(json_object_get_int64(value))
					       : json_object_get(value));
	}
	json_object_put(object);
	return changed;
}

static struct json_object *do_status_upper(const struct rule *rule, struct json_object *object)
{
	auto_free char *status =
		xstrdup(json_object_get_string(json_object_object_get(object, "status")));

	(void)rule;
	for (char *at = status; at && *at; at++)
		*at = (char)toupper((unsigned char)*at);
	json_object_object_add(object, "status", reply_string(status));
	return object;
}

/* Shows the statuses that "map" names by other names. */
static struct json_object *do_status_names(const struct rule *rule, struct json_object *object)
{
	struct json_object *map = rule_get(rule, "map"), *name;
	const char *status = json_object_get_string(json_object_object_get(object, "status"));

	if (status && json_object_object_get_ex(map, status, &name))
		json_object_object_add(object, "status", json_object_get(name));
	return object;
}

/* Gives members that "map" names other names. */
static struct json_object *do_rename(const struct rule *rule, struct json_object *object)
{
	struct json_object *map = rule_get(rule, "map"), *value;

	if (!json_object_is_type(map, json_type_object))
		return object;
	json_object_object_foreach(map, from, to)
	{
		if (!json_object_object_get_ex(object, from, &value))
			continue;
		json_object_object_add(object, json_object_get_string(to), json_object_get(value));
		json_object_object_del(object, from);
	}
	return object;
}

static struct json_object *do_counts_beside(const struct rule *rule, struct json_object *object)
{
	struct json_object *counts = json_object_get(json_object_object_get(object, "request_counts"));

	(void)rule;
	json_object_object_del(object, "request_counts");
	if (!counts)
		return object;
	json_object_object_foreach(counts, name, value)
		json_object_object_add(object, name, json_object_get(value));
	json_object_put(counts);
	return object;
}

static struct json_object *do_wrap(const struct rule *rule, struct json_object *object)
{
	struct json_object *outer = json_object_new_object();

	outer = do_set(rule, outer);
	json_object_object_add(outer, rule_text(rule, "member", "data"), object);
	return outer;
}

static struct json_object *do_bytes(const struct rule *rule, struct json_object *object)
{
	int64_t bytes = json_object_get_int64(json_object_object_get(object, "bytes"));

	json_object_object_add(object, "bytes",
			       json_object_new_int64(bytes + rule_number(rule, "off", 1)));
	return object;
}

#define SET(members) STAGE_OBJECT, {.object = do_set}, "{\"members\":" members "}"

/* clang-format off */
const struct action actions_objects[] = {
	{ "set",             SET("null") },
	{ "remove",          STAGE_OBJECT, { .object = do_remove }, "{\"names\":null}" },
	{ "omit_nulls",      STAGE_OBJECT, { .object = do_omit_nulls }, NULL },
	{ "extra_members",   SET("{\"x_future\":{\"deep\":[1,{\"er\":null}]},\"analytics\":\"\xc3\xa9\",\"api_key_id\":1e3}") },
	{ "no_metadata",     SET("{\"metadata\":null}") },
	{ "output_null",     SET("{\"output_file_id\":null}") },
	{ "errors_file_null", SET("{\"error_file_id\":null}") },
	{ "files_null",      SET("{\"output_file_id\":null,\"error_file_id\":null}") },
	{ "empty_ids",       STAGE_OBJECT, { .object = do_empty_ids }, NULL },
	{ "errors_null",     SET("{\"errors\":null}") },
	{ "errors_data_null", SET("{\"errors\":{\"object\":\"list\",\"data\":null}}") },
	{ "errors_array",    STAGE_OBJECT, { .object = do_errors_array }, NULL },
	{ "errors_strings",  STAGE_OBJECT, { .object = do_errors_strings }, NULL },
	{ "errors_string",   SET("{\"errors\":\"something went wrong\"}") },
	{ "no_counts",       STAGE_OBJECT, { .object = do_remove }, "{\"names\":[\"request_counts\"]}" },
	{ "null_counts",     SET("{\"request_counts\":{\"total\":null,\"completed\":null,\"failed\":null}}") },
	{ "counts_beside",   STAGE_OBJECT, { .object = do_counts_beside }, NULL },
	{ "zero_counts",     SET("{\"request_counts\":{\"total\":0,\"completed\":0,\"failed\":0}}") },
	{ "no_created_at",   STAGE_OBJECT, { .object = do_remove }, "{\"names\":[\"created_at\"]}" },
	{ "no_endpoint",     SET("{\"endpoint\":null}") },
	{ "no_status",       STAGE_OBJECT, { .object = do_remove }, "{\"names\":[\"status\"]}" },
	{ "times_iso",       STAGE_OBJECT, { .object = do_times }, "{\"form\":\"iso\"}" },
	{ "times_ms",        STAGE_OBJECT, { .object = do_times }, "{\"form\":\"ms\"}" },
	{ "times_float",     STAGE_OBJECT, { .object = do_times }, "{\"form\":\"float\"}" },
	{ "times_text",      STAGE_OBJECT, { .object = do_times }, "{\"form\":\"text\"}" },
	{ "status_upper",    STAGE_OBJECT, { .object = do_status_upper }, NULL },
	{ "status_names",    STAGE_OBJECT, { .object = do_status_names }, "{\"map\":null}" },
	{ "one_l",           STAGE_OBJECT, { .object = do_status_names }, "{\"map\":{\"cancelling\":\"canceling\",\"cancelled\":\"canceled\"}}" },
	{ "foreign_names",   STAGE_OBJECT, { .object = do_status_names }, "{\"map\":{\"validating\":\"in_queue\",\"in_progress\":\"running\",\"finalizing\":\"scheduling\",\"completed\":\"ended\"}}" },
	{ "unknown_status",  STAGE_OBJECT, { .object = do_status_names }, "{\"map\":{\"validating\":\"meditating\",\"in_progress\":\"meditating\",\"finalizing\":\"meditating\"}}" },
	{ "rename",          STAGE_OBJECT, { .object = do_rename }, "{\"map\":null}" },
	{ "file_validating", SET("{\"status\":\"validating\"}") },
	{ "bytes_differ",    STAGE_OBJECT, { .object = do_bytes }, "{\"off\":1}" },
	{ "wrap",            STAGE_OBJECT, { .object = do_wrap }, "{\"member\":\"data\",\"members\":null}" },
	{ "wrap_job",        STAGE_OBJECT, { .object = do_wrap }, "{\"member\":\"job\"}" },
	{ .name = NULL },
};
/* clang-format on */
