#include "client/sink.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/interrupt.h"
#include "daemon/base/alloc.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"

#define NAMES 100 /* that are tried for a file that replaces another */

struct sink {
	char *path; /* NULL: standard output */
	char *temporary; /* NULL: the file has no name, or is in its place */
	int fd;
	bool overwrites;
	int problem;
	int64_t at;        /* of this try */
	int64_t delivered; /* by all tries together; standard output alone keeps it over a restart
			    */
	struct hash_sha256 *sum;          /* of the bytes of this try */
	struct hash_sha256 *check;        /* of its first `delivered` bytes, while skipping */
	uint8_t digest[HASH_SHA256_SIZE]; /* of the delivered bytes, when a try is begun again */
};

static char *folder_of(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash ? xmemdup0(path, slash == path ? 1 : (size_t)(slash - path)) : xstrdup(".");
}

/* Where the file has no name yet: a path that opens it. */
static char *unnamed_path(const struct sink *sink)
{
	return xasprintf("/proc/self/fd/%d", sink->fd);
}

/* A file that has no name is gone with us, whatever ends us. -EOPNOTSUPP: there are none here. */
static int make_unnamed(struct sink *sink)
{
	auto_free char *folder = folder_of(sink->path);
	auto_free char *path = NULL;

	sink->fd = open(folder, O_TMPFILE | O_WRONLY | O_CLOEXEC, 0666);
	if (sink->fd < 0)
		return errno == EISDIR || errno == EINVAL ? -EOPNOTSUPP : -errno;
	path = unnamed_path(sink);
	if (access(path, F_OK) == 0)
		return 0;
	(void)close(take_fd(&sink->fd));
	return -EOPNOTSUPP;
}

static int folder_size(const struct sink *sink)
{
	const char *slash = strrchr(sink->path, '/');

	return slash ? (int)(slash + 1 - sink->path) : 0;
}

static int make_temporary(struct sink *sink, struct error *err)
{
	int r = make_unnamed(sink);
	mode_t mask;

	if (!r)
		return 0;
	if (r != -EOPNOTSUPP)
		return error_set(err, r, "cannot write %s: %s", sink->path, error_name(r));
	mask = umask(0);
	(void)umask(mask);
	sink->temporary = xasprintf("%.*s.batchctl-XXXXXX", folder_size(sink), sink->path);
	sink->fd = mkostemp(sink->temporary, O_CLOEXEC);
	if (sink->fd < 0) {
		free(take(sink->temporary));
		return error_set(err, -errno, "cannot write %s: %s", sink->path, error_name(errno));
	}
	/* mkstemp gives 0600; the file shall be as the user's others. */
	if (fchmod(sink->fd, 0666 & ~mask) < 0)
		return error_set(err, -errno, "cannot write %s: %s", sink->path, error_name(errno));
	return 0;
}

