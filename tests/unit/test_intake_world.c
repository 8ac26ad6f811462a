/* What a user may ask for at submit, from the input to the results: wrong lines left out, envelopes and ids made, rows too large. */
#include "daemon/io/vault.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/unit/world_scene.h"

#define CHAT "/v1/chat/completions"
#define BODY "{\"model\":\"m\",\"messages\":[{\"role\":\"user\",\"content\":\"x\"}]}"
#define REQUEST(id) "{\"custom_id\":\"" id "\",\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":" BODY "}\n"

/* A job like the one given, with this input. */
static int64_t submit(struct world *world, struct job job, const char *input)
{
	struct vault_writer *writer = vault_writer_new(world->vault, VAULT_FILE_LIMIT);
	const struct store_file file = {
		.uid = WORLD_UID,
		.purpose = (char *)(uintptr_t) "batch",
		.bytes = (int64_t)strlen(input),
	};

	if (!job.input_file) {
		job.input_file = store_file_add(world->store, &file);
		CU_ASSERT_EQUAL_FATAL(vault_write(writer, input, strlen(input), NULL), 0);
		CU_ASSERT_EQUAL_FATAL(vault_keep_file(writer, job.input_file, NULL), 0);
	} else {
		vault_writer_free(writer);
	}
	job.uid = WORLD_UID;
	job.endpoint = (char *)(uintptr_t)CHAT;
	job.window = (char *)(uintptr_t) "24h";
	job.provider = world->provider.name;
	CU_ASSERT_FATAL(pipeline_accept(world->pipeline, &job) != 0);
	CU_ASSERT_EQUAL_FATAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
	return job.id;
}

/* The members called name of all lines, as text: "a b". */
static char *members_of(const char *lines, const char *name)
{
	auto_free char *wanted = xasprintf("\"%s\":", name);
	auto_buffer text = { 0 };
	const char *at = lines;

	while ((at = strstr(at, wanted))) {
		at += strlen(wanted);
		at += *at == '"';
		buffer_add_text(&text, text.size ? " " : "");
		buffer_add(&text, at, strcspn(at, "\",}"));
	}
	return xstrdup(buffer_text(&text));
}

static bool counts_are(const struct job *job, int64_t ok, int64_t failed, int64_t invalid)
{
	return job->counts.total == ok + failed && job->counts.ok == ok && job->counts.failed == failed &&
	       job->counts.invalid == invalid && !job->counts.cancelled && !job->counts.expired;
}

static void count_digest(const struct store_digest *digest, void *context)
{
	*(int64_t *)context += digest->count;
}

static void note_group(const struct store_group *group, void *context)
{
	*(int64_t *)context += group->requests;
}

static const char mixed[] = "\n" REQUEST("b") "{\"custom_id\":\"cut\"\n" REQUEST("a") REQUEST("b") REQUEST("c");

static void check_mixed(struct world *world, int64_t job)
{
	auto_job end = world_job(world, job);
	auto_shard skipped = world_shard(world, job, 1), sent = world_shard(world, job, 2);
	auto_free char *output = world_file(world, end.output_file);
	auto_free char *errors = world_file(world, end.error_file);
	auto_free char *ok = members_of(output, "custom_id");
	auto_free char *wrong = members_of(errors, "custom_id");
	auto_free char *codes = members_of(errors, "code");
	auto_free char *lines = members_of(errors, "line");
	int64_t digested = 0, grouped = 0;

	CU_ASSERT_EQUAL(end.state, JOB_COMPLETED);
	CU_ASSERT_TRUE(counts_are(&end, 3, 3, 3));
	CU_ASSERT_STRING_EQUAL(ok, "b a c");
	CU_ASSERT_STRING_EQUAL(wrong, "null cut b");
	CU_ASSERT_STRING_EQUAL(codes, "invalid_json_line invalid_json_line duplicate_custom_id");
	CU_ASSERT_STRING_EQUAL(lines, "1 3 5");
	CU_ASSERT_EQUAL(end.errors_total, 3);
	CU_ASSERT_TRUE(skipped.state == SHARD_COLLECTED && !skipped.due_at && skipped.tally.failed == 3);
	CU_ASSERT_TRUE(skipped.requests == 3 && !skipped.bytes);
	CU_ASSERT_TRUE(sent.requests == 3 && sent.tally.ok == 3 && sent.tokens > 0);
	(void)store_digest_list(world->store, job, 100, count_digest, &digested);
	CU_ASSERT_EQUAL(digested, 3);
	(void)store_group_list(world->store, job, note_group, &grouped);
	CU_ASSERT_EQUAL(grouped, 3);
	CU_ASSERT_EQUAL(world_ledger(world).requests, 3);
}

static void wrong_lines_are_left_out_and_told_in_order(void)
{
	struct world *world = world_new(&slow, 1);
	int64_t job = submit(world, (struct job){ .skips_invalid = true }, mixed);

	(void)world_finish(world, job);
	check_mixed(world, job);
	world_free(world);
}

