#include "tests/crash/faults.h"

#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/buffer.h"
#include "daemon/base/cleanup.h"
#include "tests/crash/faults_tables.h"

/* clang-format off */
const struct strike strikes[] = {
	{ "upload",              "upload",   "'count':1", "POST /v1/files",      STORY_PLAIN,    ON_UPLOAD,   COST_UPLOADS },
	{ "create",              "create",   "'count':1", "POST /v1/batches",    STORY_PLAIN,    ON_CREATE,   0 },
	{ "retrieve",            "retrieve", "'count':1", "GET /v1/batches/",    STORY_PLAIN,    ON_RETRIEVE, 0 },
	{ "list, batch there",   "list",     "'count':1", "GET /v1/batches?",    STORY_DOUBT,    ON_LIST,     0 },
	{ "list, batch absent",  "list",     "'count':1", "GET /v1/batches?",    STORY_ABSENT,   ON_LIST,     0 },
	{ "content",             "content",  "'count':1", "GET /v1/files/",      STORY_PLAIN,    ON_CONTENT,  0 },
	{ "content of failures", "content",  "'nth':2",   "GET /v1/files/",      STORY_FAILURES, ON_CONTENT,  0 },
	{ "cancel",              "cancel",   "'count':1", "POST /v1/batches/",   STORY_CANCEL,   ON_CANCEL,   0 },
	{ "files",               "files",    "'count':1", "GET /v1/files?",      STORY_STRAY,    ON_FILES,    0 },
	{ "delete",              "delete",   "'count':1", "DELETE /v1/files/",   STORY_STRAY,    ON_DELETE,   0 },
};

const size_t strike_count = ARRAY_SIZE(strikes);


static const struct {
	unsigned story;
	unsigned costs; /* of the story alone */
	const char *rules;
} stories[] = {
	{ STORY_FAILURES, COST_FAILED,  "{'action':'row_http_error','custom_id':'r-3'}" },
	{ STORY_DOUBT,    0,            "{'call':'create','nth':1,'action':'drop_after'}" },
	{ STORY_ABSENT,   0,            "{'call':'create','nth':1,'action':'drop_before'}" },
	{ STORY_CANCEL,   0,            "{'action':'durations','run_ms':600000}" },
	{ STORY_STRAY,    COST_UPLOADS, "{'call':'upload','nth':1,'action':'drop_after'}" },
};
/* clang-format on */

/* The rules stand in the tables with ' for ". */
static char *quote(char *text)
{
	for (char *at = text; (at = strchr(at, '\'')); at++)
		*at = '"';
	return text;
}

/* Walks through what happens to each call; the row at i, or how many there are. */
static size_t find_happening(size_t i, const struct strike **ret_strike, const struct happening **ret_happening)
{
	size_t count = 0;

	for (size_t s = 0; s < ARRAY_SIZE(strikes); s++)
		for (size_t h = 0; h < happening_count; h++) {
			if (!(happenings[h].calls & strikes[s].bit))
				continue;
			if (count++ == i) {
				*ret_strike = &strikes[s];
				*ret_happening = &happenings[h];
				return i;
			}
		}
	return count;
}

static unsigned costs_of(const struct strike *strike, const struct happening *happening)
{
	unsigned costs = happening->is_done ? strike->if_done : 0;

	for (size_t i = 0; i < ARRAY_SIZE(happening->costs); i++)
		if (happening->costs[i].calls & strike->bit)
			costs |= happening->costs[i].costs;
	return costs;
}

static void make_happening(const struct strike *strike, const struct happening *happening, struct fault *fault)
{
	*fault = (struct fault){
		.name = xasprintf("%s: %s", strike->name, happening->name),
		.call = strike->call,
		.rules = happening->action ? quote(xasprintf("{'call':'%s',%s,%s}", strike->call, strike->when,
							     happening->action)) :
					     xstrdup(""),
		.refused = happening->action ? NULL : xstrdup(strike->refused),
		.story = strike->story,
		.costs = costs_of(strike, happening),
	};
}

size_t fault_count(void)
{
	const struct strike *strike;
	const struct happening *happening;

	return find_happening(SIZE_MAX, &strike, &happening) + oddity_count;
}

void fault_make(size_t i, struct fault *ret_fault)
{
	const struct strike *strike = NULL;
	const struct happening *happening = NULL;
	size_t generic = find_happening(i, &strike, &happening);

	if (strike) {
		make_happening(strike, happening, ret_fault);
	} else {
		const struct oddity *oddity = &oddities[i - generic];

		*ret_fault = (struct fault){ .name = xstrdup(oddity->name),
					     .call = oddity->call,
					     .rules = quote(xstrdup(oddity->rules)),
					     .story = oddity->story,
					     .costs = oddity->costs };
	}
	for (size_t s = 0; s < ARRAY_SIZE(stories); s++)
		if (ret_fault->story & stories[s].story)
			ret_fault->costs |= stories[s].costs;
}

void fault_release(struct fault *fault)
{
	free(fault->name);
	free(fault->rules);
	free(fault->refused);
	*fault = (struct fault){ 0 };
}

char *fault_script(unsigned story, const char *rules)
{
	auto_buffer script = { 0 };
	const char *separator = "";

	buffer_add_text(&script, "[");
	for (size_t i = 0; i < ARRAY_SIZE(stories); i++) {
		if (!(story & stories[i].story))
			continue;
		buffer_add_format(&script, "%s%s", separator, stories[i].rules);
		separator = ",";
	}
	if (*rules)
		buffer_add_format(&script, "%s%s", separator, rules);
	buffer_add_text(&script, "]");
	return quote(xstrdup(buffer_text(&script)));
}
