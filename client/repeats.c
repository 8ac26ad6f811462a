#include "client/repeats.h"

#include <errno.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "client/input.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"

#define SORT_AT_ONCE    (1024 * 1024)
#define IDS_AT_ONCE     (4 * 1024 * 1024) /* bytes of ids kept back before they are written */
#define REPEATS_AT_ONCE (1000 * 1000)
#define MERGE_ROWS      4096 /* read at once from each sorted part */

struct row {
	uint64_t hash;
	int64_t line;
	int64_t at; /* of the id among all ids */
	uint64_t size;
};

struct repeat {
	int64_t line;
	int64_t first_line;
	int64_t at;
	size_t size;
};

/* A sorted part in the temporary file, while it is merged. */
struct part {
	int64_t next; /* in rows of the file */
	int64_t end;
	struct row *rows;
	size_t have;
	size_t used;
};

struct repeats {
	uint64_t key;
	size_t room;
	struct row *rows; /* not sorted yet */
	size_t count;
	int rows_fd; /* sorted parts of `room` rows; -1 while all fit in memory */
	int64_t rows_written;
	struct buffer ids; /* the last ones, from ids_written on */
	int ids_fd;
	int64_t ids_written;

	struct part *parts; /* a heap by the next row */
	size_t part_count;
	/* The rows of one hash: each id that was seen, with its first line. */
	struct row *group;
	size_t group_count;
	size_t group_room;
	struct repeat *found;
	size_t found_count;
	void (*on_repeat)(const char *id, size_t size, int64_t line, int64_t first_line,
			  void *context);
	void *context;
};

static int compare_rows(const void *a_pointer, const void *b_pointer)
{
	const struct row *a = a_pointer, *b = b_pointer;

	if (a->hash != b->hash)
		return a->hash < b->hash ? -1 : 1;
	return (a->line > b->line) - (a->line < b->line);
}

static int compare_repeats(const void *a_pointer, const void *b_pointer)
{
	const struct repeat *a = a_pointer, *b = b_pointer;

	return (a->line > b->line) - (a->line < b->line);
}

static int append(int *fd, const void *bytes, size_t size, struct error *err)
{
	const char *rest = bytes;

	if (*fd < 0)
		*fd = input_spool_open(err);
	if (*fd < 0)
		return *fd;
	while (size) {
		ssize_t written = write(*fd, rest, size);

		if (written < 0 && errno != EINTR)
			return error_set(err, -errno, "cannot write a temporary file: %s",
					 error_name(errno));
		if (written > 0) {
			rest += written;
			size -= (size_t)written;
		}
	}
	return 0;
}

static int read_at(int fd, void *bytes, size_t size, int64_t at, struct error *err)
{
	ssize_t count = pread(fd, bytes, size, at);

	if (count < 0 || (size_t)count != size)
		return error_set(err, count < 0 ? -errno : -EIO, "cannot read a temporary file: %s",
				 error_name(count < 0 ? errno : EIO));
	return 0;
}

static int write_rows(struct repeats *repeats, struct error *err)
{
	int result;

	qsort(repeats->rows, repeats->count, sizeof(*repeats->rows), compare_rows);
	result = append(&repeats->rows_fd, repeats->rows, repeats->count * sizeof(*repeats->rows),
			err);
	repeats->rows_written += (int64_t)repeats->count;
	repeats->count = 0;
	return result;
}

static int write_ids(struct repeats *repeats, struct error *err)
{
	int result = append(&repeats->ids_fd, repeats->ids.data, repeats->ids.size, err);

	repeats->ids_written += (int64_t)repeats->ids.size;
	buffer_clear(&repeats->ids);
	return result;
}

