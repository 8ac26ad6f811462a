#include "daemon/io/vault.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/base/log.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"

/* Of what was put off: a file is gone in microseconds, a large one may take a millisecond. */
#define REMOVALS_A_TURN 16

struct removal;

struct vault {
	struct store *store;
	struct spool *spool;
	size_t in_memory; /* bytes of all writers together */
	unsigned holds;
	struct removal *removals; /* that were put off */
	bool is_tidying;	  /* some of those wait for the end of the turn */
};

struct vault_writer {
	struct vault *vault;
	size_t limit;
	struct buffer memory;
	struct spool_draft *draft; /* NULL while the bytes are few */
	struct hash_digest *digest; /* of what the draft has; NULL while there is none */
};

/* Random access alone: bytes as a reader has them, data or fd. */
struct vault_scratch {
	struct vault_reader bytes;
};

static void forget_memory(struct vault_writer *writer)
{
	writer->vault->in_memory -= writer->memory.size;
	buffer_release(&writer->memory);
}

static int spill(struct vault_writer *writer, struct error *err)
{
	int r = spool_draft_new(writer->vault->spool, &writer->draft, err);

	if (!r)
		r = spool_draft_write(writer->draft, writer->memory.data, writer->memory.size, err);
	if (r)
		return r;
	writer->digest = hash_digest_new();
	hash_digest_add(writer->digest, writer->memory.data, writer->memory.size);
	forget_memory(writer);
	return 0;
}

/* The bytes of a file, or of a job, whose row is gone once the turn is committed. */
struct removal {
	struct vault *vault;
	struct removal *next;
	int64_t number;
	bool is_job;
};

static void remove_now(struct removal *removal)
{
	auto_free char *place = spool_file_place(removal->number);

	if (removal->is_job)
		spool_remove_job(removal->vault->spool, removal->number);
	else
		(void)spool_remove(removal->vault->spool, place);
	free(removal);
}

static void remove_bytes(int result, void *context)
{
	struct removal *removal = context;
	struct vault *vault = removal->vault;

	if (result) {
		free(removal);
	} else if (vault->holds) {
		removal->next = vault->removals;
		vault->removals = removal;
	} else {
		remove_now(removal);
	}
}

static void remove_later(struct vault *vault, int64_t number, bool is_job)
{
	struct removal *removal = xcalloc(1, sizeof(*removal));

	*removal = (struct removal){ .vault = vault, .number = number, .is_job = is_job };
	store_after_commit(vault->store, remove_bytes, removal);
}

/* Some of what was put off, and the rest after this turn and those that follow: a long list must not hold up the loop. */
static void tidy(int result, void *context)
{
	struct vault *vault = context;

	(void)result;
	vault->is_tidying = false;
	if (vault->holds)
		return;
	for (int i = 0; i < REMOVALS_A_TURN && vault->removals; i++) {
		struct removal *removal = vault->removals;

		vault->removals = removal->next;
		remove_now(removal);
	}
	if (vault->removals) {
		vault->is_tidying = true;
		store_after_commit(vault->store, tidy, vault);
	}
}

struct sweep {
	struct vault *vault;
	int64_t count;
};

/* What cannot be read is not thrown away. */
static bool has_row(struct vault *vault, int64_t number, bool is_job)
{
	auto_store_file file = { 0 };
	auto_job job = { 0 };

	if (is_job)
		return store_job_get(vault->store, number, &job) != -ENOENT;
	return store_file_get(vault->store, number, &file) != -ENOENT && !file.is_empty;
}

static void sweep_one(int64_t number, int is_job, void *context)
{
	struct sweep *sweep = context;
	struct vault *vault = sweep->vault;
	auto_free char *place = spool_file_place(number);

	if (has_row(vault, number, is_job))
		return;
	sweep->count++;
	if (is_job)
		spool_remove_job(vault->spool, number);
	else
		(void)spool_remove(vault->spool, place);
}

static void count_one(int64_t number, int is_job, void *context)
{
	int64_t *count = context;

	(void)number;
	(void)is_job;
	++*count;
}

struct vault *vault_new(struct store *store, struct spool *spool)
{
	struct vault *vault = xcalloc(1, sizeof(*vault));

	vault->store = store;
	vault->spool = spool;
	return vault;
}

const char *vault_folder(const struct vault *vault)
{
	return spool_folder(vault->spool);
}

