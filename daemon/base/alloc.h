/*
 * Memory that is there or the process is not. Out of memory aborts: the queue is on disk and
 * the service manager starts us again, which is safer than a path nobody ever ran.
 * Nothing here may be called with a size that a stranger chose and no limit checked.
 */
#ifndef BATCHD_BASE_ALLOC_H
#define BATCHD_BASE_ALLOC_H

#include <stdarg.h>
#include <stddef.h>

/* size bytes, uninitialised; size 0 gives a valid pointer. The caller frees. */
void *xmalloc(size_t size) __attribute__((malloc, returns_nonnull, warn_unused_result));

/* count zeroed elements of size bytes; an overflow of the product aborts. */
void *xcalloc(size_t count, size_t size)
	__attribute__((malloc, returns_nonnull, warn_unused_result));

/* count elements of size bytes in the place of pointer, which may be NULL. */
void *xreallocarray(void *pointer, size_t count, size_t size)
	__attribute__((returns_nonnull, warn_unused_result));

/* A copy of a string; NULL stays NULL, so that optional members copy like any other. */
char *xstrdup(const char *text) __attribute__((warn_unused_result));

/* A terminated copy of size bytes. */
char *xmemdup0(const void *bytes, size_t size)
	__attribute__((malloc, returns_nonnull, warn_unused_result));

/* What the functions above do without memory: for a library that says when it got none. */
void alloc_give_up(void) __attribute__((noreturn));

/* Before and after calls of a library that leaves out what it got no memory for, and says nothing: gives up if that happened in between. */
void alloc_watch(void);
void alloc_check(void);

/* A new formatted string. */
char *xasprintf(const char *format, ...)
	__attribute__((format(printf, 1, 2), malloc, returns_nonnull, warn_unused_result));

/* The same, from a va_list. */
char *xvasprintf(const char *format, va_list arguments)
	__attribute__((format(printf, 1, 0), malloc, returns_nonnull, warn_unused_result));

#endif
