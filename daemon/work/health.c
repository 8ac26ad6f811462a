#include "daemon/work/health.h"

#include <inttypes.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/hash.h"
#include "daemon/io/config.h"
#include "daemon/io/http.h"
#include "daemon/model/backoff.h"

/* Those who wait for a probe give it this time, or a first retry's, if that is shorter. */
#define GRACE_MS 1000
/* A line that is longer begins anew at its head. */
#define LONGEST_LINE_MS (5 * 60 * 1000)
/* Nobody waits for these. */
#define CALLS_ASIDE (API_FILES | API_DELETE)

#define IN_HEALTH(member) offsetof(struct health, member)
#define IN_CONFIG(member) offsetof(struct config_provider, member)

/* clang-format off */
static const char *const call_names[HEALTH_KINDS] = {
	"upload", "create", "retrieve", "list", "cancel", "content", "delete", "content", "files",
};

static const char *const state_names[] = {
	[HEALTH_OK]      = "ok",
	[HEALTH_LIMITED] = "limited",
	[HEALTH_ILL]     = "ill",
	[HEALTH_REFUSED] = "refused",
	[HEALTH_PAUSED]  = "paused",
};

/* What a provider's limits allow in a window, as its section of the configuration says. */
static const struct quota {
	enum api_call call;
	size_t rate;  /* member of struct health */
	size_t limit; /* member of struct config_provider */
	const char *words;
} quotas[] = {
	{ API_UPLOAD, IN_HEALTH(uploads), IN_CONFIG(uploads_per_minute), "uploads a minute" },
	{ API_CREATE, IN_HEALTH(creates), IN_CONFIG(batches_per_hour),   "batches an hour" },
	{ API_LIST,   IN_HEALTH(lists),   IN_CONFIG(lists_per_minute),   "lists a minute" },
};
/* clang-format on */

/* What an answer says of whoever gave it. */
enum health_sign {
	SIGN_NONE,
	SIGN_WELL,   /* it answers, if only to say that this or that is wrong */
	SIGN_FAILED,
	SIGN_LIMITED,
	SIGN_REFUSED,
};

/* The rest of a content is content. */
static unsigned kind_of(enum api_call call)
{
	return (unsigned)__builtin_ctz(call == API_CONTENT_REST ? API_CONTENT : call) % HEALTH_KINDS;
}

static struct breaker_limits breaker_limits(const struct health *health)
{
	const struct config_provider *config = health->config;

	return (struct breaker_limits){
		.most = config->breaker,
		.first_ms = config->retry_first,
		.longest_ms = config->retry_longest,
	};
}

static int64_t grace(const struct health *health)
{
	return health->config->retry_first < GRACE_MS ? health->config->retry_first : GRACE_MS;
}

static int64_t refusal_wait(int64_t strikes)
{
	int64_t wait_ms = HEALTH_REFUSED_MS;

	for (; strikes > 1 && wait_ms < HEALTH_REFUSED_LONGEST_MS; strikes--)
		wait_ms *= 2;
	return wait_ms < HEALTH_REFUSED_LONGEST_MS ? wait_ms : HEALTH_REFUSED_LONGEST_MS;
}

/* A time to wait for, which a clock that was set back would move further away than the wait ever was. */
static bool is_ahead(int64_t *until, int64_t wait_ms, int64_t now)
{
	if (*until > now + wait_ms)
		*until = now + wait_ms;
	return *until > now;
}

/* --- what keeps a call from being made --- */

static const char *sick_words(struct health *health)
{
	(void)snprintf(health->words, sizeof(health->words), "calls to %.64s fail (%" PRId64 " in a row)", health->config->name,
		       health->breaker.failures);
	return health->words;
}

static const char *limited_words(struct health *health)
{
	(void)snprintf(health->words, sizeof(health->words), "429 from %.64s", health->config->name);
	return health->words;
}

static void add_count(char *text, size_t size, int64_t count)
{
	char digits[24];
	int length = snprintf(digits, sizeof(digits), "%" PRId64, count);
	size_t used = strlen(text);

	for (int i = 0; i < length && used + 2 < size; i++) {
		if (i && (length - i) % 3 == 0)
			text[used++] = ',';
		text[used++] = digits[i];
	}
	text[used] = '\0';
}

static const char *quota_words(struct health *health, const struct quota *quota, int64_t done, int64_t limit)
{
	char counts[2][32] = { "", "" };

	add_count(counts[0], sizeof(counts[0]), done);
	add_count(counts[1], sizeof(counts[1]), limit);
	(void)snprintf(health->words, sizeof(health->words), "%s: %s of %s", quota->words, counts[0], counts[1]);
	return health->words;
}

static struct rate *quota_rate(struct health *health, const struct quota *quota)
{
	return (struct rate *)(void *)((char *)health + quota->rate);
}

