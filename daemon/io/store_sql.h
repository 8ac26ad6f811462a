/*
 * Inside of the store: its SQL by name, its state, and the few functions that touch SQLite. Only
 * daemon/io/store*.c include this.
 */
#ifndef BATCHD_IO_STORE_SQL_H
#define BATCHD_IO_STORE_SQL_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct shard;

enum sql {
	SQL_BEGIN,
	SQL_COMMIT,
	SQL_ROLLBACK,
	SQL_META_GET,
	SQL_META_SET,
	SQL_JOB_ADD,
	SQL_JOB_SAVE,
	SQL_JOB_GET,
	SQL_JOB_LIST,
	SQL_JOB_LIST_ALL,
	SQL_JOB_COUNTS,
	SQL_JOB_COUNTS_ALL,
	SQL_GROUP_ADD,
	SQL_GROUP_LIST,
	SQL_SHARD_ADD,
	SQL_SHARD_SAVE,
	SQL_SHARD_GET,
	SQL_SHARD_MARKED,
	SQL_SHARD_LIST,
	SQL_SHARD_COUNT,
	SQL_SHARD_PROGRESS,
	SQL_SHARD_OWNER,
	SQL_SHARD_FILE_OWNER,
	SQL_SHARD_LIVE,
	SQL_SHARD_IN_FLIGHT,
	SQL_SHARD_USAGE,
	SQL_SHARD_WAITING,
	SQL_SHARD_BUSY,
	SQL_SHARD_HELD,
	SQL_SHARD_SPEAK,
	SQL_SHARD_UNCERTAIN,
	SQL_SHARD_SETTLE,
	SQL_SHARD_KIN,
	SQL_SHARD_FOREMOST,
	SQL_SHARD_POKE,
	SQL_DUE,
	SQL_DUE_TRANSFERS,
	SQL_NEXT_DUE,
	SQL_HOLD_JOB,
	SQL_HOLD_SHARD,
	SQL_PULL_JOBS,
	SQL_PULL_SHARDS,
	SQL_PULL_QUEUE,
	SQL_PULL_STRAYS,
	SQL_PULL_RESULTS,
	SQL_ABSENT_ANEW,
	SQL_POLLS_COUNT,
	SQL_POLLS_BEFORE,
	SQL_POLLS_DUE,
	SQL_POLLS_PUT_OFF,
	SQL_POLLS_PULL,
	SQL_POLLS_NOTE,
	SQL_SHARD_UNDER_WAY,
	SQL_QUEUE_NEXT,
	SQL_QUEUE_HEAD,
	SQL_QUEUE_SMALL,
	SQL_QUEUE_LAST,
	SQL_QUEUE_EXPEL,
	SQL_QUEUE_AHEAD,
	SQL_QUEUE_LENGTH,
	SQL_QUEUE_FIRST,
	SQL_QUEUE_PARK,
	SQL_QUEUE_RELEASE,
	SQL_QUEUE_PLACED,
	SQL_QUEUE_PRIORITY,
	SQL_UNSENT_PROVIDER,
	SQL_UNSENT_NEXT,
	SQL_FLIGHT,
	SQL_JOB_WAKE_AFTER,
	SQL_DEADLINE_DUE,
	SQL_DEADLINES_SHIFT,
	SQL_OUTSTANDING,
	SQL_JOB_SPEND,
	SQL_SPENDING_ADD,
	SQL_SPENDING_GET,
	SQL_GROUP_LEARN,
	SQL_GROUP_LEARNED,
	SQL_LEARNED_GET,
	SQL_LEARNED_SET,
	SQL_LEARNED_REMOVE,
	SQL_LEARNED_LIST,
	SQL_FILE_ADD,
	SQL_FILE_GET,
	SQL_FILE_DELETE,
	SQL_FILE_LIST_UP,
	SQL_FILE_LIST_UP_ALL,
	SQL_FILE_LIST_DOWN,
	SQL_FILE_LIST_DOWN_ALL,
	SQL_FILE_WALK,
	SQL_FILE_REMOVE,
	SQL_FILE_EXPIRED,
	SQL_FILE_EMPTY,
	SQL_FILE_DROP,
	SQL_FILE_NEEDED,
	SQL_FILE_PUT,
	SQL_FILE_BYTES,
	SQL_RECORD_PUT,
	SQL_RECORD_BYTES,
	SQL_RECORD_SIZE,
	SQL_RECORD_REMOVE,
	SQL_RECORD_CLEAR,
	SQL_EVENT_ADD,
	SQL_EVENT_LIST,
	SQL_EVENT_LAST,
	SQL_EVENT_NEWEST,
	SQL_DIGEST_GET,
	SQL_DIGEST_COUNT,
	SQL_DIGEST_PUT,
	SQL_DIGEST_LIST,
	SQL_KEY_ADD,
	SQL_KEY_GET,
	SQL_LIST_FAILED,
	SQL_LIST_NOTE_FAILURE,
	SQL_LIST_SEEN,
	SQL_LIST_NOTE_SEEN,
	SQL_PAUSE_SET,
	SQL_PAUSE_GET,
	SQL_PROVIDER_POKE,
	SQL_CREATED_SINCE,
	SQL_RESTORED_SHARDS,
	SQL_RESTORED_NUMBERS,
	SQL_RESTORED_FIRST_NUMBERS,
	SQL_RESTORED_EVENTS,
	SQL_DEATH_ADD,
	SQL_DEATH_COUNT,
	SQL_DEATH_TOTAL,
	SQL_DEATH_FORGET,
	SQL_STRAY_ADD,
	SQL_STRAY_SAVE,
	SQL_STRAY_REMOVE,
	SQL_STRAY_NAMED,
	SQL_STRAY_FORGET,
	SQL_STRAY_DUE,
	SQL_STRAY_NEXT_DUE,
	SQL_STRAY_USED,
	SQL_STRAY_NEEDED,
	SQL_STRAY_KNOWN,
	SQL_COUNT,
};

