#include "daemon/work/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/spool.h"
#include "daemon/io/store.h"
#include "daemon/io/tar.h"
#include "daemon/io/vault.h"
#include "daemon/model/job.h"
#include "daemon/work/needs.h"

#define DATABASE "batchd.db"
#define FILES_A_STEP 256
#define JOBS_A_STEP 16
#define READ_AHEAD (1 << 20)

/* What a walk through the copied store comes to: the files, then the jobs, newest first. */
enum stage { STAGE_FILES, STAGE_JOBS, STAGE_OVER };

struct walk {
	enum stage stage;
	int64_t file; /* the last one that was listed */
	int64_t job;
	int64_t shard_count; /* of job */
	bool is_found;	     /* the step found something more */
	char **places;	     /* listed, and not come to yet; a folder ends with a slash */
	size_t count;
	size_t next;
};

struct backup {
	struct spool *spool;
	struct vault *vault;
	struct backup_plan plan;
	char *path; /* of the copied store while it has a name */
	struct store_copy *copying;
	struct store *copy; /* NULL until it is whole */
	int database;
	struct walk check; /* whether everything is there */
	int64_t missing;
	char *first_missing;
	struct walk walk; /* what goes into the archive */
	struct tar *tar;
	int fd; /* of the file under way; -1: none */
	char *place;
	int64_t offset;
	bool has_database;
	bool is_finished;
};

static void add_place(struct walk *walk, char *place)
{
	walk->places = xreallocarray(walk->places, walk->count + 1, sizeof(*walk->places));
	walk->places[walk->count++] = place;
}

static void walk_clear(struct walk *walk)
{
	for (size_t i = walk->next; i < walk->count; i++)
		free(walk->places[i]);
	free(walk->places);
	walk->places = NULL;
	walk->count = walk->next = 0;
}

/* --- whether everything is there --- */

static bool is_there(const struct backup *backup, const char *place)
{
	return spool_changed_at(backup->spool, place) != -ENOENT;
}

/* Takes the place, which is missing. */
static void note_missing(struct backup *backup, char *place)
{
	backup->missing++;
	if (backup->first_missing)
		free(place);
	else
		backup->first_missing = place;
}

static void check_file(const struct store_file *file, int64_t kept, void *context)
{
	struct backup *backup = context;
	auto_free char *place = spool_file_place(file->id);

	backup->check.is_found = true;
	backup->check.file = file->id;
	if (kept < 0 && !file->is_empty && !is_there(backup, place))
		note_missing(backup, take(place));
}

static void check_record(const char *name, void *context)
{
	struct backup *backup = context;
	auto_free char *place = spool_job_place(backup->check.job, name);

	if (!store_has_record(backup->copy, backup->check.job, name) && !is_there(backup, place))
		note_missing(backup, take(place));
}

static void check_job(const struct job *job, void *context)
{
	struct backup *backup = context;

	backup->check.is_found = true;
	backup->check.job = job->id;
	(void)needs_visit(backup->copy, job, check_record, backup);
}

/* --- what goes into the archive --- */

static void list_file(const struct store_file *file, int64_t kept, void *context)
{
	struct backup *backup = context;

	backup->walk.is_found = true;
	backup->walk.file = file->id;
	if (kept < 0 && !file->is_empty)
		add_place(&backup->walk, spool_file_place(file->id));
}

/* What the store has hides a file of the same name; what it cannot name yet was made after its moment. */
static void list_record(const char *name, void *context)
{
	struct backup *backup = context;
	struct walk *walk = &backup->walk;

	if (!needs_knows(name, walk->shard_count) || store_has_record(backup->copy, walk->job, name))
		return;
	if (!walk->count)
		add_place(walk, xasprintf("jobs/%" PRId64 "/", walk->job));
	add_place(walk, spool_job_place(walk->job, name));
}

static void list_job(const struct job *job, void *context)
{
	struct backup *backup = context;

	backup->walk.is_found = true;
	backup->walk.job = job->id;
}

/* --- a walk --- */

