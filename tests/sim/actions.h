/*
 * All that a script can do, as rows of tables: a name, the stage at which it acts, its function,
 * and default parameters. A quirk that differs from another by its parameters alone is one more
 * row. README.md lists them.
 */
#ifndef BATCHD_TESTS_SIM_ACTIONS_H
#define BATCHD_TESTS_SIM_ACTIONS_H

#include "tests/sim/script.h"

struct buffer;
struct json_object;
struct sim_answer;

/* What shall become of a batch; set from the configuration, changed by rules. */
struct plan {
	int64_t validate_ms, run_ms, finalize_ms, cancel_ms, expire_ms;
	char *stuck_in;               /* a status it never leaves by itself; NULL: none */
	char *code, *message, *param; /* validation fails with these; code NULL: it does not */
	int64_t line;                 /* ... and this line; 0: none */
	char *lines;                  /* ... or each of these, "2,5"; NULL: none */
	bool fails_running;           /* ... not in validation but half-way */
	bool completes_on_cancel;
	int64_t expire_percent; /* expires when so much is done; -1: by the clock alone */
};

/* How a list is put together, and how it is wrapped. */
struct list_view {
	int64_t hide_younger_ms;
	bool is_empty, ignores_after, overlaps;
	bool ignores_order, ignores_purpose; /* of files */
	bool is_bare, has_no_more, has_no_ends, always_more;
};

/* One line of a result, before it is written. */
struct row_view {
	struct json_object *line;
	bool in_error_file;
	int64_t copies;
	char *raw;       /* instead of the line; no newline. NULL: the line */
	bool is_escaped; /* custom_id with every character as \uXXXX */
};

struct action {
	const char *name;
	enum stage stage;
	union {
		/* Fills the answer. */
		void (*call)(const struct rule *rule, const struct subject *subject,
			     struct sim_answer *answer);
		void (*batch)(const struct rule *rule, const struct subject *subject,
			      struct plan *plan);
		void (*row)(const struct rule *rule, struct row_view *row);
		void (*list)(const struct rule *rule, struct list_view *view);
		/* Takes the object, returns the one to show. */
		struct json_object *(*object)(const struct rule *rule, struct json_object *object);
	} run;
	const char *defaults; /* a JSON object; NULL: none */
};

/* One table each; the last row has no name. */
extern const struct action actions_calls[];
extern const struct action actions_objects[];
extern const struct action actions_results[];

/* The action of a name, or NULL. */
const struct action *action_find(const char *name);

void plan_release(struct plan *plan);

#endif
