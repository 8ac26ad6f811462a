/*
 * A job's downloads, opened when one of their lines is asked for. A few stay open, those used last:
 * results are read in the order of the input, and most neighbours lie in one download.
 */
#ifndef BATCHD_WORK_DOWNLOADS_H
#define BATCHD_WORK_DOWNLOADS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/io/vault.h"

struct error;
struct record_outcome;

#define DOWNLOADS_OPEN 32

struct download {
	int64_t shard;
	uint8_t source; /* as in struct record_outcome; 0: this place is free */
	int64_t used;   /* when it was asked for, on the count of asks */
	struct vault_reader reader;
};

struct downloads {
	struct vault *vault;
	int64_t job;
	int64_t asks;
	struct download *last; /* the one asked for last; may be NULL */
	struct download open[DOWNLOADS_OPEN];
};

void downloads_init(struct downloads *downloads, struct vault *vault, int64_t job);
/*
 * Copies size bytes, from byte at on, of the answer line of an outcome and a newline after it,
 * which are length + 1 bytes together. -EUCLEAN when no such line stands there; and where all of
 * them are asked for, when it is another one than was collected.
 */
int downloads_read(struct downloads *downloads, const struct record_outcome *outcome, uint32_t at,
		   char *bytes, size_t size, struct error *err);
/* Tests an answer line that will be read in pieces: reads it through. -EUCLEAN as above. */
int downloads_test(struct downloads *downloads, const struct record_outcome *outcome, struct error *err);
/*
 * Tells the kernel that the lines of these outcomes will be read soon (those of length 0 have
 * none). An error is none of its business: reading the line will tell.
 */
void downloads_will_need(struct downloads *downloads, const struct record_outcome *outcomes,
			 size_t count);
void downloads_release(struct downloads *downloads);

#endif
