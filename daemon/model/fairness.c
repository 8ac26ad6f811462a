#include "daemon/model/fairness.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"

/* A head with what its place in the order depends on. */
struct rank {
	struct fairness_head *head;
	int64_t priority;
	int64_t in_flight;
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
		order = compare(first->head->job, second->head->job);
	return order ? order : compare(first->head->number, second->head->number);
}

static int64_t aged_priority(const struct fairness_head *head, int64_t now)
{
	int64_t waited = now > head->since ? now - head->since : 0;

	return head->priority + waited / FAIRNESS_AGEING_MS;
}

static struct rank *rank_heads(const struct fairness *fairness)
{
	struct rank *ranks = xcalloc(fairness->head_count + 1, sizeof(*ranks));

	for (size_t i = 0; i < fairness->head_count; i++) {
		struct fairness_head *head = &fairness->heads[i];

		ranks[i] = (struct rank){
			.head = head,
			.priority = aged_priority(head, fairness->now),
			.in_flight = fairness->users[head->user].requests,
		};
	}
	qsort(ranks, fairness->head_count, sizeof(*ranks), compare_ranks);
	return ranks;
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
	auto_free struct rank *ranks = rank_heads(fairness);
	auto_free enum fairness_lack *lacks = xcalloc(fairness->head_count + 1, sizeof(*lacks));
	auto_free bool *is_closed = xcalloc(fairness->model_count + 1, sizeof(*is_closed));
	size_t i;

	for (i = 0; i < fairness->head_count; i++) {
		const struct fairness_head *head = ranks[i].head;

		if (head->is_out || is_closed[head->model] || fairness->users[head->user].places < 1)
			continue;
		lacks[i] = fairness_lack_of(&fairness->models[head->model], &fairness->room, is_idle, head->requests,
					    head->tokens);
		if (lacks[i] == FAIRNESS_FITS)
			break;
		if (!is_kept(head, fairness->now))
			continue;
		if (lacks[i] >= FAIRNESS_BATCHES)
			return -ENOENT;
		is_closed[head->model] = true;
	}
	if (i == fairness->head_count)
		return -ENOENT;
	for (size_t k = 0; k < i; k++)
		if (lacks[k] != FAIRNESS_FITS && !ranks[k].head->passed_at && shares(ranks[k].head, ranks[i].head, lacks[k]))
			ranks[k].head->passed_at = fairness->now;
	*ret_index = (size_t)(ranks[i].head - fairness->heads);
	return 0;
}
