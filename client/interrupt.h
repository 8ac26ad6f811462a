/*
 * SIGINT, SIGTERM and SIGHUP while something is under way that wants to end in good order: a
 * temporary file to remove, a sentence to say. Until interrupt_catch they kill as ever.
 */
#ifndef BATCHD_CLIENT_INTERRUPT_H
#define BATCHD_CLIENT_INTERRUPT_H

#include <stdbool.h>
#include <stdint.h>

/* From here on the signals are noted. May be called again. */
void interrupt_catch(void);

/* Whether one has come, and the exit status it asks for: 128 and its number. */
bool interrupt_came(void);
int interrupt_status(void);

/* A descriptor that becomes readable with the first signal, to be polled; -1 before
 * interrupt_catch. */
int interrupt_fd(void);

/* Sleeps, but not beyond a signal. Returns whether one has come. */
bool interrupt_sleep(int64_t ms);

#endif
