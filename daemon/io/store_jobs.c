/* The store's verbs about jobs, their groups and their shards, and what is due. */
#include <errno.h>
#include <stddef.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

#define INTEGER(type, member)                                                                      \
	{                                                                                          \
		offsetof(struct type, member), STORE_INTEGER                                       \
	}
#define BOOL(type, member)                                                                         \
	{                                                                                          \
		offsetof(struct type, member), STORE_BOOL                                          \
	}
#define TEXT(type, member)                                                                         \
	{                                                                                          \
		offsetof(struct type, member), STORE_TEXT                                          \
	}

/* In the order of the columns in store_sql.c. */
/* clang-format off */
static const struct store_field job_fields[] = {
	{ offsetof(struct job, state), STORE_ENUM },
	INTEGER(job, uid), INTEGER(job, input_file), INTEGER(job, output_file), INTEGER(job, error_file),
	TEXT(job, endpoint), TEXT(job, window), TEXT(job, metadata), TEXT(job, file_name),
	TEXT(job, provider), TEXT(job, errors), INTEGER(job, errors_total), INTEGER(job, output_expires_s),
	INTEGER(job, counts.total), INTEGER(job, counts.ok), INTEGER(job, counts.failed),
	INTEGER(job, counts.cancelled), INTEGER(job, counts.expired), INTEGER(job, counts.missing),
	INTEGER(job, created_at), INTEGER(job, in_progress_at), INTEGER(job, finalizing_at),
	INTEGER(job, completed_at), INTEGER(job, failed_at), INTEGER(job, expired_at),
	INTEGER(job, cancelling_at), INTEGER(job, cancelled_at),
	INTEGER(job, due_at), INTEGER(job, tries), TEXT(job, why),
	INTEGER(job, counts.lost), INTEGER(job, counts.invalid), INTEGER(job, counts.resent),
	INTEGER(job, counts.twice), TEXT(job, labels), TEXT(job, model), BOOL(job, skips_invalid),
	BOOL(job, is_wrapped), BOOL(job, has_line_ids), INTEGER(job, max_attempts), INTEGER(job, retry_of),
	TEXT(job, providers), INTEGER(job, priority), INTEGER(job, begin_at), INTEGER(job, after_job),
	INTEGER(job, deadline_at), BOOL(job, is_on_hold), BOOL(job, is_expiring), INTEGER(job, budget_tokens),
	INTEGER(job, budget_cost), INTEGER(job, spent_tokens), INTEGER(job, spent_cost),
};

static const struct store_field shard_fields[] = {
	INTEGER(shard, job), INTEGER(shard, number),
	{ offsetof(struct shard, state), STORE_ENUM },
	TEXT(shard, model), TEXT(shard, url), INTEGER(shard, requests), INTEGER(shard, bytes),
	INTEGER(shard, attempt), TEXT(shard, marker), TEXT(shard, provider_file),
	INTEGER(shard, intended_at), INTEGER(shard, absent_at), TEXT(shard, batch_id),
	TEXT(shard, remote_status), INTEGER(shard, remote_completed), INTEGER(shard, remote_failed),
	TEXT(shard, remote_output), TEXT(shard, remote_error),
	BOOL(shard, is_cancel_sent),
	INTEGER(shard, uploaded_at), INTEGER(shard, batch_created_at), INTEGER(shard, ended_at),
	INTEGER(shard, due_at), INTEGER(shard, tries), INTEGER(shard, polls),
	INTEGER(shard, redone), TEXT(shard, refusal), TEXT(shard, why), TEXT(shard, refusal_code),
	INTEGER(shard, inputs), INTEGER(shard, tokens), INTEGER(shard, word),
	INTEGER(shard, tally.ok), INTEGER(shard, tally.failed), INTEGER(shard, tally.cancelled),
	INTEGER(shard, tally.expired), INTEGER(shard, tally.missing), INTEGER(shard, tally.lost),
	INTEGER(shard, tally.again), INTEGER(shard, tally.resent), INTEGER(shard, tally.twice),
	INTEGER(shard, tally.unknown), INTEGER(shard, tally.unreadable),
	INTEGER(shard, tally.input_tokens), INTEGER(shard, tally.output_tokens),
	INTEGER(shard, waits), INTEGER(shard, missed_at), TEXT(shard, provider),
	{ offsetof(struct shard, queue), STORE_ENUM }, INTEGER(shard, admitted_at),
	INTEGER(shard, reserved_tokens), INTEGER(shard, reserved_cost), INTEGER(shard, changed_at),
	INTEGER(shard, budgeted_at), INTEGER(shard, budgeted_tokens),
};
/* clang-format on */

