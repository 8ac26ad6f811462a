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
#include <sys/uio.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"

/*
 * Files are written in whole blocks: a page that is written in two parts costs twice, and the file
 * system does much less for a large piece that begins at a multiple of its size.
 */
#define BLOCK ((size_t)32 << 10)
/* Bytes go towards the disk in steps, and so many steps of all drafts together are on their way at most. */
#define STEP	   (1 << 20)
#define MAX_FLIGHTS 16

/* A step on its way to the disk. */
struct flight {
	struct spool_draft *draft; /* NULL: none */
	int64_t offset;
};

struct spool {
	char *folder;
	int folder_fd;
	int lock_fd;
	int64_t drafts;	   /* made so far: names under tmp/ */
	char *last_folder; /* of a job, whose name in jobs/ is known to be on the disk; NULL: none */
	struct flight flights[MAX_FLIGHTS];
	unsigned oldest; /* the flight that is waited for next */
};

struct spool_draft {
	struct spool *spool;
	char *name; /* relative to the state folder */
	int fd;
	int64_t size;
	int64_t written;  /* whole blocks that the file has; the rest is in tail */
	int64_t departed; /* whole steps whose writing to the disk was begun */
	int failure;	  /* of a flight: the file can never be kept */
	char *tail;	  /* of BLOCK bytes */
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

static int enter(struct spool *spool, struct error *err)
{
	spool->folder_fd = open(spool->folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (spool->folder_fd < 0)
		return error_set(err, -errno, "cannot open %s: %s", spool->folder, error_name(errno));
	return 0;
}

static int prepare(struct spool *spool, struct error *err)
{
	static const char *const folders[] = { "files", "jobs", "tmp" };
	int r;

	if (mkdir(spool->folder, 0700) < 0 && errno != EEXIST)
		return error_set(err, -errno, "cannot make %s: %s", spool->folder, error_name(errno));
	r = enter(spool, err);
	if (!r)
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

static int open_with(int (*begin)(struct spool *spool, struct error *err), const char *folder,
		     struct spool **ret_spool, struct error *err)
{
	struct spool *spool = xcalloc(1, sizeof(*spool));
	int r;

	spool->folder = xstrdup(folder);
	spool->folder_fd = -1;
	spool->lock_fd = -1;
	r = begin(spool, err);
	if (r) {
		spool_close(spool);
		return r;
	}
	*ret_spool = spool;
	return 0;
}

int spool_open(const char *folder, struct spool **ret_spool, struct error *err)
{
	return open_with(prepare, folder, ret_spool, err);
}

int spool_open_to_read(const char *folder, struct spool **ret_spool, struct error *err)
{
	return open_with(enter, folder, ret_spool, err);
}

void spool_close(struct spool *spool)
{
	if (!spool)
		return;
	if (spool->lock_fd >= 0)
		(void)close(spool->lock_fd);
	if (spool->folder_fd >= 0)
		(void)close(spool->folder_fd);
	free(spool->last_folder);
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
	draft->tail = xmalloc(BLOCK);
	draft->name = xasprintf("tmp/%" PRId64, ++spool->drafts);
	draft->fd = openat(spool->folder_fd, draft->name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (draft->fd < 0) {
		code = error_set(err, -errno, "cannot make %s/%s: %s", spool->folder, draft->name,
				 error_name(errno));
		free(draft->tail);
		free(draft->name);
		free(draft);
		return code;
	}
	*ret_draft = draft;
	return 0;
}

/*
 * The kernel tells an error of the disk once: who waits here may hear of it, and fsync(2) then
 * would not. So it counts like one of fsync, for the draft that the bytes are of.
 */
static void sync_step(struct spool_draft *draft, int64_t offset, unsigned flags)
{
	if (sync_file_range(draft->fd, offset, STEP, flags) == 0 || draft->failure)
		return;
	/* A file system without it flushes at the end alone. */
	if (errno != ENOSYS && errno != EINVAL && errno != ESPIPE)
		draft->failure = -errno;
}

/*
 * Begins to write each whole step. When too many are on their way, the oldest is waited for,
 * whichever draft it is of: it has nearly arrived, so the loop is hardly held up, and those that
 * commit beside never find a long queue before them.
 */
static void depart(struct spool_draft *draft)
{
	const unsigned wait = SYNC_FILE_RANGE_WAIT_BEFORE | SYNC_FILE_RANGE_WRITE | SYNC_FILE_RANGE_WAIT_AFTER;
	struct spool *spool = draft->spool;

	while (draft->written - draft->departed >= STEP) {
		struct flight *flight = &spool->flights[spool->oldest];

		if (flight->draft)
			sync_step(flight->draft, flight->offset, wait);
		*flight = (struct flight){ .draft = draft, .offset = draft->departed };
		sync_step(draft, draft->departed, SYNC_FILE_RANGE_WRITE);
		draft->departed += STEP;
		spool->oldest = (spool->oldest + 1) % MAX_FLIGHTS;
	}
}

static void forget_flights(const struct spool_draft *draft)
{
	for (size_t i = 0; i < MAX_FLIGHTS; i++)
		if (draft->spool->flights[i].draft == draft)
			draft->spool->flights[i].draft = NULL;
}

/* Writes the pieces, one behind the other, behind what is written. */
static int write_pieces(struct spool_draft *draft, struct iovec *pieces, size_t count)
{
	int64_t offset = draft->written;

	for (size_t i = 0; i < count;) {
		ssize_t written = pwritev(draft->fd, pieces + i, (int)(count - i), offset);

		if (written < 0 && errno == EINTR)
			continue;
		if (written <= 0)
			return written ? -errno : -EIO;
		offset += written;
		for (; i < count && (size_t)written >= pieces[i].iov_len; i++)
			written -= (ssize_t)pieces[i].iov_len;
		if (written) {
			pieces[i].iov_base = (char *)pieces[i].iov_base + written;
			pieces[i].iov_len -= (size_t)written;
		}
	}
	return 0;
}

/* Writes what makes whole blocks, and keeps the rest until more comes. */
static int write_blocks(struct spool_draft *draft, const char *bytes, size_t size)
{
	size_t held = (size_t)(draft->size - draft->written);
	size_t missing = held ? BLOCK - held : 0;
	size_t first = size < missing ? size : missing;
	size_t whole = (size - first) / BLOCK * BLOCK;
	struct iovec pieces[2];
	size_t count = 0;
	int r;

	memcpy(draft->tail + held, bytes, first);
	if (held && first == missing)
		pieces[count++] = (struct iovec){ .iov_base = draft->tail, .iov_len = BLOCK };
	if (whole)
		pieces[count++] = (struct iovec){ .iov_base = (void *)(uintptr_t)(bytes + first), .iov_len = whole };
	draft->size += (int64_t)size;
	if (!count && held)
		return 0;
	r = write_pieces(draft, pieces, count);
	if (r)
		return r;
	draft->written = draft->size / (int64_t)BLOCK * (int64_t)BLOCK;
	memcpy(draft->tail, bytes + first + whole, size - first - whole);
	return 0;
}

int spool_draft_write(struct spool_draft *draft, const void *bytes, size_t size, struct error *err)
{
	int r = size ? write_blocks(draft, bytes, size) : 0;

	if (r)
		return error_set(err, r, "cannot write %s/%s: %s", draft->spool->folder, draft->name, error_name(r));
	depart(draft);
	if (draft->failure)
		return error_set(err, draft->failure, "cannot flush %s/%s: %s", draft->spool->folder, draft->name,
				 error_name(draft->failure));
	return 0;
}

int64_t spool_draft_size(const struct spool_draft *draft)
{
	return draft->size;
}

/*
 * Makes a job's folder. One that is there may be one that a process before us made and could not
 * flush any more, so it is flushed too, once: a job's files come one after the other.
 */
static int make_job_folder(struct spool *spool, const char *folder)
{
	int r;

	if (spool->last_folder && strcmp(spool->last_folder, folder) == 0)
		return 0;
	if (mkdirat(spool->folder_fd, folder, 0700) < 0 && errno != EEXIST)
		return -errno;
	r = sync_folder(spool, "jobs");
	if (r)
		return r;
	free(spool->last_folder);
	spool->last_folder = xstrdup(folder);
	return 0;
}

/* The folder that place lies in, made if it is a job's and the first file comes. */
static int prepare_folder(struct spool *spool, const char *place, char **ret_folder)
{
	const char *slash = strrchr(place, '/');
	auto_free char *folder = xmemdup0(place, (size_t)(slash - place));
	int r = 0;

	if (strncmp(folder, "jobs/", 5) == 0)
		r = make_job_folder(spool, folder);
	if (r)
		return r;
	*ret_folder = take(folder);
	return 0;
}

/* The last bytes, which make no whole block. */
static int write_tail(struct spool_draft *draft)
{
	struct iovec piece = { .iov_base = draft->tail, .iov_len = (size_t)(draft->size - draft->written) };

	return piece.iov_len ? write_pieces(draft, &piece, 1) : 0;
}

static int settle(struct spool_draft *draft, const char *place)
{
	auto_free char *folder = NULL;
	int root = draft->spool->folder_fd;
	int r;

	if (draft->failure)
		return draft->failure;
	r = write_tail(draft);
	if (r)
		return r;
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
	forget_flights(draft);
	/* After a rename the name is gone already. */
	(void)unlinkat(draft->spool->folder_fd, draft->name, 0);
	if (draft->fd >= 0)
		(void)close(draft->fd);
	free(draft->tail);
	free(draft->name);
	free(draft);
}

char *spool_draft_path(struct spool *spool)
{
	return xasprintf("%s/tmp/%" PRId64, spool->folder, ++spool->drafts);
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

	if (spool->last_folder && strcmp(spool->last_folder, folder) == 0) {
		free(spool->last_folder);
		spool->last_folder = NULL;
	}
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

void spool_visit_job(struct spool *spool, int64_t job, void (*visit)(const char *name, void *context),
		     void *context)
{
	auto_free char *place = xasprintf("jobs/%" PRId64, job);
	DIR *folder = open_folder(spool, place);
	struct dirent *entry;

	if (!folder)
		return;
	while ((entry = readdir(folder)))
		if (entry->d_name[0] != '.')
			visit(entry->d_name, context);
	(void)closedir(folder);
}

int64_t spool_changed_at(const struct spool *spool, const char *place)
{
	struct stat status;

	if (fstatat(spool->folder_fd, place, &status, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	return (int64_t)status.st_ctim.tv_sec * 1000 + status.st_ctim.tv_nsec / 1000000;
}
