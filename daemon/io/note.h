/*
 * The note of what is being done: whose step this process is in the middle of, in a small file of the state folder. It
 * is written before and cleared after, and never flushed: it must outlive the process, not the machine. So whoever
 * starts finds there what the one before died of, if it was in the middle of anything.
 *
 * A file that cannot be read or written, or is damaged, notes nothing: a death is not counted then, and that is all.
 * Neither is that of a note from another boot of the machine, which died of something else.
 * The lock of the state folder sees to it that there is one writer.
 */
#ifndef BATCHD_IO_NOTE_H
#define BATCHD_IO_NOTE_H

#include <stdint.h>

struct note;

#define NOTE_STEP_SIZE 16

struct note_entry {
	int64_t job;   /* 0: nothing is being done */
	int64_t shard; /* its number within the job; 0: the step is one of the job itself */
	char step[NOTE_STEP_SIZE]; /* terminated, and cut where it is longer */
};

/* Opens the note of a state folder, or makes it; *ret_left is what stands there, and goes on standing there. */
struct note *note_open(const char *folder, struct note_entry *ret_left);
/* Leaves what stands there. NULL is fine. */
void note_close(struct note *note);

/* From here on this step is run, whatever was before. */
void note_enter(struct note *note, int64_t job, int64_t shard, const char *step);
/* The same for an entry as note_current gave it; one of no job changes nothing. note may be NULL. */
void note_enter_again(struct note *note, const struct note_entry *entry);
/* Nothing is run any more. note may be NULL. */
void note_leave(struct note *note);
/* What is run; of a note that is NULL, nothing. */
struct note_entry note_current(const struct note *note);

#endif
