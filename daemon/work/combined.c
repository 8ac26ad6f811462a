#include "daemon/work/combined.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>

#include "daemon/base/buffer.h"
#include "daemon/model/answer.h"
#include "daemon/work/row_id.h"
#include "daemon/work/unanswered.h"

/* clang-format off */
static const char *const statuses[] = {
	[OUTCOME_OK]        = "ok",
	[OUTCOME_FAILED]    = "failed",
	[OUTCOME_EXPIRED]   = "expired",
	[OUTCOME_CANCELLED] = "cancelled",
	[OUTCOME_MISSING]   = "missing",
	[OUTCOME_REFUSED]   = "refused",
	[OUTCOME_LOST]      = "lost",
};
/* clang-format on */

static void add_span(struct buffer *buffer, const char *line, struct scan_span span)
{
	buffer_add(buffer, line + span.at, span.size);
}

static void add_id(struct buffer *head, const struct combined_row *row)
{
	if (row->id) {
		buffer_add(head, row->id->quoted, row->id->size);
	} else if (row->parts->custom_id.size) {
		buffer_add(head, "\"", 1);
		add_span(head, row->line, row->parts->custom_id);
		buffer_add(head, "\"", 1);
	} else {
		buffer_add_text(head, "null");
	}
}

/* The error of a failure that has a line: up to the message, which is told by its place. */
static int add_failure(struct buffer *head, const struct combined_row *row, size_t line_size,
		       struct combined *combined)
{
	struct answer answer;

	if (answer_parse(row->line, line_size, &answer, NULL))
		return -EBADMSG;
	buffer_add_text(head, "{\"code\":");
	if (answer.error_code.size) {
		buffer_add(head, "\"", 1);
		add_span(head, row->line, answer.error_code);
		buffer_add(head, "\"", 1);
	} else {
		buffer_add_text(head, "null");
	}
	buffer_add_text(head, answer.error_message.size ? ",\"message\":\"" : ",\"message\":null}");
	combined->middle = answer.error_message;
	return 0;
}

static int add_error(struct buffer *head, const struct combined_row *row, size_t line_size,
		     struct combined *combined)
{
	if (!row->line) {
		unanswered_error(head, (enum outcome_kind)row->outcome->kind, row->shard);
		return 0;
	}
	if (!row->invalid_line)
		return add_failure(head, row, line_size, combined);
	/* Such a line is made here, with an error that has all there is to tell. */
	if (!row->parts->error.size)
		return -EBADMSG;
	combined->middle = row->parts->error;
	return 0;
}

/* What stands behind the answer, or the error's message. */
static void end_line(const struct combined_row *row, const char *before, struct combined *combined)
{
	const struct record_outcome *outcome = row->outcome;
	char shard[16] = "null";
	char line[32] = "";
	int size;

	if (outcome->shard)
		(void)snprintf(shard, sizeof(shard), "%" PRIu32, outcome->shard);
	if (row->invalid_line)
		(void)snprintf(line, sizeof(line), ",\"line\":%" PRId64, row->invalid_line);
	size = snprintf(combined->tail, sizeof(combined->tail),
			"%s,\"attempts\":%" PRIu8 ",\"shard\":%s%s}\n", before,
			outcome->attempts, shard, line);
	combined->tail_size = (size_t)size;
}

int combined_line(struct buffer *head, const struct combined_row *row, size_t line_size,
		  struct combined *ret_combined)
{
	const struct record_outcome *outcome = row->outcome;
	bool is_ok = outcome->kind == OUTCOME_OK;
	struct combined combined = {0};
	char status[16] = "null";
	const char *before = "";
	int r = 0;

	if (outcome->status)
		(void)snprintf(status, sizeof(status), "%" PRIu16, outcome->status);
	buffer_add_text(head, "{\"custom_id\":");
	add_id(head, row);
	buffer_add_text(head, ",\"status\":\"");
	buffer_add_text(head, row->invalid_line ? "invalid" : statuses[outcome->kind]);
	buffer_add_text(head, "\",\"http_status\":");
	buffer_add_text(head, status);
	buffer_add_text(head, ",\"answer\":");
	if (is_ok) {
		combined.middle = row->parts->body;
		before = combined.middle.size ? ",\"error\":null" : "null,\"error\":null";
	} else {
		buffer_add_text(head, "null,\"error\":");
		r = add_error(head, row, line_size, &combined);
		before = row->line && !row->invalid_line && combined.middle.size ? "\"}" : "";
	}
	if (r)
		return r;
	end_line(row, before, &combined);
	*ret_combined = combined;
	return 0;
}