static int step_files(struct backup *backup, struct walk *walk, size_t limit,
		      void (*visit)(const struct store_file *file, int64_t kept, void *context))
{
	int r = store_file_walk(backup->copy, walk->file, limit, visit, backup);

	if (!r && !walk->is_found)
		walk->stage = STAGE_JOBS;
	return r;
}

static int step_jobs(struct backup *backup, struct walk *walk, size_t limit,
		     void (*visit)(const struct job *job, void *context))
{
	int r = store_job_list(backup->copy, -1, ~0U, walk->job, limit, visit, backup);

	if (!r && !walk->is_found)
		walk->stage = STAGE_OVER;
	return r;
}

static int check_step(struct backup *backup, struct error *err)
{
	struct walk *walk = &backup->check;
	int r;

	walk->is_found = false;
	r = walk->stage == STAGE_FILES ? step_files(backup, walk, FILES_A_STEP, check_file) :
					 step_jobs(backup, walk, JOBS_A_STEP, check_job);
	return r ? error_set(err, r, "the copy of the store cannot be read: %s", error_name(r)) : 0;
}

static int walk_step(struct backup *backup, struct error *err)
{
	struct walk *walk = &backup->walk;
	int r;

	walk_clear(walk);
	walk->is_found = false;
	if (walk->stage == STAGE_FILES) {
		r = step_files(backup, walk, FILES_A_STEP, list_file);
	} else {
		r = step_jobs(backup, walk, 1, list_job);
		if (!r && walk->is_found)
			r = store_shard_count(backup->copy, walk->job, &walk->shard_count, NULL);
		if (!r && walk->is_found)
			spool_visit_job(backup->spool, walk->job, list_record, backup);
	}
	return r ? error_set(err, r, "the copy of the store cannot be read: %s", error_name(r)) : 0;
}

/* --- the copy of the store --- */

/* The name goes as soon as the bytes are held by descriptors: a death leaves nothing behind from then on. */
static int open_copy(struct backup *backup, struct error *err)
{
	int r;

	store_copy_free(take(backup->copying));
	r = store_open_to_read(backup->path, &backup->copy, err);
	if (r)
		return r;
	backup->database = open(backup->path, O_RDONLY | O_CLOEXEC);
	if (backup->database < 0)
		return error_set(err, -errno, "cannot open %s: %s", backup->path, error_name(errno));
	(void)unlink(backup->path);
	free(take(backup->path));
	return 0;
}

static int check_room(struct backup *backup, struct error *err)
{
	int64_t size = store_copy_bytes(backup->copying);
	int64_t room = spool_free_bytes(backup->spool);

	if (room < 0 || room - size >= backup->plan.min_free)
		return 0;
	return error_set(err, -ENOSPC,
			 "the store is copied before it is handed out, and its %" PRId64
			 " bytes leave too little room on the disk",
			 size);
}

int backup_new(struct store *store, struct spool *spool, struct vault *vault, const struct backup_plan *plan,
	       struct backup **ret_backup, struct error *err)
{
	struct backup *backup = xcalloc(1, sizeof(*backup));
	int r;

	backup->spool = spool;
	backup->vault = vault;
	backup->plan = *plan;
	backup->path = spool_draft_path(spool);
	backup->database = -1;
	backup->fd = -1;
	backup->tar = tar_new(plan->now);
	/* Before the moment: what is deleted after it is still named by the copy. */
	vault_hold(vault);
	r = store_copy_new(store, backup->path, plan->now, &backup->copying, err);
	if (!r)
		r = check_room(backup, err);
	if (r) {
		backup_free(backup);
		return r;
	}
	*ret_backup = backup;
	return 0;
}

int backup_prepare(struct backup *backup, struct error *err)
{
	int r;

	if (backup->copying) {
		r = store_copy_step(backup->copying, err);
		if (!r)
			r = open_copy(backup, err);
		return r < 0 ? r : 1;
	}
	if (backup->check.stage != STAGE_OVER) {
		r = check_step(backup, err);
		return r ? r : 1;
	}
	if (backup->missing && !backup->plan.is_partial)
		return error_set(err, -ENOENT, "%s, which the store names, is missing%s", backup->first_missing,
				 backup->missing > 1 ? ", and it is not the only one" : "");
	r = tar_add_folder(backup->tar, "files/", err);
	return r ? r : tar_add_folder(backup->tar, "jobs/", err);
}

