/*
 * Every row of faults.h, lived through by the real loop, http, store, spool and pipeline, against the model behind real sockets.
 *
 *	cable_faults [--every N] [--from N] [--only PART] [--workers N] [--first] [--tell] [--list]
 *
 * prints the name of each that fails (--first: and goes no further) and what does not hold, and a closing line. Exit status 0: there was none.
 */
#include <errno.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/loop.h"
#include "tests/crash/cable.h"
#include "tests/crash/cable_check.h"
#include "tests/crash/cable_relay.h"
#include "tests/crash/faults_tables.h"
#include "tests/world/loop.h"
#include "tests/world/world.h"

#define REQUESTS      6
#define MANY_REQUESTS 400
#define PADDING       1500
#define HOUR_MS       (60 * 60 * 1000LL)
/* The longest wait of all is a Retry-After of two hours. */
#define PATIENCE_MS   (4 * HOUR_MS)
/* What is done after a job's end, such as removing what nobody needs. */
#define AFTERWARDS_MS HOUR_MS
/* Of a row, in real time. */
#define GUARD_SECONDS 60
#define MOST_WORKERS  16
#define MOST_NAME     120

struct options {
	long every, from, workers;
	const char *only;
	bool is_list, is_told, is_first;
};

/* A row: of faults.h, or a relay's tampering with a call. */
struct trial {
	struct fault fault;
	const struct tamper *tamper; /* NULL: there is no relay */
	unsigned calls;
};

/* Shared with the parent, which tells of a worker that died. */
struct progress {
	char name[MOST_NAME];
	long rows, violations;
};

/* The tampering number i, or how many there are. */
static size_t find_tamper(size_t i, struct trial *trial)
{
	size_t count = 0;

	for (size_t s = 0; s < strike_count; s++)
		for (size_t t = 0; t < tamper_count; t++) {
			unsigned costs = 0;

			/* A relay does not look into a file. */
			if (!(tampers[t].calls & strikes[s].bit) || strikes[s].story == STORY_FAILURES || count++ != i)
				continue;
			for (size_t c = 0; c < ARRAY_SIZE(tampers[t].costs); c++)
				costs |= tampers[t].costs[c].calls & strikes[s].bit ? tampers[t].costs[c].costs : 0;
			*trial = (struct trial){
				.tamper = &tampers[t],
				.calls = strikes[s].bit,
				.fault = {
					.name = xasprintf("%s, by a relay: %s", strikes[s].name, tampers[t].name),
					.call = strikes[s].call,
					.rules = xstrdup(""),
					.story = strikes[s].story,
					.costs = costs | (strikes[s].story & STORY_STRAY ? COST_UPLOADS : 0),
				},
			};
			return i;
		}
	return count;
}

static size_t trial_count(void)
{
	struct trial none;

	return fault_count() + find_tamper(SIZE_MAX, &none);
}

static void trial_make(size_t i, struct trial *ret_trial)
{
	*ret_trial = (struct trial){ 0 };
	if (i < fault_count())
		fault_make(i, &ret_trial->fault);
	else
		(void)find_tamper(i - fault_count(), ret_trial);
}

static bool has_ended(struct world *world, void *context)
{
	auto_job job = world_job(world, *(int64_t *)context);

	return job_is_ended(job.state) && !job.due_at;
}

static bool is_created(struct world *world, void *context)
{
	auto_shard shard = world_shard(world, *(int64_t *)context, 1);

	return (shard.id && shard.state >= SHARD_CREATED) || has_ended(world, context);
}

static bool is_never(struct world *world, void *context)
{
	(void)world;
	(void)context;
	return false;
}

/* Returns whether the job's end was asked for. */
static bool live_through(struct world *world, int64_t job, const struct fault *fault)
{
	bool is_cancelled = false;

	if (fault->story & STORY_CANCEL) {
		(void)world_run(world, PATIENCE_MS, is_created, &job);
		is_cancelled = world_cancel(world, job) == 0;
	}
	if (!world_run(world, PATIENCE_MS, has_ended, &job) && fault->costs & COST_PERSON) {
		is_cancelled = world_cancel(world, job) == 0;
		(void)world_run(world, PATIENCE_MS, has_ended, &job);
	}
	(void)world_run(world, AFTERWARDS_MS, is_never, NULL);
	return is_cancelled;
}

/* An upload that is tampered with on its way is long enough for that. */
static char *make_input(const struct trial *trial)
{
	auto_free char *more = NULL;

	if (!trial->tamper || !(trial->calls & ON_UPLOAD) || trial->tamper->when > RELAY_HALF)
		return world_requests(REQUESTS, "");
	more = xasprintf(",\"padding\":\"%0*d\"", PADDING, 0);
	return world_requests(MANY_REQUESTS, more);
}

static void tell_event(const struct store_event *event, void *context)
{
	(void)context;
	(void)printf("#\t%s\t%s\n", event->type, event->message ? event->message : "");
}

