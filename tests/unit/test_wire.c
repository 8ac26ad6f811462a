/* The wire form of a shard: byte for byte the lines of its rows, from wherever it is read. */
#include <errno.h>

#include "daemon/work/intake.h"
#include "daemon/work/wire.h"
#include "tests/unit/job_scene.h"

#define SHARD 1

static const char small[] = "{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\"}}\n"
			    "{\"custom_id\":\"b\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\",\"k\":\"\xc3\xa9\"}}\n"
			    "{\"custom_id\":\"c\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\",\"n\":17}}\n"
			    "{\"custom_id\":\"d\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\"}}\n"
			    "{\"custom_id\":\"e\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\"}}";

static struct wire *open_wire(struct scene *scene, int64_t requests)
{
	const struct shard shard = { .number = SHARD, .requests = requests };
	struct wire *wire = NULL;

	CU_ASSERT_EQUAL_FATAL(wire_open(scene->vault, &scene->job, &shard, NULL, &wire, NULL), 0);
	return wire;
}

/* The lines that every step-th row of an input has, from first on, each with its newline. */
static void expect(const char *input, size_t first, size_t step, struct buffer *ret_bytes)
{
	for (size_t i = 0; *input; i++) {
		size_t size = strcspn(input, "\n");

		if (i >= first && (i - first) % step == 0) {
			buffer_add(ret_bytes, input, size);
			buffer_add_text(ret_bytes, "\n");
		}
		input += size + (input[size] == '\n');
	}
	(void)buffer_text(ret_bytes);
}

/* Reads to the end in pieces of so many bytes; whether that is what was wanted from there on. */
static bool reads(struct wire *wire, const struct buffer *wanted, size_t from, size_t piece)
{
	auto_free char *bytes = xmalloc(piece);
	int64_t got;

	while ((got = wire_read(wire, bytes, piece)) > 0) {
		if ((size_t)got > piece || from + (size_t)got > wanted->size ||
		    memcmp(wanted->data + from, bytes, (size_t)got) != 0)
			return false;
		from += (size_t)got;
	}
	return got == 0 && from == wanted->size && wire_read(wire, bytes, piece) == 0;
}

