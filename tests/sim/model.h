/*
 * A Batch API to test against: the Files and Batch APIs as their official document has them, in
 * one module without sockets and without a clock of its own. A test calls it directly; the program
 * batch-api-sim puts it behind HTTP.
 *
 * It is an opponent, not a mirror: strict where the original is strict, and by its script as wicked
 * as any server that was ever seen. It keeps a ledger of all that was ever made and ever
 * answered, by which a test proves that nothing was sent twice.
 *
 * Paths: /v1/files..., /v1/batches..., or what a dialect has in place of /v1; and for tests
 *	POST /sim/script[?reset=1]	adds rules (README.md has the grammar)	GET /sim/script how
 *often each rule fired GET  /sim/ledger		what was made and answered GET
 * /sim/ledger/requests  the same by custom_id
 *	POST /sim/advance?ms=N		the clock jumps				POST /sim/reset
 *forgets everything
 *	POST /sim/foreign?count=N	adds ended batches of somebody else
 */
#ifndef BATCHD_TESTS_SIM_MODEL_H
#define BATCHD_TESTS_SIM_MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buffer.h"
#include "tests/sim/answers.h"

struct blob;
struct error;
struct sim;

/* All 0 or NULL: what the document says, with batches that take as long as the waits add up to. */
struct sim_config {
	const char *dialect;  /* what it speaks (dialects.c); NULL: the official one */
	const char *key;      /* asked for as "Authorization: Bearer KEY", or as the dialect wants; NULL: not asked for */
	int64_t validate_ms;  /* how long a batch is validating, */
	int64_t run_ms;       /* in_progress, */
	int64_t finalize_ms;  /* finalizing, */
	int64_t cancel_ms;    /* and cancelling */
	int64_t expire_ms;    /* after its creation; 0: 24 h */
	int64_t max_requests; /* of a batch; 0: 50,000 */
	int64_t max_bytes;    /* of an input file; 0: 200,000,000 */
	int64_t max_inputs;   /* embeddings of a batch; 0: 50,000 */
	int64_t enqueued_token_limit; /* of a model; 0: none */
	uint64_t seed;                /* of ids, orders and probabilities */
	struct answer_rules answers;
};

/*
 * A model that takes its time, in Unix milliseconds, from now_ms. config is copied, and with it
 * the key. NULL: there is no such dialect.
 */
struct sim *sim_new(const struct sim_config *config, int64_t (*now_ms)(void *context),
		    void *context);
void sim_free(struct sim *sim);

/* Adds rules to the script (README.md has the grammar), all of them or none. 0 or -EINVAL. */
int sim_add_script(struct sim *sim, const char *json, size_t size, struct error *err);

/* The fields of a multipart form, collected piece by piece. */
struct sim_form {
	char *names[8]; /* texts, in the order of their coming */
	char *values[8];
	size_t count;
	bool is_too_much; /* more or longer fields than any client has a reason to send */
	bool has_file;
	char *file_name; /* NULL: the part had none */
	struct buffer file;
};

/* One piece of a field, offset bytes from its start. */
void sim_form_add(struct sim_form *form, const char *name, const char *file_name, const char *data,
		  size_t size, uint64_t offset);
void sim_form_release(struct sim_form *form);

struct sim_request {
	const char *method;
	const char *path;                                      /* decoded, without the query */
	const char *(*query)(const char *name, void *context); /* NULL result: absent */
	const char *(*header)(const char *name, void *context);
	void *context;
	const char *body;
	size_t size;
	struct sim_form *form; /* NULL: the body is no form. Its file is taken */
};

struct sim_header {
	char *name;
	char *value;
};

enum { SIM_MAX_HEADERS = 16 };

/* What to do with the connection. */
enum sim_transport {
	SIM_WHOLE,  /* send the body, as every server does */
	SIM_STREAM, /* send it as the members below say */
	SIM_DROP,   /* close the connection, send nothing */
};

struct sim_answer {
	int status;
	char *content_type;
	struct sim_header headers[SIM_MAX_HEADERS];
	size_t header_count;
	struct blob *body; /* never NULL, except where nothing is sent */
	int64_t delay_ms;  /* wait so long before anything is sent */
	enum sim_transport transport;
	int64_t length;   /* SIM_STREAM: what Content-Length says; -1: chunked */
	size_t cut_at;    /* SIM_STREAM: close after so many bytes of the body; SIZE_MAX: never */
	size_t stall_at;  /* SIM_STREAM: after so many bytes */
	int64_t stall_ms; /* ... send nothing for so long */
	size_t piece;     /* SIM_STREAM: bytes at a time; 0: as many as the connection takes */
};

/* Whether a call is an upload, whose body is a form. */
bool sim_is_upload(const struct sim *sim, const char *method, const char *path);

/* Answers one request. The caller releases the answer. */
void sim_call(struct sim *sim, const struct sim_request *request, struct sim_answer *ret_answer);
void sim_answer_release(struct sim_answer *answer);

/* How many calls of this kind ("create") came; -1: there is no such kind. */
int64_t sim_calls(const struct sim *sim, const char *kind);

#endif
