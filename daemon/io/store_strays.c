/* The store's verbs about files that a provider may have and nobody needs. */
#include <errno.h>
#include <stddef.h>
#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

/* In the order of the columns in store_sql.c. */
static const struct store_field fields[] = {
	{ offsetof(struct store_stray, provider), STORE_TEXT },	  { offsetof(struct store_stray, shard), STORE_INTEGER },
	{ offsetof(struct store_stray, name), STORE_TEXT },	  { offsetof(struct store_stray, file_id), STORE_TEXT },
	{ offsetof(struct store_stray, bytes), STORE_INTEGER },	  { offsetof(struct store_stray, sent_at), STORE_INTEGER },
	{ offsetof(struct store_stray, due_at), STORE_INTEGER }, { offsetof(struct store_stray, tries), STORE_INTEGER },
	{ offsetof(struct store_stray, kind), STORE_ENUM },
};

/* Whether a bound statement gives a row: true or false, or a negative errno. */
static int has_row(struct store *store, sqlite3_stmt *statement)
{
	int r = store_sql_step(store, statement);

	if (r == 1)
		(void)sqlite3_reset(statement);
	return r;
}

static void run_with_number(struct store *store, enum sql which, int64_t number)
{
	sqlite3_stmt *statement = store_sql_write(store, which);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, number);
	store_sql_run(store, statement);
}

void store_stray_release(struct store_stray *stray)
{
	free(stray->provider);
	free(stray->name);
	free(stray->file_id);
	*stray = (struct store_stray){ 0 };
}

int64_t store_stray_add(struct store *store, const struct store_stray *stray)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_STRAY_ADD);

	if (!statement)
		return 0;
	store_sql_bind_fields(statement, 1, fields, ARRAY_SIZE(fields), stray);
	store_sql_run(store, statement);
	return store->failure ? 0 : sqlite3_last_insert_rowid(store->db);
}

void store_stray_save(struct store *store, const struct store_stray *stray)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_STRAY_SAVE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, stray->id);
	(void)sqlite3_bind_int64(statement, 2, stray->due_at);
	(void)sqlite3_bind_int64(statement, 3, stray->tries);
	store_sql_run(store, statement);
}

void store_stray_remove(struct store *store, int64_t stray)
{
	run_with_number(store, SQL_STRAY_REMOVE, stray);
}

int store_stray_is_named(struct store *store, int64_t shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_STRAY_NAMED);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, shard);
	return has_row(store, statement);
}

void store_stray_forget(struct store *store, int64_t shard)
{
	run_with_number(store, SQL_STRAY_FORGET, shard);
}

int store_stray_due(struct store *store, const char *provider, bool is_named, int64_t now, size_t limit,
		    void (*visit)(const struct store_stray *stray, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_STRAY_DUE);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int(statement, 2, is_named);
	(void)sqlite3_bind_int64(statement, 3, now);
	(void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)limit);
	while ((r = store_sql_step(store, statement)) == 1) {
		auto_store_stray stray = {
			.id = sqlite3_column_int64(statement, 0),
			.is_early = sqlite3_column_int(statement, 1) != 0,
		};

		store_sql_read_fields(statement, 2, fields, ARRAY_SIZE(fields), &stray);
		visit(&stray, context);
	}
	return r;
}

int store_shard_marked(struct store *store, const char *marker, int64_t *ret_shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_MARKED);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, marker);
	return store_sql_integers(store, statement, 1, &ret_shard);
}

int store_stray_next_due(struct store *store, int64_t now, int64_t *ret_at)
{
	sqlite3_stmt *statement = store_sql(store, SQL_STRAY_NEXT_DUE);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, now);
	return store_sql_integers(store, statement, 1, &ret_at);
}

int store_stray_is_used(struct store *store, const char *file_id)
{
	sqlite3_stmt *statement = store_sql(store, SQL_STRAY_USED);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, file_id);
	return has_row(store, statement);
}

int store_stray_is_needed(struct store *store, const char *file_id)
{
	sqlite3_stmt *statement = store_sql(store, SQL_STRAY_NEEDED);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, file_id);
	return has_row(store, statement);
}

int store_stray_is_known(struct store *store, const char *provider, const char *file_id)
{
	sqlite3_stmt *statement = store_sql(store, SQL_STRAY_KNOWN);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	store_sql_bind_text(statement, 2, file_id);
	return has_row(store, statement);
}
