#include "daemon/work/intake.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/model/job.h"
#include "daemon/model/request.h"
#include "daemon/work/flaws.h"
#include "daemon/work/form.h"
#include "daemon/work/groups.h"
#include "daemon/work/input.h"
#include "daemon/work/rows.h"
#include "daemon/work/screen.h"
#include "daemon/work/skipped.h"
#include "daemon/work/sorter.h"
#include "daemon/work/uniqueness.h"

#define SLICE          (1 << 20)  /* bytes of input, counted as they are read */
#define COST_OF_A_LINE 64         /* in the same measure: a flood of blank lines ends a slice too */
#define MAX_LINES      UINT32_MAX /* row numbers have 32 bits */

struct intake {
	uint64_t id_key;
	int64_t job;
	struct input input;
	struct screen screen;
	struct form form;
	struct rows_writer rows;       /* given up when the job cannot go on any more */
	struct uniqueness *uniqueness; /* NULL: ids are made, and differ */
	struct skipped *skipped;       /* NULL: the job does not skip lines */
	struct flaws flaws;
	size_t phase;
	int64_t requests;
	int64_t beyond;       /* requests of one more group than may be */
	int64_t first_beyond; /* the line of the first */
	bool is_cut_off;      /* the file has more lines than can be numbered */
	char *refusal;
	char *flaws_json;
	struct intake_result result; /* flaws_json says whether it is filled in */
};

