#include "tests/world/http.h"

#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "tests/sim/blob.h"
#include "tests/sim/model.h"
#include "tests/world/http_late.h"
#include "tests/world/loop.h"

#define MAX_BODY_BYTES (1024 * 1024)
#define STALL_MS 60000
#define MAX_PIECE 16384
#define MAX_QUERY 6
/* A gzip member of stored blocks: 10 bytes before them, 8 behind. */
#define GZIP_HEAD 10
#define BLOCK_HEAD 5

struct http {
	struct loop *loop;
	struct http_network *network;
	struct http_call *calls;
	size_t count;
};

struct http_call {
	struct http *http;
	struct http_call *next;
	struct loop_timer *timer;
	struct http_request request; /* what it points to is ours, but for the source */
	char **headers;
	char *range; /* what goes out as the header of that name; NULL: none */
	struct http_field *fields;
	char *path;
	char *query_names[MAX_QUERY];
	char *query_values[MAX_QUERY];
	struct sim_answer answer;
	struct http_response response;
	struct buffer body;
	int64_t sent, received;
	bool is_sent;
	bool is_arrived;
	bool is_lost;
	bool is_running; /* a callback of it is up the stack */
	bool is_aborted;
	http_on_data *on_data;
	http_on_done *on_done;
	void *context;
};

static void call_free(struct http_call *call)
{
	struct http_call **link = &call->http->calls;

	while (*link != call)
		link = &(*link)->next;
	*link = call->next;
	call->http->count--;
	loop_timer_free(call->timer);
	for (size_t i = 0; call->headers && call->headers[i]; i++)
		free(call->headers[i]);
	free(call->headers);
	free(call->range);
	free(call->path);
	free((char *)call->request.if_range);
	for (size_t i = 0; call->fields && call->fields[i].name; i++) {
		free((char *)call->fields[i].name);
		free((char *)call->fields[i].text);
		free((char *)call->fields[i].file_name);
	}
	free(call->fields);
	for (size_t i = 0; i < MAX_QUERY; i++) {
		free(call->query_names[i]);
		free(call->query_values[i]);
	}
	free((char *)call->request.method);
	free((char *)call->request.url);
	free((char *)call->request.body);
	sim_answer_release(&call->answer);
	buffer_release(&call->body);
	free(call);
}

/* --- the request, as the other end sees it --- */

static const char *find_header(const char *name, void *context)
{
	const struct http_call *call = context;
	size_t size = strlen(name);

	if (!strcasecmp(name, "Range"))
		return call->range;
	if (!strcasecmp(name, "If-Range"))
		return call->range ? call->request.if_range : NULL;
	for (size_t i = 0; call->headers && call->headers[i]; i++)
		if (!strncasecmp(call->headers[i], name, size) && call->headers[i][size] == ':')
			return call->headers[i] + size + 1 + strspn(call->headers[i] + size + 1, " ");
	return NULL;
}

static const char *find_query(const char *name, void *context)
{
	const struct http_call *call = context;

	for (size_t i = 0; i < MAX_QUERY && call->query_names[i]; i++)
		if (!strcmp(call->query_names[i], name))
			return call->query_values[i];
	return NULL;
}

static int digit_of(char c)
{
	return isdigit((unsigned char)c) ? c - '0' : tolower((unsigned char)c) - 'a' + 10;
}

/* A copy of size bytes, percent-decoded. */
static char *decode(const char *text, size_t size)
{
	char *copy = xmemdup0(text, size), *to = copy;

	for (const char *from = copy; *from; from++) {
		if (*from == '%' && isxdigit((unsigned char)from[1]) && isxdigit((unsigned char)from[2])) {
			*to++ = (char)(digit_of(from[1]) * 16 + digit_of(from[2]));
			from += 2;
		} else {
			*to++ = *from;
		}
	}
	*to = '\0';
	return copy;
}

/* Takes the URL apart; returns the path. */
static char *read_url(struct http_call *call)
{
	const char *scheme = strstr(call->request.url, "://");
	const char *path = scheme ? strchr(scheme + 3, '/') : NULL;
	const char *query;

	if (!path)
		return xstrdup("/");
	query = strchr(path, '?');
	for (size_t i = 0; query && *query && i < MAX_QUERY; i++) {
		size_t name = strcspn(query + 1, "=&"), whole = strcspn(query + 1, "&");
		size_t value = whole > name ? whole - name - 1 : 0;

		call->query_names[i] = decode(query + 1, name);
		call->query_values[i] = decode(query + 1 + whole - value, value);
		query += 1 + whole;
	}
	return decode(path, strcspn(path, "?"));
}

static bool is_likely(struct http *http, unsigned permille)
{
	return loop_random(http->loop) % 1000 < permille;
}

