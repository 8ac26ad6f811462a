#include "daemon/io/http.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/http_call.h"
#include "daemon/io/loop.h"

#define MAX_BODY             (1024 * 1024)
#define MAX_IDLE_CONNECTIONS 64L
/*
 * What all downloads together take in one turn of the loop. A server that is faster than we are
 * would keep the library reading, and the loop in it, to the end of a file (measured: 2 s).
 */
#define TURN_BYTES (512 * 1024)

_Static_assert(sizeof(((struct http_call *)NULL)->detail) >= CURL_ERROR_SIZE,
	       "the library writes so much");

TAILQ_HEAD(call_list, http_call);

struct http {
	struct loop *loop;
	CURLM *multi;
	struct loop_timer *timeout; /* the library's */
	struct loop_timer *start;   /* of the calls that wait */
	struct loop_timer *turn;    /* the next one, for downloads */
	size_t taken;		    /* by downloads, in this turn */
	char *user_agent;
	struct call_list lists[CALL_LISTS];
	size_t count;
	bool is_inside; /* the library is running, and may call us back */
	bool is_announcing;
};

/* A descriptor that the library waits for. */
struct http_socket {
	struct http *http;
	curl_socket_t fd;
	struct loop_watch *watch;
};

/* The library's words for these name hosts, ports and reasons, never a URL or a header. */
static const CURLcode telling_codes[] = {
	CURLE_COULDNT_RESOLVE_HOST, CURLE_COULDNT_RESOLVE_PROXY, CURLE_COULDNT_CONNECT,
	CURLE_OPERATION_TIMEDOUT,   CURLE_SSL_CONNECT_ERROR,     CURLE_PEER_FAILED_VERIFICATION,
	CURLE_SSL_CACERT_BADFILE,   CURLE_GOT_NOTHING,           CURLE_SEND_ERROR,
	CURLE_RECV_ERROR,           CURLE_PARTIAL_FILE,
};

static void require(bool is_done, const char *what)
{
	if (is_done)
		return;
	log_error("the HTTP library cannot go on", log_text("CALL", what));
	abort();
}

static void call_move(struct http_call *call, enum call_state state)
{
	struct http *http = call->http;

	TAILQ_REMOVE(&http->lists[call->state], call, entry);
	call->state = state;
	if (state < CALL_LISTS)
		TAILQ_INSERT_TAIL(&http->lists[state], call, entry);
}

static void call_free(struct http_call *call)
{
	curl_easy_cleanup(call->easy);
	http_request_release(call);
	http_answer_release(&call->answer);
	free(call->problem);
	free(call);
}

static void call_take_back(struct http_call *call)
{
	require(curl_multi_remove_handle(call->http->multi, call->easy) == CURLM_OK,
		"curl_multi_remove_handle");
}

static void note_content_length(struct http_call *call)
{
	curl_off_t length = -1;

	(void)curl_easy_getinfo(call->easy, CURLINFO_CONTENT_LENGTH_DOWNLOAD_T, &length);
	call->answer.response.content_length = length;
}

/* --- what the library calls --- */

static int on_connected(void *context, char *their_address, char *our_address, int their_port,
			int our_port)
{
	struct http_call *call = context;

	(void)their_address;
	(void)our_address;
	(void)their_port;
	(void)our_port;
	if (call->state != CALL_RUNNING)
		return CURL_PREREQFUNC_ABORT;
	/* The connection and its TLS stand, and no byte of the request has gone out yet. */
	call->is_sent = true;
	return CURL_PREREQFUNC_OK;
}

static size_t on_header(char *line, size_t unit, size_t count, void *context)
{
	struct http_call *call = context;

	http_answer_add_header(&call->answer, line, unit * count);
	return unit * count;
}

static bool deliver(struct http_call *call, const char *bytes, size_t size)
{
	struct http_response *response = &call->answer.response;
	int result;

	if (!call->on_data || response->status < 200 || response->status > 299)
		return http_answer_add_body(&call->answer, bytes, size);
	result = call->on_data(response, bytes, size, call->context);
	if (result < 0) {
		call->refuser = "the answer could not be taken";
		call->refusal = result;
	}
	return result >= 0;
}

/*
 * Whether a piece of a download is for the next turn: the library keeps it meanwhile. What the
 * library itself unpacks is never put off, for a small piece may become more than it can keep.
 */
