#include "tests/crash/power_scenes.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/store_sql.h"

#define KIB 1024

/* A provider that answers at once, one whose batches take a while, and one whose answers are long. */
static const struct sim_config quick = { 0 };
static const struct sim_config slow = { .validate_ms = 2000, .run_ms = 20000, .finalize_ms = 2000, .cancel_ms = 5000 };
static const struct sim_config wordy = { .answers = { .text_bytes = 8 * KIB } };
static const struct sim_config long_winded = { .answers = { .text_bytes = 24 * KIB } };

static void play_small(struct stage *stage)
{
	const struct stage_requests few = { .count = 4, .bytes = 40 };

	(void)stage_submit(stage, &few);
	(void)stage_finish(stage);
}

/* Some rows fail at first, and their shards go again. */
static void play_again(struct stage *stage)
{
	const struct stage_requests few = { .count = 4, .bytes = 40, .more = ",\"note\":\"sim:status=500 sim:times=1\"" };

	(void)stage_submit(stage, &few);
	(void)stage_finish(stage);
}

/* Two jobs of several shards and models, one begun while the other is under way. */
static void play_shards(struct stage *stage)
{
	const struct stage_requests some = { .count = 7, .bytes = 60, .models = 2 };
	const struct stage_requests others = { .count = 5, .bytes = 20 };

	(void)stage_submit(stage, &some);
	stage_turns(stage, 12);
	(void)stage_submit(stage, &others);
	(void)stage_finish(stage);
}

static void play_cancels(struct stage *stage)
{
	const struct stage_requests few = { .count = 3, .bytes = 30, .models = 2 };

	for (int i = 0; i < 5; i++) {
		size_t job = stage_submit(stage, &few);

		stage_turns(stage, i * 4);
		stage_cancel(stage, job);
	}
	(void)stage_finish(stage);
}

/* Stopped and started again, cleanly, all along. */
static void play_restarts(struct stage *stage)
{
	const struct stage_requests few = { .count = 4, .bytes = 40 };

	for (int i = 0; i < 3; i++) {
		(void)stage_submit(stage, &few);
		stage_turns(stage, 5);
		stage_restart(stage);
	}
	for (int i = 0; i < 6; i++) {
		stage_turns(stage, 7);
		stage_restart(stage);
	}
	(void)stage_finish(stage);
}

/* Files too large for the store. */
static void play_large(struct stage *stage)
{
	const struct stage_requests large = { .count = 10, .bytes = 9 * KIB };

	(void)stage_submit(stage, &large);
	(void)stage_finish(stage);
}

/* Files that are on their way to the disk while they grow. */
static void play_huge(struct stage *stage)
{
	const struct stage_requests huge = { .count = 90, .bytes = 26 * KIB };

	(void)stage_submit(stage, &huge);
	(void)stage_finish(stage);
}

/* So many rows that their records are files too. */
static void play_rows(struct stage *stage)
{
	const struct stage_requests many = { .count = 700, .bytes = 30 };

	(void)stage_submit(stage, &many);
	(void)stage_finish(stage);
}

static void play_files(struct stage *stage)
{
	const struct stage_requests small = { .count = 3, .bytes = 30 };
	const struct stage_requests large = { .count = 8, .bytes = 9 * KIB };
	size_t file = stage_upload(stage, &small);
	size_t unused = stage_upload(stage, &large);
	size_t needed = stage_upload(stage, &large);

	(void)stage_submit_file(stage, needed);
	stage_delete(stage, unused);
	stage_turns(stage, 6);
	stage_delete(stage, needed);
	stage_delete(stage, file);
	(void)stage_upload(stage, &large);
	(void)stage_finish(stage);
}

/* A crowd, each in the same commits as others. */
static void play_crowd(struct stage *stage)
{
	const struct stage_requests few = { .count = 2, .bytes = 200 };

	for (int i = 0; i < 6; i++) {
		(void)stage_submit(stage, &few);
		stage_turns(stage, 1);
	}
	(void)stage_finish(stage);
}

