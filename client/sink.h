/*
 * Where results go. A file appears under its name only when it is whole and on disk: it is written
 * beside it under a temporary name, flushed, renamed. Standard output cannot be taken back, so a
 * second try skips what was written before, once it has proved to begin with the same bytes.
 */
#ifndef BATCHD_CLIENT_SINK_H
#define BATCHD_CLIENT_SINK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/cleanup.h"

struct error;
struct sink;

/*
 * path NULL or "-": standard output. Without overwrites a path that exists is refused with -EEXIST,
 * now and again when the file is put in place.
 */
int sink_new(const char *path, bool overwrites, struct sink **ret_sink, struct error *err);

/* A new try begins: its first byte is the first of all. */
int sink_restart(struct sink *sink, struct error *err);

/* The next bytes. -EIO and others: they cannot be written; -ESTALE: not what the try before began
 * with. */
int sink_write(struct sink *sink, const char *bytes, size_t size);

/* What sink_write failed with, in words; 0 when it has not. */
int sink_problem(const struct sink *sink, struct error *err);

/* The bytes are whole: puts the file in its place. */
int sink_finish(struct sink *sink, struct error *err);

/* How many bytes were delivered. */
int64_t sink_size(const struct sink *sink);

/* Frees; what was not finished leaves no file. NULL is fine. */
void sink_free(struct sink *sink);
DEFINE_CLEANUP(struct sink *, sink_free)

#endif
