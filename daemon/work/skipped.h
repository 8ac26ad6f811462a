/*
 * The lines of an input that are wrong, where the job goes on without them: they become its first
 * shard, collected before anything is sent. Each gets a made error line in shard-1.err and a failed
 * outcome in shard-1.done, in the order of the input. However many they are, memory stays the same:
 * what is told of a line is made anew from the line itself.
 *
 *	{"id":null,"custom_id":"a","response":null,"error":{"code":"...","message":"...","param":"url"},"line":17}
 *
 * The custom_id is the one that can be read, or null.
 */
#ifndef BATCHD_WORK_SKIPPED_H
#define BATCHD_WORK_SKIPPED_H

#include <stdint.h>

#include "daemon/model/record.h"

struct digest;
struct error;
struct form;
struct screen;
struct skipped;
struct vault;
struct vault_reader;

#define SKIPPED_SHARD 1 /* its number */

/* input, screen and form must outlive it. */
struct skipped *skipped_new(struct vault *vault, int64_t job, const struct vault_reader *input,
			    struct screen *screen, const struct form *form);
/* NULL is fine. */
void skipped_free(struct skipped *skipped);

/* The record of a line that is wrong. size may be that of a line that is too long to be read. */
struct record_row skipped_row(const struct form *form, int64_t offset, int64_t size, int64_t line);
/*
 * Adds a line that is wrong because it repeats the id of another one, in any order. Its row may be
 * that of a right one.
 */
int skipped_add_repeat(struct skipped *skipped, uint32_t line, uint32_t first_line, struct error *err);

/*
 * After the last repeat, when the row index is kept. 1: there is more to do; 0: done; or -errno,
 * -EUCLEAN when the input is not what it was. The groups of screen lose what is found to be a
 * repeat.
 */
int skipped_slice(struct skipped *skipped, struct error *err);
/* After the end: keeps the shard's records, and the row index where repeats changed it. */
int skipped_keep(struct skipped *skipped, struct error *err);
/* What the lines fail of, for people. */
const struct digest *skipped_digest(const struct skipped *skipped);

#endif
