/* The store's verbs about what became of requests: failures by what they say, and tokens. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

/* A digest of the store's, owned. */
struct entry {
	char *sample;
	int64_t count;
	int64_t rows[ARRAY_SIZE(((struct store_digest *)NULL)->rows)];
	size_t row_count;
};

static size_t read_rows(const char *text, int64_t *ret_rows)
{
	size_t count = 0;
	char *end;

	for (; text && *text && count < ARRAY_SIZE(((struct store_digest *)NULL)->rows); text = end) {
		ret_rows[count++] = strtoll(text, &end, 10);
		end += *end == ' ';
	}
	return count;
}

static void write_rows(const int64_t *rows, size_t count, struct buffer *buffer)
{
	for (size_t i = 0; i < count; i++)
		buffer_add_format(buffer, "%s%" PRId64, i ? " " : "", rows[i]);
}

/* 1 when the job has one of this code and gist, else 0 or a negative errno. */
static int find_entry(struct store *store, int64_t job, const char *code, const char *gist, struct entry *ret_entry)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_DIGEST_GET);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	store_sql_bind_text(statement, 2, code);
	store_sql_bind_text(statement, 3, gist);
	r = store_sql_step(store, statement);
	if (r != 1)
		return r;
	ret_entry->sample = store_sql_text_of(statement, 0);
	ret_entry->count = sqlite3_column_int64(statement, 1);
	ret_entry->row_count = read_rows(store_sql_peek(statement, 2), ret_entry->rows);
	(void)sqlite3_reset(statement);
	return 1;
}

static int64_t count_entries(struct store *store, int64_t job)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_DIGEST_COUNT);
	int64_t count = 0;

	if (!statement)
		return 0;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)store_sql_integers(store, statement, 1, (int64_t *const[]){ &count });
	return count;
}

/* The lowest rows of both, ascending. */
static void merge_rows(struct entry *entry, const struct store_digest *digest)
{
	int64_t merged[ARRAY_SIZE(entry->rows)];
	size_t count = 0, a = 0, b = 0;

	while (count < ARRAY_SIZE(merged) && (a < entry->row_count || b < digest->row_count)) {
		bool is_first = b == digest->row_count ||
				(a < entry->row_count && entry->rows[a] <= digest->rows[b]);

		merged[count++] = is_first ? entry->rows[a++] : digest->rows[b++];
	}
	memcpy(entry->rows, merged, count * sizeof(merged[0]));
	entry->row_count = count;
}

void store_digest_add(struct store *store, int64_t job, const struct store_digest *digest, size_t most)
{
	const char *code = digest->code, *gist = digest->gist, *sample = digest->sample;
	struct entry entry = { 0 };
	auto_buffer rows = { 0 };
	sqlite3_stmt *statement;
	int found = find_entry(store, job, code, gist, &entry);

	if (!found && (*code || *gist) && count_entries(store, job) >= (int64_t)most) {
		code = gist = sample = "";
		found = find_entry(store, job, code, gist, &entry);
	}
	statement = found < 0 ? NULL : store_sql_write(store, SQL_DIGEST_PUT);
	if (statement) {
		merge_rows(&entry, digest);
		write_rows(entry.rows, entry.row_count, &rows);
		(void)sqlite3_bind_int64(statement, 1, job);
		store_sql_bind_text(statement, 2, code);
		store_sql_bind_text(statement, 3, gist);
		store_sql_bind_text(statement, 4, found ? entry.sample : sample);
		(void)sqlite3_bind_int64(statement, 5, entry.count + digest->count);
		store_sql_bind_text(statement, 6, buffer_text(&rows));
		store_sql_run(store, statement);
	}
	free(entry.sample);
}

int store_digest_list(struct store *store, int64_t job, size_t limit,
		      void (*visit)(const struct store_digest *digest, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_DIGEST_LIST);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
	while ((r = store_sql_step(store, statement)) == 1) {
		struct store_digest digest = {
			.code = store_sql_peek(statement, 0),
			.gist = store_sql_peek(statement, 1),
			.sample = store_sql_peek(statement, 2),
			.count = sqlite3_column_int64(statement, 3),
		};

		digest.row_count = read_rows(store_sql_peek(statement, 4), digest.rows);
		visit(&digest, context);
	}
	return r;
}

int store_shard_usage(struct store *store, int64_t job,
		      void (*visit)(const struct store_usage *usage, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_SHARD_USAGE);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	while ((r = store_sql_step(store, statement)) == 1) {
		const struct store_usage usage = {
			.model = store_sql_peek(statement, 0),
			.requests = sqlite3_column_int64(statement, 1),
			.input_tokens = sqlite3_column_int64(statement, 2),
			.output_tokens = sqlite3_column_int64(statement, 3),
			.provider = store_sql_peek(statement, 4),
			.estimated_tokens = sqlite3_column_int64(statement, 5),
		};

		visit(&usage, context);
	}
	return r;
}
