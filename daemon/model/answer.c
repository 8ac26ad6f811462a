#include "daemon/model/answer.h"

#include <errno.h>
#include <stddef.h>

#include "daemon/base/cleanup.h"

/* A failure as one of the places where failures are told has it. */
struct failure {
	bool is_told;
	struct scan_span code;
	struct scan_span message;
};

/* What was read of a line, before anything is concluded from it. */
struct reading {
	const char *line;
	struct scan scan;
	bool has_custom_id;
	struct scan_span custom_id;
	bool has_status;
	int status;
	struct failure failure;      /* the line's own "error" */
	struct failure flat;         /* "error_code" and "error_message" beside it */
	struct failure body_failure; /* "error" in the response's body */
	struct failure
		body_words; /* "code", "message", "detail" there, or all of a body that is text */
	int64_t input_tokens;
	int64_t output_tokens;
};

/* A member of interest: what reads its value, and into what of the reading; or its own members. */
struct member {
	const char *name;
	int (*read)(struct reading *reading, void *target);
	size_t offset;
	const struct member *members;
};

/* Codes that say by themselves what became of the request. */
/* clang-format off */
static const struct {
	const char *code;
	enum answer_kind kind;
} kinds_by_code[] = {
	{ "batch_expired",         ANSWER_EXPIRED },
	{ "batch_cancelled",       ANSWER_CANCELLED },
	{ "batch_canceled",        ANSWER_CANCELLED },
	{ "request_timeout",       ANSWER_AGAIN },
	{ "timeout",               ANSWER_AGAIN },
	{ "server_error",          ANSWER_AGAIN },
	{ "internal_error",        ANSWER_AGAIN },
	{ "internal_server_error", ANSWER_AGAIN },
	{ "service_unavailable",   ANSWER_AGAIN },
	{ "rate_limit_exceeded",   ANSWER_AGAIN },
};

static const struct {
	int first, last;
	enum answer_kind kind;
} kinds_by_status[] = {
	{ 0,   0,   ANSWER_AGAIN },
	{ 200, 299, ANSWER_OK },
	{ 408, 409, ANSWER_AGAIN },
	{ 425, 425, ANSWER_AGAIN },
	{ 429, 429, ANSWER_AGAIN },
	{ 500, 599, ANSWER_AGAIN },
};

static const char *const kind_names[] = {
	[ANSWER_OK]        = "ok",
	[ANSWER_FAILED]    = "failed",
	[ANSWER_AGAIN]     = "again",
	[ANSWER_EXPIRED]   = "expired",
	[ANSWER_CANCELLED] = "cancelled",
};
/* clang-format on */

/* Reads a string, or a number as it is written; anything else counts as absent. */
static int read_text(struct reading *reading, void *target)
{
	struct scan_span *span = target;
	enum scan_kind kind;

	if (scan_value(&reading->scan, &kind, span))
		return -EBADMSG;
	if (kind != SCAN_STRING && kind != SCAN_NUMBER)
		*span = (struct scan_span){0};
	return 0;
}

static int read_custom_id(struct reading *reading, void *target)
{
	enum scan_kind kind;

	if (scan_value(&reading->scan, &kind, target))
		return -EBADMSG;
	reading->has_custom_id = kind == SCAN_STRING;
	return 0;
}

static int read_tokens(struct reading *reading, void *target)
{
	int64_t *tokens = target;
	struct scan_span span;
	int64_t number;

	if (read_text(reading, &span))
		return -EBADMSG;
	if (scan_integer(reading->line, span, &number) == 0 && number >= 0)
		*tokens = number;
	return 0;
}

/* Some write a status as a string. */
static int read_status(struct reading *reading, void *target)
{
	struct scan_span span;
	int64_t status;

	if (read_text(reading, &span))
		return -EBADMSG;
	reading->has_status =
		scan_integer(reading->line, span, &status) == 0 && status >= 0 && status <= 999;
	*(int *)target = reading->has_status ? (int)status : 0;
	return 0;
}

/* Reads an error's object: it tells a failure if any of its members is something. */
static int read_failure_object(struct reading *reading, struct failure *failure)
{
	struct scan *scan = &reading->scan;
	struct scan_span name;
	int is_there;

	if (scan_enter_object(scan))
		return -EBADMSG;
	while ((is_there = scan_next_member(scan, &name)) > 0) {
		struct scan_span span;
		enum scan_kind kind;

		if (scan_value(scan, &kind, &span))
			return -EBADMSG;
		if (kind == SCAN_NULL || !span.size)
			continue;
		failure->is_told = true;
		if (kind != SCAN_STRING && kind != SCAN_NUMBER)
			continue;
		if (scan_text_is(reading->line, name, "code"))
			failure->code = span;
		else if (scan_text_is(reading->line, name, "message"))
			failure->message = span;
	}
	return is_there;
}

/* Reads an error in any of its forms; null, false, "", {}, [] and an object of nulls are none. */
static int read_failure(struct reading *reading, void *target)
{
	struct failure *failure = target;
	struct scan_span span;
	enum scan_kind kind;

	*failure = (struct failure){0};
	if (scan_peek(&reading->scan, &kind))
		return -EBADMSG;
	if (kind == SCAN_OBJECT)
		return read_failure_object(reading, failure);
	if (scan_value(&reading->scan, NULL, &span))
		return -EBADMSG;
	if (kind == SCAN_STRING)
		failure->message = span;
	else if (kind == SCAN_NUMBER)
		failure->code = span;
	failure->is_told = kind == SCAN_TRUE || (kind == SCAN_ARRAY && span.size > 2) ||
			   failure->message.size || failure->code.size;
	return 0;
}

