#include "daemon/io/vault.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>

#include "tests/unit/job_scene.h"

static struct scene scene;

static void begin(void)
{
	scene_begin(&scene);
}

static void end(void)
{
	scene_end(&scene);
}

static bool is_file(const char *place)
{
	auto_free char *path = xasprintf("%s/%s", scene.folder, place);

	return access(path, F_OK) == 0;
}

static char *fill(size_t size)
{
	char *bytes = xmalloc(size);

	for (size_t i = 0; i < size; i++)
		bytes[i] = (char)(i * 31 + i / 251);
	return bytes;
}

static bool reads_as(const struct vault_reader *reader, const char *bytes, size_t size)
{
	auto_free char *got = xmalloc(size + 1);

	return reader->size == (int64_t)size &&
	       vault_read(reader, 0, got, size + 1) == (int64_t)size &&
	       memcmp(got, bytes, size) == 0;
}

static void keeps_records_of_every_size(void)
{
	static const size_t sizes[] = {0, 1, VAULT_RECORD_LIMIT, VAULT_RECORD_LIMIT + 1, 3000000};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_free char *bytes = fill(sizes[i]);
		struct vault_reader reader = VAULT_READER_NONE;
		bool is_large = sizes[i] > VAULT_RECORD_LIMIT;

		begin();
		scene_keep(&scene, "rows", bytes, sizes[i]);
		CU_ASSERT_EQUAL(is_file("jobs/1/rows"), is_large);
		CU_ASSERT_EQUAL(vault_open_record(scene.vault, SCENE_JOB, "rows", &reader, NULL),
				0);
		CU_ASSERT_EQUAL(reader.fd >= 0, is_large);
		CU_ASSERT_EQUAL(reader.data != NULL, !is_large);
		CU_ASSERT(reads_as(&reader, bytes, sizes[i]));
		vault_will_need(&reader, 0, reader.size);
		vault_reader_release(&reader);
		end();
	}
}

static void keeps_files_of_every_size(void)
{
	static const size_t sizes[] = {0, 1, VAULT_FILE_LIMIT, VAULT_FILE_LIMIT + 1, 3000000};
	struct store_file file = {.purpose = (char *)(uintptr_t) "batch"};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_free char *bytes = fill(sizes[i]);
		struct vault_writer *writer;
		struct vault_reader reader = VAULT_READER_NONE;
		int64_t id;

		begin();
		id = store_file_add(scene.store, &file);
		writer = vault_writer_new(scene.vault, VAULT_FILE_LIMIT);
		for (size_t at = 0; at < sizes[i]; at += 1000)
			CU_ASSERT_EQUAL(vault_write(writer, bytes + at,
						    sizes[i] - at < 1000 ? sizes[i] - at : 1000,
						    NULL),
					0);
		CU_ASSERT_EQUAL(vault_writer_size(writer), (int64_t)sizes[i]);
		CU_ASSERT_EQUAL(vault_keep_file(writer, id, NULL), 0);
		CU_ASSERT_EQUAL(is_file("files/1"), sizes[i] > VAULT_FILE_LIMIT);
		CU_ASSERT_EQUAL(vault_open_file(scene.vault, id, &reader, NULL), 0);
		CU_ASSERT(reads_as(&reader, bytes, sizes[i]));
		vault_reader_release(&reader);
		end();
	}
}

