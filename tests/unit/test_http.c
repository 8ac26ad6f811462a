#include "daemon/io/http.h"

#include "tests/unit/http_scene.h"

/* --- what the server sees --- */

static void a_post_on_a_warm_connection_is_never_sent_twice(void)
{
	BEGIN({OK_EMPTY, .then = PEER_KEEP}, {OK_EMPTY, .then = PEER_KEEP},
	      {NULL, .then = PEER_CLOSE});

	get();
	CU_ASSERT_EQUAL(post()->transport, HTTP_ANSWERED);
	CU_ASSERT_EQUAL(post()->transport, HTTP_CUT);
	CU_ASSERT_EQUAL(peer.posts, 2);
	CU_ASSERT_EQUAL(peer.requests, 3);
	CU_ASSERT_EQUAL(peer.connected, 3);
	end();
}

static void gets_share_a_connection(void)
{
	BEGIN({OK_EMPTY, .then = PEER_KEEP});

	for (int i = 0; i < 5; i++)
		CU_ASSERT_EQUAL(get()->transport, HTTP_ANSWERED);
	CU_ASSERT_EQUAL(peer.connected, 1);
	CU_ASSERT_EQUAL(peer.requests, 5);
	end();
}

static void a_delete_acts_and_is_never_sent_twice(void)
{
	BEGIN({OK_EMPTY, .then = PEER_KEEP}, {NULL, .then = PEER_CLOSE});

	get();
	CU_ASSERT_EQUAL(
		run(&(struct http_request){.method = "DELETE", .url = peer.url}, NULL)->transport,
		HTTP_CUT);
	CU_ASSERT_EQUAL(peer.requests, 2);
	CU_ASSERT(peer_was_told("DELETE /v1/batches HTTP/1.1\r\n"));
	end();
}

static void sends_what_was_asked_and_nothing_of_its_own(void)
{
	BEGIN({OK_EMPTY, .then = PEER_KEEP});

	post();
	CU_ASSERT(peer_was_told("POST /v1/batches HTTP/1.1\r\n"));
	CU_ASSERT(peer_was_told("\r\nContent-Type: application/json\r\n"));
	CU_ASSERT(peer_was_told("\r\nAuthorization: Bearer " KEY "\r\n"));
	CU_ASSERT(peer_was_told("\r\nUser-Agent: batchd/test\r\n"));
	CU_ASSERT(peer_was_told("\r\nAccept-Encoding: identity\r\n"));
	CU_ASSERT(peer_was_told("\r\nContent-Length: 7\r\n"));
	CU_ASSERT(peer_was_told("\r\n\r\n{\"a\":1}"));
	CU_ASSERT_FALSE(peer_was_told("Expect"));
	CU_ASSERT_FALSE(peer_was_told("Cookie"));
	run(&(struct http_request){.method = "POST", .url = peer.url}, NULL);
	CU_ASSERT(peer_was_told("\r\nContent-Length: 0\r\n"));
	CU_ASSERT_FALSE(peer_was_told("Content-Type"));
	run(&(struct http_request){.method = "GET", .url = peer.url, .range_from = 4711}, NULL);
	CU_ASSERT(peer_was_told("\r\nRange: bytes=4711-\r\n"));
	CU_ASSERT_FALSE(peer_was_told("If-Range"));
	run(&(struct http_request){.method = "GET",
				   .url = peer.url,
				   .range_from = 1,
				   .if_range = "\"e\"",
				   .is_raw = true},
	    NULL);
	CU_ASSERT(peer_was_told("\r\nRange: bytes=1-\r\n"));
	CU_ASSERT(peer_was_told("\r\nIf-Range: \"e\"\r\n"));
	CU_ASSERT(peer_was_told("\r\nAccept-Encoding: identity\r\n"));
	run(&(struct http_request){.method = "GET", .url = peer.url, .if_range = "\"e\""}, NULL);
	CU_ASSERT_FALSE(peer_was_told("Range"));
	end();
}

