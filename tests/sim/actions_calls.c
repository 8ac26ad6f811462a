#include "tests/sim/actions.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/model.h"
#include "tests/sim/reply.h"

enum { GZIP_BLOCK = 65535 };

/* What a body of an error looks like; the texts are filled in by name. */
struct words {
	const char *message, *type, *param, *code;
	int status;
};

static void body_json(const struct words *words, struct sim_answer *answer)
{
	struct json_object *whole = json_object_new_object(), *error = json_object_new_object();

	json_object_object_add(error, "message", reply_string(words->message));
	json_object_object_add(error, "type", reply_string(words->type));
	json_object_object_add(error, "param", reply_string(words->param));
	json_object_object_add(error, "code", reply_string(words->code));
	json_object_object_add(whole, "error", error);
	reply_json(answer, words->status, whole);
}

/* {"error":{"code":400,...}}: the code is a number. */
static void body_int_code(const struct words *words, struct sim_answer *answer)
{
	struct json_object *whole = json_object_new_object(), *error = json_object_new_object();

	json_object_object_add(error, "code", json_object_new_int(words->status));
	json_object_object_add(error, "type", reply_string("BadRequestError"));
	json_object_object_add(error, "message", reply_string(words->message));
	json_object_object_add(whole, "error", error);
	reply_json(answer, words->status, whole);
}

static void body_member(const char *member, const struct words *words, struct sim_answer *answer)
{
	struct json_object *whole = json_object_new_object();

	json_object_object_add(whole, member, reply_string(words->message));
	reply_json(answer, words->status, whole);
}

static void body_detail(const struct words *words, struct sim_answer *answer)
{
	body_member("detail", words, answer);
}

static void body_error_string(const struct words *words, struct sim_answer *answer)
{
	body_member("error", words, answer);
}

static void body_failure(const struct words *words, struct sim_answer *answer)
{
	reply_text(answer, words->status, "application/json", "{\"status\":\"failure\"}");
}

static void body_json_string(const struct words *words, struct sim_answer *answer)
{
	reply_json(answer, words->status, reply_string(words->message));
}

static void body_html(const struct words *words, struct sim_answer *answer)
{
	auto_free char *text = xasprintf("<html>\r\n<head><title>%d</title></"
					 "head>\r\n<body>\r\n<center><h1>%d %s</h1></center>"
					 "\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n",
					 words->status, words->status, words->message);

	reply_text(answer, words->status, "text/html", text);
}

static void body_text(const struct words *words, struct sim_answer *answer)
{
	reply_text(answer, words->status, "text/plain", words->message);
}

static void body_empty(const struct words *words, struct sim_answer *answer)
{
	reply_text(answer, words->status, "application/json", "");
}

/* clang-format off */
static const struct body_kind {
	const char *name;
	void (*fill)(const struct words *words, struct sim_answer *answer);
} body_kinds[] = {
	{ "json",         body_json },
	{ "int_code",     body_int_code },
	{ "detail",       body_detail },
	{ "error_string", body_error_string },
	{ "failure",      body_failure },
	{ "json_string",  body_json_string },
	{ "html",         body_html },
	{ "text",         body_text },
	{ "empty",        body_empty },
};
/* clang-format on */

static void add_number_header(const struct rule *rule, const char *parameter, const char *name,
			      struct sim_answer *answer)
{
	const char *text = rule_text(rule, parameter, NULL);

	if (text)
		reply_header(answer, name, text);
}

static void add_date_header(const struct rule *rule, const struct subject *subject,
			    struct sim_answer *answer)
{
	int64_t seconds = rule_number(rule, "retry_after_date", INT64_MIN);
	time_t when;
	struct tm date;
	char text[64];

	if (seconds == INT64_MIN)
		return;
	when = (time_t)(subject->now_ms / 1000 + seconds);
	(void)strftime(text, sizeof(text), "%a, %d %b %Y %H:%M:%S GMT", gmtime_r(&when, &date));
	reply_header(answer, "retry-after", text);
}

static void add_headers(const struct rule *rule, struct sim_answer *answer)
{
	struct json_object *headers = rule_get(rule, "headers");

	if (!json_object_is_type(headers, json_type_object))
		return;
	json_object_object_foreach(headers, name, value)
		reply_header(answer, name, json_object_get_string(value));
}

