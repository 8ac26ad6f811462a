#include "tests/crash/ordeal.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

#define START_MS   10000
#define STOP_MS	   10000
#define CLIENT_MS  60000
#define TROUBLE_MS 300 /* so long it lasts for a client that goes on */
#define WORDS_ROOM (1 << 20)  /* the pipe holds so much while nobody reads */
#define MAX_WORDS  (256 << 10) /* a log beyond that is a complaint */
#define MAX_FILE   ((rlim_t)2 << 30)

extern char **environ;

/* Nobody else ends the daemon when we are ended. */
static volatile pid_t child;

static void on_signal(int signal_number)
{
	if (child)
		(void)kill(child, SIGKILL);
	_exit(128 + signal_number);
}

static void die(const char *what)
{
	(void)fprintf(stderr, "ordeal: %s: %s\n", what, strerror(errno));
	exit(2);
}

int64_t now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void complain(struct ordeal *ordeal, const char *format, ...)
{
	auto_free char *text = NULL;
	va_list arguments;

	va_start(arguments, format);
	text = xvasprintf(format, arguments);
	va_end(arguments);
	buffer_add_format(&ordeal->complaints, "%s\n", text);
}

static void map_board(struct ordeal *ordeal)
{
	auto_free char *path = xasprintf("%s/board", ordeal->folder);
	auto_close int fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	if (fd < 0 || ftruncate(fd, sizeof(*ordeal->board)) < 0)
		die(path);
	ordeal->board = mmap(NULL, sizeof(*ordeal->board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ordeal->board == MAP_FAILED)
		die(path);
}

void ordeal_open(struct ordeal *ordeal)
{
	const struct rlimit no_core = { 0, 0 }, files = { MAX_FILE, MAX_FILE };

	ordeal->state = xasprintf("%s/state", ordeal->folder);
	ordeal->door = xasprintf("%s/b.sock", ordeal->folder);
	ordeal->sim = xasprintf("%s/sim.sock", ordeal->folder);
	ordeal->watch = -1;
	ordeal->words = -1;
	ordeal->patience_ms = START_MS;
	map_board(ordeal);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)signal(SIGTERM, on_signal);
	(void)signal(SIGINT, on_signal);
	(void)signal(SIGHUP, on_signal);
	(void)setrlimit(RLIMIT_CORE, &no_core);
	(void)setrlimit(RLIMIT_FSIZE, &files);
}

void ordeal_close(struct ordeal *ordeal)
{
	daemon_end(ordeal, SIGKILL);
	(void)munmap(ordeal->board, sizeof(*ordeal->board));
	buffer_release(&ordeal->log);
	buffer_release(&ordeal->complaints);
	free(ordeal->state);
	free(ordeal->door);
	free(ordeal->sim);
	free(ordeal->batchd);
	free(ordeal->batchctl);
	free(ordeal->killable);
	free(ordeal->killable_client);
}

void ordeal_plan(struct ordeal *ordeal, const struct plan *plan)
{
	struct board *board = ordeal->board;

	memset(board, 0, sizeof(*board));
	ordeal->plan = NULL;
	if (!plan)
		return;
	ordeal->kept = *plan;
	ordeal->plan = &ordeal->kept;
	board->calls = plan->calls;
	board->deed = (int32_t)plan->deed;
	board->code = plan->code;
	board->only = (int32_t)plan->only;
	board->at = plan->at;
	board->is_lasting = plan->is_lasting;
}

void ordeal_arm(struct ordeal *ordeal, bool is_armed)
{
	ordeal->board->is_armed = is_armed;
}

/* Our environment, with or without the board; the caller frees the array and its first string. */
static char **make_environment(const struct ordeal *ordeal, bool has_board)
{
	size_t count = 0, at = 0;
	char **result;

	while (environ[count])
		count++;
	result = xcalloc(count + 2, sizeof(*result));
	if (has_board)
		result[at++] = xasprintf("%s=%s/board", BOARD_VARIABLE, ordeal->folder);
	for (size_t i = 0; i < count; i++)
		result[at++] = environ[i];
	return result;
}

static pid_t spawn(const struct ordeal *ordeal, const char *program, char *const *arguments, bool has_board,
		   const posix_spawn_file_actions_t *actions)
{
	char **environment = make_environment(ordeal, has_board);
	pid_t pid = 0;
	int code = posix_spawn(&pid, program, actions, NULL, arguments, environment);

	if (has_board)
		free(environment[0]);
	free(environment);
	if (code) {
		errno = code;
		die(program);
	}
	return pid;
}

static void read_words(struct ordeal *ordeal)
{
	char bytes[4096];
	ssize_t size;

	while ((size = read(ordeal->words, bytes, sizeof(bytes))) > 0)
		if (ordeal->log.size < MAX_WORDS)
			buffer_add(&ordeal->log, bytes, (size_t)size);
}

static void reap(struct ordeal *ordeal)
{
	int status = 0;

	while (waitpid(ordeal->pid, &status, 0) < 0 && errno == EINTR)
		continue;
	child = 0;
	ordeal->status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
	read_words(ordeal);
	(void)close(ordeal->words);
	(void)close(ordeal->watch);
	ordeal->words = -1;
	ordeal->watch = -1;
	if (ordeal->log.size >= MAX_WORDS)
		complain(ordeal, "its log has no end: %.200s", buffer_text(&ordeal->log));
}

/* Waits for its end; false: it lives on. */
static bool await_end(struct ordeal *ordeal, int timeout_ms)
{
	struct pollfd wait = { .fd = ordeal->watch, .events = POLLIN };

	return poll(&wait, 1, timeout_ms) == 1;
}

