#include "tests/crash/power_record.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/crash/power_disk.h"

#define MAX_FILES 1024

static struct {
	struct disk *disk; /* NULL: nothing is recorded */
	char folder[128];
	size_t folder_size;
	void (*on_effect)(void *context);
	void *context;
	bool is_flush;
	bool is_busy; /* a call of ours is under way, or on_effect: nothing within it counts */
	struct disk_node *files[MAX_FILES]; /* by descriptor; NULL: none of the folder's */
} tape;

/* A place in the folder: the folder that a name is in, and the name. */
struct spot {
	struct disk_node *folder; /* NULL: it is not recorded */
	const char *name;
};

static bool is_left_out(const char *name)
{
	size_t size = strlen(name);

	return strcmp(name, "lock") == 0 || (size > 4 && strcmp(name + size - 4, "-shm") == 0);
}

static struct disk_node *node_of(int fd)
{
	return tape.disk && !tape.is_busy && fd >= 0 && fd < MAX_FILES ? tape.files[fd] : NULL;
}

static struct spot spot_of(int at, const char *path)
{
	struct disk_node *from = node_of(at);
	const char *slash;

	if (!tape.disk || tape.is_busy)
		return (struct spot){ 0 };
	if (*path == '/') {
		if (strncmp(path, tape.folder, tape.folder_size) != 0 ||
		    (path[tape.folder_size] && path[tape.folder_size] != '/'))
			return (struct spot){ 0 };
		from = disk_root(tape.disk);
		path += tape.folder_size;
		path += strspn(path, "/");
	}
	slash = strrchr(path, '/');
	if (from && slash) {
		auto_free char *above = xmemdup0(path, (size_t)(slash - path));

		from = disk_find(from, above);
		path = slash + 1;
	}
	if (is_left_out(path))
		from = NULL;
	return (struct spot){ from, path };
}

static struct disk_node *node_at(const struct spot *spot)
{
	return spot->folder ? disk_find(spot->folder, spot->name) : NULL;
}

/* A call that changes the disk is about to be made. */
static void announce(bool is_flush)
{
	tape.is_flush = is_flush;
	tape.is_busy = true;
	tape.on_effect(tape.context);
	tape.is_busy = false;
}

static void note_write(struct disk_node *node, int64_t offset, const void *bytes, ssize_t written)
{
	if (node && written > 0)
		disk_write(tape.disk, node, offset, bytes, (size_t)written);
}

static void note_pieces(struct disk_node *node, int64_t offset, const struct iovec *pieces, ssize_t written)
{
	for (; node && written > 0; pieces++) {
		size_t size = (size_t)written < pieces->iov_len ? (size_t)written : pieces->iov_len;

		disk_write(tape.disk, node, offset, pieces->iov_base, size);
		offset += (int64_t)size;
		written -= (ssize_t)size;
	}
}

/* Where a plain write goes. */
static int64_t offset_of(int fd, const struct disk_node *node)
{
	if (!node)
		return 0;
	return fcntl(fd, F_GETFL) & O_APPEND ? node->seen_size : lseek(fd, 0, SEEK_CUR);
}

/* A file was opened, and perhaps made. */
static void note_open(int fd, const struct spot *spot, struct disk_node *node, int flags)
{
	if (fd < 0 || fd >= MAX_FILES || tape.is_busy)
		return;
	tape.files[fd] = NULL;
	if (!spot->folder)
		return;
	if (!node && (flags & O_CREAT))
		node = disk_make(tape.disk, spot->folder, spot->name, false);
	else if (node && !node->is_folder && (flags & O_TRUNC))
		disk_resize(tape.disk, node, 0);
	tape.files[fd] = node;
}

/* Whether opening it so changes anything. */
static bool is_effect(const struct spot *spot, const struct disk_node *node, int flags)
{
	return spot->folder && ((!node && (flags & O_CREAT)) || (node && !node->is_folder && (flags & O_TRUNC)));
}

static bool is_nameless(int flags)
{
	return (flags & O_TMPFILE) == O_TMPFILE;
}

static bool takes_mode(int flags)
{
	return flags & O_CREAT || is_nameless(flags);
}

/* A file without a name is nobody's when the power is back. */
static struct spot spot_to_open(int at, const char *path, int flags)
{
	return is_nameless(flags) ? (struct spot){ 0 } : spot_of(at, path);
}

