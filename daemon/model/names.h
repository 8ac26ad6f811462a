/*
 * A list of names in one text, "openai,azure-eu": the providers that a job, or a model's route,
 * goes to, in their order. Whoever writes one may put blanks around the commas; what is kept has
 * none.
 */
#ifndef BATCHD_MODEL_NAMES_H
#define BATCHD_MODEL_NAMES_H

#include <stdbool.h>
#include <stddef.h>

struct error;

#define NAMES_MAX 16 /* names in a list */

/* A walk over a list: a zeroed struct whose rest is the text. */
struct names {
	const char *rest;
	const char *name; /* the one that was found last, of size bytes, not terminated; without blanks around it */
	size_t size;
};

/* The next name, which may be empty; false behind the last. A text without a comma is one name. */
bool names_next(struct names *names);
/* Whether the one that was found last is called so. */
bool names_is(const struct names *names, const char *name);
/* A copy of the one that was found last; the caller frees. */
char *names_copy(const struct names *names);

/* Whether a list has this name. */
bool names_have(const char *list, const char *name);

/*
 * The list as it is kept; the caller frees. -EINVAL with a sentence that lacks its place: a name is empty, or stands there twice,
 * or there are more than NAMES_MAX.
 */
int names_read(const char *text, char **ret_list, struct error *err);

#endif