/* Reads a source to its end, or only so far, in pieces of many sizes. 0 or -errno. */
static int read_source(struct http_call *call, const struct http_source *source, int64_t end,
		       struct buffer *ret_bytes)
{
	char piece[MAX_PIECE];

	while ((int64_t)ret_bytes->size < end) {
		int64_t left = end - (int64_t)ret_bytes->size;
		size_t size = 1 + (size_t)(loop_random(call->http->loop) % MAX_PIECE);
		int64_t got = source->read(source->context, piece,
					   (int64_t)size < left ? size : (size_t)left);

		if (got <= 0)
			return got ? (int)got : -EIO;
		buffer_add(ret_bytes, piece, (size_t)got);
	}
	return 0;
}

static int read_file(struct http_call *call, const struct http_source *source, struct buffer *ret_bytes)
{
	int r = 0;

	if (is_likely(call->http, call->http->network->rewind_permille)) {
		/* The connection broke before anything arrived. */
		r = read_source(call, source,
				(int64_t)(loop_random(call->http->loop) % (uint64_t)(source->size + 1)),
				ret_bytes);
		buffer_clear(ret_bytes);
		if (!r)
			r = source->seek(source->context, 0);
	}
	return r ? r : read_source(call, source, source->size, ret_bytes);
}

static int fill_form(struct http_call *call, struct sim_form *form)
{
	for (const struct http_field *field = call->fields; field->name; field++) {
		auto_buffer bytes = { 0 };
		int r = 0;

		if (field->source)
			r = read_file(call, field->source, &bytes);
		else
			buffer_add_text(&bytes, field->text);
		if (r)
			return r;
		call->sent += (int64_t)bytes.size;
		sim_form_add(form, field->name, field->file_name, buffer_text(&bytes), bytes.size, 0);
	}
	return 0;
}

/* --- the answer, as our end sees it --- */

static const char *answer_header(const struct sim_answer *answer, const char *name)
{
	for (size_t i = 0; i < answer->header_count; i++)
		if (!strcasecmp(answer->headers[i].name, name))
			return answer->headers[i].value;
	return NULL;
}

/* How many bytes of the body come, and whether that is all that was promised. */
static size_t body_size(const struct sim_answer *answer, bool *ret_is_whole)
{
	size_t size = answer->body->size;

	*ret_is_whole = true;
	if (answer->transport != SIM_STREAM)
		return size;
	if (answer->length >= 0 && (size_t)answer->length < size)
		size = (size_t)answer->length;
	if (answer->length > (int64_t)size)
		*ret_is_whole = false;
	if (answer->cut_at < size || (answer->cut_at == size && answer->length < 0)) {
		size = answer->cut_at;
		*ret_is_whole = false;
	}
	return size;
}

/* The bytes of the stored blocks. */
static void undo_gzip(const char *bytes, size_t size, struct buffer *ret_bytes)
{
	for (size_t at = GZIP_HEAD; at + BLOCK_HEAD <= size;) {
		bool is_last = bytes[at] & 1;
		size_t block = (size_t)(uint8_t)bytes[at + 1] | (size_t)(uint8_t)bytes[at + 2] << 8;

		at += BLOCK_HEAD;
		if (block > size - at)
			block = size - at;
		buffer_add(ret_bytes, bytes + at, block);
		at += block;
		if (is_last)
			break;
	}
}

static void end_call(struct http_call *call, enum http_transport transport, const char *problem)
{
	const struct http_post *post = &call->http->network->post;

	call->response.transport = transport;
	call->response.problem = transport == HTTP_ANSWERED ? NULL : problem;
	call->response.body = buffer_text(&call->body);
	call->response.body_size = call->body.size;
	call->is_running = true;
	if (!call->is_aborted)
		call->on_done(&call->response, call->context);
	if (post->on_answered)
		post->on_answered(call->request.method, call->path, post->context);
	call_free(call);
}

/* Gives a 2xx body to whoever takes it in pieces; 0, or what the taker said. */
static int give_pieces(struct http_call *call, const char *bytes, size_t size)
{
	for (size_t at = 0; at < size && !call->is_aborted;) {
		size_t piece = 1 + (size_t)(loop_random(call->http->loop) % MAX_PIECE);
		int r;

		if (piece > size - at)
			piece = size - at;
		call->is_running = true;
		r = call->on_data(&call->response, bytes + at, piece, call->context);
		call->is_running = false;
		if (r)
			return r;
		at += piece;
	}
	return 0;
}

