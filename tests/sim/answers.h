/*
 * The model behind the API: what it answers to a request. A pure function of the request's bytes,
 * of how often it was asked before, and of a few rules: a test recomputes every answer with it.
 *
 * The text of an answer contains the XXH3 (64 bits, seed 0) of the body's bytes in 16 hex digits.
 * Some requests fail: a share of them, chosen by the hash of their custom_id, and those that ask
 * for it. Words anywhere in the body direct the answer:
 *	sim:status=400		this HTTP status instead of 200
 *	sim:error=NAME		no HTTP answer at all; NAME is request_timeout
 *	sim:times=2		the two above hold only for the first 2 times it is asked
 *	sim:bytes=100000	so many bytes of text in the answer (at most 64 MiB)
 *	sim:finish=length	finish_reason "length": a 200 that is not usable
 */
#ifndef BATCHD_TESTS_SIM_ANSWERS_H
#define BATCHD_TESTS_SIM_ANSWERS_H

#include <stdint.h>

struct buffer;
struct line;

struct answer_rules {
	unsigned fail_permille; /* of all requests */
	int fail_status;        /* what those get; 0: 500 */
	unsigned fail_times;    /* how often they fail before they succeed; 0: always */
	unsigned text_bytes;    /* of every answer, where the request does not say */
};

struct answer_usage {
	int64_t input_tokens;
	int64_t output_tokens;
};

enum { ANSWER_OK = 200, ANSWER_TIMEOUT = 0 };

/* The tokens that a request counts for while it is enqueued. */
int64_t answers_tokens(const struct line *line);

/* What a request gets when it is asked for the attempt-th time (from 1): a status, or
 * ANSWER_TIMEOUT. */
int answers_status(const struct answer_rules *rules, const struct line *line, unsigned attempt);

/* Appends its line of the result files, newline included; adds to *usage. Returns the status. */
int answers_add(const struct answer_rules *rules, const struct line *line, unsigned attempt,
		struct buffer *out, struct answer_usage *usage);

/* Appends the line of a request that was not asked. */
void answers_add_unasked(const struct line *line, const char *code, const char *message,
			 struct buffer *out);

#endif
