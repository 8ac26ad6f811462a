/*
 * The queue on disk: every SQL statement, the schema and its migrations. SQLite in WAL mode,
 * synchronous=FULL. The verbs are the domain's; a caller never sees SQL.
 *
 * One commit per turn of the loop: the first write of a turn opens a transaction, store_commit at
 * the turn's end closes it. Writes do not report errors one by one: the first failure (disk full, I/O error, no memory) spoils
 * the turn, later writes of it do nothing, and the commit reports it and rolls all back. So whoever
 * must tell somebody outside waits with store_after_commit, and is told how it went.
 */
#ifndef BATCHD_IO_STORE_H
#define BATCHD_IO_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/job.h"

struct error;
struct store;

/*
 * Opens or makes the store at path and brings its schema up to date. Errors: -EPROTO the store is of a newer version
 * (nothing is changed), -EUCLEAN not a store or damaged, -EACCES, -EROFS, -ENOSPC, -EIO. random is
 * asked once, for the instance's key of id hashes.
 */
int store_open(const char *path, uint64_t random, struct store **ret_store, struct error *err);
/* Rolls back what was not committed; runs no callback. NULL is fine. */
void store_close(struct store *store);

/*
 * Ends the turn: commits what was written, or rolls it back if a write failed; then runs what store_after_commit
 * collected, in order, with the result; they may write, which belongs to the next turn. Returns 0 or
 * a negative errno (-ENOSPC, -EIO, -ENOMEM, ...).
 */
int store_commit(struct store *store, struct error *err);
/* Whether this turn wrote something. */
bool store_is_dirty(const struct store *store);
/* Runs after(result, context) once, at the end of this turn, whether or not anything was written. */
void store_after_commit(struct store *store, void (*after)(int result, void *context), void *context);

/* Whether store_open made it, because there was none. */
bool store_is_new(struct store *store);

/* The key of this instance for hash_keyed of custom_ids. */
uint64_t store_id_key(const struct store *store);

/* --- jobs: strings of a job are copied in and out --- */

/* Adds a job (its id is ignored) and returns its number; 0 when the turn is spoiled. Numbers never return. */
int64_t store_job_add(struct store *store, const struct job *job);
/* Writes all that can change in a job. */
void store_job_save(struct store *store, const struct job *job);
/* Reads a job; the caller releases. -ENOENT, or -EIO. */
int store_job_get(struct store *store, int64_t job, struct job *ret_job);
/*
 * Calls visit for jobs with a number below before (0: from the newest), newest first, at most limit
 * of those whose state's bit (1 << state) is in states and whose owner is uid (-1: anybody's).
 */
int store_job_list(struct store *store, int64_t uid, unsigned states, int64_t before, size_t limit,
		   void (*visit)(const struct job *job, void *context), void *context);
/* How many jobs are in each state; uid -1: of anybody. */
int store_job_counts(struct store *store, int64_t uid, int64_t ret_counts[JOB_STATE_COUNT]);

/* --- groups: the (model, url) pairs of a job, numbered from 0 --- */
struct store_group {
	int64_t number;
	const char *model; /* as written in the input, between the quotes */
	const char *url;
	int64_t requests;
	int64_t bytes; /* on the wire */
};
void store_group_add(struct store *store, int64_t job, const struct store_group *group);
int store_group_list(struct store *store, int64_t job,
		     void (*visit)(const struct store_group *group, void *context), void *context);

/* --- shards --- */
int64_t store_shard_add(struct store *store, const struct shard *shard);
void store_shard_save(struct store *store, const struct shard *shard);
int store_shard_get(struct store *store, int64_t shard, struct shard *ret_shard);
/* Shards of a job by number, after number, at most limit. */
int store_shard_list(struct store *store, int64_t job, int64_t after, size_t limit,
		     void (*visit)(const struct shard *shard, void *context), void *context);
/* How many shards a job has, and how many of them have not ended; both may be NULL. */
int store_shard_count(struct store *store, int64_t job, int64_t *ret_all, int64_t *ret_open);
/* Sums of remote_completed and remote_failed over shards that are not collected: progress before the end. */
int store_shard_progress(struct store *store, int64_t job, int64_t *ret_completed, int64_t *ret_failed);
/* The shard that owns a batch of a provider; -ENOENT when none does. */
int store_shard_owner(struct store *store, const char *provider, const char *batch_id, int64_t *ret_shard);
/* Shards of a provider that are CREATED with a batch made at or after since, at most limit. */
int store_shard_live(struct store *store, const char *provider, int64_t since, size_t limit,
		     void (*visit)(const struct shard *shard, void *context), void *context);
/* Shards a provider has work of: UPLOADED with an intent, or CREATED. */
int store_shard_in_flight(struct store *store, const char *provider, int64_t *ret_count);

/* Tokens of a model that a job used, as its answers tell, and those estimated for what was sent. */
struct store_usage {
	const char *model;
	int64_t requests; /* in answers that count */
	int64_t input_tokens, output_tokens;
};
/* What the collected shards of a job used, a model at a time, by name. */
int store_shard_usage(struct store *store, int64_t job,
		      void (*visit)(const struct store_usage *usage, void *context), void *context);
/*
 * The first shard of a job that is CUT and due after after, of this model, url and attempt, whose upload did not fail yet, and with
 * redone up to most_redone; -ENOENT when there is none.
 */
int store_shard_waiting(struct store *store, int64_t job, const char *model, const char *url, int64_t attempt,
			int64_t most_redone, int64_t after, struct shard *ret_shard);
/*
 * Shards of a job, of this model and url and of attempt at most, that go on by themselves: neither ended, nor waiting for a person, nor
 * CUT and due after after.
 */
