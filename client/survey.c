#include "client/survey.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "client/input.h"
#include "client/repeats.h"
#include "client/source.h"
#include "client/words.h"
#include "daemon/base/alloc.h"
#include "daemon/base/error.h"
#include "daemon/base/hash.h"
#include "daemon/model/request.h"

#define MAX_LINES UINT32_MAX /* of a job */
#define SLOTS     2048       /* at least twice SURVEY_MAX_GROUPS: probing stays short */

/* Groups that are too many are told apart up to here, as batchd does it. */
#define MAX_BEYOND   65536
#define BEYOND_SLOTS (2 * (size_t)MAX_BEYOND) /* a power of two */

/* What a wrapped line gets around it, beside its id and its own bytes. */
#define ENVELOPE "{\"custom_id\":,\"method\":\"POST\",\"url\":\"\",\"body\":}\n"

/* What a run needs beside what it finds. */
struct survey_private {
	size_t envelope_bytes;
	size_t model_bytes;    /* of the member that a wrapped line without a model gets */
	uint16_t slots[SLOTS]; /* number of the group plus 1, 0 is free */
	uint64_t *beyond; /* hashes of groups that are too many, in a table; NULL while there is
			     none */
	size_t beyond_count;
	int64_t first_beyond; /* line of the first request of theirs */
	struct repeats *repeats;
	/* Lines that repeat an id, where the job goes on without them: they are known at the end
	 * alone. */
	int64_t *left_out;
	size_t left_out_count;
	size_t left_out_capacity;
	size_t left_out_next;
	bool is_again;   /* the second time over, without them */
	bool is_cut_off; /* there are more lines than were read */
};

/* A line as it was understood. */
struct reading {
	struct request request;
	char model[REQUEST_MAX_MODEL + 1];
	const char *url;
};

static void tell(struct survey *survey, int64_t line, const char *code, const char *param,
		 const char *message)
{
	if (survey->private->is_again)
		return;
	survey->flaws++;
	survey->on_flaw(line, code, param, message, survey->context);
}

static int compare_lines(const void *a, const void *b)
{
	int64_t first = *(const int64_t *)a, second = *(const int64_t *)b;

	return (first > second) - (first < second);
}

static void leave_out(struct survey_private *private, int64_t line)
{
	if (private->left_out_count == private->left_out_capacity) {
		private->left_out_capacity =
			private->left_out_capacity ? private->left_out_capacity * 2 : 64;
		private->left_out = xreallocarray(private->left_out, private->left_out_capacity,
						  sizeof(*private->left_out));
	}
	private->left_out[private->left_out_count++] = line;
}

/* Whether the line is one of those; asked with rising lines. */
static bool is_left_out(struct survey_private *private, int64_t line)
{
	while (private->left_out_next < private->left_out_count &&
	       private->left_out[private->left_out_next] < line)
	private->left_out_next++;
	return private->left_out_next < private->left_out_count &&
	       private->left_out[private->left_out_next] == line;
}

static void on_repeat(const char *id, size_t size, int64_t line, int64_t first_line, void *context)
{
	struct survey *survey = context;
	auto_free char *whole_id = words_whole(id, size);
	auto_free char *message =
		xasprintf("The custom_id '%s' for this request is a duplicate of another request. "
			  "The custom_id parameter must be unique for each request in a batch. "
			  "(first at line %" PRId64 ")",
			  whole_id, first_line);

	survey->requests--;
	if (survey->rules.skips_invalid)
		leave_out(survey->private, line);
	tell(survey, line, "duplicate_custom_id", "custom_id", message);
}

static int parse(const struct survey_rules *rules, const struct source_line *line,
		 struct request *ret_request, struct request_flaw *ret_flaw)
{
	if (rules->is_wrapped)
		return request_parse_body(line->bytes, line->size, rules->endpoint,
					  rules->model != NULL, ret_request, ret_flaw);
	if (rules->has_line_ids)
		return request_parse_numbered(line->bytes, line->size, ret_request, ret_flaw);
	return request_parse(line->bytes, line->size, ret_request, ret_flaw);
}

/* The url was found to be a known one. */
static const char *find_url(const char *line, struct scan_span url)
{
	size_t i = 0;

	while (request_url(i) && !scan_text_is(line, url, request_url(i)))
		i++;
	return request_url(i);
}

/* Understands a line, or tells what is wrong with it. */
static bool read_line(struct survey *survey, const struct source_line *line,
		      struct reading *reading)
{
	const struct survey_rules *rules = &survey->rules;
	struct request_flaw flaw;
	size_t size;

