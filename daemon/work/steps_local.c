/* The steps that need no provider: validate, cut, collect and merge. Each works in slices. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/backoff.h"
#include "daemon/model/scan.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/collect.h"
#include "daemon/work/cut.h"
#include "daemon/work/intake.h"
#include "daemon/work/merge.h"
#include "daemon/work/provider.h"
#include "daemon/work/rows.h"
#include "daemon/work/task.h"

/* What one batch may hold where the provider's section does not say it: the official limits. */
#define DEFAULT_MAX_REQUESTS 50000
#define DEFAULT_MAX_BYTES 200000000
#define DEFAULT_MAX_ATTEMPTS 3
#define DEFAULT_RETRY_FIRST_MS 5000
#define DEFAULT_RETRY_LONGEST_MS 900000
#define MAX_INPUTS 50000
#define FLAWS_IN_JOB 10
#define MERGE_BUFFER (256 * 1024)

/* Saves what the step learned of the job in the job as it is now: a cancel may have come in between. */
static bool update_job(struct task *task, void (*update)(struct job *job, void *context), void *context)
{
	struct job job;

	if (store_job_get(task_store(task), task->job.id, &job))
		return false;
	if (job.state != task->job.state && !task->shard.id) {
		job_release(&job);
		return false;
	}
	update(&job, context);
	store_job_save(task_store(task), &job);
	job_release(&job);
	return true;
}

/* --- validate --- */

static void free_intake(void *work)
{
	intake_free(work);
}

static int slice_intake(struct task *task, struct error *err)
{
	return intake_slice(task->work, err);
}

/* The first few of an array of flaws: what a list of jobs shows. */
static char *first_flaws(const char *json)
{
	struct scan scan;
	struct scan_span span = { 0 };

	scan_init(&scan, json, strlen(json));
	if (scan_enter_array(&scan))
		return xstrdup("[]");
	for (int i = 0; i < FLAWS_IN_JOB && scan_next_element(&scan) == 1; i++)
		if (scan_value(&scan, NULL, &span))
			break;
	return span.size ? xasprintf("%.*s]", (int)(span.at + span.size), json) : xstrdup("[]");
}

/* All that were kept of them, in a record of their own: many are too long for every look at the job. */
static int keep_flaws(struct task *task, const char *json, struct error *err)
{
	struct vault_writer *writer = vault_writer_new(task_vault(task), VAULT_RECORD_LIMIT);
	int r = vault_write(writer, json, strlen(json), err);

	if (r) {
		vault_writer_free(writer);
		return r;
	}
	return vault_keep_record(writer, task->job.id, ROWS_ERRORS_NAME, err);
}

static void note_intake(struct job *job, void *context)
{
	const struct intake_result *result = context;

	job->counts.total = result->requests;
	job->errors_total = result->flaws;
	free(job->errors);
	job->errors = result->flaws ? first_flaws(result->flaws_json) : NULL;
}

static void keep_groups(struct task *task, const struct intake_result *result)
{
	for (size_t i = 0; i < result->group_count; i++) {
		const struct intake_group *group = &result->groups[i];
		const struct store_group row = {
			.number = (int64_t)i,
			.model = group->model,
			.url = group->url,
			.requests = group->requests,
			.bytes = group->bytes,
		};

		store_group_add(task_store(task), task->job.id, &row);
	}
}

