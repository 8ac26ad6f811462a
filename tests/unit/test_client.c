#include "client/exits.h"
#include "client/extract.h"
#include "client/job.h"
#include "client/json.h"
#include "client/options.h"
#include "client/output.h"
#include "client/progress.h"
#include "client/repeats.h"
#include "client/sink.h"
#include "client/table.h"
#include "client/words.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "tests/unit/check.h"

static void reads_durations_and_nothing_else(void)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t ms;	/* below 0: the error */
	} rows[] = {
		{ "90", 90000 }, { "90s", 90000 }, { "250ms", 250 }, { "5m", 300000 },
		{ "2h30m", 9000000 },
		{ "1d", 86400000 }, { "1d2h3m4s5ms", 93784005 }, { "0", 0 }, { "0s", 0 },
		{ "", -EINVAL }, { "s", -EINVAL }, { "-5s", -EINVAL }, { "5 s", -EINVAL },
		{ "1.5h", -EINVAL },
		{ "30m2h", -EINVAL }, { "1h1h", -EINVAL }, { "1h30", -EINVAL }, { "5S", -EINVAL },
		{ "5sx", -EINVAL },
		{ "99999999999999999999", -ERANGE }, { "9999999d", -ERANGE },
		{ "106751991168d", -ERANGE },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t ms = -1;
		int result = words_duration(rows[i].text, &ms);

		CHECK_ROW(rows[i].text, rows[i].ms < 0 ? result == rows[i].ms && ms == -1
						       : result == 0 && ms == rows[i].ms);
	}
}

/* Now is 2026-11-23T10:30:20 in a zone that is an hour ahead of UTC, and two in summer. */
static void reads_moments_as_the_clock_on_the_wall_shows_them(void)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t seconds;	/* from now; below 0: refused */
	} rows[] = {
		{ "+2h", 7200 }, { "+90", 90 }, { "+1ms", 1 }, { "+0", 0 },
		{ "10:31", 40 }, { "22:00", 41380 }, { "10:30", 86380 }, { "10:00", 84580 }, { "00:00", 48580 },
		{ "2026-11-23 10:31", 40 }, { "2026-11-23T10:30:25", 5 }, { "2026-11-23 10:30:25", 5 },
		{ "2026-11-23T09:30:25Z", 5 }, { "2026-11-23T10:30:25+01:00", 5 }, { "1795426225", 5 },
		{ "2027-03-27 10:31", 10713640 }, { "2027-03-29 10:31", 10713640 + 172800 - 3600 },
		{ "", -1 }, { "+", -1 }, { "-2h", -1 }, { "+2x", -1 }, { " 22:00", -1 }, { "22:00 ", -1 }, { "24:00", -1 },
		{ "22:60", -1 }, { "22", 22 - 1795426220 }, { "2026-11-31 08:00", -1 }, { "2026-13-01 08:00", -1 },
		{ "2026-11-23", -1 }, { "2026-11-23 08:00 ", -1 }, { "tomorrow", -1 },
	};
	/* clang-format on */
	const int64_t now = 1795426220;

	CU_ASSERT_EQUAL(setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1), 0);
	tzset();
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t at = INT64_MIN;
		int result = words_moment(rows[i].text, now, &at);

		CHECK_ROW(rows[i].text, rows[i].seconds == -1 ? result == -EINVAL && at == INT64_MIN
							      : result == 0 && at == now + rows[i].seconds);
	}
	CU_ASSERT_EQUAL(unsetenv("TZ"), 0);
	tzset();
}

static void reads_job_ids_in_both_forms(void)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t job;	/* 0: refused */
	} rows[] = {
		{ "57", 57 }, { "batch_57", 57 }, { "9223372036854775807", INT64_MAX },
		{ "9223372036854775808", 0 }, { "0", 0 }, { "057", 0 }, { "-1", 0 }, { "+1", 0 },
		{ " 1", 0 },
		{ "1 ", 0 }, { "", 0 }, { "batch_", 0 }, { "batch_batch_1", 0 }, { "Batch_1", 0 },
		{ "57x", 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		int64_t job = 0;
		int result = words_job(rows[i].text, &job);

		CHECK_ROW(rows[i].text, job == rows[i].job && (result == 0) == (job > 0));
	}
}

