#include "daemon/model/request.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/base/cleanup.h"

#define QUOTE_LIMIT 64 /* bytes of the user's text that a message shows */

/* What we look for: the first four at the top, the others in the body. */
enum field { CUSTOM_ID, METHOD, URL, BODY, MODEL, STREAM, INPUT, FIELDS };
#define BODY_FIELDS MODEL
#define OTHER       FIELDS /* what nobody knows is read like the rest, and forgotten */

#define KIND(kind) (1u << SCAN_##kind)
#define BOOLEAN    (KIND(TRUE) | KIND(FALSE) | KIND(NULL))
#define ANY_KIND   (~0u)

struct rule {
	const char *param;
	const char *name;
	unsigned kinds; /* a bit for each kind that is right */
	const char *expected;
	bool is_required;
	size_t longest;
};

/* clang-format off */
static const struct rule rules[FIELDS] = {
	[CUSTOM_ID] = { "custom_id", "custom_id", KIND(STRING), "a string", true,
			REQUEST_MAX_CUSTOM_ID },
	[METHOD] = { "method", "method", KIND(STRING), "a string", true, SIZE_MAX },
	[URL] = { "url", "url", KIND(STRING), "a string", true, REQUEST_MAX_URL },
	[BODY] = { "body", "body", KIND(OBJECT), "an object", true, SIZE_MAX },
	[MODEL] = { "body.model", "model", KIND(STRING), "a string", true, REQUEST_MAX_MODEL },
	[STREAM] = { "body.stream", "stream", BOOLEAN, "a boolean", false, SIZE_MAX },
	[INPUT] = { "body.input", "input", ANY_KIND, NULL, false, SIZE_MAX },
};

/* Where the job knows better than the line. */
static const struct rule made_id = { "custom_id", "custom_id", KIND(STRING), "a string", false,
				     SIZE_MAX };
static const struct rule given_model = { "body.model", "model", KIND(STRING), "a string", false,
					 REQUEST_MAX_MODEL };

static const char *const kind_names[] = {
	[SCAN_OBJECT] = "an object", [SCAN_ARRAY] = "an array", [SCAN_STRING] = "a string",
	[SCAN_NUMBER] = "a number",  [SCAN_TRUE] = "a boolean", [SCAN_FALSE] = "a boolean",
	[SCAN_NULL]   = "null",
};

static const struct {
	const char *url;
	const char *title; /* as the provider begins its sentences */
} endpoints[] = {
	{ "/v1/responses",          "Responses" },
	{ "/v1/chat/completions",   "Chat Completions" },
	{ "/v1/embeddings",         "Embeddings" },
	{ "/v1/completions",        "Completions" },
	{ "/v1/moderations",        "Moderations" },
	{ "/v1/images/generations", "Images" },
	{ "/v1/images/edits",       "Images" },
	{ "/v1/videos",             "Videos" },
};
/* clang-format on */

/* What was found of one field. */
struct found {
	unsigned times;
	enum scan_kind kind;
	struct scan_span span;
};

struct reading {
	const char *line;
	struct scan scan;
	struct found found[FIELDS + 1];
	uint32_t inputs;
	size_t inside; /* behind the first brace */
};

/* The beginning of what the user wrote, escapes as they are, and nothing but printable ASCII. */
static const char *quote(const char *line, struct scan_span span, char *out)
{
	size_t shown = span.size < QUOTE_LIMIT ? span.size : QUOTE_LIMIT;

	for (size_t i = 0; i < shown; i++) {
		char byte = line[span.at + i];

		out[i] = (char)(byte >= ' ' && byte <= '~' ? byte : '?');
	}
	memcpy(out + shown, shown < span.size ? "..." : "", shown < span.size ? 4 : 1);
	return out;
}

/* Passes "input" and counts; what its first element is decides how an array counts. */
static int read_input(struct reading *reading, struct found *found)
{
	struct scan *scan = &reading->scan;
	size_t start = scan->at;
	enum scan_kind first = SCAN_NULL;
	uint32_t elements = 0;
	int is_there;

	if (found->kind != SCAN_ARRAY) {
		reading->inputs = found->kind != SCAN_NULL;
		return scan_value(scan, NULL, &found->span);
	}
	if (scan_enter_array(scan))
		return -EBADMSG;
	while ((is_there = scan_next_element(scan)) > 0)
		if (scan_value(scan, elements++ ? NULL : &first, NULL))
			return -EBADMSG;
	found->span = (struct scan_span){start, scan->at - start};
	reading->inputs = elements && first == SCAN_NUMBER ? 1 : elements;
	return is_there;
}

/* Where to note the member of this name, which may be one of the fields from on, before to. */
static struct found *found_of(struct reading *reading, struct scan_span name, enum field from,
			      enum field to)
{
	struct found *found = &reading->found[OTHER];

