#include "client/commands.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/options.h"
#include "client/repeat.h"
#include "daemon/base/alloc.h"
#include "daemon/protocol.h"

static int cancel(struct session *session, const char *word)
{
	auto_json *batch = NULL;
	struct failure failure;
	int64_t job = 0;
	int status = job_read_id(word, &job);

	if (status)
		return status;
	if (job_post(session->connection, job, "/cancel", NULL, &batch, &failure))
		return failure_tell(&failure, job);
	if (output_is_json())
		output_json(batch);
	else
		output_say("job %" PRId64 " is %s", job, job_status(batch));
	return EXIT_DONE;
}

int command_cancel(struct session *session)
{
	const struct options *options = session->options;
	int worst = EXIT_DONE;

	for (size_t i = 0; i < options->operand_count && !interrupt_came(); i++)
		worst = exits_worse(worst, cancel(session, options->operands[i]));
	return worst;
}

/* What is asked for again and again until its outcome is known. */
static int post_retry(struct session *session, int64_t job, struct json_object **ret_batch,
		      struct failure *failure)
{
	const struct options *options = session->options;
	auto_free char *what = xasprintf("job %" PRId64, job);
	char key[REPEAT_KEY];
	struct repeat repeat = {0};
	int status;

	repeat_draw_key(key);
	do
		status = job_post(session->connection, job,
				  options->accepts_lost ? "/retry?lost=accept" : "/retry",
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
	if (post_retry(session, job, &batch, &failure))
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
