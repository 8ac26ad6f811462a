/* The store's verbs about files, small bytes, events, idempotency keys and providers. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

/* is_deleted of a file whose bytes are gone. */
#define FILE_IS_EMPTY 2

static void read_file(sqlite3_stmt *statement, struct store_file *file)
{
	*file = (struct store_file){
		.id = sqlite3_column_int64(statement, 0),
		.uid = sqlite3_column_int64(statement, 1),
		.purpose = store_sql_text_of(statement, 2),
		.name = store_sql_text_of(statement, 3),
		.bytes = sqlite3_column_int64(statement, 4),
		.created_at = sqlite3_column_int64(statement, 5),
		.expires_at = sqlite3_column_int64(statement, 6),
		.is_deleted = sqlite3_column_int(statement, 7) != 0,
		.is_empty = sqlite3_column_int(statement, 7) == FILE_IS_EMPTY,
		.digest = (uint64_t)sqlite3_column_int64(statement, 8),
	};
}

void store_file_release(struct store_file *file)
{
	free(file->purpose);
	free(file->name);
	*file = (struct store_file){ 0 };
}

int64_t store_file_add(struct store *store, const struct store_file *file)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_FILE_ADD);

	if (!statement)
		return 0;
	(void)sqlite3_bind_int64(statement, 1, file->uid);
	store_sql_bind_text(statement, 2, file->purpose);
	store_sql_bind_text(statement, 3, file->name);
	(void)sqlite3_bind_int64(statement, 4, file->bytes);
	(void)sqlite3_bind_int64(statement, 5, file->created_at);
	(void)sqlite3_bind_int64(statement, 6, file->expires_at);
	(void)sqlite3_bind_int64(statement, 7, (sqlite3_int64)file->digest);
	store_sql_run(store, statement);
	return store->failure ? 0 : sqlite3_last_insert_rowid(store->db);
}

int store_file_get(struct store *store, int64_t file, struct store_file *ret_file)
{
	sqlite3_stmt *statement = store_sql(store, SQL_FILE_GET);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, file);
	r = store_sql_step(store, statement);
	if (r != 1)
		return r ? r : -ENOENT;
	read_file(statement, ret_file);
	(void)sqlite3_reset(statement);
	return 0;
}

void store_file_delete(struct store *store, int64_t file)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_FILE_DELETE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, file);
	store_sql_run(store, statement);
}

void store_file_remove(struct store *store, int64_t file)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_FILE_REMOVE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, file);
	store_sql_run(store, statement);
}

void store_file_empty(struct store *store, int64_t file)
{
	static const enum sql changes[] = { SQL_FILE_EMPTY, SQL_FILE_DROP };

	for (size_t i = 0; i < ARRAY_SIZE(changes); i++) {
		sqlite3_stmt *statement = store_sql_write(store, changes[i]);

		if (!statement)
			return;
		(void)sqlite3_bind_int64(statement, 1, file);
		store_sql_run(store, statement);
	}
}

int store_file_expired(struct store *store, int64_t now, size_t limit,
		       void (*visit)(const struct store_file *file, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_FILE_EXPIRED);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, now);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
	while ((r = store_sql_step(store, statement)) == 1) {
		auto_store_file file = { 0 };

		read_file(statement, &file);
		visit(&file, context);
	}
	return r;
}

bool store_file_is_needed(struct store *store, int64_t file)
{
	sqlite3_stmt *statement = store_sql(store, SQL_FILE_NEEDED);
	int r;

	/* What cannot be read is kept. */
	if (!statement)
		return true;
	(void)sqlite3_bind_int64(statement, 1, file);
	r = store_sql_step(store, statement);
	if (r == 1)
		(void)sqlite3_reset(statement);
	return r != 0;
}

int store_file_list(struct store *store, int64_t uid, const char *purpose, bool is_ascending,
		    int64_t after, int64_t now, size_t limit,
		    void (*visit)(const struct store_file *file, void *context), void *context)
{
	static const enum sql lists[2][2] = { { SQL_FILE_LIST_DOWN, SQL_FILE_LIST_DOWN_ALL },
					      { SQL_FILE_LIST_UP, SQL_FILE_LIST_UP_ALL } };
	sqlite3_stmt *statement = store_sql(store, lists[is_ascending][uid < 0]);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, uid);
	store_sql_bind_text(statement, 2, purpose);
	(void)sqlite3_bind_int64(statement, 3, after || is_ascending ? after : INT64_MAX);
	(void)sqlite3_bind_int64(statement, 4, now);
	(void)sqlite3_bind_int64(statement, 5, (sqlite3_int64)limit);
	while ((r = store_sql_step(store, statement)) == 1) {
		auto_store_file file = { 0 };

		read_file(statement, &file);
		visit(&file, context);
	}
	return r;
}