/* Its words tell when it is ready, and their end that it is dead. */
static bool await_ready(struct ordeal *ordeal)
{
	int64_t until = now_ms() + START_MS;

	while (now_ms() < until) {
		struct pollfd waits[] = { { .fd = ordeal->words, .events = POLLIN },
					  { .fd = ordeal->watch, .events = POLLIN } };

		(void)poll(waits, ARRAY_SIZE(waits), (int)(until - now_ms()));
		read_words(ordeal);
		if (strstr(buffer_text(&ordeal->log), "batchd: ready "))
			return true;
		if (waits[1].revents) {
			reap(ordeal);
			return false;
		}
	}
	complain(ordeal, "it is neither ready nor dead after %d s", START_MS / 1000);
	daemon_end(ordeal, SIGKILL);
	return false;
}

bool daemon_start(struct ordeal *ordeal, const char *program)
{
	auto_free char *config = xasprintf("%s/batchd.conf", ordeal->folder);
	char *const arguments[] = { (char *)(uintptr_t)program, (char *)"--config", config, NULL };
	posix_spawn_file_actions_t actions;
	int words[2];

	ordeal->is_killable = program == ordeal->killable;
	if (pipe2(words, O_CLOEXEC) < 0)
		die("pipe");
	(void)fcntl(words[1], F_SETPIPE_SZ, WORDS_ROOM);
	(void)fcntl(words[0], F_SETFL, O_NONBLOCK);
	(void)posix_spawn_file_actions_init(&actions);
	(void)posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null", O_WRONLY, 0);
	(void)posix_spawn_file_actions_adddup2(&actions, words[1], STDERR_FILENO);
	ordeal->pid = spawn(ordeal, program, arguments, ordeal->is_killable, &actions);
	child = ordeal->pid;
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)close(words[1]);
	ordeal->words = words[0];
	ordeal->watch = (int)syscall(SYS_pidfd_open, ordeal->pid, 0);
	if (ordeal->watch < 0)
		die("pidfd_open");
	buffer_clear(&ordeal->log);
	return await_ready(ordeal);
}

bool daemon_is_alive(struct ordeal *ordeal)
{
	if (ordeal->watch < 0)
		return false;
	read_words(ordeal);
	if (!await_end(ordeal, 0))
		return true;
	reap(ordeal);
	return false;
}

void daemon_end(struct ordeal *ordeal, int signal_number)
{
	if (!daemon_is_alive(ordeal))
		return;
	(void)kill(ordeal->pid, signal_number);
	if (!await_end(ordeal, STOP_MS)) {
		complain(ordeal, "it does not end after signal %d", signal_number);
		(void)kill(ordeal->pid, SIGKILL);
		(void)await_end(ordeal, -1);
	}
	reap(ordeal);
}

int64_t daemon_cpu_ns(const struct ordeal *ordeal)
{
	auto_free char *path = xasprintf("/proc/%d/schedstat", ordeal->pid);
	auto_free char *text = file_text(path, NULL);

	return strtoll(text, NULL, 10);
}

/* A pipe that holds the file, which is small. */
static int piped(const char *path)
{
	size_t size;
	auto_free char *text = file_text(path, &size);
	int ends[2];

	if (pipe2(ends, O_CLOEXEC) < 0 || write(ends[1], text, size) != (ssize_t)size)
		die(path);
	(void)close(ends[1]);
	return ends[0];
}

int run_client(struct ordeal *ordeal, const char *program, const char *const *arguments, const char *input)
{
	auto_free char *out = xasprintf("%s/client.out", ordeal->folder);
	auto_free char *talk = xasprintf("%s/client.err", ordeal->folder);
	posix_spawn_file_actions_t actions;
	auto_close int in = input ? piped(input) : -1;
	struct pollfd wait = { .events = POLLIN };
	int status = 0;
	pid_t pid;

	(void)posix_spawn_file_actions_init(&actions);
	if (in >= 0)
		(void)posix_spawn_file_actions_adddup2(&actions, in, 0);
	else
		(void)posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDONLY, 0);
	(void)posix_spawn_file_actions_addopen(&actions, 1, out, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	(void)posix_spawn_file_actions_addopen(&actions, 2, talk, O_WRONLY | O_CREAT | O_TRUNC, 0600);
	pid = spawn(ordeal, program, (char *const *)(uintptr_t)arguments, program == ordeal->killable_client, &actions);
	(void)posix_spawn_file_actions_destroy(&actions);
	wait.fd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (poll(&wait, 1, TROUBLE_MS) == 0 && ordeal->plan && ordeal->plan->is_lasting)
		ordeal_arm(ordeal, false);
	if (poll(&wait, 1, CLIENT_MS) == 0) {
		complain(ordeal, "the client does not end");
		(void)kill(pid, SIGKILL);
	}
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		continue;
	(void)close(wait.fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static int remove_one(const char *path, const struct stat *status, int kind, struct FTW *place)
{
	(void)status;
	(void)kind;
	(void)place;
	return remove(path);
}

void remove_tree(const char *path)
{
	(void)nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

char *file_text(const char *path, size_t *ret_size)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC);
	auto_buffer buffer = { 0 };
	auto_free char *piece = xmalloc(65536);
	ssize_t size;

	while (fd >= 0 && (size = read(fd, piece, 65536)) > 0)
		buffer_add(&buffer, piece, (size_t)size);
	if (ret_size)
		*ret_size = buffer.size;
	return xmemdup0(buffer.data, buffer.size);
}
