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
struct sim_answer;

/* What becomes of a request on its way. */
enum http_fate {
	HTTP_FATE_ARRIVES,
	HTTP_FATE_REFUSED, /* there is no connection */
	HTTP_FATE_LOST,	   /* it left and never arrives */
	HTTP_FATE_LATE,	   /* the same, but it arrives with http_deliver_late. For requests without a form */
};

/* The eyes and hands of a test at the provider's door. path is decoded, without the query. Each may be NULL. */
struct http_post {
	enum http_fate (*on_leaving)(const char *method, const char *path, void *context);
	/* It was done; answer is what will be said of it. */
	void (*on_arrived)(const char *method, const char *path, const struct sim_answer *answer, void *context);
	/* Our side has heard of the answer, or that there is none. */
	void (*on_answered)(const char *method, const char *path, void *context);
	void *context;
};

/* Providers beside the first, by the host in their URLs. */
#define HTTP_MOST_HOSTS 3
struct http_host {
	const char *name;
	struct sim *sim;
};

/* Outlives the lives of a daemon. */
struct http_network {
	struct sim *sim; /* of every host that is none of these */
	struct http_host hosts[HTTP_MOST_HOSTS];
	size_t host_count;
	int64_t latency_ms;	/* an answer takes at least so long */
	const char *refused;	/* "POST /v1/batches", or "": connections for calls that begin so fail; NULL: none */
	int64_t refused_count;	/* so often; -1: always */
	unsigned rewind_permille; /* uploads that are begun twice */
	int64_t calls;		/* that arrived */
	struct http_post post;
	struct http_late *late; /* requests that are still under way though nobody waits for them */
};

/* Must come before the first call. network must outlive http. */
void http_connect(struct http *http, struct http_network *network);

/* All that is late arrives now, or never. */
void http_deliver_late(struct http_network *network);
void http_forget_late(struct http_network *network);

#endif
