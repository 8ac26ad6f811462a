/* Lines that are wrong, in a job that goes on without them: what is told of each, and what the others lose by it. */
#include "daemon/work/skipped.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/resource.h>

#include "daemon/work/intake.h"
#include "tests/unit/job_scene.h"

#define MANY 300000

/* The address sanitizer keeps for a while what was freed. */
#ifdef __SANITIZE_ADDRESS__
#define MOST_MEMORY_KIB (512 * 1024)
#else
#define MOST_MEMORY_KIB (12 * 1024)
#endif

#define REQUEST_OF(id, model, url)                                                                 \
	"{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"" url                             \
	"\",\"body\":{\"model\":\"" model "\"}}"
#define REQUEST(id) REQUEST_OF(id, "m", "/v1/responses")
#define FAULT(id, code, message, param, line)                                                      \
	"{\"id\":null,\"custom_id\":" id ",\"response\":null,\"error\":{\"code\":\"" code          \
	"\",\"message\":\"" message "\",\"param\":" param "},\"line\":" line "}\n"
#define DUPLICATE(id, first, line)                                                                 \
	FAULT("\"" id "\"", "duplicate_custom_id",                                                 \
	      "The custom_id '" id "' for this request is a duplicate of another request. The "    \
	      "custom_id parameter must be unique for each request in a batch. (first at line "    \
	      first ")",                                                                           \
	      "\"custom_id\"", line)
#define NOT_JSON(id, why, line)                                                                    \
	FAULT(id, "invalid_json_line", "This line is not parseable as valid JSON. " why, "null", line)
#define BLANK(line) NOT_JSON("null", "It is blank.", line)

DEFINE_CLEANUP(struct intake *, intake_free)
#define auto_intake auto_with(intake_free) struct intake
/* Declared first, so that it ends last. */
#define auto_scene __attribute__((cleanup(scene_end))) struct scene

