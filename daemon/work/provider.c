#include "daemon/work/provider.h"

#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"
#include "daemon/io/loop.h"
#include "daemon/model/load.h"
#include "daemon/work/api.h"

struct providers {
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

static int provider_init(struct provider *provider, struct loop *loop, struct http *http,
			 const struct config_provider *config, struct error *err)
{
	__attribute__((cleanup(forget_key))) char *key = NULL;
	int r = config_read_key(config, &key, err);

	if (r)
		return r;
	provider->config = config;
	provider->api = api_new(http, config, key, now_of, loop);
	return 0;
}

int providers_new(struct loop *loop, struct http *http, const struct config *config,
		  struct providers **ret_providers, struct error *err)
{
	struct providers *providers = xcalloc(1, sizeof(*providers));

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
		free(providers->list[i].paused_why);
	}
	free(providers->list);
	free(providers);
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

void provider_pause(struct provider *provider, int64_t until, const char *why)
{
	free(provider->paused_why);
	provider->paused_why = xstrdup(why);
	provider->paused_until = until;
}

bool provider_is_paused(struct provider *provider, int64_t now)
{
	if (provider->paused_until && provider->paused_until <= now) {
		provider->paused_until = 0;
		free(take(provider->paused_why));
	}
	/* No pause is longer: the clock was set back. */
	if (provider->paused_until > now + PROVIDER_PAUSE_MS)
		provider->paused_until = now + PROVIDER_PAUSE_MS;
	return provider->paused_until != 0;
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
