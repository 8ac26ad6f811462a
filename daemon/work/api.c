#include "daemon/work/api.h"

#include <inttypes.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/tree.h"
#include "daemon/io/config.h"
#include "daemon/io/http.h"
#include "daemon/io/note.h"
#include "daemon/model/backoff.h"
#include "daemon/model/dialect.h"
#include "daemon/work/api_parse.h"
#include "daemon/work/api_words.h"
#include "daemon/work/rates.h"

#define ALL_CALLS 1023
#define BOTH_LISTS (API_LIST | API_FILES)
#define BOTH_CONTENTS (API_CONTENT | API_CONTENT_REST)
#define MAX_REDIRECTS 3
#define MAX_LIST_BODY (16 << 20) /* a page of 100 batches with their errors, or of all files where the limit is not heeded */

struct api {
	struct http *http;
	const struct config_provider *config;
	char *headers[3 + CONFIG_MAX_HEADERS + 1]; /* "Name: value"; NULL at the end */
	int64_t (*now)(void *context);
	void *context;
	struct note *note;
	struct api_watch watch;
	struct rates rates;
};

struct api_request {
	struct api *api;
	enum api_call call;
	char *object; /* that it is about, or NULL */
	struct http_call *http;
	int redirects;
	int64_t from;
	char *etag;
	api_on_data *on_data;
	api_on_done *on_done;
	void *context;
	struct note_entry doer; /* whose step it was begun in */
};

/* Codes of the table that stand for all the words that mean them. */
#define FULL "token_limit_exceeded"
#define TOO_LARGE "too_large"

/*
 * The first row that fits decides. A code of NULL fits any; a status range of 0..0 is for calls without a whole answer.
 * Sources: the official document for 2xx, 401, 429; what clients recorded for quota codes, 409 on cancel and token limits; and for
 * create the rule that only a clear refusal proves that nothing was made.
 */
