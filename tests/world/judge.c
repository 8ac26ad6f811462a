#include "tests/world/judge.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/sim/line.h"
#include "tests/world/ledger.h"
#include "tests/world/world.h"

#define MAX_SHARDS 1000

/* clang-format off */
static const struct { const char *type; enum job_state state; } job_arrivals[] = {
	{ "job.accepted",   JOB_ACCEPTED   },
	{ "job.valid",      JOB_VALID      },
	{ "job.cut",        JOB_RUNNING    },
	{ "job.cancelling", JOB_CANCELLING },
	{ "job.completed",  JOB_COMPLETED  },
	{ "job.failed",     JOB_FAILED     },
	{ "job.cancelled",  JOB_CANCELLED  },
	{ "job.expired",    JOB_EXPIRED    },
};

static const struct { const char *type; enum shard_state state; } shard_arrivals[] = {
	{ "shard.uploaded",  SHARD_UPLOADED  },
	{ "shard.created",   SHARD_CREATED   },
	{ "shard.ended",     SHARD_ENDED     },
	{ "shard.fetched",   SHARD_FETCHED   },
	{ "shard.collected", SHARD_COLLECTED },
	{ "shard.uncertain", SHARD_UNCERTAIN },
	{ "shard.dropped",   SHARD_DROPPED   },
	{ "shard.cancelled", SHARD_CANCELLED },
};
/* clang-format on */

struct history {
	enum job_state job;
	int shards[MAX_SHARDS]; /* state plus 1; 0: not seen yet */
	int64_t count;
	int64_t last_at;
	bool may_go_back; /* times of the wall clock, which was set back */
	struct error *err;
	int result;
};

static void read_job_event(struct history *history, const struct store_event *event)
{
	for (size_t i = 0; i < ARRAY_SIZE(job_arrivals); i++) {
		if (strcmp(event->type, job_arrivals[i].type) != 0)
			continue;
		if (history->count > 1 && !job_may_go(history->job, job_arrivals[i].state))
			history->result = error_set(history->err, -EINVAL, "the job went from %s to %s",
						    job_state_name(history->job),
						    job_state_name(job_arrivals[i].state));
		history->job = job_arrivals[i].state;
	}
}

/* What a shard was before it came to its first event: CUT, UPLOADED with another's file, or FETCHED where nothing was to be sent. */
static enum shard_state birth_of(enum shard_state state)
{
	if (shard_may_go(SHARD_CUT, state))
		return SHARD_CUT;
	return shard_may_go(SHARD_UPLOADED, state) ? SHARD_UPLOADED : SHARD_FETCHED;
}

static void read_shard_event(struct history *history, const struct store_event *event)
{
	for (size_t i = 0; i < ARRAY_SIZE(shard_arrivals); i++) {
		int *seen = &history->shards[event->shard % MAX_SHARDS];
		enum shard_state state = shard_arrivals[i].state;

		if (strcmp(event->type, shard_arrivals[i].type) != 0)
			continue;
		if (!*seen)
			*seen = 1 + (int)birth_of(state);
		if (!shard_may_go((enum shard_state)(*seen - 1), state))
			history->result = error_set(history->err, -EINVAL, "shard %" PRId64 " went from %s to %s",
						    event->shard,
						    shard_state_name((enum shard_state)(*seen - 1)),
						    shard_state_name(state));
		*seen = 1 + (int)state;
	}
}

static void read_event(const struct store_event *event, void *context)
{
	struct history *history = context;

	history->count++;
	if (history->result)
		return;
	if (event->at < history->last_at && !history->may_go_back)
		history->result = error_set(history->err, -EINVAL, "event %" PRId64 " is older than the one before",
					    event->seq);
	history->last_at = event->at;
	read_job_event(history, event);
	read_shard_event(history, event);
	if (event->is_last && !job_is_ended(history->job))
		history->result = error_set(history->err, -EINVAL, "%s is said to be the last event", event->type);
}

static int judge_history(struct world *world, const struct job *job, struct error *err)
{
	struct history *history = xcalloc(1, sizeof(*history));
	int r;

	history->err = err;
	history->may_go_back = world->is_set_back;
	(void)store_event_list(world->store, job->id, 0, 1000000, read_event, history);
	r = history->result;
	if (!r && history->job != job->state)
		r = error_set(err, -EINVAL, "the history ends at %s, the job is %s",
			      job_state_name(history->job), job_state_name(job->state));
	if (!r && world->gaps)
		r = error_set(err, -EINVAL, "%" PRId64 " events were told out of order", world->gaps);
	free(history);
	return r;
}

