#include <string.h>

#include "daemon/base/cleanup.h"
#include "tests/crash/cable_relay.h"
#include "tests/crash/faults_tables.h"

#define MANY_HEADERS   1024
#define LONG_HEADER    (1024 * 1024)
#define MANY_CONTINUES 20000
/* Of zeros, 258 of which are 13 bits. */
#define BOMB_BYTES     (64 * 1024 * 1024)

/* --- how an answer may look --- */

static void add_head(struct buffer *out, const char *version, const struct relay_answer *answer, const char *headers)
{
	buffer_add_format(out, "%s %d OK\r\nContent-Type: %s\r\n%s\r\n", version, answer->status, answer->content_type,
			  headers);
}

static void add_length(struct buffer *out, const struct relay_answer *answer)
{
	buffer_add_format(out, "Content-Length: %zu\r\n", answer->size);
}

static void add_whole(struct buffer *out, const struct relay_answer *answer, const char *headers)
{
	auto_buffer text = { 0 };

	add_length(&text, answer);
	buffer_add_text(&text, headers);
	add_head(out, "HTTP/1.1", answer, buffer_text(&text));
	buffer_add(out, answer->body, answer->size);
}

static void add_chunks(struct buffer *out, const struct relay_answer *answer)
{
	add_head(out, "HTTP/1.1", answer, "Transfer-Encoding: chunked\r\nTrailer: Location\r\n");
	for (size_t at = 0; at < answer->size; at += 100) {
		size_t size = answer->size - at < 100 ? answer->size - at : 100;

		buffer_add_format(out, "%zx;name=\"value\"\r\n", size);
		buffer_add(out, answer->body + at, size);
		buffer_add_text(out, "\r\n");
	}
}

static void continued(const struct relay_answer *answer, struct buffer *out)
{
	buffer_add_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
	add_whole(out, answer, "");
}

static void hinted(const struct relay_answer *answer, struct buffer *out)
{
	for (int i = 0; i < 3; i++)
		buffer_add_text(out, "HTTP/1.1 103 Early Hints\r\nRetry-After: 86400\r\nLocation: /x\r\n\r\n");
	add_whole(out, answer, "");
}

static void continued_for_long(const struct relay_answer *answer, struct buffer *out)
{
	for (int i = 0; i < MANY_CONTINUES; i++)
		buffer_add_text(out, "HTTP/1.1 100 Continue\r\n\r\n");
	add_whole(out, answer, "");
}

static void old(const struct relay_answer *answer, struct buffer *out)
{
	add_head(out, "HTTP/1.0", answer, "");
	buffer_add(out, answer->body, answer->size);
}

static void old_with_length(const struct relay_answer *answer, struct buffer *out)
{
	auto_buffer text = { 0 };

	add_length(&text, answer);
	add_head(out, "HTTP/1.0", answer, buffer_text(&text));
	buffer_add(out, answer->body, answer->size);
}

static void without_length(const struct relay_answer *answer, struct buffer *out)
{
	add_head(out, "HTTP/1.1", answer, "Connection: close\r\n");
	buffer_add(out, answer->body, answer->size);
}

static void with_trailers(const struct relay_answer *answer, struct buffer *out)
{
	add_chunks(out, answer);
	buffer_add_text(out, "0\r\nLocation: http://127.0.0.1:9/\r\nRetry-After: 86400\r\nContent-Encoding: gzip\r\n\r\n");
}

static void without_last_chunk(const struct relay_answer *answer, struct buffer *out)
{
	add_chunks(out, answer);
}

static void with_a_huge_chunk(const struct relay_answer *answer, struct buffer *out)
{
	add_head(out, "HTTP/1.1", answer, "Transfer-Encoding: chunked\r\n");
	buffer_add_text(out, "FFFFFFFFFFFFFFFFF\r\n");
	buffer_add(out, answer->body, answer->size);
}

static void with_many_headers(const struct relay_answer *answer, struct buffer *out)
{
	auto_buffer text = { 0 };

	for (int i = 0; i < MANY_HEADERS; i++)
		buffer_add_format(&text, "X-Padding-%d: %01000d\r\n", i, 0);
	add_whole(out, answer, buffer_text(&text));
}

static void with_a_long_header(const struct relay_answer *answer, struct buffer *out)
{
	auto_buffer text = { 0 };

	buffer_add_format(&text, "X-Request-Id: %0*d\r\n", LONG_HEADER, 0);
	add_whole(out, answer, buffer_text(&text));
}

