/* What a job's owner asks for about its order: when it is sent, before whom, until when, and what it may use up. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/door/visit.h"
#include "daemon/door/wish.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/server.h"
#include "daemon/io/store.h"
#include "daemon/model/moment.h"
#include "daemon/model/price.h"
#include "daemon/protocol.h"

#define DIGITS "0123456789"
#define LONGEST_DEADLINE_MS (366 * 24 * 3600 * INT64_C(1000))
#define WORD(number) WORD_OF(number)
#define WORD_OF(number) #number

/* A whole number of digits alone; -EINVAL, also above most. */
static int read_number(const char *text, int64_t most, int64_t *ret_number)
{
	size_t digits = strspn(text, DIGITS);
	int64_t number = digits && digits <= 18 && !text[digits] ? strtoll(text, NULL, 10) : -1;

	if (number < 0 || number > most)
		return -EINVAL;
	*ret_number = number;
	return 0;
}

static const char *read_priority(const char *text, struct wish_order *order)
{
	return read_number(text, JOB_MAX_PRIORITY, &order->priority) ?
		       "it must be a whole number from 0 to " WORD(JOB_MAX_PRIORITY) :
		       NULL;
}

static const char *read_begin(const char *text, struct wish_order *order)
{
	return moment_parse(text, &order->begin_at) ?
		       "it must be Unix seconds, or a time with its zone such as 2026-12-01T08:00:00Z" :
		       NULL;
}

static const char *read_after(const char *text, struct wish_order *order)
{
	order->after_job = visit_number(text, PROTOCOL_BATCH_PREFIX);
	return order->after_job ? NULL : "it must be the number of a job";
}

static const char *read_deadline(const char *text, struct wish_order *order)
{
	int64_t seconds;

	if (read_number(text, LONGEST_DEADLINE_MS / 1000, &seconds) == 0)
		order->deadline_ms = seconds * 1000;
	else if (config_parse_duration(text, &order->deadline_ms))
		return "it must be a duration such as 6h or 90m, or seconds";
	return order->deadline_ms > 0 && order->deadline_ms <= LONGEST_DEADLINE_MS ? NULL :
										     "it must be above 0, and a year at most";
}

static const char *read_hold(const char *text, struct wish_order *order)
{
	order->is_on_hold = strcmp(text, "1") == 0 || strcmp(text, "true") == 0;
	return order->is_on_hold || strcmp(text, "0") == 0 || strcmp(text, "false") == 0 ? NULL : "it must be 0 or 1";
}

static const char *read_tokens(const char *text, struct wish_order *order)
{
	return read_number(text, PROTOCOL_MAX_TOKENS, &order->budget_tokens) ?
		       "it must be a whole number of tokens, 0 for no bound" :
		       NULL;
}

static const char *read_cost(const char *text, struct wish_order *order)
{
	return price_parse(text, &order->budget_cost) ?
		       "it must be an amount from 0 to 1000000 such as 2.50, 0 for no bound" :
		       NULL;
}

/* clang-format off */
static const struct {
	const char *name;
	const char *(*read)(const char *text, struct wish_order *order);
	bool may_change; /* of a job that is there */
} choices[] = {
	{ "priority",   read_priority, true },
	{ "begin",      read_begin,    false },
	{ "after",      read_after,    false },
	{ "deadline",   read_deadline, false },
	{ "hold",       read_hold,     false },
	{ "max_tokens", read_tokens,   true },
	{ "max_cost",   read_cost,     true },
};
/* clang-format on */

/* Returns how many were given, or -EINVAL, and the error is replied. */
static int read_choices(struct visit *visit, bool is_change, struct wish_order *order)
{
	int count = 0;

	for (size_t i = 0; i < ARRAY_SIZE(choices); i++) {
		const char *text = exchange_query(visit->exchange, choices[i].name);
		const char *wrong;

		if (!text || (is_change && !choices[i].may_change))
			continue;
		wrong = choices[i].read(text, order);
		if (wrong) {
			visit_error(visit, 400, "invalid_value", choices[i].name, "Invalid '%s': %s.", choices[i].name,
				    wrong);
			return -EINVAL;
		}
		count++;
	}
	return count;
}

/* Anybody may let others go first. */
static int check_priority(struct visit *visit, const struct wish_order *order)
{
	if (order->priority <= JOB_PRIORITY || visit->is_operator)
		return 0;
	visit_error(visit, 403, "not_permitted", "priority", "A priority above %d is for operators.", JOB_PRIORITY);
	return -EPERM;
}

/* One of the user's own, whoever else's they may see. */
static int check_after(struct visit *visit, const struct wish_order *order)
{
	auto_job job = { 0 };
	int r = order->after_job ? store_job_get(visit->door->parts.store, order->after_job, &job) : 0;

	if (r && r != -ENOENT)
		visit_error(visit, 503, PROTOCOL_CODE_UNKNOWN, NULL, "The store could not be read.");
	else if (r || (order->after_job && job.uid != (int64_t)visit->uid))
		visit_error(visit, 400, "invalid_value", "after", "Invalid 'after': you have no job %" PRId64 ".",
			    order->after_job);
	return visit->is_answered ? -EINVAL : 0;
}

static int check_times(struct visit *visit, const struct wish_order *order)
{
	int64_t now = loop_now_ms(visit->door->parts.loop);

	if (!order->begin_at || !order->deadline_ms || order->begin_at < now + order->deadline_ms)
		return 0;
	visit_error(visit, 400, "invalid_value", "begin", "Invalid 'begin': the deadline would have passed by then.");
	return -EINVAL;
}

int wish_order(struct visit *visit, struct job_wish *wish)
{
	struct wish_order *order = &wish->order;

	order->priority = JOB_PRIORITY;
	if (read_choices(visit, false, order) < 0)
		return -EINVAL;
	return check_priority(visit, order) ?: check_after(visit, order) ?: check_times(visit, order);
}

int wish_change(struct visit *visit, struct wish_order *order)
{
	int count;

	*order = (struct wish_order){ .priority = -1, .budget_tokens = -1, .budget_cost = -1 };
	count = read_choices(visit, true, order);
	if (count == 0)
		visit_error(visit, 400, "missing_required_parameter", "priority",
			    "Nothing is to be set: give priority, max_tokens or max_cost.");
	return count > 0 ? check_priority(visit, order) : -EINVAL;
}
