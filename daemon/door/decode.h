/*
 * Bodies that come packed: undone as they come in, a little in every turn of the loop for all of
 * them together, so that no bomb stops it. While one has work, its client is not read from. Inside
 * of daemon/door only.
 */
#ifndef BATCHD_DOOR_DECODE_H
#define BATCHD_DOOR_DECODE_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/unpack.h"

struct decoder;
struct door;
struct visit;

/*
 * on_data gets what comes out, in pieces; when it replies, nothing more comes. A body that is
 * damaged, or needs more memory than is left for all of them (429), is replied to here.
 */
struct decoder *decoder_new(struct visit *visit, enum unpack_form form,
			    void (*on_data)(struct visit *visit, const char *data, size_t size));
/* NULL is fine. */
void decoder_free(struct decoder *decoder);

/* The next bytes of the body, copied. The exchange is paused until they are used up. */
void decoder_add(struct decoder *decoder, const char *data, size_t size);
/* After the last byte: whether the content is whole; if not, the reply (400) is given. */
bool decoder_finish(struct decoder *decoder);

/* The timer of a door, to be made and freed with it. */
void decode_start(struct door *door);
void decode_stop(struct door *door);

#endif
