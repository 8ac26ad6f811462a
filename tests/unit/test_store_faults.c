#include "daemon/io/store.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <sqlite3.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/store_sql.h"
#include "tests/unit/store_scene.h"

static ssize_t write_nothing(int fd, const void *bytes, size_t size, off_t offset)
{
	(void)fd, (void)bytes, (void)size, (void)offset;
	errno = ENOSPC;
	return -1;
}

static bool is_flush_broken;

/* These stand in for those of the C library, in SQLite too. */
static int flush(long call, int fd)
{
	if (!is_flush_broken)
		return (int)syscall(call, fd);
	errno = EIO;
	return -1;
}

int fdatasync(int fd)
{
	return flush(SYS_fdatasync, fd);
}

int fsync(int fd)
{
	return flush(SYS_fsync, fd);
}

/* SQLite lets a test stand in for a system call; NULL gives the real one back. */
static void replace_call(const char *name, sqlite3_syscall_ptr call)
{
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);

	(void)vfs->xSetSystemCall(vfs, name, call);
}

static void fill_disk(void)
{
	replace_call("pwrite", (sqlite3_syscall_ptr)write_nothing);
	replace_call("pwrite64", (sqlite3_syscall_ptr)write_nothing);
}

static void break_flush(void)
{
	is_flush_broken = true;
}

static void limit_size(void)
{
	struct rlimit limit;

	(void)signal(SIGXFSZ, SIG_IGN);
	(void)getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = 4096;
	CU_ASSERT_EQUAL(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void mend(void)
{
	struct rlimit limit;

	replace_call("pwrite", NULL);
	replace_call("pwrite64", NULL);
	is_flush_broken = false;
	(void)getrlimit(RLIMIT_FSIZE, &limit);
	limit.rlim_cur = limit.rlim_max;
	(void)setrlimit(RLIMIT_FSIZE, &limit);
}

/* clang-format off */
static const struct {
	const char *name;
	void (*harm)(void);
	int result;
} harms[] = {
	{ "a full disk",         fill_disk,   -ENOSPC },
	{ "a failing flush",     break_flush, -EIO    },
	{ "a limited file size", limit_size,  -EIO    },
};
/* clang-format on */

static void rolls_a_turn_back_whole_when_the_disk_fails(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(harms); i++) {
		struct job job = plain_job(1, JOB_ACCEPTED, 0);
		auto_job got = {0};
		struct error err = {0};

		told_count = 0;
		begin();
		(void)store_job_add(store, &job);
		commit();
		(void)store_job_add(store, &job);
		store_after_commit(store, note_result, NULL);
		store_record_put(store, 1, "rows", "x", 1);
		store_after_commit(store, note_result, NULL);
		harms[i].harm();
		CHECK_ROW(harms[i].name, store_commit(store, &err) == harms[i].result);
		mend();
		CHECK_ROW(harms[i].name, err.code == harms[i].result && err.text[0]);
		CHECK_ROW(harms[i].name, told_count == 2 && told[0] == harms[i].result &&
						 told[1] == harms[i].result);
		CHECK_ROW(harms[i].name, store_job_get(store, 2, &got) == -ENOENT);
		CHECK_ROW(harms[i].name, !is_record(1, "rows", "x", 1));
		/* The next turn is a new one. */
		CHECK_ROW(harms[i].name, store_job_add(store, &job) == 2);
		commit();
		reopen();
		CHECK_ROW(harms[i].name, store_job_get(store, 2, &got) == 0);
		end();
	}
}

/* The first failed write of a turn: nothing of it counts, neither what was before nor what comes
 * after. */
static void a_failed_write_spoils_the_turn(void)
{
	struct job job = plain_job(1, JOB_ACCEPTED, 0);
	struct job bad = {.endpoint = NULL};
	auto_job got = {0};
	struct error err = {0};

	told_count = 0;
	begin();
	CU_ASSERT_EQUAL(store_job_add(store, &job), 1);
	CU_ASSERT_EQUAL(store_job_add(store, &bad), 0);
	CU_ASSERT_EQUAL(store_job_add(store, &job), 0);
	store_record_put(store, 1, "rows", "x", 1);
	store_after_commit(store, note_result, NULL);
	CU_ASSERT(store_is_dirty(store));
	CU_ASSERT(store_commit(store, &err) < 0);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.text, "endpoint"));
	CU_ASSERT(told_count == 1 && told[0] < 0);
	CU_ASSERT_EQUAL(store_job_get(store, 1, &got), -ENOENT);
	CU_ASSERT(!is_record(1, "rows", "x", 1));
	CU_ASSERT(!store_is_dirty(store));
	CU_ASSERT(store_job_add(store, &job) > 0);
	commit();
	end();
}

