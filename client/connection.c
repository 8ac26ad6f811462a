#include "client/connection.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <curl/curl.h>

#include "client/input.h"
#include "client/interrupt.h"
#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/error.h"
#include "daemon/protocol.h"

#define TICK_MS 100
/* Streams have a blank line every 15 s; a commit or a check of many rows is far below this. */
#define SILENCE_MS       90000
#define CONNECT_MS       15000
#define CONNECT_PAUSE_MS 20
#define BUFFER_BYTES     (512L * 1024)
#define ORIGIN           "http://batchd"

struct connection {
	char *path;
	CURL *easy;
	CURLM *multi;

	/* Of the call under way. */
	const struct connection_call *call;
	struct connection_reply *reply;
	struct buffer text;
	int64_t sent;
	int64_t moved_at_ms;
	bool is_unconnected;
	int connect_error;
	int failure; /* negative errno that a callback ended the call with */
	char curl_text[CURL_ERROR_SIZE];
};

DEFINE_CLEANUP(struct curl_slist *, curl_slist_free_all)

/* What libcurl refuses of this, it refuses for want of memory. */
static void require(bool is_done)
{
	if (!is_done)
		alloc_give_up();
}

/* A socket that never came to be connected is known by having no peer; one that was cut still has
 * its own. */
static int close_socket(void *context, curl_socket_t fd)
{
	struct connection *connection = context;
	struct sockaddr_un peer;
	socklen_t size = sizeof(peer);

	if (getpeername(fd, (struct sockaddr *)&peer, &size) < 0 && errno == ENOTCONN)
		connection->is_unconnected = true;
	return close(fd);
}

static int fail(struct connection *connection, int code)
{
	if (!connection->failure)
		connection->failure = code;
	return code;
}

static size_t read_body(char *bytes, size_t size, size_t count, void *context)
{
	struct connection *connection = context;
	const struct input *body = connection->call->body;
	int64_t left = body->size - connection->sent;
	size_t room = size * count;
	ssize_t got;

	if (!left)
		return 0;
	if ((int64_t)room > left)
		room = (size_t)left;
	do
		got = pread(body->fd, bytes, room, body->start + connection->sent);
	while (got < 0 && errno == EINTR && !interrupt_came());
	if (got <= 0) {
		(void)fail(connection, -EIO);
		return CURL_READFUNC_ABORT;
	}
	connection->sent += got;
	connection->moved_at_ms = connection_now_ms();
	return (size_t)got;
}

static bool is_success(const struct connection_reply *reply)
{
	return reply->status >= 200 && reply->status < 300;
}

static size_t take_data(char *bytes, size_t size, size_t count, void *context)
{
	struct connection *connection = context;
	const struct connection_call *call = connection->call;

	size *= count;
	connection->moved_at_ms = connection_now_ms();
	if (call->on_data && is_success(connection->reply)) {
		if (call->on_data(bytes, size, call->context) == 0)
			return size;
		(void)fail(connection, -ECANCELED);
		return 0;
	}
	if (connection->text.size + size > JSON_MAX_ANSWER) {
		(void)fail(connection, -EMSGSIZE);
		return 0;
	}
	buffer_add(&connection->text, bytes, size);
	return size;
}

/* The value of a header line if it has this name, without blanks around it. */
static bool header_value(const char *line, size_t size, const char *name, char *out, size_t room)
{
	size_t at = strlen(name), length = 0;

	if (size <= at || strncasecmp(line, name, at) != 0 || line[at] != ':')
		return false;
	for (at++; at < size && (line[at] == ' ' || line[at] == '\t'); at++)
		continue;
	for (; at < size && line[at] != '\r' && line[at] != '\n' && length + 1 < room; at++)
		out[length++] = line[at];
	out[length] = '\0';
	return true;
}

static size_t take_header(char *line, size_t size, size_t count, void *context)
{
	struct connection *connection = context;
	struct connection_reply *reply = connection->reply;
	char value[64];
	long status = 0;

	size *= count;
	connection->moved_at_ms = connection_now_ms();
	if (size > 5 && memcmp(line, "HTTP/", 5) == 0) {
		require(curl_easy_getinfo(connection->easy, CURLINFO_RESPONSE_CODE, &status) ==
			CURLE_OK);
		*reply = (struct connection_reply){.status = (int)status, .retry_after_s = -1};
	} else if (header_value(line, size, "Retry-After", value, sizeof(value))) {
		reply->retry_after_s = strtol(value, NULL, 10);
	} else if (header_value(line, size, "Content-Length", value, sizeof(value)) ||
		   (header_value(line, size, "Transfer-Encoding", value, sizeof(value)) &&
		    strcasecmp(value, "chunked") == 0)) {
		reply->is_framed = true;
	}
	return size;
}

