/*
 * A store in a folder of its own, for the tests of what it keeps and of what it does in trouble.
 */
#ifndef BATCHD_TESTS_UNIT_STORE_SCENE_H
#define BATCHD_TESTS_UNIT_STORE_SCENE_H

#include <ftw.h>
#include <stdbool.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "tests/unit/check.h"

#define TEXT(literal) ((char *)(uintptr_t)(literal))

static char folder[64];
static char path[80];
static struct store *store;

static inline void make_folder(void)
{
	const char *place = getenv("TMPDIR");

	(void)snprintf(folder, sizeof(folder), "%.40s/batchd-XXXXXX", place ? place : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
	(void)snprintf(path, sizeof(path), "%s/batchd.db", folder);
}

static inline void begin(void)
{
	make_folder();
	CU_ASSERT_EQUAL_FATAL(store_open(path, 77, &store, NULL), 0);
}

static inline int remove_one(const char *name, const struct stat *status, int type,
			     struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(name);
}

static inline void end(void)
{
	store_close(store);
	store = NULL;
	(void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static inline void commit(void)
{
	CU_ASSERT_EQUAL_FATAL(store_commit(store, NULL), 0);
}

static inline void reopen(void)
{
	store_close(store);
	CU_ASSERT_EQUAL_FATAL(store_open(path, 78, &store, NULL), 0);
}

static inline struct job plain_job(int64_t uid, enum job_state state, int64_t due_at)
{
	return (struct job){.uid = uid,
			    .state = state,
			    .due_at = due_at,
			    .endpoint = TEXT("e"),
			    .window = TEXT("24h"),
			    .provider = TEXT("p")};
}

static inline bool is_record(int64_t job, const char *name, const char *bytes, size_t size)
{
	auto_free char *got = NULL;
	size_t got_size = 0;

	return !store_record_bytes(store, job, name, &got, &got_size) && got_size == size &&
	       memcmp(got, bytes, size) == 0 && !got[size];
}

static int told[8];
static size_t told_count;

static inline void note_result(int result, void *context)
{
	(void)context;
	told[told_count++ % ARRAY_SIZE(told)] = result;
}

#endif
