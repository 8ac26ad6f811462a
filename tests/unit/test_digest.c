/* Failures by what they say: which messages are one, and how many are kept. */
#include "daemon/work/digest.h"

#include "tests/unit/job_scene.h"

/* clang-format off */
static const struct { const char *message, *gist; } gists[] = {
	{ "", "" },
	{ "no numbers at all", "no numbers at all" },
	{ "This model's maximum context length is 128000 tokens. However, your messages resulted in 130001 tokens. Please reduce the length of the messages.",
	  "This model's maximum context length is # tokens. However, your messages resulted in # tokens. Please reduce the length of the messages." },
	{ "Rate limit reached for gpt-4o in organization org-AbC123dEf on tokens per min (TPM): Limit 30,000, Used 29,171, Requested 1.5. Please try again in 6m0s.",
	  "Rate limit reached for gpt-#o in organization org-# on tokens per min (TPM): Limit #, Used #, Requested #. Please try again in #." },
	{ "try again in 20ms or 1.234s or 1h5m", "try again in # or # or #" },
	{ "An error occurred while processing your request. request ID req_4f8a2b91c7d3 in your email.",
	  "An error occurred while processing your request. request ID req_# in your email." },
	{ "request 550e8400-e29b-41d4-a716-446655440000 failed", "request # failed" },
	{ "req_550e8400-e29b-41d4-a716-446655440000", "req_#" },
	{ "id deadbeef42, not deadbeef", "id #, not deadbeef" },
	{ "chatcmpl-AbCdEfGhIjKlMnOpQrStUvWx", "chatcmpl-#" },
	{ "The model `gpt-4o-mini-2024-07-18` does not exist", "The model `gpt-4o-mini-2024-07-18` does not exist" },
	{ "custom_id 'r-17' is wrong", "custom_id 'r-17' is wrong" },
	{ "custom_id \"row 17\" is wrong", "custom_id \"row #\" is wrong" },
	{ "see \"req_9f8e7d6c5b4a\"", "see \"req_#\"" },
	{ "see '550e8400-e29b-41d4-a716-446655440000'", "see '#'" },
	{ "the users' 5 and the dogs' 6", "the users' # and the dogs' #" },
	{ "it's 5 o'clock", "it's # o'clock" },
	{ "max_tokens: 4096 > 2048", "max_tokens: # > #" },
	{ "Invalid 'messages[12].content': string too long", "Invalid 'messages[12].content': string too long" },
	{ "7fff2a10 at 12:30", "# at #:#" },
	{ "version 3.5.1", "version #" },
	{ "12abc", "#" },
	{ "12xyz", "#xyz" },
	{ "1.", "#." },
	{ "a\n\n\tb  c", "a b c" },
	{ "h\xc3\xa9 5 \xe2\x82\xac", "h\xc3\xa9 # \xe2\x82\xac" },
	{ "'", "'" },
	{ "''", "''" },
	{ "'5", "'#" },
	{ "-5 _6_", "-# _#_" },
};
/* clang-format on */

static void leaves_out_what_differs_from_one_message_to_the_next(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(gists); i++) {
		char gist[DIGEST_MAX_MESSAGE + 1];

		digest_gist(gists[i].message, strlen(gists[i].message), gist);
		CHECK_ROW(gists[i].message, strcmp(gist, gists[i].gist) == 0);
		if (strcmp(gist, gists[i].gist) != 0)
			(void)fprintf(stderr, "# got %s\n", gist);
	}
}

/* Bytes of any kind, NUL among them, in a message of any length: a gist is a text that ends. */
static void makes_a_bounded_text_of_any_bytes(void)
{
	static const char alphabet[] = "a0f-_'\"` .,\0\xc3\xa9msZ\x7f\n";
	uint64_t state = 7;

	for (size_t round = 0; round < 3000; round++) {
		char message[3000], gist[DIGEST_MAX_MESSAGE + 1];
		size_t size = round;

		for (size_t i = 0; i < size; i++) {
			state = state * 6364136223846793005u + 1442695040888963407u;
			message[i] = alphabet[(state >> 33) % (sizeof(alphabet) - 1)];
		}
		memset(gist, 'x', sizeof(gist));
		digest_gist(message, size, gist);
		CU_ASSERT(memchr(gist, '\0', sizeof(gist)) != NULL);
		CU_ASSERT(strpbrk(gist, "\n\x7f") == NULL);
	}
}

static void never_cuts_a_character(void)
{
	for (size_t before = DIGEST_MAX_MESSAGE - 4; before <= DIGEST_MAX_MESSAGE; before++) {
		char message[DIGEST_MAX_MESSAGE + 4], gist[DIGEST_MAX_MESSAGE + 1];

		memset(message, '.', before);
		memcpy(message + before, "\xe2\x82\xac", 3);
		digest_gist(message, before + 3, gist);
		CU_ASSERT_EQUAL(strlen(gist), before + 3 <= DIGEST_MAX_MESSAGE ? before + 3 : before);
	}
}

