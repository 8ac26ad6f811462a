/*
 * Files under the state folder: their places, and the one way in which a file comes to be:
 * written under tmp/, flushed, renamed to its place, the folder flushed. A file in its place is
 * whole and never changes. What lies in tmp/ at the start belongs to nobody and is removed.
 *
 *	batchd.db		io/store, with its log (-wal, -shm) and how far that has come (-mark)
 *	files/FILE		inputs and results
 *	jobs/JOB/NAME		a job's records and downloads
 *	tmp/			files that are being written
 *	lock			held while a daemon runs
 */
#ifndef BATCHD_IO_SPOOL_H
#define BATCHD_IO_SPOOL_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct spool;
struct spool_draft;

/*
 * Opens a state folder: makes it (0700) and its folders where they are missing, takes the lock, empties
 * tmp/. Errors: -EWOULDBLOCK another daemon holds it; -EACCES, -EROFS, ... of the system calls.
 */
int spool_open(const char *folder, struct spool **ret_spool, struct error *err);
/* Opens one to look at it, beside a daemon or not: takes no lock, makes and removes nothing. -ENOENT, -EACCES, ... */
int spool_open_to_read(const char *folder, struct spool **ret_spool, struct error *err);
/* Gives the lock back. NULL is fine. */
void spool_close(struct spool *spool);
/* The state folder's path. */
const char *spool_folder(const struct spool *spool);
/* Bytes that an ordinary user may still write there; -errno. */
int64_t spool_free_bytes(const struct spool *spool);

/* Places, relative to the folder; the caller frees. */
char *spool_file_place(int64_t file);
char *spool_job_place(int64_t job, const char *name);

/* A new file under tmp/. */
int spool_draft_new(struct spool *spool, struct spool_draft **ret_draft, struct error *err);
/*
 * Appends. Pieces of any size do. Whole MiB are on their way to the disk at once, 16 of all drafts
 * together at most, so that the flush at the end is short and other commits find no queue. An error
 * of those that are on their way is told here or by spool_draft_keep.
 */
int spool_draft_write(struct spool_draft *draft, const void *bytes, size_t size, struct error *err);
int64_t spool_draft_size(const struct spool_draft *draft);
/*
 * Flushes, renames to place (a file that is there is replaced), flushes the folder, and frees
 * the draft, also on failure, when nothing stands in the place that was not there before. The job's folder is made as needed.
 */
int spool_draft_keep(struct spool_draft *draft, const char *place, struct error *err);
/* Removes the file and frees the draft. NULL is fine. */
void spool_draft_discard(struct spool_draft *draft);

/* The path of a new file under tmp/ that somebody else makes, and removes; the caller frees. */
char *spool_draft_path(struct spool *spool);
/* Opens an empty file without a name for reading and writing: it is gone when it is closed. */
int spool_open_scratch(struct spool *spool, int *ret_fd, struct error *err);

/* Opens a file for reading. -ENOENT when it is not there. */
int spool_open_file(struct spool *spool, const char *place, int *ret_fd, int64_t *ret_size, struct error *err);
/* Removes one file; one that is not there is no error. */
int spool_remove(struct spool *spool, const char *place);
/* Removes jobs/JOB and all in it. */
void spool_remove_job(struct spool *spool, int64_t job);
/* Calls visit for each number that has a file under files/ (is_job false) or a folder under jobs/ (true). */
void spool_visit(struct spool *spool, void (*visit)(int64_t number, int is_job, void *context), void *context);
/* Calls visit with the name of each file in a job's folder. */
void spool_visit_job(struct spool *spool, int64_t job, void (*visit)(const char *name, void *context), void *context);
/* When a file or folder came to its place, or was changed last, in Unix milliseconds; -errno. */
int64_t spool_changed_at(const struct spool *spool, const char *place);

#endif
