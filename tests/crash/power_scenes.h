/*
 * What happens on a stage until, at some effect, the power goes.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_SCENES_H
#define BATCHD_TESTS_CRASH_POWER_SCENES_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/crash/power_stage.h"

struct scene {
	const char *name;
	const struct sim_config *sim;
	const char *script;   /* of the provider; NULL: none */
	int64_t max_requests; /* of a shard; 0: as by default */
	int64_t most_batches; /* that a request may be in */
	int checkpoint_turns; /* 0: when the log is long */
	bool is_heavy;	      /* so slow that it is played less often */
	void (*prepare)(struct stage *stage); /* before the first start; NULL: nothing */
	void (*play)(struct stage *stage);
};

/* The scenes; NULL behind the last. */
const struct scene *scene_at(size_t place);

/* A stage for a scene, prepared and not alive. */
void scene_set(const struct scene *scene, struct stage *stage, uint64_t seed);

#endif
