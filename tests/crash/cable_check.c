#include "tests/crash/cable_check.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/crash/cable.h"
#include "tests/crash/cable_relay.h"
#include "tests/crash/faults_tables.h"
#include "tests/sim/blob.h"
#include "tests/world/judge.h"
#include "tests/world/world.h"

struct verdict {
	struct world *world;
	int64_t job;
	const char *input;
	const struct fault *fault;
	const struct tamper *tamper; /* NULL: there is no relay */
	bool is_cancelled;
	struct job end;
	struct world_ledger ledger;
};

static const char *no_parameter(const char *name, void *context)
{
	(void)name;
	(void)context;
	return NULL;
}

/* What the model says at its control door; the caller puts it. */
static struct json_object *ask(struct world *world, const char *path)
{
	const struct sim_request request = {
		.method = "GET",
		.path = path,
		.query = no_parameter,
		.header = no_parameter,
	};
	struct sim_answer answer;
	struct json_object *object;

	sim_call(world->sim, &request, &answer);
	object = json_tokener_parse(answer.body->data);
	sim_answer_release(&answer);
	return object;
}

/* A rule that nothing ever matched tests nothing. */
static int check_struck(const struct verdict *verdict, struct error *err)
{
	struct json_object *rules = ask(verdict->world, "/sim/script");
	size_t count = json_object_array_length(rules);
	int r = 0;

	for (size_t i = 0; i < count && !r; i++) {
		struct json_object *rule = json_object_array_get_idx(rules, i);

		if (!json_object_get_int64(json_object_object_get(rule, "fired")))
			r = error_set(err, -EINVAL, "the fault never struck: %s", json_object_to_json_string(rule));
	}
	json_object_put(rules);
	if (!r && verdict->tamper && !relay_counts().tampered)
		r = error_set(err, -EINVAL, "nothing was tampered with");
	if (!r && verdict->fault->refused && verdict->world->network.refused_count)
		r = error_set(err, -EINVAL, "the fault never struck: no call began with %s", verdict->fault->refused);
	return r;
}

static int check_judged(const struct verdict *verdict, struct error *err)
{
	return judge_job(verdict->world, verdict->job, verdict->input, err);
}

static int check_end(const struct verdict *verdict, struct error *err)
{
	const struct job_counts *counts = &verdict->end.counts;
	enum job_state wanted = verdict->is_cancelled ? JOB_CANCELLED : JOB_COMPLETED;
	int64_t lost = counts->missing + counts->lost;

	if (verdict->end.state != wanted)
		return error_set(err, -EINVAL, "the job is %s: %s", job_state_name(verdict->end.state),
				 verdict->end.why ? verdict->end.why : "");
	if (lost && !(verdict->fault->costs & COST_LOST))
		return error_set(err, -EINVAL, "%" PRId64 " answers are lost", lost);
	if (counts->failed > lost && !(verdict->fault->costs & COST_FAILED))
		return error_set(err, -EINVAL, "%" PRId64 " requests failed", counts->failed);
	if (counts->expired || (counts->cancelled && !verdict->is_cancelled))
		return error_set(err, -EINVAL, "%" PRId64 " requests have no answer",
				 counts->expired + counts->cancelled);
	return 0;
}

static int check_costs(const struct verdict *verdict, struct error *err)
{
	const struct world_ledger *ledger = &verdict->ledger;
	const struct job_counts *counts = &verdict->end.counts;
	unsigned costs = verdict->fault->costs;

	/* A failure that the model's script made of a success is a success in its ledger. */
	int64_t told = counts->ok + counts->resent + counts->missing + counts->lost + counts->cancelled +
		       (costs & COST_FAILED ? counts->failed : 0);

	if (ledger->most_batches > 1 && !(costs & (COST_BATCHES | COST_ANSWERS | COST_TRIES | COST_ORPHANS)))
		return error_set(err, -EINVAL, "a request was in %" PRId64 " batches", ledger->most_batches);
	if (ledger->most_answers > 1 && !(costs & (COST_ANSWERS | COST_TRIES)))
		return error_set(err, -EINVAL, "a request was answered %" PRId64 " times", ledger->most_answers);
	if (ledger->uploads > ledger->creates && !(costs & COST_UPLOADS) && !verdict->is_cancelled)
		return error_set(err, -EINVAL, "%" PRId64 " uploads for %" PRId64 " creates", ledger->uploads,
				 ledger->creates);
	if (ledger->live && !(costs & COST_ORPHANS))
		return error_set(err, -EINVAL, "%" PRId64 " batches are alive", ledger->live);
	if (ledger->successes > told && !(costs & COST_TRIES))
		return error_set(err, -EINVAL, "%" PRId64 " successes were paid for, and the job does not say so",
				 ledger->successes);
	return 0;
}

