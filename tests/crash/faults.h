/*
 * Every single fault that a provider, or the way to it, can have, as rows: which call it strikes, in what story, what the model under
 * tests/sim is to do, and what it may cost. Two drivers run the same rows: the world in a process with its virtual clock, and the real
 * http over sockets. A row costs nothing but time unless it says so: all requests answered, once, in one batch.
 */
#ifndef BATCHD_TESTS_CRASH_FAULTS_H
#define BATCHD_TESTS_CRASH_FAULTS_H

#include <stddef.h>

/* What happens besides, so that the call comes at all. Bits: two faults may need two stories at once. */
enum fault_story {
	STORY_PLAIN = 0,
	STORY_FAILURES = 1, /* one request fails for good, so there is an error file */
	STORY_DOUBT = 2,    /* the first create is done, and its answer lost: the list is read */
	STORY_ABSENT = 4,   /* the first create does not arrive: the list proves it, read twice */
	STORY_CANCEL = 8,   /* batches run for ten minutes, and the driver cancels the job once one is created */
	STORY_STRAY = 16,   /* the first upload is done, and its answer lost: a file that nobody needs is left there */
	STORY_NEW_LIST = 32, /* the provider's list has shown no batch yet; in all other stories it has */
};

/* What a fault may cost besides time; what is not said must not happen. */
enum fault_cost {
	COST_FAILED = 1,   /* requests may fail: the provider refused them for good, or answered so */
	COST_UPLOADS = 2,  /* more uploads than batches */
	COST_BATCHES = 4,  /* a request may be in several batches, of which one alone answers it */
	COST_ANSWERS = 8,  /* a request may be answered, and paid, more than once; the job counts it */
	COST_LOST = 16,    /* answers may be missing or lost; the job counts them */
	COST_PERSON = 32,  /* it may wait for a person: the driver cancels the job, which must end it */
	COST_ORPHANS = 64, /* a batch that no shard owns may be left, or go on */
	COST_TRIES = 128,  /* an answer may say that its request is to be tried again; the model's ledger calls it a success */
};

struct fault {
	char *name;	  /* "create: 503, done" */
	const char *call; /* "create": the call it strikes, as the script names it; "" where it is about objects or rows */
	char *rules;	  /* rules of the script, with commas between and no brackets; "": none */
	char *refused;	  /* connections for calls that begin so are refused, once: "POST /v1/batches"; NULL: none */
	unsigned story;	  /* bits of enum fault_story */
	unsigned costs;	  /* bits of enum fault_cost */
};

size_t fault_count(void);

/* Fills in row i, below fault_count(). */
void fault_make(size_t i, struct fault *ret_fault);
void fault_release(struct fault *fault);

/* The whole script of a story with such rules ("" for none): a JSON array. The caller frees. */
char *fault_script(unsigned story, const char *rules);

#endif
