/*
 * One input line: its fields, and all that can be wrong with it. The rules are the provider's
 * (one bad line fails a whole batch there, after minutes), checked here before anything is sent.
 */
#ifndef BATCHD_MODEL_REQUEST_H
#define BATCHD_MODEL_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/scan.h"

#define REQUEST_MAX_CUSTOM_ID 1024 /* bytes, as written; no provider documents a limit above 64 */
#define REQUEST_MAX_URL 256
#define REQUEST_MAX_MODEL 512
#define REQUEST_MAX_LINE (16u << 20) /* bytes without the newline: a line is held whole while it is checked */

/*
 * Spans are offsets into the line; of strings, what stands between the quotes, and 0, 0 where there
 * is none.
 */
struct request {
	struct scan_span custom_id;
	struct scan_span url;
	struct scan_span model; /* of body.model */
	struct scan_span body;	/* the whole object, with its braces; of a bare one, white space before it too */
	uint32_t inputs;	/* what counts as embedding inputs: elements of an array "input" of strings or
				   arrays; 1 for a string or an array of token numbers; 0 without "input" */
	size_t inside;		/* the place behind the opening brace of the line */
};

/* Why a line was refused, in the documented shape of a batch error. */
struct request_flaw {
	const char *code;  /* constant: "invalid_json_line", "missing_required_parameter", "invalid_type", ... */
	const char *param; /* constant: "custom_id", "body.model", ...; NULL when none is to blame */
	char message[256]; /* a sentence with a full stop, as the provider writes it */
};

/*
 * Checks one line (without its newline; a CR at its end is white space) and finds its fields.
 * Returns 0, or -EBADMSG with *ret_flaw filled. Refused, with the provider's codes and texts where
 * it has them (batch errors of the official API):
 *	no JSON, no object, BOM, empty or blank line		invalid_json_line ("This line is not parseable as valid
 *								JSON." and behind it what and at which column)
 *	custom_id, method, url, body missing			missing_required_parameter "Missing required parameter: 'url'."
 *	one of them of the wrong type, an empty custom_id, a member twice	invalid_type, invalid_value, duplicate_parameter
 *	method other than POST					invalid_method
 *	url not on the list (request_url_is_known)		url_not_found "The provided url '...' is not supported by the Batch API."
 *	body without model					missing_required_parameter, param body.model
 *	"stream": true in the body				streaming_unsupported
 *	custom_id, url, model longer than the limits above	invalid_value
 * Members nobody knows, at the top or in the body, are no flaw.
 */
int request_parse(const char *line, size_t size, struct request *ret_request,
		  struct request_flaw *ret_flaw);

/*
 * The same for a line whose custom_id will be made: it may be missing, and any string will do. Of
 * another type it is refused all the same.
 */
int request_parse_numbered(const char *line, size_t size, struct request *ret_request,
			   struct request_flaw *ret_flaw);

/*
 * The same for a line that is a bare body, to be sent to url; with has_model it need not name a
 * model. An object without a member is refused ("invalid_value", param body).
 */
int request_parse_body(const char *line, size_t size, const char *url, bool has_model,
		       struct request *ret_request, struct request_flaw *ret_flaw);

/*
 * The custom_id of a line that may be wrong: 0 when one can be told, else -ENOENT. What stands
 * before the fault is enough.
 */
int request_find_id(const char *line, size_t size, struct scan_span *ret_id);

/* Fills in a flaw; returns -EBADMSG, so that a refusal is one statement. The message is cut where it is too long. */
int request_refuse(struct request_flaw *flaw, const char *code, const char *param, const char *format, ...)
	__attribute__((cold, format(printf, 4, 5)));

/* The endpoints of createBatch (official document): responses, chat/completions, embeddings, completions,
   moderations, images/generations, images/edits, videos, each with /v1/ before it. */
int request_url_is_known(const char *url, size_t size);

/* The i-th known endpoint, NULL after the last. */
const char *request_url(size_t index);

#endif