static bool is_put_off(struct http_call *call, size_t size)
{
	struct http *http = call->http;

	if (!call->on_data || (call->answer.response.content_encoding && !call->is_raw))
		return false;
	if (http->taken >= TURN_BYTES) {
		/* Behind the others, who are next. */
		call_move(call, CALL_RUNNING);
		call->is_paused = true;
		return true;
	}
	if (!http->taken)
		loop_timer_set(http->turn, 0);
	http->taken += size;
	return false;
}

static size_t on_body(char *bytes, size_t unit, size_t count, void *context)
{
	struct http_call *call = context;

	if (call->state != CALL_RUNNING)
		return CURL_WRITEFUNC_ERROR;
	if (is_put_off(call, unit * count))
		return CURL_WRITEFUNC_PAUSE;
	if (!call->answer.has_body)
		note_content_length(call);
	call->answer.has_body = true;
	if (!deliver(call, bytes, unit * count) || call->state != CALL_RUNNING)
		return CURL_WRITEFUNC_ERROR;
	return unit * count;
}

/* --- the end of a call --- */

/* Whoever thanks for a file that he has not read does not have it. */
static bool is_early_success(const struct http_call *call)
{
	return http_answer_has_headers(&call->answer) && call->answer.response.status < 300 && call->source.read &&
	       call->source_offset < call->source.size;
}

/*
 * A server may refuse and close before it has read all, and our sending fails while its answer
 * is there in full. Where a length says that it is, it counts.
 */
static bool is_whole(const struct http_call *call, CURLcode code)
{
	curl_off_t received = 0;

	if (!http_answer_has_headers(&call->answer) || call->answer.is_too_long || is_early_success(call))
		return false;
	if (code != CURLE_SEND_ERROR && code != CURLE_RECV_ERROR)
		return code == CURLE_OK;
	(void)curl_easy_getinfo(call->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	return call->answer.response.content_length >= 0 &&
	       received == call->answer.response.content_length;
}

static enum http_transport judge(const struct http_call *call, CURLcode code)
{
	if (call->refusal)
		return HTTP_ABORTED;
	if (is_whole(call, code))
		return HTTP_ANSWERED;
	return call->is_sent ? HTTP_CUT : HTTP_NOT_SENT;
}

static char *explain(const struct http_call *call, CURLcode code)
{
	if (call->refusal)
		return xasprintf("%s: %s", call->refuser, error_name(call->refusal));
	if (call->answer.is_too_long)
		return xasprintf("the answer is longer than %zu bytes", call->answer.max_body);
	if (is_early_success(call))
		return xstrdup("the server claims success and has not taken the whole request");
	if (code == CURLE_OK)
		return xstrdup("the connection ended before the headers of the answer did");
	for (size_t i = 0; i < ARRAY_SIZE(telling_codes); i++)
		if (telling_codes[i] == code && *call->detail)
			return xstrdup(call->detail);
	return xstrdup(curl_easy_strerror(code));
}

static void finish(struct http_call *call, CURLcode code)
{
	struct http_response *response = &call->answer.response;

	note_content_length(call);
	http_answer_finish(&call->answer);
	response->transport = judge(call, code);
	if (response->transport != HTTP_ANSWERED)
		call->problem = explain(call, code);
	response->problem = call->problem;
	call_take_back(call);
	call_move(call, CALL_DONE);
}

static void collect_finished(struct http *http)
{
	CURLMsg *message;
	int left;

	while ((message = curl_multi_info_read(http->multi, &left))) {
		CURLcode code = message->data.result;
		struct http_call *call = NULL;

		assert(message->msg == CURLMSG_DONE);
		(void)curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&call);
		if (call->state == CALL_RUNNING)
			finish(call, code);
	}
}

static void free_condemned(struct http *http)
{
	struct http_call *call;

	while ((call = TAILQ_FIRST(&http->lists[CALL_CONDEMNED]))) {
		call_take_back(call);
		call_move(call, CALL_ANNOUNCED);
		call_free(call);
	}
}

/* on_done may start calls and abort others, those of this list too: so always the first anew. */
static void announce(struct http *http)
{
	struct http_call *call;

	while ((call = TAILQ_FIRST(&http->lists[CALL_DONE]))) {
		call_move(call, CALL_ANNOUNCED);
		http->count--;
		http->is_announcing = true;
		call->on_done(&call->answer.response, call->context);
		http->is_announcing = false;
		call_free(call);
	}
}

