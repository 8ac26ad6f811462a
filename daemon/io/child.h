/*
 * Programs that we start and whose standard output we read: without a shell, with nothing of ours
 * open but standard error. A child is ended when it is dropped, and whoever has ended is reaped by the loop.
 */
#ifndef BATCHD_IO_CHILD_H
#define BATCHD_IO_CHILD_H

#include <stddef.h>
#include <stdint.h>

struct child;
struct children;
struct error;
struct loop;

/* Those that one owner starts. loop must outlive it. */
struct children *children_new(struct loop *loop);
/* Ends all that are left, and waits until they have. NULL is fine. */
void children_free(struct children *children);

/* The program that runs now, whatever stands at its path meanwhile. */
#define CHILD_SELF "/proc/self/exe"

/*
 * Starts a program with arguments (the first is its name; NULL ends them). on_news is called when child_read may have something new
 * to say, until it has said the end.
 */
int child_start(struct children *children, const char *program, const char *const *arguments,
		void (*on_news)(void *context), void *context, struct child **ret_child, struct error *err);
/* Reads what it has written: how many bytes; 0 nothing yet; CHILD_END that was all; or -errno. */
#define CHILD_END INT64_MIN
int64_t child_read(struct child *child, char *bytes, size_t size);
/* Ends it, if it has not ended by itself, and forgets it. NULL is fine. */
void child_drop(struct child *child);

#endif
