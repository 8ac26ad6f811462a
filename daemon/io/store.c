#include "daemon/io/store.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/store_sql.h"

/* Marks a database as ours: "btcd". */
#define APPLICATION_ID 0x62746364

/* A reader waits so long for one that brings the log of the database in order after a crash. */
#define READER_PATIENCE_MS 5000

/* clang-format off */
static const struct {
	int code; /* primary SQLite result code */
	int number;
} errnos[] = {
	{ SQLITE_FULL,     -ENOSPC  },
	{ SQLITE_IOERR,    -EIO     },
	{ SQLITE_NOMEM,    -ENOMEM  },
	{ SQLITE_READONLY, -EROFS   },
	{ SQLITE_CANTOPEN, -EACCES  },
	{ SQLITE_PERM,     -EACCES  },
	{ SQLITE_CORRUPT,  -EUCLEAN },
	{ SQLITE_NOTADB,   -EUCLEAN },
	{ SQLITE_BUSY,     -EBUSY   },
	{ SQLITE_LOCKED,   -EBUSY   },
};
/* clang-format on */

/* The last error of the kernel for the database's file (SQLITE_FCNTL_FILE_POINTER) or its log's (..._JOURNAL_POINTER). */
static int kernel_errno(struct store *store, int which)
{
	sqlite3_file *file = NULL;
	int number = 0;

	(void)sqlite3_file_control(store->db, "main", which, &file);
	if (file && file->pMethods)
		(void)file->pMethods->xFileControl(file, SQLITE_FCNTL_LAST_ERRNO, &number);
	return number;
}

/* SQLite knows a full disk, but takes a quota that is used up for a disk that fails. */
static int errno_of(struct store *store, int code)
{
	if (sqlite3_extended_errcode(store->db) == SQLITE_IOERR_WRITE &&
	    (kernel_errno(store, SQLITE_FCNTL_FILE_POINTER) == EDQUOT ||
	     kernel_errno(store, SQLITE_FCNTL_JOURNAL_POINTER) == EDQUOT))
		return -ENOSPC;
	return store_sql_errno(code);
}

/* The close would flush again what could not be flushed, and the kernel forgets that error. */
static void heed_failure(struct store *store, int code)
{
	if ((code & 0xff) == SQLITE_IOERR)
		(void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
}

void store_sql_spoil(struct store *store, int code)
{
	heed_failure(store, code);
	if (store->failure)
		return;
	store->failure = errno_of(store, code);
	(void)snprintf(store->failure_text, sizeof(store->failure_text), "%s",
		       sqlite3_errmsg(store->db));
}

int store_sql_errno(int code)
{
	for (size_t i = 0; i < ARRAY_SIZE(errnos); i++)
		if (errnos[i].code == (code & 0xff))
			return errnos[i].number;
	return -EIO;
}

sqlite3_stmt *store_sql(struct store *store, enum sql which)
{
	sqlite3_stmt **statement = &store->statements[which];
	int code;

	if (!*statement) {
		code = sqlite3_prepare_v3(store->db, store_sql_text(which), -1,
					  SQLITE_PREPARE_PERSISTENT, statement, NULL);
		if (code != SQLITE_OK) {
			store->failed_reads++;
			store_sql_spoil(store, code);
			return NULL;
		}
	}
	return *statement;
}

sqlite3_stmt *store_sql_write(struct store *store, enum sql which)
{
	if (store->failure)
		return NULL;
	if (!store->is_open) {
		sqlite3_stmt *begin = store_sql(store, SQL_BEGIN);

		if (!begin)
			return NULL;
		store_sql_run(store, begin);
		if (store->failure)
			return NULL;
		store->is_open = true;
	}
	return store_sql(store, which);
}

void store_sql_run(struct store *store, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code != SQLITE_DONE && code != SQLITE_ROW)
		store_sql_spoil(store, code);
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
}

int store_sql_step(struct store *store, sqlite3_stmt *statement)
{
	int code = sqlite3_step(statement);

	if (code == SQLITE_ROW)
		return 1;
	(void)sqlite3_reset(statement);
	(void)sqlite3_clear_bindings(statement);
	if (code == SQLITE_DONE)
		return 0;
	/* SQLite may have rolled back because of it; later writes must not be commits of their own. */
	if (store->is_open && sqlite3_get_autocommit(store->db))
		store_sql_spoil(store, code);
	store->failed_reads++;
	log_error("cannot read the store", log_text("WHY", sqlite3_errmsg(store->db)));
	return store_sql_errno(code);
}

