#include "daemon/work/sorter.h"

#include <stdbool.h>
#include <stdlib.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/vault.h"

#define FAN            512 /* runs that are merged at once */
#define CURSOR_ENTRIES ((size_t)85)

/* Places count entries, not bytes. */
struct run {
	int64_t first;
	int64_t count;
};

/* Sorted runs, one behind the other. */
struct pile {
	struct vault_scratch *scratch;
	int64_t size;
	struct run *runs;
	size_t run_count;
	size_t run_capacity;
};

struct cursor {
	int64_t next; /* entry to load */
	int64_t end;
	size_t at;
	size_t count;
	struct sorter_entry entries[CURSOR_ENTRIES];
};

struct sorter {
	struct vault *vault;
	int64_t most;
	size_t run;
	int64_t total;
	struct sorter_entry *entries; /* those of one run, or of the output of a merge */
	size_t count;
	size_t capacity;
	size_t taken;
	struct pile pile;
	struct pile merged;  /* what becomes of a pile of too many runs to be read at once */
	size_t merged_runs;  /* runs of the pile that are in merged, or on their way there */
	int64_t merge_first; /* where the run that is being merged begins in merged */
	struct cursor *cursors;
	struct cursor *heap[FAN]; /* the one with the smallest entry first */
	size_t heap_count;
	bool is_spilled; /* there is nothing more to come */
};

static inline bool is_less(const struct sorter_entry *a, const struct sorter_entry *b)
{
	return a->hash != b->hash ? a->hash < b->hash : a->line < b->line;
}

static int compare(const void *a, const void *b)
{
	return is_less(a, b) ? -1 : is_less(b, a);
}

static void sort_entries(struct sorter *sorter)
{
	if (sorter->count)
		qsort(sorter->entries, sorter->count, sizeof(*sorter->entries), compare);
}

static void pile_release(struct pile *pile)
{
	vault_scratch_free(pile->scratch);
	free(pile->runs);
	*pile = (struct pile){0};
}

static void pile_end_run(struct pile *pile, int64_t first)
{
	if (pile->run_count == pile->run_capacity) {
		pile->run_capacity = pile->run_capacity ? pile->run_capacity * 2 : 16;
		pile->runs = xreallocarray(pile->runs, pile->run_capacity, sizeof(*pile->runs));
	}
	pile->runs[pile->run_count++] = (struct run){.first = first, .count = pile->size - first};
}

/* Writes the entries in memory behind those of a pile that will have at most most. */
static int spill(struct sorter *sorter, struct pile *pile, int64_t most, struct error *err)
{
	const int64_t size = sizeof(struct sorter_entry);
	int r = 0;

	if (!pile->scratch)
		r = vault_scratch_new(sorter->vault, most * size, &pile->scratch, err);
	if (!r)
		r = vault_scratch_write(pile->scratch, pile->size * size, sorter->entries,
					sorter->count * sizeof(struct sorter_entry), err);
	if (r)
		return r;
	pile->size += (int64_t)sorter->count;
	sorter->count = 0;
	return 0;
}

static int spill_run(struct sorter *sorter, struct error *err)
{
	int64_t first = sorter->pile.size;
	int r;

	sort_entries(sorter);
	r = spill(sorter, &sorter->pile, sorter->most, err);
	if (!r)
		pile_end_run(&sorter->pile, first);
	return r;
}

static int cursor_load(struct sorter *sorter, struct cursor *cursor, struct error *err)
{
	const int64_t size = sizeof(struct sorter_entry);
	int64_t left = cursor->end - cursor->next;
	int r;

	cursor->at = 0;
	cursor->count = left < (int64_t)CURSOR_ENTRIES ? (size_t)left : CURSOR_ENTRIES;
	r = vault_scratch_read(sorter->pile.scratch, cursor->next * size, cursor->entries,
			       cursor->count * sizeof(struct sorter_entry), err);
	cursor->next += (int64_t)cursor->count;
	return r;
}

static void sift_down(struct sorter *sorter, size_t at)
{
	struct cursor **heap = sorter->heap;
	struct cursor *moved = heap[at];

	for (;;) {
		size_t child = 2 * at + 1;

		if (child >= sorter->heap_count)
			break;
		if (child + 1 < sorter->heap_count &&
		    is_less(&heap[child + 1]->entries[heap[child + 1]->at],
			    &heap[child]->entries[heap[child]->at]))
			child++;
		if (!is_less(&heap[child]->entries[heap[child]->at], &moved->entries[moved->at]))
			break;
		heap[at] = heap[child];
		at = child;
	}
	heap[at] = moved;
}

