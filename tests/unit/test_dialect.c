/* What providers want to be sent: every row of the table is whole, and the texts in it mean what they say. */
#include "daemon/model/dialect.h"

#include <string.h>

#include "daemon/base/cleanup.h"
#include "tests/unit/check.h"

/* clang-format off */
static const struct {
	const char *windows, *wanted, *sent; /* sent NULL: nothing is */
} windows[] = {
	{ "24h", "24h", "24h" }, { "24h", "48h", "24h" }, { "24h", "", "24h" },
	{ "omit", "24h", NULL }, { "any", "24h", "24h" }, { "any", "36h15m", "36h15m" },
	{ "24h..7d", "24h", "24h" }, { "24h..7d", "168h", "168h" }, { "24h..7d", "7d", "7d" }, { "24h..7d", "169h", "24h" },
	{ "24h..7d", "8d", "24h" }, { "24h..7d", "23h", "24h" }, { "24h..7d", "30m", "24h" }, { "24h..7d", "", "24h" },
	{ "12h..7d", "1h", "24h" }, { "12h..7d", "12h", "12h" }, { "1h background", "background", "background" },
	{ "1h background", "24h", "1h" }, { "2d..3d 1h", "1d", "2d" }, { "2d..3d 1h", "1h", "1h" }, { "2d..3d 1h", "60h", "60h" },
	{ " 48h  24h ", "9h", "24h" }, { "24hx", "24h", "24hx" }, { "24h", "24", "24h" }, { "1h..2h", "99999999h", "1h" },
};

static const struct {
	const char *windows;
	bool is_right;
} texts[] = {
	{ "24h", true }, { "24h 48h", true }, { "12h..7d", true }, { "any", true }, { "omit", true }, { "background", true },
	{ "", false }, { " ", false }, { "7d..12h", false }, { "24h..", false }, { "..24h", false }, { "24h..x", false },
	{ "24h any", false }, { "24h omit", false }, { "1h30m..2h", false }, { "24h..24h", true },
	{ "012345678901234567890123456789012", false },
};

static const struct {
	const char *prefix, *url, *sent;
	int64_t growth;
} urls[] = {
	{ NULL,    "/v1/embeddings",       "/v1/embeddings",            0 },
	{ "/v1",   "/v1/embeddings",       "/v1/embeddings",            0 },
	{ "/v4",   "/v1/embeddings",       "/v4/embeddings",            0 },
	{ "",      "/v1/chat/completions", "/chat/completions",        -3 },
	{ "/a/v1", "/v1/chat/completions", "/a/v1/chat/completions",    2 },
	{ "/v4",   "/v10/x",               "/v10/x",                    0 },
	{ "",      "/v1",                  "/v1",                      -3 },
};
/* clang-format on */

static bool is_text(const char *got, const char *wanted)
{
	return wanted ? got && !strcmp(got, wanted) : !got;
}

static void every_row_is_whole(void)
{
	const struct dialect *row;

	for (size_t i = 0; (row = dialect_at(i)); i++) {
		CHECK_ROW(row->name, dialect_find(row->name) == row);
		CHECK_ROW(row->name, row->auth_header && *row->auth_header && !strpbrk(row->auth_header, ": \r\n"));
		CHECK_ROW(row->name, !row->auth_prefix || (*row->auth_prefix && !strchr(row->auth_prefix, ' ')));
		CHECK_ROW(row->name, row->purpose && row->upload_type && strchr(row->upload_type, '/'));
		CHECK_ROW(row->name, !row->query || (strchr(row->query, '=') && !strpbrk(row->query, "?# ")));
		CHECK_ROW(row->name, row->windows && dialect_windows_are_right(row->windows));
		CHECK_ROW(row->name, !row->url_prefix || !*row->url_prefix || *row->url_prefix == '/');
		CHECK_ROW(row->name, !row->create_extra || *row->create_extra == '{');
		CHECK_ROW(row->name, row->upload_expiry == DIALECT_EXPIRY_NONE ||
					     (row->upload_expiry_min_s >= 3600 && row->upload_expiry_max_s > row->upload_expiry_min_s));
		CHECK_ROW(row->name, row->output_expiry_max_s >= row->output_expiry_min_s);
		CHECK_ROW(row->name, row->max_requests >= 1000 && row->max_bytes >= 1000000 && row->max_inputs >= 1000);
		CHECK_ROW(row->name, row->max_batches >= 0 && row->batches_per_hour >= 0);
		CHECK_ROW(row->name, row->uploads_per_minute >= 0 && row->lists_per_minute >= 0);
		CHECK_ROW(row->name, row->poll_floor_ms >= 5000 && row->poll_floor_ms <= 60000);
		CHECK_ROW(row->name, dialect_takes(row->endpoints, "/v1/chat/completions"));
	}
	CU_ASSERT_STRING_EQUAL(dialect_at(0)->name, DIALECT_DEFAULT);
}

