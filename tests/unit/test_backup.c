#include "daemon/work/backup.h"

#include <errno.h>
#include <sys/wait.h>

#include "daemon/base/hash.h"
#include "daemon/io/spool.h"
#include "daemon/io/tar.h"
#include "daemon/io/vault.h"
#include "tests/unit/state_scene.h"

static const struct backup_plan plan = { .now = 1234567890123 };

static struct backup *begin_backup(struct world *world, const struct backup_plan *wanted)
{
	struct backup *backup = NULL;
	struct error err = { 0 };

	CU_ASSERT_EQUAL_FATAL(backup_new(world->store, world->spool, world->vault, wanted, &backup, &err), 0);
	return backup;
}

/* Writes the archive to a file of its own; between its pieces the world turns. Returns what it ended with. */
static int64_t save(struct world *world, struct backup *backup, const char *path, size_t piece, int turns)
{
	auto_free char *bytes = xmalloc(piece);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	struct error err = { 0 };
	int64_t got;
	int r;

	CU_ASSERT_FATAL(fd >= 0);
	while ((r = backup_prepare(backup, &err)) == 1)
		if (turns-- > 0)
			world_turn(world);
	if (r)
		return r;
	while ((got = backup_read(backup, bytes, piece, &err)) >= 0) {
		CU_ASSERT((size_t)got <= piece);
		CU_ASSERT_EQUAL_FATAL(write(fd, bytes, (size_t)got), got);
		if (turns-- > 0)
			world_turn(world);
	}
	return got;
}

static int64_t copied_at(const char *folder)
{
	auto_free char *path = xasprintf("%s/batchd.db", folder);
	sqlite3_stmt *statement = NULL;
	sqlite3 *db = NULL;
	int64_t at = 0;

	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(db, "SELECT value FROM meta WHERE name = 'copied_at'", -1, &statement,
						 NULL),
			      SQLITE_OK);
	if (sqlite3_step(statement) == SQLITE_ROW)
		at = sqlite3_column_int64(statement, 0);
	(void)sqlite3_finalize(statement);
	(void)sqlite3_close(db);
	return at;
}

static void unpack(const char *archive, const char *folder)
{
	state_run("mkdir -m 700 %s%s", folder, "");
	state_run("tar -xpf %s -C %s", archive, folder);
}

static size_t count_drafts(const struct world *world)
{
	auto_free char *command = xasprintf("exit $(ls %s/tmp | wc -l)", world->folder);

	return (size_t)WEXITSTATUS(system(command));
}

/* Jobs of which each moment of the copying finds some in the middle of a step, and files that come and go. */
static void is_whole_at_any_moment_of_any_load(void)
{
	for (int begin = 0; begin < 60; begin += 4) {
		struct world *world = world_new(&slow, (uint64_t)begin + 1);
		auto_free char *archive = xasprintf("%s.tar", world->folder);
		auto_free char *folder = xasprintf("%s.restored", world->folder);
		auto_free char *large = world_requests(400, "");
		auto_free char *small = world_requests(3, "");
		struct backup *backup;
		auto_findings findings;
		int64_t jobs[4];

		know_list(world);
		for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
			jobs[i] = world_submit(world, i % 2 ? small : large);
		for (int turn = 0; turn < begin; turn++)
			world_turn(world);
		backup = begin_backup(world, &plan);
		(void)world_submit(world, large);
		CU_ASSERT_EQUAL(save(world, backup, archive, (size_t)begin * 997 + 100, 200), BACKUP_END);
		backup_free(backup);
		unpack(archive, folder);
		CU_ASSERT_EQUAL(copied_at(folder), plan.now);
		state_look(folder, &findings);
		if (findings.text.size)
			(void)fprintf(stderr, "# %s", buffer_text(&findings.text));
		CU_ASSERT_EQUAL(findings.result, 0);
		CU_ASSERT_EQUAL(findings.sums.notes, 0);
		/* The job that came after the moment is not in it. */
		CU_ASSERT_EQUAL(findings.sums.jobs, (int64_t)ARRAY_SIZE(jobs));
		for (size_t i = 0; i < ARRAY_SIZE(jobs); i++)
			CU_ASSERT_EQUAL(world_finish(world, jobs[i]), JOB_COMPLETED);
		state_run("rm -rf %s %s", archive, folder);
		world_free(world);
	}
}

