/* What each answer says of its provider, and whether it may be called then: answer by answer, without a world. */
#include "daemon/work/health.h"

#include <string.h>

#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/http.h"
#include "tests/unit/check.h"

#define NOW_MS INT64_C(1700000000000)
#define SECOND_MS INT64_C(1000)
#define MINUTE_MS (60 * SECOND_MS)
#define HOUR_MS (60 * MINUTE_MS)

static struct config_provider config;
static struct health health;

static void begin(void)
{
	config = (struct config_provider){
		.name = (char *)(uintptr_t) "azure-eu",
		.retry_first = 4 * SECOND_MS,
		.retry_longest = 15 * MINUTE_MS,
		.breaker = 3,
	};
	health_release(&health);
	health_init(&health, &config);
}

struct told {
	enum api_call call;
	enum http_transport transport;
	int status;
	const char *code;
	const char *object;
	const char *words;
	int64_t asked_ms; /* 0: nothing */
	bool is_elsewhere;
};

static unsigned tell(const struct told *told, int64_t now)
{
	const struct http_response head = { .transport = told->transport, .status = told->status };
	const struct api_answer answer = {
		.verdict = api_judge(told->call, (int)told->transport, told->status, told->code, told->words),
		.status = told->status,
		.retry_after_ms = told->asked_ms ? told->asked_ms : -1,
		.code = told->code,
		.words = told->words,
		.head = &head,
	};
	const struct api_report report = {
		.call = told->call,
		.object = told->object,
		.is_elsewhere = told->is_elsewhere,
		.answer = &answer,
	};

	health_begun(&health, told->call, now);
	return health_told(&health, &report, now, 0);
}

static unsigned tell_status(enum api_call call, int status, int64_t now)
{
	const struct told told = { .call = call, .status = status };

	return tell(&told, now);
}

static unsigned tell_cut(int64_t now)
{
	const struct told told = { .call = API_LIST, .transport = HTTP_CUT };

	return tell(&told, now);
}

static bool may(enum api_call call, int64_t now)
{
	return health_may_call(&health, call, now, NULL);
}

static bool waits_for(enum api_call call, int64_t now, const char *why, int64_t until)
{
	struct provider_wait wait;

	if (health_may_call(&health, call, now, &wait))
		return false;
	if (strcmp(wait.why, why) == 0 && (!until || wait.until == until))
		return true;
	(void)fprintf(stderr, "# waits for %s, %lld ms\n", wait.why, (long long)(wait.until - now));
	return false;
}

/* --- each answer alone --- */

