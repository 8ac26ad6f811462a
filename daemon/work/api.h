/*
 * The provider's side: its URLs and bodies, in its dialect (config's terms), and what an answer of theirs means. Every call ends in one of eight verdicts, chosen by one
 * table from (call, how far it came, HTTP status, error code). Nothing is repeated here.
 */
#ifndef BATCHD_WORK_API_H
#define BATCHD_WORK_API_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct config_provider;
struct dialect;
struct error;
struct http;
struct http_response;
struct http_source;
struct note;
struct rates;

enum api_call {
	API_UPLOAD = 1,
	API_CREATE = 2,
	API_RETRIEVE = 4,
	API_LIST = 8,
	API_CANCEL = 16,
	API_CONTENT = 32,
	API_DELETE = 64,
	API_CONTENT_REST = 128, /* content, from a byte on */
	API_FILES = 256,
	API_FILE = 512,
};

enum api_verdict {
	API_OK,	     /* done, and the body is what it should be */
	API_AGAIN,   /* nothing was done, or doing it again does no harm: later */
	API_FULL,    /* the same, because the provider's queue for us is full */
	API_DOUBT,   /* a create that may or may not have been done: look before anything else */
	API_REFUSED, /* for good, by what was asked */
	API_TOO_LARGE, /* refused for its size: a part of it may be taken */
	API_GONE,    /* 404 or 410: what was asked for is not there */
	API_PAUSE,   /* the account or the configuration is wrong: a person must act */
};

struct api_answer {
	enum api_verdict verdict;
	int status;		/* 0: none was seen */
	int64_t retry_after_ms; /* what the server asked for; -1: nothing */
	const char *code;	/* the provider's error code, or NULL */
	const char *words;	/* one sentence: the provider's message, or what happened. For the owner, never for the journal (G8) */
	const char *request_id; /* or NULL */
	const char *body;	/* terminated */
	size_t size;
	const struct http_response *head; /* as it came, for whoever takes a content */
};

/* Runs once for every call that was not aborted; the answer dies after it. */
typedef void api_on_done(const struct api_answer *answer, void *context);
/* Takes pieces of a download in order, packed if head->content_encoding says so. Returns 0 or -errno to stop. */
typedef int api_on_data(const struct http_response *head, const char *bytes, size_t size, void *context);

/* A call under way. */
struct api_request;

/* How a call ended, whoever made it. */
struct api_report {
	enum api_call call;
	const char *object; /* the id of the batch or file that it was about; NULL: none */
	bool is_elsewhere;  /* another server gave the answer, to which the provider had sent us */
	const struct api_answer *answer;
};

/* Hears of every call of an api: when it leaves, and, unless it was aborted, how it ended, before whoever made it does. */
struct api_watch {
	void (*on_begun)(enum api_call call, void *context);
	void (*on_told)(const struct api_report *report, void *context);
	void *context;
};

/* config must outlive it; key is copied (NULL: none is sent). now tells the wall clock in milliseconds. */
struct api *api_new(struct http *http, const struct config_provider *config, const char *key,
		    int64_t (*now)(void *context), void *context);
/* The dialect it speaks, with what the config overrules. */
const struct dialect *api_terms(const struct api *api);
/* Calls under way must have ended or been aborted. NULL is fine. */
void api_free(struct api *api);
/*
 * Whose step a call was begun in, says the note, it is in the middle of while the call's answer is taken: that stands there meanwhile.
 * NULL: no longer.
 */
void api_set_note(struct api *api, struct note *note);
/* Copied. Before the first call. */
void api_set_watch(struct api *api, const struct api_watch *watch);
/* What its newest answers said of its rates; lives as long as the api. */
const struct rates *api_rates(const struct api *api);

/* POST /files, name ends in .jsonl; source lives until the end. */
struct api_request *api_upload(struct api *api, const char *name, const struct http_source *source,
			       api_on_done *on_done, void *context);
/*
 * POST /batches. The marker goes out in metadata; the user's metadata stays here. endpoint is the official url; a window that is not taken
 * there is replaced by one that is, or left out.
 */
struct api_request *api_create(struct api *api, const char *file_id, const char *endpoint, const char *window,
			       const char *marker, api_on_done *on_done, void *context);
/* GET /files/{id} */
struct api_request *api_file(struct api *api, const char *file_id, api_on_done *on_done, void *context);
/* GET /batches/{id}; GET /batches?limit=100&after=; POST /batches/{id}/cancel */
struct api_request *api_retrieve(struct api *api, const char *batch_id, api_on_done *on_done, void *context);
struct api_request *api_list(struct api *api, const char *after, api_on_done *on_done, void *context);
struct api_request *api_cancel(struct api *api, const char *batch_id, api_on_done *on_done, void *context);
/* GET /files?purpose=batch&order=desc&limit=100&after= : newest first, where the server heeds all of it; DELETE /files/{id} */
struct api_request *api_list_files(struct api *api, const char *after, api_on_done *on_done, void *context);
struct api_request *api_delete(struct api *api, const char *file_id, api_on_done *on_done, void *context);
/*
 * GET /files/{id}/content. Follows up to three redirects, without the key (content alone may be elsewhere). from > 0: the rest from that
 * byte on, if the file still has this strong etag; the answer is 206, or 200 and the whole file.
 * API_OK means that the whole body was delivered. on_data may have been called before another verdict.
 */
struct api_request *api_content(struct api *api, const char *file_id, int64_t from, const char *etag,
				api_on_data *on_data, api_on_done *on_done, void *context);
/* Ends a call without its callback. NULL is fine. */
void api_abort(struct api_request *request);
/* Whether a byte of it may have left. */
bool api_is_sent(const struct api_request *request);

/* The table, for its test: what an outcome of a call means. transport is enum http_transport. */
enum api_verdict api_judge(enum api_call call, int transport, int status, const char *code, const char *message);

#endif
