/*
 * What a submit would come to: the batches that an input makes, their tokens and cost, and what
 * stands in its way. Nothing is sent, and what cannot be known is not guessed.
 */
#ifndef BATCHD_CLIENT_FORECAST_H
#define BATCHD_CLIENT_FORECAST_H

#include <stdint.h>

#include "client/survey.h"

struct error;
struct input;
struct json_object;
struct options;

struct forecast {
	/* Set by the caller, who keeps them; daemon is the object of GET /v1/daemon, NULL when
	 * there is none. */
	const struct options *options;
	const struct input *input;
	struct json_object *daemon;

	/* What is foretold, after forecast_make. */
	struct json_object *provider; /* of models without a route; of daemon, borrowed; NULL: not known */
	struct load_limits *limits;   /* of each of the daemon's providers, by number */
	struct survey survey;
	struct json_object *flaws; /* the first of them */
	const char *refusal;       /* why the submit would be refused; NULL: it would not */
	const char *delay;         /* why it would not be accepted now; NULL: it would; borrowed */
	int64_t disk_needed;       /* bytes, at least */
	int64_t disk_free;         /* -1: not known */
};

/* Reads the input. 0 or -errno as survey_run. forecast_release in any case. */
int forecast_make(struct forecast *forecast, struct error *err);
void forecast_release(struct forecast *forecast);

#define auto_forecast __attribute__((cleanup(forecast_release))) struct forecast

/* The provider that requests for a model would go to, borrowed; NULL: not known. */
struct json_object *forecast_provider(const struct forecast *forecast, const char *model);

/* On stdout: a text, or with -j one object. */
void forecast_show(const struct forecast *forecast);

/* The exit status that tells whether the submit would be accepted: EXIT_DONE, EXIT_INPUT or
 * EXIT_LATER. */
int forecast_status(const struct forecast *forecast);

#endif
