#include "daemon/work/provider.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/base/log.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/io/store.h"
#include "daemon/model/dialect.h"
#include "daemon/model/load.h"
#include "daemon/work/api.h"

struct providers {
	const struct config *config;
	struct provider *list;
	size_t count;
};

static int64_t now_of(void *context)
{
	return loop_now_ms(context);
}

static void forget_key(char **key)
{
	if (*key)
		explicit_bzero(*key, strlen(*key));
	free(*key);
}

/* --- what its answers tell --- */

static void log_illness(struct provider *provider, const struct api_report *report, int64_t now)
{
	struct provider_wait wait = { .until = now };
	int64_t since;

	(void)health_state(&provider->health, now, &wait, &since);
	log_warning("the provider is ill, its calls wait", log_text("PROVIDER", provider->config->name),
		    log_number("HTTP_STATUS", report->answer->status),
		    log_number("COUNT", provider->health.breaker.failures), log_number("IN_MS", wait.until - now));
}

/* The journal and other users see code and status; the owner's history has the words. */
static void log_refusal(struct provider *provider, const struct api_report *report)
{
	log_error("the provider refuses us, it is paused", log_text("PROVIDER", provider->config->name),
		  log_number("HTTP_STATUS", report->answer->status), log_text("CODE", report->answer->code),
		  log_text("REQUEST_ID", report->answer->request_id));
}

static void log_limit(struct provider *provider, const struct api_report *report, int64_t now)
{
	struct provider_wait wait = { .until = now };

	(void)health_may_call(&provider->health, report->call, now, &wait);
	log_notice("the provider limits its calls, those of one kind wait", log_text("PROVIDER", provider->config->name),
		   log_text("CALL", health_call_name(report->call)), log_number("IN_MS", wait.until - now));
}

static void on_told(const struct api_report *report, void *context)
{
	struct provider *provider = context;
	int64_t now = loop_now_ms(provider->loop);
	unsigned news = health_told(&provider->health, report, now, loop_random(provider->loop));

	if (news & HEALTH_NEWS_WELL)
		log_notice("the provider answers again", log_text("PROVIDER", provider->config->name));
	if (news & HEALTH_NEWS_ACCEPTED)
		log_notice("the provider does not refuse us any more", log_text("PROVIDER", provider->config->name));
	if (news & HEALTH_NEWS_ILL)
		log_illness(provider, report, now);
	if (news & HEALTH_NEWS_REFUSED)
		log_refusal(provider, report);
	if (news & HEALTH_NEWS_LIMITED)
		log_limit(provider, report, now);
}

static void on_begun(enum api_call call, void *context)
{
	struct provider *provider = context;

	health_begun(&provider->health, call, loop_now_ms(provider->loop));
}

/* --- what the store knows --- */

static void note_created(int64_t at, int64_t count, void *context)
{
	struct provider *provider = context;

	rate_add(&provider->health.creates, at, count, loop_now_ms(provider->loop));
}

static void recall_pause(struct provider *provider)
{
	auto_store_pause pause = { 0 };

	if (store_pause_get(provider->store, provider->config->name, &pause) == 0)
		health_pause(&provider->health, pause.since, pause.by, pause.why);
}

static void on_paused(int result, void *context)
{
	struct provider *provider = context;

	if (result) {
		/* The disk knows better. */
		health_resume(&provider->health);
		recall_pause(provider);
		return;
	}
	log_notice("the provider was paused by a person", log_text("PROVIDER", provider->config->name),
		   log_number("USER", provider->changed_by), log_text("WHY", provider->health.pause.why));
}

static void on_resumed(int result, void *context)
{
	struct provider *provider = context;

	if (result)
		recall_pause(provider);
	else
		log_notice("the provider was resumed by a person", log_text("PROVIDER", provider->config->name),
			   log_number("USER", provider->changed_by));
}

static enum health_state state_of(struct provider *provider, int64_t now)
{
	struct provider_wait wait;
	int64_t since;

	return health_state(&provider->health, now, &wait, &since);
}

static int provider_init(struct provider *provider, struct loop *loop, struct http *http,
			 const struct config_provider *config, struct error *err)
{
	const struct api_watch watch = { .on_begun = on_begun, .on_told = on_told, .context = provider };
	__attribute__((cleanup(forget_key))) char *key = NULL;
	int r = config_read_key(config, &key, err);

	if (r)
		return r;
	provider->config = config;
	provider->loop = loop;
	health_init(&provider->health, config);
	provider->api = api_new(http, config, key, now_of, loop);
	api_set_watch(provider->api, &watch);
	return 0;
}

int providers_new(struct loop *loop, struct http *http, const struct config *config,
		  struct providers **ret_providers, struct error *err)
{
	struct providers *providers = xcalloc(1, sizeof(*providers));

	providers->config = config;
	providers->list = xcalloc(config->provider_count, sizeof(*providers->list));
	for (; providers->count < config->provider_count; providers->count++) {
		const struct config_provider *section = &config->providers[providers->count];
		int r = provider_init(&providers->list[providers->count], loop, http, section, err);

		if (r) {
			providers_free(providers);
			return r;
		}
	}
	*ret_providers = providers;
	return 0;
}

