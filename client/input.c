#include "client/input.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "client/interrupt.h"
#include "daemon/base/alloc.h"
#include "daemon/base/error.h"

#define COPY_BYTES (256 * 1024)

static const char *spool_folder(void)
{
	const char *folder = getenv("TMPDIR");

	return folder && *folder ? folder : "/var/tmp";
}

static int open_unnamed(struct error *err)
{
	const char *folder = spool_folder();
	auto_free char *path = NULL;
	int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);

	if (fd >= 0)
		return fd;
	/* Not every file system knows O_TMPFILE. */
	path = xasprintf("%s/batchctl-XXXXXX", folder);
	fd = mkostemp(path, O_CLOEXEC);
	if (fd < 0)
		return error_set(err, -errno, "cannot make a temporary file in %s: %s", folder,
				 error_name(errno));
	(void)unlink(path);
	return fd;
}

static int write_whole(int fd, const char *bytes, size_t size)
{
	while (size) {
		ssize_t written = write(fd, bytes, size);

		if (written < 0 && errno == EINTR)
			continue;
		if (written < 0)
			return -errno;
		bytes += written;
		size -= (size_t)written;
	}
	return 0;
}

/* Copies a stream to its end and puts the copy in its place. */
static int spool(struct input *input, struct error *err)
{
	auto_free char *bytes = xmalloc(COPY_BYTES);
	auto_close int copy = open_unnamed(err);
	int64_t size = 0;

	if (copy < 0)
		return copy;
	for (;;) {
		ssize_t count = read(input->fd, bytes, COPY_BYTES);
		int result;

		if (count < 0 && errno == EINTR && !interrupt_came())
			continue;
		if (count < 0)
			return error_set(err, -errno, "cannot read %s: %s", input->name,
					 error_name(errno));
		if (!count)
			break;
		result = write_whole(copy, bytes, (size_t)count);
		if (result < 0)
			return error_set(err, result, "cannot copy %s to %s: %s", input->name,
					 spool_folder(), error_name(result));
		size += count;
	}
	(void)close(input->fd);
	input->fd = take_fd(&copy);
	input->start = 0;
	input->size = size;
	return 0;
}

static int open_named(const char *path, int *ret_fd, struct error *err)
{
	if (strcmp(path, "-") == 0) {
		if (isatty(STDIN_FILENO) == 1)
			return error_set(err, -ENOTTY, "standard input is a terminal");
		*ret_fd = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
	} else {
		*ret_fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	}
	if (*ret_fd < 0)
		return error_set(err, -errno, "cannot open %s: %s", path, error_name(errno));
	return 0;
}

int input_open(const char *path, bool spools, struct input *ret_input, struct error *err)
{
	bool is_stdin = strcmp(path, "-") == 0;
	const char *slash = strrchr(path, '/');
	auto_input input = {.fd = -1};
	struct stat status;
	int result = open_named(path, &input.fd, err);

	if (result < 0)
		return result;
	input.name = is_stdin ? "stdin" : path;
	input.file_name = is_stdin ? NULL : slash ? slash + 1 : path;
	if (fstat(input.fd, &status) < 0)
		return error_set(err, -errno, "cannot read %s: %s", input.name, error_name(errno));
	if (S_ISDIR(status.st_mode))
		return error_set(err, -EISDIR, "cannot read %s: it is a folder", input.name);
	if (S_ISREG(status.st_mode)) {
		off_t start = lseek(input.fd, 0, SEEK_CUR);

		input.start = start < 0 ? 0 : start;
		input.size = status.st_size > input.start ? status.st_size - input.start : 0;
	} else if (!spools) {
		input.size = -1;
	} else {
		result = spool(&input, err);
		if (result < 0)
			return result;
	}
	*ret_input = input;
	input.fd = -1;
	return 0;
}

int input_spool_open(struct error *err)
{
	return open_unnamed(err);
}

void input_close(struct input *input)
{
	if (input->fd >= 0)
		(void)close(input->fd);
	input->fd = -1;
}
