#include "daemon/io/store_sql.h"

#include "daemon/base/cleanup.h"

/* The columns of a job and of a shard, in the order of the tables of fields in store_jobs.c. */
#define JOB_COLUMNS                                                                                \
	"state, uid, input_file, output_file, error_file, endpoint, window, metadata, file_name, " \
	"provider, errors, errors_total, output_expires_s, total, ok, failed, cancelled, expired, " \
	"missing, created_at, in_progress_at, finalizing_at, completed_at, failed_at, expired_at, " \
	"cancelling_at, cancelled_at, due_at, tries, why, lost, invalid, resent, twice, labels, "   \
	"model, skips_invalid, is_wrapped, has_line_ids, max_attempts, retry_of, "                  \
	"providers, priority, begin_at, after_job, deadline_at, is_on_hold, is_expiring, "          \
	"budget_tokens, budget_cost, spent_tokens, spent_cost"
#define JOB_VALUES                                                                                 \
	"?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "   \
	"?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, "     \
	"?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, ?49, ?50, ?51, ?52, ?53"
#define SHARD_COLUMNS                                                                              \
	"job, number, state, model, url, requests, bytes, attempt, marker, provider_file, "        \
	"intended_at, absent_at, batch_id, remote_status, remote_completed, remote_failed, "       \
	"remote_output, remote_error, is_cancel_sent, uploaded_at, batch_created_at, ended_at, "   \
	"due_at, tries, polls, redone, refusal, why, refusal_code, inputs, tokens, word, ok, "      \
	"failed, cancelled, expired, missing, lost, again, resent, twice, unknown, unreadable, "   \
	"input_tokens, output_tokens, waits, missed_at, provider, queue, admitted_at, "              \
	"reserved_tokens, reserved_cost, changed_at, budgeted_at, budgeted_tokens"
#define SHARD_VALUES                                                                               \
	"?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20, "   \
	"?21, ?22, ?23, ?24, ?25, ?26, ?27, ?28, ?29, ?30, ?31, ?32, ?33, ?34, ?35, ?36, ?37, "     \
	"?38, ?39, ?40, ?41, ?42, ?43, ?44, ?45, ?46, ?47, ?48, "                                   \
	"ifnull(?49, (SELECT provider FROM job WHERE job.id = ?2)), ?50, ?51, ?52, ?53, ?54, ?55, ?56"
/* What a shard has of its job beside its own columns. */
#define SHARD_OF_JOB "(SELECT uid FROM job WHERE job.id = ?2), (SELECT priority FROM job WHERE job.id = ?2)"
#define FILE_COLUMNS "id, uid, purpose, name, bytes, created_at, expires_at, is_deleted, digest"
#define STRAY_COLUMNS "provider, shard, name, file_id, bytes, sent_at, due_at, tries, kind"
#define FILE_LIST_WHERE                                                                            \
	"WHERE is_deleted = 0 AND (?2 IS NULL OR purpose = ?2) AND (expires_at = 0 OR expires_at > ?4) "

/* Whether a row of the shards, as a trigger sees it, is under way at its provider, or about to be. */
#define IN_FLIGHT(row) "(" row ".admitted_at > 0 AND " row ".state IN (0, 1, 2, 6))"
/* Whether its create is still to come. One in doubt, whose fate is being looked up, is as good as sent: it must not hold up the rest. */
#define UNSENT(row) "(" row ".state IN (0, 1) AND (" row ".intended_at = 0 OR " row ".why IS NULL))"
#define FLIGHT_TAKE                                                                                \
	"UPDATE flight SET batches = batches - 1, unsent = unsent - " UNSENT("old") ","             \
	"  requests = requests - old.requests, tokens = tokens - old.reserved_tokens"               \
	"  WHERE " IN_FLIGHT("old") " AND provider = old.provider AND model = old.model AND uid = old.uid;" \
	"DELETE FROM flight WHERE batches = 0 AND provider = old.provider AND model = old.model AND uid = old.uid;"
#define FLIGHT_ADD                                                                                 \
	"INSERT INTO flight (provider, model, uid, batches, unsent, requests, tokens)"              \
	"  SELECT new.provider, new.model, new.uid, 1, " UNSENT("new") ", new.requests,"             \
	"  new.reserved_tokens WHERE " IN_FLIGHT("new")                                             \
	"  ON CONFLICT (provider, model, uid) DO UPDATE SET batches = batches + 1,"                  \
	"  unsent = unsent + excluded.unsent, requests = requests + excluded.requests,"              \
	"  tokens = tokens + excluded.tokens;"

/* What its owner has outstanding for a job that has not ended, as a trigger sees it. */
#define IS_OPEN(row) "(" row ".state IN (0, 1, 2, 3))"
#define INPUT_BYTES(row) "ifnull((SELECT bytes FROM file WHERE id = " row ".input_file), 0)"
/* Sums that a provider's words go into must not outgrow a number; what is given back leaves no less than nothing. */
#define ADDED(sum, more) "max(0, min(4000000000000000000, " sum " + " more "))"
#define JOB_COUNT_TAKE                                                                             \
	"UPDATE job_count SET count = count - 1 WHERE uid = old.uid AND state = old.state;"
#define JOB_COUNT_ADD                                                                              \
	"INSERT INTO job_count (uid, state, count) VALUES (new.uid, new.state, 1)"                  \
	"  ON CONFLICT (uid, state) DO UPDATE SET count = count + 1;"
#define QUEUED_AT "queue = 1 AND provider = ?1 "

/* States that have ended, as the enums number them. */
#define SHARD_ENDED_STATES "(5, 7, 8)"
/* Of jobs: those that have not. */
#define JOB_OPEN_STATES "(0, 1, 2, 3)"
/* Those that nothing will wake but a person's word, and that are not asked about one by one. */
#define SHARD_HELD "(due_at = 0 AND (state < 5 OR (state = 6 AND word > 0)))"
/* The newest jobs of each of the states that are asked for: what is asked for may be few among very many. */
#define JOBS_OF_STATE(which, state)                                                                \
	"SELECT * FROM (SELECT id FROM job WHERE " which "state = " #state " AND (?3 >> " #state ") & 1 " \
	"AND id < ?2 ORDER BY id DESC LIMIT ?4)"
#define JOBS_OF_STATES(which)                                                                      \
	JOBS_OF_STATE(which, 0) " UNION ALL " JOBS_OF_STATE(which, 1) " UNION ALL "                  \
	JOBS_OF_STATE(which, 2) " UNION ALL " JOBS_OF_STATE(which, 3) " UNION ALL "                  \
	JOBS_OF_STATE(which, 4) " UNION ALL " JOBS_OF_STATE(which, 5) " UNION ALL "                  \
	JOBS_OF_STATE(which, 6) " UNION ALL " JOBS_OF_STATE(which, 7)
