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
/*
 * Opens a store to look at it, beside a daemon that works on it or not; only what reads works then. Errors: -ENOENT there is
 * none, -EPROTO it is not of this version, -EUCLEAN not a store or damaged, -EACCES, -EIO.
 */
int store_open_to_read(const char *path, struct store **ret_store, struct error *err);
/* What is read in between is of one moment. Of a store that was opened to read. */
int store_look_begin(struct store *store);
void store_look_end(struct store *store);

/* Rolls back what was not committed; runs no callback. NULL is fine. */
void store_close(struct store *store);

/*
 * Ends the turn: commits what was written, or rolls it back if a write failed; then runs what store_after_commit
 * collected, in order, with the result; they may write, which belongs to the next turn. Returns 0 or
 * a negative errno (-ENOSPC, -EIO, -ENOMEM, ...).
 */
int store_commit(struct store *store, struct error *err);
/* How many commits have failed so far: what was written then is not there, and may be tried again when there is room. */
int64_t store_failed_commits(const struct store *store);
/* How many reads have failed so far: what was not seen then may be seen the next time. */
int64_t store_failed_reads(const struct store *store);
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
/* The number of the shard that drew a marker. -ENOENT, or -EIO. */
int store_shard_marked(struct store *store, const char *marker, int64_t *ret_shard);
/* Shards of a job by number, after number, at most limit. */
int store_shard_list(struct store *store, int64_t job, int64_t after, size_t limit,
		     void (*visit)(const struct shard *shard, void *context), void *context);
/* How many shards a job has, and how many of them have not ended; both may be NULL. */
int store_shard_count(struct store *store, int64_t job, int64_t *ret_all, int64_t *ret_open);
/* Sums of remote_completed and remote_failed over shards that are not collected: progress before the end. */
int store_shard_progress(struct store *store, int64_t job, int64_t *ret_completed, int64_t *ret_failed);
/* The shard that owns a batch of a provider; -ENOENT when none does. What an UNCERTAIN one claims is not its own. */
int store_shard_owner(struct store *store, const char *provider, const char *batch_id, int64_t *ret_shard);
/* A shard other than this one that has not ended and goes under an uploaded file of a provider; -ENOENT when none does. */
int store_shard_file_owner(struct store *store, const char *provider, const char *file_id, int64_t shard,
			   int64_t *ret_owner);
/* Shards of a provider that are CREATED with a batch made at or after since, at most limit. */
int store_shard_live(struct store *store, const char *provider, int64_t since, size_t limit,
		     void (*visit)(const struct shard *shard, void *context), void *context);
/* Shards a provider has work of: UPLOADED with an intent, or CREATED. */
int store_shard_in_flight(struct store *store, const char *provider, int64_t *ret_count);

/* --- the queue of those that wait for a place at a provider: store_queue.c --- */

/* Shards that wait in one line: of one provider, for one model, of one priority and owner. */
struct store_line {
	char *model; /* owned by whoever asked */
	int64_t priority;
	int64_t uid;
};
/*
 * Counts every change, committed or not, of who waits, of what is under way and of what was learned. Two calls with the same answer have
 * nothing between them that could let anybody go who could not go before, but for the time.
 */
int64_t store_queue_version(const struct store *store);
/*
 * The next line in which anybody waits: the highest priority first, and among equals by falling uid and model; after NULL: the first.
 * -ENOENT: there is none.
 */
int store_queue_next(struct store *store, const char *provider, const struct store_line *after,
		     struct store_line *ret_line);
/*
 * The first shard of a line, by job and number; the caller releases. -ENOENT: there is none. -EUCLEAN: what is known of it is damaged;
 * it left the line then, due at now, so that whoever takes it up holds it.
 */
int store_queue_head(struct store *store, const char *provider, const struct store_line *line, int64_t now,
		     struct shard *ret_shard);
