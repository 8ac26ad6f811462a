#include "daemon/work/merge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/vault.h"
#include "daemon/model/content.h"
#include "daemon/work/combined.h"
#include "daemon/work/downloads.h"
#include "daemon/work/form.h"
#include "daemon/work/row_id.h"
#include "daemon/work/rows.h"
#include "daemon/work/unanswered.h"

/* What a call reads where nothing, or little, is selected of it. */
#define ROWS_A_CALL  16384
#define BYTES_A_CALL (1024 * 1024)
#define KEPT         (64 * 1024) /* memory for lines that is not given back after each */

/* Outcomes of rows that follow each other. */
struct run {
	int64_t first; /* row */
	size_t count;
	struct record_outcome outcomes[OUTCOMES_RUN];
};

/* Bytes of the line that is being copied. */
struct piece {
	const char *bytes; /* NULL: from the answer line of the outcome */
	size_t at;
	size_t left;
};

struct copy {
	struct record_outcome outcome;
	struct piece pieces[3];
	size_t next;
	size_t count;
};

struct merge {
	struct vault *vault;
	int64_t job;
	int64_t input_file;
	const struct outcomes_shards *shards;
	struct merge_plan plan;
	struct form form;
	int failure; /* for good: lines would be lost if it went on */
	struct rows_reader rows;
	struct vault_reader input;
	bool is_input_open;
	struct outcomes *outcomes;
	bool is_gathered;
	struct run run;
	int64_t next_row;
	struct copy copy;
	struct buffer made;
	struct combined combined;
	char *line; /* the answer line that is combined */
	size_t line_room;
	size_t bytes_read; /* of lines that are combined, in this call */
	struct downloads downloads;
	struct job_counts counts;
	bool is_salvaging;
	struct damage damage;
};

/* Where a call puts its bytes. */
struct target {
	char *bytes;
	size_t size;
	size_t filled;
};

#define IS_FULL 1 /* the line does not fit behind what is there already */

static bool is_selected(const struct merge *merge, const struct record_outcome *outcome)
{
	if (outcome->kind == OUTCOME_NONE)
		return false;
	return merge->plan.selection & (outcome->kind == OUTCOME_OK ? MERGE_OK : MERGE_ERRORS);
}

/* Reads the outcomes of the next rows, and has the kernel read their lines. */
static int load_run(struct merge *merge, struct error *err)
{
	struct record_outcome wanted[OUTCOMES_RUN];
	int64_t left = merge->rows.count - merge->next_row;
	struct run *run = &merge->run;
	size_t wanted_count = 0;
	size_t count = left < OUTCOMES_RUN ? (size_t)left : OUTCOMES_RUN;
	int r = outcomes_read(merge->outcomes, merge->next_row, count, run->outcomes, err);

	if (r)
		return r;
	run->first = merge->next_row;
	run->count = count;
	for (size_t i = 0; i < count; i++)
		if (is_selected(merge, &run->outcomes[i]))
			wanted[wanted_count++] = run->outcomes[i];
	downloads_will_need(&merge->downloads, wanted, wanted_count);
	return 0;
}

static void count(struct merge *merge, const struct record_outcome *outcome)
{
	struct job_counts *counts = &merge->counts;

	switch ((enum outcome_kind)outcome->kind) {
	case OUTCOME_NONE:
	case OUTCOME_AGAIN:
		break;
	case OUTCOME_OK:
		counts->ok++;
		break;
	case OUTCOME_MISSING:
		counts->missing++;
		counts->failed++;
		break;
	case OUTCOME_LOST:
		counts->lost++;
		counts->failed++;
		break;
	case OUTCOME_FAILED:
		counts->invalid += outcomes_is_invalid(merge->shards, outcome);
		counts->failed++;
		break;
	case OUTCOME_REFUSED:
		counts->failed++;
		break;
	case OUTCOME_EXPIRED:
		counts->expired++;
		break;
	case OUTCOME_CANCELLED:
		counts->cancelled++;
		break;
	}
}

/* The custom_id of the next row as it was sent. */
static int read_id(struct merge *merge, const struct record_row *row, struct row_id *ret_id,
		   struct error *err)
{
	int r = 0;

	if (!merge->is_input_open) {
		r = vault_open_file(merge->vault, merge->input_file, &merge->input, err);
		merge->is_input_open = !r;
	}
	/* An id that is made of the line's number is none of its bytes. */
	if (!r && !merge->form.has_line_ids)
		r = rows_test_line(&merge->input, row, merge->next_row, err);
	return r ? r : form_row_id(&merge->form, &merge->input, row, ret_id, err);
}

static void add_piece(struct copy *copy, const char *bytes, size_t at, size_t size)
{
	if (size)
		copy->pieces[copy->count++] = (struct piece){bytes, at, size};
}

/* The line of a row that has none. */
static int make_line(struct merge *merge, const struct record_outcome *outcome, struct error *err)
{
	struct record_row row;
	struct row_id id;
	int r = rows_read(&merge->rows, merge->next_row, &row, err);

	if (!r)
		r = read_id(merge, &row, &id, err);
	if (r)
		return r;
	unanswered_line(&merge->made, &id, (enum outcome_kind)outcome->kind,
			outcomes_shards_find(merge->shards, outcome->shard));
	add_piece(&merge->copy, merge->made.data, 0, merge->made.size);
	return 0;
}

