/*
 * The front door: a table from (method, path) to functions, who is asking, and what every call has
 * in common. What a request means is in the files of those functions: batches.c, submit.c, retry.c,
 * results.c, events.c, files.c, service.c and backup.c.
 */
#ifndef BATCHD_DOOR_ROUTES_H
#define BATCHD_DOOR_ROUTES_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct door;
struct error;
struct exchange;
struct loop;
struct pipeline;
struct providers;
struct server;
struct server_callbacks;
struct spool;
struct store;
struct vault;

/* What the door works with; all of it outlives the door. */
struct door_parts {
	struct loop *loop;
	struct store *store;
	struct spool *spool;
	struct vault *vault;
	struct pipeline *pipeline;
	struct providers *providers;
	const struct config *config;
	const char *config_path; /* where it was read from */
	void (*on_change)(void *context); /* a job was accepted or cancelled: something is due */
	void (*on_fatal)(int status, void *context); /* the disk fails (G6): end with this exit status */
	void *context;
};

/* -ENOENT when the configuration names an operators group that does not exist. */
int door_new(const struct door_parts *parts, struct door **ret_door, struct error *err);
void door_free(struct door *door);

/* What a server must call. */
struct server_callbacks door_callbacks(struct door *door);
/* For server_release: a reply whose commit failed says so instead. */
void door_on_failed(struct exchange *exchange, int commit);
/* A job has a new event, and it is on disk. */
void door_on_event(struct door *door, int64_t job, int64_t seq);
/* From now on nothing is accepted: the service is stopping. */
void door_drain(struct door *door);

#endif
