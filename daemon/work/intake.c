#include "daemon/work/intake.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/model/job.h"
#include "daemon/model/request.h"
#include "daemon/work/flaws.h"
#include "daemon/work/groups.h"
#include "daemon/work/input.h"
#include "daemon/work/rows.h"
#include "daemon/work/sorter.h"
#include "daemon/work/uniqueness.h"

#define SLICE          (1 << 20)  /* bytes of input, counted as they are read */
#define COST_OF_A_LINE 64         /* in the same measure: a flood of blank lines ends a slice too */
#define MAX_LINES      UINT32_MAX /* row numbers have 32 bits */

struct intake {
	uint64_t id_key;
	int64_t job;
	struct input input;
	struct groups groups;
	struct rows_writer rows; /* given up at the first flaw */
	struct uniqueness *uniqueness;
	struct flaws flaws;
	int64_t requests;
	bool is_read; /* all lines were */
	bool is_over_groups;
	char *flaws_json;
	struct intake_result result; /* flaws_json says whether it is filled in */
};

/* line 0 is the file itself. */
static __attribute__((format(printf, 5, 6))) void refuse(struct intake *intake, int64_t line,
							 const char *code, const char *param,
							 const char *format, ...)
{
	auto_free char *message = NULL;
	va_list arguments;

	rows_writer_release(&intake->rows);
	if (!flaws_wants(&intake->flaws, line)) {
		flaws_add(&intake->flaws, line, code, param, NULL, 0);
		return;
	}
	va_start(arguments, format);
	message = xvasprintf(format, arguments);
	va_end(arguments);
	flaws_add(&intake->flaws, line, code, param, message, strlen(message));
}

/* The id is the user's and may hold any character, NUL among them. */
static void on_repeat(const struct uniqueness_repeat *repeat, void *context)
{
	static const char before[] = "The custom_id '";
	static const char after[] = "' for this request is a duplicate of another request. The "
				    "custom_id parameter must "
				    "be unique for each request in a batch. (first at line ";
	struct intake *intake = context;
	auto_buffer message = {0};

	rows_writer_release(&intake->rows);
	intake->requests--;
	if (flaws_wants(&intake->flaws, repeat->line)) {
		buffer_add_text(&message, before);
		buffer_add(&message, repeat->id, repeat->size);
		buffer_add_text(&message, after);
		buffer_add_format(&message, "%" PRIu32 ")", repeat->first_line);
	}
	flaws_add(&intake->flaws, repeat->line, "duplicate_custom_id", "custom_id", message.data,
		  message.size);
}

static int compare_id(struct intake *intake, const struct input_line *line, struct scan_span id,
		      uint64_t hash, struct error *err)
{
	const struct sorter_entry entry = {
		.hash = hash,
		.id_at = (uint64_t)line->offset + id.at,
		.id_size = (uint32_t)id.size,
		.line = (uint32_t)line->number,
	};

	return uniqueness_add(intake->uniqueness, &entry, err);
}

static int write_row(struct intake *intake, const struct input_line *line,
		     const struct request *request, uint16_t group, uint64_t hash,
		     struct error *err)
{
	const struct record_row row = {
		.offset = (uint64_t)line->offset,
		.id_hash = hash,
		.length = (uint32_t)line->size,
		.wire_length = (uint32_t)line->size + 1,
		.id_at = (uint32_t)request->custom_id.at,
		.id_length = (uint32_t)request->custom_id.size,
		.url_at = (uint32_t)request->url.at,
		.url_length = (uint16_t)request->url.size,
		.model_at = (uint32_t)request->model.at,
		.model_length = (uint16_t)request->model.size,
		.inputs = request->inputs,
		.group = group,
	};

	return rows_write(&intake->rows, &row, err);
}

/*
 * False when the line was refused. Of the lines beyond the most groups the first is; the others
 * belong to no group, and are still looked at.
 */
static bool find_group(struct intake *intake, const struct input_line *line,
		       const struct request *request, uint16_t *ret_group)
{
	int number = groups_find(&intake->groups, intake->id_key, line->bytes, request);

	if (number == -EINVAL) {
		refuse(intake, line->number, "invalid_value", "body.model",
		       "Invalid 'model': it must not contain a NUL character.");
		return false;
	}
	if (number == -ENOSPC && !intake->is_over_groups) {
		intake->is_over_groups = true;
		refuse(intake, line->number, "too_many_groups", "body.model",
		       "This request has one more pair of model and url than the %d that a job may "
		       "have.",
		       INTAKE_MAX_GROUPS);
		return false;
	}
	*ret_group = number < 0 ? 0 : (uint16_t)number;
	return true;
}

