/* The store's verbs about providers: a person's pause of one, who waits for it, and what was sent there of late. */
#include <errno.h>
#include <stdlib.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

#define MINUTE_MS (60 * 1000)
/* Events that are looked through: more than a busy hour has. */
#define LATEST_EVENTS 100000

void store_pause_release(struct store_pause *pause)
{
	free(pause->why);
	*pause = (struct store_pause){ 0 };
}

void store_pause_set(struct store *store, const char *provider, const struct store_pause *pause)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_PAUSE_SET);

	if (!statement)
		return;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, pause->since);
	(void)sqlite3_bind_int64(statement, 3, pause->by);
	store_sql_bind_text(statement, 4, pause->why);
	store_sql_run(store, statement);
}

int store_pause_get(struct store *store, const char *provider, struct store_pause *ret_pause)
{
	sqlite3_stmt *statement = store_sql(store, SQL_PAUSE_GET);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	r = store_sql_step(store, statement);
	if (r != 1)
		return r ? r : -ENOENT;
	*ret_pause = (struct store_pause){
		.since = sqlite3_column_int64(statement, 0),
		.by = sqlite3_column_int64(statement, 1),
		.why = store_sql_text_of(statement, 2),
	};
	(void)sqlite3_reset(statement);
	return 0;
}

void store_provider_poke(struct store *store, const char *provider, int64_t now, int64_t spacing_ms)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_PROVIDER_POKE);

	if (!statement)
		return;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, now);
	(void)sqlite3_bind_int64(statement, 3, spacing_ms);
	store_sql_run(store, statement);
}

int store_created_since(struct store *store, const char *provider, int64_t since,
			void (*visit)(int64_t at, int64_t count, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_CREATED_SINCE);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, since);
	(void)sqlite3_bind_int64(statement, 3, LATEST_EVENTS);
	(void)sqlite3_bind_int64(statement, 4, MINUTE_MS);
	while ((r = store_sql_step(store, statement)) == 1)
		visit(sqlite3_column_int64(statement, 0), sqlite3_column_int64(statement, 1), context);
	return r;
}