/* clang-format off */
static const struct {
	const char *name;
	struct told told;
	char sign; /* w it is well, f it failed, l limited, r refused, - nothing is said */
} signs[] = {
	{ "done",             { .call = API_RETRIEVE, .status = 200 }, 'w' },
	{ "a rest",           { .call = API_CONTENT_REST, .status = 206 }, 'w' },
	{ "not found",        { .call = API_RETRIEVE, .status = 404 }, 'w' },
	{ "refused for good", { .call = API_CREATE, .status = 400, .code = "invalid_value" }, 'w' },
	{ "queue full",       { .call = API_CREATE, .status = 429, .code = "token_limit_exceeded" }, 'w' },
	{ "no such call",     { .call = API_RETRIEVE, .status = 501 }, 'w' },
	{ "no connection",    { .call = API_UPLOAD, .transport = HTTP_NOT_SENT }, 'f' },
	{ "no answer",        { .call = API_CREATE, .transport = HTTP_CUT }, 'f' },
	{ "cut",              { .call = API_CONTENT, .transport = HTTP_CUT, .status = 200 }, 'f' },
	{ "ended by us",      { .call = API_CONTENT, .transport = HTTP_ABORTED, .status = 200 }, '-' },
	{ "500",              { .call = API_RETRIEVE, .status = 500, .words = "HTTP 500: sorry" }, 'f' },
	{ "502 to a create",  { .call = API_CREATE, .status = 502 }, 'f' },
	{ "503",              { .call = API_LIST, .status = 503, .asked_ms = 1000 }, 'f' },
	{ "599",              { .call = API_LIST, .status = 599 }, 'f' },
	{ "500 of a batch",   { .call = API_RETRIEVE, .status = 500, .object = "batch_7", .words = "cannot load batch_7" }, 'w' },
	{ "500, not found",   { .call = API_CONTENT, .status = 500, .object = "file-7", .code = "file_not_found" }, 'w' },
	{ "500 of another",   { .call = API_RETRIEVE, .status = 500, .object = "batch_7", .words = "cannot load batch_8" }, 'f' },
	{ "time-out there",   { .call = API_RETRIEVE, .status = 408 }, '-' },
	{ "too early",        { .call = API_RETRIEVE, .status = 425 }, '-' },
	{ "some gateway",     { .call = API_RETRIEVE, .status = 499 }, '-' },
	{ "not ready",        { .call = API_CONTENT, .status = 202 }, '-' },
	{ "429",              { .call = API_RETRIEVE, .status = 429 }, 'l' },
	{ "429 of a create",  { .call = API_CREATE, .status = 429, .code = "rate_limit_exceeded" }, 'l' },
	{ "429, deleting",    { .call = API_DELETE, .status = 429 }, 'l' },
	{ "401",              { .call = API_RETRIEVE, .status = 401 }, 'r' },
	{ "402",              { .call = API_UPLOAD, .status = 402 }, 'r' },
	{ "403",              { .call = API_CONTENT, .status = 403 }, 'r' },
	{ "407",              { .call = API_LIST, .status = 407 }, 'r' },
	{ "quota",            { .call = API_CREATE, .status = 429, .code = "insufficient_quota" }, 'r' },
	{ "billing",          { .call = API_CREATE, .status = 400, .code = "billing_hard_limit_reached" }, 'r' },
	{ "moved",            { .call = API_RETRIEVE, .status = 301 }, 'r' },
	{ "no such address",  { .call = API_UPLOAD, .status = 404 }, 'r' },
	{ "elsewhere: 500",   { .call = API_CONTENT, .status = 500, .is_elsewhere = true }, '-' },
	{ "elsewhere: gone",  { .call = API_CONTENT, .transport = HTTP_NOT_SENT, .is_elsewhere = true }, '-' },
	{ "deleting: 500",    { .call = API_DELETE, .status = 500 }, '-' },
	{ "deleting: 403",    { .call = API_DELETE, .status = 403 }, '-' },
	{ "files: no answer", { .call = API_FILES, .transport = HTTP_CUT }, '-' },
	{ "files: 401",       { .call = API_FILES, .status = 401 }, '-' },
	{ "files: done",      { .call = API_FILES, .status = 200 }, 'w' },
};
/* clang-format on */

/* The one failure that opens is brought about by another one of the same kind before and after, with none or this answer in between. */
static char read_sign(const struct told *told)
{
	unsigned news;
	int64_t failures;

	begin();
	(void)tell_cut(NOW_MS);
	(void)tell_cut(NOW_MS);
	failures = rate_count(&health.failures, NOW_MS);
	news = tell(told, NOW_MS);
	CU_ASSERT_EQUAL(rate_count(&health.calls, NOW_MS), 3);
	failures = rate_count(&health.failures, NOW_MS) - failures;
	if (news & HEALTH_NEWS_LIMITED)
		return failures ? 'l' : '?';
	if (news & HEALTH_NEWS_REFUSED)
		return failures ? 'r' : '?';
	if (news & HEALTH_NEWS_ILL)
		return failures ? 'f' : '?';
	if (failures)
		return '?';
	return tell_cut(NOW_MS) & HEALTH_NEWS_ILL ? '-' : 'w';
}

static void every_answer_says_what_it_says(void)
{
	for (size_t i = 0; i < ARRAY_SIZE(signs); i++)
		CHECK_ROW(signs[i].name, read_sign(&signs[i].told) == signs[i].sign);
}

/* --- ill --- */

