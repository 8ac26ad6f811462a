#include "client/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "client/exits.h"
#include "client/follow.h"
#include "client/input.h"
#include "client/interrupt.h"
#include "client/options.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/repeat.h"
#include "client/submission.h"
#include "client/words.h"
#include "daemon/base/error.h"
#include "daemon/protocol.h"

/* One input on its way in. */
struct delivery {
	struct session *session;
	struct input *input;
	struct submission_look look;
	char *path;
	char key[REPEAT_KEY];
	struct repeat repeat;
	struct progress progress;
};

static void show_sent(int64_t sent_bytes, void *context)
{
	struct delivery *delivery = context;

	progress_update(&delivery->progress, sent_bytes, 0, connection_now_ms());
}

/* A connection that was closed on us: batchd may say why, when asked on another. Then that is the
 * failure. */
static void ask_why(struct delivery *delivery, struct failure *failure)
{
	auto_json *daemon = NULL;
	struct failure ignored;

	if (service_get(delivery->session->connection, PROTOCOL_DAEMON, 0, &daemon, &ignored) !=
		    0 ||
	    !json_at(daemon, "accepting") || json_is_true(daemon, "accepting"))
		return;
	*failure = (struct failure){.status = EXIT_LATER};
	(void)snprintf(failure->text, sizeof(failure->text), "batchd accepts nothing now: %s",
		       json_text(daemon, "why", "it does not say why"));
}

static int send_once(struct delivery *delivery, struct json_object **ret_batch,
		     struct failure *failure)
{
	const struct options *options = delivery->session->options;
	struct connection_call call = {
		.method = "POST",
		.path = delivery->path,
		.content_type = PROTOCOL_JSONL,
		.encoding = delivery->look.packing,
		.key = options->key ? options->key : delivery->key,
		.body = delivery->input,
		.on_tick = show_sent,
		.context = delivery,
	};
	auto_reply reply = {0};
	struct error err = {0};
	int result, status;

	progress_init(&delivery->progress, delivery->input->name, true, delivery->input->size,
		      connection_now_ms());
	result = connection_perform(delivery->session->connection, &call, &reply, &err);
	progress_clear(&delivery->progress);
	status = failure_read(result, &err, &reply, failure);
	if (result == -ECONNRESET)
		ask_why(delivery, failure);
	if (status)
		return failure->status;
	if (!job_number(reply.object)) {
		*failure = (struct failure){.status = EXIT_OTHER,
					    .text = "the answer of batchd is no batch object"};
		return EXIT_OTHER;
	}
	*ret_batch = take(reply.object);
	return 0;
}

/* Sends until the outcome is known. */
static int deliver(struct delivery *delivery, struct json_object **ret_batch,
		   struct failure *failure)
{
	int status;

	do
		status = send_once(delivery, ret_batch, failure);
	while (status && repeat_again(&delivery->repeat, delivery->input->name, failure));
	return status ? failure->status : 0;
}

static bool is_checked(struct json_object *event, void *context)
{
	const char *type = json_text(event, "type", "");

	(void)context;
	return strcmp(type, "job.valid") == 0 || strcmp(type, "job.failed") == 0;
}

static int tell_flaws(struct json_object *batch, const struct input *input, int64_t job)
{
	struct json_object *errors = json_at(batch, "errors.data");
	int64_t count = json_object_is_type(errors, json_type_array)
				? (int64_t)json_object_array_length(errors)
				: 0;
	int64_t total = json_number(batch, "batchd.errors_total", count);
	char number[WORDS_FIGURE];

	if (!count)
		return output_fail(EXIT_ENDED, NULL, job, "failed: %s",
				   json_text(batch, "batchd.why", "batchd does not say why"));
	for (int64_t i = 0; i < count; i++) {
		struct json_object *error = json_object_array_get_idx(errors, (size_t)i);
		struct json_object *message = json_at(error, "message");
		auto_free char *words = words_whole(json_text(error, "message", ""),
						    (size_t)json_object_get_string_len(message));
		struct output_flaw flaw = {
			.file = input->name,
			.line = json_number(error, "line", 0),
			.code = json_text(error, "code", exits_code(EXIT_INPUT)),
			.param = json_text(error, "param", NULL),
			.message = *words ? words : "refused",
			.job = job,
		};

		output_flaw(stderr, &flaw);
	}
	if (total > count)
		output_say("%s: %s; batchctl validate lists them all", input->name,
			   words_number(total - count, "more wrong line", number));
	return EXIT_INPUT;
}

