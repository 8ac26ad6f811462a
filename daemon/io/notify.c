#include "daemon/io/notify.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <systemd/sd-daemon.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"

#define STATUS_BYTES 200

/* A line break in a status would be read as one more assignment. */
static void put_status(char *line, const char *status)
{
	size_t size = strnlen(status, STATUS_BYTES);

	/* No character is cut in two: the service manager refuses what is not UTF-8. */
	if (status[size])
		while (size > 0 && ((unsigned char)status[size] & 0xc0) == 0x80)
			size--;
	for (size_t i = 0; i < size; i++) {
		unsigned char byte = (unsigned char)status[i];

		line[i] = byte < 0x20 || byte == 0x7f ? ' ' : status[i];
	}
	line[size] = '\0';
}

static void free_names(char **names)
{
	for (char **name = names; name && *name; name++)
		free(*name);
	free(names);
}

static int check_listening(int fd, const char *name, struct error *err)
{
	int result = sd_is_socket(fd, AF_UNSPEC, SOCK_STREAM, 1);

	if (result > 0)
		return 0;
	return error_set(err, -EINVAL,
			 "descriptor %d (\"%s\") is not a stream socket that listens%s%s", fd, name,
			 result < 0 ? ": " : "", result < 0 ? error_name(result) : "");
}

void notify_ready(const char *status)
{
	char line[STATUS_BYTES + 1] = "";

	if (status)
		put_status(line, status);
	(void)sd_notifyf(0, "READY=1%s%s", status ? "\nSTATUS=" : "", line);
}

void notify_status(const char *format, ...)
{
	auto_free char *status = NULL;
	char line[STATUS_BYTES + 1];
	va_list arguments;

	va_start(arguments, format);
	status = xvasprintf(format, arguments);
	va_end(arguments);
	put_status(line, status);
	(void)sd_notifyf(0, "STATUS=%s", line);
}

void notify_stopping(void)
{
	(void)sd_notify(0, "STOPPING=1");
}

void notify_reloading(int64_t monotonic_us)
{
	/* Both in one datagram: systemd compares the time with that of its request. */
	(void)sd_notifyf(0, "RELOADING=1\nMONOTONIC_USEC=%" PRId64, monotonic_us);
}

void notify_extend_timeout(uint64_t us)
{
	(void)sd_notifyf(0, "EXTEND_TIMEOUT_USEC=%" PRIu64, us);
}

void notify_watchdog(void)
{
	(void)sd_notify(0, "WATCHDOG=1");
}

int64_t notify_watchdog_interval_ms(void)
{
	uint64_t us = 0;

	if (sd_watchdog_enabled(0, &us) <= 0 || us == 0)
		return 0;
	return us < 2000 ? 1 : (int64_t)(us / 2000);
}

int notify_listen_fds(const char *name, int **ret_fds, size_t *ret_count, struct error *err)
{
	auto_free int *fds = NULL;
	size_t chosen = 0;
	char **names = NULL;
	int count, result = 0;

	count = sd_listen_fds_with_names(0, &names);
	if (count < 0)
		return error_set(err, count, "cannot take the sockets of the service manager: %s",
				 error_name(count));
	if (count > 0)
		fds = xcalloc((size_t)count, sizeof(*fds));
	for (int i = 0; i < count && result == 0; i++) {
		if (name && strcmp(names[i], name) != 0)
			continue;
		result = check_listening(SD_LISTEN_FDS_START + i, names[i], err);
		fds[chosen++] = SD_LISTEN_FDS_START + i;
	}
	free_names(names);
	if (result < 0)
		return result;
	*ret_fds = chosen ? take(fds) : NULL;
	*ret_count = chosen;
	return 0;
}
