#include "daemon/work/budget.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/store.h"
#include "daemon/model/job.h"
#include "daemon/model/price.h"

#define DAY_MS (24 * 60 * 60 * INT64_C(1000))
/* More is no amount, whoever says it. */
#define MOST INT64_C(1000000000000000000)

/* Wide enough for the product of two amounts. */
__extension__ typedef __int128 wide;

struct amount {
	int64_t tokens;
	int64_t cost;
};

static int64_t bound(wide number)
{
	return number < 0 ? 0 : number > MOST ? MOST : (int64_t)number;
}

static int64_t in_proportion(int64_t number, int64_t part, int64_t whole)
{
	return whole > 0 ? bound((wide)number * part / whole) : 0;
}

static int64_t cost_of(const struct config *config, const struct shard *shard, int64_t input_tokens, int64_t output_tokens)
{
	const struct config_model *model = config_model_find(config, shard->model);
	const struct config_provider *provider = config_provider_find(config, shard->provider ? shard->provider : "");

	if (!model)
		return 0;
	return bound(price_cost(input_tokens, model->input_price, output_tokens, model->output_price,
				provider ? provider->batch_discount : 0));
}

static struct amount estimate(struct store *store, const struct config *config, const struct shard *shard)
{
	int64_t input = bound(shard->tokens), output = input;
	struct store_ratio ratio = { 0 };

	if (store_group_learned(store, shard->job, shard->model, shard->url, &ratio) == 0 && ratio.estimated > 0) {
		output = in_proportion(input, ratio.output_tokens, ratio.estimated);
		input = in_proportion(input, ratio.input_tokens, ratio.estimated);
	}
	return (struct amount){
		.tokens = bound((wide)input + output),
		.cost = cost_of(config, shard, input, output),
	};
}

/* --- room --- */

/* One budget: how much of it is used or taken, and what the shard needs of it. */
struct check {
	const char *of; /* "budget of the job" */
	int64_t limit;	/* 0: none */
	int64_t used, needed;
	bool is_money;
	bool is_of_day;
};

static char *show(int64_t number, bool is_money)
{
	return is_money ? price_show_cost(number) : xasprintf("%" PRId64, number);
}

static char *words_of(const struct config *config, const struct check *check)
{
	auto_free char *used = show(check->used, check->is_money);
	auto_free char *limit = show(check->limit, check->is_money);
	auto_free char *needed = show(check->needed, check->is_money);
	const char *unit = !check->is_money ? "tokens" : config->currency ? config->currency : "";

	return xasprintf("%s: %s of %s %s used or reserved, %s more needed%s", check->of, used, limit, unit, needed,
			 check->is_of_day && check->needed > check->limit ? ", which no day has" : "");
}

static bool fits(const struct check *check)
{
	return !check->limit || (wide)check->used + check->needed <= check->limit;
}

static bool refuse(char *why, int64_t until, char **ret_why, int64_t *ret_until)
{
	if (ret_why)
		*ret_why = take(why);
	if (ret_until)
		*ret_until = until;
	free(why);
	return false;
}

/* What a shard is weighed with. */
struct weighing {
	const struct config *config;
	const struct job *job;
	const struct config_limits *limits;
	struct amount need;
	struct amount day; /* used or taken by the owner */
	int64_t tomorrow;
};

