/*
 * A world in a process: a real store, spool and vault in a folder of their own, the real pipeline and scheduler over
 * them, a clock that jumps and a provider that is the model under tests/sim. The daemon in it may die after
 * any turn, or within one, and live again on the same folder with the same provider. All of it follows from one seed.
 */
#ifndef BATCHD_TESTS_WORLD_WORLD_H
#define BATCHD_TESTS_WORLD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "tests/sim/model.h"
#include "tests/world/http.h"

#define WORLD_UID 1000
#define WORLD_MOST_PROVIDERS (1 + HTTP_MOST_HOSTS)

struct world {
	char folder[64];
	struct loop *loop;
	/* Of each provider; the first has a name of its own, for most worlds have no other. */
	union {
		struct sim *sim;
		struct sim *sims[WORLD_MOST_PROVIDERS];
	};
	struct sim_config sim_config;
	struct http_network network;
	/* May be changed at any time. */
	union {
		struct config_provider provider;
		struct config_provider sections[WORLD_MOST_PROVIDERS];
	};
	struct config config;
	bool makes_store; /* a start makes the schema itself where there is none, though that takes longer */
	/* One life; NULL while it is dead. */
	struct spool *spool;
	struct store *store;
	struct vault *vault;
	struct http *http;
	struct providers *providers;
	struct pipeline *pipeline;
	struct scheduler *scheduler;
	struct strays *strays;
	int64_t turns;	    /* of all lives */
	int64_t newest;	    /* number of the last event that was told */
	int64_t gaps;	    /* events that were told out of order, or not at all */
	int fatal;	    /* the exit status that the daemon asked for; 0: none */
	bool is_set_back;   /* the wall clock was, so that times of events may go back */
	int fds;	    /* descriptors that were open when this life began, and are to be at its end */
	int64_t leaked;	    /* lives that ended with others */
};

/* Quick waits, a provider "sim" that works at once; alive. sim may be NULL. With a key in it, that is also ours. */
struct world *world_new(const struct sim_config *sim, uint64_t seed);
/* Alive or dead. Removes the folder. */
void world_free(struct world *world);

/* Drops all that is in memory, with all that is not committed. */
void world_kill(struct world *world);
/*
 * The power goes, at any place, even within a call of the world's: all that is in memory is left as it is, neither told nor closed
 * nor freed, and the next start is on another folder, which holds what was on the disk.
 */
void world_lose_power(struct world *world, const char *folder);
/* Starts on what is there. */
void world_start(struct world *world);

/* One provider more, at a host of its name, with an API of its own; its number. Begins a new life. name must outlive the world. */
size_t world_add_provider(struct world *world, const char *name, const struct sim_config *sim);

/* Adds rules to the provider's script; a wrong one is a failed assertion. */
void world_script(struct world *world, const char *json);
/* The same of the provider of that number. */
void world_script_of(struct world *world, size_t provider, const char *json);
/* A job with this input, on disk when it returns: its number. */
int64_t world_submit(struct world *world, const char *input);
int64_t world_submit_for(struct world *world, int64_t uid, const char *input);
/* The same as somebody wants it: priority, begin_at, after_job, deadline_at, is_on_hold and budgets are taken from wish. */
int64_t world_submit_as(struct world *world, const struct job *wish, const char *input);
/* The same to the providers of a list (model/names.h). */
int64_t world_submit_to(struct world *world, const char *providers, const char *input);
/* A job of the requests of an ended one that have no success. */
int64_t world_retry(struct world *world, int64_t job);
/* Asks for a job's end, on disk when it returns. */
int world_cancel(struct world *world, int64_t job);

/* One turn, jumping to it, and its commit. */
void world_turn(struct world *world);
/* The same, but it dies before the commit, and lives again. */
void world_lose_turn(struct world *world);
/* One turn; if the loop was halted in it, the rest of it never happened, nor did its commit: false, and it lives again. */
bool world_turn_mortal(struct world *world);
/* Turns until the predicate holds; false when it did not within limit_ms. */
bool world_run(struct world *world, int64_t limit_ms, bool (*is_reached)(struct world *world, void *context),
	       void *context);
/* Turns until the job has ended, for a week at most. Returns its state then. */
enum job_state world_finish(struct world *world, int64_t job);
int64_t world_now(const struct world *world);

/* The job as it stands; the caller releases. */
struct job world_job(struct world *world, int64_t job);
/* The job's shard of that number; the caller releases. id 0: there is none. */
struct shard world_shard(struct world *world, int64_t job, int64_t number);
/* The bytes of a file of the front door, terminated; "" for file 0. The caller frees. */
char *world_file(struct world *world, int64_t file);
/* The text of the job's first event of that type with that part in its message; NULL: there is none. The caller frees. */
char *world_event(struct world *world, int64_t job, const char *type, const char *part);

/* What the provider's ledger says, without asking the daemon. */
struct world_ledger {
	int64_t uploads;
	int64_t batches;
	int64_t live;	   /* not ended */
	int64_t most_batches; /* that any one request was in */
	int64_t most_answers; /* that any one request got */
	int64_t requests;  /* that were ever in a batch */
	int64_t answers;   /* of all requests */
	int64_t successes; /* of those */
	int64_t creates;   /* calls */
	int64_t lists;
	int64_t cancels;
};
struct world_ledger world_ledger(struct world *world);
/* The same of the provider of that number. */
struct world_ledger world_ledger_of(struct world *world, size_t provider);

/* count chat requests "r-1" ..., each one's body with more (", ..." or ""). The caller frees. */
char *world_requests(size_t count, const char *more);

#endif
