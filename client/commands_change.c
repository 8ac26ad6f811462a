#include "client/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/options.h"
#include "client/repeat.h"
#include "client/submission.h"
#include "daemon/base/alloc.h"
#include "daemon/protocol.h"

/* Asks for the same of every job; tell says what came of it. What is asked for twice is as if it were once. */
static int change(struct session *session, const char *word, const char *suffix,
		  void (*tell)(struct json_object *batch, int64_t job))
{
	auto_json *batch = NULL;
	struct failure failure;
	int64_t job = 0;
	int status = job_read_id(word, &job);

	if (status)
		return status;
	if (job_post(session->connection, job, suffix, NULL, &batch, &failure))
		return failure_tell(&failure, job);
	if (output_is_json())
		output_json(batch);
	else
		tell(batch, job);
	return EXIT_DONE;
}

static int change_all(struct session *session, const char *suffix,
		      void (*tell)(struct json_object *batch, int64_t job))
{
	const struct options *options = session->options;
	int worst = EXIT_DONE;

	for (size_t i = 0; i < options->operand_count && !interrupt_came(); i++)
		worst = exits_worse(worst, change(session, options->operands[i], suffix, tell));
	return worst;
}

static void tell_status(struct json_object *batch, int64_t job)
{
	output_say("job %" PRId64 " is %s", job, job_status(batch));
}

static void tell_hold(struct json_object *batch, int64_t job)
{
	(void)batch;
	output_say("job %" PRId64 " is on hold; what the provider has of it goes on", job);
}

static void tell_release(struct json_object *batch, int64_t job)
{
	(void)batch;
	output_say("job %" PRId64 " goes on", job);
}

static void tell_set(struct json_object *batch, int64_t job)
{
	const char *cost = json_text(batch, "batchd.budget.max_cost", NULL);
	int64_t tokens = json_number(batch, "batchd.budget.max_tokens", 0);
	auto_free char *bound = tokens ? xasprintf(", at most %" PRId64 " tokens", tokens) : xstrdup("");

	output_say("job %" PRId64 ": priority %" PRId64 "%s%s%s%s%s", job,
		   json_number(batch, "batchd.priority", 0), bound, cost ? ", at most " : "", cost ? cost : "",
		   cost ? " " : "", cost ? json_text(batch, "batchd.currency", "") : "");
}

int command_cancel(struct session *session)
{
	return change_all(session, "/cancel", tell_status);
}

int command_hold(struct session *session)
{
	return change_all(session, "/hold", tell_hold);
}

int command_release(struct session *session)
{
	return change_all(session, "/release", tell_release);
}

int command_set(struct session *session)
{
	const struct options *options = session->options;
	auto_free char *suffix = xstrdup("/set");

	if (!options->priority && !options->max_tokens && !options->max_cost)
		return output_fail(EXIT_USAGE, NULL, 0, "say --priority, --max-tokens or --max-cost");
	if (submission_check_bounds(options))
		return EXIT_USAGE;
	connection_query(&suffix, "priority", options->priority);
	connection_query(&suffix, "max_tokens", options->max_tokens);
	connection_query(&suffix, "max_cost", options->max_cost);
	return change_all(session, suffix, tell_set);
}

/* What is asked for again and again until its outcome is known. */
static int post_until_known(struct session *session, int64_t job, const char *suffix,
			    struct json_object **ret_batch, struct failure *failure)
{
	const struct options *options = session->options;
	auto_free char *what = xasprintf("job %" PRId64, job);
	char key[REPEAT_KEY];
	struct repeat repeat = {0};
	int status;

	repeat_draw_key(key);
	do
		status = job_post(session->connection, job, suffix,
				  options->key ? options->key : key, ret_batch, failure);
	while (status && repeat_again(&repeat, what, failure));
	return status ? failure->status : 0;
}

static int tell_refusal(struct session *session, int64_t job, struct failure *failure)
{
	auto_json *batch = NULL;
	struct failure ignored;

	if (strcmp(failure->code, PROTOCOL_CODE_NOTHING_TO_RETRY) != 0)
		return failure_tell(failure, job);
	if (job_get(session->connection, job, 0, &batch, &ignored) == 0 && !job_is_over(batch))
		failure->status = EXIT_NOT_FINISHED;
	/* The sentence names the job itself. */
	return failure_tell(failure, output_is_json() ? job : 0);
}

static void tell_retry(const struct options *options, struct json_object *batch, int64_t job)
{
	int64_t number = job_number(batch);

	if (output_is_json())
		output_json(batch);
	else if (number != job)
		(void)printf("%" PRId64 "\n", number);
	(void)fflush(stdout);
	if (number != job)
		output_say("job %" PRId64 " accepted: the requests of job %" PRId64
			   " that have no success",
			   number, job);
	else if (options->accepts_lost)
		output_say("job %" PRId64 " goes on without the answers that cannot be had", job);
	else
		output_say("job %" PRId64 " goes on: the requests whose answers cannot be had are "
			   "sent again, and paid for again",
			   job);
}

static int retry(struct session *session, const char *word)
{
	auto_json *batch = NULL;
	struct failure failure;
	int64_t job = 0;
	int status = job_read_id(word, &job);

	if (status)
		return status;
	if (post_until_known(session, job,
			     session->options->accepts_lost ? "/retry?lost=accept" : "/retry",
			     &batch, &failure))
		return tell_refusal(session, job, &failure);
	tell_retry(session->options, batch, job);
	return EXIT_DONE;
}

int command_retry(struct session *session)
{
	const struct options *options = session->options;
	int worst = repeat_check_key(options->key, "ID", options->operand_count);

	if (worst)
		return worst;
	for (size_t i = 0; i < options->operand_count && !interrupt_came(); i++)
		worst = exits_worse(worst, retry(session, options->operands[i]));
	return worst;
}

static int check_resolve(const struct options *options)
{
	if ((options->batch != NULL) == options->is_none)
		return output_fail(EXIT_USAGE, NULL, 0, "say --batch ID, or --none");
	if (options->batch && (!*options->batch || strlen(options->batch) > PROTOCOL_MAX_BATCH_ID))
		return output_fail(EXIT_USAGE, NULL, 0, "the ID of a --batch has 1 to %d bytes",
				   PROTOCOL_MAX_BATCH_ID);
	return repeat_check_key(options->key, "ID", options->operand_count);
}

static char *resolve_suffix(const struct options *options)
{
	char *suffix = xstrdup("/resolve");

	connection_query(&suffix, "batch", options->batch);
	if (options->is_none)
		connection_query(&suffix, "none", "1");
	if (options->shard) {
		auto_free char *number = xasprintf("%" PRId64, options->shard);

		connection_query(&suffix, "shard", number);
	}
	return suffix;
}

int command_resolve(struct session *session)
{
	const struct options *options = session->options;
	auto_free char *suffix = NULL;
	auto_json *batch = NULL;
	struct failure failure;
	int64_t job = 0;
	int status = check_resolve(options);

	if (!status)
		status = job_read_id(options->operands[0], &job);
	if (status)
		return status;
	suffix = resolve_suffix(options);
	if (post_until_known(session, job, suffix, &batch, &failure))
		return failure_tell(&failure, output_is_json() || failure.status == EXIT_NO_JOB ? job : 0);
	if (output_is_json())
		output_json(batch);
	else if (options->is_none)
		output_say("job %" PRId64 ": the requests are sent in a new batch", job);
	else
		output_say("job %" PRId64 ": the batch is asked for; batchctl log %" PRId64
			   " tells what comes of it",
			   job, job);
	return EXIT_DONE;
}
