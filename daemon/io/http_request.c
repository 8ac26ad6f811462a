#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/http_call.h"

#define CONNECT_TIMEOUT_MS (10 * 1000)
#define STALL_TIMEOUT_MS   (60 * 1000)
#define BULK_BUFFER_BYTES  (128 * 1024L)
#define LEAST_BUFFER_BYTES 1024L

struct number_option {
	CURLoption option;
	long value;
};

struct text_option {
	CURLoption option;
	const char *value; /* NULL: leave it alone */
};

/* clang-format off */
static const struct number_option fixed_options[] = {
	{ CURLOPT_NOSIGNAL,                1 },
	/* A name server that hangs holds a thread of the library; nobody may wait for it. */
	{ CURLOPT_QUICK_EXIT,              1 },
	{ CURLOPT_HTTP_VERSION,            CURL_HTTP_VERSION_1_1 },
	{ CURLOPT_FOLLOWLOCATION,          0 },
	{ CURLOPT_NETRC,                   CURL_NETRC_IGNORED },
	{ CURLOPT_SSL_VERIFYPEER,          1 },
	{ CURLOPT_SSL_VERIFYHOST,          2 },
	{ CURLOPT_SSLVERSION,              CURL_SSLVERSION_TLSv1_2 },
	/* The status of a proxy is not the provider's. */
	{ CURLOPT_SUPPRESS_CONNECT_HEADERS, 1 },
	{ CURLOPT_TCP_KEEPALIVE,           1 },
};
/* clang-format on */

static size_t on_source_wanted(char *bytes, size_t unit, size_t count, void *context)
{
	struct http_call *call = context;
	int64_t left = call->source.size - call->source_offset;
	int64_t size = (int64_t)(unit * count);

	if (call->state != CALL_RUNNING)
		return CURL_READFUNC_ABORT;
	if (left == 0)
		return 0;
	size = call->source.read(call->source.context, bytes, (size_t)(size < left ? size : left));
	if (call->state != CALL_RUNNING)
		return CURL_READFUNC_ABORT;
	/* A promised length that is not kept would leave the server waiting for the rest. */
	if (size <= 0 || size > left) {
		call->refuser = "the upload could not be read";
		call->refusal = size < 0 ? (int)size : -EIO;
		return CURL_READFUNC_ABORT;
	}
	call->source_offset += size;
	return (size_t)size;
}

static int on_source_seek(void *context, curl_off_t offset, int origin)
{
	struct http_call *call = context;

	if (call->state != CALL_RUNNING || origin != SEEK_SET || offset < 0 ||
	    offset > call->source.size)
		return CURL_SEEKFUNC_FAIL;
	if (call->source.seek(call->source.context, offset) < 0)
		return CURL_SEEKFUNC_FAIL;
	call->source_offset = offset;
	return CURL_SEEKFUNC_OK;
}

static bool is_one_line(const char *text)
{
	return !text || !strpbrk(text, "\r\n");
}

static bool is_bodiless(const struct http_request *request)
{
	return !request->body && !request->fields;
}

static bool has_header(const char *const *headers, const char *name)
{
	size_t size = strlen(name);

	for (; headers && *headers; headers++)
		if (strncasecmp(*headers, name, size) == 0 && (*headers)[size] == ':')
			return true;
	return false;
}

static void add_header(struct http_call *call, const char *header)
{
	struct curl_slist *longer = curl_slist_append(call->headers, header);

	if (!longer)
		abort();
	call->headers = longer;
}

/* A name with nothing behind the colon keeps the library from sending its own. */
static int apply_headers(const struct http_request *request, struct http_call *call)
{
	add_header(call, "Expect:");
	if (is_bodiless(request))
		add_header(call, "Content-Type:");
	else if (request->body && !has_header(request->headers, "Content-Type"))
		add_header(call, "Content-Type: application/json");
	/* Where the library is to undo nothing, it does not ask for anything either. */
	if (request->is_raw)
		add_header(call, "Accept-Encoding: identity");
	if (request->range_from > 0 && request->if_range) {
		auto_free char *header = xasprintf("If-Range: %s", request->if_range);

		if (!is_one_line(header))
			return -EINVAL;
		add_header(call, header);
	}
	for (const char *const *header = request->headers; header && *header; header++) {
		if (!is_one_line(*header))
			return -EINVAL;
		add_header(call, *header);
	}
	return curl_easy_setopt(call->easy, CURLOPT_HTTPHEADER, call->headers) ? -EINVAL : 0;
}

static int apply_file(const struct http_field *field, curl_mimepart *part, struct http_call *call)
{
	assert(!call->source.read); /* one file a form */
	if (!is_one_line(field->content_type) || field->source->size < 0)
		return -EINVAL;
	call->source = *field->source;
	if (curl_mime_filename(part, field->file_name) ||
	    (field->content_type && curl_mime_type(part, field->content_type)) ||
	    curl_mime_data_cb(part, call->source.size, on_source_wanted, on_source_seek, NULL,
			      call))
		return -EINVAL;
	return 0;
}

static int apply_form(const struct http_field *fields, struct http_call *call)
{
	call->form = curl_mime_init(call->easy);
	if (!call->form)
		abort();
	for (const struct http_field *field = fields; field->name; field++) {
		curl_mimepart *part = curl_mime_addpart(call->form);

		if (!part)
			abort();
		if (curl_mime_name(part, field->name))
			return -EINVAL;
		if (field->text ? (int)curl_mime_data(part, field->text, CURL_ZERO_TERMINATED)
				: apply_file(field, part, call))
			return -EINVAL;
	}
	return curl_easy_setopt(call->easy, CURLOPT_MIMEPOST, call->form) ? -EINVAL : 0;
}