static int take_line(struct intake *intake, const struct input_line *line, struct error *err)
{
	char id[REQUEST_MAX_CUSTOM_ID];
	struct request_flaw flaw;
	struct request request;
	uint16_t group;
	uint64_t hash;
	int r;

	if (line->is_too_long) {
		refuse(intake, line->number, "request_too_large", NULL,
		       "This request has more than %zu bytes, the most that one may have.",
		       intake->input.longest);
		return 0;
	}
	if (request_parse(line->bytes, line->size, &request, &flaw)) {
		refuse(intake, line->number, flaw.code, flaw.param, "%s", flaw.message);
		return 0;
	}
	if (!find_group(intake, line, &request, &group))
		return 0;
	intake->requests++;
	hash = hash_keyed(intake->id_key, id, scan_decode(line->bytes, request.custom_id, id));
	r = compare_id(intake, line, request.custom_id, hash, err);
	if (!r && !intake->flaws.count) {
		intake->groups.list[group].requests++;
		intake->groups.list[group].bytes += (int64_t)line->size + 1;
		r = write_row(intake, line, &request, group, hash, err);
	}
	return r;
}

/* Goes on from lines to ids. */
static int end_reading(struct intake *intake)
{
	intake->is_read = true;
	if (!intake->input.lines)
		refuse(intake, 0, "empty_file", NULL, "The input file is empty.");
	return 0;
}

static int read_slice(struct intake *intake, struct error *err)
{
	for (int64_t left = SLICE; left > 0;) {
		struct input_line line;
		int r = input_next(&intake->input, &line, err);

		if (r < 0)
			return r;
		if (r == INPUT_END)
			return end_reading(intake);
		if (r == INPUT_MORE) {
			left -= (int64_t)INPUT_STEP;
			continue;
		}
		if (line.number > MAX_LINES) {
			refuse(intake, line.number, "too_many_requests", NULL,
			       "The input file has more than %" PRIu32
			       " lines; the rest was not read.",
			       MAX_LINES);
			return end_reading(intake);
		}
		r = take_line(intake, &line, err);
		if (r)
			return r;
		left -= COST_OF_A_LINE;
	}
	return 1;
}

static int finish(struct intake *intake)
{
	intake->flaws_json = flaws_json(&intake->flaws);
	intake->result = (struct intake_result){
		.requests = intake->requests,
		.flaws = intake->flaws.count,
		.flaws_json = intake->flaws_json,
		.groups = intake->groups.list,
		.group_count = intake->groups.count,
	};
	return 0;
}

int intake_new(struct vault *vault, const struct job *job, uint64_t id_key,
	       int64_t max_bytes_of_request, struct intake **ret_intake, struct error *err)
{
	struct intake *intake = xcalloc(1, sizeof(*intake));
	int64_t longest = max_bytes_of_request > 0 ? max_bytes_of_request - 1 : 0;
	int r;

	if (longest > REQUEST_MAX_LINE)
		longest = REQUEST_MAX_LINE;
	r = input_open(&intake->input, vault, job->input_file, (size_t)longest, err);
	if (r) {
		free(intake);
		return r;
	}
	intake->id_key = id_key;
	intake->job = job->id;
	intake->uniqueness = uniqueness_new(vault, &intake->input.reader, on_repeat, intake);
	rows_writer_init(&intake->rows, vault, RECORD_ROWS);
	*ret_intake = intake;
	return 0;
}

int intake_slice(struct intake *intake, struct error *err)
{
	int r = 0;

	if (intake->flaws_json)
		return 0;
	if (!intake->is_read)
		r = read_slice(intake, err);
	if (!r)
		r = uniqueness_slice(intake->uniqueness, err);
	return r ? r : finish(intake);
}

const struct intake_result *intake_result(const struct intake *intake)
{
	return &intake->result;
}

int intake_keep(struct intake *intake, struct error *err)
{
	assert(intake->flaws_json && !intake->flaws.count);
	return rows_writer_keep(&intake->rows, intake->job, ROWS_NAME, err);
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	input_release(&intake->input);
	groups_release(&intake->groups);
	rows_writer_release(&intake->rows);
	uniqueness_free(intake->uniqueness);
	flaws_release(&intake->flaws);
	free(intake->flaws_json);
	free(intake);
}
