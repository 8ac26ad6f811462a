/* Requests that nobody waits for any more and that have not arrived yet. */
#ifndef BATCHD_TESTS_WORLD_HTTP_LATE_H
#define BATCHD_TESTS_WORLD_HTTP_LATE_H

#include <stddef.h>

struct http_network;
struct sim;

/* All of it is copied; body and authorization may be NULL. */
void http_late_add(struct http_network *network, struct sim *sim, const char *method, const char *path, const char *body, size_t size,
		   const char *authorization);

#endif
