/*
 * The providers of the config, with what is known of each while we run: its key, whether it is
 * paused and why, and how many transfers are under way.
 */
#ifndef BATCHD_WORK_PROVIDER_H
#define BATCHD_WORK_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct api;
struct config;
struct config_provider;
struct error;
struct http;
struct load_limits;
struct loop;
struct note;
struct providers;

/* How long a paused provider is left alone before one step is tried again: a key may have been mended. */
#define PROVIDER_PAUSE_MS (5 * 60 * 1000)

struct provider {
	const struct config_provider *config;
	struct api *api;
	int64_t paused_until; /* Unix milliseconds; 0: not paused */
	char *paused_why;     /* for people: code and status alone, never the provider's words (G8) */
	int64_t transfers;    /* uploads and downloads under way */
};

/* Reads every key; config and http must outlive it. The error names the provider whose key cannot be read. */
int providers_new(struct loop *loop, struct http *http, const struct config *config,
		  struct providers **ret_providers, struct error *err);
void providers_free(struct providers *providers);
/* Of what is done for calls that begin from here on: see api_set_note. */
void providers_set_note(struct providers *providers, struct note *note);

/* The provider called name; NULL when the config has none of that name (any more). */
struct provider *providers_find(struct providers *providers, const char *name);
/* The i-th, in the order of the config; NULL after the last. The first is the default. */
struct provider *providers_at(struct providers *providers, size_t index);

/* What one of its batches of a model may hold (NULL: of any); without a provider: the official one's limits. */
void provider_limits(const struct provider *provider, const char *model, struct load_limits *ret_limits);

/* Leaves it alone until then. why is copied. */
void provider_pause(struct provider *provider, int64_t until, const char *why);
/* Whether it is paused at now; a pause that is over is forgotten. */
bool provider_is_paused(struct provider *provider, int64_t now);

#endif
