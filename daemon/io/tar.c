#include "daemon/io/tar.h"

#include <archive.h>
#include <archive_entry.h>
#include <assert.h>
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"

struct tar {
	struct archive *archive;
	struct archive_entry *entry; /* used again for each */
	int64_t time;
	int64_t lacks;
	bool is_dropped;
	struct buffer ready; /* bytes of the archive from taken on; the rest was taken */
	size_t taken;
};

/* libarchive fails here for want of memory alone. */
static void require(int is_done)
{
	if (!is_done)
		abort();
}

static la_ssize_t keep(struct archive *archive, void *context, const void *bytes, size_t size)
{
	struct tar *tar = context;

	(void)archive;
	if (tar->is_dropped)
		return ARCHIVE_FATAL;
	buffer_add(&tar->ready, bytes, size);
	return (la_ssize_t)size;
}

static int fail(struct tar *tar, struct error *err)
{
	int code = archive_errno(tar->archive);

	if (code == ENOMEM)
		abort();
	return error_set(err, code > 0 ? -code : -EINVAL, "cannot write an archive: %s",
			 archive_error_string(tar->archive));
}

static int begin(struct tar *tar, const char *path, unsigned type, int64_t size, struct error *err)
{
	struct archive_entry *entry = archive_entry_clear(tar->entry);

	assert(!tar->lacks);
	archive_entry_set_pathname(entry, path);
	archive_entry_set_filetype(entry, type);
	archive_entry_set_perm(entry, type == S_IFDIR ? 0700 : 0600);
	archive_entry_set_uid(entry, (la_int64_t)geteuid());
	archive_entry_set_gid(entry, (la_int64_t)getegid());
	archive_entry_set_size(entry, size);
	archive_entry_set_mtime(entry, (time_t)(tar->time / 1000), 0);
	if (archive_write_header(tar->archive, entry) != ARCHIVE_OK)
		return fail(tar, err);
	tar->lacks = size;
	return 0;
}

struct tar *tar_new(int64_t time)
{
	struct tar *tar = xcalloc(1, sizeof(*tar));

	tar->time = time;
	tar->archive = archive_write_new();
	tar->entry = archive_entry_new();
	require(tar->archive && tar->entry);
	require(archive_write_set_format_pax_restricted(tar->archive) == ARCHIVE_OK);
	/* What is written goes on at once, and the end is not filled up to a tape's block. */
	require(archive_write_set_bytes_per_block(tar->archive, 0) == ARCHIVE_OK);
	require(archive_write_set_bytes_in_last_block(tar->archive, 1) == ARCHIVE_OK);
	require(archive_write_open(tar->archive, tar, NULL, keep, NULL) == ARCHIVE_OK);
	return tar;
}

void tar_free(struct tar *tar)
{
	if (!tar)
		return;
	/*
	 * The library would fill up a file that lacks terabytes, were its first write not refused. With archive_write_fail it would not
	 * try, but then (3.6.2) it forgets to free what its output needs.
	 */
	tar->is_dropped = true;
	(void)archive_write_free(tar->archive);
	archive_entry_free(tar->entry);
	buffer_release(&tar->ready);
	free(tar);
}

int tar_add_folder(struct tar *tar, const char *path, struct error *err)
{
	return begin(tar, path, S_IFDIR, 0, err);
}

int tar_begin_file(struct tar *tar, const char *path, int64_t size, struct error *err)
{
	return begin(tar, path, S_IFREG, size, err);
}

int tar_write(struct tar *tar, const void *bytes, size_t size, struct error *err)
{
	assert((int64_t)size <= tar->lacks);
	if (size && archive_write_data(tar->archive, bytes, size) != (la_ssize_t)size)
		return fail(tar, err);
	tar->lacks -= (int64_t)size;
	return 0;
}

int64_t tar_lacks(const struct tar *tar)
{
	return tar->lacks;
}

int tar_finish(struct tar *tar, struct error *err)
{
	assert(!tar->lacks);
	return archive_write_close(tar->archive) == ARCHIVE_OK ? 0 : fail(tar, err);
}

size_t tar_take(struct tar *tar, char *bytes, size_t size)
{
	size_t left = tar->ready.size - tar->taken;

	if (size > left)
		size = left;
	if (size)
		memcpy(bytes, tar->ready.data + tar->taken, size);
	tar->taken += size;
	if (tar->taken == tar->ready.size) {
		buffer_clear(&tar->ready);
		tar->taken = 0;
	}
	return size;
}