static void do_status(const struct rule *rule, const struct subject *subject,
		      struct sim_answer *answer)
{
	int status = (int)rule_number(rule, "status", 500);
	const char *kind = rule_text(rule, "body", "json");
	struct words words = {
		.status = status,
		.message = rule_text(rule, "message", "The server said so."),
		.type = rule_text(rule, "type", reply_error_type(status)),
		.param = rule_text(rule, "param", NULL),
		.code = rule_text(rule, "code", NULL),
	};
	size_t i = 0;

	while (i < ARRAY_SIZE(body_kinds) - 1 && strcmp(body_kinds[i].name, kind))
		i++;
	body_kinds[i].fill(&words, answer);
	add_number_header(rule, "retry_after", "retry-after", answer);
	add_number_header(rule, "retry_after_ms", "retry-after-ms", answer);
	add_number_header(rule, "location", "location", answer);
	add_date_header(rule, subject, answer);
	add_headers(rule, answer);
}

static void do_drop(const struct rule *rule, const struct subject *subject,
		    struct sim_answer *answer)
{
	(void)rule;
	(void)subject;
	answer->transport = SIM_DROP;
}

static void do_delay(const struct rule *rule, const struct subject *subject,
		     struct sim_answer *answer)
{
	(void)subject;
	answer->delay_ms += rule_number(rule, "ms", 0);
}

/* Streams as asked for; where it says nothing, the body goes out as it is. */
static void do_stream(const struct rule *rule, const struct subject *subject,
		      struct sim_answer *answer)
{
	int64_t size = (int64_t)answer->body->size;
	int64_t at = rule_number(rule, "cut_at", -1);

	(void)subject;
	if (answer->transport != SIM_STREAM) {
		answer->transport = SIM_STREAM;
		answer->length = size;
		answer->cut_at = answer->stall_at = SIZE_MAX;
	}
	if (rule_number(rule, "cut_percent", -1) >= 0)
		at = size * rule_number(rule, "cut_percent", 0) / 100;
	if (at >= 0)
		answer->cut_at = (size_t)at;
	if (rule_number(rule, "stall_at", -1) >= 0)
		answer->stall_at = (size_t)rule_number(rule, "stall_at", 0);
	answer->stall_ms += rule_number(rule, "stall_ms", 0);
	answer->piece = (size_t)rule_number(rule, "piece", (int64_t)answer->piece);
	if (rule_number(rule, "chunked", 0))
		answer->length = -1;
	else if (rule_number(rule, "length_off", 0))
		answer->length += rule_number(rule, "length_off", 0);
	if (answer->length < -1)
		answer->length = 0;
}

static void set_body(struct sim_answer *answer, struct buffer *text)
{
	blob_unref(answer->body);
	answer->body = blob_take(text);
}

static void do_garbage(const struct rule *rule, const struct subject *subject,
		       struct sim_answer *answer)
{
	static const unsigned char junk[] = {'{', '"', 0, 0xff, 0xfe, '<', '\\', 0x80, '\n', '}'};
	auto_buffer text = {0};
	int64_t size = rule_number(rule, "size", (int64_t)sizeof(junk));

	(void)subject;
	for (int64_t i = 0; i < size; i++)
		buffer_add(&text, &junk[(size_t)i % sizeof(junk)], 1);
	set_body(answer, &text);
}

static void do_body(const struct rule *rule, const struct subject *subject,
		    struct sim_answer *answer)
{
	(void)subject;
	reply_text(answer, (int)rule_number(rule, "status", answer->status),
		   rule_text(rule, "content_type", "application/json"),
		   rule_text(rule, "text", ""));
}

static void do_crlf(const struct rule *rule, const struct subject *subject,
		    struct sim_answer *answer)
{
	auto_buffer text = {0};
	const char *at = answer->body->data, *end = at + answer->body->size;

	(void)rule;
	(void)subject;
	while (at < end) {
		const char *newline = memchr(at, '\n', (size_t)(end - at));

		buffer_add(&text, at, (size_t)((newline ? newline : end) - at));
		if (newline)
			buffer_add_text(&text, "\r\n");
		at = newline ? newline + 1 : end;
	}
	set_body(answer, &text);
}

static void do_no_last_newline(const struct rule *rule, const struct subject *subject,
			       struct sim_answer *answer)
{
	auto_buffer text = {0};
	size_t size = answer->body->size;

	(void)rule;
	(void)subject;
	if (size && answer->body->data[size - 1] == '\n')
		size--;
	buffer_add(&text, answer->body->data, size);
	set_body(answer, &text);
}

/* Leaves bytes out at the end, and says nothing of it: the length is that of what is sent. */
static void do_shorten(const struct rule *rule, const struct subject *subject,
		       struct sim_answer *answer)
{
	auto_buffer text = {0};
	size_t size = answer->body->size, by = (size_t)rule_number(rule, "by", 10);

