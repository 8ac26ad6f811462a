/*
 * A bar on stderr for what takes long: on a terminal only, drawn in place, at most ten times a
 * second.
 */
#ifndef BATCHD_CLIENT_PROGRESS_H
#define BATCHD_CLIENT_PROGRESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct buffer;

struct progress {
	const char *label; /* "evals.jsonl", "job 57"; must outlive it */
	bool is_bytes;     /* of what: bytes, or requests */
	bool is_shown;
	int64_t total; /* 0: not known */
	int64_t done;
	int64_t failed;
	int64_t drawn_at_ms;
	/* The rate is smoothed over some ten seconds: a batch API answers in lumps. */
	int64_t rated_at_ms;
	int64_t rated_done;
	double rate; /* a second; below 0: not known */
	int64_t eta_s; /* what somebody knows who knows better than the rate; -1: nobody does */
};

/* A bar for total bytes or requests that begins at now_ms (monotonic); shown only where
 * output_may_draw. */
void progress_init(struct progress *progress, const char *label, bool is_bytes, int64_t total,
		   int64_t now_ms);

/* So many are done, of which so many failed; draws when it is time. */
void progress_update(struct progress *progress, int64_t done, int64_t failed, int64_t now_ms);

/* Takes the bar off the screen. */
void progress_clear(struct progress *progress);

/* Appends the line as it would be drawn on so many columns. */
void progress_format(const struct progress *progress, size_t columns, bool is_utf8,
		     struct buffer *buffer);

#endif
