/*
 * Inside of the strays: what is being done about those of one provider, one call at a time. strays.c says what is due and when; lane.c
 * deletes a file whose id is known; lane_list.c finds the ids of the others in the provider's list; orphans.c finds in it what was
 * missed. Only these include it.
 */
#ifndef BATCHD_WORK_LANE_H
#define BATCHD_WORK_LANE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/io/store.h"

struct api_request;
struct listing;
struct loop;
struct orphans;
struct pipeline;
struct provider;
struct strays;

/* Clocks differ, and a file may be stamped there a little before it was noted here. */
#define LANE_MARGIN_MS (10 * 60 * 1000)
/* Names that are looked for in one listing. */
#define LANE_MAX_NAMES 512

struct lane {
	struct strays *strays;
	struct loop *loop;
	struct store *store;
	struct pipeline *pipeline;
	struct provider *provider;
	struct api_request *request;
	struct listing *listing;   /* NULL: none is being read */
	struct store_stray target; /* is being deleted; id 0: none is */
	struct orphans *orphans;   /* NULL: none are being looked for */
	int64_t orphans_at;	   /* when they are next; Unix milliseconds */
	bool is_unable;		   /* the provider deletes no files, as it said since the start */
	bool is_settling;	   /* what was decided waits for the commit */
	int64_t rests_until_us;	   /* by the clock that never jumps */
	int64_t failures;	   /* in a row, of the provider or of a commit */
	bool is_failing;	   /* what is being settled is one of them */
};

/* Whether something is under way. */
bool lane_is_busy(const struct lane *lane);
/* Drops what is under way. */
void lane_drop(struct lane *lane);

/* Begins to delete the file of a stray with an id, which is taken. Returns whether something was begun, or decided. */
bool lane_delete(struct lane *lane, struct store_stray *stray);
/* Begins to look for the files of strays without one; all count of them are taken. */
void lane_list(struct lane *lane, struct store_stray *strays, size_t count);

/* --- how they end --- */

/* The last thing of every listing and deletion: what it decided is committed before the lane goes on. */
void lane_settle(struct lane *lane);
/* The provider does not do well: nothing else of it is tried for a while. */
void lane_rest(struct lane *lane, int64_t retry_after_ms);
/* The stray is due again later, or forgotten when that was its last try; why: for the log, never a provider's words. */
void lane_try_again(struct lane *lane, struct store_stray *stray, int64_t retry_after_ms, const char *why);
void lane_forget(struct lane *lane, const struct store_stray *stray, const char *why);

/* No call goes to the provider for so long. */
void lane_pause(struct lane *lane, int64_t wait_ms);
/* Between two calls: nobody waits for them, and others share the provider's rate limits. */
#define LANE_GAP_MS 1000

/* Of lane_list.c, for lane_drop. NULL is fine. */
void lane_listing_free(struct listing *listing);

#endif
