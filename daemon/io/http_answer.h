/*
 * An answer while it comes in: the status, the few headers somebody reads, and a body of bounded
 * size. Used by http.c alone. It is fed with header lines and bytes as the wire had them.
 */
#ifndef BATCHD_IO_HTTP_ANSWER_H
#define BATCHD_IO_HTTP_ANSWER_H

#include <stdbool.h>
#include <stddef.h>

#include "daemon/base/buffer.h"
#include "daemon/io/http.h"

#define HTTP_ANSWER_KEPT 16

struct http_answer {
	struct http_response response; /* points into the members below */
	char *kept[HTTP_ANSWER_KEPT];
	struct buffer body;
	size_t max_body;
	bool is_in_headers;	/* between a status line and its blank line */
	bool is_past_headers;	/* the blank line of a final answer was seen */
	bool has_body;		/* what looks like a header from here on is a trailer */
	bool is_too_long;
};

void http_answer_init(struct http_answer *answer, size_t max_body);
void http_answer_release(struct http_answer *answer);

/* One line of a header block, its end included. A new block (after 100 Continue) forgets the last one. */
void http_answer_add_header(struct http_answer *answer, const char *line, size_t size);

/* Bytes of the body; false when they are more than max_body. */
bool http_answer_add_body(struct http_answer *answer, const char *bytes, size_t size);

/* Whether status is that of a final answer and its headers are all there. */
bool http_answer_has_headers(const struct http_answer *answer);

/* Terminates the body; response can be shown to people after it. */
void http_answer_finish(struct http_answer *answer);

#endif