	for (enum field field = from; field < to; field++)
		if (scan_text_is(reading->line, name, rules[field].name))
			found = &reading->found[field];
	found->times++;
	return found;
}

static int read_body(struct reading *reading, struct found *found)
{
	struct scan *scan = &reading->scan;
	struct scan_span name;
	size_t start;
	int is_there;

	if (scan_enter_object(scan))
		return -EBADMSG;
	start = scan->at - 1;
	if (!reading->inside)
		reading->inside = scan->at;
	while ((is_there = scan_next_member(scan, &name)) > 0) {
		struct found *member = found_of(reading, name, BODY_FIELDS, FIELDS);

		if (scan_peek(scan, &member->kind))
			return -EBADMSG;
		if (member == &reading->found[INPUT] ? read_input(reading, member)
						     : scan_value(scan, NULL, &member->span))
			return -EBADMSG;
	}
	found->span = (struct scan_span){start, scan->at - start};
	return is_there;
}

static int read_line(struct reading *reading)
{
	struct scan *scan = &reading->scan;
	struct scan_span name;
	int is_there;

	if (scan_enter_object(scan))
		return -EBADMSG;
	reading->inside = scan->at;
	while ((is_there = scan_next_member(scan, &name)) > 0) {
		struct found *member = found_of(reading, name, CUSTOM_ID, BODY_FIELDS);

		if (scan_peek(scan, &member->kind))
			return -EBADMSG;
		if (member == &reading->found[BODY] && member->kind == SCAN_OBJECT
			    ? read_body(reading, member)
			    : scan_value(scan, NULL, &member->span))
			return -EBADMSG;
	}
	return is_there ? is_there : scan_end(scan);
}

static int refuse_json(const struct scan *scan, struct request_flaw *flaw)
{
	static const char sentence[] = "This line is not parseable as valid JSON.";

	if (scan->at == scan->size && scan->depth == 0)
		return request_refuse(flaw, "invalid_json_line", NULL, "%s It is blank.", sentence);
	return request_refuse(flaw, "invalid_json_line", NULL, "%s There is %s at column %zu.",
			      sentence, scan->problem, scan->at + 1);
}

/* What can be wrong with any field. */
static int judge_field(const struct rule *rule, const struct found *found,
		       struct request_flaw *flaw)
{
	if (found->times > 1)
		return request_refuse(flaw, "duplicate_parameter", rule->param,
				      "The parameter '%s' is given more than once.", rule->name);
	if (!found->times && !rule->is_required)
		return 0;
	if (!found->times)
		return request_refuse(flaw, "missing_required_parameter", rule->param,
				      "Missing required parameter: '%s'.", rule->name);
	if (!(rule->kinds & 1u << found->kind))
		return request_refuse(flaw, "invalid_type", rule->param,
				      "Invalid type for '%s': expected %s, but got %s instead.",
				      rule->name, rule->expected, kind_names[found->kind]);
	if (rule->longest == SIZE_MAX)
		return 0;
	if (!found->span.size)
		return request_refuse(flaw, "invalid_value", rule->param,
				      "Invalid '%s': it must not be empty.", rule->name);
	if (found->span.size > rule->longest)
		return request_refuse(flaw, "invalid_value", rule->param,
				      "Invalid '%s': it has %zu bytes, and the longest allowed has %zu.",
				      rule->name, found->span.size, rule->longest);
	return 0;
}

/* The number of the endpoint that the url, decoded, is; the number of endpoints if it is none. */
static size_t endpoint_of(const char *line, struct scan_span url)
{
	size_t index = 0;

	while (index < ARRAY_SIZE(endpoints) && !scan_text_is(line, url, endpoints[index].url))
		index++;
	return index;
}

static int judge_method(const struct reading *reading, struct request_flaw *flaw)
{
	char quoted[QUOTE_LIMIT + sizeof("...")];
	struct scan_span method = reading->found[METHOD].span;

	if (scan_text_is(reading->line, method, "POST"))
		return 0;
	return request_refuse(flaw, "invalid_method", rules[METHOD].param,
			      "The method '%s' is not supported by the Batch API, only POST is.",
			      quote(reading->line, method, quoted));
}

/* The url stands somewhere in text. What is sent there must not be a stream. */
static int judge_url(const struct reading *reading, const char *text, struct scan_span url,
		     struct request_flaw *flaw)
{
	const struct found *stream = &reading->found[STREAM];
	char quoted[QUOTE_LIMIT + sizeof("...")];
	size_t endpoint = endpoint_of(text, url);

	if (endpoint == ARRAY_SIZE(endpoints))
		return request_refuse(flaw, "url_not_found", rules[URL].param,
				      "The provided url '%s' is not supported by the Batch API.",
				      quote(text, url, quoted));
	if (stream->times && stream->kind == SCAN_TRUE)
		return request_refuse(flaw, "streaming_unsupported", rules[STREAM].param,
				      "%s: Streaming is not supported in the Batch API.",
				      endpoints[endpoint].title);
	return 0;
}