static void what_differs_is_what_the_providers_document(void)
{
	const struct dialect *azure = dialect_find("azure"), *dated = dialect_find("azure-dated");
	const struct dialect *groq = dialect_find("groq"), *zhipu = dialect_find("zhipu");

	CU_ASSERT_FATAL(azure && dated && groq && zhipu);
	CU_ASSERT_STRING_EQUAL(azure->auth_header, "api-key");
	CU_ASSERT(!azure->auth_prefix && azure->waits_for_file && azure->upload_expiry == DIALECT_EXPIRY_DOTTED);
	CU_ASSERT(azure->poll_floor_ms == 60000 && azure->upload_expiry_min_s == 1209600 && !azure->query);
	CU_ASSERT(dated->query && strncmp(dated->query, "api-version=", 12) == 0 && *dated->url_prefix == '\0');
	CU_ASSERT(groq->list == DIALECT_LIST_ONE_PAGE && groq->max_bytes == 100000000);
	CU_ASSERT_FALSE(dialect_takes(groq->endpoints, "/v1/embeddings"));
	CU_ASSERT_STRING_EQUAL(zhipu->url_prefix, "/v4");
	CU_ASSERT(is_text(zhipu->windows, "omit") && strstr(zhipu->create_extra, "auto_delete_input_file"));
	CU_ASSERT(dialect_find("dashscope")->lists_per_minute == 100 && dialect_find("deepinfra")->max_batches == 100);
	CU_ASSERT(dialect_find("perplexity")->upload_expiry == DIALECT_EXPIRY_NONE && dialect_find("aibrix")->needs_extra);
	CU_ASSERT_PTR_NULL(dialect_find("together"));
	CU_ASSERT_PTR_NULL(dialect_find(""));
}

static void all_names_are_listed(void)
{
	auto_free char *names = dialect_names();
	const struct dialect *row;
	size_t size = 0;

	for (size_t i = 0; (row = dialect_at(i)); i++) {
		CHECK_ROW(row->name, strstr(names, row->name) != NULL);
		size += strlen(row->name) + (i ? 2 : 0);
	}
	CU_ASSERT_EQUAL(strlen(names), size);
}

static void a_window_that_is_not_taken_gives_way(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(windows); i++) {
		auto_free char *sent = dialect_window(windows[i].windows, windows[i].wanted);

		CHECK_ROW(windows[i].windows, is_text(sent, windows[i].sent));
		CHECK_ROW(windows[i].wanted, is_text(sent, windows[i].sent));
	}
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++)
		CHECK_ROW(texts[i].windows, dialect_windows_are_right(texts[i].windows) == texts[i].is_right);
}

static void an_official_url_becomes_the_providers(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(urls); i++) {
		auto_free char *sent = dialect_url(urls[i].prefix, urls[i].url);

		CHECK_ROW(urls[i].url, is_text(sent, urls[i].sent));
		if (strncmp(urls[i].url, "/v1/", 4) == 0)
			CHECK_ROW(urls[i].url, dialect_url_growth(urls[i].prefix) == urls[i].growth &&
						       (int64_t)strlen(sent) - (int64_t)strlen(urls[i].url) == urls[i].growth);
	}
}

static void an_endpoint_is_taken_as_a_whole(void)
{
	static const char both[] = "/v1/chat/completions /v1/embeddings";

	CU_ASSERT_TRUE(dialect_takes(NULL, "/v1/videos"));
	CU_ASSERT_TRUE(dialect_takes(both, "/v1/embeddings"));
	CU_ASSERT_TRUE(dialect_takes(both, "/v1/chat/completions"));
	CU_ASSERT_FALSE(dialect_takes(both, "/v1/chat"));
	CU_ASSERT_FALSE(dialect_takes(both, "/v1/completions"));
	CU_ASSERT_FALSE(dialect_takes(both, ""));
	CU_ASSERT_FALSE(dialect_takes("", "/v1/embeddings"));
}

CHECK_MAIN("dialect", CHECK(every_row_is_whole), CHECK(what_differs_is_what_the_providers_document),
	   CHECK(all_names_are_listed), CHECK(a_window_that_is_not_taken_gives_way),
	   CHECK(an_official_url_becomes_the_providers), CHECK(an_endpoint_is_taken_as_a_whole))
