#include "daemon/io/http.h"

#include <errno.h>
#include <sys/ioctl.h>

#include "tests/unit/http_scene.h"

/* --- uploads --- */

struct upload {
	int64_t offset;
	int64_t ends_at;  /* the file turns out to be shorter; 0: it does not */
	int64_t fails_at; /* 0: never */
	int reads;
	struct http_call **abort_on_read;
};

static struct upload upload;

static char byte_at(int64_t offset)
{
	return (char)(offset * 7 % 251);
}

static int64_t upload_read(void *context, char *bytes, size_t size)
{
	struct upload *file = context;
	int64_t end = file->ends_at ? file->ends_at : INT64_MAX;

	file->reads++;
	if (file->fails_at && file->offset >= file->fails_at)
		return -EIO;
	if (file->abort_on_read)
		http_call_abort(*file->abort_on_read);
	if (size > 1000)
		size -= 1; /* a short read is no end */
	if ((int64_t)size > end - file->offset)
		size = (size_t)(end - file->offset);
	for (size_t i = 0; i < size; i++)
		bytes[i] = byte_at(file->offset++);
	return (int64_t)size;
}

static int upload_seek(void *context, int64_t offset)
{
	((struct upload *)context)->offset = offset;
	return 0;
}

static struct result *start_upload(size_t i, int64_t size)
{
	const struct http_source source = {upload_read, upload_seek, &upload, size};
	const struct http_field fields[] = {
		{.name = "purpose", .text = "batch"},
		{.name = "expires_after[seconds]", .text = "3600"},
		{.name = "file",
		 .file_name = "shard-1.jsonl",
		 .content_type = "application/jsonl",
		 .source = &source},
		{.name = NULL},
	};
	struct result *result;
	char url[sizeof(peer.url)];

	/* Everything but the source's context is copied. */
	memcpy(url, peer.url, sizeof(url));
	result = start(i, &(struct http_request){.method = "POST", .url = url, .fields = fields},
		       NULL);
	memset(url, 'x', sizeof(url));
	return result;
}

static struct result *run_upload(int64_t size)
{
	struct result *result = start_upload(0, size);

	loop_run(loop, stop_when_idle, NULL);
	CU_ASSERT_EQUAL(result->announced, 1);
	return result;
}

static void a_form_arrives_byte_for_byte_in_the_order_of_its_fields(void)
{
	const int64_t size = 300001;
	auto_buffer expected = {0};
	char boundary[80] = "";
	const char *body;

	BEGIN({OK_EMPTY, .then = PEER_KEEP});
	upload = (struct upload){0};
	CU_ASSERT_EQUAL(run_upload(size)->transport, HTTP_ANSWERED);
	body = strstr(buffer_text(&peer.last), "\r\n\r\n");
	CU_ASSERT_PTR_NOT_NULL_FATAL(body);
	body += 4;
	CU_ASSERT_EQUAL(
		sscanf(strcasestr(peer.last.data, "boundary="), "boundary=%79[^\r\n]", boundary),
		1);
	buffer_add_format(
		&expected,
		"--%s\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n"
		"--%s\r\nContent-Disposition: form-data; name=\"expires_after[seconds]\"\r\n\r\n"
		"3600\r\n--%s\r\nContent-Disposition: form-data; name=\"file\"; "
		"filename=\"shard-1.jsonl\"\r\nContent-Type: application/jsonl\r\n\r\n",
		boundary, boundary, boundary);
	for (int64_t i = 0; i < size; i++)
		buffer_add(&expected, &(char){byte_at(i)}, 1);
	buffer_add_format(&expected, "\r\n--%s--\r\n", boundary);
	CU_ASSERT_EQUAL_FATAL((size_t)(peer.last.data + peer.last.size - body), expected.size);
	CU_ASSERT_EQUAL(memcmp(body, expected.data, expected.size), 0);
	CU_ASSERT(peer_was_told("\r\nContent-Length: "));
	CU_ASSERT_FALSE(peer_was_told("chunked"));
	CU_ASSERT_FALSE(peer_was_told("Expect"));
	end();
}

