#include "tests/sim/script.h"

#include <errno.h>
#include <fnmatch.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/sim/actions.h"

enum { MAX_RULES = 1000, MAX_TEXT = 4 << 20 };

struct rule {
	const struct action *action;
	struct json_object *text;
	struct json_object *defaults;
	unsigned calls; /* a bit each */
	int64_t nth, from, count, every;
	double probability;
	uint64_t dice;
	int64_t younger_ms, ended_ms, larger_than, row, paged;
	const char *batch, *file, *custom_id; /* globs, inside text */
	int64_t seen, fired;
};

struct script {
	struct rule **rules;
	size_t count;
	uint64_t seed;
};

/* clang-format off */
static const char *const call_names[CALL_COUNT] = {
	[CALL_UPLOAD] = "upload", [CALL_FILES] = "files", [CALL_FILE] = "file",
	[CALL_CONTENT] = "content", [CALL_DELETE] = "delete", [CALL_CREATE] = "create",
	[CALL_LIST] = "list", [CALL_RETRIEVE] = "retrieve", [CALL_CANCEL] = "cancel",
};
/* clang-format on */

/* The members that say when a rule fires; all others are parameters of its action. */
static const char *const match_names[] = {
	"action",      "call",  "nth",        "from",      "count",       "every",
	"probability", "seed",  "younger_ms", "ended_ms",  "larger_than", "row",
	"paged",       "batch", "file",       "custom_id", "comment",
};

static void rule_free(struct rule *rule)
{
	json_object_put(rule->text);
	json_object_put(rule->defaults);
	free(rule);
}

static int add_call(struct rule *rule, const char *name, struct error *err)
{
	for (unsigned i = 0; i < CALL_COUNT; i++) {
		if (strcmp(call_names[i], name))
			continue;
		rule->calls |= 1u << i;
		return 0;
	}
	return error_set(err, -EINVAL, "there is no call \"%s\"", name);
}

/* "create", or ["create", "cancel"]; absent or "any": all. */
static int read_calls(struct rule *rule, struct error *err)
{
	struct json_object *calls = json_object_object_get(rule->text, "call");
	size_t count;

	if (!calls || !strcmp(json_object_get_string(calls), "any")) {
		rule->calls = (1u << CALL_COUNT) - 1;
		return 0;
	}
	if (!json_object_is_type(calls, json_type_array))
		return add_call(rule, json_object_get_string(calls), err);
	count = json_object_array_length(calls);
	for (size_t i = 0; i < count; i++) {
		const char *name = json_object_get_string(json_object_array_get_idx(calls, i));
		int error = add_call(rule, name ? name : "null", err);

		if (error)
			return error;
	}
	return 0;
}

static int read_action(struct rule *rule, struct error *err)
{
	const char *name = rule_text(rule, "action", NULL);

	if (!name)
		return error_set(err, -EINVAL, "\"action\" is missing");
	rule->action = action_find(name);
	if (!rule->action)
		return error_set(err, -EINVAL, "there is no action \"%s\"", name);
	if (rule->action->defaults)
		rule->defaults = json_tokener_parse(rule->action->defaults);
	return 0;
}

static bool is_known(const struct rule *rule, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(match_names); i++)
		if (!strcmp(match_names[i], name))
			return true;
	return rule->defaults && json_object_object_get_ex(rule->defaults, name, NULL);
}

/* A rule with a slip of the pen would never fire, and its test would pass for ever. */
static int check_names(const struct rule *rule, struct error *err)
{
	struct json_object_iterator at = json_object_iter_begin(rule->text);
	struct json_object_iterator end = json_object_iter_end(rule->text);

	for (; !json_object_iter_equal(&at, &end); json_object_iter_next(&at)) {
		const char *name = json_object_iter_peek_name(&at);

		if (!is_known(rule, name))
			return error_set(err, -EINVAL, "the action \"%s\" has no \"%s\"",
					 rule->action->name, name);
	}
	return 0;
}

