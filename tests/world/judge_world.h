/*
 * What must hold of a whole world, read by its own SQL and out of the provider's memory: events are
 * numbered without a gap, no state went back between two looks, every batch belongs to a shard that
 * knows of it, nobody is left running, nothing was paid twice beyond what was told, and nothing
 * lies about.
 */
#ifndef BATCHD_TESTS_WORLD_JUDGE_WORLD_H
#define BATCHD_TESTS_WORLD_JUDGE_WORLD_H

#include <stdbool.h>
#include <stdint.h>

struct error;
struct world;

#define JUDGE_MOST_ROWS 512

/* States as they were when somebody looked last, by id. */
struct judge_look {
	int64_t events;
	int jobs[JUDGE_MOST_ROWS]; /* state plus 1; 0: there was none */
	int shards[JUDGE_MOST_ROWS];
};

/* Compares with the last look and looks anew. 0, or -EINVAL with a sentence. */
int judge_look(struct world *world, struct judge_look *look, struct error *err);

struct judge_terms {
	bool has_twins; /* the provider lied, so that no care could have saved from a second batch */
	bool has_told_twins; /* ... but it would show, and so must have been told */
	bool has_orphans; /* a doubt was ended by a cancel: a batch may be there, and is told */
	int64_t surplus; /* answers paid more than once that were told */
};

/* To be asked when all jobs have ended. 0, or -EINVAL with a sentence. */
int judge_world(struct world *world, const struct judge_terms *terms, struct error *err);

/* Stores of this process are locked against it alone, from now on: much faster, and nobody else looks at them. */
void judge_hurry(void);

/* The job of the shard with that marker; -1: there is none. */
int64_t judge_marker_job(struct world *world, const char *marker);
/* Whether a shard needs the input file, or may yet: it must not be deleted. */
bool judge_is_file_needed(struct world *world, const char *file);

#endif
