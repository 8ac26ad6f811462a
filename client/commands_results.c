#include "client/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "client/exits.h"
#include "client/extract.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/options.h"
#include "client/sink.h"
#include "client/words.h"
#include "daemon/base/alloc.h"

#define TRIES          6
#define FIRST_PAUSE_MS 250

/* What --format says: the form that is asked for, and whether the texts are taken out of it. */
/* clang-format off */
static const struct format {
	const char *name;
	const char *form;
	bool is_content;
} formats[] = {
	{ "lines",    "lines",    false },
	{ "combined", "combined", false },
	{ "content",  "lines",    true },
};
/* clang-format on */

/* Where the bytes go. */
struct delivery {
	struct sink *sink;
	struct extract *extract; /* NULL: they go as they come */
};

static int take_bytes(const char *bytes, size_t size, void *context)
{
	struct delivery *delivery = context;

	return delivery->extract ? extract_write(delivery->extract, bytes, size)
				 : sink_write(delivery->sink, bytes, size);
}

/* What neither of both mends by another try, in words; 0: nothing. */
static int delivery_problem(const struct delivery *delivery, struct error *err)
{
	int r = sink_problem(delivery->sink, err);

	return r || !delivery->extract ? r : extract_problem(delivery->extract, err);
}

static int delivery_restart(struct delivery *delivery, struct error *err)
{
	if (delivery->extract)
		extract_restart(delivery->extract);
	return sink_restart(delivery->sink, err);
}

static int delivery_finish(struct delivery *delivery, struct error *err)
{
	int r = delivery->extract ? extract_finish(delivery->extract, err) : 0;

	return r ? r : sink_finish(delivery->sink, err);
}

/* Finds the format, or tells what is wrong with what was asked for. */
static int choose_format(const struct options *options, const struct format **ret_format)
{
	const char *name = options->format ? options->format
			   : options->wants_all ? "combined"
						: "lines";

	if (options->wants_all && options->wants_errors)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "--all and --errors-only contradict each other");
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++) {
		if (strcmp(name, formats[i].name) != 0)
			continue;
		if (formats[i].is_content && (options->wants_all || options->wants_errors))
			return output_fail(EXIT_USAGE, NULL, 0,
					   "--format content is of successes alone");
		*ret_format = &formats[i];
		return 0;
	}
	return output_fail(EXIT_USAGE, NULL, 0,
			   "--format %s: there are lines, combined and content", name);
}

static char *make_path(const struct options *options, const struct format *format, int64_t job,
		       bool is_over)
{
	char *path = job_path(job, "/results");

	if (!options->wants_all)
		connection_query(&path, "only", options->wants_errors ? "errors" : "ok");
	connection_query(&path, "form", format->form);
	if (!is_over)
		connection_query(&path, "partial", "1");
	return path;
}

/*
 * One download. 0 when it is whole; what the bytes met here is a failure that no other try mends.
 */
static int download_once(struct session *session, const char *path, struct delivery *delivery,
			 struct failure *failure)
{
	struct connection_call call = {
		.method = "GET",
		.path = path,
		.on_data = take_bytes,
		.context = delivery,
	};
	auto_reply reply = {0};
	struct error err = {0};
	int result = connection_perform(session->connection, &call, &reply, &err);

	if (result == -ECANCELED && delivery_problem(delivery, &err) < 0)
		return failure_read(-EIO, &err, &reply, failure);
	/* Without a length and without chunks the end looks like a cut. */
	if (result == 0 && reply.status == 200 && !reply.is_framed)
		result =
			error_set(&err, -EMSGSIZE, "the answer of batchd does not tell its length");
	return failure_read(result, &err, &reply, failure);
}

static int download(struct session *session, const char *path, struct delivery *delivery,
		    struct failure *failure)
{
	int64_t pause_ms = FIRST_PAUSE_MS;

	for (int tries = 1;; tries++, pause_ms *= 2) {
		struct error err;
		int status = download_once(session, path, delivery, failure);

		if (!status || !failure->is_passing || tries == TRIES)
			return status;
		output_say("%s; starting again", failure->text);
		if (interrupt_sleep(pause_ms)) {
			*failure = (struct failure){.status = interrupt_status()};
			return failure->status;
		}
		if (delivery_restart(delivery, &err) < 0)
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

static int deliver(struct session *session, const struct format *format, struct json_object *batch,
		   int64_t job)
{
	const struct options *options = session->options;
	auto_free char *path = make_path(options, format, job, job_is_over(batch));
	auto_with(sink_free) struct sink *sink = NULL;
	auto_with(extract_free) struct extract *extract = NULL;
	struct delivery delivery;
	struct failure failure;
	struct error err;

	if (sink_new(options->output, options->overwrites, &sink, &err) < 0)
		return output_fail(EXIT_OTHER, NULL, job, "%s", err.text);
	extract = format->is_content ? extract_new(sink) : NULL;
	delivery = (struct delivery){sink, extract};
	if (download(session, path, &delivery, &failure))
		return tell_cut(sink, &failure, job, options->output);
	if (delivery_finish(&delivery, &err) < 0)
		return output_fail(EXIT_OTHER, NULL, job, "%s", err.text);
	return EXIT_DONE;
}

int command_results(struct session *session)
{
	const struct options *options = session->options;
	const struct format *format = NULL;
	auto_json *batch = NULL;
	struct failure failure;
	int64_t job = 0;
	int status = job_read_id(options->operands[0], &job);

	if (!status)
		status = choose_format(options, &format);
	if (status)
		return status;
	if (job_get(session->connection, job, 0, &batch, &failure))
		return failure_tell(&failure, job);
	if (!job_is_over(batch) && !options->is_partial)
		return output_fail(EXIT_NOT_FINISHED, NULL, job,
				   "not finished: %s; --partial gives what there is",
				   job_status(batch));
	status = deliver(session, format, batch, job);
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
