#include "tests/crash/trials_rows.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "tests/crash/faults.h"

#define MINUTE_MS (60 * INT64_C(1000))
#define DAY_MS (24 * 60 * MINUTE_MS)
#define YEAR_MS (365 * DAY_MS)

/* clang-format off */
static const char *const call_names[TRIAL_CALLS] = {
	[TRIAL_UPLOAD]   = "upload",
	[TRIAL_CREATE]   = "create",
	[TRIAL_RETRIEVE] = "retrieve",
	[TRIAL_LIST]     = "list",
	[TRIAL_CONTENT]  = "content",
	[TRIAL_CANCEL]   = "cancel",
	[TRIAL_FILES]    = "files",
	[TRIAL_DELETE]   = "delete",
};

/* What must happen besides for a call to come at all. */
static const unsigned call_stories[TRIAL_CALLS] = {
	[TRIAL_LIST]   = STORY_DOUBT,
	[TRIAL_CANCEL] = STORY_CANCEL,
	[TRIAL_FILES]  = STORY_STRAY,
	[TRIAL_DELETE] = STORY_STRAY,
};

/* Calls by what their requests begin and end with. */
static const struct { const char *method, *start, *end; enum trial_call call; } requests[] = {
	{ "POST",   "/v1/files",    "",         TRIAL_UPLOAD   },
	{ "POST",   "/v1/batches/", "/cancel",  TRIAL_CANCEL   },
	{ "POST",   "/v1/batches",  "",         TRIAL_CREATE   },
	{ "GET",    "/v1/batches/", "",         TRIAL_RETRIEVE },
	{ "GET",    "/v1/batches",  "",         TRIAL_LIST     },
	{ "GET",    "/v1/files/",   "/content", TRIAL_CONTENT  },
	{ "GET",    "/v1/files",    "",         TRIAL_FILES    },
	{ "DELETE", "/v1/files/",   "",         TRIAL_DELETE   },
};

/* Providers that quote what they were sent: it goes to the owner alone. Rules with ' for ". */
#define REFUSED(call, status, words) \
	"{'call':'" call "','count':1,'action':'status','status':" #status ",'message':'" words "'}"
#define KEY    "wrong key: sk-SECRET-key"
#define PROMPT "SECRET prompt"
static const struct { const char *name, *rules; unsigned costs; } quotes[] = {
	{ "upload: 401 that quotes the key",   REFUSED("upload", 401, KEY),    0 },
	{ "create: 401 that quotes the key",   REFUSED("create", 401, KEY),    0 },
	{ "retrieve: 403 that quotes the key", REFUSED("retrieve", 403, KEY),  0 },
	{ "create: 400 that quotes a prompt",  REFUSED("create", 400, PROMPT), COST_FAILED },
	{ "a cancel that quotes a prompt",     REFUSED("cancel", 400, PROMPT), 0 },
	{ "failed, quoting a prompt",
	  "{'action':'fail_validation','message':'" PROMPT "','line':1,'count':1}", COST_FAILED | COST_UPLOADS },
	{ "an answer that quotes a prompt",
	  "{'action':'row_http_error','status':400,'message':'" PROMPT "','count':1}", COST_FAILED | COST_ANSWERS },
};

static const struct { const char *name; int64_t ms; } jumps[] = {
	{ "10 years back",    -10 * YEAR_MS   },
	{ "a day back",       -DAY_MS         },
	{ "5 minutes back",   -5 * MINUTE_MS  },
	{ "5 minutes on",     5 * MINUTE_MS   },
	{ "a day on",         DAY_MS          },
	{ "10 years on",      10 * YEAR_MS    },
};

/* Strokes; those of a call are there once for each. */
static const struct { const char *name; enum trial_moment moment; enum trial_act act; bool is_of_call; } strokes[] = {
	{ "death when it arrived: %s",          MOMENT_ARRIVAL,  ACT_DIE,       true  },
	{ "death when it was answered: %s",     MOMENT_ANSWER,   ACT_DIE,       true  },
	{ "death after what it answered: %s",   MOMENT_ANSWER,   ACT_DIE_AFTER, true  },
	{ "cancel when it arrived: %s",         MOMENT_ARRIVAL,  ACT_CANCEL,    true  },
	{ "lost on its way: %s",                MOMENT_LEAVING,  ACT_LOSE,      true  },
	{ "arrives late: %s",                   MOMENT_LEAVING,  ACT_DELAY,     true  },
	{ "death in a turn",                    MOMENT_TURN,     ACT_DIE,       false },
	{ "death after a turn",                 MOMENT_TURN,     ACT_DIE_AFTER, false },
	{ "death at a callback",                MOMENT_CALLBACK, ACT_DIE,       false },
	{ "death again, at a callback",         MOMENT_REBIRTH,  ACT_DIE,       false },
	{ "cancel",                             MOMENT_TURN,     ACT_CANCEL,    false },
	{ "cancel at a callback",               MOMENT_CALLBACK, ACT_CANCEL,    false },
};
/* clang-format on */

#define OF_CALL 6
#define STROKE_COUNT (OF_CALL * TRIAL_CALLS + ARRAY_SIZE(strokes) - OF_CALL)
#define JUMP_COUNT ((TRIAL_CALLS + 1) * ARRAY_SIZE(jumps))

