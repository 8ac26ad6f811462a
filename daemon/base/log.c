#include "daemon/base/log.h"

#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <systemd/sd-journal.h>

#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"

#define MAX_FIELDS 16

/* clang-format off */
static const char *const known_fields[] = {
	"JOB", "SHARD", "BATCH", "FILE", "PROVIDER", "USER", "STATE", "STEP", "ATTEMPT",
	"HTTP_STATUS", "REQUEST_ID", "WHY", "IN_MS", "REQUESTS", "BYTES", "OK", "FAILED", "SOCKET",
	"PATH", "LINE", "PID", "SIGNAL", "VERSION", "CODE", "COUNT", "CALL",
};

static const struct {
	const char *name;
	int priority; /* syslog(3) */
} levels[] = {
	[LOG_LEVEL_ERROR]   = { "error",   3 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_NOTICE]  = { "notice",  5 },
	[LOG_LEVEL_INFO]    = { "info",    6 },
	[LOG_LEVEL_DEBUG]   = { "debug",   7 },
};
/* clang-format on */

static struct {
	enum log_level level;
	bool is_journal;
} log_state = { .level = LOG_LEVEL_INFO };

static bool is_known(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(known_fields); i++)
		if (strcmp(known_fields[i], name) == 0)
			return true;
	return false;
}

static bool stderr_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	uintmax_t device, inode;
	struct stat status;

	if (!stream || sscanf(stream, "%ju:%ju", &device, &inode) != 2)
		return false;
	return fstat(STDERR_FILENO, &status) == 0 && status.st_dev == device &&
	       status.st_ino == inode;
}

static void add_escaped(struct buffer *buffer, const char *text)
{
	for (; *text; text++) {
		unsigned char byte = (unsigned char)*text;

		if (byte < 0x20 || byte == 0x7f)
			buffer_add_format(buffer, "\\x%02x", byte);
		else
			buffer_add(buffer, text, 1);
	}
}

static void add_value(struct buffer *buffer, const struct log_field *field)
{
	if (field->text)
		add_escaped(buffer, field->text);
	else
		buffer_add_format(buffer, "%" PRId64, field->number);
}

/* name=value pairs behind the message; a value with a blank in it is quoted. */
static void add_pairs(struct buffer *line, const struct log_field *fields)
{
	for (; fields->name; fields++) {
		bool is_quoted = fields->text && (!*fields->text || strchr(fields->text, ' '));

		buffer_add_text(line, " ");
		for (const char *letter = fields->name; *letter; letter++)
			buffer_add_format(line, "%c",
					  *letter >= 'A' && *letter <= 'Z' ? *letter + 32 : *letter);
		buffer_add_text(line, is_quoted ? "=\"" : "=");
		add_value(line, fields);
		if (is_quoted)
			buffer_add_text(line, "\"");
	}
}

static void write_journal(enum log_level level, const char *line, const struct log_field *fields)
{
	struct buffer entries[MAX_FIELDS + 2] = { 0 };
	struct iovec vectors[MAX_FIELDS + 2];
	int count = 2;

	buffer_add_format(&entries[0], "MESSAGE=%s", line);
	buffer_add_format(&entries[1], "PRIORITY=%d", levels[level].priority);
	for (; fields->name; fields++) {
		buffer_add_format(&entries[count], "BATCHD_%s=", fields->name);
		add_value(&entries[count], fields);
		count++;
	}
	for (int i = 0; i < count; i++)
		vectors[i] = (struct iovec){ entries[i].data, entries[i].size };
	if (sd_journal_sendv(vectors, count) < 0)
		(void)fprintf(stderr, "%s\n", line);
	for (int i = 0; i < count; i++)
		buffer_release(&entries[i]);
}

void log_open(enum log_level level)
{
	log_state.level = level;
	log_state.is_journal = stderr_is_journal();
}

void log_set_level(enum log_level level)
{
	log_state.level = level;
}

int log_level_parse(const char *name, enum log_level *ret_level)
{
	for (size_t i = 0; i < ARRAY_SIZE(levels); i++)
		if (strcmp(levels[i].name, name) == 0) {
			*ret_level = (enum log_level)i;
			return 0;
		}
	return -EINVAL;
}

void log_write(enum log_level level, const char *message, const struct log_field *fields)
{
	auto_buffer line = { 0 };
	int saved_errno = errno;
	size_t count = 0;

	if (level > log_state.level)
		return;
	for (; fields[count].name; count++)
		assert(is_known(fields[count].name));
	assert(count <= MAX_FIELDS);
	buffer_add_text(&line, message);
	add_pairs(&line, fields);
	if (log_state.is_journal)
		write_journal(level, buffer_text(&line), fields);
	else
		(void)fprintf(stderr, "batchd: %s%s\n",
			      level <= LOG_LEVEL_WARNING ? (level ? "warning: " : "error: ") : "",
			      buffer_text(&line));
	errno = saved_errno;
}
