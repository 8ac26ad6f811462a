/*
 * A look through a state folder, whether all in it is whole and fits together: the pages and rows of the store, every file with its size
 * and digest, every record with its check, every row of every job with exactly one place to be. It changes nothing, and it may
 * run beside a daemon that works on the folder: what seems wrong is looked at again in another moment, and told only if it
 * is so still. It waits for the disk, so it is for a process of its own.
 */
#ifndef BATCHD_WORK_VERIFY_H
#define BATCHD_WORK_VERIFY_H

#include <stdbool.h>
#include <stdint.h>

struct verify_finding {
	bool is_damage;	   /* else a note: nothing is lost or wrong, but somebody may want to know */
	int64_t job;	   /* 0: of none */
	int64_t shard;	   /* its number; 0: of none */
	const char *place; /* in the state folder; NULL: of none */
	const char *words; /* one sentence, without the names above */
};

struct verify_sums {
	int64_t jobs;
	int64_t files;
	int64_t bytes; /* that were read of files and records */
	int64_t damages;
	int64_t notes;
};

struct verify_callbacks {
	void (*on_finding)(const struct verify_finding *finding, void *context);
	/* Now and then: so many bytes of about total are looked through. May be NULL. False: enough. */
	bool (*on_progress)(int64_t bytes, int64_t total, void *context);
	void *context;
};

/*
 * Looks through all of it. now: Unix milliseconds, by which is told what may yet be on its way. 0 when no damage was found, else 1; -ENOENT
 * or another negative errno when there is nothing to look at, which was told as a finding too; -ECANCELED after enough.
 */
int verify_run(const char *folder, int64_t now, const struct verify_callbacks *callbacks, struct verify_sums *ret_sums);

#endif
