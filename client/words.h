/*
 * What people write on the command line, and how figures are written for people. Pure.
 */
#ifndef BATCHD_CLIENT_WORDS_H
#define BATCHD_CLIENT_WORDS_H

#include <stddef.h>
#include <stdint.h>

struct error;

#define WORDS_FIGURE 32 /* bytes that any figure below fits in, with its terminator */

/*
 * A duration: "90" (seconds), "250ms", "90s", "5m", "2h30m", "1d". Units fall from left to right,
 * each at most once. -EINVAL for anything else, -ERANGE above ten years.
 */
int words_duration(const char *text, int64_t *ret_ms);

/*
 * A moment, in Unix seconds: "+2h" from now_s on; "22:00", the next time that a clock of the local zone shows; "2026-12-01 08:00" or
 * "2026-12-01T08:00:00", in the local zone unless it names one; or Unix seconds. -EINVAL for anything else.
 */
int words_moment(const char *text, int64_t now_s, int64_t *ret_seconds);

/* A job: "57" or "batch_57", no sign, no leading zero, 1 to INT64_MAX. -EINVAL for anything else.
 */
int words_job(const char *text, int64_t *ret_job);

/* A number of digits alone, 1 to INT64_MAX. -EINVAL for anything else. */
int words_count(const char *text, int64_t *ret_count);

/*
 * "K=V" of metadata within the limits of the API (characters, not bytes). The key ends at the first
 * '='. -EINVAL with the reason. ret_key_size counts the bytes before it; the value begins one byte
 * after.
 */
int words_metadata(const char *text, size_t *ret_key_size, struct error *err);

/*
 * "K=V" of a label: a key of 1 to 63 letters, digits and "._/-", a value of at most 63 characters
 * without control characters. The rest as words_metadata.
 */
int words_label(const char *text, size_t *ret_key_size, struct error *err);

/*
 * Whether a text may be the model of wrapped lines: 1 to 512 bytes of UTF-8 without quotes,
 * backslashes and control characters. 0 or -EINVAL.
 */
int words_model(const char *text);

/* Seconds as people say them, two units at most: "10s", "4m", "2h05m", "3d04h"; below zero is "0s".
 */
const char *words_elapsed(int64_t seconds, char *out);

/* "1 request", "2 requests": a number with its noun, whose plural has an s. */
const char *words_number(int64_t number, const char *noun, char *out);

/* Bytes with binary units: "812 B", "18.4 MiB". */
const char *words_size(int64_t bytes, char *out);

/* "2026-11-22T13:50:31+01:00" in the local zone; "-" for a time of 0 or less. */
const char *words_time(int64_t unix_seconds, char *out);

/* A copy of a text that may hold NUL characters, each of which becomes U+FFFD, so that none ends it. The caller frees. */
char *words_whole(const char *text, size_t size);

/* Whether a list such as "open,failed" holds only the letters a state is made of. */
int words_states(const char *text);

#endif
