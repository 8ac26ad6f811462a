/*
 * What the provider of a world knows, read from its memory and not by its API: no rule of the
 * script sees it, and no call is counted.
 */
#ifndef BATCHD_TESTS_WORLD_LEDGER_H
#define BATCHD_TESTS_WORLD_LEDGER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim;

struct ledger_batch {
	const char *id;
	const char *marker; /* that it was created with; "": none */
	const char *input_file;
	bool is_ended;
	bool is_idle; /* ended, and no request of it was answered */
	bool is_cancelled; /* it was asked to end, or has */
};

/* Batches, oldest first. */
size_t ledger_batch_count(const struct sim *sim);
struct ledger_batch ledger_batch(const struct sim *sim, size_t number);
/* The newest batch with that marker and input file; NULL: there is none. */
const char *ledger_find(const struct sim *sim, const char *marker, const char *input_file);

/* Whether some result file of a batch has this line, byte for byte but for the end of the line. */
bool ledger_has_line(const struct sim *sim, const char *line, size_t size);

/*
 * Answers that were made and paid more than once, by all of these providers together: of each
 * request those that were no failure, or never stood in a result file, beyond the first.
 */
int64_t ledger_surplus(struct sim *const *sims, size_t count);

/* The most batches that any one request is in which have not ended, at all of these providers together. */
int64_t ledger_most_live(struct sim *const *sims, size_t count);

/* Whether some rule of the script has not struck yet. */
bool ledger_has_idle_rule(const struct sim *sim);

#endif
