#include "daemon/model/moment.h"

#include <errno.h>
#include <stdbool.h>
#include <string.h>

#define DIGITS "0123456789"
#define MOST_DIGITS 12 /* of seconds */

/* Exactly so many digits at *text, passed. */
static bool take_number(const char **text, size_t digits, int64_t *ret_number)
{
	int64_t number = 0;

	for (size_t i = 0; i < digits; i++) {
		if ((*text)[i] < '0' || (*text)[i] > '9')
			return false;
		number = number * 10 + ((*text)[i] - '0');
	}
	*text += digits;
	*ret_number = number;
	return true;
}

static bool take_letter(const char **text, const char *letters)
{
	if (!**text || !strchr(letters, **text))
		return false;
	++*text;
	return true;
}

static bool is_leap(int64_t year)
{
	return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int64_t days_in(int64_t year, int64_t month)
{
	static const int64_t days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };

	return days[month - 1] + (month == 2 && is_leap(year));
}

/* Since 1970; the date is one that there is. */
static int64_t days_until(int64_t year, int64_t month, int64_t day)
{
	int64_t before = year - 1;
	int64_t days = before * 365 + before / 4 - before / 100 + before / 400 - 719162;

	for (int64_t m = 1; m < month; m++)
		days += days_in(year, m);
	return days + day - 1;
}

static bool take_date(const char **text, int64_t *ret_days)
{
	int64_t year, month, day;

	if (!take_number(text, 4, &year) || !take_letter(text, "-") || !take_number(text, 2, &month) ||
	    !take_letter(text, "-") || !take_number(text, 2, &day) || year < 1970 || month < 1 || month > 12 || day < 1 ||
	    day > days_in(year, month))
		return false;
	*ret_days = days_until(year, month, day);
	return true;
}

static bool take_time(const char **text, int64_t *ret_seconds)
{
	int64_t hours, minutes, seconds = 0;

	if (!take_number(text, 2, &hours) || !take_letter(text, ":") || !take_number(text, 2, &minutes) ||
	    (take_letter(text, ":") && !take_number(text, 2, &seconds)) || hours > 23 || minutes > 59 || seconds > 59)
		return false;
	*ret_seconds = hours * 3600 + minutes * 60 + seconds;
	return true;
}

/* What is to be taken from the time to have it in UTC. */
static bool take_zone(const char **text, int64_t *ret_seconds)
{
	int64_t hours, minutes, sign = **text == '-' ? -1 : 1;

	*ret_seconds = 0;
	if (take_letter(text, "Zz"))
		return true;
	if (!take_letter(text, "+-") || !take_number(text, 2, &hours) || !take_letter(text, ":") ||
	    !take_number(text, 2, &minutes) || hours > 23 || minutes > 59)
		return false;
	*ret_seconds = sign * (hours * 3600 + minutes * 60);
	return true;
}

int moment_parse(const char *text, int64_t *ret_ms)
{
	size_t digits = strspn(text, DIGITS);
	int64_t days, seconds, zone, at = 0;

	if (digits && !text[digits]) {
		if (digits > MOST_DIGITS)
			return -EINVAL;
		(void)take_number(&text, digits, &at);
	} else {
		if (!take_date(&text, &days) || !take_letter(&text, "Tt ") || !take_time(&text, &seconds) ||
		    !take_zone(&text, &zone) || *text)
			return -EINVAL;
		at = days * 86400 + seconds - zone;
	}
	if (at < 0 || at > MOMENT_LAST / 1000)
		return -EINVAL;
	*ret_ms = at * 1000;
	return 0;
}