/* What is wanted of a shard. */
struct store_size {
	int64_t most_bytes, most_requests;
};
/* The first of the next few shards behind (job, number) in a line that is not larger. As above, without the damage. */
int store_queue_small(struct store *store, const char *provider, const struct store_line *line, int64_t job,
		      int64_t number, const struct store_size *size, struct shard *ret_shard);
/* The last shard of a job in a line. As above. */
int store_queue_last(struct store *store, const char *provider, const struct store_line *line, int64_t job,
		     struct shard *ret_shard);
/* How many stand before a waiting shard in its own line; counted up to most. */
int store_queue_ahead(struct store *store, int64_t shard, int64_t most, int64_t *ret_count);
/* How many wait for a place at a provider; counted up to most. */
int store_queue_length(struct store *store, const char *provider, int64_t most, int64_t *ret_count);
/* The first shard of a job of which nothing is open but what waits; the caller releases. -ENOENT: it is not such a job. */
int store_queue_first(struct store *store, int64_t job, struct shard *ret_shard);
/* The next shard of a job behind number that waits in no line, though nothing of it can have been created; the same. */
int store_queue_placed(struct store *store, int64_t job, int64_t number, struct shard *ret_shard);
/* Parks those of a job that wait; and the way back. */
void store_queue_park(struct store *store, int64_t job);
void store_queue_release(struct store *store, int64_t job);
/* The priority of all shards of a job that have not ended. */
void store_queue_prioritize(struct store *store, int64_t job, int64_t priority);

/* --- the order of jobs, and what they may use up: store_order.c --- */

/* Makes the VALID jobs due at now that wait for the end of this one. */
void store_job_wake_after(struct store *store, int64_t job, int64_t now);
/*
 * Calls visit for jobs whose deadline is at or before now, that are neither cancelled nor ended, nor had their last shard end; earliest
 * first, at most limit.
 */
int store_deadline_due(struct store *store, int64_t now, size_t limit, void (*visit)(int64_t job, void *context),
		       void *context);
/* Moves the deadlines of those that are not cancelled nor ended by so many milliseconds. */
void store_deadline_shift(struct store *store, int64_t by_ms);

/* What a user has in jobs that have not ended; it is kept true by the database itself. */
struct store_outstanding {
	int64_t jobs;
	int64_t requests; /* of those whose lines were checked */
	int64_t bytes;	  /* of their inputs */
};
/* Nothing is zeros. */
int store_outstanding(struct store *store, int64_t uid, struct store_outstanding *ret_outstanding);

/* Adds to what a job spent, or takes from it. */
void store_job_spend(struct store *store, int64_t job, int64_t tokens, int64_t cost);
/* The same of a user on a day (days since 1970, UTC). */
void store_spending_add(struct store *store, int64_t uid, int64_t day, int64_t tokens, int64_t cost);
int store_spending_get(struct store *store, int64_t uid, int64_t day, int64_t *ret_tokens, int64_t *ret_cost);

/* What the answers of a job's group used so far, against what was estimated for those requests. */
struct store_ratio {
	int64_t estimated, input_tokens, output_tokens;
};
void store_group_learn(struct store *store, int64_t job, const char *model, const char *url,
		       const struct store_ratio *more);
/* -ENOENT: the job has no such group. */
int store_group_learned(struct store *store, int64_t job, const char *model, const char *url,
			struct store_ratio *ret_ratio);
/* The next provider, by name, that a shard is to be sent to of which no create may have left; after "": the first. The caller frees; NULL: none. */
char *store_unsent_provider(struct store *store, const char *after);
/* The next such shard of a provider, by job and number, behind (*job, *number), which are moved on. -ENOENT: there is none. */
int store_unsent_next(struct store *store, const char *provider, int64_t *job, int64_t *number, int64_t *ret_shard);

/* What is under way at a provider for a model and an owner; it is kept true by the database itself. */
struct store_flight {
	const char *model;
	int64_t uid;
	int64_t batches;  /* shards that were admitted and have not ended there */
	int64_t unsent;	  /* of those: on their way to be created */
	int64_t requests;
	int64_t tokens;	  /* reserved */
};
/* By model and user. */
int store_flight(struct store *store, const char *provider,
		 void (*visit)(const struct store_flight *flight, void *context), void *context);