static void read_matches(struct rule *rule)
{
	struct json_object *probability = json_object_object_get(rule->text, "probability");

	rule->nth = rule_number(rule, "nth", 0);
	rule->from = rule_number(rule, "from", 1);
	rule->count = rule_number(rule, "count", INT64_MAX);
	rule->every = rule_number(rule, "every", 1);
	rule->row = rule_number(rule, "row", 0);
	rule->paged = rule_number(rule, "paged", 0);
	rule->younger_ms = rule_number(rule, "younger_ms", INT64_MAX);
	rule->ended_ms = rule_number(rule, "ended_ms", -1);
	rule->larger_than = rule_number(rule, "larger_than", -1);
	rule->batch = rule_text(rule, "batch", NULL);
	rule->file = rule_text(rule, "file", NULL);
	rule->custom_id = rule_text(rule, "custom_id", NULL);
	rule->probability = probability ? json_object_get_double(probability) : 1;
}

static int rule_new(struct script *script, struct json_object *text, struct rule **ret_rule,
		    struct error *err)
{
	struct rule *rule = xcalloc(1, sizeof(*rule));
	int error = 0;

	rule->text = json_object_get(text);
	if (!json_object_is_type(text, json_type_object))
		error = error_set(err, -EINVAL, "it is not an object");
	if (!error)
		error = read_action(rule, err);
	if (!error)
		error = read_calls(rule, err);
	if (!error)
		error = check_names(rule, err);
	if (error) {
		rule_free(rule);
		return error;
	}
	read_matches(rule);
	rule->dice = (uint64_t)rule_number(rule, "seed", (int64_t)(script->seed + script->count));
	*ret_rule = rule;
	return 0;
}

/* splitmix64, by Sebastiano Vigna (public domain): every seed gives another good sequence. */
static double throw_dice(struct rule *rule)
{
	uint64_t bits = rule->dice += 0x9e3779b97f4a7c15u;

	bits = (bits ^ bits >> 30) * 0xbf58476d1ce4e5b9u;
	bits = (bits ^ bits >> 27) * 0x94d049bb133111ebu;
	bits ^= bits >> 31;
	return (double)(bits >> 11) / (double)(1ull << 53);
}

static bool is_like(const char *pattern, const char *text, const char *other)
{
	if (!pattern)
		return true;
	return (text && !fnmatch(pattern, text, 0)) || (other && !fnmatch(pattern, other, 0));
}

static bool is_match(const struct rule *rule, const struct subject *subject)
{
	if (!(rule->calls & 1u << subject->call) && rule->action->stage != STAGE_ROW)
		return false;
	if ((rule->row && rule->row != subject->row) || (rule->paged && !subject->is_paged))
		return false;
	if (rule->younger_ms != INT64_MAX && subject->age_ms >= rule->younger_ms)
		return false;
	if (rule->ended_ms >= 0 && (subject->ended_ms < 0 || subject->ended_ms >= rule->ended_ms))
		return false;
	if (rule->larger_than >= 0 && subject->size <= rule->larger_than)
		return false;
	return is_like(rule->batch, subject->batch, NULL) &&
	       is_like(rule->file, subject->file, subject->file_name) &&
	       is_like(rule->custom_id, subject->custom_id, NULL);
}

static bool fires(struct rule *rule, const struct subject *subject)
{
	if (!is_match(rule, subject))
		return false;
	rule->seen++;
	if (rule->nth ? rule->seen != rule->nth : rule->seen < rule->from)
		return false;
	if (rule->every > 1 && rule->seen % rule->every)
		return false;
	if (rule->fired >= rule->count)
		return false;
	if (rule->probability < 1 && throw_dice(rule) >= rule->probability)
		return false;
	rule->fired++;
	return true;
}

/* An array of rules, an object with the member "rules", or one rule alone. */
static int parse_rules(struct script *script, struct json_object *text, struct rule ***ret_rules,
		       size_t *ret_count, struct error *err)
{
	struct json_object *list = NULL;
	size_t count;
	bool is_list = json_object_is_type(text, json_type_array);

	if (is_list)
		list = text;
	else if (json_object_object_get_ex(text, "rules", &list))
		is_list = json_object_is_type(list, json_type_array);
	count = is_list ? json_object_array_length(list) : 1;
	if (count + script->count > MAX_RULES)
		return error_set(err, -EINVAL, "more than %d rules", MAX_RULES);
	*ret_rules = xcalloc(count, sizeof(**ret_rules));
	for (*ret_count = 0; *ret_count < count; ++*ret_count) {
		struct json_object *one =
			is_list ? json_object_array_get_idx(list, *ret_count) : text;
		int error = rule_new(script, one, &(*ret_rules)[*ret_count], err);

		if (error)
			return error_prefix(err, "rule %zu", *ret_count + 1);
	}
	return 0;
}