static void holds_metadata_to_the_limits_of_the_api(void)
{
	char key[65 + 3] = "", value[2 + 2 * 513 + 1] = "k=";
	struct error err;
	size_t size = 0;

	CU_ASSERT_EQUAL(words_metadata("a=b=c", &size, &err), 0);
	CU_ASSERT_EQUAL(size, 1);
	CU_ASSERT_EQUAL(words_metadata("a=", &size, &err), 0);
	CU_ASSERT_EQUAL(words_metadata("ab", &size, &err), -EINVAL);
	CU_ASSERT_EQUAL(words_metadata("=b", &size, &err), -EINVAL);
	memset(key, 'k', 64);
	strcpy(key + 64, "=v");
	CU_ASSERT_EQUAL(words_metadata(key, &size, &err), 0);
	memset(key, 'k', 65);
	strcpy(key + 65, "=");
	CU_ASSERT_EQUAL(words_metadata(key, &size, &err), -EINVAL);
	for (size_t i = 0; i < 512; i++)
		strcat(value, "\xc3\xa9");
	CU_ASSERT_EQUAL(words_metadata(value, &size, &err), 0);
	strcat(value, "x");
	CU_ASSERT_EQUAL(words_metadata(value, &size, &err), -EINVAL);
}

static void writes_times_and_sizes_for_people(void)
{
	/* clang-format off */
	static const struct {
		int64_t number;
		const char *elapsed;
		const char *size;
	} rows[] = {
		{ -5, "0s", "-5 B" }, { 0, "0s", "0 B" }, { 59, "59s", "59 B" },
		{ 60, "1m", "60 B" },
		{ 7500, "2h05m", "7.3 KiB" }, { 86399, "23h59m", "84.4 KiB" },
		{ 86400, "1d00h", "84.4 KiB" },
		{ 273600, "3d04h", "267.2 KiB" }, { 1048575, "12d03h", "1.0 MiB" },
		{ INT64_MAX, "106751991167300d15h", "8.0 EiB" },
	};
	/* clang-format on */
	char figure[WORDS_FIGURE];

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		CHECK_ROW(rows[i].elapsed,
			  strcmp(words_elapsed(rows[i].number, figure), rows[i].elapsed) == 0);
		CHECK_ROW(rows[i].size,
			  strcmp(words_size(rows[i].number, figure), rows[i].size) == 0);
	}
	CU_ASSERT_STRING_EQUAL(words_time(1795355431, figure), "2026-11-22T13:50:31+00:00");
	CU_ASSERT_STRING_EQUAL(words_time(0, figure), "-");
	CU_ASSERT_STRING_EQUAL(words_time(INT64_MAX, figure), "-");
}

static void tells_the_worst_of_several_statuses(void)
{
	static const int order[] = {7, 1, 6, 4, 3, 5, 8, 0};

	for (size_t i = 0; i < ARRAY_SIZE(order); i++)
		for (size_t j = i; j < ARRAY_SIZE(order); j++) {
			CU_ASSERT_EQUAL(exits_worse(order[i], order[j]), order[i]);
			CU_ASSERT_EQUAL(exits_worse(order[j], order[i]), order[i]);
		}
	CU_ASSERT_EQUAL(exits_worse(EXIT_INPUT, EXIT_DONE), EXIT_INPUT);
	CU_ASSERT_STRING_EQUAL(exits_code(EXIT_NO_JOB), "no_such_job");
	CU_ASSERT_STRING_EQUAL(exits_code(99), "other");
}

