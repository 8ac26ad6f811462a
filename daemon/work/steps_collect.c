/* The step that matches answers to rows, and what becomes of those that go again. */
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
#include "daemon/work/api_parse.h"
#include "daemon/work/api_words.h"
#include "daemon/work/collect.h"
#include "daemon/work/digest.h"
#include "daemon/work/needs.h"
#include "daemon/work/pool.h"
#include "daemon/work/limits.h"
#include "daemon/work/provider.h"
#include "daemon/work/route.h"
#include "daemon/work/rows.h"
#include "daemon/work/split.h"
#include "daemon/work/task.h"

#define DEFAULT_MAX_ATTEMPTS 3
#define DEFAULT_RESEND_LOST 100
#define DEFAULT_RETRY_FIRST_MS 5000
#define DEFAULT_RETRY_LONGEST_MS 900000

static void free_collect(void *work)
{
	collect_free(work);
}

static int slice_collect(struct task *task, struct error *err)
{
	return collect_slice(task->work, err);
}

/* Whether a result file that the provider named could not be had. */
static bool is_lost(struct task *task, const char *remote, const char *suffix)
{
	auto_free char *name = rows_download_name(task->shard.number, suffix);
	auto_vault_reader reader = VAULT_READER_NONE;

	return remote && vault_open_record(task_vault(task), task->job.id, name, &reader, NULL) == -ENOENT;
}

/* How the batch ended. A shard that was refused has no batch, or one that failed; a batch that never ended was forgotten. */
static enum collect_end end_of(struct task *task)
{
	const struct shard *shard = &task->shard;
	enum collect_end end = shard->refusal ? COLLECT_REFUSED : COLLECT_LOST;

	if (is_lost(task, shard->remote_output, "out") || is_lost(task, shard->remote_error, "err"))
		return COLLECT_LOST;
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
	case API_STATUS_FAILED:
		/* Only the queue was full: nothing is wrong with the requests, which would have gone again. */
		if (task->job.state == JOB_CANCELLING && api_says_full(shard->refusal_code, shard->refusal))
			end = COLLECT_CANCELLED;
		else
			end = shard->refusal ? COLLECT_REFUSED : COLLECT_INVALID;
		break;
	case API_STATUS_UNKNOWN:
	case API_STATUS_VALIDATING:
	case API_STATUS_IN_PROGRESS:
	case API_STATUS_FINALIZING:
	case API_STATUS_CANCELLING:
		break;
	}
	return end;
}

