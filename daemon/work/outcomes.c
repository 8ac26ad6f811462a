#include "daemon/work/outcomes.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/work/lines.h"
#include "daemon/work/rows.h"

#define ROWS_A_SLICE 4096
#define UNKNOWN      1

/* Outcomes of rows that follow each other, on their way to the scratch space. */
struct run {
	int64_t first; /* row */
	size_t count;
	struct record_outcome outcomes[OUTCOMES_RUN];
};

struct outcomes {
	struct vault *vault;
	int64_t job;
	int64_t row_count;
	const struct outcomes_shards *shards;
	enum outcomes_rest rest;
	struct vault_scratch *scratch; /* an outcome for every row of the job */
	size_t gathered;               /* shards whose outcomes are in it */
	int64_t next_member;           /* of the shard that is being gathered */
	bool is_gathering;             /* its records are open */
	struct damage *damage;         /* where damage is passed over; NULL: it is an error */
	struct error problem;          /* of the slice */
	struct rows_reader members;
	struct rows_reader done;
	struct run run;
};

static void note_shard(const struct shard *shard, void *context)
{
	struct outcomes_shards *shards = context;

	if (shard->state != SHARD_COLLECTED)
		return;
	shards->list = xreallocarray(shards->list, shards->count + 1, sizeof(*shards->list));
	shards->list[shards->count++] = (struct outcomes_shard){
		.number = shard->number,
		.why = xstrdup(shard->refusal),
		.code = xstrdup(shard->refusal_code),
		.was_sent = shard->ended_at > 0,
		.is_invalid = !shard->model || !*shard->model,
	};
}

static int compare_numbers(const void *number, const void *shard)
{
	int64_t a = *(const int64_t *)number;
	int64_t b = ((const struct outcomes_shard *)shard)->number;

	return (a > b) - (a < b);
}

/* Passes over the problem, if it is damage and that is wanted. Returns its code where it is not passed over. */
static int pass_over(struct outcomes *outcomes, int code)
{
	if (!outcomes->damage || !damage_is(code))
		return code;
	damage_note(outcomes->damage, &outcomes->problem);
	return 0;
}

static int open_done(struct outcomes *outcomes, int64_t number)
{
	auto_free char *name = rows_done_name(number);
	int r = rows_open(&outcomes->done, outcomes->vault, outcomes->job, name, RECORD_OUTCOMES, &outcomes->problem);

	if (!r && outcomes->members.count != outcomes->done.count)
		r = error_set(&outcomes->problem, -EUCLEAN, "job %" PRId64 ": %s and %s do not have as many rows", outcomes->job,
			      outcomes->members.name, name);
	if (r)
		rows_release(&outcomes->done);
	return r;
}

/* A shard whose members are not known is gone through as one that has none. */
static int open_shard(struct outcomes *outcomes, int64_t number)
{
	auto_free char *name = rows_members_name(number);
	int r = rows_open(&outcomes->members, outcomes->vault, outcomes->job, name, RECORD_MEMBERS,
			  &outcomes->problem);

	if (!r)
		r = open_done(outcomes, number);
	if (r)
		r = pass_over(outcomes, r);
	if (r)
		return r;
	outcomes->is_gathering = true;
	outcomes->next_member = 0;
	return 0;
}

static void close_shard(struct outcomes *outcomes)
{
	rows_release(&outcomes->members);
	rows_release(&outcomes->done);
	outcomes->is_gathering = false;
}

/* Whether an outcome can be one of a shard: checks of records do not tell one file from another. */
static bool is_sound(const struct record_outcome *outcome, int64_t shard)
{
	bool has_line = outcome->source == 'o' || outcome->source == 'e';
	bool needs_line = outcome->kind == OUTCOME_OK || outcome->kind == OUTCOME_FAILED;

	return outcome->shard == shard && outcome->kind != OUTCOME_NONE &&
	       outcome->kind <= OUTCOME_LOST && has_line == (outcome->length > 0) &&
	       (has_line || !needs_line) && outcome->offset <= INT64_MAX / 2 &&
	       outcome->length <= LINES_MAX;
}

static int write_run(struct outcomes *outcomes)
{
	struct run *run = &outcomes->run;
	size_t size = sizeof(run->outcomes[0]);
	int r = vault_scratch_write(outcomes->scratch, run->first * (int64_t)size, run->outcomes,
				    run->count * size, &outcomes->problem);

	run->first = 0;
	run->count = 0;
	return r;
}

