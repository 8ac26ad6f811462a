/* The steps that make shards of an input: validate and cut. Each works in slices. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/model/load.h"
#include "daemon/model/scan.h"
#include "daemon/work/again.h"
#include "daemon/work/cut.h"
#include "daemon/work/digest.h"
#include "daemon/work/intake.h"
#include "daemon/work/limits.h"
#include "daemon/work/order.h"
#include "daemon/work/provider.h"
#include "daemon/work/route.h"
#include "daemon/work/rows.h"
#include "daemon/work/skipped.h"
#include "daemon/work/task.h"

#define FLAWS_IN_JOB 10

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

	job->counts.total = result->requests + result->skipped;
	job->counts.failed = job->counts.invalid = result->skipped;
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

/* The lines that are left out are a shard that has ended. */
static void keep_skipped(struct task *task, const struct intake_result *result)
{
	static char none[] = "";
	const struct shard shard = {
		.number = SKIPPED_SHARD,
		.state = SHARD_COLLECTED,
		.model = none,
		.url = none,
		.requests = result->skipped,
		.tally = { .failed = result->skipped },
	};

	if (!result->skipped)
		return;
	task_add_shard(task, &shard, 0);
	digest_keep(result->digest, task_store(task), task->job.id);
}

static char *validated_words(const struct intake_result *result)
{
	auto_free char *left_out = NULL;

	if (result->skipped)
		left_out = xasprintf("; %" PRId64 " lines are wrong and are left out", result->skipped);
	return xasprintf("%" PRId64 " requests for %zu %s%s", result->requests, result->group_count,
			 result->group_count == 1 ? "model and url" : "pairs of model and url",
			 left_out ? left_out : "");
}

static int keep_intake(struct task *task, const struct intake_result *result, struct error *err)
{
	int r = result->flaws ? keep_flaws(task, result->flaws_json, err) : 0;

	return r || result->refusal ? r : intake_keep(task->work, err);
}

static void on_validated(struct task *task)
{
	const struct intake_result *result = intake_result(task->work);
	auto_free char *words = NULL;
	struct error err = { 0 };
	int r = keep_intake(task, result, &err);

	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	if (!task_update_job(task, note_intake, (void *)result)) {
		/* Cancelled meanwhile: the result counts for nothing. */
		task_finish(task, TASK_DONE, NULL);
		return;
	}
	if (result->refusal) {
		task_finish(task, TASK_HOPELESS, result->refusal);
		return;
	}
	keep_groups(task, result);
	keep_skipped(task, result);
	words = validated_words(result);
	task_finish(task, TASK_DONE, words);
}

static void validate_input(struct task *task)
{
	struct intake *intake = NULL;
	struct error err = { 0 };
	int r = intake_new(task_vault(task), &task->job, store_id_key(task_store(task)), &intake, &err);

	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task->work = intake;
	task->work_free = free_intake;
	task_work(task, slice_intake, on_validated);
}

/* --- validate, of a job that tries another one's requests again: they were found right once --- */

static void free_again(void *work)
{
	again_free(work);
}

static int slice_again(struct task *task, struct error *err)
{
	return again_slice(task->work, err);
}

static void note_again(struct job *job, void *context)
{
	job->counts.total = *(const int64_t *)context;
}

/* What the groups of the old job become in the new one. */
struct heirs {
	struct task *task;
	const struct again_group *groups;
	int64_t count;
};

static void inherit_group(const struct store_group *group, void *context)
{
	const struct heirs *heirs = context;
	struct store_group own = *group;

	own.requests = own.bytes = 0;
	if (group->number < heirs->count) {
		own.requests = heirs->groups[group->number].requests;
		own.bytes = heirs->groups[group->number].bytes;
	}
	store_group_add(task_store(heirs->task), heirs->task->job.id, &own);
}

static void on_chosen(struct task *task)
{
	struct heirs heirs = { .task = task };
	int64_t total = again_count(task->work);
	auto_free char *words = NULL;
	struct error err = { 0 };
	int r = total ? again_keep(task->work, task->job.id, &err) : 0;

	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	if (!task_update_job(task, note_again, &total)) {
		task_finish(task, TASK_DONE, NULL);
		return;
	}
	if (!total) {
		task_finish(task, TASK_HOPELESS, "nothing to try again");
		return;
	}
	heirs.groups = again_groups(task->work, &heirs.count);
	r = store_group_list(task_store(task), task->job.retry_of, inherit_group, &heirs);
	if (r) {
		task_fail(task, r, "the groups of the job that is tried again cannot be read");
		return;
	}
	words = xasprintf("%" PRId64 " requests of job %" PRId64 " are tried again", total,
			  task->job.retry_of);
	task_finish(task, TASK_DONE, words);
}