static void the_bytes_are_those_of_the_rows(void)
{
	static const struct { const char *name; size_t first, step; int64_t rows; } cases[] = {
		{ "all", 0, 1, 5 }, { "odd ones", 0, 2, 3 }, { "even ones", 1, 2, 2 },
		{ "the last, without a newline", 4, 1, 1 }, { "first and last", 0, 4, 2 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t piece = 1; piece < 400; piece = piece * 2 + 1) {
			struct scene scene;
			auto_buffer wanted = { 0 };
			struct wire *wire;
			int64_t bytes = -1;

			scene_begin(&scene);
			scene_input(&scene, small);
			scene_members(&scene, SHARD, (int64_t)cases[i].first, scene.rows, (int64_t)cases[i].step);
			expect(small, cases[i].first, cases[i].step, &wanted);
			wire = open_wire(&scene, cases[i].rows);
			CHECK_ROW(cases[i].name, wire_measure(wire, &bytes) == 0 && bytes == (int64_t)wanted.size);
			CHECK_ROW(cases[i].name, reads(wire, &wanted, 0, piece));
			CHECK_ROW(cases[i].name, wire_error(wire)->code == 0);
			wire_free(wire);
			scene_end(&scene);
		}
}

static void it_can_be_read_from_every_offset(void)
{
	struct scene scene;
	auto_buffer wanted = { 0 };
	struct wire *wire;

	scene_begin(&scene);
	scene_input(&scene, small);
	scene_members(&scene, SHARD, 0, scene.rows, 1);
	expect(small, 0, 1, &wanted);
	wire = open_wire(&scene, scene.rows);
	for (size_t offset = 0; offset <= wanted.size; offset++) {
		CU_ASSERT_EQUAL(wire_seek(wire, (int64_t)offset), 0);
		CU_ASSERT_TRUE(reads(wire, &wanted, offset, 50));
		/* And once more from the middle of what was begun. */
		CU_ASSERT_EQUAL(wire_seek(wire, (int64_t)(wanted.size - offset)), 0);
		CU_ASSERT_TRUE(reads(wire, &wanted, wanted.size - offset, 1 + offset % 7));
	}
	CU_ASSERT_TRUE(wire_seek(wire, (int64_t)wanted.size + 1) < 0);
	CU_ASSERT_NOT_EQUAL(wire_error(wire)->code, 0);
	wire_free(wire);
	scene_end(&scene);
}

/* Takes the input in as the job wants it. */
static void take_in(struct scene *scene, const char *input)
{
	struct vault_writer *writer = vault_writer_new(scene->vault, VAULT_FILE_LIMIT);
	struct store_file file = { .purpose = (char *)(uintptr_t) "batch", .bytes = 1 };
	struct intake *intake = NULL;
	int r;

	scene->job.input_file = store_file_add(scene->store, &file);
	CU_ASSERT_EQUAL_FATAL(vault_write(writer, input, strlen(input), NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, scene->job.input_file, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(intake_new(scene->vault, &scene->job, SCENE_KEY, &intake, NULL), 0);
	while ((r = intake_slice(intake, NULL)) > 0)
		;
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_EQUAL_FATAL(intake_keep(intake, NULL), 0);
	intake_free(intake);
}

#define AROUND(line, body) "{\"custom_id\":\"line-" line "\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":" body "}\n"
#define MADE(line, more) "{\"custom_id\":\"line-" line "\"," more "\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\"}}\n"

static void made_lines_can_be_read_from_every_offset(void)
{
	static const char bodies[] = "{\"model\":\"m\"}\r\n{\"a\":1}\n {\"b\":2} \n{\"model\":\"n\"}";
	static const struct { const char *name; bool is_wrapped; int64_t step, rows; const char *input, *wanted; } cases[] = {
		{ "bodies", true, 1, 4, bodies,
		  AROUND("1", "{\"model\":\"m\"}") AROUND("2", "{\"model\":\"own\",\"a\":1}")
		  AROUND("3", " {\"model\":\"own\",\"b\":2} ") AROUND("4", "{\"model\":\"n\"}") },
		{ "every third body", true, 3, 2, bodies, AROUND("1", "{\"model\":\"m\"}") AROUND("4", "{\"model\":\"n\"}") },
		{ "ids", false, 1, 3,
		  "{\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\"}}\n"
		  "{\"custom_id\":\"x\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\"}}\r\n"
		  "{\"custom_id\":\"\",\"x\":0,\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\"}}\n",
		  MADE("1", "") MADE("2", "") MADE("3", "\"x\":0,") },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		auto_buffer wanted = { 0 };
		struct scene scene;
		struct wire *wire;

		scene_begin(&scene);
		scene.job.is_wrapped = cases[i].is_wrapped;
		scene.job.has_line_ids = true;
		scene.job.endpoint = (char *)(uintptr_t) "/v1/completions";
		scene.job.model = (char *)(uintptr_t) "own";
		take_in(&scene, cases[i].input);
		scene_members(&scene, SHARD, 0, cases[i].step * (cases[i].rows - 1) + 1, cases[i].step);
		buffer_add_text(&wanted, cases[i].wanted);
		wire = open_wire(&scene, cases[i].rows);
		CHECK_ROW(cases[i].name, reads(wire, &wanted, 0, 1000));
		for (size_t offset = 0; offset <= wanted.size; offset++) {
			CU_ASSERT_EQUAL(wire_seek(wire, (int64_t)offset), 0);
			CHECK_ROW(cases[i].name, reads(wire, &wanted, offset, 1 + offset % 50));
		}
		CU_ASSERT_TRUE(wire_seek(wire, (int64_t)wanted.size + 1) < 0);
		wire_free(wire);
		scene_end(&scene);
	}
}

#define OTHER(id, url, body) "{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"" url "\",\"body\":" body "}\n"

/* The url that a provider wants stands in every line, wherever the line has its own, and the length is known beforehand. */
static void another_url_is_put_in_the_place_of_each(void)
{
	static const char given[] =
		"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":{\"model\":\"m\",\"url\":\"/v1/completions\"}}\n"
		"{\"url\" : \"\\/v1\\/completions\", \"custom_id\":\"b\",\"method\":\"POST\",\"body\":{\"model\":\"m\"}}\r\n"
		"{\"body\":{\"model\":\"m\"},\"method\":\"POST\",\"custom_id\":\"c\",\"url\":\"/v1/completions\"}";
	static const char bodies[] = "{\"model\":\"m\"}\n{\"a\":1}";
	/* clang-format off */
	static const struct { const char *name; bool is_wrapped, has_line_ids; const char *url, *input; int64_t rows; const char *wanted; } cases[] = {
		{ "longer", false, false, "/a/longer/one", given, 3,
		  OTHER("a", "/a/longer/one", "{\"model\":\"m\",\"url\":\"/v1/completions\"}")
		  "{\"url\" : \"/a/longer/one\", \"custom_id\":\"b\",\"method\":\"POST\",\"body\":{\"model\":\"m\"}}\n"
		  "{\"body\":{\"model\":\"m\"},\"method\":\"POST\",\"custom_id\":\"c\",\"url\":\"/a/longer/one\"}\n" },
		{ "shorter, and ids are made", false, true, "/c", given, 3,
		  OTHER("line-1", "/c", "{\"model\":\"m\",\"url\":\"/v1/completions\"}")
		  "{\"url\" : \"/c\", \"custom_id\":\"line-2\",\"method\":\"POST\",\"body\":{\"model\":\"m\"}}\n"
		  "{\"body\":{\"model\":\"m\"},\"method\":\"POST\",\"custom_id\":\"line-3\",\"url\":\"/c\"}\n" },
		{ "around a body", true, true, "/v4/completions", bodies, 2,
		  OTHER("line-1", "/v4/completions", "{\"model\":\"m\"}") OTHER("line-2", "/v4/completions", "{\"model\":\"own\",\"a\":1}") },
		{ "around a body, shorter", true, true, "/c", bodies, 2,
		  OTHER("line-1", "/c", "{\"model\":\"m\"}") OTHER("line-2", "/c", "{\"model\":\"own\",\"a\":1}") },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct shard shard = { .number = SHARD, .requests = cases[i].rows };
		auto_buffer wanted = { 0 };
		struct scene scene;
		struct wire *wire = NULL;
		int64_t bytes = -1;

		scene_begin(&scene);
		scene.job.is_wrapped = cases[i].is_wrapped;
		scene.job.has_line_ids = cases[i].has_line_ids;
		scene.job.endpoint = (char *)(uintptr_t) "/v1/completions";
		scene.job.model = (char *)(uintptr_t) "own";
		take_in(&scene, cases[i].input);
		scene_members(&scene, SHARD, 0, cases[i].rows, 1);
		buffer_add_text(&wanted, cases[i].wanted);
		CU_ASSERT_EQUAL_FATAL(wire_open(scene.vault, &scene.job, &shard, cases[i].url, &wire, NULL), 0);
		CHECK_ROW(cases[i].name, wire_measure(wire, &bytes) == 0 && bytes == (int64_t)wanted.size);
		CHECK_ROW(cases[i].name, reads(wire, &wanted, 0, 1000));
		for (size_t offset = 0; offset <= wanted.size; offset++) {
			CU_ASSERT_EQUAL(wire_seek(wire, (int64_t)offset), 0);
			CHECK_ROW(cases[i].name, reads(wire, &wanted, offset, 1 + offset % 50));
		}
		CU_ASSERT_TRUE(wire_seek(wire, (int64_t)wanted.size + 1) < 0);
		wire_free(wire);
		scene_end(&scene);
	}
}

/* The length of the whole was announced; a row that would break it is not begun. */
static void a_row_of_another_length_is_not_sent(void)
{
	struct scene scene;
	struct rows_writer rows;
	struct record_row row;
	struct wire *wire;
	char bytes[4096];

	scene_begin(&scene);
	scene_input(&scene, small);
	scene_members(&scene, SHARD, 0, 1, 1);
	row = scene_row(small, 0, strcspn(small, "\n"));
	row.wire_length++;
	rows_writer_init(&rows, scene.vault, RECORD_ROWS);
	CU_ASSERT_EQUAL_FATAL(rows_write(&rows, &row, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(rows_writer_keep(&rows, SCENE_JOB, ROWS_NAME, NULL), 0);
	wire = open_wire(&scene, 1);
	CU_ASSERT_EQUAL(wire_read(wire, bytes, sizeof(bytes)), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(wire_error(wire)->text, "row 0 would be sent as"));
	wire_free(wire);
	scene_end(&scene);
}

/* Rows longer than any window, far apart from each other. */
static void large_rows_come_whole(void)
{
	struct scene scene;
	auto_buffer input = { 0 }, wanted = { 0 };
	auto_free char *text = xcalloc(1, 700001);
	struct wire *wire;

	memset(text, 'x', 700000);
	for (int i = 0; i < 4; i++)
		buffer_add_format(&input,
				  "{\"custom_id\":\"%d\",\"method\":\"POST\",\"url\":\"/v1/completions\",\"body\":"
				  "{\"model\":\"m\",\"t\":\"%s\"}}\n",
				  i, text + 150000 * i);
	scene_begin(&scene);
	scene_input(&scene, buffer_text(&input));
	scene_members(&scene, SHARD, 0, scene.rows, 3);
	expect(buffer_text(&input), 0, 3, &wanted);
	wire = open_wire(&scene, 2);
	CU_ASSERT_TRUE(reads(wire, &wanted, 0, 65536));
	CU_ASSERT_EQUAL(wire_seek(wire, 700100), 0);
	CU_ASSERT_TRUE(reads(wire, &wanted, 700100, 1000));
	CU_ASSERT_EQUAL(wire_seek(wire, 0), 0);
	CU_ASSERT_TRUE(reads(wire, &wanted, 0, 1000000));
	wire_free(wire);
	scene_end(&scene);
}

static void damage_is_not_sent(void)
{
	static const struct { const char *record; size_t at; } cases[] = {
		{ "rows", 32 + 3 }, { "rows", 32 + 56 + 20 }, { "shard-1.rows", 32 + 1 }, { "shard-1.rows", 32 + 8 + 6 },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct scene scene;
		struct wire *wire;
		char bytes[4096];
		int64_t got;

		scene_begin(&scene);
		scene_input(&scene, small);
		scene_members(&scene, SHARD, 0, scene.rows, 1);
		scene_damage(&scene, cases[i].record, cases[i].at);
		wire = open_wire(&scene, scene.rows);
		got = wire_read(wire, bytes, sizeof(bytes));
		CHECK_ROW(cases[i].record, got == -EUCLEAN);
		CHECK_ROW(cases[i].record, wire_error(wire)->code == -EUCLEAN && *wire_error(wire)->text);
		CHECK_ROW(cases[i].record, wire_seek(wire, (int64_t)strlen(small) - 1) == -EUCLEAN);
		CHECK_ROW(cases[i].record, wire_measure(wire, &got) == -EUCLEAN);
		wire_free(wire);
		scene_end(&scene);
	}
}

static void a_shard_of_another_size_is_refused(void)
{
	struct scene scene;
	struct wire *wire = NULL;
	struct error err = { 0 };

	scene_begin(&scene);
	scene_input(&scene, small);
	scene_members(&scene, SHARD, 0, scene.rows, 1);
	CU_ASSERT_EQUAL(wire_open(scene.vault, &scene.job, &(struct shard){ .number = SHARD, .requests = 4 },
				  NULL, &wire, &err), -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "shard-1.rows"));
	CU_ASSERT_EQUAL(wire_open(scene.vault, &scene.job, &(struct shard){ .number = 2, .requests = 5 },
				  NULL, &wire, &err), -ENOENT);
	CU_ASSERT_PTR_NULL(wire);
	scene_end(&scene);
}

CHECK_MAIN("wire", CHECK(the_bytes_are_those_of_the_rows), CHECK(it_can_be_read_from_every_offset),
	   CHECK(made_lines_can_be_read_from_every_offset),
	   CHECK(another_url_is_put_in_the_place_of_each), CHECK(a_row_of_another_length_is_not_sent), CHECK(large_rows_come_whole), CHECK(damage_is_not_sent), CHECK(a_shard_of_another_size_is_refused))
