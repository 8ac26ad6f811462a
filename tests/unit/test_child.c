#include "daemon/io/child.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/loop.h"
#include "tests/unit/check.h"

struct talk {
	struct child *child;
	struct buffer text;
	int64_t news;
	bool is_over;
};

static void listen_to(void *context)
{
	struct talk *talk = context;
	char bytes[64];
	int64_t got;

	talk->news++;
	while ((got = child_read(talk->child, bytes, sizeof(bytes))) > 0)
		buffer_add(&talk->text, bytes, (size_t)got);
	CU_ASSERT(got == 0 || got == CHILD_END);
	talk->is_over = got == CHILD_END;
}

static void start(struct children *children, struct talk *talk, const char *script)
{
	const char *const arguments[] = { "sh", "-c", script, NULL };

	CU_ASSERT_EQUAL_FATAL(child_start(children, "/bin/sh", arguments, listen_to, talk, &talk->child, NULL), 0);
}

static void is_heard_to_its_end(void)
{
	struct loop *loop = loop_new();
	struct children *children = children_new(loop);
	struct talk talk = { 0 };

	/* Its own three descriptors, and the one that lists them; standard input is at its end. */
	start(children, &talk, "echo one; cat; echo two; ls /proc/self/fd | wc -l");
	while (!talk.is_over)
		loop_run_once(loop, 1);
	CU_ASSERT_STRING_EQUAL(buffer_text(&talk.text), "one\ntwo\n4\n");
	child_drop(talk.child);
	buffer_release(&talk.text);
	children_free(children);
	loop_free(loop);
}

static void is_reaped_by_the_loop(void)
{
	struct loop *loop = loop_new();
	struct children *children = children_new(loop);
	struct talk talk = { 0 };
	siginfo_t info;

	start(children, &talk, "read x; while :; do :; done");
	child_drop(talk.child);
	/* The loop has nothing left to wait for but its death; here it is only looked at. */
	while (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) == 0)
		loop_run_once(loop, 1);
	CU_ASSERT_EQUAL(errno, ECHILD);
	children_free(children);
	loop_free(loop);
}

static void ends_with_its_owner(void)
{
	struct loop *loop = loop_new();
	struct children *children = children_new(loop);
	struct talk talks[2] = { { 0 }, { 0 } };

	start(children, &talks[0], "while :; do :; done");
	start(children, &talks[1], "trap '' TERM INT; while :; do :; done");
	children_free(children);
	CU_ASSERT_EQUAL(waitpid(-1, NULL, WNOHANG), -1);
	CU_ASSERT_EQUAL(errno, ECHILD);
	loop_free(loop);
}

static void that_cannot_start_says_why(void)
{
	static const char *const arguments[] = { "x", NULL };
	struct loop *loop = loop_new();
	struct children *children = children_new(loop);
	struct child *child = NULL;
	struct error err = { 0 };

	CU_ASSERT_EQUAL(child_start(children, "/nonexistent/x", arguments, listen_to, NULL, &child, &err), -ENOENT);
	CU_ASSERT_STRING_EQUAL(err.text, "cannot start /nonexistent/x: No such file or directory");
	CU_ASSERT_PTR_NULL(child);
	children_free(children);
	loop_free(loop);
}

static void is_the_program_itself_if_wanted(void)
{
	static const char *const arguments[] = { "self", "--say", NULL };
	struct loop *loop = loop_new();
	struct children *children = children_new(loop);
	struct talk talk = { 0 };

	CU_ASSERT_EQUAL_FATAL(child_start(children, CHILD_SELF, arguments, listen_to, &talk, &talk.child, NULL), 0);
	while (!talk.is_over)
		loop_run_once(loop, 1);
	CU_ASSERT_STRING_EQUAL(buffer_text(&talk.text), "it is me\n");
	child_drop(talk.child);
	buffer_release(&talk.text);
	children_free(children);
	loop_free(loop);
}

int main(int argc, char **argv)
{
	CU_TestInfo claims[] = { CHECK(is_heard_to_its_end),
				 CHECK(is_reaped_by_the_loop),
				 CHECK(ends_with_its_owner),
				 CHECK(that_cannot_start_says_why),
				 CHECK(is_the_program_itself_if_wanted),
				 CU_TEST_INFO_NULL };

	(void)argv;
	if (argc > 1)
		return puts("it is me") < 0;
	return check_run("child", claims);
}
