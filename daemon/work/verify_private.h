/* Between verify.c and verify_job.c. */
#ifndef BATCHD_WORK_VERIFY_PRIVATE_H
#define BATCHD_WORK_VERIFY_PRIVATE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/work/verify.h"

struct error;
struct spool;
struct store;
struct vault;

/* What one look at a thing found. */
struct verify_list {
	struct verify_finding *findings; /* place and words are owned */
	size_t count;
};

struct verify {
	struct spool *spool;
	struct store *store;
	struct vault *vault;
	struct verify_callbacks callbacks;
	struct verify_sums sums;
	int64_t now;
	int64_t total;	/* bytes that will be read, about */
	int64_t told_at; /* bytes when progress was told last */
	bool is_enough;
	int64_t *damaged_files; /* their numbers, ascending */
	size_t damaged_count;
	struct verify_list list; /* of the look under way */
};

/* Notes a finding of the look under way. place (NULL: none) is relative to the state folder. */
void verify_note(struct verify *verify, const struct verify_finding *finding);
/* The same of a damage, with a sentence that is put together. */
void verify_damage(struct verify *verify, int64_t job, int64_t shard, const char *place, const char *format, ...)
	__attribute__((format(printf, 5, 6)));
/* So many bytes more were read. */
void verify_read(struct verify *verify, int64_t bytes);
/* Whether a file was found to be damaged. */
bool verify_is_damaged(const struct verify *verify, int64_t file);

/* A look at a job: its row index, its shards' records, and whether every row has its place. */
void verify_look_at_job(struct verify *verify, int64_t job);

#endif