static bool is_there(struct world *world, const char *place)
{
	return spool_changed_at(world->spool, place) >= 0;
}

static void keeps_what_is_deleted_meanwhile(void)
{
	struct world *world = world_new(NULL, 1);
	auto_free char *archive = xasprintf("%s.tar", world->folder);
	auto_free char *folder = xasprintf("%s.restored", world->folder);
	auto_free char *input = world_requests(1000, "");
	int64_t job = world_submit(world, input);
	auto_job done = { 0 };
	auto_free char *place = NULL;
	struct backup *backup;
	auto_findings findings;

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	done = world_job(world, job);
	place = spool_file_place(done.output_file);
	backup = begin_backup(world, &plan);
	vault_delete_file(world->vault, done.output_file);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	CU_ASSERT(is_there(world, place));
	CU_ASSERT_EQUAL(save(world, backup, archive, 4096, 0), BACKUP_END);
	CU_ASSERT(is_there(world, place));
	backup_free(backup);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	CU_ASSERT(!is_there(world, place));
	unpack(archive, folder);
	state_look(folder, &findings);
	CU_ASSERT_EQUAL(findings.result, 0);
	CU_ASSERT_EQUAL(findings.sums.files, 2);
	state_run("rm -rf %s %s", archive, folder);
	world_free(world);
}

/* Some a turn, and it says so until all are gone: a daemon with nothing else to do must turn on. */
static void removes_bit_by_bit_what_was_put_off(void)
{
	struct world *world = world_new(NULL, 1);
	int turns = 0;

	vault_hold(world->vault);
	for (int64_t job = 1; job <= 100; job++) {
		auto_free char *place = xasprintf("jobs/%d", (int)job);

		state_run("mkdir %s/%s", world->folder, place);
		vault_remove_job(world->vault, job);
	}
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	CU_ASSERT(!vault_is_tidying(world->vault));
	vault_let_go(world->vault);
	for (; vault_is_tidying(world->vault) && turns < 100; turns++) {
		CU_ASSERT(is_there(world, "jobs/1"));
		CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	}
	CU_ASSERT(turns > 1 && turns < 100);
	CU_ASSERT(!is_there(world, "jobs/1") && !is_there(world, "jobs/100"));
	world_free(world);
}

static void refuses_to_leave_out_what_is_missing(void)
{
	static const char *const places[] = { "files/1", "jobs/1/rows", "jobs/1/shard-1.done" };

	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		struct world *world = world_new(NULL, 1);
		auto_free char *archive = xasprintf("%s.tar", world->folder);
		auto_free char *input = world_requests(1000, "");
		int64_t job = world_submit(world, input);
		const struct backup_plan partial = { .now = 1, .is_partial = true };
		struct backup *backup;
		struct error err = { 0 };
		int r;

		(void)world_finish(world, job);
		CU_ASSERT_EQUAL(spool_remove(world->spool, places[i]), 0);
		backup = begin_backup(world, &plan);
		while ((r = backup_prepare(backup, &err)) == 1)
			continue;
		CHECK_ROW(places[i], r == -ENOENT);
		CHECK_ROW(places[i], strstr(err.text, places[i]));
		backup_free(backup);
		backup = begin_backup(world, &partial);
		CHECK_ROW(places[i], save(world, backup, archive, 65536, 0) == BACKUP_END);
		backup_free(backup);
		state_run("rm -rf %s%s", archive, "");
		world_free(world);
	}
}

