#include "client/commands.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "client/exits.h"
#include "client/input.h"
#include "client/json.h"
#include "client/options.h"
#include "client/output.h"
#include "client/repeats.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/model/request.h"

#define READ_BYTES  (256 * 1024)
#define MAX_NAMES   1000 /* models, or urls, that are told apart */
#define NAMES_SHOWN 5

/* Which different strings occurred, up to MAX_NAMES. */
struct names {
	char *texts[MAX_NAMES];
	size_t count;
	size_t last; /* the one that came last comes again most often */
	bool has_more;
};

/* One input under examination. */
struct examination {
	const char *file;
	struct repeats *repeats;
	int64_t lines;
	int64_t bytes;
	int64_t flaws;
	struct names models;
	struct names urls;
};

static void names_add(struct names *names, const char *text, size_t size)
{
	for (size_t i = 0; i < names->count; i++) {
		size_t at = (names->last + i) % names->count;

		if (strlen(names->texts[at]) == size && memcmp(names->texts[at], text, size) == 0) {
			names->last = at;
			return;
		}
	}
	if (names->count == MAX_NAMES) {
		names->has_more = true;
		return;
	}
	names->last = names->count;
	names->texts[names->count++] = xmemdup0(text, size);
}

static void names_release(struct names *names)
{
	for (size_t i = 0; i < names->count; i++)
		free(names->texts[i]);
}

static void tell(struct examination *examination, int64_t line, const char *code, const char *param,
		 const char *message)
{
	struct output_flaw flaw = {examination->file, line, code, param, message, 0};

	examination->flaws++;
	output_flaw(stdout, &flaw);
}

static void tell_repeat(const char *id, size_t size, int64_t line, int64_t first_line,
			void *context)
{
	auto_free char *message = xasprintf(
		"The custom_id '%.*s' for this request is a duplicate of another request. "
		"The custom_id parameter must be unique for each request in a batch. "
		"(first at line %" PRId64 ")",
		(int)size, id, first_line);

	tell(context, line, "duplicate_custom_id", "custom_id", message);
}

static int examine_line(struct examination *examination, const char *line, size_t size,
			struct error *err)
{
	struct request request;
	struct request_flaw flaw;
	char id[REQUEST_MAX_CUSTOM_ID];

	examination->lines++;
	examination->bytes += (int64_t)size + 1;
	if (request_parse(line, size, &request, &flaw) < 0) {
		tell(examination, examination->lines, flaw.code, flaw.param, flaw.message);
		return 0;
	}
	names_add(&examination->models, line + request.model.at, request.model.size);
	names_add(&examination->urls, line + request.url.at, request.url.size);
	return repeats_add(examination->repeats, id, scan_decode(line, request.custom_id, id),
			   examination->lines, err);
}

static void tell_long(struct examination *examination)
{
	auto_free char *message = xasprintf("This line is longer than %u bytes.", REQUEST_MAX_LINE);

	examination->lines++;
	tell(examination, examination->lines, "invalid_json_line", NULL, message);
}

/* Every whole line in the buffer; at the end of the input also what is left. Drops what it has
 * seen. */
static int examine_lines(struct examination *examination, struct buffer *buffer, size_t *searched,
			 bool *is_skipping, struct error *err)
{
	size_t at = 0, from = *searched;
	int result = 0;

	while (result == 0) {
		const char *end = from < buffer->size
					  ? memchr(buffer->data + from, '\n', buffer->size - from)
					  : NULL;
		size_t next = end ? (size_t)(end - buffer->data) + 1 : 0;

		if (!end)
			break;
		if (!*is_skipping)
			result = examine_line(examination, buffer->data + at, next - 1 - at, err);
		*is_skipping = false;
		at = from = next;
	}
	buffer_drop(buffer, at);
	*searched = buffer->size;
	if (buffer->size > REQUEST_MAX_LINE || *is_skipping) {
		if (!*is_skipping)
			tell_long(examination);
		*is_skipping = true;
		buffer_clear(buffer);
		*searched = 0;
	}
	return result;
}