static void an_upload_that_cannot_be_read_is_aborted(void)
{
	const struct {
		const char *name;
		struct upload upload;
	} cases[] = {
		{"at once", {.fails_at = -1}},
		{"in the middle", {.fails_at = 100000}},
		{"shorter than it was said to be", {.ends_at = 150000}},
		{"empty", {.ends_at = -1}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		BEGIN({OK_EMPTY, .then = PEER_KEEP});
		upload = cases[i].upload;
		if (upload.ends_at < 0)
			upload.ends_at = upload.offset = 1;
		CHECK_ROW(cases[i].name, run_upload(200000)->transport == HTTP_ABORTED);
		CHECK_ROW(cases[i].name,
			  strstr(results[0].problem, "the upload could not be read"));
		CHECK_ROW(cases[i].name, peer.requests == 0);
		end();
	}
}

static void an_early_refusal_of_a_long_upload_is_an_answer(void)
{
#define ANSWER(status, more) HEAD(status, more "Content-Length: 3\r\n") "big"
#define CLOSING              "Connection: close\r\n"
	/* clang-format off */
	static const struct {
		const char *name;
		int status;
		enum peer_then then;
		const char *answer;
		enum http_transport transport;
	} cases[] = {
		{ "keeps reading",            413, PEER_KEEP,   ANSWER(413, ""), HTTP_ANSWERED },
		{ "reads no more",            413, PEER_SILENT, ANSWER(413, ""), HTTP_ANSWERED },
		{ "says close, goes on",      413, PEER_KEEP,   ANSWER(413, CLOSING), HTTP_ANSWERED },
		{ "says close, reads no more", 413, PEER_SILENT, ANSWER(413, CLOSING), HTTP_ANSWERED },
		{ "closes",                   413, PEER_CLOSE,  ANSWER(413, ""), HTTP_ANSWERED },
		{ "says close and does",      413, PEER_CLOSE,  ANSWER(413, CLOSING), HTTP_ANSWERED },
		{ "thanks for what it has not", 200, PEER_CLOSE, ANSWER(200, ""), HTTP_CUT },
		{ "thanks and says close",    200, PEER_CLOSE,  ANSWER(200, CLOSING), HTTP_CUT },
	};
	/* clang-format on */

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const struct peer_line line = {cases[i].answer, .then = cases[i].then,
					       .when = PEER_HEADERS};

		begin(&line, 1);
		upload = (struct upload){0};
		run_upload((int64_t)1 << 30);
		CHECK_ROW(cases[i].name, results[0].transport == cases[i].transport);
		CHECK_ROW(cases[i].name, results[0].status == cases[i].status);
		CHECK_ROW(cases[i].name, strcmp(results[0].body, "big") == 0);
		CHECK_ROW(cases[i].name, upload.offset < 100 << 20);
		CHECK_ROW(cases[i].name, peer.connected == 1);
		end();
	}
}

static void tells_how_far_it_is(void)
{
	int64_t sent = -1, received = -1;
	struct result *result;

	BEGIN({NULL, .then = PEER_SILENT, .when = PEER_HEADERS});
	upload = (struct upload){0};
	result = start_upload(0, 1 << 30);
	http_call_progress(result->call, &sent, &received);
	CU_ASSERT_EQUAL(sent, 0);
	CU_ASSERT_EQUAL(received, 0);
	CU_ASSERT_FALSE(http_call_is_sent(result->call));
	while (sent < 100000 && !result->announced) {
		loop_run_once(loop, 1);
		http_call_progress(result->call, &sent, &received);
	}
	CU_ASSERT(http_call_is_sent(result->call));
	CU_ASSERT(sent <= upload.offset + 1000);
	http_call_abort(result->call);
	end();
}

/* --- aborting --- */

