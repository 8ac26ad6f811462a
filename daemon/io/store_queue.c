/* The store's verbs about who waits for a place at a provider, what is under way there, and what it taught us. */
#include <errno.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

int store_queue_next(struct store *store, const char *provider, const struct store_line *after,
		     struct store_line *ret_line)
{
	sqlite3_stmt *statement = store_sql(store, SQL_QUEUE_NEXT);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	store_sql_bind_text(statement, 2, after ? after->model : "");
	(void)sqlite3_bind_int64(statement, 3, after ? after->priority : -1);
	(void)sqlite3_bind_int64(statement, 4, after ? after->uid : -1);
	r = store_sql_step(store, statement);
	if (r != 1)
		return r ? r : -ENOENT;
	*ret_line = (struct store_line){
		.model = store_sql_text_of(statement, 0),
		.priority = sqlite3_column_int64(statement, 1),
		.uid = sqlite3_column_int64(statement, 2),
	};
	(void)sqlite3_reset(statement);
	return 0;
}

char *store_unsent_provider(struct store *store, const char *after)
{
	sqlite3_stmt *statement = store_sql(store, SQL_UNSENT_PROVIDER);
	char *provider = NULL;

	if (!statement)
		return NULL;
	store_sql_bind_text(statement, 1, after);
	if (store_sql_step(store, statement) == 1) {
		provider = store_sql_text_of(statement, 0);
		(void)sqlite3_reset(statement);
	}
	return provider;
}

int store_unsent_next(struct store *store, const char *provider, int64_t *job, int64_t *number, int64_t *ret_shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_UNSENT_NEXT);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, *job);
	(void)sqlite3_bind_int64(statement, 3, *number);
	r = store_sql_step(store, statement);
	if (r != 1)
		return r ? r : -ENOENT;
	*ret_shard = sqlite3_column_int64(statement, 0);
	*job = sqlite3_column_int64(statement, 1);
	*number = sqlite3_column_int64(statement, 2);
	(void)sqlite3_reset(statement);
	return 0;
}

int store_flight(struct store *store, const char *provider,
		 void (*visit)(const struct store_flight *flight, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_FLIGHT);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	while ((r = store_sql_step(store, statement)) == 1) {
		const struct store_flight flight = {
			.model = store_sql_peek(statement, 0),
			.uid = sqlite3_column_int64(statement, 1),
			.batches = sqlite3_column_int64(statement, 2),
			.unsent = sqlite3_column_int64(statement, 3),
			.requests = sqlite3_column_int64(statement, 4),
			.tokens = sqlite3_column_int64(statement, 5),
		};

		visit(&flight, context);
	}
	return r;
}

int store_learned_get(struct store *store, const char *provider, const char *model, const char *name,
		      struct store_learned *ret_learned)
{
	sqlite3_stmt *statement = store_sql(store, SQL_LEARNED_GET);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	store_sql_bind_text(statement, 2, model);
	store_sql_bind_text(statement, 3, name);
	r = store_sql_step(store, statement);
	if (r != 1)
		return r ? r : -ENOENT;
	*ret_learned = (struct store_learned){
		.value = sqlite3_column_int64(statement, 0),
		.words = store_sql_text_of(statement, 1),
		.at = sqlite3_column_int64(statement, 2),
	};
	(void)sqlite3_reset(statement);
	return 0;
}

void store_learned_set(struct store *store, const char *provider, const struct store_learned *learned)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_LEARNED_SET);

	if (!statement)
		return;
	store_sql_bind_text(statement, 1, provider);
	store_sql_bind_text(statement, 2, learned->model);
	store_sql_bind_text(statement, 3, learned->name);
	(void)sqlite3_bind_int64(statement, 4, learned->value);
	store_sql_bind_text(statement, 5, learned->words);
	(void)sqlite3_bind_int64(statement, 6, learned->at);
	store_sql_run(store, statement);
}

void store_learned_remove(struct store *store, const char *provider, const char *model, const char *name)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_LEARNED_REMOVE);

	if (!statement)
		return;
	store_sql_bind_text(statement, 1, provider);
	store_sql_bind_text(statement, 2, model);
	store_sql_bind_text(statement, 3, name);
	store_sql_run(store, statement);
}

int store_learned_list(struct store *store, const char *provider,
		       void (*visit)(const struct store_learned *learned, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_LEARNED_LIST);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	while ((r = store_sql_step(store, statement)) == 1) {
		auto_free char *model = store_sql_text_of(statement, 0);
		auto_free char *name = store_sql_text_of(statement, 1);
		auto_free char *words = store_sql_text_of(statement, 3);
		const struct store_learned learned = {
			.model = model,
			.name = name,
			.value = sqlite3_column_int64(statement, 2),
			.words = words,
			.at = sqlite3_column_int64(statement, 4),
		};

		visit(&learned, context);
	}
	return r;
}
