#include "tests/crash/power_trial.h"

#include <ftw.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/crash/power_check.h"
#include "tests/crash/power_disk.h"
#include "tests/crash/power_draw.h"
#include "tests/crash/power_picture.h"
#include "tests/crash/power_record.h"
#include "tests/crash/power_stage.h"

/* Far more than any takes; whoever is still at it then goes round in circles. */
#define PATIENCE_S 60

/* The process of a trial has one. */
static struct {
	const struct trial *trial;
	uint64_t dice;
	int64_t until_loss; /* effects */
	int lives;
} life;

static _Noreturn void end(const char *sentence)
{
	if (sentence)
		(void)fprintf(stderr, "%s\n", sentence);
	_exit(sentence ? EXIT_FAILURE : EXIT_SUCCESS);
}

static _Noreturn void live(const struct picture *picture);

/*
 * The recovery comes to the place where the power goes again. What is in memory is left as it is: nobody
 * returns there.
 */
static void on_effect(void *context)
{
	struct disk_op *const *ops;
	size_t count;
	enum fate *fates;

	(void)context;
	if (life.until_loss-- > 0)
		return;
	count = disk_pending(record_disk(), &ops);
	fates = xcalloc(count + 1, sizeof(*fates));
	draw_fates(draw_next(&life.dice), (int64_t)(draw_next(&life.dice) % 64), count, fates);
	live(picture_new(record_disk(), fates, draw_next(&life.dice)));
}

static _Noreturn void live(const struct picture *picture)
{
	const struct trial *trial = life.trial;
	struct world *world = trial->stage->world;
	auto_free char *folder = xasprintf("%s/%d", trial->room, ++life.lives);
	int64_t newest = world->newest;
	struct error err = { 0 };

	/* The machine is booted anew. */
	(void)setenv("BATCHD_BOOT_ID", folder, 1);
	record_abandon();
	world->network.post = (struct http_post){ 0 };
	if (mkdir(folder, 0700) < 0 || picture_draw(picture, folder))
		end("the disk cannot be made");
	world_lose_power(world, folder);
	if (trial->is_lost_again && life.lives == 1) {
		life.dice = trial->seed;
		life.until_loss = (int64_t)(draw_next(&life.dice) % (UINT64_C(1) << draw_next(&life.dice) % 10));
		if (record_start(folder, on_effect, NULL))
			end("the second life cannot be recorded");
	}
	stage_start(trial->stage);
	if (check_start(trial->stage, newest, &err))
		end(err.text);
	if (!stage_finish(trial->stage))
		end("a job does not come to its end");
	if (check_end(trial->stage, &err))
		end(err.text);
	end(NULL);
}

/* What the process said last. */
static void read_last_line(int fd, char *ret_sentence, size_t size)
{
	char text[2048];
	ssize_t got;
	char *line;
	off_t end_at = lseek(fd, 0, SEEK_END);

	got = pread(fd, text, sizeof(text) - 1, end_at > (off_t)sizeof(text) - 1 ? end_at - (off_t)sizeof(text) + 1 : 0);
	if (got < 0)
		got = 0;
	text[got] = 0;
	while (got > 0 && text[got - 1] == '\n')
		text[--got] = 0;
	line = strrchr(text, '\n');
	(void)snprintf(ret_sentence, size, "%s", line ? line + 1 : text);
}

static int remove_below(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type;
	return place->level ? remove(path) : 0;
}

bool trial_run(const struct trial *trial, char *ret_sentence, size_t size)
{
	auto_close int words = memfd_create("power", MFD_CLOEXEC);
	size_t said;
	pid_t child;
	int status = 0;

	(void)fflush(NULL);
	child = fork();
	if (child == 0) {
		(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
		(void)alarm(PATIENCE_S);
		if (!trial->is_loud)
			(void)dup2(words, STDERR_FILENO);
		life.trial = trial;
		live(trial->picture);
	}
	if (child < 0 || waitpid(child, &status, 0) != child) {
		(void)snprintf(ret_sentence, size, "no process could be started");
		return false;
	}
	(void)nftw(trial->room, remove_below, 8, FTW_DEPTH | FTW_PHYS);
	if (WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS)
		return true;
	read_last_line(words, ret_sentence, size);
	said = strlen(ret_sentence);
	if (WIFSIGNALED(status) && WTERMSIG(status) != SIGABRT)
		(void)snprintf(ret_sentence + said, size - said, " (signal %d)", WTERMSIG(status));
	return false;
}
