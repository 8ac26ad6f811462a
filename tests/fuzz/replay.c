/*
 * Runs a fuzz target over files, and over all files below folders, so that what was once found is
 * tried again in every run of the tests, without a fuzzer. Each file has a process of its own, and
 * a line that says whether it passed: "ok NAME" or "not ok NAME". Usage: replay_TARGET
 * FILE-OR-FOLDER...
 */
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Here, so that it is no leak of the processes that end in the midst of it. */
static FTS *files;

static int replay(const char *path, const struct stat *status)
{
	size_t size = (size_t)status->st_size;
	/* Of exactly this size, so that a sanitizer sees any byte read beyond it. */
	auto_free uint8_t *data = xmalloc(size);
	auto_fclose FILE *file = fopen(path, "rb");

	if (!file || fread(data, 1, size, file) != size) {
		perror(path);
		return EXIT_FAILURE;
	}
	(void)LLVMFuzzerTestOneInput(data, size);
	return EXIT_SUCCESS;
}

static int replay_apart(const FTSENT *entry)
{
	int status;
	pid_t child;

	(void)fflush(NULL);
	child = fork();
	/* By exit, so that a sanitizer tells what was not freed. */
	if (child == 0)
		exit(replay(entry->fts_path, entry->fts_statp));
	if (child < 0 || waitpid(child, &status, 0) != child) {
		perror("replay");
		return -1;
	}
	(void)printf("%s %s\n", status ? "not ok" : "ok", entry->fts_name);
	return status ? -1 : 0;
}

static int compare_names(const FTSENT **a, const FTSENT **b)
{
	return strcmp((*a)->fts_name, (*b)->fts_name);
}

int main(int argc, char **argv)
{
	FTSENT *entry;
	unsigned count = 0;
	int result = EXIT_SUCCESS;

	files = argc > 1 ? fts_open(argv + 1, FTS_LOGICAL | FTS_NOCHDIR, compare_names) : NULL;
	if (!files) {
		(void)fputs("usage: replay FILE-OR-FOLDER...\n", stderr);
		return 2;
	}
	while ((entry = fts_read(files))) {
		if (entry->fts_info == FTS_F)
			count++;
		else if (entry->fts_info == FTS_D || entry->fts_info == FTS_DP)
			continue;
		if (entry->fts_info != FTS_F || replay_apart(entry))
			result = EXIT_FAILURE;
	}
	(void)fts_close(files);
	return count ? result : EXIT_FAILURE;
}
