/*
 * The custom_id of a row, read out of its input line. A row index knows where it stands; the
 * input itself carries no check, so what is read is only believed where it is a JSON string.
 */
#ifndef BATCHD_WORK_ROW_ID_H
#define BATCHD_WORK_ROW_ID_H

#include <stddef.h>
#include <stdint.h>

#include "daemon/model/request.h"

struct error;
struct vault_reader;

struct row_id {
	size_t size; /* of quoted, both quotes included */
	char quoted[REQUEST_MAX_CUSTOM_ID +
		    2]; /* as written in the input, still escaped; not terminated */
};

/* Reads the id of size bytes at offset in the input. -EUCLEAN when no string of that size stands
 * there. */
int row_id_read(const struct vault_reader *input, int64_t offset, size_t size,
		struct row_id *ret_id, struct error *err);
/* Decodes it into out, which has room for REQUEST_MAX_CUSTOM_ID bytes. Returns the length. */
size_t row_id_decode(const struct row_id *id, char *out);

#endif
