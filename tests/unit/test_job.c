#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/model/job.h"
#include "tests/unit/check.h"

/* clang-format off */
static const struct { enum job_state state; int number; const char *name, *status; bool is_ended; } jobs[] = {
	{ JOB_ACCEPTED,   0, "accepted",   "validating",  false },
	{ JOB_VALID,      1, "valid",      "in_progress", false },
	{ JOB_RUNNING,    2, "running",    "in_progress", false },
	{ JOB_CANCELLING, 3, "cancelling", "cancelling",  false },
	{ JOB_COMPLETED,  4, "completed",  "completed",   true },
	{ JOB_FAILED,     5, "failed",     "failed",      true },
	{ JOB_CANCELLED,  6, "cancelled",  "cancelled",   true },
	{ JOB_EXPIRED,    7, "expired",    "expired",     true },
};

static const struct { enum shard_state state; int number; const char *name; bool is_ended; } shards[] = {
	{ SHARD_CUT,       0, "cut",       false },
	{ SHARD_UPLOADED,  1, "uploaded",  false },
	{ SHARD_CREATED,   2, "created",   false },
	{ SHARD_ENDED,     3, "ended",     false },
	{ SHARD_FETCHED,   4, "fetched",   false },
	{ SHARD_COLLECTED, 5, "collected", true },
	{ SHARD_UNCERTAIN, 6, "uncertain", false },
	{ SHARD_DROPPED,   7, "dropped",   true },
	{ SHARD_CANCELLED, 8, "cancelled", true },
};

static const struct { enum job_state from, to; } job_arrows[] = {
	{ JOB_ACCEPTED, JOB_VALID },       { JOB_ACCEPTED, JOB_FAILED },   { JOB_ACCEPTED, JOB_CANCELLED },
	{ JOB_ACCEPTED, JOB_EXPIRED },
	{ JOB_VALID, JOB_RUNNING },        { JOB_VALID, JOB_CANCELLED },   { JOB_VALID, JOB_EXPIRED },
	{ JOB_RUNNING, JOB_COMPLETED },    { JOB_RUNNING, JOB_CANCELLING },
	{ JOB_RUNNING, JOB_FAILED },
	{ JOB_CANCELLING, JOB_CANCELLED }, { JOB_CANCELLING, JOB_FAILED }, { JOB_CANCELLING, JOB_EXPIRED },
};

static const struct { enum shard_state from, to; } shard_arrows[] = {
	{ SHARD_CUT, SHARD_UPLOADED },       { SHARD_CUT, SHARD_ENDED },        { SHARD_CUT, SHARD_CANCELLED },
	{ SHARD_CUT, SHARD_DROPPED },        { SHARD_CUT, SHARD_CREATED },      { SHARD_CUT, SHARD_UNCERTAIN },
	{ SHARD_UPLOADED, SHARD_CREATED },   { SHARD_UPLOADED, SHARD_ENDED },
	{ SHARD_UPLOADED, SHARD_UNCERTAIN }, { SHARD_UPLOADED, SHARD_CANCELLED },
	{ SHARD_UPLOADED, SHARD_DROPPED },
	{ SHARD_CREATED, SHARD_ENDED },      { SHARD_CREATED, SHARD_DROPPED },
	{ SHARD_ENDED, SHARD_FETCHED },
	{ SHARD_FETCHED, SHARD_COLLECTED },  { SHARD_FETCHED, SHARD_CANCELLED },
	{ SHARD_UNCERTAIN, SHARD_DROPPED },
	{ SHARD_UNCERTAIN, SHARD_CREATED },  { SHARD_UNCERTAIN, SHARD_CANCELLED },
};
/* clang-format on */

static bool has_job_arrow(enum job_state from, enum job_state to)
{
	for (size_t i = 0; i < ARRAY_SIZE(job_arrows); i++)
		if (job_arrows[i].from == from && job_arrows[i].to == to)
			return true;
	return false;
}

static bool has_shard_arrow(enum shard_state from, enum shard_state to)
{
	for (size_t i = 0; i < ARRAY_SIZE(shard_arrows); i++)
		if (shard_arrows[i].from == from && shard_arrows[i].to == to)
			return true;
	return false;
}

static void keeps_the_numbers_that_are_on_disk(void)
{
	CU_ASSERT_EQUAL(ARRAY_SIZE(jobs), JOB_STATE_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		CHECK_ROW(jobs[i].name, (int)jobs[i].state == jobs[i].number);
	CU_ASSERT_EQUAL(ARRAY_SIZE(shards), SHARD_STATE_COUNT);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++)
		CHECK_ROW(shards[i].name, (int)shards[i].state == shards[i].number);
}

static void names_every_state(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		enum job_state state = JOB_STATE_COUNT;

		CU_ASSERT_STRING_EQUAL(job_state_name(jobs[i].state), jobs[i].name);
		CHECK_ROW(jobs[i].name, job_state_parse(jobs[i].name, &state) == 0);
		CHECK_ROW(jobs[i].name, state == jobs[i].state);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++)
		CU_ASSERT_STRING_EQUAL(shard_state_name(shards[i].state), shards[i].name);
}