_Static_assert(sizeof(enum job_state) == sizeof(unsigned), "enums are stored as unsigned");

/*
 * SQLite does not see a bit that turned within a value. What everybody relies on is looked at here: a job or shard without it is none.
 * Returns 0 or -EUCLEAN; what was read is the caller's in both cases.
 */
static int read_job(sqlite3_stmt *statement, struct job *job)
{
	*job = (struct job){ .id = sqlite3_column_int64(statement, 0) };
	store_sql_read_fields(statement, 1, job_fields, ARRAY_SIZE(job_fields), job);
	if (job->state < JOB_STATE_COUNT && job->endpoint && job->window && job->provider)
		return 0;
	log_error("a job in the store is damaged", log_number("JOB", job->id));
	return -EUCLEAN;
}

static int read_shard(sqlite3_stmt *statement, struct shard *shard)
{
	*shard = (struct shard){ .id = sqlite3_column_int64(statement, 0) };
	store_sql_read_fields(statement, 1, shard_fields, ARRAY_SIZE(shard_fields), shard);
	if (shard->state < SHARD_STATE_COUNT && shard->model && shard->url && shard->marker && shard->provider &&
	    shard->number > 0 && shard->queue <= SHARD_PARKED && shard->requests >= 0 && shard->bytes >= 0)
		return 0;
	log_error("a shard in the store is damaged", log_number("JOB", shard->job), log_number("SHARD", shard->number));
	return -EUCLEAN;
}

/* The one row of a statement that has one; nothing is left to the caller where it is damaged. */
static int take_job(sqlite3_stmt *statement, struct job *ret_job)
{
	int r = read_job(statement, ret_job);

	(void)sqlite3_reset(statement);
	if (r)
		job_release(ret_job);
	return r;
}

static int take_shard(sqlite3_stmt *statement, struct shard *ret_shard)
{
	int r = read_shard(statement, ret_shard);

	(void)sqlite3_reset(statement);
	if (r)
		shard_release(ret_shard);
	return r;
}

int store_sql_shard(struct store *store, sqlite3_stmt *statement, struct shard *ret_shard)
{
	int r = store_sql_step(store, statement);

	if (r != 1)
		return r ? r : -ENOENT;
	return take_shard(statement, ret_shard);
}

/* Runs a bound list of jobs or shards to its end, or to its first failure. */
static int visit_jobs(struct store *store, sqlite3_stmt *statement,
		      void (*visit)(const struct job *, void *), void *context)
{
	int r;

	while ((r = store_sql_step(store, statement)) == 1) {
		auto_job job = { 0 };

		if (!read_job(statement, &job))
			visit(&job, context);
	}
	return r;
}

static int visit_shards(struct store *store, sqlite3_stmt *statement,
			void (*visit)(const struct shard *, void *), void *context)
{
	int r;

	while ((r = store_sql_step(store, statement)) == 1) {
		auto_shard shard = { 0 };

		if (!read_shard(statement, &shard))
			visit(&shard, context);
	}
	return r;
}

/* The same for a statement that takes a job and a limit. */
static int visit_shards_of(struct store *store, enum sql which, int64_t job, size_t limit,
			   void (*visit)(const struct shard *, void *), void *context)
{
	sqlite3_stmt *statement = store_sql(store, which);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
	return visit_shards(store, statement, visit, context);
}

int64_t store_job_add(struct store *store, const struct job *job)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_JOB_ADD);

	if (!statement)
		return 0;
	store_sql_bind_fields(statement, 2, job_fields, ARRAY_SIZE(job_fields), job);
	store_sql_run(store, statement);
	return store->failure ? 0 : sqlite3_last_insert_rowid(store->db);
}

void store_job_save(struct store *store, const struct job *job)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_JOB_SAVE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, job->id);
	store_sql_bind_fields(statement, 2, job_fields, ARRAY_SIZE(job_fields), job);
	store_sql_run(store, statement);
}

int store_job_get(struct store *store, int64_t job, struct job *ret_job)
{
	sqlite3_stmt *statement = store_sql(store, SQL_JOB_GET);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	r = store_sql_step(store, statement);
	if (r != 1)
		return r ? r : -ENOENT;
	return take_job(statement, ret_job);
}

int store_job_list(struct store *store, int64_t uid, unsigned states, int64_t before, size_t limit,
		   void (*visit)(const struct job *job, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, uid < 0 ? SQL_JOB_LIST_ALL : SQL_JOB_LIST);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, uid);
	(void)sqlite3_bind_int64(statement, 2, before ? before : INT64_MAX);
	(void)sqlite3_bind_int64(statement, 3, states);
	(void)sqlite3_bind_int64(statement, 4, (sqlite3_int64)limit);
	return visit_jobs(store, statement, visit, context);
}

