#include "tests/crash/trials_campaign.h"

#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/crash/trials_live.h"
#include "tests/crash/trials_schedule.h"

#define MOST_JOBS 64
#define MOST_FAILURES 4096
/* A trial that takes longer, of real time, goes round in circles. */
#define PATIENCE_S 120

/* clang-format off */
static const char *const kind_names[] = {
	[CAMPAIGN_SEEDS]   = "seed",
	[CAMPAIGN_SINGLES] = "single",
	[CAMPAIGN_PAIRS]   = "pair",
};
/* clang-format on */

/* What the processes write while they work, one each; it outlives them. */
struct worker {
	pid_t pid;
	int64_t next;	 /* number; all before it are done */
	bool is_at_work; /* on the one before next */
	struct campaign_result result;
};

struct board {
	struct worker workers[MOST_JOBS];
	int64_t failures[MOST_FAILURES];
	size_t failure_count;
};

static void *share(size_t size)
{
	void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		abort();
	return memory;
}

void campaign_schedule(enum campaign_kind kind, int64_t number, struct schedule *ret_schedule)
{
	switch (kind) {
	case CAMPAIGN_SEEDS:
		schedule_draw(ret_schedule, (uint64_t)number);
		break;
	case CAMPAIGN_SINGLES:
		schedule_single(ret_schedule, (size_t)number);
		break;
	case CAMPAIGN_PAIRS:
		schedule_pair(ret_schedule, (size_t)number);
		break;
	}
}

/*
 * Adds a failure; the processes are few and fail rarely, and a number that is overwritten was
 * counted all the same.
 */
static void note_failure(struct board *board, int64_t number)
{
	size_t at = __atomic_fetch_add(&board->failure_count, 1, __ATOMIC_SEQ_CST);

	if (at < MOST_FAILURES)
		board->failures[at] = number;
}

static void work_one(const struct campaign *campaign, struct board *board, struct worker *worker, int64_t number)
{
	struct trial_verdict verdict;
	struct schedule schedule;

	campaign_schedule(campaign->kind, number, &schedule);
	(void)alarm(PATIENCE_S);
	trial_live(&schedule, &verdict);
	worker->result.violations += verdict.is_violated;
	worker->result.idle += verdict.has_idle;
	worker->result.elapsed_ms += verdict.elapsed_ms;
	worker->result.deaths += verdict.deaths;
	worker->result.turns += verdict.turns;
	if (!verdict.is_violated)
		return;
	note_failure(board, number);
	(void)fprintf(campaign->out, "# %s %" PRId64 " fails\n", kind_names[campaign->kind], number);
	(void)fflush(campaign->out);
}

/* In a process of its own: every jobs-th of the numbers. */
static void work(const struct campaign *campaign, struct board *board, struct worker *worker)
{
	int64_t end = campaign->from + campaign->count * campaign->step;

	while (worker->next < end) {
		int64_t number = worker->next;

		worker->next += campaign->step * campaign->jobs;
		worker->result.schedules++;
		worker->is_at_work = true;
		work_one(campaign, board, worker, number);
		worker->is_at_work = false;
	}
	/* Not at once: a sanitizer has its say then. */
	exit(EXIT_SUCCESS);
}

static void employ(const struct campaign *campaign, struct board *board, struct worker *worker)
{
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0)
		work(campaign, board, worker);
	if (pid < 0)
		abort();
	worker->pid = pid;
}

/*
 * A process is gone: either it was through, or the trial it was at took it down, and the next one
 * goes on behind that.
 */
static void bury(const struct campaign *campaign, struct board *board, pid_t pid, int status, unsigned *left)
{
	struct worker *worker = board->workers;

	while (worker->pid != pid)
		worker++;
	if (!worker->is_at_work) {
		worker->result.violations += status != 0;
		--*left;
		return;
	}
	worker->is_at_work = false;
	worker->result.violations++;
	note_failure(board, worker->next - campaign->step * campaign->jobs);
	employ(campaign, board, worker);
}

static void add(struct campaign_result *sum, const struct campaign_result *result)
{
	sum->schedules += result->schedules;
	sum->violations += result->violations;
	sum->idle += result->idle;
	sum->elapsed_ms += result->elapsed_ms;
	sum->deaths += result->deaths;
	sum->turns += result->turns;
}

