/*
 * Bytes that change on the disk, one bit at a time: whatever of a job's files it is, nothing wrong is sent and nothing
 * wrong is handed out; the job is held with a sentence, goes on when the byte is right again, and ends when it is
 * cancelled, with what can be had.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/buffer.h"
#include "daemon/io/loop.h"
#include "daemon/io/store_sql.h"
#include "daemon/io/vault.h"
#include "daemon/work/merge.h"
#include "daemon/work/pipeline.h"
#include "daemon/work/scheduler.h"
#include "tests/unit/world_scene.h"

#define DAY_MS	  (24 * HOUR_MS)
#define JOB	  1
#define INPUT	  "input"
#define ROUNDS	  12 /* places in each file */
#define MAX_FLIPS 3

/* How large a job is: whether its files are files, or live in the store. */
static const struct size {
	const char *name;
	size_t requests;
	size_t padding; /* bytes of each request */
	int64_t a_shard;
} sizes[] = {
	{ "small", 6, 0, 4 },
	{ "big", 2500, 20, 2200 },
};

/* When it happens: as soon as a job has come so far. */
enum when { WHEN_VALID, WHEN_CUT, WHEN_FETCHED, WHEN_COLLECTED };

/* clang-format off */
static const struct place {
	const char *name; /* of the record, or INPUT */
	enum when when;
	const char *word; /* of the sentence; NULL: it may be that nothing needs the byte any more */
} places[] = {
	{ "rows",         WHEN_VALID,     "rows"         },
	{ INPUT,          WHEN_CUT,       "the input"    },
	{ "rows",         WHEN_CUT,       "rows"         },
	{ "shard-1.rows", WHEN_CUT,       "shard-1.rows" },
	{ INPUT,          WHEN_FETCHED,   NULL           },
	{ "rows",         WHEN_FETCHED,   NULL           },
	{ "shard-1.rows", WHEN_FETCHED,   NULL           },
	{ "rows",         WHEN_COLLECTED, NULL           },
	{ INPUT,          WHEN_COLLECTED, NULL           },
	{ "shard-1.rows", WHEN_COLLECTED, NULL           },
	{ "shard-1.done", WHEN_COLLECTED, NULL           },
	{ "shard-1.out",  WHEN_COLLECTED, NULL           },
	{ "shard-1.err",  WHEN_COLLECTED, NULL           },
	{ "shard-2.out",  WHEN_COLLECTED, NULL           },
};
/* clang-format on */

static struct sim_config model = { .validate_ms = 2000, .run_ms = 20000, .finalize_ms = 2000, .cancel_ms = 5000 };

static char *make_input(const struct size *size)
{
	auto_free char *more = size->padding ? xasprintf(",\"user\":\"%0*d\"", (int)size->padding, 7) : xstrdup("");

	return world_requests(size->requests, more);
}

static struct world *begin(const struct size *size, uint64_t seed, const char *input)
{
	struct world *world;

	model.answers = (struct answer_rules){ .fail_permille = 300, .fail_status = 400 };
	world = world_new(&model, seed);
	world->provider.max_requests = size->a_shard;
	know_list(world);
	CU_ASSERT_EQUAL_FATAL(world_submit(world, input), JOB);
	return world;
}

static bool has_come(struct world *world, void *context)
{
	enum when when = *(const enum when *)context;
	auto_job job = world_job(world, JOB);
	auto_shard first = world_shard(world, JOB, 1);
	int64_t open = 1;

	switch (when) {
	case WHEN_VALID:
		return job.state == JOB_VALID;
	case WHEN_CUT:
		return first.id && first.state == SHARD_CUT;
	case WHEN_FETCHED:
		return first.state == SHARD_FETCHED;
	case WHEN_COLLECTED:
		(void)store_shard_count(world->store, JOB, NULL, &open);
		return job.state == JOB_RUNNING && !open;
	}
	return false;
}

/* --- the bytes of a file, wherever they live --- */

static int64_t input_file(struct world *world)
{
	auto_job job = world_job(world, JOB);

	return job.input_file;
}