	(void)subject;
	buffer_add(&text, answer->body->data, by < size ? size - by : 0);
	set_body(answer, &text);
}

/* Says that the body is packed, which it is not. */
static void do_encoding(const struct rule *rule, const struct subject *subject,
			struct sim_answer *answer)
{
	(void)subject;
	reply_header(answer, "content-encoding", rule_text(rule, "name", "br"));
}

/* Says that more will be written to the file. */
static void do_incomplete(const struct rule *rule, const struct subject *subject, struct sim_answer *answer)
{
	(void)subject;
	reply_header(answer, "x-incomplete", rule_text(rule, "value", "true"));
}

static void do_frame(const struct rule *rule, const struct subject *subject,
		     struct sim_answer *answer)
{
	auto_buffer text = {0};

	(void)subject;
	buffer_add_text(&text, rule_text(rule, "before", ""));
	buffer_add(&text, answer->body->data, answer->body->size);
	buffer_add_text(&text, rule_text(rule, "after", ""));
	set_body(answer, &text);
}

/* The checksum of RFC 1952. */
static uint32_t crc32_of(const char *bytes, size_t size)
{
	uint32_t crc = UINT32_MAX, table[256];

	for (uint32_t i = 0; i < 256; i++) {
		table[i] = i;
		for (int bit = 0; bit < 8; bit++)
			table[i] = table[i] >> 1 ^ (table[i] & 1 ? 0xedb88320u : 0);
	}
	for (size_t i = 0; i < size; i++)
		crc = crc >> 8 ^ table[(crc ^ (unsigned char)bytes[i]) & 0xff];
	return ~crc;
}

static void add_little(struct buffer *text, uint32_t value, unsigned bytes)
{
	for (unsigned i = 0; i < bytes; i++) {
		unsigned char byte = (unsigned char)(value >> (8 * i));

		buffer_add(text, &byte, 1);
	}
}

/* A gzip member of stored blocks (RFC 1951, 3.2.4): it needs no library and any reader takes it. */
static void do_gzip(const struct rule *rule, const struct subject *subject,
		    struct sim_answer *answer)
{
	static const unsigned char head[] = {0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255};
	const struct blob *body = answer->body;
	auto_buffer text = {0};
	size_t offset = 0;

	(void)rule;
	(void)subject;
	buffer_add(&text, head, sizeof(head));
	do {
		size_t left = body->size - offset;
		uint32_t size = (uint32_t)(left < GZIP_BLOCK ? left : GZIP_BLOCK);

		add_little(&text, offset + size == body->size, 1);
		add_little(&text, size, 2);
		add_little(&text, ~size, 2);
		buffer_add(&text, body->data + offset, size);
		offset += size;
	} while (offset < body->size);
	add_little(&text, crc32_of(body->data, body->size), 4);
	add_little(&text, (uint32_t)body->size, 4);
	set_body(answer, &text);
	reply_header(answer, "content-encoding", "gzip");
}

/* What the content's bytes are known by. */
static char *etag_of(const struct rule *rule, const struct sim_answer *answer)
{
	uint32_t crc = answer->body ? crc32_of(answer->body->data, answer->body->size) : 0;

	return xasprintf("%s\"%08" PRIx32 "\"", rule_number(rule, "weak", 0) ? "W/" : "", crc);
}

/* Whether there is a range, and what was asked for still is what it was (RFC 9110, 13.1.5). */
static bool is_range_asked(const struct rule *rule, const struct subject *subject, const char *etag,
			   unsigned long long *ret_from)
{
	if (!subject->range || rule_number(rule, "ignored", 0) ||
	    sscanf(subject->range, "bytes=%llu-", ret_from) != 1)
		return false;
	return !subject->if_range || rule_number(rule, "changed", 0) || !strcmp(subject->if_range, etag);
}

/* Honours "bytes=N-", and only where the answer would have been whole (RFC 9110, 14). */
static void do_ranges(const struct rule *rule, const struct subject *subject,
		      struct sim_answer *answer)
{
	size_t size = answer->body ? answer->body->size : 0;
	unsigned long long from, total = size + (unsigned long long)rule_number(rule, "grown", 0);
	auto_free char *etag = etag_of(rule, answer);
	auto_free char *text = NULL;
	bool is_range = is_range_asked(rule, subject, etag, &from);
	struct blob *rest;

