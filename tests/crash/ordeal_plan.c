#include "tests/crash/ordeal.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

#define HEALED_MS    15000 /* within this all is well again */
#define ONCE_MS	     4000  /* one error alone costs no longer, beside what the scene takes without any, */
#define USUAL_TIMES  5	   /* and that so often: a busy machine is no fault */
#define TROUBLE_MS   80	   /* for so long it lasts, once it was met */
#define SHORT_MS     60	   /* patience meanwhile */
#define PAUSE_US     2000
#define MOST_WAKEUPS 20 /* a millisecond: more is a spin */
#define ALLOCATIONS  400 /* points of a scene, if nobody says how many */
#define SECOND_DEATH 300 /* the second of a pair comes within so many calls */
#define MISSES	     3   /* trials without the call, one after the other: it was the last */
#define FLOOD_LINES  400 /* of log, in one trial */

#define DEATH_CALLS                                                                                                    \
	"write,writev,pwrite64,pwritev,fsync,fdatasync,sync_file_range,ftruncate,rename,renameat,linkat,unlink,unlinkat," \
	"mkdir,mkdirat,open,openat,bind,listen,connect,accept,send,sendto,sendmsg,sendfile,recv,recvfrom,recvmsg"
#define GROWTH_CALLS                                                                                                 \
	"write,writev,pwrite64,pwritev,fsync,fdatasync,sync_file_range,ftruncate,rename,renameat,linkat,mkdir,mkdirat," \
	"open,openat"
#define FILE_CALLS  "read,pread64,write,writev,pwrite64,pwritev"
#define BYTES_CALLS FILE_CALLS ",send,sendto,sendmsg,sendfile,recv,recvfrom"
#define OPENING_CALLS "open,openat,socket,accept,fcntl,eventfd,epoll_create"

enum { EXIT_UNAVAILABLE = 69, EXIT_CANTCREAT = 73, EXIT_IO = 74, EXIT_NO_PERMISSION = 77, EXIT_CONFIGURED = 78 };

/* clang-format off */
static const struct row {
	const char *kind, *name;
	enum deed deed;
	int code;
	enum only only;
	bool is_lasting;
	const char *calls;
} rows[] = {
	{ "deaths", "before",      DEED_DIE,       0, ONLY_ALL, false, DEATH_CALLS },
	{ "deaths", "after",       DEED_DIE_AFTER, 0, ONLY_ALL, false, DEATH_CALLS },
	{ "allocations", "once",   DEED_FAIL, ENOMEM, ONLY_ALL, false, "malloc" },
	{ "allocations", "from then on", DEED_FAIL, ENOMEM, ONLY_ALL, true, "malloc" },
	{ "errors", "EIO",         DEED_FAIL, EIO,    ONLY_FILES,   false, "read,pread64," GROWTH_CALLS ",unlink,unlinkat,readdir,sendfile" },
	{ "errors", "EIO on",      DEED_FAIL, EIO,    ONLY_FILES,   true,  "read,pread64," GROWTH_CALLS ",unlink,unlinkat,readdir,sendfile" },
	{ "errors", "ENOSPC",      DEED_FAIL, ENOSPC, ONLY_GROWTH,  false, GROWTH_CALLS },
	{ "errors", "ENOSPC on",   DEED_FAIL, ENOSPC, ONLY_GROWTH,  true,  GROWTH_CALLS },
	{ "errors", "EDQUOT",      DEED_FAIL, EDQUOT, ONLY_GROWTH,  false, GROWTH_CALLS },
	{ "errors", "EDQUOT on",   DEED_FAIL, EDQUOT, ONLY_GROWTH,  true,  GROWTH_CALLS },
	{ "errors", "EMFILE",      DEED_FAIL, EMFILE, ONLY_ALL,     false, OPENING_CALLS },
	{ "errors", "EMFILE on",   DEED_FAIL, EMFILE, ONLY_ALL,     true,  OPENING_CALLS },
	{ "errors", "ENFILE",      DEED_FAIL, ENFILE, ONLY_ALL,     false, OPENING_CALLS },
	{ "errors", "ENFILE on",   DEED_FAIL, ENFILE, ONLY_ALL,     true,  OPENING_CALLS },
	{ "errors", "ENOMEM",      DEED_FAIL, ENOMEM, ONLY_ALL,     false, "open,openat,mmap,socket,accept,connect,send,sendmsg,sendfile,recv,epoll_ctl" },
	{ "errors", "ENOMEM on",   DEED_FAIL, ENOMEM, ONLY_ALL,     true,  "open,openat,mmap,socket,accept,connect,send,sendmsg,sendfile,recv,epoll_ctl" },
	{ "errors", "EINTR",       DEED_FAIL, EINTR,  ONLY_ALL,     false, BYTES_CALLS ",accept,poll,epoll_wait" },
	{ "errors", "EINTR on",    DEED_FAIL, EINTR,  ONLY_ALL,     true,  BYTES_CALLS ",accept,poll,epoll_wait" },
	{ "errors", "short",       DEED_SHORTEN, 0,   ONLY_FILES,   false, FILE_CALLS },
	{ "errors", "short on",    DEED_SHORTEN, 0,   ONLY_FILES,   true,  FILE_CALLS },
};
/* clang-format on */

