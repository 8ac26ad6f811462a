#include "daemon/model/names.h"

#include <errno.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "tests/unit/check.h"

static void walks_over_names_and_the_blanks_around_them(void)
{
	/* clang-format off */
	static const struct { const char *text, *found; } rows[] = {
		{ "a", "(a)" }, { "a,b", "(a)(b)" }, { " a ,\tb ", "(a)(b)" }, { "", "()" }, { ",", "()()" }, { " , ", "()()" },
		{ "a,,b", "(a)()(b)" }, { "a b", "(a b)" }, { "openai,azure-eu,x.y_9", "(openai)(azure-eu)(x.y_9)" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		struct names names = {.rest = rows[i].text};
		auto_buffer found = {0};

		while (names_next(&names)) {
			auto_free char *name = names_copy(&names);

			CHECK_ROW(rows[i].text, names_is(&names, name));
			buffer_add_format(&found, "(%s)", name);
		}
		CHECK_ROW(rows[i].text, strcmp(buffer_text(&found), rows[i].found) == 0);
		CHECK_ROW(rows[i].text, !names_next(&names));
	}
}

static void knows_whole_names_alone(void)
{
	CU_ASSERT_TRUE(names_have("a,bc", "a") && names_have("a,bc", "bc") && names_have("", ""));
	CU_ASSERT_FALSE(names_have("a,bc", "b") || names_have("a,bc", "a,bc") || names_have("a", "") || names_have("ab", "a"));
}

static void keeps_a_list_without_blanks(void)
{
	/* clang-format off */
	static const struct { const char *text, *list; } rows[] = {
		{ "a", "a" }, { " a , b ", "a,b" }, { "b,a", "b,a" }, { "a,A", "a,A" },
		{ "0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f", "0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f" },
		{ "", NULL }, { " ", NULL }, { "a,", NULL }, { ",a", NULL }, { "a,,b", NULL }, { "a,b,a", NULL }, { "a, a", NULL },
		{ "0,1,2,3,4,5,6,7,8,9,a,b,c,d,e,f,g", NULL },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		auto_free char *list = NULL;
		struct error err = {0};
		int r = names_read(rows[i].text, &list, &err);

		CHECK_ROW(rows[i].text, r == (rows[i].list ? 0 : -EINVAL));
		CHECK_ROW(rows[i].text, rows[i].list ? list && strcmp(list, rows[i].list) == 0 : !list && *err.text);
	}
}

/* clang-format off */
CHECK_MAIN("names",
	   CHECK(walks_over_names_and_the_blanks_around_them),
	   CHECK(knows_whole_names_alone),
	   CHECK(keeps_a_list_without_blanks))
/* clang-format on */
