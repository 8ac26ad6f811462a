/* A step that ends the daemon, again and again: found at the start, held after three deaths, and all else goes on. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/io/note.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/unit/world_scene.h"

#define DAY_MS (24 * HOUR_MS)

/* A step, by the state in which it is due, and what becomes of a job that is cancelled while that step is held. */
struct deadly {
	const char *step;
	int64_t shard;
	enum job_state job;	/* of a step of the job itself */
	enum shard_state state; /* of one of its shard */
	enum job_state end;
	enum shard_state shard_end;
	int64_t shards; /* when the job has ended */
	int64_t batches;
};

/* clang-format off */
static const struct deadly deadly[] = {
	{ "validate", 0, JOB_ACCEPTED, SHARD_CUT,      JOB_CANCELLED, SHARD_CUT,       0, 0 },
	{ "cut",      0, JOB_VALID,    SHARD_CUT,      JOB_CANCELLED, SHARD_CUT,       0, 0 },
	{ "upload",   1, JOB_RUNNING,  SHARD_CUT,      JOB_CANCELLED, SHARD_CANCELLED, 1, 0 },
	{ "create",   1, JOB_RUNNING,  SHARD_UPLOADED, JOB_CANCELLED, SHARD_CANCELLED, 1, 0 },
	{ "poll",     1, JOB_RUNNING,  SHARD_CREATED,  JOB_CANCELLED, SHARD_COLLECTED, 1, 1 },
	{ "fetch",    1, JOB_RUNNING,  SHARD_ENDED,    JOB_CANCELLED, SHARD_COLLECTED, 1, 1 },
	{ "collect",  1, JOB_RUNNING,  SHARD_FETCHED,  JOB_CANCELLED, SHARD_CANCELLED, 1, 1 },
	{ "merge",    0, JOB_RUNNING,  SHARD_COLLECTED, JOB_FAILED,   SHARD_COLLECTED, 1, 1 },
};
/* clang-format on */

struct look {
	int64_t job;
	const struct deadly *deadly;
};

static bool is_due(struct world *world, void *context)
{
	const struct look *look = context;
	const struct deadly *step = look->deadly;
	auto_job job = world_job(world, look->job);
	auto_shard shard = world_shard(world, look->job, 1);

	if (step->shard || step->state == SHARD_COLLECTED)
		return shard.id && shard.state == step->state;
	return job.state == step->job;
}

static void go_to(struct world *world, int64_t job, const struct deadly *step)
{
	struct look look = { job, step };

	CHECK_ROW(step->step, world_run(world, DAY_MS, is_due, &look));
}

/* Writes the note as a daemon leaves it that dies in the middle of the step, while it is dead. */
static void plant(struct world *world, int64_t job, int64_t shard, const char *step)
{
	struct note_entry left;
	struct note *note = note_open(world->folder, &left);

	CU_ASSERT_EQUAL(left.job, 0);
	note_enter(note, job, shard, step);
	note_close(note);
}

static void die_in(struct world *world, int64_t job, const struct deadly *step, int times)
{
	for (int i = 0; i < times; i++) {
		world_kill(world);
		plant(world, job, step->shard, step->step);
		world_start(world);
	}
}

static int retry(struct world *world, int64_t job)
{
	int r = pipeline_speak(world->pipeline, job, SHARD_WORD_RESEND);

	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
	return r;
}

static bool never(struct world *world, void *context)
{
	(void)world;
	(void)context;
	return false;
}

static void pass_a_day(struct world *world)
{
	CU_ASSERT(!world_run(world, DAY_MS, never, NULL));
}

static void check_held(const struct deadly *step, struct world *world, int64_t job)
{
	auto_job now = world_job(world, job);
	auto_shard shard = world_shard(world, job, 1);
	const char *why = step->shard ? shard.why : now.why;

	CHECK_ROW(step->step, !job_is_ended(now.state));
	CHECK_ROW(step->step, step->shard ? !shard.due_at && shard.state == step->state : !now.due_at);
	CHECK_ROW(step->step, why && strstr(why, step->step));
	CHECK_ROW(step->step, why && strstr(why, "ended batchd 3 times"));
	CHECK_ROW(step->step, why && strstr(why, step->shard ? "on shard 1: it is held" : "times: it is held"));
	CHECK_ROW(step->step, why && strstr(why, "`batchctl retry 1`") && strstr(why, "`batchctl cancel 1`"));
	check_event(step->step, world, job, "job.note", "it is held");
}

static struct world *begin(const struct deadly *step, int64_t *ret_job, char **ret_input)
{
	struct world *world = world_new(&slow, 5);

	*ret_input = world_requests(STORY_REQUESTS, "");
	know_list(world);
	*ret_job = world_submit(world, *ret_input);
	go_to(world, *ret_job, step);
	return world;
}

