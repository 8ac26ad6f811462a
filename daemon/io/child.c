#include "daemon/io/child.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/loop.h"

struct children {
	struct loop *loop;
	struct child *first;
};

struct child {
	struct children *children;
	struct child *next;
	pid_t pid;
	int pidfd;  /* readable when it has ended */
	int output; /* -1: dropped */
	struct loop_watch *death;
	struct loop_watch *news;
	void (*on_news)(void *context);
	void *context;
	bool is_dead;
};

static void child_free(struct child *child)
{
	struct child **link = &child->children->first;

	while (*link != child)
		link = &(*link)->next;
	*link = child->next;
	loop_watch_free(child->death);
	loop_watch_free(child->news);
	cleanup_close(&child->pidfd);
	cleanup_close(&child->output);
	free(child);
}

static void reap(struct child *child, int options)
{
	pid_t got;

	do
		got = waitpid(child->pid, NULL, options);
	while (got < 0 && errno == EINTR);
	child->is_dead = got != 0;
}

static void on_death(unsigned events, void *context)
{
	struct child *child = context;

	(void)events;
	reap(child, WNOHANG);
	if (!child->is_dead)
		return;
	loop_watch_set(child->death, 0);
	if (child->output < 0)
		child_free(child);
}

static void on_output(unsigned events, void *context)
{
	struct child *child = context;

	(void)events;
	/* Until it is read, there is no more news in it. */
	loop_watch_set(child->news, 0);
	child->on_news(child->context);
}

/* Standard input is empty, standard output is the pipe, and nothing else of ours is open but standard error. */
static int spawn(const char *program, const char *const *arguments, int output, pid_t *ret_pid)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	sigset_t none, usual;
	int r;

	(void)sigemptyset(&none);
	(void)sigemptyset(&usual);
	(void)sigaddset(&usual, SIGPIPE);
	if (posix_spawn_file_actions_init(&actions))
		abort();
	if (posix_spawnattr_init(&attributes))
		abort();
	r = posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
	if (!r)
		r = posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO);
	if (!r)
		r = posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	if (!r)
		r = posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF);
	if (!r)
		r = posix_spawnattr_setsigmask(&attributes, &none);
	if (!r)
		r = posix_spawnattr_setsigdefault(&attributes, &usual);
	if (!r)
		r = posix_spawn(ret_pid, program, &actions, &attributes, (char *const *)(uintptr_t)arguments, environ);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attributes);
	return -r;
}

static int begin(struct child *child, const char *program, const char *const *arguments)
{
	int ends[2];
	int r;

	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	child->output = ends[0];
	/* Only our end must not wait. */
	r = fcntl(ends[0], F_SETFL, O_NONBLOCK) < 0 ? -errno : spawn(program, arguments, ends[1], &child->pid);
	(void)close(ends[1]);
	if (r)
		return r;
	child->pidfd = pidfd_open(child->pid, 0);
	return child->pidfd < 0 ? -errno : 0;
}

struct children *children_new(struct loop *loop)
{
	struct children *children = xcalloc(1, sizeof(*children));

	children->loop = loop;
	return children;
}

void children_free(struct children *children)
{
	if (!children)
		return;
	while (children->first) {
		struct child *child = children->first;

		if (!child->is_dead) {
			(void)kill(child->pid, SIGKILL);
			reap(child, 0);
		}
		child_free(child);
	}
	free(children);
}

int child_start(struct children *children, const char *program, const char *const *arguments,
		void (*on_news)(void *context), void *context, struct child **ret_child, struct error *err)
{
	struct child *child = xcalloc(1, sizeof(*child));
	int r;

	*child = (struct child){ .children = children, .next = children->first, .pidfd = -1, .output = -1 };
	children->first = child;
	child->on_news = on_news;
	child->context = context;
	r = begin(child, program, arguments);
	if (r) {
		/* It runs, and cannot be watched. */
		if (child->pid) {
			(void)kill(child->pid, SIGKILL);
			reap(child, 0);
		}
		child_free(child);
		return error_set(err, r, "cannot start %s: %s", program, error_name(r));
	}
	child->death = loop_watch_new(children->loop, child->pidfd, LOOP_READ, on_death, child);
	child->news = loop_watch_new(children->loop, child->output, LOOP_READ, on_output, child);
	*ret_child = child;
	return 0;
}

int64_t child_read(struct child *child, char *bytes, size_t size)
{
	ssize_t got;

	do
		got = read(child->output, bytes, size);
	while (got < 0 && errno == EINTR);
	if (got > 0)
		return got;
	if (got == 0)
		return CHILD_END;
	if (errno != EAGAIN)
		return -errno;
	loop_watch_set(child->news, LOOP_READ);
	return 0;
}

void child_drop(struct child *child)
{
	if (!child)
		return;
	loop_watch_free(take(child->news));
	cleanup_close(&child->output);
	child->output = -1;
	if (!child->is_dead) {
		(void)kill(child->pid, SIGKILL);
		reap(child, WNOHANG);
	}
	/* Who is not gone yet is reaped when it is. */
	if (child->is_dead)
		child_free(child);
}
