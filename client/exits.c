#include "client/exits.h"

#include "daemon/base/cleanup.h"

/* The order is the meaning: the first row that occurred is what several ids end with. */
/* clang-format off */
static const struct exit_row rows[] = {
	{ EXIT_INTERRUPTED,  "interrupted",   "interrupted (SIGINT); a job goes on" },
	{ EXIT_USAGE,        "usage",         "wrong usage" },
	{ EXIT_UNREACHABLE,  "unreachable",   "batchd cannot be reached, or does not answer" },
	{ EXIT_OTHER,        "other",         "a failure that has no number of its own" },
	{ EXIT_REFUSED,      "not_permitted", "not permitted: the socket, or a verb of operators" },
	{ EXIT_LATER,        "try_later",     "try again later: draining, queue full, disk low" },
	{ EXIT_INPUT,        "input_invalid", "the input is invalid" },
	{ EXIT_NO_JOB,       "no_such_job",   "no such job" },
	{ EXIT_TIMEOUT,      "timeout",       "the time of --timeout ran out" },
	{ EXIT_ENDED,        "job_ended",     "the job ended failed, expired or cancelled" },
	{ EXIT_SOME_FAILED,  "some_failed",   "the job completed, but some requests failed" },
	{ EXIT_NOT_FINISHED, "not_finished",  "the job is not finished yet" },
	{ EXIT_DONE,         "done",          "done; for wait: every request succeeded" },
};
/* clang-format on */

static size_t rank(int status)
{
	size_t other = 0;

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (rows[i].status == status)
			return i;
		if (rows[i].status == EXIT_OTHER)
			other = i;
	}
	return other;
}

const struct exit_row *exits_row(size_t index)
{
	return index < ARRAY_SIZE(rows) ? &rows[index] : NULL;
}

int exits_worse(int a, int b)
{
	return rank(b) < rank(a) ? b : a;
}

const char *exits_code(int status)
{
	return rows[rank(status)].code;
}