static void on_data_that_refuses_aborts(void)
{
	const struct http_request request = {.method = "GET", .url = peer.url};

	BEGIN({HEAD(200, "Content-Length: 2\r\n") "hi", .then = PEER_KEEP});
	results[0].refuse_data_with = -ENOSPC;
	CU_ASSERT_EQUAL(run(&request, on_data)->transport, HTTP_ABORTED);
	CU_ASSERT_STRING_EQUAL(results[0].problem,
			       "the answer could not be taken: No space left on device");
	end();
}

static struct result *start_get(size_t i, http_on_data *data)
{
	return start(i, &(struct http_request){.method = "GET", .url = peer.url}, data);
}

static void run_all(void)
{
	loop_run(loop, stop_when_idle, NULL);
	/* Whatever was left behind would speak now. */
	for (int i = 0; i < 10; i++)
		loop_run_once(loop, 0);
}

static void a_call_aborted_at_once_is_never_sent(void)
{
	BEGIN({OK_EMPTY, .then = PEER_KEEP});
	http_call_abort(start_get(0, NULL)->call);
	http_call_abort(NULL);
	start_get(1, NULL);
	CU_ASSERT_EQUAL(http_count(http), 1);
	run_all();
	CU_ASSERT_EQUAL(results[0].announced, 0);
	CU_ASSERT_EQUAL(results[1].announced, 1);
	CU_ASSERT_EQUAL(peer.requests, 1);
	end();
}

static void a_call_that_waits_for_its_answer_can_be_aborted(void)
{
	BEGIN({NULL, .then = PEER_KEEP}, {OK_EMPTY, .then = PEER_KEEP});
	start_get(0, NULL);
	while (peer.requests == 0)
		loop_run_once(loop, 1);
	CU_ASSERT(http_call_is_sent(results[0].call));
	http_call_abort(results[0].call);
	CU_ASSERT_EQUAL(http_count(http), 0);
	start_get(1, NULL);
	run_all();
	CU_ASSERT_EQUAL(results[0].announced, 0);
	CU_ASSERT_EQUAL(results[1].announced, 1);
	end();
}

/* Two calls get their answers in one turn; the first to be heard of ends the other, or itself. */
static void a_callback_can_abort_any_call(void)
{
	const struct {
		const char *name;
		bool is_data;
		int target[2];    /* whom call 0 and call 1 abort */
		int announced[2]; /* -1: one of the two */
	} cases[] = {
		{"itself, in on_data", true, {0, 1}, {0, 0}},
		{"the other, in on_data", true, {1, 0}, {-1, -1}},
		{"itself, in on_done", false, {0, 1}, {1, 1}},
		{"the other, in on_done", false, {1, 0}, {-1, -1}},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		BEGIN({HEAD(200, "Content-Length: 2\r\n") "hi", .then = PEER_KEEP});
		for (size_t j = 0; j < 2; j++) {
			struct http_call **target = &results[cases[i].target[j]].call;

			start_get(j, on_data);
			*(cases[i].is_data ? &results[j].abort_on_data
					   : &results[j].abort_on_done) = target;
		}
		run_all();
		CHECK_ROW(cases[i].name, http_count(http) == 0);
		if (cases[i].announced[0] < 0)
			CHECK_ROW(cases[i].name, results[0].announced + results[1].announced == 1);
		else
			CHECK_ROW(cases[i].name,
				  results[0].announced == cases[i].announced[0] &&
					  results[1].announced == cases[i].announced[1]);
		end();
	}
}

static void an_upload_can_be_aborted_while_it_is_read(void)
{
	BEGIN({OK_EMPTY, .then = PEER_KEEP});
	upload = (struct upload){.abort_on_read = &results[0].call};
	start_upload(0, 200000);
	run_all();
	CU_ASSERT_EQUAL(results[0].announced, 0);
	CU_ASSERT_EQUAL(upload.reads, 1);
	end();
}

static void on_done_can_start_the_next_call(void)
{
	BEGIN({OK_EMPTY, .then = PEER_KEEP});
	results[0].is_start_chained = true;
	results[0].chained = &results[1];
	start_get(0, NULL);
	run_all();
	CU_ASSERT_EQUAL(results[1].announced, 1);
	CU_ASSERT_EQUAL(peer.connected, 1);
	end();
}