static int64_t quota_limit(const struct health *health, const struct quota *quota)
{
	return *(const int64_t *)(const void *)((const char *)health->config + quota->limit);
}

static const struct quota *find_quota(enum api_call call)
{
	for (size_t i = 0; i < ARRAY_SIZE(quotas); i++)
		if (quotas[i].call == call)
			return &quotas[i];
	return NULL;
}

static bool must_wait_for_quota(struct health *health, const struct quota *quota, int64_t now,
				struct provider_wait *ret_wait)
{
	struct rate *rate = quota_rate(health, quota);
	int64_t limit = quota_limit(health, quota);
	int64_t until = rate_free_at(rate, limit, now);

	if (!until)
		return false;
	*ret_wait = (struct provider_wait){ .until = until,
					    .why = quota_words(health, quota, rate_count(rate, now), limit) };
	return true;
}

static bool must_wait_for_limit(struct health *health, unsigned kind, int64_t now, struct provider_wait *ret_wait)
{
	struct health_limit *limit = &health->limits[kind];

	if (!is_ahead(&limit->until, limit->wait_ms, now))
		return false;
	*ret_wait = (struct provider_wait){ .until = limit->until, .why = limited_words(health) };
	return true;
}

/* What holds of the provider as a whole. A time that has passed: a probe may go, or is on its way. */
static enum health_state whole_state(struct health *health, int64_t now, struct provider_wait *ret_wait)
{
	struct breaker_limits limits = breaker_limits(health);

	if (health->pause.since) {
		*ret_wait = (struct provider_wait){
			.until = now + HEALTH_LOOK_MS, .has_no_end = true, .why = health->pause.why
		};
		return HEALTH_PAUSED;
	}
	if (health->refusal.since) {
		(void)is_ahead(&health->refusal.until, HEALTH_REFUSED_LONGEST_MS, now);
		*ret_wait = (struct provider_wait){ .until = health->refusal.until, .why = health->refusal.why };
		return HEALTH_REFUSED;
	}
	if (breaker_is_open(&health->breaker)) {
		(void)breaker_may_ask(&health->breaker, &limits, now);
		*ret_wait = (struct provider_wait){ .until = health->breaker.until, .why = sick_words(health) };
		return HEALTH_ILL;
	}
	return HEALTH_OK;
}

/* Whether nobody may call, whatever for. */
static bool must_wait_at_all(struct health *health, int64_t now, struct provider_wait *ret_wait)
{
	struct provider_wait wait;

	if (whole_state(health, now, &wait) == HEALTH_OK || (wait.until <= now && !health->is_probed))
		return false;
	/* A probe is on its way. */
	if (wait.until <= now)
		wait.until = now + grace(health);
	if (ret_wait)
		*ret_wait = wait;
	return true;
}

bool health_may_call(struct health *health, enum api_call call, int64_t now, struct provider_wait *ret_wait)
{
	const struct quota *quota = find_quota(call);
	struct provider_wait ignored;

	if (!ret_wait)
		ret_wait = &ignored;
	return !must_wait_at_all(health, now, ret_wait) &&
	       !must_wait_for_limit(health, kind_of(call), now, ret_wait) &&
	       !(quota && must_wait_for_quota(health, quota, now, ret_wait));
}

/* --- how it does, for people --- */

static bool is_limited(struct health *health, int64_t now, struct provider_wait *ret_wait, int64_t *ret_since)
{
	const struct health_limit *longest = NULL;
	bool is_used_up = false;

	for (size_t i = 0; i < HEALTH_KINDS; i++) {
		struct health_limit *limit = &health->limits[i];

		if (is_ahead(&limit->until, limit->wait_ms, now) && (!longest || limit->until > longest->until))
			longest = limit;
	}
	if (longest) {
		(void)snprintf(health->words, sizeof(health->words), "429 from %.64s (%s)", health->config->name,
			       health_call_name((enum api_call)(1u << (longest - health->limits))));
		*ret_wait = (struct provider_wait){ .until = longest->until, .why = health->words };
		*ret_since = longest->since;
		return true;
	}
	for (size_t i = 0; !is_used_up && i < ARRAY_SIZE(quotas); i++)
		is_used_up = must_wait_for_quota(health, &quotas[i], now, ret_wait);
	return is_used_up;
}

/* In a time to come nothing has begun: the clock was set back, and it is so from now on. */
static int64_t since_of(int64_t *since, int64_t now)
{
	if (*since > now)
		*since = now;
	return *since;
}

enum health_state health_state(struct health *health, int64_t now, struct provider_wait *ret_wait, int64_t *ret_since)
{
	enum health_state state = whole_state(health, now, ret_wait);

