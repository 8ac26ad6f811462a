/*
 * Linked into batchd-killable: the ordinary daemon, which dies at a call of its choice. The definitions here are found before those of
 * the C library, by the libraries as well (the program exports its symbols), so that the flushes of SQLite count like our own.
 *
 *	BATCHD_KILL_CALLS	the calls that count, by name, with commas between; none: nothing is counted
 *	BATCHD_KILL_AT		SIGKILL at the so manieth of them; 0: never, and all of them are written to the log
 *	BATCHD_KILL_AFTER	1: when the call has been done, but nobody knows its result; else just before it
 *	BATCHD_KILL_MATCH	a pattern (fnmatch): only calls whose file is like it count
 *	BATCHD_KILL_LOG		the file that gets a line for the call: its name and its file
 */
#include <dlfcn.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

/* Names that differ by their types alone (pwrite, pwrite64) count as one. */
enum kind {
	KIND_WRITE,
	KIND_WRITEV,
	KIND_PWRITE,
	KIND_FSYNC,
	KIND_FDATASYNC,
	KIND_FTRUNCATE,
	KIND_RENAME,
	KIND_RENAMEAT,
	KIND_UNLINK,
	KIND_UNLINKAT,
	KIND_MKDIRAT,
	KIND_OPEN,
	KIND_OPENAT,
	KIND_CONNECT,
	KIND_SEND,
	KIND_SENDTO,
	KIND_SENDMSG,
	KIND_SENDFILE,
	KIND_RECV,
	KIND_RECVFROM,
	KIND_RECVMSG,
	KIND_COUNT,
};

/* clang-format off */
static const char *const names[KIND_COUNT] = {
	[KIND_WRITE]     = "write",
	[KIND_WRITEV]    = "writev",
	[KIND_PWRITE]    = "pwrite64",
	[KIND_FSYNC]     = "fsync",
	[KIND_FDATASYNC] = "fdatasync",
	[KIND_FTRUNCATE] = "ftruncate",
	[KIND_RENAME]    = "rename",
	[KIND_RENAMEAT]  = "renameat",
	[KIND_UNLINK]    = "unlink",
	[KIND_UNLINKAT]  = "unlinkat",
	[KIND_MKDIRAT]   = "mkdirat",
	[KIND_OPEN]      = "open",
	[KIND_OPENAT]    = "openat",
	[KIND_CONNECT]   = "connect",
	[KIND_SEND]      = "send",
	[KIND_SENDTO]    = "sendto",
	[KIND_SENDMSG]   = "sendmsg",
	[KIND_SENDFILE]  = "sendfile",
	[KIND_RECV]      = "recv",
	[KIND_RECVFROM]  = "recvfrom",
	[KIND_RECVMSG]   = "recvmsg",
};
/* clang-format on */

static struct {
	bool counts[KIND_COUNT];
	long at;
	bool is_after;
	const char *match;
	const char *log;
	atomic_long done;
} plan;

__attribute__((constructor)) static void read_plan(void)
{
	const char *calls = getenv("BATCHD_KILL_CALLS");
	const char *at = getenv("BATCHD_KILL_AT");
	const char *after = getenv("BATCHD_KILL_AFTER");

	plan.at = at ? atol(at) : 0;
	plan.is_after = after && strcmp(after, "1") == 0;
	plan.match = getenv("BATCHD_KILL_MATCH");
	plan.log = getenv("BATCHD_KILL_LOG");
	for (size_t i = 0; calls && i < KIND_COUNT; i++) {
		size_t size = strlen(names[i]);

		for (const char *word = calls; *word; word += strcspn(word, ","), word += *word == ',')
			plan.counts[i] |= strcspn(word, ",") == size && !strncmp(word, names[i], size);
	}
}

/* The file of a call: path, or where the descriptor leads. */
static const char *place_of(int fd, const char *path, char *room, size_t size)
{
	char link[32];
	ssize_t got;

	if (path)
		return path;
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	got = readlink(link, room, size - 1);
	if (got < 0)
		return "-";
	room[got] = 0;
	return room;
}

