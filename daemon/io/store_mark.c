/*
 * How far the database's log is known to have come. SQLite takes a log whose middle is damaged, or which is gone, for one that
 * ends before: what was committed after that would be forgotten without a word, and might be sent again. So after each commit a mark is
 * written beside the log: which log it is, and how many frames of it count. It is not flushed, for it must not be ahead of the log
 * and may be behind it; and it is taken back before the log is removed.
 *
 * The form of the log is that of SQLite's file format, section 4: a header of 32 bytes, and frames, each a page behind 24 bytes, with
 * sums that run on from one to the next.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/io/store.h"
#include "daemon/io/store_sql.h"

#define LOG_MAGIC   UINT32_C(0x377f0682) /* the last bit: its sums read words with the high byte first */
#define LOG_HEADER  32
#define FRAME_HEADER 24
#define SALTS_AT    16
#define SALTS_SIZE  8
#define MOST_PAGE   65536
/* As SQLite does it by itself where nobody asks to be told of commits. */
#define CHECKPOINT_FRAMES 1000

struct mark {
	uint8_t salts[SALTS_SIZE]; /* of the log, as they stand in its header; they change when it begins anew */
	uint32_t frames;
	uint32_t check;
};

struct log {
	int fd;
	uint8_t header[LOG_HEADER];
	uint32_t page_size;
	bool is_high_first;
	uint32_t sums[2];
};

static char *mark_path(const char *path)
{
	return xasprintf("%s-mark", path);
}

static char *log_path(const char *path)
{
	return xasprintf("%s-wal", path);
}

/* False: there is none, or none that can be believed. */
static bool read_mark(const char *path, struct mark *ret_mark)
{
	auto_free char *name = mark_path(path);
	auto_close int fd = open(name, O_RDONLY | O_CLOEXEC);

	return fd >= 0 && pread(fd, ret_mark, sizeof(*ret_mark), 0) == (ssize_t)sizeof(*ret_mark) && ret_mark->frames &&
	       ret_mark->check == hash_check(ret_mark, offsetof(struct mark, check));
}

static uint32_t high_first(const uint8_t *bytes)
{
	return (uint32_t)bytes[0] << 24 | (uint32_t)bytes[1] << 16 | (uint32_t)bytes[2] << 8 | bytes[3];
}

static uint32_t low_first(const uint8_t *bytes)
{
	return (uint32_t)bytes[3] << 24 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[1] << 8 | bytes[0];
}

static void add_sums(struct log *log, const uint8_t *bytes, size_t size)
{
	for (size_t i = 0; i < size; i += 8) {
		log->sums[0] += (log->is_high_first ? high_first(bytes + i) : low_first(bytes + i)) + log->sums[1];
		log->sums[1] += (log->is_high_first ? high_first(bytes + i + 4) : low_first(bytes + i + 4)) + log->sums[0];
	}
}

static bool are_sums(const struct log *log, const uint8_t *bytes)
{
	return high_first(bytes) == log->sums[0] && high_first(bytes + 4) == log->sums[1];
}

static bool read_header(struct log *log)
{
	uint32_t magic;

	if (pread(log->fd, log->header, LOG_HEADER, 0) != LOG_HEADER)
		return false;
	magic = high_first(log->header);
	log->is_high_first = magic & 1;
	log->page_size = high_first(log->header + 8);
	add_sums(log, log->header, LOG_HEADER - 8);
	return (magic & ~UINT32_C(1)) == LOG_MAGIC && are_sums(log, log->header + LOG_HEADER - 8) &&
	       log->page_size >= 512 && log->page_size <= MOST_PAGE && log->page_size % 8 == 0;
}

/* How many frames from the start are whole and of this log, up to most. */
static uint32_t count_frames(struct log *log, uint32_t most)
{
	size_t size = FRAME_HEADER + log->page_size;
	auto_free uint8_t *frame = xmalloc(size);
	uint32_t count = 0;

	for (; count < most; count++) {
		off_t at = LOG_HEADER + (off_t)count * (off_t)size;

		if (pread(log->fd, frame, size, at) != (ssize_t)size || memcmp(frame + 8, log->header + SALTS_AT, SALTS_SIZE) != 0)
			break;
		add_sums(log, frame, 8);
		add_sums(log, frame + FRAME_HEADER, log->page_size);
		if (!are_sums(log, frame + 16))
			break;
	}
	return count;
}

/* Who opens the database to read it makes an empty one where there is none. */
static bool is_missing(const char *name)
{
	struct stat status;

	return stat(name, &status) < 0 || !status.st_size;
}

int store_log_check(const char *path, struct error *err)
{
	auto_free char *name = log_path(path);
	struct log log = { .fd = -1 };
	struct mark mark;
	uint32_t frames = 0;
	bool is_there;

	if (!read_mark(path, &mark))
		return 0;
	log.fd = open(name, O_RDONLY | O_CLOEXEC);
	is_there = log.fd >= 0 && read_header(&log);
	/* A log that began anew did so when all of the one before was in the database. */
	if (is_there && memcmp(log.header + SALTS_AT, mark.salts, SALTS_SIZE) != 0)
		frames = mark.frames;
	else if (is_there)
		frames = count_frames(&log, mark.frames);
	cleanup_close(&log.fd);
	if (frames >= mark.frames)
		return 0;
	return error_set(err, -EUCLEAN,
			 "%s is %s: of the %" PRIu32 " pages that were committed to it %" PRIu32 " can be read", name,
			 is_missing(name) ? "missing" : "damaged", mark.frames, frames);
}

/* After each commit; frames: of the log, that of this commit included. */
static int on_commit(void *context, sqlite3 *db, const char *name, int frames)
{
	struct store *store = context;
	struct mark mark = { .frames = (uint32_t)frames };

	/* A new database has a log from its first commit on. */
	if (store->log_fd < 0)
		store->log_fd = open(sqlite3_filename_wal(sqlite3_db_filename(db, name)), O_RDONLY | O_CLOEXEC);
	if (pread(store->log_fd, mark.salts, SALTS_SIZE, SALTS_AT) == SALTS_SIZE) {
		mark.check = hash_check(&mark, offsetof(struct mark, check));
		/* One that is not written is behind, and no harm. */
		(void)!pwrite(store->mark_fd, &mark, sizeof(mark), 0);
	}
	if (frames >= CHECKPOINT_FRAMES)
		(void)sqlite3_wal_checkpoint_v2(db, name, SQLITE_CHECKPOINT_PASSIVE, NULL, NULL);
	return SQLITE_OK;
}

void store_mark_open(struct store *store, const char *path)
{
	auto_free char *mark = mark_path(path);

	store->mark_fd = open(mark, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (store->mark_fd >= 0)
		(void)sqlite3_wal_hook(store->db, on_commit, store);
}

void store_mark_close(struct store *store)
{
	static const struct mark none;
	bool is_taken_back = store->mark_fd >= 0 &&
			     pwrite(store->mark_fd, &none, sizeof(none), 0) == (ssize_t)sizeof(none) &&
			     fdatasync(store->mark_fd) == 0;

	/* With the database's close the log goes, and the mark must go before; else, as where the open failed, the log stays. */
	if (!is_taken_back && store->db)
		(void)sqlite3_db_config(store->db, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1, NULL);
	cleanup_close(&store->mark_fd);
	cleanup_close(&store->log_fd);
}
