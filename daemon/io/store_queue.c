/* The store's verbs about who waits for a place at a provider, what is under way there, and what it taught us. */
#include <errno.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

/* So many shards of a line are looked at for a small one. */
#define FEW 256

/*
 * They belong to the connection, not to the schema: whoever changes a shard, by whatever statement, is noticed, and nothing is written for
 * it. The first two are of those that wait; the others are of the sums, which are changed by triggers of their own.
 */
#define NOTICE " BEGIN SELECT batchd_queue_changed(); END;"
static const char *const watchers =
	"CREATE TEMP TRIGGER queue_grows AFTER INSERT ON main.shard WHEN new.queue = 1" NOTICE
	"CREATE TEMP TRIGGER queue_moves AFTER UPDATE ON main.shard WHEN old.queue = 1 OR new.queue = 1" NOTICE
	"CREATE TEMP TRIGGER flight_grows AFTER INSERT ON main.flight" NOTICE
	"CREATE TEMP TRIGGER flight_moves AFTER UPDATE ON main.flight" NOTICE
	"CREATE TEMP TRIGGER learned_grows AFTER INSERT ON main.learned" NOTICE
	"CREATE TEMP TRIGGER learned_moves AFTER UPDATE ON main.learned" NOTICE
	"CREATE TEMP TRIGGER job_budget_moves AFTER UPDATE ON main.job WHEN old.budget_tokens <> new.budget_tokens "
	"OR old.budget_cost <> new.budget_cost OR old.spent_tokens <> new.spent_tokens OR old.spent_cost <> new.spent_cost" NOTICE
	"CREATE TEMP TRIGGER spending_moves AFTER UPDATE ON main.spending" NOTICE
	"CREATE TEMP TRIGGER learned_ends AFTER DELETE ON main.learned" NOTICE;

static void on_queue_changed(sqlite3_context *context, int count, sqlite3_value **values)
{
	struct store *store = sqlite3_user_data(context);

	(void)count;
	(void)values;
	store->queue_version++;
}

int store_queue_watch(struct store *store, struct error *err)
{
	int code = sqlite3_create_function_v2(store->db, "batchd_queue_changed", 0, SQLITE_UTF8 | SQLITE_INNOCUOUS,
					      store, on_queue_changed, NULL, NULL, NULL);

	if (code != SQLITE_OK)
		return error_set(err, store_sql_errno(code), "%s", sqlite3_errmsg(store->db));
	return store_sql_execute(store, watchers, err);
}

int64_t store_queue_version(const struct store *store)
{
	return store->queue_version;
}

int store_queue_next(struct store *store, const char *provider, const struct store_line *after,
		     struct store_line *ret_line)
{
	sqlite3_stmt *statement = store_sql(store, SQL_QUEUE_NEXT);
	int r;

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, after ? after->priority : INT64_MAX);
	(void)sqlite3_bind_int64(statement, 3, after ? after->uid : INT64_MAX);
	store_sql_bind_text(statement, 4, after ? after->model : "");
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

/* A statement about a line, which its first four values name. */
static sqlite3_stmt *ask_line(struct store *store, enum sql which, const char *provider, const struct store_line *line)
{
	sqlite3_stmt *statement = which == SQL_QUEUE_EXPEL ? store_sql_write(store, which) : store_sql(store, which);

	if (!statement)
		return NULL;
	store_sql_bind_text(statement, 1, provider);
	store_sql_bind_text(statement, 2, line->model);
	(void)sqlite3_bind_int64(statement, 3, line->priority);
	(void)sqlite3_bind_int64(statement, 4, line->uid);
	return statement;
}

int store_queue_head(struct store *store, const char *provider, const struct store_line *line, int64_t now,
		     struct shard *ret_shard)
{
	sqlite3_stmt *statement = ask_line(store, SQL_QUEUE_HEAD, provider, line);
	int r;

	if (!statement)
		return -EIO;
	r = store_sql_shard(store, statement, ret_shard);
	if (r != -EUCLEAN)
		return r;
	statement = ask_line(store, SQL_QUEUE_EXPEL, provider, line);
	if (statement) {
		(void)sqlite3_bind_int64(statement, 5, now);
		store_sql_run(store, statement);
	}
	return -EUCLEAN;
}

int store_queue_small(struct store *store, const char *provider, const struct store_line *line, int64_t job,
		      int64_t number, const struct store_size *size, struct shard *ret_shard)
{
	sqlite3_stmt *statement = ask_line(store, SQL_QUEUE_SMALL, provider, line);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 5, job);
	(void)sqlite3_bind_int64(statement, 6, number);
	(void)sqlite3_bind_int64(statement, 7, size->most_bytes);
	(void)sqlite3_bind_int64(statement, 8, size->most_requests);
	(void)sqlite3_bind_int64(statement, 9, FEW);
	return store_sql_shard(store, statement, ret_shard);
}

int store_queue_last(struct store *store, const char *provider, const struct store_line *line, int64_t job,
		     struct shard *ret_shard)
{
	sqlite3_stmt *statement = ask_line(store, SQL_QUEUE_LAST, provider, line);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 5, job);
	return store_sql_shard(store, statement, ret_shard);
}

int store_queue_first(struct store *store, int64_t job, struct shard *ret_shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_QUEUE_FIRST);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	return store_sql_shard(store, statement, ret_shard);
}

int store_queue_ahead(struct store *store, int64_t shard, int64_t most, int64_t *ret_count)
{
	sqlite3_stmt *statement = store_sql(store, SQL_QUEUE_AHEAD);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, shard);
	(void)sqlite3_bind_int64(statement, 2, most);
	return store_sql_integers(store, statement, 1, &ret_count);
}

int store_queue_length(struct store *store, const char *provider, int64_t most, int64_t *ret_count)
{
	sqlite3_stmt *statement = store_sql(store, SQL_QUEUE_LENGTH);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, most);
	return store_sql_integers(store, statement, 1, &ret_count);
}

int store_queue_placed(struct store *store, int64_t job, int64_t number, struct shard *ret_shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_QUEUE_PLACED);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, number);
	return store_sql_shard(store, statement, ret_shard);
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

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, *job);
	(void)sqlite3_bind_int64(statement, 3, *number);
	return store_sql_integers(store, statement, 3, (int64_t *const[]){ ret_shard, job, number });
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
