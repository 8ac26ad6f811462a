#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <sys/resource.h>

#include "daemon/protocol.h"
#include "daemon/work/intake.h"
#include "tests/unit/job_scene.h"

#define MANY 200000 /* lines: their ids are sorted on disk */
#define MB   (1000 * 1000)

/* A request with this id, model and url, as written between the quotes. */
#define REQUEST_OF(id, model, url)                                                                 \
	"{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"" url                             \
	"\",\"body\":{\"model\":\"" model "\"}}"
#define REQUEST(id) REQUEST_OF(id, "m", "/v1/responses")

DEFINE_CLEANUP(struct intake *, intake_free)
#define auto_intake auto_with(intake_free) struct intake
/* Declared first, so that it ends last. */
#define auto_scene __attribute__((cleanup(scene_end))) struct scene

struct run {
	int64_t slices;
	int code; /* 0, or the error */
	struct error err;
};

static void keep_input(struct scene *scene, const void *bytes, size_t size)
{
	struct vault_writer *writer = vault_writer_new(scene->vault, VAULT_FILE_LIMIT);
	struct store_file file = {.purpose = (char *)(uintptr_t) "batch", .bytes = 1};

	scene->job.input_file = store_file_add(scene->store, &file);
	CU_ASSERT_EQUAL_FATAL(vault_write(writer, bytes, size, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, scene->job.input_file, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_commit(scene->store, NULL), 0);
}

static char *input_path(const struct scene *scene)
{
	return xasprintf("%s/files/%" PRId64, scene->folder, scene->job.input_file);
}

static struct run take_in(struct scene *scene, struct intake **ret_intake)
{
	struct run run = {.slices = 1};

	run.code = intake_new(scene->vault, &scene->job, SCENE_KEY, ret_intake, &run.err);
	while (!run.code && (run.code = intake_slice(*ret_intake, &run.err)) > 0) {
		run.slices++;
		run.code = 0;
	}
	return run;
}

/* The flaws as text: "code param line|...". */
static char *flaws_text(const struct intake *intake)
{
	json_object *array = json_tokener_parse(intake_result(intake)->flaws_json);
	auto_buffer text = {0};

	CU_ASSERT_FATAL(json_object_is_type(array, json_type_array));
	for (size_t i = 0; i < json_object_array_length(array); i++) {
		json_object *flaw = json_object_array_get_idx(array, i);
		json_object *code = NULL, *param = NULL, *line = NULL, *message = NULL;

		CU_ASSERT(json_object_object_length(flaw) == 4);
		CU_ASSERT(json_object_object_get_ex(flaw, "code", &code));
		CU_ASSERT(json_object_object_get_ex(flaw, "param", &param));
		CU_ASSERT(json_object_object_get_ex(flaw, "line", &line));
		CU_ASSERT(json_object_object_get_ex(flaw, "message", &message));
		CU_ASSERT(json_object_get_string_len(message) > 10);
		buffer_add_format(&text, i ? "|%s %s %s" : "%s %s %s", json_object_get_string(code),
				  param ? json_object_get_string(param) : "-",
				  line ? json_object_get_string(line) : "-");
	}
	json_object_put(array);
	return xstrdup(buffer_text(&text));
}

/* The message of the flaw at index; the caller frees. */
static char *flaw_message(const struct intake *intake, size_t index, size_t *ret_size)
{
	json_object *array = json_tokener_parse(intake_result(intake)->flaws_json);
	json_object *message = NULL;
	char *copy;

	(void)json_object_object_get_ex(json_object_array_get_idx(array, index), "message",
					&message);
	*ret_size = (size_t)json_object_get_string_len(message);
	copy = xmemdup0(json_object_get_string(message), *ret_size);
	json_object_put(array);
	return copy;
}

static struct record_row read_row(struct rows_reader *reader, int64_t number)
{
	struct record_row row = {0};

	CU_ASSERT_EQUAL_FATAL(rows_read(reader, number, &row, NULL), 0);
	return row;
}

/* clang-format off */
#define TEXT(text) text, sizeof(text) - 1
static const struct {
	const char *name;
	const char *input;
	size_t size;
	int64_t right;
	int64_t flaws;
	const char *expected;
} inputs[] = {
	{ "one line", TEXT(REQUEST("a") "\n"), 1, 0, "" },
	{ "no last newline", TEXT(REQUEST("a") "\n" REQUEST("b")), 2, 0, "" },
	{ "CRLF", TEXT(REQUEST("a") "\r\n" REQUEST("b") "\r\n"), 2, 0, "" },
	{ "a CR alone at the end", TEXT(REQUEST("a") "\r"), 1, 0, "" },
	{ "spaces around", TEXT(" \t" REQUEST("a") " \r\r\n"), 1, 0, "" },
	{ "empty", TEXT(""), 0, 1, "empty_file - -" },
	{ "a newline", TEXT("\n"), 0, 1, "invalid_json_line - 1" },
	{ "a carriage return", TEXT("\r"), 0, 1, "invalid_json_line - 1" },
	{ "blank between", TEXT(REQUEST("a") "\n\n" REQUEST("b") "\n"), 2, 1, "invalid_json_line - 2" },
	{ "CRLF between", TEXT(REQUEST("a") "\r\n\r\n" REQUEST("b") "\r\n"), 2, 1, "invalid_json_line - 2" },
	{ "blank at the end", TEXT(REQUEST("a") "\n\n"), 1, 1, "invalid_json_line - 2" },
	{ "spaces alone", TEXT(REQUEST("a") "\n   "), 1, 1, "invalid_json_line - 2" },
	{ "BOM", TEXT("\xef\xbb\xbf" REQUEST("a") "\n" REQUEST("b") "\n"), 1, 1, "invalid_json_line - 1" },
	{ "NUL behind", TEXT(REQUEST("a") "\0\n" REQUEST("b") "\n"), 1, 1, "invalid_json_line - 1" },
	{ "NUL inside", TEXT(REQUEST("a\0b") "\n"), 0, 1, "invalid_json_line - 1" },
	{ "all NUL", TEXT("\0\0\0"), 0, 1, "invalid_json_line - 1" },
	{ "not UTF-8", TEXT(REQUEST("a\xff") "\n"), 0, 1, "invalid_json_line - 1" },
	{ "two requests in a line", TEXT(REQUEST("a") REQUEST("b") "\n"), 0, 1, "invalid_json_line - 1" },
	{ "a request in two lines", TEXT("{\"custom_id\":\n\"a\"}\n"), 0, 2, "invalid_json_line - 1|invalid_json_line - 2" },
	{ "no custom_id", TEXT("{\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":{\"model\":\"m\"}}"),
	  0, 1, "missing_required_parameter custom_id 1" },
	{ "no model", TEXT("{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/responses\",\"body\":{}}"),
	  0, 1, "missing_required_parameter body.model 1" },
	{ "another url", TEXT(REQUEST_OF("a", "m", "/v1/chat/completion") "\n"), 0, 1, "url_not_found url 1" },
	{ "NUL in a model", TEXT(REQUEST_OF("a", "m\\u0000n", "/v1/responses")), 0, 1, "invalid_value body.model 1" },
	{ "a repeat", TEXT(REQUEST("a") "\n" REQUEST("b") "\n" REQUEST("a") "\n"), 2, 1, "duplicate_custom_id custom_id 3" },
	{ "three of one id", TEXT(REQUEST("a") "\n" REQUEST("a") "\n" REQUEST("a") "\n"),
	  1, 2, "duplicate_custom_id custom_id 2|duplicate_custom_id custom_id 3" },
	{ "a repeat in escapes", TEXT(REQUEST("a/\xc3\xa9") "\n" REQUEST("\\u0061\\/\\u00e9")), 1, 1, "duplicate_custom_id custom_id 2" },
	{ "a pair of surrogates", TEXT(REQUEST("\xf0\x9f\x98\x80") "\n" REQUEST("\\ud83d\\ude00")), 1, 1, "duplicate_custom_id custom_id 2" },
	{ "ids that begin alike", TEXT(REQUEST("a") "\n" REQUEST("a\\u0000") "\n" REQUEST("a ") "\n" REQUEST("A")), 4, 0, "" },
	{ "a repeat of another model", TEXT(REQUEST_OF("a", "m", "/v1/responses") "\n" REQUEST_OF("a", "n", "/v1/responses")),
	  1, 1, "duplicate_custom_id custom_id 2" },
	{ "a repeat beside other flaws", TEXT("{\n" REQUEST("a") "\n\n" REQUEST("a") "\n[]"),
	  1, 4, "invalid_json_line - 1|invalid_json_line - 3|duplicate_custom_id custom_id 4|invalid_json_line - 5" },
	{ "an id of a wrong line is free", TEXT(REQUEST_OF("a", "m", "/v2") "\n" REQUEST("a") "\n"), 1, 1, "url_not_found url 1" },
};
/* clang-format on */

static void tells_what_is_wrong_and_where(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		auto_scene scene;
		auto_intake *intake = NULL;
		auto_free char *flaws = NULL;

		scene_begin(&scene);
		keep_input(&scene, inputs[i].input, inputs[i].size);
		CHECK_ROW(inputs[i].name, take_in(&scene, &intake).code == 0);
		CHECK_ROW(inputs[i].name, intake_result(intake)->requests == inputs[i].right);
		CHECK_ROW(inputs[i].name, intake_result(intake)->flaws == inputs[i].flaws);
		flaws = flaws_text(intake);
		CU_ASSERT_STRING_EQUAL(flaws, inputs[i].expected);
	}
}

static void indexes_every_line(void)
{
	auto_scene scene;
	static const char text[] = REQUEST("a") "\r\n" REQUEST_OF(
		"b\\u0062", "m\\u006d", "\\/v1/embeddings") "\n  " REQUEST_OF("c", "mm",
									      "/v1/embeddings");
	static const char more[] =
		"{\"body\":{\"input\":[\"x\",\"y\"],\"model\":\"m\"},\"url\":\"/v1/responses\","
		"\"method\":\"POST\",\"custom_id\":\"d\"}";
	auto_free char *input = xasprintf("%s\n%s\n", text, more);
	auto_intake *intake = NULL;
	auto_rows reader = {0};
	const char *at = input;

	scene_begin(&scene);
	keep_input(&scene, input, strlen(input));
	CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
	CU_ASSERT_EQUAL(intake_result(intake)->requests, 4);
	CU_ASSERT_STRING_EQUAL(intake_result(intake)->flaws_json, "[]");
	CU_ASSERT_EQUAL_FATAL(intake_keep(intake, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(
		rows_open(&reader, scene.vault, SCENE_JOB, ROWS_NAME, RECORD_ROWS, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(reader.count, 4);
	for (int64_t i = 0; i < 4; i++) {
		struct record_row row = read_row(&reader, i);
		size_t size = strcspn(at, "\r\n");
		struct record_row wanted = scene_row(input, (size_t)(at - input), size);

		CU_ASSERT_EQUAL(row.offset, wanted.offset);
		CU_ASSERT_EQUAL(row.length, size);
		CU_ASSERT_EQUAL(row.wire_length, size + 1);
		CU_ASSERT_EQUAL(row.id_at, wanted.id_at);
		CU_ASSERT_EQUAL(row.id_length, wanted.id_length);
		CU_ASSERT_EQUAL(row.id_hash, wanted.id_hash);
		CU_ASSERT_EQUAL(row.group, "0110"[i] - '0');
		CU_ASSERT_EQUAL(row.inputs, i == 3 ? 2 : 0);
		CU_ASSERT_EQUAL(at[row.url_at - 1], '"');
		CU_ASSERT_EQUAL(at[row.url_at + row.url_length], '"');
		CU_ASSERT_EQUAL(memcmp(at + row.model_at - 9, "\"model\":\"m", 10), 0);
		CU_ASSERT_EQUAL(at[row.model_at + row.model_length], '"');
		at += size + strspn(at + size, "\r\n");
	}
}

static void counts_what_belongs_to_each_model_and_url(void)
{
	auto_scene scene;
	static const char text[] = REQUEST_OF("a", "m", "/v1/responses") "\r\n" REQUEST_OF(
		"b", "m", "/v1/embeddings") "\n" REQUEST_OF("c", "\\u006d",
							    "\\/v1\\/responses") "\n";
	const int64_t shortest = sizeof(REQUEST("a"));
	const struct intake_result *result;
	auto_intake *intake = NULL;

	scene_begin(&scene);
	keep_input(&scene, text, strlen(text));
	CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
	result = intake_result(intake);
	CU_ASSERT_EQUAL_FATAL(result->group_count, 2);
	CU_ASSERT_STRING_EQUAL(result->groups[0].model, "m");
	CU_ASSERT_STRING_EQUAL(result->groups[0].url, "/v1/responses");
	CU_ASSERT_EQUAL(result->groups[0].requests, 2);
	CU_ASSERT_EQUAL(result->groups[0].bytes, 2 * shortest + 7);
	CU_ASSERT_STRING_EQUAL(result->groups[1].model, "m");
	CU_ASSERT_STRING_EQUAL(result->groups[1].url, "/v1/embeddings");
	CU_ASSERT_EQUAL(result->groups[1].requests, 1);
	CU_ASSERT_EQUAL(result->groups[1].bytes, shortest + 1);
}

static void names_the_id_and_both_lines_of_a_repeat(void)
{
	auto_scene scene;
	static const char text[] = REQUEST("x") "\n" REQUEST("\\u00e9\\\"\\u0000\\n") "\n" REQUEST(
		"y") "\n" REQUEST("\xc3\xa9\\\"\\u0000\\u000a");
	static const char wanted[] =
		"The custom_id '\xc3\xa9\"\0\n' for this request is a duplicate of another "
		"request. The "
		"custom_id parameter must be unique for each request in a batch. (first at line 2)";
	auto_intake *intake = NULL;
	auto_free char *message = NULL;
	size_t size;

	scene_begin(&scene);
	keep_input(&scene, text, strlen(text));
	CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
	message = flaw_message(intake, 0, &size);
	CU_ASSERT_EQUAL_FATAL(size, sizeof(wanted) - 1);
	CU_ASSERT_EQUAL(memcmp(message, wanted, size), 0);
}

/* Every fifth line is wrong, and the rest of the second half repeats the ids of the first. */
static void keeps_the_first_flaws_by_line_and_counts_all(void)
{
	auto_scene scene;
	auto_intake *intake = NULL;
	auto_buffer text = {0};
	auto_free char *flaws = NULL;
	auto_buffer wanted = {0};
	const int lines = 6000;

	for (int i = 1; i <= lines; i++) {
		bool is_repeat = i > lines / 2;

		if (i % 5 == 0)
			buffer_add_text(&text, "?\n");
		else
			buffer_add_format(&text, REQUEST("%d") "\n", is_repeat ? i - lines / 2 : i);
		if (i <= lines / 2 + 400 && (i % 5 == 0 || is_repeat))
			buffer_add_format(
				&wanted, "%s%s %d", wanted.size ? "|" : "",
				i % 5 ? "duplicate_custom_id custom_id" : "invalid_json_line -", i);
	}
	scene_begin(&scene);
	keep_input(&scene, text.data, text.size);
	CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
	CU_ASSERT_EQUAL(intake_result(intake)->flaws, lines / 5 + lines / 2 * 4 / 5);
	CU_ASSERT_EQUAL(intake_result(intake)->requests, lines / 2 * 4 / 5);
	flaws = flaws_text(intake);
	CU_ASSERT_STRING_EQUAL(flaws, buffer_text(&wanted));
}

/* id_of(line) is the id of each of MANY lines. */
static void keep_many(struct scene *scene, int (*id_of)(int line))
{
	auto_buffer text = {0};

	for (int i = 1; i <= MANY; i++)
		buffer_add_format(&text, REQUEST("request-%d") "\n", id_of(i));
	keep_input(scene, text.data, text.size);
}

static int id_own(int line)
{
	return line;
}

static int id_same(int line)
{
	return line % 2;
}

static int id_few_repeats(int line)
{
	return line == 4 ? 3 : line == MANY ? 17 : line == MANY - 1 ? 150000 : line;
}

static void compares_every_id_of_a_large_input(void)
{
	/* clang-format off */
	static const struct { int (*id_of)(int); int64_t flaws; const char *expected; } rows[] = {
		{ id_own, 0, "" },
		{ id_few_repeats, 3, "duplicate_custom_id custom_id 4|duplicate_custom_id custom_id 199999|"
				     "duplicate_custom_id custom_id 200000" },
		{ id_same, MANY - 2, "duplicate_custom_id custom_id 3|duplicate_custom_id custom_id 4|" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_scene scene;
		auto_intake *intake = NULL;
		auto_free char *flaws = NULL;
		struct run run;

		scene_begin(&scene);
		keep_many(&scene, rows[i].id_of);
		run = take_in(&scene, &intake);
		CU_ASSERT_EQUAL(run.code, 0);
		CU_ASSERT(run.slices >= 15);
		CU_ASSERT_EQUAL(intake_result(intake)->flaws, rows[i].flaws);
		CU_ASSERT_EQUAL(intake_result(intake)->requests, MANY - rows[i].flaws);
		flaws = flaws_text(intake);
		CU_ASSERT_EQUAL(
			strncmp(flaws, rows[i].expected, strlen(rows[i].expected) + (i < 2)), 0);
		if (!rows[i].flaws)
			CU_ASSERT_EQUAL(intake_keep(intake, NULL), 0);
	}
}

/* What is larger than a batch may be is not wrong: other limits, another day. */
static void bounds_the_size_of_a_request(void)
{
	static const char line[] = REQUEST("a");
	static const char *const ends[] = {"", "\n", "\r", "\r\n", "\n" REQUEST("b")};

	for (size_t i = 0; i < ARRAY_SIZE(ends) * 2; i++) {
		size_t size = REQUEST_MAX_LINE + i % 2;
		const char *end = ends[i / 2];
		auto_scene scene;
		auto_free char *text = xmalloc(size + strlen(end) + 1);
		auto_free char *flaws = NULL;
		auto_intake *intake = NULL;

		memset(text, ' ', size);
		memcpy(text, line, sizeof(line) - 1);
		(void)strcpy(text + size, end);
		scene_begin(&scene);
		keep_input(&scene, text, strlen(text));
		CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
		flaws = flaws_text(intake);
		CHECK_ROW(end, strcmp(flaws, i % 2 ? "request_too_large - 1" : "") == 0);
		CHECK_ROW(end, intake_result(intake)->requests == !(i % 2) + (i / 2 == 4));
	}
}

static long peak_kib(void)
{
	struct rusage usage;

	CU_ASSERT_EQUAL_FATAL(getrusage(RUSAGE_SELF, &usage), 0);
	return usage.ru_maxrss;
}

/* The file is a hole of 150 MB in its first line, which is more than a request may have. */
static void does_not_hold_a_line_that_is_too_long(void)
{
	auto_scene scene;
	static const char rest[] = "\n" REQUEST("a") "\n";
	auto_intake *intake = NULL;
	auto_free char *flaws = NULL;
	auto_free char *path = NULL;
	struct run run;
	long before;
	int fd;

	scene_begin(&scene);
	keep_input(&scene, rest, sizeof(rest) - 1);
	scene.job.input_file++;
	path = input_path(&scene);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT_EQUAL(pwrite(fd, rest, sizeof(rest) - 1, 150 * MB), (ssize_t)sizeof(rest) - 1);
	(void)close(fd);
	before = peak_kib();
	run = take_in(&scene, &intake);
	CU_ASSERT_EQUAL(run.code, 0);
	CU_ASSERT(run.slices >= 140);
	CU_ASSERT(peak_kib() - before < 8 * 1024);
	CU_ASSERT_EQUAL(intake_result(intake)->requests, 1);
	flaws = flaws_text(intake);
	CU_ASSERT_STRING_EQUAL(flaws, "request_too_large - 1");
}

static void limits_the_pairs_of_model_and_url(void)
{
	for (int extra = 0; extra < 3; extra++) {
		auto_scene scene;
		auto_intake *intake = NULL;
		auto_free char *flaws = NULL;
		auto_buffer text = {0};

		for (int i = 0; i < INTAKE_MAX_GROUPS + extra; i++)
			buffer_add_format(&text, REQUEST_OF("%d", "m%d", "%s") "\n", i,
					  i % 2 ? "/v1/responses" : "/v1/embeddings", i / 2);
		buffer_add_format(&text, REQUEST_OF("again", "m0", "/v1/responses") "\n");
		scene_begin(&scene);
		keep_input(&scene, text.data, text.size);
		CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
		CU_ASSERT_EQUAL(intake_result(intake)->group_count, INTAKE_MAX_GROUPS);
		CU_ASSERT_EQUAL(intake_result(intake)->flaws, extra > 0);
		CU_ASSERT_EQUAL(intake_result(intake)->requests, INTAKE_MAX_GROUPS + 1 + extra);
		CU_ASSERT_EQUAL(intake_result(intake)->groups[1].requests, extra ? 1 : 2);
		flaws = flaws_text(intake);
		CU_ASSERT_STRING_EQUAL(flaws, extra ? "too_many_groups body.model 1001" : "");
		CU_ASSERT_EQUAL(intake_result(intake)->refusal == NULL, !extra);
	}
}

static void compares_ids_beyond_the_most_groups(void)
{
	auto_scene scene;
	auto_intake *intake = NULL;
	auto_free char *flaws = NULL;
	auto_buffer text = {0};

	for (int i = 0; i < INTAKE_MAX_GROUPS + 5; i++)
		buffer_add_format(&text, REQUEST_OF("%d", "m%d", "/v1/responses") "\n",
				  i == INTAKE_MAX_GROUPS + 4 ? 7 : i, i);
	scene_begin(&scene);
	keep_input(&scene, text.data, text.size);
	CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
	flaws = flaws_text(intake);
	CU_ASSERT_STRING_EQUAL(
		flaws, "too_many_groups body.model 1001|duplicate_custom_id custom_id 1005");
}

/* A model of its own in every line: counted, as far as they can be told apart, whether or not wrong lines are skipped. */
static void tells_how_many_pairs_there_are(void)
{
	/* clang-format off */
	static const struct { int pairs, lines; bool skips; const char *message, *refusal; } rows[] = {
		{ 1003, 2500, false, "The input has 1003 pairs; 503 requests are of those beyond.",
		  "there are 1003 pairs of model and url, more than the 1000 that a job may have; nothing was sent" },
		{ 1003, 2500, true, "The input has 1003 pairs; 503 requests are of those beyond.",
		  "there are 1003 pairs of model and url, more than the 1000 that a job may have; nothing was sent" },
		{ 80000, 80000, false, "The input has at least 66536 pairs; 79000 requests are of those beyond.",
		  "there are at least 66536 pairs of model and url, more than the 1000 that a job may have; nothing was sent" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_scene scene;
		auto_intake *intake = NULL;
		auto_free char *message = NULL;
		auto_buffer text = {0};
		size_t size;

		for (int k = 0; k < rows[i].lines; k++)
			buffer_add_format(&text, REQUEST_OF("%d", "m%d", "/v1/responses") "\n", k,
					  k < rows[i].pairs ? k : k < 1503 ? 1002 : 3);
		scene_begin(&scene);
		scene.job.skips_invalid = rows[i].skips;
		keep_input(&scene, text.data, text.size);
		CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
		message = flaw_message(intake, 0, &size);
		CHECK_ROW(message, strstr(message, rows[i].message) != NULL);
		CU_ASSERT_STRING_EQUAL(intake_result(intake)->refusal, rows[i].refusal);
		CU_ASSERT_EQUAL(intake_result(intake)->flaws, 1);
		CU_ASSERT_EQUAL(intake_result(intake)->skipped, 0);
	}
}

static void says_that_an_input_is_missing(void)
{
	auto_scene scene;
	auto_intake *intake = NULL;
	struct run run;

	scene_begin(&scene);
	scene.job.input_file = 4711;
	run = take_in(&scene, &intake);
	CU_ASSERT_EQUAL(run.code, -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.err.text, "files/4711"));
	CU_ASSERT_PTR_NULL(intake);
}

static void notices_that_an_input_became_shorter(void)
{
	auto_scene scene;
	auto_intake *intake = NULL;
	auto_free char *path = NULL;
	struct error err = {0};
	int r = 1;

	scene_begin(&scene);
	keep_many(&scene, id_own);
	path = input_path(&scene);
	CU_ASSERT_EQUAL_FATAL(intake_new(scene.vault, &scene.job, SCENE_KEY, &intake, &err),
			      0);
	CU_ASSERT_EQUAL(intake_slice(intake, &err), 1);
	CU_ASSERT_EQUAL_FATAL(truncate(path, 3 * MB), 0);
	while (r > 0)
		r = intake_slice(intake, &err);
	CU_ASSERT_EQUAL(r, -EUCLEAN);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "cannot read the input at byte"));
}

static void says_that_it_cannot_write(void)
{
	auto_scene scene;
	auto_intake *intake = NULL;
	auto_free char *path = NULL;
	struct run run;

	scene_begin(&scene);
	keep_many(&scene, id_own);
	path = xasprintf("%s/tmp", scene.folder);
	CU_ASSERT_EQUAL_FATAL(rmdir(path), 0);
	run = take_in(&scene, &intake);
	CU_ASSERT_EQUAL(run.code, -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(run.err.text, "/tmp/"));
}

static void stops_at_any_time_and_leaves_nothing(void)
{
	static const int stops[] = {0, 1, 10, 18, 19, 20, 21, 22, 30};
	auto_scene scene;

	scene_begin(&scene);
	keep_many(&scene, id_few_repeats);
	for (size_t k = 0; k < ARRAY_SIZE(stops); k++) {
		auto_intake *intake = NULL;
		auto_rows reader = {0};

		CU_ASSERT_EQUAL_FATAL(
			intake_new(scene.vault, &scene.job, SCENE_KEY, &intake, NULL), 0);
		for (int i = 0; i < stops[k]; i++)
			CU_ASSERT(intake_slice(intake, NULL) >= 0);
		CU_ASSERT_EQUAL(
			rows_open(&reader, scene.vault, SCENE_JOB, ROWS_NAME, RECORD_ROWS, NULL),
			-ENOENT);
	}
}

static void writes_the_same_bytes_again(void)
{
	auto_scene scene;
	size_t sizes[2] = {0, 1};
	char *rows[2];

	scene_begin(&scene);
	keep_many(&scene, id_own);
	for (int i = 0; i < 2; i++) {
		auto_intake *intake = NULL;

		CU_ASSERT_EQUAL_FATAL(take_in(&scene, &intake).code, 0);
		CU_ASSERT_EQUAL_FATAL(intake_keep(intake, NULL), 0);
		rows[i] = scene_record(&scene, ROWS_NAME, &sizes[i]);
	}
	CU_ASSERT_EQUAL_FATAL(sizes[0], sizes[1]);
	CU_ASSERT_EQUAL(memcmp(rows[0], rows[1], sizes[0]), 0);
	free(rows[0]);
	free(rows[1]);
}

CHECK_MAIN("intake", CHECK(does_not_hold_a_line_that_is_too_long),
	   CHECK(tells_what_is_wrong_and_where), CHECK(indexes_every_line),
	   CHECK(counts_what_belongs_to_each_model_and_url),
	   CHECK(names_the_id_and_both_lines_of_a_repeat),
	   CHECK(keeps_the_first_flaws_by_line_and_counts_all),
	   CHECK(compares_every_id_of_a_large_input), CHECK(bounds_the_size_of_a_request),
	   CHECK(limits_the_pairs_of_model_and_url), CHECK(compares_ids_beyond_the_most_groups),
	   CHECK(tells_how_many_pairs_there_are),
	   CHECK(says_that_an_input_is_missing), CHECK(notices_that_an_input_became_shorter),
	   CHECK(says_that_it_cannot_write), CHECK(stops_at_any_time_and_leaves_nothing),
	   CHECK(writes_the_same_bytes_again))
