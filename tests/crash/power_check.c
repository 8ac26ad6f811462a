#include "tests/crash/power_check.h"

#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "tests/crash/power_stage.h"
#include "tests/sim/blob.h"
#include "tests/world/judge.h"

/* A look at the whole world; the first thing that is wrong counts. */
struct look {
	struct stage *stage;
	struct error *err;
	int result;
};

/* Whether a job can come from one state to another in any number of steps. */
static bool may_become(enum job_state from, enum job_state to)
{
	if (from == to)
		return true;
	for (int next = 0; next < JOB_STATE_COUNT; next++)
		if (next != (int)from && job_may_go(from, (enum job_state)next) &&
		    may_become((enum job_state)next, to))
			return true;
	return false;
}

static int check_bytes(struct world *world, int64_t file, const char *wanted, const char *what, struct error *err)
{
	auto_free char *bytes = world_file(world, file);

	if (strcmp(bytes, wanted) == 0)
		return 0;
	return error_set(err, -EINVAL, "%s (file %" PRId64 ") has other bytes than were accepted: %zu, not %zu", what,
			 file, strlen(bytes), strlen(wanted));
}

static int check_job(struct world *world, const struct stage_job *job, struct error *err)
{
	auto_job now = { 0 };

	if (store_job_get(world->store, job->id, &now))
		return error_set(err, -EINVAL, "G1: job %" PRId64 ", which was accepted, is gone", job->id);
	if (!may_become(job->told, now.state))
		return error_set(err, -EINVAL, "G5: job %" PRId64 " was told to be %s, and is %s", job->id,
				 job_state_name(job->told), job_state_name(now.state));
	if (job->is_cancel_promised && now.state != JOB_CANCELLING && now.state != JOB_CANCELLED)
		return error_set(err, -EINVAL, "G5: the cancel of job %" PRId64 " was promised, and it is %s",
				 job->id, job_state_name(now.state));
	return check_bytes(world, now.input_file, job->input, "G1: an input", err);
}

static int check_file(struct world *world, const struct stage_file *file, struct error *err)
{
	auto_store_file row = { 0 };
	int r = store_file_get(world->store, file->id, &row);

	if (file->is_delete_promised)
		return r == -ENOENT || row.is_deleted ?
			       0 :
			       error_set(err, -EINVAL, "file %" PRId64 " was deleted, and is back", file->id);
	if (r == -ENOENT && file->is_delete_asked)
		return 0;
	if (r)
		return error_set(err, -EINVAL, "G1: file %" PRId64 ", which was accepted, is gone", file->id);
	return check_bytes(world, file->id, file->bytes, "G1: a file", err);
}

/* Somebody's job, or one that was about to be accepted. */
static void claim_job(const struct job *job, void *context)
{
	struct look *look = context;
	struct stage *stage = look->stage;
	auto_free char *input = NULL;

	for (size_t i = 0; i < stage->job_count; i++)
		if (stage->jobs[i].id == job->id)
			return;
	input = world_file(stage->world, job->input_file);
	for (size_t i = 0; i < stage->job_count; i++)
		if (!stage->jobs[i].id && strcmp(stage->jobs[i].input, input) == 0) {
			stage->jobs[i].id = job->id;
			stage->jobs[i].told = job->state;
			return;
		}
	look->result = error_set(look->err, -EINVAL, "job %" PRId64 " is there, and nobody submitted it", job->id);
}

static void visit_leftover(int64_t number, int is_job, void *context)
{
	struct look *look = context;
	struct store *store = look->stage->world->store;
	auto_store_file file = { 0 };
	auto_job job = { 0 };

	if (!(is_job ? store_job_get(store, number, &job) : store_file_get(store, number, &file)))
		return;
	look->result = error_set(look->err, -EINVAL, "%s/%" PRId64 " is nobody's, and stays", is_job ? "jobs" : "files",
				 number);
}

static void delete_at_provider(struct world *world, const char *file)
{
	auto_free char *rule = NULL;

	if (!file || !*file)
		return;
	rule = xasprintf("{\"call\":\"content\",\"file\":\"%s\",\"action\":\"not_found\"}", file);
	world_script(world, rule);
}

