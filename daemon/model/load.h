/*
 * What one batch may hold, and how full one is: requests, bytes as uploaded, embedding inputs and
 * estimated tokens, all at once. Whoever puts requests together asks here, and so does whoever
 * foretells how many batches a file will make.
 */
#ifndef BATCHD_MODEL_LOAD_H
#define BATCHD_MODEL_LOAD_H

#include <stdbool.h>
#include <stdint.h>

/* The official provider's limits, for where the configuration is not known. */
#define LOAD_MAX_REQUESTS 50000
#define LOAD_MAX_BYTES 200000000
#define LOAD_MAX_INPUTS 50000
#define LOAD_BYTES_PER_TOKEN 4

struct load_limits {
	int64_t max_requests;
	int64_t max_bytes;
	int64_t max_inputs;
	int64_t max_tokens;	 /* 0: no limit */
	int64_t bytes_per_token; /* at least 1 */
	int64_t ideal_bytes;	 /* more are not put together, though one request may have them; 0: as many as fit */
	int64_t growth;		 /* by which a line becomes longer (or, below 0, shorter) than its record says, for its url */
};

struct load {
	int64_t requests;
	int64_t bytes; /* on the wire */
	int64_t inputs;
	int64_t tokens; /* estimated: bytes on the wire / bytes_per_token, rounded up for each request */
};

/* Why a single request can be in no batch. */
enum load_excess { LOAD_FITS, LOAD_TOO_MANY_BYTES, LOAD_TOO_MANY_INPUTS, LOAD_TOO_MANY_TOKENS };
#define LOAD_EXCESS_COUNT 4

/* The load of one request of so many bytes on the wire and embedding inputs. */
struct load load_of_request(const struct load_limits *limits, int64_t wire_bytes, int64_t inputs);
/* Whether both together are within the limits. */
bool load_has_room(const struct load_limits *limits, const struct load *load, const struct load *more);
void load_add(struct load *load, const struct load *more);
/* Whether a request is beyond a limit all by itself, and which: the first in the order of the enum. */
enum load_excess load_excess_of(const struct load_limits *limits, const struct load *request);
/* "request_too_large", "too_many_inputs", "too_many_tokens": the error code of such a request; NULL for LOAD_FITS. */
const char *load_excess_code(enum load_excess excess);
/* A sentence that names the limit: "By itself this request has more bytes than a batch may have (max_bytes, 200000000)." The caller frees. */
char *load_excess_words(enum load_excess excess, const struct load_limits *limits);

#endif