/* The text of a statement. */
const char *store_sql_text(enum sql which);

/* What a newer program does to an older store: step i leads from version i to i + 1. NULL after the last. */
const char *store_sql_migration(size_t version);

struct store_waiter {
	void (*after)(int result, void *context);
	void *context;
};

struct store {
	sqlite3 *db;
	sqlite3_stmt *statements[SQL_COUNT];
	bool is_new;
	bool is_open;	   /* a transaction is */
	int failure;	   /* negative errno of this turn's first failed write */
	char failure_text[256];
	struct store_waiter *waiters;
	size_t waiter_count;
	size_t waiter_room;
	uint64_t id_key;
	int64_t queue_version; /* store_queue.c */
	int64_t failed_commits;
	int64_t failed_reads;
	int mark_fd; /* store_mark.c; -1: none */
	int log_fd;
};

/* Begins to mark how far the log has come, after each commit; and the end of that, before the database is closed. */
void store_mark_open(struct store *store, const char *path);
void store_mark_close(struct store *store);

/* Begins to count the changes of who waits and of what is under way. Needs the tables. */
int store_queue_watch(struct store *store, struct error *err);

/* The negative errno for an SQLite result code. */
int store_sql_errno(int code);

/* Spoils the turn, with what an SQLite result code means; the first one counts. */
void store_sql_spoil(struct store *store, int code);
/* Runs statements without a value, of any number. */
int store_sql_execute(struct store *store, const char *sql, struct error *err);
/* A pragma that answers with one number. */
int store_sql_pragma(struct store *store, const char *sql, int64_t *ret_number, struct error *err);
/* A statement ready to bind, prepared once; NULL when even that failed (then the turn is spoiled). */
sqlite3_stmt *store_sql(struct store *store, enum sql which);
/* The same for one that writes: opens the turn's transaction first. NULL when the turn is spoiled. */
sqlite3_stmt *store_sql_write(struct store *store, enum sql which);
/* Runs a write to its end and resets it; a failure spoils the turn. */
void store_sql_run(struct store *store, sqlite3_stmt *statement);
/* 1: a row is there; 0: no more; negative errno. The last two reset the statement. */
int store_sql_step(struct store *store, sqlite3_stmt *statement);
/* The integers of a bound statement's one row; a place that is NULL is left out. -ENOENT: it has no row. */
int store_sql_integers(struct store *store, sqlite3_stmt *statement, int count, int64_t *const *ret_integers);
/* The one shard of a bound statement whose columns are its fields; the caller releases. -ENOENT: it has none; -EUCLEAN: it is damaged. */
int store_sql_shard(struct store *store, sqlite3_stmt *statement, struct shard *ret_shard);
/* Binds a text, or NULL. It must live until the statement ran. */
void store_sql_bind_text(sqlite3_stmt *statement, int index, const char *text);
/* A column's text, NULL for NULL; it lives until the statement goes on. */
const char *store_sql_peek(sqlite3_stmt *statement, int column);
/* A copy of it. The caller frees. */
char *store_sql_text_of(sqlite3_stmt *statement, int column);
/* A copy of a column's bytes, terminated. */
char *store_sql_bytes_of(sqlite3_stmt *statement, int column, size_t *ret_size);

/* A member of a struct that stands in a column: its place and its form. */
enum store_form { STORE_INTEGER, STORE_ENUM, STORE_BOOL, STORE_TEXT };
struct store_field {
	size_t at;
	enum store_form form;
};
/* Binds each field of a record in turn, from index on; and the way back, from column on. */
void store_sql_bind_fields(sqlite3_stmt *statement, int index, const struct store_field *fields,
			   size_t count, const void *record);
void store_sql_read_fields(sqlite3_stmt *statement, int column, const struct store_field *fields,
			   size_t count, void *record);

#endif
