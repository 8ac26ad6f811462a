#include "tests/world/judge_world.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <malloc.h>
#include <sqlite3.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store_sql.h"
#include "daemon/model/job.h"
#include "tests/world/ledger.h"
#include "tests/world/world.h"

static sqlite3_stmt *ask(struct world *world, const char *sql)
{
	sqlite3_stmt *statement = NULL;

	(void)sqlite3_prepare_v2(world->store->db, sql, -1, &statement, NULL);
	return statement;
}

static int64_t ask_number(struct world *world, const char *sql, const char *text)
{
	sqlite3_stmt *statement = ask(world, sql);
	int64_t number = -1;

	if (text)
		(void)sqlite3_bind_text(statement, 1, text, -1, SQLITE_STATIC);
	if (sqlite3_step(statement) == SQLITE_ROW)
		number = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	return number;
}

/* --- no state back --- */

/* Whether some way of arrows leads there. */
static bool may_come(bool (*may_go)(int from, int to), int count, int from, int to)
{
	unsigned reached = 1u << from, before = 0;

	while (reached != before) {
		before = reached;
		for (int a = 0; a < count; a++)
			for (int b = 0; b < count; b++)
				if ((before >> a & 1) && may_go(a, b))
					reached |= 1u << b;
	}
	return reached >> to & 1;
}

static bool job_goes(int from, int to)
{
	return job_may_go((enum job_state)from, (enum job_state)to);
}

static bool shard_goes(int from, int to)
{
	return shard_may_go((enum shard_state)from, (enum shard_state)to);
}

static int look_at(struct world *world, const char *what, bool (*may_go)(int from, int to), int count, int *seen,
		   struct error *err)
{
	auto_free char *sql = xasprintf("SELECT id, state FROM %s", what);
	sqlite3_stmt *statement = ask(world, sql);
	int now[JUDGE_MOST_ROWS] = { 0 };
	int r = 0;

	while (sqlite3_step(statement) == SQLITE_ROW) {
		int64_t id = sqlite3_column_int64(statement, 0);

		if (id < JUDGE_MOST_ROWS)
			now[id] = 1 + sqlite3_column_int(statement, 1);
	}
	(void)sqlite3_finalize(statement);
	for (int id = 0; !r && id < JUDGE_MOST_ROWS; id++)
		if (seen[id] && !now[id])
			r = error_set(err, -EINVAL, "%s %d is gone", what, id);
		else if (seen[id] && seen[id] != now[id] && !may_come(may_go, count, seen[id] - 1, now[id] - 1))
			r = error_set(err, -EINVAL, "%s %d went back from state %d to %d", what, id, seen[id] - 1,
				      now[id] - 1);
	memcpy(seen, now, sizeof(now));
	return r;
}

int judge_look(struct world *world, struct judge_look *look, struct error *err)
{
	int64_t events = ask_number(world, "SELECT count(*) FROM event", NULL);
	int r = look_at(world, "job", job_goes, JOB_STATE_COUNT, look->jobs, err);

	if (!r)
		r = look_at(world, "shard", shard_goes, SHARD_STATE_COUNT, look->shards, err);
	if (!r && events < look->events)
		r = error_set(err, -EINVAL, "there were %" PRId64 " events, now there are %" PRId64, look->events,
			      events);
	look->events = events;
	return r;
}

/* --- every batch has its shard --- */

static bool is_told(struct world *world, const char *words)
{
	return ask_number(world, "SELECT count(*) FROM event WHERE instr(message, ?1)", words) > 0;
}

/* A batch that its shard does not call its own. */
static int judge_stray(struct world *world, const struct judge_terms *terms, const struct ledger_batch *batch,
		       struct error *err)
{
	/* It did no work, or somebody was told that it may be there. */
	if (batch->is_idle || (terms->has_twins && (!terms->has_told_twins || is_told(world, batch->id))) ||
	    (terms->has_orphans && (is_told(world, batch->marker) || is_told(world, batch->id))) ||
	    (batch->is_cancelled && is_told(world, batch->id)))
		return 0;
	return error_set(err, -EINVAL, "batch %s of marker %s worked for nobody", batch->id, batch->marker);
}

static int judge_batch(struct world *world, const struct judge_terms *terms, const struct ledger_batch *batch,
		       struct error *err)
{
	sqlite3_stmt *statement = ask(world, "SELECT batch_id, state FROM shard WHERE marker = ?1");
	bool is_known, is_own = false;
	int state = 0;