/* clang-format off */
static const struct {
	unsigned calls;
	enum http_transport transport;
	int first, last;
	const char *code;
	enum api_verdict verdict;
} rules[] = {
	{ ALL_CALLS,  HTTP_NOT_SENT, 0,   999, NULL, API_AGAIN },
	{ API_CREATE, HTTP_CUT,      0,   999, NULL, API_DOUBT },
	{ API_CREATE, HTTP_ABORTED,  0,   999, NULL, API_DOUBT },
	{ ALL_CALLS,  HTTP_CUT,      0,   999, NULL, API_AGAIN },
	{ ALL_CALLS,  HTTP_ABORTED,  0,   999, NULL, API_AGAIN },
	{ API_CONTENT_REST, HTTP_ANSWERED, 206, 206, NULL, API_OK },
	{ BOTH_CONTENTS, HTTP_ANSWERED, 201, 299, NULL, API_AGAIN }, /* accepted, or a part: not the file */
	{ ALL_CALLS,  HTTP_ANSWERED, 200, 299, NULL, API_OK    },
	{ API_CREATE, HTTP_ANSWERED, 300, 300, NULL, API_DOUBT },
	{ API_CREATE, HTTP_ANSWERED, 302, 306, NULL, API_DOUBT }, /* "done, see there" */
	{ API_CREATE, HTTP_ANSWERED, 309, 399, NULL, API_DOUBT },
	{ ALL_CALLS,  HTTP_ANSWERED, 300, 399, NULL, API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 400, 499, "insufficient_quota",                  API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 400, 499, "billing_hard_limit_reached",          API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 400, 499, "billing_not_active",                  API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 400, 499, "organization_spend_limit_exceeded",   API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 400, 499, "project_spend_limit_exceeded",        API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 400, 499, "organization_usage_limit_exceeded",   API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 400, 499, FULL,                                  API_FULL  },
	{ API_UPLOAD | API_CREATE, HTTP_ANSWERED, 400, 400, TOO_LARGE, API_TOO_LARGE },
	{ API_UPLOAD | API_CREATE, HTTP_ANSWERED, 422, 422, TOO_LARGE, API_TOO_LARGE },
	{ API_UPLOAD | API_CREATE, HTTP_ANSWERED, 413, 413, NULL, API_TOO_LARGE },
	{ ALL_CALLS,  HTTP_ANSWERED, 413, 413, NULL, API_AGAIN }, /* of a call without a body: some proxy's word, not the provider's */
	{ ALL_CALLS,  HTTP_ANSWERED, 401, 401, NULL, API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 402, 403, NULL, API_PAUSE },
	{ ALL_CALLS,  HTTP_ANSWERED, 407, 407, NULL, API_PAUSE }, /* the proxy wants a password */
	{ API_CREATE, HTTP_ANSWERED, 404, 404, NULL, API_AGAIN }, /* the file is not known there yet */
	{ API_CREATE, HTTP_ANSWERED, 408, 409, NULL, API_DOUBT },
	{ API_CREATE, HTTP_ANSWERED, 500, 599, NULL, API_DOUBT },
	{ API_UPLOAD, HTTP_ANSWERED, 404, 405, NULL, API_PAUSE }, /* base_url leads elsewhere */
	{ BOTH_LISTS, HTTP_ANSWERED, 404, 405, NULL, API_REFUSED },
	{ API_FILES | API_DELETE, HTTP_ANSWERED, 501, 501, NULL, API_REFUSED }, /* it has no such call */
	{ ALL_CALLS,  HTTP_ANSWERED, 404, 404, NULL, API_GONE  },
	{ ALL_CALLS,  HTTP_ANSWERED, 410, 410, NULL, API_GONE  },
	{ API_CANCEL, HTTP_ANSWERED, 409, 409, NULL, API_REFUSED }, /* it has ended */
	{ API_DELETE, HTTP_ANSWERED, 409, 409, NULL, API_REFUSED }, /* it is in use */
	{ ALL_CALLS,  HTTP_ANSWERED, 408, 409, NULL, API_AGAIN },
	{ ALL_CALLS,  HTTP_ANSWERED, 425, 425, NULL, API_AGAIN },
	{ API_CREATE, HTTP_ANSWERED, 499, 499, NULL, API_DOUBT }, /* some gateway gave up on the provider, which may have gone on */
	{ ALL_CALLS,  HTTP_ANSWERED, 499, 499, NULL, API_AGAIN },
	{ API_CONTENT_REST, HTTP_ANSWERED, 416, 416, NULL, API_AGAIN }, /* then from the start */
	{ ALL_CALLS,  HTTP_ANSWERED, 429, 429, NULL, API_AGAIN },
	{ ALL_CALLS,  HTTP_ANSWERED, 400, 499, NULL, API_REFUSED },
	{ ALL_CALLS,  HTTP_ANSWERED, 500, 599, NULL, API_AGAIN },
	{ API_CREATE, HTTP_ANSWERED, 0,   999, NULL, API_DOUBT },
	{ ALL_CALLS,  HTTP_ANSWERED, 0,   999, NULL, API_AGAIN },
};
/* clang-format on */

enum api_verdict api_judge(enum api_call call, int transport, int status, const char *code,
			   const char *message)
{
	/* Some servers tell it by words alone. */
	if (status >= 400 && status < 500 && api_says_full(code, message))
		code = FULL;
	else if (status >= 400 && status < 500 && api_says_too_large(code, message))
		code = TOO_LARGE;
	for (size_t i = 0; i < ARRAY_SIZE(rules); i++)
		if ((rules[i].calls & call) && (int)rules[i].transport == transport &&
		    status >= rules[i].first && status <= rules[i].last &&
		    (!rules[i].code || (code && strcmp(rules[i].code, code) == 0)))
			return rules[i].verdict;
	return call == API_CREATE ? API_DOUBT : API_AGAIN;
}

