/* What is legal in a configuration, but unwise. */
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/io/config.h"
#include "daemon/io/config_dialect.h"

static bool has_day_cost(const struct config *config)
{
	bool is_so = config->limits.max_cost_per_day > 0;

	for (size_t i = 0; i < config->user_count; i++)
		is_so |= config->users[i].limits.max_cost_per_day > 0;
	return is_so;
}

static bool is_plain_to_elsewhere(const struct config_provider *provider)
{
	static const char *const near[] = {"localhost", "127.0.0.1", "[::1]"};
	const char *host = provider->base_url + strlen("http://");

	if (strncmp(provider->base_url, "http://", strlen("http://")) != 0)
		return false;
	for (size_t i = 0; i < ARRAY_SIZE(near); i++)
		if (strncmp(host, near[i], strlen(near[i])) == 0 &&
		    strchr(":/", host[strlen(near[i])]))
			return false;
	return true;
}

void config_warn(const struct config *config,
		 void (*on_warning)(const char *sentence, void *context), void *context)
{
	if (config->max_connections_per_user > config->max_connections)
		on_warning("max_connections_per_user is above max_connections and limits nobody",
			   context);
	if (has_day_cost(config) && !config->model_count)
		on_warning("max_cost_per_day limits nothing, for there is no [model NAME] with a price", context);
	for (size_t i = 0; i < config->provider_count; i++) {
		const struct config_provider *provider = &config->providers[i];
		/* clang-format off */
		const struct {
			bool is_so;
			const char *sentence;
		} warnings[] = {
			{ provider->settle < 60000, "settle is below 1m; a batch that the provider's list shows late may be made twice" },
			{ provider->trust_list, "trust_list is on; a batch that the provider's list omits will be made twice" },
			{ is_plain_to_elsewhere(provider), "base_url is http; keys, prompts and answers cross the network in clear" },
		};
		/* clang-format on */

		for (size_t k = 0; k < ARRAY_SIZE(warnings); k++) {
			auto_free char *text =
				xasprintf("[provider %s] %s", provider->name, warnings[k].sentence);
			if (warnings[k].is_so)
				on_warning(text, context);
		}
		config_dialect_warn(provider, on_warning, context);
	}
}