static char *quote(char *text)
{
	for (char *at = text; (at = strchr(at, '\'')); at++)
		*at = '"';
	return text;
}

/* The rules strike at the first occasion; here is the place where they say so. */
static char *at_occasion(const char *rules, int64_t nth)
{
	static const char first[] = "\"count\":1";
	const char *at = rules;

	while ((at = strstr(at, first)) && strchr("0123456789", at[sizeof(first) - 1]))
		at++;
	if (!at || nth == 1)
		return xstrdup(rules);
	return xasprintf("%.*s\"nth\":%lld%s", (int)(at - rules), rules, (long long)nth, at + sizeof(first) - 1);
}

static enum trial_call call_named(const char *name)
{
	unsigned call = 0;

	while (call < TRIAL_CALLS && strcmp(call_names[call], name) != 0)
		call++;
	return (enum trial_call)call;
}

static void make_fault(size_t i, int64_t nth, struct trial_row *row)
{
	struct fault fault;

	fault_make(i, &fault);
	*row = (struct trial_row){
		.moment = fault.refused ? MOMENT_LEAVING : MOMENT_RULE,
		.act = fault.refused ? ACT_REFUSE : ACT_RULE,
		.call = call_named(fault.call),
		.name = xstrdup(fault.name),
		.rules = *fault.rules ? at_occasion(fault.rules, nth) : NULL,
		.story = fault.story,
		.costs = fault.costs,
	};
	fault_release(&fault);
}

static void make_quote(size_t i, int64_t nth, struct trial_row *row)
{
	auto_free char *rules = quote(xstrdup(quotes[i].rules));

	*row = (struct trial_row){
		.call = TRIAL_CALLS,
		.name = xstrdup(quotes[i].name),
		.rules = at_occasion(rules, nth),
		.story = strncmp(quotes[i].name, "a cancel", 8) ? STORY_PLAIN : STORY_CANCEL,
		.costs = quotes[i].costs,
	};
}

static void make_stroke(size_t i, struct trial_row *row)
{
	bool is_of_call = i < OF_CALL * TRIAL_CALLS;
	size_t number = is_of_call ? i / TRIAL_CALLS : i - OF_CALL * TRIAL_CALLS + OF_CALL;
	enum trial_call call = is_of_call ? (enum trial_call)(i % TRIAL_CALLS) : TRIAL_CALLS;

	*row = (struct trial_row){
		.moment = strokes[number].moment,
		.act = strokes[number].act,
		.call = call,
		.story = is_of_call ? call_stories[call] : STORY_PLAIN,
		.costs = COST_UPLOADS,
	};
	row->name = is_of_call ? xasprintf("%.*s%s", (int)strlen(strokes[number].name) - 2, strokes[number].name,
					   call_names[call]) :
				 xstrdup(strokes[number].name);
}

static void make_jump(size_t i, struct trial_row *row)
{
	size_t jump = i % ARRAY_SIZE(jumps);
	enum trial_call call = (enum trial_call)(i / ARRAY_SIZE(jumps));

	*row = (struct trial_row){
		.moment = call == TRIAL_CALLS ? MOMENT_TURN : MOMENT_ARRIVAL,
		.act = ACT_JUMP,
		.call = call,
		.jump_ms = jumps[jump].ms,
		.name = xasprintf("the clock goes %s: %s", jumps[jump].name,
				  call == TRIAL_CALLS ? "at a turn" : call_names[call]),
		.story = call == TRIAL_CALLS ? STORY_PLAIN : call_stories[call],
	};
}

size_t trial_row_count(void)
{
	return fault_count() + ARRAY_SIZE(quotes) + STROKE_COUNT + JUMP_COUNT;
}

void trial_row_make(size_t row, int64_t nth, struct trial_row *ret_row)
{
	size_t faults = fault_count();

	if (row < faults)
		make_fault(row, nth, ret_row);
	else if (row - faults < ARRAY_SIZE(quotes))
		make_quote(row - faults, nth, ret_row);
	else if (row - faults - ARRAY_SIZE(quotes) < STROKE_COUNT)
		make_stroke(row - faults - ARRAY_SIZE(quotes), ret_row);
	else
		make_jump(row - faults - ARRAY_SIZE(quotes) - STROKE_COUNT, ret_row);
}

void trial_row_release(struct trial_row *row)
{
	free(row->name);
	free(row->rules);
	*row = (struct trial_row){ 0 };
}

size_t trial_row_find(const char *name)
{
	size_t count = trial_row_count();

	for (size_t i = 0; i < count; i++) {
		auto_trial_row row;

		trial_row_make(i, 1, &row);
		if (strcmp(row.name, name) == 0)
			return i;
	}
	return count;
}

enum trial_call trial_call_of(const char *method, const char *path)
{
	size_t size = strlen(path);

	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		size_t end = strlen(requests[i].end);

		if (strcmp(method, requests[i].method) == 0 &&
		    strncmp(path, requests[i].start, strlen(requests[i].start)) == 0 && size >= end &&
		    strcmp(path + size - end, requests[i].end) == 0)
			return requests[i].call;
	}
	return TRIAL_CALLS;
}
