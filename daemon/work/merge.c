#include "daemon/work/merge.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/vault.h"
#include "daemon/work/downloads.h"
#include "daemon/work/row_id.h"
#include "daemon/work/rows.h"
#include "daemon/work/unanswered.h"

#define OUTCOMES_A_SLICE 4096
#define ROWS_A_CALL      16384 /* so that a call ends where no row is selected */
#define BATCH            512   /* outcomes that are gathered, or looked at, together */

/* Outcomes of rows that follow each other. */
struct run {
	int64_t first; /* row */
	size_t count;
	struct record_outcome outcomes[BATCH];
};

/* The line that is being copied: an answer's, or one in made. */
struct copy {
	struct record_outcome outcome; /* of an answer; length 0: made */
	size_t at;
	size_t left; /* newline included */
};

struct merge {
	struct vault *vault;
	int64_t job;
	int64_t input_file;
	struct merge_shard *shards;
	size_t shard_count;
	enum merge_selection selection;
	bool is_cancelled;
	bool is_partial;
	int failure; /* for good: lines would be lost if it went on */
	struct rows_reader rows;
	struct vault_reader input;
	bool is_input_open;
	struct vault_scratch *outcomes; /* of every row of the job */
	size_t gathered;                /* shards whose outcomes are in it */
	int64_t next_member;            /* of the shard that is being gathered */
	bool is_gathering;              /* its records are open */
	struct rows_reader members;
	struct rows_reader done;
	struct run run;
	int64_t next_row;
	struct copy copy;
	struct buffer made;
	struct downloads downloads;
	struct job_counts counts;
};

static int open_shard(struct merge *merge, int64_t number, struct error *err)
{
	auto_free char *members = rows_members_name(number);
	auto_free char *done = rows_done_name(number);
	int r = rows_open(&merge->members, merge->vault, merge->job, members, RECORD_MEMBERS, err);

	if (!r)
		r = rows_open(&merge->done, merge->vault, merge->job, done, RECORD_OUTCOMES, err);
	if (r)
		return r;
	if (merge->members.count != merge->done.count)
		return error_set(err, -EUCLEAN,
				 "job %" PRId64 ": %s and %s do not have as many rows", merge->job,
				 members, done);
	merge->is_gathering = true;
	merge->next_member = 0;
	return 0;
}

static void close_shard(struct merge *merge)
{
	rows_release(&merge->members);
	rows_release(&merge->done);
	merge->is_gathering = false;
}

/* Whether an outcome can be one of a shard: checks of records do not tell one file from another. */
static bool is_sound(const struct record_outcome *outcome, int64_t shard)
{
	bool has_line = outcome->source == 'o' || outcome->source == 'e';
	bool needs_line = outcome->kind == OUTCOME_OK || outcome->kind == OUTCOME_FAILED;

	return outcome->shard == shard && outcome->kind != OUTCOME_NONE &&
	       outcome->kind <= OUTCOME_REFUSED && has_line == (outcome->length > 0) &&
	       (has_line || !needs_line) && outcome->offset <= INT64_MAX / 2;
}

static int write_run(struct merge *merge, struct error *err)
{
	size_t size = sizeof(merge->run.outcomes[0]);
	int r = vault_scratch_write(merge->outcomes, merge->run.first * (int64_t)size,
				    merge->run.outcomes, merge->run.count * size, err);

	merge->run.first = 0;
	merge->run.count = 0;
	return r;
}

static int gather_next(struct merge *merge, struct error *err)
{
	int64_t number = merge->shards[merge->gathered].number;
	struct run *run = &merge->run;
	struct record_member member;
	struct record_outcome outcome;
	int r = rows_read(&merge->members, merge->next_member, &member, err);

	if (!r)
		r = rows_read(&merge->done, merge->next_member, &outcome, err);
	if (r)
		return r;
	if (member.row >= merge->rows.count || !is_sound(&outcome, number))
		return error_set(err, -EUCLEAN,
				 "job %" PRId64 ": outcome %" PRId64 " of shard %" PRId64
				 " is damaged",
				 merge->job, merge->next_member, number);
	if (run->count == BATCH || (run->count && member.row != run->first + (int64_t)run->count))
		r = write_run(merge, err);
	if (!run->count)
		run->first = member.row;
	run->outcomes[run->count++] = outcome;
	merge->next_member++;
	return r;
}

