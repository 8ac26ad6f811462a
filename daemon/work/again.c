#include "daemon/work/again.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/error.h"
#include "daemon/model/job.h"
#include "daemon/model/record.h"
#include "daemon/work/intake.h"
#include "daemon/work/outcomes.h"
#include "daemon/work/rows.h"

#define RUNS_A_SLICE 8

struct again {
	struct outcomes_shards shards;
	struct outcomes *outcomes;
	bool is_gathered;
	struct rows_reader rows;
	int64_t next_row;
	struct rows_writer chosen;
	struct again_group *groups;
	int64_t group_count;
	int failure;
};

static int choose(struct again *again, int64_t number, struct error *err)
{
	struct record_row row;
	int r = rows_read(&again->rows, number, &row, err);

	if (r)
		return r;
	if (row.group >= INTAKE_MAX_GROUPS)
		return error_set(err, -EUCLEAN,
				 "job %" PRId64 ": row %" PRId64 " is of a group that cannot be",
				 again->rows.job, number);
	if (row.group >= again->group_count)
		again->group_count = row.group + 1;
	again->groups[row.group].requests++;
	again->groups[row.group].bytes += row.wire_length;
	return rows_write(&again->chosen, &row, err);
}

/* The rows whose outcomes are read together. */
static int choose_run(struct again *again, struct error *err)
{
	struct record_outcome outcomes[OUTCOMES_RUN];
	int64_t left = again->rows.count - again->next_row;
	size_t count = left < OUTCOMES_RUN ? (size_t)left : OUTCOMES_RUN;
	int r = outcomes_read(again->outcomes, again->next_row, count, outcomes, err);

	for (size_t i = 0; !r && i < count; i++)
		if (outcomes[i].kind != OUTCOME_OK &&
		    !outcomes_is_invalid(&again->shards, &outcomes[i]))
			r = choose(again, again->next_row + (int64_t)i, err);
	again->next_row += (int64_t)count;
	return r;
}

static int work(struct again *again, struct error *err)
{
	int r = 0;

	if (!again->is_gathered) {
		r = outcomes_slice(again->outcomes, err);
		again->is_gathered = !r;
		return r < 0 ? r : 1;
	}
	for (int i = 0; !r && i < RUNS_A_SLICE && again->next_row < again->rows.count; i++)
		r = choose_run(again, err);
	return r ? r : again->next_row < again->rows.count;
}

int again_new(struct vault *vault, struct store *store, const struct job *old,
	      struct again **ret_again, struct error *err)
{
	struct again *again = xcalloc(1, sizeof(*again));
	int r = rows_open(&again->rows, vault, old->id, ROWS_NAME, RECORD_ROWS, err);

	if (!r)
		r = outcomes_shards_load(&again->shards, store, old->id);
	if (!r)
		r = outcomes_new(vault, old->id, again->rows.count, &again->shards,
				 outcomes_rest_of(old->state), &again->outcomes, err);
	if (r) {
		again_free(again);
		return r;
	}
	rows_writer_init(&again->chosen, vault, RECORD_ROWS);
	again->groups = xcalloc(INTAKE_MAX_GROUPS, sizeof(*again->groups));
	*ret_again = again;
	return 0;
}

int again_slice(struct again *again, struct error *err)
{
	int r = again->failure ? error_set(err, again->failure,
					   "the outcomes of job %" PRId64 " could not be read",
					   again->rows.job)
			       : work(again, err);

	if (r < 0)
		again->failure = r;
	return r;
}

int64_t again_count(const struct again *again)
{
	return again->chosen.count;
}

const struct again_group *again_groups(const struct again *again, int64_t *ret_count)
{
	*ret_count = again->group_count;
	return again->groups;
}

int again_keep(struct again *again, int64_t job, struct error *err)
{
	return rows_writer_keep(&again->chosen, job, ROWS_NAME, err);
}

void again_free(struct again *again)
{
	if (!again)
		return;
	outcomes_free(again->outcomes);
	outcomes_shards_release(&again->shards);
	rows_release(&again->rows);
	rows_writer_release(&again->chosen);
	free(again->groups);
	free(again);
}