static struct scene scene;

static void begin(void)
{
	struct job job = {.endpoint = (char *)(uintptr_t) "e",
			  .window = (char *)(uintptr_t) "w",
			  .provider = (char *)(uintptr_t) "p"};

	scene_begin(&scene);
	CU_ASSERT_EQUAL_FATAL(store_job_add(scene.store, &job), SCENE_JOB);
}

static void add(struct digest *digest, const char *code, const char *message, int64_t row)
{
	digest_add(digest, code, strlen(code), message, strlen(message), row);
}

static void note(const struct store_digest *digest, void *context)
{
	struct buffer *text = context;

	buffer_add_format(text, "%d %s|%s|", (int)digest->count, digest->code, digest->sample);
	for (size_t i = 0; i < digest->row_count; i++)
		buffer_add_format(text, " %d", (int)digest->rows[i]);
	buffer_add_text(text, "\n");
}

/* What the store has of the job, most frequent first; frees the digest. */
static char *kept(struct digest *digest, size_t most)
{
	auto_buffer text = {0};

	digest_keep(digest, scene.store, SCENE_JOB);
	digest_free(digest);
	CU_ASSERT_EQUAL(store_digest_list(scene.store, SCENE_JOB, most, note, &text), 0);
	return xstrdup(buffer_text(&text));
}

static void counts_messages_with_their_first_rows(void)
{
	struct digest *digest = digest_new();
	auto_free char *text = NULL;

	begin();
	for (int64_t i = 0; i < 9; i++)
		add(digest, "slow", i % 2 ? "wait 5 s" : "wait 60 s", 10 + i);
	add(digest, "other", "wait 5 s", 30);
	add(digest, "", "", 31);
	text = kept(digest, 10);
	CU_ASSERT_STRING_EQUAL(text, "9 slow|wait 60 s| 10 11 12 13 14\n1 || 31\n1 other|wait 5 s| 30\n");
	scene_end(&scene);
}

static void adds_up_over_shards(void)
{
	struct digest *first = digest_new(), *second = digest_new();
	auto_free char *text = NULL;

	begin();
	add(first, "a", "m 1", 100);
	free(kept(first, 10));
	add(second, "a", "m 2", 5);
	add(second, "b", "m", 6);
	text = kept(second, 10);
	CU_ASSERT_STRING_EQUAL(text, "2 a|m 1| 5 100\n1 b|m| 6\n");
	scene_end(&scene);
}

static void counts_the_rest_as_other(void)
{
	struct digest *digest = digest_new();
	auto_free char *text = NULL;
	size_t lines = 0;

	begin();
	for (int64_t i = 0; i < DIGEST_MAX + 20; i++) {
		char code[16];

		(void)snprintf(code, sizeof(code), "code-%d", (int)i);
		add(digest, code, "m", i);
	}
	add(digest, "code-0", "m", 500);
	text = kept(digest, 1000);
	for (const char *at = text; (at = strchr(at, '\n')); at++)
		lines++;
	CU_ASSERT_EQUAL(lines, DIGEST_MAX + 1);
	CU_ASSERT_PTR_EQUAL(strstr(text, "20 || 100 101 102 103 104\n2 code-0|m| 0 500\n1 code-1|"), text);
	/* Of the whole job, too. */
	free(text);
	digest = digest_new();
	add(digest, "new", "m", 7);
	add(digest, "code-1", "m", 8);
	text = kept(digest, 2);
	CU_ASSERT_STRING_EQUAL(text, "21 || 7 100 101 102 103 104\n2 code-0|m| 0 500\n");
	scene_end(&scene);
}

static void keeps_codes_and_messages_of_any_size(void)
{
	struct digest *digest = digest_new();
	auto_free char *text = NULL, *code = xcalloc(1, 70001), *message = xcalloc(1, 70001);

	begin();
	memset(code, 'c', 70000);
	memset(message, 'm', 70000);
	message[3] = '\0';
	message[4] = '\n';
	digest_add(digest, code, 70000, message, 70000, 1);
	text = kept(digest, 10);
	CU_ASSERT_EQUAL(strlen(text), strlen("1 ") + 64 + 1 + DIGEST_MAX_MESSAGE + strlen("| 1\n"));
	CU_ASSERT_PTR_NOT_NULL(strstr(text, "|mmm  mm"));
	scene_end(&scene);
}

/* clang-format off */
CHECK_MAIN("digest",
	   CHECK(leaves_out_what_differs_from_one_message_to_the_next),
	   CHECK(makes_a_bounded_text_of_any_bytes),
	   CHECK(never_cuts_a_character),
	   CHECK(counts_messages_with_their_first_rows),
	   CHECK(adds_up_over_shards),
	   CHECK(counts_the_rest_as_other),
	   CHECK(keeps_codes_and_messages_of_any_size))
/* clang-format on */
