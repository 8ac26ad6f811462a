#include <errno.h>

#include "daemon/base/cleanup.h"
#include "daemon/model/moment.h"
#include "tests/unit/check.h"

/* clang-format off */
static const struct { const char *text; int64_t seconds; } right[] = {
	{ "0", 0 },				{ "1790000000", 1790000000 },
	{ "1970-01-01T00:00:00Z", 0 },		{ "1970-01-01T00:00Z", 0 },
	{ "2026-12-01T08:00:00Z", 1796112000 },	{ "2026-12-01 08:00+00:00", 1796112000 },
	{ "2026-12-01t09:00:00+01:00", 1796112000 }, { "2026-12-01T02:30:00-05:30", 1796112000 },
	{ "2024-02-29T23:59:59z", 1709251199 },	{ "2000-02-29T00:00Z", 951782400 },
	{ "2100-03-01T00:00Z", 4107542400 },	{ "9999-12-31T23:59:59Z", MOMENT_LAST / 1000 },
};

static const char *const wrong[] = {
	"", " ", "-1", "+1", "1.5", "1790000000 ", "1790000000000", "0x10", "now", "22:00", "+2h",
	"2026-12-01", "2026-12-01T08:00:00", "2026-12-01 08:00", "2026-12-01T08Z", "2026-12-01T08:00:00ZZ",
	"2026-13-01T08:00Z", "2026-00-01T08:00Z", "2026-04-31T08:00Z", "2026-02-29T08:00Z", "2100-02-29T08:00Z",
	"2026-12-01T24:00Z", "2026-12-01T08:60Z", "2026-12-01T08:00:60Z", "2026-12-01T08:00+0100", "2026-12-01T08:00+24:00",
	"2026-12-1T08:00Z", "1969-12-31T23:59:59Z", "1970-01-01T00:00+01:00", "9999-12-31T23:59:59-00:01",
	"2026-12-01T08:00:00.5Z", "10000-01-01T00:00Z", "2026/12/01T08:00Z",
};
/* clang-format on */

static void reads_seconds_and_dates_with_a_zone(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(right); i++) {
		int64_t ms = -1;

		CHECK_ROW(right[i].text, moment_parse(right[i].text, &ms) == 0);
		CHECK_ROW(right[i].text, ms == right[i].seconds * 1000);
	}
}

static void refuses_anything_else(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
		int64_t ms = -1;

		CHECK_ROW(wrong[i], moment_parse(wrong[i], &ms) == -EINVAL);
		CHECK_ROW(wrong[i], ms == -1);
	}
}

CHECK_MAIN("moment", CHECK(reads_seconds_and_dates_with_a_zone), CHECK(refuses_anything_else))
