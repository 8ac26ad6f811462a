/*
 * What a job costs between the front door and the provider: one that is made here goes through
 * validation, cut, collection and merge as the daemon runs them, slice by slice, without a socket.
 * Answers lie in another order than the requests, as they come from providers. Usage: bench_work
 * [-n REQUESTS] [-l BYTES_OF_A_REQUEST] [-a BYTES_OF_AN_ANSWER] [-s REQUESTS_OF_A_SHARD] [-c]
 * FOLDER
 *
 * With -c each phase begins cold: the page cache is told to forget the folder's files. Prints a
 * line for each phase: its name, bytes, seconds, MB/s, the longest slice in ms (so long is the
 * loop held up); and last a bare copy of the answers, flushed, as a floor.
 */
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <getopt.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/work/collect.h"
#include "daemon/work/cut.h"
#include "daemon/work/intake.h"
#include "daemon/work/merge.h"
#include "daemon/work/outcomes.h"
#include "daemon/work/rows.h"
#include "tests/bench/bench_client.h"

#define JOB	     1
#define MERGE_BUFFER (256 * 1024)

struct bench {
	const char *folder;
	struct spool *spool;
	struct store *store;
	struct vault *vault;
	struct job job;
	int64_t requests, request_bytes, answer_bytes, shard_requests;
	bool is_cold;
	struct outcomes_shard *shards;
	size_t shard_count;
	int64_t input_size, answers_size;
	struct error err;
};

/* A phase under way. */
struct watch {
	const char *name;
	double begin, slice, longest;
};

static void require(struct bench *bench, int64_t result)
{
	if (result >= 0)
		return;
	(void)fprintf(stderr, "bench_work: %s (%s)\n", bench->err.text, strerror((int)-result));
	exit(EXIT_FAILURE);
}

static int forget_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	auto_close int fd = type == FTW_F ? open(path, O_RDONLY | O_CLOEXEC) : -1;

	(void)status;
	(void)place;
	if (fd >= 0) {
		(void)fsync(fd);
		(void)posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
	}
	return 0;
}

static void begin(struct watch *watch, struct bench *bench, const char *name)
{
	if (bench->is_cold)
		(void)nftw(bench->folder, forget_one, 8, FTW_PHYS);
	*watch = (struct watch){ .name = name };
	watch->begin = watch->slice = bench_now();
}

static void note_slice(struct watch *watch)
{
	double now = bench_now();

	if (now - watch->slice > watch->longest)
		watch->longest = now - watch->slice;
	watch->slice = now;
}

static void end(const struct watch *watch, int64_t bytes)
{
	double seconds = bench_now() - watch->begin;

	(void)printf("%s %" PRId64 " %.3f %.1f %.2f\n", watch->name, bytes, seconds, (double)bytes / seconds / 1e6,
		     watch->longest * 1e3);
	(void)fflush(stdout);
}

static void pad(struct buffer *line, int64_t size)
{
	static const char words[] = "The tide rises because the moon pulls at the sea. ";

	while ((int64_t)line->size < size)
		buffer_add(line, words, sizeof(words) - 1);
}

static void make_input(struct bench *bench)
{
	struct vault_writer *writer = vault_writer_new(bench->vault, VAULT_FILE_LIMIT);
	struct store_file file = { .purpose = (char *)(uintptr_t) "batch", .bytes = 1 };
	auto_buffer line = { 0 };

	bench->job.input_file = store_file_add(bench->store, &file);
	for (int64_t i = 0; i < bench->requests; i++) {
		buffer_clear(&line);
		buffer_add_format(&line,
				  "{\"custom_id\":\"request-%08" PRId64 "\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
				  "\"body\":{\"model\":\"gpt-4o-mini\",\"messages\":[{\"role\":\"user\",\"content\":\"",
				  i);
		pad(&line, bench->request_bytes - 6);
		buffer_add_text(&line, "\"}]}}\n");
		require(bench, vault_write(writer, line.data, line.size, &bench->err));
		bench->input_size += (int64_t)line.size;
	}
	require(bench, vault_keep_file(writer, bench->job.input_file, &bench->err));
	require(bench, store_commit(bench->store, &bench->err));
}

