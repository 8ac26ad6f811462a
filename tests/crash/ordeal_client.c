#include "tests/crash/ordeal.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

#define OLD_WORDS "what was there before\n"

/* What a command gives: a new job, the results in a file, or on standard output. */
enum gives { GIVES_JOB, GIVES_FILE, GIVES_OUTPUT };

struct client_scene {
	const char *name;
	enum gives gives;
	bool is_stdin; /* it reads the input from there */
	bool has_old;  /* the file is there, with other bytes */
	const char *const words[7]; /* after the socket; KEY, INPUT and FILE stand for those of the trial */
};

/* clang-format off */
static const struct client_scene scenes[] = {
	{ "client-submit",  GIVES_JOB,    false, false, { "submit", "--no-wait", "--key", "KEY", "INPUT", NULL } },
	{ "client-stdin",   GIVES_JOB,    true,  false, { "submit", "--no-wait", "--key", "KEY", "-", NULL } },
	{ "client-results", GIVES_FILE,   false, false, { "results", "1", "-o", "FILE", NULL } },
	{ "client-force",   GIVES_FILE,   false, true,  { "results", "1", "-f", "-o", "FILE", NULL } },
	{ "client-output",  GIVES_OUTPUT, false, false, { "results", "1", NULL } },
};
/* clang-format on */

/* One trial's own names. */
struct errand {
	const struct client_scene *scene;
	char *key, *input, *folder, *file;
};

static const char *word_of(const struct errand *errand, const char *word)
{
	if (strcmp(word, "KEY") == 0)
		return errand->key;
	if (strcmp(word, "INPUT") == 0)
		return errand->input;
	return strcmp(word, "FILE") == 0 ? errand->file : word;
}

static int run(struct ordeal *ordeal, const struct errand *errand, const char *program)
{
	const char *arguments[12] = { "batchctl", "-s", ordeal->door };
	size_t count = 3;

	for (size_t i = 0; errand->scene->words[i]; i++)
		arguments[count++] = word_of(errand, errand->scene->words[i]);
	return run_client(ordeal, program, arguments, errand->scene->is_stdin ? errand->input : NULL);
}

static char *output_of(struct ordeal *ordeal, const char *name)
{
	auto_free char *path = xasprintf("%s/client.%s", ordeal->folder, name);

	return file_text(path, NULL);
}

static long count_jobs(struct ordeal *ordeal)
{
	auto_answer answer = { 0 };
	const char *end;

	ask(ordeal, ordeal->door, "GET", "/v1/batches?limit=1", NULL, NULL, 0, &answer);
	end = strstr(buffer_text(&answer.text), "\"id\":\"batch_");
	return end ? strtol(end + 12, NULL, 10) : 0;
}

/* Between two names of a file that replaces another both are there, and whole. */
static void check_beside(struct ordeal *ordeal, const struct errand *errand, const char *name)
{
	auto_free char *path = xasprintf("%s/%s", errand->folder, name);
	auto_free char *text = file_text(path, NULL);

	if (!errand->scene->has_old || strcmp(text, ordeal->wanted->results[0]) != 0)
		complain(ordeal, "left beside the file: %s", name);
	(void)unlink(path);
}