	if (!rule_number(rule, "silent", 0))
		reply_header(answer, "accept-ranges", "bytes");
	if (!rule_number(rule, "no_etag", 0))
		reply_header(answer, "etag", is_range && rule_number(rule, "changed", 0) ? "\"new\"" : etag);
	if (answer->status != 200 || !is_range)
		return;
	if (from >= size) {
		text = xasprintf("bytes */%zu", size);
		reply_error(answer, 416, NULL, NULL, "Range not satisfiable");
		reply_header(answer, "content-range", text);
		return;
	}
	text = xasprintf("bytes %llu-%zu/%llu",
			 from + (unsigned long long)rule_number(rule, "shift", 0), size - 1, total);
	rest = blob_copy(answer->body->data + from, size - from);
	reply_blob(answer, 206, answer->content_type, rest);
	reply_header(answer, "content-range", text);
}

static void list_stale(const struct rule *rule, struct list_view *view)
{
	view->hide_younger_ms = rule_number(rule, "ms", 60000);
}

static void list_options(const struct rule *rule, struct list_view *view)
{
	view->is_empty |= rule_number(rule, "empty", 0) != 0;
	view->ignores_after |= rule_number(rule, "ignore_after", 0) != 0;
	view->overlaps |= rule_number(rule, "overlap", 0) != 0;
	view->ignores_order |= rule_number(rule, "ignore_order", 0) != 0;
	view->ignores_purpose |= rule_number(rule, "ignore_purpose", 0) != 0;
	view->is_bare |= rule_number(rule, "bare", 0) != 0;
	view->has_no_more |= rule_number(rule, "no_has_more", 0) != 0;
	view->has_no_ends |= rule_number(rule, "no_ends", 0) != 0;
	view->always_more |= rule_number(rule, "always_more", 0) != 0;
}

#define STATUS_PARAMETERS                                                                          \
	"\"body\":null,\"message\":null,\"type\":null,\"param\":null,\"code\":null,"               \
	"\"retry_after\":null,\"retry_after_ms\":null,\"retry_after_date\":null,"                  \
	"\"location\":null,\"headers\":null"