static void with_odd_headers(const struct relay_answer *answer, struct buffer *out)
{
	add_whole(out, answer, "no colon here\r\n: no name\r\nX-Folded: a\r\n b\r\nX-\xff: \xc3\x28\r\nRetry-After: \x01\r\n");
}

/* What comes behind an answer must not be taken for the next one. */
static void with_another_behind(const struct relay_answer *answer, struct buffer *out)
{
	static const char other[] = "{\"id\":\"batch_smuggled\",\"object\":\"batch\",\"status\":\"failed\"}";

	add_whole(out, answer, "");
	buffer_add_format(out, "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
			  sizeof(other) - 1, other);
}

static void with_more_than_promised(const struct relay_answer *answer, struct buffer *out)
{
	add_whole(out, answer, "");
	buffer_add_format(out, "%0100000d", 0);
}

static void with_two_lengths(const struct relay_answer *answer, struct buffer *out)
{
	add_whole(out, answer, "Content-Length: 7\r\n");
}

static void with_a_negative_length(const struct relay_answer *answer, struct buffer *out)
{
	add_head(out, "HTTP/1.1", answer, "Content-Length: -1\r\n");
	buffer_add(out, answer->body, answer->size);
}

static void with_bare_newlines(const struct relay_answer *answer, struct buffer *out)
{
	buffer_add_format(out, "HTTP/1.1 %d OK\nContent-Type: %s\nContent-Length: %zu\n\n", answer->status,
			  answer->content_type, answer->size);
	buffer_add(out, answer->body, answer->size);
}

static void with_no_words(const struct relay_answer *answer, struct buffer *out)
{
	buffer_add_format(out, "HTTP/1.1 %d\r\nContent-Length: %zu\r\n\r\n", answer->status, answer->size);
	buffer_add(out, answer->body, answer->size);
}

static void the_body_alone(const struct relay_answer *answer, struct buffer *out)
{
	buffer_add(out, answer->body, answer->size);
}

static void of_no_version(const struct relay_answer *answer, struct buffer *out)
{
	buffer_add_text(out, "HTTP/9.9 yes\r\n\r\n");
	buffer_add(out, answer->body, answer->size);
}

static void half_a_status_line(const struct relay_answer *answer, struct buffer *out)
{
	(void)answer;
	buffer_add_text(out, "HTTP/1.1 2");
}

static void half_the_headers(const struct relay_answer *answer, struct buffer *out)
{
	buffer_add_format(out, "HTTP/1.1 %d OK\r\nContent-Type: %s\r\nContent-Le", answer->status, answer->content_type);
}

/* Bits go in from the low end, a Huffman code from its high end (RFC 1951, 3.1.1). */
struct bits {
	struct buffer *out;
	unsigned char byte;
	unsigned count;
};

static void add_code(struct bits *bits, unsigned code, unsigned size)
{
	while (size--) {
		bits->byte = (unsigned char)(bits->byte | (code >> size & 1u) << bits->count);
		if (++bits->count < 8)
			continue;
		buffer_add(bits->out, &bits->byte, 1);
		bits->byte = 0;
		bits->count = 0;
	}
}

/* One block of fixed codes: a zero, and then "258 more of the same" for as long as it takes. */
static void a_gzip_bomb(const struct relay_answer *answer, struct buffer *out)
{
	static const unsigned char head[] = { 0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255 };
	auto_buffer body = { 0 };
	struct bits bits = { .out = &body };
	const struct relay_answer bomb = { .status = answer->status, .content_type = answer->content_type };
	struct relay_answer whole = bomb;

	buffer_add(&body, head, sizeof(head));
	add_code(&bits, 1, 1);
	add_code(&bits, 2, 2);
	add_code(&bits, 0x30, 8);
	for (long size = 1; size < BOMB_BYTES; size += 258) {
		add_code(&bits, 0xc5, 8);
		add_code(&bits, 0, 5);
	}
	add_code(&bits, 0, 15);
	buffer_add(&body, "\0\0\0\0\0\0\0\0", 8);
	whole.body = body.data;
	whole.size = body.size;
	add_whole(out, &whole, "Content-Encoding: gzip\r\n");
}

/* --- answers that the provider never gave --- */

static void say(struct buffer *out, const char *line, const char *headers, const char *body)
{
	buffer_add_format(out, "HTTP/1.1 %s\r\nContent-Type: application/json\r\n%sContent-Length: %zu\r\n\r\n%s", line,
			  headers, strlen(body), body);
}