static void knows_no_other_state(void)
{
	static const char *const names[] = {"",          "Accepted",   "accepte",
					    "acceptedd", "validating", "cut"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		enum job_state state = JOB_VALID;

		CHECK_ROW(names[i], job_state_parse(names[i], &state) == -EINVAL);
		CHECK_ROW(names[i], state == JOB_VALID);
	}
}

static void has_the_arrows_of_the_picture_and_no_other(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		for (size_t k = 0; k < ARRAY_SIZE(jobs); k++)
			CHECK_ROW(jobs[i].name,
				  job_may_go(jobs[i].state, jobs[k].state) ==
					  has_job_arrow(jobs[i].state, jobs[k].state));
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++)
		for (size_t k = 0; k < ARRAY_SIZE(shards); k++)
			CHECK_ROW(shards[i].name,
				  shard_may_go(shards[i].state, shards[k].state) ==
					  has_shard_arrow(shards[i].state, shards[k].state));
}

/* A state that can be left and reached again would be a way back. */
static void never_goes_back(void)
{
	bool reaches_job[JOB_STATE_COUNT][JOB_STATE_COUNT] = {0};
	bool reaches_shard[SHARD_STATE_COUNT][SHARD_STATE_COUNT] = {0};

	for (unsigned round = 0; round < SHARD_STATE_COUNT; round++) {
		for (unsigned i = 0; i < JOB_STATE_COUNT; i++)
			for (unsigned k = 0; k < JOB_STATE_COUNT; k++)
				for (unsigned via = 0; via < JOB_STATE_COUNT; via++)
					reaches_job[i][k] |=
						job_may_go(i, k) ||
						(reaches_job[i][via] && reaches_job[via][k]);
		for (unsigned i = 0; i < SHARD_STATE_COUNT; i++)
			for (unsigned k = 0; k < SHARD_STATE_COUNT; k++)
				for (unsigned via = 0; via < SHARD_STATE_COUNT; via++)
					reaches_shard[i][k] |=
						shard_may_go(i, k) ||
						(reaches_shard[i][via] && reaches_shard[via][k]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		CHECK_ROW(jobs[i].name, !reaches_job[i][i]);
		CHECK_ROW(jobs[i].name, i == JOB_ACCEPTED || reaches_job[JOB_ACCEPTED][i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++) {
		CHECK_ROW(shards[i].name, !reaches_shard[i][i]);
		CHECK_ROW(shards[i].name, i == SHARD_CUT || reaches_shard[SHARD_CUT][i]);
	}
}

static void ends_where_no_arrow_leaves(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
		CHECK_ROW(jobs[i].name, job_is_ended(jobs[i].state) == jobs[i].is_ended);
	for (size_t i = 0; i < ARRAY_SIZE(shards); i++)
		CHECK_ROW(shards[i].name, shard_is_ended(shards[i].state) == shards[i].is_ended);
}

static void calls_states_as_the_front_door_does(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(jobs); i++) {
		struct job job = {.state = jobs[i].state};

		CU_ASSERT_STRING_EQUAL(job_status(&job), jobs[i].status);
		job.finalizing_at = 1;
		CU_ASSERT_STRING_EQUAL(job_status(&job), strcmp(jobs[i].status, "in_progress") == 0
								 ? "finalizing"
								 : jobs[i].status);
	}
}

static void releases_all_and_clears(void)
{
	static const struct job no_job;
	static const struct shard no_shard;
	struct job job = {
		.id = 1,
		.endpoint = xstrdup("a"),
		.window = xstrdup("b"),
		.metadata = xstrdup("c"),
		.file_name = xstrdup("d"),
		.provider = xstrdup("e"),
		.errors = xstrdup("f"),
		.why = xstrdup("g"),
	};
	struct shard shard = {
		.id = 1,
		.model = xstrdup("a"),
		.url = xstrdup("b"),
		.marker = xstrdup("c"),
		.provider_file = xstrdup("d"),
		.batch_id = xstrdup("e"),
		.remote_status = xstrdup("f"),
		.remote_output = xstrdup("g"),
		.remote_error = xstrdup("h"),
		.why = xstrdup("i"),
	};

	job_release(&job);
	shard_release(&shard);
	CU_ASSERT_EQUAL(memcmp(&job, &no_job, sizeof(job)), 0);
	CU_ASSERT_EQUAL(memcmp(&shard, &no_shard, sizeof(shard)), 0);
	job_release(&job);
	shard_release(&shard);
}

CHECK_MAIN("job", CHECK(keeps_the_numbers_that_are_on_disk), CHECK(names_every_state),
	   CHECK(knows_no_other_state), CHECK(has_the_arrows_of_the_picture_and_no_other),
	   CHECK(never_goes_back), CHECK(ends_where_no_arrow_leaves),
	   CHECK(calls_states_as_the_front_door_does), CHECK(releases_all_and_clears))