/* Those whose batch is looked at, and no more: nothing failed, no cancel is to be sent, no twin looked for, no file awaited. */
#define SHARD_POLLED                                                                               \
	"state = 2 AND queue = 0 AND tries = 0 AND ended_at = 0 AND absent_at >= -1 AND "            \
	"(is_cancel_sent OR (SELECT state FROM job WHERE job.id = shard.job) = 2)"
/* Of which no create may have left. */
#define SHARD_UNSENT "state IN (0, 1) AND intended_at = 0"
/* States whose step moves a whole file: upload and fetch. */
#define SHARD_TRANSFER_STATES "(0, 3)"

/* clang-format off */
static const char *const statements[SQL_COUNT] = {
	[SQL_BEGIN]    = "BEGIN IMMEDIATE",
	[SQL_COMMIT]   = "COMMIT",
	[SQL_ROLLBACK] = "ROLLBACK",
	[SQL_META_GET] = "SELECT value FROM meta WHERE name = ?1",
	[SQL_META_SET] = "INSERT INTO meta (name, value) VALUES (?1, ?2) "
			 "ON CONFLICT (name) DO UPDATE SET value = excluded.value",

	[SQL_JOB_ADD]    = "INSERT INTO job (" JOB_COLUMNS ") VALUES (" JOB_VALUES ")",
	[SQL_JOB_SAVE]   = "UPDATE job SET (" JOB_COLUMNS ") = (" JOB_VALUES ") WHERE id = ?1",
	[SQL_JOB_GET]    = "SELECT id, " JOB_COLUMNS " FROM job WHERE id = ?1",
	[SQL_JOB_LIST]       = "SELECT id, " JOB_COLUMNS " FROM job WHERE id IN (" JOBS_OF_STATES("uid = ?1 AND ") ") "
			       "ORDER BY id DESC LIMIT ?4",
	[SQL_JOB_LIST_ALL]   = "SELECT id, " JOB_COLUMNS " FROM job WHERE id IN (" JOBS_OF_STATES("") ") "
			       "ORDER BY id DESC LIMIT ?4",
	[SQL_JOB_COUNTS]     = "SELECT state, count FROM job_count WHERE uid = ?1",
	[SQL_JOB_COUNTS_ALL] = "SELECT state, sum(count) FROM job_count GROUP BY state",

	[SQL_GROUP_ADD]  = "INSERT INTO job_group (job, number, model, url, requests, bytes) "
			   "VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
	[SQL_GROUP_LIST] = "SELECT number, model, url, requests, bytes FROM job_group "
			   "WHERE job = ?1 ORDER BY number",

	[SQL_SHARD_ADD]  = "INSERT INTO shard (" SHARD_COLUMNS ", uid, priority) "
			   "VALUES (" SHARD_VALUES ", " SHARD_OF_JOB ")",
	[SQL_SHARD_SAVE] = "UPDATE shard SET (" SHARD_COLUMNS ") = (" SHARD_VALUES ") WHERE id = ?1",
	[SQL_SHARD_GET]  = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE id = ?1",
	[SQL_SHARD_MARKED] = "SELECT id FROM shard WHERE marker = ?1",
	[SQL_SHARD_LIST] = "SELECT id, " SHARD_COLUMNS " FROM shard "
			   "WHERE job = ?1 AND number > ?2 ORDER BY number LIMIT ?3",
	[SQL_SHARD_COUNT] = "SELECT count(*), count(*) FILTER (WHERE state NOT IN " SHARD_ENDED_STATES ") "
			    "FROM shard WHERE job = ?1",
	[SQL_SHARD_PROGRESS] = "SELECT ifnull(sum(remote_completed), 0), ifnull(sum(remote_failed), 0) "
			       "FROM shard WHERE job = ?1 AND state NOT IN " SHARD_ENDED_STATES,
	[SQL_SHARD_OWNER] = "SELECT id FROM shard WHERE batch_id = ?2 AND provider = ?1 AND state <> 6",
	[SQL_SHARD_FILE_OWNER] = "SELECT id FROM shard WHERE provider_file = ?2 AND provider = ?1 AND id <> ?3 "
				 "AND state NOT IN " SHARD_ENDED_STATES " LIMIT 1",
	[SQL_SHARD_LIVE] = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE state = 2 AND batch_created_at >= ?2 "
			   "AND provider = ?1 LIMIT ?3",
	[SQL_SHARD_IN_FLIGHT] = "SELECT (SELECT count(*) FROM shard WHERE state = 2 AND provider = ?1) + (SELECT count(*) "
				"FROM shard WHERE state IN (1, 2) AND state = 1 AND intended_at > 0 AND provider = ?1)",
	[SQL_SHARD_USAGE] = "SELECT model, sum(ok), sum(input_tokens), sum(output_tokens), provider, sum(tokens) FROM shard "
			    "WHERE job = ?1 AND state = 5 GROUP BY model, provider "
			    "HAVING sum(input_tokens + output_tokens) > 0 ORDER BY model, provider",
	[SQL_SHARD_WAITING] = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE job = ?1 AND state = 0 AND model = ?2 "
			      "AND url = ?3 AND attempt = ?4 AND redone <= ?5 AND due_at > ?6 AND tries = 0 AND intended_at = 0 "
			      "AND absent_at = 0 AND provider = ?7 ORDER BY number LIMIT 1",
	[SQL_SHARD_BUSY]    = "SELECT count(*) FROM shard WHERE job = ?1 AND model = ?2 AND url = ?3 AND attempt <= ?4 "
			      "AND provider = ?6 AND due_at > 0 AND state NOT IN " SHARD_ENDED_STATES " AND (state <> 0 OR due_at <= ?5)",
	[SQL_SHARD_HELD]  = "SELECT count(*), count(*) FILTER (WHERE word = 5) FROM shard WHERE job = ?1 AND " SHARD_HELD,
	[SQL_SHARD_SPEAK] = "UPDATE shard SET word = iif(word = 5, ?2, word), due_at = ?3, why = NULL "
			      "WHERE job = ?1 AND " SHARD_HELD,
	[SQL_SHARD_UNCERTAIN] = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE job = ?1 AND state = 6 "
				"ORDER BY number LIMIT ?2",
	[SQL_SHARD_SETTLE] = "UPDATE shard SET word = ?2, batch_id = ?3, due_at = ?4, tries = 0 "
			     "WHERE id = ?1 AND state = 6",
	[SQL_SHARD_KIN]    = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE job = ?1 AND state = 7 "
			     "AND batch_id IS NULL AND (intended_at > 0 OR absent_at < 0) ORDER BY number DESC LIMIT ?2",
	[SQL_SHARD_FOREMOST] = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE job = ?1 AND queue = 0 "
			       "AND state NOT IN " SHARD_ENDED_STATES " ORDER BY due_at > 0, why IS NULL, number LIMIT 1",
	[SQL_SHARD_POKE]   = "UPDATE shard SET due_at = ?2, queue = 0 "
			     "WHERE job = ?1 AND (due_at > ?2 OR queue > 0 OR state = 6 OR "
			     "(due_at = 0 AND state NOT IN " SHARD_ENDED_STATES "))",

	[SQL_DUE]          = "SELECT id, 0, due_at AS at, NULL, NULL FROM job WHERE due_at > 0 AND due_at <= ?1 UNION ALL "
			     "SELECT job, id, due_at AS at, state, provider FROM shard WHERE due_at > 0 AND due_at <= ?1 AND queue = 0 "
			     "AND state NOT IN " SHARD_TRANSFER_STATES " ORDER BY at LIMIT ?2",
	[SQL_DUE_TRANSFERS] = "SELECT job, id, due_at AS at, state, iif(state = 3 AND remote_output IS NULL AND remote_error IS NULL, "
			      "NULL, provider) FROM shard WHERE due_at > 0 AND due_at <= ?1 AND queue = 0 AND state IN " SHARD_TRANSFER_STATES " AND (?3 IS NULL OR provider = ?3) ORDER BY at LIMIT ?2",
	[SQL_HOLD_JOB]    = "UPDATE job SET due_at = 0, why = ?2 WHERE id = ?1",
	[SQL_HOLD_SHARD]  = "UPDATE shard SET due_at = 0, why = ?2, "
			    "admitted_at = iif(state IN (0, 1) AND intended_at = 0, 0, admitted_at) WHERE id = ?1",
	[SQL_PULL_JOBS]   = "UPDATE job SET due_at = ?1 WHERE due_at > 0 AND due_at > ?2",
	/* An index that holds some rows alone is used where its very condition stands in the statement. */
	[SQL_PULL_SHARDS] = "UPDATE shard SET due_at = ?1 WHERE due_at > 0 AND queue = 0 AND due_at > ?2",
	/* Of those that wait for a place it is since when they do. */
	[SQL_PULL_QUEUE] = "UPDATE shard SET due_at = ?1 WHERE queue = 1 AND due_at > ?1",
	[SQL_PULL_STRAYS] = "UPDATE stray SET due_at = ?1 WHERE due_at > ?2 AND kind <> 2",
	/* Results are kept for a while: it begins anew where it began in what is now to come. */
	[SQL_PULL_RESULTS] = "UPDATE stray SET due_at = ?1 + due_at - sent_at, sent_at = ?1 WHERE kind = 2 AND sent_at > ?1",
	[SQL_ABSENT_ANEW] = "UPDATE shard SET absent_at = ?1 WHERE absent_at > 0 AND state IN (0, 1)",
	[SQL_NEXT_DUE] = "SELECT min(at) FROM (SELECT min(due_at) AS at FROM job WHERE due_at > 0 AND due_at > ?1 "
			 "UNION ALL SELECT min(due_at) AS at FROM shard WHERE due_at > 0 AND due_at > ?1 AND queue = 0 "
			 "UNION ALL SELECT min(deadline_at) AS at FROM job INDEXED BY job_deadline WHERE deadline_at > 0 AND deadline_at > ?1 "
			 "AND state IN (0, 1, 2))",

	[SQL_POLLS_COUNT]   = "SELECT count(*) FROM shard WHERE state = 2 AND provider = ?1",
	[SQL_POLLS_BEFORE]  = "SELECT id FROM shard WHERE state = 2 AND provider = ?1 AND batch_created_at < ?2",
	[SQL_POLLS_DUE]     = "SELECT 1 FROM shard INDEXED BY shard_due WHERE due_at > 0 AND due_at <= ?2 "
			      "AND " SHARD_POLLED " AND provider = ?1 AND batch_created_at >= ?3 LIMIT 1",
	[SQL_POLLS_PUT_OFF] = "UPDATE shard SET due_at = ?4 WHERE id IN (SELECT id FROM shard INDEXED BY shard_due "
			      "WHERE due_at > 0 AND due_at <= ?2 AND " SHARD_POLLED " AND provider = ?1 "
			      "AND batch_created_at >= ?3)",
	/* Spread over the time, and the same for a shard however often this is done. */
	[SQL_POLLS_PULL]    = "UPDATE shard SET due_at = ?2 + id * 7919 % ?3 WHERE id IN (SELECT id FROM shard "
			      "INDEXED BY shard_polled WHERE state = 2 AND provider = ?1 AND due_at > ?2 + ?3 "
			      "AND batch_created_at < ?4 AND " SHARD_POLLED " LIMIT ?5)",
	[SQL_POLLS_NOTE]    = "UPDATE shard SET remote_status = ?2, remote_completed = ?3, remote_failed = ?4, polls = ?5, "
			      "changed_at = ?6, due_at = ?7, why = ?8 WHERE id = ?1 AND state = 2",
	[SQL_SHARD_UNDER_WAY] = "SELECT provider, model, length(requests), count(*), max(batch_created_at), "
				"max(state IN (0, 1, 6)), max(state = 2) FROM shard "
				"WHERE job = ?1 AND state NOT IN " SHARD_ENDED_STATES " GROUP BY provider, model, length(requests)",

	/* Not (priority, uid, model) < (?2, ?3, ?4): SQLite would look at every shard of the line that is left. */
	[SQL_QUEUE_NEXT]  = "SELECT * FROM (SELECT model, priority, uid FROM shard WHERE " QUEUED_AT "AND priority = ?2 "
			    "AND uid = ?3 AND model < ?4 ORDER BY model DESC LIMIT 1) UNION ALL "
			    "SELECT * FROM (SELECT model, priority, uid FROM shard WHERE " QUEUED_AT "AND priority = ?2 "
			    "AND uid < ?3 ORDER BY uid DESC, model DESC LIMIT 1) UNION ALL "
			    "SELECT * FROM (SELECT model, priority, uid FROM shard WHERE " QUEUED_AT "AND priority < ?2 "
			    "ORDER BY priority DESC, uid DESC, model DESC LIMIT 1) LIMIT 1",
	[SQL_QUEUE_HEAD]  = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE queue = 1 AND provider = ?1 AND model = ?2 "
			    "AND priority = ?3 AND uid = ?4 ORDER BY job, number LIMIT 1",
	[SQL_QUEUE_SMALL] = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE id = (SELECT id FROM (SELECT id, job, number, bytes, "
			    "requests FROM shard WHERE queue = 1 AND provider = ?1 AND model = ?2 AND priority = ?3 "
			    "AND uid = ?4 AND (job, number) > (?5, ?6) ORDER BY job, number LIMIT ?9) "
			    "WHERE bytes <= ?7 AND requests <= ?8 ORDER BY job, number LIMIT 1)",
	[SQL_QUEUE_LAST]  = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE queue = 1 AND provider = ?1 AND model = ?2 "
			    "AND priority = ?3 AND uid = ?4 AND job = ?5 ORDER BY number DESC LIMIT 1",
	[SQL_QUEUE_EXPEL] = "UPDATE shard SET queue = 0, due_at = ?5 WHERE id = (SELECT id FROM shard WHERE queue = 1 "
			    "AND provider = ?1 AND model = ?2 AND priority = ?3 AND uid = ?4 ORDER BY job, number LIMIT 1)",
	[SQL_QUEUE_AHEAD] = "SELECT count(*) FROM (SELECT 1 FROM shard AS other JOIN shard AS own ON own.id = ?1 "
			    "WHERE other.queue = 1 AND other.provider = own.provider AND other.priority = own.priority "
			    "AND other.uid = own.uid AND other.model = own.model "
			    "AND (other.job, other.number) < (own.job, own.number) LIMIT ?2)",
	[SQL_QUEUE_LENGTH] = "SELECT count(*) FROM (SELECT 1 FROM shard WHERE " QUEUED_AT "LIMIT ?2)",
	[SQL_QUEUE_FIRST] = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE job = ?1 AND queue = 1 AND NOT EXISTS "
			    "(SELECT 1 FROM shard WHERE job = ?1 AND queue = 0 AND state NOT IN " SHARD_ENDED_STATES ") "
			    "ORDER BY number LIMIT 1",
	[SQL_QUEUE_PARK]  = "UPDATE shard SET queue = 2 WHERE job = ?1 AND queue = 1",
	[SQL_QUEUE_RELEASE] = "UPDATE shard SET queue = 1 WHERE job = ?1 AND queue = 2",
	[SQL_QUEUE_PLACED] = "SELECT id, " SHARD_COLUMNS " FROM shard WHERE job = ?1 AND number > ?2 AND queue = 0 AND due_at > 0 "
			     "AND state IN (0, 1) AND intended_at = 0 ORDER BY number LIMIT 1",
	[SQL_QUEUE_PRIORITY] = "UPDATE shard SET priority = ?2 WHERE job = ?1 AND state NOT IN " SHARD_ENDED_STATES,
	[SQL_UNSENT_PROVIDER] = "SELECT provider FROM shard WHERE " SHARD_UNSENT " AND provider > ?1 "
				"ORDER BY provider LIMIT 1",
	[SQL_UNSENT_NEXT] = "SELECT id, job, number FROM shard WHERE " SHARD_UNSENT " AND provider = ?1 "
			    "AND (job, number) > (?2, ?3) ORDER BY job, number LIMIT 1",
	[SQL_FLIGHT]      = "SELECT model, uid, batches, unsent, requests, tokens FROM flight WHERE provider = ?1 "
			    "ORDER BY model, uid",

	[SQL_JOB_WAKE_AFTER]  = "UPDATE job SET due_at = ?2 WHERE after_job = ?1 AND after_job > 0 "
				"AND state = 1 AND due_at > ?2",
	/* Left alone SQLite goes through all jobs that have not ended. */
	[SQL_DEADLINE_DUE]    = "SELECT id FROM job INDEXED BY job_deadline WHERE deadline_at BETWEEN 1 AND ?1 AND deadline_at > 0 "
				"AND state IN (0, 1, 2) AND finalizing_at = 0 ORDER BY deadline_at LIMIT ?2",
	[SQL_DEADLINES_SHIFT] = "UPDATE job INDEXED BY job_deadline SET deadline_at = max(1, deadline_at + ?1) "
				"WHERE deadline_at > 0 AND state IN (0, 1, 2)",
	[SQL_OUTSTANDING]     = "SELECT jobs, requests, bytes FROM outstanding WHERE uid = ?1",
	[SQL_JOB_SPEND]       = "UPDATE job SET spent_tokens = " ADDED("spent_tokens", "?2") ", "
				"spent_cost = " ADDED("spent_cost", "?3") " WHERE id = ?1",
	[SQL_SPENDING_ADD]    = "INSERT INTO spending (uid, day, tokens, cost) VALUES (?1, ?2, max(0, ?3), max(0, ?4)) "
				"ON CONFLICT (uid, day) DO UPDATE SET tokens = " ADDED("tokens", "?3") ", "
				"cost = " ADDED("cost", "?4"),
	[SQL_SPENDING_GET]    = "SELECT tokens, cost FROM spending WHERE uid = ?1 AND day = ?2",
	[SQL_GROUP_LEARN]     = "UPDATE job_group SET estimated = " ADDED("estimated", "?4") ", "
				"input_tokens = " ADDED("input_tokens", "?5") ", "
				"output_tokens = " ADDED("output_tokens", "?6") " WHERE job = ?1 AND model = ?2 AND url = ?3",
	[SQL_GROUP_LEARNED]   = "SELECT estimated, input_tokens, output_tokens FROM job_group "
				"WHERE job = ?1 AND model = ?2 AND url = ?3 LIMIT 1",

	[SQL_LEARNED_GET] = "SELECT value, words, at FROM learned WHERE provider = ?1 AND model = ?2 AND name = ?3",
	[SQL_LEARNED_SET] = "INSERT INTO learned (provider, model, name, value, words, at) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
			    "ON CONFLICT (provider, model, name) DO UPDATE SET "
			    "(value, words, at) = (excluded.value, excluded.words, excluded.at)",
	[SQL_LEARNED_REMOVE] = "DELETE FROM learned WHERE provider = ?1 AND model = ?2 AND name = ?3",
	[SQL_LEARNED_LIST] = "SELECT model, name, value, words, at FROM learned WHERE provider = ?1 ORDER BY model, name",

	[SQL_FILE_ADD]    = "INSERT INTO file (uid, purpose, name, bytes, created_at, expires_at, is_deleted, digest) "
			    "VALUES (?1, ?2, ?3, ?4, ?5, ?6, 0, ?7)",
	[SQL_FILE_GET]    = "SELECT " FILE_COLUMNS " FROM file WHERE id = ?1",
	[SQL_FILE_DELETE] = "UPDATE file SET is_deleted = max(is_deleted, 1) WHERE id = ?1",
	[SQL_FILE_LIST_UP]       = "SELECT " FILE_COLUMNS " FROM file " FILE_LIST_WHERE
				   "AND uid = ?1 AND id > ?3 ORDER BY id LIMIT ?5",
	[SQL_FILE_LIST_UP_ALL]   = "SELECT " FILE_COLUMNS " FROM file " FILE_LIST_WHERE
				   "AND id > ?3 ORDER BY id LIMIT ?5",
	[SQL_FILE_LIST_DOWN]     = "SELECT " FILE_COLUMNS " FROM file " FILE_LIST_WHERE
				   "AND uid = ?1 AND id < ?3 ORDER BY id DESC LIMIT ?5",
	[SQL_FILE_LIST_DOWN_ALL] = "SELECT " FILE_COLUMNS " FROM file " FILE_LIST_WHERE
				   "AND id < ?3 ORDER BY id DESC LIMIT ?5",
	[SQL_FILE_WALK]          = "SELECT " FILE_COLUMNS ", ifnull((SELECT length(bytes) FROM file_bytes "
				   "WHERE file_bytes.file = file.id), -1) FROM file WHERE id > ?1 ORDER BY id LIMIT ?2",
	[SQL_FILE_REMOVE]        = "DELETE FROM file WHERE id = ?1",
	[SQL_FILE_EXPIRED]       = "SELECT " FILE_COLUMNS " FROM file WHERE is_deleted < 2 AND expires_at > 0 AND expires_at <= ?1 "
				   "AND NOT EXISTS (SELECT 1 FROM job WHERE input_file = file.id AND state IN " JOB_OPEN_STATES ") "
				   "ORDER BY expires_at LIMIT ?2",
	[SQL_FILE_EMPTY]         = "UPDATE file SET is_deleted = 2 WHERE id = ?1",
	[SQL_FILE_DROP]          = "DELETE FROM file_bytes WHERE file = ?1",
	[SQL_FILE_NEEDED]        = "SELECT 1 FROM job WHERE input_file = ?1 LIMIT 1",
	[SQL_FILE_PUT]    = "INSERT INTO file_bytes (file, bytes) VALUES (?1, ?2)",
	[SQL_FILE_BYTES]  = "SELECT bytes FROM file_bytes WHERE file = ?1",

	[SQL_RECORD_PUT]   = "INSERT INTO record (job, name, bytes) VALUES (?1, ?2, ?3) "
			     "ON CONFLICT (job, name) DO UPDATE SET bytes = excluded.bytes",
	[SQL_RECORD_BYTES] = "SELECT bytes FROM record WHERE job = ?1 AND name = ?2",
	[SQL_RECORD_SIZE]  = "SELECT length(bytes) FROM record WHERE job = ?1 AND name = ?2",
	[SQL_RECORD_REMOVE] = "DELETE FROM record WHERE job = ?1 AND name = ?2",
	[SQL_RECORD_CLEAR] = "DELETE FROM record WHERE job = ?1",

	[SQL_EVENT_ADD]  = "INSERT INTO event (job, shard, at, type, level, message, is_last) "
			   "VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
	[SQL_EVENT_LIST] = "SELECT seq, job, shard, at, type, level, message, is_last FROM event "
			   "WHERE job = ?1 AND seq > ?2 ORDER BY seq LIMIT ?3",
	[SQL_EVENT_NEWEST] = "SELECT max(seq) FROM event",
	[SQL_EVENT_LAST] = "SELECT max(seq) FROM event WHERE job = ?1",

	[SQL_DIGEST_GET]   = "SELECT sample, count, rows FROM digest WHERE job = ?1 AND code = ?2 AND gist = ?3",
	[SQL_DIGEST_COUNT] = "SELECT count(*) FROM digest WHERE job = ?1",
	[SQL_DIGEST_PUT]   = "INSERT INTO digest (job, code, gist, sample, count, rows) VALUES (?1, ?2, ?3, ?4, ?5, ?6) "
			     "ON CONFLICT (job, code, gist) DO UPDATE SET count = excluded.count, rows = excluded.rows",
	[SQL_DIGEST_LIST]  = "SELECT code, gist, sample, count, rows FROM digest WHERE job = ?1 "
			     "ORDER BY count DESC, code, gist LIMIT ?2",

	[SQL_KEY_ADD] = "INSERT INTO idempotency (uid, name, digest, job, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
	[SQL_KEY_GET] = "SELECT digest, job FROM idempotency WHERE uid = ?1 AND name = ?2",

	[SQL_LIST_FAILED]       = "SELECT list_failed_at FROM provider WHERE name = ?1",
	[SQL_LIST_NOTE_FAILURE] = "INSERT INTO provider (name, list_failed_at, list_seen_at) VALUES (?1, ?2, 0) "
				  "ON CONFLICT (name) DO UPDATE SET list_failed_at = excluded.list_failed_at",
	[SQL_LIST_SEEN]         = "SELECT list_seen_at FROM provider WHERE name = ?1",
	[SQL_LIST_NOTE_SEEN]    = "INSERT INTO provider (name, list_failed_at, list_seen_at) VALUES (?1, 0, ?2) "
				  "ON CONFLICT (name) DO UPDATE SET list_seen_at = excluded.list_seen_at",

	[SQL_PAUSE_SET]     = "INSERT INTO provider (name, list_failed_at, list_seen_at, paused_at, paused_by, paused_why) "
			      "VALUES (?1, 0, 0, ?2, ?3, ?4) ON CONFLICT (name) DO UPDATE SET "
			      "(paused_at, paused_by, paused_why) = (excluded.paused_at, excluded.paused_by, excluded.paused_why)",
	[SQL_PAUSE_GET]     = "SELECT paused_at, paused_by, paused_why FROM provider WHERE name = ?1 AND paused_at > 0",
	[SQL_PROVIDER_POKE] = "UPDATE shard SET due_at = min(due_at, ?2 + place * ?3) FROM "
			      "(SELECT id AS waiting, row_number() OVER (ORDER BY due_at, id) - 1 AS place FROM shard "
			      "WHERE due_at > 0 AND due_at > ?2 AND queue = 0 AND provider = ?1) WHERE id = waiting",
	/* By minutes, out of the history, which is in the order of time: there is no index of shards by that. */
	[SQL_CREATED_SINCE] = "SELECT max(at), count(*) FROM "
			      "(SELECT job, shard, at, type FROM event ORDER BY seq DESC LIMIT ?3) AS late "
			      "CROSS JOIN shard ON shard.job = late.job AND shard.number = late.shard "
			      "WHERE type = 'shard.created' AND at > ?2 AND provider = ?1 GROUP BY at / ?4",

	[SQL_RESTORED_SHARDS]  = "UPDATE shard SET absent_at = 0, queue = 0, admitted_at = max(admitted_at, 1), intended_at = "
				 "CASE WHEN intended_at BETWEEN 1 AND ?1 THEN intended_at ELSE ?1 END "
				 "WHERE state IN (0, 1)",
	/* What SQLite itself keeps of AUTOINCREMENT; a table that never had a row has none there. */
	[SQL_RESTORED_NUMBERS] = "UPDATE sqlite_sequence SET seq = seq + ?1 WHERE name IN ('job', 'file')",
	[SQL_RESTORED_FIRST_NUMBERS] = "INSERT INTO sqlite_sequence (name, seq) SELECT column1, ?1 "
				       "FROM (VALUES ('job'), ('file')) "
				       "WHERE column1 NOT IN (SELECT name FROM sqlite_sequence)",
	[SQL_RESTORED_EVENTS]  = "INSERT INTO event (job, shard, at, type, level, message, is_last) "
				 "SELECT id, 0, ?1, 'job.note', 'warning', ?2, 0 FROM job "
				 "WHERE state IN " JOB_OPEN_STATES " ORDER BY id",

	[SQL_DEATH_ADD]    = "INSERT INTO death (job, shard, step, count) SELECT id, ?2, ?3, 1 FROM job WHERE id = ?1 "
			     "ON CONFLICT (job, shard, step) DO UPDATE SET count = count + 1",
	[SQL_DEATH_COUNT]  = "SELECT count FROM death WHERE job = ?1 AND shard = ?2 AND step = ?3",
	[SQL_DEATH_TOTAL]  = "SELECT count(*) FROM death",
	[SQL_DEATH_FORGET] = "DELETE FROM death WHERE job = ?1 AND (?2 < 0 OR shard = ?2)",

	[SQL_STRAY_ADD]    = "INSERT INTO stray (" STRAY_COLUMNS ") VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
	[SQL_STRAY_SAVE]   = "UPDATE stray SET due_at = ?2, tries = ?3 WHERE id = ?1",
	[SQL_STRAY_REMOVE] = "DELETE FROM stray WHERE id = ?1",
	[SQL_STRAY_NAMED]  = "SELECT 1 FROM stray WHERE shard = ?1 AND file_id IS NULL",
	[SQL_STRAY_FORGET] = "DELETE FROM stray WHERE shard = ?1 AND file_id IS NULL",
	[SQL_STRAY_DUE]    = "SELECT id, EXISTS (SELECT 1 FROM shard WHERE shard.id = stray.shard "
			     "AND state NOT IN " SHARD_ENDED_STATES "), " STRAY_COLUMNS " FROM stray "
			     "WHERE due_at <= ?3 AND provider = ?1 AND (file_id IS NULL) = ?2 ORDER BY due_at LIMIT ?4",
	[SQL_STRAY_NEXT_DUE] = "SELECT min(due_at) FROM stray WHERE due_at > ?1",
	/* A shard that was dropped needs none: its rows, and its file where that is used further, are another's. */
	[SQL_STRAY_USED]   = "SELECT 1 FROM shard WHERE provider_file = ?1 AND state <> 7 LIMIT 1",
	/* Nor does one that has ended, unless a batch of its file may yet run there: it was cancelled while that could not be told. */
	[SQL_STRAY_NEEDED] = "SELECT 1 FROM shard WHERE provider_file = ?1 "
			     "AND (state NOT IN " SHARD_ENDED_STATES " OR (state = 8 AND intended_at > 0)) "
			     "UNION ALL SELECT 1 FROM shard WHERE state IN (3, 4) AND (remote_output = ?1 OR remote_error = ?1) "
			     "LIMIT 1",
	[SQL_STRAY_KNOWN]  = "SELECT 1 FROM stray WHERE file_id = ?2 AND provider = ?1 LIMIT 1",
};

static const char *const migrations[] = {
	/* 0 -> 1: the first schema. Times are Unix milliseconds, 0 is "never". */
	"CREATE TABLE meta (name TEXT PRIMARY KEY, value INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
	/* One row a job. Ids are never used again, so that a removed job's number is not another's. */
	"CREATE TABLE job ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, state INTEGER NOT NULL, uid INTEGER NOT NULL,"
	"  input_file INTEGER NOT NULL, output_file INTEGER NOT NULL, error_file INTEGER NOT NULL,"
	"  endpoint TEXT NOT NULL, window TEXT NOT NULL, metadata TEXT, file_name TEXT, provider TEXT NOT NULL,"
	"  errors TEXT, errors_total INTEGER NOT NULL, output_expires_s INTEGER NOT NULL,"
	"  total INTEGER NOT NULL, ok INTEGER NOT NULL, failed INTEGER NOT NULL, cancelled INTEGER NOT NULL,"
	"  expired INTEGER NOT NULL, missing INTEGER NOT NULL,"
	"  created_at INTEGER NOT NULL, in_progress_at INTEGER NOT NULL, finalizing_at INTEGER NOT NULL,"
	"  completed_at INTEGER NOT NULL, failed_at INTEGER NOT NULL, expired_at INTEGER NOT NULL,"
	"  cancelling_at INTEGER NOT NULL, cancelled_at INTEGER NOT NULL,"
	"  due_at INTEGER NOT NULL, tries INTEGER NOT NULL, why TEXT) STRICT;"
	"CREATE INDEX job_due ON job (due_at) WHERE due_at > 0;"
	"CREATE INDEX job_uid ON job (uid, id);"
	"CREATE INDEX job_uid_state ON job (uid, state);"
	"CREATE INDEX job_state ON job (state);"
	"CREATE INDEX job_input ON job (input_file);"
	"CREATE TABLE job_group ("
	"  job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE, number INTEGER NOT NULL,"
	"  model TEXT NOT NULL, url TEXT NOT NULL, requests INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	"  PRIMARY KEY (job, number)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE shard ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,"
	"  number INTEGER NOT NULL, state INTEGER NOT NULL, model TEXT NOT NULL, url TEXT NOT NULL,"
	"  requests INTEGER NOT NULL, bytes INTEGER NOT NULL, attempt INTEGER NOT NULL,"
	"  marker TEXT NOT NULL UNIQUE, provider_file TEXT, intended_at INTEGER NOT NULL, absent_at INTEGER NOT NULL,"
	"  batch_id TEXT, remote_status TEXT, remote_completed INTEGER NOT NULL, remote_failed INTEGER NOT NULL,"
	"  remote_output TEXT, remote_error TEXT, is_cancel_sent INTEGER NOT NULL, uploaded_at INTEGER NOT NULL,"
	"  batch_created_at INTEGER NOT NULL, ended_at INTEGER NOT NULL, due_at INTEGER NOT NULL,"
	"  tries INTEGER NOT NULL, polls INTEGER NOT NULL, redone INTEGER NOT NULL, refusal TEXT, why TEXT, UNIQUE (job, number)) STRICT;"
	"CREATE INDEX shard_due ON shard (due_at) WHERE due_at > 0;"
	"CREATE INDEX shard_batch ON shard (batch_id) WHERE batch_id IS NOT NULL;"
	"CREATE INDEX shard_live ON shard (state) WHERE state IN (1, 2);"
	/* What the front door calls a file. Small ones have their bytes beside, large ones under files/. */
	"CREATE TABLE file ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, uid INTEGER NOT NULL, purpose TEXT NOT NULL, name TEXT,"
	"  bytes INTEGER NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL,"
	"  is_deleted INTEGER NOT NULL) STRICT;"
	"CREATE INDEX file_uid ON file (uid, id);"
	"CREATE TABLE file_bytes (file INTEGER PRIMARY KEY REFERENCES file (id) ON DELETE CASCADE,"
	"  bytes BLOB NOT NULL) STRICT;"
	/* Small records and downloads of small jobs. */
	"CREATE TABLE record (job INTEGER NOT NULL, name TEXT NOT NULL, bytes BLOB NOT NULL,"
	"  PRIMARY KEY (job, name)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE event ("
	"  seq INTEGER PRIMARY KEY AUTOINCREMENT, job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE,"
	"  shard INTEGER NOT NULL, at INTEGER NOT NULL, type TEXT NOT NULL, level TEXT NOT NULL,"
	"  message TEXT NOT NULL, is_last INTEGER NOT NULL) STRICT;"
	"CREATE INDEX event_job ON event (job, seq);"
	"CREATE TABLE idempotency (uid INTEGER NOT NULL, name TEXT NOT NULL, digest BLOB NOT NULL,"
	"  job INTEGER NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (uid, name)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE provider (name TEXT PRIMARY KEY, list_failed_at INTEGER NOT NULL,"
	"  list_seen_at INTEGER NOT NULL) STRICT, WITHOUT ROWID;",
	/* 1 -> 2: every request accounted for: what was found in results, and what was chosen at submit. */
	"ALTER TABLE job ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN invalid INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN resent INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN twice INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN labels TEXT;"
	"ALTER TABLE job ADD COLUMN model TEXT;"
	"ALTER TABLE job ADD COLUMN skips_invalid INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN is_wrapped INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN has_line_ids INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN max_attempts INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN retry_of INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN refusal_code TEXT;"
	"ALTER TABLE shard ADD COLUMN inputs INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN tokens INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN word INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN ok INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN cancelled INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN expired INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN missing INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN lost INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN again INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN resent INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN twice INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN unknown INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN unreadable INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN waits INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN missed_at INTEGER NOT NULL DEFAULT 0;"
	/* The failures of a job by what they say: sample is the first message of those that differ in numbers alone, rows the first few. */
	"CREATE TABLE digest ("
	"  job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE, code TEXT NOT NULL, gist TEXT NOT NULL,"
	"  sample TEXT NOT NULL, count INTEGER NOT NULL, rows TEXT NOT NULL,"
	"  PRIMARY KEY (job, code, gist)) STRICT, WITHOUT ROWID;",
	/* 2 -> 3: trust. What a file's bytes were; how often a step ended the daemon; files that a provider may have and nobody needs. */
	"ALTER TABLE file ADD COLUMN digest INTEGER NOT NULL DEFAULT 0;"
	"CREATE TABLE death ("
	"  job INTEGER NOT NULL REFERENCES job (id) ON DELETE CASCADE, shard INTEGER NOT NULL, step TEXT NOT NULL,"
	"  count INTEGER NOT NULL, PRIMARY KEY (job, shard, step)) STRICT, WITHOUT ROWID;"
	"CREATE TABLE stray ("
	"  id INTEGER PRIMARY KEY AUTOINCREMENT, provider TEXT NOT NULL, shard INTEGER NOT NULL, name TEXT NOT NULL,"
	"  file_id TEXT, bytes INTEGER NOT NULL, sent_at INTEGER NOT NULL, due_at INTEGER NOT NULL,"
	"  tries INTEGER NOT NULL) STRICT;"
	"CREATE INDEX stray_due ON stray (due_at);"
	"CREATE INDEX stray_shard ON stray (shard);"
	"CREATE INDEX shard_file ON shard (provider_file) WHERE provider_file IS NOT NULL;",
	/* 3 -> 4: many providers, and an order among those who wait for them. */
	"ALTER TABLE job ADD COLUMN providers TEXT;"
	/* Jobs from before there were routes stay with their provider. */
	"UPDATE job SET providers = provider;"
	"ALTER TABLE job ADD COLUMN priority INTEGER NOT NULL DEFAULT 50;"
	"ALTER TABLE job ADD COLUMN begin_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN after_job INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN deadline_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN is_on_hold INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN is_expiring INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN budget_tokens INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN budget_cost INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN spent_tokens INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job ADD COLUMN spent_cost INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN provider TEXT NOT NULL DEFAULT '';"
	"ALTER TABLE shard ADD COLUMN uid INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN priority INTEGER NOT NULL DEFAULT 50;"
	"ALTER TABLE shard ADD COLUMN queue INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN admitted_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN reserved_tokens INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN reserved_cost INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN changed_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN budgeted_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE shard ADD COLUMN budgeted_tokens INTEGER NOT NULL DEFAULT 0;"
	/* What the answers of a group used, against what was estimated for their requests. */
	"ALTER TABLE job_group ADD COLUMN estimated INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job_group ADD COLUMN input_tokens INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE job_group ADD COLUMN output_tokens INTEGER NOT NULL DEFAULT 0;"
	"UPDATE shard SET (provider, uid) = (SELECT provider, uid FROM job WHERE job.id = shard.job);"
	/* What was on its way goes on; what waits to be sent waits in the queue. */
	"UPDATE shard SET admitted_at = max(uploaded_at, batch_created_at, intended_at, 1), reserved_tokens = tokens "
	"  WHERE state IN (2, 6) OR (state IN (0, 1) AND intended_at > 0);"
	"UPDATE shard SET queue = 1 WHERE state IN (0, 1) AND intended_at = 0 AND due_at > 0"
	"  AND job IN (SELECT id FROM job WHERE state IN (1, 2));"
	"DROP INDEX shard_due;"
	"CREATE INDEX shard_due ON shard (due_at) WHERE due_at > 0 AND queue = 0;"
	"CREATE INDEX shard_queue ON shard (provider, priority, uid, model, job, number) WHERE queue = 1;"
	/* How many jobs are in each state, added up by the triggers below and by nobody else. */
	"CREATE TABLE job_count (uid INTEGER NOT NULL, state INTEGER NOT NULL, count INTEGER NOT NULL,"
	"  PRIMARY KEY (uid, state)) STRICT, WITHOUT ROWID;"
	"INSERT INTO job_count SELECT uid, state, count(*) FROM job GROUP BY uid, state;"
	"CREATE TRIGGER job_count_begins AFTER INSERT ON job BEGIN " JOB_COUNT_ADD " END;"
	"CREATE TRIGGER job_count_moves AFTER UPDATE ON job WHEN old.state <> new.state"
	"  BEGIN " JOB_COUNT_TAKE " " JOB_COUNT_ADD " END;"
	"CREATE TRIGGER job_count_ends AFTER DELETE ON job BEGIN " JOB_COUNT_TAKE " END;"
	/* What is polled; and what was looked for in vain, which is next to nothing. */
	"CREATE INDEX shard_polled ON shard (provider, batch_created_at) WHERE state = 2;"
	"CREATE INDEX shard_absent ON shard (absent_at) WHERE absent_at > 0;"
	"UPDATE shard SET changed_at = batch_created_at WHERE state = 2;"
	"CREATE INDEX shard_unsent ON shard (provider, job, number) WHERE " SHARD_UNSENT ";"
	/* What is under way at the providers, by whom, added up from the shards by the triggers below and by nobody else. */
	"CREATE TABLE flight ("
	"  provider TEXT NOT NULL, model TEXT NOT NULL, uid INTEGER NOT NULL, batches INTEGER NOT NULL,"
	"  unsent INTEGER NOT NULL, requests INTEGER NOT NULL, tokens INTEGER NOT NULL,"
	"  PRIMARY KEY (provider, model, uid)) STRICT, WITHOUT ROWID;"
	"INSERT INTO flight SELECT provider, model, uid, count(*), count(*) FILTER (WHERE " UNSENT("shard") "),"
	"  sum(requests), sum(reserved_tokens) FROM shard WHERE admitted_at > 0 AND state IN (0, 1, 2, 6)"
	"  GROUP BY provider, model, uid;"
	"CREATE TRIGGER flight_begins AFTER INSERT ON shard WHEN " IN_FLIGHT("new") " BEGIN " FLIGHT_ADD " END;"
	"CREATE TRIGGER flight_moves AFTER UPDATE ON shard"
	"  WHEN (" IN_FLIGHT("old") " OR " IN_FLIGHT("new") ") AND (old.state <> new.state"
	"  OR (old.admitted_at > 0) <> (new.admitted_at > 0) OR old.reserved_tokens <> new.reserved_tokens"
	"  OR " UNSENT("old") " <> " UNSENT("new") ")"
	"  BEGIN " FLIGHT_TAKE " " FLIGHT_ADD " END;"
	"CREATE TRIGGER flight_ends AFTER DELETE ON shard WHEN " IN_FLIGHT("old") " BEGIN " FLIGHT_TAKE " END;"
	/* What providers taught us: name says of what, model is '' where it is of the provider. */
	"CREATE TABLE learned ("
	"  provider TEXT NOT NULL, model TEXT NOT NULL, name TEXT NOT NULL, value INTEGER NOT NULL, words TEXT,"
	"  at INTEGER NOT NULL, PRIMARY KEY (provider, model, name)) STRICT, WITHOUT ROWID;"
	/* A person's pause of a provider. */
	"ALTER TABLE provider ADD COLUMN paused_at INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE provider ADD COLUMN paused_by INTEGER NOT NULL DEFAULT 0;"
	"ALTER TABLE provider ADD COLUMN paused_why TEXT;"
	/* What a user's requests used, or may use, on a day (days since 1970, UTC). */
	"CREATE TABLE spending ("
	"  uid INTEGER NOT NULL, day INTEGER NOT NULL, tokens INTEGER NOT NULL, cost INTEGER NOT NULL,"
	"  PRIMARY KEY (uid, day)) STRICT, WITHOUT ROWID;"
	/* Files that a batch was made of are deleted there too, once its answers are here: kind tells why a stray is one. */
	"ALTER TABLE stray ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;"
	"CREATE INDEX stray_file ON stray (file_id) WHERE file_id IS NOT NULL;"
	"CREATE INDEX shard_results ON shard (state) WHERE state IN (3, 4);"
	"CREATE INDEX file_expiry ON file (expires_at) WHERE is_deleted < 2 AND expires_at > 0;"
	/* What users have in jobs that have not ended, added up by the triggers below and by nobody else. */
	"CREATE TABLE outstanding ("
	"  uid INTEGER PRIMARY KEY, jobs INTEGER NOT NULL, requests INTEGER NOT NULL, bytes INTEGER NOT NULL) STRICT;"
	"INSERT INTO outstanding SELECT uid, count(*), sum(total), sum(" INPUT_BYTES("job") ") FROM job"
	"  WHERE " IS_OPEN("job") " GROUP BY uid;"
	"CREATE TRIGGER outstanding_begins AFTER INSERT ON job WHEN " IS_OPEN("new") " BEGIN"
	"  INSERT INTO outstanding (uid, jobs, requests, bytes) VALUES (new.uid, 1, new.total, " INPUT_BYTES("new") ")"
	"  ON CONFLICT (uid) DO UPDATE SET jobs = jobs + 1, requests = requests + excluded.requests,"
	"  bytes = bytes + excluded.bytes; END;"
	"CREATE TRIGGER outstanding_moves AFTER UPDATE OF state, total ON job"
	"  WHEN " IS_OPEN("old") " <> " IS_OPEN("new") " OR (" IS_OPEN("new") " AND old.total <> new.total) BEGIN"
	"  UPDATE outstanding SET jobs = jobs + " IS_OPEN("new") " - " IS_OPEN("old") ","
	"  requests = requests + " IS_OPEN("new") " * new.total - " IS_OPEN("old") " * old.total,"
	"  bytes = bytes + (" IS_OPEN("new") " - " IS_OPEN("old") ") * " INPUT_BYTES("new") " WHERE uid = new.uid; END;"
	"CREATE TRIGGER outstanding_ends AFTER DELETE ON job WHEN " IS_OPEN("old") " BEGIN"
	"  UPDATE outstanding SET jobs = jobs - 1, requests = requests - old.total, bytes = bytes - " INPUT_BYTES("old")
	"  WHERE uid = old.uid; END;"
	"CREATE INDEX job_after ON job (after_job) WHERE after_job > 0;"
	"CREATE INDEX job_deadline ON job (deadline_at) WHERE deadline_at > 0 AND state IN (0, 1, 2);",
};
/* clang-format on */

const char *store_sql_text(enum sql which)
{
	return statements[which];
}

const char *store_sql_migration(size_t version)
{
	return version < ARRAY_SIZE(migrations) ? migrations[version] : NULL;
}
