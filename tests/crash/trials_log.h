/*
 * Everything that is logged while a trial lives, caught on its way to the standard error: no secret
 * may be in it, and the same trial logs the same.
 */
#ifndef BATCHD_TESTS_CRASH_TRIALS_LOG_H
#define BATCHD_TESTS_CRASH_TRIALS_LOG_H

#include <stdbool.h>
#include <stdint.h>

/* Shows what is logged as well, on the standard error. */
extern bool trials_log_is_shown;

void trials_log_open(void);
void trials_log_close(void);

/* A sentence about the first secret that was logged since the log was opened; NULL: none was. */
const char *trials_log_secrets(void);
/* Of all lines since the log was opened. */
uint64_t trials_log_hash(void);

#endif