static void two_deaths_in_a_step_are_forgotten_when_it_gets_on(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++) {
		auto_free char *input = NULL;
		int64_t job;
		struct world *world = begin(&deadly[i], &job, &input);

		die_in(world, job, &deadly[i], 2);
		check_event(deadly[i].step, world, job, "job.note", "2 times now");
		CHECK_ROW(deadly[i].step, store_death_total(world->store) == 1);
		CHECK_ROW(deadly[i].step, world_finish(world, job) == JOB_COMPLETED);
		CHECK_ROW(deadly[i].step, store_death_total(world->store) == 0);
		check_judged(deadly[i].step, world, job, input);
		CHECK_ROW(deadly[i].step, world_ledger(world).batches == 1);
		world_free(world);
	}
}

static void three_deaths_hold_a_step_and_nothing_else(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++) {
		auto_free char *input = NULL;
		int64_t job, other;
		struct world *world = begin(&deadly[i], &job, &input);

		die_in(world, job, &deadly[i], 3);
		check_held(&deadly[i], world, job);
		other = world_submit(world, input);
		CHECK_ROW(deadly[i].step, world_finish(world, other) == JOB_COMPLETED);
		pass_a_day(world);
		/* Nor does a start wake it, or one that finds an empty note. */
		world_kill(world);
		world_start(world);
		pass_a_day(world);
		check_held(&deadly[i], world, job);
		check_judged(deadly[i].step, world, other, input);
		world_free(world);
	}
}

static void a_retry_lets_it_try_again_with_as_much_patience_as_before(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++) {
		auto_free char *input = NULL;
		auto_shard shard = { 0 };
		int64_t job;
		struct world *world = begin(&deadly[i], &job, &input);

		die_in(world, job, &deadly[i], 3);
		CHECK_ROW(deadly[i].step, retry(world, job) == 1);
		CHECK_ROW(deadly[i].step, retry(world, job) == -ENOENT);
		shard = world_shard(world, job, 1);
		/* Nobody was asked about answers, so nobody spoke about them. */
		CHECK_ROW(deadly[i].step, shard.word == SHARD_WORD_NONE);
		die_in(world, job, &deadly[i], 2);
		CHECK_ROW(deadly[i].step, world_finish(world, job) == JOB_COMPLETED);
		check_judged(deadly[i].step, world, job, input);
		world_free(world);
	}
}

static void a_cancel_ends_it_without_the_step(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(deadly); i++) {
		const struct deadly *step = &deadly[i];
		auto_free char *input = NULL;
		auto_job end = { 0 };
		auto_shard shard = { 0 };
		int64_t job, shards = 0;
		struct world *world = begin(step, &job, &input);

		die_in(world, job, step, 3);
		CHECK_ROW(step->step, world_cancel(world, job) == 0);
		CHECK_ROW(step->step, world_finish(world, job) == step->end);
		end = world_job(world, job);
		shard = world_shard(world, job, 1);
		(void)store_shard_count(world->store, job, &shards, NULL);
		CHECK_ROW(step->step, shards == step->shards);
		CHECK_ROW(step->step, !shards || shard.state == step->shard_end);
		CHECK_ROW(step->step, world_ledger(world).batches == step->batches);
		CHECK_ROW(step->step, end.counts.ok == (step->end == JOB_FAILED ? STORY_REQUESTS : 0));
		CHECK_ROW(step->step, !end.output_file);
		if (step->end == JOB_FAILED)
			CHECK_ROW(step->step, end.errors && strstr(end.errors, "the step merge ended batchd 3 times"));
		check_judged(step->step, world, job, input);
		pass_a_day(world);
		CHECK_ROW(step->step, world_ledger(world).live == 0);
		world_free(world);
	}
}

/* The same, where even what a cancel does for it is deadly: the fourth death is the last one. */
static void a_cancel_that_is_deadly_itself_is_not_repeated(void)
{
	const struct deadly *poll = &deadly[4];
	auto_free char *input = NULL;
	int64_t job;
	struct world *world = begin(poll, &job, &input);

	die_in(world, job, poll, 3);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	die_in(world, job, poll, 1);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	CU_ASSERT_EQUAL(world_ledger(world).cancels, 0);
	check_judged("a deadly cancel", world, job, input);
	world_free(world);
}

