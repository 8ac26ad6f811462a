/*
 * A copy of the whole state folder as it is at one moment, as the bytes of a tar archive, made a piece at a time while all other work
 * goes on. The archive holds files/ and jobs/ with what the store of that moment names, and then batchd.db: an archive that was
 * unpacked in part is no state folder, and no daemon starts on it.
 */
#ifndef BATCHD_WORK_BACKUP_H
#define BATCHD_WORK_BACKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct backup;
struct error;
struct spool;
struct store;
struct vault;

struct backup_plan {
	int64_t now;	   /* Unix milliseconds */
	int64_t min_free;  /* bytes of room that making it must leave on the disk */
	bool is_partial;   /* goes on without files that are missing */
};

/*
 * Takes hold of the moment. The store itself is copied under tmp/ for so long as it is needed. Errors: -ENOSPC where that leaves too
 * little room; those of the store. All parts must outlive it.
 */
int backup_new(struct store *store, struct spool *spool, struct vault *vault, const struct backup_plan *plan,
	       struct backup **ret_backup, struct error *err);
/* Works on for a part of a millisecond. 1: there is more; 0: it can be read; -ENOENT: a file is missing; -errno. */
int backup_prepare(struct backup *backup, struct error *err);
/* The next bytes of the archive, up to size; 0: none yet, call again; BACKUP_END that was all; or -errno, then for good. */
#define BACKUP_END INT64_MIN
int64_t backup_read(struct backup *backup, char *bytes, size_t size, struct error *err);
/* Lets everything go. NULL is fine. */
void backup_free(struct backup *backup);

#endif
