#include "daemon/base/alloc.h"

#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void alloc_give_up(void)
{
	/* Nothing that allocates may run here, so no log. */
	(void)fputs(program_invocation_short_name, stderr);
	(void)fputs(": out of memory\n", stderr);
	abort();
}

void alloc_watch(void)
{
	errno = 0;
}

void alloc_check(void)
{
	if (errno == ENOMEM)
		alloc_give_up();
}

static void *require(void *pointer)
{
	if (!pointer)
		alloc_give_up();
	return pointer;
}

void *xmalloc(size_t size)
{
	return require(malloc(size ? size : 1));
}

void *xcalloc(size_t count, size_t size)
{
	return require(calloc(count ? count : 1, size ? size : 1));
}

void *xreallocarray(void *pointer, size_t count, size_t size)
{
	return require(reallocarray(pointer, count ? count : 1, size ? size : 1));
}

char *xstrdup(const char *text)
{
	return text ? require(strdup(text)) : NULL;
}

char *xmemdup0(const void *bytes, size_t size)
{
	char *copy;

	if (size == SIZE_MAX)
		require(NULL);
	copy = xmalloc(size + 1);
	if (size)
		memcpy(copy, bytes, size);
	copy[size] = '\0';
	return copy;
}

char *xvasprintf(const char *format, va_list arguments)
{
	char *text = NULL;

	if (vasprintf(&text, format, arguments) < 0)
		require(NULL);
	return text;
}

char *xasprintf(const char *format, ...)
{
	va_list arguments;
	char *text;

	va_start(arguments, format);
	text = xvasprintf(format, arguments);
	va_end(arguments);
	return text;
}
