/*
 * Bytes that grow: for lines, JSON texts and bodies of bounded size. The owner checks the limit
 * before it appends; the buffer itself only doubles.
 */
#ifndef BATCHD_BASE_BUFFER_H
#define BATCHD_BASE_BUFFER_H

#include <stddef.h>

struct buffer {
	char *data; /* not terminated, except after buffer_text; NULL while empty */
	size_t size;
	size_t capacity;
};

/* Appends size bytes. */
void buffer_add(struct buffer *buffer, const void *bytes, size_t size);

/* Appends a string, or a formatted one. */
void buffer_add_text(struct buffer *buffer, const char *text);
void buffer_add_format(struct buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Drops the first size bytes (at most all) and moves the rest to the front. */
void buffer_drop(struct buffer *buffer, size_t size);

/* The content as a terminated string, still owned by the buffer; "" while empty. */
const char *buffer_text(struct buffer *buffer);

/* Forgets the content, keeps the memory. */
void buffer_clear(struct buffer *buffer);

/* Frees the memory; the buffer is empty and usable again. */
void buffer_release(struct buffer *buffer);

#define auto_buffer __attribute__((cleanup(buffer_release))) struct buffer

#endif
