#include "daemon/work/lines.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"

/* Small enough to stay in a processor's cache between being read and being parsed. */
#define WINDOW ((size_t)512 << 10)
#define SHORT  ((size_t)16 << 10) /* a line that needs no memory of its own to be read through */

static void resize(struct lines *lines, size_t capacity)
{
	lines->window = xreallocarray(lines->window, capacity, 1);
	lines->capacity = capacity;
}

/* Makes room behind what was not taken yet: all but the piece of one line was. */
static void make_room(struct lines *lines)
{
	lines->used -= lines->taken;
	lines->searched -= lines->taken;
	lines->offset += (int64_t)lines->taken;
	memmove(lines->window, lines->window + lines->taken, lines->used);
	lines->taken = 0;
	if (lines->used == lines->capacity)
		resize(lines, lines->capacity * 2);
	else if (lines->capacity > WINDOW && lines->used < WINDOW / 2)
		resize(lines, WINDOW);
}

static void pass_mark(struct lines *lines)
{
	static const char mark[] = {'\xef', '\xbb', '\xbf'};

	if (lines->offset == 0 && lines->used >= sizeof(mark) &&
	    memcmp(lines->window, mark, sizeof(mark)) == 0)
		lines->taken = lines->searched = sizeof(mark);
}

static bool is_blank(const char *bytes, size_t size)
{
	while (size && (*bytes == ' ' || *bytes == '\t')) {
		bytes++;
		size--;
	}
	return !size;
}

/* The end of the line that begins at taken; false while it is not in the window. */
static bool find_end(struct lines *lines, size_t *ret_end)
{
	const char *newline =
		memchr(lines->window + lines->searched, '\n', lines->used - lines->searched);

	lines->searched = newline ? (size_t)(newline - lines->window) : lines->used;
	*ret_end = lines->searched;
	return newline || (lines->is_at_end && lines->taken < lines->used);
}

/* Gives up a line that fills the largest window; what follows of it is dropped as it comes. */
static bool give_up(struct lines *lines)
{
	bool is_news = !lines->is_passing && lines->used - lines->taken >= LINES_MAX;

	if (!is_news && !lines->is_passing)
		return false;
	lines->is_passing = true;
	lines->taken = lines->searched = lines->used;
	return is_news;
}

void lines_init(struct lines *lines, struct vault_reader *reader)
{
	*lines = (struct lines){.reader = *reader};
	*reader = VAULT_READER_NONE;
	resize(lines, WINDOW);
}

int lines_fill(struct lines *lines, struct error *err)
{
	int64_t got;
	size_t room;

	make_room(lines);
	room = lines->capacity - lines->used;
	if (room > 2 * WINDOW)
		room = 2 * WINDOW;
	got = vault_read(&lines->reader, lines->offset + (int64_t)lines->used,
			 lines->window + lines->used, room);
	if (got < 0)
		return error_set(err, (int)got, "cannot read a download at byte %" PRId64 ": %s",
				 lines->offset + (int64_t)lines->used, error_name((int)got));
	lines->is_at_end = (size_t)got < room;
	if (lines->offset == 0 && lines->used == 0) {
		lines->used = (size_t)got;
		pass_mark(lines);
	} else {
		lines->used += (size_t)got;
	}
	return !lines->is_at_end;
}

bool lines_next(struct lines *lines, struct line *ret_line)
{
	size_t end;

	while (find_end(lines, &end)) {
		const char *bytes = lines->window + lines->taken;
		size_t size = end - lines->taken;
		int64_t offset = lines->offset + (int64_t)lines->taken;
		bool is_rest = lines->is_passing;

		lines->taken = lines->searched = end < lines->used ? end + 1 : end;
		lines->is_passing = false;
		while (size && bytes[size - 1] == '\r')
			size--;
		if (is_rest || is_blank(bytes, size))
			continue;
		*ret_line = (struct line){.bytes = bytes, .size = size, .offset = offset};
		return true;
	}
	if (!give_up(lines))
		return false;
	*ret_line = (struct line){.is_too_long = true};
	return true;
}

static int digest_pieces(const struct vault_reader *reader, int64_t offset, size_t size, uint64_t *ret_digest)
{
	auto_free char *bytes = xmalloc(WINDOW);
	struct hash_digest *digest = hash_digest_new();
	int64_t got = 0;

	for (size_t done = 0; got >= 0 && done < size; done += (size_t)got) {
		size_t left = size - done;

		got = vault_read(reader, offset + (int64_t)done, bytes, left < WINDOW ? left : WINDOW);
		if (!got)
			got = -EUCLEAN;
		if (got > 0)
			hash_digest_add(digest, bytes, (size_t)got);
	}
	*ret_digest = hash_digest_value(digest);
	hash_digest_free(digest);
	return got < 0 ? (int)got : 0;
}

int lines_digest(const struct vault_reader *reader, int64_t offset, size_t size, uint64_t *ret_digest)
{
	char bytes[SHORT];
	int64_t got;

	if (size > sizeof(bytes))
		return digest_pieces(reader, offset, size, ret_digest);
	got = vault_read(reader, offset, bytes, size);
	if (got < 0)
		return (int)got;
	if ((size_t)got < size)
		return -EUCLEAN;
	*ret_digest = hash_digest(bytes, size);
	return 0;
}

void lines_release(struct lines *lines)
{
	vault_reader_release(&lines->reader);
	free(lines->window);
	*lines = (struct lines){.reader = VAULT_READER_NONE};
}
