/*
 * Looks for shards that wait for a provider that cannot be sent to for longer than its move_after allows, or that has gone from the
 * configuration, and lets them move on (work/move). A walk takes as many turns as it needs, a few shards at a time; without such a
 * provider it costs next to nothing.
 */
#ifndef BATCHD_WORK_MOVER_H
#define BATCHD_WORK_MOVER_H

#include <stdint.h>

struct mover;
struct pipeline;
struct providers;
struct store;

/* All must outlive it. */
struct mover *mover_new(struct store *store, struct providers *providers, struct pipeline *pipeline);
/* NULL is fine. */
void mover_free(struct mover *mover);

/* Goes on for a little. Returns in how many milliseconds it wants to be run again, at the latest. */
int64_t mover_run(struct mover *mover, int64_t now);

#endif
