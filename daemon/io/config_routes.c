#include "daemon/io/config_routes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/base/alloc.h"
#include "daemon/base/cleanup.h"
#include "daemon/base/error.h"
#include "daemon/io/config.h"
#include "daemon/model/names.h"
#include "daemon/model/price.h"

#define BLANKS " \t\r"
#define KEY    "model."
#define FORM   "model.PATTERN = PROVIDER[, PROVIDER ...]"

/* A copy of size bytes without the blanks around them; the caller frees. */
static char *trim(const char *text, size_t size)
{
	size_t start = 0;

	while (start < size && strchr(BLANKS, text[start]))
		start++;
	while (size > start && strchr(BLANKS, text[size - 1]))
		size--;
	return xmemdup0(text + start, size - start);
}

int config_check_model(const char *name)
{
	size_t length = strlen(name);

	for (const char *letter = name; *letter; letter++)
		if (*letter <= ' ' || *letter > '~')
			return -EINVAL;
	return length > 0 && length <= CONFIG_MAX_MODEL ? 0 : -EINVAL;
}

/* The key of a line, and whether it may stand here. */
static int check_key(const struct config *config, const char *key, struct error *err)
{
	const char *pattern = key + strlen(KEY);

	if (strncmp(key, KEY, strlen(KEY)) != 0)
		return error_set(err, -EINVAL, "[routes]: unknown key \"%.150s\" (it takes " FORM ")", key);
	if (config_check_model(pattern) < 0)
		return error_set(err, -EINVAL,
				 "[routes] %.150s: a pattern has 1 to %d printable characters without blanks", key,
				 CONFIG_MAX_MODEL);
	for (size_t i = 0; i < config->route_count; i++)
		if (strcmp(config->routes[i].pattern, pattern) == 0)
			return error_set(err, -EINVAL, "[routes] %s: given twice (first at line %d)", key,
					 config->routes[i].line);
	if (config->route_count == CONFIG_MAX_ROUTES)
		return error_set(err, -EINVAL, "more than %d routes", CONFIG_MAX_ROUTES);
	return 0;
}

int config_routes_add(struct config *config, const char *line, int number, struct error *err)
{
	size_t length = strcspn(line, "=");
	auto_free char *key = trim(line, length);
	auto_free char *value = NULL;
	char *providers = NULL;
	int r;

	if (!line[length])
		return error_set(err, -EINVAL, "neither [section] nor key = value");
	value = trim(line + length + 1, strlen(line + length + 1));
	r = check_key(config, key, err);
	if (r)
		return r;
	if (!*value)
		return error_set(err, -EINVAL, "[routes] %s: no value", key);
	r = names_read(value, &providers, err);
	if (r)
		return error_prefix(err, "[routes] %s", key);
	config->routes = xreallocarray(config->routes, config->route_count + 1, sizeof(*config->routes));
	config->routes[config->route_count++] = (struct config_route){
		.pattern = xstrdup(key + strlen(KEY)),
		.providers = providers,
		.line = number,
	};
	return 0;
}

int config_routes_check(const struct config *config, const char *path, struct error *err)
{
	for (size_t i = 0; i < config->route_count; i++) {
		const struct config_route *route = &config->routes[i];
		struct names names = { .rest = route->providers };

		while (names_next(&names)) {
			auto_free char *name = names_copy(&names);

			if (!config_provider_find(config, name))
				return error_set(err, -EINVAL,
						 "%s:%d: [routes] " KEY "%s: there is no [provider %.100s]", path,
						 route->line, route->pattern, name);
		}
	}
	return 0;
}

void config_routes_release(struct config *config)
{
	for (size_t i = 0; i < config->route_count; i++) {
		free(config->routes[i].pattern);
		free(config->routes[i].providers);
	}
	free(config->routes);
}

const struct config_route *config_route_find(const struct config *config, const char *model)
{
	for (size_t i = 0; i < config->route_count; i++)
		if (price_name_fits(config->routes[i].pattern, model))
			return &config->routes[i];
	return NULL;
}
