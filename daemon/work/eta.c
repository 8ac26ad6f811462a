#include "daemon/work/eta.h"

#include <stdbool.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/model/turnaround.h"

#define MEDIAN 500

/* What was learned of batches like these; nothing is known where nothing can be read. */
static void read_learned(struct store *store, const char *provider, const char *model, unsigned size_class,
			 struct turnaround *ret_turnaround)
{
	auto_free char *name = turnaround_name(size_class);
	auto_free char *words = NULL;
	struct store_learned learned = { 0 };

	*ret_turnaround = (struct turnaround){ 0 };
	if (store_learned_get(store, provider, model, name, &learned))
		return;
	words = learned.words;
	if (words)
		(void)turnaround_parse(words, learned.value, ret_turnaround);
}

/* Since the create left; that of a batch which was found later is all that is known of its beginning. */
static int64_t age_of(const struct shard *shard, int64_t now)
{
	int64_t began = shard->batch_created_at;

	if (shard->intended_at && shard->intended_at < began)
		began = shard->intended_at;
	return now > began ? now - began : 0;
}

void eta_learn(struct store *store, const struct shard *shard, int64_t now)
{
	unsigned size_class = turnaround_class(shard->requests);
	auto_free char *name = turnaround_name(size_class);
	auto_free char *words = NULL;
	struct turnaround turnaround;
	struct store_learned learned = { .model = shard->model, .name = name, .at = now };

	if (!shard->batch_created_at)
		return;
	read_learned(store, shard->provider, shard->model, size_class, &turnaround);
	turnaround_add(&turnaround, age_of(shard, now));
	words = turnaround_show(&turnaround);
	learned.value = turnaround.samples;
	learned.words = words;
	store_learned_set(store, shard->provider, &learned);
}

int64_t eta_wait_ms(struct store *store, const struct config_provider *config, const struct shard *shard, int64_t now)
{
	struct turnaround turnaround;

	read_learned(store, shard->provider, shard->model, turnaround_class(shard->requests), &turnaround);
	return turnaround_wait_ms(&turnaround, age_of(shard, now), config->poll_first, config->poll_longest);
}

static int64_t seconds_left(const struct turnaround *turnaround, int64_t age_ms, unsigned permille)
{
	int64_t end = turnaround_quantile(turnaround, age_ms, permille);

	return end < 0 ? -1 : (end - age_ms + 999) / 1000;
}

int64_t eta_of_shard(struct store *store, const struct shard *shard, int64_t now)
{
	struct turnaround turnaround;

	if (shard->state != SHARD_CREATED)
		return -1;
	read_learned(store, shard->provider, shard->model, turnaround_class(shard->requests), &turnaround);
	return seconds_left(&turnaround, age_of(shard, now), MEDIAN);
}

struct survey {
	struct store *store;
	int64_t now;
	int64_t seconds; /* of the last of those seen so far; -1: not known */
};

/* Of several that go on at once, the last one ends later than most. */
static unsigned permille_of_last(int64_t count)
{
	return count > 99 ? 990 : (unsigned)(1000 * count / (count + 1));
}

static void note_group(const struct store_under_way *group, void *context)
{
	struct survey *survey = context;
	struct turnaround turnaround;
	int64_t age = survey->now > group->batch_created_at ? survey->now - group->batch_created_at : 0, seconds;

	if (group->is_any_unsent)
		survey->seconds = -1;
	if (survey->seconds < 0 || !group->is_any_created)
		return;
	read_learned(survey->store, group->provider, group->model, (unsigned)group->digits, &turnaround);
	seconds = seconds_left(&turnaround, age, permille_of_last(group->count));
	if (seconds < 0 || seconds > survey->seconds)
		survey->seconds = seconds;
}

int64_t eta_of_job(struct store *store, const struct job *job, int64_t now)
{
	struct survey survey = { .store = store, .now = now };

	if ((job->state != JOB_RUNNING && job->state != JOB_CANCELLING) ||
	    store_shard_under_way(store, job->id, note_group, &survey))
		return -1;
	return survey.seconds;
}
