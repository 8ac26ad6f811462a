/*
 * The words that providers have for where a batch, or a file, stands: one table of each. A word that
 * nobody knows is no end.
 */
#ifndef BATCHD_WORK_API_STATUS_H
#define BATCHD_WORK_API_STATUS_H

#include <stdbool.h>

enum api_status {
	API_STATUS_UNKNOWN, /* not terminal */
	API_STATUS_VALIDATING,
	API_STATUS_IN_PROGRESS,
	API_STATUS_FINALIZING,
	API_STATUS_CANCELLING,
	API_STATUS_COMPLETED, /* this and the ones below are terminal */
	API_STATUS_FAILED,
	API_STATUS_EXPIRED,
	API_STATUS_CANCELLED,
};

/* Whether a batch may be created of an uploaded file. */
enum api_file_state {
	API_FILE_READY, /* also one of which nothing is said */
	API_FILE_UNDER_WAY,
	API_FILE_BROKEN,
};

/* The status for a provider's word, in any case, with or without what parts its words; NULL is unknown. */
enum api_status api_status_of(const char *word);
/* The same for the status of a file; an unknown word means that it is under way. */
enum api_file_state api_file_state_of(const char *word);
bool api_status_is_terminal(enum api_status status);

#endif
