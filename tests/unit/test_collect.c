/* The table of members itself is part of this program, so that its hash can be made a bad one. */
#include "daemon/base/hash.h"
#include "daemon/work/form.h"

static uint64_t hash_values = 0; /* how many values the hash has; 0: as many as it has */

static uint64_t chosen_hash(uint64_t key, const void *bytes, size_t size)
{
	uint64_t hash = hash_keyed(key, bytes, size);

	return hash_values ? hash % hash_values : hash;
}

static uint64_t chosen_form_hash(const struct form *form, uint64_t key, const char *id, size_t size)
{
	return form->has_line_ids ? form_id_hash(form, key, id, size) : chosen_hash(key, id, size);
}
#define hash_keyed   chosen_hash
#define form_id_hash chosen_form_hash
#include "daemon/work/members.c" // NOLINT(bugprone-suspicious-include)

#include "daemon/model/request.h"
#include "daemon/work/collect.h"

#include "tests/unit/job_scene.h"

#define OK                                                                                         \
	"\"response\":{\"status_code\":200,\"body\":{\"usage\":{\"prompt_tokens\":3,\"completion_" \
	"tokens\":2}}}}"
#define BAD            "\"response\":{\"status_code\":400,\"body\":{\"error\":{\"message\":\"no\"}}}}"
#define BUSY           "\"response\":{\"status_code\":429,\"body\":{\"error\":{\"message\":\"slow\"}}}}"
#define EXPIRED        "\"response\":null,\"error\":{\"code\":\"batch_expired\",\"message\":\"late\"}}"
#define CANCELLED      "\"response\":null,\"error\":{\"code\":\"batch_cancelled\",\"message\":\"stop\"}}"
#define INVALID        "\"response\":null,\"error\":{\"code\":\"invalid_value\",\"message\":\"no\"}}"
#define PASSING        "\"response\":null,\"error\":{\"code\":\"server_error\",\"message\":\"no\"}}"
#define LINE(id, rest) "{\"custom_id\":\"" id "\"," rest "\n"

static struct scene scene;
static const struct shard first_try = {.number = 1, .attempt = 1};
static const struct collect_plan plan = {
	.id_key = SCENE_KEY,
	.end = COLLECT_COMPLETED,
	.max_attempts = 3,
	.limits = {.bytes_per_token = 4},
};
/* A person has accepted what is missing. */
static const struct shard accepted = {.number = 1, .attempt = 1, .word = SHARD_WORD_ACCEPT};
static const char *const abc[] = {"a", "b", "c", NULL};

/* Begins with a job of these ids, all in shard 1. */
static void begin(const char *const *ids)
{
	scene_begin(&scene);
	scene_ids(&scene, ids);
	scene_members(&scene, 1, 0, scene.rows, 1);
}

static void end(void)
{
	scene_end(&scene);
}

static int run(const struct shard *shard, const struct collect_plan *how,
	       struct collect **ret_collect)
{
	struct error err = {0};
	int r = collect_new(scene.vault, &scene.job, shard, how, ret_collect, &err);

	if (r)
		return r;
	while ((r = collect_slice(*ret_collect, &err)) > 0)
		;
	if (!r)
		return 0;
	CU_ASSERT(err.text[0] != '\0');
	CU_ASSERT_EQUAL(err.code, r);
	CU_ASSERT_EQUAL(collect_slice(*ret_collect, NULL), r);
	collect_free(*ret_collect);
	return r;
}

static struct collect_result collected(const struct shard *shard, const struct collect_plan *how)
{
	struct collect_result result;
	struct collect *collect;

	CU_ASSERT_EQUAL_FATAL(run(shard, how, &collect), 0);
	result = *collect_result(collect);
	CU_ASSERT_FATAL(!result.is_held);
	CU_ASSERT_EQUAL(result.ok + result.failed + result.cancelled + result.expired +
				result.missing + result.lost + result.again[0].requests +
				result.again[1].requests,
			result.rows);
	CU_ASSERT_EQUAL_FATAL(collect_keep(collect, 7, NULL), 0);
	collect_free(collect);
	return result;
}

static struct record_outcome outcome(int64_t number)
{
	struct record_outcome ret = {0};
	auto_rows rows = {0};