static int judge_counts(const struct job *job, int64_t total, struct error *err)
{
	const struct job_counts *counts = &job->counts;
	int64_t sum = counts->ok + counts->failed + counts->cancelled + counts->expired;
	bool is_early = job->state == JOB_ACCEPTED || job->state == JOB_FAILED ||
			(job->state == JOB_CANCELLED && !counts->total);

	if (counts->total != total && !is_early)
		return error_set(err, -EINVAL, "%" PRId64 " requests in all, not %" PRId64, counts->total, total);
	if (sum > counts->total || (job_is_ended(job->state) && job->state != JOB_FAILED && sum != counts->total))
		return error_set(err, -EINVAL, "%" PRId64 " of %" PRId64 " requests are accounted for", sum,
				 counts->total);
	return 0;
}

/* The next line of a text, which is moved on; its size without the newline. */
static const char *next_line(const char **text, size_t *ret_size)
{
	const char *line = *text;

	*ret_size = strcspn(line, "\n");
	*text = line + *ret_size + (line[*ret_size] == '\n');
	return *line ? line : NULL;
}

/* Whether the next line of results is about this request, and if so, what is wrong with it. */
static bool is_next(const struct line *request, const char *results)
{
	size_t size = strcspn(results, "\n");
	struct line answer;
	auto_free char *asked = line_text(&request->custom_id);

	return *results && line_parse(results, size, &answer) && line_is(&answer.custom_id, asked);
}

/* Whether some provider wrote this line. */
static bool has_line(struct world *world, const char *line, size_t size)
{
	for (size_t i = 0; i < world->config.provider_count; i++)
		if (ledger_has_line(world->sims[i], line, size))
			return true;
	return false;
}

static int judge_success(struct world *world, const struct line *request, const char *results,
			 struct error *err)
{
	struct answer_rules rules = world->sim_config.answers;
	struct answer_usage usage = { 0 };
	auto_buffer wanted = { 0 };

	/* However often it had to be asked, a success is the same. */
	rules.fail_permille = 0;
	(void)answers_add(&rules, request, UINT32_MAX, &wanted, &usage);
	if (strncmp(buffer_text(&wanted), results, wanted.size) == 0 ||
	    has_line(world, results, strcspn(results, "\n")))
		return 0;
	return error_set(err, -EINVAL, "wanted %s, got %.*s", buffer_text(&wanted),
			 (int)strcspn(results, "\n"), results);
}

/* A failure is the provider's line as it came, or one of ours for a request that it has no line for. */
static int judge_failure(struct world *world, const char *results, struct error *err)
{
	static const char ours[] = "{\"id\":null,\"custom_id\":";
	size_t size = strcspn(results, "\n");

	if (strncmp(results, ours, sizeof(ours) - 1) == 0 || has_line(world, results, size))
		return 0;
	return error_set(err, -EINVAL, "nobody wrote %.*s", (int)size, results);
}

static int judge_results(struct world *world, const struct job *job, const char *input, struct error *err)
{
	auto_free char *output = world_file(world, job->output_file);
	auto_free char *errors = world_file(world, job->error_file);
	const char *successes = output, *failures = errors, *line;
	int64_t ok = 0, others = 0;
	size_t size;

	while ((line = next_line(&input, &size))) {
		struct line request;

		if (!line_parse(line, size, &request))
			return error_set(err, -EINVAL, "a request cannot be read");
		if (is_next(&request, successes)) {
			int r = judge_success(world, &request, successes, err);

			if (r)
				return r;
			(void)next_line(&successes, &size);
			ok++;
		} else if (is_next(&request, failures)) {
			int r = judge_failure(world, failures, err);

			if (r)
				return r;
			(void)next_line(&failures, &size);
			others++;
		} else {
			return error_set(err, -EINVAL, "no answer, or not in order: %.*s", (int)size, line);
		}
	}
	if (*successes || *failures)
		return error_set(err, -EINVAL, "an answer too many: %.200s", *successes ? successes : failures);
	if (ok != job->counts.ok || others != job->counts.total - job->counts.ok)
		return error_set(err, -EINVAL, "%" PRId64 " answers and %" PRId64 " errors, the job says otherwise",
				 ok, others);
	return 0;
}

int judge_job(struct world *world, int64_t job, const char *input, struct error *err)
{
	auto_job now = world_job(world, job);
	const char *rest = input;
	int64_t total = 0;
	size_t size;
	int r;

	while (next_line(&rest, &size))
		total++;
	r = judge_counts(&now, total, err);
	if (!r)
		r = judge_history(world, &now, err);
	if (!r && (now.output_file || now.error_file || now.state == JOB_COMPLETED))
		r = judge_results(world, &now, input, err);
	return r;
}
