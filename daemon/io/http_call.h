/*
 * What http.c (the loop, the life of a call) and http_request.c (how a request is put to the
 * library) share. Nobody else includes it.
 */
#ifndef BATCHD_IO_HTTP_CALL_H
#define BATCHD_IO_HTTP_CALL_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "daemon/io/http.h"
#include "daemon/io/http_answer.h"

struct curl_mime;
struct curl_slist;

enum call_state {
	CALL_WAITING,	/* to be given to the library in the next turn */
	CALL_RUNNING,	/* the library's */
	CALL_CONDEMNED, /* aborted inside one of the library's callbacks; freed when that has returned */
	CALL_DONE,	/* to be announced */
	CALL_ANNOUNCED, /* on_done is running or has run; in no list */
};

#define CALL_LISTS CALL_ANNOUNCED

struct http_call {
	TAILQ_ENTRY(http_call) entry; /* in the list of its state */
	struct http *http;
	enum call_state state;
	http_on_data *on_data;
	http_on_done *on_done;
	void *context;

	void *easy; /* the library's handle */
	struct curl_slist *headers;
	struct curl_mime *form;
	struct http_source source;
	int64_t source_offset;

	struct http_answer answer;
	char detail[256];   /* the library's own words (CURL_ERROR_SIZE) */
	char *problem;
	int refusal;	    /* negative errno of a callback of ours that refused */
	const char *refuser; /* and which */
	bool is_sent;
	bool is_raw;
	bool is_paused; /* until the next turn */
};

/*
 * Puts request to call->easy, which is fresh. Returns 0, or -EINVAL for what cannot be sent, with
 * a constant sentence.
 */
int http_request_apply(const struct http_request *request, const char *user_agent,
		       struct http_call *call, const char **ret_problem);
/* Frees what apply made, but for call->easy, which must be freed before. */
void http_request_release(struct http_call *call);

#endif
