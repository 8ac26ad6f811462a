#include "tests/crash/power_campaign.h"

#include <errno.h>
#include <ftw.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/crash/power_check.h"
#include "tests/crash/power_disk.h"
#include "tests/crash/power_draw.h"
#include "tests/crash/power_picture.h"
#include "tests/crash/power_record.h"
#include "tests/crash/power_scenes.h"
#include "tests/crash/power_trial.h"

#define MAX_SEEN (1 << 20)	 /* a power of two */
#define MOST_VIOLATIONS 5	 /* of a run; whoever has so many is broken, and each takes long to boil down */
#define POINTS_AFTER_DEATH 40	 /* later ones are like those of a run without a death */
#define AGAIN_EVERY 5		 /* states in which the power goes twice */

#define MAX_FLUSHES 4096

/* What the processes of a campaign share. */
struct shared {
	atomic_int_fast64_t runs, points, states, again, violations;
	/* Of the latest run without a death. */
	int64_t effects;
	int64_t flushes[MAX_FLUSHES]; /* which effects those were */
	size_t flush_count;
};

/* A run, in a process of its own. */
static struct run {
	const struct campaign *campaign;
	struct shared *shared;
	const struct scene *scene;
	int64_t seed;
	int64_t death; /* at this effect; 0: none */
	int share;     /* which of the points are ours */
	time_t began;  /* the campaign */
	struct stage stage;
	sigjmp_buf behind; /* where it goes on after the death */
	char room[64];
	int64_t effects, points, violations;
	int64_t rebirth; /* the last point before the next process began */
	bool is_dead;
	uint64_t *seen; /* fingerprints, hashed */
} *run;

/* A state of the disk and what was drawn for it. */
struct state {
	int64_t number;
	size_t count;
	enum fate *fates;
	uint64_t tear;
	bool is_lost_again;
};

static bool is_new(uint64_t fingerprint)
{
	size_t at = (size_t)fingerprint & (MAX_SEEN - 1);

	while (run->seen[at] && run->seen[at] != fingerprint)
		at = (at + 1) & (MAX_SEEN - 1);
	if (run->seen[at])
		return false;
	run->seen[at] = fingerprint;
	return true;
}

static uint64_t point_seed(void)
{
	return draw_seed((uint64_t)run->seed, (uint64_t)run->points);
}

static bool holds(const struct state *state, struct picture *picture, char *ret_sentence, size_t size)
{
	const struct trial trial = {
		.stage = &run->stage,
		.picture = picture,
		.room = run->room,
		.is_loud = run->campaign->only_state >= 0,
		.is_lost_again = state->is_lost_again,
		.seed = state->tear,
	};

	return trial_run(&trial, ret_sentence, size);
}

/* Whether it still fails; the sentence is that of the failure. */
static bool still_fails(const struct state *state, char *sentence, size_t size)
{
	char now[512];
	struct picture *picture = picture_new(record_disk(), state->fates, state->tear);
	bool fails = !holds(state, picture, now, sizeof(now));

	picture_free(picture);
	if (fails)
		(void)snprintf(sentence, size, "%s", now);
	return fails;
}

/* Does one op after the other after all, as long as it still fails. */
static void boil_down(struct state *state, char *sentence, size_t size)
{
	if (state->is_lost_again) {
		state->is_lost_again = false;
		state->is_lost_again = !still_fails(state, sentence, size);
	}
	for (size_t i = 0; i < state->count; i++) {
		enum fate fate = state->fates[i];

		if (fate == FATE_DONE)
			continue;
		state->fates[i] = FATE_DONE;
		if (!still_fails(state, sentence, size))
			state->fates[i] = fate;
	}
}

static void tell(struct state *state, char *sentence, size_t size)
{
	struct disk_op *const *ops;
	auto_buffer text = { 0 };

	(void)disk_pending(record_disk(), &ops);
	buffer_add_format(&text, "VIOLATION: %s\n", sentence);
	boil_down(state, sentence, size);
	buffer_add_format(&text,
			  "  repeat: --scene %s --seed %" PRId64 " --death %" PRId64 " --point %" PRId64
			  " --state %" PRId64 "\n  boiled down: %s\n",
			  run->scene->name, run->seed, run->death, run->points, state->number, sentence);
	if (state->is_lost_again)
		buffer_add_text(&text, "    the power goes again while it recovers\n");
	for (size_t i = 0; i < state->count; i++)
		if (state->fates[i] != FATE_DONE) {
			auto_free char *words = disk_tell(record_disk(), ops[i]);

			buffer_add_format(&text, "    %s: %s\n", fate_name(state->fates[i]), words);
		}
	(void)fputs(buffer_text(&text), stdout);
	(void)fflush(stdout);
}

