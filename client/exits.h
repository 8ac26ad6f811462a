/*
 * The exit statuses of batchctl: a contract with scripts, told by "batchctl help exit-codes" and
 * by the manual.
 */
#ifndef BATCHD_CLIENT_EXITS_H
#define BATCHD_CLIENT_EXITS_H

#include <stddef.h>

enum exit_status {
	EXIT_DONE = 0,
	EXIT_OTHER = 1,
	EXIT_USAGE = 2,
	EXIT_ENDED = 3,
	EXIT_NO_JOB = 4,
	EXIT_SOME_FAILED = 5,
	EXIT_REFUSED = 6,
	EXIT_UNREACHABLE = 7,
	EXIT_NOT_FINISHED = 8,
	EXIT_INPUT = 65,
	EXIT_LATER = 75,
	EXIT_TIMEOUT = 124,
	EXIT_INTERRUPTED = 130,
};

struct exit_row {
	int status;
	const char *code; /* the member "error" of an error object, where the daemon gave none */
	const char *meaning;
};

/* The i-th row, worst first; NULL after the last. */
const struct exit_row *exits_row(size_t index);

/* The worse of two statuses: what a command tells that was given several ids. */
int exits_worse(int a, int b);

/* The code of a status; "other" for one that is not in the table. */
const char *exits_code(int status);

#endif
