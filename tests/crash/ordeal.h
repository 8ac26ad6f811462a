/*
 * Who troubles the real programs: a scene is brought about, trouble comes at the N-th call of it, and then all
 * must be as it was in the undisturbed run. The folder of a trial holds batchd.conf, the inputs NAME.jsonl and
 * sim.sock; the daemon's state and socket lie beside them, as tests/system/lib.sh has them.
 */
#ifndef BATCHD_TESTS_CRASH_ORDEAL_H
#define BATCHD_TESTS_CRASH_ORDEAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "daemon/base/buffer.h"
#include "tests/crash/board.h"

#define ORDEAL_JOBS 8

/* What there is to see at the end of a scene. */
struct look {
	long jobs;
	char *results[ORDEAL_JOBS]; /* one line per request */
	char *states[ORDEAL_JOBS];  /* the history's, without what a doubt or another try adds */
	char *kinds[ORDEAL_JOBS];   /* the same, sorted, without the numbers of shards */
	char *files;		    /* of the state folder */
	char *requests;		    /* how often each was asked and answered */
	char *answers;		    /* the same, without how often it was asked */
	long batches;
};

/* What of it must be the same after trouble, besides jobs, results, answers, and that there is neither gap nor litter. */
enum {
	LOOK_STATES = 1 << 0,
	LOOK_KINDS = 1 << 1,
	LOOK_FILES = 1 << 2,
	LOOK_REQUESTS = 1 << 3,
	LOOK_BATCHES = 1 << 4,
	LOOK_ALL = LOOK_STATES | LOOK_FILES | LOOK_REQUESTS | LOOK_BATCHES,
	LOOK_TRIES = LOOK_KINDS,
};

/* One way to make trouble. */
struct plan {
	uint64_t calls;
	enum deed deed;
	int code;
	enum only only;
	int64_t at;
	bool is_lasting;
};

struct ordeal {
	/* Places, and programs. */
	const char *folder;
	char *state, *door, *sim;
	char *batchd, *batchctl, *killable, *killable_client;

	/* The daemon. */
	struct board *board;
	pid_t pid;
	int watch;	   /* pidfd; -1: there is none */
	int words;	   /* its standard error */
	struct buffer log; /* what it said */
	bool is_killable;
	int status; /* of the last end, as a shell says it: 137 for SIGKILL */

	/* The trial under way. */
	const struct plan *plan;   /* NULL: no trouble; else kept */
	struct plan kept;
	const struct look *wanted; /* NULL: the undisturbed run */
	const char *input;
	int patience_ms; /* for an answer */
	int64_t usual_ms; /* what the scene took without trouble */
	struct buffer complaints;
};

struct answer {
	int status; /* 0: none came */
	struct buffer text;
	bool is_whole;
};

/* --- ordeal_process.c --- */