static void lets_no_stranger_command_the_terminal(void)
{
	/* clang-format off */
	static const struct {
		const char *text;
		const char *escaped;
		bool is_utf8;
	} rows[] = {
		{ "plain", "plain", true }, { "a\x1b[2Jb", "a\\x1b[2Jb", true },
		{ "a\nb\tc\r", "a\\nb\\tc\\x0d", true },
		{ "\x7f", "\\x7f", true }, { "\xc3\xa9", "\xc3\xa9", true },
		{ "\xc3\xa9", "\\u{e9}", false },
		{ "\xc2\x9b", "\\u{9b}", true }, { "\xe2\x80\xae", "\\u{202e}", true },
		{ "\x9b", "\\x9b", true },
		{ "\xc0\x80", "\\xc0\\x80", true }, { "\xed\xa0\x80", "\\xed\\xa0\\x80", true },
		{ "\xe2\x80", "\\xe2\\x80", true },
		{ "\xf4\x90\x80\x80", "\\xf4\\x90\\x80\\x80", true },
		{ "\xf0\x9f\x98\x80", "\xf0\x9f\x98\x80", true },
		{ "\xe0\x80\x80", "\\xe0\\x80\\x80", true },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buffer buffer = {0};

		output_escape(&buffer, rows[i].text, strlen(rows[i].text), rows[i].is_utf8);
		CHECK_ROW(rows[i].escaped, strcmp(buffer_text(&buffer), rows[i].escaped) == 0);
	}
}

static void lays_a_table_out(void)
{
	static const struct table_column columns[] = {
		{"ID", true}, {"STATE", false}, {"NAME", false}};
	static const struct {
		size_t line_columns;
		const char *text;
	} rows[] = {
		{0,
		 "  ID  STATE   NAME\n   7  failed  a\\nb, a long name\n1234  ok      \xc3\xa9\n"},
		{24, "  ID  STATE   NAME\n   7  failed  a\\nb, a l\xe2\x80\xa6\n1234  ok      "
		     "\xc3\xa9\n"},
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = NULL;
		size_t size = 0;
		FILE *stream = open_memstream(&text, &size);
		struct table *table = table_new(columns, 3, stream, rows[i].line_columns);

		table_add(table, OUTPUT_PLAIN, "%d", 7);
		table_add(table, OUTPUT_BAD, "failed");
		table_add(table, OUTPUT_PLAIN, "a\nb, a long name");
		table_add(table, OUTPUT_PLAIN, "%d", 1234);
		table_add(table, OUTPUT_PLAIN, "ok");
		table_add(table, OUTPUT_PLAIN, "\xc3\xa9");
		table_finish(table);
		(void)fclose(stream);
		CHECK_ROW(rows[i].text, strcmp(text, rows[i].text) == 0);
	}
}

static void keeps_every_row_of_a_long_table(void)
{
	static const struct table_column columns[] = {{"ID", true}, {"NAME", false}};
	auto_free char *text = NULL;
	size_t size = 0, lines = 0;
	FILE *stream = open_memstream(&text, &size);
	struct table *table = table_new(columns, 2, stream, 0);

	for (int i = 0; i < 2500; i++) {
		table_add(table, OUTPUT_PLAIN, "%d", i);
		table_add(table, OUTPUT_PLAIN, "n%d", i);
	}
	table_finish(table);
	(void)fclose(stream);
	for (size_t i = 0; i < size; i++)
		lines += text[i] == '\n';
	CU_ASSERT_EQUAL(lines, 2501);
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "\n2499  n2499\n"));
}

static const struct option_row shared_rows[] = {
	{'q', "quiet", NULL, OPTION_FLAG, offsetof(struct options, is_quiet), ""},
	{'s', "socket", "SOCKET", OPTION_TEXT, offsetof(struct options, socket), ""},
	{0},
};
static const struct option_row own_rows[] = {
	{'s', "state", "STATE", OPTION_TEXT, offsetof(struct options, states), ""},
	{'m', "metadata", "K=V", OPTION_METADATA, 0, ""},
	{'n', "count", "N", OPTION_COUNT, offsetof(struct options, count), ""},
	{0, "timeout", "DUR", OPTION_DURATION, offsetof(struct options, timeout_ms), ""},
	{0},
};

/* Splits words at blanks and reads them; the words must live on. */
static int read_words(char *words, struct options *options, char **arguments)
{
	char *rest = words, *word;
	int count = 0;

	while ((word = strsep(&rest, " ")) && *word)
		arguments[count++] = word;
	options_init(options);
	return options_read(options, own_rows, shared_rows, arguments, count, NULL);
}