/* The definition of the C library, or of whoever comes before it. */
#define REAL(name)                                                          \
	({                                                                  \
		static __typeof__(&name) real_;                             \
		if (!real_)                                                 \
			real_ = (__typeof__(&name))dlsym(RTLD_NEXT, #name); \
		real_;                                                      \
	})

#define EXPORTED __attribute__((visibility("default")))

/* clang-format off */
#define DEFINE_WRITE(type, call, parameters, arguments, fd, offset, note)        \
	EXPORTED type call parameters                                            \
	{                                                                        \
		struct disk_node *node = node_of(fd);                            \
		int64_t at = offset;                                             \
		type written;                                                    \
                                                                                 \
		if (node)                                                        \
			announce(false);                                         \
		written = REAL(call) arguments;                                  \
		note;                                                            \
		return written;                                                  \
	}

#define DEFINE_SYNC(call)                                                        \
	EXPORTED int call(int fd)                                                \
	{                                                                        \
		struct disk_node *node = node_of(fd);                            \
		int result;                                                      \
                                                                                 \
		if (node)                                                        \
			announce(true);                                          \
		result = REAL(call)(fd);                                         \
		if (node && result == 0)                                         \
			disk_sync(tape.disk, node);                              \
		return result;                                                   \
	}

#define DEFINE_RESIZE(call, type)                                                \
	EXPORTED int call(int fd, type size)                                     \
	{                                                                        \
		struct disk_node *node = node_of(fd);                            \
		int result;                                                      \
                                                                                 \
		if (node)                                                        \
			announce(false);                                         \
		result = REAL(call)(fd, size);                                   \
		if (node && result == 0)                                         \
			disk_resize(tape.disk, node, size);                      \
		return result;                                                   \
	}

/* A name that goes, by a call that removes it. */
#define DEFINE_LEAVE(call, parameters, arguments, at, path)                      \
	EXPORTED int call parameters                                             \
	{                                                                        \
		struct spot spot = spot_of(at, path);                            \
		struct disk_node *node = node_at(&spot);                         \
		int result;                                                      \
                                                                                 \
		if (node)                                                        \
			announce(false);                                         \
		result = REAL(call) arguments;                                   \
		if (node && result == 0)                                         \
			disk_leave(tape.disk, spot.folder, spot.name);           \
		return result;                                                   \
	}

#define DEFINE_FOLDER(call, parameters, arguments, at, path)                     \
	EXPORTED int call parameters                                             \
	{                                                                        \
		struct spot spot = spot_of(at, path);                            \
		bool is_new = spot.folder && !node_at(&spot);                    \
		int result;                                                      \
                                                                                 \
		if (is_new)                                                      \
			announce(false);                                         \
		result = REAL(call) arguments;                                   \
		if (is_new && result == 0)                                       \
			(void)disk_make(tape.disk, spot.folder, spot.name, true); \
		return result;                                                   \
	}

#define DEFINE_MOVE(call, parameters, arguments, at, path, new_at, new_path)     \
	EXPORTED int call parameters                                             \
	{                                                                        \
		struct spot from = spot_of(at, path), to = spot_of(new_at, new_path); \
		bool counts = node_at(&from) && to.folder;                       \
		int result;                                                      \
                                                                                 \
		if (counts)                                                      \
			announce(false);                                         \
		result = REAL(call) arguments;                                   \
		if (counts && result == 0)                                       \
			disk_move(tape.disk, from.folder, from.name, to.folder, to.name); \
		return result;                                                   \
	}

#define DEFINE_OPEN(call, parameters, arguments, at)                             \
	EXPORTED int call parameters                                             \
	{                                                                        \
		struct spot spot = spot_to_open(at, path, flags);                \
		struct disk_node *node = node_at(&spot);                         \
		mode_t mode = 0;                                                 \
		va_list rest;                                                    \
		int fd;                                                          \
                                                                                 \
		if (takes_mode(flags)) {                                         \
			va_start(rest, flags);                                   \
			mode = va_arg(rest, mode_t);                             \
			va_end(rest);                                            \
		}                                                                \
		if (is_effect(&spot, node, flags))                               \
			announce(false);                                         \
		fd = REAL(call) arguments;                                       \
		note_open(fd, &spot, node, flags);                               \
		return fd;                                                       \
	}

DEFINE_WRITE(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), fd,
	     offset_of(fd, node), note_write(node, at, bytes, written))
DEFINE_WRITE(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), fd,
	     offset_of(fd, node), note_pieces(node, at, parts, written))
DEFINE_WRITE(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t offset), (fd, bytes, size, offset), fd,
	     offset, note_write(node, at, bytes, written))
