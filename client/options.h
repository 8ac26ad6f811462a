/*
 * The command line, read by tables of options: one for those of every command, one for the
 * command's own. Long options are taken in full only: an abbreviation that works today is
 * ambiguous after the next release, and then a script breaks.
 */
#ifndef BATCHD_CLIENT_OPTIONS_H
#define BATCHD_CLIENT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/protocol.h"

struct error;

/* All values, of all commands; what was not given is NULL, false, 0, or its default from
 * options_init. */
struct options {
	const char *socket;
	bool is_json;
	bool is_quiet;
	bool wants_help;
	bool wants_version;

	const char *name;
	const char *endpoint;
	const char *provider;
	const char *key;
	const char *metadata[PROTOCOL_MAX_METADATA];
	size_t metadata_count;
	const char *labels[PROTOCOL_MAX_LABELS];
	size_t label_count;
	const char *on_invalid; /* "fail" or "skip" */
	const char *model;
	const char *id_from;  /* "line" or "custom_id" */
	int64_t max_attempts; /* 0: as configured */
	const char *priority;
	const char *begin;
	const char *after;
	int64_t deadline_ms; /* -1: none */
	bool holds;
	const char *max_tokens;
	const char *max_cost;
	bool wraps;
	bool is_dry_run;
	bool waits;
	bool skips_validation;

	bool wants_all;
	const char *states;
	int64_t count; /* 0: no limit */

	bool follows;
	bool checks;
	bool accepts_lost;
	const char *batch; /* of resolve: the provider's id */
	bool is_none;
	const char *reason; /* of pause */
	int64_t shard; /* 0: the only one */
	int64_t timeout_ms; /* -1: none */
	int64_t patience_ms;
	int64_t wait_ms; /* of ping */

	const char *output;
	bool wants_errors;
	bool is_partial;
	const char *format; /* of results */
	bool overwrites;

	char **operands; /* borrowed from argv, in their order */
	size_t operand_count;
};

enum option_kind {
	OPTION_FLAG,
	OPTION_TEXT,
	OPTION_COUNT,
	OPTION_DURATION,
	OPTION_METADATA,
	OPTION_LABEL,
};

struct option_row {
	char letter;          /* '\0': only long */
	const char *name;     /* NULL ends a table */
	const char *argument; /* as the help shows it; NULL for a flag */
	enum option_kind kind;
	size_t offset; /* of the member of struct options */
	const char *help;
};

/* Fills in the defaults. */
void options_init(struct options *options);

/*
 * Reads arguments (count of them, without the program's name). own goes before shared, and may be
 * NULL. Without own, reading stops at the first operand; with it, options and operands may be
 * mixed, and operands are moved to the front of arguments. "--" ends the options, "-" is an
 * operand. Returns how many arguments were used, or -EINVAL with the reason.
 */
int options_read(struct options *options, const struct option_row *own,
		 const struct option_row *shared, char **arguments, int count, struct error *err);

#endif