	CU_ASSERT_EQUAL_FATAL(
		rows_open(&rows, scene.vault, SCENE_JOB, "shard-1.done", RECORD_OUTCOMES, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(rows_read(&rows, number, &ret, NULL), 0);
	return ret;
}

/* The answer line of a row, as its outcome names it. */
static bool has_line(int64_t number, const char *suffix, const char *text)
{
	struct record_outcome of = outcome(number);
	auto_free char *name = rows_download_name(1, suffix);
	size_t size = 0;
	auto_free char *bytes = scene_record(&scene, name, &size);

	return bytes && of.source == (uint8_t)suffix[0] && of.length == strlen(text) &&
	       of.offset + of.length <= size && memcmp(bytes + of.offset, text, of.length) == 0;
}

static bool has_members(int64_t shard, const uint32_t *rows, int64_t count)
{
	auto_free char *name = rows_members_name(shard);
	auto_rows reader = {0};

	if (rows_open(&reader, scene.vault, SCENE_JOB, name, RECORD_MEMBERS, NULL))
		return false;
	for (int64_t i = 0; i < count; i++) {
		struct record_member member;

		if (rows_read(&reader, i, &member, NULL) || member.row != rows[i])
			return false;
	}
	return reader.count == count;
}

static bool is_there(const char *name)
{
	size_t size = 0;
	auto_free char *bytes = scene_record(&scene, name, &size);

	return bytes != NULL;
}

static void finds_answers_in_any_order_in_either_file(void)
{
	struct collect_result result;

	begin(abc);
	scene_download(&scene, 1, "out", LINE("c", OK) LINE("a", OK));
	scene_download(&scene, 1, "err", LINE("b", BAD));
	result = collected(&first_try, &plan);
	CU_ASSERT_EQUAL(result.ok, 2);
	CU_ASSERT_EQUAL(result.failed, 1);
	CU_ASSERT_EQUAL(result.input_tokens, 6);
	CU_ASSERT_EQUAL(result.output_tokens, 4);
	CU_ASSERT(has_line(0, "out", "{\"custom_id\":\"a\"," OK));
	CU_ASSERT(has_line(1, "err", "{\"custom_id\":\"b\"," BAD));
	CU_ASSERT(has_line(2, "out", "{\"custom_id\":\"c\"," OK));
	CU_ASSERT_EQUAL(outcome(0).kind, OUTCOME_OK);
	CU_ASSERT_EQUAL(outcome(0).input_tokens, 3);
	CU_ASSERT_EQUAL(outcome(0).output_tokens, 2);
	CU_ASSERT_EQUAL(outcome(0).attempts, 1);
	CU_ASSERT_EQUAL(outcome(0).shard, 1);
	CU_ASSERT_EQUAL(outcome(1).kind, OUTCOME_FAILED);
	CU_ASSERT_EQUAL(outcome(1).status, 400);
	CU_ASSERT(!is_there("shard-7.rows"));
	end();
}

/* One row, its two files, how the batch ended: what becomes of it. */
/* clang-format off */
static const struct {
	const char *name;
	const char *out, *err; /* NULL: absent */
	enum collect_end end;
	bool is_job_cancelled;
	int64_t attempt;
	enum outcome_kind kind;
	uint8_t attempts;
	uint8_t source;
	int64_t redone;
} fates[] = {
	{ "ok",                        LINE("a", OK), NULL,       COLLECT_COMPLETED, false, 1, OUTCOME_OK, 1, 'o', 0 },
	{ "ok among the errors",       NULL, LINE("a", OK),       COLLECT_COMPLETED, false, 1, OUTCOME_OK, 1, 'e', 0 },
	{ "ok though expired",         LINE("a", OK), "",         COLLECT_EXPIRED,   false, 2, OUTCOME_OK, 2, 'o', 0 },
	{ "ok though refused",         LINE("a", OK), "",         COLLECT_REFUSED,   false, 1, OUTCOME_OK, 1, 'o', 0 },
	{ "failed",                    "", LINE("a", BAD),        COLLECT_COMPLETED, false, 1, OUTCOME_FAILED, 1, 'e', 0 },
	{ "failed among the outputs",  LINE("a", BAD), "",        COLLECT_COMPLETED, false, 1, OUTCOME_FAILED, 1, 'o', 0 },
	{ "busy",                      "", LINE("a", BUSY),       COLLECT_COMPLETED, false, 1, OUTCOME_AGAIN, 1, 'e', 0 },
	{ "busy once more",            "", LINE("a", BUSY),       COLLECT_COMPLETED, false, 2, OUTCOME_AGAIN, 2, 'e', 0 },
	{ "busy too often",            "", LINE("a", BUSY),       COLLECT_COMPLETED, false, 3, OUTCOME_FAILED, 3, 'e', 0 },
	{ "busy, job cancelled",       "", LINE("a", BUSY),       COLLECT_CANCELLED, true,  1, OUTCOME_FAILED, 1, 'e', 0 },
	{ "expired line",              "", LINE("a", EXPIRED),    COLLECT_EXPIRED,   false, 3, OUTCOME_AGAIN, 2, 'e', 0 },
	{ "expired line, cancelled",   "", LINE("a", EXPIRED),    COLLECT_EXPIRED,   true,  1, OUTCOME_CANCELLED, 0, 'e', 0 },
	{ "cancelled line",            "", LINE("a", CANCELLED),  COLLECT_CANCELLED, false, 1, OUTCOME_AGAIN, 0, 'e', 0 },
	{ "cancelled line by us",      "", LINE("a", CANCELLED),  COLLECT_CANCELLED, true,  1, OUTCOME_CANCELLED, 0, 'e', 0 },
	{ "no answer",                 "", "",                    COLLECT_COMPLETED, false, 1, OUTCOME_MISSING, 1, 0, 0 },
	{ "no answer, no files",       NULL, NULL,                COLLECT_COMPLETED, true,  1, OUTCOME_MISSING, 1, 0, 0 },
	{ "no answer, expired",        NULL, NULL,                COLLECT_EXPIRED,   false, 3, OUTCOME_AGAIN, 2, 0, 0 },
	{ "no answer, expired, cancelled", NULL, NULL,            COLLECT_EXPIRED,   true,  1, OUTCOME_CANCELLED, 0, 0, 0 },
	{ "no answer, cancelled",      NULL, NULL,                COLLECT_CANCELLED, false, 1, OUTCOME_AGAIN, 0, 0, 0 },
	{ "no answer, cancelled by us", NULL, NULL,               COLLECT_CANCELLED, true,  1, OUTCOME_CANCELLED, 0, 0, 0 },
	{ "no answer, a file lost",    "", NULL,                  COLLECT_LOST,      false, 1, OUTCOME_LOST, 1, 0, 0 },
	{ "lost, job cancelled",       "", NULL,                  COLLECT_LOST,      true,  2, OUTCOME_LOST, 2, 0, 0 },
	{ "expired line, a file lost", NULL, LINE("a", EXPIRED),  COLLECT_LOST,      false, 1, OUTCOME_AGAIN, 0, 'e', 0 },
	{ "refused",                   NULL, NULL,                COLLECT_REFUSED,   false, 2, OUTCOME_REFUSED, 1, 0, 0 },
	{ "refused, job cancelled",    NULL, NULL,                COLLECT_REFUSED,   true,  2, OUTCOME_REFUSED, 1, 0, 0 },
	{ "beside an invalid line",    NULL, "",                  COLLECT_INVALID,   false, 3, OUTCOME_AGAIN, 2, 0, 0 },
	{ "the tenth such round",      NULL, "",                  COLLECT_INVALID,   false, 3, OUTCOME_AGAIN, 2, 0, 9 },
	{ "after ten such rounds",     NULL, "",                  COLLECT_INVALID,   false, 3, OUTCOME_REFUSED, 2, 0, 10 },
	{ "beside it, job cancelled",  NULL, "",                  COLLECT_INVALID,   true,  1, OUTCOME_CANCELLED, 0, 0, 10 },
	{ "an invalid line",           NULL, LINE("a", INVALID),  COLLECT_INVALID,   false, 1, OUTCOME_FAILED, 1, 'e', 10 },
	{ "its code sounds passing",   NULL, LINE("a", PASSING),  COLLECT_INVALID,   false, 1, OUTCOME_FAILED, 1, 'e', 0 },
	{ "a validation finds it late", NULL, LINE("a", EXPIRED), COLLECT_INVALID,   false, 1, OUTCOME_AGAIN, 0, 'e', 9 },
	{ "ten of them find it late",  NULL, LINE("a", EXPIRED),  COLLECT_INVALID,   false, 1, OUTCOME_FAILED, 0, 'e', 10 },
	{ "late, job cancelled",       NULL, LINE("a", EXPIRED),  COLLECT_INVALID,   true,  1, OUTCOME_CANCELLED, 0, 'e', 10 },
	{ "that code otherwise",       NULL, LINE("a", PASSING),  COLLECT_COMPLETED, false, 1, OUTCOME_AGAIN, 1, 'e', 0 },
	{ "ok after a failure",        LINE("a", BAD) LINE("a", OK), NULL, COLLECT_COMPLETED, false, 1, OUTCOME_OK, 1, 'o', 0 },
	{ "ok in the other file",      LINE("a", BUSY), LINE("a", OK), COLLECT_COMPLETED, false, 1, OUTCOME_OK, 1, 'e', 0 },
	{ "failure after ok",          LINE("a", OK), LINE("a", BAD), COLLECT_COMPLETED, false, 1, OUTCOME_OK, 1, 'o', 0 },
	{ "the first failure counts",  LINE("a", BUSY), LINE("a", BAD), COLLECT_COMPLETED, false, 1, OUTCOME_AGAIN, 1, 'o', 0 },
	{ "no newline at the end",     "{\"custom_id\":\"a\"," OK, NULL, COLLECT_COMPLETED, false, 1, OUTCOME_OK, 1, 'o', 0 },
	{ "a byte order mark",         "\xef\xbb\xbf" LINE("a", OK), NULL, COLLECT_COMPLETED, false, 1, OUTCOME_OK, 1, 'o', 0 },
	{ "a huge attempt",            LINE("a", OK), NULL,       COLLECT_COMPLETED, false, 1000, OUTCOME_OK, 255, 'o', 0 },
};
/* clang-format on */

static void gives_every_row_the_outcome_of_its_answer_and_its_batch(void)
{
	static const char *const ids[] = {"a", NULL};

	for (size_t i = 0; i < ARRAY_SIZE(fates); i++) {
		struct shard shard = {.number = 1,
				      .attempt = fates[i].attempt,
				      .redone = fates[i].redone,
				      .word = SHARD_WORD_ACCEPT};
		struct collect_plan how = plan;

		how.end = fates[i].end;
		how.is_job_cancelled = fates[i].is_job_cancelled;
		begin(ids);
		if (fates[i].out)
			scene_download(&scene, 1, "out", fates[i].out);
		if (fates[i].err)
			scene_download(&scene, 1, "err", fates[i].err);
		(void)collected(&shard, &how);
		CHECK_ROW(fates[i].name, outcome(0).kind == fates[i].kind);
		CHECK_ROW(fates[i].name, outcome(0).attempts == fates[i].attempts);
		CHECK_ROW(fates[i].name, outcome(0).source == fates[i].source);
		CHECK_ROW(fates[i].name, (outcome(0).length > 0) == (fates[i].source != 0));
		CHECK_ROW(fates[i].name,
			  is_there("shard-7.rows") == (fates[i].kind == OUTCOME_AGAIN));
		end();
	}
}

static void counts_what_is_twice_unknown_and_unreadable(void)
{
	struct collect_result result;

	begin(abc);
	scene_download(&scene, 1, "out",
		       LINE("a", OK)
			       LINE("a", OK) "\n\r\n  \nnot json\n{\"id\":1}\n[]\n" LINE("z", OK)
				       LINE("", OK) LINE("A", OK) "{\"custom_id\":5}\n" LINE(
					       "b", OK) "{\"custom_id\":\"c\"");
	scene_download(&scene, 1, "err", LINE("a", BAD));
	result = collected(&accepted, &plan);
	CU_ASSERT_EQUAL(result.ok, 2);
	CU_ASSERT_EQUAL(result.missing, 1);
	CU_ASSERT_EQUAL(result.twice, 2);
	CU_ASSERT_EQUAL(result.unknown, 3);
	CU_ASSERT_EQUAL(result.unreadable, 5);
	CU_ASSERT_EQUAL(result.input_tokens, 6);
	end();
}

/* The id in the input, the id in the answer, both as written. */
/* clang-format off */
static const struct {
	const char *name;
	const char *asked, *answered;
	bool is_same;
} spellings[] = {
	{ "plain",                    "a",                "a",                  true  },
	{ "escaped in the answer",    "a",                "\\u0061",            true  },
	{ "escaped in the input",     "\\u0061",          "a",                  true  },
	{ "a slash",                  "a/b",              "a\\/b",              true  },
	{ "a pair of surrogates",     "\xf0\x9f\x98\x80", "\\ud83d\\ude00",     true  },
	{ "the pair in the input",    "\\uD83D\\uDE00",   "\xf0\x9f\x98\x80",   true  },
	{ "a NUL",                    "a\\u0000b",        "a\\u0000b",          true  },
	{ "up to a NUL",              "a\\u0000b",        "a",                  false },
	{ "a prefix",                 "ab",               "a",                  false },
	{ "half a pair is no id",     "\\ufffd",          "\\ud83d",            false },
	{ "the replacement itself",   "\\ufffd",          "\xef\xbf\xbd",       true  },
	{ "case",                     "a",                "A",                  false },
	{ "white space",              "a",                "a ",                 false },
};
/* clang-format on */

static void compares_ids_by_what_they_mean(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(spellings); i++) {
		const char *ids[] = {spellings[i].asked, NULL};
		auto_free char *line =
			xasprintf("{\"custom_id\":\"%s\"," OK "\n", spellings[i].answered);
		struct collect_result result;

		begin(ids);
		scene_download(&scene, 1, "out", line);
		result = collected(&accepted, &plan);
		CHECK_ROW(spellings[i].name, result.ok == spellings[i].is_same);
		CHECK_ROW(spellings[i].name, result.unknown == !spellings[i].is_same);
		end();
	}
}

static void finds_the_longest_ids_and_outlives_longer_ones(void)
{
	auto_free char *longest = xcalloc(1, REQUEST_MAX_CUSTOM_ID + 1);
	auto_buffer text = {0};
	const char *ids[] = {longest, NULL};
	struct collect_result result;

	memset(longest, 'x', REQUEST_MAX_CUSTOM_ID);
	begin(ids);
	buffer_add_text(&text, "{\"custom_id\":\"");
	for (size_t i = 0; i < REQUEST_MAX_CUSTOM_ID; i++)
		buffer_add_text(&text, "\\u0078");
	buffer_add_text(&text, "\"," OK "\n{\"custom_id\":\"");
	for (size_t i = 0; i < 100000; i++)
		buffer_add_text(&text, "y");
	buffer_add_text(&text, "\"," OK "\n");
	scene_download(&scene, 1, "out", buffer_text(&text));
	result = collected(&first_try, &plan);
	CU_ASSERT_EQUAL(result.ok, 1);
	CU_ASSERT_EQUAL(result.unknown, 1);
	end();
}

static void never_takes_equal_hashes_for_equal_ids(void)
{
	enum { COUNT = 300 };
	char texts[COUNT][16];
	const char *ids[COUNT + 1] = {NULL};
	auto_buffer out = {0};
	struct collect_result result;

	for (uint64_t values = 1; values <= 3; values += 2) {
		hash_values = values;
		for (size_t i = 0; i < COUNT; i++) {
			(void)snprintf(texts[i], sizeof(texts[i]), "id-%zu", i);
			ids[i] = texts[i];
		}
		begin(ids);
		buffer_clear(&out);
		for (size_t i = 0; i < 2 * COUNT; i++)
			if (i != 17)
				buffer_add_format(&out, "{\"custom_id\":\"id-%zu\"," OK "\n",
						  (i * 7) % (2 * COUNT));
		scene_download(&scene, 1, "out", buffer_text(&out));
		result = collected(&accepted, &plan);
		CU_ASSERT_EQUAL(result.ok, COUNT - 1);
		CU_ASSERT_EQUAL(result.missing, 1);
		CU_ASSERT_EQUAL(result.unknown, COUNT);
		CU_ASSERT_EQUAL(outcome(17 * 7).kind, OUTCOME_MISSING);
		for (int64_t i = 0; i < COUNT; i++) {
			auto_free char *line = xasprintf("{\"custom_id\":\"id-%d\"," OK, (int)i);

			CHECK_ROW(line, i == 17 * 7 || has_line(i, "out", line));
		}
		end();
	}
	hash_values = 0;
}

static void leaves_carriage_returns_out_of_the_lines(void)
{
	begin(abc);
	scene_download(&scene, 1, "out",
		       "{\"custom_id\":\"a\"," OK "\r\n\r\n{\"custom_id\":\"b\"," OK
		       "\r\r\n{\"custom_id\":\"c\"," OK "\r");
	CU_ASSERT_EQUAL(collected(&first_try, &plan).ok, 3);
	CU_ASSERT(has_line(0, "out", "{\"custom_id\":\"a\"," OK));
	CU_ASSERT(has_line(1, "out", "{\"custom_id\":\"b\"," OK));
	CU_ASSERT(has_line(2, "out", "{\"custom_id\":\"c\"," OK));
	end();
}

static void deals_rows_to_try_again_to_new_shards(void)
{
	static const char *const ids[] = {"a", "b", "c", "d", "e", NULL};
	struct collect_result result;
	struct collect_plan how = plan;
	int64_t line = (int64_t)strlen(
		"{\"custom_id\":\"a\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
		"\"body\":{\"model\":\"m\"}}\n");

	how.end = COLLECT_EXPIRED;
	begin(ids);
	scene_download(&scene, 1, "err",
		       LINE("e", BUSY) LINE("c", BAD) LINE("b", BUSY) LINE("d", EXPIRED));
	result = collected(&first_try, &how);
	for (size_t i = 0; i < 2; i++) {
		CU_ASSERT_EQUAL(result.again[i].requests, 2);
		CU_ASSERT_EQUAL(result.again[i].bytes, 2 * line);
		CU_ASSERT_EQUAL(result.again[i].tokens, 2 * ((line + 3) / 4));
		CU_ASSERT_EQUAL(result.again[i].inputs, 2 * SCENE_INPUTS);
	}
	CU_ASSERT_EQUAL(result.failed, 1);
	CU_ASSERT(has_members(7, (const uint32_t[]){0, 3}, 2));
	CU_ASSERT(has_members(8, (const uint32_t[]){1, 4}, 2));
	CU_ASSERT(!is_there("shard-9.rows"));
	end();
	/* None without cost: those with cost get the first number. */
	begin(ids);
	scene_download(&scene, 1, "err", LINE("e", BUSY));
	(void)collected(&accepted, &plan);
	CU_ASSERT(has_members(7, (const uint32_t[]){4}, 1));
	CU_ASSERT(!is_there("shard-8.rows"));
	end();
}

static void knows_only_the_rows_of_its_shard(void)
{
	struct collect_result result;

	scene_begin(&scene);
	scene_ids(&scene, abc);
	scene_members(&scene, 1, 1, 2, 1);
	scene_download(&scene, 1, "out", LINE("a", OK) LINE("b", OK) LINE("c", OK));
	result = collected(&first_try, &plan);
	CU_ASSERT_EQUAL(result.ok, 1);
	CU_ASSERT_EQUAL(result.unknown, 2);
	end();
	/* A shard without rows is done at once. */
	scene_begin(&scene);
	scene_ids(&scene, abc);
	scene_members(&scene, 1, 0, 0, 1);
	CU_ASSERT_EQUAL(collected(&first_try, &plan).ok, 0);
	end();
}

static void writes_the_same_bytes_when_done_again(void)
{
	size_t sizes[2] = {0};
	char *bytes[2];

	begin(abc);
	scene_download(&scene, 1, "out", LINE("c", OK) LINE("b", BUSY));
	for (size_t i = 0; i < 2; i++) {
		(void)collected(&accepted, &plan);
		bytes[i] = scene_record(&scene, "shard-1.done", &sizes[i]);
	}
	CU_ASSERT_EQUAL_FATAL(sizes[0], sizes[1]);
	CU_ASSERT_EQUAL(memcmp(bytes[0], bytes[1], sizes[0]), 0);
	free(bytes[0]);
	free(bytes[1]);
	end();
}

/* Every bit that can turn in a record is either noticed, or does not matter. */
static void refuses_damaged_records(void)
{
	static const char *const names[] = {"rows", "shard-1.rows"};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		size_t size = 0;

		begin(abc);
		scene_download(&scene, 1, "out", LINE("a", OK));
		free(scene_record(&scene, names[i], &size));
		for (size_t at = 0; at < size; at++) {
			struct collect *collect = NULL;

			scene_damage(&scene, names[i], at);
			CHECK_ROW(names[i], run(&first_try, &plan, &collect) == -EUCLEAN);
			scene_damage(&scene, names[i], at);
		}
		CU_ASSERT_EQUAL(collected(&accepted, &plan).ok, 1);
		end();
	}
}