static void on_validated(struct task *task)
{
	const struct intake_result *result = intake_result(task->work);
	auto_free char *words = NULL;
	struct error err = { 0 };
	int r;

	r = result->flaws ? keep_flaws(task, result->flaws_json, &err) : intake_keep(task->work, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	if (!update_job(task, note_intake, (void *)result)) {
		/* Cancelled meanwhile: the result counts for nothing. */
		task_finish(task, TASK_DONE, NULL);
		return;
	}
	if (result->flaws) {
		words = xasprintf("%" PRId64 " of the lines are wrong; nothing was sent", result->flaws);
		task_finish(task, TASK_HOPELESS, words);
		return;
	}
	keep_groups(task, result);
	words = xasprintf("%" PRId64 " requests for %zu %s", result->requests, result->group_count,
			  result->group_count == 1 ? "model and url" : "pairs of model and url");
	task_finish(task, TASK_DONE, words);
}

void step_validate(struct task *task)
{
	int64_t max_bytes = task->provider ? task->provider->config->max_bytes : DEFAULT_MAX_BYTES;
	struct intake *intake = NULL;
	struct error err = { 0 };
	int r = intake_new(task_vault(task), &task->job, store_id_key(task_store(task)), max_bytes, &intake,
			   &err);

	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task->work = intake;
	task->work_free = free_intake;
	task_work(task, slice_intake, on_validated);
}

/* --- cut --- */

static void free_cut(void *work)
{
	cut_free(work);
}

static int slice_cut(struct task *task, struct error *err)
{
	return cut_slice(task->work, err);
}

struct group_names {
	char **models;
	char **urls;
	size_t count;
};

static void note_group(const struct store_group *group, void *context)
{
	struct group_names *names = context;

	names->models = xreallocarray(names->models, names->count + 1, sizeof(*names->models));
	names->urls = xreallocarray(names->urls, names->count + 1, sizeof(*names->urls));
	names->models[names->count] = xstrdup(group->model);
	names->urls[names->count] = xstrdup(group->url);
	names->count++;
}

static void names_release(struct group_names *names)
{
	for (size_t i = 0; i < names->count; i++) {
		free(names->models[i]);
		free(names->urls[i]);
	}
	free(names->models);
	free(names->urls);
}

static void on_cut(struct task *task)
{
	__attribute__((cleanup(names_release))) struct group_names names = { 0 };
	auto_free char *words = NULL;
	size_t count;
	const struct cut_shard *shards = cut_shards(task->work, &count);
	int r;

	if (!task_counts(task)) {
		/* Cancelled meanwhile: a shard that were added now would be sent. */
		task_finish(task, TASK_DONE, NULL);
		return;
	}
	r = store_group_list(task_store(task), task->job.id, note_group, &names);
	if (r) {
		task_fail(task, r, "the job's groups cannot be read");
		return;
	}
	for (size_t i = 0; i < count; i++) {
		if (shards[i].group >= names.count) {
			task_fail(task, -EUCLEAN, "a row names a group that the store does not know");
			return;
		}
		task_add_shard(task,
			       &(struct shard){ .number = shards[i].number,
						.state = SHARD_CUT,
						.model = names.models[shards[i].group],
						.url = names.urls[shards[i].group],
						.requests = shards[i].requests,
						.bytes = shards[i].bytes,
						.attempt = 1 },
			       0);
	}
	words = xasprintf("%zu %s", count, count == 1 ? "shard" : "shards");
	task_finish(task, TASK_DONE, words);
}

void step_cut(struct task *task)
{
	const struct config_provider *config = task->provider ? task->provider->config : NULL;
	const struct cut_limits limits = {
		.max_requests = config ? config->max_requests : DEFAULT_MAX_REQUESTS,
		.max_bytes = config ? config->max_bytes : DEFAULT_MAX_BYTES,
		.max_inputs = MAX_INPUTS,
	};
	struct error err = { 0 };
	struct cut *cut = NULL;
	int r = cut_new(task_vault(task), task->job.id, 1, &limits, &cut, &err);

	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task->work = cut;
	task->work_free = free_cut;
	task_work(task, slice_cut, on_cut);
}

/* --- collect --- */

static void free_collect(void *work)
{
	collect_free(work);
}

static int slice_collect(struct task *task, struct error *err)
{
	return collect_slice(task->work, err);
}

static enum collect_end end_of(const struct shard *shard)
{
	enum collect_end end = COLLECT_REFUSED;

	/* A shard that was refused has no batch, or one that failed. */
	switch (api_status_of(shard->remote_status)) {
	case API_STATUS_COMPLETED:
		end = COLLECT_COMPLETED;
		break;
	case API_STATUS_EXPIRED:
		end = COLLECT_EXPIRED;
		break;
	case API_STATUS_CANCELLED:
		end = COLLECT_CANCELLED;
		break;
	case API_STATUS_UNKNOWN:
	case API_STATUS_VALIDATING:
	case API_STATUS_IN_PROGRESS:
	case API_STATUS_FINALIZING:
	case API_STATUS_CANCELLING:
	case API_STATUS_FAILED:
		break;
	}
	return end;
}

static void note_collected(struct job *job, void *context)
{
	const struct collect_result *result = context;

	job->counts.ok += result->ok;
	job->counts.failed += result->failed + result->missing;
	job->counts.missing += result->missing;
	job->counts.cancelled += result->cancelled;
	job->counts.expired += result->expired;
}

/* The shards of the rows that go again: [0] those that cost no attempt, [1] those that did. */
static void add_again(struct task *task, const struct collect_result *result, int64_t number)
{
	const struct config_provider *config = task->provider ? task->provider->config : NULL;
	bool is_idle = result->again[0] >= task->shard.requests;
	int64_t redone = (is_idle ? task->shard.redone : 0) + 1;
	/* A provider that ends batches as soon as they are made must not be asked in a circle. */
	int64_t wait_ms = backoff_retry_ms(config ? config->retry_first : DEFAULT_RETRY_FIRST_MS,
					   config ? config->retry_longest : DEFAULT_RETRY_LONGEST_MS,
					   (uint32_t)redone, loop_random(task_loop(task)));

	for (int cost = 0; cost < 2; cost++) {
		if (!result->again[cost])
			continue;
		task_add_shard(task,
			       &(struct shard){ .number = number++,
						.state = SHARD_CUT,
						.model = task->shard.model,
						.url = task->shard.url,
						.requests = result->again[cost],
						.bytes = result->again_bytes[cost],
						.attempt = task->shard.attempt + cost,
						.redone = cost ? 0 : redone },
			       cost ? 0 : wait_ms);
	}
}

static char *collected_words(const struct collect_result *result)
{
	auto_buffer words = { 0 };
	/* clang-format off */
	const struct { const char *name; int64_t count; } parts[] = {
		{ "failed",               result->failed },
		{ "cancelled",            result->cancelled },
		{ "expired",              result->expired },
		{ "missing",              result->missing },
		{ "to be tried again",    result->again[0] + result->again[1] },
		{ "answered twice",       result->twice },
		{ "answers to nobody",    result->unknown },
		{ "lines unreadable",     result->unreadable },
	};
	/* clang-format on */

	buffer_add_format(&words, "%" PRId64 " ok", result->ok);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++)
		if (parts[i].count)
			buffer_add_format(&words, ", %" PRId64 " %s", parts[i].count, parts[i].name);
	return xstrdup(buffer_text(&words));
}

