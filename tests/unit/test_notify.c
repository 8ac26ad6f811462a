#include "daemon/io/notify.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/unit/check.h"

#define FIRST_FD 3

static int manager = -1;

/* A service manager's end, at a name without a file that the kernel chooses. */
static void begin(void)
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	socklen_t size = sizeof(sa_family_t);
	char name[sizeof(address.sun_path) + 1];

	manager = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
	CU_ASSERT_EQUAL_FATAL(bind(manager, (struct sockaddr *)&address, size), 0);
	size = sizeof(address);
	CU_ASSERT_EQUAL_FATAL(getsockname(manager, (struct sockaddr *)&address, &size), 0);
	(void)snprintf(name, sizeof(name), "@%.*s",
		       (int)(size - offsetof(struct sockaddr_un, sun_path) - 1),
		       address.sun_path + 1);
	(void)setenv("NOTIFY_SOCKET", name, 1);
}

static void end(void)
{
	(void)close(manager);
	(void)unsetenv("NOTIFY_SOCKET");
}

static bool is_told(const char *expected)
{
	char text[1024];
	ssize_t size = recv(manager, text, sizeof(text) - 1, 0);

	if (size < 0)
		return false;
	text[size] = '\0';
	if (strcmp(text, expected) == 0)
		return true;
	(void)fprintf(stderr, "# told: %s\n", text);
	return false;
}

static void tells_each_thing_in_the_words_of_the_manual(void)
{
	begin();
	notify_ready("3 jobs");
	CU_ASSERT(is_told("READY=1\nSTATUS=3 jobs"));
	notify_ready(NULL);
	CU_ASSERT(is_told("READY=1"));
	notify_status("%d jobs, %s", 7, "paused");
	CU_ASSERT(is_told("STATUS=7 jobs, paused"));
	notify_stopping();
	CU_ASSERT(is_told("STOPPING=1"));
	notify_extend_timeout(5000000);
	CU_ASSERT(is_told("EXTEND_TIMEOUT_USEC=5000000"));
	notify_watchdog();
	CU_ASSERT(is_told("WATCHDOG=1"));
	CU_ASSERT_EQUAL(recv(manager, &(char){0}, 1, 0), -1);
	end();
}

static void tells_a_reload_and_its_time_in_one_datagram(void)
{
	begin();
	notify_reloading(1234567);
	CU_ASSERT(is_told("RELOADING=1\nMONOTONIC_USEC=1234567"));
	end();
}

static void a_status_cannot_forge_an_assignment(void)
{
	begin();
	notify_status("a\nMAINPID=%d\x7f", 1);
	CU_ASSERT(is_told("STATUS=a MAINPID=1 "));
	notify_ready("b\nWATCHDOG=trigger");
	CU_ASSERT(is_told("READY=1\nSTATUS=b WATCHDOG=trigger"));
	end();
}

static void a_long_status_is_cut_between_characters(void)
{
	char status[302], expected[256];

	begin();
	/* The first byte is plain, so that 200 falls into the middle of a two-byte character. */
	status[0] = 'x';
	for (size_t i = 1; i + 1 < sizeof(status); i += 2)
		memcpy(status + i, "\xc3\xa4", 2);
	status[sizeof(status) - 1] = '\0';
	(void)snprintf(expected, sizeof(expected), "STATUS=%.199s", status);
	notify_status("%s", status);
	CU_ASSERT(is_told(expected));
	end();
}

static void says_nothing_without_a_service_manager(void)
{
	int *fds = (int[]){0};
	size_t count = 1;

	(void)unsetenv("NOTIFY_SOCKET");
	notify_ready("x");
	notify_status("x");
	notify_stopping();
	notify_reloading(1);
	notify_extend_timeout(1);
	notify_watchdog();
	CU_ASSERT_EQUAL(notify_watchdog_interval_ms(), 0);
	CU_ASSERT_EQUAL(notify_listen_fds(NULL, &fds, &count, NULL), 0);
	CU_ASSERT_PTR_NULL(fds);
	CU_ASSERT_EQUAL(count, 0);
}

static void the_watchdog_is_fed_twice_an_interval_if_it_is_ours(void)
{
	const struct {
		const char *name, *us;
		int pid_offset; /* from our own */
		int64_t expected;
	} cases[] = {
		{"30 s", "30000000", 0, 15000},           {"very short", "1500", 0, 1},
		{"of another process", "30000000", 1, 0}, {"zero", "0", 0, 0},
		{"not a number", "soon", 0, 0},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char pid[16];

		(void)snprintf(pid, sizeof(pid), "%d", getpid() + cases[i].pid_offset);
		(void)setenv("WATCHDOG_USEC", cases[i].us, 1);
		(void)setenv("WATCHDOG_PID", pid, 1);
		CHECK_ROW(cases[i].name, notify_watchdog_interval_ms() == cases[i].expected);
	}
	(void)unsetenv("WATCHDOG_USEC");
	(void)unsetenv("WATCHDOG_PID");
}

enum passed { STREAM_UNIX, STREAM_TCP, NOT_LISTENING, DATAGRAM, A_PIPE };

