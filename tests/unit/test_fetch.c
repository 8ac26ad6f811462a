/* One result file over a real socket: what is resumed, what is started over, what is undone, and what is never taken for a file. */
#include "daemon/work/fetch.h"

#include <sys/resource.h>
#include <zlib.h>

#include "daemon/io/config.h"
#include "daemon/work/api.h"
#include "tests/unit/http_scene.h"
#include "tests/unit/job_scene.h"

/* Three lines of 50 bytes. */
#define LINE(id) "{\"custom_id\":\"" id "\",\"response\":{\"status_code\":200}} \n"
#define IDLE(id, code) "{\"custom_id\":\"" id "\",\"response\":null,\"error\":{\"code\":\"" code "\"}}\n"
static const char TEXT[] = LINE("a") LINE("b") LINE("c");

#define OK200 "HTTP/1.1 200 X\r\n"
#define LENGTH "Content-Length: 150\r\n"
#define RANGES "Accept-Ranges: bytes\r\n"
#define ETAG "ETag: \"e\"\r\n"
#define PROOF OK200 LENGTH RANGES ETAG "\r\n"
#define REST_OF(range, left, more) "HTTP/1.1 206 X\r\nContent-Range: " range "\r\nContent-Length: " #left "\r\n" more "\r\n"
#define REST(at, left) REST_OF("bytes " #at "-149/150", left, ETAG)

/* An answer: a head, and bytes of the text behind it. */
struct part {
	const char *head; /* NULL: there is none, nor one behind it */
	int from, to;
	bool is_kept; /* the connection; else it is closed */
};

struct download {
	const char *name;
	struct part parts[4];
	enum fetch_end end;
	size_t requests;
	int resumes;
	const char *words; /* of a cut one */
};