int store_job_counts(struct store *store, int64_t uid, int64_t ret_counts[JOB_STATE_COUNT])
{
	sqlite3_stmt *statement = store_sql(store, uid < 0 ? SQL_JOB_COUNTS_ALL : SQL_JOB_COUNTS);
	int r;

	if (!statement)
		return -EIO;
	for (size_t i = 0; i < JOB_STATE_COUNT; i++)
		ret_counts[i] = 0;
	(void)sqlite3_bind_int64(statement, 1, uid);
	while ((r = store_sql_step(store, statement)) == 1) {
		int64_t state = sqlite3_column_int64(statement, 0);

		if (state >= 0 && state < JOB_STATE_COUNT)
			ret_counts[state] = sqlite3_column_int64(statement, 1);
	}
	return r;
}

void store_group_add(struct store *store, int64_t job, const struct store_group *group)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_GROUP_ADD);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, group->number);
	store_sql_bind_text(statement, 3, group->model);
	store_sql_bind_text(statement, 4, group->url);
	(void)sqlite3_bind_int64(statement, 5, group->requests);
	(void)sqlite3_bind_int64(statement, 6, group->bytes);
	store_sql_run(store, statement);
}

int store_group_list(struct store *store, int64_t job,
		     void (*visit)(const struct store_group *group, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_GROUP_LIST);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	while ((r = store_sql_step(store, statement)) == 1) {
		struct store_group group = {
			.number = sqlite3_column_int64(statement, 0),
			.model = store_sql_peek(statement, 1),
			.url = store_sql_peek(statement, 2),
			.requests = sqlite3_column_int64(statement, 3),
			.bytes = sqlite3_column_int64(statement, 4),
		};

		visit(&group, context);
	}
	return r;
}

int64_t store_shard_add(struct store *store, const struct shard *shard)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_SHARD_ADD);

	if (!statement)
		return 0;
	store_sql_bind_fields(statement, 2, shard_fields, ARRAY_SIZE(shard_fields), shard);
	store_sql_run(store, statement);
	return store->failure ? 0 : sqlite3_last_insert_rowid(store->db);
}

void store_shard_save(struct store *store, const struct shard *shard)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_SHARD_SAVE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, shard->id);
	store_sql_bind_fields(statement, 2, shard_fields, ARRAY_SIZE(shard_fields), shard);
	store_sql_run(store, statement);
}

int store_shard_get(struct store *store, int64_t shard, struct shard *ret_shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_GET);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, shard);
	return store_sql_shard(store, statement, ret_shard);
}

int store_shard_list(struct store *store, int64_t job, int64_t after, size_t limit,
		     void (*visit)(const struct shard *shard, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_LIST);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, after);
	(void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)limit);
	return visit_shards(store, statement, visit, context);
}

int store_shard_count(struct store *store, int64_t job, int64_t *ret_all, int64_t *ret_open)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_COUNT);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	return store_sql_integers(store, statement, 2, (int64_t *const[]){ ret_all, ret_open });
}

int store_shard_progress(struct store *store, int64_t job, int64_t *ret_completed, int64_t *ret_failed)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_PROGRESS);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	return store_sql_integers(store, statement, 2, (int64_t *const[]){ ret_completed, ret_failed });
}

int store_shard_owner(struct store *store, const char *provider, const char *batch_id,
		      int64_t *ret_shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_OWNER);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	store_sql_bind_text(statement, 2, batch_id);
	return store_sql_integers(store, statement, 1, &ret_shard);
}

int store_shard_file_owner(struct store *store, const char *provider, const char *file_id, int64_t shard,
			   int64_t *ret_owner)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_FILE_OWNER);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	store_sql_bind_text(statement, 2, file_id);
	(void)sqlite3_bind_int64(statement, 3, shard);
	return store_sql_integers(store, statement, 1, &ret_owner);
}

int store_shard_live(struct store *store, const char *provider, int64_t since, size_t limit,
		     void (*visit)(const struct shard *shard, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_LIVE);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, since);
	(void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)limit);
	return visit_shards(store, statement, visit, context);
}

int store_shard_in_flight(struct store *store, const char *provider, int64_t *ret_count)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_IN_FLIGHT);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 1, provider);
	return store_sql_integers(store, statement, 1, &ret_count);
}

