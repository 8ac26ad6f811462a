/* A moment as programs write it: seconds since 1970, or a date with a time and its zone. */
#ifndef BATCHD_MODEL_MOMENT_H
#define BATCHD_MODEL_MOMENT_H

#include <stdint.h>

#define MOMENT_LAST INT64_C(253402300799000) /* the end of the year 9999 */

/*
 * Unix milliseconds of a text in one of these forms: "1790000000"; "2026-12-01T08:00:00Z", "2026-12-01 08:00+01:00", with or without
 * seconds, whose zone must be told (RFC 3339). -EINVAL for anything else, for days that there are not, and for what is before 1970 or
 * beyond MOMENT_LAST.
 */
int moment_parse(const char *text, int64_t *ret_ms);

#endif
