/*
 * One call at the front door while it lasts, and the helpers of those that answer it. Inside of
 * daemon/door only.
 */
#ifndef BATCHD_DOOR_VISIT_H
#define BATCHD_DOOR_VISIT_H

#include <json-c/json_object.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/buffer.h"
#include "daemon/door/routes.h"
#include "daemon/model/job.h"

struct children;
struct decoder;
struct looking;
struct loop_timer;
struct provider;
struct route;
struct saving;
struct server_part;
struct store_file;
struct vault_writer;
struct visit;

struct door {
	struct door_parts parts;
	gid_t operators;
	bool has_operators;
	bool is_draining;
	int64_t started_at; /* Unix milliseconds */
	int64_t committed_seq; /* events up to here are on disk */
	struct visit *followers; /* visits that stream events, linked by next_follower */
	struct remembered *remembered; /* creates whose answer was not delivered */
	struct decoder *decoders; /* bodies that come packed, those with work in front */
	struct loop_timer *decode_timer;
	struct results *results; /* streams of results under way */
	struct children *children;
	struct saving *saving;	 /* the backup under way; NULL: none */
	struct looking *looking; /* the same of a look through the state folder */
	size_t json_bytes; /* of JSON bodies that are being received, all together */
};

/* What is done with a request's body. */
enum route_body {
	BODY_NONE,   /* ignored */
	BODY_JSON,   /* collected, up to PROTOCOL_MAX_JSON_BODY */
	BODY_STREAM, /* handed on as it comes */
	BODY_FORM,   /* multipart/form-data, handed on as it comes */
};

struct route {
	const char *method;
	const char *path; /* "*" stands for one segment, given as visit->id */
	const char *content_type; /* of the body, without parameters; NULL: any */
	enum route_body body;
	bool is_open; /* anybody who reaches the socket may ask */
	void (*begin)(struct visit *visit); /* the headers are there; may be NULL */
	void (*on_data)(struct visit *visit, const char *data, size_t size); /* BODY_STREAM */
	void (*on_part)(struct visit *visit, const struct server_part *part); /* BODY_FORM */
	void (*answer)(struct visit *visit); /* everything is there */
};

struct visit {
	struct door *door;
	struct exchange *exchange;
	const struct route *route;
	uid_t uid;
	bool is_operator;
	bool is_answered; /* a reply was given: the rest of the body is not for us */
	char *id; /* the path's variable segment */
	struct buffer body;
	void *own; /* of the function that answers; freed by own_free at the end */
	void (*own_free)(void *own);
	void (*on_undelivered)(struct visit *visit); /* the client did not get the answer */
	struct visit *next_follower;
};

/* A reply in the documented error shape. type NULL: "invalid_request_error". */
void visit_error(struct visit *visit, int status, const char *code, const char *param, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* A JSON reply; takes the object. */
void visit_json(struct visit *visit, int status, struct json_object *object);

/* A page of a list: takes data; first and last are the numbers of its ends, 0 when it is empty. */
void visit_page(struct visit *visit, struct json_object *data, const char *prefix, int64_t first, int64_t last,
		bool has_more);

/* Whether this is for operators, and the visitor is none: then the error is replied. */
bool visit_refuse_others(struct visit *visit);

/* The owner filter for lists: the visitor's uid, or -1 for an operator. */
int64_t visit_owner(const struct visit *visit);

/* The number in "batch_57", "57", "file-9"; 0 when it is none. */
int64_t visit_number(const char *text, const char *prefix);

/* The job that the path names, if the visitor may see it; else the error is replied and -ENOENT returned. */
int visit_job(struct visit *visit, struct job *ret_job);
/* A file by its id text, if the visitor may see it and it is not hidden nor expired; -ENOENT, nothing replied. */
int visit_find_file(struct visit *visit, const char *id, struct store_file *ret_file);

/* A whole number in a query parameter, between least and most; -EINVAL (and the error replied) when it is none. absent: fallback. */
int visit_query_number(struct visit *visit, const char *name, int64_t least, int64_t most, int64_t fallback,
		       int64_t *ret_number);
/* Whether a query parameter is "1" or "true". */
bool visit_query_flag(const struct visit *visit, const char *name);

/* Why nothing is accepted, and the status that says so; NULL while all is well. */
const char *door_refusal(const struct door *door, int *ret_status);
/* Whether this body is accepted now; if not, the reply (413, 415, 503, 507) is given. Packed ones are where bodies are streamed. */
bool visit_may_store(struct visit *visit);
/* Appends to what is being received. On any failure the reply is given and the writer dropped, with what it wrote. */
void visit_write(struct visit *visit, struct vault_writer **writer, const char *data, size_t size);
/* Whether a file name is fit to be kept: UTF-8, not too long. */
bool visit_name_is_right(const char *name);
/* Makes a file of what was received: its row and its bytes; frees the writer. false: the reply is given, nothing is kept. */
bool visit_keep_file(struct visit *visit, struct store_file *file, struct vault_writer *writer);

/* The documented batch object. with_shards: retrieve shows them. */
struct json_object *batch_object(struct door *door, const struct job *job, bool with_shards);

/* How a provider does: its state, why, and until when. */
void provider_add_health(struct json_object *object, struct provider *provider, int64_t now);

/* A client's JSON, strictly parsed; NULL when it is none (or null). */
struct json_object *json_parse(const char *text, size_t size);

/* An object that is put at the end of its scope. */
static inline void cleanup_json(struct json_object **object)
{
	json_object_put(*object);
}
#define auto_json __attribute__((cleanup(cleanup_json))) struct json_object

/* json-c's constructors with NULL, or 0, as null. */
struct json_object *json_text(const char *text);
struct json_object *json_seconds(int64_t ms);
struct json_object *json_id(const char *prefix, int64_t number);
/* The array of a list of names (model/names.h). */
struct json_object *json_names(const char *list);

/* The routes' functions. */
void batches_create_begin(struct visit *visit);
void batches_create(struct visit *visit);
void batches_list(struct visit *visit);
void batches_get(struct visit *visit);
void batches_cancel(struct visit *visit);
void batches_hold(struct visit *visit);
void batches_release(struct visit *visit);
void batches_set(struct visit *visit);
void batches_resolve(struct visit *visit);
void batches_retry(struct visit *visit);
void batches_results(struct visit *visit);
void submit_begin(struct visit *visit);
void submit_data(struct visit *visit, const char *data, size_t size);
void submit_answer(struct visit *visit);
void files_upload_begin(struct visit *visit);
void files_upload_part(struct visit *visit, const struct server_part *part);
void files_upload(struct visit *visit);
void files_list(struct visit *visit);
void files_get(struct visit *visit);
void files_delete(struct visit *visit);
void files_content(struct visit *visit);
void events_get(struct visit *visit);
void service_daemon(struct visit *visit);
void service_health(struct visit *visit);
void daemon_backup(struct visit *visit);
void daemon_pause(struct visit *visit);
void daemon_resume(struct visit *visit);
void daemon_verify(struct visit *visit);

/* Streams that follow wake up. */
void events_wake(struct door *door, int64_t job);

/* Answers with the bytes of a file, whole or as Range asks. */
void visit_file_bytes(struct visit *visit, int64_t file, const char *content_type);

#endif
