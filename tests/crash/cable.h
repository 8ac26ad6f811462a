/*
 * A world (tests/world/world.h) whose loop, http and sockets are the real ones: the daemon's parts as in the world in a process, and the
 * model behind a server that listens on loopback. All in one process and one loop, under the clock of cable_clock.h.
 */
#ifndef BATCHD_TESTS_CRASH_CABLE_H
#define BATCHD_TESTS_CRASH_CABLE_H

#include <stddef.h>
#include <stdint.h>

struct tamper;
struct world;

/*
 * A world whose provider listens, with quick time-outs. tamper: between them is a relay (cable_relay.h) that tampers with the first of
 * such calls; NULL: there is none. The one that there is.
 */
struct world *cable_new(const struct tamper *tamper, unsigned calls);
void cable_free(struct world *world);

/* How often the pipeline began a call of this kind, ON_...: no more of them may arrive. */
int64_t cable_begun(unsigned call);

/* How many descriptors this process has open. */
size_t cable_descriptors(void);

#endif
