/*
 * A tar archive that is written piece by piece into memory, from where it is taken as it comes:
 * ustar, with the extended headers of POSIX.1-2001 where a name or a size needs them, which is how a
 * file may be larger than 8 GiB. Everything in it belongs to the user we run as, mode 0600 and 0700.
 */
#ifndef BATCHD_IO_TAR_H
#define BATCHD_IO_TAR_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct tar;

/* An archive whose entries all have this time, in Unix milliseconds. */
struct tar *tar_new(int64_t time);
/* NULL is fine. */
void tar_free(struct tar *tar);

int tar_add_folder(struct tar *tar, const char *path, struct error *err);
/* Begins a file of exactly size bytes, which must all be written before anything else begins. */
int tar_begin_file(struct tar *tar, const char *path, int64_t size, struct error *err);
int tar_write(struct tar *tar, const void *bytes, size_t size, struct error *err);
/* Bytes that the file begun last still lacks. */
int64_t tar_lacks(const struct tar *tar);
/* That was all; then nothing may be added. */
int tar_finish(struct tar *tar, struct error *err);

/* Takes up to size bytes of the archive; returns how many: 0 when there are none yet. */
size_t tar_take(struct tar *tar, char *bytes, size_t size);

#endif