/* Straight to the kernel, past the definitions below. */
static void write_log(enum kind kind, const char *place)
{
	char line[512];
	int size = snprintf(line, sizeof(line), "%s %s\n", names[kind], place);
	long fd;

	if (!plan.log)
		return;
	if (size >= (int)sizeof(line))
		size = (int)sizeof(line) - 1;
	fd = syscall(SYS_openat, AT_FDCWD, plan.log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	(void)syscall(SYS_write, fd, line, (size_t)size);
	(void)syscall(SYS_close, fd);
}

static void die(void)
{
	(void)syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

/* Counts a call that begins. True: it is the chosen one, and death waits behind it. */
static bool begin(enum kind kind, int fd, const char *path)
{
	char room[256];
	const char *place;
	long number;

	if (!plan.counts[kind])
		return false;
	place = place_of(fd, path, room, sizeof(room));
	if (plan.match && fnmatch(plan.match, place, 0))
		return false;
	number = atomic_fetch_add(&plan.done, 1) + 1;
	if (plan.at && number != plan.at)
		return false;
	write_log(kind, place);
	if (!plan.at)
		return false;
	if (!plan.is_after)
		die();
	return true;
}

/* Defines a call that counts as kind; fd or path says which file it is about. */
#define DEFINE(type, name, parameters, arguments, kind, fd, path)                 \
	__attribute__((visibility("default"))) type name parameters               \
	{                                                                         \
		static type(*real) parameters;                                    \
		bool is_last = begin(kind, fd, path);                             \
		type result;                                                      \
                                                                                  \
		if (!real)                                                        \
			real = (type(*) parameters)dlsym(RTLD_NEXT, #name);       \
		result = real arguments;                                          \
		if (is_last)                                                      \
			die();                                                    \
		return result;                                                    \
	}

/* The same for those that take a mode only where they make the file. */
#define DEFINE_OPEN(name, parameters, arguments, kind, path)                      \
	__attribute__((visibility("default"))) int name parameters                \
	{                                                                         \
		static int (*real) parameters;                                    \
		bool is_last = begin(kind, -1, path);                             \
		mode_t mode = 0;                                                  \
		va_list rest;                                                     \
		int result;                                                       \
                                                                                  \
		if (flags & (O_CREAT | O_TMPFILE)) {                              \
			va_start(rest, flags);                                    \
			mode = va_arg(rest, mode_t);                              \
			va_end(rest);                                             \
		}                                                                 \
		if (!real)                                                        \
			real = (int (*) parameters)dlsym(RTLD_NEXT, #name);       \
		result = real arguments;                                          \
		if (is_last)                                                      \
			die();                                                    \
		return result;                                                    \
	}

/* clang-format off */
DEFINE(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), KIND_WRITE, fd, NULL)
DEFINE(ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count), KIND_WRITEV, fd, NULL)
DEFINE(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t offset), (fd, bytes, size, offset), KIND_PWRITE, fd, NULL)
DEFINE(ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off64_t offset), (fd, bytes, size, offset), KIND_PWRITE, fd, NULL)
DEFINE(int, fsync, (int fd), (fd), KIND_FSYNC, fd, NULL)
DEFINE(int, fdatasync, (int fd), (fd), KIND_FDATASYNC, fd, NULL)
DEFINE(int, ftruncate, (int fd, off_t size), (fd, size), KIND_FTRUNCATE, fd, NULL)
DEFINE(int, ftruncate64, (int fd, off64_t size), (fd, size), KIND_FTRUNCATE, fd, NULL)
DEFINE(int, rename, (const char *from, const char *to), (from, to), KIND_RENAME, -1, to)
DEFINE(int, renameat, (int fd, const char *from, int to_fd, const char *to), (fd, from, to_fd, to), KIND_RENAMEAT, to_fd, to)
DEFINE(int, unlink, (const char *path), (path), KIND_UNLINK, -1, path)
DEFINE(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), KIND_UNLINKAT, fd, path)
DEFINE(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), KIND_MKDIRAT, fd, path)
DEFINE_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), KIND_OPEN, path)
DEFINE_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), KIND_OPEN, path)
DEFINE_OPEN(openat, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), KIND_OPENAT, path)
DEFINE_OPEN(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), KIND_OPENAT, path)
DEFINE(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size), KIND_CONNECT, fd, NULL)
DEFINE(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags), KIND_SEND, fd, NULL)
DEFINE(ssize_t, sendto, (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t to_size), (fd, bytes, size, flags, to, to_size), KIND_SENDTO, fd, NULL)
DEFINE(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), KIND_SENDMSG, fd, NULL)
DEFINE(ssize_t, sendfile, (int fd, int from, off_t *offset, size_t size), (fd, from, offset, size), KIND_SENDFILE, from, NULL)
DEFINE(ssize_t, sendfile64, (int fd, int from, off64_t *offset, size_t size), (fd, from, offset, size), KIND_SENDFILE, from, NULL)
DEFINE(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags), KIND_RECV, fd, NULL)
DEFINE(ssize_t, recvfrom, (int fd, void *bytes, size_t size, int flags, struct sockaddr *from, socklen_t *from_size), (fd, bytes, size, flags, from, from_size), KIND_RECVFROM, fd, NULL)
DEFINE(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), KIND_RECVMSG, fd, NULL)
/* clang-format on */
