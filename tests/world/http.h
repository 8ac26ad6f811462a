/*
 * HTTP of the world in a process: daemon/io/http.h whose other end is the model under tests/sim,
 * called directly. What an answer says about its connection (a delay, a cut, nothing at all) is done in
 * virtual time; sources are read in pieces, and now and then from the start again, as libcurl does.
 *
 * Between a request's arrival and its answer lies at least one turn, so that a death can come between.
 */
#ifndef BATCHD_TESTS_WORLD_HTTP_H
#define BATCHD_TESTS_WORLD_HTTP_H

#include <stdint.h>

#include "daemon/io/http.h"

struct sim;

/* Outlives the lives of a daemon. */
struct http_network {
	struct sim *sim;
	int64_t latency_ms;	/* an answer takes at least so long */
	const char *refused;	/* "POST /v1/batches", or "": connections for calls that begin so fail; NULL: none */
	int64_t refused_count;	/* so often; -1: always */
	unsigned rewind_permille; /* uploads that are begun twice */
	int64_t calls;		/* that arrived */
};

/* Must come before the first call. network must outlive http. */
void http_connect(struct http *http, struct http_network *network);

#endif
