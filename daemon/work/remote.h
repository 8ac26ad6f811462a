/* What several of the steps at the provider do alike. Inside of the pipeline. */
#ifndef BATCHD_WORK_REMOTE_H
#define BATCHD_WORK_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

struct api_batch;
struct config_provider;
struct shard;
struct task;

/* Tells of a status that nobody knows, when it is new: whatever it means, it is no end. */
void remote_tell_unknown(struct task *task, const struct api_batch *batch);

/* Takes over what moved in a batch since the last look; true if anything did. */
bool remote_note_progress(struct shard *shard, const struct api_batch *batch, int64_t now);
/* What a shard waits for whose batch has not ended. The caller frees. */
char *remote_wait_words(const struct api_batch *batch);

/* Whether nothing moved in a batch for longer than the config allows; and whether that was told. */
bool remote_is_stuck(const struct config_provider *config, const struct shard *shard, int64_t now);
bool remote_is_stuck_told(const struct shard *shard);
/* What is told then. The caller frees. */
char *remote_stuck_words(const struct config_provider *config, const struct api_batch *batch);
/* Whether a batch that is stuck is to be cancelled, and its requests sent again. */
bool remote_resends_stuck(const struct config_provider *config);

/*
 * How long a queue that is full at the provider is left alone, when that was found so many times in
 * a row: a minute at first, an hour at most.
 */
int64_t remote_full_wait(struct task *task, int64_t times);

#endif
