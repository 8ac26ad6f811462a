/* The step that writes a job's results: two passes, one for each result file. */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/log.h"
#include "daemon/io/store.h"
#include "daemon/io/vault.h"
#include "daemon/work/merge.h"
#include "daemon/work/outcomes.h"
#include "daemon/work/task.h"

#define MERGE_BUFFER (256 * 1024)

struct merging {
	struct outcomes_shards shards;
	struct merge *merge;
	enum merge_selection selection; /* of the pass under way */
	struct vault_writer *writer;
	struct vault_writer *written[2]; /* successes, errors */
	struct job_counts counts;
	struct error problem; /* damage that was not passed over, of a job that shall end */
	char *buffer;
};

static void free_merging(void *work)
{
	struct merging *merging = work;

	merge_free(merging->merge);
	outcomes_shards_release(&merging->shards);
	vault_writer_free(merging->writer);
	vault_writer_free(merging->written[0]);
	vault_writer_free(merging->written[1]);
	free(merging->buffer);
	free(merging);
}

static void begin_pass(struct task *task, enum merge_selection selection)
{
	struct merging *merging = task->work;

	merging->selection = selection;
	merging->writer = vault_writer_new(task_vault(task), VAULT_FILE_LIMIT);
}

static int end_pass(struct task *task)
{
	struct merging *merging = task->work;

	merging->counts = *merge_counts(merging->merge);
	if (merging->selection == MERGE_OK) {
		merging->written[0] = take(merging->writer);
		merge_rewind(merging->merge, MERGE_ERRORS);
		begin_pass(task, MERGE_ERRORS);
		return 1;
	}
	merging->written[1] = take(merging->writer);
	return 0;
}

static int slice_merge(struct task *task, struct error *err)
{
	struct merging *merging = task->work;
	int64_t got = merge_read(merging->merge, merging->buffer, MERGE_BUFFER, &merging->problem);
	int r;

	if (got == MERGE_END)
		return end_pass(task);
	/* A job whose end is wanted ends with what there is. */
	if (got < 0 && damage_is((int)got) && task->job.state == JOB_CANCELLING)
		return 0;
	if (got < 0)
		return error_set(err, (int)got, "%s", merging->problem.text);
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
		.digest = vault_writer_digest(writer),
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
	struct job_counts counts = *merged->counts;

	/* These two are of answers, not of rows: they were counted as the shards were collected. */
	counts.resent = job->counts.resent;
	counts.twice = job->counts.twice;
	job->counts = counts;
	job->output_file = merged->output_file;
	job->error_file = merged->error_file;
}

static void note_unmerged(struct job *job, void *context)
{
	const struct merged *merged = context;

	job->output_file = merged->output_file;
}

/* One sentence; of the failed, why they failed without a word of the provider. */
static char *merged_words(const struct job_counts *counts)
{
	auto_buffer words = { 0 };
	/* clang-format off */
	const struct { const char *name; int64_t count; } parts[] = {
		{ "missing",                  counts->missing },
		{ "lost",                     counts->lost },
		{ "lines that were wrong",    counts->invalid },
	};
	/* clang-format on */
	const char *before = " (";

	buffer_add_format(&words, "%" PRId64 " requests: %" PRId64 " ok, %" PRId64 " failed", counts->total,
			  counts->ok, counts->failed);
	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		if (!parts[i].count)
			continue;
		buffer_add_format(&words, "%s%" PRId64 " %s", before, parts[i].count, parts[i].name);
		before = ", ";
	}
	buffer_add_format(&words, "%s, %" PRId64 " cancelled, %" PRId64 " expired", *before == ',' ? ")" : "",
			  counts->cancelled, counts->expired);
	return xstrdup(buffer_text(&words));
}

static void tell_damage(struct task *task)
{
	const struct damage *damage = merge_damage(((struct merging *)task->work)->merge);
	auto_free char *words = NULL;

	if (!damage->count)
		return;
	words = xasprintf("what is damaged was left out, %" PRId64 " times; the first: %s", damage->count,
			  damage->first.text);
	log_error("a job's files are damaged, what cannot be had of it is left out", log_number("JOB", task->job.id),
		  log_number("COUNT", damage->count));
	task_tell(task, "job.note", "error", words);
}

/* The damage is such that not every request can be told of; the successes are there, if they could be written. */
static void on_unmerged(struct task *task)
{
	struct merging *merging = task->work;
	struct merged merged = { .counts = NULL };
	struct error err = { 0 };

	if (merging->written[0])
		merged.output_file = keep_results(task, take(merging->written[0]), "output", &err);
	if (merged.output_file < 0) {
		task_fail(task, (int)merged.output_file, err.text);
		return;
	}
	(void)task_update_job(task, note_unmerged, &merged);
	task_give_up(task, merging->problem.text);
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
	if (merging->problem.code) {
		on_unmerged(task);
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
	(void)task_update_job(task, note_merged, &merged);
	tell_damage(task);
	task_finish(task, TASK_DONE, words);
}

void step_merge(struct task *task)
{
	struct merging *merging = xcalloc(1, sizeof(*merging));
	bool is_cancelled = task->job.state == JOB_CANCELLING;
	const struct merge_plan plan = {
		.selection = MERGE_OK,
		.form = MERGE_LINES,
		.rest = !is_cancelled	      ? OUTCOMES_MISSING :
			task->job.is_expiring ? OUTCOMES_EXPIRED :
						OUTCOMES_CANCELLED,
	};
	struct error err = { 0 };
	int r;

	merging->buffer = xmalloc(MERGE_BUFFER);
	task->work = merging;
	task->work_free = free_merging;
	r = outcomes_shards_load(&merging->shards, task_store(task), task->job.id);
	if (!r)
		r = merge_new(task_vault(task), &task->job, &merging->shards, &plan, &merging->merge, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	if (is_cancelled)
		merge_salvage(merging->merge);
	begin_pass(task, MERGE_OK);
	task_work(task, slice_merge, on_merged);
}
