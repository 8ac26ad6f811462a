/* hold, release, set: the order of a job that is there. */
#include <errno.h>
#include <inttypes.h>

#include "daemon/door/accept.h"
#include "daemon/door/visit.h"
#include "daemon/door/wish.h"
#include "daemon/protocol.h"
#include "daemon/work/order.h"

/* The answer to what came of it. done: "put on hold". */
static void answer(struct visit *visit, const struct job *job, int result, const char *done)
{
	const struct door_parts *parts = &visit->door->parts;

	if (result == -EALREADY || result == -EBUSY) {
		visit_error(visit, 409, NULL, NULL, "Job %" PRId64 " cannot be %s: it %s (%s).", job->id, done,
			    result == -EBUSY ? "is being cancelled" : "has ended", job_status(job));
	} else if (result) {
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	} else {
		accept_answer(visit, job->id);
		parts->on_change(parts->context);
	}
}

void batches_hold(struct visit *visit)
{
	auto_job job = { 0 };

	if (visit_job(visit, &job) == 0)
		answer(visit, &job, order_hold(visit->door->parts.pipeline, job.id, visit->uid), "put on hold");
}

void batches_release(struct visit *visit)
{
	auto_job job = { 0 };

	if (visit_job(visit, &job) == 0)
		answer(visit, &job, order_release(visit->door->parts.pipeline, job.id, visit->uid), "released");
}

void batches_set(struct visit *visit)
{
	struct wish_order order;
	struct order_change change;
	auto_job job = { 0 };

	if (visit_job(visit, &job) || wish_change(visit, &order))
		return;
	change = (struct order_change){
		.priority = order.priority,
		.budget_tokens = order.budget_tokens,
		.budget_cost = order.budget_cost,
	};
	answer(visit, &job, order_change(visit->door->parts.pipeline, job.id, &change, visit->uid), "changed");
}
