#include "client/source.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "client/input.h"
#include "client/interrupt.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/base/unpack.h"
#include "daemon/model/request.h"

#define STEP  ((size_t)256 * 1024) /* bytes that are read, or unpacked, at once */
#define MAGIC 4                    /* bytes that tell a form */

struct source {
	const struct input *input;
	int64_t at; /* in the input */
	char *raw;  /* STEP bytes, as they were read */
	size_t raw_size;
	bool has_begun; /* the first bytes were read, and told the form */
	bool is_read;   /* to the end */
	struct unpack *unpack;
	enum unpack_form form;
	int64_t bytes; /* plain */
	struct buffer window;
	size_t start; /* of the next line, in the window */
	size_t searched;
	int64_t lines;
	bool is_skipping; /* the line at hand is too long */
};

/* Adds what comes next to the raw bytes; of nothing, the input is at its end. */
static int read_more(struct source *source, struct error *err)
{
	const struct input *input = source->input;
	bool has_size = input->size >= 0;
	size_t room = STEP - source->raw_size;
	char *to = source->raw + source->raw_size;
	ssize_t got;

	if (has_size && (int64_t)room > input->size - source->at)
		room = (size_t)(input->size - source->at);
	do
		got = has_size ? pread(input->fd, to, room, input->start + source->at)
			       : read(input->fd, to, room);
	while (got < 0 && errno == EINTR && !interrupt_came());
	if (got < 0)
		return error_set(err, -errno, "cannot read %s: %s", input->name, error_name(errno));
	source->raw_size += (size_t)got;
	source->at += got;
	source->is_read = got == 0;
	return 0;
}

static int begin(struct source *source, struct error *err)
{
	while (!source->is_read && source->raw_size < MAGIC) {
		int r = read_more(source, err);

		if (r < 0)
			return r;
	}
	source->has_begun = true;
	if (unpack_form_detect(source->raw, source->raw_size, &source->form) == 0)
		source->unpack = unpack_new(source->form);
	if (source->unpack)
		unpack_feed(source->unpack, source->raw, source->raw_size);
	return 0;
}

/* Unpacks a step's worth into the window. */
static int unpack_more(struct source *source, struct error *err)
{
	auto_free char *plain = xmalloc(STEP);
	size_t size = 0;

	for (;;) {
		int r = unpack_read(source->unpack, plain, STEP, &size, err);

		if (r < 0)
			return error_prefix(err, "cannot unpack %s", source->input->name);
		if (size || source->is_read)
			break;
		source->raw_size = 0;
		r = read_more(source, err);
		if (r < 0)
			return r;
		unpack_feed(source->unpack, source->raw, source->raw_size);
	}
	if (!size && !unpack_is_whole(source->unpack))
		return error_set(err, -EBADMSG, "cannot unpack %s: the %s content is cut",
				 source->input->name, unpack_form_name(source->form));
	buffer_add(&source->window, plain, size);
	source->bytes += (int64_t)size;
	return size > 0;
}

/* 1: the window has more; 0: there is no more; or -errno. */
static int fill(struct source *source, struct error *err)
{
	int r = source->has_begun ? 0 : begin(source, err);

	if (!r && interrupt_came())
		r = error_set(err, -EINTR, "interrupted");
	if (r < 0)
		return r;
	buffer_drop(&source->window, source->start);
	source->searched -= source->start;
	source->start = 0;
	if (source->unpack)
		return unpack_more(source, err);
	if (!source->raw_size)
		r = read_more(source, err);
	if (r < 0)
		return r;
	r = source->raw_size > 0;
	buffer_add(&source->window, source->raw, source->raw_size);
	source->bytes += (int64_t)source->raw_size;
	source->raw_size = 0;
	return r;
}

/* The line from start to end, which the window holds as far as it is not too long. */
static int give(struct source *source, size_t end, size_t next, struct source_line *ret_line)
{
	size_t size = end - source->start;
	const char *bytes = source->window.data ? source->window.data + source->start : "";

	if (size && bytes[size - 1] == '\r')
		size--;
	*ret_line = (struct source_line){
		.bytes = bytes,
		.size = size,
		.number = ++source->lines,
		.is_too_long = source->is_skipping || size > REQUEST_MAX_LINE,
	};
	source->start = source->searched = next;
	source->is_skipping = false;
	return 1;
}

struct source *source_new(const struct input *input)
{
	struct source *source = xcalloc(1, sizeof(*source));

	source->input = input;
	source->raw = xmalloc(STEP);
	return source;
}

void source_free(struct source *source)
{
	if (!source)
		return;
	unpack_free(source->unpack);
	buffer_release(&source->window);
	free(source->raw);
	free(source);
}

int source_next(struct source *source, struct source_line *ret_line, struct error *err)
{
	for (;;) {
		size_t end = source->window.size, left = end - source->searched;
		const char *newline =
			left ? memchr(source->window.data + source->searched, '\n', left) : NULL;
		int r;

		if (newline) {
			end = (size_t)(newline - source->window.data);
			return give(source, end, end + 1, ret_line);
		}
		source->searched = end;
		/* One byte more may be the carriage return of its end. */
		if (end - source->start > REQUEST_MAX_LINE + 1) {
			source->is_skipping = true;
			source->start = end;
		}
		r = fill(source, err);
		if (r < 0)
			return r;
		if (r == 0 && !source->is_skipping && source->start == source->window.size)
			return 0;
		if (r == 0)
			return give(source, source->window.size, source->window.size, ret_line);
	}
}

const char *source_packing(struct source *source)
{
	if (!source->has_begun && begin(source, NULL) < 0)
		return NULL;
	return source->unpack ? unpack_form_name(source->form) : NULL;
}

int64_t source_bytes(const struct source *source)
{
	return source->bytes;
}
