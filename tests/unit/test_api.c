/*
 * What an answer means: every status for every call, judged here by rules of the test's own, written from the design and the
 * documents and not from the table; and what leaves for the provider, as the other end sees it.
 */
#include <stdbool.h>
#include <string.h>

#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/http.h"
#include "daemon/work/api.h"
#include "tests/sim/model.h"
#include "tests/unit/check.h"
#include "tests/world/http.h"
#include "tests/world/loop.h"

static const enum api_call calls[] = { API_UPLOAD, API_CREATE, API_RETRIEVE, API_LIST,
				       API_CANCEL, API_CONTENT, API_DELETE, API_CONTENT_REST, API_FILES, API_FILE };

static bool is_clear_refusal(int status)
{
	return status >= 400 && status < 500 && status != 408 && status != 409 && status != 499;
}

/* The caller is sent elsewhere with the same call; any other redirect may mean that it was done. */
static bool is_moved(int status)
{
	return status == 301 || status == 307 || status == 308;
}

/* A create leaves no doubt only when it is done, or clearly refused, or did not leave. */
static void only_a_clear_word_settles_a_create(void)
{
	for (int status = 0; status < 1000; status++) {
		enum api_verdict verdict = api_judge(API_CREATE, HTTP_ANSWERED, status, NULL, NULL);
		bool is_settled = (status >= 200 && status < 300) || is_moved(status) || is_clear_refusal(status);

		CU_ASSERT_EQUAL(verdict == API_DOUBT, !is_settled);
		CU_ASSERT_EQUAL(verdict == API_OK, status >= 200 && status < 300);
		CU_ASSERT_EQUAL(api_judge(API_CREATE, HTTP_CUT, status, NULL, NULL), API_DOUBT);
		CU_ASSERT_EQUAL(api_judge(API_CREATE, HTTP_ABORTED, status, NULL, NULL), API_DOUBT);
		CU_ASSERT_EQUAL(api_judge(API_CREATE, HTTP_NOT_SENT, status, NULL, NULL), API_AGAIN);
	}
}

static void nothing_else_is_ever_in_doubt(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (int status = 0; status < 1000 && calls[i] != API_CREATE; status++) {
			CU_ASSERT_NOT_EQUAL(api_judge(calls[i], HTTP_ANSWERED, status, NULL, NULL), API_DOUBT);
			CU_ASSERT_EQUAL(api_judge(calls[i], HTTP_CUT, status, NULL, NULL), API_AGAIN);
			CU_ASSERT_EQUAL(api_judge(calls[i], HTTP_ABORTED, status, NULL, NULL), API_AGAIN);
			CU_ASSERT_EQUAL(api_judge(calls[i], HTTP_NOT_SENT, status, NULL, NULL), API_AGAIN);
		}
}

/* The verdict that a status has where no call has a word of its own about it. */
static enum api_verdict general(enum api_call call, int status)
{
	switch (status) {
	case 401:
	case 402:
	case 403:
	case 407:
		return API_PAUSE;
	case 404:
	case 410:
		return API_GONE;
	case 408:
	case 409:
	case 499:
		return call == API_CREATE ? API_DOUBT : API_AGAIN;
	case 413:
		/* Of what has no body it is some proxy's word, and says nothing of what is there. */
		return call == API_CREATE || call == API_UPLOAD ? API_TOO_LARGE : API_AGAIN;
	case 425:
	case 429:
		return API_AGAIN;
	}
	if (status >= 200 && status < 300)
		return API_OK;
	if (status >= 300 && status < 400)
		return call == API_CREATE && !is_moved(status) ? API_DOUBT : API_PAUSE;
	if (status >= 400 && status < 500)
		return API_REFUSED;
	return call == API_CREATE ? API_DOUBT : API_AGAIN;
}

/* clang-format off */
static const struct { enum api_call call; int status; enum api_verdict verdict; } special[] = {
	{ API_UPLOAD,  404, API_PAUSE   },
	{ API_UPLOAD,  405, API_PAUSE   },
	{ API_CREATE,  404, API_AGAIN   },
	{ API_LIST,    404, API_REFUSED },
	{ API_LIST,    405, API_REFUSED },
	{ API_FILES,   404, API_REFUSED },
	{ API_FILES,   405, API_REFUSED },
	{ API_FILES,   501, API_REFUSED },
	{ API_DELETE,  501, API_REFUSED },
	{ API_DELETE,  409, API_REFUSED },
	{ API_CANCEL,  409, API_REFUSED },
	{ API_CONTENT_REST, 206, API_OK    },
	{ API_CONTENT_REST, 416, API_AGAIN },
};