static char *collected_words(const struct collect_result *result)
{
	auto_buffer words = { 0 };
	/* Of a batch that was cancelled: those that may have run are among the cancelled ones, and cannot be told apart. */
	int64_t unknown_ends = result->doubtful - result->resent - result->missing - result->lost;
	/* clang-format off */
	const struct { const char *name; int64_t count; } parts[] = {
		{ "failed",               result->failed },
		{ "cancelled",            result->cancelled },
		{ "of them maybe answered", unknown_ends > 0 ? unknown_ends : 0 },
		{ "expired",              result->expired },
		{ "missing",              result->missing },
		{ "lost",                 result->lost },
		{ "to be tried again",    result->again[0].requests + result->again[1].requests },
		{ "moved on",             result->again[2].requests },
		{ "of them maybe paid for twice", result->resent },
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

/* --- a shard that waits for its owner's word --- */

static void hold(struct task *task, const struct collect_result *result)
{
	auto_free char *words = xasprintf(
		"the answers of %" PRId64 " of its %" PRId64 " requests cannot be had, and no more than %" PRId64
		" may be sent again unasked: `batchctl retry %" PRId64 "` sends them again and pays again, "
		"`batchctl retry %" PRId64 " --accept-lost` goes on without them",
		result->doubtful, result->rows, result->most_resent, task->job.id, task->job.id);

	/* A cancel that came while the answers were read has made it due already, which must not be undone. */
	task->wait_ms = task_is_cancelled(task) ? 0 : -1;
	task->shard.word = SHARD_WORD_ASKED;
	if (!task->shard.why || strcmp(task->shard.why, words) != 0)
		task_tell(task, "shard.note", "warning", words);
	task_finish(task, TASK_NOT_YET, words);
}

/* --- a shard that is collected --- */

static void note_collected(struct job *job, void *context)
{
	const struct collect_result *result = context;

	job->counts.ok += result->ok;
	job->counts.failed += result->failed + result->missing + result->lost;
	job->counts.missing += result->missing;
	job->counts.lost += result->lost;
	job->counts.cancelled += result->cancelled;
	job->counts.expired += result->expired;
	job->counts.resent += result->resent;
	job->counts.twice += result->twice;
}

/* Saved with the shard, as the task ends. */
static void note_tally(struct shard *shard, const struct collect_result *result)
{
	shard->tally = (struct shard_tally){
		.ok = result->ok,
		.failed = result->failed + result->missing + result->lost,
		.cancelled = result->cancelled,
		.expired = result->expired,
		.missing = result->missing,
		.lost = result->lost,
		.again = result->again[0].requests + result->again[1].requests + result->again[2].requests,
		.resent = result->resent,
		.twice = result->twice,
		.unknown = result->unknown,
		.unreadable = result->unreadable,
		.input_tokens = result->input_tokens,
		.output_tokens = result->output_tokens,
	};
	if (!result->is_given_up)
		return;
	free(shard->refusal);
	free(shard->refusal_code);
	shard->refusal = xstrdup(COLLECT_GIVEN_UP_WORDS);
	shard->refusal_code = xstrdup(COLLECT_GIVEN_UP_CODE);
}

/* The rows that go again: pools[0] of those that cost no attempt, pools[1] of those that did, pools[2] of those that move on. */
struct again {
	struct pool pools[COLLECT_AGAIN_COUNT];
	struct split_parts parts; /* of those that move on, where one batch of the next provider cannot hold them */
};

static void again_release(struct again *again)
{
	for (size_t i = 0; i < ARRAY_SIZE(again->pools); i++)
		pool_release(&again->pools[i]);
	split_parts_release(&again->parts);
}

/* Where rows go that the provider cannot answer; NULL: nowhere. The same for as long as the configuration is. */
static struct provider *next_provider(const struct task *task)
{
	return route_next(task->pipeline->providers, &task->job, task->shard.model, task->shard.provider);
}

/* Whether all of its rows go again without that any of them cost an attempt. */
static bool is_idle(const struct collect_result *result)
{
	return result->again[0].requests >= result->rows;
}

/* A batch that failed uses up patience; one that expired idle only waited in vain. */
static void count_patience(const struct task *task, const struct collect_result *result, struct shard *fresh)
{
	bool has_failed = api_status_of(task->shard.remote_status) == API_STATUS_FAILED;

	if (has_failed || is_idle(result)) {
		fresh->redone = task->shard.redone + has_failed;
		fresh->waits = task->shard.waits + !has_failed;
	}
}

static struct shard make_fresh(const struct task *task, size_t kind, int64_t number)
{
	const struct collect_result *result = collect_result(task->work);
	const struct load *load = &result->again[kind];
	bool is_moved = kind == 2;

	return (struct shard){
		.number = number,
		.state = SHARD_CUT,
		.model = task->shard.model,
		.url = task->shard.url,
		.provider = is_moved ? next_provider(task)->config->name : task->shard.provider,
		.requests = load->requests,
		.bytes = load->bytes,
		.inputs = load->inputs,
		.tokens = load->tokens,
		.attempt = is_moved ? 1 : task->shard.attempt + (int64_t)kind,
	};
}

/* Whether one batch of its provider can hold it. */
static bool is_one_batch(const struct task *task, const struct shard *fresh)
{
	const struct load load = { fresh->requests, fresh->bytes, fresh->inputs, fresh->tokens };
	const struct load none = { 0 };
	struct load_limits limits;

	provider_limits(providers_find(task->pipeline->providers, fresh->provider), fresh->model, &limits);
	return load_has_room(&limits, &none, &load);
}

static int split_moved(struct again *again, struct task *task, const struct shard *fresh, struct error *err)
{
	struct load_limits limits;

	again->pools[2].fresh = *fresh;
	provider_limits(next_provider(task), fresh->model, &limits);
	return split_fit(task_vault(task), task->job.id, fresh->number, fresh->number, &limits, &limits, &again->parts,
			 err);
}

/* What is written to no table yet: an error leaves nothing behind that counts. */
static int prepare_again(struct again *again, struct task *task, int64_t number, struct error *err)
{
	const struct collect_result *result = collect_result(task->work);

	for (size_t kind = 0; kind < COLLECT_AGAIN_COUNT; kind++) {
		struct shard fresh;
		int r;

		if (!result->again[kind].requests)
			continue;
		fresh = make_fresh(task, kind, number);
		if (!kind)
			count_patience(task, result, &fresh);
		/* Rows that move on were in one batch of this provider. */
		if (kind < 2 || is_one_batch(task, &fresh))
			r = pool_join(&again->pools[kind], task, &fresh, err);
		else
			r = split_moved(again, task, &fresh, err);
		if (r)
			return r;
		number++;
	}
	return 0;
}

static void add_parts(const struct again *again, struct task *task)
{
	struct shard fresh = again->pools[2].fresh;

	for (size_t i = 0; i < again->parts.count; i++, fresh.number++) {
		const struct load *load = &again->parts.loads[i];

		fresh.requests = load->requests;
		fresh.bytes = load->bytes;
		fresh.inputs = load->inputs;
		fresh.tokens = load->tokens;
		task_add_shard(task, &fresh, 0);
	}
}

static void tell_moved(struct task *task, int64_t count)
{
	auto_free char *words = NULL;

	if (!count)
		return;
	words = xasprintf("%" PRId64 " requests moved on to %s: %s has no more to try for them", count,
			  next_provider(task)->config->name, task->shard.provider);
	task_tell(task, "shard.note", "info", words);
}

static void add_again(struct again *again, struct task *task)
{
	const struct config_provider *config = task->provider ? task->provider->config : NULL;
	/* A provider that ends batches as soon as they are made must not be asked in a circle. */
	int64_t tries = 1 + again->pools[0].fresh.redone + again->pools[0].fresh.waits;
	int64_t wait_ms = backoff_retry_ms(config ? config->retry_first : DEFAULT_RETRY_FIRST_MS,
					   config ? config->retry_longest : DEFAULT_RETRY_LONGEST_MS, (uint32_t)tries,
					   loop_random(task_loop(task)));

	for (size_t kind = 0; kind < COLLECT_AGAIN_COUNT; kind++)
		if (kind == 2 && again->parts.count)
			add_parts(again, task);
		else if (again->pools[kind].fresh.requests)
			pool_add(&again->pools[kind], task, kind ? 0 : wait_ms);
}

/* Keeps the outcomes and the rows that go again. */
static int keep(struct again *again, struct task *task, struct error *err)
{
	int64_t number = 0;
	int r = task_next_number(task, &number, err);

	if (!r)
		r = collect_keep(task->work, number, err);
	if (!r)
		r = prepare_again(again, task, number, err);
	if (!r && !task_update_job(task, note_collected, (void *)collect_result(task->work)))
		r = error_set(err, -EUCLEAN, "the job cannot be read");
	return r;
}

static void on_collected(struct task *task)
{
	__attribute__((cleanup(again_release))) struct again again = { 0 };
	const struct collect_result *result = collect_result(task->work);
	auto_free char *words = NULL;
	struct error err = { 0 };
	int r;

	if (result->is_held) {
		hold(task, result);
		return;
	}
	r = keep(&again, task, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	digest_keep(collect_digest(task->work), task_store(task), task->job.id);
	tell_moved(task, result->again[2].requests);
	add_again(&again, task);
	note_tally(&task->shard, result);
	limits_note_usage(task_store(task), &task->shard, task_now(task));
	if (task->shard.tally.ok)
		limits_note_accepted(task_store(task), task->shard.provider, task->shard.model,
				     task->shard.batch_created_at);
	words = collected_words(result);
	task_finish(task, TASK_DONE, words);
}

/* A file that was fetched and is gone is damage here: its answers are not the provider's loss, and asking again would pay again. */
static int check_download(struct task *task, char source, struct error *err)
{
	auto_free char *name = rows_download_name(task->shard.number, source == 'o' ? "out" : "err");
	auto_vault_reader reader = VAULT_READER_NONE;

	if (!needs_download(&task->shard, source) ||
	    vault_open_record(task_vault(task), task->job.id, name, &reader, NULL) != -ENOENT)
		return 0;
	return error_set(err, -EUCLEAN, "%s of job %" PRId64 " is missing", name, task->job.id);
}

void step_collect(struct task *task)
{
	const struct config_provider *config = task->provider ? task->provider->config : NULL;
	struct collect_plan plan = {
		.id_key = store_id_key(task_store(task)),
		.end = end_of(task),
		.is_job_cancelled = task->job.state == JOB_CANCELLING,
		.is_job_expired = task->job.is_expiring,
		.max_attempts = task->job.max_attempts,
		.resend_lost = config ? config->resend_lost : DEFAULT_RESEND_LOST,
	};
	struct collect *collect = NULL;
	struct provider *next = next_provider(task);
	struct error err = { 0 };
	int r;

	plan.has_next = next != NULL;
	provider_limits(next, task->shard.model, &plan.next_limits);
	if (!plan.max_attempts)
		plan.max_attempts = config ? config->max_attempts : DEFAULT_MAX_ATTEMPTS;
	provider_limits(task->provider, task->shard.model, &plan.limits);
	r = check_download(task, 'o', &err) ?: check_download(task, 'e', &err);
	if (!r)
		r = collect_new(task_vault(task), &task->job, &task->shard, &plan, &collect, &err);
	if (r) {
		task_fail(task, r, err.text);
		return;
	}
	task->work = collect;
	task->work_free = free_collect;
	task_work(task, slice_collect, on_collected);
}
