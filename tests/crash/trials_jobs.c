#include "tests/crash/trials_jobs.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store.h"
#include "tests/crash/trials_schedule.h"
#include "tests/sim/line.h"
#include "tests/world/judge.h"
#include "tests/world/world.h"

static bool is_every(int64_t number, int64_t every)
{
	return every && number % every == every - 1;
}

static void add_request(struct buffer *text, const struct schedule_shape *shape, int64_t uid, int64_t number,
			int64_t *failing)
{
	bool is_failing = is_every(number, shape->fails_always);

	buffer_add_format(text,
			  "{\"custom_id\":\"%c-%" PRId64 "\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
			  "\"body\":{\"model\":\"m%" PRId64 "\",\"messages\":[{\"role\":\"user\",\"content\":"
			  "\"" TRIAL_SECRET "-%" PRId64 " number %" PRId64 " %0*d\"}]%s%s}}\n",
			  uid == WORLD_UID ? 'r' : 's', number, number % shape->models, uid, number,
			  (int)shape->padding + 1, 0, is_failing ? ",\"note\":\"sim:status=400\"" : "",
			  !is_failing && is_every(number, shape->fails_once) ?
				  ",\"note\":\"sim:status=500 sim:times=1\"" :
				  "");
	*failing += is_failing;
}

void trial_job_init(struct trial_job *job, const struct schedule_shape *shape, int64_t uid, int64_t requests)
{
	struct buffer text = { 0 };

	*job = (struct trial_job){ .uid = uid, .requests = requests };
	for (int64_t number = 1; number <= requests; number++)
		add_request(&text, shape, uid, number, &job->failing);
	(void)buffer_text(&text);
	job->input = text.data;
}

/* Whether the next line of results is this request's. */
static bool is_answered(const struct line *request, const char *results)
{
	auto_free char *id = line_text(&request->custom_id);
	struct line answer;

	return *results && line_parse(results, strcspn(results, "\n"), &answer) && line_is(&answer.custom_id, id);
}

void trial_job_rest(struct trial_job *job, struct world *world, const struct trial_job *old)
{
	auto_job ended = world_job(world, old->id);
	auto_free char *output = world_file(world, ended.output_file);
	const char *successes = output;
	struct buffer text = { 0 };

	*job = (struct trial_job){ .uid = old->uid, .failing = old->failing };
	for (const char *at = old->input; *at;) {
		size_t size = strcspn(at, "\n");
		struct line request;

		if (line_parse(at, size, &request) && is_answered(&request, successes)) {
			successes += strcspn(successes, "\n");
			successes += *successes == '\n';
		} else {
			buffer_add(&text, at, size + 1);
			job->requests++;
		}
		at += size + 1;
	}
	(void)buffer_text(&text);
	job->input = text.data;
}

void trial_job_release(struct trial_job *job)
{
	free(job->input);
	*job = (struct trial_job){ 0 };
}

struct search {
	const char *words;
	bool is_found;
};

static void search_event(const struct store_event *event, void *context)
{
	struct search *search = context;

	search->is_found |= strstr(event->message, search->words) != NULL;
}

/* What is another user's stands neither in the history nor in the results. */
static int judge_secrets(const struct trial_job *job, struct world *world, const struct job *ended, struct error *err)
{
	int64_t other = job->uid == WORLD_UID ? TRIAL_STRANGER : WORLD_UID;
	auto_free char *words = xasprintf(TRIAL_SECRET "-%" PRId64, other);
	auto_free char *output = world_file(world, ended->output_file);
	auto_free char *errors = world_file(world, ended->error_file);
	struct search search = { .words = words };

	(void)store_event_list(world->store, job->id, 0, 1000000, search_event, &search);
	if (search.is_found || strstr(output, words) || strstr(errors, words))
		return error_set(err, -EINVAL, "job %" PRId64 " shows what is another user's", job->id);
	return 0;
}

static int judge_costs(const struct trial_job *job, const struct job *ended, const struct trial_allowance *allowance,
		       struct error *err)
{
	const struct job_counts *counts = &ended->counts;
	int64_t wanted = job->requests - job->failing, lost = counts->missing + counts->lost;

	if (!allowance->may_fail && counts->ok != wanted)
		return error_set(err, -EINVAL, "%" PRId64 " of %" PRId64 " requests succeeded, not %" PRId64, counts->ok,
				 job->requests, wanted);
	if (!allowance->may_lose && lost)
		return error_set(err, -EINVAL, "%" PRId64 " answers are missing or lost, and all could be had", lost);
	if (!allowance->may_pay_twice && counts->resent)
		return error_set(err, -EINVAL, "%" PRId64 " requests were sent again without need", counts->resent);
	return 0;
}

int trial_job_judge(const struct trial_job *job, struct world *world, const struct trial_allowance *allowance,
		    struct error *err)
{
	auto_job ended = world_job(world, job->id);
	int r = judge_job(world, job->id, job->input, err);

	if (!r)
		r = judge_secrets(job, world, &ended, err);
	if (!r)
		r = judge_costs(job, &ended, allowance, err);
	return r ? error_prefix(err, "job %" PRId64 ", %s", job->id, job_state_name(ended.state)) : 0;
}
