/*
 * What a reading of the provider's list means for a create in doubt:
 *
 *	the marker, and nothing that contradicts it	it is ours: adopted (of several the one that got furthest, then the oldest; the others are
 *						cancelled and told)
 *	our file, metadata not echoed, no other shard owns it, not older than the intent	the same
 *	only one of the two, and it may have done work		uncertain
 *	nothing, in a complete listing		seen twice, `settle` apart, by a list that has shown a batch before, and has never failed
 *						to show a live one of ours (or that trust_list vouches for): it was not created
 *	nothing, and the listing may not be complete, or is not trusted		uncertain
 *
 * A list that leaves out a live batch of ours which is older than `settle` proves nothing any more; one that leaves out a younger one
 * lags, and is read again. After a create that followed such a proof, or a person's word, the list is read twice more for a twin that appears
 * later: when it has had time to, and when the batch has ended.
 *
 * Uncertain waits for a person. Nothing is ever guessed, because a wrong guess is paid twice.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/work/api.h"
#include "daemon/work/lookup.h"
#include "daemon/work/provider.h"
#include "daemon/work/remote.h"
#include "daemon/work/task.h"

#define MAX_LIVE 100000
/* A list that cannot be read must not keep a batch from being polled, nor a cancelled job from its end: it is asked for so often. */
#define FAILED_TRIES 5
/* absent_at of a shard whose twins were looked for once; the last look is when its batch has ended. */
#define LOOKED_ONCE (-1)

static void go_uncertain(struct task *task, const char *why)
{
	auto_free char *words = xasprintf("%s; say whether it has a batch with the marker %s: batchctl resolve %" PRId64
					  " --shard %" PRId64 " --batch ID, or --none",
					  why, task->shard.marker, task->job.id, task->shard.number);

	task_go(task, SHARD_UNCERTAIN, words);
}

static void adopt(struct task *task, const struct lookup_match *match)
{
	struct shard *shard = &task->shard;
	auto_free char *words = xasprintf("%s was found at the provider", match->id);

	free(shard->batch_id);
	shard->batch_id = xstrdup(match->id);
	shard->batch_created_at = task_now(task);
	if (!shard->provider_file) {
		/* The original uploaded it, after the copy was made that this store is. */
		shard->provider_file = xstrdup(match->file);
		shard->uploaded_at = shard->intended_at;
	}
	task_tell(task, "shard.adopted", "info", words);
	task_go(task, SHARD_CREATED, shard->batch_id);
}

/* --- a name that the provider does not know --- */

static void rename_batch(struct task *task, const struct lookup_match *match)
{
	struct shard *shard = &task->shard;
	auto_free char *words = xasprintf("the provider does not know %s; its list has the batch as %s", shard->batch_id,
					  match->id);

	free(shard->batch_id);
	shard->batch_id = xstrdup(match->id);
	shard->is_cancel_sent = false;
	shard->tries = 0;
	task_tell(task, "shard.adopted", "warning", words);
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
}

/* --- twins --- */

/* Whatever the watch saw, the batch itself is polled on. */
static void end_watch(struct task *task)
{
	const struct lookup *lookup = task->work;

	task->shard.absent_at = lookup->is_last ? 0 : LOOKED_ONCE;
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
}

/* How much of the work a batch has done, for of several the one is kept that is paid for most. */
static int progress_of(const struct lookup_match *match)
{
	switch (match->status) {
	case API_STATUS_FAILED:
	case API_STATUS_CANCELLED:
		return 0;
	case API_STATUS_CANCELLING:
	case API_STATUS_EXPIRED:
		return 1;
	case API_STATUS_UNKNOWN:
	case API_STATUS_VALIDATING:
	case API_STATUS_IN_PROGRESS:
		return 2;
	case API_STATUS_FINALIZING:
	case API_STATUS_COMPLETED:
		return 3;
	}
	return 2;
}

