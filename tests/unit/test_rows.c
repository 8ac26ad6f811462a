#include <errno.h>

#include "tests/unit/job_scene.h"

#define MANY 5000 /* more than two windows of rows */

static struct record_row row_of(int64_t number)
{
	return (struct record_row){
		.offset = (uint64_t)number * 1000,
		.id_hash = (uint64_t)number * UINT64_C(0x9e3779b97f4a7c15),
		.length = (uint32_t)number + 7,
		.group = (uint16_t)(number % 1000),
	};
}

static bool is_row_of(struct record_row row, int64_t number)
{
	struct record_row wanted = row_of(number);

	row.check = 0;
	return memcmp(&row, &wanted, sizeof(row)) == 0;
}

static void write_rows(struct scene *scene, int64_t count)
{
	auto_rows_writer writer;

	rows_writer_init(&writer, scene->vault, RECORD_ROWS);
	for (int64_t i = 0; i < count; i++) {
		struct record_row row = row_of(i);

		CU_ASSERT_EQUAL_FATAL(rows_write(&writer, &row, NULL), 0);
		CU_ASSERT_EQUAL(row.check, 0);
	}
	CU_ASSERT_EQUAL(writer.count, count);
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&writer, SCENE_JOB, ROWS_NAME, NULL), 0);
}

static int open_rows(struct scene *scene, struct rows_reader *reader)
{
	return rows_open(reader, scene->vault, SCENE_JOB, ROWS_NAME, RECORD_ROWS, NULL);
}

static void reads_back_what_was_written(void)
{
	static const int64_t counts[] = {0, 1, 2, 292, 293, 1170, 1171, MANY};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		auto_rows reader = {0};
		struct record_row row;
		struct scene scene;

		scene_begin(&scene);
		write_rows(&scene, counts[i]);
		CU_ASSERT_EQUAL_FATAL(open_rows(&scene, &reader), 0);
		CU_ASSERT_EQUAL(reader.count, counts[i]);
		for (int64_t k = 0; k < counts[i]; k++) {
			CU_ASSERT_EQUAL_FATAL(rows_read(&reader, k, &row, NULL), 0);
			CU_ASSERT_FATAL(is_row_of(row, k));
		}
		CU_ASSERT_EQUAL(rows_read(&reader, counts[i], &row, NULL), -ERANGE);
		CU_ASSERT_EQUAL(rows_read(&reader, -1, &row, NULL), -ERANGE);
		scene_end(&scene);
	}
}

static void reads_in_any_order(void)
{
	auto_rows reader = {0};
	struct record_row row;
	struct scene scene;
	int64_t number = 1;

	scene_begin(&scene);
	write_rows(&scene, MANY);
	CU_ASSERT_EQUAL_FATAL(open_rows(&scene, &reader), 0);
	for (int i = 0; i < 20000; i++, number = (number * 7919 + i) % MANY) {
		CU_ASSERT_EQUAL_FATAL(rows_read(&reader, number, &row, NULL), 0);
		CU_ASSERT_FATAL(is_row_of(row, number));
	}
	for (number = MANY; number-- > 0;) {
		CU_ASSERT_EQUAL_FATAL(rows_read(&reader, number, &row, NULL), 0);
		CU_ASSERT_FATAL(is_row_of(row, number));
	}
	scene_end(&scene);
}

static void gives_the_same_record_or_none_from_a_damaged_file(void)
{
	struct scene scene;
	size_t size = 0;
	auto_free char *bytes = NULL;

	scene_begin(&scene);
	write_rows(&scene, 3);
	bytes = scene_record(&scene, ROWS_NAME, &size);
	for (size_t at = 0; at < size; at++) {
		int64_t hurt =
			at < RECORD_HEADER_SIZE ? -1 : (int64_t)((at - RECORD_HEADER_SIZE) / 56);
		auto_rows reader = {0};
		int opened;

		scene_damage(&scene, ROWS_NAME, at);
		opened = open_rows(&scene, &reader);
		CU_ASSERT_EQUAL(opened, hurt < 0 ? -EUCLEAN : 0);
		for (int64_t i = 0; !opened && i < 3; i++) {
			struct record_row row;
			int r = rows_read(&reader, i, &row, NULL);

			CU_ASSERT_EQUAL(r, i == hurt ? -EUCLEAN : 0);
			CU_ASSERT(r || is_row_of(row, i));
		}
		scene_keep(&scene, ROWS_NAME, bytes, size);
	}
	scene_end(&scene);
}