static const struct { const char *code, *message; int low, high; enum api_verdict verdict; } worded[] = {
	{ "insufficient_quota",                NULL, 400, 499, API_PAUSE },
	{ "billing_hard_limit_reached",        NULL, 400, 499, API_PAUSE },
	{ "billing_not_active",                NULL, 400, 499, API_PAUSE },
	{ "organization_spend_limit_exceeded", NULL, 400, 499, API_PAUSE },
	{ "project_spend_limit_exceeded",      NULL, 400, 499, API_PAUSE },
	{ "organization_usage_limit_exceeded", NULL, 400, 499, API_PAUSE },
	{ "token_limit_exceeded",              NULL, 400, 499, API_FULL  },
	{ NULL, "Enqueued token limit reached for m",                400, 499, API_FULL },
	{ "400", "The number of enqueued tokens has surpassed the limit", 400, 499, API_FULL },
};
/* clang-format on */

static enum api_verdict wanted(enum api_call call, int status)
{
	for (size_t i = 0; i < ARRAY_SIZE(special); i++)
		if (special[i].call == call && special[i].status == status)
			return special[i].verdict;
	/* Only 200 is the file: 202 says "later", 206 gives a part that nobody asked for. */
	if ((call == API_CONTENT || call == API_CONTENT_REST) && status > 200 && status < 300)
		return API_AGAIN;
	return general(call, status);
}

static void every_status_of_every_call_has_its_verdict(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
		for (int status = 100; status < 600; status++) {
			char row[32];

			(void)snprintf(row, sizeof(row), "call %d, %d", (int)calls[i], status);
			CHECK_ROW(row, api_judge(calls[i], HTTP_ANSWERED, status, NULL, NULL) ==
					       wanted(calls[i], status));
			CHECK_ROW(row, api_judge(calls[i], HTTP_ANSWERED, status, "rate_limit_exceeded", "slow down") ==
					       wanted(calls[i], status));
		}
}

static void some_words_mean_more_than_the_status(void)
{
	for (size_t k = 0; k < ARRAY_SIZE(worded); k++)
		for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
			for (int status = 100; status < 600; status++) {
				bool is_meant = status >= worded[k].low && status <= worded[k].high;

				CU_ASSERT_EQUAL(api_judge(calls[i], HTTP_ANSWERED, status, worded[k].code,
							  worded[k].message),
						is_meant ? worded[k].verdict : wanted(calls[i], status));
			}
}

/* A batch that is too large by the provider's own words may be cut; what sounds like it, and is not, must not be. */
static void what_is_too_large_is_known_by_its_words(void)
{
	/* clang-format off */
	static const struct { const char *code, *message; bool is_meant; } cases[] = {
		{ "file_too_large", NULL, true },
		{ "too_many_tasks", "The number of requests in the input file exceeds the limit of 100000.", true },
		{ "max_file_size_exceeded", "x", true },
		{ NULL, "File is too large. Maximum file size for purpose 'batch' is 200000000 bytes.", true },
		{ "invalid_request_error", "Request Entity Too Large", true },
		{ NULL, "The file size of 210 MB exceeds what is allowed", true },
		{ "invalid_value", "There are too many requests in this file", true },
		{ "invalid_value", "Too many lines in the batch", true },
		{ "400", "The number of embedding inputs in the input file exceeds the limit of 50000.", true },
		{ "rate_limit_exceeded", "Too many requests", false },
		{ NULL, "Too Many Requests", false },
		{ NULL, "The number of requests a minute exceeds your limit", false },
		{ "invalid_value", "max_tokens is too large: 40000. This model supports at most 16384.", false },
		{ "context_length_exceeded", "This model's maximum context length is 128000 tokens", false },
		{ "invalid_type", "metadata.file: string too long", false },
		{ "too_large_to_fail", "x", false },
		{ NULL, "Invalid file format for Batch API. Must be .jsonl", false },
		{ NULL, NULL, false },
	};
	/* clang-format on */

	for (size_t k = 0; k < ARRAY_SIZE(cases); k++)
		for (size_t i = 0; i < ARRAY_SIZE(calls); i++)
			for (int status = 100; status < 600; status++) {
				bool has_body = calls[i] == API_UPLOAD || calls[i] == API_CREATE;
				bool is_meant = cases[k].is_meant && has_body && (status == 400 || status == 422);

				CHECK_ROW(cases[k].message ? cases[k].message : "-",
					  api_judge(calls[i], HTTP_ANSWERED, status, cases[k].code, cases[k].message) ==
						  (is_meant ? API_TOO_LARGE : wanted(calls[i], status)));
			}
}