void providers_free(struct providers *providers)
{
	if (!providers)
		return;
	for (size_t i = 0; i < providers->count; i++) {
		api_free(providers->list[i].api);
		health_release(&providers->list[i].health);
	}
	free(providers->list);
	free(providers);
}

const struct config *providers_config(const struct providers *providers)
{
	return providers->config;
}

void providers_set_note(struct providers *providers, struct note *note)
{
	for (size_t i = 0; i < providers->count; i++)
		api_set_note(providers->list[i].api, note);
}

struct provider *providers_find(struct providers *providers, const char *name)
{
	for (size_t i = 0; i < providers->count; i++)
		if (strcmp(providers->list[i].config->name, name) == 0)
			return &providers->list[i];
	return NULL;
}

struct provider *providers_at(struct providers *providers, size_t index)
{
	return index < providers->count ? &providers->list[index] : NULL;
}

void providers_recall(struct providers *providers, struct store *store)
{
	for (size_t i = 0; i < providers->count; i++) {
		struct provider *provider = &providers->list[i];
		int64_t since = loop_now_ms(provider->loop) - RATE_HOUR_MS;

		provider->store = store;
		recall_pause(provider);
		if (provider->config->batches_per_hour)
			(void)store_created_since(store, provider->config->name, since, note_created, provider);
	}
}

bool provider_may_call(struct provider *provider, enum api_call call, int64_t now, struct provider_wait *ret_wait)
{
	return health_may_call(&provider->health, call, now, ret_wait);
}

bool provider_is_free(struct provider *provider, enum api_call call, int64_t now)
{
	return state_of(provider, now) <= HEALTH_LIMITED && health_may_call(&provider->health, call, now, NULL);
}

bool provider_enter(struct provider *provider, enum api_call call, int64_t now)
{
	return health_enter(&provider->health, call, now);
}

void provider_leave(struct provider *provider, bool is_probe)
{
	health_leave(&provider->health, is_probe);
}

int64_t provider_line_up(struct provider *provider, enum api_call call, bool is_failed, int64_t now)
{
	return health_line_up(&provider->health, call, is_failed, now);
}

bool provider_is_paused(struct provider *provider, int64_t now)
{
	return state_of(provider, now) >= HEALTH_REFUSED;
}

bool provider_is_ill(struct provider *provider, int64_t now)
{
	return state_of(provider, now) == HEALTH_ILL;
}

void provider_pause(struct provider *provider, int64_t by, const char *reason)
{
	int64_t now = loop_now_ms(provider->loop);
	const struct store_pause pause = { .since = now, .by = by, .why = (char *)(uintptr_t)reason };

	health_pause(&provider->health, now, by, reason);
	provider->changed_by = by;
	store_pause_set(provider->store, provider->config->name, &pause);
	store_after_commit(provider->store, on_paused, provider);
}

bool provider_resume(struct provider *provider, int64_t by)
{
	const struct store_pause over = { 0 };
	int64_t now = loop_now_ms(provider->loop);

	if (state_of(provider, now) == HEALTH_OK)
		return false;
	health_resume(&provider->health);
	provider->changed_by = by;
	store_pause_set(provider->store, provider->config->name, &over);
	store_provider_poke(provider->store, provider->config->name, now, HEALTH_SPACING_MS);
	store_after_commit(provider->store, on_resumed, provider);
	return true;
}

bool provider_is_unable(struct provider *provider, int64_t now, int64_t *ret_since)
{
	struct provider_wait wait;
	int64_t since = 0;

	if (health_state(&provider->health, now, &wait, &since) < HEALTH_ILL)
		return false;
	*ret_since = since && since < now ? since : now;
	return true;
}

static int64_t smaller_of(int64_t limit, int64_t other)
{
	return other && other < limit ? other : limit;
}

void provider_limits(const struct provider *provider, const char *model, struct load_limits *ret_limits)
{
	const struct config_provider *config = provider ? provider->config : NULL;
	const struct config_provider_model *own = config && model ? config_provider_model_find(config, model) : NULL;

	*ret_limits = (struct load_limits){
		.max_requests = config ? config->max_requests : LOAD_MAX_REQUESTS,
		.max_bytes = config ? config->max_bytes : LOAD_MAX_BYTES,
		.max_inputs = config ? config->max_inputs : LOAD_MAX_INPUTS,
		.max_tokens = config ? config->max_tokens : 0,
		.bytes_per_token = config ? config->bytes_per_token : LOAD_BYTES_PER_TOKEN,
		.growth = provider ? dialect_url_growth(api_terms(provider->api)->url_prefix) : 0,
	};
	if (config)
		ret_limits->max_requests = smaller_of(ret_limits->max_requests, config->max_enqueued_requests);
	if (!own)
		return;
	if (own->max_requests)
		ret_limits->max_requests = own->max_requests;
	if (own->max_bytes)
		ret_limits->max_bytes = own->max_bytes;
	if (own->bytes_per_token)
		ret_limits->bytes_per_token = own->bytes_per_token;
	ret_limits->max_requests = smaller_of(ret_limits->max_requests, own->max_enqueued_requests);
}