/* A 2xx whose body is not what was asked for did not arrive. */
static bool body_is_right(enum api_call call, const struct http_response *response)
{
	struct api_batch batch = { 0 };
	struct api_file file = { 0 };
	int r = 0;

	switch (call) {
	case API_UPLOAD:
	case API_FILE:
		r = api_parse_file(response->body, response->body_size, &file, NULL);
		api_file_release(&file);
		break;
	case API_CREATE:
	case API_RETRIEVE:
		r = api_parse_batch(response->body, response->body_size, &batch, NULL);
		api_batch_release(&batch);
		break;
	case API_LIST:
	case API_FILES:
	case API_CANCEL:
	case API_CONTENT:
	case API_CONTENT_REST:
	case API_DELETE:
		break;
	}
	return r == 0;
}

static char *describe(const struct http_response *response, const struct api_error *refusal)
{
	if (response->transport != HTTP_ANSWERED)
		return xstrdup(response->problem ? response->problem : "the connection broke");
	if (response->status >= 300 && response->status < 400)
		return xasprintf("base_url moved to %s", response->location ? response->location : "elsewhere");
	if (response->status < 300)
		return xstrdup("the answer is not what the API promises");
	if (refusal->code)
		return xasprintf("HTTP %d %s: %s", response->status, refusal->code, refusal->message);
	return xasprintf("HTTP %d: %s", response->status, refusal->message);
}

static void request_free(struct api_request *request)
{
	free(request->object);
	free(request->etag);
	free(request);
}

static void tell_watch(const struct api_request *request, const struct api_answer *answer)
{
	const struct api_watch *watch = &request->api->watch;
	const struct api_report report = {
		.call = request->call,
		.object = request->object,
		.is_elsewhere = request->redirects > 0,
		.answer = answer,
	};

	if (watch->on_told)
		watch->on_told(&report, watch->context);
}

static void finish(struct api_request *request, const struct http_response *response)
{
	struct api_error refusal = { 0 };
	auto_free char *words = NULL;
	struct api_answer answer = {
		.status = response->status,
		.request_id = response->request_id,
		.body = response->body,
		.size = response->body_size,
		.head = response,
		.retry_after_ms = backoff_retry_after_ms(response->retry_after, response->retry_after_ms,
							 request->api->now(request->api->context)),
	};

	/* Where a file was moved to, the account is not ours. */
	if (!request->redirects)
		rates_note(&request->api->rates, response, request->api->now(request->api->context));
	if (response->transport == HTTP_ANSWERED && response->status >= 300)
		api_parse_error(response->body, response->body_size, &refusal);
	answer.verdict = api_judge(request->call, (int)response->transport, response->status,
				   refusal.code, refusal.message);
	if (answer.verdict == API_OK && !body_is_right(request->call, response))
		answer.verdict = request->call == API_CREATE ? API_DOUBT : API_AGAIN;
	if (answer.verdict != API_OK)
		words = describe(response, &refusal);
	/* Where a file was moved to, nobody knows our account: a refusal there is about an address that got old. */
	if (request->redirects && answer.verdict == API_PAUSE)
		answer.verdict = API_AGAIN;
	answer.code = refusal.code;
	answer.words = words;
	tell_watch(request, &answer);
	request->on_done(&answer, request->context);
	api_error_release(&refusal);
	request_free(request);
}

static struct http_request prepare(struct api *api, const char *method, const char *url)
{
	const struct config_provider *config = api->config;

	return (struct http_request){
		.method = method,
		.url = url,
		.headers = (const char *const *)api->headers,
		.ca_file = config->ca_file,
		.client_cert = config->client_cert,
		.client_key = config->client_key,
		.proxy = config->proxy,
		.connect_timeout_ms = config->connect_timeout,
		.timeout_ms = config->call_timeout,
		.stall_timeout_ms = config->stall_timeout,
		.low_speed = config->low_speed,
		.bandwidth = config->bandwidth,
	};
}

/* A content is taken as it comes: whoever undoes what it is packed in also sees whether that is whole. */
static struct http_request prepare_content(const struct api_request *request, struct api *api, const char *url)
{
	struct http_request what = prepare(api, "GET", url);

	what.timeout_ms = 0;
	what.is_raw = true;
	what.range_from = request->from;
	what.if_range = request->etag;
	return what;
}