/* After the library has run. */
static void settle(struct http *http)
{
	collect_finished(http);
	free_condemned(http);
	announce(http);
}

/* --- between the library and the loop --- */

static void act(struct http *http, curl_socket_t fd, int events)
{
	CURLMcode code;
	int running;

	http->is_inside = true;
	code = curl_multi_socket_action(http->multi, fd, events, &running);
	http->is_inside = false;
	require(code == CURLM_OK, "curl_multi_socket_action");
	settle(http);
}

static void on_socket_ready(unsigned events, void *context)
{
	const struct http_socket *socket = context;

	/* To read is always tried first: a server that refuses an upload and closes makes our next
	   write fail, and the library would end the call before it has seen the answer. */
	act(socket->http, socket->fd,
	    CURL_CSELECT_IN | (events & LOOP_WRITE ? CURL_CSELECT_OUT : 0));
}

static void on_timeout(void *context)
{
	act(context, CURL_SOCKET_TIMEOUT, 0);
}

static struct http_call *first_paused(const struct http *http)
{
	struct http_call *call;

	TAILQ_FOREACH(call, &http->lists[CALL_RUNNING], entry)
		if (call->is_paused)
			return call;
	return NULL;
}

static void on_turn(void *context)
{
	struct http *http = context;
	struct http_call *call;

	http->taken = 0;
	while (http->taken < TURN_BYTES && (call = first_paused(http))) {
		CURLcode code;

		call->is_paused = false;
		http->is_inside = true;
		code = curl_easy_pause(call->easy, CURLPAUSE_CONT);
		http->is_inside = false;
		/* What it kept was refused, and it tells nobody else. */
		if (code != CURLE_OK && call->state == CALL_RUNNING)
			finish(call, code);
	}
	/* Whoever is still put off is so because of bytes that were taken, and with those came another turn. */
	settle(http);
}

static int on_timeout_wanted(CURLM *multi, long timeout_ms, void *context)
{
	struct http *http = context;

	(void)multi;
	/* Even a timeout of 0 goes through the loop: the library must not be entered from here. */
	if (timeout_ms < 0)
		loop_timer_clear(http->timeout);
	else
		loop_timer_set(http->timeout, timeout_ms);
	return 0;
}

static int on_socket_wanted(CURL *easy, curl_socket_t fd, int what, void *context,
			    void *socket_context)
{
	unsigned events =
		(what & CURL_POLL_IN ? LOOP_READ : 0u) | (what & CURL_POLL_OUT ? LOOP_WRITE : 0u);
	struct http_socket *socket = socket_context;
	struct http *http = context;

	(void)easy;
	if (what == CURL_POLL_REMOVE) {
		if (socket)
			loop_watch_free(socket->watch);
		free(socket);
		return 0;
	}
	if (socket) {
		loop_watch_set(socket->watch, events);
		return 0;
	}
	socket = xcalloc(1, sizeof(*socket));
	socket->http = http;
	socket->fd = fd;
	socket->watch = loop_watch_new(http->loop, fd, events, on_socket_ready, socket);
	require(curl_multi_assign(http->multi, fd, socket) == CURLM_OK, "curl_multi_assign");
	return 0;
}

static void on_start(void *context)
{
	struct http *http = context;
	struct http_call *call;

	while ((call = TAILQ_FIRST(&http->lists[CALL_WAITING]))) {
		call_move(call, CALL_RUNNING);
		require(curl_multi_add_handle(http->multi, call->easy) == CURLM_OK,
			"curl_multi_add_handle");
	}
	announce(http);
}

static void set_callbacks(struct http_call *call)
{
	CURL *easy = call->easy;

	require(curl_easy_setopt(easy, CURLOPT_PRIVATE, call) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_ERRORBUFFER, call->detail) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_PREREQFUNCTION, on_connected) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_PREREQDATA, call) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_header) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_HEADERDATA, call) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body) == CURLE_OK &&
			curl_easy_setopt(easy, CURLOPT_WRITEDATA, call) == CURLE_OK,
		"curl_easy_setopt");
}

/* With NOSIGNAL the library leaves SIGPIPE to the program, and a peer that closes raises it. */
static void ignore_sigpipe(void)
{
	struct sigaction action;

	require(sigaction(SIGPIPE, NULL, &action) == 0, "sigaction");
	if (action.sa_handler != SIG_DFL)
		return;
	action.sa_handler = SIG_IGN;
	require(sigaction(SIGPIPE, &action, NULL) == 0, "sigaction");
}

