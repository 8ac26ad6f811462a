#include "daemon/work/pages.h"

#include <stdlib.h>
#include <string.h>

/* A list longer than this is not read to its end. */
#define MAX_PAGES 1000
/* Servers that tell neither has_more nor honour `after` show the newest ones; fewer than a page of the usual size are all there are. */
#define SMALL_PAGE 20

void pages_begin(struct pages *pages)
{
	pages->on_page = 0;
	pages->created_before = 0;
}

void pages_note(struct pages *pages, int64_t created_at)
{
	pages->on_page++;
	if (!created_at)
		return;
	if (pages->created_before && created_at > pages->created_before)
		pages->is_unordered = true;
	pages->created_before = created_at;
	if (created_at < pages->horizon)
		pages->is_past_horizon = true;
}

int pages_end(struct pages *pages, int has_more, char *last_id)
{
	bool is_repeated = last_id && pages->after && strcmp(last_id, pages->after) == 0;

	free(pages->after);
	pages->after = last_id;
	/* A long one may have been cut, whatever its provider documents. */
	if (pages->is_one && has_more < 0 && pages->on_page < SMALL_PAGE)
		has_more = 0;
	pages->is_at_end = has_more == 0 || !last_id;
	if (has_more == 0 || (pages->is_past_horizon && !pages->is_unordered))
		return 0;
	/* A page that shows nothing, yet promises more, leaves nowhere to go on from. */
	if (!last_id)
		return has_more > 0 ? -1 : 0;
	if (is_repeated)
		return has_more < 0 && pages->on_page < SMALL_PAGE ? 0 : -1;
	return ++pages->count < MAX_PAGES ? 1 : -1;
}

bool pages_go_on(struct pages *pages)
{
	if (!pages->is_past_horizon || pages->is_at_end)
		return false;
	pages->is_unordered = true;
	return true;
}

void pages_release(struct pages *pages)
{
	free(pages->after);
	*pages = (struct pages){ 0 };
}