/* What a provider taught us, by name: its limits, how long its batches take. */
struct store_learned {
	char *model; /* "": of the provider */
	char *name;
	int64_t value;
	char *words; /* the provider's, or what the value needs besides; NULL: none */
	int64_t at;  /* Unix milliseconds */
};
/* -ENOENT: nothing. words of the result are the caller's; model and name are not filled in. */
int store_learned_get(struct store *store, const char *provider, const char *model, const char *name,
		      struct store_learned *ret_learned);
void store_learned_set(struct store *store, const char *provider, const struct store_learned *learned);
void store_learned_remove(struct store *store, const char *provider, const char *model, const char *name);
/* All of a provider, by model and name. */
int store_learned_list(struct store *store, const char *provider,
		       void (*visit)(const struct store_learned *learned, void *context), void *context);

/* --- batches that are looked at, many with one call: store_polls.c --- */

/* How many shards of a provider are CREATED. */
int store_polls_count(struct store *store, const char *provider, int64_t *ret_count);
/* The numbers of those whose batch was made before before. */
int store_polls_before(struct store *store, const char *provider, int64_t before,
		       void (*visit)(int64_t shard, void *context), void *context);
/*
 * Of those that are due at now, whose batch was made at or after since and is to be polled, and nothing else: all become due
 * at until. Returns how many, or a negative errno.
 */
int store_polls_put_off(struct store *store, const char *provider, int64_t now, int64_t since, int64_t until);
/*
 * Of those whose batch was made before before and that are due later than within_ms from now, at most limit become due within that time,
 * each at a moment of its own. Returns how many, or a negative errno.
 */
int store_polls_pull(struct store *store, const char *provider, int64_t now, int64_t within_ms, int64_t before,
		     size_t limit);
/* Writes what a provider told of the batch of a CREATED shard: status, counts, since when; why it waits and when it is due. */
void store_polls_note(struct store *store, const struct shard *shard);

/* Shards of a job that have not ended, of one provider, model and number of digits of their requests. */
struct store_under_way {
	const char *provider;
	const char *model;
	int64_t digits;
	int64_t count;
	int64_t batch_created_at; /* of the youngest */
	bool is_any_unsent;	  /* one of them has no batch, or none that is known */
	bool is_any_created;
};
int store_shard_under_way(struct store *store, int64_t job,
			  void (*visit)(const struct store_under_way *group, void *context), void *context);

/* Tokens of a model that a job used, as its answers tell, and those estimated for what was sent. */
struct store_usage {
	const char *model;
	const char *provider;
	int64_t requests; /* in answers that count */
	int64_t input_tokens, output_tokens;
	int64_t estimated_tokens; /* of the input, when it was sent */
};
/* What the collected shards of a job used, a model at a time, by name, and of that a provider at a time. */
int store_shard_usage(struct store *store, int64_t job,
		      void (*visit)(const struct store_usage *usage, void *context), void *context);
/*
 * The first shard of the job of like that is CUT and due after after, of the model, url, provider and attempt of like, whose upload did
 * not fail yet, and with redone up to most_redone; -ENOENT when there is none.
 */
int store_shard_waiting(struct store *store, const struct shard *like, int64_t most_redone, int64_t after,
			struct shard *ret_shard);
/*
 * Shards of the job of like, of its model, url and provider and of its attempt at most, that go on by themselves: neither ended, nor
 * waiting for a person, nor CUT and due after after.
 */
int store_shard_busy(struct store *store, const struct shard *like, int64_t after, int64_t *ret_count);
/* Shards of a job that are held until a person has spoken; *ret_asked: those of them that wait for a word (SHARD_WORD_ASKED). */
int store_shard_held(struct store *store, int64_t job, int64_t *ret_count, int64_t *ret_asked);
/* Gives those that wait for one a person's word, and makes all of them due at now. */
void store_shard_speak(struct store *store, int64_t job, enum shard_word word, int64_t now);