	if (line->is_too_long) {
		auto_free char *message = xasprintf(
			"This request has more than %u bytes, the most that one may have.",
			REQUEST_MAX_LINE);

		tell(survey, line->number, "request_too_large", NULL, message);
		return false;
	}
	if (parse(rules, line, &reading->request, &flaw) < 0) {
		tell(survey, line->number, flaw.code, flaw.param, flaw.message);
		return false;
	}
	reading->url =
		rules->is_wrapped ? rules->endpoint : find_url(line->bytes, reading->request.url);
	if (!reading->request.model.at) {
		(void)strcpy(reading->model, rules->model);
		return true;
	}
	size = scan_decode(line->bytes, reading->request.model, reading->model);
	if (memchr(reading->model, '\0', size)) {
		tell(survey, line->number, "invalid_value", "body.model",
		     "Invalid 'model': it must not contain a NUL character.");
		return false;
	}
	reading->model[size] = '\0';
	return true;
}

/* Bytes of the line as it would be sent, its newline included. */
static int64_t count_wire_bytes(const struct survey *survey, const struct source_line *line,
				const struct request *request)
{
	int64_t id = (int64_t)sizeof("\"line-\"") - 1;

	for (int64_t number = line->number; number; number /= 10)
		id++;
	if (survey->rules.is_wrapped)
		return (int64_t)(survey->private->envelope_bytes + line->size) + id +
		       (request->model.at ? 0 : (int64_t)survey->private->model_bytes);
	if (!survey->rules.has_line_ids)
		return (int64_t)line->size + 1;
	if (!request->custom_id.at)
		return (int64_t)line->size + 1 + id + (int64_t)sizeof("\"custom_id\":,") - 1;
	return (int64_t)line->size + 1 + id - ((int64_t)request->custom_id.size + 2);
}

/* The group of a request; NULL where it would be one too many. */
static struct survey_group *find_group(struct survey *survey, const struct reading *reading)
{
	const struct survey_rules *rules = &survey->rules;
	uint16_t *slots = survey->private->slots;
	size_t slot = hash_keyed(0, reading->model, strlen(reading->model)) % SLOTS;

	for (; slots[slot]; slot = (slot + 1) % SLOTS) {
		struct survey_group *group = &survey->groups[slots[slot] - 1];

		if (strcmp(group->url, reading->url) == 0 &&
		    strcmp(group->model, reading->model) == 0)
			return group;
	}
	if (survey->group_count == SURVEY_MAX_GROUPS)
		return NULL;
	survey->groups[survey->group_count] = (struct survey_group){
		.model = xstrdup(reading->model),
		.url = reading->url,
		.limits = rules->limits_of ? rules->limits_of(reading->model, survey->context)
					   : &rules->limits,
	};
	slots[slot] = (uint16_t)++survey->group_count;
	return &survey->groups[survey->group_count - 1];
}

/* Two groups of one hash count as one: it is for people, and will not happen. */
static void count_beyond(struct survey_private *private, const struct reading *reading)
{
	uint64_t hash = hash_keyed(hash_keyed(0, reading->url, strlen(reading->url)),
				   reading->model, strlen(reading->model));
	size_t slot = hash % BEYOND_SLOTS;

	hash |= !hash;
	if (!private->beyond)
	private->beyond = xcalloc(BEYOND_SLOTS, sizeof(*private->beyond));
	while (private->beyond[slot] && private->beyond[slot] != hash)
		slot = (slot + 1) % BEYOND_SLOTS;
	if (private->beyond[slot] || private->beyond_count == MAX_BEYOND)
		return;
	private->beyond[slot] = hash;
	private->beyond_count++;
}

static void tell_beyond(struct survey *survey)
{
	const struct survey_private *private = survey->private;
	auto_free char *message = xasprintf(
		"This request has one more pair of model and url than the %d that a job may have. "
		"The input has %s%zu pairs; %" PRId64 " requests are of those beyond.",
		SURVEY_MAX_GROUPS, private->beyond_count == MAX_BEYOND ? "at least " : "",
		survey->group_count + private->beyond_count, survey->beyond);

	tell(survey, private->first_beyond, "too_many_groups", "body.model", message);
}

static void note_excess(struct survey *survey, int64_t line, enum load_excess excess,
			const struct load_limits *limits)
{
	if (survey->excesses < SURVEY_FIRST) {
		survey->first_excesses[survey->excesses].limits = limits;
		survey->first_excesses[survey->excesses].line = line;
		survey->first_excesses[survey->excesses].excess = excess;
	}
	survey->excesses++;
}

/* Puts a request into the batch of its group that is being filled, or into the next. */
static void load_request(struct survey *survey, struct survey_group *group,
			 const struct source_line *line, const struct request *request)
{
	const struct load_limits *limits = group->limits;
	struct load load =
		load_of_request(limits, count_wire_bytes(survey, line, request), request->inputs);
	enum load_excess excess = load_excess_of(limits, &load);

	if (excess != LOAD_FITS) {
		note_excess(survey, line->number, excess, limits);
		return;
	}
	if (!group->batches || !load_has_room(limits, &group->last, &load)) {
		group->batches++;
		group->last = (struct load){0};
	}
	load_add(&group->last, &load);
	load_add(&group->all, &load);
}