struct http *http_new(struct loop *loop, const char *user_agent)
{
	struct http *http = xcalloc(1, sizeof(*http));

	ignore_sigpipe();
	require(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK, "curl_global_init");
	http->loop = loop;
	http->user_agent = xstrdup(user_agent);
	for (size_t i = 0; i < ARRAY_SIZE(http->lists); i++)
		TAILQ_INIT(&http->lists[i]);
	http->timeout = loop_timer_new(loop, on_timeout, http);
	http->start = loop_timer_new(loop, on_start, http);
	http->turn = loop_timer_new(loop, on_turn, http);
	http->multi = curl_multi_init();
	require(http->multi, "curl_multi_init");
	require(curl_multi_setopt(http->multi, CURLMOPT_SOCKETFUNCTION, on_socket_wanted) ==
				CURLM_OK &&
			curl_multi_setopt(http->multi, CURLMOPT_SOCKETDATA, http) == CURLM_OK &&
			curl_multi_setopt(http->multi, CURLMOPT_TIMERFUNCTION, on_timeout_wanted) ==
				CURLM_OK &&
			curl_multi_setopt(http->multi, CURLMOPT_TIMERDATA, http) == CURLM_OK &&
			curl_multi_setopt(http->multi, CURLMOPT_MAXCONNECTS,
					  MAX_IDLE_CONNECTIONS) == CURLM_OK,
		"curl_multi_setopt");
	return http;
}

void http_free(struct http *http)
{
	if (!http)
		return;
	assert(!http->is_inside && !http->is_announcing);
	for (size_t i = 0; i < ARRAY_SIZE(http->lists); i++)
		while (!TAILQ_EMPTY(&http->lists[i]))
			http_call_abort(TAILQ_FIRST(&http->lists[i]));
	require(curl_multi_cleanup(http->multi) == CURLM_OK, "curl_multi_cleanup");
	loop_timer_free(http->timeout);
	loop_timer_free(http->start);
	loop_timer_free(http->turn);
	free(http->user_agent);
	free(http);
	curl_global_cleanup();
}

struct http_call *http_start(struct http *http, const struct http_request *request,
			     http_on_data *on_data, http_on_done *on_done, void *context)
{
	struct http_call *call = xcalloc(1, sizeof(*call));
	const char *problem = NULL;

	call->http = http;
	call->on_data = on_data;
	call->is_raw = request->is_raw;
	call->on_done = on_done;
	call->context = context;
	call->easy = curl_easy_init();
	require(call->easy, "curl_easy_init");
	http_answer_init(&call->answer, request->max_body ? request->max_body : MAX_BODY);
	set_callbacks(call);
	if (http_request_apply(request, http->user_agent, call, &problem) < 0) {
		call->state = CALL_DONE;
		call->problem = xstrdup(problem);
		call->answer.response.transport = HTTP_NOT_SENT;
		call->answer.response.problem = call->problem;
	}
	TAILQ_INSERT_TAIL(&http->lists[call->state], call, entry);
	http->count++;
	loop_timer_set(http->start, 0);
	return call;
}

void http_call_abort(struct http_call *call)
{
	if (!call || call->state == CALL_ANNOUNCED || call->state == CALL_CONDEMNED)
		return;
	call->http->count--;
	if (call->http->is_inside && call->state == CALL_RUNNING) {
		call_move(call, CALL_CONDEMNED);
		return;
	}
	if (call->state == CALL_RUNNING)
		call_take_back(call);
	call_move(call, CALL_ANNOUNCED);
	call_free(call);
}

void http_call_progress(const struct http_call *call, int64_t *ret_sent, int64_t *ret_received)
{
	curl_off_t sent = 0, received = 0;

	(void)curl_easy_getinfo(call->easy, CURLINFO_SIZE_UPLOAD_T, &sent);
	(void)curl_easy_getinfo(call->easy, CURLINFO_SIZE_DOWNLOAD_T, &received);
	*ret_sent = sent;
	*ret_received = received;
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
	char *escaped = curl_easy_escape(NULL, text, 0);
	char *copy = xstrdup(escaped);

	require(escaped, "curl_easy_escape");
	curl_free(escaped);
	return copy;
}