static int examine(struct examination *examination, const struct input *input, struct error *err)
{
	auto_free char *bytes = xmalloc(READ_BYTES);
	auto_buffer buffer = {0};
	size_t searched = 0;
	bool is_skipping = false;
	ssize_t count;

	while ((count = read(input->fd, bytes, READ_BYTES)) != 0) {
		int result;

		if (count < 0)
			return error_set(err, -errno, "cannot read %s: %s", input->name,
					 error_name(errno));
		buffer_add(&buffer, bytes, (size_t)count);
		result = examine_lines(examination, &buffer, &searched, &is_skipping, err);
		if (result < 0)
			return result;
	}
	if (buffer.size)
		return examine_line(examination, buffer.data, buffer.size, err);
	return 0;
}

static void add_names(struct buffer *buffer, const struct names *names, const char *what)
{
	buffer_add_format(buffer, ", %s%zu %s%s", names->has_more ? "more than " : "", names->count,
			  what, names->count == 1 ? "" : "s");
	for (size_t i = 0; i < names->count && i < NAMES_SHOWN; i++)
		buffer_add_format(buffer, "%s%s", i ? ", " : " (", names->texts[i]);
	if (names->count)
		buffer_add_text(buffer, names->count > NAMES_SHOWN ? ", ...)" : ")");
}

static void sum_up(const struct examination *examination)
{
	auto_buffer names = {0};
	char size[WORDS_FIGURE];

	if (output_is_json()) {
		auto_json *summary = json_object_new_object();

		json_object_object_add(summary, "file", json_object_new_string(examination->file));
		json_object_object_add(summary, "lines", json_object_new_int64(examination->lines));
		json_object_object_add(summary, "bytes", json_object_new_int64(examination->bytes));
		json_object_object_add(summary, "flaws", json_object_new_int64(examination->flaws));
		output_json(summary);
		return;
	}
	if (examination->flaws) {
		output_say("%s: %" PRId64 " flaw%s in %" PRId64 " lines", examination->file,
			   examination->flaws, examination->flaws == 1 ? "" : "s",
			   examination->lines);
		return;
	}
	add_names(&names, &examination->models, "model");
	add_names(&names, &examination->urls, "url");
	output_say("%s: %" PRId64 " request%s, %s%s", examination->file, examination->lines,
		   examination->lines == 1 ? "" : "s", words_size(examination->bytes, size),
		   buffer_text(&names));
}

static int validate(const char *path)
{
	auto_free struct examination *examination = xcalloc(1, sizeof(*examination));
	auto_with(repeats_free) struct repeats *repeats = repeats_new(0);
	auto_input input = {.fd = -1};
	struct error err;
	int result = input_open(path, false, &input, &err);

	if (result == -ENOTTY)
		return output_fail(EXIT_USAGE, NULL, 0,
				   "%s: give a FILE, or pipe one in; see batchctl help validate",
				   err.text);
	examination->file = input.name;
	examination->repeats = repeats;
	if (result == 0)
		result = examine(examination, &input, &err);
	if (result == 0)
		result = repeats_finish(repeats, tell_repeat, examination, &err);
	if (result == 0 && !examination->lines)
		tell(examination, 0, "empty", NULL, "The file holds no request.");
	if (result == 0)
		sum_up(examination);
	names_release(&examination->models);
	names_release(&examination->urls);
	if (result < 0)
		return output_fail(EXIT_OTHER, NULL, 0, "%s", err.text);
	return examination->flaws ? EXIT_INPUT : EXIT_DONE;
}

int command_validate(struct session *session)
{
	const struct options *options = session->options;
	int worst = EXIT_DONE;

	if (!options->operand_count)
		return validate("-");
	for (size_t i = 0; i < options->operand_count; i++)
		worst = exits_worse(worst, validate(options->operands[i]));
	return worst;
}
