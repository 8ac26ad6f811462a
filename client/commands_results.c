#include "client/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/options.h"
#include "client/sink.h"
#include "client/words.h"
#include "daemon/base/alloc.h"

#define TRIES          6
#define FIRST_PAUSE_MS 250

static int take_bytes(const char *bytes, size_t size, void *context)
{
	return sink_write(context, bytes, size);
}

static char *make_path(const struct options *options, int64_t job, bool is_over)
{
	char *path = job_path(job, "/results");

	if (!options->wants_all)
		connection_query(&path, "only", options->wants_errors ? "errors" : "ok");
	if (!is_over)
		connection_query(&path, "partial", "1");
	return path;
}

/* One download. 0 when it is whole; what the sink met is a failure that no other try mends. */
static int download_once(struct session *session, const char *path, struct sink *sink,
			 struct failure *failure)
{
	struct connection_call call = {
		.method = "GET",
		.path = path,
		.on_data = take_bytes,
		.context = sink,
	};
	auto_reply reply = {0};
	struct error err = {0};
	int result = connection_perform(session->connection, &call, &reply, &err);

	if (result == -ECANCELED && sink_problem(sink, &err) < 0)
		return failure_read(-EIO, &err, &reply, failure);
	/* Without a length and without chunks the end looks like a cut. */
	if (result == 0 && reply.status == 200 && !reply.is_framed)
		result =
			error_set(&err, -EMSGSIZE, "the answer of batchd does not tell its length");
	return failure_read(result, &err, &reply, failure);
}

static int download(struct session *session, const char *path, struct sink *sink,
		    struct failure *failure)
{
	int64_t pause_ms = FIRST_PAUSE_MS;

	for (int tries = 1;; tries++, pause_ms *= 2) {
		struct error err;
		int status = download_once(session, path, sink, failure);

		if (!status || !failure->is_passing || tries == TRIES)
			return status;
		output_say("%s; starting again", failure->text);
		if (interrupt_sleep(pause_ms)) {
			*failure = (struct failure){.status = interrupt_status()};
			return failure->status;
		}
		if (sink_restart(sink, &err) < 0)
			return failure_read(-EIO, &err, NULL, failure);
	}
}

static int tell_cut(struct sink *sink, const struct failure *failure, int64_t job, const char *path)
{
	char size[WORDS_FIGURE];

	if (!path && sink_size(sink) && !interrupt_came())
		output_say("what was written to standard output (%s) is not whole",
			   words_size(sink_size(sink), size));
	return failure_tell(failure, job);
}

static int deliver(struct session *session, struct json_object *batch, int64_t job)
{
	const struct options *options = session->options;
	auto_free char *path = make_path(options, job, job_is_over(batch));
	auto_with(sink_free) struct sink *sink = NULL;
	struct failure failure;
	struct error err;

	if (sink_new(options->output, options->overwrites, &sink, &err) < 0)
		return output_fail(EXIT_OTHER, NULL, job, "%s", err.text);
	if (download(session, path, sink, &failure))
		return tell_cut(sink, &failure, job, options->output);
	if (sink_finish(sink, &err) < 0)
		return output_fail(EXIT_OTHER, NULL, job, "%s", err.text);
	return EXIT_DONE;
}

int command_results(struct session *session)
{
	const struct options *options = session->options;
	auto_json *batch = NULL;
	struct failure failure;
	int64_t job = 0;
	int status = job_read_id(options->operands[0], &job);

	if (status)
		return status;
	if (options->wants_all && options->wants_errors)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "--all and --errors-only contradict each other");
	if (job_get(session->connection, job, 0, &batch, &failure))
		return failure_tell(&failure, job);
	if (!job_is_over(batch) && !options->is_partial)
		return output_fail(EXIT_NOT_FINISHED, NULL, job,
				   "not finished: %s; --partial gives what there is",
				   job_status(batch));
	status = deliver(session, batch, job);
	if (status)
		return status;
	status = job_outcome(batch);
	if (status == EXIT_ENDED)
		output_say("job %" PRId64 " %s: these are what there is", job, job_status(batch));
	else if (status == EXIT_SOME_FAILED)
		output_say("job %" PRId64 ": %" PRId64 " of %" PRId64 " requests without success",
			   job, job_failed(batch), job_total(batch));
	return status;
}
