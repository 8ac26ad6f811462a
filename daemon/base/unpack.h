/*
 * Undoes gzip (RFC 1952) and zstd (RFC 8878) as bytes come in, into pieces of bounded size however
 * far they expand: the caller asks for output until there is none, then gives more input. Several
 * members, or frames, one after the other are one content, as their tools have it.
 */
#ifndef BATCHD_BASE_UNPACK_H
#define BATCHD_BASE_UNPACK_H

#include <stdbool.h>
#include <stddef.h>

struct error;
struct unpack;

enum unpack_form { UNPACK_GZIP, UNPACK_ZSTD };

/* The form that a Content-Encoding names ("gzip", "x-gzip", "zstd", in any case); -EINVAL for any other. */
int unpack_form_parse(const char *name, enum unpack_form *ret_form);
/* The form whose magic number bytes begin with; -ENOENT when none does. size of 4 is enough to tell. */
int unpack_form_detect(const void *bytes, size_t size, enum unpack_form *ret_form);
/* The same of bytes that are the first of more to come: -EAGAIN while they are too few to tell. A frame of zstd that is skipped counts. */
int unpack_form_begun(const void *bytes, size_t size, enum unpack_form *ret_form);
/* What it is called as a Content-Encoding. */
const char *unpack_form_name(enum unpack_form form);

struct unpack *unpack_new(enum unpack_form form);
/* NULL is fine. */
void unpack_free(struct unpack *unpack);
/* Bytes of memory that it takes: some ten thousand, for zstd as much as the content asks for, up to 128 MiB. */
size_t unpack_memory(const struct unpack *unpack);

/* Gives it packed bytes, which stay the caller's and must live until unpack_read said 0. Only then may more be given. */
void unpack_feed(struct unpack *unpack, const void *bytes, size_t size);
/*
 * Fills out with up to size bytes. *ret_size is how many there were; 0: all that was fed is used up. -EBADMSG, for good: the
 * bytes are not of that form, or damaged.
 */
int unpack_read(struct unpack *unpack, void *out, size_t size, size_t *ret_size, struct error *err);
/* After the last byte: whether the content is whole. A stream that was cut is not; nor is one of no bytes. */
bool unpack_is_whole(const struct unpack *unpack);

#endif
