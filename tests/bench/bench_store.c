/*
 * A store that has seen much: so many jobs that have ended, and evenly among them jobs whose one batch is under way at a
 * provider called "sim". Usage: bench_store [-f FINISHED] [-r RUNNING] FOLDER. Writes FOLDER/batchd.db through the store's own verbs.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store.h"

#define PER_COMMIT 2000
#define HOUR_MS INT64_C(3600000)

static const char input[] = "{\"custom_id\":\"r-1\",\"method\":\"POST\",\"url\":\"/v1/chat/completions\","
			    "\"body\":{\"model\":\"m\",\"messages\":[]}}\n";

static void require(int code, const struct error *err)
{
	if (!code)
		return;
	(void)fprintf(stderr, "bench_store: %s\n", err->text);
	exit(EXIT_FAILURE);
}

static char *text(const char *constant)
{
	return (char *)(uintptr_t)constant;
}

static void add_shard(struct store *store, int64_t job, int64_t number, bool is_running, int64_t now)
{
	auto_free char *marker = xasprintf("%024" PRIx64, number);
	auto_free char *batch_id = xasprintf("batch_%032" PRIx64, number);
	auto_free char *file_id = xasprintf("file-%022" PRIx64, number);
	struct shard shard = {
		.job = job,
		.number = 1,
		.state = is_running ? SHARD_CREATED : SHARD_COLLECTED,
		.model = text("m"),
		.url = text("/v1/chat/completions"),
		.requests = 1,
		.bytes = (int64_t)strlen(input),
		.attempt = 1,
		.marker = marker,
		.provider_file = file_id,
		.intended_at = now - HOUR_MS,
		.batch_id = batch_id,
		.remote_status = text(is_running ? "in_progress" : "completed"),
		.uploaded_at = now - HOUR_MS,
		.batch_created_at = now - HOUR_MS,
		.changed_at = now - HOUR_MS,
		.admitted_at = now - HOUR_MS,
		.due_at = is_running ? now + 2 * HOUR_MS + number % 60000 : 0,
		.provider = text("sim"),
		.tally = { .ok = !is_running },
	};

	(void)store_shard_add(store, &shard);
}

static void add_events(struct store *store, int64_t job, bool is_running, int64_t now)
{
	static const char *const types[] = { "job.accepted", "job.valid", "job.cut", "shard.uploaded", "shard.created",
					     "shard.ended", "shard.fetched", "shard.collected", "job.completed" };
	size_t count = is_running ? 5 : ARRAY_SIZE(types);

	for (size_t i = 0; i < count; i++) {
		const struct store_event event = {
			.job = job,
			.at = now - HOUR_MS,
			.type = types[i],
			.level = "info",
			.message = "",
			.is_last = i + 1 == ARRAY_SIZE(types),
		};

		(void)store_event_add(store, &event);
	}
}

static void add_job(struct store *store, int64_t number, bool is_running, int64_t now)
{
	const struct store_file file = {
		.uid = 1000 + number % 10,
		.purpose = text("batch"),
		.bytes = (int64_t)strlen(input),
		.created_at = now - HOUR_MS,
	};
	const struct store_group group = {
		.model = "m",
		.url = "/v1/chat/completions",
		.requests = 1,
		.bytes = file.bytes,
	};
	struct job job = {
		.state = is_running ? JOB_RUNNING : JOB_COMPLETED,
		.uid = file.uid,
		.input_file = store_file_add(store, &file),
		.endpoint = text("/v1/chat/completions"),
		.window = text("24h"),
		.provider = text("sim"),
		.priority = 50,
		.counts = { .total = 1, .ok = !is_running },
		.created_at = now - HOUR_MS,
		.in_progress_at = now - HOUR_MS,
		.completed_at = is_running ? 0 : now,
	};

	store_file_put(store, job.input_file, input, strlen(input));
	job.id = store_job_add(store, &job);
	store_group_add(store, job.id, &group);
	add_shard(store, job.id, number, is_running, now);
	add_events(store, job.id, is_running, now);
}

int main(int argc, char **argv)
{
	int64_t finished = 100000, running = 10000, now = (int64_t)time(NULL) * 1000, all, begun = 0;
	auto_free char *path = NULL;
	struct error err = { 0 };
	struct store *store;
	int option;

	while ((option = getopt(argc, argv, "f:r:")) != -1) {
		if (option == 'f')
			finished = strtoll(optarg, NULL, 10);
		else if (option == 'r')
			running = strtoll(optarg, NULL, 10);
		else
			return 2;
	}
	all = finished + running;
	if (optind + 1 != argc || finished < 0 || running < 0) {
		(void)fprintf(stderr, "usage: bench_store [-f FINISHED] [-r RUNNING] FOLDER\n");
		return 2;
	}
	path = xasprintf("%s/batchd.db", argv[optind]);
	require(store_open(path, 1, &store, &err), &err);
	for (int64_t i = 1; i <= all; i++) {
		bool is_running = i * running / all > begun;

		begun += is_running;
		add_job(store, i, is_running, now);
		if (i % PER_COMMIT == 0 || i == all)
			require(store_commit(store, &err), &err);
	}
	store_close(store);
	return EXIT_SUCCESS;
}