static int write_whole(struct sink *sink, const char *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(sink->fd, bytes, size);

		if (written < 0 && errno == EINTR && !interrupt_came())
			continue;
		if (written < 0)
			return sink->problem = -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

/* Passes what was delivered before, and compares. Returns how many bytes were passed, or -ESTALE.
 */
static int64_t skip(struct sink *sink, const char *bytes, size_t size)
{
	uint8_t digest[HASH_SHA256_SIZE];
	int64_t left = sink->delivered - sink->at;
	size_t passed = left < (int64_t)size ? (size_t)left : size;

	hash_sha256_add(sink->check, bytes, passed);
	if (passed < (size_t)left)
		return (int64_t)passed;
	hash_sha256_finish(sink->check, digest);
	hash_sha256_free(take(sink->check));
	if (memcmp(digest, sink->digest, sizeof(digest)) != 0)
		return sink->problem = -ESTALE;
	return (int64_t)passed;
}

/* Gives the whole file its name, or, where that is taken, one beside it that a rename then puts there. */
static int name_it(struct sink *sink)
{
	auto_free char *from = unnamed_path(sink);

	if (linkat(AT_FDCWD, from, AT_FDCWD, sink->path, AT_SYMLINK_FOLLOW) == 0)
		return 0;
	for (int i = 0; errno == EEXIST && sink->overwrites && i < NAMES; i++) {
		auto_free char *to = xasprintf("%.*s.batchctl-%d-%d", folder_size(sink), sink->path, (int)getpid(), i);

		if (linkat(AT_FDCWD, from, AT_FDCWD, to, AT_SYMLINK_FOLLOW) < 0)
			continue;
		sink->temporary = take(to);
		return rename(sink->temporary, sink->path) < 0 ? -errno : 0;
	}
	return -errno;
}

static int put_in_place(struct sink *sink)
{
	if (!sink->temporary)
		return name_it(sink);
	if (sink->overwrites)
		return rename(sink->temporary, sink->path) < 0 ? -errno : 0;
	if (renameat2(AT_FDCWD, sink->temporary, AT_FDCWD, sink->path, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	/* A file system without RENAME_NOREPLACE: a link never replaces either. */
	if (link(sink->temporary, sink->path) < 0)
		return -errno;
	(void)unlink(sink->temporary);
	return 0;
}

static int flush_folder(const char *path)
{
	auto_free char *folder = folder_of(path);
	auto_close int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	return fd < 0 || fsync(fd) < 0 ? -errno : 0;
}

int sink_new(const char *path, bool overwrites, struct sink **ret_sink, struct error *err)
{
	auto_with(sink_free) struct sink *sink = xcalloc(1, sizeof(*sink));
	struct stat status;
	int result;

	sink->fd = -1;
	sink->overwrites = overwrites;
	if (!path || strcmp(path, "-") == 0) {
		sink->fd = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
		sink->sum = hash_sha256_new();
		if (sink->fd < 0)
			return error_set(err, -errno, "cannot write to standard output: %s",
					 error_name(errno));
		*ret_sink = take(sink);
		return 0;
	}
	if (lstat(path, &status) == 0 && S_ISDIR(status.st_mode))
		return error_set(err, -EISDIR, "cannot write %s: it is a folder", path);
	if (lstat(path, &status) == 0 && !overwrites)
		return error_set(err, -EEXIST, "%s exists; -f overwrites it", path);
	sink->path = xstrdup(path);
	result = make_temporary(sink, err);
	if (result < 0)
		return result;
	*ret_sink = take(sink);
	return 0;
}

int sink_restart(struct sink *sink, struct error *err)
{
	if (sink->path) {
		if (ftruncate(sink->fd, 0) < 0 || lseek(sink->fd, 0, SEEK_SET) < 0)
			return error_set(err, -errno, "cannot write %s: %s", sink->path,
					 error_name(errno));
		sink->at = sink->delivered = 0;
		return 0;
	}
	/* A try that was cut while it still skipped has delivered nothing: the old digest stays. */
	if (!sink->check && sink->delivered)
		hash_sha256_finish(sink->sum, sink->digest);
	hash_sha256_free(sink->check);
	hash_sha256_free(sink->sum);
	sink->check = sink->delivered ? hash_sha256_new() : NULL;
	sink->sum = hash_sha256_new();
	sink->at = 0;
	return 0;
}

int sink_write(struct sink *sink, const char *bytes, size_t size)
{
	int64_t passed = 0;
	int result;

	if (sink->sum)
		hash_sha256_add(sink->sum, bytes, size);
	if (sink->check)
		passed = skip(sink, bytes, size);
	if (passed < 0)
		return (int)passed;
	result = write_whole(sink, bytes + passed, size - (size_t)passed);
	if (result < 0)
		return result;
	sink->at += (int64_t)size;
	if (sink->at > sink->delivered)
		sink->delivered = sink->at;
	return 0;
}

int sink_problem(const struct sink *sink, struct error *err)
{
	if (sink->problem == -ESTALE)
		return error_set(
			err, -ESTALE,
			"the answer changed between two tries; what was written is not whole");
	if (sink->problem)
		return error_set(err, sink->problem, "cannot write to %s: %s",
				 sink->path ? sink->path : "standard output",
				 error_name(sink->problem));
	return 0;
}

int sink_finish(struct sink *sink, struct error *err)
{
	int result;

	if (sink->check)
		return error_set(err, sink->problem = -ESTALE,
				 "the answer became shorter between two tries");
	if (!sink->path)
		return 0;
	if (fsync(sink->fd) < 0)
		return error_set(err, -errno, "cannot write %s: %s", sink->path, error_name(errno));
	result = put_in_place(sink);
	if (result == -EEXIST)
		return error_set(err, result, "%s exists; -f overwrites it", sink->path);
	if (result < 0)
		return error_set(err, result, "cannot write %s: %s", sink->path,
				 error_name(result));
	free(take(sink->temporary));
	result = flush_folder(sink->path);
	if (result < 0)
		return error_set(err, result, "cannot flush the folder of %s: %s", sink->path,
				 error_name(result));
	return 0;
}

int64_t sink_size(const struct sink *sink)
{
	return sink->delivered;
}

void sink_free(struct sink *sink)
{
	if (!sink)
		return;
	if (sink->temporary)
		(void)unlink(sink->temporary);
	if (sink->fd >= 0)
		(void)close(sink->fd);
	hash_sha256_free(sink->sum);
	hash_sha256_free(sink->check);
	free(sink->temporary);
	free(sink->path);
	free(sink);
}
