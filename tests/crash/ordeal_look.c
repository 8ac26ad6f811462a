#include "tests/crash/ordeal.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

/* What a history may have besides its states, if there was a doubt or another try. */
static const char *const besides[] = { "shard.doubt", "shard.adopted", "shard.note",
				       "shard.retry", "job.note",      "job.retry" };

static int compare_texts(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

/* The lines of a text, sorted; cut at each line's last occurrence of `until`, which may be NULL. */
static char *sorted(const char *text, const char *until)
{
	auto_free char *copy = xstrdup(text);
	auto_free char **lines = xcalloc(strlen(text) + 1, sizeof(*lines));
	auto_buffer result = { 0 };
	size_t count = 0;
	char *rest = copy, *line;

	while ((line = strsep(&rest, "\n")))
		if (*line)
			lines[count++] = line;
	for (size_t i = 0; until && i < count; i++) {
		char *cut = strstr(lines[i], until);

		if (cut)
			*cut = '\0';
	}
	qsort(lines, count, sizeof(*lines), compare_texts);
	for (size_t i = 0; i < count; i++)
		buffer_add_format(&result, "%s\n", lines[i]);
	return xstrdup(buffer_text(&result));
}

/* A member's value in a line of JSON that is known to be flat and short. */
static const char *member(const char *line, const char *name)
{
	const char *at = strstr(line, name);

	return at ? at + strlen(name) : "";
}

static bool is_beside(const char *type)
{
	for (size_t i = 0; i < ARRAY_SIZE(besides); i++)
		if (strncmp(type, besides[i], strlen(besides[i])) == 0)
			return true;
	return false;
}

/* Each state of the history with its shard; its numbers must have no gap. */
static char *read_states(struct ordeal *ordeal, int job, const char *events)
{
	auto_free char *copy = xstrdup(events);
	auto_buffer states = { 0 };
	char *rest = copy, *line;
	long last = 0;

	while ((line = strsep(&rest, "\n"))) {
		const char *type = member(line, "\"type\":\"");
		long seq = strtol(member(line, "\"seq\":"), NULL, 10);

		if (!*type)
			continue;
		if (seq <= last)
			complain(ordeal, "job %d: event %ld comes after %ld", job, seq, last);
		last = seq;
		if (!is_beside(type))
			buffer_add_format(&states, "%.*s %ld\n", (int)strcspn(type, "\""), type,
					  strtol(member(line, "\"shard\":"), NULL, 10));
	}
	return xstrdup(buffer_text(&states));
}

static void list_files(const char *path, const char *name, struct buffer *out)
{
	auto_free char *here = xasprintf("%s/%s", path, name);
	DIR *folder = opendir(here);
	struct dirent *entry;

	if (!folder) {
		/* A number that a failure took is not given again, so those of files may differ. */
		if (strncmp(name, "files/", 6) == 0)
			buffer_add_text(out, "files/\n");
		else if (strncmp(name, "batchd.db-", 10) != 0)
			buffer_add_format(out, "%s\n", name);
		return;
	}
	while ((entry = readdir(folder))) {
		auto_free char *below = xasprintf("%s%s%s", name, *name ? "/" : "", entry->d_name);

		if (entry->d_name[0] != '.')
			list_files(path, below, out);
	}
	(void)closedir(folder);
}

static char *get(struct ordeal *ordeal, const char *path)
{
	auto_answer answer = { 0 };

	ask(ordeal, ordeal->door, "GET", path, NULL, NULL, 0, &answer);
	if (answer.status != 200 || !answer.is_whole)
		complain(ordeal, "%s: %d %.200s", path, answer.status, buffer_text(&answer.text));
	return xstrdup(buffer_text(&answer.text));
}

static long count_jobs(struct ordeal *ordeal)
{
	auto_free char *list = get(ordeal, "/v1/batches?limit=100");
	long count = 0;

	for (const char *at = list; (at = strstr(at, "\"object\":\"batch\"")); at++)
		count++;
	return count;
}

void look_take(struct ordeal *ordeal, struct look *ret_look)
{
	auto_free char *ledger = sim_text(ordeal, "/sim/ledger");
	auto_free char *requests = sim_text(ordeal, "/sim/ledger/requests");
	auto_buffer files = { 0 };

	*ret_look = (struct look){ .jobs = count_jobs(ordeal) };
	for (int i = 0; i < ret_look->jobs && i < ORDEAL_JOBS; i++) {
		auto_free char *results = xasprintf("/v1/batches/%d/results?form=lines", i + 1);
		auto_free char *history = xasprintf("/v1/batches/%d/events", i + 1);
		auto_free char *events = get(ordeal, history);

		ret_look->results[i] = get(ordeal, results);
		ret_look->states[i] = read_states(ordeal, i + 1, events);
		ret_look->kinds[i] = sorted(ret_look->states[i], " ");
	}
	list_files(ordeal->state, "", &files);
	ret_look->files = sorted(buffer_text(&files), NULL);
	ret_look->requests = sorted(requests, NULL);
	ret_look->batches = strtol(member(ledger, "\"batches_created\":"), NULL, 10);
	/* Without how often it was asked: what stands between the two members. */
	for (char *at = requests; (at = strstr(at, "\"batches\":")); at++)
		memset(at + 10, '-', strcspn(at + 10, ","));
	ret_look->answers = sorted(requests, NULL);
}

void look_release(struct look *look)
{
	for (int i = 0; i < ORDEAL_JOBS; i++) {
		free(look->results[i]);
		free(look->states[i]);
		free(look->kinds[i]);
	}
	free(look->files);
	free(look->requests);
	free(look->answers);
	*look = (struct look){ 0 };
}

/* Tells the first line that differs. */
static void compare(struct ordeal *ordeal, const char *what, const char *wanted, const char *got)
{
	size_t same = 0, start;

	if (!wanted || !got || strcmp(wanted, got) == 0)
		return;
	while (wanted[same] == got[same])
		same++;
	for (start = same; start && wanted[start - 1] != '\n'; start--)
		continue;
	wanted += start;
	got += start;
	complain(ordeal, "%s differ: wanted \"%.*s\", got \"%.*s\"", what, (int)(strcspn(wanted, "\n") % 200), wanted,
		 (int)(strcspn(got, "\n") % 200), got);
}

static void compare_job(struct ordeal *ordeal, unsigned mask, int job, const struct look *wanted, const struct look *got)
{
	auto_free char *results = xasprintf("results of job %d", job + 1);
	auto_free char *states = xasprintf("states of job %d", job + 1);

	compare(ordeal, results, wanted->results[job], got->results[job]);
	if (mask & LOOK_STATES)
		compare(ordeal, states, wanted->states[job], got->states[job]);
	if (mask & LOOK_KINDS)
		compare(ordeal, states, wanted->kinds[job], got->kinds[job]);
}

void look_compare(struct ordeal *ordeal, unsigned mask, const struct look *wanted, const struct look *got)
{
	if (wanted->jobs != got->jobs)
		complain(ordeal, "jobs: %ld, wanted: %ld", got->jobs, wanted->jobs);
	for (int i = 0; i < ORDEAL_JOBS; i++)
		compare_job(ordeal, mask, i, wanted, got);
	if (mask & LOOK_FILES)
		compare(ordeal, "files", wanted->files, got->files);
	else if (strstr(got->files, "tmp/"))
		complain(ordeal, "left in tmp: %s", strstr(got->files, "tmp/"));
	compare(ordeal, "answers", wanted->answers, got->answers);
	if (mask & LOOK_REQUESTS)
		compare(ordeal, "requests", wanted->requests, got->requests);
	if (mask & LOOK_BATCHES && wanted->batches != got->batches)
		complain(ordeal, "batches made: %ld, wanted: %ld", got->batches, wanted->batches);
	else if (got->batches > wanted->batches && !(mask & LOOK_KINDS))
		complain(ordeal, "batches made: %ld, wanted at most: %ld", got->batches, wanted->batches);
}