static void too_large(const struct relay_answer *answer, struct buffer *out)
{
	(void)answer;
	say(out, "413 Content Too Large", "", "{\"error\":{\"message\":\"File is too large\"}}");
}

static void wants_a_key(const struct relay_answer *answer, struct buffer *out)
{
	(void)answer;
	say(out, "401 Unauthorized", "WWW-Authenticate: Basic realm=\"x\"\r\n", "{\"error\":{\"message\":\"no\"}}");
}

static void expectation_failed(const struct relay_answer *answer, struct buffer *out)
{
	(void)answer;
	say(out, "417 Expectation Failed", "", "");
}

static void unavailable(const struct relay_answer *answer, struct buffer *out)
{
	(void)answer;
	say(out, "503 Service Unavailable", "Connection: close\r\n", "");
}

/* It thanks for a file that it has not read. */
static void too_early(const struct relay_answer *answer, struct buffer *out)
{
	(void)answer;
	say(out, "200 OK", "", "{\"id\":\"file-early\",\"object\":\"file\",\"bytes\":1,\"purpose\":\"batch\"}");
}

/* The same, and it does not say how long the file is. */
static void too_early_to_tell(const struct relay_answer *answer, struct buffer *out)
{
	(void)answer;
	say(out, "200 OK", "", "{\"id\":\"file-early\",\"object\":\"file\",\"purpose\":\"batch\"}");
}

static void move_to(const struct relay_answer *answer, struct buffer *out, int status)
{
	auto_buffer location = { 0 };
	auto_buffer line = { 0 };

	buffer_add_format(&location, "Location: %s%s\r\n", relay_other_url(), answer->path);
	buffer_add_format(&line, "%d Moved", status);
	say(out, buffer_text(&line), buffer_text(&location), "");
}

#define MOVED(status)                                                                              \
	static void moved_##status(const struct relay_answer *answer, struct buffer *out)          \
	{                                                                                          \
		move_to(answer, out, status);                                                      \
	}
MOVED(301)
MOVED(302)
MOVED(303)
MOVED(307)
MOVED(308)

#define IF_UNREAD { { ON_UPLOAD, COST_UPLOADS } }
#define FREE { { 0, 0 } }

