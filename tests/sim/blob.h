/*
 * Bytes with several owners: an uploaded file that batches still read, a result that connections
 * still send after the file was deleted. Counted, not locked: there is one thread.
 */
#ifndef BATCHD_TESTS_SIM_BLOB_H
#define BATCHD_TESTS_SIM_BLOB_H

#include <stddef.h>

struct buffer;

struct blob {
	char *data; /* terminated */
	size_t size;
	unsigned references;
};

/* Takes the content of the buffer, which is empty afterwards. One reference, the caller's. */
struct blob *blob_take(struct buffer *buffer);

/* A copy of size bytes. */
struct blob *blob_copy(const void *bytes, size_t size);

/* One reference more; returns the blob. */
struct blob *blob_ref(struct blob *blob);

/* One reference less; the last one frees. NULL is fine. */
void blob_unref(struct blob *blob);

#endif
