/*
 * A job and its events, written for people.
 */
#ifndef BATCHD_CLIENT_SHOW_H
#define BATCHD_CLIENT_SHOW_H

struct json_object;

/* Everything about a batch object, on stdout. */
void show_batch(struct json_object *batch);

/* One event as one line. */
void show_event(struct json_object *event);

#endif