/* The bytes of an id, terminated; the caller frees. Ids are never split between file and memory. */
static int fetch(struct repeats *repeats, int64_t at, size_t size, char **ret_id, struct error *err)
{
	auto_free char *id = xmalloc(size + 1);
	int result = 0;

	if (at < repeats->ids_written)
		result = read_at(repeats->ids_fd, id, size, at, err);
	else if (size)
		memcpy(id, repeats->ids.data + (at - repeats->ids_written), size);
	if (result < 0)
		return result;
	id[size] = '\0';
	*ret_id = take(id);
	return 0;
}

static int tell_found(struct repeats *repeats, struct error *err)
{
	if (repeats->found_count)
		qsort(repeats->found, repeats->found_count, sizeof(*repeats->found), compare_repeats);
	for (size_t i = 0; i < repeats->found_count; i++) {
		const struct repeat *repeat = &repeats->found[i];
		auto_free char *id = NULL;
		int result = fetch(repeats, repeat->at, repeat->size, &id, err);

		if (result < 0)
			return result;
		repeats->on_repeat(id, repeat->size, repeat->line, repeat->first_line,
				   repeats->context);
	}
	repeats->found_count = 0;
	return 0;
}

static int note_repeat(struct repeats *repeats, const struct row *row, int64_t first_line,
		       struct error *err)
{
	if (!repeats->found)
		repeats->found = xcalloc(REPEATS_AT_ONCE, sizeof(*repeats->found));
	repeats->found[repeats->found_count++] =
		(struct repeat){row->line, first_line, row->at, row->size};
	return repeats->found_count == REPEATS_AT_ONCE ? tell_found(repeats, err) : 0;
}

/* 1 when both rows hold the same id, 0 when only their fingerprints agree, or -errno. */
static int is_same(struct repeats *repeats, const struct row *a, const struct row *b,
		   struct error *err)
{
	auto_free char *a_id = NULL, *b_id = NULL;
	int result;

	if (a->size != b->size)
		return 0;
	result = fetch(repeats, a->at, a->size, &a_id, err);
	if (result == 0)
		result = fetch(repeats, b->at, b->size, &b_id, err);
	return result < 0 ? result : memcmp(a_id, b_id, a->size) == 0;
}

/* The next row in order of hash and line. */
static int take_row(struct repeats *repeats, const struct row *row, struct error *err)
{
	if (repeats->group_count && repeats->group[0].hash != row->hash)
		repeats->group_count = 0;
	for (size_t i = 0; i < repeats->group_count; i++) {
		int same = is_same(repeats, &repeats->group[i], row, err);

		if (same < 0)
			return same;
		if (same)
			return note_repeat(repeats, row, repeats->group[i].line, err);
	}
	if (repeats->group_count == repeats->group_room) {
		repeats->group_room = repeats->group_room ? repeats->group_room * 2 : 4;
		repeats->group =
			xreallocarray(repeats->group, repeats->group_room, sizeof(*repeats->group));
	}
	repeats->group[repeats->group_count++] = *row;
	return 0;
}

/* Reads more of a part when its rows are used up. 1: a row is there; 0: the part is at its end. */
static int fill(struct repeats *repeats, struct part *part, struct error *err)
{
	int64_t left = part->end - part->next;
	int result;

	if (part->used < part->have)
		return 1;
	part->have = left < MERGE_ROWS ? (size_t)left : MERGE_ROWS;
	part->used = 0;
	if (!part->have)
		return 0;
	result = read_at(repeats->rows_fd, part->rows, part->have * sizeof(*part->rows),
			 part->next * (int64_t)sizeof(*part->rows), err);
	part->next += (int64_t)part->have;
	return result < 0 ? result : 1;
}

static const struct row *next_row(const struct part *part)
{
	return &part->rows[part->used];
}

static void sift_down(struct part *parts, size_t count, size_t at)
{
	for (;;) {
		size_t least = at;

		for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < count; child++)
			if (compare_rows(next_row(&parts[child]), next_row(&parts[least])) < 0)
				least = child;
		if (least == at)
			return;
		struct part moved = parts[at];

		parts[at] = parts[least];
		parts[least] = moved;
		at = least;
	}
}

