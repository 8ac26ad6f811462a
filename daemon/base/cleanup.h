/*
 * Locals that clean themselves up when they leave their scope, and take(), which hands
 * one on instead. Every one of them accepts "nothing": NULL, or -1 for a descriptor.
 */
#ifndef BATCHD_BASE_CLEANUP_H
#define BATCHD_BASE_CLEANUP_H

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static inline void cleanup_free(void *pointer)
{
	free(*(void **)pointer);
}

static inline void cleanup_close(const int *fd)
{
	if (*fd >= 0)
		(void)close(*fd);
}

static inline void cleanup_fclose(FILE **file)
{
	if (*file)
		(void)fclose(*file);
}

/* A pointer from malloc, freed at the end of its scope. */
#define auto_free __attribute__((cleanup(cleanup_free)))

/* A descriptor, closed at the end of its scope. */
#define auto_close __attribute__((cleanup(cleanup_close)))

/* A stdio stream, closed at the end of its scope. */
#define auto_fclose __attribute__((cleanup(cleanup_fclose)))

/* Any other type: auto_with(store_free) struct store *store; needs DEFINE_CLEANUP(struct store *, store_free). */
#define DEFINE_CLEANUP(type, function)                                                             \
	static inline void cleanup_##function(type *pointer)                                       \
	{                                                                                          \
		if (*pointer)                                                                      \
			function(*pointer);                                                        \
	}
#define auto_with(function) __attribute__((cleanup(cleanup_##function)))

/* The value of a pointer that cleans itself up, which from here on belongs to the taker. */
#define take(pointer)                                                                              \
	__extension__({                                                                            \
		__typeof__(pointer) taken_ = (pointer);                                            \
		(pointer) = NULL;                                                                  \
		taken_;                                                                            \
	})

/* The same for a descriptor. */
static inline int take_fd(int *fd)
{
	int taken = *fd;

	*fd = -1;
	return taken;
}

#define ARRAY_SIZE(array) (sizeof(array) / sizeof((array)[0]))

#endif
