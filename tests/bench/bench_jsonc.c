/*
 * The peer of batchd's intake: reads a file of lines and parses each with json-c, strictly and with UTF-8 checked, which is what a
 * program without a scanner of its own would do. Prints one line: name, seconds, megabytes a second.
 */
#include <json-c/json.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static double now(void)
{
	struct timespec time;

	(void)clock_gettime(CLOCK_MONOTONIC, &time);
	return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	struct json_tokener *tokener = json_tokener_new();
	FILE *file = argc == 2 ? fopen(argv[1], "r") : NULL;
	size_t room = 0, bytes = 0, ids = 0;
	char *line = NULL;
	double begin = now();
	ssize_t size;

	if (!file || !tokener) {
		(void)fprintf(stderr, "usage: bench_jsonc FILE\n");
		return EXIT_FAILURE;
	}
	json_tokener_set_flags(tokener, JSON_TOKENER_STRICT | JSON_TOKENER_VALIDATE_UTF8);
	while ((size = getline(&line, &room, file)) > 0) {
		struct json_object *object = json_tokener_parse_ex(tokener, line, (int)size);

		ids += json_object_object_get(object, "custom_id") != NULL;
		bytes += (size_t)size;
		json_object_put(object);
		json_tokener_reset(tokener);
	}
	(void)printf("%.3f %.1f %zu\n", now() - begin, (double)bytes / (now() - begin) / 1e6, ids);
	free(line);
	(void)fclose(file);
	json_tokener_free(tokener);
	return EXIT_SUCCESS;
}