static void connects_to_a_unix_socket(void)
{
	static const struct peer_line script[] = {{OK_EMPTY, .then = PEER_KEEP}};

	(void)snprintf(peer.path, sizeof(peer.path), "/tmp/test_http.%d", getpid());
	(void)setenv("http_proxy", "http://proxy.invalid:1", 1);
	begin(script, 1);
	CU_ASSERT_EQUAL(run(&(struct http_request){.method = "GET",
						   .url = "http://batchd/v1/batches",
						   .unix_socket = peer.path},
			    NULL)
				->transport,
			HTTP_ANSWERED);
	CU_ASSERT(peer_was_told("\r\nHost: batchd\r\n"));
	(void)unsetenv("http_proxy");
	end();
}

/* --- how far a request came --- */

struct answer_case {
	const char *name;
	struct peer_line line;
	enum http_transport transport;
	int status;
	const char *body;
};

#define ANSWERED(...) ANSWER_CASE(HTTP_ANSWERED, __VA_ARGS__)
#define CUT(...)      ANSWER_CASE(HTTP_CUT, __VA_ARGS__)
#define ANSWER_CASE(transport, name, end, status, body, answer)                                    \
	{                                                                                          \
		name, {answer, .then = PEER_##end}, transport, status, body                        \
	}

/* clang-format off */
static const struct answer_case answer_cases[] = {
	ANSWERED("with length", KEEP, 200, "hi",
		HEAD(200, "Content-Length: 2\r\n") "hi"),
	ANSWERED("until the end", CLOSE, 200, "hi",
		HEAD(200, "") "hi"),
	ANSWERED("chunked", KEEP, 200, "hi",
		HEAD(200, "Transfer-Encoding: chunked\r\n") "2\r\nhi\r\n0\r\n\r\n"),
	ANSWERED("after 100", KEEP, 500, "hi",
		HEAD(100, "") HEAD(500, "Content-Length: 2\r\n") "hi"),
	ANSWERED("after 103", KEEP, 200, "",
		HEAD(103, "X: y\r\n") HEAD(200, "Content-Length: 0\r\n")),
	ANSWERED("no content", KEEP, 204, "",
		HEAD(204, "")),
	ANSWERED("unauthorized", KEEP, 401, "",
		HEAD(401, "WWW-Authenticate: Basic\r\nContent-Length: 0\r\n")),
	ANSWERED("expectation failed", CLOSE, 417, "",
		HEAD(417, "Content-Length: 0\r\n")),
	CUT("closed", CLOSE, 0, "",
		NULL),
	CUT("reset", RESET, 0, "",
		NULL),
	CUT("in status line", CLOSE, 0, "",
		"HTTP/1.1 2"),
	CUT("after status line", CLOSE, 200, "",
		"HTTP/1.1 200 OK\r\n"),
	CUT("in a header", CLOSE, 200, "",
		"HTTP/1.1 200 OK\r\nContent-Le"),
	CUT("between headers", CLOSE, 200, "",
		"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n"),
	CUT("refusal's headers", CLOSE, 400, "",
		"HTTP/1.1 400 No\r\nContent-Length: 0\r\n"),
	CUT("in the body", CLOSE, 200, "hi",
		HEAD(200, "Content-Length: 10\r\n") "hi"),
	CUT("before the body", CLOSE, 200, "",
		HEAD(200, "Content-Length: 10\r\n")),
	CUT("reset in the body", RESET, 200, "",
		HEAD(200, "Content-Length: 10\r\n")),
	CUT("broken chunk", KEEP, 200, "hi",
		HEAD(200, "Transfer-Encoding: chunked\r\n") "2\r\nhi\r\nzz\r\n"),
	CUT("cut chunk", CLOSE, 200, "hi",
		HEAD(200, "Transfer-Encoding: chunked\r\n") "5\r\nhi"),
	CUT("no last chunk", CLOSE, 200, "hi",
		HEAD(200, "Transfer-Encoding: chunked\r\n") "2\r\nhi\r\n"),
	CUT("cut last chunk", CLOSE, 200, "hi",
		HEAD(200, "Transfer-Encoding: chunked\r\n") "2\r\nhi\r\n0\r\n"),
	CUT("only 100", CLOSE, 0, "",
		HEAD(100, "")),
	CUT("100, cut headers", CLOSE, 200, "",
		HEAD(100, "") "HTTP/1.1 200 OK\r\n"),
	CUT("not HTTP", CLOSE, 0, "",
		"SSH-2.0-peer\r\n"),
	CUT("negative length", CLOSE, 200, "",
		HEAD(200, "Content-Length: -1\r\n")),
	CUT("unknown encoding", CLOSE, 200, "",
		HEAD(200, "Content-Encoding: x\r\nContent-Length: 2\r\n") "hi"),
	CUT("broken gzip", CLOSE, 200, "",
		HEAD(200, "Content-Encoding: gzip\r\nContent-Length: 12\r\n") "not gzip, no"),
};
/* clang-format on */

static void tells_a_whole_answer_from_a_cut_one(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(answer_cases) * 2; i++) {
		const struct answer_case *row = &answer_cases[i / 2];
		const struct result *result;

		begin(&row->line, 1);
		result = i % 2 ? post() : get();
		CHECK_ROW(row->name, result->transport == row->transport);
		CHECK_ROW(row->name, result->status == row->status);
		CHECK_ROW(row->name, strcmp(result->body, row->body) == 0);
		CHECK_ROW(row->name, peer.requests == 1);
		CHECK_ROW(row->name, !result->problem || !strstr(result->problem, KEY));
		CHECK_ROW(row->name, !result->problem || !strstr(result->problem, "v1/batches"));
		end();
	}
}

