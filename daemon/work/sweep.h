/*
 * One look at many batches: where a provider has ten and more of ours under way, its list is read, a hundred a page, newest first, in
 * place of one retrieve each. What stands there and has not changed costs nothing; what changed is written; what has ended goes through its
 * poll with the object of the list as the answer, so that nothing is asked twice.
 *
 * A list is a help and never needed. What a sweep shows becomes due again long after the next sweep will have shown it, so whatever
 * sweeps do not show (or do not any more) is due by itself, and is retrieved alone. A batch that no sweep can have shown yet waits for one.
 *
 * How far the list is read is learned from the sweep before: as many pages as make pages and retrieves of what stands behind them
 * fewest. The first one explores, and does not go on where that would cost more than it can save. A list that does not pay, or that cannot be
 * read, is left alone for minutes, and in the end for an hour each time. In memory alone: whoever starts anew explores anew.
 */
#ifndef BATCHD_WORK_SWEEP_H
#define BATCHD_WORK_SWEEP_H

#include <stddef.h>
#include <stdint.h>

struct loop;
struct pipeline;
struct providers;
struct store;
struct sweeps;

/* on_wake is called, never from within sweeps_run, when that has something to do. All of them must outlive it. */
struct sweeps *sweeps_new(struct loop *loop, struct store *store, struct providers *providers,
			  struct pipeline *pipeline, void (*on_wake)(void *context), void *context);
/* Drops what is under way. NULL is fine. */
void sweeps_free(struct sweeps *sweeps);
/* Before it is looked for what is due: puts off what sweeps will show, begins those that are due, goes on with those under way. */
void sweeps_run(struct sweeps *sweeps, int64_t now);

/* Pages of a list, by what stands on them. */
struct sweep_page {
	int32_t ours;	/* batches of ours that are under way */
	int64_t oldest; /* when the first made of them was; INT64_MAX: there is none */
};
/*
 * How many of these pages are to be read, where so many batches of ours are wanted and each that does not stand on them costs a call of its
 * own; 0: none.
 */
size_t sweep_plan(const struct sweep_page *pages, size_t count, int64_t wanted);

#endif