static char *path_of(struct world *world, const char *name)
{
	if (strcmp(name, INPUT) == 0)
		return xasprintf("%s/files/%" PRId64, world->folder, input_file(world));
	return xasprintf("%s/jobs/%d/%s", world->folder, JOB, name);
}

static char *read_bytes(struct world *world, const char *name, size_t *ret_size)
{
	bool is_input = strcmp(name, INPUT) == 0;
	auto_vault_reader reader = VAULT_READER_NONE;
	int r = is_input ? vault_open_file(world->vault, input_file(world), &reader, NULL) :
			   vault_open_record(world->vault, JOB, name, &reader, NULL);
	char *bytes;

	CU_ASSERT_EQUAL_FATAL(r, 0);
	bytes = xmalloc((size_t)reader.size + 1);
	CU_ASSERT_EQUAL(vault_read(&reader, 0, bytes, (size_t)reader.size), reader.size);
	*ret_size = (size_t)reader.size;
	return bytes;
}

static void write_blob(struct world *world, const char *name, const char *bytes, size_t size)
{
	static const char update[] = "UPDATE file_bytes SET bytes = ?2 WHERE file = ?1";
	sqlite3_stmt *statement = NULL;

	if (strcmp(name, INPUT) != 0) {
		store_record_put(world->store, JOB, name, bytes, size);
	} else {
		CU_ASSERT_EQUAL_FATAL(sqlite3_prepare_v2(world->store->db, update, -1, &statement, NULL), SQLITE_OK);
		(void)sqlite3_bind_int64(statement, 1, input_file(world));
		(void)sqlite3_bind_blob(statement, 2, bytes, (int)size, SQLITE_STATIC);
		CU_ASSERT_EQUAL(sqlite3_step(statement), SQLITE_DONE);
		(void)sqlite3_finalize(statement);
	}
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
}

static void write_bytes(struct world *world, const char *name, const char *bytes, size_t size)
{
	auto_free char *path = path_of(world, name);
	auto_close int fd = open(path, O_WRONLY | O_TRUNC | O_CLOEXEC);
	ssize_t written = fd < 0 ? 0 : write(fd, bytes, size);

	CU_ASSERT(fd < 0 || written == (ssize_t)size);
	if (fd < 0)
		write_blob(world, name, bytes, size);
}

static void remove_bytes(struct world *world, const char *name)
{
	auto_free char *path = path_of(world, name);

	if (unlink(path) == 0)
		return;
	store_record_remove(world->store, JOB, name);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
}

/* --- what is right --- */

/* What an undisturbed job of a size has in its results. */
struct right {
	char *input;
	char *output, *errors;
	int64_t requests; /* at the provider */
};

static struct right rights[ARRAY_SIZE(sizes)];

static const struct right *right_of(size_t which)
{
	struct right *right = &rights[which];
	auto_job end = { 0 };
	struct world *world;

	if (right->input)
		return right;
	right->input = make_input(&sizes[which]);
	world = begin(&sizes[which], 3, right->input);
	CU_ASSERT_EQUAL(world_finish(world, JOB), JOB_COMPLETED);
	check_judged(sizes[which].name, world, JOB, right->input);
	end = world_job(world, JOB);
	CU_ASSERT(end.counts.ok > 0 && end.counts.failed > 0);
	right->output = world_file(world, end.output_file);
	right->errors = world_file(world, end.error_file);
	right->requests = world_ledger(world).requests;
	world_free(world);
	return right;
}

/* Whether each line of a text is one of all, which has its lines in the same order; those made here begin so. */
static bool is_part_of(const char *text, const char *all, const char *made)
{
	while (*text) {
		size_t size = strcspn(text, "\n") + 1;

		if (!made || strncmp(text, made, strlen(made)) != 0) {
			while (*all && (strcspn(all, "\n") + 1 != size || strncmp(all, text, size) != 0))
				all += strcspn(all, "\n") + (strchr(all, '\n') != NULL);
			if (!*all)
				return false;
		}
		text += size;
	}
	return true;
}

