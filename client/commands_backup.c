/* The state folder: a copy of it, and a look through it. */
#include "client/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "client/exits.h"
#include "client/interrupt.h"
#include "client/job.h"
#include "client/options.h"
#include "client/progress.h"
#include "client/sink.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/protocol.h"

#define MAX_LINE (64 * 1024) /* bytes of one finding */

/* A stream on its way, with a bar; what is done with the bytes is the command's. */
struct transfer {
	struct progress progress;
	int (*on_data)(const char *bytes, size_t size, void *context);
	void *context;
};

static int take_bytes(const char *bytes, size_t size, void *context)
{
	struct transfer *transfer = context;

	return transfer->on_data(bytes, size, transfer->context);
}

/* 0 when the stream came whole; a stream whose end looks like a cut is none. */
static int run_transfer(struct session *session, const char *path, struct transfer *transfer,
			struct failure *failure)
{
	const struct connection_call call = {
		.method = "GET",
		.path = path,
		.on_data = take_bytes,
		.context = transfer,
	};
	auto_reply reply = {0};
	struct error err = {0};
	int result = connection_perform(session->connection, &call, &reply, &err);

	progress_clear(&transfer->progress);
	if (result == 0 && reply.status == 200 && !reply.is_framed)
		result = error_set(&err, -EMSGSIZE, "the answer of batchd does not tell its length");
	return failure_read(result, &err, &reply, failure);
}

/* --- backup --- */

struct copying {
	struct sink *sink;
	struct transfer transfer;
};

static int copy_bytes(const char *bytes, size_t size, void *context)
{
	struct copying *copying = context;
	int r = sink_write(copying->sink, bytes, size);

	progress_update(&copying->transfer.progress, sink_size(copying->sink), 0,
			connection_now_ms());
	return r;
}

int command_backup(struct session *session)
{
	const struct options *options = session->options;
	const char *path = options->operands[0];
	auto_free char *call = xstrdup(PROTOCOL_BACKUP);
	auto_with(sink_free) struct sink *sink = NULL;
	struct copying copying = {.transfer = {.on_data = copy_bytes, .context = &copying}};
	char size[WORDS_FIGURE];
	struct failure failure;
	struct error err;

	/* It holds everybody's prompts and answers. */
	(void)umask(077);
	if (sink_new(path, options->overwrites, &sink, &err) < 0)
		return output_fail(EXIT_OTHER, NULL, 0, "%s", err.text);
	if (options->is_partial)
		connection_query(&call, "partial", "1");
	copying.sink = sink;
	progress_init(&copying.transfer.progress, path, true, 0, connection_now_ms());
	if (run_transfer(session, call, &copying.transfer, &failure)) {
		if (sink_problem(sink, &err) < 0)
			return output_fail(EXIT_OTHER, NULL, 0, "%s", err.text);
		return failure_tell(&failure, 0);
	}
	if (sink_finish(sink, &err) < 0)
		return output_fail(EXIT_OTHER, NULL, 0, "%s", err.text);
	output_say("%s: %s", path, words_size(sink_size(sink), size));
	return EXIT_DONE;
}

/* --- verify --- */

struct looking {
	struct buffer line;
	bool is_over; /* the sums came */
	int64_t damages;
	struct transfer transfer;
};

static void show_finding(struct json_object *finding)
{
	bool is_damage = strcmp(json_text(finding, "level", ""), "damage") == 0;
	int64_t job = json_number(finding, "job", 0), shard = json_number(finding, "shard", 0);
	const char *file = json_text(finding, "file", NULL);
	auto_buffer which = {0}, words = {0};
	const char *message = json_text(finding, "message", "-");

	if (job)
		buffer_add_format(&which, "job %" PRId64 ": ", job);
	if (shard)
		buffer_add_format(&which, "shard %" PRId64 ": ", shard);
	if (file)
		buffer_add_format(&which, "%s: ", file);
	output_escape(&words, message, strlen(message), output_is_utf8());
	(void)printf("%s%s%s: %s%s\n", output_colour_on(is_damage ? OUTPUT_BAD : OUTPUT_PLAIN),
		     is_damage ? "damage" : "note",
		     output_colour_off(is_damage ? OUTPUT_BAD : OUTPUT_PLAIN), buffer_text(&which),
		     buffer_text(&words));
}

static void show_sums(struct json_object *sums)
{
	char size[WORDS_FIGURE];

	output_say("%" PRId64 " jobs, %" PRId64 " files, %s looked through: %" PRId64
		   " damaged, %" PRId64 " notes",
		   json_number(sums, "jobs", 0), json_number(sums, "files", 0),
		   words_size(json_number(sums, "bytes", 0), size),
		   json_number(sums, "damages", 0), json_number(sums, "notes", 0));
}

static void take_line(struct looking *looking)
{
	auto_json *object = json_read(buffer_text(&looking->line), looking->line.size);
	const char *what = json_text(object, "object", "");
	struct progress *progress = &looking->transfer.progress;

	if (strcmp(what, "batchd.progress") == 0) {
		progress->total = json_number(object, "total", 0);
		progress_update(progress, json_number(object, "bytes", 0), 0, connection_now_ms());
		return;
	}
	/* A blank line is a sign of life. */
	if (strcmp(what, "batchd.verified") == 0) {
		looking->is_over = true;
		looking->damages = json_number(object, "damages", 0);
	} else if (strcmp(what, "batchd.finding") != 0) {
		return;
	}
	progress_clear(progress);
	if (output_is_json())
		output_json(object);
	else if (looking->is_over)
		show_sums(object);
	else
		show_finding(object);
}

static int take_lines(const char *bytes, size_t size, void *context)
{
	struct looking *looking = context;

	for (size_t i = 0; i < size; i++) {
		if (bytes[i] != '\n') {
			if (looking->line.size == MAX_LINE)
				return -EMSGSIZE;
			buffer_add(&looking->line, bytes + i, 1);
			continue;
		}
		take_line(looking);
		buffer_clear(&looking->line);
	}
	return 0;
}

int command_verify(struct session *session)
{
	struct looking looking = {.transfer = {.on_data = take_lines, .context = &looking}};
	struct failure failure;
	int status;

	progress_init(&looking.transfer.progress, "verify", true, 0, connection_now_ms());
	status = run_transfer(session, PROTOCOL_VERIFY, &looking.transfer, &failure);
	buffer_release(&looking.line);
	if (status)
		return failure_tell(&failure, 0);
	if (!looking.is_over)
		return output_fail(EXIT_OTHER, NULL, 0,
				   "the look ended before its end; the log of batchd may say why");
	return looking.damages ? EXIT_OTHER : EXIT_DONE;
}