static int gather(struct merge *merge, struct error *err)
{
	int r = merge->is_gathering ? 0
				    : open_shard(merge, merge->shards[merge->gathered].number, err);

	for (size_t i = 0; !r && i < OUTCOMES_A_SLICE && merge->next_member < merge->done.count;
	     i++)
		r = gather_next(merge, err);
	if (!r && merge->run.count)
		r = write_run(merge, err);
	if (r)
		return r;
	if (merge->next_member == merge->done.count) {
		close_shard(merge);
		merge->gathered++;
	}
	return 0;
}

/* What a row without a final outcome is at the end: it went to a shard that never answered, or to
 * none. */
static void settle(const struct merge *merge, struct record_outcome *outcome)
{
	if (outcome->kind != OUTCOME_NONE && outcome->kind != OUTCOME_AGAIN)
		return;
	*outcome = (struct record_outcome){.kind = OUTCOME_MISSING};
	if (merge->is_partial)
		outcome->kind = OUTCOME_NONE;
	else if (merge->is_cancelled)
		outcome->kind = OUTCOME_CANCELLED;
}

static bool is_selected(const struct merge *merge, const struct record_outcome *outcome)
{
	if (outcome->kind == OUTCOME_NONE)
		return false;
	return merge->selection & (outcome->kind == OUTCOME_OK ? MERGE_OK : MERGE_ERRORS);
}

/* Reads the outcomes of the next rows, and has the kernel read their lines. */
static int load_run(struct merge *merge, struct error *err)
{
	static const struct record_outcome nothing;
	struct record_outcome wanted[BATCH];
	int64_t left = merge->rows.count - merge->next_row;
	struct run *run = &merge->run;
	size_t size = sizeof(run->outcomes[0]);
	size_t wanted_count = 0;
	size_t count = left < BATCH ? (size_t)left : BATCH;
	int r = vault_scratch_read(merge->outcomes, merge->next_row * (int64_t)size, run->outcomes,
				   count * size, err);

	if (r)
		return r;
	run->first = merge->next_row;
	run->count = count;
	for (size_t i = 0; i < count; i++) {
		struct record_outcome *outcome = &run->outcomes[i];

		if (memcmp(outcome, &nothing, size) && record_verify(RECORD_OUTCOMES, outcome))
			return error_set(err, -EUCLEAN,
					 "job %" PRId64 ": a scratch file is damaged", merge->job);
		settle(merge, outcome);
		if (is_selected(merge, outcome))
			wanted[wanted_count++] = *outcome;
	}
	downloads_will_need(&merge->downloads, wanted, wanted_count);
	return 0;
}

static int compare_shards(const void *number, const void *shard)
{
	int64_t a = *(const int64_t *)number;
	int64_t b = ((const struct merge_shard *)shard)->number;

	return (a > b) - (a < b);
}

static const char *why_of(const struct merge *merge, int64_t number)
{
	const struct merge_shard *shard = bsearch(&number, merge->shards, merge->shard_count,
						  sizeof(*merge->shards), compare_shards);

	return shard ? shard->why : NULL;
}

/* Makes the line of a row that has none. */
static int make_line(struct merge *merge, int64_t number, const struct record_outcome *outcome,
		     struct error *err)
{
	struct record_row row;
	struct row_id id;
	int r = rows_read(&merge->rows, number, &row, err);