static void read_headers(struct http_call *call)
{
	const struct sim_answer *answer = &call->answer;

	call->response.status = answer->status;
	call->response.content_type = answer->content_type;
	call->response.location = answer_header(answer, "location");
	call->response.retry_after = answer_header(answer, "retry-after");
	call->response.retry_after_ms = answer_header(answer, "retry-after-ms");
	call->response.limit_requests = answer_header(answer, "x-ratelimit-limit-requests");
	call->response.remaining_requests = answer_header(answer, "x-ratelimit-remaining-requests");
	call->response.reset_requests = answer_header(answer, "x-ratelimit-reset-requests");
	call->response.request_id = answer_header(answer, "x-request-id");
	call->response.accept_ranges = answer_header(answer, "accept-ranges");
	call->response.content_range = answer_header(answer, "content-range");
	call->response.content_encoding = answer_header(answer, "content-encoding");
	call->response.etag = answer_header(answer, "etag");
	call->response.incomplete = answer_header(answer, "x-incomplete");
	call->response.content_length = answer->transport == SIM_STREAM ? answer->length :
									  (int64_t)answer->body->size;
}

static void receive(struct http_call *call)
{
	const struct sim_answer *answer = &call->answer;
	size_t limit = call->request.max_body ? call->request.max_body : MAX_BODY_BYTES;
	auto_buffer plain = { 0 };
	bool is_whole;
	size_t size = body_size(answer, &is_whole);

	read_headers(call);
	if (call->response.content_encoding && !call->request.is_raw)
		undo_gzip(answer->body->data, size, &plain);
	else
		buffer_add(&plain, answer->body->data, size);
	call->received = (int64_t)size;
	if (call->on_data && answer->status / 100 == 2) {
		if (give_pieces(call, plain.data, plain.size)) {
			end_call(call, HTTP_ABORTED, "the reader gave up");
			return;
		}
	} else if (plain.size > limit) {
		end_call(call, HTTP_CUT, "the answer is too long");
		return;
	} else {
		buffer_add(&call->body, plain.data, plain.size);
	}
	end_call(call, is_whole ? HTTP_ANSWERED : HTTP_CUT, "the connection was cut");
}

/* How long nothing may come. */
static int64_t patience_of(const struct http_call *call)
{
	int64_t patience = call->request.stall_timeout_ms ? call->request.stall_timeout_ms : STALL_MS;

	return call->request.timeout_ms && call->request.timeout_ms < patience ? call->request.timeout_ms : patience;
}

/* When the answer is here, or when nobody waits for it any longer. */
static int64_t answer_time(const struct http_call *call, bool *ret_is_late)
{
	const struct sim_answer *answer = &call->answer;
	int64_t patience = patience_of(call);
	int64_t silence = answer->delay_ms;

	if (answer->transport == SIM_STREAM && answer->stall_at != SIZE_MAX && answer->stall_ms > silence)
		silence = answer->stall_ms;
	*ret_is_late = silence >= patience;
	return call->http->network->latency_ms + (*ret_is_late ? patience : silence);
}

/* Who lives at the host of the URL. */
static struct sim *sim_of(const struct http_call *call)
{
	const struct http_network *network = call->http->network;
	const char *scheme = strstr(call->request.url, "://");
	const char *host = scheme ? scheme + 3 : "";

	for (size_t i = 0; i < network->host_count; i++)
		if (strlen(network->hosts[i].name) == strcspn(host, "/") &&
		    strncmp(network->hosts[i].name, host, strcspn(host, "/")) == 0)
			return network->hosts[i].sim;
	return network->sim;
}

static void arrive(struct http_call *call)
{
	const struct http_post *post = &call->http->network->post;
	struct sim_form form = { 0 };
	const struct sim_request request = {
		.method = call->request.method,
		.path = call->path,
		.query = find_query,
		.header = find_header,
		.context = call,
		.body = call->request.body,
		.size = call->request.body_size,
		.form = call->fields ? &form : NULL,
	};
	bool is_late;
	int r;

	call->is_sent = true;
	r = call->fields ? fill_form(call, &form) : 0;
	if (r) {
		sim_form_release(&form);
		end_call(call, HTTP_ABORTED, "the source cannot be read");
		return;
	}
	call->http->network->calls++;
	call->is_arrived = true;
	sim_call(sim_of(call), &request, &call->answer);
	sim_form_release(&form);
	loop_timer_set(call->timer, answer_time(call, &is_late));
	if (is_late)
		call->answer.transport = SIM_DROP;
	if (post->on_arrived)
		post->on_arrived(call->request.method, call->path, &call->answer, post->context);
}

/* It left, and nobody will ever answer. */
static void lose(struct http_call *call, bool is_late)
{
	struct http_network *network = call->http->network;

	call->is_sent = call->is_lost = true;
	loop_timer_set(call->timer, is_late ? patience_of(call) : network->latency_ms);
	if (!is_late || call->fields)
		return;
	http_late_add(network, sim_of(call), call->request.method, call->path, call->request.body,
		      call->request.body_size, find_header("Authorization", call));
}