/* A full queue is waited for, and nothing is cut for it. */
static void a_full_queue_is_not_too_large(void)
{
	CU_ASSERT_EQUAL(api_judge(API_CREATE, HTTP_ANSWERED, 400, "too_many_tasks", "Enqueued token limit reached"), API_FULL);
	CU_ASSERT_EQUAL(api_judge(API_CREATE, HTTP_ANSWERED, 413, "token_limit_exceeded", NULL), API_FULL);
}

/* --- what leaves, and what comes of it --- */

struct bench {
	struct loop *loop;
	struct sim *sim;
	struct http_network network;
	struct http *http;
	struct api *api;
	struct config_provider config;
	bool is_done;
	enum api_verdict verdict;
	int status;
	int64_t retry_after_ms;
	char words[600];
	char code[100];
	struct buffer data;
};

static int64_t now_of(void *context)
{
	return loop_now_ms(context);
}

static void bench_begin(struct bench *bench, const char *script)
{
	static const struct sim_config config = { .key = "secret" };

	*bench = (struct bench){ .loop = loop_new() };
	bench->config = (struct config_provider){ .name = (char *)(uintptr_t) "p",
						  .base_url = (char *)(uintptr_t) "http://sim/v1",
						  .call_timeout = 60000 };
	bench->sim = sim_new(&config, now_of, bench->loop);
	bench->network.sim = bench->sim;
	bench->http = http_new(bench->loop, "test");
	http_connect(bench->http, &bench->network);
	bench->api = api_new(bench->http, &bench->config, "secret", now_of, bench->loop);
	CU_ASSERT_EQUAL_FATAL(sim_add_script(bench->sim, script, strlen(script), NULL), 0);
}

static void bench_end(struct bench *bench)
{
	api_free(bench->api);
	http_free(bench->http);
	sim_free(bench->sim);
	loop_free(bench->loop);
	buffer_release(&bench->data);
}

static void on_answer(const struct api_answer *answer, void *context)
{
	struct bench *bench = context;

	bench->is_done = true;
	bench->verdict = answer->verdict;
	bench->status = answer->status;
	bench->retry_after_ms = answer->retry_after_ms;
	(void)snprintf(bench->words, sizeof(bench->words), "%s", answer->words ? answer->words : "");
	(void)snprintf(bench->code, sizeof(bench->code), "%s", answer->code ? answer->code : "");
}

static int on_piece(const struct http_response *head, const char *bytes, size_t size, void *context)
{
	CU_ASSERT_EQUAL(head->status / 100, 2);
	buffer_add(&((struct bench *)context)->data, bytes, size);
	return 0;
}

static void bench_wait(struct bench *bench)
{
	while (!bench->is_done)
		loop_run_once(bench->loop, 1);
}

static void refusals_are_told_in_the_providers_words(void)
{
	/* clang-format off */
	static const struct { const char *script; enum api_verdict verdict; const char *code, *words; } cases[] = {
		{ "{\"action\":\"status\",\"status\":400,\"code\":\"c\",\"message\":\"m\"}", API_REFUSED, "c", "HTTP 400 c: m" },
		{ "{\"action\":\"status\",\"status\":503,\"body\":\"html\",\"message\":\"m\"}", API_AGAIN, "", "HTTP 503" },
		{ "{\"action\":\"status\",\"status\":500,\"body\":\"empty\"}", API_AGAIN, "", "HTTP 500" },
		{ "{\"action\":\"status\",\"status\":400,\"body\":\"detail\",\"message\":\"why\"}", API_REFUSED, "", "why" },
		{ "{\"action\":\"status\",\"status\":400,\"body\":\"text\",\"message\":\"plain\"}", API_REFUSED, "", "plain" },
		{ "{\"action\":\"status\",\"status\":400,\"body\":\"json_string\",\"message\":\"s\"}", API_REFUSED, "", "HTTP 400: s" },
		{ "{\"action\":\"status\",\"status\":400,\"body\":\"int_code\",\"message\":\"i\"}", API_REFUSED, "400", "i" },
		{ "{\"action\":\"status\",\"status\":308,\"location\":\"https://else.example/\"}", API_PAUSE, NULL, "base_url moved to https://else.example/" },
		{ "{\"action\":\"drop_after\"}", API_AGAIN, "", "" },
		{ "{\"action\":\"body\",\"status\":200,\"text\":\"?\"}", API_AGAIN, "", "not what the API promises" },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench bench;

		bench_begin(&bench, cases[i].script);
		(void)api_retrieve(bench.api, "batch_1", on_answer, &bench);
		bench_wait(&bench);
		CHECK_ROW(cases[i].script, bench.verdict == cases[i].verdict);
		CHECK_ROW(cases[i].script, !cases[i].code || strcmp(bench.code, cases[i].code) == 0);
		CHECK_ROW(cases[i].script, strstr(bench.words, cases[i].words) != NULL);
		bench_end(&bench);
	}
}