/* Milliseconds that only grow. */
int64_t now_ms(void);
void ordeal_open(struct ordeal *ordeal);
void ordeal_close(struct ordeal *ordeal);
/* One complaint about the trial. */
void complain(struct ordeal *ordeal, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* The plan comes to the board; it counts from ordeal_arm on. */
void ordeal_plan(struct ordeal *ordeal, const struct plan *plan);
void ordeal_arm(struct ordeal *ordeal, bool is_armed);
/* Starts program; with trouble if it is a killable one. False: it died before it was ready. */
bool daemon_start(struct ordeal *ordeal, const char *program);
bool daemon_is_alive(struct ordeal *ordeal);
/* Sends the signal, if it lives, and waits for the end; one that does not end is a complaint. */
void daemon_end(struct ordeal *ordeal, int signal_number);
/* Nanoseconds of CPU time it has used. */
int64_t daemon_cpu_ns(const struct ordeal *ordeal);
/*
 * Runs a program to its end: status as a shell says it. Its standard output and error go to FOLDER/client.out and .err, and
 * a pipe with the bytes of a small file, or nothing, comes in.
 */
int run_client(struct ordeal *ordeal, const char *program, const char *const *arguments, const char *input);
/* Removes all below a folder, and the folder. */
void remove_tree(const char *path);
/* A file's bytes as a string; "" when it is not there. The caller frees. */
char *file_text(const char *path, size_t *ret_size);

/* --- ordeal_door.c --- */

/* Among the headers: the body is in chunks already. */
#define ASK_CHUNKED "Transfer-Encoding: chunked\r\n"
/* One HTTP call on a connection of its own. headers end with CR LF each, or NULL. */
void ask(struct ordeal *ordeal, const char *socket_path, const char *method, const char *path, const char *headers,
	 const char *body, size_t size, struct answer *ret_answer);
/* The same in two parts, so that several are under way; a connection, or -1. */
int ask_begin(struct ordeal *ordeal, const char *socket_path, const char *method, const char *path,
	      const char *headers, const char *body, size_t size);
void ask_end(struct ordeal *ordeal, int fd, struct answer *ret_answer);
void answer_release(struct answer *answer);
#define auto_answer __attribute__((cleanup(answer_release))) struct answer
/* The API's control door. */
void sim_tell(struct ordeal *ordeal, const char *path, const char *body);
char *sim_text(struct ordeal *ordeal, const char *path);

/* --- ordeal_look.c --- */

void look_take(struct ordeal *ordeal, struct look *ret_look);
void look_release(struct look *look);
/* Complains of all that differs from what is wanted. */
void look_compare(struct ordeal *ordeal, unsigned mask, const struct look *wanted, const struct look *got);

/* --- ordeal_scenes.c --- */

struct scene {
	const char *name;
	const char *input; /* NAME.jsonl of the folder */
	unsigned mask;
	/* With a daemon without trouble, which is gone when it returns; NULL: nothing was before. */
	void (*before)(struct ordeal *ordeal);
	/* When the daemon is there, before trouble begins. NULL: trouble begins with the daemon's start. */
	void (*setup)(struct ordeal *ordeal);
	/* All that is wanted, said as often as needed; true: it has come about. */
	bool (*act)(struct ordeal *ordeal);
	int stride; /* every so manieth point is tried, the whole being too long; 0: all */
	bool has_died; /* in a step: two more deaths there, and the job is held, as it should be */
};

const struct scene *scene_find(const char *name);
const struct scene *scene_at(size_t index);

/* --- ordeal_plan.c --- */

/* What a trial came to. */
enum trial { TRIAL_MISSED, TRIAL_HIT };

struct campaign {
	const char *kind; /* deaths, errors, allocations, pairs */
	int64_t first, last, stride;
	int64_t part, parts;
	int64_t pairs;
	uint64_t seed;
	const char *only; /* of errors: a name of the table, or NULL */
	/* What came of it. */
	int64_t tried, pairs_tried, violations, crashes;
};

void campaign_run(struct ordeal *ordeal, struct campaign *campaign, const struct scene *scene);

/* --- ordeal_client.c --- */

/* The same for the client, whose daemon has no trouble. */
void campaign_client(struct ordeal *ordeal, struct campaign *campaign, const char *name);
const char *client_scene_name(size_t index);

/* --- shared by both, in ordeal_plan.c --- */

/* The next way to make trouble of a campaign, index from 0: its name, and a plan without its place. */
bool campaign_plan(const struct campaign *campaign, size_t index, struct plan *ret_plan, const char **ret_name);

/* All the points of a scene with one kind of trouble, and how one of them is tried. */
struct points {
	const char *scene, *row;
	struct plan *plan;
	int64_t stride;
	enum trial (*run)(struct ordeal *ordeal, const struct plan *plan, void *context);
	void *context;
};

void campaign_points(struct ordeal *ordeal, struct campaign *campaign, const struct points *points);
/* Tells the complaints of a trial and counts it. */
void campaign_count(struct ordeal *ordeal, struct campaign *campaign, const char *scene, const char *name);

#endif