void vault_free(struct vault *vault)
{
	struct removal *removal;

	if (!vault)
		return;
	/* The next start removes what these are about. */
	while ((removal = vault->removals)) {
		vault->removals = removal->next;
		free(removal);
	}
	free(vault);
}

struct vault_writer *vault_writer_new(struct vault *vault, size_t limit)
{
	struct vault_writer *writer = xcalloc(1, sizeof(*writer));

	writer->vault = vault;
	writer->limit = limit;
	return writer;
}

int vault_write(struct vault_writer *writer, const void *bytes, size_t size, struct error *err)
{
	struct vault *vault = writer->vault;
	int r;

	if (!writer->draft) {
		if (writer->memory.size + size <= writer->limit &&
		    vault->in_memory + size <= VAULT_MEMORY) {
			buffer_add(&writer->memory, bytes, size);
			vault->in_memory += size;
			return 0;
		}
		r = spill(writer, err);
		if (r)
			return r;
	}
	hash_digest_add(writer->digest, bytes, size);
	return spool_draft_write(writer->draft, bytes, size, err);
}

uint64_t vault_writer_digest(const struct vault_writer *writer)
{
	return writer->digest ? hash_digest_value(writer->digest) :
				hash_digest(writer->memory.data, writer->memory.size);
}

int64_t vault_writer_size(const struct vault_writer *writer)
{
	return writer->draft ? spool_draft_size(writer->draft) : (int64_t)writer->memory.size;
}

void vault_writer_free(struct vault_writer *writer)
{
	if (!writer)
		return;
	forget_memory(writer);
	spool_draft_discard(writer->draft);
	hash_digest_free(writer->digest);
	free(writer);
}

int vault_keep_file(struct vault_writer *writer, int64_t file, struct error *err)
{
	auto_free char *place = spool_file_place(file);
	int r = 0;

	if (writer->draft)
		r = spool_draft_keep(take(writer->draft), place, err);
	else
		store_file_put(writer->vault->store, file, writer->memory.data, writer->memory.size);
	/* It may be there though its folder was not flushed, and nobody would know of it: its number is not given again. */
	if (r)
		(void)spool_remove(writer->vault->spool, place);
	vault_writer_free(writer);
	return r;
}

int vault_keep_record(struct vault_writer *writer, int64_t job, const char *name, struct error *err)
{
	auto_free char *place = spool_job_place(job, name);
	int r = 0;

	/* What an earlier try left in the store would hide a file of this name. */
	if (writer->draft) {
		store_record_remove(writer->vault->store, job, name);
		r = spool_draft_keep(take(writer->draft), place, err);
	} else {
		store_record_put(writer->vault->store, job, name, writer->memory.data,
				 writer->memory.size);
	}
	vault_writer_free(writer);
	return r;
}

/* found is what the store said about its own copy; a place in the spool is the other half. */
static int open_either(struct vault *vault, int found, char *data, size_t size, const char *place,
		       struct vault_reader *ret_reader, struct error *err)
{
	struct vault_reader reader = VAULT_READER_NONE;
	int r;

	if (found == 0) {
		reader.data = data;
		reader.size = (int64_t)size;
	} else if (found == -ENOENT) {
		r = spool_open_file(vault->spool, place, &reader.fd, &reader.size, err);
		if (r)
			return r;
	} else {
		return error_set(err, found, "cannot read %s in the store", place);
	}
	*ret_reader = reader;
	return 0;
}

int vault_open_file(struct vault *vault, int64_t file, struct vault_reader *ret_reader, struct error *err)
{
	auto_free char *place = spool_file_place(file);
	char *data = NULL;
	size_t size = 0;
	int found = store_file_bytes(vault->store, file, &data, &size);

	return open_either(vault, found, data, size, place, ret_reader, err);
}

int vault_open_record(struct vault *vault, int64_t job, const char *name,
		      struct vault_reader *ret_reader, struct error *err)
{
	auto_free char *place = spool_job_place(job, name);
	char *data = NULL;
	size_t size = 0;
	int found = store_record_bytes(vault->store, job, name, &data, &size);

	return open_either(vault, found, data, size, place, ret_reader, err);
}

int64_t vault_read(const struct vault_reader *reader, int64_t offset, void *bytes, size_t size)
{
	size_t got = 0;

	if (offset < 0)
		return -EINVAL;
	if (reader->data) {
		if (offset >= reader->size)
			return 0;
		if ((int64_t)size > reader->size - offset)
			size = (size_t)(reader->size - offset);
		memcpy(bytes, reader->data + offset, size);
		return (int64_t)size;
	}
	while (got < size) {
		ssize_t n = pread(reader->fd, (char *)bytes + got, size - got, offset + (int64_t)got);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (!n)
			break;
		got += (size_t)n;
	}
	return (int64_t)got;
}

