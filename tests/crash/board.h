/*
 * What a troubled program and who troubles it share: a plan, and how it goes. The page is a file that both map
 * (BATCHD_TROUBLE_BOARD names it), so that trouble begins and ends while the program runs; or it is filled from
 * the environment (trouble.h) and private.
 */
#ifndef BATCHD_TESTS_CRASH_BOARD_H
#define BATCHD_TESTS_CRASH_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#define BOARD_VARIABLE "BATCHD_TROUBLE_BOARD"
#define BOARD_PLACE    160

/* Names that differ by their types alone (pwrite, pwrite64) count as one; every allocation counts as a malloc. */
enum call {
	CALL_READ,
	CALL_PREAD,
	CALL_WRITE,
	CALL_WRITEV,
	CALL_PWRITE,
	CALL_PWRITEV,
	CALL_FSYNC,
	CALL_FDATASYNC,
	CALL_SYNC_FILE_RANGE,
	CALL_FTRUNCATE,
	CALL_RENAME,
	CALL_RENAMEAT,
	CALL_LINKAT,
	CALL_UNLINK,
	CALL_UNLINKAT,
	CALL_MKDIR,
	CALL_MKDIRAT,
	CALL_OPEN,
	CALL_OPENAT,
	CALL_READDIR,
	CALL_FLOCK,
	CALL_MMAP,
	CALL_FCNTL, /* one that duplicates */
	CALL_SOCKET,
	CALL_BIND,
	CALL_LISTEN,
	CALL_CONNECT,
	CALL_ACCEPT,
	CALL_SEND,
	CALL_SENDTO,
	CALL_SENDMSG,
	CALL_SENDFILE,
	CALL_RECV,
	CALL_RECVFROM,
	CALL_RECVMSG,
	CALL_POLL,
	CALL_EPOLL_CREATE,
	CALL_EPOLL_CTL,
	CALL_EPOLL_WAIT,
	CALL_EVENTFD,
	CALL_MALLOC,
	CALL_COUNT,
};

enum deed {
	DEED_NONE,
	DEED_DIE,     /* SIGKILL before the call */
	DEED_DIE_AFTER, /* when it has been done, but nobody knows its result */
	DEED_FAIL,    /* with the code of the plan, not done */
	DEED_SHORTEN, /* done for half of the bytes, of a file: a socket that gives fewer is an empty one, as epoll(7) has it */
};

/* Which calls count at all. */
enum only {
	ONLY_ALL,
	ONLY_FILES,    /* of files and folders, not of sockets and the like */
	ONLY_GROWTH,   /* of files, and of opens those that make one */
};

struct board {
	/* The plan. */
	uint64_t calls; /* a bit for each enum call that counts */
	int64_t at;	/* the deed is done at this one of them, from 1; 0: never */
	int32_t deed;
	int32_t code; /* an errno */
	int32_t only;
	bool is_lasting; /* and from then on; of EINTR every second one, or nothing would ever be done */
	char match[BOARD_PLACE]; /* fnmatch: only calls whose file is like it count; empty: all */

	/* The course. */
	atomic_bool is_armed; /* else nothing counts */
	atomic_long count;
	atomic_long hits;
	atomic_long wakeups;	 /* waits of a loop that returned, armed or not */
	atomic_long flushed_again; /* flushes of a descriptor whose flush had failed */
	int32_t hit_call;
	char hit_place[BOARD_PLACE];
	char flushed_place[BOARD_PLACE];
};

/* Its name, as in BATCHD_KILL_CALLS. */
const char *board_call_name(enum call call);
/* The bits of calls named with commas between. An unknown name: 0. */
uint64_t board_calls(const char *names);

#endif