/* Content alone may be elsewhere; the key stays here, and a refusal there is no refusal of our account. */
static void redirects_are_followed_without_the_key(void)
{
	/* clang-format off */
	static const struct { const char *script; enum api_verdict verdict; int64_t calls; } cases[] = {
		{ "{\"action\":\"redirect\",\"location\":\"http://files/v1/files/x/content\",\"count\":1}", API_AGAIN, 2 },
		{ "{\"action\":\"redirect\",\"location\":\"/v1/files/x/content\",\"count\":1}", API_AGAIN, 1 },
		{ "{\"action\":\"status\",\"status\":302}", API_PAUSE, 1 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct bench bench;

		bench_begin(&bench, cases[i].script);
		(void)api_content(bench.api, "x", 0, NULL, on_piece, on_answer, &bench);
		bench_wait(&bench);
		CHECK_ROW(cases[i].script, bench.verdict == cases[i].verdict);
		CHECK_ROW(cases[i].script, bench.network.calls == cases[i].calls);
		bench_end(&bench);
	}
}

/* Newest first, 100 at a time, and by the id of the last one from there on. */
static void files_are_listed_page_by_page_and_deleted(void)
{
	static const char list[] = "[{\"call\":\"files\",\"action\":\"body\",\"text\":\"{\\\"data\\\":[]}\",\"nth\":1},"
				   "{\"call\":\"files\",\"action\":\"gone\",\"paged\":true}]";
	struct bench bench;

	bench_begin(&bench, list);
	(void)api_list_files(bench.api, NULL, on_answer, &bench);
	bench_wait(&bench);
	CU_ASSERT_EQUAL(bench.verdict, API_OK);
	bench.is_done = false;
	(void)api_list_files(bench.api, "a&b=c", on_answer, &bench);
	bench_wait(&bench);
	CU_ASSERT(bench.verdict == API_GONE && bench.status == 410);
	bench.is_done = false;
	(void)api_delete(bench.api, "file-x", on_answer, &bench);
	bench_wait(&bench);
	CU_ASSERT(bench.verdict == API_GONE && bench.status == 404);
	CU_ASSERT_EQUAL(sim_calls(bench.sim, "files"), 2);
	CU_ASSERT_EQUAL(sim_calls(bench.sim, "delete"), 1);
	bench_end(&bench);
}

static void ids_are_escaped(void)
{
	struct bench bench;

	bench_begin(&bench, "{\"action\":\"pieces\",\"piece\":1}");
	(void)api_retrieve(bench.api, "a/../b?c d", on_answer, &bench);
	bench_wait(&bench);
	CU_ASSERT_EQUAL(bench.verdict, API_GONE);
	CU_ASSERT_EQUAL(bench.status, 404);
	bench_end(&bench);
}

static void an_aborted_call_says_nothing(void)
{
	struct bench bench;
	struct api_request *request;

	bench_begin(&bench, "{\"action\":\"delay\",\"ms\":1000}");
	request = api_list(bench.api, NULL, on_answer, &bench);
	CU_ASSERT_FALSE(api_is_sent(request));
	loop_run_once(bench.loop, 1);
	CU_ASSERT_TRUE(api_is_sent(request));
	api_abort(request);
	loop_run_once(bench.loop, 1);
	CU_ASSERT_FALSE(bench.is_done);
	CU_ASSERT_EQUAL(http_count(bench.http), 0);
	bench_end(&bench);
}

CHECK_MAIN("api", CHECK(only_a_clear_word_settles_a_create), CHECK(nothing_else_is_ever_in_doubt),
	   CHECK(every_status_of_every_call_has_its_verdict), CHECK(some_words_mean_more_than_the_status),
	   CHECK(what_is_too_large_is_known_by_its_words), CHECK(a_full_queue_is_not_too_large),
	   CHECK(refusals_are_told_in_the_providers_words), CHECK(redirects_are_followed_without_the_key),
	   CHECK(files_are_listed_page_by_page_and_deleted), CHECK(ids_are_escaped), CHECK(an_aborted_call_says_nothing))