/* --- the archive --- */

static int begin_file(struct backup *backup, const char *name, int fd, int64_t size, struct error *err)
{
	int r = tar_begin_file(backup->tar, name, size, err);

	backup->fd = fd;
	backup->place = xstrdup(name);
	backup->offset = 0;
	(void)posix_fadvise(fd, 0, READ_AHEAD, POSIX_FADV_WILLNEED);
	return r;
}

static int begin_place(struct backup *backup, const char *place, struct error *err)
{
	int64_t size = 0;
	int fd = -1;
	int r;

	if (place[strlen(place) - 1] == '/')
		return tar_add_folder(backup->tar, place, err);
	r = spool_open_file(backup->spool, place, &fd, &size, err);
	if (r)
		return r == -ENOENT && backup->plan.is_partial ? 0 : r;
	return begin_file(backup, place, fd, size, err);
}

static int begin_database(struct backup *backup, struct error *err)
{
	off_t size = lseek(backup->database, 0, SEEK_END);

	backup->has_database = true;
	return begin_file(backup, DATABASE, take_fd(&backup->database), size, err);
}

static void end_file(struct backup *backup)
{
	(void)close(take_fd(&backup->fd));
	free(take(backup->place));
}

/* A piece of the file under way. bytes is room for it. */
static int copy_piece(struct backup *backup, char *bytes, size_t size, struct error *err)
{
	int64_t lacks = tar_lacks(backup->tar);
	ssize_t got;
	int r;

	if ((int64_t)size > lacks)
		size = (size_t)lacks;
	do
		got = pread(backup->fd, bytes, size, backup->offset);
	while (got < 0 && errno == EINTR);
	if (got < 0 || (got == 0 && size))
		return error_set(err, got ? -errno : -EIO, "cannot read %s: %s", backup->place,
				 got ? error_name(errno) : "it became shorter");
	r = tar_write(backup->tar, bytes, (size_t)got, err);
	if (backup->offset / READ_AHEAD != (backup->offset + got) / READ_AHEAD)
		(void)posix_fadvise(backup->fd, backup->offset + got, READ_AHEAD, POSIX_FADV_WILLNEED);
	backup->offset += got;
	if (!r && !tar_lacks(backup->tar))
		end_file(backup);
	return r;
}

/* What comes next in the archive, or a step on the way to it. */
static int go_on(struct backup *backup, struct error *err)
{
	struct walk *walk = &backup->walk;

	if (walk->next < walk->count) {
		auto_free char *place = walk->places[walk->next++];

		return begin_place(backup, place, err);
	}
	if (walk->stage != STAGE_OVER)
		return walk_step(backup, err);
	if (!backup->has_database)
		return begin_database(backup, err);
	backup->is_finished = true;
	return tar_finish(backup->tar, err);
}

int64_t backup_read(struct backup *backup, char *bytes, size_t size, struct error *err)
{
	size_t got = tar_take(backup->tar, bytes, size);
	int r;

	if (got)
		return (int64_t)got;
	if (backup->is_finished)
		return BACKUP_END;
	r = backup->fd >= 0 ? copy_piece(backup, bytes, size, err) : go_on(backup, err);
	return r ? r : (int64_t)tar_take(backup->tar, bytes, size);
}

void backup_free(struct backup *backup)
{
	if (!backup)
		return;
	store_copy_free(backup->copying);
	store_close(backup->copy);
	if (backup->path)
		(void)unlink(backup->path);
	cleanup_close(&backup->database);
	cleanup_close(&backup->fd);
	walk_clear(&backup->walk);
	tar_free(backup->tar);
	free(backup->path);
	free(backup->place);
	free(backup->first_missing);
	vault_let_go(backup->vault);
	free(backup);
}