static int closed_port(void)
{
	struct sockaddr_in address = {.sin_family = AF_INET,
				      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	socklen_t size = sizeof(address);
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	/* Bound and not listening: nobody else can come to listen there meanwhile. */
	CU_ASSERT_EQUAL_FATAL(bind(fd, (struct sockaddr *)&address, size), 0);
	CU_ASSERT_EQUAL_FATAL(getsockname(fd, (struct sockaddr *)&address, &size), 0);
	CU_ASSERT(dup2(fd, 90) == 90);
	(void)close(fd);
	return ntohs(address.sin_port);
}

/* The URL with the port in the place of %d: the peer's, or one where nobody listens. */
static char *with_port(const char *url, bool is_refused)
{
	const char *place = strstr(url, "%d");
	int port = closed_port();

	if (!place)
		return xstrdup(url);
	if (!is_refused)
		(void)sscanf(peer.url, "http://127.0.0.1:%d", &port);
	return xasprintf("%.*s%d%s", (int)(place - url), url, port, place + 2);
}

static void knows_when_nothing_was_sent(void)
{
	const struct {
		const char *name, *url; /* %d: a port */
		bool is_refused;        /* that port: one where nobody listens */
		const char *header, *unix_socket, *ca_file, *proxy, *problem;
	} cases[] = {
		{.name = "refused", .url = "http://127.0.0.1:%d/secret", .is_refused = true},
		{.name = "no such name", .url = "http://name.invalid/secret"},
		{.name = "no such proxy",
		 .url = "http://x/secret",
		 .proxy = "http://name.invalid:1"},
		{.name = "TLS to plain", .url = "https://127.0.0.1:%d/secret"},
		{.name = "no CA file",
		 .url = "https://127.0.0.1:%d/secret",
		 .ca_file = "/nonexistent"},
		{.name = "no socket", .url = "http://x/secret", .unix_socket = "/nonexistent"},
		{.name = "bad URL", .url = "http://[secret"},
		{.name = "empty URL", .url = ""},
		{.name = "bad port", .url = "http://127.0.0.1:99999/secret"},
		{.name = "other scheme", .url = "ftp://127.0.0.1:%d/secret"},
		{.name = "a file", .url = "file:///etc/hostname"},
		{.name = "split header",
		 .url = "http://127.0.0.1:%d/secret",
		 .header = "X: a\r\nY: b"},
	};
	static const struct peer_line script[] = {
		{"220 ready\r\n", .then = PEER_CLOSE, .when = PEER_BYTES}};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const char *headers[] = {"Authorization: Bearer " KEY, cases[i].header, NULL};
		auto_free char *url = NULL;
		struct result *result;

		begin(script, 1);
		url = with_port(cases[i].url, cases[i].is_refused);
		result = run(&(struct http_request){.method = "POST",
						    .url = url,
						    .headers = headers,
						    .unix_socket = cases[i].unix_socket,
						    .ca_file = cases[i].ca_file,
						    .proxy = cases[i].proxy},
			     NULL);
		CHECK_ROW(cases[i].name, result->transport == HTTP_NOT_SENT);
		CHECK_ROW(cases[i].name, result->status == 0);
		CHECK_ROW(cases[i].name, result->problem && *result->problem);
		CHECK_ROW(cases[i].name, !strstr(result->problem, "secret"));
		CHECK_ROW(cases[i].name, !strstr(result->problem, KEY));
		CHECK_ROW(cases[i].name, peer.requests == (strncmp(cases[i].name, "TLS", 3) == 0));
		end();
	}
	(void)close(90);
}

