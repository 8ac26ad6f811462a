/*
 * A job in a folder of its own, for tests of what is done with its files: an input, its row
 * index, shards and downloads, as the real vault keeps them.
 */
#ifndef BATCHD_TESTS_UNIT_JOB_SCENE_H
#define BATCHD_TESTS_UNIT_JOB_SCENE_H

#include <ftw.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/job.h"
#include "daemon/model/request.h"
#include "daemon/work/rows.h"
#include "tests/unit/check.h"

#define SCENE_JOB 1
#define SCENE_KEY 0x5eed
#define SCENE_INPUTS 7 /* embedding inputs of every request */

struct scene {
	char folder[64];
	struct spool *spool;
	struct store *store;
	struct vault *vault;
	struct job job;
	int64_t rows;
};

static int scene_remove_one(const char *path, const struct stat *status, int type,
			    struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

static inline void scene_begin(struct scene *scene)
{
	const char *place = getenv("TMPDIR");
	auto_free char *path = NULL;

	*scene = (struct scene){.job = {.id = SCENE_JOB}};
	(void)snprintf(scene->folder, sizeof(scene->folder), "%.40s/batchd-XXXXXX",
		       place ? place : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(scene->folder));
	path = xasprintf("%s/batchd.db", scene->folder);
	CU_ASSERT_EQUAL_FATAL(spool_open(scene->folder, &scene->spool, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_open(path, SCENE_KEY, &scene->store, NULL), 0);
	scene->vault = vault_new(scene->store, scene->spool);
}

static inline void scene_end(struct scene *scene)
{
	vault_free(scene->vault);
	store_close(scene->store);
	spool_close(scene->spool);
	(void)nftw(scene->folder, scene_remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void scene_keep(struct scene *scene, const char *name, const void *bytes, size_t size)
{
	struct vault_writer *writer = vault_writer_new(scene->vault, VAULT_RECORD_LIMIT);

	CU_ASSERT_EQUAL_FATAL(vault_write(writer, bytes, size, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_record(writer, SCENE_JOB, name, NULL), 0);
}

static inline void scene_download(struct scene *scene, int64_t shard, const char *suffix,
				  const char *text)
{
	auto_free char *name = rows_download_name(shard, suffix);

	scene_keep(scene, name, text, strlen(text));
}

/* A record as it was kept, terminated; NULL when there is none. */
static inline char *scene_record(struct scene *scene, const char *name, size_t *ret_size)
{
	auto_vault_reader reader = VAULT_READER_NONE;
	char *bytes;

	if (vault_open_record(scene->vault, SCENE_JOB, name, &reader, NULL))
		return NULL;
	bytes = xcalloc(1, (size_t)reader.size + 1);
	CU_ASSERT_EQUAL_FATAL(vault_read(&reader, 0, bytes, (size_t)reader.size), reader.size);
	*ret_size = (size_t)reader.size;
	return bytes;
}

/* Turns one bit of a record, and keeps it so. */
static inline void scene_damage(struct scene *scene, const char *name, size_t at)
{
	size_t size = 0;
	auto_free char *bytes = scene_record(scene, name, &size);

	CU_ASSERT_PTR_NOT_NULL_FATAL(bytes);
	CU_ASSERT_FATAL(at < size);
	bytes[at] ^= 0x10;
	scene_keep(scene, name, bytes, size);
}

static inline struct record_row scene_row(const char *input, size_t offset, size_t size)
{
	struct request request;
	struct request_flaw flaw;
	auto_free char *id = xcalloc(1, size);

	CU_ASSERT_EQUAL_FATAL(request_parse(input + offset, size, &request, &flaw), 0);
	return (struct record_row){
		.offset = offset,
		.length = (uint32_t)size,
		.wire_length = (uint32_t)size + 1,
		.inputs = SCENE_INPUTS,
		.id_at = (uint32_t)request.custom_id.at,
		.id_length = (uint32_t)request.custom_id.size,
		.id_hash = hash_keyed(SCENE_KEY, id,
				      scan_decode(input + offset, request.custom_id, id)),
	};
}

/* Keeps the job's input, whose every line is a request, and its row index. */
static inline void scene_input(struct scene *scene, const char *input)
{
	struct vault_writer *writer = vault_writer_new(scene->vault, VAULT_FILE_LIMIT);
	struct store_file file = {.purpose = (char *)(uintptr_t) "batch", .bytes = 1};
	struct rows_writer rows;

	scene->job.input_file = store_file_add(scene->store, &file);
	CU_ASSERT_EQUAL_FATAL(vault_write(writer, input, strlen(input), NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, scene->job.input_file, NULL), 0);
	rows_writer_init(&rows, scene->vault, RECORD_ROWS);
	scene->rows = 0;
	for (const char *at = input; *at; scene->rows++) {
		size_t size = strcspn(at, "\n");
		struct record_row row = scene_row(input, (size_t)(at - input), size);

		CU_ASSERT_EQUAL_FATAL(rows_write(&rows, &row, NULL), 0);
		at += size + (at[size] == '\n');
	}
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&rows, SCENE_JOB, ROWS_NAME, NULL), 0);
	rows_writer_release(&rows);
	CU_ASSERT_EQUAL_FATAL(store_commit(scene->store, NULL), 0);
}

/* An input of requests with these ids, as written between the quotes; the list ends with NULL. */
static inline void scene_ids(struct scene *scene, const char *const *ids)
{
	auto_buffer input = {0};

	for (; *ids; ids++)
		buffer_add_format(&input,
				  "{\"custom_id\":\"%s\",\"method\":\"POST\",\"url\":\"/v1/chat/"
				  "completions\","
				  "\"body\":{\"model\":\"m\"}}\n",
				  *ids);
	scene_input(scene, buffer_text(&input));
}

/* Puts every step-th row, from first on, below end, into a shard. */
static inline void scene_members(struct scene *scene, int64_t shard, int64_t first, int64_t end,
				 int64_t step)
{
	auto_free char *name = rows_members_name(shard);
	struct rows_writer rows;

	rows_writer_init(&rows, scene->vault, RECORD_MEMBERS);
	for (int64_t i = first; i < end; i += step)
		CU_ASSERT_EQUAL_FATAL(
			rows_write(&rows, &(struct record_member){.row = (uint32_t)i}, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&rows, SCENE_JOB, name, NULL), 0);
	rows_writer_release(&rows);
}

#endif