int store_shard_waiting(struct store *store, const struct shard *like, int64_t most_redone, int64_t after,
			struct shard *ret_shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_WAITING);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, like->job);
	store_sql_bind_text(statement, 2, like->model);
	store_sql_bind_text(statement, 3, like->url);
	(void)sqlite3_bind_int64(statement, 4, like->attempt);
	(void)sqlite3_bind_int64(statement, 5, most_redone);
	(void)sqlite3_bind_int64(statement, 6, after);
	store_sql_bind_text(statement, 7, like->provider);
	return store_sql_shard(store, statement, ret_shard);
}

int store_shard_busy(struct store *store, const struct shard *like, int64_t after, int64_t *ret_count)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_BUSY);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, like->job);
	store_sql_bind_text(statement, 2, like->model);
	store_sql_bind_text(statement, 3, like->url);
	(void)sqlite3_bind_int64(statement, 4, like->attempt);
	(void)sqlite3_bind_int64(statement, 5, after);
	store_sql_bind_text(statement, 6, like->provider);
	return store_sql_integers(store, statement, 1, &ret_count);
}

int store_shard_held(struct store *store, int64_t job, int64_t *ret_count, int64_t *ret_asked)
{
	int64_t *const numbers[] = { ret_count, ret_asked };
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_HELD);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	return store_sql_integers(store, statement, 2, numbers);
}

void store_shard_speak(struct store *store, int64_t job, enum shard_word word, int64_t now)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_SHARD_SPEAK);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, word);
	(void)sqlite3_bind_int64(statement, 3, now);
	store_sql_run(store, statement);
}

int store_shard_uncertain(struct store *store, int64_t job, size_t limit,
			  void (*visit)(const struct shard *shard, void *context), void *context)
{
	return visit_shards_of(store, SQL_SHARD_UNCERTAIN, job, limit, visit, context);
}

void store_shard_settle(struct store *store, int64_t shard, enum shard_word word, const char *batch_id, int64_t now)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_SHARD_SETTLE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, shard);
	(void)sqlite3_bind_int64(statement, 2, word);
	store_sql_bind_text(statement, 3, batch_id);
	(void)sqlite3_bind_int64(statement, 4, now);
	store_sql_run(store, statement);
}

int store_shard_kin(struct store *store, int64_t job, size_t limit,
		    void (*visit)(const struct shard *shard, void *context), void *context)
{
	return visit_shards_of(store, SQL_SHARD_KIN, job, limit, visit, context);
}

int store_shard_foremost(struct store *store, int64_t job, struct shard *ret_shard)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_FOREMOST);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	return store_sql_shard(store, statement, ret_shard);
}

void store_shard_poke(struct store *store, int64_t job, int64_t now)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_SHARD_POKE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, now);
	store_sql_run(store, statement);
}

/* Calls visit for each row of a statement of due steps. */
static int visit_due(struct store *store, sqlite3_stmt *statement, int64_t now, size_t limit,
		     void (*visit)(const struct store_due *due, void *context), void *context)
{
	int r;

	(void)sqlite3_bind_int64(statement, 1, now);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
	while ((r = store_sql_step(store, statement)) == 1) {
		struct store_due due = {
			.job = sqlite3_column_int64(statement, 0),
			.shard = sqlite3_column_int64(statement, 1),
			.due_at = sqlite3_column_int64(statement, 2),
			.state = (enum shard_state)sqlite3_column_int(statement, 3),
			.provider = (const char *)sqlite3_column_text(statement, 4),
		};

		visit(&due, context);
	}
	/* Without it nothing goes on: that must not look like having nothing to do. */
	if (r == -EUCLEAN)
		store_sql_spoil(store, SQLITE_CORRUPT);
	return r;
}

int store_due(struct store *store, int64_t now, size_t limit,
	      void (*visit)(const struct store_due *due, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_DUE);

	return statement ? visit_due(store, statement, now, limit, visit, context) : -EIO;
}

int store_due_transfers(struct store *store, const char *provider, int64_t now, size_t limit,
			void (*visit)(const struct store_due *due, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_DUE_TRANSFERS);

	if (!statement)
		return -EIO;
	store_sql_bind_text(statement, 3, provider);
	return visit_due(store, statement, now, limit, visit, context);
}

void store_due_hold(struct store *store, const struct store_due *due, const char *why)
{
	sqlite3_stmt *statement = store_sql_write(store, due->shard ? SQL_HOLD_SHARD : SQL_HOLD_JOB);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, due->shard ? due->shard : due->job);
	store_sql_bind_text(statement, 2, why);
	store_sql_run(store, statement);
}