static void a_proxy_that_refuses_has_not_passed_it_on(void)
{
	static char proxy[64];
	const struct result *result;
	int port;

	BEGIN({HEAD(403, "Content-Length: 0\r\n"), .then = PEER_CLOSE});
	CU_ASSERT_EQUAL(sscanf(peer.url, "http://127.0.0.1:%d", &port), 1);
	(void)snprintf(proxy, sizeof(proxy), "http://127.0.0.1:%d", port);
	result = run(&(struct http_request){.method = "POST",
					    .url = "https://name.invalid/secret",
					    .proxy = proxy},
		     NULL);
	CU_ASSERT_EQUAL(result->transport, HTTP_NOT_SENT);
	CU_ASSERT_EQUAL(result->status, 0);
	CU_ASSERT(peer_was_told("CONNECT name.invalid:443 "));
	end();
}

static void a_redirect_is_returned_and_not_followed(void)
{
	const struct result *result;

	BEGIN({HEAD(307, "Location: /elsewhere\r\nContent-Length: 0\r\n"), .then = PEER_KEEP});
	result = post();
	CU_ASSERT_EQUAL(result->transport, HTTP_ANSWERED);
	CU_ASSERT_EQUAL(result->status, 307);
	CU_ASSERT_STRING_EQUAL(result->location, "/elsewhere");
	CU_ASSERT_EQUAL(peer.requests, 1);
	end();
}

/* --- headers and bodies --- */

static void keeps_the_headers_of_the_final_answer(void)
{
	const struct result *result;

	BEGIN({HEAD(103, "Location: /early\r\nRetry-After: 9\r\n") HEAD(
		       200,
		       "X-REQUEST-ID:  first \r\nx-request-id:\tsecond\t\r\nretry-after-x: 1\r\n"
		       "Transfer-Encoding: chunked\r\n") "2\r\nhi\r\n0\r\nX-Request-Id: "
							 "trailer\r\n\r\n",
	       .then = PEER_KEEP});
	result = get();
	CU_ASSERT_EQUAL(result->transport, HTTP_ANSWERED);
	CU_ASSERT_STRING_EQUAL(result->request_id, "second");
	CU_ASSERT_PTR_NULL(result->location);
	CU_ASSERT_PTR_NULL(result->retry_after);
	CU_ASSERT_EQUAL(result->content_length, -1);
	end();
}

static void drops_a_header_that_is_too_long(void)
{
	static char answer[10000];
	struct peer_line line = {answer, .then = PEER_KEEP};
	const struct result *result;

	(void)snprintf(answer, sizeof(answer),
		       HEAD(200, "Retry-After: 1\r\nContent-Length: 0\r\nLocation: %0*d\r\n"), 8193,
		       0);
	begin(&line, 1);
	result = get();
	CU_ASSERT_EQUAL(result->transport, HTTP_ANSWERED);
	CU_ASSERT_PTR_NULL(result->location);
	CU_ASSERT_STRING_EQUAL(result->retry_after, "1");
	CU_ASSERT_EQUAL(result->content_length, 0);
	end();
}

