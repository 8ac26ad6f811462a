#include "client/commands.h"

#include <inttypes.h>

#include "client/exits.h"
#include "client/follow.h"
#include "client/interrupt.h"
#include "client/options.h"
#include "client/words.h"

int command_tell_end(struct json_object *batch)
{
	int64_t failed = job_failed(batch);
	int status = job_outcome(batch);
	char requests[WORDS_FIGURE];

	(void)words_number(job_total(batch), "request", requests);
	if (failed)
		output_say("job %" PRId64 " %s: %s, %" PRId64 " without success", job_number(batch),
			   job_status(batch), requests, failed);
	else
		output_say("job %" PRId64 " %s: %s", job_number(batch), job_status(batch),
			   requests);
	return status;
}

int command_wait(struct session *session)
{
	const struct options *options = session->options;
	int64_t deadline_ms =
		options->timeout_ms < 0 ? 0 : connection_now_ms() + options->timeout_ms;
	int worst = EXIT_DONE;

	for (size_t i = 0; i < options->operand_count; i++) {
		auto_json *batch = NULL;
		int64_t job = 0;
		int status = job_read_id(options->operands[i], &job);

		if (status)
			return status;
		status = follow_to_end(session->connection, job, options->patience_ms, deadline_ms,
				       &batch);
		if (!status) {
			status = command_tell_end(batch);
			if (output_is_json())
				output_json(batch);
		}
		worst = exits_worse(worst, status);
		if (interrupt_came() || status == EXIT_UNREACHABLE)
			return status;
	}
	return worst;
}
