/*
 * A job's shards, collected and merged, for the tests of what comes out: on top of job_scene.h.
 */
#ifndef BATCHD_TESTS_UNIT_MERGE_SCENE_H
#define BATCHD_TESTS_UNIT_MERGE_SCENE_H

#include <inttypes.h>

#include "daemon/work/collect.h"
#include "daemon/work/merge.h"
#include "tests/unit/job_scene.h"

#define OK(id)   "{\"custom_id\":\"" id "\",\"response\":{\"status_code\":200,\"body\":{}}}"
#define BAD(id)  "{\"custom_id\":\"" id "\",\"response\":{\"status_code\":400,\"body\":{}}}"
#define BUSY(id) "{\"custom_id\":\"" id "\",\"response\":{\"status_code\":429,\"body\":{}}}"
#define MADE(id, code, message)                                                                    \
	"{\"id\":null,\"custom_id\":\"" id "\",\"response\":null,\"error\":{\"code\":\"" code      \
	"\",\"message\":\"" message "\"}}\n"
#define CANCELLED(id)                                                                              \
	MADE(id, "batch_cancelled",                                                                \
	     "This request was not executed because its batch was cancelled.")
#define MISSING(id) MADE(id, "missing", "The batch ended without an answer to this request.")
#define EXPIRED(id)                                                                                \
	MADE(id, "batch_expired",                                                                  \
	     "This request could not be executed before the completion window expired.")
#define REFUSED(id, why) MADE(id, "refused", "The provider refused the batch of this request." why)

static struct scene scene;
static struct outcomes_shard one_shard[] = {{.number = 1}};

/* The collected shards, and what is asked for. */
struct wish {
	struct outcomes_shards shards;
	struct merge_plan plan;
};

static inline void begin(const char *const *ids)
{
	scene_begin(&scene);
	scene_ids(&scene, ids);
}

static inline void end(void)
{
	scene_end(&scene);
}

/* Rows to try again get a number far from the others. */
static inline struct collect_result collect(int64_t number, enum collect_end how, bool is_cancelled)
{
	struct shard shard = {.number = number, .attempt = number, .word = SHARD_WORD_ACCEPT};
	struct collect_plan plan = {
		.id_key = SCENE_KEY,
		.end = how,
		.is_job_cancelled = is_cancelled,
		.max_attempts = 9,
		.limits.bytes_per_token = 4,
	};
	struct collect_result result;
	struct collect *collect;
	int r;

	CU_ASSERT_EQUAL_FATAL(collect_new(scene.vault, &scene.job, &shard, &plan, &collect, NULL),
			      0);
	while ((r = collect_slice(collect, NULL)) > 0)
		;
	CU_ASSERT_EQUAL_FATAL(r, 0);
	CU_ASSERT_EQUAL_FATAL(collect_keep(collect, number + 100, NULL), 0);
	result = *collect_result(collect);
	collect_free(collect);
	return result;
}

/* Reads to the end with buffers of this size, or to an error, which is returned. */
static inline int merge(const struct wish *wish, size_t size, struct buffer *text,
			struct job_counts *ret_counts)
{
	auto_free char *bytes = xmalloc(size);
	struct error err = {0};
	struct merge *merge;
	int64_t got = merge_new(scene.vault, &scene.job, &wish->shards, &wish->plan, &merge, &err);

	buffer_clear(text);
	if (got)
		return (int)got;
	while ((got = merge_read(merge, bytes, size, &err)) >= 0)
		buffer_add(text, bytes, (size_t)got);
	CU_ASSERT_EQUAL(merge_read(merge, bytes, size, NULL), got);
	CU_ASSERT((got == MERGE_END) == (err.text[0] == '\0'));
	*ret_counts = *merge_counts(merge);
	merge_free(merge);
	return got == MERGE_END ? 0 : (int)got;
}

static inline bool gives(const struct wish *wish, const char *expected)
{
	auto_buffer text = {0};
	struct job_counts counts;
	int r = merge(wish, 4096, &text, &counts);

	if (!r && strcmp(buffer_text(&text), expected) == 0)
		return true;
	(void)fprintf(stderr, "# %d: %s", r, buffer_text(&text));
	return false;
}

static inline struct job_counts counted(const struct wish *wish)
{
	auto_buffer text = {0};
	struct job_counts counts = {0};

	CU_ASSERT_EQUAL_FATAL(merge(wish, 4096, &text, &counts), 0);
	return counts;
}

/* Keeps records of outcomes, and those rows as the members, of a shard. */
static inline void keep_outcomes(int64_t shard, int64_t first,
				 const struct record_outcome *outcomes, size_t count)
{
	auto_free char *name = rows_done_name(shard);
	struct rows_writer rows;

	scene_members(&scene, shard, first, first + (int64_t)count, 1);
	rows_writer_init(&rows, scene.vault, RECORD_OUTCOMES);
	for (size_t i = 0; i < count; i++)
		CU_ASSERT_EQUAL(rows_write(&rows, &outcomes[i], NULL), 0);
	CU_ASSERT_EQUAL(rows_writer_keep(&rows, SCENE_JOB, name, NULL), 0);
	rows_writer_release(&rows);
}

#endif