static void undoes_gzip_though_identity_was_asked_for(void)
{
	static const char answer[] = HEAD(
		200,
		"Content-Encoding: gzip\r\nContent-Length: 29\r\n") "\x1f\x8b\x08\x00\x00\x00\x00"
								    "\x00\x02\x03\xcb\x48\xcd\xc9"
								    "\xc9\xd7\x51\xc8\x40\xa2\x00"
								    "\x9f"
								    "\xa1\xca\x09\x13\x00\x00\x00";
	const struct result *result;

	BEGIN({answer, .then = PEER_KEEP, .size = sizeof(answer) - 1});
	result = get();
	CU_ASSERT_EQUAL(result->transport, HTTP_ANSWERED);
	CU_ASSERT_STRING_EQUAL(result->body, "hello, hello, hello");
	CU_ASSERT_STRING_EQUAL(result->content_encoding, "gzip");
	result = run(&(struct http_request){.method = "GET", .url = peer.url}, on_data);
	CU_ASSERT_STRING_EQUAL(result->body, "");
	CU_ASSERT_EQUAL(result->data.size, 19);
	/* Whoever checks that it is whole gets what was sent. */
	result = run(&(struct http_request){.method = "GET", .url = peer.url, .is_raw = true}, on_data);
	CU_ASSERT_EQUAL(result->transport, HTTP_ANSWERED);
	CU_ASSERT_STRING_EQUAL(result->content_encoding, "gzip");
	CU_ASSERT_EQUAL_FATAL(result->data.size, 29);
	CU_ASSERT_EQUAL(memcmp(result->data.data, answer + sizeof(answer) - 1 - 29, 29), 0);
	end();
}

static void gives_data_of_successes_alone(void)
{
	const struct http_request request = {.method = "GET", .url = peer.url};
	const struct result *result;

	BEGIN({HEAD(206, "Content-Length: 2\r\n") "hi", .then = PEER_KEEP},
	      {HEAD(404, "Content-Length: 2\r\n") "no", .then = PEER_KEEP});
	result = run(&request, on_data);
	CU_ASSERT_EQUAL(result->data.size, 2);
	CU_ASSERT_STRING_EQUAL(result->body, "");
	result = run(&request, on_data);
	CU_ASSERT_EQUAL(result->data.size, 0);
	CU_ASSERT_STRING_EQUAL(result->body, "no");
	end();
}

#define BIG_BYTES ((size_t)6 << 20)

static size_t taken_in_turn, most_in_turn;

static int count_data(const struct http_response *response, const char *bytes, size_t size, void *context)
{
	taken_in_turn += size;
	return on_data(response, bytes, size, context);
}

static void on_turn_end(void *context)
{
	if (taken_in_turn > most_in_turn)
		most_in_turn = taken_in_turn;
	taken_in_turn = 0;
	stop_when_idle(context);
}

/* An answer whose body has a byte for each place. */
static char *big_answer(size_t *ret_size)
{
	auto_buffer answer = {0};

	buffer_add_format(&answer, HEAD(200, "Content-Length: %zu\r\n"), BIG_BYTES);
	for (size_t i = 0; i < BIG_BYTES; i++)
		buffer_add(&answer, &(char){(char)(i * 7 + i / 251)}, 1);
	*ret_size = answer.size;
	return take(answer.data);
}

static void a_fast_server_leaves_the_loop_to_others(void)
{
	const struct http_request request = {.method = "GET", .url = peer.url};
	size_t size = 0;
	auto_free char *answer = big_answer(&size);
	const struct peer_line script[] = {{answer, .then = PEER_KEEP, .size = size}};

	begin(script, 1);
	most_in_turn = 0;
	for (size_t i = 0; i < 3; i++)
		start(i, &request, count_data);
	loop_run(loop, on_turn_end, NULL);
	/* 512 KiB, and a piece; twice, where what a turn begins with still counts for the one before. */
	CU_ASSERT(most_in_turn > 0 && most_in_turn <= (size_t)(2 * (512 + 128)) << 10);
	for (size_t i = 0; i < 3; i++) {
		CU_ASSERT_EQUAL(results[i].transport, HTTP_ANSWERED);
		CU_ASSERT_EQUAL_FATAL(results[i].data.size, BIG_BYTES);
		CU_ASSERT_EQUAL(memcmp(results[i].data.data, answer + size - BIG_BYTES, BIG_BYTES), 0);
	}
	end();
}