static void keep_input(struct scene *scene, const void *bytes, size_t size)
{
	struct vault_writer *writer = vault_writer_new(scene->vault, VAULT_FILE_LIMIT);
	struct store_file file = {.purpose = (char *)(uintptr_t) "batch", .bytes = 1};

	scene->job.input_file = store_file_add(scene->store, &file);
	scene->job.skips_invalid = true;
	CU_ASSERT_EQUAL_FATAL(vault_write(writer, bytes, size, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, scene->job.input_file, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_commit(scene->store, NULL), 0);
}

/* Takes the input in and keeps what comes of it; how many slices it took, or a negative error. */
static int64_t take_in(struct scene *scene, struct intake **ret_intake)
{
	int64_t slices = 1;
	int r = intake_new(scene->vault, &scene->job, SCENE_KEY, ret_intake, NULL);

	while (!r && (r = intake_slice(*ret_intake, NULL)) > 0) {
		slices++;
		r = 0;
	}
	if (!r && !intake_result(*ret_intake)->refusal)
		r = intake_keep(*ret_intake, NULL);
	return r ? r : slices;
}

static int64_t open_records(struct scene *scene, const char *name, enum record_kind kind,
			    struct rows_reader *reader)
{
	*reader = (struct rows_reader){0};
	CU_ASSERT_EQUAL_FATAL(rows_open(reader, scene->vault, SCENE_JOB, name, kind, NULL), 0);
	return reader->count;
}

/* Compares rows, members, outcomes and error lines with each other; returns the rows that are wrong as text: "0 3". */
static char *check_records(const char *name, struct scene *scene, int64_t lines)
{
	struct rows_reader rows, members, outcomes;
	size_t size = 0;
	auto_free char *errors = scene_record(scene, "shard-1.err", &size);
	auto_buffer text = {0};
	int64_t wrong = 0, at = 0;

	CHECK_ROW(name, open_records(scene, ROWS_NAME, RECORD_ROWS, &rows) == lines);
	(void)open_records(scene, "shard-1.rows", RECORD_MEMBERS, &members);
	CHECK_ROW(name, open_records(scene, "shard-1.done", RECORD_OUTCOMES, &outcomes) == members.count);
	for (int64_t i = 0; i < rows.count; i++) {
		struct record_member member = {0};
		struct record_outcome outcome = {0};
		struct record_row row = {0};

		CU_ASSERT_EQUAL_FATAL(rows_read(&rows, i, &row, NULL), 0);
		if (row.wire_length)
			continue;
		CHECK_ROW(name, row.id_length == 0);
		CU_ASSERT_EQUAL_FATAL(rows_read(&members, wrong, &member, NULL), 0);
		CU_ASSERT_EQUAL_FATAL(rows_read(&outcomes, wrong++, &outcome, NULL), 0);
		CHECK_ROW(name, member.row == i && outcome.kind == OUTCOME_FAILED && outcome.source == 'e');
		CHECK_ROW(name, outcome.shard == 1 && !outcome.attempts && !outcome.status);
		CHECK_ROW(name, (int64_t)outcome.offset == at);
		at += outcome.length + 1;
		CU_ASSERT_FATAL(at <= (int64_t)size);
		CHECK_ROW(name, errors[at - 1] == '\n');
		buffer_add_format(&text, text.size ? " %" PRId64 : "%" PRId64, i);
	}
	CHECK_ROW(name, wrong == members.count && at == (int64_t)size);
	rows_release(&rows);
	rows_release(&members);
	rows_release(&outcomes);
	return xstrdup(buffer_text(&text));
}

/* clang-format off */
#define TEXT(text) text, sizeof(text) - 1
static const struct {
	const char *name;
	const char *input;
	size_t size;
	bool has_line_ids, is_wrapped;
	int64_t right;
	const char *wrong; /* rows, from 0 */
	const char *errors;
} inputs[] = {
	{ "the middle one", TEXT(REQUEST("a") "\n{\n" REQUEST("b") "\n"), false, false, 2, "1",
	  NOT_JSON("null", "There is an unexpected end at column 2.", "2") },
	{ "blank ones and a repeat", TEXT("\n" REQUEST("a") "\n  \r\n" REQUEST("b") "\n" REQUEST("\\u0061") "\n\n"), false, false, 2, "0 2 4 5",
	  BLANK("1") BLANK("3") DUPLICATE("\\u0061", "2", "5") BLANK("6") },
	{ "repeats alone", TEXT(REQUEST("b") "\n" REQUEST("a") "\n" REQUEST("a") "\n" REQUEST("b") "\n" REQUEST("b")), false, false, 2, "2 3 4",
	  DUPLICATE("a", "2", "3") DUPLICATE("b", "1", "4") DUPLICATE("b", "1", "5") },
	{ "an id with everything", TEXT(REQUEST("\\u0000\\\"\xc3\xa9") "\n" REQUEST("\\u0000\\u0022\xc3\xa9") "\n"), false, false, 1, "1",
	  DUPLICATE("\\u0000\\u0022\xc3\xa9", "1", "2") },
	{ "ids of wrong lines", TEXT(REQUEST("ok") "\n" REQUEST_OF("x\\n", "m", "/v2") "\n{\"custom_id\":\"cut\",\n{\"custom_id\":7}\n" REQUEST_OF("ok", "m", "/v3")), false, false, 1, "1 2 3 4",
	  FAULT("\"x\\n\"", "url_not_found", "The provided url '/v2' is not supported by the Batch API.", "\"url\"", "2")
	  NOT_JSON("\"cut\"", "There is an unexpected end at column 20.", "3")
	  FAULT("null", "invalid_type", "Invalid type for 'custom_id': expected a string, but got a number instead.", "\"custom_id\"", "4")
	  FAULT("\"ok\"", "url_not_found", "The provided url '/v3' is not supported by the Batch API.", "\"url\"", "5") },
	{ "what must be escaped", TEXT(REQUEST("a") "\n" REQUEST_OF("b", "m", "\\\"\xc3\xa9\\n")), false, false, 1, "1",
	  FAULT("\"b\"", "url_not_found", "The provided url '\\\\\\\"?\?\\\\n' is not supported by the Batch API.", "\"url\"", "2") },
	{ "a model with a NUL", TEXT(REQUEST_OF("b", "\\u0000", "/v1/responses") "\n" REQUEST("a")), false, false, 1, "0",
	  FAULT("\"b\"", "invalid_value", "Invalid 'model': it must not contain a NUL character.", "\"body.model\"", "1") },
	{ "made ids", TEXT(REQUEST("a") "\n{\"custom_id\":\"x\"\n" REQUEST("a") "\n\n"), true, false, 2, "1 3",
	  NOT_JSON("\"line-2\"", "There is an unexpected end at column 17.", "2") NOT_JSON("\"line-4\"", "It is blank.", "4") },
	{ "bare bodies", TEXT("{\"model\":\"m\"}\n{}\n{\"x\":1}\n{\"model\":\"n\"}"), false, true, 2, "1 2",
	  FAULT("\"line-2\"", "invalid_value", "Invalid 'body': it must not be empty.", "\"body\"", "2")
	  FAULT("\"line-3\"", "missing_required_parameter", "Missing required parameter: 'model'.", "\"body.model\"", "3") },
};
/* clang-format on */

static void each_is_told_with_its_line_and_its_id(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		auto_scene scene;
		auto_intake *intake = NULL;
		auto_free char *wrong = NULL;
		auto_free char *errors = NULL;
		const struct intake_result *result;
		size_t size;

		scene_begin(&scene);
		keep_input(&scene, inputs[i].input, inputs[i].size);
		scene.job.has_line_ids = inputs[i].has_line_ids;
		scene.job.is_wrapped = inputs[i].is_wrapped;
		scene.job.endpoint = (char *)(uintptr_t) "/v1/responses";
		CHECK_ROW(inputs[i].name, take_in(&scene, &intake) > 0);
		result = intake_result(intake);
		CU_ASSERT_PTR_NULL_FATAL(result->refusal);
		CHECK_ROW(inputs[i].name, result->requests == inputs[i].right);
		CHECK_ROW(inputs[i].name, result->skipped == result->flaws && result->digest);
		wrong = check_records(inputs[i].name, &scene, result->requests + result->skipped);
		CU_ASSERT_STRING_EQUAL(wrong, inputs[i].wrong);
		errors = scene_record(&scene, "shard-1.err", &size);
		CU_ASSERT_STRING_EQUAL(errors, inputs[i].errors);
	}
}

