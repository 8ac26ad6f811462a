/*
 * The script of misbehaviour: rules, each with what it matches and what it does then. The text of
 * a rule is a JSON object; README.md has the grammar. What a rule does is an action, a row in a
 * table (actions.h).
 */
#ifndef BATCHD_TESTS_SIM_SCRIPT_H
#define BATCHD_TESTS_SIM_SCRIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct action;
struct error;
struct json_object;
struct rule;
struct script;

/* The calls of the API; the names of a rule's "call" stand in script_call_name. */
enum call {
	CALL_UPLOAD,
	CALL_FILES,
	CALL_FILE,
	CALL_CONTENT,
	CALL_DELETE,
	CALL_CREATE,
	CALL_LIST,
	CALL_RETRIEVE,
	CALL_CANCEL,
	CALL_COUNT,
};

/* When a rule acts. */
enum stage {
	STAGE_BEFORE, /* instead of the call */
	STAGE_ID,     /* when an id is made */
	STAGE_BATCH,  /* when a batch is created: what shall become of it */
	STAGE_ROW,    /* when a line of a result is prepared */
	STAGE_LIST,   /* when a list is put together */
	STAGE_OBJECT, /* when a batch or a file is shown */
	STAGE_AFTER,  /* when the answer is ready */
	STAGE_COUNT,
};

/* What a rule is compared with; what is not known is NULL or -1. */
struct subject {
	enum call call;
	const char *batch;     /* id */
	const char *file;      /* id of the file, or of the batch's input */
	const char *file_name; /* ... and its name */
	const char *custom_id;
	int64_t row;      /* of the input, from 1 */
	int64_t age_ms;   /* since the object was created */
	int64_t ended_ms; /* since the batch ended; -1: it did not */
	int64_t size;     /* bytes of an upload */
	int64_t now_ms;
	const char *range;    /* the headers of these names */
	const char *if_range;
	bool is_paged;     /* the query has "after" */
};

struct script *script_new(uint64_t seed);
void script_free(struct script *script);

/* Forgets all rules. */
void script_clear(struct script *script);

/* Adds the rules of a text, all or none. 0 or -EINVAL with a sentence that says which rule is
 * wrong. */
int script_add(struct script *script, const char *json, size_t size, struct error *err);

/* Whether there is any rule for a stage. */
bool script_has(const struct script *script, enum stage stage);

/* The next rule behind previous (NULL: the first) that fires at this stage for this subject, or
 * NULL. */
const struct rule *script_next(struct script *script, enum stage stage,
			       const struct subject *subject, const struct rule *previous);

/* Each rule with how often it matched ("seen") and fired, as an array; the caller puts it. */
struct json_object *script_report(const struct script *script);

/* A call's name in rules and in the ledger. */
const char *script_call_name(enum call call);

/* --- a rule that fired --- */

const struct action *rule_action(const struct rule *rule);

/* A parameter: the rule's own, else the default of its action, else NULL. */
struct json_object *rule_get(const struct rule *rule, const char *name);
const char *rule_text(const struct rule *rule, const char *name, const char *otherwise);
int64_t rule_number(const struct rule *rule, const char *name, int64_t otherwise);

#endif