static void add_header(struct curl_slist **headers, const char *name, const char *value)
{
	auto_free char *line = value ? xasprintf("%s: %s", name, value) : xasprintf("%s:", name);
	struct curl_slist *longer = curl_slist_append(*headers, line);

	require(longer);
	*headers = longer;
}

#define SET(option, value)                                                                         \
	require(curl_easy_setopt(connection->easy, CURLOPT_##option, value) == CURLE_OK)

static void set_up(struct connection *connection, const char *url, struct curl_slist *headers)
{
	bool is_post = strcmp(connection->call->method, "POST") == 0;
	const struct input *body = connection->call->body;

	curl_easy_reset(connection->easy);
	SET(URL, url);
	SET(UNIX_SOCKET_PATH, connection->path);
	SET(CLOSESOCKETFUNCTION, close_socket);
	SET(CLOSESOCKETDATA, connection);
	SET(HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
	SET(PROTOCOLS_STR, "http");
	SET(PROXY, "");
	SET(NOSIGNAL, 1L);
	SET(HTTPHEADER, headers);
	SET(BUFFERSIZE, BUFFER_BYTES);
	SET(UPLOAD_BUFFERSIZE, BUFFER_BYTES);
	SET(WRITEFUNCTION, take_data);
	SET(WRITEDATA, connection);
	SET(HEADERFUNCTION, take_header);
	SET(HEADERDATA, connection);
	SET(ERRORBUFFER, connection->curl_text);
	if (!is_post)
		return;
	/* On a connection that the daemon has closed meanwhile, libcurl sends a POST again by
	 * itself. */
	SET(FRESH_CONNECT, 1L);
	SET(FORBID_REUSE, 1L);
	SET(POST, 1L);
	SET(READFUNCTION, read_body);
	SET(READDATA, connection);
	SET(POSTFIELDSIZE_LARGE, (curl_off_t)(body ? body->size : 0));
	if (!body)
		SET(POSTFIELDS, "");
}

/* Why the call must end though libcurl would go on; 0 when it need not. */
static int check_limits(struct connection *connection)
{
	int64_t now_ms = connection_now_ms();

	if (interrupt_came())
		return fail(connection, -EINTR);
	if (connection->call->deadline_ms && now_ms >= connection->call->deadline_ms)
		return fail(connection, -ETIME);
	if (now_ms - connection->moved_at_ms > SILENCE_MS)
		return fail(connection, -ETIMEDOUT);
	return 0;
}

static int wait_ms(const struct connection *connection)
{
	int64_t left = connection->call->deadline_ms
			       ? connection->call->deadline_ms - connection_now_ms()
			       : TICK_MS;

	return left < 0 ? 0 : left < TICK_MS ? (int)left : TICK_MS;
}

/* Runs the transfer to its end. Returns libcurl's verdict; a failure of ours is in ->failure. */
static CURLcode run(struct connection *connection)
{
	struct curl_waitfd signals = {.fd = interrupt_fd(), .events = CURL_WAIT_POLLIN};
	int64_t ticked_at_ms = connection_now_ms();
	int running = 1, queued;
	CURLMsg *message;

	while (check_limits(connection) == 0) {
		require(curl_multi_perform(connection->multi, &running) == CURLM_OK);
		if (!running)
			break;
		(void)curl_multi_poll(connection->multi, &signals, 1, wait_ms(connection), NULL);
		if (connection->call->on_tick && connection_now_ms() - ticked_at_ms >= TICK_MS) {
			connection->call->on_tick(connection->sent, connection->call->context);
			ticked_at_ms = connection_now_ms();
		}
	}
	message = curl_multi_info_read(connection->multi, &queued);
	return message && message->msg == CURLMSG_DONE ? message->data.result
						       : CURLE_ABORTED_BY_CALLBACK;
}

/*
 * One transfer, from connect to close. A full backlog answers a connect with EAGAIN, which libcurl
 * takes for "in progress" and goes on with a socket that has no peer, without an errno of its own.
 */
static CURLcode transfer(struct connection *connection)
{
	CURLcode result;
	long code = 0;

	require(curl_multi_add_handle(connection->multi, connection->easy) == CURLM_OK);
	result = run(connection);
	(void)curl_easy_getinfo(connection->easy, CURLINFO_OS_ERRNO, &code);
	require(curl_multi_remove_handle(connection->multi, connection->easy) == CURLM_OK);
	if (result != CURLE_OK && !connection->failure && connection->is_unconnected)
		connection->connect_error = code && code != ENOTCONN ? (int)code : EAGAIN;
	return result;
}

static int explain_connect(const struct connection *connection, struct error *err)
{
	int code = connection->connect_error;

	if (code == EAGAIN)
		return error_set(err, -ETIMEDOUT, "%s takes no connection within %d s",
				 connection->path, CONNECT_MS / 1000);
	return error_set(err, -code, "cannot reach batchd at %s: %s", connection->path,
			 code == ENOENT ? "there is no such socket (is batchd running?)"
			 : code == EACCES
				 ? "permission denied (is your user in the group of the socket?)"
			 : code == ECONNREFUSED ? "nobody listens (is batchd running?)"
						: error_name(code));
}

static int explain_failure(const struct connection *connection, struct error *err)
{
	switch (connection->failure) {
	case -EIO:
		return error_set(err, -EIO,
				 "%s became shorter, or cannot be read, while it was sent",
				 connection->call->body->name);
	case -EMSGSIZE:
		return error_set(err, -EMSGSIZE, "the answer of batchd is longer than %d bytes",
				 JSON_MAX_ANSWER);
	case -ETIMEDOUT:
		return error_set(err, -ETIMEDOUT, "batchd at %s has not moved for %d s",
				 connection->path, SILENCE_MS / 1000);
	default:
		return error_set(err, connection->failure, "%s", error_name(connection->failure));
	}
}

static int explain(const struct connection *connection, CURLcode result, struct error *err)
{
	if (connection->failure)
		return explain_failure(connection, err);
	if (result == CURLE_OK)
		return 0;
	if (connection->connect_error)
		return explain_connect(connection, err);
	return error_set(err, -ECONNRESET, "the connection to batchd was lost %s: %s",
			 connection->reply->status >= 200 ? "in the middle of its answer"
			 : connection->call->body         ? "while the input was sent"
							  : "before it answered",
			 *connection->curl_text ? connection->curl_text
						: curl_easy_strerror(result));
}

static void begin(struct connection *connection, const struct connection_call *call,
		  struct connection_reply *reply)
{
	connection->call = call;
	connection->reply = reply;
	connection->sent = 0;
	connection->moved_at_ms = connection_now_ms();
	connection->is_unconnected = false;
	connection->connect_error = 0;
	connection->failure = 0;
	connection->curl_text[0] = '\0';
	buffer_clear(&connection->text);
}

struct connection *connection_new(const char *socket_path)
{
	struct connection *connection = xcalloc(1, sizeof(*connection));

	require(curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK);
	connection->path = xstrdup(socket_path);
	connection->easy = curl_easy_init();
	connection->multi = curl_multi_init();
	require(connection->easy && connection->multi);
	return connection;
}

struct connection *connection_clone(const struct connection *connection)
{
	return connection_new(connection->path);
}

void connection_free(struct connection *connection)
{
	if (!connection)
		return;
	curl_easy_cleanup(connection->easy);
	(void)curl_multi_cleanup(connection->multi);
	buffer_release(&connection->text);
	free(connection->path);
	free(connection);
	curl_global_cleanup();
}

int connection_perform(struct connection *connection, const struct connection_call *call,
		       struct connection_reply *ret_reply, struct error *err)
{
	auto_free char *url = xasprintf("%s%s", ORIGIN, call->path);
	auto_with(curl_slist_free_all) struct curl_slist *headers = NULL;
	int64_t give_up_at_ms = connection_now_ms() + CONNECT_MS;
	CURLcode result;

	*ret_reply = (struct connection_reply){.retry_after_s = -1};
	if (strlen(connection->path) >= sizeof(((struct sockaddr_un *)NULL)->sun_path))
		return error_set(err, -ENAMETOOLONG, "the path of the socket is too long: %s",
				 connection->path);
	interrupt_catch();
	if (call->content_type || strcmp(call->method, "POST") == 0)
		add_header(&headers, "Content-Type", call->content_type);
	if (call->encoding)
		add_header(&headers, "Content-Encoding", call->encoding);
	if (call->key)
		add_header(&headers, PROTOCOL_IDEMPOTENCY_HEADER, call->key);
	/* Nothing was sent on a socket that has no peer, so that this repeat is harmless. */
	do {
		begin(connection, call, ret_reply);
		set_up(connection, url, headers);
		result = transfer(connection);
	} while (connection->connect_error == EAGAIN && connection_now_ms() < give_up_at_ms &&
		 !interrupt_sleep(CONNECT_PAUSE_MS));
	if (result == CURLE_OK && !connection->failure)
		ret_reply->object =
			json_read(buffer_text(&connection->text), connection->text.size);
	return explain(connection, result, err);
}

void connection_reply_release(struct connection_reply *reply)
{
	json_free(reply->object);
	reply->object = NULL;
}

void connection_query(char **path, const char *name, const char *value)
{
	char *escaped, *longer;

	if (!value)
		return;
	escaped = curl_easy_escape(NULL, value, (int)strlen(value));
	require(escaped);
	longer = xasprintf("%s%c%s=%s", *path, strchr(*path, '?') ? '&' : '?', name, escaped);
	curl_free(escaped);
	free(*path);
	*path = longer;
}

int64_t connection_now_ms(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_MONOTONIC, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

const char *connection_library(void)
{
	return curl_version_info(CURLVERSION_NOW)->version;
}
