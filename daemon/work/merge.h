/*
 * The results of a job in the order of its input: gathers the outcomes of all its collected shards,
 * then produces the answer lines of the rows that are asked for, one after the other. The same
 * object writes a finished job's result files and serves what is there before the end.
 */
#ifndef BATCHD_WORK_MERGE_H
#define BATCHD_WORK_MERGE_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/model/job.h"
#include "daemon/work/outcomes.h"

struct error;
struct merge;
struct vault;

enum merge_selection {
	MERGE_OK = 1,	  /* successes */
	MERGE_ERRORS = 2, /* everything else that ended */
	MERGE_ALL = 3,
};

enum merge_form {
	/*
	 * The answer line as it came, in one line; for a row without one, a line in the documented
	 * form of a request that was not executed (work/unanswered). A line that was wrong and was
	 * skipped has the line that intake made of it.
	 */
	MERGE_LINES,
	MERGE_COMBINED, /* one form for every row, whatever became of it: see work/combined */
};

struct merge_plan {
	enum merge_selection selection;
	enum merge_form form;
	enum outcomes_rest rest; /* with OUTCOMES_OPEN, rows that did not end yet are left out */
};

/*
 * Begins. shards are the collected ones, and must outlive it; the job is read here alone. -ENOENT
 * when the job has no row index.
 */
int merge_new(struct vault *vault, const struct job *job, const struct outcomes_shards *shards,
	      const struct merge_plan *plan, struct merge **ret_merge, struct error *err);
/*
 * Fills bytes with up to size bytes of whole and cut lines, as they come. Returns how many; 0:
 * nothing yet, call again (it works in slices); MERGE_END: that was all; other negative numbers: an
 * errno (-EUCLEAN: a record, the input or a download is damaged; of a damaged line no byte is given
 * out). size must be at least 4096. In the combined form an answer line is in memory as a whole
 * while it is read (up to LINES_MAX).
 */
#define MERGE_END (-1000)
int64_t merge_read(struct merge *merge, char *bytes, size_t size, struct error *err);
/*
 * Before the first read: from here on damage is passed over, and what cannot be had, or is not what was collected, counts as
 * OUTCOME_LOST. Else damage is an error.
 */
void merge_salvage(struct merge *merge);
/* After MERGE_END: begins again with the first row, for another selection. What was lost stays lost. */
void merge_rewind(struct merge *merge, enum merge_selection selection);
/* The damage that was passed over. */
const struct damage *merge_damage(const struct merge *merge);
/*
 * How the rows ended, counted afresh from the outcomes; complete once merge_read said MERGE_END.
 * resent and twice are no outcome of a row, and stay 0.
 */
const struct job_counts *merge_counts(const struct merge *merge);
void merge_free(struct merge *merge);

#endif
