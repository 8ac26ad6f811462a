/* What rows become on the wire: lines that a provider's validation has nothing to say about, of the length that was counted. */
#include "daemon/work/form.h"

#include "daemon/work/intake.h"
#include "tests/unit/job_scene.h"

DEFINE_CLEANUP(struct intake *, intake_free)

#define CHAT "/v1/chat/completions"
#define HEAD "{\"custom_id\":\"line-1\",\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":"

/* clang-format off */
static const struct {
	const char *name;
	bool is_wrapped, has_line_ids;
	const char *model; /* of the job */
	const char *line;  /* the first of the input */
	const char *sent;  /* without its newline */
} lines[] = {
	{ "as it is", false, false, NULL,
	  " {\"custom_id\":\"\\u0061\",\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}} \r",
	  " {\"custom_id\":\"\\u0061\",\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}} " },
	{ "an id in place of another", false, true, NULL,
	  "{\"method\":\"POST\", \"custom_id\" : \"\\\"x\" ,\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}}",
	  "{\"method\":\"POST\", \"custom_id\" : \"line-1\" ,\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}}" },
	{ "an id in place of an empty one", false, true, NULL,
	  "{\"custom_id\":\"\",\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}}",
	  "{\"custom_id\":\"line-1\",\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}}" },
	{ "an id where there was none", false, true, NULL,
	  " { \"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\",\"custom_id\":\"x\"}}\t",
	  " {\"custom_id\":\"line-1\", \"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\",\"custom_id\":\"x\"}}\t" },
	{ "the job's model is not for whole lines", false, true, "x",
	  "{\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}}",
	  "{\"custom_id\":\"line-1\",\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":{\"model\":\"m\"}}" },
	{ "a body that names its model", true, false, NULL,
	  "{\"messages\":[],\"model\":\"m\"}", HEAD "{\"messages\":[],\"model\":\"m\"}}" },
	{ "a body that names another model than the job", true, true, "x",
	  " {\"model\":\"m\"} ", HEAD " {\"model\":\"m\"} }" },
	{ "a body without a model", true, true, "m",
	  "{\"messages\":[]}", HEAD "{\"model\":\"m\",\"messages\":[]}}" },
	{ "white space before the body", true, true, "m",
	  " \t{ \"messages\":[]}\r", HEAD " \t{\"model\":\"m\", \"messages\":[]}}" },
	{ "a model inside of something else", true, true, "m",
	  "{\"x\":{\"model\":\"n\"}}", HEAD "{\"model\":\"m\",\"x\":{\"model\":\"n\"}}}" },
};
/* clang-format on */

/* Takes the line in as the only one of a job, and gives back its row. */
static struct record_row take_in(struct scene *scene, const char *line)
{
	struct vault_writer *writer = vault_writer_new(scene->vault, VAULT_FILE_LIMIT);
	struct store_file file = {.purpose = (char *)(uintptr_t) "batch", .bytes = 1};
	auto_with(intake_free) struct intake *intake = NULL;
	auto_rows reader = {0};
	struct record_row row = {0};
	int r;

	scene->job.input_file = store_file_add(scene->store, &file);
	CU_ASSERT_EQUAL_FATAL(vault_write(writer, line, strlen(line), NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, scene->job.input_file, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(intake_new(scene->vault, &scene->job, SCENE_KEY, &intake, NULL), 0);
	while ((r = intake_slice(intake, NULL)) > 0)
		;
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_PTR_NULL_FATAL(intake_result(intake)->refusal);
	CU_ASSERT_EQUAL_FATAL(intake_keep(intake, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(
		rows_open(&reader, scene->vault, SCENE_JOB, ROWS_NAME, RECORD_ROWS, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(rows_read(&reader, 0, &row, NULL), 0);
	return row;
}

static void join(const struct form_line *line, const char *input, struct buffer *ret_bytes)
{
	for (size_t i = 0; i < line->count; i++)
		buffer_add(ret_bytes, line->pieces[i].text ? line->pieces[i].text : input + line->pieces[i].at,
			   line->pieces[i].size);
	(void)buffer_text(ret_bytes);
}

static bool has_text(const char *line, struct scan_span span, const char *text)
{
	return scan_text_is(line, span, text);
}

static void a_row_is_sent_as_a_request_that_is_right(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		auto_free char *wanted = xasprintf("%s\n", lines[i].sent);
		auto_buffer sent = {0};
		auto_form form;
		struct form_line line;
		struct record_row row;
		struct request request;
		struct request_flaw flaw;
		struct scene scene;

		scene_begin(&scene);
		scene.job.is_wrapped = lines[i].is_wrapped;
		scene.job.has_line_ids = lines[i].has_line_ids;
		scene.job.endpoint = (char *)(uintptr_t)CHAT;
		scene.job.model = (char *)(uintptr_t)lines[i].model;
		row = take_in(&scene, lines[i].line);
		form_init(&form, &scene.job);
		form_line(&form, &row, &line);
		join(&line, lines[i].line, &sent);
		CHECK_ROW(lines[i].name, strcmp(sent.data, wanted) == 0);
		CHECK_ROW(lines[i].name, form_wire_length(&form, &row) == (int64_t)sent.size);
		CHECK_ROW(lines[i].name, row.wire_length == sent.size);
		CHECK_ROW(lines[i].name, request_parse(sent.data, sent.size, &request, &flaw) == 0);
		CHECK_ROW(lines[i].name,
			  has_text(sent.data, request.custom_id, form.has_line_ids ? "line-1" : "a"));
		CHECK_ROW(lines[i].name, has_text(sent.data, request.url, CHAT));
		CHECK_ROW(lines[i].name, has_text(sent.data, request.model, "m"));
		scene_end(&scene);
	}
}

static void what_the_job_says_is_escaped(void)
{
	const struct job job = {
		.is_wrapped = true,
		.endpoint = (char *)(uintptr_t) "/v1/videos",
		.model = (char *)(uintptr_t) "a\"b\\c\n\x01\xc3\xa9/d",
	};
	const struct record_row row = {.id_hash = UINT64_MAX, .length = 7, .model_at = 1};
	struct form_line line;
	struct request request;
	struct request_flaw flaw;
	auto_buffer sent = {0};
	auto_form form;

	form_init(&form, &job);
	form_line(&form, &row, &line);
	join(&line, "{\"x\":1}", &sent);
	CU_ASSERT_EQUAL_FATAL(request_parse(sent.data, sent.size, &request, &flaw), 0);
	CU_ASSERT_TRUE(has_text(sent.data, request.model, job.model));
	CU_ASSERT_TRUE(has_text(sent.data, request.custom_id, "line-18446744073709551615"));
	CU_ASSERT_EQUAL((int64_t)sent.size, form_wire_length(&form, &row));
}

static void a_made_id_finds_its_row(void)
{
	/* clang-format off */
	static const struct { const char *id; uint64_t line; } ids[] = {
		{ "line-1", 1 }, { "line-9", 9 }, { "line-10", 10 }, { "line-4294967296", 4294967296 },
		{ "line-18446744073709551615", UINT64_MAX }, { "line-18446744073709551616", 0 },
		{ "line-99999999999999999999", 0 }, { "line-100000000000000000000", 0 },
		{ "line-0", 0 }, { "line-01", 0 }, { "line-", 0 }, { "line", 0 }, { "", 0 }, { "Line-1", 0 },
		{ "line-1 ", 0 }, { " line-1", 0 }, { "line-+1", 0 }, { "line--1", 0 }, { "line-1a", 0 }, { "line-/", 0 },
		{ "line-:", 0 }, { "1", 0 },
	};
	/* clang-format on */
	const struct form form = {.has_line_ids = true};

	for (size_t i = 0; i < ARRAY_SIZE(ids); i++) {
		size_t size = strlen(ids[i].id);
		auto_free char *exact = xmalloc(size);
		struct row_id id;

		memcpy(exact, ids[i].id, size);
		CHECK_ROW(ids[i].id, form_id_hash(&form, SCENE_KEY, exact, size) == ids[i].line);
		if (!ids[i].line)
			continue;
		CU_ASSERT_EQUAL(form_row_id(&form, NULL, &(struct record_row){.id_hash = ids[i].line}, &id, NULL), 0);
		CHECK_ROW(ids[i].id, id.size == size + 2 && id.quoted[0] == '"' && id.quoted[size + 1] == '"');
		CHECK_ROW(ids[i].id, memcmp(id.quoted + 1, ids[i].id, size) == 0);
	}
}

static void an_id_of_the_input_is_read_there(void)
{
	static const char input[] = "{\"custom_id\":\"\\u0061b\"}";
	const struct vault_reader reader = {.data = (char *)(uintptr_t)input, .fd = -1, .size = sizeof(input) - 1};
	const struct record_row row = {.id_at = 14, .id_length = 7};
	const struct job job = {.endpoint = NULL};
	auto_form form;
	struct row_id id;

	form_init(&form, &job);
	CU_ASSERT_EQUAL_FATAL(form_row_id(&form, &reader, &row, &id, NULL), 0);
	CU_ASSERT_EQUAL(id.size, 9);
	CU_ASSERT_EQUAL(memcmp(id.quoted, "\"\\u0061b\"", 9), 0);
	CU_ASSERT_EQUAL(form_id_hash(&form, SCENE_KEY, "ab", 2), hash_keyed(SCENE_KEY, "ab", 2));
}

CHECK_MAIN("form", CHECK(a_row_is_sent_as_a_request_that_is_right), CHECK(what_the_job_says_is_escaped),
	   CHECK(a_made_id_finds_its_row), CHECK(an_id_of_the_input_is_read_there))
