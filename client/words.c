#include "client/words.h"

#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/utf8.h"
#include "daemon/model/moment.h"
#include "daemon/model/request.h"
#include "daemon/protocol.h"

#define LABEL_LETTERS                                                                              \
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._/-"
#define LONGEST_MS ((int64_t)10 * 366 * 24 * 3600 * 1000)

/* clang-format off */
static const struct {
	const char *name;
	int64_t ms;
} units[] = {
	{ "d",  86400000 },
	{ "h",  3600000 },
	{ "ms", 1 },		/* before "m", which it begins with */
	{ "m",  60000 },
	{ "s",  1000 },
};
/* clang-format on */

/* Digits at *text, passed. */
static int read_number(const char **text, int64_t *ret_number)
{
	int64_t number = 0;

	if (**text < '0' || **text > '9')
		return -EINVAL;
	for (; **text >= '0' && **text <= '9'; (*text)++)
		if (__builtin_mul_overflow(number, 10, &number) ||
		    __builtin_add_overflow(number, **text - '0', &number))
			return -ERANGE;
	*ret_number = number;
	return 0;
}

/* The unit at *text, passed; 0 when none stands there. */
static int64_t read_unit(const char **text)
{
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t size = strlen(units[i].name);

		if (strncmp(*text, units[i].name, size) == 0) {
			*text += size;
			return units[i].ms;
		}
	}
	return 0;
}

/* Characters of UTF-8, each counted by its first byte. */
static size_t count_characters(const char *text, size_t size)
{
	size_t count = 0;

	for (size_t i = 0; i < size; i++)
		count += ((unsigned char)text[i] & 0xc0) != 0x80;
	return count;
}

int words_duration(const char *text, int64_t *ret_ms)
{
	int64_t total = 0, last_unit = INT64_MAX;

	do {
		int64_t number, unit, part;
		bool is_first = last_unit == INT64_MAX;
		int result = read_number(&text, &number);

		if (result < 0)
			return result;
		unit = read_unit(&text);
		if (!unit && is_first && !*text)
			unit = 1000;
		if (!unit || unit >= last_unit)
			return -EINVAL;
		if (__builtin_mul_overflow(number, unit, &part) ||
		    __builtin_add_overflow(total, part, &total) || total > LONGEST_MS)
			return -ERANGE;
		last_unit = unit;
	} while (*text);
	*ret_ms = total;
	return 0;
}

int words_count(const char *text, int64_t *ret_count)
{
	int64_t count;

	if (*text == '0' || read_number(&text, &count) < 0 || *text)
		return -EINVAL;
	*ret_count = count;
	return 0;
}

/* A local time without a zone, in one of these forms; what is not in the text is as in parts. */
static int read_local(const char *text, struct tm *parts)
{
	static const char *const forms[] = {"%H:%M", "%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S",
					    "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S"};

	/* strptime would pass blanks. */
	for (size_t i = 0; i < ARRAY_SIZE(forms) && *text >= '0' && *text <= '9'; i++) {
		struct tm read = *parts;
		const char *rest = strptime(text, forms[i], &read);

		if (!rest || *rest)
			continue;
		*parts = read;
		return (int)i;
	}
	return -EINVAL;
}

/* The next moment at which a clock shows this time of the day, of which parts has today's date. */
static time_t next_time(struct tm parts, int64_t now_s)
{
	struct tm today = parts;
	time_t at = mktime(&today);

	if (at > now_s)
		return at;
	parts.tm_mday++;
	return mktime(&parts);
}

static int read_local_moment(const char *text, int64_t now_s, int64_t *ret_seconds)
{
	time_t now = (time_t)now_s;
	struct tm parts, given;
	time_t at;
	int form;

	if (!localtime_r(&now, &parts))
		return -EINVAL;
	parts.tm_sec = 0;
	form = read_local(text, &parts);
	if (form < 0)
		return form;
	parts.tm_isdst = -1;
	given = parts;
	at = form ? mktime(&parts) : next_time(parts, now_s);
	/* A day that there is not became another one. */
	if (at < 0 || (form && (given.tm_mday != parts.tm_mday || given.tm_mon != parts.tm_mon)))
		return -EINVAL;
	*ret_seconds = at;
	return 0;
}

int words_moment(const char *text, int64_t now_s, int64_t *ret_seconds)
{
	int64_t ms;

	if (*text == '+') {
		if (words_duration(text + 1, &ms) < 0)
			return -EINVAL;
		*ret_seconds = now_s + (ms + 999) / 1000;
		return 0;
	}
	if (moment_parse(text, &ms) == 0) {
		*ret_seconds = ms / 1000;
		return 0;
	}
	return read_local_moment(text, now_s, ret_seconds);
}

int words_job(const char *text, int64_t *ret_job)
{
	size_t prefix = strlen(PROTOCOL_BATCH_PREFIX);

	return words_count(strncmp(text, PROTOCOL_BATCH_PREFIX, prefix) == 0 ? text + prefix : text,
			   ret_job);
}