static void on_collected(struct task *task)
{
	const struct collect_result *result = collect_result(task->work);
	auto_free char *words = collected_words(result);
	int64_t number = task_next_number(task);
	struct error err = { 0 };
	int r = collect_keep(task->work, number, &err);

	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	if (!update_job(task, note_collected, (void *)result)) {
		task_fail(task, -EUCLEAN, "the job cannot be read");
		return;
	}
	add_again(task, result, number);
	task_finish(task, TASK_DONE, words);
}

/* Whether a result file that the provider named could not be had. */
static bool is_lost(struct task *task, const char *remote, const char *suffix)
{
	auto_free char *name = rows_download_name(task->shard.number, suffix);
	auto_vault_reader reader = VAULT_READER_NONE;

	return remote && vault_open_record(task_vault(task), task->job.id, name, &reader, NULL) == -ENOENT;
}

void step_collect(struct task *task)
{
	bool is_any_lost = is_lost(task, task->shard.remote_output, "out") ||
			   is_lost(task, task->shard.remote_error, "err");
	const struct collect_plan plan = {
		.id_key = store_id_key(task_store(task)),
		/* A row without an answer may have been answered, and paid for, in what is lost: it is missing then, not "never ran". */
		.end = is_any_lost ? COLLECT_COMPLETED : end_of(&task->shard),
		.is_job_cancelled = task->job.state == JOB_CANCELLING,
		.max_attempts = task->provider ? task->provider->config->max_attempts : DEFAULT_MAX_ATTEMPTS,
	};
	struct collect *collect = NULL;
	struct error err = { 0 };
	int r = collect_new(task_vault(task), &task->job, &task->shard, &plan, &collect, &err);

	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task->work = collect;
	task->work_free = free_collect;
	task_work(task, slice_collect, on_collected);
}

/* --- merge: two passes, one for each result file --- */

struct merging {
	struct merge_shard *shards;
	size_t shard_count;
	struct merge *merge;
	enum merge_selection selection; /* of the pass under way */
	struct vault_writer *writer;
	struct vault_writer *written[2]; /* successes, errors */
	struct job_counts counts;
	char *buffer;
};

static void free_merging(void *work)
{
	struct merging *merging = work;

	for (size_t i = 0; i < merging->shard_count; i++)
		free((char *)merging->shards[i].why);
	free(merging->shards);
	merge_free(merging->merge);
	vault_writer_free(merging->writer);
	vault_writer_free(merging->written[0]);
	vault_writer_free(merging->written[1]);
	free(merging->buffer);
	free(merging);
}

static void note_shard(const struct shard *shard, void *context)
{
	struct merging *merging = context;

	if (shard->state != SHARD_COLLECTED)
		return;
	merging->shards = xreallocarray(merging->shards, merging->shard_count + 1, sizeof(*merging->shards));
	merging->shards[merging->shard_count++] =
		(struct merge_shard){ .number = shard->number, .why = xstrdup(shard->refusal) };
}