/* Calls visit for the shards of a job that are UNCERTAIN, by number, at most limit. */
int store_shard_uncertain(struct store *store, int64_t job, size_t limit,
			  void (*visit)(const struct shard *shard, void *context), void *context);
/*
 * Gives an UNCERTAIN shard a person's word and makes it due at now. batch_id: what the word names, or NULL; a claim, for the shard
 * owns the batch only when it is CREATED.
 */
void store_shard_settle(struct store *store, int64_t shard, enum shard_word word, const char *batch_id, int64_t now);
/*
 * Calls visit for the shards of a job that gave their rows to others without a batch, though one may yet turn out to have been created;
 * newest first, at most limit.
 */
int store_shard_kin(struct store *store, int64_t job, size_t limit,
		    void (*visit)(const struct shard *shard, void *context), void *context);

/*
 * The shard that tells best why its job goes on, of those under way: one that nothing will wake by itself, else the first one with words,
 * else the first. The caller releases. -ENOENT: there is none.
 */
int store_shard_foremost(struct store *store, int64_t job, struct shard *ret_shard);
/* Makes all shards of a job that have a due time, or wait for a person, due at now. */
void store_shard_poke(struct store *store, int64_t job, int64_t now);

/* --- what is due --- */
struct store_due {
	int64_t job;
	int64_t shard; /* 0: a step of the job itself */
	int64_t due_at;
	enum shard_state state; /* of the shard */
	const char *provider;	/* its, until visit returns; NULL where it is a step of the job, or has nothing to fetch */
};
/*
 * Calls visit for what is due at or before now, earliest first, at most limit: all but uploads and fetches. Of those few may run at once,
 * so they are asked for apart, of one provider or (NULL) of all: those that wait for a place shall not hide those that need none.
 */
int store_due(struct store *store, int64_t now, size_t limit,
	      void (*visit)(const struct store_due *due, void *context), void *context);
int store_due_transfers(struct store *store, const char *provider, int64_t now, size_t limit,
			void (*visit)(const struct store_due *due, void *context), void *context);
/* What was due is so no more, for what is known of it cannot be read (-EUCLEAN): a person must look. */
void store_due_hold(struct store *store, const struct store_due *due, const char *why);
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
	bool is_empty;	    /* its bytes are gone; it stands here because a job that ended names it as its input */
	uint64_t digest;    /* hash_digest of its bytes; 0: not known */
};
void store_file_release(struct store_file *file);
#define auto_store_file __attribute__((cleanup(store_file_release))) struct store_file

int64_t store_file_add(struct store *store, const struct store_file *file);
int store_file_get(struct store *store, int64_t file, struct store_file *ret_file);
/* Hides a file. */
void store_file_delete(struct store *store, int64_t file);
/* Hides a file for good, and forgets the bytes that the store has of it: it stands for a name alone. */
void store_file_empty(struct store *store, int64_t file);
/* Calls visit for files that had expired at now, that have bytes, and that are the input of no job that goes on; at most limit. */
int store_file_expired(struct store *store, int64_t now, size_t limit,
		       void (*visit)(const struct store_file *file, void *context), void *context);
/* Forgets a file, with the bytes that the store has of it. */
void store_file_remove(struct store *store, int64_t file);
/* Whether it is the input of a job; then its bytes must stay. */
bool store_file_is_needed(struct store *store, int64_t file);
/* Files of uid (-1: anybody's) that are not hidden nor expired at now, of a purpose (NULL: any), beyond after (0: from the start). */
int store_file_list(struct store *store, int64_t uid, const char *purpose, bool is_ascending, int64_t after,
		    int64_t now, size_t limit, void (*visit)(const struct store_file *file, void *context),
		    void *context);