/* What did no work, and will do none, is no twin. */
static void add_twin(struct lookup *lookup, struct lookup_match *match)
{
	if (progress_of(match)) {
		lookup_add(&lookup->twins, match);
		return;
	}
	free(take(match->id));
	free(take(match->file));
}

/* Leaves in ours the one that is to be adopted. */
static void choose(struct lookup *lookup)
{
	struct lookup_matches *ours = &lookup->ours;
	struct lookup_match chosen;
	size_t best = 0;

	for (size_t i = 1; i < ours->count; i++)
		if (progress_of(&ours->all[i]) >= progress_of(&ours->all[best]))
			best = i;
	chosen = ours->all[best];
	for (size_t i = 0; i < ours->count; i++)
		if (i != best)
			add_twin(lookup, &ours->all[i]);
	ours->all[0] = chosen;
	ours->count = 1;
}

/*
 * Whether what the list has in place of the shard's batch is that batch, under another name: it is as young, and ours is not listed. A twin
 * is of a create that was found absent, so it is older than ours by more than settle.
 */
static bool is_alias(const struct task *task, const struct lookup *lookup, const struct lookup_match *match)
{
	return !lookup->is_own_listed && match->created_at &&
	       match->created_at >= task->shard.batch_created_at - task->provider->config->settle / 2;
}

/*
 * What the list has as ours. With one sign alone it is, if no other has it and it is as young as ours: the create was answered, so
 * there is one, and nobody else sends our file, or our marker.
 */
static const struct lookup_match *find_name(const struct task *task, struct lookup *lookup)
{
	const struct lookup_match *alias = &lookup->aliases.all[0];

	if (lookup->is_own_listed)
		return NULL;
	if (lookup->ours.count) {
		choose(lookup);
		return &lookup->ours.all[0];
	}
	return lookup->aliases.count == 1 && is_alias(task, lookup, alias) ? alias : NULL;
}

/* Whether nothing of the batch is left in the list; it is proved by a complete one that has never failed us. */
static bool is_forgotten(struct task *task)
{
	const struct lookup *lookup = task->work;
	const struct config_provider *config = task->provider->config;
	bool is_known_good = store_list_was_seen(task_store(task), task->shard.provider) &&
			     !store_list_failed(task_store(task), task->shard.provider);
	bool is_proved = lookup->is_complete && (is_known_good || config->trust_list);

	return !lookup->is_own_listed && !lookup->aliases.count && !lookup->is_half_match &&
	       remote_is_forgotten(config, &task->shard, is_proved, task_now(task));
}

/* Its answers were maybe made, and cannot be had: what becomes of its requests is the question of all that is lost so. */
static void give_up_batch(struct task *task)
{
	auto_free char *words = xasprintf("the provider has not known %s for long, nor another batch of the same requests: what "
					  "answers it may have are lost", task->shard.batch_id);

	task_tell(task, "shard.note", "error", words);
	task_finish(task, TASK_DONE, words);
}

static void decide_name(struct task *task)
{
	struct lookup *lookup = task->work;
	const struct lookup_match *match = find_name(task, lookup);

	if (match)
		rename_batch(task, match);
	else if (is_forgotten(task))
		give_up_batch(task);
	else
		task_finish(task, TASK_TRY_AGAIN,
			    lookup->is_own_listed ? "the provider lists the batch, but does not know it" :
						    "the provider does not know the batch any more, nor another of the same requests");
}

static void find_twins(struct task *task)
{
	struct lookup *lookup = task->work;

	for (size_t i = 0; i < lookup->ours.count; i++) {
		struct lookup_match *match = &lookup->ours.all[i];
		auto_free char *words = NULL;

		if (!is_alias(task, lookup, match)) {
			add_twin(lookup, match);
			continue;
		}
		words = xasprintf("the provider's list has %s where %s should stand: taken for the same one", match->id,
				  task->shard.batch_id);
		task_tell(task, "shard.note", "warning", words);
		free(take(match->id));
		free(take(match->file));
	}
	lookup->ours.count = 0;
}