static const struct row *find_row(const struct campaign *campaign, size_t index)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		if (strcmp(rows[i].kind, campaign->kind) != 0)
			continue;
		if (campaign->only && strcmp(rows[i].name, campaign->only) != 0)
			continue;
		if (!index--)
			return &rows[i];
	}
	return NULL;
}

bool campaign_plan(const struct campaign *campaign, size_t index, struct plan *ret_plan, const char **ret_name)
{
	const struct row *row = find_row(campaign, index);

	if (!row)
		return false;
	*ret_name = row->name;
	*ret_plan = (struct plan){ .calls = board_calls(row->calls),
				   .deed = row->deed,
				   .code = row->code,
				   .only = row->only,
				   .is_lasting = row->is_lasting };
	return true;
}

static const char *hit_call(const struct board *board)
{
	return board->hits ? board_call_name((enum call)board->hit_call) : "no call";
}

void campaign_count(struct ordeal *ordeal, struct campaign *campaign, const char *scene, const char *name)
{
	const struct board *board = ordeal->board;
	int64_t at = ordeal->plan ? ordeal->plan->at : 0;
	const char *place = board->hit_place;
	char *rest, *line;

	if (!ordeal->complaints.size)
		return;
	campaign->violations++;
	if (strncmp(place, ordeal->folder, strlen(ordeal->folder)) == 0)
		place += strlen(ordeal->folder) + 1;
	rest = (char *)(uintptr_t)buffer_text(&ordeal->complaints);
	while ((line = strsep(&rest, "\n")))
		if (*line)
			(void)printf("%s, %s at %" PRId64 " (%s %s): %s\n", scene, name, at, hit_call(board), place, line);
	(void)fflush(stdout);
	buffer_clear(&ordeal->complaints);
}

/* --- the judgement --- */

static size_t count_lines(struct buffer *log)
{
	size_t count = 0;

	for (size_t i = 0; i < log->size; i++)
		count += log->data[i] == '\n';
	return count;
}

static bool is_start(const struct ordeal *ordeal)
{
	struct buffer *log = (struct buffer *)(uintptr_t)&ordeal->log;

	return !strstr(buffer_text(log), "batchd: ready ");
}

static bool is_flush(const struct board *board)
{
	return board->hit_call == CALL_FSYNC || board->hit_call == CALL_FDATASYNC;
}

static bool may_end_with(const struct ordeal *ordeal, int status)
{
	bool is_refused = is_start(ordeal) && (status == EXIT_UNAVAILABLE || status == EXIT_CANTCREAT || status == EXIT_IO ||
					       status == EXIT_CONFIGURED);

	switch (ordeal->plan->deed) {
	case DEED_NONE:
	case DEED_SHORTEN:
		return false;
	case DEED_DIE:
	case DEED_DIE_AFTER:
		return status == 128 + SIGKILL;
	case DEED_FAIL:
		break;
	}
	/* After a flush of the store that failed, for whatever reason, there is no going on. */
	if (status == EXIT_IO && is_flush(ordeal->board) && strstr(ordeal->board->hit_place, "/batchd.db"))
		return true;
	switch (ordeal->plan->code) {
	case EIO:
		/* A stop may come while it ends. */
		return status == EXIT_IO || status == 128 + SIGTERM;
	case EINTR:
		return false;
	case ENOMEM:
		return is_refused || status == 128 + SIGABRT || status == EXIT_IO;
	default:
		return is_refused;
	}
}