/* false: another draw led to the same. */
static bool try_state(struct state *state)
{
	char sentence[512];
	struct picture *picture;
	uint64_t fingerprint;
	bool is_fine;

	state->tear = draw_seed(point_seed(), (uint64_t)state->number + 1000);
	state->is_lost_again = state->tear % AGAIN_EVERY == 0 && state->number > 1;
	draw_fates(point_seed(), state->number, state->count, state->fates);
	picture = picture_new(record_disk(), state->fates, state->tear);
	fingerprint = draw_seed(picture_fingerprint(picture), (uint64_t)run->stage.world->network.calls);
	fingerprint = draw_seed(fingerprint, (uint64_t)run->stage.world->newest + (uint64_t)state->is_lost_again);
	if (!is_new(fingerprint | 1)) {
		picture_free(picture);
		return false;
	}
	is_fine = holds(state, picture, sentence, sizeof(sentence));
	picture_free(picture);
	run->shared->states++;
	run->shared->again += state->is_lost_again;
	if (!is_fine) {
		run->shared->violations++;
		run->violations++;
		tell(state, sentence, sizeof(sentence));
	}
	return true;
}

static bool is_over(const struct campaign *campaign, const struct shared *shared, time_t began)
{
	return (campaign->seconds && time(NULL) - began >= campaign->seconds) ||
	       (campaign->most_states && shared->states >= campaign->most_states);
}

static bool is_wanted(const struct campaign *campaign)
{
	if (run->violations >= MOST_VIOLATIONS || run->points % campaign->processes != run->share)
		return false;
	if (run->death && (!run->is_dead || run->points > run->rebirth + POINTS_AFTER_DEATH))
		return false;
	if (is_over(campaign, run->shared, run->began))
		return false;
	if (!campaign->only_point && run->points / campaign->processes % campaign->every != run->seed % campaign->every)
		return false;
	return !campaign->only_point || run->points == campaign->only_point;
}

/* The power may go here. */
static void on_point(void)
{
	const struct campaign *campaign = run->campaign;
	struct disk_op *const *ops;
	struct state state = { 0 };
	int64_t tried = 0;

	run->points++;
	if (!is_wanted(campaign))
		return;
	run->shared->points++;
	state.count = disk_pending(record_disk(), &ops);
	state.fates = xcalloc(state.count + 1, sizeof(*state.fates));
	if (campaign->only_state >= 0) {
		state.number = campaign->only_state;
		(void)try_state(&state);
	}
	/* Many draws lead to one that was there before; after too many of those the point is used up. */
	for (; campaign->only_state < 0 && tried < campaign->states && state.number < 4 * campaign->states; state.number++)
		tried += try_state(&state);
	free(state.fates);
}

static void on_effect(void *context)
{
	(void)context;
	run->effects++;
	if (!run->death && !run->share && record_is_flush() && run->shared->flush_count < MAX_FLUSHES)
		run->shared->flushes[run->shared->flush_count++] = run->effects;
	if (run->effects == run->death)
		siglongjmp(run->behind, 1);
	on_point();
}

