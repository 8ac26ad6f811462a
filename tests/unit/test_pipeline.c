/* The job's way in a world in a process: what comes out, whatever happens on the way. */
#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/unit/check.h"
#include "tests/world/judge.h"
#include "tests/world/world.h"

static const struct sim_config slow = {
	.validate_ms = 2000,
	.run_ms = 20000,
	.finalize_ms = 2000,
	.cancel_ms = 5000,
};

static void check_judged(const char *row, struct world *world, int64_t job, const char *input)
{
	struct error err = { 0 };

	if (judge_job(world, job, input, &err))
		(void)fprintf(stderr, "# %s\n", err.text);
	CHECK_ROW(row, !err.code);
}

static void every_request_is_answered_once(void)
{
	struct world *world = world_new(&slow, 1);
	auto_free char *input = world_requests(50, "");
	int64_t job = world_submit(world, input);
	struct world_ledger ledger;

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	check_judged("the main job", world, job, input);
	ledger = world_ledger(world);
	CU_ASSERT_EQUAL(ledger.batches, 1);
	CU_ASSERT_EQUAL(ledger.requests, 50);
	CU_ASSERT_EQUAL(ledger.most_answers, 1);
	world_free(world);
}

CHECK_MAIN("pipeline", CHECK(every_request_is_answered_once))
