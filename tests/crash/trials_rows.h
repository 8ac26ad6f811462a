/*
 * All that may befall a job in a trial, as one numbered table of rows: the single faults of
 * faults.h, a few that are known to a world alone, and strokes, which are no fault of the provider:
 * a death, a clock that is set, a cancel, a request that gets lost on its way. A row strikes at its
 * nth occasion: the nth call of its kind, the nth turn, the nth callback.
 */
#ifndef BATCHD_TESTS_CRASH_TRIALS_ROWS_H
#define BATCHD_TESTS_CRASH_TRIALS_ROWS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The calls of the API. */
enum trial_call {
	TRIAL_UPLOAD,
	TRIAL_CREATE,
	TRIAL_RETRIEVE,
	TRIAL_LIST,
	TRIAL_CONTENT,
	TRIAL_CANCEL,
	TRIAL_FILES,
	TRIAL_DELETE,
	TRIAL_CALLS,
};

enum trial_moment {
	MOMENT_RULE,	 /* the provider's script knows */
	MOMENT_LEAVING,	 /* a call sets out */
	MOMENT_ARRIVAL,	 /* it was done there */
	MOMENT_ANSWER,	 /* our side has heard what became of it */
	MOMENT_TURN,
	MOMENT_CALLBACK, /* anything that runs by itself */
	MOMENT_REBIRTH,	 /* a callback after the first start that followed a death */
	MOMENT_COUNT,
};

enum trial_act {
	ACT_RULE,
	ACT_DIE,       /* at once; the turn's commit never comes */
	ACT_DIE_AFTER, /* the turn's commit */
	ACT_JUMP,      /* the clock is set */
	ACT_CANCEL,    /* the first job's owner wants its end */
	ACT_REFUSE,    /* there is no connection */
	ACT_LOSE,      /* the request never arrives */
	ACT_DELAY,     /* it arrives when nobody expects it any more */
};

struct trial_row {
	enum trial_moment moment;
	enum trial_act act;
	enum trial_call call; /* TRIAL_CALLS: none */
	int64_t jump_ms;
	char *name;
	char *rules;	/* of the script, at its nth occasion; NULL: none */
	unsigned story; /* enum fault_story */
	unsigned costs; /* enum fault_cost */
};

size_t trial_row_count(void);
/* Fills in row number row for its nth occasion; the caller releases. */
void trial_row_make(size_t row, int64_t nth, struct trial_row *ret_row);
void trial_row_release(struct trial_row *row);
#define auto_trial_row __attribute__((cleanup(trial_row_release))) struct trial_row

/* The number of the row of that name, or trial_row_count(). */
size_t trial_row_find(const char *name);
/* The kind of call by its request; TRIAL_CALLS: none of them. */
enum trial_call trial_call_of(const char *method, const char *path);

#endif
