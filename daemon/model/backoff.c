#include "daemon/model/backoff.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <time.h>

#include "daemon/base/cleanup.h"

#define LONGEST_ASKED_MS (INT64_C(24) * 60 * 60 * 1000)

static int64_t within(int64_t low, int64_t value, int64_t high)
{
	if (value > high)
		value = high;
	return value < low ? low : value;
}

/* A number from 0 to limit, which is so far below 2^64 that the remainder is fair enough. */
static int64_t pick(uint64_t random, int64_t limit)
{
	return (int64_t)(random % ((uint64_t)limit + 1));
}

static bool is_digit(char byte)
{
	return byte >= '0' && byte <= '9';
}

/*
 * Reads digits with at most one point among them, white space around them, as a whole number of
 * thousandths, rounded up. Not strtod: that one listens to the locale, and to "inf".
 */
static bool parse_thousandths(const char *text, int64_t *ret_thousandths)
{
	int64_t thousandths = 0;
	int64_t unit = 1000;
	bool has_digits = false;

	text += strspn(text, " \t");
	for (; is_digit(*text); text++, has_digits = true)
		thousandths = within(0, thousandths * 10 + (*text - '0') * unit, INT64_MAX / 100);
	if (*text == '.')
		for (text++; is_digit(*text); text++, has_digits = true) {
			unit /= 10;
			thousandths += unit ? (*text - '0') * unit : 0;
		}
	text += strspn(text, " \t");
	*ret_thousandths = thousandths;
	return has_digits && !*text;
}

struct date {
	struct tm tm;
	bool is_year_short;
};

static bool parse_digits(const char **at, int least, int most, int *ret_number)
{
	int number = 0;
	int digits = 0;

	for (; digits < most && is_digit(**at); digits++)
		number = number * 10 + *(*at)++ - '0';
	*ret_number = number;
	return digits >= least;
}

/* Passes one of the names; ret_index may be NULL. */
static bool parse_name(const char **at, const char *const *names, size_t count, int *ret_index)
{
	for (size_t i = 0; i < count; i++) {
		size_t size = strlen(names[i]);

		if (strncmp(*at, names[i], size) != 0)
			continue;
		*at += size;
		if (ret_index)
			*ret_index = (int)i;
		return true;
	}
	return false;
}

/*
 * One letter of a form. w: short name of a day; W: its long name; d: day, 2 digits; e: day, a space
 * for the first digit; m: name of a month; y: year, 2 digits; Y: 4 digits; t: the time. Others are
 * themselves.
 */
static bool parse_part(const char **at, char part, struct date *date)
{
	static const char *const days[] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
	static const char *const long_days[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
						"Thursday", "Friday", "Saturday"};
	static const char *const months[] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
					     "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
	struct tm *tm = &date->tm;

	switch (part) {
	case 'w':
		return parse_name(at, days, ARRAY_SIZE(days), NULL);
	case 'W':
		return parse_name(at, long_days, ARRAY_SIZE(long_days), NULL);
	case 'm':
		return parse_name(at, months, ARRAY_SIZE(months), &tm->tm_mon);
	case 'e':
		*at += **at == ' ';
		return parse_digits(at, 1, 2, &tm->tm_mday);
	case 'd':
		return parse_digits(at, 2, 2, &tm->tm_mday);
	case 'y':
		date->is_year_short = true;
		return parse_digits(at, 2, 2, &tm->tm_year);
	case 'Y':
		return parse_digits(at, 4, 4, &tm->tm_year);
	case 't':
		return parse_digits(at, 2, 2, &tm->tm_hour) && *(*at)++ == ':' &&
		       parse_digits(at, 2, 2, &tm->tm_min) && *(*at)++ == ':' &&
		       parse_digits(at, 2, 2, &tm->tm_sec);
	}
	return *(*at)++ == part;
}

static bool parse_form(const char *text, const char *form, struct date *ret_date)
{
	*ret_date = (struct date){0};
	for (; *form; form++)
		if (!parse_part(&text, *form, ret_date))
			return false;
	text += strspn(text, " \t");
	return !*text;
}

/* A year of two digits is the one that ends so and is at most 50 years ahead. */
static int long_year(int short_year, int64_t now)
{
	time_t clock = (time_t)now;
	struct tm today = {0};
	int latest;

	(void)gmtime_r(&clock, &today);
	latest = today.tm_year + 1900 + 50;
	return latest - (latest - short_year) % 100;
}

/* Seconds since 1970; false when there is no such day or time. */
static bool date_seconds(struct date date, int64_t now, int64_t *ret_seconds)
{
	struct tm *tm = &date.tm;
	int day = tm->tm_mday;

	if (tm->tm_hour > 23 || tm->tm_min > 59 || tm->tm_sec > 60)
		return false;
	/* A leap second may be the last of its day; time_t has none. */
	if (tm->tm_sec == 60)
		tm->tm_sec = 59;
	tm->tm_year = (date.is_year_short ? long_year(tm->tm_year, now) : tm->tm_year) - 1900;
	*ret_seconds = timegm(tm);
	/* timegm() takes the 31st of February for the 3rd of March. */
	return tm->tm_mday == day;
}

static bool parse_date(const char *text, int64_t now_ms, int64_t *ret_wait_ms)
{
	static const char *const forms[] = {
		"w, d m Y t GMT", /* IMF-fixdate */
		"W, d-m-y t GMT", /* RFC 850 */
		"w m e t Y",      /* asctime */
	};

	text += strspn(text, " \t");
	for (size_t i = 0; i < ARRAY_SIZE(forms); i++) {
		struct date date;
		int64_t seconds;

		if (!parse_form(text, forms[i], &date))
			continue;
		if (!date_seconds(date, now_ms / 1000, &seconds))
			return false;
		*ret_wait_ms = seconds * 1000 - now_ms;
		return true;
	}
	return false;
}

int64_t backoff_poll_ms(int64_t first_ms, int64_t longest_ms, uint32_t polls, uint64_t random)
{
	int64_t wait = within(1, first_ms, longest_ms);
	int64_t jitter;

	for (; polls && wait < longest_ms; polls--)
		wait = wait > longest_ms - wait / 2 - 1 ? longest_ms : wait + (wait + 1) / 2;
	jitter = wait / 10;
	return within(1, wait - jitter + pick(random, 2 * jitter), longest_ms);
}

int64_t backoff_retry_ms(int64_t first_ms, int64_t longest_ms, uint32_t tries, uint64_t random)
{
	int64_t wait = within(1, first_ms, longest_ms);

	for (; tries > 1 && wait < longest_ms; tries--)
		wait = wait > longest_ms / 2 ? longest_ms : wait * 2;
	return wait - wait / 2 + pick(random, wait / 2);
}

int64_t backoff_retry_after_ms(const char *retry_after, const char *retry_after_ms, int64_t now_ms)
{
	int64_t number;

	if (retry_after_ms && parse_thousandths(retry_after_ms, &number))
		return within(0, number / 1000 + (number % 1000 > 0), LONGEST_ASKED_MS);
	if (!retry_after)
		return -1;
	if (parse_thousandths(retry_after, &number) || parse_date(retry_after, now_ms, &number))
		return within(0, number, LONGEST_ASKED_MS);
	return -1;
}
