#include "tests/sim/blob.h"

#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"

struct blob *blob_take(struct buffer *buffer)
{
	struct blob *blob = xcalloc(1, sizeof(*blob));

	(void)buffer_text(buffer);
	blob->data = buffer->data ? buffer->data : xmemdup0("", 0);
	blob->size = buffer->size;
	blob->references = 1;
	*buffer = (struct buffer){0};
	return blob;
}

struct blob *blob_copy(const void *bytes, size_t size)
{
	struct blob *blob = xcalloc(1, sizeof(*blob));

	blob->data = xmemdup0(bytes, size);
	blob->size = size;
	blob->references = 1;
	return blob;
}

struct blob *blob_ref(struct blob *blob)
{
	blob->references++;
	return blob;
}

void blob_unref(struct blob *blob)
{
	if (!blob || --blob->references)
		return;
	free(blob->data);
	free(blob);
}