/* The last lines of its log, as one. */
static const char *last_words(struct ordeal *ordeal)
{
	static char words[600];
	const char *log, *at;

	(void)daemon_is_alive(ordeal);
	log = buffer_text(&ordeal->log);
	at = log + strlen(log);
	for (int lines = 0; at > log && lines < 4; lines += *at == '\n')
		at--;
	(void)snprintf(words, sizeof(words), "%s", at);
	for (char *byte = words; *byte; byte++)
		if (*byte == '\n')
			*byte = ';';
	return words;
}

/* Of a daemon with trouble that has ended. */
static void judge_end(struct ordeal *ordeal, struct campaign *campaign)
{
	bool is_allocation = ordeal->plan->calls == UINT64_C(1) << CALL_MALLOC;

	if (is_allocation && ordeal->status == 128 + SIGSEGV)
		campaign->crashes++;
	else if (ordeal->status && !may_end_with(ordeal, ordeal->status))
		complain(ordeal, "it ended with %d: %s", ordeal->status, last_words(ordeal));
	if (ordeal->board->flushed_again)
		complain(ordeal, "flushed again after a failure: %s", ordeal->board->flushed_place);
	if (count_lines(&ordeal->log) > FLOOD_LINES)
		complain(ordeal, "it said %zu lines: %s", count_lines(&ordeal->log), last_words(ordeal));
}

/* --- one trial --- */

/* Trouble that lasts, from when it was met. */
struct spell {
	int64_t since_ms, cpu_ns;
	long wakeups;
};

static void begin_spell(const struct ordeal *ordeal, struct spell *spell)
{
	*spell = (struct spell){ .since_ms = now_ms(), .cpu_ns = daemon_cpu_ns(ordeal), .wakeups = ordeal->board->wakeups };
}

static void end_spell(struct ordeal *ordeal, const struct spell *spell)
{
	int64_t lasted_ms = now_ms() - spell->since_ms;
	int64_t busy_ms = (daemon_cpu_ns(ordeal) - spell->cpu_ns) / 1000000;
	long wakeups = ordeal->board->wakeups - spell->wakeups;

	ordeal_arm(ordeal, false);
	ordeal->patience_ms = HEALED_MS;
	if (ordeal->plan->code != EINTR && (busy_ms * 10 > lasted_ms * 8 || wakeups > lasted_ms * MOST_WAKEUPS))
		complain(ordeal, "it spins: in %" PRId64 " ms %" PRId64 " ms busy, %ld wakeups", lasted_ms, busy_ms, wakeups);
}

/* Has the scene's will done, however often it must be said, while the daemon lives. Trouble that lasts ends after a while. */
static void persist(struct ordeal *ordeal, const struct scene *scene)
{
	bool lasts = ordeal->is_killable && ordeal->plan->is_lasting;
	int64_t began = now_ms();
	struct spell spell = { 0 };

	ordeal->patience_ms = lasts ? SHORT_MS : HEALED_MS;
	while (daemon_is_alive(ordeal)) {
		if (scene->act(ordeal))
			break;
		if (!spell.since_ms && ordeal->board->hits && ordeal->board->is_armed)
			begin_spell(ordeal, &spell);
		if (lasts && ordeal->board->is_armed && spell.since_ms && now_ms() - spell.since_ms > TROUBLE_MS &&
		    daemon_is_alive(ordeal))
			end_spell(ordeal, &spell);
		if (now_ms() - began > HEALED_MS + TROUBLE_MS) {
			complain(ordeal, "it is not well again: %s", last_words(ordeal));
			break;
		}
		(void)usleep(PAUSE_US);
	}
	if (!ordeal->plan)
		ordeal->usual_ms = now_ms() - began;
	else if (ordeal->is_killable && !lasts && now_ms() - began > ONCE_MS + USUAL_TIMES * ordeal->usual_ms)
		complain(ordeal, "it took %" PRId64 " ms: %s", now_ms() - began, last_words(ordeal));
	ordeal->patience_ms = HEALED_MS;
}