/* Begins to read count runs of the pile at once. */
static int open_runs(struct sorter *sorter, size_t first, size_t count, struct error *err)
{
	int r = 0;

	if (!sorter->cursors)
		sorter->cursors = xcalloc(count, sizeof(*sorter->cursors));
	for (size_t i = 0; !r && i < count; i++) {
		const struct run *run = &sorter->pile.runs[first + i];

		sorter->cursors[i].next = run->first;
		sorter->cursors[i].end = run->first + run->count;
		sorter->heap[i] = &sorter->cursors[i];
		r = cursor_load(sorter, &sorter->cursors[i], err);
	}
	if (r)
		return r;
	sorter->heap_count = count;
	for (size_t i = count / 2; i-- > 0;)
		sift_down(sorter, i);
	return 0;
}

/* Takes the smallest entry of the open runs. */
static int heap_take(struct sorter *sorter, struct sorter_entry *ret_entry, struct error *err)
{
	struct cursor *cursor = sorter->heap[0];
	int r = 0;

	*ret_entry = cursor->entries[cursor->at++];
	if (cursor->at == cursor->count && cursor->next < cursor->end)
		r = cursor_load(sorter, cursor, err);
	if (r)
		return r;
	if (cursor->at == cursor->count)
		sorter->heap[0] = sorter->heap[--sorter->heap_count];
	if (sorter->heap_count)
		sift_down(sorter, 0);
	return 0;
}

/* The next FAN runs, to become one. */
static int begin_merge(struct sorter *sorter, struct error *err)
{
	size_t left = sorter->pile.run_count - sorter->merged_runs;
	size_t count = left < FAN ? left : FAN;
	int r = open_runs(sorter, sorter->merged_runs, count, err);

	sorter->merged_runs += count;
	sorter->merge_first = sorter->merged.size;
	return r;
}

/* All runs were merged to fewer. */
static void end_pass(struct sorter *sorter)
{
	pile_release(&sorter->pile);
	sorter->pile = sorter->merged;
	sorter->merged = (struct pile){0};
	sorter->merged_runs = 0;
}

static int merge_slice(struct sorter *sorter, struct error *err)
{
	int r = 0;

	if (!sorter->heap_count)
		r = begin_merge(sorter, err);
	while (!r && sorter->heap_count && sorter->count < sorter->run)
		r = heap_take(sorter, &sorter->entries[sorter->count++], err);
	if (!r)
		r = spill(sorter, &sorter->merged, sorter->total, err);
	if (r)
		return r;
	if (sorter->heap_count)
		return 1;
	pile_end_run(&sorter->merged, sorter->merge_first);
	if (sorter->merged_runs == sorter->pile.run_count)
		end_pass(sorter);
	return 1;
}

struct sorter *sorter_new(struct vault *vault, int64_t most, size_t run)
{
	struct sorter *sorter = xcalloc(1, sizeof(*sorter));

	sorter->vault = vault;
	sorter->most = most;
	sorter->run = run;
	return sorter;
}

void sorter_free(struct sorter *sorter)
{
	if (!sorter)
		return;
	pile_release(&sorter->pile);
	pile_release(&sorter->merged);
	free(sorter->cursors);
	free(sorter->entries);
	free(sorter);
}

int sorter_add(struct sorter *sorter, const struct sorter_entry *entry, struct error *err)
{
	int r = 0;

	if (sorter->count == sorter->run)
		r = spill_run(sorter, err);
	if (r)
		return r;
	if (sorter->count == sorter->capacity) {
		sorter->capacity = sorter->capacity ? sorter->capacity * 2 : 16;
		sorter->entries =
			xreallocarray(sorter->entries, sorter->capacity, sizeof(*sorter->entries));
	}
	sorter->entries[sorter->count++] = *entry;
	sorter->total++;
	return 0;
}

int64_t sorter_count(const struct sorter *sorter)
{
	return sorter->total;
}

int sorter_prepare(struct sorter *sorter, struct error *err)
{
	int r;

	if (!sorter->pile.run_count) {
		sort_entries(sorter);
		return 0;
	}
	if (!sorter->is_spilled) {
		r = spill_run(sorter, err);
		sorter->is_spilled = true;
		return r ? r : 1;
	}
	if (sorter->heap_count || sorter->pile.run_count > FAN || sorter->merged_runs)
		return merge_slice(sorter, err);
	return open_runs(sorter, 0, sorter->pile.run_count, err);
}

int sorter_next(struct sorter *sorter, struct sorter_entry *ret_entry, struct error *err)
{
	int r;

	if (sorter->pile.run_count) {
		if (!sorter->heap_count)
			return 0;
		r = heap_take(sorter, ret_entry, err);
		return r ? r : 1;
	}
	if (sorter->taken == sorter->count)
		return 0;
	*ret_entry = sorter->entries[sorter->taken++];
	return 1;
}
