/* The key of a provider, out of its file. */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"

#define MAX_SECRET 4096 /* bytes of an API key */

/* The path of the key, and whether the service manager put the file there and protects it. */
static char *find_secret(const char *key_file, bool *ret_is_credential)
{
	const char *folder = getenv("CREDENTIALS_DIRECTORY");
	size_t length = folder ? strlen(folder) : 0;

	if (!strchr(key_file, '/')) {
		*ret_is_credential = true;
		return folder ? xasprintf("%s/%s", folder, key_file) : NULL;
	}
	*ret_is_credential = length && strncmp(key_file, folder, length) == 0 &&
			     key_file[length] == '/' && !strchr(key_file + length + 1, '/');
	return xstrdup(key_file);
}

static int open_secret(const char *path, bool is_credential, int *ret_fd, struct error *err)
{
	auto_close int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK);
	struct stat status;

	if (fd < 0 || fstat(fd, &status) < 0)
		return error_set(err, -errno, "cannot open %s: %s", path, strerror(errno));
	if (!S_ISREG(status.st_mode))
		return error_set(err, -EINVAL, "%s is no regular file", path);
	if (!is_credential && (status.st_mode & (S_IRWXG | S_IRWXO)))
		return error_set(err, -EPERM, "%s is open to others than its owner; chmod 600 %s",
				 path, path);
	*ret_fd = take_fd(&fd);
	return 0;
}

/* Fills secret with at most capacity bytes; *ret_size is how many there were, capacity for too
 * many. */
static int read_secret(int fd, const char *path, char *secret, size_t capacity, size_t *ret_size,
		       struct error *err)
{
	size_t size = 0;
	ssize_t got = 1;

	while (got > 0 && size < capacity) {
		got = read(fd, secret + size, capacity - size);
		if (got < 0)
			return error_set(err, -errno, "cannot read %s: %s", path, strerror(errno));
		size += (size_t)got;
	}
	*ret_size = size;
	return 0;
}

static bool is_blank(char letter)
{
	return letter == ' ' || (letter >= '\t' && letter <= '\r');
}

/* The key without the blanks around it; the rest must be able to stand in a header. */
static int trim_secret(const char *path, const char *secret, size_t size, char **ret_key,
		       struct error *err)
{
	while (size && is_blank(secret[size - 1]))
		size--;
	while (size && is_blank(*secret)) {
		secret++;
		size--;
	}
	if (size == 0)
		return error_set(err, -EINVAL, "%s is empty", path);
	for (size_t i = 0; i < size; i++)
		if ((unsigned char)secret[i] < 0x20 || secret[i] == 0x7f)
			return error_set(err, -EINVAL,
					 "%s holds more than one line, or control characters",
					 path);
	*ret_key = xmemdup0(secret, size);
	return 0;
}

int config_read_key(const struct config_provider *provider, char **ret_key, struct error *err)
{
	char secret[MAX_SECRET + 1];
	auto_free char *path = NULL;
	auto_close int fd = -1;
	bool is_credential;
	size_t size = 0;
	int failed;

	if (!provider->api_key_file) {
		*ret_key = NULL;
		return 0;
	}
	path = find_secret(provider->api_key_file, &is_credential);
	if (!path)
		return error_set(
			err, -ENOENT,
			"[provider %s] api_key_file: credential %s: the service manager gave us "
			"none (a path has a slash in it)",
			provider->name, provider->api_key_file);
	failed = open_secret(path, is_credential, &fd, err);
	if (!failed)
		failed = read_secret(fd, path, secret, sizeof(secret), &size, err);
	if (!failed && size > MAX_SECRET)
		failed = error_set(err, -EINVAL, "%s is longer than %d bytes", path, MAX_SECRET);
	if (!failed)
		failed = trim_secret(path, secret, size, ret_key, err);
	explicit_bzero(secret, sizeof(secret));
	if (failed)
		(void)error_prefix(err, "[provider %s] api_key_file", provider->name);
	return failed;
}
