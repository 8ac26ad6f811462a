#include "daemon/work/row_id.h"

#include <errno.h>
#include <inttypes.h>

#include "daemon/base/error.h"
#include "daemon/io/vault.h"

static int damaged(int64_t offset, struct error *err)
{
	return error_set(err, -EUCLEAN,
			 "the input is damaged: no custom_id at byte %" PRId64
			 " where there was one",
			 offset);
}

int row_id_read(const struct vault_reader *input, int64_t offset, size_t size,
		struct row_id *ret_id, struct error *err)
{
	struct scan scan;
	enum scan_kind kind;
	int64_t got;

	if (!size || size > REQUEST_MAX_CUSTOM_ID || offset < 1)
		return damaged(offset, err);
	got = vault_read(input, offset - 1, ret_id->quoted, size + 2);
	if (got < 0)
		return error_set(err, (int)got, "cannot read the input at byte %" PRId64 ": %s",
				 offset, error_name((int)got));
	ret_id->size = size + 2;
	scan_init(&scan, ret_id->quoted, (size_t)got);
	if ((size_t)got < size + 2 || scan_value(&scan, &kind, NULL) || kind != SCAN_STRING ||
	    scan.at != (size_t)got)
		return damaged(offset, err);
	return 0;
}

size_t row_id_decode(const struct row_id *id, char *out)
{
	return scan_decode(id->quoted, (struct scan_span){.at = 1, .size = id->size - 2}, out);
}