int store_shard_busy(struct store *store, int64_t job, const char *model, const char *url, int64_t attempt,
		     int64_t after, int64_t *ret_count);
/* Shards of a job that are FETCHED and not due at all: held until a person has spoken. */
int store_shard_held(struct store *store, int64_t job, int64_t *ret_count);
/* Gives them a person's word and makes them due at now. */
void store_shard_speak(struct store *store, int64_t job, enum shard_word word, int64_t now);

/* Why the first shard of a job that waits does so; NULL when none says. The caller frees. */
char *store_shard_reason(struct store *store, int64_t job, int64_t *ret_number);
/* Makes all shards of a job that have a due time, or wait for a person, due at now. */
void store_shard_poke(struct store *store, int64_t job, int64_t now);

/* --- what is due --- */
struct store_due {
	int64_t job;
	int64_t shard; /* 0: a step of the job itself */
	int64_t due_at;
};
/*
 * Calls visit for what is due at or before now, earliest first, at most limit: uploads and fetches, of which few may run at once, or
 * all the rest. They are asked for apart, so that those that wait for a place do not hide those that need none.
 */
int store_due(struct store *store, int64_t now, bool is_transfer, size_t limit,
	      void (*visit)(const struct store_due *due, void *context), void *context);
/* The earliest due time after now; 0 when there is none. */
int store_next_due(struct store *store, int64_t now, int64_t *ret_at);

/*
 * The wall clock was set, or may have been: what is due after beyond becomes due at now, and a batch that was once found absent counts
 * as found absent now.
 */
void store_clock_stepped(struct store *store, int64_t now, int64_t beyond);

/* --- files of the front door --- */
struct store_file {
	int64_t id;
	int64_t uid;
	char *purpose;
	char *name; /* file name as the user gave it; NULL: none */
	int64_t bytes;
	int64_t created_at;
	int64_t expires_at; /* 0: never */
	bool is_deleted;    /* hidden; its bytes live until no job needs them */
};
void store_file_release(struct store_file *file);
#define auto_store_file __attribute__((cleanup(store_file_release))) struct store_file

int64_t store_file_add(struct store *store, const struct store_file *file);
int store_file_get(struct store *store, int64_t file, struct store_file *ret_file);
/* Hides a file. */
void store_file_delete(struct store *store, int64_t file);
/* Forgets a file, with the bytes that the store has of it. */
void store_file_remove(struct store *store, int64_t file);
/* Whether it is the input of a job; then its bytes must stay. */
bool store_file_is_needed(struct store *store, int64_t file);
/* Files of uid (-1: anybody's) that are not hidden nor expired at now, of a purpose (NULL: any), beyond after (0: from the start). */
int store_file_list(struct store *store, int64_t uid, const char *purpose, bool is_ascending, int64_t after,
		    int64_t now, size_t limit, void (*visit)(const struct store_file *file, void *context),
		    void *context);
/* Bytes that are small enough to live in the store: of a file, or of a job's record called name. */
void store_file_put(struct store *store, int64_t file, const void *bytes, size_t size);
void store_record_put(struct store *store, int64_t job, const char *name, const void *bytes, size_t size);
/* A copy of them, terminated; the caller frees. -ENOENT when they are not in the store. */
int store_file_bytes(struct store *store, int64_t file, char **ret_bytes, size_t *ret_size);
int store_record_bytes(struct store *store, int64_t job, const char *name, char **ret_bytes, size_t *ret_size);
/* Forgets one record of a job, if the store has it. */
void store_record_remove(struct store *store, int64_t job, const char *name);
/* Forgets a job's records in the store (all but the results, which are files). */
void store_record_clear(struct store *store, int64_t job);

/* --- events: a job's history --- */
struct store_event {
	int64_t seq; /* counts over all jobs */
	int64_t job;
	int64_t shard; /* its number within the job; 0: none */
	int64_t at;
	const char *type;
	const char *level;
	const char *message;
	bool is_last;
};
int64_t store_event_add(struct store *store, const struct store_event *event);
int store_event_list(struct store *store, int64_t job, int64_t after, size_t limit,
		     void (*visit)(const struct store_event *event, void *context), void *context);
/* Number of the job's last event; 0: none. */
int64_t store_event_last(struct store *store, int64_t job);

/* Number of the last event of all jobs; 0: none. */
int64_t store_event_newest(struct store *store);

/* --- digest: a job's failures by what they say --- */
struct store_digest {
	const char *code;
	const char *gist;   /* the message without what differs from one to the next: with code, it tells them apart */
	const char *sample; /* one message as it came */
	int64_t count;
	int64_t rows[8]; /* the first few, from 0, ascending */
	size_t row_count;
};
/* Adds to what the job has of this code and gist. Beyond most distinct ones it adds to that of code "" and gist "". */
void store_digest_add(struct store *store, int64_t job, const struct store_digest *digest, size_t most);
/* Most frequent first. */
int store_digest_list(struct store *store, int64_t job, size_t limit,
		      void (*visit)(const struct store_digest *digest, void *context), void *context);

/* --- idempotency keys --- */
void store_key_add(struct store *store, int64_t uid, const char *key, const uint8_t digest[32], int64_t job,
		   int64_t now);
/* The job and digest a key stands for; -ENOENT. */
int store_key_get(struct store *store, int64_t uid, const char *key, uint8_t ret_digest[32], int64_t *ret_job);

/* --- what was learned of providers --- */
/* Whether a provider's list ever failed to show a live batch of ours. */
bool store_list_failed(struct store *store, const char *provider);
void store_list_note_failure(struct store *store, const char *provider, int64_t now);
/* Whether a provider's list ever showed a batch, whosever. */
bool store_list_was_seen(struct store *store, const char *provider);
void store_list_note_seen(struct store *store, const char *provider, int64_t now);

#endif
