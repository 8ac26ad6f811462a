/*
 * What the model remembers; for the files of the model, and for a judge that must not ask it. Everything
 * lives as long as the model: a deleted file leaves its id, an ended batch its object.
 */
#ifndef BATCHD_TESTS_SIM_STATE_H
#define BATCHD_TESTS_SIM_STATE_H

#include "tests/sim/actions.h"
#include "tests/sim/model.h"
#include "tests/sim/table.h"

struct json_object;
struct sim_dialect;

enum status {
	STATUS_VALIDATING,
	STATUS_IN_PROGRESS,
	STATUS_FINALIZING,
	STATUS_CANCELLING,
	STATUS_FAILED, /* from here on they are final */
	STATUS_COMPLETED,
	STATUS_EXPIRED,
	STATUS_CANCELLED,
	STATUS_COUNT,
};

struct file {
	char *id;
	char *name;
	const char *purpose;
	struct blob *blob; /* NULL: deleted */
	int64_t created_ms;
	int64_t expires_ms;
};

/* One request of a batch: where its line lies, and its number in the ledger. */
struct row {
	size_t offset;
	uint32_t size;
	uint32_t request;
};

struct batch {
	char *id;
	const char *endpoint;
	char *input_file_id;
	char *input_name; /* of the file, for the script's patterns; NULL: no such file */
	struct blob *input;
	struct json_object *metadata;
	int64_t output_lifetime_s; /* 0: the default */
	struct plan plan;
	enum status status;
	int64_t created_ms;
	int64_t since_ms[STATUS_COUNT]; /* when it came into each status; 0: never */
	bool was_finalizing;            /* when the cancel came: too late */
	struct json_object *errors;
	char *model;
	struct row *rows;
	uint32_t *order; /* in which they are worked off */
	size_t count;
	size_t done, failed; /* final, once it ended */
	int64_t tokens;      /* enqueued until it ends */
	struct answer_usage usage;
	char *output_file_id, *error_file_id;
};

/* By the number of a custom_id in sim->requests. */
struct request_count {
	uint32_t batches;
	uint32_t answered;
};

struct sim {
	struct sim_config config;
	const struct sim_dialect *dialect;
	int64_t (*clock)(void *context);
	void *context;
	int64_t ahead_ms; /* how far the clock was pushed */
	int64_t now_ms;   /* of the call under way */
	uint64_t dice;
	uint64_t serial; /* of calls, for x-request-id */
	struct script *script;

	struct table file_ids;
	struct file **files;
	struct table batch_ids;
	struct batch **batches;
	int64_t next_due_ms; /* before it no batch changes by itself */

	struct table requests;
	struct request_count *request_counts;
	size_t request_capacity;
	int64_t requests_answered;
	int64_t requests_succeeded;
	int64_t files_created, files_deleted;
	int64_t calls[CALL_COUNT];
	int64_t unauthorized;
};

/* A call under way: what was asked, and whom it concerns. */
struct context {
	struct sim *sim;
	const struct sim_request *request;
	const char *id; /* from the path; NULL: none */
	struct subject subject;
	struct sim_answer *answer;
};

/* --- model.c --- */

/* 64 bits from the seed. */
uint64_t sim_random(struct sim *sim);

/* A new id: the prefix and size digits and letters. The caller frees. */
char *sim_make_id(struct sim *sim, enum call call, const char *prefix, size_t size,
		  const char *alphabet);

/* Applies the rules for objects; takes the object, returns the one to show. */
struct json_object *sim_dress(struct sim *sim, const struct subject *subject,
			      struct json_object *object);

/* Forgets all rules but those of the dialect. */
void sim_clear_script(struct sim *sim);

/* Reads a query number between low and high, or answers 400 and is false. */
bool sim_query_number(struct context *context, const char *name, int64_t otherwise, int64_t low,
		      int64_t high, int64_t *ret_number);

/* Puts the page of a list together, first and last id included; takes data. */
struct json_object *sim_list_object(const struct list_view *view, struct json_object *data,
				    bool has_more);

/* What the rules want of this list. */
struct list_view sim_list_view(struct context *context);

/* --- files.c --- */

void files_upload(struct context *context);
void files_list(struct context *context);
void files_retrieve(struct context *context);
void files_content(struct context *context);
void files_delete(struct context *context);

/* A new file; takes the blob. lifetime_s 0: as documented. Lives as long as the model. */
struct file *files_add(struct sim *sim, const char *purpose, const char *name, struct blob *blob,
		       int64_t created_ms, int64_t lifetime_s);

/* A file that is there and not deleted, or NULL. */
struct file *files_find(struct sim *sim, const char *id);
/* Whether the API has taken it in by now. */
bool files_are_ready(const struct sim *sim, const struct file *file);
void files_free(struct sim *sim);

/* --- batches.c --- */

void batches_create(struct context *context);
void batches_list(struct context *context);
void batches_retrieve(struct context *context);
void batches_cancel(struct context *context);

/* Adds batches that somebody else made now, and that have ended. */
void batches_add_foreign(struct sim *sim, int64_t count);

const char *batches_status_name(enum status status);
void batches_free(struct sim *sim);

/* --- course.c: batches as time goes by --- */

/* Brings all batches to sim->now_ms. */
void course_step(struct sim *sim);

/* A batch is new, or its status was changed from outside. */
void course_touch(struct sim *sim, const struct batch *batch);

/* How many requests of a batch in progress are done at a time. */
size_t course_done(const struct batch *batch, int64_t now_ms);

/* --- validate.c --- */

/* Reads the input: fills rows, model and tokens, or errors. */
void validate_input(struct sim *sim, struct batch *batch);

/* Makes the batch's errors: one, batch-wide or of a line (0: none). Texts may be NULL. */
void validate_add_error(struct batch *batch, const char *code, const char *message,
			const char *param, int64_t line);

/* --- results.c --- */

/* Draws the order in which the rows are worked off. */
void results_shuffle(struct sim *sim, struct batch *batch);

/* Writes both files of a batch that ended at at_ms, when done of its rows were worked off. */
void results_write(struct sim *sim, struct batch *batch, size_t done, int64_t at_ms);

/* --- control.c --- */

/* Answers what lies under /sim; false: there is no such path. */
bool control_call(struct context *context);

#endif
