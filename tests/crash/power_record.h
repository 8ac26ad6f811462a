/*
 * Records what a process does to one folder, in memory, as a disk (power_disk.h). The program that links this
 * has definitions of its own of the calls that change files; they do the call and note it. They are found
 * before those of the C library, by the libraries as well (the program exports its symbols), so that the
 * writes and flushes of SQLite are recorded like our own.
 *
 * Files that mean nothing after a loss of power are left out: the lock, and SQLite's shared memory.
 */
#ifndef BATCHD_TESTS_CRASH_POWER_RECORD_H
#define BATCHD_TESTS_CRASH_POWER_RECORD_H

#include <stdbool.h>

struct disk;

/*
 * From now on, of this folder (an absolute path without links), in which all that is there is on the disk.
 * on_effect runs before each call that changes it, or flushes; nothing that on_effect does is recorded. A
 * recording that runs already is left as it is and forgotten. 0 or -errno.
 */
int record_start(const char *folder, void (*on_effect)(void *context), void *context);
/* Forgets the recording, and frees it. */
void record_stop(void);
/* The same without freeing it: its owner is the process that this one was forked from. */
void record_abandon(void);
/*
 * Goes on in another folder, which holds all that was done in the first, though the disk may not: the process
 * died, the power is still there.
 */
void record_move(const char *folder);
/* For on_effect: whether the call that is about to be made is a flush. */
bool record_is_flush(void);
/* The disk as recorded so far; NULL: nothing is recorded. */
struct disk *record_disk(void);

#endif