static void refuses_members_that_cannot_be(void)
{
	struct collect *collect;
	struct rows_writer rows;

	/* A row that the job does not have. */
	scene_begin(&scene);
	scene_ids(&scene, abc);
	scene_members(&scene, 1, 2, 4, 1);
	CU_ASSERT_EQUAL(run(&first_try, &plan, &collect), -EUCLEAN);
	/* The same row twice. */
	rows_writer_init(&rows, scene.vault, RECORD_MEMBERS);
	for (int i = 0; i < 2; i++)
		CU_ASSERT_EQUAL(rows_write(&rows, &(struct record_member){.row = 1}, NULL), 0);
	CU_ASSERT_EQUAL(rows_writer_keep(&rows, SCENE_JOB, "shard-1.rows", NULL), 0);
	rows_writer_release(&rows);
	CU_ASSERT_EQUAL(run(&first_try, &plan, &collect), -EUCLEAN);
	/* More rows than the job. */
	scene_members(&scene, 1, 0, 4, 1);
	CU_ASSERT_EQUAL(run(&first_try, &plan, &collect), -EUCLEAN);
	CU_ASSERT_EQUAL(run(&(struct shard){.number = 2, .attempt = 1}, &plan, &collect), -ENOENT);
	end();
}

/* An input that changed under its index: an id that means another, one that is no string any more,
 * one cut off. */
