/*
 * The model behind HTTP: collects a request, asks the model, and treats the connection as the
 * answer says, misbehaviour included.
 */
#ifndef BATCHD_TESTS_SIM_SERVE_H
#define BATCHD_TESTS_SIM_SERVE_H

#include <stddef.h>

struct error;
struct loop;
struct serve;
struct sim;

/* Serves the model on count listening sockets, which are closed at the end. 0 or -errno. */
int serve_new(struct loop *loop, struct sim *sim, const int *fds, size_t count,
	      struct serve **ret_serve, struct error *err);

/* Closes every connection. NULL is fine. */
void serve_free(struct serve *serve);

/* Lets the answers of this turn go; call it at the end of every turn. */
void serve_turn(struct serve *serve);

#endif
