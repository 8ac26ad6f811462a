/*
 * Damage of every kind at every place of a state folder: each is found by a look, or harms nobody; whatever it is, the daemon
 * that starts on it does not crash, says something or is whole, and sends nothing again. Each case lives and dies in a process of its own.
 *
 * DAMAGE_FIRST=401 DAMAGE_CASES=300 tries others than those of every check; DAMAGE_SEED=121 one of them, with all that is said.
 */
#include <errno.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "daemon/io/loop.h"
#include "daemon/io/spool.h"
#include "daemon/io/vault.h"
#include "daemon/work/pipeline.h"
#include "tests/unit/state_scene.h"

#define DAYS_MS (3 * 24 * HOUR_MS)
#define MOST_TURNS 4000
#define CASES_IN_CHECK 120

/* How a case ended, as an exit status of its process. */
enum ending {
	ENDING_WHOLE = 10, /* every job as if nothing had been */
	ENDING_REFUSED,	   /* no start */
	ENDING_STOPPED,	   /* the daemon ended itself */
	ENDING_TOLD,	   /* a job is held or failed, or cannot be read; the others are whole */
	ENDING_SILENT,	   /* a job is not whole, and nothing says so */
	ENDING_RESENT,	   /* a batch was made again */
	ENDING_SPREAD,	   /* a job that was not damaged is not whole */
};

static const char *const endings[] = {
	[ENDING_WHOLE] = "whole", [ENDING_REFUSED] = "refused", [ENDING_STOPPED] = "stopped", [ENDING_TOLD] = "told",
	[ENDING_SILENT] = "silent", [ENDING_RESENT] = "sent again", [ENDING_SPREAD] = "spread",
};

/* One damage. */
struct harm {
	const char *name;
	enum state_deed deed;
	off_t at;
	int64_t job; /* the only one concerned; 0: any may be */
};

static struct state state;
static int64_t batches; /* that the provider has */
static char *results;	/* of the large job that is done */

static uint64_t next_random(uint64_t *dice)
{
	*dice ^= *dice << 13;
	*dice ^= *dice >> 7;
	*dice ^= *dice << 17;
	return *dice;
}

static struct harm draw(uint64_t seed)
{
	/* clang-format off */
	static const struct { const char *name; int64_t job; } places[] = {
		{ "batchd.db", 0 }, { "batchd.db", 0 }, { "batchd.db", 0 }, { "batchd.db", 0 }, { "batchd.db-wal", 0 },
		{ "batchd.db-wal", 0 }, { "batchd.db-wal", 0 },
		{ "files/1", 1 }, { "files/4", 1 }, { "jobs/1/rows", 1 }, { "jobs/1/shard-1.done", 1 }, 
		{ "jobs/1/shard-1.out", 1 }, { "jobs/4/rows", 4 }, { "files/6", 4 },
	};
	/* clang-format on */
	uint64_t dice = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	size_t place, kind;

	for (int i = 0; i < 8; i++)
		(void)next_random(&dice);
	place = next_random(&dice) % ARRAY_SIZE(places);
	kind = next_random(&dice) % 8;
	return (struct harm){ .name = places[place].name,
			      .job = places[place].job,
			      .deed = kind == 0 ? STATE_REMOVE : kind == 1 ? STATE_CUT : STATE_FLIP,
			      .at = (off_t)(next_random(&dice) >> 40) };
}

static bool open_daemon(struct world *world)
{
	auto_free char *path = xasprintf("%s/batchd.db", world->folder);
	struct spool *spool = NULL;
	struct store *store = NULL;
	struct vault *vault;
	struct error err = { 0 };
	int r = spool_open(world->folder, &spool, &err);

	if (!r)
		r = store_open(path, 1, &store, &err);
	if (r) {
		spool_close(spool);
		CU_ASSERT(err.text[0] != '\0');
		return false;
	}
	vault = vault_new(store, spool);
	r = vault_sweep(vault, &err);
	vault_free(vault);
	store_close(store);
	spool_close(spool);
	return r == 0;
}

/* Turns until nothing is due any more. False: the daemon ended itself. */
static bool run_daemon(struct world *world)
{
	int64_t end = world_now(world) + DAYS_MS;
	struct error err = { 0 };

	for (int turn = 0; turn < MOST_TURNS && world_now(world) < end; turn++) {
		loop_run_once(world->loop, 1);
		if (!store_commit(world->store, &err) && !world->fatal)
			continue;
		(void)fprintf(stderr, "# it stopped: %d %s\n", world->fatal, err.text);
		return false;
	}
	return true;
}

static void note_reason(const struct shard *shard, void *context)
{
	*(bool *)context |= shard->why != NULL;
}

static bool has_file(struct world *world, int64_t file)
{
	auto_vault_reader reader = VAULT_READER_NONE;

	return !file || !vault_open_file(world->vault, file, &reader, NULL);
}

/* Whether a job is as if nothing had been. */
static bool is_whole(struct world *world, int64_t number)
{
	struct error err = { 0 };
	auto_job job = { 0 };
	auto_free char *got = NULL;

	/* The world takes a result that is gone for its own end. */
	if (store_job_get(world->store, number, &job) || !has_file(world, job.output_file) ||
	    !has_file(world, job.error_file) || judge_job(world, number, state.inputs[number], &err))
		return false;
	if (number == STATE_FAILED)
		return job.state == JOB_FAILED;
	if (number == STATE_DONE_SMALL)
		return job.state == JOB_COMPLETED && job.counts.failed == STATE_SMALL;
	if (job.state != JOB_COMPLETED || job.counts.ok != job.counts.total)
		return false;
	if (number != STATE_DONE_LARGE)
		return true;
	got = world_file(world, job.output_file);
	return strcmp(got, results) == 0;
}

