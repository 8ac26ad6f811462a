/* What must hold after a job's way through a fault, told apart from the code under test: by the provider's ledger and by files. */
#ifndef BATCHD_TESTS_CRASH_CABLE_CHECK_H
#define BATCHD_TESTS_CRASH_CABLE_CHECK_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct fault;
struct tamper;
struct world;

/*
 * 0, or -EINVAL with a sentence that names what does not hold. tamper: of the relay, or NULL. is_cancelled: the job's end was asked for.
 * The checks of tests/world/judge.h are among them.
 */
int cable_check(struct world *world, int64_t job, const char *input, const struct fault *fault,
		const struct tamper *tamper, bool is_cancelled, struct error *err);

#endif