static int damaged_line(const struct merge *merge, const struct record_outcome *outcome,
			struct error *err)
{
	return error_set(err, -EUCLEAN,
			 "job %" PRId64 ": the line at byte %" PRIu64
			 " of a download of shard %" PRIu32 " is no answer",
			 merge->job, outcome->offset, outcome->shard);
}

static int read_line(struct merge *merge, const struct record_outcome *outcome,
		     struct content_parts *ret_parts, struct error *err)
{
	size_t size = (size_t)outcome->length + 1;
	int r;

	merge->bytes_read += size;
	if (size > merge->line_room) {
		free(merge->line);
		merge->line_room = size > KEPT ? size : KEPT;
		merge->line = xmalloc(merge->line_room);
	}
	r = downloads_read(&merge->downloads, outcome, 0, merge->line, size, err);
	if (!r && content_find(merge->line, outcome->length, ret_parts))
		r = damaged_line(merge, outcome, err);
	return r;
}

/*
 * Whether the custom_id of a line stands in the input exactly so. As decoding only ever shortens,
 * an id without escapes is written as it is in every text of its own length that means the same.
 */
static bool is_same_spelling(const struct merge *merge, const struct record_row *row,
			     const struct combined_row *combined)
{
	struct scan_span id = combined->parts->custom_id;

	return combined->invalid_line ||
	       (!merge->form.has_line_ids && id.size && id.size == row->id_length &&
		!memchr(combined->line + id.at, '\\', id.size));
}

/* The combined line of a row. */
static int combine(struct merge *merge, const struct record_outcome *outcome, struct error *err)
{
	struct content_parts parts;
	struct record_row row;
	struct row_id id;
	struct combined_row combined = {
		.outcome = outcome,
		.shard = outcomes_shards_find(merge->shards, outcome->shard),
	};
	struct copy *copy = &merge->copy;
	int r = rows_read(&merge->rows, merge->next_row, &row, err);

	/* Where lines are skipped, every line of the input has a row. */
	if (outcomes_is_invalid(merge->shards, outcome))
		combined.invalid_line = merge->next_row + 1;
	if (!r && outcome->length) {
		r = read_line(merge, outcome, &parts, err);
		combined.line = merge->line;
		combined.parts = &parts;
	}
	if (!r && (!outcome->length || !is_same_spelling(merge, &row, &combined))) {
		r = read_id(merge, &row, &id, err);
		combined.id = &id;
	}
	if (r)
		return r;
	if (combined_line(&merge->made, &combined, outcome->length, &merge->combined))
		return damaged_line(merge, outcome, err);
	add_piece(copy, merge->made.data, 0, merge->made.size);
	add_piece(copy, merge->line_room > KEPT ? NULL : merge->line, merge->combined.middle.at,
		  merge->combined.middle.size);
	add_piece(copy, merge->combined.tail, 0, merge->combined.tail_size);
	return 0;
}

/*
 * Gives back the memory of a long line: what is wanted of it is read once more while it is copied.
 */
static void forget_long_line(struct merge *merge)
{
	if (merge->line_room <= KEPT)
		return;
	free(take(merge->line));
	merge->line_room = 0;
}

static void begin_line(struct merge *merge, const struct record_outcome *outcome)
{
	merge->copy.outcome = *outcome;
	merge->copy.next = merge->copy.count = 0;
	if (merge->made.capacity > KEPT)
		buffer_release(&merge->made);
	buffer_clear(&merge->made);
}

/*
 * An answer line as it came: read to its place whole, and tested there; or, if it is longer than any place, tested
 * first and copied in pieces.
 */
static int take_answer(struct merge *merge, const struct record_outcome *outcome, struct target *target,
		       struct error *err)
{
	size_t size = (size_t)outcome->length + 1;
	int r;

	if (size <= target->size - target->filled) {
		r = downloads_read(&merge->downloads, outcome, 0, target->bytes + target->filled, size, err);
		target->filled += r ? 0 : size;
		return r;
	}
	if (size <= target->size)
		return IS_FULL;
	r = downloads_test(&merge->downloads, outcome, err);
	if (!r)
		add_piece(&merge->copy, NULL, 0, size);
	return r;
}

/* The line of a row that is selected: in its place, or about to be copied. */
static int take_line(struct merge *merge, const struct record_outcome *outcome, struct target *target,
		     struct error *err)
{
	int r;

	begin_line(merge, outcome);
	if (merge->plan.form == MERGE_COMBINED)
		r = combine(merge, outcome, err);
	else if (!outcome->length)
		r = make_line(merge, outcome, err);
	else
		r = take_answer(merge, outcome, target, err);
	forget_long_line(merge);
	return r;
}

