/*
 * Finds ids that occur twice among any number of them, in bounded memory (about 110 MiB):
 * fingerprints are sorted by parts in temporary files and merged, and ids of equal fingerprints are
 * compared byte by byte.
 */
#ifndef BATCHD_CLIENT_REPEATS_H
#define BATCHD_CLIENT_REPEATS_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/base/cleanup.h"

struct error;
struct repeats;

/* sort_at_once: how many ids are sorted in memory; 0: a default. Tests make it small. */
struct repeats *repeats_new(size_t sort_at_once);
void repeats_free(struct repeats *repeats);
DEFINE_CLEANUP(struct repeats *, repeats_free)

/* The next id, decoded, and the line it stands in. Lines rise. */
int repeats_add(struct repeats *repeats, const char *id, size_t size, int64_t line,
		struct error *err);

/*
 * Tells every repeat with the line where its id stood first; by rising line, up to a million of
 * them (beyond, million by million). The id is valid during the call. Nothing may be added after.
 */
int repeats_finish(struct repeats *repeats,
		   void (*on_repeat)(const char *id, size_t size, int64_t line, int64_t first_line,
				     void *context),
		   void *context, struct error *err);

#endif
