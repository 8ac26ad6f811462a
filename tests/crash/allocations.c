/*
 * Allocations that fail, see trouble.h. The C library's own (strdup, asprintf, opendir) come through here too. Programs
 * with sanitizers bring definitions of their own, and then nothing fails.
 */
#include "tests/crash/trouble.h"

#include <errno.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#ifndef __SANITIZE_ADDRESS__

#define EXPORTED __attribute__((visibility("default")))

/* The library's own, which it keeps under these names for definitions like ours. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *bytes, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);

static bool fails(void)
{
	struct verdict verdict;

	if (!trouble_counts(CALL_MALLOC))
		return false;
	verdict = trouble_begin(CALL_MALLOC, -1, NULL, false);
	if (verdict.deed == DEED_NONE)
		return false;
	errno = ENOMEM;
	return true;
}

EXPORTED void *malloc(size_t size)
{
	return fails() ? NULL : __libc_malloc(size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
	return fails() ? NULL : __libc_calloc(count, size);
}

EXPORTED void *realloc(void *bytes, size_t size)
{
	return fails() ? NULL : __libc_realloc(bytes, size);
}

EXPORTED void *reallocarray(void *bytes, size_t count, size_t size)
{
	size_t whole;

	if (__builtin_mul_overflow(count, size, &whole)) {
		errno = ENOMEM;
		return NULL;
	}
	return realloc(bytes, whole);
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
	return fails() ? NULL : __libc_memalign(alignment, size);
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
	return memalign(alignment, size);
}

EXPORTED int posix_memalign(void **ret_bytes, size_t alignment, size_t size)
{
	void *bytes = memalign(alignment, size);

	if (!bytes)
		return ENOMEM;
	*ret_bytes = bytes;
	return 0;
}

#endif