/*
 * All files beyond after, hidden ones too, at most limit. kept: how many bytes the store itself has of it; -1: none, they are in the
 * spool.
 */
int store_file_walk(struct store *store, int64_t after, size_t limit,
		    void (*visit)(const struct store_file *file, int64_t kept, void *context), void *context);
/* Bytes that are small enough to live in the store: of a file, or of a job's record called name. */
void store_file_put(struct store *store, int64_t file, const void *bytes, size_t size);
void store_record_put(struct store *store, int64_t job, const char *name, const void *bytes, size_t size);
/* A copy of them, terminated; the caller frees. -ENOENT when they are not in the store. */
int store_file_bytes(struct store *store, int64_t file, char **ret_bytes, size_t *ret_size);
int store_record_bytes(struct store *store, int64_t job, const char *name, char **ret_bytes, size_t *ret_size);
/* Whether the store has a record of a job. */
bool store_has_record(struct store *store, int64_t job, const char *name);
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

/* --- deaths: how often a step ended the daemon --- */
/* Counts one more of a step of a shard (its number; 0: of the job itself). Returns how many there are; 0: there is no such job. */
int64_t store_death_add(struct store *store, int64_t job, int64_t shard, const char *step);
int64_t store_death_count(struct store *store, int64_t job, int64_t shard, const char *step);
/* Steps of all jobs that ever did, and were not forgotten. */
int64_t store_death_total(struct store *store);
/* Forgets those of all steps of a shard; -1: of the whole job. */
void store_death_forget(struct store *store, int64_t job, int64_t shard);

/* --- strays: files that a provider may have and nobody needs --- */
/* Numbers are on disk. */
enum store_stray_kind {
	STRAY_UNUSED = 0, /* no batch was made of it: of an upload whose answer was lost, or that was done again */
	STRAY_INPUT = 1,  /* of a shard that has ended */
	STRAY_RESULT = 2, /* of a shard whose answers are here */
};
struct store_stray {
	int64_t id;
	char *provider;
	int64_t shard; /* whose rows they are files of; it may be gone with its job */
	char *name;    /* as it was uploaded */
	char *file_id; /* NULL: not known; it is found by its name */
	int64_t bytes; /* as sent */
	int64_t sent_at; /* no file of it is older */
	int64_t due_at;
	int64_t tries;
	enum store_stray_kind kind;
	bool is_early; /* told by store_stray_due: the shard has not ended, and may yet use it */
};
void store_stray_release(struct store_stray *stray);
#define auto_store_stray __attribute__((cleanup(store_stray_release))) struct store_stray

/* Adds one (its id is ignored) and returns its number; 0 when the turn is spoiled. */
int64_t store_stray_add(struct store *store, const struct store_stray *stray);
/* Writes due_at and tries. */
void store_stray_save(struct store *store, const struct store_stray *stray);
void store_stray_remove(struct store *store, int64_t stray);
/* Whether a shard has one without file_id: true or false, or a negative errno. */
int store_stray_is_named(struct store *store, int64_t shard);
/* Removes that one. */
void store_stray_forget(struct store *store, int64_t shard);
/* Those of a provider that are due at now, with or without file_id, earliest first, at most limit. */
int store_stray_due(struct store *store, const char *provider, bool is_named, int64_t now, size_t limit,
		    void (*visit)(const struct store_stray *stray, void *context), void *context);
/* The earliest due time after now; 0 when there is none. */
int store_stray_next_due(struct store *store, int64_t now, int64_t *ret_at);
/* Whether a shard that was not dropped names the file as its own: true or false, or a negative errno. */
int store_stray_is_used(struct store *store, const char *file_id);

/*
 * Whether a shard may yet go under the file, or fetch it: one that has not ended, or that was cancelled while it could not be told whether
 * it has a batch. Of whatever provider, for two sections may be one account. true or false, or a negative errno.
 */
int store_stray_is_needed(struct store *store, const char *file_id);
/* Whether a file of a provider is a stray already: true or false, or a negative errno. */
int store_stray_is_known(struct store *store, const char *provider, const char *file_id);

