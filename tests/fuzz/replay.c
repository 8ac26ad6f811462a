/*
 * Runs a fuzz target over files, and over all files below folders, so that what was once found is
 * tried again in every run of the tests, without a fuzzer. Usage: replay_TARGET FILE-OR-FOLDER...
 */
#include <fts.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay(const char *path, const struct stat *status)
{
	size_t size = (size_t)status->st_size;
	/* Of exactly this size, so that a sanitizer sees any byte read beyond it. */
	auto_free uint8_t *data = xmalloc(size);
	auto_fclose FILE *file = fopen(path, "rb");

	if (!file || fread(data, 1, size, file) != size) {
		perror(path);
		return -1;
	}
	(void)LLVMFuzzerTestOneInput(data, size);
	return 0;
}

int main(int argc, char **argv)
{
	FTS *files;
	FTSENT *entry;
	unsigned count = 0;
	int result = EXIT_SUCCESS;

	files = argc > 1 ? fts_open(argv + 1, FTS_LOGICAL | FTS_NOCHDIR, NULL) : NULL;
	if (!files) {
		(void)fputs("usage: replay FILE-OR-FOLDER...\n", stderr);
		return 2;
	}
	while ((entry = fts_read(files))) {
		if (entry->fts_info == FTS_F && replay(entry->fts_path, entry->fts_statp) == 0)
			count++;
		else if (entry->fts_info != FTS_D && entry->fts_info != FTS_DP)
			result = EXIT_FAILURE;
	}
	(void)fts_close(files);
	(void)printf("%u inputs replayed\n", count);
	return count ? result : EXIT_FAILURE;
}