void campaign_try(const struct schedule *schedule, struct trial_verdict *ret_verdict)
{
	struct trial_verdict *shared = share(sizeof(*shared));
	int status = 0;
	pid_t pid;

	(void)fflush(NULL);
	pid = fork();
	if (pid == 0) {
		(void)alarm(PATIENCE_S);
		trial_live(schedule, shared);
		_exit(EXIT_SUCCESS);
	}
	(void)waitpid(pid, &status, 0);
	*ret_verdict = *shared;
	if (WIFSIGNALED(status)) {
		ret_verdict->is_violated = true;
		(void)snprintf(ret_verdict->what, sizeof(ret_verdict->what), "the process ended with signal %d (%s)",
			       WTERMSIG(status), strsignal(WTERMSIG(status)));
	}
	(void)munmap(shared, sizeof(*shared));
}

/* Takes the candidate for the schedule if it fails too. */
static bool takes(struct schedule *schedule, const struct schedule *candidate, struct trial_verdict *verdict)
{
	struct trial_verdict found;

	campaign_try(candidate, &found);
	if (!found.is_violated)
		return false;
	*schedule = *candidate;
	*verdict = found;
	return true;
}

static bool drop_event(struct schedule *schedule, size_t event, struct trial_verdict *verdict)
{
	struct schedule candidate = *schedule;

	candidate.count--;
	memmove(&candidate.events[event], &candidate.events[event + 1],
		(candidate.count - event) * sizeof(*candidate.events));
	return takes(schedule, &candidate, verdict);
}

static void drop_members(struct schedule *schedule, struct trial_verdict *verdict)
{
	const size_t count = sizeof(schedule->shape) / sizeof(int64_t);
	struct schedule usual;

	schedule_plain(&usual, schedule->seed);
	for (size_t i = 0; i < count; i++) {
		struct schedule candidate = *schedule;
		int64_t *member = (int64_t *)(void *)&candidate.shape + i;

		if (*member == *((int64_t *)(void *)&usual.shape + i))
			continue;
		*member = *((int64_t *)(void *)&usual.shape + i);
		(void)takes(schedule, &candidate, verdict);
	}
}

void campaign_shrink(struct schedule *schedule, struct trial_verdict *verdict)
{
	bool is_shorter = true;

	while (is_shorter) {
		is_shorter = false;
		for (size_t i = schedule->count; i-- > 0;)
			is_shorter |= drop_event(schedule, i, verdict);
	}
	drop_members(schedule, verdict);
}

static void tell(const struct campaign *campaign, int64_t number)
{
	struct trial_verdict verdict;
	struct schedule schedule;
	auto_free char *text = NULL;

	campaign_schedule(campaign->kind, number, &schedule);
	campaign_try(&schedule, &verdict);
	if (verdict.is_violated)
		campaign_shrink(&schedule, &verdict);
	text = schedule_text(&schedule);
	(void)fprintf(campaign->out, "%s %" PRId64 ": %s\n\t%s\n", kind_names[campaign->kind], number,
		      verdict.is_violated ? verdict.what : "fails only behind others", text);
	(void)fflush(campaign->out);
}

void campaign_run(const struct campaign *campaign, struct campaign_result *ret_result)
{
	struct board *board = share(sizeof(*board));
	unsigned left = campaign->jobs < MOST_JOBS ? campaign->jobs : MOST_JOBS;

	for (unsigned i = 0; i < left; i++) {
		board->workers[i].next = campaign->from + campaign->step * i;
		employ(campaign, board, &board->workers[i]);
	}
	while (left) {
		int status = 0;
		pid_t pid = wait(&status);

		if (pid > 0)
			bury(campaign, board, pid, status, &left);
	}
	*ret_result = (struct campaign_result){ 0 };
	for (size_t i = 0; i < MOST_JOBS; i++)
		add(ret_result, &board->workers[i].result);
	for (size_t i = 0; i < board->failure_count && i < MOST_FAILURES && (int64_t)i < campaign->most_told; i++)
		tell(campaign, board->failures[i]);
	(void)munmap(board, sizeof(*board));
}
