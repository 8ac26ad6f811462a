/*
 * The inside of strings, for scan.c alone: others include scan.h. Most bytes of a request are
 * text, so here is where the scanner's speed comes from: a block of text is looked at in one step
 * for what ends or interrupts it, and only what is beyond ASCII is looked at byte by byte.
 */
#ifndef BATCHD_MODEL_SCAN_TEXT_H
#define BATCHD_MODEL_SCAN_TEXT_H

#include <errno.h>

#include "daemon/model/scan.h"

#define SCAN_UNEXPECTED_END "an unexpected end"

/* Keeps what is wrong, and where. */
void scan_note(struct scan *scan, size_t at, const char *problem) __attribute__((cold, noinline));

/* The same, as the last act of a function; the compiler sees that it is never 0. */
static inline int scan_refuse(struct scan *scan, size_t at, const char *problem)
{
	scan_note(scan, at, problem);
	return -EBADMSG;
}

/*
 * Passes and checks a string whose opening quote is the next byte. Returns 0, or -EBADMSG with
 * scan->problem set.
 */
int scan_text_pass(struct scan *scan, struct scan_span *ret_span);

#endif
