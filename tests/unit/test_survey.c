#include "client/input.h"
#include "client/json.h"
#include "client/prices.h"
#include "client/source.h"
#include "client/survey.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/model/request.h"
#include "tests/unit/check.h"

/* An input that holds these bytes; close its descriptor. */
static struct input make_input(const char *bytes, size_t size)
{
	struct error err;
	int fd = input_spool_open(&err);

	CU_ASSERT_FATAL(fd >= 0);
	CU_ASSERT_EQUAL_FATAL(write(fd, bytes, size), (ssize_t)size);
	return (struct input){.fd = fd, .size = (int64_t)size, .name = "input"};
}

/* The lines of an input, each in brackets, and how it ended. */
static void read_lines(const char *bytes, size_t size, struct buffer *text)
{
	auto_input input = make_input(bytes, size);
	auto_with(source_free) struct source *source = source_new(&input);
	struct source_line line;
	struct error err;
	int result;

	while ((result = source_next(source, &line, &err)) > 0)
		if (line.is_too_long)
			buffer_add_format(text, "%" PRId64 "!", line.number);
		else
			buffer_add_format(text, "%" PRId64 "[%.*s]", line.number, (int)line.size,
					  line.bytes);
	buffer_add_text(text, result == 0 ? "." : err.text);
}

static void reads_lines_however_they_end(void)
{
	/* clang-format off */
	static const struct {
		const char *bytes;
		const char *lines;
	} rows[] = {
		{ "", "." }, { "a", "1[a]." }, { "a\n", "1[a]." }, { "a\r\nb\r", "1[a]2[b]." },
		{ "\n\n", "1[]2[]." }, { "\r", "1[]." }, { "a\rb\n", "1[a\rb]." }, { "\x1f\x8b", "cannot unpack input: the gzip content is cut" },
		{ "\x1f", "1[\x1f]." },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_buffer text = {0};

		read_lines(rows[i].bytes, strlen(rows[i].bytes), &text);
		CHECK_ROW(rows[i].lines, strcmp(buffer_text(&text), rows[i].lines) == 0);
	}
}

/* Two members, as "cat a.gz b.gz" makes them. */
static const char packed[] =
		"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x4b\xcb\x2c\x2a\x2e\xe1\x02\x00\x2a"
		"\xb3\x4a\xc7\x06\x00\x00\x00\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x2b\x4e"
		"\x4d\xce\xcf\x4b\xe1\xe5\xe2\xca\x49\x2c\x2e\x01\x00\xd8\x3a\x02\x70\x0d\x00"
		"\x00\x00";

static void unpacks_what_it_reads_and_knows_a_cut(void)
{
	for (size_t size = 4; size < sizeof(packed); size++) {
		bool is_whole = size == sizeof(packed) - 1 || size == 26;
		auto_buffer text = {0};

		read_lines(packed, size, &text);
		CU_ASSERT_EQUAL(strstr(buffer_text(&text), "the gzip content is cut") == NULL,
				is_whole);
		if (size == sizeof(packed) - 1)
			CU_ASSERT_STRING_EQUAL(buffer_text(&text), "1[first]2[second]3[]4[last].");
	}
}

static void holds_no_line_that_is_too_long(void)
{
	static const size_t sizes[] = {REQUEST_MAX_LINE, REQUEST_MAX_LINE + 1, 3 * REQUEST_MAX_LINE};

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_free char *bytes = xmalloc(sizes[i] + 8);
		auto_input input = {.fd = -1};
		auto_with(source_free) struct source *source = NULL;
		struct source_line line;

		memset(bytes, 'x', sizes[i]);
		memcpy(bytes + sizes[i], "\r\nlast\n", 8);
		input = make_input(bytes, sizes[i] + 7);
		source = source_new(&input);
		CU_ASSERT_EQUAL(source_next(source, &line, NULL), 1);
		CU_ASSERT_EQUAL(line.is_too_long, sizes[i] > REQUEST_MAX_LINE);
		CU_ASSERT(line.is_too_long || line.size == sizes[i]);
		CU_ASSERT_EQUAL(source_next(source, &line, NULL), 1);
		CU_ASSERT_EQUAL(line.number, 2);
		CU_ASSERT(line.size == 4 && memcmp(line.bytes, "last", 4) == 0);
		CU_ASSERT_EQUAL(source_next(source, &line, NULL), 0);
	}
}

static void note_flaw(int64_t line, const char *code, const char *param, const char *message,
		      void *context)
{
	(void)param;
	(void)message;
	buffer_add_format(context, "%" PRId64 ":%s ", line, code);
}

#define LINE(id, model, rest)                                                                      \
	"{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"/v1/embeddings\","                    \
	"\"body\":{\"model\":\"" model "\"" rest "}}\n"

