#include "daemon/work/input.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/error.h"

#define KEPT (4 * INPUT_STEP) /* a window that had to grow beyond this shrinks again */

static void resize(struct input *input, size_t capacity)
{
	input->window = xreallocarray(input->window, capacity, 1);
	input->capacity = capacity;
}

/* Forgets the window; the next line begins at offset. */
static void start_at(struct input *input, int64_t offset)
{
	input->offset = offset;
	input->start = input->searched = input->filled = 0;
	input->sought = 0;
}

static int read_bytes(struct input *input, int64_t offset, char *out, size_t size,
		      struct error *err)
{
	int64_t got = vault_read(&input->reader, offset, out, size);

	if (got >= 0 && (size_t)got < size)
		got = -EUCLEAN;
	if (got < 0)
		return error_set(err, (int)got, "cannot read the input at byte %" PRId64 ": %s",
				 offset, error_name((int)got));
	return 0;
}

static size_t least(int64_t a, size_t b)
{
	return a < (int64_t)b ? (size_t)a : b;
}

/* Reads on behind what is in the window. */
static int fill(struct input *input, struct error *err)
{
	size_t room;
	int64_t left;
	int r;

	input->filled -= input->start;
	input->searched -= input->start;
	input->offset += (int64_t)input->start;
	if (input->start)
		memmove(input->window, input->window + input->start, input->filled);
	input->start = 0;
	room = input->capacity - input->filled;
	left = input->reader.size - input->offset - (int64_t)input->filled;
	room = least(left, room < INPUT_STEP ? room : INPUT_STEP);
	r = read_bytes(input, input->offset + (int64_t)input->filled, input->window + input->filled,
		       room, err);
	if (r)
		return r;
	input->filled += room;
	return INPUT_MORE;
}

/* Hands out the line that ends at end in the window. */
static int take_line(struct input *input, size_t end, struct input_line *ret_line)
{
	const char *bytes = input->window + input->start;
	size_t size = end - input->start;

	if (size && bytes[size - 1] == '\r')
		size--;
	*ret_line = (struct input_line){
		.bytes = bytes,
		.size = size,
		.offset = input->offset + (int64_t)input->start,
		.number = ++input->lines,
		.is_too_long = size > input->longest,
	};
	input->start = input->searched = end < input->filled ? end + 1 : end;
	return INPUT_LINE;
}

/* The end of a long line was found: it is read whole if it may be, else passed over. */
static int settle(struct input *input, int64_t end, struct input_line *ret_line)
{
	bool is_last = end == input->reader.size;
	int64_t size = end - input->offset;

	if (size <= (int64_t)input->longest + 1) {
		start_at(input, input->offset);
		resize(input, (size_t)size + !is_last);
		return INPUT_MORE;
	}
	*ret_line = (struct input_line){
		.offset = input->offset,
		.number = ++input->lines,
		.is_too_long = true,
	};
	start_at(input, end + !is_last);
	return INPUT_LINE;
}

/* Looks on for the end of a line that is longer than the window. */
static int seek(struct input *input, struct input_line *ret_line, struct error *err)
{
	int64_t left = input->reader.size - input->sought;
	size_t size = least(left, INPUT_STEP);
	const char *newline;
	int r = read_bytes(input, input->sought, input->window, size, err);

	if (r)
		return r;
	newline = memchr(input->window, '\n', size);
	if (newline)
		return settle(input, input->sought + (newline - input->window), ret_line);
	input->sought += (int64_t)size;
	if (input->sought == input->reader.size)
		return settle(input, input->sought, ret_line);
	return INPUT_MORE;
}

int input_open(struct input *input, struct vault *vault, int64_t file, size_t longest,
	       struct error *err)
{
	int r;

	*input = (struct input){.reader = VAULT_READER_NONE, .longest = longest};
	r = vault_open_file(vault, file, &input->reader, err);
	if (r)
		return r;
	resize(input, least(input->reader.size, INPUT_STEP));
	return 0;
}

int input_next(struct input *input, struct input_line *ret_line, struct error *err)
{
	const char *newline;

	if (input->sought)
		return seek(input, ret_line, err);
	newline = memchr(input->window + input->searched, '\n', input->filled - input->searched);
	if (newline)
		return take_line(input, (size_t)(newline - input->window), ret_line);
	input->searched = input->filled;
	if (input->offset + (int64_t)input->filled == input->reader.size)
		return input->start == input->filled ? INPUT_END
						     : take_line(input, input->filled, ret_line);
	if (input->start || input->filled < input->capacity) {
		if (input->start && input->start == input->filled && input->capacity > KEPT) {
			start_at(input, input->offset + (int64_t)input->start);
			resize(input, INPUT_STEP);
		}
		return fill(input, err);
	}
	input->sought = input->offset + (int64_t)input->filled;
	return INPUT_MORE;
}

void input_release(struct input *input)
{
	vault_reader_release(&input->reader);
	free(input->window);
	*input = (struct input){.reader = VAULT_READER_NONE};
}