static void fresh(struct ordeal *ordeal, const struct scene *scene)
{
	daemon_end(ordeal, SIGKILL);
	remove_tree(ordeal->state);
	sim_tell(ordeal, "/sim/reset", "");
	ordeal->input = scene->input;
	if (scene->before)
		scene->before(ordeal);
}

static void compare(struct ordeal *ordeal, const struct scene *scene)
{
	struct look look;

	look_take(ordeal, &look);
	look_compare(ordeal, scene->mask, ordeal->wanted, &look);
	look_release(&look);
}

static void finish(struct ordeal *ordeal)
{
	daemon_end(ordeal, SIGTERM);
	if (ordeal->status)
		complain(ordeal, "its stop ended with %d: %s", ordeal->status, last_words(ordeal));
}

/* The ordinary daemon goes on from what is on disk. */
static void recover(struct ordeal *ordeal, const struct scene *scene)
{
	if (!daemon_start(ordeal, ordeal->batchd)) {
		complain(ordeal, "the next start ends with %d: %s", ordeal->status, last_words(ordeal));
		return;
	}
	persist(ordeal, scene);
	compare(ordeal, scene);
	finish(ordeal);
}

/* The daemon with trouble, from its start to its end. */
static void suffer(struct ordeal *ordeal, struct campaign *campaign, const struct scene *scene, bool from_start)
{
	bool is_deadly = ordeal->plan->deed == DEED_DIE || ordeal->plan->deed == DEED_DIE_AFTER;

	ordeal_arm(ordeal, from_start);
	if (daemon_start(ordeal, ordeal->killable)) {
		if (!from_start)
			scene->setup(ordeal);
		ordeal_arm(ordeal, true);
		persist(ordeal, scene);
	}
	ordeal_arm(ordeal, false);
	if (daemon_is_alive(ordeal) && is_deadly) {
		daemon_end(ordeal, ordeal->board->hits ? SIGKILL : SIGTERM);
	} else if (daemon_is_alive(ordeal)) {
		size_t complaints = ordeal->complaints.size;

		compare(ordeal, scene);
		finish(ordeal);
		/* It was dying while it was looked at: how, is judged below. */
		if (ordeal->status)
			ordeal->complaints.size = complaints;
	}
	if (ordeal->board->hits)
		judge_end(ordeal, campaign);
}

/* A trial of the daemon. */
struct course {
	struct campaign *campaign;
	const struct scene *scene;
};

static enum trial run_trial(struct ordeal *ordeal, const struct plan *plan, void *context)
{
	const struct course *course = context;
	enum trial trial;

	ordeal_plan(ordeal, plan);
	fresh(ordeal, course->scene);
	suffer(ordeal, course->campaign, course->scene, !course->scene->setup);
	trial = ordeal->board->hits ? TRIAL_HIT : TRIAL_MISSED;
	if (trial == TRIAL_HIT)
		recover(ordeal, course->scene);
	return trial;
}

static void run_undisturbed(struct ordeal *ordeal, const struct scene *scene, struct look *ret_look)
{
	ordeal_plan(ordeal, NULL);
	fresh(ordeal, scene);
	if (!daemon_start(ordeal, ordeal->batchd))
		complain(ordeal, "the undisturbed start ends with %d: %s", ordeal->status, last_words(ordeal));
	if (scene->setup)
		scene->setup(ordeal);
	persist(ordeal, scene);
	look_take(ordeal, ret_look);
	finish(ordeal);
}

/* --- campaigns --- */

/* How many calls of the plan there are. */
static int64_t count_calls(struct ordeal *ordeal, const struct points *points)
{
	struct plan counting = *points->plan;

	counting.at = 0;
	counting.is_lasting = false;
	(void)points->run(ordeal, &counting, points->context);
	return ordeal->board->count;
}

static bool is_mine(const struct campaign *campaign, int64_t number)
{
	return number % campaign->parts == campaign->part;
}

static int64_t choose_stride(const struct campaign *campaign, const struct points *points, int64_t total)
{
	if (campaign->stride)
		return campaign->stride;
	if (points->stride == 1 && strcmp(campaign->kind, "allocations") == 0)
		return total / ALLOCATIONS + 1;
	return points->stride;
}

