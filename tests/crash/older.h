/* A store as an older batchd left it: the same rows in the tables of an older schema. */
#ifndef BATCHD_TESTS_CRASH_OLDER_H
#define BATCHD_TESTS_CRASH_OLDER_H

#include <stddef.h>

/* Rewrites the store at path, which nobody has open, with the schema of version. 0, or -1 with a line on stderr. */
int older_store(const char *path, size_t version);

#endif