/* --- what was learned of providers --- */
/* Whether a provider's list ever failed to show a live batch of ours. */
bool store_list_failed(struct store *store, const char *provider);
void store_list_note_failure(struct store *store, const char *provider, int64_t now);
/* Whether a provider's list ever showed a batch, whosever. */
bool store_list_was_seen(struct store *store, const char *provider);
void store_list_note_seen(struct store *store, const char *provider, int64_t now);

/* A person's pause of a provider. */
struct store_pause {
	int64_t since; /* Unix milliseconds; 0: it is over */
	int64_t by;    /* uid */
	char *why;     /* the person's reason; NULL: none was given */
};
void store_pause_release(struct store_pause *pause);
#define auto_store_pause __attribute__((cleanup(store_pause_release))) struct store_pause

void store_pause_set(struct store *store, const char *provider, const struct store_pause *pause);
/* -ENOENT: nobody paused it. */
int store_pause_get(struct store *store, const char *provider, struct store_pause *ret_pause);
/* Makes the steps of a provider that wait due: the first at now, each next one spacing_ms later, none later than it was. */
void store_provider_poke(struct store *store, const char *provider, int64_t now, int64_t spacing_ms);
/* Batches created at a provider after since: how many in each minute, and when the last of those. */
int store_created_since(struct store *store, const char *provider, int64_t since,
			void (*visit)(int64_t at, int64_t count, void *context), void *context);

/* --- a restored copy --- */
/*
 * Before anything runs: if this store was copied from a running one (the copy says when, in meta copied_at), what the original did
 * after that is not known here. So every shard without a batch gets the intent of that moment, to be looked for before it is sent; numbers of
 * jobs and files that the original may have given since are left out; each open job has an event that says so. One
 * transaction, which is committed; once. ret_copied_at: Unix milliseconds; 0: it is no copy, or this was done before.
 */
int store_restore(struct store *store, int64_t now, int64_t *ret_copied_at, struct error *err);
/* When the copy was made that this store was restored from; 0: it is none. */
int64_t store_restored_from(struct store *store);

/* --- a copy of the store, while it is worked on: store_backup.c --- */

struct store_copy;
/*
 * Begins to copy the store as it stands on disk, without what this turn has written so far, to a new file at path. Whatever is
 * written later is not in the copy, whose meta "copied_at" is now: the moment it is of, in Unix milliseconds.
 */
int store_copy_new(struct store *store, const char *path, int64_t now, struct store_copy **ret_copy, struct error *err);
/* Copies pages, about 256 KiB of them. 1: there are more; 0: the copy is whole; -errno. */
int store_copy_step(struct store_copy *copy, struct error *err);
/* The size of what is copied. */
int64_t store_copy_bytes(struct store_copy *copy);
/* Leaves the file as it is. NULL is fine. */
void store_copy_free(struct store_copy *copy);

/* --- what cannot be true: store_check.c --- */

/* job, shard (its number): 0 where a finding is of none. */
struct store_finding {
	int64_t job;
	int64_t shard;
	const char *words; /* one sentence */
};
/*
 * Looks whether the database is whole: every page, row and index of it. Reads all of it in one go. 0, or a negative errno when it could
 * not be looked through, which was told as a finding too.
 */
int store_check_pages(struct store *store, void (*visit)(const struct store_finding *finding, void *context),
		      void *context);
/* Looks for rows that contradict themselves or each other: states without what they need, counts that do not add up. */
int store_check_rows(struct store *store, void (*visit)(const struct store_finding *finding, void *context),
		     void *context);
/*
 * Looks whether all that was committed is still in the log of the database at path: -EUCLEAN when it is not. store_open does so
 * itself. Beside a daemon at work it may be so for a moment.
 */
int store_log_check(const char *path, struct error *err);
/* The size of the database. */
int64_t store_bytes(struct store *store);

#endif