/* A store as the first version made it, with a job that it accepted. */
static void prepare_old_store(struct stage *stage)
{
	static const struct stage_requests few = { .count = 3, .bytes = 30 };
	auto_free char *path = xasprintf("%s/batchd.db", stage->world->folder);
	auto_free char *input = stage_input(1, &few);
	char *sql = sqlite3_mprintf(
		"PRAGMA journal_mode = WAL; BEGIN; %s; PRAGMA user_version = 1; PRAGMA application_id = 0x62746364;"
		"INSERT INTO file VALUES (1, 1000, 'batch', NULL, length(%Q), 1, 0, 0);"
		"INSERT INTO file_bytes VALUES (1, CAST(%Q AS BLOB));"
		"INSERT INTO job VALUES (1, 0, 1000, 1, 0, 0, '/v1/chat/completions', '24h', NULL, NULL, 'sim', NULL, 0, 0,"
		" 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, NULL);"
		"INSERT INTO event VALUES (1, 1, 0, 1, 'job.accepted', 'info', '', 0);"
		"INSERT INTO meta VALUES ('id_key', 77); COMMIT",
		store_sql_migration(0), input, input);
	sqlite3 *db = NULL;

	if (sqlite3_open(path, &db) != SQLITE_OK || sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		(void)fprintf(stderr, "an old store cannot be made: %s\n", sqlite3_errmsg(db));
		abort();
	}
	(void)sqlite3_close(db);
	sqlite3_free(sql);
	stage_expect(stage, 1, input);
}

static void play_to_the_end(struct stage *stage)
{
	(void)stage_finish(stage);
}

/* clang-format off */
static const struct scene scenes[] = {
	{ "small",       &quick, NULL, 0, 1, 0,  false, NULL, play_small },
	{ "slow",        &slow,  NULL, 0, 1, 9,  false, NULL, play_small },
	{ "lost-create", &quick, "{\"call\":\"create\",\"action\":\"drop_after\",\"count\":1}", 0, 1, 0, false, NULL, play_small },
	{ "again",       &quick, NULL, 0, 2, 0,  false, NULL, play_again },
	{ "expired",     &slow,  "{\"action\":\"expire\",\"percent\":50,\"count\":1}", 0, 2, 0, false, NULL, play_small },
	{ "shards",      &quick, NULL, 3, 1, 11, false, NULL, play_shards },
	{ "cancels",     &slow,  NULL, 2, 1, 0,  false, NULL, play_cancels },
	{ "restarts",    &quick, NULL, 2, 1, 0,  false, NULL, play_restarts },
	{ "large",       &wordy, NULL, 6, 1, 7,  false, NULL, play_large },
	{ "files",       &wordy, NULL, 0, 1, 0,  false, NULL, play_files },
	{ "crowd",       &quick, NULL, 0, 1, 5,  false, NULL, play_crowd },
	{ "old-store",   &quick, NULL, 0, 1, 0,  false, prepare_old_store, play_to_the_end },
	{ "rows",        &quick, NULL, 0, 1, 13, true,  NULL, play_rows },
	{ "huge",        &long_winded, NULL, 50, 1, 0, true, NULL, play_huge },
};
/* clang-format on */

const struct scene *scene_at(size_t place)
{
	return place < sizeof(scenes) / sizeof(*scenes) ? &scenes[place] : NULL;
}

void scene_set(const struct scene *scene, struct stage *stage, uint64_t seed)
{
	stage_init(stage, scene->sim, seed);
	stage->most_batches = scene->most_batches;
	stage->checkpoint_turns = scene->checkpoint_turns;
	if (scene->max_requests)
		stage->world->provider.max_requests = scene->max_requests;
	if (scene->script)
		world_script(stage->world, scene->script);
	if (scene->prepare)
		scene->prepare(stage);
}