static void freeing_ends_what_is_under_way_without_a_word(void)
{
	BEGIN({NULL, .then = PEER_KEEP});
	start_get(0, NULL);
	while (peer.requests == 0)
		loop_run_once(loop, 1);
	start_get(1, NULL);
	start(2, &(struct http_request){.method = "GET", .url = "ftp://x/"}, NULL);
	http_free(http);
	http = NULL;
	CU_ASSERT_EQUAL(results[0].announced + results[1].announced + results[2].announced, 0);
	end();
}

/* --- time --- */

static void a_silent_server_ends_by_a_timeout(void)
{
	const struct {
		const char *name;
		struct peer_line line;
		int64_t timeout_ms, stall_timeout_ms;
		int status;
	} cases[] = {
		{"whole request", {NULL, .then = PEER_KEEP}, 100, 0, 0},
		{"stalled", {NULL, .then = PEER_KEEP}, 0, 700, 0},
		{"in the body",
		 {HEAD(200, "Content-Length: 9\r\n") "hi", .then = PEER_KEEP},
		 100,
		 0,
		 200},
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		int64_t start_us;

		begin(&cases[i].line, 1);
		start_us = loop_monotonic_us(loop);
		run(&(struct http_request){.method = "GET",
					   .url = peer.url,
					   .timeout_ms = cases[i].timeout_ms,
					   .stall_timeout_ms = cases[i].stall_timeout_ms},
		    NULL);
		CHECK_ROW(cases[i].name, results[0].transport == HTTP_CUT);
		CHECK_ROW(cases[i].name, results[0].status == cases[i].status);
		CHECK_ROW(cases[i].name, loop_monotonic_us(loop) - start_us < 5000000);
		end();
	}
}

/* The thread that asks stays behind; the loop, the end of the call and http_free must not wait. */
static void a_name_server_that_hangs_stops_nothing(void)
{
	struct http_request request = {
		.method = "POST", .url = "http://hang.invalid/", .connect_timeout_ms = 50};
	int64_t start_us;

	BEGIN({OK_EMPTY, .then = PEER_KEEP});
	let_name_server_hang();
	start_us = loop_monotonic_us(loop);
	CU_ASSERT_EQUAL(run(&request, NULL)->transport, HTTP_NOT_SENT);
	request.connect_timeout_ms = 0;
	start(1, &request, NULL);
	start(2, &request, NULL);
	start_get(3, NULL);
	while (!results[3].announced)
		loop_run_once(loop, 1);
	CU_ASSERT_EQUAL(results[3].transport, HTTP_ANSWERED);
	CU_ASSERT_EQUAL(wait_for_hanging(3), 3);
	CU_ASSERT_FALSE(http_call_is_sent(results[1].call));
	http_call_abort(results[1].call);
	http_free(http);
	http = NULL;
	CU_ASSERT(loop_monotonic_us(loop) - start_us < 2000000);
	CU_ASSERT_EQUAL(wait_for_hanging(0), 0);
	end();
}

CHECK_MAIN("http_calls", CHECK(a_form_arrives_byte_for_byte_in_the_order_of_its_fields),
	   CHECK(an_upload_that_cannot_be_read_is_aborted),
	   CHECK(an_early_refusal_of_a_long_upload_is_an_answer), CHECK(tells_how_far_it_is),
	   CHECK(on_data_that_refuses_aborts), CHECK(a_call_aborted_at_once_is_never_sent),
	   CHECK(a_call_that_waits_for_its_answer_can_be_aborted),
	   CHECK(a_callback_can_abort_any_call), CHECK(an_upload_can_be_aborted_while_it_is_read),
	   CHECK(on_done_can_start_the_next_call),
	   CHECK(freeing_ends_what_is_under_way_without_a_word),
	   CHECK(a_silent_server_ends_by_a_timeout), CHECK(a_name_server_that_hangs_stops_nothing))