int store_sql_integers(struct store *store, sqlite3_stmt *statement, int count, int64_t *const *ret_integers)
{
	int r = store_sql_step(store, statement);

	if (r != 1)
		return r ? r : -ENOENT;
	for (int i = 0; i < count; i++)
		if (ret_integers[i])
			*ret_integers[i] = sqlite3_column_int64(statement, i);
	(void)sqlite3_reset(statement);
	return 0;
}

void store_sql_bind_text(sqlite3_stmt *statement, int index, const char *text)
{
	if (text)
		(void)sqlite3_bind_text(statement, index, text, -1, SQLITE_STATIC);
	else
		(void)sqlite3_bind_null(statement, index);
}

const char *store_sql_peek(sqlite3_stmt *statement, int column)
{
	bool is_null = sqlite3_column_type(statement, column) == SQLITE_NULL;
	const char *text = (const char *)sqlite3_column_text(statement, column);

	/* Without memory to end it with a zero there is no text either. */
	if (!text && !is_null)
		alloc_give_up();
	return text;
}

char *store_sql_text_of(sqlite3_stmt *statement, int column)
{
	return xstrdup(store_sql_peek(statement, column));
}

char *store_sql_bytes_of(sqlite3_stmt *statement, int column, size_t *ret_size)
{
	const void *bytes = sqlite3_column_blob(statement, column);
	size_t size = (size_t)sqlite3_column_bytes(statement, column);

	*ret_size = size;
	return xmemdup0(bytes, size);
}

void store_sql_bind_fields(sqlite3_stmt *statement, int index, const struct store_field *fields,
			   size_t count, const void *record)
{
	for (size_t i = 0; i < count; i++) {
		const char *member = (const char *)record + fields[i].at;
		int place = index + (int)i;

		switch (fields[i].form) {
		case STORE_INTEGER:
			(void)sqlite3_bind_int64(statement, place, *(const int64_t *)(const void *)member);
			break;
		case STORE_ENUM:
			(void)sqlite3_bind_int(statement, place, (int)*(const unsigned *)(const void *)member);
			break;
		case STORE_BOOL:
			(void)sqlite3_bind_int(statement, place, *(const bool *)member);
			break;
		case STORE_TEXT:
			store_sql_bind_text(statement, place, *(char *const *)(const void *)member);
			break;
		}
	}
}

void store_sql_read_fields(sqlite3_stmt *statement, int column, const struct store_field *fields,
			   size_t count, void *record)
{
	for (size_t i = 0; i < count; i++) {
		char *member = (char *)record + fields[i].at;
		int place = column + (int)i;

		switch (fields[i].form) {
		case STORE_INTEGER:
			*(int64_t *)(void *)member = sqlite3_column_int64(statement, place);
			break;
		case STORE_ENUM:
			*(unsigned *)(void *)member = (unsigned)sqlite3_column_int(statement, place);
			break;
		case STORE_BOOL:
			*(bool *)member = sqlite3_column_int(statement, place) != 0;
			break;
		case STORE_TEXT:
			*(char **)(void *)member = store_sql_text_of(statement, place);
			break;
		}
	}
}

int store_sql_execute(struct store *store, const char *sql, struct error *err)
{
	int code = sqlite3_exec(store->db, sql, NULL, NULL, NULL);

	if (code == SQLITE_OK)
		return 0;
	heed_failure(store, code);
	return error_set(err, store_sql_errno(code), "%s", sqlite3_errmsg(store->db));
}

int store_sql_pragma(struct store *store, const char *sql, int64_t *ret_number, struct error *err)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

	if (code == SQLITE_OK) {
		code = sqlite3_step(statement);
		if (code == SQLITE_ROW)
			*ret_number = sqlite3_column_int64(statement, 0);
	}
	(void)sqlite3_finalize(statement);
	if (code == SQLITE_ROW)
		return 0;
	return error_set(err, store_sql_errno(code), "%s", sqlite3_errmsg(store->db));
}

