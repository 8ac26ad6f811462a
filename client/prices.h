/*
 * What the requests of a model cost, by the prices that batchd was configured with: for people to
 * look at, and no bill.
 */
#ifndef BATCHD_CLIENT_PRICES_H
#define BATCHD_CLIENT_PRICES_H

#include <stdint.h>

struct json_object;

/* "50%" or "0.05%" in parts of 10,000; -EINVAL for anything else, and above 100%. */
int prices_discount(const char *text, int64_t *ret_parts);

/*
 * What so many input tokens of a model cost, in millionths of the currency, less the provider's
 * discount. daemon and provider are objects of GET /v1/daemon, or NULL. -1: no price is known.
 */
int64_t prices_of_input(struct json_object *daemon, struct json_object *provider, const char *model,
			int64_t tokens);

#endif
