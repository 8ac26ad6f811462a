/* What cannot be true in a store: pages that are damaged, and rows that contradict themselves or each other. */
#include <errno.h>
#include <stdbool.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

/*
 * Each finds rows that no transaction of the daemon leaves behind: the job, the number of the shard (or 0), and a sentence. The
 * numbers of states are those of model/job.h.
 */
#define OPEN_SHARDS  "state NOT IN (5, 7, 8)"
#define ENDED_JOBS   "state IN (4, 5, 6, 7)"
#define OUTCOMES     "(ok + failed + cancelled + expired)"
/* Stores of the first version did not count by shard: such a shard has counted nothing. */
#define IS_COUNTED   OUTCOMES " + again > 0"
#define COUNTED_JOB                                                                                \
	"NOT EXISTS (SELECT 1 FROM shard WHERE shard.job = job.id AND shard.state = 5 AND NOT (" IS_COUNTED "))"
#define SUM_OF(what) "(SELECT ifnull(sum(" what "), 0) FROM shard WHERE shard.job = job.id AND shard.state = 5)"
/* Which sums are under way, as they were kept and as they are; and those of the first that are not among the second. */
#define FLIGHT_COUNTED "SELECT provider, model, uid, batches, unsent, requests, tokens FROM flight"
#define FLIGHT_ADDED_UP                                                                            \
	"SELECT provider, model, uid, count(*), "                                                  \
	"count(*) FILTER (WHERE state IN (0, 1) AND (intended_at = 0 OR why IS NULL)), sum(requests), " \
	"sum(reserved_tokens) FROM shard WHERE admitted_at > 0 AND state IN (0, 1, 2, 6) GROUP BY 1, 2, 3"
#define FLIGHT_DIFFERS(some, others) "SELECT provider, model, uid FROM (" some " EXCEPT " others ")"