	*ret_since = 0;
	if (state == HEALTH_PAUSED)
		*ret_since = since_of(&health->pause.since, now);
	else if (state == HEALTH_REFUSED)
		*ret_since = since_of(&health->refusal.since, now);
	else if (state == HEALTH_ILL)
		*ret_since = since_of(&health->breaker.since, now);
	else if (is_limited(health, now, ret_wait, ret_since))
		state = HEALTH_LIMITED;
	return state;
}

/* --- the line of those who wait --- */

/* The next place of a line, not before from. */
static int64_t take_place(int64_t *next, int64_t from)
{
	int64_t place = *next > from && *next <= from + LONGEST_LINE_MS ? *next : from;

	*next = place + HEALTH_SPACING_MS;
	return place;
}

int64_t health_line_up(struct health *health, enum api_call call, bool is_failed, int64_t now)
{
	struct provider_wait wait;
	bool is_probe_near;

	if (health_may_call(health, call, now, &wait))
		return now;
	if (!must_wait_at_all(health, now, NULL))
		return take_place(&health->next_of_kind[kind_of(call)], wait.until);
	/* The first in line is the probe, and the others come when it is through; but not who has failed just now. */
	is_probe_near = health->is_probed || wait.has_no_end;
	if (!is_probe_near && !is_failed && wait.until != health->first_at) {
		health->first_at = wait.until;
		return wait.until;
	}
	return take_place(&health->next_at, wait.until + grace(health));
}

/* --- what calls tell --- */

bool health_enter(struct health *health, enum api_call call, int64_t now)
{
	const struct quota *quota = find_quota(call);
	struct provider_wait wait;
	bool is_probe = !health->is_probed && whole_state(health, now, &wait) != HEALTH_OK;

	if (quota && call != API_LIST)
		rate_add(quota_rate(health, quota), now, 1, now);
	health->is_probed |= is_probe;
	return is_probe;
}

void health_leave(struct health *health, bool is_probe)
{
	if (is_probe)
		health->is_probed = false;
}

void health_begun(struct health *health, enum api_call call, int64_t now)
{
	rate_add(&health->calls, now, 1, now);
	/* A list has many pages: each is a call. Steps of the other kinds were counted when they began. */
	if (call == API_LIST)
		rate_add(&health->lists, now, 1, now);
}

/* A server error that speaks of the very thing that was asked for tells nothing of the server. */
static bool is_about_object(const struct api_report *report)
{
	const char *code = report->answer->code, *words = report->answer->words;
	size_t size = code ? strlen(code) : 0, end = strlen("not_found");

	return report->object && ((words && strstr(words, report->object)) ||
				  (size >= end && strcmp(code + size - end, "not_found") == 0));
}

static enum health_sign read_answer(const struct api_report *report)
{
	const struct api_answer *answer = report->answer;
	int status = answer->status;

	if (answer->verdict == API_PAUSE)
		return SIGN_REFUSED;
	if (status == 429 && answer->verdict == API_AGAIN)
		return SIGN_LIMITED;
	/* 501: it has no such call. */
	if (status >= 500 && status != 501 && !is_about_object(report))
		return SIGN_FAILED;
	/* Some gateway gave up; or the body is not what the API promises, whoever wrote it. */
	if (status == 408 || status == 425 || status == 499 || (status < 300 && answer->verdict != API_OK))
		return SIGN_NONE;
	return SIGN_WELL;
}

static enum health_sign read_report(const struct api_report *report)
{
	enum health_sign sign = SIGN_NONE;

	switch (report->answer->head->transport) {
	case HTTP_ANSWERED:
		sign = read_answer(report);
		break;
	case HTTP_NOT_SENT:
	case HTTP_CUT:
		sign = SIGN_FAILED;
		break;
	case HTTP_ABORTED:
		break;
	}
	if (sign == SIGN_FAILED && report->is_elsewhere)
		return SIGN_NONE;
	if ((sign == SIGN_FAILED || sign == SIGN_REFUSED) && (report->call & CALLS_ASIDE))
		return SIGN_NONE;
	return sign;
}

static void forget_line(struct health *health)
{
	health->first_at = 0;
	health->next_at = 0;
}

static unsigned note_answering(struct health *health)
{
	if (breaker_succeed(&health->breaker) != BREAKER_CLOSED)
		return 0;
	forget_line(health);
	return HEALTH_NEWS_WELL;
}

static unsigned note_well(struct health *health, const struct api_report *report, int64_t now)
{
	unsigned kind = kind_of(report->call), news = note_answering(health);
	struct health_limit *limit = &health->limits[kind];

	/* What was asked before tells nothing of what holds since. */
	if (health->refusal.since && health->refusal.until <= now && !(report->call & CALLS_ASIDE)) {
		health->refusal.since = 0;
		forget_line(health);
		news |= HEALTH_NEWS_ACCEPTED;
	}
	if (!health->refusal.since && health->refusal.kind == kind && report->answer->verdict == API_OK)
		health->refusal.strikes = 0;
	if (limit->until <= now)
		*limit = (struct health_limit){ 0 };
	return news;
}

