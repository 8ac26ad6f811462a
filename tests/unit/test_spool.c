#include "daemon/io/spool.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/unit/check.h"

#define NOBODY 65534

static char folder[64];
static struct spool *spool;

/* The disk, which may fail on the way: this stands in the place of the C library's. */
static int failing_wait; /* so many waits from now, one is told EIO; 0: none */

int sync_file_range(int fd, off64_t offset, off64_t size, unsigned flags)
{
	if ((flags & SYNC_FILE_RANGE_WAIT_AFTER) && failing_wait && --failing_wait == 0) {
		errno = EIO;
		return -1;
	}
	return (int)syscall(SYS_sync_file_range, fd, offset, size, flags);
}

static void make_folder(void)
{
	const char *place = getenv("TMPDIR");

	(void)snprintf(folder, sizeof(folder), "%.40s/batchd-XXXXXX", place ? place : "/tmp");
	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(folder));
}

static void begin(void)
{
	make_folder();
	CU_ASSERT_EQUAL_FATAL(spool_open(folder, &spool, NULL), 0);
}

static int remove_one(const char *path, const struct stat *status, int type, struct FTW *place)
{
	(void)status, (void)type, (void)place;
	return remove(path);
}

static void remove_folder(void)
{
	(void)nftw(folder, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

static void end(void)
{
	spool_close(spool);
	remove_folder();
}

static bool exists(const char *place)
{
	auto_free char *path = xasprintf("%s/%s", folder, place);

	return access(path, F_OK) == 0;
}

static void put(const char *place, const char *text)
{
	struct spool_draft *draft;

	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(spool_draft_write(draft, text, strlen(text), NULL), 0);
	CU_ASSERT_EQUAL_FATAL(spool_draft_keep(draft, place, NULL), 0);
}

static bool holds(int fd, const char *text)
{
	char bytes[256];
	ssize_t got = pread(fd, bytes, sizeof(bytes), 0);

	return got == (ssize_t)strlen(text) && memcmp(bytes, text, (size_t)got) == 0;
}

static bool contains(const char *place, const char *text)
{
	auto_close int fd = -1;
	int64_t size;

	return !spool_open_file(spool, place, &fd, &size, NULL) && size == (int64_t)strlen(text) &&
	       holds(fd, text);
}

static size_t count_drafts(void)
{
	size_t count = 0;

	for (int i = 0; i < 100; i++) {
		auto_free char *place = xasprintf("tmp/%d", i);

		count += exists(place);
	}
	return count;
}

static void makes_its_folders_for_nobody_else(void)
{
	static const char *const folders[] = {"", "files", "jobs", "tmp"};
	auto_free char *inner = NULL;

	make_folder();
	inner = xasprintf("%s/state", folder);
	CU_ASSERT_EQUAL_FATAL(spool_open(inner, &spool, NULL), 0);
	CU_ASSERT_STRING_EQUAL(spool_folder(spool), inner);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		auto_free char *path = xasprintf("%s/%s", inner, folders[i]);
		struct stat status = {0};

		CU_ASSERT_EQUAL(stat(path, &status), 0);
		CHECK_ROW(path, status.st_mode == (S_IFDIR | 0700));
	}
	CU_ASSERT(spool_free_bytes(spool) > 0);
	end();
}

static void refuses_a_second_daemon(void)
{
	struct error err = {0};
	struct spool *second = NULL;

	begin();
	CU_ASSERT_EQUAL(spool_open(folder, &second, &err), -EWOULDBLOCK);
	CU_ASSERT_PTR_NULL(second);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, folder));
	/* The refused one must not have taken away what the first is writing. */
	put("files/1", "x");
	spool_close(spool);
	CU_ASSERT_EQUAL(spool_open(folder, &spool, NULL), 0);
	CU_ASSERT(contains("files/1", "x"));
	end();
}

static void a_refused_second_daemon_touches_no_draft(void)
{
	struct spool *second = NULL;
	struct spool_draft *draft;

	begin();
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
	CU_ASSERT_EQUAL(spool_open(folder, &second, NULL), -EWOULDBLOCK);
	CU_ASSERT_EQUAL(count_drafts(), 1);
	CU_ASSERT_EQUAL(spool_draft_keep(draft, "files/1", NULL), 0);
	end();
}