static void refuses_what_is_no_option(void)
{
	static const char *const rows[] = {
		"--timeou 5s", "--time 5s",    "-x",   "--quiet=1", "--timeout", "-n 0", "-n -1",
		"-n x",        "--timeout 5y", "-m k", "--",        "-qx",       "-s",   "--=x",
	};

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *words = xstrdup(rows[i]);
		struct options options;
		char *arguments[16];
		int result = read_words(words, &options, arguments);

		CHECK_ROW(rows[i], strcmp(rows[i], "--") == 0 ? result >= 0 : result == -EINVAL);
	}
}

static void reads_options_in_every_form(void)
{
	char words[] = "57 -qn5 --timeout=2m -s open - -m a=b -ma=c -- -n --x";
	struct options options;
	char *arguments[16];

	CU_ASSERT(read_words(words, &options, arguments) >= 0);
	CU_ASSERT(options.is_quiet);
	CU_ASSERT_EQUAL(options.count, 5);
	CU_ASSERT_EQUAL(options.timeout_ms, 120000);
	CU_ASSERT_PTR_NULL(options.socket);
	CU_ASSERT_STRING_EQUAL(options.states, "open");
	CU_ASSERT_EQUAL(options.metadata_count, 2);
	CU_ASSERT_EQUAL_FATAL(options.operand_count, 4);
	CU_ASSERT_STRING_EQUAL(options.operands[0], "57");
	CU_ASSERT_STRING_EQUAL(options.operands[1], "-");
	CU_ASSERT_STRING_EQUAL(options.operands[2], "-n");
	CU_ASSERT_STRING_EQUAL(options.operands[3], "--x");
}

static void tells_by_the_counts_how_a_job_ended(void)
{
	/* clang-format off */
	static const struct {
		const char *batch;
		int outcome;
	} rows[] = {
		{ "{\"status\":\"completed\","
		  "\"request_counts\":{\"total\":2,\"completed\":2,\"failed\":0}}",
		  EXIT_DONE },
		{ "{\"status\":\"completed\","
		  "\"request_counts\":{\"total\":2,\"completed\":1,\"failed\":1}}",
		  EXIT_SOME_FAILED },
		{ "{\"status\":\"completed\","
		  "\"batchd\":{\"counts\":{\"total\":2,\"ok\":1,\"missing\":1}}}",
		  EXIT_SOME_FAILED },
		{ "{\"status\":\"failed\"}", EXIT_ENDED },
		{ "{\"status\":\"expired\"}", EXIT_ENDED },
		{ "{\"status\":\"cancelled\"}", EXIT_ENDED },
		{ "{\"status\":\"cancelling\"}", EXIT_NOT_FINISHED },
		{ "{\"status\":\"new one\"}", EXIT_NOT_FINISHED },
		{ "{\"status\":7}", EXIT_NOT_FINISHED },
		{ "{}", EXIT_NOT_FINISHED },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_json *batch = json_read(rows[i].batch, strlen(rows[i].batch));

		CHECK_ROW(rows[i].batch, batch && job_outcome(batch) == rows[i].outcome);
	}
}

static void reads_one_whole_object_or_nothing(void)
{
	static const char *const bad[] = {"", "[]", "1", "{", "{}x", "{\"a\":1}{}", "nul"};
	static const char good[] = " {\"a\":{\"b\":\"c\",\"n\":7}} \n";
	auto_json *object = json_read(good, strlen(good));

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		CHECK_ROW(bad[i], json_read(bad[i], strlen(bad[i])) == NULL);
	CU_ASSERT_STRING_EQUAL(json_text(object, "a.b", "-"), "c");
	CU_ASSERT_STRING_EQUAL(json_text(object, "a.b.c", "-"), "-");
	CU_ASSERT_EQUAL(json_number(object, "a.n", -1), 7);
	CU_ASSERT_EQUAL(json_number(object, "a.b", -1), -1);
	CU_ASSERT_EQUAL(json_number(NULL, "a", -1), -1);
}