static void one_probe_at_a_time_finds_out(void)
{
	int64_t until;

	begin();
	for (int i = 0; i < 3; i++)
		(void)tell_cut(NOW_MS);
	until = health.breaker.until;
	CU_ASSERT(waits_for(API_CREATE, NOW_MS, "calls to azure-eu fail (3 in a row)", until));
	CU_ASSERT(may(API_CREATE, until));
	CU_ASSERT(health_enter(&health, API_CREATE, until));
	CU_ASSERT(waits_for(API_RETRIEVE, until, "calls to azure-eu fail (3 in a row)", until + SECOND_MS));
	/* Who went ahead before knows of nothing. */
	health_leave(&health, false);
	CU_ASSERT(!may(API_RETRIEVE, until));
	/* It came to nothing at all: another one goes. */
	health_leave(&health, true);
	CU_ASSERT(may(API_RETRIEVE, until));
	CU_ASSERT(health_enter(&health, API_RETRIEVE, until));
	CU_ASSERT_EQUAL(tell_status(API_RETRIEVE, 503, until), 0);
	health_leave(&health, true);
	CU_ASSERT(waits_for(API_RETRIEVE, until, "calls to azure-eu fail (4 in a row)", health.breaker.until));
	until = health.breaker.until;
	CU_ASSERT(health_enter(&health, API_RETRIEVE, until));
	CU_ASSERT_EQUAL(tell_status(API_RETRIEVE, 404, until), HEALTH_NEWS_WELL);
	health_leave(&health, true);
	CU_ASSERT(may(API_CREATE, until));
	CU_ASSERT(!health_enter(&health, API_CREATE, until));
}

static void a_call_from_before_may_tell_that_it_is_back(void)
{
	begin();
	for (int i = 0; i < 3; i++)
		(void)tell_cut(NOW_MS);
	CU_ASSERT_EQUAL(tell_status(API_CONTENT, 200, NOW_MS + 1), HEALTH_NEWS_WELL);
	CU_ASSERT(may(API_CREATE, NOW_MS + 1));
}

/* --- refused --- */

static void a_refused_account_is_tried_ever_more_rarely(void)
{
	static const int64_t minutes[] = { 5, 10, 20, 40, 60, 60, 60 };
	int64_t now = NOW_MS;

	begin();
	for (size_t i = 0; i < ARRAY_SIZE(minutes); i++) {
		const struct told told = { .call = API_CREATE, .status = 401, .code = "invalid_api_key" };

		CU_ASSERT_EQUAL(tell(&told, now), i ? 0 : HEALTH_NEWS_REFUSED);
		/* Those that were asked with it change nothing; nor do answers to what was asked before. */
		CU_ASSERT_EQUAL(tell(&told, now + 1), 0);
		CU_ASSERT_EQUAL(tell_status(API_RETRIEVE, 200, now + 2), 0);
		CU_ASSERT(waits_for(API_LIST, now + 3, "refused: HTTP 401 invalid_api_key", now + minutes[i] * MINUTE_MS));
		now += minutes[i] * MINUTE_MS;
		CU_ASSERT(may(API_LIST, now));
		health_leave(&health, health_enter(&health, API_CREATE, now));
	}
	CU_ASSERT_EQUAL(tell_status(API_CREATE, 200, now + HOUR_MS), HEALTH_NEWS_ACCEPTED);
	(void)tell_status(API_CREATE, 403, now + HOUR_MS);
	CU_ASSERT(waits_for(API_LIST, now + HOUR_MS, "refused: HTTP 403", now + HOUR_MS + 5 * MINUTE_MS));
}

/* Other calls are let through: that does not make it more patient with the one that is not. */
static void a_refusal_of_one_kind_of_call_still_grows(void)
{
	begin();
	(void)tell_status(API_CREATE, 403, NOW_MS);
	CU_ASSERT_EQUAL(tell_status(API_RETRIEVE, 200, NOW_MS + 5 * MINUTE_MS), HEALTH_NEWS_ACCEPTED);
	CU_ASSERT_EQUAL(tell_status(API_CREATE, 403, NOW_MS + 6 * MINUTE_MS), HEALTH_NEWS_REFUSED);
	CU_ASSERT(waits_for(API_LIST, NOW_MS + 6 * MINUTE_MS, "refused: HTTP 403", NOW_MS + 16 * MINUTE_MS));
}

static void an_address_is_doubted_without_its_words(void)
{
	const struct told told = { .call = API_RETRIEVE, .status = 308, .words = "base_url moved to http://user:key@h/" };

	begin();
	(void)tell(&told, NOW_MS);
	CU_ASSERT(waits_for(API_LIST, NOW_MS, "refused: HTTP 308 (is base_url right?)", 0));
}