static void every_error_line_is_json(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(inputs); i++) {
		size_t size = strcspn(inputs[i].errors, "\n");

		for (const char *at = inputs[i].errors; *at; at += size + 1) {
			struct scan scan;

			size = strcspn(at, "\n");
			scan_init(&scan, at, size);
			CHECK_ROW(at, scan_value(&scan, NULL, NULL) == 0 && scan_end(&scan) == 0);
		}
	}
}

static void a_job_with_no_wrong_line_has_no_such_shard(void)
{
	static const char text[] = REQUEST("a") "\n" REQUEST("b");
	auto_scene scene;
	auto_intake *intake = NULL;
	struct rows_reader rows;
	size_t size;

	scene_begin(&scene);
	keep_input(&scene, text, sizeof(text) - 1);
	CU_ASSERT_FATAL(take_in(&scene, &intake) > 0);
	CU_ASSERT_EQUAL(intake_result(intake)->skipped, 0);
	CU_ASSERT_PTR_NULL(intake_result(intake)->digest);
	CU_ASSERT_EQUAL(open_records(&scene, ROWS_NAME, RECORD_ROWS, &rows), 2);
	CU_ASSERT_PTR_NULL(scene_record(&scene, "shard-1.err", &size));
	rows_release(&rows);
}

static void a_job_of_wrong_lines_alone_is_refused(void)
{
	/* clang-format off */
	static const struct { const char *text, *refusal; } rows[] = {
		{ "", "the input is empty" },
		{ "\n", "all of the lines (1) are wrong; nothing was sent" },
		{ "{}\n[]\n\n", "all of the lines (3) are wrong; nothing was sent" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_scene scene;
		auto_intake *intake = NULL;

		scene_begin(&scene);
		keep_input(&scene, rows[i].text, strlen(rows[i].text));
		CU_ASSERT_FATAL(take_in(&scene, &intake) > 0);
		CU_ASSERT_STRING_EQUAL(intake_result(intake)->refusal, rows[i].refusal);
		CU_ASSERT_EQUAL(intake_result(intake)->skipped, 0);
		CU_ASSERT(intake_result(intake)->flaws > 0);
	}
}

static void groups_lose_what_is_a_repeat(void)
{
	static const char text[] = REQUEST_OF("a", "m", "/v1/responses") "\n" REQUEST_OF("a", "n", "/v1/responses") "\n?\n"
		REQUEST_OF("b", "m", "/v1/responses") "\n" REQUEST_OF("a", "m", "/v1/responses") "\n" REQUEST_OF("c", "o", "/v1/videos");
	auto_scene scene;
	auto_intake *intake = NULL;
	const struct intake_result *result;

	scene_begin(&scene);
	keep_input(&scene, text, sizeof(text) - 1);
	CU_ASSERT_FATAL(take_in(&scene, &intake) > 0);
	result = intake_result(intake);
	CU_ASSERT_EQUAL_FATAL(result->group_count, 3);
	CU_ASSERT_EQUAL(result->groups[0].requests, 2);
	CU_ASSERT_EQUAL(result->groups[0].bytes, 2 * (int64_t)sizeof(REQUEST("a")));
	CU_ASSERT_EQUAL(result->groups[1].requests, 0);
	CU_ASSERT_EQUAL(result->groups[1].bytes, 0);
	CU_ASSERT_EQUAL(result->groups[2].requests, 1);
	CU_ASSERT_EQUAL(result->requests, 3);
	CU_ASSERT_EQUAL(result->skipped, 3);
}

/*
 * Of each ten lines one is blank and three repeat the id of another one, mostly far away. They are written bit by
 * bit, so that what they take in memory is not what is measured.
 */
static void keep_many(struct scene *scene)
{
	struct vault_writer *writer = vault_writer_new(scene->vault, VAULT_FILE_LIMIT);
	struct store_file file = {.purpose = (char *)(uintptr_t) "batch", .bytes = 1};
	auto_buffer text = {0};

	for (int i = 0; i < MANY; i++) {
		if (i % 10 == 9)
			buffer_add_text(&text, "\n");
		else
			buffer_add_format(&text, REQUEST("request-%d") "\n", i % 10 < 6 ? i : MANY - i + i % 10);
		if (text.size < 4096 && i + 1 < MANY)
			continue;
		CU_ASSERT_EQUAL_FATAL(vault_write(writer, text.data, text.size, NULL), 0);
		buffer_clear(&text);
	}
	scene->job.skips_invalid = true;
	scene->job.input_file = store_file_add(scene->store, &file);
	CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, scene->job.input_file, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(store_commit(scene->store, NULL), 0);
}

static void millions_of_them_take_no_more_memory(void)
{
	auto_scene scene;
	auto_intake *intake = NULL;
	auto_free char *wrong = NULL;
	struct rusage before, after;
	const struct intake_result *result;
	int64_t slices;

	scene_begin(&scene);
	keep_many(&scene);
	CU_ASSERT_EQUAL_FATAL(getrusage(RUSAGE_SELF, &before), 0);
	slices = take_in(&scene, &intake);
	CU_ASSERT_EQUAL_FATAL(getrusage(RUSAGE_SELF, &after), 0);
	CU_ASSERT(slices > 50);
	CU_ASSERT(after.ru_maxrss - before.ru_maxrss < MOST_MEMORY_KIB);
	result = intake_result(intake);
	CU_ASSERT_EQUAL(result->requests + result->skipped, MANY);
	CU_ASSERT(result->skipped > MANY / 10 + MANY / 10);
	CU_ASSERT_EQUAL(result->groups[0].requests, result->requests);
	wrong = check_records("many", &scene, MANY);
}

static void the_same_bytes_are_written_again(void)
{
	static const char *const names[] = {ROWS_NAME, "shard-1.rows", "shard-1.err", "shard-1.done"};
	char *bytes[2][ARRAY_SIZE(names)];
	size_t sizes[2][ARRAY_SIZE(names)];
	auto_scene scene;

	scene_begin(&scene);
	keep_many(&scene);
	for (int k = 0; k < 2; k++) {
		auto_intake *intake = NULL;

		CU_ASSERT_FATAL(take_in(&scene, &intake) > 0);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			bytes[k][i] = scene_record(&scene, names[i], &sizes[k][i]);
	}
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		CHECK_ROW(names[i], sizes[0][i] == sizes[1][i] && memcmp(bytes[0][i], bytes[1][i], sizes[0][i]) == 0);
		free(bytes[0][i]);
		free(bytes[1][i]);
	}
}

