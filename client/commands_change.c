#include "client/commands.h"

#include <inttypes.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/options.h"

static int cancel(struct session *session, const char *word)
{
	auto_json *batch = NULL;
	struct failure failure;
	int64_t job = 0;
	int status = job_read_id(word, &job);

	if (status)
		return status;
	if (job_post(session->connection, job, "/cancel", &batch, &failure))
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