static void empties_tmp_and_nothing_else_at_the_start(void)
{
	auto_free char *path = NULL;
	int fd;

	begin();
	put("files/1", "one");
	put("jobs/2/rows", "two");
	spool_close(spool);
	path = xasprintf("%s/tmp/7", folder);
	fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	CU_ASSERT(fd >= 0);
	(void)close(fd);
	CU_ASSERT_EQUAL_FATAL(spool_open(folder, &spool, NULL), 0);
	CU_ASSERT_EQUAL(count_drafts(), 0);
	CU_ASSERT(contains("files/1", "one"));
	CU_ASSERT(contains("jobs/2/rows", "two"));
	end();
}

static void names_places(void)
{
	auto_free char *file = spool_file_place(INT64_MAX);
	auto_free char *record = spool_job_place(57, "shard-1.out");

	CU_ASSERT_STRING_EQUAL(file, "files/9223372036854775807");
	CU_ASSERT_STRING_EQUAL(record, "jobs/57/shard-1.out");
}

static void counts_and_keeps_what_was_written(void)
{
	struct spool_draft *draft;

	begin();
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
	CU_ASSERT_EQUAL(spool_draft_write(draft, "hello ", 6, NULL), 0);
	CU_ASSERT_EQUAL(spool_draft_write(draft, "", 0, NULL), 0);
	CU_ASSERT_EQUAL(spool_draft_write(draft, "world", 5, NULL), 0);
	CU_ASSERT_EQUAL(spool_draft_size(draft), 11);
	CU_ASSERT_EQUAL(spool_draft_keep(draft, "files/1", NULL), 0);
	CU_ASSERT(contains("files/1", "hello world"));
	CU_ASSERT_EQUAL(count_drafts(), 0);
	end();
}

/* The bytes of a file made of pieces, each byte told by its place alone. */
static char byte_at(int64_t place, char salt)
{
	return (char)(place * 7 + place / 251 + salt);
}

static void write_on(struct spool_draft *draft, size_t size, char salt)
{
	auto_free char *bytes = xmalloc(size);
	int64_t at = spool_draft_size(draft);

	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_at(at + (int64_t)i, salt);
	CU_ASSERT_EQUAL(spool_draft_write(draft, bytes, size, NULL), 0);
}

static bool is_whole(const char *place, int64_t wanted, char salt)
{
	auto_free char *bytes = NULL;
	auto_close int fd = -1;
	int64_t size = 0;

	if (spool_open_file(spool, place, &fd, &size, NULL) || size != wanted)
		return false;
	bytes = xmalloc((size_t)size);
	if (pread(fd, bytes, (size_t)size, 0) != size)
		return false;
	while (size && bytes[size - 1] == byte_at(size - 1, salt))
		size--;
	return size == 0;
}

static void keeps_pieces_of_any_size_in_their_order(void)
{
	static const size_t pieces[] = { 1, 32767, 32768, 32769, 65536, 100000, 32500, 4096, 3, 1 << 20, 32700, 68, 32768 };
	struct spool_draft *draft;
	int64_t size = 0;

	begin();
	/* Once all, and each of them three times, so that every one meets a full, an empty and a half block. */
	for (size_t only = 0; only <= ARRAY_SIZE(pieces); only++) {
		CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
		for (size_t i = 0; only == ARRAY_SIZE(pieces) && i < ARRAY_SIZE(pieces); i++)
			write_on(draft, pieces[i], 1);
		for (int i = 0; only < ARRAY_SIZE(pieces) && i < 3; i++)
			write_on(draft, pieces[only], 1);
		size = spool_draft_size(draft);
		CU_ASSERT_EQUAL(spool_draft_keep(draft, "files/1", NULL), 0);
		CU_ASSERT(size > 0 && is_whole("files/1", size, 1));
	}
	end();
}

static void keeps_drafts_that_grow_side_by_side(void)
{
	enum { COUNT = 3, ROUNDS = 500, PIECE = 50000 };
	struct spool_draft *drafts[COUNT];

	begin();
	for (size_t i = 0; i < COUNT; i++)
		CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &drafts[i], NULL), 0);
	for (int round = 0; round < ROUNDS; round++)
		for (size_t i = 0; i < COUNT; i++)
			write_on(drafts[i], PIECE, (char)i);
	/* One goes while bytes of it are on their way; the places of the others are not touched by it. */
	spool_draft_discard(drafts[1]);
	write_on(drafts[0], 20 << 20, 0);
	CU_ASSERT_EQUAL(spool_draft_keep(drafts[0], "files/1", NULL), 0);
	write_on(drafts[2], 20 << 20, 2);
	CU_ASSERT_EQUAL(spool_draft_keep(drafts[2], "files/3", NULL), 0);
	CU_ASSERT(is_whole("files/1", (int64_t)ROUNDS * PIECE + (20 << 20), 0));
	CU_ASSERT(is_whole("files/3", (int64_t)ROUNDS * PIECE + (20 << 20), 2));
	CU_ASSERT_EQUAL(count_drafts(), 0);
	end();
}