int store_file_walk(struct store *store, int64_t after, size_t limit,
		    void (*visit)(const struct store_file *file, int64_t kept, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_FILE_WALK);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, after);
	(void)sqlite3_bind_int64(statement, 2, (sqlite3_int64)limit);
	while ((r = store_sql_step(store, statement)) == 1) {
		auto_store_file file = { 0 };

		read_file(statement, &file);
		visit(&file, sqlite3_column_int64(statement, 9), context);
	}
	return r;
}

/* The one column of the one row of a bound statement, as bytes. */
static int read_bytes(struct store *store, sqlite3_stmt *statement, char **ret_bytes, size_t *ret_size)
{
	int r = store_sql_step(store, statement);

	if (r != 1)
		return r ? r : -ENOENT;
	*ret_bytes = store_sql_bytes_of(statement, 0, ret_size);
	(void)sqlite3_reset(statement);
	return 0;
}

static void bind_bytes(sqlite3_stmt *statement, int index, const void *bytes, size_t size)
{
	/* An empty blob is not NULL. */
	if (size)
		(void)sqlite3_bind_blob64(statement, index, bytes, size, SQLITE_STATIC);
	else
		(void)sqlite3_bind_zeroblob(statement, index, 0);
}

void store_file_put(struct store *store, int64_t file, const void *bytes, size_t size)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_FILE_PUT);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, file);
	bind_bytes(statement, 2, bytes, size);
	store_sql_run(store, statement);
}

void store_record_put(struct store *store, int64_t job, const char *name, const void *bytes, size_t size)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_RECORD_PUT);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, job);
	store_sql_bind_text(statement, 2, name);
	bind_bytes(statement, 3, bytes, size);
	store_sql_run(store, statement);
}

int store_file_bytes(struct store *store, int64_t file, char **ret_bytes, size_t *ret_size)
{
	sqlite3_stmt *statement = store_sql(store, SQL_FILE_BYTES);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, file);
	return read_bytes(store, statement, ret_bytes, ret_size);
}

int store_record_bytes(struct store *store, int64_t job, const char *name, char **ret_bytes,
		       size_t *ret_size)
{
	sqlite3_stmt *statement = store_sql(store, SQL_RECORD_BYTES);

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	store_sql_bind_text(statement, 2, name);
	return read_bytes(store, statement, ret_bytes, ret_size);
}

bool store_has_record(struct store *store, int64_t job, const char *name)
{
	sqlite3_stmt *statement = store_sql(store, SQL_RECORD_SIZE);
	bool is_there;

	if (!statement)
		return false;
	(void)sqlite3_bind_int64(statement, 1, job);
	store_sql_bind_text(statement, 2, name);
	is_there = store_sql_step(store, statement) == 1;
	if (is_there)
		(void)sqlite3_reset(statement);
	return is_there;
}

void store_record_remove(struct store *store, int64_t job, const char *name)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_RECORD_REMOVE);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, job);
	store_sql_bind_text(statement, 2, name);
	store_sql_run(store, statement);
}

void store_record_clear(struct store *store, int64_t job)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_RECORD_CLEAR);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, job);
	store_sql_run(store, statement);
}

int64_t store_event_add(struct store *store, const struct store_event *event)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_EVENT_ADD);

	if (!statement)
		return 0;
	(void)sqlite3_bind_int64(statement, 1, event->job);
	(void)sqlite3_bind_int64(statement, 2, event->shard);
	(void)sqlite3_bind_int64(statement, 3, event->at);
	store_sql_bind_text(statement, 4, event->type);
	store_sql_bind_text(statement, 5, event->level);
	store_sql_bind_text(statement, 6, event->message);
	(void)sqlite3_bind_int(statement, 7, event->is_last);
	store_sql_run(store, statement);
	return store->failure ? 0 : sqlite3_last_insert_rowid(store->db);
}

