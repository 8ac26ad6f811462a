#include "daemon/work/lane.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/loop.h"
#include "daemon/model/dialect.h"
#include "daemon/work/api.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/pages.h"
#include "daemon/work/provider.h"
#include "daemon/work/strays.h"

/* Files that are taken from one listing. */
#define MAX_FOUND 1000

/* A stray that is looked for by its name. */
struct sought {
	struct store_stray stray;
	bool is_own_shown; /* so is, under the same name, the file that its shard uses */
	bool is_found;
};

/* A file that has the name of one. */
struct found {
	size_t sought; /* number in the listing */
	char *file_id;
};

struct listing {
	struct sought *sought; /* by name */
	size_t sought_count;
	struct found *found;
	size_t found_count;
	struct pages pages;
};

static int compare_sought(const void *a, const void *b)
{
	return strcmp(((const struct sought *)a)->stray.name, ((const struct sought *)b)->stray.name);
}

static struct sought *find_sought(struct listing *listing, const struct api_file *file)
{
	struct sought key = { .stray.name = file->name };

	if (!file->name)
		return NULL;
	return bsearch(&key, listing->sought, listing->sought_count, sizeof(key), compare_sought);
}

/* A file may stand on two pages, if another was created in between. */
static bool is_known(const struct listing *listing, const char *file_id)
{
	for (size_t i = 0; i < listing->found_count; i++)
		if (strcmp(listing->found[i].file_id, file_id) == 0)
			return true;
	return false;
}

static void visit_file(const struct api_file *file, void *context)
{
	struct lane *lane = context;
	struct listing *listing = lane->listing;
	struct sought *sought = find_sought(listing, file);

	pages_note(&listing->pages, file->created_at);
	if (!sought)
		return;
	/* What cannot be told now is told before it is deleted. */
	if (store_stray_is_used(lane->store, file->id) == 1) {
		sought->is_own_shown = true;
		return;
	}
	/* More bytes than were sent cannot be of an upload of ours; fewer may be of one that was cut. */
	if (file->bytes > sought->stray.bytes ||
	    (file->purpose && strcmp(file->purpose, api_terms(lane->provider->api)->purpose) != 0))
		return;
	if (listing->found_count == MAX_FOUND || is_known(listing, file->id))
		return;
	sought->is_found = true;
	listing->found[listing->found_count++] = (struct found){
		.sought = (size_t)(sought - listing->sought),
		.file_id = xstrdup(file->id),
	};
}

/* Whether its shard has a file of that name which the list must show, or it shows not all there is. */
static bool is_own_missing(struct lane *lane, const struct sought *sought)
{
	auto_shard shard = { 0 };

	return !sought->is_own_shown && !store_shard_get(lane->store, sought->stray.shard, &shard) &&
	       shard.provider_file && store_stray_is_used(lane->store, shard.provider_file) == 1;
}

static bool is_any_missing(struct lane *lane)
{
	const struct listing *listing = lane->listing;

	for (size_t i = 0; i < listing->sought_count; i++)
		if (!listing->sought[i].is_found && is_own_missing(lane, &listing->sought[i]))
			return true;
	return false;
}

/* The names give way to the ids that were found, in one transaction. */
static void end_listing(struct lane *lane, bool is_complete)
{
	struct listing *listing = lane->listing;
	bool is_full = listing->found_count == MAX_FOUND;

	for (size_t i = 0; i < listing->found_count; i++) {
		struct store_stray stray = listing->sought[listing->found[i].sought].stray;

		stray.file_id = listing->found[i].file_id;
		stray.due_at = loop_now_ms(lane->loop);
		stray.tries = 0;
		(void)store_stray_add(lane->store, &stray);
	}
	for (size_t i = 0; i < listing->sought_count; i++) {
		struct sought *sought = &listing->sought[i];

		if (!is_full && (sought->is_found || (is_complete && !is_own_missing(lane, sought))))
			store_stray_remove(lane->store, sought->stray.id);
		else
			lane_try_again(lane, &sought->stray, -1, "the provider's list of files does not show all there are");
	}
	lane_settle(lane);
}

/* Ends the listing without one. */
static void give_up_listing(struct lane *lane, int64_t retry_after_ms, const char *why)
{
	struct listing *listing = lane->listing;

	for (size_t i = 0; i < listing->sought_count; i++)
		lane_try_again(lane, &listing->sought[i].stray, retry_after_ms, why);
	lane_rest(lane, retry_after_ms);
	lane_settle(lane);
}

static void end_unsupported(struct lane *lane)
{
	struct listing *listing = lane->listing;

	for (size_t i = 0; i < listing->sought_count; i++)
		lane_forget(lane, &listing->sought[i].stray, "the provider lists no files");
	lane_settle(lane);
}

static void on_listed(const struct api_answer *answer, void *context)
{
	struct lane *lane = context;
	struct pages *pages = &lane->listing->pages;
	char *last_id = NULL;
	int has_more = -1, more;

	lane->request = NULL;
	if (answer->verdict == API_REFUSED || answer->verdict == API_GONE) {
		/* Some servers refuse `after`: then the first page was all that can be had. */
		if (pages->after)
			end_listing(lane, false);
		else
			end_unsupported(lane);
		return;
	}
	if (answer->verdict != API_OK) {
		give_up_listing(lane, answer->retry_after_ms, "the provider could not be asked for its files");
		return;
	}
	pages_begin(pages);
	if (api_parse_files(answer->body, answer->size, visit_file, lane, &has_more, &last_id, NULL)) {
		give_up_listing(lane, -1, "the provider's list of files cannot be read");
		return;
	}
	more = pages_end(pages, has_more, last_id);
	if (more <= 0 && !(more == 0 && is_any_missing(lane) && pages_go_on(pages)))
		end_listing(lane, more == 0);
	else if (!provider_is_free(lane->provider, API_FILES, loop_now_ms(lane->loop)))
		give_up_listing(lane, -1, "the provider may not be asked now");
	else
		lane->request = api_list_files(lane->provider->api, pages->after, on_listed, lane);
}

void lane_list(struct lane *lane, struct store_stray *strays, size_t count)
{
	struct listing *listing = xcalloc(1, sizeof(*listing));

	listing->sought = xcalloc(count, sizeof(*listing->sought));
	listing->sought_count = count;
	listing->found = xcalloc(MAX_FOUND, sizeof(*listing->found));
	listing->pages.horizon = INT64_MAX;
	listing->pages.is_one = api_terms(lane->provider->api)->list == DIALECT_LIST_ONE_PAGE;
	for (size_t i = 0; i < count; i++) {
		/* Of a time to come, because the clock was set back, nothing is known. */
		int64_t horizon = strays[i].sent_at > loop_now_ms(lane->loop) ? 0 : strays[i].sent_at - LANE_MARGIN_MS;

		if (horizon < listing->pages.horizon)
			listing->pages.horizon = horizon;
		listing->sought[i].stray = strays[i];
		strays[i] = (struct store_stray){ 0 };
	}
	qsort(listing->sought, count, sizeof(*listing->sought), compare_sought);
	lane->listing = listing;
	lane->request = api_list_files(lane->provider->api, NULL, on_listed, lane);
}

void lane_listing_free(struct listing *listing)
{
	if (!listing)
		return;
	for (size_t i = 0; i < listing->sought_count; i++)
		store_stray_release(&listing->sought[i].stray);
	for (size_t i = 0; i < listing->found_count; i++)
		free(listing->found[i].file_id);
	free(listing->sought);
	free(listing->found);
	pages_release(&listing->pages);
	free(listing);
}