static void finds_what_batchd_would_find(void)
{
	static const struct survey_rules plain = {0};
	static const struct survey_rules numbered = {.has_line_ids = true};
	static const struct survey_rules skipping = {.skips_invalid = true};
	static const struct survey_rules wrapped = {
		.is_wrapped = true, .has_line_ids = true, .endpoint = "/v1/embeddings"};
	static const struct survey_rules given = {
		.is_wrapped = true, .endpoint = "/v1/embeddings", .model = "m"};
	/* clang-format off */
	static const struct {
		const struct survey_rules *rules;
		const char *input;
		const char *flaws;
		int64_t requests;
		int64_t groups;
		const char *refusal;
	} rows[] = {
		{ &plain, LINE("a", "m", "") LINE("b", "n", "") LINE("c", "\\u006d", ""), "", 3, 2, NULL },
		{ &plain, "", "0:empty_file ", 0, 0, "the input is empty" },
		{ &plain, LINE("a", "m", "") "what\n" LINE("\\u0061", "m", ""),
		  "2:invalid_json_line 3:duplicate_custom_id ", 1, 1, "lines are wrong" },
		{ &skipping, LINE("a", "m", "") "what\n" LINE("a", "n", "") LINE("b", "m", ""),
		  "2:invalid_json_line 3:duplicate_custom_id ", 2, 1, NULL },
		{ &skipping, "what\n", "1:invalid_json_line ", 0, 0, "all of the lines are wrong" },
		{ &numbered, LINE("a", "m", "") LINE("a", "m", ""), "", 2, 1, NULL },
		{ &plain, LINE("a", "m\\u0000", ""), "1:invalid_value ", 0, 0, "lines are wrong" },
		{ &wrapped, "{\"model\":\"m\",\"input\":\"x\"}\n{\"input\":\"x\"}\n", "2:missing_required_parameter ", 1, 1,
		  "lines are wrong" },
		{ &given, "{\"model\":\"n\",\"input\":\"x\"}\n{\"input\":\"x\"}\n", "", 2, 2, NULL },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_input input = make_input(rows[i].input, strlen(rows[i].input));
		auto_buffer flaws = {0};
		auto_survey survey = {
			.rules = *rows[i].rules, .on_flaw = note_flaw, .context = &flaws};
		const char *refusal;

		survey_official_limits(&survey.rules.limits);
		CU_ASSERT_EQUAL_FATAL(survey_run(&survey, &input, NULL), 0);
		refusal = survey_refusal(&survey);
		CHECK_ROW(rows[i].input, strcmp(buffer_text(&flaws), rows[i].flaws) == 0);
		CHECK_ROW(rows[i].input, survey.requests == rows[i].requests);
		CHECK_ROW(rows[i].input, (int64_t)survey.group_count == rows[i].groups);
		CHECK_ROW(rows[i].input, rows[i].refusal ? refusal && strcmp(refusal, rows[i].refusal) == 0
							 : !refusal);
	}
}

/* The one request of a line, as many bytes as it is sent with. */
static void counts_the_bytes_that_are_sent(void)
{
	static const struct survey_rules plain = {0};
	static const struct survey_rules numbered = {.has_line_ids = true};
	static const struct survey_rules given = {
		.is_wrapped = true, .endpoint = "/v1/embeddings", .model = "mo"};
	/* clang-format off */
	static const struct {
		const struct survey_rules *rules;
		const char *line;
		const char *sent;
	} rows[] = {
		{ &plain, LINE("a", "m", ""), LINE("a", "m", "") },
		{ &numbered, LINE("abc", "m", ""), LINE("line-1", "m", "") },
		{ &numbered, "{\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{\"model\":\"m\"}}\r\n",
		  "{\"custom_id\":\"line-1\",\"method\":\"POST\",\"url\":\"/v1/embeddings\",\"body\":{\"model\":\"m\"}}\n" },
		{ &given, "{\"input\":\"x\"}", LINE("line-1", "mo", ",\"input\":\"x\"") },
		{ &given, "{\"model\":\"m\",\"input\":\"x\"}\n", LINE("line-1", "m", ",\"input\":\"x\"") },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_input input = make_input(rows[i].line, strlen(rows[i].line));
		auto_buffer flaws = {0};
		auto_survey survey = {
			.rules = *rows[i].rules, .on_flaw = note_flaw, .context = &flaws};
		int64_t batches;

		survey_official_limits(&survey.rules.limits);
		CU_ASSERT_EQUAL_FATAL(survey_run(&survey, &input, NULL), 0);
		CHECK_ROW(rows[i].line, survey_total(&survey, &batches).bytes ==
						(int64_t)strlen(rows[i].sent));
	}
}