static void it_stops_at_any_time(void)
{
	auto_scene scene;

	scene_begin(&scene);
	keep_many(&scene);
	for (int stop = 20; stop < 60; stop += 3) {
		auto_intake *intake = NULL;

		CU_ASSERT_EQUAL_FATAL(intake_new(scene.vault, &scene.job, SCENE_KEY, &intake, NULL), 0);
		for (int i = 0; i < stop; i++)
			CU_ASSERT(intake_slice(intake, NULL) >= 0);
	}
}

/* The first line is too long to be read; its id stands where it can be. */
static void of_a_line_that_is_too_long_the_beginning_is_enough(void)
{
	static const char end[] = "\n" REQUEST("b");
	const size_t size = REQUEST_MAX_LINE + 100;
	static const char wanted[] = FAULT("\"a\"", "request_too_large",
					   "This request has more than 16777216 bytes, the most that one may have.",
					   "null", "1");
	auto_scene scene;
	auto_intake *intake = NULL;
	auto_free char *text = xmalloc(size + sizeof(end));
	auto_free char *errors = NULL;
	size_t errors_size;

	memset(text, ' ', size);
	memcpy(text, "{\"custom_id\":\"a\",", 17);
	memcpy(text + size, end, sizeof(end));
	scene_begin(&scene);
	keep_input(&scene, text, size + sizeof(end) - 1);
	CU_ASSERT_FATAL(take_in(&scene, &intake) > 0);
	errors = scene_record(&scene, "shard-1.err", &errors_size);
	CU_ASSERT_STRING_EQUAL(errors, wanted);
	CU_ASSERT_EQUAL(intake_result(intake)->requests, 1);
}