/* Whether a batch exists is not known, and cannot be found out: it is no shorter way than that of all doubt. */
static void a_create_in_doubt_whose_search_is_deadly_ends_in_uncertainty(void)
{
	static const struct deadly lookup = { "create", 1, JOB_RUNNING, SHARD_UPLOADED, JOB_CANCELLED,
					      SHARD_CANCELLED, 1, 1 };
	struct world *world = world_new(&slow, 5);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	auto_shard shard = { 0 };
	int64_t job, lists;

	know_list(world);
	world_script(world, "[{\"call\":\"create\",\"action\":\"drop_after\"},"
			    "{\"call\":\"list\",\"action\":\"status\"}]");
	job = world_submit(world, input);
	while (world_ledger(world).lists == 0)
		world_turn(world);
	die_in(world, job, &lookup, 3);
	lists = world_ledger(world).lists;
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	CU_ASSERT_EQUAL(world_ledger(world).lists, lists);
	shard = world_shard(world, job, 1);
	CU_ASSERT_EQUAL(shard.state, SHARD_CANCELLED);
	check_event("in doubt", world, job, "shard.uncertain", "is not run again");
	check_event("in doubt", world, job, "shard.note", "might have to be cancelled there");
	world_free(world);
}

/* Of one shard of two: the other one's answers are in the results of the job that is cancelled. */
static void what_other_shards_answered_is_given_out(void)
{
	struct world *world = world_new(&slow, 5);
	auto_free char *input = world_requests(4, "");
	auto_free char *output = NULL;
	auto_job end = { 0 };
	int64_t job;
	static const struct deadly collect = { "collect", 1, JOB_RUNNING, SHARD_FETCHED, JOB_CANCELLED,
					       SHARD_CANCELLED, 2, 2 };

	world->provider.max_requests = 2;
	know_list(world);
	job = world_submit(world, input);
	go_to(world, job, &collect);
	die_in(world, job, &collect, 3);
	pass_a_day(world);
	CU_ASSERT_EQUAL(world_cancel(world, job), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_CANCELLED);
	end = world_job(world, job);
	CU_ASSERT_EQUAL(end.counts.ok, 2);
	CU_ASSERT_EQUAL(end.counts.cancelled, 2);
	output = world_file(world, end.output_file);
	CU_ASSERT(strstr(output, "\"r-3\"") && strstr(output, "\"r-4\"") && !strstr(output, "\"r-1\""));
	check_judged("two shards", world, job, input);
	world_free(world);
}

static bool is_polled(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.why && strstr(shard.why, "the provider: ");
}

static void a_step_that_ended_though_it_changed_no_state_has_all_its_patience_again(void)
{
	auto_free char *input = NULL;
	int64_t job;
	struct world *world = begin(&deadly[4], &job, &input);

	for (int i = 0; i < 3; i++) {
		auto_shard shard = { 0 };

		die_in(world, job, &deadly[4], 2);
		shard = world_shard(world, job, 1);
		CU_ASSERT(shard.due_at > 0);
		CU_ASSERT(world_run(world, HOUR_MS, is_polled, &job));
		while (store_death_total(world->store) && shard.state == SHARD_CREATED) {
			shard_release(&shard);
			world_turn(world);
			shard = world_shard(world, job, 1);
		}
		CU_ASSERT_EQUAL(store_death_total(world->store), 0);
	}
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	world_free(world);
}

static bool has_failed(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return shard.tries > 0;
}

static void a_failure_between_two_deaths_is_no_progress(void)
{
	auto_free char *input = NULL;
	int64_t job;
	struct world *world = begin(&deadly[5], &job, &input);

	world_script(world, "{\"call\":\"content\",\"action\":\"drop_before\"}");
	for (int i = 0; i < 2; i++) {
		die_in(world, job, &deadly[5], 1);
		CU_ASSERT(world_run(world, HOUR_MS, has_failed, &job));
	}
	die_in(world, job, &deadly[5], 1);
	check_held(&deadly[5], world, job);
	world_free(world);
}

static void deaths_of_one_step_do_not_count_for_another(void)
{
	auto_free char *input = NULL;
	int64_t job;
	struct world *world = begin(&deadly[2], &job, &input);

	for (size_t i = 2; i < ARRAY_SIZE(deadly); i++) {
		go_to(world, job, &deadly[i]);
		die_in(world, job, &deadly[i], 2);
	}
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	world_free(world);
}

static void a_note_about_nothing_that_is_there_blames_nobody(void)
{
	/* clang-format off */
	static const struct { const char *name; int64_t job, shard; const char *step; } notes[] = {
		{ "a job that is gone",	      77, 0, "merge" },
		{ "a shard that is not there", 1, 9, "collect" },
		{ "a step of another state",   1, 1, "merge" },
		{ "a step of nobody's",        1, 1, "dance" },
		{ "a job for a shard",         1, 0, "poll" },
	};
	/* clang-format on */
	auto_free char *input = NULL;
	int64_t job;
	struct world *world = begin(&deadly[4], &job, &input);

	for (size_t i = 0; i < 3 * ARRAY_SIZE(notes); i++) {
		world_kill(world);
		plant(world, notes[i / 3].job, notes[i / 3].shard, notes[i / 3].step);
		world_start(world);
		CHECK_ROW(notes[i / 3].name, store_death_total(world->store) == 0);
	}
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	world_free(world);
}

