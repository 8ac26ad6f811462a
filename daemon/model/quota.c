#include "daemon/model/quota.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

#define MAX_TOKENS INT64_C(1000000000000000)
#define LONGEST_MS (INT64_C(24) * 60 * 60 * 1000)
#define MAX_DIGITS 15 /* of a number, so that nothing overflows */
#define DIGITS "0123456789"

/* clang-format off */
/* What may stand between the word "limit" and its number; anything else makes it another sentence. */
static const char *const fillers[] = { "of", "is", "was", "for", "exceeded", "(", ":", "=", "tokens", "enqueued", "max", "maximum" };
/* What a number counts that is none of tokens. */
static const char *const others[] = { "request", "batch", "file", "job", "byte", "line", "%" };
static const struct {
	const char *name;
	int64_t factor;
} scales[] = {
	{ "thousand", 1000 }, { "million", 1000000 }, { "billion", 1000000000 },
	{ "k", 1000 },	      { "m", 1000000 },	      { "b", 1000000000 },
};
/* In microseconds; "ms" before "m", for it begins so. */
static const struct {
	const char *name;
	int64_t us;
} units[] = {
	{ "d", 86400000000 }, { "h", 3600000000 }, { "ms", 1000 }, { "m", 60000000 }, { "s", 1000000 },
	{ "us", 1 },	      { "\xc2\xb5s", 1 },  { "ns", 0 },
};
/* clang-format on */

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/* Whether text begins with a word that ends there; "(" and the like need no end. */
static size_t skip_word(const char *text, const char *word)
{
	size_t size = strlen(word);

	if (strncasecmp(text, word, size) != 0 || (isalpha((unsigned char)*word) && isalnum((unsigned char)text[size])))
		return 0;
	return size;
}

static const char *skip_fillers(const char *at)
{
	for (;;) {
		size_t size = 0;

		at += strspn(at, " \t");
		for (size_t i = 0; i < ARRAY_SIZE(fillers) && !size; i++)
			size = skip_word(at, fillers[i]);
		if (!size)
			return at;
		at += size;
	}
}

/* Where the groups of three behind the first digits end ("2,000,000"); where those end, if there are none. A single "." is no such mark. */
static const char *skip_groups(const char *at, size_t first)
{
	const char *end = at + first;
	char mark = *end;
	int groups = 0;

	while (first <= 3 && mark && strchr(",_.", mark) && *end == mark && strspn(end + 1, DIGITS) == 3) {
		end += 4;
		groups++;
	}
	return groups && (mark != '.' || groups > 1) ? end : at + first;
}

/* A number in thousandths. Returns where it ends, or NULL. */
static const char *read_number(const char *at, int64_t *ret_thousandths)
{
	size_t first = strspn(at, DIGITS);
	const char *end = skip_groups(at, first);
	int64_t value = 0, unit = 1000;

	if (!first || end - at > MAX_DIGITS)
		return NULL;
	for (; at < end; at++)
		if (is_digit(*at))
			value = value * 10 + (*at - '0');
	value *= 1000;
	if (*at == '.' && is_digit(at[1]))
		for (at++; is_digit(*at); at++) {
			unit /= 10;
			value += (*at - '0') * unit;
		}
	*ret_thousandths = value;
	return at;
}

/* The number that stands here, in tokens; 0: none does. */
static int64_t read_tokens(const char *at)
{
	int64_t thousandths = 0, factor = 1, value;
	const char *rest;

	at = read_number(at, &thousandths);
	if (!at || (*at && strchr(",_.", *at) && is_digit(at[1])))
		return 0;
	rest = at + strspn(at, " ");
	for (size_t i = 0; i < ARRAY_SIZE(scales); i++) {
		size_t size = skip_word(rest, scales[i].name);

		if (!size)
			continue;
		factor = scales[i].factor;
		at = rest + size;
		break;
	}
	if (isalnum((unsigned char)*at))
		return 0;
	at = skip_fillers(at);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		if (strncasecmp(at, others[i], strlen(others[i])) == 0)
			return 0;
	if (__builtin_mul_overflow(thousandths, factor, &value))
		return 0;
	value /= 1000;
	return value <= MAX_TOKENS ? value : 0;
}

int quota_parse_limit(const char *words, int64_t *ret_tokens)
{
	const char *at = words;

	while ((at = strcasestr(at, "limit"))) {
		int64_t tokens;

		at += strlen("limit");
		tokens = read_tokens(skip_fillers(at));
		if (tokens > 0) {
			*ret_tokens = tokens;
			return 0;
		}
	}
	return -ENOENT;
}

/* One number with its unit, in microseconds, added to what there is. Returns where it ends, or NULL. */
static const char *read_part(const char *at, int64_t *us)
{
	int64_t whole = 0, millionths = 0, unit = 1000000;
	int digits = 0;

	for (; is_digit(*at) && digits < 10; digits++)
		whole = whole * 10 + (*at++ - '0');
	if (*at == '.')
		for (at++; is_digit(*at); at++, digits++) {
			unit /= 10;
			millionths += (*at - '0') * unit;
		}
	if (!digits || is_digit(*at))
		return NULL;
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		size_t size = strlen(units[i].name);

		if (strncmp(at, units[i].name, size) != 0)
			continue;
		/* Far beyond the longest that counts: the part after the point is nothing to it. */
		if (units[i].us && whole > LONGEST_MS * 1000 / units[i].us)
			*us = LONGEST_MS * 1000;
		else
			*us += whole * units[i].us + millionths * units[i].us / 1000000;
		return at + size;
	}
	return NULL;
}

int quota_parse_duration(const char *text, int64_t *ret_ms)
{
	auto_free char *seconds = NULL;
	const char *at = text + strspn(text, " \t");
	size_t size = strcspn(at, " \t");
	int64_t us = 0;

	if (at[size + strspn(at + size, " \t")])
		return -EINVAL;
	seconds = xasprintf("%.*s%s", (int)(size < 64 ? size : 64), at, strspn(at, DIGITS ".") == size ? "s" : "");
	at = seconds;
	do {
		at = read_part(at, &us);
		if (us > LONGEST_MS * 1000)
			us = LONGEST_MS * 1000;
	} while (at && *at);
	if (!at)
		return -EINVAL;
	*ret_ms = (us + 999) / 1000;
	return 0;
}

int quota_parse_count(const char *text, int64_t *ret_count)
{
	size_t digits;
	int64_t value = 0;

	text += strspn(text, " \t");
	digits = strspn(text, DIGITS);
	if (!digits || digits > MAX_DIGITS || text[digits + strspn(text + digits, " \t")])
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		value = value * 10 + (text[i] - '0');
	*ret_count = value;
	return 0;
}

char *quota_show(int64_t count, bool is_rounded_up)
{
	static const char *const names[] = {"", " K", " M", " G", " T"};
	int64_t unit = 1, tenths;
	size_t i = 0;

	for (; count / unit >= 1000 && i + 1 < ARRAY_SIZE(names); i++)
		unit *= 1000;
	if (i == 0)
		return xasprintf("%" PRId64, count);
	tenths = count / (unit / 10);
	if (is_rounded_up && count % (unit / 10))
		tenths++;
	if (tenths % 10 == 0)
		return xasprintf("%" PRId64 "%s", tenths / 10, names[i]);
	return xasprintf("%" PRId64 ".%" PRId64 "%s", tenths / 10, tenths % 10, names[i]);
}
