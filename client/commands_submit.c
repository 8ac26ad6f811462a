#include "client/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

#include "client/exits.h"
#include "client/follow.h"
#include "client/input.h"
#include "client/interrupt.h"
#include "client/options.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/model/request.h"
#include "daemon/protocol.h"

#define DEFAULT_ENDPOINT "/v1/chat/completions"
#define READ_AHEAD                                                                                 \
	(1024 * 1024) /* bytes in which the first line must end to be asked for its url */
#define TRIES            7
#define FIRST_PAUSE_MS   500
#define LONGEST_PAUSE_MS 30000

/* One input on its way in. */
struct delivery {
	struct session *session;
	struct input *input;
	char *path;
	char key[33];
	bool was_sent; /* so that a job may exist, whatever became of the answer */
	struct progress progress;
};

static void draw_key(char *ret_key, size_t size)
{
	unsigned char random[16];

	if (getrandom(random, sizeof(random), 0) != sizeof(random))
		abort();
	for (size_t i = 0; i < sizeof(random); i++)
		(void)snprintf(ret_key + 2 * i, size - 2 * i, "%02x", random[i]);
}

/* The known endpoint that the first line asks for; the default where it cannot be told. */
static const char *guess_endpoint(const struct input *input)
{
	auto_free char *line = xmalloc(READ_AHEAD);
	ssize_t size = pread(input->fd, line, READ_AHEAD, input->start);
	const char *end = size > 0 ? memchr(line, '\n', (size_t)size) : NULL;
	struct request request;
	struct request_flaw flaw;

	if (size <= 0 || (!end && size == READ_AHEAD))
		return DEFAULT_ENDPOINT;
	if (request_parse(line, end ? (size_t)(end - line) : (size_t)size, &request, &flaw) < 0)
		return DEFAULT_ENDPOINT;
	for (size_t i = 0; request_url(i); i++)
		if (scan_text_is(line, request.url, request_url(i)))
			return request_url(i);
	return DEFAULT_ENDPOINT;
}

static struct json_object *make_metadata(const struct options *options)
{
	struct json_object *metadata = json_object_new_object();

	if (options->name)
		json_object_object_add(metadata, "name", json_object_new_string(options->name));
	for (size_t i = 0; i < options->metadata_count; i++) {
		const char *pair = options->metadata[i];
		size_t size = strcspn(pair, "=");
		auto_free char *key = xmemdup0(pair, size);

		json_object_object_add(metadata, key, json_object_new_string(pair + size + 1));
	}
	return metadata;
}

/* The door takes UTF-8 up to a length, but a file may be called anything. NULL: it has no name. */
static char *make_file_name(const char *name)
{
	auto_buffer plain = { 0 };
	size_t size;

	if (!name)
		return NULL;
	output_escape(&plain, name, strlen(name), true);
	size = plain.size < PROTOCOL_MAX_FILE_NAME ? plain.size : PROTOCOL_MAX_FILE_NAME;
	while (size < plain.size && ((unsigned char)plain.data[size] & 0xc0) == 0x80)
		size--;
	return xmemdup0(buffer_text(&plain), size);
}