/* Who waits for another's bytes hears of their error, and the kernel tells it once. */
static void tells_an_error_of_the_disk_to_the_draft_it_belongs_to(void)
{
	struct spool_draft *first, *second;
	struct error err = {0};

	begin();
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &first, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &second, NULL), 0);
	failing_wait = 1;
	write_on(first, 3 << 20, 1);
	write_on(second, 40 << 20, 2);
	CU_ASSERT_EQUAL(failing_wait, 0);
	CU_ASSERT_EQUAL(spool_draft_write(first, "x", 1, &err), -EIO);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "/tmp/1: "));
	CU_ASSERT_EQUAL(spool_draft_keep(first, "files/1", &err), -EIO);
	CU_ASSERT_EQUAL(spool_draft_keep(second, "files/2", NULL), 0);
	CU_ASSERT(!exists("files/1"));
	CU_ASSERT(is_whole("files/2", 40 << 20, 2));
	end();
}

static void tells_that_the_last_bytes_found_no_room(void)
{
	const struct rlimit limit = { .rlim_cur = 100, .rlim_max = RLIM_INFINITY };
	struct spool_draft *draft;
	struct rlimit before;
	struct error err = {0};

	begin();
	(void)signal(SIGXFSZ, SIG_IGN);
	CU_ASSERT_EQUAL_FATAL(getrlimit(RLIMIT_FSIZE, &before), 0);
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
	write_on(draft, 200, 1);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
	CU_ASSERT_EQUAL(spool_draft_keep(draft, "files/1", &err), -EFBIG);
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &before), 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "files/1"));
	CU_ASSERT(!exists("files/1"));
	CU_ASSERT_EQUAL(count_drafts(), 0);
	end();
}

/* Who reads while a file is replaced sees the old bytes to the end; who opens it after, the new
 * ones. */
static void replaces_a_file_whole(void)
{
	auto_close int old = -1;
	struct spool_draft *draft;
	int64_t size;

	begin();
	put("files/1", "old");
	CU_ASSERT_EQUAL(spool_open_file(spool, "files/1", &old, &size, NULL), 0);
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
	CU_ASSERT_EQUAL(spool_draft_write(draft, "new and longer", 14, NULL), 0);
	CU_ASSERT(contains("files/1", "old"));
	CU_ASSERT_EQUAL(spool_draft_keep(draft, "files/1", NULL), 0);
	CU_ASSERT(contains("files/1", "new and longer"));
	CU_ASSERT(holds(old, "old"));
	end();
}

static void leaves_the_old_file_when_keeping_fails(void)
{
	struct spool_draft *draft;
	struct error err = {0};

	begin();
	put("files/1", "old");
	put("jobs/3/rows", "x");
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
	CU_ASSERT_EQUAL(spool_draft_write(draft, "new", 3, NULL), 0);
	/* A folder stands in the place. */
	CU_ASSERT_EQUAL(spool_draft_keep(draft, "jobs/3", &err), -EISDIR);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "jobs/3"));
	CU_ASSERT(contains("files/1", "old"));
	CU_ASSERT(contains("jobs/3/rows", "x"));
	CU_ASSERT_EQUAL(count_drafts(), 0);
	end();
}

static void discards_drafts(void)
{
	struct spool_draft *draft;

	begin();
	CU_ASSERT_EQUAL_FATAL(spool_draft_new(spool, &draft, NULL), 0);
	CU_ASSERT_EQUAL(count_drafts(), 1);
	spool_draft_discard(draft);
	spool_draft_discard(NULL);
	CU_ASSERT_EQUAL(count_drafts(), 0);
	end();
}

static void forgets_a_scratch_file_at_once(void)
{
	auto_close int fd = -1;

	begin();
	CU_ASSERT_EQUAL_FATAL(spool_open_scratch(spool, &fd, NULL), 0);
	CU_ASSERT_EQUAL(count_drafts(), 0);
	CU_ASSERT_EQUAL(pwrite(fd, "x", 1, 100), 1);
	CU_ASSERT_EQUAL(lseek(fd, 0, SEEK_END), 101);
	end();
}

