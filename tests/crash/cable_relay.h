/*
 * A man in the middle: a server of bytes between the real http and the model's server. It reads each request whole, passes it on over a
 * connection of its own and gives back what it got, until the call comes that it is to tamper with. It knows what a proxy, a
 * gateway or a broken server may do to a connection, which no server library would do for us.
 *
 * It listens as two hosts: the provider's, and another one, to which nobody may show a key or send anything that acts.
 */
#ifndef BATCHD_TESTS_CRASH_CABLE_RELAY_H
#define BATCHD_TESTS_CRASH_CABLE_RELAY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/base/buffer.h"

struct loop;

/* What the model answered, where the request was passed on; else status is 0 and there is no body. */
struct relay_answer {
	const char *path; /* of the request, behind "/v1" */
	int status;
	const char *content_type;
	const char *body;
	size_t size;
};

/* When the tampering happens. */
enum relay_when {
	RELAY_HEAD,	/* the headers of the request are here, its body is not read */
	RELAY_HALF,	/* so is half of its body */
	RELAY_READ,	/* all of it; it is not passed on */
	RELAY_ANSWERED, /* it was passed on, and done */
};

enum relay_then { RELAY_KEEP, RELAY_CLOSE, RELAY_RESET };

struct tamper {
	const char *name;
	unsigned calls; /* ON_UPLOAD ..., of faults_tables.h: the first such call is tampered with */
	enum relay_when when;
	/* Puts what is sent instead; NULL: nothing. */
	void (*shape)(const struct relay_answer *answer, struct buffer *out);
	enum relay_then then;
	struct {
		unsigned calls, costs;
	} costs[3];
};

extern const struct tamper tampers[];
extern const size_t tamper_count;

struct relay_counts {
	int64_t tampered;
	int64_t uploads, creates, cancels, deletes; /* requests whose headers arrived */
	int64_t keyless; /* requests to the provider without the key */
	int64_t elsewhere, keys_elsewhere, posts_elsewhere; /* requests to the other host, and those among them that may not be */
};

/* Relays to port of loopback, and tampers with the first call that is one of calls. tamper may be NULL. The one that there is. */
void relay_start(struct loop *loop, uint16_t port, const char *key, const struct tamper *tamper, unsigned calls);
void relay_stop(void);

/* "http://127.0.0.1:PORT/v1", and "http://127.0.0.2:PORT/v1" of the other host. */
const char *relay_url(void);
const char *relay_other_url(void);

struct relay_counts relay_counts(void);

/* Which call this is, ON_...; 0: none of them. head begins with "METHOD /path ". */
unsigned relay_call_of(const char *head);

#endif
