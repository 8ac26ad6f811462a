#include "client/prices.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "client/json.h"
#include "daemon/model/price.h"

#define PERCENT 100 /* in parts of 10,000 */

/* The section that counts: the first that fits. */
static struct json_object *find_model(struct json_object *daemon, const char *model)
{
	struct json_object *models = json_at(daemon, "models");
	size_t count =
		json_object_is_type(models, json_type_array) ? json_object_array_length(models) : 0;

	for (size_t i = 0; i < count; i++) {
		struct json_object *section = json_object_array_get_idx(models, i);

		if (price_name_fits(json_text(section, "name", ""), model))
			return section;
	}
	return NULL;
}

int prices_discount(const char *text, int64_t *ret_parts)
{
	size_t digits = strspn(text, "0123456789");
	const char *rest = text + digits;
	int64_t parts = 0;

	if (!digits || digits > 3)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++)
		parts = parts * 10 + (text[i] - '0');
	parts *= PERCENT;
	if (*rest == '.') {
		int64_t worth = PERCENT / 10;

		for (rest++; *rest >= '0' && *rest <= '9' && worth; rest++, worth /= 10)
			parts += (*rest - '0') * worth;
	}
	if (strcmp(rest, "%") != 0 || parts > 100 * PERCENT)
		return -EINVAL;
	*ret_parts = parts;
	return 0;
}

int64_t prices_of_input(struct json_object *daemon, struct json_object *provider, const char *model,
			int64_t tokens)
{
	struct json_object *section = find_model(daemon, model);
	int64_t price = 0, discount = 0;

	if (price_parse(json_text(section, "input_price", ""), &price) < 0 || !price)
		return -1;
	/* What cannot be read must not make it look cheaper. */
	(void)prices_discount(json_text(provider, "batch_discount", ""), &discount);
	return price_cost(tokens, price, 0, 0, discount);
}
