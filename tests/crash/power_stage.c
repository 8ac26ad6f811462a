#include "tests/crash/power_stage.h"

#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/store_sql.h"
#include "daemon/io/vault.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"

#define WEEK_MS (7 * 24 * 60 * 60 * 1000LL)
#define MOST_TURNS 100000

static void require(bool is_done, const char *what)
{
	if (is_done)
		return;
	(void)fprintf(stderr, "the stage breaks down: %s\n", what);
	abort();
}

static int remove_below(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type;
	return place->level ? remove(path) : 0;
}

void stage_init(struct stage *stage, const struct sim_config *sim, uint64_t seed)
{
	*stage = (struct stage){ .most_batches = 1 };
	/* The same salts in the store's log from the same seed. */
	(void)sqlite3_test_control(SQLITE_TESTCTRL_PRNG_SEED, (int)(seed & 0x7fffffff) + 1, NULL);
	stage->world = world_new(sim, seed);
	world_kill(stage->world);
	require(nftw(stage->world->folder, remove_below, 8, FTW_DEPTH | FTW_PHYS) == 0, "its folder is not emptied");
	stage->world->makes_store = true;
}

void stage_release(struct stage *stage)
{
	for (size_t i = 0; i < stage->job_count; i++)
		free(stage->jobs[i].input);
	for (size_t i = 0; i < stage->file_count; i++)
		free(stage->files[i].bytes);
}

void stage_start(struct stage *stage)
{
	struct world *world = stage->world;

	world_start(world);
	/* No commit that a daemon would not make: it would flush what is to be found unflushed. */
	if (store_list_was_seen(world->store, world->provider.name))
		return;
	/* The provider's list has shown batches before, so that one that shows none proves an absence. */
	store_list_note_seen(world->store, world->provider.name, world_now(world));
	require(store_commit(world->store, NULL) == 0, "nothing can be committed");
}

void stage_restart(struct stage *stage)
{
	world_kill(stage->world);
	stage_start(stage);
}

char *stage_input(size_t number, const struct stage_requests *requests)
{
	struct buffer text = { 0 };

	for (size_t i = 1; i <= requests->count; i++) {
		buffer_add_format(&text,
				  "{\"custom_id\":\"j%zu-%zu\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
				  "\"body\":{\"model\":\"m%zu\",\"messages\":[{\"role\":\"user\",\"content\":\"%zu ",
				  number, i, requests->models ? i % requests->models : 0, i);
		for (size_t j = 0; j < requests->bytes; j++)
			buffer_add(&text, &"abcdefghijklmnopqrstuvwxyz"[(i * 7 + j) % 26], 1);
		buffer_add_format(&text, "\"}]%s}}\n", requests->more ? requests->more : "");
	}
	(void)buffer_text(&text);
	return text.data;
}

static struct stage_job *add_job(struct stage *stage, char *input)
{
	struct stage_job *job = &stage->jobs[stage->job_count++];

	require(stage->job_count <= STAGE_JOBS, "too many jobs");
	job->input = input;
	return job;
}

/* What anybody can see between two turns is told. */
static void take_note(struct stage *stage)
{
	for (size_t i = 0; i < stage->job_count; i++) {
		struct stage_job *job = &stage->jobs[i];
		auto_job now = { 0 };

		if (!job->id)
			continue;
		now = world_job(stage->world, job->id);
		job->told = now.state;
	}
}

size_t stage_submit(struct stage *stage, const struct stage_requests *requests)
{
	struct stage_job *job = add_job(stage, stage_input(stage->job_count + 1, requests));

	job->id = world_submit(stage->world, job->input);
	take_note(stage);
	return stage->job_count - 1;
}

void stage_expect(struct stage *stage, int64_t id, const char *input)
{
	add_job(stage, xstrdup(input))->id = id;
}

void stage_cancel(struct stage *stage, size_t job)
{
	stage->jobs[job].is_cancel_asked = true;
	stage->jobs[job].is_cancel_promised = world_cancel(stage->world, stage->jobs[job].id) == 0;
	take_note(stage);
}

size_t stage_upload(struct stage *stage, const struct stage_requests *requests)
{
	struct stage_file *file = &stage->files[stage->file_count++];
	struct world *world = stage->world;
	struct vault_writer *writer = vault_writer_new(world->vault, VAULT_FILE_LIMIT);
	struct store_file row = {
		.uid = WORLD_UID,
		.purpose = (char *)(uintptr_t) "batch",
		.created_at = world_now(world),
	};
	int64_t id;

	require(stage->file_count <= STAGE_FILES, "too many files");
	file->bytes = stage_input(1000 + stage->file_count, requests);
	row.bytes = (int64_t)strlen(file->bytes);
	require(vault_write(writer, file->bytes, strlen(file->bytes), NULL) == 0, "no room for a file");
	id = store_file_add(world->store, &row);
	require(vault_keep_file(writer, id, NULL) == 0, "a file was not kept");
	require(store_commit(world->store, NULL) == 0, "a file was not committed");
	file->id = id;
	return stage->file_count - 1;
}

size_t stage_submit_file(struct stage *stage, size_t file)
{
	struct stage_job *new = add_job(stage, xstrdup(stage->files[file].bytes));
	struct world *world = stage->world;
	struct job job = {
		.uid = WORLD_UID,
		.input_file = stage->files[file].id,
		.endpoint = (char *)(uintptr_t) "/v1/chat/completions",
		.window = (char *)(uintptr_t) "24h",
		.provider = world->provider.name,
	};

	require(pipeline_accept(world->pipeline, &job) != 0, "a job was not stored");
	require(store_commit(world->store, NULL) == 0, "a job was not committed");
	scheduler_kick(world->scheduler);
	new->id = job.id;
	take_note(stage);
	return stage->job_count - 1;
}

void stage_delete(struct stage *stage, size_t file)
{
	stage->files[file].is_delete_asked = true;
	vault_delete_file(stage->world->vault, stage->files[file].id);
	require(store_commit(stage->world->store, NULL) == 0, "a deletion was not committed");
	stage->files[file].is_delete_promised = true;
}

void stage_turns(struct stage *stage, int count)
{
	for (int i = 0; i < count; i++) {
		world_turn(stage->world);
		take_note(stage);
		if (stage->checkpoint_turns && stage->world->turns % stage->checkpoint_turns == 0)
			(void)sqlite3_wal_checkpoint_v2(stage->world->store->db, NULL, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	}
}

static bool has_open_job(struct stage *stage)
{
	for (size_t i = 0; i < stage->job_count; i++) {
		auto_job job = { 0 };

		if (!stage->jobs[i].id)
			continue;
		job = world_job(stage->world, stage->jobs[i].id);
		if (!job_is_ended(job.state) || job.due_at)
			return true;
	}
	return false;
}

bool stage_finish(struct stage *stage)
{
	int64_t end = world_now(stage->world) + WEEK_MS;

	for (int i = 0; has_open_job(stage); i++) {
		if (i == MOST_TURNS || world_now(stage->world) > end)
			return false;
		stage_turns(stage, 1);
	}
	return true;
}