static int migrate_once(struct store *store, size_t version, struct error *err)
{
	auto_free char *stamp = xasprintf("PRAGMA user_version = %zu; PRAGMA application_id = %d", version + 1,
					  APPLICATION_ID);
	int r = store_sql_execute(store, "BEGIN IMMEDIATE", err);

	if (!r)
		r = store_sql_execute(store, store_sql_migration(version), err);
	if (!r)
		r = store_sql_execute(store, stamp, err);
	if (!r)
		r = store_sql_execute(store, "COMMIT", err);
	if (r)
		(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	return r;
}

static int64_t newest_version(void)
{
	int64_t newest = 0;

	while (store_sql_migration((size_t)newest))
		newest++;
	return newest;
}

static int migrate(struct store *store, struct error *err)
{
	int64_t version = 0, application = 0, schema = 0, newest;
	int r = store_sql_pragma(store, "PRAGMA user_version", &version, err);

	if (!r)
		r = store_sql_pragma(store, "PRAGMA application_id", &application, err);
	if (!r)
		r = store_sql_pragma(store, "PRAGMA schema_version", &schema, err);
	if (r)
		return r;
	newest = newest_version();
	/* Only an empty file is nobody's. */
	if ((version > 0 || schema > 0) && application != APPLICATION_ID)
		return error_set(err, -EUCLEAN, "it is a database, but not one of batchd");
	if (version > newest)
		return error_set(err, -EPROTO,
				 "it is of version %" PRId64 ", this batchd knows up to %" PRId64
				 "; nothing was changed",
				 version, newest);
	store->is_new = version == 0;
	for (; !r && version < newest; version++)
		r = migrate_once(store, (size_t)version, err);
	return r;
}

/* 0: it is read; 1: there is none; or -errno. */
static int read_id_key(struct store *store, struct error *err)
{
	sqlite3_stmt *statement = store_sql(store, SQL_META_GET);
	int r;

	if (!statement)
		return store_commit(store, err);
	store_sql_bind_text(statement, 1, "id_key");
	r = store_sql_step(store, statement);
	if (r < 0)
		return error_set(err, r, "%s", sqlite3_errmsg(store->db));
	if (r == 0)
		return error_set(err, 1, "it has no key of its ids");
	store->id_key = (uint64_t)sqlite3_column_int64(statement, 0);
	(void)sqlite3_reset(statement);
	return 0;
}

/* A key that cannot be read is not one that is missing: with another no id would be found again. */
static int load_id_key(struct store *store, uint64_t random, struct error *err)
{
	sqlite3_stmt *statement;
	int r = read_id_key(store, err);

	if (r <= 0)
		return r;
	/* A start may have died before it had one; nothing was accepted then. */
	if (store_event_newest(store))
		return error_set(err, -EUCLEAN, "it has no key of its ids");
	store->id_key = random;
	statement = store_sql_write(store, SQL_META_SET);
	if (statement) {
		store_sql_bind_text(statement, 1, "id_key");
		(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)random);
		store_sql_run(store, statement);
	}
	return store_commit(store, err);
}

/* What a process before us wrote, and died before it flushed it, is read like all the rest and would be told: so it is flushed first. */
static int flush_log(struct store *store, struct error *err)
{
	int code = sqlite3_wal_checkpoint_v2(store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);

	if (code == SQLITE_OK)
		return 0;
	heed_failure(store, code);
	return error_set(err, store_sql_errno(code), "%s", sqlite3_errmsg(store->db));
}

/* All statements, now: one that does not fit the tables is damage of theirs, and better found here than in the middle of something. */
static int prepare_all(struct store *store, struct error *err)
{
	for (size_t i = 0; i < SQL_COUNT; i++) {
		int code;

		if (store_sql(store, (enum sql)i))
			continue;
		code = sqlite3_errcode(store->db) == SQLITE_ERROR ? -EUCLEAN : store->failure;
		store->failure = 0;
		return error_set(err, code, "%s", store->failure_text);
	}
	return 0;
}

static int prepare(struct store *store, const char *path, uint64_t random, struct error *err)
{
	int code = sqlite3_open_v2(path, &store->db,
				   SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX |
					   SQLITE_OPEN_EXRESCODE,
				   NULL);
	int r;

	if (code != SQLITE_OK)
		return error_set(err, store_sql_errno(code), "%s",
				 store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code));
	/* SQLite has read nothing yet, and would not mind. */
	r = store_log_check(path, err);
	if (r)
		return r;
	/* The version is read before anything is written: a newer store stays untouched. */
	r = migrate(store, err);
	if (!r)
		r = store_sql_execute(store,
				      "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;"
				      "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA trusted_schema = OFF",
				      err);
	if (!r)
		r = flush_log(store, err);
	if (!r)
		r = store_queue_watch(store, err);
	if (!r)
		r = prepare_all(store, err);
	if (r)
		return r;
	store_mark_open(store, path);
	return load_id_key(store, random, err);
}

