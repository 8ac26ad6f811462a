/*
 * What a provider says is wrong: its words, made fit to be kept and shown, what they mean where
 * only words tell, and the list of errors of a batch that failed, which may have an entry for every
 * line of its input and is read without a tree.
 */
#ifndef BATCHD_WORK_API_WORDS_H
#define BATCHD_WORK_API_WORDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/scan.h"

#define API_MAX_ID 4096 /* bytes; the longest seen in the field are 1.5 kB */

/*
 * A sentence as the provider wrote it: without white space before it, at most 400 bytes, UTF-8 (of
 * any other text only the ASCII is kept). The caller frees.
 */
char *api_words(const char *text, size_t size);
/*
 * A copy of an error code: one word of at most 64 bytes, for it goes to the journal, where nobody's
 * sentences may stand (G8). NULL when text is none, or NULL.
 */
char *api_code(const char *text);

/* Whether these say that our queue there is full: later it has room. Either may be NULL. */
bool api_says_full(const char *code, const char *message);
/*
 * Whether these say that what was sent is more than is taken at once: half of it may be taken.
 * Either may be NULL.
 */
bool api_says_too_large(const char *code, const char *message);

/*
 * Whether these say that what was asked for is not at this provider, whatever the requests are like: it does not have the model, or does
 * not serve the url. Either may be NULL.
 */
bool api_says_elsewhere(const char *code, const char *message);

/*
 * NULL where the text begins with JSON; else a copy of the same size with "?" for every byte beyond
 * ASCII, for servers cut their words in mid-character. The caller frees.
 */
char *api_mend(const char *json, size_t size);

/* One entry of a batch's errors. Strings are owned; NULL where there is none. */
struct api_flaw {
	int64_t line; /* of the input as uploaded, from 1; 0: it is of no line */
	char *code;
	char *message;
	char *param;
};

/*
 * The entries, one after the other: {"data":[...]}, an array of objects or of strings, one object,
 * a string; null has none.
 */
struct api_errors {
	struct scan scan;
	bool is_list;
	bool is_ended;
};

/* value is the text of the member "errors", which must outlive the walk. */
void api_errors_init(struct api_errors *errors, const char *value, size_t size);
/*
 * 1: an entry, which the caller releases; 0: there are no more. What cannot be read ends the list.
 * ret_flaw may be NULL: it is passed over.
 */
int api_errors_next(struct api_errors *errors, struct api_flaw *ret_flaw);
void api_flaw_release(struct api_flaw *flaw);

#endif