static unsigned note_failure(struct health *health, const struct api_report *report, int64_t now, uint64_t random)
{
	struct breaker_limits limits = breaker_limits(health);
	uint64_t culprit = 0;

	/* Who was not reached was not asked about anything. */
	if (report->object && report->answer->head->transport != HTTP_NOT_SENT)
		culprit = hash_keyed(0, report->object, strlen(report->object)) | 1;
	return breaker_fail(&health->breaker, &limits, culprit, now, random) == BREAKER_OPENED ? HEALTH_NEWS_ILL : 0;
}

static unsigned note_limit(struct health *health, const struct api_report *report, int64_t now, uint64_t random)
{
	const struct config_provider *config = health->config;
	struct health_limit *limit = &health->limits[kind_of(report->call)];
	bool is_news = !limit->strikes;
	int64_t asked_ms = report->answer->retry_after_ms, wait_ms;

	/* Those that were asked together are one refusal; the longest wish counts. */
	if (limit->strikes && limit->until > now) {
		if (now + asked_ms <= limit->until)
			return 0;
	} else {
		limit->strikes++;
	}
	/* It may ask for a longer wait than our first one, not for a shorter one. */
	wait_ms = backoff_retry_ms(config->retry_first, config->retry_longest,
				   asked_ms < 0 ? (uint32_t)limit->strikes : 1, random);
	if (wait_ms < asked_ms)
		wait_ms = asked_ms;
	if (is_news)
		limit->since = now;
	limit->until = now + wait_ms;
	limit->wait_ms = wait_ms;
	return is_news ? HEALTH_NEWS_LIMITED : 0;
}

static char *refusal_words(const struct api_report *report)
{
	const struct api_answer *answer = report->answer;
	bool is_address = (answer->status >= 300 && answer->status < 400) || answer->status == 404 || answer->status == 405;

	return xasprintf("refused: HTTP %d%s%s%s", answer->status, answer->code ? " " : "",
			 answer->code ? answer->code : "", is_address ? " (is base_url right?)" : "");
}

static unsigned note_refusal(struct health *health, const struct api_report *report, int64_t now)
{
	bool is_news = !health->refusal.since;
	unsigned news = note_answering(health);

	if (!is_news && health->refusal.until > now)
		return news;
	if (is_news)
		health->refusal.since = now;
	health->refusal.strikes++;
	health->refusal.until = now + refusal_wait(health->refusal.strikes);
	health->refusal.kind = kind_of(report->call);
	free(health->refusal.why);
	health->refusal.why = refusal_words(report);
	return news | (is_news ? HEALTH_NEWS_REFUSED : 0);
}

unsigned health_told(struct health *health, const struct api_report *report, int64_t now, uint64_t random)
{
	enum health_sign sign = read_report(report);

	if (sign > SIGN_WELL)
		rate_add(&health->failures, now, 1, now);
	switch (sign) {
	case SIGN_NONE:
		break;
	case SIGN_WELL:
		return note_well(health, report, now);
	case SIGN_FAILED:
		return note_failure(health, report, now, random);
	case SIGN_LIMITED:
		return note_limit(health, report, now, random);
	case SIGN_REFUSED:
		return note_refusal(health, report, now);
	}
	return 0;
}

/* --- a person's word --- */

void health_pause(struct health *health, int64_t since, int64_t by, const char *reason)
{
	auto_free char *name = by ? xasprintf("user %" PRId64, by) : xstrdup("root");

	free(health->pause.why);
	health->pause.since = since;
	health->pause.by = by;
	health->pause.why = xasprintf("paused by %s%s%s", name, reason ? ": " : "", reason ? reason : "");
}

void health_resume(struct health *health)
{
	health->pause.since = 0;
	health->refusal.since = 0;
	health->refusal.strikes = 0;
	(void)breaker_succeed(&health->breaker);
	memset(health->limits, 0, sizeof(health->limits));
	memset(health->next_of_kind, 0, sizeof(health->next_of_kind));
	forget_line(health);
}

void health_init(struct health *health, const struct config_provider *config)
{
	*health = (struct health){ .config = config };
	rate_init(&health->uploads, RATE_MINUTE_MS);
	rate_init(&health->creates, RATE_HOUR_MS);
	rate_init(&health->lists, RATE_MINUTE_MS);
	rate_init(&health->calls, RATE_HOUR_MS);
	rate_init(&health->failures, RATE_HOUR_MS);
}

void health_release(struct health *health)
{
	free(health->refusal.why);
	free(health->pause.why);
}

const char *health_state_name(enum health_state state)
{
	return state_names[state];
}

const char *health_call_name(enum api_call call)
{
	const char *name = call_names[kind_of(call)];

	return name ? name : "call";
}