static int on_http_data(const struct http_response *response, const char *bytes, size_t size,
			void *context)
{
	struct api_request *request = context;
	struct note *note = request->api->note;
	int r;

	note_enter_again(note, &request->doer);
	r = request->on_data(response, bytes, size, request->context);
	note_leave(note);
	return r;
}

static void on_http_done(const struct http_response *response, void *context)
{
	struct api_request *request = context;
	struct note *note = request->api->note;
	struct http_request next;
	bool is_moved = response->transport == HTTP_ANSWERED && response->status >= 300 &&
			response->status < 400 && response->location;

	request->http = NULL;
	note_enter_again(note, &request->doer);
	if (!(request->call & BOTH_CONTENTS) || !is_moved || request->redirects >= MAX_REDIRECTS) {
		finish(request, response);
	} else {
		/* Another host must not see the key, so it gets no header of ours at all, nor a certificate. */
		request->redirects++;
		next = prepare_content(request, request->api, response->location);
		next.headers = NULL;
		next.client_cert = next.client_key = NULL;
		request->http = http_start(request->api->http, &next, on_http_data, on_http_done, request);
	}
	note_leave(note);
}

static struct api_request *request_new(struct api *api, enum api_call call, api_on_data *on_data,
				       api_on_done *on_done, void *context)
{
	struct api_request *request = xcalloc(1, sizeof(*request));

	request->api = api;
	request->call = call;
	request->on_data = on_data;
	request->on_done = on_done;
	request->context = context;
	request->doer = note_current(api->note);
	if (api->watch.on_begun)
		api->watch.on_begun(call, api->watch.context);
	return request;
}

static struct api_request *start(struct api *api, enum api_call call, const struct http_request *what,
				 api_on_done *on_done, void *context)
{
	struct api_request *request = request_new(api, call, NULL, on_done, context);

	request->http = http_start(api->http, what, NULL, on_http_done, request);
	return request;
}

/* A section that was not read from a file names no dialect. */
const struct dialect *api_terms(const struct api *api)
{
	return api->config->terms.name ? &api->config->terms : dialect_at(0);
}

/* Where a call goes; path begins with a slash and may have a query of its own. */
static char *url_of(const struct api *api, const char *path)
{
	const char *query = api_terms(api)->query;

	if (!query)
		return xasprintf("%s%s", api->config->base_url, path);
	return xasprintf("%s%s%c%s", api->config->base_url, path, strchr(path, '?') ? '&' : '?', query);
}

static struct api_request *about(struct api_request *request, const char *object)
{
	request->object = xstrdup(object);
	return request;
}

/* A call on one object, or on a list: method, path and nothing else. */
static struct api_request *start_simple(struct api *api, enum api_call call, const char *method,
					char *path, api_on_done *on_done, void *context)
{
	auto_free char *url = url_of(api, path);
	struct http_request what = prepare(api, method, url);

	free(path);
	if ((call & BOTH_LISTS) || call == API_RETRIEVE)
		what.max_body = MAX_LIST_BODY;
	return start(api, call, &what, on_done, context);
}

/* The fields of an upload, beginning with at, that say when the file may go; returns what comes behind them. */
static struct http_field *add_expiry(const struct api *api, const char *seconds, struct http_field *at)
{
	/* clang-format off */
	static const struct { const char *anchor, *seconds; } names[] = {
		[DIALECT_EXPIRY_BRACKETS] = { "expires_after[anchor]", "expires_after[seconds]" },
		[DIALECT_EXPIRY_DOTTED]   = { "expires_after.anchor",  "expires_after.seconds" },
		[DIALECT_EXPIRY_NONE]     = { NULL, NULL },
	};
	/* clang-format on */
	enum dialect_expiry form = api_terms(api)->upload_expiry;

	if (!api->config->upload_expires || !names[form].anchor)
		return at;
	*at++ = (struct http_field){ .name = names[form].anchor, .text = "created_at" };
	*at++ = (struct http_field){ .name = names[form].seconds, .text = seconds };
	return at;
}

