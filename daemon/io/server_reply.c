#include "daemon/io/server_private.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"

#define STREAM_BLOCK (64 << 10)
#define SHORT_REPLY  (64 << 10)

/* Out of memory is the only way in which the library refuses to make a response. */
static struct MHD_Response *require(struct MHD_Response *response)
{
	if (response)
		return response;
	log_error("no memory for a reply");
	abort();
}

static void add_header(struct MHD_Response *response, const char *name, const char *value)
{
	if (MHD_add_response_header(response, name, value) != MHD_YES)
		log_warning("a header of a reply is left out, for it is not well-formed",
			    log_text("CODE", name));
}

static void add_headers(struct MHD_Response *response, struct buffer *headers)
{
	const char *at = headers->data;
	const char *end = at + headers->size;

	while (at < end) {
		const char *name = at;
		const char *value = name + strlen(name) + 1;

		add_header(response, name, value);
		at = value + strlen(value) + 1;
	}
	buffer_clear(headers);
}

/* Puts the reply in the place of one that is still held. */
static void hold(struct exchange *exchange, int status, const char *content_type,
		 struct MHD_Response *response)
{
	struct server *server = exchange->server;

	if (exchange->is_refused || exchange->is_dropped) {
		MHD_destroy_response(response);
		return;
	}
	assert(!exchange->is_released);
	if (content_type)
		add_header(response, "Content-Type", content_type);
	if (exchange->reply_headers.size)
		add_headers(response, &exchange->reply_headers);
	if (exchange->reply)
		MHD_destroy_response(exchange->reply);
	exchange->reply = response;
	exchange->reply_status = (unsigned)status;
	if (!exchange->is_held) {
		exchange->is_held = true;
		TAILQ_INSERT_TAIL(&server->held, exchange, held_link);
	}
}

static struct MHD_Response *make_response(const void *body, size_t size)
{
	/* The library declares bodies as writable; it copies this one. */
	return require(MHD_create_response_from_buffer(size, (void *)(uintptr_t)body,
						       MHD_RESPMEM_MUST_COPY));
}

void exchange_refuse(struct exchange *exchange, int status, const char *message)
{
	const char *type = status == 429 ? "rate_limit_error" : "invalid_request_error";
	/* Sentences of the server alone come here: nothing in them needs escaping. */
	auto_free char *body = xasprintf("{\"error\":{\"message\":\"%s\",\"type\":\"%s\","
					 "\"param\":null,\"code\":null}}\n",
					 message, type);

	exchange_discard_reply(exchange);
	buffer_clear(&exchange->reply_headers);
	exchange->reply = make_response(body, strlen(body));
	exchange->reply_status = (unsigned)status;
	exchange->is_released = true;
	exchange->is_refused = true;
	add_header(exchange->reply, "Content-Type", "application/json");
	if (status == 429)
		add_header(exchange->reply, "Connection", "close");
}

void exchange_discard_reply(struct exchange *exchange)
{
	if (exchange->is_held)
		TAILQ_REMOVE(&exchange->server->held, exchange, held_link);
	exchange->is_held = false;
	if (exchange->reply)
		MHD_destroy_response(exchange->reply);
	exchange->reply = NULL;
}

bool exchange_queue_reply(struct exchange *exchange)
{
	struct MHD_Response *response = take(exchange->reply);
	enum MHD_Result result =
		MHD_queue_response(exchange->handle, exchange->reply_status, response);

	MHD_destroy_response(response);
	exchange->phase = PHASE_REPLY;
	exchange->is_queued = true;
	exchange->is_peer_there =
		exchange->is_short && !exchange_is_safe(exchange) && !exchange_is_left(exchange);
	exchange->server->queued++;
	return result == MHD_YES;
}

void exchange_add_header(struct exchange *exchange, const char *name, const char *value)
{
	buffer_add(&exchange->reply_headers, name, strlen(name) + 1);
	buffer_add(&exchange->reply_headers, value, strlen(value) + 1);
}

