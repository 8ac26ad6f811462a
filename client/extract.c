#include "client/extract.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/sink.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/model/content.h"

struct extract {
	struct sink *sink;
	struct buffer pending; /* the beginning of a line */
	struct buffer text;
	int64_t lines; /* whole ones, in this try */
	int problem;   /* that is not the sink's */
};

static int add_line(struct extract *extract, const char *line, size_t size)
{
	int r;

	buffer_clear(&extract->text);
	r = content_add(&extract->text, line, size);
	if (r && r != -ENOENT)
		return extract->problem = r;
	extract->lines++;
	buffer_add(&extract->text, "\n", 1);
	return sink_write(extract->sink, extract->text.data, extract->text.size);
}

/* Keeps the beginning of a line. */
static int keep(struct extract *extract, const char *bytes, size_t size)
{
	if (size > EXTRACT_MAX_LINE - extract->pending.size)
		return extract->problem = -EMSGSIZE;
	buffer_add(&extract->pending, bytes, size);
	return 0;
}

struct extract *extract_new(struct sink *sink)
{
	struct extract *extract = xcalloc(1, sizeof(*extract));

	extract->sink = sink;
	return extract;
}

void extract_restart(struct extract *extract)
{
	buffer_clear(&extract->pending);
	extract->lines = 0;
}

int extract_write(struct extract *extract, const char *bytes, size_t size)
{
	const char *end;
	int r = 0;

	while (!r && size && (end = memchr(bytes, '\n', size))) {
		size_t length = (size_t)(end - bytes);

		if (!extract->pending.size) {
			r = add_line(extract, bytes, length);
		} else {
			r = keep(extract, bytes, length);
			if (!r)
				r = add_line(extract, extract->pending.data, extract->pending.size);
			buffer_clear(&extract->pending);
		}
		bytes += length + 1;
		size -= length + 1;
	}
	return r || !size ? r : keep(extract, bytes, size);
}

int extract_problem(const struct extract *extract, struct error *err)
{
	if (extract->problem == -EMSGSIZE)
		return error_set(err, -EMSGSIZE, "answer %" PRId64 " is longer than %zu bytes",
				 extract->lines + 1, EXTRACT_MAX_LINE);
	if (extract->problem)
		return error_set(err, extract->problem,
				 "answer %" PRId64 " cannot be read: its line is no JSON",
				 extract->lines + 1);
	return 0;
}

int extract_finish(struct extract *extract, struct error *err)
{
	if (!extract->pending.size)
		return 0;
	extract->problem = -EBADMSG;
	return extract_problem(extract, err);
}

void extract_free(struct extract *extract)
{
	if (!extract)
		return;
	buffer_release(&extract->pending);
	buffer_release(&extract->text);
	free(extract);
}
