/*
 * A world whose power may go, and what somebody outside was told by it: jobs and files that were accepted,
 * states that were shown, cancels that were promised. After a loss it must hold to its word.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_STAGE_H
#define BATCHD_TESTS_CRASH_POWER_STAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/job.h"
#include "tests/world/world.h"

#define STAGE_JOBS 24
#define STAGE_FILES 8

struct stage_job {
	int64_t id; /* 0: nobody was told that it is accepted */
	char *input;
	enum job_state told;
	bool is_cancel_asked, is_cancel_promised;
};

struct stage_file {
	int64_t id; /* 0: nobody was told that it is accepted */
	char *bytes;
	bool is_delete_asked, is_delete_promised;
};

struct stage {
	struct world *world;
	int64_t most_batches; /* that any request may ever be in */
	int checkpoint_turns; /* the log of the store is written back after so many; 0: when it is long */
	struct stage_job jobs[STAGE_JOBS];
	size_t job_count;
	struct stage_file files[STAGE_FILES];
	size_t file_count;
};

/* What requests look like. */
struct stage_requests {
	size_t count;
	size_t bytes;	  /* of text in each */
	const char *more; /* in its body; NULL: nothing */
	size_t models;	  /* in turn */
};

/*
 * A world in an empty folder, not alive yet. The caller puts into it and stage what differs from the usual.
 */
void stage_init(struct stage *stage, const struct sim_config *sim, uint64_t seed);
/* Frees all but the world. */
void stage_release(struct stage *stage);

/* Starts, on whatever the folder holds. */
void stage_start(struct stage *stage);
/* A clean stop, and a start. */
void stage_restart(struct stage *stage);

/* A job, and its acceptance. Returns its place. */
size_t stage_submit(struct stage *stage, const struct stage_requests *requests);
/* A job that is there already, and accepted. */
void stage_expect(struct stage *stage, int64_t id, const char *input);
void stage_cancel(struct stage *stage, size_t job);
/* A file of the front door; a job of one; its deletion. */
size_t stage_upload(struct stage *stage, const struct stage_requests *requests);
size_t stage_submit_file(struct stage *stage, size_t file);
void stage_delete(struct stage *stage, size_t file);

/* So many turns, or until all accepted jobs have ended. false: not within the time of any of them. */
void stage_turns(struct stage *stage, int count);
bool stage_finish(struct stage *stage);

/* The input of job number, for those who make one by hand; the caller frees. */
char *stage_input(size_t number, const struct stage_requests *requests);

#endif
