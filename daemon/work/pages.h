/*
 * How far a provider's list is read: newest first, page by page, down to a time or to its end, past
 * all that servers do to a list: `after` ignored or repeated, has_more absent, another order, no times at all.
 */
#ifndef BATCHD_WORK_PAGES_H
#define BATCHD_WORK_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* All but horizon and is_one is 0 before the first page. */
struct pages {
	int64_t horizon; /* Unix milliseconds: what was created before is of no interest */
	bool is_one;	 /* a list that does not say that it has more has none, if it is short */
	char *after;	 /* id to go on after; NULL: from the start */
	int count;
	size_t on_page;
	int64_t created_before; /* when the object above it on the page was created */
	bool is_unordered;	/* one stood below an older one: what comes later may be young */
	bool is_past_horizon;
	bool is_at_end;
};

/* Before the objects of each page. */
void pages_begin(struct pages *pages);
/* For each object; created_at 0: not known. */
void pages_note(struct pages *pages, int64_t created_at);
/*
 * After the last one of a page: 1 another page is to be asked for, 0 the listing is complete, -1 it ends without being so. has_more
 * and last_id, which is taken over, are those of api_parse.h.
 */
int pages_end(struct pages *pages, int has_more, char *last_id);
/*
 * For a listing that was complete and cannot have been, because something is not there: true when it ended at the horizon; then another
 * page is to be asked for, and it goes on to the end of the list, whose order means nothing.
 */
bool pages_go_on(struct pages *pages);
void pages_release(struct pages *pages);

#endif