static char *make_path(const struct options *options, const struct input *input,
		       const char *endpoint)
{
	auto_json *metadata = make_metadata(options);
	auto_free char *file_name = make_file_name(input->file_name);
	char *path = xstrdup(PROTOCOL_BATCHES);

	connection_query(&path, "endpoint", endpoint);
	connection_query(&path, "completion_window", PROTOCOL_WINDOW);
	connection_query(&path, "filename", file_name);
	connection_query(&path, "provider", options->provider);
	if (json_object_object_length(metadata))
		connection_query(&path, "metadata",
				 json_object_to_json_string_ext(metadata, JSON_C_TO_STRING_PLAIN));
	return path;
}

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
		     int64_t *ret_retry_after_s, struct failure *failure)
{
	const struct options *options = delivery->session->options;
	struct connection_call call = {
		.method = "POST",
		.path = delivery->path,
		.content_type = PROTOCOL_JSONL,
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
	*ret_retry_after_s = reply.retry_after_s;
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

/* Sends until the outcome is known: every repeat has the same key, so that no second job can come
 * of it. */
static int deliver(struct delivery *delivery, struct json_object **ret_batch,
		   struct failure *failure)
{
	int64_t pause_ms = FIRST_PAUSE_MS;

	for (int tries = 1;; tries++) {
		int64_t retry_after_s = -1;
		int status = send_once(delivery, ret_batch, &retry_after_s, failure);

		delivery->was_sent |= !failure->is_unsent;
		if (!status || !failure->is_passing || !delivery->was_sent || tries == TRIES)
			return status;
		if (retry_after_s >= 0 && retry_after_s * 1000 > pause_ms)
			pause_ms = retry_after_s * 1000 < LONGEST_PAUSE_MS ? retry_after_s * 1000
									   : LONGEST_PAUSE_MS;
		output_say("%s: %s; sending it again, with the same key, in %.1f s",
			   delivery->input->name, failure->text, (double)pause_ms / 1000);
		if (interrupt_sleep(pause_ms)) {
			*failure = (struct failure){.status = interrupt_status()};
			return failure->status;
		}
		pause_ms *= 2;
	}
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

	if (!count)
		return output_fail(EXIT_ENDED, NULL, job, "failed: %s",
				   json_text(batch, "batchd.why", "batchd does not say why"));
	for (int64_t i = 0; i < count; i++) {
		struct json_object *error = json_object_array_get_idx(errors, (size_t)i);
		struct output_flaw flaw = {
			.file = input->name,
			.line = json_number(error, "line", 0),
			.code = json_text(error, "code", exits_code(EXIT_INPUT)),
			.param = json_text(error, "param", NULL),
			.message = json_text(error, "message", "refused"),
			.job = job,
		};

		output_flaw(stderr, &flaw);
	}
	if (total > count)
		output_say("%s: %" PRId64 " more lines are wrong; batchctl validate lists them all",
			   input->name, total - count);
	return EXIT_INPUT;
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
	if (delivery->was_sent && !delivery->session->options->key &&
	    (interrupt_came() || failure->is_passing))
		output_say("%s may have been accepted; to be safe, submit it again with --key %s",
			   name, delivery->key);
	return failure->status;
}

static int submit_input(struct session *session, struct input *input)
{
	const struct options *options = session->options;
	const char *endpoint = options->endpoint ? options->endpoint : guess_endpoint(input);
	auto_free char *path = make_path(options, input, endpoint);
	struct delivery delivery = {.session = session, .input = input, .path = path};
	struct failure failure = {0};
	auto_json *batch = NULL;
	char size[WORDS_FIGURE];
	int64_t job;

	draw_key(delivery.key, sizeof(delivery.key));
	if (deliver(&delivery, &batch, &failure))
		return tell_unsent(&delivery, &failure);
	job = job_number(batch);
	if (output_is_json())
		output_json(batch);
	else
		(void)printf("%" PRId64 "\n", job);
	(void)fflush(stdout);
	output_say("job %" PRId64 " accepted: %s, %s, %s", job, input->name,
		   words_size(input->size, size), endpoint);
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

static int check_options(const struct options *options)
{
	auto_free char *name = options->name ? xasprintf("name=%s", options->name) : NULL;
	struct error err;
	size_t size;

	if (options->key && options->operand_count > 1)
		return output_fail(EXIT_USAGE, NULL, 0, "one --key is for one FILE");
	if (options->key && (!*options->key || strlen(options->key) > PROTOCOL_MAX_KEY))
		return output_fail(EXIT_USAGE, NULL, 0, "a --key has 1 to %d bytes",
				   PROTOCOL_MAX_KEY);
	for (const char *at = options->key; at && *at; at++)
		if (*at <= ' ' || *at == 0x7f)
			return output_fail(EXIT_USAGE, NULL, 0,
					   "a --key has no blanks and no control characters");
	if (name && words_metadata(name, &size, &err) < 0)
		return output_fail(EXIT_USAGE, NULL, 0, "--name: %s", err.text);
	if (name && options->metadata_count == PROTOCOL_MAX_METADATA)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "more than %d pairs of metadata, with --name",
				   PROTOCOL_MAX_METADATA);
	if (options->endpoint &&
	    !request_url_is_known(options->endpoint, strlen(options->endpoint)))
		return output_fail(EXIT_USAGE, NULL, 0, "%s is not an endpoint of the Batch API",
				   options->endpoint);
	if (options->waits && options->skips_validation)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "--wait and --no-wait contradict each other");
	return 0;
}

int command_submit(struct session *session)
{
	const struct options *options = session->options;
	int worst = check_options(options);

	if (worst)
		return worst;
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