/* clang-format off */
const struct tamper tampers[] = {
	/* the answer in another form */
	{ "as it came",                ON_ALL, RELAY_ANSWERED, old_with_length, RELAY_CLOSE, FREE },
	{ "100 first",                 ON_ALL, RELAY_ANSWERED, continued, RELAY_KEEP, FREE },
	{ "103 thrice",                ON_ALL, RELAY_ANSWERED, hinted, RELAY_KEEP, FREE },
	{ "100 for long",              ON_ALL, RELAY_ANSWERED, continued_for_long, RELAY_KEEP, IF_UNREAD },
	{ "HTTP/1.0",                  ON_ALL, RELAY_ANSWERED, old, RELAY_CLOSE, FREE },
	{ "no length, then closed",    ON_ALL, RELAY_ANSWERED, without_length, RELAY_CLOSE, FREE },
	{ "chunks and trailers",       ON_ALL, RELAY_ANSWERED, with_trailers, RELAY_KEEP, FREE },
	{ "1,024 headers of 1 kB",     ON_ALL, RELAY_ANSWERED, with_many_headers, RELAY_KEEP, IF_UNREAD },
	{ "a header of 1 MiB",         ON_ALL, RELAY_ANSWERED, with_a_long_header, RELAY_KEEP, IF_UNREAD },
	{ "odd headers",               ON_ALL, RELAY_ANSWERED, with_odd_headers, RELAY_KEEP, IF_UNREAD },
	{ "another answer behind it",  ON_ALL, RELAY_ANSWERED, with_another_behind, RELAY_KEEP, FREE },
	{ "more than promised",        ON_ALL, RELAY_ANSWERED, with_more_than_promised, RELAY_KEEP, FREE },
	{ "two lengths",               ON_ALL, RELAY_ANSWERED, with_two_lengths, RELAY_CLOSE, IF_UNREAD },
	{ "a negative length",         ON_ALL, RELAY_ANSWERED, with_a_negative_length, RELAY_CLOSE, IF_UNREAD },
	{ "bare newlines",             ON_ALL, RELAY_ANSWERED, with_bare_newlines, RELAY_KEEP, IF_UNREAD },
	{ "no words",                  ON_ALL, RELAY_ANSWERED, with_no_words, RELAY_KEEP, FREE },

	/* done, and not understood */
	{ "no last chunk",             ON_ALL, RELAY_ANSWERED, without_last_chunk, RELAY_CLOSE, IF_UNREAD },
	{ "a chunk of 2^68 bytes",     ON_ALL, RELAY_ANSWERED, with_a_huge_chunk, RELAY_CLOSE, IF_UNREAD },
	{ "a gzip bomb",               ON_ALL, RELAY_ANSWERED, a_gzip_bomb, RELAY_KEEP, IF_UNREAD },
	{ "the body alone",            ON_ALL, RELAY_ANSWERED, the_body_alone, RELAY_CLOSE, IF_UNREAD },
	{ "no such version",           ON_ALL, RELAY_ANSWERED, of_no_version, RELAY_CLOSE, IF_UNREAD },
	{ "half a status line",        ON_ALL, RELAY_ANSWERED, half_a_status_line, RELAY_CLOSE, IF_UNREAD },
	{ "half the headers",          ON_ALL, RELAY_ANSWERED, half_the_headers, RELAY_CLOSE, IF_UNREAD },
	{ "half the headers, reset",   ON_ALL, RELAY_ANSWERED, half_the_headers, RELAY_RESET, IF_UNREAD },
	{ "closed without a word",     ON_ALL, RELAY_ANSWERED, NULL, RELAY_CLOSE, IF_UNREAD },
	{ "reset without a word",      ON_ALL, RELAY_ANSWERED, NULL, RELAY_RESET, IF_UNREAD },

	/* the request is not read whole, or not passed on */
	{ "closed, request unread",    ON_ALL, RELAY_HEAD, NULL, RELAY_CLOSE, FREE },
	{ "reset, request unread",     ON_ALL, RELAY_HEAD, NULL, RELAY_RESET, FREE },
	{ "closed in mid-request",     ON_UPLOAD, RELAY_HALF, NULL, RELAY_CLOSE, FREE },
	{ "reset in mid-request",      ON_UPLOAD, RELAY_HALF, NULL, RELAY_RESET, FREE },
	{ "413 early, closed",         ON_UPLOAD, RELAY_HEAD, too_large, RELAY_CLOSE, FREE },
	{ "413 early, kept",           ON_UPLOAD, RELAY_HEAD, too_large, RELAY_KEEP, FREE },
	{ "413 in the middle",         ON_UPLOAD, RELAY_HALF, too_large, RELAY_CLOSE, FREE },
	{ "401 early, kept",           ON_UPLOAD, RELAY_HEAD, wants_a_key, RELAY_KEEP, FREE },
	{ "401 in the middle, closed", ON_UPLOAD, RELAY_HALF, wants_a_key, RELAY_CLOSE, FREE },
	{ "417",                       ON_UPLOAD, RELAY_HEAD, expectation_failed, RELAY_KEEP, { { ON_UPLOAD, COST_FAILED } } },
	{ "503 early, closed",         ON_UPLOAD, RELAY_HALF, unavailable, RELAY_CLOSE, FREE },
	{ "200 early, closed",         ON_UPLOAD, RELAY_HALF, too_early, RELAY_CLOSE, FREE },
	{ "200 early, reset",          ON_UPLOAD, RELAY_HALF, too_early, RELAY_RESET, FREE },
	{ "200 early, kept",           ON_UPLOAD, RELAY_HEAD, too_early, RELAY_KEEP, FREE },
	{ "200 early, of no size",     ON_UPLOAD, RELAY_HALF, too_early_to_tell, RELAY_CLOSE, FREE },

	/* to another host */
	{ "301 to another host",       ON_ALL, RELAY_READ, moved_301, RELAY_KEEP, FREE },
	{ "302 to another host",       ON_ALL, RELAY_READ, moved_302, RELAY_KEEP, FREE },
	{ "303 to another host",       ON_ALL, RELAY_READ, moved_303, RELAY_KEEP, FREE },
	{ "307 to another host",       ON_ALL, RELAY_READ, moved_307, RELAY_KEEP, FREE },
	{ "308 to another host",       ON_ALL, RELAY_READ, moved_308, RELAY_KEEP, FREE },
};
/* clang-format on */

const size_t tamper_count = ARRAY_SIZE(tampers);
