/*
 * A state folder with jobs at several stages, small ones in the store and large ones in files, as a daemon that died left it; and
 * copies of it to be damaged.
 */
#ifndef BATCHD_TESTS_UNIT_STATE_SCENE_H
#define BATCHD_TESTS_UNIT_STATE_SCENE_H

#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <sys/stat.h>

#include "daemon/work/verify.h"
#include "tests/unit/world_scene.h"

#define STATE_LARGE 1200 /* requests */
#define STATE_SMALL 5

/* Numbers of its jobs. */
enum { STATE_DONE_LARGE = 1, STATE_DONE_SMALL, STATE_FAILED, STATE_LIVE_LARGE, STATE_LIVE_SMALL, STATE_JOBS = STATE_LIVE_SMALL };

struct state {
	struct world *world;
	char *inputs[STATE_JOBS + 1];
	char place[80]; /* of a copy */
};

static inline void state_run(const char *format, const char *a, const char *b)
{
	auto_free char *command = xasprintf(format, a, b);

	CU_ASSERT_EQUAL_FATAL(system(command), 0);
}

static inline bool state_has_batch(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.state == SHARD_CREATED;
}

static inline void state_submit(struct state *state, int64_t job, size_t count, const char *more)
{
	state->inputs[job] = world_requests(count, more);
	CU_ASSERT_EQUAL_FATAL(world_submit(state->world, state->inputs[job]), job);
}

/* Two jobs are done, one failed of a wrong line, two have their batches at the provider. Dead when it returns. */
static inline void state_begin(struct state *state)
{
	int64_t live[] = { STATE_LIVE_LARGE, STATE_LIVE_SMALL };

	*state = (struct state){ .world = world_new(&slow, 7) };
	know_list(state->world);
	state_submit(state, STATE_DONE_LARGE, STATE_LARGE, "");
	state_submit(state, STATE_DONE_SMALL, STATE_SMALL, ",\"user\":\"sim:status=400\"");
	(void)world_finish(state->world, STATE_DONE_LARGE);
	(void)world_finish(state->world, STATE_DONE_SMALL);
	state->inputs[STATE_FAILED] = xstrdup("{\"custom_id\":\"a\"}\n");
	CU_ASSERT_EQUAL_FATAL(world_submit(state->world, state->inputs[STATE_FAILED]), STATE_FAILED);
	(void)world_finish(state->world, STATE_FAILED);
	state_submit(state, STATE_LIVE_LARGE, STATE_LARGE, "");
	state_submit(state, STATE_LIVE_SMALL, STATE_SMALL, "");
	for (size_t i = 0; i < ARRAY_SIZE(live); i++)
		CU_ASSERT_FATAL(world_run(state->world, HOUR_MS, state_has_batch, &live[i]));
	/* What a death leaves: the last commits stand in the database's log alone. */
	(void)snprintf(state->place, sizeof(state->place), "%s-died", state->world->folder);
	state_run("cp -a %s %s", state->world->folder, state->place);
	state_run("rm -f %s/batchd.db-shm%s", state->place, "");
	world_kill(state->world);
}

static inline void state_end(struct state *state)
{
	for (size_t i = 0; i < ARRAY_SIZE(state->inputs); i++)
		free(state->inputs[i]);
	state_run("rm -rf %s-died%s", state->world->folder, "");
	world_free(state->world);
}

static inline void state_copy(struct state *state)
{
	(void)snprintf(state->place, sizeof(state->place), "%s-copy", state->world->folder);
	state_run("cp -a %s %s", state->world->folder, state->place);
}

static inline void state_drop(struct state *state)
{
	state_run("rm -rf %s%s", state->place, "");
}

/* What is done to a copy: to one file, or, with sql, to its rows. */
enum state_deed { STATE_REMOVE, STATE_CUT, STATE_GROW, STATE_FLIP };

static inline void state_spoil(const char *folder, const char *name, enum state_deed deed, off_t at)
{
	auto_free char *path = xasprintf("%s/%s", folder, name);
	auto_close int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte = 0;
	off_t size;

	CU_ASSERT_FATAL(fd >= 0);
	size = lseek(fd, 0, SEEK_END);
	CU_ASSERT_FATAL(size > 0);
	switch (deed) {
	case STATE_REMOVE:
		CU_ASSERT_EQUAL(unlink(path), 0);
		break;
	case STATE_CUT:
		CU_ASSERT_EQUAL(ftruncate(fd, at < size ? at : size - 1), 0);
		break;
	case STATE_GROW:
		CU_ASSERT_EQUAL(pwrite(fd, "x", 1, size), 1);
		break;
	case STATE_FLIP:
		at = at < size ? at : at % size;
		CU_ASSERT_EQUAL(pread(fd, &byte, 1, at), 1);
		byte ^= 0x04;
		CU_ASSERT_EQUAL(pwrite(fd, &byte, 1, at), 1);
		break;
	}
}

static inline void state_sql(const char *folder, const char *sql)
{
	auto_free char *path = xasprintf("%s/batchd.db", folder);
	sqlite3 *db = NULL;

	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	if (sqlite3_exec(db, sql, NULL, NULL, NULL) != SQLITE_OK) {
		(void)fprintf(stderr, "# %s: %s\n", sql, sqlite3_errmsg(db));
		CU_FAIL("a statement of the test is wrong");
	}
	(void)sqlite3_close(db);
}

/* What a look found, as text: a line each. */
struct state_findings {
	struct buffer text;
	struct verify_sums sums;
	int result;
};

static inline void state_note(const struct verify_finding *finding, void *context)
{
	struct state_findings *findings = context;

	buffer_add_format(&findings->text, "%s job=%lld shard=%lld %s: %s\n", finding->is_damage ? "damage" : "note",
			  (long long)finding->job, (long long)finding->shard, finding->place ? finding->place : "-",
			  finding->words);
}

static inline void findings_release(struct state_findings *findings)
{
	buffer_release(&findings->text);
}
#define auto_findings __attribute__((cleanup(findings_release))) struct state_findings

/* now is beyond all that was ever changed, so that everything is told. */
static inline void state_look(const char *folder, struct state_findings *ret_findings)
{
	const struct verify_callbacks callbacks = { .on_finding = state_note, .context = ret_findings };

	*ret_findings = (struct state_findings){ 0 };
	ret_findings->result = verify_run(folder, INT64_MAX, &callbacks, &ret_findings->sums);
}

#endif