int words_metadata(const char *text, size_t *ret_key_size, struct error *err)
{
	const char *equals = strchr(text, '=');
	size_t key_size;

	if (!equals || equals == text)
		return error_set(err, -EINVAL, "%s is not of the form KEY=VALUE", text);
	key_size = (size_t)(equals - text);
	if (count_characters(text, key_size) > PROTOCOL_MAX_METADATA_KEY)
		return error_set(err, -EINVAL, "the key of %s is longer than %d characters", text,
				 PROTOCOL_MAX_METADATA_KEY);
	if (count_characters(equals + 1, strlen(equals + 1)) > PROTOCOL_MAX_METADATA_VALUE)
		return error_set(err, -EINVAL, "the value of %.*s is longer than %d characters",
				 (int)key_size, text, PROTOCOL_MAX_METADATA_VALUE);
	*ret_key_size = key_size;
	return 0;
}

static bool has_control(const char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text < ' ' || *text == 0x7f)
			return true;
	return false;
}

int words_label(const char *text, size_t *ret_key_size, struct error *err)
{
	const char *equals = strchr(text, '=');
	size_t key_size = equals ? (size_t)(equals - text) : 0;

	if (!key_size)
		return error_set(err, -EINVAL, "%s is not of the form KEY=VALUE", text);
	if (key_size > PROTOCOL_MAX_LABEL || strspn(text, LABEL_LETTERS) != key_size)
		return error_set(err, -EINVAL,
				 "the key of label %s is not of 1 to %d letters, digits, '.', '_', "
				 "'/' and '-'",
				 text, PROTOCOL_MAX_LABEL);
	if (count_characters(equals + 1, strlen(equals + 1)) > PROTOCOL_MAX_LABEL)
		return error_set(err, -EINVAL, "the value of label %.*s is longer than %d characters",
				 (int)key_size, text, PROTOCOL_MAX_LABEL);
	if (has_control(equals + 1) || !utf8_is_valid(equals + 1))
		return error_set(err, -EINVAL,
				 "the value of label %.*s has control characters, or is not UTF-8",
				 (int)key_size, text);
	*ret_key_size = key_size;
	return 0;
}

int words_model(const char *text)
{
	size_t size = strlen(text);

	return size && size <= REQUEST_MAX_MODEL && !has_control(text) &&
			       !strpbrk(text, "\"\\") && utf8_is_valid(text)
		       ? 0
		       : -EINVAL;
}

const char *words_number(int64_t number, const char *noun, char *out)
{
	(void)snprintf(out, WORDS_FIGURE, "%" PRId64 " %s%s", number, noun, number == 1 ? "" : "s");
	return out;
}

const char *words_elapsed(int64_t seconds, char *out)
{
	int64_t minutes = seconds / 60;

	if (seconds < 0)
		seconds = minutes = 0;
	if (seconds < 60)
		(void)snprintf(out, WORDS_FIGURE, "%" PRId64 "s", seconds);
	else if (minutes < 60)
		(void)snprintf(out, WORDS_FIGURE, "%" PRId64 "m", minutes);
	else if (minutes < 24 * 60)
		(void)snprintf(out, WORDS_FIGURE, "%" PRId64 "h%02dm", minutes / 60,
			       (int)(minutes % 60));
	else
		(void)snprintf(out, WORDS_FIGURE, "%" PRId64 "d%02dh", minutes / (24 * 60),
			       (int)(minutes / 60 % 24));
	return out;
}

const char *words_size(int64_t bytes, char *out)
{
	static const char *const names[] = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
	double figure = (double)bytes;
	size_t unit = 0;

	for (; figure >= 1023.95 && unit + 1 < ARRAY_SIZE(names); unit++)
		figure /= 1024;
	(void)snprintf(out, WORDS_FIGURE, unit ? "%.1f %s" : "%.0f %s", figure, names[unit]);
	return out;
}

const char *words_time(int64_t unix_seconds, char *out)
{
	time_t seconds = (time_t)unix_seconds;
	char zone[8] = "";
	struct tm parts;
	size_t length;

	(void)snprintf(out, WORDS_FIGURE, "-");
	if (unix_seconds <= 0 || !localtime_r(&seconds, &parts) || parts.tm_year > 9999 - 1900)
		return out;
	length = strftime(out, WORDS_FIGURE, "%Y-%m-%dT%H:%M:%S", &parts);
	/* RFC 3339 has a colon in the zone, which %z has not. */
	if (length && strftime(zone, sizeof(zone), "%z", &parts) == 5)
		(void)snprintf(out + length, WORDS_FIGURE - length, "%.3s:%.2s", zone, zone + 3);
	return out;
}

char *words_whole(const char *text, size_t size)
{
	auto_buffer whole = {0};
	size_t at = 0;

	while (at < size) {
		size_t plain = strnlen(text + at, size - at);

		buffer_add(&whole, text + at, plain);
		at += plain;
		if (at < size)
			buffer_add_text(&whole, "\xef\xbf\xbd");
		at += at < size;
	}
	return xstrdup(buffer_text(&whole));
}

int words_states(const char *text)
{
	return *text && text[strspn(text, "abcdefghijklmnopqrstuvwxyz_,")] == '\0';
}
