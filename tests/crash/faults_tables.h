/* The tables behind faults.h. Rules are written with ' for ". */
#ifndef BATCHD_TESTS_CRASH_FAULTS_TABLES_H
#define BATCHD_TESTS_CRASH_FAULTS_TABLES_H

#include <stdbool.h>
#include <stddef.h>

#include "tests/crash/faults.h"

enum {
	ON_UPLOAD = 1,
	ON_CREATE = 2,
	ON_RETRIEVE = 4,
	ON_LIST = 8,
	ON_CONTENT = 16,
	ON_CANCEL = 32,
	ON_FILES = 64,
	ON_DELETE = 128,
	ON_ALL = 255,
};

/* A call, and how it comes to be made. */
struct strike {
	const char *name, *call;
	const char *when;    /* which of them the fault strikes */
	const char *refused;
	unsigned story;
	unsigned bit;	     /* in the calls of a happening */
	unsigned if_done;    /* what it costs when it was done, and the answer cannot be used */
};

/* What can happen to a call, whichever it is. */
struct happening {
	const char *name;
	unsigned calls;	    /* that it happens to */
	const char *action; /* of the rule; NULL: the connection is refused */
	bool is_done;	    /* the call was done, and its answer cannot be used */
	struct {
		unsigned calls, costs;
	} costs[2];	    /* beyond what every such call costs */
};

/* What is about objects, lists, rows, or several calls. */
struct oddity {
	const char *name, *call, *rules;
	unsigned story, costs;
};

extern const struct strike strikes[];
extern const size_t strike_count;
extern const struct happening happenings[];
extern const size_t happening_count;
extern const struct oddity oddities[];
extern const size_t oddity_count;

#endif
