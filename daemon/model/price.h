/*
 * What tokens cost, by the prices of the configuration: computed by us, for people to look at, and no
 * bill. Money is counted in millionths of its unit, in whole numbers throughout.
 */
#ifndef BATCHD_MODEL_PRICE_H
#define BATCHD_MODEL_PRICE_H

#include <stdbool.h>
#include <stdint.h>

#define PRICE_UNIT INT64_C(1000000) /* millionths of the currency's unit */
#define PRICE_MAX INT64_C(1000000000000) /* the highest price: a million units for a million tokens */

/*
 * A price for a million tokens, as people write it ("2.5", "0.15", "10"): digits, and up to six places
 * behind a point. -EINVAL when it is none, -ERANGE above PRICE_MAX.
 */
int price_parse(const char *text, int64_t *ret_price);

/* Whether a model's name fits a pattern: "*" in it stands for any letters, also none; all else for itself. */
bool price_name_fits(const char *pattern, const char *name);

/*
 * The cost of so many tokens (negative ones count as none) at these prices, less a discount in
 * parts of 10,000 (0 to 10,000), rounded to the nearest millionth; a half goes up. What does not fit
 * is INT64_MAX.
 */
int64_t price_cost(int64_t input_tokens, int64_t input_price, int64_t output_tokens, int64_t output_price,
		   int64_t discount);

/* Both costs together; what does not fit is INT64_MAX. */
int64_t price_add(int64_t cost, int64_t other);

/* An amount of millionths as "2.5": no zero behind the last place that counts, exact. The caller frees. */
char *price_show(int64_t amount);
/* The same rounded to four places, all of them shown ("1.2345", "0.0000"); a half goes up. The caller frees. */
char *price_show_cost(int64_t cost);

#endif
