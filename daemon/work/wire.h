/*
 * A shard in its wire form: the lines of its rows as they are sent (work/form), one after the
 * other, streamed out of the job's input. Nothing is copied beforehand, and it can be sent from any
 * place again. Each line is tested against its record before its first byte is given out, so that a
 * damaged one is never sent.
 */
#ifndef BATCHD_WORK_WIRE_H
#define BATCHD_WORK_WIRE_H

#include <stddef.h>
#include <stdint.h>

struct error;
struct job;
struct shard;
struct vault;
struct wire;

/* url: what every line has in place of its own; NULL: it stays. */
int wire_open(struct vault *vault, const struct job *job, const struct shard *shard, const char *url,
	      struct wire **ret_wire, struct error *err);
/* How many bytes all of it has; reads every row's record, and then begins anew. Errors as wire_read. */
int wire_measure(struct wire *wire, int64_t *ret_bytes);
/*
 * Copies up to size bytes from the current place; 0 at the end; negative errno (wire_error has the
 * sentence; -EUCLEAN: the input or a record is damaged).
 */
int64_t wire_read(struct wire *wire, char *bytes, size_t size);
/* Goes to an absolute offset. */
int wire_seek(struct wire *wire, int64_t offset);
const struct error *wire_error(const struct wire *wire);
void wire_free(struct wire *wire);

#endif
