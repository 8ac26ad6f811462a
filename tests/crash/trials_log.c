#include "tests/crash/trials_log.h"

#include <stdio.h>
#include <string.h>
#include <sys/types.h>

#include "daemon/base/hash.h"
#include "tests/crash/trials_jobs.h"

bool trials_log_is_shown;

static struct {
	FILE *stream;
	FILE *before; /* the real standard error */
	char text[200]; /* the first line with a secret; "": none */
	uint64_t hash;
} caught;

/* Where the line ends does not matter: a stream that is line-buffered brings whole ones. */
static ssize_t catch(void *cookie, const char *bytes, size_t size)
{
	/* An answer of a model, whichever, has this. */
	static const char answer[] = "\"choices\"";

	(void)cookie;
	if (trials_log_is_shown)
		(void)fwrite(bytes, 1, size, caught.before);
	caught.hash = hash_keyed(caught.hash, bytes, size);
	if (!*caught.text && (memmem(bytes, size, TRIAL_SECRET, strlen(TRIAL_SECRET)) ||
			      memmem(bytes, size, answer, strlen(answer))))
		(void)snprintf(caught.text, sizeof(caught.text), "a secret was logged: %.*s", (int)size, bytes);
	return (ssize_t)size;
}

void trials_log_open(void)
{
	const cookie_io_functions_t functions = { .write = catch };

	caught.stream = fopencookie(NULL, "w", functions);
	if (!caught.stream)
		return;
	(void)setvbuf(caught.stream, NULL, _IOLBF, 4096);
	caught.before = stderr;
	caught.text[0] = '\0';
	caught.hash = 0;
	stderr = caught.stream;
}

void trials_log_close(void)
{
	if (!caught.stream)
		return;
	stderr = caught.before;
	(void)fclose(caught.stream);
	caught.stream = NULL;
}

const char *trials_log_secrets(void)
{
	if (caught.stream)
		(void)fflush(caught.stream);
	return *caught.text ? caught.text : NULL;
}

uint64_t trials_log_hash(void)
{
	if (caught.stream)
		(void)fflush(caught.stream);
	return caught.hash;
}