static void on_absent(struct task *task);

/* No twin is left: what else the list means. */
static void conclude(struct task *task, bool is_complete)
{
	const struct lookup *lookup = task->work;

	if (lookup->look == LOOK_TWINS)
		end_watch(task);
	else if (lookup->ours.count)
		adopt(task, &lookup->ours.all[0]);
	else if (lookup->is_half_match)
		go_uncertain(task, "a batch at the provider has our file or our marker, but not both");
	else if (!is_complete)
		go_uncertain(task, "the provider's list cannot be read to its end, so it does not tell whether a batch is there");
	else
		on_absent(task);
}

static void cancel_twins(struct task *task);

static void on_twin_cancelled(const struct api_answer *answer, void *context)
{
	struct task *task = context;
	struct lookup *lookup = task->work;
	struct lookup_matches *twins = &lookup->twins;
	auto_free char *words = NULL;

	task->request = NULL;
	if (answer->verdict == API_AGAIN || answer->verdict == API_FULL || answer->verdict == API_PAUSE) {
		/* Everything is looked at anew, so no twin is forgotten. */
		lookup_fail(task, answer, NULL);
		return;
	}
	words = xasprintf("a twin, %s, was found and %s", twins->all[twins->count - 1].id,
			  answer->verdict == API_OK ? "cancelled" : "had ended: its answers were paid for twice");
	task_tell(task, "shard.note", "error", words);
	twins->count--;
	free(twins->all[twins->count].id);
	free(twins->all[twins->count].file);
	cancel_twins(task);
}

static void cancel_twins(struct task *task)
{
	struct lookup *lookup = task->work;
	const struct lookup_matches *twins = &lookup->twins;

	if (twins->count)
		task->request = api_cancel(task->provider->api, twins->all[twins->count - 1].id, on_twin_cancelled,
					   task);
	else
		conclude(task, lookup->is_complete);
}

/* --- absence --- */

