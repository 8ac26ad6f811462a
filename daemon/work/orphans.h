/*
 * Inside of the strays: inputs of shards that have ended which a provider still has, and which are no strays: of a store that was
 * restored from a copy, of deletions that failed for too long, of times when the configuration wanted none. Now and then
 * (sweep_files) the provider's list of files is read, a page at a time; what has a name of ours, of a marker that this very store
 * drew, for a shard that needs it no more, becomes a stray.
 *
 * Names of ours with another marker are another batchd's, which may use the same account: they are never touched.
 */
#ifndef BATCHD_WORK_ORPHANS_H
#define BATCHD_WORK_ORPHANS_H

#include <stdbool.h>

struct lane;
struct orphans;

/* For a new lane: when its provider's list was last read stands in the store. */
void orphans_init(struct lane *lane);
/* Goes on with a reading, if one is under way. Returns whether it is. */
bool orphans_are_read(struct lane *lane);
/* Begins one, if it is time. For a lane that has nothing else to do. */
void orphans_read(struct lane *lane);
/* For lane_drop. NULL is fine. */
void orphans_free(struct orphans *orphans);

#endif