/* Lives until turn death, dies there (within the turn or behind it), and lives on. false: the job was through before. */
static bool die_once(int64_t death, bool is_commit_lost)
{
	struct world *world = world_new(&slow, 1);
	int64_t job = submit(world, (struct job){ .skips_invalid = true }, mixed);
	auto_job now = { 0 };
	bool is_alive;

	know_list(world);
	while (world->turns < death)
		world_turn(world);
	now = world_job(world, job);
	is_alive = !job_is_ended(now.state);
	if (is_alive && is_commit_lost) {
		world_lose_turn(world);
	} else if (is_alive) {
		world_kill(world);
		world_start(world);
	}
	(void)world_finish(world, job);
	check_mixed(world, job);
	world_free(world);
	return is_alive;
}

static void a_death_at_any_turn_changes_nothing(void)
{
	int64_t deaths[2] = { 0, 0 };

	for (int k = 0; k < 2; k++)
		while (deaths[k] < 200 && die_once(deaths[k], k))
			deaths[k]++;
	CU_ASSERT_TRUE(deaths[0] > 20 && deaths[0] < 200 && deaths[1] > 20 && deaths[1] < 200);
}

static void a_job_that_is_cancelled_early_accounts_for_every_line(void)
{
	for (int turns = 0; turns < 12; turns++) {
		struct world *world = world_new(&slow, 1);
		int64_t job = submit(world, (struct job){ .skips_invalid = true }, mixed);
		auto_job end = { 0 };
		int64_t sum;

		know_list(world);
		for (int i = 0; i < turns; i++)
			world_turn(world);
		CU_ASSERT_EQUAL(world_cancel(world, job), 0);
		(void)world_finish(world, job);
		end = world_job(world, job);
		sum = end.counts.ok + end.counts.failed + end.counts.cancelled + end.counts.expired;
		CU_ASSERT_EQUAL(end.state, JOB_CANCELLED);
		CU_ASSERT_EQUAL(sum, end.counts.total);
		CU_ASSERT_TRUE(end.counts.total == 0 || (end.counts.total == 6 && end.counts.failed == 3));
		world_free(world);
	}
}

/* clang-format off */
static const struct {
	const char *name;
	struct job job;
	const char *input;
	const char *ids; /* of the output */
} forms[] = {
	{ "bare bodies", { .is_wrapped = true, .has_line_ids = true },
	  BODY "\n " BODY "\r\n" BODY, "line-1 line-2 line-3" },
	{ "bare bodies, the model is the job's", { .is_wrapped = true, .model = (char *)(uintptr_t)"own" },
	  "{\"messages\":[]}\n" BODY "\n{\"messages\":[]}\n", "line-1 line-2 line-3" },
	{ "ids of lines", { .has_line_ids = true },
	  REQUEST("a") REQUEST("a") "{\"method\":\"POST\",\"url\":\"" CHAT "\",\"body\":" BODY "}\n", "line-1 line-2 line-3" },
	{ "ids of lines, some left out", { .has_line_ids = true, .skips_invalid = true },
	  REQUEST("a") "\n" REQUEST("a") "{}\n" REQUEST(""), "line-1 line-3 line-5" },
};
/* clang-format on */

static void envelopes_and_ids_are_made(void)
{
	static const char *const scripts[] = { NULL, "{\"action\":\"row_twice\",\"row\":2}", "{\"action\":\"expire\",\"percent\":50,\"count\":1}" };

	for (size_t i = 0; i < ARRAY_SIZE(forms) * ARRAY_SIZE(scripts); i++) {
		size_t form = i / ARRAY_SIZE(scripts);
		const char *script = scripts[i % ARRAY_SIZE(scripts)];
		struct world *world = world_new(&slow, 1);
		int64_t job = submit(world, forms[form].job, forms[form].input);
		auto_free char *output = NULL;
		auto_free char *ids = NULL;
		auto_job end = { 0 };

		world->network.rewind_permille = 500;
		if (script)
			world_script(world, script);
		CHECK_ROW(forms[form].name, world_finish(world, job) == JOB_COMPLETED);
		end = world_job(world, job);
		output = world_file(world, end.output_file);
		ids = members_of(output, "custom_id");
		CHECK_ROW(ids, strcmp(ids, forms[form].ids) == 0);
		CHECK_ROW(forms[form].name, end.counts.ok == 3 && end.counts.failed == end.counts.invalid);
		CHECK_ROW(forms[form].name, world_ledger(world).most_answers == 1);
		world_free(world);
	}
}