static void choose_again(struct task *task)
{
	struct again *again = NULL;
	struct error err = { 0 };
	auto_job old = { 0 };
	int r = store_job_get(task_store(task), task->job.retry_of, &old);

	if (r)
		(void)error_set(&err, r, "job %" PRId64 ", which is to be tried again, cannot be read: %s",
				task->job.retry_of, error_name(r));
	else
		r = again_new(task_vault(task), task_store(task), &old, &again, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task->work = again;
	task->work_free = free_again;
	task_work(task, slice_again, on_chosen);
}

void step_validate(struct task *task)
{
	if (task->job.retry_of)
		choose_again(task);
	else
		validate_input(task);
}

/* --- cut --- */

/* A group, and where its requests go. */
struct cut_group {
	char *model;
	char *url;
	const struct provider *provider; /* NULL: the configuration has none that they may go to */
};

struct cutting {
	struct task *task;
	struct cut *cut;
	struct cut_group *groups;
	struct load_limits *limits; /* by group */
	size_t count;
};

static void free_cutting(void *work)
{
	struct cutting *cutting = work;

	cut_free(cutting->cut);
	for (size_t i = 0; i < cutting->count; i++) {
		free(cutting->groups[i].model);
		free(cutting->groups[i].url);
	}
	free(cutting->groups);
	free(cutting->limits);
	free(cutting);
}

static int slice_cut(struct task *task, struct error *err)
{
	const struct cutting *cutting = task->work;

	return cut_slice(cutting->cut, err);
}

static void note_group(const struct store_group *group, void *context)
{
	struct cutting *cutting = context;
	struct task *task = cutting->task;
	size_t count = cutting->count + 1;
	struct cut_group own = { xstrdup(group->model), xstrdup(group->url),
				 route_first(task->pipeline->providers, &task->job, group->model, task_now(task)) };

	cutting->groups = xreallocarray(cutting->groups, count, sizeof(*cutting->groups));
	cutting->limits = xreallocarray(cutting->limits, count, sizeof(*cutting->limits));
	cutting->groups[count - 1] = own;
	limits_of_batch(task_store(task), own.provider, group->model, &cutting->limits[count - 1]);
	cutting->count = count;
}

/*
 * Drawn so that whoever cuts the same job again, which only a restored copy does, draws the same: what the original created then is found
 * by it. The instance's key makes it as good as random for anybody else.
 */
static char *marker_of(struct task *task, const struct cut_shard *cut, const char *model, const char *url)
{
	auto_free char *text = xasprintf("%016" PRIx64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %" PRId64 " %s %s",
					 store_id_key(task_store(task)), task->job.id, task->job.created_at, cut->number,
					 cut->load.requests, cut->load.bytes, model, url);
	struct hash_sha256 *sha256 = hash_sha256_new();
	uint8_t digest[HASH_SHA256_SIZE];
	uint64_t front;
	uint32_t rest;

	hash_sha256_add(sha256, text, strlen(text));
	hash_sha256_finish(sha256, digest);
	hash_sha256_free(sha256);
	memcpy(&front, digest, sizeof(front));
	memcpy(&rest, digest + sizeof(front), sizeof(rest));
	return xasprintf("%016" PRIx64 "%08" PRIx32, front, rest);
}

/* A shard that no batch could hold is not sent: all that is left to do is to say so. */
static void add_shard(struct task *task, const struct cutting *cutting, const struct cut_shard *cut)
{
	const struct cut_group *group = &cutting->groups[cut->group];
	int64_t restored_from = store_restored_from(task_store(task));
	bool is_sent = cut->excess == LOAD_FITS;
	auto_free char *marker = marker_of(task, cut, group->model, group->url);
	auto_free char *refusal = NULL;

	if (!is_sent)
		refusal = load_excess_words(cut->excess, &cutting->limits[cut->group]);
	task_add_shard(task,
		       &(struct shard){ .number = cut->number,
					.state = is_sent ? SHARD_CUT : SHARD_FETCHED,
					.model = group->model,
					.url = group->url,
					.provider = group->provider ? group->provider->config->name : NULL,
					.requests = cut->load.requests,
					.bytes = cut->load.bytes,
					.inputs = cut->load.inputs,
					.tokens = cut->load.tokens,
					.attempt = 1,
					.marker = marker,
					.intended_at = is_sent && task->job.created_at <= restored_from ? restored_from : 0,
					.refusal = refusal,
					.refusal_code = (char *)(uintptr_t)load_excess_code(cut->excess) },
		       0);
}

static char *cut_words(const struct cut_shard *shards, size_t count)
{
	int64_t refused = 0;
	size_t sent = 0;

	for (size_t i = 0; i < count; i++) {
		sent += shards[i].excess == LOAD_FITS;
		refused += shards[i].excess == LOAD_FITS ? 0 : shards[i].load.requests;
	}
	if (!refused)
		return xasprintf("%zu %s", sent, sent == 1 ? "shard" : "shards");
	return xasprintf("%zu %s; %" PRId64 " requests are beyond a batch's limits by themselves and are not sent",
			 sent, sent == 1 ? "shard" : "shards", refused);
}

static void on_cut(struct task *task)
{
	const struct cutting *cutting = task->work;
	auto_free char *words = NULL;
	size_t count;
	const struct cut_shard *shards = cut_shards(cutting->cut, &count);

	if (!task_counts(task)) {
		/* Cancelled meanwhile: a shard that were added now would be sent. */
		task_finish(task, TASK_DONE, NULL);
		return;
	}
	for (size_t i = 0; i < count; i++)
		add_shard(task, cutting, &shards[i]);
	words = cut_words(shards, count);
	task_finish(task, TASK_DONE, words);
}

void step_cut(struct task *task)
{
	int64_t first = 0;
	struct cutting *cutting;
	struct error err = { 0 };
	int r;

	if (order_waits(task))
		return;
	r = task_next_number(task, &first, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	cutting = xcalloc(1, sizeof(*cutting));
	cutting->task = task;
	task->work = cutting;
	task->work_free = free_cutting;
	r = store_group_list(task_store(task), task->job.id, note_group, cutting);
	if (r) {
		task_fail(task, r, "the job's groups cannot be read");
		return;
	}
	/* The one shard that a job may have before it is cut is that of the lines that are left out. */
	r = cut_new(task_vault(task), task->job.id, first, first > SKIPPED_SHARD, cutting->limits, cutting->count,
		    &cutting->cut, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task_work(task, slice_cut, on_cut);
}
