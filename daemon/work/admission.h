/*
 * Who is sent next: of the shards that wait in the queue of each provider those are let go, one after the other, whose turn it is
 * (model/fairness) and for which the provider has room (work/limits). What was let go has its place (admitted_at, reserved_tokens) on
 * disk before anything of it leaves.
 *
 * No more are let go than can be sent now, and very few beyond: what waits in the queue can still be overtaken by whoever comes later and
 * has more right to go, what was let go cannot.
 */
#ifndef BATCHD_WORK_ADMISSION_H
#define BATCHD_WORK_ADMISSION_H

#include <stdbool.h>
#include <stdint.h>

struct admission;
struct providers;
struct shard;
struct store;

struct admission *admission_new(struct store *store, struct providers *providers);
/* NULL is fine. */
void admission_free(struct admission *admission);

/*
 * Lets go whoever may at now. It does nothing where nothing changed since the last time, and looks at a bounded number of lines, to go on
 * the next time. Returns when it wants to be called at the latest, whatever happens.
 */
int64_t admission_run(struct admission *admission, int64_t now);
/* Whether something changed since. */
bool admission_is_behind(const struct admission *admission);

/*
 * Why a shard that waits for its turn does so, as one phrase; the caller frees. *ret_until: Unix milliseconds, 0 where that is not known.
 * NULL: it does not wait for its turn.
 */
char *admission_why(struct store *store, struct providers *providers, const struct shard *shard, int64_t now,
		    int64_t *ret_until);

#endif