/* --- limited --- */

static void a_limit_holds_for_calls_of_its_kind(void)
{
	struct told told = { .call = API_CREATE, .status = 429, .asked_ms = 90 * SECOND_MS };

	begin();
	CU_ASSERT_EQUAL(tell(&told, NOW_MS), HEALTH_NEWS_LIMITED);
	CU_ASSERT(waits_for(API_CREATE, NOW_MS, "429 from azure-eu", NOW_MS + 90 * SECOND_MS));
	CU_ASSERT(may(API_RETRIEVE, NOW_MS) && may(API_LIST, NOW_MS) && may(API_UPLOAD, NOW_MS));
	/* A shorter wish that comes behind it does not shorten it, a longer one counts. */
	told.asked_ms = SECOND_MS;
	CU_ASSERT_EQUAL(tell(&told, NOW_MS + 1), 0);
	CU_ASSERT(waits_for(API_CREATE, NOW_MS + 1, "429 from azure-eu", NOW_MS + 90 * SECOND_MS));
	told.asked_ms = 24 * HOUR_MS;
	CU_ASSERT_EQUAL(tell(&told, NOW_MS + 2), 0);
	CU_ASSERT(waits_for(API_CREATE, NOW_MS + 2, "429 from azure-eu", NOW_MS + 2 + 24 * HOUR_MS));
	CU_ASSERT(may(API_CREATE, NOW_MS + 2 + 24 * HOUR_MS));
	/* The clock is set back by a year. */
	CU_ASSERT(!may(API_CREATE, NOW_MS - 365 * 24 * HOUR_MS));
	CU_ASSERT(may(API_CREATE, NOW_MS - 364 * 24 * HOUR_MS));
}

static void the_rest_of_a_content_waits_with_it(void)
{
	begin();
	(void)tell_status(API_CONTENT_REST, 429, NOW_MS);
	CU_ASSERT(!may(API_CONTENT, NOW_MS) && !may(API_CONTENT_REST, NOW_MS) && may(API_RETRIEVE, NOW_MS));
}

/* Without a wish of the server's, and after an answer that was let through from the start again. */
static void a_limit_without_a_wish_grows(void)
{
	int64_t now = NOW_MS, waited = 0;

	begin();
	for (int i = 0; i < 12; i++) {
		CU_ASSERT_EQUAL(tell_status(API_RETRIEVE, 429, now), i ? 0 : HEALTH_NEWS_LIMITED);
		CU_ASSERT(health.limits[2].until - now >= waited);
		waited = health.limits[2].until - now;
		(void)tell_status(API_RETRIEVE, 429, now + 1);
		CU_ASSERT_EQUAL(health.limits[2].until - now, waited);
		/* One that was asked before all this. */
		(void)tell_status(API_RETRIEVE, 200, now + 1);
		CU_ASSERT(!may(API_RETRIEVE, now + 1));
		now += waited;
	}
	CU_ASSERT(waited >= config.retry_longest / 2 && waited <= config.retry_longest);
	(void)tell_status(API_RETRIEVE, 200, now);
	CU_ASSERT_EQUAL(tell_status(API_RETRIEVE, 429, now), HEALTH_NEWS_LIMITED);
	CU_ASSERT(health.limits[2].until - now <= config.retry_first);
}

static void the_rates_of_the_config_hold(void)
{
	begin();
	config.batches_per_hour = 2000;
	config.uploads_per_minute = 2;
	config.lists_per_minute = 1;
	for (int i = 0; i < 2000; i++) {
		CU_ASSERT(may(API_CREATE, NOW_MS));
		CU_ASSERT(!health_enter(&health, API_CREATE, NOW_MS));
	}
	CU_ASSERT(waits_for(API_CREATE, NOW_MS, "batches an hour: 2,000 of 2,000", 0));
	CU_ASSERT(may(API_UPLOAD, NOW_MS) && may(API_LIST, NOW_MS) && may(API_RETRIEVE, NOW_MS));
	(void)health_enter(&health, API_UPLOAD, NOW_MS);
	(void)health_enter(&health, API_UPLOAD, NOW_MS);
	CU_ASSERT(waits_for(API_UPLOAD, NOW_MS, "uploads a minute: 2 of 2", 0));
	CU_ASSERT(!may(API_UPLOAD, NOW_MS + 59 * SECOND_MS) && may(API_UPLOAD, NOW_MS + 62 * SECOND_MS));
	/* Every page is a call. */
	health_begun(&health, API_LIST, NOW_MS);
	health_begun(&health, API_LIST, NOW_MS);
	CU_ASSERT(waits_for(API_LIST, NOW_MS, "lists a minute: 2 of 1", 0));
	CU_ASSERT(may(API_FILES, NOW_MS));
	config.batches_per_hour = 0;
	CU_ASSERT(may(API_CREATE, NOW_MS));
}