/*
 * Only a GET may go out on a connection that served before: where the server has closed that, the
 * library sends the request once more on its own, which must not happen to anything that acts.
 */
static int apply_method(const struct http_request *request, struct http_call *call)
{
	bool is_get = strcmp(request->method, "GET") == 0;
	bool is_post = strcmp(request->method, "POST") == 0;
	CURL *easy = call->easy;

	assert(is_post || is_bodiless(request));
	if (curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, is_get ? 0L : 1L))
		return -EINVAL;
	if (!is_post)
		return curl_easy_setopt(easy, CURLOPT_HTTPGET, 1L) ||
				       (!is_get && curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST,
								    request->method))
			       ? -EINVAL
			       : 0;
	if (request->fields)
		return apply_form(request->fields, call);
	if (curl_easy_setopt(easy, CURLOPT_POST, 1L) ||
	    curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE,
			     (curl_off_t)(request->body ? request->body_size : 0)) ||
	    curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, request->body ? request->body : ""))
		return -EINVAL;
	return 0;
}

static int apply_texts(const struct http_request *request, const char *user_agent, CURL *easy)
{
	auto_free char *range = NULL;

	if (request->range_from > 0)
		range = xasprintf("%" CURL_FORMAT_CURL_OFF_T "-", (curl_off_t)request->range_from);

	const struct text_option options[] = {
		{CURLOPT_URL, request->url},
		{CURLOPT_USERAGENT, user_agent},
		{CURLOPT_PROTOCOLS_STR, "http,https"},
		/* Asks for the plain bytes, and undoes what a server encodes in spite of it. */
		{CURLOPT_ACCEPT_ENCODING, request->is_raw ? NULL : "identity"},
		{CURLOPT_CAINFO, request->ca_file},
		{CURLOPT_SSLCERT, request->client_cert},
		{CURLOPT_SSLKEY, request->client_key},
		{CURLOPT_UNIX_SOCKET_PATH, request->unix_socket},
		/* A proxy from the environment is not between us and a socket of this machine. */
		{CURLOPT_PROXY, request->unix_socket ? "" : request->proxy},
		{CURLOPT_RANGE, range},
	};

	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (options[i].value && curl_easy_setopt(easy, options[i].option, options[i].value))
			return -EINVAL;
	return 0;
}

static long clamp(int64_t value, int64_t otherwise)
{
	if (value <= 0)
		value = otherwise;
	return value > INT32_MAX ? INT32_MAX : (long)value;
}

/*
 * The library looks at the clock after 100 reads at the latest (measured with 7.88: while more is
 * there it reads on): so these together may not take much more than what may come in a second.
 */
static long buffer_size(const struct http_request *request, bool is_bulk)
{
	long size = is_bulk ? BULK_BUFFER_BYTES : CURL_MAX_WRITE_SIZE;
	int64_t share = request->bandwidth / 100;

	if (request->bandwidth <= 0 || share >= size)
		return size;
	return share > LEAST_BUFFER_BYTES ? (long)share : LEAST_BUFFER_BYTES;
}

static int apply_numbers(const struct http_request *request, const struct http_call *call)
{
	long stall_ms = clamp(request->stall_timeout_ms, STALL_TIMEOUT_MS);
	const struct number_option options[] = {
		{CURLOPT_CONNECTTIMEOUT_MS, clamp(request->connect_timeout_ms, CONNECT_TIMEOUT_MS)},
		{CURLOPT_TIMEOUT_MS, clamp(request->timeout_ms, 0)},
		{CURLOPT_LOW_SPEED_TIME, stall_ms / 1000 + (stall_ms % 1000 > 0)},
		{CURLOPT_LOW_SPEED_LIMIT, clamp(request->low_speed, 1)},
		{CURLOPT_BUFFERSIZE, buffer_size(request, call->on_data != NULL)},
		{CURLOPT_UPLOAD_BUFFERSIZE, request->fields ? BULK_BUFFER_BYTES : 64 * 1024L},
	};

	for (size_t i = 0; i < ARRAY_SIZE(fixed_options); i++)
		if (curl_easy_setopt(call->easy, fixed_options[i].option, fixed_options[i].value))
			return -EINVAL;
	for (size_t i = 0; i < ARRAY_SIZE(options); i++)
		if (curl_easy_setopt(call->easy, options[i].option, options[i].value))
			return -EINVAL;
	return 0;
}

static int apply_bandwidth(const struct http_request *request, CURL *easy)
{
	curl_off_t most = (curl_off_t)request->bandwidth;

	if (most <= 0)
		return 0;
	return curl_easy_setopt(easy, CURLOPT_MAX_SEND_SPEED_LARGE, most) ||
			       curl_easy_setopt(easy, CURLOPT_MAX_RECV_SPEED_LARGE, most)
		       ? -EINVAL
		       : 0;
}

static int refuse(const char *sentence, const char **ret_problem)
{
	*ret_problem = sentence;
	return -EINVAL;
}

int http_request_apply(const struct http_request *request, const char *user_agent,
		       struct http_call *call, const char **ret_problem)
{
	if (apply_numbers(request, call) < 0 || apply_bandwidth(request, call->easy) < 0)
		return refuse("the HTTP library lacks an option", ret_problem);
	if (apply_texts(request, user_agent, call->easy) < 0)
		return refuse("the URL, the proxy, a certificate or the socket's path cannot be used",
			      ret_problem);
	if (apply_headers(request, call) < 0)
		return refuse("a header of the request has a line break in it", ret_problem);
	if (apply_method(request, call) < 0)
		return refuse("the body of the request cannot be sent", ret_problem);
	return 0;
}

void http_request_release(struct http_call *call)
{
	curl_mime_free(call->form);
	curl_slist_free_all(call->headers);
}