static int open_parts(struct repeats *repeats, struct error *err)
{
	int64_t room = (int64_t)repeats->room;

	repeats->part_count = (size_t)((repeats->rows_written + room - 1) / room);
	repeats->parts = xcalloc(repeats->part_count, sizeof(*repeats->parts));
	for (size_t i = 0; i < repeats->part_count; i++) {
		struct part *part = &repeats->parts[i];
		int64_t end = ((int64_t)i + 1) * room;
		int result;

		part->next = (int64_t)i * room;
		part->end = end < repeats->rows_written ? end : repeats->rows_written;
		part->rows = xcalloc(MERGE_ROWS, sizeof(*part->rows));
		result = fill(repeats, part, err);
		if (result < 0)
			return result;
	}
	return 0;
}

static int merge(struct repeats *repeats, struct error *err)
{
	size_t count;
	int result = open_parts(repeats, err);

	if (result < 0)
		return result;
	count = repeats->part_count;
	for (size_t i = count; i > 0; i--)
		sift_down(repeats->parts, count, i - 1);
	while (count) {
		struct part *part = &repeats->parts[0];

		result = take_row(repeats, next_row(part), err);
		if (result < 0)
			return result;
		part->used++;
		result = fill(repeats, part, err);
		if (result < 0)
			return result;
		if (!result) {
			struct part ended = *part;

			*part = repeats->parts[--count];
			repeats->parts[count] = ended;
		}
		sift_down(repeats->parts, count, 0);
	}
	return 0;
}

struct repeats *repeats_new(size_t sort_at_once)
{
	struct repeats *repeats = xcalloc(1, sizeof(*repeats));

	if (getrandom(&repeats->key, sizeof(repeats->key), 0) != sizeof(repeats->key))
		abort();
	repeats->room = sort_at_once ? sort_at_once : SORT_AT_ONCE;
	repeats->rows = xcalloc(repeats->room, sizeof(*repeats->rows));
	repeats->rows_fd = -1;
	repeats->ids_fd = -1;
	return repeats;
}

void repeats_free(struct repeats *repeats)
{
	if (!repeats)
		return;
	for (size_t i = 0; i < repeats->part_count; i++)
		free(repeats->parts[i].rows);
	free(repeats->parts);
	free(repeats->rows);
	free(repeats->group);
	free(repeats->found);
	buffer_release(&repeats->ids);
	cleanup_close(&repeats->rows_fd);
	cleanup_close(&repeats->ids_fd);
	free(repeats);
}

int repeats_add(struct repeats *repeats, const char *id, size_t size, int64_t line,
		struct error *err)
{
	int result = 0;

	if (repeats->count == repeats->room)
		result = write_rows(repeats, err);
	if (result == 0 && repeats->ids.size >= IDS_AT_ONCE)
		result = write_ids(repeats, err);
	if (result < 0)
		return result;
	repeats->rows[repeats->count++] = (struct row){
		.hash = hash_keyed(repeats->key, id, size),
		.line = line,
		.at = repeats->ids_written + (int64_t)repeats->ids.size,
		.size = size,
	};
	buffer_add(&repeats->ids, id, size);
	return 0;
}

int repeats_finish(struct repeats *repeats,
		   void (*on_repeat)(const char *id, size_t size, int64_t line, int64_t first_line,
				     void *context),
		   void *context, struct error *err)
{
	int result = 0;

	repeats->on_repeat = on_repeat;
	repeats->context = context;
	if (repeats->rows_fd >= 0) {
		result = write_rows(repeats, err);
		if (result == 0)
			result = merge(repeats, err);
	} else {
		qsort(repeats->rows, repeats->count, sizeof(*repeats->rows), compare_rows);
		for (size_t i = 0; i < repeats->count && result == 0; i++)
			result = take_row(repeats, &repeats->rows[i], err);
	}
	return result < 0 ? result : tell_found(repeats, err);
}
