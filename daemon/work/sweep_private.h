/* A sweep under way. Inside of sweep.c, which decides when and how far, and of sweep_page.c, which reads a page. */
#ifndef BATCHD_WORK_SWEEP_PRIVATE_H
#define BATCHD_WORK_SWEEP_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/work/pages.h"
#include "daemon/work/sweep.h"

struct api_answer;
struct api_request;
struct error;
struct loop_timer;
struct provider;

/* A batch that has more to be done for it than a note: what the list says of it, until there is room for its step. */
struct sweep_told {
	int64_t job, shard;
	char *text;
	size_t size;
};

struct sweep {
	struct sweeps *sweeps;
	struct provider *provider;

	/* Of the one under way. */
	bool is_reading;
	struct api_request *request; /* NULL: it waits until it may ask for the next page */
	struct pages pages;
	int64_t began_at, began_us;
	int64_t next_page_us;
	int64_t wanted; /* batches of ours that were under way when it began */
	struct sweep_page *read;
	size_t read_count;
	size_t objects; /* on all pages */
	size_t above;	/* of those: before the first one of the last sweep */
	bool is_met;	/* that one was seen */
	bool is_last;	/* no other page is to be read */
	bool is_complete; /* it was read to its end */
	char *first_id;
	int64_t dry; /* pages in a row with none of ours */
	int64_t *seen; /* a set of the numbers of the shards it showed; 0: a free place */
	size_t seen_count, seen_room;
	int64_t changes;
	struct sweep_told *told;
	size_t told_count, told_at, told_room;
	int64_t failures; /* calls in a row */

	/* What is known from the last one. */
	bool is_on; /* sweeps take the place of polls */
	char *top_id; /* the first one of its list; NULL: there was none */
	size_t planned; /* pages to be read; 0: it explores */
	int64_t explores_us;  /* when that is to be done again */
	int64_t shown_before; /* what was made before that it should have shown */
	int64_t lasted_ms;
	uint32_t quiet; /* sweeps in a row without a change */
	int64_t next_us, earliest_us;

	/* Why there are none. */
	int64_t rests_until_us;
	int64_t rests_ms;  /* how long, if it fails again */
	int64_t rests_from; /* so many batches were under way when it began to */
	bool is_told;
	bool is_returned; /* what was put off is due at its own pace again */
	int64_t return_before; /* of that: what was made before */
};

struct sweeps {
	struct loop *loop;
	struct store *store;
	struct pipeline *pipeline;
	struct loop_timer *timer;
	void (*on_wake)(void *context);
	void *context;
	struct sweep *list; /* one a provider */
	size_t count;
};

#define SWEEP_MAX_PAGES 1000

/* Whether the sweep under way, or the one that ends now, showed the batch of a shard. */
bool sweep_has_seen(const struct sweep *sweep, int64_t shard);
/* How long a batch that was shown is left alone, unless it is shown again. */
int64_t sweep_fallback_ms(const struct sweep *sweep);
/* Reads what stands on a page: 1 there is more, 0 that was all, -1 more cannot be had; -EBADMSG it is no list. */
int sweep_read_page(struct sweep *sweep, const struct api_answer *answer, int *ret_more, struct error *err);
/* Hands on what was told, as far as there is room. Returns whether nothing is left. */
bool sweep_hand_on(struct sweep *sweep);
/* Drops all that belongs to the sweep under way. */
void sweep_drop(struct sweep *sweep);

#endif
