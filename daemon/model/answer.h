/*
 * One output line: whose it is, and what became of the request. Both result files of a batch
 * hold lines of this one form, and neither file's name is proof of anything: status_code 0, 4xx
 * and 5xx were seen in output files, and the error of an error line often stands in response.body.error.
 */
#ifndef BATCHD_MODEL_ANSWER_H
#define BATCHD_MODEL_ANSWER_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/model/scan.h"

enum answer_kind {
	ANSWER_OK,	  /* status_code 200 to 299 and no error */
	ANSWER_FAILED,	  /* final: the request will not do better */
	ANSWER_AGAIN,	  /* may do better: 408, 409, 425, 429, 5xx, status 0, request_timeout; costs an attempt */
	ANSWER_EXPIRED,	  /* batch_expired: never ran; costs no attempt */
	ANSWER_CANCELLED, /* batch_cancelled: never ran; costs no attempt */
};

struct answer {
	struct scan_span custom_id;
	enum answer_kind kind;
	int status; /* HTTP status, 0 when none is given */
	/* Of a failure, where the line has them; size 0 otherwise. The code may be a string, or a number as written. */
	struct scan_span error_code;
	struct scan_span error_message;
	int64_t input_tokens; /* of response.body.usage: prompt_tokens or input_tokens; -1 unknown */
	int64_t output_tokens; /* completion_tokens or output_tokens; -1 unknown */
};

/*
 * Reads one line (without its newline; a CR at its end is white space). Lenient where quirks.md and
 * section 3 of the API's facts say servers differ: no "response", no "error", error as a string or with integer
 * code, response.body as a string (then it is a success by status alone), the Together form {"custom_id","error"}.
 * Returns 0; -EBADMSG when it is no JSON object; -ENOENT when it has no custom_id string. ret_problem
 * (may be NULL) gets a constant phrase.
 */
int answer_parse(const char *line, size_t size, struct answer *ret_answer, const char **ret_problem);

/* "ok", "failed", "again", "expired", "cancelled". */
const char *answer_kind_name(enum answer_kind kind);

#endif
