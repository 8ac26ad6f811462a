/*
 * What becomes of a shard's files at the provider, once it has ended. Its input is needed no more when its answers are on disk here (or
 * when there is no batch of it, for certain), its result files a while later: then they are strays (strays.h), by their ids, as far as
 * the provider's section says so.
 *
 * They are noted in the transaction that ends the shard: no crash lets one be forgotten, or deletes one before the answers are
 * on disk (G4). Collect has read them back by then; the merge only copies them into the order of the input, and a job of
 * many shards cannot wait for it where the provider keeps few files.
 */
#ifndef BATCHD_WORK_TIDY_H
#define BATCHD_WORK_TIDY_H

#include <stdbool.h>

struct pipeline;
struct shard;

/* For pipeline_shard_state: a shard is coming to this state. Any but an ended one is fine, and means nothing. */
void tidy_note_end(struct pipeline *pipeline, const struct shard *shard);

/*
 * Whether no batch needs the input of a shard any more, nor ever will: it has ended, and so has its batch, or it never had one. What is in
 * doubt, and what a person named, is left alone.
 */
bool tidy_is_input_free(const struct shard *shard);

#endif