static int parse_text(const char *json, size_t size, struct json_object **ret_text,
		      struct error *err)
{
	struct json_tokener *tokener;
	struct json_object *text;
	enum json_tokener_error error;

	if (size > MAX_TEXT)
		return error_set(err, -EINVAL, "a script of %zu bytes is too long", size);
	tokener = json_tokener_new();
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT);
	text = json_tokener_parse_ex(tokener, json, (int)size);
	error = json_tokener_get_error(tokener);
	if (!text)
		(void)error_set(err, -EINVAL, "not JSON: %s",
				error == json_tokener_continue ? "it is cut off"
							       : json_tokener_error_desc(error));
	json_tokener_free(tokener);
	*ret_text = text;
	return text ? 0 : -EINVAL;
}

int script_add(struct script *script, const char *json, size_t size, struct error *err)
{
	struct json_object *text = NULL;
	auto_free struct rule **rules = NULL;
	size_t count = 0;
	int error = parse_text(json, size, &text, err);

	if (!error)
		error = parse_rules(script, text, &rules, &count, err);
	json_object_put(text);
	if (error) {
		for (size_t i = 0; i < count; i++)
			rule_free(rules[i]);
		return error;
	}
	script->rules = xreallocarray(script->rules, script->count + count, sizeof(struct rule *));
	for (size_t i = 0; i < count; i++)
		script->rules[script->count++] = rules[i];
	return 0;
}

struct script *script_new(uint64_t seed)
{
	struct script *script = xcalloc(1, sizeof(*script));

	script->seed = seed;
	return script;
}

void script_clear(struct script *script)
{
	for (size_t i = 0; i < script->count; i++)
		rule_free(script->rules[i]);
	script->count = 0;
}

void script_free(struct script *script)
{
	if (!script)
		return;
	script_clear(script);
	free(script->rules);
	free(script);
}

bool script_has(const struct script *script, enum stage stage)
{
	for (size_t i = 0; i < script->count; i++)
		if (script->rules[i]->action->stage == stage)
			return true;
	return false;
}

const struct rule *script_next(struct script *script, enum stage stage,
			       const struct subject *subject, const struct rule *previous)
{
	size_t i = 0;

	if (previous) {
		while (script->rules[i] != previous)
			i++;
		i++;
	}
	for (; i < script->count; i++)
		if (script->rules[i]->action->stage == stage && fires(script->rules[i], subject))
			return script->rules[i];
	return NULL;
}

struct json_object *script_report(const struct script *script)
{
	struct json_object *report = json_object_new_array();

	for (size_t i = 0; i < script->count; i++) {
		struct json_object *row = json_object_new_object();

		json_object_object_add(row, "rule", json_object_get(script->rules[i]->text));
		json_object_object_add(row, "seen", json_object_new_int64(script->rules[i]->seen));
		json_object_object_add(row, "fired",
				       json_object_new_int64(script->rules[i]->fired));
		json_object_array_add(report, row);
	}
	return report;
}

const char *script_call_name(enum call call)
{
	return call_names[call];
}

const struct action *rule_action(const struct rule *rule)
{
	return rule->action;
}

struct json_object *rule_get(const struct rule *rule, const char *name)
{
	struct json_object *value;

	if (json_object_object_get_ex(rule->text, name, &value))
		return value;
	return rule->defaults ? json_object_object_get(rule->defaults, name) : NULL;
}

const char *rule_text(const struct rule *rule, const char *name, const char *otherwise)
{
	struct json_object *value = rule_get(rule, name);

	return value ? json_object_get_string(value) : otherwise;
}

int64_t rule_number(const struct rule *rule, const char *name, int64_t otherwise)
{
	struct json_object *value = rule_get(rule, name);

	return value ? json_object_get_int64(value) : otherwise;
}
