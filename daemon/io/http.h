/*
 * HTTP out: one request, one callback. Nothing that acts is ever repeated here, not by us and not
 * by the library: a repeat that must survive a restart is a due time in the store. Measured with
 * libcurl 7.88: a POST on a reused connection that the server closes is sent again, silently.
 * So everything but GET uses a fresh connection, all is HTTP/1.1, and redirects are never followed.
 * (A GET on a warm connection that ends without a byte of answer may be asked again.)
 *
 * It names no type of the library beneath: a test links a provider of its own in its place.
 */
#ifndef BATCHD_IO_HTTP_H
#define BATCHD_IO_HTTP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct error;
struct http;
struct http_call;
struct loop;

/* How far a request came. What happened to the bytes decides what may be done next. */
enum http_transport {
	HTTP_ANSWERED, /* a whole answer is there: status, headers, body */
	HTTP_NOT_SENT, /* name, connection or TLS failed: the server saw no request */
	/* The request may have arrived, and the answer is missing or not whole; or a 2xx came before the server had the file. */
	HTTP_CUT,
	HTTP_ABORTED,  /* our own side ended it: http_call_abort, on_data or read refused */
};

/* A body that is read while it is sent. size is exact. */
struct http_source {
	/* Copies up to size bytes from the current place; returns how many, 0 at the end, -errno aborts. */
	int64_t (*read)(void *context, char *bytes, size_t size);
	/* Goes to an absolute offset, because the library may send from the start again (before
	   anything arrived). Returns 0 or -errno. */
	int (*seek)(void *context, int64_t offset);
	void *context;
	int64_t size;
};

/* A field of a multipart form: a short text, or (one of them) a file from a source. */
struct http_field {
	const char *name;
	const char *text;		  /* NULL for the file */
	const char *file_name;		  /* NULL for a text */
	const char *content_type;	  /* of a file */
	const struct http_source *source; /* of a file */
};

struct http_request {
	const char *method; /* "GET", "POST", "DELETE" */
	const char *url;
	/* "Name: value", ends with NULL; may be NULL. A line break in one is refused. A body without
	   a Content-Type here is sent as application/json. */
	const char *const *headers;
	const char *body;	    /* a JSON body, with body_size; NULL: none (a POST then sends length 0) */
	size_t body_size;
	const struct http_field *fields; /* a multipart form instead; ends with a NULL name */
	const char *ca_file;	   /* NULL: the system's */
	const char *client_cert;   /* PEM, shown to a server that asks; NULL: none */
	const char *client_key;	   /* PEM; NULL: it stands in client_cert */
	const char *proxy;	   /* NULL: from the environment, as libcurl does; "": none */
	const char *unix_socket;   /* connect there, through no proxy; NULL: to the host of the URL */
	int64_t connect_timeout_ms; /* 0: 10 s */
	int64_t timeout_ms;	   /* of the whole request; 0: none, the low speed limit alone */
	/* Ends it when under low_speed flowed for so long; 0: 60 s. Counted in whole seconds, rounded up,
	   and the library looks at an average: after fast bytes it may take some seconds more. */
	int64_t stall_timeout_ms;
	int64_t low_speed;	   /* bytes a second; 0: 1 */
	int64_t bandwidth;	   /* bytes a second, each way, on average of some seconds; 0: as it comes */
	size_t max_body;	   /* bytes of answer kept in memory; a longer one is HTTP_CUT. 0: 1 MiB */
	int64_t range_from;	   /* > 0: asks for "Range: bytes=N-" */
	const char *if_range;	   /* with it: "If-Range", the strong ETag that the rest must still be of; NULL: none */
	bool is_raw;		   /* an encoded body is given as it came, and its reader undoes and checks it */
};

struct http_response {
	enum http_transport transport;
	int status;		  /* 0 if none was seen; of a cut answer too, if one was seen */
	const char *body;	  /* terminated; what on_data did not take; never NULL */
	size_t body_size;
	const char *content_type; /* these are NULL when absent */
	const char *location;
	const char *retry_after;
	const char *retry_after_ms;
	const char *request_id;	  /* x-request-id */
	const char *limit_requests;	/* x-ratelimit-limit-requests; so are the others of theirs */
	const char *remaining_requests;
	const char *reset_requests;
	const char *limit_tokens;
	const char *remaining_tokens;
	const char *reset_tokens;
	const char *accept_ranges;
	const char *content_range;
	/* Undone already, unless is_raw. The library does not notice an encoded stream that is short while its
	   Content-Length is right: where this is set, the reader checks that the content is whole. */
	const char *content_encoding;
	const char *etag;	  /* quotes, and W/ of a weak one, included */
	const char *incomplete;	  /* x-incomplete: "true" of a file that the server still writes to */
	int64_t content_length;	  /* -1 when absent */
	const char *problem;	  /* for people when transport is not HTTP_ANSWERED; else NULL. No URL, no header in it */
};

/* Takes pieces of a 2xx answer's body as they come; content_encoding gzip is already undone,
   unless is_raw.
   response has status and headers. Returns 0, or -errno to abort. Bodies of other statuses stay in memory. */
typedef int http_on_data(const struct http_response *response, const char *bytes, size_t size,
			 void *context);
/* Runs once for every call, never inside http_start, never after http_call_abort. response dies after it. */
typedef void http_on_done(const struct http_response *response, void *context);

/* user_agent is copied. SIGPIPE is ignored from here on, unless it is handled already. */
struct http *http_new(struct loop *loop, const char *user_agent);
/* Ends what is under way without callbacks; never from a callback of a call. NULL is fine. */
void http_free(struct http *http);

/*
 * Starts a request; everything request points to is copied, except a source and its context,
 * which live until on_done. on_data may be NULL. Never NULL: what cannot be started reports
 * HTTP_NOT_SENT from the loop.
 */
struct http_call *http_start(struct http *http, const struct http_request *request,
			     http_on_data *on_data, http_on_done *on_done, void *context);
/* Ends a call; on_done does not run, and nothing of it is called any more. Safe in any callback, its own
   on_data and on_done too. NULL is fine. */
void http_call_abort(struct http_call *call);
/* Bytes of body sent and received so far, for progress. */
void http_call_progress(const struct http_call *call, int64_t *ret_sent, int64_t *ret_received);
/* Whether any bytes of the request may have left (false: aborting it leaves no doubt). */
bool http_call_is_sent(const struct http_call *call);

/* How many calls are under way. */
size_t http_count(const struct http *http);

/* text, percent-encoded for a path segment or a query value (RFC 3986 unreserved stay). The caller frees. */
char *http_escape(const char *text);

#endif