/* Every line that was made here for a request is about one that was asked. */
static bool are_ids_known(const char *text, size_t requests)
{
	for (; *text; text += strcspn(text, "\n") + 1) {
		const char *id = strstr(text, "\"custom_id\":\"r-");
		long number = id ? strtol(id + 15, NULL, 10) : 0;

		if (number < 1 || number > (long)requests)
			return false;
	}
	return true;
}

/* --- what is to hold --- */

#define MADE "{\"id\":null,"

static void check_results(const char *row, struct world *world, const struct right *right, size_t requests)
{
	auto_job job = world_job(world, JOB);
	auto_free char *output = world_file(world, job.output_file);
	auto_free char *errors = world_file(world, job.error_file);
	const struct job_counts *counts = &job.counts;

	CHECK_ROW(row, is_part_of(output, right->output, NULL));
	CHECK_ROW(row, is_part_of(errors, right->errors, MADE));
	CHECK_ROW(row, are_ids_known(errors, requests));
	CHECK_ROW(row, !job_is_ended(job.state) ||
			       counts->ok + counts->failed + counts->cancelled + counts->expired == counts->total);
	CHECK_ROW(row, counts->total == (int64_t)requests || !counts->total);
	CHECK_ROW(row, world_ledger(world).requests <= right->requests);
}

static bool is_settled(struct world *world, void *context)
{
	auto_job job = world_job(world, JOB);
	int64_t held = 0;

	(void)context;
	(void)store_shard_held(world->store, JOB, &held, NULL);
	return job_is_ended(job.state) || held > 0 || (job.why && !job.due_at);
}

static void let_go(struct world *world)
{
	CU_ASSERT(pipeline_speak(world->pipeline, JOB, SHARD_WORD_RESEND) > 0);
	CU_ASSERT_EQUAL(store_commit(world->store, NULL), 0);
	scheduler_kick(world->scheduler);
}

/* Held, with a sentence. */
static void check_told(const char *row, struct world *world, const struct place *place)
{
	auto_free char *note = world_event(world, JOB, "job.note", "");
	bool says_so = note && (!place->word || strstr(note, place->word) || strstr(note, "No such file"));

	if (!says_so)
		(void)fprintf(stderr, "# %s\n", note);
	CHECK_ROW(row, says_so);
}

