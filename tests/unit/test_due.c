/* What is due and waits for a place hides nobody who needs none, or has one elsewhere. */
#include "daemon/work/provider.h"
#include "tests/unit/world_scene.h"

#define MANY 1060 /* more than are looked at at once */

static bool are_fetched(struct world *world, void *context)
{
	(void)context;
	return providers_at(world->providers, 0)->transfers == 2;
}

static bool is_never(struct world *world, void *context)
{
	(void)world, (void)context;
	return false;
}

static bool has_ended(struct world *world, void *context)
{
	auto_job job = world_job(world, *(int64_t *)context);

	return job_is_ended(job.state);
}

/* Each of one provider's many files takes most of a minute; the other's are there at once. */
static void a_slow_provider_does_not_hide_another(void)
{
	static const struct sim_config long_ones = { .run_ms = HOUR_MS };
	static const struct sim_config short_ones = { 0 };
	struct world *world = world_new(&long_ones, 1);
	auto_free char *crowd = world_requests(MANY, ""), *few = world_requests(STORY_REQUESTS, "");
	int64_t large, small;

	world->provider.max_requests = 1;
	world->provider.max_transfers = 2;
	(void)world_add_provider(world, "other", &short_ones);
	world_script(world, "{\"call\":\"content\",\"action\":\"delay\",\"ms\":50000}");
	large = world_submit_to(world, "sim", crowd);
	CU_ASSERT_TRUE(world_run(world, 2 * HOUR_MS, are_fetched, NULL));
	CU_ASSERT_EQUAL(world_ledger(world).batches, MANY);
	(void)world_run(world, 5 * MINUTE_MS, is_never, NULL);
	small = world_submit_to(world, "other", few);
	CU_ASSERT_TRUE(world_run(world, 10 * MINUTE_MS, has_ended, &small));
	CU_ASSERT_FALSE(has_ended(world, &large));
	world_free(world);
}

CHECK_MAIN("due", CHECK(a_slow_provider_does_not_hide_another))
