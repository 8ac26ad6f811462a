#include "tests/crash/older.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include <sqlite3.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/store_sql.h"

static bool execute(sqlite3 *db, const char *sql)
{
	char *why = NULL;
	bool is_done = sqlite3_exec(db, sql, NULL, NULL, &why) == SQLITE_OK;

	if (!is_done)
		(void)fprintf(stderr, "an older store: %s: %.200s\n", why, sql);
	sqlite3_free(why);
	return is_done;
}

/* All rows of a table, as far as both schemas have the column. */
static bool copy_table(sqlite3 *db, const char *table)
{
	auto_free char *query = xasprintf("SELECT group_concat(name) FROM pragma_table_info('%s')", table);
	auto_free char *copy = NULL;
	sqlite3_stmt *columns = NULL;

	if (sqlite3_prepare_v2(db, query, -1, &columns, NULL) == SQLITE_OK && sqlite3_step(columns) == SQLITE_ROW)
		copy = xasprintf("INSERT INTO main.%s (%s) SELECT %s FROM newer.%s", table,
				 (const char *)sqlite3_column_text(columns, 0),
				 (const char *)sqlite3_column_text(columns, 0), table);
	(void)sqlite3_finalize(columns);
	return copy && execute(db, copy);
}

static bool copy_tables(sqlite3 *db)
{
	sqlite3_stmt *tables = NULL;
	bool is_done = sqlite3_prepare_v2(db, "SELECT name FROM main.sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite_%'",
					  -1, &tables, NULL) == SQLITE_OK;

	while (is_done && sqlite3_step(tables) == SQLITE_ROW)
		is_done = copy_table(db, (const char *)sqlite3_column_text(tables, 0));
	(void)sqlite3_finalize(tables);
	return is_done && execute(db, "DELETE FROM main.sqlite_sequence;"
				      "INSERT INTO main.sqlite_sequence SELECT * FROM newer.sqlite_sequence");
}

static bool rewrite(sqlite3 *db, const char *newer, size_t version)
{
	auto_free char *attach = xasprintf("ATTACH '%s' AS newer; PRAGMA foreign_keys = OFF", newer);
	auto_free char *stamp = xasprintf("PRAGMA application_id = %d; PRAGMA user_version = %zu", 0x62746364, version);

	for (size_t i = 0; i < version; i++)
		if (!execute(db, store_sql_migration(i)))
			return false;
	return execute(db, attach) && execute(db, "BEGIN") && copy_tables(db) && execute(db, "COMMIT") &&
	       execute(db, "DETACH newer") && execute(db, stamp) && execute(db, "PRAGMA journal_mode = WAL");
}

int older_store(const char *path, size_t version)
{
	auto_free char *newer = xasprintf("%s.newer", path);
	auto_free char *wal = xasprintf("%s-wal", path);
	auto_free char *newer_wal = xasprintf("%s.newer-wal", path);
	auto_free char *index = xasprintf("%s-shm", path);
	auto_free char *mark = xasprintf("%s-mark", path);
	auto_free char *newer_index = xasprintf("%s.newer-shm", path);
	sqlite3 *db = NULL;
	bool is_done;

	/* What is known of a log that goes elsewhere must not be taken for the new one's. */
	(void)remove(index);
	(void)remove(mark);
	(void)rename(wal, newer_wal);
	if (rename(path, newer) < 0)
		return -1;
	is_done = sqlite3_open(path, &db) == SQLITE_OK && rewrite(db, newer, version);
	(void)sqlite3_close(db);
	(void)remove(newer);
	(void)remove(newer_wal);
	(void)remove(newer_index);
	return is_done ? 0 : -1;
}