static void validate(struct bench *bench)
{
	struct intake *intake;
	struct watch watch;
	int r;

	begin(&watch, bench, "validate");
	require(bench, intake_new(bench->vault, &bench->job, store_id_key(bench->store), &intake, &bench->err));
	while ((r = intake_slice(intake, &bench->err)) > 0)
		note_slice(&watch);
	require(bench, r);
	require(bench, intake_keep(intake, &bench->err));
	note_slice(&watch);
	end(&watch, bench->input_size);
	intake_free(intake);
}

static void cut(struct bench *bench)
{
	const struct load_limits limits = {
		.max_requests = bench->shard_requests,
		.max_bytes = INT64_MAX,
		.max_inputs = INT64_MAX,
		.max_tokens = INT64_MAX,
		.bytes_per_token = 4,
	};
	struct watch watch;
	struct cut *cut;
	int r;

	begin(&watch, bench, "cut");
	require(bench, cut_new(bench->vault, JOB, 1, false, &limits, 1, &cut, &bench->err));
	while ((r = cut_slice(cut, &bench->err)) > 0)
		note_slice(&watch);
	require(bench, r);
	note_slice(&watch);
	(void)cut_shards(cut, &bench->shard_count);
	end(&watch, bench->input_size);
	cut_free(cut);
}

/* The answers of a shard, each request once, by steps that share no divisor with their number. */
static void make_answers(struct bench *bench, int64_t first, int64_t count, int64_t shard)
{
	struct vault_writer *writer = vault_writer_new(bench->vault, VAULT_RECORD_LIMIT);
	auto_free char *name = rows_download_name(shard, "out");
	auto_buffer line = { 0 };
	int64_t step = 7919;

	while (count % step == 0)
		step += 2;
	for (int64_t i = 0, at = 0; i < count; i++, at = (at + step) % count) {
		buffer_clear(&line);
		buffer_add_format(&line,
				  "{\"id\":\"r\",\"custom_id\":\"request-%08" PRId64 "\",\"response\":{\"status_code\":200,"
				  "\"request_id\":\"q\",\"body\":{\"choices\":[{\"index\":0,\"message\":{\"role\":"
				  "\"assistant\",\"content\":\"",
				  first + at);
		pad(&line, bench->answer_bytes - 85);
		buffer_add_text(&line, "\"}}],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":7,\"total_tokens\":16}}},"
				       "\"error\":null}\n");
		require(bench, vault_write(writer, line.data, line.size, &bench->err));
		bench->answers_size += (int64_t)line.size;
	}
	require(bench, vault_keep_record(writer, JOB, name, &bench->err));
	require(bench, store_commit(bench->store, &bench->err));
}

static void collect_shard(struct bench *bench, int64_t number, struct watch *watch)
{
	const struct shard shard = { .job = JOB, .number = number, .attempt = 1 };
	const struct collect_plan plan = {
		.id_key = store_id_key(bench->store),
		.end = COLLECT_COMPLETED,
		.max_attempts = 3,
		.limits = { .bytes_per_token = 4 },
	};
	struct collect *collect;
	int r;

	require(bench, collect_new(bench->vault, &bench->job, &shard, &plan, &collect, &bench->err));
	while ((r = collect_slice(collect, &bench->err)) > 0)
		note_slice(watch);
	require(bench, r);
	require(bench, collect_keep(collect, (int64_t)bench->shard_count + 1, &bench->err));
	note_slice(watch);
	if (collect_result(collect)->ok != collect_result(collect)->rows)
		(void)fputs("bench_work: not every request has its answer\n", stderr);
	collect_free(collect);
}

static void collect_all(struct bench *bench)
{
	struct watch watch;

	bench->shards = xcalloc(bench->shard_count, sizeof(*bench->shards));
	for (size_t i = 0; i < bench->shard_count; i++) {
		int64_t first = (int64_t)i * bench->shard_requests;
		int64_t left = bench->requests - first;

		bench->shards[i].number = (int64_t)i + 1;
		make_answers(bench, first, left < bench->shard_requests ? left : bench->shard_requests, (int64_t)i + 1);
	}
	begin(&watch, bench, "collect");
	for (size_t i = 0; i < bench->shard_count; i++)
		collect_shard(bench, (int64_t)i + 1, &watch);
	end(&watch, bench->answers_size);
}