static void foretells_batches_within_every_limit(void)
{
	/* Five of model m, two of n; of m the third has three inputs. */
	static const char text[] = LINE("a", "m", "") LINE("b", "n", "") LINE("c", "m", "")
		LINE("d", "m", ",\"input\":[\"x\",\"x\",\"x\"]") LINE("e", "m", "") LINE("f", "n", "")
			LINE("g", "m", "");
	/* clang-format off */
	static const struct {
		const char *name;
		struct load_limits limits;
		int64_t batches;
		int64_t excesses;
	} rows[] = {
		{ "official", { 50000, 200000000, 50000, 0, 4, 0 }, 2, 0 },
		{ "requests", { 2, 200000000, 50000, 0, 4, 0 }, 4, 0 },
		{ "bytes", { 50000, 200, 50000, 0, 4, 0 }, 4, 0 },
		{ "inputs", { 50000, 200000000, 2, 0, 4, 0 }, 2, 1 },
		{ "too large", { 50000, 90, 50000, 0, 4, 0 }, 6, 1 },
		{ "tokens", { 50000, 200000000, 50000, 50, 4, 0 }, 4, 0 },
		{ "all too large", { 50000, 10, 50000, 0, 4, 0 }, 0, 7 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_input input = make_input(text, strlen(text));
		auto_buffer flaws = {0};
		auto_survey survey = {.rules = {.limits = rows[i].limits},
				      .on_flaw = note_flaw,
				      .context = &flaws};
		int64_t batches;

		CU_ASSERT_EQUAL_FATAL(survey_run(&survey, &input, NULL), 0);
		CU_ASSERT_EQUAL(survey_total(&survey, &batches).requests, 7 - rows[i].excesses);
		CHECK_ROW(rows[i].name, batches == rows[i].batches);
		CHECK_ROW(rows[i].name, survey.excesses == rows[i].excesses);
	}
}

static void refuses_more_groups_than_a_job_may_have(void)
{
	for (int groups = SURVEY_MAX_GROUPS; groups < SURVEY_MAX_GROUPS + 3; groups++) {
		auto_buffer text = {0}, flaws = {0};
		auto_input input = {.fd = -1};
		auto_survey survey = {.rules = {.skips_invalid = true},
				      .on_flaw = note_flaw,
				      .context = &flaws};

		for (int i = 0; i < groups; i++)
			buffer_add_format(&text, LINE("r%d", "m%d", ""), i, i);
		input = make_input(text.data, text.size);
		survey_official_limits(&survey.rules.limits);
		CU_ASSERT_EQUAL_FATAL(survey_run(&survey, &input, NULL), 0);
		CU_ASSERT_EQUAL(survey.group_count, SURVEY_MAX_GROUPS);
		CU_ASSERT_EQUAL(survey.beyond, groups - SURVEY_MAX_GROUPS);
		CU_ASSERT_EQUAL(survey_refusal(&survey) != NULL, groups > SURVEY_MAX_GROUPS);
		CU_ASSERT_STRING_EQUAL(buffer_text(&flaws),
				       groups > SURVEY_MAX_GROUPS ? "1001:too_many_groups " : "");
	}
}

static void computes_what_the_input_costs(void)
{
	static const char daemon_text[] =
		"{\"models\":[{\"name\":\"a*\",\"input_price\":\"2.5\"},{\"name\":\"*\",\"input_price\":\"0\"}]}";
	static const char provider_text[] = "{\"batch_discount\":\"50%\"}";
	/* clang-format off */
	static const struct {
		const char *text;
		int64_t parts; /* below 0: refused */
	} discounts[] = {
		{ "50%", 5000 }, { "0%", 0 }, { "100%", 10000 }, { "0.05%", 5 }, { "12.5%", 1250 }, { "33.33%", 3333 },
		{ "", -1 }, { "50", -1 }, { "%", -1 }, { "101%", -1 }, { "1.234%", -1 }, { "-1%", -1 }, { "1000%", -1 },
	};
	/* clang-format on */
	auto_json *daemon = json_read(daemon_text, strlen(daemon_text));
	auto_json *provider = json_read(provider_text, strlen(provider_text));

	for (size_t i = 0; i < ARRAY_SIZE(discounts); i++) {
		int64_t parts = -1;

		(void)prices_discount(discounts[i].text, &parts);
		CHECK_ROW(discounts[i].text, parts == discounts[i].parts);
	}
	CU_ASSERT_EQUAL(prices_of_input(daemon, provider, "abc", 1000000), 1250000);
	CU_ASSERT_EQUAL(prices_of_input(daemon, NULL, "abc", 1000000), 2500000);
	CU_ASSERT_EQUAL(prices_of_input(daemon, provider, "b", 1000000), -1);
	CU_ASSERT_EQUAL(prices_of_input(NULL, NULL, "abc", 1000000), -1);
}

int main(void)
{
	CU_TestInfo claims[] = {
		CHECK(reads_lines_however_they_end),
		CHECK(unpacks_what_it_reads_and_knows_a_cut),
		CHECK(holds_no_line_that_is_too_long),
		CHECK(finds_what_batchd_would_find),
		CHECK(counts_the_bytes_that_are_sent),
		CHECK(foretells_batches_within_every_limit),
		CHECK(refuses_more_groups_than_a_job_may_have),
		CHECK(computes_what_the_input_costs),
		CU_TEST_INFO_NULL,
	};

	return check_run("survey", claims);
}