	if (!r && !merge->is_input_open) {
		r = vault_open_file(merge->vault, merge->input_file, &merge->input, err);
		merge->is_input_open = !r;
	}
	if (!r)
		r = row_id_read(&merge->input, (int64_t)(row.offset + row.id_at), row.id_length,
				&id, err);
	if (r)
		return r;
	buffer_clear(&merge->made);
	unanswered_line(&merge->made, &id, (enum outcome_kind)outcome->kind,
			why_of(merge, outcome->shard));
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
	case OUTCOME_FAILED:
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

/* Goes on to the next row; if it is selected, its line is what is copied now. */
static int take_row(struct merge *merge, struct error *err)
{
	const struct record_outcome *outcome;
	int r = 0;

	if (merge->next_row == merge->run.first + (int64_t)merge->run.count)
		r = load_run(merge, err);
	if (r)
		return r;
	outcome = &merge->run.outcomes[merge->next_row - merge->run.first];
	if (is_selected(merge, outcome) && !outcome->length)
		r = make_line(merge, merge->next_row, outcome, err);
	if (r)
		return r;
	if (is_selected(merge, outcome))
		merge->copy = (struct copy){
			.outcome = *outcome,
			.left = outcome->length ? (size_t)outcome->length + 1 : merge->made.size,
		};
	count(merge, outcome);
	merge->next_row++;
	return 0;
}

/* Copies on, as much as there is room for. */
static int copy_some(struct merge *merge, char *bytes, size_t room, size_t *ret_size,
		     struct error *err)
{
	struct copy *copy = &merge->copy;
	size_t size = copy->left < room ? copy->left : room;
	int r = 0;

	if (copy->outcome.length)
		r = downloads_read(&merge->downloads, &copy->outcome, (uint32_t)copy->at, bytes,
				   size, err);
	else
		memcpy(bytes, merge->made.data + copy->at, size);
	if (r)
		return r;
	copy->at += size;
	copy->left -= size;
	*ret_size = size;
	return 0;
}

static int64_t fill(struct merge *merge, char *bytes, size_t size, struct error *err)
{
	size_t filled = 0;
	int r = 0;

	for (size_t rows = 0; !r && filled < size;) {
		size_t copied = 0;

		if (merge->copy.left) {
			r = copy_some(merge, bytes + filled, size - filled, &copied, err);
			filled += copied;
		} else if (merge->next_row < merge->rows.count && rows++ < ROWS_A_CALL) {
			r = take_row(merge, err);
		} else {
			break;
		}
	}
	if (r)
		return r;
	if (!filled && merge->next_row == merge->rows.count)
		return MERGE_END;
	return (int64_t)filled;
}

static void copy_shards(struct merge *merge, const struct merge_shard *shards, size_t count)
{
	merge->shards = xcalloc(count, sizeof(*merge->shards));
	merge->shard_count = count;
	for (size_t i = 0; i < count; i++) {
		assert(!i || shards[i].number > shards[i - 1].number);
		merge->shards[i].number = shards[i].number;
		merge->shards[i].why = xstrdup(shards[i].why);
	}
}

int merge_new(struct vault *vault, const struct job *job, const struct merge_shard *shards,
	      size_t shard_count, enum merge_selection selection, bool is_cancelled,
	      bool is_partial, struct merge **ret_merge, struct error *err)
{
	struct merge *merge = xcalloc(1, sizeof(*merge));
	int r;

	merge->vault = vault;
	merge->job = job->id;
	merge->input_file = job->input_file;
	merge->selection = selection;
	merge->is_cancelled = is_cancelled;
	merge->is_partial = is_partial;
	merge->input = VAULT_READER_NONE;
	copy_shards(merge, shards, shard_count);
	downloads_init(&merge->downloads, vault, job->id);
	r = rows_open(&merge->rows, vault, job->id, ROWS_NAME, RECORD_ROWS, err);
	if (!r)
		r = vault_scratch_new(vault,
				      merge->rows.count * (int64_t)sizeof(struct record_outcome),
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
	if (merge->gathered < merge->shard_count)
		r = gather(merge, err);
	else
		r = fill(merge, bytes, size, err);
	if (r < 0 && r != MERGE_END)
		merge->failure = (int)r;
	return r;
}

const struct job_counts *merge_counts(const struct merge *merge)
{
	return &merge->counts;
}

void merge_free(struct merge *merge)
{
	if (!merge)
		return;
	for (size_t i = 0; i < merge->shard_count; i++)
		free((char *)(uintptr_t)merge->shards[i].why);
	free(merge->shards);
	close_shard(merge);
	rows_release(&merge->rows);
	if (merge->is_input_open)
		vault_reader_release(&merge->input);
	vault_scratch_free(merge->outcomes);
	downloads_release(&merge->downloads);
	buffer_release(&merge->made);
	free(merge);
}