static void leaves_room_on_the_disk(void)
{
	struct world *world = world_new(NULL, 1);
	const struct backup_plan greedy = { .min_free = INT64_MAX };
	struct backup *backup = NULL;
	struct error err = { 0 };

	CU_ASSERT_EQUAL(backup_new(world->store, world->spool, world->vault, &greedy, &backup, &err), -ENOSPC);
	CU_ASSERT(strstr(err.text, "too little room") != NULL);
	CU_ASSERT_EQUAL(count_drafts(world), 0);
	world_free(world);
}

static void frees_its_scratch_wherever_it_ends(void)
{
	struct world *world = world_new(NULL, 1);
	auto_free char *input = world_requests(1000, "");

	(void)world_submit(world, input);
	for (int steps = 0; steps < 30; steps++) {
		/* Those of the world's own. */
		size_t drafts = count_drafts(world);
		struct backup *backup = begin_backup(world, &plan);
		char bytes[1000];
		bool is_ready = false;

		for (int i = 0; i < steps; i++) {
			if (is_ready)
				(void)backup_read(backup, bytes, sizeof(bytes), NULL);
			else
				is_ready = backup_prepare(backup, NULL) == 0;
		}
		backup_free(backup);
		CU_ASSERT_EQUAL(count_drafts(world), drafts);
		world_turn(world);
	}
	world_free(world);
}

/* The header alone: nobody writes so much here. */
static void knows_sizes_beyond_8_gib_and_long_names(void)
{
	struct tar *tar = tar_new(1000);
	auto_buffer name = { 0 };
	char bytes[16384];
	size_t size = 0, got;

	for (int i = 0; i < 40; i++)
		buffer_add_text(&name, "long-name/");
	buffer_add_text(&name, "x");
	CU_ASSERT_EQUAL(tar_begin_file(tar, buffer_text(&name), INT64_C(12345678901234), NULL), 0);
	while ((got = tar_take(tar, bytes + size, 100)))
		size += got;
	CU_ASSERT_EQUAL(tar_lacks(tar), INT64_C(12345678901234));
	CU_ASSERT_PTR_NOT_NULL(memmem(bytes, size, "size=12345678901234\n", 20));
	CU_ASSERT_PTR_NOT_NULL(memmem(bytes, size, buffer_text(&name), name.size));
	tar_free(tar);
}

static void digests_are_the_same_in_one_piece_and_in_many(void)
{
	static const size_t sizes[] = { 0, 1, 3, VAULT_FILE_LIMIT - 1, VAULT_FILE_LIMIT, VAULT_FILE_LIMIT + 1, 300000 };
	struct world *world = world_new(NULL, 1);
	auto_free char *bytes = xcalloc(1, 300000);

	for (size_t i = 0; i < 300000; i++)
		bytes[i] = (char)(i * 2654435761U >> 7);
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++)
		for (size_t piece = 1000; piece < 400000; piece *= 7) {
			struct vault_writer *writer = vault_writer_new(world->vault, VAULT_FILE_LIMIT);

			for (size_t at = 0; at < sizes[i]; at += piece)
				CU_ASSERT_EQUAL(vault_write(writer, bytes + at,
							    piece < sizes[i] - at ? piece : sizes[i] - at, NULL),
						0);
			CU_ASSERT_EQUAL(vault_writer_digest(writer), hash_digest(bytes, sizes[i]));
			CU_ASSERT(vault_writer_digest(writer) != 0);
			vault_writer_free(writer);
		}
	world_free(world);
}

CHECK_MAIN("backup", CHECK(is_whole_at_any_moment_of_any_load), CHECK(keeps_what_is_deleted_meanwhile),
	   CHECK(removes_bit_by_bit_what_was_put_off),
	   CHECK(refuses_to_leave_out_what_is_missing), CHECK(leaves_room_on_the_disk),
	   CHECK(frees_its_scratch_wherever_it_ends), CHECK(knows_sizes_beyond_8_gib_and_long_names),
	   CHECK(digests_are_the_same_in_one_piece_and_in_many))