/* Whether the network refuses this connection. */
static bool is_refused(const struct http_call *call)
{
	struct http_network *network = call->http->network;
	const char *host = strstr(call->request.url, "://");
	const char *path = host ? strchr(host + 3, '/') : NULL;
	auto_free char *start = NULL;

	if (!path)
		return true;
	start = xasprintf("%s %s", call->request.method, path);
	if (!network->refused || !network->refused_count ||
	    strncmp(start, network->refused, strlen(network->refused)) != 0)
		return false;
	if (network->refused_count > 0)
		network->refused_count--;
	return true;
}

static void leave(struct http_call *call)
{
	const struct http_post *post = &call->http->network->post;
	enum http_fate fate = HTTP_FATE_ARRIVES;

	call->path = read_url(call);
	if (is_refused(call))
		fate = HTTP_FATE_REFUSED;
	else if (post->on_leaving)
		fate = post->on_leaving(call->request.method, call->path, post->context);
	switch (fate) {
	case HTTP_FATE_ARRIVES:
		arrive(call);
		break;
	case HTTP_FATE_REFUSED:
		end_call(call, HTTP_NOT_SENT, "the connection was refused");
		break;
	case HTTP_FATE_LOST:
	case HTTP_FATE_LATE:
		lose(call, fate == HTTP_FATE_LATE);
		break;
	}
}

static void on_call_due(void *context)
{
	struct http_call *call = context;

	if (call->is_lost || (call->is_arrived && call->answer.transport == SIM_DROP))
		end_call(call, HTTP_CUT, "the connection was closed without an answer");
	else if (call->is_arrived)
		receive(call);
	else
		leave(call);
}

struct http *http_new(struct loop *loop, const char *user_agent)
{
	struct http *http = xcalloc(1, sizeof(*http));

	(void)user_agent;
	http->loop = loop;
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	while (http->calls)
		call_free(http->calls);
	free(http);
}

void http_connect(struct http *http, struct http_network *network)
{
	http->network = network;
}

static char **copy_headers(const char *const *headers)
{
	size_t count = 0;
	char **copy;

	while (headers && headers[count])
		count++;
	copy = xcalloc(count + 1, sizeof(*copy));
	for (size_t i = 0; i < count; i++)
		copy[i] = xstrdup(headers[i]);
	return copy;
}

static struct http_field *copy_fields(const struct http_field *fields)
{
	size_t count = 0;
	struct http_field *copy;

	if (!fields)
		return NULL;
	while (fields[count].name)
		count++;
	copy = xcalloc(count + 1, sizeof(*copy));
	for (size_t i = 0; i < count; i++)
		copy[i] = (struct http_field){
			.name = xstrdup(fields[i].name),
			.text = xstrdup(fields[i].text),
			.file_name = xstrdup(fields[i].file_name),
			.source = fields[i].source,
		};
	return copy;
}

struct http_call *http_start(struct http *http, const struct http_request *request,
			     http_on_data *on_data, http_on_done *on_done, void *context)
{
	struct http_call *call = xcalloc(1, sizeof(*call));

	call->http = http;
	call->request = *request;
	call->request.method = xstrdup(request->method);
	call->request.url = xstrdup(request->url);
	call->request.body = request->body ? xmemdup0(request->body, request->body_size) : NULL;
	call->request.if_range = xstrdup(request->if_range);
	if (request->range_from > 0)
		call->range = xasprintf("bytes=%" PRId64 "-", request->range_from);
	call->headers = copy_headers(request->headers);
	call->fields = copy_fields(request->fields);
	call->response.content_length = -1;
	call->on_data = on_data;
	call->on_done = on_done;
	call->context = context;
	call->next = http->calls;
	http->calls = call;
	http->count++;
	call->timer = loop_timer_new(http->loop, on_call_due, call);
	loop_timer_set(call->timer, 0);
	return call;
}

void http_call_abort(struct http_call *call)
{
	if (!call)
		return;
	call->is_aborted = true;
	if (!call->is_running)
		call_free(call);
}

void http_call_progress(const struct http_call *call, int64_t *ret_sent, int64_t *ret_received)
{
	*ret_sent = call->sent;
	*ret_received = call->received;
}

bool http_call_is_sent(const struct http_call *call)
{
	return call->is_sent;
}

size_t http_count(const struct http *http)
{
	return http->count;
}

char *http_escape(const char *text)
{
	auto_buffer escaped = { 0 };

	for (; *text; text++)
		if (isalnum((unsigned char)*text) || strchr("-._~", *text))
			buffer_add(&escaped, text, 1);
		else
			buffer_add_format(&escaped, "%%%02X", (unsigned)(unsigned char)*text);
	return xstrdup(buffer_text(&escaped));
}