	(void)sqlite3_bind_text(statement, 1, batch->marker, -1, SQLITE_STATIC);
	is_known = sqlite3_step(statement) == SQLITE_ROW;
	if (is_known) {
		const char *id = (const char *)sqlite3_column_text(statement, 0);

		is_own = id && strcmp(id, batch->id) == 0;
		state = sqlite3_column_int(statement, 1);
	}
	(void)sqlite3_finalize(statement);
	if (!is_known)
		return error_set(err, -EINVAL, "batch %s was made for marker %s, which no shard has", batch->id,
				 batch->marker);
	if (is_own && !batch->is_ended && state != SHARD_ENDED && !terms->has_orphans)
		return error_set(err, -EINVAL, "batch %s still runs, and all jobs have ended", batch->id);
	return is_own ? 0 : judge_stray(world, terms, batch, err);
}

static int judge_batches(struct world *world, const struct judge_terms *terms, struct error *err)
{
	int r = 0;

	for (size_t k = 0; k < world->config.provider_count; k++)
		for (size_t i = 0; !r && i < ledger_batch_count(world->sims[k]); i++) {
			struct ledger_batch batch = ledger_batch(world->sims[k], i);

			r = judge_batch(world, terms, &batch, err);
		}
	return r;
}

/* --- tidiness --- */

static int judge_folder(struct world *world, struct error *err)
{
	auto_free char *path = xasprintf("%s/tmp", world->folder);
	DIR *folder = opendir(path);
	struct dirent *entry;
	int r = 0;

	while (folder && !r && (entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			r = error_set(err, -EINVAL, "tmp/%s lies about", entry->d_name);
	if (folder)
		(void)closedir(folder);
	return r;
}

int judge_world(struct world *world, const struct judge_terms *terms, struct error *err)
{
	int64_t events = ask_number(world, "SELECT count(*) FROM event", NULL);
	int64_t newest = ask_number(world, "SELECT ifnull(max(seq), 0) FROM event", NULL);
	int64_t surplus;
	int r;

	if (world->fatal)
		return error_set(err, -EINVAL, "the daemon asked to end with %d", world->fatal);
	if (events != newest)
		return error_set(err, -EINVAL, "there are %" PRId64 " events, the last is number %" PRId64, events,
				 newest);
	if (world->gaps)
		return error_set(err, -EINVAL, "%" PRId64 " events were told out of order", world->gaps);
	if (world->leaked)
		return error_set(err, -EINVAL, "%" PRId64 " lives left descriptors behind", world->leaked);
	r = judge_batches(world, terms, err);
	if (!r)
		r = judge_folder(world, err);
	surplus = ledger_surplus(world->sims, world->config.provider_count);
	if (!r && surplus > terms->surplus && !terms->has_twins)
		r = error_set(err, -EINVAL, "%" PRId64 " answers were paid more than once, %" PRId64 " were told",
			      surplus, terms->surplus);
	return r;
}

void judge_hurry(void)
{
	/* Before anything of it is used; later on it refuses, and all is as it was. */
	(void)sqlite3_config(SQLITE_CONFIG_SINGLETHREAD);
	(void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	/* What one life gives back the next one takes. */
	(void)mallopt(M_TRIM_THRESHOLD, 64 << 20);
	(void)mallopt(M_MMAP_THRESHOLD, 16 << 20);
	(void)sqlite3_vfs_register(sqlite3_vfs_find("unix-excl"), 1);
}

int64_t judge_marker_job(struct world *world, const char *marker)
{
	return ask_number(world, "SELECT job FROM shard WHERE marker = ?1", marker);
}

bool judge_is_file_needed(struct world *world, const char *file)
{
	/* Where inputs are deleted, those of shards that have ended go, unless a batch of theirs may run on. */
	bool are_inputs_deleted = world->provider.delete >= CONFIG_DELETE_INPUTS;
	auto_free char *sql = xasprintf("SELECT count(*) FROM shard WHERE provider_file = ?1 AND state <> %d "
					"AND NOT (%d AND (state = %d OR (state = %d AND intended_at = 0)))",
					SHARD_DROPPED, are_inputs_deleted, SHARD_COLLECTED, SHARD_CANCELLED);

	return ask_number(world, sql, file) > 0;
}