/* The answer of a row is damaged: it is lost, and has the line of one that is, if that is selected. */
static int lose_answer(struct merge *merge, struct record_outcome *outcome, struct target *target,
		       const struct error *problem, struct error *err)
{
	int r = outcomes_lose(merge->outcomes, merge->next_row, outcome, err);

	damage_note(&merge->damage, problem);
	/* It may have failed where its line was half made. */
	begin_line(merge, outcome);
	if (r || !is_selected(merge, outcome))
		return r;
	return take_line(merge, outcome, target, err);
}

/* Goes on to the next row. IS_FULL: not in this call. */
static int take_row(struct merge *merge, struct target *target, struct error *err)
{
	struct record_outcome *outcome;
	struct error problem;
	int r = 0;

	if (merge->next_row == merge->run.first + (int64_t)merge->run.count)
		r = load_run(merge, err);
	if (r)
		return r;
	outcome = &merge->run.outcomes[merge->next_row - merge->run.first];
	if (is_selected(merge, outcome))
		r = take_line(merge, outcome, target, &problem);
	if (merge->is_salvaging && damage_is(r) && outcome->length)
		r = lose_answer(merge, outcome, target, &problem, err);
	else if (r < 0)
		(void)error_set(err, r, "%s", problem.text);
	if (r)
		return r;
	count(merge, outcome);
	merge->next_row++;
	return 0;
}

/* Copies on, as much as there is room for. */
static int copy_some(struct merge *merge, struct target *target, struct error *err)
{
	struct piece *piece = &merge->copy.pieces[merge->copy.next];
	size_t room = target->size - target->filled;
	size_t size = piece->left < room ? piece->left : room;
	char *bytes = target->bytes + target->filled;
	int r = 0;

	if (piece->bytes)
		memcpy(bytes, piece->bytes + piece->at, size);
	else
		r = downloads_read(&merge->downloads, &merge->copy.outcome, (uint32_t)piece->at,
				   bytes, size, err);
	if (r)
		return r;
	piece->at += size;
	piece->left -= size;
	merge->copy.next += !piece->left;
	target->filled += size;
	return 0;
}

static int64_t fill(struct merge *merge, char *bytes, size_t size, struct error *err)
{
	struct target target = {.bytes = bytes, .size = size};
	int r = 0;

	merge->bytes_read = 0;
	for (size_t rows = 0; !r && target.filled < size;) {
		if (merge->copy.next < merge->copy.count)
			r = copy_some(merge, &target, err);
		else if (merge->next_row < merge->rows.count && rows++ < ROWS_A_CALL &&
			 merge->bytes_read < BYTES_A_CALL)
			r = take_row(merge, &target, err);
		else
			break;
	}
	if (r < 0)
		return r;
	if (!target.filled && merge->next_row == merge->rows.count)
		return MERGE_END;
	return (int64_t)target.filled;
}

int merge_new(struct vault *vault, const struct job *job, const struct outcomes_shards *shards,
	      const struct merge_plan *plan, struct merge **ret_merge, struct error *err)
{
	struct merge *merge = xcalloc(1, sizeof(*merge));
	int r;

	merge->vault = vault;
	merge->job = job->id;
	merge->input_file = job->input_file;
	merge->shards = shards;
	merge->plan = *plan;
	merge->input = VAULT_READER_NONE;
	form_init(&merge->form, job);
	downloads_init(&merge->downloads, vault, job->id);
	r = rows_open(&merge->rows, vault, job->id, ROWS_NAME, RECORD_ROWS, err);
	if (!r)
		r = outcomes_new(vault, job->id, merge->rows.count, shards, plan->rest,
				 &merge->outcomes, err);
	if (r) {
		merge_free(merge);
		return r;
	}
	merge->counts.total = merge->rows.count;
	*ret_merge = merge;
	return 0;
}

int64_t merge_read(struct merge *merge, char *bytes, size_t size, struct error *err)
{
	int64_t r = 0;

	if (merge->failure)
		return error_set(err, merge->failure,
				 "the results of job %" PRId64 " could not be read", merge->job);
	if (merge->is_gathered) {
		r = fill(merge, bytes, size, err);
	} else {
		int more = outcomes_slice(merge->outcomes, err);

		merge->is_gathered = !more;
		r = more < 0 ? more : 0;
	}
	if (r < 0 && r != MERGE_END)
		merge->failure = (int)r;
	return r;
}

void merge_salvage(struct merge *merge)
{
	merge->is_salvaging = true;
	outcomes_salvage(merge->outcomes, &merge->damage);
}

void merge_rewind(struct merge *merge, enum merge_selection selection)
{
	merge->plan.selection = selection;
	merge->counts = (struct job_counts){.total = merge->rows.count};
	merge->next_row = 0;
	merge->run.first = 0;
	merge->run.count = 0;
}

const struct damage *merge_damage(const struct merge *merge)
{
	return &merge->damage;
}

const struct job_counts *merge_counts(const struct merge *merge)
{
	return &merge->counts;
}

void merge_free(struct merge *merge)
{
	if (!merge)
		return;
	outcomes_free(merge->outcomes);
	form_release(&merge->form);
	rows_release(&merge->rows);
	if (merge->is_input_open)
		vault_reader_release(&merge->input);
	downloads_release(&merge->downloads);
	buffer_release(&merge->made);
	free(merge->line);
	free(merge);
}
