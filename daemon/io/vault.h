/*
 * Bytes that are kept, wherever they live: small ones in the store itself, so that a thousand small jobs cost one flush a turn, large
 * ones in a file of the spool. Whoever writes or reads them does not see the difference.
 *
 * Over a store and a spool that were opened to read, all that reads works.
 *
 * What vault_keep_* wrote counts once this turn is committed: a file is in its place before that, and stays unknown
 * until the row that names it is there.
 */
#ifndef BATCHD_IO_VAULT_H
#define BATCHD_IO_VAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct spool;
struct store;
struct vault;
struct vault_scratch;
struct vault_writer;

#define VAULT_FILE_LIMIT (64 * 1024)   /* inputs and results up to this live in the store */
#define VAULT_RECORD_LIMIT (16 * 1024) /* so do records and downloads up to this */
#define VAULT_SCRATCH_LIMIT (1024 * 1024)
#define VAULT_MEMORY (8 * 1024 * 1024) /* all bytes waiting in memory together; then they spill to disk */

/* store and spool must outlive it. */
struct vault *vault_new(struct store *store, struct spool *spool);
void vault_free(struct vault *vault);
/* The state folder that it keeps them in. */
const char *vault_folder(const struct vault *vault);

/* Begins to write; limit is VAULT_FILE_LIMIT or VAULT_RECORD_LIMIT. */
struct vault_writer *vault_writer_new(struct vault *vault, size_t limit);
/* Appends. An error (-ENOSPC, -EIO, ...) makes the writer good for vault_writer_free alone. */
int vault_write(struct vault_writer *writer, const void *bytes, size_t size, struct error *err);
int64_t vault_writer_size(const struct vault_writer *writer);
/* hash_digest of what was written: for the row of the file that it becomes. */
uint64_t vault_writer_digest(const struct vault_writer *writer);
/* Drops what was not kept. NULL is fine. */
void vault_writer_free(struct vault_writer *writer);

/* Keeps the bytes as those of a file, or as a job's record called name; frees the writer, on failure too. */
int vault_keep_file(struct vault_writer *writer, int64_t file, struct error *err);
int vault_keep_record(struct vault_writer *writer, int64_t job, const char *name, struct error *err);

/* Open bytes; fd is -1 and data is set for small ones, or the reverse. */
struct vault_reader {
	char *data;
	int fd;
	int64_t size;
};
/* -ENOENT when there are none, which for a file or record that the store names means a damaged state folder. */
int vault_open_file(struct vault *vault, int64_t file, struct vault_reader *ret_reader, struct error *err);
int vault_open_record(struct vault *vault, int64_t job, const char *name, struct vault_reader *ret_reader,
		      struct error *err);
/* Copies up to size bytes from offset; short only at the end; returns how many or -errno. */
int64_t vault_read(const struct vault_reader *reader, int64_t offset, void *bytes, size_t size);
/* Tells the kernel that bytes from offset will be read soon. */
void vault_will_need(const struct vault_reader *reader, int64_t offset, int64_t size);
void vault_reader_release(struct vault_reader *reader);
#define VAULT_READER_NONE ((struct vault_reader){ .fd = -1 })
#define auto_vault_reader __attribute__((cleanup(vault_reader_release))) struct vault_reader

/*
 * size bytes, zero at first, to be written and read in any order and gone with the process: in
 * memory up to VAULT_SCRATCH_LIMIT, else in a file without a name.
 */
int vault_scratch_new(struct vault *vault, int64_t size, struct vault_scratch **ret_scratch, struct error *err);
/* Writes within its size. */
int vault_scratch_write(struct vault_scratch *scratch, int64_t offset, const void *bytes, size_t size,
			struct error *err);
/* Reads within its size. */
int vault_scratch_read(const struct vault_scratch *scratch, int64_t offset, void *bytes, size_t size,
		       struct error *err);
/* NULL is fine. */
void vault_scratch_free(struct vault_scratch *scratch);

/*
 * Removes files and job folders that the store does not know: what a turn kept whose commit never came. For the start, before
 * anything else runs. Beside a store that was made just now there
 * can be none, so if there are, the old one was lost or replaced: -EUCLEAN, and nothing is removed.
 */
int vault_sweep(struct vault *vault, struct error *err);

/*
 * Deletes a file of the front door: hidden at once, and, unless a job needs it as its input, its row goes, and after the commit
 * its bytes.
 */
void vault_delete_file(struct vault *vault, int64_t file);

/*
 * The bytes of a file whose time is over go, after the commit. Where a job names it as its input, it stays as a name without
 * bytes (store_file.is_empty).
 */
void vault_empty_file(struct vault *vault, int64_t file);

/* Removes a job's records and downloads, in the store and in the spool. */
void vault_remove_job(struct vault *vault, int64_t job);

/*
 * Puts off the removal of files in the spool, for a copy of a moment that knew them, until it was let go as often as held. A daemon that
 * dies meanwhile removes them at its next start.
 */
void vault_hold(struct vault *vault);
void vault_let_go(struct vault *vault);
/* Whether some of what was put off is still to be removed, after the coming turns, which therefore must come. */
bool vault_is_tidying(const struct vault *vault);

#endif
