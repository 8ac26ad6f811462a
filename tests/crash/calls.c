/* The calls that meet trouble, see trouble.h. */
#include "tests/crash/trouble.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/uio.h>
#include <unistd.h>

#define EXPORTED __attribute__((visibility("default")))

static size_t half(size_t size)
{
	return size > 1 ? size / 2 : size;
}

static struct iovec half_piece(const struct iovec *pieces)
{
	return (struct iovec){ .iov_base = pieces->iov_base, .iov_len = half(pieces->iov_len) };
}

/* Defines a call. fd or path says which file it is about, shorten makes it ask for less, failed is what it returns then. */
#define DEFINE(type, name, parameters, arguments, call, fd, path, shorten, failed)       \
	EXPORTED type name parameters                                                    \
	{                                                                                \
		static type(*real) parameters;                                           \
		struct verdict verdict = trouble_begin(call, fd, path, false);           \
		type result;                                                             \
		shorten                                                                  \
                                                                                         \
		if (verdict.deed == DEED_FAIL) {                                         \
			errno = verdict.code;                                            \
			return failed;                                                   \
		}                                                                        \
		if (!real)                                                               \
			real = (type(*) parameters)dlsym(RTLD_NEXT, #name);              \
		result = real arguments;                                                 \
		if (verdict.deed == DEED_DIE_AFTER)                                      \
			trouble_die();                                                   \
		return result;                                                           \
	}

/* A flush must not come again on a descriptor that told an error once: the kernel forgets it. */
#define DEFINE_FLUSH(name, parameters, arguments, call)                                  \
	EXPORTED int name parameters                                                     \
	{                                                                                \
		static int (*real) parameters;                                           \
		struct verdict verdict = trouble_begin(call, fd, NULL, false);           \
		int result;                                                              \
                                                                                         \
		trouble_flushed(fd);                                                     \
		if (verdict.deed == DEED_FAIL) {                                         \
			trouble_flush_failed(fd);                                        \
			errno = verdict.code;                                            \
			return -1;                                                       \
		}                                                                        \
		if (!real)                                                               \
			real = (int (*) parameters)dlsym(RTLD_NEXT, #name);              \
		result = real arguments;                                                 \
		if (verdict.deed == DEED_DIE_AFTER)                                      \
			trouble_die();                                                   \
		return result;                                                           \
	}

/* Those that take a mode only where they make the file. */
#define DEFINE_OPEN(name, parameters, arguments, call, path)                             \
	EXPORTED int name parameters                                                     \
	{                                                                                \
		static int (*real) parameters;                                           \
		bool is_creating = (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;\
		struct verdict verdict = trouble_begin(call, -1, path, is_creating);     \
		mode_t mode = 0;                                                         \
		va_list rest;                                                            \
		int result;                                                              \
                                                                                         \
		if (is_creating) {                                                       \
			va_start(rest, flags);                                           \
			mode = va_arg(rest, mode_t);                                     \
			va_end(rest);                                                    \
		}                                                                        \
		if (verdict.deed == DEED_FAIL) {                                         \
			errno = verdict.code;                                            \
			return -1;                                                       \
		}                                                                        \
		if (!real)                                                               \
			real = (int (*) parameters)dlsym(RTLD_NEXT, #name);              \
		result = real arguments;                                                 \
		trouble_closed(result);                                                  \
		if (verdict.deed == DEED_DIE_AFTER)                                      \
			trouble_die();                                                   \
		return result;                                                           \
	}

#define IS_SHORT (verdict.deed == DEED_SHORTEN)
#define FEWER	 size = IS_SHORT ? half(size) : size;
#define FIRST                                                                            \
	struct iovec piece;                                                              \
	if (IS_SHORT) {                                                                  \
		piece = half_piece(pieces);                                              \
		pieces = &piece;                                                         \
		count = 1;                                                               \
	}
#define ALL

/* clang-format off */
DEFINE(ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size), CALL_READ, fd, NULL, FEWER, -1)
DEFINE(ssize_t, pread, (int fd, void *bytes, size_t size, off_t offset), (fd, bytes, size, offset), CALL_PREAD, fd, NULL, FEWER, -1)
DEFINE(ssize_t, pread64, (int fd, void *bytes, size_t size, off64_t offset), (fd, bytes, size, offset), CALL_PREAD, fd, NULL, FEWER, -1)
DEFINE(ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), CALL_WRITE, fd, NULL, FEWER, -1)
DEFINE(ssize_t, pwrite, (int fd, const void *bytes, size_t size, off_t offset), (fd, bytes, size, offset), CALL_PWRITE, fd, NULL, FEWER, -1)
DEFINE(ssize_t, pwrite64, (int fd, const void *bytes, size_t size, off64_t offset), (fd, bytes, size, offset), CALL_PWRITE, fd, NULL, FEWER, -1)
DEFINE(ssize_t, writev, (int fd, const struct iovec *pieces, int count), (fd, pieces, count), CALL_WRITEV, fd, NULL, FIRST, -1)
DEFINE(ssize_t, pwritev, (int fd, const struct iovec *pieces, int count, off_t offset), (fd, pieces, count, offset), CALL_PWRITEV, fd, NULL, FIRST, -1)
DEFINE(ssize_t, pwritev64, (int fd, const struct iovec *pieces, int count, off64_t offset), (fd, pieces, count, offset), CALL_PWRITEV, fd, NULL, FIRST, -1)
DEFINE_FLUSH(fsync, (int fd), (fd), CALL_FSYNC)
DEFINE_FLUSH(fdatasync, (int fd), (fd), CALL_FDATASYNC)
DEFINE_FLUSH(sync_file_range, (int fd, off64_t from, off64_t size, unsigned flags), (fd, from, size, flags), CALL_SYNC_FILE_RANGE)
DEFINE(int, ftruncate, (int fd, off_t size), (fd, size), CALL_FTRUNCATE, fd, NULL, ALL, -1)
DEFINE(int, ftruncate64, (int fd, off64_t size), (fd, size), CALL_FTRUNCATE, fd, NULL, ALL, -1)
DEFINE(int, rename, (const char *from, const char *to), (from, to), CALL_RENAME, -1, to, ALL, -1)
DEFINE(int, renameat, (int fd, const char *from, int to_fd, const char *to), (fd, from, to_fd, to), CALL_RENAMEAT, to_fd, to, ALL, -1)
DEFINE(int, renameat2, (int fd, const char *from, int to_fd, const char *to, unsigned flags), (fd, from, to_fd, to, flags), CALL_RENAMEAT, to_fd, to, ALL, -1)
DEFINE(int, link, (const char *from, const char *to), (from, to), CALL_LINKAT, -1, to, ALL, -1)
DEFINE(int, linkat, (int fd, const char *from, int to_fd, const char *to, int flags), (fd, from, to_fd, to, flags), CALL_LINKAT, to_fd, to, ALL, -1)
DEFINE(int, unlink, (const char *path), (path), CALL_UNLINK, -1, path, ALL, -1)
DEFINE(int, unlinkat, (int fd, const char *path, int flags), (fd, path, flags), CALL_UNLINKAT, fd, path, ALL, -1)
DEFINE(int, mkdir, (const char *path, mode_t mode), (path, mode), CALL_MKDIR, -1, path, ALL, -1)
DEFINE(int, mkdirat, (int fd, const char *path, mode_t mode), (fd, path, mode), CALL_MKDIRAT, fd, path, ALL, -1)
DEFINE_OPEN(open, (const char *path, int flags, ...), (path, flags, mode), CALL_OPEN, path)
DEFINE_OPEN(open64, (const char *path, int flags, ...), (path, flags, mode), CALL_OPEN, path)
DEFINE_OPEN(openat, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), CALL_OPENAT, path)
DEFINE_OPEN(openat64, (int fd, const char *path, int flags, ...), (fd, path, flags, mode), CALL_OPENAT, path)
DEFINE(struct dirent *, readdir, (DIR *folder), (folder), CALL_READDIR, dirfd(folder), NULL, ALL, NULL)
DEFINE(struct dirent64 *, readdir64, (DIR *folder), (folder), CALL_READDIR, dirfd(folder), NULL, ALL, NULL)
DEFINE(int, flock, (int fd, int how), (fd, how), CALL_FLOCK, fd, NULL, ALL, -1)
DEFINE(void *, mmap, (void *at, size_t size, int access, int flags, int fd, off_t offset), (at, size, access, flags, fd, offset), CALL_MMAP, fd, NULL, ALL, MAP_FAILED)
DEFINE(void *, mmap64, (void *at, size_t size, int access, int flags, int fd, off64_t offset), (at, size, access, flags, fd, offset), CALL_MMAP, fd, NULL, ALL, MAP_FAILED)
DEFINE(int, socket, (int family, int type, int protocol), (family, type, protocol), CALL_SOCKET, -1, NULL, ALL, -1)
DEFINE(int, bind, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size), CALL_BIND, fd, NULL, ALL, -1)
DEFINE(int, listen, (int fd, int backlog), (fd, backlog), CALL_LISTEN, fd, NULL, ALL, -1)
DEFINE(int, connect, (int fd, const struct sockaddr *address, socklen_t size), (fd, address, size), CALL_CONNECT, fd, NULL, ALL, -1)
DEFINE(int, accept, (int fd, struct sockaddr *from, socklen_t *size), (fd, from, size), CALL_ACCEPT, fd, NULL, ALL, -1)
DEFINE(int, accept4, (int fd, struct sockaddr *from, socklen_t *size, int flags), (fd, from, size, flags), CALL_ACCEPT, fd, NULL, ALL, -1)
DEFINE(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags), CALL_SEND, fd, NULL, ALL, -1)
DEFINE(ssize_t, sendto, (int fd, const void *bytes, size_t size, int flags, const struct sockaddr *to, socklen_t to_size), (fd, bytes, size, flags, to, to_size), CALL_SENDTO, fd, NULL, ALL, -1)
DEFINE(ssize_t, sendmsg, (int fd, const struct msghdr *message, int flags), (fd, message, flags), CALL_SENDMSG, fd, NULL, ALL, -1)
DEFINE(ssize_t, sendfile, (int fd, int from, off_t *offset, size_t size), (fd, from, offset, size), CALL_SENDFILE, from, NULL, ALL, -1)
DEFINE(ssize_t, sendfile64, (int fd, int from, off64_t *offset, size_t size), (fd, from, offset, size), CALL_SENDFILE, from, NULL, ALL, -1)
DEFINE(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags), CALL_RECV, fd, NULL, ALL, -1)
DEFINE(ssize_t, recvfrom, (int fd, void *bytes, size_t size, int flags, struct sockaddr *from, socklen_t *from_size), (fd, bytes, size, flags, from, from_size), CALL_RECVFROM, fd, NULL, ALL, -1)
DEFINE(ssize_t, recvmsg, (int fd, struct msghdr *message, int flags), (fd, message, flags), CALL_RECVMSG, fd, NULL, ALL, -1)
DEFINE(int, epoll_create1, (int flags), (flags), CALL_EPOLL_CREATE, -1, NULL, ALL, -1)
DEFINE(int, epoll_create, (int size), (size), CALL_EPOLL_CREATE, -1, NULL, ALL, -1)
DEFINE(int, epoll_ctl, (int fd, int what, int of, struct epoll_event *event), (fd, what, of, event), CALL_EPOLL_CTL, of, NULL, ALL, -1)
DEFINE(int, eventfd, (unsigned value, int flags), (value, flags), CALL_EVENTFD, -1, NULL, ALL, -1)
DEFINE(int, timerfd_create, (int clock, int flags), (clock, flags), CALL_EVENTFD, -1, NULL, ALL, -1)
DEFINE(int, poll, (struct pollfd *fds, nfds_t count, int timeout_ms), (fds, count, timeout_ms), CALL_POLL, -1, NULL, ALL, -1)
/* clang-format on */

