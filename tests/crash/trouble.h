/*
 * Linked into batchd-killable and batchctl-killable: the ordinary programs, which die, or meet an error, at a call
 * of somebody's choice. calls.c and allocations.c define those calls; their definitions are found before the ones
 * of the C library, by the libraries as well (the program exports its symbols), so that the flushes of SQLite
 * count like our own. Who plans is the owner of a board (board.h), or the environment:
 *
 *	BATCHD_KILL_CALLS	the calls that count, by name, with commas between; none: nothing is counted
 *	BATCHD_KILL_AT		SIGKILL at the so manieth of them; 0: never, and all of them are written to the log
 *	BATCHD_KILL_AFTER	1: when the call has been done, but nobody knows its result; else just before it
 *	BATCHD_KILL_MATCH	a pattern (fnmatch): only calls whose file is like it count
 *	BATCHD_KILL_LOG		the file that gets a line for the call: its name and its file
 */
#ifndef BATCHD_TESTS_CRASH_TROUBLE_H
#define BATCHD_TESTS_CRASH_TROUBLE_H

#include <stdbool.h>

#include "tests/crash/board.h"

/* What a call meets, and the errno of DEED_FAIL. */
struct verdict {
	enum deed deed;
	int code;
};

/* A call that begins: path, or else fd, says which file it is about; both may be missing (-1, NULL). */
struct verdict trouble_begin(enum call call, int fd, const char *path, bool is_creating);
/* SIGKILL, to ourselves. */
void trouble_die(void) __attribute__((noreturn));
/* A loop's wait has returned. */
void trouble_woken(void);
/* A flush of fd failed, by the plan or by itself; it is closed; it is flushed again. */
void trouble_flush_failed(int fd);
void trouble_closed(int fd);
void trouble_flushed(int fd);
/* The fast answer for allocations, which may come before anything is set up. */
bool trouble_counts(enum call call);

#endif