/* --- a person's word --- */

static void a_person_goes_before_all(void)
{
	struct provider_wait wait;

	begin();
	health_pause(&health, NOW_MS, 0, "key rotation");
	CU_ASSERT(waits_for(API_RETRIEVE, NOW_MS, "paused by root: key rotation", NOW_MS + HEALTH_LOOK_MS));
	CU_ASSERT(!health_may_call(&health, API_RETRIEVE, NOW_MS + 365 * 24 * HOUR_MS, &wait) && wait.has_no_end);
	(void)tell_status(API_RETRIEVE, 401, NOW_MS);
	(void)tell_status(API_RETRIEVE, 200, NOW_MS + HOUR_MS);
	CU_ASSERT(waits_for(API_RETRIEVE, NOW_MS + HOUR_MS, "paused by root: key rotation", 0));
	health_pause(&health, NOW_MS, 1000, NULL);
	CU_ASSERT(waits_for(API_RETRIEVE, NOW_MS, "paused by user 1000", 0));
	health_resume(&health);
	CU_ASSERT(may(API_RETRIEVE, NOW_MS));
}

static void a_word_ends_every_wait_but_the_rates(void)
{
	const struct told told = { .call = API_CREATE, .status = 429, .asked_ms = HOUR_MS };
	const struct told refused = { .call = API_UPLOAD, .status = 402 };

	begin();
	config.lists_per_minute = 1;
	for (int i = 0; i < 3; i++)
		(void)tell_cut(NOW_MS);
	(void)tell(&told, NOW_MS);
	(void)tell(&refused, NOW_MS);
	health_pause(&health, NOW_MS, 0, NULL);
	CU_ASSERT(!may(API_CREATE, NOW_MS));
	health_resume(&health);
	CU_ASSERT(may(API_CREATE, NOW_MS) && may(API_UPLOAD, NOW_MS) && !may(API_LIST, NOW_MS));
	CU_ASSERT(!health_enter(&health, API_CREATE, NOW_MS));
}

/* --- how it does, for people --- */

static void tells_the_gravest(void)
{
	const struct told told = { .call = API_CREATE, .status = 429, .asked_ms = HOUR_MS };
	struct provider_wait wait;
	int64_t since;

	begin();
	CU_ASSERT_EQUAL(health_state(&health, NOW_MS, &wait, &since), HEALTH_OK);
	(void)tell_status(API_RETRIEVE, 429, NOW_MS);
	(void)tell(&told, NOW_MS + 5);
	CU_ASSERT_EQUAL(health_state(&health, NOW_MS + 5, &wait, &since), HEALTH_LIMITED);
	CU_ASSERT_STRING_EQUAL(wait.why, "429 from azure-eu (create)");
	CU_ASSERT(since == NOW_MS + 5 && wait.until == NOW_MS + 5 + HOUR_MS);
	for (int i = 0; i < 3; i++)
		(void)tell_cut(NOW_MS + 6);
	CU_ASSERT_EQUAL(health_state(&health, NOW_MS + 6, &wait, &since), HEALTH_ILL);
	CU_ASSERT_STRING_EQUAL(wait.why, "calls to azure-eu fail (3 in a row)");
	CU_ASSERT_EQUAL(since, NOW_MS + 6);
	(void)tell_status(API_UPLOAD, 403, NOW_MS + 7);
	CU_ASSERT_EQUAL(health_state(&health, NOW_MS + 7, &wait, &since), HEALTH_REFUSED);
	health_pause(&health, NOW_MS + 8, 0, NULL);
	CU_ASSERT_EQUAL(health_state(&health, NOW_MS + 8, &wait, &since), HEALTH_PAUSED);
	CU_ASSERT(wait.has_no_end && since == NOW_MS + 8);
	health_resume(&health);
	config.batches_per_hour = 1;
	(void)health_enter(&health, API_CREATE, NOW_MS);
	CU_ASSERT_EQUAL(health_state(&health, NOW_MS + 9, &wait, &since), HEALTH_LIMITED);
	CU_ASSERT_STRING_EQUAL(wait.why, "batches an hour: 1 of 1");
	CU_ASSERT_EQUAL(rate_count(&health.failures, NOW_MS + 9), 6);
}