/* The bytes as they were, and a word that lets it try again. */
static void mend(struct world *world, const char *name, const char *bytes, size_t size)
{
	auto_free char *path = path_of(world, name);

	/* What is gone comes back as what it was, a file. */
	if (size > VAULT_FILE_LIMIT)
		(void)close(open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
	write_bytes(world, name, bytes, size);
	let_go(world);
}

static bool has_ended(struct world *world)
{
	auto_job job = world_job(world, JOB);

	return job_is_ended(job.state);
}

/* One story: damage, what is told, and one of two ends. */
static void tell(size_t size, const struct place *place, const char *row, void (*damage)(struct world *, const char *),
		 uint64_t seed)
{
	const struct right *right = right_of(size);
	struct world *world = begin(&sizes[size], 3, right->input);
	enum when when = place->when;
	auto_job end = { 0 };
	auto_free char *bytes = NULL;
	size_t length;

	CHECK_ROW(row, world_run(world, DAY_MS, has_come, &when));
	bytes = read_bytes(world, place->name, &length);
	loop_seed(world->loop, seed);
	damage(world, place->name);
	CHECK_ROW(row, world_run(world, 3 * DAY_MS, is_settled, NULL));
	if (!has_ended(world)) {
		check_told(row, world, place);
		check_results(row, world, right, sizes[size].requests);
		if (seed % 2)
			(void)world_cancel(world, JOB);
		else
			mend(world, place->name, bytes, length);
	}
	(void)world_finish(world, JOB);
	end = world_job(world, JOB);
	CHECK_ROW(row, job_is_ended(end.state));
	CHECK_ROW(row, seed % 2 || end.state == JOB_COMPLETED);
	check_results(row, world, right, sizes[size].requests);
	if (end.state == JOB_COMPLETED)
		check_judged(row, world, JOB, right->input);
	world_free(world);
}

/* --- the damage --- */

static void flip_bits(struct world *world, const char *name)
{
	size_t size;
	auto_free char *bytes = read_bytes(world, name, &size);
	int flips = 1 + (int)(loop_random(world->loop) % MAX_FLIPS);

	while (flips--)
		bytes[loop_random(world->loop) % size] ^= (char)(1u << loop_random(world->loop) % 8);
	write_bytes(world, name, bytes, size);
}

static void cut_short(struct world *world, const char *name)
{
	size_t size;
	auto_free char *bytes = read_bytes(world, name, &size);

	write_bytes(world, name, bytes, loop_random(world->loop) % size);
}

/* One letter of a text is another letter: still JSON, still a request or an answer, and a wrong one. */
static void misspell(struct world *world, const char *name)
{
	size_t size;
	auto_free char *bytes = read_bytes(world, name, &size);
	size_t at = loop_random(world->loop) % size;

	for (size_t i = 0; i < size && (bytes[at] < '1' || bytes[at] > '8'); i++)
		at = (at + 1) % size;
	bytes[at]++;
	write_bytes(world, name, bytes, size);
}

static void tell_of_all(const char *what, void (*damage)(struct world *, const char *), int rounds)
{
	for (size_t size = 0; size < ARRAY_SIZE(sizes); size++)
		for (size_t i = 0; i < ARRAY_SIZE(places); i++)
			for (int round = 0; round < (size ? rounds / 6 + 1 : rounds); round++) {
				auto_free char *row = xasprintf("%s, %s at %d, %s %d", sizes[size].name, places[i].name,
								(int)places[i].when, what, round);

				tell(size, &places[i], row, damage, (uint64_t)round + i);
			}
}

static void flipped_bits_are_never_sent_nor_handed_out(void)
{
	tell_of_all("flipped", flip_bits, ROUNDS);
}

static void what_is_cut_short_is_never_sent_nor_handed_out(void)
{
	tell_of_all("cut short", cut_short, 4);
}

static void what_is_gone_holds_the_job_until_it_is_there_again_or_not_wanted(void)
{
	tell_of_all("gone", remove_bytes, 2);
}

static void what_reads_like_a_request_or_an_answer_and_is_another_is_found(void)
{
	static const struct place texts[] = {
		{ INPUT, WHEN_CUT, "the input" },
		{ "shard-1.out", WHEN_COLLECTED, "shard-1.out" },
		{ "shard-1.err", WHEN_COLLECTED, "shard-1.err" },
	};

	for (size_t size = 0; size < ARRAY_SIZE(sizes); size++)
		for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
			for (uint64_t round = 0; round < (size ? 2 : 30); round++) {
				auto_free char *row = xasprintf("%s, %s, misspelt %" PRIu64, sizes[size].name, texts[i].name, round);

				tell(size, &texts[i], row, misspell, 200 + round);
			}
}

/* How many lines of a text are about the first requests, up to one. */
static int64_t count_lines(const char *text, long most)
{
	int64_t count = 0;

	for (; *text; text += strcspn(text, "\n") + 1)
		count += strtol(strstr(text, "\"custom_id\":\"r-") + 15, NULL, 10) <= most;
	return count;
}

static void what_can_be_had_of_a_cancelled_job_is_given_out(void)
{
	const long first = (long)sizes[0].a_shard; /* so many are in the first shard of two */
	const int64_t all = (int64_t)sizes[0].requests;
	const int64_t first_ok = count_lines(right_of(0)->output, first);
	const int64_t ok = count_lines(right_of(0)->output, all);
	/* clang-format off */
	const struct {
		const char *name;
		void (*damage)(struct world *, const char *);
		int64_t ok, lost, cancelled;
	} rows[] = {
		{ "shard-1.out",  misspell,     ok - 1,        1,        0     },
		{ "shard-1.out",  remove_bytes, ok - first_ok, first_ok, 0     },
		{ "shard-1.err",  misspell,     ok,            1,        0     },
		{ "shard-1.done", remove_bytes, ok - first_ok, first,    0     },
		{ "shard-1.rows", remove_bytes, ok - first_ok, 0,        first },
	};
	/* clang-format on */

	CU_ASSERT(ok > first_ok && first_ok > 1);
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct world *world = begin(&sizes[0], 3, right_of(0)->input);
		enum when when = WHEN_COLLECTED;
		auto_job end = { 0 };

		CHECK_ROW(rows[i].name, world_run(world, DAY_MS, has_come, &when));
		rows[i].damage(world, rows[i].name);
		CHECK_ROW(rows[i].name, world_cancel(world, JOB) == 0);
		CHECK_ROW(rows[i].name, world_finish(world, JOB) == JOB_CANCELLED);
		end = world_job(world, JOB);
		CHECK_ROW(rows[i].name, end.counts.ok == rows[i].ok);
		CHECK_ROW(rows[i].name, end.counts.lost == rows[i].lost);
		CHECK_ROW(rows[i].name, end.counts.cancelled == rows[i].cancelled);
		check_event(rows[i].name, world, JOB, "job.note", "what is damaged was left out");
		check_results(rows[i].name, world, right_of(0), sizes[0].requests);
		/* Every request has its line, and the counts are those of the files. */
		check_judged(rows[i].name, world, JOB, right_of(0)->input);
		world_free(world);
	}
}

