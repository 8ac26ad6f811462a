/*
 * What providers of the Batch API want to be sent, as data: one row for each dialect. Whoever sends
 * reads the row and has no branch for any provider; a section [provider NAME] may overrule it. What
 * only answers differ in (names of statuses, wrappers, forms of times, counts and errors) stands in
 * no row, for the answers of all are read alike.
 */
#ifndef BATCHD_MODEL_DIALECT_H
#define BATCHD_MODEL_DIALECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIALECT_DEFAULT "openai"

/* How the form of an upload says when the file may go. */
enum dialect_expiry {
	DIALECT_EXPIRY_BRACKETS, /* expires_after[anchor], expires_after[seconds] */
	DIALECT_EXPIRY_DOTTED,	 /* expires_after.anchor, expires_after.seconds */
	DIALECT_EXPIRY_NONE,	 /* such a field is refused */
};

enum dialect_list {
	DIALECT_LIST_PAGES,	/* limit and after */
	DIALECT_LIST_ONE_PAGE,	/* a list takes no parameters; only one that says that it has more is asked with them */
};

/* Texts live for ever. A limit of 0: none is known. */
struct dialect {
	const char *name;
	const char *auth_header;
	const char *auth_prefix; /* stands before the key, with a blank; NULL: the key alone */
	const char *query;	 /* "NAME=VALUE[&...]", in every URL; NULL: none */
	const char *purpose;	 /* of uploads */
	const char *upload_type; /* Content-Type of an upload's file */
	/*
	 * What stands in lines, and as the endpoint of a batch, for the "/v1" of the official url:
	 * "/v4", or "" for nothing; NULL: it stays.
	 */
	const char *url_prefix;
	const char *endpoints;	  /* the official urls that its batches take, between blanks; NULL: any */
	const char *windows;	  /* see dialect_window */
	const char *create_extra; /* members of the create's body beside the usual, a JSON object; NULL: none */
	bool needs_extra;	  /* without some, which the row cannot know, every create is refused */
	bool waits_for_file;	  /* a file must be "processed" before a batch is created of it */
	enum dialect_expiry upload_expiry;
	int64_t upload_expiry_min_s, upload_expiry_max_s;
	int64_t output_expiry_min_s, output_expiry_max_s; /* of output_expires_after; both 0: not documented to be taken */
	enum dialect_list list;
	int64_t max_requests; /* of a batch: these three */
	int64_t max_bytes;
	int64_t max_inputs;
	int64_t max_batches; /* in flight */
	int64_t batches_per_hour;
	int64_t uploads_per_minute;
	int64_t lists_per_minute;
	int64_t poll_floor_ms; /* a batch is asked for no sooner again */
};

/* The row called name; NULL when there is none. */
const struct dialect *dialect_find(const char *name);
/* The i-th row; NULL after the last. The first is the default. */
const struct dialect *dialect_at(size_t index);
/* "openai, azure, ...". The caller frees. */
char *dialect_names(void);

/*
 * The completion_window to send for the wanted one: itself where it is taken; else "24h", or where
 * not even that is taken the first that is. windows: words between blanks, each a window or a range
 * ("24h..7d": whole hours or days); "any": every window is taken; "omit": none may be sent, and the
 * answer is NULL. The caller frees.
 */
char *dialect_window(const char *windows, const char *wanted);
/* Whether windows is such a text. */
bool dialect_windows_are_right(const char *windows);

/* Whether a batch for an official url is taken: endpoints as in the row. */
bool dialect_takes(const char *endpoints, const char *url);

/*
 * What is sent in place of an official url: url_prefix as in the row, beginning with a slash or
 * empty. A url that does not begin with "/v1/" stays as it is. The caller frees.
 */
char *dialect_url(const char *url_prefix, const char *url);
/* By how many bytes a url becomes longer with that, if it begins with "/v1/"; below 0: shorter. */
int64_t dialect_url_growth(const char *url_prefix);

#endif
