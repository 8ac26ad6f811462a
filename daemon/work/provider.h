/*
 * The providers of the config, with what is known of each while we run: its key, how it does (work/health), and how many transfers are
 * under way.
 */
#ifndef BATCHD_WORK_PROVIDER_H
#define BATCHD_WORK_PROVIDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/work/health.h"

struct api;
struct config;
struct config_provider;
struct error;
struct http;
struct load_limits;
struct loop;
struct note;
struct providers;
struct store;

struct provider {
	const struct config_provider *config;
	struct loop *loop;
	struct store *store; /* NULL until providers_recall */
	struct api *api;
	struct health health;
	int64_t transfers; /* uploads and downloads under way */
	int64_t uploads;   /* of these */
	int64_t changed_by; /* uid of whoever paused or resumed it last */
};

/* Reads every key; config and http must outlive it. The error names the provider whose key cannot be read. */
int providers_new(struct loop *loop, struct http *http, const struct config *config,
		  struct providers **ret_providers, struct error *err);
void providers_free(struct providers *providers);
/* Of what is done for calls that begin from here on: see api_set_note. */
void providers_set_note(struct providers *providers, struct note *note);
/* What the store knows of how they do: who was paused, and how many batches were created of late. store must outlive it. */
void providers_recall(struct providers *providers, struct store *store);

/* The provider called name; NULL when the config has none of that name (any more). */
struct provider *providers_find(struct providers *providers, const char *name);
/* The i-th, in the order of the config; NULL after the last. The first is the default. */
struct provider *providers_at(struct providers *providers, size_t index);

/* The config that they are of. */
const struct config *providers_config(const struct providers *providers);

/* What one of its batches of a model may hold (NULL: of any); without a provider: the official one's limits. */
void provider_limits(const struct provider *provider, const char *model, struct load_limits *ret_limits);

/*
 * Whether a call may be made at now; if not, ret_wait (may be NULL) says until when, and why. Where it is doubtful whether the provider
 * answers, true means that the caller may be the one who finds out: see provider_enter.
 */
bool provider_may_call(struct provider *provider, enum api_call call, int64_t now, struct provider_wait *ret_wait);
/* The same for a call that nobody waits for: it is no probe. */
bool provider_is_free(struct provider *provider, enum api_call call, int64_t now);
/* A step that may call begins, and ends; see health_enter. */
bool provider_enter(struct provider *provider, enum api_call call, int64_t now);
void provider_leave(struct provider *provider, bool is_probe);
/* When a step that must wait is looked at again; see health_line_up. */
int64_t provider_line_up(struct provider *provider, enum api_call call, bool is_failed, int64_t now);

/* Whether nothing is sent there until a person, or its account, lets us; whether its calls fail. */
bool provider_is_paused(struct provider *provider, int64_t now);
bool provider_is_ill(struct provider *provider, int64_t now);
/* Whether one of these is so at now, and since when. */
bool provider_is_unable(struct provider *provider, int64_t now, int64_t *ret_since);

/* A person's pause, on disk with this turn's commit; reason may be NULL. A second one takes the place of the first. */
void provider_pause(struct provider *provider, int64_t by, const char *reason);
/*
 * Ends that, and whatever else keeps calls from being made but the rates of the config: now, and what waits is due, one after the other.
 * Returns whether there was anything to end.
 */
bool provider_resume(struct provider *provider, int64_t by);

#endif