/* clang-format off */
static const struct download stories[] = {
	{ "whole", { { PROOF, 0, 150, true } }, FETCH_WHOLE, 1, 0, NULL },
	{ "of unknown length", { { OK200 "\r\n", 0, 150, false } }, FETCH_WHOLE, 1, 0, NULL },
	{ "empty", { { OK200 "Content-Length: 0\r\n\r\n", 0, 0, true } }, FETCH_WHOLE, 1, 0, NULL },
	{ "identity, said so", { { OK200 LENGTH "Content-Encoding: Identity\r\n\r\n", 0, 150, true } }, FETCH_WHOLE, 1, 0, NULL },
	/* proved */
	{ "cut once", { { PROOF, 0, 70, false }, { REST(70, 80), 70, 150, true } }, FETCH_WHOLE, 2, 1, NULL },
	{ "cut after its first byte", { { PROOF, 0, 1, false }, { REST(1, 149), 1, 150, true } }, FETCH_WHOLE, 2, 1, NULL },
	{ "cut before its last byte", { { PROOF, 0, 149, false }, { REST(149, 1), 149, 150, true } }, FETCH_WHOLE, 2, 1, NULL },
	{ "cut thrice", { { PROOF, 0, 49, false }, { REST(49, 101), 49, 50, false }, { REST(50, 100), 50, 120, false },
			  { REST(120, 30), 120, 150, true } }, FETCH_WHOLE, 4, 3, NULL },
	{ "the rest without a length", { { PROOF, 0, 70, false },
					 { "HTTP/1.1 206 X\r\nContent-Range: bytes 70-149/150\r\n" ETAG "\r\n", 70, 150, false } },
	  FETCH_WHOLE, 2, 1, NULL },
	{ "range ignored", { { PROOF, 0, 70, false }, { PROOF, 0, 150, true } }, FETCH_WHOLE, 2, 1, NULL },
	{ "range ignored, and cut", { { PROOF, 0, 70, false }, { PROOF, 0, 100, false }, { REST(100, 50), 100, 150, true } },
	  FETCH_WHOLE, 3, 2, NULL },
	{ "range ignored, and no better", { { PROOF, 0, 70, false }, { PROOF, 0, 70, false } }, FETCH_CUT, 2, 1, "after 70 bytes of 150 bytes" },
	/* not proved: from the start, and later */
	{ "nothing is said of ranges", { { OK200 LENGTH ETAG "\r\n", 0, 70, false } }, FETCH_CUT, 1, 0, "after 70 bytes of 150 bytes; its server does not" },
	{ "other units", { { OK200 LENGTH ETAG "Accept-Ranges: lines\r\n\r\n", 0, 70, false } }, FETCH_CUT, 1, 0, "does not say" },
	{ "no ranges", { { OK200 LENGTH ETAG "Accept-Ranges: none\r\n\r\n", 0, 70, false } }, FETCH_CUT, 1, 0, "does not say" },
	{ "no ETag", { { OK200 LENGTH RANGES "Last-Modified: Tue, 29 Sep 2026 10:00:00 GMT\r\n\r\n", 0, 70, false } }, FETCH_CUT, 1, 0, "does not say" },
	{ "a weak ETag", { { OK200 LENGTH RANGES "ETag: W/\"e\"\r\n\r\n", 0, 70, false } }, FETCH_CUT, 1, 0, "does not say" },
	{ "an ETag without quotes", { { OK200 LENGTH RANGES "ETag: e\r\n\r\n", 0, 70, false } }, FETCH_CUT, 1, 0, "does not say" },
	{ "half an ETag", { { OK200 LENGTH RANGES "ETag: \"\r\n\r\n", 0, 70, false } }, FETCH_CUT, 1, 0, "does not say" },
	{ "no length", { { OK200 RANGES ETAG "Transfer-Encoding: chunked\r\n\r\n32\r\n", 0, 50, false } }, FETCH_CUT, 1, 0, "after 50 bytes of an unknown length" },
	/* another part than the rest */
	{ "from elsewhere", { { PROOF, 0, 70, false }, { REST(71, 79), 71, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "not to the end", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-148/150", 79, ETAG), 70, 149, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "of another length", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-150/151", 81, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "of an unknown length", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/*", 80, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "of another file", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/150", 80, "ETag: \"f\"\r\n"), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "of who knows which file", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/150", 80, ""), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "of a weakly equal file", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/150", 80, "ETag: W/\"e\"\r\n"), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "of other units", { { PROOF, 0, 70, false }, { REST_OF("lines 70-149/150", 80, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "of a sign", { { PROOF, 0, 70, false }, { REST_OF("bytes +70-149/150", 80, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "beyond all numbers", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/18446744073709551766", 80, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "with more behind", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/150, x", 80, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "from elsewhere, in as many bytes", { { PROOF, 0, 70, false }, { REST_OF("bytes 71-149/150", 80, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "not to the end, in as many bytes", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-148/150", 80, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "of another length, in as many bytes", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/151", 80, ETAG), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "with less than it says", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/150", 79, ETAG), 70, 149, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "packed", { { PROOF, 0, 70, false }, { REST_OF("bytes 70-149/150", 80, ETAG "Content-Encoding: gzip\r\n"), 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	{ "no range", { { PROOF, 0, 70, false }, { "HTTP/1.1 206 X\r\nContent-Length: 80\r\n" ETAG "\r\n", 70, 150, true } }, FETCH_CUT, 2, 1, "another part" },
	/* no rest */
	{ "a rest of no byte", { { PROOF, 0, 70, false }, { REST(70, 80), 70, 70, false } }, FETCH_CUT, 2, 1, "after 70 bytes of 150" },
	{ "no rest but a closed connection", { { PROOF, 0, 70, false }, { "", 0, 0, false } }, FETCH_CUT, 2, 1, "after 70 bytes of 150" },
	{ "416", { { PROOF, 0, 70, false }, { "HTTP/1.1 416 X\r\nContent-Range: bytes */150\r\nContent-Length: 0\r\n\r\n", 0, 0, true } }, FETCH_ANSWERED, 2, 1, NULL },
	{ "gone meanwhile", { { PROOF, 0, 70, false }, { "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", 0, 0, true } }, FETCH_ANSWERED, 2, 1, NULL },
	{ "500 meanwhile", { { PROOF, 0, 70, false }, { "HTTP/1.1 500 X\r\nContent-Length: 0\r\n\r\n", 0, 0, true } }, FETCH_ANSWERED, 2, 1, NULL },
	/* no file */
	{ "a part nobody asked for", { { REST(0, 150), 0, 150, true } }, FETCH_ANSWERED, 1, 0, NULL },
	{ "202", { { "HTTP/1.1 202 X\r\n" LENGTH "\r\n", 0, 150, true } }, FETCH_ANSWERED, 1, 0, NULL },
	{ "404", { { "HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n", 0, 0, true } }, FETCH_ANSWERED, 1, 0, NULL },
	{ "closed at once", { { "", 0, 0, false } }, FETCH_ANSWERED, 1, 0, NULL },
	{ "packed in an unknown way", { { OK200 LENGTH "Content-Encoding: br\r\n\r\n", 0, 150, true } }, FETCH_CUT, 1, 0, "not known" },
	{ "packed, and in an unknown way", { { OK200 LENGTH "Content-Encoding: gzip, br\r\n\r\n", 0, 150, true } }, FETCH_CUT, 1, 0, "not known" },
	{ "said to be packed", { { OK200 LENGTH "Content-Encoding: gzip\r\n\r\n", 0, 150, true } }, FETCH_WHOLE, 1, 0, NULL },
	{ "packed, and no more than its beginning", { { OK200 "Content-Length: 12\r\n\r\n\x1f\x8bno such.\n", 0, 0, true } }, FETCH_CUT, 1, 0, "damaged" },
	{ "said to be packed, and empty", { { OK200 "Content-Length: 0\r\nContent-Encoding: gzip\r\n\r\n", 0, 0, true } }, FETCH_CUT, 1, 0, "not whole" },
};
/* clang-format on */

struct bench {
	struct scene scene;
	struct config_provider config;
	char *base_url;
	struct api *api;
	struct fetch *fetch;
	bool is_done;
	enum fetch_end end;
	enum api_verdict verdict;
	struct fetch_result result;
	char words[400];
};

static int64_t now_of(void *context)
{
	return loop_now_ms(context);
}

static void bench_begin(struct bench *bench, const struct peer_line *script, size_t count)
{
	begin(script, count);
	*bench = (struct bench){ .base_url = xmemdup0(peer.url, (size_t)(strstr(peer.url, "/v1") + 3 - peer.url)) };
	scene_begin(&bench->scene);
	bench->config = (struct config_provider){ .base_url = bench->base_url, .proxy = (char *)(uintptr_t) "" };
	bench->api = api_new(http, &bench->config, KEY, now_of, loop);
}

static void bench_end(struct bench *bench)
{
	fetch_free(bench->fetch);
	api_free(bench->api);
	scene_end(&bench->scene);
	free(bench->base_url);
	end();
}

static void on_fetched(const struct fetch_result *result, void *context)
{
	struct bench *bench = context;

	CU_ASSERT_FALSE(bench->is_done);
	bench->is_done = true;
	bench->result = *result;
	bench->end = result->end;
	bench->verdict = result->answer ? result->answer->verdict : API_OK;
	CU_ASSERT_EQUAL(result->answer != NULL, result->end == FETCH_ANSWERED);
	CU_ASSERT_EQUAL(result->words != NULL, result->end == FETCH_CUT);
	(void)snprintf(bench->words, sizeof(bench->words), "%s", result->words ? result->words : "");
	loop_stop(loop);
}

static void nothing_each_turn(void *context)
{
	(void)context;
}

static void bench_run(struct bench *bench)
{
	bench->fetch = fetch_new(bench->api, bench->scene.vault, "f", on_fetched, bench);
	loop_run(loop, nothing_each_turn, NULL);
	CU_ASSERT_TRUE(bench->is_done);
}

static bool is_kept_as(struct bench *bench, const char *text, size_t size)
{
	auto_free char *kept = NULL;
	size_t kept_size = 0;

	CU_ASSERT_EQUAL(fetch_keep(bench->fetch, SCENE_JOB, "shard-1.out", NULL), 0);
	kept = scene_record(&bench->scene, "shard-1.out", &kept_size);
	return kept && kept_size == size && memcmp(kept, text, size) == 0;
}

static void check_download(const struct download *story)
{
	struct peer_line script[4] = { { 0 } };
	struct bench bench;
	size_t count = 0;
	auto_free char *range = NULL;

	for (; count < 4 && story->parts[count].head; count++) {
		const struct part *part = &story->parts[count];

		script[count].answer = xasprintf("%s%.*s", part->head, part->to - part->from, TEXT + part->from);
		script[count].then = part->is_kept ? PEER_KEEP : PEER_CLOSE;
	}
	bench_begin(&bench, script, count);
	bench_run(&bench);
	CHECK_ROW(story->name, bench.end == story->end);
	CHECK_ROW(story->name, peer.requests == story->requests);
	CHECK_ROW(story->name, bench.result.resumes == story->resumes);
	CHECK_ROW(story->name, !story->words || strstr(bench.words, story->words));
	CHECK_ROW(story->name, peer_was_told("\r\nAccept-Encoding: identity\r\n"));
	CHECK_ROW(story->name, peer_was_told("If-Range: \"e\"\r\n") == (story->requests > 1));
	CHECK_ROW(story->name, peer_was_told("\r\nRange: bytes=") == (story->requests > 1));
	if (story->requests > 1)
		range = xasprintf("\r\nRange: bytes=%d-\r\n", story->parts[story->requests - 2].to);
	CHECK_ROW(story->name, !range || peer_was_told(range));
	if (bench.end == FETCH_WHOLE) {
		size_t size = story->parts[story->requests - 1].to ? strlen(TEXT) : 0;

		CHECK_ROW(story->name, is_kept_as(&bench, TEXT, size));
		CHECK_ROW(story->name, bench.result.answers == (size ? 3 : 0) && !bench.result.unreadable);
	}
	bench_end(&bench);
	for (size_t i = 0; i < count; i++)
		free((char *)(uintptr_t)script[i].answer);
}

static void only_what_is_proved_is_resumed(void)
{
	CU_ASSERT_EQUAL_FATAL(strlen(TEXT), 150);
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++)
		check_download(&stories[i]);
}

/* A byte each time: it goes on a hundred times, and no more. */
static void resumes_are_bounded(void)
{
	static struct peer_line script[FETCH_MAX_RESUMES + 2];
	struct bench bench;

	for (int i = 0; i < FETCH_MAX_RESUMES + 2; i++) {
		script[i].answer = i ? xasprintf("HTTP/1.1 206 X\r\nContent-Range: bytes %d-149/150\r\nContent-Length: %d\r\n" ETAG
						 "\r\n%.1s",
						 i, 150 - i, TEXT + i) :
				       xasprintf(PROOF "%.1s", TEXT);
		script[i].then = PEER_CLOSE;
	}
	bench_begin(&bench, script, FETCH_MAX_RESUMES + 2);
	bench_run(&bench);
	CU_ASSERT_EQUAL(bench.end, FETCH_CUT);
	CU_ASSERT_EQUAL(peer.requests, FETCH_MAX_RESUMES + 1);
	CU_ASSERT_PTR_NOT_NULL(strstr(bench.words, "after 101 bytes of 150 bytes"));
	bench_end(&bench);
	for (int i = 0; i < FETCH_MAX_RESUMES + 2; i++)
		free((char *)(uintptr_t)script[i].answer);
}

static void pack(struct buffer *packed, const char *text, size_t size)
{
	z_stream stream = { 0 };
	unsigned char out[8192];

	CU_ASSERT_EQUAL_FATAL(deflateInit2(&stream, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY), Z_OK);
	stream.next_in = (Bytef *)(uintptr_t)text;
	stream.avail_in = (uInt)size;
	stream.next_out = out;
	stream.avail_out = sizeof(out);
	CU_ASSERT_EQUAL_FATAL(deflate(&stream, Z_FINISH), Z_STREAM_END);
	buffer_add(packed, out, stream.total_out);
	(void)deflateEnd(&stream);
}

static void pack_again(struct buffer *packed)
{
	auto_buffer once = { 0 };

	buffer_add(&once, packed->data, packed->size);
	buffer_clear(packed);
	pack(packed, once.data, once.size);
}

/* Each with a Content-Length that is right, and all that would prove a resume. */
static void what_comes_packed_is_undone_and_must_be_whole(void)
{
	auto_buffer packed = { 0 };

	pack(&packed, TEXT, strlen(TEXT));
	for (size_t size = 0; size <= packed.size; size++) {
		auto_buffer answer = { 0 };
		struct peer_line script = { .then = PEER_KEEP };
		struct bench bench;

		buffer_add_format(&answer, OK200 RANGES ETAG "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", size);
		buffer_add(&answer, packed.data, size);
		script.answer = answer.data;
		script.size = answer.size;
		bench_begin(&bench, &script, 1);
		bench_run(&bench);
		CU_ASSERT_EQUAL(bench.end, size == packed.size ? FETCH_WHOLE : FETCH_CUT);
		CU_ASSERT_EQUAL(peer.requests, 1);
		if (bench.end == FETCH_WHOLE) {
			CU_ASSERT_EQUAL(bench.result.answers, 3);
			CU_ASSERT_TRUE(is_kept_as(&bench, TEXT, strlen(TEXT)));
		}
		bench_end(&bench);
	}
}

/* What the file is tells its first byte, whatever is said of it. */
static void a_file_may_be_packed_more_than_once_and_without_a_word(void)
{
	static const char *const said[] = { "", "Content-Encoding: gzip\r\n", "Content-Encoding: gzip, x-gzip\r\n" };

	for (size_t i = 0; i < ARRAY_SIZE(said); i++) {
		auto_buffer packed = { 0 };

		buffer_add_text(&packed, TEXT);
		for (int times = 0; times <= 3; times++) {
			auto_buffer answer = { 0 };
			struct peer_line script = { .then = PEER_KEEP };
			struct bench bench;

			buffer_add_format(&answer, OK200 "%sContent-Length: %zu\r\n\r\n", said[i], packed.size);
			buffer_add(&answer, packed.data, packed.size);
			script.answer = answer.data;
			script.size = answer.size;
			bench_begin(&bench, &script, 1);
			bench_run(&bench);
			CHECK_ROW(said[i], bench.end == (times <= 2 ? FETCH_WHOLE : FETCH_CUT));
			CHECK_ROW(said[i], times <= 2 ? is_kept_as(&bench, TEXT, strlen(TEXT)) : !!strstr(bench.words, "more than 2 times"));
			bench_end(&bench);
			pack_again(&packed);
		}
	}
}

/* The end of a connection is the end of such a file, whatever else is promised. */
static void a_packed_download_that_is_cut_is_not_resumed(void)
{
	auto_buffer packed = { 0 };
	auto_buffer answer = { 0 };
	struct peer_line script = { .then = PEER_CLOSE };
	struct bench bench;

	pack(&packed, TEXT, strlen(TEXT));
	buffer_add_format(&answer, OK200 RANGES ETAG "Content-Encoding: gzip\r\nContent-Length: %zu\r\n\r\n", packed.size);
	buffer_add(&answer, packed.data, packed.size - 20);
	script.answer = answer.data;
	script.size = answer.size;
	bench_begin(&bench, &script, 1);
	bench_run(&bench);
	CU_ASSERT_EQUAL(bench.end, FETCH_CUT);
	CU_ASSERT_EQUAL(peer.requests, 1);
	bench_end(&bench);
}

static void every_line_is_read(void)
{
	/* clang-format off */
	static const struct { const char *text; int64_t answers, unreadable; bool is_broken; int64_t idle; } cases[] = {
		{ "",                                              0, 0, false, 0 },
		{ "\n \r\n\t\n",                                   0, 0, false, 0 },
		{ LINE("a"),                                       1, 0, false, 0 },
		{ LINE("a") "{\"custom_id\":\"b\"}",               2, 0, false, 0 },
		{ LINE("a") "{\"custom_id\":\"b\"}\r",             2, 0, false, 0 },
		{ LINE("a") "{\"custom_id\":\"b\"",                1, 1, true, 0 },
		{ LINE("a") "{\"custom_id\":\"b\"\n",              1, 1, false, 0 },
		{ LINE("a") "{\"custom_id\":\"b\"\n  ",            1, 1, false, 0 },
		{ LINE("a") "{\"custom_id\":7}\n" LINE("b"),       2, 1, false, 0 },
		{ LINE("a") "<!-- upstream error -->",             1, 1, true, 0 },
		{ "\xef\xbb\xbf" LINE("a"),                        1, 0, false, 0 },
		{ LINE("a") "\xef\xbb\xbf" LINE("b"),              1, 1, false, 0 },
		{ "\xef\xbb\xbf",                                  0, 0, false, 0 },
		{ "null\n[]\n\"x\"\n",                             0, 3, false, 0 },
		{ LINE("a") IDLE("b", "batch_expired") IDLE("c", "batch_cancelled") IDLE("d", "request_timeout"), 4, 0, false, 2 },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		for (size_t chunk = 1; chunk < 90; chunk += 11) {
			auto_buffer answer = { 0 };
			struct peer_line script = { .then = PEER_KEEP };
			struct bench bench;

			/* Whatever the pieces in which it comes: a line may begin in one and end in another. */
			buffer_add_text(&answer, OK200 "Transfer-Encoding: chunked\r\n\r\n");
			for (size_t at = 0; at < strlen(cases[i].text); at += chunk)
				buffer_add_format(&answer, "%zx\r\n%.*s\r\n",
						  strnlen(cases[i].text + at, chunk), (int)chunk, cases[i].text + at);
			buffer_add_text(&answer, "0\r\n\r\n");
			script.answer = buffer_text(&answer);
			bench_begin(&bench, &script, 1);
			bench_run(&bench);
			CHECK_ROW(cases[i].text, bench.end == FETCH_WHOLE);
			CHECK_ROW(cases[i].text, bench.result.answers == cases[i].answers);
			CHECK_ROW(cases[i].text, bench.result.ran == cases[i].answers - cases[i].idle);
			CHECK_ROW(cases[i].text, bench.result.unreadable == cases[i].unreadable);
			CHECK_ROW(cases[i].text, bench.result.is_tail_broken == cases[i].is_broken);
			CHECK_ROW(cases[i].text, is_kept_as(&bench, cases[i].text, strlen(cases[i].text)));
			bench_end(&bench);
		}
}

static long peak_kib(void)
{
	struct rusage usage;

	(void)getrusage(RUSAGE_SELF, &usage);
	return usage.ru_maxrss;
}

/* A line that is too long to be held counts, is kept, and the ones behind it are read. */
static void a_line_of_any_length_takes_bounded_memory(void)
{
	static const char head[] = "{\"custom_id\":\"long\",\"x\":\"", tail[] = "\"}\n";
	size_t sizes[] = { FETCH_MAX_LINE - 100, FETCH_MAX_LINE + 100, FETCH_MAX_LINE * 2 };

	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		auto_buffer text = { 0 };
		auto_buffer answer = { 0 };
		auto_free char *filler = xmalloc(sizes[i]);
		struct peer_line script = { .then = PEER_KEEP };
		struct bench bench;
		long before;

		memset(filler, 'x', sizes[i]);
		buffer_add(&text, head, sizeof(head) - 1);
		buffer_add(&text, filler, sizes[i] - sizeof(head) - sizeof(tail));
		buffer_add_text(&text, tail);
		buffer_add_text(&text, LINE("a") "?\n");
		buffer_add_format(&answer, OK200 "Content-Length: %zu\r\n\r\n", text.size);
		buffer_add(&answer, text.data, text.size);
		script.answer = answer.data;
		script.size = answer.size;
		bench_begin(&bench, &script, 1);
		before = peak_kib();
		bench_run(&bench);
		CU_ASSERT_TRUE(CHECK_IS_SANITIZED || peak_kib() - before < (long)(FETCH_MAX_LINE + (8 << 20)) / 1024);
		CU_ASSERT_EQUAL(bench.end, FETCH_WHOLE);
		CU_ASSERT_EQUAL(bench.result.answers, 2);
		CU_ASSERT_EQUAL(bench.result.unreadable, 1);
		CU_ASSERT_TRUE(is_kept_as(&bench, text.data, text.size));
		bench_end(&bench);
	}
}

/* Elsewhere nobody knows our key; what part is asked for goes along. */
static void the_rest_is_asked_for_where_the_file_was_moved_to(void)
{
	struct peer_line script[4] = { { .then = PEER_KEEP }, { PROOF LINE("a"), .then = PEER_CLOSE }, { .then = PEER_KEEP },
				       { REST(50, 100) LINE("b") LINE("c"), .then = PEER_KEEP } };
	auto_free char *moved = NULL;
	struct bench bench;

	bench_begin(&bench, script, 4);
	moved = xasprintf("HTTP/1.1 302 X\r\nContent-Length: 0\r\nLocation: %s/elsewhere\r\n\r\n", peer.url);
	script[0].answer = script[2].answer = moved;
	bench_run(&bench);
	CU_ASSERT_EQUAL(bench.end, FETCH_WHOLE);
	CU_ASSERT_EQUAL(peer.requests, 4);
	CU_ASSERT_TRUE(peer_was_told("GET /v1/batches/elsewhere HTTP/1.1\r\n"));
	CU_ASSERT_TRUE(peer_was_told("\r\nRange: bytes=50-\r\n"));
	CU_ASSERT_TRUE(peer_was_told("\r\nIf-Range: \"e\"\r\n"));
	CU_ASSERT_FALSE(peer_was_told("Authorization"));
	CU_ASSERT_TRUE(is_kept_as(&bench, TEXT, strlen(TEXT)));
	bench_end(&bench);
}

static void stop(void *context)
{
	(void)context;
	loop_stop(loop);
}

static void a_fetch_that_is_freed_says_nothing(void)
{
	static const struct peer_line script[] = { { PROOF LINE("a"), .then = PEER_SILENT } };
	struct loop_timer *timer;
	struct bench bench;

	bench_begin(&bench, script, 1);
	bench.fetch = fetch_new(bench.api, bench.scene.vault, "f", on_fetched, &bench);
	timer = loop_timer_new(loop, stop, NULL);
	loop_timer_set(timer, 50);
	loop_run(loop, nothing_each_turn, NULL);
	fetch_free(take(bench.fetch));
	CU_ASSERT_EQUAL(http_count(http), 0);
	CU_ASSERT_FALSE(bench.is_done);
	loop_timer_free(timer);
	bench_end(&bench);
}

CHECK_MAIN("fetch", CHECK(only_what_is_proved_is_resumed), CHECK(resumes_are_bounded),
	   CHECK(what_comes_packed_is_undone_and_must_be_whole), CHECK(a_file_may_be_packed_more_than_once_and_without_a_word), CHECK(a_packed_download_that_is_cut_is_not_resumed),
	   CHECK(every_line_is_read), CHECK(a_line_of_any_length_takes_bounded_memory),
	   CHECK(the_rest_is_asked_for_where_the_file_was_moved_to), CHECK(a_fetch_that_is_freed_says_nothing))