static void tell_skipped(struct json_object *batch, const struct input *input, int64_t job)
{
	int64_t count = json_number(batch, "batchd.counts.invalid", 0);
	char number[WORDS_FIGURE];

	if (count)
		output_say("%s: %s left out; batchctl results %" PRId64 " --errors-only has them",
			   input->name, words_number(count, "wrong line", number), job);
}

/* Follows an accepted job until its lines are checked, or to its end. */
static int see_through(struct delivery *delivery, int64_t job)
{
	const struct options *options = delivery->session->options;
	int64_t deadline_ms =
		options->timeout_ms < 0 ? 0 : connection_now_ms() + options->timeout_ms;
	struct follow follow = {
		.connection = delivery->session->connection,
		.job = job,
		.is_live = true,
		.patience_ms = options->patience_ms,
		.deadline_ms = deadline_ms,
		.on_event = is_checked,
	};
	struct failure failure;
	auto_json *batch = NULL;
	int status = follow_run(&follow, &failure);

	if (!status)
		status = follow_get(follow.connection, job, options->patience_ms, deadline_ms,
				    &batch, &failure);
	if (status)
		return follow_tell(&failure, job);
	if (strcmp(job_status(batch), "failed") == 0)
		return tell_flaws(batch, delivery->input, job);
	tell_skipped(batch, delivery->input, job);
	if (!options->waits)
		return EXIT_DONE;
	json_free(take(batch));
	status = follow_to_end(follow.connection, job, options->patience_ms, deadline_ms, &batch);
	return status ? status : command_tell_end(batch);
}

static int tell_unsent(const struct delivery *delivery, const struct failure *failure)
{
	const char *name = delivery->input->name;

	if (!interrupt_came())
		(void)output_fail(failure->status, *failure->code ? failure->code : NULL, 0,
				  "cannot submit %s: %s", name, failure->text);
	if (delivery->repeat.was_sent && !delivery->session->options->key &&
	    (interrupt_came() || failure->is_passing))
		output_say("%s may have been accepted; to be safe, submit it again with --key %s",
			   name, delivery->key);
	return failure->status;
}

static int submit_input(struct session *session, struct input *input)
{
	const struct options *options = session->options;
	struct submission_look look = submission_look(options, input);
	auto_free char *path = submission_path(options, input, look.endpoint);
	struct delivery delivery = {
		.session = session, .input = input, .look = look, .path = path};
	struct failure failure = {0};
	auto_json *batch = NULL;
	char size[WORDS_FIGURE];
	int64_t job;

	repeat_draw_key(delivery.key);
	if (deliver(&delivery, &batch, &failure))
		return tell_unsent(&delivery, &failure);
	job = job_number(batch);
	if (output_is_json())
		output_json(batch);
	else
		(void)printf("%" PRId64 "\n", job);
	(void)fflush(stdout);
	output_say("job %" PRId64 " accepted: %s, %s%s%s, %s", job, input->name,
		   words_size(input->size, size), look.packing ? " of " : "",
		   look.packing ? look.packing : "", look.endpoint);
	return options->skips_validation ? EXIT_DONE : see_through(&delivery, job);
}

static int submit_one(struct session *session, const char *path)
{
	auto_input input = {.fd = -1};
	struct error err;
	int result = input_open(path, true, &input, &err);

	if (result == -ENOTTY)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "%s: give a FILE, or pipe one in; see batchctl help submit",
				   err.text);
	if (result < 0)
		return interrupt_came() ? interrupt_status()
					: output_fail(EXIT_OTHER, NULL, 0, "%s", err.text);
	if (!input.size)
		return output_fail(EXIT_INPUT, NULL, 0, "cannot submit %s: it is empty",
				   input.name);
	return submit_input(session, &input);
}

int command_submit(struct session *session)
{
	const struct options *options = session->options;
	int worst = submission_check(options);

	if (worst)
		return worst;
	if (options->is_dry_run)
		return command_dry_run(session);
	if (!options->operand_count)
		return submit_one(session, "-");
	for (size_t i = 0; i < options->operand_count; i++) {
		int status = submit_one(session, options->operands[i]);

		worst = exits_worse(worst, status);
		if (interrupt_came())
			return status;
		if (status == EXIT_UNREACHABLE && i + 1 < options->operand_count) {
			output_say("%s and what follows it was not sent", options->operands[i + 1]);
			break;
		}
	}
	return worst;
}