static void reads_from_anywhere_and_short_only_at_the_end(void)
{
	static const size_t sizes[] = {1000, 100000};
	/* clang-format off */
	static const struct { int64_t before_end; size_t size; int64_t got; } reads[] = {
		{ 1000, 10, 10 }, { 10, 10, 10 }, { 5, 10, 5 }, { 0, 10, 0 }, { -5, 10, 0 }, { 1000, 0, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_free char *bytes = fill(sizes[i]);
		auto_vault_reader reader = VAULT_READER_NONE;

		begin();
		scene_keep(&scene, "rows", bytes, sizes[i]);
		CU_ASSERT_EQUAL(vault_open_record(scene.vault, SCENE_JOB, "rows", &reader, NULL),
				0);
		for (size_t n = 0; n < ARRAY_SIZE(reads); n++) {
			int64_t offset = (int64_t)sizes[i] - reads[n].before_end;
			char got[16];

			CU_ASSERT_EQUAL(vault_read(&reader, offset, got, reads[n].size),
					reads[n].got);
			CU_ASSERT(memcmp(got, bytes + (reads[n].got ? offset : 0),
					 (size_t)reads[n].got) == 0);
		}
		CU_ASSERT_EQUAL(vault_read(&reader, -1, &(char){0}, 1), -EINVAL);
		vault_reader_release(&reader);
		end();
	}
}

/* A step that is done again may write less or more than before: the newest bytes count. */
static void the_last_one_kept_counts(void)
{
	static const size_t sizes[] = {100, 100000, 200, 150000, 0};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_free char *bytes = fill(sizes[i]);
		auto_vault_reader reader = VAULT_READER_NONE;

		scene_keep(&scene, "rows", bytes, sizes[i]);
		CU_ASSERT_EQUAL(vault_open_record(scene.vault, SCENE_JOB, "rows", &reader, NULL),
				0);
		CU_ASSERT(reads_as(&reader, bytes, sizes[i]));
	}
	end();
}

static void tells_what_is_not_there(void)
{
	struct vault_reader reader = VAULT_READER_NONE;
	struct error err = {0};

	begin();
	CU_ASSERT_EQUAL(vault_open_record(scene.vault, 9, "shard-1.out", &reader, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "jobs/9/shard-1.out"));
	CU_ASSERT_EQUAL(vault_open_file(scene.vault, 9, &reader, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "files/9"));
	end();
}

/* All writers together may wait in memory up to a limit: then even a small one goes to a file. */
static void bounds_what_waits_in_memory(void)
{
	enum { COUNT = VAULT_MEMORY / VAULT_FILE_LIMIT };
	struct vault_writer *writers[COUNT + 1];
	auto_free char *bytes = fill(VAULT_FILE_LIMIT);

	begin();
	for (size_t i = 0; i <= COUNT; i++) {
		writers[i] = vault_writer_new(scene.vault, VAULT_FILE_LIMIT);
		CU_ASSERT_EQUAL(vault_write(writers[i], bytes, VAULT_FILE_LIMIT, NULL), 0);
	}
	CU_ASSERT(is_file("tmp/1"));
	CU_ASSERT(!is_file("tmp/2"));
	for (size_t i = 0; i <= COUNT; i++)
		vault_writer_free(writers[i]);
	CU_ASSERT(!is_file("tmp/1"));
	/* And what was freed may be used again. */
	writers[0] = vault_writer_new(scene.vault, VAULT_FILE_LIMIT);
	CU_ASSERT_EQUAL(vault_write(writers[0], bytes, VAULT_FILE_LIMIT, NULL), 0);
	CU_ASSERT(!is_file("tmp/2"));
	vault_writer_free(writers[0]);
	vault_writer_free(NULL);
	end();
}

static void removes_a_job_and_only_that(void)
{
	auto_free char *bytes = fill(100000);
	struct vault_reader reader = VAULT_READER_NONE;
	struct vault_writer *writer;

	begin();
	scene_keep(&scene, "rows", "small", 5);
	scene_keep(&scene, "shard-1.out", bytes, 100000);
	writer = vault_writer_new(scene.vault, VAULT_RECORD_LIMIT);
	CU_ASSERT_EQUAL(vault_write(writer, "x", 1, NULL), 0);
	CU_ASSERT_EQUAL(vault_keep_record(writer, 11, "rows", NULL), 0);
	vault_remove_job(scene.vault, SCENE_JOB);
	CU_ASSERT(is_file("jobs/1"));
	CU_ASSERT_EQUAL(store_commit(scene.store, NULL), 0);
	CU_ASSERT_EQUAL(vault_open_record(scene.vault, SCENE_JOB, "rows", &reader, NULL), -ENOENT);
	CU_ASSERT_EQUAL(vault_open_record(scene.vault, SCENE_JOB, "shard-1.out", &reader, NULL),
			-ENOENT);
	CU_ASSERT(!is_file("jobs/1"));
	CU_ASSERT_EQUAL(vault_open_record(scene.vault, 11, "rows", &reader, NULL), 0);
	vault_reader_release(&reader);
	end();
}