/* clang-format off */
static const char *const contradictions[] = {
	/* jobs by themselves */
	"SELECT id, 0, 'its state is ' || state || ', which does not exist' FROM job WHERE state NOT BETWEEN 0 AND 7",
	"SELECT id, 0, 'it has ended, and is due' FROM job WHERE " ENDED_JOBS " AND due_at <> 0",
	"SELECT id, 0, 'it has not ended, waits for no shard, and is never due' FROM job WHERE due_at = 0 AND why IS NULL "
		"AND NOT (state = 1 AND is_on_hold = 1) AND (state IN (0, 1) OR (state IN (2, 3) AND NOT EXISTS "
		"(SELECT 1 FROM shard WHERE shard.job = job.id AND shard." OPEN_SHARDS ")))",
	"SELECT id, 0, 'a count of its requests is below 0' FROM job "
		"WHERE min(total, ok, failed, cancelled, expired, missing, lost, invalid, resent, twice) < 0",
	"SELECT id, 0, 'of its ' || total || ' requests ' || " OUTCOMES " || ' have an outcome' FROM job "
		"WHERE " OUTCOMES " > total OR (state IN (4, 6, 7) AND " OUTCOMES " <> total)",
	"SELECT id, 0, 'more of its failures have a reason than there are failures' FROM job "
		"WHERE missing + lost + invalid > failed",
	"SELECT id, 0, 'it has ended, and the time of that is not known' FROM job WHERE "
		"CASE state WHEN 4 THEN completed_at WHEN 5 THEN failed_at WHEN 6 THEN cancelled_at WHEN 7 THEN expired_at ELSE 1 END <= 0",
	"SELECT id, 0, 'it has ended, and its history has no end' FROM job WHERE " ENDED_JOBS
		" AND NOT EXISTS (SELECT 1 FROM event WHERE event.job = job.id AND event.is_last = 1)",
	/* jobs and files */
	"SELECT id, 0, 'its input, file ' || input_file || ', is not known' FROM job "
		"WHERE input_file NOT IN (SELECT id FROM file)",
	"SELECT id, 0, 'it has ' || ok || ' successes and no file of them' FROM job "
		"WHERE state IN (4, 7) AND ok > 0 AND output_file = 0",
	"SELECT id, 0, 'it has ' || (total - ok) || ' requests without success and no file of them' FROM job "
		"WHERE (state = 4 OR (state = 7 AND finalizing_at > 0)) AND ok < total AND error_file = 0",
	"SELECT id, 0, 'one file is said to be its input and its result' FROM job "
		"WHERE input_file IN (output_file, error_file) OR (output_file <> 0 AND output_file = error_file)",
	/* jobs and their shards */
	"SELECT id, 0, 'it has ended, and not all of its shards have' FROM job WHERE " ENDED_JOBS
		" AND EXISTS (SELECT 1 FROM shard WHERE shard.job = job.id AND shard." OPEN_SHARDS ")",
	"SELECT id, 0, 'it was cut, and has no shards' FROM job WHERE state IN (2, 3, 4) AND total > 0 "
		"AND NOT EXISTS (SELECT 1 FROM shard WHERE shard.job = job.id)",
	"SELECT job, 0, 'its shards are numbered ' || min(number) || ' to ' || max(number) || ', and are ' || count(*) "
		"FROM shard GROUP BY job HAVING min(number) <> 1 OR max(number) <> count(*)",
	"SELECT job.id, 0, 'its shards have ' || sum(CASE shard.state WHEN 7 THEN 0 WHEN 5 THEN requests - again ELSE requests END) "
		"|| ' of its ' || total || ' requests' FROM job JOIN shard ON shard.job = job.id "
		"WHERE job.state IN (2, 3, 4) AND " COUNTED_JOB " GROUP BY job.id "
		"HAVING sum(CASE shard.state WHEN 7 THEN 0 WHEN 5 THEN requests - again ELSE requests END) <> total",
	"SELECT id, 0, 'it counts ' || ok || ' successes, and its shards ' || " SUM_OF("shard.ok") " FROM job "
		"WHERE " COUNTED_JOB " AND ((state IN (2, 3, 4) AND ok <> " SUM_OF("shard.ok") ") OR ok > " SUM_OF("shard.ok") ")",
	"SELECT id, 0, 'it counts ' || failed || ' failures, and its shards ' || " SUM_OF("shard.failed") " FROM job "
		"WHERE state IN (2, 3, 4) AND " COUNTED_JOB " AND failed <> " SUM_OF("shard.failed"),
	"SELECT id, 0, 'it counts ' || expired || ' expired requests, and its shards ' || " SUM_OF("shard.expired") " FROM job "
		"WHERE state IN (2, 3, 4) AND " COUNTED_JOB " AND expired <> " SUM_OF("shard.expired"),
	/* shards by themselves */
	"SELECT job, number, 'its state is ' || state || ', which does not exist' FROM shard WHERE state NOT BETWEEN 0 AND 8",
	"SELECT job, number, 'it was uploaded, and the provider''s file is not known' FROM shard "
		"WHERE state IN (1, 2) AND provider_file IS NULL",
	"SELECT job, number, 'its batch was created, and is not known' FROM shard WHERE state = 2 AND batch_id IS NULL",
	"SELECT job, number, 'it has ended, and is due' FROM shard WHERE NOT (" OPEN_SHARDS ") AND due_at <> 0",
	"SELECT job, number, 'it waits for nothing, and is never due' FROM shard "
		"WHERE state BETWEEN 0 AND 4 AND due_at = 0 AND why IS NULL",
	"SELECT job, number, 'it has ' || requests || ' requests' FROM shard WHERE requests <= 0",
	"SELECT job, number, 'a count of its requests is below 0' FROM shard "
		"WHERE min(bytes, attempt, ok, failed, cancelled, expired, missing, lost, again, resent, twice) < 0",
	"SELECT job, number, 'of its ' || requests || ' requests ' || (" OUTCOMES " + again) || ' have an outcome' FROM shard "
		"WHERE state = 5 AND " IS_COUNTED " AND " OUTCOMES " + again <> requests",
	"SELECT job, number, 'it has outcomes before it was collected' FROM shard WHERE state <> 5 AND " IS_COUNTED,
	"SELECT job, number, 'its marker has no 24 digits' FROM shard WHERE length(marker) <> 24 OR marker GLOB '*[^0-9a-f]*'",
	"SELECT job, number, 'more was answered at the provider than it has requests' FROM shard "
		"WHERE min(remote_completed, remote_failed) < 0",
	/* shards and others */
	"SELECT a.job, a.number, 'its batch is that of shard ' || b.number || ' of job ' || b.job || ' as well' "
		"FROM shard AS a JOIN shard AS b ON a.batch_id = b.batch_id AND a.id > b.id "
		"AND a.provider = b.provider AND a.state BETWEEN 2 AND 5 AND b.state BETWEEN 2 AND 5",
	"SELECT shard.job, shard.number, 'it is not collected, and its job was not cut yet' FROM shard JOIN job ON job.id = shard.job "
		"WHERE job.state IN (0, 1) AND shard.state <> 5",
	"SELECT job, number, 'it has ended, and holds back a part of the budgets' FROM shard "
		"WHERE NOT (" OPEN_SHARDS ") AND budgeted_at <> 0",
	"SELECT 0, 0, 'uid ' || uid || ' is said to have ' || jobs || ' jobs that have not ended, which is not so, nor their sums' "
		"FROM outstanding WHERE (jobs, requests, bytes) IS NOT (SELECT count(*), ifnull(sum(total), 0), "
		"ifnull(sum((SELECT bytes FROM file WHERE file.id = input_file)), 0) FROM job "
		"WHERE job.uid = outstanding.uid AND state IN (0, 1, 2, 3))",
	"SELECT job, shard, 'its history names a shard that it does not have' FROM event WHERE shard <> 0 "
		"AND NOT EXISTS (SELECT 1 FROM shard WHERE shard.job = event.job AND shard.number = event.shard) GROUP BY job, shard",
	/* what is under way, and the shards that it is the sum of */
	"SELECT 0, 0, 'what is counted as under way at ' || provider || ' for user ' || uid || ' and ' || model || "
		"' is not what its shards add up to' FROM (" FLIGHT_DIFFERS(FLIGHT_COUNTED, FLIGHT_ADDED_UP) " UNION "
		FLIGHT_DIFFERS(FLIGHT_ADDED_UP, FLIGHT_COUNTED) ")",
	"SELECT job, number, 'it waits for its turn, and is not to be sent' FROM shard WHERE queue <> 0 "
		"AND (state NOT IN (0, 1) OR admitted_at > 0)",
	/* what belongs to jobs */
	"SELECT job, 0, 'a record of it, ' || name || ', is there, and it is not' FROM record WHERE job NOT IN (SELECT id FROM job)",
	"SELECT 0, 0, 'file ' || id || ' has ' || bytes || ' bytes' FROM file WHERE bytes < 0",
	"SELECT job, 0, 'an idempotency key of a user names it, and it is not there' FROM idempotency "
		"WHERE job NOT IN (SELECT id FROM job)",
};
/* clang-format on */

