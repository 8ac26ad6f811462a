#include "tests/crash/board.h"

#include <stddef.h>
#include <string.h>

/* clang-format off */
static const char *const names[CALL_COUNT] = {
	[CALL_READ]            = "read",
	[CALL_PREAD]           = "pread64",
	[CALL_WRITE]           = "write",
	[CALL_WRITEV]          = "writev",
	[CALL_PWRITE]          = "pwrite64",
	[CALL_PWRITEV]         = "pwritev",
	[CALL_FSYNC]           = "fsync",
	[CALL_FDATASYNC]       = "fdatasync",
	[CALL_SYNC_FILE_RANGE] = "sync_file_range",
	[CALL_FTRUNCATE]       = "ftruncate",
	[CALL_RENAME]          = "rename",
	[CALL_RENAMEAT]        = "renameat",
	[CALL_LINKAT]          = "linkat",
	[CALL_UNLINK]          = "unlink",
	[CALL_UNLINKAT]        = "unlinkat",
	[CALL_MKDIR]           = "mkdir",
	[CALL_MKDIRAT]         = "mkdirat",
	[CALL_OPEN]            = "open",
	[CALL_OPENAT]          = "openat",
	[CALL_READDIR]         = "readdir",
	[CALL_FLOCK]           = "flock",
	[CALL_MMAP]            = "mmap",
	[CALL_FCNTL]           = "fcntl",
	[CALL_SOCKET]          = "socket",
	[CALL_BIND]            = "bind",
	[CALL_LISTEN]          = "listen",
	[CALL_CONNECT]         = "connect",
	[CALL_ACCEPT]          = "accept",
	[CALL_SEND]            = "send",
	[CALL_SENDTO]          = "sendto",
	[CALL_SENDMSG]         = "sendmsg",
	[CALL_SENDFILE]        = "sendfile",
	[CALL_RECV]            = "recv",
	[CALL_RECVFROM]        = "recvfrom",
	[CALL_RECVMSG]         = "recvmsg",
	[CALL_POLL]            = "poll",
	[CALL_EPOLL_CREATE]    = "epoll_create",
	[CALL_EPOLL_CTL]       = "epoll_ctl",
	[CALL_EPOLL_WAIT]      = "epoll_wait",
	[CALL_EVENTFD]         = "eventfd",
	[CALL_MALLOC]          = "malloc",
};
/* clang-format on */

static uint64_t find(const char *name, size_t size)
{
	for (int i = 0; i < CALL_COUNT; i++)
		if (strlen(names[i]) == size && strncmp(name, names[i], size) == 0)
			return UINT64_C(1) << i;
	return 0;
}

const char *board_call_name(enum call call)
{
	return names[call];
}

uint64_t board_calls(const char *list)
{
	uint64_t calls = 0;

	for (const char *word = list; *word; word += strcspn(word, ","), word += *word == ',') {
		uint64_t call = find(word, strcspn(word, ","));

		if (!call)
			return 0;
		calls |= call;
	}
	return calls;
}
