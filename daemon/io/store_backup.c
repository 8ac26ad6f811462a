/* A copy of the store as it was at one moment, made a few pages at a time beside all other work. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

#define PAGES_A_STEP 64

/*
 * The copy is read through a connection of its own, which holds one moment of the database while the store goes on: a writer
 * never waits for it, and nothing has to be copied twice. Its log cannot begin anew meanwhile, so it grows by what is
 * written while the copy is made.
 */
struct store_copy {
	struct store source;
	struct store target;
	sqlite3_backup *backup;
	int64_t now;
};

static int open_one(struct store *side, const char *path, int flags, struct error *err)
{
	int code = sqlite3_open_v2(path, &side->db, flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);

	if (code == SQLITE_OK)
		return 0;
	return error_set(err, store_sql_errno(code), "cannot open %s: %s", path, sqlite3_errmsg(side->db));
}

static int open_both(struct store_copy *copy, const char *from, const char *to, struct error *err)
{
	int64_t ignored;
	int r = open_one(&copy->source, from, SQLITE_OPEN_READONLY, err);

	if (!r)
		r = open_one(&copy->target, to, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, err);
	/* The first read is what takes hold of the moment. */
	if (!r)
		r = store_sql_execute(&copy->source, "PRAGMA cache_size = -1024; BEGIN", err);
	if (!r)
		r = store_sql_pragma(&copy->source, "SELECT count(*) FROM meta", &ignored, err);
	/* Nobody but us ever sees the file before it is whole, and it need not outlive us. */
	if (!r)
		r = store_sql_execute(&copy->target,
				      "PRAGMA journal_mode = OFF; PRAGMA synchronous = OFF; PRAGMA cache_size = -1024",
				      err);
	return r;
}

/* In the copy, which is in the journal mode of its source until here: so it is one file and no more. */
static int stamp(struct store_copy *copy, struct error *err)
{
	auto_free char *sql = xasprintf("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = DELETE; BEGIN IMMEDIATE;"
					"INSERT INTO meta (name, value) VALUES ('copied_at', %" PRId64 ") "
					"ON CONFLICT (name) DO UPDATE SET value = excluded.value; COMMIT",
					copy->now);

	return store_sql_execute(&copy->target, sql, err);
}

static int finish(struct store_copy *copy, struct error *err)
{
	int code = sqlite3_backup_finish(take(copy->backup));
	int r = code == SQLITE_OK ? stamp(copy, err) : error_set(err, store_sql_errno(code), "%s", sqlite3_errstr(code));

	(void)sqlite3_close(take(copy->source.db));
	code = sqlite3_close(take(copy->target.db));
	if (!r && code != SQLITE_OK)
		r = error_set(err, store_sql_errno(code), "%s", sqlite3_errstr(code));
	return r;
}

int store_copy_new(struct store *store, const char *path, int64_t now, struct store_copy **ret_copy, struct error *err)
{
	struct store_copy *copy = xcalloc(1, sizeof(*copy));
	int r = open_both(copy, sqlite3_db_filename(store->db, "main"), path, err);

	copy->now = now;
	if (!r) {
		copy->backup = sqlite3_backup_init(copy->target.db, "main", copy->source.db, "main");
		if (!copy->backup)
			r = error_set(err, store_sql_errno(sqlite3_errcode(copy->target.db)), "%s",
				      sqlite3_errmsg(copy->target.db));
	}
	if (r) {
		error_prefix(err, "cannot copy the store");
		store_copy_free(copy);
		return r;
	}
	*ret_copy = copy;
	return 0;
}

int store_copy_step(struct store_copy *copy, struct error *err)
{
	int code = sqlite3_backup_step(copy->backup, PAGES_A_STEP);
	int r;

	if (code == SQLITE_OK || code == SQLITE_BUSY || code == SQLITE_LOCKED)
		return 1;
	r = code == SQLITE_DONE ? finish(copy, err) :
				  error_set(err, store_sql_errno(code), "%s", sqlite3_errstr(code));
	if (r)
		error_prefix(err, "cannot copy the store");
	return r;
}

int64_t store_copy_bytes(struct store_copy *copy)
{
	return store_bytes(&copy->source);
}

void store_copy_free(struct store_copy *copy)
{
	if (!copy)
		return;
	(void)sqlite3_backup_finish(copy->backup);
	(void)sqlite3_close(copy->source.db);
	(void)sqlite3_close(copy->target.db);
	free(copy);
}