/* Without the input nobody can say whose the requests without an answer are; the successes are there all the same. */
static void where_not_all_can_be_told_the_successes_are_given_out_and_the_job_fails(void)
{
	struct world *world = begin(&sizes[0], 3, right_of(0)->input);
	enum when when = WHEN_COLLECTED;
	auto_free char *output = NULL;
	auto_job end = { 0 };

	CU_ASSERT(world_run(world, DAY_MS, has_come, &when));
	remove_bytes(world, "shard-1.rows");
	CU_ASSERT_EQUAL(sqlite3_exec(world->store->db, "DELETE FROM file_bytes WHERE file = 1", NULL, NULL, NULL), SQLITE_OK);
	CU_ASSERT_EQUAL(world_cancel(world, JOB), 0);
	CU_ASSERT_EQUAL(world_finish(world, JOB), JOB_FAILED);
	end = world_job(world, JOB);
	output = world_file(world, end.output_file);
	CU_ASSERT(*output != 0);
	CU_ASSERT_EQUAL(count_lines(output, (long)sizes[0].a_shard), 0);
	CU_ASSERT(is_part_of(output, right_of(0)->output, NULL));
	CU_ASSERT(end.errors && strstr(end.errors, "given_up"));
	world_free(world);
}

/* A job that is cancelled before anything was sent has lines made here, with ids out of the input; NULL: it failed. */
static char *cancelled_lines(size_t size, uint64_t seed, bool is_damaged, const char *row)
{
	struct world *world = begin(&sizes[size], 3, right_of(size)->input);
	enum when when = WHEN_CUT;
	auto_job end = { 0 };
	char *errors = NULL;

	CU_ASSERT(world_run(world, DAY_MS, has_come, &when));
	loop_seed(world->loop, seed);
	if (is_damaged)
		misspell(world, INPUT);
	CU_ASSERT_EQUAL(world_cancel(world, JOB), 0);
	(void)world_finish(world, JOB);
	end = world_job(world, JOB);
	CHECK_ROW(row, end.counts.cancelled == (int64_t)sizes[size].requests);
	if (end.state == JOB_FAILED)
		CHECK_ROW(row, end.errors && strstr(end.errors, "the input is damaged"));
	else
		errors = world_file(world, end.error_file);
	world_free(world);
	return errors;
}

static void an_id_that_is_read_from_the_input_is_right_or_not_told(void)
{
	for (size_t size = 0; size < ARRAY_SIZE(sizes); size++) {
		auto_free char *wanted = cancelled_lines(size, 1, false, "as it was");

		CU_ASSERT(wanted && *wanted);
		for (uint64_t seed = 0; seed < (size ? 2 : 30); seed++) {
			auto_free char *row = xasprintf("%s, %" PRIu64, sizes[size].name, seed);
			auto_free char *got = cancelled_lines(size, seed, true, row);

			CHECK_ROW(row, !got || strcmp(got, wanted) == 0);
		}
	}
}