static void refuses_an_input_that_changed(void)
{
	static const char *const ids[] = {"abc", NULL};
	static const struct {
		const char *name;
		const char *written;
	} changes[] = {{"another id", "abd"}, {"a quote", "a\"c"}, {"a control character", "a\nc"}};

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		auto_free char *input = xasprintf("{\"custom_id\":\"%s\"}\n", changes[i].written);
		struct vault_writer *writer;
		struct collect *collect;

		begin(ids);
		scene_download(&scene, 1, "out", LINE("abc", OK));
		writer = vault_writer_new(scene.vault, VAULT_FILE_LIMIT);
		scene.job.input_file = store_file_add(
			scene.store, &(struct store_file){.purpose = (char *)(uintptr_t) "batch"});
		CU_ASSERT_EQUAL(vault_write(writer, input, strlen(input), NULL), 0);
		CU_ASSERT_EQUAL(vault_keep_file(writer, scene.job.input_file, NULL), 0);
		CHECK_ROW(changes[i].name, run(&first_try, &plan, &collect) == -EUCLEAN);
		end();
	}
}

/* clang-format off */
CHECK_MAIN("collect",
	   CHECK(finds_answers_in_any_order_in_either_file),
	   CHECK(gives_every_row_the_outcome_of_its_answer_and_its_batch),
	   CHECK(counts_what_is_twice_unknown_and_unreadable),
	   CHECK(compares_ids_by_what_they_mean),
	   CHECK(finds_the_longest_ids_and_outlives_longer_ones),
	   CHECK(never_takes_equal_hashes_for_equal_ids),
	   CHECK(leaves_carriage_returns_out_of_the_lines),
	   CHECK(deals_rows_to_try_again_to_new_shards),
	   CHECK(knows_only_the_rows_of_its_shard),
	   CHECK(writes_the_same_bytes_when_done_again),
	   CHECK(refuses_damaged_records),
	   CHECK(refuses_members_that_cannot_be),
	   CHECK(refuses_an_input_that_changed))
/* clang-format on */
