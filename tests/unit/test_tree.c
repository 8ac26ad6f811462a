/* Trees of JSON texts, and what becomes of them when memory is out. */
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "daemon/base/tree.h"
#include "tests/unit/check.h"

/* So many allocations are granted, then one is refused; -1: all are granted. */
static int granted = -1;

static bool is_refused(void)
{
	if (granted < 0 || granted-- > 0)
		return false;
	errno = ENOMEM;
	return true;
}

#if !CHECK_IS_SANITIZED
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *pointer, size_t size);

void *malloc(size_t size)
{
	return is_refused() ? NULL : __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	return is_refused() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *pointer, size_t size)
{
	return is_refused() ? NULL : __libc_realloc(pointer, size);
}
#endif

static const char batch[] =
	"{ \"object\": \"batch\", \"id\":\"batch_6543ab12\", \"n\": 1, \"created_at\": 1711471533, \"ratio\":-1.5e3,\"none\":null,\n"
	"  \"request_counts\": {\"total\": 100,\"completed\":95, \"failed\": 5 }, \"list\":[1, 2,3],\"is\":true,\n"
	"  \"status\":\"a text that is longer than what json-c keeps beside an object, \\\"12\\\\\", \"metadata\": { \"batchd\" :\"j7.s1.a2\"},"
	"\"last\":7}";

static const char *text_of(struct json_object *object)
{
	return json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN);
}

static void a_value_is_read_whole_or_not_at_all(void)
{
	/* clang-format off */
	static const struct { const char *text, *tree; size_t end; } rows[] = {
		{ batch, batch, sizeof(batch) - 1 },
		{ "{\"a\":1}", "{\"a\":1}", 7 },
		{ "[1,22,-3.5,\"4\"]", "[1,22,-3.5,\"4\"]", 15 },
		{ "\"12\\\"34\"", "\"12\\\"34\"", 8 },
		{ "{\"12\":\"3\\\\\",\"b\":12}", "{\"12\":\"3\\\\\",\"b\":12}", 19 },
		{ "{} \n", "{}", 4 },
		{ "", NULL, 0 }, { " ", NULL, 0 }, { "{\"a\":1", NULL, 0 }, { "{\"a\":", NULL, 0 }, { "{\"a\":1}}", NULL, 0 },
		{ "{\"a\":1} 2", NULL, 0 }, { "[1,,2]", NULL, 0 }, { "\"open", NULL, 0 }, { "\"\\", NULL, 0 }, { "no", NULL, 0 },
	};
	/* clang-format on */

	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		struct json_object *object = tree_read(rows[i].text, strlen(rows[i].text), JSON_TOKENER_STRICT, NULL);
		struct json_object *wanted = rows[i].tree ? json_tokener_parse(rows[i].tree) : NULL;

		CHECK_ROW(rows[i].text, !object == !wanted);
		CHECK_ROW(rows[i].text, !object || strcmp(text_of(object), text_of(wanted)) == 0);
		json_object_put(object);
		json_object_put(wanted);
	}
}

static void what_follows_is_left_to_the_caller_who_asks(void)
{
	size_t end = 0;
	struct json_object *object = tree_read("{\"a\":12}data: 3", 15, 0, &end);

	CU_ASSERT_EQUAL(end, 8);
	CU_ASSERT_STRING_EQUAL(text_of(object), "{\"a\":12}");
	json_object_put(object);
}

/* A process that was refused one allocation gave up: 'g'; has the whole tree: 'w'; has less: '?'; did not ask for so many: 'e'. */
static char end_without(int allocation)
{
	static const struct rlimit no_core = { 0 };
	int status = 0;
	pid_t child = fork();

	if (child == 0) {
		struct json_object *object;
		bool is_refused_any;

		(void)setrlimit(RLIMIT_CORE, &no_core);
		(void)freopen("/dev/null", "w", stderr);
		granted = allocation;
		object = tree_read(batch, sizeof(batch) - 1, 0, NULL);
		is_refused_any = granted < 0;
		granted = -1;
		if (!object || strcmp(text_of(object), text_of(json_tokener_parse(batch))) != 0)
			_exit('?');
		_exit(is_refused_any ? 'w' : 'e');
	}
	(void)waitpid(child, &status, 0);
	/* json-c itself may stumble over what it has not got. */
	if (WIFSIGNALED(status))
		return WTERMSIG(status) == SIGABRT || WTERMSIG(status) == SIGSEGV ? 'g' : '?';
	return (char)WEXITSTATUS(status);
}

static void without_memory_nothing_is_left_out(void)
{
	int gave_up = 0;
	char end = 0;

	for (int allocation = 0; end != 'e'; allocation++) {
		char row[32];

		end = end_without(allocation);
		(void)snprintf(row, sizeof(row), "allocation %d", allocation);
		CHECK_ROW(row, end == 'g' || end == 'w' || end == 'e');
		gave_up += end == 'g';
	}
	CU_ASSERT_TRUE(CHECK_IS_SANITIZED || gave_up > 30);
}

CHECK_MAIN("tree", CHECK(a_value_is_read_whole_or_not_at_all), CHECK(what_follows_is_left_to_the_caller_who_asks),
	   CHECK(without_memory_nothing_is_left_out))