static void draws_a_bar_that_fits(void)
{
	struct progress progress = {
		.label = "job 57", .total = 10000, .done = 6123, .failed = 3, .rate = 52,
		.eta_s = -1};

	for (size_t columns = 1; columns < 200; columns++)
		for (int is_utf8 = 0; is_utf8 < 2; is_utf8++) {
			auto_buffer line = {0};

			progress_format(&progress, columns, is_utf8, &line);
			CU_ASSERT(output_width(buffer_text(&line), line.size) < columns);
		}
	auto_buffer line = {0};

	progress_format(&progress, 100, false, &line);
	CU_ASSERT_STRING_EQUAL(buffer_text(&line),
			       "job 57  [##################------------]   61%  "
			       "6123/10000  3 failed  52/s  eta 1m");
}

static void note_repeat(const char *id, size_t size, int64_t line, int64_t first_line,
			void *context)
{
	buffer_add_format(context, "%.*s:%" PRId64 ":%" PRId64 " ", (int)size, id, line,
			  first_line);
}

/* ids 0..count-1 with some again at the end; sorted in memory and in parts alike. */
static void finds_every_repeat_however_many_fit_in_memory(void)
{
	static const size_t rooms[] = {0, 1, 7, 64, 1003, 1004};

	for (size_t i = 0; i < ARRAY_SIZE(rooms); i++) {
		auto_with(repeats_free) struct repeats *repeats = repeats_new(rooms[i]);
		auto_buffer told = {0};
		int64_t line = 0;
		char id[32];

		for (int number = 0; number < 1000; number++)
			CU_ASSERT_EQUAL(repeats_add(repeats, id,
						    (size_t)snprintf(id, sizeof(id), "r%d", number),
						    ++line, NULL),
					0);
		CU_ASSERT_EQUAL(repeats_add(repeats, "r999", 4, ++line, NULL), 0);
		CU_ASSERT_EQUAL(repeats_add(repeats, "r0", 2, ++line, NULL), 0);
		CU_ASSERT_EQUAL(repeats_add(repeats, "r0", 2, ++line, NULL), 0);
		CU_ASSERT_EQUAL(repeats_finish(repeats, note_repeat, &told, NULL), 0);
		CU_ASSERT_STRING_EQUAL(buffer_text(&told), "r999:1001:1000 r0:1002:1 r0:1003:1 ");
	}
}

