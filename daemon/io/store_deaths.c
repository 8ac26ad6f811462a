/* The store's verbs about deaths: how often a step of a job ended the daemon. */
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

static sqlite3_stmt *bind(sqlite3_stmt *statement, int64_t job, int64_t shard, const char *step)
{
	if (!statement)
		return NULL;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, shard);
	if (step)
		store_sql_bind_text(statement, 3, step);
	return statement;
}

int64_t store_death_add(struct store *store, int64_t job, int64_t shard, const char *step)
{
	sqlite3_stmt *statement = bind(store_sql_write(store, SQL_DEATH_ADD), job, shard, step);

	if (!statement)
		return 0;
	store_sql_run(store, statement);
	return store_death_count(store, job, shard, step);
}

int64_t store_death_count(struct store *store, int64_t job, int64_t shard, const char *step)
{
	sqlite3_stmt *statement = bind(store_sql(store, SQL_DEATH_COUNT), job, shard, step);
	int64_t count = 0;

	if (statement)
		(void)store_sql_integers(store, statement, 1, (int64_t *const[]){ &count });
	return count;
}

int64_t store_death_total(struct store *store)
{
	sqlite3_stmt *statement = store_sql(store, SQL_DEATH_TOTAL);
	int64_t count = 0;

	if (statement)
		(void)store_sql_integers(store, statement, 1, (int64_t *const[]){ &count });
	return count;
}

void store_death_forget(struct store *store, int64_t job, int64_t shard)
{
	sqlite3_stmt *statement = bind(store_sql_write(store, SQL_DEATH_FORGET), job, shard, NULL);

	if (statement)
		store_sql_run(store, statement);
}