static int begin_pass(struct task *task, enum merge_selection selection, struct error *err)
{
	struct merging *merging = task->work;

	merging->selection = selection;
	merging->writer = vault_writer_new(task_vault(task), VAULT_FILE_LIMIT);
	return merge_new(task_vault(task), &task->job, merging->shards, merging->shard_count, selection,
			 task->job.state == JOB_CANCELLING, false, &merging->merge, err);
}

static int end_pass(struct task *task, struct error *err)
{
	struct merging *merging = task->work;

	merging->counts = *merge_counts(merging->merge);
	merge_free(take(merging->merge));
	if (merging->selection == MERGE_OK) {
		merging->written[0] = take(merging->writer);
		return begin_pass(task, MERGE_ERRORS, err) ?: 1;
	}
	merging->written[1] = take(merging->writer);
	return 0;
}

static int slice_merge(struct task *task, struct error *err)
{
	struct merging *merging = task->work;
	int64_t got = merge_read(merging->merge, merging->buffer, MERGE_BUFFER, err);
	int r;

	if (got == MERGE_END)
		return end_pass(task, err);
	if (got < 0)
		return (int)got;
	r = vault_write(merging->writer, merging->buffer, (size_t)got, err);
	return r ? r : 1;
}

/* Keeps a result file; an empty one is none. Returns its number, 0 for none, or a negative errno. */
static int64_t keep_results(struct task *task, struct vault_writer *writer, const char *suffix,
			    struct error *err)
{
	auto_free char *name = xasprintf("batch_%" PRId64 "_%s.jsonl", task->job.id, suffix);
	struct store_file file = {
		.uid = task->job.uid,
		.purpose = (char *)"batch_output",
		.name = name,
		.bytes = vault_writer_size(writer),
		.created_at = task_now(task),
	};
	int64_t id;
	int r;

	if (!file.bytes) {
		vault_writer_free(writer);
		return 0;
	}
	if (task->job.output_expires_s)
		file.expires_at = file.created_at + task->job.output_expires_s * 1000;
	id = store_file_add(task_store(task), &file);
	if (!id) {
		vault_writer_free(writer);
		return error_set(err, -ENOSPC, "the store cannot be written");
	}
	r = vault_keep_file(writer, id, err);
	if (!r)
		return id;
	store_file_remove(task_store(task), id);
	return r;
}

struct merged {
	int64_t output_file, error_file;
	const struct job_counts *counts;
};

static void note_merged(struct job *job, void *context)
{
	const struct merged *merged = context;

	job->output_file = merged->output_file;
	job->error_file = merged->error_file;
	job->counts = *merged->counts;
}

static char *merged_words(const struct job_counts *counts)
{
	return xasprintf("%" PRId64 " requests: %" PRId64 " ok, %" PRId64 " failed, %" PRId64
			 " cancelled, %" PRId64 " expired",
			 counts->total, counts->ok, counts->failed, counts->cancelled, counts->expired);
}

static void on_merged(struct task *task)
{
	struct merging *merging = task->work;
	auto_free char *words = merged_words(&merging->counts);
	struct merged merged = { .counts = &merging->counts };
	struct error err = { 0 };

	if (!task_counts(task)) {
		/* Cancelled meanwhile: it is merged again, and these results would belong to nobody. */
		task_finish(task, TASK_DONE, NULL);
		return;
	}
	/* G3: nothing is called done that does not add up. */
	if (merging->counts.ok + merging->counts.failed + merging->counts.cancelled +
		    merging->counts.expired != task->job.counts.total) {
		task_fail(task, -EUCLEAN, "the outcomes do not add up to the number of requests");
		return;
	}
	merged.output_file = keep_results(task, take(merging->written[0]), "output", &err);
	if (merged.output_file >= 0)
		merged.error_file = keep_results(task, take(merging->written[1]), "error", &err);
	if (merged.output_file < 0 || merged.error_file < 0) {
		task_fail(task, (int)(merged.output_file < 0 ? merged.output_file : merged.error_file), err.text);
		return;
	}
	(void)update_job(task, note_merged, &merged);
	task_finish(task, TASK_DONE, words);
}

void step_merge(struct task *task)
{
	struct merging *merging = xcalloc(1, sizeof(*merging));
	struct error err = { 0 };
	int r;

	merging->buffer = xmalloc(MERGE_BUFFER);
	task->work = merging;
	task->work_free = free_merging;
	r = store_shard_list(task_store(task), task->job.id, 0, INT32_MAX, note_shard, merging);
	if (!r)
		r = begin_pass(task, MERGE_OK, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task_work(task, slice_merge, on_merged);
}
