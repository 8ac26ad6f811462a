#include "tests/crash/trouble.h"

#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define MAX_DESCRIPTORS 4096

static struct board own_board;
static struct board *board = &own_board;
static const char *log_path;
static atomic_bool has_failed[MAX_DESCRIPTORS]; /* a flush of it, since it was opened */

static void plan_from_environment(void)
{
	const char *calls = getenv("BATCHD_KILL_CALLS");
	const char *at = getenv("BATCHD_KILL_AT");
	const char *after = getenv("BATCHD_KILL_AFTER");
	const char *match = getenv("BATCHD_KILL_MATCH");

	if (!calls)
		return;
	own_board.calls = board_calls(calls);
	own_board.at = at ? atol(at) : 0;
	own_board.deed = after && strcmp(after, "1") == 0 ? DEED_DIE_AFTER : DEED_DIE;
	(void)snprintf(own_board.match, sizeof(own_board.match), "%s", match ? match : "");
	log_path = getenv("BATCHD_KILL_LOG");
	own_board.is_armed = true;
}

__attribute__((constructor)) static void find_plan(void)
{
	const char *path = getenv(BOARD_VARIABLE);
	void *page;
	int fd;

	if (!path) {
		plan_from_environment();
		return;
	}
	fd = (int)syscall(SYS_openat, AT_FDCWD, path, O_RDWR | O_CLOEXEC);
	if (fd < 0)
		abort();
	page = (void *)syscall(SYS_mmap, NULL, sizeof(*board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	(void)syscall(SYS_close, fd);
	if (page == MAP_FAILED)
		abort();
	board = page;
}

/* The file of a call: path, or where the descriptor leads. */
static const char *place_of(int fd, const char *path, char *room, size_t size)
{
	char link[32];
	ssize_t got;

	if (path)
		return path;
	if (fd < 0)
		return "-";
	(void)snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	got = readlink(link, room, size - 1);
	if (got < 0)
		return "-";
	room[got] = 0;
	return room;
}

/* Straight to the kernel, past the definitions of calls.c. */
static void write_log(enum call call, const char *place)
{
	char line[512];
	int size = snprintf(line, sizeof(line), "%s %s\n", board_call_name(call), place);
	long fd;

	if (!log_path)
		return;
	if (size >= (int)sizeof(line))
		size = (int)sizeof(line) - 1;
	fd = syscall(SYS_openat, AT_FDCWD, log_path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd < 0)
		return;
	(void)syscall(SYS_write, fd, line, (size_t)size);
	(void)syscall(SYS_close, fd);
}

static bool is_wanted(enum call call, const char *place, bool is_creating)
{
	bool is_open = call == CALL_OPEN || call == CALL_OPENAT;
	bool is_file = !strstr(place, ":[");

	switch ((enum only)board->only) {
	case ONLY_ALL:
		break;
	case ONLY_FILES:
		if (!is_file)
			return false;
		break;
	case ONLY_GROWTH:
		if (!is_file || (is_open && !is_creating))
			return false;
		break;
	}
	return !*board->match || fnmatch(board->match, place, 0) == 0;
}

static void note_hit(enum call call, const char *place)
{
	if (atomic_fetch_add(&board->hits, 1))
		return;
	board->hit_call = (int32_t)call;
	(void)snprintf(board->hit_place, sizeof(board->hit_place), "%s", place);
}

static bool is_hit(int64_t number)
{
	if (!board->at || number < board->at)
		return false;
	if (!board->is_lasting)
		return number == board->at;
	return board->code != EINTR || (number - board->at) % 2 == 0;
}

static struct verdict judge(enum call call, int fd, const char *path, bool is_creating)
{
	char room[BOARD_PLACE];
	const char *place = place_of(fd, path, room, sizeof(room));
	int64_t number;

	if (!is_wanted(call, place, is_creating))
		return (struct verdict){ DEED_NONE, 0 };
	number = atomic_fetch_add(&board->count, 1) + 1;
	if (!board->at)
		write_log(call, place);
	if (!is_hit(number))
		return (struct verdict){ DEED_NONE, 0 };
	write_log(call, place);
	note_hit(call, place);
	if (board->deed == DEED_DIE)
		trouble_die();
	return (struct verdict){ (enum deed)board->deed, board->code };
}

bool trouble_counts(enum call call)
{
	return board->is_armed && board->calls >> call & 1;
}

struct verdict trouble_begin(enum call call, int fd, const char *path, bool is_creating)
{
	int code = errno;
	struct verdict verdict;

	if (!trouble_counts(call))
		return (struct verdict){ DEED_NONE, 0 };
	verdict = judge(call, fd, path, is_creating);
	errno = code;
	return verdict;
}

void trouble_die(void)
{
	(void)syscall(SYS_kill, getpid(), SIGKILL);
	for (;;)
		(void)pause();
}

void trouble_woken(void)
{
	(void)atomic_fetch_add(&board->wakeups, 1);
}

void trouble_flush_failed(int fd)
{
	if (fd >= 0 && fd < MAX_DESCRIPTORS)
		has_failed[fd] = true;
}

void trouble_closed(int fd)
{
	if (fd >= 0 && fd < MAX_DESCRIPTORS)
		has_failed[fd] = false;
}

/*
 * A store that is being made has a journal beside it; out of that SQLite writes anew what it could not
 * flush, before it flushes again.
 */
static bool is_being_made(const char *place)
{
	char journal[BOARD_PLACE + 16];

	(void)snprintf(journal, sizeof(journal), "%s-journal", place);
	return access(journal, F_OK) == 0;
}

void trouble_flushed(int fd)
{
	char room[BOARD_PLACE];
	const char *place;
	int code = errno;

	if (fd < 0 || fd >= MAX_DESCRIPTORS || !has_failed[fd])
		return;
	place = place_of(fd, NULL, room, sizeof(room));
	if (!is_being_made(place) && !atomic_fetch_add(&board->flushed_again, 1))
		(void)snprintf(board->flushed_place, sizeof(board->flushed_place), "%s", place);
	errno = code;
}