/* A line that was wrong is right all of a sudden, or the end is gone: the words that are remade would be others. */
static void an_input_that_changes_is_damage(void)
{
	static const struct { const char *name; const char *first; } changes[] = {
		{ "a wrong line is mended", "{" }, { "it is shorter", NULL },
	};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		auto_scene scene;
		auto_intake *intake = NULL;
		auto_buffer text = {0};
		auto_free char *path = NULL;
		int fd, r = 1;

		/* More than one slice reads, and too large for the store. */
		buffer_add_text(&text, REQUEST("x") "\n");
		text.data[0] = '?';
		for (int k = 0; k < 30000; k++)
			buffer_add_format(&text, REQUEST("%d") "\n", k);
		scene_begin(&scene);
		keep_input(&scene, text.data, text.size);
		path = xasprintf("%s/files/%" PRId64, scene.folder, scene.job.input_file);
		CU_ASSERT_EQUAL_FATAL(intake_new(scene.vault, &scene.job, SCENE_KEY, &intake, NULL), 0);
		CU_ASSERT_EQUAL_FATAL(intake_slice(intake, NULL), 1);
		fd = open(path, O_WRONLY | O_CLOEXEC);
		CU_ASSERT_FATAL(fd >= 0);
		CU_ASSERT_EQUAL(changes[i].first ? (int)pwrite(fd, changes[i].first, 1, 0) - 1 : ftruncate(fd, 5), 0);
		(void)close(fd);
		while (r > 0)
			r = intake_slice(intake, NULL);
		CHECK_ROW(changes[i].name, r == -EUCLEAN);
	}
}

CHECK_MAIN("skipped", CHECK(millions_of_them_take_no_more_memory), CHECK(each_is_told_with_its_line_and_its_id), CHECK(every_error_line_is_json),
	   CHECK(a_job_with_no_wrong_line_has_no_such_shard), CHECK(a_job_of_wrong_lines_alone_is_refused),
	   CHECK(groups_lose_what_is_a_repeat),
	   CHECK(the_same_bytes_are_written_again), CHECK(it_stops_at_any_time),
	   CHECK(of_a_line_that_is_too_long_the_beginning_is_enough), CHECK(an_input_that_changes_is_damage))
