#include "daemon/io/note.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/base/log.h"

/* "note" and version 1, read as one number. */
#define MAGIC UINT64_C(0x6e6f746500000001)

/* As it stands in the file; all of it is written at once, within one block. */
struct record {
	uint64_t magic;
	struct note_entry entry;
	uint32_t boot; /* of the machine */
	uint32_t check;
};

_Static_assert(sizeof(struct record) == 48, "a note has no holes");

struct note {
	int fd; /* -1: it notes nothing */
	uint32_t boot; /* 0: not known */
	struct note_entry current;
	bool is_known; /* current stands in the file */
};

static void give_up(struct note *note)
{
	log_warning("the note of what is being done cannot be kept; a step that ends batchd will not be found",
		    log_text("WHY", error_name(errno)));
	if (note->fd >= 0)
		(void)close(note->fd);
	note->fd = -1;
}

static void write_record(struct note *note)
{
	struct record record = { .magic = MAGIC, .entry = note->current, .boot = note->boot };
	size_t done = 0;

	record.check = hash_check(&record, offsetof(struct record, check));
	note->is_known = true;
	while (done < sizeof(record)) {
		ssize_t written = pwrite(note->fd, (const char *)&record + done, sizeof(record) - done, (off_t)done);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0) {
			note->is_known = false;
			give_up(note);
			return;
		}
		done += (size_t)written;
	}
}

static void set(struct note *note, const struct note_entry *entry)
{
	if (note->is_known && memcmp(&note->current, entry, sizeof(*entry)) == 0)
		return;
	note->current = *entry;
	if (note->fd >= 0)
		write_record(note);
}

/* What tells this boot of the machine from every other. The service sees little of /proc, so its unit says it. */
static uint32_t read_boot(void)
{
	auto_close int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	const char *told = getenv("BATCHD_BOOT_ID");
	char id[64];
	ssize_t size;

	if (told)
		return hash_check(told, strlen(told));
	size = fd < 0 ? -1 : read(fd, id, sizeof(id));
	return size > 0 ? hash_check(id, (size_t)size) : 0;
}

/* False: it is not whole. */
static bool read_bytes(int fd, struct record *ret_record)
{
	size_t done = 0;
	ssize_t got = 1;

	while (got && done < sizeof(*ret_record)) {
		got = pread(fd, (char *)ret_record + done, sizeof(*ret_record) - done, (off_t)done);
		if (got < 0 && errno != EINTR)
			return false;
		done += got > 0 ? (size_t)got : 0;
	}
	return done == sizeof(*ret_record);
}

static struct note_entry read_record(const struct note *note)
{
	struct record record = { 0 };

	if (note->fd < 0 || !read_bytes(note->fd, &record) ||
	    record.magic != MAGIC || record.check != hash_check(&record, offsetof(struct record, check)) ||
	    record.boot != note->boot || record.entry.job <= 0 || record.entry.shard < 0 ||
	    !memchr(record.entry.step, 0, NOTE_STEP_SIZE))
		return (struct note_entry){ 0 };
	return record.entry;
}

struct note *note_open(const char *folder, struct note_entry *ret_left)
{
	auto_free char *path = xasprintf("%s/note", folder);
	struct note *note = xcalloc(1, sizeof(*note));

	note->boot = read_boot();
	note->fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (note->fd < 0)
		give_up(note);
	*ret_left = read_record(note);
	return note;
}

void note_close(struct note *note)
{
	if (!note)
		return;
	if (note->fd >= 0)
		(void)close(note->fd);
	free(note);
}

void note_enter(struct note *note, int64_t job, int64_t shard, const char *step)
{
	struct note_entry entry = { .job = job, .shard = shard };
	size_t size = strlen(step);

	memcpy(entry.step, step, size < NOTE_STEP_SIZE ? size : NOTE_STEP_SIZE - 1);
	set(note, &entry);
}

void note_enter_again(struct note *note, const struct note_entry *entry)
{
	if (note && entry->job)
		set(note, entry);
}

void note_leave(struct note *note)
{
	static const struct note_entry nothing;

	if (note)
		set(note, &nothing);
}

struct note_entry note_current(const struct note *note)
{
	return note ? note->current : (struct note_entry){ 0 };
}
