/*
 * How a provider does, by what its answers say, whoever asked: whether it may be called now, for which call, until when not, and why. All
 * of it is in memory and learned anew by a start, but for a person's pause and how many batches were created in the last hour. In the order
 * of their weight:
 *
 *	paused		by a person, until a person resumes it
 *	refused		401, 402, 403, 407, quota, billing, base_url moved (API_PAUSE): left alone for HEALTH_REFUSED_MS, doubling up to
 *			HEALTH_REFUSED_LONGEST_MS while it goes on refusing; one step is the probe
 *	ill		calls fail one after the other: no connection, no answer, 5xx (model/breaker); one step is the probe
 *	limited		429, of calls of one kind: until its Retry-After, else a growing wait of that kind's own; or a rate of the config is used up
 *
 * Calls that look for and delete files that nobody needs (API_FILES, API_DELETE) never make it refused or ill: no job waits for those.
 * Knows no loop and no store: the clock and the dice are arguments. The owner is work/provider; tests look at it too.
 */
#ifndef BATCHD_WORK_HEALTH_H
#define BATCHD_WORK_HEALTH_H

#include <stdbool.h>
#include <stdint.h>

#include "daemon/model/breaker.h"
#include "daemon/model/rate.h"
#include "daemon/work/api.h"

struct config_provider;

#define HEALTH_REFUSED_MS (5 * 60 * 1000)
#define HEALTH_REFUSED_LONGEST_MS (60 * 60 * 1000)
/* Between two steps that go on after a wait: many who waited together do not return together. */
#define HEALTH_SPACING_MS 10
/* A person's pause has no end that is known: who waits for it looks again so often. */
#define HEALTH_LOOK_MS (60 * 60 * 1000)
#define HEALTH_KINDS 16	      /* of calls: bits of enum api_call */

/* Why somebody must wait. */
struct provider_wait {
	int64_t until;	     /* Unix milliseconds: when to ask again */
	bool has_no_end;     /* nobody knows when it ends; until is but a time to look */
	const char *why;     /* one phrase without the time, fit for anybody (G8); until the provider is asked the next time */
};

enum health_state { HEALTH_OK, HEALTH_LIMITED, HEALTH_ILL, HEALTH_REFUSED, HEALTH_PAUSED };

/* What an answer changed, for the log: bits. */
enum health_news {
	HEALTH_NEWS_ILL = 1,
	HEALTH_NEWS_WELL = 2,
	HEALTH_NEWS_REFUSED = 4,
	HEALTH_NEWS_ACCEPTED = 8,
	HEALTH_NEWS_LIMITED = 16,
};

struct health {
	const struct config_provider *config;
	struct breaker breaker;
	struct {
		int64_t since; /* 0: it is not refused */
		int64_t until;
		int64_t strikes; /* in a row; they count on until a call of that kind succeeded */
		unsigned kind;
		char *why;
	} refusal;
	struct health_limit {
		int64_t since;	 /* the first 429 of those in a row; 0: there is none */
		int64_t until;
		int64_t wait_ms; /* that led there */
		int64_t strikes;
	} limits[HEALTH_KINDS];
	struct {
		int64_t since; /* 0: nobody paused it */
		int64_t by;    /* uid */
		char *why;     /* "paused by root: key rotation" */
	} pause;
	struct rate uploads, creates, lists;
	struct rate calls, failures; /* of the last hour, for people */
	bool is_probed;		     /* a probe is under way */
	int64_t first_at, next_at;   /* the line of those who wait for the provider as a whole */
	int64_t next_of_kind[HEALTH_KINDS]; /* and for calls of a kind */
	char words[128];	     /* of the last wait that was told */
};

/* config must outlive it, and may change. */
void health_init(struct health *health, const struct config_provider *config);
void health_release(struct health *health);

/* Whether a call may be made at now; ret_wait (may be NULL) is touched if not. */
bool health_may_call(struct health *health, enum api_call call, int64_t now, struct provider_wait *ret_wait);
/* How it does; ret_wait is filled in but for HEALTH_OK, *ret_since with when that began (0: not known). */
enum health_state health_state(struct health *health, int64_t now, struct provider_wait *ret_wait, int64_t *ret_since);
/*
 * When a step that may not call at now shall be looked at again: behind all who wait already. is_failed: it has just tried, and lets others
 * go first. now, if it may.
 */
int64_t health_line_up(struct health *health, enum api_call call, bool is_failed, int64_t now);

/*
 * A step that may make this call begins: what it counts against is taken at once. Returns whether it is the probe; then nobody else goes
 * until health_leave.
 */
bool health_enter(struct health *health, enum api_call call, int64_t now);
void health_leave(struct health *health, bool is_probe);

/* A call leaves, and how it ended: told by work/api of every call. Returns bits of enum health_news. */
void health_begun(struct health *health, enum api_call call, int64_t now);
unsigned health_told(struct health *health, const struct api_report *report, int64_t now, uint64_t random);

/* A person's pause since then; reason may be NULL. */
void health_pause(struct health *health, int64_t since, int64_t by, const char *reason);
/* Ends it, and all that keeps calls from being made but the rates. */
void health_resume(struct health *health);

/* "ok", "limited", ... */
const char *health_state_name(enum health_state state);
/* "upload", "create", ... */
const char *health_call_name(enum api_call call);

#endif