/* A file may not grow beyond this: writing more fails as a full disk does, with another number. */
static void tells_when_a_disk_takes_no_more(void)
{
	struct rlimit before, small;
	struct vault_writer *writer;
	struct vault_scratch *scratch;
	struct error err = {0};
	auto_free char *bytes = fill(100000);

	begin();
	CU_ASSERT_EQUAL(getrlimit(RLIMIT_FSIZE, &before), 0);
	(void)signal(SIGXFSZ, SIG_IGN);
	small = (struct rlimit){50000, before.rlim_max};
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &small), 0);
	writer = vault_writer_new(scene.vault, VAULT_RECORD_LIMIT);
	CU_ASSERT_EQUAL(vault_write(writer, bytes, 100000, &err), -EFBIG);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "tmp/1"));
	vault_writer_free(writer);
	CU_ASSERT_EQUAL(vault_scratch_new(scene.vault, VAULT_SCRATCH_LIMIT + 1, &scratch, &err),
			-EFBIG);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &before), 0);
	CU_ASSERT(!is_file("tmp/1"));
	end();
}

static void a_scratch_is_zero_and_keeps_what_is_written_anywhere(void)
{
	static const int64_t sizes[] = {0, 1000, VAULT_SCRATCH_LIMIT, VAULT_SCRATCH_LIMIT + 1,
					50000000};

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct vault_scratch *scratch = NULL;
		char bytes[3] = "xyz";

		CU_ASSERT_EQUAL_FATAL(vault_scratch_new(scene.vault, sizes[i], &scratch, NULL), 0);
		if (sizes[i]) {
			CU_ASSERT_EQUAL(vault_scratch_read(scratch, sizes[i] - 3, bytes, 3, NULL),
					0);
			CU_ASSERT_EQUAL(memcmp(bytes, "\0\0\0", 3), 0);
			CU_ASSERT_EQUAL(vault_scratch_write(scratch, sizes[i] - 2, "ab", 2, NULL),
					0);
			CU_ASSERT_EQUAL(vault_scratch_write(scratch, 0, "c", 1, NULL), 0);
			CU_ASSERT_EQUAL(vault_scratch_read(scratch, sizes[i] - 3, bytes, 3, NULL),
					0);
			CU_ASSERT_EQUAL(memcmp(bytes, "\0ab", 3), 0);
			CU_ASSERT_EQUAL(vault_scratch_read(scratch, 0, bytes, 2, NULL), 0);
			CU_ASSERT_EQUAL(memcmp(bytes, "c\0", 2), 0);
			CU_ASSERT_EQUAL(vault_scratch_read(scratch, sizes[i] - 1, bytes, 2, NULL),
					-EIO);
		}
		vault_scratch_free(scratch);
	}
	vault_scratch_free(NULL);
	CU_ASSERT(!is_file("tmp/1"));
	end();
}

/* clang-format off */
CHECK_MAIN("vault",
	   CHECK(keeps_records_of_every_size),
	   CHECK(keeps_files_of_every_size),
	   CHECK(reads_from_anywhere_and_short_only_at_the_end),
	   CHECK(the_last_one_kept_counts),
	   CHECK(tells_what_is_not_there),
	   CHECK(bounds_what_waits_in_memory),
	   CHECK(removes_a_job_and_only_that),
	   CHECK(tells_when_a_disk_takes_no_more),
	   CHECK(a_scratch_is_zero_and_keeps_what_is_written_anywhere))
/* clang-format on */
