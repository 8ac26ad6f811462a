/*
 * Reads an input as batchd would, and says what it finds: wrong lines, requests by model and url,
 * how many batches they make, which of them are beyond a batch's limits by themselves. Nothing is
 * sent.
 */
#ifndef BATCHD_CLIENT_SURVEY_H
#define BATCHD_CLIENT_SURVEY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "daemon/model/load.h"

struct error;
struct input;

#define SURVEY_MAX_GROUPS 1000 /* pairs of model and url that a job may have */
#define SURVEY_FIRST      10   /* requests beyond a limit that are named */

/* How the lines are to be read: as the submit asks for it. */
struct survey_rules {
	bool is_wrapped;
	bool has_line_ids; /* so have wrapped lines */
	bool skips_invalid;
	const char *endpoint; /* of wrapped lines */
	const char *model;    /* of wrapped lines that name none; NULL: each must */
	struct load_limits limits;
	/* Where they differ from model to model: those of one, which live as long as the survey. NULL: they do not. */
	const struct load_limits *(*limits_of)(const char *model, void *context);
};

/* A model and url, decoded, and what would be sent to them. */
struct survey_group {
	char *model;
	const char *url;
	const struct load_limits *limits;
	int64_t batches;
	struct load all;
	struct load last; /* of the batch that is filled */
};

struct survey {
	struct survey_rules rules;
	/*
	 * Tells a flaw, by rising line; of groups that are too many and of repeated ids it is known
	 * at the end, and they come last. line 0: the input itself. Texts live during the call.
	 */
	void (*on_flaw)(int64_t line, const char *code, const char *param, const char *message,
			void *context);
	void *context;

	/* What was found, after survey_run. */
	int64_t lines;
	int64_t bytes;       /* plain */
	const char *packing; /* Content-Encoding; NULL: none */
	int64_t flaws;
	int64_t requests; /* without a flaw */
	struct survey_group *groups;
	size_t group_count;
	int64_t beyond;   /* requests of still more groups */
	int64_t excesses; /* requests that are beyond a limit by themselves, in no group's load */
	struct {
		int64_t line;
		enum load_excess excess;
		const struct load_limits *limits;
	} first_excesses[SURVEY_FIRST];

	struct survey_private *private;
};

/*
 * Reads the input to its end; rules, on_flaw and context are set, the rest is zero. 0, or -errno as
 * source_next. Where repeats of an id are left out, an input that can be read once alone is counted
 * with them. survey_release in any case.
 */
int survey_run(struct survey *survey, const struct input *input, struct error *err);
void survey_release(struct survey *survey);

#define auto_survey __attribute__((cleanup(survey_release))) struct survey

/* Why batchd would refuse the job once it has read the input, a constant phrase; NULL when it would
 * not. */
const char *survey_refusal(const struct survey *survey);

/* All groups together. */
struct load survey_total(const struct survey *survey, int64_t *ret_batches);

/* Fills in the official provider's limits. */
void survey_official_limits(struct load_limits *ret_limits);

#endif
