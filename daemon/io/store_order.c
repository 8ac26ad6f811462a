/* The store's verbs about the order of jobs and the clock, and about what jobs and their owners may use up. */
#include <errno.h>
#include <stddef.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

/* Runs a write with these numbers, from the first parameter on. */
static void write_numbers(struct store *store, enum sql which, const int64_t *numbers, int count)
{
	sqlite3_stmt *statement = store_sql_write(store, which);

	if (!statement)
		return;
	for (int i = 0; i < count; i++)
		(void)sqlite3_bind_int64(statement, i + 1, numbers[i]);
	store_sql_run(store, statement);
}

void store_queue_park(struct store *store, int64_t job)
{
	write_numbers(store, SQL_QUEUE_PARK, &job, 1);
}

void store_queue_release(struct store *store, int64_t job)
{
	write_numbers(store, SQL_QUEUE_RELEASE, &job, 1);
}

void store_queue_prioritize(struct store *store, int64_t job, int64_t priority)
{
	write_numbers(store, SQL_QUEUE_PRIORITY, (const int64_t[]){ job, priority }, 2);
}

void store_job_wake_after(struct store *store, int64_t job, int64_t now)
{
	write_numbers(store, SQL_JOB_WAKE_AFTER, (const int64_t[]){ job, now }, 2);
}

int store_deadline_due(struct store *store, int64_t now, size_t limit, void (*visit)(int64_t job, void *context),
		       void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_DEADLINE_DUE);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, now);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
	while ((r = store_sql_step(store, statement)) == 1)
		visit(sqlite3_column_int64(statement, 0), context);
	return r;
}

int store_next_due(struct store *store, int64_t now, int64_t *ret_at)
{
	sqlite3_stmt *statement = store_sql(store, SQL_NEXT_DUE);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, now);
	return store_sql_integers(store, statement, 1, &ret_at);
}

void store_clock_stepped(struct store *store, int64_t now, int64_t beyond)
{
	static const enum sql updates[] = { SQL_PULL_JOBS, SQL_PULL_SHARDS, SQL_PULL_STRAYS, SQL_PULL_QUEUE,
					    SQL_PULL_RESULTS, SQL_ABSENT_ANEW };
	const size_t bounded = 3; /* the first so many take what is beyond */

	for (size_t i = 0; i < ARRAY_SIZE(updates); i++) {
		sqlite3_stmt *statement = store_sql_write(store, updates[i]);

		if (!statement)
			return;
		(void)sqlite3_bind_int64(statement, 1, now);
		if (i < bounded)
			(void)sqlite3_bind_int64(statement, 2, beyond);
		store_sql_run(store, statement);
	}
}

void store_deadline_shift(struct store *store, int64_t by_ms)
{
	write_numbers(store, SQL_DEADLINES_SHIFT, &by_ms, 1);
}

int store_outstanding(struct store *store, int64_t uid, struct store_outstanding *ret_outstanding)
{
	sqlite3_stmt *statement = store_sql(store, SQL_OUTSTANDING);
	struct store_outstanding found = { 0 };
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, uid);
	r = store_sql_integers(store, statement, 3, (int64_t *const[]){ &found.jobs, &found.requests, &found.bytes });
	if (r && r != -ENOENT)
		return r;
	*ret_outstanding = found;
	return 0;
}

void store_job_spend(struct store *store, int64_t job, int64_t tokens, int64_t cost)
{
	write_numbers(store, SQL_JOB_SPEND, (const int64_t[]){ job, tokens, cost }, 3);
}

void store_spending_add(struct store *store, int64_t uid, int64_t day, int64_t tokens, int64_t cost)
{
	write_numbers(store, SQL_SPENDING_ADD, (const int64_t[]){ uid, day, tokens, cost }, 4);
}

int store_spending_get(struct store *store, int64_t uid, int64_t day, int64_t *ret_tokens, int64_t *ret_cost)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SPENDING_GET);
	int64_t tokens = 0, cost = 0;
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, uid);
	(void)sqlite3_bind_int64(statement, 2, day);
	r = store_sql_integers(store, statement, 2, (int64_t *const[]){ &tokens, &cost });
	if (r && r != -ENOENT)
		return r;
	*ret_tokens = tokens;
	*ret_cost = cost;
	return 0;
}

void store_group_learn(struct store *store, int64_t job, const char *model, const char *url,
		       const struct store_ratio *more)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_GROUP_LEARN);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, job);
	store_sql_bind_text(statement, 2, model);
	store_sql_bind_text(statement, 3, url);
	(void)sqlite3_bind_int64(statement, 4, more->estimated);
	(void)sqlite3_bind_int64(statement, 5, more->input_tokens);
	(void)sqlite3_bind_int64(statement, 6, more->output_tokens);
	store_sql_run(store, statement);
}

int store_group_learned(struct store *store, int64_t job, const char *model, const char *url,
			struct store_ratio *ret_ratio)
{
	sqlite3_stmt *statement = store_sql(store, SQL_GROUP_LEARNED);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	store_sql_bind_text(statement, 2, model);
	store_sql_bind_text(statement, 3, url);
	return store_sql_integers(store, statement, 3,
			    (int64_t *const[]){ &ret_ratio->estimated, &ret_ratio->input_tokens,
						&ret_ratio->output_tokens });
}