DEFINE_WRITE(ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off64_t offset), (fd, bytes, size, offset), fd,
	     offset, note_write(node, at, bytes, written))
DEFINE_WRITE(ssize_t, pwritev, (int fd, const struct iovec *parts, int count, off_t offset), (fd, parts, count, offset), fd,
	     offset, note_pieces(node, at, parts, written))
DEFINE_WRITE(ssize_t, pwritev64, (int fd, const struct iovec *parts, int count, off64_t offset), (fd, parts, count, offset), fd,
	     offset, note_pieces(node, at, parts, written))
DEFINE_SYNC(fsync)
DEFINE_SYNC(fdatasync)
DEFINE_RESIZE(ftruncate, off_t)
DEFINE_RESIZE(ftruncate64, off64_t)
DEFINE_LEAVE(unlink, (const char *path), (path), AT_FDCWD, path)
DEFINE_LEAVE(unlinkat, (int at, const char *path, int flags), (at, path, flags), at, path)
DEFINE_LEAVE(rmdir, (const char *path), (path), AT_FDCWD, path)
DEFINE_FOLDER(mkdir, (const char *path, mode_t mode), (path, mode), AT_FDCWD, path)
DEFINE_FOLDER(mkdirat, (int at, const char *path, mode_t mode), (at, path, mode), at, path)
DEFINE_MOVE(rename, (const char *from_path, const char *to_path), (from_path, to_path), AT_FDCWD, from_path, AT_FDCWD, to_path)
DEFINE_MOVE(renameat, (int at, const char *from_path, int new_at, const char *to_path), (at, from_path, new_at, to_path),
	    at, from_path, new_at, to_path)
DEFINE_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
DEFINE_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), AT_FDCWD)
DEFINE_OPEN(openat, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
DEFINE_OPEN(openat64, (int at, const char *path, int flags, ...), (at, path, flags, mode), at)
/* clang-format on */

/* A name more for a file. */
EXPORTED int linkat(int at, const char *path, int new_at, const char *new_path, int flags)
{
	struct spot from = spot_of(at, path), to = spot_of(new_at, new_path);
	struct disk_node *node = node_at(&from);
	bool counts = node && to.folder;
	int result;

	if (counts)
		announce(false);
	result = REAL(linkat)(at, path, new_at, new_path, flags);
	if (counts && result == 0)
		disk_link(tape.disk, node, to.folder, to.name);
	return result;
}

EXPORTED int link(const char *path, const char *new_path)
{
	return linkat(AT_FDCWD, path, AT_FDCWD, new_path, 0);
}

EXPORTED int close(int fd)
{
	if (fd >= 0 && fd < MAX_FILES && !tape.is_busy)
		tape.files[fd] = NULL;
	return REAL(close)(fd);
}

/* No call above knows how to note these: whoever needs them has to teach the recording first. */
static void refuse(int fd, const char *name)
{
	if (!node_of(fd))
		return;
	(void)fprintf(stderr, "%s is not recorded\n", name);
	abort();
}

EXPORTED int fallocate(int fd, int mode, off_t offset, off_t size)
{
	refuse(fd, "fallocate");
	return REAL(fallocate)(fd, mode, offset, size);
}

EXPORTED int posix_fallocate(int fd, off_t offset, off_t size)
{
	refuse(fd, "posix_fallocate");
	return REAL(posix_fallocate)(fd, offset, size);
}

int record_start(const char *folder, void (*on_effect)(void *context), void *context)
{
	struct disk *disk = disk_new();
	int r = disk_adopt(disk, folder);

	if (r) {
		disk_free(disk);
		return r;
	}
	memset(&tape, 0, sizeof(tape));
	(void)snprintf(tape.folder, sizeof(tape.folder), "%s", folder);
	tape.folder_size = strlen(tape.folder);
	tape.on_effect = on_effect;
	tape.context = context;
	tape.disk = disk;
	return 0;
}

void record_stop(void)
{
	disk_free(tape.disk);
	record_abandon();
}

void record_abandon(void)
{
	memset(&tape, 0, sizeof(tape));
}

void record_move(const char *folder)
{
	(void)snprintf(tape.folder, sizeof(tape.folder), "%s", folder);
	tape.folder_size = strlen(tape.folder);
	tape.is_busy = false;
	memset(tape.files, 0, sizeof(tape.files));
}

bool record_is_flush(void)
{
	return tape.is_flush;
}

struct disk *record_disk(void)
{
	return tape.disk;
}