static void merge_pass(struct bench *bench, enum merge_selection selection, struct watch *watch)
{
	const struct outcomes_shards shards = { .list = bench->shards, .count = bench->shard_count };
	const struct merge_plan plan = { .selection = selection, .rest = OUTCOMES_MISSING };
	struct vault_writer *writer = vault_writer_new(bench->vault, VAULT_FILE_LIMIT);
	struct store_file file = { .purpose = (char *)(uintptr_t) "batch_output", .bytes = 1 };
	auto_free char *bytes = xmalloc(MERGE_BUFFER);
	struct merge *merge;
	int64_t got;

	require(bench, merge_new(bench->vault, &bench->job, &shards, &plan, &merge, &bench->err));
	while ((got = merge_read(merge, bytes, MERGE_BUFFER, &bench->err)) >= 0) {
		require(bench, vault_write(writer, bytes, (size_t)got, &bench->err));
		note_slice(watch);
	}
	require(bench, got == MERGE_END ? 0 : got);
	merge_free(merge);
	if (selection == MERGE_OK && vault_writer_size(writer) != bench->answers_size)
		(void)fputs("bench_work: the results are not as long as the answers\n", stderr);
	require(bench, vault_keep_file(writer, store_file_add(bench->store, &file), &bench->err));
	note_slice(watch);
}

static void merge_all(struct bench *bench)
{
	struct watch watch;

	begin(&watch, bench, "merge");
	merge_pass(bench, MERGE_OK, &watch);
	merge_pass(bench, MERGE_ERRORS, &watch);
	require(bench, store_commit(bench->store, &bench->err));
	end(&watch, bench->answers_size);
}

/* The same bytes, read and written and flushed by nobody who looks at them. */
static void copy(struct bench *bench)
{
	auto_free char *path = xasprintf("%s/copy", bench->folder);
	auto_free char *bytes = xmalloc(MERGE_BUFFER);
	auto_close int out = -1;
	struct watch watch;
	int64_t copied = 0;

	begin(&watch, bench, "copy");
	out = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	for (size_t i = 0; i < bench->shard_count; i++) {
		auto_free char *name = rows_download_name((int64_t)i + 1, "out");
		auto_vault_reader reader = VAULT_READER_NONE;
		int64_t at = 0, got;

		require(bench, vault_open_record(bench->vault, JOB, name, &reader, &bench->err));
		while ((got = vault_read(&reader, at, bytes, MERGE_BUFFER)) > 0) {
			if (write(out, bytes, (size_t)got) != got)
				bench_fail(path);
			at += got;
			note_slice(&watch);
		}
		copied += at;
	}
	if (fsync(out) < 0)
		bench_fail(path);
	note_slice(&watch);
	end(&watch, copied);
}

static void read_options(struct bench *bench, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "n:l:a:s:c")) != -1) {
		if (option == 'n')
			bench->requests = strtoll(optarg, NULL, 10);
		else if (option == 'l')
			bench->request_bytes = strtoll(optarg, NULL, 10);
		else if (option == 'a')
			bench->answer_bytes = strtoll(optarg, NULL, 10);
		else if (option == 's')
			bench->shard_requests = strtoll(optarg, NULL, 10);
		else if (option == 'c')
			bench->is_cold = true;
		else
			exit(2);
	}
	if (optind + 1 != argc || bench->requests < 1 || bench->shard_requests < 1) {
		(void)fputs("usage: bench_work [-n N] [-l BYTES] [-a BYTES] [-s N] [-c] FOLDER\n", stderr);
		exit(2);
	}
	bench->folder = argv[optind];
}

int main(int argc, char **argv)
{
	struct bench bench = {
		.job = { .id = JOB },
		.requests = 50000,
		.request_bytes = 1000,
		.answer_bytes = 4000,
		.shard_requests = 50000,
	};
	auto_free char *path = NULL;

	read_options(&bench, argc, argv);
	path = xasprintf("%s/batchd.db", bench.folder);
	require(&bench, spool_open(bench.folder, &bench.spool, &bench.err));
	require(&bench, store_open(path, 1, &bench.store, &bench.err));
	bench.vault = vault_new(bench.store, bench.spool);
	make_input(&bench);
	validate(&bench);
	cut(&bench);
	collect_all(&bench);
	merge_all(&bench);
	copy(&bench);
	vault_free(bench.vault);
	store_close(bench.store);
	spool_close(bench.spool);
	free(bench.shards);
	return EXIT_SUCCESS;
}
