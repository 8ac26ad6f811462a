/*
 * A call that must happen once, made until its outcome is known: every repeat has the same
 * idempotency key, so that no second job can come of it.
 */
#ifndef BATCHD_CLIENT_REPEAT_H
#define BATCHD_CLIENT_REPEAT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct failure;

#define REPEAT_KEY 33 /* bytes of a key, with its terminator */

/* Zero is a beginning. */
struct repeat {
	int tries;
	int64_t pause_ms;
	bool was_sent; /* so that a job may exist, whatever became of the answer */
};

/* Draws a key. */
void repeat_draw_key(char *ret_key);

/*
 * After a call that failed: whether it shall be made again; then it says so, with what the call is
 * about, and pauses. A signal meanwhile becomes the failure.
 */
bool repeat_again(struct repeat *repeat, const char *what, struct failure *failure);

/* Checks a --key that was given, for how many operands; 0, or EXIT_USAGE, which was told. NULL is
 * fine. */
int repeat_check_key(const char *key, const char *operand, size_t operand_count);

#endif