static void holds_labels_and_models_to_what_batchd_takes(void)
{
	/* clang-format off */
	static const struct {
		const char *text;
		int label;
		int model;
	} rows[] = {
		{ "a=b", 0, 0 }, { "team/a.b_c-1=", 0, 0 }, { "a=b=c", 0, 0 }, { "=b", -EINVAL, 0 }, { "a", -EINVAL, 0 },
		{ "a b=c", -EINVAL, 0 }, { "\xc3\xa9=c", -EINVAL, 0 }, { "a=\xc3\xa9", 0, 0 }, { "a=\x1b[2J", -EINVAL, -EINVAL },
		{ "a=\xff", -EINVAL, -EINVAL }, { "", -EINVAL, -EINVAL }, { "a=\"", 0, -EINVAL }, { "a=\\", 0, -EINVAL },
		{ "1234567890123456789012345678901234567890123456789012345678901234=", -EINVAL, 0 },
		{ "a=1234567890123456789012345678901234567890123456789012345678901234", -EINVAL, 0 },
		{ "a=123456789012345678901234567890123456789012345678901234567890123", 0, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		size_t size;

		CHECK_ROW(rows[i].text, words_label(rows[i].text, &size, NULL) == rows[i].label);
		CHECK_ROW(rows[i].text, words_model(rows[i].text) == rows[i].model);
	}
}

static void knows_a_job_that_waits_for_a_person(void)
{
	/* clang-format off */
	static const struct {
		const char *shard;
		bool is_held;
	} rows[] = {
		{ "{\"state\":\"fetched\",\"due_at\":null,\"why\":\"lost\"}", true },
		{ "{\"state\":\"fetched\",\"due_at\":7,\"why\":\"later\"}", false },
		{ "{\"state\":\"fetched\",\"due_at\":null,\"why\":null}", false },
		{ "{\"state\":\"uncertain\",\"due_at\":null,\"why\":\"resolve\"}", true },
		{ "{\"state\":\"uncertain\",\"due_at\":7,\"why\":\"later\"}", false },
		{ "{\"state\":\"cut\",\"due_at\":null,\"why\":\"damaged\"}", true },
		{ "{\"state\":\"collected\",\"due_at\":null,\"why\":\"lost\"}", false },
		{ "{}", false },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = xasprintf("{\"batchd\":{\"shards\":[{},%s]}}", rows[i].shard);
		auto_json *batch = json_read(text, strlen(text));

		CHECK_ROW(rows[i].shard, batch && job_held(batch) == rows[i].is_held);
	}
}

static void maps_every_answer_to_an_exit_status(void)
{
	/* clang-format off */
	static const struct {
		int http;
		const char *code;
		int status;
		bool is_passing;
	} rows[] = {
		{ 200, "", EXIT_DONE, false }, { 400, "invalid_value", EXIT_OTHER, false }, { 400, "invalid_encoding", EXIT_INPUT, false },
		{ 403, "", EXIT_REFUSED, false }, { 404, "", EXIT_NO_JOB, false }, { 409, "not_finished", EXIT_NOT_FINISHED, false },
		{ 409, "nothing_to_retry", EXIT_OTHER, false }, { 409, "idempotency_conflict", EXIT_OTHER, false },
		{ 413, "too_large", EXIT_INPUT, false }, { 415, "", EXIT_INPUT, false }, { 429, "too_many", EXIT_LATER, false },
		{ 503, "draining", EXIT_LATER, false }, { 503, "outcome_unknown", EXIT_LATER, true }, { 507, "disk_full", EXIT_LATER, false },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *text = xasprintf("{\"error\":{\"code\":\"%s\"}}", rows[i].code);
		auto_json *object = json_read(text, strlen(text));
		const struct connection_reply reply = {.status = rows[i].http, .object = object};
		struct failure failure;

		CHECK_ROW(text, failure_read(0, NULL, &reply, &failure) == rows[i].status);
		CHECK_ROW(text, failure.is_passing == rows[i].is_passing);
	}
}

static void puts_a_file_in_place_only_when_it_is_whole(void)
{
	char folder[] = "/tmp/test_client-XXXXXX", text[8] = "";
	auto_free char *path = NULL;
	struct sink *sink = NULL;
	struct stat status;
	struct error err;
	int fd;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	path = xasprintf("%s/out", folder);
	CU_ASSERT_EQUAL_FATAL(sink_new(path, false, &sink, &err), 0);
	CU_ASSERT_EQUAL(sink_write(sink, "cut", 3), 0);
	CU_ASSERT(stat(path, &status) < 0);
	CU_ASSERT_EQUAL(sink_restart(sink, &err), 0);
	CU_ASSERT_EQUAL(sink_write(sink, "whole", 5), 0);
	CU_ASSERT_EQUAL(sink_finish(sink, &err), 0);
	sink_free(sink);
	fd = open(path, O_RDONLY);
	CU_ASSERT_EQUAL(read(fd, text, sizeof(text)), 5);
	(void)close(fd);
	CU_ASSERT_STRING_EQUAL(text, "whole");
	CU_ASSERT_EQUAL(sink_new(path, false, &sink, &err), -EEXIST);
	CU_ASSERT_EQUAL_FATAL(sink_new(path, true, &sink, &err), 0);
	sink_free(sink);
	CU_ASSERT_EQUAL(unlink(path), 0);
	/* Nothing temporary is left, or the folder would not go. */
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

#define ANSWER(text)                                                                               \
	"{\"custom_id\":\"a\",\"response\":{\"status_code\":200,\"body\":{\"choices\":[{\"message\":"     \
	"{\"content\":\"" text "\"}}]}},\"error\":null}\n"

/* Gives bytes in pieces of this size to an extract, whose texts go to a file; what is in it then. */
static int extract_in_pieces(const char *bytes, size_t piece, const char *path, bool is_cut_before,
			     char *text, size_t room)
{
	auto_with(sink_free) struct sink *sink = NULL;
	auto_with(extract_free) struct extract *extract = NULL;
	struct error err;
	ssize_t got;
	int r = 0;
	int fd;

	CU_ASSERT_EQUAL_FATAL(sink_new(path, true, &sink, &err), 0);
	extract = extract_new(sink);
	if (is_cut_before) {
		CU_ASSERT_EQUAL(extract_write(extract, bytes, strlen(bytes) / 2), 0);
		extract_restart(extract);
		CU_ASSERT_EQUAL(sink_restart(sink, &err), 0);
	}
	for (size_t at = 0, size = strlen(bytes); !r && at < size; at += piece)
		r = extract_write(extract, bytes + at, piece < size - at ? piece : size - at);
	CU_ASSERT_EQUAL(extract_problem(extract, &err), r);
	if (!r)
		r = extract_finish(extract, &err);
	if (r)
		return r;
	CU_ASSERT_EQUAL(sink_finish(sink, &err), 0);
	fd = open(path, O_RDONLY);
	got = read(fd, text, room - 1);
	(void)close(fd);
	text[got < 0 ? 0 : got] = '\0';
	return 0;
}

static void takes_the_texts_out_of_lines_however_they_come(void)
{
	static const char lines[] = ANSWER("one") ANSWER("") ANSWER("two\\nlines")
		"{\"custom_id\":\"b\",\"response\":{\"status_code\":200}}\n" ANSWER("\\u00e9");
	char folder[] = "/tmp/test_client-XXXXXX", text[128];
	auto_free char *path = NULL;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	path = xasprintf("%s/out", folder);
	for (size_t piece = 1; piece <= sizeof(lines); piece++) {
		CU_ASSERT_EQUAL(extract_in_pieces(lines, piece, path, piece % 2, text, sizeof(text)), 0);
		CU_ASSERT_STRING_EQUAL(text, "one\n\ntwo\nlines\n\n\xc3\xa9\n");
	}
	CU_ASSERT_EQUAL(unlink(path), 0);
	/* A line that is cut, and one that is none: then there is no file. */
	CU_ASSERT_EQUAL(extract_in_pieces(ANSWER("one") "{}", 7, path, false, text, sizeof(text)), -EBADMSG);
	CU_ASSERT_EQUAL(extract_in_pieces(ANSWER("one") "what\n", 7, path, false, text, sizeof(text)), -EBADMSG);
	CU_ASSERT_EQUAL(rmdir(folder), 0);
}

int main(void)
{
	CU_TestInfo claims[] = {
		CHECK(reads_durations_and_nothing_else),
		CHECK(reads_moments_as_the_clock_on_the_wall_shows_them),
		CHECK(reads_job_ids_in_both_forms),
		CHECK(holds_metadata_to_the_limits_of_the_api),
		CHECK(writes_times_and_sizes_for_people),
		CHECK(tells_the_worst_of_several_statuses),
		CHECK(lets_no_stranger_command_the_terminal),
		CHECK(lays_a_table_out),
		CHECK(keeps_every_row_of_a_long_table),
		CHECK(refuses_what_is_no_option),
		CHECK(reads_options_in_every_form),
		CHECK(tells_by_the_counts_how_a_job_ended),
		CHECK(reads_one_whole_object_or_nothing),
		CHECK(draws_a_bar_that_fits),
		CHECK(finds_every_repeat_however_many_fit_in_memory),
		CHECK(puts_a_file_in_place_only_when_it_is_whole),
		CHECK(holds_labels_and_models_to_what_batchd_takes),
		CHECK(knows_a_job_that_waits_for_a_person),
		CHECK(maps_every_answer_to_an_exit_status),
		CHECK(takes_the_texts_out_of_lines_however_they_come),
		CU_TEST_INFO_NULL,
	};

	/* The expected texts are of one zone and one character set, whatever the caller's are. */
	(void)setenv("TZ", "UTC", 1);
	(void)setlocale(LC_CTYPE, "C.UTF-8");
	output_init(false, true);
	return check_run("client", claims);
}