static bool weigh(const struct weighing *weighing, char **ret_why, int64_t *ret_until)
{
	const struct job *job = weighing->job;
	const struct config_limits *limits = weighing->limits;
	auto_free char *tokens = xasprintf("tokens a day of uid %" PRId64, job->uid);
	auto_free char *cost = xasprintf("cost a day of uid %" PRId64, job->uid);
	const struct check checks[] = {
		{ "budget of the job", job->budget_tokens, job->spent_tokens, weighing->need.tokens, false, false },
		{ "budget of the job", job->budget_cost, job->spent_cost, weighing->need.cost, true, false },
		{ tokens, limits->max_tokens_per_day, weighing->day.tokens, weighing->need.tokens, false, true },
		{ cost, limits->max_cost_per_day, weighing->day.cost, weighing->need.cost, true, true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(checks); i++) {
		bool is_soon = checks[i].is_of_day && checks[i].needed <= checks[i].limit;

		if (!fits(&checks[i]))
			return refuse(words_of(weighing->config, &checks[i]), is_soon ? weighing->tomorrow : 0, ret_why,
				      ret_until);
	}
	return true;
}

bool budget_has_room(struct store *store, const struct config *config, const struct job *job, const struct shard *shard,
		     int64_t now, char **ret_why, int64_t *ret_until)
{
	const struct config_limits *limits = config_limits_of(config, job->uid);
	bool has_day = limits->max_tokens_per_day || limits->max_cost_per_day;
	struct weighing weighing = {
		.config = config,
		.job = job,
		.limits = limits,
		.tomorrow = (now / DAY_MS + 1) * DAY_MS,
	};

	if (!job->budget_tokens && !job->budget_cost && !has_day)
		return true;
	if (job->budget_cost && !config_model_find(config, shard->model))
		return refuse(xasprintf("budget of the job: no price of %s is known", shard->model), 0, ret_why, ret_until);
	if (has_day && store_spending_get(store, job->uid, now / DAY_MS, &weighing.day.tokens, &weighing.day.cost))
		return refuse(xstrdup("what its owner used today cannot be read"), 0, ret_why, ret_until);
	weighing.need = estimate(store, config, shard);
	return weigh(&weighing, ret_why, ret_until);
}

/* --- what is taken, and what was used --- */

static void spend(struct store *store, const struct job *job, int64_t at, int64_t tokens, int64_t cost)
{
	if (!tokens && !cost)
		return;
	store_job_spend(store, job->id, tokens, cost);
	store_spending_add(store, job->uid, at / DAY_MS, tokens, cost);
}

void budget_reserve(struct store *store, const struct config *config, struct job *job, struct shard *shard, int64_t now)
{
	struct amount need;

	if (shard->budgeted_at)
		return;
	need = estimate(store, config, shard);
	shard->budgeted_at = now;
	shard->budgeted_tokens = need.tokens;
	shard->reserved_cost = need.cost;
	job->spent_tokens = bound((wide)job->spent_tokens + need.tokens);
	job->spent_cost = bound((wide)job->spent_cost + need.cost);
	spend(store, job, now, need.tokens, need.cost);
}

/* Requests whose answers were paid for, or may have been, without that anybody says how much. */
static int64_t count_untold(const struct shard *shard)
{
	const struct shard_tally *tally = &shard->tally;
	int64_t count = tally->lost + tally->missing + tally->resent;

	if (!tally->input_tokens && !tally->output_tokens)
		count += tally->ok;
	return count < shard->requests ? count : shard->requests;
}

static struct amount used_by_answers(struct store *store, const struct config *config, const struct shard *shard)
{
	const struct shard_tally *tally = &shard->tally;
	int64_t input = bound(tally->input_tokens), output = bound(tally->output_tokens);
	struct amount used = {
		.tokens = bound((wide)input + output),
		.cost = cost_of(config, shard, input, output),
	};
	struct amount thought = { .tokens = shard->budgeted_tokens, .cost = shard->reserved_cost };
	int64_t untold = count_untold(shard);

	if (untold && !shard->budgeted_at)
		thought = estimate(store, config, shard);
	used.tokens = bound((wide)used.tokens + in_proportion(thought.tokens, untold, shard->requests));
	used.cost = bound((wide)used.cost + in_proportion(thought.cost, untold, shard->requests));
	return used;
}

/* Whether something may have been done, and paid, for a shard that ends without answers. */
static bool may_have_worked(const struct shard *shard)
{
	return shard->state == SHARD_CANCELLED && (shard->batch_id || shard->intended_at);
}

static struct amount used_by(struct store *store, const struct config *config, const struct shard *shard)
{
	if (shard->state == SHARD_COLLECTED)
		return used_by_answers(store, config, shard);
	if (may_have_worked(shard))
		return (struct amount){ .tokens = shard->budgeted_tokens, .cost = shard->reserved_cost };
	return (struct amount){ 0 };
}

/* What is sent after it is estimated by what it used. */
static void learn(struct store *store, const struct shard *shard)
{
	const struct store_ratio more = {
		.estimated = in_proportion(bound(shard->tokens), shard->tally.ok, shard->requests),
		.input_tokens = bound(shard->tally.input_tokens),
		.output_tokens = bound(shard->tally.output_tokens),
	};

	if (more.estimated && more.input_tokens)
		store_group_learn(store, shard->job, shard->model, shard->url, &more);
}

void budget_settle(struct store *store, const struct config *config, const struct job *job, struct shard *shard, int64_t now)
{
	int64_t at = shard->budgeted_at ? shard->budgeted_at : now;
	struct amount used;

	if (!shard->budgeted_at && shard->state != SHARD_COLLECTED)
		return;
	used = used_by(store, config, shard);
	spend(store, job, at, used.tokens - shard->budgeted_tokens, used.cost - shard->reserved_cost);
	if (shard->state == SHARD_COLLECTED)
		learn(store, shard);
	shard->budgeted_at = 0;
	shard->budgeted_tokens = 0;
	shard->reserved_cost = 0;
}