static int compare_hashes(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

static void visit_live(const struct shard *shard, void *context)
{
	struct task *task = context;
	struct lookup *lookup = task->work;
	uint64_t hash = lookup_hash(shard->batch_id);

	if (shard->batch_created_at >= lookup->began_at ||
	    (lookup->seen_count &&
	     bsearch(&hash, lookup->seen, lookup->seen_count, sizeof(hash), compare_hashes)))
		return;
	if (shard->batch_created_at < lookup->began_at - task->provider->config->settle)
		lookup->hidden++;
	else
		lookup->lagging++;
}

/* Whether a complete listing may prove an absence: a list that once hid a live batch of ours proves nothing any more. */
static bool list_is_trusted(struct task *task)
{
	struct lookup *lookup = task->work;
	/* What is close to the horizon may stand on the page that was not read, by the provider's clock. */
	int64_t since = lookup_is_past_horizon(lookup) ? lookup->pages.horizon + LOOKUP_MARGIN_MS / 2 : 0;

	if (lookup->seen_count)
		qsort(lookup->seen, lookup->seen_count, sizeof(*lookup->seen), compare_hashes);
	(void)store_shard_live(task_store(task), task->shard.provider, since, MAX_LIVE, visit_live, task);
	if (lookup->hidden) {
		store_list_note_failure(task_store(task), task->shard.provider, task_now(task));
		task_tell(task, "shard.note", "warning",
			  "the provider's list does not show batches that are there; it is not trusted any more");
	}
	return task->provider->config->trust_list || !store_list_failed(task_store(task), task->shard.provider);
}

/* A list that has never shown any batch at all may be one that never does. */
static bool list_shows_batches(struct task *task)
{
	return task->provider->config->trust_list ||
	       store_list_was_seen(task_store(task), task->shard.provider);
}

/* It was not created, for certain. The sign stays, so that a twin is watched for all the same. */
static void on_absent_for_good(struct task *task)
{
	task->shard.intended_at = 0;
	task->shard.absent_at = -task_now(task);
	if (task_is_cancelled(task)) {
		task_go(task, SHARD_CANCELLED, "cancelled; the provider has no batch of it");
		return;
	}
	task_tell(task, "shard.note", "info", "the provider has no batch of it, looked for twice; it is sent now");
	task->wait_ms = 0;
	task_finish(task, TASK_NOT_YET, NULL);
}

static void on_absent(struct task *task)
{
	const struct lookup *lookup = task->work;
	int64_t settle = task->provider->config->settle;
	int64_t now = task_now(task);

	if (!list_is_trusted(task)) {
		go_uncertain(task, "the batch is not in the provider's list, and that list is not trusted");
		return;
	}
	if (!list_shows_batches(task)) {
		go_uncertain(task, "the batch is not in the provider's list, and that list has never shown any batch yet");
		return;
	}
	if (lookup->lagging && !task->provider->config->trust_list) {
		task->wait_ms = settle;
		task_finish(task, TASK_NOT_YET, "the provider's list lags; it is read again after a while");
		return;
	}
	if (task->shard.absent_at > 0 && now - task->shard.absent_at >= settle) {
		on_absent_for_good(task);
		return;
	}
	/* A time to come is of a clock that was set back since. */
	if (task->shard.absent_at <= 0 || task->shard.absent_at > now)
		task->shard.absent_at = now;
	task->wait_ms = task->shard.absent_at + settle - now;
	task_finish(task, TASK_NOT_YET, "not in the provider's list; looked for once more after a while");
}

static void tell_watch_failed(struct task *task)
{
	const struct lookup_matches *twins = &((const struct lookup *)task->work)->twins;
	auto_free char *words = NULL;

	if (twins->count)
		words = xasprintf("a twin, %s, was found and could not be cancelled: its answers may be paid for twice",
				  twins->all[twins->count - 1].id);
	else
		words = xstrdup("whether its batch has a twin could not be told, for the provider's list could not be read");
	task_tell(task, "shard.note", "error", words);
}

/* A list that stays broken must not keep a job from its end for ever. */
static bool is_cancelled_long_ago(const struct task *task)
{
	return task->job.state == JOB_CANCELLING && task_now(task) >= task->job.cancelling_at + TASK_PROBE_MS;
}

void lookup_fail(struct task *task, const struct api_answer *answer, const char *why)
{
	const struct lookup *lookup = task->work;
	bool is_patient = answer->verdict == API_PAUSE || task->shard.tries + 1 < FAILED_TRIES;

	if (!is_patient && lookup->look == LOOK_DOUBT && is_cancelled_long_ago(task)) {
		go_uncertain(task, "the provider's list could not be read for long");
		return;
	}
	if (is_patient || lookup->look != LOOK_TWINS) {
		if (answer->verdict == API_OK)
			task_finish(task, TASK_TRY_AGAIN, why);
		else
			task_finish_answer(task, answer);
		return;
	}
	tell_watch_failed(task);
	task->shard.tries = 0;
	end_watch(task);
}

void lookup_decide(struct task *task, bool is_complete)
{
	struct lookup *lookup = task->work;

	if (lookup->seen_count && !store_list_was_seen(task_store(task), task->shard.provider))
		store_list_note_seen(task_store(task), task->shard.provider, task_now(task));
	lookup->is_complete = is_complete;
	if (lookup->look == LOOK_NAME) {
		decide_name(task);
		return;
	}
	if (lookup->look == LOOK_TWINS)
		find_twins(task);
	else if (lookup->ours.count)
		choose(lookup);
	cancel_twins(task);
}

bool lookup_is_due(const struct task *task, bool is_ended)
{
	const struct shard *shard = &task->shard;

	if (is_ended)
		return shard->absent_at < 0;
	return shard->absent_at < LOOKED_ONCE &&
	       task_now(task) >= shard->batch_created_at + task->provider->config->settle;
}
