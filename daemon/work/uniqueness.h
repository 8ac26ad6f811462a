/*
 * Whether every custom_id of an input is used once. Ids are told apart by their hashes first, in
 * sorted order; those of one hash are read from the input again and compared decoded, so that a
 * collision of hashes costs time and nothing else. Memory stays the same whatever the number of
 * ids.
 */
#ifndef BATCHD_WORK_UNIQUENESS_H
#define BATCHD_WORK_UNIQUENESS_H

#include <stddef.h>
#include <stdint.h>

struct buffer;
struct error;
struct sorter_entry;
struct uniqueness;
struct vault;
struct vault_reader;

/* An id that was used before. */
struct uniqueness_repeat {
	const char *id; /* decoded; until on_repeat returns; not terminated */
	size_t size;
	uint32_t line;
	uint32_t first_line; /* that uses it */
};

/* What is told of a repeat; an error of it is that of the slice. */
typedef int uniqueness_on_repeat(const struct uniqueness_repeat *repeat, void *context,
				 struct error *err);

/*
 * input must outlive it. on_repeat is called once for each line that repeats an id, in no order of
 * lines.
 */
struct uniqueness *uniqueness_new(struct vault *vault, const struct vault_reader *input,
				  uniqueness_on_repeat *on_repeat, void *context);
/* NULL is fine. */
void uniqueness_free(struct uniqueness *uniqueness);
/* Adds an id; lines ascend. */
int uniqueness_add(struct uniqueness *uniqueness, const struct sorter_entry *entry,
		   struct error *err);
/* After the last id. 1: there is more to do; 0: all were compared; or -errno. */
int uniqueness_slice(struct uniqueness *uniqueness, struct error *err);

/* Adds the provider's sentence about a repeat, with the id as it is given here. */
void uniqueness_words(struct buffer *buffer, const char *id, size_t size, uint32_t first_line);

#endif