static bool has_members(const struct reading *reading)
{
	unsigned times = 0;

	for (enum field field = BODY_FIELDS; field <= OTHER; field++)
		times |= reading->found[field].times;
	return times != 0;
}

static struct request request_of(const struct reading *reading)
{
	return (struct request){
		.custom_id = reading->found[CUSTOM_ID].span,
		.url = reading->found[URL].span,
		.model = reading->found[MODEL].span,
		.body = reading->found[BODY].span,
		.inputs = reading->inputs,
		.inside = reading->inside,
	};
}

/* Checks the size, and begins. */
static int begin(struct reading *reading, const char *line, size_t size, struct request_flaw *flaw)
{
	if (size > REQUEST_MAX_LINE)
		return request_refuse(flaw, "invalid_value", NULL,
				      "The line has %zu bytes, and the longest allowed has %u.",
				      size, REQUEST_MAX_LINE);
	*reading = (struct reading){.line = line};
	scan_init(&reading->scan, line, size);
	return 0;
}

static int parse(const char *line, size_t size, const struct rule *id_rule,
		 struct request *ret_request, struct request_flaw *ret_flaw)
{
	struct reading reading;

	if (begin(&reading, line, size, ret_flaw))
		return -EBADMSG;
	if (read_line(&reading))
		return refuse_json(&reading.scan, ret_flaw);
	if (judge_field(id_rule, &reading.found[CUSTOM_ID], ret_flaw))
		return -EBADMSG;
	for (enum field field = METHOD; field < FIELDS; field++)
		if (judge_field(&rules[field], &reading.found[field], ret_flaw))
			return -EBADMSG;
	if (judge_method(&reading, ret_flaw) ||
	    judge_url(&reading, line, reading.found[URL].span, ret_flaw))
		return -EBADMSG;
	*ret_request = request_of(&reading);
	return 0;
}

int request_refuse(struct request_flaw *flaw, const char *code, const char *param, const char *format, ...)
{
	va_list arguments;

	flaw->code = code;
	flaw->param = param;
	va_start(arguments, format);
	(void)vsnprintf(flaw->message, sizeof(flaw->message), format, arguments);
	va_end(arguments);
	return -EBADMSG;
}

int request_parse(const char *line, size_t size, struct request *ret_request,
		  struct request_flaw *ret_flaw)
{
	return parse(line, size, &rules[CUSTOM_ID], ret_request, ret_flaw);
}

int request_parse_numbered(const char *line, size_t size, struct request *ret_request,
			   struct request_flaw *ret_flaw)
{
	return parse(line, size, &made_id, ret_request, ret_flaw);
}

int request_parse_body(const char *line, size_t size, const char *url, bool has_model,
		       struct request *ret_request, struct request_flaw *ret_flaw)
{
	const struct rule *model_rule = has_model ? &given_model : &rules[MODEL];
	struct reading reading;

	if (begin(&reading, line, size, ret_flaw))
		return -EBADMSG;
	if (read_body(&reading, &reading.found[BODY]) || scan_end(&reading.scan))
		return refuse_json(&reading.scan, ret_flaw);
	if (!has_members(&reading))
		return request_refuse(ret_flaw, "invalid_value", rules[BODY].param,
				      "Invalid 'body': it must not be empty.");
	if (judge_field(model_rule, &reading.found[MODEL], ret_flaw))
		return -EBADMSG;
	for (enum field field = STREAM; field < FIELDS; field++)
		if (judge_field(&rules[field], &reading.found[field], ret_flaw))
			return -EBADMSG;
	if (judge_url(&reading, url, (struct scan_span){.size = strlen(url)}, ret_flaw))
		return -EBADMSG;
	*ret_request = request_of(&reading);
	return 0;
}

int request_find_id(const char *line, size_t size, struct scan_span *ret_id)
{
	struct reading reading = {.line = line};
	const struct found *found = &reading.found[CUSTOM_ID];
	struct request_flaw flaw;

	scan_init(&reading.scan, line, size);
	(void)read_line(&reading);
	/* Of one whose value is the fault only the name was read. */
	if (!found->span.at || judge_field(&rules[CUSTOM_ID], found, &flaw))
		return -ENOENT;
	*ret_id = found->span;
	return 0;
}

int request_url_is_known(const char *url, size_t size)
{
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++)
		if (strlen(endpoints[i].url) == size && memcmp(endpoints[i].url, url, size) == 0)
			return 1;
	return 0;
}

const char *request_url(size_t index)
{
	return index < ARRAY_SIZE(endpoints) ? endpoints[index].url : NULL;
}