/* A provider that takes little at once: what is larger by itself fails alone, and is never sent. */
static void a_request_beyond_a_limit_fails_alone(void)
{
	/* clang-format off */
	static const struct {
		const char *name;
		int64_t max_bytes, max_inputs, max_tokens;
		const char *ids, *codes; /* of the errors */
	} cases[] = {
		{ "bytes",  400, 1000,  0, "large large-too", "request_too_large request_too_large" },
		{ "tokens", 100000, 1000, 100, "large large-too", "too_many_tokens too_many_tokens" },
		{ "inputs", 100000, 1, 0, "a c", "too_many_inputs too_many_inputs" },
		{ "none fits", 20, 1000, 0, "a large c large-too", "request_too_large request_too_large request_too_large request_too_large" },
	};
	static const char *const ids[] = { "a", "large", "c", "large-too" };
	/* clang-format on */
	auto_free char *padding = xcalloc(1, 301);
	auto_buffer input = { 0 };

	memset(padding, 'x', 300);
	for (size_t i = 0; i < ARRAY_SIZE(ids); i++)
		buffer_add_format(&input,
				  "{\"custom_id\":\"%s\",\"method\":\"POST\",\"url\":\"" CHAT
				  "\",\"body\":{\"model\":\"m\",\"input\":%s,\"note\":\"%s\",\"messages\":[]}}\n",
				  ids[i], i % 2 ? "\"x\"" : "[\"x\",\"y\"]", i % 2 ? padding : "");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct world *world = world_new(&slow, 1);
		auto_free char *errors = NULL;
		auto_free char *failed = NULL;
		auto_free char *codes = NULL;
		auto_job end = { 0 };
		int64_t job, ok = i == 3 ? 0 : 2;

		world->provider.max_bytes = cases[i].max_bytes;
		world->provider.max_inputs = cases[i].max_inputs;
		world->provider.max_tokens = cases[i].max_tokens;
		job = submit(world, (struct job){ 0 }, buffer_text(&input));
		CHECK_ROW(cases[i].name, world_finish(world, job) == JOB_COMPLETED);
		end = world_job(world, job);
		CHECK_ROW(cases[i].name, counts_are(&end, ok, 4 - ok, 0));
		errors = world_file(world, end.error_file);
		failed = members_of(errors, "custom_id");
		codes = members_of(errors, "code");
		CHECK_ROW(failed, strcmp(failed, cases[i].ids) == 0);
		CHECK_ROW(codes, strcmp(codes, cases[i].codes) == 0);
		CHECK_ROW(errors, strstr(errors, "By itself this request has more") != NULL);
		CHECK_ROW(cases[i].name, world_ledger(world).requests == ok);
		check_judged(cases[i].name, world, job, buffer_text(&input));
		world_free(world);
	}
}

static void a_job_whose_lines_are_all_wrong_fails(void)
{
	struct world *world = world_new(&slow, 1);
	int64_t job = submit(world, (struct job){ .skips_invalid = true }, "{}\n\n");
	auto_job end = { 0 };
	auto_shard shard = { 0 };

	CU_ASSERT_EQUAL(world_finish(world, job), JOB_FAILED);
	end = world_job(world, job);
	shard = world_shard(world, job, 1);
	CU_ASSERT_EQUAL(end.errors_total, 2);
	CU_ASSERT_PTR_NOT_NULL(strstr(end.errors, "missing_required_parameter"));
	CU_ASSERT_EQUAL(shard.id, 0);
	check_event("failed", world, job, "job.failed", "all of the lines (2) are wrong");
	world_free(world);
}

/* What failed goes again in a job of its own, from the same input and with the same ids. */
static void failed_requests_go_again_in_a_new_job(void)
{
	static const char input[] = REQUEST("a") "{}\n" REQUEST("b") REQUEST("c");
	struct world *world = world_new(&slow, 1);
	auto_job old = { 0 }, end = { 0 };
	auto_free char *output = NULL;
	auto_free char *ids = NULL;
	int64_t first, again, none;
	int64_t grouped = 0;

	world_script(world, "{\"action\":\"fail_validation\",\"code\":\"x\",\"message\":\"y\",\"count\":1}");
	first = submit(world, (struct job){ .skips_invalid = true, .has_line_ids = true }, input);
	CU_ASSERT_EQUAL(world_finish(world, first), JOB_COMPLETED);
	old = world_job(world, first);
	CU_ASSERT_TRUE(counts_are(&old, 0, 4, 1));
	again = submit(world,
		       (struct job){ .retry_of = first,
				     .input_file = old.input_file,
				     .skips_invalid = true,
				     .has_line_ids = true },
		       "");
	CU_ASSERT_EQUAL(world_finish(world, again), JOB_COMPLETED);
	end = world_job(world, again);
	CU_ASSERT_TRUE(counts_are(&end, 3, 0, 0));
	output = world_file(world, end.output_file);
	ids = members_of(output, "custom_id");
	CU_ASSERT_STRING_EQUAL(ids, "line-1 line-3 line-4");
	(void)store_group_list(world->store, again, note_group, &grouped);
	CU_ASSERT_EQUAL(grouped, 3);
	none = submit(world,
		      (struct job){ .retry_of = again, .input_file = old.input_file, .has_line_ids = true }, "");
	CU_ASSERT_EQUAL(world_finish(world, none), JOB_FAILED);
	check_event("nothing", world, none, "job.failed", "nothing to try again");
	world_free(world);
}

CHECK_MAIN("intake_world", CHECK(wrong_lines_are_left_out_and_told_in_order), CHECK(a_death_at_any_turn_changes_nothing),
	   CHECK(a_job_that_is_cancelled_early_accounts_for_every_line), CHECK(envelopes_and_ids_are_made),
	   CHECK(a_request_beyond_a_limit_fails_alone), CHECK(a_job_whose_lines_are_all_wrong_fails),
	   CHECK(failed_requests_go_again_in_a_new_job))
