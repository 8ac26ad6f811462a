#include "daemon/work/route.h"

#include <stddef.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/model/job.h"
#include "daemon/model/names.h"
#include "daemon/work/provider.h"

char *route_list(const struct config *config, const struct job *job, const char *model)
{
	const struct config_route *route = job->providers ? NULL : config_route_find(config, model);

	return xstrdup(route ? route->providers : job->providers ? job->providers : job->provider);
}

bool route_must_leave(struct provider *provider, int64_t now)
{
	int64_t since;

	return !provider || (provider_is_unable(provider, now, &since) && now - since >= provider->config->move_after);
}

/* The next of a list that the configuration has. */
static struct provider *walk(struct providers *providers, struct names *names)
{
	struct provider *provider = NULL;

	while (!provider && names_next(names)) {
		auto_free char *name = names_copy(names);

		provider = providers_find(providers, name);
	}
	return provider;
}

struct provider *route_first(struct providers *providers, const struct job *job, const char *model, int64_t now)
{
	auto_free char *list = route_list(providers_config(providers), job, model);
	struct names names = { .rest = list };
	struct provider *first = walk(providers, &names);
	struct provider *provider = first;

	while (provider && route_must_leave(provider, now))
		provider = walk(providers, &names);
	return provider ? provider : first;
}

/* Puts the walk behind a name; where the list has none of that name, at its begin. */
static void skip_to(struct names *names, const char *name)
{
	if (!names_have(names->rest, name))
		return;
	while (names_next(names) && !names_is(names, name))
		;
}

struct provider *route_next(struct providers *providers, const struct job *job, const char *model, const char *from)
{
	auto_free char *list = route_list(providers_config(providers), job, model);
	struct names names = { .rest = list };

	skip_to(&names, from);
	return walk(providers, &names);
}

struct provider *route_next_able(struct providers *providers, const struct job *job, const char *model, const char *from,
				 int64_t now)
{
	auto_free char *list = route_list(providers_config(providers), job, model);
	struct names names = { .rest = list };
	struct provider *provider;
	int64_t since;

	skip_to(&names, from);
	provider = walk(providers, &names);
	while (provider && provider_is_unable(provider, now, &since))
		provider = walk(providers, &names);
	return provider;
}