static void removes_files_and_jobs(void)
{
	auto_close int fd = -1;
	struct error err = {0};
	int64_t size;

	begin();
	put("files/1", "x");
	put("jobs/2/rows", "x");
	put("jobs/2/shard-1.out", "x");
	put("jobs/22/rows", "x");
	CU_ASSERT_EQUAL(spool_remove(spool, "files/1"), 0);
	CU_ASSERT_EQUAL(spool_remove(spool, "files/1"), 0);
	CU_ASSERT_EQUAL(spool_open_file(spool, "files/1", &fd, &size, &err), -ENOENT);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "files/1"));
	spool_remove_job(spool, 2);
	spool_remove_job(spool, 2);
	CU_ASSERT(!exists("jobs/2"));
	CU_ASSERT(exists("jobs/22/rows"));
	end();
}

static void note_visit(int64_t number, int is_job, void *context)
{
	*(int64_t *)context += is_job ? number * 1000 : number;
}

static void makes_the_folder_of_a_job_again_after_it_was_removed(void)
{
	begin();
	put("jobs/3/rows", "1");
	put("jobs/3/shard-1.rows", "2");
	spool_remove_job(spool, 3);
	CU_ASSERT(!exists("jobs/3"));
	put("jobs/3/rows", "3");
	put("jobs/4/rows", "4");
	put("jobs/3/shard-1.rows", "5");
	CU_ASSERT(contains("jobs/3/rows", "3") && contains("jobs/4/rows", "4") && contains("jobs/3/shard-1.rows", "5"));
	end();
}

static void visits_numbers_alone(void)
{
	int64_t sum = 0;
	auto_free char *stray = NULL;

	begin();
	put("files/3", "x");
	put("files/4", "x");
	put("files/4.tmp", "x");
	put("files/abc", "x");
	put("jobs/5/rows", "x");
	stray = xasprintf("%s/jobs/-6", folder);
	CU_ASSERT_EQUAL(mkdir(stray, 0700), 0);
	spool_visit(spool, note_visit, &sum);
	CU_ASSERT_EQUAL(sum, 5007);
	end();
}

/* As somebody whom the folder does not let write. Only root can become somebody else; anybody else
 * already is. */
static int open_without_rights(void)
{
	pid_t child;
	int status = 0;

	(void)fflush(NULL);
	child = fork();
	if (child == 0) {
		struct error err = {0};

		if (geteuid() == 0 && (setgid(NOBODY) || setuid(NOBODY)))
			_exit(99);
		_exit(-spool_open(folder, &spool, &err) & 0x7f);
	}
	CU_ASSERT_EQUAL(waitpid(child, &status, 0), child);
	return WIFEXITED(status) ? -WEXITSTATUS(status) : 0;
}

static void tells_missing_rights(void)
{
	make_folder();
	CU_ASSERT_EQUAL(chmod(folder, 0500), 0);
	CU_ASSERT_EQUAL(open_without_rights(), -EACCES);
	CU_ASSERT_EQUAL(chmod(folder, 0), 0);
	CU_ASSERT_EQUAL(open_without_rights(), -EACCES);
	CU_ASSERT_EQUAL(chmod(folder, 0700), 0);
	remove_folder();
}

static void tells_a_place_that_is_no_folder(void)
{
	struct error err = {0};
	auto_free char *path = NULL;

	begin();
	put("files/1", "x");
	path = xasprintf("%s/files/1", folder);
	CU_ASSERT_EQUAL(spool_open(path, &(struct spool *){NULL}, &err), -ENOTDIR);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, path));
	CU_ASSERT_EQUAL(spool_open("/nonexistent/a/b", &(struct spool *){NULL}, &err), -ENOENT);
	end();
}

/* clang-format off */
CHECK_MAIN("spool",
	   CHECK(makes_its_folders_for_nobody_else),
	   CHECK(refuses_a_second_daemon),
	   CHECK(a_refused_second_daemon_touches_no_draft),
	   CHECK(empties_tmp_and_nothing_else_at_the_start),
	   CHECK(names_places),
	   CHECK(counts_and_keeps_what_was_written),
	   CHECK(keeps_pieces_of_any_size_in_their_order),
	   CHECK(keeps_drafts_that_grow_side_by_side),
	   CHECK(tells_an_error_of_the_disk_to_the_draft_it_belongs_to),
	   CHECK(tells_that_the_last_bytes_found_no_room),
	   CHECK(replaces_a_file_whole),
	   CHECK(leaves_the_old_file_when_keeping_fails),
	   CHECK(discards_drafts),
	   CHECK(forgets_a_scratch_file_at_once),
	   CHECK(removes_files_and_jobs),
	   CHECK(makes_the_folder_of_a_job_again_after_it_was_removed),
	   CHECK(visits_numbers_alone),
	   CHECK(tells_missing_rights),
	   CHECK(tells_a_place_that_is_no_folder))
/* clang-format on */
