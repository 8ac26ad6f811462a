/*
 * What the API asks for, and how it answers, in the dialect of a provider: written from the
 * provider's own documents, and not from the daemon's table, with which it shares nothing. What a
 * provider is only known to leave out, or to call otherwise, is a script of the rules that any test
 * may add.
 */
#ifndef BATCHD_TESTS_SIM_DIALECTS_H
#define BATCHD_TESTS_SIM_DIALECTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_request;

struct sim_dialect {
	const char *name;
	const char *base;	 /* of its paths, in the place of "/v1" */
	const char *auth_header; /* where the key is looked for */
	const char *auth_prefix; /* and what stands before it, with its blank */
	const char *version;	 /* api-version of the query, or 404; NULL: that is unknown here, and 404 too */
	const char *purpose;	 /* of uploads, the only one; NULL: as in the official document */
	const char *anchor, *seconds; /* the fields of an upload's expiry; NULL: refused */
	int64_t shortest_s, longest_s;
	bool has_output_expiry;
	const char *const *endpoints;
	const char *const *windows; /* NULL: the parameter is refused */
	bool needs_window;
	const char *extra;     /* a parameter of create that others refuse; NULL: none */
	const char *needed;    /* what must be in it: "a.b"; NULL: nothing */
	bool has_plain_list;   /* a list that has parameters is refused */
	int64_t processing_ms; /* how long an uploaded file is not ready; a create meanwhile is refused */
	int cancel_refusal;    /* the status for a cancel that comes too late */
	bool has_bare_ids;     /* without "batch_" and "file-" */
	bool has_empty_errors; /* a file of no bytes where nothing failed */
	const char *script;    /* how it answers; NULL: as the official document */
};

/* The first one, the official API, for NULL; NULL: there is none of that name. */
const struct sim_dialect *sim_dialect_find(const char *name);

/* The path as the official API has it; NULL: it does not begin with the dialect's base. */
const char *sim_dialect_path(const struct sim_dialect *dialect, const char *path, char *buffer, size_t size);

/* Whether a text is one of a list that ends with NULL; the constant, or NULL. */
const char *sim_dialect_pick(const char *const *list, const char *text);

#endif
