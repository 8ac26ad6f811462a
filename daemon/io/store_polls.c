/* The store's verbs about batches that are looked at, many with one call. */
#include <errno.h>

#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

int store_polls_count(struct store *store, const char *provider, int64_t *ret_count)
{
	sqlite3_stmt *statement = store_sql(store, SQL_POLLS_COUNT);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	return store_sql_integers(store, statement, 1, &ret_count);
}

int store_polls_before(struct store *store, const char *provider, int64_t before,
		       void (*visit)(int64_t shard, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_POLLS_BEFORE);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, before);
	while ((r = store_sql_step(store, statement)) == 1)
		visit(sqlite3_column_int64(statement, 0), context);
	return r;
}

/* Runs a bound write; returns how many rows it changed, or why it did not. */
static int run_counted(struct store *store, sqlite3_stmt *statement)
{
	store_sql_run(store, statement);
	return store->failure ? store->failure : sqlite3_changes(store->db);
}

/* A write opens a transaction, and this is asked for in every turn. */
static bool is_any_due(struct store *store, const char *provider, int64_t now, int64_t since)
{
	sqlite3_stmt *statement = store_sql(store, SQL_POLLS_DUE);

	if (!statement)
		return false;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, now);
	(void)sqlite3_bind_int64(statement, 3, since);
	if (store_sql_step(store, statement) != 1)
		return false;
	(void)sqlite3_reset(statement);
	return true;
}

int store_polls_put_off(struct store *store, const char *provider, int64_t now, int64_t since, int64_t until)
{
	sqlite3_stmt *statement = NULL;

	if (!is_any_due(store, provider, now, since))
		return 0;
	statement = store_sql_write(store, SQL_POLLS_PUT_OFF);
	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, now);
	(void)sqlite3_bind_int64(statement, 3, since);
	(void)sqlite3_bind_int64(statement, 4, until);
	return run_counted(store, statement);
}

int store_polls_pull(struct store *store, const char *provider, int64_t now, int64_t within_ms, int64_t before,
		     size_t limit)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_POLLS_PULL);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, now);
	(void)sqlite3_bind_int64(statement, 3, within_ms);
	(void)sqlite3_bind_int64(statement, 4, before);
	(void)sqlite3_bind_int64(statement, 5, (sqlite3_int64)limit);
	return run_counted(store, statement);
}

void store_polls_note(struct store *store, const struct shard *shard)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_POLLS_NOTE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, shard->id);
	store_sql_bind_text(statement, 2, shard->remote_status);
	(void)sqlite3_bind_int64(statement, 3, shard->remote_completed);
	(void)sqlite3_bind_int64(statement, 4, shard->remote_failed);
	(void)sqlite3_bind_int64(statement, 5, shard->polls);
	(void)sqlite3_bind_int64(statement, 6, shard->changed_at);
	(void)sqlite3_bind_int64(statement, 7, shard->due_at);
	store_sql_bind_text(statement, 8, shard->why);
	store_sql_run(store, statement);
}

int store_shard_under_way(struct store *store, int64_t job,
			  void (*visit)(const struct store_under_way *group, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_UNDER_WAY);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	while ((r = store_sql_step(store, statement)) == 1) {
		const struct store_under_way group = {
			.provider = store_sql_peek(statement, 0),
			.model = store_sql_peek(statement, 1),
			.digits = sqlite3_column_int64(statement, 2),
			.count = sqlite3_column_int64(statement, 3),
			.batch_created_at = sqlite3_column_int64(statement, 4),
			.is_any_unsent = sqlite3_column_int(statement, 5) != 0,
			.is_any_created = sqlite3_column_int(statement, 6) != 0,
		};

		visit(&group, context);
	}
	return r;
}
