#include "daemon/work/mover.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/provider.h"
#include "daemon/work/route.h"

/* Shards that are looked at in one turn. */
#define A_TURN 16
/* Steps under way beyond which none is moved: each move is one until its turn is committed. */
#define MOST_ACTIVE 64
/* Between two walks: what came to wait in between is found by the next. */
#define REST_MS (60 * 1000)
#define BUSY_MS 100

struct mover {
	struct store *store;
	struct providers *providers;
	struct pipeline *pipeline;
	uint64_t left;	    /* a bit for each provider that has been found one to be left, and is so still */
	int64_t rests_until; /* Unix milliseconds */
	/* Where the walk is. */
	bool is_walking;
	char *provider; /* NULL: at none yet */
	bool is_at_one; /* the shards of provider are walked over; else it is done */
	int64_t job, number;
};

_Static_assert(CONFIG_MAX_PROVIDERS <= 64, "a provider is a bit");

struct mover *mover_new(struct store *store, struct providers *providers, struct pipeline *pipeline)
{
	struct mover *mover = xcalloc(1, sizeof(*mover));

	mover->store = store;
	mover->providers = providers;
	mover->pipeline = pipeline;
	return mover;
}

void mover_free(struct mover *mover)
{
	if (!mover)
		return;
	free(mover->provider);
	free(mover);
}

/* Whether a provider has come to be one that is to be left. */
static bool look_around(struct mover *mover, int64_t now)
{
	uint64_t before = mover->left;
	struct provider *provider;

	mover->left = 0;
	for (size_t i = 0; (provider = providers_at(mover->providers, i)); i++)
		if (route_must_leave(provider, now))
			mover->left |= UINT64_C(1) << i;
	return mover->left & ~before;
}

/* Goes to the next provider that is to be left and has shards; false behind the last. */
static bool next_provider(struct mover *mover, int64_t now)
{
	do {
		char *next = store_unsent_provider(mover->store, mover->provider ? mover->provider : "");

		free(mover->provider);
		mover->provider = next;
	} while (mover->provider && !route_must_leave(providers_find(mover->providers, mover->provider), now));
	mover->is_at_one = mover->provider != NULL;
	mover->job = mover->number = 0;
	return mover->is_at_one;
}

static void end_walk(struct mover *mover, int64_t now)
{
	free(take(mover->provider));
	mover->is_walking = mover->is_at_one = false;
	mover->rests_until = now + REST_MS;
}

/* The next shard; false at the end of the walk. */
static bool step(struct mover *mover, int64_t now)
{
	int64_t shard;

	if (!mover->is_at_one && !next_provider(mover, now))
		return false;
	if (store_unsent_next(mover->store, mover->provider, &mover->job, &mover->number, &shard))
		mover->is_at_one = false;
	else
		pipeline_move(mover->pipeline, mover->job, shard);
	return true;
}

int64_t mover_run(struct mover *mover, int64_t now)
{
	bool is_news = look_around(mover, now);

	/* A rest that seems longer than it is: the clock was set back. */
	if (!mover->is_walking && !is_news && mover->rests_until > now && mover->rests_until <= now + REST_MS)
		return mover->rests_until - now;
	if (is_news || !mover->is_walking)
		end_walk(mover, now);
	mover->is_walking = true;
	for (int i = 0; i < A_TURN; i++) {
		if (pipeline_active(mover->pipeline) >= MOST_ACTIVE)
			return BUSY_MS;
		if (step(mover, now))
			continue;
		end_walk(mover, now);
		return REST_MS;
	}
	return 0;
}
