/* The jobs of a trial: what they ask for, and what must come of it. */
#ifndef BATCHD_TESTS_CRASH_TRIALS_JOBS_H
#define BATCHD_TESTS_CRASH_TRIALS_JOBS_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct schedule_shape;
struct world;

/* Words in prompts; those of one user are no business of another. */
#define TRIAL_SECRET "SECRET"
#define TRIAL_STRANGER 1001

struct trial_job {
	int64_t id;
	int64_t uid;
	char *input;
	int64_t requests;
	int64_t failing; /* that fail whenever they are asked */
};

/* Requests "r-1" ... for the first user, "s-1" ... for a stranger. */
void trial_job_init(struct trial_job *job, const struct schedule_shape *shape, int64_t uid, int64_t requests);
/* What is left of an ended job: its requests that have no success, in their order. */
void trial_job_rest(struct trial_job *job, struct world *world, const struct trial_job *old);
void trial_job_release(struct trial_job *job);

/* What an ended job may say that it cost. */
struct trial_allowance {
	bool may_fail; /* requests that could have succeeded */
	bool may_lose; /* answers that were made */
	bool may_pay_twice;
};

/* Judges an ended job. 0, or -EINVAL with a sentence. */
int trial_job_judge(const struct trial_job *job, struct world *world, const struct trial_allowance *allowance,
		    struct error *err);

#endif
