/*
 * Who is sent next: of the shards that wait in the queue of each provider those are let go, one after the other, whose turn it is and
 * for which the provider has room. What was let go has its place (admitted_at, reserved_tokens) on disk before anything of it leaves.
 */
#ifndef BATCHD_WORK_ADMISSION_H
#define BATCHD_WORK_ADMISSION_H

#include <stdint.h>

struct providers;
struct store;

/* Lets go whoever may at now. Cheap where nobody waits. */
void admission_run(struct store *store, struct providers *providers, int64_t now);

#endif
