#include "daemon/io/spool.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"

/* So many bytes are left to the page cache before they are pushed towards the disk. */
#define FLUSH_WINDOW (8 << 20)

struct spool {
	char *folder;
	int folder_fd;
	int lock_fd;
	int64_t drafts; /* made so far: names under tmp/ */
};

struct spool_draft {
	struct spool *spool;
	char *name; /* relative to the state folder */
	int fd;
	int64_t size;
	int64_t pushed; /* bytes whose writing was begun */
	int failure;	/* of a flush under way: the file can never be kept */
};

static int make_folder(struct spool *spool, const char *name, struct error *err)
{
	if (mkdirat(spool->folder_fd, name, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "cannot make %s/%s: %s", spool->folder, name,
				 error_name(errno));
	return 0;
}

static int sync_folder(struct spool *spool, const char *name)
{
	auto_close int fd = openat(spool->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0 || fsync(fd) < 0)
		return -errno;
	return 0;
}

static DIR *open_folder(struct spool *spool, const char *name)
{
	int fd = openat(spool->folder_fd, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *folder = fd < 0 ? NULL : fdopendir(fd);

	if (!folder && fd >= 0)
		(void)close(fd);
	return folder;
}

static void empty_folder(struct spool *spool, const char *name)
{
	DIR *folder = open_folder(spool, name);
	struct dirent *entry;

	if (!folder)
		return;
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			(void)unlinkat(dirfd(folder), entry->d_name, 0);
	(void)closedir(folder);
}

static int take_lock(struct spool *spool, struct error *err)
{
	spool->lock_fd = openat(spool->folder_fd, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (spool->lock_fd < 0)
		return error_set(err, -errno, "cannot open %s/lock: %s", spool->folder,
				 error_name(errno));
	if (flock(spool->lock_fd, LOCK_EX | LOCK_NB) == 0)
		return 0;
	if (errno == EWOULDBLOCK)
		return error_set(err, -EWOULDBLOCK, "%s is in use by another batchd", spool->folder);
	return error_set(err, -errno, "cannot lock %s: %s", spool->folder, error_name(errno));
}

static int prepare(struct spool *spool, struct error *err)
{
	static const char *const folders[] = { "files", "jobs", "tmp" };
	int r;

	if (mkdir(spool->folder, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "cannot make %s: %s", spool->folder, error_name(errno));
	spool->folder_fd = open(spool->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool->folder_fd < 0)
		return error_set(err, -errno, "cannot open %s: %s", spool->folder, error_name(errno));
	r = take_lock(spool, err);
	for (size_t i = 0; !r && i < ARRAY_SIZE(folders); i++)
		r = make_folder(spool, folders[i], err);
	if (r)
		return r;
	empty_folder(spool, "tmp");
	if (fsync(spool->folder_fd) < 0)
		return error_set(err, -errno, "cannot flush %s: %s", spool->folder, error_name(errno));
	return 0;
}

int spool_open(const char *folder, struct spool **ret_spool, struct error *err)
{
	struct spool *spool = xcalloc(1, sizeof(*spool));
	int r;

	spool->folder = xstrdup(folder);
	spool->folder_fd = -1;
	spool->lock_fd = -1;
	r = prepare(spool, err);
	if (r) {
		spool_close(spool);
		return r;
	}
	*ret_spool = spool;
	return 0;
}

void spool_close(struct spool *spool)
{
	if (!spool)
		return;
	if (spool->lock_fd >= 0)
		(void)close(spool->lock_fd);
	if (spool->folder_fd >= 0)
		(void)close(spool->folder_fd);
	free(spool->folder);
	free(spool);
}

const char *spool_folder(const struct spool *spool)
{
	return spool->folder;
}

int64_t spool_free_bytes(const struct spool *spool)
{
	struct statvfs status;

	if (fstatvfs(spool->folder_fd, &status) < 0)
		return -errno;
	return (int64_t)status.f_bavail * (int64_t)status.f_frsize;
}

char *spool_file_place(int64_t file)
{
	return xasprintf("files/%" PRId64, file);
}

char *spool_job_place(int64_t job, const char *name)
{
	return xasprintf("jobs/%" PRId64 "/%s", job, name);
}

int spool_draft_new(struct spool *spool, struct spool_draft **ret_draft, struct error *err)
{
	struct spool_draft *draft = xcalloc(1, sizeof(*draft));
	int code;

	draft->spool = spool;
	draft->name = xasprintf("tmp/%" PRId64, ++spool->drafts);
	draft->fd = openat(spool->folder_fd, draft->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (draft->fd < 0) {
		code = error_set(err, -errno, "cannot make %s/%s: %s", spool->folder, draft->name,
				 error_name(errno));
		free(draft->name);
		free(draft);
		return code;
	}
	*ret_draft = draft;
	return 0;
}

/*
 * Begins to write the newest window, and waits for the one before it, so that dirty pages stay few. The wait may be told of an error
 * that fsync(2) then would not tell again, so it counts like one of fsync.
 */
static int push(struct spool_draft *draft)
{
	const unsigned wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	int64_t before = draft->pushed - FLUSH_WINDOW;

	if (draft->size - draft->pushed < FLUSH_WINDOW)
		return 0;
	if (sync_file_range(draft->fd, draft->pushed, draft->size - draft->pushed, SYNC_FILE_RANGE_WRITE) < 0)
		draft->failure = -errno;
	if (before >= 0 && sync_file_range(draft->fd, before, FLUSH_WINDOW, wait) < 0)
		draft->failure = -errno;
	/* A file system without it flushes at the end alone. */
	if (draft->failure == -ENOSYS || draft->failure == -EINVAL || draft->failure == -ESPIPE)
		draft->failure = 0;
	draft->pushed = draft->size;
	return draft->failure;
}

int spool_draft_write(struct spool_draft *draft, const void *bytes, size_t size, struct error *err)
{
	const char *at = bytes;
	int r;

	while (size) {
		ssize_t written = pwrite(draft->fd, at, size, draft->size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return error_set(err, written ? -errno : -EIO, "cannot write %s/%s: %s",
					 draft->spool->folder, draft->name,
					 error_name(written ? errno : EIO));
		at += written;
		size -= (size_t)written;
		draft->size += written;
	}
	r = push(draft);
	if (r)
		return error_set(err, r, "cannot flush %s/%s: %s", draft->spool->folder, draft->name, error_name(r));
	return 0;
}

int64_t spool_draft_size(const struct spool_draft *draft)
{
	return draft->size;
}

int64_t spool_draft_read(struct spool_draft *draft, int64_t offset, void *bytes, size_t size)
{
	char *at = bytes;
	size_t left = size;

	while (left) {
		ssize_t got = pread(draft->fd, at, left, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return -errno;
		if (!got)
			break;
		at += got;
		offset += got;
		left -= (size_t)got;
	}
	return (int64_t)(size - left);
}

/* The folder that place lies in, made if it is a job's and the first file comes. */
static int prepare_folder(struct spool *spool, const char *place, char **ret_folder)
{
	const char *slash = strrchr(place, '/');
	auto_free char *folder = xmemdup0(place, (size_t)(slash - place));
	int r = 0;

	if (strncmp(folder, "jobs/", 5) == 0) {
		/* One that is there may be one that a process before us made and could not flush any more. */
		if (mkdirat(spool->folder_fd, folder, 0700) < 0 && errno != EEXIST)
			return -errno;
		r = sync_folder(spool, "jobs");
	}
	if (r)
		return r;
	*ret_folder = take(folder);
	return 0;
}

static int settle(struct spool_draft *draft, const char *place)
{
	auto_free char *folder = NULL;
	int root = draft->spool->folder_fd;
	int r;

	if (draft->failure)
		return draft->failure;
	if (fsync(draft->fd) < 0)
		return -errno;
	r = prepare_folder(draft->spool, place, &folder);
	if (r)
		return r;
	if (renameat(root, draft->name, root, place) < 0)
		return -errno;
	return sync_folder(draft->spool, folder);
}

int spool_draft_keep(struct spool_draft *draft, const char *place, struct error *err)
{
	int r = settle(draft, place);

	if (r)
		error_set(err, r, "cannot keep %s/%s: %s", draft->spool->folder, place, error_name(r));
	spool_draft_discard(draft);
	return r;
}

void spool_draft_discard(struct spool_draft *draft)
{
	if (!draft)
		return;
	/* After a rename the name is gone already. */
	(void)unlinkat(draft->spool->folder_fd, draft->name, 0);
	if (draft->fd >= 0)
		(void)close(draft->fd);
	free(draft->name);
	free(draft);
}

int spool_open_scratch(struct spool *spool, int *ret_fd, struct error *err)
{
	struct spool_draft *draft;
	int r = spool_draft_new(spool, &draft, err);

	if (r)
		return r;
	*ret_fd = take_fd(&draft->fd);
	spool_draft_discard(draft);
	return 0;
}

int spool_open_file(struct spool *spool, const char *place, int *ret_fd, int64_t *ret_size,
		    struct error *err)
{
	auto_close int fd = openat(spool->folder_fd, place, O_RDONLY | O_CLOEXEC);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(err, -errno, "cannot open %s/%s: %s", spool->folder, place,
				 error_name(errno));
	*ret_fd = take_fd(&fd);
	*ret_size = status.st_size;
	return 0;
}

int spool_remove(struct spool *spool, const char *place)
{
	if (unlinkat(spool->folder_fd, place, 0) < 0 && errno != ENOENT)
		return -errno;
	return 0;
}

void spool_remove_job(struct spool *spool, int64_t job)
{
	auto_free char *folder = xasprintf("jobs/%" PRId64, job);

	empty_folder(spool, folder);
	(void)unlinkat(spool->folder_fd, folder, AT_REMOVEDIR);
}

static void visit_folder(struct spool *spool, const char *name, int is_job,
			 void (*visit)(int64_t, int, void *), void *context)
{
	DIR *folder = open_folder(spool, name);
	struct dirent *entry;

	if (!folder)
		return;
	while ((entry = readdir(folder))) {
		char *end;
		int64_t number = strtoll(entry->d_name, &end, 10);

		if (number > 0 && !*end)
			visit(number, is_job, context);
	}
	(void)closedir(folder);
}

void spool_visit(struct spool *spool, void (*visit)(int64_t number, int is_job, void *context),
		 void *context)
{
	visit_folder(spool, "files", 0, visit, context);
	visit_folder(spool, "jobs", 1, visit, context);
}