/* clang-format off */
const struct action actions_calls[] = {
	{ "status",           STAGE_BEFORE, { .call = do_status }, "{\"status\":500," STATUS_PARAMETERS "}" },
	{ "redirect",         STAGE_BEFORE, { .call = do_status }, "{\"status\":307,\"body\":\"html\",\"location\":\"http://127.0.0.1:9/v1\",\"message\":\"moved\"}" },
	{ "gone",             STAGE_BEFORE, { .call = do_status }, "{\"status\":410,\"message\":\"The file has expired.\"}" },
	{ "not_found",        STAGE_BEFORE, { .call = do_status }, "{\"status\":404,\"message\":\"No such object.\"}" },
	{ "too_large",        STAGE_BEFORE, { .call = do_status }, "{\"status\":413,\"body\":\"html\",\"message\":\"Request Entity Too Large\"}" },
	{ "rate_limit",       STAGE_BEFORE, { .call = do_status }, "{\"status\":429,\"code\":\"rate_limit_exceeded\",\"message\":\"Rate limit reached for requests.\",\"retry_after\":null,\"retry_after_ms\":null,\"retry_after_date\":null,\"headers\":null}" },
	{ "quota",            STAGE_BEFORE, { .call = do_status }, "{\"status\":429,\"code\":\"insufficient_quota\",\"type\":\"insufficient_quota\",\"message\":\"You exceeded your current quota, please check your plan and billing details.\"}" },
	{ "token_limit_400",  STAGE_BEFORE, { .call = do_status }, "{\"status\":400,\"code\":\"token_limit_exceeded\",\"message\":\"The number of enqueued tokens has surpassed the configured limit of 30K for the deployment 'gpt-4.1-batch'. Please either increase the limit or try again once the current jobs have finished.\"}" },
	{ "cancel_refused",   STAGE_BEFORE, { .call = do_status }, "{\"status\":409,\"message\":\"Cannot cancel a batch with status 'completed'.\"}" },
	{ "after_refused",    STAGE_BEFORE, { .call = do_status }, "{\"status\":400,\"param\":\"after\",\"code\":\"unknown_parameter\",\"message\":\"Unknown parameter: 'after'.\"}" },
	{ "drop_before",      STAGE_BEFORE, { .call = do_drop },   NULL },
	{ "drop_after",       STAGE_AFTER,  { .call = do_drop },   NULL },
	{ "lost_answer",      STAGE_AFTER,  { .call = do_status }, "{\"status\":502,\"body\":\"html\",\"message\":\"Bad Gateway\"," "\"retry_after\":null}" },
	{ "delay",            STAGE_AFTER,  { .call = do_delay },  "{\"ms\":1000}" },
	{ "cut_headers",      STAGE_AFTER,  { .call = do_stream }, "{\"cut_at\":0}" },
	{ "cut_body",         STAGE_AFTER,  { .call = do_stream }, "{\"cut_at\":null,\"cut_percent\":null,\"chunked\":null}" },
	{ "stall",            STAGE_AFTER,  { .call = do_stream }, "{\"stall_at\":0,\"stall_ms\":60000}" },
	{ "wrong_length",     STAGE_AFTER,  { .call = do_stream }, "{\"length_off\":10}" },
	{ "no_length",        STAGE_AFTER,  { .call = do_stream }, "{\"chunked\":1,\"piece\":null}" },
	{ "pieces",           STAGE_AFTER,  { .call = do_stream }, "{\"piece\":7,\"chunked\":null}" },
	{ "garbage",          STAGE_AFTER,  { .call = do_garbage }, "{\"size\":null}" },
	{ "body",             STAGE_AFTER,  { .call = do_body },   "{\"text\":null,\"status\":null,\"content_type\":null}" },
	{ "crlf",             STAGE_AFTER,  { .call = do_crlf },   NULL },
	{ "no_last_newline",  STAGE_AFTER,  { .call = do_no_last_newline }, NULL },
	{ "frame",            STAGE_AFTER,  { .call = do_frame },  "{\"before\":null,\"after\":null}" },
	{ "bom",              STAGE_AFTER,  { .call = do_frame },  "{\"before\":\"\xef\xbb\xbf\"}" },
	{ "blank_lines",      STAGE_AFTER,  { .call = do_frame },  "{\"before\":\"\\n\",\"after\":\"\\n\\n\"}" },
	{ "gzip",             STAGE_AFTER,  { .call = do_gzip },   NULL },
	{ "encoding",         STAGE_AFTER,  { .call = do_encoding }, "{\"name\":\"br\"}" },
	{ "shorten",          STAGE_AFTER,  { .call = do_shorten }, "{\"by\":10}" },
	{ "incomplete",       STAGE_AFTER,  { .call = do_incomplete }, "{\"value\":\"true\"}" },
	{ "ranges",           STAGE_AFTER,  { .call = do_ranges }, NULL },
	{ "ranges_ignored",   STAGE_AFTER,  { .call = do_ranges }, "{\"ignored\":1}" },
	{ "ranges_wrong",     STAGE_AFTER,  { .call = do_ranges }, "{\"shift\":1}" },
	{ "ranges_grown",     STAGE_AFTER,  { .call = do_ranges }, "{\"grown\":1}" },
	{ "ranges_changed",   STAGE_AFTER,  { .call = do_ranges }, "{\"changed\":1}" },
	{ "ranges_no_etag",   STAGE_AFTER,  { .call = do_ranges }, "{\"no_etag\":1}" },
	{ "ranges_weak",      STAGE_AFTER,  { .call = do_ranges }, "{\"weak\":1}" },
	{ "ranges_silent",    STAGE_AFTER,  { .call = do_ranges }, "{\"silent\":1}" },
	{ "list_stale",       STAGE_LIST,   { .list = list_stale },   "{\"ms\":60000}" },
	{ "list_empty",       STAGE_LIST,   { .list = list_options }, "{\"empty\":1}" },
	{ "after_ignored",    STAGE_LIST,   { .list = list_options }, "{\"ignore_after\":1,\"always_more\":1}" },
	{ "order_ignored",    STAGE_LIST,   { .list = list_options }, "{\"ignore_order\":1}" },
	{ "purpose_ignored",  STAGE_LIST,   { .list = list_options }, "{\"ignore_purpose\":1}" },
	{ "pages_overlap",    STAGE_LIST,   { .list = list_options }, "{\"overlap\":1}" },
	{ "no_has_more",      STAGE_LIST,   { .list = list_options }, "{\"no_has_more\":1}" },
	{ "no_first_last",    STAGE_LIST,   { .list = list_options }, "{\"no_ends\":1}" },
	{ "bare_array",       STAGE_LIST,   { .list = list_options }, "{\"bare\":1}" },
	{ "long_ids",         STAGE_ID,     { .call = NULL },         "{\"size\":1500}" },
	{ .name = NULL },
};
/* clang-format on */