void vault_will_need(const struct vault_reader *reader, int64_t offset, int64_t size)
{
	if (reader->fd >= 0)
		(void)posix_fadvise(reader->fd, offset, size, POSIX_FADV_WILLNEED);
}

void vault_reader_release(struct vault_reader *reader)
{
	free(reader->data);
	if (reader->fd >= 0)
		(void)close(reader->fd);
	*reader = VAULT_READER_NONE;
}

int vault_scratch_new(struct vault *vault, int64_t size, struct vault_scratch **ret_scratch,
		      struct error *err)
{
	struct vault_scratch *scratch = xcalloc(1, sizeof(*scratch));
	int r = 0;

	scratch->bytes = VAULT_READER_NONE;
	scratch->bytes.size = size;
	if (size <= VAULT_SCRATCH_LIMIT)
		scratch->bytes.data = xcalloc(1, (size_t)size);
	else
		r = spool_open_scratch(vault->spool, &scratch->bytes.fd, err);
	if (!r && scratch->bytes.fd >= 0 && ftruncate(scratch->bytes.fd, size) < 0)
		r = error_set(err, -errno, "cannot make a scratch file of %" PRId64 " bytes: %s", size,
			      error_name(errno));
	if (r) {
		vault_scratch_free(scratch);
		return r;
	}
	*ret_scratch = scratch;
	return 0;
}

int vault_scratch_write(struct vault_scratch *scratch, int64_t offset, const void *bytes, size_t size,
			struct error *err)
{
	const char *at = bytes;

	assert(offset >= 0 && (int64_t)size <= scratch->bytes.size - offset);
	if (scratch->bytes.data) {
		memcpy(scratch->bytes.data + offset, bytes, size);
		return 0;
	}
	while (size) {
		ssize_t written = pwrite(scratch->bytes.fd, at, size, offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return error_set(err, written ? -errno : -EIO, "cannot write a scratch file: %s",
					 error_name(written ? errno : EIO));
		at += written;
		offset += written;
		size -= (size_t)written;
	}
	return 0;
}

int vault_scratch_read(const struct vault_scratch *scratch, int64_t offset, void *bytes, size_t size,
		       struct error *err)
{
	int64_t got = vault_read(&scratch->bytes, offset, bytes, size);

	if (got >= 0 && (size_t)got < size)
		got = -EIO;
	if (got < 0)
		return error_set(err, (int)got, "cannot read a scratch file: %s", error_name((int)got));
	return 0;
}

void vault_scratch_free(struct vault_scratch *scratch)
{
	if (!scratch)
		return;
	vault_reader_release(&scratch->bytes);
	free(scratch);
}

void vault_delete_file(struct vault *vault, int64_t file)
{
	store_file_delete(vault->store, file);
	if (store_file_is_needed(vault->store, file))
		return;
	store_file_remove(vault->store, file);
	remove_later(vault, file, false);
}

void vault_empty_file(struct vault *vault, int64_t file)
{
	if (store_file_is_needed(vault->store, file))
		store_file_empty(vault->store, file);
	else
		store_file_remove(vault->store, file);
	remove_later(vault, file, false);
}

void vault_remove_job(struct vault *vault, int64_t job)
{
	store_record_clear(vault->store, job);
	remove_later(vault, job, true);
}

void vault_hold(struct vault *vault)
{
	vault->holds++;
}

void vault_let_go(struct vault *vault)
{
	assert(vault->holds);
	if (!--vault->holds && vault->removals && !vault->is_tidying) {
		vault->is_tidying = true;
		store_after_commit(vault->store, tidy, vault);
	}
}

bool vault_is_tidying(const struct vault *vault)
{
	return vault->is_tidying;
}

int vault_sweep(struct vault *vault, struct error *err)
{
	struct sweep sweep = { .vault = vault };
	int64_t count = 0;

	spool_visit(vault->spool, count_one, &count);
	if (count && store_is_new(vault->store))
		return error_set(err, -EUCLEAN,
				 "%s holds files of jobs, but had no batchd.db: put the old one back, or move the files away",
				 spool_folder(vault->spool));
	spool_visit(vault->spool, sweep_one, &sweep);
	if (sweep.count)
		log_notice("files whose commit never came are removed", log_number("COUNT", sweep.count));
	return 0;
}