static int damaged_outcome(struct outcomes *outcomes, int64_t number)
{
	return error_set(&outcomes->problem, -EUCLEAN, "job %" PRId64 ": outcome %" PRId64 " of shard %" PRId64 " is damaged",
			 outcomes->job, outcomes->next_member, number);
}

/* The next row of the shard, or UNKNOWN: which one that is cannot be told. */
static int read_member(struct outcomes *outcomes, int64_t number, struct record_member *ret_member)
{
	int r = rows_read(&outcomes->members, outcomes->next_member, ret_member, &outcomes->problem);

	if (!r && ret_member->row >= outcomes->row_count)
		r = damaged_outcome(outcomes, number);
	if (!r)
		return 0;
	r = pass_over(outcomes, r);
	return r ? r : UNKNOWN;
}

static struct record_outcome lost_outcome(int64_t shard, uint8_t attempts)
{
	struct record_outcome lost = { .shard = (uint32_t)shard, .kind = OUTCOME_LOST, .attempts = attempts };

	record_seal(RECORD_OUTCOMES, &lost);
	return lost;
}

/* Where there is no file of them, that was told when it was opened, and all are lost. */
static int read_outcome(struct outcomes *outcomes, int64_t number, struct record_outcome *ret_outcome)
{
	bool has_file = outcomes->done.kind;
	int r = has_file ? rows_read(&outcomes->done, outcomes->next_member, ret_outcome, &outcomes->problem) : 0;

	if (has_file && !r && !is_sound(ret_outcome, number))
		r = damaged_outcome(outcomes, number);
	if (has_file && !r)
		return 0;
	*ret_outcome = lost_outcome(number, 0);
	return r ? pass_over(outcomes, r) : 0;
}

static int gather_next(struct outcomes *outcomes)
{
	int64_t number = outcomes->shards->list[outcomes->gathered].number;
	struct run *run = &outcomes->run;
	struct record_member member;
	struct record_outcome outcome;
	int r = read_member(outcomes, number, &member);

	if (!r)
		r = read_outcome(outcomes, number, &outcome);
	if (r < 0)
		return r;
	outcomes->next_member++;
	if (r == UNKNOWN)
		return 0;
	r = 0;
	if (run->count == OUTCOMES_RUN ||
	    (run->count && member.row != run->first + (int64_t)run->count))
		r = write_run(outcomes);
	if (!run->count)
		run->first = member.row;
	run->outcomes[run->count++] = outcome;
	return r;
}

/* What a row without a final outcome is: it went to a shard that did not answer yet, or never
 * will, or to none. */
static void settle(enum outcomes_rest rest, struct record_outcome *outcome)
{
	static const uint8_t kinds[] = {
		[OUTCOMES_MISSING] = OUTCOME_MISSING,
		[OUTCOMES_CANCELLED] = OUTCOME_CANCELLED,
		[OUTCOMES_EXPIRED] = OUTCOME_EXPIRED,
		[OUTCOMES_OPEN] = OUTCOME_NONE,
	};

	if (outcome->kind == OUTCOME_NONE || outcome->kind == OUTCOME_AGAIN)
		*outcome = (struct record_outcome){
			.kind = kinds[rest],
			.shard = outcome->shard,
			.attempts = outcome->attempts,
		};
}

int outcomes_shards_load(struct outcomes_shards *shards, struct store *store, int64_t job)
{
	*shards = (struct outcomes_shards){0};
	return store_shard_list(store, job, 0, INT32_MAX, note_shard, shards);
}

void outcomes_shards_release(struct outcomes_shards *shards)
{
	for (size_t i = 0; i < shards->count; i++) {
		free(shards->list[i].why);
		free(shards->list[i].code);
	}
	free(shards->list);
	*shards = (struct outcomes_shards){0};
}

const struct outcomes_shard *outcomes_shards_find(const struct outcomes_shards *shards,
						  int64_t number)
{
	return shards->count ? bsearch(&number, shards->list, shards->count, sizeof(*shards->list),
				       compare_numbers)
			     : NULL;
}

