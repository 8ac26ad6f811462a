/* What is in flight at a provider, and what its limits leave: for whoever lets shards go (work/admission), and tells why they wait. */
#ifndef BATCHD_WORK_ROOM_H
#define BATCHD_WORK_ROOM_H

#include <stdint.h>

#include "daemon/model/fairness.h"
#include "daemon/work/limits.h"

struct config_provider;
struct provider;
struct store_flight;

struct room_sums {
	int64_t batches;
	int64_t unsent;
	int64_t requests;
	int64_t tokens;
};
/* Adds what is in flight of one model and user. */
void room_add(struct room_sums *sums, const struct store_flight *flight);

/* What is left for a model of which so much is in flight. */
struct fairness_model room_of_model(const struct limits *limits, const struct room_sums *used, int64_t now);
/* What is left of the provider as a whole. */
struct fairness_room room_of_provider(const struct config_provider *config, const struct room_sums *used);

/* Shards that may be on their way to be sent at once, in all; and of one user, so that another one always finds a place. */
int64_t room_places(const struct config_provider *config);
int64_t room_places_of_user(const struct config_provider *config);

/* Until when nothing is sent to a provider; 0: it may be. *ret_why, which the caller frees, is for people. */
int64_t room_shut_until(struct provider *provider, int64_t now, char **ret_why);

#endif