/* Where runs differ in length, the longest ones count: the end is where several in a row have no such call. */
void campaign_points(struct ordeal *ordeal, struct campaign *campaign, const struct points *points)
{
	int64_t tried = campaign->tried, violations = campaign->violations, misses = 0, number = 0;
	int64_t total = count_calls(ordeal, points);
	int64_t stride = choose_stride(campaign, points, total);
	struct plan *plan = points->plan;

	campaign_count(ordeal, campaign, points->scene, points->row);
	for (plan->at = campaign->first; plan->at <= campaign->last && misses < MISSES; plan->at += stride) {
		bool is_hit;

		if (!is_mine(campaign, number++))
			continue;
		is_hit = points->run(ordeal, plan, points->context) == TRIAL_HIT;
		campaign_count(ordeal, campaign, points->scene, points->row);
		campaign->tried += is_hit;
		misses = is_hit ? 0 : misses + 1;
	}
	(void)printf("# %s, %s: %" PRId64 " calls, every %" PRId64 ": %" PRId64 " points, %" PRId64 " violations\n", points->scene,
		     points->row, total, stride, campaign->tried - tried, campaign->violations - violations);
	(void)fflush(stdout);
}

/* splitmix64 */
static uint64_t draw(uint64_t *seed)
{
	uint64_t z = *seed += UINT64_C(0x9e3779b97f4a7c15);

	z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
	return z ^ z >> 31;
}

/* A death, and another one while that is recovered from. */
static void run_pair(struct ordeal *ordeal, struct campaign *campaign, const struct scene *scene, struct plan plan,
		     const int64_t at[2], const enum deed deeds[2])
{
	auto_free char *name = xasprintf("%s at %" PRId64 ", then %s", deeds[0] == DEED_DIE ? "before" : "after", at[0],
					 deeds[1] == DEED_DIE ? "before" : "after");

	plan.at = at[0];
	plan.deed = deeds[0];
	ordeal_plan(ordeal, &plan);
	fresh(ordeal, scene);
	suffer(ordeal, campaign, scene, !scene->setup);
	plan.at = at[1];
	plan.deed = deeds[1];
	ordeal_plan(ordeal, &plan);
	suffer(ordeal, campaign, scene, true);
	campaign->pairs_tried += ordeal->board->hits > 0;
	recover(ordeal, scene);
	campaign_count(ordeal, campaign, scene->name, name);
}

static void run_pairs(struct ordeal *ordeal, struct campaign *campaign, const struct scene *scene)
{
	static const enum deed deeds[] = { DEED_DIE, DEED_DIE_AFTER };
	struct plan plan = { .calls = board_calls(DEATH_CALLS), .deed = DEED_DIE };
	uint64_t seed = campaign->seed;
	struct course course = { campaign, scene };
	int64_t total = count_calls(ordeal, &(struct points){ scene->name, "pairs", &plan, 1, run_trial, &course });

	for (const char *letter = scene->name; *letter; letter++)
		seed = seed * 31 + (unsigned char)*letter;
	for (int64_t i = 0; i < campaign->pairs && total; i++) {
		const int64_t at[2] = { (int64_t)(draw(&seed) % (uint64_t)total) + 1, (int64_t)(draw(&seed) % SECOND_DEATH) + 1 };
		uint64_t dice = draw(&seed);
		const enum deed two[2] = { deeds[dice & 1], deeds[dice >> 1 & 1] };

		if (is_mine(campaign, i))
			run_pair(ordeal, campaign, scene, plan, at, two);
	}
}

void campaign_run(struct ordeal *ordeal, struct campaign *campaign, const struct scene *scene)
{
	struct course course = { campaign, scene };
	struct look wanted;
	struct plan plan;
	const char *name;

	ordeal->wanted = NULL;
	run_undisturbed(ordeal, scene, &wanted);
	campaign_count(ordeal, campaign, scene->name, "undisturbed");
	ordeal->wanted = &wanted;
	for (size_t i = 0; campaign_plan(campaign, i, &plan, &name); i++)
		campaign_points(ordeal, campaign,
				&(struct points){ scene->name, name, &plan, scene->stride ? scene->stride : 1, run_trial, &course });
	if (campaign->pairs && !scene->has_died && strcmp(campaign->kind, "deaths") == 0)
		run_pairs(ordeal, campaign, scene);
	look_release(&wanted);
}