static __attribute__((format(printf, 5, 6))) void add_flaw(struct intake *intake, int64_t line,
							   const char *code, const char *param,
							   const char *format, ...)
{
	auto_free char *message = NULL;
	va_list arguments;

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
static int on_repeat(const struct uniqueness_repeat *repeat, void *context, struct error *err)
{
	struct intake *intake = context;
	auto_buffer message = {0};

	intake->requests--;
	if (flaws_wants(&intake->flaws, repeat->line))
		uniqueness_words(&message, repeat->id, repeat->size, repeat->first_line);
	flaws_add(&intake->flaws, repeat->line, "duplicate_custom_id", "custom_id", message.data,
		  message.size);
	return intake->skipped
		       ? skipped_add_repeat(intake->skipped, repeat->line, repeat->first_line, err)
		       : 0;
}

/* Whether rows are of any use: of a job that will be refused they are not. */
static bool wants_rows(const struct intake *intake)
{
	return !intake->beyond && (intake->skipped || !intake->flaws.count);
}

static int write_row(struct intake *intake, const struct record_row *row, struct error *err)
{
	if (wants_rows(intake))
		return rows_write(&intake->rows, row, err);
	rows_writer_release(&intake->rows);
	return 0;
}

static int take_wrong_line(struct intake *intake, const struct input_line *line,
			   const struct request_flaw *flaw, struct error *err)
{
	int64_t size = line->is_too_long ? INT64_MAX : (int64_t)line->size;
	const struct record_row row = skipped_row(&intake->form, line->offset, size, line->number);

	add_flaw(intake, line->number, flaw->code, flaw->param, "%s", flaw->message);
	return write_row(intake, &row, err);
}

/* Where the id and the model stand, or go. */
static void place_fields(const struct intake *intake, const struct request *request,
			 struct record_row *row)
{
	const struct scan_span *id = &request->custom_id;
	const struct scan_span *model = &request->model;
	bool has_made_id = intake->form.has_line_ids;

	row->model_at = (uint32_t)(model->at ? model->at : request->inside);
	row->model_length = (uint16_t)model->size;
	row->url_at = (uint32_t)request->url.at;
	row->url_length = (uint16_t)request->url.size;
	if (intake->form.is_wrapped)
		return;
	/* What is replaced is the whole string; what is not there goes behind the brace. */
	row->id_at = (uint32_t)(id->at ? id->at - has_made_id : request->inside);
	row->id_length = (uint32_t)(id->at ? id->size + 2 * (size_t)has_made_id : 0);
}

/* Hashes the id, and has it compared with the others. */
static int take_id(struct intake *intake, const struct input_line *line, struct scan_span span,
		   uint64_t *ret_hash, struct error *err)
{
	char id[REQUEST_MAX_CUSTOM_ID];
	struct sorter_entry entry = {
		.id_at = (uint64_t)line->offset + span.at,
		.id_size = (uint32_t)span.size,
		.line = (uint32_t)line->number,
	};

	*ret_hash = (uint64_t)line->number;
	if (!intake->uniqueness)
		return 0;
	*ret_hash = hash_keyed(intake->id_key, id, scan_decode(line->bytes, span, id));
	entry.hash = *ret_hash;
	return uniqueness_add(intake->uniqueness, &entry, err);
}

static int take_request(struct intake *intake, const struct input_line *line,
			const struct request *request, int group, struct error *err)
{
	struct record_row row = {
		.offset = (uint64_t)line->offset,
		.length = (uint32_t)line->size,
		.inputs = request->inputs,
		.group = (uint16_t)(group < 0 ? 0 : group),
		.line_check = record_row_check(hash_digest(line->bytes, line->size)),
	};
	int r = take_id(intake, line, request->custom_id, &row.id_hash, err);

	if (r)
		return r;
	intake->requests++;
	if (group < 0 && !intake->beyond++)
		intake->first_beyond = line->number;
	place_fields(intake, request, &row);
	row.wire_length = (uint32_t)form_wire_length(&intake->form, &row);
	if (wants_rows(intake)) {
		struct intake_group *own = &intake->screen.groups.list[group];

		own->requests++;
		own->bytes += row.wire_length;
	}
	return write_row(intake, &row, err);
}

static int take_line(struct intake *intake, const struct input_line *line, struct error *err)
{
	size_t size = line->is_too_long ? (size_t)REQUEST_MAX_LINE + 1 : line->size;
	struct request_flaw flaw;
	struct request request;
	int group;

	if (screen_line(&intake->screen, line->bytes, size, &request, &group, &flaw))
		return take_wrong_line(intake, line, &flaw, err);
	return take_request(intake, line, &request, group, err);
}

static int read_lines(struct intake *intake, struct error *err)
{
	for (int64_t left = SLICE; left > 0;) {
		struct input_line line;
		int r = input_next(&intake->input, &line, err);

		if (r <= INPUT_END)
			return r;
		if (r == INPUT_MORE) {
			left -= (int64_t)INPUT_STEP;
			continue;
		}
		if (line.number > MAX_LINES) {
			intake->is_cut_off = true;
			return 0;
		}
		r = take_line(intake, &line, err);
		if (r)
			return r;
		left -= COST_OF_A_LINE;
	}
	return 1;
}

static int compare_ids(struct intake *intake, struct error *err)
{
	return intake->uniqueness ? uniqueness_slice(intake->uniqueness, err) : 0;
}

static void refuse_groups(struct intake *intake)
{
	bool is_least;
	size_t total = groups_total(&intake->screen.groups, &is_least);
	const char *least = is_least ? "at least " : "";

	add_flaw(intake, intake->first_beyond, "too_many_groups", "body.model",
		 "This request has one more pair of model and url than the %d that a job may have. "
		 "The input has %s%zu pairs; %" PRId64 " requests are of those beyond.",
		 INTAKE_MAX_GROUPS, least, total, intake->beyond);
	intake->refusal = xasprintf("there are %s%zu pairs of model and url, more than the %d that "
				    "a job may have; nothing was sent",
				    least, total, INTAKE_MAX_GROUPS);
}

/* Decides whether the job can go on. */
static int decide(struct intake *intake, struct error *err)
{
	(void)err;
	if (intake->is_cut_off) {
		add_flaw(intake, (int64_t)MAX_LINES + 1, "too_many_requests", NULL,
			 "The input file has more than %" PRIu32 " lines; the rest was not read.",
			 MAX_LINES);
		intake->refusal = xasprintf(
			"the input has more than %" PRIu32 " lines; nothing was sent", MAX_LINES);
	} else if (intake->beyond) {
		refuse_groups(intake);
	} else if (!intake->input.lines) {
		add_flaw(intake, 0, "empty_file", NULL, "The input file is empty.");
		intake->refusal = xstrdup("the input is empty");
	} else if (intake->flaws.count && !intake->skipped) {
		intake->refusal = xasprintf("%" PRId64 " of the lines are wrong; nothing was sent",
					    intake->flaws.count);
	} else if (!intake->requests) {
		intake->refusal =
			xasprintf("all of the lines (%" PRId64 ") are wrong; nothing was sent",
				  intake->flaws.count);
	}
	return 0;
}

static bool has_skipped(const struct intake *intake)
{
	return intake->skipped && intake->flaws.count && !intake->refusal;
}

/* What becomes of wrong lines is found in the rows: so these are kept, for now. */
static int keep_rows(struct intake *intake, struct error *err)
{
	return has_skipped(intake) ? rows_writer_keep(&intake->rows, intake->job, ROWS_NAME, err)
				   : 0;
}

static int skip_lines(struct intake *intake, struct error *err)
{
	return has_skipped(intake) ? skipped_slice(intake->skipped, err) : 0;
}

static int finish(struct intake *intake, struct error *err)
{
	bool is_any_skipped = has_skipped(intake);

	(void)err;
	intake->flaws_json = flaws_json(&intake->flaws);
	intake->result = (struct intake_result){
		.requests = intake->requests,
		.flaws = intake->flaws.count,
		.flaws_json = intake->flaws_json,
		.refusal = intake->refusal,
		.skipped = is_any_skipped ? intake->flaws.count : 0,
		.digest = is_any_skipped ? skipped_digest(intake->skipped) : NULL,
		.groups = intake->screen.groups.list,
		.group_count = intake->screen.groups.count,
	};
	return 0;
}

/* Each is called until it says 0. */
static int (*const phases[])(struct intake *intake, struct error *err) = {
	read_lines, compare_ids, decide, keep_rows, skip_lines, finish,
};

int intake_new(struct vault *vault, const struct job *job, uint64_t id_key,
	       struct intake **ret_intake, struct error *err)
{
	struct intake *intake = xcalloc(1, sizeof(*intake));
	int r = input_open(&intake->input, vault, job->input_file, REQUEST_MAX_LINE, err);

	if (r) {
		free(intake);
		return r;
	}
	intake->id_key = id_key;
	intake->job = job->id;
	screen_init(&intake->screen, job, id_key);
	form_init(&intake->form, job);
	if (!intake->form.has_line_ids)
		intake->uniqueness =
			uniqueness_new(vault, &intake->input.reader, on_repeat, intake);
	if (job->skips_invalid)
		intake->skipped = skipped_new(vault, job->id, &intake->input.reader,
					      &intake->screen, &intake->form);
	rows_writer_init(&intake->rows, vault, RECORD_ROWS);
	*ret_intake = intake;
	return 0;
}

int intake_slice(struct intake *intake, struct error *err)
{
	int r = 0;

	while (!r && intake->phase < ARRAY_SIZE(phases)) {
		r = phases[intake->phase](intake, err);
		intake->phase += !r;
	}
	return r;
}

const struct intake_result *intake_result(const struct intake *intake)
{
	return &intake->result;
}

int intake_keep(struct intake *intake, struct error *err)
{
	assert(intake->flaws_json && !intake->refusal);
	return has_skipped(intake) ? skipped_keep(intake->skipped, err)
				   : rows_writer_keep(&intake->rows, intake->job, ROWS_NAME, err);
}

void intake_free(struct intake *intake)
{
	if (!intake)
		return;
	skipped_free(intake->skipped);
	uniqueness_free(intake->uniqueness);
	rows_writer_release(&intake->rows);
	screen_release(&intake->screen);
	form_release(&intake->form);
	flaws_release(&intake->flaws);
	input_release(&intake->input);
	free(intake->refusal);
	free(intake->flaws_json);
	free(intake);
}