/* --- what is read of a job that has ended --- */

/* What merge gives until it ends, or fails. */
static int read_results(struct world *world, enum merge_form form, size_t room, struct buffer *ret_text)
{
	const struct merge_plan plan = { .selection = MERGE_ALL, .form = form, .rest = OUTCOMES_MISSING };
	auto_outcomes_shards shards = { 0 };
	auto_free char *bytes = xmalloc(room);
	auto_job job = world_job(world, JOB);
	struct merge *merge = NULL;
	int64_t got = outcomes_shards_load(&shards, world->store, JOB);

	if (!got)
		got = merge_new(world->vault, &job, &shards, &plan, &merge, NULL);
	while (got >= 0) {
		got = merge_read(merge, bytes, room, NULL);
		if (got > 0)
			buffer_add(ret_text, bytes, (size_t)got);
	}
	merge_free(merge);
	return got == MERGE_END ? 0 : (int)got;
}

static void read_damaged(struct world *world, const char *name, enum merge_form form, uint64_t seed)
{
	/* Less than a line, in the second: it is read in pieces. */
	static const size_t rooms[] = { 65536, 4096, 70 };
	size_t room = rooms[seed % ARRAY_SIZE(rooms)];
	auto_free char *row = xasprintf("%s, form %d, %" PRIu64, name, (int)form, seed);
	auto_buffer whole = { 0 };
	auto_buffer got = { 0 };
	auto_free char *bytes = NULL;
	size_t size;
	int r;

	CHECK_ROW(row, read_results(world, form, room, &whole) == 0);
	bytes = read_bytes(world, name, &size);
	loop_seed(world->loop, seed);
	/* Records have few digits, and none that is read. */
	if (seed % 2 && !strstr(name, "rows") && !strstr(name, "done"))
		misspell(world, name);
	else
		flip_bits(world, name);
	r = read_results(world, form, room, &got);
	CHECK_ROW(row, r == 0 || r == -EUCLEAN);
	CHECK_ROW(row, got.size <= whole.size && (!got.size || memcmp(got.data, whole.data, got.size) == 0));
	CHECK_ROW(row, r || got.size == whole.size);
	write_bytes(world, name, bytes, size);
}

static void results_that_are_read_later_are_right_or_end_early(void)
{
	static const char *const names[] = { "rows", "shard-1.rows", "shard-1.done", "shard-1.out", "shard-1.err", INPUT };

	for (size_t size = 0; size < ARRAY_SIZE(sizes); size++) {
		struct world *world = begin(&sizes[size], 3, right_of(size)->input);

		CU_ASSERT_EQUAL(world_finish(world, JOB), JOB_COMPLETED);
		for (size_t i = 0; i < ARRAY_SIZE(names); i++)
			for (uint64_t seed = 0; seed < (size ? 12 : 60); seed++)
				read_damaged(world, names[i], seed % 4 < 2 ? MERGE_LINES : MERGE_COMBINED, seed);
		world_free(world);
	}
}

static void lets_go_of_what_is_right(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(rights); i++) {
		free(rights[i].input);
		free(rights[i].output);
		free(rights[i].errors);
	}
}

CHECK_MAIN("flips", CHECK(flipped_bits_are_never_sent_nor_handed_out),
	   CHECK(what_is_cut_short_is_never_sent_nor_handed_out),
	   CHECK(what_is_gone_holds_the_job_until_it_is_there_again_or_not_wanted),
	   CHECK(what_reads_like_a_request_or_an_answer_and_is_another_is_found),
	   CHECK(what_can_be_had_of_a_cancelled_job_is_given_out),
	   CHECK(where_not_all_can_be_told_the_successes_are_given_out_and_the_job_fails),
	   CHECK(an_id_that_is_read_from_the_input_is_right_or_not_told),
	   CHECK(results_that_are_read_later_are_right_or_end_early), CHECK(lets_go_of_what_is_right))
