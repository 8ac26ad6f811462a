/*
 * What providers write, read leniently: one place for all that compatible servers do differently
 * in small types. Statuses in capitals or with other names, times as seconds, milliseconds, floats or text, errors as objects,
 * lists, strings or nothing, ids that are "", wrappers around the object. An unknown status is kept and is not terminal.
 */
#ifndef BATCHD_WORK_API_PARSE_H
#define BATCHD_WORK_API_PARSE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/scan.h"
#include "daemon/work/api_status.h"

struct error;

/* Strings are owned; NULL where absent, null or "". */
struct api_batch {
	char *id;
	char *status_text; /* as it came; "-" where there was none */
	enum api_status status;
	char *input_file_id;
	char *output_file_id;
	char *error_file_id;
	int64_t completed; /* of request_counts, or beside it; -1 where unknown */
	int64_t failed;
	int64_t created_at; /* Unix milliseconds; 0 where unknown */
	char *marker;	    /* metadata.batchd */
	bool has_metadata;  /* metadata came back as an object with at least one member */
	char *error_code;   /* of the first of its errors */
	char *error_param;
	char *error_message;
	int64_t error_line; /* 0: it is of no line */
	int64_t error_count;
	struct scan_span errors; /* where all of them stand in the text, for api_errors_init; size 0: nowhere */
	const char *text; /* while a list is visited: the object as it stands there, not terminated; else NULL */
	size_t text_size;
};

struct api_file {
	char *id;
	char *name;
	char *purpose;
	char *status;
	int64_t bytes;	    /* -1 where unknown */
	int64_t created_at; /* Unix milliseconds; 0 where unknown */
};

struct api_error {
	char *code;
	char *message; /* the provider's own words, at most 400 bytes; never NULL */
};

/* The metadata key that carries a shard's marker. */
#define API_MARKER_KEY "batchd"

/*
 * Each returns 0, or -EBADMSG when the text is not such an object (a batch and a file must have an id). A batch and a list may be long,
 * for they hold an error for every line that is wrong: no tree is made of them.
 */
int api_parse_batch(const char *json, size_t size, struct api_batch *ret_batch, struct error *err);
int api_parse_file(const char *json, size_t size, struct api_file *ret_file, struct error *err);
/*
 * A page of batches: calls visit for each (one without an id is left out). ret_has_more: 1, 0, or -1 where the answer
 * does not tell. ret_last_id: id of the last one, to go on after; the caller frees; NULL on an empty page.
 */
int api_parse_list(const char *json, size_t size, void (*visit)(const struct api_batch *batch, void *context),
		   void *context, int *ret_has_more, char **ret_last_id, struct error *err);
/* The same for a page of files. */
int api_parse_files(const char *json, size_t size, void (*visit)(const struct api_file *file, void *context),
		    void *context, int *ret_has_more, char **ret_last_id, struct error *err);
/* Any body of a refusal: JSON of every known shape, HTML, plain text, nothing. Never fails. */
void api_parse_error(const char *body, size_t size, struct api_error *ret_error);

void api_batch_release(struct api_batch *batch);
void api_file_release(struct api_file *file);
void api_error_release(struct api_error *error);

#endif