/* The body of a create: what the dialect, or the config, adds to every one never goes before our own. */
static struct json_object *create_body(const struct api *api, const char *file_id, const char *endpoint,
				       const char *window, const char *marker)
{
	const char *extra = api_terms(api)->create_extra;
	auto_free char *url = dialect_url(api_terms(api)->url_prefix, endpoint);
	auto_free char *taken = dialect_window(api_terms(api)->windows, window);
	struct json_object *body = extra ? tree_read(extra, strlen(extra), 0, NULL) : NULL;
	struct json_object *metadata = NULL, *expiry;

	if (!json_object_is_type(body, json_type_object)) {
		json_object_put(body);
		body = json_object_new_object();
	}
	json_object_object_add(body, "input_file_id", json_object_new_string(file_id));
	json_object_object_add(body, "endpoint", json_object_new_string(url));
	if (taken)
		json_object_object_add(body, "completion_window", json_object_new_string(taken));
	if (!json_object_object_get_ex(body, "metadata", &metadata) ||
	    !json_object_is_type(metadata, json_type_object)) {
		metadata = json_object_new_object();
		json_object_object_add(body, "metadata", metadata);
	}
	json_object_object_add(metadata, API_MARKER_KEY, json_object_new_string(marker));
	if (api->config->output_expires) {
		expiry = json_object_new_object();
		json_object_object_add(expiry, "anchor", json_object_new_string("created_at"));
		json_object_object_add(expiry, "seconds", json_object_new_int64(api->config->output_expires / 1000));
		json_object_object_add(body, "output_expires_after", expiry);
	}
	return body;
}

/* The key first, for it is what a redirect and a free take away. */
static void make_headers(struct api *api, const char *key)
{
	const struct config_provider *config = api->config;
	const char *prefix = api_terms(api)->auth_prefix;
	size_t count = 0;

	if (key)
		api->headers[count++] = xasprintf("%s: %s%s%s", api_terms(api)->auth_header, prefix ? prefix : "",
						  prefix ? " " : "", key);
	if (config->organization)
		api->headers[count++] = xasprintf("OpenAI-Organization: %s", config->organization);
	if (config->project)
		api->headers[count++] = xasprintf("OpenAI-Project: %s", config->project);
	for (size_t i = 0; i < config->header.count; i++)
		api->headers[count++] = xstrdup(config->header.list[i]);
}

struct api *api_new(struct http *http, const struct config_provider *config, const char *key,
		    int64_t (*now)(void *context), void *context)
{
	struct api *api = xcalloc(1, sizeof(*api));

	api->http = http;
	api->config = config;
	api->now = now;
	api->context = context;
	rates_init(&api->rates);
	make_headers(api, key);
	return api;
}

void api_free(struct api *api)
{
	if (!api)
		return;
	for (size_t i = 0; i < ARRAY_SIZE(api->headers) && api->headers[i]; i++) {
		explicit_bzero(api->headers[i], strlen(api->headers[i]));
		free(api->headers[i]);
	}
	free(api);
}

const struct rates *api_rates(const struct api *api)
{
	return &api->rates;
}

void api_set_note(struct api *api, struct note *note)
{
	api->note = note;
}

void api_set_watch(struct api *api, const struct api_watch *watch)
{
	api->watch = *watch;
}

struct api_request *api_upload(struct api *api, const char *name, const struct http_source *source,
			       api_on_done *on_done, void *context)
{
	auto_free char *url = url_of(api, "/files");
	auto_free char *seconds = xasprintf("%" PRId64, api->config->upload_expires / 1000);
	struct http_request what = prepare(api, "POST", url);
	/* The file comes last, so that a server that streams knows all of the rest by then. */
	struct http_field fields[5] = { { .name = "purpose", .text = api_terms(api)->purpose } };
	struct http_field *file = add_expiry(api, seconds, &fields[1]);

	*file = (struct http_field){ .name = "file",
				     .file_name = name,
				     .content_type = api_terms(api)->upload_type,
				     .source = source };
	what.fields = fields;
	what.timeout_ms = 0;
	return start(api, API_UPLOAD, &what, on_done, context);
}