/* The file is whole, or as it was before; nothing else is in the folder. */
static void check_folder(struct ordeal *ordeal, const struct errand *errand, bool is_done)
{
	auto_free char *text = file_text(errand->file, NULL);
	const char *wanted = ordeal->wanted->results[0];
	DIR *folder = opendir(errand->folder);
	struct dirent *entry;

	while (folder && (entry = readdir(folder)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0 && strcmp(entry->d_name, "file") != 0)
			check_beside(ordeal, errand, entry->d_name);
	(void)closedir(folder);
	if (strcmp(text, wanted) != 0 && (is_done || (*text && strcmp(text, OLD_WORDS) != 0)))
		complain(ordeal, "the file is not whole: %zu bytes of %zu", strlen(text), strlen(wanted));
}

static void check_output(struct ordeal *ordeal, const struct errand *errand)
{
	auto_free char *out = output_of(ordeal, "out");

	switch (errand->scene->gives) {
	case GIVES_JOB:
		if (!strtol(out, NULL, 10) || strtol(out, NULL, 10) != count_jobs(ordeal))
			complain(ordeal, "it says \"%s\" for a number", out);
		break;
	case GIVES_FILE:
		check_folder(ordeal, errand, true);
		break;
	case GIVES_OUTPUT:
		if (strcmp(out, ordeal->wanted->results[0]) != 0)
			complain(ordeal, "what it printed is not whole: %zu bytes", strlen(out));
		break;
	}
}

/* How a client with trouble ended. */
static void judge(struct ordeal *ordeal, struct campaign *campaign, const struct errand *errand, int status)
{
	const struct plan *plan = ordeal->plan;
	bool is_allocation = plan->calls == UINT64_C(1) << CALL_MALLOC;
	auto_free char *talk = output_of(ordeal, "err");

	if (status == 0) {
		check_output(ordeal, errand);
		return;
	}
	if (plan->deed == DEED_DIE || plan->deed == DEED_DIE_AFTER) {
		if (status != 128 + SIGKILL)
			complain(ordeal, "it ended with %d: %s", status, talk);
		return;
	}
	if (is_allocation && status == 128 + SIGSEGV) {
		campaign->crashes++;
		return;
	}
	if (plan->deed == DEED_SHORTEN || plan->code == EINTR)
		complain(ordeal, "it was seen: %d %s", status, talk);
	else if (status >= 128 && !(status == 128 + SIGABRT && plan->code == ENOMEM))
		complain(ordeal, "it ended with %d: %s", status, talk);
	else if (!strstr(talk, ": "))
		complain(ordeal, "it failed (%d) without a sentence: \"%s\"", status, talk);
}

/* The ordinary client is told the same again. */
static void repeat(struct ordeal *ordeal, const struct errand *errand, long jobs)
{
	int status;
	auto_free char *talk = NULL;

	if (errand->scene->gives == GIVES_FILE && !errand->scene->has_old)
		(void)unlink(errand->file);
	status = run(ordeal, errand, ordeal->batchctl);
	talk = output_of(ordeal, "err");
	if (status)
		complain(ordeal, "the repeat ends with %d: %s", status, talk);
	check_output(ordeal, errand);
	if (errand->scene->gives == GIVES_JOB && count_jobs(ordeal) != jobs + 1)
		complain(ordeal, "jobs: %ld, wanted: %ld", count_jobs(ordeal), jobs + 1);
}

static void lay_out(const struct errand *errand)
{
	FILE *file;

	remove_tree(errand->folder);
	(void)mkdir(errand->folder, 0700);
	if (!errand->scene->has_old)
		return;
	file = fopen(errand->file, "we");
	if (file) {
		(void)fputs(OLD_WORDS, file);
		(void)fclose(file);
	}
}

/* The daemon of all trials, with a job that has ended. */
static void have_ended_job(struct ordeal *ordeal, struct look *ret_wanted)
{
	const struct scene *big = scene_find("big");

	ordeal_plan(ordeal, NULL);
	daemon_end(ordeal, SIGKILL);
	remove_tree(ordeal->state);
	sim_tell(ordeal, "/sim/reset", "");
	ordeal->input = big->input;
	if (!daemon_start(ordeal, ordeal->batchd) || !big->act(ordeal))
		complain(ordeal, "the job does not end");
	look_take(ordeal, ret_wanted);
	ordeal->wanted = ret_wanted;
}

/* What one trial of a scene is made of. */
struct course {
	struct campaign *campaign;
	const struct client_scene *scene;
	size_t row; /* of the plans */
};

static enum trial run_trial(struct ordeal *ordeal, const struct plan *plan, void *context)
{
	const struct course *course = context;
	auto_free char *key = xasprintf("key-%zu-%" PRId64, course->row, plan->at);
	auto_free char *input = xasprintf("%s/small.jsonl", ordeal->folder);
	auto_free char *folder = xasprintf("%s/place", ordeal->folder);
	auto_free char *file = xasprintf("%s/place/file", ordeal->folder);
	const struct errand errand = { course->scene, key, input, folder, file };
	long jobs = count_jobs(ordeal);
	int status;

	lay_out(&errand);
	ordeal_plan(ordeal, plan);
	ordeal_arm(ordeal, true);
	status = run(ordeal, &errand, ordeal->killable_client);
	ordeal_arm(ordeal, false);
	if (!ordeal->board->hits)
		return TRIAL_MISSED;
	judge(ordeal, course->campaign, &errand, status);
	if (course->scene->gives == GIVES_FILE)
		check_folder(ordeal, &errand, false);
	repeat(ordeal, &errand, jobs);
	return TRIAL_HIT;
}

const char *client_scene_name(size_t index)
{
	return index < ARRAY_SIZE(scenes) ? scenes[index].name : NULL;
}

void campaign_client(struct ordeal *ordeal, struct campaign *campaign, const char *name)
{
	struct course course = { .campaign = campaign };
	struct look wanted;
	struct plan plan;
	const char *row;

	for (size_t i = 0; i < ARRAY_SIZE(scenes); i++)
		if (strcmp(scenes[i].name, name) == 0)
			course.scene = &scenes[i];
	(void)setenv("TMPDIR", ordeal->folder, 1);
	have_ended_job(ordeal, &wanted);
	campaign_count(ordeal, campaign, name, "undisturbed");
	for (; campaign_plan(campaign, course.row, &plan, &row); course.row++)
		campaign_points(ordeal, campaign, &(struct points){ name, row, &plan, 1, run_trial, &course });
	daemon_end(ordeal, SIGTERM);
	look_release(&wanted);
}