/* Whether somebody who looks at a job sees that something is wrong with it. */
static bool is_told(struct world *world, int64_t number)
{
	bool has_reason = false;
	auto_job job = { 0 };

	if (store_job_get(world->store, number, &job))
		return true;
	(void)store_shard_list(world->store, number, 0, 100, note_reason, &has_reason);
	return has_reason || job.why || (job.state == JOB_FAILED && number != STATE_FAILED) || job.counts.failed ||
	       job.counts.total != (number == STATE_LIVE_SMALL || number == STATE_DONE_SMALL ? STATE_SMALL : STATE_LARGE);
}

static enum ending judge(struct world *world, const struct harm *harm)
{
	enum ending ending = ENDING_WHOLE;

	if (world_ledger(world).batches > batches)
		return ENDING_RESENT;
	for (int64_t job = 1; job <= STATE_JOBS; job++) {
		if (is_whole(world, job))
			continue;
		if (harm->job && harm->job != job)
			return ENDING_SPREAD;
		/* What a job that is done hands out later is tested as it is handed out. */
		if (ending == ENDING_WHOLE)
			ending = ENDING_TOLD;
		if (job >= STATE_LIVE_LARGE && !is_told(world, job))
			ending = ENDING_SILENT;
	}
	return ending;
}

static enum ending live_through(struct world *world, const struct harm *harm)
{
	(void)snprintf(world->folder, sizeof(world->folder), "%.60s", state.place);
	if (!open_daemon(world))
		return ENDING_REFUSED;
	world->fatal = 0;
	world_start(world);
	if (!run_daemon(world))
		return ENDING_STOPPED;
	return judge(world, harm);
}

/* Returns the ending, or -1 when the process died. */
static int try_harm(const struct harm *harm)
{
	const struct rlimit limit = { .rlim_cur = 64 << 20, .rlim_max = 64 << 20 };
	int status = 0;
	pid_t pid = fork();

	CU_ASSERT_FATAL(pid >= 0);
	if (pid == 0) {
		(void)setrlimit(RLIMIT_FSIZE, &limit);
		(void)alarm(60);
		/* Damage is logged, as it should be; here it is wanted. */
		if (!getenv("DAMAGE_SEED") && !freopen("/dev/null", "w", stderr))
			_exit(1);
		_exit((int)live_through(state.world, harm));
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(pid, &status, 0), pid);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void check_harm(uint64_t seed, int64_t counts[])
{
	struct harm harm = draw(seed);
	auto_free char *row = NULL;
	auto_findings findings;
	int ending;

	state_run("rm -rf %s-copy && mkdir %s-copy", state.world->folder, state.world->folder);
	state_run("cp -a %s-died/. %s-copy/", state.world->folder, state.world->folder);
	(void)snprintf(state.place, sizeof(state.place), "%s-copy", state.world->folder);
	state_spoil(state.place, harm.name, harm.deed, harm.at);
	state_look(state.place, &findings);
	ending = try_harm(&harm);
	row = xasprintf("seed %llu: %s %d at %lld: %s, a look finds %lld", (unsigned long long)seed, harm.name,
			(int)harm.deed, (long long)harm.at,
			ending >= ENDING_WHOLE && ending <= ENDING_SPREAD ? endings[ending] : "crashed",
			(long long)findings.sums.damages);
	if (getenv("DAMAGE_SEED"))
		(void)fprintf(stderr, "# %s\n# %s", row, buffer_text(&findings.text));
	CHECK_ROW(row, ending == ENDING_WHOLE || ending == ENDING_REFUSED || ending == ENDING_STOPPED ||
			       ending == ENDING_TOLD);
	CHECK_ROW(row, findings.result != 0 || ending == ENDING_WHOLE);
	counts[ending >= ENDING_WHOLE && ending <= ENDING_SPREAD ? ending : 0]++;
	state_drop(&state);
}

static void is_found_or_harms_nobody(void)
{
	const char *one = getenv("DAMAGE_SEED");
	const char *many = getenv("DAMAGE_CASES");
	const char *from = getenv("DAMAGE_FIRST");
	uint64_t first = from ? strtoull(from, NULL, 10) : 1;
	uint64_t cases = many ? strtoull(many, NULL, 10) : CASES_IN_CHECK;
	int64_t counts[ENDING_SPREAD + 1] = { 0 };
	auto_job done = { 0 };

	state_begin(&state);
	world_start(state.world);
	batches = world_ledger(state.world).batches;
	done = world_job(state.world, STATE_DONE_LARGE);
	results = world_file(state.world, done.output_file);
	world_kill(state.world);
	if (one)
		check_harm(strtoull(one, NULL, 10), counts);
	for (uint64_t seed = first; !one && seed < first + cases; seed++)
		check_harm(seed, counts);
	for (size_t i = ENDING_WHOLE; i < ARRAY_SIZE(counts); i++)
		(void)printf("# %s: %lld\n", endings[i], (long long)counts[i]);
	free(results);
	state_end(&state);
}

CHECK_MAIN("damage", CHECK(is_found_or_harms_nobody))
