/*
 * How long batches take, from the create to the end, learned from those that ended: a histogram in logarithmic buckets (four to
 * an octave, from a second to some weeks), in which what was seen lately counts most. Pure: the clock is an argument. It answers how
 * much longer a batch of some age will take, and when to look at it; and it says so where it does not know: before
 * TURNAROUND_LEAST of them ended, and beyond the longest that was seen.
 */
#ifndef BATCHD_MODEL_TURNAROUND_H
#define BATCHD_MODEL_TURNAROUND_H

#include <stddef.h>
#include <stdint.h>

#define TURNAROUND_BUCKETS 88
#define TURNAROUND_LEAST 5

struct turnaround {
	int64_t samples; /* that it was ever fed */
	uint32_t weights[TURNAROUND_BUCKETS];
};

/* A batch took so long; less than nothing is of a clock that was set, and is not taken. */
void turnaround_add(struct turnaround *turnaround, int64_t took_ms);

/*
 * As text, "BUCKET:WEIGHT ..." of those that are not empty, and back; samples stands beside it. The caller frees. Text that it did not
 * write is -EINVAL, and nothing is known then.
 */
char *turnaround_show(const struct turnaround *turnaround);
int turnaround_parse(const char *text, int64_t samples, struct turnaround *ret_turnaround);

/*
 * Of the batches that took longer than age_ms, so many of a thousand had ended at this age, in milliseconds; -1: nothing is known
 * of batches so old. permille is at most 1000.
 */
int64_t turnaround_quantile(const struct turnaround *turnaround, int64_t age_ms, unsigned permille);

/*
 * When to look at a batch of this age next, within first_ms and longest_ms: not before the earliest end that was seen, then the more
 * often the closer together the ends lay; -1: nothing is known of batches so old.
 */
int64_t turnaround_wait_ms(const struct turnaround *turnaround, int64_t age_ms, int64_t first_ms,
			   int64_t longest_ms);

/* Batches are learned of apart by their size: the number of digits of their requests. */
unsigned turnaround_class(int64_t requests);
/* What a class goes by where it is kept, "turnaround.4". The caller frees. */
char *turnaround_name(unsigned size_class);

#endif