/* Every batch that was ever made is some shard's. */
static int check_owners(const struct verdict *verdict, struct error *err)
{
	struct json_object *ledger = ask(verdict->world, "/sim/ledger");
	int r = 0;

	json_object_object_foreach(json_object_object_get(ledger, "batches"), id, batch) {
		int64_t owner = 0;

		(void)batch;
		if (!r && !(verdict->fault->costs & COST_ORPHANS) &&
		    store_shard_owner(verdict->world->store, verdict->world->provider.name, id, &owner))
			r = error_set(err, -EINVAL, "the batch %.60s is nobody's", id);
	}
	json_object_put(ledger);
	return r;
}

/* Nobody repeats a call by himself: the library would, on a connection that served before. */
static int check_replays(const struct verdict *verdict, struct error *err)
{
	static const struct {
		const char *name;
		unsigned call;
	} acting[] = {
		{ "upload", ON_UPLOAD }, { "create", ON_CREATE }, { "cancel", ON_CANCEL }, { "delete", ON_DELETE },
	};
	struct json_object *ledger = ask(verdict->world, "/sim/ledger");
	struct json_object *calls = json_object_object_get(ledger, "calls");
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(acting) && !r; i++) {
		int64_t arrived = json_object_get_int64(json_object_object_get(calls, acting[i].name));
		int64_t begun = cable_begun(acting[i].call);

		if (arrived > begun)
			r = error_set(err, -EINVAL, "%" PRId64 " calls of %s, of which %" PRId64 " were begun",
				      arrived, acting[i].name, begun);
	}
	json_object_put(ledger);
	return r;
}

static int check_relay(const struct verdict *verdict, struct error *err)
{
	const struct relay_counts counts = relay_counts();
	int64_t arrived = counts.uploads + counts.creates + counts.cancels + counts.deletes;
	int64_t begun = cable_begun(ON_UPLOAD | ON_CREATE | ON_CANCEL | ON_DELETE);

	if (!verdict->tamper)
		return 0;
	if (arrived > begun)
		return error_set(err, -EINVAL, "%" PRId64 " calls arrived, of which %" PRId64 " were begun", arrived,
				 begun);
	if (counts.keyless)
		return error_set(err, -EINVAL, "%" PRId64 " calls came without the key", counts.keyless);
	if (counts.keys_elsewhere || counts.posts_elsewhere)
		return error_set(err, -EINVAL, "another host got %" PRId64 " keys and %" PRId64 " calls that act",
				 counts.keys_elsewhere, counts.posts_elsewhere);
	return 0;
}

static int check_folder(const struct verdict *verdict, struct error *err)
{
	auto_free char *path = xasprintf("%s/tmp", verdict->world->folder);
	DIR *folder = opendir(path);
	struct dirent *entry;
	int r = folder ? 0 : error_set(err, -errno, "there is no %s", path);

	while (folder && !r && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			r = error_set(err, -EINVAL, "tmp/%s is left", entry->d_name);
	if (folder)
		(void)closedir(folder);
	return r;
}

int cable_check(struct world *world, int64_t job, const char *input, const struct fault *fault,
		const struct tamper *tamper, bool is_cancelled, struct error *err)
{
	static int (*const checks[])(const struct verdict *verdict, struct error *err) = {
		check_struck, check_judged, check_end, check_costs, check_owners,
		check_replays, check_relay, check_folder,
	};
	struct verdict verdict = {
		.world = world,
		.job = job,
		.input = input,
		.fault = fault,
		.tamper = tamper,
		.is_cancelled = is_cancelled,
		.end = world_job(world, job),
		.ledger = world_ledger(world),
	};
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(checks) && !r; i++)
		r = checks[i](&verdict, err);
	job_release(&verdict.end);
	return r;
}
