/*
 * How fast request lines are checked, beside json-c reading the same lines strictly in the same
 * run. Usage: bench_scan [-l BYTES_A_LINE] [-n LINES] [-r ROUNDS] [-k KIND]. Prints, for each kind
 * of text, one line per contender: kind, name, best GB/s of all rounds, ratio to json-c.
 */
#include <getopt.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/model/request.h"

/* What the messages are made of. */
struct kind {
	const char *name;
	const char *words[12];
};

static const struct kind kinds[] = {
	{"chat",
	 {"the ", "question ", "of ", "how many ", "eggs, ", "she bakes ", "every morning ",
	  "for her friends. ", "It’s ", "\\n\\n", "\\\"quoted\\\" ", "café "}},
	{"ascii",
	 {"the ", "question ", "of ", "how many ", "eggs, ", "she bakes ", "every morning ",
	  "for her friends. ", "It is ", "and so on, ", "at last ", "coffee "}},
	{"code",
	 {"\\tif (a < b)\\n", "\\t\\treturn \\\"x\\\";\\n", "for (;;)\\n", "{\\n", "}\\n",
	  "int a = 0;\\n", "C:\\\\path\\\\", "puts(\\\"y\\\");\\n", "\\u00e9", "\\ud83d\\ude00",
	  "// why\\n", "b++;\\n"}},
	{"russian",
	 {"вопрос ", "о том, ", "сколько ", "яиц, ", "она ", "печёт ", "каждое утро ",
	  "для друзей. ", "Это ", "\\n", "и так ", "далее "}},
	{"chinese",
	 {"问题", "是", "多少", "鸡蛋，", "她", "每天早上", "为朋友们", "烘烤。", "这是", "\\n",
	  "等等", "咖啡"}},
	{"numbers", {NULL}},
};

struct lines {
	struct buffer bytes;
	size_t *ends;
	size_t count;
};

static uint64_t random_next(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return *state >> 33;
}

/* A line like a chat request, or with token numbers like an embedding request. */
static void line_add(struct buffer *buffer, const struct kind *kind, size_t number, size_t size,
		     uint64_t *state)
{
	size_t start = buffer->size;
	int is_text = kind->words[0] != NULL;

	buffer_add_format(
		buffer,
		"{\"custom_id\": \"request-%zu\", \"method\": \"POST\", \"url\": \"/v1/%s\", "
		"\"body\": {\"model\": \"gpt-4o-mini\", %s",
		number, is_text ? "chat/completions" : "embeddings",
		is_text ? "\"messages\": [{\"role\": \"system\", \"content\": \"Be brief.\"}, "
			  "{\"role\": \"user\", \"content\": \""
			: "\"input\": [1");
	while (buffer->size - start + 64 < size) {
		if (is_text)
			buffer_add_text(buffer,
					kind->words[random_next(state) % ARRAY_SIZE(kind->words)]);
		else
			buffer_add_format(buffer, ", %" PRIu64, random_next(state) % 100000);
	}
	buffer_add_text(buffer, is_text ? "\"}], \"max_tokens\": 400, \"temperature\": 0.7}}"
					: "], \"dimensions\": 256}}");
}

static void lines_fill(struct lines *lines, const struct kind *kind, size_t line_size)
{
	uint64_t state = 42;

	buffer_clear(&lines->bytes);
	for (size_t i = 0; i < lines->count; i++) {
		line_add(&lines->bytes, kind, i, line_size, &state);
		lines->ends[i] = lines->bytes.size;
		buffer_add(&lines->bytes, "\n", 1);
	}
}

static size_t check_with_batchd(const struct lines *lines)
{
	size_t good = 0;
	size_t at = 0;

	for (size_t i = 0; i < lines->count; at = lines->ends[i++] + 1) {
		struct request request;
		struct request_flaw flaw;

		good += request_parse(lines->bytes.data + at, lines->ends[i] - at, &request,
				      &flaw) == 0;
	}
	return good;
}

static size_t check_with_json_c(const struct lines *lines)
{
	struct json_tokener *tokener = json_tokener_new();
	size_t good = 0;
	size_t at = 0;

	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	for (size_t i = 0; i < lines->count; at = lines->ends[i++] + 1) {
		struct json_object *object;

		json_tokener_reset(tokener);
		object = json_tokener_parse_ex(tokener, lines->bytes.data + at,
					       (int)(lines->ends[i] - at));
		good += object != NULL;
		json_object_put(object);
	}
	json_tokener_free(tokener);
	return good;
}

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

static double best_speed(size_t (*check)(const struct lines *), const struct lines *lines,
			 unsigned rounds)
{
	double best = 0;

	for (unsigned i = 0; i < rounds; i++) {
		double start = now();
		double speed;

		if (check(lines) != lines->count) {
			(void)fputs("bench_scan: a good line was refused\n", stderr);
			exit(EXIT_FAILURE);
		}
		speed = (double)lines->bytes.size / (now() - start) * 1e-9;
		best = speed > best ? speed : best;
	}
	return best;
}

static void bench(const struct kind *kind, struct lines *lines, size_t line_size, unsigned rounds)
{
	double ours, theirs;

	lines_fill(lines, kind, line_size);
	ours = best_speed(check_with_batchd, lines, rounds);
	theirs = best_speed(check_with_json_c, lines, rounds / 4 + 1);
	(void)printf("%-8s request_parse %7.3f GB/s %6.1f x\n", kind->name, ours, ours / theirs);
	(void)printf("%-8s json-c strict %7.3f GB/s %6.1f x\n", kind->name, theirs, 1.0);
	(void)fflush(stdout);
}

int main(int argc, char **argv)
{
	struct lines lines = {.count = 4096};
	size_t line_size = 4096;
	unsigned rounds = 20;
	const char *only = NULL;
	int option;

	while ((option = getopt(argc, argv, "l:n:r:k:")) != -1) {
		if (option == 'l')
			line_size = strtoul(optarg, NULL, 10);
		else if (option == 'n')
			lines.count = strtoul(optarg, NULL, 10);
		else if (option == 'r')
			rounds = (unsigned)strtoul(optarg, NULL, 10);
		else if (option == 'k')
			only = optarg;
		else
			return 2;
	}
	lines.ends = xcalloc(lines.count, sizeof(*lines.ends));
	(void)printf("%zu lines of %zu bytes\n", lines.count, line_size);
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (!only || strcmp(only, kinds[i].name) == 0)
			bench(&kinds[i], &lines, line_size, rounds);
	free(lines.ends);
	buffer_release(&lines.bytes);
	return 0;
}