/* --- the line --- */

static void a_thousand_line_up_one_behind_the_other(void)
{
	int64_t until, before;

	begin();
	for (int i = 0; i < 3; i++)
		(void)tell_cut(NOW_MS);
	until = health.breaker.until;
	/* Who failed lets others go first. */
	CU_ASSERT(health_line_up(&health, API_CREATE, true, NOW_MS) > until);
	CU_ASSERT_EQUAL(health_line_up(&health, API_RETRIEVE, false, NOW_MS), until);
	before = until;
	for (int i = 0; i < 1000; i++) {
		int64_t at = health_line_up(&health, API_RETRIEVE, false, NOW_MS + i % 7);

		CU_ASSERT(at >= before + (i ? HEALTH_SPACING_MS : SECOND_MS));
		before = at;
	}
	CU_ASSERT(before <= until + 20 * SECOND_MS);
	(void)tell_status(API_RETRIEVE, 200, until);
	CU_ASSERT_EQUAL(health_line_up(&health, API_RETRIEVE, false, until), until);
}

static void those_of_a_kind_line_up_by_themselves(void)
{
	const struct told told = { .call = API_CREATE, .status = 429, .asked_ms = MINUTE_MS };

	begin();
	(void)tell(&told, NOW_MS);
	for (int i = 0; i < 1000; i++)
		CU_ASSERT_EQUAL(health_line_up(&health, API_CREATE, i % 2 == 0, NOW_MS),
				NOW_MS + MINUTE_MS + i * HEALTH_SPACING_MS);
	CU_ASSERT_EQUAL(health_line_up(&health, API_RETRIEVE, false, NOW_MS), NOW_MS);
}

/* A probe that hangs: who waits for it comes again ever more rarely, the more they are. */
static void waiting_for_a_probe_costs_little(void)
{
	int64_t due[500], looks = 0, now;

	begin();
	for (int i = 0; i < 3; i++)
		(void)tell_cut(NOW_MS);
	now = health.breaker.until;
	CU_ASSERT(health_enter(&health, API_UPLOAD, now));
	for (size_t i = 0; i < ARRAY_SIZE(due); i++)
		due[i] = now;
	for (int64_t end = now + MINUTE_MS; now < end; now++)
		for (size_t i = 0; i < ARRAY_SIZE(due); i++)
			if (due[i] <= now) {
				due[i] = health_line_up(&health, API_RETRIEVE, false, now);
				CU_ASSERT(due[i] > now);
				looks++;
			}
	CU_ASSERT(looks < 500 + MINUTE_MS / HEALTH_SPACING_MS + 100);
	health_leave(&health, true);
}

static void release(void)
{
	health_release(&health);
	health = (struct health){ 0 };
}

CHECK_MAIN("health", CHECK(every_answer_says_what_it_says), CHECK(one_probe_at_a_time_finds_out),
	   CHECK(a_call_from_before_may_tell_that_it_is_back), CHECK(a_refused_account_is_tried_ever_more_rarely),
	   CHECK(a_refusal_of_one_kind_of_call_still_grows), CHECK(an_address_is_doubted_without_its_words),
	   CHECK(a_limit_holds_for_calls_of_its_kind), CHECK(the_rest_of_a_content_waits_with_it),
	   CHECK(a_limit_without_a_wish_grows), CHECK(the_rates_of_the_config_hold),
	   CHECK(a_person_goes_before_all), CHECK(a_word_ends_every_wait_but_the_rates), CHECK(tells_the_gravest),
	   CHECK(a_thousand_line_up_one_behind_the_other), CHECK(those_of_a_kind_line_up_by_themselves),
	   CHECK(waiting_for_a_probe_costs_little), CHECK(release))