#define INTO(into) .offset = offsetof(struct reading, into)

/* clang-format off */
static const struct member usage_members[] = {
	{ "prompt_tokens",     read_tokens, INTO(input_tokens) },
	{ "input_tokens",      read_tokens, INTO(input_tokens) },
	{ "completion_tokens", read_tokens, INTO(output_tokens) },
	{ "output_tokens",     read_tokens, INTO(output_tokens) },
	{ 0 },
};

static const struct member body_members[] = {
	{ "error",   read_failure, INTO(body_failure) },
	{ "code",    read_text,    INTO(body_words.code) },
	{ "message", read_text,    INTO(body_words.message) },
	{ "detail",  read_text,    INTO(body_words.message) },
	{ "usage",   .members = usage_members },
	{ 0 },
};

static const struct member response_members[] = {
	{ "status_code", read_status, INTO(status) },
	{ "body",        read_text,   INTO(body_words.message), .members = body_members },
	{ 0 },
};

static const struct member line_members[] = {
	{ "custom_id",     read_custom_id, INTO(custom_id) },
	{ "error",         read_failure,   INTO(failure) },
	{ "error_code",    read_text,      INTO(flat.code) },
	{ "error_message", read_text,      INTO(flat.message) },
	{ "response",      .members = response_members },
	{ 0 },
};
/* clang-format on */

/*
 * Reads an object. A member that is an object and has a table of its own is read by that; the
 * tables above bound how deep this calls itself.
 */
static int read_members(struct reading *reading, const struct member *members)
{
	struct scan *scan = &reading->scan;
	struct scan_span name;
	int result = scan_enter_object(scan);

	while (result == 0 && (result = scan_next_member(scan, &name)) > 0) {
		const struct member *member = members;
		enum scan_kind kind;

		while (member->name && !scan_text_is(reading->line, name, member->name))
			member++;
		if (scan_peek(scan, &kind))
			return -EBADMSG;
		if (kind == SCAN_OBJECT && member->members)
			result = read_members(reading, member->members);
		else if (member->read)
			result = member->read(reading, (char *)reading + member->offset);
		else
			result = scan_value(scan, NULL, NULL);
	}
	return result;
}

static enum answer_kind kind_of_status(int64_t status)
{
	for (size_t i = 0; i < ARRAY_SIZE(kinds_by_status); i++)
		if (status >= kinds_by_status[i].first && status <= kinds_by_status[i].last)
			return kinds_by_status[i].kind;
	return ANSWER_FAILED;
}

/* The failure that is told, the nearest to the line's top first; NULL when there is none. */
static const struct failure *failure_of(const struct reading *reading)
{
	if (reading->failure.is_told)
		return &reading->failure;
	if (reading->flat.code.size || reading->flat.message.size)
		return &reading->flat;
	return reading->body_failure.is_told ? &reading->body_failure : NULL;
}

/*
 * A code that we know decides. Then a status that is no success: it knows more than a code that
 * we do not know. An error beside a success, or without any status, is one, and its code may be a
 * status.
 */
static enum answer_kind kind_of(const struct reading *reading, const struct failure *failure)
{
	enum answer_kind kind = kind_of_status(reading->status);
	int64_t code;

	if (!failure)
		return kind;
	for (size_t i = 0; i < ARRAY_SIZE(kinds_by_code); i++)
		if (scan_text_is(reading->line, failure->code, kinds_by_code[i].code))
			return kinds_by_code[i].kind;
	if (reading->has_status && kind != ANSWER_OK)
		return kind;
	if (scan_integer(reading->line, failure->code, &code) == 0 && code >= 400)
		return kind_of_status(code);
	return ANSWER_FAILED;
}

static struct scan_span first_of(struct scan_span first, struct scan_span second)
{
	return first.size ? first : second;
}

static void conclude(const struct reading *reading, struct answer *ret_answer)
{
	const struct failure *failure = failure_of(reading);
	struct answer answer = {
		.custom_id = reading->custom_id,
		.kind = kind_of(reading, failure),
		.status = reading->status,
		.input_tokens = reading->input_tokens,
		.output_tokens = reading->output_tokens,
	};

	if (answer.kind != ANSWER_OK) {
		if (!failure)
			failure = &reading->body_words;
		answer.error_code = first_of(failure->code, reading->body_words.code);
		answer.error_message = first_of(failure->message, reading->body_words.message);
	}
	*ret_answer = answer;
}

static int read_line(struct reading *reading, const char **ret_problem)
{
	struct scan *scan = &reading->scan;

	if (read_members(reading, line_members) || scan_end(scan)) {
		*ret_problem = scan->problem;
		return -EBADMSG;
	}
	if (reading->has_custom_id)
		return 0;
	*ret_problem = "no custom_id";
	return -ENOENT;
}

int answer_parse(const char *line, size_t size, struct answer *ret_answer, const char **ret_problem)
{
	struct reading reading = {.line = line, .input_tokens = -1, .output_tokens = -1};
	const char *problem = NULL;
	int result;

	scan_init(&reading.scan, line, size);
	reading.scan.is_surrogate_tolerant = true;
	result = read_line(&reading, &problem);
	if (result == 0)
		conclude(&reading, ret_answer);
	else if (ret_problem)
		*ret_problem = problem;
	return result;
}

const char *answer_kind_name(enum answer_kind kind)
{
	return kind_names[kind];
}
