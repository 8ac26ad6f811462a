#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/state.h"

static bool is_stuck(const struct batch *batch)
{
	return batch->plan.stuck_in &&
	       !strcmp(batch->plan.stuck_in, batches_status_name(batch->status));
}

static int64_t run_end(const struct batch *batch)
{
	const struct plan *plan = &batch->plan;
	int64_t start = batch->since_ms[STATUS_IN_PROGRESS];

	if (plan->code && plan->fails_running)
		return start + plan->run_ms / 2;
	if (plan->expire_percent >= 0)
		return start + plan->run_ms * plan->expire_percent / 100;
	return start + plan->run_ms;
}

/* When a batch leaves its status by itself; INT64_MAX: never. */
static int64_t due_ms(const struct batch *batch)
{
	int64_t since = batch->since_ms[batch->status];
	int64_t expiry = batch->created_ms + batch->plan.expire_ms;
	int64_t due = INT64_MAX;

	if (batch->status >= STATUS_FAILED)
		return INT64_MAX;
	if (batch->status == STATUS_VALIDATING)
		due = since + batch->plan.validate_ms;
	else if (batch->status == STATUS_IN_PROGRESS)
		due = run_end(batch);
	else if (batch->status == STATUS_FINALIZING)
		due = since + batch->plan.finalize_ms;
	else
		due = since + batch->plan.cancel_ms;
	if (is_stuck(batch))
		due = INT64_MAX;
	if (batch->status <= STATUS_IN_PROGRESS && expiry < due)
		due = expiry;
	return due;
}

static void enter(struct batch *batch, enum status status, int64_t at_ms)
{
	batch->status = status;
	batch->since_ms[status] = at_ms;
	if (status < STATUS_FAILED)
		return;
	blob_unref(take(batch->input));
	free(take(batch->rows));
	free(take(batch->order));
}

static void end(struct sim *sim, struct batch *batch, enum status status, size_t done,
		int64_t at_ms)
{
	if (batch->rows)
		results_write(sim, batch, done, at_ms);
	enter(batch, status, at_ms);
}

static void leave_validating(struct sim *sim, struct batch *batch, int64_t at_ms)
{
	validate_input(sim, batch);
	if (batch->errors) {
		batch->count = 0;
		enter(batch, STATUS_FAILED, at_ms);
		return;
	}
	for (size_t i = 0; i < batch->count; i++)
		sim->request_counts[batch->rows[i].request].batches++;
	results_shuffle(sim, batch);
	enter(batch, STATUS_IN_PROGRESS, at_ms);
}

static void leave_in_progress(struct sim *sim, struct batch *batch, int64_t at_ms)
{
	const struct plan *plan = &batch->plan;
	bool is_late = at_ms == batch->created_ms + plan->expire_ms;

	if (plan->expire_percent >= 0 || is_late) {
		end(sim, batch, STATUS_EXPIRED, course_done(batch, at_ms), at_ms);
	} else if (plan->code) {
		validate_add_error(batch, plan->code, plan->message, plan->param, plan->line);
		enter(batch, STATUS_FAILED, at_ms);
		batch->count = 0;
	} else {
		enter(batch, STATUS_FINALIZING, at_ms);
	}
}

static void leave(struct sim *sim, struct batch *batch, int64_t at_ms)
{
	int64_t cancelled_ms = batch->since_ms[STATUS_CANCELLING];

	if (batch->status == STATUS_VALIDATING)
		leave_validating(sim, batch, at_ms);
	else if (batch->status == STATUS_IN_PROGRESS)
		leave_in_progress(sim, batch, at_ms);
	else if (batch->status == STATUS_FINALIZING || batch->was_finalizing)
		end(sim, batch, STATUS_COMPLETED, batch->count, at_ms);
	else
		end(sim, batch, STATUS_CANCELLED, course_done(batch, cancelled_ms), at_ms);
}

void course_step(struct sim *sim)
{
	if (sim->now_ms < sim->next_due_ms)
		return;
	sim->next_due_ms = INT64_MAX;
	for (size_t i = 0; i < sim->batch_ids.count; i++) {
		struct batch *batch = sim->batches[i];
		int64_t due = due_ms(batch);

		while (due <= sim->now_ms) {
			leave(sim, batch, due);
			due = due_ms(batch);
		}
		if (due < sim->next_due_ms)
			sim->next_due_ms = due;
	}
}

void course_touch(struct sim *sim, const struct batch *batch)
{
	int64_t due = due_ms(batch);

	if (due < sim->next_due_ms)
		sim->next_due_ms = due;
}

size_t course_done(const struct batch *batch, int64_t now_ms)
{
	int64_t start = batch->since_ms[STATUS_IN_PROGRESS];
	int64_t elapsed = now_ms - start;

	if (!start || start >= batch->created_ms + batch->plan.expire_ms)
		return 0;
	if (batch->plan.expire_percent >= 0 && now_ms >= run_end(batch))
		return batch->count * (size_t)batch->plan.expire_percent / 100;
	if (elapsed >= batch->plan.run_ms)
		return batch->count;
	return (size_t)((double)batch->count * (double)elapsed / (double)batch->plan.run_ms);
}