EXPORTED int close(int fd)
{
	static int (*real)(int);

	trouble_closed(fd);
	if (!real)
		real = (int (*)(int))dlsym(RTLD_NEXT, "close");
	return real(fd);
}

static int copy_descriptor(int fd, int command, int least)
{
	struct verdict verdict = trouble_begin(CALL_FCNTL, fd, NULL, false);
	int copy;

	if (verdict.deed == DEED_FAIL) {
		errno = verdict.code;
		return -1;
	}
	copy = (int)syscall(SYS_fcntl, fd, command, least);
	if (verdict.deed == DEED_DIE_AFTER)
		trouble_die();
	return copy;
}

/* What it takes is a number or a pointer, and the kernel knows which. */
EXPORTED int fcntl64(int fd, int command, ...)
{
	va_list rest;
	void *argument;

	va_start(rest, command);
	argument = va_arg(rest, void *);
	va_end(rest);
	if (command == F_DUPFD || command == F_DUPFD_CLOEXEC)
		return copy_descriptor(fd, command, (int)(intptr_t)argument);
	return (int)syscall(SYS_fcntl, fd, command, argument);
}

EXPORTED int fcntl(int fd, int command, ...) __attribute__((alias("fcntl64")));

EXPORTED int epoll_wait(int fd, struct epoll_event *events, int count, int timeout_ms)
{
	struct verdict verdict = trouble_begin(CALL_EPOLL_WAIT, -1, NULL, false);
	int ready;

	if (verdict.deed == DEED_FAIL) {
		errno = verdict.code;
		return -1;
	}
	ready = (int)syscall(SYS_epoll_wait, fd, events, count, timeout_ms);
	trouble_woken();
	if (verdict.deed == DEED_DIE_AFTER)
		trouble_die();
	return ready;
}