static void refuses_a_file_that_was_cut(void)
{
	struct scene scene;
	size_t size = 0;
	auto_free char *bytes = NULL;

	scene_begin(&scene);
	write_rows(&scene, 2);
	bytes = scene_record(&scene, ROWS_NAME, &size);
	CU_ASSERT_EQUAL_FATAL(size, RECORD_HEADER_SIZE + 2 * 56);
	for (size_t left = 0; left < size; left++) {
		bool is_whole = left >= RECORD_HEADER_SIZE && (left - RECORD_HEADER_SIZE) % 56 == 0;
		auto_rows reader = {0};

		scene_keep(&scene, ROWS_NAME, bytes, left);
		CU_ASSERT_EQUAL(open_rows(&scene, &reader), is_whole ? 0 : -EUCLEAN);
	}
	scene_end(&scene);
}

static void names_what_is_missing_or_damaged(void)
{
	auto_rows reader = {0};
	struct record_row row;
	struct error err = {0};
	struct scene scene;

	scene_begin(&scene);
	CU_ASSERT_EQUAL(open_rows(&scene, &reader), -ENOENT);
	write_rows(&scene, 2);
	CU_ASSERT_EQUAL(
		rows_open(&reader, scene.vault, SCENE_JOB, ROWS_NAME, RECORD_OUTCOMES, &err),
		-EUCLEAN);
	CU_ASSERT_STRING_EQUAL(err.text, "rows of job 1 is damaged");
	CU_ASSERT_EQUAL_FATAL(open_rows(&scene, &reader), 0);
	scene_damage(&scene, ROWS_NAME, RECORD_HEADER_SIZE + 56);
	rows_release(&reader);
	rows_release(&reader);
	CU_ASSERT_EQUAL_FATAL(open_rows(&scene, &reader), 0);
	CU_ASSERT_EQUAL(rows_read(&reader, 1, &row, &err), -EUCLEAN);
	CU_ASSERT_STRING_EQUAL(err.text, "rows of job 1 is damaged at record 1");
	scene_end(&scene);
}

static void keeps_nothing_that_was_released(void)
{
	auto_rows reader = {0};
	struct rows_writer writer;
	struct record_row row = row_of(1);
	struct scene scene;

	scene_begin(&scene);
	rows_writer_init(&writer, scene.vault, RECORD_ROWS);
	for (int i = 0; i < MANY; i++)
		CU_ASSERT_EQUAL_FATAL(rows_write(&writer, &row, NULL), 0);
	rows_writer_release(&writer);
	rows_writer_release(&writer);
	CU_ASSERT_EQUAL(open_rows(&scene, &reader), -ENOENT);
	scene_end(&scene);
}

static void copies_a_file_as_it_is(void)
{
	static const int64_t counts[] = {0, 3, MANY};

	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		auto_free char *from = NULL;
		auto_free char *to = NULL;
		size_t from_size = 0;
		size_t to_size = 1;
		struct scene scene;

		scene_begin(&scene);
		write_rows(&scene, counts[i]);
		CU_ASSERT_EQUAL(rows_copy(scene.vault, SCENE_JOB, ROWS_NAME, "copy", NULL), 0);
		from = scene_record(&scene, ROWS_NAME, &from_size);
		to = scene_record(&scene, "copy", &to_size);
		CU_ASSERT_EQUAL_FATAL(from_size, to_size);
		CU_ASSERT_EQUAL(memcmp(from, to, from_size), 0);
		CU_ASSERT_EQUAL(rows_copy(scene.vault, SCENE_JOB, "other", "copy", NULL), -ENOENT);
		scene_end(&scene);
	}
}

static void names_the_files_of_a_shard(void)
{
	auto_free char *members = rows_members_name(12);
	auto_free char *done = rows_done_name(12);
	auto_free char *download = rows_download_name(12, "err");

	CU_ASSERT_STRING_EQUAL(ROWS_NAME, "rows");
	CU_ASSERT_STRING_EQUAL(members, "shard-12.rows");
	CU_ASSERT_STRING_EQUAL(done, "shard-12.done");
	CU_ASSERT_STRING_EQUAL(download, "shard-12.err");
}

CHECK_MAIN("rows", CHECK(reads_back_what_was_written), CHECK(reads_in_any_order),
	   CHECK(gives_the_same_record_or_none_from_a_damaged_file),
	   CHECK(refuses_a_file_that_was_cut), CHECK(names_what_is_missing_or_damaged),
	   CHECK(keeps_nothing_that_was_released), CHECK(copies_a_file_as_it_is),
	   CHECK(names_the_files_of_a_shard))