static void visit_fetched(const struct shard *shard, void *context)
{
	if (shard->state != SHARD_FETCHED && shard->state != SHARD_COLLECTED)
		return;
	delete_at_provider(context, shard->remote_output);
	delete_at_provider(context, shard->remote_error);
}

int check_start(struct stage *stage, int64_t newest, struct error *err)
{
	struct world *world = stage->world;
	struct look look = { .stage = stage, .err = err };
	int64_t now = store_event_newest(world->store);
	int r = 0;

	if (now < newest)
		return error_set(err, -EINVAL, "events up to %" PRId64 " were told, and there are %" PRId64, newest, now);
	for (size_t i = 0; i < stage->job_count && !r; i++)
		if (stage->jobs[i].id)
			r = check_job(world, &stage->jobs[i], err);
	for (size_t i = 0; i < stage->file_count && !r; i++)
		if (stage->files[i].id)
			r = check_file(world, &stage->files[i], err);
	if (r)
		return r;
	(void)store_job_list(world->store, -1, ~0u, 0, 1000, claim_job, &look);
	spool_visit(world->spool, visit_leftover, &look);
	for (size_t i = 0; i < stage->job_count; i++)
		if (stage->jobs[i].id)
			(void)store_shard_list(world->store, stage->jobs[i].id, 0, 1000, visit_fetched, world);
	return look.result;
}

static int check_ended(struct stage *stage, const struct stage_job *job, struct error *err)
{
	auto_job end = world_job(stage->world, job->id);
	bool is_right = end.state == JOB_COMPLETED ? !job->is_cancel_promised :
						     end.state == JOB_CANCELLED && job->is_cancel_asked;

	if (!is_right)
		return error_set(err, -EINVAL, "job %" PRId64 " is %s in the end", job->id, job_state_name(end.state));
	if (!judge_job(stage->world, job->id, job->input, err))
		return 0;
	error_prefix(err, "job %" PRId64, job->id);
	return -EINVAL;
}

static const char *no_parameter(const char *name, void *context)
{
	(void)name, (void)context;
	return NULL;
}

static const char *marker_of(struct json_object *batch)
{
	struct json_object *metadata = json_object_object_get(batch, "metadata");

	json_object_object_foreach(metadata, name, value) {
		(void)name;
		return json_object_get_string(value);
	}
	return "";
}

/* Each marker is in one batch, whatever became of that. */
static int check_markers(struct stage *stage, struct error *err)
{
	const struct sim_request request = {
		.method = "GET",
		.path = "/sim/ledger",
		.query = no_parameter,
		.header = no_parameter,
	};
	struct sim_answer answer;
	struct json_object *ledger, *batches;
	int r = 0;

	sim_call(stage->world->sim, &request, &answer);
	ledger = json_tokener_parse(answer.body->data);
	batches = json_object_object_get(ledger, "batches");
	json_object_object_foreach(batches, id, batch) {
		json_object_object_foreach(batches, other_id, other) {
			if (strcmp(id, other_id) < 0 && strcmp(marker_of(batch), marker_of(other)) == 0)
				r = error_set(err, -EINVAL, "G2: batches %s and %s are of one shard", id, other_id);
		}
	}
	json_object_put(ledger);
	sim_answer_release(&answer);
	return r;
}

int check_end(struct stage *stage, struct error *err)
{
	struct world_ledger ledger = world_ledger(stage->world);
	int r = 0;

	for (size_t i = 0; i < stage->job_count && !r; i++)
		if (stage->jobs[i].id)
			r = check_ended(stage, &stage->jobs[i], err);
	if (!r)
		r = check_markers(stage, err);
	if (!r && ledger.most_batches > stage->most_batches)
		r = error_set(err, -EINVAL, "G2: a request was in %" PRId64 " batches", ledger.most_batches);
	if (!r && ledger.live)
		r = error_set(err, -EINVAL, "%" PRId64 " batches are still at work", ledger.live);
	if (!r && stage->world->fatal)
		r = error_set(err, -EINVAL, "it wanted to end with status %d", stage->world->fatal);
	return r;
}