int store_event_list(struct store *store, int64_t job, int64_t after, size_t limit,
		     void (*visit)(const struct store_event *event, void *context), void *context)
{
	sqlite3_stmt *statement = store_sql(store, SQL_EVENT_LIST);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)sqlite3_bind_int64(statement, 2, after);
	(void)sqlite3_bind_int64(statement, 3, (sqlite3_int64)limit);
	while ((r = store_sql_step(store, statement)) == 1) {
		struct store_event event = {
			.seq = sqlite3_column_int64(statement, 0),
			.job = sqlite3_column_int64(statement, 1),
			.shard = sqlite3_column_int64(statement, 2),
			.at = sqlite3_column_int64(statement, 3),
			.type = store_sql_peek(statement, 4),
			.level = store_sql_peek(statement, 5),
			.message = store_sql_peek(statement, 6),
			.is_last = sqlite3_column_int(statement, 7) != 0,
		};

		visit(&event, context);
	}
	return r;
}

int64_t store_event_newest(struct store *store)
{
	sqlite3_stmt *statement = store_sql(store, SQL_EVENT_NEWEST);
	int64_t seq = 0;

	if (statement)
		(void)store_sql_integers(store, statement, 1, (int64_t *const[]){ &seq });
	return seq;
}

int64_t store_event_last(struct store *store, int64_t job)
{
	sqlite3_stmt *statement = store_sql(store, SQL_EVENT_LAST);
	int64_t seq = 0;

	if (!statement)
		return 0;
	(void)sqlite3_bind_int64(statement, 1, job);
	(void)store_sql_integers(store, statement, 1, (int64_t *const[]){ &seq });
	return seq;
}

void store_key_add(struct store *store, int64_t uid, const char *key, const uint8_t digest[32], int64_t job,
		   int64_t now)
{
	sqlite3_stmt *statement = store_sql_write(store, SQL_KEY_ADD);

	if (!statement)
		return;
	(void)sqlite3_bind_int64(statement, 1, uid);
	store_sql_bind_text(statement, 2, key);
	bind_bytes(statement, 3, digest, 32);
	(void)sqlite3_bind_int64(statement, 4, job);
	(void)sqlite3_bind_int64(statement, 5, now);
	store_sql_run(store, statement);
}

int store_key_get(struct store *store, int64_t uid, const char *key, uint8_t ret_digest[32],
		  int64_t *ret_job)
{
	sqlite3_stmt *statement = store_sql(store, SQL_KEY_GET);
	int r;

	if (!statement)
		return -EIO;
	(void)sqlite3_bind_int64(statement, 1, uid);
	store_sql_bind_text(statement, 2, key);
	r = store_sql_step(store, statement);
	if (r != 1)
		return r ? r : -ENOENT;
	r = sqlite3_column_bytes(statement, 0) == 32 ? 0 : -EUCLEAN;
	if (!r) {
		memcpy(ret_digest, sqlite3_column_blob(statement, 0), 32);
		*ret_job = sqlite3_column_int64(statement, 1);
	}
	(void)sqlite3_reset(statement);
	return r;
}

/* Whether a time that is kept of a provider is set; unknown where it cannot be read. */
static bool provider_stamp(struct store *store, enum sql which, const char *provider, bool unknown)
{
	sqlite3_stmt *statement = store_sql(store, which);
	bool is_set = false;

	if (!statement)
		return unknown;
	store_sql_bind_text(statement, 1, provider);
	if (store_sql_step(store, statement) == 1) {
		is_set = sqlite3_column_int64(statement, 0) != 0;
		(void)sqlite3_reset(statement);
	}
	return is_set;
}

static void stamp_provider(struct store *store, enum sql which, const char *provider, int64_t now)
{
	sqlite3_stmt *statement = store_sql_write(store, which);

	if (!statement)
		return;
	store_sql_bind_text(statement, 1, provider);
	(void)sqlite3_bind_int64(statement, 2, now);
	store_sql_run(store, statement);
}

/* What cannot be read is not trusted. */
bool store_list_failed(struct store *store, const char *provider)
{
	return provider_stamp(store, SQL_LIST_FAILED, provider, true);
}

void store_list_note_failure(struct store *store, const char *provider, int64_t now)
{
	stamp_provider(store, SQL_LIST_NOTE_FAILURE, provider, now);
}

bool store_list_was_seen(struct store *store, const char *provider)
{
	return provider_stamp(store, SQL_LIST_SEEN, provider, false);
}

void store_list_note_seen(struct store *store, const char *provider, int64_t now)
{
	stamp_provider(store, SQL_LIST_NOTE_SEEN, provider, now);
}
