/* How far a list is read: to its horizon or its end, whatever a server says of it. */
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/work/pages.h"
#include "tests/unit/check.h"

#define HORIZON 1000
#define MOST_PAGES 1000

/* One page: the times of what stands on it, each a letter: y young, o old, 0 unknown; and what it says of more. */
struct page {
	const char *objects;
	int has_more;
	const char *last_id; /* NULL: it is empty */
	int then;	     /* what comes of it */
};

struct list {
	const char *name;
	struct page pages[4];
};

/* clang-format off */
static const struct list lists[] = {
	{ "one page is all",              { { "yyy", 0, "a", 0 } } },
	{ "the end is told",              { { "yy", 1, "a", 1 }, { "yy", 1, "b", 1 }, { "y", 0, "c", 0 } } },
	{ "down to the horizon",          { { "yy", 1, "a", 1 }, { "yo", 1, "b", 0 } } },
	{ "nothing is told of time",      { { "00", 1, "a", 1 }, { "00", 1, "b", 1 }, { "0", 0, "c", 0 } } },
	{ "an old one above a young one", { { "oy", 1, "a", 1 }, { "oo", 1, "b", 1 }, { "o", 0, "c", 0 } } },
	{ "each page has its own order",  { { "yY", 1, "a", 1 }, { "yyo", 1, "b", 1 }, { "o", 0, "c", 0 } } },
	{ "no has_more, an empty page",   { { "yy", -1, "a", 1 }, { "", -1, NULL, 0 } } },
	{ "no has_more, past it",         { { "yo", -1, "a", 0 } } },
	{ "nothing, and that is all",     { { "", 0, NULL, 0 } } },
	{ "nothing, yet more",            { { "", 1, NULL, -1 } } },
	{ "the same page for ever",       { { "yy", 1, "a", 1 }, { "yy", 1, "a", -1 } } },
	{ "the same few, without a word", { { "yy", -1, "a", 1 }, { "yy", -1, "a", 0 } } },
	{ "the same twenty, no word",     { { "yyyyyyyyyyyyyyyyyyyy", -1, "a", 1 }, { "yyyyyyyyyyyyyyyyyyyy", -1, "a", -1 } } },
};
/* clang-format on */

static int64_t time_of(char letter)
{
	switch (letter) {
	case 'Y':
		return HORIZON + 20;
	case 'y':
		return HORIZON + 10;
	case 'o':
		return HORIZON - 1;
	}
	return 0;
}

/* clang-format off */
/* Of a dialect whose lists take no parameters. */
static const struct list lists_of_one_page[] = {
	{ "one few, by its dialect",      { { "yy", -1, "a", 0 } } },
	{ "one that tells of more",       { { "yy", 1, "a", 1 }, { "y", -1, "b", 0 } } },
	{ "one that may have been cut",   { { "yyyyyyyyyyyyyyyyyyyy", -1, "a", 1 }, { "yyyyyyyyyyyyyyyyyyyy", -1, "a", -1 } } },
};
/* clang-format on */

static void read_list(const struct list *list, bool is_one)
{
	struct pages pages = { .horizon = HORIZON, .is_one = is_one };

	for (size_t i = 0; i < ARRAY_SIZE(list->pages) && list->pages[i].objects; i++) {
		const struct page *page = &list->pages[i];

		pages_begin(&pages);
		for (const char *letter = page->objects; *letter; letter++)
			pages_note(&pages, time_of(*letter));
		CHECK_ROW(list->name, pages_end(&pages, page->has_more, xstrdup(page->last_id)) == page->then);
		CHECK_ROW(list->name,
			  !page->last_id == !pages.after && (!pages.after || !strcmp(pages.after, page->last_id)));
	}
	pages_release(&pages);
	CHECK_ROW(list->name, !pages.after);
}

static void a_list_is_read_as_far_as_it_must(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		read_list(&lists[i], false);
	for (size_t i = 0; i < ARRAY_SIZE(lists_of_one_page); i++)
		read_list(&lists_of_one_page[i], true);
}

/* What must be there was not above the horizon, so it may be below. */
static void a_list_in_no_order_is_read_on(void)
{
	struct pages pages = { .horizon = HORIZON };

	pages_begin(&pages);
	pages_note(&pages, HORIZON - 1);
	CU_ASSERT_EQUAL(pages_end(&pages, 1, xstrdup("a")), 0);
	CU_ASSERT_TRUE(pages_go_on(&pages));
	CU_ASSERT_STRING_EQUAL(pages.after, "a");
	pages_begin(&pages);
	pages_note(&pages, HORIZON - 1);
	CU_ASSERT_EQUAL(pages_end(&pages, 1, xstrdup("b")), 1);
	pages_begin(&pages);
	pages_note(&pages, HORIZON - 1);
	CU_ASSERT_EQUAL(pages_end(&pages, 0, xstrdup("c")), 0);
	CU_ASSERT_FALSE(pages_go_on(&pages));
	pages_release(&pages);
}

static void no_list_is_read_for_ever(void)
{
	struct pages pages = { .horizon = HORIZON };
	int count = 0, then;

	do {
		pages_begin(&pages);
		pages_note(&pages, HORIZON);
		then = pages_end(&pages, 1, xasprintf("%d", count++));
	} while (then > 0 && count <= MOST_PAGES);
	CU_ASSERT_EQUAL(then, -1);
	CU_ASSERT_EQUAL(count, MOST_PAGES);
	pages_release(&pages);
}

CHECK_MAIN("pages", CHECK(a_list_is_read_as_far_as_it_must), CHECK(a_list_in_no_order_is_read_on),
	   CHECK(no_list_is_read_for_ever))
