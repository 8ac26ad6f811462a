/* What several of the steps at the provider do alike. Inside of the pipeline. */
#ifndef BATCHD_WORK_REMOTE_H
#define BATCHD_WORK_REMOTE_H

#include <stdbool.h>
#include <stdint.h>

struct api_batch;
struct config_provider;
struct shard;
struct store;
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
/* The provider does not know the shard's batch: missed_at is since when, until it is known again. */
void remote_note_gone(struct shard *shard, int64_t now);
/* Whether that has lasted long enough, stuck_after, to give it up; much longer where no list proves that it is gone. */
bool remote_is_forgotten(const struct config_provider *config, const struct shard *shard, bool is_proved, int64_t now);
/* What is told of one that is stuck. The caller frees. */
char *remote_stuck_words(const struct config_provider *config, const struct api_batch *batch);
/* Whether a batch that is stuck is to be cancelled, and its requests sent again. */
bool remote_resends_stuck(const struct config_provider *config);
/* Whether the status says that the batch was taken up: then what was said of a full queue before it is over. */
void remote_note_accepted(struct store *store, const struct shard *shard, const struct api_batch *batch);

/*
 * Ends the task of a shard that the provider's queue had no room for, by the answer to a call or by what became of its batch: its rows wait
 * for their turn, with the file that is uploaded, or in halves. No failure, and no attempt. retry_after_ms: what was asked for; -1: nothing.
 */
void remote_finish_full(struct task *task, const char *words, const char *code, int64_t retry_after_ms);

#endif