struct api_request *api_create(struct api *api, const char *file_id, const char *endpoint,
			       const char *window, const char *marker, api_on_done *on_done,
			       void *context)
{
	auto_free char *url = url_of(api, "/batches");
	struct http_request what = prepare(api, "POST", url);
	struct json_object *body;
	struct api_request *request;

	/* A create that lacks a member would be refused, and its requests with it. */
	alloc_watch();
	body = create_body(api, file_id, endpoint, window, marker);
	what.body = json_object_to_json_string_ext(body, JSON_C_TO_STRING_PLAIN |
								 JSON_C_TO_STRING_NOSLASHESCAPE);
	alloc_check();
	what.body_size = strlen(what.body);
	request = start(api, API_CREATE, &what, on_done, context);
	json_object_put(body);
	return request;
}

struct api_request *api_file(struct api *api, const char *file_id, api_on_done *on_done, void *context)
{
	auto_free char *id = http_escape(file_id);

	return start_simple(api, API_FILE, "GET", xasprintf("/files/%s", id), on_done, context);
}

struct api_request *api_retrieve(struct api *api, const char *batch_id, api_on_done *on_done,
				 void *context)
{
	auto_free char *id = http_escape(batch_id);

	return about(start_simple(api, API_RETRIEVE, "GET", xasprintf("/batches/%s", id), on_done, context), batch_id);
}

/* Takes the parameters, which begin with "?"; where a list takes none, only a page that promised more is followed by one with them. */
static char *list_path(const struct api *api, const char *path, const char *parameters, const char *after)
{
	auto_free char *id = after ? http_escape(after) : NULL;

	if (!id && api_terms(api)->list == DIALECT_LIST_ONE_PAGE)
		return xstrdup(path);
	return xasprintf("%s%s%s%s", path, parameters, id ? "&after=" : "", id ? id : "");
}

struct api_request *api_list(struct api *api, const char *after, api_on_done *on_done, void *context)
{
	return start_simple(api, API_LIST, "GET", list_path(api, "/batches", "?limit=100", after), on_done, context);
}

struct api_request *api_cancel(struct api *api, const char *batch_id, api_on_done *on_done,
			       void *context)
{
	auto_free char *id = http_escape(batch_id);

	return about(start_simple(api, API_CANCEL, "POST", xasprintf("/batches/%s/cancel", id), on_done, context),
		     batch_id);
}

struct api_request *api_list_files(struct api *api, const char *after, api_on_done *on_done, void *context)
{
	auto_free char *parameters = xasprintf("?purpose=%s&order=desc&limit=100", api_terms(api)->purpose);

	return start_simple(api, API_FILES, "GET", list_path(api, "/files", parameters, after), on_done, context);
}

struct api_request *api_delete(struct api *api, const char *file_id, api_on_done *on_done, void *context)
{
	auto_free char *id = http_escape(file_id);

	return about(start_simple(api, API_DELETE, "DELETE", xasprintf("/files/%s", id), on_done, context), file_id);
}

struct api_request *api_content(struct api *api, const char *file_id, int64_t from, const char *etag,
				api_on_data *on_data, api_on_done *on_done, void *context)
{
	auto_free char *id = http_escape(file_id);
	auto_free char *path = xasprintf("/files/%s/content", id);
	auto_free char *url = url_of(api, path);
	struct api_request *request = request_new(api, from > 0 ? API_CONTENT_REST : API_CONTENT, on_data, on_done,
						  context);
	struct http_request what;

	request->object = xstrdup(file_id);
	request->from = from;
	request->etag = xstrdup(etag);
	what = prepare_content(request, api, url);
	request->http = http_start(api->http, &what, on_http_data, on_http_done, request);
	return request;
}

void api_abort(struct api_request *request)
{
	if (!request)
		return;
	http_call_abort(request->http);
	request_free(request);
}

bool api_is_sent(const struct api_request *request)
{
	return request->http && http_call_is_sent(request->http);
}
