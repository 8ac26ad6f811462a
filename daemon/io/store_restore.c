/* The store's verb about itself: what is to be done in a copy that somebody starts on. */
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

/* More jobs, and files, than anybody hands in between a copy and its restoring; a number may be lost, never given twice. */
#define NUMBERS_LEFT_OUT 10000

#define META_COPIED "copied_at"
#define META_RESTORED "restored_from"

/* A number that the store knows of itself; 0 where there is none. */
static int get_meta(struct store *store, const char *name, int64_t *ret_value)
{
	sqlite3_stmt *statement = store_sql(store, SQL_META_GET);
	int r;

	*ret_value = 0;
	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, name);
	r = store_sql_integers(store, statement, 1, &ret_value);
	return r == -ENOENT ? 0 : r;
}

static void set_meta(struct store *store, const char *name, int64_t value)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_META_SET);

	if (!statement)
		return;
	store_sql_bind_text(statement, 1, name);
	(void)sqlite3_bind_int64(statement, 2, value);
	store_sql_run(store, statement);
}

static void run_with(struct store *store, enum sql which, int64_t number)
{
	sqlite3_stmt *statement = store_sql_write(store, which);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, number);
	store_sql_run(store, statement);
}

static void tell_jobs(struct store *store, int64_t copied_at, int64_t now)
{
	time_t seconds = (time_t)(copied_at / 1000);
	auto_free char *words = NULL;
	sqlite3_stmt *statement;
	char when[32] = "?";
	struct tm parts;

	if (gmtime_r(&seconds, &parts))
		(void)strftime(when, sizeof(when), "%Y-%m-%dT%H:%M:%SZ", &parts);
	words = xasprintf("restored from a copy of %s; what was sent since is looked for before anything is sent", when);
	statement = store_sql_write(store, SQL_RESTORED_EVENTS);
	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, now);
	store_sql_bind_text(statement, 2, words);
	store_sql_run(store, statement);
}

int store_restore(struct store *store, int64_t now, int64_t *ret_copied_at, struct error *err)
{
	int64_t copied_at = 0;
	int r = get_meta(store, META_COPIED, &copied_at);

	if (r)
		return error_set(err, r, "the store does not tell whether it is a copy");
	if (copied_at > 0) {
		run_with(store, SQL_RESTORED_SHARDS, copied_at);
		run_with(store, SQL_RESTORED_NUMBERS, NUMBERS_LEFT_OUT);
		run_with(store, SQL_RESTORED_FIRST_NUMBERS, NUMBERS_LEFT_OUT);
		tell_jobs(store, copied_at, now);
		set_meta(store, META_RESTORED, copied_at);
		set_meta(store, META_COPIED, 0);
		r = store_commit(store, err);
		if (r)
			return r;
	}
	*ret_copied_at = copied_at > 0 ? copied_at : 0;
	return 0;
}

int64_t store_restored_from(struct store *store)
{
	int64_t copied_at = 0;

	/* What cannot be read is taken for no copy: the turn is spoiled by the same trouble. */
	(void)get_meta(store, META_RESTORED, &copied_at);
	return copied_at;
}