static void on_arrived(const char *method, const char *path, const struct sim_answer *answer, void *context)
{
	(void)method, (void)path, (void)answer, (void)context;
	on_point();
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

/* The process is dead, and another one starts on all that it wrote. */
static int live_on(struct error *err)
{
	auto_free char *dead = xstrdup(run->stage.world->folder);
	char folder[64];
	struct disk_op *const *ops;
	size_t count = disk_pending(record_disk(), &ops);
	auto_free enum fate *fates = xcalloc(count + 1, sizeof(*fates));
	struct picture *picture = picture_new(record_disk(), fates, 0);
	int64_t newest = run->stage.world->newest;
	int r;

	run->is_dead = true;
	run->rebirth = run->points;
	(void)snprintf(folder, sizeof(folder), "%.50s-2", dead);
	r = mkdir(folder, 0700) < 0 ? -errno : picture_draw(picture, folder);
	picture_free(picture);
	if (r)
		return error_set(err, r, "the folder of the dead cannot be copied");
	world_lose_power(run->stage.world, folder);
	record_move(folder);
	(void)nftw(dead, remove_one, 8, FTW_DEPTH | FTW_PHYS);
	stage_start(&run->stage);
	r = check_start(&run->stage, newest, err);
	if (!r && !stage_finish(&run->stage))
		r = error_set(err, -EINVAL, "a job does not come to its end");
	return r;
}

/* The scene, or its beginning and what comes after a death. */
static int play_scene(struct error *err)
{
	if (sigsetjmp(run->behind, 0))
		return live_on(err);
	stage_start(&run->stage);
	run->scene->play(&run->stage);
	return 0;
}

/* One run, all of it, but for the points of others. */
static int play(struct error *err)
{
	struct world *world;
	int r;

	scene_set(run->scene, &run->stage, (uint64_t)run->seed);
	world = run->stage.world;
	(void)snprintf(run->room, sizeof(run->room), "%.40s-room", world->folder);
	if (mkdir(run->room, 0700) < 0)
		return error_set(err, -errno, "no room for the disks: %s", error_name(errno));
	r = record_start(world->folder, on_effect, NULL);
	if (r)
		return error_set(err, r, "%s cannot be recorded", world->folder);
	world->network.post.on_arrived = on_arrived;
	r = play_scene(err);
	if (!r)
		r = check_end(&run->stage, err);
	record_stop();
	world_free(world);
	(void)rmdir(run->room);
	stage_release(&run->stage);
	return r;
}

/* The process of a run. */
static _Noreturn void be_run(void)
{
	struct error err = { 0 };

	/* Nobody is left behind when the campaign is ended from outside. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	run->seen = xcalloc(MAX_SEEN, sizeof(*run->seen));
	if (play(&err)) {
		(void)printf("VIOLATION: %s, seed %" PRId64 ", death %" PRId64 ", with the power there: %s\n",
			     run->scene->name, run->seed, run->death, err.text);
		run->shared->violations++;
	}
	if (!run->death && !run->share)
		run->shared->effects = run->effects;
	(void)fflush(stdout);
	_exit(EXIT_SUCCESS);
}

/* One run in as many processes as are wanted, each with its share of the points. */
static int run_once(struct run *plan)
{
	int r = 0, started = 0;

	(void)fflush(stdout);
	for (; started < plan->campaign->processes; started++) {
		pid_t child = fork();

		if (child < 0)
			r = -errno;
		if (child < 0)
			break;
		if (child)
			continue;
		plan->share = started;
		run = plan;
		be_run();
	}
	while (started-- > 0) {
		int status = 0;

		if (wait(&status) < 0 || !WIFEXITED(status) || WEXITSTATUS(status) != EXIT_SUCCESS) {
			(void)printf("VIOLATION: %s, seed %" PRId64 ", death %" PRId64 ": its process ended with status %d\n",
				     plan->scene->name, plan->seed, plan->death, status);
			plan->shared->violations++;
		}
	}
	plan->shared->runs++;
	return r;
}

/* Every other one comes between what was written and its flush, where the dead leave most behind. */
static int64_t draw_death(const struct shared *shared, uint64_t *dice)
{
	if (draw_next(dice) % 2 && shared->flush_count)
		return shared->flushes[draw_next(dice) % shared->flush_count];
	return 1 + (int64_t)(draw_next(dice) % (uint64_t)(shared->effects + 1));
}

/* A scene with one seed: to its end, and with a death at several effects. */
static int run_deaths(struct run *plan)
{
	const struct campaign *campaign = plan->campaign;
	uint64_t dice = draw_seed((uint64_t)plan->seed, 0x6465617468);
	int r = 0;

	plan->shared->flush_count = 0;
	plan->death = campaign->only_death > 0 ? campaign->only_death : 0;
	r = run_once(plan);
	for (int64_t i = 0; i < campaign->deaths && campaign->only_death < 0 && !r; i++) {
		if (is_over(campaign, plan->shared, plan->began))
			break;
		plan->death = draw_death(plan->shared, &dice);
		r = run_once(plan);
	}
	return r;
}

int campaign_run(const struct campaign *campaign, struct campaign_report *ret_report)
{
	struct shared *shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	time_t began = time(NULL);
	int r = 0;

	if (shared == MAP_FAILED)
		return -errno;
	for (int64_t i = 0; i < campaign->seeds && !r; i++) {
		const struct scene *scene;

		for (size_t place = 0; (scene = scene_at(place)) && !r; place++) {
			struct run plan = {
				.campaign = campaign,
				.shared = shared,
				.scene = scene,
				.seed = campaign->first_seed + i,
				.began = began,
			};

			if (campaign->scene ? strcmp(campaign->scene, scene->name) != 0 :
					      is_over(campaign, shared, began) || (scene->is_heavy && i % 8))
				continue;
			r = run_deaths(&plan);
		}
	}
	*ret_report = (struct campaign_report){ shared->runs, shared->points, shared->states, shared->again,
						shared->violations };
	(void)munmap(shared, sizeof(*shared));
	return r;
}
