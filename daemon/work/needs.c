#include "daemon/work/needs.h"

#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/work/rows.h"

struct need {
	void (*visit)(const char *name, void *context);
	void *context;
};

static void need_of_shard(const struct shard *shard, void *context)
{
	const struct need *need = context;
	char *const names[] = { rows_members_name(shard->number), rows_done_name(shard->number),
				    rows_download_name(shard->number, "out"),
				    rows_download_name(shard->number, "err") };
	const bool is_needed[] = {
		shard->state != SHARD_DROPPED && shard->state != SHARD_CANCELLED,
		shard->state == SHARD_COLLECTED,
		needs_download(shard, 'o'),
		needs_download(shard, 'e'),
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		if (is_needed[i])
			need->visit(names[i], need->context);
		free(names[i]);
	}
}

bool needs_rows(const struct job *job, int64_t shard_count)
{
	return job->state == JOB_VALID || shard_count > 0;
}

bool needs_download(const struct shard *shard, char source)
{
	return shard->state == SHARD_FETCHED && !shard->missed_at &&
	       (source == 'o' ? shard->remote_output : shard->remote_error);
}

int needs_visit(struct store *store, const struct job *job, void (*visit)(const char *name, void *context),
		void *context)
{
	struct need need = { .visit = visit, .context = context };
	int64_t count = 0;
	int r = store_shard_count(store, job->id, &count, NULL);

	if (r)
		return r;
	if (needs_rows(job, count))
		visit(ROWS_NAME, context);
	if (job->errors_total)
		visit(ROWS_ERRORS_NAME, context);
	return store_shard_list(store, job->id, 0, INT32_MAX, need_of_shard, &need);
}

bool needs_knows(const char *name, int64_t shard_count)
{
	static const char *const suffixes[] = { ".rows", ".done", ".out", ".err", ".batch" };
	int64_t number;
	char *end;

	if (strcmp(name, ROWS_NAME) == 0 || strcmp(name, ROWS_ERRORS_NAME) == 0)
		return true;
	if (strncmp(name, "shard-", 6) != 0)
		return false;
	number = strtoll(name + 6, &end, 10);
	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++)
		if (strcmp(end, suffixes[i]) == 0)
			return number >= 1 && number <= shard_count;
	return false;
}
