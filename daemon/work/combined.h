/*
 * The combined form of results: one line for every request, whatever became of it.
 *	{"custom_id":"a","status":"ok","http_status":200,"answer":BODY,"error":null,"attempts":1,"shard":1}
 * status is ok, failed, invalid, missing, lost, expired, cancelled or refused. answer is the body
 * of a success as it came, else null; error is null for a success, else {"code","message"} in the
 * provider's words or ours, either of which may be null. An invalid one has the number of its input
 * line at the end, "line", from 1, the "param" of its error where there is one, and a custom_id of
 * null where none can be read. shard is null where a request was in none.
 */
#ifndef BATCHD_WORK_COMBINED_H
#define BATCHD_WORK_COMBINED_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/model/content.h"
#include "daemon/model/record.h"

struct buffer;
struct outcomes_shard;
struct row_id;

struct combined_row {
	const struct record_outcome *outcome; /* any but OUTCOME_NONE and OUTCOME_AGAIN */
	const struct outcomes_shard *shard;   /* that of the outcome; NULL: none */
	int64_t invalid_line; /* of the input, from 1, where that is what it is; else 0 */
	const struct row_id *id; /* NULL: as the answer line has it */
	/* Of an outcome that has an answer line: */
	const char *line;
	const struct content_parts *parts; /* of line */
};

#define COMBINED_TAIL 96

/* A line in three pieces, for the middle one may be long. */
struct combined {
	struct scan_span middle; /* of the answer line; may be empty */
	char tail[COMBINED_TAIL];
	size_t tail_size; /* newline included */
};

/*
 * Appends what stands before the middle to head, and tells the rest. line_size: of row->line.
 * -EBADMSG when that is no answer.
 */
int combined_line(struct buffer *head, const struct combined_row *row, size_t line_size,
		  struct combined *ret_combined);

#endif
