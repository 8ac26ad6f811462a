/* What the service tells of a provider's queue: what is under way there, what its limits are, and what of that it taught us. */
#ifndef BATCHD_DOOR_ENQUEUED_H
#define BATCHD_DOOR_ENQUEUED_H

#include <stdbool.h>

struct visit;
struct json_object;
struct provider;

/* Adds "shards_waiting" and why, "in_flight", "learned" and "rates" to a provider's object. The provider's own words are for operators. */
void enqueued_add(struct json_object *object, const struct visit *visit, const struct provider *provider);

#endif