static int run_trial(const struct trial *trial, bool is_told, struct error *err)
{
	const struct fault *fault = &trial->fault;
	size_t descriptors = cable_descriptors();
	struct world *world = cable_new(trial->tamper, trial->calls);
	auto_free char *input = make_input(trial);
	auto_free char *script = fault_script(fault->story, fault->rules);
	bool is_cancelled;
	int64_t job;
	int r;

	if (!(fault->story & STORY_NEW_LIST))
		store_list_note_seen(world->store, world->provider.name, world_now(world));
	world->network.refused = fault->refused;
	world->network.refused_count = 1;
	world_script(world, script);
	job = world_submit(world, input);
	is_cancelled = live_through(world, job, fault);
	r = cable_check(world, job, input, fault, trial->tamper, is_cancelled, err);
	if (is_told)
		(void)store_event_list(world->store, job, 0, INT32_MAX, tell_event, NULL);
	(void)fflush(stdout);
	cable_free(world);
	if (!r && cable_descriptors() != descriptors)
		r = error_set(err, -EINVAL, "%zu descriptors were open before, %zu after", descriptors,
			      cable_descriptors());
	return r;
}

/* What the libraries open once and keep is no leak. */
static void warm_up(void)
{
	const struct trial none = { .fault = { .name = (char *)(uintptr_t) "none", .rules = (char *)(uintptr_t) "" } };
	struct error err = { 0 };

	(void)run_trial(&none, false, &err);
}

static bool is_wanted(const struct options *options, size_t i, const char *name)
{
	return (long)i >= options->from && ((long)i - options->from) % options->every == 0 &&
	       (!options->only || strstr(name, options->only));
}

/* Its part of the rows; what it finds is in progress. */
static void work(const struct options *options, long worker, struct progress *progress)
{
	size_t wanted = 0;

	warm_up();
	for (size_t i = 0; i < trial_count() && !(options->is_first && progress->violations); i++) {
		struct trial trial;
		struct error err = { 0 };

		trial_make(i, &trial);
		if (is_wanted(options, i, trial.fault.name) && (long)(wanted++ % (size_t)options->workers) == worker) {
			(void)snprintf(progress->name, sizeof(progress->name), "%s", trial.fault.name);
			(void)alarm(GUARD_SECONDS);
			progress->rows++;
			if (options->is_told)
				(void)printf("# %s\n", trial.fault.name);
			if (run_trial(&trial, options->is_told, &err)) {
				(void)printf("%s: %s\n", trial.fault.name, err.text);
				(void)fflush(stdout);
				progress->violations++;
			}
		}
		fault_release(&trial.fault);
	}
}

/* 0, or 1 for a worker that did not come to its end. */
static long wait_for(pid_t worker, const struct progress *progress)
{
	int status;

	if (waitpid(worker, &status, 0) == worker && WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return 0;
	(void)printf("%s: the program died or hung (status %d)\n", progress->name, status);
	return 1;
}

static int run_all(const struct options *options)
{
	size_t size = sizeof(struct progress) * MOST_WORKERS;
	struct progress *progress = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t workers[MOST_WORKERS];
	long rows = 0, violations = 0;

	if (progress == MAP_FAILED)
		return EXIT_FAILURE;
	for (long i = 0; i < options->workers; i++) {
		workers[i] = fork();
		if (workers[i] == 0) {
			work(options, i, &progress[i]);
			exit(EXIT_SUCCESS);
		}
	}
	for (long i = 0; i < options->workers; i++) {
		violations += wait_for(workers[i], &progress[i]) + progress[i].violations;
		rows += progress[i].rows;
	}
	(void)munmap(progress, size);
	(void)printf("%ld faults through the real http, %ld violations\n", rows, violations);
	return violations || !rows ? EXIT_FAILURE : EXIT_SUCCESS;
}

static void list(void)
{
	for (size_t i = 0; i < trial_count(); i++) {
		struct trial trial;

		trial_make(i, &trial);
		(void)puts(trial.fault.name);
		fault_release(&trial.fault);
	}
}

static bool read_options(int argc, char **argv, struct options *options)
{
	static const struct option long_options[] = {
		{ "every", required_argument, NULL, 'e' },   { "from", required_argument, NULL, 'f' },
		{ "only", required_argument, NULL, 'o' },    { "workers", required_argument, NULL, 'w' },
		{ "list", no_argument, NULL, 'l' },	     { "tell", no_argument, NULL, 't' },
		{ "first", no_argument, NULL, '1' },	     { NULL, 0, NULL, 0 },
	};
	int option;

	while ((option = getopt_long(argc, argv, "", long_options, NULL)) != -1)
		switch (option) {
		case 'e':
			options->every = strtol(optarg, NULL, 10);
			break;
		case 'f':
			options->from = strtol(optarg, NULL, 10);
			break;
		case 'o':
			options->only = optarg;
			break;
		case 'w':
			options->workers = strtol(optarg, NULL, 10);
			break;
		case 'l':
			options->is_list = true;
			break;
		case '1':
			options->is_first = true;
			break;
		case 't':
			options->is_told = true;
			break;
		default:
			return false;
		}
	return optind == argc && options->every > 0 && options->from >= 0 && options->workers > 0 &&
	       options->workers <= MOST_WORKERS;
}

int main(int argc, char **argv)
{
	struct options options = { .every = 1, .workers = 2 };

	if (!read_options(argc, argv, &options)) {
		(void)fputs("usage: cable_faults [--every N] [--from N] [--only PART] [--workers N] [--first] "
			    "[--tell] [--list]\n",
			    stderr);
		return EXIT_FAILURE;
	}
	if (!options.is_list)
		return run_all(&options);
	list();
	return EXIT_SUCCESS;
}