/* The rows of one query as findings. */
static int run_check(struct store *store, const char *sql, bool is_told,
		     void (*visit)(const struct store_finding *finding, void *context), void *context)
{
	sqlite3_stmt *statement = NULL;
	int code = sqlite3_prepare_v2(store->db, sql, -1, &statement, NULL);

	while (code == SQLITE_OK || code == SQLITE_ROW) {
		const char *words;

		code = sqlite3_step(statement);
		if (code != SQLITE_ROW)
			break;
		words = store_sql_peek(statement, 2);
		visit(&(struct store_finding){ .job = sqlite3_column_int64(statement, 0),
					       .shard = sqlite3_column_int64(statement, 1),
					       .words = words ? words : "it holds what cannot be read" },
		      context);
	}
	if (code != SQLITE_DONE && is_told)
		visit(&(struct store_finding){ .words = sqlite3_errmsg(store->db) }, context);
	(void)sqlite3_finalize(statement);
	return code == SQLITE_DONE ? 0 : store_sql_errno(code);
}

/* Whether the object that a row of our own schema is about (type, name, sql) stands in the store's with the same text. */
static bool has_object(struct store *store, sqlite3_stmt *own)
{
	sqlite3_stmt *statement = NULL;
	bool is_there = false;

	if (sqlite3_prepare_v2(store->db, "SELECT 1 FROM sqlite_schema WHERE type = ?1 AND name = ?2 AND sql IS ?3", -1,
			       &statement, NULL) == SQLITE_OK) {
		for (int i = 0; i < 3; i++)
			(void)sqlite3_bind_value(statement, i + 1, sqlite3_column_value(own, i));
		is_there = sqlite3_step(statement) == SQLITE_ROW;
	}
	(void)sqlite3_finalize(statement);
	return is_there;
}

/* The text of a table is a value like any other to SQLite: a letter that turned in it is another column. */
static void check_schema(struct store *store, void (*visit)(const struct store_finding *finding, void *context),
			 void *context)
{
	sqlite3_stmt *own = NULL;
	sqlite3 *model = NULL;
	int code = sqlite3_open(":memory:", &model);

	for (size_t i = 0; code == SQLITE_OK && store_sql_migration(i); i++)
		code = sqlite3_exec(model, store_sql_migration(i), NULL, NULL, NULL);
	if (code == SQLITE_OK)
		code = sqlite3_prepare_v2(model, "SELECT type, name, sql FROM sqlite_schema", -1, &own, NULL);
	while (code == SQLITE_OK && sqlite3_step(own) == SQLITE_ROW) {
		auto_free char *words = NULL;

		if (has_object(store, own))
			continue;
		words = xasprintf("its %s %s is not what it should be", store_sql_peek(own, 0),
				  store_sql_peek(own, 1));
		visit(&(struct store_finding){ .words = words }, context);
	}
	(void)sqlite3_finalize(own);
	(void)sqlite3_close(model);
}

int store_check_pages(struct store *store, void (*visit)(const struct store_finding *finding, void *context),
		      void *context)
{
	int r = run_check(store,
			  "SELECT 0, 0, integrity_check FROM pragma_integrity_check(100) WHERE integrity_check <> 'ok'",
			  true, visit, context);

	if (r)
		return r;
	check_schema(store, visit, context);
	return run_check(store,
			 "SELECT 0, 0, 'row ' || ifnull(rowid, '') || ' of table ' || \"table\" || ' belongs to a row of ' || parent || "
			 "' that is not there' FROM pragma_foreign_key_check",
			 true, visit, context);
}

int store_check_rows(struct store *store, void (*visit)(const struct store_finding *finding, void *context),
		     void *context)
{
	int result = 0;

	for (size_t i = 0; i < ARRAY_SIZE(contradictions); i++) {
		int r = run_check(store, contradictions[i], result == 0, visit, context);

		result = result ? result : r;
	}
	return result;
}

int64_t store_bytes(struct store *store)
{
	int64_t pages = 0, size = 0;

	(void)store_sql_pragma(store, "PRAGMA page_count", &pages, NULL);
	(void)store_sql_pragma(store, "PRAGMA page_size", &size, NULL);
	return pages * size;
}