static void write_note_file(const struct world *world, const void *bytes, size_t size)
{
	auto_free char *path = xasprintf("%s/note", world->folder);
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	CU_ASSERT_EQUAL_FATAL(write(fd, bytes, size), (ssize_t)size);
}

static void a_damaged_note_is_made_anew(void)
{
	auto_free char *input = NULL;
	auto_free char *path = NULL;
	int64_t job;
	struct world *world = begin(&deadly[4], &job, &input);
	uint8_t bytes[64];
	ssize_t size;

	path = xasprintf("%s/note", world->folder);
	world_kill(world);
	plant(world, job, 1, "poll");
	{
		auto_close int fd = open(path, O_RDONLY);

		size = read(fd, bytes, sizeof(bytes));
	}
	CU_ASSERT_EQUAL_FATAL(size, 48);
	/* Every bit of it, flipped; every length of it. */
	for (int bit = 0; bit < 8 * (int)size; bit++) {
		struct note_entry left;

		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		write_note_file(world, bytes, (size_t)size);
		note_close(note_open(world->folder, &left));
		CU_ASSERT_EQUAL(left.job, 0);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	for (size_t length = 0; length < (size_t)size; length++) {
		struct note_entry left;

		write_note_file(world, bytes, length);
		note_close(note_open(world->folder, &left));
		CU_ASSERT_EQUAL(left.job, 0);
	}
	write_note_file(world, "x", 1);
	world_start(world);
	CU_ASSERT_EQUAL(store_death_total(world->store), 0);
	die_in(world, job, &deadly[4], 3);
	check_held(&deadly[4], world, job);
	world_free(world);
}

/* The machine stopped, whatever was under way just then. */
static void a_note_from_another_boot_counts_nothing(void)
{
	auto_free char *input = NULL;
	int64_t job;
	struct world *world = begin(&deadly[4], &job, &input);

	for (int boot = 1; boot < 6; boot++) {
		char id[2] = { (char)('0' + boot), 0 };

		world_kill(world);
		plant(world, job, 1, "poll");
		CU_ASSERT_EQUAL(setenv("BATCHD_BOOT_ID", id, 1), 0);
		world_start(world);
		CU_ASSERT_EQUAL(store_death_total(world->store), 0);
	}
	CU_ASSERT_EQUAL(unsetenv("BATCHD_BOOT_ID"), 0);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	check_judged("other boots", world, job, input);
	world_free(world);
}

static void without_a_note_all_goes_on(void)
{
	auto_free char *input = NULL;
	auto_free char *path = NULL;
	int64_t job;
	struct world *world = begin(&deadly[4], &job, &input);

	path = xasprintf("%s/note", world->folder);
	world_kill(world);
	CU_ASSERT_EQUAL(unlink(path), 0);
	/* Not even root can write to this. */
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	world_start(world);
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	check_judged("no note", world, job, input);
	world_free(world);
}

static bool is_note_empty(const struct world *world)
{
	struct note_entry left;

	note_close(note_open(world->folder, &left));
	return !left.job;
}

static void between_turns_nothing_stands_in_the_note(void)
{
	struct world *world = world_new(&slow, 5);
	auto_free char *input = world_requests(STORY_REQUESTS, "");
	int64_t job = world_submit(world, input);

	for (int turn = 0; turn < 500; turn++) {
		world_turn(world);
		CU_ASSERT(is_note_empty(world));
	}
	CU_ASSERT_EQUAL(world_finish(world, job), JOB_COMPLETED);
	world_free(world);
}

CHECK_MAIN("poison", CHECK(two_deaths_in_a_step_are_forgotten_when_it_gets_on),
	   CHECK(three_deaths_hold_a_step_and_nothing_else),
	   CHECK(a_retry_lets_it_try_again_with_as_much_patience_as_before),
	   CHECK(a_cancel_ends_it_without_the_step), CHECK(a_cancel_that_is_deadly_itself_is_not_repeated),
	   CHECK(a_create_in_doubt_whose_search_is_deadly_ends_in_uncertainty),
	   CHECK(what_other_shards_answered_is_given_out),
	   CHECK(a_step_that_ended_though_it_changed_no_state_has_all_its_patience_again),
	   CHECK(a_failure_between_two_deaths_is_no_progress), CHECK(deaths_of_one_step_do_not_count_for_another),
	   CHECK(a_note_about_nothing_that_is_there_blames_nobody), CHECK(a_damaged_note_is_made_anew),
	   CHECK(a_note_from_another_boot_counts_nothing), CHECK(without_a_note_all_goes_on), CHECK(between_turns_nothing_stands_in_the_note))
