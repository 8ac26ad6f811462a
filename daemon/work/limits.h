/*
 * What a provider lets be enqueued of a model at once: by the configuration, or else by what it taught us. It is taught by refusals, which
 * may name the limit, and by the usage it reports, which tells how many tokens our bytes are. All of it is on disk (store_learned), by
 * these names:
 *	max_enqueued_tokens	the limit that a refusal named, with its words
 *	bytes_per_token		in thousandths, with the sums that it is made of
 *	full_until		Unix milliseconds: refused with nothing of ours in flight, so nothing is sent before that
 *	full_times		how often in a row
 *	full_batches		refused while so many of ours were in flight: no more until one has ended, and one was accepted
 */
#ifndef BATCHD_WORK_LIMITS_H
#define BATCHD_WORK_LIMITS_H

#include <stdbool.h>
#include <stdint.h>

struct config_provider;
struct load_limits;
struct provider;
struct shard;
struct store;

/* Batches that do not end would keep a queue full for ever: after so long one is tried nevertheless. */
#define LIMITS_FULL_LONGEST_MS (4 * 60 * 60 * 1000)

/* A shard of at most one part in so many of the limit lets others be under way while it ends. */
#define LIMITS_PARTS 4

struct limits {
	int64_t max_batches; /* of the model, at once; 0: no limit is known. So are the next two */
	int64_t max_tokens;
	int64_t max_requests;
	bool is_learned; /* max_tokens is, and not configured */
	int64_t most_tokens;   /* the smallest limit that counts for a shard by itself, the provider's own among them; 0: none */
	int64_t most_requests;
	int64_t ratio;	       /* bytes per token, in thousandths; 0: what a shard was estimated at counts */
	int64_t full_until;    /* 0: not full */
	int64_t full_batches;  /* the same */
	int64_t full_at;       /* when it was found to be so with full_batches in flight */
};
/* What counts now: what was learned in a time to come, before the clock was set back, does not. */
void limits_load(struct store *store, const struct config_provider *config, const char *model, int64_t now,
		 struct limits *ret_limits);

/* The tokens that a shard takes of the limit, as estimated now, a little on the safe side. */
int64_t limits_tokens(const struct limits *limits, const struct shard *shard);
/*
 * Whether a shard shall be taken apart, if there is no room for it: it alone would have most of what there is. An uploaded one is so only
 * when it could never be sent.
 */
bool limits_is_large(const struct limits *limits, const struct shard *shard);

/* What is put together for a batch of a model: as provider_limits has it, and so that several find room within the limit. */
void limits_of_batch(struct store *store, const struct provider *provider, const char *model,
		     struct load_limits *ret_limits);

/* What shall become of a shard that was refused for lack of room. */
enum limits_advice {
	LIMITS_WAIT,	 /* for its turn; what it waits for is on disk */
	LIMITS_HALVE,	 /* and wait */
	LIMITS_HOPELESS, /* one request that is more than the limit all by itself */
};
/* The provider has no room for a shard, in these words; it asked for such a wait (-1: for none). Learns from it. */
enum limits_advice limits_note_refusal(struct store *store, const struct config_provider *config, const struct shard *shard,
				       const char *words, int64_t retry_after_ms, int64_t now);
/* A batch that was created then was accepted: whatever was full before that is not so any more. */
void limits_note_accepted(struct store *store, const char *provider, const char *model, int64_t created_at);
/* A shard was collected: what its answers say they used corrects the estimates to come. */
void limits_note_usage(struct store *store, const struct shard *shard, int64_t now);

#endif