bool outcomes_is_invalid(const struct outcomes_shards *shards, const struct record_outcome *outcome)
{
	const struct outcomes_shard *shard;

	if (outcome->kind != OUTCOME_FAILED || outcome->source != 'e' || outcome->attempts)
		return false;
	shard = outcomes_shards_find(shards, outcome->shard);
	return shard && shard->is_invalid;
}

enum outcomes_rest outcomes_rest_of(enum job_state state)
{
	static const enum outcomes_rest rests[JOB_STATE_COUNT] = {
		[JOB_ACCEPTED] = OUTCOMES_OPEN,       [JOB_VALID] = OUTCOMES_OPEN,
		[JOB_RUNNING] = OUTCOMES_OPEN,        [JOB_CANCELLING] = OUTCOMES_OPEN,
		[JOB_COMPLETED] = OUTCOMES_MISSING,   [JOB_FAILED] = OUTCOMES_MISSING,
		[JOB_CANCELLED] = OUTCOMES_CANCELLED, [JOB_EXPIRED] = OUTCOMES_EXPIRED,
	};

	return rests[state];
}

int outcomes_new(struct vault *vault, int64_t job, int64_t row_count,
		 const struct outcomes_shards *shards, enum outcomes_rest rest,
		 struct outcomes **ret_outcomes, struct error *err)
{
	struct outcomes *outcomes = xcalloc(1, sizeof(*outcomes));
	int r = vault_scratch_new(vault, row_count * (int64_t)sizeof(struct record_outcome),
				  &outcomes->scratch, err);

	outcomes->vault = vault;
	outcomes->job = job;
	outcomes->row_count = row_count;
	outcomes->shards = shards;
	outcomes->rest = rest;
	if (r) {
		outcomes_free(outcomes);
		return r;
	}
	*ret_outcomes = outcomes;
	return 0;
}

int outcomes_slice(struct outcomes *outcomes, struct error *err)
{
	int r = 0;

	if (outcomes->gathered == outcomes->shards->count)
		return 0;
	if (!outcomes->is_gathering)
		r = open_shard(outcomes, outcomes->shards->list[outcomes->gathered].number);
	for (size_t i = 0;
	     !r && i < ROWS_A_SLICE && outcomes->next_member < outcomes->members.count; i++)
		r = gather_next(outcomes);
	if (!r && outcomes->run.count)
		r = write_run(outcomes);
	if (r)
		return error_set(err, r, "%s", outcomes->problem.text);
	if (outcomes->next_member == outcomes->members.count) {
		close_shard(outcomes);
		outcomes->gathered++;
	}
	return outcomes->gathered < outcomes->shards->count;
}

int outcomes_read(struct outcomes *outcomes, int64_t first, size_t count,
		  struct record_outcome *ret_outcomes, struct error *err)
{
	static const struct record_outcome nothing;
	size_t size = sizeof(*ret_outcomes);
	int r;

	assert(count <= OUTCOMES_RUN);
	r = vault_scratch_read(outcomes->scratch, first * (int64_t)size, ret_outcomes, count * size,
			       err);
	for (size_t i = 0; !r && i < count; i++) {
		struct record_outcome *outcome = &ret_outcomes[i];

		if (memcmp(outcome, &nothing, size) && record_verify(RECORD_OUTCOMES, outcome))
			r = error_set(err, -EUCLEAN, "job %" PRId64 ": a scratch file is damaged",
				      outcomes->job);
		settle(outcomes->rest, outcome);
	}
	return r;
}

int outcomes_lose(struct outcomes *outcomes, int64_t row, struct record_outcome *outcome, struct error *err)
{
	int64_t size = sizeof(*outcome);

	*outcome = lost_outcome(outcome->shard, outcome->attempts);
	return vault_scratch_write(outcomes->scratch, row * size, outcome, sizeof(*outcome), err);
}

void outcomes_salvage(struct outcomes *outcomes, struct damage *damage)
{
	outcomes->damage = damage;
}

bool damage_is(int code)
{
	return code == -EUCLEAN || code == -ENOENT;
}

void damage_note(struct damage *damage, const struct error *err)
{
	if (!damage->count++)
		damage->first = *err;
}

void outcomes_free(struct outcomes *outcomes)
{
	if (!outcomes)
		return;
	close_shard(outcomes);
	vault_scratch_free(outcomes->scratch);
	free(outcomes);
}
