#include "daemon/model/fairness.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

/* A head with what its place in the order depends on. */
struct rank {
	struct fairness_head *head;
	enum fairness_lack lack;
	bool is_eligible;
	int64_t priority; /* aged */
	int64_t in_flight;
	int64_t served_at;
};

static int compare(int64_t a, int64_t b)
{
	return (a > b) - (a < b);
}

static int compare_ranks(const void *a, const void *b)
{
	const struct rank *first = a, *second = b;
	int order = compare(second->priority, first->priority);

	if (!order)
		order = compare(first->in_flight, second->in_flight);
	if (!order)
		order = compare(first->served_at, second->served_at);
	if (!order)
		order = compare(first->head->job, second->head->job);
	return order ? order : compare(first->head->number, second->head->number);
}

enum fairness_lack fairness_lack_of(const struct fairness_model *model, const struct fairness_room *room, bool is_idle,
				    int64_t requests, int64_t tokens)
{
	if (model->room.batches < 1)
		return FAIRNESS_MODEL_BATCHES;
	if (!model->is_idle && model->room.tokens < tokens)
		return FAIRNESS_MODEL_TOKENS;
	if (!model->is_idle && model->room.requests < requests)
		return FAIRNESS_MODEL_REQUESTS;
	if (room->batches < 1)
		return FAIRNESS_BATCHES;
	if (!is_idle && room->tokens < tokens)
		return FAIRNESS_TOKENS;
	return !is_idle && room->requests < requests ? FAIRNESS_REQUESTS : FAIRNESS_FITS;
}

/* The longest wait of those of a priority that could go. */
static int64_t longest_wait(const struct rank *ranks, size_t count, int64_t priority, int64_t now)
{
	int64_t longest = 0;

	for (size_t i = 0; i < count; i++) {
		const struct fairness_head *head = ranks[i].head;

		if (head->priority == priority && ranks[i].is_eligible && ranks[i].lack == FAIRNESS_FITS &&
		    now - head->since > longest)
			longest = now - head->since;
	}
	return longest;
}

static struct rank *rank_heads(const struct fairness *fairness, bool is_idle)
{
	struct rank *ranks = xcalloc(fairness->head_count + 1, sizeof(*ranks));

	for (size_t i = 0; i < fairness->head_count; i++) {
		struct fairness_head *head = &fairness->heads[i];
		const struct fairness_user *user = &fairness->users[head->user];

		ranks[i] = (struct rank){
			.head = head,
			.lack = fairness_lack_of(&fairness->models[head->model], &fairness->room, is_idle,
						 head->requests, head->tokens),
			.is_eligible = !head->is_out && user->places > 0,
			.in_flight = user->requests,
			.served_at = user->served_at,
		};
	}
	for (size_t i = 0; i < fairness->head_count; i++) {
		int64_t priority = ranks[i].head->priority;
		int64_t wait = longest_wait(ranks, fairness->head_count, priority, fairness->now);

		ranks[i].priority = priority + wait / FAIRNESS_AGEING_MS;
	}
	qsort(ranks, fairness->head_count, sizeof(*ranks), compare_ranks);
	return ranks;
}

/* Whether going would take of what the other one lacks. */
static bool shares(const struct fairness_head *head, const struct fairness_head *other, enum fairness_lack lack)
{
	return lack >= FAIRNESS_BATCHES || head->model == other->model;
}

/* One that was passed over for so long keeps what it lacks from all behind it. */
static bool is_kept(const struct fairness_head *head, int64_t now)
{
	return head->passed_at && now - head->passed_at >= FAIRNESS_PATIENCE_MS;
}

int fairness_next(struct fairness *fairness, bool is_idle, size_t *ret_index)
{
	auto_free struct rank *ranks = rank_heads(fairness, is_idle);
	auto_free bool *is_closed = xcalloc(fairness->model_count + 1, sizeof(*is_closed));
	size_t i;

	for (i = 0; i < fairness->head_count; i++) {
		const struct fairness_head *head = ranks[i].head;

		if (!ranks[i].is_eligible || is_closed[head->model])
			continue;
		if (ranks[i].lack == FAIRNESS_FITS)
			break;
		if (!is_kept(head, fairness->now))
			continue;
		if (ranks[i].lack >= FAIRNESS_BATCHES)
			return -ENOENT;
		is_closed[head->model] = true;
	}
	if (i == fairness->head_count)
		return -ENOENT;
	for (size_t k = 0; k < i; k++)
		if (ranks[k].is_eligible && ranks[k].lack != FAIRNESS_FITS && !ranks[k].head->passed_at &&
		    shares(ranks[k].head, ranks[i].head, ranks[k].lack))
			ranks[k].head->passed_at = fairness->now;
	*ret_index = (size_t)(ranks[i].head - fairness->heads);
	return 0;
}
