#include "daemon/model/price.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "daemon/base/alloc.h"

#define PLACES 6
#define DIGITS "0123456789"
#define WHOLE_DISCOUNT 10000
#define COST_STEP 100 /* millionths in the last place of a cost that is shown */

/* Wide enough for any tokens at any price, so that nothing is lost before the one division. */
__extension__ typedef __int128 wide;

int price_parse(const char *text, int64_t *ret_price)
{
	size_t digits = strspn(text, DIGITS);
	bool has_point = text[digits] == '.';
	const char *decimals = text + digits + has_point;
	size_t places = has_point ? strspn(decimals, DIGITS) : 0;
	int64_t price = 0;

	if (!digits || places > PLACES || (has_point && !places) || decimals[places])
		return -EINVAL;
	for (size_t i = 0; i < digits + PLACES; i++) {
		char digit = i < digits ? text[i] : i - digits < places ? decimals[i - digits] : '0';

		price = price * 10 + (digit - '0');
		if (price > PRICE_MAX)
			return -ERANGE;
	}
	*ret_price = price;
	return 0;
}

bool price_name_fits(const char *pattern, const char *name)
{
	const char *star = NULL, *tried = NULL;

	while (*name || *pattern == '*') {
		if (*pattern == '*') {
			star = pattern++;
			tried = name;
		} else if (*pattern == *name) {
			pattern++;
			name++;
		} else if (star) {
			/* Only the last star is tried again, so this takes no more than length times length. */
			pattern = star + 1;
			name = ++tried;
		} else {
			return false;
		}
	}
	return !*pattern;
}

static wide part(int64_t tokens, int64_t price)
{
	return tokens > 0 && price > 0 ? (wide)tokens * price : 0;
}

int64_t price_cost(int64_t input_tokens, int64_t input_price, int64_t output_tokens, int64_t output_price,
		   int64_t discount)
{
	const wide divisor = (wide)PRICE_UNIT * WHOLE_DISCOUNT;
	wide cost = part(input_tokens, input_price) + part(output_tokens, output_price);

	/* Below 2^127 by far: prices have an end, and the discount takes 14 bits. */
	cost = (cost * (WHOLE_DISCOUNT - discount) + divisor / 2) / divisor;
	return cost > INT64_MAX ? INT64_MAX : (int64_t)cost;
}

int64_t price_add(int64_t cost, int64_t other)
{
	int64_t sum;

	return __builtin_add_overflow(cost, other, &sum) ? INT64_MAX : sum;
}

char *price_show(int64_t amount)
{
	char *text = xasprintf("%" PRId64 ".%06" PRId64, amount / PRICE_UNIT, amount % PRICE_UNIT);
	size_t size = strlen(text);

	while (text[size - 1] == '0')
		size--;
	text[text[size - 1] == '.' ? size - 1 : size] = '\0';
	return text;
}

char *price_show_cost(int64_t cost)
{
	/* Not cost + half a step, which may not fit. */
	int64_t steps = cost / COST_STEP + (cost % COST_STEP >= COST_STEP / 2);

	return xasprintf("%" PRId64 ".%04" PRId64, steps / (PRICE_UNIT / COST_STEP), steps % (PRICE_UNIT / COST_STEP));
}
