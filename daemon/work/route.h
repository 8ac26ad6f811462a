/*
 * Where a job's requests for a model go: to the providers that its owner named, else to those of the model's route in the configuration,
 * else to the one that was the default when the job was submitted. They begin at the first of that list, and move on along it, never back.
 */
#ifndef BATCHD_WORK_ROUTE_H
#define BATCHD_WORK_ROUTE_H

#include <stdbool.h>
#include <stdint.h>

struct config;
struct job;
struct provider;
struct providers;

/* The list, as model/names has it; the caller frees. */
char *route_list(const struct config *config, const struct job *job, const char *model);

/* Whether what waits for a provider (NULL: it is not in the configuration any more) moves on at now, if there is where to. */
bool route_must_leave(struct provider *provider, int64_t now);

/*
 * Where requests begin at now: at the first of the list that need not be left; at the first of it where all must be. NULL: the
 * configuration has none of them.
 */
struct provider *route_first(struct providers *providers, const struct job *job, const char *model, int64_t now);
/* The one that comes next behind the provider called from, which may have gone from the list: then its first. NULL: there is none. */
struct provider *route_next(struct providers *providers, const struct job *job, const char *model, const char *from);
/* The same of those that can be sent to at now. */
struct provider *route_next_able(struct providers *providers, const struct job *job, const char *model, const char *from,
				 int64_t now);

#endif
