/*
 * What a look through the state folder finds, as lines: for people, or as the front door tells it (protocol.h).
 */
#ifndef BATCHD_DOOR_REPORT_H
#define BATCHD_DOOR_REPORT_H

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

/*
 * Looks through a state folder and writes the lines to out as they come. now: Unix milliseconds. Returns 0 when no damage was found, else 1,
 * also when there was nothing to look at or out took no more.
 */
int report_run(const char *folder, int64_t now, bool is_json, FILE *out);

#endif