void exchange_reply(struct exchange *exchange, int status, const char *content_type,
		    const void *body, size_t size)
{
	exchange->is_short = size <= SHORT_REPLY;
	hold(exchange, status, content_type, make_response(body, size));
}

void exchange_reply_owned(struct exchange *exchange, int status, const char *content_type,
			  const void *body, size_t size, void (*release)(void *owner), void *owner)
{
	hold(exchange, status, content_type,
	     require(MHD_create_response_from_buffer_with_free_callback_cls(
		     size, (void *)(uintptr_t)body, release, owner)));
}

static bool is_long_enough(int fd, int64_t offset, int64_t length)
{
	struct stat status;

	return offset >= 0 && length >= 0 && fstat(fd, &status) == 0 &&
	       (!S_ISREG(status.st_mode) ||
		(offset <= status.st_size && length <= status.st_size - offset));
}

void exchange_reply_file(struct exchange *exchange, int status, const char *content_type, int fd,
			 int64_t offset, int64_t length)
{
	static const char lost[] =
		"{\"error\":{\"message\":\"the file is shorter than it should "
		"be\",\"type\":\"server_error\",\"param\":null,\"code\":null}}\n";

	if (!is_long_enough(fd, offset, length)) {
		log_error("a file to be sent is shorter than it should be",
			  log_number("BYTES", offset + length));
		(void)close(fd);
		exchange_reply(exchange, 500, "application/json", lost, strlen(lost));
		return;
	}
	if (length == 0) {
		(void)close(fd);
		exchange_reply(exchange, status, content_type, "", 0);
		return;
	}
	hold(exchange, status, content_type,
	     require(MHD_create_response_from_fd_at_offset64((uint64_t)length, fd,
							     (uint64_t)offset)));
}

static ssize_t break_stream(struct exchange *exchange)
{
	exchange->is_broken = true;
	return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* The owner has nothing to say now. */
static ssize_t wait_for_more(struct exchange *exchange, char *bytes)
{
	if (exchange->is_heartbeat_due && exchange->is_at_line_start) {
		exchange->is_heartbeat_due = false;
		bytes[0] = '\n';
		return 1;
	}
	if (!exchange->is_woken)
		exchange_suspend(exchange);
	return 0;
}

static ssize_t read_stream(void *context, uint64_t position, char *bytes, size_t size)
{
	struct exchange *exchange = context;
	int64_t made;

	if (exchange->is_dropped)
		return break_stream(exchange);
	exchange->is_woken = false;
	made = exchange->produce(bytes, size, exchange->produce_context);
	if (exchange->is_dropped)
		return break_stream(exchange);
	if (made == 0)
		return wait_for_more(exchange, bytes);
	/* The library takes an early end for a good one even where a length was promised. */
	if (made == SERVER_STREAM_END &&
	    (exchange->stream_length < 0 || (uint64_t)exchange->stream_length == position))
		return MHD_CONTENT_READER_END_OF_STREAM;
	if (made < 0)
		return break_stream(exchange);
	assert((uint64_t)made <= size);
	exchange->is_at_line_start = bytes[made - 1] == '\n';
	exchange->is_heartbeat_due = false;
	return (ssize_t)made;
}

void exchange_reply_stream(struct exchange *exchange, int status, const char *content_type,
			   int64_t length,
			   int64_t (*produce)(char *bytes, size_t size, void *context),
			   void *context)
{
	uint64_t size = length < 0 ? MHD_SIZE_UNKNOWN : (uint64_t)length;

	exchange->produce = produce;
	exchange->produce_context = context;
	exchange->stream_length = length;
	exchange->is_at_line_start = true;
	exchange->has_heartbeat =
		length < 0 && content_type && strcasecmp(content_type, "application/x-ndjson") == 0;
	hold(exchange, status, content_type,
	     require(MHD_create_response_from_callback(size, STREAM_BLOCK, read_stream, exchange,
						       NULL)));
}

void exchange_wake(struct exchange *exchange)
{
	exchange->is_woken = true;
	if (exchange->is_queued)
		exchange_resume(exchange);
}