static char *read_whole(size_t *ret_size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	struct stat status = {0};
	char *bytes;

	CU_ASSERT_EQUAL_FATAL(fstat(fd, &status), 0);
	bytes = xcalloc(1, (size_t)status.st_size + 1);
	CU_ASSERT_EQUAL(read(fd, bytes, (size_t)status.st_size), status.st_size);
	*ret_size = (size_t)status.st_size;
	return bytes;
}

/* Opens what stands there, which must fail and change no byte. */
static void refuses(const char *name, int expected)
{
	size_t before_size = 0, after_size = 0;
	auto_free char *before = read_whole(&before_size);
	auto_free char *after = NULL;
	struct error err = {0};

	store = NULL;
	CHECK_ROW(name, store_open(path, 1, &store, &err) == expected);
	CHECK_ROW(name, store == NULL && strstr(err.text, path));
	after = read_whole(&after_size);
	CHECK_ROW(name, before_size == after_size && memcmp(before, after, before_size) == 0);
}

static void execute(const char *sql)
{
	sqlite3 *db = NULL;

	CU_ASSERT_EQUAL_FATAL(sqlite3_open(path, &db), SQLITE_OK);
	CU_ASSERT_EQUAL(sqlite3_exec(db, sql, NULL, NULL, NULL), SQLITE_OK);
	(void)sqlite3_close(db);
}

static void write_file(const char *bytes, size_t size)
{
	auto_close int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	CU_ASSERT_EQUAL_FATAL(write(fd, bytes, size), (ssize_t)size);
}

static void refuses_what_is_not_its_own_and_changes_no_byte(void)
{
	static const char letters[] =
		"Dear diary, this is no database, and it never was one. It is a page of "
		"text that somebody put here by mistake.";

	begin();
	store_close(store);
	execute("PRAGMA user_version = 1000");
	refuses("a newer version", -EPROTO);
	execute("PRAGMA user_version = 1; PRAGMA application_id = 5");
	refuses("another's version 1", -EUCLEAN);
	end();
	make_folder();
	execute("CREATE TABLE recipe (name TEXT)");
	refuses("another's database", -EUCLEAN);
	end();
	make_folder();
	write_file(letters, strlen(letters));
	refuses("no database", -EUCLEAN);
	end();
	make_folder();
	CU_ASSERT_EQUAL(mkdir(path, 0700), 0);
	CU_ASSERT_EQUAL(store_open(path, 1, &store, NULL), -EACCES);
	end();
}

/* In a process of its own: a store of a newer version, whose last commits stand in its log alone. */
static void die_with_a_newer_store(void)
{
	struct job job = plain_job(1, JOB_ACCEPTED, 0);
	pid_t child = fork();

	if (!child) {
		if (store_open(path, 1, &store, NULL) || !store_job_add(store, &job) || store_commit(store, NULL) ||
		    sqlite3_exec(store->db, "PRAGMA user_version = 1000", NULL, NULL, NULL) != SQLITE_OK)
			_exit(1);
		_exit(0);
	}
	CU_ASSERT_EQUAL_FATAL(waitpid(child, &(int){ 0 }, 0), child);
}

/* Who refuses a store must not tidy it up: its log would go, and the mark tell that it is missing. */
static void leaves_the_log_of_what_it_refuses(void)
{
	make_folder();
	die_with_a_newer_store();
	refuses("a newer version, after a death", -EPROTO);
	refuses("a newer version, once more", -EPROTO);
	end();
}

static void leaves_the_log_when_its_mark_cannot_be_taken_back(void)
{
	struct job job = plain_job(1, JOB_ACCEPTED, 0);
	auto_job got = {0};

	begin();
	(void)store_job_add(store, &job);
	commit();
	CU_ASSERT_EQUAL(close(store->mark_fd), 0);
	store->mark_fd = open("/dev/full", O_WRONLY | O_CLOEXEC);
	reopen();
	CU_ASSERT_EQUAL(store_job_get(store, 1, &got), 0);
	end();
}

static void makes_a_store_of_an_empty_file(void)
{
	make_folder();
	write_file("", 0);
	CU_ASSERT_EQUAL(store_open(path, 5, &store, NULL), 0);
	CU_ASSERT_EQUAL(store_id_key(store), 5);
	end();
	store_close(NULL);
}

/* clang-format off */
CHECK_MAIN("store_faults",
	   CHECK(rolls_a_turn_back_whole_when_the_disk_fails),
	   CHECK(a_failed_write_spoils_the_turn),
	   CHECK(refuses_what_is_not_its_own_and_changes_no_byte),
	   CHECK(leaves_the_log_of_what_it_refuses),
	   CHECK(leaves_the_log_when_its_mark_cannot_be_taken_back),
	   CHECK(makes_a_store_of_an_empty_file))
/* clang-format on */