/* A reader changes nothing: what is older must be brought up to date by a start first. */
static int prepare_to_read(struct store *store, const char *path, struct error *err)
{
	int code = sqlite3_open_v2(path, &store->db,
				   SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
	int64_t version = 0, application = 0;
	int r;

	if (code != SQLITE_OK)
		return error_set(err, access(path, F_OK) < 0 ? -errno : store_sql_errno(code), "%s",
				 store->db ? sqlite3_errmsg(store->db) : sqlite3_errstr(code));
	(void)sqlite3_busy_timeout(store->db, READER_PATIENCE_MS);
	r = store_sql_pragma(store, "PRAGMA user_version", &version, err);
	if (!r)
		r = store_sql_pragma(store, "PRAGMA application_id", &application, err);
	if (r)
		return r;
	if (application != APPLICATION_ID)
		return error_set(err, -EUCLEAN, "it is not a store of batchd");
	if (version != newest_version())
		return error_set(err, -EPROTO, "it is of version %" PRId64 ", this batchd knows %" PRId64, version,
				 newest_version());
	return store_sql_execute(store,
				 "PRAGMA temp_store = MEMORY; PRAGMA cache_size = -8192; PRAGMA trusted_schema = OFF",
				 err);
}

static struct store *store_new(void)
{
	struct store *store = xcalloc(1, sizeof(*store));

	store->mark_fd = -1;
	store->log_fd = -1;
	return store;
}

int store_open_to_read(const char *path, struct store **ret_store, struct error *err)
{
	struct store *store = store_new();
	int r = prepare_to_read(store, path, err);

	if (!r)
		r = read_id_key(store, err);
	if (r) {
		error_prefix(err, "cannot open the store %s", path);
		store_close(store);
		return r == 1 ? -EUCLEAN : r;
	}
	*ret_store = store;
	return 0;
}

int store_look_begin(struct store *store)
{
	return store_sql_execute(store, "BEGIN", NULL);
}

void store_look_end(struct store *store)
{
	(void)store_sql_execute(store, "COMMIT", NULL);
}

int store_open(const char *path, uint64_t random, struct store **ret_store, struct error *err)
{
	struct store *store = store_new();
	int r = prepare(store, path, random, err);

	if (r) {
		error_prefix(err, "cannot open the store %s", path);
		store_close(store);
		return r;
	}
	*ret_store = store;
	return 0;
}

void store_close(struct store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < SQL_COUNT; i++)
		(void)sqlite3_finalize(store->statements[i]);
	store_mark_close(store);
	(void)sqlite3_close(store->db);
	free(store->waiters);
	free(store);
}

/* Commits what is open, or rolls it back if a write failed. */
static int end_transaction(struct store *store, struct error *err)
{
	int result = store->failure;

	if (!result && store->is_open) {
		store_sql_run(store, store_sql(store, SQL_COMMIT));
		result = store->failure;
	}
	if (result) {
		error_set(err, result, "the store cannot be written: %s", store->failure_text);
		/* SQLite may have rolled back by itself; then this one fails, which is fine. */
		if (!sqlite3_get_autocommit(store->db))
			(void)sqlite3_exec(store->db, "ROLLBACK", NULL, NULL, NULL);
	}
	store->is_open = false;
	store->failure = 0;
	return result;
}

int store_commit(struct store *store, struct error *err)
{
	int result = end_transaction(store, err);
	struct store_waiter *waiters = store->waiters;
	size_t count = store->waiter_count;

	store->failed_commits += result != 0;
	/* A callback may wait for the next commit, so the list is taken away first. */
	store->waiters = NULL;
	store->waiter_count = 0;
	store->waiter_room = 0;
	for (size_t i = 0; i < count; i++)
		waiters[i].after(result, waiters[i].context);
	free(waiters);
	return result;
}

int64_t store_failed_reads(const struct store *store)
{
	return store->failed_reads;
}

int64_t store_failed_commits(const struct store *store)
{
	return store->failed_commits;
}

bool store_is_dirty(const struct store *store)
{
	return store->is_open || store->failure;
}

void store_after_commit(struct store *store, void (*after)(int result, void *context), void *context)
{
	if (store->waiter_count == store->waiter_room) {
		store->waiter_room = store->waiter_room ? store->waiter_room * 2 : 16;
		store->waiters = xreallocarray(store->waiters, store->waiter_room,
					       sizeof(*store->waiters));
	}
	store->waiters[store->waiter_count++] = (struct store_waiter){ after, context };
}

bool store_is_new(struct store *store)
{
	return store->is_new;
}

uint64_t store_id_key(const struct store *store)
{
	return store->id_key;
}
