/*
 * What the headers of a provider's answers say of its rates: x-ratelimit-limit-requests, -remaining-, -reset-, and the same of tokens. Few
 * providers send them with files and batches, so they are heeded where they come and missed nowhere. In memory: they are about minutes.
 */
#ifndef BATCHD_WORK_RATES_H
#define BATCHD_WORK_RATES_H

#include <stdint.h>

struct http_response;

struct told_rate {
	int64_t limit;	   /* -1: not said */
	int64_t remaining; /* the same */
	int64_t reset_at;  /* Unix milliseconds, when there is more of it; 0: not said */
};

struct rates {
	struct told_rate requests;
	struct told_rate tokens;
};

void rates_init(struct rates *rates);
/* Takes over what an answer says; what it does not say stays as it was. */
void rates_note(struct rates *rates, const struct http_response *response, int64_t now);
/* Until when nothing is left of a rate, and of which (for people); 0: something is, for all that is known. */
int64_t rates_spent_until(const struct rates *rates, int64_t now, const struct told_rate **ret_rate, const char **ret_name);

#endif