static int make_passed(enum passed what)
{
	struct sockaddr_un here = {.sun_family = AF_UNIX};
	struct sockaddr_in loopback = {.sin_family = AF_INET,
				       .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	int fd = -1, ends[2];

	switch (what) {
	case STREAM_UNIX:
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		(void)bind(fd, (struct sockaddr *)&here, sizeof(sa_family_t));
		(void)listen(fd, 1);
		break;
	case STREAM_TCP:
		fd = socket(AF_INET, SOCK_STREAM, 0);
		(void)bind(fd, (struct sockaddr *)&loopback, sizeof(loopback));
		(void)listen(fd, 1);
		break;
	case NOT_LISTENING:
		fd = socket(AF_UNIX, SOCK_STREAM, 0);
		break;
	case DATAGRAM:
		fd = socket(AF_UNIX, SOCK_DGRAM, 0);
		break;
	case A_PIPE:
		if (pipe(ends) == 0)
			fd = ends[0];
		break;
	}
	return fd;
}

/* A list of what is passed under "control" and "other", and what must come of it. */
struct passing {
	const char *name, *names, *asked;
	const char *announced; /* LISTEN_FDS */
	enum passed passed[3];
	int result;
	size_t count;
	int first;
};

static bool is_close_on_exec(int fd)
{
	return (fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0;
}

/* The descriptors must be 3 and up, so a child of its own stands in for the service. */
static bool passes(const struct passing *row)
{
	struct error err = {0};
	size_t count = 99;
	int *fds = NULL;
	int made[3], result;
	char pid[16];

	for (int i = 0; i < 3; i++)
		made[i] = fcntl(make_passed(row->passed[i]), F_DUPFD, 50);
	for (int i = 0; i < 3; i++)
		if (dup2(made[i], FIRST_FD + i) < 0)
			return false;
	(void)snprintf(pid, sizeof(pid), "%d", getpid());
	(void)setenv("LISTEN_PID", pid, 1);
	(void)setenv("LISTEN_FDS", row->announced, 1);
	if (row->names)
		(void)setenv("LISTEN_FDNAMES", row->names, 1);
	result = notify_listen_fds(row->asked, &fds, &count, &err);
	if (result != row->result)
		return false;
	if (result < 0)
		return err.code == result && *err.text && !fds && count == 99;
	if (count != row->count || (count && fds[0] != row->first))
		return false;
	for (size_t i = 0; i < count; i++)
		if (!is_close_on_exec(fds[i]))
			return false;
	free(fds);
	return true;
}

static void takes_the_sockets_of_a_name_or_all(void)
{
	/* clang-format off */
	static const struct passing cases[] = {
		{ "all", "control:other:control", NULL, "3",
		  { STREAM_UNIX, STREAM_TCP, STREAM_UNIX }, 0, 3, 3 },
		{ "by name", "control:other:control", "control", "3",
		  { STREAM_UNIX, DATAGRAM, STREAM_TCP }, 0, 2, 3 },
		{ "the second", "control:other:control", "other", "3",
		  { A_PIPE, STREAM_TCP, A_PIPE }, 0, 1, 4 },
		{ "no such name", "control:other:control", "metrics", "3",
		  { A_PIPE, A_PIPE, A_PIPE }, 0, 0, 0 },
		{ "not listening", "control:other:control", "control", "3",
		  { STREAM_UNIX, STREAM_UNIX, NOT_LISTENING }, -EINVAL, 0, 0 },
		{ "datagrams", "control:other:control", "control", "3",
		  { DATAGRAM, STREAM_UNIX, STREAM_UNIX }, -EINVAL, 0, 0 },
		{ "a pipe", "control:other:control", "other", "3",
		  { STREAM_UNIX, A_PIPE, STREAM_UNIX }, -EINVAL, 0, 0 },
		{ "no names", NULL, NULL, "2",
		  { STREAM_UNIX, STREAM_TCP, A_PIPE }, 0, 2, 3 },
		{ "no names, one asked", NULL, "control", "2",
		  { STREAM_UNIX, STREAM_TCP, A_PIPE }, 0, 0, 0 },
		{ "nonsense", "control:other:control", NULL, "many",
		  { STREAM_UNIX, STREAM_UNIX, STREAM_UNIX }, -EINVAL, 0, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int status = -1;
		pid_t child = fork();

		if (child == 0)
			_exit(passes(&cases[i]) ? EXIT_SUCCESS : EXIT_FAILURE);
		CU_ASSERT_EQUAL_FATAL(waitpid(child, &status, 0), child);
		CHECK_ROW(cases[i].name, WIFEXITED(status) && WEXITSTATUS(status) == EXIT_SUCCESS);
	}
}

CHECK_MAIN("notify", CHECK(tells_each_thing_in_the_words_of_the_manual),
	   CHECK(tells_a_reload_and_its_time_in_one_datagram),
	   CHECK(a_status_cannot_forge_an_assignment),
	   CHECK(a_long_status_is_cut_between_characters),
	   CHECK(says_nothing_without_a_service_manager),
	   CHECK(the_watchdog_is_fed_twice_an_interval_if_it_is_ours),
	   CHECK(takes_the_sockets_of_a_name_or_all))