static int refuse_late(const struct http_response *response, const char *bytes, size_t size, void *context)
{
	struct result *result = context;

	/* Who refused is not asked again. */
	CU_ASSERT_EQUAL(result->refuse_data_with, 0);
	result->refuse_data_with = result->data.size > BIG_BYTES / 2 ? -ENOSPC : 0;
	return on_data(response, bytes, size, context);
}

static int abort_late(const struct http_response *response, const char *bytes, size_t size, void *context)
{
	struct result *result = context;

	result->abort_on_data = result->data.size > BIG_BYTES / 2 ? &result->call : NULL;
	return on_data(response, bytes, size, context);
}

/* Whatever turn it is in, and whoever else is put off until the next one. */
static void ends_a_download_in_the_middle(void)
{
	const struct http_request request = {.method = "GET", .url = peer.url};
	size_t size = 0;
	auto_free char *answer = big_answer(&size);
	const struct peer_line script[] = {{answer, .then = PEER_KEEP, .size = size}};

	begin(script, 1);
	start(0, &request, refuse_late);
	start(1, &request, abort_late);
	start(2, &request, on_data);
	start(3, &request, refuse_late);
	loop_run(loop, stop_when_idle, NULL);
	for (size_t i = 0; i < 4; i += 3) {
		CU_ASSERT_EQUAL(results[i].announced, 1);
		CU_ASSERT_EQUAL(results[i].transport, HTTP_ABORTED);
		CU_ASSERT(results[i].data.size > BIG_BYTES / 2 && results[i].data.size < BIG_BYTES);
	}
	CU_ASSERT_EQUAL(results[1].announced, 0);
	CU_ASSERT_EQUAL(results[2].transport, HTTP_ANSWERED);
	CU_ASSERT_EQUAL_FATAL(results[2].data.size, BIG_BYTES);
	CU_ASSERT_EQUAL(memcmp(results[2].data.data, answer + size - BIG_BYTES, BIG_BYTES), 0);
	end();
}

static void an_answer_longer_than_max_body_is_cut(void)
{
	struct http_request request = {.method = "GET", .url = peer.url, .max_body = 10};

	BEGIN({HEAD(200, "Content-Length: 10\r\n") "0123456789", .then = PEER_KEEP},
	      {HEAD(200, "Content-Length: 11\r\n") "0123456789a", .then = PEER_KEEP});
	CU_ASSERT_EQUAL(run(&request, NULL)->transport, HTTP_ANSWERED);
	CU_ASSERT_EQUAL(run(&request, NULL)->transport, HTTP_CUT);
	CU_ASSERT_EQUAL(results[0].status, 200);
	CU_ASSERT_STRING_EQUAL(results[0].problem, "the answer is longer than 10 bytes");
	/* on_data keeps nothing in memory. */
	CU_ASSERT_EQUAL(run(&request, on_data)->transport, HTTP_ANSWERED);
	end();
}

static void escapes_all_but_the_unreserved(void)
{
	auto_free char *escaped = http_escape("aZ09-._~ /?%\xc3\xa4+");
	auto_free char *empty = http_escape("");

	CU_ASSERT_STRING_EQUAL(escaped, "aZ09-._~%20%2F%3F%25%C3%A4%2B");
	CU_ASSERT_STRING_EQUAL(empty, "");
}

CHECK_MAIN("http", CHECK(a_post_on_a_warm_connection_is_never_sent_twice),
	   CHECK(gets_share_a_connection), CHECK(a_delete_acts_and_is_never_sent_twice),
	   CHECK(sends_what_was_asked_and_nothing_of_its_own), CHECK(connects_to_a_unix_socket),
	   CHECK(tells_a_whole_answer_from_a_cut_one), CHECK(knows_when_nothing_was_sent),
	   CHECK(a_proxy_that_refuses_has_not_passed_it_on),
	   CHECK(a_redirect_is_returned_and_not_followed),
	   CHECK(keeps_the_headers_of_the_final_answer), CHECK(drops_a_header_that_is_too_long),
	   CHECK(undoes_gzip_though_identity_was_asked_for), CHECK(gives_data_of_successes_alone),
	   CHECK(a_fast_server_leaves_the_loop_to_others), CHECK(ends_a_download_in_the_middle),
	   CHECK(an_answer_longer_than_max_body_is_cut), CHECK(escapes_all_but_the_unreserved))