static int take_line(struct survey *survey, const struct source_line *line, struct error *err)
{
	struct survey_private *private = survey->private;
	char id[REQUEST_MAX_CUSTOM_ID];
	struct survey_group *group;
	struct reading reading;
	size_t size;

	survey->lines = line->number;
	if (private->is_again && is_left_out(private, line->number))
		return 0;
	if (!read_line(survey, line, &reading))
		return 0;
	survey->requests++;
	group = find_group(survey, &reading);
	if (group)
		load_request(survey, group, line, &reading.request);
	else
		count_beyond(private, &reading);
	if (!group && !survey->beyond++)
	private->first_beyond = line->number;
	if (private->is_again || survey->rules.has_line_ids || survey->rules.is_wrapped)
		return 0;
	size = scan_decode(line->bytes, reading.request.custom_id, id);
	return repeats_add(private->repeats, id, size, line->number, err);
}

static void tell_end(struct survey *survey)
{
	auto_free char *message =
		xasprintf("The input file has more than %" PRIu32 " lines; the rest was not read.",
			  MAX_LINES);

	if (!survey->lines)
		tell(survey, 0, "empty_file", NULL, "The input file is empty.");
	if (survey->private->is_cut_off)
		tell(survey, survey->lines + 1, "too_many_requests", NULL, message);
	else if (survey->beyond)
		tell_beyond(survey);
}

/* Goes over the whole input once. */
static int read_input(struct survey *survey, const struct input *input, struct error *err)
{
	auto_with(source_free) struct source *source = source_new(input);
	struct source_line line;
	int r;

	while ((r = source_next(source, &line, err)) > 0) {
		survey->private->is_cut_off = line.number > (int64_t)MAX_LINES;
		if (survey->private->is_cut_off)
			break;
		r = take_line(survey, &line, err);
		if (r < 0)
			return r;
	}
	if (r < 0)
		return r;
	survey->bytes = source_bytes(source);
	survey->packing = source_packing(source);
	tell_end(survey);
	return 0;
}

static void forget_groups(struct survey *survey)
{
	for (size_t i = 0; i < survey->group_count; i++)
		free(survey->groups[i].model);
	survey->group_count = 0;
	memset(survey->private->slots, 0, sizeof(survey->private->slots));
}

/* What is left out was dealt to batches before it was known: so they are dealt again. */
static int read_again(struct survey *survey, const struct input *input, struct error *err)
{
	struct survey_private *private = survey->private;

	qsort(private->left_out, private->left_out_count, sizeof(*private->left_out),
	      compare_lines);
	private->is_again = true;
	forget_groups(survey);
	survey->requests = survey->beyond = survey->excesses = 0;
	return read_input(survey, input, err);
}

static void begin(struct survey *survey)
{
	const struct survey_rules *rules = &survey->rules;
	struct survey_private *private = xcalloc(1, sizeof(*private));

	private->repeats = repeats_new(0);
	if (rules->is_wrapped)
	private->envelope_bytes = sizeof(ENVELOPE) - 1 + strlen(rules->endpoint);
	if (rules->model)
	private->model_bytes = sizeof("\"model\":\"\",") - 1 + strlen(rules->model);
	survey->private = private;
	survey->groups = xcalloc(SURVEY_MAX_GROUPS, sizeof(*survey->groups));
}

int survey_run(struct survey *survey, const struct input *input, struct error *err)
{
	int r;

	begin(survey);
	r = read_input(survey, input, err);
	if (!r)
		r = repeats_finish(survey->private->repeats, on_repeat, survey, err);
	if (!r && survey->private->left_out_count && input->size >= 0)
		r = read_again(survey, input, err);
	return r;
}

void survey_release(struct survey *survey)
{
	if (!survey->private)
		return;
	forget_groups(survey);
	free(survey->groups);
	repeats_free(survey->private->repeats);
	free(survey->private->left_out);
	free(survey->private->beyond);
	free(survey->private);
	survey->private = NULL;
}

const char *survey_refusal(const struct survey *survey)
{
	if (survey->beyond)
		return "there are more pairs of model and url than a job may have";
	if (!survey->lines)
		return "the input is empty";
	if (survey->private->is_cut_off)
		return "there are more lines than a job may have";
	if (survey->flaws && !survey->rules.skips_invalid)
		return "lines are wrong";
	return survey->requests ? NULL : "all of the lines are wrong";
}

struct load survey_total(const struct survey *survey, int64_t *ret_batches)
{
	struct load total = {0};
	int64_t batches = 0;

	for (size_t i = 0; i < survey->group_count; i++) {
		load_add(&total, &survey->groups[i].all);
		batches += survey->groups[i].batches;
	}
	*ret_batches = batches;
	return total;
}

void survey_official_limits(struct load_limits *ret_limits)
{
	*ret_limits = (struct load_limits){
		.max_requests = LOAD_MAX_REQUESTS,
		.max_bytes = LOAD_MAX_BYTES,
		.max_inputs = LOAD_MAX_INPUTS,
		.bytes_per_token = LOAD_BYTES_PER_TOKEN,
	};
}
